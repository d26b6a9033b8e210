/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Typed fields out of a JSON text with places. A field that is wrong is reported and left as it was, and reading goes on:
 * one run tells the user everything.
 */
#pragma once

#include "place.h"
#include "serve-file.h"

struct reader {
	struct serve_errors *errors;
	struct serve_file *file;
};

struct field;

/* Reads @p into the member at @into */
typedef void (*field_reader)(struct reader *r, const struct place *p, const struct field *f,
                             void *into);

/* A member of an object. Tables end with a NULL key. */
struct field {
	const char *key;
	field_reader read;
	size_t offset; /* into the structure */
	long min, max; /* of numbers; of strings the longest */
};

#define FIELD(name, reader, type, member)                                                          \
	{                                                                                          \
		.key = name, .read = reader, .offset = offsetof(struct type, member)               \
	}
#define FIELD_RANGE(name, reader, type, member, low, high)                                         \
	{                                                                                          \
		.key = name, .read = reader, .offset = offsetof(struct type, member), .min = low,  \
		.max = high                                                                        \
	}
/* What is read into more than one member */
#define FIELD_WHOLE(name, reader)                                                                  \
	{                                                                                          \
		.key = name, .read = reader                                                        \
	}

/** read_fail() - report a mistake at @p */
void read_fail(struct reader *r, const struct place *p, const char *fmt, ...) _printf_(3, 4);

/** read_missing() - report that a member of @object is not there */
void read_missing(struct reader *r, const struct place *object, const char *key, const char *fmt,
                  ...) _printf_(4, 5);

/** read_object() - all members of @p; @noun: "a service", for the one that has no such key. A member "comment" may always be there. */
void read_object(struct reader *r, const struct place *p, const char *noun,
                 const struct field *fields, void *into);

/** read_is() - has @p this kind? Reports it if not. */
bool read_is(struct reader *r, const struct place *p, enum place_kind kind);

/** read_long() - an integer, as a number or as text ("0x1f"). Return: false, reported. */
bool read_long(struct reader *r, const struct place *p, long min, long max, long *ret);

/* Field readers: into bool, uint8_t and so on, char * (of UTF-8, without NUL) and const struct place * */
void read_bool(struct reader *r, const struct place *p, const struct field *f, void *into);
void read_u16(struct reader *r, const struct place *p, const struct field *f, void *into);
void read_u32(struct reader *r, const struct place *p, const struct field *f, void *into);
void read_text(struct reader *r, const struct place *p, const struct field *f, void *into);
void read_place(struct reader *r, const struct place *p, const struct field *f, void *into);

/** read_hex() - a string of hexadecimal digits into a struct text */
void read_hex(struct reader *r, const struct place *p, const struct field *f, void *into);

/** read_word() - a string that is one of @words */
void read_word(struct reader *r, const struct place *p, const char *const *words, size_t count,
               char **into);

/** read_uuid() - a number, a UUID or a name of the SIG; names only among numbers of @first to @last, which are for @what.
 * Return: false, reported. */
bool read_uuid(struct reader *r, const struct place *p, uint16_t first, uint16_t last,
               const char *what, struct uuid *ret);

/**
 * read_value() - bytes of a value: a string, a number, true or false, or a list of strings and numbers for several fields
 * @format_place: NULL: none was given, @ret_format is hexadecimal
 *
 * Return: false, reported.
 */
bool read_value(struct reader *r, const struct place *p, const struct place *format_place,
                struct value_format *ret_format, struct text *ret);

/** read_list() - is @p a list? Returns an array of @size for each element, zeroed, and their number */
void *read_list(struct reader *r, const struct place *p, size_t size, size_t *ret_count);

/* serve-adv.c */
extern const struct field serve_adv_fields[];

/** serve_adv_init(), serve_adv_finish() - before its object is read; after everything else is */
void serve_adv_init(struct serve_adv *adv);
void serve_adv_finish(struct reader *r, struct serve_file *f);
void serve_adv_free(struct serve_adv *adv);

/** serve_table_check() - what the daemon's table says to the services; when nothing else was wrong */
void serve_table_check(struct reader *r);
