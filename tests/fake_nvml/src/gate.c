/* The gate: every call passes here, is counted and timed, and meets the scenario's faults before the class's own answer. */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include "fake.h"

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_us(int64_t us) {
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

static bool covers(const Fault *fault, const char *call, int gpu) {
    size_t length = strlen(fault->call);
    if (fault->gpu >= 0 && fault->gpu != gpu) return false;
    if (!strcmp(fault->call, "-") || !strcmp(fault->call, "*")) return true;
    if (fault->call[length - 1] == '*') return !strncmp(fault->call, call, length - 1);
    return !strcmp(fault->call, call);
}

/* A fault with a span comes back in every loop; one without lasts for ever from its first time on. */
static bool active(const Fault *fault, int64_t t_ms) {
    int64_t since = t_ms - fault->t;
    return since >= 0 && (!fault->span || (world->loop_ms ? since % world->loop_ms : since) < fault->span);
}

static bool counted(Fault *fault) {
    int64_t n = __atomic_add_fetch(&fault->seen, 1, __ATOMIC_RELAXED);
    return (!fault->first_n || n <= fault->first_n) && (!fault->after_n || n > fault->after_n);
}

static pthread_mutex_t driver = PTHREAD_MUTEX_INITIALIZER; /* slow calls of all threads queue up, as behind the real driver's lock */

/* Sleeps where the scenario says so; returns at once when nothing is slow. */
static void delay(const char *call, int gpu) {
    for (int i = 0; i < world->fault_count; i++) {
        Fault *fault = &world->faults[i];
        if (fault->kind != FAULT_SLOW && fault->kind != FAULT_HANG) continue;
        if (!covers(fault, call, gpu) || !active(fault, clock_us() / 1000) || !counted(fault)) continue;
        if (fault->kind == FAULT_SLOW) {
            pthread_mutex_lock(&driver);
            sleep_us(fault->arg);
            pthread_mutex_unlock(&driver);
            return; /* the first matching line is the latency: special cases come before the rule */
        }
        while (active(fault, clock_us() / 1000)) sleep_us(5000);
    }
}

/* The code of the first fault that hits this call, or 0. `fresh` says that the call is an init. */
static int fault_code(const char *call, int gpu, bool fresh) {
    if (!world->fault_count) return 0;
    int64_t t = clock_us() / 1000;
    for (int i = 0; i < world->fault_count; i++) {
        Fault *fault = &world->faults[i];
        if (!active(fault, t)) continue;
        bool here = fault->gpu < 0 || fault->gpu == gpu;
        switch (fault->kind) {
        case FAULT_CALL: if (covers(fault, call, gpu) && counted(fault)) return (int)fault->arg; break;
        case FAULT_LOST: if (here && gpu >= 0) return GPU_IS_LOST; break;
        case FAULT_RESET: if (here && gpu >= 0 && fault->span) return RESET_REQUIRED; break;
        case FAULT_DRIVER_GONE: return DRIVER_NOT_LOADED;
        case FAULT_MISMATCH: if (fresh) return LIB_RM_VERSION_MISMATCH; if (fault->arg) return (int)fault->arg; break;
        default: break;
        }
    }
    return 0;
}

bool gate_any_lost(void) {
    int64_t t = clock_us() / 1000;
    for (int i = 0; i < world->fault_count; i++)
        if (world->faults[i].kind == FAULT_LOST && active(&world->faults[i], t)) return true;
    return false;
}

int64_t gate_counter_start_us(Device *device) {
    int64_t now = clock_us() / 1000, latest = 0;
    for (int i = 0; i < world->fault_count; i++) {
        const Fault *fault = &world->faults[i];
        int64_t since = now - fault->t - fault->span;
        if (fault->kind != FAULT_RESET || (fault->gpu >= 0 && fault->gpu != device->gpu) || since < 0) continue;
        int64_t end = now - (fault->span && world->loop_ms ? since % world->loop_ms : since);
        if (end > latest) latest = end;
    }
    return latest * 1000;
}

int64_t device_now(Device *device, const char *quantity, const char *key) {
    return series_at(&device->series, quantity, clock_wrap_ms(clock_us()), gate_number(device, key, 0));
}

double device_counter(Device *device, const char *name) {
    const Series *series = series_get(&device->series, name, false);
    return series ? series_integral(series, clock_us()) - series_integral(series, gate_counter_start_us(device)) : 0.0;
}

int gate_rc(Device *device, const char *key) {
    int rc = fault_code(key, device->gpu, false);
    if (rc) return rc;
    const Entry *entry = gate_entry(device, key);
    return entry ? entry->rc : 0;
}

/* Whether the class table was taken from a driver as old as the scenario's and knows this call: then it is right, not the rule of age. */
static bool own_age(Device *device, const char *call) {
    return gate_entry(device, call) && gate_number(device, "driver", 0) == world->driver_major;
}

int gate_enter(Visit *visit, int *symbol, const char *call, Device *device, unsigned needs) {
    if (*symbol < 0) *symbol = symbol_id(call);
    visit->symbol = *symbol;
    visit->gpu = -1;
    visit->start_ns = now_ns();
    if (!world || ((needs & NEEDS_INIT) && !init_count())) return UNINITIALIZED;
    bool known = (needs & NEEDS_DEVICE) && device_valid(device);
    if (known) visit->gpu = device->gpu;
    if (*symbol >= 0 && symbols[*symbol].since > world->driver_major && !(known && own_age(device, call))) return FUNCTION_NOT_FOUND;
    delay(call, visit->gpu);
    int rc = fault_code(call, visit->gpu, needs & IS_INIT);
    if (rc) return rc;
    if (!(needs & NEEDS_DEVICE)) return OK;
    if (!known) return INVALID_ARGUMENT;
    const Entry *entry = gate_entry(device, call);
    if (entry && entry->rc == FUNCTION_NOT_FOUND && *symbol >= 0 && symbols[*symbol].since) return own_age(device, call) ? entry->rc : OK;
    return entry ? entry->rc : OK;
}

void gate_leave(Visit *visit) { stats_add(visit->symbol, visit->gpu, now_ns() - visit->start_ns); }

int stub(Visit *visit, int *symbol, const char *call, void *first) {
    bool on_device = world && device_valid(first);
    int rc = gate_enter(visit, symbol, call, on_device ? first : NULL, NEEDS_INIT | (on_device ? NEEDS_DEVICE : 0));
    return rc ? rc : NOT_SUPPORTED;
}
