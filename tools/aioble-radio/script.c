/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of advertisers. All that changes with time is computed when an event begins; between events nothing runs.
 */
#include "script.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "aes.h"

struct tag {
	struct radio radio;
	struct advertiser adv;
	struct group *group;
	struct air_timer
		begin; /* the first event; advertisers of a group do not begin all at once */
	uint32_t index;
	uint32_t events, changes; /* since it began */
	uint64_t begun_us, changed_us, rotated_us;
	struct walk_state walk;
};

struct group {
	struct list link;
	struct script *script;
	struct script_spec spec;
	struct tag *tags; /* spec.count of them */
	size_t longest;   /* of its payloads */
};

struct script {
	struct air *air;
	struct list groups;
	size_t n, n_tags;
};

void script_spec_clear(struct script_spec *spec)
{
	for (size_t i = 0; i < spec->n_payloads; i++)
		payload_clear(&spec->payloads[i]);
	free(spec->payloads);
	payload_clear(&spec->response);
	walk_clear(&spec->walk);
	*spec = (struct script_spec){0};
}

/* --- an event begins --- */

static void refresh_strength(struct tag *t, uint64_t now)
{
	const struct script_spec *spec = &t->group->spec;
	int dbm = spec->rssi_dbm;

	if (spec->walks)
		dbm = walk_db(&spec->walk, &t->walk, t->radio.air, now - t->begun_us);
	t->radio.loss_db = (int16_t)(spec->tx_dbm - dbm - AIR_LOSS_DEFAULT_DB);
}

/* ah() of Vol 3, Part H, 2.2.2: prand stands in the upper half of the address, its hash in the lower. */
static void make_private(struct tag *t)
{
	const struct script_spec *spec = &t->group->spec;
	uint8_t block[AES_LEN] = {0};
	struct addr *a = &t->adv.addr;

	air_rand_bytes(t->radio.air, a->b, ADDR_LEN);
	a->type = ADDR_RANDOM;
	a->b[5] &= 0x3f;
	if (!spec->has_irk)
		return;
	a->b[5] |= 0x40;
	block[13] = a->b[5];
	block[14] = a->b[4];
	block[15] = a->b[3];
	aes_block(spec->irk, block, block);
	a->b[0] = block[15];
	a->b[1] = block[14];
	a->b[2] = block[13];
}

static void refresh_address(struct tag *t, uint64_t now)
{
	uint64_t rotate_us = t->group->spec.rotate_us;

	if (!rotate_us || (t->events && now - t->rotated_us < rotate_us))
		return;
	t->rotated_us = now;
	make_private(t);
}

static const struct payload *current_payload(const struct tag *t, uint64_t now)
{
	const struct script_spec *spec = &t->group->spec;
	uint64_t turn = spec->cycle_us ? (now - t->begun_us) / spec->cycle_us : t->events;

	return spec->n_payloads ? &spec->payloads[turn % spec->n_payloads] : NULL;
}

/* The buffers were made for the longest payload, so that only lengths change. The DID tells receivers that data did. */
static void refresh_data(struct tag *t, uint64_t now)
{
	const struct script_spec *spec = &t->group->spec;
	const struct payload *p = current_payload(t, now);
	struct payload_vars vars = {
		.index = t->index,
		.time_ms = now / 1000,
		.addr = &t->adv.addr,
	};

	if (t->events && spec->n_payloads < 2 && now - t->changed_us < spec->every_us)
		return;
	t->changed_us = now;
	vars.counter = t->changes++;
	if (p && p->len)
		payload_render(p, &vars, t->radio.air, t->adv.adv_data);
	t->adv.adv_len = p ? p->len : 0;
	if (spec->response.len)
		payload_render(&spec->response, &vars, t->radio.air, t->adv.rsp_data);
	t->adv.did = (uint16_t)((t->adv.did + 1) & 0xfff);
}

static void on_event(struct advertiser *adv)
{
	struct tag *t = adv->data;
	const struct script_spec *spec = &t->group->spec;
	uint64_t now = air_now_us(t->radio.air);

	refresh_strength(t, now);
	refresh_address(t, now);
	refresh_data(t, now);
	t->events++;
	if (spec->events && t->events == spec->events)
		adv->duration_us =
			(uint32_t)(now - adv->started_us + 1); /* no event after this one */
}

static const struct advertiser_ops tag_ops = {.refresh = on_event};

/* --- start and stop --- */

static void on_begin(struct air_timer *timer)
{
	struct tag *t = container_of(timer, struct tag, begin);

	t->events = t->changes = 0;
	t->begun_us = air_now_us(t->radio.air);
	t->walk = (struct walk_state){0};
	t->adv.duration_us = (uint32_t)MIN(t->group->spec.for_us, UINT32_MAX);
	advertiser_start(&t->adv);
}

static void tag_start(struct tag *t, uint64_t delay_us)
{
	uint32_t interval = (uint32_t)t->group->spec.interval_us;
	uint64_t spread = t->group->spec.count > 1 ? air_rand_below(t->radio.air, interval) : 0;

	if (!t->adv.on && !t->begin.armed)
		air_timer_start(&t->begin, delay_us + spread);
}

static void tag_stop(struct tag *t)
{
	air_timer_stop(&t->begin);
	advertiser_stop(&t->adv);
}

/* --- groups --- */

static struct addr nth_addr(const struct addr *first, uint32_t n)
{
	struct addr a = *first;

	for (int i = 0; i < 5 && n; i++) {
		n += a.b[i];
		a.b[i] = (uint8_t)n;
		n >>= 8;
	}
	return a;
}

static int tag_init(struct tag *t, struct group *g, uint32_t index)
{
	const struct script_spec *spec = &g->spec;
	static const uint8_t nothing[ADV_DATA_MAX];
	char name[AIR_RADIO_NAME_MAX];
	int r;

	if (spec->count == 1)
		(void)snprintf(name, sizeof(name), "%s", spec->name);
	else
		(void)snprintf(name, sizeof(name), "%s.%u", spec->name, (uint16_t)index);
	t->group = g;
	t->index = index;
	radio_init(&t->radio, g->script->air, name);
	air_timer_init(&t->begin, g->script->air, on_begin);
	advertiser_init(&t->adv, &t->radio, &tag_ops, t);
	t->adv.props = spec->props;
	t->adv.addr = nth_addr(&spec->addr, index);
	t->adv.target = spec->target;
	t->adv.interval_us = (uint32_t)spec->interval_us;
	t->adv.channels = spec->channels;
	t->adv.primary_phy = spec->primary_phy;
	t->adv.secondary_phy = spec->secondary_phy;
	t->adv.sid = spec->sid;
	t->adv.tx_dbm = spec->tx_dbm;
	r = advertiser_set_data(&t->adv, nothing, g->longest);
	return r < 0 ? r : advertiser_set_response(&t->adv, nothing, spec->response.len);
}

static void group_free(struct group *g)
{
	for (unsigned int i = 0; i < g->spec.count; i++) {
		struct tag *t = &g->tags[i];

		if (!t->group)
			continue;
		tag_stop(t);
		advertiser_deinit(&t->adv);
		radio_deinit(&t->radio);
	}
	list_del(&g->link);
	g->script->n--;
	g->script->n_tags -= g->spec.count;
	script_spec_clear(&g->spec);
	free(g->tags);
	free(g);
}

/* Is there such a group, or would one of its radios have a name that another has already? */
static bool name_taken(struct script *s, const struct script_spec *spec)
{
	size_t len = strlen(spec->name);
	struct radio *radio;
	struct group *g;

	list_for_each (g, &s->groups, link) {
		if (strcmp(g->spec.name, spec->name) == 0)
			return true;
	}
	list_for_each (radio, air_radios(s->air), link) {
		if (strncmp(radio->name, spec->name, len) == 0 &&
		    (!radio->name[len] || (spec->count > 1 && radio->name[len] == '.')))
			return true;
	}
	return false;
}

static int group_fill(struct group *g)
{
	int r;

	for (size_t i = 0; i < g->spec.n_payloads; i++)
		g->longest = MAX(g->longest, g->spec.payloads[i].len);
	for (unsigned int i = 0; i < g->spec.count; i++) {
		r = tag_init(&g->tags[i], g, i);
		if (r < 0)
			return r;
	}
	return 0;
}

int script_add(struct script *s, struct script_spec *spec)
{
	struct group *g;
	int r;

	if (spec->count > SCRIPT_TAGS_MAX - s->n_tags)
		return -ENOBUFS;
	if (name_taken(s, spec))
		return -EEXIST;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->tags = calloc(spec->count, sizeof(*g->tags));
	if (!g->tags) {
		free(g);
		return -ENOMEM;
	}
	g->script = s;
	g->spec = *spec;
	list_init(&g->link);
	list_add_tail(&s->groups, &g->link);
	s->n++;
	s->n_tags += spec->count;
	r = group_fill(g);
	if (r < 0) {
		g->spec = (struct script_spec){
			.count = spec->count}; /* the rest stays the caller's */
		group_free(g);
		return r;
	}
	*spec = (struct script_spec){0};
	for (unsigned int i = 0; i < g->spec.count; i++)
		tag_start(&g->tags[i], g->spec.start_us);
	return 0;
}

static void do_to(struct group *g, enum script_do what)
{
	if (what == SCRIPT_REMOVE) {
		group_free(g);
		return;
	}
	for (unsigned int i = 0; i < g->spec.count; i++) {
		if (what == SCRIPT_START)
			tag_start(&g->tags[i], 0);
		else
			tag_stop(&g->tags[i]);
	}
}

size_t script_do(struct script *s, const char *pattern, enum script_do what)
{
	struct group *g, *tmp;
	size_t n = 0;

	list_for_each_safe (g, tmp, &s->groups, link) {
		if (fnmatch(pattern, g->spec.name, 0) != 0)
			continue;
		do_to(g, what);
		n++;
	}
	return n;
}

size_t script_set_rssi(struct script *s, const char *pattern, int rssi_dbm)
{
	struct group *g;
	size_t n = 0;

	list_for_each (g, &s->groups, link) {
		if (fnmatch(pattern, g->spec.name, 0) != 0)
			continue;
		g->spec.walks = false;
		g->spec.rssi_dbm = rssi_dbm;
		n++;
	}
	return n;
}

size_t script_count(const struct script *s, size_t *ret_tags)
{
	*ret_tags = s->n_tags;
	return s->n;
}

static json_object *describe(const struct group *g)
{
	json_object *o = json_object_new_object();
	uint64_t events = 0;
	int64_t on = 0;

	if (!o)
		return NULL;
	for (unsigned int i = 0; i < g->spec.count; i++) {
		events += g->tags[i].events;
		on += g->tags[i].adv.on || g->tags[i].begin.armed;
	}
	json_add_str(o, "name", g->spec.name);
	json_add_addr(o, "address", &g->tags[0].adv.addr);
	json_add_str(o, "address_type", addr_type_name(g->tags[0].adv.addr.type));
	json_add_int(o, "count", g->spec.count);
	json_add_int(o, "on", on);
	json_add_int(o, "interval_us", (int64_t)g->spec.interval_us);
	json_add_int(o, "events", (int64_t)events);
	json_add_int(o, "rssi_dbm",
	             g->spec.tx_dbm - g->tags[0].radio.loss_db - AIR_LOSS_DEFAULT_DB);
	return o;
}

json_object *script_list(struct script *s, size_t first, size_t count)
{
	json_object *all = json_object_new_array(), *o;
	struct group *g;

	list_for_each (g, &s->groups, link) {
		if (first) {
			first--;
			continue;
		}
		if (!all || !count--)
			break;
		o = describe(g);
		if (!o || json_object_array_add(all, o) < 0) {
			json_put(o);
			return json_put(all);
		}
	}
	return all;
}

int script_new(struct air *air, struct script **ret)
{
	struct script *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->air = air;
	list_init(&s->groups);
	*ret = s;
	return 0;
}

struct script *script_free(struct script *s)
{
	struct group *g, *tmp;

	if (!s)
		return NULL;
	list_for_each_safe (g, tmp, &s->groups, link)
		group_free(g);
	free(s);
	return NULL;
}
