/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a PDU apart with att_parse_*() and writes it again with att_put_*(): what comes out must be what went in. Unit
 * test and fuzzer share it, so that no PDU can be known to one of them alone.
 */
#pragma once

#include <errno.h>

#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"

static inline int echo_find_info_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	uint16_t handle;
	struct uuid uuid;
	int r = att_parse_find_info_rsp(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_find_info_rsp(w, pdu[1]);
	while (att_next_info(&l, &handle, &uuid)) {
		wr_le16(w,
		        handle); /* not att_put_info(): a 16-bit UUID may come in its 128-bit form */
		wr_bytes(w, pdu[1] == ATT_INFO_FORMAT16 ? uuid.b + 12 : uuid.b,
		         pdu[1] == ATT_INFO_FORMAT16 ? 2 : 16);
	}
	return 0;
}

static inline int echo_read_by_type_req(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_by_type req;
	int r = att_parse_read_by_type_req(pdu, len, &req);

	if (r < 0)
		return r;
	if (len == 5 + 16 && uuid_is16(&req.type, NULL)) {
		wr_bytes(w, pdu, len); /* valid, but written in the short form by us */
		return 0;
	}
	if (pdu[0] == ATT_READ_BY_TYPE_REQ)
		att_put_read_by_type_req(w, req.range, &req.type);
	else
		att_put_read_by_group_req(w, req.range, &req.type);
	return 0;
}

static inline int echo_find_by_type_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	struct att_range range;
	int r = att_parse_find_by_type_rsp(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_find_by_type_rsp(w);
	while (att_next_handles(&l, &range))
		att_put_handles(w, range);
	return 0;
}

static inline int echo_read_by_type_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	uint16_t handle;
	const uint8_t *value;
	size_t value_len;
	int r = att_parse_read_by_type_rsp(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_read_by_type_rsp(w, (uint8_t)l.item_len);
	while (att_next_typed(&l, &handle, &value, &value_len))
		att_put_typed(w, handle, value, value_len);
	return 0;
}

static inline int echo_read_by_group_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	struct att_range range;
	const uint8_t *value;
	size_t value_len;
	int r = att_parse_read_by_group_rsp(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_read_by_group_rsp(w, (uint8_t)l.item_len);
	while (att_next_group(&l, &range, &value, &value_len))
		att_put_group(w, range, value, value_len);
	return 0;
}

static inline int echo_read_multi_req(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	uint16_t handles[1024];
	size_t n = 0;
	int r = att_parse_read_multi_req(pdu, len, &l);

	if (r < 0)
		return r;
	while (n < ARRAY_SIZE(handles) && att_next_handle(&l, &handles[n]))
		n++;
	if (pdu[0] == ATT_READ_MULTI_REQ)
		att_put_read_multi_req(w, handles, n);
	else
		att_put_read_multi_var_req(w, handles, n);
	wr_bytes(w, l.r.p, l.r.left); /* beyond what any MTU allows */
	return 0;
}

static inline int echo_read_multi_var_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	static uint8_t whole[UINT16_MAX];
	struct att_list l;
	struct att_tuple t;
	int r = att_parse_read_multi_var_rsp(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_read_multi_var_rsp(w);
	while (att_next_tuple(&l, &t)) {
		if (t.len)
			memcpy(whole, t.value, t.len);
		(void)att_put_tuple(w, whole, t.full_len); /* @w is cut where the PDU was */
	}
	wr_bytes(w, l.r.p, l.r.left); /* half a length */
	return 0;
}

static inline int echo_notify_multi(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_list l;
	struct att_value v;
	int r = att_parse_notify_multi(pdu, len, &l);

	if (r < 0)
		return r;
	att_put_notify_multi(w);
	while (att_next_value(&l, &v)) {
		if (!att_put_value(w, v.handle, v.value, v.len))
			return -EMSGSIZE;
	}
	return 0;
}

static inline int echo_value(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_value v;
	int r = att_parse_value(pdu, len, &v);

	if (r < 0)
		return r;
	switch (pdu[0]) {
	case ATT_WRITE_REQ:
		att_put_write_req(w, v.handle, v.value, v.len);
		break;
	case ATT_WRITE_CMD:
		att_put_write_cmd(w, v.handle, v.value, v.len);
		break;
	case ATT_NOTIFY:
		att_put_notify(w, v.handle, v.value, v.len);
		break;
	case ATT_INDICATE:
		att_put_indicate(w, v.handle, v.value, v.len);
		break;
	}
	return 0;
}

static inline int echo_read_rsp(const uint8_t *pdu, size_t len, struct wr *w)
{
	const uint8_t *value;
	size_t n;
	int r = att_parse_read_rsp(pdu, len, &value, &n);

	if (r < 0)
		return r;
	if (pdu[0] == ATT_READ_RSP)
		att_put_read_rsp(w, value, n);
	else if (pdu[0] == ATT_READ_BLOB_RSP)
		att_put_read_blob_rsp(w, value, n);
	else
		att_put_read_multi_rsp(w, value, n);
	return 0;
}

static inline int echo_empty(const uint8_t *pdu, size_t len, struct wr *w)
{
	int r = att_parse_empty(pdu, len);

	if (r < 0)
		return r;
	if (pdu[0] == ATT_WRITE_RSP)
		att_put_write_rsp(w);
	else if (pdu[0] == ATT_EXECUTE_RSP)
		att_put_execute_rsp(w);
	else
		att_put_confirm(w);
	return 0;
}

/* PDUs of a few fields. -EBADMSG also for opcodes that are not among them. */
static inline int echo_small(const uint8_t *pdu, size_t len, struct wr *w)
{
	struct att_error e;
	struct att_range range;
	struct att_find_by_type find;
	struct att_signed_write s;
	struct att_prepare p;
	uint16_t a, b;
	uint8_t flags;

	if (att_parse_error(pdu, len, &e) == 0)
		att_put_error(w, e.request, e.handle, e.code);
	else if (att_parse_mtu(pdu, len, &a) == 0)
		(pdu[0] == ATT_MTU_REQ ? att_put_mtu_req : att_put_mtu_rsp)(w, a);
	else if (att_parse_find_info_req(pdu, len, &range) == 0)
		att_put_find_info_req(w, range);
	else if (att_parse_find_by_type_req(pdu, len, &find) == 0)
		att_put_find_by_type_req(w, &find);
	else if (att_parse_read_req(pdu, len, &a) == 0)
		att_put_read_req(w, a);
	else if (att_parse_read_blob_req(pdu, len, &a, &b) == 0)
		att_put_read_blob_req(w, a, b);
	else if (att_parse_signed_write(pdu, len, &s) == 0)
		att_put_signed_write(w, s.v.handle, s.v.value, s.v.len, s.signature);
	else if (att_parse_prepare(pdu, len, &p) == 0)
		(pdu[0] == ATT_PREPARE_REQ ? att_put_prepare_req : att_put_prepare_rsp)(w, &p);
	else if (att_parse_execute_req(pdu, len, &flags) == 0)
		att_put_execute_req(w, flags);
	else
		return -EBADMSG;
	return 0;
}

/** att_echo() - 0 and the PDU again in @w, which must be exactly as long as the PDU; or -EBADMSG */
static inline int att_echo(const uint8_t *pdu, size_t len, struct wr *w)
{
	switch (len ? pdu[0] : 0) {
	case ATT_FIND_INFO_RSP:
		return echo_find_info_rsp(pdu, len, w);
	case ATT_FIND_BY_TYPE_RSP:
		return echo_find_by_type_rsp(pdu, len, w);
	case ATT_READ_BY_TYPE_REQ:
	case ATT_READ_BY_GROUP_REQ:
		return echo_read_by_type_req(pdu, len, w);
	case ATT_READ_BY_TYPE_RSP:
		return echo_read_by_type_rsp(pdu, len, w);
	case ATT_READ_BY_GROUP_RSP:
		return echo_read_by_group_rsp(pdu, len, w);
	case ATT_READ_RSP:
	case ATT_READ_BLOB_RSP:
	case ATT_READ_MULTI_RSP:
		return echo_read_rsp(pdu, len, w);
	case ATT_READ_MULTI_REQ:
	case ATT_READ_MULTI_VAR_REQ:
		return echo_read_multi_req(pdu, len, w);
	case ATT_READ_MULTI_VAR_RSP:
		return echo_read_multi_var_rsp(pdu, len, w);
	case ATT_WRITE_REQ:
	case ATT_WRITE_CMD:
	case ATT_NOTIFY:
	case ATT_INDICATE:
		return echo_value(pdu, len, w);
	case ATT_WRITE_RSP:
	case ATT_EXECUTE_RSP:
	case ATT_CONFIRM:
		return echo_empty(pdu, len, w);
	case ATT_NOTIFY_MULTI:
		return echo_notify_multi(pdu, len, w);
	}
	return echo_small(pdu, len, w);
}
