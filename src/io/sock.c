/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packet sockets. All of them read into one buffer: callbacks are not nested, and a message is only
 * valid inside its callback. After the end of a Bluetooth link the first read reports the end
 * although messages are queued behind it, so reading goes on until there is really nothing left.
 */
#include "aiobled/sock.h"

#include <errno.h>
#include <sys/socket.h>

#include "aiobled/cleanup.h"

static uint8_t rx_buf[SOCK_MSG_MAX];

static int sock_update(struct sock *sock)
{
	if (sock->closed)
		return loop_io_set(&sock->io, 0);
	return loop_io_set(&sock->io, LOOP_READ | (sock->wants_write ? LOOP_WRITE : 0));
}

static void sock_close(struct sock *sock)
{
	sock->closed = true;
	(void)sock_update(sock); /* taking interest away does not fail */
	sock->ops->closed(sock, sock->err);
}

/* Return: true when there may be more to read */
static bool sock_read_one(struct sock *sock)
{
	ssize_t n = recv(sock->fd, rx_buf, sizeof(rx_buf), MSG_DONTWAIT | MSG_TRUNC);

	if (n > (ssize_t)sizeof(rx_buf)) {
		sock->truncated++;
		return true;
	}
	if (n > 0) {
		sock->ops->received(sock, rx_buf, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN) {
		if (sock->ended)
			sock_close(sock);
		return false;
	}
	if (sock->ended) { /* the second time: this was all */
		sock_close(sock);
		return false;
	}
	sock->ended = true;
	sock->err = n < 0 ? -errno : 0;
	return true;
}

static void on_io(struct loop_io *io, int ready)
{
	struct sock *sock = container_of(io, struct sock, io);
	bool gone = false;

	sock->gone = &gone;
	if (ready & LOOP_WRITE && sock->wants_write) {
		sock->wants_write = false;
		sock->ops->writable(sock);
	}
	for (int i = 0; !gone && ready & LOOP_READ && i < SOCK_READ_BUDGET; i++) {
		if (!sock_read_one(sock))
			break;
	}
	if (gone)
		return;
	sock->gone = NULL;
	(void)sock_update(sock); /* without memory for it the interest stays as it was */
}

int sock_init(struct sock *sock, struct loop *loop, int fd, const struct sock_ops *ops)
{
	int r;

	*sock = (struct sock){.fd = fd, .ops = ops};
	r = loop_io_init(&sock->io, loop, fd, on_io);
	if (r == 0)
		r = sock_update(sock);
	if (r < 0)
		sock_deinit(sock);
	return r;
}

void sock_deinit(struct sock *sock)
{
	if (!sock->ops)
		return;
	if (sock->gone)
		*sock->gone = true;
	loop_io_deinit(&sock->io);
	closep(&sock->fd);
	*sock = (struct sock){.fd = -1};
}

int sock_send(struct sock *sock, const void *data, size_t len)
{
	ssize_t n;

	if (sock->closed)
		return -EPIPE;
	do
		n = send(sock->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno != EAGAIN && errno != ENOBUFS)
		return -errno;
	sock->wants_write = true;
	(void)sock_update(
		sock); /* the interest in reading stands, which fails no later than this */
	return -EAGAIN;
}
