/* What the rooms of the fake driver share: the world read from a scenario, time, and the gate that every call passes. */
#ifndef FAKE_H
#define FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include "abi.h"

#define MAX_GPUS 16
#define MAX_FAULTS 256
#define EXPORT __attribute__((visibility("default")))

/* --- series: step functions of scenario time, with their exact integral ------------------------------------------------ */

typedef struct { int64_t t, value, before; } Step; /* ms, raw unit, integral of the value over [first step, t) in unit*ms */
typedef struct { char name[28]; Step *steps; int count, room; } Series;
typedef struct { Series *list; int count, room; } SeriesSet;

Series *series_get(SeriesSet *set, const char *name, bool create);
void series_add(Series *series, int64_t t, int64_t value);
int64_t series_at(const SeriesSet *set, const char *name, int64_t t_ms, int64_t otherwise);
double series_integral(const Series *series, int64_t t_us);            /* unit * ms since scenario time 0, loops counted */
double series_mean(const SeriesSet *set, const char *name, int64_t from_us, int64_t to_us, double otherwise);
void series_derive_bits(SeriesSet *set, const char *mask_name);        /* "reasons" -> "reasons.4", ... (0 or 1) */

/* --- profiles: what one GPU class answers ------------------------------------------------------------------------------- */

typedef struct { char *key; int rc; char *text; long long number; } Entry;
typedef struct { char name[48]; Entry *entries; int count, room; } Profile;

Profile *profile_load(const char *name);
void profile_set(Profile *profile, const char *key, int rc, const char *text);

/* --- the world ------------------------------------------------------------------------------------------------------------- */

typedef struct Device {
    struct Device *parent;             /* of a MIG device; NULL for a GPU */
    int gpu, index;                    /* GPU number; index = the MIG device's number, else the GPU's */
    Profile *profile, *own;            /* the class, and this device's exceptions to it ("set" lines) */
    char uuid[80], name[96], bdf[24], mig_profile[32];
    bool mig;                          /* GPU: MIG mode is on */
    uint32_t gi, ci, slices;
    int64_t from_ms, to_ms;            /* MIG device: exists in this span; to 0 = for ever */
    int64_t memory, reserved, power_limit, power_default, sm_clock_max, mem_clock_max, gpm, nvlinks, minor, pcie_wrap, first_util;
    bool first_util_done;
    SeriesSet series;
} Device;

typedef struct {
    char slot[48], kind[8], name[128];
    char pid_file[256];                /* not empty: the process is there while this file holds its pid */
    uint32_t pid, host_pid;
    SeriesSet on[MAX_GPUS];            /* per GPU; a MIG instance's series are named "J.mem" */
} Proc;

typedef enum { FAULT_CALL, FAULT_SLOW, FAULT_HANG, FAULT_LOST, FAULT_RESET, FAULT_MISMATCH, FAULT_DRIVER_GONE } FaultKind;
typedef struct {
    int64_t t, span;                   /* ms; span 0 = for ever */
    int gpu;                           /* -1 = all */
    FaultKind kind;
    char call[64];                     /* "-" or "*" = all; a trailing "*" matches a prefix */
    int64_t arg;
    int64_t first_n, after_n, seen;    /* only the first n matching calls, or only those after n; 0 = no limit */
} Fault;
typedef struct { int64_t t; int gpu; int code; } Xid;

typedef struct {
    char driver[32], name[64];
    int cuda, driver_major;
    int64_t loop_ms, epoch_ms;
    bool container;                    /* the caller lives in its own pid namespace */
    Device gpus[MAX_GPUS];
    int gpu_count;
    Device *migs;
    int mig_count;
    Proc *procs;
    int proc_count;
    Fault faults[MAX_FAULTS];
    int fault_count;
    Xid *xids;
    int xid_count;
} World;

extern World *world;                   /* NULL before the first init; never freed, as a stale handle must not crash */
World *world_load(const char *path);
void world_fill_pids(World *w, const char *pairs);

/* --- time -------------------------------------------------------------------------------------------------------------------- */

int64_t clock_us(void);                /* scenario time, never wrapped */
int64_t clock_wall_us(void);           /* the same instant in unix time: the driver's time stamps */
int64_t clock_wrap_ms(int64_t t_us);   /* scenario time within the loop */
bool clock_manual(void);
void clock_open(World *w);

/* --- the gate ---------------------------------------------------------------------------------------------------------------- */

typedef struct { int symbol, gpu; uint64_t start_ns; } Visit;

int gate_enter(Visit *visit, int *symbol, const char *call, Device *device, unsigned needs);
void gate_leave(Visit *visit);
int gate_rc(Device *device, const char *key);                  /* fault, else exception, else class: the code for a key */
const Entry *gate_entry(Device *device, const char *key);      /* the exception or class entry, or NULL */
long long gate_number(Device *device, const char *key, long long otherwise);
int64_t gate_counter_start_us(Device *device);                  /* when this GPU's counters last went back to zero */
bool gate_any_lost(void);
bool device_valid(Device *device);
bool device_exists(const Device *mig);
int64_t device_now(Device *device, const char *quantity, const char *key); /* the scenario's value now, else the class's for key */
double device_counter(Device *device, const char *name);       /* integral since the last reset, unit * ms */
int init_count(void);

enum { NEEDS_INIT = 1, NEEDS_DEVICE = 2, IS_INIT = 4 };

#define GATE(device, needs) \
    static int symbol_ = -1; \
    __attribute__((cleanup(gate_leave))) Visit visit_ = {0}; \
    do { int rc_ = gate_enter(&visit_, &symbol_, __func__, (device), (needs)); if (rc_) return rc_; } while (0)
#define ENTER(device) GATE(device, NEEDS_INIT | NEEDS_DEVICE)
#define REQUIRE(condition) do { if (!(condition)) return INVALID_ARGUMENT; } while (0)
#define CHECK(expression) do { int rc_ = (expression); if (rc_) return rc_; } while (0)

int stub(Visit *visit, int *symbol, const char *call, void *first);

int symbol_id(const char *name);
extern const struct Symbol { const char *name; int since; } symbols[];
extern const int symbol_count;

void stats_open(void);
void stats_add(int symbol, int gpu, uint64_t ns);

const char *device_name(Device *device);
int put_text(char *out, unsigned room, const char *text);

#endif
