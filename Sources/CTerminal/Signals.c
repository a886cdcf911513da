#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "Terminal.h"

/// The handlers write the signal's number here. Not a signalfd: the main thread of a Swift program with an async `main`
/// sits in dispatch's `sigsuspend` with every signal unblocked, so blocked signals are delivered there all the same.
static int signal_pipe[2] = {-1, -1};
static pthread_once_t signals_once = PTHREAD_ONCE_INIT;
/// How many listen. Where nobody does a signal does what it always does, so that Ctrl-C ends any command.
static atomic_int listeners;

static const int our_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
enum { OUR_SIGNAL_COUNT = sizeof our_signals / sizeof *our_signals };

static sigset_t our_signal_set(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < OUR_SIGNAL_COUNT; i++) sigaddset(&set, our_signals[i]);
    return set;
}

static void open_signals(void) {
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) signal_pipe[0] = signal_pipe[1] = -1;
}

static void note_signal(int number) {
    int saved = errno;
    if (atomic_load(&listeners) > 0) {
        unsigned char byte = (unsigned char)number;
        (void)!write(signal_pipe[1], &byte, 1);
    } else if (number != SIGWINCH && number != SIGCONT) {
        sigset_t this_one;
        sigemptyset(&this_one);
        sigaddset(&this_one, number);
        signal(number, SIG_DFL);
        pthread_sigmask(SIG_UNBLOCK, &this_one, NULL);
        raise(number);
    }
    errno = saved;
}

void shardtop_signal_again(int32_t number) { note_signal(number); }

void shardtop_block_signals(void) {
    pthread_once(&signals_once, open_signals);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    for (int i = 0; i < OUR_SIGNAL_COUNT; i++) sigaction(our_signals[i], &action, NULL);
    sigset_t set = our_signal_set();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void shardtop_unblock_signals(void) {
    for (int i = 0; i < OUR_SIGNAL_COUNT; i++) signal(our_signals[i], SIG_DFL);
    sigset_t set = our_signal_set();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void shardtop_signal_listen(void) {
    pthread_once(&signals_once, open_signals);
    atomic_fetch_add(&listeners, 1);
}

int32_t shardtop_signal_wait(void) {
    sigset_t unblocked, ours = our_signal_set();
    pthread_sigmask(SIG_SETMASK, NULL, &unblocked);
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&ours, number) == 1) sigdelset(&unblocked, number);
    }
    for (;;) {
        unsigned char byte;
        if (read(signal_pipe[0], &byte, 1) == 1) return byte;
        struct pollfd wait = {signal_pipe[0], POLLIN, 0};
        ppoll(&wait, 1, NULL, &unblocked);
    }
}

void shardtop_signal_unlisten(void) { atomic_fetch_sub(&listeners, 1); }

// A crash must not leave the terminal raw with the backtrace in the alternate screen. Everything below is safe in a
// signal handler: `write`, `tcsetattr` and `sigaction` only.

static const int crash_signals[] = {SIGSEGV, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGTRAP, SIGQUIT};
enum { CRASH_SIGNAL_COUNT = sizeof crash_signals / sizeof *crash_signals };
static struct sigaction earlier_crash_actions[CRASH_SIGNAL_COUNT];
static struct sigaction earlier_stop_action;
static int handlers_are_installed;

/// Ends synchronised output, mouse reports and bracketed paste; resets style, keypad and cursor; leaves the screen.
static const char leave_sequence[] =
    "\033[?2026l\033[?1006l\033[?1000l\033[?2004l\033[0m\033[?1l\033>\033[?25h\033[?1049l\r";

static void restore_terminal(void) {
    int flags = fcntl(shardtop_state.output, F_GETFL);
    if (flags >= 0) fcntl(shardtop_state.output, F_SETFL, flags | O_NONBLOCK);
    (void)!write(shardtop_state.output, leave_sequence, sizeof leave_sequence - 1);
    tcsetattr(shardtop_state.input, TCSANOW, &shardtop_state.shell_modes);
    if (flags >= 0) fcntl(shardtop_state.output, F_SETFL, flags);
}

void shardtop_terminal_abandon(void) {
    restore_terminal();
    // A last message to a terminal that takes none would hang the process at its very end.
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0) return;
    const int descriptors[] = {STDOUT_FILENO, STDERR_FILENO, shardtop_state.output};
    for (int i = 0; i < 3; i++) {
        if (descriptors[i] >= 0 && isatty(descriptors[i])) dup2(nowhere, descriptors[i]);
    }
    close(nowhere);
}

static void crashed(int number, siginfo_t *info, void *context) {
    (void)context;
    restore_terminal();
    for (int i = 0; i < CRASH_SIGNAL_COUNT; i++) {
        if (crash_signals[i] == number) sigaction(number, &earlier_crash_actions[i], NULL);
    }
    // A fault happens again when the instruction is run again, so the next handler sees the real place, and `abort`
    // goes on to end the process whatever that handler does. Any other sent signal has to end it here: Swift's
    // backtracer would return, and the program would run on without its terminal.
    if (info->si_code > 0) return;
    if (number != SIGABRT) signal(number, SIG_DFL);
    raise(number);
}

static void stop_wanted(int number) {
    (void)number;
    int saved = errno;
    uint64_t big = 1ull << 32;
    (void)!write(shardtop_state.wake, &big, sizeof big);
    errno = saved;
}

void shardtop_crash_handlers_install(void) {
    if (handlers_are_installed) return;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = crashed;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (int i = 0; i < CRASH_SIGNAL_COUNT; i++) sigaction(crash_signals[i], &action, &earlier_crash_actions[i]);
    struct sigaction stop;
    memset(&stop, 0, sizeof stop);
    stop.sa_handler = stop_wanted;
    stop.sa_flags = SA_RESTART;
    sigaction(SIGTSTP, &stop, &earlier_stop_action);
    handlers_are_installed = 1;
}

void shardtop_crash_handlers_remove(void) {
    if (!handlers_are_installed) return;
    for (int i = 0; i < CRASH_SIGNAL_COUNT; i++) sigaction(crash_signals[i], &earlier_crash_actions[i], NULL);
    sigaction(SIGTSTP, &earlier_stop_action, NULL);
    handlers_are_installed = 0;
}
