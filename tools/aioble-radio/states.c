/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of 7.8.27, as far as it combines advertising, initiating and links. Bits 0 to 15 and 22 to 27 are single roles
 * and those with scanning, which every profile has.
 */
#include "states.h"

#include "aiobled/cleanup.h"

#include "controller.h"
#include "ctl_adv.h"
#include "link.h"

#define INITIATING_CENTRAL    28
#define INITIATING_PERIPHERAL 41

enum kind { NONCONNECTABLE, SCANNABLE, CONNECTABLE, HIGH_DUTY, LOW_DUTY };

static const struct {
	uint8_t initiating, central, peripheral; /* bits */
} advertising[] = {
	[NONCONNECTABLE] = {16, 18, 20}, [SCANNABLE] = {17, 19, 21}, [CONNECTABLE] = {32, 35, 38},
	[HIGH_DUTY] = {33, 36, 39},      [LOW_DUTY] = {34, 37, 40},
};

static enum kind kind_of(uint16_t props)
{
	if (props & ADV_HIGH_DUTY)
		return HIGH_DUTY;
	if ((props & ADV_CONNECTABLE) && (props & ADV_DIRECTED))
		return LOW_DUTY;
	if (props & ADV_CONNECTABLE)
		return CONNECTABLE;
	return props & ADV_SCANNABLE ? SCANNABLE : NONCONNECTABLE;
}

static bool has(const struct controller *ctl, uint8_t bit)
{
	return ctl->profile.le_states >> bit & 1;
}

static bool set_allows(const struct controller *ctl, const struct adv_set *set)
{
	return !set->adv.on || has(ctl, advertising[kind_of(set->adv.props)].initiating);
}

bool states_allow_initiating(const struct controller *ctl)
{
	for (size_t i = 0; i < ARRAY_SIZE(ctl->adv->sets); i++) {
		if (!set_allows(ctl, &ctl->adv->sets[i]))
			return false;
	}
	return set_allows(ctl, &ctl->adv->legacy) &&
	       (!links_count(ctl->links, HCIP_ROLE_CENTRAL) || has(ctl, INITIATING_CENTRAL)) &&
	       (!links_count(ctl->links, HCIP_ROLE_PERIPHERAL) || has(ctl, INITIATING_PERIPHERAL));
}

bool states_allow_advertising(const struct controller *ctl, uint16_t props)
{
	enum kind kind = kind_of(props);

	return (!links_initiating(ctl->links) || has(ctl, advertising[kind].initiating)) &&
	       (!links_count(ctl->links, HCIP_ROLE_CENTRAL) ||
	        has(ctl, advertising[kind].central)) &&
	       (!links_count(ctl->links, HCIP_ROLE_PERIPHERAL) ||
	        has(ctl, advertising[kind].peripheral));
}
