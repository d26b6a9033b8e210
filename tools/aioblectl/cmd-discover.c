/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * discover: the peer's whole database, as a tree on a terminal, as tab-separated lines elsewhere,
 * as one document with
 * --json. Nothing is read from the peer unless --read is there; a value that cannot be read is part
 * of the answer.
 */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "attr.h"
#include "output.h"
#include "peer.h"
#include "text.h"
#include "value.h"

enum {
	OPT_READ = 0x100,
	OPT_FORMAT,
};

struct discovery {
	struct ctl *c;
	struct peer_connect how;
	struct value_format format;
	bool read;
	struct peer peer;
	struct attr_db db;
	json_object **values; /* one an attribute: {"value": ...}, {"error": ...} or NULL */
};

/* ---- --read ---- */

static json_object *value_object(struct discovery *d, const void *data, size_t len)
{
	_cleanup_(text_free) struct text hex = {0}, shown = {0};
	json_object *o = json_object_new_object();

	text_hex(&hex, data, len);
	json_object_object_add(o, "value", json_object_new_string(text_str(&hex)));
	if (value_print(&d->format, data, len, d->c->tty, &shown) < 0)
		text_addf(&shown, "(%zu bytes: %s)", len, text_str(&hex));
	json_object_object_add(o, "shown", json_object_new_string(text_str(&shown)));
	return o;
}

static json_object *error_object(sd_bus_message *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(error);
	json_object *o = json_object_new_object(), *inner = json_object_new_object(),
		    *details = NULL;
	const char *message = NULL;

	if (sd_bus_message_read(error, "s", &message) > 0)
		details = message_json(error);
	json_object_object_add(inner, "name", json_object_new_string(ctl_short_name(e->name)));
	json_object_object_add(inner, "message",
	                       json_object_new_string(message ? message : e->name));
	if (json_object_is_type(details, json_type_object)) {
		json_object_object_foreach (details, key, value) {
			json_object_object_add(inner, key, json_object_get(value));
		}
	}
	json_put(details);
	json_object_object_add(o, "error", inner);
	return o;
}

/* What ends the whole command rather than standing for the value */
static bool is_fatal(sd_bus_message *error)
{
	switch (ctl_exit_code(sd_bus_message_get_error(error)->name, NULL)) {
	case CTL_DISCONNECTED:
	case CTL_UNREACHABLE:
	case CTL_NO_ADAPTER:
		return true;
	default:
		return false;
	}
}

static int read_one(struct discovery *d, const struct attr *a, json_object **ret)
{
	_cleanup_(sd_bus_message_unrefp)
		sd_bus_message *reply = NULL,
			       *m = call_new(d->c, a->path, attr_interface(a), "Read");
	_cleanup_(text_free) struct text culprit = {0};
	const void *data;
	size_t len;
	int r;

	call_options_open(m);
	call_option_timeout(d->c, m);
	call_options_close(m);
	text_addf(&culprit, "read 0x%04x of %s", a->handle, d->peer.name);
	r = ctl_call_raw(d->c, steal(&m), text_str(&culprit), &reply);
	if (r)
		return r;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		if (is_fatal(reply))
			return ctl_fail_message(d->c, reply, text_str(&culprit));
		*ret = error_object(reply);
		return 0;
	}
	r = ctl_read_bytes(d->c, reply, &data, &len);
	if (!r)
		*ret = value_object(d, data, len);
	return r;
}

static int read_all(struct discovery *d)
{
	int r = 0;

	d->values = calloc(d->db.count + 1, sizeof(*d->values));
	ctl_must(d->values ? 0 : -1);
	for (size_t i = 0; d->read && !r && i < d->db.count; i++) {
		const struct attr *a = &d->db.attrs[i];

		if (a->kind == ATTR_DESCRIPTOR ||
		    (a->kind == ATTR_CHARACTERISTIC && a->properties & ATTR_READ))
			r = read_one(d, a, &d->values[i]);
	}
	return r;
}

/* ---- output ---- */

static void add_value(json_object *o, json_object *value)
{
	if (json_get(value, "error"))
		json_object_object_add(o, "error", json_object_get(json_get(value, "error")));
	else if (value)
		json_object_object_add(o, "value", json_object_get(json_get(value, "value")));
}

static void print_json(struct discovery *d)
{
	_cleanup_(json_putp) json_object *doc = json_object_new_object();
	json_object *lists[3] = {json_object_new_array()};

	json_object_object_add(doc, "connection", json_object_new_string(d->peer.path));
	json_object_object_add(doc, "address", json_object_new_string(d->peer.name));
	json_object_object_add(doc, "services", lists[0]);
	for (size_t i = 0; i < d->db.count; i++) {
		const struct attr *a = &d->db.attrs[i];
		size_t depth = a->kind == ATTR_SERVICE ? 0 : a->kind == ATTR_CHARACTERISTIC ? 1 : 2;
		json_object *o = attr_json(a);

		json_object_object_add(o, "path", json_object_new_string(a->path));
		add_value(o, d->values[i]);
		if (depth < 2) {
			lists[depth + 1] = json_object_new_array();
			json_object_object_add(o, depth ? "descriptors" : "characteristics",
			                       lists[depth + 1]);
		}
		json_object_array_add(lists[depth], o);
	}
	out_document(d->c, doc);
}

static void flags_text(const struct attr *a, const char *separator, struct text *t)
{
	_cleanup_(json_putp) json_object *flags = attr_flags(a);

	for (size_t i = 0; i < json_length(flags); i++)
		text_addf(t, "%s%s", i ? separator : "",
		          json_object_get_string(json_object_array_get_idx(flags, i)));
}

/* The value or what stood in its way, in one line */
static void value_text(json_object *value, struct text *t)
{
	json_object *error = json_get(value, "error");

	if (error)
		text_addf(t, "(%s)", json_str(error, "message"));
	else if (value)
		text_adds(t, json_str(value, "shown"));
}

static void print_lines(struct discovery *d)
{
	static const char *const kinds[] = {[ATTR_SERVICE] = "service",
	                                    [ATTR_CHARACTERISTIC] = "characteristic",
	                                    [ATTR_DESCRIPTOR] = "descriptor"};
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 7, "KIND", "HANDLE", "END", "UUID", "NAME", "FLAGS", "VALUE");
	for (size_t i = 0; i < d->db.count; i++) {
		const struct attr *a = &d->db.attrs[i];
		_cleanup_(text_free) struct text handle = {0}, end = {0}, flags = {0}, value = {0};
		const char *name = attr_label(a);

		text_addf(&handle, "0x%04x", a->handle);
		if (a->end_handle)
			text_addf(&end, "0x%04x", a->end_handle);
		flags_text(a, ",", &flags);
		if (a->kind == ATTR_SERVICE)
			text_adds(&flags, a->primary ? "primary" : "secondary");
		value_text(d->values[i], &value);
		table_row(&t, kinds[a->kind], text_str(&handle), text_str(&end), a->uuid,
		          name == a->uuid ? "" : name, text_str(&flags), text_str(&value));
	}
	table_tabs(&t);
}

/* Is there another one of this kind below the same parent, further down? */
static bool has_next(const struct attr_db *db, size_t i)
{
	const struct attr *a = &db->attrs[i];

	for (size_t j = i + 1; j < db->count && db->attrs[j].kind >= a->kind; j++)
		if (db->attrs[j].kind == a->kind)
			return true;
	return false;
}

struct glyphs {
	const char *more, *last, *line, *none;
};

/* The lines that lead to an entry: those of its ancestors go on below it when they have siblings to
 * come */
static void branch_text(struct discovery *d, size_t i, struct text *t)
{
	static const struct glyphs fancy = {"\u251c\u2500 ", "\u2514\u2500 ", "\u2502  ", "   "};
	static const struct glyphs plain = {"|- ", "`- ", "|  ", "   "};
	const struct glyphs *g = out_utf8() ? &fancy : &plain;
	const struct attr *a = &d->db.attrs[i], *chain[3];
	size_t depth = 0;

	for (const struct attr *p = a->parent; p && depth < ARRAY_SIZE(chain); p = p->parent)
		chain[depth++] = p;
	while (depth-- > 0)
		text_adds(t, has_next(&d->db, (size_t)(chain[depth] - d->db.attrs)) ? g->line
		                                                                    : g->none);
	text_adds(t, has_next(&d->db, i) ? g->more : g->last);
}

static void tree_row(struct discovery *d, size_t i, struct text *t)
{
	const struct attr *a = &d->db.attrs[i];
	_cleanup_(text_free) struct text value = {0}, handles = {0}, flags = {0}, left = {0};
	const char *name = attr_label(a);

	branch_text(d, i, &left);
	text_addf(&left, "%s%s%s", name, name == a->uuid ? "" : "  ",
	          name == a->uuid ? "" : a->uuid);
	text_addf(&handles, "0x%04x", a->handle);
	if (a->kind == ATTR_SERVICE)
		text_addf(&handles, "-0x%04x%s", a->end_handle, a->primary ? "" : " secondary");
	flags_text(a, ", ", &flags);
	value_text(d->values[i], &value);
	text_fit(t, text_str(&left), MAX(text_width(text_str(&left)), 52U), true);
	text_addf(t, "  %s", text_str(&handles));
	if (flags.len)
		text_addf(t, "  (%s)", text_str(&flags));
	if (value.len)
		text_addf(t, "  %s", text_str(&value));
	text_adds(t, "\n");
}

static void print_tree(struct discovery *d)
{
	_cleanup_(text_free) struct text t = {0};

	text_addf(&t, "%s%s%s  %s\n", out_bold(d->c), d->peer.name, out_plain(d->c), d->peer.path);
	for (size_t i = 0; i < d->db.count; i++)
		tree_row(d, i, &t);
	(void)fputs(text_str(&t), stdout); /* errors show in out_finish() */
}

static void print(struct discovery *d)
{
	if (d->c->json != JSON_OFF)
		print_json(d);
	else if (d->c->tty)
		print_tree(d);
	else
		print_lines(d);
}

/* ---- the command line ---- */

static int set_option(struct discovery *d, int o)
{
	switch (o) {
	case PEER_OPT_TYPE:
		return peer_type(d->c, optarg, &d->how);
	case OPT_FORMAT:
		if (value_format_parse(optarg, &d->format) < 0)
			return ctl_usage(d->c, "--format %s: not %s", optarg, value_format_names());
		return 0;
	case OPT_READ:
		d->read = true;
		return 0;
	default:
		return CTL_USAGE;
	}
}

static int parse(struct discovery *d, int argc, char **argv)
{
	static const struct option options[] = {
		PEER_OPTIONS,
		{"format", required_argument, NULL, OPT_FORMAT},
		{"read", no_argument, NULL, OPT_READ},
		CTL_GLOBAL_OPTIONS,
	};
	int o, r = 0;

	while (!r && (o = ctl_getopt(d->c, argc, argv, options)) != OPT_END)
		r = set_option(d, o);
	if (!r && argc - optind != 1)
		r = ctl_usage(d->c, argc == optind ? "which peer?" : "one peer at a time");
	return r;
}

static void discovery_free(struct discovery *d)
{
	for (size_t i = 0; d->values && i < d->db.count; i++)
		json_put(d->values[i]);
	free(d->values);
	attr_db_free(&d->db);
	peer_free(&d->peer);
}

int cmd_discover(struct ctl *c, int argc, char **argv)
{
	_cleanup_(discovery_free) struct discovery d = {
		.c = c,
		.how = PEER_CONNECT_INIT,
		.format = {.fields = {{.kind = VALUE_SMART}}, .count = 1},
	};
	int r = parse(&d, argc, argv);

	if (!r)
		r = peer_open(c, argv[optind], &d.how, &d.peer);
	if (!r)
		r = attr_discover(c, &d.peer, &d.db);
	if (!r)
		r = read_all(&d);
	if (!r)
		print(&d);
	return r;
}
