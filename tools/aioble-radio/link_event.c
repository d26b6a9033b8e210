/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connection events (Core 5.4, Vol 6, Part B, 4.5.1): the central sends at the anchor point, the peripheral answers T_IFS
 * after that, and so on while one of them has more and the time to the next event lasts. A PDU is taken by its receiver
 * T_IFS after its end, when the next one starts.
 *
 * An idle link does not play all its events: those in which nobody has anything to say and the peripheral does not
 * listen anyway are left out, and some of the others too, as long as supervision notices a cut all the same. When the
 * first one played fails, those left out before it are taken for good ones.
 *
 * A controller has one radio: an event ends before that of another link begins, and cannot begin during one. Of two that
 * always meet, the one that was crowded out more often goes first.
 */
#include "link_priv.h"

#include "aiobled/cleanup.h"

#include "controller.h"

#define IDLE_MAX_US   500000 /* between two events that are played */
#define IDLE_FRACTION 6      /* and so many of them in a supervision timeout */

static struct air *air_of(const struct link *l)
{
	return l->ctl->radio.air;
}

struct link *link_central(struct link *l)
{
	return l->role == HCIP_ROLE_CENTRAL ? l : l->peer;
}

/* --- when --- */

static uint32_t interval_us(const struct link *l)
{
	return l->params.interval * (uint32_t)LINK_UNIT_US;
}

static uint64_t event_us(const struct link *c, uint32_t event)
{
	return c->base_us + (uint64_t)(event - c->base) * interval_us(c);
}

static uint32_t soonest_event(const struct link *c)
{
	uint64_t now = air_now_us(air_of(c));
	uint32_t n = c->base;

	if (now > c->base_us)
		n += (uint32_t)((now - c->base_us + interval_us(c) - 1) / interval_us(c));
	return (uint32_t)MAX((int64_t)n, c->played + 1);
}

/* Events that are left out count too. */
uint16_t link_counter(const struct link *l)
{
	const struct link *c = l->role == HCIP_ROLE_CENTRAL ? l : l->peer;

	if (!c)
		return 0;
	return (uint16_t)(c->phase == PHASE_WAIT ? MAX(soonest_event(c), 1u) - 1 : c->playing);
}

/* With latency the peripheral listens at every so many events. */
static uint32_t listened_event(const struct link *c, uint32_t event)
{
	uint32_t every = c->params.latency + 1u, at = c->peer->listen_at;

	return event <= at ? event : at + (event - at + every - 1) / every * every;
}

static bool busy(const struct link *l)
{
	return !l->established || l->ending || link_ctrl_sendable(l) >= 0 || link_has_data(l);
}

static uint32_t idle_event(const struct link *c)
{
	uint32_t gap_us =
		MIN(c->params.timeout * (uint32_t)LINK_TIMEOUT_UNIT / IDLE_FRACTION, IDLE_MAX_US);

	return (uint32_t)(c->played + MAX(1, gap_us / interval_us(c)));
}

static uint32_t next_event(const struct link *c)
{
	uint32_t soonest = soonest_event(c), n = soonest;

	if (!c->failing && !busy(c->peer)) {
		if (!busy(c))
			n = MAX(n, idle_event(c));
		n = listened_event(c, n);
	}
	return MIN(n, link_next_instant(c, soonest));
}

static void schedule(struct link *c)
{
	c->phase = PHASE_WAIT;
	if (!c->peer || c->lost) {
		air_timer_stop(&c->timer); /* the watchdog does the rest */
		return;
	}
	c->playing = next_event(c);
	air_timer_start_at(&c->timer, event_us(c, c->playing));
}

void link_kick(struct link *l)
{
	struct link *c = link_central(l);

	if (c && c->phase == PHASE_WAIT && c->timer.fn)
		schedule(c);
}

/* --- PDUs --- */

static void transmit(struct link *c, struct link *from, struct link *to)
{
	struct air_pdu pdu = {
		.start_us = air_now_us(air_of(c)),
		.from = &from->ctl->radio,
		.access_addr = c->plan.access_addr,
		.channel = chan_of_event(&c->plan, c->playing),
		.phy = from->tx_phy,
		.tx_dbm = from->tx_dbm,
		.data = from->tx,
	};
	struct air_pdu got;

	link_compose(from);
	pdu.len = from->tx_len;
	pdu.mic = from->tx_mic;
	from->stats.pdus++;
	air_timer_start_at(&c->timer, air_pdu_end_us(&pdu) + PHY_T_IFS_US);
	if (to)
		to->rx_len = 0;
	if (!to || from->tx_phy != to->rx_phy) {
		air_waste(air_of(c), &pdu);
		return;
	}
	if (!air_pass(air_of(c), &pdu, &to->ctl->radio, &got, NULL))
		return;
	memcpy(to->rx, got.data, got.len);
	to->rx_len = got.len;
	to->rssi_dbm = got.rssi_dbm;
}

/* --- one radio --- */

static uint32_t exchange_us(const struct link *from)
{
	size_t len = PDU_HEADER_LEN + (busy(from) ? (size_t)from->frag + CCM_MIC_LEN : 0);

	return phy_air_time_us(from->tx_phy, len) + PHY_T_IFS_US;
}

/* When the next exchange would be over. */
static uint64_t exchange_end_us(const struct link *c)
{
	return air_now_us(air_of(c)) + exchange_us(c) + exchange_us(c->peer);
}

static void occupy(struct link *c, uint64_t until_us)
{
	c->links->busy_until_us = until_us;
	if (c->peer)
		c->peer->links->busy_until_us = until_us;
}

/* Does another link of @links begin an event before @end_us? Only those crowded out more than @crowded times count. */
static bool awaited_by_other(const struct links *links, const struct link *c, uint64_t end_us,
                             int crowded)
{
	struct link *l;

	list_for_each (l, &links->list, entry) {
		const struct link *o = link_central(l);

		if (o && o != c && o->phase == PHASE_WAIT && o->timer.armed &&
		    o->timer.due_us < end_us && o->crowded > crowded)
			return true;
	}
	return false;
}

static bool crowded_out(const struct link *c)
{
	const struct links *at_p = c->peer->links;
	uint64_t now = air_now_us(air_of(c)), end_us = exchange_end_us(c);

	return now < c->links->busy_until_us || now < at_p->busy_until_us ||
	       awaited_by_other(c->links, c, end_us, c->crowded) ||
	       awaited_by_other(at_p, c, end_us, c->crowded);
}

/* --- an event --- */

static void event_over(struct link *c)
{
	occupy(c, air_now_us(air_of(c)));
	link_report_completed(c);
	if (c->peer)
		link_report_completed(c->peer);
	schedule(c);
}

static void event_missed(struct link *c)
{
	c->failing = true;
	c->stats.missed++;
	event_over(c);
}

static void central_sends(struct link *c)
{
	struct link *p = c->peer;

	c->phase = PHASE_ANSWER;
	if (p)
		occupy(c, exchange_end_us(c));
	transmit(c, c, p);
	if (!c->ending)
		return;
	/* that was the acknowledgement of the end: the peripheral takes it without a timer of ours */
	link_end(c, c->ending);
	if (p && p->rx_len)
		(void)link_take(p);
}

static void event_begin(struct link *c)
{
	uint64_t before_us = event_us(c, c->playing) - interval_us(c);
	bool skipped = !c->failing && c->played >= 0 && c->playing > c->played + 1;

	c->phase = PHASE_ANSWER; /* no kick may plan another one now */
	c->played = c->playing;
	link_instants(c, c->playing);
	if (c->peer)
		link_instants(c->peer, c->playing);
	if (!c->peer || c->lost) {
		schedule(c);
		return;
	}
	if (skipped) {
		c->heard_us = MAX(c->heard_us, before_us);
		c->peer->heard_us = MAX(c->peer->heard_us, before_us);
	}
	if (crowded_out(c)) {
		c->failing = true;
		c->crowded++;
		schedule(c);
		return;
	}
	c->crowded = 0;
	central_sends(c);
}

static void peripheral_answers(struct link *c)
{
	struct link *p = c->peer;

	if (!p) {
		event_over(c);
		return;
	}
	if (!p->rx_len) {
		event_missed(c);
		return;
	}
	p->listen_at = c->playing;
	if (!link_take(p)) {
		event_over(c);
		return;
	}
	c->phase = PHASE_TURN;
	transmit(c, p, c);
	if (p->ending)
		link_end(p, p->ending);
}

static bool goes_on(const struct link *c)
{
	const struct link *p = c->peer;
	uint64_t end_us;

	if (!p || c->refused || p->refused || !(c->peer_md || (c->tx[0] & LL_MD)))
		return false;
	end_us = exchange_end_us(c);
	return end_us <= event_us(c, c->playing + 1) &&
	       !awaited_by_other(c->links, c, end_us, -1) &&
	       !awaited_by_other(p->links, c, end_us, -1);
}

static void central_goes_on(struct link *c)
{
	if (!c->rx_len) {
		event_missed(c);
		return;
	}
	c->failing = false;
	if (!link_take(c))
		return;
	if (goes_on(c))
		central_sends(c);
	else
		event_over(c);
}

static void on_timer(struct air_timer *t)
{
	struct link *c = container_of(t, struct link, timer);

	switch (c->phase) {
	case PHASE_WAIT:
		event_begin(c);
		return;
	case PHASE_ANSWER:
		peripheral_answers(c);
		return;
	case PHASE_TURN:
		central_goes_on(c);
		return;
	}
}

void link_begin(struct link *central)
{
	central->played = -1;
	air_timer_init(&central->timer, air_of(central), on_timer);
	schedule(central);
}
