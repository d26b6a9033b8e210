/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertisers: wishes in, events out. Wishes set fields and call adv_work(); what clients are told comes from a deferred call,
 * because an owner may free any advertiser when it is told something.
 *
 * The rule a reader would break first: an end waits until the kernel has let go of the instance, so that a link that was being
 * made in that moment still finds its advertiser (connected() and then ADV_END_CONNECTED, whatever had been wished).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "adv_priv.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

bool adv_live(const struct adv *adv)
{
	return adv->state != ADV_FINISHED && !adv->ending;
}

/* --- telling --- */

void adv_enter_state(struct adv *adv, enum adv_state state)
{
	if (adv->state == state)
		return;
	adv->state = state;
	if (adv->advs)
		defer_post(&adv->advs->tell);
}

/* One that has something to tell; asked again from the start after each, since a callback may change the list. */
static struct adv *find_untold(struct advs *advs)
{
	struct adv *adv;

	list_for_each (adv, &advs->list, link) {
		if (!adv->started)
			continue;
		if (!list_empty(&adv->starting) || adv->finished_due)
			return adv;
		if (adv->state != ADV_FINISHED && adv->state != adv->told_state)
			return adv;
	}
	return NULL;
}

void adv_tell_start(struct adv *adv)
{
	adv->told_state = adv->state; /* the start says so */
	op_complete(list_first(&adv->starting, struct op, link), 0);
}

static void on_tell(struct defer *d)
{
	struct advs *advs = container_of(d, struct advs, tell);
	struct adv *adv;

	while ((adv = find_untold(advs))) {
		if (!list_empty(&adv->starting)) {
			adv_tell_start(adv);
			continue;
		}
		adv->told_state = adv->state;
		if (adv->finished_due) {
			adv->finished_due = false;
			adv->events->finished(adv, adv->end, adv->res, adv->data);
		} else if (adv->events->state) {
			adv->events->state(adv, adv->data);
		}
	}
}

static void complete_all_later(struct list *queue, int res)
{
	struct op *op;

	while ((op = list_first(queue, struct op, link)))
		op_complete_later(op, res);
}

/* --- the end --- */

static void finish(struct adv *adv)
{
	timer_stop(&adv->timeout);
	timer_stop(&adv->pause);
	complete_all_later(&adv->updates, -ESHUTDOWN);
	if (adv->started)
		adv->finished_due = true;
	else
		complete_all_later(&adv->starting,
		                   adv->end == ADV_END_FAILED ? adv->res : -ECANCELED);
	adv_enter_state(adv, ADV_FINISHED);
	adapter_changed(adv->advs->adapter);
}

void adv_released(struct adv *adv)
{
	if (adv->ending && !adv->taken && adv->state != ADV_FINISHED)
		finish(adv);
}

void adv_end(struct adv *adv, enum adv_end end, int res)
{
	struct advs *advs = adv->advs;

	if (!adv_live(adv))
		return;
	adv->ending = true;
	adv->end = end;
	adv->res = res;
	timer_stop(&adv->timeout);
	timer_stop(&adv->pause);
	if (adv->instance)
		advs->drop |= 1u << adv->instance; /* adv_released() follows */
	else if (advs->job_adv != adv)
		adv_released(adv);
	adv_work(advs);
}

void adv_refused(struct adv *adv, int res)
{
	if (adv->state == ADV_FINISHED)
		return;
	if (!adv->ending) {
		adv->ending = true;
		adv->end = ADV_END_FAILED;
		adv->res = res;
	}
	adv_released(adv);
}

static void on_timeout(struct timer *t)
{
	adv_end(container_of(t, struct adv, timeout), ADV_END_TIMEOUT, 0);
}

/* --- on the air --- */

void adv_took_data(struct adv *adv)
{
	bool first = !adv->started;

	adv->started = true;
	if (adv_live(adv))
		adv_enter_state(adv, ADV_RUNNING);
	if (!first)
		return;
	defer_post(&adv->advs->tell);
	if (adv->params.timeout_ms && adv_live(adv))
		timer_start_ms(&adv->timeout, adv->params.timeout_ms);
}

/* The moment after a loss or a link is over: what is to be done depends on what has become of it. */
static void on_pause(struct timer *t)
{
	struct adv *adv = container_of(t, struct adv, pause);

	if (!adv_live(adv) || adv->taken || !adapter_powered(adv->advs->adapter))
		return;
	if (adv->lost_again) {
		adv_end(adv, ADV_END_FAILED, -EBUSY);
		return;
	}
	if (adv->on_air && !adv->dirty) {
		adv->dirty = true;
		adv->refresh = true;
	}
	adv_work(adv->advs);
}

/* Once may be an accident; whoever does it again means it. */
void adv_lost(struct adv *adv)
{
	uint64_t now_us = loop_now_us(adv->advs->adapter->loop);

	adv->lost_again = adv->lost_us && now_us - adv->lost_us < ADV_LOSS_AGAIN_MS * 1000ull;
	adv->instance = 0;
	adv->has_params = adv->on_air = adv->dirty = false;
	adv->lost_us = now_us;
	if (adv->ending) {
		adv_released(adv);
	} else {
		adv_enter_state(adv, ADV_PAUSED);
		timer_start_ms(&adv->pause, ADV_LOSS_MS);
	}
}

/* --- wishes --- */

static bool payload_fits(const struct adv_payload *p, bool extended)
{
	if (extended)
		return p->adv_len <= ADV_DATA_MAX && p->rsp_len == 0;
	return p->adv_len <= AD_LEGACY_MAX && p->rsp_len <= AD_LEGACY_MAX;
}

/* What the adapter can do, as far as that is known. */
static int check_room(struct adapter *a, const struct adv_params *p)
{
	if (p->extended && a->state == ADAPTER_READY && !adv_extended(a))
		return -EOPNOTSUPP;
	if (adv_count(a) >= ADVERTISERS_MAX || (adv_max(a) && adv_count(a) >= adv_max(a)))
		return -ENOSPC;
	return 0;
}

int adv_new(struct adapter *adapter, const struct adv_params *params,
            const struct adv_payload *payload, const struct adv_events *events, void *data,
            struct op *op, uint32_t timeout_ms, struct adv **ret)
{
	struct adv *adv;
	int r;

	if (params->interval_us < ADV_INTERVAL_US_MIN || params->interval_us > ADV_INTERVAL_US_MAX)
		return -EINVAL;
	if (!payload_fits(payload, params->extended))
		return -EMSGSIZE;
	r = adapter_want(adapter);
	if (r == 0 || r == -EAGAIN)
		r = check_room(adapter, params);
	if (r < 0)
		return r;
	adv = calloc(1, sizeof(*adv));
	if (!adv)
		return -ENOMEM;
	adv->advs = adapter->advs;
	adv->params = *params;
	adv->wanted = *payload;
	adv->events = events;
	adv->data = data;
	list_init(&adv->starting);
	list_init(&adv->updates);
	timer_init(&adv->timeout, adapter->loop, on_timeout);
	timer_init(&adv->pause, adapter->loop, on_pause);
	op_start(op, &adv->starting, NULL, timeout_ms);
	list_add_tail(&adapter->advs->list, &adv->link);
	adapter_changed(adapter);
	*ret = adv;
	adv_work(adapter->advs);
	return 0;
}

static void drop_ops(struct list *queue)
{
	struct op *op;

	while ((op = list_first(queue, struct op, link)))
		op_drop(op);
}

static void leave(struct adv *adv)
{
	struct advs *advs = adv->advs;

	list_del(&adv->link);
	timer_stop(&adv->timeout);
	timer_stop(&adv->pause);
	adv_unset(adv);
	if (advs->job_adv == adv)
		advs->job_adv = NULL;
	if (advs->telling == adv)
		advs->telling = NULL;
	adv_links_forget(advs, adv);
	adv->advs = NULL;
	adapter_changed(advs->adapter);
	adv_work(advs);
}

struct adv *adv_free(struct adv *adv)
{
	if (!adv)
		return NULL;
	drop_ops(&adv->starting);
	drop_ops(&adv->updates);
	if (adv->advs)
		leave(adv);
	free(adv);
	return NULL;
}

int adv_update(struct adv *adv, const struct adv_payload *payload, struct op *op,
               uint32_t timeout_ms)
{
	if (!payload_fits(payload, adv->params.extended))
		return -EMSGSIZE;
	if (!adv->advs || !adv_live(adv))
		return -ESHUTDOWN;
	adv->wanted = *payload;
	op_start(op, &adv->updates, NULL, timeout_ms);
	if (!adv->on_air) { /* it goes with the set-up; while that must wait, the wish is all there is to take */
		if (adv->started && adv->advs->job_adv != adv)
			complete_all_later(&adv->updates, 0);
		return 0;
	}
	/*
	 * The kernel (6.12) does not take empty data for a wish to have none; and what is not connectable changes its kind
	 * with the scan response.
	 */
	if ((adv->sent.adv_len && !payload->adv_len) || (adv->sent.rsp_len && !payload->rsp_len) ||
	    (!adv->params.connectable && !adv->sent.rsp_len != !payload->rsp_len))
		adv_unset(adv);
	adv->dirty = true;
	adv->refresh = false;
	adv_work(adv->advs);
	return 0;
}

void adv_stop(struct adv *adv)
{
	if (adv->advs)
		adv_end(adv, ADV_END_STOPPED, 0);
}

/* --- facts --- */

enum adv_state adv_state(const struct adv *adv)
{
	return adv->state;
}

const struct adv_params *adv_params(const struct adv *adv)
{
	return &adv->params;
}

const struct adv_payload *adv_payload(const struct adv *adv)
{
	return &adv->wanted;
}

/* An LE-only adapter: "BR/EDR not supported" is what the kernel knows to say. */
size_t adv_air_data(const struct adv *adv, uint8_t ret[ADV_DATA_MAX])
{
	const struct adv_payload *p = &adv->wanted;
	struct ad_field flags;
	struct wr w = wr_init(ret, ADV_DATA_MAX);

	if (!ad_find(ad_iter(p->adv, p->adv_len), AD_FLAGS, &flags))
		ad_put_flags(&w, AD_FLAG_NO_BREDR);
	wr_bytes(&w, p->adv, p->adv_len);
	return wr_len(&w);
}

uint32_t adv_interval_us(const struct adv *adv)
{
	const struct adapter *a = adv->advs ? adv->advs->adapter : NULL;

	if (a && a->adv_max && !adv_extended(a) && !adv->params.connectable)
		return ADV_KERNEL_INTERVAL_US;
	return adv->params.interval_us - adv->params.interval_us % ADV_UNIT_US;
}

bool adv_extended(const struct adapter *a)
{
	return a->adv_flags & MGMT_ADV_SECONDARY_1M;
}

uint32_t adv_max(const struct adapter *a)
{
	return MIN(a->adv_max, (uint32_t)ADVERTISERS_MAX);
}

uint32_t adv_count(const struct adapter *a)
{
	uint32_t n = (uint32_t)__builtin_popcount(a->advs->foreign);
	const struct adv *adv;

	list_for_each (adv, &a->advs->list, link)
		n += adv->state != ADV_FINISHED;
	return n;
}

/* --- hooks --- */

int adv_attach(struct adapter *adapter)
{
	struct advs *advs = calloc(1, sizeof(*advs));

	if (!advs)
		return -ENOMEM;
	advs->adapter = adapter;
	list_init(&advs->list);
	list_init(&advs->stops);
	defer_init(&advs->tell, adapter->loop, on_tell);
	adv_kernel_init(advs);
	adv_links_init(advs);
	adapter->advs = advs;
	return 0;
}

void adv_detach(struct adapter *adapter)
{
	struct advs *advs = adapter->advs;
	struct adv *adv;

	if (!advs)
		return;
	adv_adapter_down(adapter, -ENODEV);
	while ((adv = list_first(&advs->list, struct adv, link))) {
		list_del(&adv->link);
		adv->advs = NULL; /* finished, and still its owner's */
	}
	defer_cancel(&advs->tell);
	op_fail_all(&advs->stops, -ENODEV);
	free(advs);
	adapter->advs = NULL;
}

/* What is left of a predecessor, or of somebody who turned the radio on, goes. */
void adv_adapter_up(struct adapter *adapter)
{
	struct advs *advs = adapter->advs;

	advs->up = true;
	advs->ours = advs->drop = adapter->adv_found;
	adapter->adv_found = 0;
	adv_work(advs);
}

/* The instances are gone with the power. Whoever was to end has ended by it; the others wait. */
static void adv_power_lost(struct adv *adv, int err)
{
	adv->instance = 0;
	adv->has_params = adv->on_air = adv->dirty = adv->taken = adv->lost_again = false;
	adv->lost_us = 0; /* that was no theft */
	timer_stop(&adv->pause);
	if (adv->ending) {
		adv_released(adv);
	} else if (err == -ENODEV || !adv->started) {
		adv->ending = true;
		adv->end = ADV_END_FAILED;
		adv->res = err;
		adv_released(adv);
	} else {
		adv_enter_state(adv, ADV_PAUSED);
	}
}

void adv_adapter_down(struct adapter *adapter, int err)
{
	struct advs *advs = adapter->advs;
	struct adv *adv;

	if (!advs)
		return;
	advs->up = false;
	adv_kernel_forget(advs);
	adv_links_clear(advs);
	list_for_each (adv, &advs->list, link)
		if (adv->state != ADV_FINISHED)
			adv_power_lost(adv, err);
	complete_all_later(&advs->stops, 0);
	if (err == -ENODEV)
		on_tell(&advs->tell); /* there is no later */
}

void adv_stop_all(struct adapter *adapter, struct op *op)
{
	struct advs *advs = adapter->advs;
	struct adv *adv;

	advs->stopping = true;
	op_start(op, &advs->stops, NULL, 0);
	list_for_each (adv, &advs->list, link)
		adv_end(adv, ADV_END_FAILED, -ECANCELED);
	adv_work(advs);
}
