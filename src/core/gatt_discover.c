/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine of discoveries, and what they find on the upper floor: services (Core 5.4, Vol 3, Part
 * G, 4.4) and included services (4.5).
 */
#include <errno.h>
#include <stdlib.h>

#include "aiobled/result.h"

#include "gatt_discover_priv.h"

#define FOUND_STEP 8

void discover_set_range(struct discover *d, uint16_t start, uint16_t end)
{
	d->range = (struct att_range){start, end};
	d->dry = start == 0 || start > end;
}

void discover_advance(struct discover *d, uint16_t last)
{
	if (last >= d->range.end)
		d->dry = true;
	else
		d->range.start = last + 1;
}

bool discover_in_range(const struct discover *d, uint16_t handle)
{
	return d->range.start <= handle && handle <= d->range.end;
}

static int discover_ask(struct discover *d)
{
	uint8_t pdu[ATT_MTU_DEFAULT]; /* all of these requests fit into the smallest ATT_MTU */
	struct wr w = wr_init(pdu, sizeof(pdu));

	d->phase->ask(d, &w);
	return proc_send(&d->p, &w);
}

/* Return: 1 when there is something to ask for, 0 at the end, or an error. */
static int discover_turn(struct discover *d)
{
	int r = 1;

	while (r > 0 && d->dry)
		r = d->phase->dry(d);
	return r;
}

/* The regular end of a range. */
static bool is_none(const struct discover *d, int res)
{
	if (d->exact)
		return false;
	return res == RES_ATT(ATT_ERR_NOT_FOUND) || (res != 0 && res == d->none);
}

/*
 * Return: as discover_turn(). What the peer refused is an error above 0, so it does not come this
 * way.
 */
static int discover_take(struct discover *d, int res)
{
	const struct att_req *req = &d->p.req;

	if (is_none(d, res)) {
		d->p.g->err_handle = 0;
		d->dry = true;
	} else {
		int r = d->phase->take(d, req->rsp, req->rsp_len);

		if (r < 0)
			return r;
	}
	return discover_turn(d);
}

static void discover_next(struct gatt_proc *p, int res)
{
	struct discover *d = container_of(p, struct discover, p);
	int r;

	if (res != 0 && !is_none(d, res)) {
		proc_end(p, res);
		return;
	}
	r = discover_take(d, res);
	if (r > 0) {
		r = discover_ask(d);
		if (r == 0)
			return;
	}
	proc_end(p, r);
}

int discover_new(struct gatt_client *gc, struct gatt_op *g, const struct phase *phase,
                 struct discover **ret)
{
	struct gatt_proc *p;
	int r = gatt_check(gc, g);

	if (r < 0)
		return r;
	p = proc_new(gc, g, sizeof(struct discover), discover_next);
	if (!p)
		return -ENOMEM;
	*ret = container_of(p, struct discover, p);
	(*ret)->gen = ++gc->generation;
	(*ret)->phase = phase;
	return 0;
}

int discover_start(struct discover *d, uint32_t timeout_ms)
{
	_cleanup_(proc_freep) struct gatt_proc *p = &d->p;
	int r = discover_turn(d);

	if (r == 0)
		return gatt_known(p->gc, p->g, 0);
	if (r > 0)
		r = discover_ask(d);
	if (r < 0)
		return r;
	proc_started(steal(&p), timeout_ms);
	return 0;
}

/* --- services by Read By Group Type (4.4.1) --- */

void discover_ask_services(struct discover *d, struct wr *w)
{
	att_put_read_by_group_req(w, d->range, &d->type);
}

/* Handles must rise within an answer as well: @r is what is left of the range. */
static int take_service(struct discover *d, struct att_range r, const struct uuid *uuid)
{
	struct gatt_service *s;
	int res;

	if (d->dry || !discover_in_range(d, r.start) || r.end < r.start)
		return -EBADMSG;
	res = remote_service(d->p.gc, d->gen, r, uuid, uuid_equal16(&d->type, UUID_PRIMARY), &s);
	if (res == 0)
		discover_advance(d, r.end);
	return res;
}

int discover_take_services(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list groups;
	struct att_range range;
	const uint8_t *value;
	struct uuid uuid;
	size_t n;
	int r = att_parse_read_by_group_rsp(pdu, len, &groups);

	while (r == 0 && att_next_group(&groups, &range, &value, &n)) {
		if ((n != 2 && n != UUID_WIRE_MAX) || uuid_from_bytes(value, n, &uuid) < 0)
			return -EBADMSG;
		r = take_service(d, range, &uuid);
	}
	return r;
}

static int primary_done(struct discover *d)
{
	remote_sweep_services(d->p.gc, d->gen, d->filter ? &d->uuid : NULL);
	return 0;
}

static const struct phase phase_services = {discover_ask_services, discover_take_services,
                                            primary_done};

/* --- services by Find By Type Value (4.4.2) --- */

static void ask_services_uuid(struct discover *d, struct wr *w)
{
	uint8_t uuid[UUID_WIRE_MAX];
	struct att_find_by_type req = {.range = d->range, .type = UUID_PRIMARY, .value = uuid};

	req.value_len = uuid_wire(&d->uuid, uuid);
	att_put_find_by_type_req(w, &req);
}

static int take_services_uuid(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list handles;
	struct att_range range;
	int r = att_parse_find_by_type_rsp(pdu, len, &handles);

	while (r == 0 && att_next_handles(&handles, &range))
		r = take_service(d, range, &d->uuid);
	return r;
}

static const struct phase phase_services_uuid = {ask_services_uuid, take_services_uuid,
                                                 primary_done};

int gatt_discover_services(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid,
                           uint32_t timeout_ms)
{
	struct discover *d;
	int r = discover_new(gc, g, uuid ? &phase_services_uuid : &phase_services, &d);

	if (r < 0)
		return r;
	d->type = uuid_from16(UUID_PRIMARY);
	d->filter = uuid != NULL;
	if (uuid)
		d->uuid = *uuid;
	discover_set_range(d, ATT_HANDLE_MIN, ATT_HANDLE_MAX);
	return discover_start(d, timeout_ms);
}

/* --- everything --- */

/*
 * Primary services that are gone must not claim characteristics; secondary ones are only known to
 * be gone at the end.
 */
static int all_services_done(struct discover *d)
{
	remote_sweep_services(d->p.gc, d->gen, NULL);
	if (list_empty(&d->p.gc->services)) {
		remote_sweep_all(d->p.gc, d->gen);
		return 0;
	}
	d->phase = &phase_all_characteristics;
	discover_set_range(d, ATT_HANDLE_MIN, ATT_HANDLE_MAX);
	return 1;
}

static const struct phase phase_all_services = {discover_ask_services, discover_take_services,
                                                all_services_done};

int gatt_discover_all(struct gatt_client *gc, struct gatt_op *g, uint32_t timeout_ms)
{
	struct discover *d;
	int r = discover_new(gc, g, &phase_all_services, &d);

	if (r < 0)
		return r;
	d->type = uuid_from16(UUID_PRIMARY);
	discover_set_range(d, ATT_HANDLE_MIN, ATT_HANDLE_MAX);
	return discover_start(d, timeout_ms);
}

/* --- included services (4.5.1) --- */

static void ask_includes(struct discover *d, struct wr *w)
{
	struct uuid type = uuid_from16(UUID_INCLUDE);

	att_put_read_by_type_req(w, d->range, &type);
}

static int found_add(struct discover *d, const struct found *f)
{
	if (d->n_found == GATT_INCLUDES_MAX)
		return -ENOBUFS;
	if (d->n_found % FOUND_STEP == 0) {
		void *more = realloc(d->p.buf, (d->n_found + FOUND_STEP) * sizeof(*f));

		if (!more)
			return -ENOMEM;
		d->p.buf = more;
		d->found = more;
	}
	d->found[d->n_found++] = *f;
	return 0;
}

/* The value: handle 2, end 2, and the UUID when it is a short one (3.2). */
static int take_include(struct discover *d, uint16_t handle, const uint8_t *value, size_t len)
{
	struct rd r = rd_init(value, len);
	struct found f = {.range.start = rd_le16(&r)};

	f.range.end = rd_le16(&r);
	if (!rd_ok(&r) || (r.left != 0 && r.left != 2) || d->dry || !discover_in_range(d, handle))
		return -EBADMSG;
	if (f.range.start == 0 || f.range.end < f.range.start)
		return -EBADMSG;
	f.has_uuid = r.left == 2;
	if (f.has_uuid)
		f.uuid = uuid_from16(rd_le16(&r));
	discover_advance(d, handle);
	return found_add(d, &f);
}

static int take_includes(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct att_list items;
	const uint8_t *value;
	uint16_t handle;
	size_t n;
	int r = att_parse_read_by_type_rsp(pdu, len, &items);

	while (r == 0 && att_next_typed(&items, &handle, &value, &n))
		r = take_include(d, handle, value, n);
	return r;
}

static bool is_known_service(struct discover *d, const struct found *f)
{
	struct gatt_service *s = gatt_find_service(d->p.gc, f->range.start);

	return s && s->end_handle == f->range.end &&
	       (!f->has_uuid || uuid_equal(&s->uuid, &f->uuid));
}

/* An include says less than a declaration: it adds services, it does not change what is known. */
static int add_included(struct discover *d, const struct found *f)
{
	struct gatt_service *s;

	list_for_each (s, &d->p.gc->services, link)
		if (s->handle <= f->range.end && f->range.start <= s->end_handle)
			return -EBADMSG;
	return remote_service(d->p.gc, d->gen, f->range, &f->uuid, false, &s);
}

/* Put the found ones into the database, and stop at the first whose UUID is still to be read. */
static int settle_includes(struct discover *d)
{
	for (; d->i_found < d->n_found; d->i_found++) {
		const struct found *f = &d->found[d->i_found];
		int r = 0;

		if (is_known_service(d, f))
			continue;
		if (!f->has_uuid) {
			discover_set_range(d, f->range.start, f->range.start);
			return 1;
		}
		r = add_included(d, f);
		if (r < 0)
			return r;
	}
	return 0;
}

static void ask_include_uuid(struct discover *d, struct wr *w)
{
	att_put_read_req(w, d->range.start);
}

static int take_include_uuid(struct discover *d, const uint8_t *pdu, size_t len)
{
	struct found *f = &d->found[d->i_found];
	const uint8_t *value;
	size_t n;
	int r = att_parse_read_rsp(pdu, len, &value, &n);

	if (r < 0)
		return r;
	if ((n != 2 && n != UUID_WIRE_MAX) || uuid_from_bytes(value, n, &f->uuid) < 0)
		return -EBADMSG;
	f->has_uuid = true;
	d->dry = true;
	return 0;
}

static const struct phase phase_include_uuids = {ask_include_uuid, take_include_uuid,
                                                 settle_includes};

static int includes_done(struct discover *d)
{
	d->phase = &phase_include_uuids;
	d->exact = true;
	return settle_includes(d);
}

static const struct phase phase_includes = {ask_includes, take_includes, includes_done};

int gatt_discover_included(struct gatt_client *gc, struct gatt_op *g, struct gatt_service *service,
                           uint32_t timeout_ms)
{
	struct discover *d;
	int r = discover_new(gc, g, &phase_includes, &d);

	if (r < 0)
		return r;
	discover_set_range(d, service->handle, service->end_handle);
	return discover_start(d, timeout_ms);
}

struct gatt_service *gatt_included(struct gatt_op *g, size_t i)
{
	struct gatt_proc *p = g->proc;
	struct discover *d;

	/* known at once, or not a discovery */
	if (!p || p->next != discover_next)
		return NULL;
	d = container_of(p, struct discover, p);
	if (i >= d->n_found)
		return NULL;
	return gatt_find_service(p->gc, d->found[i].range.start);
}
