/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One controller as the rest of the program sees it: its state, power, the raw channel, and what other programs do to it.
 * The way to READY is in adapter_bringup.c. Modules (scan, links) hear up and down from adapter_enter_state() alone. What
 * ends here may run anybody's done(), which may ask for power again: after telling, look at the state, do not remember it.
 */
#include "aiobled/adapter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter_priv.h"
#include "aiobled/log.h"
#include "aiobled/result.h"

/* --- telling --- */

static void on_changed(struct defer *d)
{
	struct adapter *a = container_of(d, struct adapter, changed);

	if (a->events && a->events->changed)
		a->events->changed(a, a->events_data);
}

void adapter_changed(struct adapter *a)
{
	if (a->known)
		defer_post(&a->changed);
}

void adapter_emit_conn(struct adapter *a, struct conn *conn)
{
	if (a->events && a->events->conn_added)
		a->events->conn_added(a, conn, a->events_data);
	adv_conn_added(a, conn);
}

void adapter_set_events(struct adapter *a, const struct adapter_events *events, void *data)
{
	a->events = events;
	a->events_data = data;
}

/* --- state --- */

static const char *state_name(enum adapter_state state)
{
	switch (state) {
	case ADAPTER_STARTING:
		return "starting";
	case ADAPTER_READY:
		return "ready";
	case ADAPTER_OFF:
		return "off";
	case ADAPTER_BLOCKED:
		return "blocked";
	case ADAPTER_FAILED:
		return "failed";
	}
	return "";
}

/* The modules hear it first, with the channel still there; nothing of theirs may be on it afterwards. */
static void modules_down(struct adapter *a, int err)
{
	a->up = false;
	links_adapter_down(a, err);
	scan_adapter_down(a, err);
	adv_adapter_down(a, err);
	adapter_close_hci(a);
}

static void modules_up(struct adapter *a)
{
	a->up = true;
	links_adapter_up(a);
	if (a->up) /* the links may have brought it down again */
		scan_adapter_up(a);
	if (a->up)
		adv_adapter_up(a);
}

/* Those who waited for the radio to be on: 0, or why it is not. */
static void tell_waiting(struct adapter *a, int on_res, int await_res)
{
	op_fail_all(&a->on_ops, on_res);
	op_fail_all(&a->await_ops, await_res);
}

static void entered(struct adapter *a, enum adapter_state state, int res)
{
	switch (state) {
	case ADAPTER_STARTING:
		if (a->up)
			modules_down(a, -ENETDOWN);
		return;
	case ADAPTER_READY:
		a->ready_us = loop_now_us(a->loop);
		modules_up(a);
		tell_waiting(a, a->up ? 0 : -ECANCELED, a->up ? 0 : -ENETDOWN);
		break;
	case ADAPTER_OFF:
		modules_down(a, -ENETDOWN);
		tell_waiting(a, -ECANCELED, -ENETDOWN);
		break;
	case ADAPTER_BLOCKED:
	case ADAPTER_FAILED:
		modules_down(a, -ENETDOWN);
		tell_waiting(a, res ? res : -ENETDOWN, -ENETDOWN);
		break;
	}
	manager_adapter_settled(a->manager, a);
}

void adapter_enter_state(struct adapter *a, enum adapter_state state, int res, const char *fmt, ...)
{
	char reason[ADAPTER_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut when too long */
	va_end(ap);
	if (a->state != state || strcmp(a->reason, reason) != 0) {
		log_debug(a->name, "%s -> %s%s%s", state_name(a->state), state_name(state),
		          *reason ? ": " : "", reason);
		adapter_changed(a);
	}
	a->state = state;
	(void)snprintf(a->reason, sizeof(a->reason), "%s", reason);
	if (state != ADAPTER_OFF)
		a->off_by_us = false;
	a->off_with_who = false;
	timer_stop(&a->unplug);
	entered(a, state, res);
}

/* --- the raw channel --- */

static void on_hci_event(const struct hcip_event *ev, void *data)
{
	struct adapter *a = data;

	if (a->up) {
		adv_hci_event(a, ev);
		links_hci_event(a, ev);
		scan_hci_event(a, ev);
	}
	if (ev->code != HCIP_EV_HARDWARE_ERROR)
		return;
	if (hcip_parse_hardware_error(ev, &a->hardware_error) < 0)
		a->stats.events_malformed++;
	else
		defer_post(&a->broken); /* not from here: the channel is going to be freed */
}

static void on_broken(struct defer *d)
{
	struct adapter *a = container_of(d, struct adapter, broken);

	if (a->state == ADAPTER_OFF)
		return; /* nothing was lost, and it is to stay off */
	/* the kernel resets the controller without a word to us; what it was doing is lost */
	bringup_cancel(a);
	adapter_enter_state(a, ADAPTER_FAILED, -EIO,
	                    "the controller reported hardware error 0x%02x", a->hardware_error);
	if (a->state == ADAPTER_FAILED && !bringup_busy(a))
		bringup_retry_later(a);
}

/* Nearly always the first sign of unplugging. Closed at once: an open channel keeps the index taken. */
static void on_hci_closed(_unused_ int err, void *data)
{
	struct adapter *a = data;

	adapter_close_hci(a);
	if (a->up)
		timer_start_ms(&a->unplug, ADAPTER_UNPLUG_SETTLE_MS);
}

int adapter_open_hci(struct adapter *a)
{
	static const struct hci_chan_events events = {.event = on_hci_event,
	                                              .closed = on_hci_closed};
	int fd;

	adapter_close_hci(a);
	fd = a->kernel->hci(a->kernel, a->index);
	if (fd < 0)
		return fd;
	return hci_chan_new(a->loop, fd, &events, a, &a->hci);
}

static void add_channel_stats(const struct adapter *a, struct adapter_stats *stats)
{
	struct hci_chan_stats s;

	if (!a->hci)
		return;
	hci_chan_get_stats(a->hci, &s);
	stats->commands += s.sent;
	stats->command_timeouts += s.timeouts;
	stats->events_malformed += s.malformed;
}

void adapter_close_hci(struct adapter *a)
{
	add_channel_stats(a, &a->stats);
	a->hci = hci_chan_free(a->hci);
	defer_cancel(&a->broken);
}

struct gatt_server *adapter_gatt_server(const struct adapter *a)
{
	return a->gatt_server;
}

void adapter_get_stats(const struct adapter *a, struct adapter_stats *ret)
{
	struct adapter_stats stats = a->stats;

	add_channel_stats(a, &stats);
	*ret = stats;
}

/* --- other programs --- */

static void update_conflict(struct adapter *a)
{
	char text[sizeof(a->conflict)];

	(void)snprintf(text, sizeof(text), "%s%s%s", a->who ? a->who : "",
	               a->who && *a->foreign ? "; " : "", a->foreign);
	if (strcmp(text, a->conflict) == 0)
		return;
	(void)snprintf(a->conflict, sizeof(a->conflict), "%s", text);
	log_debug(a->name, "conflict: %s", *text ? text : "none");
	adapter_changed(a);
}

/*
 * A manager that ends turns its adapters off, just before or just after its name goes from the bus: that is no wish to have
 * them off, and nobody else would turn them on again.
 */
static bool left_behind(const struct adapter *a)
{
	return a->who_left_us &&
	       loop_now_us(a->loop) - a->who_left_us < ADAPTER_WHO_LEAVES_MS * 1000ull;
}

void adapter_set_who(struct adapter *a, const char *who)
{
	bool left = a->who && !who;

	a->who = who;
	a->who_left_us = left ? loop_now_us(a->loop) : 0;
	update_conflict(a);
	if (left && a->state == ADAPTER_OFF && a->off_with_who)
		bringup_start(a, false);
}

void adapter_note_foreign(struct adapter *a, const char *what)
{
	a->stats.foreign_changes++;
	(void)snprintf(a->foreign, sizeof(a->foreign), "another program %s", what);
	timer_start_ms(&a->foreign_forget, ADAPTER_FOREIGN_FORGET_MS);
	update_conflict(a);
}

static void on_foreign_forget(struct timer *t)
{
	struct adapter *a = container_of(t, struct adapter, foreign_forget);

	a->foreign[0] = '\0';
	update_conflict(a);
}

static void note_foreign_settings(struct adapter *a, uint32_t diff)
{
	static const struct {
		uint32_t bit;
		const char *what;
	} words[] = {
		{MGMT_SETTING_LE, "changed the setting Low Energy"},
		{MGMT_SETTING_BREDR, "changed the setting BR/EDR"},
		{MGMT_SETTING_CONNECTABLE, "changed the setting connectable"},
		{MGMT_SETTING_DISCOVERABLE, "changed the setting discoverable"},
		{MGMT_SETTING_ADVERTISING, "changed the setting advertising"},
		{MGMT_SETTING_PRIVACY, "changed the setting privacy"},
		{MGMT_SETTING_STATIC_ADDRESS, "changed the static address"},
		{MGMT_SETTING_SC, "changed the setting Secure Connections"},
		{MGMT_SETTING_BONDABLE, "changed the setting bondable"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (diff & words[i].bit) {
			adapter_note_foreign(a, words[i].what);
			return;
		}
	}
	adapter_note_foreign(a, "changed settings of the adapter");
}

/* --- settings from outside --- */

void adapter_update_settings(struct adapter *a, uint32_t settings)
{
	if ((a->settings ^ settings) & MGMT_SETTING_POWERED)
		adapter_changed(a);
	a->settings = settings;
}

/* The radio went off, or the raw channel broke, and the adapter was not removed within a moment. */
static void on_unplug(struct timer *t)
{
	struct adapter *a = container_of(t, struct adapter, unplug);

	if (a->settings & MGMT_SETTING_POWERED) {
		adapter_enter_state(a, ADAPTER_FAILED, -EIO, "the raw HCI channel broke");
	} else if (a->kernel->blocked(a->kernel, a->index) == 1) {
		adapter_enter_state(a, ADAPTER_BLOCKED, RES_MGMT(MGMT_STATUS_RFKILLED),
		                    "blocked by rfkill: see rfkill(8)");
	} else {
		adapter_note_foreign(a, "turned the radio off");
		adapter_enter_state(a, ADAPTER_OFF, 0, "turned off by another program");
		a->off_with_who = a->who;
		if (left_behind(a) && a->state == ADAPTER_OFF)
			bringup_start(a, false);
	}
	if (!bringup_busy(a) && (a->state == ADAPTER_FAILED || a->state == ADAPTER_BLOCKED))
		bringup_retry_later(a);
}

/* Another program turned it on: its settings are taken over when they suit us. */
static void on_powered(struct adapter *a)
{
	if (a->state == ADAPTER_OFF)
		adapter_note_foreign(a, "turned the radio on");
	bringup_start(a, a->state != ADAPTER_FAILED);
}

static void on_settings_while_ready(struct adapter *a, uint32_t diff)
{
	if (!(a->settings & MGMT_SETTING_POWERED)) {
		if (diff & MGMT_SETTING_POWERED)
			timer_start_ms(&a->unplug, ADAPTER_UNPLUG_SETTLE_MS);
		return;
	}
	if (diff & MGMT_SETTING_POWERED) { /* off and on again: a reset */
		bringup_start(a, true);
		return;
	}
	if (diff)
		note_foreign_settings(a, diff);
	if (a->settings & MGMT_SETTING_LE)
		return;
	adapter_enter_state(a, ADAPTER_FAILED, -EIO,
	                    "Low Energy was turned off by another program");
	if (a->state == ADAPTER_FAILED && !bringup_busy(a))
		bringup_retry_later(a);
}

/* The kernel does not tell us of our own changes this way, except while the radio turns on or off. */
static void on_new_settings(struct adapter *a, uint32_t settings)
{
	uint32_t diff = a->settings ^ settings;

	adapter_update_settings(a, settings);
	if (bringup_busy(a) || !a->known)
		return;
	if (a->state == ADAPTER_READY)
		on_settings_while_ready(a, diff);
	else if (diff & settings & MGMT_SETTING_POWERED)
		on_powered(a);
}

static int handle_mgmt_event(struct adapter *a, const struct mgmt_msg *msg)
{
	uint32_t settings;
	uint8_t types;
	bool on;
	int r = 0;

	switch (msg->code) {
	case MGMT_EV_NEW_SETTINGS:
		r = mgmt_parse_settings(msg->data, msg->len, &settings);
		if (r == 0)
			on_new_settings(a, settings);
		break;
	case MGMT_EV_DISCOVERING:
		r = mgmt_parse_discovering(msg->data, msg->len, &types, &on);
		if (r < 0)
			break;
		scan_discovering(a, types, on);
		if (on && !scan_engaged(a))
			adapter_note_foreign(a, "searches for devices");
		break;
	case MGMT_EV_CONTROLLER_ERROR:
		r = mgmt_parse_controller_error(msg->data, msg->len, &a->hardware_error);
		if (r == 0)
			defer_post(&a->broken);
		break;
	default:
		break;
	}
	return r;
}

void adapter_mgmt_event(struct adapter *a, const struct mgmt_msg *msg)
{
	if (handle_mgmt_event(a, msg) < 0)
		a->stats.events_malformed++;
	if (a->known) {
		links_mgmt_event(a, msg);
		adv_mgmt_event(a, msg);
	}
}

/* --- life --- */

int adapter_new(struct manager *manager, struct loop *loop, const struct kernel *kernel,
                const struct manager_config *config, struct mgmt *mgmt, uint16_t index,
                struct adapter **ret)
{
	struct adapter *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	*a = (struct adapter){.manager = manager,
	                      .loop = loop,
	                      .kernel = kernel,
	                      .config = config,
	                      .mgmt = mgmt,
	                      .index = index};
	(void)snprintf(a->name, sizeof(a->name), "hci%u", index);
	list_init(&a->link);
	list_init(&a->await_ops);
	list_init(&a->on_ops);
	list_init(&a->off_ops);
	timer_init(&a->unplug, loop, on_unplug);
	timer_init(&a->foreign_forget, loop, on_foreign_forget);
	defer_init(&a->changed, loop, on_changed);
	defer_init(&a->broken, loop, on_broken);
	bringup_init(a);
	adapter_stop_init(a);
	if (scan_attach(a) < 0 || links_attach(a) < 0 || adv_attach(a) < 0) {
		adapter_free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void adapter_gone(struct adapter *a)
{
	a->closing = -ENODEV; /* no new work from those who are told */
	bringup_cancel(a);
	adapter_stop_cancel(a);
	timer_stop(&a->unplug);
	modules_down(a, -ENODEV);
	tell_waiting(a, -ENODEV, -ENODEV);
	op_fail_all(&a->off_ops, -ENODEV);
}

static void drop_all(struct list *queue)
{
	struct op *op;

	while ((op = list_first(queue, struct op, link)))
		op_drop(op);
}

struct adapter *adapter_free(struct adapter *a)
{
	if (!a)
		return NULL;
	bringup_cancel(a);
	adapter_stop_cancel(a);
	drop_all(&a->await_ops);
	drop_all(&a->on_ops);
	drop_all(&a->off_ops);
	if (a->links)
		links_detach(a);
	if (a->advs)
		adv_detach(a);
	if (a->scan)
		scan_detach(a);
	adapter_close_hci(a);
	timer_stop(&a->unplug);
	timer_stop(&a->foreign_forget);
	defer_cancel(&a->changed);
	list_del(&a->link);
	free(a);
	return NULL;
}

/* --- facts --- */

struct adapter *adapter_from_link(struct list *adapter_link)
{
	return list_entry(adapter_link, struct adapter, link);
}

uint16_t adapter_index(const struct adapter *a)
{
	return a->index;
}

const char *adapter_name(const struct adapter *a)
{
	return a->name;
}

const struct addr *adapter_addr(const struct adapter *a)
{
	return &a->addr;
}

enum adapter_state adapter_state(const struct adapter *a)
{
	return a->state;
}

const char *adapter_reason(const struct adapter *a)
{
	return a->reason;
}

const char *adapter_conflict(const struct adapter *a)
{
	return a->conflict;
}

bool adapter_powered(const struct adapter *a)
{
	return a->settings & MGMT_SETTING_POWERED;
}

bool adapter_extended_scan(const struct adapter *a)
{
	return a->extended;
}

bool adapter_scanning(const struct adapter *a)
{
	return a->scan && scan_active(a);
}

uint8_t adapter_hci_version(const struct adapter *a)
{
	return a->hci_version;
}

uint16_t adapter_manufacturer(const struct adapter *a)
{
	return a->manufacturer;
}

uint32_t adapter_links_in_use(const struct adapter *a)
{
	return a->links ? links_count(a) : 0;
}

uint32_t adapter_links_max(const struct adapter *a)
{
	return links_max(a);
}
