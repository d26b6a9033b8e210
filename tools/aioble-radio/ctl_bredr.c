/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BR/EDR of a dual-mode controller: what a host configures is kept and can be read back; nobody is there to be found.
 */
#include "ctl_bredr.h"

#include "controller.h"

void ctl_bredr_reset(struct controller *ctl)
{
	ctl->bredr = (struct ctl_bredr){
		.accept_timeout = 0x1fa0,
		.page_timeout = 0x2000,
		.page_scan = {0x0800, 0x0012},
		.inquiry_scan = {0x1000, 0x0012},
		.voice = 0x0060,
		.iac_count = 1,
		.iac = {{0x33, 0x8b, 0x9e}},
	};
}

const struct ctl_cmd ctl_bredr_cmds[] = {
	{0},
};
