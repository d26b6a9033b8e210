/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields. What they say of a mistake goes on from its path: "services[0].characteristics[1].max_len: 600 is more than 512".
 */
#include "serve-read.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "sig.h"

/* ---- mistakes ---- */

static void _printf_(4, 0) add_error(struct reader *r, const struct place *p, struct text *path,
                                     const char *fmt, va_list ap)
{
	struct serve_errors *e = r->errors;
	_cleanup_(freep) char *text = NULL;

	ctl_must(vasprintf(&text, fmt, ap) < 0 ? -ENOMEM : 0);
	if (e->count < SERVE_ERRORS_MAX)
		e->list[e->count] = (struct serve_error){
			.line = p->line,
			.column = p->column,
			.path = text_steal(path),
			.text = steal(&text),
		};
	e->count++;
}

void read_fail(struct reader *r, const struct place *p, const char *fmt, ...)
{
	_cleanup_(text_free) struct text path = {0};
	va_list ap;

	place_path(p, &path);
	va_start(ap, fmt);
	add_error(r, p, &path, fmt, ap);
	va_end(ap);
}

void read_missing(struct reader *r, const struct place *object, const char *key, const char *fmt,
                  ...)
{
	_cleanup_(text_free) struct text path = {0};
	va_list ap;

	place_path(object, &path);
	text_addf(&path, "%s%s", path.len ? "." : "", key);
	va_start(ap, fmt);
	add_error(r, object, &path, fmt, ap);
	va_end(ap);
}

/* ---- structure ---- */

bool read_is(struct reader *r, const struct place *p, enum place_kind kind)
{
	if (p->kind == kind)
		return true;
	read_fail(r, p, "%s belongs here, not %s", place_kind_name(kind), place_kind_name(p->kind));
	return false;
}

static void read_member(struct reader *r, const struct place *p, const char *noun,
                        const struct field *fields, void *into)
{
	for (const struct field *f = fields; f->key; f++) {
		if (strcmp(f->key, p->key) != 0)
			continue;
		f->read(r, p, f, (char *)into + f->offset);
		return;
	}
	if (strcmp(p->key, "comment") != 0)
		read_fail(r, p, "%s has no such key", noun);
}

void read_object(struct reader *r, const struct place *p, const char *noun,
                 const struct field *fields, void *into)
{
	if (!read_is(r, p, PLACE_OBJECT))
		return;
	for (const struct place *member = p->first; member; member = member->next)
		read_member(r, member, noun, fields, into);
}

void *read_list(struct reader *r, const struct place *p, size_t size, size_t *ret_count)
{
	void *list;

	*ret_count = 0;
	if (!read_is(r, p, PLACE_ARRAY) || p->count == 0)
		return NULL;
	list = calloc(p->count, size);
	ctl_must(list ? 0 : -ENOMEM);
	*ret_count = p->count;
	return list;
}

void read_place(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	*(const struct place **)into = p;
}

/* ---- numbers and texts ---- */

void read_bool(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	if (p->kind == PLACE_TRUE || p->kind == PLACE_FALSE)
		*(bool *)into = p->kind == PLACE_TRUE;
	else
		read_fail(r, p, "true or false belongs here, not %s", place_kind_name(p->kind));
}

/* The digits of a number or of a string, as they are written */
static bool read_digits(struct reader *r, const struct place *p, struct text *ret)
{
	if (p->kind == PLACE_NUMBER) {
		text_add(ret, p->s, p->len);
		return true;
	}
	if (p->kind != PLACE_STRING)
		return read_is(r, p, PLACE_NUMBER);
	place_string(p, ret);
	return true;
}

bool read_long(struct reader *r, const struct place *p, long min, long max, long *ret)
{
	_cleanup_(text_free) struct text t = {0};
	const char *s;
	char *end;
	long v;

	if (!read_digits(r, p, &t))
		return false;
	s = text_str(&t);
	errno = 0;
	v = strtol(s, &end, p->kind == PLACE_NUMBER ? 10 : 0);
	if (end == s || (size_t)(end - s) != t.len)
		read_fail(r, p, "%.*s is not a whole number", (int)MIN(p->len, 80U), p->s);
	else if (v < min)
		read_fail(r, p, "%s is less than %ld", s, min);
	else if (v > max || errno)
		read_fail(r, p, "%s is more than %ld", s, max);
	else
		*ret = v;
	return end != s && (size_t)(end - s) == t.len && !errno && v >= min && v <= max;
}

void read_u16(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	long v;

	if (read_long(r, p, f->min, f->max, &v))
		*(uint16_t *)into = (uint16_t)v;
}

void read_u32(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	long v;

	if (read_long(r, p, f->min, f->max, &v))
		*(uint32_t *)into = (uint32_t)v;
}

void read_text(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	_cleanup_(text_free) struct text t = {0};
	char **s = into;

	if (!read_is(r, p, PLACE_STRING))
		return;
	place_string(p, &t);
	if (strlen(text_str(&t)) != t.len) {
		read_fail(r, p, "a NUL is no part of it");
	} else if (!utf8_for_bus(text_str(&t), t.len)) {
		read_fail(r, p,
		          "a code point that Unicode never makes a character is no part of it");
	} else if ((long)t.len > f->max) {
		read_fail(r, p, "%zu bytes are more than %ld", t.len, f->max);
	} else {
		free(*s);
		*s = text_steal(&t);
	}
}

void read_word(struct reader *r, const struct place *p, const char *const *words, size_t count,
               char **into)
{
	_cleanup_(text_free) struct text list = {0};
	_cleanup_(freep) char *word = NULL;
	const struct field text = {.max = LONG_MAX};

	read_text(r, p, &text, &word);
	for (size_t i = 0; word && i < count; i++) {
		text_addf(&list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", words[i]);
		if (strcmp(word, words[i]) != 0)
			continue;
		free(*into);
		*into = steal(&word);
		return;
	}
	if (word)
		read_fail(r, p, "not %s", text_str(&list));
}

/* ---- UUIDs and values ---- */

/* Numbers and strings of digits are numbers; what is longer or has letters in it a UUID or a name */
bool read_uuid(struct reader *r, const struct place *p, uint16_t first, uint16_t last,
               const char *what, struct uuid *ret)
{
	_cleanup_(text_free) struct text t = {0};
	uint16_t found;
	long v;

	if (p->kind == PLACE_NUMBER) {
		if (!read_long(r, p, 0, 0xffff, &v))
			return false;
		*ret = uuid_from16((uint16_t)v);
		return true;
	}
	if (!read_is(r, p, PLACE_STRING))
		return false;
	place_string(p, &t);
	if (strlen(text_str(&t)) == t.len) {
		if (uuid_parse(text_str(&t), ret) >= 0)
			return true;
		if (sig_name_find(text_str(&t), first, last, &found)) {
			*ret = uuid_from16(found);
			return true;
		}
	}
	read_fail(r, p, "%.*s is neither a UUID nor %s that the Bluetooth SIG has a name for",
	          (int)MIN(p->len, 80U), p->s, what);
	return false;
}

static bool takes_number(const struct value_format *f, size_t field)
{
	return f->fields[MIN(field, f->count - 1)].size != 0;
}

static bool read_piece(struct reader *r, const struct place *p, const struct value_format *f,
                       size_t *field, struct text *ret)
{
	_cleanup_(text_free) struct text piece = {0}, why = {0};

	if (p->kind == PLACE_NUMBER && !takes_number(f, *field)) {
		read_fail(r, p, "a number needs a \"format\" for numbers, such as \"u8\"");
		return false;
	}
	if (!read_digits(r, p, &piece))
		return false;
	if (value_parse(f, field, text_str(&piece), piece.len, ret, &why) >= 0)
		return true;
	read_fail(r, p, "%s", text_str(&why));
	return false;
}

static bool read_format(struct reader *r, const struct place *p, struct value_format *ret)
{
	_cleanup_(text_free) struct text t = {0};

	*ret = (struct value_format){.fields = {{.kind = VALUE_SMART}}, .count = 1};
	if (!p)
		return true;
	if (!read_is(r, p, PLACE_STRING))
		return false;
	place_string(p, &t);
	if (strlen(text_str(&t)) == t.len && value_format_parse(text_str(&t), ret) >= 0)
		return true;
	read_fail(r, p, "not %s", value_format_names());
	return false;
}

bool read_value(struct reader *r, const struct place *p, const struct place *format_place,
                struct value_format *ret_format, struct text *ret)
{
	size_t field = 0;

	text_add(ret, "", 0);
	if (!read_format(r, format_place, ret_format))
		return false;
	if (!p)
		return true;
	if (p->kind != PLACE_ARRAY)
		return read_piece(r, p, ret_format, &field, ret);
	for (p = p->first; p; p = p->next)
		if (!read_piece(r, p, ret_format, &field, ret))
			return false;
	return true;
}

void read_hex(struct reader *r, const struct place *p, const struct field *f, void *into)
{
	struct value_format hex;
	struct text *t = into;

	text_free(t);
	(void)read_value(r, p, NULL, &hex, t); /* reports */
}
