/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolving list of a controller. RPAs are made when somebody asks for one and the last is too old: no timer runs.
 */
#include "resolving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aes.h"
#include "controller.h"

#define TIMEOUT_DEFAULT_S 900 /* 7.8.45 */
#define RPA_HASH_LEN      3

/* An RPA of ours, or one under which we call the peer. */
struct rpa {
	struct addr addr;
	bool made;
	uint64_t made_us;
};

struct entry {
	struct addr peer; /* identity */
	uint8_t peer_irk[AES_LEN], local_irk[AES_LEN];
	bool has_peer_irk, has_local_irk;
	bool device_privacy;
	struct rpa local, remote;
};

struct resolving {
	struct controller *ctl;
	struct entry entries[RESOLVING_MAX];
	size_t n;
	bool enabled;
	uint16_t timeout_s;
};

int resolving_new(struct controller *ctl, struct resolving **ret)
{
	struct resolving *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->ctl = ctl;
	resolving_reset(r);
	*ret = r;
	return 0;
}

struct resolving *resolving_free(struct resolving *r)
{
	free(r);
	return NULL;
}

void resolving_reset(struct resolving *r)
{
	r->n = 0;
	r->enabled = false;
	r->timeout_s = TIMEOUT_DEFAULT_S;
}

/* --- addresses (Vol 6, Part B, 1.3.2.2; ah() is Vol 3, Part H, 2.2.2) --- */

/* @prand: 3 octets, least significant first, as the hash */
static void ah(const uint8_t irk[AES_LEN], const uint8_t prand[3], uint8_t ret[RPA_HASH_LEN])
{
	uint8_t block[AES_LEN] = {prand[0], prand[1], prand[2]};

	aes_block_le(irk, block, block);
	memcpy(ret, block, RPA_HASH_LEN);
}

static bool made_with(const uint8_t irk[AES_LEN], const struct addr *a)
{
	uint8_t hash[RPA_HASH_LEN];

	ah(irk, a->b + RPA_HASH_LEN, hash);
	return memcmp(hash, a->b, sizeof(hash)) == 0;
}

static void rpa_make(struct resolving *r, const uint8_t irk[AES_LEN], struct rpa *rpa)
{
	uint8_t *prand = rpa->addr.b + RPA_HASH_LEN;

	do {
		air_rand_bytes(r->ctl->radio.air, prand, 3);
		prand[2] = (uint8_t)((prand[2] & 0x3f) | 0x40);
	} while ((!prand[0] && !prand[1] && prand[2] == 0x40) ||
	         (prand[0] == 0xff && prand[1] == 0xff && prand[2] == 0x7f));
	ah(irk, prand, rpa->addr.b);
	rpa->addr.type = ADDR_RANDOM;
	rpa->made = true;
	rpa->made_us = air_now_us(r->ctl->radio.air);
}

static void rpa_refresh(struct resolving *r, const uint8_t irk[AES_LEN], struct rpa *rpa)
{
	uint64_t age_us = air_now_us(r->ctl->radio.air) - rpa->made_us;

	if (!rpa->made || age_us >= r->timeout_s * UINT64_C(1000000))
		rpa_make(r, irk, rpa);
}

static struct entry *find(struct resolving *r, const struct addr *peer)
{
	for (size_t i = 0; i < r->n; i++) {
		if (addr_equal(&r->entries[i].peer, peer))
			return &r->entries[i];
	}
	return NULL;
}

bool resolving_identity(struct resolving *r, const struct addr *on_air, struct addr *ret)
{
	if (!r->enabled || addr_kind(on_air) != ADDR_KIND_RESOLVABLE)
		return false;
	for (size_t i = 0; i < r->n; i++) {
		struct entry *e = &r->entries[i];

		if (!e->has_peer_irk || !made_with(e->peer_irk, on_air))
			continue;
		e->remote.addr = *on_air;
		*ret = e->peer;
		return true;
	}
	return false;
}

bool resolving_local(struct resolving *r, const struct addr *peer, struct addr *ret)
{
	struct entry *e = find(r, peer);

	if (!e || !e->has_local_irk)
		return false;
	rpa_refresh(r, e->local_irk, &e->local);
	*ret = e->local.addr;
	return true;
}

bool resolving_remote(struct resolving *r, const struct addr *peer, struct addr *ret)
{
	struct entry *e = find(r, peer);

	if (!e || !e->has_peer_irk)
		return false;
	rpa_refresh(r, e->peer_irk, &e->remote);
	*ret = e->remote.addr;
	return true;
}

bool resolving_is_local(struct resolving *r, const struct addr *on_air)
{
	if (addr_kind(on_air) != ADDR_KIND_RESOLVABLE)
		return false;
	for (size_t i = 0; i < r->n; i++) {
		if (r->entries[i].has_local_irk && made_with(r->entries[i].local_irk, on_air))
			return true;
	}
	return false;
}

bool resolving_allows(struct resolving *r, const struct addr *identity, bool resolved)
{
	const struct entry *e = r->enabled && !resolved ? find(r, identity) : NULL;

	return !e || !e->has_peer_irk || e->device_privacy;
}

/* --- as the host fills it --- */

bool resolving_enabled(const struct resolving *r)
{
	return r->enabled;
}

void resolving_enable(struct resolving *r, bool enable)
{
	r->enabled = enable;
}

void resolving_clear(struct resolving *r)
{
	r->n = 0;
}

static bool irk_set(uint8_t to[AES_LEN], const uint8_t from[AES_LEN])
{
	static const uint8_t none[AES_LEN];

	memcpy(to, from, AES_LEN);
	return memcmp(from, none, AES_LEN) != 0;
}

int resolving_add(struct resolving *r, const struct addr *peer, const uint8_t peer_irk[16],
                  const uint8_t local_irk[16])
{
	struct entry *e = &r->entries[r->n];

	if (find(r, peer))
		return -EEXIST;
	if (r->n == RESOLVING_MAX || r->n >= r->ctl->profile.resolving_list_size)
		return -ENOBUFS;
	*e = (struct entry){.peer = *peer};
	e->has_peer_irk = irk_set(e->peer_irk, peer_irk);
	e->has_local_irk = irk_set(e->local_irk, local_irk);
	r->n++;
	return 0;
}

int resolving_remove(struct resolving *r, const struct addr *peer)
{
	struct entry *e = find(r, peer);

	if (!e)
		return -ENOENT;
	r->n--;
	memmove(e, e + 1, (size_t)(&r->entries[r->n] - e) * sizeof(*e));
	return 0;
}

int resolving_set_privacy(struct resolving *r, const struct addr *peer, bool device)
{
	struct entry *e = find(r, peer);

	if (!e)
		return -ENOENT;
	e->device_privacy = device;
	return 0;
}

void resolving_set_timeout(struct resolving *r, uint16_t seconds)
{
	r->timeout_s = seconds;
}

int resolving_read_rpa(struct resolving *r, const struct addr *peer, bool local, struct addr *ret)
{
	const struct entry *e = find(r, peer);
	const struct addr *a;

	if (!e)
		return -ENOENT;
	a = local ? &e->local.addr : &e->remote.addr;
	if (addr_is_any(a))
		return -ENOENT;
	*ret = *a;
	return 0;
}
