/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising physical channel PDUs (Core 5.4, Vol 6, Part B, 2.3): build and read. Bytes are those on the air, from the
 * header to the end of the payload; access address and CRC are the air's business.
 *
 * Reading never trusts a length: faults may have altered the bytes on their way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/bytes.h"

#define PDU_HEADER_LEN  2
#define PDU_PAYLOAD_MAX 255
#define PDU_MAX         (PDU_HEADER_LEN + PDU_PAYLOAD_MAX)
#define PDU_ADV_ADDRESS                                                                            \
	0x8e89bed6 /* access address of all advertising PDUs but periodic ones (2.1.2) */

/* 2.3, table 2.3; where two have a number, the channel tells which it is. */
enum pdu_type {
	PDU_ADV_IND = 0x0,
	PDU_ADV_DIRECT_IND = 0x1,
	PDU_ADV_NONCONN_IND = 0x2,
	PDU_SCAN_REQ = 0x3, /* AUX_SCAN_REQ on a secondary channel */
	PDU_SCAN_RSP = 0x4,
	PDU_CONNECT_IND = 0x5, /* AUX_CONNECT_REQ on a secondary channel */
	PDU_ADV_SCAN_IND = 0x6,
	PDU_EXT = 0x7, /* ADV_EXT_IND, AUX_ADV_IND, AUX_SCAN_RSP, AUX_CHAIN_IND */
	PDU_AUX_CONNECT_RSP = 0x8,
};

/* First octet of the header (2.3). */
#define PDU_CH_SEL 0x20
#define PDU_TX_ADD 0x40
#define PDU_RX_ADD 0x80

#define PDU_CONNECT_LL_LEN 22 /* LLData of CONNECT_IND (2.3.3.1) */

/** pdu_put_legacy() - ADV_IND, ADV_NONCONN_IND, ADV_SCAN_IND and SCAN_RSP: one address and data; AD_LEGACY_MAX holds */
size_t pdu_put_legacy(uint8_t buf[PDU_MAX], enum pdu_type type, const struct addr *adv_a,
                      const uint8_t *data, size_t len);

/** pdu_put_pair() - ADV_DIRECT_IND (AdvA, TargetA), SCAN_REQ (ScanA, AdvA), CONNECT_IND (InitA, AdvA, LLData) */
size_t pdu_put_pair(uint8_t buf[PDU_MAX], enum pdu_type type, const struct addr *first,
                    const struct addr *second, const uint8_t *data, size_t len);

/* A PDU with one or two addresses, as read. */
struct pdu_legacy {
	enum pdu_type type;
	uint8_t header; /* first octet: PDU_CH_SEL and the address types */
	struct addr first,
		second;      /* TxAdd's and RxAdd's; @second only in those of pdu_put_pair() */
	const uint8_t *data; /* view */
	size_t len;
};

/** pdu_type() - of a PDU with a header; a shorter one says PDU_EXT + 8, which is none */
static inline unsigned int pdu_type(const uint8_t *pdu, size_t len)
{
	return len >= PDU_HEADER_LEN ? pdu[0] & 0xf : 0xf;
}

/** pdu_parse_legacy() - any type but the extended ones. Return: 0 or -EBADMSG. */
int pdu_parse_legacy(const uint8_t *pdu, size_t len, struct pdu_legacy *ret);

/* AdvMode of the common extended header (2.3.4.1). */
enum pdu_mode {
	PDU_MODE_NONE = 0,
	PDU_MODE_CONNECTABLE = 1,
	PDU_MODE_SCANNABLE = 2,
};

/* Common extended advertising payload (2.3.4). What is there is said by the has_ fields. */
struct pdu_ext {
	enum pdu_mode mode;
	bool has_adv_a, has_target_a, has_adi, has_aux, has_tx;
	struct addr adv_a, target_a;
	uint16_t did;                 /* 12 bits: identifies the data */
	uint8_t sid;                  /* advertising set */
	uint8_t aux_channel, aux_phy; /* aux_phy: enum phy */
	uint32_t
		aux_offset_us; /* from the start of this PDU; cut to multiples of 30 or 300 us on the air */
	int8_t tx_dbm;
	const uint8_t *data; /* view */
	size_t len;
};

/** pdu_ext_room() - bytes of data that fit beside the header @ext asks for */
size_t pdu_ext_room(const struct pdu_ext *ext);

/** pdu_put_ext() - ADV_EXT_IND and its auxiliary kin; @type PDU_EXT or PDU_AUX_CONNECT_RSP. Return: length; 0: too long. */
size_t pdu_put_ext(uint8_t buf[PDU_MAX], enum pdu_type type, const struct pdu_ext *ext);

/** pdu_parse_ext() - Return: 0 or -EBADMSG */
int pdu_parse_ext(const uint8_t *pdu, size_t len, struct pdu_ext *ret);

/**
 * pdu_floor_offset_us() - the offset an AuxPtr can tell: a multiple of 30 us, or of 300 us from 245.7 ms on
 *
 * The PDU pointed to starts then or up to one unit later (2.3.4.5).
 */
uint32_t pdu_floor_offset_us(uint32_t offset_us);
