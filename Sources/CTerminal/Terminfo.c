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

/// Where the parts of a compiled entry are. See term(5): header, names, flags, numbers, string offsets, strings.
struct parts {
    int number_size, names, flags, numbers, strings, table;
    size_t numbers_at, strings_at, table_at;
};

/// Reads the header; 0 where the entry is damaged or of an unknown kind.
static int read_parts(const struct entry *in, struct parts *parts) {
    const uint8_t *bytes = in->bytes;
    int magic = short_at(bytes);
    if (magic != LEGACY_MAGIC && magic != WIDE_MAGIC) return 0;
    parts->number_size = magic == WIDE_MAGIC ? 4 : 2;
    parts->names = short_at(bytes + 2);
    parts->flags = short_at(bytes + 4);
    parts->numbers = short_at(bytes + 6);
    parts->strings = short_at(bytes + 8);
    parts->table = short_at(bytes + 10);
    if (parts->names < 1 || parts->flags < 0 || parts->numbers < 0 || parts->table < 0) return 0;
    if (parts->strings < 0 || parts->strings > STRING_COUNT_MAX) return 0;
    parts->numbers_at = 12 + (size_t)parts->names + (size_t)parts->flags;
    parts->numbers_at += parts->numbers_at & 1;
    parts->strings_at = parts->numbers_at + (size_t)parts->numbers * (size_t)parts->number_size;
    parts->table_at = parts->strings_at + 2 * (size_t)parts->strings;
    return parts->table_at + (size_t)parts->table <= in->count;
}

static int32_t number_at(const struct entry *in, const struct parts *parts, int index) {
    const uint8_t *number = in->bytes + parts->numbers_at + (size_t)index * (size_t)parts->number_size;
    if (parts->number_size == 2) return short_at(number);
    return (short_at(number) & 0xFFFF) | short_at(number + 2) * 65536;
}

/// The old entry with 24-bit colours, and the extended flag RGB in place of its extended part. 0 where it is damaged.
static int rewrite(const struct entry *in, struct entry *out) {
    struct parts old;
    if (!read_parts(in, &old)) return 0;
    int numbers = old.numbers > MAX_PAIRS ? old.numbers : MAX_PAIRS + 1;
    int strings = old.strings > SET_BACKGROUND ? old.strings : SET_BACKGROUND + 1;
    int foreground_at = old.table;
    int background_at = foreground_at + (int)sizeof direct_foreground;
    int table = background_at + (int)sizeof direct_background;
    table += table & 1;
    if (table > INT16_MAX) return 0;

    const int header[] = {WIDE_MAGIC, old.names, old.flags, numbers, strings, table};
    out->count = 0;
    for (size_t i = 0; i < 6; i++) add_short(out, header[i]);
    add_bytes(out, in->bytes + 12, (size_t)old.names);
    for (int i = 0; i < old.flags; i++) add_byte(out, i == CAN_CHANGE ? 0 : in->bytes[12 + old.names + i]);
    if (out->count & 1) add_byte(out, 0);
    for (int i = 0; i < numbers; i++) {
        int32_t value = i < old.numbers ? number_at(in, &old, i) : -1;
        if (i == MAX_COLORS) value = 0x1000000;
        if (i == MAX_PAIRS) value = 0x10000;
        add_number(out, value);
    }
    for (int i = 0; i < strings; i++) {
        int offset = i < old.strings ? short_at(in->bytes + old.strings_at + 2 * (size_t)i) : -1;
        if (i == SET_FOREGROUND) offset = foreground_at;
        if (i == SET_BACKGROUND) offset = background_at;
        add_short(out, offset);
    }
    add_bytes(out, in->bytes + old.table_at, (size_t)old.table);
    add_bytes(out, direct_foreground, sizeof direct_foreground);
    add_bytes(out, direct_background, sizeof direct_background);
    if (out->count & 1) add_byte(out, 0);
    // One extended flag, no extended numbers or strings, one name, four bytes of names.
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
