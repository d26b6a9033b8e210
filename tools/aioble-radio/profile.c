/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The profiles: three versions of a single-mode controller, and what may be added.
 */
#include "profile.h"

#include <errno.h>
#include <string.h>

#include "aiobled/cleanup.h"

#define FEATURES_4_0 FEATURE_ENCRYPTION
#define FEATURES_4_2                                                                               \
	(FEATURES_4_0 | FEATURE_CONN_PARAM_REQ | FEATURE_EXT_REJECT | FEATURE_PERIPHERAL_FEAT |    \
	 FEATURE_PING | FEATURE_DATA_LENGTH | FEATURE_LL_PRIVACY | FEATURE_EXT_SCAN_FILTER)
#define FEATURES_5_2                                                                               \
	(FEATURES_4_2 | FEATURE_2M | FEATURE_CODED | FEATURE_EXT_ADV | FEATURE_CHANNEL_SEL_2)

/*
 * LE_States (Core 5.4, Vol 4, Part E, 7.8.27): bits 0 to 41. The plain set leaves out everything that combines a link as
 * a peripheral with another role, as controllers of the first generation do.
 */
#define STATES_ALL   0x000003ffffffffffull
#define STATES_PLAIN 0x000000001fffffffull

#define SIZES_4                                                                                    \
	.acl_len = 27, .acl_count = 12, .accept_list_size = 8, .adv_sets = 1, .adv_data_max = 31
#define SIZES_5                                                                                    \
	.acl_len = 251, .acl_count = 12, .accept_list_size = 16, .resolving_list_size = 16,        \
	.adv_sets = 8, .adv_data_max = 1650

static const struct {
	const char *name;
	struct profile profile;
} profiles[] = {
	{"4.0", {.version = VERSION_4_0, .features = FEATURES_4_0, SIZES_4}},
	{"4.2",
         {.version = VERSION_4_2,
          .features = FEATURES_4_2,
          .acl_len = 251,
          .acl_count = 12,
          .accept_list_size = 16,
          .resolving_list_size = 16,
          .adv_sets = 1,
          .adv_data_max = 31}},
	{"5.2", {.version = VERSION_5_2, .features = FEATURES_5_2, SIZES_5}},
};

const char *profile_names(void)
{
	return "4.0, 4.2 or 5.2, then any of ,dual ,le-states ,mixed";
}

static bool word_is(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static int version_parse(const char *s, size_t len, struct profile *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (word_is(s, len, profiles[i].name)) {
			*ret = profiles[i].profile;
			return 0;
		}
	}
	return -EINVAL;
}

static int addition_parse(const char *s, size_t len, struct profile *p)
{
	if (word_is(s, len, "dual"))
		p->dual = true;
	else if (word_is(s, len, "le-states"))
		p->all_states = true;
	else if (word_is(s, len, "mixed"))
		p->mixed = true;
	else
		return -EINVAL;
	return 0;
}

int profile_parse(const char *s, struct profile *ret)
{
	size_t len = strcspn(s, ",");
	struct profile p;
	int r = version_parse(s, len, &p);

	for (s += len; r == 0 && *s == ','; s += len) {
		len = strcspn(++s, ",");
		r = addition_parse(s, len, &p);
	}
	if (r < 0)
		return r;
	p.le_states = p.all_states ? STATES_ALL : STATES_PLAIN;
	*ret = p;
	return 0;
}
