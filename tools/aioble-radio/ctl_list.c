/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resolving list and its switches, as a host commands it.
 */
#include "controller.h"

const struct ctl_cmd ctl_list_cmds[] = {
	{0},
};
