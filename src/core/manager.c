/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which adapters there are. The kernel sends the events of every controller to us, also of those we leave alone: an index
 * without a struct adapter is not ours, and its events are not even looked at. An index number means nothing for longer than
 * its controller is plugged in.
 */
#include "aiobled/manager.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapter_priv.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

/* Extended advertising over mgmt came with 1.18 (Linux 5.9), default configuration and the rest before. */
#define MGMT_VERSION_MIN  1
#define MGMT_REVISION_MIN 18
#define ADAPTERS_MAX      16

struct manager {
	struct loop *loop;
	const struct kernel *kernel;
	const struct manager_config *config;
	const struct manager_events *events;
	void *data;
	struct mgmt *mgmt;
	struct mgmt_cmd start; /* Read Version, then Read Index List */
	struct list unknown;   /* adapters that have not been identified */
	struct list adapters;
	unsigned int initial; /* of those that were there at the start: not settled yet */
	bool held, listed, told_identified, told_settled;
	struct defer settled;
	struct defer reap; /* frees adapters that are not on the allow-list */
	char *who;
	char reason[ADAPTER_REASON_MAX];

	void (*stopped)(void *data);
	void *stopped_data;
	struct defer tell_stopped;
	struct timer stop_deadline;
};

/* --- finding --- */

static struct adapter *find_in(struct list *list, uint16_t index)
{
	struct adapter *a;

	list_for_each (a, list, link)
		if (a->index == index)
			return a;
	return NULL;
}

static struct adapter *find_index(struct manager *m, uint16_t index)
{
	struct adapter *a = find_in(&m->adapters, index);

	return a ? a : find_in(&m->unknown, index);
}

/* Is it "hciN", or the address in either form? */
static bool is_called(const struct adapter *a, const char *name)
{
	struct addr addr;

	if (strcasecmp(a->name, name) == 0)
		return true;
	return addr_parse(name, a->addr.type, &addr) == 0 && addr_equal(&addr, &a->addr);
}

static bool is_allowed(const struct manager *m, const struct adapter *a)
{
	if (!m->config->adapters)
		return true;
	for (const char *const *name = m->config->adapters; *name; name++)
		if (is_called(a, *name))
			return true;
	return false;
}

struct adapter *manager_find(struct manager *m, const char *name)
{
	struct adapter *a;

	list_for_each (a, &m->adapters, link)
		if (*name ? is_called(a, name) : a->state == ADAPTER_READY)
			return a;
	return *name ? NULL : list_first(&m->adapters, struct adapter, link);
}

struct list *manager_adapters(struct manager *m)
{
	return &m->adapters;
}

/* --- identified, settled --- */

/*
 * Told at once, and not from the loop: the bring-up of the adapter that was identified last goes on in the same turn, for as
 * long as the kernel answers, and whoever starts something now starts it before that. Those that settle without ever telling
 * who they are (failed) are not waited for.
 */
static void check_identified(struct manager *m)
{
	const struct adapter *a;

	if (!m->listed || m->told_identified)
		return;
	list_for_each (a, &m->unknown, link)
		if (a->initial && !a->discard)
			return;
	m->told_identified = true;
	if (m->events->identified)
		m->events->identified(m->data);
}

static void on_settled(struct defer *d)
{
	struct manager *m = container_of(d, struct manager, settled);

	m->told_settled = true;
	if (m->events->settled)
		m->events->settled(m->data);
}

static void check_settled(struct manager *m)
{
	check_identified(m);
	if (m->listed && m->initial == 0 && !m->told_settled)
		defer_post(&m->settled);
}

static void settle(struct manager *m, struct adapter *a)
{
	if (!a->initial)
		return;
	a->initial = false;
	m->initial--;
	check_settled(m);
}

void manager_adapter_settled(struct manager *m, struct adapter *a)
{
	settle(m, a);
}

/* --- coming and going --- */

static void on_reap(struct defer *d)
{
	struct manager *m = container_of(d, struct manager, reap);
	struct adapter *a, *next;

	list_for_each_safe (a, next, &m->unknown, link)
		if (a->discard)
			adapter_free(a);
}

/* By index: the kernel lists the newest first, and which one is the first should not depend on that. */
static void insert_sorted(struct list *list, struct adapter *a)
{
	struct list *pos = list->next;

	while (pos != list && list_entry(pos, struct adapter, link)->index < a->index)
		pos = pos->next;
	list_add_before(pos, &a->link);
}

bool manager_adapter_known(struct manager *m, struct adapter *a)
{
	if (!is_allowed(m, a)) {
		log_debug(a->name, "not on the list of adapters");
		a->discard = true;
		settle(m, a);
		defer_post(&m->reap);
		return false;
	}
	a->known = true;
	list_del(&a->link);
	insert_sorted(&m->adapters, a);
	adapter_set_who(a, m->who);
	if (m->events->adapter_added)
		m->events->adapter_added(a, m->data);
	check_identified(m);
	return true;
}

static void remove_adapter(struct manager *m, struct adapter *a)
{
	log_debug(a->name, "removed");
	adapter_gone(a);
	settle(m, a);
	if (a->known && m->events->adapter_removed)
		m->events->adapter_removed(a, m->data);
	adapter_free(a);
	manager_adapter_stopped(m);
}

static unsigned int count(const struct manager *m)
{
	const struct adapter *a;
	unsigned int n = 0;

	list_for_each (a, &m->adapters, link)
		n++;
	list_for_each (a, &m->unknown, link)
		n++;
	return n;
}

static void add_adapter(struct manager *m, uint16_t index, bool initial)
{
	struct adapter *a = find_index(m, index);

	if (m->stopped || index == MGMT_INDEX_NONE)
		return;
	if (a) /* its removal was lost */
		remove_adapter(m, a);
	if (count(m) >= ADAPTERS_MAX ||
	    adapter_new(m, m->loop, m->kernel, m->config, m->mgmt, index, &a) < 0) {
		log_debug(NULL, "hci%u: no room for another adapter", index);
		return;
	}
	list_add_tail(&m->unknown, &a->link);
	a->initial = initial;
	m->initial += initial;
	bringup_start(a, false);
}

/* --- the channel --- */

static void on_event(const struct mgmt_msg *msg, void *data)
{
	struct manager *m = data;
	struct adapter *a = find_index(m, msg->index);

	switch (msg->code) {
	case MGMT_EV_INDEX_ADDED:
		if (m->listed) /* else it is going to be on the list */
			add_adapter(m, msg->index, false);
		break;
	case MGMT_EV_INDEX_REMOVED:
		if (a)
			remove_adapter(m, a);
		break;
	default:
		if (a)
			adapter_mgmt_event(a, msg);
		break;
	}
}

static void fail(struct manager *m, int err, const char *reason)
{
	(void)snprintf(m->reason, sizeof(m->reason), "%s", reason);
	if (m->events->failed)
		m->events->failed(err, m->data);
}

static void on_closed(int err, void *data)
{
	struct manager *m = data;
	char text[RES_TEXT_MAX], reason[ADAPTER_REASON_MAX];

	(void)snprintf(reason, sizeof(reason), "the kernel's Bluetooth control channel broke: %s",
	               res_text(err, text, sizeof(text)));
	fail(m, err, reason);
}

/* --- start --- */

static int send_start(struct manager *m, uint16_t opcode, void (*done)(struct op *op, int res))
{
	op_init(&m->start.op, m->loop, done);
	return mgmt_send(m->mgmt, &m->start, opcode, MGMT_INDEX_NONE, NULL, 0, MGMT_TIMEOUT_MS);
}

static void start_failed(struct manager *m, const char *what, int res)
{
	char text[RES_TEXT_MAX], reason[ADAPTER_REASON_MAX];

	if (res == -EIO) /* closed() is about to tell */
		return;
	(void)snprintf(reason, sizeof(reason), "%s: %s", what, res_text(res, text, sizeof(text)));
	fail(m, res < 0 ? res : -EPROTO, reason);
}

static void on_index_list(struct op *op, int res)
{
	struct manager *m = container_of(op, struct manager, start.op);
	struct mgmt_list list;
	uint16_t index;

	if (res == 0)
		res = mgmt_parse_index_list(m->start.rsp, m->start.rsp_len, &list);
	if (res) {
		start_failed(m, "Read Controller Index List", res);
		return;
	}
	m->listed = true;
	while (mgmt_next(&list, &index))
		add_adapter(m, index, true);
	check_settled(m);
}

static void on_version(struct op *op, int res)
{
	struct manager *m = container_of(op, struct manager, start.op);
	struct mgmt_version v;
	char reason[ADAPTER_REASON_MAX];

	if (res == 0)
		res = mgmt_parse_version(m->start.rsp, m->start.rsp_len, &v);
	if (res) {
		start_failed(m, "Read Management Version", res);
		return;
	}
	log_debug(NULL, "kernel mgmt %u.%u", v.version, v.revision);
	if (v.version < MGMT_VERSION_MIN ||
	    (v.version == MGMT_VERSION_MIN && v.revision < MGMT_REVISION_MIN)) {
		(void)snprintf(reason, sizeof(reason),
		               "the kernel's Bluetooth management interface is %u.%u; %u.%u (Linux "
		               "5.9) or newer is needed",
		               v.version, v.revision, MGMT_VERSION_MIN, MGMT_REVISION_MIN);
		fail(m, -EPROTONOSUPPORT, reason);
		return;
	}
	res = send_start(m, MGMT_READ_INDEX_LIST, on_index_list);
	if (res < 0)
		start_failed(m, "Read Controller Index List", res);
}

static const struct mgmt_events mgmt_events = {.event = on_event, .closed = on_closed};

/* --- stop --- */

static void on_tell_stopped(struct defer *d)
{
	struct manager *m = container_of(d, struct manager, tell_stopped);

	timer_stop(&m->stop_deadline);
	m->stopped(m->stopped_data);
}

static void on_stop_deadline(struct timer *t)
{
	defer_post(&container_of(t, struct manager, stop_deadline)->tell_stopped);
}

void manager_adapter_stopped(struct manager *m)
{
	struct adapter *a;

	if (!m->stopped || !timer_armed(&m->stop_deadline))
		return;
	list_for_each (a, &m->adapters, link)
		if (!a->stopping.done)
			return;
	defer_post(&m->tell_stopped);
}

void manager_stop(struct manager *m, void (*done)(void *data), void *data)
{
	struct adapter *a;

	assert(!m->stopped);
	m->stopped = done;
	m->stopped_data = data;
	timer_start_ms(&m->stop_deadline, MANAGER_STOP_MS);
	list_for_each (a, &m->adapters, link)
		adapter_stop(a);
	manager_adapter_stopped(m);
}

/* --- life --- */

int manager_new(struct loop *loop, const struct kernel *kernel, const struct manager_config *config,
                const struct manager_events *events, void *data, struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	*m = (struct manager){.loop = loop,
	                      .kernel = kernel,
	                      .config = config,
	                      .events = events,
	                      .data = data,
	                      .held = config->held};
	list_init(&m->unknown);
	list_init(&m->adapters);
	defer_init(&m->settled, loop, on_settled);
	defer_init(&m->reap, loop, on_reap);
	defer_init(&m->tell_stopped, loop, on_tell_stopped);
	timer_init(&m->stop_deadline, loop, on_stop_deadline);
	r = kernel->mgmt(kernel);
	if (r >= 0)
		r = mgmt_new(loop, r, &mgmt_events, m, &m->mgmt);
	if (r >= 0)
		r = send_start(m, MGMT_READ_VERSION, on_version);
	if (r < 0)
		return r;
	*ret = steal(&m);
	return 0;
}

static void free_adapters(struct list *list)
{
	struct adapter *a;

	while ((a = list_first(list, struct adapter, link))) {
		adapter_gone(a);
		adapter_free(a);
	}
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	op_drop(&m->start.op);
	m->told_settled = true; /* nobody is told any more */
	m->stopped = NULL;
	free_adapters(&m->unknown);
	free_adapters(&m->adapters);
	timer_stop(&m->stop_deadline);
	defer_cancel(&m->tell_stopped);
	defer_cancel(&m->settled);
	defer_cancel(&m->reap);
	m->mgmt = mgmt_free(m->mgmt);
	free(m->who);
	free(m);
	return NULL;
}

const char *manager_reason(const struct manager *m)
{
	return m->reason;
}

bool manager_is_held(const struct manager *m)
{
	return m->held;
}

void manager_begin(struct manager *m)
{
	struct adapter *a;

	m->held = false;
	list_for_each (a, &m->adapters, link)
		bringup_release(a);
}

void manager_set_conflict(struct manager *m, const char *who)
{
	char *old = m->who;
	struct adapter *a;

	m->who = who ? strdup(who) : NULL; /* without memory: nobody is named */
	list_for_each (a, &m->adapters, link)
		adapter_set_who(a, m->who);
	free(old);
}
