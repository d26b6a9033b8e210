/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A JSON text as a tree that knows where everything stands, for files that people write: json-c forgets lines, takes more
 * than JSON and keeps the last of two members of one name. The grammar is RFC 8259 to the letter; strings are decoded by
 * json-c. What is accepted here is accepted by json-c as well, as the same tree.
 */
#pragma once

#include <stddef.h>

#include "text.h"

#define PLACE_DEPTH_MAX 16
#define PLACE_MEMBERS_MAX                                                                          \
	64 /* of an object: what people write has fewer, and names are compared one by one */

enum place_kind {
	PLACE_OBJECT,
	PLACE_ARRAY,
	PLACE_STRING,
	PLACE_NUMBER,
	PLACE_TRUE,
	PLACE_FALSE,
	PLACE_NULL,
};

struct place {
	enum place_kind kind;
	unsigned int line, column; /* from 1; columns are bytes */
	const char *s;             /* its text in the source, quotes and brackets included */
	size_t len;
	char *key;    /* decoded; NULL in an array and at the top */
	size_t index; /* among its siblings */
	struct place *parent, *first, *last, *next;
	size_t count; /* of members or elements */
};

struct place_error {
	unsigned int line, column;
	struct text text;
};

/**
 * place_parse() - read a whole JSON text
 * @s:         must outlive the tree
 * @ret_error: filled on -EINVAL; free its text
 *
 * Return: 0 and a tree for place_free(), or -EINVAL.
 */
int place_parse(const char *s, size_t len, struct place **ret, struct place_error *ret_error);

struct place *place_free(struct place *p);
DEFINE_CLEANUP(struct place *, place_free)

/** place_key() - the member of this name, or NULL; also for what is no object */
const struct place *place_key(const struct place *object, const char *key);

/** place_string() - append the characters a PLACE_STRING stands for */
void place_string(const struct place *p, struct text *ret);

/** place_path() - append e.g. "services[0].uuid"; nothing for the top */
void place_path(const struct place *p, struct text *ret);

/** place_kind_name() - "a string" and so on, for messages */
const char *place_kind_name(enum place_kind kind);
