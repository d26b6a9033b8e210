/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links: parameters, features, PHY, data length, disconnecting, as a host commands it.
 */
#include "controller.h"

const struct ctl_cmd ctl_conn_cmds[] = {
	{0},
};
