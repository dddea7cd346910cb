/* Scenario lines that say what happens: values over time, faults, XIDs, exceptions to the class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "parse.h"

static SeriesSet *owner_of(World *w, char *where) { /* "I" or "I.J" */
    char *dot = strchr(where, '.');
    int gpu = atoi(where);
    if (gpu < 0 || gpu >= w->gpu_count) return NULL;
    if (!dot) return &w->gpus[gpu].series;
    for (int i = 0; i < w->mig_count; i++)
        if (w->migs[i].gpu == gpu && w->migs[i].index == atoi(dot + 1)) return &w->migs[i].series;
    return NULL;
}

bool read_value(World *w, char *line) {
    char *where = next_word(&line), *quantity = next_word(&line), *t = next_word(&line), *value = next_word(&line);
    SeriesSet *set = value ? owner_of(w, where) : NULL;
    if (!set) return false;
    series_add(series_get(set, quantity, true), atoll(t), atoll(value));
    return true;
}

bool read_proc_value(World *w, char *line) {
    char *slot = next_word(&line), *where = next_word(&line), *quantity = next_word(&line), *t = next_word(&line), *value = next_word(&line), name[64];
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

bool read_fault(World *w, char *line) {
    static const char *kinds[] = {"call", "slow", "hang", "lost", "reset", "mismatch", "driver_gone"};
    char *t = next_word(&line), *span = next_word(&line), *gpu = next_word(&line), *kind = next_word(&line), *call = next_word(&line), *arg = next_word(&line);
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

bool read_xid(World *w, char *line) {
    char *t = next_word(&line), *gpu = next_word(&line), *code = next_word(&line);
    if (!code) return false;
    w->xids = realloc(w->xids, (size_t)(w->xid_count + 1) * sizeof(Xid));
    w->xids[w->xid_count++] = (Xid){atoll(t), atoi(gpu), atoi(code)};
    return true;
}

bool read_set(World *w, char *line) { /* set I|* KEY RC [VALUE] : an exception to the class */
    char *gpu = next_word(&line), *key = next_word(&line), *rc = next_word(&line);
    if (!rc) return false;
    for (int i = 0; i < w->gpu_count; i++)
        if (*gpu == '*' || atoi(gpu) == i) profile_set(w->gpus[i].own, key, atoi(rc), line);
    return true;
}
