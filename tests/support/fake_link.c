/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATT channels. A connecting socket must not be writable, which a socketpair is at once: its near end is stuffed until it
 * is full, and emptied when the attempt is decided.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "fake_priv.h"

size_t fake_links(const struct fake_kernel *fk)
{
	return fk->n_links;
}

struct fake_link *fake_link(struct fake_kernel *fk, size_t n)
{
	CHECK(n < fk->n_links);
	return &fk->links[n];
}

void fake_connect_error(struct fake_kernel *fk, int err)
{
	fk->connect_error = err;
}

static struct fake_link *by_fd(const struct kernel *k, int fd)
{
	struct fake_kernel *fk = fake_of(k);

	for (size_t i = fk->n_links; i > 0; i--) /* numbers are used again: the newest */
		if (fk->links[i - 1].near == fd)
			return &fk->links[i - 1];
	return NULL;
}

struct fake_link *fake_link_by_handle(struct fake_kernel *fk, uint16_t index, uint16_t handle)
{
	for (size_t i = 0; i < fk->n_links; i++) {
		struct fake_link *l = &fk->links[i];

		if (l->state == FAKE_LINK_UP && l->index == index && l->handle == handle)
			return l;
	}
	return NULL;
}

struct fake_link *fake_link_by_peer(struct fake_kernel *fk, uint16_t index, const struct addr *peer)
{
	for (size_t i = 0; i < fk->n_links; i++) {
		struct fake_link *l = &fk->links[i];

		if (l->state == FAKE_LINK_UP && l->index == index && addr_equal(&l->peer, peer))
			return l;
	}
	return NULL;
}

/* The adapter that owns the address and is on. */
static struct fake_adapter *adapter_of(struct fake_kernel *fk, const struct addr *local)
{
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++) {
		struct fake_adapter *a = &fk->adapters[i];
		bool is_static = a->settings & MGMT_SETTING_STATIC_ADDRESS;

		if (!a->present || !(a->settings & MGMT_SETTING_POWERED))
			continue;
		if (is_static ? local->type == ADDR_RANDOM : memcmp(a->addr, local->b, 6) == 0)
			return a;
	}
	return NULL;
}

static void stuff(int fd)
{
	static const uint8_t block[512];

	while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	while (send(fd, block, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	CHECK(errno == EAGAIN);
}

static void unstuff(int fd)
{
	uint8_t buf[512];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int fake_att_connect(const struct kernel *k, const struct addr *local, const struct addr *peer)
{
	struct fake_kernel *fk = fake_of(k);
	const struct fake_adapter *a = adapter_of(fk, local);
	struct fake_link *l;
	int sv[2];

	if (fk->connect_error)
		return fk->connect_error;
	if (!a)
		return -EHOSTUNREACH;
	for (size_t i = 0; i < fk->n_links; i++) {
		l = &fk->links[i];
		if (l->index == a->index && addr_equal(&l->peer, peer) && l->state != FAKE_LINK_DOWN && !fake_link_cancelled(l))
			return -EBUSY;
	}
	CHECK(fk->n_links < FAKE_LINKS_MAX);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
	stuff(sv[1]);
	l = &fk->links[fk->n_links++];
	*l = (struct fake_link){ .fk = fk,
				 .index = a->index,
				 .local = *local,
				 .peer = *peer,
				 .far = sv[0],
				 .near = sv[1],
				 .err = -EINPROGRESS,
				 .level = 1 };
	return sv[1];
}

int fake_att_connect_result(const struct kernel *k, int fd)
{
	const struct fake_link *l = by_fd(k, fd);

	CHECK(l);
	return l->err;
}

int fake_att_handle(const struct kernel *k, int fd, uint16_t *ret_handle)
{
	const struct fake_link *l = by_fd(k, fd);

	if (!l || l->state != FAKE_LINK_UP)
		return -ENOTCONN;
	*ret_handle = l->handle;
	return 0;
}

int fake_att_security(const struct kernel *k, int fd, uint8_t *ret_level, uint8_t *ret_key_size)
{
	const struct fake_link *l = by_fd(k, fd);

	if (!l)
		return -ENOTCONN;
	*ret_level = l->level;
	*ret_key_size = l->key_size;
	return 0;
}

bool fake_link_cancelled(struct fake_link *l)
{
	struct pollfd p = { .fd = l->far };

	return l->far < 0 || (poll(&p, 1, 0) == 1 && p.revents & POLLHUP);
}

static void put_addr7(struct wr *w, const struct addr *addr)
{
	wr_bytes(w, addr->b, 6);
	wr_u8(w, addr_type_to_mgmt(addr->type));
}

static void send_complete(struct fake_link *l, uint8_t status)
{
	uint8_t buf[19];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, HCIP_LE_CONN_COMPLETE);
	wr_u8(&w, status);
	wr_le16(&w, l->handle);
	wr_u8(&w, HCIP_ROLE_CENTRAL);
	wr_u8(&w, l->peer.type);
	wr_bytes(&w, l->peer.b, 6);
	wr_le16(&w, 40);
	wr_le16(&w, 0);
	wr_le16(&w, 256);
	wr_u8(&w, 0);
	fake_hci_event(l->fk, l->index, HCIP_EV_LE_META, buf, wr_len(&w));
}

void fake_link_up(struct fake_link *l, uint16_t handle)
{
	uint8_t buf[13];
	struct wr w = wr_init(buf, sizeof(buf));
	struct fake_adapter *a = fake_find(l->fk, l->index);

	l->handle = handle;
	l->state = FAKE_LINK_UP;
	l->err = 0;
	if (a)
		a->scanning = false; /* the kernel stops it to connect */
	send_complete(l, 0);
	put_addr7(&w, &l->peer);
	wr_le32(&w, MGMT_CONNECTED_INITIATED);
	wr_le16(&w, 0);
	fake_mgmt_event(l->fk, MGMT_EV_DEVICE_CONNECTED, l->index, buf, wr_len(&w));
	unstuff(l->far);
}

void fake_link_fail(struct fake_link *l, int err, uint8_t hci_status)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	if (hci_status)
		send_complete(l, hci_status);
	put_addr7(&w, &l->peer);
	wr_u8(&w, MGMT_STATUS_CONNECT_FAILED);
	fake_mgmt_event(l->fk, MGMT_EV_CONNECT_FAILED, l->index, buf, wr_len(&w));
	l->state = FAKE_LINK_DOWN;
	l->err = err;
	unstuff(l->far);
}

static void send_disconnected(struct fake_link *l, uint8_t reason)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, 0);
	wr_le16(&w, l->handle);
	wr_u8(&w, reason);
	fake_hci_event(l->fk, l->index, HCIP_EV_DISCONNECTED, buf, wr_len(&w));
	w = wr_init(buf, sizeof(buf));
	put_addr7(&w, &l->peer);
	wr_u8(&w, reason == 0x08 ? MGMT_REASON_TIMEOUT : reason == 0x16 ? MGMT_REASON_LOCAL : MGMT_REASON_REMOTE);
	fake_mgmt_event(l->fk, MGMT_EV_DEVICE_DISCONNECTED, l->index, buf, wr_len(&w));
}

static void end(struct fake_link *l, int err)
{
	l->state = FAKE_LINK_DOWN;
	l->err = err;
	if (l->far >= 0)
		(void)shutdown(l->far, SHUT_RDWR); /* the test may have a copy */
	closep(&l->far);
	l->far = -1;
}

void fake_link_drop(struct fake_link *l, uint8_t hci_reason)
{
	CHECK(l->state == FAKE_LINK_UP);
	send_disconnected(l, hci_reason);
	end(l, -ECONNRESET);
}

/* Power off: no Device Disconnected for attempts; pending ones are aborted. */
void fake_links_end(struct fake_kernel *fk, uint16_t index)
{
	for (size_t i = 0; i < fk->n_links; i++) {
		struct fake_link *l = &fk->links[i];

		if (l->index == index && l->state != FAKE_LINK_DOWN)
			end(l, -ECONNABORTED);
	}
}

void fake_link_send(struct fake_link *l, const void *pdu, size_t len)
{
	CHECK(send(l->far, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len || errno == EPIPE);
}

ssize_t fake_link_recv(struct fake_link *l, void *buf, size_t size)
{
	return l->far < 0 ? -1 : recv(l->far, buf, size, MSG_DONTWAIT);
}
