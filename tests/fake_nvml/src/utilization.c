/* How busy the engines are at this instant. */
#include "fake.h"

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(Device *device, Utilization *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetUtilizationRates.gpu"));
    REQUIRE(out);
    out->gpu = (uint32_t)device_now(device, "util", "nvmlDeviceGetUtilizationRates.gpu");
    out->memory = (uint32_t)device_now(device, "memutil", "nvmlDeviceGetUtilizationRates.memory");
    if (device->first_util >= 0 && !device->first_util_done) { /* the scrub at driver start shows up as load */
        out->gpu = (uint32_t)device->first_util;
        device->first_util_done = true;
    }
    return OK;
}

static nvmlReturn_t engine(Device *device, const char *quantity, const char *key, unsigned *out, unsigned *period_us) {
    REQUIRE(out && period_us);
    *out = (unsigned)device_now(device, quantity, key);
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
