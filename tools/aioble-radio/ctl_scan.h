/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A controller's scanner: legacy and extended commands over one struct scanner, and its reports. */
#pragma once

#include <stdbool.h>

struct controller;
struct ctl_scan;
struct scanner;

int ctl_scan_new(struct controller *ctl, struct ctl_scan **ret);
struct ctl_scan *ctl_scan_free(struct ctl_scan *s);
void ctl_scan_reset(struct ctl_scan *s);
bool ctl_scan_on(const struct ctl_scan *s);

/** ctl_scan_scanner() - for whoever wants to show what it does */
const struct scanner *ctl_scan_scanner(const struct ctl_scan *s);

/** ctl_scan_filters() - is it scanning with the accept list? */
bool ctl_scan_filters(const struct ctl_scan *s);
