/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-128 by nettle, and the order of octets that HCI and the air have. */
#include "aes.h"

#include <nettle/aes.h>

void aes_block(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN])
{
	struct aes128_ctx ctx;

	aes128_set_encrypt_key(&ctx, key);
	aes128_encrypt(&ctx, AES_LEN, out, in);
}

static void reverse(uint8_t to[AES_LEN], const uint8_t from[AES_LEN])
{
	for (int i = 0; i < AES_LEN; i++)
		to[i] = from[AES_LEN - 1 - i];
}

void aes_block_le(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN])
{
	uint8_t k[AES_LEN], s[AES_LEN];

	reverse(k, key);
	reverse(s, in);
	aes_block(k, s, s);
	reverse(out, s);
}
