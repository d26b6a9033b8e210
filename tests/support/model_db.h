/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A remote database for tests: attributes in a row, and a server over them that answers what
 * discovery asks, filling each answer as far as the ATT_MTU lets it, and accepts what is written.
 */
#pragma once

#include "aiobled/att.h"

#define MODEL_MAX 17000

struct model_attr {
	uint16_t handle, end; /* end: of a service */
	struct uuid type;
	uint8_t value[24];
	size_t len;
};

struct model_db {
	struct model_attr attrs[MODEL_MAX];
	size_t n;
	uint16_t next; /* handle of the next attribute */
	int requests;  /* answered so far */
};

void model_init(struct model_db *db);

/*
 * model_add() - attributes from a text: P180d primary service, S180f secondary service, Iab-cd
 * include of the service at those handles (decimal), C2a37 characteristic with its value, D2902
 * descriptor (2902: the characteristic notifies), @40 go on at handle 40 (decimal), E40 the last service ends at handle 40. UUIDs with
 * four digits or in full; L1234 after a letter stands for a full UUID made of it.
 */
void model_add(struct model_db *db, const char *text);

extern const struct att_server model_server; /* its data is the struct model_db */
