/* Device memory, in both of the driver's ways of counting, and BAR1. */
#include "fake.h"

/* Compute instances of one GPU instance share its memory: one that has no series of its own shows its sibling's. */
static SeriesSet *memory_owner(Device *device) {
    for (int i = 0; device->parent && i < world->mig_count; i++) {
        Device *other = &world->migs[i];
        bool shared = other->parent == device->parent && other->gi == device->gi && device_exists(other);
        if (shared && series_get(&other->series, "memory_used", false)) return &other->series;
    }
    return &device->series;
}

/* A driver too old for version 2 tells the total in version 1, as the first of its numbers. */
static int64_t total(Device *device) {
    if (device->memory > 0) return device->memory;
    int64_t told = gate_number(device, "nvmlDeviceGetMemoryInfo_v2.total", 0);
    return told > 0 ? told : gate_number(device, "nvmlDeviceGetMemoryInfo", 0);
}

static void memory(Device *device, MemoryV2 *out) {
    int64_t otherwise = gate_number(device, "nvmlDeviceGetMemoryInfo_v2.used", 0);
    out->total = (uint64_t)total(device);
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
