/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one event loop of the program: libevent behind one door.
 *
 * A pass of the loop is: wait for descriptors; run the io callbacks of those that are ready (radio sockets drain
 * themselves here, each bounded by its own budget); run the timers that are due; run the deferred calls that were posted
 * before this point; run the idle hook (the bus). So radio comes before timers comes before bus, and no one starves:
 * every phase of a pass is bounded. Nothing called from here may block.
 *
 * A virtual loop is the same loop with a clock that only loop_advance() moves: unit tests never sleep.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/list.h"

struct loop;
struct event;

int loop_new(struct loop **ret);
int loop_new_virtual(struct loop **ret);

/** loop_free() - everything that was started on @loop must have been stopped. Takes NULL; returns NULL. */
struct loop *loop_free(struct loop *loop);

/** loop_now_us() - CLOCK_MONOTONIC in microseconds (or the virtual clock); the same value for a whole phase */
uint64_t loop_now_us(struct loop *loop);

/**
 * loop_run() - passes until loop_stop()
 *
 * Return: the code given to loop_stop(), or -errno when polling itself failed.
 */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int code);

/** loop_settle() - passes without waiting until a pass finds nothing to do (at most 10000, then -ELOOP); for tests */
int loop_settle(struct loop *loop);

/** loop_advance() - virtual clock only: settle, then move time timer by timer up to @ms from now, settling in between */
int loop_advance(struct loop *loop, uint32_t ms);

/**
 * loop_set_idle() - the hook that ends each pass, before the loop waits again
 * @fn: returns the absolute time (us, monotonic) at which it wants to run again at the latest; UINT64_MAX for never,
 *      0 for at once (the next pass does not wait)
 *
 * One hook: the bridge to the bus, which must recompute interest and timeout before every poll.
 */
void loop_set_idle(struct loop *loop, uint64_t (*fn)(void *data), void *data);

/* --- descriptors --- */

enum {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
};

struct loop_io {
	struct loop *loop;
	struct event *ev;
	int fd;
	int events;
	void (*fn)(struct loop_io *io, int ready);
};

/** loop_io_init() - prepare interest in @fd (borrowed: stays open until after loop_io_deinit()); no interest yet */
int loop_io_init(struct loop_io *io, struct loop *loop, int fd, void (*fn)(struct loop_io *io, int ready));

/** loop_io_set() - the events (LOOP_READ|LOOP_WRITE) to be told of from now on; cheap when nothing changes */
int loop_io_set(struct loop_io *io, int events);

/** loop_io_deinit() - forget @io; safe on a zeroed one and inside its own callback */
void loop_io_deinit(struct loop_io *io);

/* --- timers --- */

struct timer {
	struct list link;
	struct loop *loop;
	uint64_t due_us;
	void (*fn)(struct timer *t);
};

void timer_init(struct timer *t, struct loop *loop, void (*fn)(struct timer *t));

/** timer_start() - (re)arm: @fn runs once, @delay_us from now */
void timer_start(struct timer *t, uint64_t delay_us);
void timer_start_ms(struct timer *t, uint32_t delay_ms);
void timer_start_at(struct timer *t, uint64_t due_us);
void timer_stop(struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
	return list_linked(&t->link);
}

/* --- deferred calls --- */

struct defer {
	struct list link;
	struct loop *loop;
	void (*fn)(struct defer *d);
};

void defer_init(struct defer *d, struct loop *loop, void (*fn)(struct defer *d));

/** defer_post() - run @fn once, later in this pass or in the next; posting twice is posting once */
void defer_post(struct defer *d);
void defer_cancel(struct defer *d);
