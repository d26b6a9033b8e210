/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See hci.h. Packets carry the H4 type byte on both transports; the user channel keeps packet
 * boundaries, the socket is a stream. Received lengths are checked, as the emulator at the other
 * end is only a program too.
 */
#include "hci.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

enum {
	H4_COMMAND = 1,
	H4_ACL = 2,
	H4_EVENT = 4,
	PB_FIRST = 0, /* first packet of a frame, host to controller; 2 in the other direction */
	PB_MORE = 1,
};

struct packet {
	struct list link;
	size_t len;
	uint8_t bytes[];
};

struct hci {
	struct loop *loop;
	struct loop_io io;
	const struct hci_user *user;
	void *data;
	int fd;
	bool stream;
	uint8_t in[8192];
	size_t in_len;
	struct list commands; /* the first commands_sent are with the controller */
	unsigned int commands_sent, commands_queued, window;
	bool linked;
	uint16_t handle;
	struct list acl;
	size_t acl_queued;
	uint16_t acl_size;
	unsigned int credits, credits_max;
	uint8_t frame[HCI_MAX_FRAME];
	size_t frame_len;
};

static void write_packet(struct hci *h, const void *bytes, size_t len)
{
	struct pollfd p = {.fd = h->fd, .events = POLLOUT};
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = write(h->fd, at, len);

		if (n < 0 && errno == EAGAIN) {
			(void)poll(&p, 1,
			           1000); /* the peer has nothing better to do than to wait */
			continue;
		}
		if (n < 0)
			return; /* the read side learns of it */
		at += n;
		len -= n;
	}
}

static struct packet *packet_add(struct list *queue, size_t len)
{
	struct packet *p = malloc(sizeof(*p) + len);

	if (!p)
		abort();
	p->len = len;
	list_init(&p->link);
	list_add_tail(queue, &p->link);
	return p;
}

static void packet_del(struct packet *p)
{
	list_del(&p->link);
	free(p);
}

static void packets_clear(struct list *queue)
{
	struct packet *p;

	while ((p = list_first(queue, struct packet, link)))
		packet_del(p);
}

/* --- commands --- */

static void commands_pump(struct hci *h)
{
	struct packet *p;
	unsigned int n = 0;

	list_for_each (p, &h->commands, link) {
		if (n++ < h->commands_sent)
			continue;
		if (n > h->window)
			break;
		h->commands_sent++;
		write_packet(h, p->bytes, p->len);
	}
}

void hci_command(struct hci *h, uint16_t opcode, const void *params, size_t len)
{
	struct packet *p = packet_add(&h->commands, 4 + len);

	p->bytes[0] = H4_COMMAND;
	p->bytes[1] = opcode & 0xff;
	p->bytes[2] = opcode >> 8;
	p->bytes[3] = len;
	if (len)
		memcpy(p->bytes + 4, params, len);
	h->commands_queued++;
	commands_pump(h);
}

bool hci_busy(const struct hci *h)
{
	return !list_empty(&h->commands);
}

unsigned int hci_command_room(const struct hci *h)
{
	return h->window > h->commands_queued ? h->window - h->commands_queued : 0;
}

void hci_set_window(struct hci *h, unsigned int window)
{
	h->window = window;
}

static void command_done(struct hci *h, uint16_t opcode, const uint8_t *ret, size_t len)
{
	struct packet *p = list_first(&h->commands, struct packet, link);

	if (!p || !h->commands_sent || (p->bytes[1] | p->bytes[2] << 8) != opcode)
		return;
	packet_del(p);
	h->commands_sent--;
	h->commands_queued--;
	if (opcode == 0x2002 && len >= 4 && !ret[0]) { /* LE Read Buffer Size */
		h->acl_size = ret[1] | ret[2] << 8;
		h->credits = h->credits_max = ret[3];
	}
	h->user->complete(h->data, opcode, ret, len);
	commands_pump(h);
	h->user->idle(h->data);
}

/* --- data --- */

static void acl_pump(struct hci *h)
{
	struct packet *p;

	while (h->credits && (p = list_first(&h->acl, struct packet, link))) {
		write_packet(h, p->bytes, p->len);
		packet_del(p);
		h->credits--;
		h->acl_queued--;
	}
}

void hci_send_raw(struct hci *h, const void *frame, size_t len)
{
	const uint8_t *at = frame;
	unsigned int boundary = PB_FIRST;

	if (!h->linked || !h->acl_size)
		return;
	do {
		size_t n = MIN(len, h->acl_size);
		struct packet *p = packet_add(&h->acl, 5 + n);
		struct wr w = wr_init(p->bytes, p->len);

		wr_u8(&w, H4_ACL);
		wr_le16(&w, h->handle | boundary << 12);
		wr_le16(&w, n);
		wr_bytes(&w, at, n);
		h->acl_queued++;
		boundary = PB_MORE;
		at += n;
		len -= n;
	} while (len);
	acl_pump(h);
}

void hci_send(struct hci *h, uint16_t cid, const void *payload, size_t len)
{
	uint8_t frame[HCI_MAX_FRAME];
	struct wr w = wr_init(frame, sizeof(frame));

	wr_le16(&w, len);
	wr_le16(&w, cid);
	wr_bytes(&w, payload, len);
	if (wr_ok(&w))
		hci_send_raw(h, frame, wr_len(&w));
}

void hci_occupy(struct hci *h, const uint8_t *address)
{
	uint8_t params[25];
	struct wr w = wr_init(params, sizeof(params));

	wr_le16(&w, 0x60);
	wr_le16(&w, 0x60);
	wr_le16(&w, 0); /* no accept list, public address */
	wr_bytes(&w, address, 6);
	wr_u8(&w, 0);
	wr_le16(&w, 0x18);
	wr_le16(&w, 0x28);
	wr_le16(&w, 0);
	wr_le16(&w, 0x1f4);
	wr_le32(&w, 0);
	hci_command(h, 0x200d, params, wr_len(&w));
}

void hci_set_credits(struct hci *h, unsigned int credits)
{
	h->credits +=
		credits -
		h->credits_max; /* modulo arithmetic: packets on their way stay accounted for */
	h->credits_max = credits;
}

void hci_disconnect(struct hci *h, uint8_t reason)
{
	uint8_t params[3] = {h->handle & 0xff, h->handle >> 8, reason};

	if (h->linked)
		hci_command(h, 0x0406, params, sizeof(params));
}

size_t hci_queued(const struct hci *h)
{
	return h->acl_queued;
}

static void on_acl(struct hci *h, struct rd *r)
{
	uint16_t flags = rd_le16(r);
	size_t len;
	const uint8_t *part;
	struct rd head;

	(void)rd_le16(r);
	part = rd_rest(r, &len);
	if (!part || !h->linked || (flags & 0xfff) != h->handle)
		return;
	if ((flags >> 12 & 3) != PB_MORE)
		h->frame_len = 0;
	if (len > sizeof(h->frame) - h->frame_len)
		return;
	memcpy(h->frame + h->frame_len, part, len);
	h->frame_len += len;
	head = rd_init(h->frame, h->frame_len);
	len = rd_le16(&head);
	if (h->frame_len < 4 + len)
		return;
	h->user->frame(h->data, rd_le16(&head), h->frame + 4, len);
	h->frame_len = 0;
}

/* --- events --- */

static void on_completed_packets(struct hci *h, struct rd *r)
{
	unsigned int n = rd_u8(r);

	while (n--) {
		uint16_t done;

		(void)rd_le16(r);
		done = rd_le16(r); /* apart: MIN() may take an argument twice */
		h->credits = MIN(h->credits + done, h->credits_max);
	}
	acl_pump(h);
	h->user->room(h->data);
}

static void on_connection(struct hci *h, struct rd *r)
{
	struct hci_link_info link = {0};
	uint8_t status = rd_u8(r), role;

	link.handle = rd_le16(r) & 0xfff;
	role = rd_u8(r);
	link.address_type = rd_u8(r);
	rd_copy(r, link.address, sizeof(link.address));
	if (status || !rd_ok(r) || (role && h->linked))
		return;
	if (!role) { /* hci_occupy(): nothing but a handle that is in use */
		h->user->occupied(h->data, link.handle);
		return;
	}
	h->linked = true;
	h->handle = link.handle;
	h->frame_len = 0;
	h->user->connected(h->data, &link);
}

static void on_disconnection(struct hci *h, struct rd *r)
{
	uint8_t status = rd_u8(r);
	uint16_t handle = rd_le16(r);
	uint8_t reason = rd_u8(r);

	if (status || !h->linked || handle != h->handle)
		return;
	h->linked = false;
	packets_clear(&h->acl);
	h->acl_queued = 0;
	h->credits = h->credits_max;
	h->user->disconnected(h->data, reason);
}

/* There are no keys here: say so, or the central waits. */
static void on_key_request(struct hci *h, struct rd *r)
{
	uint16_t handle = rd_le16(r);
	uint8_t params[2] = {handle & 0xff, handle >> 8};

	hci_command(h, 0x201b, params, sizeof(params));
}

static void on_le_event(struct hci *h, struct rd *r)
{
	switch (rd_u8(r)) {
	case 0x01:
	case 0x0a:
		on_connection(h, r);
		break;
	case 0x05:
		on_key_request(h, r);
		break;
	default:
		break;
	}
}

static void on_event(struct hci *h, struct rd *r)
{
	uint8_t code = rd_u8(r), status;
	uint16_t opcode;
	const uint8_t *ret;
	size_t len;

	(void)rd_u8(r); /* length */
	switch (code) {
	case 0x05:
		on_disconnection(h, r);
		break;
	case 0x0e:
		(void)rd_u8(r);
		opcode = rd_le16(r);
		ret = rd_rest(r, &len);
		if (ret && len)
			command_done(h, opcode, ret, len);
		break;
	case 0x0f:
		status = rd_u8(r);
		(void)rd_u8(r);
		opcode = rd_le16(r);
		if (rd_ok(r))
			command_done(h, opcode, &status, 1);
		break;
	case 0x13:
		on_completed_packets(h, r);
		break;
	case 0x3e:
		on_le_event(h, r);
		break;
	default:
		break;
	}
}

/* --- transport --- */

/* Length of the first packet in @in, 0 while it is not complete. */
static size_t packet_length(const uint8_t *in, size_t len)
{
	size_t want;

	if (len < 1)
		return 0;
	switch (in[0]) {
	case H4_EVENT:
		want = len < 3 ? SIZE_MAX : 3u + in[2];
		break;
	case H4_ACL:
		want = len < 5 ? SIZE_MAX : 5u + (in[3] | in[4] << 8);
		break;
	default:
		want = len; /* nothing we know: throw away what is there */
		break;
	}
	return want <= len ? want : 0;
}

static void on_packet(struct hci *h, const uint8_t *packet, size_t len)
{
	struct rd r = rd_init(packet, len);

	switch (rd_u8(&r)) {
	case H4_EVENT:
		on_event(h, &r);
		break;
	case H4_ACL:
		on_acl(h, &r);
		break;
	default:
		break;
	}
}

static void on_ready(struct loop_io *io, int ready)
{
	struct hci *h = container_of(io, struct hci, io);
	ssize_t n = read(h->fd, h->in + h->in_len, sizeof(h->in) - h->in_len);
	size_t len, at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_io_set(io, 0);
		h->user->gone(h->data, n < 0 ? -errno : -EPIPE);
		return;
	}
	h->in_len += n;
	while ((len = packet_length(h->in + at, h->in_len - at))) {
		on_packet(h, h->in + at, len);
		at += len;
	}
	h->in_len -= at;
	memmove(h->in, h->in + at, h->in_len);
}

static int hci_new(struct loop *loop, int fd, const struct hci_user *user, void *data,
                   struct hci **ret)
{
	struct hci *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->fd = fd;
	h->user = user;
	h->data = data;
	h->window = 1;
	list_init(&h->commands);
	list_init(&h->acl);
	if (loop_io_init(&h->io, loop, fd, on_ready) < 0 || loop_io_set(&h->io, LOOP_READ) < 0) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

struct hci *hci_free(struct hci *h)
{
	if (!h)
		return NULL;
	loop_io_deinit(&h->io);
	packets_clear(&h->commands);
	packets_clear(&h->acl);
	(void)close(h->fd); /* the kernel resets the controller */
	free(h);
	return NULL;
}

int hci_open_user(struct loop *loop, int index, const struct hci_user *user, void *data,
                  struct hci **ret)
{
	struct sockaddr_hci a = {
		.hci_family = AF_BLUETOOTH, .hci_dev = index, .hci_channel = HCI_CHANNEL_USER};
	_cleanup_(closep) int fd =
		socket(AF_BLUETOOTH, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, BTPROTO_HCI);
	int r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	r = hci_new(loop, fd, user, data, ret);
	if (r == 0)
		(void)steal_fd(&fd);
	return r;
}

int hci_open_socket(struct loop *loop, const char *path, const struct hci_user *user, void *data,
                    struct hci **ret)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = hci_new(loop, fd, user, data, ret);
	if (r == 0)
		(void)steal_fd(&fd);
	return r;
}
