#ifndef SHARDTOP_CTERMINAL_H
#define SHARDTOP_CTERMINAL_H

#include <stdint.h>

/// The only door to ncurses. Nothing of ncurses' own types, macros or variadic functions leaves this folder.
///
/// There is one terminal per process. All functions with `terminal` in their name are called from one thread, the
/// terminal's own, except `shardtop_terminal_wake` and `shardtop_terminal_abandon`, which any thread may call.

/// Colours are packed: 0 is the terminal's own, SHARDTOP_PALETTE | index one of its palette, SHARDTOP_RGB | 0xRRGGBB
/// a direct one.
#define SHARDTOP_RGB 0x01000000u
#define SHARDTOP_PALETTE 0x02000000u

#define SHARDTOP_BOLD 1u
#define SHARDTOP_DIM 2u
#define SHARDTOP_ITALIC 4u
#define SHARDTOP_UNDERLINE 8u
#define SHARDTOP_REVERSE 16u

/// One cell: a base scalar, up to two combining marks, and how many columns it takes (1 or 2; 0 is the right half of
/// the cell before, and is skipped).
typedef struct {
    uint32_t scalars[3];
    uint32_t foreground;
    uint32_t background;
    uint8_t attributes;
    uint8_t columns;
} shardtop_cell;

/// How many colours a terminal shows.
#define SHARDTOP_DEPTH_MONO 1
#define SHARDTOP_DEPTH_16 2
#define SHARDTOP_DEPTH_256 3
#define SHARDTOP_DEPTH_TRUECOLOR 4

/// What `shardtop_terminal_wait` returns.
#define SHARDTOP_INPUT_NONE 0
#define SHARDTOP_INPUT_CHARACTER 1
#define SHARDTOP_INPUT_KEY 2
#define SHARDTOP_INPUT_ALT 3
#define SHARDTOP_INPUT_MOUSE 4
#define SHARDTOP_INPUT_WOKEN 5
#define SHARDTOP_INPUT_PASTE_BEGINS 6
#define SHARDTOP_INPUT_PASTE_ENDS 7
#define SHARDTOP_INPUT_CLOSED 8
#define SHARDTOP_INPUT_STOP_WANTED 9
#define SHARDTOP_INPUT_WRITABLE 10

/// Keys without a character. Function key n is SHARDTOP_KEY_FUNCTION + n.
#define SHARDTOP_KEY_UP 1
#define SHARDTOP_KEY_DOWN 2
#define SHARDTOP_KEY_LEFT 3
#define SHARDTOP_KEY_RIGHT 4
#define SHARDTOP_KEY_PAGE_UP 5
#define SHARDTOP_KEY_PAGE_DOWN 6
#define SHARDTOP_KEY_HOME 7
#define SHARDTOP_KEY_END 8
#define SHARDTOP_KEY_INSERT 9
#define SHARDTOP_KEY_DELETE 10
#define SHARDTOP_KEY_BACKSPACE 11
#define SHARDTOP_KEY_BACK_TAB 12
#define SHARDTOP_KEY_ENTER 13
#define SHARDTOP_KEY_SHIFT_UP 14
#define SHARDTOP_KEY_SHIFT_DOWN 15
#define SHARDTOP_KEY_FUNCTION 100

#define SHARDTOP_MOUSE_LEFT 0
#define SHARDTOP_MOUSE_MIDDLE 1
#define SHARDTOP_MOUSE_RIGHT 2
#define SHARDTOP_MOUSE_WHEEL_UP 3
#define SHARDTOP_MOUSE_WHEEL_DOWN 4

/// One piece of input. `code` is the key, or the mouse button; `scalar` the character, control bytes as they came.
typedef struct {
    int32_t kind;
    int32_t code;
    uint32_t scalar;
    int32_t x;
    int32_t y;
    int32_t is_double_click;
} shardtop_input;

/// Opens the terminal of standard input and output. `wanted_depth` is the most colours to use, 0 for what it has.
/// Returns the depth, or 0 with the reason as text in `reason`.
int32_t shardtop_terminal_open(int32_t wanted_depth, char *reason, int32_t reason_size);

/// Leaves the screen and restores the terminal, the crash handlers and SIGTSTP.
void shardtop_terminal_close(void);

/// Restores the terminal without ncurses and without waiting, for when its own thread hangs in a write. What is written
/// to it afterwards goes nowhere.
void shardtop_terminal_abandon(void);

/// The size in columns and rows, as ncurses knows it.
void shardtop_terminal_size(int32_t *width, int32_t *height);

/// Asks the terminal for its size and tells ncurses; everything will be drawn anew.
void shardtop_terminal_resize(void);

/// Puts cells beside each other at a place of the screen; outside it they are left away.
void shardtop_terminal_put(int32_t x, int32_t y, const shardtop_cell *cells, int32_t count);

/// Sends what changed since the last flush and shows the cursor at a place, or hides it where x is negative.
void shardtop_terminal_flush(int32_t cursor_x, int32_t cursor_y);

/// Whether the terminal takes output now: not where it is stopped with Ctrl-S or its connection hangs.
int32_t shardtop_terminal_is_writable(void);

/// Waits for input, a wake or (where asked for) for the terminal to take output again. Fills `input`, returns its kind.
int32_t shardtop_terminal_wait(shardtop_input *input, int32_t timeout_milliseconds, int32_t wants_to_write);

/// Ends the wait of the terminal's thread. Any thread, any number of times.
void shardtop_terminal_wake(void);

void shardtop_terminal_set_mouse(int32_t is_on);

/// Sends a text to the clipboard with OSC 52. Returns 0 where it is too long for terminals.
int32_t shardtop_terminal_copy(const uint8_t *bytes, int32_t count);

/// Gives the terminal back and stops the process; returns after SIGCONT with the terminal taken again.
void shardtop_terminal_suspend(void);

/// Takes the terminal again and has the next flush draw everything, whatever is on the screen.
void shardtop_terminal_redraw(void);

/// Catches SIGINT, SIGTERM, SIGHUP, SIGWINCH and SIGCONT, and blocks them in this thread and all that it starts, so
/// that they interrupt nobody: the first statement of `main`. From then on only `shardtop_signal_wait` sees them;
/// until `shardtop_signal_listen` they end the process as ever.
void shardtop_block_signals(void);

/// Undoes that, for a command that may simply be ended. A child gets an empty mask from its spawn attributes.
void shardtop_unblock_signals(void);

/// From now on signals are kept for `shardtop_signal_wait`. Who listens is counted.
void shardtop_signal_listen(void);

/// One listener less. When nobody is left who listens, signals end the process again.
void shardtop_signal_unlisten(void);

/// Waits for one of these signals and returns its number. Of two threads that wait either may get it.
int32_t shardtop_signal_wait(void);

/// As if the signal came now: where nobody listens any more it does what it always does.
void shardtop_signal_again(int32_t number);

#endif
