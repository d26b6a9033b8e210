/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links of a controller, both roles: each end is an object of its own controller; ends meet by their access address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct air_pdu;
struct advertiser;
struct controller;
struct links;

int links_new(struct controller *ctl, struct links **ret);
struct links *links_free(struct links *links);

/** links_reset() - every link and a pending initiation vanish; the other ends find out by their timeout */
void links_reset(struct links *links);

/** links_acl_input() - an ACL data packet from the host, H4 type byte first, length checked against its header */
void links_acl_input(struct links *links, const uint8_t *pkt, size_t len);

/**
 * links_accept() - a CONNECT_IND or AUX_CONNECT_REQ reached @adv, which has stopped: become a peripheral
 * @ind: parsed and for us; the first connection event follows from its end
 * @ret_handle: of the link, for Advertising Set Terminated, which comes after the events that are sent here
 *
 * Sends AUX_CONNECT_RSP where one is due, and LE (Enhanced) Connection Complete.
 *
 * Return: 0; or -EBADMSG, -EEXIST (the two have a link, perhaps one that only this end still believes in) or -ENOBUFS (as
 * many links as possible): the advertiser goes on.
 */
int links_accept(struct links *links, struct advertiser *adv, const struct air_pdu *ind,
                 uint16_t *ret_handle);

/** links_adv_timeout() - directed advertising (or a connectable set) ended without a link: Connection Complete 0x3c */
void links_adv_timeout(struct links *links, struct advertiser *adv);

/** links_initiating() - is a connection being created? */
bool links_initiating(const struct links *links);

/** links_initiating_by_list() - is one being created with whoever is on the accept list? */
bool links_initiating_by_list(const struct links *links);

/** links_count() - links in a role, HCIP_ROLE_CENTRAL or HCIP_ROLE_PERIPHERAL */
unsigned int links_count(const struct links *links, uint8_t role);
