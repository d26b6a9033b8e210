/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aiobled: arguments, configuration, loop, then start and stop in their order. The bus name is taken when the object of
 * every adapter that was there at the start exists: who finds the name finds the service, and work for an adapter that is
 * still being brought up waits for it. Only then is anything changed, so a second daemon does no harm. systemd is told of
 * the start when all adapters have settled.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "aiobled/adapter.h"
#include "aiobled/bus.h"
#include "aiobled/config.h"
#include "aiobled/foreign.h"
#include "aiobled/kernel.h"
#include "aiobled/log.h"
#include "aiobled/loop.h"
#include "aiobled/manager.h"
#include "version.h"

#define STATUS_INTERVAL_US (10 * 1000000ull)

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *config_file;
	const char *bus;
	enum log_level log_level;
	bool log_level_given, check, print;
};

struct daemon {
	struct loop *loop;
	struct manager_config manager_config; /* borrowed by the manager as long as it lives */
	struct manager *manager;
	struct bus *bus;
	struct foreign *foreign;
	struct loop_io signals;
	int signal_fd;
	struct timer tick; /* watchdog and status */
	uint64_t tick_us;
	bool settled, named, stopping;
	char host[CONFIG_DEVICE_NAME_MAX + 1];
	const char *warnings[2]; /* for Manager1.Warnings; NULL-terminated */
};

static void usage(FILE *to)
{
	(void)fputs("Usage: aiobled [OPTION...]\n"
		    "Bluetooth Low Energy daemon; serves org.aioble on D-Bus.\n\n"
		    "  --config FILE      read FILE and FILE.d/*.conf\n"
		    "  --check-config     name mistakes of the configuration and exit\n"
		    "  --print-config     write the settings in force and exit\n"
		    "  --bus BUS          system (default), user, or a D-Bus address\n"
		    "  --log-level LEVEL  error, warning, notice, info, debug\n"
		    "  --version, --help\n\n"
		    "See aiobled(8), aiobled.conf(5), aioblectl(1).\n",
		    to);
}

/* Return: -1 to go on, or an exit status */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_CONFIG = 256, OPT_CHECK, OPT_PRINT, OPT_BUS, OPT_LEVEL, OPT_VERSION, OPT_HELP };
	static const struct option longs[] = {
		{ "config", required_argument, NULL, OPT_CONFIG },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "print-config", no_argument, NULL, OPT_PRINT },
		{ "bus", required_argument, NULL, OPT_BUS },
		{ "log-level", required_argument, NULL, OPT_LEVEL },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			o->config_file = optarg;
			break;
		case OPT_CHECK:
			o->check = true;
			break;
		case OPT_PRINT:
			o->print = true;
			break;
		case OPT_BUS:
			o->bus = optarg;
			break;
		case OPT_LEVEL:
			if (log_level_parse(optarg, &o->log_level) < 0) {
				(void)fprintf(stderr, "aiobled: --log-level %s: none of error, warning, notice, info, debug\n",
					      optarg);
				return EXIT_USAGE;
			}
			o->log_level_given = true;
			break;
		case OPT_VERSION:
			(void)puts("aiobled " AIOBLED_VERSION);
			return EXIT_OK;
		case OPT_HELP:
			usage(stdout);
			return EXIT_OK;
		default:
			(void)fputs("Try 'aiobled --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "aiobled: unexpected argument \"%s\"\nTry 'aiobled --help'.\n", argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static void complain_to_log(const char *file, int line, const char *text, _unused_ void *data)
{
	if (line)
		log_warning(NULL, "%s:%d: %s", file, line, text);
	else
		log_warning(NULL, "%s: %s", file, text);
}

static void complain_to_stderr(const char *file, int line, const char *text, _unused_ void *data)
{
	if (line)
		(void)fprintf(stderr, "%s:%d: %s\n", file, line, text);
	else
		(void)fprintf(stderr, "%s: %s\n", file, text);
}

/* Return: mistakes, or -errno */
static int load_config(const struct options *o, struct config *config)
{
	static const char *const dropins[] = { CONFIG_DIR "/aiobled.conf.d", "/usr/lib/aiobled/aiobled.conf.d", NULL };
	config_complain complain = o->check ? complain_to_stderr : complain_to_log;
	_cleanup_(freep) char *own = NULL;
	const char *own_dropins[2] = { NULL, NULL };

	if (!o->config_file)
		return config_load(config, CONFIG_DIR "/aiobled.conf", dropins, complain, NULL);
	if (access(o->config_file, R_OK) < 0) { /* named by hand, so it must be there */
		complain(o->config_file, 0, strerror(errno), NULL);
		return 1;
	}
	if (asprintf(&own, "%s.d", o->config_file) < 0) {
		own = NULL;
		return -ENOMEM;
	}
	own_dropins[0] = own;
	return config_load(config, o->config_file, own_dropins, complain, NULL);
}

/* --- systemd --- */

static void notify_status(struct daemon *d)
{
	unsigned int adapters = 0, ready = 0, links = 0;
	struct list *l, *all = manager_adapters(d->manager);

	for (l = all->next; l != all; l = l->next) {
		const struct adapter *a = adapter_from_link(l);

		adapters++;
		ready += adapter_state(a) == ADAPTER_READY;
		links += adapter_links_in_use(a);
	}
	(void)sd_notifyf(0, "STATUS=%u of %u adapters ready, %u links", ready, adapters, links);
}

static void on_tick(struct timer *t)
{
	struct daemon *d = container_of(t, struct daemon, tick);

	(void)sd_notify(0, "WATCHDOG=1"); /* nobody to tell when systemd does not listen */
	notify_status(d);
	timer_start(t, d->tick_us);
}

static void start_tick(struct daemon *d)
{
	uint64_t watchdog_us;

	d->tick_us = STATUS_INTERVAL_US;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		d->tick_us = MIN(d->tick_us, watchdog_us / 3);
	timer_start(&d->tick, 0);
}

/* --- events that end or complete the start --- */

static void check_ready(struct daemon *d)
{
	if (!d->named || !d->settled)
		return;
	notify_status(d);
	(void)sd_notify(0, "READY=1");
	log_info(NULL, "ready");
}

static void on_name(int res, void *data)
{
	struct daemon *d = data;

	if (res < 0) {
		log_error(NULL, "the bus name org.aioble is not to be had: %s", strerror(-res));
		loop_stop(d->loop, EXIT_FAILED);
		return;
	}
	d->named = true;
	manager_begin(d->manager);
	check_ready(d);
}

static void on_bus_lost(int err, void *data)
{
	struct daemon *d = data;

	log_error(NULL, "the connection to the bus is lost: %s", strerror(-err));
	loop_stop(d->loop, EXIT_FAILED);
}

static void on_identified(void *data)
{
	struct daemon *d = data;
	int r = bus_request_name(d->bus);

	if (r < 0) {
		on_name(r, d);
		return;
	}
	r = foreign_new(d->bus, d->manager, &d->foreign); /* after the name: nobody waits for this */
	if (r < 0)
		log_error(NULL, "other Bluetooth managers will not be noticed: %s", strerror(-r));
}

static void on_settled(void *data)
{
	struct daemon *d = data;

	d->settled = true;
	check_ready(d);
}

static void on_adapter_added(struct adapter *adapter, void *data)
{
	bus_adapter_added(((struct daemon *)data)->bus, adapter);
}

static void on_adapter_removed(struct adapter *adapter, void *data)
{
	bus_adapter_removed(((struct daemon *)data)->bus, adapter);
}

static void on_manager_failed(int err, void *data)
{
	struct daemon *d = data;

	log_error(NULL, "%s (%s)", manager_reason(d->manager), strerror(-err));
	loop_stop(d->loop, EXIT_FAILED);
}

static void on_stopped(void *data)
{
	loop_stop(((struct daemon *)data)->loop, EXIT_OK);
}

/* First signal: an orderly stop. Second: at once. */
static void on_signal(struct loop_io *io, _unused_ int ready)
{
	struct daemon *d = container_of(io, struct daemon, signals);
	struct signalfd_siginfo si;

	if (read(d->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (d->stopping) {
		loop_stop(d->loop, EXIT_OK);
		return;
	}
	d->stopping = true;
	log_info(NULL, "stopping");
	(void)sd_notify(0, "STOPPING=1");
	bus_cancel_calls(d->bus);
	manager_stop(d->manager, on_stopped, d);
}

static int watch_signals(struct daemon *d)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signal_fd < 0)
		return -errno;
	r = loop_io_init(&d->signals, d->loop, d->signal_fd, on_signal);
	return r < 0 ? r : loop_io_set(&d->signals, LOOP_READ);
}

/* --- start and stop, line by line --- */

static void explain_no_manager(int err)
{
	switch (err) {
	case -EAFNOSUPPORT:
	case -EPROTONOSUPPORT:
		log_error(NULL, "no Bluetooth here: the kernel has no Bluetooth sockets (module bluetooth missing, or a "
				"network namespace of its own)");
		break;
	case -EPERM:
	case -EACCES:
		log_error(NULL, "no access to Bluetooth management: CAP_NET_ADMIN is missing");
		break;
	default:
		log_error(NULL, "no access to Bluetooth management: %s", strerror(-err));
	}
}

/* The first label: "kitchen" of kitchen.example.org. */
static const char *host_name(struct daemon *d)
{
	if (gethostname(d->host, sizeof(d->host) - 1) < 0)
		d->host[0] = '\0'; /* it has none, or too long a one */
	d->host[strcspn(d->host, ".")] = '\0';
	return d->host;
}

static int start(struct daemon *d, const struct options *o, const struct config *config)
{
	static const struct manager_events manager_events = {
		.adapter_added = on_adapter_added,
		.adapter_removed = on_adapter_removed,
		.identified = on_identified,
		.settled = on_settled,
		.failed = on_manager_failed,
	};
	static const struct bus_events bus_events = { .name = on_name, .lost = on_bus_lost };
	const struct bus_config bus_config = {
		.address = o->bus,
		.version = AIOBLED_VERSION,
		.linger_ms = config->linger_ms,
		.calls = config->calls,
		.scanners = config->scanners,
		.advertisers = config->advertisers,
		.connections = config->connections,
		.subscriptions = config->subscriptions,
		.streams = config->streams,
		.applications = config->applications,
	};
	int r;

	d->warnings[0] = kernel_fault();
	if (d->warnings[0])
		log_warning(NULL, "%s", d->warnings[0]);
	r = loop_new(&d->loop);
	if (r < 0) {
		log_error(NULL, "no event loop: %s", strerror(-r));
		return r;
	}
	timer_init(&d->tick, d->loop, on_tick);
	r = watch_signals(d);
	if (r < 0) {
		log_error(NULL, "signals: %s", strerror(-r));
		return r;
	}
	d->manager_config = (struct manager_config){
		.adapters = config->n_adapters ? (const char *const *)config->adapters : NULL,
		.links_max = config->links_per_adapter,
		.device_name = config->device_name[0] ? config->device_name : host_name(d),
		.appearance = (uint16_t)config->appearance,
		.held = true,
	};
	r = manager_new(d->loop, &kernel_linux, &d->manager_config, &manager_events, d, &d->manager);
	if (r < 0) {
		explain_no_manager(r);
		return r;
	}
	r = bus_new(d->loop, d->manager, &bus_config, &bus_events, d, &d->bus);
	if (r < 0) {
		log_error(NULL, "no connection to the bus %s: %s", o->bus, strerror(-r));
		return r;
	}
	bus_set_warnings(d->bus, d->warnings);
	start_tick(d);
	return 0;
}

static void stop(struct daemon *d)
{
	timer_stop(&d->tick);
	d->foreign = foreign_free(d->foreign);
	d->bus = bus_free(d->bus); /* before the engines it points into */
	d->manager = manager_free(d->manager);
	loop_io_deinit(&d->signals);
	closep(&d->signal_fd);
	d->loop = loop_free(d->loop);
}

static int run(const struct options *o, const struct config *config)
{
	struct daemon d = { .signal_fd = -1 };
	int r = start(&d, o, config);

	if (r == 0) {
		r = loop_run(d.loop);
		if (r < 0)
			log_error(NULL, "the event loop broke: %s", strerror(-r));
	}
	if (d.loop)
		stop(&d);
	return r < 0 ? EXIT_FAILED : r;
}

int main(int argc, char **argv)
{
	struct options o = { .bus = "system" };
	struct config config;
	int r = parse_options(argc, argv, &o);

	if (r >= 0)
		return r;
	config_init(&config);
	r = load_config(&o, &config);
	if (o.log_level_given)
		config.log_level = o.log_level;
	log_set_level(config.log_level);
	if (o.print)
		config_print(&config, stdout);
	if (r < 0) {
		log_error(NULL, "configuration: %s", strerror(-r));
		r = EXIT_FAILED;
	} else if (o.check || o.print) {
		r = r ? EXIT_FAILED : EXIT_OK;
	} else {
		r = run(&o, &config);
	}
	config_deinit(&config);
	return r;
}
