/* The readers of single scenario lines: each takes the rest of its line and says whether it could be understood. */
#ifndef FAKE_PARSE_H
#define FAKE_PARSE_H

#include "fake.h"

char *next_word(char **line);
char *attribute(char **line, char **key, const char *last);
bool put(char *out, size_t room, const char *value);

bool read_gpu(World *w, char *line);
bool read_mig(World *w, char *line);
bool read_proc(World *w, char *line);
bool read_value(World *w, char *line);
bool read_proc_value(World *w, char *line);
bool read_fault(World *w, char *line);
bool read_xid(World *w, char *line);
bool read_set(World *w, char *line);

#endif
