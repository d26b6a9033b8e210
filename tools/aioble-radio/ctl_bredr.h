/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct controller;

/** ctl_bredr_reset() - the settings of a dual-mode controller as at power-on */
void ctl_bredr_reset(struct controller *ctl);
