/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor: the least code that can do it on the kernel's sockets. What a daemon adds is measured against this.
 */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/addr.h"
#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/kernel.h"
#include "aiobled/mgmt_pdu.h"

#define CHARACTERISTICS_MAX 1024
#define SERVICES_MAX        256

static struct {
	int fd, hci, mgmt;
	uint16_t index; /* of the controller */
	struct addr peer;
	uint8_t pdu[ATT_MTU_MAX];
	uint16_t mtu;
	struct found {
		struct uuid uuid;
		uint16_t declaration, handle;
		bool notifies;
	} found[CHARACTERISTICS_MAX];
	uint16_t ends[SERVICES_MAX];
	int n_found, n_ends;
	uint16_t handle;
} f;

/* a command to the management channel, and its answer, whatever it is */
static void mgmt_command(const struct wr *w, uint16_t opcode)
{
	uint8_t buf[512];
	struct mgmt_msg msg;
	struct mgmt_reply reply;
	ssize_t n;

	if (!wr_ok(w) || write(f.mgmt, w->start, wr_len(w)) < 0)
		die("mgmt");
	while (wait_fd(f.mgmt, POLLIN, 10000)) {
		n = read(f.mgmt, buf, sizeof(buf));
		if (n > 0 && mgmt_parse_msg(buf, (size_t)n, &msg) == 0 &&
		    mgmt_parse_reply(&msg, &reply) == 0 && reply.opcode == opcode)
			return;
	}
	die("mgmt does not answer");
}

/* mgmt: LE on, power on, as a manager would; what it answers does not matter here, connecting shows whether it worked */
static void floor_open(void)
{
	static const uint16_t steps[] = {MGMT_SET_LE, MGMT_SET_POWERED};
	const char *index = getenv("BENCH_INDEX");

	f.fd = f.hci = -1;
	f.index = index ? (uint16_t)atoi(index) : 0;
	f.mgmt = kernel_linux.mgmt(&kernel_linux);
	if (f.mgmt < 0)
		die("no mgmt channel");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		uint8_t buf[32];
		struct wr w = wr_init(buf, sizeof(buf));

		mgmt_put_mode(&w, steps[i], f.index, 1);
		mgmt_command(&w, steps[i]);
	}
}

/* bluetoothd is a client of everybody: there is nothing here for it */
static void refuse(void)
{
	uint8_t buf[ATT_MTU_DEFAULT];
	struct wr w = wr_init(buf, sizeof(buf));

	if (f.pdu[0] == ATT_MTU_REQ)
		att_put_mtu_rsp(&w, ATT_MTU_MAX);
	else
		att_put_error(&w, f.pdu[0], 1, ATT_ERR_NOT_FOUND);
	(void)send(f.fd, buf, wr_len(&w), 0);
}

static size_t receive(int timeout_ms)
{
	ssize_t n;

	do {
		if (!wait_fd(f.fd, POLLIN, timeout_ms))
			return 0;
		n = recv(f.fd, f.pdu, sizeof(f.pdu), 0);
		if (n <= 0)
			die("the link is gone");
		if (att_kind(f.pdu[0]) == ATT_KIND_REQUEST)
			refuse();
	} while (att_kind(f.pdu[0]) == ATT_KIND_REQUEST);
	return (size_t)n;
}

static size_t request(const struct wr *w)
{
	uint8_t opcode = w->start[0];
	size_t n;

	if (!wr_ok(w) || send(f.fd, w->start, wr_len(w), 0) < 0)
		die("a request could not be sent");
	do {
		n = receive(10000);
		if (!n)
			die("no answer");
	} while (f.pdu[0] != ATT_ERROR_RSP && f.pdu[0] != att_response_of(opcode));
	return n;
}

static void floor_connect(const char *address)
{
	struct addr local, peer;
	const char *own = getenv("BENCH_LOCAL");

	if (!own || addr_parse(own, ADDR_PUBLIC, &local) < 0 ||
	    addr_parse(address, ADDR_PUBLIC, &peer) < 0)
		die("BENCH_LOCAL or the peer's address is none");
	f.peer = peer;
	f.fd = kernel_linux.att_connect(&kernel_linux, &local, &peer);
	if (f.fd < 0)
		die("connect: %d", f.fd);
	if (!wait_fd(f.fd, POLLOUT, 30000) ||
	    kernel_linux.att_connect_result(&kernel_linux, f.fd) < 0)
		die("connect failed");
	f.mtu = ATT_MTU_DEFAULT;
}

static void find_services(void)
{
	struct att_range range = {1, 0xffff};
	struct uuid primary = uuid_from16(0x2800);
	uint8_t buf[ATT_MTU_MAX];
	struct att_list list;

	f.n_ends = 0;
	while (range.start) {
		struct wr w = wr_init(buf, sizeof(buf));
		struct att_range group = range;
		const uint8_t *value;
		size_t len;

		att_put_read_by_group_req(&w, range, &primary);
		if (att_parse_read_by_group_rsp(f.pdu, request(&w), &list) < 0)
			break;
		while (att_next_group(&list, &group, &value, &len) && f.n_ends < SERVICES_MAX)
			f.ends[f.n_ends++] = group.end;
		range.start = group.end == 0xffff ? 0 : (uint16_t)(group.end + 1);
	}
}

static void find_characteristics(void)
{
	struct att_range range = {1, 0xffff};
	struct uuid declaration = uuid_from16(0x2803);
	uint8_t buf[ATT_MTU_MAX];
	struct att_list list;

	f.n_found = 0;
	for (;;) {
		struct wr w = wr_init(buf, sizeof(buf));
		uint16_t handle = 0;
		const uint8_t *value;
		size_t len;

		att_put_read_by_type_req(&w, range, &declaration);
		if (att_parse_read_by_type_rsp(f.pdu, request(&w), &list) < 0)
			return;
		while (att_next_typed(&list, &handle, &value, &len) &&
		       f.n_found < CHARACTERISTICS_MAX) {
			struct found *c = &f.found[f.n_found++];

			if (len < 5 || uuid_from_bytes(value + 3, len - 3, &c->uuid) < 0)
				die("a broken declaration");
			c->declaration = handle;
			c->notifies = value[0] & 0x30;
			c->handle = (uint16_t)(value[1] | value[2] << 8);
		}
		range.start = (uint16_t)(handle + 1);
	}
}

static void find_info(struct att_range range)
{
	uint8_t buf[ATT_MTU_MAX];
	struct att_list list;
	struct uuid uuid;

	while (range.start <= range.end) {
		struct wr w = wr_init(buf, sizeof(buf));
		uint16_t handle = range.end;

		att_put_find_info_req(&w, range);
		if (att_parse_find_info_rsp(f.pdu, request(&w), &list) < 0)
			return;
		while (att_next_info(&list, &handle, &uuid))
			;
		range.start = (uint16_t)(handle + 1);
	}
}

/* One handle behind the value of a characteristic that notifies is its CCCD (Core 5.4, Vol 3, Part G, 3.3.3.3). */
static void find_descriptors(void)
{
	int service = 0;

	for (int i = 0; i < f.n_found; i++) {
		const struct found *c = &f.found[i];
		struct att_range gap = {(uint16_t)(c->handle + 1), c->handle};

		while (service < f.n_ends - 1 && f.ends[service] < c->handle)
			service++;
		gap.end = f.ends[service];
		if (i + 1 < f.n_found)
			gap.end = MIN(gap.end, (uint16_t)(c[1].declaration - 1));
		if (gap.end >= gap.start && !(gap.end == gap.start && c->notifies))
			find_info(gap);
	}
}

static int floor_resolve(void)
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	att_put_mtu_req(&w, ATT_MTU_MAX);
	(void)att_parse_mtu(f.pdu, request(&w), &f.mtu);
	find_services();
	find_characteristics();
	find_descriptors();
	return f.n_found;
}

static void floor_choose(const char *text)
{
	struct uuid uuid;

	if (uuid_parse(text, &uuid) < 0)
		die("%s is no UUID", text);
	for (int i = 0; i < f.n_found; i++) {
		if (uuid_equal(&f.found[i].uuid, &uuid)) {
			f.handle = f.found[i].handle;
			return;
		}
	}
	die("no characteristic %s", text);
}

static size_t floor_read(uint8_t value[VALUE_MAX])
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	const uint8_t *p;
	size_t len;

	att_put_read_req(&w, f.handle);
	if (att_parse_read_rsp(f.pdu, request(&w), &p, &len) < 0)
		die("read refused");
	memcpy(value, p, MIN(len, (size_t)VALUE_MAX));
	return len;
}

static size_t floor_read_uuid(const char *text, uint8_t value[VALUE_MAX])
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));
	struct att_list list;
	struct uuid uuid;
	const uint8_t *p;
	uint16_t handle;
	size_t len;

	if (uuid_parse(text, &uuid) < 0)
		die("%s is no UUID", text);
	att_put_read_by_type_req(&w, (struct att_range){1, 0xffff}, &uuid);
	if (att_parse_read_by_type_rsp(f.pdu, request(&w), &list) < 0 ||
	    !att_next_typed(&list, &handle, &p, &len))
		die("no characteristic %s", text);
	memcpy(value, p, MIN(len, (size_t)VALUE_MAX));
	return len;
}

static void floor_open_write(void)
{
}

static void floor_command(const uint8_t *value, size_t len)
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	att_put_write_cmd(&w, f.handle, value, len);
	while (send(f.fd, buf, wr_len(&w), 0) < 0) {
		if (errno != EAGAIN || !wait_fd(f.fd, POLLOUT, 10000))
			die("a command could not be sent");
	}
}

static void write_handle(uint16_t handle, const uint8_t *value, size_t len)
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	att_put_write_req(&w, handle, value, len);
	(void)request(&w);
	if (f.pdu[0] == ATT_ERROR_RSP)
		die("write refused");
}

/* the flood begins with the answer: nothing may be thrown away while waiting for it, so it is not awaited */
static void floor_write(const uint8_t *value, size_t len)
{
	uint8_t buf[ATT_MTU_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	att_put_write_req(&w, f.handle, value, len);
	if (send(f.fd, buf, wr_len(&w), 0) < 0)
		die("a write could not be sent");
}

static bool floor_subscribe(_unused_ bool by_fd)
{
	static const uint8_t on[2] = {1, 0};

	write_handle((uint16_t)(f.handle + 1), on, sizeof(on));
	return true;
}

static int floor_next(uint8_t value[VALUE_MAX], int timeout_ms)
{
	struct att_value v;
	size_t n;

	do {
		n = receive(timeout_ms);
		if (!n)
			return -1;
	} while (f.pdu[0] != ATT_NOTIFY || att_parse_value(f.pdu, n, &v) < 0);
	memcpy(value, v.value, MIN(v.len, (size_t)VALUE_MAX));
	return (int)v.len;
}

static uint64_t floor_dropped(void)
{
	return 0;
}

static void floor_disconnect(void)
{
	uint8_t buf[32];
	struct wr w = wr_init(buf, sizeof(buf));

	/* a closed channel alone would leave the link up for two seconds */
	mgmt_put_addr_cmd(&w, MGMT_DISCONNECT, f.index, &f.peer);
	mgmt_command(&w, MGMT_DISCONNECT);
	(void)close(f.fd);
}

static void hci_command(struct wr *w)
{
	if (!wr_ok(w) || write(f.hci, w->start, wr_len(w)) < 0)
		die("an HCI command could not be sent");
	(void)usleep(20000); /* its completion is read with the reports */
}

static void floor_scan(void)
{
	/* 60 ms of 60 ms, passive, duplicates reported; the script knows which commands the controller has */
	static const uint8_t params[] = {0x01, 0x41, 0x20, 8, 0, 0, 1, 0, 0x60, 0, 0x60, 0};
	static const uint8_t enable[] = {0x01, 0x42, 0x20, 6, 1, 0, 0, 0, 0, 0};
	static const uint8_t params_legacy[] = {0x01, 0x0b, 0x20, 7, 0, 0x60, 0, 0x60, 0, 0, 0};
	static const uint8_t enable_legacy[] = {0x01, 0x0c, 0x20, 2, 1, 0};
	bool legacy = getenv("BENCH_LEGACY") != NULL;
	uint8_t buf[64];
	struct wr w;

	f.hci = kernel_linux.hci(&kernel_linux, 0);
	if (f.hci < 0)
		die("no raw HCI channel");
	w = wr_init(buf, sizeof(buf));
	if (legacy)
		wr_bytes(&w, params_legacy, sizeof(params_legacy));
	else
		wr_bytes(&w, params, sizeof(params));
	hci_command(&w);
	w = wr_init(buf, sizeof(buf));
	if (legacy)
		wr_bytes(&w, enable_legacy, sizeof(enable_legacy));
	else
		wr_bytes(&w, enable, sizeof(enable));
	hci_command(&w);
}

static int floor_next_report(int timeout_ms)
{
	uint64_t end = now_us() + (uint64_t)timeout_ms * 1000;
	uint8_t buf[300];

	while (now_us() < end) {
		struct hcip_event ev;
		struct hcip_reports reports;
		struct hcip_report report;
		ssize_t n;
		int count = 0;

		if (!wait_fd(f.hci, POLLIN, (int)((end - now_us()) / 1000)))
			return -1;
		n = read(f.hci, buf, sizeof(buf));
		if (n <= 0 || hcip_parse_event(buf, (size_t)n, &ev) < 0 ||
		    hcip_parse_reports(&ev, &reports) < 0)
			continue;
		while (hcip_next_report(&reports, &report))
			count++;
		return count;
	}
	return -1;
}

const struct subject subject_floor = {
	.name = "floor",
	.open = floor_open,
	.connect = floor_connect,
	.resolve = floor_resolve,
	.choose = floor_choose,
	.read = floor_read,
	.read_uuid = floor_read_uuid,
	.open_write = floor_open_write,
	.command = floor_command,
	.write = floor_write,
	.subscribe = floor_subscribe,
	.next = floor_next,
	.dropped = floor_dropped,
	.disconnect = floor_disconnect,
	.scan = floor_scan,
	.next_report = floor_next_report,
};
