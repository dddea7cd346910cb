/* GPM: two samples at least 100 ms apart give exact means of the scenario's metrics over the time between them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "fake.h"

#define MINIMUM_GAP_US 100000
#define MAGIC 0x47504D53u

typedef struct { uint32_t magic; World *of; Device *device; int64_t t_us; } GpmSample;

static const struct { uint32_t id; const char *quantity; GpmInfo info; } rates[] = {
    {20, "pcie_tx_kib_s", {"PCIETX", "PCIe TX", "MiB/sec"}}, {21, "pcie_rx_kib_s", {"PCIERX", "PCIe RX", "MiB/sec"}},
    {60, "nvlink_rx_kib_s", {"NVLRX", "NvLink Total RX", "MiB/sec"}}, {61, "nvlink_tx_kib_s", {"NVLTX", "NvLink Total TX", "MiB/sec"}},
};

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(Device *device, GpmSupport *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != 1) return ARGUMENT_VERSION_MISMATCH;
    out->supported = (uint32_t)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmSampleAlloc(GpmSample **out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = calloc(1, sizeof **out);
    (*out)->magic = MAGIC;
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmSampleFree(GpmSample *sample) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(sample && sample->magic == MAGIC);
    sample->magic = 0;
    free(sample);
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmSampleGet(Device *device, GpmSample *sample) {
    ENTER(device);
    REQUIRE(sample && sample->magic == MAGIC);
    sample->of = world, sample->device = device, sample->t_us = clock_us();
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmMigSampleGet(Device *device, unsigned gi, GpmSample *sample) {
    ENTER(device);
    REQUIRE(sample && sample->magic == MAGIC && !device->parent);
    for (int i = 0; i < world->mig_count; i++) {
        Device *mig = &world->migs[i];
        if (mig->parent != device || mig->gi != gi || !device_exists(mig)) continue;
        sample->of = world, sample->device = mig, sample->t_us = clock_us();
        return OK;
    }
    return NOT_FOUND; /* no such GPU instance (any more) */
}

static void metric(Device *device, int64_t from, int64_t to, GpmMetric *out) {
    char name[28];
    snprintf(name, sizeof name, "gpm.%u", out->id);
    out->rc = OK, out->info = (GpmInfo){"GPM", "GPM metric", "%"};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (rates[i].id == out->id && series_get(&device->series, rates[i].quantity, false)) {
            out->value = series_mean(&device->series, rates[i].quantity, from, to, 0.0) / 1024.0;
            out->info = rates[i].info;
            return;
        }
    int64_t now = series_at(&device->series, name, clock_wrap_ms(to), -2);
    out->value = series_mean(&device->series, name, from, to, NAN) / 10.0; /* per mille -> percent */
    if (now == -1) out->value = NAN;
    if (now <= -2) out->value = NAN, out->rc = series_get(&device->series, name, false) ? UNKNOWN : NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlGpmMetricsGet(GpmMetrics *request) {
    GpmSample *first = request ? request->sample1 : NULL, *second = request ? request->sample2 : NULL;
    Device *device = first && first->magic == MAGIC && first->of == world ? first->device : NULL;
    GATE(device, device ? NEEDS_INIT | NEEDS_DEVICE : NEEDS_INIT);
    REQUIRE(device && second && second->magic == MAGIC && second->of == world && second->device == device);
    if (request->version != 1) return ARGUMENT_VERSION_MISMATCH;
    for (unsigned i = 0; i < request->count; i++) {
        metric(device, first->t_us, second->t_us, &request->metrics[i]);
        if (second->t_us - first->t_us < MINIMUM_GAP_US) request->metrics[i].value = NAN; /* too close: not a number */
    }
    return OK;
}
