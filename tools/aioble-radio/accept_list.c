/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filter accept list: a handful of addresses in the order they were added.
 */
#include "accept_list.h"

#include <errno.h>

static size_t find(const struct accept_list *l, const struct addr *a)
{
	size_t i = 0;

	while (i < l->n && !addr_equal(&l->entries[i], a))
		i++;
	return i;
}

bool accept_list_has(const struct accept_list *l, const struct addr *a)
{
	return find(l, a) < l->n;
}

int accept_list_add(struct accept_list *l, const struct addr *a)
{
	if (accept_list_has(l, a))
		return 0;
	if (l->n == l->size)
		return -ENOBUFS;
	l->entries[l->n++] = *a;
	return 0;
}

void accept_list_remove(struct accept_list *l, const struct addr *a)
{
	size_t i = find(l, a);

	if (i < l->n)
		memmove(&l->entries[i], &l->entries[i + 1], (--l->n - i) * sizeof(*a));
}

void accept_list_clear(struct accept_list *l)
{
	l->n = 0;
	l->anonymous = false;
}
