/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps that bring a controller up LE-only. Each setting is judged by what the kernel returns. Everything but the end is
 * done with the radio off, because several settings can only be changed so and because it clears what a predecessor may have
 * left behind (scans, links, advertising).
 *
 * The order matters: LE goes on before BR/EDR goes off (the kernel refuses to lose both). Simple pairing is not touched: it
 * belongs to BR/EDR. Key lists are not loaded: there is no key store yet, and an empty list would wipe what the kernel has.
 */
#include "adapter_steps.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "aiobled/conn.h"
#include "aiobled/result.h"

#define POWER_ON_TIMEOUT_MS 10000 /* the driver may load firmware */
#define IO_CAP              MGMT_IO_NONE

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

/* The answer is manager_begin(). */
static int run_hold(struct adapter *a)
{
	return manager_is_held(a->manager) ? 0 : 1;
}

bool bringup_is_held(const struct adapter *a)
{
	return bringup_busy(a) && a->bringup.step->run == run_hold;
}

/* --- steps: power --- */

bool bringup_settings_suit(const struct adapter *a)
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

/* --- steps: advertising --- */

static int run_adv_features(struct adapter *a)
{
	return mgmt_send(a->mgmt, &a->bringup.mgmt, MGMT_READ_ADV_FEATURES, a->index, NULL, 0,
	                 MGMT_TIMEOUT_MS);
}

static int judge_adv_features(struct adapter *a, int res, const uint8_t *data, size_t len)
{
	struct mgmt_adv_features f;

	if (res)
		return judge_status(a, res, data, len);
	if (mgmt_parse_adv_features(data, len, &f) < 0)
		return -EBADMSG;
	a->adv_flags = f.flags;
	a->adv_max = f.max_instances;
	a->adv_found = f.instances;
	return 0;
}

/* --- the sequences --- */

#define SET(label, op, val, setting, ...)                                                          \
	{                                                                                          \
		.name = label, .run = run_mode, .judge = judge_settings, .opcode = op,             \
		.value = val, .bit = setting, __VA_ARGS__                                          \
	}

const struct bringup_step bringup_up_steps[] = {
	{.name = "Read Controller Information", .run = send_read_info, .judge = judge_info},
	{.name = "hold", .run = run_hold}, /* nothing is changed before it */
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
	{.name = "open the raw HCI channel", .run = run_open_hci, .raw = true},
	{.name = "HCI Read Local Version", .run = run_local_version, .judge = judge_local_version},
	{.name = "HCI Read Local Supported Commands",
         .run = run_local_commands,
         .judge = judge_local_commands},
	{.name = "HCI LE Read Local Features", .run = run_le_features, .judge = judge_le_features},
	{.name = "HCI LE Read Supported States",
         .run = run_le_states,
         .judge = judge_le_states,
         .optional = true},
	{.name = "Read Advertising Features",
         .run = run_adv_features,
         .judge = judge_adv_features,
         .optional = true},
	{0},
};

const struct bringup_step bringup_off_steps[] = {
	{.name = "Set Powered off", .run = run_power_off, .judge = judge_power_off},
	{0},
};
