/* What does not change: texts and numbers that come straight from the class table (or from its exceptions). */
#include <stdio.h>
#include <string.h>
#include "fake.h"

static nvmlReturn_t text(Device *device, const char *call, char *out, unsigned room) {
    const Entry *entry = gate_entry(device, call);
    return entry ? put_text(out, room, entry->text) : NOT_SUPPORTED;
}

static nvmlReturn_t number(Device *device, const char *call, void *out) {
    REQUIRE(out);
    const Entry *entry = gate_entry(device, call);
    if (!entry) return NOT_SUPPORTED;
    *(unsigned *)out = (unsigned)entry->number;
    return OK;
}

#define TEXT(name) EXPORT nvmlReturn_t name(Device *device, char *out, unsigned room) { ENTER(device); return text(device, __func__, out, room); }
#define NUMBER(name) EXPORT nvmlReturn_t name(Device *device, unsigned *out) { ENTER(device); return number(device, __func__, out); }

TEXT(nvmlDeviceGetSerial)
TEXT(nvmlDeviceGetBoardPartNumber)
TEXT(nvmlDeviceGetVbiosVersion)
TEXT(nvmlDeviceGetInforomImageVersion)

NUMBER(nvmlDeviceGetBoardId)
NUMBER(nvmlDeviceGetArchitecture)
NUMBER(nvmlDeviceGetVirtualizationMode)
NUMBER(nvmlDeviceGetModuleId)
NUMBER(nvmlDeviceGetPersistenceMode)
NUMBER(nvmlDeviceGetComputeMode)
NUMBER(nvmlDeviceGetDisplayActive)
NUMBER(nvmlDeviceGetDisplayMode)
NUMBER(nvmlDeviceGetAccountingMode)
NUMBER(nvmlDeviceGetAccountingBufferSize)
NUMBER(nvmlDeviceGetNumFans)
NUMBER(nvmlDeviceGetNumaNodeId)

EXPORT nvmlReturn_t nvmlDeviceGetGspFirmwareVersion(Device *device, char *out) {
    ENTER(device);
    return text(device, __func__, out, 64);
}

EXPORT nvmlReturn_t nvmlDeviceGetMinorNumber(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)device->minor;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetAddressingMode(Device *device, Versioned32 *out) {
    ENTER(device);
    REQUIRE(out);
    return number(device, __func__, &out->value);
}

EXPORT nvmlReturn_t nvmlDeviceGetDriverModel_v2(Device *device, unsigned *current, unsigned *pending) {
    ENTER(device);
    CHECK(number(device, __func__, current));
    return number(device, __func__, pending);
}

EXPORT nvmlReturn_t nvmlDeviceGetDriverModel(Device *device, unsigned *current, unsigned *pending) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetDriverModel_v2"));
    CHECK(number(device, "nvmlDeviceGetDriverModel_v2", current));
    return number(device, "nvmlDeviceGetDriverModel_v2", pending);
}

EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(Device *device, int *major, int *minor) {
    ENTER(device);
    const Entry *entry = gate_entry(device, __func__);
    REQUIRE(major && minor);
    return entry && sscanf(entry->text, "%d.%d", major, minor) == 2 ? OK : NOT_SUPPORTED;
}

EXPORT nvmlReturn_t nvmlDeviceGetBrand(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    const char *name = device_name(device);
    *out = strstr(name, "GeForce") ? 5 : strstr(name, "Quadro") ? 1 : 14; /* NVML_BRAND_GEFORCE, _QUADRO, _NVIDIA */
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(Device *device, Device *other, unsigned *out) {
    ENTER(device);
    REQUIRE(device_valid(other) && out);
    return number(device, __func__, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetEncoderStats(Device *device, unsigned *sessions, unsigned *fps, unsigned *latency_us) {
    ENTER(device);
    REQUIRE(fps && latency_us);
    *fps = *latency_us = 0;
    return number(device, __func__, sessions);
}

EXPORT nvmlReturn_t nvmlDeviceGetAPIRestriction(Device *device, unsigned api, unsigned *out) {
    ENTER(device);
    REQUIRE(api < 2);
    return number(device, __func__, out);
}

EXPORT nvmlReturn_t nvmlDeviceGetSupportedClocksEventReasons(Device *device, uint64_t *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (uint64_t)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetAccountingPids(Device *device, unsigned *count, unsigned *pids) {
    ENTER(device);
    REQUIRE(count);
    (void)pids; /* accounting is off: nobody is on the list */
    *count = 0;
    return OK;
}
