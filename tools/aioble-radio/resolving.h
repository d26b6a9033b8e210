/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolving list of a controller (Core 5.4, Vol 6, Part B, 4.7 and 6): whose resolvable private address is that, and
 * which address do we show to whom.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/addr.h"

#define RESOLVING_MAX 32 /* the largest size a profile has */

struct controller;
struct resolving;

int resolving_new(struct controller *ctl, struct resolving **ret);
struct resolving *resolving_free(struct resolving *r);

/** resolving_reset() - empty, resolution off, default timeout */
void resolving_reset(struct resolving *r);

/** resolving_identity() - the identity behind @on_air when resolution is on and an entry's peer IRK fits */
bool resolving_identity(struct resolving *r, const struct addr *on_air, struct addr *ret);

/** resolving_local() - the current RPA made with the local IRK of @peer's entry; false: there is none, use the identity */
bool resolving_local(struct resolving *r, const struct addr *peer, struct addr *ret);

/** resolving_remote() - the address under which @peer (an identity) is addressed: an RPA if its entry has an IRK */
bool resolving_remote(struct resolving *r, const struct addr *peer, struct addr *ret);

/** resolving_is_local() - is @on_air (or was it lately) an RPA of ours? */
bool resolving_is_local(struct resolving *r, const struct addr *on_air);

/**
 * resolving_allows() - may a PDU of @identity be accepted, resolved or not?
 *
 * In network privacy mode a device whose peer IRK we have must not show its identity address (Vol 6, Part B, 4.7).
 */
bool resolving_allows(struct resolving *r, const struct addr *identity, bool resolved);

/* --- as the host fills it (Vol 4, Part E, 7.8.38 to 7.8.45, 7.8.77) --- */

/** resolving_add() - all zeroes are no IRK. Return: 0, -EEXIST or -ENOBUFS. */
int resolving_add(struct resolving *r, const struct addr *peer, const uint8_t peer_irk[16],
                  const uint8_t local_irk[16]);

/** resolving_remove(), resolving_set_privacy() - Return: 0 or -ENOENT */
int resolving_remove(struct resolving *r, const struct addr *peer);
int resolving_set_privacy(struct resolving *r, const struct addr *peer, bool device);
void resolving_clear(struct resolving *r);

bool resolving_enabled(const struct resolving *r);
void resolving_enable(struct resolving *r, bool enable);
void resolving_set_timeout(struct resolving *r, uint16_t seconds);

/** resolving_read_rpa() - the one last used by us (@local) or the peer. Return: 0; -ENOENT: no entry, or none yet. */
int resolving_read_rpa(struct resolving *r, const struct addr *peer, bool local, struct addr *ret);
