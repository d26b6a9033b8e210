/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libevent behind one door. Only descriptors go to libevent; timers and deferred calls are our own
 * lists, because their order within a pass is a promise (see loop.h) and because tests move their
 * clock. Timers are kept sorted by due time, found from the tail: most timeouts of a kind are
 * equal, so insertion is short.
 */
#include "aiobled/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#define SETTLE_PASSES_MAX 10000

struct loop {
	struct event_base *base;
	struct event *wake; /* libevent has no timeout argument: this timer bounds the wait */
	int wake_fd;
	uint64_t wake_due_us; /* what the timer is set to; UINT64_MAX: it is not */
	struct list timers;
	struct list deferred;
	uint64_t (*idle)(void *data);
	void *idle_data;
	uint64_t idle_due_us;
	uint64_t now_us;
	bool is_virtual;
	bool busy; /* some callback ran in this pass */
	bool stop;
	int code;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void loop_refresh_now(struct loop *loop)
{
	if (!loop->is_virtual)
		loop->now_us = clock_us();
}

static void on_wake(evutil_socket_t fd, _unused_ short what, void *data)
{
	struct loop *loop = data;
	uint64_t times;

	(void)!read(fd, &times, sizeof(times));
	loop->wake_due_us = UINT64_MAX;
}

/*
 * The timer may ring too early but not too late: deadlines far off that come and go with every request then cost no system
 * call, where libevent's own timers cost one in every pass.
 */
static int wake_by(struct loop *loop, uint64_t due_us)
{
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)(due_us / 1000000),
	                                    .tv_nsec = (long)(due_us % 1000000) * 1000}};

	if (due_us >= loop->wake_due_us)
		return 0;
	if (timerfd_settime(loop->wake_fd, TFD_TIMER_ABSTIME, &t, NULL) < 0)
		return -errno;
	loop->wake_due_us = due_us;
	return 0;
}

static int wake_new(struct loop *loop)
{
	loop->wake_due_us = UINT64_MAX;
	loop->wake_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->wake_fd < 0)
		return -errno;
	loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	return loop->wake && event_add(loop->wake, NULL) == 0 ? 0 : -ENOMEM;
}

static struct event_base *base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (!cfg)
		return NULL;
	/* everything lives in one thread; and variables that tune libevent cost 20 system calls to ask for */
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return -ENOMEM;
	list_init(&loop->timers);
	list_init(&loop->deferred);
	loop->idle_due_us = UINT64_MAX;
	loop->wake_fd = -1;
	loop->base = base_new();
	r = loop->base ? wake_new(loop) : -ENOMEM;
	if (r < 0) {
		loop_free(loop);
		return r;
	}
	loop_refresh_now(loop);
	*ret = loop;
	return 0;
}

int loop_new_virtual(struct loop **ret)
{
	int r = loop_new(ret);

	if (r < 0)
		return r;
	(*ret)->is_virtual = true;
	(*ret)->now_us = 1000000;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	assert(list_empty(&loop->timers));
	assert(list_empty(&loop->deferred));
	if (loop->wake)
		event_free(loop->wake);
	if (loop->base)
		event_base_free(loop->base);
	closep(&loop->wake_fd);
	free(loop);
	return NULL;
}

uint64_t loop_now_us(struct loop *loop)
{
	return loop->now_us;
}

void loop_set_idle(struct loop *loop, uint64_t (*fn)(void *data), void *data)
{
	loop->idle = fn;
	loop->idle_data = data;
	loop->idle_due_us = fn ? 0 : UINT64_MAX;
}

/* Until when the next poll may wait: for the first timer or the idle hook's wish; 0: not at all. */
static uint64_t loop_due_us(const struct loop *loop)
{
	uint64_t due = loop->idle_due_us;

	if (!list_empty(&loop->deferred))
		return 0;
	if (!list_empty(&loop->timers))
		due = MIN(due, list_entry(loop->timers.next, struct timer, link)->due_us);
	return due > loop->now_us ? due : 0;
}

static int loop_poll(struct loop *loop, bool wait)
{
	uint64_t due_us = wait ? loop_due_us(loop) : 0;
	/* without ONCE libevent polls on while any descriptor stays ready, as the bus's does until the idle hook */
	int flags = EVLOOP_ONCE | (due_us == 0 ? EVLOOP_NONBLOCK : 0);
	int r = wake_by(loop, due_us == 0 ? UINT64_MAX : due_us);

	if (r < 0)
		return r;
	return event_base_loop(loop->base, flags) < 0 ? -EIO : 0;
}

static void loop_run_timers(struct loop *loop)
{
	struct list due;
	struct timer *t;

	list_init(&due);
	while ((t = list_first(&loop->timers, struct timer, link)) && t->due_us <= loop->now_us) {
		list_del(&t->link);
		list_add_tail(&due, &t->link);
	}
	/* a callback may stop or restart any timer, also one that waits on this list */
	while ((t = list_first(&due, struct timer, link))) {
		list_del(&t->link);
		loop->busy = true;
		t->fn(t);
	}
}

static void loop_run_deferred(struct loop *loop)
{
	struct list now;
	struct defer *d;

	list_init(&now);
	list_move_all(&loop->deferred, &now);
	while ((d = list_first(&now, struct defer, link))) {
		list_del(&d->link);
		loop->busy = true;
		d->fn(d);
	}
}

static int loop_pass(struct loop *loop, bool wait)
{
	int r;

	loop->busy = false;
	r = loop_poll(loop, wait);
	if (r < 0)
		return r;
	loop_refresh_now(loop);
	loop_run_timers(loop);
	loop_run_deferred(loop);
	if (loop->idle)
		loop->idle_due_us = loop->idle(loop->idle_data);
	loop_refresh_now(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	loop->stop = false;
	while (!loop->stop) {
		int r = loop_pass(loop, true);

		if (r < 0)
			return r;
	}
	return loop->code;
}

void loop_stop(struct loop *loop, int code)
{
	loop->stop = true;
	loop->code = code;
}

int loop_settle(struct loop *loop)
{
	for (int i = 0; i < SETTLE_PASSES_MAX; i++) {
		int r = loop_pass(loop, false);

		if (r < 0)
			return r;
		if (!loop->busy && list_empty(&loop->deferred) && loop->idle_due_us != 0)
			return 0;
	}
	return -ELOOP;
}

int loop_advance(struct loop *loop, uint32_t ms)
{
	uint64_t end_us = loop->now_us + (uint64_t)ms * 1000;
	int r;

	assert(loop->is_virtual);
	for (;;) {
		struct timer *t;

		r = loop_settle(loop);
		if (r < 0)
			return r;
		t = list_first(&loop->timers, struct timer, link);
		if (!t || t->due_us > end_us)
			break;
		loop->now_us = MAX(loop->now_us, t->due_us);
	}
	loop->now_us = end_us;
	return loop_settle(loop);
}

static void on_ready(_unused_ evutil_socket_t fd, short what, void *data)
{
	struct loop_io *io = data;
	int ready = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);

	loop_refresh_now(io->loop);
	io->loop->busy = true;
	io->fn(io, ready);
}

int loop_io_init(struct loop_io *io, struct loop *loop, int fd,
                 void (*fn)(struct loop_io *io, int ready))
{
	*io = (struct loop_io){.loop = loop, .fd = fd, .fn = fn};
	io->ev = event_new(loop->base, fd, EV_PERSIST, on_ready, io);
	return io->ev ? 0 : -ENOMEM;
}

int loop_io_set(struct loop_io *io, int events)
{
	short what = (short)(EV_PERSIST | (events & LOOP_READ ? EV_READ : 0) |
	                     (events & LOOP_WRITE ? EV_WRITE : 0));

	if (events == io->events)
		return 0;
	if (io->events && event_del(io->ev) < 0)
		return -EIO;
	io->events = 0;
	if (!events)
		return 0;
	if (event_assign(io->ev, event_get_base(io->ev), io->fd, what, on_ready, io) < 0 ||
	    event_add(io->ev, NULL) < 0)
		return -EIO;
	io->events = events;
	return 0;
}

void loop_io_deinit(struct loop_io *io)
{
	if (io->ev)
		event_free(io->ev);
	*io = (struct loop_io){.fd = -1};
}

void timer_init(struct timer *t, struct loop *loop, void (*fn)(struct timer *t))
{
	*t = (struct timer){.loop = loop, .fn = fn};
	list_init(&t->link);
}

void timer_start_at(struct timer *t, uint64_t due_us)
{
	struct list *pos;

	list_del(&t->link);
	t->due_us = due_us;
	pos = t->loop->timers.prev;
	while (pos != &t->loop->timers && list_entry(pos, struct timer, link)->due_us > due_us)
		pos = pos->prev;
	list_add_head(pos, &t->link);
}

void timer_start(struct timer *t, uint64_t delay_us)
{
	loop_refresh_now(t->loop);
	timer_start_at(t, t->loop->now_us + delay_us);
}

void timer_start_ms(struct timer *t, uint32_t delay_ms)
{
	timer_start(t, (uint64_t)delay_ms * 1000);
}

void timer_stop(struct timer *t)
{
	list_del(&t->link);
}

void defer_init(struct defer *d, struct loop *loop, void (*fn)(struct defer *d))
{
	*d = (struct defer){.loop = loop, .fn = fn};
	list_init(&d->link);
}

void defer_post(struct defer *d)
{
	if (!list_linked(&d->link))
		list_add_tail(&d->loop->deferred, &d->link);
}

void defer_cancel(struct defer *d)
{
	list_del(&d->link);
}
