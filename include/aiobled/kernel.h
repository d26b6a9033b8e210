/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door to the kernel: every socket the daemon opens to it comes through one of these calls. Engines take the table
 * as an argument, so that tests put socketpairs behind it; kernel_linux is the real one.
 */
#pragma once

#include <stdint.h>

#include "aiobled/addr.h"

struct kernel {
	/** mgmt() - the control channel: SOCK_RAW, HCI_CHANNEL_CONTROL. Return: fd or -errno. */
	int (*mgmt)(const struct kernel *k);

	/**
	 * hci() - raw channel of hciN, its filter set to the events of hci_chan.h
	 *
	 * Return: fd; -EPERM when CAP_NET_RAW is missing (the filter, read back, lacks LE Meta); or another -errno.
	 */
	int (*hci)(const struct kernel *k, uint16_t index);

	/** blocked() - does rfkill block hciN? Return: 1 or 0; or -errno when that cannot be told. */
	int (*blocked)(const struct kernel *k, uint16_t index);

	/**
	 * att_connect() - start a non-blocking connect of the ATT fixed channel
	 * @local: identity address of the adapter (bound; never "any")
	 * @peer:  whom to connect
	 *
	 * The receive MTU is 517 and the receive buffer is forced to 1 MiB before the connect (linux.md: unread PDUs are lost);
	 * the send buffer holds some 50 short PDUs, so that values do not grow old in it.
	 *
	 * Return: fd, connected or connecting (writable when decided: att_connect_result()); or -errno: -EBUSY while a
	 * channel to the peer exists, -EHOSTUNREACH for an unknown adapter address or one that is off.
	 */
	int (*att_connect)(const struct kernel *k, const struct addr *local, const struct addr *peer);

	/** att_connect_result() - after the fd became writable: 0 or -errno */
	int (*att_connect_result)(const struct kernel *k, int fd);

	/**
	 * att_listen() - take the ATT fixed channel of every link that peers make to us
	 * @local: identity address of the adapter (bound; never "any")
	 *
	 * MTUs and buffers of what is accepted are those of att_connect(). Of several listeners, also of other
	 * programs, the newest gets all links. It says nothing when its adapter goes, and is of no use after that.
	 *
	 * Return: fd, readable when att_accept() has something; or -errno.
	 */
	int (*att_listen)(const struct kernel *k, const struct addr *local);

	/**
	 * att_accept() - the channel of the next link
	 * @fd: of att_listen()
	 * @ret_peer: its identity address when the kernel knows that, else the one on the air
	 *
	 * The link may be down by now: then att_handle() fails, or the first read does.
	 *
	 * Return: fd, connected and non-blocking; -EAGAIN: nothing there; or another -errno, of the listener or of this one channel.
	 */
	int (*att_accept)(const struct kernel *k, int fd, struct addr *ret_peer);

	/** att_handle() - HCI connection handle behind a connected channel. Return: 0 or -errno. */
	int (*att_handle)(const struct kernel *k, int fd, uint16_t *ret_handle);

	/** att_security() - level 1 none, 2 encrypted, 3 authenticated, 4 authenticated Secure Connections; key size in bytes */
	int (*att_security)(const struct kernel *k, int fd, uint8_t *ret_level, uint8_t *ret_key_size);
};

extern const struct kernel kernel_linux;

/**
 * kernel_fault() - a known fault of the running kernel
 *
 * Return: a sentence for people (static), or NULL.
 */
const char *kernel_fault(void);

/** kernel_fault_of() - the same for a given uname release and version string; for tests */
const char *kernel_fault_of(const char *release, const char *version);
