/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/list.h"

#include "test.h"

struct item {
	struct list link;
	int n;
};

static void add(struct list *head, struct item *items, int n)
{
	list_init(head);
	for (int i = 0; i < n; i++) {
		items[i].n = i;
		list_init(&items[i].link);
		list_add_tail(head, &items[i].link);
	}
}

static void keeps_order_and_forgets_removed(void **state)
{
	struct list head;
	struct item items[3], *it;
	int sum = 0;

	add(&head, items, 3);
	list_del(&items[1].link);
	list_del(&items[1].link); /* twice is once */
	assert_false(list_linked(&items[1].link));
	list_for_each (it, &head, link)
		sum = sum * 10 + it->n;
	assert_int_equal(sum, 2);
	assert_int_equal(list_first(&head, struct item, link)->n, 0);
	assert_int_equal(list_last(&head, struct item, link)->n, 2);
}

static void survives_removal_of_the_current(void **state)
{
	struct list head;
	struct item items[4], *it, *tmp;
	int seen = 0;

	add(&head, items, 4);
	list_for_each_safe (it, tmp, &head, link) {
		list_del(&it->link);
		seen++;
	}
	assert_int_equal(seen, 4);
	assert_true(list_empty(&head));
}

static void moves_all(void **state)
{
	struct list a, b;
	struct item items[2];

	add(&a, items, 2);
	list_init(&b);
	list_move_all(&a, &b);
	assert_true(list_empty(&a));
	assert_ptr_equal(list_first(&b, struct item, link), &items[0]);
	list_move_all(&a, &b); /* empty source leaves the target alone */
	assert_ptr_equal(list_last(&b, struct item, link), &items[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_forgets_removed),
		cmocka_unit_test(survives_removal_of_the_current),
		cmocka_unit_test(moves_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
