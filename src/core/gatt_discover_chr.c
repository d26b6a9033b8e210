/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discovering what is inside of services: characteristics (Core 5.4, Vol 3, Part G, 4.6) and
 * descriptors (4.7).
 *
 * The whole database at once takes fewer requests than service by service: declarations are asked
 * for over all services, and descriptors in the gaps between a value and the next declaration. A
 * request may cross known attributes to reach the next gap as long as the answer can do so too: it
 * holds so many entries, and only UUIDs of one length.
 */
#include <errno.h>

#include "aiobled/result.h"

#include "gatt_discover_priv.h"

#define INFO_HEADER 2 /* of a Find Information Response */
#define INFO_ITEM16 4 /* handle and 16-bit UUID */

/* --- characteristic declarations --- */

static void ask_characteristics(struct discover *d, struct wr *w)
{
	struct uuid type = uuid_from16(UUID_CHARACTERISTIC);

	att_put_read_by_type_req(w, d->range, &type);
}

/*
 * The value: properties 1, value handle 2, UUID 2 or 16 (3.3.1). The value follows its declaration.
 */
static int parse_declaration(uint16_t handle, const uint8_t *value, size_t len,
                             struct remote_decl *ret)
{
	struct rd r = rd_init(value, len);

	ret->declaration = handle;
	ret->properties = rd_u8(&r);
	ret->value = rd_le16(&r);
	if (!rd_ok(&r) || ret->value <= handle || (r.left != 2 && r.left != UUID_WIRE_MAX))
		return -EBADMSG;
	return uuid_from_bytes(r.p, r.left, &ret->uuid) < 0 ? -EBADMSG : 0;
}

/*
 * The next declaration, or the end of the walk, is where the characteristic before ends; unless
 * another discovery has found something else at its handles meanwhile.
 */
static void close_open(struct discover *d, uint16_t end)
{
	struct gatt_characteristic *chr = d->open ? remote_declared_at(d->p.gc, d->open) : NULL;

	d->open = 0;
	if (chr && chr->service)
		end = MIN(end, chr->service->end_handle);
	if (chr && end >= chr->handle)
		remote_set_end(d->p.gc, chr, end);
}

static void note_stray(struct discover *d, uint16_t handle)
{
	if (d->stray.start == 0)
		d->stray.start = handle;
	d->stray.end = handle;
}

static int take_declaration(struct discover *d, const struct remote_decl *decl)
{
	struct gatt_client *gc = d->p.gc;
	struct gatt_service *s = remote_service_at(gc, decl->declaration);
	struct gatt_characteristic *chr, *before = d->open ? remote_declared_at(gc, d->open) : NULL;
	int r;

	if (d->dry || !discover_in_range(d, decl->declaration))
		return -EBADMSG;
	if ((s && decl->value > s->end_handle) || (before && decl->declaration <= before->handle))
		return -EBADMSG;
	close_open(d, decl->declaration - 1);
	discover_advance(d, decl->declaration);
	if (d->filter && !uuid_equal(&decl->uuid, &d->uuid))
		return 0;
	if (!s || remote_is_older(s->seen, d->gen))
		note_stray(d, decl->declaration);
	r = remote_characteristic(gc, d->gen, s, decl, &chr);
	if (r == 0)
		d->open = decl->declaration;
	/* no room for another declaration */
	if (r == 0 && decl->value >= d->range.end)
		d->dry = true;
	return r;
}

static int take_characteristics(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list items;
	struct remote_decl decl;
	const uint8_t *value;
	uint16_t handle;
	size_t n;
	int r = att_parse_read_by_type_rsp(pdu, len, &items);

	while (r == 0 && att_next_typed(&items, &handle, &value, &n)) {
		r = parse_declaration(handle, value, n, &decl);
		if (r == 0)
			r = take_declaration(d, &decl);
	}
	return r;
}

/* --- of one service --- */

static int characteristics_done(struct discover *d)
{
	struct gatt_service *s = gatt_find_service(d->p.gc, d->owner);

	/* another discovery found that it is gone */
	if (!s)
		return -ENOENT;
	close_open(d, s->end_handle);
	remote_sweep_characteristics(d->p.gc, d->gen, s, d->filter ? &d->uuid : NULL);
	s->characteristics_known |= !d->filter;
	return 0;
}

static const struct phase phase_characteristics = {ask_characteristics, take_characteristics,
                                                   characteristics_done};

int gatt_discover_characteristics(struct gatt_client *gc, struct gatt_op *g,
                                  struct gatt_service *service, const struct uuid *uuid,
                                  uint32_t timeout_ms)
{
	struct discover *d;
	int r = discover_new(gc, g, &phase_characteristics, &d);

	if (r < 0)
		return r;
	d->owner = service->handle;
	d->filter = uuid != NULL;
	if (uuid)
		d->uuid = *uuid;
	/*
	 * the declaration of the service itself is none of a characteristic, but a range must have
	 * a handle
	 */
	discover_set_range(d, service->handle, service->end_handle);
	return discover_start(d, timeout_ms);
}

/* --- the first of a UUID, wherever it is --- */

static int take_until_found(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list items;
	struct remote_decl decl;
	const uint8_t *value;
	uint16_t handle;
	size_t n;
	int r = att_parse_read_by_type_rsp(pdu, len, &items);

	while (r == 0 && att_next_typed(&items, &handle, &value, &n)) {
		bool found = d->open != 0;

		r = parse_declaration(handle, value, n, &decl);
		/* the one behind it was in the same answer: the end is known as well */
		if (r == 0 && found) {
			if (handle <= d->p.g->handle)
				return -EBADMSG;
			close_open(d, handle - 1);
			break;
		}
		if (r == 0)
			r = take_declaration(d, &decl);
		if (r == 0 && d->open)
			d->p.g->handle = decl.value;
	}
	if (d->p.g->handle)
		d->dry = true;
	return r;
}

static int first_found(struct discover *d)
{
	return d->p.g->handle ? 0 : -ENOENT;
}

static const struct phase phase_first = {ask_characteristics, take_until_found, first_found};

int gatt_find_by_uuid(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid,
                      uint32_t timeout_ms)
{
	struct gatt_characteristic *chr = gatt_find_characteristic_uuid(gc, uuid);
	struct discover *d;
	int r;

	if (chr) {
		r = gatt_check(gc, g);
		g->handle = chr->handle;
		return r < 0 ? r : gatt_known(gc, g, 0);
	}
	r = discover_new(gc, g, &phase_first, &d);
	if (r < 0)
		return r;
	d->filter = true;
	d->uuid = *uuid;
	discover_set_range(d, ATT_HANDLE_MIN, ATT_HANDLE_MAX);
	return discover_start(d, timeout_ms);
}

/* --- descriptors of one characteristic --- */

static void ask_info(struct discover *d, struct wr *w)
{
	att_put_find_info_req(w, d->range);
}

/* Where the end of a characteristic was not known, the next declaration shows it. */
static bool is_declaration(const struct uuid *uuid)
{
	return uuid_equal16(uuid, UUID_PRIMARY) || uuid_equal16(uuid, UUID_SECONDARY) ||
	       uuid_equal16(uuid, UUID_INCLUDE) || uuid_equal16(uuid, UUID_CHARACTERISTIC);
}

static int take_descriptor(struct discover *d, uint16_t handle, const struct uuid *uuid)
{
	struct gatt_characteristic *chr = remote_declared_at(d->p.gc, d->owner);
	int r;

	/* another discovery found that it is gone */
	if (!chr)
		return -ENOENT;
	/* or that it is another */
	if (handle <= chr->handle || handle > chr->end_handle)
		return -ENOENT;
	if (is_declaration(uuid)) {
		remote_set_end(d->p.gc, chr, handle - 1);
		d->dry = true;
		return 0;
	}
	r = remote_descriptor(d->p.gc, d->gen, chr, handle, uuid);
	discover_advance(d, handle);
	if (d->stop_at_cccd && uuid_equal16(uuid, UUID_CCCD)) {
		d->first_only = true;
		d->dry = true;
	}
	return r;
}

static int take_descriptors(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list infos;
	struct uuid uuid;
	uint16_t handle, last = 0;
	int r = att_parse_find_info_rsp(pdu, len, &infos);

	while (r == 0 && att_next_info(&infos, &handle, &uuid)) {
		if (handle <= last || handle < d->range.start || handle > d->range.end)
			return -EBADMSG;
		last = handle;
		if (!d->dry)
			r = take_descriptor(d, handle, &uuid);
	}
	return r;
}

static int descriptors_done(struct discover *d)
{
	struct gatt_characteristic *chr = remote_declared_at(d->p.gc, d->owner);

	if (!chr)
		return -ENOENT;
	/* not all were seen */
	if (d->first_only)
		return 0;
	remote_sweep_descriptors(d->p.gc, d->gen, chr);
	chr->descriptors_known = true;
	return 0;
}

static const struct phase phase_descriptors = {ask_info, take_descriptors, descriptors_done};

static int discover_descriptors(struct gatt_client *gc, struct gatt_op *g,
                                struct gatt_characteristic *chr, bool stop_at_cccd,
                                uint32_t timeout_ms)
{
	struct discover *d;
	int r = discover_new(gc, g, &phase_descriptors, &d);

	if (r < 0)
		return r;
	d->owner = chr->declaration;
	d->stop_at_cccd = stop_at_cccd;
	discover_set_range(d, chr->handle == ATT_HANDLE_MAX ? 0 : chr->handle + 1, chr->end_handle);
	return discover_start(d, timeout_ms);
}

int gatt_discover_descriptors(struct gatt_client *gc, struct gatt_op *g,
                              struct gatt_characteristic *chr, uint32_t timeout_ms)
{
	return discover_descriptors(gc, g, chr, false, timeout_ms);
}

int discover_cccd(struct gatt_client *gc, struct gatt_op *g, struct gatt_characteristic *chr)
{
	return discover_descriptors(gc, g, chr, true, 0);
}

/* --- everything: the gaps --- */

/* The next characteristic in the order of handles over all services; @chr NULL: the first. */
static struct gatt_characteristic *next_characteristic(struct gatt_client *gc,
                                                       struct gatt_characteristic *chr)
{
	struct list *s = chr ? &chr->service->link : &gc->services;

	if (chr && chr->link.next != &chr->service->characteristics)
		return list_entry(chr->link.next, struct gatt_characteristic, link);
	for (s = s->next; s != &gc->services; s = s->next) {
		struct gatt_service *service = list_entry(s, struct gatt_service, link);

		if (!list_empty(&service->characteristics))
			return list_first(&service->characteristics, struct gatt_characteristic,
			                  link);
	}
	return NULL;
}

/*
 * A characteristic that notifies or indicates has a CCCD (3.3.3.3), so where it has one handle more, that is it, and nobody
 * needs to ask. Asking costs a request each on databases with 128-bit UUIDs.
 */
static bool has_only_cccd(const struct gatt_characteristic *chr)
{
	return chr->properties & (GATT_NOTIFY | GATT_INDICATE) &&
	       chr->end_handle - chr->handle == 1;
}

static bool has_gap(const struct gatt_characteristic *chr, uint16_t from)
{
	return chr->end_handle > chr->handle && chr->end_handle >= from && !has_only_cccd(chr);
}

/*
 * How far to ask, beginning in the gap of @chr: over known attributes to further gaps while they
 * cost the answer nothing that it needs. Asking too far only wastes entries that would be empty
 * otherwise; a 128-bit UUID in between ends the answer.
 */
static uint16_t gap_reach(struct gatt_client *gc, struct gatt_characteristic *chr)
{
	size_t room = (att_mtu(gc->att) - INFO_HEADER) / INFO_ITEM16, known = 0;
	uint16_t end = chr->end_handle;

	while ((chr = next_characteristic(gc, chr))) {
		known += 2;
		if (known + 1 >= room || !uuid_is16(&chr->uuid, NULL))
			break;
		if (has_gap(chr, ATT_HANDLE_MIN))
			end = chr->end_handle;
	}
	return end;
}

/* Return: 1 with the range of the next gaps at or after @from set; 0 when there are none. */
static int next_gaps(struct discover *d, uint16_t from)
{
	struct gatt_client *gc = d->p.gc;
	struct gatt_characteristic *chr = NULL;

	while ((chr = next_characteristic(gc, chr)))
		if (has_gap(chr, from))
			break;
	if (!chr)
		return 0;
	discover_set_range(d, MAX(from, chr->handle + 1), gap_reach(gc, chr));
	return 1;
}

/*
 * Attributes that are known already are skipped, as are declarations that were not there when they
 * were asked for.
 */
static int take_gap(struct discover *d, uint16_t handle, const struct uuid *uuid)
{
	struct gatt_characteristic *chr = remote_characteristic_at(d->p.gc, handle);

	if (!chr || is_declaration(uuid) || handle <= chr->handle || handle > chr->end_handle)
		return 0;
	return remote_descriptor(d->p.gc, d->gen, chr, handle, uuid);
}

static int take_gaps(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list infos;
	struct uuid uuid;
	uint16_t handle;
	int r = att_parse_find_info_rsp(pdu, len, &infos);

	while (r == 0 && att_next_info(&infos, &handle, &uuid)) {
		if (d->dry || !discover_in_range(d, handle))
			return -EBADMSG;
		discover_advance(d, handle);
		r = take_gap(d, handle, &uuid);
	}
	/* the rest of the range may begin with attributes that are known */
	if (r == 0 && !d->dry && !next_gaps(d, d->range.start))
		d->dry = true;
	return r;
}

static int gaps_done(struct discover *d)
{
	uint16_t end = d->range.end;

	if (end != ATT_HANDLE_MAX && next_gaps(d, end + 1))
		return 1;
	remote_sweep_all(d->p.gc, d->gen);
	return 0;
}

static const struct phase phase_gaps = {ask_info, take_gaps, gaps_done};

static int note_cccd(struct discover *d, struct gatt_characteristic *chr)
{
	struct uuid cccd = uuid_from16(UUID_CCCD);

	return has_only_cccd(chr)
	               ? remote_descriptor(d->p.gc, d->gen, chr, chr->end_handle, &cccd)
	               : 0;
}

static int begin_gaps(struct discover *d)
{
	struct gatt_client *gc = d->p.gc;
	struct gatt_characteristic *chr, *next;
	int r = 0;

	remote_sweep_outline(gc, d->gen);
	for (chr = next_characteristic(gc, NULL); chr && r == 0; chr = next) {
		next = next_characteristic(gc, chr);
		if (!next || next->service != chr->service)
			remote_set_end(gc, chr, chr->service->end_handle);
		r = note_cccd(d, chr);
	}
	if (r < 0)
		return r;
	d->phase = &phase_gaps;
	d->range.end = 0;
	return gaps_done(d);
}

/*
 * --- everything: secondary services, where characteristics stand outside of the primary ones ---
 */

static const struct phase phase_secondary = {discover_ask_services, discover_take_services,
                                             begin_gaps};

static int begin_secondary(struct discover *d)
{
	struct att_range range = {ATT_HANDLE_MIN, ATT_HANDLE_MAX};
	struct gatt_service *s;

	list_for_each (s, &d->p.gc->services, link) {
		/* a secondary one, as it was: this is what has to be asked */
		if (remote_is_older(s->seen, d->gen))
			continue;
		if (s->end_handle < d->stray.start)
			range.start = s->end_handle + 1;
		else if (s->handle > d->stray.end)
			break;
	}
	if (&s->link != &d->p.gc->services)
		range.end = s->handle - 1;
	d->phase = &phase_secondary;
	d->type = uuid_from16(UUID_SECONDARY);
	d->none = RES_ATT(ATT_ERR_UNSUPPORTED_GROUP);
	discover_set_range(d, range.start, range.end);
	return 1;
}

static int all_characteristics_done(struct discover *d)
{
	close_open(d, ATT_HANDLE_MAX);
	return d->stray.start ? begin_secondary(d) : begin_gaps(d);
}

const struct phase phase_all_characteristics = {ask_characteristics, take_characteristics,
                                                all_characteristics_done};
