/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CCM of RFC 3610 by nettle, with a 13 octet nonce, a 4 octet MIC and one octet of additional data. */
#include "ccm.h"

#include <nettle/ccm.h>
#include <string.h>

#define NONCE_LEN   13
#define PAYLOAD_MAX 255
#define HEADER_MASK 0xe3 /* without NESN, SN and MD */

void ccm_init(struct ccm *c, const uint8_t ltk[AES_LEN], const uint8_t skd[AES_LEN],
              const uint8_t iv[8])
{
	uint8_t key[AES_LEN];

	aes_block_le(ltk, skd, key);
	for (int i = 0; i < AES_LEN; i++)
		c->key[i] = key[AES_LEN - 1 - i];
	memcpy(c->iv, iv, sizeof(c->iv));
}

/* Part E, 2.1: packet counter of 39 bits, direction, IV */
static void put_nonce(const struct ccm *c, uint64_t counter, bool from_central,
                      uint8_t out[NONCE_LEN])
{
	for (int i = 0; i < 5; i++)
		out[i] = (uint8_t)(counter >> (8 * i));
	out[4] = (uint8_t)((out[4] & 0x7f) | (from_central ? 0x80 : 0));
	memcpy(out + 5, c->iv, sizeof(c->iv));
}

void ccm_mic(const struct ccm *c, uint64_t counter, bool from_central, uint8_t header,
             const uint8_t *data, size_t len, uint8_t ret[CCM_MIC_LEN])
{
	uint8_t nonce[NONCE_LEN], extra = header & HEADER_MASK, ciphertext[PAYLOAD_MAX];
	struct ccm_aes128_ctx ctx;

	put_nonce(c, counter, from_central, nonce);
	ccm_aes128_set_key(&ctx, c->key);
	ccm_aes128_set_nonce(&ctx, sizeof(nonce), nonce, sizeof(extra), len, CCM_MIC_LEN);
	ccm_aes128_update(&ctx, sizeof(extra), &extra);
	ccm_aes128_encrypt(&ctx, len, ciphertext,
	                   data); /* nobody sees it: the air shows the data */
	ccm_aes128_digest(&ctx, CCM_MIC_LEN, ret);
}
