/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATT channels. A connecting socket must not be writable, which a socketpair is at once: its near end is stuffed until it
 * is full, and emptied when the attempt is decided. Links that peers make wait in the queue of a real listening socket.
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

void fake_listen_error(struct fake_kernel *fk, int err)
{
	fk->listen_error = err;
}

void fake_accept_error(struct fake_kernel *fk, int err)
{
	fk->accept_error = err;
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

static bool owns(const struct fake_adapter *a, const struct addr *local)
{
	bool is_static = a->settings & MGMT_SETTING_STATIC_ADDRESS;

	return is_static ? local->type == ADDR_RANDOM : memcmp(a->addr, local->b, 6) == 0;
}

/* The adapter that owns the address and is on. */
static struct fake_adapter *adapter_of(struct fake_kernel *fk, const struct addr *local)
{
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++) {
		struct fake_adapter *a = &fk->adapters[i];

		if (a->present && a->settings & MGMT_SETTING_POWERED && owns(a, local))
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
				 .listener = -1,
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
	wr_u8(&w, l->incoming ? HCIP_ROLE_PERIPHERAL : HCIP_ROLE_CENTRAL);
	wr_u8(&w, l->peer.type);
	wr_bytes(&w, l->peer.b, 6);
	wr_le16(&w, 40);
	wr_le16(&w, 0);
	wr_le16(&w, 256);
	wr_u8(&w, 0);
	fake_hci_event(l->fk, l->index, HCIP_EV_LE_META, buf, wr_len(&w));
}

static void send_connected(struct fake_link *l)
{
	uint8_t buf[13];
	struct wr w = wr_init(buf, sizeof(buf));

	put_addr7(&w, &l->peer);
	wr_le32(&w, l->incoming ? 0 : MGMT_CONNECTED_INITIATED);
	wr_le16(&w, 0);
	fake_mgmt_event(l->fk, MGMT_EV_DEVICE_CONNECTED, l->index, buf, wr_len(&w));
}

void fake_link_up(struct fake_link *l, uint16_t handle)
{
	struct fake_adapter *a = fake_find(l->fk, l->index);

	l->handle = handle;
	l->state = FAKE_LINK_UP;
	l->err = 0;
	if (a)
		a->scanning = false; /* the kernel stops it to connect */
	send_complete(l, 0);
	send_connected(l);
	unstuff(l->far);
}

/* --- links that peers make --- */

int fake_att_listen(const struct kernel *k, const struct addr *local)
{
	struct fake_kernel *fk = fake_of(k);
	struct fake_listener *s = &fk->listeners[fk->n_listeners];
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd;

	if (fk->listen_error)
		return fk->listen_error;
	CHECK(fk->n_listeners < FAKE_LISTENERS_MAX);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	/* without a name: the system finds one that is free */
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)) == 0);
	CHECK(listen(fd, FAKE_LINKS_MAX) == 0);
	*s = (struct fake_listener){ .local = *local, .fd = fd, .name_len = sizeof(s->name) };
	CHECK(getsockname(fd, (struct sockaddr *)&s->name, &s->name_len) == 0);
	fk->n_listeners++;
	return fd;
}

/* Numbers are used again: the newest. */
static int listener_by_fd(const struct fake_kernel *fk, int fd)
{
	for (size_t i = fk->n_listeners; i > 0; i--)
		if (fk->listeners[i - 1].fd == fd)
			return (int)(i - 1);
	CHECK(!"a listener");
	return -1;
}

static struct fake_link *first_in_queue(struct fake_kernel *fk, int listener)
{
	for (size_t i = 0; i < fk->n_links; i++)
		if (fk->links[i].listener == listener)
			return &fk->links[i];
	CHECK(!"a link for what was accepted");
	return NULL;
}

int fake_att_accept(const struct kernel *k, int fd, struct addr *ret_peer)
{
	struct fake_kernel *fk = fake_of(k);
	struct fake_link *l;
	int taken;

	if (fk->accept_error && fk->accept_error != -ECONNABORTED)
		return fk->accept_error; /* the queue stays as it is */
	taken = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (taken < 0)
		return -errno;
	l = first_in_queue(fk, listener_by_fd(fk, fd));
	l->listener = -1;
	if (fk->accept_error) {
		closep(&taken);
		return fk->accept_error;
	}
	l->near = taken;
	*ret_peer = l->peer;
	return taken;
}

/* Return: the test's end of a channel that waits to be accepted, or -1 */
static int knock(const struct fake_listener *s)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&s->name, s->name_len) == 0)
		return fd;
	CHECK(errno == ECONNREFUSED);
	closep(&fd);
	return -1;
}

static void offer(struct fake_link *l)
{
	struct fake_kernel *fk = l->fk;
	const struct fake_adapter *a = fake_find(fk, l->index);

	CHECK(l->listener < 0 && l->far < 0);
	for (size_t i = fk->n_listeners; i > 0 && l->far < 0; i--) {
		if (!owns(a, &fk->listeners[i - 1].local))
			continue;
		l->far = knock(&fk->listeners[i - 1]);
		l->listener = l->far < 0 ? -1 : (int)(i - 1);
	}
}

bool fake_listens(const struct fake_kernel *fk, uint16_t index)
{
	const struct fake_adapter *a = fake_find(fk, index);

	for (size_t i = 0; a && i < fk->n_listeners; i++) {
		struct pollfd p = { .fd = fk->listeners[i].fd };
		struct sockaddr_un name;
		socklen_t len = sizeof(name);

		if (!owns(a, &fk->listeners[i].local) || poll(&p, 1, 0) < 0 || p.revents & POLLNVAL)
			continue;
		if (getsockname(p.fd, (struct sockaddr *)&name, &len) == 0 && len == fk->listeners[i].name_len &&
		    memcmp(&name, &fk->listeners[i].name, len) == 0)
			return true;
	}
	return false;
}

void fake_link_tell(struct fake_link *l, const char *order)
{
	for (; *order; order++) {
		if (*order == 'h')
			send_complete(l, 0);
		else if (*order == 'a')
			offer(l);
		else if (*order == 'm')
			send_connected(l);
		else
			CHECK(!"a source of news");
	}
}

struct fake_link *fake_link_incoming(struct fake_kernel *fk, uint16_t index, const struct addr *peer, uint16_t handle,
				     const char *order)
{
	struct fake_link *l = &fk->links[fk->n_links];

	CHECK(fk->n_links < FAKE_LINKS_MAX && fake_find(fk, index));
	fk->n_links++;
	*l = (struct fake_link){ .fk = fk,
				 .index = index,
				 .peer = *peer,
				 .handle = handle,
				 .state = FAKE_LINK_UP,
				 .incoming = true,
				 .listener = -1,
				 .near = -1,
				 .far = -1,
				 .level = 1 };
	fake_link_tell(l, order);
	return l;
}

/* --- pairing --- */

void fake_link_ask(struct fake_link *l, bool hint)
{
	uint8_t buf[12];
	struct wr w = wr_init(buf, sizeof(buf));

	put_addr7(&w, &l->peer);
	wr_u8(&w, hint);
	wr_le32(&w, hint ? 0 : 123456);
	fake_mgmt_event(l->fk, MGMT_EV_USER_CONFIRM, l->index, buf, wr_len(&w));
}

void fake_link_ask_passkey(struct fake_link *l)
{
	uint8_t buf[7];
	struct wr w = wr_init(buf, sizeof(buf));

	put_addr7(&w, &l->peer);
	fake_mgmt_event(l->fk, MGMT_EV_PASSKEY_REQUEST, l->index, buf, wr_len(&w));
}

void fake_link_key(struct fake_link *l, bool store)
{
	uint8_t buf[37];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, store);
	put_addr7(&w, &l->peer);
	wr_u8(&w, 2); /* Secure Connections, unauthenticated */
	wr_u8(&w, 0);
	wr_u8(&w, 16);
	wr_le16(&w, 0);
	memset(wr_space(&w, 8 + 16), 0x5a, 8 + 16);
	CHECK(wr_ok(&w));
	fake_mgmt_event(l->fk, MGMT_EV_NEW_LTK, l->index, buf, wr_len(&w));
}

void fake_link_identify(struct fake_link *l, const struct addr *identity)
{
	uint8_t buf[1 + 6 + 7 + 16];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, 1);
	wr_bytes(&w, l->peer.b, 6);
	put_addr7(&w, identity);
	memset(wr_space(&w, 16), 0xa5, 16);
	CHECK(wr_ok(&w));
	fake_mgmt_event(l->fk, MGMT_EV_NEW_IRK, l->index, buf, wr_len(&w));
	l->peer = *identity;
}

void fake_link_encrypt(struct fake_link *l, uint8_t level, uint8_t key_size)
{
	uint8_t buf[4];
	struct wr w = wr_init(buf, sizeof(buf));

	l->level = level;
	l->key_size = key_size;
	wr_u8(&w, 0);
	wr_le16(&w, l->handle);
	wr_u8(&w, 1);
	fake_hci_event(l->fk, l->index, HCIP_EV_ENCRYPTION_CHANGE, buf, sizeof(buf));
}

/* --- failing and ending --- */

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
	fake_adv_link_down(l->fk, l->index, l->handle);
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
