/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/vhci: one open descriptor is one controller of the kernel, and closing it unplugs it. The first write asks for it;
 * the answer tells its index and has no fixed place among the commands that follow.
 */
#include "vhci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#define VHCI_PATH   "/dev/vhci"
#define PKT_VENDOR  0xff
#define TYPE_SIMPLE 0x00 /* a controller that needs no configuration and is not raw */

#define OPEN_ATTEMPTS 5

struct vhci {
	struct host *host;
	const struct vhci_ops *ops;
	void *data;
	int index; /* -EAGAIN: not told */
};

static bool on_vendor(struct host *host, const uint8_t *pkt, size_t len)
{
	struct vhci *v = host_data(host);
	struct rd r = rd_init(pkt, len);

	if (rd_u8(&r) != PKT_VENDOR)
		return false;
	(void)rd_u8(&r); /* the type, as asked for */
	v->index = rd_le16(&r);
	if (!rd_ok(&r))
		v->index = -EBADMSG;
	return true;
}

static void on_ended(struct host *host, int err, const char *why)
{
	struct vhci *v = host_data(host);

	v->ops->ended(v, err, why);
}

static const struct host_ops host_ops = {.ended = on_ended, .vendor = on_vendor};

/*
 * The driver makes a controller of its own choice, and refuses ours, when a second passes between open and request; on a
 * machine that stands still for so long that happens. Return: a descriptor, or -errno.
 */
static int open_controller(void)
{
	static const uint8_t create[] = {PKT_VENDOR, TYPE_SIMPLE};
	int fd, err;

	for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
		fd = open(VHCI_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (write(fd, create, sizeof(create)) == (ssize_t)sizeof(create))
			return fd;
		err = errno;
		close(fd);
		if (err != EBADFD)
			return -err;
	}
	return -EBADFD;
}

int vhci_new(struct air *air, const char *name, const struct profile *profile,
             const struct addr *public_addr, const struct vhci_ops *ops, void *data,
             struct vhci **ret)
{
	_cleanup_(vhci_freep) struct vhci *v = calloc(1, sizeof(*v));
	int fd, r;

	if (!v)
		return -ENOMEM;
	*v = (struct vhci){.ops = ops, .data = data, .index = -EAGAIN};
	fd = open_controller();
	if (fd < 0)
		return fd;
	r = host_new(air, name, profile, public_addr, fd, HOST_PACKETS, &host_ops, v, &v->host);
	if (r < 0)
		return r;
	*ret = steal(&v);
	return 0;
}

struct vhci *vhci_free(struct vhci *v)
{
	if (!v)
		return NULL;
	v->host = host_free(v->host);
	free(v);
	return NULL;
}

int vhci_index(const struct vhci *v)
{
	return v->index;
}

struct controller *vhci_controller(struct vhci *v)
{
	return host_controller(v->host);
}

void *vhci_data(struct vhci *v)
{
	return v->data;
}
