/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See script.h. A run owns a copy of the request that started it and works its steps off in order;
 * it pauses at "wait_ms" and in floods and is dropped with the link. A rule that fires replaces the
 * server's answer: only the step "answer" gives it. Rules are kept as JSON and looked at for every
 * PDU; nothing here is fast except floods.
 */
#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

enum {
	CID_ATT = 4,
	FLOOD_QUEUE = 16, /* ACL packets that a flood keeps waiting at the controller's door */
	MAX_RAW = 1024,
};

struct flood {
	uint16_t handle;
	uint32_t next, end;
	uint16_t size;
	uint32_t interval_us;
	bool indicate, confirm; /* confirm: wait for each confirmation */
	uint64_t started_us;
};

struct run {
	struct list link;
	struct peer *peer;
	struct json_object *steps; /* NULL: only a flood */
	size_t at;
	uint32_t seq; /* how often its rule had fired before */
	struct timer timer;
	bool waiting;
	bool flooding;
	struct flood flood;
	uint8_t request[ATT_MAX_PDU + 1];
	size_t request_len;
};

struct rule_state { /* what is remembered of the n-th rule */
	struct list link;
	uint32_t matched, fired;
};

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

static void trace(struct peer *p, const char *word, const uint8_t *pdu, size_t len)
{
	char text[2 * MAX_RAW + 1] = "";

	if (!p->trace)
		return;
	for (size_t i = 0; i < len && i < MAX_RAW; i++)
		(void)sprintf(text + 2 * i, "%02x", pdu[i]);
	say("%s len=%zu pdu=%s", word, len, text);
}

static void send_pdu(struct peer *p, const uint8_t *pdu, size_t len)
{
	if (!p->linked)
		return;
	trace(p, "tx", pdu, len);
	p->stats.sent++;
	hci_send(p->hci, CID_ATT, pdu, len);
}

/* --- what steps say --- */

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v)
	               ? v
	               : NULL;
}

static int64_t get_int(struct json_object *o, const char *key, int64_t otherwise)
{
	struct json_object *v = get(o, key);

	return v ? json_object_get_int64(v) : otherwise;
}

/* A handle as a number, or as the UUID of a value with ".cccd" for its CCCD and ".decl" for its
 * declaration. */
static uint16_t handle_from(struct peer *p, struct json_object *v)
{
	char uuid[48] = "", part[8] = "";
	struct attr *a;

	if (!json_object_is_type(v, json_type_string))
		return json_object_get_int(v);
	if (sscanf(json_object_get_string(v), "%47[^.].%7s", uuid, part) < 1)
		return 0;
	a = db_value_of(&p->db, uuid);
	if (a && !strcmp(part, "cccd"))
		a = db_cccd_of(&p->db, a);
	if (!a)
		return 0;
	return !strcmp(part, "decl") ? a->handle - 1 : a->handle;
}

static uint16_t handle_of_uuid(void *data, const char *uuid)
{
	struct json_object *v = json_object_new_string(uuid);
	uint16_t handle = handle_from(data, v);

	json_object_put(v);
	return handle;
}

static int fill(struct run *run, struct json_object *text, uint32_t seq, uint8_t *ret, size_t size,
                size_t *ret_len)
{
	struct template_env env = {
		.request = run->request,
		.request_len = run->request_len,
		.seq = seq,
		.handle_of = handle_of_uuid,
		.data = run->peer,
	};

	return template_fill(json_object_get_string(text), &env, ret, size, ret_len);
}

/* --- floods --- */

static void flood_send(struct peer *p, struct flood *f)
{
	uint8_t pdu[ATT_MAX_PDU];
	struct wr w = wr_init(pdu, sizeof(pdu));
	size_t size = MIN((size_t)f->size, (size_t)p->server.mtu - 3);

	wr_u8(&w, f->indicate ? ATT_INDICATE : ATT_NOTIFY);
	wr_le16(&w, f->handle);
	memset(pdu + 3, 0, size);
	w.left = size;
	wr_le32(&w, f->next);
	if (w.left >= 8)
		wr_le64(&w, clock_us());
	send_pdu(p, pdu, 3 + size);
	f->next++;
	if (f->indicate) {
		p->stats.indications++;
		p->confirm_pending = true;
	} else {
		p->stats.notifications++;
	}
}

/* True when the flood is over. Otherwise the timer, script_room() or a confirmation brings us here
 * again. */
static bool flood_pump(struct run *run)
{
	struct peer *p = run->peer;
	struct flood *f = &run->flood;

	while (f->next < f->end) {
		if (hci_queued(p->hci) >= FLOOD_QUEUE)
			return false;
		if (f->indicate && f->confirm && p->confirm_pending)
			return false;
		if (f->interval_us) {
			uint64_t due = f->started_us + (uint64_t)f->next * f->interval_us;

			if (loop_now_us(p->loop) < due) {
				timer_start_at(&run->timer, due);
				return false;
			}
		}
		flood_send(p, f);
	}
	if (f->indicate && f->confirm && p->confirm_pending)
		return false;
	say("flooded handle=0x%04x count=%u us=%llu", f->handle, f->end,
	    (unsigned long long)(loop_now_us(p->loop) - f->started_us));
	return true;
}

static void flood_begin(struct run *run, const struct flood *f)
{
	run->flood = *f;
	run->flood.started_us = loop_now_us(run->peer->loop);
	run->flooding = true;
}

/* --- runs --- */

static struct run *run_free(struct run *run)
{
	list_del(&run->link);
	timer_stop(&run->timer);
	json_object_put(run->steps);
	free(run);
	return NULL;
}

static void run_continue(struct run *run);

static void on_timer(struct timer *t)
{
	struct run *run = container_of(t, struct run, timer);

	run->waiting = false;
	run_continue(run);
}

static struct run *run_new(struct peer *p, struct json_object *steps, const uint8_t *request,
                           size_t len)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		abort();
	run->peer = p;
	run->steps = steps ? json_object_get(steps) : NULL;
	run->request_len = MIN(len, sizeof(run->request));
	if (request)
		memcpy(run->request, request, run->request_len);
	list_init(&run->link);
	list_add_tail(&p->runs, &run->link);
	timer_init(&run->timer, p->loop, on_timer);
	return run;
}

enum next { NEXT_STEP, NEXT_PAUSE };

static enum next bad_step(struct run *run, const char *why)
{
	run->peer->bad_steps++;
	say("bad what=step why=%s", why);
	return NEXT_STEP;
}

static enum next do_answer(struct run *run, struct json_object *v)
{
	uint8_t rsp[ATT_MAX_PDU];
	size_t len = server_answer(&run->peer->server, run->request, run->request_len, rsp);

	if (len)
		send_pdu(run->peer, rsp, len);
	return NEXT_STEP;
}

static enum next do_send(struct run *run, struct json_object *v)
{
	uint8_t pdu[MAX_RAW];
	size_t len;

	if (fill(run, v, run->seq, pdu, sizeof(pdu), &len) < 0)
		return bad_step(run, "send");
	send_pdu(run->peer, pdu, len);
	return NEXT_STEP;
}

static enum next do_frame(struct run *run, struct json_object *v)
{
	uint8_t frame[MAX_RAW];
	size_t len;

	if (fill(run, v, run->seq, frame, sizeof(frame), &len) < 0)
		return bad_step(run, "frame");
	trace(run->peer, "frame", frame, len);
	hci_send_raw(run->peer->hci, frame, len);
	return NEXT_STEP;
}

static enum next do_repeat(struct run *run, struct json_object *v)
{
	uint8_t pdu[MAX_RAW];
	size_t len;

	for (uint32_t i = 0; i < get_int(v, "count", 1); i++) {
		if (!get(v, "send") || fill(run, get(v, "send"), i, pdu, sizeof(pdu), &len) < 0)
			return bad_step(run, "repeat");
		send_pdu(run->peer, pdu, len);
	}
	return NEXT_STEP;
}

/* {"error": code} or {"error": {"code", "handle", "op"}}; what is missing is taken from the request
 */
static enum next do_error(struct run *run, struct json_object *v)
{
	struct json_object *handle = get(v, "handle");
	uint8_t pdu[5], op = run->request_len ? run->request[0] : 0;
	struct wr w = wr_init(pdu, sizeof(pdu));
	struct rd r = rd_init(run->request, run->request_len);

	(void)rd_u8(&r);
	wr_u8(&w, ATT_ERROR);
	wr_u8(&w, get_int(v, "op", op));
	wr_le16(&w, handle ? handle_from(run->peer, handle) : op == ATT_MTU ? 0 : rd_le16(&r));
	wr_u8(&w, get(v, "code") ? get_int(v, "code", 0) : json_object_get_int(v));
	send_pdu(run->peer, pdu, wr_len(&w));
	return NEXT_STEP;
}

static enum next do_wait(struct run *run, struct json_object *v)
{
	run->waiting = true;
	timer_start_ms(&run->timer, json_object_get_int(v));
	return NEXT_PAUSE;
}

static enum next do_disconnect(struct run *run, struct json_object *v)
{
	bool given = json_object_is_type(v, json_type_int);

	hci_disconnect(run->peer->hci, given ? json_object_get_int(v) : 0x13);
	return NEXT_STEP;
}

static enum next do_flood(struct run *run, struct json_object *v)
{
	struct json_object *handle = get(v, "handle");
	struct flood f = {
		.handle = handle ? handle_from(run->peer, handle) : 0,
		.next = get_int(v, "start", 0),
		.size = get_int(v, "size", 20),
		.interval_us = get_int(v, "interval_us", 0),
		.indicate = get_int(v, "indicate", 0),
		.confirm = get_int(v, "confirm", 1),
	};

	f.end = f.next + get_int(v, "count", 1);
	flood_begin(run, &f);
	return NEXT_STEP; /* run_continue() sees it */
}

static enum next do_advertise(struct run *run, struct json_object *v)
{
	if (adv_apply(&run->peer->adv, v) < 0)
		return bad_step(run, "advertise");
	return NEXT_STEP;
}

static enum next do_stats(struct run *run, struct json_object *v)
{
	const struct stats *s = &run->peer->stats;

	say("stats requests=%llu commands=%llu confirmations=%llu unhandled=%llu sent=%llu "
	    "notifications=%llu "
	    "indications=%llu first_command_us=%llu last_command_us=%llu reports=%u mtu=%u",
	    (unsigned long long)s->requests, (unsigned long long)s->commands,
	    (unsigned long long)s->confirmations, (unsigned long long)s->unhandled,
	    (unsigned long long)s->sent, (unsigned long long)s->notifications,
	    (unsigned long long)s->indications, (unsigned long long)s->first_command_us,
	    (unsigned long long)s->last_command_us, run->peer->adv.seq, run->peer->server.mtu);
	return NEXT_STEP;
}

static enum next do_reset_stats(struct run *run, struct json_object *v)
{
	run->peer->stats = (struct stats){0};
	return NEXT_STEP;
}

static enum next do_log(struct run *run, struct json_object *v)
{
	say("log text=%s", json_object_get_string(v));
	return NEXT_STEP;
}

static enum next do_silent(struct run *run, struct json_object *v)
{
	run->peer->silent = json_object_get_boolean(v);
	return NEXT_STEP;
}

/* Gone without a word: the controller is given back and nobody says goodbye on the link. */
static enum next do_vanish(struct run *run, struct json_object *v)
{
	say("vanish");
	(void)fflush(stdout);
	_exit(0);
}

static enum next do_set(struct run *run, struct json_object *v)
{
	struct attr *a = db_find(&run->peer->db,
	                         get(v, "handle") ? handle_from(run->peer, get(v, "handle")) : 0);
	uint8_t value[ATT_MAX_VALUE];
	size_t len;

	if (!a || !get(v, "value") ||
	    fill(run, get(v, "value"), run->seq, value, sizeof(value), &len) < 0 || len > a->max)
		return bad_step(run, "set");
	memcpy(a->value, value, len);
	a->len = len;
	return NEXT_STEP;
}

static enum next do_rules(struct run *run, struct json_object *v);

static const struct {
	const char *name;
	enum next (*fn)(struct run *run, struct json_object *v);
} steps[] = {
	{"answer", do_answer}, {"send", do_send},     {"frame", do_frame},
	{"repeat", do_repeat}, {"error", do_error},   {"wait_ms", do_wait},
	{"flood", do_flood},   {"stats", do_stats},   {"disconnect", do_disconnect},
	{"log", do_log},       {"silent", do_silent}, {"reset_stats", do_reset_stats},
	{"vanish", do_vanish}, {"set", do_set},       {"advertise", do_advertise},
	{"rules", do_rules},
};

static enum next do_step(struct run *run, struct json_object *step)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct json_object *v = get(step, steps[i].name);

		if (v)
			return steps[i].fn(run, v);
	}
	return bad_step(run, "unknown");
}

static void run_continue(struct run *run)
{
	for (;;) {
		if (run->waiting)
			return;
		if (run->flooding && !flood_pump(run))
			return;
		run->flooding = false;
		if (!run->steps || run->at >= json_object_array_length(run->steps))
			break;
		if (do_step(run, json_object_array_get_idx(run->steps, run->at++)) == NEXT_PAUSE)
			return;
	}
	(void)run_free(run);
}

static void runs_pump(struct peer *p)
{
	struct run *run, *next;

	list_for_each_safe (run, next, &p->runs, link)
		if (run->flooding && !timer_armed(&run->timer))
			run_continue(run);
}

void script_room(struct peer *p)
{
	runs_pump(p);
}

/* --- rules --- */

static struct rule_state *rule_state(struct peer *p, size_t n)
{
	struct rule_state *s;

	list_for_each (s, &p->rule_states, link)
		if (n-- == 0)
			return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	list_init(&s->link);
	list_add_tail(&p->rule_states, &s->link);
	return s;
}

static void rules_clear(struct peer *p)
{
	struct rule_state *s;

	while ((s = list_first(&p->rule_states, struct rule_state, link))) {
		list_del(&s->link);
		free(s);
	}
	json_object_put(p->rules);
	p->rules = NULL;
}

static int rules_set(struct peer *p, struct json_object *rules)
{
	if (!json_object_is_type(rules, json_type_array))
		return -EINVAL;
	rules_clear(p);
	p->rules = json_object_get(rules);
	for (size_t i = 0; i < json_object_array_length(rules); i++)
		(void)rule_state(p, i);
	return 0;
}

static enum next do_rules(struct run *run, struct json_object *v)
{
	return rules_set(run->peer, v) < 0 ? bad_step(run, "rules") : NEXT_STEP;
}

static const char *op_name(uint8_t op)
{
	static const struct {
		uint8_t op;
		const char *name;
	} names[] = {
		{ATT_MTU, "mtu"},
		{ATT_FIND_INFO, "find_info"},
		{ATT_FIND_BY_TYPE, "find_by_type"},
		{ATT_READ_BY_TYPE, "read_by_type"},
		{ATT_READ, "read"},
		{ATT_READ_BLOB, "read_blob"},
		{ATT_READ_MULTIPLE, "read_multiple"},
		{ATT_READ_GROUP, "read_group"},
		{ATT_WRITE, "write"},
		{ATT_PREPARE, "prepare"},
		{ATT_EXECUTE, "execute"},
		{ATT_COMMAND, "command"},
		{ATT_CONFIRM, "confirm"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].op == op)
			return names[i].name;
	return op & 1 ? "response" : "other";
}

static bool rule_matches(struct peer *p, struct json_object *rule, const char *event,
                         const uint8_t *pdu, size_t len)
{
	struct json_object *on = get(rule, "on"), *handle = get(rule, "handle"),
			   *type = get(rule, "type");
	struct rd r = rd_init(pdu, len);
	const char *want = on ? json_object_get_string(on) : "any";

	if (strcmp(want, event) && (strcmp(want, "any") || !pdu))
		return false;
	(void)rd_u8(&r);
	if (handle && rd_le16(&r) != handle_from(p, handle))
		return false;
	/* "type": the 16-bit UUID of Read By Type and its kin, behind the range */
	return !type || (len >= 7 && (pdu[5] | pdu[6] << 8) ==
	                                     (int)strtol(json_object_get_string(type), NULL, 16));
}

static struct json_object *rule_fires(struct peer *p, const char *event, const uint8_t *pdu,
                                      size_t len, uint32_t *ret_seq)
{
	for (size_t i = 0; p->rules && i < json_object_array_length(p->rules); i++) {
		struct json_object *rule = json_object_array_get_idx(p->rules, i);
		struct rule_state *s = rule_state(p, i);

		if (!rule_matches(p, rule, event, pdu, len))
			continue;
		s->matched++;
		if (s->matched < get_int(rule, "nth", 1) ||
		    s->fired >= get_int(rule, "times", UINT32_MAX))
			continue;
		*ret_seq = s->fired++;
		return rule;
	}
	return NULL;
}

static bool fire(struct peer *p, const char *event, const uint8_t *pdu, size_t len)
{
	uint32_t seq;
	struct json_object *rule = rule_fires(p, event, pdu, len, &seq);
	struct run *run;

	if (!rule)
		return false;
	run = run_new(p, get(rule, "do"), pdu, len);
	run->seq = seq;
	if (seq < 10) /* an endless discovery would fill the log */
		say("rule on=%s n=%u", event, seq);
	run_continue(run);
	return true;
}

void script_event(struct peer *p, const char *event)
{
	(void)fire(p, event, NULL, 0);
}

/* --- PDUs --- */

static void count(struct peer *p, uint8_t op)
{
	struct stats *s = &p->stats;

	if (op == ATT_COMMAND || op == ATT_SIGNED_COMMAND) {
		s->last_command_us = loop_now_us(p->loop);
		if (!s->commands++)
			s->first_command_us = s->last_command_us;
	} else if (op == ATT_CONFIRM) {
		s->confirmations++;
	} else if (op & 1) {
		s->unhandled++;
	} else {
		s->requests++;
	}
}

void script_pdu(struct peer *p, const uint8_t *pdu, size_t len)
{
	uint8_t rsp[ATT_MAX_PDU];
	size_t n;

	trace(p, "rx", pdu, len);
	if (!len)
		return;
	count(p, pdu[0]);
	if (pdu[0] == ATT_CONFIRM)
		p->confirm_pending = false;
	if (p->silent || fire(p, op_name(pdu[0]), pdu, len)) {
		runs_pump(p);
		return;
	}
	n = server_answer(&p->server, pdu, len, rsp);
	if (n)
		send_pdu(p, rsp, n);
	if (pdu[0] == ATT_MTU)
		say("mtu mtu=%u", p->server.mtu);
	runs_pump(p);
}

/* --- what the vendor service does when it is written --- */

static void start_flood(struct peer *p, struct attr *a, const uint8_t *value, size_t len)
{
	struct rd r = rd_init(value, len);
	struct attr *cccd = db_cccd_of(&p->db, a);
	struct flood f = {.handle = a->handle, .end = rd_le16(&r), .size = 20, .confirm = true};

	if (len >= 4)
		f.size = rd_le16(&r);
	if (len >= 8)
		f.interval_us = rd_le32(&r);
	if (!cccd || !(cccd->value[0] & 3))
		return;
	f.indicate = !(cccd->value[0] & 1);
	flood_begin(run_new(p, NULL, NULL, 0), &f); /* runs when the answer to the write is out */
}

static void echo(struct peer *p, struct attr *a, const uint8_t *value, size_t len)
{
	uint8_t pdu[ATT_MAX_PDU];
	struct wr w = wr_init(pdu, p->server.mtu);
	struct attr *cccd = db_cccd_of(&p->db, a);

	if (!cccd || !(cccd->value[0] & 2))
		return;
	wr_u8(&w, ATT_INDICATE);
	wr_le16(&w, a->handle);
	wr_bytes(&w, value, MIN(len, w.left));
	p->confirm_pending = true;
	p->stats.indications++;
	send_pdu(p, pdu, wr_len(&w));
}

static void on_written(struct server *s, struct attr *a, const uint8_t *value, size_t len,
                       bool command)
{
	struct peer *p = container_of(s, struct peer, server);

	if (a->kind == ATTR_CCCD)
		say("cccd handle=0x%04x value=%02x%02x", a->handle, a->value[0], a->value[1]);
	switch (a->behaviour) {
	case BEHAVE_STORE:
		break;
	case BEHAVE_COUNT: {
		struct wr w = wr_init(a->value, 4);

		wr_le32(&w, p->stats.commands);
		break;
	}
	case BEHAVE_ECHO:
		echo(p, a, value, len);
		break;
	case BEHAVE_FLOOD:
		start_flood(p, a, value, len);
		break;
	}
}

/* --- life --- */

static struct json_object *as_array(struct json_object *v)
{
	struct json_object *list;

	if (json_object_is_type(v, json_type_array))
		return json_object_get(v);
	list = json_object_new_array();
	json_object_array_add(list, json_object_get(v));
	return list;
}

static int rebuild(struct peer *p, struct json_object *spec)
{
	const char *why = "";

	if (db_build(&p->db, spec, &why) < 0) {
		say("failed what=services why=\"%s\"", why);
		return -EINVAL;
	}
	server_reset(&p->server);
	return 0;
}

static int occupy(struct peer *p, const char *text)
{
	uint8_t address[6];

	if (address_parse(text, address) < 0) {
		say("failed what=occupy");
		return -EINVAL;
	}
	hci_occupy(p->hci, address);
	return 0;
}

int script_apply(struct peer *p, struct json_object *o)
{
	struct json_object *v, *list;

	if ((v = get(o, "services")) && rebuild(p, v) < 0)
		return -EINVAL;
	p->server.our_mtu = get_int(o, "mtu", p->server.our_mtu);
	if ((v = get(o, "credits")))
		hci_set_credits(p->hci, json_object_get_int(v));
	if ((v = get(o, "commands")))
		hci_set_window(p->hci, json_object_get_int(v));
	if ((v = get(o, "occupy")) && occupy(p, json_object_get_string(v)) < 0)
		return -EINVAL;
	if ((v = get(o, "silent")))
		p->silent = json_object_get_boolean(v);
	if ((v = get(o, "trace")))
		p->trace = json_object_get_boolean(v);
	if ((v = get(o, "rules")) && rules_set(p, v) < 0)
		return -EINVAL;
	if ((v = get(o, "do"))) {
		list = as_array(v);
		run_continue(run_new(p, list, NULL, 0));
		json_object_put(list);
	}
	if ((v = get(o, "advertise")) && adv_apply(&p->adv, v) < 0) {
		say("failed what=advertise");
		return -EINVAL;
	}
	if ((v = get(o, "sync")))
		say("sync n=%d", json_object_get_int(v));
	return 0;
}

static void runs_clear(struct peer *p)
{
	struct run *run;

	while ((run = list_first(&p->runs, struct run, link)))
		(void)run_free(run);
}

void script_link(struct peer *p, bool linked)
{
	p->linked = linked;
	p->confirm_pending = false;
	runs_clear(p);
	server_reset(&p->server);
}

void script_init(struct peer *p)
{
	struct json_object *services = db_default();

	list_init(&p->rule_states);
	list_init(&p->runs);
	p->server = (struct server){
		.db = &p->db, .mtu = 23, .our_mtu = ATT_MAX_PDU, .written = on_written};
	(void)rebuild(p, services); /* our own text */
	json_object_put(services);
}

void script_deinit(struct peer *p)
{
	runs_clear(p);
	rules_clear(p);
	db_clear(&p->db);
}
