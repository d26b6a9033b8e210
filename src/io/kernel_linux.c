/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real kernel behind struct kernel. Only what cannot be done over an open descriptor is here.
 * Every option is set before the bind or connect that freezes it; the order is the kernel's, and
 * its traps are in the comments.
 */
#include "aiobled/kernel.h"

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>
#include <bluetooth/l2cap.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "aiobled/cleanup.h"
#include "aiobled/hci_pdu.h"

#define ATT_CID         4
#define ATT_MTU         517
#define RCVBUF          (1024 * 1024) /* ATT and reports have no flow control: what does not fit is lost */
#define ATT_BACKLOG     128           /* links beyond it would be without a channel */
#define EVENT_BITS_MASK 63

/*
 * The kernel doubles it. It must be more than twice the longest PDU in the smallest ACL packets, 20 pieces that count for
 * nearly 1 KiB each: the socket is reported writable when half of it is free, and then a PDU must fit.
 */
#define ATT_SNDBUF (24 * 1024)

static inline void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir); /* only read */
}

static int bt_socket(int type, int proto)
{
	int fd = socket(AF_BLUETOOTH, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);

	return fd < 0 ? -errno : fd;
}

static void grow_rcvbuf(int fd)
{
	int size = RCVBUF;

	/* without CAP_NET_ADMIN the system's limit is what there is: fewer packets fit, nothing
	 * else changes */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

/*
 * What lies in the kernel cannot be replaced by a newer value, and a few dozen PDUs keep a link
 * busy. Without it values are older when they arrive, nothing else.
 */
static void limit_sndbuf(int fd)
{
	int size = ATT_SNDBUF;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int bind_hci(int fd, uint16_t dev, uint16_t channel)
{
	struct sockaddr_hci sa = {
		.hci_family = AF_BLUETOOTH, .hci_dev = dev, .hci_channel = channel};

	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

static int linux_mgmt(_unused_ const struct kernel *k)
{
	_cleanup_(closep) int fd = bt_socket(SOCK_RAW, BTPROTO_HCI);
	int r;

	if (fd < 0)
		return fd;
	grow_rcvbuf(fd);
	r = bind_hci(fd, HCI_DEV_NONE, HCI_CHANNEL_CONTROL);
	return r < 0 ? r : steal_fd(&fd);
}

/* The kernel looks at the low six bits of the event code only. */
static struct hci_filter make_filter(void)
{
	static const uint8_t events[] = {HCIP_EV_DISCONNECTED,   HCIP_EV_ENCRYPTION_CHANGE,
	                                 HCIP_EV_CMD_COMPLETE,   HCIP_EV_CMD_STATUS,
	                                 HCIP_EV_HARDWARE_ERROR, HCIP_EV_KEY_REFRESH,
	                                 HCIP_EV_LE_META,        HCIP_EV_ENCRYPTION_CHANGE_V2};
	struct hci_filter f = {.type_mask = 1u << HCIP_PKT_EVENT};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		unsigned int bit = events[i] & EVENT_BITS_MASK;

		f.event_mask[bit / 32] |= 1u << bit % 32;
	}
	return f;
}

/* Without CAP_NET_RAW the kernel takes the filter and silently removes events from it: only reading
 * it back tells. */
static int set_filter(int fd)
{
	struct hci_filter want = make_filter(), got = {0};
	socklen_t len = sizeof(got);

	if (setsockopt(fd, SOL_HCI, HCI_FILTER, &want, sizeof(want)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_HCI, HCI_FILTER, &got, &len) < 0)
		return -errno;
	if ((got.event_mask[0] & want.event_mask[0]) != want.event_mask[0] ||
	    (got.event_mask[1] & want.event_mask[1]) != want.event_mask[1])
		return -EPERM;
	return 0;
}

static int linux_hci(_unused_ const struct kernel *k, uint16_t index)
{
	_cleanup_(closep) int fd = bt_socket(SOCK_RAW, BTPROTO_HCI);
	int r;

	if (fd < 0)
		return fd;
	grow_rcvbuf(fd);
	r = bind_hci(fd, index, HCI_CHANNEL_RAW);
	if (r == 0)
		r = set_filter(fd);
	return r < 0 ? r : steal_fd(&fd);
}

/* Return: the number of the controller's entry in /sys/class/rfkill, or -errno */
static int rfkill_number(uint16_t index)
{
	char path[64];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	int n;

	(void)snprintf(path, sizeof(path), "/sys/class/bluetooth/hci%u", index);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (sscanf(entry->d_name, "rfkill%d", &n) == 1)
			return n;
	return -ENOENT;
}

/* Return: 0 or 1, the content of a file in sysfs; or -errno */
static int read_flag(int rfkill, const char *name)
{
	char path[64], c;
	_cleanup_(closep) int fd = -1;

	(void)snprintf(path, sizeof(path), "/sys/class/rfkill/rfkill%d/%s", rfkill, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, &c, 1) != 1)
		return -EIO;
	return c == '1';
}

/* Two small files of sysfs, which live in memory; asked for rarely. */
static int linux_blocked(_unused_ const struct kernel *k, uint16_t index)
{
	int n = rfkill_number(index);
	int soft, hard;

	if (n < 0)
		return n;
	soft = read_flag(n, "soft");
	hard = read_flag(n, "hard");
	if (soft < 0 || hard < 0)
		return soft < 0 ? soft : hard;
	return soft || hard;
}

static struct sockaddr_l2 att_sockaddr(const struct addr *addr)
{
	struct sockaddr_l2 sa = {.l2_family = AF_BLUETOOTH,
	                         .l2_cid = htobs(ATT_CID),
	                         .l2_bdaddr_type = addr_type_to_mgmt(addr->type)};

	memcpy(sa.l2_bdaddr.b, addr->b, ADDR_LEN);
	return sa;
}

/* Frozen by connect(); a PDU over the receive MTU would be dropped silently, the default is 672 for
 * both. */
static int set_mtus(int fd)
{
	uint16_t mtu = ATT_MTU;

	if (setsockopt(fd, SOL_BLUETOOTH, BT_RCVMTU, &mtu, sizeof(mtu)) < 0 ||
	    setsockopt(fd, SOL_BLUETOOTH, BT_SNDMTU, &mtu, sizeof(mtu)) < 0)
		return -errno;
	return 0;
}

/* Bound to the adapter: left open, the kernel would take any. */
static int att_socket(const struct addr *local)
{
	struct sockaddr_l2 here = att_sockaddr(local);
	_cleanup_(closep) int fd = bt_socket(SOCK_SEQPACKET, BTPROTO_L2CAP);
	int r;

	if (fd < 0)
		return fd;
	grow_rcvbuf(fd);
	limit_sndbuf(fd);
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0)
		return -errno;
	r = set_mtus(fd);
	return r < 0 ? r : steal_fd(&fd);
}

static int linux_att_connect(_unused_ const struct kernel *k, const struct addr *local,
                             const struct addr *peer)
{
	struct sockaddr_l2 there = att_sockaddr(peer);
	_cleanup_(closep) int fd = att_socket(local);

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&there, sizeof(there)) < 0 && errno != EINPROGRESS)
		return -errno;
	return steal_fd(&fd);
}

static int linux_att_listen(_unused_ const struct kernel *k, const struct addr *local)
{
	_cleanup_(closep) int fd = att_socket(local);

	if (fd < 0)
		return fd;
	return listen(fd, ATT_BACKLOG) < 0 ? -errno : steal_fd(&fd);
}

/* What accept() says of the peer is what getpeername() says. */
static int linux_att_accept(_unused_ const struct kernel *k, int fd, struct addr *ret_peer)
{
	struct sockaddr_l2 peer = {0};
	socklen_t len = sizeof(peer);
	_cleanup_(closep) int taken =
		accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	uint8_t type;

	if (taken < 0)
		return -errno;
	if (addr_type_from_mgmt(peer.l2_bdaddr_type, &type) < 0)
		return -EAFNOSUPPORT;
	grow_rcvbuf(taken); /* of the listener's options it has the MTUs only */
	limit_sndbuf(taken);
	*ret_peer = addr_from_bytes(peer.l2_bdaddr.b, type);
	return steal_fd(&taken);
}

static int linux_att_connect_result(_unused_ const struct kernel *k, int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}

static int linux_att_handle(_unused_ const struct kernel *k, int fd, uint16_t *ret_handle)
{
	struct l2cap_conninfo info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_L2CAP, L2CAP_CONNINFO, &info, &len) < 0)
		return -errno;
	*ret_handle = info.hci_handle;
	return 0;
}

static int linux_att_security(_unused_ const struct kernel *k, int fd, uint8_t *ret_level,
                              uint8_t *ret_key_size)
{
	struct bt_security sec = {0};
	socklen_t len = sizeof(sec);

	if (getsockopt(fd, SOL_BLUETOOTH, BT_SECURITY, &sec, &len) < 0)
		return -errno;
	/* the kernel says 0 ("SDP") for a link nobody asked anything of */
	*ret_level = MAX(sec.level, (uint8_t)BT_SECURITY_LOW);
	*ret_key_size = sec.key_size;
	return 0;
}

const struct kernel kernel_linux = {
	.mgmt = linux_mgmt,
	.hci = linux_hci,
	.blocked = linux_blocked,
	.att_connect = linux_att_connect,
	.att_connect_result = linux_att_connect_result,
	.att_listen = linux_att_listen,
	.att_accept = linux_att_accept,
	.att_handle = linux_att_handle,
	.att_security = linux_att_security,
};

/* --- faults of kernels --- */

struct version {
	unsigned int major, minor, patch;
};

static bool parse_version(const char *s, struct version *ret)
{
	return sscanf(s, "%u.%u.%u", &ret->major, &ret->minor, &ret->patch) == 3;
}

/* Debian's release names the ABI ("6.1.0-50-amd64"); the source's version stands in the version
 * string. */
static bool source_version(const char *release, const char *version, struct version *ret)
{
	const char *debian = strstr(version, "Debian ");

	if (debian && parse_version(debian + strlen("Debian "), ret))
		return true;
	return parse_version(release, ret);
}

const char *kernel_fault_of(const char *release, const char *version)
{
	struct version v;

	if (!source_version(release, version, &v))
		return NULL;
	if (v.major == 6 && v.minor == 1 && v.patch >= 187 && v.patch <= 192)
		return "Linux 6.1.187 to 6.1.192 use freed memory whenever a Bluetooth socket is "
		       "closed after its link "
		       "has gone: boot another one, such as 6.12";
	return NULL;
}

const char *kernel_fault(void)
{
	struct utsname u;

	return uname(&u) < 0 ? NULL : kernel_fault_of(u.release, u.version);
}
