/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What reads: discovery and values (Core 5.4, Vol 3, Part F, 3.4.3 and 3.4.4). Each handler reads the table as it is now and
 * writes straight into the answer; nothing is allocated. A handler that meets a value whose application must be asked returns
 * false, and is called again from the start with what the application said.
 */
#include <errno.h>

#include "aiobled/result.h"

#include "gatt_server_priv.h"

#define VIEW_OWN_MAX 24 /* an Include with its UUID has 6, a Characteristic 19 */

/* The value of an attribute: a view of what is stored, or made up. */
struct view {
	const uint8_t *value;
	size_t len;
	uint8_t own[VIEW_OWN_MAX];
};

static bool invalid_pdu(struct wr *w, uint8_t request)
{
	return gatt_refuse(w, request, 0, ATT_ERR_INVALID_PDU);
}

static bool range_is_proper(struct att_range range)
{
	return range.start != 0 && range.start <= range.end;
}

static const struct gatt_attr *first_in(const struct gatt_link *link, struct att_range range)
{
	const struct gatt_attr *attr = gatt_db_next(link->server->db, range.start);

	return attr && attr->handle <= range.end ? attr : NULL;
}

static const struct gatt_attr *next_in(const struct gatt_link *link, const struct gatt_attr *attr,
                                       struct att_range range)
{
	attr = gatt_attr_next(link->server->db, attr);
	return attr && attr->handle <= range.end ? attr : NULL;
}

/* --- values --- */

static void put_declared(struct wr *w, const struct gatt_attr *attr)
{
	const struct gatt_local_service *included = attr->included;

	if (attr->kind == GATT_ATTR_SERVICE) {
		wr_uuid(w, &attr->service->uuid);
	} else if (attr->kind == GATT_ATTR_DECLARATION) {
		wr_u8(w, attr->local->properties);
		wr_le16(w, attr->local->handle);
		wr_uuid(w, &attr->local->uuid);
	} else {
		wr_le16(w, included->handle);
		wr_le16(w, included->end_handle);
		/* only a short one (Core 5.4, Vol 3, Part G, 3.2) */
		if (uuid_is16(&included->uuid, NULL))
			wr_uuid(w, &included->uuid);
	}
}

static void view_value(const struct gatt_link *link, const struct gatt_attr *attr, struct view *v)
{
	struct wr w = wr_init(v->own, sizeof(v->own));

	v->value = v->own;
	switch ((enum gatt_attr_kind)attr->kind) {
	case GATT_ATTR_SERVICE:
	case GATT_ATTR_INCLUDE:
	case GATT_ATTR_DECLARATION:
		put_declared(&w, attr);
		break;
	case GATT_ATTR_CCCD:
		wr_le16(&w, gatt_link_cccd(link, attr->local));
		break;
	case GATT_ATTR_VALUE:
	case GATT_ATTR_DESCRIPTOR:
		if (attr->local != link->server->features) {
			v->len = attr->local->len;
			if (v->len)
				v->value = attr->local->value;
			return;
		}
		wr_u8(&w, link->features); /* one a client (Part G, 7.2) */
		break;
	}
	v->len = wr_len(&w);
}

static bool is_value(const struct gatt_attr *attr)
{
	return attr->kind == GATT_ATTR_VALUE || attr->kind == GATT_ATTR_DESCRIPTOR;
}

/* Return: 0, or the ATT error. Declarations and CCCDs are free for all to read (Core 5.4, Vol 3, Part G, 3.3.3.3). */
static uint8_t check_read(const struct gatt_link *link, const struct gatt_attr *attr)
{
	if (!is_value(attr))
		return 0;
	if (!(attr->local->properties & GATT_READ))
		return ATT_ERR_READ_NOT_PERMITTED;
	return gatt_check_read_level(link, attr->local);
}

/* Return: 0 with the value; an ATT error; -EAGAIN: the application must be asked. @offset: of what is wanted. */
static int read_value(struct gatt_link *link, const struct gatt_attr *attr, size_t offset,
                      struct view *ret)
{
	int r = check_read(link, attr);

	if (r == 0 && is_value(attr))
		r = gatt_ask_decision(link, attr->local, offset);
	if (r != 0)
		return r;
	view_value(link, attr, ret);
	return 0;
}

/* The value up to @end was part of an answer. */
static void note_read(struct gatt_link *link, const struct gatt_attr *attr, size_t end)
{
	if (!is_value(attr))
		return;
	link->hash_read |= attr->local == link->server->hash;
	gatt_ask_granted(link, attr->local, end);
}

/* --- discovery --- */

static bool find_information(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	const struct gatt_attr *attr;
	struct att_range range;
	size_t uuid_len = 0;

	if (att_parse_find_info_req(pdu, len, &range) < 0)
		return invalid_pdu(w, pdu[0]);
	if (!range_is_proper(range))
		return gatt_refuse(w, pdu[0], range.start, ATT_ERR_INVALID_HANDLE);
	for (attr = first_in(link, range); attr; attr = next_in(link, attr, range)) {
		size_t this_len = uuid_is16(&attr->type, NULL) ? 2 : 16;

		if (!uuid_len)
			att_put_find_info_rsp(w, this_len == 2 ? ATT_INFO_FORMAT16
			                                       : ATT_INFO_FORMAT128);
		else if (this_len != uuid_len)
			break;
		if (w->left < 2 + this_len)
			break;
		uuid_len = this_len;
		att_put_info(w, attr->handle, &attr->type);
	}
	return uuid_len ? true : gatt_refuse(w, pdu[0], range.start, ATT_ERR_NOT_FOUND);
}

static bool bytes_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/*
 * Only what the peer may read is compared, or it could guess the rest (3.4.3.3), and nobody is asked for it. A service is
 * found by either form of its UUID.
 */
static bool value_matches(struct gatt_link *link, const struct gatt_attr *attr,
                          const struct att_find_by_type *find)
{
	struct uuid uuid;
	struct view v;

	if (!uuid_equal16(&attr->type, find->type) || check_read(link, attr) != 0)
		return false;
	if (attr->kind == GATT_ATTR_SERVICE)
		return (find->value_len == 2 || find->value_len == 16) &&
		       uuid_from_bytes(find->value, find->value_len, &uuid) == 0 &&
		       uuid_equal(&uuid, &attr->service->uuid);
	if (is_value(attr) && attr->local->on_read)
		return false;
	view_value(link, attr, &v);
	return bytes_equal(v.value, v.len, find->value, find->value_len);
}

static bool find_by_type_value(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	const struct gatt_attr *attr;
	struct att_find_by_type find;
	bool found = false;

	if (att_parse_find_by_type_req(pdu, len, &find) < 0)
		return invalid_pdu(w, pdu[0]);
	if (!range_is_proper(find.range))
		return gatt_refuse(w, pdu[0], find.range.start, ATT_ERR_INVALID_HANDLE);
	for (attr = first_in(link, find.range); attr; attr = next_in(link, attr, find.range)) {
		struct att_range group = {attr->handle, attr->handle};

		if (!value_matches(link, attr, &find))
			continue;
		if (attr->kind == GATT_ATTR_SERVICE)
			group.end = attr->service->end_handle;
		if (!found)
			att_put_find_by_type_rsp(w);
		found = true;
		if (w->left < 4)
			break;
		att_put_handles(w, group);
	}
	return found ? true : gatt_refuse(w, pdu[0], find.range.start, ATT_ERR_NOT_FOUND);
}

static bool read_by_group(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	const struct gatt_attr *attr;
	struct att_by_type req;
	size_t item_len = 0;

	if (att_parse_read_by_type_req(pdu, len, &req) < 0)
		return invalid_pdu(w, pdu[0]);
	if (!range_is_proper(req.range))
		return gatt_refuse(w, pdu[0], req.range.start, ATT_ERR_INVALID_HANDLE);
	/* only services are groups (Core 5.4, Vol 3, Part G, 2.5.3) */
	if (!uuid_equal16(&req.type, UUID_PRIMARY) && !uuid_equal16(&req.type, UUID_SECONDARY))
		return gatt_refuse(w, pdu[0], req.range.start, ATT_ERR_UNSUPPORTED_GROUP);
	for (attr = first_in(link, req.range); attr; attr = next_in(link, attr, req.range)) {
		struct view v;

		if (attr->kind != GATT_ATTR_SERVICE || !uuid_equal(&attr->type, &req.type))
			continue;
		view_value(link, attr, &v);
		if (!item_len)
			att_put_read_by_group_rsp(w, (uint8_t)(4 + v.len));
		if ((item_len && item_len != 4 + v.len) || w->left < 4 + v.len)
			break;
		item_len = 4 + v.len;
		att_put_group(w, (struct att_range){attr->handle, attr->service->end_handle},
		              v.value, v.len);
	}
	return item_len ? true : gatt_refuse(w, pdu[0], req.range.start, ATT_ERR_NOT_FOUND);
}

/* --- by type --- */

#define TYPED_VALUE_MAX 253 /* the length of an item is one byte, and two of them are the handle */

/* A list of items under way. */
struct typed {
	struct wr *w;
	size_t item_len; /* 0: none yet */
	bool full;       /* the last one was cut off */
};

/* Would a value of this length be the next item? Nobody is asked for one that would not. */
static bool could_follow(const struct typed *t, size_t len)
{
	return !t->item_len || (!t->full && 2 + len == t->item_len && t->w->left >= t->item_len);
}

/* Return: how much of it was put. */
static size_t put_typed(struct typed *t, uint16_t handle, const struct view *v)
{
	size_t room = t->item_len ? t->w->left : t->w->left - 2; /* opcode and length come first */
	size_t n = MIN(v->len, MIN(room - 2, TYPED_VALUE_MAX));

	if (!t->item_len)
		att_put_read_by_type_rsp(t->w, (uint8_t)(2 + n));
	t->item_len = 2 + n;
	t->full = n < v->len;
	att_put_typed(t->w, handle, v->value, n);
	return n;
}

#define LIST_ENDS 1

/* Return: 0: put, go on; LIST_ENDS: before this one; RES_ATT(code): nothing was put, and why; -EAGAIN. */
static int add_typed(struct gatt_link *link, const struct gatt_attr *attr, struct typed *t)
{
	struct view v;
	int r = check_read(link, attr);

	if (r == 0) {
		view_value(link, attr, &v);
		if (!could_follow(t, v.len))
			return LIST_ENDS;
		r = read_value(link, attr, 0, &v);
	}
	if (r < 0)
		return r;
	if (r > 0)
		return t->item_len ? LIST_ENDS : RES_ATT(r);
	/* the application may have changed it */
	if (!could_follow(t, v.len))
		return LIST_ENDS;
	note_read(link, attr, put_typed(t, attr->handle, &v));
	return 0;
}

static bool read_by_type(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	struct typed t = {.w = w};
	const struct gatt_attr *attr;
	struct att_by_type req;
	int r = 0;

	if (att_parse_read_by_type_req(pdu, len, &req) < 0)
		return invalid_pdu(w, pdu[0]);
	if (!range_is_proper(req.range))
		return gatt_refuse(w, pdu[0], req.range.start, ATT_ERR_INVALID_HANDLE);
	for (attr = first_in(link, req.range); attr; attr = next_in(link, attr, req.range)) {
		if (!uuid_equal(&attr->type, &req.type))
			continue;
		r = add_typed(link, attr, &t);
		if (r != 0)
			break;
	}
	if (r == -EAGAIN)
		return false;
	if (r > LIST_ENDS)
		return gatt_refuse(w, pdu[0], attr->handle, res_code(r));
	return t.item_len ? true : gatt_refuse(w, pdu[0], req.range.start, ATT_ERR_NOT_FOUND);
}

/* --- by handle --- */

/* Read and Read Blob differ in the offset and in two opcodes. */
static bool read_from(struct gatt_link *link, uint8_t request, uint16_t handle, uint16_t offset,
                      struct wr *w)
{
	const struct gatt_attr *attr = gatt_db_find(link->server->db, handle);
	struct view v;
	size_t n;
	int r;

	if (!attr)
		return gatt_refuse(w, request, handle, ATT_ERR_INVALID_HANDLE);
	r = read_value(link, attr, offset, &v);
	if (r == -EAGAIN)
		return false;
	if (r > 0)
		return gatt_refuse(w, request, handle, (uint8_t)r);
	if (offset > v.len)
		return gatt_refuse(w, request, handle, ATT_ERR_INVALID_OFFSET);
	wr_u8(w, att_response_of(request));
	n = MIN(v.len - offset, w->left);
	wr_bytes(w, v.value + offset, n);
	note_read(link, attr, offset + n);
	return true;
}

static bool read_one(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	uint16_t handle;

	if (att_parse_read_req(pdu, len, &handle) < 0)
		return invalid_pdu(w, pdu[0]);
	return read_from(link, pdu[0], handle, 0, w);
}

static bool read_blob(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	uint16_t handle, offset;

	if (att_parse_read_blob_req(pdu, len, &handle, &offset) < 0)
		return invalid_pdu(w, pdu[0]);
	return read_from(link, pdu[0], handle, offset, w);
}

/* All of them are checked before anybody is asked: one refusal refuses all (3.4.4.7, 3.4.4.11). */
static bool check_several(struct gatt_link *link, struct att_list handles, uint16_t *ret_handle,
                          uint8_t *ret_code)
{
	while (att_next_handle(&handles, ret_handle)) {
		const struct gatt_attr *attr = gatt_db_find(link->server->db, *ret_handle);

		*ret_code = attr ? check_read(link, attr) : ATT_ERR_INVALID_HANDLE;
		if (*ret_code)
			return false;
	}
	return true;
}

static void put_several(struct wr *w, uint8_t request, const struct view *v)
{
	if (request == ATT_READ_MULTI_REQ)
		wr_bytes(w, v->value, MIN(v->len, w->left));
	else
		(void)att_put_tuple(w, v->value,
		                    v->len); /* the last may be cut off, its length too */
}

static bool read_several(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list handles;
	uint16_t handle;
	uint8_t code;

	if (att_parse_read_multi_req(pdu, len, &handles) < 0)
		return invalid_pdu(w, pdu[0]);
	if (!check_several(link, handles, &handle, &code))
		return gatt_refuse(w, pdu[0], handle, code);
	wr_u8(w, att_response_of(pdu[0]));
	while (w->left && att_next_handle(&handles, &handle)) {
		struct view v;
		const struct gatt_attr *attr = gatt_db_find(link->server->db, handle);
		int r = read_value(link, attr, 0, &v);

		if (r == -EAGAIN)
			return false;
		if (r > 0) {
			*w = wr_init(w->start, wr_len(w) + w->left);
			return gatt_refuse(w, pdu[0], handle, (uint8_t)r);
		}
		put_several(w, pdu[0], &v);
		note_read(link, attr, v.len); /* one that was cut off is read anew */
	}
	return true;
}

bool gatt_respond_read(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	switch (pdu[0]) {
	case ATT_FIND_INFO_REQ:
		return find_information(link, pdu, len, w);
	case ATT_FIND_BY_TYPE_REQ:
		return find_by_type_value(link, pdu, len, w);
	case ATT_READ_BY_TYPE_REQ:
		return read_by_type(link, pdu, len, w);
	case ATT_READ_BY_GROUP_REQ:
		return read_by_group(link, pdu, len, w);
	case ATT_READ_REQ:
		return read_one(link, pdu, len, w);
	case ATT_READ_BLOB_REQ:
		return read_blob(link, pdu, len, w);
	case ATT_READ_MULTI_REQ:
	case ATT_READ_MULTI_VAR_REQ:
		return read_several(link, pdu, len, w);
	}
	return gatt_refuse(w, pdu[0], 0, ATT_ERR_NOT_SUPPORTED);
}
