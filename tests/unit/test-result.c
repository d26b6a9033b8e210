/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/result.h"

#include "test.h"

static void keeps_the_origin(void **state)
{
	assert_int_equal(res_domain(RES_ATT(0x05)), RES_DOMAIN_ATT);
	assert_int_equal(res_code(RES_ATT(0x05)), 5);
	assert_int_equal(RES_ATT(0x05), 0x105);
	assert_int_equal(RES_HCI(0x3e), 0x23e);
	assert_int_equal(res_domain(-ETIMEDOUT), RES_DOMAIN_ERRNO);
	assert_int_equal(res_domain(0), RES_DOMAIN_ERRNO);
}

static void has_words(void **state)
{
	static const struct {
		int res;
		const char *text;
	} rows[] = {
		{RES_ATT(0x05), "ATT 0x05 (insufficient authentication)"},
		{RES_ATT(0x80), "ATT 0x80 (application error)"},
		{RES_ATT(0xfd),
	         "ATT 0xfd (client characteristic configuration improperly configured)"},
		{RES_HCI(0x08), "HCI 0x08 (connection timeout)"},
		{RES_HCI(0xee), "HCI 0xee (no name in the specification)"},
		{RES_MGMT(0x12), "kernel mgmt 0x12 (blocked by rfkill)"},
		{RES_SMP(0x04), "SMP 0x04 (confirm value failed)"},
		{RES_L2CAP(0x02), "L2CAP 0x02 (SPSM not supported)"},
		{0, "success"},
		{-ETIMEDOUT, "Connection timed out"},
	};
	char buf[RES_TEXT_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(res_text(rows[i].res, buf, sizeof(buf)), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_origin),
		cmocka_unit_test(has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
