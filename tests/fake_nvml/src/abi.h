/* The part of NVML's binary interface that the fake serves: return codes, versions and structs, laid out as the driver does.
 * A test compares every size and offset with the classes of the real binding. */
#ifndef FAKE_ABI_H
#define FAKE_ABI_H

#include <stdint.h>

typedef int nvmlReturn_t;

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15,
    RESET_REQUIRED = 16, LIB_RM_VERSION_MISMATCH = 18, ARGUMENT_VERSION_MISMATCH = 25, DEPRECATED = 26,
    GPU_NOT_FOUND = 28, UNKNOWN = 999
};

enum { TYPE_DOUBLE = 0, TYPE_UINT = 1, TYPE_ULL = 3, TYPE_SINT = 5 }; /* nvmlValueType_t */

#define VERSIONED(type, version) ((uint32_t)(sizeof(type) | (version) << 24))
#define NO_INSTANCE 0xFFFFFFFFu          /* GPU or compute instance id of a process or event outside MIG */
#define NOT_AVAILABLE 0xFFFFFFFFFFFFFFFFull /* NVML_VALUE_NOT_AVAILABLE of a 64-bit member */

typedef union { double d; uint32_t ui; uint64_t ull; int64_t sll; int32_t si; } Value;

typedef struct { uint64_t total, free, used; } Memory;
typedef struct { uint32_t version; uint64_t total, reserved, free, used; } MemoryV2;
typedef struct { uint64_t total, free, used; } Bar1Memory;
typedef struct { uint32_t gpu, memory; } Utilization;
typedef struct { uint64_t time; Value value; } Sample;
typedef struct { uint64_t reference, violation; } ViolationTime;
typedef struct { uint64_t protected_kib, unprotected_kib; } ConfComputeMemory;
typedef struct { uint32_t version, value; } Versioned32; /* margin temperature, addressing mode, C2C mode (versioned) */
typedef struct { uint32_t version, sensor; int32_t temperature; } TemperatureV1;
typedef struct { uint32_t enabled; } C2cMode;
typedef struct { uint32_t max, high, partial, low, none; } RowHistogram;
typedef struct { uint32_t correctable, correctable_inactive, uncorrectable, uncorrectable_inactive, pending, failure; } RemappedRowsV2;

typedef struct {
    char legacy_bus_id[16];
    uint32_t domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} PciInfo;

typedef struct {
    uint32_t field, scope;
    int64_t time, latency_us;
    uint32_t type, rc;
    Value value;
} FieldValue;

typedef struct { uint32_t pid; uint64_t memory; uint32_t gi, ci; } ProcessInfo;
typedef struct { uint32_t pid; uint64_t memory; uint32_t gi, ci; uint64_t protected_memory; } ProcessDetail; /* also R535's _v3 */
typedef struct { uint32_t version, mode, count; ProcessDetail *entries; } ProcessDetailList;
typedef struct { uint32_t pid; uint64_t time; uint32_t sm, mem, enc, dec; } ProcessSample;
typedef struct { uint64_t time; uint32_t pid, sm, mem, enc, dec, jpg, ofa; } ProcessUse;
typedef struct { uint32_t version, count; uint64_t last_seen; ProcessUse *entries; } ProcessesUse;

typedef struct { const char *short_name, *long_name, *unit; } GpmInfo;
typedef struct { uint32_t id, rc; double value; GpmInfo info; } GpmMetric;
typedef struct { uint32_t version, count; void *sample1, *sample2; GpmMetric metrics[]; } GpmMetrics;
typedef struct { uint32_t version, supported; } GpmSupport;

typedef struct { void *device; uint64_t type, data; uint32_t gi, ci; } EventData;

typedef struct {
    uint32_t multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gi_slices, ci_slices;
    uint64_t memory_mib;
} Attributes;

typedef struct {
    uint32_t version, id, p2p, slices, instances, multiprocessors, copy_engines, decoders, encoders, jpegs, ofas;
    uint64_t memory_mib;
    char name[96];
} GiProfileV2;

typedef struct {
    uint32_t version;
    uint64_t aggregate_parity, aggregate_secded, aggregate_corrected, volatile_parity, volatile_secded, volatile_corrected;
    uint64_t bucket_l2, bucket_sm, bucket_pcie, bucket_mcu, bucket_other;
    uint32_t threshold_exceeded;
} SramEcc;

typedef struct { uint8_t cluster[16]; uint32_t status, clique, state; } FabricInfo;
typedef struct { uint32_t version; uint8_t cluster[16]; uint32_t status, clique, state, health; } FabricInfoV2;

#endif
