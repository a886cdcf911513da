#include "CTerminal.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "Terminal.h"

struct shardtop_state shardtop_state = {.input = -1, .output = -1, .wake = -1};

static SCREEN *screen;
static int has_changes;
static int shown_cursor_x = -2, shown_cursor_y = -2;

enum { ESCAPE_DELAY_MILLISECONDS = 25, COPY_BYTES_MAX = 74000 };

void shardtop_write(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(shardtop_state.output, bytes, count);
        if (written < 0 && (errno == EINTR || errno == EAGAIN)) {
            struct pollfd wait = {shardtop_state.output, POLLOUT, 0};
            if (errno == EAGAIN) poll(&wait, 1, -1);
            continue;
        }
        if (written <= 0) return;
        bytes += written;
        count -= (size_t)written;
    }
}

void shardtop_write_text(const char *text) {
    shardtop_write(text, strlen(text));
}

static void use_unicode(void) {
    const char *locale = setlocale(LC_CTYPE, "");
    if (!locale || MB_CUR_MAX < 4) setlocale(LC_CTYPE, "C.UTF-8");
}

/// Whether the terminal is known to take 24-bit colours, though its terminfo entry does not say so. tmux takes them
/// from 2.2 on and reduces them itself; GNU screen misreads them, and inherits COLORTERM from outside.
static int takes_direct_color(const char *term) {
    const char *colorterm = getenv("COLORTERM");
    if (getenv("TMUX") && (strncmp(term, "screen", 6) == 0 || strncmp(term, "tmux", 4) == 0)) return 1;
    if (getenv("STY") || strncmp(term, "linux", 5) == 0) return 0;
    if (colorterm && (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0)) return 1;
    static const char *const names[] = {"xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty", "iterm2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncmp(term, names[i], strlen(names[i])) == 0) return 1;
    }
    return 0;
}

/// Opens the screen, with 24-bit colours where they are wanted and taken.
static SCREEN *new_screen(const char *term, int wanted_depth) {
    char *entry = NULL;
    int wants_direct = wanted_depth == 0 ? takes_direct_color(term) : wanted_depth >= SHARDTOP_DEPTH_TRUECOLOR;
    if (wants_direct) entry = shardtop_direct_color_entry(term);
    if (!entry) return newterm(term, shardtop_state.output_file, shardtop_state.input_file);
    const char *given = getenv("TERMINFO");
    char *earlier = given ? strdup(given) : NULL;
    setenv("TERMINFO", entry, 1);
    SCREEN *result = newterm(term, shardtop_state.output_file, shardtop_state.input_file);
    if (earlier) setenv("TERMINFO", earlier, 1);
    else unsetenv("TERMINFO");
    free(earlier);
    free(entry);
    return result;
}

static int detect_depth(int wanted_depth) {
    int depth = SHARDTOP_DEPTH_MONO;
    if (wanted_depth != SHARDTOP_DEPTH_MONO && has_colors() && start_color() == OK) {
        use_default_colors();
        shardtop_state.colors = COLORS;
        if (COLORS >= 0x1000000 && tigetflag("RGB") > 0) depth = SHARDTOP_DEPTH_TRUECOLOR;
        else if (COLORS >= 256) depth = SHARDTOP_DEPTH_256;
        else if (COLORS >= 8) depth = SHARDTOP_DEPTH_16;
    }
    return wanted_depth != 0 && wanted_depth < depth ? wanted_depth : depth;
}

static void enter_modes(void) {
    shardtop_write_text("\033[?2004h");
    if (shardtop_state.mouse_is_on) shardtop_write_text("\033[?1000h\033[?1006h");
}

static void leave_modes(void) {
    if (shardtop_state.mouse_is_on) shardtop_write_text("\033[?1006l\033[?1000l");
    shardtop_write_text("\033[?2004l");
}

static void close_descriptors(void) {
    if (shardtop_state.output_file) fclose(shardtop_state.output_file);
    if (shardtop_state.input_file) fclose(shardtop_state.input_file);
    if (shardtop_state.wake >= 0) close(shardtop_state.wake);
    shardtop_state.output_file = shardtop_state.input_file = NULL;
    shardtop_state.input = shardtop_state.output = shardtop_state.wake = -1;
}

static int open_descriptors(void) {
    shardtop_state.input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    shardtop_state.output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    shardtop_state.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shardtop_state.input >= 0) shardtop_state.input_file = fdopen(shardtop_state.input, "r");
    if (shardtop_state.output >= 0) shardtop_state.output_file = fdopen(shardtop_state.output, "w");
    return shardtop_state.input_file && shardtop_state.output_file && shardtop_state.wake >= 0;
}

int32_t shardtop_terminal_open(int32_t wanted_depth, char *reason, int32_t reason_size) {
    size_t size = reason_size > 0 ? (size_t)reason_size : 0;
    const char *term = getenv("TERM");
    if (shardtop_state.is_open) {
        snprintf(reason, size, "the terminal is open already");
        return 0;
    }
    if (!shardtop_terminal_is_usable(term, reason, size)) return 0;
    // Terminal settings may be changed from the background too: when a stopped job is told to end.
    sigset_t output_stop;
    sigemptyset(&output_stop);
    sigaddset(&output_stop, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output_stop, NULL);
    use_unicode();
    if (!open_descriptors() || tcgetattr(shardtop_state.input, &shardtop_state.shell_modes) != 0) {
        snprintf(reason, size, "the terminal cannot be opened: %s", strerror(errno));
        close_descriptors();
        return 0;
    }
    set_escdelay(ESCAPE_DELAY_MILLISECONDS);
    shardtop_crash_handlers_install();
    screen = new_screen(term, wanted_depth);
    if (!screen) {
        snprintf(reason, size, "ncurses cannot use TERM=%.60s", term);
        shardtop_crash_handlers_remove();
        close_descriptors();
        return 0;
    }
    raw();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    leaveok(stdscr, FALSE);
    shardtop_state.depth = detect_depth(wanted_depth);
    shardtop_input_open();
    shown_cursor_x = shown_cursor_y = -2;
    shardtop_state.mouse_is_on = 0;
    shardtop_state.paste_is_open = 0;
    shardtop_state.is_open = 1;
    refresh();
    enter_modes();
    has_changes = 1;
    return shardtop_state.depth;
}

void shardtop_terminal_close(void) {
    if (!shardtop_state.is_open) return;
    shardtop_state.is_open = 0;
    leave_modes();
    shardtop_input_close();
    curs_set(1);
    endwin();
    delscreen(screen);
    screen = NULL;
    tcsetattr(shardtop_state.input, TCSADRAIN, &shardtop_state.shell_modes);
    shardtop_crash_handlers_remove();
    close_descriptors();
}

void shardtop_terminal_size(int32_t *width, int32_t *height) {
    *width = COLS;
    *height = LINES;
}

void shardtop_terminal_resize(void) {
    struct winsize size;
    if (ioctl(shardtop_state.output, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(curscr, TRUE);
    has_changes = 1;
}

static int color_number(uint32_t color, int *needs_bold) {
    uint32_t kind = color & 0xFF000000u;
    int value = (int)(color & 0xFFFFFFu);
    if (kind == SHARDTOP_RGB) return shardtop_state.depth == SHARDTOP_DEPTH_TRUECOLOR ? value : -1;
    if (kind != SHARDTOP_PALETTE || value >= shardtop_state.colors) {
        // With eight colours the bright ones are the others in bold.
        if (kind == SHARDTOP_PALETTE && value < 16 && shardtop_state.colors == 8) {
            *needs_bold = 1;
            return value - 8;
        }
        return -1;
    }
    return value;
}

static attr_t attributes_of(const shardtop_cell *cell) {
    attr_t attributes = A_NORMAL;
    if (cell->attributes & SHARDTOP_BOLD) attributes |= A_BOLD;
    if (cell->attributes & SHARDTOP_DIM) attributes |= A_DIM;
    if (cell->attributes & SHARDTOP_ITALIC) attributes |= A_ITALIC;
    if (cell->attributes & SHARDTOP_UNDERLINE) attributes |= A_UNDERLINE;
    if (cell->attributes & SHARDTOP_REVERSE) attributes |= A_REVERSE;
    return attributes;
}

static void put_cell(int x, int y, const shardtop_cell *cell) {
    wchar_t text[4] = {0};
    int is_wide = cell->columns == 2;
    for (int i = 0, next = 0; i < 3; i++) {
        if (cell->scalars[i]) text[next++] = (wchar_t)cell->scalars[i];
    }
    // The C library decides how ncurses counts columns. Where it disagrees with our own table or does not know the
    // character, a replacement keeps all other cells in their places.
    if (!text[0] || wcwidth(text[0]) != (is_wide ? 2 : 1)) {
        text[0] = text[0] ? 0xFFFD : L' ';
        text[1] = 0;
        if (is_wide) {
            shardtop_cell blank = *cell;
            blank.scalars[0] = ' ';
            blank.scalars[1] = blank.scalars[2] = 0;
            blank.columns = 1;
            put_cell(x + 1, y, &blank);
        }
    }
    attr_t attributes = attributes_of(cell);
    int pair = 0;
    if (shardtop_state.depth > SHARDTOP_DEPTH_MONO) {
        int needs_bold = 0, ignored = 0;
        int foreground = color_number(cell->foreground, &needs_bold);
        int background = color_number(cell->background, &ignored);
        if (needs_bold) attributes |= A_BOLD;
        if (foreground >= 0 || background >= 0) pair = alloc_pair(foreground, background);
        if (pair < 0) pair = 0;
    }
    cchar_t value;
    if (setcchar(&value, text, attributes, 0, &pair) == OK) mvwadd_wchnstr(stdscr, y, x, &value, 1);
}

void shardtop_terminal_put(int32_t x, int32_t y, const shardtop_cell *cells, int32_t count) {
    if (!shardtop_state.is_open || y < 0 || y >= LINES) return;
    for (int32_t i = 0; i < count; i++) {
        int columns = cells[i].columns;
        if (columns == 0 || x + i < 0 || x + i + columns > COLS) continue;
        put_cell(x + i, y, &cells[i]);
        has_changes = 1;
    }
}

void shardtop_terminal_flush(int32_t cursor_x, int32_t cursor_y) {
    if (!shardtop_state.is_open) return;
    if (!has_changes && cursor_x == shown_cursor_x && cursor_y == shown_cursor_y) return;
    int is_synchronised = shardtop_state.depth >= SHARDTOP_DEPTH_256;
    if (is_synchronised) shardtop_write_text("\033[?2026h");
    int was_visible = shown_cursor_x >= 0;
    if (cursor_x >= 0) wmove(stdscr, cursor_y < LINES ? cursor_y : LINES - 1, cursor_x < COLS ? cursor_x : COLS - 1);
    if (shown_cursor_x == -2 || was_visible != (cursor_x >= 0)) curs_set(cursor_x >= 0);
    wnoutrefresh(stdscr);
    doupdate();
    if (is_synchronised) shardtop_write_text("\033[?2026l");
    has_changes = 0;
    shown_cursor_x = cursor_x < 0 ? -1 : cursor_x;
    shown_cursor_y = cursor_y;
}

int32_t shardtop_terminal_is_writable(void) {
    struct pollfd wait = {shardtop_state.output, POLLOUT, 0};
    return poll(&wait, 1, 0) > 0 && (wait.revents & POLLOUT);
}

void shardtop_terminal_set_mouse(int32_t is_on) {
    if (!shardtop_state.is_open || shardtop_state.mouse_is_on == (is_on != 0)) return;
    shardtop_state.mouse_is_on = is_on != 0;
    shardtop_write_text(is_on ? "\033[?1000h\033[?1006h" : "\033[?1006l\033[?1000l");
}

int32_t shardtop_terminal_copy(const uint8_t *bytes, int32_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!shardtop_state.is_open || count < 0 || count > COPY_BYTES_MAX) return 0;
    char *text = malloc((size_t)count / 3 * 4 + 16);
    if (!text) return 0;
    char *next = text + sprintf(text, "\033]52;c;");
    for (int32_t i = 0; i < count; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < count) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < count) group |= bytes[i + 2];
        *next++ = digits[group >> 18];
        *next++ = digits[group >> 12 & 63];
        *next++ = i + 1 < count ? digits[group >> 6 & 63] : '=';
        *next++ = i + 2 < count ? digits[group & 63] : '=';
    }
    *next++ = '\a';
    shardtop_write(text, (size_t)(next - text));
    free(text);
    return 1;
}

void shardtop_terminal_redraw(void) {
    if (!shardtop_state.is_open) return;
    // Somebody may have stopped us without asking, and the shell changed the terminal since: take it anew.
    if (!isendwin()) {
        leave_modes();
        endwin();
    }
    shardtop_terminal_resize();
    shown_cursor_x = shown_cursor_y = -2;
    refresh();
    enter_modes();
}

void shardtop_terminal_suspend(void) {
    if (!shardtop_state.is_open) return;
    leave_modes();
    curs_set(1);
    endwin();
    // To this very thread: sent to the process, another thread may take it, and this one would draw before it stops.
    raise(SIGSTOP);
    shardtop_terminal_redraw();
}
