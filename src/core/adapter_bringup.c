/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bringing a controller up LE-only: a list of steps, each of which says what to send and judges the answer by the settings
 * the kernel returns. Everything but the end is done with the radio off, because several settings can only be changed so
 * and because it clears what a predecessor may have left behind (scans, links, advertising).
 *
 * The order matters: LE goes on before BR/EDR goes off (the kernel refuses to lose both). Simple pairing is not touched: it
 * belongs to BR/EDR. Key lists are not loaded: there is no key store yet, and an empty list would wipe what the kernel has.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "adapter_priv.h"
#include "aiobled/conn.h"
#include "aiobled/result.h"

#define STEP_TRIES_MAX      20
#define STEP_PAUSE_MS       100   /* 20 x 100 ms: links that are going down take no longer */
#define POWER_ON_TIMEOUT_MS 10000 /* the driver may load firmware */
#define IO_CAP              MGMT_IO_NONE

struct bringup_step {
	const char *name;
	/* send the command: 0, 1 when there is nothing to do, or -errno */
	int (*run)(struct adapter *a);
	/* judge the answer: 0; -EAGAIN: once more, after a pause; else a result that ends the bring-up */
	int (*judge)(struct adapter *a, int res, const uint8_t *data, size_t len);
	/* steps that set one thing */
	uint16_t opcode;
	uint8_t value;
	uint32_t bit;   /* what the settings must show then */
	uint32_t needs; /* bits of the supported settings, without which the step is left out */
	bool optional;  /* a refusal is tolerated */
};

static void bringup_next(struct adapter *a);

/* --- sending --- */

static int send_mgmt(struct adapter *a, const struct wr *w, uint32_t timeout_ms)
{
	return mgmt_send_msg(a->mgmt, &a->bringup.mgmt, w, timeout_ms);
}

static int send_mode(struct adapter *a, uint16_t opcode, uint8_t value, uint32_t timeout_ms)
{
	uint8_t buf[MGMT_HDR_LEN + 1];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_mode(&w, opcode, a->index, value);
	return send_mgmt(a, &w, timeout_ms);
}

static int send_read_info(struct adapter *a)
{
	return mgmt_send(a->mgmt, &a->bringup.mgmt, MGMT_READ_INFO, a->index, NULL, 0,
	                 MGMT_TIMEOUT_MS);
}

static int send_hci(struct adapter *a, void (*put)(struct wr *w))
{
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	put(&w);
	return hci_chan_send_pkt(a->hci, &a->bringup.hci, &w, HCI_CMD_TIMEOUT_MS);
}

/* --- steps: who it is --- */

/* A static address of our own for a controller without one, the same after every boot (Core 5.4, Vol 6, Part B, 1.3.2.1). */
static struct addr own_static_addr(uint16_t index)
{
	static const sd_id128_t app =
		SD_ID128_MAKE(5c, 1f, 0e, 61, a4, 0b, 4b, 7e, 9d, 33, 27, 58, c6, 90, ee, 12);
	struct addr addr = {.type = ADDR_RANDOM};
	sd_id128_t id = app;

	(void)sd_id128_get_machine_app_specific(
		app, &id); /* a machine without an id shares one address with its like */
	memcpy(addr.b, id.bytes, ADDR_LEN);
	addr.b[0] ^= (uint8_t)index;
	addr.b[5] |= 0xc0;
	return addr;
}

static void take_identity(struct adapter *a, const struct mgmt_info *info)
{
	struct addr addr = addr_from_bytes(info->addr, ADDR_PUBLIC);

	a->addr = addr_is_any(&addr) ? own_static_addr(a->index) : addr;
	a->hci_version = info->hci_version;
	a->manufacturer = info->manufacturer;
	a->supported = info->supported;
	if (!a->found)
		a->found_powered = info->current & MGMT_SETTING_POWERED;
	a->found = true;
	adapter_update_settings(a, info->current);
}

static int judge_info(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	struct mgmt_info info;

	if (res)
		return res;
	if (mgmt_parse_info(data, len, &info) < 0)
		return -EBADMSG;
	take_identity(a, &info);
	if (!a->known && !manager_adapter_known(a->manager, a))
		return -ECANCELED;
	if (!(a->supported & MGMT_SETTING_LE))
		return -EOPNOTSUPP;
	return 0;
}

/* --- steps: power --- */

static bool settings_are_ours(const struct adapter *a)
{
	uint32_t on = MGMT_SETTING_POWERED | MGMT_SETTING_LE;
	uint32_t off = MGMT_SETTING_BREDR | MGMT_SETTING_CONNECTABLE | MGMT_SETTING_PRIVACY |
	               MGMT_SETTING_ADVERTISING;

	if (a->addr.type == ADDR_RANDOM)
		on |= MGMT_SETTING_STATIC_ADDRESS;
	else
		off |= MGMT_SETTING_STATIC_ADDRESS;
	return (a->settings & on) == on && !(a->settings & off);
}

/*
 * Turning off may be answered "not connected" or "busy" while a link is just going down, with the radio still on: what
 * counts is what the settings say, so the tries alternate between the command and a look.
 */
static int run_power_off(struct adapter *a)
{
	if (!(a->settings & MGMT_SETTING_POWERED))
		return 1;
	if (a->bringup.tries % 2)
		return send_read_info(a);
	return send_mode(a, MGMT_SET_POWERED, 0, MGMT_TIMEOUT_MS);
}

static int judge_power_off(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	struct mgmt_info info;
	uint32_t settings;

	if (res < 0 || res == RES_MGMT(MGMT_STATUS_PERMISSION_DENIED) ||
	    res == RES_MGMT(MGMT_STATUS_INVALID_INDEX))
		return res;
	if (res > 0)
		return -EAGAIN;
	if (a->bringup.tries % 2) {
		if (mgmt_parse_info(data, len, &info) < 0)
			return -EBADMSG;
		settings = info.current;
	} else if (mgmt_parse_settings(data, len, &settings) < 0) {
		return -EBADMSG;
	}
	adapter_update_settings(a, settings);
	return settings & MGMT_SETTING_POWERED ? -EAGAIN : 0;
}

static int run_power_on(struct adapter *a)
{
	return send_mode(a, MGMT_SET_POWERED, 1, POWER_ON_TIMEOUT_MS);
}

/* --- steps: settings of one bit --- */

static int run_mode(struct adapter *a)
{
	const struct bringup_step *s = a->bringup.step;

	if ((a->supported & s->needs) != s->needs)
		return 1;
	return send_mode(a, s->opcode, s->value, MGMT_TIMEOUT_MS);
}

/* Only what somebody left switched on is switched off. */
static int run_clear(struct adapter *a)
{
	return a->settings & a->bringup.step->bit ? run_mode(a) : 1;
}

static int judge_settings(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	const struct bringup_step *s = a->bringup.step;
	uint32_t settings;

	if (res == RES_MGMT(MGMT_STATUS_BUSY))
		return -EAGAIN;
	if (res)
		return res;
	if (mgmt_parse_settings(data, len, &settings) < 0)
		return -EBADMSG;
	adapter_update_settings(a, settings);
	return !!(settings & s->bit) == !!s->value ? 0 : -EPROTO;
}

static int judge_status(_unused_ struct adapter *a, int res, _unused_ const uint8_t *data,
                        _unused_ size_t len)
{
	return res == RES_MGMT(MGMT_STATUS_BUSY) ? -EAGAIN : res;
}

/* --- steps: the rest of the settings --- */

static int run_static_address(struct adapter *a)
{
	uint8_t buf[MGMT_HDR_LEN + ADDR_LEN];
	struct wr w = wr_init(buf, sizeof(buf));
	bool want = a->addr.type == ADDR_RANDOM;

	if (!want && !(a->settings & MGMT_SETTING_STATIC_ADDRESS))
		return 1;
	mgmt_put_static_address(&w, a->index, want ? &a->addr : NULL);
	return send_mgmt(a, &w, MGMT_TIMEOUT_MS);
}

static int judge_static_address(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	uint32_t settings;
	bool want = a->addr.type == ADDR_RANDOM;

	if (res)
		return judge_status(a, res, data, len);
	if (mgmt_parse_settings(data, len, &settings) < 0)
		return -EBADMSG;
	adapter_update_settings(a, settings);
	return !!(settings & MGMT_SETTING_STATIC_ADDRESS) == want ? 0 : -EPROTO;
}

static int run_privacy_off(struct adapter *a)
{
	static const uint8_t no_irk[MGMT_KEY_LEN];
	uint8_t buf[MGMT_HDR_LEN + 1 + MGMT_KEY_LEN];
	struct wr w = wr_init(buf, sizeof(buf));

	if (!(a->settings & MGMT_SETTING_PRIVACY))
		return 1;
	mgmt_put_privacy(&w, a->index, 0, no_irk);
	return send_mgmt(a, &w, MGMT_TIMEOUT_MS);
}

/* For links without parameters of their own: whoever connects loads an entry for the peer, which beats these. */
static int run_defaults(struct adapter *a)
{
	struct connect_params p = CONNECT_PARAMS_DEFAULT;
	const struct mgmt_config16 conf[] = {
		{MGMT_CONFIG_MIN_CONN_INTERVAL, p.interval_min},
		{MGMT_CONFIG_MAX_CONN_INTERVAL, p.interval_max},
		{MGMT_CONFIG_CONN_LATENCY, p.latency},
		{MGMT_CONFIG_CONN_TIMEOUT, p.supervision_timeout},
	};
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_default_config(&w, a->index, conf, ARRAY_SIZE(conf));
	return send_mgmt(a, &w, MGMT_TIMEOUT_MS);
}

/* --- steps: the raw channel --- */

static int run_open_hci(struct adapter *a)
{
	int r = adapter_open_hci(a);

	return r < 0 ? r : 1;
}

static int run_local_version(struct adapter *a)
{
	return send_hci(a, hcip_put_read_local_version);
}

static int judge_local_version(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	struct hcip_local_version v;

	if (res)
		return res;
	if (hcip_parse_local_version(data, len, &v) < 0)
		return -EBADMSG;
	a->hci_version = v.hci_version;
	a->manufacturer = v.manufacturer;
	return 0;
}

static int run_local_commands(struct adapter *a)
{
	return send_hci(a, hcip_put_read_local_commands);
}

/* The kernel chooses between legacy and extended scanning by these bits; both on one controller would not mix. */
static int judge_local_commands(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	uint8_t commands[HCIP_COMMANDS_LEN];

	if (res)
		return res;
	if (hcip_parse_local_commands(data, len, commands) < 0)
		return -EBADMSG;
	a->extended = hcip_has_ext_scan(commands);
	return 0;
}

static int run_le_features(struct adapter *a)
{
	return send_hci(a, hcip_put_le_read_local_features);
}

static int judge_le_features(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	uint64_t features;

	if (res)
		return res;
	if (hcip_parse_le_features(data, len, &features) < 0)
		return -EBADMSG;
	a->le_features = features;
	return 0;
}

static int run_le_states(struct adapter *a)
{
	return send_hci(a, hcip_put_le_read_states);
}

static int judge_le_states(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	uint64_t states;

	if (res)
		return res;
	if (hcip_parse_le_states(data, len, &states) < 0)
		return -EBADMSG;
	a->le_states = states;
	return 0;
}

/* --- the sequences --- */

#define SET(label, op, val, setting, ...)                                                          \
	{                                                                                          \
		.name = label, .run = run_mode, .judge = judge_settings, .opcode = op,             \
		.value = val, .bit = setting, __VA_ARGS__                                          \
	}

static const struct bringup_step up_steps[] = {
	{.name = "Read Controller Information", .run = send_read_info, .judge = judge_info},
	{.name = "Set Powered off", .run = run_power_off, .judge = judge_power_off},
	SET("Set Low Energy on", MGMT_SET_LE, 1, MGMT_SETTING_LE),
	SET("Set BR/EDR off", MGMT_SET_BREDR, 0, MGMT_SETTING_BREDR, .needs = MGMT_SETTING_BREDR),
	SET("Set Secure Connections on", MGMT_SET_SC, 1, MGMT_SETTING_SC, .needs = MGMT_SETTING_SC,
            .optional = true),
	SET("Set Bondable on", MGMT_SET_BONDABLE, 1, MGMT_SETTING_BONDABLE),
	SET("Set Connectable off", MGMT_SET_CONNECTABLE, 0, MGMT_SETTING_CONNECTABLE),
	{.name = "Set Advertising off",
         .run = run_clear,
         .judge = judge_settings,
         .opcode = MGMT_SET_ADVERTISING,
         .bit = MGMT_SETTING_ADVERTISING},
	{.name = "Set Static Address", .run = run_static_address, .judge = judge_static_address},
	{.name = "Set Privacy off",
         .run = run_privacy_off,
         .judge = judge_settings,
         .bit = MGMT_SETTING_PRIVACY},
	{.name = "Set IO Capability",
         .run = run_mode,
         .judge = judge_status,
         .opcode = MGMT_SET_IO_CAP,
         .value = IO_CAP},
	{.name = "Set Default System Configuration",
         .run = run_defaults,
         .judge = judge_status,
         .optional = true},
	{.name = "Set Powered on",
         .run = run_power_on,
         .judge = judge_settings,
         .value = 1,
         .bit = MGMT_SETTING_POWERED},
#define STEP_RAW 13 /* where an adapter that is on already with our settings joins in */
	{.name = "open the raw HCI channel", .run = run_open_hci},
	{.name = "HCI Read Local Version", .run = run_local_version, .judge = judge_local_version},
	{.name = "HCI Read Local Supported Commands",
         .run = run_local_commands,
         .judge = judge_local_commands},
	{.name = "HCI LE Read Local Features", .run = run_le_features, .judge = judge_le_features},
	{.name = "HCI LE Read Supported States",
         .run = run_le_states,
         .judge = judge_le_states,
         .optional = true},
	{0},
};

static const struct bringup_step off_steps[] = {
	{.name = "Set Powered off", .run = run_power_off, .judge = judge_power_off},
	{0},
};

/* --- running them --- */

static bool is_off_sequence(const struct adapter *a)
{
	return a->bringup.step >= off_steps && a->bringup.step < off_steps + ARRAY_SIZE(off_steps);
}

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
	bool off = is_off_sequence(a);

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

static void bringup_failed(struct adapter *a, int res)
{
	const char *name = a->bringup.step->name ? a->bringup.step->name : "bring-up";
	bool off = is_off_sequence(a);

	bringup_halt(a);
	if (a->discard) /* the manager frees it */
		return;
	a->stats.command_timeouts +=
		res == -ETIMEDOUT && !a->hci; /* those of the raw channel are counted there */
	enter_failed(a, name, res);
	if (off)
		op_fail_all(&a->off_ops, res);
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
	if (s == up_steps && a->bringup.adopt && settings_are_ours(a))
		a->bringup.step = &up_steps[STEP_RAW];
	else
		a->bringup.step++;
	a->bringup.tries = 0;
	bringup_next(a);
}

static void bringup_run(struct adapter *a)
{
	int r = a->bringup.step->run(a);

	if (r < 0)
		bringup_failed(a, r);
	if (r <= 0)
		return;
	a->bringup.step++;
	a->bringup.tries = 0;
	bringup_next(a);
}

static void bringup_next(struct adapter *a)
{
	if (a->bringup.step->name)
		bringup_run(a);
	else if (!is_off_sequence(a) && !(a->settings & MGMT_SETTING_POWERED))
		bringup_failed(a, -ENETDOWN); /* somebody was faster */
	else
		bringup_ended(a);
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
	bringup_begin(a, up_steps);
}

void bringup_power_off(struct adapter *a)
{
	bringup_halt(a);
	bringup_begin(a, off_steps);
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
