/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising channel PDUs. The header's address bits follow from the addresses themselves, so that nobody can forget
 * them.
 */
#include "pdu.h"

#include <errno.h>

#include "phy.h"

#define EXT_ADV_A    0x01
#define EXT_TARGET_A 0x02
#define EXT_ADI      0x08
#define EXT_AUX      0x10
#define EXT_SYNC     0x20
#define EXT_TX_POWER 0x40
#define EXT_CTE      0x04

#define AUX_UNIT_US      30
#define AUX_UNIT_LONG_US 300
#define AUX_OFFSET_MAX   0x1fff

/* The length follows: finish(). */
static struct wr begin(uint8_t *buf, uint8_t first)
{
	struct wr w = wr_init(buf + PDU_HEADER_LEN, PDU_MAX - PDU_HEADER_LEN);

	buf[0] = first;
	w.start = buf;
	return w;
}

static size_t finish(struct wr *w)
{
	size_t len = wr_len(w);

	if (!wr_ok(w))
		return 0;
	w->start[1] = (uint8_t)(len - PDU_HEADER_LEN);
	return len;
}

static uint8_t tx_add(const struct addr *a)
{
	return a->type ? PDU_TX_ADD : 0;
}

static uint8_t rx_add(const struct addr *a)
{
	return a->type ? PDU_RX_ADD : 0;
}

size_t pdu_put_legacy(uint8_t buf[PDU_MAX], enum pdu_type type, const struct addr *adv_a,
                      const uint8_t *data, size_t len)
{
	struct wr w = begin(buf, type | tx_add(adv_a));

	wr_bytes(&w, adv_a->b, ADDR_LEN);
	wr_bytes(&w, data, len);
	return finish(&w);
}

size_t pdu_put_pair(uint8_t buf[PDU_MAX], enum pdu_type type, const struct addr *first,
                    const struct addr *second, const uint8_t *data, size_t len)
{
	struct wr w = begin(buf, type | tx_add(first) | rx_add(second));

	wr_bytes(&w, first->b, ADDR_LEN);
	wr_bytes(&w, second->b, ADDR_LEN);
	wr_bytes(&w, data, len);
	return finish(&w);
}

static void read_addr(struct rd *r, bool random, struct addr *ret)
{
	rd_copy(r, ret->b, ADDR_LEN);
	ret->type = random ? ADDR_RANDOM : ADDR_PUBLIC;
}

static bool is_pair(enum pdu_type type)
{
	return type == PDU_ADV_DIRECT_IND || type == PDU_SCAN_REQ || type == PDU_CONNECT_IND;
}

int pdu_parse_legacy(const uint8_t *pdu, size_t len, struct pdu_legacy *ret)
{
	struct rd r = rd_init(pdu, len);
	struct pdu_legacy p = {.header = rd_u8(&r)};
	uint8_t said = rd_u8(&r);

	p.type = p.header & 0xf;
	if (!rd_ok(&r) || said != r.left || p.type > PDU_ADV_SCAN_IND)
		return -EBADMSG;
	read_addr(&r, p.header & PDU_TX_ADD, &p.first);
	if (is_pair(p.type))
		read_addr(&r, p.header & PDU_RX_ADD, &p.second);
	p.data = rd_rest(&r, &p.len);
	if (!rd_ok(&r) || (p.type == PDU_CONNECT_IND && p.len != PDU_CONNECT_LL_LEN))
		return -EBADMSG;
	*ret = p;
	return 0;
}

uint32_t pdu_floor_offset_us(uint32_t offset_us)
{
	uint32_t unit =
		offset_us >= AUX_UNIT_US * (AUX_OFFSET_MAX + 1) ? AUX_UNIT_LONG_US : AUX_UNIT_US;

	return offset_us / unit * unit;
}

static uint8_t ext_flags(const struct pdu_ext *e)
{
	return (uint8_t)((e->has_adv_a ? EXT_ADV_A : 0) | (e->has_target_a ? EXT_TARGET_A : 0) |
	                 (e->has_adi ? EXT_ADI : 0) | (e->has_aux ? EXT_AUX : 0) |
	                 (e->has_tx ? EXT_TX_POWER : 0));
}

static size_t ext_header_len(const struct pdu_ext *e)
{
	if (!ext_flags(e))
		return 0;
	return 1 + (e->has_adv_a ? ADDR_LEN : 0) + (e->has_target_a ? ADDR_LEN : 0) +
	       (e->has_adi ? 2 : 0) + (e->has_aux ? 3 : 0) + (e->has_tx ? 1 : 0);
}

size_t pdu_ext_room(const struct pdu_ext *ext)
{
	return PDU_PAYLOAD_MAX - 1 - ext_header_len(ext);
}

/* AuxPtr (2.3.4.5): channel, clock accuracy 0 (51 to 500 ppm), unit, offset, PHY */
static void put_aux(struct wr *w, const struct pdu_ext *e)
{
	uint32_t us = pdu_floor_offset_us(e->aux_offset_us);
	bool lengthy = us > AUX_UNIT_US * AUX_OFFSET_MAX;
	uint32_t offset = us / (lengthy ? AUX_UNIT_LONG_US : AUX_UNIT_US);

	wr_u8(w, (uint8_t)((e->aux_channel & 0x3f) | (lengthy ? 0x80 : 0)));
	wr_le16(w, (uint16_t)((offset & AUX_OFFSET_MAX) | (uint32_t)(e->aux_phy - 1) << 13));
}

static void read_aux(struct rd *r, struct pdu_ext *e)
{
	uint8_t first = rd_u8(r);
	uint16_t rest = rd_le16(r);

	e->has_aux = true;
	e->aux_channel = first & 0x3f;
	e->aux_offset_us =
		(rest & AUX_OFFSET_MAX) * (first & 0x80 ? AUX_UNIT_LONG_US : AUX_UNIT_US);
	e->aux_phy = (uint8_t)((rest >> 13) + 1);
}

size_t pdu_put_ext(uint8_t buf[PDU_MAX], enum pdu_type type, const struct pdu_ext *e)
{
	struct wr w = begin(buf, (uint8_t)(type | (e->has_adv_a ? tx_add(&e->adv_a) : 0) |
	                                   (e->has_target_a ? rx_add(&e->target_a) : 0)));

	wr_u8(&w, (uint8_t)(ext_header_len(e) | (unsigned int)e->mode << 6));
	if (ext_flags(e))
		wr_u8(&w, ext_flags(e));
	if (e->has_adv_a)
		wr_bytes(&w, e->adv_a.b, ADDR_LEN);
	if (e->has_target_a)
		wr_bytes(&w, e->target_a.b, ADDR_LEN);
	if (e->has_adi)
		wr_le16(&w, (uint16_t)((e->did & 0xfff) | e->sid << 12));
	if (e->has_aux)
		put_aux(&w, e);
	if (e->has_tx)
		wr_u8(&w, (uint8_t)e->tx_dbm);
	wr_bytes(&w, e->data, e->len);
	return finish(&w);
}

static void read_fields(struct rd *r, uint8_t header, struct pdu_ext *e)
{
	uint8_t flags = rd_u8(r);

	e->has_adv_a = flags & EXT_ADV_A;
	e->has_target_a = flags & EXT_TARGET_A;
	if (e->has_adv_a)
		read_addr(r, header & PDU_TX_ADD, &e->adv_a);
	if (e->has_target_a)
		read_addr(r, header & PDU_RX_ADD, &e->target_a);
	if (flags & EXT_CTE)
		(void)rd_u8(r); /* direction finding: nobody here sends it */
	if (flags & EXT_ADI) {
		uint16_t adi = rd_le16(r);

		e->has_adi = true;
		e->did = adi & 0xfff;
		e->sid = (uint8_t)(adi >> 12);
	}
	if (flags & EXT_AUX)
		read_aux(r, e);
	if (flags & EXT_SYNC)
		(void)rd_bytes(r, 18);
	if (flags & EXT_TX_POWER) {
		e->has_tx = true;
		e->tx_dbm = (int8_t)rd_u8(r);
	}
}

int pdu_parse_ext(const uint8_t *pdu, size_t len, struct pdu_ext *ret)
{
	struct rd r = rd_init(pdu, len);
	struct pdu_ext e = {0};
	uint8_t header = rd_u8(&r), said = rd_u8(&r);
	bool fits = rd_ok(&r) && said == r.left;
	uint8_t first = rd_u8(&r);
	struct rd fields;
	const uint8_t *at;

	at = rd_bytes(&r, first & 0x3f);
	if (!fits || !at)
		return -EBADMSG;
	fields = rd_init(at, first & 0x3f);
	if (fields.left)
		read_fields(&fields, header, &e);
	e.mode = first >> 6;
	e.data = rd_rest(&r, &e.len);
	if (!rd_ok(&fields) || !rd_ok(&r) ||
	    (e.has_aux && (e.aux_phy > PHY_CODED || e.aux_channel >= PHY_DATA_CHANNELS)))
		return -EBADMSG;
	*ret = e;
	return 0;
}
