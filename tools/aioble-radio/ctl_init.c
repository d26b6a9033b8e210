/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Initiating: creating links, as a host commands it.
 */
#include "controller.h"

const struct ctl_cmd ctl_init_cmds[] = {
	{0},
};
