/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values from standard input, a line each: ATTRIBUTE VALUE. A line that is wrong is told and passed over. While the daemon
 * has not answered for a number of them nothing more is read, so a fast writer waits in its pipe; while there is no daemon
 * values are only remembered.
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WRITES_MAX    16   /* under way */
#define LINE_MAX_TEXT 8192 /* 512 bytes as "0x00, " and a long name */
#define WRITE_USEC    (30 * 1000000ULL)

struct write {
	struct serve_input *in; /* NULL: a free one */
	unsigned long line;
	char *label;
	sd_bus_slot *slot;
};

struct serve_input {
	struct serve *s;
	sd_event_source *source;
	struct text rest; /* of a line that is not whole yet */
	bool too_long;    /* the rest of this one is passed over */
	bool ended;
	unsigned long line;
	struct write writes[WRITES_MAX];
	size_t busy;
};

void serve_set_value(struct serve_attr *def, const void *data, size_t len)
{
	text_free(&def->initial);
	text_add(&def->initial, data, len);
	def->has_initial = true;
}

/* ---- writes ---- */

static bool may_take(const struct serve_input *in)
{
	return in->busy < WRITES_MAX && !in->s->registering;
}

/* Its place is free before more lines are looked at, which may want it */
static void write_end(struct write *w)
{
	struct serve_input *in = w->in;

	sd_bus_slot_unref(w->slot);
	free(w->label);
	*w = (struct write){.in = NULL};
	in->busy--;
	serve_input_update(in);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct write *w = userdata;
	_cleanup_(text_free) struct text culprit = {0};
	struct serve *s = w->in->s;

	text_addf(&culprit, "standard input:%lu: %s", w->line, w->label);
	if (!s->lost && sd_bus_message_is_method_error(m, NULL))
		(void)ctl_fail_message(s->c, m,
		                       text_str(&culprit)); /* the next line may be better */
	write_end(w);
	return 0;
}

static struct write *free_write(struct serve_input *in)
{
	for (size_t i = 0; i < WRITES_MAX; i++)
		if (!in->writes[i].in)
			return &in->writes[i];
	return NULL;
}

static void send_value(struct serve_input *in, const struct attr *a, const struct served *v,
                       const struct text *value)
{
	struct serve *s = in->s;
	struct write *w = free_write(in);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = call_new(
		s->c, a->path,
		a->kind == ATTR_DESCRIPTOR ? "LocalDescriptor1" : "LocalCharacteristic1", "Write");

	ctl_must(sd_bus_message_append_array(m, 'y', text_str(value), value->len));
	call_options_open(m);
	if (a->kind == ATTR_CHARACTERISTIC)
		call_option_bool(m, "send_update", true);
	call_options_close(m);
	*w = (struct write){.in = in, .line = in->line, .label = strdup(v->label)};
	ctl_must(w->label ? 0 : -ENOMEM);
	in->busy++;
	ctl_must(sd_bus_call_async(s->c->bus, &w->slot, m, on_answer, w, WRITE_USEC));
}

/* ---- lines ---- */

static int find_value(struct serve *s, const char *name, size_t *ret)
{
	const struct attr *a;
	int r;

	for (size_t i = 0; i < s->db.count; i++) {
		if (!s->served[i].label || strcmp(s->served[i].label, name) != 0)
			continue;
		*ret = i;
		return 0;
	}
	r = attr_pick(s->c, &s->db, name, ATTR_CHARACTERISTIC | ATTR_DESCRIPTOR, &a);
	if (!r)
		*ret = (size_t)(a - s->db.attrs);
	return r;
}

static int parse_value(struct serve *s, const struct served *v, const char *text, size_t len,
                       struct text *ret)
{
	size_t field = 0, max = v->def->max_len ? v->def->max_len : VALUE_MAX;
	_cleanup_(text_free) struct text why = {0};

	text_add(ret, "", 0);
	if (value_parse(&v->def->format, &field, text, len, ret, &why) < 0)
		return ctl_usage(s->c, "%s: %s", v->label, text_str(&why));
	if (!ret->len && v->def->format.fields[0].size)
		return ctl_usage(s->c, "%s: no value", v->label);
	if (ret->len > max)
		return ctl_usage(s->c, "%s: %zu bytes are more than the %zu of max_len", v->label,
		                 ret->len, max);
	return 0;
}

static void take_value(struct serve_input *in, const char *name, const char *text, size_t len)
{
	_cleanup_(text_free) struct text value = {0};
	struct serve *s = in->s;
	size_t i;

	if (find_value(s, name, &i) || parse_value(s, &s->served[i], text, len, &value))
		return; /* told */
	serve_set_value(s->served[i].def, value.s,
	                value.len); /* for the next time it is registered */
	if (s->db.attrs[i].path[0])
		send_value(in, &s->db.attrs[i], &s->served[i], &value);
}

/* @line has room for a NUL behind @len */
static void take_line(struct serve_input *in, char *line, size_t len)
{
	_cleanup_(text_free) struct text where = {0};
	size_t start, name, at;

	in->line++;
	text_addf(&where, "standard input:%lu", in->line);
	in->s->c->where = text_str(&where);
	line[len] = 0;
	if (len && line[len - 1] == '\r')
		line[--len] = 0;
	start = strspn(line, " \t");
	name = strcspn(line + start, " \t");
	at = start + name;
	if (in->too_long) {
		(void)ctl_usage(in->s->c,
		                "longer than any value"); /* the next line may be better */
	} else if (name && line[start] != '#') {
		if (at < len)
			line[at++] = 0;
		take_value(in, line + start, line + at, len - at);
	}
	in->too_long = false;
	in->s->c->where = NULL;
}

/* All whole lines there are, as long as the daemon keeps up */
static void take_lines(struct serve_input *in)
{
	size_t used = 0;

	while (may_take(in) && in->rest.len > used) {
		char *start = in->rest.s + used, *end = memchr(start, '\n', in->rest.len - used);

		if (!end)
			break;
		take_line(in, start, (size_t)(end - start));
		used = (size_t)(end - in->rest.s) + 1;
	}
	if (used) {
		memmove(in->rest.s, in->rest.s + used, in->rest.len - used);
		in->rest.len -= used;
		in->rest.s[in->rest.len] = 0;
	}
	if (in->rest.len > LINE_MAX_TEXT && !memchr(in->rest.s, '\n', in->rest.len)) {
		in->rest.len = 0;
		in->too_long = true;
	}
}

/* ---- the source ---- */

static bool has_line(const struct serve_input *in)
{
	return in->rest.len && memchr(in->rest.s, '\n', in->rest.len);
}

void serve_input_update(struct serve_input *in)
{
	bool more;

	if (!in)
		return;
	if (has_line(in) && may_take(in))
		take_lines(in);
	more = !in->ended && may_take(in) && !has_line(in);
	if (in->source)
		ctl_must(
			sd_event_source_set_enabled(in->source, more ? SD_EVENT_ON : SD_EVENT_OFF));
}

/* The last line may lack its newline */
static void input_end(struct serve_input *in)
{
	in->ended = true;
	if (in->rest.len || in->too_long)
		text_adds(&in->rest, "\n");
}

static void read_more(struct serve_input *in)
{
	char buf[4096];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		text_add(&in->rest, buf, (size_t)n);
	else
		input_end(in); /* an error too: of a terminal that is somebody else's now, EIO */
	take_lines(in);
	serve_input_update(in);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	read_more(userdata);
	return 0;
}

static int on_turn(sd_event_source *source, void *userdata)
{
	read_more(userdata);
	return 0;
}

int serve_input_new(struct serve *s, struct serve_input **ret)
{
	struct serve_input *in = calloc(1, sizeof(*in));
	int r;

	ctl_must(in ? 0 : -ENOMEM);
	in->s = s;
	(void)signal(SIGTTIN, SIG_IGN); /* in the background of a terminal: go on without input */
	r = sd_event_add_io(s->c->event, &in->source, STDIN_FILENO, EPOLLIN, on_readable, in);
	if (r == -EPERM) /* a file, which is always ready */
		r = sd_event_add_defer(s->c->event, &in->source, on_turn, in);
	if (r == -EBADF) /* closed */
		in->ended = true;
	else
		ctl_must(r);
	*ret = in;
	return 0;
}

struct serve_input *serve_input_free(struct serve_input *in)
{
	if (!in)
		return NULL;
	in->source = sd_event_source_unref(in->source);
	in->rest.len = 0; /* no more lines */
	for (size_t i = 0; i < WRITES_MAX; i++)
		if (in->writes[i].in)
			write_end(&in->writes[i]);
	text_free(&in->rest);
	free(in);
	return NULL;
}
