/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of the fake kernel: fake_kernel.c (table, mgmt), fake_hci.c (controllers), fake_link.c (ATT channels). */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "fake_kernel.h"

/* assert() that stays when assertions are compiled out */
#define CHECK(x)                                                                                \
	do {                                                                                    \
		if (!(x)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x);   \
			abort();                                                                \
		}                                                                               \
	} while (0)

struct fake_adapter {
	struct fake_kernel *fk;
	bool present, blocked, extended, scanning;
	uint16_t index;
	uint8_t addr[6];
	uint32_t supported, settings;
	int hci; /* far end; -1 */
	struct loop_io hci_io;
	uint8_t scan_params[64];
	size_t scan_params_len;
	uint8_t adv_sets;
	struct fake_adv advs[FAKE_ADVS_MAX];
};

/* An answer held back by a rule. */
struct fake_late {
	struct timer timer;
	struct fake_kernel *fk;
	bool hci;
	uint16_t index;
	size_t len;
	uint8_t msg[512];
};

#define FAKE_LISTENERS_MAX 64

/* A real listening socket, so that accepting is real, too. Closed ones refuse; the newest that does not has the links. */
struct fake_listener {
	struct addr local;
	struct sockaddr_un name;
	socklen_t name_len;
	int fd; /* the daemon's, for looking up only */
};

struct fake_kernel {
	struct kernel table;
	struct loop *loop;
	int mgmt; /* far end; -1 */
	struct loop_io mgmt_io;
	int mgmt_error, hci_error, connect_error, listen_error, accept_error;
	uint16_t revision;
	struct fake_adapter adapters[FAKE_ADAPTERS_MAX];
	struct fake_rule rules[FAKE_RULES_MAX];
	size_t n_rules;
	uint16_t log[FAKE_LOG_MAX];
	int log_index[FAKE_LOG_MAX];
	size_t n_log;
	struct fake_link links[FAKE_LINKS_MAX];
	size_t n_links;
	struct fake_listener listeners[FAKE_LISTENERS_MAX];
	size_t n_listeners;
	struct fake_late late[8];
};

#define fake_of(k) container_of(k, struct fake_kernel, table)

struct fake_adapter *fake_find(const struct fake_kernel *fk, uint16_t index);
void fake_note(struct fake_kernel *fk, uint16_t opcode, int index);

/* The rule for a command, counted down; or NULL */
const struct fake_rule *fake_take_rule(struct fake_kernel *fk, uint16_t opcode, int index);
void fake_send_late(struct fake_kernel *fk, bool hci, uint16_t index, const void *msg, size_t len, uint32_t delay_ms);

int fake_hci_open(const struct kernel *k, uint16_t index);
void fake_hci_close(struct fake_adapter *a);

int fake_att_connect(const struct kernel *k, const struct addr *local, const struct addr *peer);
int fake_att_listen(const struct kernel *k, const struct addr *local);
int fake_att_accept(const struct kernel *k, int fd, struct addr *ret_peer);
int fake_att_connect_result(const struct kernel *k, int fd);
int fake_att_handle(const struct kernel *k, int fd, uint16_t *ret_handle);
int fake_att_security(const struct kernel *k, int fd, uint8_t *ret_level, uint8_t *ret_key_size);
void fake_links_end(struct fake_kernel *fk, uint16_t index);

/* By handle or address: the link that is up, or NULL */
struct fake_link *fake_link_by_handle(struct fake_kernel *fk, uint16_t index, uint16_t handle);
struct fake_link *fake_link_by_peer(struct fake_kernel *fk, uint16_t index, const struct addr *peer);

/* Mgmt commands about advertising. Return: status; *@ret_len bytes of return parameters in @out. */
bool fake_adv_is_command(uint16_t opcode);
uint8_t fake_adv_command(struct fake_adapter *a, uint16_t opcode, const uint8_t *p, size_t len, uint8_t *out, size_t *ret_len);
void fake_adv_link_down(struct fake_kernel *fk, uint16_t index, uint16_t handle);
void fake_adv_power_off(struct fake_adapter *a);
