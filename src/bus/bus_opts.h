/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The a{sv} that ends every method's arguments: a table of the keys a method knows, and one reader. An unknown key, a
 * wrong type, a value out of range or a key given twice is InvalidArgument and names the key. Integers may have any
 * D-Bus integer type.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/addr.h"
#include "aiobled/uuid.h"

#include "bus_result.h"

#define OPTS_LIST_MAX   64  /* values of one list option */
#define OPTS_STRING_MAX 255 /* bytes of a value of OPT_NAMES */

enum opt_type {
	OPT_BOOL,  /* bool */
	OPT_TRI,   /* int: 0 or 1; the caller sets -1 before for "not given" */
	OPT_U8,    /* uint8_t */
	OPT_U16,   /* uint16_t */
	OPT_U32,   /* uint32_t */
	OPT_I8,    /* int8_t */
	OPT_ENUM,  /* int: the index in @names */
	OPT_UUID,  /* struct opt_uuid */
	OPT_UUIDS, /* struct opt_uuids */
	OPT_ADDRS, /* struct opt_addrs; type 0xff */
	OPT_NAMES, /* struct opt_names: views into the message */
	OPT_U16S,  /* struct opt_u16s */
	OPT_PATH,  /* const char *: a view into the message */
	OPT_TEXT,  /* const char *: a view into the message; at most @max bytes */
	OPT_BYTES, /* struct opt_bytes: an array of bytes, or the UTF-8 of a string; a view into the message */
	OPT_DICTS, /* aa{sv}: @each reads them one by one */
	OPT_OWN,   /* @read reads it, whatever it is */
};

struct opt_uuid {
	bool given;
	struct uuid uuid;
};

struct opt_uuids {
	size_t n;
	struct uuid v[OPTS_LIST_MAX];
};

struct opt_addrs {
	size_t n;
	struct addr v[OPTS_LIST_MAX];
};

struct opt_names {
	size_t n;
	const char *v[OPTS_LIST_MAX];
};

struct opt_u16s {
	size_t n;
	uint16_t v[OPTS_LIST_MAX];
};

struct opt_bytes {
	bool given;
	size_t n;
	const uint8_t *v;
};

struct opt {
	const char *key;
	enum opt_type type;
	size_t offset;    /* of the field in the caller's struct, which holds the default before */
	int64_t min, max; /* integers; both 0: what the type holds */
	const char *const *names; /* OPT_ENUM; NULL-terminated */
	/* OPT_DICTS: the next argument of @m is an a{sv}; @dst: the caller's struct. Return: 0, or < 0 with @ret_error. */
	int (*each)(sd_bus_message *m, void *dst, struct bus_error *ret_error);
	/* OPT_OWN: the next argument of @m has the signature @sig. Return: 0, or < 0 with @ret_error. */
	int (*read)(sd_bus_message *m, const char *sig, void *field, struct bus_error *ret_error);
};

/* A row of a table; more members may follow (.min, .max, .names). */
#define OPT(key_, s, field, type_, ...)                                                            \
	{                                                                                          \
		.key = (key_), .type = (type_), .offset = offsetof(s, field), ##__VA_ARGS__        \
	}
/* A row for a method whose only option is no struct. */
#define OPT_ALONE(key_, type_, ...)                                                                \
	{                                                                                          \
		.key = (key_), .type = (type_), ##__VA_ARGS__                                      \
	}

/* Every key of a method fits: a set bit is a key that was met. */
#define OPTS_KEYS_MAX 32

/**
 * bus_opts_read() - read the options, the next argument of @m
 * @table, @n: at most OPTS_KEYS_MAX keys; @n may be 0
 * @dst:       the caller's struct
 * @ret_error: filled on failure; its key is a view into @m
 *
 * Return: 0; -EINVAL with @ret_error; another -errno when the message itself cannot be read, with @ret_error too.
 */
int bus_opts_read(sd_bus_message *m, const struct opt *table, size_t n, void *dst,
                  struct bus_error *ret_error);

/** bus_dict_read() - the same for an a{sv} that is no method's options; @unknown: "is not a key of a service" */
int bus_dict_read(sd_bus_message *m, const struct opt *table, size_t n, void *dst,
                  const char *unknown, struct bus_error *ret_error);

/** bus_dicts_read() - an aa{sv}, the next argument of @m, which errors call @key */
int bus_dicts_read(sd_bus_message *m, const char *key,
                   int (*each)(sd_bus_message *m, void *dst, struct bus_error *ret_error),
                   void *dst, struct bus_error *ret_error);

/** bus_arg_error() - the argument @key is not what it must be. Return: -EINVAL. */
int bus_arg_error(struct bus_error *ret, const char *key, const char *text);
