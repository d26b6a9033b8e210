/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading JSON objects that people write: each command says which keys it knows, and whatever is wrong is told with the path
 * of the key ("match.pdu"). After keys_check() the getters cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "aiobled/addr.h"
#include "aiobled/cleanup.h"

#define KEYS_WHERE_MAX 64
#define KEYS_DEPTH     16 /* of JSON read from outside */

struct complaint {
	char where[KEYS_WHERE_MAX]; /* path of the key; "" for the whole */
	char text[192];
};

/** complain() - fill @c in. Return: -EINVAL, for "return complain(...)". */
int complain(struct complaint *c, const char *where, const char *fmt, ...) _printf_(3, 4);

/** complain_in() - put "@prefix." in front of where @c points. Return: -EINVAL. */
int complain_in(struct complaint *c, const char *prefix);

enum key_type {
	KEY_STRING,
	KEY_INT,
	KEY_NUMBER,
	KEY_BOOL,
	KEY_ARRAY,
	KEY_OBJECT,
	KEY_HEX,   /* a string of whole bytes, blanks allowed; @min and @max count bytes */
	KEY_ADDR,  /* "AA:BB:CC:DD:EE:FF" */
	KEY_TOKEN, /* a string or an integer */
	KEY_ANY,   /* whoever reads it checks it */
};

struct key {
	const char *name;
	enum key_type type;
	bool required;
	double min, max;          /* of numbers, lengths of strings and arrays; both 0: any */
	const char *const *words; /* what a string may be, NULL at the end */
};

/** keys_check() - @keys end with one without a name. Return: 0 or -EINVAL with *@c filled in. */
int keys_check(json_object *o, const struct key *keys, struct complaint *c);

/* The value of a key that keys_check() has seen, or what to take when it is not there. */
json_object *keys_get(json_object *o, const char *name);
bool keys_has(json_object *o, const char *name);
const char *keys_str(json_object *o, const char *name, const char *otherwise);
int64_t keys_int(json_object *o, const char *name, int64_t otherwise);
double keys_num(json_object *o, const char *name, double otherwise);
bool keys_bool(json_object *o, const char *name, bool otherwise);

/** keys_ms() - milliseconds, decimals allowed, as microseconds */
uint64_t keys_ms(json_object *o, const char *name, uint64_t otherwise_us);

/** keys_word() - the number of the word, or @otherwise */
int keys_word(json_object *o, const char *name, const char *const *words, int otherwise);

/** keys_addr() - @type: for the key's value. Return: false when it is not there. */
bool keys_addr(json_object *o, const char *name, uint8_t type, struct addr *ret);

/** keys_hex() - at most @size bytes. Return: their number. */
size_t keys_hex(json_object *o, const char *name, uint8_t *buf, size_t size);

/** hex_parse() - blanks between bytes allowed. Return: 0, -EINVAL, or -ENOBUFS. */
int hex_parse(const char *s, uint8_t *buf, size_t size, size_t *ret_len);

/**
 * json_read() - one JSON value; UTF-8 and depth are checked
 * @ret_used: bytes read, blanks behind the value not included
 *
 * Return: 0; -EAGAIN: it ends too early; -EINVAL with *@ret_why. *@ret is the caller's.
 */
int json_read(const char *s, size_t len, json_object **ret, size_t *ret_used, const char **ret_why);

static inline json_object *json_put(json_object *o)
{
	if (o)
		json_object_put(o);
	return NULL;
}

DEFINE_CLEANUP(json_object *, json_put);

/* Members of an object that is being made; NULL values are left out. */
void json_add_str(json_object *o, const char *name, const char *value);
void json_add_int(json_object *o, const char *name, int64_t value);
void json_add_bool(json_object *o, const char *name, bool value);
void json_add_addr(json_object *o, const char *name, const struct addr *a);
