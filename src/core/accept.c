/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links that peers make to us. The kernel puts the ATT channel of every such link into the queue of one listening socket per
 * adapter; here it becomes a conn, as soon as the controller has told of the link, too.
 *
 * The rule a reader would break first: an HCI handle is used again at once, and the channel of a new link may be accepted
 * before the end of the old one was read. So a channel is joined with an acl only when that acl has none yet and nobody wants
 * it gone; otherwise it waits for the controller's word, not for long.
 */
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/result.h"
#include "links_priv.h"

#define ACCEPTS_PER_PASS    16  /* then others have their turn */
#define ACCEPTS_WAITING_MAX 64  /* channels that wait for the controller's word; more are closed */
#define ACCEPT_FACTS_MS     100 /* how long one waits */
#define ACCEPT_RETRY_MS                                                                            \
	5000 /* between tries to listen, and to accept when the system has no more descriptors */
#define ACCEPT_STOLEN_US 600000000ull /* one line in so long */

/* A channel without an acl, yet. */
struct waiting {
	struct list link;
	struct links *links;
	int fd;
	uint16_t handle;
	struct addr peer;
	struct timer timer;
};

static void waiting_free(struct waiting *w)
{
	list_del(&w->link);
	w->links->accept.n_waiting--;
	timer_stop(&w->timer);
	closep(&w->fd);
	free(w);
}

/* --- a channel and a link make a conn --- */

static bool is_unwanted(const struct acl *acl)
{
	return acl->leaving || timer_armed(&acl->late);
}

/* The controller tells the address on the air, the kernel the one behind it: only what is no private one can be compared. */
static bool is_same_peer(const struct acl *acl, const struct addr *peer)
{
	return addr_equal(&acl->peer, peer) || addr_kind(&acl->peer) == ADDR_KIND_RESOLVABLE;
}

static struct acl *acl_for(struct links *links, uint16_t handle, const struct addr *peer)
{
	struct acl *acl = acl_find(links, handle);

	return acl && !acl->conn && is_same_peer(acl, peer) ? acl : NULL;
}

static void refuse(struct links *links, const struct addr *peer, const char *why)
{
	char text[ADDR_STR_MAX];

	links->adapter->stats.accept_failures++;
	log_debug(links->adapter->name, "link from %s not taken: %s", addr_format(peer, text), why);
}

/* @fd is taken. */
static void make_conn(struct links *links, int fd, struct acl *acl, const struct addr *peer)
{
	struct conn *conn;
	char text[RES_TEXT_MAX];
	int r = conn_new(links, fd, acl, peer, &CONNECT_PARAMS_DEFAULT, &conn);

	if (r < 0) {
		refuse(links, peer, res_text(r, text, sizeof(text)));
		acl_drop_late(acl);
		return;
	}
	links->adapter->stats.accepts++;
	conn_announce(conn);
	adapter_changed(links->adapter);
	connect_adopt(links, conn); /* last: its callers may do anything */
}

/* --- channels that wait --- */

/* The controller has said nothing new. @fd is taken. */
static void make_conn_alone(struct links *links, int fd, uint16_t handle, const struct addr *peer)
{
	struct acl *acl = acl_find(links, handle);

	if (acl)
		links_acl_gone(acl, 0); /* an earlier link's: its end was missed */
	acl = acl_new(links, handle, peer, false);
	if (acl)
		acl->established = true;
	if (acl && !links_is_full(links, peer)) {
		make_conn(links, fd, acl, peer);
		return;
	}
	closep(&fd);
	refuse(links, peer, "no place");
	if (acl)
		acl_drop_late(acl);
}

static void on_waited(struct timer *t)
{
	struct waiting *w = container_of(t, struct waiting, timer);
	const struct kernel *kernel = w->links->adapter->kernel;
	struct acl *acl = acl_find(w->links, w->handle);
	struct links *links = w->links;
	struct addr peer = w->peer;
	uint16_t handle;
	int fd;

	if (kernel->att_handle(kernel, w->fd, &handle) < 0) {
		refuse(links, &peer, "it is down again");
		waiting_free(w);
	} else if (acl && is_unwanted(acl)) {
		refuse(links, &peer, "it is being ended");
		waiting_free(w);
	} else {
		fd = steal_fd(&w->fd);
		waiting_free(w);
		make_conn_alone(links, fd, handle, &peer);
	}
}

static void wait_for_facts(struct links *links, int fd, uint16_t handle, const struct addr *peer)
{
	struct waiting *w = NULL;

	if (links->accept.n_waiting < ACCEPTS_WAITING_MAX)
		w = calloc(1, sizeof(*w));
	if (!w) { /* the kernel drops a link without a user after 4 s */
		closep(&fd);
		refuse(links, peer, "too many at once");
		return;
	}
	*w = (struct waiting){.links = links, .fd = fd, .handle = handle, .peer = *peer};
	timer_init(&w->timer, links->adapter->loop, on_waited);
	timer_start_ms(&w->timer, ACCEPT_FACTS_MS);
	list_add_tail(&links->accept.waiting, &w->link);
	links->accept.n_waiting++;
}

/* One that nobody wants stays until its time is over: by then it is known whose channel it is. */
void accept_link_up(struct links *links, uint16_t handle)
{
	struct waiting *w;
	struct acl *acl;
	struct addr peer;
	int fd;

	list_for_each (w, &links->accept.waiting, link) {
		acl = w->handle == handle ? acl_for(links, handle, &w->peer) : NULL;
		if (!acl || is_unwanted(acl))
			continue;
		peer = w->peer;
		fd = steal_fd(&w->fd);
		waiting_free(w);
		make_conn(links, fd, acl, &peer);
		return;
	}
}

/* --- the listener --- */

/* @fd is taken. */
static void accepted(struct links *links, int fd, const struct addr *peer)
{
	const struct kernel *kernel = links->adapter->kernel;
	struct acl *acl;
	uint16_t handle;

	if (kernel->att_handle(kernel, fd, &handle) < 0) {
		closep(&fd);
		refuse(links, peer, "it is down again");
		return;
	}
	acl = acl_for(links, handle, peer);
	if (!acl) {
		wait_for_facts(links, fd, handle, peer);
	} else if (is_unwanted(acl)) {
		closep(&fd);
		refuse(links, peer, "it is being ended");
	} else {
		make_conn(links, fd, acl, peer);
	}
}

static void close_listener(struct links *links)
{
	loop_io_deinit(&links->accept.io);
	closep(&links->accept.fd);
	links->accept.fd = -1;
}

/* Is it about one link only? */
static bool is_passing(int err)
{
	return err == -ECONNABORTED || err == -ENOTCONN || err == -EAFNOSUPPORT || err == -EINTR;
}

static void on_listener_failed(struct links *links, const char *what, int err)
{
	char text[RES_TEXT_MAX];

	if (!links->accept.told)
		log_warning(links->adapter->name,
		            "%s: %s; peers cannot connect, trying again every %u s", what,
		            res_text(err, text, sizeof(text)), ACCEPT_RETRY_MS / 1000);
	links->accept.told = true;
	timer_start_ms(&links->accept.retry, ACCEPT_RETRY_MS);
}

/* Without descriptors the queue stays as it is; whatever else is wrong, a new listener is right. */
static void on_accept_failed(struct links *links, int err)
{
	if (err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS)
		(void)loop_io_set(&links->accept.io, 0); /* nothing can fail that is taken away */
	else
		close_listener(links);
	on_listener_failed(links, "accepting links", err);
}

static void on_listener(struct loop_io *io, _unused_ int ready)
{
	struct links *links = container_of(io, struct links, accept.io);
	const struct kernel *kernel = links->adapter->kernel;
	struct addr peer;
	int fd;

	/* what is told of a link may bring the adapter down, and the listener with it */
	for (unsigned int i = 0; i < ACCEPTS_PER_PASS && links->accept.fd >= 0; i++) {
		fd = kernel->att_accept(kernel, links->accept.fd, &peer);
		if (fd >= 0) {
			links->accept.told = false;
			accepted(links, fd, &peer);
		} else if (fd == -EAGAIN) {
			return;
		} else if (is_passing(fd)) {
			links->adapter->stats.accept_failures++;
		} else {
			on_accept_failed(links, fd);
			return;
		}
	}
}

static void open_listener(struct links *links)
{
	struct adapter *adapter = links->adapter;
	int r = adapter->kernel->att_listen(adapter->kernel, &adapter->addr);

	if (r >= 0) {
		links->accept.fd = r;
		r = loop_io_init(&links->accept.io, adapter->loop, r, on_listener);
	}
	if (r == 0)
		r = loop_io_set(&links->accept.io, LOOP_READ);
	if (r < 0) {
		close_listener(links);
		on_listener_failed(links, "listening for links", r);
		return;
	}
	if (links->accept.told)
		log_notice(adapter->name, "peers can connect again");
	links->accept.told = false;
}

static void on_retry(struct timer *t)
{
	struct links *links = container_of(t, struct links, accept.retry);

	if (links->accept.fd < 0 || loop_io_set(&links->accept.io, LOOP_READ) < 0) {
		close_listener(links);
		open_listener(links);
	}
}

/* The newest listener gets the links: there is one that is newer than ours. With a newer one the next links are ours again. */
void accept_missed(struct acl *acl)
{
	struct links *links = acl->links;
	const struct waiting *w;
	unsigned int before;

	list_for_each (w, &links->accept.waiting, link)
		if (w->handle == acl->handle)
			return;
	if (links->accept.fd < 0 || timer_armed(&links->accept.retry) || is_unwanted(acl))
		return; /* it may be in the queue, which is not read */
	if (log_limit_pass(&links->accept.stolen, loop_now_us(links->adapter->loop), &before))
		log_warning(links->adapter->name,
		            "another program took the channel of a link (%u before it)", before);
	close_listener(links);
	open_listener(links);
}

/* --- life --- */

void accept_init(struct links *links)
{
	links->accept.stolen = (struct log_limit){.interval_us = ACCEPT_STOLEN_US, .burst = 1};
	links->accept.fd = -1;
	list_init(&links->accept.waiting);
	timer_init(&links->accept.retry, links->adapter->loop, on_retry);
}

void accept_up(struct links *links)
{
	accept_down(links);
	links->accept.told = false;
	open_listener(links);
}

void accept_down(struct links *links)
{
	struct waiting *w;

	timer_stop(&links->accept.retry);
	close_listener(links);
	while ((w = list_first(&links->accept.waiting, struct waiting, link)))
		waiting_free(w);
}
