#include "CShardtopSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define SHARDTOP_CLOSE_RANGE_CLOEXEC 4U

// Everything above standard error closes with exec: not at once, for the report of a failed exec needs its pipe.
static void close_others_on_exec(void) {
    if (syscall(SYS_close_range, 3U, ~0U, SHARDTOP_CLOSE_RANGE_CLOEXEC) == 0) return;
    struct rlimit limit;
    int end = 1 << 16;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)end) end = (int)limit.rlim_cur;
    for (int descriptor = 3; descriptor < end; descriptor++) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

static void reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigemptyset(&standard.sa_mask);
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) sigaction(number, &standard, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// As execvp: what is missing is passed over, what may not be run is remembered. Returns the error to report.
static int run_first(
    const char *const *candidates, char *const *arguments, char **shell_arguments, char *const *environment) {
    int found = ENOENT;
    for (int index = 0; candidates[index] != NULL; index++) {
        execve(candidates[index], arguments, environment);
        if (errno == ENOEXEC) {
            shell_arguments[0] = (char *)"/bin/sh";
            shell_arguments[1] = (char *)candidates[index];
            int at = 1;
            while (arguments[at - 1] != NULL && arguments[at] != NULL) {
                shell_arguments[at + 1] = arguments[at];
                at++;
            }
            shell_arguments[at + 1] = NULL;
            execve("/bin/sh", shell_arguments, environment);
        }
        if (errno == ENOENT || errno == ENOTDIR || errno == ESTALE || errno == ENODEV || errno == ETIMEDOUT) continue;
        found = errno;
        if (errno != EACCES) break;
    }
    return found;
}

pid_t shardtop_spawn(
    const char *const *candidates, char *const *arguments, char **shell_arguments, char *const *environment, int input,
    int output, int error) {
    int report[2];
    if (shardtop_pipe(report) != 0) return -1;
    pid_t parent = getpid();
    // The child borrows this process's memory until it runs the program: nothing is copied, however much we hold.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    pid_t child = vfork();
#pragma GCC diagnostic pop
    if (child == 0) {
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // The parent may have died before the line above.
        if (getppid() != parent) _exit(127);
        int failure = 0;
        if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(error, 2) < 0) failure = errno;
        if (failure == 0) {
            close_others_on_exec();
            reset_signals();
            failure = run_first(candidates, arguments, shell_arguments, environment);
        }
        ssize_t written;
        do {
            written = write(report[1], &failure, sizeof failure);
        } while (written < 0 && errno == EINTR);
        _exit(127);
    }
    int failure = child < 0 ? errno : 0;
    close(report[1]);
    if (child > 0) {
        ssize_t count;
        do {
            count = read(report[0], &failure, sizeof failure);
        } while (count < 0 && errno == EINTR);
        if (count != (ssize_t)sizeof failure) failure = 0;
        if (failure != 0) {
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        }
    }
    close(report[0]);
    if (failure == 0) return child;
    errno = failure;
    return -1;
}

int shardtop_pidfd(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0U); }

static int raised(int descriptor) {
    if (descriptor < 0 || descriptor > 2) return descriptor;
    int higher = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    int failure = errno;
    close(descriptor);
    errno = failure;
    return higher;
}

int shardtop_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    ends[0] = raised(ends[0]);
    ends[1] = raised(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) return 0;
    int failure = errno;
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
    errno = failure;
    return -1;
}

int shardtop_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

void shardtop_set_pipe_size(int descriptor, int bytes) { fcntl(descriptor, F_SETPIPE_SZ, bytes); }

int shardtop_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int shardtop_epoll_watch(int epoll, int descriptor, int for_output, int is_known, uint64_t token) {
    struct epoll_event event = {.events = (for_output ? EPOLLOUT : EPOLLIN) | EPOLLONESHOT, .data = {.u64 = token}};
    return epoll_ctl(epoll, is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event);
}

int shardtop_epoll_watch_always(int epoll, int descriptor, uint64_t token) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = token}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

int shardtop_epoll_wait(int epoll, shardtop_readiness *ready, int room, int milliseconds) {
    struct epoll_event events[64];
    if (room > 64) room = 64;
    int count = epoll_wait(epoll, events, room, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int index = 0; index < count; index++) {
        ready[index].token = events[index].data.u64;
        ready[index].events = events[index].events;
    }
    return count;
}

int shardtop_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void shardtop_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(descriptor, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
}

void shardtop_eventfd_clear(int descriptor) {
    uint64_t count;
    ssize_t taken = read(descriptor, &count, sizeof count);
    (void)taken;
}
