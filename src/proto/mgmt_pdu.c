/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel mgmt messages: layouts as the kernel's net/bluetooth/mgmt.h and its mgmt API description
 * have them. A command is written with its length left open and closed at the end, so that no size
 * is kept in two places.
 */
#include "aiobled/mgmt_pdu.h"

#include <errno.h>

#include "aiobled/cleanup.h"

#define ADDR_INFO_LEN      7 /* address, type */
#define EXT_INDEX_LEN      4
#define SHORT_NAME_LEN     11
#define CLASS_LEN          3
#define LTK_LEN            36
#define IRK_LEN            23
#define CONN_PARAM_LEN     15
#define CONFIG16_VALUE_LEN 2

int mgmt_parse_msg(const uint8_t *buf, size_t len, struct mgmt_msg *ret)
{
	struct rd r = rd_init(buf, len);
	struct mgmt_msg m = {.code = rd_le16(&r)};
	size_t said;

	m.index = rd_le16(&r);
	said = rd_le16(&r);
	m.data = rd_rest(&r, &m.len);
	if (!rd_ok(&r) || m.len != said)
		return -EBADMSG;
	*ret = m;
	return 0;
}

int mgmt_parse_reply(const struct mgmt_msg *msg, struct mgmt_reply *ret)
{
	struct rd r = rd_init(msg->data, msg->len);
	struct mgmt_reply reply = {.opcode = rd_le16(&r)};

	if (msg->code != MGMT_EV_CMD_COMPLETE && msg->code != MGMT_EV_CMD_STATUS)
		return -EBADMSG;
	reply.status = rd_u8(&r);
	reply.data = rd_rest(&r, &reply.len);
	if (!rd_ok(&r))
		return -EBADMSG;
	if (msg->code == MGMT_EV_CMD_STATUS)
		reply.len = 0;
	*ret = reply;
	return 0;
}

/* --- commands --- */

/* Writes the header; the returned cursor stands on its length field and goes to end_cmd(). */
static struct wr begin_cmd(struct wr *w, uint16_t opcode, uint16_t index)
{
	uint8_t *len_at;

	wr_le16(w, opcode);
	wr_le16(w, index);
	len_at = wr_space(w, 2);
	return wr_init(len_at, len_at ? 2 : 0);
}

static void end_cmd(struct wr *w, struct wr *len_at)
{
	size_t len;

	if (!wr_ok(w))
		return;
	len = (size_t)(w->p - len_at->start) - 2;
	if (len > UINT16_MAX)
		w->bad = true;
	else
		wr_le16(len_at, (uint16_t)len);
}

void mgmt_put_cmd(struct wr *w, uint16_t opcode, uint16_t index, const void *params, size_t len)
{
	struct wr len_at = begin_cmd(w, opcode, index);

	wr_bytes(w, params, len);
	end_cmd(w, &len_at);
}

void mgmt_put_mode(struct wr *w, uint16_t opcode, uint16_t index, uint8_t value)
{
	mgmt_put_cmd(w, opcode, index, &value, 1);
}

static void wr_addr(struct wr *w, const struct addr *a)
{
	wr_bytes(w, a->b, ADDR_LEN);
	wr_u8(w, addr_type_to_mgmt(a->type));
}

void mgmt_put_addr_cmd(struct wr *w, uint16_t opcode, uint16_t index, const struct addr *addr)
{
	struct wr len_at = begin_cmd(w, opcode, index);

	wr_addr(w, addr);
	end_cmd(w, &len_at);
}

/* Set Static Address: address 6, without a type */
void mgmt_put_static_address(struct wr *w, uint16_t index, const struct addr *addr)
{
	static const uint8_t none[ADDR_LEN];

	mgmt_put_cmd(w, MGMT_SET_STATIC_ADDRESS, index, addr ? addr->b : none, ADDR_LEN);
}

/* Set Privacy: mode 1, IRK 16 */
void mgmt_put_privacy(struct wr *w, uint16_t index, uint8_t mode, const uint8_t irk[MGMT_KEY_LEN])
{
	struct wr len_at = begin_cmd(w, MGMT_SET_PRIVACY, index);

	wr_u8(w, mode);
	wr_bytes(w, irk, MGMT_KEY_LEN);
	end_cmd(w, &len_at);
}

/* A long-term key: address 6, type 1, key type 1, central 1, size 1, EDIV 2, random 8, value 16 */
static void wr_ltk(struct wr *w, const struct mgmt_ltk *k)
{
	wr_addr(w, &k->addr);
	wr_u8(w, k->type);
	wr_u8(w, k->central);
	wr_u8(w, k->key_size);
	wr_le16(w, k->ediv);
	wr_bytes(w, k->rand, sizeof(k->rand));
	wr_bytes(w, k->val, sizeof(k->val));
}

/* A list starts with its count. More entries than the count can say are more bytes than end_cmd() lets pass. */
static struct wr begin_list(struct wr *w, uint16_t opcode, uint16_t index, size_t n)
{
	struct wr len_at = begin_cmd(w, opcode, index);

	wr_le16(w, (uint16_t)n);
	return len_at;
}

/* Load Long Term Keys: count 2, keys 36 each */
void mgmt_put_load_ltks(struct wr *w, uint16_t index, const struct mgmt_ltk *keys, size_t n)
{
	struct wr len_at = begin_list(w, MGMT_LOAD_LTKS, index, n);

	for (size_t i = 0; i < n; i++)
		wr_ltk(w, &keys[i]);
	end_cmd(w, &len_at);
}

/* Load Identity Resolving Keys: count 2, then address 6, type 1, value 16 */
void mgmt_put_load_irks(struct wr *w, uint16_t index, const struct mgmt_irk *keys, size_t n)
{
	struct wr len_at = begin_list(w, MGMT_LOAD_IRKS, index, n);

	for (size_t i = 0; i < n; i++) {
		wr_addr(w, &keys[i].addr);
		wr_bytes(w, keys[i].val, sizeof(keys[i].val));
	}
	end_cmd(w, &len_at);
}

/* Load Connection Parameters: count 2, then address 6, type 1, min 2, max 2, latency 2, timeout 2
 */
void mgmt_put_load_conn_params(struct wr *w, uint16_t index, const struct mgmt_conn_param *params,
                               size_t n)
{
	struct wr len_at = begin_list(w, MGMT_LOAD_CONN_PARAMS, index, n);

	for (size_t i = 0; i < n; i++) {
		wr_addr(w, &params[i].addr);
		wr_le16(w, params[i].min_interval);
		wr_le16(w, params[i].max_interval);
		wr_le16(w, params[i].latency);
		wr_le16(w, params[i].timeout);
	}
	end_cmd(w, &len_at);
}

/* Set Default System Configuration: type 2, length 1, value; no count */
void mgmt_put_default_config(struct wr *w, uint16_t index, const struct mgmt_config16 *conf,
                             size_t n)
{
	struct wr len_at = begin_cmd(w, MGMT_SET_DEF_SYSTEM_CONFIG, index);

	for (size_t i = 0; i < n; i++) {
		wr_le16(w, conf[i].type);
		wr_u8(w, CONFIG16_VALUE_LEN);
		wr_le16(w, conf[i].value);
	}
	end_cmd(w, &len_at);
}

/* Add Extended Advertising Parameters: instance 1, flags 4, duration 2, timeout 2, min 4, max 4, tx power 1 */
void mgmt_put_adv_params(struct wr *w, uint16_t index, const struct mgmt_adv_params *p)
{
	struct wr len_at = begin_cmd(w, MGMT_ADD_EXT_ADV_PARAMS, index);

	wr_u8(w, p->instance);
	wr_le32(w, p->flags);
	wr_le16(w, p->duration);
	wr_le16(w, p->timeout);
	wr_le32(w, p->min_interval);
	wr_le32(w, p->max_interval);
	wr_u8(w, (uint8_t)p->tx_dbm);
	end_cmd(w, &len_at);
}

/* Add Extended Advertising Data: instance 1, lengths 1 and 1, advertising data, scan response */
void mgmt_put_adv_data(struct wr *w, uint16_t index, uint8_t instance, const uint8_t *adv, size_t adv_len,
                       const uint8_t *rsp, size_t rsp_len)
{
	struct wr len_at = begin_cmd(w, MGMT_ADD_EXT_ADV_DATA, index);

	if (adv_len > UINT8_MAX || rsp_len > UINT8_MAX)
		w->bad = true;
	wr_u8(w, instance);
	wr_u8(w, (uint8_t)adv_len);
	wr_u8(w, (uint8_t)rsp_len);
	wr_bytes(w, adv, adv_len);
	wr_bytes(w, rsp, rsp_len);
	end_cmd(w, &len_at);
}

void mgmt_put_adv_remove(struct wr *w, uint16_t index, uint8_t instance)
{
	mgmt_put_mode(w, MGMT_REMOVE_ADVERTISING, index, instance);
}

/* --- answers --- */

/* Read Management Version Information: version 1, revision 2 */
int mgmt_parse_version(const uint8_t *data, size_t len, struct mgmt_version *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_version v = {.version = rd_u8(&r)};

	v.revision = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* @n items of @item_len bytes from @r as a list of its own. */
static int take_list(struct rd *r, size_t n, size_t item_len, struct mgmt_list *ret)
{
	const uint8_t *p = rd_bytes(r, n * item_len);

	if (!p)
		return -EBADMSG;
	*ret = (struct mgmt_list){.r = rd_init(p, n * item_len)};
	return 0;
}

bool mgmt_next(struct mgmt_list *l, uint16_t *ret)
{
	if (l->r.left < 2)
		return false;
	*ret = rd_le16(&l->r);
	return true;
}

/* Read Management Supported Commands: commands 2, events 2, then 2 each */
int mgmt_parse_commands(const uint8_t *data, size_t len, struct mgmt_list *ret_commands,
                        struct mgmt_list *ret_events)
{
	struct rd r = rd_init(data, len);
	size_t n_commands = rd_le16(&r), n_events = rd_le16(&r);
	struct mgmt_list commands, events;

	if (take_list(&r, n_commands, 2, &commands) < 0 || take_list(&r, n_events, 2, &events) < 0)
		return -EBADMSG;
	*ret_commands = commands;
	*ret_events = events;
	return 0;
}

/* A count of 16 bits and that many items. */
static int parse_counted(const uint8_t *data, size_t len, size_t item_len, struct mgmt_list *ret)
{
	struct rd r = rd_init(data, len);
	size_t n = rd_le16(&r);

	return take_list(&r, n, item_len, ret);
}

int mgmt_parse_index_list(const uint8_t *data, size_t len, struct mgmt_list *ret)
{
	return parse_counted(data, len, 2, ret);
}

/* Read Extended Controller Index List: count 2, then index 2, type 1, bus 1 */
int mgmt_parse_ext_index_list(const uint8_t *data, size_t len, struct mgmt_list *ret)
{
	return parse_counted(data, len, EXT_INDEX_LEN, ret);
}

bool mgmt_next_ext_index(struct mgmt_list *l, struct mgmt_ext_index *ret)
{
	if (l->r.left < EXT_INDEX_LEN)
		return false;
	ret->index = rd_le16(&l->r);
	ret->type = rd_u8(&l->r);
	ret->bus = rd_u8(&l->r);
	return true;
}

/* What both Read Info answers begin with: address 6, version 1, manufacturer 2, supported 4,
 * current 4 */
static void rd_info(struct rd *r, struct mgmt_info *info)
{
	rd_copy(r, info->addr, sizeof(info->addr));
	info->hci_version = rd_u8(r);
	info->manufacturer = rd_le16(r);
	info->supported = rd_le32(r);
	info->current = rd_le32(r);
}

/* Read Controller Information: the above, class 3, name 249, short name 11 */
int mgmt_parse_info(const uint8_t *data, size_t len, struct mgmt_info *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_info info = {0};

	rd_info(&r, &info);
	(void)rd_bytes(&r, CLASS_LEN); /* of BR/EDR */
	rd_copy(&r, info.name, sizeof(info.name));
	(void)rd_bytes(&r, SHORT_NAME_LEN); /* only for EIR that the kernel builds */
	if (!rd_ok(&r))
		return -EBADMSG;
	info.name[sizeof(info.name) - 1] = '\0';
	*ret = info;
	return 0;
}

/* Read Extended Controller Information: the same beginning, EIR length 2, EIR */
int mgmt_parse_ext_info(const uint8_t *data, size_t len, struct mgmt_info *ret,
                        const uint8_t **ret_eir, size_t *ret_eir_len)
{
	struct rd r = rd_init(data, len);
	struct mgmt_info info = {0};
	const uint8_t *eir;
	size_t eir_len;

	rd_info(&r, &info);
	eir_len = rd_le16(&r);
	eir = rd_bytes(&r, eir_len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = info;
	*ret_eir = eir;
	*ret_eir_len = eir_len;
	return 0;
}

int mgmt_parse_settings(const uint8_t *data, size_t len, uint32_t *ret)
{
	struct rd r = rd_init(data, len);
	uint32_t settings = rd_le32(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = settings;
	return 0;
}

/* Address 6, type 1. False when it is not there or not of LE. */
static bool rd_addr(struct rd *r, struct addr *ret)
{
	const uint8_t *p = rd_bytes(r, ADDR_INFO_LEN);
	uint8_t type;

	if (!p || addr_type_from_mgmt(p[ADDR_LEN], &type) < 0)
		return false;
	*ret = addr_from_bytes(p, type);
	return true;
}

int mgmt_parse_connections(const uint8_t *data, size_t len, struct mgmt_list *ret)
{
	return parse_counted(data, len, ADDR_INFO_LEN, ret);
}

bool mgmt_next_addr(struct mgmt_list *l, struct addr *ret)
{
	const uint8_t *p;
	struct rd item;

	while (l->r.left >= ADDR_INFO_LEN) {
		p = rd_bytes(&l->r, ADDR_INFO_LEN);
		item = rd_init(p, ADDR_INFO_LEN);
		if (rd_addr(&item, ret))
			return true;
	}
	return false;
}

/* Get Connection Information: address 7, RSSI 1, tx power 1, maximum tx power 1 */
int mgmt_parse_conn_info(const uint8_t *data, size_t len, struct mgmt_conn_info *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_conn_info info;

	if (!rd_addr(&r, &info.addr))
		return -EBADMSG;
	info.rssi_dbm = (int8_t)rd_u8(&r);
	info.tx_dbm = (int8_t)rd_u8(&r);
	info.max_tx_dbm = (int8_t)rd_u8(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = info;
	return 0;
}

int mgmt_parse_addr(const uint8_t *data, size_t len, struct addr *ret)
{
	struct rd r = rd_init(data, len);

	return rd_addr(&r, ret) ? 0 : -EBADMSG;
}

/* Read Advertising Features: flags 4, maxima of data 1, scan response 1, instances 1; count 1, instances 1 each */
int mgmt_parse_adv_features(const uint8_t *data, size_t len, struct mgmt_adv_features *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_adv_features f = {.flags = rd_le32(&r)};
	uint8_t n, instance;

	f.max_adv_len = rd_u8(&r);
	f.max_rsp_len = rd_u8(&r);
	f.max_instances = rd_u8(&r);
	n = rd_u8(&r);
	while (n-- > 0 && rd_ok(&r)) {
		instance = rd_u8(&r);
		if (instance < 32)
			f.instances |= 1u << instance;
	}
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = f;
	return 0;
}

/* --- events --- */

/* Advertising Added, Removed: instance 1 */
int mgmt_parse_adv_instance(const uint8_t *data, size_t len, uint8_t *ret_instance)
{
	if (len < 1)
		return -EBADMSG;
	*ret_instance = data[0];
	return 0;
}

/* Extended Index Added, Removed: type 1, bus 1 */
int mgmt_parse_ext_index(const uint8_t *data, size_t len, uint8_t *ret_type, uint8_t *ret_bus)
{
	struct rd r = rd_init(data, len);
	uint8_t type = rd_u8(&r), bus = rd_u8(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_type = type;
	*ret_bus = bus;
	return 0;
}

int mgmt_parse_controller_error(const uint8_t *data, size_t len, uint8_t *ret_code)
{
	if (len < 1)
		return -EBADMSG;
	*ret_code = data[0];
	return 0;
}

/* Device Connected: address 7, flags 4, EIR length 2, EIR */
int mgmt_parse_connected(const uint8_t *data, size_t len, struct mgmt_connected *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_connected c;

	if (!rd_addr(&r, &c.addr))
		return -EBADMSG;
	c.flags = rd_le32(&r);
	c.eir_len = rd_le16(&r);
	c.eir = rd_bytes(&r, c.eir_len);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* Address 7, one byte: Device Disconnected, Connect Failed, Authentication Failed */
static int parse_addr_u8(const uint8_t *data, size_t len, struct addr *ret_addr, uint8_t *ret)
{
	struct rd r = rd_init(data, len);
	struct addr addr;
	uint8_t v;

	if (!rd_addr(&r, &addr))
		return -EBADMSG;
	v = rd_u8(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_addr = addr;
	*ret = v;
	return 0;
}

int mgmt_parse_disconnected(const uint8_t *data, size_t len, struct addr *ret_addr,
                            uint8_t *ret_reason)
{
	return parse_addr_u8(data, len, ret_addr, ret_reason);
}

int mgmt_parse_addr_status(const uint8_t *data, size_t len, struct addr *ret_addr,
                           uint8_t *ret_status)
{
	return parse_addr_u8(data, len, ret_addr, ret_status);
}

/* Discovering: address types 1, on 1 */
int mgmt_parse_discovering(const uint8_t *data, size_t len, uint8_t *ret_types, bool *ret_on)
{
	struct rd r = rd_init(data, len);
	uint8_t types = rd_u8(&r), on = rd_u8(&r);

	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_types = types;
	*ret_on = on != 0;
	return 0;
}

/* New Long Term Key: store hint 1, key 36 */
int mgmt_parse_new_ltk(const uint8_t *data, size_t len, bool *ret_store, struct mgmt_ltk *ret)
{
	struct rd r = rd_init(data, len);
	uint8_t store = rd_u8(&r);
	struct mgmt_ltk k;

	if (!rd_addr(&r, &k.addr))
		return -EBADMSG;
	k.type = rd_u8(&r);
	k.central = rd_u8(&r);
	k.key_size = rd_u8(&r);
	k.ediv = rd_le16(&r);
	rd_copy(&r, k.rand, sizeof(k.rand));
	rd_copy(&r, k.val, sizeof(k.val));
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_store = store != 0;
	*ret = k;
	return 0;
}

/* New Identity Resolving Key: store hint 1, random address 6, identity 7, value 16 */
int mgmt_parse_new_irk(const uint8_t *data, size_t len, bool *ret_store, struct addr *ret_rpa,
                       struct mgmt_irk *ret)
{
	struct rd r = rd_init(data, len);
	uint8_t store = rd_u8(&r);
	struct addr rpa = {.type = ADDR_RANDOM};
	struct mgmt_irk k;

	rd_copy(&r, rpa.b, sizeof(rpa.b));
	if (!rd_addr(&r, &k.addr))
		return -EBADMSG;
	rd_copy(&r, k.val, sizeof(k.val));
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_store = store != 0;
	*ret_rpa = rpa;
	*ret = k;
	return 0;
}

/* New Connection Parameter: address 7, store hint 1, min 2, max 2, latency 2, timeout 2 */
int mgmt_parse_new_conn_param(const uint8_t *data, size_t len, bool *ret_store,
                              struct mgmt_conn_param *ret)
{
	struct rd r = rd_init(data, len);
	struct mgmt_conn_param p;
	uint8_t store;

	if (!rd_addr(&r, &p.addr))
		return -EBADMSG;
	store = rd_u8(&r);
	p.min_interval = rd_le16(&r);
	p.max_interval = rd_le16(&r);
	p.latency = rd_le16(&r);
	p.timeout = rd_le16(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_store = store != 0;
	*ret = p;
	return 0;
}

/* User Confirmation Request: address 7, hint 1, value 4 */
int mgmt_parse_user_confirm(const uint8_t *data, size_t len, struct addr *ret_addr, bool *ret_hint,
                            uint32_t *ret_value)
{
	struct rd r = rd_init(data, len);
	struct addr addr;
	uint32_t value;
	uint8_t hint;

	if (!rd_addr(&r, &addr))
		return -EBADMSG;
	hint = rd_u8(&r);
	value = rd_le32(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_addr = addr;
	*ret_hint = hint != 0;
	*ret_value = value;
	return 0;
}

/* Passkey Notify: address 7, passkey 4, entered 1 */
int mgmt_parse_passkey_notify(const uint8_t *data, size_t len, struct addr *ret_addr,
                              uint32_t *ret_passkey, uint8_t *ret_entered)
{
	struct rd r = rd_init(data, len);
	struct addr addr;
	uint32_t passkey;
	uint8_t entered;

	if (!rd_addr(&r, &addr))
		return -EBADMSG;
	passkey = rd_le32(&r);
	entered = rd_u8(&r);
	if (!rd_ok(&r))
		return -EBADMSG;
	*ret_addr = addr;
	*ret_passkey = passkey;
	*ret_entered = entered;
	return 0;
}
