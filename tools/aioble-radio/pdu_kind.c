/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of PDUs. */
#include "pdu_kind.h"

#include <errno.h>
#include <strings.h>

#include "aiobled/cleanup.h"

#define LLID_MASK    3
#define LLID_CONTROL 3

const char *const pdu_kind_names[PDU_KINDS + 1] = {
	[KIND_ADV_IND] = "adv_ind",
	[KIND_ADV_DIRECT_IND] = "adv_direct_ind",
	[KIND_ADV_NONCONN_IND] = "adv_nonconn_ind",
	[KIND_ADV_SCAN_IND] = "adv_scan_ind",
	[KIND_ADV_EXT_IND] = "adv_ext_ind",
	[KIND_AUX_ADV_IND] = "aux_adv_ind",
	[KIND_SCAN_REQ] = "scan_req",
	[KIND_SCAN_RSP] = "scan_rsp",
	[KIND_CONNECT_IND] = "connect_ind",
	[KIND_AUX_SCAN_REQ] = "aux_scan_req",
	[KIND_AUX_CONNECT_REQ] = "aux_connect_req",
	[KIND_AUX_CONNECT_RSP] = "aux_connect_rsp",
	[KIND_DATA] = "data",
	[KIND_EMPTY] = "empty",
	[KIND_CONTROL] = "control",
	[KIND_UNKNOWN] = "unknown",
};

static enum pdu_kind advertising_kind(const struct air_pdu *pdu)
{
	bool primary = air_is_primary(pdu->channel);

	switch (pdu_type(pdu->data, pdu->len)) {
	case PDU_ADV_IND:
		return KIND_ADV_IND;
	case PDU_ADV_DIRECT_IND:
		return KIND_ADV_DIRECT_IND;
	case PDU_ADV_NONCONN_IND:
		return KIND_ADV_NONCONN_IND;
	case PDU_ADV_SCAN_IND:
		return KIND_ADV_SCAN_IND;
	case PDU_SCAN_REQ:
		return primary ? KIND_SCAN_REQ : KIND_AUX_SCAN_REQ;
	case PDU_SCAN_RSP:
		return KIND_SCAN_RSP;
	case PDU_CONNECT_IND:
		return primary ? KIND_CONNECT_IND : KIND_AUX_CONNECT_REQ;
	case PDU_EXT:
		return primary ? KIND_ADV_EXT_IND : KIND_AUX_ADV_IND;
	case PDU_AUX_CONNECT_RSP:
		return KIND_AUX_CONNECT_RSP;
	}
	return KIND_UNKNOWN;
}

enum pdu_kind pdu_kind(const struct air_pdu *pdu)
{
	if (pdu->access_addr == PDU_ADV_ADDRESS)
		return advertising_kind(pdu);
	if (pdu->len < PDU_HEADER_LEN)
		return KIND_UNKNOWN;
	if ((pdu->data[0] & LLID_MASK) == LLID_CONTROL)
		return KIND_CONTROL;
	return pdu->data[1] ? KIND_DATA : KIND_EMPTY;
}

int ll_opcode_parse(const char *name)
{
	static const char *const names[LL_CONTROL_OPCODES] = {
		"connection_update_ind",
		"channel_map_ind",
		"terminate_ind",
		"enc_req",
		"enc_rsp",
		"start_enc_req",
		"start_enc_rsp",
		"unknown_rsp",
		"feature_req",
		"feature_rsp",
		"pause_enc_req",
		"pause_enc_rsp",
		"version_ind",
		"reject_ind",
		"peripheral_feature_req",
		"connection_param_req",
		"connection_param_rsp",
		"reject_ext_ind",
		"ping_req",
		"ping_rsp",
		"length_req",
		"length_rsp",
		"phy_req",
		"phy_rsp",
		"phy_update_ind",
	};

	if (strncasecmp(name, "LL_", 3) == 0)
		name += 3;
	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
		if (strcasecmp(names[i], name) == 0)
			return i;
	}
	return -EINVAL;
}
