/* PCIe and NVLink: generations, widths, throughput, links. */
#include <string.h>
#include "fake.h"

static nvmlReturn_t number(Device *device, const char *call, const char *quantity, unsigned *out) {
    REQUIRE(out);
    *out = (unsigned)device_now(device, quantity, call);
    return OK;
}

#define NUMBER(name, quantity) EXPORT nvmlReturn_t name(Device *device, unsigned *out) { ENTER(device); return number(device, __func__, quantity, out); }

NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, "replays")
NUMBER(nvmlDeviceGetPcieSpeed, "pcie_speed")

EXPORT nvmlReturn_t nvmlDeviceGetPcieThroughput(Device *device, unsigned direction, unsigned *out) {
    ENTER(device);
    REQUIRE(out && direction < 2);
    const char *key = direction ? "nvmlDeviceGetPcieThroughput.RX" : "nvmlDeviceGetPcieThroughput.TX";
    CHECK(gate_rc(device, key));
    int64_t t = clock_us();
    *out = (unsigned)series_mean(&device->series, direction ? "pcie_rx_kib_s" : "pcie_tx_kib_s", t - 20000, t, (double)gate_number(device, key, 0));
    return OK;
}

static int link_count(Device *device) {
    return (int)(device->nvlinks >= 0 ? device->nvlinks : gate_number(device, "nvlinks", 0));
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(Device *device, unsigned link, unsigned *out) {
    ENTER(device);
    REQUIRE(out && link < (unsigned)link_count(device));
    const Entry *entry = gate_entry(device, __func__);
    int64_t otherwise = !entry || entry->text[0] != '0' ? link_count(device) : 0; /* the links of a class are all up or all down */
    *out = (int64_t)link < series_at(&device->series, "nvlinks_up", clock_wrap_ms(clock_us()), otherwise);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(Device *device, unsigned link, unsigned counter, uint64_t *out) {
    ENTER(device);
    REQUIRE(out && counter < 5 && link < (unsigned)link_count(device));
    *out = (uint64_t)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetC2cModeInfoV(Device *device, C2cMode *out) {
    ENTER(device);
    REQUIRE(out);
    out->enabled = (unsigned)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfo(Device *device, FabricInfo *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetGpuFabricInfoV"));
    REQUIRE(out);
    *out = (FabricInfo){.state = (uint32_t)gate_number(device, "nvmlDeviceGetGpuFabricInfoV", 0)};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(Device *device, FabricInfoV2 *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != VERSIONED(FabricInfoV2, 2)) return ARGUMENT_VERSION_MISMATCH;
    out->status = OK, out->clique = 0, out->health = 0;
    memset(out->cluster, 0, sizeof out->cluster);
    out->state = (uint32_t)gate_number(device, __func__, 0);
    return OK;
}
