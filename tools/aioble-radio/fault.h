/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults: rules that say which PDU or command they strike, and what happens to it. The first rule that matches decides;
 * rules are asked in the order in which they were added, for each receiver of a PDU by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"

#include "keys.h"
#include "pdu_kind.h"

#define FAULTS_MAX         256
#define FAULT_NAME_MAX     24
#define FAULT_BYTES_MAX    64
#define FAULT_HELD_MAX     64 /* commands held back at a time */
#define FAULT_DELAY_MAX_MS 60000

struct faults;
struct scene;

enum fault_do {
	/* to PDUs */
	FAULT_DROP,
	FAULT_DELAY, /* also to commands */
	FAULT_ALTER,
	FAULT_WEAKEN,
	/* to commands */
	FAULT_UNANSWERED,
	FAULT_STATUS,
	FAULT_HANG,
	FAULT_DOS,
};

extern const char *const fault_do_names[FAULT_DOS + 1]; /* NULL at the end */

/* What may be asked of a PDU; what is not set matches all. Names may have * and ? in them. */
struct fault_match {
	char from[AIR_RADIO_NAME_MAX], to[AIR_RADIO_NAME_MAX];
	bool both_ways;
	uint32_t kinds;    /* bits of enum pdu_kind; 0: all */
	uint64_t channels; /* bits; 0: all */
	int ll;            /* opcode of a control PDU; -1: any */
	bool has_address;
	struct addr
		address; /* first of an advertising PDU: who advertises, scans or connects; type not compared */
	size_t at, n_bytes; /* of the payload */
	uint8_t bytes[FAULT_BYTES_MAX];
	/* of commands; @is_command makes it a rule for commands */
	bool is_command;
	char controller[AIR_RADIO_NAME_MAX];
	int opcode; /* -1: any */
};

struct fault_spec {
	char name[FAULT_NAME_MAX]; /* "": one is made */
	struct fault_match match;
	uint32_t nth;    /* strikes from the nth match on, 1 */
	uint32_t times;  /* and so often; 0: for ever */
	double percent;  /* of the matches that are counted */
	uint64_t for_us; /* and so long; 0: for ever */
	enum fault_do what;
	uint32_t delay_us;
	uint8_t status;
	int loss_db;
	/* FAULT_ALTER: of the payload */
	size_t offset, n_alter;
	bool is_xor;
	uint8_t alter[FAULT_BYTES_MAX];
};

int faults_new(struct scene *scene, struct faults **ret);
struct faults *faults_free(struct faults *f);

/** fault_read() - a rule as in the command "fault". Return: 0 or -EINVAL with *@c filled in. */
int fault_read(json_object *o, struct fault_spec *ret, struct complaint *c);

extern const struct key fault_keys[];

/**
 * faults_add() - from now on; a rule of the same name is replaced
 * @ret_name: valid until the rule goes; may be NULL
 *
 * Return: 0, -ENOBUFS (FAULTS_MAX), -ENOMEM.
 */
int faults_add(struct faults *f, const struct fault_spec *spec, const char **ret_name);

/** faults_remove() - Return: was there one? NULL removes all. */
bool faults_remove(struct faults *f, const char *name);

/** faults_list() - [{"name", "do", "matched", "struck", "done"}, ...]; NULL without memory */
json_object *faults_list(struct faults *f);

/** faults_hits() - how often @name struck */
uint64_t faults_hits(const struct faults *f, const char *name);
