// 24-bit colours need a terminfo entry that has them, and most systems carry none (`xterm-direct` is in ncurses-term,
// `tmux-direct` nowhere). So the entry of TERM is read, its colour strings are replaced, and ncurses is given the
// result through the TERMINFO variable, in the form that `infocmp -Q1` prints.

#include "Terminal.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Last, as it makes macros of ordinary words.
#include <term.h>

enum {
    LEGACY_MAGIC = 0432,
    WIDE_MAGIC = 01036,
    ENTRY_SIZE_MAX = 30000,
    CAN_CHANGE = 27,
    MAX_COLORS = 13,
    MAX_PAIRS = 14,
    SET_FOREGROUND = 359,
    SET_BACKGROUND = 360,
    STRING_COUNT_MAX = 1000,
};

static const char direct_foreground[] =
    "\033[38;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}%&%dm";
static const char direct_background[] =
    "\033[48;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}%&%dm";

struct entry {
    uint8_t bytes[ENTRY_SIZE_MAX];
    size_t count;
};

static int read_file(const char *path, struct entry *entry) {
    FILE *file = fopen(path, "rbe");
    if (!file) return 0;
    entry->count = fread(entry->bytes, 1, sizeof entry->bytes, file);
    fclose(file);
    return entry->count > 12 && entry->count < sizeof entry->bytes;
}

static int read_in(const char *folder, const char *term, struct entry *entry) {
    char path[4096];
    if (!folder || !*folder) return 0;
    if (snprintf(path, sizeof path, "%s/%c/%s", folder, term[0], term) < (int)sizeof path && read_file(path, entry))
        return 1;
    return snprintf(path, sizeof path, "%s/%02x/%s", folder, (unsigned char)term[0], term) < (int)sizeof path
        && read_file(path, entry);
}

static int read_in_list(const char *folders, const char *term, struct entry *entry) {
    char folder[4096];
    while (folders && *folders) {
        const char *end = strchr(folders, ':');
        size_t length = end ? (size_t)(end - folders) : strlen(folders);
        if (length > 0 && length < sizeof folder) {
            memcpy(folder, folders, length);
            folder[length] = 0;
            if (read_in(folder, term, entry)) return 1;
        }
        folders = end ? end + 1 : NULL;
    }
    return 0;
}

static int read_entry(const char *term, struct entry *entry) {
    static const char *const folders[] = {
        "/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/usr/local/share/terminfo",
    };
    if (!*term || strchr(term, '/') || term[0] == '.') return 0;
    if (read_in(getenv("TERMINFO"), term, entry)) return 1;
    const char *home = getenv("HOME");
    char path[4096];
    if (home && snprintf(path, sizeof path, "%s/.terminfo", home) < (int)sizeof path && read_in(path, term, entry))
        return 1;
    if (read_in_list(getenv("TERMINFO_DIRS"), term, entry)) return 1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (read_in(folders[i], term, entry)) return 1;
    }
    return 0;
}

static int short_at(const uint8_t *bytes) {
    return (int16_t)(bytes[0] | bytes[1] << 8);
}

static void add_byte(struct entry *out, int value) {
    if (out->count < sizeof out->bytes) out->bytes[out->count++] = (uint8_t)value;
}

static void add_short(struct entry *out, int value) {
    add_byte(out, value & 0xFF);
    add_byte(out, value >> 8 & 0xFF);
}

static void add_number(struct entry *out, int32_t value) {
    add_short(out, value & 0xFFFF);
    add_short(out, value >> 16 & 0xFFFF);
}

static void add_bytes(struct entry *out, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) add_byte(out, ((const uint8_t *)bytes)[i]);
}

/// The old entry with 24-bit colours, and the extended flag RGB in place of its extended part. 0 where it is damaged.
static int rewrite(const struct entry *in, struct entry *out) {
    const uint8_t *bytes = in->bytes;
    int magic = short_at(bytes);
    if (magic != LEGACY_MAGIC && magic != WIDE_MAGIC) return 0;
    int number_size = magic == WIDE_MAGIC ? 4 : 2;
    int names = short_at(bytes + 2), booleans = short_at(bytes + 4), numbers = short_at(bytes + 6);
    int strings = short_at(bytes + 8), table = short_at(bytes + 10);
    if (names < 1 || booleans < 0 || numbers < 0 || strings < 0 || strings > STRING_COUNT_MAX || table < 0) return 0;
    size_t numbers_at = 12 + (size_t)names + (size_t)booleans;
    numbers_at += numbers_at & 1;
    size_t strings_at = numbers_at + (size_t)numbers * (size_t)number_size;
    size_t table_at = strings_at + 2 * (size_t)strings;
    if (table_at + (size_t)table > in->count) return 0;

    int new_numbers = numbers > MAX_PAIRS ? numbers : MAX_PAIRS + 1;
    int new_strings = strings > SET_BACKGROUND ? strings : SET_BACKGROUND + 1;
    int foreground_at = table;
    int background_at = foreground_at + (int)sizeof direct_foreground;
    int new_table = background_at + (int)sizeof direct_background;
    new_table += new_table & 1;
    if (new_table > INT16_MAX) return 0;

    out->count = 0;
    add_short(out, WIDE_MAGIC);
    add_short(out, names);
    add_short(out, booleans);
    add_short(out, new_numbers);
    add_short(out, new_strings);
    add_short(out, new_table);
    add_bytes(out, bytes + 12, (size_t)names);
    for (int i = 0; i < booleans; i++) add_byte(out, i == CAN_CHANGE ? 0 : bytes[12 + names + i]);
    if (out->count & 1) add_byte(out, 0);
    for (int i = 0; i < new_numbers; i++) {
        int32_t value = -1;
        if (i < numbers) {
            const uint8_t *number = bytes + numbers_at + (size_t)i * (size_t)number_size;
            value = short_at(number);
            if (number_size == 4) value = (value & 0xFFFF) | short_at(number + 2) * 65536;
        }
        if (i == MAX_COLORS) value = 0x1000000;
        if (i == MAX_PAIRS) value = 0x10000;
        add_number(out, value);
    }
    for (int i = 0; i < new_strings; i++) {
        int offset = i < strings ? short_at(bytes + strings_at + 2 * (size_t)i) : -1;
        if (i == SET_FOREGROUND) offset = foreground_at;
        if (i == SET_BACKGROUND) offset = background_at;
        add_short(out, offset);
    }
    add_bytes(out, bytes + table_at, (size_t)table);
    add_bytes(out, direct_foreground, sizeof direct_foreground);
    add_bytes(out, direct_background, sizeof direct_background);
    if (out->count & 1) add_byte(out, 0);
    const int extended[] = {1, 0, 0, 1, 4};
    for (size_t i = 0; i < 5; i++) add_short(out, extended[i]);
    add_byte(out, 1);
    add_byte(out, 0);
    add_short(out, 0);
    add_bytes(out, "RGB", 4);
    return out->count < sizeof out->bytes;
}

char *shardtop_direct_color_entry(const char *term) {
    static const char digits[] = "0123456789ABCDEF";
    struct entry *entries = calloc(2, sizeof *entries);
    char *text = NULL;
    if (entries && read_entry(term, &entries[0]) && rewrite(&entries[0], &entries[1])) {
        size_t count = entries[1].count;
        text = malloc(2 * count + 5);
        if (text) {
            char *next = text + 4;
            memcpy(text, "hex:", 4);
            for (size_t i = 0; i < count; i++) {
                *next++ = digits[entries[1].bytes[i] >> 4];
                *next++ = digits[entries[1].bytes[i] & 15];
            }
            *next = 0;
        }
    }
    free(entries);
    return text;
}

int shardtop_terminal_is_usable(const char *term, char *reason, size_t size) {
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        snprintf(reason, size, "standard input and output must be a terminal");
        return 0;
    }
    if (!term || !*term) {
        snprintf(reason, size, "TERM is not set");
        return 0;
    }
    int error = 0;
    if (setupterm(term, STDOUT_FILENO, &error) != OK) {
        snprintf(reason, size, "TERM=%.60s is not known here (no terminfo entry)", term);
        return 0;
    }
    int can_address = cursor_address != NULL && clear_screen != NULL;
    del_curterm(cur_term);
    if (!can_address) snprintf(reason, size, "TERM=%.60s cannot place the cursor", term);
    return can_address;
}
