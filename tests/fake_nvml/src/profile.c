/* The table of a GPU class: "KEY RC [VALUE]" a line, read from the profiles folder beside the library; kept sorted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

static int compare(const void *a, const void *b) { return strcmp(((const Entry *)a)->key, ((const Entry *)b)->key); }

void profile_set(Profile *profile, const char *key, int rc, const char *text) {
    Entry *entry = NULL;
    for (int i = 0; i < profile->count && !entry; i++)
        if (!strcmp(profile->entries[i].key, key)) entry = &profile->entries[i];
    if (!entry) {
        if (profile->count == profile->room) {
            profile->room = profile->room ? profile->room * 2 : 32;
            profile->entries = realloc(profile->entries, (size_t)profile->room * sizeof(Entry));
        }
        entry = &profile->entries[profile->count++];
        entry->key = strdup(key);
    }
    entry->rc = rc;
    entry->text = strdup(text);
    entry->number = atoll(text);
}

static FILE *open_table(const char *name) {
    char path[4096];
    Dl_info info;
    if (!dladdr((void *)profile_set, &info)) return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    int folder = slash ? (int)(slash - info.dli_fname) : 0;
    snprintf(path, sizeof path, "%.*s/profiles/%s.txt", folder, folder ? info.dli_fname : ".", name);
    return fopen(path, "r");
}

Profile *profile_load(const char *name) {
    FILE *file = open_table(name);
    if (!file) return NULL;
    Profile *profile = calloc(1, sizeof *profile);
    snprintf(profile->name, sizeof profile->name, "%s", name);
    char line[512], key[128];
    while (fgets(line, sizeof line, file)) {
        int rc = 0, at = 0;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#') continue;
        if (sscanf(line, "nvml%*s %d%n", &rc, &at) == 1 || sscanf(line, "FI:%*s %d%n", &rc, &at) == 1 ||
            sscanf(line, "process.%*s %d%n", &rc, &at) == 1) {
            sscanf(line, "%127s", key);
            profile_set(profile, key, rc, line[at] ? line + at + 1 : "");
        } else if (sscanf(line, "%127s%n", key, &at) == 1) {
            profile_set(profile, key, 0, line[at] ? line + at + 1 : ""); /* a head line: driver, nvlinks, ... */
        }
    }
    fclose(file);
    qsort(profile->entries, (size_t)profile->count, sizeof(Entry), compare);
    return profile;
}

static const Entry *find(const Profile *profile, const char *key, bool sorted) {
    if (!profile) return NULL;
    Entry wanted = {.key = (char *)key};
    if (sorted) return bsearch(&wanted, profile->entries, (size_t)profile->count, sizeof(Entry), compare);
    for (int i = 0; i < profile->count; i++)
        if (!strcmp(profile->entries[i].key, key)) return &profile->entries[i];
    return NULL;
}

const Entry *gate_entry(Device *device, const char *key) {
    const Entry *entry = find(device->own, key, false);
    return entry ? entry : find(device->profile, key, true);
}

long long gate_number(Device *device, const char *key, long long otherwise) {
    const Entry *entry = gate_entry(device, key);
    return entry && *entry->text ? entry->number : otherwise;
}
