#ifndef SHARDTOP_TERMINAL_H
#define SHARDTOP_TERMINAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <termios.h>

#include "CTerminal.h"

/// What the files of this folder share about the one terminal.
struct shardtop_state {
    int is_open;
    int depth;
    int colors;
    int input;
    int output;
    FILE *input_file;
    FILE *output_file;
    int wake;
    int mouse_is_on;
    int paste_is_open;
    struct termios shell_modes;
};

extern struct shardtop_state shardtop_state;

/// Writes all bytes, past interruptions, unless the terminal is gone.
void shardtop_write(const char *bytes, size_t count);
void shardtop_write_text(const char *text);

/// A terminfo entry for TERM with 24-bit colours in the form `hex:…` for the TERMINFO variable; NULL where there is
/// no entry to start from. The caller frees it.
char *shardtop_direct_color_entry(const char *term);

/// Whether the terminal can be drawn on; if not, why, as text. Checked first, as newterm itself gives no reason.
int shardtop_terminal_is_usable(const char *term, char *reason, size_t size);

void shardtop_input_open(void);
void shardtop_input_close(void);

void shardtop_crash_handlers_install(void);
void shardtop_crash_handlers_remove(void);

#endif
