/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's advertising instances, with what it does that nobody expects: empty data does not replace what was there, an
 * instance comes back when the link that took it ends, and refused data takes every unfinished instance away.
 */
#include <stdlib.h>
#include <string.h>

#include "aiobled/ad.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "fake_priv.h"

#define NO_LINK 0xffff

static struct fake_adv *find(struct fake_adapter *a, uint8_t instance)
{
	for (size_t i = 0; i < FAKE_ADVS_MAX; i++)
		if (instance && a->advs[i].instance == instance)
			return &a->advs[i];
	return NULL;
}

const struct fake_adv *fake_adv(const struct fake_kernel *fk, uint16_t index, uint8_t instance)
{
	return find(fake_find(fk, index), instance);
}

unsigned int fake_advs(const struct fake_kernel *fk, uint16_t index)
{
	const struct fake_adapter *a = fake_find(fk, index);
	unsigned int n = 0;

	for (size_t i = 0; i < FAKE_ADVS_MAX; i++)
		n += a->advs[i].instance != 0;
	return n;
}

unsigned int fake_advs_on_air(const struct fake_kernel *fk, uint16_t index)
{
	const struct fake_adapter *a = fake_find(fk, index);
	unsigned int n = 0;

	for (size_t i = 0; i < FAKE_ADVS_MAX; i++)
		n += a->advs[i].instance && a->advs[i].on_air;
	return n;
}

static struct fake_adv *take(struct fake_adapter *a, uint8_t instance)
{
	struct fake_adv *adv = find(a, instance);

	for (size_t i = 0; i < FAKE_ADVS_MAX && !adv; i++)
		if (!a->advs[i].instance)
			adv = &a->advs[i];
	CHECK(adv);
	if (!adv->instance)
		*adv = (struct fake_adv){ .instance = instance, .link = NO_LINK };
	return adv;
}

static size_t put_features(const struct fake_adapter *a, uint8_t *out)
{
	struct wr w = wr_init(out, 64);
	uint32_t flags = MGMT_ADV_CONNECTABLE | MGMT_ADV_HAS_DURATION | MGMT_ADV_HAS_TIMEOUT | MGMT_ADV_HAS_INTERVALS |
			 MGMT_ADV_HAS_TX_POWER | MGMT_ADV_HAS_SCAN_RSP;

	if (a->extended)
		flags |= MGMT_ADV_SECONDARY_1M | MGMT_ADV_SECONDARY_2M | MGMT_ADV_CAN_SET_TX_POWER;
	wr_le32(&w, flags);
	wr_u8(&w, a->extended ? 251 : 31);
	wr_u8(&w, a->extended ? 251 : 31);
	wr_u8(&w, a->adv_sets);
	wr_u8(&w, (uint8_t)fake_advs(a->fk, a->index));
	for (size_t i = 0; i < FAKE_ADVS_MAX; i++)
		if (a->advs[i].instance)
			wr_u8(&w, a->advs[i].instance);
	CHECK(wr_ok(&w));
	return wr_len(&w);
}

static uint8_t add_params(struct fake_adapter *a, struct rd *r, uint8_t *out, size_t *ret_len)
{
	uint8_t instance = rd_u8(r);
	struct fake_adv *adv;

	if (!(a->settings & MGMT_SETTING_POWERED))
		return MGMT_STATUS_REJECTED;
	if (!instance || instance > a->adv_sets)
		return MGMT_STATUS_INVALID_PARAMS;
	adv = take(a, instance);
	adv->flags = rd_le32(r);
	adv->duration = rd_le16(r);
	(void)rd_le16(r);
	adv->min_interval = rd_le32(r);
	adv->max_interval = rd_le32(r);
	adv->tx_dbm = (int8_t)rd_u8(r);
	adv->on_air = adv->complete = false;
	CHECK(rd_end(r));
	memcpy(out, (uint8_t[]){ instance, 127, a->extended ? 251 : 31, a->extended ? 251 : 31 }, 4);
	*ret_len = 4;
	return 0;
}

static bool is_valid(const uint8_t *p, size_t len, bool response)
{
	for (size_t i = 0; i < len; i += p[i] + 1u) {
		if (p[i] && (i + p[i] >= len || (response && p[i + 1] == AD_FLAGS)))
			return false;
	}
	return true;
}

static uint8_t add_data(struct fake_adapter *a, struct rd *r, uint8_t *out, size_t *ret_len)
{
	uint8_t instance = rd_u8(r), adv_len = rd_u8(r), rsp_len = rd_u8(r);
	const uint8_t *data = rd_bytes(r, adv_len), *rsp = rd_bytes(r, rsp_len);
	struct fake_adv *adv = find(a, instance);
	size_t max = adv && adv->flags & (MGMT_ADV_SECONDARY_1M | MGMT_ADV_SECONDARY_2M | MGMT_ADV_SECONDARY_CODED) ? 251 : 31;

	CHECK(rd_end(r));
	if (!adv)
		return MGMT_STATUS_INVALID_PARAMS;
	if (adv_len > max || rsp_len > max || !is_valid(data, adv_len, false) || !is_valid(rsp, rsp_len, true)) {
		adv->instance = 0;
		return MGMT_STATUS_INVALID_PARAMS;
	}
	if (adv_len)
		memcpy(adv->adv, data, adv->adv_len = adv_len);
	if (rsp_len)
		memcpy(adv->rsp, rsp, adv->rsp_len = rsp_len);
	adv->complete = adv->on_air = true;
	out[0] = instance;
	*ret_len = 1;
	return 0;
}

static uint8_t remove_instance(struct fake_adapter *a, struct rd *r, uint8_t *out, size_t *ret_len)
{
	uint8_t instance = rd_u8(r);
	struct fake_adv *adv = find(a, instance);

	if (!adv && (instance || !fake_advs(a->fk, a->index)))
		return MGMT_STATUS_INVALID_PARAMS;
	if (adv)
		adv->instance = 0;
	else
		fake_adv_power_off(a);
	for (size_t i = 0; i < FAKE_ADVS_MAX && !a->extended; i++) /* the next one's turn */
		a->advs[i].on_air = a->advs[i].instance && a->advs[i].complete;
	out[0] = instance;
	*ret_len = 1;
	return 0;
}

bool fake_adv_is_command(uint16_t opcode)
{
	return opcode == MGMT_READ_ADV_FEATURES || opcode == MGMT_ADD_EXT_ADV_PARAMS || opcode == MGMT_ADD_EXT_ADV_DATA ||
	       opcode == MGMT_REMOVE_ADVERTISING;
}

uint8_t fake_adv_command(struct fake_adapter *a, uint16_t opcode, const uint8_t *p, size_t len, uint8_t *out, size_t *ret_len)
{
	struct rd r = rd_init(p, len);

	switch (opcode) {
	case MGMT_READ_ADV_FEATURES:
		*ret_len = put_features(a, out);
		return 0;
	case MGMT_ADD_EXT_ADV_PARAMS:
		return add_params(a, &r, out, ret_len);
	case MGMT_ADD_EXT_ADV_DATA:
		return add_data(a, &r, out, ret_len);
	default:
		return remove_instance(a, &r, out, ret_len);
	}
}

void fake_adv_power_off(struct fake_adapter *a)
{
	for (size_t i = 0; i < FAKE_ADVS_MAX; i++) /* before the kernel tells that it is off */
		if (a->advs[i].instance)
			fake_mgmt_event(a->fk, MGMT_EV_ADVERTISING_REMOVED, a->index, &a->advs[i].instance, 1);
	memset(a->advs, 0, sizeof(a->advs));
}

/* --- others --- */

void fake_adv_leave(struct fake_kernel *fk, uint16_t index, uint8_t instance)
{
	struct fake_adv *adv = take(fake_find(fk, index), instance);

	adv->complete = adv->on_air = true;
}

void fake_adv_add(struct fake_kernel *fk, uint16_t index, uint8_t instance)
{
	struct fake_adv *adv = find(fake_find(fk, index), instance);

	if (adv)
		adv->instance = 0;
	fake_adv_leave(fk, index, instance);
	fake_mgmt_event(fk, MGMT_EV_ADVERTISING_ADDED, index, &instance, 1);
}

void fake_adv_remove(struct fake_kernel *fk, uint16_t index, uint8_t instance)
{
	struct fake_adv *adv = find(fake_find(fk, index), instance);

	CHECK(adv);
	adv->instance = 0;
	fake_mgmt_event(fk, MGMT_EV_ADVERTISING_REMOVED, index, &instance, 1);
}

void fake_adv_taken(struct fake_kernel *fk, uint16_t index, uint8_t instance, uint16_t handle)
{
	struct fake_adapter *a = fake_find(fk, index);
	struct fake_adv *adv = find(a, instance);
	uint8_t ev[6] = { HCIP_LE_ADV_SET_TERMINATED, 0, a->adv_sets == 1 ? 0 : instance, handle & 0xff, handle >> 8, 0 };

	CHECK(adv && adv->on_air);
	for (size_t i = 0; i < FAKE_ADVS_MAX; i++)
		if (!a->extended)
			a->advs[i].on_air = false;
	adv->on_air = false;
	adv->link = handle;
	if (a->extended)
		fake_hci_event(fk, index, HCIP_EV_LE_META, ev, sizeof(ev));
}

void fake_adv_link_down(struct fake_kernel *fk, uint16_t index, uint16_t handle)
{
	struct fake_adapter *a = fake_find(fk, index);

	for (size_t i = 0; a && i < FAKE_ADVS_MAX; i++) {
		if (!a->advs[i].instance || a->advs[i].link != handle)
			continue;
		a->advs[i].on_air = a->advs[i].complete;
		a->advs[i].link = NO_LINK;
	}
}
