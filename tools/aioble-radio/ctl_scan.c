/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scanning, as a host commands it.
 */
#include "ctl_scan.h"

#include <errno.h>
#include <stdlib.h>

#include "controller.h"

struct ctl_scan {
	struct controller *ctl;
};

int ctl_scan_new(struct controller *ctl, struct ctl_scan **ret)
{
	struct ctl_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ctl = ctl;
	*ret = s;
	return 0;
}

struct ctl_scan *ctl_scan_free(struct ctl_scan *s)
{
	free(s);
	return NULL;
}

void ctl_scan_reset(struct ctl_scan *s)
{
}

bool ctl_scan_on(const struct ctl_scan *s)
{
	return false;
}

const struct ctl_cmd ctl_scan_cmds[] = {
	{0},
};

bool ctl_scan_filters(const struct ctl_scan *s)
{
	return false;
}
