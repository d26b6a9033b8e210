/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests and their answers (Core 5.4, Vol 3, Part F, 3.4), see gatt.h. Each function fills the
 * answer behind its opcode; a refusal becomes an Error Response naming the handle that was refused.
 */
#include "gatt.h"

#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

enum {
	E_INVALID_HANDLE = 0x01,
	E_READ_NOT_PERMITTED = 0x02,
	E_WRITE_NOT_PERMITTED = 0x03,
	E_INVALID_PDU = 0x04,
	E_NOT_SUPPORTED = 0x06,
	E_INVALID_OFFSET = 0x07,
	E_QUEUE_FULL = 0x09,
	E_NOT_FOUND = 0x0a,
	E_VALUE_LENGTH = 0x0d,
	E_GROUP_TYPE = 0x10,
};

struct refusal {
	uint8_t error;
	uint16_t handle;
};

static bool refuse(struct refusal *no, uint8_t error, uint16_t handle)
{
	*no = (struct refusal){error, handle};
	return false;
}

static bool range(struct rd *r, uint16_t *start, uint16_t *end, struct refusal *no)
{
	*start = rd_le16(r);
	*end = rd_le16(r);
	if (!rd_ok(r))
		return refuse(no, E_INVALID_PDU, 0);
	if (!*start || *start > *end)
		return refuse(no, E_INVALID_HANDLE, *start);
	return true;
}

/* First attribute at or behind @start; walk with ++ while it is below the end of the table. */
static struct attr *from(const struct server *s, uint16_t start)
{
	struct attr *a = s->db->attrs;

	while (a < s->db->attrs + s->db->n && a->handle < start)
		a++;
	return a;
}

#define for_range(a, s, start, end_handle)                                                         \
	for (a = from(s, start); a < (s)->db->attrs + (s)->db->n && a->handle <= (end_handle); a++)

static bool is_uuid(const struct attr *a, const uint8_t *uuid, size_t len)
{
	return a->uuid_len == len && !memcmp(a->uuid, uuid, len);
}

static uint8_t may_read(const struct attr *a)
{
	return a->read_error ?: a->props & PROP_READ ? 0 : E_READ_NOT_PERMITTED;
}

static bool exchange_mtu(struct server *s, struct rd *r, struct wr *w, struct refusal *no)
{
	uint16_t theirs = rd_le16(r);

	if (!rd_ok(r))
		return refuse(no, E_INVALID_PDU, 0);
	wr_le16(w, s->our_mtu);
	s->mtu = MAX(MIN(theirs, s->our_mtu), 23);
	return true;
}

static bool find_info(struct server *s, struct rd *r, struct wr *w, struct refusal *no)
{
	uint16_t start, end;
	uint8_t len = 0;
	struct attr *a;

	if (!range(r, &start, &end, no))
		return false;
	for_range (a, s, start, end) {
		if (!len) {
			len = a->uuid_len;
			wr_u8(w, len == 2 ? 1 : 2);
		}
		if (a->uuid_len != len || w->left < 2u + len)
			break;
		wr_le16(w, a->handle);
		wr_bytes(w, a->uuid, len);
	}
	return len ? true : refuse(no, E_NOT_FOUND, start);
}

static bool find_by_type(struct server *s, struct rd *r, struct wr *w, struct refusal *no)
{
	uint16_t start, end;
	const uint8_t *type, *value;
	size_t len, before = wr_len(w);
	struct attr *a;

	if (!range(r, &start, &end, no))
		return false;
	type = rd_bytes(r, 2);
	value = rd_rest(r, &len);
	if (!type)
		return refuse(no, E_INVALID_PDU, 0);
	for_range (a, s, start, end) {
		if (!is_uuid(a, type, 2) || a->len != len || memcmp(a->value, value, len))
			continue;
		if (w->left < 4)
			break;
		wr_le16(w, a->handle);
		wr_le16(w, a->kind == ATTR_SERVICE ? a->end : a->handle);
	}
	return wr_len(w) > before ? true : refuse(no, E_NOT_FOUND, start);
}

/* Read By Type and Read By Group Type: items of one length, the first decides. */
static bool read_by(struct server *s, struct rd *r, struct wr *w, bool group, struct refusal *no)
{
	uint16_t start, end, item = 0;
	size_t type_len, value_len = 0;
	const uint8_t *type;
	struct attr *a;

	if (!range(r, &start, &end, no))
		return false;
	type = rd_rest(r, &type_len);
	if (!type || (type_len != 2 && type_len != 16))
		return refuse(no, E_INVALID_PDU, 0);
	if (group && (type_len != 2 || type[1] != 0x28 || type[0] > 1))
		return refuse(no, E_GROUP_TYPE, start);
	for_range (a, s, start, end) {
		uint8_t error = may_read(a);

		if (!is_uuid(a, type, type_len))
			continue;
		if (error && !item)
			return refuse(no, error, a->handle);
		if (!item) {
			value_len = MIN(a->len, MIN(w->left - 1, (size_t)255) - (group ? 4 : 2));
			item = value_len + (group ? 4 : 2);
			wr_u8(w, item);
		} else if (error || a->len != value_len || w->left < item) {
			break;
		}
		wr_le16(w, a->handle);
		if (group)
			wr_le16(w, a->end);
		wr_bytes(w, a->value, value_len);
	}
	return item ? true : refuse(no, E_NOT_FOUND, start);
}

static bool read_value(struct server *s, struct rd *r, struct wr *w, bool blob, struct refusal *no)
{
	uint16_t handle = rd_le16(r), offset = blob ? rd_le16(r) : 0;
	const struct attr *a = db_find(s->db, handle);
	uint8_t error;

	if (!rd_ok(r))
		return refuse(no, E_INVALID_PDU, 0);
	if (!a)
		return refuse(no, E_INVALID_HANDLE, handle);
	error = may_read(a);
	if (error)
		return refuse(no, error, handle);
	if (offset > a->len)
		return refuse(no, E_INVALID_OFFSET, handle);
	wr_bytes(w, a->value + offset, MIN((size_t)(a->len - offset), w->left));
	return true;
}

static bool read_multiple(struct server *s, struct rd *r, struct wr *w, bool variable,
                          struct refusal *no)
{
	do {
		uint16_t handle = rd_le16(r);
		const struct attr *a = db_find(s->db, handle);
		uint8_t error = a ? may_read(a) : E_INVALID_HANDLE;

		if (!rd_ok(r))
			return refuse(no, E_INVALID_PDU, 0);
		if (error)
			return refuse(no, error, handle);
		if (variable && w->left >= 2)
			wr_le16(w, a->len);
		wr_bytes(w, a->value, MIN((size_t)a->len, w->left));
	} while (r->left);
	return true;
}

static uint8_t may_write(const struct attr *a, bool command, size_t offset, size_t len)
{
	if (!a)
		return E_INVALID_HANDLE;
	if (!(a->props & (command ? PROP_COMMAND : PROP_WRITE)))
		return E_WRITE_NOT_PERMITTED;
	if (a->write_error)
		return a->write_error;
	if (offset > a->len && offset)
		return E_INVALID_OFFSET;
	if (a->kind == ATTR_CCCD ? offset + len != 2
	                         : offset + len > a->max && a->behaviour != BEHAVE_COUNT)
		return E_VALUE_LENGTH;
	return 0;
}

static void store(struct server *s, struct attr *a, size_t offset, const uint8_t *value, size_t len,
                  bool command)
{
	if (a->behaviour != BEHAVE_COUNT) {
		memcpy(a->value + offset, value, len);
		a->len = offset + len;
	}
	s->written(s, a, value, len, command);
}

static bool write_value(struct server *s, struct rd *r, bool command, struct refusal *no)
{
	uint16_t handle = rd_le16(r);
	struct attr *a = db_find(s->db, handle);
	const uint8_t *value;
	size_t len;
	uint8_t error;

	value = rd_rest(r, &len);
	if (!value)
		return refuse(no, E_INVALID_PDU, 0);
	error = may_write(a, command, 0, len);
	if (error)
		return refuse(no, error, handle);
	store(s, a, 0, value, len, command);
	return true;
}

/* Permissions now, offsets and lengths when it is executed (3.4.6.1, 3.4.6.3). The answer is the
 * request again. */
static bool prepare(struct server *s, struct rd *r, struct wr *w, struct refusal *no)
{
	uint16_t handle = rd_le16(r), offset = rd_le16(r);
	const struct attr *a = db_find(s->db, handle);
	struct wr keep =
		wr_init(s->prepared + s->prepared_len, sizeof(s->prepared) - s->prepared_len);
	const uint8_t *value;
	size_t len;
	uint8_t error;

	value = rd_rest(r, &len);
	if (!value)
		return refuse(no, E_INVALID_PDU, 0);
	error = !a                         ? E_INVALID_HANDLE
	        : !(a->props & PROP_WRITE) ? E_WRITE_NOT_PERMITTED
	                                   : a->write_error;
	if (error)
		return refuse(no, error, handle);
	wr_le16(&keep, handle);
	wr_le16(&keep, offset);
	wr_le16(&keep, len);
	wr_bytes(&keep, value, len);
	if (!wr_ok(&keep))
		return refuse(no, E_QUEUE_FULL, handle);
	s->prepared_len += wr_len(&keep);
	wr_le16(w, handle);
	wr_le16(w, offset);
	wr_bytes(w, value, len);
	return true;
}

static bool execute(struct server *s, struct rd *r, struct refusal *no)
{
	struct rd q = rd_init(s->prepared, s->prepared_len);
	uint8_t flags = rd_u8(r);
	struct attr *last = NULL;

	s->prepared_len = 0;
	if (!rd_end(r))
		return refuse(no, E_INVALID_PDU, 0);
	while (flags && q.left) {
		uint16_t handle = rd_le16(&q), offset = rd_le16(&q), len = rd_le16(&q);
		const uint8_t *value = rd_bytes(&q, len);
		struct attr *a = db_find(s->db, handle);
		uint8_t error = may_write(a, false, offset, len);

		if (error)
			return refuse(no, error, handle);
		memcpy(a->value + offset, value, len);
		a->len = offset + len;
		last = a;
	}
	if (last)
		s->written(s, last, last->value, last->len, false);
	return true;
}

static bool answer(struct server *s, uint8_t op, struct rd *r, struct wr *w, struct refusal *no)
{
	switch (op) {
	case ATT_MTU:
		return exchange_mtu(s, r, w, no);
	case ATT_FIND_INFO:
		return find_info(s, r, w, no);
	case ATT_FIND_BY_TYPE:
		return find_by_type(s, r, w, no);
	case ATT_READ_BY_TYPE:
		return read_by(s, r, w, false, no);
	case ATT_READ_GROUP:
		return read_by(s, r, w, true, no);
	case ATT_READ:
		return read_value(s, r, w, false, no);
	case ATT_READ_BLOB:
		return read_value(s, r, w, true, no);
	case ATT_READ_MULTIPLE:
		return read_multiple(s, r, w, false, no);
	case ATT_READ_MULTIPLE_VARIABLE:
		return read_multiple(s, r, w, true, no);
	case ATT_WRITE:
		return write_value(s, r, false, no);
	case ATT_PREPARE:
		return prepare(s, r, w, no);
	case ATT_EXECUTE:
		return execute(s, r, no);
	default:
		return refuse(no, E_NOT_SUPPORTED, 0);
	}
}

void server_reset(struct server *s)
{
	s->mtu = 23;
	s->prepared_len = 0;
	for (size_t i = 0; i < s->db->n; i++)
		if (s->db->attrs[i].kind == ATTR_CCCD)
			memset(s->db->attrs[i].value, 0, 2);
}

size_t server_answer(struct server *s, const uint8_t *pdu, size_t len, uint8_t *rsp)
{
	struct rd r = rd_init(pdu, len);
	struct wr w = wr_init(rsp, s->mtu);
	struct refusal no;
	uint8_t op = rd_u8(&r);

	if (op == ATT_COMMAND) {
		(void)write_value(s, &r, true, &no); /* a command is not answered, refused or not */
		return 0;
	}
	/* responses, notifications, indications, confirmations and other commands: for the script,
	 * not for us */
	if (!len || op & 0x40 || op & 1 || op == ATT_CONFIRM)
		return 0;
	wr_u8(&w, op + 1);
	if (answer(s, op, &r, &w, &no))
		return wr_len(&w);
	w = wr_init(rsp, s->mtu);
	wr_u8(&w, ATT_ERROR);
	wr_u8(&w, op);
	wr_le16(&w, no.handle);
	wr_u8(&w, no.error);
	return wr_len(&w);
}
