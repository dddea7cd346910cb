/* Reads the flat scenario text into a World. A line that cannot be understood stops the load: a typo must not pass for data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "parse.h"

char *next_word(char **line) { /* the next word; NULL at the end */
    while (**line == ' ') ++*line;
    if (!**line) return NULL;
    char *word = *line;
    while (**line && **line != ' ') ++*line;
    if (**line) *(*line)++ = 0;
    return word;
}

bool put(char *out, size_t room, const char *value) { snprintf(out, room, "%s", value); return true; }

/* Splits "key=value" words; the key whose value runs to the end of the line is `last`. Returns the value or NULL. */
char *attribute(char **line, char **key, const char *last) {
    while (**line == ' ') ++*line;
    size_t length = strlen(last);
    if (!strncmp(*line, last, length) && (*line)[length] == '=') {
        char *value = *line + length + 1;
        *key = (char *)last;
        *line += strlen(*line);
        return value;
    }
    char *word = next_word(line), *equals = word ? strchr(word, '=') : NULL;
    if (!equals) return NULL;
    *equals = 0;
    *key = word;
    return equals + 1;
}

static bool read_line(World *w, char *line) {
    char *word = next_word(&line);
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

void world_fill_pids(World *w, const char *pairs) { /* "slot=pid,slot=@file" */
    char *copy = strdup(pairs ? pairs : ""), *rest = NULL;
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals) *equals++ = 0;
        for (int i = 0; equals && i < w->proc_count; i++)
            if (strcmp(w->procs[i].slot, pair)) continue;
            else if (*equals == '@') snprintf(w->procs[i].pid_file, sizeof w->procs[i].pid_file, "%s", equals + 1);
            else w->procs[i].pid = (uint32_t)atoll(equals);
    }
    free(copy);
}
