/* Power at this instant, its limits, and the energy since scenario time 0. */
#include "fake.h"

EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)device_now(device, "power_mw", "nvmlDeviceGetPowerUsage");
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
