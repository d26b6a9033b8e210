/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables and JSON. No control sequence leaves this program unless standard output is a terminal,
 * and none for looks when NO_COLOR or --no-color is there.
 */
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SIGNAL_LOOK_MS 100 /* while nobody reads */

/* JSON text is ASCII outside its strings, so an escape is right wherever a dangerous character
 * stands. */
static void escape(struct text *t, const char *s, size_t len)
{
	uint32_t ch;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &ch);

		if (ch < 0x7f || !utf8_dangerous(ch))
			text_add(t, s + i, n);
		else if (ch < 0x10000)
			text_addf(t, "\\u%04x", ch);
		else
			text_addf(t, "\\u%04x\\u%04x", 0xd800 + ((ch - 0x10000) >> 10),
			          0xdc00 + (ch & 0x3ff));
		i += n;
	}
}

void out_json_to(FILE *f, json_object *o, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
	            (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
	                    : JSON_C_TO_STRING_PLAIN);
	_cleanup_(text_free) struct text t = {0};
	const char *s = json_object_to_json_string_ext(o, flags);

	if (!s)
		return;
	escape(&t, s, strlen(s));
	text_adds(&t, "\n");
	(void)fwrite(t.s, 1, t.len, f); /* errors of stdout show in out_finish() */
}

void out_document(struct ctl *c, json_object *o)
{
	out_json_to(stdout, o, c->json == JSON_PRETTY || (c->json == JSON_AUTO && c->tty));
}

void out_line(struct ctl *c, json_object *o)
{
	out_json_to(stdout, o, false);
	out_flush(c);
}

/* The signals that end us are blocked, so a write() that waits for a reader would wait them out. */
static bool may_write(struct ctl *c)
{
	struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};
	int r;

	while ((r = poll(&pfd, 1, SIGNAL_LOOK_MS)) == 0 || (r < 0 && errno == EINTR))
		if (ctl_signaled(c))
			return false;
	return true;
}

void out_flush(struct ctl *c)
{
	if (!may_write(c)) {
		__fpurge(stdout); /* nobody takes it, and the end must not wait either */
		return;
	}
	if (fflush(stdout) < 0 && errno == EPIPE && c->stop == STOP_NONE)
		c->stop = STOP_READER;
}

void table_init(struct table *t, size_t columns, ...)
{
	va_list ap;

	*t = (struct table){.columns = columns};
	va_start(ap, columns);
	for (size_t i = 0; i < columns; i++)
		t->heads[i] = va_arg(ap, const char *);
	va_end(ap);
}

void table_row(struct table *t, ...)
{
	char **cells = reallocarray(t->cells, (t->rows + 1) * t->columns, sizeof(*cells));
	va_list ap;

	ctl_must(cells ? 0 : -ENOMEM);
	t->cells = cells;
	va_start(ap, t);
	for (size_t i = 0; i < t->columns; i++) {
		const char *s = va_arg(ap, const char *);
		struct text safe = {0};

		text_safe(&safe, s ? s : "", s ? strlen(s) : 0);
		cells[t->rows * t->columns + i] = text_steal(&safe);
	}
	va_end(ap);
	t->rows++;
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = text_width(t->heads[column]);

	for (size_t i = 0; i < t->rows; i++)
		width = MAX(width, text_width(t->cells[i * t->columns + column]));
	return width;
}

static void table_line(const struct table *t, struct text *out, char *const *cells,
                       const size_t *widths, size_t limit)
{
	_cleanup_(text_free) struct text line = {0};

	for (size_t i = 0; i < t->columns; i++) {
		if (i)
			text_adds(&line, "  ");
		text_fit(&line, cells[i], widths[i], true);
	}
	while (line.len && line.s[line.len - 1] == ' ')
		line.s[--line.len] = 0;
	text_fit(out, text_str(&line), limit ? limit : SIZE_MAX, false);
}

void table_text(const struct table *t, struct text *out, size_t width, const char *bold,
                const char *plain)
{
	size_t widths[TABLE_COLUMNS];

	for (size_t i = 0; i < t->columns; i++)
		widths[i] = column_width(t, i);
	text_adds(out, bold);
	table_line(t, out, (char *const *)t->heads, widths, width);
	text_addf(out, "%s\n", plain);
	for (size_t i = 0; i < t->rows; i++) {
		table_line(t, out, t->cells + i * t->columns, widths, width);
		text_adds(out, "\n");
	}
}

void table_tabs(const struct table *t)
{
	for (size_t i = 0; i < t->rows * t->columns; i++)
		printf("%s%c", t->cells[i][0] ? t->cells[i] : "-",
		       (i + 1) % t->columns ? '\t' : '\n');
}

void table_print(struct ctl *c, struct table *t)
{
	_cleanup_(text_free) struct text out = {0};
	const char *s;

	if (!c->tty) {
		table_tabs(t);
		return;
	}
	table_text(t, &out, 0, out_bold(c), out_plain(c));
	s = text_str(&out);
	if (c->quiet)
		s = strchr(s, '\n') + 1;
	(void)fputs(s, stdout);
}

static bool colors(struct ctl *c)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return c->tty && !c->no_color && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

const char *out_bold(struct ctl *c)
{
	return colors(c) ? "\033[1m" : "";
}

const char *out_plain(struct ctl *c)
{
	return colors(c) ? "\033[0m" : "";
}

bool out_terminal(struct ctl *c, size_t *ret_rows, size_t *ret_columns)
{
	const char *term = getenv("TERM");
	struct winsize ws;

	if (!c->tty || !term || strcmp(term, "dumb") == 0)
		return false;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_row < 4 || ws.ws_col < 20)
		ws = (struct winsize){.ws_row = 24, .ws_col = 80};
	*ret_rows = ws.ws_row;
	*ret_columns = ws.ws_col;
	return true;
}

bool out_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

int out_finish(struct ctl *c, int code)
{
	bool bad = ferror(stdout) != 0;

	errno = 0;
	if (fclose(stdout) < 0)
		bad = true;
	if (!bad || errno == EPIPE || c->stop == STOP_READER)
		return code; /* a reader that has gone has seen what it wanted */
	return ctl_fail(c, code ? code : CTL_FAILED, "Output", NULL, "writing the output: %s",
	                strerror(errno));
}

json_object *json_get(json_object *o, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(o, key, &value) ? value : NULL;
}

const char *json_str(json_object *o, const char *key)
{
	json_object *value = json_get(o, key);

	return value && json_object_is_type(value, json_type_string) ? json_object_get_string(value)
	                                                             : "";
}

int64_t json_int(json_object *o, const char *key)
{
	json_object *value = json_get(o, key);

	return value && json_object_is_type(value, json_type_int) ? json_object_get_int64(value)
	                                                          : 0;
}

bool json_flag(json_object *o, const char *key)
{
	json_object *value = json_get(o, key);

	return value && json_object_is_type(value, json_type_boolean) &&
	       json_object_get_boolean(value);
}

json_object *json_list(json_object *o, const char *key)
{
	json_object *value = json_get(o, key);

	return value && json_object_is_type(value, json_type_array) ? value : NULL;
}

size_t json_length(json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

json_object *json_snake(json_object *properties)
{
	json_object *o = json_object_new_object();

	json_object_object_foreach (properties, key, value) {
		_cleanup_(text_free) struct text t = {0};

		for (const char *s = key; *s; s++)
			text_addf(&t, "%s%c", isupper((unsigned char)*s) && s > key ? "_" : "",
			          tolower((unsigned char)*s));
		json_object_object_add(o, text_str(&t), json_object_get(value));
	}
	return o;
}
