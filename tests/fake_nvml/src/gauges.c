/* The values of now: utilization, memory, power, temperature, clocks, fans. Each is its step function at this instant. */
#include <string.h>
#include "fake.h"

static int64_t now(Device *device, const char *quantity, const char *key) {
    return series_at(&device->series, quantity, clock_wrap_ms(clock_us()), gate_number(device, key, 0));
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(Device *device, Utilization *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetUtilizationRates.gpu"));
    REQUIRE(out);
    out->gpu = (uint32_t)now(device, "util", "nvmlDeviceGetUtilizationRates.gpu");
    out->memory = (uint32_t)now(device, "memutil", "nvmlDeviceGetUtilizationRates.memory");
    if (device->first_util >= 0 && !device->first_util_done) { /* the scrub at driver start shows up as load */
        out->gpu = (uint32_t)device->first_util;
        device->first_util_done = true;
    }
    return OK;
}

static nvmlReturn_t engine(Device *device, const char *quantity, const char *key, unsigned *out, unsigned *period_us) {
    REQUIRE(out && period_us);
    *out = (unsigned)now(device, quantity, key);
    *period_us = 200000;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetEncoderUtilization(Device *device, unsigned *out, unsigned *period_us) {
    ENTER(device);
    return engine(device, "enc", "nvmlDeviceGetEncoderUtilization", out, period_us);
}

EXPORT nvmlReturn_t nvmlDeviceGetDecoderUtilization(Device *device, unsigned *out, unsigned *period_us) {
    ENTER(device);
    return engine(device, "dec", "nvmlDeviceGetDecoderUtilization", out, period_us);
}

EXPORT nvmlReturn_t nvmlDeviceGetJpgUtilization(Device *device, unsigned *out, unsigned *period_us) {
    ENTER(device);
    return engine(device, "jpg", "nvmlDeviceGetJpgUtilization", out, period_us);
}

EXPORT nvmlReturn_t nvmlDeviceGetOfaUtilization(Device *device, unsigned *out, unsigned *period_us) {
    ENTER(device);
    return engine(device, "ofa", "nvmlDeviceGetOfaUtilization", out, period_us);
}

/* Compute instances of one GPU instance share its memory: one that has no series of its own shows its sibling's. */
static SeriesSet *memory_owner(Device *device) {
    for (int i = 0; device->parent && i < world->mig_count; i++) {
        Device *other = &world->migs[i];
        bool shared = other->parent == device->parent && other->gi == device->gi && device_exists(other);
        if (shared && series_get(&other->series, "memory_used", false)) return &other->series;
    }
    return &device->series;
}

static void memory(Device *device, MemoryV2 *out) {
    int64_t otherwise = gate_number(device, "nvmlDeviceGetMemoryInfo_v2.used", 0);
    out->total = (uint64_t)(device->memory > 0 ? device->memory : gate_number(device, "nvmlDeviceGetMemoryInfo_v2.total", 0));
    out->reserved = (uint64_t)(device->reserved >= 0 ? device->reserved : gate_number(device, "nvmlDeviceGetMemoryInfo_v2.reserved", 0));
    out->used = (uint64_t)series_at(memory_owner(device), "memory_used", clock_wrap_ms(clock_us()), otherwise);
    uint64_t taken = out->used + out->reserved;
    out->free = taken < out->total ? out->total - taken : 0;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(Device *device, Memory *out) {
    ENTER(device);
    REQUIRE(out);
    MemoryV2 split = {0};
    memory(device, &split);
    *out = (Memory){split.total, split.free, split.used + split.reserved}; /* v1 counts the driver's own share as used */
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(Device *device, MemoryV2 *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetMemoryInfo_v2.total"));
    REQUIRE(out);
    if (out->version != VERSIONED(MemoryV2, 2)) return ARGUMENT_VERSION_MISMATCH;
    memory(device, out);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(Device *device, Bar1Memory *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetBAR1MemoryInfo.total"));
    REQUIRE(out);
    out->total = (uint64_t)gate_number(device, "nvmlDeviceGetBAR1MemoryInfo.total", 0);
    out->used = (uint64_t)gate_number(device, "nvmlDeviceGetBAR1MemoryInfo.used", 0);
    out->free = out->total - out->used;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetConfComputeMemSizeInfo(Device *device, ConfComputeMemory *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (ConfComputeMemory){0, (uint64_t)(device->memory > 0 ? device->memory : 0) / 1024};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)now(device, "power_mw", "nvmlDeviceGetPowerUsage");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    int64_t limit = device->power_limit > 0 ? device->power_limit : gate_number(device, "nvmlDeviceGetEnforcedPowerLimit", 0);
    *out = (unsigned)series_at(&device->series, "power_limit_mw", clock_wrap_ms(clock_us()), limit);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimit(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    int64_t limit = device->power_limit > 0 ? device->power_limit : gate_number(device, "nvmlDeviceGetPowerManagementLimit", 0);
    *out = (unsigned)series_at(&device->series, "power_limit_mw", clock_wrap_ms(clock_us()), limit);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)(device->power_default > 0 ? device->power_default
                                                 : gate_number(device, "nvmlDeviceGetPowerManagementDefaultLimit", 0));
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(Device *device, unsigned *low, unsigned *high) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetPowerManagementLimitConstraints.max"));
    REQUIRE(low && high);
    *low = (unsigned)gate_number(device, "nvmlDeviceGetPowerManagementLimitConstraints.min", 0);
    *high = (unsigned)gate_number(device, "nvmlDeviceGetPowerManagementLimitConstraints.max", device->power_default);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(Device *device, uint64_t *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (uint64_t)(device_counter(device, "power_mw") / 1000.0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(Device *device, unsigned sensor, unsigned *out) {
    ENTER(device);
    REQUIRE(out && sensor == 0);
    *out = (unsigned)now(device, "temp", "nvmlDeviceGetTemperature");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(Device *device, TemperatureV1 *out) {
    ENTER(device);
    REQUIRE(out && out->sensor == 0);
    if (out->version != VERSIONED(TemperatureV1, 1)) return ARGUMENT_VERSION_MISMATCH;
    out->temperature = (int32_t)now(device, "temp", "nvmlDeviceGetTemperature");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMarginTemperature(Device *device, Versioned32 *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != VERSIONED(Versioned32, 1)) return ARGUMENT_VERSION_MISMATCH;
    long long limit = gate_number(device, "nvmlDeviceGetMarginTemperature", 0) + gate_number(device, "nvmlDeviceGetTemperature", 0);
    out->value = (uint32_t)(limit - now(device, "temp", "nvmlDeviceGetTemperature")); /* falls as the GPU heats */
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureThreshold(Device *device, unsigned kind, unsigned *out) {
    static const char *keys[] = {
        "nvmlDeviceGetTemperatureThreshold.SHUTDOWN", "nvmlDeviceGetTemperatureThreshold.SLOWDOWN",
        "nvmlDeviceGetTemperatureThreshold.MEM_MAX", "nvmlDeviceGetTemperatureThreshold.GPU_MAX",
        "nvmlDeviceGetTemperatureThreshold.ACOUSTIC_MIN", "nvmlDeviceGetTemperatureThreshold.ACOUSTIC_CURR"};
    ENTER(device);
    REQUIRE(out && kind < 7);
    const Entry *entry = kind < 6 ? gate_entry(device, keys[kind]) : NULL;
    if (!entry) return NOT_SUPPORTED;
    CHECK(gate_rc(device, keys[kind]));
    *out = (unsigned)entry->number;
    return OK;
}

static const char *clock_names[] = {"GRAPHICS", "SM", "MEM", "VIDEO"};

static nvmlReturn_t clock_entry(Device *device, const char *call, unsigned kind, const Entry **entry) {
    char key[80];
    REQUIRE(kind < 4);
    key[0] = 0;
    strcat(strcat(strcat(key, call), "."), clock_names[kind]);
    CHECK(gate_rc(device, key));
    *entry = gate_entry(device, key);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetClockInfo(Device *device, unsigned kind, unsigned *out) {
    ENTER(device);
    const Entry *entry = NULL;
    REQUIRE(out);
    CHECK(clock_entry(device, "nvmlDeviceGetClockInfo", kind, &entry));
    const char *quantity = kind == 2 ? "mem_clock" : kind == 3 ? "video_clock" : "sm_clock";
    *out = (unsigned)series_at(&device->series, quantity, clock_wrap_ms(clock_us()), entry ? entry->number : 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(Device *device, unsigned kind, unsigned *out) {
    ENTER(device);
    const Entry *entry = NULL;
    REQUIRE(out);
    CHECK(clock_entry(device, "nvmlDeviceGetMaxClockInfo", kind, &entry));
    int64_t own = kind == 2 ? device->mem_clock_max : kind < 2 ? device->sm_clock_max : -1;
    *out = (unsigned)(own > 0 ? own : entry ? entry->number : 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetApplicationsClock(Device *device, unsigned kind, unsigned *out) {
    ENTER(device);
    REQUIRE(out && kind < 4);
    CHECK(gate_rc(device, "nvmlDeviceGetApplicationsClock.GRAPHICS")); /* the class knows one answer for all clocks */
    *out = (unsigned)gate_number(device, "nvmlDeviceGetApplicationsClock.GRAPHICS", 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxCustomerBoostClock(Device *device, unsigned kind, unsigned *out) {
    ENTER(device);
    REQUIRE(out && kind < 4);
    CHECK(gate_rc(device, "nvmlDeviceGetMaxCustomerBoostClock.GRAPHICS"));
    *out = (unsigned)gate_number(device, "nvmlDeviceGetMaxCustomerBoostClock.GRAPHICS", 0);
    return OK;
}

static nvmlReturn_t reasons(Device *device, uint64_t *out) {
    REQUIRE(out);
    *out = (uint64_t)now(device, "reasons", "nvmlDeviceGetCurrentClocksEventReasons");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(Device *device, uint64_t *out) {
    ENTER(device);
    return reasons(device, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, uint64_t *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetCurrentClocksEventReasons"));
    return reasons(device, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetPerformanceState(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)now(device, "pstate", "nvmlDeviceGetPerformanceState");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed_v2(Device *device, unsigned fan, unsigned *out) {
    ENTER(device);
    REQUIRE(out && fan < (unsigned)gate_number(device, "nvmlDeviceGetNumFans", 1));
    *out = (unsigned)now(device, "fan", "nvmlDeviceGetFanSpeed_v2");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    CHECK(gate_rc(device, "nvmlDeviceGetFanSpeed_v2"));
    *out = (unsigned)now(device, "fan", "nvmlDeviceGetFanSpeed_v2");
    return OK;
}
