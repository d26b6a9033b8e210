/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What writes: requests, commands, and prepared writes with their execution (Core 5.4, Vol 3, Part F, 3.4.5 and 3.4.6).
 *
 * A prepared write is checked twice, when it is queued and when it is carried out, because the link, the table and the value
 * may have changed in between. Carried out means all or nothing: everything is checked and remembered before the first value
 * changes, applications are told after the last.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_server_priv.h"

static bool invalid_pdu(struct wr *w, uint8_t request)
{
	return gatt_refuse(w, request, 0, ATT_ERR_INVALID_PDU);
}

/* --- one value --- */

/* @property: what a characteristic must have. Descriptors take requests and commands. Return: 0, or the ATT error. */
static uint8_t check_write(const struct gatt_link *link, const struct gatt_attr *attr,
                           uint8_t property)
{
	if (!attr)
		return ATT_ERR_INVALID_HANDLE;
	switch ((enum gatt_attr_kind)attr->kind) {
	case GATT_ATTR_SERVICE:
	case GATT_ATTR_INCLUDE:
	case GATT_ATTR_DECLARATION:
		return ATT_ERR_WRITE_NOT_PERMITTED;
	case GATT_ATTR_CCCD:
		return gatt_check_read_level(link, attr->local);
	case GATT_ATTR_DESCRIPTOR:
		property = GATT_WRITE;
		break;
	case GATT_ATTR_VALUE:
		break;
	}
	if (!(attr->local->properties & property))
		return ATT_ERR_WRITE_NOT_PERMITTED;
	return gatt_check_level(link, attr->local->write_level, attr->local->key_size);
}

/* How much of @len bytes is kept, behind @have bytes that are there already. */
static size_t kept(const struct gatt_local *local, size_t have, size_t len)
{
	size_t room = local->max_len - (local->append ? MIN(have, local->max_len) : 0);

	return local->truncate ? MIN(len, room) : len;
}

static void tell_written(struct gatt_link *link, struct gatt_local *local, const uint8_t *value,
                         size_t len)
{
	const struct gatt_hooks *hooks = gatt_hooks(local);

	if (hooks && hooks->events->written)
		hooks->events->written(local->service->app, local, link, value, len, hooks->data);
}

static uint8_t write_value(struct gatt_link *link, const struct gatt_attr *attr,
                           const uint8_t *value, size_t len)
{
	struct gatt_local *local = attr->local;
	size_t keep;
	uint8_t code;

	if (attr->kind == GATT_ATTR_CCCD)
		return gatt_write_cccd(link, local, value, len);
	if (local == link->server->features)
		return gatt_write_features(link, value, len);
	keep = kept(local, local->len, len);
	code = gatt_local_put(local, value, len);
	if (code == 0)
		tell_written(link, local, value, keep);
	return code;
}

static bool write_request(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	const struct gatt_attr *attr;
	struct att_value v;
	uint8_t code;

	if (att_parse_value(pdu, len, &v) < 0)
		return invalid_pdu(w, pdu[0]);
	attr = gatt_db_find(link->server->db, v.handle);
	code = check_write(link, attr, GATT_WRITE);
	if (code == 0)
		code = write_value(link, attr, v.value, v.len);
	if (code)
		return gatt_refuse(w, pdu[0], v.handle, code);
	att_put_write_rsp(w);
	return true;
}

static uint8_t carry_out(struct gatt_link *link, const struct att_value *v)
{
	const struct gatt_attr *attr = gatt_db_find(link->server->db, v->handle);
	uint8_t code = check_write(link, attr, GATT_WRITE_NO_RESPONSE);

	return code ? code : write_value(link, attr, v->value, v->len);
}

/* Nobody is told of a command that is not carried out (3.4.5.3), but it is counted. There is no key for signatures. */
void gatt_accept_command(struct gatt_link *link, const uint8_t *pdu, size_t len)
{
	struct gatt_server_stats *stats = &link->server->stats;
	struct att_value v;
	uint8_t code = ATT_ERR_DB_OUT_OF_SYNC;

	if (pdu[0] != ATT_WRITE_CMD || att_parse_value(pdu, len, &v) < 0) {
		stats->writes_dropped++;
		return;
	}
	if (!gatt_is_withheld(link))
		code = carry_out(link, &v);
	if (gatt_is_outdated(link, code) && !gatt_is_withheld(link))
		code = carry_out(link, &v);
	if (code)
		stats->writes_dropped++;
	else
		stats->writes++;
}

/* --- the queue --- */

void gatt_prepared_clear(struct gatt_link *link)
{
	struct gatt_prepared *p;

	while ((p = list_first(&link->prepared, struct gatt_prepared, link))) {
		list_del(&p->link);
		free(p);
	}
	link->n_prepared = 0;
	link->prepared_bytes = 0;
}

static uint8_t enqueue(struct gatt_link *link, const struct att_prepare *req)
{
	struct gatt_prepared *p;

	if (link->n_prepared >= GATT_PREPARED_MAX ||
	    link->prepared_bytes + req->len > GATT_PREPARED_BYTES_MAX)
		return ATT_ERR_PREPARE_QUEUE_FULL;
	p = malloc(sizeof(*p) + req->len);
	if (!p)
		return ATT_ERR_RESOURCES;
	*p = (struct gatt_prepared){.handle = req->handle, .offset = req->offset, .len = req->len};
	if (req->len)
		memcpy(p->value, req->value, req->len);
	list_init(&p->link);
	list_add_tail(&link->prepared, &p->link);
	link->n_prepared++;
	link->prepared_bytes += req->len;
	return 0;
}

static bool prepare(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_prepare req;
	uint8_t code;

	/* the answer repeats it */
	if (att_parse_prepare(pdu, len, &req) < 0 || len > w->left)
		return invalid_pdu(w, pdu[0]);
	code = check_write(link, gatt_db_find(link->server->db, req.handle), GATT_WRITE);
	if (code == 0)
		code = enqueue(link, &req);
	if (code)
		return gatt_refuse(w, pdu[0], req.handle, code);
	att_put_prepare_rsp(w, &req);
	return true;
}

/* --- carrying it out --- */

/* Parts of the queue that continue each other: one write of one value. */
struct run {
	uint16_t handle, offset;
	size_t written; /* bytes of the parts so far */
	uint8_t *value; /* to be put: the parts, or with an offset the whole value that results */
	size_t len;
	size_t have;     /* length of the value before, earlier runs included */
	uint8_t *before; /* the value as it was; of the first run of a value alone */
	size_t before_len;
};

struct execution {
	struct gatt_link *link;
	struct run runs[GATT_PREPARED_MAX];
	size_t n;
};

static void execution_end(struct execution *ex)
{
	for (size_t i = 0; i < ex->n; i++) {
		free(ex->runs[i].value);
		free(ex->runs[i].before);
	}
}

/* The newest one of @handle among the first @n. */
static struct run *last_run(struct execution *ex, size_t n, uint16_t handle)
{
	while (n-- > 0)
		if (ex->runs[n].handle == handle)
			return &ex->runs[n];
	return NULL;
}

static void find_runs(struct execution *ex)
{
	struct gatt_prepared *p;

	list_for_each (p, &ex->link->prepared, link) {
		struct run *run = last_run(ex, ex->n, p->handle);

		if (!run || p->offset != run->offset + run->written) {
			run = &ex->runs[ex->n++];
			*run = (struct run){.handle = p->handle, .offset = p->offset};
		}
		p->run = (size_t)(run - ex->runs);
		run->written += p->len;
	}
}

static void copy_parts(struct execution *ex, const struct run *run, uint8_t *to)
{
	struct gatt_prepared *p;

	list_for_each (p, &ex->link->prepared, link) {
		if (&ex->runs[p->run] != run)
			continue;
		if (p->len)
			memcpy(to, p->value, p->len);
		to += p->len;
	}
}

/* Put the run together over the @have bytes of @old, which all stay when it has an offset. */
static uint8_t assemble(struct execution *ex, struct run *run, const uint8_t *old, size_t have)
{
	size_t end = run->offset + run->written;

	run->have = have;
	run->len = run->offset ? MAX(end, have) : end;
	run->value = malloc(run->len + 1);
	if (!run->value)
		return ATT_ERR_RESOURCES;
	if (run->offset)
		memcpy(run->value, old, have);
	copy_parts(ex, run, run->value + run->offset);
	return 0;
}

/* To be able to go back. */
static uint8_t remember(struct run *run, const struct gatt_local *local)
{
	run->before = malloc(local->len + 1U);
	if (!run->before)
		return ATT_ERR_RESOURCES;
	run->before_len = local->len;
	if (local->len)
		memcpy(run->before, local->value, local->len);
	return 0;
}

/*
 * From the start of a value on it is replaced; from anywhere else on what is written replaces as much; a value that collects
 * takes what it gets. Offsets reach up to the end of what is there by then, earlier writes of the same queue included.
 */
static uint8_t check_stored(struct execution *ex, struct run *run, const struct gatt_local *local)
{
	const struct run *earlier = last_run(ex, (size_t)(run - ex->runs), run->handle);
	const uint8_t *old = earlier ? earlier->value : local->value;
	size_t have = local->len;
	size_t after = run->offset + run->written;
	uint8_t code = 0;

	if (earlier)
		have = MIN(local->append ? earlier->have + earlier->len : earlier->len,
		           local->max_len);
	else
		code = remember(run, local);
	if (code == 0 && run->offset > (local->append ? 0 : have))
		code = ATT_ERR_INVALID_OFFSET;
	if (local->append)
		after += have;
	if (code == 0 && after > local->max_len && !local->truncate)
		code = ATT_ERR_INVALID_LENGTH;
	return code ? code : assemble(ex, run, old, have);
}

static bool is_stored(const struct gatt_link *link, const struct gatt_attr *attr)
{
	return attr->kind != GATT_ATTR_CCCD && attr->local != link->server->features;
}

static uint8_t check_run(struct execution *ex, struct run *run)
{
	struct gatt_link *link = ex->link;
	const struct gatt_attr *attr = gatt_db_find(link->server->db, run->handle);
	uint8_t code = check_write(link, attr, GATT_WRITE);

	if (code)
		return code;
	if (is_stored(link, attr))
		return check_stored(ex, run, attr->local);
	if (run->offset)
		return ATT_ERR_INVALID_OFFSET;
	code = assemble(ex, run, NULL, 0);
	if (code)
		return code;
	return attr->kind == GATT_ATTR_CCCD ? gatt_check_cccd(link, run->len)
	                                    : gatt_check_features(link, run->value, run->len);
}

/* No memory in the middle: what was there comes back. */
static void go_back(struct execution *ex, size_t n)
{
	while (n-- > 0) {
		const struct run *run = &ex->runs[n];

		if (run->before)
			/* less than there just was, or as much: it has a place */
			(void)gatt_local_set(gatt_db_find(ex->link->server->db, run->handle)->local,
			                     run->before, run->before_len);
	}
}

static uint8_t store_all(struct execution *ex, const struct run **ret_bad)
{
	for (size_t i = 0; i < ex->n; i++) {
		const struct run *run = &ex->runs[i];
		const struct gatt_attr *attr = gatt_db_find(ex->link->server->db, run->handle);
		uint8_t code = 0;

		if (is_stored(ex->link, attr))
			code = gatt_local_put(attr->local, run->value, run->len);
		if (code) {
			*ret_bad = run;
			go_back(ex, i);
			return code;
		}
	}
	return 0;
}

/* In their order. Whoever is told may remove others, and their values with them. */
static void tell_all(struct execution *ex)
{
	for (size_t i = 0; i < ex->n; i++) {
		const struct run *run = &ex->runs[i];
		const struct gatt_attr *attr = gatt_db_find(ex->link->server->db, run->handle);

		if (attr && is_stored(ex->link, attr))
			tell_written(ex->link, attr->local, run->value,
			             kept(attr->local, run->have, run->len));
		else if (attr)
			(void)write_value(ex->link, attr, run->value, run->len); /* was checked */
	}
}

static uint8_t execute_all(struct execution *ex, const struct run **ret_bad)
{
	uint8_t code = 0;

	find_runs(ex);
	for (size_t i = 0; i < ex->n && code == 0; i++) {
		*ret_bad = &ex->runs[i];
		code = check_run(ex, &ex->runs[i]);
	}
	if (code == 0)
		code = store_all(ex, ret_bad);
	if (code == 0)
		tell_all(ex);
	return code;
}

static bool execute(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	struct execution ex = {.link = link};
	const struct run *bad = NULL;
	uint8_t flags, code = 0;

	if (att_parse_execute_req(pdu, len, &flags) < 0)
		return invalid_pdu(w, pdu[0]);
	if (flags == ATT_EXECUTE_WRITE)
		code = execute_all(&ex, &bad);
	if (code)
		(void)gatt_refuse(w, pdu[0], bad->handle, code);
	else
		att_put_execute_rsp(w);
	gatt_prepared_clear(link);
	execution_end(&ex);
	return true;
}

bool gatt_accept_write(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	switch (pdu[0]) {
	case ATT_WRITE_REQ:
		return write_request(link, pdu, len, w);
	case ATT_PREPARE_REQ:
		return prepare(link, pdu, len, w);
	}
	return execute(link, pdu, len, w);
}
