/* The driver's ring of samples: 72 periods of 139 ms, each the exact mean of the scenario's step function over its period. */
#include <string.h>
#include "fake.h"

#define RING 72
#define PERIOD_US 139000

static const struct { const char *quantity, *key; } kinds[] = {
    {"power_mw", "nvmlDeviceGetSamples.TOTAL_POWER"}, {"util", "nvmlDeviceGetSamples.GPU_UTIL"},
    {"memutil", "nvmlDeviceGetSamples.GPU_UTIL"},     {"enc", "nvmlDeviceGetSamples.GPU_UTIL"},
    {"dec", "nvmlDeviceGetSamples.GPU_UTIL"},         {"sm_clock", "nvmlDeviceGetSamples.GPU_UTIL"},
    {"mem_clock", "nvmlDeviceGetSamples.GPU_UTIL"},   {"module_power_mw", "nvmlDeviceGetSamples.TOTAL_POWER"},
    {"jpg", "nvmlDeviceGetSamples.GPU_UTIL"},         {"ofa", "nvmlDeviceGetSamples.GPU_UTIL"},
};

EXPORT nvmlReturn_t nvmlDeviceGetSamples(Device *device, unsigned kind, uint64_t last_seen, unsigned *type, unsigned *count, Sample *out) {
    ENTER(device);
    REQUIRE(type && count && kind < sizeof kinds / sizeof *kinds);
    CHECK(gate_rc(device, kinds[kind].key));
    if (!series_get(&device->series, kinds[kind].quantity, false)) return NOT_SUPPORTED;
    *type = TYPE_UINT;
    if (!out) return *count = RING, OK; /* sizing answers the ring, whatever is in it */
    int64_t newest = clock_us() / PERIOD_US, epoch_us = world->epoch_ms * 1000, oldest = newest - RING + 1;
    int64_t seen = ((int64_t)last_seen - epoch_us) / PERIOD_US; /* a period's number is the time of its end */
    if ((int64_t)last_seen > epoch_us && seen >= oldest) oldest = seen + 1;
    if (oldest < 1) oldest = 1;
    if (newest < oldest) return NOT_FOUND;
    if (newest - oldest + 1 > (int64_t)*count) return INSUFFICIENT_SIZE;
    *count = (unsigned)(newest - oldest + 1);
    for (int64_t n = oldest; n <= newest; n++) {
        double mean = series_mean(&device->series, kinds[kind].quantity, (n - 1) * PERIOD_US, n * PERIOD_US, 0.0);
        out[n - oldest] = (Sample){(uint64_t)(epoch_us + n * PERIOD_US), {.ull = (uint64_t)(mean + 0.5)}};
    }
    return OK;
}
