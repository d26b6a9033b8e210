/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices a scan has heard, each with the latest of what its packets said, and a table of them.
 */
#pragma once

#include "ctl.h"
#include "text.h"

/* More are counted only */
#define DEVICES_MAX 4096

struct device;

struct devices {
	struct device *list;
	size_t count;
	uint64_t reports;  /* of all devices */
	uint64_t overflow; /* reports of devices beyond DEVICES_MAX */
};

/** devices_add() - take in one report (org.aioble.Scanner1). Return: whether its device is a new one. */
bool devices_add(struct devices *d, json_object *report);

/** devices_text() - a table of at most @rows lines of @columns, heading and summary included */
void devices_text(struct ctl *c, const struct devices *d, struct text *ret, size_t rows,
                  size_t columns);

void devices_free(struct devices *d);

/** report_companies(), report_services() - lists in one string, "" when empty; free() it. @names: of the SIG */
char *report_companies(json_object *report);
char *report_services(json_object *report, bool names);
