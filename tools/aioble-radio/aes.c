/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-128 straight from FIPS 197: the S-box is computed once, the key is expanded for each block.
 */
#include "aes.h"

#include <stdbool.h>
#include <string.h>

#define ROUNDS 10

static uint8_t sbox[256];

static uint8_t xtime(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint8_t rotl8(uint8_t x, int n)
{
	return (uint8_t)(x << n | x >> (8 - n));
}

/* 5.1.1: the inverse in GF(2^8), then an affine map. Walks all p = 3^n beside q = 3^-n. */
static void sbox_fill(void)
{
	uint8_t p = 1, q = 1;

	do {
		p = p ^ xtime(p);
		q ^= (uint8_t)(q << 1);
		q ^= (uint8_t)(q << 2);
		q ^= (uint8_t)(q << 4);
		if (q & 0x80)
			q ^= 0x09;
		sbox[p] =
			(uint8_t)(0x63 ^ q ^ rotl8(q, 1) ^ rotl8(q, 2) ^ rotl8(q, 3) ^ rotl8(q, 4));
	} while (p != 1);
	sbox[0] = 0x63;
}

/* 5.2: the next round's key from this one's, in place */
static void next_key(uint8_t k[AES_LEN], uint8_t rcon)
{
	k[0] ^= sbox[k[13]] ^ rcon;
	k[1] ^= sbox[k[14]];
	k[2] ^= sbox[k[15]];
	k[3] ^= sbox[k[12]];
	for (int i = 4; i < AES_LEN; i++)
		k[i] ^= k[i - 4];
}

static void add_key(uint8_t s[AES_LEN], const uint8_t k[AES_LEN])
{
	for (int i = 0; i < AES_LEN; i++)
		s[i] ^= k[i];
}

/* 5.1.1 and 5.1.2 in one: row r of column c comes from column c + r */
static void sub_and_shift(uint8_t s[AES_LEN])
{
	uint8_t t[AES_LEN];

	for (int i = 0; i < AES_LEN; i++)
		t[i] = sbox[s[(i + 4 * (i % 4)) % AES_LEN]];
	memcpy(s, t, AES_LEN);
}

/* 5.1.3 */
static void mix_columns(uint8_t s[AES_LEN])
{
	for (uint8_t *c = s; c < s + AES_LEN; c += 4) {
		uint8_t first = c[0], all = c[0] ^ c[1] ^ c[2] ^ c[3];

		for (int i = 0; i < 4; i++)
			c[i] ^= all ^ xtime(c[i] ^ (i < 3 ? c[i + 1] : first));
	}
}

void aes_encrypt(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN])
{
	uint8_t k[AES_LEN], s[AES_LEN], rcon = 1;

	if (!sbox[0])
		sbox_fill();
	memcpy(k, key, AES_LEN);
	memcpy(s, in, AES_LEN);
	add_key(s, k);
	for (int round = 1; round <= ROUNDS; round++) {
		sub_and_shift(s);
		if (round < ROUNDS)
			mix_columns(s);
		next_key(k, rcon);
		rcon = xtime(rcon);
		add_key(s, k);
	}
	memcpy(out, s, AES_LEN);
}

static void reverse(uint8_t to[AES_LEN], const uint8_t from[AES_LEN])
{
	for (int i = 0; i < AES_LEN; i++)
		to[i] = from[AES_LEN - 1 - i];
}

void aes_encrypt_le(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN])
{
	uint8_t k[AES_LEN], s[AES_LEN];

	reverse(k, key);
	reverse(s, in);
	aes_encrypt(k, s, s);
	reverse(out, s);
}
