/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption, as a host commands it.
 */
#include "controller.h"

const struct ctl_cmd ctl_crypt_cmds[] = {
	{0},
};
