/* Stands between SQLite and the C library in a process of ours, and lets one of its calls fail, or all from one on.
 *
 * Counted are the calls on hashes ("*.ledger", with their journals) and lists ("Manifest.db") that can end with the error. What
 * each was is a line of the log, and "!" is before those that failed. The program's own way to the disk does not come by here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long setting(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

/* Whether this call fails; errno says how. */
static int fails(const char *call, const char *path, int takes_room) {
    static long calls;
    char line[512];
    int error = (int)setting("SQLITE_FAILS_WITH"), at_open = errno;
    if (!strstr(path, ".ledger") && !strstr(path, "/Manifest.db"))
        return 0;
    if (error == ENOSPC && !takes_room)
        return 0;
    long number = __sync_add_and_fetch(&calls, 1), at = setting("SQLITE_FAILS_AT");
    int strikes = at > 0 && (setting("SQLITE_FAILS_FOR_GOOD") ? number >= at : number == at);
    const char *log = getenv("SQLITE_FAILS_LOG");
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        const char *name = strrchr(path, '/');
        int length = snprintf(line, sizeof line, "%s%s %s\n", strikes ? "!" : "", call, name ? name + 1 : path);
        if (write(file, line, length < (int)sizeof line ? length : (int)sizeof line - 1) < 0) {
            /* The test misses the line. */
        }
        close(file);
    }
    errno = strikes ? error : at_open;
    return strikes;
}

static int fails_on(const char *call, int file, int takes_room) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(call, path, takes_room);
}

#define NEXT(name, result, ...) ((result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t pread64(int file, void *bytes, size_t length, off64_t at) {
    if (fails_on("read", file, 0))
        return -1;
    return NEXT("pread64", ssize_t, int, void *, size_t, off64_t)(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    if (fails_on("write", file, 1))
        return -1;
    return NEXT("pwrite64", ssize_t, int, const void *, size_t, off64_t)(file, bytes, length, at);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = flags & O_CREAT ? va_arg(more, int) : 0;
    va_end(more);
    if (fails("open", path, flags & O_CREAT))
        return -1;
    return NEXT("open64", int, const char *, int, ...)(path, flags, mode);
}

int ftruncate64(int file, off64_t length) {
    if (fails_on("cut", file, 0))
        return -1;
    return NEXT("ftruncate64", int, int, off64_t)(file, length);
}

int unlink(const char *path) {
    if (fails("remove", path, 0))
        return -1;
    return NEXT("unlink", int, const char *)(path);
}

int fstat64(int file, struct stat64 *found) {
    if (fails_on("look", file, 0))
        return -1;
    return NEXT("fstat64", int, int, struct stat64 *)(file, found);
}
