#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "Terminal.h"

/// Codes for sequences that ncurses does not decode itself; above KEY_MAX, where it leaves room.
enum {
    CODE_MOUSE = KEY_MAX + 10,
    CODE_PASTE_BEGINS,
    CODE_PASTE_ENDS,
    CODE_SHIFT_UP,
    CODE_SHIFT_DOWN,
    CODE_IGNORED,
    PASTE_SILENCE_MILLISECONDS = 500,
    DOUBLE_CLICK_MILLISECONDS = 400,
    SEQUENCE_MILLISECONDS = 50,
};

/// Input is read through a pad of its own: reading from `stdscr` would refresh the screen.
static WINDOW *reader;

static struct {
    int64_t at;
    int x, y, button;
} last_press;

void shardtop_input_open(void) {
    reader = newpad(1, 1);
    if (!reader) return;
    keypad(reader, TRUE);
    nodelay(reader, TRUE);
    define_key("\033[<", CODE_MOUSE);
    define_key("\033[200~", CODE_PASTE_BEGINS);
    define_key("\033[201~", CODE_PASTE_ENDS);
    define_key("\033[1;2A", CODE_SHIFT_UP);
    define_key("\033[1;2B", CODE_SHIFT_DOWN);
    define_key("\033[I", CODE_IGNORED);
    define_key("\033[O", CODE_IGNORED);
    memset(&last_press, 0, sizeof last_press);
}

void shardtop_input_close(void) {
    if (reader) delwin(reader);
    reader = NULL;
}

static int64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/// The next character of a sequence that has begun; -1 if it does not come.
static int next_of_sequence(void) {
    wint_t character;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (wget_wch(reader, &character) == OK) return (int)character;
        struct pollfd wait = {shardtop_state.input, POLLIN, 0};
        if (poll(&wait, 1, SEQUENCE_MILLISECONDS) <= 0) return -1;
    }
    return -1;
}

/// Reads the rest of `ESC [ < button ; x ; y M`. Releases and movements are no input.
static int read_mouse(shardtop_input *input) {
    int values[3] = {0, 0, 0};
    int last = 0;
    for (int index = 0; index < 3;) {
        last = next_of_sequence();
        if (last >= '0' && last <= '9') {
            if (values[index] < 100000) values[index] = values[index] * 10 + (last - '0');
        } else if (last == ';' || last == 'M' || last == 'm') {
            index++;
            if (last != ';') break;
        } else {
            return SHARDTOP_INPUT_NONE;
        }
    }
    int button = values[0];
    if (last != 'M' || (button & 32)) return SHARDTOP_INPUT_NONE;
    input->x = values[1] - 1;
    input->y = values[2] - 1;
    if (button & 64) {
        if ((button & 3) > 1) return SHARDTOP_INPUT_NONE;
        input->code = (button & 1) ? SHARDTOP_MOUSE_WHEEL_DOWN : SHARDTOP_MOUSE_WHEEL_UP;
        return SHARDTOP_INPUT_MOUSE;
    }
    if ((button & 3) == 3 || button >= 128) return SHARDTOP_INPUT_NONE;
    input->code = button & 3;
    int64_t now = milliseconds_now();
    input->is_double_click = last_press.at && now - last_press.at <= DOUBLE_CLICK_MILLISECONDS
        && last_press.x == input->x && last_press.y == input->y && last_press.button == input->code;
    last_press.at = input->is_double_click ? 0 : now;
    last_press.x = input->x;
    last_press.y = input->y;
    last_press.button = input->code;
    return SHARDTOP_INPUT_MOUSE;
}

static int key_for(wint_t code) {
    switch (code) {
    case KEY_UP: return SHARDTOP_KEY_UP;
    case KEY_DOWN: return SHARDTOP_KEY_DOWN;
    case KEY_LEFT: return SHARDTOP_KEY_LEFT;
    case KEY_RIGHT: return SHARDTOP_KEY_RIGHT;
    case KEY_PPAGE: return SHARDTOP_KEY_PAGE_UP;
    case KEY_NPAGE: return SHARDTOP_KEY_PAGE_DOWN;
    case KEY_HOME: return SHARDTOP_KEY_HOME;
    case KEY_END: return SHARDTOP_KEY_END;
    case KEY_IC: return SHARDTOP_KEY_INSERT;
    case KEY_DC: return SHARDTOP_KEY_DELETE;
    case KEY_BACKSPACE: return SHARDTOP_KEY_BACKSPACE;
    case KEY_BTAB: return SHARDTOP_KEY_BACK_TAB;
    case KEY_ENTER: return SHARDTOP_KEY_ENTER;
    case KEY_SR: case CODE_SHIFT_UP: return SHARDTOP_KEY_SHIFT_UP;
    case KEY_SF: case CODE_SHIFT_DOWN: return SHARDTOP_KEY_SHIFT_DOWN;
    default:
        if (code > KEY_F0 && code <= KEY_F0 + 24) return SHARDTOP_KEY_FUNCTION + (int)(code - KEY_F0);
        return 0;
    }
}

static int decode_key(wint_t code, shardtop_input *input) {
    if (code == CODE_PASTE_BEGINS) {
        shardtop_state.paste_is_open = 1;
        return SHARDTOP_INPUT_PASTE_BEGINS;
    }
    if (code == CODE_PASTE_ENDS) {
        shardtop_state.paste_is_open = 0;
        return SHARDTOP_INPUT_PASTE_ENDS;
    }
    if (code == CODE_MOUSE) return read_mouse(input);
    input->code = key_for(code);
    return input->code ? SHARDTOP_INPUT_KEY : SHARDTOP_INPUT_NONE;
}

/// What ncurses has read already or can read without waiting. `*got` tells whether there was anything at all.
static int read_input(shardtop_input *input, int *got) {
    wint_t character = 0;
    int result = wget_wch(reader, &character);
    *got = result != ERR;
    if (result == ERR) return SHARDTOP_INPUT_NONE;
    if (result == KEY_CODE_YES) return decode_key(character, input);
    input->scalar = (uint32_t)character;
    if (character != 27 || shardtop_state.paste_is_open) return SHARDTOP_INPUT_CHARACTER;
    // Escape and a character in one breath is how terminals send Alt with that character.
    wint_t following = 0;
    result = wget_wch(reader, &following);
    if (result == OK && following != 27) {
        input->scalar = (uint32_t)following;
        return SHARDTOP_INPUT_ALT;
    }
    if (result == KEY_CODE_YES) return decode_key(following, input);
    if (result == OK) unget_wch((wchar_t)following);
    return SHARDTOP_INPUT_CHARACTER;
}

/// Waits and returns whether there is input to read; `*kind` tells what else came, or that the terminal is gone.
static int wait_for_any(int timeout, int wants_to_write, int *kind) {
    struct pollfd waits[3] = {
        {shardtop_state.wake, POLLIN, 0},
        {shardtop_state.input, POLLIN, 0},
        {shardtop_state.output, wants_to_write ? POLLOUT : 0, 0},
    };
    int ready = poll(waits, 3, timeout);
    *kind = SHARDTOP_INPUT_NONE;
    if (ready <= 0) return 0;
    uint64_t count = 0;
    if (waits[0].revents && read(shardtop_state.wake, &count, sizeof count) == sizeof count) {
        *kind = count >> 32 ? SHARDTOP_INPUT_STOP_WANTED : SHARDTOP_INPUT_WOKEN;
    } else if (waits[1].revents & POLLIN) {
        return 1;
    } else if ((waits[1].revents | waits[2].revents) & (POLLHUP | POLLERR | POLLNVAL)) {
        *kind = SHARDTOP_INPUT_CLOSED;
    } else if (waits[2].revents & POLLOUT) {
        *kind = SHARDTOP_INPUT_WRITABLE;
    }
    return 0;
}

int32_t shardtop_terminal_wait(shardtop_input *input, int32_t timeout_milliseconds, int32_t wants_to_write) {
    memset(input, 0, sizeof *input);
    if (!reader) return input->kind = SHARDTOP_INPUT_CLOSED;
    int got = 0;
    input->kind = read_input(input, &got);
    if (got) return input->kind;
    int timeout = timeout_milliseconds;
    if (shardtop_state.paste_is_open && (timeout < 0 || timeout > PASTE_SILENCE_MILLISECONDS))
        timeout = PASTE_SILENCE_MILLISECONDS;
    if (wait_for_any(timeout, wants_to_write, &input->kind)) {
        input->kind = read_input(input, &got);
        // Readable with nothing to read is the end of the input.
        if (!got) {
            struct pollfd wait = {shardtop_state.input, POLLIN, 0};
            if (poll(&wait, 1, 0) > 0) input->kind = SHARDTOP_INPUT_CLOSED;
        }
    } else if (shardtop_state.paste_is_open && input->kind == SHARDTOP_INPUT_NONE) {
        // The end of the paste never came; without this every key would be text for ever.
        shardtop_state.paste_is_open = 0;
        input->kind = SHARDTOP_INPUT_PASTE_ENDS;
    }
    return input->kind;
}

void shardtop_terminal_wake(void) {
    uint64_t one = 1;
    (void)!write(shardtop_state.wake, &one, sizeof one);
}
