/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/sock.h"

#include <sys/socket.h>

#include "aiobled/cleanup.h"

#include "test.h"

struct peer {
	struct sock sock;
	char log[256];
	int writable, closed, err;
	bool deinit_in_received;
};

static struct loop *loop;
static struct peer *peer;
static int far;

static void on_received(struct sock *sock, const uint8_t *data, size_t len)
{
	struct peer *p = container_of(sock, struct peer, sock);

	strncat(p->log, (const char *)data, len);
	strcat(p->log, ",");
	if (p->deinit_in_received) {
		sock_deinit(sock);
		free(p);
		peer = NULL;
	}
}

static void on_writable(struct sock *sock)
{
	container_of(sock, struct peer, sock)->writable++;
}

static void on_closed(struct sock *sock, int err)
{
	struct peer *p = container_of(sock, struct peer, sock);

	p->closed++;
	p->err = err;
}

static const struct sock_ops ops = { .received = on_received, .writable = on_writable, .closed = on_closed };

static int setup(void **state)
{
	int sv[2];

	if (loop_new_virtual(&loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	far = sv[0];
	peer = calloc(1, sizeof(*peer));
	return peer ? sock_init(&peer->sock, loop, sv[1], &ops) : -1;
}

static int teardown(void **state)
{
	if (peer)
		sock_deinit(&peer->sock);
	free(peer);
	closep(&far);
	loop_free(loop);
	return 0;
}

static void messages_stay_whole_and_in_order(void **state)
{
	assert_int_equal(send(far, "one", 3, 0), 3);
	assert_int_equal(send(far, "two", 3, 0), 3);
	assert_int_equal(loop_settle(loop), 0);
	assert_string_equal(peer->log, "one,two,");
}

static void one_socket_does_not_starve_the_rest(void **state)
{
	for (int i = 0; i < SOCK_READ_BUDGET + 2; i++)
		assert_int_equal(send(far, "x", 1, 0), 1);
	assert_int_equal(loop_settle(loop), 0); /* several passes */
	assert_int_equal(strlen(peer->log), 2 * (SOCK_READ_BUDGET + 2));
}

static void what_was_queued_before_the_end_is_delivered(void **state)
{
	assert_int_equal(send(far, "last", 4, 0), 4);
	closep(&far);
	far = -1;
	assert_int_equal(loop_settle(loop), 0);
	assert_string_equal(peer->log, "last,");
	assert_int_equal(peer->closed, 1);
	assert_int_equal(peer->err, 0);
	assert_int_equal(sock_send(&peer->sock, "x", 1), -EPIPE);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(peer->closed, 1);
}

static void a_full_socket_says_when_there_is_room(void **state)
{
	static const uint8_t block[1024];
	uint8_t buf[1024];
	int r, n = 0;

	while ((r = sock_send(&peer->sock, block, sizeof(block))) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n > 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(peer->writable, 0);
	while (recv(far, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(peer->writable, 1);
	assert_int_equal(sock_send(&peer->sock, block, sizeof(block)), 0);
}

static void the_owner_may_die_in_a_callback(void **state)
{
	peer->deinit_in_received = true;
	assert_int_equal(send(far, "one", 3, 0), 3);
	assert_int_equal(send(far, "two", 3, 0), 3);
	assert_int_equal(loop_settle(loop), 0);
	assert_null(peer);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_stay_whole_and_in_order),
		T(one_socket_does_not_starve_the_rest),
		T(what_was_queued_before_the_end_is_delivered),
		T(a_full_socket_says_when_there_is_room),
		T(the_owner_may_die_in_a_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
