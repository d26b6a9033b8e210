/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising data. Input: one byte, how much of the rest is advertising data; what remains is the scan response.
 */
#include "aiobled/ad.h"

#include "fuzz.h"

/* What was walked and is whole, written again, is what was there. */
static void check_rebuilt(const uint8_t *data, size_t len)
{
	uint8_t *out = malloc(len + 1);
	struct wr w = wr_init(out, len);
	struct ad_iter it = ad_iter(data, len);
	struct ad_field f;

	FUZZ_CHECK(out);
	while (ad_next(&it, &f)) {
		FUZZ_CHECK(f.data >= data && f.data + f.len <= data + len);
		if (!f.truncated)
			ad_put(&w, f.type, f.data, f.len);
	}
	FUZZ_CHECK(wr_ok(&w) && (wr_len(&w) == 0 || memcmp(out, data, wr_len(&w)) == 0));
	free(out);
}

/* Safe text is its own safe form. */
static void check_text(const uint8_t *data, size_t len)
{
	size_t size = AD_TEXT_SIZE(len), n, again_n;
	char *text = malloc(size), *again = malloc(size);

	FUZZ_CHECK(text && again);
	n = ad_text(data, len, text, size);
	FUZZ_CHECK(n < size && strlen(text) == n);
	again_n = ad_text((const uint8_t *)text, n, again, size);
	FUZZ_CHECK(again_n == n && memcmp(text, again, n) == 0);
	(void)ad_text(data, len, text, len / 2 + 1); /* too small: cut at a character */
	again_n = ad_text((const uint8_t *)text, strlen(text), again, size);
	FUZZ_CHECK(again_n == strlen(text) && memcmp(text, again, again_n) == 0);
	free(text);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t adv_len = size ? data[0] % size : 0;
	const uint8_t *adv = size ? data + 1 : NULL, *value;
	struct ad_iter it =
		ad_iter2(adv, adv_len, size ? adv + adv_len : NULL, size ? size - 1 - adv_len : 0);
	struct ad_iter walk = it;
	struct ad_uuid_iter u = ad_uuid_iter(it);
	struct ad_field f;
	struct uuid uuid;
	uint16_t n16;
	uint8_t n8;
	int8_t dbm;
	size_t len;

	check_rebuilt(adv, adv_len);
	if (ad_name(it, &f))
		check_text(f.data, f.len);
	check_text(adv, adv_len);
	while (ad_uuid_next(&u, &uuid))
		FUZZ_CHECK(ad_has_uuid(it, &uuid));
	while (ad_manufacturer_next(&walk, &n16, &value, &len))
		FUZZ_CHECK(value >= adv && value + len <= data + size);
	for (walk = it; ad_service_data_next(&walk, &uuid, &value, &len);)
		FUZZ_CHECK(value >= adv && value + len <= data + size);
	(void)ad_flags(it, &n8);
	(void)ad_appearance(it, &n16);
	(void)ad_tx_power(it, &dbm);
	return 0;
}
