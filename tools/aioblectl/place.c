/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON with places. One pass, one function for each production of the grammar. A tree is only handed out whole; on a
 * mistake what there is of it is freed, so every place is hung into its parent before it is filled.
 */
#include "place.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"

struct scan {
	const char *s;
	size_t len, at;
	unsigned int line, depth;
	size_t line_start;
	struct place_error *error;
};

static int mistake(struct scan *sc, size_t at, const char *text)
{
	sc->error->line = sc->line;
	sc->error->column = (unsigned int)(at - sc->line_start) + 1;
	text_adds(&sc->error->text, text);
	return -EINVAL;
}

static int ends(struct scan *sc)
{
	return mistake(sc, sc->at, "the file ends in the middle");
}

/* The next character, or -1 at the end */
static int peek(const struct scan *sc)
{
	return sc->at < sc->len ? (unsigned char)sc->s[sc->at] : -1;
}

static void skip_blanks(struct scan *sc)
{
	for (; sc->at < sc->len && strchr(" \t\r\n", sc->s[sc->at]) && sc->s[sc->at]; sc->at++) {
		if (sc->s[sc->at] != '\n')
			continue;
		sc->line++;
		sc->line_start = sc->at + 1;
	}
}

static bool is_digit(int ch)
{
	return ch >= '0' && ch <= '9';
}

static bool is_hex(int ch)
{
	return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

/* ---- leaves ---- */

static int scan_escape(struct scan *sc)
{
	size_t at = sc->at++;
	int ch = peek(sc);

	if (ch < 0)
		return ends(sc);
	sc->at++;
	if (ch != 'u')
		return ch && strchr("\"\\/bfnrt", ch)
		               ? 0
		               : mistake(sc, at, "no such escape in a string; a backslash is \\\\");
	for (int i = 0; i < 4; i++, sc->at++)
		if (!is_hex(peek(sc)))
			return mistake(sc, at, "\\u wants four hexadecimal digits");
	return 0;
}

static int scan_string(struct scan *sc)
{
	size_t start = sc->at++;
	uint32_t ch;
	int r = 0;

	while (r == 0) {
		size_t n = utf8_next(sc->s + sc->at, sc->len - sc->at, &ch);

		if (n == 0 || ch == '\n')
			return mistake(sc, start, "the string does not end in its line");
		if (ch < 0x20)
			return mistake(sc, sc->at, "a control character inside a string");
		if (ch == 0xfffd && n == 1)
			return mistake(sc, sc->at, "not UTF-8");
		if (ch == '\\') {
			r = scan_escape(sc);
			continue;
		}
		sc->at += n;
		if (ch == '"')
			return 0;
	}
	return r;
}

/* Return: how many there are */
static size_t scan_digits(struct scan *sc)
{
	size_t start = sc->at;

	while (is_digit(peek(sc)))
		sc->at++;
	return sc->at - start;
}

static int scan_number(struct scan *sc)
{
	size_t start = sc->at, whole, first;
	bool good;

	if (peek(sc) == '-')
		sc->at++;
	first = sc->at;
	whole = scan_digits(sc);
	good = whole == 1 || (whole > 1 && sc->s[first] != '0');
	if (good && peek(sc) == '.') {
		sc->at++;
		good = scan_digits(sc) > 0;
	}
	if (good && (peek(sc) == 'e' || peek(sc) == 'E')) {
		sc->at++;
		if (peek(sc) == '+' || peek(sc) == '-')
			sc->at++;
		good = scan_digits(sc) > 0;
	}
	if (whole > 1 && !good && sc->s[first] == '0')
		return mistake(sc, start, "a number does not begin with 0");
	if (good && !is_hex(peek(sc)) && peek(sc) != 'x' && peek(sc) != 'X')
		return 0;
	return mistake(sc, start, "not a number; hexadecimal ones are strings: \"0x1f\"");
}

static int scan_word(struct scan *sc, struct place *p)
{
	static const struct {
		const char *word;
		enum place_kind kind;
	} words[] = {{"true", PLACE_TRUE}, {"false", PLACE_FALSE}, {"null", PLACE_NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i].word);

		if (sc->len - sc->at < n || memcmp(sc->s + sc->at, words[i].word, n) != 0)
			continue;
		p->kind = words[i].kind;
		sc->at += n;
		return 0;
	}
	switch (peek(sc)) {
	case -1:
		return ends(sc);
	case '/':
	case '#':
		return mistake(sc, sc->at,
		               "JSON has no comments; \"comment\": \"...\" stands for one");
	case '\'':
		return mistake(sc, sc->at, "strings stand in double quotes");
	default:
		return mistake(sc, sc->at, "no value begins like this");
	}
}

/* ---- trees ---- */

static struct place *place_add(struct scan *sc, struct place *parent)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p) {
		fputs("aioblectl: out of memory\n", stderr);
		exit(1);
	}
	p->line = sc->line;
	p->column = (unsigned int)(sc->at - sc->line_start) + 1;
	p->s = sc->s + sc->at;
	p->parent = parent;
	if (!parent)
		return p;
	p->index = parent->count++;
	if (parent->last)
		parent->last->next = p;
	else
		parent->first = p;
	parent->last = p;
	return p;
}

static int scan_value(struct scan *sc, struct place *p);

static int scan_element(struct scan *sc, struct place *array)
{
	return scan_value(sc, place_add(sc, array));
}

static int scan_member(struct scan *sc, struct place *object)
{
	_cleanup_(text_free) struct text key = {0};
	const struct place *same;
	struct place word = {.s = sc->s + sc->at};
	size_t at = sc->at;
	struct place *p;
	int r;

	if (peek(sc) != '"')
		return peek(sc) < 0
		               ? ends(sc)
		               : mistake(sc, at,
		                         "the name of a member, in double quotes, belongs here");
	if (object->count == PLACE_MEMBERS_MAX)
		return mistake(sc, at, "too many members");
	r = scan_string(sc);
	if (r < 0)
		return r;
	word.len = sc->at - at;
	place_string(&word, &key);
	if (strlen(text_str(&key)) != key.len)
		return mistake(sc, at, "a NUL is no part of a name");
	same = place_key(object, text_str(&key));
	if (same) {
		(void)mistake(sc, at, ""); /* the text follows */
		text_addf(&sc->error->text, "\"%s\" was given already, in line %u", same->key,
		          same->line);
		return -EINVAL;
	}
	skip_blanks(sc);
	if (peek(sc) != ':')
		return peek(sc) < 0 ? ends(sc)
		                    : mistake(sc, sc->at, "a colon belongs between name and value");
	sc->at++;
	skip_blanks(sc);
	p = place_add(sc, object);
	p->key = text_steal(&key);
	return scan_value(sc, p);
}

/* What stands between brackets: nothing, or parts with commas between */
static int scan_parts(struct scan *sc, struct place *p, int close,
                      int (*part)(struct scan *, struct place *))
{
	int r;

	sc->at++;
	skip_blanks(sc);
	if (peek(sc) == close) {
		sc->at++;
		return 0;
	}
	for (;;) {
		r = part(sc, p);
		if (r < 0)
			return r;
		skip_blanks(sc);
		if (peek(sc) == close)
			break;
		if (peek(sc) < 0)
			return ends(sc);
		if (peek(sc) != ',')
			return mistake(sc, sc->at,
			               close == '}' ? "a comma or } belongs here"
			                            : "a comma or ] belongs here");
		sc->at++;
		skip_blanks(sc);
		if (peek(sc) == close)
			return mistake(sc, sc->at, "no comma after the last one");
	}
	sc->at++;
	return 0;
}

static int scan_tree(struct scan *sc, struct place *p)
{
	int r;

	if (sc->depth == PLACE_DEPTH_MAX)
		return mistake(sc, sc->at, "nested too deeply");
	sc->depth++;
	r = p->kind == PLACE_OBJECT ? scan_parts(sc, p, '}', scan_member)
	                            : scan_parts(sc, p, ']', scan_element);
	sc->depth--;
	return r;
}

static int scan_value(struct scan *sc, struct place *p)
{
	size_t start = sc->at;
	int ch = peek(sc), r;

	if (ch == '{' || ch == '[') {
		p->kind = ch == '{' ? PLACE_OBJECT : PLACE_ARRAY;
		r = scan_tree(sc, p);
	} else if (ch == '"') {
		p->kind = PLACE_STRING;
		r = scan_string(sc);
	} else if (ch == '-' || is_digit(ch)) {
		p->kind = PLACE_NUMBER;
		r = scan_number(sc);
	} else {
		r = scan_word(sc, p);
	}
	p->len = sc->at - start;
	return r;
}

int place_parse(const char *s, size_t len, struct place **ret, struct place_error *ret_error)
{
	_cleanup_(place_freep) struct place *top = NULL;
	struct scan sc = {.s = s, .len = len, .line = 1, .error = ret_error};
	int r;

	skip_blanks(&sc);
	top = place_add(&sc, NULL);
	r = scan_value(&sc, top);
	if (r < 0)
		return r;
	skip_blanks(&sc);
	if (sc.at < len)
		return mistake(&sc, sc.at, "more than one value");
	*ret = steal(&top);
	return 0;
}

/* No deeper than PLACE_DEPTH_MAX */
struct place *place_free(struct place *p)
{
	if (!p)
		return NULL;
	for (struct place *child = p->first, *next; child; child = next) {
		next = child->next;
		(void)place_free(child); /* NULL */
	}
	free(p->key);
	free(p);
	return NULL;
}

/* ---- use ---- */

const struct place *place_key(const struct place *object, const char *key)
{
	for (const struct place *p = object->kind == PLACE_OBJECT ? object->first : NULL; p;
	     p = p->next)
		if (strcmp(p->key, key) == 0)
			return p;
	return NULL;
}

void place_string(const struct place *p, struct text *ret)
{
	json_tokener *tok = json_tokener_new();
	json_object *o = tok ? json_tokener_parse_ex(tok, p->s, (int)p->len) : NULL;

	text_add(ret, "", 0);
	if (o)
		text_add(ret, json_object_get_string(o), (size_t)json_object_get_string_len(o));
	(void)json_object_put(o); /* the only reference; NULL will do */
	json_tokener_free(tok);
}

void place_path(const struct place *p, struct text *ret)
{
	text_add(ret, "", 0);
	if (!p->parent)
		return;
	place_path(p->parent, ret);
	if (p->key)
		text_addf(ret, "%s%s", ret->len ? "." : "", p->key);
	else
		text_addf(ret, "[%zu]", p->index);
}

const char *place_kind_name(enum place_kind kind)
{
	switch (kind) {
	case PLACE_OBJECT:
		return "an object";
	case PLACE_ARRAY:
		return "a list";
	case PLACE_STRING:
		return "a string";
	case PLACE_NUMBER:
		return "a number";
	case PLACE_TRUE:
	case PLACE_FALSE:
		return "true or false";
	case PLACE_NULL:
		return "null";
	}
	return "";
}
