/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read and write. What stands on the command line is checked before the peer is bothered: a
 * mistyped value must not cost a connection.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "output.h"
#include "peer.h"
#include "text.h"
#include "value.h"

#define READ_ATTRS_MAX 64
/* Text of a value from a file: 512 bytes in decimal, hexadecimal or base64 with blanks stay far
 * below. */
#define VALUE_TEXT_MAX 65536

enum {
	OPT_FORMAT = 0x100,
	OPT_LONG,
	OPT_NO_RESPONSE,
	OPT_OFFSET,
	OPT_RESPONSE,
};

enum response {
	RESPONSE_AUTO,
	RESPONSE_YES,
	RESPONSE_NO,
};

/* A long value takes a round trip for every MTU's worth of it; the daemon's own second is for one. */
#define VALUE_TIMEOUT_MS 10000

struct access {
	struct ctl *c;
	struct peer_connect how;
	struct value_format format;
	bool format_given, is_long;
	enum response response;
	long offset;
	struct peer peer;
	struct attr_db db;
	struct text value;
};

static void access_free(struct access *a)
{
	text_free(&a->value);
	attr_db_free(&a->db);
	peer_free(&a->peer);
}

static void culprit_text(struct text *t, const char *verb, const struct attr *attr,
                         const struct peer *p)
{
	text_addf(t, "%s 0x%04x (%s) of %s", verb, attr->handle, attr_label(attr), p->name);
}

/* ---- read ---- */

static int fetch(struct access *a, const struct attr *attr, sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(a->c, attr->path, attr_interface(attr), "Read");
	_cleanup_(text_free) struct text culprit = {0};

	call_options_open(m);
	call_option_timeout_or(a->c, m, VALUE_TIMEOUT_MS);
	if (a->offset)
		ctl_must(sd_bus_message_append(m, "{sv}", "offset", "q", (int)a->offset));
	call_options_close(m);
	culprit_text(&culprit, "read", attr, &a->peer);
	return ctl_call(a->c, steal(&m), text_str(&culprit), ret);
}

static int misfit(struct access *a, const struct attr *attr, const void *data, size_t len)
{
	_cleanup_(text_free) struct text hex = {0};
	json_object *details = json_object_new_object();

	text_hex(&hex, data, len);
	json_object_object_add(details, "value", json_object_new_string(text_str(&hex)));
	return ctl_fail(a->c, CTL_FAILED, "Format", details,
	                "0x%04x: %zu bytes do not fit the format: %s", attr->handle, len,
	                text_str(&hex));
}

static int print_text(struct access *a, const struct attr *attr, const void *data, size_t len,
                      bool alone)
{
	_cleanup_(text_free) struct text t = {0};

	if (value_is_raw(&a->format)) {
		(void)fwrite(data, 1, len, stdout); /* errors show in out_finish() */
		return 0;
	}
	if (value_print(&a->format, data, len, a->c->tty, &t) < 0)
		return misfit(a, attr, data, len);
	if (!alone && !a->c->quiet)
		printf("0x%04x\t%s\t", attr->handle, attr_label(attr));
	puts(text_str(&t));
	return 0;
}

static int add_json(struct access *a, const struct attr *attr, const void *data, size_t len,
                    json_object *list)
{
	_cleanup_(text_free) struct text hex = {0};
	json_object *o = attr_json(attr), *decoded;

	json_object_array_add(list, o);
	text_hex(&hex, data, len);
	json_object_object_add(o, "value", json_object_new_string(text_str(&hex)));
	if (!a->format_given)
		return 0;
	decoded = value_json(&a->format, data, len);
	if (!decoded && a->format.fields[0].kind != VALUE_TEXT)
		return misfit(a, attr, data, len);
	json_object_object_add(o, "decoded", decoded);
	return 0;
}

static int read_attrs(struct access *a, const struct attr *const *attrs, size_t count)
{
	_cleanup_(json_putp) json_object *list = json_object_new_array();
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
		const void *data;
		size_t len;

		r = fetch(a, attrs[i], &reply);
		if (!r)
			r = ctl_read_bytes(a->c, reply, &data, &len);
		if (r)
			break;
		if (a->c->json != JSON_OFF)
			r = add_json(a, attrs[i], data, len, list);
		else
			r = print_text(a, attrs[i], data, len, count == 1);
	}
	if (a->c->json != JSON_OFF && json_length(list))
		out_document(a->c, count == 1 ? json_object_array_get_idx(list, 0) : list);
	return r;
}

static int set_format(struct access *a, const char *text)
{
	if (value_format_parse(text, &a->format) < 0)
		return ctl_usage(a->c, "--format %s: not %s", text, value_format_names());
	a->format_given = true;
	return 0;
}

static int set_option(struct access *a, int o)
{
	switch (o) {
	case PEER_OPT_TYPE:
		return peer_type(a->c, optarg, &a->how);
	case OPT_FORMAT:
		return set_format(a, optarg);
	case OPT_OFFSET:
		return opt_number(a->c, "--offset", optarg, 0, VALUE_MAX, &a->offset);
	case OPT_LONG:
		a->is_long = true;
		return 0;
	case OPT_RESPONSE:
	case OPT_NO_RESPONSE:
		a->response = o == OPT_RESPONSE ? RESPONSE_YES : RESPONSE_NO;
		return 0;
	default:
		return CTL_USAGE;
	}
}

static int parse(struct access *a, int argc, char **argv, const struct option *options)
{
	int o, r = 0;

	while (!r && (o = ctl_getopt(a->c, argc, argv, options)) != OPT_END)
		r = set_option(a, o);
	if (!r && optind == argc)
		r = ctl_usage(a->c, "which peer?");
	if (!r && optind + 1 == argc)
		r = ctl_usage(a->c, "which attribute?");
	return r;
}

int cmd_read(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		PEER_OPTIONS,
		{"format", required_argument, NULL, OPT_FORMAT},
		{"offset", required_argument, NULL, OPT_OFFSET},
		CTL_GLOBAL_OPTIONS,
	};
	_cleanup_(access_free) struct access a = {
		.c = c,
		.how = PEER_CONNECT_INIT,
		.format = {.fields = {{.kind = VALUE_SMART}}, .count = 1},
	};
	const struct attr *attrs[READ_ATTRS_MAX];
	int r = parse(&a, argc, argv, options);
	size_t count = r ? 0 : (size_t)(argc - optind - 1);
	char **texts = argv + optind + 1;

	if (!r && count > READ_ATTRS_MAX)
		r = ctl_usage(c, "more than %d attributes", READ_ATTRS_MAX);
	for (size_t i = 0; !r && i < count; i++)
		r = attr_check(c, texts[i]);
	if (!r)
		r = peer_open(c, argv[optind], &a.how, &a.peer);
	if (!r)
		r = attr_find(c, &a.peer, &a.db, texts, count,
		              ATTR_CHARACTERISTIC | ATTR_DESCRIPTOR, attrs);
	return r ? r : read_attrs(&a, attrs, count);
}

/* ---- write ---- */

/* All of a file or of standard input, as long as it is not longer than any value could be */
static int slurp(struct ctl *c, const char *name, int fd, struct text *ret)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ctl_fail(c, CTL_FAILED, "Input", NULL, "%s: %s", name,
			                strerror(errno));
		text_add(ret, buf, (size_t)n);
		if (ret->len > VALUE_TEXT_MAX)
			return ctl_fail(c, CTL_USAGE, "Usage", NULL, "%s: too long for a value",
			                name);
	}
	return 0;
}

static int slurp_file(struct ctl *c, const char *name, struct text *ret)
{
	_cleanup_(closep) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return ctl_fail(c, CTL_USAGE, "Input", NULL, "%s: %s", name, strerror(errno));
	return slurp(c, name, fd, ret);
}

/* One newline at the end of a text is the shell's or the editor's; who means it takes raw */
static void drop_newline(struct text *t)
{
	if (t->len && t->s[t->len - 1] == '\n')
		t->s[--t->len] = 0;
}

static int source(struct access *a, const char *arg, struct text *ret)
{
	bool from_file = strcmp(arg, "-") == 0 || (arg[0] == '@' && arg[1] != '@');
	int r = 0;

	if (strcmp(arg, "-") == 0)
		r = slurp(a->c, "standard input", STDIN_FILENO, ret);
	else if (from_file)
		r = slurp_file(a->c, arg + 1, ret);
	else
		text_adds(ret, arg[0] == '@' ? arg + 1 : arg);
	if (from_file && a->format.count == 1 && a->format.fields[0].kind == VALUE_TEXT)
		drop_newline(ret);
	return r;
}

static int gather(struct access *a, char **args, int count)
{
	_cleanup_(text_free) struct text why = {0};
	size_t field = 0;

	text_add(&a->value, "", 0);
	for (int i = 0; i < count; i++) {
		_cleanup_(text_free) struct text t = {0};
		int r = source(a, args[i], &t);

		if (r)
			return r;
		if (value_parse(&a->format, &field, text_str(&t), t.len, &a->value, &why) < 0)
			return ctl_usage(a->c, "value: %s", text_str(&why));
	}
	return 0;
}

static int store(struct access *a, const struct attr *attr)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(a->c, attr->path, attr_interface(attr), "Write");
	_cleanup_(text_free) struct text culprit = {0};

	ctl_must(sd_bus_message_append_array(m, 'y', a->value.s, a->value.len));
	call_options_open(m);
	call_option_timeout_or(a->c, m, VALUE_TIMEOUT_MS);
	if (a->response != RESPONSE_AUTO)
		call_option_bool(m, "response", a->response == RESPONSE_YES);
	if (a->is_long || a->offset)
		call_option_bool(m, "long", true);
	if (a->offset)
		ctl_must(sd_bus_message_append(m, "{sv}", "offset", "q", (int)a->offset));
	call_options_close(m);
	culprit_text(&culprit, "write", attr, &a->peer);
	return ctl_call(a->c, steal(&m), text_str(&culprit), NULL);
}

static int written(struct access *a, const struct attr *attr)
{
	_cleanup_(text_free) struct text hex = {0};
	_cleanup_(json_putp) json_object *o = NULL;

	if (a->c->json == JSON_OFF)
		return 0;
	o = attr_json(attr);
	text_hex(&hex, a->value.s, a->value.len);
	json_object_object_add(o, "written", json_object_new_string(text_str(&hex)));
	out_document(a->c, o);
	return 0;
}

int cmd_write(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		PEER_OPTIONS,
		{"format", required_argument, NULL, OPT_FORMAT},
		{"long", no_argument, NULL, OPT_LONG},
		{"no-response", no_argument, NULL, OPT_NO_RESPONSE},
		{"offset", required_argument, NULL, OPT_OFFSET},
		{"response", no_argument, NULL, OPT_RESPONSE},
		CTL_GLOBAL_OPTIONS,
	};
	_cleanup_(access_free) struct access a = {
		.c = c,
		.how = PEER_CONNECT_INIT,
		.format = {.fields = {{.kind = VALUE_HEX}}, .count = 1},
	};
	const struct attr *attr;
	int r = parse(&a, argc, argv, options);

	if (!r && argc - optind < 3)
		r = ctl_usage(c, "which value?");
	if (!r && a.response == RESPONSE_NO && (a.is_long || a.offset))
		r = ctl_usage(c, "--no-response: a long write is always answered");
	if (!r)
		r = attr_check(c, argv[optind + 1]);
	if (!r)
		r = gather(&a, argv + optind + 2, argc - optind - 2);
	if (!r)
		r = peer_open(c, argv[optind], &a.how, &a.peer);
	if (!r)
		r = attr_find(c, &a.peer, &a.db, argv + optind + 1, 1,
		              ATTR_CHARACTERISTIC | ATTR_DESCRIPTOR, &attr);
	if (!r)
		r = store(&a, attr);
	return r ? r : written(&a, attr);
}
