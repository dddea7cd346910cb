/* Events: XIDs at the scenario's times. What happened before registration is not replayed; nothing within the timeout is code 10. */
#include <stdlib.h>
#include <time.h>
#include "fake.h"

#define MAGIC 0x45565453u
#define XID_CRITICAL 0x8ull

typedef struct { uint32_t magic; uint64_t mask[MAX_GPUS]; int64_t since_us[MAX_GPUS]; int64_t cursor_ms; int cursor; } EventSet;

EXPORT nvmlReturn_t nvmlEventSetCreate(EventSet **out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = calloc(1, sizeof **out);
    (*out)->magic = MAGIC;
    (*out)->cursor_ms = clock_us() / 1000;
    (*out)->cursor = world->xid_count;
    return OK;
}

EXPORT nvmlReturn_t nvmlEventSetFree(EventSet *set) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(set && set->magic == MAGIC);
    set->magic = 0;
    free(set);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(Device *device, uint64_t *out) {
    ENTER(device);
    REQUIRE(out);
    *out = (uint64_t)gate_number(device, __func__, 0);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(Device *device, uint64_t types, EventSet *set) {
    ENTER(device);
    CHECK(gate_rc(device, "nvmlDeviceRegisterEvents.XID"));
    REQUIRE(set && set->magic == MAGIC);
    set->mask[device->gpu] |= types;
    set->since_us[device->gpu] = clock_us();
    return OK;
}

/* When an XID line happens next after the set's cursor, in unwrapped ms. */
static int64_t occurrence(const EventSet *set, int index) {
    int64_t t = world->xids[index].t, loop = world->loop_ms;
    int64_t turn = loop && set->cursor_ms > t ? (set->cursor_ms - t) / loop : 0;
    t += turn * loop;
    bool past = t < set->cursor_ms || (t == set->cursor_ms && index <= set->cursor);
    return past ? (loop ? t + loop : -1) : t;
}

static bool take(EventSet *set, EventData *out) {
    int64_t now = clock_us() / 1000, best = now + 1;
    int found = -1;
    for (int i = 0; i < world->xid_count; i++) {
        const Xid *xid = &world->xids[i];
        int64_t t = occurrence(set, i);
        bool wanted = xid->gpu >= 0 && xid->gpu < world->gpu_count && (set->mask[xid->gpu] & XID_CRITICAL);
        if (wanted && t >= 0 && t < best && t * 1000 >= set->since_us[xid->gpu]) best = t, found = i;
    }
    if (found < 0) return false;
    set->cursor_ms = best, set->cursor = found;
    const Xid *xid = &world->xids[found];
    *out = (EventData){&world->gpus[xid->gpu], XID_CRITICAL, (uint64_t)xid->code, NO_INSTANCE, NO_INSTANCE};
    return true;
}

static nvmlReturn_t wait_for(EventSet *set, EventData *out, unsigned timeout_ms) {
    REQUIRE(set && set->magic == MAGIC && out);
    struct timespec pause = {0, 2000000};
    for (unsigned waited = 0;; waited += 2) { /* by the real clock, also when scenario time stands still */
        if (take(set, out)) return OK;
        for (int i = 0; i < world->gpu_count; i++)
            if (set->mask[i] && gate_rc(&world->gpus[i], "nvmlEventSetWait_v2") == GPU_IS_LOST) return GPU_IS_LOST; /* at once, each time */
        if (waited >= timeout_ms) return TIMEOUT;
        nanosleep(&pause, NULL);
    }
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(EventSet *set, EventData *out, unsigned timeout_ms) {
    GATE(NULL, NEEDS_INIT);
    return wait_for(set, out, timeout_ms);
}

EXPORT nvmlReturn_t nvmlEventSetWait(EventSet *set, EventData *out, unsigned timeout_ms) {
    GATE(NULL, NEEDS_INIT);
    return wait_for(set, out, timeout_ms);
}
