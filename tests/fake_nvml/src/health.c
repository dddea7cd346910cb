/* Health: ECC, remapped rows (Ampere and later), retired pages (before). */
#include <stdio.h>
#include <string.h>
#include "fake.h"

static int64_t now(Device *device, const char *quantity, int64_t otherwise) {
    return series_at(&device->series, quantity, clock_wrap_ms(clock_us()), otherwise);
}

EXPORT nvmlReturn_t nvmlDeviceGetEccMode(Device *device, unsigned *current, unsigned *pending) {
    ENTER(device);
    REQUIRE(current && pending);
    *current = *pending = (unsigned)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTotalEccErrors(Device *device, unsigned type, unsigned counter, uint64_t *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetTotalEccErrors.UNCORRECTED.VOLATILE"));
    REQUIRE(out && type < 2 && counter < 2);
    *out = (uint64_t)now(device, type ? "ecc_uncorrected" : "ecc_corrected", 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(Device *device, unsigned type, unsigned counter, unsigned place, uint64_t *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetTotalEccErrors.UNCORRECTED.VOLATILE"));
    REQUIRE(out && type < 2 && counter < 2);
    if (place != 2) return NOT_SUPPORTED; /* device memory only */
    *out = (uint64_t)now(device, type ? "ecc_uncorrected" : "ecc_corrected", 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(Device *device, SramEcc *out) {
    ENTER(device);
    REQUIRE(out);
    if (out->version != VERSIONED(SramEcc, 1)) return ARGUMENT_VERSION_MISMATCH;
    uint64_t uncorrected = (uint64_t)now(device, "sram_uncorrected", 0), corrected = (uint64_t)now(device, "sram_corrected", 0);
    *out = (SramEcc){.version = out->version, .aggregate_secded = uncorrected, .volatile_secded = uncorrected, .aggregate_corrected = corrected,
                     .volatile_corrected = corrected, .threshold_exceeded = (uint32_t)gate_number(device, __func__, 0)};
    return OK;
}

/* Correctable, uncorrectable, pending, failure: by the scenario, else by the class ("4,0,1,0"). */
static void rows(Device *device, unsigned out[4]) {
    static const char *quantities[] = {"remap_correctable", "remap_uncorrectable", "remap_pending", "remap_failure"};
    const Entry *entry = gate_entry(device, "nvmlDeviceGetRemappedRows");
    memset(out, 0, 4 * sizeof *out);
    if (entry) sscanf(entry->text, "%u,%u,%u,%u", out, out + 1, out + 2, out + 3);
    for (int i = 0; i < 4; i++) out[i] = (unsigned)now(device, quantities[i], out[i]);
}

EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows(Device *device, unsigned *correctable, unsigned *uncorrectable, unsigned *pending, unsigned *failure) {
    ENTER(device);
    REQUIRE(correctable && uncorrectable && pending && failure);
    unsigned found[4];
    rows(device, found);
    *correctable = found[0], *uncorrectable = found[1], *pending = found[2], *failure = found[3];
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetRemappedRows_v2(Device *device, RemappedRowsV2 *out) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetRemappedRows"));
    REQUIRE(out);
    unsigned found[4];
    rows(device, found);
    *out = (RemappedRowsV2){found[0], 0, found[1], 0, found[2], found[3]};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(Device *device, RowHistogram *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (RowHistogram){.max = (uint32_t)gate_number(device, __func__, 0)};
    return OK;
}

static nvmlReturn_t retired(Device *device, unsigned cause, unsigned *count, uint64_t *addresses, uint64_t *times) {
    REQUIRE(count && cause < 2);
    unsigned n = cause ? (unsigned)now(device, "retired_pages", 0) : 0, room = addresses ? *count : 0;
    *count = n;
    if (n > room) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < n; i++) {
        addresses[i] = 0x10000ull * (i + 1);
        if (times) times[i] = (uint64_t)(world->epoch_ms * 1000);
    }
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages(Device *device, unsigned cause, unsigned *count, uint64_t *addresses) {
    ENTER(device);
    return retired(device, cause, count, addresses, NULL);
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPages_v2(Device *device, unsigned cause, unsigned *count, uint64_t *addresses, uint64_t *times) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceGetRetiredPages"));
    return retired(device, cause, count, addresses, times);
}

EXPORT nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(Device *device, unsigned *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (unsigned)now(device, "retired_pending", gate_number(device, __func__, 0));
    return OK;
}
