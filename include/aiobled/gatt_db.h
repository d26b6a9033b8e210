/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local attribute table of one adapter (Core 5.4, Vol 3, Part F, 3.2, and Part G, 2 and 3): services, registered and
 * removed as whole trees, with their handles, values and permissions.
 *
 * It knows no bearer: who may read what on which link, and who is told of a write, is gatt_server.c's. Values live here and
 * nowhere else. A struct gatt_local stays where it is until its application goes; its handle is never given to another
 * attribute while the table is pinned, which it is as long as a link exists.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/list.h"
#include "aiobled/uuid.h"

struct gatt_db;

#define GATT_DB_ATTRIBUTES_MAX       8192 /* of a table; beyond it: -ENOBUFS */
#define GATT_DB_APPS_MAX             64
#define GATT_APP_CHARACTERISTICS_MAX 512
#define GATT_HASH_LEN                16

/* --- what is to be registered: given once, copied --- */

/* Link levels as BT_SECURITY has them: what a direction asks for. 0 counts as GATT_LEVEL_NONE. */
enum gatt_level {
	GATT_LEVEL_NONE = 1,
	GATT_LEVEL_ENCRYPTED = 2,
	GATT_LEVEL_AUTHENTICATED = 3, /* with protection against a man in the middle */
	GATT_LEVEL_SECURE = 4,        /* that, by Secure Connections */
};

/* A characteristic or a descriptor. */
struct gatt_def_value {
	struct uuid uuid;
	/* wanted handle: of the declaration of a characteristic, of a descriptor itself; 0: the next free one */
	uint16_t handle;
	const uint8_t *initial;
	size_t initial_len;
	uint16_t max_len; /* longest value, 1 to 512; 0: 512 */
	bool read, write, write_no_response;
	bool notify, indicate; /* characteristics: a CCCD follows the value */
	bool capture;          /* each write is an event with its value; else the last one is */
	bool append;           /* writes are put behind what is there; a local read takes all */
	bool truncate; /* what exceeds max_len is cut off and counted, instead of Invalid Attribute Value Length */
	bool on_read; /* a reader waits for the application */
	uint32_t
		on_read_timeout_ms; /* how long, 1 to GATT_ON_READ_MAX_MS; 0: GATT_ON_READ_DEFAULT_MS */
	uint8_t on_read_fallback; /* what a silent application means: 0: the stored value; else this ATT error */
	uint8_t read_level, write_level; /* enum gatt_level; subscribing asks for read_level */
	uint8_t key_size; /* least size of the key where a level above NONE is asked for, 7 to 16; 0: any */
	void *data; /* the owner's, for gatt_local.data */
};

#define GATT_ON_READ_DEFAULT_MS 1000
#define GATT_ON_READ_MAX_MS     10000

struct gatt_def_characteristic {
	struct gatt_def_value value;
	const struct gatt_def_value *descriptors;
	size_t n_descriptors;
};

struct gatt_def_service {
	struct uuid uuid;
	bool secondary;
	uint16_t handle;          /* wanted; 0: the next free one */
	const uint16_t *includes; /* indexes of services of the same registration */
	size_t n_includes;
	const struct gatt_def_characteristic *characteristics;
	size_t n_characteristics;
};

/* Which part of a registration is wrong, and why. Indexes that do not apply are -1. */
struct gatt_def_error {
	int service, characteristic, descriptor;
	const char *key; /* the field: "handle" */
	char text[128];  /* what is wrong with it, the rest of a sentence */
};

/* --- what is registered --- */

struct gatt_app {
	struct list link;     /* in gatt_db_apps() */
	struct list services; /* struct gatt_local_service, by handle */
	struct gatt_db *db;
	void *data; /* the server's */
};

struct gatt_local_service {
	struct list link;
	struct gatt_app *app;
	struct list characteristics; /* struct gatt_local by link */
	struct uuid uuid;
	bool primary;
	uint16_t handle, end_handle;
	struct gatt_local_service **includes;
	size_t n_includes;
};

/* A value somebody may read or write: of a characteristic, or a descriptor other than a CCCD. */
struct gatt_local {
	struct list link;        /* in service->characteristics or characteristic->descriptors */
	struct list descriptors; /* of a characteristic */
	struct gatt_local_service *service;
	struct gatt_local *characteristic; /* NULL: it is one itself */
	struct uuid uuid;
	uint16_t declaration; /* of a characteristic */
	uint16_t handle;      /* of the value */
	uint16_t cccd;        /* handle; 0: there is none */
	uint8_t properties; /* enum gatt_property of gatt_client.h; of a descriptor: GATT_READ, GATT_WRITE */
	bool capture, append, truncate, on_read;
	uint32_t on_read_timeout_ms;
	uint8_t on_read_fallback;
	uint8_t read_level, write_level, key_size;
	uint8_t *value;
	uint16_t len, max_len, size; /* size: of the memory behind value */
	uint64_t truncated; /* bytes cut off so far */
	void *data;         /* the owner's */
};

enum gatt_attr_kind {
	GATT_ATTR_SERVICE, /* declaration of a service */
	GATT_ATTR_INCLUDE,
	GATT_ATTR_DECLARATION, /* of a characteristic */
	GATT_ATTR_VALUE,       /* of a characteristic */
	GATT_ATTR_CCCD,
	GATT_ATTR_DESCRIPTOR,
};

/* A row of the table. Valid until the table changes. */
struct gatt_attr {
	uint16_t handle;
	uint8_t kind; /* enum gatt_attr_kind */
	struct uuid type;
	struct gatt_local_service *service;
	struct gatt_local_service *included; /* GATT_ATTR_INCLUDE */
	struct gatt_local
		*local; /* the value; of a declaration and a CCCD: their characteristic's */
};

int gatt_db_new(struct gatt_db **ret);

/** gatt_db_free() - applications go with it */
struct gatt_db *gatt_db_free(struct gatt_db *db);
DEFINE_CLEANUP(struct gatt_db *, gatt_db_free)

/**
 * gatt_db_add() - register services
 * @defs, @n: in the order of their handles; all views are copied
 * @old:      an application that is replaced, or NULL. It is gone on success and untouched on failure. When the new tree
 *            has the shape of the old one (UUIDs, properties, order, wanted handles) it keeps its handles.
 * @ret:      the application
 * @ret_error: filled on -EINVAL and -EEXIST; on -ENOBUFS its key says of what there are too many: "attributes",
 *            "applications", "characteristics" or "handles"; may be NULL
 *
 * Handles: services stay in the order of @defs. Wanted handles are taken as they are and must rise; the others follow the
 * attribute before, and a service none of whose attributes wants one lies at the lowest place where the whole of it fits, or,
 * while pinned, above every handle that was in use since. (When that is the end of the table, at the lowest place nobody had.)
 * A service that wants no handle lies right before the first of its attributes that does.
 *
 * Return: 0; -EINVAL (a definition that makes no sense), -EEXIST (a wanted handle is in use, or belonged to another attribute
 * since the table is pinned; an attribute of @old may come back where it was), -ENOBUFS (GATT_DB_ATTRIBUTES_MAX,
 * GATT_DB_APPS_MAX, GATT_APP_CHARACTERISTICS_MAX, or no handles left), -ENOMEM.
 */
int gatt_db_add(struct gatt_db *db, const struct gatt_def_service *defs, size_t n,
                struct gatt_app *old, struct gatt_app **ret, struct gatt_def_error *ret_error);

/** gatt_db_remove() - @app and all that is its */
void gatt_db_remove(struct gatt_app *app);

/** gatt_db_pin() - while pinned handles that become free are not given to others */
void gatt_db_pin(struct gatt_db *db, bool pinned);

struct list *gatt_db_apps(struct gatt_db *db);

/** gatt_db_find() - the attribute with @handle, or NULL */
const struct gatt_attr *gatt_db_find(const struct gatt_db *db, uint16_t handle);

/** gatt_db_next() - the first attribute with a handle of at least @handle, or NULL. gatt_attr_next(): the one after @attr. */
const struct gatt_attr *gatt_db_next(const struct gatt_db *db, uint16_t handle);
const struct gatt_attr *gatt_attr_next(const struct gatt_db *db, const struct gatt_attr *attr);

/**
 * gatt_db_range() - from the first to the last handle that a change since the last call made differ, for Service Changed
 *
 * A service with another end, a declaration with other properties differ; values do not count. What came and went between
 * two calls counts.
 *
 * Return: false: nothing changed.
 */
bool gatt_db_range(struct gatt_db *db, uint16_t *ret_start, uint16_t *ret_end);

/** gatt_db_hash() - Database Hash (Core 5.4, Vol 3, Part G, 7.3.1), least significant octet first as on the air */
void gatt_db_hash(const struct gatt_db *db, uint8_t ret[GATT_HASH_LEN]);

/* --- values --- */

/** gatt_local_set() - the local side writes: replaces. Return: 0; -EMSGSIZE (max_len); -EPERM (extended properties); -ENOMEM. */
int gatt_local_set(struct gatt_local *local, const void *value, size_t len);

/** gatt_local_clear() - what a local read of an appending value does after it was read */
void gatt_local_clear(struct gatt_local *local);

/**
 * gatt_local_put() - the peer writes: replaces or appends; truncates where that was asked for
 *
 * Return: 0, or the ATT error to answer with: Invalid Attribute Value Length, Insufficient Resources (no memory).
 */
uint8_t gatt_local_put(struct gatt_local *local, const uint8_t *value, size_t len);
