/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side of advertising (6.12, net/bluetooth/mgmt.c): an instance is made by its parameters and goes on the air with
 * its data. One command at a time for all advertisers of an adapter: the kernel throws away every instance that waits for its
 * data when the data of any of them is refused, and answers "busy" when it is asked for two at once.
 *
 * The rule a reader would break first: an instance that a command was sent for may exist, whatever the answer was. It is ours until
 * the kernel has confirmed its removal, and its number is not used before.
 */
#include <errno.h>

#include "adapter_priv.h"
#include "adv_priv.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

#define TX_NO_PREFERENCE 127

static const uint32_t secondary_flag[] = {
	[ADV_PHY_1M] = MGMT_ADV_SECONDARY_1M,
	[ADV_PHY_2M] = MGMT_ADV_SECONDARY_2M,
	[ADV_PHY_CODED] = MGMT_ADV_SECONDARY_CODED,
};

static struct adv *find_instance(struct advs *advs, uint8_t instance)
{
	struct adv *adv;

	list_for_each (adv, &advs->list, link)
		if (adv->instance == instance)
			return adv;
	return NULL;
}

void adv_unset(struct adv *adv)
{
	if (adv->instance)
		adv->advs->drop |= 1u << adv->instance;
	adv->instance = 0;
	adv->has_params = adv->on_air = adv->dirty = adv->refresh = false;
}

/* --- sending --- */

static void sent(struct advs *advs, enum adv_job job, uint8_t instance, struct adv *adv, int r)
{
	if (r <
	    0) { /* the channel is broken or full: the manager is about to say so, or it gets better */
		log_debug(advs->adapter->name, "advertising: the mgmt channel takes no command: %d",
		          r);
		timer_start_ms(&advs->again, ADV_BUSY_MS);
		return;
	}
	advs->job = job;
	advs->job_instance = instance;
	advs->job_adv = adv;
}

static void send_remove(struct advs *advs, uint8_t instance)
{
	uint8_t buf[MGMT_HDR_LEN + 1];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_adv_remove(&w, advs->adapter->index, instance);
	sent(advs, ADV_JOB_REMOVE, instance, NULL,
	     mgmt_send_msg(advs->adapter->mgmt, &advs->cmd, &w, MGMT_TIMEOUT_MS));
}

static struct mgmt_adv_params kernel_params(const struct adv *adv, uint8_t instance)
{
	const struct adv_params *p = &adv->params;
	const struct adapter *a = adv->advs->adapter;
	struct mgmt_adv_params k = {
		.instance = instance,
		.flags = MGMT_ADV_HAS_INTERVALS | MGMT_ADV_HAS_DURATION,
		.duration = ADV_ROTATION_SEC,
		.min_interval = p->interval_us / ADV_UNIT_US,
		.max_interval = p->interval_us / ADV_UNIT_US,
		.tx_dbm = TX_NO_PREFERENCE,
	};

	if (p->connectable)
		k.flags |= MGMT_ADV_CONNECTABLE;
	else if (adv->wanted.rsp_len)
		k.flags |= MGMT_ADV_HAS_SCAN_RSP;
	if (p->extended)
		k.flags |= secondary_flag[p->secondary_phy];
	if (p->has_tx_power && a->adv_flags & MGMT_ADV_CAN_SET_TX_POWER) {
		k.flags |= MGMT_ADV_HAS_TX_POWER;
		k.tx_dbm = p->tx_power_dbm;
	}
	return k;
}

static void send_params(struct advs *advs, struct adv *adv, uint8_t instance)
{
	struct mgmt_adv_params params = kernel_params(adv, instance);
	uint8_t buf[MGMT_HDR_LEN + 32];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_adv_params(&w, advs->adapter->index, &params);
	sent(advs, ADV_JOB_PARAMS, instance, adv,
	     mgmt_send_msg(advs->adapter->mgmt, &advs->cmd, &w, MGMT_TIMEOUT_MS));
}

static void send_data(struct advs *advs, struct adv *adv)
{
	const struct adv_payload *p = &adv->wanted;
	uint8_t buf[MGMT_HDR_LEN + 3 + 2 * ADV_DATA_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_adv_data(&w, advs->adapter->index, adv->instance, p->adv, p->adv_len, p->rsp,
	                  p->rsp_len);
	adv->dirty = false;
	advs->job_payload = *p;
	list_move_all(&adv->updates, &advs->job_updates);
	sent(advs, ADV_JOB_DATA, adv->instance, adv,
	     mgmt_send_msg(advs->adapter->mgmt, &advs->cmd, &w, MGMT_TIMEOUT_MS));
	if (advs->job == ADV_JOB_NONE) {
		adv->dirty = true;
		list_move_all(&advs->job_updates, &adv->updates);
	}
}

/* --- what is next --- */

static uint8_t free_instance(const struct advs *advs)
{
	for (uint8_t n = 1; n <= MIN(adv_max(advs->adapter), 31u); n++)
		if (!((advs->ours | advs->foreign) & 1u << n))
			return n;
	return 0;
}

static bool supported(const struct adv *adv)
{
	return !adv->params.extended ||
	       adv->advs->adapter->adv_flags & secondary_flag[adv->params.secondary_phy];
}

/* Return: true when a command was sent, or has to wait. */
static bool set_up_next(struct advs *advs)
{
	struct adv *adv, *next;
	uint8_t instance;

	list_for_each_safe (adv, next, &advs->list, link) {
		if (!adv_live(adv) || adv->instance || adv->taken || timer_armed(&adv->pause))
			continue;
		instance = free_instance(advs);
		if (!supported(adv))
			adv_refused(adv, -EOPNOTSUPP);
		else if (instance)
			send_params(advs, adv, instance);
		else if (!adv->started)
			adv_refused(adv, -ENOSPC);
		else
			adv_enter_state(adv, ADV_PAUSED); /* others took its place: until they go */
		if (advs->job != ADV_JOB_NONE || timer_armed(&advs->again))
			return true;
	}
	return false;
}

static struct adv *find_unsent(struct advs *advs)
{
	struct adv *adv;

	list_for_each (adv, &advs->list, link)
		if (adv->has_params && !adv->on_air && adv_live(adv))
			return adv; /* no other command may come in between */
	list_for_each (adv, &advs->list, link)
		if (adv->on_air && adv->dirty && adv_live(adv))
			return adv;
	return NULL;
}

/* Nothing is under way: nothing of what was to go is left. */
static void settled(struct advs *advs)
{
	struct op *op;

	while ((op = list_first(&advs->stops, struct op, link)))
		op_complete_later(op, 0);
}

void adv_work(struct advs *advs)
{
	struct adv *adv;

	/* without power the instances are gone already; the adapter is told to be down a moment later */
	if (!advs->up || !adapter_powered(advs->adapter)) {
		settled(advs);
		return;
	}
	if (advs->job != ADV_JOB_NONE || timer_armed(&advs->again))
		return;
	adv = find_unsent(advs);
	if (adv && !adv->on_air)
		send_data(advs, adv);
	else if (advs->drop)
		send_remove(advs, (uint8_t)__builtin_ctz(advs->drop));
	else if (adv)
		send_data(advs, adv);
	else if (advs->stopping || !set_up_next(advs))
		settled(advs);
}

static void on_again(struct timer *t)
{
	adv_work(container_of(t, struct advs, again));
}

/* --- answers --- */

/* Once more after a pause. Return: false: it was that often enough; @tries: what this one counts for. */
static bool try_again(struct advs *advs, unsigned int tries)
{
	advs->tries += tries;
	if (advs->tries > ADV_BUSY_TRIES) {
		advs->tries = 0;
		return false;
	}
	timer_start_ms(&advs->again, ADV_BUSY_MS);
	return true;
}

/* The kernel is just changing a setting. */
static bool is_busy(struct advs *advs, int res)
{
	if (res == RES_MGMT(MGMT_STATUS_BUSY))
		return try_again(advs, 1);
	advs->tries = 0;
	return false;
}

/* What the kernel does not know is removed. What it will not remove stays ours until the power goes: its number is not free. */
static void on_removed(struct advs *advs, uint8_t instance, int res)
{
	bool gone = res == 0 || res == RES_MGMT(MGMT_STATUS_INVALID_PARAMS);
	struct adv *adv = find_instance(advs, instance);

	if (!gone && try_again(advs, res == -ETIMEDOUT ? ADV_TIMEOUT_TRIES : 1))
		return;
	if (gone)
		advs->ours &= ~(1u << instance);
	else
		log_debug(advs->adapter->name, "advertising: instance %u is not removed: %d",
		          instance, res);
	advs->tries = 0;
	advs->drop &= ~(1u << instance);
	if (!adv)
		return;
	adv->instance = 0;
	adv->has_params = adv->on_air = adv->dirty = false;
	adv_released(adv);
}

/* The set-up is refused. Beside a link that may be the controller's limit, and is so only while the link is there. */
static void set_up_refused(struct adv *adv, int res)
{
	if (adv->started && adv_live(adv) && res > 0 && links_count(adv->advs->adapter)) {
		adv_enter_state(adv, ADV_PAUSED);
		timer_start_ms(&adv->pause, ADV_BESIDE_MS);
	} else {
		adv_refused(adv, res);
	}
}

static void on_params(struct advs *advs, struct adv *adv, uint8_t instance, int res)
{
	if (res == 0 || res < 0)
		advs->ours |= 1u << instance; /* or perhaps */
	if (!adv || res || adv->ending) {
		if (advs->ours & 1u << instance)
			advs->drop |= 1u << instance;
	}
	if (!adv)
		return;
	if (res == 0) {
		adv->instance = instance;
		adv->has_params = !adv->ending;
		return;
	}
	if (!is_busy(advs, res))
		set_up_refused(adv, res);
}

/* It was on the air before: with what it said then it may be again. */
static void data_refused(struct adv *adv, int res)
{
	bool before = adv->on_air;

	if (adv->refresh) { /* the controller does not advertise beside this link */
		adv->refresh = false;
		adv_enter_state(adv, ADV_PAUSED);
		return;
	}
	adv_unset(adv);
	if (before)
		adv->wanted = adv->sent;
	else
		set_up_refused(adv, res);
}

static void on_data(struct advs *advs, struct adv *adv, int res, struct list *updates)
{
	struct op *op;

	if (adv && is_busy(advs, res)) {
		adv->dirty = true;
		list_move_all(updates, &adv->updates);
		return;
	}
	while ((op = list_first(updates, struct op, link)))
		op_complete_later(op, res);
	if (!adv || adv->ending || adv->taken || !adv->instance) {
		if (adv && res == 0)
			adv_took_data(adv); /* the start is told before the end */
		return;
	}
	if (res) {
		data_refused(adv, res);
		return;
	}
	adv->on_air = true;
	adv->refresh = false;
	adv->sent = advs->job_payload;
	adv_took_data(adv);
	if (adv->heard)
		adv_refresh_later(adv);
	adv->heard = false;
}

static void on_done(struct op *op, int res)
{
	struct advs *advs = container_of(op, struct advs, cmd.op);
	enum adv_job job = advs->job;
	struct adv *adv = advs->job_adv;
	struct list updates;

	list_init(&updates);
	list_move_all(&advs->job_updates, &updates);
	advs->job = ADV_JOB_NONE;
	advs->job_adv = NULL;
	switch (job) {
	case ADV_JOB_NONE:
		return;
	case ADV_JOB_REMOVE:
		on_removed(advs, advs->job_instance, res);
		break;
	case ADV_JOB_PARAMS:
		on_params(advs, adv, advs->job_instance, res);
		break;
	case ADV_JOB_DATA:
		on_data(advs, adv, res, &updates);
		break;
	}
	if (adv && !adv->instance) /* nothing of it is left that its end could wait for */
		adv_released(adv);
	adv_work(advs);
}

/* --- what others do --- */

static void on_added(struct advs *advs, uint8_t instance)
{
	struct adv *adv;

	if (instance > 31)
		return;
	adv = advs->ours & 1u << instance ? find_instance(advs, instance) : NULL;
	advs->ours &= ~(1u << instance);
	advs->drop &= ~(1u << instance);
	advs->foreign |= 1u << instance;
	adapter_note_foreign(advs->adapter, "advertises");
	adapter_changed(advs->adapter);
	if (adv)
		adv_lost(adv);
}

static void on_gone(struct advs *advs, uint8_t instance)
{
	uint32_t bit = instance <= 31 ? 1u << instance : 0;
	struct adv *adv;

	if (advs->foreign & bit) {
		advs->foreign &= ~bit;
		adapter_changed(advs->adapter);
		adv_work(advs);
		return;
	}
	if (!(advs->ours & bit) || (advs->job != ADV_JOB_NONE && advs->job_instance == instance))
		return; /* not known; or the answer to our command is what counts */
	advs->ours &= ~bit;
	advs->drop &= ~bit;
	adv = find_instance(advs, instance);
	if (adv)
		adv_lost(adv);
}

void adv_mgmt_event(struct adapter *adapter, const struct mgmt_msg *msg)
{
	struct advs *advs = adapter->advs;
	uint8_t instance;

	if (!advs || !advs->up ||
	    (msg->code != MGMT_EV_ADVERTISING_ADDED && msg->code != MGMT_EV_ADVERTISING_REMOVED))
		return;
	if (mgmt_parse_adv_instance(msg->data, msg->len, &instance) < 0)
		adapter->stats.events_malformed++;
	else if (msg->code == MGMT_EV_ADVERTISING_ADDED)
		on_added(advs, instance);
	else
		on_gone(advs, instance);
}

void adv_kernel_init(struct advs *advs)
{
	op_init(&advs->cmd.op, advs->adapter->loop, on_done);
	timer_init(&advs->again, advs->adapter->loop, on_again);
	list_init(&advs->job_updates);
}

void adv_kernel_forget(struct advs *advs)
{
	struct op *op;

	op_drop(&advs->cmd.op);
	timer_stop(&advs->again);
	advs->job = ADV_JOB_NONE;
	advs->job_adv = NULL;
	advs->tries = 0;
	advs->ours = advs->foreign = advs->drop = 0;
	while ((op = list_first(&advs->job_updates, struct op, link)))
		op_complete_later(op, 0); /* the wish stands, and goes with the next set-up */
}
