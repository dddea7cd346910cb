/* Temperatures, their thresholds in either kind, and fans. */
#include "fake.h"

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(Device *device, unsigned sensor, unsigned *out) {
    ENTER(device);
    REQUIRE(out && sensor == 0);
    *out = (unsigned)device_now(device, "temp", "nvmlDeviceGetTemperature");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(Device *device, TemperatureV1 *out) {
    ENTER(device);
    REQUIRE(out && out->sensor == 0);
    if (out->version != VERSIONED(TemperatureV1, 1)) return ARGUMENT_VERSION_MISMATCH;
    out->temperature = (int32_t)device_now(device, "temp", "nvmlDeviceGetTemperature");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMarginTemperature(Device *device, Versioned32 *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != VERSIONED(Versioned32, 1)) return ARGUMENT_VERSION_MISMATCH;
    long long limit = gate_number(device, "nvmlDeviceGetMarginTemperature", 0) + gate_number(device, "nvmlDeviceGetTemperature", 0);
    out->value = (uint32_t)(limit - device_now(device, "temp", "nvmlDeviceGetTemperature")); /* falls as the GPU heats */
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

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed_v2(Device *device, unsigned fan, unsigned *out) {
    ENTER(device);
    REQUIRE(out && fan < (unsigned)gate_number(device, "nvmlDeviceGetNumFans", 1));
    *out = (unsigned)device_now(device, "fan", "nvmlDeviceGetFanSpeed_v2");
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetFanSpeed(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    CHECK(gate_rc(device, "nvmlDeviceGetFanSpeed_v2"));
    *out = (unsigned)device_now(device, "fan", "nvmlDeviceGetFanSpeed_v2");
    return OK;
}
