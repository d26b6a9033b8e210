/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table, the mgmt side, and the rules by which it misbehaves. */
#include "fake_kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "aiobled/mgmt_pdu.h"
#include "fake_priv.h"

#define DUAL_MODE                                                                                        \
	(MGMT_SETTING_POWERED | MGMT_SETTING_CONNECTABLE | MGMT_SETTING_DISCOVERABLE | MGMT_SETTING_BONDABLE | \
	 MGMT_SETTING_SSP | MGMT_SETTING_BREDR | MGMT_SETTING_LE | MGMT_SETTING_ADVERTISING | MGMT_SETTING_SC | \
	 MGMT_SETTING_PRIVACY | MGMT_SETTING_STATIC_ADDRESS)

struct fake_adapter *fake_find(const struct fake_kernel *fk, uint16_t index)
{
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++) {
		const struct fake_adapter *a = &fk->adapters[i];

		if (a->present && a->index == index)
			return (struct fake_adapter *)a;
	}
	return NULL;
}

/* --- rules and log --- */

void fake_note(struct fake_kernel *fk, uint16_t opcode, int index)
{
	if (fk->n_log == FAKE_LOG_MAX) /* nobody looks that far */
		return;
	fk->log[fk->n_log] = opcode;
	fk->log_index[fk->n_log++] = index;
}

unsigned int fake_count(const struct fake_kernel *fk, uint16_t opcode, int index)
{
	unsigned int n = 0;

	for (size_t i = 0; i < fk->n_log; i++)
		n += fk->log[i] == opcode && (index == FAKE_ANY || fk->log_index[i] == index);
	return n;
}

size_t fake_log(const struct fake_kernel *fk, const uint16_t **ret_opcodes)
{
	*ret_opcodes = fk->log;
	return fk->n_log;
}

void fake_log_clear(struct fake_kernel *fk)
{
	fk->n_log = 0;
}

void fake_rule(struct fake_kernel *fk, const struct fake_rule *rule)
{
	CHECK(fk->n_rules < FAKE_RULES_MAX);
	fk->rules[fk->n_rules++] = *rule;
}

void fake_rules_clear(struct fake_kernel *fk)
{
	fk->n_rules = 0;
}

const struct fake_rule *fake_take_rule(struct fake_kernel *fk, uint16_t opcode, int index)
{
	for (size_t i = 0; i < fk->n_rules; i++) {
		struct fake_rule *r = &fk->rules[i];

		if (r->opcode != opcode || (r->index != FAKE_ANY && r->index != index))
			continue;
		if (r->times && --r->times == 0)
			r->opcode = 0xffff; /* used up; still valid for this once */
		return r;
	}
	return NULL;
}

/* --- messages --- */

void fake_mgmt_raw(struct fake_kernel *fk, const void *msg, size_t len)
{
	if (fk->mgmt >= 0)
		CHECK(send(fk->mgmt, msg, len, MSG_NOSIGNAL) == (ssize_t)len || errno == EPIPE);
}

void fake_mgmt_event(struct fake_kernel *fk, uint16_t code, uint16_t index, const void *data, size_t len)
{
	uint8_t buf[1024];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, code);
	wr_le16(&w, index);
	wr_le16(&w, (uint16_t)len);
	wr_bytes(&w, data, len);
	CHECK(wr_ok(&w));
	fake_mgmt_raw(fk, buf, wr_len(&w));
}

static void on_late(struct timer *t)
{
	struct fake_late *l = container_of(t, struct fake_late, timer);

	if (l->hci)
		fake_hci_raw(l->fk, l->index, l->msg, l->len);
	else
		fake_mgmt_raw(l->fk, l->msg, l->len);
	l->len = 0;
}

void fake_send_late(struct fake_kernel *fk, bool hci, uint16_t index, const void *msg, size_t len, uint32_t delay_ms)
{
	for (size_t i = 0; i < ARRAY_SIZE(fk->late); i++) {
		struct fake_late *l = &fk->late[i];

		if (l->len)
			continue;
		CHECK(len <= sizeof(l->msg));
		l->hci = hci;
		l->index = index;
		l->len = len;
		memcpy(l->msg, msg, len);
		timer_start_ms(&l->timer, delay_ms);
		return;
	}
	CHECK(!"room for another late answer");
}

static void reply(struct fake_kernel *fk, const struct fake_rule *rule, uint16_t opcode, uint16_t index, uint8_t status,
		  const void *data, size_t len)
{
	uint8_t buf[512];
	struct wr w = wr_init(buf, sizeof(buf));

	if (rule && rule->action == FAKE_LOST)
		return;
	wr_le16(&w, status ? MGMT_EV_CMD_STATUS : MGMT_EV_CMD_COMPLETE);
	wr_le16(&w, index);
	if (rule && rule->action == FAKE_SHORT)
		len = MIN(len, (size_t)rule->status);
	if (status)
		len = 0;
	wr_le16(&w, (uint16_t)(3 + len));
	wr_le16(&w, opcode);
	wr_u8(&w, status);
	wr_bytes(&w, data, len);
	CHECK(wr_ok(&w));
	if (rule && rule->action == FAKE_DELAY)
		fake_send_late(fk, false, index, buf, wr_len(&w), rule->delay_ms);
	else
		fake_mgmt_raw(fk, buf, wr_len(&w));
}

static void new_settings(struct fake_adapter *a)
{
	uint8_t buf[4];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le32(&w, a->settings);
	fake_mgmt_event(a->fk, MGMT_EV_NEW_SETTINGS, a->index, buf, sizeof(buf));
}

/* --- commands --- */

static size_t put_info(const struct fake_adapter *a, uint8_t *buf, size_t size)
{
	struct wr w = wr_init(buf, size);

	wr_bytes(&w, a->addr, 6);
	wr_u8(&w, 0x09);
	wr_le16(&w, 0x05f1);
	wr_le32(&w, a->supported);
	wr_le32(&w, a->settings);
	memset(wr_space(&w, 3 + 249 + 11), 0, 3 + 249 + 11);
	CHECK(wr_ok(&w));
	return wr_len(&w);
}

static void set_bit(struct fake_adapter *a, uint32_t bit, bool on)
{
	a->settings = on ? a->settings | bit : a->settings & ~bit;
}

/* What the kernel refuses is what the program must have got right. */
static uint8_t do_mode(struct fake_adapter *a, uint16_t opcode, uint8_t value)
{
	switch (opcode) {
	case MGMT_SET_POWERED:
		if (value && a->blocked)
			return MGMT_STATUS_RFKILLED;
		if (!value)
			a->scanning = false;
		set_bit(a, MGMT_SETTING_POWERED, value);
		return 0;
	case MGMT_SET_LE:
		if (!value && !(a->settings & MGMT_SETTING_BREDR))
			return MGMT_STATUS_REJECTED;
		set_bit(a, MGMT_SETTING_LE, value);
		return 0;
	case MGMT_SET_BREDR:
		if (!(a->supported & MGMT_SETTING_BREDR))
			return MGMT_STATUS_NOT_SUPPORTED;
		if (!(a->settings & MGMT_SETTING_LE) || (value && a->settings & MGMT_SETTING_POWERED))
			return MGMT_STATUS_REJECTED;
		set_bit(a, MGMT_SETTING_BREDR, value);
		return 0;
	case MGMT_SET_SC:
		if (!(a->supported & MGMT_SETTING_SC))
			return MGMT_STATUS_NOT_SUPPORTED;
		set_bit(a, MGMT_SETTING_SC, value);
		return 0;
	case MGMT_SET_BONDABLE:
		set_bit(a, MGMT_SETTING_BONDABLE, value);
		return 0;
	case MGMT_SET_CONNECTABLE:
		set_bit(a, MGMT_SETTING_CONNECTABLE, value);
		return 0;
	case MGMT_SET_ADVERTISING:
		set_bit(a, MGMT_SETTING_ADVERTISING, value);
		return 0;
	default:
		return MGMT_STATUS_UNKNOWN_COMMAND;
	}
}

static uint8_t do_setting(struct fake_adapter *a, uint16_t opcode, const uint8_t *p, size_t len)
{
	static const uint8_t none[6];

	if (opcode == MGMT_SET_STATIC_ADDRESS || opcode == MGMT_SET_PRIVACY) {
		if (a->settings & MGMT_SETTING_POWERED)
			return MGMT_STATUS_REJECTED;
		if (opcode == MGMT_SET_PRIVACY && len == 17)
			set_bit(a, MGMT_SETTING_PRIVACY, p[0]);
		else if (opcode == MGMT_SET_STATIC_ADDRESS && len == 6)
			set_bit(a, MGMT_SETTING_STATIC_ADDRESS, memcmp(p, none, 6) != 0);
		else
			return MGMT_STATUS_INVALID_PARAMS;
		return 0;
	}
	return len == 1 ? do_mode(a, opcode, p[0]) : MGMT_STATUS_INVALID_PARAMS;
}

static uint8_t do_disconnect(struct fake_adapter *a, const uint8_t *p, size_t len)
{
	struct addr peer;
	struct fake_link *link;

	if (len != 7)
		return MGMT_STATUS_INVALID_PARAMS;
	peer = addr_from_bytes(p, (uint8_t)(p[6] - 1));
	link = fake_link_by_peer(a->fk, a->index, &peer);
	if (!link)
		return MGMT_STATUS_NOT_CONNECTED;
	fake_link_drop(link, 0x16);
	return 0;
}

static bool has_link(struct fake_adapter *a, const uint8_t *p, size_t len)
{
	struct addr peer;

	if (len != 7)
		return false;
	peer = addr_from_bytes(p, (uint8_t)(p[6] - 1));
	return fake_link_by_peer(a->fk, a->index, &peer);
}

/* Return: status; the return parameters in @out */
static uint8_t do_command(struct fake_adapter *a, uint16_t opcode, const uint8_t *p, size_t len, uint8_t *out, size_t *ret_len)
{
	uint8_t status;
	struct wr w;

	*ret_len = 0;
	if (fake_adv_is_command(opcode))
		return fake_adv_command(a, opcode, p, len, out, ret_len);
	switch (opcode) {
	case MGMT_READ_INFO:
		*ret_len = put_info(a, out, 300);
		return 0;
	case MGMT_SET_IO_CAP:
	case MGMT_SET_DEF_SYSTEM_CONFIG:
	case MGMT_LOAD_CONN_PARAMS:
		return 0;
	case MGMT_CONFIRM_REPLY:
	case MGMT_CONFIRM_NEG_REPLY:
	case MGMT_PASSKEY_NEG_REPLY:
		status = has_link(a, p, len) ? 0 : MGMT_STATUS_NOT_CONNECTED;
		memcpy(out, p, MIN(len, 7u));
		*ret_len = 7;
		return status;
	case MGMT_DISCONNECT:
		status = do_disconnect(a, p, len);
		memcpy(out, p, MIN(len, 7u));
		*ret_len = 7;
		return status;
	default:
		status = do_setting(a, opcode, p, len);
		w = wr_init(out, 4);
		wr_le32(&w, a->settings);
		*ret_len = 4;
		return status;
	}
}

static void do_global(struct fake_kernel *fk, const struct fake_rule *rule, uint16_t opcode)
{
	uint8_t out[64];
	struct wr w = wr_init(out, sizeof(out));
	uint16_t n = 0;

	if (opcode == MGMT_READ_VERSION) {
		wr_u8(&w, 1);
		wr_le16(&w, fk->revision);
	} else if (opcode == MGMT_READ_INDEX_LIST) {
		for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++)
			n += fk->adapters[i].present;
		wr_le16(&w, n);
		for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++)
			if (fk->adapters[i].present)
				wr_le16(&w, fk->adapters[i].index);
	} else {
		reply(fk, rule, opcode, MGMT_INDEX_NONE, MGMT_STATUS_UNKNOWN_COMMAND, NULL, 0);
		return;
	}
	reply(fk, rule, opcode, MGMT_INDEX_NONE, 0, out, wr_len(&w));
}

static void on_command(struct fake_kernel *fk, uint16_t opcode, uint16_t index, const uint8_t *p, size_t len)
{
	const struct fake_rule *rule = fake_take_rule(fk, opcode, index);
	struct fake_adapter *a = fake_find(fk, index);
	uint8_t out[300], status;
	uint32_t before;
	size_t out_len;

	fake_note(fk, opcode, index);
	if (rule && rule->action == FAKE_SILENT)
		return;
	if (rule && rule->action == FAKE_STATUS) {
		reply(fk, rule, opcode, index, rule->status, NULL, 0);
		return;
	}
	if (index == MGMT_INDEX_NONE) {
		do_global(fk, rule, opcode);
		return;
	}
	if (!a) {
		reply(fk, rule, opcode, index, MGMT_STATUS_INVALID_INDEX, NULL, 0);
		return;
	}
	before = a->settings;
	status = do_command(a, opcode, p, len, out, &out_len);
	if (rule && rule->action == FAKE_IGNORE) {
		a->settings = before;
		if (out_len == 4) {
			struct wr w = wr_init(out, 4);

			wr_le32(&w, before);
		}
	}
	if (before & ~a->settings & MGMT_SETTING_POWERED) {
		fake_links_end(fk, index);
		fake_adv_power_off(a);
	}
	reply(fk, rule, opcode, index, status, out, out_len);
}

static void on_mgmt(struct loop_io *io, int ready)
{
	struct fake_kernel *fk = container_of(io, struct fake_kernel, mgmt_io);
	uint8_t buf[8192];
	ssize_t n = -1;

	while (fk->mgmt >= 0 && (n = recv(fk->mgmt, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		struct rd r = rd_init(buf, (size_t)n);
		uint16_t opcode = rd_le16(&r), index = rd_le16(&r), len = rd_le16(&r);

		CHECK(rd_ok(&r) && len == r.left); /* the program never sends anything else */
		on_command(fk, opcode, index, r.p, len);
	}
	if (fk->mgmt >= 0 && n == 0)
		fake_mgmt_break(fk);
}

void fake_mgmt_break(struct fake_kernel *fk)
{
	loop_io_deinit(&fk->mgmt_io);
	closep(&fk->mgmt);
	fk->mgmt = -1;
}

/* --- the table --- */

static int open_mgmt(const struct kernel *k)
{
	struct fake_kernel *fk = fake_of(k);
	int sv[2];

	if (fk->mgmt_error)
		return fk->mgmt_error;
	if (fk->mgmt >= 0)
		fake_mgmt_break(fk);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
	fk->mgmt = sv[0];
	CHECK(loop_io_init(&fk->mgmt_io, fk->loop, sv[0], on_mgmt) == 0);
	CHECK(loop_io_set(&fk->mgmt_io, LOOP_READ) == 0);
	return sv[1];
}

static int is_blocked(const struct kernel *k, uint16_t index)
{
	const struct fake_adapter *a = fake_find(fake_of(k), index);

	return a ? a->blocked : -ENODEV;
}

struct fake_kernel *fake_kernel_new(struct loop *loop)
{
	struct fake_kernel *fk = calloc(1, sizeof(*fk));

	CHECK(fk);
	fk->loop = loop;
	fk->mgmt = -1;
	fk->revision = 22;
	fk->table = (struct kernel){
		.mgmt = open_mgmt,
		.hci = fake_hci_open,
		.blocked = is_blocked,
		.att_connect = fake_att_connect,
		.att_listen = fake_att_listen,
		.att_accept = fake_att_accept,
		.att_connect_result = fake_att_connect_result,
		.att_handle = fake_att_handle,
		.att_security = fake_att_security,
	};
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++)
		fk->adapters[i] = (struct fake_adapter){ .fk = fk, .hci = -1 };
	for (size_t i = 0; i < ARRAY_SIZE(fk->late); i++) {
		fk->late[i].fk = fk;
		timer_init(&fk->late[i].timer, loop, on_late);
	}
	return fk;
}

void fake_kernel_free(struct fake_kernel *fk)
{
	if (!fk)
		return;
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++)
		fake_hci_close(&fk->adapters[i]);
	for (size_t i = 0; i < fk->n_links; i++)
		closep(&fk->links[i].far);
	for (size_t i = 0; i < ARRAY_SIZE(fk->late); i++)
		timer_stop(&fk->late[i].timer);
	fake_mgmt_break(fk);
	free(fk);
}

const struct kernel *fake_kernel_table(struct fake_kernel *fk)
{
	return &fk->table;
}

void fake_kernel_set_mgmt_error(struct fake_kernel *fk, int err)
{
	fk->mgmt_error = err;
}

void fake_kernel_set_hci_error(struct fake_kernel *fk, int err)
{
	fk->hci_error = err;
}

void fake_kernel_set_revision(struct fake_kernel *fk, uint16_t revision)
{
	fk->revision = revision;
}

/* --- controllers --- */

void fake_adapter_plug(struct fake_kernel *fk, uint16_t index, const struct fake_controller *c)
{
	struct addr addr = { 0 };

	CHECK(!fake_find(fk, index));
	CHECK(!c->addr || addr_parse(c->addr, ADDR_PUBLIC, &addr) == 0);
	for (size_t i = 0; i < FAKE_ADAPTERS_MAX; i++) {
		struct fake_adapter *a = &fk->adapters[i];

		if (a->present)
			continue;
		*a = (struct fake_adapter){ .fk = fk, .present = true, .index = index, .hci = -1, .extended = c->extended,
					    .adv_sets = c->adv_sets ? c->adv_sets : 3 };
		memcpy(a->addr, addr.b, 6);
		a->supported = c->supported ? c->supported : DUAL_MODE;
		a->settings = c->settings;
		fake_mgmt_event(fk, MGMT_EV_INDEX_ADDED, index, NULL, 0);
		return;
	}
	CHECK(!"room for another adapter");
}

void fake_adapter_unplug(struct fake_kernel *fk, uint16_t index)
{
	struct fake_adapter *a = fake_find(fk, index);

	fake_adapter_power(fk, index, false);
	fake_mgmt_event(fk, MGMT_EV_INDEX_REMOVED, index, NULL, 0);
	fake_hci_close(a);
	a->present = false;
}

void fake_adapter_set(struct fake_kernel *fk, uint16_t index, uint32_t settings)
{
	struct fake_adapter *a = fake_find(fk, index);
	uint32_t before = a->settings;

	a->settings = settings;
	if (before & ~settings & MGMT_SETTING_POWERED) {
		a->scanning = false;
		fake_links_end(fk, index);
		fake_adv_power_off(a);
	}
	if (before != settings)
		new_settings(a);
}

void fake_adapter_power(struct fake_kernel *fk, uint16_t index, bool on)
{
	uint32_t s = fake_adapter_settings(fk, index);

	fake_adapter_set(fk, index, on ? s | MGMT_SETTING_POWERED : s & ~(uint32_t)MGMT_SETTING_POWERED);
}

void fake_adapter_block(struct fake_kernel *fk, uint16_t index, bool blocked)
{
	fake_find(fk, index)->blocked = blocked;
	if (blocked)
		fake_adapter_power(fk, index, false);
}

bool fake_adapter_present(const struct fake_kernel *fk, uint16_t index)
{
	return fake_find(fk, index);
}

uint32_t fake_adapter_settings(const struct fake_kernel *fk, uint16_t index)
{
	return fake_find(fk, index)->settings;
}

bool fake_adapter_scanning(const struct fake_kernel *fk, uint16_t index)
{
	return fake_find(fk, index)->scanning;
}

bool fake_adapter_hci_open(const struct fake_kernel *fk, uint16_t index)
{
	return fake_find(fk, index)->hci >= 0;
}

const uint8_t *fake_adapter_scan_params(const struct fake_kernel *fk, uint16_t index, size_t *ret_len)
{
	const struct fake_adapter *a = fake_find(fk, index);

	*ret_len = a->scan_params_len;
	return a->scan_params;
}
