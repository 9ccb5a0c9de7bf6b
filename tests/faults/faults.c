/* Faults in calls of the system, for everything in a process: LD_PRELOAD=faults.so python ...

Calls for paths below one folder are counted by name, written down, and at one of them something
happens: it fails, it writes half, the process dies there, or the folder is copied as it is then.
Names stand for families of calls: `write` is write, pwrite, writev, pwritev and their variants.
All such calls of a process go one after the other while the library is armed. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTHING = 0, SHORT = -1, DIE_BEFORE = -2, DIE_HALF = -3, DIE_AFTER = -4 };
enum { LONG = 2 * PATH_MAX };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile int armed;
static _Thread_local int held; /* how many counted calls this thread is inside of */

static struct {
  char root[PATH_MAX], call[16], later[256], copies[PATH_MAX];
  size_t root_length;
  long nth, seen, fired, number;
  int fault;
  char *log;
  size_t used, room;
} plan;

extern char **environ;

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}
#define REAL(name)                     \
  static __typeof__(&name) real;       \
  if (!real) real = (__typeof__(&name))next(#name)

/* The absolute path of a descriptor, or of a path as the *at calls understand it. */
static int absolute(int folder, const char *path, char *out) {
  char link[64], base[PATH_MAX];
  if (path && path[0] == '/') return snprintf(out, LONG, "%s", path) < LONG;
  if (folder == AT_FDCWD) {
    if (!getcwd(base, sizeof base)) return 0;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length <= 0) return 0;
    base[length] = 0;
  }
  if (path && path[0]) return snprintf(out, LONG, "%s/%s", base, path) < LONG;
  return snprintf(out, LONG, "%s", base) < LONG;
}

/* The path below the root, or NULL. */
static const char *below(const char *path) {
  if (strncmp(path, plan.root, plan.root_length)) return NULL;
  const char *rest = path + plan.root_length;
  if (*rest == 0) return ".";
  return *rest == '/' ? rest + 1 : NULL;
}

static int listed(const char *call, const char *names) {
  size_t length = strlen(call);
  for (const char *at = names; (at = strstr(at, call)); at += length)
    if ((at == names || at[-1] == ',') && (at[length] == ',' || at[length] == 0)) return 1;
  return 0;
}

static void note(const char *call, const char *path, const char *second) {
  size_t needed = strlen(call) + strlen(path) + strlen(second) + 32;
  if (plan.used + needed > plan.room) {
    plan.room = 2 * (plan.room + needed);
    plan.log = realloc(plan.log, plan.room);
    if (!plan.log) abort();
  }
  plan.used += sprintf(plan.log + plan.used, "%ld\t%s\t%s\t%s\n", plan.number, call, path, second);
}

/* A copy of the folder as a process would leave it that dies now. */
static void copy(const char *moment) {
  char name[LONG];
  snprintf(name, sizeof name, "%s/%06ld-%s", plan.copies, plan.number, moment);
  char *line[] = {"cp", "-a", plan.root, name, NULL};
  pid_t process;
  int status = 1;
  if (posix_spawnp(&process, "cp", NULL, NULL, line, environ)) abort();
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
  if (status) abort();
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Counts a call, and says what happens to it: an error's number, or one of the names above. */
static int enter(const char *call, int folder, const char *path, int other, const char *second) {
  char first_buffer[LONG], second_buffer[LONG];
  const char *first = NULL, *last = NULL;
  if (held) {
    held++;
    return NOTHING;
  }
  if (!armed) return NOTHING;
  int kept = errno;
  if (absolute(folder, path, first_buffer)) first = below(first_buffer);
  if (second && absolute(other, second, second_buffer)) last = below(second_buffer);
  errno = kept;
  if (!first && !last) return NOTHING;
  pthread_mutex_lock(&mutex);
  if (!armed) {
    pthread_mutex_unlock(&mutex);
    return NOTHING;
  }
  held = 1;
  plan.number++;
  note(call, first ? first : "", last ? last : "");
  int changes = !listed(call, "fsync,read,openr,stat,list");
  if (plan.copies[0] && changes) copy("before");
  int here = !strcmp(call, plan.call) && ++plan.seen == plan.nth;
  if (here || (plan.fired && listed(call, plan.later))) {
    plan.fired++;
    if (plan.fault == DIE_BEFORE) die();
    return plan.fault;
  }
  errno = kept;
  return NOTHING;
}

static void leave(int fault) {
  if (!held || --held) return;
  int kept = errno;
  if (fault == DIE_AFTER) die();
  pthread_mutex_unlock(&mutex);
  errno = kept;
}

#define AROUND(type, failure, action, ...)            \
  do {                                                \
    int fault = enter(__VA_ARGS__);                   \
    if (fault > 0) {                                  \
      leave(fault);                                   \
      errno = fault;                                  \
      return failure;                                 \
    }                                                 \
    type result = action;                             \
    leave(fault);                                     \
    return result;                                    \
  } while (0)
#define NO AT_FDCWD, NULL

/* Control, from inside the process. */

void faults_arm(const char *root, const char *call, long nth, int fault, const char *later,
                const char *copies) {
  pthread_mutex_lock(&mutex);
  snprintf(plan.root, sizeof plan.root, "%s", root);
  snprintf(plan.call, sizeof plan.call, "%s", call);
  snprintf(plan.later, sizeof plan.later, "%s", later);
  snprintf(plan.copies, sizeof plan.copies, "%s", copies);
  plan.root_length = strlen(root);
  plan.nth = nth;
  plan.fault = fault;
  plan.seen = plan.fired = plan.number = 0;
  plan.used = 0;
  armed = 1;
  pthread_mutex_unlock(&mutex);
}

/* How often something happened. */
long faults_disarm(void) {
  pthread_mutex_lock(&mutex);
  armed = 0;
  long fired = plan.fired;
  pthread_mutex_unlock(&mutex);
  return fired;
}

size_t faults_log(char *out, size_t room) {
  pthread_mutex_lock(&mutex);
  size_t used = plan.used;
  if (out && used <= room && used) memcpy(out, plan.log, used);
  pthread_mutex_unlock(&mutex);
  return used;
}

/* Opening: `open` to write or to make, `openr` to read. */

static const char *opening(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) ? "open" : "openr";
}
#define MODE                                              \
  mode_t mode = 0;                                        \
  if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {   \
    va_list more;                                         \
    va_start(more, flags);                                \
    mode = va_arg(more, mode_t);                          \
    va_end(more);                                         \
  }
#define OPEN(name)                                                                            \
  int name(const char *path, int flags, ...) {                                                \
    MODE REAL(name);                                                                          \
    AROUND(int, -1, real(path, flags, mode), opening(flags), AT_FDCWD, path, NO);             \
  }
#define OPENAT(name)                                                                          \
  int name(int folder, const char *path, int flags, ...) {                                    \
    MODE REAL(name);                                                                          \
    AROUND(int, -1, real(folder, path, flags, mode), opening(flags), folder, path, NO);       \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
/* As programs call them that were compiled with checks. */
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int folder, const char *path, int flags) { return openat(folder, path, flags); }
int __openat64_2(int folder, const char *path, int flags) { return openat64(folder, path, flags); }

static const char *opening_as(const char *mode) {
  return mode[0] == 'r' && !strchr(mode, '+') ? "openr" : "open";
}
#define FOPEN(name)                                                                           \
  FILE *name(const char *path, const char *mode) {                                            \
    REAL(name);                                                                               \
    AROUND(FILE *, NULL, real(path, mode), opening_as(mode), AT_FDCWD, path, NO);             \
  }
FOPEN(fopen)
FOPEN(fopen64)

/* Writing. */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);

static ssize_t part(int file, const void *data, size_t count, off64_t offset) {
  if (!real_write) real_write = next("write");
  if (!real_pwrite) real_pwrite = next("pwrite64");
  return offset < 0 ? real_write(file, data, count) : real_pwrite(file, data, count, offset);
}

static ssize_t written(int fault, int file, const void *data, size_t count, off64_t offset) {
  size_t half = count / 2;
  if (fault == SHORT && half) return part(file, data, half, offset);
  if (fault == DIE_HALF) {
    part(file, data, half, offset);
    die();
  }
  if (held && plan.copies[0] && half) {
    ssize_t first = part(file, data, half, offset);
    if (first != (ssize_t)half) return first;
    copy("half");
    ssize_t rest =
        part(file, (const char *)data + half, count - half, offset < 0 ? offset : offset + first);
    return rest < 0 ? first : first + rest;
  }
  return part(file, data, count, offset);
}

ssize_t write(int file, const void *data, size_t count) {
  AROUND(ssize_t, -1, written(fault, file, data, count, -1), "write", file, NULL, NO);
}
#define PWRITE(name, type)                                                                    \
  ssize_t name(int file, const void *data, size_t count, type offset) {                       \
    AROUND(ssize_t, -1, written(fault, file, data, count, offset), "write", file, NULL, NO);  \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* Several parts: half of them together is half of the first. */
#define VECTOR(name, parameters, arguments, offset)                                           \
  ssize_t name parameters {                                                                   \
    REAL(name);                                                                               \
    AROUND(ssize_t, -1,                                                                       \
           (fault == SHORT || fault == DIE_HALF) && count                                     \
               ? written(fault, file, parts[0].iov_base, parts[0].iov_len, offset)            \
               : real arguments,                                                              \
           "write", file, NULL, NO);                                                          \
  }
VECTOR(writev, (int file, const struct iovec *parts, int count), (file, parts, count), -1)
VECTOR(pwritev, (int file, const struct iovec *parts, int count, off_t offset),
       (file, parts, count, offset), offset)
VECTOR(pwritev64, (int file, const struct iovec *parts, int count, off64_t offset),
       (file, parts, count, offset), offset)

#define SIMPLE(type, failure, call, name, parameters, arguments, ...)                         \
  type name parameters {                                                                      \
    REAL(name);                                                                               \
    AROUND(type, failure, real arguments, call, __VA_ARGS__);                                 \
  }

/* Reading. */
SIMPLE(ssize_t, -1, "read", read, (int file, void *data, size_t count), (file, data, count), file,
       NULL, NO)
SIMPLE(ssize_t, -1, "read", pread, (int file, void *data, size_t count, off_t offset),
       (file, data, count, offset), file, NULL, NO)
SIMPLE(ssize_t, -1, "read", pread64, (int file, void *data, size_t count, off64_t offset),
       (file, data, count, offset), file, NULL, NO)
SIMPLE(ssize_t, -1, "read", readv, (int file, const struct iovec *parts, int count),
       (file, parts, count), file, NULL, NO)
SIMPLE(DIR *, NULL, "list", opendir, (const char *path), (path), AT_FDCWD, path, NO)
SIMPLE(DIR *, NULL, "list", fdopendir, (int file), (file), file, NULL, NO)
SIMPLE(int, -1, "stat", stat, (const char *path, struct stat *out), (path, out), AT_FDCWD, path, NO)
SIMPLE(int, -1, "stat", stat64, (const char *path, struct stat64 *out), (path, out), AT_FDCWD, path,
       NO)
SIMPLE(int, -1, "stat", lstat, (const char *path, struct stat *out), (path, out), AT_FDCWD, path,
       NO)
SIMPLE(int, -1, "stat", lstat64, (const char *path, struct stat64 *out), (path, out), AT_FDCWD,
       path, NO)
SIMPLE(int, -1, "stat", fstatat, (int folder, const char *path, struct stat *out, int flags),
       (folder, path, out, flags), folder, path, NO)
SIMPLE(int, -1, "stat", fstatat64, (int folder, const char *path, struct stat64 *out, int flags),
       (folder, path, out, flags), folder, path, NO)

/* To the disk: only said, never done, since it takes most of the time of all this. */
static int done(int file) {
  struct stat found;
  return fstat(file, &found);
}
int fsync(int file) { AROUND(int, -1, done(file), "fsync", file, NULL, NO); }
int fdatasync(int file) { AROUND(int, -1, done(file), "fsync", file, NULL, NO); }

/* Names. */
SIMPLE(int, -1, "rename", rename, (const char *path, const char *name), (path, name), AT_FDCWD,
       path, AT_FDCWD, name)
SIMPLE(int, -1, "rename", renameat, (int folder, const char *path, int other, const char *name),
       (folder, path, other, name), folder, path, other, name)
SIMPLE(int, -1, "rename", renameat2,
       (int folder, const char *path, int other, const char *name, unsigned flags),
       (folder, path, other, name, flags), folder, path, other, name)
SIMPLE(int, -1, "link", link, (const char *path, const char *name), (path, name), AT_FDCWD, path,
       AT_FDCWD, name)
SIMPLE(int, -1, "link", linkat,
       (int folder, const char *path, int other, const char *name, int flags),
       (folder, path, other, name, flags), folder, path, other, name)
SIMPLE(int, -1, "link", symlink, (const char *path, const char *name), (path, name), AT_FDCWD, name,
       NO)
SIMPLE(int, -1, "unlink", unlink, (const char *path), (path), AT_FDCWD, path, NO)
SIMPLE(int, -1, "unlink", remove, (const char *path), (path), AT_FDCWD, path, NO)
SIMPLE(int, -1, flags & AT_REMOVEDIR ? "rmdir" : "unlink", unlinkat,
       (int folder, const char *path, int flags), (folder, path, flags), folder, path, NO)
SIMPLE(int, -1, "rmdir", rmdir, (const char *path), (path), AT_FDCWD, path, NO)
SIMPLE(int, -1, "mkdir", mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, NO)
SIMPLE(int, -1, "mkdir", mkdirat, (int folder, const char *path, mode_t mode),
       (folder, path, mode), folder, path, NO)
SIMPLE(int, -1, "truncate", ftruncate, (int file, off_t size), (file, size), file, NULL, NO)
SIMPLE(int, -1, "truncate", ftruncate64, (int file, off64_t size), (file, size), file, NULL, NO)
SIMPLE(int, -1, "truncate", truncate, (const char *path, off_t size), (path, size), AT_FDCWD, path,
       NO)
