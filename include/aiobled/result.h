/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One result number that keeps its origin: 0; negative errno for what happened on this machine; positive with a domain
 * for what the other side said. Never a count.
 *
 * The errnos with a fixed meaning across the program:
 *   -ETIMEDOUT  the caller's deadline passed        -ENOTCONN  the link went away (reason: conn_disconnect_reason())
 *   -ECANCELED  somebody stopped it                 -EPIPE     the L2CAP channel went away
 *   -ENOBUFS    a limit of ours was reached         -ENODEV    the adapter is gone
 *   -ENETDOWN   the adapter is powered off          -EBADMSG   the peer's answer breaks the specification
 *   -EOPNOTSUPP peer or controller cannot do it     -ENOENT    no such attribute, object or peer
 *   -EMSGSIZE   does not fit                        -EINVAL    argument out of range
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum res_domain {
	RES_DOMAIN_ERRNO = 0,
	RES_DOMAIN_ATT = 1,   /* Core 5.4, Vol 3, Part F, 3.4.1.1 */
	RES_DOMAIN_HCI = 2,   /* Core 5.4, Vol 1, Part F */
	RES_DOMAIN_L2CAP = 3, /* Core 5.4, Vol 3, Part A, 4.23 */
	RES_DOMAIN_SMP = 4,   /* Core 5.4, Vol 3, Part H, 3.5.5 */
	RES_DOMAIN_MGMT = 5,  /* kernel: net/bluetooth/mgmt status codes */
};

#define RES(domain, code) ((domain) << 8 | ((code) & 0xff))
#define RES_ATT(code)     RES(RES_DOMAIN_ATT, code)
#define RES_HCI(code)     RES(RES_DOMAIN_HCI, code)
#define RES_L2CAP(code)   RES(RES_DOMAIN_L2CAP, code)
#define RES_SMP(code)     RES(RES_DOMAIN_SMP, code)
#define RES_MGMT(code)    RES(RES_DOMAIN_MGMT, code)

static inline enum res_domain res_domain(int res)
{
	return res > 0 ? (enum res_domain)(res >> 8) : RES_DOMAIN_ERRNO;
}

static inline uint8_t res_code(int res)
{
	return res > 0 ? res & 0xff : 0;
}

#define RES_TEXT_MAX 96

/**
 * res_text() - a sentence fragment for people: "ATT 0x05 (insufficient authentication)"
 * @buf: caller's, RES_TEXT_MAX bytes are always enough
 *
 * Return: @buf.
 */
const char *res_text(int res, char *buf, size_t size);

/** att_error_name(), hci_error_name() - the specification's words in lower case, or NULL for a code it does not name */
const char *att_error_name(uint8_t code);
const char *hci_error_name(uint8_t code);
