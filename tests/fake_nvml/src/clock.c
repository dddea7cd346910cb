/* Scenario time: the real clock since the epoch, or a number of milliseconds read from a control file. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "fake.h"

static int control = -1;
static int64_t manual_ms;

static int64_t unix_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_open(World *w) {
    const char *path = getenv("GPUWATCH_FAKE_CLOCK"), *epoch = getenv("GPUWATCH_FAKE_EPOCH_MS");
    if (control >= 0) close(control);
    control = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    manual_ms = 0;
    w->epoch_ms = epoch && *epoch ? atoll(epoch) : control >= 0 ? 1763130000000 : unix_us() / 1000;
}

bool clock_manual(void) { return control >= 0; }

int64_t clock_us(void) {
    if (control < 0) {
        int64_t t = unix_us() - world->epoch_ms * 1000;
        return t > 0 ? t : 0;
    }
    char text[32];
    ssize_t n = pread(control, text, sizeof text - 1, 0);
    if (n > 0) { /* empty while a writer has just truncated it: the old time holds */
        text[n] = 0;
        __atomic_store_n(&manual_ms, atoll(text), __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&manual_ms, __ATOMIC_RELAXED) * 1000;
}

int64_t clock_wall_us(void) { return world->epoch_ms * 1000 + clock_us(); }

int64_t clock_wrap_ms(int64_t t_us) {
    int64_t t = t_us / 1000;
    return world->loop_ms ? t % world->loop_ms : t;
}
