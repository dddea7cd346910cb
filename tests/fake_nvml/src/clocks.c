/* Clocks, the reasons why they are low, and the performance state. */
#include <string.h>
#include "fake.h"

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
    *out = (uint64_t)device_now(device, "reasons", "nvmlDeviceGetCurrentClocksEventReasons");
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
    *out = (unsigned)device_now(device, "pstate", "nvmlDeviceGetPerformanceState");
    return OK;
}
