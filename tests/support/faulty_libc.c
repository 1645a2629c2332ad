/* A C library whose calls fail on purpose.

   Loaded before the real one (LD_PRELOAD) it watches what a process does below one folder, whatever does it (Python,
   Arrow, SQLite, PyTorch), and breaks one of these calls. Nothing happens before `arm` is called. Linux with glibc. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What is counted; the numbers are those of `Count` in forks.py. */
enum { CHANGES, BYTES, RENAMES, SYNCS, CLOCKS, NETWORK, KINDS };

/* What may go wrong, at the call of that number; as `Fault` in forks.py. */
enum { NOTHING, KILL, POWER_CUT, DISK_FULL, RENAME_FAILS, SYNC_FAILS, CLOCK_JUMPS, NETWORK_CUT };

#define REAL(result, name, ...)                                        \
    static result (*real)(__VA_ARGS__);                                \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static volatile int armed;
static char place[PATH_MAX], lost[PATH_MAX];
static int fault, struck;
static long long at, size;
static long long counts[KINDS];

/* Files with content that no sync has reached: how long they were at the last one. */
static struct { dev_t device; ino_t inode; off_t synced; } unsynced[65536];
static int unsynced_count;

/* Watch what happens below `folder`. `fault_at`: the call, or for a full disk the bytes there is room for; `fault_size`:
   seconds by which the clock jumps, calls for which the network is cut. `lost_file` gets a line "device inode size" for
   each file that would be only so long after a power cut, or after a sync that failed. */
void arm(const char *folder, int wanted, long long fault_at, long long fault_size, const char *lost_file) {
    snprintf(place, sizeof place, "%s", folder);
    snprintf(lost, sizeof lost, "%s", lost_file);
    fault = wanted, at = fault_at, size = fault_size, armed = 1;
}

void disarm(void) { armed = 0; }
long long counted(int kind) { return counts[kind]; }
int has_struck(void) { return struck; }

/* What is watched. */

static int is_below(const char *path) {
    size_t length = strlen(place);
    return !strncmp(path, place, length) && (path[length] == '/' || !path[length]);
}

static int watched(int descriptor) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int watched_path(int folder, const char *path) {
    char cwd[PATH_MAX];
    if (!armed || !path) return 0;
    if (path[0] == '/') return is_below(path);
    if (folder != AT_FDCWD) return watched(folder);
    return getcwd(cwd, sizeof cwd) && is_below(cwd);
}

static int on_network(int descriptor) {
    int domain;
    socklen_t length = sizeof domain;
    return armed && !getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) &&
           (domain == AF_INET || domain == AF_INET6);
}

/* What a power cut would take. Call these with `turn` held. */

static int place_of(dev_t device, ino_t inode) {
    for (int one = 0; one < unsynced_count; one++)
        if (unsynced[one].device == device && unsynced[one].inode == inode) return one;
    return -1;
}

static void note_written(int descriptor) {
    struct stat facts;
    if (fstat(descriptor, &facts) || !S_ISREG(facts.st_mode)) return;
    if (place_of(facts.st_dev, facts.st_ino) >= 0 || unsynced_count == sizeof unsynced / sizeof *unsynced) return;
    unsynced[unsynced_count].device = facts.st_dev;
    unsynced[unsynced_count].inode = facts.st_ino;
    unsynced[unsynced_count++].synced = facts.st_size;
}

/* What was written since the last sync of one file (-1: of none, a folder's) is lost. */
static void lose(int one) {
    FILE *file = one < 0 ? NULL : fopen(lost, "a");
    if (!file) return;
    fprintf(file, "%llu %llu %lld\n", (unsigned long long)unsynced[one].device,
            (unsigned long long)unsynced[one].inode, (long long)unsynced[one].synced);
    fclose(file);
}

static void lose_everything(void) {
    for (int one = 0; one < unsynced_count; one++) lose(one);
}

static void die(void) {
    armed = 0;
    if (fault == POWER_CUT) lose_everything();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Count a call; whether it is the one that breaks. */
static int strikes(int kind, int wanted) {
    counts[kind]++;
    if (fault != wanted || counts[kind] != at) return 0;
    return struck = 1;
}

/* Count a change of the disk, which is where the process may be killed. */
static int is_last(void) { return strikes(CHANGES, fault == POWER_CUT ? POWER_CUT : KILL); }

static void change(void) {
    pthread_mutex_lock(&turn);
    if (is_last()) die();
    pthread_mutex_unlock(&turn);
}

/* Bytes of `wanted` that the disk has room for when a file grows to `end`; -1 where there is none. */
static long long room(int descriptor, long long end, long long wanted) {
    struct stat facts;
    long long grows = fstat(descriptor, &facts) || !S_ISREG(facts.st_mode) ? 0 : end - facts.st_size;
    if (grows <= 0) return wanted;
    counts[BYTES] += grows;
    if (fault != DISK_FULL || counts[BYTES] <= at) return wanted;
    long long over = counts[BYTES] - at;
    counts[BYTES] = at, struck = 1;
    return wanted - over > 0 ? wanted - over : -1;
}

/* Writing. A write on which the process is killed writes half. */

static long long position(int descriptor) {
    if (fcntl(descriptor, F_GETFL) & O_APPEND) {
        struct stat facts;
        return fstat(descriptor, &facts) ? 0 : facts.st_size;
    }
    off_t now = lseek(descriptor, 0, SEEK_CUR);
    return now < 0 ? 0 : now;
}

/* Bytes of this write that are to be made; negative: it fails, the disk is full; *last: the process dies after it. */
static long long allowed(int descriptor, long long start, size_t count, int *last) {
    pthread_mutex_lock(&turn);
    note_written(descriptor);
    *last = is_last();
    long long now = *last ? (long long)count / 2 : room(descriptor, start + (long long)count, (long long)count);
    pthread_mutex_unlock(&turn);
    if (now < 0) errno = ENOSPC;
    return now;
}

ssize_t write(int descriptor, const void *data, size_t count) {
    REAL(ssize_t, write, int, const void *, size_t);
    int last;
    if (!watched(descriptor)) return real(descriptor, data, count);
    long long now = allowed(descriptor, position(descriptor), count, &last);
    ssize_t done = now < 0 ? -1 : real(descriptor, data, (size_t)now);
    if (last) die();
    return done;
}

#define PWRITE(name, offset)                                                                  \
    ssize_t name(int descriptor, const void *data, size_t count, offset start) {              \
        REAL(ssize_t, name, int, const void *, size_t, offset);                               \
        int last;                                                                             \
        if (!watched(descriptor)) return real(descriptor, data, count, start);                \
        long long now = allowed(descriptor, (long long)start, count, &last);                  \
        ssize_t done = now < 0 ? -1 : real(descriptor, data, (size_t)now, start);             \
        if (last) die();                                                                      \
        return done;                                                                          \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

static size_t length_of(const struct iovec *pieces, int count) {
    size_t whole = 0;
    for (int one = 0; one < count; one++) whole += pieces[one].iov_len;
    return whole;
}

ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    int last;
    if (!watched(descriptor)) return real(descriptor, pieces, count);
    size_t whole = length_of(pieces, count);
    long long now = allowed(descriptor, position(descriptor), whole, &last);
    if (last) die();
    if (now >= 0 && now < (long long)whole) return errno = ENOSPC, -1;
    return now < 0 ? -1 : real(descriptor, pieces, count);
}

#define COPY(name, offset)                                                                    \
    ssize_t name(int to, int from, offset *start, size_t count) {                             \
        REAL(ssize_t, name, int, int, offset *, size_t);                                      \
        struct stat facts;                                                                    \
        int last;                                                                             \
        if (!watched(to)) return real(to, from, start, count);                                \
        if (!fstat(from, &facts) && (long long)count > facts.st_size) count = facts.st_size;  \
        long long now = allowed(to, position(to), count, &last);                              \
        if (last) die();                                                                      \
        return now < 0 ? -1 : real(to, from, start, (size_t)now);                             \
    }
COPY(sendfile, off_t)
COPY(sendfile64, off64_t)

#define ALLOCATE(name, offset)                                                                \
    int name(int descriptor, offset start, offset count) {                                    \
        REAL(int, name, int, offset, offset);                                                 \
        int last;                                                                             \
        if (!watched(descriptor)) return real(descriptor, start, count);                      \
        long long now = allowed(descriptor, (long long)start, (size_t)count, &last);          \
        if (last) die();                                                                      \
        return now < (long long)count ? ENOSPC : real(descriptor, start, count);              \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

#define TRUNCATE(name, offset)                                                                \
    int name(int descriptor, offset length) {                                                 \
        REAL(int, name, int, offset);                                                         \
        if (watched(descriptor)) change();                                                    \
        return real(descriptor, length);                                                      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define TRUNCATE_PATH(name, offset)                                                           \
    int name(const char *path, offset length) {                                               \
        REAL(int, name, const char *, offset);                                                \
        if (watched_path(AT_FDCWD, path)) change();                                           \
        return real(path, length);                                                            \
    }
TRUNCATE_PATH(truncate, off_t)
TRUNCATE_PATH(truncate64, off64_t)

/* Names. */

#define OPEN(name)                                                                            \
    int name(const char *path, int flags, ...) {                                              \
        REAL(int, name, const char *, int, ...);                                              \
        va_list more;                                                                         \
        va_start(more, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;               \
        va_end(more);                                                                         \
        if (flags & (O_CREAT | O_TRUNC) && watched_path(AT_FDCWD, path)) change();            \
        return real(path, flags, mode);                                                       \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                          \
    int name(int folder, const char *path, int flags, ...) {                                  \
        REAL(int, name, int, const char *, int, ...);                                         \
        va_list more;                                                                         \
        va_start(more, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;               \
        va_end(more);                                                                         \
        if (flags & (O_CREAT | O_TRUNC) && watched_path(folder, path)) change();              \
        return real(folder, path, flags, mode);                                               \
    }
OPENAT(openat)
OPENAT(openat64)

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    if (watched_path(AT_FDCWD, path)) change();
    return real(path, mode);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (watched_path(AT_FDCWD, path)) change();
    return real(path);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    if (watched_path(folder, path)) change();
    return real(folder, path, flags);
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    if (watched_path(AT_FDCWD, path)) change();
    return real(path);
}

/* Whether this renaming, or linking, fails. */
static int refused(void) {
    change();
    pthread_mutex_lock(&turn);
    int now = strikes(RENAMES, RENAME_FAILS);
    pthread_mutex_unlock(&turn);
    if (now) errno = EIO;
    return now;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    return watched_path(AT_FDCWD, to) && refused() ? -1 : real(from, to);
}

int renameat(int old, const char *from, int new, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    return watched_path(new, to) && refused() ? -1 : real(old, from, new, to);
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    return watched_path(AT_FDCWD, to) && refused() ? -1 : real(from, to);
}

int linkat(int old, const char *from, int new, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    return watched_path(new, to) && refused() ? -1 : real(old, from, new, to, flags);
}

/* Syncing. One that fails has lost what it was to make durable, and the next one would not tell. */

static int sync_fails(int descriptor) {
    struct stat facts;
    change();
    pthread_mutex_lock(&turn);
    int now = strikes(SYNCS, SYNC_FAILS);
    int one = fstat(descriptor, &facts) ? -1 : place_of(facts.st_dev, facts.st_ino);
    if (now) lose(one);
    if (one >= 0) unsynced[one] = unsynced[--unsynced_count];
    pthread_mutex_unlock(&turn);
    if (now) errno = EIO;
    return now;
}

static int whole_sync_fails(void) {
    change();
    pthread_mutex_lock(&turn);
    int now = strikes(SYNCS, SYNC_FAILS);
    if (now) lose_everything();
    unsynced_count = 0;
    pthread_mutex_unlock(&turn);
    if (now) errno = EIO;
    return now;
}

int fsync(int descriptor) {
    REAL(int, fsync, int);
    return watched(descriptor) && sync_fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(int, fdatasync, int);
    return watched(descriptor) && sync_fails(descriptor) ? -1 : real(descriptor);
}

int syncfs(int descriptor) {
    REAL(int, syncfs, int);
    return watched(descriptor) && whole_sync_fails() ? -1 : real(descriptor);
}

/* The clock of the wall. */

static time_t jump(void) {
    pthread_mutex_lock(&turn);
    counts[CLOCKS]++;
    time_t by = fault == CLOCK_JUMPS && counts[CLOCKS] >= at ? (struck = 1, (time_t)size) : 0;
    pthread_mutex_unlock(&turn);
    return by;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int failed = real(clock, now);
    if (armed && !failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(int, gettimeofday, struct timeval *, void *);
    int failed = real(now, zone);
    if (armed && !failed) now->tv_sec += jump();
    return failed;
}

time_t time(time_t *now) {
    REAL(time_t, time, time_t *);
    time_t found = real(NULL);
    if (armed) found += jump();
    if (now) *now = found;
    return found;
}

/* The network. */

/* Whether this call fails. A connection that is broken off is so for good. */
static int cut(int descriptor, int error) {
    pthread_mutex_lock(&turn);
    counts[NETWORK]++;
    int now = fault == NETWORK_CUT && counts[NETWORK] >= at && counts[NETWORK] < at + size;
    if (now) struck = 1;
    pthread_mutex_unlock(&turn);
    if (now && error == ECONNRESET) shutdown(descriptor, SHUT_RDWR);
    if (now) errno = error;
    return now;
}

int connect(int descriptor, const struct sockaddr *address, socklen_t length) {
    REAL(int, connect, int, const struct sockaddr *, socklen_t);
    return on_network(descriptor) && cut(descriptor, ECONNREFUSED) ? -1 : real(descriptor, address, length);
}

ssize_t send(int descriptor, const void *data, size_t count, int flags) {
    REAL(ssize_t, send, int, const void *, size_t, int);
    return on_network(descriptor) && cut(descriptor, ECONNRESET) ? -1 : real(descriptor, data, count, flags);
}

ssize_t recv(int descriptor, void *data, size_t count, int flags) {
    REAL(ssize_t, recv, int, void *, size_t, int);
    return on_network(descriptor) && cut(descriptor, ECONNRESET) ? -1 : real(descriptor, data, count, flags);
}
