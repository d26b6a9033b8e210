/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolving list of a controller.
 */
#include "resolving.h"

#include <errno.h>
#include <stdlib.h>

#include "controller.h"

struct resolving {
	struct controller *ctl;
};

int resolving_new(struct controller *ctl, struct resolving **ret)
{
	struct resolving *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->ctl = ctl;
	*ret = r;
	return 0;
}

struct resolving *resolving_free(struct resolving *r)
{
	free(r);
	return NULL;
}

void resolving_reset(struct resolving *r)
{
}

bool resolving_identity(struct resolving *r, const struct addr *on_air, struct addr *ret)
{
	return false;
}

bool resolving_local(struct resolving *r, const struct addr *peer, struct addr *ret)
{
	return false;
}

bool resolving_remote(struct resolving *r, const struct addr *peer, struct addr *ret)
{
	return false;
}

bool resolving_is_local(struct resolving *r, const struct addr *on_air)
{
	return false;
}

bool resolving_allows(struct resolving *r, const struct addr *identity, bool resolved)
{
	return true;
}
