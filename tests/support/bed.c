/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test bed. A pending connect is a socket whose send buffer is full: it becomes writable, as the kernel's does, when it is
 * decided. The three adapter functions that scanning and links call are ours; the rest of the adapter is not there.
 */
#include "bed.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/test.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"

static struct bed *the_bed; /* the kernel's calls and the adapter's have no other way to it */

static _printf_(2, 3) void say(struct bed *bed, const char *fmt, ...)
{
	size_t used = strlen(bed->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(bed->log + used, sizeof(bed->log) - used, fmt, ap);
	va_end(ap);
}

static const char *separator(const struct bed *bed)
{
	return *bed->log ? " " : "";
}

void bed_said(struct bed *bed, const char *words)
{
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_string_equal(bed->log, words);
	bed->log[0] = '\0';
}

void bed_run(struct bed *bed, uint32_t ms)
{
	assert_int_equal(loop_advance(bed->loop, ms), 0);
}

struct addr bed_addr(uint8_t n)
{
	return (struct addr){{n, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM};
}

/* --- the adapter's part --- */

void adapter_changed(struct adapter *adapter)
{
	the_bed->changed++;
}

void adapter_emit_conn(struct adapter *adapter, struct conn *conn)
{
	the_bed->conns_added++;
	the_bed->last_conn = conn;
}

int adapter_want(struct adapter *adapter)
{
	return the_bed->want_result;
}

/* --- the controller --- */

void bed_event(struct bed *bed, uint8_t code, const void *params, size_t len)
{
	uint8_t pkt[3 + 255] = {HCIP_PKT_EVENT, code, (uint8_t)len};

	memcpy(pkt + 3, params, len);
	assert_int_equal(send(bed->hci_fd, pkt, 3 + len, 0), 3 + len);
	assert_int_equal(loop_settle(bed->loop), 0);
}

static void answer_hci(struct bed *bed, uint16_t opcode, uint8_t status)
{
	uint8_t params[] = {1, opcode & 0xff, opcode >> 8, status};
	uint8_t pkt[] = {HCIP_PKT_EVENT, HCIP_EV_CMD_COMPLETE,
	                 sizeof(params), params[0],
	                 params[1],      params[2],
	                 params[3]};

	assert_int_equal(send(bed->hci_fd, pkt, sizeof(pkt), 0), sizeof(pkt));
}

static void log_hci(struct bed *bed, uint16_t opcode, struct rd r)
{
	uint16_t interval, window;
	uint8_t active;

	say(bed, "%s", separator(bed));
	switch (opcode) {
	case HCIP_LE_SET_SCAN_ENABLE:
	case HCIP_LE_SET_EXT_SCAN_ENABLE:
		say(bed, "%s", rd_u8(&r) ? "on" : "off");
		if (rd_u8(&r))
			say(bed, "(filtered)");
		return;
	case HCIP_LE_SET_EXT_SCAN_PARAMS:
		rd_bytes(&r, 3);
		active = rd_u8(&r);
		interval = rd_le16(&r);
		window = rd_le16(&r);
		say(bed, "ext-params(%s %u/%u)", active ? "active" : "passive", interval, window);
		return;
	case HCIP_LE_SET_SCAN_PARAMS:
		active = rd_u8(&r);
		interval = rd_le16(&r);
		window = rd_le16(&r);
		say(bed, "params(%s %u/%u)", active ? "active" : "passive", interval, window);
		return;
	case HCIP_DISCONNECT:
		say(bed, "hci-drop %04x", rd_le16(&r));
		return;
	}
	say(bed, "hci-%04x", opcode);
}

static void on_hci_command(struct loop_io *io, int ready)
{
	struct bed *bed = container_of(io, struct bed, hci_io);
	uint8_t pkt[HCIP_CMD_MAX];
	ssize_t n = recv(bed->hci_fd, pkt, sizeof(pkt), MSG_DONTWAIT);
	struct rd r = rd_init(pkt, n > 0 ? (size_t)n : 0);
	uint16_t opcode;

	(void)rd_u8(&r);
	opcode = rd_le16(&r);
	(void)rd_u8(&r);
	if (!rd_ok(&r))
		return;
	bed->hci_commands++;
	log_hci(bed, opcode, r);
	if (bed->mute_hci)
		return;
	if (opcode == bed->refuse_opcode && bed->refuse_count > 0) {
		bed->refuse_count--;
		answer_hci(bed, opcode, bed->refuse_status);
		return;
	}
	answer_hci(bed, opcode, 0);
	if (opcode == HCIP_DISCONNECT) {
		uint8_t ev[] = {HCIP_PKT_EVENT, HCIP_EV_DISCONNECTED, 4, 0, pkt[4], pkt[5], 0x16};

		assert_int_equal(send(bed->hci_fd, ev, sizeof(ev), 0), sizeof(ev));
	}
}

static void send_foreign_scan(struct bed *bed)
{
	answer_hci(bed,
	           bed->adapter.extended ? HCIP_LE_SET_EXT_SCAN_ENABLE : HCIP_LE_SET_SCAN_ENABLE,
	           0);
}

void bed_foreign_scan(struct bed *bed)
{
	answer_hci(bed,
	           bed->adapter.extended ? HCIP_LE_SET_EXT_SCAN_ENABLE : HCIP_LE_SET_SCAN_ENABLE,
	           0);
	assert_int_equal(loop_settle(bed->loop), 0);
}

void bed_report(struct bed *bed, const struct addr *addr, uint8_t kind, int8_t rssi,
                const void *data, size_t len)
{
	uint8_t ev[64] = {HCIP_LE_ADV_REPORT, 1, kind, addr->type};

	memcpy(ev + 4, addr->b, 6);
	ev[10] = (uint8_t)len;
	if (len)
		memcpy(ev + 11, data, len);
	ev[11 + len] = (uint8_t)rssi;
	bed_event(bed, HCIP_EV_LE_META, ev, 12 + len);
}

void bed_ext_report(struct bed *bed, const struct addr *addr, uint16_t props, uint8_t sid,
                    const void *data, size_t len)
{
	uint8_t ev[255] = {HCIP_LE_EXT_ADV_REPORT, 1, props & 0xff, props >> 8, addr->type};
	uint8_t *p = ev + 11;

	memcpy(ev + 5, addr->b, 6);
	*p++ = 1; /* primary PHY */
	*p++ = props & HCIP_ADV_LEGACY ? 0 : 2;
	*p++ = sid;
	*p++ = 127; /* tx power */
	*p++ = (uint8_t)-60;
	p += 2 + 1 + 6; /* no periodic advertising, no direct address */
	*p++ = (uint8_t)len;
	memcpy(p, data, len);
	bed_event(bed, HCIP_EV_LE_META, ev, (size_t)(p - ev) + len);
}

void bed_conn_complete(struct bed *bed, uint8_t status, uint16_t handle, const struct addr *peer,
                       uint8_t role)
{
	uint8_t ev[31] = {
		HCIP_LE_ENH_CONN_COMPLETE, status, handle & 0xff, handle >> 8, role, peer->type};

	bed->handle_of[peer->b[0]] = handle;
	memcpy(ev + 6, peer->b, 6);
	ev[24] = 40; /* interval, 50 ms */
	ev[26] = 2;  /* latency */
	ev[28] = 42; /* supervision timeout, 420 ms */
	bed_event(bed, HCIP_EV_LE_META, ev, sizeof(ev));
}

void bed_features(struct bed *bed, uint8_t status, uint16_t handle)
{
	uint8_t ev[12] = {4, status, handle & 0xff, handle >> 8};

	bed_event(bed, HCIP_EV_LE_META, ev, sizeof(ev));
}

void bed_disconnected(struct bed *bed, uint16_t handle, uint8_t reason)
{
	uint8_t ev[] = {0, handle & 0xff, handle >> 8, reason};

	bed_event(bed, HCIP_EV_DISCONNECTED, ev, sizeof(ev));
}

void bed_conn_updated(struct bed *bed, uint16_t handle, uint16_t interval, uint16_t latency,
                      uint16_t timeout)
{
	uint8_t ev[] = {HCIP_LE_CONN_UPDATED, 0,
	                handle & 0xff,        handle >> 8,
	                interval & 0xff,      interval >> 8,
	                latency & 0xff,       latency >> 8,
	                timeout & 0xff,       timeout >> 8};

	bed_event(bed, HCIP_EV_LE_META, ev, sizeof(ev));
}

void bed_encrypted(struct bed *bed, uint16_t handle)
{
	uint8_t ev[] = {0, handle & 0xff, handle >> 8, 1};

	bed_event(bed, HCIP_EV_ENCRYPTION_CHANGE, ev, sizeof(ev));
}

/* --- the kernel: mgmt --- */

static void send_mgmt(struct bed *bed, uint16_t code, const void *params, size_t len)
{
	uint8_t msg[512];
	struct wr w = wr_init(msg, sizeof(msg));

	wr_le16(&w, code);
	wr_le16(&w, bed->adapter.index);
	wr_le16(&w, (uint16_t)len);
	wr_bytes(&w, params, len);
	assert_int_equal(send(bed->mgmt_fd, msg, wr_len(&w), 0), wr_len(&w));
}

static void answer_mgmt(struct bed *bed, uint16_t opcode, uint8_t status, const void *data,
                        size_t len)
{
	uint8_t params[256] = {opcode & 0xff, opcode >> 8, status};

	if (len)
		memcpy(params + 3, data, len);
	send_mgmt(bed, MGMT_EV_CMD_COMPLETE, params, 3 + len);
}

static void answer_drop(struct bed *bed, const uint8_t *addr7)
{
	struct addr peer = addr_from_bytes(addr7, addr7[6] - 1);
	struct bed_channel *channel = bed_channel(bed, &peer);

	if (bed->mute_drop)
		return;
	if (!bed->drop_status) {
		uint16_t handle = bed->handle_of[peer.b[0]];
		uint8_t ev[] = {HCIP_PKT_EVENT, HCIP_EV_DISCONNECTED, 4,   0,
		                handle & 0xff,  handle >> 8,          0x16};

		if (!bed->quiet_drop)
			assert_int_equal(send(bed->hci_fd, ev, sizeof(ev), 0), sizeof(ev));
		if (channel)
			bed_channel_die(channel);
	}
	answer_mgmt(bed, MGMT_DISCONNECT, bed->drop_status, addr7, 7);
}

static void answer_list(struct bed *bed)
{
	uint8_t data[2 + 8 * 7] = {(uint8_t)bed->n_connected, 0};

	for (size_t i = 0; i < bed->n_connected; i++) {
		memcpy(data + 2 + i * 7, bed->connected[i].b, 6);
		data[2 + i * 7 + 6] = bed->connected[i].type + 1;
	}
	answer_mgmt(bed, MGMT_GET_CONNECTIONS, 0, data, 2 + bed->n_connected * 7);
}

static void on_mgmt_command(struct loop_io *io, int ready)
{
	struct bed *bed = container_of(io, struct bed, mgmt_io);
	uint8_t msg[1024];
	ssize_t n = recv(bed->mgmt_fd, msg, sizeof(msg), MSG_DONTWAIT);
	struct mgmt_msg cmd;

	if (n <= 0 || mgmt_parse_msg(msg, (size_t)n, &cmd) < 0)
		return;
	say(bed, "%s", separator(bed));
	switch (cmd.code) {
	case MGMT_LOAD_CONN_PARAMS:
		say(bed, "load %02x", cmd.data[2]);
		for (size_t i = 0; i < 4; i++)
			bed->loaded[i] =
				(uint16_t)(cmd.data[9 + 2 * i] | cmd.data[10 + 2 * i] << 8);
		answer_mgmt(bed, cmd.code, 0, NULL, 0);
		return;
	case MGMT_DISCONNECT:
		say(bed, "drop %02x", cmd.data[0]);
		answer_drop(bed, cmd.data);
		return;
	case MGMT_STOP_DISCOVERY:
		say(bed, "release");
		assert_int_equal(cmd.data[0], bed->discovery_type);
		answer_mgmt(bed, cmd.code, bed->release_status, cmd.data, 1);
		return;
	case MGMT_GET_CONNECTIONS:
		say(bed, "list");
		answer_list(bed);
		return;
	}
	say(bed, "mgmt-%04x", cmd.code);
	answer_mgmt(bed, cmd.code, 0, NULL, 0);
}

void bed_mgmt_disconnected(struct bed *bed, const struct addr *peer, uint8_t reason)
{
	uint8_t params[8];

	memcpy(params, peer->b, 6);
	params[6] = peer->type + 1;
	params[7] = reason;
	send_mgmt(bed, MGMT_EV_DEVICE_DISCONNECTED, params, sizeof(params));
	assert_int_equal(loop_settle(bed->loop), 0);
}

/* --- the kernel: channels --- */

static void fill(int fd)
{
	uint8_t junk[512] = {0};
	int size = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

static void drain(int fd)
{
	uint8_t junk[512];

	while (recv(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
}

static int bed_att_connect(const struct kernel *k, const struct addr *local,
                           const struct addr *peer)
{
	struct bed *bed = the_bed;
	struct bed_channel *channel;
	int fds[2];

	assert_true(addr_equal(local, &bed->adapter.addr));
	say(bed, "%sconnect %02x", separator(bed), peer->b[0]);
	if (bed->connect_errors > 0) {
		bed->connect_errors--;
		return bed->connect_error;
	}
	assert_true(bed->n_channels < BED_CHANNELS_MAX);
	channel = &bed->channels[bed->n_channels++];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	                 0);
	fill(fds[0]);
	if (!bed->deaf)
		send_foreign_scan(bed); /* the kernel's own, for this peer */
	*channel = (struct bed_channel){
		.peer = *peer, .fd = fds[1], .daemon_fd = fds[0], .result = -EINPROGRESS};
	return fds[0];
}

/* Nobody ever connects to us here. */
static int bed_att_listen(const struct kernel *k, const struct addr *local)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un any = {.sun_family = AF_UNIX};

	assert_true(addr_equal(local, &the_bed->adapter.addr));
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int bed_att_accept(const struct kernel *k, int fd, struct addr *ret_peer)
{
	return -EAGAIN;
}

/* Descriptor numbers come back: the newest one counts. */
static struct bed_channel *channel_of(struct bed *bed, int daemon_fd)
{
	for (size_t i = bed->n_channels; i-- > 0;)
		if (bed->channels[i].daemon_fd == daemon_fd)
			return &bed->channels[i];
	return NULL;
}

static int bed_att_connect_result(const struct kernel *k, int fd)
{
	return channel_of(the_bed, fd)->result;
}

static int bed_att_handle(const struct kernel *k, int fd, uint16_t *ret_handle)
{
	*ret_handle = channel_of(the_bed, fd)->handle;
	return 0;
}

static int bed_att_security(const struct kernel *k, int fd, uint8_t *ret_level,
                            uint8_t *ret_key_size)
{
	*ret_level = the_bed->level;
	*ret_key_size = the_bed->key_size;
	return 0;
}

struct bed_channel *bed_channel(struct bed *bed, const struct addr *peer)
{
	for (size_t i = bed->n_channels; i-- > 0;)
		if (bed->channels[i].fd >= 0 && addr_equal(&bed->channels[i].peer, peer))
			return &bed->channels[i];
	return NULL;
}

bool bed_channel_closed(const struct bed_channel *channel)
{
	struct pollfd p = {.fd = channel->fd};

	assert_true(poll(&p, 1, 0) >= 0);
	return p.revents & POLLHUP;
}

void bed_channel_up(struct bed_channel *channel, uint16_t handle)
{
	channel->result = 0;
	channel->handle = handle;
	drain(channel->fd);
	assert_int_equal(loop_settle(the_bed->loop), 0);
}

void bed_channel_fail(struct bed_channel *channel, int err)
{
	channel->result = err;
	drain(channel->fd);
	assert_int_equal(loop_settle(the_bed->loop), 0);
}

void bed_channel_die(struct bed_channel *channel)
{
	channel->result = -ECONNRESET;
	close(channel->fd);
	channel->fd = -1;
}

void bed_link_up(struct bed *bed, const struct addr *peer, uint16_t handle)
{
	struct bed_channel *channel = bed_channel(bed, peer);

	assert_non_null(channel);
	bed_conn_complete(bed, 0, handle, peer, HCIP_ROLE_CENTRAL);
	bed_features(bed, 0, handle);
	bed_channel_up(channel, handle);
}

void bed_link_down(struct bed *bed, const struct addr *peer, uint16_t handle, uint8_t reason)
{
	struct bed_channel *channel = bed_channel(bed, peer);

	bed_disconnected(bed, handle, reason);
	if (channel)
		bed_channel_die(channel);
	assert_int_equal(loop_settle(bed->loop), 0);
}

/* --- the bed --- */

static void on_hci_event(const struct hcip_event *ev, void *data)
{
	struct bed *bed = data;

	links_hci_event(&bed->adapter, ev);
	scan_hci_event(&bed->adapter, ev);
}

static void on_mgmt_event(const struct mgmt_msg *msg, void *data)
{
	struct bed *bed = data;

	links_mgmt_event(&bed->adapter, msg);
}

static void on_closed(int err, void *data)
{
	fail_msg("a channel broke");
}

static const struct hci_chan_events hci_events = {.event = on_hci_event, .closed = on_closed};
static const struct mgmt_events mgmt_events = {.event = on_mgmt_event, .closed = on_closed};

static int open_pair(int *ret_far)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	                 0);
	*ret_far = fds[1];
	return fds[0];
}

void bed_up(struct bed *bed)
{
	struct adapter *a = &bed->adapter;

	assert_int_equal(
		hci_chan_new(bed->loop, open_pair(&bed->hci_fd), &hci_events, bed, &a->hci), 0);
	assert_int_equal(loop_io_init(&bed->hci_io, bed->loop, bed->hci_fd, on_hci_command), 0);
	assert_int_equal(loop_io_set(&bed->hci_io, LOOP_READ), 0);
	a->state = ADAPTER_READY;
	bed->want_result = 0;
	links_adapter_up(a);
	scan_adapter_up(a);
}

void bed_down(struct bed *bed, enum adapter_state state, int err)
{
	struct adapter *a = &bed->adapter;

	a->state = state;
	bed->want_result = -ENETDOWN;
	links_adapter_down(a, err);
	scan_adapter_down(a, err);
	a->hci = hci_chan_free(a->hci);
	loop_io_deinit(&bed->hci_io);
	if (bed->hci_fd >= 0)
		close(bed->hci_fd);
	bed->hci_fd = -1;
}

struct bed *bed_new(void)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct adapter *a = &bed->adapter;

	the_bed = bed;
	assert_int_equal(loop_new_virtual(&bed->loop), 0);
	bed->kernel = (struct kernel){
		.att_connect = bed_att_connect,
		.att_listen = bed_att_listen,
		.att_accept = bed_att_accept,
		.att_connect_result = bed_att_connect_result,
		.att_handle = bed_att_handle,
		.att_security = bed_att_security,
	};
	bed->level = 1;
	a->loop = bed->loop;
	a->kernel = &bed->kernel;
	a->config = &bed->config;
	a->index = 3;
	strcpy(a->name, "hci3");
	a->addr = (struct addr){{0, 1, 0xaa, 0xaa, 0, 0}, ADDR_PUBLIC};
	a->state = ADAPTER_STARTING;
	assert_int_equal(mgmt_new(bed->loop, open_pair(&bed->mgmt_fd), &mgmt_events, bed, &a->mgmt),
	                 0);
	assert_int_equal(loop_io_init(&bed->mgmt_io, bed->loop, bed->mgmt_fd, on_mgmt_command), 0);
	assert_int_equal(loop_io_set(&bed->mgmt_io, LOOP_READ), 0);
	assert_int_equal(scan_attach(a), 0);
	assert_int_equal(links_attach(a), 0);
	bed->want_result = -EAGAIN;
	bed->hci_fd = -1;
	return bed;
}

void bed_free(struct bed *bed)
{
	struct adapter *a = &bed->adapter;

	bed_down(bed, ADAPTER_OFF, -ENODEV);
	links_detach(a);
	scan_detach(a);
	a->mgmt = mgmt_free(a->mgmt);
	loop_io_deinit(&bed->mgmt_io);
	close(bed->mgmt_fd);
	for (size_t i = 0; i < bed->n_channels; i++)
		if (bed->channels[i].fd >= 0)
			close(bed->channels[i].fd);
	loop_free(bed->loop);
	free(bed);
	the_bed = NULL;
}
