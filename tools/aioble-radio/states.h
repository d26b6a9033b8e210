/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LE_States of a profile: which roles a controller takes at a time (Core 5.4, Vol 4, Part E, 7.8.27).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct controller;

/** states_allow_initiating() - beside the links there are, and the sets that advertise */
bool states_allow_initiating(const struct controller *ctl);

/** states_allow_advertising() - with @props (enum adv_props), beside links and a pending initiation */
bool states_allow_advertising(const struct controller *ctl, uint16_t props);
