/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for result numbers. Names are the specification's, in lower case.
 */
#include "aiobled/result.h"

#include <stdio.h>
#include <string.h>

#include "aiobled/cleanup.h"

/* Core 5.4, Vol 3, Part F, 3.4.1.1, table 3.4; 0xfc-0xff: Core Specification Supplement, Part
 * B, 1.2 */
static const char *const att_names[] = {
	[0x01] = "invalid handle",
	[0x02] = "read not permitted",
	[0x03] = "write not permitted",
	[0x04] = "invalid PDU",
	[0x05] = "insufficient authentication",
	[0x06] = "request not supported",
	[0x07] = "invalid offset",
	[0x08] = "insufficient authorization",
	[0x09] = "prepare queue full",
	[0x0a] = "attribute not found",
	[0x0b] = "attribute not long",
	[0x0c] = "encryption key size too short",
	[0x0d] = "invalid attribute value length",
	[0x0e] = "unlikely error",
	[0x0f] = "insufficient encryption",
	[0x10] = "unsupported group type",
	[0x11] = "insufficient resources",
	[0x12] = "database out of sync",
	[0x13] = "value not allowed",
	[0xfc] = "write request rejected",
	[0xfd] = "client characteristic configuration improperly configured",
	[0xfe] = "procedure already in progress",
	[0xff] = "out of range",
};

/* Core 5.4, Vol 1, Part F, table 1.1: the codes an LE host can meet */
static const char *const hci_names[] = {
	[0x01] = "unknown HCI command",
	[0x02] = "unknown connection identifier",
	[0x03] = "hardware failure",
	[0x05] = "authentication failure",
	[0x06] = "PIN or key missing",
	[0x07] = "memory capacity exceeded",
	[0x08] = "connection timeout",
	[0x09] = "connection limit exceeded",
	[0x0b] = "connection already exists",
	[0x0c] = "command disallowed",
	[0x0d] = "rejected due to limited resources",
	[0x0e] = "rejected due to security reasons",
	[0x10] = "connection accept timeout exceeded",
	[0x11] = "unsupported feature or parameter value",
	[0x12] = "invalid HCI command parameters",
	[0x13] = "remote user terminated connection",
	[0x14] = "remote device terminated connection due to low resources",
	[0x15] = "remote device terminated connection due to power off",
	[0x16] = "connection terminated by local host",
	[0x1a] = "unsupported remote feature",
	[0x1f] = "unspecified error",
	[0x22] = "LMP response timeout / LL response timeout",
	[0x28] = "instant passed",
	[0x2a] = "different transaction collision",
	[0x2f] = "insufficient security",
	[0x3a] = "controller busy",
	[0x3b] = "unacceptable connection parameters",
	[0x3c] = "advertising timeout",
	[0x3d] = "connection terminated due to MIC failure",
	[0x3e] = "connection failed to be established",
	[0x42] = "unknown advertising identifier",
	[0x43] = "limit reached",
};

/* Core 5.4, Vol 3, Part A, 4.23, result field */
static const char *const l2cap_names[] = {
	[0x02] = "SPSM not supported",
	[0x04] = "no resources available",
	[0x05] = "insufficient authentication",
	[0x06] = "insufficient authorization",
	[0x07] = "encryption key size too short",
	[0x08] = "insufficient encryption",
	[0x09] = "invalid source CID",
	[0x0a] = "source CID already allocated",
	[0x0b] = "unacceptable parameters",
};

/* Core 5.4, Vol 3, Part H, 3.5.5, table 3.7 */
static const char *const smp_names[] = {
	[0x01] = "passkey entry failed",        [0x02] = "OOB not available",
	[0x03] = "authentication requirements", [0x04] = "confirm value failed",
	[0x05] = "pairing not supported",       [0x06] = "encryption key size",
	[0x07] = "command not supported",       [0x08] = "unspecified reason",
	[0x09] = "repeated attempts",           [0x0a] = "invalid parameters",
	[0x0b] = "DHKey check failed",          [0x0c] = "numeric comparison failed",
};

/* the kernel's include/net/bluetooth/mgmt.h, by number */
static const char *const mgmt_names[] = {
	[0x01] = "unknown command",
	[0x02] = "not connected",
	[0x03] = "failed",
	[0x04] = "connect failed",
	[0x05] = "authentication failed",
	[0x06] = "not paired",
	[0x07] = "no resources",
	[0x08] = "timeout",
	[0x09] = "already connected",
	[0x0a] = "busy",
	[0x0b] = "rejected",
	[0x0c] = "not supported",
	[0x0d] = "invalid parameters",
	[0x0e] = "disconnected",
	[0x0f] = "not powered",
	[0x10] = "cancelled",
	[0x11] = "invalid index",
	[0x12] = "blocked by rfkill",
	[0x13] = "already paired",
	[0x14] = "permission denied",
};

struct domain {
	const char *label;
	const char *const *names;
	size_t n;
};

static const struct domain domains[] = {
	[RES_DOMAIN_ATT] = {"ATT", att_names, ARRAY_SIZE(att_names)},
	[RES_DOMAIN_HCI] = {"HCI", hci_names, ARRAY_SIZE(hci_names)},
	[RES_DOMAIN_L2CAP] = {"L2CAP", l2cap_names, ARRAY_SIZE(l2cap_names)},
	[RES_DOMAIN_SMP] = {"SMP", smp_names, ARRAY_SIZE(smp_names)},
	[RES_DOMAIN_MGMT] = {"kernel mgmt", mgmt_names, ARRAY_SIZE(mgmt_names)},
};

static const char *domain_name(const struct domain *d, uint8_t code)
{
	return code < d->n ? d->names[code] : NULL;
}

const char *att_error_name(uint8_t code)
{
	if (code >= 0x80 && code <= 0x9f)
		return "application error";
	return domain_name(&domains[RES_DOMAIN_ATT], code);
}

const char *hci_error_name(uint8_t code)
{
	return domain_name(&domains[RES_DOMAIN_HCI], code);
}

const char *res_text(int res, char *buf, size_t size)
{
	const struct domain *d;
	const char *name;

	if (res <= 0 || (size_t)(res >> 8) >= ARRAY_SIZE(domains) || !domains[res >> 8].label) {
		(void)snprintf(buf, size, "%s",
		               res == 0 ? "success" : strerror(res < 0 ? -res : res));
		return buf;
	}
	d = &domains[res_domain(res)];
	name = res_domain(res) == RES_DOMAIN_ATT ? att_error_name(res_code(res))
	                                         : domain_name(d, res_code(res));
	(void)snprintf(buf, size, "%s 0x%02x (%s)", d->label, res_code(res),
	               name ? name : "no name in the specification");
	return buf;
}
