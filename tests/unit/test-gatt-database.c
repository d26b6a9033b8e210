/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole databases over two bearers, ours and a model of a peer's: what discovery finds is what
 * there is, in how many requests, and what a second discovery does to the picture of the first.
 */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include <sys/socket.h>

#include "../support/model_db.h"
#include "test.h"

static struct loop *loop;
static struct att *att, *peer_att;
static struct gatt_client *gc;
static struct model_db db;
static struct gatt_op g;
static int done, result;

static void on_done(struct op *op, int res)
{
	done++;
	result = res;
}

static void no_value(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data)
{
}

static void no_close(int err, void *data)
{
}

static const struct att_events events = {.value = no_value, .closed = no_close};

static void exchange(uint16_t mtu)
{
	struct att_req req;

	op_init(&req.op, loop, on_done);
	assert_int_equal(att_exchange_mtu(att, &req, mtu, 0), 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(att_mtu(peer_att), mtu);
}

static void open_links(uint16_t mtu)
{
	int fds[2];

	assert_int_equal(loop_new_virtual(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	assert_int_equal(att_new(loop, fds[0], &events, NULL, &att), 0);
	assert_int_equal(att_new(loop, fds[1], &events, NULL, &peer_att), 0);
	assert_int_equal(gatt_client_new(loop, att, &gc), 0);
	op_init(&g.op, loop, on_done);
	model_init(&db);
	att_set_server(peer_att, &model_server, &db);
	if (mtu != ATT_MTU_DEFAULT)
		exchange(mtu);
}

static void close_links(void)
{
	gatt_client_fail_all(gc, -ENOTCONN);
	gc = gatt_client_free(gc);
	att_fail_all(att, -ENOTCONN);
	att = att_free(att);
	peer_att = att_free(peer_att);
	assert_int_equal(loop_settle(loop), 0);
	loop = loop_free(loop);
}

static void finish(int started)
{
	assert_int_equal(started, 0);
	done = 0;
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(done, 1);
}

static void discover(void)
{
	finish(gatt_discover_all(gc, &g, 0));
	assert_int_equal(result, 0);
}

/* --- the same picture from both sides --- */

static char told[1 << 18], found[1 << 18];

static void picture_of_model(void)
{
	char *p = told, text[UUID_STR_MAX];

	*p = '\0';
	for (size_t i = 0; i < db.n; i++) {
		const struct model_attr *a = &db.attrs[i];
		uint16_t u16 = 0;

		(void)uuid_is16(&a->type, &u16);
		if (u16 == 0x2802)
			continue;
		if (u16 == 0x2800 || u16 == 0x2801)
			p += sprintf(p, "%c%x-%x ", u16 == 0x2800 ? 'P' : 'S', a->handle, a->end);
		else if (u16 == 0x2803)
			p += sprintf(p, "(%x ", a->handle);
		else
			p += sprintf(p, "%x:%s ", a->handle, uuid_format(&a->type, text));
	}
}

static void picture_of_client(void)
{
	char *p = found, text[UUID_STR_MAX];
	struct gatt_characteristic *chr;
	struct gatt_descriptor *d;
	struct gatt_service *s;

	*p = '\0';
	list_for_each (s, gatt_services(gc), link) {
		p += sprintf(p, "%c%x-%x ", s->primary ? 'P' : 'S', s->handle, s->end_handle);
		assert_true(s->characteristics_known);
		list_for_each (chr, &s->characteristics, link) {
			assert_ptr_equal(chr->service, s);
			assert_true(chr->descriptors_known);
			p += sprintf(p, "(%x %x:%s ", chr->declaration, chr->handle,
			             uuid_format(&chr->uuid, text));
			assert_ptr_equal(gatt_find_characteristic(gc, chr->handle), chr);
			list_for_each (d, &chr->descriptors, link) {
				p += sprintf(p, "%x:%s ", d->handle, uuid_format(&d->uuid, text));
				assert_ptr_equal(gatt_find_descriptor(gc, d->handle), d);
			}
		}
	}
}

static void compare(const char *name)
{
	picture_of_model();
	picture_of_client();
	if (strcmp(told, found) != 0)
		fail_msg("%s\n  there is %s\n  found    %s", name, told, found);
}

/* --- how many requests --- */

static const struct {
	const char *name, *db;
	uint16_t mtu;
	int requests;
} sizes[] = {
	{"nothing", "", 517, 1},
	{"5 services, 25 attributes",
         "P1800 C2a00 C2a01 P1801 C2a05 D2902 P180a C2a29 C2a24 P180f C2a19 D2902 "
         "P180d C2a37 D2902 C2a38",
         517, 4},
	{"5 services, 25 attributes, to the last handle",
         "P1800 C2a00 C2a01 P1801 C2a05 D2902 P180a C2a29 C2a24 "
         "P180f C2a19 D2902 P180d C2a37 D2902 C2a38 E65535",
         517, 4},
	{"no descriptors", "P1800 C2a00 C2a01 P1801 C2a05", 517, 4},
	{"one gap", "P1800 C2a00 C2a01 P1801 C2a05 D2901", 517, 5},
	{"one gap that must be a CCCD", "P1800 C2a00 C2a01 P1801 C2a05 D2902", 517, 4},
	{"such gaps between long UUIDs", "P1800 CL0000 D2902 CL0001 D2902 CL0003 D2902", 517, 4},
	{"a CCCD that is not alone", "P1800 CL0000 D2902 D2901 CL0001 D2902", 517, 5},
	{"gaps far apart, large MTU: one answer",
         "P1800 C2a00 D2901 C2a01 C2a02 C2a03 C2a04 C2a05 C2a06 D2901", 517, 5},
	{"gaps far apart, small MTU: none wasted",
         "P1800 C2a00 D2901 C2a01 C2a02 C2a03 C2a04 C2a05 C2a06 D2901", 23, 8},
	{"a long UUID between gaps", "P1800 C2a00 D2901 CL0001 D2901 C2a01 D2901", 517, 8},
};

static void requests(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		open_links(sizes[i].mtu);
		model_add(&db, sizes[i].db);
		discover();
		compare(sizes[i].name);
		if (db.requests != sizes[i].requests)
			fail_msg("%s: %d requests, not %d", sizes[i].name, db.requests,
			         sizes[i].requests);
		close_links();
	}
}

/*
 * 30 services with 200 attributes, every third with long UUIDs, descriptors here and there: the
 * goal is 17 requests.
 */
static void thirty_services(void **state)
{
	open_links(517);
	for (int i = 0; i < 30; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "P%04x C%04x D2902 C%04x %s", 0x1800 + i,
		               0x2a00 + 2 * i, 0x2a01 + 2 * i, i < 20 ? "D2901" : "");
		model_add(&db, text);
	}
	assert_int_equal(db.n, 200);
	discover();
	compare("30/200");
	assert_true(db.requests <= 17);
	print_message("30 services, 200 attributes: %d requests\n", db.requests);
	close_links();
}

/* --- all sorts --- */

static const char *const databases[] = {
	"P1800 C2a00 S180f C2a19 D2902 P180d C2a37",              /* secondary in the middle */
	"P1800 I6-8 C2a00 P1801 S180f C2a19",                     /* at the end, included */
	"S180f C2a19 P1800 C2a00",                                /* at the start */
	"S180f C2a19 P1800 C2a00 SL1234 CL4321 DL1111",           /* at both ends */
	"PL0001 CL0002 DL0003 D2902 CL0004 PL0005 C2a00",         /* long UUIDs */
	"@100 P1800 C2a00 @200 D2902 E300 @500 P1801 C2a01 E600", /* sparse */
	"P1800 C2a00 D2900 E10 P1801 P1802 E65535", /* empty services, the last handle */
	"@65533 P1800 C2a00",                       /* a value at the last handle */
	"@65532 P1800 C2a00 D2902",                 /* a descriptor at the last handle */
	"@65535 P1800",
};

static void sorts(void **state)
{
	static const uint16_t mtus[] = {23, 64, 517};

	for (size_t i = 0; i < ARRAY_SIZE(databases) * ARRAY_SIZE(mtus); i++) {
		open_links(mtus[i % ARRAY_SIZE(mtus)]);
		model_add(&db, databases[i / ARRAY_SIZE(mtus)]);
		discover();
		compare(databases[i / ARRAY_SIZE(mtus)]);
		close_links();
	}
}

static uint32_t seed;

static uint32_t roll(uint32_t sides)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

static void add_random(char kind)
{
	char token[16];

	(void)snprintf(token, sizeof(token), roll(4) ? "%c%04x" : "%cL%04x", kind,
	               0x3000 + roll(0x1000));
	model_add(&db, token);
}

static void add_random_gap(void)
{
	char token[16];

	if (roll(6))
		return;
	(void)snprintf(token, sizeof(token), "@%u", db.next + roll(40));
	model_add(&db, token);
}

static void add_random_service(void)
{
	add_random_gap();
	add_random(roll(8) ? 'P' : 'S');
	for (uint32_t chrs = roll(6) + (uuid_equal16(&db.attrs[db.n - 1].type, 0x2801) ? 1 : 0);
	     chrs > 0; chrs--) {
		add_random('C');
		if (roll(3) == 0)
			model_add(&db, "D2902");
		for (uint32_t n = roll(4); n > 0; n--) {
			add_random_gap();
			add_random('D');
		}
	}
}

static void random_databases(void **state)
{
	for (seed = 1; seed < 400 * 7919U;) {
		uint32_t this_seed = seed;
		char name[32];

		open_links(roll(2) ? 23 : (uint16_t)(23 + roll(495)));
		model_add(&db, "P1800"); /* secondary services alone would never be looked for */
		for (uint32_t n = roll(12); n > 0; n--)
			add_random_service();
		(void)snprintf(name, sizeof(name), "seed %u", this_seed);
		discover();
		compare(name);
		close_links();
		seed = this_seed + 7919;
	}
}

/* --- again --- */

static void second_discovery_moves_nothing(void **state)
{
	struct gatt_service *s;
	struct gatt_characteristic *chr;
	struct gatt_descriptor *d;

	open_links(23);
	model_add(&db, "P1800 C2a00 P180d C2a37 D2902 C2a38");
	discover();
	s = gatt_find_service(gc, 4);
	chr = gatt_find_characteristic(gc, 6);
	d = gatt_find_descriptor(gc, 7);
	discover();
	compare("again");
	assert_ptr_equal(gatt_find_service(gc, 4), s);
	assert_ptr_equal(gatt_find_characteristic(gc, 6), chr);
	assert_ptr_equal(gatt_find_descriptor(gc, 7), d);
	close_links();
}

/* Every database of the list after every other: the picture is that of the last. */
static void the_database_changes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(databases); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(databases); k++) {
			open_links(64);
			model_add(&db, databases[i]);
			discover();
			model_init(&db);
			model_add(&db, databases[k]);
			discover();
			compare(databases[k]);
			close_links();
		}
	}
}

static void a_descriptor_goes_and_one_comes(void **state)
{
	struct gatt_characteristic *chr;

	open_links(23);
	model_add(&db, "P180d C2a37 D2902 D2901");
	discover();
	chr = gatt_find_characteristic(gc, 3);
	model_init(&db);
	model_add(&db, "P180d C2a37 @5 D2908 D2904");
	discover();
	compare("changed");
	assert_ptr_equal(gatt_find_characteristic(gc, 3), chr);
	close_links();
}

static void step_by_step_is_all_at_once(void **state)
{
	open_links(64);
	model_add(&db, "P1800 C2a00 D2901 P180d C2a37 D2902 CL0001 DL0002");
	finish(gatt_discover_services(gc, &g, NULL, 0));
	for (struct list *l = gatt_services(gc)->next; l != gatt_services(gc); l = l->next) {
		struct gatt_service *s = list_entry(l, struct gatt_service, link);
		struct gatt_characteristic *chr;

		finish(gatt_discover_characteristics(gc, &g, s, NULL, 0));
		list_for_each (chr, &s->characteristics, link)
			finish(gatt_discover_descriptors(gc, &g, chr, 0));
	}
	compare("step by step");
	close_links();
}

/* --- one characteristic, nothing else known --- */

static void find_by_uuid(void **state)
{
	struct gatt_characteristic *chr;
	struct uuid u = uuid_from16(0x2a37), none = uuid_from16(0x1234);

	open_links(517);
	model_add(&db, "P1800 C2a00 P180d C2a39 C2a37 D2902 C2a38 PL0001 CL0002");
	finish(gatt_find_by_uuid(gc, &g, &u, 0));
	assert_int_equal(result, 0);
	assert_int_equal(g.handle, 8);
	assert_int_equal(db.requests, 1);
	chr = gatt_find_characteristic(gc, 8);
	assert_non_null(chr);
	assert_null(chr->service);
	assert_int_equal(chr->end_handle, 9);
	finish(gatt_find_by_uuid(gc, &g, &u, 0)); /* from memory */
	assert_int_equal(g.handle, 8);
	assert_int_equal(db.requests, 1);
	finish(gatt_find_by_uuid(gc, &g, &none, 0));
	assert_int_equal(result, -ENOENT);
	discover();
	compare("after finding");
	assert_ptr_equal(gatt_find_characteristic(gc, 8), chr); /* it found its service */
	close_links();
}

static void find_by_uuid_with_open_end(void **state)
{
	struct gatt_characteristic *chr;
	struct uuid u = uuid_from16(0x2a37);

	open_links(23);
	model_add(&db, "P180d C2a37 D2902 P1800 C2a00");
	finish(gatt_find_by_uuid(gc, &g, &u, 0));
	chr = gatt_find_characteristic(gc, 3);
	assert_int_equal(chr->end_handle, 5); /* the next declaration stood in the same answer */
	finish(gatt_discover_descriptors(gc, &g, chr, 0));
	assert_int_equal(chr->end_handle, 4); /* and this is where it really ends */
	assert_non_null(gatt_find_descriptor(gc, 4));
	assert_null(gatt_find_descriptor(gc, 5));
	close_links();
}

/* --- includes --- */

static void included_services(void **state)
{
	open_links(23);
	model_add(&db, "P180a S180f C2a19 SL0001 C2a20 P1800 I2-4 I5-7 I1-1 C2a00");
	finish(gatt_discover_services(gc, &g, NULL, 0));
	db.requests = 0;
	finish(gatt_discover_included(gc, &g, gatt_find_service(gc, 8), 0));
	assert_int_equal(result, 0);
	assert_int_equal(db.requests,
	                 5); /* short, long, short, no more, and the UUID of the long one */
	assert_false(gatt_find_service(gc, 2)->primary);
	assert_non_null(gatt_find_service(gc, 5));
	assert_true(gatt_find_service(gc, 1)->primary);
	discover();
	compare("with includes");
	close_links();
}

/* --- too much --- */

static void more_than_can_be_remembered(void **state)
{
	struct gatt_service *s;
	size_t n = 0;

	open_links(517);
	for (int i = 0; i <= GATT_ATTRIBUTES_MAX; i++)
		model_add(&db, "P1800");
	finish(gatt_discover_services(gc, &g, NULL, 0));
	assert_int_equal(result, -ENOBUFS);
	list_for_each (s, gatt_services(gc), link)
		n++;
	assert_int_equal(n, GATT_ATTRIBUTES_MAX);
	model_init(&db);
	model_add(&db, "P1800 C2a00");
	discover(); /* room again */
	compare("after too much");
	close_links();
}

static void as_much_as_can_be_remembered(void **state)
{
	open_links(517);
	model_add(&db, "P1800");
	for (int i = 0; i < 5000; i++)
		model_add(&db, "C2a00 D2901");
	discover();
	compare("5000 characteristics");
	close_links();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(thirty_services),
		cmocka_unit_test(sorts),
		cmocka_unit_test(random_databases),
		cmocka_unit_test(second_discovery_moves_nothing),
		cmocka_unit_test(the_database_changes),
		cmocka_unit_test(a_descriptor_goes_and_one_comes),
		cmocka_unit_test(step_by_step_is_all_at_once),
		cmocka_unit_test(find_by_uuid),
		cmocka_unit_test(find_by_uuid_with_open_end),
		cmocka_unit_test(included_services),
		cmocka_unit_test(more_than_can_be_remembered),
		cmocka_unit_test(as_much_as_can_be_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
