/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the local attribute table share: gatt_db.c has the table, gatt_db_check.c
 * judges definitions, gatt_db_build.c makes the tree of an application of them, gatt_db_place.c
 * gives its attributes their handles.
 */
#pragma once

#include "aiobled/gatt_db.h"

#define UUID_PRIMARY        0x2800
#define UUID_SECONDARY      0x2801
#define UUID_INCLUDE        0x2802
#define UUID_CHARACTERISTIC 0x2803
#define UUID_EXTENDED       0x2900 /* Characteristic Extended Properties */
#define UUID_CCCD           0x2902

/* A set of handles. */
struct handles {
	uint8_t bits[0x10000 / 8];
};

static inline bool handles_has(const struct handles *h, uint32_t handle)
{
	return h->bits[handle / 8] & 1 << handle % 8;
}

static inline void handles_set(struct handles *h, uint32_t handle, bool in)
{
	uint8_t bit = (uint8_t)(1 << handle % 8);

	h->bits[handle / 8] = (uint8_t)(in ? h->bits[handle / 8] | bit : h->bits[handle / 8] & ~bit);
}

/* Attributes in the order of their handles. */
struct gatt_rows {
	struct gatt_attr *v;
	size_t n;
};

struct gatt_db {
	struct list apps;
	size_t n_apps;
	struct gatt_rows rows;
	bool pinned;
	struct handles used; /* while pinned: by any attribute since */
	/* what changed since gatt_db_range(); 0: nothing */
	uint16_t changed_start, changed_end;
};

/** gatt_db_check() - do the definitions make sense? Return: 0 with the number of attributes; -EINVAL with @ret_error. */
int gatt_db_check(const struct gatt_def_service *defs, size_t n, size_t *ret_attributes,
                  struct gatt_def_error *ret_error);

/** gatt_def_complain() - fill @error. Return: -EINVAL. */
int gatt_def_complain(struct gatt_def_error *error, const char *key, const char *format, ...)
	_printf_(3, 4);

/** gatt_app_build() - the tree, with wanted handles where there will be handles. Return: 0; -ENOMEM. */
int gatt_app_build(const struct gatt_def_service *defs, size_t n, struct gatt_app **ret);
struct gatt_app *gatt_app_free(struct gatt_app *app);
DEFINE_CLEANUP(struct gatt_app *, gatt_app_free)

/** gatt_app_rows() - the attributes of @app in order, into @rows which has room */
void gatt_app_rows(struct gatt_app *app, struct gatt_rows *rows);

/**
 * gatt_db_place() - handles for @rows, those that are 0 and the tree's they stand for
 * @old: the rows of the application that is replaced, or none
 *
 * Return: 0; -EINVAL, -EEXIST with @ret_error; -ENOBUFS.
 */
int gatt_db_place(const struct gatt_db *db, struct gatt_rows *rows, const struct gatt_app *old_app,
                  const struct gatt_rows *old, struct gatt_def_error *ret_error);
