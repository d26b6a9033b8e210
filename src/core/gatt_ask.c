/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values whose application wants to be asked before a peer reads them. The request is put aside, one question at a time is
 * put, and after each answer the request is looked at again from its start, with the table as it is then. Nobody else waits:
 * the bearer goes on with everything that is no request of this peer.
 *
 * A question has a deadline and the request a budget; past them the fallback counts, so the peer has its answer long before
 * its own 30 s are over, whatever the applications do.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_server_priv.h"

static bool wants_to_be_asked(const struct gatt_local *local)
{
	const struct gatt_hooks *hooks = gatt_hooks(local);

	return local->on_read && hooks && hooks->events->read;
}

static const struct gatt_decision *find_decision(const struct gatt_ask *ask, uint16_t handle)
{
	for (size_t i = 0; i < ask->n; i++)
		if (ask->decisions[i].handle == handle)
			return &ask->decisions[i];
	return NULL;
}

/*
 * The rest of a value that was granted is free, because a long read is one read; but only from where it ended, or an offset
 * would be the way around a refusal; not for ever, and not what came behind the end after the peer had read up to it, or the
 * first grant would be one for all later values.
 */
static bool is_the_rest(const struct gatt_link *link, const struct gatt_local *local, size_t offset)
{
	if (offset == 0 || link->granted != local->handle || link->granted_to != offset)
		return false;
	if (loop_now_us(link->server->loop) > link->granted_until_us)
		return false;
	return !link->granted_all || offset >= local->len;
}

int gatt_ask_decision(struct gatt_link *link, struct gatt_local *local, size_t offset)
{
	const struct gatt_decision *decision = NULL;

	if (!wants_to_be_asked(local) || is_the_rest(link, local, offset))
		return 0;
	if (link->ask && link->ask->busy)
		decision = find_decision(link->ask, local->handle);
	if (decision)
		return decision->code;
	link->wanted = local;
	return -EAGAIN;
}

void gatt_ask_granted(struct gatt_link *link, const struct gatt_local *local, size_t end)
{
	if (!local->on_read)
		return;
	link->granted = local->handle;
	link->granted_to = (uint16_t)end;
	link->granted_all = end >= local->len;
	link->granted_until_us =
		loop_now_us(link->server->loop) + ATT_TRANSACTION_TIMEOUT_MS * 1000ull;
}

/* --- one question --- */

/* The request is looked at again. */
static void go_on(struct gatt_ask *ask)
{
	ask->token = 0;
	ask->app = NULL;
	timer_stop(&ask->deadline);
	defer_post(&ask->resume);
}

static void decide(struct gatt_ask *ask, const struct gatt_app *app, uint16_t handle, uint8_t code)
{
	struct gatt_link *link = ask->link;

	ask->decisions[ask->n++] =
		(struct gatt_decision){.app = app, .handle = handle, .code = code};
	if (code && link->granted == handle)
		link->granted = 0;
	go_on(ask);
}

static uint32_t next_token(struct gatt_server *server)
{
	if (++server->last_token == 0)
		server->last_token = 1;
	return server->last_token;
}

static void put_question(struct gatt_ask *ask, struct gatt_local *local)
{
	struct gatt_server *server = ask->link->server;
	const struct gatt_hooks *hooks = gatt_hooks(local);
	uint64_t until_us = loop_now_us(server->loop) + local->on_read_timeout_ms * 1000ull;

	if (ask->budget_us <= loop_now_us(server->loop)) {
		server->stats.read_timeouts++;
		decide(ask, local->service->app, local->handle, local->on_read_fallback);
		return;
	}
	ask->app = local->service->app;
	ask->handle = local->handle;
	ask->fallback = local->on_read_fallback;
	ask->token = next_token(server);
	until_us = MIN(until_us, ask->budget_us);
	timer_start_at(&ask->deadline, until_us);
	hooks->events->read(ask->app, local, ask->link, ask->token, until_us, hooks->data);
}

/* Nobody is asked any more. */
static void question_over(struct gatt_ask *ask)
{
	const struct gatt_hooks *hooks = ask->app->data;
	struct gatt_app *app = ask->app;
	uint32_t token = ask->token;

	decide(ask, app, ask->handle, ask->fallback);
	if (hooks->events->read_over)
		hooks->events->read_over(app, token, hooks->data);
}

static void on_deadline(struct timer *t)
{
	struct gatt_ask *ask = container_of(t, struct gatt_ask, deadline);

	ask->link->server->stats.read_timeouts++;
	question_over(ask);
}

int gatt_server_allow(struct gatt_server *server, uint32_t token, uint8_t code)
{
	struct gatt_link *link;

	if (!token)
		return -ENOENT;
	list_for_each (link, &server->links, link) {
		if (!link->ask || link->ask->token != token)
			continue;
		decide(link->ask, link->ask->app, link->ask->handle, code);
		return 0;
	}
	return -ENOENT;
}

/* --- the request --- */

static void on_resume(struct defer *d)
{
	struct gatt_ask *ask = container_of(d, struct gatt_ask, resume);
	struct gatt_link *link = ask->link;
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, att_mtu(link->att));

	if (!gatt_link_respond(link, ask->pdu, ask->len, &w)) {
		if (ask->n < GATT_DECISIONS_MAX) {
			put_question(ask, link->wanted);
			return;
		}
		/* more than an answer holds: whatever has led to it, it ends here */
		w = wr_init(pdu, att_mtu(link->att));
		(void)gatt_refuse(&w, ask->pdu[0], link->wanted->handle, ATT_ERR_UNLIKELY);
	}
	ask->busy = false;
	gatt_count_answer(link, &w);
	/* the bearer may have ended meanwhile: then nobody waits */
	(void)att_answer(link->att, pdu, wr_ok(&w) ? wr_len(&w) : 0);
}

static struct gatt_ask *ask_of(struct gatt_link *link)
{
	struct gatt_ask *ask = link->ask;

	if (ask)
		return ask;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return NULL;
	ask->link = link;
	timer_init(&ask->deadline, link->server->loop, on_deadline);
	defer_init(&ask->resume, link->server->loop, on_resume);
	link->ask = ask;
	return ask;
}

int gatt_ask_begin(struct gatt_link *link, const uint8_t *pdu, size_t len)
{
	struct gatt_ask *ask = len <= ATT_MTU_MAX ? ask_of(link) : NULL;

	if (!ask)
		return -ENOMEM;
	memcpy(ask->pdu, pdu, len);
	ask->len = len;
	ask->n = 0;
	ask->busy = true;
	ask->budget_us = loop_now_us(link->server->loop) + GATT_REQUEST_BUDGET_MS * 1000ull;
	put_question(ask, link->wanted);
	return 0;
}

void gatt_ask_app_gone(struct gatt_link *link, const struct gatt_app *app)
{
	struct gatt_ask *ask = link->ask;
	size_t n = 0;

	if (!ask)
		return;
	for (size_t i = 0; i < ask->n; i++)
		if (ask->decisions[i].app != app)
			ask->decisions[n++] = ask->decisions[i];
	ask->n = n;
	if (ask->token && ask->app == app)
		go_on(ask);
}

void gatt_ask_end(struct gatt_link *link)
{
	struct gatt_ask *ask = steal(&link->ask);

	if (!ask)
		return;
	if (ask->token)
		question_over(ask);
	timer_stop(&ask->deadline);
	defer_cancel(&ask->resume);
	free(ask);
}
