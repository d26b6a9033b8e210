/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A peripheral that does what it is told, right or wrong: options, bringing up the controller, and
 * standard input, where a test changes the script while it runs. The language is described in
 * tests/peers/README.md.
 *
 * Of the daemon's code it uses the loop, the lists and the byte cursors, and nothing that knows
 * Bluetooth.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "script.h"

enum {
	CID_ATT = 4,
	CID_SIGNALLING = 5,
	CID_SMP = 6,
	INPUT_MAX = 1 << 20,
};

struct app {
	struct peer peer;
	struct loop *loop;
	struct hci *hci;
	struct loop_io input, signals;
	int signal_fd;
	char *line;
	size_t line_len;
	struct json_object *config;
	uint8_t address[6];
	bool configured, ready;
	struct hci_link_info link;
};

static const char usage[] =
	"usage: scripted-peer (--device N | --socket PATH) [--script FILE] [--set JSON] [--trace]\n"
	"  --device N     take hciN through its user channel; it must be down\n"
	"  --socket PATH  a controller of its own behind btvirt's H4 socket, e.g. "
	"/tmp/bt-server-le\n"
	"  --script FILE  settings, rules and steps as one JSON object\n"
	"  --set JSON     the same on the command line, after the file\n"
	"  --trace        log every PDU\n"
	"Further objects, one a line, are taken from standard input while it runs.\n";

static void address_text(const uint8_t *a, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%02x:%02x:%02x:%02x:%02x:%02x", a[5], a[4], a[3], a[2], a[1],
	               a[0]);
}

/* --- bringing up the controller --- */

static void bring_up(struct app *app)
{
	static const uint8_t all_events[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f};
	static const uint8_t le_host[2] = {1, 0};

	hci_command(app->hci, 0x0c03, NULL, 0);
	hci_command(app->hci, 0x1002, NULL, 0);
	hci_command(app->hci, 0x1009, NULL, 0);
	hci_command(app->hci, 0x0c01, all_events, sizeof(all_events));
	hci_command(app->hci, 0x0c6d, le_host,
	            sizeof(le_host)); /* refused by LE-only ones, which need none */
	hci_command(app->hci, 0x2001, all_events, sizeof(all_events));
	hci_command(app->hci, 0x2002, NULL, 0);
}

static void on_complete(void *data, uint16_t opcode, const uint8_t *ret, size_t len)
{
	struct app *app = data;

	switch (opcode) {
	case 0x1002: /* the extended commands are used when their parameters and enable exist, as
	                the kernel decides */
		app->peer.adv.extended_commands = len > 37 && (ret[1 + 36] & 0x22) == 0x22;
		break;
	case 0x1009:
		if (len >= 7)
			memcpy(app->address, ret + 1, 6);
		break;
	default:
		if (ret[0] && (opcode & 0xfc00) == 0x2000 && opcode != 0x200a && opcode != 0x2039)
			say("bad what=command opcode=0x%04x status=0x%02x", opcode, ret[0]);
		break;
	}
}

static void say_ready(struct app *app)
{
	const struct adv *adv = &app->peer.adv;
	char text[18];

	address_text(adv->random ? adv->address : app->address, text, sizeof(text));
	say("ready address=%s type=%s commands=%s attributes=%zu", text,
	    adv->random ? "random" : "public", adv->extended_commands ? "extended" : "legacy",
	    app->peer.db.n);
	app->ready = true;
}

/* The script is applied when the controller is known; it is ready when everything it asked for has
 * been done. */
static void on_idle(void *data)
{
	struct app *app = data;

	if (!app->ready && hci_busy(app->hci))
		return;
	if (!app->configured) {
		struct json_object *v;

		app->configured = true;
		if (script_apply(&app->peer, app->config) < 0) {
			loop_stop(app->loop, 1);
			return;
		}
		if (!json_object_object_get_ex(app->config, "advertise", &v)) {
			v = json_object_new_object();
			(void)adv_apply(&app->peer.adv, v); /* the defaults are good */
			json_object_put(v);
		}
		if (hci_busy(app->hci))
			return;
	}
	if (!app->ready)
		say_ready(app);
	adv_idle(&app->peer.adv);
}

/* --- the link --- */

static void on_connected(void *data, const struct hci_link_info *link)
{
	struct app *app = data;
	char text[18];

	app->link = *link;
	address_text(link->address, text, sizeof(text));
	say("connected address=%s type=%s link=%u", text, link->address_type ? "random" : "public",
	    link->handle);
	script_link(&app->peer, true);
	adv_link(&app->peer.adv, true);
	script_event(&app->peer, "connect");
}

static void on_occupied(void *data, uint16_t handle)
{
	say("occupied link=%u", handle);
}

static void on_disconnected(void *data, uint8_t reason)
{
	struct app *app = data;

	say("disconnected link=%u reason=0x%02x", app->link.handle, reason);
	script_link(&app->peer, false);
	script_event(&app->peer, "disconnect");
	adv_link(&app->peer.adv, false);
}

/* Requests on the other channels are refused, so that the central does not wait for a peer without
 * those layers. */
static void refuse_signalling(struct app *app, const uint8_t *frame, size_t len)
{
	uint8_t rsp[6] = {0x01, len > 1 ? frame[1] : 0, 2, 0, 0, 0};

	if (len >= 4 && frame[0] % 2 == 0)
		hci_send(app->hci, CID_SIGNALLING, rsp, sizeof(rsp));
}

static void on_frame(void *data, uint16_t cid, const uint8_t *frame, size_t len)
{
	struct app *app = data;

	switch (cid) {
	case CID_ATT:
		script_pdu(&app->peer, frame, len);
		break;
	case CID_SIGNALLING:
		refuse_signalling(app, frame, len);
		break;
	case CID_SMP:
		if (len && frame[0] == 0x01)
			hci_send(app->hci, CID_SMP, "\x05\x05",
			         2); /* Pairing Failed, not supported */
		break;
	default:
		break;
	}
}

static void on_room(void *data)
{
	struct app *app = data;

	script_room(&app->peer);
}

static void on_gone(void *data, int err)
{
	struct app *app = data;

	say("failed what=controller error=%s", strerror(-err));
	loop_stop(app->loop, 1);
}

static const struct hci_user hci_user = {
	.complete = on_complete,
	.idle = on_idle,
	.connected = on_connected,
	.disconnected = on_disconnected,
	.occupied = on_occupied,
	.frame = on_frame,
	.room = on_room,
	.gone = on_gone,
};

/* --- standard input and signals --- */

static void on_line(struct app *app, const char *line)
{
	struct json_object *o;

	if (!*line)
		return;
	o = json_tokener_parse(line);
	if (!json_object_is_type(o, json_type_object))
		say("bad what=input");
	else
		(void)script_apply(&app->peer, o); /* it has said what it did not like */
	json_object_put(o);
}

static void on_input(struct loop_io *io, int ready)
{
	struct app *app = container_of(io, struct app, input);
	ssize_t n = read(STDIN_FILENO, app->line + app->line_len, INPUT_MAX - 1 - app->line_len);
	char *end;

	if (n <= 0) {
		(void)loop_io_set(io, 0); /* nobody directs us any more: go on as before */
		return;
	}
	app->line_len += n;
	app->line[app->line_len] = '\0';
	while ((end = strchr(app->line, '\n'))) {
		*end = '\0';
		on_line(app, app->line);
		app->line_len -= end + 1 - app->line;
		memmove(app->line, end + 1, app->line_len + 1);
	}
}

static void on_signal(struct loop_io *io, int ready)
{
	loop_stop(container_of(io, struct app, signals)->loop, 0);
}

static int watch_signals(struct app *app)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	app->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (app->signal_fd < 0)
		return -errno;
	if (loop_io_init(&app->signals, app->loop, app->signal_fd, on_signal) < 0)
		return -ENOMEM;
	return loop_io_set(&app->signals, LOOP_READ);
}

static int watch_input(struct app *app)
{
	struct stat st;

	app->line = malloc(INPUT_MAX);
	if (!app->line)
		return -ENOMEM;
	if (fstat(STDIN_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		return 0; /* only a pipe directs us */
	if (loop_io_init(&app->input, app->loop, STDIN_FILENO, on_input) < 0)
		return -ENOMEM;
	return loop_io_set(&app->input, LOOP_READ);
}

/* --- options --- */

static int merge(struct json_object *into, struct json_object *from)
{
	if (!json_object_is_type(from, json_type_object)) {
		json_object_put(from);
		return -EINVAL;
	}
	json_object_object_foreach (from, key, value)
		json_object_object_add(into, key, json_object_get(value));
	json_object_put(from);
	return 0;
}

static int bad_option(const char *what)
{
	(void)fprintf(stderr, "scripted-peer: bad %s\n%s", what, usage);
	return 2;
}

static int run(struct app *app, int device, const char *socket)
{
	int r;

	r = socket ? hci_open_socket(app->loop, socket, &hci_user, app, &app->hci)
	           : hci_open_user(app->loop, device, &hci_user, app, &app->hci);
	if (r < 0) {
		say("failed what=open error=\"%s\"", strerror(-r));
		return 1;
	}
	app->peer.loop = app->loop;
	app->peer.hci = app->hci;
	adv_init(&app->peer.adv, app->hci, app->loop);
	script_init(&app->peer);
	if (watch_signals(app) < 0 || watch_input(app) < 0)
		return 1;
	bring_up(app);
	return loop_run(app->loop);
}

static void tear_down(struct app *app)
{
	if (app->hci) {
		script_deinit(&app->peer);
		adv_deinit(&app->peer.adv);
	}
	loop_io_deinit(&app->input);
	loop_io_deinit(&app->signals);
	app->hci = hci_free(app->hci);
	app->loop = loop_free(app->loop);
	json_object_put(app->config);
	free(app->line);
	if (app->signal_fd > 0)
		(void)close(app->signal_fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"device", required_argument, NULL, 'd'},
		{"socket", required_argument, NULL, 'S'},
		{"script", required_argument, NULL, 'f'},
		{"set", required_argument, NULL, 's'},
		{"trace", no_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static struct app app;
	const char *socket = NULL;
	int device = -1, c, r;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	app.config = json_object_new_object();
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			device = atoi(optarg);
			break;
		case 'S':
			socket = optarg;
			break;
		case 'f':
			if (merge(app.config, json_object_from_file(optarg)) < 0)
				return bad_option("script");
			break;
		case 's':
			if (merge(app.config, json_tokener_parse(optarg)) < 0)
				return bad_option("JSON");
			break;
		case 't':
			app.peer.trace = true;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return 0;
		default:
			return bad_option("option");
		}
	}
	if ((device < 0) == !socket || loop_new(&app.loop) < 0)
		return bad_option("controller");
	r = run(&app, device, socket);
	tear_down(&app);
	return r;
}
