/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links of a controller.
 */
#include "link.h"

#include <errno.h>
#include <stdlib.h>

#include "controller.h"

struct links {
	struct controller *ctl;
};

int links_new(struct controller *ctl, struct links **ret)
{
	struct links *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->ctl = ctl;
	*ret = l;
	return 0;
}

struct links *links_free(struct links *links)
{
	free(links);
	return NULL;
}

void links_reset(struct links *links)
{
}

void links_acl_input(struct links *links, const uint8_t *pkt, size_t len)
{
}

int links_accept(struct links *links, struct advertiser *adv, const struct air_pdu *ind,
                 uint16_t *ret_handle)
{
	return -ENOBUFS;
}

void links_adv_timeout(struct links *links, struct advertiser *adv)
{
}

bool links_initiating(const struct links *links)
{
	return false;
}

bool links_initiating_by_list(const struct links *links)
{
	return false;
}

unsigned int links_count(const struct links *links, uint8_t role)
{
	return 0;
}
