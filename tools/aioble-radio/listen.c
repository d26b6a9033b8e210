/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Foreign hosts. A client's controller comes and goes with its connection; a pty's stays when the program at the other
 * end goes, and is reset for the next.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "host.h"
#include "radio.h"

#define BACKLOG 16

struct client {
	struct list link;
	struct listen *listen;
	struct host *host;
};

struct listen {
	struct world *world;
	struct profile profile;
	char *path;
	int fd;
	struct loop_io io;
	struct list clients;
	size_t n;
};

/* --- clients --- */

static void client_free(struct client *c)
{
	list_del(&c->link);
	c->listen->n--;
	c->host = host_free(c->host);
	free(c);
}

static void on_ended(struct host *host, int err, const char *why)
{
	struct client *c = host_data(host);
	const char *name = host_controller(host)->radio.name;

	if (err)
		log_warning(name, "the host on %s is cut off: %s", c->listen->path, why);
	else
		log_debug(name, "%s", why);
	client_free(c);
}

static const struct host_ops client_ops = {.ended = on_ended};

static int client_new(struct listen *l, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	char name[AIR_RADIO_NAME_MAX];
	struct addr addr;
	int r;

	if (!c) {
		closep(&fd);
		return -ENOMEM;
	}
	addr = world_name(l->world, "client", name);
	r = host_new(world_air(l->world), name, &l->profile, &addr, fd, HOST_STREAM, &client_ops, c,
	             &c->host);
	if (r < 0) {
		free(c);
		return r;
	}
	c->listen = l;
	list_init(&c->link);
	list_add_tail(&l->clients, &c->link);
	l->n++;
	return 0;
}

static void on_accept(struct loop_io *io, int ready)
{
	struct listen *l = container_of(io, struct listen, io);
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

	if (fd < 0)
		return; /* it went before we looked */
	if (l->n >= LISTEN_CLIENTS_MAX) {
		log_warning(NULL, "%s: over %d hosts, one is turned away", l->path,
		            LISTEN_CLIENTS_MAX);
		closep(&fd);
		return;
	}
	r = client_new(l, fd);
	if (r < 0)
		log_warning(NULL, "%s: no controller for a host: %s", l->path, strerror(-r));
}

/* --- the socket --- */

static int remove_old_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 ? -errno : 0;
}

int listen_socket(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	r = remove_old_socket(path);
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

int listen_new(struct world *world, const char *path, const struct profile *profile,
               struct listen **ret)
{
	_cleanup_(listen_freep) struct listen *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct listen){.world = world, .profile = *profile, .fd = -1};
	list_init(&l->clients);
	l->fd = listen_socket(path);
	if (l->fd < 0)
		return l->fd;
	l->path = strdup(path);
	if (!l->path)
		return -ENOMEM;
	r = loop_io_init(&l->io, air_loop(world_air(world)), l->fd, on_accept);
	if (r == 0)
		r = loop_io_set(&l->io, LOOP_READ);
	if (r < 0)
		return r;
	*ret = steal(&l);
	return 0;
}

struct listen *listen_free(struct listen *l)
{
	struct client *c;

	if (!l)
		return NULL;
	while ((c = list_first(&l->clients, struct client, link)))
		client_free(c);
	loop_io_deinit(&l->io);
	if (l->path)
		(void)unlink(l->path); /* it may have been removed already */
	closep(&l->fd);
	free(l->path);
	free(l);
	return NULL;
}

const char *listen_path(const struct listen *l)
{
	return l->path;
}

bool listen_cut(struct listen *l, const struct controller *ctl)
{
	struct client *c;

	list_for_each (c, &l->clients, link) {
		if (host_controller(c->host) != ctl)
			continue;
		client_free(c);
		return true;
	}
	return false;
}

/* --- pty --- */

struct pty {
	struct world *world;
	struct profile profile;
	char *path;
	char terminal[64];
	int keep; /* the terminal's end: as long as it is open here, a program that closes its own is no hang-up */
	struct host *host;
};

static int pty_restart(struct pty *p);

static void on_pty_ended(struct host *host, int err, const char *why)
{
	struct pty *p = host_data(host);

	log_warning(host_controller(host)->radio.name, "the host on %s is cut off: %s", p->path,
	            why);
	p->host = host_free(p->host);
	if (pty_restart(p) < 0)
		log_error(NULL, "%s: no terminal any more", p->path);
}

static const struct host_ops pty_ops = {.ended = on_pty_ended};

static int set_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t) < 0 ? -errno : 0;
}

static int open_terminal(struct pty *p)
{
	_cleanup_(closep) int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 ||
	    ptsname_r(fd, p->terminal, sizeof(p->terminal)) != 0)
		return -errno;
	p->keep = open(p->terminal, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->keep < 0)
		return -errno;
	r = set_raw(p->keep);
	return r < 0 ? r : steal_fd(&fd);
}

static int put_link(const struct pty *p)
{
	struct stat st;

	if (lstat(p->path, &st) == 0) {
		if (!S_ISLNK(st.st_mode))
			return -EEXIST;
		if (unlink(p->path) < 0)
			return -errno;
	}
	return symlink(p->terminal, p->path) < 0 ? -errno : 0;
}

/* A terminal, its controller and the link to it, anew. */
static int pty_restart(struct pty *p)
{
	char name[AIR_RADIO_NAME_MAX];
	struct addr addr = world_name(p->world, "pty", name);
	int fd, r;

	closep(&p->keep);
	fd = open_terminal(p);
	if (fd < 0)
		return fd;
	r = host_new(world_air(p->world), name, &p->profile, &addr, fd, HOST_STREAM, &pty_ops, p,
	             &p->host);
	return r < 0 ? r : put_link(p);
}

int pty_new(struct world *world, const char *path, const struct profile *profile, struct pty **ret)
{
	_cleanup_(pty_freep) struct pty *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	*p = (struct pty){.world = world, .profile = *profile, .keep = -1, .path = strdup(path)};
	if (!p->path)
		return -ENOMEM;
	r = pty_restart(p);
	if (r < 0)
		return r;
	*ret = steal(&p);
	return 0;
}

const char *pty_path(const struct pty *p)
{
	return p->path;
}

struct pty *pty_free(struct pty *p)
{
	if (!p)
		return NULL;
	p->host = host_free(p->host);
	closep(&p->keep);
	if (p->path)
		(void)unlink(p->path); /* it may have been removed already */
	free(p->path);
	free(p);
	return NULL;
}
