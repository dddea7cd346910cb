/* Handles: how many GPUs, which is which. A handle is a pointer into the world; anything else is refused. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "fake.h"

bool device_exists(const Device *mig) {
    int64_t t = clock_wrap_ms(clock_us());
    return t >= mig->from_ms && (!mig->to_ms || t < mig->to_ms);
}

bool device_valid(Device *device) {
    if (!world || !device) return false;
    for (int i = 0; i < world->gpu_count; i++)
        if (device == &world->gpus[i]) return true;
    for (int i = 0; i < world->mig_count; i++)
        if (device == &world->migs[i]) return device_exists(device);
    return false;
}

static nvmlReturn_t by_index(unsigned index, Device **out, const char *call) {
    REQUIRE(out && index < (unsigned)world->gpu_count);
    CHECK(gate_rc(&world->gpus[index], call)); /* a lost GPU, or one this user may not open */
    *out = &world->gpus[index];
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = (unsigned)world->gpu_count;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned *out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = (unsigned)world->gpu_count;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **out) {
    GATE(NULL, NEEDS_INIT);
    return by_index(index, out, "nvmlDeviceGetHandleByIndex_v2");
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, Device **out) {
    GATE(NULL, NEEDS_INIT);
    return by_index(index, out, "nvmlDeviceGetHandleByIndex_v2");
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, Device **out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(uuid && out);
    if (gate_any_lost()) return GPU_IS_LOST; /* the driver looks at every GPU on the way */
    for (int i = 0; i < world->gpu_count; i++)
        if (!strcmp(uuid, world->gpus[i].uuid)) return *out = &world->gpus[i], OK;
    for (int i = 0; i < world->mig_count; i++)
        if (device_exists(&world->migs[i]) && !strcmp(uuid, world->migs[i].uuid)) return *out = &world->migs[i], OK;
    return NOT_FOUND;
}

static nvmlReturn_t by_bus(const char *bus, Device **out) {
    REQUIRE(bus && out);
    for (int i = 0; i < world->gpu_count; i++) {
        const char *own = world->gpus[i].bdf; /* "00000000:1B:00.0"; sysfs writes a domain of four digits */
        if (strcasecmp(bus, own) && strcasecmp(bus, own + 4)) continue;
        CHECK(gate_rc(&world->gpus[i], "nvmlDeviceGetHandleByPciBusId_v2"));
        return *out = &world->gpus[i], OK;
    }
    return NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, Device **out) {
    GATE(NULL, NEEDS_INIT);
    return by_bus(bus, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *bus, Device **out) {
    GATE(NULL, NEEDS_INIT);
    return by_bus(bus, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)device->index;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(Device *device, char *out, unsigned room) {
    ENTER(device);
    return put_text(out, room, device->uuid);
}

const char *device_name(Device *device) {
    const Entry *entry = gate_entry(device, "nvmlDeviceGetName");
    return device->name[0] ? device->name : entry ? entry->text : "NVIDIA GPU";
}

EXPORT nvmlReturn_t nvmlDeviceGetName(Device *device, char *out, unsigned room) {
    ENTER(device);
    return put_text(out, room, device_name(device));
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(Device *device, PciInfo *out) {
    ENTER(device);
    REQUIRE(out);
    const char *bdf = device->parent ? device->parent->bdf : device->bdf;
    unsigned domain = 0, bus = 0, slot = 0, function = 0;
    sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function);
    *out = (PciInfo){.domain = domain, .bus = bus, .device = slot, .device_id = 0x233010DE, .subsystem_id = 0x16C110DE};
    snprintf(out->legacy_bus_id, sizeof out->legacy_bus_id, "%04X:%02X:%02X.%X", domain & 0xFFFF, bus & 0xFF, slot & 0xFF, function & 0xF);
    snprintf(out->bus_id, sizeof out->bus_id, "%s", bdf);
    return OK;
}
