/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon over a fake kernel, for tests of its face on the bus: everything from src/ but main.c. The test drives the
 * other side through a SOCK_SEQPACKET control socket: one line a datagram, answered with "ok" or "error ...". What the
 * daemon does unasked comes as "attempt N INDEX ADDRESS TYPE" when it starts to connect. With the answers to "up" and to
 * "incoming" ("ok N", the new link's number) the test is given the peer's end of the ATT channel, and plays the peer.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "aiobled/bus.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"
#include "aiobled/manager.h"

#include "fake_kernel.h"

#define POLL_US   1000
#define LINE_MAX_ 8192
#define ARGS_MAX  16

struct fake_daemon {
	struct loop *loop;
	struct fake_kernel *fk;
	struct manager *manager;
	struct bus *bus;
	struct loop_io control, signals;
	struct timer watch;
	size_t links_told;
	int control_fd, signal_fd;
};

static void say_fd(struct fake_daemon *d, const char *line, int fd)
{
	struct iovec iov = { .iov_base = (void *)line, .iov_len = strlen(line) };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = { .buf = { 0 } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = u.buf;
		msg.msg_controllen = sizeof(u.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (sendmsg(d->control_fd, &msg, MSG_NOSIGNAL) < 0)
		loop_stop(d->loop, 1);
}

static void say(struct fake_daemon *d, const char *line)
{
	say_fd(d, line, -1);
}

/* --- commands --- */

static size_t hex(const char *s, uint8_t *buf, size_t size)
{
	size_t n = 0;
	unsigned int byte;

	while (n < size && sscanf(s + 2 * n, "%2x", &byte) == 1)
		buf[n++] = (uint8_t)byte;
	return n;
}

static long number(char **args, int i)
{
	return args[i] ? strtol(args[i], NULL, 0) : 0;
}

static const char *do_plug(struct fake_daemon *d, char **args)
{
	struct fake_controller c = { .addr = args[2], .extended = number(args, 3) };

	fake_adapter_plug(d->fk, (uint16_t)number(args, 1), &c);
	return NULL;
}

static const char *do_unplug(struct fake_daemon *d, char **args)
{
	fake_adapter_unplug(d->fk, (uint16_t)number(args, 1));
	return NULL;
}

static const char *do_power(struct fake_daemon *d, char **args)
{
	fake_adapter_power(d->fk, (uint16_t)number(args, 1), number(args, 2));
	return NULL;
}

static const char *do_block(struct fake_daemon *d, char **args)
{
	fake_adapter_block(d->fk, (uint16_t)number(args, 1), number(args, 2));
	return NULL;
}

static void tell_features(struct fake_daemon *d, const struct fake_link *l)
{
	uint8_t ev[12] = { HCIP_LE_REMOTE_FEATURES, 0, l->handle & 0xff, l->handle >> 8 };

	fake_hci_event(d->fk, l->index, HCIP_EV_LE_META, ev, sizeof(ev));
}

static const char *do_up(struct fake_daemon *d, char **args)
{
	struct fake_link *l = fake_link(d->fk, (size_t)number(args, 1));

	if (l->state != FAKE_LINK_PENDING || fake_link_cancelled(l))
		return "error cancelled";
	fake_link_up(l, (uint16_t)number(args, 2));
	tell_features(d, l); /* the kernel asks for them first thing: that the peer answers proves the link */
	say_fd(d, "ok", l->far);
	return "";
}

/* incoming INDEX ADDRESS TYPE [ORDER [HANDLE]]: a peer connects to us; ORDER as in fake_link_tell() */
static const char *do_incoming(struct fake_daemon *d, char **args)
{
	const char *order = args[4] ? args[4] : "ham";
	uint16_t handle = args[5] ? (uint16_t)number(args, 5) : (uint16_t)(0x0100 + fake_links(d->fk));
	struct addr peer;
	uint8_t type;
	struct fake_link *l;
	char line[32];

	if (addr_type_parse(args[3], &type) < 0 || addr_parse(args[2], type, &peer) < 0)
		return "error address";
	(void)snprintf(line, sizeof(line), "ok %zu", fake_links(d->fk));
	l = fake_link_incoming(d->fk, (uint16_t)number(args, 1), &peer, handle, order);
	say_fd(d, line, l->far);
	return "";
}

/* pair N WHAT: "ask", "compare", "passkey", "key", "key-once", "encrypt", "identity ADDRESS" (random) */
static const char *do_pair(struct fake_daemon *d, char **args)
{
	struct fake_link *l = fake_link(d->fk, (size_t)number(args, 1));
	struct addr identity;

	if (strcmp(args[2], "ask") == 0)
		fake_link_ask(l, true);
	else if (strcmp(args[2], "compare") == 0)
		fake_link_ask(l, false);
	else if (strcmp(args[2], "passkey") == 0)
		fake_link_ask_passkey(l);
	else if (strcmp(args[2], "key") == 0)
		fake_link_key(l, true);
	else if (strcmp(args[2], "key-once") == 0)
		fake_link_key(l, false);
	else if (strcmp(args[2], "encrypt") == 0)
		fake_link_encrypt(l, 2, 16);
	else if (strcmp(args[2], "identity") == 0 && args[3] && addr_parse(args[3], ADDR_RANDOM, &identity) == 0)
		fake_link_identify(l, &identity);
	else
		return "error what";
	return NULL;
}

/* adv INDEX INSTANCE: "ok ON_AIR FLAGS INTERVAL ADV RSP", or "ok" when it is not there */
static const char *do_adv(struct fake_daemon *d, char **args)
{
	const struct fake_adv *a = fake_adv(d->fk, (uint16_t)number(args, 1), (uint8_t)number(args, 2));
	static char line[2 * 2 * 255 + 64];
	int n;

	if (!a)
		return "ok";
	n = snprintf(line, sizeof(line), "ok %d %u %u ", a->on_air, a->flags, a->min_interval);
	for (size_t i = 0; i < a->adv_len; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%02x", a->adv[i]);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "%s ", a->adv_len ? "" : "-");
	for (size_t i = 0; i < a->rsp_len; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%02x", a->rsp[i]);
	if (!a->rsp_len)
		(void)snprintf(line + n, sizeof(line) - (size_t)n, "-");
	return line;
}

static const char *do_adv_add(struct fake_daemon *d, char **args)
{
	fake_adv_add(d->fk, (uint16_t)number(args, 1), (uint8_t)number(args, 2));
	return NULL;
}

static const char *do_adv_remove(struct fake_daemon *d, char **args)
{
	fake_adv_remove(d->fk, (uint16_t)number(args, 1), (uint8_t)number(args, 2));
	return NULL;
}

/* central INDEX INSTANCE ADDRESS TYPE HANDLE: a central connects to an instance, all of it; answered as "incoming" */
static const char *do_central(struct fake_daemon *d, char **args)
{
	uint16_t index = (uint16_t)number(args, 1), handle = (uint16_t)number(args, 5);
	const struct fake_adv *a = fake_adv(d->fk, index, (uint8_t)number(args, 2));
	struct fake_link *l;
	struct addr peer;
	uint8_t type;
	char line[32];

	if (addr_type_parse(args[4], &type) < 0 || addr_parse(args[3], type, &peer) < 0)
		return "error address";
	if (!a || !a->on_air)
		return "error not on air";
	(void)snprintf(line, sizeof(line), "ok %zu", fake_links(d->fk));
	l = fake_link_incoming(d->fk, index, &peer, handle, "h");
	fake_adv_taken(d->fk, index, (uint8_t)number(args, 2), handle);
	fake_link_tell(l, "am");
	say_fd(d, line, l->far);
	return "";
}

static const char *do_fail(struct fake_daemon *d, char **args)
{
	fake_link_fail(fake_link(d->fk, (size_t)number(args, 1)), -(int)number(args, 2), (uint8_t)number(args, 3));
	return NULL;
}

static const char *do_drop(struct fake_daemon *d, char **args)
{
	struct fake_link *l = fake_link(d->fk, (size_t)number(args, 1));

	if (l->state != FAKE_LINK_UP)
		return "error not up";
	fake_link_drop(l, (uint8_t)number(args, 2));
	return NULL;
}

static const char *do_link(struct fake_daemon *d, char **args)
{
	static const char *const states[] = { "ok pending", "ok up", "ok down" };
	struct fake_link *l = fake_link(d->fk, (size_t)number(args, 1));

	if (l->state == FAKE_LINK_PENDING && fake_link_cancelled(l))
		return "ok cancelled";
	return states[l->state];
}

static const char *do_report(struct fake_daemon *d, char **args)
{
	uint8_t data[31];
	struct addr addr;
	long repeat = args[7] ? number(args, 7) : 1;

	if (addr_parse(args[3], (uint8_t)number(args, 4), &addr) < 0)
		return "error address";
	for (long i = 0; i < repeat; i++)
		fake_report(d->fk, (uint16_t)number(args, 1), (uint8_t)number(args, 2), &addr, (int8_t)number(args, 5), data,
			    hex(args[6] ? args[6] : "", data, sizeof(data)));
	return NULL;
}

static const char *do_scanning(struct fake_daemon *d, char **args)
{
	return fake_adapter_scanning(d->fk, (uint16_t)number(args, 1)) ? "ok 1" : "ok 0";
}

static const char *do_settings(struct fake_daemon *d, char **args)
{
	static char line[32];

	(void)snprintf(line, sizeof(line), "ok %u", fake_adapter_settings(d->fk, (uint16_t)number(args, 1)));
	return line;
}

/* rule OPCODE INDEX TIMES ACTION STATUS DELAY_MS */
static const char *do_rule(struct fake_daemon *d, char **args)
{
	struct fake_rule rule = {
		.opcode = (uint16_t)number(args, 1),
		.index = (int)number(args, 2),
		.times = (unsigned int)number(args, 3),
		.action = (enum fake_action)number(args, 4),
		.status = (uint8_t)number(args, 5),
		.delay_ms = (uint32_t)number(args, 6),
	};

	fake_rule(d->fk, &rule);
	return NULL;
}

static const char *do_rules_clear(struct fake_daemon *d, _unused_ char **args)
{
	fake_rules_clear(d->fk);
	return NULL;
}

static const char *do_stop(struct fake_daemon *d, _unused_ char **args)
{
	bus_cancel_calls(d->bus);
	return NULL;
}

static const struct {
	const char *name;
	const char *(*fn)(struct fake_daemon *d, char **args);
	int args;
} commands[] = {
	{ "plug", do_plug, 2 },	  { "unplug", do_unplug, 1 },	  { "power", do_power, 2 },
	{ "block", do_block, 2 }, { "up", do_up, 2 },		  { "fail", do_fail, 3 },
	{ "drop", do_drop, 2 },	  { "link", do_link, 1 },	  { "report", do_report, 5 },
	{ "rule", do_rule, 6 },	  { "scanning", do_scanning, 1 }, { "settings", do_settings, 1 },
	{ "stop", do_stop, 0 },	  { "rules_clear", do_rules_clear, 0 },
	{ "incoming", do_incoming, 3 }, { "central", do_central, 5 },
	{ "adv", do_adv, 2 },	  { "adv_add", do_adv_add, 2 },	  { "adv_remove", do_adv_remove, 2 }, { "pair", do_pair, 2 },
};

static const char *run(struct fake_daemon *d, char *line)
{
	char *args[ARGS_MAX + 1] = { NULL }, *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " ", &save); w && n < ARGS_MAX; w = strtok_r(NULL, " ", &save))
		args[n++] = w;
	for (size_t i = 0; n && i < ARRAY_SIZE(commands); i++)
		if (strcmp(args[0], commands[i].name) == 0)
			return n > commands[i].args ? commands[i].fn(d, args) : "error arguments";
	return "error command";
}

static void on_control(struct loop_io *io, _unused_ int ready)
{
	struct fake_daemon *d = container_of(io, struct fake_daemon, control);
	char line[LINE_MAX_];
	ssize_t n = recv(d->control_fd, line, sizeof(line) - 1, MSG_DONTWAIT);
	const char *answer;

	if (n <= 0) {
		if (n == 0)
			loop_stop(d->loop, 0);
		return;
	}
	line[n] = '\0';
	answer = run(d, line);
	if (!answer)
		say(d, "ok");
	else if (*answer)
		say(d, answer);
}

/* --- what the daemon does unasked --- */

static void on_watch(struct timer *t)
{
	struct fake_daemon *d = container_of(t, struct fake_daemon, watch);
	char line[64], address[ADDR_STR_MAX];

	fake_log_clear(d->fk);
	for (; d->links_told < fake_links(d->fk); d->links_told++) {
		const struct fake_link *l = fake_link(d->fk, d->links_told);

		if (l->incoming)
			continue;
		(void)snprintf(line, sizeof(line), "attempt %zu %u %s %s", d->links_told, l->index,
			       addr_format(&l->peer, address), addr_type_name(l->peer.type));
		say(d, line);
	}
	timer_start(t, POLL_US);
}

static void on_settled(void *data)
{
	struct fake_daemon *d = data;

	if (bus_request_name(d->bus) < 0)
		loop_stop(d->loop, 1);
}

static void on_adapter_added(struct adapter *adapter, void *data)
{
	bus_adapter_added(((struct fake_daemon *)data)->bus, adapter);
}

static void on_adapter_removed(struct adapter *adapter, void *data)
{
	bus_adapter_removed(((struct fake_daemon *)data)->bus, adapter);
}

static void on_failed(_unused_ int err, void *data)
{
	loop_stop(((struct fake_daemon *)data)->loop, 1);
}

static void on_name(int res, void *data)
{
	char line[32];

	(void)snprintf(line, sizeof(line), "name %d", res);
	say(data, line);
}

static void on_lost(_unused_ int err, void *data)
{
	loop_stop(((struct fake_daemon *)data)->loop, 3);
}

static void on_stopped(void *data)
{
	loop_stop(((struct fake_daemon *)data)->loop, 0);
}

static void on_signal(struct loop_io *io, _unused_ int ready)
{
	struct fake_daemon *d = container_of(io, struct fake_daemon, signals);
	struct signalfd_siginfo si;

	if (read(d->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		bus_cancel_calls(d->bus);
		manager_stop(d->manager, on_stopped, d);
	}
}

static void die(const char *what, int r)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "fakedaemon: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void watch_term(struct fake_daemon *d)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	die("signals", loop_io_init(&d->signals, d->loop, d->signal_fd, on_signal));
	die("signals", loop_io_set(&d->signals, LOOP_READ));
}

static void parse(int argc, char **argv, struct bus_config *config, struct fake_daemon *d)
{
	static const struct option longs[] = {
		{ "bus", required_argument, NULL, 'b' },	 { "control", required_argument, NULL, 'c' },
		{ "linger-ms", required_argument, NULL, 'l' },	 { "calls", required_argument, NULL, 1 },
		{ "scanners", required_argument, NULL, 2 },	 { "connections", required_argument, NULL, 3 },
		{ "subscriptions", required_argument, NULL, 4 }, { "streams", required_argument, NULL, 5 },
		{ "applications", required_argument, NULL, 6 },	 { "advertisers", required_argument, NULL, 7 },
		{ "debug", no_argument, NULL, 'd' },		 { NULL, 0, NULL, 0 },
	};
	uint32_t *limits[] = { NULL, &config->calls, &config->scanners, &config->connections, &config->subscriptions,
			       &config->streams, &config->applications, &config->advertisers };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'b')
			config->address = optarg;
		else if (c == 'c')
			d->control_fd = atoi(optarg);
		else if (c == 'l')
			config->linger_ms = (uint32_t)atoi(optarg);
		else if (c == 'd')
			log_set_level(LOG_LEVEL_DEBUG);
		else if (c >= 1 && c < (int)ARRAY_SIZE(limits))
			*limits[c] = (uint32_t)atoi(optarg);
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	static const struct manager_events manager_events = {
		.adapter_added = on_adapter_added,
		.adapter_removed = on_adapter_removed,
		.settled = on_settled,
		.failed = on_failed,
	};
	static const struct bus_events bus_events = { .name = on_name, .lost = on_lost };
	static const struct manager_config manager_config = { 0 };
	struct bus_config config = { .version = "0.0.1",
				     .linger_ms = 30000,
				     .calls = 64,
				     .scanners = 8,
				     .advertisers = 8,
				     .connections = 32,
				     .subscriptions = 256,
				     .streams = 32,
				     .applications = 8 };
	static const struct fake_controller controller = { .addr = "00:11:22:33:44:00" };
	struct fake_daemon d = { .control_fd = -1, .signal_fd = -1 };
	int r;

	parse(argc, argv, &config, &d);
	(void)signal(SIGPIPE, SIG_IGN);
	die("loop", loop_new(&d.loop));
	watch_term(&d);
	timer_init(&d.watch, d.loop, on_watch);
	d.fk = fake_kernel_new(d.loop);
	fake_adapter_plug(d.fk, 0, &controller);
	die("manager", manager_new(d.loop, fake_kernel_table(d.fk), &manager_config, &manager_events, &d, &d.manager));
	die("bus", bus_new(d.loop, d.manager, &config, &bus_events, &d, &d.bus));
	die("control", loop_io_init(&d.control, d.loop, d.control_fd, on_control));
	die("control", loop_io_set(&d.control, LOOP_READ));
	timer_start(&d.watch, POLL_US);
	r = loop_run(d.loop);

	timer_stop(&d.watch);
	d.bus = bus_free(d.bus);
	d.manager = manager_free(d.manager);
	fake_kernel_free(d.fk);
	loop_io_deinit(&d.control);
	loop_io_deinit(&d.signals);
	closep(&d.signal_fd);
	d.loop = loop_free(d.loop);
	return r < 0 ? 1 : r;
}
