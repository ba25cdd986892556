/* Preloaded, it makes every sync of a file SLOW_FLUSH_MICROS microseconds longer, whoever asks for it, as on a disk
 * whose flush reaches the medium, and leaves their number in the file SLOW_FLUSH_COUNT when the process ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static atomic_long syncs;

static void wait_longer(void) {
    const char *micros = getenv("SLOW_FLUSH_MICROS");
    long nanos = micros ? atol(micros) * 1000 : 0;
    struct timespec pause = {nanos / 1000000000, nanos % 1000000000};
    atomic_fetch_add(&syncs, 1);
    while (nanosleep(&pause, &pause) != 0) {
    }
}

int fsync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_longer();
    return real(file);
}

int fdatasync(int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_longer();
    return real(file);
}

int msync(void *start, size_t length, int flags) {
    int (*real)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
    if (flags & MS_SYNC) {
        wait_longer();
    }
    return real(start, length, flags);
}

int sync_file_range(int file, off64_t start, off64_t length, unsigned flags) {
    int (*real)(int, off64_t, off64_t, unsigned) =
        (int (*)(int, off64_t, off64_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");
    if (flags & SYNC_FILE_RANGE_WAIT_AFTER) {
        wait_longer();
    }
    return real(file, start, length, flags);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("SLOW_FLUSH_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld\n", atomic_load(&syncs));
        fclose(file);
    }
}
