/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioble-radio: Bluetooth LE controllers in one simulated air. Arguments, loop, then start and stop in their order; when
 * everything is there and set up, one line on standard output says so. Nothing is started before all arguments were read.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/loop.h"

#include "radio.h"

#define FAST_SPEED 20
#define ITEMS_MAX  64

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What to start, in the order of the arguments: a profile is that of what follows it. */
struct item {
	enum { ITEM_CONTROLLERS, ITEM_SOCKET, ITEM_PTY } kind;
	unsigned int count;
	const char *path;
	struct profile profile;
};

struct options {
	struct radio_options radio;
	struct item items[ITEMS_MAX];
	size_t n;
	int ready_fd;
};

struct radio_program {
	struct loop *loop;
	struct world *world;
	struct loop_io signals;
	int signal_fd, ready_fd;
};

static void usage(FILE *to)
{
	(void)fputs(
		"Usage: aioble-radio [OPTION...]\n"
		"Bluetooth Low Energy controllers in one simulated air.\n\n"
		"  --controllers N    N controllers of this machine's kernel (/dev/vhci)\n"
		"  --socket PATH      unix stream socket: each client gets a controller (H4)\n"
		"  --pty PATH         a terminal with a controller behind it (H4); PATH links to "
	        "it\n"
		"  --profile PROFILE  what follows this option: 4.0, 4.2 or 5.2 (default), and any "
	        "of\n"
		"                     ,dual (BR/EDR too) ,le-states (all combinations of roles)\n"
		"  --seed N           of everything random (default: another one each time)\n"
		"  --speed N          time passes N times as fast in the air, 1 to 1000\n"
		"  --fast             --speed 20: intervals and timeouts hardly take time\n"
		"  --ready-fd FD      write the line \"ready hci0 ...\" there, not to standard "
	        "output\n"
		"  --log-level LEVEL  error, warning, notice (default), info, debug\n"
		"  --version, --help\n\n"
		"Runs until SIGTERM or SIGINT. Exit status: 0; 1 when something could not be "
	        "started;\n"
		"2 for a wrong option.\n",
		to);
}

static int bad(const char *option, const char *value, const char *wanted)
{
	(void)fprintf(stderr, "aioble-radio: --%s %s: %s\nTry 'aioble-radio --help'.\n", option,
	              value, wanted);
	return EXIT_USAGE;
}

static int parse_number(const char *s, unsigned long long most, unsigned long long *ret)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || end == s || *end || *s == '-' || v > most)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int add_item(struct options *o, struct item item)
{
	if (o->n == ITEMS_MAX)
		return bad("socket", item.path ? item.path : "", "too many things to start");
	item.profile = o->radio.profile;
	o->items[o->n++] = item;
	return -1;
}

static int take_number(struct options *o, const char *name, const char *value)
{
	unsigned long long v;

	if (strcmp(name, "controllers") == 0) {
		if (parse_number(value, RADIO_CONTROLLERS_MAX, &v) < 0)
			return bad(name, value, "not a number up to 32");
		return v ? add_item(o, (struct item){.kind = ITEM_CONTROLLERS,
		                                     .count = (unsigned int)v})
		         : -1;
	}
	if (strcmp(name, "seed") == 0) {
		if (parse_number(value, UINT64_MAX, &v) < 0)
			return bad(name, value, "not a number");
		o->radio.seed = v;
	} else if (strcmp(name, "speed") == 0) {
		if (parse_number(value, AIR_SPEED_MAX, &v) < 0 || v == 0)
			return bad(name, value, "not a number from 1 to 1000");
		o->radio.speed = (unsigned int)v;
	} else {
		if (parse_number(value, INT32_MAX, &v) < 0)
			return bad(name, value, "not a descriptor");
		o->ready_fd = (int)v;
	}
	return -1;
}

static int take_level(const char *value)
{
	enum log_level level;

	if (log_level_parse(value, &level) < 0)
		return bad("log-level", value, "none of error, warning, notice, info, debug");
	log_set_level(level);
	return -1;
}

static int take_profile(struct options *o, const char *value)
{
	if (profile_parse(value, &o->radio.profile) < 0)
		return bad("profile", value, profile_names());
	return -1;
}

/* Return: -1 to go on, or an exit status */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum {
		OPT_NUMBER = 256,
		OPT_SOCKET,
		OPT_PTY,
		OPT_PROFILE,
		OPT_FAST,
		OPT_LEVEL,
		OPT_VERSION,
		OPT_HELP
	};
	static const struct option longs[] = {
		{"controllers", required_argument, NULL, OPT_NUMBER},
		{"seed", required_argument, NULL, OPT_NUMBER},
		{"speed", required_argument, NULL, OPT_NUMBER},
		{"ready-fd", required_argument, NULL, OPT_NUMBER},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"pty", required_argument, NULL, OPT_PTY},
		{"profile", required_argument, NULL, OPT_PROFILE},
		{"fast", no_argument, NULL, OPT_FAST},
		{"log-level", required_argument, NULL, OPT_LEVEL},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0},
	};
	int c, i, r = -1;

	while (r < 0 && (c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		switch (c) {
		case OPT_NUMBER:
			r = take_number(o, longs[i].name, optarg);
			break;
		case OPT_SOCKET:
			r = add_item(o, (struct item){.kind = ITEM_SOCKET, .path = optarg});
			break;
		case OPT_PTY:
			r = add_item(o, (struct item){.kind = ITEM_PTY, .path = optarg});
			break;
		case OPT_PROFILE:
			r = take_profile(o, optarg);
			break;
		case OPT_FAST:
			o->radio.speed = FAST_SPEED;
			break;
		case OPT_LEVEL:
			r = take_level(optarg);
			break;
		case OPT_VERSION:
			(void)puts("aioble-radio " RADIO_VERSION);
			return EXIT_OK;
		case OPT_HELP:
			usage(stdout);
			return EXIT_OK;
		default:
			(void)fputs("Try 'aioble-radio --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (r < 0 && optind < argc) {
		(void)fprintf(
			stderr,
			"aioble-radio: unexpected argument \"%s\"\nTry 'aioble-radio --help'.\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return r;
}

/* --- running --- */

static void on_signal(struct loop_io *io, int ready)
{
	struct radio_program *p = container_of(io, struct radio_program, signals);

	loop_stop(p->loop, EXIT_OK);
}

static int watch_signals(struct radio_program *p)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN); /* a host that hangs up is an error of its descriptor */
	p->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (p->signal_fd < 0)
		return -errno;
	r = loop_io_init(&p->signals, p->loop, p->signal_fd, on_signal);
	return r < 0 ? r : loop_io_set(&p->signals, LOOP_READ);
}

static void on_ready(void *data, int err)
{
	struct radio_program *p = data;
	char line[16 + RADIO_CONTROLLERS_MAX * 10];

	if (err) {
		log_error(NULL, "the kernel does not set the controllers up: %s", strerror(-err));
		loop_stop(p->loop, EXIT_FAILED);
		return;
	}
	(void)world_ready_line(p->world, line, sizeof(line));
	if (dprintf(p->ready_fd, "%s\n", line) < 0)
		log_warning(NULL, "nobody to tell that it is ready: %s", strerror(errno));
	log_info(NULL, "%s", line);
}

static void explain(const struct item *item, int err)
{
	if (item->kind != ITEM_CONTROLLERS)
		log_error(NULL, "%s: %s", item->path, strerror(-err));
	else if (err == -ENOENT || err == -ENODEV)
		log_error(NULL, "/dev/vhci is missing: the kernel module is hci_vhci");
	else
		log_error(NULL, "/dev/vhci: %s", strerror(-err));
}

static int start_item(struct world *world, const struct item *item)
{
	int r = 0;

	switch (item->kind) {
	case ITEM_CONTROLLERS:
		for (unsigned int i = 0; r == 0 && i < item->count; i++)
			r = world_plug(world, NULL, &item->profile, NULL);
		break;
	case ITEM_SOCKET:
		r = world_listen(world, item->path, &item->profile);
		break;
	case ITEM_PTY:
		r = world_pty(world, item->path, &item->profile);
		break;
	}
	if (r < 0)
		explain(item, r);
	return r;
}

static int start(struct radio_program *p, const struct options *o)
{
	int r = loop_new(&p->loop);

	if (r == 0)
		r = watch_signals(p);
	if (r == 0)
		r = world_new(p->loop, &o->radio, &p->world);
	if (r < 0)
		log_error(NULL, "cannot start: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < o->n; i++)
		r = start_item(p->world, &o->items[i]);
	if (r == 0)
		world_on_ready(p->world, on_ready, p);
	return r;
}

static void stop(struct radio_program *p)
{
	p->world = world_free(p->world);
	loop_io_deinit(&p->signals);
	closep(&p->signal_fd);
	p->loop = loop_free(p->loop);
}

int main(int argc, char **argv)
{
	struct options o = {.radio.speed = 1, .ready_fd = STDOUT_FILENO};
	struct radio_program p = {.signal_fd = -1};
	int r;

	(void)profile_parse("5.2,le-states", &o.radio.profile); /* one of its own words */
	if (getrandom(&o.radio.seed, sizeof(o.radio.seed), 0) < 0)
		o.radio.seed = (uint64_t)getpid();
	log_set_level(LOG_LEVEL_NOTICE);
	r = parse_options(argc, argv, &o);
	if (r >= 0)
		return r;
	p.ready_fd = o.ready_fd;
	r = start(&p, &o);
	if (r == 0)
		r = loop_run(p.loop);
	stop(&p);
	return r < 0 ? EXIT_FAILED : r;
}
