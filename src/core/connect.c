/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making links. One attempt per peer, however many wait for it; the kernel holds many connects pending side by side and scans
 * for their peers itself.
 *
 * When is a link a link? The controller reports Connection Complete before it has heard the peer; a link on which nothing is
 * heard for six intervals ends with 0x3e, and trying again at once usually works. The kernel makes the ATT channel usable
 * after the exchange of features, which is the first packet of the peer, and the raw channel shows its completion: so the
 * moment the channel is usable is the moment the link is proven, and waiting costs nothing. Where the proof is missing
 * (the features were not asked for), the end of those six intervals is waited for. Then the callers are told; before, every
 * way the link can break means another try.
 *
 * The rule: only enter_state() changes the state; an attempt without waiters does not exist.
 */
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "links_priv.h"

enum attempt_state {
	ATTEMPT_WAITING, /* for the adapter */
	ATTEMPT_HELD, /* until the timer: before another try, or an earlier link to the peer is going down */
	ATTEMPT_LOADING, /* the connection parameters into the kernel */
	ATTEMPT_PENDING, /* with the kernel */
	ATTEMPT_LINKED, /* the channel is usable; the controller's facts or the proof of the link are missing */
	ATTEMPT_FAILING, /* the try failed; the controller's reason may follow */
};

static const char *const state_names[] = {
	[ATTEMPT_WAITING] = "waiting", [ATTEMPT_HELD] = "held",     [ATTEMPT_LOADING] = "loading",
	[ATTEMPT_PENDING] = "pending", [ATTEMPT_LINKED] = "linked", [ATTEMPT_FAILING] = "failing",
};

static void enter_state(struct attempt *a, enum attempt_state state, uint32_t timer_ms)
{
	enum attempt_state old = a->state;
	char text[ADDR_STR_MAX];

	a->state = state;
	log_debug(a->links->adapter->name, "connect %s: %s -> %s", addr_format(&a->peer, text),
	          state_names[old], state_names[state]);
	if (state == ATTEMPT_HELD || state == ATTEMPT_LINKED || state == ATTEMPT_FAILING)
		timer_start_ms(&a->timer, timer_ms);
	else
		timer_stop(&a->timer);
	if ((state == ATTEMPT_PENDING) != (old == ATTEMPT_PENDING))
		scan_links_changed(a->links->adapter);
}

size_t links_pending(const struct adapter *adapter)
{
	size_t n = 0;
	struct attempt *a;

	if (adapter->links)
		list_for_each (a, &adapter->links->attempts, link)
			n += a->state == ATTEMPT_PENDING;
	return n;
}

/* --- the end of an attempt --- */

static void close_channel(struct attempt *a)
{
	loop_io_deinit(&a->io);
	closep(&a->fd);
	a->fd = -1;
}

static void attempt_free(struct attempt *a)
{
	struct links *links = a->links;
	bool was_pending = a->state == ATTEMPT_PENDING;

	list_del(&a->link);
	links->n_attempts--;
	timer_stop(&a->timer);
	op_drop(&a->cmd.op);
	close_channel(a);
	free(a);
	if (was_pending)
		scan_links_changed(links->adapter);
}

/* Detach the waiters, so that nothing they do in done() can reach the attempt. */
static void take_waiters(struct attempt *a, struct list *ret)
{
	struct connect_op *c;

	list_init(ret);
	list_move_all(&a->waiters, ret);
	list_for_each (c, ret, op.link)
		c->attempt = NULL;
}

static void attempt_fail(struct attempt *a, int res)
{
	struct links *links = a->links;
	struct list waiters;
	struct op *op;

	take_waiters(a, &waiters);
	attempt_free(a);
	links->adapter->stats.connect_failures++;
	while ((op = list_first(&waiters, struct op, link)))
		op_complete(op, res);
	links_settled(links);
}

/* Nobody waits any more. */
static void attempt_cancel(struct attempt *a)
{
	struct links *links = a->links;
	struct acl *acl = a->state == ATTEMPT_LINKED ? acl_find(links, a->handle) : NULL;

	if (a->state == ATTEMPT_PENDING)
		links_cancelled(links, &a->peer);
	attempt_free(a);
	if (acl)
		acl_drop(acl);
	links_settled(links);
}

static void on_waiter_leaves(struct op *op)
{
	struct connect_op *c = container_of(op, struct connect_op, op);
	struct attempt *a = c->attempt;

	list_del(&op->link);
	c->attempt = NULL;
	if (!a || !list_empty(&a->waiters))
		return;
	if (op->deadline.due_us && !timer_armed(&op->deadline))
		a->links->adapter->stats.connect_failures++; /* its deadline, and not its owner */
	attempt_cancel(a);
}

/* --- a try that failed --- */

static bool is_no_slot(int res)
{
	return res == RES_HCI(HCIP_STATUS_CONNECTION_LIMIT) ||
	       res == RES_HCI(HCIP_STATUS_LIMITED_RESOURCES) ||
	       res == RES_HCI(HCIP_STATUS_LIMIT_REACHED);
}

/*
 * May another try end better? 0x3e and the supervision timeout before the link was proven: radio. No such connection: the
 * kernel gave up creating it (20 s). ECONNREFUSED without a word of the controller: the kernel gave up waiting (40 s).
 * Disallowed: the controller does something else just now.
 */
static bool is_temporary(int res)
{
	switch (res) {
	case RES_HCI(HCIP_STATUS_FAILED_TO_ESTABLISH):
	case RES_HCI(HCIP_STATUS_CONNECTION_TIMEOUT):
	case RES_HCI(HCIP_STATUS_NO_CONNECTION):
	case RES_HCI(HCIP_STATUS_ADVERTISING_TIMEOUT):
	case RES_HCI(HCIP_STATUS_DISALLOWED):
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ENOTCONN:
	case -ETIMEDOUT:
	case -EHOSTDOWN:
	case -EALREADY:
	case -EAGAIN:
	case -ENOSYS: /* the kernel's word for 0x3e and other codes it does not know */
		return true;
	}
	return false;
}

/* The kernel says these about the adapter before the adapter's own end arrives. */
static bool is_adapter_gone(int res)
{
	return res == -EHOSTUNREACH || res == -ENETDOWN || res == -ENODEV || res == -ECONNABORTED;
}

static uint32_t retry_delay_ms(const struct attempt *a)
{
	uint32_t delay_ms = CONNECT_RETRY_MS;

	for (unsigned int i = 1; i < a->tries && delay_ms < CONNECT_RETRY_MAX_MS; i++)
		delay_ms *= 2;
	return MIN(delay_ms, CONNECT_RETRY_MAX_MS);
}

/* Those who have no time for another try learn why; the others count it. Return: false when nobody is left. */
static bool tell_retry(struct attempt *a, int res, uint32_t delay_ms)
{
	uint64_t again_us = loop_now_us(a->links->adapter->loop) + (uint64_t)delay_ms * 1000;
	struct list late;
	struct connect_op *c, *next;
	struct op *op;
	bool left;

	list_init(&late);
	list_for_each_safe (c, next, &a->waiters, op.link) {
		c->retries++;
		if (!timer_armed(&c->op.deadline) || c->op.deadline.due_us > again_us)
			continue;
		list_del(&c->op.link);
		list_add_tail(&late, &c->op.link);
		c->attempt = NULL;
	}
	left = !list_empty(&a->waiters);
	if (!left) {
		a->links->adapter->stats.connect_failures++;
		attempt_cancel(a);
	}
	while ((op = list_first(&late, struct op, link)))
		op_complete(op, res);
	return left;
}

static void attempt_again(struct attempt *a, int res)
{
	uint32_t delay_ms;
	char text[RES_TEXT_MAX];

	a->tries++;
	delay_ms = retry_delay_ms(a);
	log_debug(a->links->adapter->name, "connect: %s, again in %u ms",
	          res_text(res, text, sizeof(text)), delay_ms);
	enter_state(a, ATTEMPT_HELD, delay_ms);
	if (res != RES_HCI(HCIP_STATUS_FAILED_TO_ESTABLISH))
		return;
	a->links->adapter->stats.connect_retries++;
	(void)tell_retry(a, res, delay_ms); /* last: the attempt may be gone */
}

/* What is known of the failure by now is all there will be. */
static void decide(struct attempt *a)
{
	struct links *links = a->links;
	int res = a->hci_status       ? RES_HCI(a->hci_status)
	          : a->err == -EMLINK ? RES_HCI(HCIP_STATUS_CONNECTION_LIMIT)
	                              : a->err;

	if (is_no_slot(res) && links->n_acls)
		links->links_max = (uint32_t)links->n_acls;
	if (is_adapter_gone(res) && a->tries < 2) {
		a->tries++;
		enter_state(a, ATTEMPT_HELD,
		            CONNECT_RETRY_MAX_MS); /* links_adapter_down() comes first, usually */
	} else if (is_adapter_gone(res)) {
		attempt_fail(a, -ENETDOWN);
	} else if (is_temporary(res)) {
		attempt_again(a, res);
	} else {
		attempt_fail(a, res);
	}
}

static void try_failed(struct attempt *a, int err)
{
	uint64_t now_us = loop_now_us(a->links->adapter->loop);

	close_channel(a);
	a->err = err;
	if (a->links->failure && now_us - a->links->failure_us <= CONNECT_REASON_MS * 1000 &&
	    !a->hci_status)
		a->hci_status =
			a->links->failure; /* it named nobody, and one connection is created at a time */
	a->links->failure = 0;
	enter_state(a, ATTEMPT_FAILING, a->hci_status ? 0 : CONNECT_REASON_MS);
}

static void no_place(struct attempt *a)
{
	a->hci_status = HCIP_STATUS_CONNECTION_LIMIT;
	try_failed(a, -EMLINK);
}

/* The last place may have been taken: those that are with the kernel would come over the configured number. */
void connect_check_places(struct links *links)
{
	struct attempt *a;

	list_for_each (a, &links->attempts, link) {
		struct acl *acl = a->state == ATTEMPT_LINKED ? acl_find(links, a->handle) : NULL;

		if (a->state != ATTEMPT_PENDING && a->state != ATTEMPT_LINKED)
			continue;
		if (!links_is_full(links, &a->peer))
			continue;
		no_place(a);
		if (acl)
			acl_drop(acl);
	}
}

static void attempt_succeed(struct attempt *a)
{
	struct links *links = a->links;
	struct acl *acl = acl_find(links, a->handle);
	struct conn *conn;
	struct list waiters;
	struct op *op;
	int r;

	loop_io_deinit(&a->io);
	r = conn_new(links, steal_fd(&a->fd), acl, &a->peer, &a->params, &conn);
	if (r < 0) {
		attempt_fail(a, r);
		return;
	}
	take_waiters(a, &waiters);
	attempt_free(a);
	links->adapter->stats.connects++;
	connect_check_places(links);
	conn_announce(conn);
	adapter_changed(links->adapter);
	while ((op = list_first(&waiters, struct op, link))) {
		container_of(op, struct connect_op, op)->conn = conn;
		op_complete(op, 0);
	}
}

/* EBUSY at once: a channel to the peer exists. Ours, going away; or somebody else's, then it stays. */
static void channel_busy(struct attempt *a)
{
	uint64_t now_us = loop_now_us(a->links->adapter->loop);

	if (!a->busy_since_us)
		a->busy_since_us = now_us;
	if (now_us - a->busy_since_us >= CONNECT_BUSY_MS * 1000 &&
	    !acl_is_leaving(a->links, &a->peer))
		attempt_fail(a, -EBUSY);
	else
		enter_state(a, ATTEMPT_HELD, 2 * CONNECT_RETRY_MS);
}

/* --- a try --- */

/* The channel is usable: is everything there that a conn needs? */
static void consider_linked(struct attempt *a)
{
	const struct acl *acl = acl_find(a->links, a->handle);
	uint64_t now_us = loop_now_us(a->links->adapter->loop), proven_us;

	if (acl && acl->established) {
		attempt_succeed(a);
		return;
	}
	if (!acl)
		return; /* the timer of the state runs */
	proven_us = acl->up_us + (uint64_t)(ESTABLISH_EVENTS + 1) * acl->interval * 1250;
	timer_start(&a->timer, proven_us > now_us ? proven_us - now_us : 0);
}

static void channel_usable(struct attempt *a)
{
	const struct kernel *kernel = a->links->adapter->kernel;
	int r = kernel->att_connect_result(kernel, a->fd);

	if (r == 0)
		r = kernel->att_handle(kernel, a->fd, &a->handle);
	if (r < 0) {
		try_failed(a, r);
		return;
	}
	enter_state(a, ATTEMPT_LINKED, CONNECT_FACTS_MS);
	(void)loop_io_set(&a->io, LOOP_READ); /* only a helper: without it the timer decides */
	consider_linked(a);
}

static void on_channel(struct loop_io *io, int ready)
{
	struct attempt *a = container_of(io, struct attempt, io);
	const struct kernel *kernel = a->links->adapter->kernel;
	int r;

	if (a->state == ATTEMPT_PENDING) {
		channel_usable(a);
		return;
	}
	/* linked: a PDU of the peer, which proves the link, or the end */
	r = kernel->att_connect_result(kernel, a->fd);
	if (r < 0)
		try_failed(a, r);
	else
		attempt_succeed(a);
}

static void attempt_connect(struct attempt *a)
{
	struct adapter *adapter = a->links->adapter;
	int r;

	links_wanted(a->links, &a->peer);
	r = adapter->kernel->att_connect(adapter->kernel, &adapter->addr, &a->peer);
	if (r == -EBUSY) {
		channel_busy(a);
		return;
	}
	a->busy_since_us = 0;
	if (r >= 0) {
		a->fd = r;
		r = loop_io_init(&a->io, adapter->loop, a->fd, on_channel);
	}
	if (r == 0)
		r = loop_io_set(&a->io, LOOP_WRITE);
	if (r < 0)
		try_failed(a, r);
	else
		enter_state(a, ATTEMPT_PENDING, 0);
}

static void on_loaded(struct op *op, int res)
{
	struct attempt *a = container_of(op, struct attempt, cmd.op);
	char text[RES_TEXT_MAX];

	if (res) /* the link will have the kernel's parameters, which is better than no link */
		log_debug(a->links->adapter->name, "connection parameters: %s",
		          res_text(res, text, sizeof(text)));
	if (links_is_full(a->links, &a->peer))
		no_place(a);
	else
		attempt_connect(a);
}

/*
 * An entry in the kernel stays for later connects and beats its defaults: so there is always a fresh one. It is loaded twice over
 * because Linux 6.12 takes a list of one as the wish to update a link to the peer, and what it takes for one may be the rest of an
 * attempt that was given up just now: then the update goes to a handle that does not exist.
 */
static int load_params(struct attempt *a)
{
	struct adapter *adapter = a->links->adapter;
	struct mgmt_conn_param param = {
		.addr = a->peer,
		.min_interval = a->params.interval_min,
		.max_interval = a->params.interval_max,
		.latency = a->params.latency,
		.timeout = a->params.supervision_timeout,
	};
	const struct mgmt_conn_param twice[2] = {param, param};
	uint8_t buf[MGMT_HDR_LEN + 64];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_load_conn_params(&w, adapter->index, twice, ARRAY_SIZE(twice));
	return mgmt_send_msg(adapter->mgmt, &a->cmd, &w, MGMT_TIMEOUT_MS);
}

/* The link before this one: a connect() now would find the old channel, or join a link that is being ended. */
static bool is_in_the_way(const struct attempt *a)
{
	return conn_find(a->links, &a->peer) || acl_is_leaving(a->links, &a->peer);
}

/* Completes nothing at once: also called from connect_start(). */
static void attempt_try(struct attempt *a)
{
	a->hci_status = 0;
	a->err = 0;
	a->since_us = loop_now_us(a->links->adapter->loop);
	if (a->links->adapter->state != ADAPTER_READY) {
		enter_state(a, ATTEMPT_WAITING, 0);
	} else if (is_in_the_way(a)) {
		enter_state(a, ATTEMPT_HELD, CONNECT_HOLD_MS); /* connect_poke() shortens it */
	} else if (links_is_full(a->links, &a->peer)) {
		no_place(a);
	} else {
		int r = load_params(a);

		if (r < 0) {
			a->err = r;
			enter_state(a, ATTEMPT_FAILING, 0);
		} else {
			enter_state(a, ATTEMPT_LOADING, 0);
		}
	}
}

static void on_timer(struct timer *t)
{
	struct attempt *a = container_of(t, struct attempt, timer);

	switch ((enum attempt_state)a->state) {
	case ATTEMPT_HELD:
		if (is_in_the_way(a))
			attempt_connect(a); /* it was waited for long enough */
		else
			attempt_try(a);
		return;
	case ATTEMPT_LINKED:
		attempt_succeed(a);
		return;
	case ATTEMPT_FAILING:
		decide(a);
		return;
	case ATTEMPT_PENDING:
		try_failed(a, -ECONNREFUSED); /* expect_failure() */
		return;
	case ATTEMPT_WAITING:
	case ATTEMPT_LOADING:
		return; /* no timer in these */
	}
}

/* --- events --- */

static struct attempt *attempt_find(const struct links *links, const struct addr *peer)
{
	struct attempt *a;

	list_for_each (a, &links->attempts, link)
		if (addr_equal(&a->peer, peer))
			return a;
	return NULL;
}

bool connect_wants(const struct links *links, const struct addr *peer)
{
	return attempt_find(links, peer);
}

void connect_link_up(struct links *links, const struct acl *acl)
{
	struct attempt *a;

	list_for_each (a, &links->attempts, link)
		if (a->state == ATTEMPT_LINKED && a->handle == acl->handle) {
			consider_linked(a);
			return;
		}
}

void connect_link_lost(struct links *links, const struct acl *acl, uint8_t reason)
{
	struct attempt *a = attempt_find(links, &acl->peer);

	if (!a || acl->up_us < a->since_us)
		return; /* an earlier link's */
	if (!acl->central && (a->state != ATTEMPT_LINKED || a->handle != acl->handle))
		return; /* the peer made it */
	switch ((enum attempt_state)a->state) {
	case ATTEMPT_PENDING:
		a->hci_status = reason; /* the channel follows */
		return;
	case ATTEMPT_FAILING:
		a->hci_status = reason;
		timer_start(&a->timer, 0);
		return;
	case ATTEMPT_LINKED:
		a->hci_status = reason;
		if (a->handle == acl->handle)
			try_failed(a, -ENOTCONN);
		return;
	case ATTEMPT_WAITING:
	case ATTEMPT_HELD:
	case ATTEMPT_LOADING:
		return;
	}
}

/*
 * The kernel should fail the channel now. Linux 6.12 takes the end of the command for its success instead: it goes on
 * "connecting", and while it does it scans for no other peer either. So a channel that has not failed soon is given up for it.
 * A cancelled creation (no connection) is the kernel's own doing; it goes on by itself.
 */
static void expect_failure(struct attempt *a, uint8_t status)
{
	if (status != HCIP_STATUS_NO_CONNECTION && !timer_armed(&a->timer))
		timer_start_ms(&a->timer, CONNECT_REASON_MS);
}

/*
 * Many controllers do not say for whom. Then it was for the one whose channel has failed already, or is about to; and when none
 * does, for any of those that are pending, which lose nothing by being asked for again.
 */
void connect_creation_failed(struct links *links, const struct addr *peer, uint8_t status)
{
	struct attempt *named = addr_is_any(peer) ? NULL : attempt_find(links, peer), *a;

	if (named && named->state == ATTEMPT_PENDING) {
		named->hci_status = status;
		expect_failure(named, status);
		return;
	}
	list_for_each (a, &links->attempts, link)
		if (a->state == ATTEMPT_FAILING && !a->hci_status && (!named || a == named)) {
			a->hci_status = status;
			timer_start(&a->timer, 0);
			return;
		}
	links->failure = status;
	links->failure_us = loop_now_us(links->adapter->loop);
	if (addr_is_any(peer))
		list_for_each (a, &links->attempts, link)
			if (a->state == ATTEMPT_PENDING)
				expect_failure(a, status);
}

void connect_poke(struct links *links, const struct addr *peer, uint32_t delay_ms)
{
	struct attempt *a = attempt_find(links, peer);

	if (a && a->state == ATTEMPT_HELD)
		timer_start_ms(&a->timer, delay_ms);
}

void connect_adopt(struct links *links, struct conn *conn)
{
	struct attempt *a = attempt_find(links, conn_addr(conn));
	struct list waiters;
	struct op *op;

	if (!a)
		return;
	take_waiters(a, &waiters);
	attempt_cancel(
		a); /* Linux would wait for ever: it scans no more for a peer that has a link */
	while ((op = list_first(&waiters, struct op, link))) {
		container_of(op, struct connect_op, op)->conn = conn;
		op_complete(op, 0);
	}
}

void connect_adapter_up(struct links *links)
{
	struct attempt *a;

	list_for_each (a, &links->attempts, link)
		if (a->state == ATTEMPT_WAITING)
			attempt_try(a);
}

void connect_fail_all(struct links *links, int res)
{
	struct list failing;
	struct attempt *a;

	list_init(&failing);
	list_move_all(&links->attempts, &failing);
	while ((a = list_first(&failing, struct attempt, link)))
		attempt_fail(a, res);
}

/* --- callers --- */

/* As the kernel checks them, which ignores what it does not like without a word. */
static int check_params(const struct connect_params *p)
{
	if (p->interval_min < 6 || p->interval_min > p->interval_max || p->interval_max > 3200)
		return -EINVAL;
	if (p->supervision_timeout < 10 || p->supervision_timeout > 3200 || p->latency > 499)
		return -EINVAL;
	/* Core 5.4, Vol 4, Part E, 7.8.12: timeout > (1 + latency) * interval * 2, in units of 1.25 ms */
	if ((uint32_t)p->supervision_timeout * 8 <=
	    (1 + (uint32_t)p->latency) * p->interval_max * 2)
		return -EINVAL;
	return 0;
}

static struct attempt *attempt_new(struct links *links, const struct addr *peer,
                                   const struct connect_params *params)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->links = links;
	a->peer = *peer;
	a->params = *params;
	a->fd = -1;
	list_init(&a->waiters);
	timer_init(&a->timer, links->adapter->loop, on_timer);
	op_init(&a->cmd.op, links->adapter->loop, on_loaded);
	list_add_tail(&links->attempts, &a->link);
	links->n_attempts++;
	return a;
}

static void attempt_join(struct attempt *a, struct connect_op *c)
{
	c->attempt = a;
	list_add_tail(&a->waiters, &c->op.link);
}

void connect_requeue(struct links *links, struct connect_op *c, const struct connect_params *params)
{
	struct attempt *a = attempt_find(links, &c->peer);
	struct conn *conn = conn_find(links, &c->peer);

	list_del(&c->op.link);
	if (conn && !conn_is_leaving(conn)) { /* the peer was faster */
		conn_join(conn, c);
		return;
	}
	if (!a) {
		a = attempt_new(links, &c->peer, params);
		if (!a) {
			op_complete_later(&c->op, -ENOMEM);
			return;
		}
		attempt_join(a, c);
		attempt_try(a);
		return;
	}
	attempt_join(a, c);
}

int connect_start(struct adapter *adapter, const struct addr *peer,
                  const struct connect_params *params, struct connect_op *c, uint32_t timeout_ms)
{
	struct links *links = adapter->links;
	struct conn *conn = conn_find(links, peer);
	struct attempt *a = attempt_find(links, peer);
	int r = check_params(params);

	if (r < 0)
		return r;
	r = adapter_want(adapter);
	if (r < 0 && r != -EAGAIN)
		return r;
	c->conn = NULL;
	c->attempt = NULL;
	c->retries = 0;
	c->peer = *peer;
	if (conn && !conn_is_leaving(conn)) {
		op_start(&c->op, NULL, on_waiter_leaves, timeout_ms);
		conn_join(conn, c);
		return 0;
	}
	if (!a && links->n_attempts >= CONNECTS_MAX)
		return -ENOBUFS;
	if (!a) {
		a = attempt_new(links, peer, params);
		if (!a)
			return -ENOMEM;
		attempt_try(a);
	}
	op_start(&c->op, NULL, on_waiter_leaves, timeout_ms);
	attempt_join(a, c);
	return 0;
}
