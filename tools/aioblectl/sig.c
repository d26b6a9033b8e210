/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Assigned numbers. The table is sorted by number; names are compared letter by letter, ignoring
 * everything else.
 */
#include "sig.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-hwdb.h>

#include "aiobled/cleanup.h"
#include "aiobled/uuid.h"

struct sig_name {
	uint16_t uuid;
	const char *name;
};

#include "sig-names.inc"

static int compare(const void *key, const void *element)
{
	return (int)*(const uint16_t *)key - (int)((const struct sig_name *)element)->uuid;
}

const char *sig_uuid_name(const char *uuid)
{
	const struct sig_name *found;
	struct uuid u;
	uint16_t n;

	if (uuid_parse(uuid, &u) < 0 || !uuid_is16(&u, &n))
		return NULL;
	found = bsearch(&n, sig_names, ARRAY_SIZE(sig_names), sizeof(sig_names[0]), compare);
	return found ? found->name : NULL;
}

/* The next letter or digit in lower case, 0 at the end */
static int letter(const char **s)
{
	while (**s && !isalnum((unsigned char)**s))
		(*s)++;
	return **s ? tolower((unsigned char)*(*s)++) : 0;
}

static bool same_letters(const char *a, const char *b)
{
	for (;;) {
		int x = letter(&a), y = letter(&b);

		if (x != y)
			return false;
		if (!x)
			return true;
	}
}

/* @name says @text, then one of the words that only repeat what the thing is */
static bool same_with_suffix(const char *name, const char *text)
{
	static const char *const suffixes[] = {"Service", "Characteristic", "Attribute"};

	for (;;) {
		int y = letter(&text);

		if (!y)
			break;
		if (letter(&name) != y)
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (same_letters(name, suffixes[i]))
			return true;
	return false;
}

bool sig_name_matches(const char *name, const char *text)
{
	const char *first = text;

	if (!letter(&first))
		return false; /* nothing in it to compare */
	return same_letters(name, text) || same_with_suffix(name, text);
}

bool sig_name_known(const char *text, uint16_t *ret_service)
{
	bool known = false;

	if (ret_service)
		*ret_service = 0;
	for (size_t i = 0; i < ARRAY_SIZE(sig_names); i++) {
		if (!sig_name_matches(sig_names[i].name, text))
			continue;
		known = true;
		if (ret_service && sig_names[i].uuid >> 8 == 0x18)
			*ret_service = sig_names[i].uuid;
	}
	return known;
}

bool sig_name_find(const char *text, uint16_t first, uint16_t last, uint16_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(sig_names); i++) {
		if (sig_names[i].uuid < first || sig_names[i].uuid > last ||
		    !sig_name_matches(sig_names[i].name, text))
			continue;
		*ret = sig_names[i].uuid;
		return true;
	}
	return false;
}

const char *sig_company_name(uint16_t id)
{
	static sd_hwdb *hwdb; /* its strings live as long as it does: until the program ends */
	static bool tried;
	const char *name;
	char key[32];

	if (!tried && sd_hwdb_new(&hwdb) < 0)
		hwdb = NULL;
	tried = true;
	(void)snprintf(key, sizeof(key), "bluetooth:v%04X", id); /* fits */
	if (!hwdb || sd_hwdb_get(hwdb, key, "ID_VENDOR_FROM_DATABASE", &name) < 0)
		return NULL;
	return name;
}
