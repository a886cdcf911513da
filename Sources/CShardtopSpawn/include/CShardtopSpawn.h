#ifndef CSHARDTOPSPAWN_H
#define CSHARDTOPSPAWN_H

// Starting a program must happen in C: between fork and exec only async-signal-safe calls are allowed, and Swift's
// runtime promises none. Beside it, the few system calls of Linux that Swift's Glibc module does not show.

#include <stdint.h>
#include <sys/types.h>

/// Starts a program in a session of its own, with signals unblocked and at their defaults, SIGKILL as the signal of
/// the death of the thread that calls this, and no file descriptors but `input`, `output` and `error` as 0, 1 and 2.
///
/// `candidates` are the paths to try, in order, as execvp does; `arguments` and `environment` end with NULL.
/// `shell_arguments` is room for all of `arguments` and two more: a script without an interpreter line is run by
/// /bin/sh, as Java and execvp do. All signals must be blocked in the calling thread, and the descriptors be above 2.
/// Returns the process id, or -1 with errno set, where no candidate could be run too.
pid_t shardtop_spawn(
    const char *const *candidates, char *const *arguments, char **shell_arguments, char *const *environment, int input,
    int output, int error);

/// A descriptor that becomes readable when the process ends; -1 where the system cannot.
int shardtop_pidfd(pid_t process);

/// A close-on-exec pipe with both ends above 2: `ends[0]` reads. Returns 0, or -1 with errno set.
int shardtop_pipe(int ends[2]);

/// Makes the descriptor non-blocking. Returns 0, or -1 with errno set.
int shardtop_set_nonblocking(int descriptor);

/// Asks for a pipe that holds `bytes`; a system that refuses leaves it as it is.
void shardtop_set_pipe_size(int descriptor, int bytes);

typedef struct {
    uint64_t token;
    uint32_t events;
} shardtop_readiness;

int shardtop_epoll_create(void);
/// Watches the descriptor once, for input or for room for output; `is_known` where it was watched before.
int shardtop_epoll_watch(int epoll, int descriptor, int for_output, int is_known, uint64_t token);
/// Watches the descriptor for input for as long as it is open.
int shardtop_epoll_watch_always(int epoll, int descriptor, uint64_t token);
/// Waits for at most `milliseconds`, for ever where negative. Returns the count, 0 where a signal came between.
int shardtop_epoll_wait(int epoll, shardtop_readiness *ready, int room, int milliseconds);

int shardtop_eventfd(void);
void shardtop_eventfd_signal(int descriptor);
void shardtop_eventfd_clear(int descriptor);

#endif
