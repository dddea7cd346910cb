/* Processes: who is on a GPU, with how much memory, and how busy each one was; by real pids when the caller filled them in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

#define UTILIZATION_RING 100 /* what the sizing call answers: the size of the driver's buffer, not the number of processes */
#define PERIOD_US 1000000
#define HISTORY_US 10000000

typedef struct { const Proc *proc; uint32_t pid; int64_t memory; const Device *mig; } Seat;

/* What the caller's pid namespace lets it see. Up to 535 a container sees no foreign pid; until 565 memory is looked up by the wrong pid. */
static bool visible(const Proc *proc) {
    return !world->container || (world->driver_major >= 545 && proc->host_pid);
}

/* Its pid; 0 for a process that has not been started yet, or has ended. */
static uint32_t pid_of(const Proc *proc) {
    unsigned pid = 0;
    if (!*proc->pid_file) return proc->pid;
    FILE *file = fopen(proc->pid_file, "re");
    if (!file) return 0;
    if (fscanf(file, "%u", &pid) != 1) pid = 0;
    fclose(file);
    return pid;
}

static int64_t memory_at(const Proc *proc, int gpu, const Device *mig) {
    char name[28] = "mem";
    if (mig) snprintf(name, sizeof name, "%d.mem", mig->index);
    return series_at(&proc->on[gpu], name, clock_wrap_ms(clock_us()), -1);
}

static bool seat(const Proc *proc, const Device *device, const Device *mig, Seat *out) {
    int64_t memory = memory_at(proc, device->gpu, mig);
    uint32_t pid = pid_of(proc);
    if (memory == -1 || !pid || !visible(proc)) return false; /* -2 is the driver's "not available" */
    bool blind = world->container && world->driver_major < 565;
    *out = (Seat){proc, pid, blind ? 0 : memory, mig};
    return true;
}

static Seat *room_for_seats(void) { return calloc((size_t)world->proc_count * (1 + (size_t)world->mig_count) + 1, sizeof(Seat)); }

static void release(Seat **seats) { free(*seats); }

/* Fills `out` (room for all) with the processes of one kind on a GPU or MIG device, at this instant. */
static int seats(const Device *device, char kind, Seat *out) {
    int count = 0;
    for (int p = 0; p < world->proc_count; p++) {
        const Proc *proc = &world->procs[p];
        if (!strchr(proc->kind, kind)) continue;
        if (!device->parent) count += seat(proc, device, NULL, &out[count]);
        for (int m = 0; m < world->mig_count; m++) {
            const Device *mig = &world->migs[m];
            bool mine = device->parent ? mig == device : mig->parent == device;
            if (mine && device_exists(mig)) count += seat(proc, mig->parent, mig, &out[count]);
        }
    }
    return count;
}

static uint64_t shown_memory(Device *device, const Seat *seat) {
    const Entry *entry = gate_entry(device, "process.usedGpuMemory"); /* without an example where the driver cannot tell */
    return seat->memory < 0 || (entry && !*entry->text) ? NOT_AVAILABLE : (uint64_t)seat->memory;
}

/* The drivers whose _v3 call wrote the larger entry of the detail list, by mistake. */
static bool wide_entries(void) {
    static const char *broken[] = {"535.43", "535.54", "535.86", "535.98"};
    for (int i = 0; i < 4; i++)
        if (!strncmp(world->driver, broken[i], 6)) return true;
    return false;
}

static nvmlReturn_t running(Device *device, char kind, unsigned *count, void *entries, bool wide) {
    REQUIRE(count);
    __attribute__((cleanup(release))) Seat *found = room_for_seats();
    int n = seats(device, kind, found);
    unsigned room = entries ? *count : 0;
    *count = (unsigned)n;
    if (!n) return OK;
    if ((size_t)n * (wide ? sizeof(ProcessDetail) : sizeof(ProcessInfo)) > room * sizeof(ProcessInfo)) return INSUFFICIENT_SIZE;
    for (int i = 0; i < n; i++) {
        const Device *mig = found[i].mig;
        ProcessDetail entry = {found[i].pid, shown_memory(device, &found[i]), mig ? mig->gi : NO_INSTANCE, mig ? mig->ci : NO_INSTANCE, 0};
        if (wide) ((ProcessDetail *)entries)[i] = entry;
        else ((ProcessInfo *)entries)[i] = (ProcessInfo){entry.pid, entry.memory, entry.gi, entry.ci};
    }
    return OK;
}

#define LIST(name, kind, wide) \
    EXPORT nvmlReturn_t name(Device *device, unsigned *count, void *entries) { ENTER(device); return running(device, kind, count, entries, wide); }

LIST(nvmlDeviceGetComputeRunningProcesses_v3, 'C', wide_entries())
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, 'G', wide_entries())
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, 'M', wide_entries())
LIST(nvmlDeviceGetComputeRunningProcesses_v2, 'C', false)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, 'G', false)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, 'M', false)

EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(Device *device, ProcessDetailList *list) {
    ENTER(device);
    REQUIRE(list && list->mode < 3);
    if (list->version != VERSIONED(ProcessDetailList, 1)) return ARGUMENT_VERSION_MISMATCH;
    __attribute__((cleanup(release))) Seat *found = room_for_seats();
    int n = seats(device, "CGM"[list->mode], found);
    unsigned room = list->entries ? list->count : 0;
    list->count = (unsigned)n;
    if (!n) return OK;
    if ((unsigned)n > room) return INSUFFICIENT_SIZE;
    for (int i = 0; i < n; i++) {
        const Device *mig = found[i].mig;
        list->entries[i] = (ProcessDetail){found[i].pid, shown_memory(device, &found[i]), mig ? mig->gi : NO_INSTANCE, mig ? mig->ci : NO_INSTANCE, 0};
    }
    return OK;
}

/* A mean over (from, to]; a value above 100 is one of the driver's garbage samples and goes out as it is. */
static uint32_t mean_use(const SeriesSet *set, const char *name, int64_t from_us, int64_t to_us) {
    int64_t raw = series_at(set, name, clock_wrap_ms(to_us), 0);
    return raw > 100 ? (uint32_t)raw : (uint32_t)(series_mean(set, name, from_us, to_us, 0.0) + 0.5);
}

/* One entry per process that was busy since `last_seen` (unix us); returns how many. */
static int uses(Device *device, uint64_t last_seen, ProcessUse *out, int room) {
    int64_t now = clock_us() / PERIOD_US * PERIOD_US, from = (int64_t)last_seen - world->epoch_ms * 1000, oldest = now - HISTORY_US;
    int count = 0;
    if (from < oldest) from = oldest;
    if (from < 0) from = 0;
    if (now <= from) return 0;
    for (int p = 0; p < world->proc_count && count < room; p++) {
        const Proc *proc = &world->procs[p];
        const SeriesSet *set = &proc->on[device->gpu];
        bool host_pids = world->container && world->driver_major < 570 && proc->host_pid;
        ProcessUse use = {(uint64_t)(world->epoch_ms * 1000 + now), host_pids ? proc->host_pid : pid_of(proc), .sm = mean_use(set, "sm", from, now),
                          .mem = mean_use(set, "memutil", from, now), .enc = mean_use(set, "enc", from, now), .dec = mean_use(set, "dec", from, now)};
        if (!use.pid) continue;
        if (use.sm || use.mem || use.enc || use.dec) out[count++] = use; /* an idle process is simply absent */
    }
    return count;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessUtilization(Device *device, ProcessSample *samples, unsigned *count, uint64_t last_seen) {
    ENTER(device);
    REQUIRE(count);
    if (device->mig) return NOT_SUPPORTED;
    if (!samples) return *count = UTILIZATION_RING, INSUFFICIENT_SIZE;
    ProcessUse found[UTILIZATION_RING];
    int n = uses(device, last_seen, found, UTILIZATION_RING);
    if (!n) return NOT_FOUND;
    if ((unsigned)n > *count) return *count = UTILIZATION_RING, INSUFFICIENT_SIZE;
    *count = (unsigned)n;
    for (int i = 0; i < n; i++)
        samples[i] = (ProcessSample){found[i].pid, found[i].time, found[i].sm, found[i].mem, found[i].enc, found[i].dec};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(Device *device, ProcessesUse *info) {
    ENTER(device);
    REQUIRE(info);
    if (info->version != VERSIONED(ProcessesUse, 1)) return ARGUMENT_VERSION_MISMATCH;
    if (device->mig) return NOT_SUPPORTED;
    if (!info->entries || !info->count) return info->count = UTILIZATION_RING, INSUFFICIENT_SIZE;
    ProcessUse found[UTILIZATION_RING];
    int n = uses(device, info->last_seen, found, UTILIZATION_RING);
    if (!n) return NOT_FOUND;
    if ((unsigned)n > info->count) return info->count = UTILIZATION_RING, INSUFFICIENT_SIZE;
    info->count = (unsigned)n;
    memcpy(info->entries, found, (size_t)n * sizeof *found);
    return OK;
}

EXPORT nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *out, unsigned room) {
    GATE(NULL, NEEDS_INIT);
    for (int p = 0; p < world->proc_count; p++) {
        const Proc *proc = &world->procs[p];
        if (proc->pid != pid && proc->host_pid != pid) continue;
        for (int gpu = 0; gpu < world->gpu_count; gpu++) {
            if (memory_at(proc, gpu, NULL) != -1) return put_text(out, room, proc->name);
            for (int m = 0; m < world->mig_count; m++)
                if (world->migs[m].gpu == gpu && memory_at(proc, gpu, &world->migs[m]) != -1) return put_text(out, room, proc->name);
        }
    }
    return NOT_FOUND; /* it has left the GPUs, or was never there */
}
