/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filter accept list (Core 5.4, Vol 6, Part B, 4.3.1): addresses, and whether anonymous advertisers are let in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "aiobled/addr.h"

#define ACCEPT_LIST_MAX 32 /* the largest size a profile has */

struct accept_list {
	struct addr entries[ACCEPT_LIST_MAX];
	size_t n, size;
	bool anonymous;
};

/** accept_list_add() - adding twice is adding once. Return: 0, or -ENOBUFS. */
int accept_list_add(struct accept_list *l, const struct addr *a);
void accept_list_remove(struct accept_list *l, const struct addr *a);
void accept_list_clear(struct accept_list *l);
bool accept_list_has(const struct accept_list *l, const struct addr *a);
