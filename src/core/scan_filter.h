/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a scanner lets pass. Evaluated for every report and every scanner, so the cheap questions come first; nothing is
 * allocated after the copy. Patterns come from clients and names from the air, so the matcher's time is bounded by the product
 * of their lengths (fnmatch(3) of the C library is exponential in the number of stars).
 */
#pragma once

#include <stdbool.h>

#include "aiobled/scan.h"

/** scan_filter_copy() - deep copy. Return: 0; -EINVAL for more than SCAN_FILTER_VALUES_MAX values of a kind; -ENOMEM. */
int scan_filter_copy(const struct scan_filter *from, struct scan_filter *ret);

/** scan_filter_deinit() - free what scan_filter_copy() made; safe on a zeroed one */
void scan_filter_deinit(struct scan_filter *filter);

bool scan_filter_match(const struct scan_filter *filter, const struct scan_report *report);

/** scan_glob() - does @text match the shell pattern as a whole? Both UTF-8; '*', '?', '[a-z]', '[!a]', '\' */
bool scan_glob(const char *pattern, const char *text);
