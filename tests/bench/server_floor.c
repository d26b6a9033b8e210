/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor of the peripheral side: a listener on the kernel's ATT channel, and a fixed table answered from memory. It knows
 * the requests of subject_floor.c and refuses all others.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/addr.h"
#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"
#include "aiobled/kernel.h"
#include "aiobled/mgmt_pdu.h"

/* the service is declared at 1; a declaration stands before each value */
enum { HANDLE_COUNT = 3, HANDLE_FLOOD = 5, HANDLE_CCCD = 6 };

#define INTERVAL 48 /* of 0.625 ms */

static struct {
	int listener, fd;
} f = {-1, -1};

static void mgmt_command(int mgmt, const struct wr *w, uint16_t opcode)
{
	uint8_t buf[512];
	struct mgmt_msg msg;
	struct mgmt_reply reply;
	ssize_t n;

	if (!wr_ok(w) || write(mgmt, w->start, wr_len(w)) < 0)
		die("mgmt");
	while (wait_fd(mgmt, POLLIN, 10000)) {
		n = read(mgmt, buf, sizeof(buf));
		if (n > 0 && mgmt_parse_msg(buf, (size_t)n, &msg) == 0 &&
		    mgmt_parse_reply(&msg, &reply) == 0 && reply.opcode == opcode)
			return;
	}
	die("mgmt does not answer");
}

static void mgmt_set(int mgmt, uint16_t opcode)
{
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_mode(&w, opcode, 0, 1);
	mgmt_command(mgmt, &w, opcode);
}

/* that there was nothing to remove is fine, too */
static void advertise(int mgmt)
{
	static const struct mgmt_adv_params params = {
		.instance = 1,
		.flags = MGMT_ADV_CONNECTABLE | MGMT_ADV_HAS_INTERVALS,
		.min_interval = INTERVAL,
		.max_interval = INTERVAL,
	};
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_adv_remove(&w, 0, 0);
	mgmt_command(mgmt, &w, MGMT_REMOVE_ADVERTISING);
	w = wr_init(buf, sizeof(buf));
	mgmt_put_adv_params(&w, 0, &params);
	mgmt_command(mgmt, &w, MGMT_ADD_EXT_ADV_PARAMS);
	w = wr_init(buf, sizeof(buf));
	mgmt_put_adv_data(&w, 0, 1, NULL, 0, NULL, 0);
	mgmt_command(mgmt, &w, MGMT_ADD_EXT_ADV_DATA);
}

static void floor_open(_unused_ bool by_fd)
{
	const char *own = getenv("BENCH_LOCAL");
	int mgmt = kernel_linux.mgmt(&kernel_linux);
	struct addr local;

	if (mgmt < 0 || !own || addr_parse(own, ADDR_PUBLIC, &local) < 0)
		die("no mgmt channel, or BENCH_LOCAL is no address");
	mgmt_set(mgmt, MGMT_SET_LE);
	mgmt_set(mgmt, MGMT_SET_POWERED);
	f.listener = kernel_linux.att_listen(&kernel_linux, &local);
	if (f.listener < 0)
		die("listen: %d", f.listener);
	advertise(mgmt);
	(void)close(mgmt);
}

static void put_declaration(struct wr *w, uint16_t handle, uint8_t properties, const char *uuid)
{
	uint8_t item[3 + UUID_WIRE_MAX];
	struct wr v = wr_init(item, sizeof(item));
	struct uuid u;

	if (uuid_parse(uuid, &u) < 0)
		die("%s is no UUID", uuid);
	wr_u8(&v, properties);
	wr_le16(&v, (uint16_t)(handle + 1));
	(void)uuid_wire(&u, wr_space(&v, UUID_WIRE_MAX));
	att_put_typed(w, handle, item, sizeof(item));
}

/* both declarations fit into one answer because the central has asked for the longest MTU before */
static void answer_by_type(struct wr *w, uint8_t opcode, const struct att_by_type *req)
{
	struct uuid u;
	uint8_t wire[UUID_WIRE_MAX];

	if (opcode == ATT_READ_BY_GROUP_REQ && req->range.start == 1) {
		(void)uuid_parse(UUID_SERVICE, &u);
		att_put_read_by_group_rsp(w, 4 + UUID_WIRE_MAX);
		att_put_group(w, (struct att_range){1, HANDLE_CCCD}, wire, uuid_wire(&u, wire));
	} else if (opcode == ATT_READ_BY_TYPE_REQ && req->range.start <= 2) {
		att_put_read_by_type_rsp(w, 5 + UUID_WIRE_MAX);
		put_declaration(w, HANDLE_COUNT - 1, 0x02 | 0x04, UUID_COUNT);
		put_declaration(w, HANDLE_FLOOD - 1, 0x08 | 0x10, UUID_FLOOD);
	} else {
		att_put_error(w, opcode, req->range.start, ATT_ERR_NOT_FOUND);
	}
}

static void answer(const uint8_t *pdu, size_t len)
{
	static const uint8_t count[4];
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct att_by_type by_type;
	uint16_t handle;

	if (att_parse_read_req(pdu, len, &handle) == 0 && handle == HANDLE_COUNT)
		att_put_read_rsp(&w, count, sizeof(count));
	else if (pdu[0] == ATT_MTU_REQ)
		att_put_mtu_rsp(&w, ATT_MTU_MAX);
	else if (pdu[0] == ATT_WRITE_REQ)
		att_put_write_rsp(&w);
	else if ((pdu[0] == ATT_READ_BY_TYPE_REQ || pdu[0] == ATT_READ_BY_GROUP_REQ) &&
	         att_parse_read_by_type_req(pdu, len, &by_type) == 0)
		answer_by_type(&w, pdu[0], &by_type);
	else
		att_put_error(&w, pdu[0], 0, ATT_ERR_NOT_SUPPORTED);
	if (!wr_ok(&w) || send(f.fd, buf, wr_len(&w), 0) < 0)
		die("an answer could not be sent");
}

static bool take_link(int timeout_ms)
{
	struct addr peer;

	if (!wait_fd(f.listener, POLLIN, timeout_ms))
		return false;
	f.fd = kernel_linux.att_accept(&kernel_linux, f.listener, &peer);
	return f.fd >= 0;
}

static void lose_link(void)
{
	(void)close(f.fd);
	f.fd = -1;
}

static enum heard floor_next(uint8_t value[VALUE_MAX], size_t *ret_len, int timeout_ms)
{
	uint8_t pdu[ATT_MTU_MAX];
	struct att_value v = {0};
	ssize_t n;

	if (f.fd < 0 && !take_link(timeout_ms))
		return HEARD_NOTHING;
	while (wait_fd(f.fd, POLLIN, timeout_ms)) {
		n = recv(f.fd, pdu, sizeof(pdu), 0);
		if (n <= 0) {
			lose_link();
			return HEARD_NOTHING;
		}
		if (pdu[0] != ATT_WRITE_CMD)
			answer(pdu, (size_t)n);
		if ((pdu[0] != ATT_WRITE_CMD && pdu[0] != ATT_WRITE_REQ) ||
		    att_parse_value(pdu, (size_t)n, &v) < 0 || v.handle == HANDLE_CCCD ||
		    v.len > VALUE_MAX)
			continue;
		memcpy(value, v.value, v.len);
		*ret_len = v.len;
		return v.handle == HANDLE_FLOOD ? HEARD_ORDER : HEARD_COMMAND;
	}
	return HEARD_NOTHING;
}

static void floor_notify(const uint8_t *value, size_t len)
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	att_put_notify(&w, HANDLE_FLOOD, value, len);
	while (send(f.fd, buf, wr_len(&w), 0) < 0) {
		if (errno != EAGAIN || !wait_fd(f.fd, POLLOUT, 10000))
			die("a notification could not be sent");
	}
}

const struct server server_floor = {
	.name = "floor",
	.open = floor_open,
	.next = floor_next,
	.notify = floor_notify,
};
