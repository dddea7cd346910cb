/* Init, shutdown (reference counted), versions, error texts and the names of processes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake.h"

World *world;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int references;

int init_count(void) { return __atomic_load_n(&references, __ATOMIC_RELAXED); }

int put_text(char *out, unsigned room, const char *text) {
    if (!out) return INVALID_ARGUMENT;
    if (strlen(text) + 1 > room) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return OK;
}

/* The first init of a process, and the first after a full shutdown, reads the scenario anew. */
static int begin(void) {
    pthread_mutex_lock(&lock);
    if (!references) {
        World *fresh = world_load(getenv("GPUWATCH_FAKE_SCENARIO"));
        if (fresh) {
            clock_open(fresh);
            world_fill_pids(fresh, getenv("GPUWATCH_FAKE_PIDS"));
            stats_open();
        }
        __atomic_store_n(&world, fresh, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return world ? OK : UNKNOWN;
}

static int opened(void) {
    __atomic_fetch_add(&references, 1, __ATOMIC_RELAXED);
    return OK;
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    CHECK(begin());
    GATE(NULL, IS_INIT);
    return opened();
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
    CHECK(begin());
    GATE(NULL, IS_INIT);
    return opened();
}

EXPORT nvmlReturn_t nvmlInit(void) {
    CHECK(begin());
    GATE(NULL, IS_INIT);
    return opened();
}

static void drop(int *held) {
    if (*held) __atomic_fetch_sub(&references, 1, __ATOMIC_RELAXED);
}

/* The count lives in the process: it falls even when the driver behind it is gone; one shutdown too many is no error. */
EXPORT nvmlReturn_t nvmlShutdown(void) {
    __attribute__((cleanup(drop))) int held = init_count() > 0;
    GATE(NULL, 0);
    return OK;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t code) {
    static const char *texts[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions", "Already Initialized",
        "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded", "Timeout", "Interrupt Request Issue",
        "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM", "GPU is lost", "GPU requires reset",
        "The operating system has blocked the request.", "RM has detected an NVML/RM version mismatch.", "In use by another client",
        "Insufficient Memory", "No data", "The requested vgpu operation is not available on target device, because ECC is enabled",
        "Insufficient Resources", "Frequency Not Supported", "Argument version mismatch", "Deprecated", "Not Ready", "GPU Not Found",
    };
    return code >= 0 && (size_t)code < sizeof texts / sizeof *texts ? texts[code] : "Unknown Error";
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *out, unsigned room) {
    GATE(NULL, NEEDS_INIT);
    return put_text(out, room, world->driver);
}

EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *out, unsigned room) {
    GATE(NULL, NEEDS_INIT);
    char text[48];
    snprintf(text, sizeof text, "%d.%s", world->cuda / 1000, world->driver);
    return put_text(out, room, text);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = world->cuda;
    return OK;
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    GATE(NULL, NEEDS_INIT);
    REQUIRE(out);
    *out = world->cuda;
    return OK;
}
