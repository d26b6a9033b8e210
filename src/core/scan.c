/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scanners: what each of them asked for, merged for the controller, and every report taken apart for each. Relies on
 * scan_radio.c for a scan that always comes back, and on scan_table.c for what a device said before.
 *
 * The rule a reader would break first: a scanner's report() may free any scanner. So the walk over scanners stands in the scan
 * (`next`), which scanner_free() moves on, and everything else is told from a deferred call.
 */
#include "aiobled/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/log.h"
#include "aiobled/result.h"
#include "links_priv.h"
#include "scan_filter.h"
#include "scan_radio.h"
#include "scan_table.h"

/* The kernel's own numbers for the scan of a pending connect. */
#define KEEPER_INTERVAL 0x60
#define KEEPER_WINDOW   0x30
#define DEAF_US         100000 /* no scan of the kernel so long after a connect began */

enum packet { PACKET_ADV, PACKET_RSP, PACKETS };

/* What a scanner was told last of a device; the slot is the device's. */
struct seen {
	uint32_t generation;
	bool told[PACKETS];
	int8_t rssi_dbm[PACKETS];
	uint64_t hash[PACKETS];
};

struct scanner {
	struct list link;
	struct scan *scan;
	struct scan_params params;
	const struct scanner_events *events;
	void *data;
	enum scanner_state state, told_state;
	bool finished_due;
	int res;
	uint64_t since_us; /* what was said earlier is none of its business */
	uint64_t received;
	struct timer duration;
	struct seen *seen;
	uint32_t n_seen;
};

struct scan {
	struct adapter *adapter;
	struct list scanners;
	struct list *next; /* the walk of deliver(); NULL: none */
	size_t n_scanners;
	struct scan_radio radio;
	struct scan_table table;
	struct scan_fragments fragments;
	struct defer tell;
	bool stopping;
	struct timer deaf; /* after a connect: does the kernel listen for the peer? */
	size_t pending;    /* connects, as last told */
	uint64_t pending_us;
	bool keep;   /* it does not: we do */
	bool urgent; /* our scan stands for its, so it must hear the peer as soon */
};

/* --- what is wanted --- */

static uint16_t scan_units(uint32_t us)
{
	return (uint16_t)MIN(MAX(us / HCIP_SCAN_UNIT_US, HCIP_SCAN_UNITS_MIN), HCIP_SCAN_UNITS_MAX);
}

/* Active when one is, the smallest interval, the largest window. */
static struct scan_want merged_want(const struct scan *scan)
{
	struct scan_want want = {.interval = UINT16_MAX};
	struct scanner *s;

	list_for_each (s, &scan->scanners, link) {
		if (s->state == SCANNER_FINISHED)
			continue;
		want.on = true;
		want.active |= s->params.active;
		want.interval = MIN(want.interval, scan_units(s->params.interval_us));
		want.window = MAX(want.window, scan_units(s->params.window_us));
	}
	want.window = MIN(want.window, want.interval);
	return want;
}

/* The kernel's own scan for the peers of connects listens half the time: ours must not be deafer while it stands for it. */
static void want_at_least_as_keeper(struct scan_want *want)
{
	if ((uint32_t)want->window * KEEPER_INTERVAL >= (uint32_t)KEEPER_WINDOW * want->interval)
		return;
	want->interval = KEEPER_INTERVAL;
	want->window = KEEPER_WINDOW;
}

/*
 * A pending connect needs somebody who listens for its peer. The kernel does, with a scan of its own; but that was replaced
 * when ours began, does not come back when ours ends, and does not begin when the kernel believes in somebody's discovery. So
 * go on as the kernel would have: it connects when it sees the peer's report, whoever scans.
 */
static void scan_update(struct scan *scan)
{
	struct scan_want want = merged_want(scan);

	scan->keep = scan->pending && (scan->keep || scan_radio_holds(&scan->radio));
	scan->urgent = scan->urgent && scan->pending;
	if (want.on && scan->urgent)
		want_at_least_as_keeper(&want);
	else if (!want.on && !scan->stopping && scan->keep)
		want = (struct scan_want){
			.on = true,
			.filter_duplicates = true,
			.interval = KEEPER_INTERVAL,
			.window = KEEPER_WINDOW,
		};
	scan_radio_want(&scan->radio, &want);
}

/* The kernel begins to scan at once when it begins at all; the raw channel shows it. */
static void on_deaf(struct timer *t)
{
	struct scan *scan = container_of(t, struct scan, deaf);

	scan->urgent = true;
	if (!scan->radio.initiating && scan->radio.others_us < scan->pending_us)
		scan->keep = true;
	scan_update(scan);
}

void scan_links_changed(struct adapter *adapter)
{
	struct scan *scan = adapter->scan;
	size_t pending = links_pending(adapter);

	if (!scan)
		return;
	if (pending > scan->pending) {
		scan->pending_us = loop_now_us(adapter->loop);
		timer_start(&scan->deaf, DEAF_US);
	} else if (!pending) {
		timer_stop(&scan->deaf);
	}
	scan->pending = pending;
	scan_update(scan);
}

void scan_discovering(struct adapter *adapter, uint8_t type, bool on)
{
	if (adapter->scan)
		scan_radio_discovering(&adapter->scan->radio, type, on);
}

/* --- telling scanners how it stands --- */

static void finish(struct scanner *s, int res)
{
	if (s->state == SCANNER_FINISHED)
		return;
	s->state = SCANNER_FINISHED;
	s->res = res;
	s->finished_due = true;
	timer_stop(&s->duration);
	defer_post(&s->scan->tell);
}

static void finish_all(struct scan *scan, int res)
{
	struct scanner *s;

	list_for_each (s, &scan->scanners, link)
		finish(s, res);
}

/* One that has something to tell; asked again from the start after each, since a callback may change the list. */
static struct scanner *find_untold(struct scan *scan)
{
	struct scanner *s;

	list_for_each (s, &scan->scanners, link)
		if (s->finished_due || (s->state != SCANNER_FINISHED && s->state != s->told_state))
			return s;
	return NULL;
}

static void tell_all(struct scan *scan)
{
	struct scanner *s;

	while ((s = find_untold(scan))) {
		s->told_state = s->state;
		if (s->finished_due) {
			s->finished_due = false;
			s->events->finished(s, s->res, s->data);
		} else if (s->events->state) {
			s->events->state(s, s->data);
		}
	}
	if (list_empty(&scan->scanners)) {
		scan_table_clear(&scan->table); /* the next scanner starts from nothing */
		scan_fragments_clear(&scan->fragments);
	}
}

static void on_tell(struct defer *d)
{
	tell_all(container_of(d, struct scan, tell));
}

static void begin(struct scanner *s)
{
	s->since_us = loop_now_us(s->scan->adapter->loop);
	if (s->params.duration_ms)
		timer_start_ms(&s->duration, s->params.duration_ms);
}

static void on_radio_changed(struct scan_radio *radio)
{
	struct scan *scan = container_of(radio, struct scan, radio);
	struct scanner *s;

	list_for_each (s, &scan->scanners, link) {
		if (s->state == SCANNER_FINISHED)
			continue;
		if (radio->state == RADIO_ON) {
			if (s->state == SCANNER_WAITING)
				begin(s);
			s->state = SCANNER_RUNNING;
		} else if (radio->paused && s->state == SCANNER_RUNNING) {
			s->state = SCANNER_PAUSED;
		}
	}
	if (radio->paused && scan->pending) { /* it comes back with what is wanted then */
		scan->urgent = true;
		scan_update(scan);
	}
	defer_post(&scan->tell);
	adapter_changed(scan->adapter);
}

static void on_radio_failed(struct scan_radio *radio, int res)
{
	finish_all(container_of(radio, struct scan, radio), res);
}

static void on_duration(struct timer *t)
{
	struct scanner *s = container_of(t, struct scanner, duration);
	struct scan *scan = s->scan;

	finish(s, 0);
	scan_update(scan);
}

/* --- reports --- */

/* FNV-1a: to tell a change, not to withstand anybody */
static uint64_t hash_bytes(uint64_t h, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct seen *seen_of(struct scanner *s, const struct scan_device *device)
{
	struct seen *seen;

	if (device->slot >= s->n_seen) {
		uint32_t n = s->scan->table.size;

		seen = realloc(s->seen, n * sizeof(*seen));
		if (!seen)
			return NULL;
		memset(seen + s->n_seen, 0, (n - s->n_seen) * sizeof(*seen));
		s->seen = seen;
		s->n_seen = n;
	}
	seen = &s->seen[device->slot];
	if (seen->generation != device->generation)
		*seen = (struct seen){.generation = device->generation};
	return seen;
}

/* Whether the duplicate policy lets it pass, and remember it. Without memory everything passes. */
static bool is_news(struct scanner *s, const struct scan_device *device,
                    const struct scan_report *r)
{
	enum packet packet = r->type == SCAN_RSP ? PACKET_RSP : PACKET_ADV;
	struct seen *seen;
	bool news;
	uint64_t h;

	if (s->params.duplicates == SCAN_DUPLICATES_ALL)
		return true;
	seen = seen_of(s, device);
	if (!seen)
		return true;
	news = !seen->told[packet];
	if (s->params.duplicates == SCAN_DUPLICATES_CHANGED) {
		h = hash_bytes(UINT64_C(0xcbf29ce484222325) ^ (uint64_t)r->type,
		               packet == PACKET_RSP ? r->rsp : r->adv,
		               packet == PACKET_RSP ? r->rsp_len : r->adv_len);
		news |= seen->hash[packet] != h || seen->rssi_dbm[packet] != r->rssi_dbm;
		seen->hash[packet] = h;
		seen->rssi_dbm[packet] = r->rssi_dbm;
	}
	seen->told[packet] = true;
	return news;
}

static void offer(struct scanner *s, const struct scan_device *device,
                  const struct scan_report *report)
{
	struct scan_report r = *report;

	if (r.type == SCAN_RSP && !s->params.active)
		return; /* asked for by somebody else */
	s->received++;
	if (device->adv.time_us >= s->since_us && device->adv.time_us) {
		r.adv = scan_data_bytes(&device->adv);
		r.adv_len = device->adv.len;
	}
	if (s->params.active && device->rsp.time_us >= s->since_us && device->rsp.time_us) {
		r.rsp = scan_data_bytes(&device->rsp);
		r.rsp_len = device->rsp.len;
	}
	if (scan_filter_match(&s->params.filter, &r) && is_news(s, device, &r))
		s->events->report(s, &r, s->data);
}

static void deliver(struct scan *scan, const struct scan_device *device,
                    const struct scan_report *report)
{
	struct scanner *s;

	assert(!scan->next);
	scan->next = scan->scanners.next;
	while (scan->next != &scan->scanners) {
		s = list_entry(scan->next, struct scanner, link);
		scan->next = s->link.next;
		if (s->state == SCANNER_RUNNING)
			offer(s, device, report);
	}
	scan->next = NULL;
}

static enum scan_event_type event_type(const struct hcip_report *r)
{
	if (r->kind != HCIP_KIND_EXTENDED)
		return (enum scan_event_type)r->kind; /* the same five, by the same numbers */
	if (r->props & HCIP_ADV_SCAN_RSP)
		return SCAN_RSP;
	if (r->props & HCIP_ADV_CONNECTABLE)
		return r->props & HCIP_ADV_DIRECTED ? SCAN_DIRECT_IND : SCAN_IND;
	return r->props & HCIP_ADV_SCANNABLE ? SCAN_SCAN_IND : SCAN_NONCONN_IND;
}

/*
 * Keep what was said. Directed advertising carries no data of the host and takes nothing back; an advertiser that cannot be asked
 * for a scan response has none, whatever it had before.
 */
static int remember(struct scan_device *device, const struct hcip_report *r,
                    enum scan_event_type type, uint64_t now_us)
{
	if (type == SCAN_RSP)
		return scan_data_set(&device->rsp, r->data, r->len, now_us);
	device->props = r->props;
	if (type == SCAN_DIRECT_IND && !r->len)
		return 0;
	if (!(r->props & HCIP_ADV_SCANNABLE))
		scan_data_clear(&device->rsp);
	return scan_data_set(&device->adv, r->data, r->len, now_us);
}

static void take_report(struct scan *scan, const struct hcip_report *r)
{
	uint64_t now_us = loop_now_us(scan->adapter->loop);
	enum scan_event_type type = event_type(r);
	struct scan_device *device = scan_table_get(&scan->table, &r->addr, r->sid);
	struct scan_report report = {
		.addr = r->addr,
		.type = type,
		.extended = r->kind == HCIP_KIND_EXTENDED,
		.rssi_dbm = r->rssi_dbm,
		.tx_power_dbm = r->tx_dbm,
		.sid = r->sid,
		.primary_phy = r->primary_phy,
		.secondary_phy = r->secondary_phy,
		.time_us = now_us,
	};
	uint8_t props;

	if (!device || remember(device, r, type, now_us) < 0) {
		scan->adapter->stats.reports_dropped++;
		return;
	}
	/* a scan response says of the advertisement it belongs to what that said itself */
	props = type == SCAN_RSP && device->adv.time_us ? device->props : r->props;
	report.connectable = props & HCIP_ADV_CONNECTABLE;
	report.scannable = props & HCIP_ADV_SCANNABLE;
	deliver(scan, device, &report);
}

static void take_fragment(struct scan *scan, struct hcip_report *r)
{
	struct adapter_stats *stats = &scan->adapter->stats;

	switch (scan_assemble(&scan->fragments, r, loop_now_us(scan->adapter->loop))) {
	case 1:
		take_report(scan, r);
		break;
	case -EBADMSG:
		stats->events_malformed++;
		break;
	case -ENOBUFS:
	case -ENOMEM:
		stats->reports_dropped++;
		break;
	}
}

void scan_hci_event(struct adapter *adapter, const struct hcip_event *ev)
{
	struct scan *scan = adapter->scan;
	struct hcip_reports reports;
	struct hcip_report r;

	scan_radio_event(&scan->radio, ev);
	if (ev->code != HCIP_EV_LE_META ||
	    (ev->subevent != HCIP_LE_ADV_REPORT && ev->subevent != HCIP_LE_EXT_ADV_REPORT))
		return;
	if (hcip_parse_reports(ev, &reports) < 0) {
		adapter->stats.events_malformed++;
		return;
	}
	scan_radio_heard(&scan->radio);
	while (hcip_next_report(&reports, &r)) {
		adapter->stats.reports++;
		if (!list_empty(&scan->scanners))
			take_fragment(scan, &r);
	}
}

/* --- scanners --- */

static int check_params(const struct scan_params *p)
{
	if (p->interval_us < SCAN_INTERVAL_US_MIN || p->interval_us > SCAN_INTERVAL_US_MAX)
		return -EINVAL;
	if (p->window_us < SCAN_INTERVAL_US_MIN || p->window_us > p->interval_us)
		return -EINVAL;
	return 0;
}

static void scanner_link(struct scan *scan, struct scanner *s)
{
	s->scan = scan;
	list_add_tail(&scan->scanners, &s->link);
	scan->n_scanners++;
	timer_init(&s->duration, scan->adapter->loop, on_duration);
	if (scan->radio.state == RADIO_ON) {
		begin(s);
		s->state = SCANNER_RUNNING;
		defer_post(&scan->tell);
	}
	scan_update(scan);
}

int scanner_new(struct adapter *adapter, const struct scan_params *params,
                const struct scanner_events *events, void *data, struct scanner **ret)
{
	_cleanup_(freep) struct scanner *s = NULL;
	int r = check_params(params);

	if (r < 0)
		return r;
	if (adapter->scan->n_scanners >= SCANNERS_MAX)
		return -ENOBUFS;
	r = adapter_want(adapter);
	if (r < 0 && r != -EAGAIN)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->params = *params;
	s->events = events;
	s->data = data;
	r = scan_filter_copy(&params->filter, &s->params.filter);
	if (r < 0)
		return r;
	scanner_link(adapter->scan, s);
	*ret = steal(&s);
	return 0;
}

static void scanner_unlink(struct scanner *s)
{
	struct scan *scan = steal(&s->scan);

	if (scan->next == &s->link)
		scan->next = s->link.next;
	list_del(&s->link);
	scan->n_scanners--;
	timer_stop(&s->duration);
	if (list_empty(&scan->scanners))
		defer_post(&scan->tell); /* the table may be in use further up the stack */
}

struct scanner *scanner_free(struct scanner *s)
{
	struct scan *scan;

	if (!s)
		return NULL;
	scan = s->scan;
	if (scan)
		scanner_unlink(s);
	scan_filter_deinit(&s->params.filter);
	free(s->seen);
	free(s);
	if (scan)
		scan_update(scan);
	return NULL;
}

enum scanner_state scanner_state(const struct scanner *s)
{
	return s->state;
}

const struct scan_params *scanner_params(const struct scanner *s)
{
	return &s->params;
}

uint64_t scanner_received(const struct scanner *s)
{
	return s->received;
}

/* --- hooks --- */

int scan_attach(struct adapter *adapter)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return -ENOMEM;
	scan->adapter = adapter;
	list_init(&scan->scanners);
	scan_radio_init(&scan->radio, adapter, on_radio_changed, on_radio_failed);
	scan_table_init(&scan->table);
	defer_init(&scan->tell, adapter->loop, on_tell);
	timer_init(&scan->deaf, adapter->loop, on_deaf);
	adapter->scan = scan;
	return 0;
}

void scan_detach(struct adapter *adapter)
{
	struct scan *scan = adapter->scan;
	struct scanner *s;

	if (!scan)
		return;
	while ((s = list_first(&scan->scanners, struct scanner, link)))
		scanner_unlink(s); /* finished, and still its owner's */
	op_drop(&scan->radio.cmd.op);
	op_drop(&scan->radio.release.op);
	timer_stop(&scan->radio.timer);
	timer_stop(&scan->deaf);
	defer_cancel(&scan->tell);
	scan_table_clear(&scan->table);
	scan_fragments_clear(&scan->fragments);
	free(scan);
	adapter->scan = NULL;
}

void scan_adapter_up(struct adapter *adapter)
{
	scan_radio_up(&adapter->scan->radio);
}

void scan_adapter_down(struct adapter *adapter, int err)
{
	struct scan *scan = adapter->scan;

	if (!scan)
		return;
	finish_all(scan, err);
	scan_radio_down(&scan->radio);
	tell_all(scan);
}

bool scan_active(const struct adapter *adapter)
{
	return adapter->scan && adapter->scan->radio.state == RADIO_ON &&
	       merged_want(adapter->scan).on;
}

bool scan_engaged(const struct adapter *adapter)
{
	enum scan_radio_state state = adapter->scan ? adapter->scan->radio.state : RADIO_DOWN;

	return state != RADIO_DOWN && state != RADIO_IDLE;
}

void scan_stop(struct adapter *adapter, struct op *op)
{
	struct scan *scan = adapter->scan;

	scan->stopping = true;
	finish_all(scan, -ECANCELED);
	scan_update(scan);
	scan_radio_stop(&scan->radio, op);
}
