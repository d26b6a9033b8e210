/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The air: the one medium that all radios share. It owns time, chance and distance.
 *
 *  - Time is the air's own. Things happen by air_timer at their due time, in the order of due time and then of arming,
 *    however late the process is: air_now_us() during a timer is the time it was due. Whoever takes input from outside
 *    (hosts, control clients) calls air_sync() first, so that what was due before it has happened before it. With a
 *    speed over 1 the air's seconds pass faster than the clock's and nothing else changes.
 *  - Chance comes from one generator: the same seed and the same input give the same air.
 *  - A PDU is a transmission of real Link Layer bytes. air_broadcast() offers it to every listener, air_pass() to one
 *    radio. Both ask the watches, which record or spoil it. Transmissions do not disturb each other, with one exception:
 *    of several answers to one PDU the advertiser gets the strongest, or none when it does not stand out.
 *
 * The rule a reader would break first: a listener's heard() answers with air_answer() or remembers; it does not transmit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

#include "pdu.h"
#include "phy.h"

struct air;

#define AIR_LOSS_DEFAULT_DB 50   /* between any two radios, until told otherwise */
#define AIR_LOSS_MAX_DB     300  /* certainly out of range */
#define AIR_SENSITIVITY_DBM -100 /* weaker PDUs are not heard */
#define AIR_CAPTURE_DB      8 /* by so much one of two answers must be stronger to be understood */
#define AIR_RADIO_NAME_MAX  24

/* --- the air --- */

int air_new(struct loop *loop, uint64_t seed, struct air **ret);

/** air_free() - every radio, listener, watch and timer must have gone before. Takes NULL; returns NULL. */
struct air *air_free(struct air *air);

/** air_set_speed() - air seconds per second from now on, 1 to AIR_SPEED_MAX */
#define AIR_SPEED_MAX 1000
void air_set_speed(struct air *air, unsigned int speed);

struct loop *air_loop(struct air *air);
uint64_t air_now_us(struct air *air);

/** air_sync() - let happen what is due by the clock; a bounded part of it when the process is far behind */
void air_sync(struct air *air);

uint32_t air_rand(struct air *air);
void air_rand_bytes(struct air *air, void *buf, size_t len);

/** air_rand_below() - evenly distributed over 0 to @n - 1; 0 for 0 */
uint32_t air_rand_below(struct air *air, uint32_t n);

struct air_stats {
	uint64_t pdus;       /* transmissions */
	uint64_t deliveries; /* PDUs that reached a radio */
	uint64_t lost;       /* spoilt by a watch */
	uint64_t collisions; /* answers that spoilt each other */
	uint64_t slipped_us; /* air time given up because the process could not keep pace */
};

const struct air_stats *air_stats(const struct air *air);

/* --- timers in air time; any number of them --- */

struct air_timer {
	struct air *air;
	uint64_t due_us, seq;
	struct air_timer *child, *next,
		*prev; /* pairing heap; prev: left sibling, or parent of a first child */
	bool armed;
	void (*fn)(struct air_timer *t);
};

void air_timer_init(struct air_timer *t, struct air *air, void (*fn)(struct air_timer *t));

/** air_timer_start_at() - (re)arm for an absolute air time; one in the past runs next, with air_now_us() unmoved */
void air_timer_start_at(struct air_timer *t, uint64_t due_us);
void air_timer_start(struct air_timer *t, uint64_t delay_us);
void air_timer_stop(struct air_timer *t);

/* --- radios: whoever can send or receive --- */

struct radio {
	struct list link;
	struct air *air;
	struct list pairs; /* path losses set for a pair; owned by the air */
	char name[AIR_RADIO_NAME_MAX];
	int16_t loss_db; /* added to the loss towards everybody for whom no pair loss is set */
};

void radio_init(struct radio *radio, struct air *air, const char *name);
void radio_deinit(struct radio *radio);
struct radio *radio_find(struct air *air, const char *name);

/** radio_set_loss() - between two radios, both ways; AIR_LOSS_MAX_DB parts them. Return: 0 or -ENOMEM. */
int radio_set_loss(struct radio *a, struct radio *b, int loss_db);
void radio_clear_loss(struct radio *a, struct radio *b);
int radio_loss_db(const struct radio *a, const struct radio *b);

/** radio_has_loss() - was one set for this pair? */
bool radio_has_loss(const struct radio *a, const struct radio *b);

/** air_set_loss() - the part that is the same for all pairs without their own */
void air_set_loss(struct air *air, int loss_db);

/* All radios of the air, in order of arrival: list_for_each(r, air_radios(air), link). */
struct list *air_radios(struct air *air);

/* The controllers among them: list_for_each(ctl, air_controllers(air), link). */
struct list *air_controllers(struct air *air);

/* --- PDUs --- */

struct air_pdu {
	uint64_t start_us;
	struct radio *from;
	uint32_t access_addr;
	uint8_t channel; /* index 0 to 39 */
	uint8_t phy;     /* enum phy */
	int8_t tx_dbm;
	int8_t rssi_dbm; /* at the receiver; meaningless before */
	bool mic; /* of an encrypted link: @data is shown decrypted, its last 4 bytes are the MIC */
	const uint8_t *data; /* header and payload; valid during the call */
	size_t len;
};

static inline uint64_t air_pdu_end_us(const struct air_pdu *pdu)
{
	return pdu->start_us + phy_air_time_us(pdu->phy, pdu->len);
}

static inline bool air_is_primary(uint8_t channel)
{
	return channel >= PHY_PRIMARY_FIRST;
}

/* Who may hear advertising: scanners and initiators, while they are on. */
struct air_listener {
	struct list link;
	struct radio *radio;
	/* is the receiver on that channel and PHY during the whole PDU? A pure function of time. */
	bool (*hears)(struct air_listener *l, const struct air_pdu *pdu);
	/* the PDU arrived; here @l may be removed, other listeners may not */
	void (*heard)(struct air_listener *l, const struct air_pdu *pdu);
};

void air_listen(struct radio *radio, struct air_listener *l);
void air_unlisten(struct air_listener *l);

/**
 * air_broadcast() - transmit to all listeners in reach
 * @pdu: start_us is now or, for an auxiliary PDU, what the AuxPtr said; rssi_dbm is ignored
 * @ret_answer: when not NULL, what a listener answered T_IFS later and reached @pdu's sender; its data is valid until the
 *              next transmission
 *
 * Return: true with an answer.
 */
bool air_broadcast(struct air *air, const struct air_pdu *pdu, struct air_pdu *ret_answer);

/** air_answer() - from heard() only: reply to @to T_IFS after its end on the same channel and PHY; @data is copied */
void air_answer(struct air_listener *l, const struct air_pdu *to, int8_t tx_dbm,
                const uint8_t *data, size_t len);

/** air_waste() - transmit to nobody: the one it is for has gone */
void air_waste(struct air *air, const struct air_pdu *pdu);

struct air_verdict {
	bool lost;
	uint32_t delay_us; /* hand it over so much later; then it can no longer be answered */
	int loss_db;       /* added to the path loss of this PDU */
};

/**
 * air_pass() - transmit to one radio: answers, data channel PDUs
 * @ret: the PDU as it arrived, perhaps altered; its data is valid until the next transmission
 * @ret_delay_us: may be NULL: then a PDU that a watch delays is lost
 *
 * Return: true when it arrived.
 */
bool air_pass(struct air *air, const struct air_pdu *pdu, struct radio *to, struct air_pdu *ret,
              uint32_t *ret_delay_us);

/* Captures and faults. Either function may be NULL. */
struct air_watch {
	struct list link;
	/* once for each transmission, in the order of their starts */
	void (*sent)(struct air_watch *w, const struct air_pdu *pdu);
	/* for each receiver in reach, before it hears; @bytes (pdu->len of them) may be changed, @verdict is added to */
	void (*judge)(struct air_watch *w, const struct air_pdu *pdu, const struct radio *to,
	              uint8_t *bytes, struct air_verdict *verdict);
};

void air_add_watch(struct air *air, struct air_watch *w);
void air_remove_watch(struct air_watch *w);
