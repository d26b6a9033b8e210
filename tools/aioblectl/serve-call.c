/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls of serve. What the daemon refuses is told at the line of the file that it is about, as far as it says which.
 */
#include "serve.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "sig.h"

#define QUEUE_DEFAULT                                                                              \
	4096 /* captured writes; those of a program that was stopped are not lost soon */
#define WITHDRAW_TIME_US (1000 * 1000)

/* ---- the table ---- */

/* Core 5.4, Vol 3, Part G, 3.3.1.1 */
static uint8_t properties(const struct serve_attr *a)
{
	return (uint8_t)((a->read ? 0x02 : 0) | (a->write_no_response ? 0x04 : 0) |
	                 (a->write ? 0x08 : 0) | (a->notify ? 0x10 : 0) | (a->indicate ? 0x20 : 0));
}

/* Paths, and the handles that count, come with serve_register() */
static struct attr *add_attribute(struct serve *s, enum attr_kind kind, const struct uuid *uuid,
                                  const char *id, struct serve_attr *def)
{
	char text[UUID_STR_MAX];

	s->served[s->db.count] = (struct served){.def = def, .id = id};
	return attr_db_add(&s->db, kind, "", uuid_format(uuid, text));
}

static void add_value(struct serve *s, enum attr_kind kind, struct serve_attr *def)
{
	struct attr *a = add_attribute(s, kind, &def->uuid, def->id, def);

	a->properties = properties(def);
	a->handle = def->at;
}

static void add_service(struct serve *s, struct serve_service *service)
{
	struct attr *a = add_attribute(s, ATTR_SERVICE, &service->uuid, service->id, NULL);

	a->primary = !service->secondary;
	a->handle = service->at;
	a->end_handle = service->end;
	for (size_t i = 0; i < service->n_characteristics; i++) {
		struct serve_attr *c = &service->characteristics[i];

		add_value(s, ATTR_CHARACTERISTIC, c);
		for (size_t j = 0; j < c->n_descriptors; j++)
			add_value(s, ATTR_DESCRIPTOR, &c->descriptors[j]);
	}
}

static size_t count_attributes(const struct serve_file *f)
{
	size_t n = f->n_services + serve_file_characteristics(f);

	for (size_t i = 0; i < f->n_services; i++)
		for (size_t j = 0; j < f->services[i].n_characteristics; j++)
			n += f->services[i].characteristics[j].n_descriptors;
	return n;
}

static bool is_unique(const struct serve *s, const struct attr *a)
{
	size_t same = 0;

	for (size_t i = 0; i < s->db.count; i++)
		same += s->db.attrs[i].kind != ATTR_SERVICE &&
		        strcmp(s->db.attrs[i].uuid, a->uuid) == 0;
	return same == 1;
}

/* Its id, "battery_level" or the UUID */
static void add_word(const struct serve *s, const struct attr *a, struct text *t)
{
	const char *id = s->served[a - s->db.attrs].id, *name = sig_uuid_name(a->uuid);

	if (id || !name) {
		text_adds(t, id ? id : a->uuid);
		return;
	}
	for (; *name; name++)
		text_addf(t, "%c",
		          isalnum((unsigned char)*name) ? tolower((unsigned char)*name) : '_');
}

static bool is_taken(const struct serve *s, size_t before, const char *label)
{
	for (size_t i = 0; i < before; i++)
		if (s->served[i].label && strcmp(s->served[i].label, label) == 0)
			return true;
	return false;
}

/* The word for it, with that of what it is part of where it needs that, and its number where even that is not enough */
static char *make_label(const struct serve *s, size_t i)
{
	const struct attr *a = &s->db.attrs[i];
	struct text t = {0};

	if (!s->served[i].id && !is_unique(s, a)) {
		add_word(s, a->parent, &t);
		text_adds(&t, "/");
	}
	add_word(s, a, &t);
	if (is_taken(s, i, text_str(&t)))
		text_addf(&t, "[%zu]", i);
	return text_steal(&t);
}

static void make_labels(struct serve *s)
{
	for (size_t i = 0; i < s->db.count; i++) {
		if (!s->served[i].def)
			continue;
		s->served[i].label = make_label(s, i);
	}
}

void serve_table(struct serve *s)
{
	s->served = calloc(count_attributes(&s->file) + 1, sizeof(*s->served));
	ctl_must(s->served ? 0 : -ENOMEM);
	for (size_t i = 0; i < s->file.n_services; i++)
		add_service(s, &s->file.services[i]);
	attr_db_link(&s->db);
	make_labels(s);
}

void serve_table_free(struct serve *s)
{
	for (size_t i = 0; i < s->db.count; i++)
		free(s->served[i].label);
	free(s->served);
	s->served = NULL;
	attr_db_free(&s->db);
}

long serve_find(const struct serve *s, const char *path)
{
	for (size_t i = 0; i < s->db.count; i++)
		if (strcmp(s->db.attrs[i].path, path) == 0)
			return (long)i;
	return -1;
}

/* ---- messages ---- */

static void add(sd_bus_message *m, const char *key, const char *type, ...)
{
	va_list ap;

	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', type));
	va_start(ap, type);
	ctl_must(sd_bus_message_appendv(m, type, ap));
	va_end(ap);
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
}

static void open_member(sd_bus_message *m, const char *key, const char *type, const char *contents)
{
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', type));
	ctl_must(sd_bus_message_open_container(m, 'a', contents));
}

static void close_member(sd_bus_message *m)
{
	for (int i = 0; i < 3; i++)
		ctl_must(sd_bus_message_close_container(m));
}

static void add_bytes(sd_bus_message *m, const char *key, const struct text *t)
{
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', "ay"));
	ctl_must(sd_bus_message_append_array(m, 'y', text_str(t), t->len));
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
}

static void add_uuid(sd_bus_message *m, const struct uuid *u)
{
	char uuid[UUID_STR_MAX];

	add(m, "uuid", "s", uuid_format(u, uuid));
}

static void add_flag(sd_bus_message *m, const char *key, bool value)
{
	if (value)
		add(m, key, "b", 1);
}

static void add_u16(sd_bus_message *m, const char *key, uint16_t value)
{
	if (value)
		add(m, key, "q", (int)value);
}

static void add_attr(sd_bus_message *m, const struct serve_attr *a)
{
	ctl_must(sd_bus_message_open_container(m, 'a', "{sv}"));
	add_uuid(m, &a->uuid);
	add_u16(m, "handle", a->handle);
	add_flag(m, "read", a->read);
	add_flag(m, "write", a->write);
	add_flag(m, "write_no_response", a->write_no_response);
	add_flag(m, "notify", a->notify);
	add_flag(m, "indicate", a->indicate);
	add_flag(m, "capture", a->capture);
	add_flag(m, "append", a->append);
	add_flag(m, "truncate", a->truncate);
	add_u16(m, "max_len", a->max_len);
	if (a->has_initial)
		add_bytes(m, "initial", &a->initial);
	if (a->read_security)
		add(m, "read_security", "s", a->read_security);
	if (a->write_security)
		add(m, "write_security", "s", a->write_security);
	if (a->key_size)
		add(m, "key_size", "y", (int)a->key_size);
	if (a->n_descriptors) {
		open_member(m, "descriptors", "aa{sv}", "a{sv}");
		for (size_t i = 0; i < a->n_descriptors; i++)
			add_attr(m, &a->descriptors[i]); /* which has none */
		close_member(m);
	}
	ctl_must(sd_bus_message_close_container(m));
}

static void add_service_dict(sd_bus_message *m, const struct serve_service *s)
{
	ctl_must(sd_bus_message_open_container(m, 'a', "{sv}"));
	add_uuid(m, &s->uuid);
	add_flag(m, "secondary", s->secondary);
	add_u16(m, "handle", s->handle);
	if (s->n_includes) {
		open_member(m, "includes", "aq", "q");
		for (size_t i = 0; i < s->n_includes; i++)
			ctl_must(sd_bus_message_append(m, "q", (int)s->includes[i]));
		close_member(m);
	}
	open_member(m, "characteristics", "aa{sv}", "a{sv}");
	for (size_t i = 0; i < s->n_characteristics; i++)
		add_attr(m, &s->characteristics[i]);
	close_member(m);
	ctl_must(sd_bus_message_close_container(m));
}

/* ---- errors ---- */

/* "thermo.json:12: services[0].uuid" when the daemon names a part of what it was given; else @culprit */
static void name_culprit(const struct serve *s, json_object *details, const char *prefix,
                         const char *culprit, struct text *ret)
{
	_cleanup_(text_free) struct text path = {0};
	const struct place *p;

	if (!*json_str(details, "key")) {
		text_adds(ret, culprit);
		return;
	}
	text_addf(&path, "%s%s", prefix, json_str(details, "key"));
	p = serve_file_place(&s->file, text_str(&path));
	text_addf(ret, "%s:%u: %s", s->name, p->line, text_str(&path));
}

static int refused(struct serve *s, sd_bus_message *error, const char *prefix, const char *culprit)
{
	_cleanup_(json_putp) json_object *details = NULL;
	_cleanup_(text_free) struct text where = {0};
	const char *message;

	if (sd_bus_message_read(error, "s", &message) > 0)
		details = message_json(error);
	name_culprit(s, details, prefix, culprit, &where);
	ctl_must(sd_bus_message_rewind(error, 1));
	return ctl_fail_message(s->c, error, text_str(&where));
}

static int call(struct serve *s, sd_bus_message *m, const char *prefix, const char *culprit,
                sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = ctl_call_raw(s->c, m, culprit, &reply);

	if (r)
		return r;
	if (sd_bus_message_is_method_error(reply, NULL))
		return refused(s, reply, prefix, culprit);
	*ret = steal(&reply);
	return 0;
}

/* ---- the calls ---- */

int serve_configure(struct serve *s)
{
	sd_bus_message *m;

	if (!s->file.name && !s->file.has_appearance)
		return 0;
	m = call_new(s->c, s->adapter, "Adapter1", "Configure");
	call_options_open(m);
	if (s->file.name)
		call_option_str(m, "gap_name", s->file.name);
	if (s->file.has_appearance)
		ctl_must(sd_bus_message_append(m, "{sv}", "appearance", "q",
		                               (int)s->file.appearance));
	call_options_close(m);
	return ctl_call(s->c, m, "set name and appearance", NULL);
}

/* The reply is in the order of the file, with the CCCDs that the daemon added. Return: false when it is not. */
static bool take_registered(struct serve *s, struct attr_db *got)
{
	size_t j = 0;

	for (size_t i = 0; i < s->db.count; i++, j++) {
		struct attr *a = &s->db.attrs[i];

		while (j < got->count && got->attrs[j].kind == ATTR_DESCRIPTOR &&
		       strcmp(got->attrs[j].uuid, "2902") == 0)
			j++;
		if (j >= got->count || got->attrs[j].kind != a->kind)
			return false;
		free(a->path);
		a->path = steal(&got->attrs[j].path);
		a->handle = got->attrs[j].handle;
		a->declaration = got->attrs[j].declaration;
		a->end_handle = got->attrs[j].end_handle;
		a->properties = got->attrs[j].properties;
	}
	return true;
}

static int read_registered(struct serve *s, sd_bus_message *reply)
{
	_cleanup_(attr_db_free) struct attr_db got = {0};
	const char *path;
	int r = ctl_read(s->c, reply, "o", &path);

	if (r)
		return r;
	s->app = strdup(path);
	ctl_must(s->app ? 0 : -ENOMEM);
	if (attr_db_read(reply, &got) < 0 || !take_registered(s, &got))
		return ctl_bad_reply(s->c);
	return 0;
}

int serve_register(struct serve *s)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	sd_bus_message *m;
	int r;

	if (!s->file.n_services)
		return 0;
	s->registering = true;
	serve_input_update(s->input);
	m = call_new(s->c, s->adapter, "Adapter1", "RegisterServices");
	ctl_must(sd_bus_message_open_container(m, 'a', "a{sv}"));
	for (size_t i = 0; i < s->file.n_services; i++)
		add_service_dict(m, &s->file.services[i]);
	ctl_must(sd_bus_message_close_container(m));
	call_options_open(m);
	call_option_u32(m, "queue", s->file.queue ? s->file.queue : QUEUE_DEFAULT);
	call_option_bool(m, "signals", true);
	call_option_str(m, "lifetime", "caller");
	call_options_close(m);
	r = call(s, m, "", "register the services", &reply);
	if (!r)
		r = read_registered(s, reply);
	s->registering = false;
	serve_input_update(s->input);
	return r;
}

static void add_manufacturer(sd_bus_message *m, const struct serve_adv *adv)
{
	if (!adv->n_manufacturer)
		return;
	open_member(m, "manufacturer", "a(qay)", "(qay)");
	for (size_t i = 0; i < adv->n_manufacturer; i++) {
		const struct serve_record *r = &adv->manufacturer[i];

		ctl_must(sd_bus_message_open_container(m, 'r', "qay"));
		ctl_must(sd_bus_message_append(m, "q", (int)r->company));
		ctl_must(sd_bus_message_append_array(m, 'y', text_str(&r->data), r->data.len));
		ctl_must(sd_bus_message_close_container(m));
	}
	close_member(m);
}

static void add_service_data(sd_bus_message *m, const struct serve_adv *adv)
{
	char uuid[UUID_STR_MAX];

	if (!adv->n_service_data)
		return;
	open_member(m, "service_data", "a(say)", "(say)");
	for (size_t i = 0; i < adv->n_service_data; i++) {
		const struct serve_record *r = &adv->service_data[i];

		ctl_must(sd_bus_message_open_container(m, 'r', "say"));
		ctl_must(sd_bus_message_append(m, "s", uuid_format(&r->uuid, uuid)));
		ctl_must(sd_bus_message_append_array(m, 'y', text_str(&r->data), r->data.len));
		ctl_must(sd_bus_message_close_container(m));
	}
	close_member(m);
}

static void add_payload(sd_bus_message *m, const struct serve_adv *adv)
{
	char uuid[UUID_STR_MAX];

	if (adv->adv_data.len)
		add_bytes(m, "adv_data", &adv->adv_data);
	if (adv->resp_data.len)
		add_bytes(m, "resp_data", &adv->resp_data);
	if (adv->adv_data.len || adv->resp_data.len)
		return;
	add_flag(m, "limited_disc", adv->limited_disc);
	add_flag(m, "br_edr", adv->br_edr);
	if (adv->name && *adv->name)
		add(m, "name", "s", adv->name);
	add_u16(m, "appearance", adv->appearance);
	if (adv->n_services) {
		open_member(m, "services", "as", "s");
		for (size_t i = 0; i < adv->n_services; i++)
			ctl_must(sd_bus_message_append(m, "s",
			                               uuid_format(&adv->services[i], uuid)));
		close_member(m);
	}
	add_manufacturer(m, adv);
	add_service_data(m, adv);
	if (adv->has_tx_power)
		add(m, "tx_power", "n", (int)adv->tx_power);
}

int serve_advertise(struct serve *s)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct serve_adv *adv = &s->file.adv;
	sd_bus_message *m;
	const char *path;
	int r;

	if (!adv->on)
		return 0;
	m = call_new(s->c, s->adapter, "Adapter1", "Advertise");
	ctl_must(sd_bus_message_append(m, "t", (uint64_t)adv->interval_us));
	call_options_open(m);
	call_option_bool(m, "connectable", adv->connectable);
	if (adv->connectable)
		call_option_bool(m, "keep", adv->keep);
	if (adv->timeout_ms)
		call_option_u32(m, "timeout_ms", adv->timeout_ms);
	add_flag(m, "extended", adv->extended);
	if (adv->secondary_phy)
		add(m, "secondary_phy", "s", adv->secondary_phy);
	add_payload(m, adv);
	call_option_str(m, "lifetime", "caller");
	call_options_close(m);
	r = call(s, m, "advertising.", "advertise", &reply);
	if (!r)
		r = ctl_read(s->c, reply, "o", &path);
	if (r)
		return r;
	free(s->advertiser);
	s->advertiser = strdup(path);
	ctl_must(s->advertiser ? 0 : -ENOMEM);
	return 0;
}

/* ---- the end ---- */

static void withdraw(struct serve *s, char *path, const char *iface, const char *member)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;

	if (!path || s->c->stop == STOP_SIGNAL)
		return;
	m = call_new(s->c, path, iface, member);
	call_no_options(m);
	(void)ctl_call_raw(s->c, steal(&m), "withdraw", &reply); /* it goes with us anyway */
}

/* The daemon has forgotten us, or soon will */
static void forget(struct serve *s)
{
	char **owned[] = {&s->adapter, &s->address, &s->app, &s->advertiser};

	for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
		free(*owned[i]);
		*owned[i] = NULL;
	}
	for (size_t i = 0; i < s->db.count; i++)
		s->db.attrs[i].path[0] = 0;
	s->advertise_again = false;
}

void serve_withdraw(struct serve *s)
{
	const struct ctl before = *s->c;

	s->c->stop = STOP_NONE; /* until the next signal */
	s->c->mute = true;
	s->c->timeout_given = true;
	s->c->timeout_ms = WITHDRAW_TIME_US / 1000;
	s->c->deadline_us = ctl_now_us() + WITHDRAW_TIME_US;
	if (!s->daemon_gone) {
		withdraw(s, s->advertiser, "Advertiser1", "Stop");
		withdraw(s, s->app, "Application1", "Unregister");
	}
	s->c->mute = before.mute;
	s->c->timeout_given = before.timeout_given;
	s->c->timeout_ms = before.timeout_ms;
	s->c->deadline_us = before.deadline_us;
	if (before.stop != STOP_NONE)
		s->c->stop = before.stop;
	forget(s);
}
