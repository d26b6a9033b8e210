/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules at work. A rule is over when it has struck as often, or lasted as long, as it was to; it stays in the list, so that
 * its counts can be read, and costs one comparison.
 */
#include "fault.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "controller.h"
#include "scene.h"

const char *const fault_do_names[FAULT_DOS + 1] = {
	[FAULT_DROP] = "drop",     [FAULT_DELAY] = "delay",           [FAULT_ALTER] = "alter",
	[FAULT_WEAKEN] = "weaken", [FAULT_UNANSWERED] = "unanswered", [FAULT_STATUS] = "status",
	[FAULT_HANG] = "hang",
};

struct rule {
	struct list link;
	struct fault_spec spec;
	uint64_t until_us; /* 0: no end */
	uint64_t matched, struck;
};

struct held {
	struct list link;
	struct faults *faults;
	struct controller *ctl;
	struct air_timer timer;
	uint16_t opcode;
	uint8_t len, params[UINT8_MAX];
};

struct faults {
	struct scene *scene;
	struct list rules, held;
	size_t n, n_held;
	unsigned int made; /* names */
	uint64_t held_dropped;
	struct air_watch air;
	struct ctl_watch hosts;
};

/* --- does it match? --- */

static bool name_fits(const char *pattern, const char *name)
{
	return !*pattern || fnmatch(pattern, name, 0) == 0;
}

static bool radios_fit(const struct fault_match *m, const char *from, const char *to)
{
	if (name_fits(m->from, from) && name_fits(m->to, to))
		return true;
	return m->both_ways && name_fits(m->from, to) && name_fits(m->to, from);
}

static bool address_fits(const struct fault_match *m, const struct air_pdu *pdu)
{
	struct pdu_ext ext;

	if (pdu->access_addr != PDU_ADV_ADDRESS)
		return false;
	if (pdu_type(pdu->data, pdu->len) == PDU_EXT)
		return pdu_parse_ext(pdu->data, pdu->len, &ext) == 0 && ext.has_adv_a &&
		       memcmp(ext.adv_a.b, m->address.b, ADDR_LEN) == 0;
	return pdu->len >= PDU_HEADER_LEN + ADDR_LEN &&
	       memcmp(pdu->data + PDU_HEADER_LEN, m->address.b, ADDR_LEN) == 0;
}

static bool bytes_fit(const struct fault_match *m, const struct air_pdu *pdu)
{
	size_t at = PDU_HEADER_LEN + m->at;

	return at + m->n_bytes <= pdu->len && memcmp(pdu->data + at, m->bytes, m->n_bytes) == 0;
}

static bool pdu_fits(const struct fault_match *m, const struct air_pdu *pdu, enum pdu_kind kind,
                     const struct radio *to)
{
	if (m->is_command || (m->kinds && !(m->kinds >> kind & 1)))
		return false;
	if (m->channels && !(m->channels >> pdu->channel & 1))
		return false;
	if (!radios_fit(m, pdu->from->name, to->name))
		return false;
	if (m->ll >= 0 && (kind != KIND_CONTROL || pdu->len <= PDU_HEADER_LEN ||
	                   pdu->data[PDU_HEADER_LEN] != m->ll))
		return false;
	return (!m->has_address || address_fits(m, pdu)) && bytes_fit(m, pdu);
}

static bool command_fits(const struct fault_match *m, const struct controller *ctl, uint16_t opcode)
{
	return m->is_command && (m->opcode < 0 || m->opcode == opcode) &&
	       name_fits(m->controller, ctl->radio.name);
}

/* --- does it strike? --- */

static bool rule_over(const struct rule *rule, uint64_t now_us)
{
	return (rule->until_us && now_us >= rule->until_us) ||
	       (rule->spec.times && rule->struck >= rule->spec.times);
}

static bool rule_strikes(struct faults *f, struct rule *rule)
{
	if (++rule->matched < rule->spec.nth)
		return false;
	if (rule->spec.percent < 100 &&
	    air_rand(f->scene->air) / (UINT32_MAX + 1.0) * 100 >= rule->spec.percent)
		return false;
	rule->struck++;
	return true;
}

static void tell(struct faults *f, const struct rule *rule, const char *from, const char *to,
                 const char *what)
{
	json_object *e;

	if (!scene_wants(f->scene, SCENE_FAULTS))
		return;
	e = scene_event_new(f->scene, SCENE_FAULTS, fault_do_names[rule->spec.what]);
	if (!e)
		return;
	json_add_str(e, "fault", rule->spec.name);
	json_add_str(e, "from", from);
	json_add_str(e, "to", to);
	json_add_str(e, "of", what);
	scene_tell(f->scene, SCENE_FAULTS, e);
}

/* --- PDUs --- */

static void alter(const struct fault_spec *s, const struct air_pdu *pdu, uint8_t *bytes)
{
	for (size_t i = 0; i < s->n_alter; i++) {
		size_t at = PDU_HEADER_LEN + s->offset + i;

		if (at >= pdu->len)
			return;
		bytes[at] = s->is_xor ? bytes[at] ^ s->alter[i] : s->alter[i];
	}
}

static void strike_pdu(const struct fault_spec *s, const struct air_pdu *pdu, uint8_t *bytes,
                       struct air_verdict *verdict)
{
	switch (s->what) {
	case FAULT_DROP:
		verdict->lost = true;
		break;
	case FAULT_DELAY:
		verdict->delay_us += s->delay_us;
		break;
	case FAULT_ALTER:
		alter(s, pdu, bytes);
		break;
	case FAULT_WEAKEN:
		verdict->loss_db += s->loss_db;
		break;
	case FAULT_UNANSWERED:
	case FAULT_STATUS:
	case FAULT_HANG:
	case FAULT_DOS:
		break;
	}
}

/* Its firmware has crashed: what it seems to send nobody hears, and it hears nobody. */
static bool is_hung(struct faults *f, const struct radio *radio)
{
	struct controller *ctl;

	list_for_each (ctl, air_controllers(f->scene->air), link) {
		if (&ctl->radio == radio)
			return ctl->hung;
	}
	return false;
}

static void on_judge(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
                     uint8_t *bytes, struct air_verdict *verdict)
{
	struct faults *f = container_of(w, struct faults, air);
	enum pdu_kind kind = pdu_kind(pdu);
	struct rule *rule;

	if (is_hung(f, pdu->from) || is_hung(f, to)) {
		verdict->lost = true;
		return;
	}
	list_for_each (rule, &f->rules, link) {
		if (rule_over(rule, pdu->start_us) || !pdu_fits(&rule->spec.match, pdu, kind, to) ||
		    !rule_strikes(f, rule))
			continue;
		strike_pdu(&rule->spec, pdu, bytes, verdict);
		tell(f, rule, pdu->from->name, to->name, pdu_kind_names[kind]);
		return;
	}
}

/* --- commands --- */

static void held_free(struct held *h)
{
	air_timer_stop(&h->timer);
	list_del(&h->link);
	h->faults->n_held--;
	free(h);
}

static void on_held(struct air_timer *t)
{
	struct held *h = container_of(t, struct held, timer);
	struct held copy = *h;

	held_free(h);
	controller_execute(copy.ctl, copy.opcode, copy.params, copy.len);
}

/* Nothing more can be held: the command gets no answer, which is the longest delay. */
static void hold(struct faults *f, struct controller *ctl, uint16_t opcode, const uint8_t *params,
                 size_t len, uint32_t delay_us)
{
	struct held *h = f->n_held < FAULT_HELD_MAX ? calloc(1, sizeof(*h)) : NULL;

	if (!h || len > sizeof(h->params)) {
		free(h);
		f->held_dropped++;
		return;
	}
	h->faults = f;
	h->ctl = ctl;
	h->opcode = opcode;
	h->len = (uint8_t)len;
	memcpy(h->params, params, len);
	list_init(&h->link);
	list_add_tail(&f->held, &h->link);
	f->n_held++;
	air_timer_init(&h->timer, f->scene->air, on_held);
	air_timer_start(&h->timer, delay_us);
}

/* The answer has the form that the command would have had; what a profile does not know is refused as ever. */
static enum ctl_verdict refuse(struct controller *ctl, uint16_t opcode, uint8_t status)
{
	const struct ctl_cmd *row = ctl_cmd_find(ctl, opcode);

	if (!row)
		return CTL_EXECUTE;
	if (row->flags & CTL_CMD_STATUS)
		controller_cmd_status(ctl, opcode, status);
	else
		controller_cmd_complete(ctl, opcode, status, row->ret_len);
	return CTL_UNANSWERED;
}

static enum ctl_verdict strike_command(struct faults *f, const struct fault_spec *s,
                                       struct controller *ctl, uint16_t opcode,
                                       const uint8_t *params, size_t len)
{
	switch (s->what) {
	case FAULT_STATUS:
		return refuse(ctl, opcode, s->status);
	case FAULT_DELAY:
		hold(f, ctl, opcode, params, len, s->delay_us);
		return CTL_UNANSWERED;
	case FAULT_UNANSWERED:
		return CTL_UNANSWERED;
	case FAULT_HANG:
		return CTL_HANG;
	case FAULT_DROP:
	case FAULT_ALTER:
	case FAULT_WEAKEN:
	case FAULT_DOS:
		break;
	}
	return CTL_EXECUTE;
}

static enum ctl_verdict on_command(struct ctl_watch *w, struct controller *ctl, uint16_t opcode,
                                   const uint8_t *params, size_t len)
{
	struct faults *f = container_of(w, struct faults, hosts);
	uint64_t now = air_now_us(f->scene->air);
	struct rule *rule;
	char what[8];

	list_for_each (rule, &f->rules, link) {
		if (rule_over(rule, now) || !command_fits(&rule->spec.match, ctl, opcode) ||
		    !rule_strikes(f, rule))
			continue;
		(void)snprintf(what, sizeof(what), "0x%04x", opcode);
		tell(f, rule, ctl->radio.name, NULL, what);
		return strike_command(f, &rule->spec, ctl, opcode, params, len);
	}
	return CTL_EXECUTE;
}

static void on_removed(struct ctl_watch *w, struct controller *ctl)
{
	struct faults *f = container_of(w, struct faults, hosts);
	struct held *h, *tmp;

	list_for_each_safe (h, tmp, &f->held, link) {
		if (h->ctl == ctl)
			held_free(h);
	}
}

/* --- rules --- */

static struct rule *rule_find(const struct faults *f, const char *name)
{
	struct rule *rule;

	list_for_each (rule, &f->rules, link) {
		if (strcmp(rule->spec.name, name) == 0)
			return rule;
	}
	return NULL;
}

static void rule_free(struct faults *f, struct rule *rule)
{
	list_del(&rule->link);
	f->n--;
	free(rule);
}

static void make_name(struct faults *f, struct fault_spec *spec)
{
	while (!*spec->name || rule_find(f, spec->name))
		(void)snprintf(spec->name, sizeof(spec->name), "fault%u", f->made++);
}

int faults_add(struct faults *f, const struct fault_spec *spec, const char **ret_name)
{
	struct rule *rule;

	if (*spec->name)
		(void)faults_remove(f, spec->name);
	if (f->n == FAULTS_MAX)
		return -ENOBUFS;
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	rule->spec = *spec;
	make_name(f, &rule->spec);
	if (spec->for_us)
		rule->until_us = air_now_us(f->scene->air) + spec->for_us;
	list_init(&rule->link);
	list_add_tail(&f->rules, &rule->link);
	f->n++;
	if (ret_name)
		*ret_name = rule->spec.name;
	return 0;
}

bool faults_remove(struct faults *f, const char *name)
{
	struct rule *rule, *tmp;
	bool found = false;

	list_for_each_safe (rule, tmp, &f->rules, link) {
		if (name && strcmp(rule->spec.name, name) != 0)
			continue;
		rule_free(f, rule);
		found = true;
	}
	return found;
}

uint64_t faults_hits(const struct faults *f, const char *name)
{
	const struct rule *rule = rule_find(f, name);

	return rule ? rule->struck : 0;
}

json_object *faults_list(struct faults *f)
{
	json_object *all = json_object_new_array();
	struct rule *rule;

	if (!all)
		return NULL;
	list_for_each (rule, &f->rules, link) {
		json_object *o = json_object_new_object();

		if (!o)
			return json_put(all);
		json_add_str(o, "name", rule->spec.name);
		json_add_str(o, "do", fault_do_names[rule->spec.what]);
		json_add_int(o, "matched", (int64_t)rule->matched);
		json_add_int(o, "struck", (int64_t)rule->struck);
		json_add_bool(o, "done", rule_over(rule, air_now_us(f->scene->air)));
		if (json_object_array_add(all, o) < 0) {
			json_object_put(o);
			return json_put(all);
		}
	}
	return all;
}

int faults_new(struct scene *scene, struct faults **ret)
{
	struct faults *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->scene = scene;
	list_init(&f->rules);
	list_init(&f->held);
	f->air.judge = on_judge;
	f->hosts.command = on_command;
	f->hosts.removed = on_removed;
	air_add_watch(scene->air, &f->air);
	controller_watch(scene->air, &f->hosts);
	*ret = f;
	return 0;
}

struct faults *faults_free(struct faults *f)
{
	struct held *h, *tmp;

	if (!f)
		return NULL;
	(void)faults_remove(f, NULL);
	list_for_each_safe (h, tmp, &f->held, link)
		held_free(h);
	air_remove_watch(&f->air);
	controller_unwatch(&f->hosts);
	free(f);
	return NULL;
}
