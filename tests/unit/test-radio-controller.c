/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way from a command to its answer, for every row of the tables in every profile: what is announced is answered,
 * what is not is unknown, what is cut short is an error.
 */
#include <string.h>

#include "aiobled/cleanup.h"

#include "../support/ctl_bed.h"

#include "test.h"

static const char *const profiles[] = {"4.0",      "4.2", "5.2", "4.0,dual", "5.2,dual,le-states",
                                       "5.2,mixed"};

static bool announced(const struct bed_radio *r, const struct ctl_cmd *c)
{
	return c->octet != CTL_CMD_NO_BIT && (r->ctl->commands[c->octet] >> c->bit & 1);
}

/* The one command that is not answered unless it is wrong */
#define HOST_COMPLETED 0x0c35

static void check_row(struct bed *bed, struct bed_radio *r, const struct ctl_cmd *c)
{
	uint8_t params[255] = {0};
	bool known = ctl_cmd_find(r->ctl, c->opcode);
	int status;

	if (!known) {
		assert_false(announced(r, c));
		assert_int_equal(bed_cmd_bytes(bed, r, c->opcode, params, c->len),
		                 HCIP_STATUS_UNKNOWN_COMMAND);
		return;
	}
	assert_true(c->octet == CTL_CMD_NO_BIT || announced(r, c));
	for (size_t len = 0; len < c->len; len++)
		assert_int_equal(bed_cmd_bytes(bed, r, c->opcode, params, len),
		                 HCIP_STATUS_INVALID_PARAMS);
	if (!(c->flags & CTL_CMD_VARIABLE))
		assert_int_equal(bed_cmd_bytes(bed, r, c->opcode, params, c->len + 1u),
		                 HCIP_STATUS_INVALID_PARAMS);
	status = bed_cmd_bytes(bed, r, c->opcode, params, c->len);
	if (c->opcode == HOST_COMPLETED) {
		assert_int_equal(status, -1);
		return;
	}
	assert_int_not_equal(status, -1);
	assert_int_not_equal(status, HCIP_STATUS_UNKNOWN_COMMAND);
	if (!(c->flags & CTL_CMD_STATUS))
		assert_true(r->ret_len >= c->ret_len);
	assert_int_equal(bed_cmd(bed, r, 0x0c03, ""), 0);
}

static void test_every_command(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		const struct ctl_cmd *c;
		struct bed bed;
		struct bed_radio *r;

		bed_init(&bed, 1);
		r = bed_add(&bed, profiles[i]);
		for (size_t n = 0; (c = ctl_cmd_at(n)); n++)
			check_row(&bed, r, c);
		bed_deinit(&bed);
	}
}

/* Two rows must not have one opcode or one bit. */
static void test_tables(void **state)
{
	const struct ctl_cmd *a, *b;

	for (size_t i = 0; (a = ctl_cmd_at(i)); i++) {
		assert_non_null(a->name);
		for (size_t j = i + 1; (b = ctl_cmd_at(j)); j++) {
			assert_int_not_equal(a->opcode, b->opcode);
			if (a->octet != CTL_CMD_NO_BIT)
				assert_false(a->octet == b->octet && a->bit == b->bit);
		}
	}
}

static void test_unknown(void **state)
{
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "5.2");
	assert_int_equal(bed_cmd(&bed, r, 0xfc01, "0102"), HCIP_STATUS_UNKNOWN_COMMAND);
	assert_int_equal(bed_cmd(&bed, r, 0x0000, ""), HCIP_STATUS_UNKNOWN_COMMAND);
	assert_int_equal(r->ctl->stats.unknown, 2);
	bed_deinit(&bed);
}

/* What the daemon asks first, read with the daemon's own codec */
static void test_informational(void **state)
{
	static const struct {
		const char *profile;
		uint8_t version, list;
		uint64_t features;
		bool ext_scan;
	} rows[] = {
		{"4.0", 6, 8, 0x01, false},
		{"4.2", 8, 16, 0xff, false},
		{"5.2", 11, 16, 0x59ff, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hcip_local_version v;
		uint8_t commands[HCIP_COMMANDS_LEN], size;
		uint64_t features;
		struct bed bed;
		struct bed_radio *r;

		bed_init(&bed, 1);
		r = bed_add(&bed, rows[i].profile);
		assert_int_equal(bed_cmd(&bed, r, HCIP_READ_LOCAL_VERSION, ""), 0);
		assert_int_equal(hcip_parse_local_version(r->ret, r->ret_len, &v), 0);
		assert_int_equal(v.hci_version, rows[i].version);
		assert_int_equal(bed_cmd(&bed, r, HCIP_READ_LOCAL_COMMANDS, ""), 0);
		assert_int_equal(hcip_parse_local_commands(r->ret, r->ret_len, commands), 0);
		assert_int_equal(hcip_has_ext_scan(commands), rows[i].ext_scan);
		assert_true(hcip_has_command(commands, 5, 7));
		assert_int_equal(bed_cmd(&bed, r, HCIP_LE_READ_LOCAL_FEATURES, ""), 0);
		assert_int_equal(hcip_parse_le_features(r->ret, r->ret_len, &features), 0);
		assert_int_equal(features, rows[i].features);
		assert_int_equal(bed_cmd(&bed, r, HCIP_LE_READ_ACCEPT_LIST_SIZE, ""), 0);
		assert_int_equal(hcip_parse_accept_list_size(r->ret, r->ret_len, &size), 0);
		assert_int_equal(size, rows[i].list);
		assert_int_equal(bed_cmd(&bed, r, HCIP_READ_BD_ADDR, ""), 0);
		assert_memory_equal(r->ret, r->ctl->public_addr.b, ADDR_LEN);
		bed_deinit(&bed);
	}
}

static void test_accept_list(void **state)
{
	char entry[] = "00 000000000000";
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "4.0");
	for (int i = 0; i < 8; i++) {
		entry[3] = (char)('0' + i);
		assert_int_equal(bed_cmd(&bed, r, 0x2011, entry), 0);
		assert_int_equal(bed_cmd(&bed, r, 0x2011, entry), 0); /* twice is once */
	}
	assert_int_equal(bed_cmd(&bed, r, 0x2011, "01 000000000000"), HCIP_STATUS_MEMORY_EXCEEDED);
	assert_int_equal(bed_cmd(&bed, r, 0x2012, entry), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2011, "01 000000000000"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2011, "02 000000000001"), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x2010, ""), 0);
	assert_int_equal(r->ctl->accept.n, 0);
	bed_deinit(&bed);
}

/* The list that a scanner goes by stays as it is until scanning ends. */
static void test_accept_list_in_use(void **state)
{
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "4.0");
	assert_int_equal(bed_cmd(&bed, r, 0x200b, "00 1000 1000 00 01"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200c, "0100"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2011, "00 000000000000"), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x2010, ""), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x200c, "0000"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2011, "00 000000000000"), 0);
	bed_deinit(&bed);
}

static void test_flavours(void **state)
{
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "5.2");
	assert_int_equal(bed_cmd(&bed, r, 0x200b, "00 1000 1000 00 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2041, "00 00 01 00 1000 1000"), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x0c03, ""), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2041, "00 00 01 00 1000 1000"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200b, "00 1000 1000 00 00"), HCIP_STATUS_DISALLOWED);
	r = bed_add(&bed, "5.2,mixed");
	assert_int_equal(bed_cmd(&bed, r, 0x200b, "00 1000 1000 00 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2041, "00 00 01 00 1000 1000"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200c, "01 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2041, "00 00 01 00 1000 1000"), HCIP_STATUS_DISALLOWED);
	bed_deinit(&bed);
}

static void test_random_address(void **state)
{
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "4.0");
	/* advertising from a random address that was never set */
	assert_int_equal(bed_cmd(&bed, r, 0x2006, "a000 a000 00 01 00 000000000000 07 00"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x2005, "0102030405c6"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x200a, "01"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x2005, "0102030405c7"), HCIP_STATUS_DISALLOWED);
	assert_int_equal(bed_cmd(&bed, r, 0x0c03, ""), 0);
	assert_false(r->ctl->has_random_addr);
	bed_deinit(&bed);
}

static void test_event_mask(void **state)
{
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "5.2");
	assert_true(controller_wants_le(r->ctl, HCIP_LE_EXT_ADV_REPORT));
	assert_int_equal(bed_cmd(&bed, r, 0x2001, "ffef000000000000"), 0);
	assert_false(controller_wants_le(r->ctl, HCIP_LE_EXT_ADV_REPORT));
	assert_int_equal(bed_cmd(&bed, r, 0x2001, "ff1f000000000000"), 0);
	assert_true(controller_wants_le(r->ctl, HCIP_LE_EXT_ADV_REPORT));
	assert_int_equal(bed_cmd(&bed, r, 0x0c01, "ffffffffffffffdf"), 0); /* all but LE Meta */
	assert_false(controller_wants_le(r->ctl, HCIP_LE_EXT_ADV_REPORT));
	bed_deinit(&bed);
}

/* --- watches --- */

struct spoiler {
	struct ctl_watch watch;
	uint16_t opcode;
	enum ctl_verdict verdict;
	size_t in, out;
};

static enum ctl_verdict on_command(struct ctl_watch *w, struct controller *ctl, uint16_t opcode,
                                   const uint8_t *params, size_t len)
{
	struct spoiler *s = container_of(w, struct spoiler, watch);

	return opcode == s->opcode ? s->verdict : CTL_EXECUTE;
}

static void on_packet(struct ctl_watch *w, struct controller *ctl, bool to_host, const uint8_t *pkt,
                      size_t len)
{
	struct spoiler *s = container_of(w, struct spoiler, watch);

	if (to_host)
		s->out++;
	else
		s->in++;
}

static void test_faults(void **state)
{
	struct spoiler s = {.watch = {.command = on_command, .packet = on_packet},
	                    .opcode = 0x1009,
	                    .verdict = CTL_UNANSWERED};
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "5.2");
	controller_watch(bed.air, &s.watch);
	assert_int_equal(bed_cmd(&bed, r, 0x1009, ""), -1);
	assert_int_equal(bed_cmd(&bed, r, 0x1001, ""), 0);
	s.verdict = CTL_HANG;
	assert_int_equal(bed_cmd(&bed, r, 0x1009, ""), -1);
	assert_int_equal(bed_cmd(&bed, r, 0x1001, ""), -1);
	controller_reset(r->ctl);
	assert_int_equal(bed_cmd(&bed, r, 0x1001, ""), 0);
	assert_int_equal(s.in, 5);
	assert_int_equal(s.out, 2);
	controller_unwatch(&s.watch);
	bed_deinit(&bed);
}

/* A host with room for two packets gets two, until it says that one is done. */
static void test_host_flow(void **state)
{
	static const uint8_t acl[] = {0x02, 0x05, 0x20, 0x01, 0x00, 0xaa}, gone[] = {0, 5, 0, 0x13};
	struct bed bed;
	struct bed_radio *r;

	bed_init(&bed, 1);
	r = bed_add(&bed, "5.2");
	assert_int_equal(bed_cmd(&bed, r, 0x0c31, "04"), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x0c33, "fb00 00 0200 0000"), 0);
	assert_int_equal(bed_cmd(&bed, r, 0x0c31, "01"), 0);
	for (int i = 0; i < 2; i++) {
		assert_false(controller_congested(r->ctl));
		controller_send(r->ctl, acl, sizeof(acl));
	}
	assert_true(controller_congested(r->ctl));
	assert_int_equal(bed_cmd(&bed, r, 0x0c35, "02 0500 0100"), HCIP_STATUS_INVALID_PARAMS);
	assert_int_equal(bed_cmd(&bed, r, 0x0c35, "01 0600 0100"), -1); /* of another link */
	assert_true(controller_congested(r->ctl));
	assert_int_equal(bed_cmd(&bed, r, 0x0c35, "01 0500 0100"), -1);
	assert_false(controller_congested(r->ctl));
	controller_send(r->ctl, acl, sizeof(acl));
	assert_true(controller_congested(r->ctl));
	/* a link that ends takes nothing with it, and more than all is all */
	controller_event(r->ctl, HCIP_EV_DISCONNECTED, gone, sizeof(gone));
	assert_int_equal(r->ctl->flow.free, 2);
	assert_int_equal(bed_cmd(&bed, r, 0x0c35, "01 0500 ff00"), -1);
	assert_int_equal(r->ctl->flow.free, 2);
	assert_int_equal(bed_cmd(&bed, r, 0x0c03, ""), 0);
	assert_false(r->ctl->flow.on);
	bed_deinit(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_command), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_unknown),       cmocka_unit_test(test_informational),
		cmocka_unit_test(test_accept_list),   cmocka_unit_test(test_accept_list_in_use),
		cmocka_unit_test(test_flavours),      cmocka_unit_test(test_random_address),
		cmocka_unit_test(test_event_mask),    cmocka_unit_test(test_faults),
		cmocka_unit_test(test_host_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
