/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host on a bare controller: commands one at a time, L2CAP frames cut into ACL packets under the
 * controller's flow control, one link. No kernel stack is in the way, so whatever the script wants
 * on the air gets there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/loop.h"

enum {
	HCI_MAX_FRAME =
		4 + 1024, /* L2CAP header and the longest frame that is put together again */
};

struct hci;

struct hci_link_info {
	uint16_t handle;
	uint8_t address[6]; /* as on the wire, least significant byte first */
	uint8_t address_type;
};

struct hci_user {
	void (*complete)(void *data, uint16_t opcode, const uint8_t *ret,
	                 size_t len); /* ret[0] is the status */
	void (*idle)(void *data);     /* a command was answered: there is room for more */
	void (*connected)(void *data, const struct hci_link_info *link);
	void (*disconnected)(void *data, uint8_t reason);
	void (*frame)(void *data, uint16_t cid, const uint8_t *frame, size_t len);
	void (*occupied)(void *data, uint16_t handle);
	void (*room)(void *data); /* packets left; hci_queued() is smaller */
	void (*gone)(void *data, int err);
};

/** hci_open_user() - take hci@index through its user channel: it must be down. Return: 0 or -errno
 */
int hci_open_user(struct loop *loop, int index, const struct hci_user *user, void *data,
                  struct hci **ret);

/** hci_open_socket() - a controller of its own behind btvirt's H4 socket @path. Return: 0 or -errno
 */
int hci_open_socket(struct loop *loop, const char *path, const struct hci_user *user, void *data,
                    struct hci **ret);
struct hci *hci_free(struct hci *h);

/** hci_command() - queue a command; complete() follows with its Command Complete or Command Status
 */
void hci_command(struct hci *h, uint16_t opcode, const void *params, size_t len);
bool hci_busy(const struct hci *h);

/** hci_command_room() - commands that would be sent at once */
unsigned int hci_command_room(const struct hci *h);

/**
 * hci_set_window() - commands that may be with the controller at once (1 at first)
 *
 * Controllers allow one; emulated ones take any number, in order, and each hop costs an emulated machine a lot.
 */
void hci_set_window(struct hci *h, unsigned int window);

/** hci_send() - queue one L2CAP frame on the link; nothing happens without a link */
void hci_send(struct hci *h, uint16_t cid, const void *payload, size_t len);

/** hci_send_raw() - the same with the caller's own L2CAP header, right or wrong */
void hci_send_raw(struct hci *h, const void *frame, size_t len);

/** hci_queued() - ACL packets that wait for the controller */
size_t hci_queued(const struct hci *h);

/** hci_set_credits() - ACL packets that may be with the controller at once, instead of what it said
 */
void hci_set_credits(struct hci *h, unsigned int credits);

/**
 * hci_occupy() - connect to a public @address, as central, and leave that link alone
 *
 * btvirt tells both ends of a link the handle that the initiator's end has, and expects of each end its own: several links
 * of one central work only when every peripheral has as many links already as the central.
 */
void hci_occupy(struct hci *h, const uint8_t *address);

/** hci_disconnect() - end the link with @reason, if there is one; what is queued may be lost */
void hci_disconnect(struct hci *h, uint8_t reason);
