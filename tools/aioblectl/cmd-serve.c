/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve: a peripheral out of a file. Services and advertising live as long as the command; with --retry they come back
 * when the daemon or the adapter does.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "sig.h"

#define RETRY_MIN_US (500 * 1000ULL)
#define RETRY_MAX_US (8 * 1000000ULL)

enum {
	OPT_CHECK = 0x100,
	OPT_RETRY,
};

/* ---- the file ---- */

static int slurp(struct ctl *c, const char *name, struct text *ret)
{
	_cleanup_(closep) int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return ctl_fail(c, CTL_USAGE, "Input", NULL, "%s: %s", name, strerror(errno));
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ctl_fail(c, CTL_USAGE, "Input", NULL, "%s: %s", name,
			                strerror(errno));
		text_add(ret, buf, (size_t)n);
		if (ret->len > SERVE_FILE_MAX)
			return ctl_fail(c, CTL_USAGE, "Input", NULL, "%s: longer than %d KiB", name,
			                SERVE_FILE_MAX / 1024);
	}
	return 0;
}

static int tell_error(struct serve *s, const struct serve_error *e)
{
	json_object *details = json_object_new_object();

	json_object_object_add(details, "file", json_object_new_string(s->name));
	json_object_object_add(details, "line", json_object_new_int64(e->line));
	json_object_object_add(details, "column", json_object_new_int64(e->column));
	json_object_object_add(details, "path", json_object_new_string(e->path));
	if (*e->path)
		return ctl_fail(s->c, CTL_USAGE, "File", details, "%s:%u: %s: %s", s->name, e->line,
		                e->path, e->text);
	return ctl_fail(s->c, CTL_USAGE, "File", details, "%s:%u:%u: %s", s->name, e->line,
	                e->column, e->text);
}

static int load(struct serve *s)
{
	_cleanup_(serve_errors_free) struct serve_errors errors = {.count = 0};
	_cleanup_(text_free) struct text t = {0};
	int r = slurp(s->c, s->name, &t);

	if (r || serve_file_parse(text_str(&t), t.len, &s->file, &errors) >= 0)
		return r;
	for (size_t i = 0; i < MIN(errors.count, (size_t)SERVE_ERRORS_MAX); i++)
		r = tell_error(s, &errors.list[i]);
	if (errors.count > SERVE_ERRORS_MAX)
		r = ctl_fail(s->c, CTL_USAGE, "File", NULL, "%s: %zu more", s->name,
		             errors.count - SERVE_ERRORS_MAX);
	return r;
}

/* ---- --check ---- */

static json_object *hex_json(const uint8_t *data, size_t len)
{
	_cleanup_(text_free) struct text t = {0};

	text_hex(&t, data, len);
	return json_object_new_string(text_str(&t));
}

static json_object *check_json(const struct serve *s)
{
	const struct serve_adv *adv = &s->file.adv;
	json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < s->db.count; i++) {
		json_object *a = attr_json(&s->db.attrs[i]);

		if (s->db.attrs[i].kind == ATTR_CHARACTERISTIC)
			json_object_object_add(a, "properties", attr_flags(&s->db.attrs[i]));
		if (s->served[i].label)
			json_object_object_add(a, "label",
			                       json_object_new_string(s->served[i].label));
		json_object_array_add(list, a);
	}
	json_object_object_add(o, "attributes", list);
	if (!adv->on)
		return o;
	json_object_object_add(o, "adv_data", hex_json(adv->payload.adv, adv->payload.adv_len));
	json_object_object_add(o, "resp_data", hex_json(adv->payload.rsp, adv->payload.rsp_len));
	json_object_object_add(o, "interval_us", json_object_new_int64(adv->interval_us));
	return o;
}

static void add_words(json_object *list, struct text *t)
{
	for (size_t i = 0; i < json_length(list); i++)
		text_addf(t, "%s%s", i ? "," : "",
		          json_object_get_string(json_object_array_get_idx(list, i)));
}

/* As discover would show it, but for what the daemon puts before it and between */
static void check_table(const struct serve *s)
{
	static const char *const kinds[] = {[ATTR_SERVICE] = "service",
	                                    [ATTR_CHARACTERISTIC] = "characteristic",
	                                    [ATTR_DESCRIPTOR] = "descriptor"};
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 5, "HANDLE", "KIND", "NAME", "PROPERTIES", "CALLED");
	for (size_t i = 0; i < s->db.count; i++) {
		const struct attr *a = &s->db.attrs[i];
		_cleanup_(json_putp) json_object *flags = attr_flags(a);
		_cleanup_(text_free) struct text handle = {0}, words = {0};

		text_addf(&handle, "0x%04x", a->handle);
		add_words(flags, &words);
		table_row(&t, text_str(&handle), kinds[a->kind], attr_label(a), text_str(&words),
		          s->served[i].label);
	}
	table_print(s->c, &t);
	putchar('\n');
}

static void check_text(const struct serve *s)
{
	const struct serve_adv *adv = &s->file.adv;
	size_t n = serve_file_characteristics(&s->file);

	printf("ok: %zu service%s, %zu characteristic%s", s->file.n_services,
	       s->file.n_services == 1 ? "" : "s", n, n == 1 ? "" : "s");
	if (!adv->on)
		puts(", no advertising");
	else if (adv->extended)
		printf(", advertising %zu of %d bytes\n", adv->payload.adv_len, ADV_DATA_MAX);
	else
		printf(", advertising %zu of %d bytes, scan response %zu of %d\n",
		       adv->payload.adv_len, AD_LEGACY_MAX, adv->payload.rsp_len, AD_LEGACY_MAX);
}

static int check(const struct serve *s)
{
	_cleanup_(json_putp) json_object *o = NULL;

	if (s->c->json == JSON_OFF) {
		if (s->c->tty && !s->c->quiet && s->db.count)
			check_table(s);
		if (!s->c->quiet)
			check_text(s);
		return 0;
	}
	o = check_json(s);
	out_document(s->c, o);
	return 0;
}

/* ---- running ---- */

static int find_adapter(struct serve *s)
{
	_cleanup_(json_putp) json_object *properties = NULL;
	int r = ctl_find_adapter(s->c, &s->adapter);

	if (!r)
		r = ctl_on_adapter(
			ctl_properties(s->c, s->adapter, "Adapter1", "adapter", &properties));
	if (r)
		return r;
	s->address = strdup(json_str(properties, "Address"));
	ctl_must(s->address ? 0 : -ENOMEM);
	return 0;
}

static int go_on_air(struct serve *s)
{
	int r = serve_advertise(s);

	if (!r && s->file.adv.on)
		serve_tell(s, "on-air", s->address);
	return r;
}

static int start(struct serve *s)
{
	int r = find_adapter(s);

	if (!r)
		r = serve_configure(s);
	if (!r)
		r = serve_register(s);
	if (r)
		return r;
	if (s->app)
		serve_tell(s, "serving", s->app);
	return go_on_air(s);
}

/* What another time can be better; a file that the daemon refuses stays refused */
static bool may_pass(int code)
{
	return code == CTL_UNREACHABLE || code == CTL_NO_ADAPTER || code == CTL_BUSY ||
	       code == CTL_TIMEOUT || code == CTL_NOT_FOUND;
}

/* Until the time is over, the daemon has come, or the end */
static void pause_for(struct serve *s, uint64_t us)
{
	uint64_t until = ctl_now_us() + us, now;

	s->daemon_came = false;
	while (s->c->stop == STOP_NONE && !s->daemon_came && (now = ctl_now_us()) < until)
		ctl_must(sd_event_run(s->c->event, until - now));
}

static void stay(struct serve *s)
{
	while (s->c->stop == STOP_NONE && !s->lost) {
		int r = sd_event_run(s->c->event, UINT64_MAX);

		if (r < 0)
			ctl_done(s->c, ctl_fail(s->c, CTL_UNREACHABLE, "Unreachable", NULL,
			                        "the bus is gone: %s", strerror(-r)));
		if (!s->advertise_again || s->lost || s->c->stop != STOP_NONE)
			continue;
		s->advertise_again = false;
		r = go_on_air(s);
		if (r && !s->retry)
			ctl_done(s->c, r);
		s->lost = s->lost || r;
	}
}

/* Return: an exit code, when there is no more to try */
static int serve(struct serve *s)
{
	uint64_t wait = RETRY_MIN_US;
	int r = 0;

	for (;;) {
		s->lost = false;
		s->c->once = r != 0; /* one failure, one line, however often it is tried */
		r = start(s);
		s->c->once = false;
		if (!r) {
			wait = RETRY_MIN_US;
			stay(s);
		} else if (s->c->stop == STOP_NONE && !(s->retry && may_pass(r))) {
			return r;
		}
		if (s->c->stop != STOP_NONE)
			return r ? r : s->c->stop == STOP_DONE ? s->c->result : CTL_OK;
		s->lost = true;
		serve_peers_free(s);
		serve_withdraw(s);
		pause_for(s, wait);
		wait = MIN(wait * 2, RETRY_MAX_US);
		if (s->c->deadline_us != UINT64_MAX)
			s->c->deadline_us = ctl_now_us() + s->c->timeout_ms * 1000;
	}
}

static void remember_clocks(struct serve *s)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail for this clock */
	s->realtime_offset_us =
		(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - (int64_t)ctl_now_us();
}

static int run(struct serve *s)
{
	int r = ctl_connect_bus(s->c);

	remember_clocks(s);
	if (!r)
		r = ctl_watch(s->c, false);
	if (!r)
		r = serve_listen(s);
	if (!r)
		r = serve_input_new(s, &s->input);
	if (r)
		return r;
	r = serve(s);
	s->lost = true;
	serve_peers_free(s);
	serve_withdraw(s);
	return r;
}

static void serve_end(struct serve *s)
{
	s->input = serve_input_free(s->input);
	serve_table_free(s);
	serve_file_free(&s->file);
}

/* ---- the command line ---- */

static int parse(struct serve *s, int argc, char **argv)
{
	static const struct option options[] = {
		{"check", no_argument, NULL, OPT_CHECK},
		{"retry", no_argument, NULL, OPT_RETRY},
		CTL_GLOBAL_OPTIONS,
	};
	int o;

	while ((o = ctl_getopt(s->c, argc, argv, options)) != OPT_END) {
		if (o == OPT_BAD)
			return CTL_USAGE;
		s->check = s->check || o == OPT_CHECK;
		s->retry = s->retry || o == OPT_RETRY;
	}
	if (argc - optind != 1)
		return ctl_usage(s->c, argc == optind ? "which file?" : "one file at a time");
	s->name = argv[optind];
	return 0;
}

int cmd_serve(struct ctl *c, int argc, char **argv)
{
	_cleanup_(serve_end) struct serve s = {.c = c};
	int r = parse(&s, argc, argv);

	if (!r)
		r = load(&s);
	if (r)
		return r;
	serve_table(&s);
	return s.check ? check(&s) : run(&s);
}
