/* Scenario lines that say who is there: GPUs, MIG devices, processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "parse.h"

static bool set_number(Device *d, const char *key, int64_t value) {
    const struct { const char *key; int64_t *to; } numbers[] = {
        {"memory", &d->memory}, {"reserved", &d->reserved}, {"power_limit", &d->power_limit},
        {"power_default", &d->power_default}, {"sm_clock_max", &d->sm_clock_max}, {"mem_clock_max", &d->mem_clock_max},
        {"gpm", &d->gpm}, {"nvlinks", &d->nvlinks}, {"minor", &d->minor}, {"pcie_wrap", &d->pcie_wrap},
        {"first_util", &d->first_util}, {"from", &d->from_ms}, {"to", &d->to_ms},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) { *numbers[i].to = value; return true; }
    if (!strcmp(key, "gi")) d->gi = (uint32_t)value;
    else if (!strcmp(key, "ci")) d->ci = (uint32_t)value;
    else if (!strcmp(key, "slices")) d->slices = (uint32_t)value;
    else if (!strcmp(key, "mig")) d->mig = value != 0;
    return true; /* what other readers need (say a PCIe generation) is not our error */
}

static bool device_attributes(Device *d, char *line, char *profile, size_t room) {
    char *key, *value;
    while ((value = attribute(&line, &key, "name"))) {
        if (!strcmp(key, "profile")) put(profile, room, value);
        else if (!strcmp(key, "uuid")) put(d->uuid, sizeof d->uuid, value);
        else if (!strcmp(key, "bdf")) put(d->bdf, sizeof d->bdf, value);
        else if (!strcmp(key, "name")) put(d->name, sizeof d->name, value);
        else set_number(d, key, atoll(value));
    }
    return !*line;
}

/* gpm=1 or gpm=0 on the gpu line overrules the class, unless its driver has no GPM at all. */
static void set_gpm(Device *d) {
    const Entry *query = gate_entry(d, "nvmlGpmQueryDeviceSupport");
    if (d->gpm < 0 || !query || query->rc) return;
    profile_set(d->own, "nvmlGpmQueryDeviceSupport", OK, d->gpm ? "1" : "0");
    profile_set(d->own, "nvmlGpmSampleGet", d->gpm ? OK : NOT_SUPPORTED, "");
    profile_set(d->own, "nvmlGpmMigSampleGet", d->gpm && d->mig ? OK : NOT_SUPPORTED, "");
}

bool read_gpu(World *w, char *line) {
    char *number = next_word(&line), profile[48] = "hopper-h100", parent[64];
    if (!number || atoi(number) != w->gpu_count || w->gpu_count == MAX_GPUS) return false;
    Device *d = &w->gpus[w->gpu_count];
    *d = (Device){.gpu = w->gpu_count, .index = w->gpu_count, .memory = -1, .reserved = -1, .power_limit = -1, .power_default = -1,
                  .sm_clock_max = -1, .mem_clock_max = -1, .gpm = -1, .nvlinks = -1, .minor = w->gpu_count, .first_util = -1};
    if (!device_attributes(d, line, profile, sizeof profile)) return false;
    w->gpu_count++;
    snprintf(parent, sizeof parent, "%s-mig-parent", profile);
    if (d->mig && !strstr(profile, "mig-parent")) d->profile = profile_load(parent);
    if (!d->profile) d->profile = profile_load(profile);
    d->own = calloc(1, sizeof(Profile));
    if (!d->profile) return false;
    if (gate_number(d, "nvmlDeviceGetMigMode", 0)) d->mig = true; /* the class itself is a MIG parent */
    set_gpm(d);
    if (!d->uuid[0]) snprintf(d->uuid, sizeof d->uuid, "GPU-00000000-0000-4000-8000-%012d", d->gpu);
    if (!d->bdf[0]) snprintf(d->bdf, sizeof d->bdf, "00000000:%02X:00.0", 0x10 + d->gpu);
    return true;
}

bool read_mig(World *w, char *line) {
    char *gpu = next_word(&line), *index = next_word(&line);
    if (!gpu || !index || atoi(gpu) >= w->gpu_count) return false;
    Device *parent = &w->gpus[atoi(gpu)], *d = &w->migs[w->mig_count++];
    *d = (Device){.parent = parent, .gpu = parent->gpu, .index = atoi(index), .memory = -1, .power_limit = -1,
                  .power_default = -1, .gpm = -1, .first_util = -1};
    if (!device_attributes(d, line, d->mig_profile, sizeof d->mig_profile)) return false;
    if (!d->name[0]) snprintf(d->name, sizeof d->name, "%.56s MIG %s", device_name(parent), d->mig_profile);
    d->profile = profile_load("hopper-h100-mig-device");
    d->own = calloc(1, sizeof(Profile));
    if (!d->uuid[0]) snprintf(d->uuid, sizeof d->uuid, "MIG-00000000-0000-4000-80%02d-%012d", d->index, d->gpu);
    return d->profile != NULL;
}

bool read_proc(World *w, char *line) {
    char *slot = next_word(&line), *key, *value;
    if (!slot) return false;
    Proc *p = &w->procs[w->proc_count];
    put(p->slot, sizeof p->slot, slot);
    put(p->kind, sizeof p->kind, "C");
    put(p->name, sizeof p->name, slot);
    p->pid = 4100000u + (uint32_t)w->proc_count++;
    while ((value = attribute(&line, &key, "command"))) {
        if (!strcmp(key, "kind")) put(p->kind, sizeof p->kind, value);
        else if (!strcmp(key, "name")) put(p->name, sizeof p->name, value);
        else if (!strcmp(key, "pid")) p->pid = (uint32_t)atoll(value);
        else if (!strcmp(key, "hostpid")) p->host_pid = (uint32_t)atoll(value);
    }
    return !*line;
}
