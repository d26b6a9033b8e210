/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What peers configured: Client Characteristic Configuration, Client Supported Features, whether they know the table as it is
 * (Core 5.4, Vol 3, Part G, 2.5.2, 3.3.3.3 and 7), and the memory for bonded ones.
 *
 * All of it belongs to a link. A bond takes it over when the link goes and gives it back when the peer has shown that it has
 * the key; while the link is there the bond's own copy is empty.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_server_priv.h"

/* --- the set of a link --- */

static size_t cccds_position(const struct gatt_cccds *c, uint16_t handle)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (c->v[mid].handle < handle)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct gatt_cccd *cccds_find(const struct gatt_cccds *c, uint16_t handle)
{
	size_t i = cccds_position(c, handle);

	return i < c->n && c->v[i].handle == handle ? &c->v[i] : NULL;
}

struct gatt_cccd *cccds_next(const struct gatt_cccds *c, uint16_t handle)
{
	size_t i = handle == ATT_HANDLE_MAX ? c->n : cccds_position(c, handle + 1);

	return i < c->n ? &c->v[i] : NULL;
}

int cccds_reserve(struct gatt_cccds *c, size_t n)
{
	size_t size = MAX(c->size * 2, c->n + n);
	struct gatt_cccd *v;

	if (c->n + n <= c->size)
		return 0;
	v = realloc(c->v, size * sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->v = v;
	c->size = size;
	return 0;
}

static void cccds_remove(struct gatt_cccds *c, struct gatt_cccd *cccd)
{
	size_t i = (size_t)(cccd - c->v);

	memmove(cccd, cccd + 1, (c->n - i - 1) * sizeof(*cccd));
	c->n--;
}

int cccds_set(struct gatt_cccds *c, const struct gatt_local *local, uint16_t value)
{
	struct gatt_cccd *cccd = cccds_find(c, local->cccd);
	size_t i;

	if (cccd && value == 0)
		cccds_remove(c, cccd);
	else if (cccd)
		cccd->value = value;
	if (cccd || value == 0)
		return 0;
	if (cccds_reserve(c, 1) < 0)
		return -ENOMEM;
	i = cccds_position(c, local->cccd);
	memmove(c->v + i + 1, c->v + i, (c->n - i) * sizeof(*c->v));
	c->v[i] = (struct gatt_cccd){.handle = local->cccd,
	                             .value = value,
	                             .uuid = local->uuid,
	                             .service = local->service->uuid};
	c->n++;
	return 0;
}

static void cccds_clear(struct gatt_cccds *c)
{
	free(c->v);
	*c = (struct gatt_cccds){0};
}

/* --- being written --- */

static uint16_t cccd_mask(const struct gatt_local *local)
{
	return (local->properties & GATT_NOTIFY ? GATT_CCCD_NOTIFY : 0) |
	       (local->properties & GATT_INDICATE ? GATT_CCCD_INDICATE : 0);
}

uint16_t gatt_link_cccd(const struct gatt_link *link, const struct gatt_local *local)
{
	const struct gatt_cccd *cccd;

	if (link->down || !local->cccd)
		return 0;
	cccd = cccds_find(&link->cccds, local->cccd);
	return cccd ? cccd->value : 0;
}

static void tell_subscribed(struct gatt_link *link, struct gatt_local *local, uint16_t value)
{
	const struct gatt_hooks *hooks = gatt_hooks(local);

	if (hooks && hooks->events->subscribed)
		hooks->events->subscribed(local->service->app, local, link, value, hooks->data);
}

uint8_t gatt_check_cccd(struct gatt_link *link, size_t len)
{
	if (len != 2)
		return ATT_ERR_INVALID_LENGTH;
	/* one execution may write as many */
	return cccds_reserve(&link->cccds, GATT_PREPARED_MAX) < 0 ? ATT_ERR_RESOURCES : 0;
}

/* Bits that the characteristic has no property for are left out: clients in the field write 3 to be sure. */
uint8_t gatt_write_cccd(struct gatt_link *link, struct gatt_local *local, const uint8_t *value,
                        size_t len)
{
	uint16_t bits;

	if (len != 2)
		return ATT_ERR_INVALID_LENGTH;
	bits = (value[0] | value[1] << 8) & cccd_mask(local);
	if (bits == gatt_link_cccd(link, local))
		return 0;
	gatt_forget_due(link, local->cccd);
	if (cccds_set(&link->cccds, local, bits) < 0)
		return ATT_ERR_RESOURCES;
	if (local == link->server->changed && !(bits & GATT_CCCD_INDICATE))
		link->changed = (struct att_range){0, 0};
	tell_subscribed(link, local, bits);
	return 0;
}

uint8_t gatt_check_features(const struct gatt_link *link, const uint8_t *value, size_t len)
{
	if (len == 0)
		return ATT_ERR_INVALID_LENGTH;
	return link->features & ~value[0] ? ATT_ERR_VALUE_NOT_ALLOWED
	                                  : 0; /* bits cannot be taken back */
}

/* Bits and octets without a meaning yet are nothing (Core 5.4, Vol 3, Part G, 7.2). */
uint8_t gatt_write_features(struct gatt_link *link, const uint8_t *value, size_t len)
{
	uint8_t code = gatt_check_features(link, value, len);

	if (code == 0)
		link->features = value[0] & GATT_FEATURES_KNOWN;
	return code;
}

void gatt_cccds_end(struct gatt_link *link)
{
	const struct gatt_cccd *cccd;
	uint16_t at = 0;

	while ((cccd = cccds_next(&link->cccds, at))) {
		const struct gatt_attr *attr = gatt_db_find(link->server->db, cccd->handle);

		at = cccd->handle;
		if (attr && attr->kind == GATT_ATTR_CCCD)
			tell_subscribed(link, attr->local, 0);
	}
}

/* --- knowing the table --- */

bool gatt_is_withheld(const struct gatt_link *link)
{
	return !link->aware && link->features & GATT_FEATURE_ROBUST;
}

void gatt_became_aware(struct gatt_link *link)
{
	link->aware = true;
	link->told_unaware = link->hash_read = false;
	gatt_tell_due(link);
	gatt_tell_next(link);
}

/* Does it name attributes by handles that the peer remembers? Only well-formed ones count. */
static bool relies_on_handles(const uint8_t *pdu, size_t len)
{
	struct att_prepare prepare;
	struct att_by_type by_type;
	struct att_value value;
	struct att_list list;
	uint16_t handle, offset;
	uint8_t flags;

	switch (pdu[0]) {
	case ATT_READ_REQ:
		return att_parse_read_req(pdu, len, &handle) == 0;
	case ATT_READ_BLOB_REQ:
		return att_parse_read_blob_req(pdu, len, &handle, &offset) == 0;
	case ATT_READ_MULTI_REQ:
	case ATT_READ_MULTI_VAR_REQ:
		return att_parse_read_multi_req(pdu, len, &list) == 0;
	case ATT_WRITE_REQ:
		return att_parse_value(pdu, len, &value) == 0;
	case ATT_PREPARE_REQ:
		return att_parse_prepare(pdu, len, &prepare) == 0;
	case ATT_EXECUTE_REQ:
		return att_parse_execute_req(pdu, len, &flags) == 0 && flags == ATT_EXECUTE_WRITE;
	case ATT_READ_BY_TYPE_REQ:
		return att_parse_read_by_type_req(pdu, len, &by_type) == 0 &&
		       !uuid_equal16(&by_type.type, UUID_INCLUDE) &&
		       !uuid_equal16(&by_type.type, UUID_CHARACTERISTIC) &&
		       (by_type.range.start != ATT_HANDLE_MIN ||
		        by_type.range.end != ATT_HANDLE_MAX);
	}
	return false;
}

/* Once after a change; the next request shows that the peer heard it (Core 5.4, Vol 3, Part G, 2.5.2.1). */
bool gatt_is_out_of_sync(struct gatt_link *link, const uint8_t *pdu, size_t len)
{
	if (link->aware)
		return false;
	if (link->told_unaware || link->hash_read) {
		gatt_became_aware(link);
		return false;
	}
	if (!gatt_is_withheld(link) || !relies_on_handles(pdu, len))
		return false;
	link->told_unaware = true;
	return true;
}

void gatt_merge_range(struct att_range *range, struct att_range more)
{
	if (!range->start)
		*range = more;
	if (!more.start)
		return;
	range->start = MIN(range->start, more.start);
	range->end = MAX(range->end, more.end);
}

bool gatt_wants_service_changed(const struct gatt_server *server, const struct gatt_cccds *cccds)
{
	const struct gatt_cccd *cccd;

	cccd = server->changed ? cccds_find(cccds, server->changed->cccd) : NULL;
	return cccd && cccd->value & GATT_CCCD_INDICATE;
}

static bool is_of(const struct gatt_cccd *cccd, const struct gatt_attr *attr)
{
	return attr && attr->kind == GATT_ATTR_CCCD &&
	       uuid_equal(&attr->local->uuid, &cccd->uuid) &&
	       uuid_equal(&attr->local->service->uuid, &cccd->service);
}

/* Is it still the same characteristic's? It may have lost a property. */
static bool keep_cccd(const struct gatt_link *link, struct gatt_cccd *cccd)
{
	const struct gatt_attr *attr = gatt_db_find(link->server->db, cccd->handle);

	if (!is_of(cccd, attr))
		return false;
	cccd->value &= cccd_mask(attr->local);
	return cccd->value != 0;
}

static void purge(struct gatt_link *link)
{
	struct gatt_cccd *cccd;
	uint16_t at = 0;

	while ((cccd = cccds_next(&link->cccds, at))) {
		at = cccd->handle;
		if (keep_cccd(link, cccd))
			continue;
		gatt_forget_due(link, at);
		cccds_remove(&link->cccds, cccd);
	}
}

static void link_changed(struct gatt_link *link, struct att_range range)
{
	purge(link);
	link->granted = 0;
	link->aware = link->told_unaware = link->hash_read = false;
	if (gatt_wants_service_changed(link->server, &link->cccds))
		gatt_merge_range(&link->changed, range);
	gatt_tell_next(link);
}

static void bond_changed(struct gatt_server *server, struct gatt_bond *bond, struct att_range range)
{
	if (bond->holder)
		return;
	bond->aware = false;
	if (gatt_wants_service_changed(server, &bond->cccds))
		gatt_merge_range(&bond->changed, range);
}

static void update_hash(struct gatt_server *server)
{
	uint8_t hash[GATT_HASH_LEN];

	gatt_db_hash(server->db, hash);
	(void)gatt_local_set(server->hash, hash, sizeof(hash)); /* as long as the one before */
}

void gatt_table_changed(struct gatt_server *server)
{
	struct gatt_bond *bond;
	struct gatt_link *link;
	struct att_range range;

	if (server->hash)
		update_hash(server);
	if (!gatt_db_range(server->db, &range.start, &range.end))
		return;
	list_for_each (link, &server->links, link)
		link_changed(link, range);
	list_for_each (bond, &server->bonds, link)
		bond_changed(server, bond, range);
}

/* --- bonds --- */

static void bond_free(struct gatt_server *server, struct gatt_bond *bond)
{
	list_del(&bond->link);
	server->n_bonds--;
	cccds_clear(&bond->cccds);
	free(bond);
}

void gatt_bonds_clear(struct gatt_server *server)
{
	struct gatt_bond *bond;

	while ((bond = list_first(&server->bonds, struct gatt_bond, link)))
		bond_free(server, bond);
}

static struct gatt_bond *bond_find(struct gatt_server *server, const struct addr *identity)
{
	struct gatt_bond *bond;

	list_for_each (bond, &server->bonds, link)
		if (addr_equal(&bond->identity, identity))
			return bond;
	return NULL;
}

/* The one that was away longest makes room. Return: there is room. */
static bool bonds_make_room(struct gatt_server *server)
{
	struct gatt_bond *bond, *oldest = NULL;

	if (server->n_bonds < GATT_BONDS_MAX)
		return true;
	list_for_each (bond, &server->bonds, link)
		if (!bond->holder)
			oldest = bond;
	if (oldest)
		bond_free(server, oldest);
	return oldest != NULL;
}

static struct gatt_bond *bond_new(struct gatt_server *server, const struct addr *identity)
{
	struct gatt_bond *bond = bonds_make_room(server) ? calloc(1, sizeof(*bond)) : NULL;

	if (!bond)
		return NULL;
	bond->identity = *identity;
	list_init(&bond->link);
	list_add_head(&server->bonds, &bond->link);
	server->n_bonds++;
	return bond;
}

/* The same characteristic as then, and what the peer configured on this link counts more. */
static bool restorable(struct gatt_link *link, const struct gatt_cccd *kept,
                       const struct gatt_attr *attr)
{
	return is_of(kept, attr) && !cccds_find(&link->cccds, kept->handle) &&
	       kept->value & cccd_mask(attr->local);
}

static void restore_cccds(struct gatt_link *link, const struct gatt_cccds *kept)
{
	for (size_t i = 0; i < kept->n; i++) {
		const struct gatt_attr *attr = gatt_db_find(link->server->db, kept->v[i].handle);
		uint16_t bits;

		if (!restorable(link, &kept->v[i], attr))
			continue;
		bits = kept->v[i].value & cccd_mask(attr->local);
		/* without memory the peer has to subscribe again, as it would after a loss of the bond */
		if (cccds_set(&link->cccds, attr->local, bits) == 0)
			tell_subscribed(link, attr->local, bits);
	}
}

static void bond_restore(struct gatt_link *link, struct gatt_bond *bond)
{
	struct gatt_cccds kept = bond->cccds;

	bond->cccds = (struct gatt_cccds){0};
	link->features |= bond->features;
	link->aware = link->aware && bond->aware;
	gatt_merge_range(&link->changed, bond->changed);
	bond->changed = (struct att_range){0, 0};
	restore_cccds(link, &kept);
	cccds_clear(&kept);
	gatt_tell_next(link);
}

/* A link whose end is still on its way may have the bond; gatt_bond_hand_over() comes then. */
void gatt_bond_attach(struct gatt_link *link)
{
	struct gatt_bond *bond = bond_find(link->server, &link->identity);
	bool known = bond != NULL;

	if (!bond)
		bond = bond_new(link->server, &link->identity);
	if (!bond || bond->holder)
		return;
	bond->holder = link;
	link->bond = bond;
	if (known)
		bond_restore(link, bond);
}

void gatt_bond_keep(struct gatt_link *link)
{
	struct gatt_bond *bond = link->bond;

	if (bond) {
		bond->holder = NULL;
		bond->cccds = link->cccds;
		bond->features = link->features;
		bond->aware = link->aware;
		bond->changed = link->changed;
		list_del(&bond->link);
		list_add_head(&link->server->bonds, &bond->link);
		link->cccds = (struct gatt_cccds){0};
		link->bond = NULL;
	}
	cccds_clear(&link->cccds);
}

/* The peer was quicker than the end of its link before: what was kept is for the new one. */
void gatt_bond_hand_over(struct gatt_server *server, const struct addr *identity)
{
	struct gatt_link *link;

	list_for_each (link, &server->links, link) {
		if (!link->bonded || link->level <= GATT_LEVEL_NONE || link->bond ||
		    !addr_equal(&link->identity, identity))
			continue;
		gatt_bond_attach(link);
		return;
	}
}

void gatt_server_forget(struct gatt_server *server, const struct addr *identity)
{
	struct gatt_bond *bond = bond_find(server, identity);

	if (!bond)
		return;
	if (bond->holder)
		bond->holder->bond = NULL;
	bond_free(server, bond);
}
