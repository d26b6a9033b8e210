/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Radios, distances, and how a PDU gets from one to the others. Costs of a PDU: the listeners, and one lookup of a pair's
 * loss for each that hears it.
 */
#include "air.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"

#include "air_priv.h"

#define DELAYED_MAX 1024 /* PDUs held back by watches at a time */

struct pair {
	struct list link; /* in its radio's pairs; each pair is kept at both ends */
	struct radio *peer;
	int loss_db;
};

struct delayed {
	struct list link;
	struct air_timer timer;
	struct air_listener *to; /* NULL: has gone */
	struct air_pdu pdu;
	uint8_t buf[PDU_MAX];
};

int air_new(struct loop *loop, uint64_t seed, struct air **ret)
{
	struct air *air = calloc(1, sizeof(*air));

	if (!air)
		return -ENOMEM;
	list_init(&air->radios);
	list_init(&air->listeners);
	list_init(&air->watches);
	list_init(&air->delayed);
	list_init(&air->controllers);
	list_init(&air->ctl_watches);
	air->rand = seed;
	air->loss_db = AIR_LOSS_DEFAULT_DB;
	air_clock_init(air, loop);
	*ret = air;
	return 0;
}

static void delayed_free(struct delayed *d)
{
	d->timer.air->n_delayed--;
	air_timer_stop(&d->timer);
	list_del(&d->link);
	free(d);
}

struct air *air_free(struct air *air)
{
	struct delayed *d, *tmp;

	if (!air)
		return NULL;
	list_for_each_safe (d, tmp, &air->delayed, link)
		delayed_free(d);
	assert(list_empty(&air->radios));
	assert(list_empty(&air->listeners));
	assert(list_empty(&air->watches));
	assert(list_empty(&air->controllers));
	assert(list_empty(&air->ctl_watches));
	air_clock_deinit(air);
	free(air);
	return NULL;
}

const struct air_stats *air_stats(const struct air *air)
{
	return &air->stats;
}

/* --- radios and distances --- */

void radio_init(struct radio *radio, struct air *air, const char *name)
{
	*radio = (struct radio){.air = air};
	(void)snprintf(radio->name, sizeof(radio->name), "%s", name); /* a longer one is cut */
	list_init(&radio->pairs);
	list_add_tail(&air->radios, &radio->link);
}

static struct pair *pair_find(const struct radio *a, const struct radio *b)
{
	struct pair *p;

	list_for_each (p, &a->pairs, link) {
		if (p->peer == b)
			return p;
	}
	return NULL;
}

static void pair_free(struct pair *p)
{
	list_del(&p->link);
	free(p);
}

static int pair_set(struct radio *a, struct radio *b, int loss_db)
{
	struct pair *p = pair_find(a, b);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->peer = b;
		list_add_tail(&a->pairs, &p->link);
	}
	p->loss_db = loss_db;
	return 0;
}

static void pair_clear(struct radio *a, struct radio *b)
{
	struct pair *p = pair_find(a, b);

	if (p)
		pair_free(p);
}

void radio_deinit(struct radio *radio)
{
	struct pair *p, *tmp;

	list_for_each_safe (p, tmp, &radio->pairs, link) {
		pair_clear(p->peer, radio);
		pair_free(p);
	}
	list_del(&radio->link);
}

struct radio *radio_find(struct air *air, const char *name)
{
	struct radio *r;

	list_for_each (r, &air->radios, link) {
		if (strcmp(r->name, name) == 0)
			return r;
	}
	return NULL;
}

int radio_set_loss(struct radio *a, struct radio *b, int loss_db)
{
	int r = pair_set(a, b, loss_db);

	if (r < 0)
		return r;
	r = pair_set(b, a, loss_db);
	if (r < 0)
		pair_clear(a, b);
	return r;
}

void radio_clear_loss(struct radio *a, struct radio *b)
{
	pair_clear(a, b);
	pair_clear(b, a);
}

/* Pairs are few: the shorter list is asked, so that one radio with many of them does not slow the others down. */
int radio_loss_db(const struct radio *a, const struct radio *b)
{
	const struct pair *p =
		list_empty(&a->pairs) || list_empty(&b->pairs) ? NULL : pair_find(a, b);

	return p ? p->loss_db : a->air->loss_db + a->loss_db + b->loss_db;
}

bool radio_has_loss(const struct radio *a, const struct radio *b)
{
	return pair_find(a, b);
}

void air_set_loss(struct air *air, int loss_db)
{
	air->loss_db = loss_db;
}

struct list *air_radios(struct air *air)
{
	return &air->radios;
}

struct list *air_controllers(struct air *air)
{
	return &air->controllers;
}

/* --- one receiver --- */

static int8_t dbm_clamp(int dbm)
{
	return (int8_t)MAX(-127, MIN(dbm, 20)); /* what HCI's events can say */
}

/* Puts into *@ret what @to receives of @pdu. Return: false when it does not. */
static bool receive(struct air *air, const struct air_pdu *pdu, struct radio *to,
                    struct air_pdu *ret, uint8_t buf[PDU_MAX], uint32_t *ret_delay_us)
{
	int dbm = pdu->tx_dbm - radio_loss_db(pdu->from, to);
	struct air_verdict verdict = {0};
	struct air_watch *w;

	if (dbm < AIR_SENSITIVITY_DBM)
		return false;
	*ret = *pdu;
	ret->rssi_dbm = dbm_clamp(dbm);
	*ret_delay_us = 0;
	if (!list_empty(&air->watches)) {
		memcpy(buf, pdu->data, pdu->len);
		ret->data = buf;
		list_for_each (w, &air->watches, link) {
			if (w->judge)
				w->judge(w, ret, to, buf, &verdict);
		}
		ret->rssi_dbm = dbm_clamp(dbm - verdict.loss_db);
		*ret_delay_us = verdict.delay_us;
	}
	if (verdict.lost || dbm - verdict.loss_db < AIR_SENSITIVITY_DBM) {
		air->stats.lost++;
		return false;
	}
	air->stats.deliveries++;
	return true;
}

static void tell_watches(struct air *air, const struct air_pdu *pdu)
{
	struct air_watch *w;

	assert(pdu->len >= PDU_HEADER_LEN && pdu->len <= PDU_MAX);
	air->stats.pdus++;
	list_for_each (w, &air->watches, link) {
		if (w->sent)
			w->sent(w, pdu);
	}
}

void air_waste(struct air *air, const struct air_pdu *pdu)
{
	tell_watches(air, pdu);
}

bool air_pass(struct air *air, const struct air_pdu *pdu, struct radio *to, struct air_pdu *ret,
              uint32_t *ret_delay_us)
{
	uint32_t delay_us;

	tell_watches(air, pdu);
	if (!receive(air, pdu, to, ret, air->ret_buf, &delay_us))
		return false;
	if (ret_delay_us)
		*ret_delay_us = delay_us;
	return ret_delay_us || !delay_us;
}

/* --- all receivers --- */

void air_listen(struct radio *radio, struct air_listener *l)
{
	l->radio = radio;
	list_add_tail(&radio->air->listeners, &l->link);
}

void air_unlisten(struct air_listener *l)
{
	struct delayed *d;

	list_for_each (d, &l->radio->air->delayed, link) {
		if (d->to == l)
			d->to = NULL;
	}
	list_del(&l->link);
}

static void on_delayed(struct air_timer *t)
{
	struct delayed *d = container_of(t, struct delayed, timer);

	if (d->to)
		d->to->heard(d->to, &d->pdu);
	delayed_free(d);
}

static void hold_back(struct air *air, struct air_listener *l, const struct air_pdu *pdu,
                      uint32_t delay_us)
{
	struct delayed *d = air->n_delayed < DELAYED_MAX ? calloc(1, sizeof(*d)) : NULL;

	if (!d) {
		air->stats.lost++;
		return;
	}
	d->to = l;
	d->pdu = *pdu;
	memcpy(d->buf, pdu->data, pdu->len);
	d->pdu.data = d->buf;
	air->n_delayed++;
	list_add_tail(&air->delayed, &d->link);
	air_timer_init(&d->timer, air, on_delayed);
	air_timer_start(&d->timer, delay_us);
}

static void offer(struct air *air, const struct air_pdu *pdu)
{
	struct air_listener *l, *tmp;
	struct air_pdu got;
	uint32_t delay_us;

	list_for_each_safe (l, tmp, &air->listeners, link) {
		if (l->radio == pdu->from || !l->hears(l, pdu))
			continue;
		if (!receive(air, pdu, l->radio, &got, air->rx_buf, &delay_us))
			continue;
		if (delay_us)
			hold_back(air, l, &got, delay_us);
		else
			l->heard(l, &got);
	}
}

void air_answer(struct air_listener *l, const struct air_pdu *to, int8_t tx_dbm,
                const uint8_t *data, size_t len)
{
	struct air *air = l->radio->air;
	int dbm = tx_dbm - radio_loss_db(l->radio, to->from);
	struct air_pdu answer = {
		.start_us = air_pdu_end_us(to) + PHY_T_IFS_US,
		.from = l->radio,
		.access_addr = to->access_addr,
		.channel = to->channel,
		.phy = to->phy,
		.tx_dbm = tx_dbm,
		.rssi_dbm = dbm_clamp(dbm),
		.data = data,
		.len = len,
	};

	tell_watches(air, &answer);
	if (air->answers++ && dbm <= air->answer.rssi_dbm) {
		air->second_dbm = MAX(air->second_dbm, dbm);
		return;
	}
	air->second_dbm = air->answers > 1 ? air->answer.rssi_dbm : INT16_MIN;
	memcpy(air->answer_buf, data, len);
	air->answer = answer;
	air->answer.data = air->answer_buf;
}

static bool take_answer(struct air *air, const struct air_pdu *pdu, struct air_pdu *ret)
{
	uint32_t delay_us;

	if (!air->answers)
		return false;
	if (air->second_dbm >= AIR_SENSITIVITY_DBM &&
	    air->answer.rssi_dbm - air->second_dbm < AIR_CAPTURE_DB) {
		air->stats.collisions++;
		return false;
	}
	return receive(air, &air->answer, pdu->from, ret, air->ret_buf, &delay_us) && !delay_us;
}

bool air_broadcast(struct air *air, const struct air_pdu *pdu, struct air_pdu *ret_answer)
{
	air->answers = 0;
	tell_watches(air, pdu);
	offer(air, pdu);
	return ret_answer && take_answer(air, pdu, ret_answer);
}

void air_add_watch(struct air *air, struct air_watch *w)
{
	list_add_tail(&air->watches, &w->link);
}

void air_remove_watch(struct air_watch *w)
{
	list_del(&w->link);
}
