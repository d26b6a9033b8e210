/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The initiating state (Core 5.4, Vol 6, Part B, 4.4.4): listens in its windows until an advertiser that it wants is
 * heard, and asks it for a link.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/addr.h"

#include "link_priv.h"
#include "phy.h"
#include "scanner.h"

struct initiator;

struct initiator_phy {
	bool on;
	uint32_t interval_us,
		window_us;         /* of scanning; not for 2M, which no advertiser begins with */
	struct link_params params; /* of a link on this PHY */
};

struct initiator_request {
	bool extended; /* by the extended command: auxiliary PDUs are followed */
	bool by_list;
	struct addr target; /* identity, or whatever is on the air */
	uint8_t own_type;
	struct initiator_phy phys[PHY_CODED]; /* by enum phy, less one */
};

int initiator_new(struct links *links, struct initiator **ret);
struct initiator *initiator_free(struct initiator *i);

/** initiator_start() - listen from now on; it must be off */
void initiator_start(struct initiator *i, const struct initiator_request *req);

/** initiator_stop() - without a word to the host */
void initiator_stop(struct initiator *i);

/** initiator_cancel() - the host's wish; LE Connection Complete (0x02) follows, later */
void initiator_cancel(struct initiator *i);
bool initiator_on(const struct initiator *i);
bool initiator_by_list(const struct initiator *i);

/** initiator_confirm() - AUX_CONNECT_RSP arrived: @l is a link */
void initiator_confirm(struct initiator *i, struct link *l);
