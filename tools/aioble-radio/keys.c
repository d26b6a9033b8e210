/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys, their types and complaints about them. */
#include "keys.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int complain(struct complaint *c, const char *where, const char *fmt, ...)
{
	va_list ap;

	(void)snprintf(c->where, sizeof(c->where), "%s", where); /* a longer one is cut */
	va_start(ap, fmt);
	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int complain_in(struct complaint *c, const char *prefix)
{
	char where[KEYS_WHERE_MAX];

	(void)snprintf(where, sizeof(where), "%s", c->where);
	(void)snprintf(c->where, sizeof(c->where), "%.20s%s%.40s", prefix, *where ? "." : "",
	               where);
	return -EINVAL;
}

/* --- types --- */

static int nibble(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (char)tolower((unsigned char)ch);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

int hex_parse(const char *s, uint8_t *buf, size_t size, size_t *ret_len)
{
	size_t n = 0;

	for (; *s; s += 2) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		if (nibble(s[0]) < 0 || nibble(s[1]) < 0)
			return -EINVAL;
		if (n == size)
			return -ENOBUFS;
		buf[n++] = (uint8_t)(nibble(s[0]) << 4 | nibble(s[1]));
	}
	*ret_len = n;
	return 0;
}

static int check_range(const struct key *k, double v, const char *unit, struct complaint *c)
{
	if ((k->min == 0 && k->max == 0) || (v >= k->min && v <= k->max))
		return 0;
	return complain(c, k->name, "%sis not from %.10g to %.10g", unit, k->min, k->max);
}

static int check_hex(const struct key *k, const char *s, struct complaint *c)
{
	uint8_t buf[2048];
	size_t n;
	int r = hex_parse(s, buf, sizeof(buf), &n);

	if (r == -ENOBUFS)
		return complain(c, k->name, "is too long");
	if (r < 0)
		return complain(c, k->name, "is no row of whole bytes in hexadecimal digits");
	return check_range(k, (double)n, "its number of bytes ", c);
}

static int check_word(const struct key *k, const char *s, struct complaint *c)
{
	char known[128] = "";
	size_t n = 0;

	for (const char *const *w = k->words; *w; w++) {
		if (strcmp(*w, s) == 0)
			return 0;
		if (n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
			                      *w);
	}
	return complain(c, k->name, "\"%.30s\" is none of: %s", s, known);
}

static int check_string(const struct key *k, json_object *v, struct complaint *c)
{
	const char *s = json_object_get_string(v);
	struct addr a;

	if (strlen(s) != (size_t)json_object_get_string_len(v))
		return complain(c, k->name, "has a NUL in it");
	if (k->words)
		return check_word(k, s, c);
	if (k->type == KEY_HEX)
		return check_hex(k, s, c);
	if (k->type == KEY_ADDR && addr_parse(s, 0, &a) < 0)
		return complain(c, k->name, "\"%.30s\" is no address like C0:00:00:00:00:01", s);
	return k->type == KEY_ADDR ? 0 : check_range(k, (double)strlen(s), "its length ", c);
}

static int check_number(const struct key *k, json_object *v, struct complaint *c)
{
	double d = json_object_get_double(v);

	if (k->type != KEY_NUMBER && json_object_is_type(v, json_type_double))
		return complain(c, k->name, "is not a whole number");
	if (!isfinite(d))
		return complain(c, k->name, "is no number that can be used");
	return check_range(k, d, "", c);
}

static bool is_number(json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

static int check_value(const struct key *k, json_object *v, struct complaint *c)
{
	bool text = json_object_is_type(v, json_type_string);

	switch (k->type) {
	case KEY_STRING:
	case KEY_HEX:
	case KEY_ADDR:
		return text ? check_string(k, v, c) : complain(c, k->name, "is not a string");
	case KEY_TOKEN:
		if (text)
			return 0;
		return is_number(v) ? check_number(k, v, c)
		                    : complain(c, k->name, "is neither a string nor a number");
	case KEY_INT:
	case KEY_NUMBER:
		return is_number(v) ? check_number(k, v, c)
		                    : complain(c, k->name, "is not a number");
	case KEY_ANY:
		return 0;
	case KEY_BOOL:
		if (json_object_is_type(v, json_type_boolean))
			return 0;
		return complain(c, k->name, "is neither true nor false");
	case KEY_ARRAY:
		if (json_object_is_type(v, json_type_array))
			return check_range(k, (double)json_object_array_length(v), "its length ",
			                   c);
		return complain(c, k->name, "is not a list");
	case KEY_OBJECT:
		if (json_object_is_type(v, json_type_object))
			return 0;
		return complain(c, k->name, "is not an object");
	}
	return 0;
}

static const struct key *key_find(const struct key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (strcmp(keys->name, name) == 0)
			return keys;
	}
	return NULL;
}

int keys_check(json_object *o, const struct key *keys, struct complaint *c)
{
	if (!json_object_is_type(o, json_type_object))
		return complain(c, "", "is not an object");
	json_object_object_foreach (o, name, v) {
		const struct key *k = key_find(keys, name);
		int r = k ? check_value(k, v, c) : complain(c, name, "is not a key known here");

		if (r < 0)
			return r;
	}
	for (; keys->name; keys++) {
		if (keys->required && !keys_has(o, keys->name))
			return complain(c, keys->name, "is missing");
	}
	return 0;
}

/* --- values --- */

json_object *keys_get(json_object *o, const char *name)
{
	json_object *v;

	return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

bool keys_has(json_object *o, const char *name)
{
	return json_object_object_get_ex(o, name, NULL);
}

const char *keys_str(json_object *o, const char *name, const char *otherwise)
{
	json_object *v = keys_get(o, name);

	return v ? json_object_get_string(v) : otherwise;
}

int64_t keys_int(json_object *o, const char *name, int64_t otherwise)
{
	json_object *v = keys_get(o, name);

	return v ? json_object_get_int64(v) : otherwise;
}

double keys_num(json_object *o, const char *name, double otherwise)
{
	json_object *v = keys_get(o, name);

	return v ? json_object_get_double(v) : otherwise;
}

bool keys_bool(json_object *o, const char *name, bool otherwise)
{
	json_object *v = keys_get(o, name);

	return v ? json_object_get_boolean(v) : otherwise;
}

uint64_t keys_ms(json_object *o, const char *name, uint64_t otherwise_us)
{
	json_object *v = keys_get(o, name);

	return v ? (uint64_t)(json_object_get_double(v) * 1000 + 0.5) : otherwise_us;
}

int keys_word(json_object *o, const char *name, const char *const *words, int otherwise)
{
	const char *s = keys_str(o, name, NULL);

	for (int i = 0; s && words[i]; i++) {
		if (strcmp(words[i], s) == 0)
			return i;
	}
	return otherwise;
}

bool keys_addr(json_object *o, const char *name, uint8_t type, struct addr *ret)
{
	const char *s = keys_str(o, name, NULL);

	return s && addr_parse(s, type, ret) == 0;
}

size_t keys_hex(json_object *o, const char *name, uint8_t *buf, size_t size)
{
	const char *s = keys_str(o, name, NULL);
	size_t n = 0;

	return s && hex_parse(s, buf, size, &n) == 0 ? n : 0;
}

/* --- JSON --- */

int json_read(const char *s, size_t len, json_object **ret, size_t *ret_used, const char **ret_why)
{
	json_tokener *t = json_tokener_new_ex(KEYS_DEPTH);
	enum json_tokener_error err;
	json_object *o;

	if (!t || len > INT_MAX) {
		if (t)
			json_tokener_free(t);
		*ret_why = "no memory";
		return -EINVAL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8 | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	o = json_tokener_parse_ex(t, s, (int)len);
	err = json_tokener_get_error(t);
	*ret_used = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	if (err == json_tokener_continue)
		return -EAGAIN;
	if (err != json_tokener_success) {
		*ret_why = json_tokener_error_desc(err);
		return -EINVAL;
	}
	*ret = o;
	return 0;
}

/* Whoever makes an object that does not get its member has no memory left, and an answer with a hole. */
static void add(json_object *o, const char *name, json_object *v)
{
	if (v && json_object_object_add(o, name, v) < 0)
		json_object_put(v);
}

void json_add_str(json_object *o, const char *name, const char *value)
{
	if (value)
		add(o, name, json_object_new_string(value));
}

void json_add_int(json_object *o, const char *name, int64_t value)
{
	add(o, name, json_object_new_int64(value));
}

void json_add_bool(json_object *o, const char *name, bool value)
{
	add(o, name, json_object_new_boolean(value));
}

void json_add_addr(json_object *o, const char *name, const struct addr *a)
{
	char buf[ADDR_STR_MAX];

	json_add_str(o, name, addr_format(a, buf));
}
