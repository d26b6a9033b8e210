/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a sequence of steps (adapter_steps.h): one command at a time, over mgmt or the raw channel, some of them again
 * after a pause; what the end of it means for the adapter; and when to try again. Nothing ends inside the call that starts a
 * sequence. The last thing a function here does is enter a state or complete ops: everything may be different afterwards.
 */
#include <errno.h>

#include "adapter_priv.h"
#include "adapter_steps.h"
#include "aiobled/result.h"

#define STEP_TRIES_MAX 20
#define STEP_PAUSE_MS  100 /* 20 x 100 ms: links that are going down take no longer */

static void bringup_next(struct adapter *a);

static void bringup_halt(struct adapter *a)
{
	a->bringup.step = NULL;
	op_drop(&a->bringup.mgmt.op);
	op_drop(&a->bringup.hci.op);
	defer_cancel(&a->bringup.kick);
	timer_stop(&a->bringup.pause);
	timer_stop(&a->bringup.retry);
}

static void bringup_ended(struct adapter *a)
{
	bool off = a->bringup.off;

	bringup_halt(a);
	if (off)
		op_fail_all(&a->off_ops, 0);
	else
		adapter_enter_state(a, ADAPTER_READY, 0, "%s", "");
}

static void enter_failed(struct adapter *a, const char *step, int res)
{
	char text[RES_TEXT_MAX];

	switch (res) {
	case RES_MGMT(MGMT_STATUS_RFKILLED):
		adapter_enter_state(a, ADAPTER_BLOCKED, res, "blocked by rfkill: see rfkill(8)");
		break;
	case RES_MGMT(MGMT_STATUS_PERMISSION_DENIED):
		adapter_enter_state(a, ADAPTER_FAILED, res,
		                    "%s: not permitted, CAP_NET_ADMIN is missing", step);
		break;
	case -EPERM:
		adapter_enter_state(a, ADAPTER_FAILED, res,
		                    "%s: not permitted, CAP_NET_RAW is missing", step);
		break;
	case -EOPNOTSUPP:
		adapter_enter_state(a, ADAPTER_FAILED, res,
		                    "the controller does not do Low Energy");
		break;
	case -ETIMEDOUT:
		adapter_enter_state(a, ADAPTER_FAILED, res, "%s: the controller does not answer",
		                    step);
		break;
	case -EPROTO:
		adapter_enter_state(a, ADAPTER_FAILED, res,
		                    "%s: accepted, but the setting did not change", step);
		break;
	default:
		adapter_enter_state(a, ADAPTER_FAILED, res, "%s: %s", step,
		                    res_text(res, text, sizeof(text)));
		break;
	}
}

/* The radio may be on or off; what is sure is that its owner wants it off, and that work turns it on. */
static void enter_off_failed(struct adapter *a, const char *step, int res)
{
	char text[RES_TEXT_MAX];

	adapter_enter_state(a, ADAPTER_OFF, res, "turning off failed: %s: %s", step,
	                    res_text(res, text, sizeof(text)));
	if (a->state == ADAPTER_OFF)
		a->off_by_us = true;
	op_fail_all(&a->off_ops, res);
}

static void bringup_failed(struct adapter *a, int res)
{
	const char *name = a->bringup.step->name ? a->bringup.step->name : "bring-up";
	bool off = a->bringup.off;

	bringup_halt(a);
	if (a->discard) /* the manager frees it */
		return;
	a->stats.command_timeouts +=
		res == -ETIMEDOUT && !a->hci; /* those of the raw channel are counted there */
	if (off) {
		enter_off_failed(a, name, res);
		return;
	}
	enter_failed(a, name, res);
	/* those who were told may have started something else */
	if (!bringup_busy(a) &&
	    (a->state == ADAPTER_BLOCKED || (a->state == ADAPTER_FAILED && res != -EOPNOTSUPP)))
		bringup_retry_later(a);
}

static void bringup_again(struct adapter *a)
{
	a->bringup.tries++;
	timer_start_ms(&a->bringup.pause, STEP_PAUSE_MS);
}

static void bringup_advance(struct adapter *a)
{
	bool joins =
		a->bringup.step == bringup_up_steps && a->bringup.adopt && bringup_settings_suit(a);

	do
		a->bringup.step++;
	while (joins && a->bringup.step->name && !a->bringup.step->raw);
	a->bringup.tries = 0;
	bringup_next(a);
}

/* The answer to the step's command. */
static void bringup_judge(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	const struct bringup_step *s = a->bringup.step;
	int r = s->judge(a, res, data, len);

	if (r == -EAGAIN && a->bringup.tries < STEP_TRIES_MAX) {
		bringup_again(a);
		return;
	}
	if (r == -EAGAIN)
		r = res ? res : -EBUSY;
	if (r && r != -ETIMEDOUT && r != -EIO && r != -ENODEV && s->optional)
		r = 0; /* noted in the settings or by the fields that stay zero */
	if (r) {
		bringup_failed(a, r);
		return;
	}
	bringup_advance(a);
}

static void bringup_run(struct adapter *a)
{
	int r = a->bringup.step->run(a);

	if (r < 0)
		bringup_failed(a, r);
	if (r > 0)
		bringup_advance(a);
}

static void bringup_next(struct adapter *a)
{
	if (a->bringup.step->name)
		bringup_run(a);
	else if (!a->bringup.off && !(a->settings & MGMT_SETTING_POWERED))
		bringup_failed(a, -ENETDOWN); /* somebody was faster */
	else
		bringup_ended(a);
}

void bringup_release(struct adapter *a)
{
	if (bringup_is_held(a))
		bringup_advance(a);
}

static void on_mgmt_done(struct op *op, int res)
{
	struct adapter *a = container_of(op, struct adapter, bringup.mgmt.op);

	bringup_judge(a, res, a->bringup.mgmt.rsp, a->bringup.mgmt.rsp_len);
}

static void on_hci_done(struct op *op, int res)
{
	struct adapter *a = container_of(op, struct adapter, bringup.hci.op);

	bringup_judge(a, res, a->bringup.hci.rsp, a->bringup.hci.rsp_len);
}

static void on_pause(struct timer *t)
{
	bringup_run(container_of(t, struct adapter, bringup.pause));
}

static void on_kick(struct defer *d)
{
	bringup_next(container_of(d, struct adapter, bringup.kick));
}

static void on_retry(struct timer *t)
{
	struct adapter *a = container_of(t, struct adapter, bringup.retry);

	if (a->state == ADAPTER_BLOCKED && a->kernel->blocked(a->kernel, a->index) == 1)
		bringup_retry_later(a);
	else
		bringup_start(a, false);
}

void bringup_init(struct adapter *a)
{
	op_init(&a->bringup.mgmt.op, a->loop, on_mgmt_done);
	op_init(&a->bringup.hci.op, a->loop, on_hci_done);
	defer_init(&a->bringup.kick, a->loop, on_kick);
	timer_init(&a->bringup.pause, a->loop, on_pause);
	timer_init(&a->bringup.retry, a->loop, on_retry);
}

void bringup_cancel(struct adapter *a)
{
	bringup_halt(a);
}

bool bringup_busy(const struct adapter *a)
{
	return a->bringup.step;
}

static void bringup_begin(struct adapter *a, const struct bringup_step *steps)
{
	a->bringup.tries = 0;
	a->bringup.off = steps == bringup_off_steps;
	a->bringup.step = steps;
	defer_post(&a->bringup.kick);
}

void bringup_start(struct adapter *a, bool adopt)
{
	/* a poll of a blocked adapter is no news: it stays blocked until the radio turns on */
	bool quiet = a->state == ADAPTER_BLOCKED;

	bringup_halt(a);
	adapter_close_hci(a);
	if (!quiet)
		adapter_enter_state(a, ADAPTER_STARTING, 0, "being brought up");
	a->bringup.adopt = adopt;
	bringup_begin(a, bringup_up_steps);
}

void bringup_power_off(struct adapter *a)
{
	bringup_halt(a);
	bringup_begin(a, bringup_off_steps);
}

void bringup_retry_later(struct adapter *a)
{
	if (a->state == ADAPTER_BLOCKED) {
		timer_start_ms(&a->bringup.retry, ADAPTER_BLOCKED_POLL_MS);
		return;
	}
	if (a->ready_us && loop_now_us(a->loop) - a->ready_us >= ADAPTER_HEALTHY_MS * 1000ull)
		a->bringup.backoff_ms = 0;
	a->ready_us = 0;
	a->bringup.backoff_ms = MAX(a->bringup.backoff_ms, ADAPTER_RETRY_MIN_MS);
	timer_start_ms(&a->bringup.retry, a->bringup.backoff_ms);
	a->bringup.backoff_ms = MIN(a->bringup.backoff_ms * 2, ADAPTER_RETRY_MAX_MS);
}
