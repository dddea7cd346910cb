/* MIG: mode, instances by index, their ids and shares. */
#include <stdio.h>
#include <string.h>
#include "fake.h"

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    ENTER(device);
    REQUIRE(current && pending);
    *current = *pending = device->mig;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = device->mig ? 7 : 0;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **out) {
    ENTER(device);
    REQUIRE(out && !device->parent && index < 7);
    for (int i = 0; i < world->mig_count; i++) {
        Device *mig = &world->migs[i];
        if (mig->parent != device || (unsigned)mig->index != index || !device_exists(mig)) continue;
        *out = mig;
        return OK;
    }
    return NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = device->parent != NULL;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device *device, Device **out) {
    ENTER(device);
    REQUIRE(out && device->parent);
    *out = device->parent;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    if (!device->parent) return NOT_SUPPORTED;
    *out = device->gi;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    if (!device->parent) return NOT_SUPPORTED;
    *out = device->ci;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(Device *device, Attributes *out) {
    ENTER(device);
    REQUIRE(out);
    if (!device->parent) return NOT_SUPPORTED;
    const Entry *entry = gate_entry(device, __func__);
    unsigned n[8] = {0};
    sscanf(entry ? entry->text : "", "%u,%u,%u,%u,%u,%u,%u,%u", n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7);
    unsigned slices = device->slices ? device->slices : n[6], cores = n[6] ? n[0] / n[6] * slices : 0;
    int64_t memory = device->memory > 0 ? device->memory : gate_number(device, "nvmlDeviceGetMemoryInfo_v2.total", 0);
    *out = (Attributes){cores, slices, slices, n[3], slices, n[5], slices, slices, (uint64_t)memory >> 20};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(Device *device, unsigned profile, GiProfileV2 *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != VERSIONED(GiProfileV2, 2)) return ARGUMENT_VERSION_MISMATCH;
    static const struct { unsigned profile, id, slices, instances; } known[] = {{0, 19, 1, 7}, {1, 14, 2, 3}, {2, 9, 3, 2}, {3, 5, 4, 1}, {4, 0, 7, 1}};
    int64_t memory = device->memory > 0 ? device->memory : gate_number(device, "nvmlDeviceGetMemoryInfo_v2.total", 0);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].profile != profile) continue;
        *out = (GiProfileV2){.version = out->version, .id = known[i].id, .slices = known[i].slices, .instances = known[i].instances,
                             .multiprocessors = known[i].slices * 16, .copy_engines = known[i].slices,
                             .memory_mib = (uint64_t)(memory >> 20) / 8 * (known[i].slices == 3 ? 4 : known[i].slices == 7 ? 8 : known[i].slices)};
        snprintf(out->name, sizeof out->name, "MIG %ug", known[i].slices);
        return OK;
    }
    return NOT_SUPPORTED;
}
