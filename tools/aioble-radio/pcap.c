/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The air as pcap. A receiver knows the CRC's start value and who of two is the central from the PDU that begins a link, and
 * so does this one: it reads CONNECT_IND and AUX_CONNECT_REQ.
 */
#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

#include "air_priv.h"
#include "recfile.h"

#define PCAP_MAGIC    0xa1b2c3d4
#define PCAP_LINKTYPE 256
#define PCAP_HEAD     24
#define PCAP_RECORD   16
#define PHDR_LEN      10
#define CRC_LEN       3
#define CRC_ADV       0x555555 /* start value of advertising PDUs (Vol 6, Part B, 3.1.1) */
#define LINKS_MAX     256      /* remembered; a new link takes the place of the oldest */

/*
 * Flags of the pseudo header. That the CRC was checked is claimed for data only: of advertising PDUs, whose CRC everybody can
 * calculate, readers had better check it themselves.
 */
#define PHDR_DEWHITENED 0x0001
#define PHDR_SIGNAL     0x0002
#define PHDR_REFERENCE  0x0010
#define PHDR_AUX        0x0080
#define PHDR_CENTRAL    0x0100
#define PHDR_PERIPHERAL 0x0180
#define PHDR_CRC_VALID  0x0c00
#define PHDR_DECRYPTED  0x3008 /* and the MIC was good */
#define PHDR_PHY_SHIFT  14

struct pcap_link {
	uint32_t access_addr, crc_init;
	const struct radio *central; /* compared, never followed: it may have gone */
};

struct pcap {
	struct air *air;
	int64_t epoch_us;
	struct air_watch watch;
	struct recfile file;
	struct pcap_link links[LINKS_MAX];
	size_t next_link;
};

static uint32_t reverse_24(uint32_t v)
{
	uint32_t r = 0;

	for (int i = 0; i < 24; i++)
		r |= (v >> i & 1) << (23 - i);
	return r;
}

/* Bits of a byte go out least significant first, those of the CRC most significant first: here all is mirrored (3.1.1). */
static uint32_t crc24(uint32_t init, const uint8_t *data, size_t len)
{
	uint32_t crc = reverse_24(init);

	while (len--) {
		crc ^= *data++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0xda6000 : crc >> 1;
	}
	return crc;
}

static const struct pcap_link *link_find(const struct pcap *p, uint32_t access_addr)
{
	for (size_t i = 0; access_addr != PDU_ADV_ADDRESS && i < LINKS_MAX; i++) {
		if (p->links[i].access_addr == access_addr)
			return &p->links[i];
	}
	return NULL;
}

/* LLData begins with the access address and the CRC's start value (2.3.3.1). */
static void link_learn(struct pcap *p, const struct air_pdu *pdu)
{
	struct pdu_legacy ind;
	struct pcap_link *l;
	struct rd r;

	if (pdu->access_addr != PDU_ADV_ADDRESS ||
	    pdu_parse_legacy(pdu->data, pdu->len, &ind) < 0 || ind.type != PDU_CONNECT_IND)
		return;
	r = rd_init(ind.data, ind.len);
	l = &p->links[p->next_link++ % LINKS_MAX];
	l->access_addr = rd_le32(&r);
	l->crc_init = rd_le16(&r);
	l->crc_init |= (uint32_t)rd_u8(&r) << 16;
	l->central = pdu->from;
}

static uint16_t pdu_flags(const struct air_pdu *pdu, const struct pcap_link *l)
{
	uint16_t flags = PHDR_DEWHITENED | PHDR_SIGNAL | PHDR_REFERENCE |
	                 (uint16_t)((pdu->phy - 1) << PHDR_PHY_SHIFT);

	if (pdu->access_addr == PDU_ADV_ADDRESS)
		return flags | (air_is_primary(pdu->channel) ? 0 : PHDR_AUX);
	if (pdu->mic)
		flags |= PHDR_DECRYPTED;
	if (l)
		flags |=
			PHDR_CRC_VALID | (pdu->from == l->central ? PHDR_CENTRAL : PHDR_PERIPHERAL);
	return flags;
}

static int8_t heard_dbm(const struct pcap *p, const struct air_pdu *pdu)
{
	int dbm = pdu->tx_dbm - p->air->loss_db - pdu->from->loss_db;

	return (int8_t)MAX(-127, MIN(dbm, 20));
}

static void on_sent(struct air_watch *w, const struct air_pdu *pdu)
{
	struct pcap *p = container_of(w, struct pcap, watch);
	const struct pcap_link *l = link_find(p, pdu->access_addr);
	uint32_t crc = crc24(l ? l->crc_init : CRC_ADV, pdu->data, pdu->len);
	uint64_t time_us = (uint64_t)p->epoch_us + pdu->start_us;
	size_t ci = pdu->phy == PHY_CODED; /* a coding indicator follows the access address */
	uint32_t len = (uint32_t)(PHDR_LEN + 4 + ci + pdu->len + CRC_LEN);
	uint8_t head[PCAP_RECORD + PHDR_LEN + 5], body[PDU_MAX + CRC_LEN];
	struct wr h = wr_init(head, sizeof(head)), b = wr_init(body, sizeof(body));

	wr_le32(&h, (uint32_t)(time_us / 1000000));
	wr_le32(&h, (uint32_t)(time_us % 1000000));
	wr_le32(&h, len);
	wr_le32(&h, len);
	wr_u8(&h, (uint8_t)((phy_frequency_mhz(pdu->channel) - 2402) / 2));
	wr_u8(&h, (uint8_t)heard_dbm(p, pdu));
	wr_u8(&h, 0x80); /* noise: not told */
	wr_u8(&h, 0);
	wr_le32(&h, pdu->access_addr);
	wr_le16(&h, pdu_flags(pdu, l));
	wr_le32(&h, pdu->access_addr);
	if (ci)
		wr_u8(&h, 0); /* S=8 */
	wr_bytes(&b, pdu->data, pdu->len);
	wr_le16(&b, (uint16_t)crc);
	wr_u8(&b, (uint8_t)(crc >> 16));
	recfile_add(&p->file, head, wr_len(&h), body, wr_len(&b));
	link_learn(p, pdu);
}

int pcap_new(struct air *air, const char *path, int64_t epoch_us, struct pcap **ret)
{
	uint8_t head[PCAP_HEAD];
	struct wr w = wr_init(head, sizeof(head));
	struct pcap *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	wr_le32(&w, PCAP_MAGIC);
	wr_le16(&w, 2);
	wr_le16(&w, 4);
	wr_le32(&w, 0);
	wr_le32(&w, 0);
	wr_le32(&w, PHDR_LEN + 5 + PDU_MAX + CRC_LEN);
	wr_le32(&w, PCAP_LINKTYPE);
	r = recfile_open(&p->file, air_loop(air), path, head, wr_len(&w));
	if (r < 0) {
		free(p);
		return r;
	}
	p->air = air;
	p->epoch_us = epoch_us;
	p->watch.sent = on_sent;
	air_add_watch(air, &p->watch);
	*ret = p;
	return 0;
}

struct pcap *pcap_free(struct pcap *p)
{
	if (!p)
		return NULL;
	air_remove_watch(&p->watch);
	recfile_close(&p->file);
	free(p);
	return NULL;
}

void pcap_count(const struct pcap *p, struct capture_stats *stats)
{
	stats->files++;
	stats->records += p->file.records + p->file.batch;
	stats->lost += p->file.lost;
}

void pcap_flush(struct pcap *p)
{
	recfile_flush(&p->file);
}
