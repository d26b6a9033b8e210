/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The aa{sv} of Adapter1.RegisterServices as the definitions that gatt_server_add() takes. Every mistake, ours to find or
 * the engine's, is told with the path of its key: "services[0].characteristics[2].initial".
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include "aiobled/cleanup.h"
#include "aiobled/gatt_db.h"

#include "bus_result.h"

#define APP_DEFS_PATH_MAX 192 /* an unknown key of a client may be cut */

struct app_defs {
	struct gatt_def_service *services;
	size_t n, size;
	size_t n_characteristics; /* in all */
	size_t n_attributes;      /* about: what they will take of the table, and a little more */
	struct gatt_def_error at; /* where the reader is; texts are not used */
	char path[APP_DEFS_PATH_MAX]; /* what an error's key points to */
	char text[sizeof(((struct gatt_def_error *)0)->text) + 16];
};

/**
 * app_defs_read() - the next argument of @m
 * @ret: zeroed; app_defs_deinit() it in every case. Values are views into @m.
 *
 * Return: 0; -EINVAL, -ENOBUFS, -ENOMEM with @ret_error, whose views are into @m and @ret.
 */
int app_defs_read(sd_bus_message *m, struct app_defs *ret, struct bus_error *ret_error);

/** app_defs_error() - what the engine says of the definitions. Return: @res. */
int app_defs_error(struct app_defs *defs, int res, const struct gatt_def_error *e,
                   struct bus_error *ret_error);

void app_defs_deinit(struct app_defs *defs);
