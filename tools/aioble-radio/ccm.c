/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CCM of RFC 3610 with a 13 octet nonce, a 4 octet MIC and one octet of additional data.
 */
#include "ccm.h"

#include <string.h>

#define FLAGS_B0    0x49 /* additional data, MIC of 4, length in 2 octets */
#define FLAGS_A     0x01
#define HEADER_MASK 0xe3 /* without NESN, SN and MD */

void ccm_init(struct ccm *c, const uint8_t ltk[AES_LEN], const uint8_t skd[AES_LEN],
              const uint8_t iv[8])
{
	uint8_t key[AES_LEN];

	aes_encrypt_le(ltk, skd, key);
	for (int i = 0; i < AES_LEN; i++)
		c->key[i] = key[AES_LEN - 1 - i];
	memcpy(c->iv, iv, sizeof(c->iv));
}

/* Part E, 2.1: packet counter of 39 bits, direction, IV */
static void put_nonce(const struct ccm *c, uint64_t counter, bool from_central, uint8_t out[13])
{
	for (int i = 0; i < 5; i++)
		out[i] = (uint8_t)(counter >> (8 * i));
	out[4] = (uint8_t)((out[4] & 0x7f) | (from_central ? 0x80 : 0));
	memcpy(out + 5, c->iv, sizeof(c->iv));
}

static void absorb(const struct ccm *c, uint8_t x[AES_LEN], const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		x[i] ^= data[i];
	aes_encrypt(c->key, x, x);
}

void ccm_mic(const struct ccm *c, uint64_t counter, bool from_central, uint8_t header,
             const uint8_t *data, size_t len, uint8_t ret[CCM_MIC_LEN])
{
	uint8_t x[AES_LEN] = {FLAGS_B0}, s0[AES_LEN] = {FLAGS_A};
	uint8_t extra[] = {0, 1, header & HEADER_MASK};

	put_nonce(c, counter, from_central, x + 1);
	memcpy(s0 + 1, x + 1, 13);
	x[15] = (uint8_t)len;
	aes_encrypt(c->key, x, x);
	absorb(c, x, extra, sizeof(extra));
	for (size_t at = 0; at < len; at += AES_LEN)
		absorb(c, x, data + at, len - at < AES_LEN ? len - at : AES_LEN);
	aes_encrypt(c->key, s0, s0);
	for (int i = 0; i < CCM_MIC_LEN; i++)
		ret[i] = x[i] ^ s0[i];
}
