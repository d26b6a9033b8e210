/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The air's clock and its timers: a pairing heap over one timer of the loop. Thousands of advertisers with different
 * intervals cost O(log n) each time, and no allocation.
 *
 * The clock stands still while nothing happens and jumps to each event's due time; it never runs ahead of the loop's.
 */
#include "air_priv.h"

#include <assert.h>

#include "aiobled/cleanup.h"

#define SYNC_BUDGET 20000            /* timers in one go; then descriptors have their turn */
#define LAG_MAX_US  (2 * 1000000ull) /* so far behind, time that nobody lived through is given up */

/* --- heap --- */

static bool before(const struct air_timer *a, const struct air_timer *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static struct air_timer *meld(struct air_timer *a, struct air_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (before(b, a)) {
		struct air_timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Pairs from left to right, then all from right to left: what makes the heap cheap. */
static struct air_timer *meld_all(struct air_timer *first)
{
	struct air_timer *pairs = NULL, *all = NULL;

	while (first) {
		struct air_timer *a = first, *b = first->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct air_timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		all = meld(all, a);
	}
	return all;
}

static void heap_remove(struct air_clock *c, struct air_timer *t)
{
	struct air_timer *rest = meld_all(t->child);

	t->child = NULL;
	if (c->heap == t) {
		c->heap = rest;
		return;
	}
	if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = t->prev = NULL;
	c->heap = meld(c->heap, rest);
}

/* --- clock --- */

static uint64_t clock_target_us(const struct air_clock *c)
{
	uint64_t passed = loop_now_us(c->loop) - c->loop_base_us;

	return c->base_us + passed * c->speed;
}

static void clock_rebase(struct air_clock *c, uint64_t now_us)
{
	c->base_us = now_us;
	c->loop_base_us = loop_now_us(c->loop);
}

/* Rounded up: a timer of the loop that rings too early would find nothing to do. */
static void clock_arm(struct air_clock *c)
{
	uint64_t due;

	if (c->running)
		return;
	if (!c->heap) {
		timer_stop(&c->wake);
		return;
	}
	due = c->heap->due_us > c->base_us ? c->heap->due_us - c->base_us : 0;
	due = c->loop_base_us + (due + c->speed - 1) / c->speed;
	if (!timer_armed(&c->wake) || c->wake.due_us != due)
		timer_start_at(&c->wake, due);
}

static void on_wake(struct timer *t)
{
	air_sync(container_of(t, struct air, clock.wake));
}

void air_clock_init(struct air *air, struct loop *loop)
{
	struct air_clock *c = &air->clock;

	c->loop = loop;
	c->speed = 1;
	timer_init(&c->wake, loop, on_wake);
	c->now_us = c->base_us = 1000000;
	c->loop_base_us = loop_now_us(loop);
}

void air_clock_deinit(struct air *air)
{
	assert(!air->clock.heap);
	timer_stop(&air->clock.wake);
}

void air_set_speed(struct air *air, unsigned int speed)
{
	assert(speed >= 1 && speed <= AIR_SPEED_MAX);
	clock_rebase(&air->clock, MAX(clock_target_us(&air->clock), air->clock.now_us));
	air->clock.speed = speed;
	clock_arm(&air->clock);
}

struct loop *air_loop(struct air *air)
{
	return air->clock.loop;
}

uint64_t air_now_us(struct air *air)
{
	return air->clock.now_us;
}

static bool clock_step(struct air_clock *c, uint64_t target_us)
{
	struct air_timer *t = c->heap;

	if (!t || t->due_us > target_us)
		return false;
	c->now_us = MAX(c->now_us, t->due_us);
	heap_remove(c, t);
	t->armed = false;
	t->fn(t);
	return true;
}

/* The process stood still: the air stood still with it, but for what it can catch up with. */
static uint64_t clock_slip(struct air *air, uint64_t target_us)
{
	struct air_clock *c = &air->clock;
	uint64_t most;

	if (!c->heap)
		return target_us;
	most = MAX(c->now_us, c->heap->due_us) + LAG_MAX_US * c->speed;
	if (target_us <= most)
		return target_us;
	air->stats.slipped_us += target_us - most;
	clock_rebase(c, most);
	return most;
}

void air_sync(struct air *air)
{
	struct air_clock *c = &air->clock;
	int left = SYNC_BUDGET;
	uint64_t target;

	if (c->running)
		return;
	target = clock_slip(air, clock_target_us(c));
	c->running = true;
	while (left > 0 && clock_step(c, target))
		left--;
	c->running = false;
	if (left > 0)
		c->now_us = MAX(c->now_us, target);
	clock_arm(c);
}

/* --- timers --- */

void air_timer_init(struct air_timer *t, struct air *air, void (*fn)(struct air_timer *t))
{
	*t = (struct air_timer){.air = air, .fn = fn};
}

void air_timer_start_at(struct air_timer *t, uint64_t due_us)
{
	struct air_clock *c = &t->air->clock;

	if (t->armed)
		heap_remove(c, t);
	t->armed = true;
	t->due_us = due_us;
	t->seq = c->seq++;
	c->heap = meld(c->heap, t);
	clock_arm(c);
}

void air_timer_start(struct air_timer *t, uint64_t delay_us)
{
	air_timer_start_at(t, t->air->clock.now_us + delay_us);
}

void air_timer_stop(struct air_timer *t)
{
	if (!t->armed)
		return;
	heap_remove(&t->air->clock, t);
	t->armed = false;
	clock_arm(&t->air->clock);
}

/* --- chance --- */

/* splitmix64: small, good enough for delays and losses, and no use for keys */
static uint64_t rand_next(struct air *air)
{
	uint64_t z = air->rand += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t air_rand(struct air *air)
{
	return (uint32_t)(rand_next(air) >> 32);
}

uint32_t air_rand_below(struct air *air, uint32_t n)
{
	return (uint32_t)((uint64_t)air_rand(air) * n >> 32);
}

void air_rand_bytes(struct air *air, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len--)
		*p++ = (uint8_t)air_rand(air);
}
