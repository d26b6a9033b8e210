/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names the Bluetooth SIG gave to numbers. UUIDs come from a table made of sig-names.txt, companies
 * from systemd's hardware database on the machine, so those may be missing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** sig_uuid_name() - "Battery Level" for "2a19" (or its full form), or NULL */
const char *sig_uuid_name(const char *uuid);

/**
 * sig_name_matches() - is @text this name? Case, blanks and punctuation do not matter, nor a
 * "Service", "Characteristic" or "Attribute" at the end of the name: "battery", "Battery Service"
 * and "battery_service" are one.
 */
bool sig_name_matches(const char *name, const char *text);

/** sig_name_known() - is @text the name of anything? @ret_service (may be NULL): the number of the
 * service of that name, or 0 */
bool sig_name_known(const char *text, uint16_t *ret_service);

/** sig_name_find() - the number from @first to @last that has this name. Return: false: none has it. */
bool sig_name_find(const char *text, uint16_t first, uint16_t last, uint16_t *ret);

/** sig_company_name() - or NULL; good until the program ends */
const char *sig_company_name(uint16_t id);
