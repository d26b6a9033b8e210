/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filters of scanners. Relies on ad.h for walking hostile payloads. The rule: a filter that is given must pass, one of its
 * values is enough, and the advertisement is always judged together with its scan response.
 */
#include "scan_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/ad.h"
#include "aiobled/cleanup.h"

/* --- patterns --- */

/* One code point; anything that is no UTF-8 counts byte by byte. */
static uint32_t next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned int more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
	uint32_t c = more ? p[0] & (0x3fu >> more) : p[0];

	for (unsigned int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*s += 1;
			return p[0];
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*s += 1 + more;
	return c;
}

/* @p stands after '['. False when there is no closing bracket: then '[' means itself. */
static bool match_bracket(const char **p, uint32_t c, bool *ret_match)
{
	const char *s = *p;
	bool invert = *s == '!' || *s == '^', match = false, first = true;

	if (invert)
		s++;
	for (; *s && (*s != ']' || first); first = false) {
		uint32_t low, high;

		if (*s == '\\' && s[1])
			s++;
		low = high = next_char(&s);
		if (s[0] == '-' && s[1] && s[1] != ']') {
			s++;
			if (*s == '\\' && s[1])
				s++;
			high = next_char(&s);
		}
		match |= c >= low && c <= high;
	}
	if (!*s)
		return false;
	*p = s + 1;
	*ret_match = match != invert;
	return true;
}

/* One element of the pattern, which is not '*' and not the end, against one character. */
static bool match_one(const char **p, uint32_t c)
{
	bool match;

	if (**p == '?') {
		(*p)++;
		return true;
	}
	if (**p == '[') {
		const char *inside = *p + 1;

		if (match_bracket(&inside, c, &match)) {
			*p = inside;
			return match;
		}
	}
	if (**p == '\\' && (*p)[1])
		(*p)++;
	return next_char(p) == c;
}

/* Going back to the last star is enough: an earlier one could not take what this one cannot. */
bool scan_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
			continue;
		}
		if (!*text && !*pattern)
			return true;
		if (*text && *pattern) {
			const char *t = text, *p = pattern;

			if (match_one(&p, next_char(&t))) {
				text = t;
				pattern = p;
				continue;
			}
		}
		if (!star || !*resume)
			return false;
		(void)next_char(&resume); /* the star takes one more */
		text = resume;
		pattern = star;
	}
}

/* --- the questions --- */

static bool match_addr(const struct scan_filter *f, const struct addr *addr)
{
	for (size_t i = 0; i < f->n_addrs; i++) {
		const struct addr *want = &f->addrs[i];

		if (memcmp(want->b, addr->b, ADDR_LEN) == 0 &&
		    (want->type == 0xff || want->type == addr->type))
			return true;
	}
	return false;
}

static bool is_wanted_uuid(const struct scan_filter *f, const struct uuid *uuid)
{
	for (size_t i = 0; i < f->n_uuids; i++)
		if (uuid_equal(&f->uuids[i], uuid))
			return true;
	return false;
}

static bool match_uuid(const struct scan_filter *f, struct ad_iter it)
{
	struct ad_uuid_iter lists = ad_uuid_iter(it);
	const uint8_t *data;
	struct uuid uuid;
	size_t len;

	while (ad_uuid_next(&lists, &uuid))
		if (is_wanted_uuid(f, &uuid))
			return true;
	while (ad_service_data_next(&it, &uuid, &data, &len))
		if (is_wanted_uuid(f, &uuid))
			return true;
	return false;
}

static bool match_company(const struct scan_filter *f, struct ad_iter it)
{
	const uint8_t *data;
	uint16_t company;
	size_t len;

	while (ad_manufacturer_next(&it, &company, &data, &len))
		for (size_t i = 0; i < f->n_companies; i++)
			if (f->companies[i] == company)
				return true;
	return false;
}

/* Against the text that clients get to see, not against the raw bytes. */
static bool match_name(const struct scan_filter *f, struct ad_iter it)
{
	char text[AD_TEXT_SIZE(AD_VALUE_MAX)];
	struct ad_field field;

	while (ad_next(&it, &field)) {
		if (field.type != AD_NAME_SHORT && field.type != AD_NAME_COMPLETE)
			continue;
		(void)ad_text(field.data, field.len, text, sizeof(text));
		for (size_t i = 0; i < f->n_names; i++)
			if (scan_glob(f->names[i], text))
				return true;
	}
	return false;
}

bool scan_filter_match(const struct scan_filter *f, const struct scan_report *report)
{
	struct ad_iter it = ad_iter2(report->adv, report->adv_len, report->rsp, report->rsp_len);

	if (f->rssi_min_dbm != SCAN_RSSI_ANY &&
	    (report->rssi_dbm == SCAN_RSSI_NONE || report->rssi_dbm < f->rssi_min_dbm))
		return false;
	if (f->n_addrs && !match_addr(f, &report->addr))
		return false;
	if (f->n_companies && !match_company(f, it))
		return false;
	if (f->n_uuids && !match_uuid(f, it))
		return false;
	return !f->n_names || match_name(f, it);
}

/* --- the copy --- */

static void *copy_array(const void *from, size_t n, size_t size)
{
	void *to = n ? malloc(n * size) : NULL;

	if (to)
		memcpy(to, from, n * size);
	return to;
}

static const char **copy_names(const char *const *from, size_t n)
{
	const char **to = n ? calloc(n, sizeof(*to)) : NULL;

	for (size_t i = 0; to && i < n; i++) {
		to[i] = strdup(from[i]);
		if (!to[i]) {
			while (i-- > 0)
				free((char *)to[i]);
			free(to);
			return NULL;
		}
	}
	return to;
}

static bool is_bounded(const struct scan_filter *f)
{
	return f->n_uuids <= SCAN_FILTER_VALUES_MAX && f->n_names <= SCAN_FILTER_VALUES_MAX &&
	       f->n_addrs <= SCAN_FILTER_VALUES_MAX && f->n_companies <= SCAN_FILTER_VALUES_MAX;
}

int scan_filter_copy(const struct scan_filter *from, struct scan_filter *ret)
{
	struct scan_filter copy = *from;

	if (!is_bounded(from))
		return -EINVAL;
	copy.uuids = copy_array(from->uuids, from->n_uuids, sizeof(*from->uuids));
	copy.names = copy_names(from->names, from->n_names);
	copy.addrs = copy_array(from->addrs, from->n_addrs, sizeof(*from->addrs));
	copy.companies = copy_array(from->companies, from->n_companies, sizeof(*from->companies));
	if ((copy.n_uuids && !copy.uuids) || (copy.n_names && !copy.names) ||
	    (copy.n_addrs && !copy.addrs) || (copy.n_companies && !copy.companies)) {
		scan_filter_deinit(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

void scan_filter_deinit(struct scan_filter *f)
{
	for (size_t i = 0; f->names && i < f->n_names; i++)
		free((char *)f->names[i]);
	free((char **)f->names);
	free((struct uuid *)f->uuids);
	free((struct addr *)f->addrs);
	free((uint16_t *)f->companies);
	*f = (struct scan_filter){0};
}
