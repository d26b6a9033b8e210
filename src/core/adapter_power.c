/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The radio on and off on request, work that needs it on, and the end of it all. Requests contradict each other: the last
 * one counts, those before it are told -ECANCELED.
 */
#include <errno.h>

#include "adapter_priv.h"
#include "aiobled/result.h"

#define STOP_LINKS_MS 2000

static void complete_now(struct op *op, int res)
{
	op_start(op, NULL, NULL, 0);
	op_complete_later(op, res);
}

static void cancel_all_later(struct list *queue)
{
	struct op *op;

	while ((op = list_first(queue, struct op, link)))
		op_complete_later(op, -ECANCELED);
}

static void power_on(struct adapter *a, struct op *op, uint32_t timeout_ms)
{
	if (a->state == ADAPTER_READY) {
		complete_now(op, 0);
		return;
	}
	if (a->state == ADAPTER_BLOCKED && a->kernel->blocked(a->kernel, a->index) == 1) {
		complete_now(op, RES_MGMT(MGMT_STATUS_RFKILLED));
		return;
	}
	cancel_all_later(&a->off_ops);
	op_start(op, &a->on_ops, NULL, timeout_ms);
	if (!bringup_busy(a) ||
	    a->state == ADAPTER_OFF) /* nothing under way but, perhaps, turning off */
		bringup_start(a, false);
}

/* Work that arrives during the way down may not turn it on again; work that arrives later may. */
static void power_off(struct adapter *a, struct op *op, uint32_t timeout_ms)
{
	op_start(op, &a->off_ops, NULL, timeout_ms);
	if (a->off_by_us && bringup_busy(a))
		return;
	bringup_cancel(a);
	adapter_enter_state(a, ADAPTER_OFF, 0, "turned off");
	if (a->state != ADAPTER_OFF) /* somebody who was told of it wants it on */
		return;
	a->off_by_us = true;
	bringup_power_off(a);
}

int adapter_power(struct adapter *a, bool on, struct op *op, uint32_t timeout_ms)
{
	if (a->closing)
		complete_now(op, a->closing);
	else if (on)
		power_on(a, op, timeout_ms);
	else
		power_off(a, op, timeout_ms);
	return 0;
}

int adapter_want(struct adapter *a)
{
	if (a->closing)
		return a->closing;
	if (a->state == ADAPTER_OFF && a->off_by_us) {
		cancel_all_later(&a->off_ops);
		bringup_start(a, false);
	}
	if (a->state == ADAPTER_READY)
		return 0;
	return a->state == ADAPTER_STARTING ? -EAGAIN : -ENETDOWN;
}

int adapter_await_ready(struct adapter *a, struct op *op, uint32_t timeout_ms)
{
	int r = adapter_want(a);

	if (r == -EAGAIN)
		op_start(op, &a->await_ops, NULL, timeout_ms);
	else
		complete_now(op, r);
	return 0;
}

/* --- the end --- */

static void stop_ended(struct adapter *a)
{
	a->stopping.done = true;
	manager_adapter_stopped(a->manager);
}

static void on_off(struct op *op, _unused_ int res)
{
	stop_ended(container_of(op, struct adapter, stopping.off));
}

/* Advertisers, links and scan have ended: the radio as we found it. */
static void stop_continue(struct adapter *a)
{
	if (op_live(&a->stopping.advs) || op_live(&a->stopping.links) || op_live(&a->stopping.scan))
		return;
	if (a->found_powered || !(a->settings & MGMT_SETTING_POWERED))
		stop_ended(a);
	else
		power_off(a, &a->stopping.off, 0);
}

static void on_advs_stopped(struct op *op, _unused_ int res)
{
	stop_continue(container_of(op, struct adapter, stopping.advs));
}

static void on_links_stopped(struct op *op, _unused_ int res)
{
	stop_continue(container_of(op, struct adapter, stopping.links));
}

static void on_scan_stopped(struct op *op, _unused_ int res)
{
	stop_continue(container_of(op, struct adapter, stopping.scan));
}

void adapter_stop(struct adapter *a)
{
	if (a->closing)
		return;
	a->closing = -ENETDOWN;
	if (!a->up) { /* nothing is running; what was being brought up is turned off again */
		stop_continue(a);
		return;
	}
	adv_stop_all(a, &a->stopping.advs);
	links_stop(a, &a->stopping.links, STOP_LINKS_MS);
	scan_stop(a, &a->stopping.scan);
}

void adapter_stop_init(struct adapter *a)
{
	op_init(&a->stopping.advs, a->loop, on_advs_stopped);
	op_init(&a->stopping.links, a->loop, on_links_stopped);
	op_init(&a->stopping.scan, a->loop, on_scan_stopped);
	op_init(&a->stopping.off, a->loop, on_off);
}

void adapter_stop_cancel(struct adapter *a)
{
	op_drop(&a->stopping.advs);
	op_drop(&a->stopping.links);
	op_drop(&a->stopping.scan);
	op_drop(&a->stopping.off);
}
