/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links of one adapter, from inside. Three nouns:
 *
 *  - struct acl (acl.c): a link as the controller tells of it, ours or not, from Connection Complete to Disconnection
 *    Complete. It knows how to end it.
 *  - struct attempt (connect.c): the wish for a link, with everybody who waits for it.
 *  - struct conn (conn.c): a link with a usable ATT channel, made by an attempt or by a peer (accept.c).
 *
 * links.c owns the lists and distributes the events. The sources of events (sockets, mgmt, raw channel) have no order among
 * each other; each of the three nouns waits briefly for what it lacks, and works without it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/conn.h"
#include "aiobled/hci_chan.h"
#include "aiobled/log.h"
#include "aiobled/mgmt.h"

struct adapter;
struct attempt;

#define ACLS_MAX                                                                                   \
	256 /* links remembered of a controller; it cannot have more handles in use in practice */
#define ACL_LATE_MS                                                                                \
	50 /* a link nobody wants any more is dropped that long after the controller's word: the kernel reads later */
#define ACL_VERIFY_MS                                                                              \
	50 /* the controller's word may follow mgmt's Device Disconnected; then the kernel is asked */
#define ACL_DROP_MS 1000 /* mgmt Disconnect that takes longer is helped with HCI Disconnect */
#define ACL_REASON_MS                                                                              \
	20 /* mgmt Disconnect is answered: how long the controller's reason is waited for */
#define ACL_CHANNEL_MS                                                                             \
	2000 /* a link that a peer made has a channel by then, longer intervals aside; else somebody else has it */
#define CANCELLED_MAX    64       /* peers remembered whose late link is to be dropped */
#define CANCELLED_MAX_US 25000000 /* the kernel gives up creating a connection after 20 s */
#define ESTABLISH_EVENTS                                                                           \
	6 /* Core 5.4, Vol 6, Part B, 4.5.2: without a packet for so long it is 0x3e */
#define CONN_REASON_MS 100 /* the channel is dead: how long the controller's reason is waited for */
#define CONN_DRAIN_MS                                                                              \
	100 /* the link is down: how long the channel may take to say so after its last PDU */
#define CONN_DROP_MS        2000 /* the channel died alone and the link is being dropped */
#define CONN_SECURITY_READS 3    /* after an event of encryption: at once, and in steps of */
#define CONN_SECURITY_MS    10
#define CONNECT_FACTS_MS                                                                           \
	100 /* the channel is usable: how long the controller's facts are waited for */
#define CONNECT_REASON_MS                                                                          \
	50 /* the channel failed: how long the controller's reason is waited for */
#define CONNECT_HOLD_MS                                                                            \
	5000 /* an earlier link to the peer that does not go: connect nevertheless */
#define CONNECT_AFTER_MS     10 /* after the controller's word that it went; the kernel reads later */
#define CONNECT_RETRY_MS     20 /* pause before another try; doubles */
#define CONNECT_RETRY_MAX_MS 1000
#define CONNECT_BUSY_MS                                                                            \
	3000 /* EBUSY for so long is not a socket of ours that is going away: somebody else has the channel */

#define BOND_ANSWERS_MAX 8 /* to the kernel's questions about pairings, at once */

struct links {
	struct adapter *adapter;
	struct list acls, attempts, conns;
	size_t n_acls, n_attempts;
	struct list cancelled;
	size_t n_cancelled;
	uint32_t links_max; /* learned from refusals; 0: not known */
	struct list stops;  /* ops of links_stop() */
	/* the last Connection Complete that failed and did not say for whom */
	uint8_t failure;
	uint64_t failure_us;
	/* accept.c: the listener for links that peers make */
	struct {
		int fd; /* -1: none */
		struct loop_io io;
		struct list waiting;
		size_t n_waiting;
		struct timer retry;
		bool told; /* that it does not work */
		struct log_limit stolen;
	} accept;
	/* bond.c */
	struct {
		struct list known;
		size_t n_known;
		struct mgmt_cmd answers[BOND_ANSWERS_MAX];
	} bond;
};

/* --- acl.c --- */

struct acl {
	struct list link;
	struct links *links;
	struct conn *conn; /* may be NULL */
	uint16_t handle;
	struct addr peer;
	bool central;
	bool established;                    /* the peer was heard on it: no 0x3e any more */
	bool leaving;                        /* being ended by us */
	bool down;                           /* so says mgmt; only the reason is still to come */
	uint16_t interval, latency, timeout; /* 1.25 ms, events, 10 ms; 0: not known */
	uint64_t up_us;
	uint8_t mgmt_reason;
	struct timer late, verify, slow, channel;
	struct mgmt_cmd drop_cmd, list_cmd;
	struct hci_cmd hci_cmd;
};

/** acl_new() - replaces one with the same handle. Return: NULL without memory, or beyond ACLS_MAX. */
struct acl *acl_new(struct links *links, uint16_t handle, const struct addr *peer, bool central);
struct acl *acl_free(struct acl *acl);
struct acl *acl_find(struct links *links, uint16_t handle);

/** acl_is_leaving() - is a link to @peer on its way down? */
bool acl_is_leaving(struct links *links, const struct addr *peer);

/** acl_drop() - end the link with reason 0x13; mgmt first, then HCI. links_acl_gone() follows. */
void acl_drop(struct acl *acl);

/** acl_drop_late() - the same, but the kernel may not know yet that the link is up */
void acl_drop_late(struct acl *acl);

/** acl_expect_channel() - a peer made it: its channel is about to be accepted, or accept_missed() follows */
void acl_expect_channel(struct acl *acl);

/** acl_disputed() - mgmt says that a link to the peer is down; unless the controller says so too, the kernel is asked */
void acl_disputed(struct acl *acl, uint8_t mgmt_reason);

/* --- links.c --- */

/** links_acl_gone() - it is down: tell its conn and the attempts, free it. @reason: HCI code, 0: not known. */
void links_acl_gone(struct acl *acl, uint8_t reason);

/** links_cancelled() - an attempt for @peer was given up while the kernel was at it: a late link is not wanted */
void links_cancelled(struct links *links, const struct addr *peer);

/** links_wanted() - it is wanted again */
void links_wanted(struct links *links, const struct addr *peer);

/** links_settled() - an attempt or a conn is gone: whoever waits in links_stop() may be through */
void links_settled(struct links *links);

/** links_is_full() - no place for a link to @peer, as configured */
bool links_is_full(const struct links *links, const struct addr *peer);

/* --- connect.c --- */

struct attempt {
	struct list link;
	struct links *links;
	struct addr peer;
	struct connect_params params;
	struct list waiters; /* struct connect_op by op.link */
	int state;           /* enum attempt_state */
	int fd;
	struct loop_io io;
	struct mgmt_cmd cmd;
	struct timer timer;
	uint16_t handle;    /* once the channel is usable */
	uint8_t hci_status; /* what the controller said of this try */
	int err;            /* what the channel said */
	unsigned int tries;
	uint64_t since_us, busy_since_us;
};

/** connect_link_up() - Connection Complete or the peer's first packet on @acl */
void connect_link_up(struct links *links, const struct acl *acl);

/** connect_link_lost() - @acl ended with @reason (0: not known) */
void connect_link_lost(struct links *links, const struct acl *acl, uint8_t reason);

/** connect_creation_failed() - Connection Complete with an error; @peer may be zero */
void connect_creation_failed(struct links *links, const struct addr *peer, uint8_t status);

/** connect_poke() - an earlier link to @peer is gone: attempts that waited for that go on in @delay_ms */
void connect_poke(struct links *links, const struct addr *peer, uint32_t delay_ms);

/** connect_requeue() - @c waited for a link that broke: it waits for another now */
void connect_requeue(struct links *links, struct connect_op *c,
                     const struct connect_params *params);
void connect_adapter_up(struct links *links);
void connect_fail_all(struct links *links, int res);
bool connect_wants(const struct links *links, const struct addr *peer);

/** connect_adopt() - there is a link to the peer that this side did not make: those who wait for one get it */
void connect_adopt(struct links *links, struct conn *conn);

/** connect_check_places() - the last place may have been taken: attempts that would come over the configured number fail */
void connect_check_places(struct links *links);

/* --- accept.c --- */

void accept_init(struct links *links);

/** accept_up() - the adapter is ready: listen */
void accept_up(struct links *links);

/** accept_down() - listen no more, and close the channels that were not told of */
void accept_down(struct links *links);

/** accept_link_up() - Connection Complete on @handle: its channel may be waiting */
void accept_link_up(struct links *links, uint16_t handle);

/** accept_missed() - nobody gave us the channel of @acl */
void accept_missed(struct acl *acl);

/* --- bond.c --- */

void bond_init(struct links *links);
void bond_deinit(struct links *links);

/** bond_mgmt_event() - questions about pairings, and news of keys; other events are ignored */
void bond_mgmt_event(struct links *links, const struct mgmt_msg *msg);

/** bond_known() - is there a key that was to be kept for @identity? */
bool bond_known(const struct links *links, const struct addr *identity);

/* --- conn.c --- */

/** conn_new() - @fd is taken also on failure */
int conn_new(struct links *links, int fd, struct acl *acl, const struct addr *peer,
             const struct connect_params *params, struct conn **ret);

/** conn_announce() - it has its place: the adapter's listener is told, then the applications of the server may be */
void conn_announce(struct conn *conn);

/** conn_join() - @c, live, is told of the link later */
void conn_join(struct conn *conn, struct connect_op *c);

/** conn_find() - by address or identity; one that is not on its way down if there is any. Return: NULL: none. */
struct conn *conn_find(struct links *links, const struct addr *peer);
bool conn_is_leaving(const struct conn *conn);
void conn_link_gone(struct conn *conn, uint8_t reason);
void conn_updated(struct conn *conn);
void conn_encrypted(struct conn *conn);

/** conn_set_identity() - its private address was resolved */
void conn_set_identity(struct conn *conn, const struct addr *identity);

/** conn_keys_changed() - conn_bonded() may be something else now */
void conn_keys_changed(struct conn *conn);

/** conn_end() - tell everybody, free it; not from inside its ATT bearer. @reason: when nothing better is known; 0: neither. */
void conn_end(struct conn *conn, uint8_t reason);

/* --- with scan.c: a pending connect needs somebody's scan to hear the peer, and the kernel stopped its own for ours --- */

/** links_pending() - connects that wait in the kernel for their peer to advertise */
size_t links_pending(const struct adapter *adapter);

/** scan_links_changed() - links_pending() is another number now */
void scan_links_changed(struct adapter *adapter);
