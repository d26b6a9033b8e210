/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients, lines, answers. A client is served in small portions, so that none keeps the air or the others waiting; one that
 * does not read its answers is not listened to until it does.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "command.h"
#include "listen.h"

#define READ_SIZE     4096
#define LINES_AT_ONCE 64

struct control_client {
	struct list link;
	struct control *control;
	struct loop_io io;
	struct defer more; /* lines wait in the buffer, though the descriptor is silent */
	int fd;
	char *in, *out;
	size_t in_len, in_size, out_at, out_len, out_size;
	bool eof;                /* nothing more comes; what is here is still answered */
	bool closing;            /* when all is written */
	uint64_t events_dropped; /* not yet told */
	struct scene_listener events;
};

struct control {
	struct scene *scene;
	char *path;
	int fd;
	struct loop_io io;
	struct list clients;
	struct control_stats stats;
};

DEFINE_CLEANUP(struct control *, control_free);

static void client_free(struct control_client *cl)
{
	list_del(&cl->link);
	cl->control->stats.clients--;
	if (list_linked(&cl->events.link))
		scene_unlisten(&cl->events);
	defer_cancel(&cl->more);
	loop_io_deinit(&cl->io);
	closep(&cl->fd);
	free(cl->in);
	free(cl->out);
	free(cl);
}

/* --- output --- */

static size_t waiting(const struct control_client *cl)
{
	return cl->out_len - cl->out_at;
}

static void update_interest(struct control_client *cl)
{
	bool listens = !cl->closing && !cl->eof && waiting(cl) < CONTROL_OUT_HIGH;

	(void)loop_io_set(&cl->io, (listens ? LOOP_READ : 0) | (waiting(cl) ? LOOP_WRITE : 0));
}

static int grow(char **buf, size_t *size, size_t want)
{
	size_t n = *size ? *size : 1024;
	char *p;

	if (want <= *size)
		return 0;
	while (n < want)
		n *= 2;
	p = realloc(*buf, n);
	if (!p)
		return -ENOMEM;
	*buf = p;
	*size = n;
	return 0;
}

static void put_line(struct control_client *cl, const char *s, size_t len)
{
	if (cl->out_at) {
		memmove(cl->out, cl->out + cl->out_at, waiting(cl));
		cl->out_len -= cl->out_at;
		cl->out_at = 0;
	}
	if (cl->out_len + len + 1 > CONTROL_OUT_MAX ||
	    grow(&cl->out, &cl->out_size, cl->out_len + len + 1) < 0) {
		log_warning(cl->control->path, "a client's answers do not fit, it is cut off");
		cl->closing = true;
		return;
	}
	memcpy(cl->out + cl->out_len, s, len);
	cl->out[cl->out_len + len] = '\n';
	cl->out_len += len + 1;
}

/* @o is taken. */
static void put_json(struct control_client *cl, json_object *o)
{
	size_t len;
	const char *s =
		o ? json_object_to_json_string_length(
			    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len)
		  : NULL;

	if (s)
		put_line(cl, s, len);
	else
		cl->closing = true; /* no memory: an answer must not be missing */
	json_put(o);
}

static int write_out(struct control_client *cl)
{
	ssize_t n;

	while (waiting(cl)) {
		n = send(cl->fd, cl->out + cl->out_at, waiting(cl), MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		cl->out_at += (size_t)n;
	}
	return cl->closing ? -EPIPE : 0;
}

/* --- events --- */

static void tell_dropped(struct control_client *cl)
{
	json_object *o = json_object_new_object();

	if (!o)
		return;
	json_add_str(o, "event", "dropped");
	json_add_int(o, "count", (int64_t)cl->events_dropped);
	cl->events_dropped = 0;
	put_json(cl, o);
}

static void on_event(struct scene_listener *l, json_object *event)
{
	struct control_client *cl = container_of(l, struct control_client, events);

	if (cl->closing)
		return;
	if (waiting(cl) >= CONTROL_OUT_HIGH) {
		cl->events_dropped++;
		cl->control->stats.events_dropped++;
		return;
	}
	if (cl->events_dropped)
		tell_dropped(cl);
	put_json(cl, json_object_get(event));
	update_interest(cl);
}

static int read_wants(json_object *list, unsigned int *ret, struct complaint *c)
{
	unsigned int wants = 0;
	size_t kind;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(list, i));

		for (kind = 0;
		     kind < SCENE_EVENTS && strcmp(s ? s : "", scene_event_names[kind]) != 0;)
			kind++;
		if (kind == SCENE_EVENTS)
			return complain(c, "events", "\"%.30s\" is nothing to subscribe to",
			                s ? s : "null");
		wants |= 1u << kind;
	}
	*ret = wants;
	return 0;
}

/* The one command that belongs to the client itself. */
static bool is_subscribe(json_object *cmd)
{
	json_object *name =
		json_object_is_type(cmd, json_type_object) ? keys_get(cmd, "cmd") : NULL;

	return name && json_object_is_type(name, json_type_string) &&
	       strcmp(json_object_get_string(name), "subscribe") == 0;
}

static json_object *subscribe(struct control_client *cl, json_object *cmd)
{
	static const struct key keys[] = {{"cmd", KEY_STRING, .required = true},
	                                  {"id", .type = KEY_ANY},
	                                  {"events", KEY_ARRAY, .required = true},
	                                  {0}};
	json_object *answer, *id = keys_get(cmd, "id");
	struct complaint c = {0};

	if (keys_check(cmd, keys, &c) == 0 &&
	    read_wants(keys_get(cmd, "events"), &cl->events.wants, &c) == 0)
		answer = json_object_new_object();
	else
		answer = command_error(c.where, c.text);
	if (answer && !*c.text)
		json_add_bool(answer, "ok", true);
	if (answer && id && json_object_object_add(answer, "id", json_object_get(id)) < 0)
		json_object_put(id);
	return answer;
}

/* --- input --- */

static bool is_blank(const char *s, size_t len)
{
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
		len--;
	return len == 0;
}

static json_object *answer_line(struct control_client *cl, const char *line, size_t len)
{
	const char *why = "the line ends too early";
	json_object *cmd = NULL, *answer;
	size_t used;

	if (json_read(line, len, &cmd, &used, &why) < 0)
		return command_error("", why);
	if (!is_blank(line + used, len - used))
		answer = command_error("", "there is something behind the command");
	else if (is_subscribe(cmd))
		answer = subscribe(cl, cmd);
	else
		answer = command_answer(cl->control->scene, cmd);
	json_put(cmd);
	return answer;
}

static void take_line(struct control_client *cl, const char *line, size_t len)
{
	json_object *answer;

	if (is_blank(line, len))
		return;
	air_sync(cl->control->scene->air);
	answer = answer_line(cl, line, len);
	cl->control->stats.commands++;
	if (answer && keys_has(answer, "error"))
		cl->control->stats.errors++;
	put_json(cl, answer);
}

static void too_long(struct control_client *cl)
{
	put_json(cl, command_error("", "the line is too long"));
	cl->closing = true;
}

/* The length of the first line at @at without its end; the last one may lack its newline. */
static bool find_line(const struct control_client *cl, size_t at, size_t *ret_len)
{
	const char *end = cl->in_len > at ? memchr(cl->in + at, '\n', cl->in_len - at) : NULL;

	if (!end && !(cl->eof && cl->in_len > at))
		return false;
	*ret_len = end ? (size_t)(end - cl->in) - at : cl->in_len - at;
	return true;
}

static bool may_answer(const struct control_client *cl)
{
	return !cl->closing && waiting(cl) < CONTROL_OUT_HIGH;
}

static void take_lines(struct control_client *cl)
{
	size_t at = 0, len;

	for (int i = 0; i < LINES_AT_ONCE && may_answer(cl) && find_line(cl, at, &len); i++) {
		take_line(cl, cl->in + at, len);
		at = MIN(at + len + 1, cl->in_len);
	}
	cl->in_len -= at;
	if (at)
		memmove(cl->in, cl->in + at, cl->in_len);
	if (find_line(cl, 0, &len))
		return;
	if (cl->in_len > CONTROL_LINE_MAX)
		too_long(cl);
	else if (cl->eof)
		cl->closing = true;
}

static int read_in(struct control_client *cl)
{
	ssize_t n;

	if (grow(&cl->in, &cl->in_size, cl->in_len + READ_SIZE) < 0)
		return -ENOMEM;
	n = recv(cl->fd, cl->in + cl->in_len, READ_SIZE, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		cl->eof = true;
	cl->in_len += (size_t)n;
	return 0;
}

static void serve(struct control_client *cl, int r)
{
	size_t len;

	if (r == 0)
		r = write_out(cl);
	if (r < 0) {
		client_free(cl);
		return;
	}
	if (may_answer(cl) && find_line(cl, 0, &len))
		defer_post(&cl->more);
	update_interest(cl);
}

static void on_more(struct defer *d)
{
	struct control_client *cl = container_of(d, struct control_client, more);

	take_lines(cl);
	serve(cl, 0);
}

static void on_client(struct loop_io *io, int ready)
{
	struct control_client *cl = container_of(io, struct control_client, io);
	int r = 0;

	if ((ready & LOOP_READ) && !cl->closing && !cl->eof && cl->in_len <= CONTROL_LINE_MAX)
		r = read_in(cl);
	if (r == 0 && !cl->closing)
		take_lines(cl);
	serve(cl, r);
}

/* --- clients --- */

static int client_new(struct control *c, int fd)
{
	struct control_client *cl = calloc(1, sizeof(*cl));
	int r;

	if (!cl)
		return -ENOMEM;
	cl->control = c;
	cl->fd = -1;
	list_init(&cl->link);
	list_init(&cl->events.link);
	cl->events.event = on_event;
	defer_init(&cl->more, air_loop(c->scene->air), on_more);
	r = loop_io_init(&cl->io, air_loop(c->scene->air), fd, on_client);
	if (r < 0) {
		free(cl);
		return r;
	}
	cl->fd = fd;
	list_add_tail(&c->clients, &cl->link);
	c->stats.clients++;
	scene_listen(c->scene, &cl->events);
	update_interest(cl);
	return 0;
}

static void on_accept(struct loop_io *io, int ready)
{
	struct control *c = container_of(io, struct control, io);
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return; /* it went before we looked */
	if (c->stats.clients < CONTROL_CLIENTS_MAX && client_new(c, fd) == 0)
		return;
	c->stats.refused++;
	log_warning(c->path, "a client is turned away: there are %u", c->stats.clients);
	closep(&fd);
}

int control_new(struct scene *scene, const char *path, struct control **ret)
{
	_cleanup_(control_freep) struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->scene = scene;
	c->fd = -1;
	list_init(&c->clients);
	r = listen_socket(path);
	if (r < 0)
		return r;
	c->fd = r;
	c->path = strdup(path);
	if (!c->path)
		return -ENOMEM;
	r = loop_io_init(&c->io, air_loop(scene->air), c->fd, on_accept);
	if (r == 0)
		r = loop_io_set(&c->io, LOOP_READ);
	if (r == 0)
		*ret = steal(&c);
	return r;
}

struct control *control_free(struct control *c)
{
	struct control_client *cl, *tmp;

	if (!c)
		return NULL;
	list_for_each_safe (cl, tmp, &c->clients, link) {
		(void)write_out(cl); /* whoever made us quit may read that it worked */
		client_free(cl);
	}
	loop_io_deinit(&c->io);
	closep(&c->fd);
	if (c->path)
		(void)unlink(c->path); /* somebody may have removed it */
	free(c->path);
	free(c);
	return NULL;
}

struct control_stats control_stats(const struct control *c)
{
	return c->stats;
}
