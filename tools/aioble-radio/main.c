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

#include "ask.h"
#include "capture.h"
#include "control.h"
#include "radio.h"
#include "scenario.h"
#include "scene.h"

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
	const char *control, *scenario, *capture, *check, *ask;
	char *const *commands; /* for @ask */
	int n_commands;
};

struct radio_program {
	struct loop *loop;
	struct world *world;
	struct scene *scene;
	struct control *control;
	struct scenario *scenario;
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
		"                     ,mixed (legacy and extended commands side by side)\n"
		"  --control PATH     unix stream socket for commands in JSON, a line each\n"
		"  --scenario FILE    commands to run, each at its time, once all is ready\n"
		"  --capture DIR      record every controller's HCI (NAME.btsnoop) and the air "
	        "(air.pcap)\n"
		"  --seed N           of everything random (default: another one each time)\n"
		"  --speed N          time passes N times as fast in the air, 1 to 1000\n"
		"  --fast             --speed 20: intervals and timeouts hardly take time\n"
		"  --ready-fd FD      write the line \"ready hci0 ...\" there, not to standard "
		"output\n"
		"  --log-level LEVEL  error, warning, notice (default), info, debug\n"
		"  --check FILE       read and check a scenario, start nothing\n"
		"  --ask PATH [JSON]  send commands (or those of standard input) to a --control "
	        "socket\n"
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

static void take_path(struct options *o, const char *name, const char *value)
{
	const struct {
		const char *name, **path;
	} paths[] = {
		{"control", &o->control}, {"scenario", &o->scenario}, {"capture", &o->capture},
		{"check", &o->check},     {"ask", &o->ask},
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strcmp(name, paths[i].name) == 0)
			*paths[i].path = value;
	}
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
		OPT_PATH,
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
		{"control", required_argument, NULL, OPT_PATH},
		{"scenario", required_argument, NULL, OPT_PATH},
		{"capture", required_argument, NULL, OPT_PATH},
		{"check", required_argument, NULL, OPT_PATH},
		{"ask", required_argument, NULL, OPT_PATH},
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
		case OPT_PATH:
			take_path(o, longs[i].name, optarg);
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
	o->commands = argv + optind;
	o->n_commands = argc - optind;
	if (r < 0 && optind < argc && !o->ask) {
		(void)fprintf(
			stderr,
			"aioble-radio: unexpected argument \"%s\"\nTry 'aioble-radio --help'.\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return r;
}

/* --- scenarios --- */

static void report(void *data, size_t line, const char *key, const char *text)
{
	(void)fprintf(stderr, "%s:%zu: %s%s%s\n", (const char *)data, line, key, *key ? ": " : "",
	              text);
}

static int load_scenario(const char *path, struct scenario **ret)
{
	int r = scenario_load(path, report, (void *)path, ret);

	if (r < 0 && r != -EINVAL)
		(void)fprintf(stderr, "%s: %s\n", path, strerror(-r));
	return r;
}

static int check(const char *path)
{
	struct scenario *scenario;

	if (load_scenario(path, &scenario) < 0)
		return EXIT_FAILED;
	(void)printf("%s: %zu commands\n", path, scenario_stats(scenario).commands);
	scenario_free(scenario);
	return EXIT_OK;
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
	if (p->scenario)
		scenario_start(p->scenario, p->scene, NULL, NULL);
}

static void on_quit(struct scene *scene)
{
	struct radio_program *p = scene->data;

	loop_stop(p->loop, EXIT_OK);
}

/* What commands can act upon, and who may send them: before the controllers, so that captures miss nothing. */
static int start_scene(struct radio_program *p, const struct options *o)
{
	struct air *air = world_air(p->world);
	int r = scene_new(air, p->world, o->radio.seed, &p->scene);

	if (r < 0) {
		log_error(NULL, "cannot start: %s", strerror(-r));
		return r;
	}
	p->scene->quit = on_quit;
	p->scene->data = p;
	if (o->capture)
		r = capture_new(air, o->capture, capture_epoch_us(air), &p->scene->capture);
	if (r < 0) {
		log_error(NULL, "%s: %s", o->capture, strerror(-r));
		return r;
	}
	if (o->control)
		r = control_new(p->scene, o->control, &p->control);
	if (r < 0)
		log_error(NULL, "%s: %s", o->control, strerror(-r));
	return r;
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
	int r = o->scenario ? load_scenario(o->scenario, &p->scenario) : 0;

	if (r < 0)
		return r;
	r = loop_new(&p->loop);
	if (r == 0)
		r = watch_signals(p);
	if (r == 0)
		r = world_new(p->loop, &o->radio, &p->world);
	if (r < 0)
		log_error(NULL, "cannot start: %s", strerror(-r));
	if (r == 0)
		r = start_scene(p, o);
	for (size_t i = 0; r == 0 && i < o->n; i++)
		r = start_item(p->world, &o->items[i]);
	if (r == 0)
		world_on_ready(p->world, on_ready, p);
	return r;
}

static void stop(struct radio_program *p)
{
	p->control = control_free(p->control);
	p->scenario = scenario_free(p->scenario);
	world_empty(p->world);
	if (p->scene)
		p->scene->capture = capture_free(p->scene->capture);
	p->scene = scene_free(p->scene);
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
	if (o.ask)
		return (int)ask(o.ask, o.commands, o.n_commands);
	if (o.check)
		return check(o.check);
	p.ready_fd = o.ready_fd;
	r = start(&p, &o);
	if (r == 0)
		r = loop_run(p.loop);
	stop(&p);
	return r < 0 ? EXIT_FAILED : r;
}
