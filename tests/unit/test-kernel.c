/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/kernel.h"

#include "aiobled/cleanup.h"

#include "test.h"

static void broken_kernels_are_named(void **state)
{
	static const struct {
		const char *release, *version;
		bool fault;
	} rows[] = {
		/* Debian: the source's version stands in the version string only */
		{ "6.1.0-59-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-02)", true },
		{ "6.1.0-58-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-08-30)", true },
		{ "6.1.0-50-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-05-01)", false },
		{ "6.1.0-60-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.193-1 (2026-11-01)", false },
		{ "6.12.90+deb12-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.90-1~bpo12+1 (2026-10-01)", false },
		/* others: in the release */
		{ "6.1.186", "#1 SMP", false },
		{ "6.1.187", "#1 SMP", true },
		{ "6.1.190-custom", "#7 SMP PREEMPT", true },
		{ "6.1.192", "#1 SMP", true },
		{ "6.1.193", "#1 SMP", false },
		{ "6.6.190", "#1 SMP", false },
		{ "5.1.190", "#1 SMP", false },
		{ "6.1.0-59-amd64", "#1 SMP Debian", false },
		{ "next", "Debian sid", false },
		{ "", "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *fault = kernel_fault_of(rows[i].release, rows[i].version);

		if (!!fault != rows[i].fault)
			fail_msg("%s, %s", rows[i].release, rows[i].version);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_kernels_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
