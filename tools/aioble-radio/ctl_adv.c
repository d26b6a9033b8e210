/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising sets of a controller, and the legacy commands.
 */
#include "ctl_adv.h"

#include <errno.h>
#include <stdlib.h>

#include "controller.h"

struct ctl_adv {
	struct controller *ctl;
};

int ctl_adv_new(struct controller *ctl, struct ctl_adv **ret)
{
	struct ctl_adv *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->ctl = ctl;
	*ret = a;
	return 0;
}

struct ctl_adv *ctl_adv_free(struct ctl_adv *a)
{
	free(a);
	return NULL;
}

void ctl_adv_reset(struct ctl_adv *a)
{
}

bool ctl_adv_legacy_on(const struct ctl_adv *a)
{
	return false;
}

const struct ctl_cmd ctl_adv_cmds[] = {
	{0},
};

const struct ctl_cmd ctl_ext_adv_cmds[] = {
	{0},
};

bool ctl_adv_filters(const struct ctl_adv *a)
{
	return false;
}
