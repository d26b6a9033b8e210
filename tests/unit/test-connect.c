/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/conn.h"

#include <sys/socket.h>

#include "../../src/core/links_priv.h"
#include "../support/bed.h"
#include "aiobled/result.h"
#include "test.h"

static struct bed *bed;

/* --- a caller --- */

struct caller {
	struct connect_op c;
	unsigned int done;
	int res;
	struct conn *conn;
	struct caller *again; /* started in done(), to the same peer */
	struct addr peer;
};

static void caller_start(struct caller *me, const struct addr *peer, uint32_t timeout_ms);

static void on_done(struct op *op, int res)
{
	struct caller *me = container_of(op, struct caller, c.op);

	me->done++;
	me->res = res;
	me->conn = me->c.conn;
	if (me->again)
		caller_start(me->again, &me->peer, 10000);
}

static int caller_try(struct caller *me, const struct addr *peer,
                      const struct connect_params *params, uint32_t timeout_ms)
{
	op_init(&me->c.op, bed->loop, on_done);
	me->done = 0;
	me->peer = *peer;
	return connect_start(&bed->adapter, peer, params, &me->c, timeout_ms);
}

static void caller_start(struct caller *me, const struct addr *peer, uint32_t timeout_ms)
{
	assert_int_equal(caller_try(me, peer, &CONNECT_PARAMS_DEFAULT, timeout_ms), 0);
	assert_int_equal(me->done, 0);
}

static struct caller a, b, d;
static struct addr peer, other;

static int setup(void **state)
{
	bed = bed_new();
	bed_up(bed);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&d, 0, sizeof(d));
	peer = bed_addr(1);
	other = bed_addr(2);
	return 0;
}

static int teardown(void **state)
{
	op_drop(&a.c.op);
	op_drop(&b.c.op);
	op_drop(&d.c.op);
	bed_free(bed);
	return 0;
}

/* --- links that come --- */

static void success(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_said(bed, "load 01 connect 01");
	assert_int_equal(links_pending(&bed->adapter), 1);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.res, 0);
	assert_ptr_equal(a.conn, bed->last_conn);
	assert_int_equal(bed->conns_added, 1);
	assert_int_equal(links_pending(&bed->adapter), 0);
	assert_int_equal(links_count(&bed->adapter), 1);
	assert_int_equal(bed->adapter.stats.connects, 1);
	assert_true(conn_is_up(a.conn));
	assert_true(conn_is_central(a.conn));
	assert_true(addr_equal(conn_addr(a.conn), &peer));
	assert_int_equal(conn_handle(a.conn), 0x40);
	assert_int_equal(conn_interval(a.conn), 40);
	assert_int_equal(conn_latency(a.conn), 2);
	assert_int_equal(conn_supervision_timeout(a.conn), 42);
	bed_run(bed, 60000);
	assert_int_equal(a.done, 1);
	bed_said(bed, "");
}

static void parameters_are_loaded(void **state)
{
	struct connect_params p = {
		.interval_min = 6, .interval_max = 12, .latency = 3, .supervision_timeout = 100};

	assert_int_equal(caller_try(&a, &peer, &p, 0), 0);
	bed_said(bed, "load 01 connect 01");
	assert_int_equal(bed->loaded[0], 6);
	assert_int_equal(bed->loaded[1], 12);
	assert_int_equal(bed->loaded[2], 3);
	assert_int_equal(bed->loaded[3], 100);
	caller_start(&b, &other, 0); /* those of the first must not stay */
	bed_said(bed, "load 02 connect 02");
	assert_int_equal(bed->loaded[0], 24);
}

static void bad_parameters(void **state)
{
	static const struct connect_params rows[] = {
		{5, 40, 0, 256},   {24, 3201, 0, 3200}, {41, 40, 0, 256}, {24, 40, 500, 3200},
		{24, 40, 0, 9},    {24, 40, 0, 3201},   {24, 40, 0, 10}, /* 100 ms = 2 intervals */
		{24, 40, 26, 256}, /* 27 intervals of 50 ms, twice, are over 2.56 s */
	};
	static const struct connect_params good[] = {
		{24, 40, 0, 11}, {24, 40, 24, 256}, {6, 6, 0, 10}, {3200, 3200, 0, 801}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(caller_try(&a, &peer, &rows[i], 0), -EINVAL);
	bed_said(bed, "");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(caller_try(&a, &peer, &good[i], 0), 0);
		op_drop(&a.c.op);
	}
}

/* The events of one link come from three sockets: every order makes the same conn. */
static void facts_in_any_order(void **state)
{
	static const char *const orders[] = {"CFS", "CSF", "SCF"};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		uint16_t handle = (uint16_t)(0x40 + i);

		caller_start(&a, &peer, 10000);
		bed_run(bed, 0);
		for (const char *p = orders[i]; *p; p++) {
			assert_int_equal(a.done, 0);
			if (*p == 'C')
				bed_conn_complete(bed, 0, handle, &peer, HCIP_ROLE_CENTRAL);
			else if (*p == 'F')
				bed_features(bed, 0, handle);
			else
				bed_channel_up(bed_channel(bed, &peer), handle);
		}
		assert_int_equal(a.done, 1); /* at once: no time has passed */
		assert_int_equal(a.res, 0);
		assert_int_equal(conn_interval(a.conn), 40);
		bed_link_down(bed, &peer, handle, 0x13);
	}
}

static void a_peer_without_features_is_waited_for(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 10);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	bed_run(bed, 339); /* seven intervals of 50 ms */
	assert_int_equal(a.done, 0);
	bed_run(bed, 1);
	assert_int_equal(a.res, 0);
	assert_int_equal(a.done, 1);
}

/* The controller's word comes last, and says that nothing is proven yet. */
static void the_window_counts_from_connection_complete(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	bed_run(bed, 50);
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 349);
	assert_int_equal(a.done, 0);
	bed_run(bed, 1);
	assert_int_equal(a.res, 0);
	assert_int_equal(a.done, 1);
}

static void features_refused_prove_the_link_too(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	bed_features(bed, 0x3e, 0x40); /* no */
	assert_int_equal(a.done, 0);
	bed_features(bed, HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE, 0x40); /* the peer answered */
	assert_int_equal(a.done, 1);
}

static void a_pdu_of_the_peer_proves_the_link(void **state)
{
	static const uint8_t mtu_req[] = {0x02, 0x05, 0x02};

	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	assert_int_equal(a.done, 0);
	assert_int_equal(send(bed_channel(bed, &peer)->fd, mtu_req, 3, 0), 3);
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.res, 0);
}

static void without_the_controllers_word(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	bed_run(bed, CONNECT_FACTS_MS - 1);
	assert_int_equal(a.done, 0);
	bed_run(bed, 1);
	assert_int_equal(a.res, 0);
	assert_int_equal(conn_interval(a.conn), 0); /* not known */
	assert_int_equal(conn_handle(a.conn), 0x40);
}

static void peer_that_appears_late(void **state)
{
	caller_start(&a, &peer, 60000);
	bed_run(bed, 55000);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
	assert_int_equal(a.done, 1);
}

static void many_pending_side_by_side(void **state)
{
	struct caller *c = calloc(CONNECTS_MAX + 1, sizeof(*c));
	struct addr addr;

	for (uint8_t i = 0; i < CONNECTS_MAX; i++) {
		addr = bed_addr((uint8_t)(10 + i));
		caller_start(&c[i], &addr, 10000);
	}
	assert_int_equal(caller_try(&c[CONNECTS_MAX], &peer, &CONNECT_PARAMS_DEFAULT, 10000),
	                 -ENOBUFS);
	bed_run(bed, 10);
	assert_int_equal(links_pending(&bed->adapter), CONNECTS_MAX);
	for (uint8_t i = CONNECTS_MAX; i-- > 0;) { /* backwards */
		addr = bed_addr((uint8_t)(10 + i));
		bed_link_up(bed, &addr, (uint16_t)(0x100 + i));
		assert_int_equal(c[i].done, 1);
		assert_int_equal(c[i].res, 0);
	}
	assert_int_equal(links_count(&bed->adapter), CONNECTS_MAX);
	free(c);
}

/* --- sharing --- */

static void two_callers_one_attempt(void **state)
{
	caller_start(&a, &peer, 10000);
	caller_start(&b, &peer, 10000);
	bed_said(bed, "load 01 connect 01");
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 1);
	assert_ptr_equal(a.conn, b.conn);
	assert_int_equal(bed->conns_added, 1);
}

static void each_caller_has_its_deadline(void **state)
{
	caller_start(&a, &peer, 1000);
	caller_start(&b, &peer, 2000);
	bed_run(bed, 1000);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(b.done, 0);
	assert_int_equal(bed->adapter.stats.connect_failures, 0); /* the attempt goes on */
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(b.res, 0);
	assert_int_equal(a.done, 1);
}

static void a_link_that_is_up_is_taken(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	bed->log[0] = '\0';
	caller_start(&b, &peer, 10000);
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_int_equal(b.done, 1);
	assert_ptr_equal(a.conn, b.conn);
	bed_said(bed, "");
	caller_start(&b, &peer, 10000);
	op_drop(&b.c.op); /* before it was told */
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_int_equal(b.done, 0);
}

static void the_link_taken_breaks_before_it_is_told(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	caller_start(&b, &peer, 10000);
	bed_disconnected(bed, 0x40, 0x08); /* settles: b has been told */
	assert_int_equal(b.done, 1);
	bed_channel_die(bed_channel(bed, &peer));
	caller_start(&d, &peer, 10000); /* the old one is still being buried */
	bed_run(bed, 100);
	bed_link_up(bed, &peer, 0x41);
	assert_int_equal(d.res, 0);
	assert_int_equal(conn_handle(d.conn), 0x41);
}

static void unplugged_before_the_shared_link_is_told(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	caller_start(&b, &peer, 10000);
	bed_down(bed, ADAPTER_OFF, -ENODEV);
	assert_int_equal(loop_settle(bed->loop), 0);
	bed_run(bed, 20000);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.res, -ETIMEDOUT); /* waits for the adapter, and then for nothing */
}

/* --- giving up --- */

static void timeout_cancels_in_the_kernel(void **state)
{
	struct bed_channel *channel;

	caller_start(&a, &peer, 10000);
	bed_run(bed, 9999);
	channel = bed_channel(bed, &peer);
	assert_false(bed_channel_closed(channel));
	assert_int_equal(a.done, 0);
	bed_run(bed, 1);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_true(bed_channel_closed(channel));
	assert_int_equal(bed->adapter.stats.connect_failures, 1);
	bed_said(bed, "load 01 connect 01"); /* never mgmt Disconnect for a pending connect */
	assert_int_equal(links_pending(&bed->adapter), 0);
}

static void the_last_caller_who_leaves_cancels(void **state)
{
	struct bed_channel *channel;

	caller_start(&a, &peer, 10000);
	caller_start(&b, &peer, 10000);
	bed_run(bed, 10);
	channel = bed_channel(bed, &peer);
	op_drop(&a.c.op);
	assert_false(bed_channel_closed(channel));
	op_fail(&b.c.op, -ECANCELED);
	assert_true(bed_channel_closed(channel));
	assert_int_equal(a.done, 0);
	assert_int_equal(b.res, -ECANCELED);
	assert_int_equal(bed->adapter.stats.connect_failures, 0);
}

static void leaving_in_each_state(void **state)
{
	/* loading */
	caller_start(&a, &peer, 10000);
	op_drop(&a.c.op);
	bed_said(bed, "load 01"); /* and nothing comes of it */
	/* usable, not proven */
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_channel_up(bed_channel(bed, &peer), 0x40);
	op_drop(&a.c.op);
	bed_said(bed, "load 01 connect 01 drop 01");
	assert_int_equal(links_count(&bed->adapter), 0);
	/* failing */
	caller_start(&a, &peer, 10000);
	bed_run(bed, 20);
	bed_channel_fail(bed_channel(bed, &peer), -ECONNREFUSED);
	op_drop(&a.c.op);
	/* held */
	caller_start(&a, &peer, 10000);
	bed->connect_error = -EBUSY;
	bed->connect_errors = 1;
	bed_run(bed, 0);
	op_drop(&a.c.op);
	/* waiting for the adapter */
	bed_down(bed, ADAPTER_OFF, -ENETDOWN);
	bed->want_result = -EAGAIN;
	caller_start(&a, &peer, 10000);
	op_drop(&a.c.op);
	bed_up(bed);
	bed_run(bed, 60000);
	assert_int_equal(a.done, 0);
	assert_int_equal(bed->conns_added, 0);
}

/* The kernel had begun to create the connection when we gave up. */
static void late_link_is_dropped(void **state)
{
	caller_start(&a, &peer, 1000);
	bed_run(bed, 1000);
	assert_int_equal(a.res, -ETIMEDOUT);
	bed_run(bed, 3000);
	bed->log[0] = '\0';
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, ACL_LATE_MS - 1);
	bed_said(bed, ""); /* the kernel may not have read its own event yet */
	bed_run(bed, 1);
	bed_said(bed, "drop 01");
	assert_int_equal(links_count(&bed->adapter), 0);
	assert_int_equal(bed->conns_added, 0);
	/* only the one: others' links are theirs */
	bed_conn_complete(bed, 0, 0x41, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 1000);
	bed_said(bed, "");
	assert_int_equal(links_count(&bed->adapter), 1);
}

static void late_link_that_is_wanted_again_is_kept(void **state)
{
	caller_start(&a, &peer, 1000);
	bed_run(bed, 1000);
	caller_start(&a, &peer, 1000);
	bed_run(bed, 0);
	bed->log[0] = '\0';
	bed_link_up(bed, &peer, 0x40);
	bed_run(bed, 1000);
	assert_int_equal(a.res, 0);
	bed_said(bed, "");
}

static void only_so_many_cancelled_peers_are_remembered(void **state)
{
	for (uint8_t i = 0; i <= CANCELLED_MAX; i++) {
		struct addr addr = bed_addr((uint8_t)(10 + i));

		caller_start(&a, &addr, 0);
		bed_run(bed, 0);
		op_drop(&a.c.op);
	}
	bed_run(bed, 0);
	bed->log[0] = '\0';
	bed_conn_complete(bed, 0, 0x40, &(struct addr){{10, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM},
	                  HCIP_ROLE_CENTRAL);
	bed_run(bed, 1000);
	bed_said(bed,
	         ""); /* the oldest is forgotten: the kernel drops a link without a user, too */
	bed_conn_complete(bed, 0, 0x41, &(struct addr){{11, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM},
	                  HCIP_ROLE_CENTRAL);
	bed_run(bed, 1000);
	bed_said(bed, "drop 0b");
	bed_run(bed, CANCELLED_MAX_US / 1000);
	bed_conn_complete(bed, 0, 0x42, &(struct addr){{12, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM},
	                  HCIP_ROLE_CENTRAL);
	bed_run(bed, 1000);
	bed_said(bed, ""); /* too late to be ours */
}

static void links_of_strangers_are_left_alone(void **state)
{
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_conn_complete(bed, 0, 0x41, &other, HCIP_ROLE_PERIPHERAL);
	bed_run(bed, 60000);
	bed_said(bed, "");
	assert_int_equal(links_count(&bed->adapter), 2);
	bed_disconnected(bed, 0x40, 0x13);
	bed_disconnected(bed, 0x41, 0x13);
	assert_int_equal(links_count(&bed->adapter), 0);
}

/* A central is connected to us; connecting to it uses that link. */
static void a_link_in_peripheral_role_is_shared(void **state)
{
	bed_conn_complete(bed, 0, 0x41, &other, HCIP_ROLE_PERIPHERAL);
	caller_start(&a, &other, 1000);
	bed_run(bed, 0);
	bed_channel_up(bed_channel(bed, &other), 0x41);
	assert_int_equal(a.res, 0);
	assert_false(conn_is_central(a.conn));
	assert_int_equal(conn_interval(a.conn), 40);
}

/* --- tries that fail --- */

static void channel_fails(int err, uint8_t status)
{
	bed_run(bed, 0);
	if (status)
		bed_conn_complete(bed, status, 0, &peer, HCIP_ROLE_CENTRAL);
	bed_channel_fail(bed_channel(bed, &peer), err);
}

static void the_controllers_word_counts(void **state)
{
	static const struct {
		uint8_t status;
		int err;
		bool no_slot;
	} rows[] = {
		{0x12, -EINVAL, false}, {0x0d, -ECONNREFUSED, true}, {0x09, -EMLINK, true},
		{0x43, -ENOSYS, true},  {0x07, -ENOMEM, false},      {0x05, -EACCES, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		caller_start(&a, &peer, 10000);
		channel_fails(rows[i].err, rows[i].status);
		bed_run(bed, 0);
		assert_int_equal(a.done, 1);
		assert_int_equal(a.res, RES_HCI(rows[i].status));
		/* the same, but the channel is first, and the event names nobody */
		caller_start(&a, &peer, 10000);
		channel_fails(rows[i].err, 0);
		bed_run(bed, 10);
		assert_int_equal(a.done, 0);
		bed_conn_complete(bed, rows[i].status, 0, &(struct addr){{0}, 0}, 0);
		bed_run(bed, 0);
		assert_int_equal(a.res, RES_HCI(rows[i].status));
		/* and nameless before the channel */
		caller_start(&a, &peer, 10000);
		bed_run(bed, 0);
		bed_conn_complete(bed, rows[i].status, 0, &(struct addr){{0}, 0}, 0);
		bed_channel_fail(bed_channel(bed, &peer), rows[i].err);
		bed_run(bed, 0);
		assert_int_equal(a.res, RES_HCI(rows[i].status));
	}
	assert_int_equal(bed->adapter.stats.connect_failures, 3 * ARRAY_SIZE(rows));
}

/* Another program's link to the peer ends while we wait for ours: that is no word about ours. */
static void an_earlier_links_end_does_not_count(void **state)
{
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 10);
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_disconnected(bed, 0x40, 0x13);
	bed_channel_fail(bed_channel(bed, &peer), -ECONNREFUSED);
	bed_run(bed, 100);
	assert_int_equal(a.done, 0); /* tried again */
	bed_link_up(bed, &peer, 0x41);
	assert_int_equal(a.res, 0);
}

static void final_errors_of_the_channel(void **state)
{
	static const int rows[] = {-EACCES, -EINVAL, -ENOMEM};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		caller_start(&a, &peer, 10000);
		channel_fails(rows[i], 0);
		bed_run(bed, CONNECT_REASON_MS - 1);
		assert_int_equal(a.done, 0); /* the controller might say more */
		bed_run(bed, 1);
		assert_int_equal(a.res, rows[i]);
	}
}

static void the_kernel_gives_up_and_we_do_not(void **state)
{
	caller_start(&a, &peer, 100000);
	bed_said(bed, "load 01 connect 01");
	bed_run(bed, 40200);
	bed_channel_fail(bed_channel(bed, &peer), -ECONNREFUSED);
	bed_run(bed, CONNECT_REASON_MS + CONNECT_RETRY_MS);
	bed_said(bed, "load 01 connect 01");
	assert_int_equal(a.done, 0);
	bed_run(bed, 20000);
	bed_conn_complete(bed, HCIP_STATUS_NO_CONNECTION, 0, &peer, 0); /* 20 s of creating */
	bed_channel_fail(bed_channel(bed, &peer), -ENOTCONN);
	bed_run(bed, 100);
	bed_said(bed, "load 01 connect 01");
	bed_run(bed, 60000);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(a.c.retries, 0); /* that counts 0x3e */
}

/* Linux 6.12 forgets the status of a Connection Complete, and its channel stays pending for ever. */
static void the_kernel_overlooks_a_failure(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, HCIP_STATUS_FAILED_TO_ESTABLISH, 0, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, CONNECT_REASON_MS - 1);
	bed_said(bed, "load 01 connect 01"); /* the channel might fail by itself */
	bed_run(bed, 1 + CONNECT_RETRY_MS);
	bed_said(bed, "load 01 connect 01");
	assert_int_equal(a.c.retries, 1);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
}

/* The controller does not say for whom: whoever is pending is asked for again, and told nothing. */
static void the_kernel_overlooks_a_failure_of_somebody(void **state)
{
	static const struct addr nobody;

	caller_start(&a, &peer, 10000);
	caller_start(&b, &other, 10000);
	bed_run(bed, 0);
	bed->log[0] = '\0';
	bed_conn_complete(bed, HCIP_STATUS_DISALLOWED, 0, &nobody, HCIP_ROLE_CENTRAL);
	bed_run(bed, CONNECT_REASON_MS);
	assert_int_equal(links_pending(&bed->adapter), 0);
	bed_run(bed, CONNECT_REASON_MS + CONNECT_RETRY_MS);
	bed_said(bed, "load 01 connect 01 load 02 connect 02");
	assert_int_equal(links_pending(&bed->adapter), 2);
	assert_int_equal(a.done + b.done, 0);
	bed_run(bed, 60000);
	assert_int_equal(a.res, -ETIMEDOUT);
}

/* No connection: a creation that was cancelled, which the kernel does to do something else; it comes back to it. */
static void a_cancelled_creation_is_not_a_failure(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_conn_complete(bed, HCIP_STATUS_NO_CONNECTION, 0, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 5000);
	bed_said(bed, "load 01 connect 01");
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
}

static void not_established(uint16_t handle)
{
	struct bed_channel *channel = bed_channel(bed, &peer);

	bed_conn_complete(bed, 0, handle, &peer, HCIP_ROLE_CENTRAL);
	bed_disconnected(bed, handle, HCIP_STATUS_FAILED_TO_ESTABLISH);
	bed_channel_fail(channel, -ENOSYS);
}

static void not_established_twice_then_success(void **state)
{
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	not_established(0x40);
	bed_run(bed, 20);
	bed_said(bed, "load 01 connect 01 load 01 connect 01");
	assert_int_equal(a.c.retries, 1);
	not_established(0x41);
	bed_run(bed, 40);
	bed_said(bed, "load 01 connect 01");
	bed_link_up(bed, &peer, 0x42);
	assert_int_equal(a.res, 0);
	assert_int_equal(a.c.retries, 2);
	assert_int_equal(conn_handle(a.conn), 0x42);
	assert_int_equal(bed->adapter.stats.connect_retries, 2);
	assert_int_equal(bed->adapter.stats.connect_failures, 0);
	assert_int_equal(bed->conns_added, 1);
}

/* The channel was usable already, but nothing had been heard. */
static void not_established_after_the_channel_came_up(void **state)
{
	static const char *const orders[] = {"DS", "SD"};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		caller_start(&a, &peer, 10000);
		bed_run(bed, 0);
		bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
		bed_channel_up(bed_channel(bed, &peer), 0x40);
		bed->log[0] = '\0';
		for (const char *p = orders[i]; *p; p++)
			if (*p == 'D') {
				bed_disconnected(bed, 0x40, HCIP_STATUS_FAILED_TO_ESTABLISH);
			} else {
				bed_channel_die(bed_channel(bed, &peer));
				assert_int_equal(loop_settle(bed->loop), 0);
			}
		assert_int_equal(a.done, 0);
		bed_run(bed, 20);
		bed_said(bed, "load 01 connect 01");
		assert_int_equal(a.c.retries, 1);
		bed_link_up(bed, &peer, 0x40);
		assert_int_equal(a.res, 0);
		bed_link_down(bed, &peer, 0x40, 0x13);
		bed_run(bed, 0);
	}
	assert_int_equal(bed->conns_added, 2);
}

static void no_time_for_another_try(void **state)
{
	caller_start(&a, &peer, 1000);
	caller_start(&b, &peer, 5000);
	bed_run(bed, 990);
	not_established(0x40);
	bed_run(bed, 0);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.res, RES_HCI(HCIP_STATUS_FAILED_TO_ESTABLISH));
	assert_int_equal(b.done, 0);
	bed_run(bed, 3990);
	not_established(0x40);
	bed_run(bed, 0);
	assert_int_equal(b.res, RES_HCI(HCIP_STATUS_FAILED_TO_ESTABLISH));
	bed_run(bed, 10000);
	assert_int_equal(links_pending(&bed->adapter), 0);
	assert_int_equal(bed->adapter.stats.connect_failures, 1); /* one attempt */
}

static void pauses_between_tries_grow(void **state)
{
	uint64_t last_us = 0, pause_us = 0;

	caller_start(&a, &peer, 0);
	for (int i = 0; i < 10; i++) {
		bed_run(bed, 0);
		while (!bed_channel(bed, &peer) || bed_channel(bed, &peer)->result != -EINPROGRESS)
			bed_run(bed, 1);
		pause_us = loop_now_us(bed->loop) - last_us;
		last_us = loop_now_us(bed->loop);
		not_established(0x40);
	}
	assert_in_range(pause_us, 1000000, 1002000);
	assert_int_equal(a.done, 0);
}

/* --- EBUSY --- */

static void busy_passes(void **state)
{
	bed->connect_error = -EBUSY;
	bed->connect_errors = 3;
	caller_start(&a, &peer, 10000);
	bed_run(bed, 3 * 2 * CONNECT_RETRY_MS);
	assert_int_equal(links_pending(&bed->adapter), 1);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
}

static void busy_does_not_pass(void **state)
{
	bed->connect_error = -EBUSY;
	bed->connect_errors = 100000;
	caller_start(&a, &peer, 10000);
	bed_run(bed, CONNECT_BUSY_MS - 1);
	assert_int_equal(a.done, 0);
	bed_run(bed, 2 * CONNECT_RETRY_MS);
	assert_int_equal(a.res, -EBUSY);
}

/* --- the adapter --- */

static void waits_for_the_adapter(void **state)
{
	bed_down(bed, ADAPTER_OFF, -ENETDOWN);
	assert_int_equal(caller_try(&a, &peer, &CONNECT_PARAMS_DEFAULT, 10000), -ENETDOWN);
	bed->want_result = -EAGAIN;
	bed->adapter.state = ADAPTER_STARTING;
	caller_start(&a, &peer, 10000);
	caller_start(&b, &peer, 100);
	bed_run(bed, 1000);
	assert_int_equal(b.res, -ETIMEDOUT);
	bed_said(bed, "");
	bed_up(bed);
	bed_said(bed, "load 01 connect 01");
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
}

static void adapter_goes_away(void **state)
{
	static const int rows[] = {-ENETDOWN, -ENODEV};
	struct addr third = bed_addr(3);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		caller_start(&a, &peer, 10000);
		caller_start(&b, &peer, 10000);
		bed_run(bed, 0);
		caller_start(&d, &third, 10000); /* loading */
		a.again = NULL;
		bed_down(bed, ADAPTER_OFF, rows[i]);
		assert_int_equal(a.res, rows[i]);
		assert_int_equal(b.res, rows[i]);
		assert_int_equal(d.res, rows[i]);
		bed_run(bed, 30000);
		assert_int_equal(a.done, 1);
		bed_up(bed);
		bed->log[0] = '\0';
		bed_run(bed, 30000);
		bed_said(bed, "");
	}
}

static void the_kernel_knows_first_that_the_adapter_is_gone(void **state)
{
	static const int rows[] = {-ECONNABORTED, -EHOSTUNREACH};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		caller_start(&a, &peer, 10000);
		channel_fails(rows[i], 0);
		bed_run(bed, 100);
		assert_int_equal(a.done, 0);
		bed_down(bed, ADAPTER_OFF, -ENODEV);
		assert_int_equal(a.res, -ENODEV);
		bed_up(bed);
	}
	/* and when nobody tells */
	caller_start(&a, &peer, 10000);
	bed->connect_error = -EHOSTUNREACH;
	bed->connect_errors = 1000;
	bed_run(bed, 9000);
	assert_int_equal(a.res, -ENETDOWN);
}

static void a_full_controller(void **state)
{
	bed->config.links_max = 1;
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
	caller_start(&b, &other, 10000);
	assert_int_equal(loop_settle(bed->loop), 0);
	bed_run(bed, 0);
	assert_int_equal(b.res, RES_HCI(HCIP_STATUS_CONNECTION_LIMIT));
	assert_int_equal(links_max(&bed->adapter), 1);
}

/* Those that were pending before the last place was taken are over, too. */
static void the_last_place_is_taken(void **state)
{
	bed->config.links_max = 1;
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	caller_start(&b, &other, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(a.res, 0);
	bed_run(bed, 0);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.res, RES_HCI(HCIP_STATUS_CONNECTION_LIMIT));
	assert_true(bed_channel_closed(bed_channel(bed, &other)));
}

static void the_last_place_is_taken_while_parameters_are_loaded(void **state)
{
	struct addr foreign = bed_addr(9);

	bed->config.links_max = 1;
	caller_start(&a, &peer, 10000);
	bed_conn_complete(bed, 0, 0x40, &foreign, HCIP_ROLE_CENTRAL);
	bed_run(bed, 0);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.res, RES_HCI(HCIP_STATUS_CONNECTION_LIMIT));
}

static void the_limit_is_learned_from_each_word_for_it(void **state)
{
	static const uint8_t rows[] = {HCIP_STATUS_CONNECTION_LIMIT, HCIP_STATUS_LIMITED_RESOURCES,
	                               HCIP_STATUS_LIMIT_REACHED};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct addr addr = bed_addr((uint8_t)(10 + i));

		bed_conn_complete(bed, 0, (uint16_t)(0x40 + i), &addr, HCIP_ROLE_CENTRAL);
		caller_start(&a, &peer, 10000);
		channel_fails(-ENOSYS, rows[i]);
		bed_run(bed, 0);
		assert_int_equal(a.res, RES_HCI(rows[i]));
		assert_int_equal(links_max(&bed->adapter), i + 1);
	}
}

static void the_limit_is_learned(void **state)
{
	assert_int_equal(links_max(&bed->adapter), 0);
	caller_start(&a, &other, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &other, 0x40);
	caller_start(&a, &peer, 10000);
	channel_fails(-EMLINK, 0); /* even without the controller's word */
	bed_run(bed, CONNECT_REASON_MS);
	assert_int_equal(a.res, RES_HCI(HCIP_STATUS_CONNECTION_LIMIT));
	assert_int_equal(links_max(&bed->adapter), 1);
	bed->config.links_max = 5;
	assert_int_equal(links_max(&bed->adapter), 1);
	bed_conn_complete(bed, 0, 0x41, &peer, HCIP_ROLE_CENTRAL); /* it takes more after all */
	assert_int_equal(links_max(&bed->adapter), 5);
}

/* --- again and again --- */

static void fifty_in_a_row(void **state)
{
	for (unsigned int i = 0; i < 50; i++) {
		uint16_t handle = (uint16_t)(0x40 + i % 3);

		caller_start(&a, &peer, 10000);
		bed_run(bed, 5);
		bed_link_up(bed, &peer, handle);
		assert_int_equal(a.res, 0);
		assert_int_equal(a.done, 1);
		assert_int_equal(conn_disconnect(a.conn, NULL, 0), 0);
		bed_run(bed, 5);
		assert_int_equal(links_count(&bed->adapter), 0);
	}
	assert_int_equal(bed->adapter.stats.connects, 50);
	assert_int_equal(bed->adapter.stats.disconnects, 50);
}

static void done_starts_another(void **state)
{
	a.again = &b;
	caller_start(&a, &peer, 1000);
	bed_run(bed, 1000);
	assert_int_equal(a.res, -ETIMEDOUT);
	bed_run(bed, 0);
	assert_int_equal(links_pending(&bed->adapter), 1);
	bed_link_up(bed, &peer, 0x40);
	assert_int_equal(b.res, 0);
	/* when it went well, the other is told of the same link */
	a.again = &b;
	caller_start(&a, &peer, 1000);
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_ptr_equal(a.conn, b.conn);
}

static unsigned int stopped;
static int stop_res;

static void on_stopped(struct op *op, int res)
{
	stopped++;
	stop_res = res;
}

static void the_daemon_stops(void **state)
{
	struct op op;

	op_init(&op, bed->loop, on_stopped);
	stopped = 0;
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	caller_start(&b, &other, 10000);
	bed_run(bed, 0);
	bed->log[0] = '\0';
	links_stop(&bed->adapter, &op, 1000);
	assert_int_equal(b.res, -ECANCELED);
	assert_int_equal(stopped, 0);
	bed_said(bed, "drop 01");
	bed_run(bed, 0);
	assert_int_equal(stopped, 1);
	assert_int_equal(stop_res, 0);
	links_stop(&bed->adapter, &op, 1000); /* nothing left */
	assert_int_equal(stopped, 1);
	assert_int_equal(loop_settle(bed->loop), 0);
	assert_int_equal(stopped, 2);
}

static void the_daemon_stops_over_a_dead_kernel(void **state)
{
	struct op op;

	op_init(&op, bed->loop, on_stopped);
	stopped = 0;
	caller_start(&a, &peer, 10000);
	bed_run(bed, 0);
	bed_link_up(bed, &peer, 0x40);
	bed->mute_drop = bed->mute_hci = true;
	links_stop(&bed->adapter, &op, 1000);
	bed_run(bed, 1000);
	assert_int_equal(stopped, 1);
	assert_int_equal(stop_res, -ETIMEDOUT);
}

static void malformed_events_are_counted(void **state)
{
	static const struct {
		uint8_t code, ev[4];
		size_t len;
	} rows[] = {
		{HCIP_EV_LE_META, {HCIP_LE_CONN_COMPLETE, 0}, 2},
		{HCIP_EV_LE_META, {HCIP_LE_ENH_CONN_COMPLETE, 0, 1}, 3},
		{HCIP_EV_LE_META, {HCIP_LE_CONN_UPDATED, 0, 1}, 3},
		{HCIP_EV_LE_META, {HCIP_LE_REMOTE_FEATURES, 0}, 2},
		{HCIP_EV_DISCONNECTED, {0, 1}, 2},
		{HCIP_EV_ENCRYPTION_CHANGE, {0, 1}, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed_event(bed, rows[i].code, rows[i].ev, rows[i].len);
		assert_int_equal(bed->adapter.stats.events_malformed, i + 1);
	}
}

static void events_of_unknown_links_do_nothing(void **state)
{
	bed_disconnected(bed, 0x77, 0x13);
	bed_features(bed, 0, 0x77);
	bed_conn_updated(bed, 0x77, 1, 2, 3);
	bed_encrypted(bed, 0x77);
	bed_mgmt_disconnected(bed, &peer, 3);
	bed_conn_complete(bed, 0x3e, 0, &peer, 0);
	bed_run(bed, 1000);
	bed_said(bed, "");
}

static void links_of_a_broken_controller_are_bounded(void **state)
{
	for (uint16_t i = 0; i < 2 * ACLS_MAX; i++)
		bed_conn_complete(bed, 0, i, &peer, HCIP_ROLE_CENTRAL);
	assert_int_equal(links_count(&bed->adapter), ACLS_MAX);
	bed_conn_complete(bed, 0, 5, &other, HCIP_ROLE_CENTRAL); /* a handle that comes again */
	assert_int_equal(links_count(&bed->adapter), ACLS_MAX);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(success),
		T(parameters_are_loaded),
		T(bad_parameters),
		T(facts_in_any_order),
		T(a_peer_without_features_is_waited_for),
		T(the_window_counts_from_connection_complete),
		T(features_refused_prove_the_link_too),
		T(a_pdu_of_the_peer_proves_the_link),
		T(without_the_controllers_word),
		T(peer_that_appears_late),
		T(many_pending_side_by_side),
		T(two_callers_one_attempt),
		T(each_caller_has_its_deadline),
		T(a_link_that_is_up_is_taken),
		T(the_link_taken_breaks_before_it_is_told),
		T(unplugged_before_the_shared_link_is_told),
		T(timeout_cancels_in_the_kernel),
		T(the_last_caller_who_leaves_cancels),
		T(leaving_in_each_state),
		T(late_link_is_dropped),
		T(late_link_that_is_wanted_again_is_kept),
		T(only_so_many_cancelled_peers_are_remembered),
		T(links_of_strangers_are_left_alone),
		T(a_link_in_peripheral_role_is_shared),
		T(the_controllers_word_counts),
		T(an_earlier_links_end_does_not_count),
		T(final_errors_of_the_channel),
		T(the_kernel_gives_up_and_we_do_not),
		T(the_kernel_overlooks_a_failure),
		T(the_kernel_overlooks_a_failure_of_somebody),
		T(a_cancelled_creation_is_not_a_failure),
		T(not_established_twice_then_success),
		T(not_established_after_the_channel_came_up),
		T(no_time_for_another_try),
		T(pauses_between_tries_grow),
		T(busy_passes),
		T(busy_does_not_pass),
		T(waits_for_the_adapter),
		T(adapter_goes_away),
		T(the_kernel_knows_first_that_the_adapter_is_gone),
		T(a_full_controller),
		T(the_last_place_is_taken),
		T(the_last_place_is_taken_while_parameters_are_loaded),
		T(the_limit_is_learned_from_each_word_for_it),
		T(the_limit_is_learned),
		T(fifty_in_a_row),
		T(done_starts_another),
		T(the_daemon_stops),
		T(the_daemon_stops_over_a_dead_kernel),
		T(malformed_events_are_counted),
		T(events_of_unknown_links_do_nothing),
		T(links_of_a_broken_controller_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
