/* Field values: one batch call, each entry with its own code, time and type. */
#include <stdio.h>
#include "fake.h"

static bool counter(Device *device, const char *quantity, double scale, FieldValue *out) {
    if (!series_get(&device->series, quantity, false)) return false;
    out->type = TYPE_ULL;
    out->value.ull = (uint64_t)(device_counter(device, quantity) * scale);
    return true;
}

static bool pcie_bytes(Device *device, const char *quantity, FieldValue *out) {
    if (!counter(device, quantity, 1.024, out)) return false; /* KiB/s over ms = 1.024 bytes */
    if (device->pcie_wrap) out->value.ull %= (uint64_t)device->pcie_wrap;
    return true;
}

static bool nvlink_kib(Device *device, const char *quantity, FieldValue *out) {
    long long links = device->nvlinks >= 0 ? device->nvlinks : gate_number(device, "nvlinks", 0);
    if (out->scope != NO_INSTANCE && out->scope >= (uint32_t)links) return out->rc = INVALID_ARGUMENT, true;
    if (!counter(device, quantity, 0.001, out)) return false;
    if (out->scope != NO_INSTANCE) out->value.ull /= (uint64_t)links; /* the scenario gives the sum of all links */
    return true;
}

static bool gauge(Device *device, const char *quantity, uint32_t type, FieldValue *out) {
    if (!series_get(&device->series, quantity, false)) return false;
    out->type = type;
    out->value.ull = (uint64_t)series_at(&device->series, quantity, clock_wrap_ms(clock_us()), 0);
    return true;
}

static bool power(Device *device, bool average, FieldValue *out) {
    if (out->scope) return gauge(device, out->scope == 2 ? "memory_power_mw" : "module_power_mw", TYPE_UINT, out);
    if (!average) return gauge(device, "power_mw", TYPE_UINT, out);
    int64_t t = clock_us();
    double mean = series_mean(&device->series, "power_mw", t - 1000000, t, -1.0);
    out->type = TYPE_UINT;
    out->value.ui = (uint32_t)(mean + 0.5);
    return mean >= 0;
}

/* What the scenario itself determines; false leaves the entry to the class's example. */
static bool live(Device *device, FieldValue *out) {
    switch (out->field) {
    case 74: return counter(device, "reasons.4", 1e6, out); /* ms -> ns */
    case 75: return counter(device, "reasons.104", 1e6, out);
    case 76: return counter(device, "reasons.16", 1e6, out);
    case 82: return gauge(device, "memtemp", TYPE_UINT, out);
    case 83: return counter(device, "power_mw", 0.001, out);
    case 138: return nvlink_kib(device, "nvlink_tx_kib_s", out);
    case 139: return nvlink_kib(device, "nvlink_rx_kib_s", out);
    case 185: return power(device, true, out);
    case 186: return power(device, false, out);
    case 197: return pcie_bytes(device, "pcie_tx_kib_s", out);
    case 198: return pcie_bytes(device, "pcie_rx_kib_s", out);
    case 230: return gauge(device, "recovery", TYPE_UINT, out);
    case 269: return counter(device, "reasons.32", 1e6, out);
    case 270: return counter(device, "reasons.64", 1e6, out);
    case 271: return counter(device, "reasons.128", 1e6, out);
    default: return false;
    }
}

static bool by_link(uint32_t field) { return field == 138 || field == 139; }

static void example(const Entry *entry, FieldValue *out) {
    if (!*entry->text) return;
    bool negative_kind = out->field >= 193 && out->field <= 196, wide = entry->number > 0xFFFFFFFFll;
    out->type = negative_kind ? TYPE_SINT : wide ? TYPE_ULL : TYPE_UINT;
    if (negative_kind) out->value.si = (int32_t)entry->number;
    else out->value.ull = (uint64_t)entry->number;
}

EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(Device *device, int count, FieldValue *values) {
    ENTER(device);
    REQUIRE(values && count > 0);
    for (int i = 0; i < count; i++) {
        FieldValue *out = &values[i];
        char key[32];
        snprintf(key, sizeof key, "FI:%u/%u", out->field, by_link(out->field) ? 0 : out->scope);
        const Entry *entry = gate_entry(device, key);
        *out = (FieldValue){.field = out->field, .scope = out->scope, .time = clock_wall_us(), .type = TYPE_UINT};
        out->rc = (uint32_t)gate_rc(device, key);
        if (out->field == 75 && !entry) entry = gate_entry(device, "FI:74/0"), out->rc = (uint32_t)gate_rc(device, "FI:74/0");
        if (out->rc) continue;
        if (!entry) out->rc = NOT_SUPPORTED; /* unknown on this driver: the entry fails, the batch does not */
        else if (!live(device, out)) example(entry, out);
    }
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetViolationStatus(Device *device, unsigned policy, ViolationTime *out) {
    ENTER(device);
    static const char *quantities[] = {"reasons.4", "reasons.104", "reasons.16"};
    CHECK(gate_rc(device, "nvmlDeviceGetViolationStatus.POWER"));
    REQUIRE(out && policy < 3);
    *out = (ViolationTime){(uint64_t)clock_wall_us() * 1000u, (uint64_t)(device_counter(device, quantities[policy]) * 1e6)};
    return OK;
}
