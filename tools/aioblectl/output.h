/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes to standard output: tables, tab-separated lines, JSON. On a terminal a table is aligned
 * and has a heading; anywhere else a row is a line of tab-separated fields, empty ones as "-", and
 * nothing but data is written.
 */
#pragma once

#include <stdio.h>

#include "ctl.h"
#include "text.h"

/** out_json_to() - one line, or indented when @pretty; characters that could upset a terminal are
 * escaped */
void out_json_to(FILE *f, json_object *o, bool pretty);

/** out_document() - the document of a command, in the form --json asks for */
void out_document(struct ctl *c, json_object *o);

/** out_line() - one object of a stream, flushed */
void out_line(struct ctl *c, json_object *o);

#define TABLE_COLUMNS 12

/* A table of text; zero-initialise, table_row() copies. Cells are made harmless when they are
 * added. */
struct table {
	size_t columns, rows;
	const char *heads[TABLE_COLUMNS];
	char **cells;
};

void table_init(struct table *t, size_t columns, ...);
void table_row(struct table *t, ...);
/** table_tabs() - rows as tab-separated lines, without a heading */
void table_tabs(const struct table *t);
/** table_print() - as the head of this file says */
void table_print(struct ctl *c, struct table *t);
void table_free(struct table *t);

/** table_text() - aligned lines with the heading, none wider than @width columns; 0: as wide as
 * they are */
void table_text(const struct table *t, struct text *out, size_t width, const char *bold,
                const char *plain);

/** out_bold(), out_plain() - control sequences, or "" where none may be written */
const char *out_bold(struct ctl *c);
const char *out_plain(struct ctl *c);

/** out_terminal() - may the cursor be moved? Tells the size then. */
bool out_terminal(struct ctl *c, size_t *ret_rows, size_t *ret_columns);

/** out_utf8() - does the locale show more than ASCII? */
bool out_utf8(void);

/**
 * out_flush() - what was written leaves now; a reader that has gone ends the stream
 *
 * Waits for a reader that is slow, until a signal comes; what was written is forgotten then.
 */
void out_flush(struct ctl *c);

/** out_finish() - flush and close standard output. Return: @code, or CTL_FAILED after telling that
 * it failed. */
int out_finish(struct ctl *c, int code);

/* Fields of a JSON object with a fallback: "", 0, false when absent or of another type */
const char *json_str(json_object *o, const char *key);
int64_t json_int(json_object *o, const char *key);
bool json_flag(json_object *o, const char *key);
json_object *json_get(json_object *o, const char *key);
/** json_list(), json_length() - an array, or NULL when absent or something else; its length, 0 for
 * NULL */
json_object *json_list(json_object *o, const char *key);
size_t json_length(json_object *list);

/** json_snake() - a new object with {"address_type": ...} for {"AddressType": ...} */
json_object *json_snake(json_object *properties);
