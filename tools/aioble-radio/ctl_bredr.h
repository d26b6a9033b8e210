/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BR/EDR of a dual-mode controller. */
#pragma once

struct controller;

/** ctl_bredr_reset() - the settings of a dual-mode controller as at power-on */
void ctl_bredr_reset(struct controller *ctl);

/** ctl_bredr_stop() - an inquiry or a page that is going on ends without a word */
void ctl_bredr_stop(struct controller *ctl);
