/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intrusive doubly linked list. A node that is not on any list points at itself, so list_del() may be called twice and
 * list_linked() can be asked. A node must be initialised (list_init) before any other call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/** list_linked() - true while @node is on a list */
static inline bool list_linked(const struct list *node)
{
	return node->next != node;
}

/** list_add_before() - put @node in front of @pos; with a head as @pos: at the end */
static inline void list_add_before(struct list *pos, struct list *node)
{
	node->prev = pos->prev;
	node->next = pos;
	pos->prev->next = node;
	pos->prev = node;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	list_add_before(head, node);
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_before(head->next, node);
}

static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/** list_move_all() - empty @from into the (initialised, empty) @to: how to walk a list that callbacks may change */
static inline void list_move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to->prev->next = to;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->prev, type, member))

#define list_for_each(it, head, member)                                          \
	for (it = list_entry((head)->next, __typeof__(*it), member); &it->member != (head); \
	     it = list_entry(it->member.next, __typeof__(*it), member))

/* The current entry may be removed inside the body, the next one may not: see list_move_all() for that. */
#define list_for_each_safe(it, tmp, head, member)                                  \
	for (it = list_entry((head)->next, __typeof__(*it), member),               \
	    tmp = list_entry(it->member.next, __typeof__(*it), member);            \
	     &it->member != (head);                                                \
	     it = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
