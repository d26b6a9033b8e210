/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PDUs by the names that people use for them in scenarios and read in events. */
#pragma once

#include "air.h"

enum pdu_kind {
	KIND_ADV_IND,
	KIND_ADV_DIRECT_IND,
	KIND_ADV_NONCONN_IND,
	KIND_ADV_SCAN_IND,
	KIND_ADV_EXT_IND,
	KIND_AUX_ADV_IND, /* any extended PDU on a secondary channel: AUX_SCAN_RSP and AUX_CHAIN_IND look alike */
	KIND_SCAN_REQ,
	KIND_SCAN_RSP,
	KIND_CONNECT_IND,
	KIND_AUX_SCAN_REQ,
	KIND_AUX_CONNECT_REQ,
	KIND_AUX_CONNECT_RSP,
	KIND_DATA,
	KIND_EMPTY,
	KIND_CONTROL,
	KIND_UNKNOWN,
	PDU_KINDS,
};

extern const char *const pdu_kind_names[PDU_KINDS + 1]; /* NULL at the end */

enum pdu_kind pdu_kind(const struct air_pdu *pdu);

static inline bool pdu_kind_is_advertising(enum pdu_kind kind)
{
	return kind <= KIND_AUX_ADV_IND;
}

#define LL_CONTROL_OPCODES 0x19 /* from 0x00 on; Core 5.4, Vol 6, Part B, 2.4.2 */

/** ll_opcode_parse() - "LL_VERSION_IND" or "version_ind", any case. Return: the opcode or -EINVAL. */
int ll_opcode_parse(const char *name);
