/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a controller is made to look like: version, features, sizes. A profile never changes while a controller has it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Assigned Numbers, HCI and LL version. */
enum {
	VERSION_4_0 = 0x06,
	VERSION_4_1 = 0x07,
	VERSION_4_2 = 0x08,
	VERSION_5_0 = 0x09,
	VERSION_5_1 = 0x0a,
	VERSION_5_2 = 0x0b,
};

/* LE features (Core 5.4, Vol 6, Part B, 4.6) that a profile may have. */
#define FEATURE_ENCRYPTION      (UINT64_C(1) << 0)
#define FEATURE_CONN_PARAM_REQ  (UINT64_C(1) << 1)
#define FEATURE_EXT_REJECT      (UINT64_C(1) << 2)
#define FEATURE_PERIPHERAL_FEAT (UINT64_C(1) << 3)
#define FEATURE_PING            (UINT64_C(1) << 4)
#define FEATURE_DATA_LENGTH     (UINT64_C(1) << 5)
#define FEATURE_LL_PRIVACY      (UINT64_C(1) << 6)
#define FEATURE_EXT_SCAN_FILTER (UINT64_C(1) << 7)
#define FEATURE_2M              (UINT64_C(1) << 8)
#define FEATURE_CODED           (UINT64_C(1) << 11)
#define FEATURE_EXT_ADV         (UINT64_C(1) << 12)
#define FEATURE_CHANNEL_SEL_2   (UINT64_C(1) << 14)

struct profile {
	uint8_t version;
	bool dual;       /* BR/EDR is announced; nobody is ever found or reached by it */
	bool all_states; /* every combination of LE states, or those of a plain old controller only */
	bool mixed;      /* legacy and extended commands may be mixed, which 3.1.1 forbids */
	uint64_t features;
	uint16_t acl_len, acl_count; /* LE ACL buffers for the host */
	uint8_t accept_list_size, resolving_list_size;
	uint8_t adv_sets;      /* 1 without extended advertising */
	uint16_t adv_data_max; /* 31 without extended advertising */
	uint64_t le_states;
};

/**
 * profile_parse() - "VERSION[,dual][,le-states][,mixed]" with a VERSION of 4.0, 4.2 or 5.2
 *
 * "dual" announces BR/EDR too, "le-states" all combinations of LE states; "mixed" takes legacy and
 * extended commands side by side, as many chips do.
 *
 * Return: 0 or -EINVAL.
 */
int profile_parse(const char *s, struct profile *ret);

/** profile_names() - what profile_parse() knows, for messages */
const char *profile_names(void);
