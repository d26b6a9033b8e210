/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A central has connected: to which advertiser? Controllers with advertising sets say it (LE Advertising Set Terminated, Core 5.4,
 * Vol 4, Part E, 7.7.65.18), right after they told of the link; of the others it is the connectable advertiser that has been
 * running longest. The usable link (struct conn) comes in its own time, before or after.
 *
 * The advertiser's instance is removed as soon as it is known, since the kernel would put it on the air again when the link goes
 * down. One that goes on is enabled again at once.
 */
#include <errno.h>

#include "adapter_priv.h"
#include "adv_priv.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"

static struct adv_link *find_link(struct advs *advs, uint16_t handle)
{
	for (size_t i = 0; i < ARRAY_SIZE(advs->links); i++)
		if (advs->links[i].used && advs->links[i].handle == handle)
			return &advs->links[i];
	return NULL;
}

static void link_forget(struct adv_link *l)
{
	conn_unobserve(&l->observer);
	timer_stop(&l->wait);
	l->used = false;
	l->conn = NULL;
	l->adv = NULL;
}

static void on_conn_gone(_unused_ struct conn *conn, struct conn_observer *observer)
{
	link_forget(container_of(observer, struct adv_link, observer));
}

/* A link that ended before it was usable was none: its advertiser goes on, if it was to. */
static void link_lost(struct adv_link *l)
{
	struct adv *adv = l->adv;

	link_forget(l);
	if (!adv || !adv->taken)
		return;
	adv->taken = false;
	if (adv->ending)
		adv_released(adv);
	else
		adv_work(adv->advs);
}

/* A free one is better than one that is settled, and that than one that is not; then the older. */
static bool is_better_place(const struct adv_link *a, const struct adv_link *b)
{
	if (a->used != b->used)
		return !a->used;
	if (a->settled != b->settled)
		return a->settled;
	return a->since_us < b->since_us;
}

static struct adv_link *new_link(struct advs *advs, uint16_t handle)
{
	struct adv_link *l = &advs->links[0];

	for (size_t i = 1; i < ARRAY_SIZE(advs->links); i++)
		if (is_better_place(&advs->links[i], l))
			l = &advs->links[i];
	link_lost(l);
	l->used = true;
	l->settled = false;
	l->handle = handle;
	l->since_us = loop_now_us(advs->adapter->loop);
	return l;
}

/* It may be on its way out: then it has got a link in its last moment. */
static struct adv *oldest_connectable(struct advs *advs)
{
	struct adv *adv;

	list_for_each (adv, &advs->list, link)
		if (adv->params.connectable && adv->on_air && adv->state != ADV_FINISHED &&
		    !adv->taken)
			return adv;
	/* centrals may hear it before we have the kernel's answer */
	adv = advs->job == ADV_JOB_DATA ? advs->job_adv : NULL;
	return adv && adv->params.connectable && adv->instance && !adv->taken ? adv : NULL;
}

void adv_refresh_later(struct adv *adv)
{
	if (adv_live(adv) && adv->on_air)
		timer_start_ms(&adv->pause, ADV_REFRESH_MS);
}

/* --- telling --- */

static void tell(struct adv_link *l)
{
	struct advs *advs = l->advs;
	struct adv *adv = l->adv;
	struct conn *conn = l->conn;

	conn_unobserve(&l->observer);
	timer_stop(&l->wait);
	l->conn = NULL;
	l->settled = true;
	if (!adv)
		return;
	l->adv = NULL;
	if (adv->taken) { /* what it was wished to be before no longer counts */
		adv->taken = false;
		adv->ending = false;
	}
	if (!adv->started) /* the kernel's answer is still to come, but the central has heard it */
		adv_took_data(adv);
	advs->telling = adv;
	if (!list_empty(&adv->starting)) /* its start is told before */
		adv_tell_start(adv);
	if (!advs->telling)
		return;
	adv->events->connected(adv, conn, adv->data);
	if (advs->telling && !adv->params.keep)
		adv_end(adv, ADV_END_CONNECTED, 0);
	advs->telling = NULL;
}

/* --- what is known --- */

static void take(struct adv_link *l, struct adv *adv)
{
	l->adv = adv;
	if (!adv) {
		l->settled = true;
		return;
	}
	if (adv->params.keep) {
		adv->heard = !adv->on_air;
		adv_refresh_later(adv);
	} else {
		adv->taken = true;
		adv->taken_by = l->handle;
		timer_stop(&adv->pause);
		adv_unset(adv);
		adv_work(l->advs);
	}
	if (l->conn)
		tell(l);
}

static void on_wait(struct timer *t)
{
	struct adv_link *l = container_of(t, struct adv_link, wait);

	log_debug(l->advs->adapter->name, "link 0x%04x: the controller does not say of which set",
	          l->handle);
	take(l, oldest_connectable(l->advs));
}

static int on_conn_complete(struct advs *advs, const struct hcip_event *ev)
{
	struct hcip_conn_complete cc;
	struct adv_link *l;

	if (hcip_parse_conn_complete(ev, &cc) < 0)
		return 0; /* counted by those it is for */
	if (cc.status || cc.role != HCIP_ROLE_PERIPHERAL)
		return 0;
	l = find_link(advs, cc.handle);
	if (l && l->settled) /* the conn came first, and was told by guess */
		return 0;
	if (!l)
		l = new_link(advs, cc.handle);
	if (!adv_extended(advs->adapter))
		take(l, oldest_connectable(advs));
	else
		timer_start_ms(&l->wait, ADV_SET_WAIT_MS);
	return 0;
}

/* A controller with a single set has handle 0 for instance 1. */
static struct adv *find_set(struct advs *advs, uint8_t adv_handle)
{
	uint8_t instance = adv_handle == 0 && adv_max(advs->adapter) == 1 ? 1 : adv_handle;
	struct adv *adv;

	list_for_each (adv, &advs->list, link)
		if (instance && adv->instance == instance && adv->params.connectable)
			return adv;
	return NULL;
}

static int on_set_terminated(struct advs *advs, const struct hcip_event *ev)
{
	struct hcip_adv_terminated t;
	struct adv_link *l;

	if (hcip_parse_adv_terminated(ev, &t) < 0)
		return -EBADMSG;
	if (t.status) /* mgmt tells of it */
		return 0;
	l = find_link(advs, t.handle);
	if (!l)
		l = new_link(advs, t.handle);
	if (l->settled || l->adv)
		return 0;
	timer_stop(&l->wait);
	take(l, find_set(advs, t.adv_handle));
	return 0;
}

static int on_disconnected(struct advs *advs, const struct hcip_event *ev)
{
	struct hcip_disconnected d;
	struct adv_link *l;
	struct adv *adv;

	if (hcip_parse_disconnected(ev, &d) < 0 || d.status)
		return 0;
	l = find_link(advs, d.handle);
	if (l)
		link_lost(l);
	list_for_each (adv, &advs->list, link)
		if (adv->state == ADV_PAUSED || adv->params.keep)
			adv_refresh_later(adv);
	adv_work(advs);
	return 0;
}

void adv_hci_event(struct adapter *adapter, const struct hcip_event *ev)
{
	struct advs *advs = adapter->advs;
	int r = 0;

	if (ev->code == HCIP_EV_DISCONNECTED)
		r = on_disconnected(advs, ev);
	else if (ev->code != HCIP_EV_LE_META)
		return;
	else if (ev->subevent == HCIP_LE_CONN_COMPLETE || ev->subevent == HCIP_LE_ENH_CONN_COMPLETE)
		r = on_conn_complete(advs, ev);
	else if (ev->subevent == HCIP_LE_ADV_SET_TERMINATED)
		r = on_set_terminated(advs, ev);
	if (r < 0)
		adapter->stats.events_malformed++;
}

void adv_conn_added(struct adapter *adapter, struct conn *conn)
{
	struct advs *advs = adapter->advs;
	struct adv_link *l;

	if (conn_is_central(conn) || !advs->up)
		return;
	l = find_link(advs, conn_handle(conn));
	if (l && l->settled) /* nobody's: its advertiser was freed, or there was none */
		return;
	if (!l)
		l = new_link(advs, conn_handle(conn));
	l->conn = conn;
	conn_observe(conn, &l->observer);
	if (l->adv)
		tell(l);
	else if (!adv_extended(adapter))
		take(l, oldest_connectable(advs));
	else if (!timer_armed(&l->wait))
		timer_start_ms(&l->wait, ADV_SET_WAIT_MS);
}

void adv_links_init(struct advs *advs)
{
	for (size_t i = 0; i < ARRAY_SIZE(advs->links); i++) {
		struct adv_link *l = &advs->links[i];

		l->advs = advs;
		l->observer.disconnected = on_conn_gone;
		list_init(&l->observer.link);
		timer_init(&l->wait, advs->adapter->loop, on_wait);
	}
}

void adv_links_clear(struct advs *advs)
{
	for (size_t i = 0; i < ARRAY_SIZE(advs->links); i++)
		link_forget(&advs->links[i]);
}

void adv_links_forget(struct advs *advs, struct adv *adv)
{
	for (size_t i = 0; i < ARRAY_SIZE(advs->links); i++) {
		if (!advs->links[i].used || advs->links[i].adv != adv)
			continue;
		advs->links[i].adv = NULL;
		advs->links[i].settled = true;
	}
}
