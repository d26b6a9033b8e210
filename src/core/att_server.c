/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server of a bearer that nobody gave one: a database without attributes, answered to the
 * letter. A format error is Invalid PDU; a range that starts at 0 or ends before it starts, and any
 * single handle, is Invalid Handle; a proper range holds nothing.
 */
#include <errno.h>

#include "aiobled/att.h"

#define PRIMARY_SERVICE   0x2800
#define SECONDARY_SERVICE 0x2801

struct refusal {
	uint16_t handle;
	uint8_t code;
};

static struct refusal refuse_range(struct att_range range)
{
	bool proper = range.start != 0 && range.start <= range.end;

	return (struct refusal){range.start, proper ? ATT_ERR_NOT_FOUND : ATT_ERR_INVALID_HANDLE};
}

/*
 * Only services are groups here (Core 5.4, Vol 3, Part G, 2.5.3); any other type is refused as such
 * (3.4.4.9).
 */
static struct refusal refuse_by_type(const struct att_by_type *req, bool group)
{
	struct refusal no = refuse_range(req->range);

	if (group && no.code == ATT_ERR_NOT_FOUND && !uuid_equal16(&req->type, PRIMARY_SERVICE) &&
	    !uuid_equal16(&req->type, SECONDARY_SERVICE))
		no.code = ATT_ERR_UNSUPPORTED_GROUP;
	return no;
}

/* Return: 0 with the reason in @ret; -EBADMSG. */
static int refuse(const uint8_t *pdu, size_t len, struct refusal *ret)
{
	struct att_range range;
	struct att_find_by_type find;
	struct att_by_type by_type;
	struct att_list handles;
	struct att_value value;
	struct att_prepare prepare;
	uint16_t offset;
	int r = -EBADMSG;

	*ret = (struct refusal){0, ATT_ERR_INVALID_HANDLE};
	switch (pdu[0]) {
	case ATT_FIND_INFO_REQ:
		r = att_parse_find_info_req(pdu, len, &range);
		if (r == 0)
			*ret = refuse_range(range);
		break;
	case ATT_FIND_BY_TYPE_REQ:
		r = att_parse_find_by_type_req(pdu, len, &find);
		if (r == 0)
			*ret = refuse_range(find.range);
		break;
	case ATT_READ_BY_TYPE_REQ:
	case ATT_READ_BY_GROUP_REQ:
		r = att_parse_read_by_type_req(pdu, len, &by_type);
		if (r == 0)
			*ret = refuse_by_type(&by_type, pdu[0] == ATT_READ_BY_GROUP_REQ);
		break;
	case ATT_READ_REQ:
		r = att_parse_read_req(pdu, len, &ret->handle);
		break;
	case ATT_READ_BLOB_REQ:
		r = att_parse_read_blob_req(pdu, len, &ret->handle, &offset);
		break;
	case ATT_READ_MULTI_REQ:
	case ATT_READ_MULTI_VAR_REQ:
		r = att_parse_read_multi_req(pdu, len, &handles);
		/* there are two at least */
		if (r == 0)
			(void)att_next_handle(&handles, &ret->handle);
		break;
	case ATT_WRITE_REQ:
		r = att_parse_value(pdu, len, &value);
		if (r == 0)
			ret->handle = value.handle;
		break;
	case ATT_PREPARE_REQ:
		r = att_parse_prepare(pdu, len, &prepare);
		if (r == 0)
			ret->handle = prepare.handle;
		break;
	}
	return r;
}

static bool empty_request(const uint8_t *pdu, size_t len, struct wr *rsp, _unused_ void *data)
{
	struct refusal no;
	uint8_t flags;

	if (pdu[0] == ATT_EXECUTE_REQ && att_parse_execute_req(pdu, len, &flags) == 0)
		/* the queue is empty, so either flag is done at once (3.4.6.3) */
		att_put_execute_rsp(rsp);
	else if (refuse(pdu, len, &no) < 0)
		att_put_error(rsp, pdu[0], 0, ATT_ERR_INVALID_PDU);
	else
		att_put_error(rsp, pdu[0], no.handle, no.code);
	return true;
}

const struct att_server att_server_empty = {.request = empty_request};
