/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hostile neighbourhood, controller or kernel can tell an adapter: a script of HCI and mgmt events, while clients
 * scan, connect and leave in the same script. Behind it: fragments, device table, filters, duplicates, the scan's state
 * machine, attempts and links. The channels are replaced: every command succeeds, later.
 *
 * The script: an opcode byte, then its arguments (below); it ends where an argument is missing.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/core/adapter_priv.h"
#include "../../src/core/links_priv.h"
#include "../../src/core/scan_table.h"
#include "aiobled/conn.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/scan.h"
#include "fuzz.h"

enum {
	OP_HCI,     /* length, code, bytes */
	OP_MGMT,    /* length, code, bytes */
	OP_TIME,    /* units of 10 ms */
	OP_SCAN,    /* slot, options */
	OP_STOP,    /* slot */
	OP_CONNECT, /* slot, peer */
	OP_LEAVE,   /* slot */
	OP_CHANNEL, /* slot, what */
	OP_POWER,
	OP_DROP,  /* of a link */
	OP_KNOCK, /* peer, handle: a channel to accept */
	OPS
};

#define SLOTS     4
#define FDS       64
#define STEPS_MAX 4096

static struct adapter adapter;
static struct manager_config config;
static struct scanner *scanners[SLOTS];
static struct connect_op connects[SLOTS];
static struct conn_observer observers[SLOTS];
static bool is_free_in_report;
static uint64_t told;

/* --- the replaced ends --- */

int hci_chan_send_pkt(struct hci_chan *chan, struct hci_cmd *cmd, const struct wr *pkt,
                      uint32_t timeout_ms)
{
	FUZZ_CHECK(chan && wr_ok(pkt));
	op_start(&cmd->op, NULL, NULL, timeout_ms);
	op_complete_later(&cmd->op, 0);
	return 0;
}

int mgmt_send_msg(struct mgmt *mgmt, struct mgmt_cmd *cmd, const struct wr *msg,
                  uint32_t timeout_ms)
{
	FUZZ_CHECK(wr_ok(msg));
	cmd->rsp = NULL;
	cmd->rsp_len = 0;
	op_start(&cmd->op, NULL, NULL, timeout_ms);
	op_complete_later(&cmd->op, 0);
	return 0;
}

int mgmt_send(struct mgmt *mgmt, struct mgmt_cmd *cmd, uint16_t opcode, uint16_t index,
              const void *param, size_t len, uint32_t timeout_ms)
{
	static const struct wr none;

	return mgmt_send_msg(mgmt, cmd, &none, timeout_ms);
}

void adapter_changed(struct adapter *a)
{
}

void adapter_emit_conn(struct adapter *a, struct conn *conn)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (!list_linked(&observers[i].link)) {
			conn_observe(conn, &observers[i]);
			return;
		}
}

int adapter_want(struct adapter *a)
{
	return a->state == ADAPTER_READY ? 0 : -EAGAIN;
}

/* --- the kernel's channels --- */

static int far[FDS], near[FDS];
static int results[FDS];
static uint16_t handles[FDS];
static bool queued[FDS]; /* not accepted yet: the near end is still ours */
static int door = -1;    /* the far end of the listener */

static int fake_connect(const struct kernel *k, const struct addr *local, const struct addr *peer)
{
	int fds[2], size = 1;
	uint8_t junk[256] = {0};

	for (size_t i = 0; i < FDS; i++) {
		if (far[i] >= 0)
			continue;
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
			return -errno;
		(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size,
		                 sizeof(size)); /* as small as it gets */
		while (send(fds[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
			;
		near[i] = fds[0];
		far[i] = fds[1];
		handles[i] = (uint16_t)i;
		results[i] = 0;
		return fds[0];
	}
	return -EBUSY;
}

static int fake_listen(const struct kernel *k, const struct addr *local)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	if (door >= 0)
		close(door);
	door = fds[1];
	return fds[0];
}

static void knock(uint8_t peer, uint8_t handle)
{
	int fds[2];

	for (size_t i = 0; i < FDS; i++) {
		const uint8_t card[2] = {peer, (uint8_t)i};

		if (far[i] >= 0 || queued[i])
			continue;
		if (door < 0 || send(door, card, sizeof(card), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return; /* nobody listens */
		FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		                      fds) == 0);
		near[i] = fds[0];
		far[i] = fds[1];
		handles[i] = handle;
		results[i] = 0;
		queued[i] = true;
		return;
	}
}

static int fake_accept(const struct kernel *k, int fd, struct addr *ret_peer)
{
	uint8_t card[2];

	if (recv(fd, card, sizeof(card), MSG_DONTWAIT) != sizeof(card))
		return -EAGAIN;
	queued[card[1]] = false;
	*ret_peer = (struct addr){{card[0] & 7, 2, 3, 4, 5, 0xc0}, ADDR_RANDOM};
	return near[card[1]];
}

static size_t slot_of(int fd)
{
	for (size_t i = FDS; i-- > 0;)
		if (near[i] == fd)
			return i;
	return 0;
}

static int fake_result(const struct kernel *k, int fd)
{
	return results[slot_of(fd)];
}

static int fake_handle(const struct kernel *k, int fd, uint16_t *ret_handle)
{
	size_t i = slot_of(fd);

	*ret_handle = handles[i];
	return results[i]; /* a link that has failed has none */
}

static int fake_security(const struct kernel *k, int fd, uint8_t *ret_level, uint8_t *ret_key_size)
{
	*ret_level = 2;
	*ret_key_size = 16;
	return 0;
}

static const struct kernel kernel = {
	.att_connect = fake_connect,
	.att_listen = fake_listen,
	.att_accept = fake_accept,
	.att_connect_result = fake_result,
	.att_handle = fake_handle,
	.att_security = fake_security,
};

/* --- clients --- */

static void on_report(struct scanner *scanner, const struct scan_report *r, void *data)
{
	struct scanner **slot = data;

	FUZZ_CHECK(*slot == scanner && scanner_state(scanner) == SCANNER_RUNNING);
	FUZZ_CHECK(r->adv_len <= SCAN_DATA_MAX && r->rsp_len <= SCAN_DATA_MAX &&
	           r->type <= SCAN_RSP);
	FUZZ_CHECK(!r->rsp || scanner_params(scanner)->active);
	for (size_t i = 0; i < r->adv_len; i++)
		told += r->adv[i];
	for (size_t i = 0; i < r->rsp_len; i++)
		told += r->rsp[i];
	if (is_free_in_report)
		*slot = scanner_free(scanner);
}

static void on_finished(struct scanner *scanner, int res, void *data)
{
	struct scanner **slot = data;

	FUZZ_CHECK(*slot == scanner && scanner_state(scanner) == SCANNER_FINISHED);
	*slot = scanner_free(scanner);
}

static const struct scanner_events scanner_events = {.report = on_report, .finished = on_finished};

static void scan(unsigned int slot, unsigned int options)
{
	static const struct uuid uuid = UUID16_INIT(0x180d);
	static const char *const names[] = {"*[a-c]?*", "\\*"};
	static const uint16_t companies[] = {0x004c};
	struct scan_params p = {
		.interval_us = SCAN_INTERVAL_US_MIN << (options & 3),
		.window_us = SCAN_INTERVAL_US_MIN,
		.active = options & 4,
		.duplicates = (enum scan_duplicates)((options >> 3 & 3) % 3),
		.duration_ms = options & 0x20 ? 100 : 0,
		.filter = {.rssi_min_dbm = SCAN_RSSI_ANY},
	};

	if (options & 0x40) {
		p.filter.names = names;
		p.filter.n_names = 2;
	} else if (options & 0x80) {
		p.filter.uuids = &uuid;
		p.filter.n_uuids = 1;
		p.filter.companies = companies;
		p.filter.n_companies = options & 1;
	}
	scanners[slot] = scanner_free(scanners[slot]);
	(void)scanner_new(&adapter, &p, &scanner_events, &scanners[slot],
	                  &scanners[slot]); /* may be refused */
}

static void on_connected(struct op *op, int res)
{
	struct connect_op *c = (struct connect_op *)op;

	FUZZ_CHECK(res || conn_is_up(c->conn));
}

static void on_disconnected(struct conn *conn, struct conn_observer *observer)
{
	FUZZ_CHECK(!conn_is_up(conn) && conn_disconnect_reason(conn));
	if (told & 1)
		(void)conn_disconnect(conn, NULL, 0); /* of no use, and of no harm */
}

static void start_connect(unsigned int slot, uint8_t peer)
{
	struct addr addr = {{peer & 7, 2, 3, 4, 5, 0xc0}, ADDR_RANDOM};

	op_drop(&connects[slot].op);
	op_init(&connects[slot].op, adapter.loop, on_connected);
	(void)connect_start(&adapter, &addr, &CONNECT_PARAMS_DEFAULT, &connects[slot],
	                    3000); /* may be refused */
}

static void touch_channel(uint8_t slot, uint8_t what)
{
	uint8_t junk[256];
	size_t i = slot % FDS;

	if (far[i] < 0)
		return;
	if (what & 1)
		results[i] = -ENOSYS;
	if (what & 2) {
		close(far[i]);
		far[i] = -1;
		if (!queued[i])
			near[i] = -1;
		return;
	}
	while (recv(far[i], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	if (what & 4)
		(void)send(far[i], &what, 1, MSG_DONTWAIT); /* a PDU, more or less */
}

static void power(void)
{
	if (adapter.state == ADAPTER_READY) {
		adapter.state = ADAPTER_OFF;
		links_adapter_down(&adapter, -ENETDOWN);
		scan_adapter_down(&adapter, -ENETDOWN);
		return;
	}
	adapter.state = ADAPTER_READY;
	links_adapter_up(&adapter);
	scan_adapter_up(&adapter);
}

static void drop_link(void)
{
	struct list *links = conn_links(&adapter);

	if (!list_empty(links))
		(void)conn_disconnect(conn_from_link(links->next), NULL, 0); /* waits for nobody */
}

/* --- the script --- */

static void hci(const uint8_t *data, size_t len)
{
	uint8_t pkt[HCIP_EVENT_MAX] = {HCIP_PKT_EVENT, data[0], (uint8_t)(len - 1)};
	struct hcip_event ev;

	memcpy(pkt + 3, data + 1, len - 1);
	if (adapter.state != ADAPTER_READY || hcip_parse_event(pkt, 3 + len - 1, &ev) < 0)
		return;
	links_hci_event(&adapter, &ev);
	scan_hci_event(&adapter, &ev);
}

static bool step(struct rd *r)
{
	uint8_t op = rd_u8(r) % OPS, x = rd_u8(r), y;
	const uint8_t *data;

	if (!rd_ok(r))
		return false;
	switch (op) {
	case OP_HCI:
	case OP_MGMT:
		data = rd_bytes(r, x);
		if (!data || !x)
			return false;
		if (op == OP_HCI)
			hci(data, x);
		else if (data[0] == MGMT_EV_DISCOVERING && x >= 3)
			scan_discovering(&adapter, data[1], data[2]);
		else
			links_mgmt_event(&adapter, &(struct mgmt_msg){.code = data[0],
			                                              .data = data + 1,
			                                              .len = x - 1u});
		return true;
	case OP_TIME:
		return loop_advance(adapter.loop, x * 10u) == 0;
	case OP_SCAN:
		y = rd_u8(r);
		scan(x % SLOTS, y);
		return rd_ok(r);
	case OP_STOP:
		scanners[x % SLOTS] = scanner_free(scanners[x % SLOTS]);
		return true;
	case OP_CONNECT:
		y = rd_u8(r);
		start_connect(x % SLOTS, y);
		return rd_ok(r);
	case OP_LEAVE:
		op_drop(&connects[x % SLOTS].op);
		return true;
	case OP_CHANNEL:
		y = rd_u8(r);
		touch_channel(x, y);
		return rd_ok(r);
	case OP_POWER:
		is_free_in_report = x & 1;
		power();
		return true;
	case OP_DROP:
		drop_link();
		return true;
	case OP_KNOCK:
		y = rd_u8(r);
		knock(x, y);
		return rd_ok(r);
	}
	return false;
}

static void begin(void)
{
	adapter = (struct adapter){
		.kernel = &kernel, .config = &config, .name = "hci0", .state = ADAPTER_OFF};
	FUZZ_CHECK(loop_new_virtual(&adapter.loop) == 0);
	adapter.hci = (struct hci_chan *)&adapter; /* only compared with NULL */
	is_free_in_report = false;
	for (size_t i = 0; i < FDS; i++)
		far[i] = near[i] = -1;
	for (size_t i = 0; i < SLOTS; i++) {
		op_init(&connects[i].op, adapter.loop, on_connected);
		observers[i] = (struct conn_observer){.disconnected = on_disconnected};
		list_init(&observers[i].link);
	}
	FUZZ_CHECK(scan_attach(&adapter) == 0 && links_attach(&adapter) == 0);
	power();
}

static void end(void)
{
	if (adapter.state == ADAPTER_READY)
		power();
	links_adapter_down(&adapter, -ENODEV);
	scan_adapter_down(&adapter, -ENODEV);
	for (size_t i = 0; i < SLOTS; i++) {
		FUZZ_CHECK(!scanners[i]);
		op_drop(&connects[i].op);
	}
	FUZZ_CHECK(links_count(&adapter) == 0 && list_empty(conn_links(&adapter)));
	links_detach(&adapter);
	scan_detach(&adapter);
	for (size_t i = 0; i < FDS; i++) {
		if (far[i] >= 0)
			close(far[i]);
		if (queued[i])
			close(near[i]);
		queued[i] = false;
	}
	if (door >= 0)
		close(door);
	door = -1;
	adapter.loop = loop_free(adapter.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	begin();
	for (unsigned int i = 0; i < STEPS_MAX && step(&r); i++)
		(void)loop_settle(adapter.loop); /* cannot fail without descriptors that do */
	end();
	return 0;
}
