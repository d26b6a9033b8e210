/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATT PDUs: layouts of Core 5.4, Vol 3, Part F, 3.4, all integers little-endian. Every parser runs
 * a cursor over the whole PDU and demands that it ends exactly at the last byte; lists are checked
 * as a whole before the first item is handed out, so that a caller never acts on half of a bad PDU.
 */
#include "aiobled/att_pdu.h"

#include <errno.h>

#include "aiobled/cleanup.h"

#define TUPLE_HDR 2 /* length in front of a value */

struct opcode_info {
	const char *name;
	enum att_kind kind;
	uint8_t response;
};

static const struct opcode_info opcodes[] = {
	[ATT_ERROR_RSP] = {"Error Response", ATT_KIND_RESPONSE, 0},
	[ATT_MTU_REQ] = {"Exchange MTU Request", ATT_KIND_REQUEST, ATT_MTU_RSP},
	[ATT_MTU_RSP] = {"Exchange MTU Response", ATT_KIND_RESPONSE, 0},
	[ATT_FIND_INFO_REQ] = {"Find Information Request", ATT_KIND_REQUEST, ATT_FIND_INFO_RSP},
	[ATT_FIND_INFO_RSP] = {"Find Information Response", ATT_KIND_RESPONSE, 0},
	[ATT_FIND_BY_TYPE_REQ] = {"Find By Type Value Request", ATT_KIND_REQUEST,
                                  ATT_FIND_BY_TYPE_RSP},
	[ATT_FIND_BY_TYPE_RSP] = {"Find By Type Value Response", ATT_KIND_RESPONSE, 0},
	[ATT_READ_BY_TYPE_REQ] = {"Read By Type Request", ATT_KIND_REQUEST, ATT_READ_BY_TYPE_RSP},
	[ATT_READ_BY_TYPE_RSP] = {"Read By Type Response", ATT_KIND_RESPONSE, 0},
	[ATT_READ_REQ] = {"Read Request", ATT_KIND_REQUEST, ATT_READ_RSP},
	[ATT_READ_RSP] = {"Read Response", ATT_KIND_RESPONSE, 0},
	[ATT_READ_BLOB_REQ] = {"Read Blob Request", ATT_KIND_REQUEST, ATT_READ_BLOB_RSP},
	[ATT_READ_BLOB_RSP] = {"Read Blob Response", ATT_KIND_RESPONSE, 0},
	[ATT_READ_MULTI_REQ] = {"Read Multiple Request", ATT_KIND_REQUEST, ATT_READ_MULTI_RSP},
	[ATT_READ_MULTI_RSP] = {"Read Multiple Response", ATT_KIND_RESPONSE, 0},
	[ATT_READ_BY_GROUP_REQ] = {"Read By Group Type Request", ATT_KIND_REQUEST,
                                   ATT_READ_BY_GROUP_RSP},
	[ATT_READ_BY_GROUP_RSP] = {"Read By Group Type Response", ATT_KIND_RESPONSE, 0},
	[ATT_WRITE_REQ] = {"Write Request", ATT_KIND_REQUEST, ATT_WRITE_RSP},
	[ATT_WRITE_RSP] = {"Write Response", ATT_KIND_RESPONSE, 0},
	[ATT_PREPARE_REQ] = {"Prepare Write Request", ATT_KIND_REQUEST, ATT_PREPARE_RSP},
	[ATT_PREPARE_RSP] = {"Prepare Write Response", ATT_KIND_RESPONSE, 0},
	[ATT_EXECUTE_REQ] = {"Execute Write Request", ATT_KIND_REQUEST, ATT_EXECUTE_RSP},
	[ATT_EXECUTE_RSP] = {"Execute Write Response", ATT_KIND_RESPONSE, 0},
	[ATT_NOTIFY] = {"Handle Value Notification", ATT_KIND_NOTIFICATION, 0},
	[ATT_INDICATE] = {"Handle Value Indication", ATT_KIND_INDICATION, ATT_CONFIRM},
	[ATT_CONFIRM] = {"Handle Value Confirmation", ATT_KIND_CONFIRMATION, 0},
	[ATT_READ_MULTI_VAR_REQ] = {"Read Multiple Variable Request", ATT_KIND_REQUEST,
                                    ATT_READ_MULTI_VAR_RSP},
	[ATT_READ_MULTI_VAR_RSP] = {"Read Multiple Variable Response", ATT_KIND_RESPONSE, 0},
	[ATT_NOTIFY_MULTI] = {"Multiple Handle Value Notification", ATT_KIND_NOTIFICATION, 0},
	[ATT_WRITE_CMD] = {"Write Command", ATT_KIND_COMMAND, 0},
	[ATT_SIGNED_WRITE_CMD] = {"Signed Write Command", ATT_KIND_COMMAND, 0},
};

static const struct opcode_info *opcode_info(uint8_t opcode)
{
	if (opcode >= ARRAY_SIZE(opcodes) || !opcodes[opcode].name)
		return NULL;
	return &opcodes[opcode];
}

enum att_kind att_kind(uint8_t opcode)
{
	const struct opcode_info *info = opcode_info(opcode);

	if (info)
		return info->kind;
	return opcode & ATT_OPCODE_COMMAND ? ATT_KIND_COMMAND : ATT_KIND_UNKNOWN;
}

uint8_t att_response_of(uint8_t request)
{
	const struct opcode_info *info = opcode_info(request);

	return info ? info->response : 0;
}

const char *att_opcode_name(uint8_t opcode)
{
	const struct opcode_info *info = opcode_info(opcode);

	return info ? info->name : "unknown";
}

/* A cursor behind the opcode; bad at once when the PDU is empty or its opcode is neither @a nor @b.
 */
static struct rd open_either(const uint8_t *pdu, size_t len, uint8_t a, uint8_t b)
{
	struct rd r = rd_init(pdu, len);
	uint8_t opcode = rd_u8(&r);

	if (opcode != a && opcode != b) {
		r.bad = true;
		r.left = 0;
	}
	return r;
}

static struct rd open_pdu(const uint8_t *pdu, size_t len, uint8_t opcode)
{
	return open_either(pdu, len, opcode, opcode);
}

static struct att_range rd_range(struct rd *r)
{
	struct att_range range = {.start = rd_le16(r)};

	range.end = rd_le16(r);
	return range;
}

static void wr_range(struct wr *w, struct att_range range)
{
	wr_le16(w, range.start);
	wr_le16(w, range.end);
}

/* Error Response: opcode 1, request opcode 1, handle 2, code 1 */
int att_parse_error(const uint8_t *pdu, size_t len, struct att_error *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_ERROR_RSP);
	struct att_error e = {.request = rd_u8(&r)};

	e.handle = rd_le16(&r);
	e.code = rd_u8(&r);
	if (!rd_end(&r))
		return -EBADMSG;
	*ret = e;
	return 0;
}

void att_put_error(struct wr *w, uint8_t request, uint16_t handle, uint8_t code)
{
	wr_u8(w, ATT_ERROR_RSP);
	wr_u8(w, request);
	wr_le16(w, handle);
	wr_u8(w, code);
}

/* Exchange MTU Request and Response: opcode 1, MTU 2 */
int att_parse_mtu(const uint8_t *pdu, size_t len, uint16_t *ret_mtu)
{
	struct rd r = open_either(pdu, len, ATT_MTU_REQ, ATT_MTU_RSP);
	uint16_t mtu = rd_le16(&r);

	if (!rd_end(&r))
		return -EBADMSG;
	*ret_mtu = mtu;
	return 0;
}

void att_put_mtu_req(struct wr *w, uint16_t mtu)
{
	wr_u8(w, ATT_MTU_REQ);
	wr_le16(w, mtu);
}

void att_put_mtu_rsp(struct wr *w, uint16_t mtu)
{
	wr_u8(w, ATT_MTU_RSP);
	wr_le16(w, mtu);
}

/* Find Information Request: opcode 1, start 2, end 2 */
int att_parse_find_info_req(const uint8_t *pdu, size_t len, struct att_range *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_FIND_INFO_REQ);
	struct att_range range = rd_range(&r);

	if (!rd_end(&r))
		return -EBADMSG;
	*ret = range;
	return 0;
}

void att_put_find_info_req(struct wr *w, struct att_range range)
{
	wr_u8(w, ATT_FIND_INFO_REQ);
	wr_range(w, range);
}

/* Find By Type Value Request: opcode 1, start 2, end 2, 16-bit type 2, value 0.. */
int att_parse_find_by_type_req(const uint8_t *pdu, size_t len, struct att_find_by_type *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_FIND_BY_TYPE_REQ);
	struct att_find_by_type req = {.range = rd_range(&r)};

	req.type = rd_le16(&r);
	req.value = rd_rest(&r, &req.value_len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = req;
	return 0;
}

void att_put_find_by_type_req(struct wr *w, const struct att_find_by_type *req)
{
	wr_u8(w, ATT_FIND_BY_TYPE_REQ);
	wr_range(w, req->range);
	wr_le16(w, req->type);
	wr_bytes(w, req->value, req->value_len);
}

/* Read By Type and Read By Group Type Request: opcode 1, start 2, end 2, type 2 or 16 */
int att_parse_read_by_type_req(const uint8_t *pdu, size_t len, struct att_by_type *ret)
{
	struct rd r = open_either(pdu, len, ATT_READ_BY_TYPE_REQ, ATT_READ_BY_GROUP_REQ);
	struct att_by_type req = {.range = rd_range(&r)};
	const uint8_t *type;
	size_t n;

	type = rd_rest(&r, &n);
	if (!rd_ok(&r) || n == 4 || uuid_from_bytes(type, n, &req.type) < 0)
		return -EBADMSG;
	*ret = req;
	return 0;
}

static void put_by_type(struct wr *w, uint8_t opcode, struct att_range range,
                        const struct uuid *type)
{
	wr_u8(w, opcode);
	wr_range(w, range);
	wr_uuid(w, type);
}

void att_put_read_by_type_req(struct wr *w, struct att_range range, const struct uuid *type)
{
	put_by_type(w, ATT_READ_BY_TYPE_REQ, range, type);
}

void att_put_read_by_group_req(struct wr *w, struct att_range range, const struct uuid *type)
{
	put_by_type(w, ATT_READ_BY_GROUP_REQ, range, type);
}

/* The rest of @r as items of @item_len: one at least, none in part. */
static int finish_list(const struct rd *r, size_t item_len, size_t min_item_len,
                       struct att_list *ret)
{
	if (!rd_ok(r) || item_len < min_item_len || r->left == 0 || r->left % item_len != 0)
		return -EBADMSG;
	*ret = (struct att_list){.r = *r, .item_len = item_len};
	return 0;
}

/* The next item as a cursor of its own; false after the last, and for lists whose items have lengths of their own. */
static bool next_item(struct att_list *l, struct rd *ret)
{
	if (l->item_len == 0 || l->r.left < l->item_len)
		return false;
	*ret = rd_init(rd_bytes(&l->r, l->item_len), l->item_len);
	return true;
}

/* Find Information Response: opcode 1, format 1, then handle 2 + UUID 2 (format 1) or 16 (format 2)
 */
int att_parse_find_info_rsp(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_FIND_INFO_RSP);

	switch (rd_u8(&r)) {
	case ATT_INFO_FORMAT16:
		return finish_list(&r, 2 + 2, 2 + 2, ret);
	case ATT_INFO_FORMAT128:
		return finish_list(&r, 2 + 16, 2 + 16, ret);
	}
	return -EBADMSG;
}

bool att_next_info(struct att_list *l, uint16_t *ret_handle, struct uuid *ret_uuid)
{
	struct rd item;

	if (!next_item(l, &item))
		return false;
	*ret_handle = rd_le16(&item);
	return uuid_from_bytes(item.p, item.left, ret_uuid) == 0;
}

void att_put_find_info_rsp(struct wr *w, uint8_t format)
{
	wr_u8(w, ATT_FIND_INFO_RSP);
	wr_u8(w, format);
}

void att_put_info(struct wr *w, uint16_t handle, const struct uuid *uuid)
{
	wr_le16(w, handle);
	wr_uuid(w, uuid);
}

/* Find By Type Value Response: opcode 1, then found handle 2 + group end handle 2 */
int att_parse_find_by_type_rsp(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_FIND_BY_TYPE_RSP);

	return finish_list(&r, 2 + 2, 2 + 2, ret);
}

bool att_next_handles(struct att_list *l, struct att_range *ret)
{
	struct rd item;

	if (!next_item(l, &item))
		return false;
	*ret = rd_range(&item);
	return true;
}

void att_put_find_by_type_rsp(struct wr *w)
{
	wr_u8(w, ATT_FIND_BY_TYPE_RSP);
}

void att_put_handles(struct wr *w, struct att_range found)
{
	wr_range(w, found);
}

/* Read By Type Response: opcode 1, item length 1, then handle 2 + value (item length - 2) */
int att_parse_read_by_type_rsp(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_READ_BY_TYPE_RSP);
	size_t item_len = rd_u8(&r);

	return finish_list(&r, item_len, 2, ret);
}

bool att_next_typed(struct att_list *l, uint16_t *ret_handle, const uint8_t **ret_value,
                    size_t *ret_len)
{
	struct rd item;

	if (!next_item(l, &item))
		return false;
	*ret_handle = rd_le16(&item);
	*ret_value = rd_rest(&item, ret_len);
	return true;
}

void att_put_read_by_type_rsp(struct wr *w, uint8_t item_len)
{
	wr_u8(w, ATT_READ_BY_TYPE_RSP);
	wr_u8(w, item_len);
}

void att_put_typed(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	wr_le16(w, handle);
	wr_bytes(w, value, len);
}

/* Read By Group Type Response: opcode 1, item length 1, then handle 2 + group end 2 + value (item
 * length - 4) */
int att_parse_read_by_group_rsp(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_READ_BY_GROUP_RSP);
	size_t item_len = rd_u8(&r);

	return finish_list(&r, item_len, 4, ret);
}

bool att_next_group(struct att_list *l, struct att_range *ret_range, const uint8_t **ret_value,
                    size_t *ret_len)
{
	struct rd item;

	if (!next_item(l, &item))
		return false;
	*ret_range = rd_range(&item);
	*ret_value = rd_rest(&item, ret_len);
	return true;
}

void att_put_read_by_group_rsp(struct wr *w, uint8_t item_len)
{
	wr_u8(w, ATT_READ_BY_GROUP_RSP);
	wr_u8(w, item_len);
}

void att_put_group(struct wr *w, struct att_range group, const uint8_t *value, size_t len)
{
	wr_range(w, group);
	wr_bytes(w, value, len);
}

/* Read Request: opcode 1, handle 2 */
int att_parse_read_req(const uint8_t *pdu, size_t len, uint16_t *ret_handle)
{
	struct rd r = open_pdu(pdu, len, ATT_READ_REQ);
	uint16_t handle = rd_le16(&r);

	if (!rd_end(&r))
		return -EBADMSG;
	*ret_handle = handle;
	return 0;
}

void att_put_read_req(struct wr *w, uint16_t handle)
{
	wr_u8(w, ATT_READ_REQ);
	wr_le16(w, handle);
}

/* Read Blob Request: opcode 1, handle 2, offset 2 */
int att_parse_read_blob_req(const uint8_t *pdu, size_t len, uint16_t *ret_handle,
                            uint16_t *ret_offset)
{
	struct rd r = open_pdu(pdu, len, ATT_READ_BLOB_REQ);
	uint16_t handle = rd_le16(&r), offset = rd_le16(&r);

	if (!rd_end(&r))
		return -EBADMSG;
	*ret_handle = handle;
	*ret_offset = offset;
	return 0;
}

void att_put_read_blob_req(struct wr *w, uint16_t handle, uint16_t offset)
{
	wr_u8(w, ATT_READ_BLOB_REQ);
	wr_le16(w, handle);
	wr_le16(w, offset);
}

/* Read, Read Blob and Read Multiple Response: opcode 1, value 0.. */
int att_parse_read_rsp(const uint8_t *pdu, size_t len, const uint8_t **ret_value, size_t *ret_len)
{
	struct rd r = rd_init(pdu, len);
	uint8_t opcode = rd_u8(&r);

	if (opcode != ATT_READ_RSP && opcode != ATT_READ_BLOB_RSP && opcode != ATT_READ_MULTI_RSP)
		return -EBADMSG;
	*ret_value = rd_rest(&r, ret_len);
	return 0;
}

static void put_bytes(struct wr *w, uint8_t opcode, const uint8_t *value, size_t len)
{
	wr_u8(w, opcode);
	wr_bytes(w, value, len);
}

void att_put_read_rsp(struct wr *w, const uint8_t *value, size_t len)
{
	put_bytes(w, ATT_READ_RSP, value, len);
}

void att_put_read_blob_rsp(struct wr *w, const uint8_t *value, size_t len)
{
	put_bytes(w, ATT_READ_BLOB_RSP, value, len);
}

void att_put_read_multi_rsp(struct wr *w, const uint8_t *values, size_t len)
{
	put_bytes(w, ATT_READ_MULTI_RSP, values, len);
}

/* Read Multiple and Read Multiple Variable Request: opcode 1, handles 2 each, two at least */
int att_parse_read_multi_req(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_either(pdu, len, ATT_READ_MULTI_REQ, ATT_READ_MULTI_VAR_REQ);

	if (r.left < 2 * 2)
		return -EBADMSG;
	return finish_list(&r, 2, 2, ret);
}

bool att_next_handle(struct att_list *l, uint16_t *ret_handle)
{
	struct rd item;

	if (!next_item(l, &item))
		return false;
	*ret_handle = rd_le16(&item);
	return true;
}

static void put_handles(struct wr *w, uint8_t opcode, const uint16_t *handles, size_t n)
{
	wr_u8(w, opcode);
	for (size_t i = 0; i < n; i++)
		wr_le16(w, handles[i]);
}

void att_put_read_multi_req(struct wr *w, const uint16_t *handles, size_t n)
{
	put_handles(w, ATT_READ_MULTI_REQ, handles, n);
}

void att_put_read_multi_var_req(struct wr *w, const uint16_t *handles, size_t n)
{
	put_handles(w, ATT_READ_MULTI_VAR_REQ, handles, n);
}

/*
 * Read Multiple Variable Response: opcode 1, then length 2 + value, cut at the MTU wherever that
 * falls: inside the last value, or inside the last length, which then says nothing.
 */
int att_parse_read_multi_var_rsp(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_READ_MULTI_VAR_RSP);

	if (!rd_ok(&r) || r.left < TUPLE_HDR)
		return -EBADMSG;
	*ret = (struct att_list){.r = r};
	return 0;
}

bool att_next_tuple(struct att_list *l, struct att_tuple *ret)
{
	if (!rd_ok(&l->r) || l->r.left < TUPLE_HDR)
		return false;
	ret->full_len = rd_le16(&l->r);
	ret->len = MIN(ret->full_len, l->r.left);
	ret->value = rd_bytes(&l->r, ret->len);
	return true;
}

void att_put_read_multi_var_rsp(struct wr *w)
{
	wr_u8(w, ATT_READ_MULTI_VAR_RSP);
}

bool att_put_tuple(struct wr *w, const uint8_t *value, size_t len)
{
	uint8_t head[TUPLE_HDR] = {len & 0xff, len >> 8 & 0xff};
	size_t head_fits = MIN(sizeof(head), w->left);
	size_t fits = MIN(len, w->left - head_fits);

	wr_bytes(w, head, head_fits);
	wr_bytes(w, value, fits);
	return head_fits == sizeof(head) && fits == len;
}

/* Write Request, Write Command, Notification, Indication: opcode 1, handle 2, value 0.. */
int att_parse_value(const uint8_t *pdu, size_t len, struct att_value *ret)
{
	struct rd r = rd_init(pdu, len);
	struct att_value v;

	switch (rd_u8(&r)) {
	case ATT_WRITE_REQ:
	case ATT_WRITE_CMD:
	case ATT_NOTIFY:
	case ATT_INDICATE:
		break;
	default:
		return -EBADMSG;
	}
	v.handle = rd_le16(&r);
	v.value = rd_rest(&r, &v.len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = v;
	return 0;
}

static void put_value(struct wr *w, uint8_t opcode, uint16_t handle, const uint8_t *value,
                      size_t len)
{
	wr_u8(w, opcode);
	wr_le16(w, handle);
	wr_bytes(w, value, len);
}

void att_put_write_req(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	put_value(w, ATT_WRITE_REQ, handle, value, len);
}

void att_put_write_cmd(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	put_value(w, ATT_WRITE_CMD, handle, value, len);
}

void att_put_notify(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	put_value(w, ATT_NOTIFY, handle, value, len);
}

void att_put_indicate(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	put_value(w, ATT_INDICATE, handle, value, len);
}

/* Write Response, Execute Write Response, Confirmation: opcode 1 */
int att_parse_empty(const uint8_t *pdu, size_t len)
{
	if (len != 1)
		return -EBADMSG;
	switch (pdu[0]) {
	case ATT_WRITE_RSP:
	case ATT_EXECUTE_RSP:
	case ATT_CONFIRM:
		return 0;
	}
	return -EBADMSG;
}

void att_put_write_rsp(struct wr *w)
{
	wr_u8(w, ATT_WRITE_RSP);
}

void att_put_execute_rsp(struct wr *w)
{
	wr_u8(w, ATT_EXECUTE_RSP);
}

void att_put_confirm(struct wr *w)
{
	wr_u8(w, ATT_CONFIRM);
}

/* Signed Write Command: opcode 1, handle 2, value 0.., signature 12 */
int att_parse_signed_write(const uint8_t *pdu, size_t len, struct att_signed_write *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_SIGNED_WRITE_CMD);
	struct att_signed_write s;

	s.v.handle = rd_le16(&r);
	if (!rd_ok(&r) || r.left < ATT_SIGNATURE_LEN)
		return -EBADMSG;
	s.v.len = r.left - ATT_SIGNATURE_LEN;
	s.v.value = rd_bytes(&r, s.v.len);
	s.signature = rd_bytes(&r, ATT_SIGNATURE_LEN);
	*ret = s;
	return 0;
}

void att_put_signed_write(struct wr *w, uint16_t handle, const uint8_t *value, size_t len,
                          const uint8_t signature[ATT_SIGNATURE_LEN])
{
	put_value(w, ATT_SIGNED_WRITE_CMD, handle, value, len);
	wr_bytes(w, signature, ATT_SIGNATURE_LEN);
}

/* Prepare Write Request and Response: opcode 1, handle 2, offset 2, value 0.. */
int att_parse_prepare(const uint8_t *pdu, size_t len, struct att_prepare *ret)
{
	struct rd r = open_either(pdu, len, ATT_PREPARE_REQ, ATT_PREPARE_RSP);
	struct att_prepare p = {.handle = rd_le16(&r)};

	p.offset = rd_le16(&r);
	p.value = rd_rest(&r, &p.len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = p;
	return 0;
}

static void put_prepare(struct wr *w, uint8_t opcode, const struct att_prepare *p)
{
	wr_u8(w, opcode);
	wr_le16(w, p->handle);
	wr_le16(w, p->offset);
	wr_bytes(w, p->value, p->len);
}

void att_put_prepare_req(struct wr *w, const struct att_prepare *p)
{
	put_prepare(w, ATT_PREPARE_REQ, p);
}

void att_put_prepare_rsp(struct wr *w, const struct att_prepare *p)
{
	put_prepare(w, ATT_PREPARE_RSP, p);
}

/* Execute Write Request: opcode 1, flags 1 */
int att_parse_execute_req(const uint8_t *pdu, size_t len, uint8_t *ret_flags)
{
	struct rd r = open_pdu(pdu, len, ATT_EXECUTE_REQ);
	uint8_t flags = rd_u8(&r);

	if (!rd_end(&r) || flags > ATT_EXECUTE_WRITE)
		return -EBADMSG;
	*ret_flags = flags;
	return 0;
}

void att_put_execute_req(struct wr *w, uint8_t flags)
{
	wr_u8(w, ATT_EXECUTE_REQ);
	wr_u8(w, flags);
}

static bool rd_value(struct rd *r, struct att_value *ret)
{
	ret->handle = rd_le16(r);
	ret->len = rd_le16(r);
	ret->value = rd_bytes(r, ret->len);
	return rd_ok(r);
}

/* Multiple Handle Value Notification: opcode 1, then handle 2 + length 2 + value */
int att_parse_notify_multi(const uint8_t *pdu, size_t len, struct att_list *ret)
{
	struct rd r = open_pdu(pdu, len, ATT_NOTIFY_MULTI), walk = r;
	struct att_value v;

	do {
		if (!rd_value(&walk, &v))
			return -EBADMSG;
	} while (walk.left > 0);
	*ret = (struct att_list){.r = r};
	return 0;
}

bool att_next_value(struct att_list *l, struct att_value *ret)
{
	struct att_value v;

	if (l->r.left == 0 || !rd_value(&l->r, &v))
		return false;
	*ret = v;
	return true;
}

void att_put_notify_multi(struct wr *w)
{
	wr_u8(w, ATT_NOTIFY_MULTI);
}

bool att_put_value(struct wr *w, uint16_t handle, const uint8_t *value, size_t len)
{
	if (!wr_ok(w) || w->left < 4 || len > w->left - 4 || len > UINT16_MAX)
		return false;
	wr_le16(w, handle);
	wr_le16(w, (uint16_t)len);
	wr_bytes(w, value, len);
	return true;
}
