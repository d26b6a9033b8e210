/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * H4 over a descriptor. Packets are handed to the controller as they become whole; what is written goes straight to the
 * descriptor while it takes it. An error never ends the host inside a call from the controller: it is told from the loop.
 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#define READ_BUDGET   16 /* reads in one go */
#define WHY_MAX       80
#define REPORTS_UP_TO (HOST_QUEUE_MAX / 2)
#define DATA_UP_TO    (HOST_QUEUE_MAX / 4)

struct chunk {
	struct list link;
	size_t len, at; /* @at: written already */
	uint8_t data[];
};

struct host {
	struct air *air;
	struct controller *ctl;
	const struct host_ops *ops;
	void *data;
	enum host_kind kind;
	int fd;
	struct loop_io io;
	struct list queue; /* struct chunk */
	size_t queued;
	struct defer failed;
	int err;
	char why[WHY_MAX];
	bool *gone; /* tells a read in progress that the host went */
	struct host_stats stats;
	size_t rx_len;
	uint8_t rx[CTL_PACKET_MAX];
};

static void host_update(struct host *h)
{
	int events = h->err ? 0 : LOOP_READ | (list_empty(&h->queue) ? 0 : LOOP_WRITE);

	(void)loop_io_set(&h->io,
	                  events); /* fails only without memory; then the next call tries again */
}

/* --- the end --- */

static void on_failed(struct defer *d)
{
	struct host *h = container_of(d, struct host, failed);

	h->ops->ended(h, h->err == -EPIPE ? 0 : h->err, h->why);
}

/* -EPIPE: an orderly end */
static void fail(struct host *h, int err, const char *why)
{
	if (h->err)
		return;
	h->err = err;
	(void)snprintf(h->why, sizeof(h->why), "%s", why);
	host_update(h);
	defer_post(&h->failed);
}

/* --- out --- */

static bool is_report(const uint8_t *pkt, size_t len)
{
	return len > 3 && pkt[0] == HCIP_PKT_EVENT && pkt[1] == HCIP_EV_LE_META &&
	       (pkt[3] == HCIP_LE_ADV_REPORT || pkt[3] == HCIP_LE_EXT_ADV_REPORT ||
	        pkt[3] == HCIP_LE_DIRECT_REPORT);
}

static void enqueue(struct host *h, const uint8_t *pkt, size_t len, size_t at)
{
	struct chunk *c = malloc(sizeof(*c) + len);

	if (!c) {
		fail(h, -ENOMEM, "no memory for its packets");
		return;
	}
	c->len = len;
	c->at = at;
	memcpy(c->data, pkt, len);
	list_init(&c->link);
	list_add_tail(&h->queue, &c->link);
	h->queued += len;
	host_update(h);
}

/* Return: bytes the descriptor took, or that are of no use to it */
static size_t write_some(struct host *h, const uint8_t *p, size_t len)
{
	ssize_t n;

	do {
		n = write(h->fd, p, len);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (h->kind == HOST_PACKETS && errno == ENXIO) { /* the kernel has the controller down just now */
		h->stats.refused++;
		return len;
	}
	if (errno == EPIPE || errno == ECONNRESET)
		fail(h, -EPIPE, "it hung up");
	else if (errno != EAGAIN)
		fail(h, -errno, "cannot write to it");
	return 0;
}

int host_write(struct host *h, const uint8_t *pkt, size_t len)
{
	size_t n = 0;

	if (h->err)
		return h->err;
	if (h->queued > REPORTS_UP_TO && is_report(pkt, len)) {
		h->stats.reports_dropped++;
		return 0;
	}
	if (h->queued + len > HOST_QUEUE_MAX) {
		fail(h, -ENOBUFS, "it does not read what it is sent");
		return h->err;
	}
	h->stats.tx++;
	if (list_empty(&h->queue))
		n = write_some(h, pkt, len);
	if (n < len && !h->err)
		enqueue(h, pkt, len, n);
	return h->err;
}

static void chunk_free(struct host *h, struct chunk *c)
{
	h->queued -= c->len;
	list_del(&c->link);
	free(c);
}

static void flush(struct host *h)
{
	struct chunk *c;

	while (!h->err && (c = list_first(&h->queue, struct chunk, link))) {
		c->at += write_some(h, c->data + c->at, c->len - c->at);
		if (c->at < c->len)
			break;
		chunk_free(h, c);
	}
	host_update(h);
}

/* --- in --- */

/*
 * Length of the packet at @p (Vol 4, Part A, 2, and Part E, 5.4), 0 while its header is not whole, -EBADMSG when no
 * packet begins so.
 */
static ssize_t packet_len(const uint8_t *p, size_t len)
{
	switch (p[0]) {
	case HCIP_PKT_COMMAND:
		return len < 4 ? 0 : 4 + p[3];
	case HCIP_PKT_ACL:
		return len < 5 ? 0 : 5 + (p[3] | p[4] << 8);
	case HCIP_PKT_SCO:
		return len < 4 ? 0 : 4 + p[3];
	case HCIP_PKT_ISO:
		return len < 5 ? 0 : 5 + (p[3] | (p[4] & 0x3f) << 8);
	}
	return -EBADMSG;
}

static void take_packet(struct host *h, const uint8_t *pkt, size_t len)
{
	h->stats.rx++;
	controller_input(h->ctl, pkt, len);
}

/* The packets of a stream; what is left over waits at the start of the buffer. */
static void take_stream(struct host *h)
{
	bool gone = false;
	size_t at = 0;

	h->gone = &gone;
	while (at < h->rx_len && !h->err) {
		ssize_t n = packet_len(h->rx + at, h->rx_len - at);

		if (n < 0) {
			char why[WHY_MAX];

			(void)snprintf(why, sizeof(why), "0x%02x begins no H4 packet", h->rx[at]);
			fail(h, -EBADMSG, why);
		}
		if (n <= 0 || (size_t)n > h->rx_len - at)
			break;
		take_packet(h, h->rx + at, (size_t)n);
		if (gone)
			return;
		at += (size_t)n;
	}
	h->gone = NULL;
	memmove(h->rx, h->rx + at, h->rx_len - at);
	h->rx_len -= at;
}

static void take_whole(struct host *h)
{
	size_t len = h->rx_len;

	h->rx_len = 0;
	if (h->ops->vendor && h->ops->vendor(h, h->rx, len))
		return;
	if (packet_len(h->rx, len) == (ssize_t)len)
		take_packet(h, h->rx, len);
	else
		fail(h, -EBADMSG, "a packet that is none");
}

/* Return: true when there may be more */
static bool read_some(struct host *h)
{
	ssize_t n = read(h->fd, h->rx + h->rx_len, sizeof(h->rx) - h->rx_len);

	if (n > 0) {
		h->rx_len += (size_t)n;
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	/* EIO: what a pty says when its other end was closed */
	if (n == 0 || errno == ECONNRESET || errno == EIO)
		fail(h, -EPIPE, "it hung up");
	else
		fail(h, -errno, "cannot read from it");
	return false;
}

static void on_io(struct loop_io *io, int ready)
{
	struct host *h = container_of(io, struct host, io);
	bool gone = false;

	if (ready & LOOP_WRITE)
		flush(h);
	for (int i = 0; (ready & LOOP_READ) && i < READ_BUDGET && !h->err && read_some(h); i++) {
		h->gone = &gone;
		if (h->kind == HOST_PACKETS)
			take_whole(h);
		else
			take_stream(h);
		if (gone)
			return;
		h->gone = NULL;
	}
}

/* --- life --- */

static void on_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	(void)host_write(ctl->data, pkt, len); /* a failure is told from the loop */
}

static bool on_congested(struct controller *ctl)
{
	return ((struct host *)ctl->data)->queued > DATA_UP_TO;
}

static const struct controller_ops controller_ops = {.packet = on_packet,
                                                     .congested = on_congested};

int host_new(struct air *air, const char *name, const struct profile *profile,
             const struct addr *public_addr, int fd, enum host_kind kind,
             const struct host_ops *ops, void *data, struct host **ret)
{
	struct host *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		closep(&fd);
		return -ENOMEM;
	}
	*h = (struct host){.air = air, .ops = ops, .data = data, .kind = kind, .fd = fd};
	list_init(&h->queue);
	defer_init(&h->failed, air_loop(air), on_failed);
	r = loop_io_init(&h->io, air_loop(air), fd, on_io);
	if (r == 0)
		r = controller_new(air, name, profile, public_addr, &controller_ops, h, &h->ctl);
	if (r == 0)
		r = loop_io_set(&h->io, LOOP_READ);
	if (r < 0) {
		host_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

struct host *host_free(struct host *h)
{
	struct chunk *c;

	if (!h)
		return NULL;
	if (h->gone)
		*h->gone = true;
	defer_cancel(&h->failed);
	h->ctl = controller_free(h->ctl);
	loop_io_deinit(&h->io);
	while ((c = list_first(&h->queue, struct chunk, link)))
		chunk_free(h, c);
	closep(&h->fd);
	free(h);
	return NULL;
}

struct controller *host_controller(struct host *h)
{
	return h->ctl;
}

void *host_data(struct host *h)
{
	return h->data;
}

const struct host_stats *host_stats(const struct host *h)
{
	return &h->stats;
}
