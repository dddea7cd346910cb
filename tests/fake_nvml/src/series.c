/* Step functions: a value holds from its time until the next record; integrals are exact, so counters are too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

Series *series_get(SeriesSet *set, const char *name, bool create) {
    for (int i = 0; i < set->count; i++)
        if (!strcmp(set->list[i].name, name)) return &set->list[i];
    if (!create) return NULL;
    if (set->count == set->room) {
        set->room = set->room ? set->room * 2 : 8;
        set->list = realloc(set->list, (size_t)set->room * sizeof(Series));
    }
    Series *series = &set->list[set->count++];
    memset(series, 0, sizeof *series);
    snprintf(series->name, sizeof series->name, "%s", name);
    return series;
}

void series_add(Series *series, int64_t t, int64_t value) {
    if (series->count == series->room) {
        series->room = series->room ? series->room * 2 : 8;
        series->steps = realloc(series->steps, (size_t)series->room * sizeof(Step));
    }
    Step *step = &series->steps[series->count];
    Step *last = series->count ? step - 1 : NULL;
    if (last && last->t == t) { /* a later line for the same instant wins */
        last->value = value;
        return;
    }
    *step = (Step){t, value, last ? last->before + last->value * (t - last->t) : 0};
    series->count++;
}

static const Step *step_at(const Series *series, int64_t t_ms) {
    int low = 0, high = series->count - 1;
    if (high < 0 || series->steps[0].t > t_ms) return NULL;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (series->steps[middle].t <= t_ms) low = middle; else high = middle - 1;
    }
    return &series->steps[low];
}

int64_t series_at(const SeriesSet *set, const char *name, int64_t t_ms, int64_t otherwise) {
    const Series *series = series_get((SeriesSet *)set, name, false);
    const Step *step = series ? step_at(series, t_ms) : NULL;
    return step ? step->value : otherwise;
}

static double integral_within(const Series *series, int64_t t_us) {
    const Step *step = step_at(series, t_us / 1000);
    return step ? (double)step->before + (double)step->value * ((double)t_us / 1000.0 - (double)step->t) : 0.0;
}

double series_integral(const Series *series, int64_t t_us) {
    int64_t loop_us = world->loop_ms * 1000;
    if (t_us <= 0) return 0.0;
    if (!loop_us) return integral_within(series, t_us);
    return (double)(t_us / loop_us) * integral_within(series, loop_us) + integral_within(series, t_us % loop_us);
}

double series_mean(const SeriesSet *set, const char *name, int64_t from_us, int64_t to_us, double otherwise) {
    const Series *series = series_get((SeriesSet *)set, name, false);
    if (!series) return otherwise;
    if (from_us < 0) from_us = 0;
    if (to_us <= from_us) return (double)series_at(set, name, clock_wrap_ms(to_us), 0);
    return (series_integral(series, to_us) - series_integral(series, from_us)) * 1000.0 / (double)(to_us - from_us);
}

void series_derive_bits(SeriesSet *set, const char *mask_name) {
    if (!series_get(set, mask_name, false)) return; /* the class's example counters stay */
    static const int masks[] = {0x4, 0x10, 0x20, 0x40, 0x80, 0x8 | 0x20 | 0x40};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        char name[28];
        snprintf(name, sizeof name, "%s.%d", mask_name, masks[i]);
        Series *bit = series_get(set, name, true);
        const Series *mask = series_get(set, mask_name, false); /* after the line above: it may have moved */
        for (int k = 0; k < mask->count; k++)
            series_add(bit, mask->steps[k].t, (mask->steps[k].value & masks[i]) != 0);
    }
}
