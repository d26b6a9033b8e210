/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The peer's attributes, and what the user calls them. Names and UUIDs are looked up in a complete
 * discovery, because a partial one could hide that a name stands for two attributes; a handle the
 * daemon knows already costs no discovery.
 */
#pragma once

#include "ctl.h"
#include "peer.h"

enum attr_kind {
	ATTR_SERVICE = 1,
	ATTR_CHARACTERISTIC = 2,
	ATTR_DESCRIPTOR = 4,
};

struct attr {
	enum attr_kind kind;
	char *path;
	char uuid[40];   /* as the daemon gives it, longest form 36 */
	uint16_t handle; /* of the value, for a characteristic */
	uint16_t declaration, end_handle;
	uint8_t properties;
	bool primary;
	const struct attr *
		parent; /* characteristic's service, descriptor's characteristic; NULL: not known */
};

/* In the order of discovery: a service, its characteristics, each before its descriptors */
struct attr_db {
	struct attr *attrs;
	size_t count;
};

/** attr_discover() - the whole database of the peer. Return: 0 or an exit code. */
int attr_discover(struct ctl *c, const struct peer *p, struct attr_db *ret);

/** attr_db_add() - append one; attr_db_link() when all are there. Return: the new one, until the next. */
struct attr *attr_db_add(struct attr_db *db, enum attr_kind kind, const char *path,
                         const char *uuid);
void attr_db_link(struct attr_db *db);

/** attr_db_read() - append what a reply lists, an a(osqqba(osqqqya(osq))). Return: 0 or -errno, with some of it there. */
int attr_db_read(sd_bus_message *m, struct attr_db *db);

/** attr_pick() - the one of @db that the user means; as attr_find() */
int attr_pick(struct ctl *c, struct attr_db *db, const char *text, unsigned kinds,
              const struct attr **ret);

/** attr_check() - could @text name an attribute at all? For before a peer is bothered. Return: 0 or
 * an exit code. */
int attr_check(struct ctl *c, const char *text);

/**
 * attr_find() - the attributes the user means
 * @db:    empty; holds what @ret points to
 * @kinds: what may be meant, ATTR_* ored
 * @ret:   @count of them
 *
 * Return: 0; CTL_USAGE for nonsense or several candidates (listed), CTL_NOT_FOUND, or what a
 * discovery brings.
 */
int attr_find(struct ctl *c, const struct peer *p, struct attr_db *db, char *const *texts,
              size_t count, unsigned kinds, const struct attr **ret);

void attr_db_free(struct attr_db *db);

/** attr_label() - for messages and tables: the SIG's name, else the UUID */
const char *attr_label(const struct attr *a);

/** attr_interface() - "Characteristic1" or "Descriptor1" */
const char *attr_interface(const struct attr *a);

/** attr_flags() - the property bits in aioble's words, as a JSON list */
json_object *attr_flags(const struct attr *a);

/** attr_json() - uuid, name, handle and what else the kind has */
json_object *attr_json(const struct attr *a);

#define ATTR_READ 0x02 /* Core 5.4, Vol 3, Part G, 3.3.1.1 */
