/* Reads the flat scenario text into a World. A line that cannot be understood stops the load: a typo must not pass for data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

static char *next(char **line) { /* the next word; NULL at the end */
    while (**line == ' ') ++*line;
    if (!**line) return NULL;
    char *word = *line;
    while (**line && **line != ' ') ++*line;
    if (**line) *(*line)++ = 0;
    return word;
}

static bool put(char *out, size_t room, const char *value) { snprintf(out, room, "%s", value); return true; }

/* Splits "key=value" words; the key whose value runs to the end of the line is `last`. Returns the value or NULL. */
static char *attribute(char **line, char **key, const char *last) {
    while (**line == ' ') ++*line;
    size_t length = strlen(last);
    if (!strncmp(*line, last, length) && (*line)[length] == '=') {
        char *value = *line + length + 1;
        *key = (char *)last;
        *line += strlen(*line);
        return value;
    }
    char *word = next(line), *equals = word ? strchr(word, '=') : NULL;
    if (!equals) return NULL;
    *equals = 0;
    *key = word;
    return equals + 1;
}

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

static bool read_gpu(World *w, char *line) {
    char *number = next(&line), profile[48] = "hopper-h100", parent[64];
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

static bool read_mig(World *w, char *line) {
    char *gpu = next(&line), *index = next(&line);
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

static bool read_proc(World *w, char *line) {
    char *slot = next(&line), *key, *value;
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

static SeriesSet *owner_of(World *w, char *where) { /* "I" or "I.J" */
    char *dot = strchr(where, '.');
    int gpu = atoi(where);
    if (gpu < 0 || gpu >= w->gpu_count) return NULL;
    if (!dot) return &w->gpus[gpu].series;
    for (int i = 0; i < w->mig_count; i++)
        if (w->migs[i].gpu == gpu && w->migs[i].index == atoi(dot + 1)) return &w->migs[i].series;
    return NULL;
}

static bool read_value(World *w, char *line) {
    char *where = next(&line), *quantity = next(&line), *t = next(&line), *value = next(&line);
    SeriesSet *set = value ? owner_of(w, where) : NULL;
    if (!set) return false;
    series_add(series_get(set, quantity, true), atoll(t), atoll(value));
    return true;
}

static bool read_proc_value(World *w, char *line) {
    char *slot = next(&line), *where = next(&line), *quantity = next(&line), *t = next(&line), *value = next(&line), name[64];
    if (!value) return false;
    if (*where == '-') return true; /* host-side facts of a process: not the driver's business */
    char *dot = strchr(where, '.');
    int gpu = atoi(where);
    snprintf(name, sizeof name, "%s%s%s", dot ? dot + 1 : "", dot ? "." : "", quantity);
    for (int i = 0; i < w->proc_count && gpu < w->gpu_count; i++)
        if (!strcmp(w->procs[i].slot, slot)) {
            series_add(series_get(&w->procs[i].on[gpu], name, true), atoll(t), atoll(value));
            return true;
        }
    return false;
}

static bool read_fault(World *w, char *line) {
    static const char *kinds[] = {"call", "slow", "hang", "lost", "reset", "mismatch", "driver_gone"};
    char *t = next(&line), *span = next(&line), *gpu = next(&line), *kind = next(&line), *call = next(&line), *arg = next(&line);
    if (!arg || w->fault_count == MAX_FAULTS) return false;
    Fault *f = &w->faults[w->fault_count++];
    *f = (Fault){.t = atoll(t), .span = atoll(span), .gpu = *gpu == '*' ? -1 : atoi(gpu), .arg = atoll(arg)};
    put(f->call, sizeof f->call, call);
    for (char *more, *key; (more = attribute(&line, &key, "-"));) {
        if (!strcmp(key, "first")) f->first_n = atoll(more);
        else if (!strcmp(key, "after")) f->after_n = atoll(more);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kind, kinds[i])) { f->kind = (FaultKind)i; return true; }
    return false;
}

static bool read_xid(World *w, char *line) {
    char *t = next(&line), *gpu = next(&line), *code = next(&line);
    if (!code) return false;
    w->xids = realloc(w->xids, (size_t)(w->xid_count + 1) * sizeof(Xid));
    w->xids[w->xid_count++] = (Xid){atoll(t), atoi(gpu), atoi(code)};
    return true;
}

static bool read_set(World *w, char *line) { /* set I|* KEY RC [VALUE] : an exception to the class */
    char *gpu = next(&line), *key = next(&line), *rc = next(&line);
    if (!rc) return false;
    for (int i = 0; i < w->gpu_count; i++)
        if (*gpu == '*' || atoi(gpu) == i) profile_set(w->gpus[i].own, key, atoi(rc), line);
    return true;
}

static bool read_line(World *w, char *line) {
    char *word = next(&line);
    if (!word || *word == '#') return true;
    if (!strcmp(word, "v")) return read_value(w, line);
    if (!strcmp(word, "pv")) return read_proc_value(w, line);
    if (!strcmp(word, "h")) return true;
    if (!strcmp(word, "gpu")) return read_gpu(w, line);
    if (!strcmp(word, "mig")) return read_mig(w, line);
    if (!strcmp(word, "proc")) return read_proc(w, line);
    if (!strcmp(word, "fault")) return read_fault(w, line);
    if (!strcmp(word, "xid")) return read_xid(w, line);
    if (!strcmp(word, "set")) return read_set(w, line);
    if (!strcmp(word, "name")) return put(w->name, sizeof w->name, line);
    if (!strcmp(word, "driver")) return w->driver_major = atoi(line), put(w->driver, sizeof w->driver, line);
    if (!strcmp(word, "cuda")) return w->cuda = atoi(line), true;
    if (!strcmp(word, "loop_ms")) return w->loop_ms = atoll(line), true;
    if (!strcmp(word, "namespace")) return w->container = !strcmp(line, "container"), true;
    return !strcmp(word, "gpuwatch-scenario") && atoi(line) == 1;
}

static int count_lines(const char *text, const char *word) {
    int count = 0;
    size_t length = strlen(word);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        count += !strncmp(line, word, length);
    return count;
}

static char *read_all(const char *path) {
    FILE *file = path && *path ? fopen(path, "rb") : NULL;
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    if (fread(text, 1, (size_t)size, file) != (size_t)size) text[0] = 0;
    fclose(file);
    return text;
}

World *world_load(const char *path) {
    char *text = read_all(path);
    if (!text) {
        fprintf(stderr, "fake nvml: cannot read GPUWATCH_FAKE_SCENARIO=%s\n", path ? path : "");
        return NULL;
    }
    World *w = calloc(1, sizeof *w);
    w->driver_major = 590, w->cuda = 13010, put(w->driver, sizeof w->driver, "590.48.01");
    w->migs = calloc((size_t)count_lines(text, "mig ") + 1, sizeof(Device));
    w->procs = calloc((size_t)count_lines(text, "proc ") + 1, sizeof(Proc));
    int number = 0;
    for (char *line = text, *end; line; line = end) {
        if ((end = strchr(line, '\n'))) *end++ = 0;
        number++;
        if (!read_line(w, line)) {
            fprintf(stderr, "fake nvml: %s:%d: cannot read this line (%s ...)\n", path, number, line);
            free(text);
            return NULL;
        }
    }
    for (int i = 0; i < w->gpu_count; i++) series_derive_bits(&w->gpus[i].series, "reasons");
    free(text);
    return w;
}

void world_fill_pids(World *w, const char *pairs) { /* "slot=pid,slot=pid" */
    char copy[16384], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", pairs ? pairs : "");
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals) *equals++ = 0;
        for (int i = 0; equals && i < w->proc_count; i++)
            if (!strcmp(w->procs[i].slot, pair)) w->procs[i].pid = (uint32_t)atoll(equals);
    }
}
