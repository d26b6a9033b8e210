/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about faults: rules, short forms of common ones, and what is done to a controller at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"
#include "controller.h"
#include "fault.h"
#include "lookup.h"

#define NAME_KEY(key, need)                                                                        \
	{                                                                                          \
		key, KEY_STRING, need, .min = 1, .max = AIR_RADIO_NAME_MAX - 1                     \
	}

const struct key fault_keys[] = {
	{"name", KEY_STRING, .min = 1, .max = FAULT_NAME_MAX - 1},
	{"match", KEY_OBJECT, .required = true},
	{"do", KEY_STRING, true, .words = fault_do_names},
	{"nth", KEY_INT, .min = 1, .max = 1e9},
	{"times", KEY_INT, .min = 1, .max = 1e9},
	{"percent", KEY_NUMBER, .min = 0, .max = 100},
	{"for_ms", KEY_NUMBER, .min = 0.001, .max = 1e12},
	{"delay_ms", KEY_NUMBER, .min = 0.001, .max = FAULT_DELAY_MAX_MS},
	{"status", KEY_INT, .min = 1, .max = 255},
	{"db", KEY_NUMBER, .min = -AIR_LOSS_MAX_DB, .max = AIR_LOSS_MAX_DB},
	{"alter", .type = KEY_OBJECT},
	{0},
};

static const struct key match_keys[] = {
	NAME_KEY("from", false),
	NAME_KEY("to", false),
	{"both_ways", .type = KEY_BOOL},
	{"pdu", KEY_STRING, .words = pdu_kind_names},
	{"pdus", KEY_ARRAY, .min = 1, .max = PDU_KINDS},
	{"channels", KEY_ARRAY, .min = 1, .max = 40},
	{"ll", KEY_TOKEN, .min = 0, .max = 255},
	{"address", .type = KEY_ADDR},
	{"at", KEY_INT, .min = 0, .max = 255},
	{"bytes", KEY_HEX, .min = 1, .max = FAULT_BYTES_MAX},
	NAME_KEY("controller", false),
	{"command", KEY_TOKEN, .min = 0, .max = 65535},
	{0},
};

static const struct key alter_keys[] = {
	{"offset", KEY_INT, .min = 0, .max = 255},
	{"xor", KEY_HEX, .min = 1, .max = FAULT_BYTES_MAX},
	{"set", KEY_HEX, .min = 1, .max = FAULT_BYTES_MAX},
	{0},
};

/* --- reading a rule --- */

static int read_channels(json_object *list, uint64_t *ret, struct complaint *c)
{
	uint64_t channels = 0;

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *v = json_object_array_get_idx(list, i);
		int64_t n = json_object_get_int64(v);

		if (!json_object_is_type(v, json_type_int) || n < 0 || n > PHY_PRIMARY_LAST)
			return complain(c, "channels", "has something other than 0 to 39 in it");
		channels |= UINT64_C(1) << n;
	}
	*ret = channels;
	return 0;
}

static int read_kinds(json_object *match, struct fault_match *m, struct complaint *c)
{
	json_object *list = keys_get(match, "pdus");
	int kind = keys_word(match, "pdu", pdu_kind_names, -1);

	m->kinds = kind < 0 ? 0 : 1u << kind;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(list, i));

		for (kind = 0; kind < PDU_KINDS && strcmp(s ? s : "", pdu_kind_names[kind]) != 0;)
			kind++;
		if (kind == PDU_KINDS)
			return complain(c, "pdus", "\"%.30s\" is no kind of PDU", s ? s : "null");
		m->kinds |= 1u << kind;
	}
	return 0;
}

/* Numbers are written as 12 or, in a string, as "0x0c"; anything else is a name. */
static bool token_number(json_object *v, long most, int *ret)
{
	const char *s = json_object_get_string(v);
	char *end;
	long n = strtol(s, &end, 0);

	if (end == s || *end || n < 0 || n > most)
		return false;
	*ret = (int)n;
	return true;
}

static int read_ll(json_object *match, struct fault_match *m, struct complaint *c)
{
	json_object *v = keys_get(match, "ll");

	m->ll = -1;
	if (!v || token_number(v, UINT8_MAX, &m->ll))
		return 0;
	m->ll = ll_opcode_parse(json_object_get_string(v));
	return m->ll < 0 ? complain(c, "ll", "is no Link Layer control opcode") : 0;
}

static int read_opcode(json_object *match, struct fault_match *m, struct complaint *c)
{
	json_object *v = keys_get(match, "command");
	const struct ctl_cmd *row;

	m->is_command = v || keys_has(match, "controller");
	m->opcode = -1;
	if (!v || strcmp(json_object_get_string(v), "*") == 0 ||
	    token_number(v, UINT16_MAX, &m->opcode))
		return 0;
	for (size_t n = 0; (row = ctl_cmd_at(n)); n++) {
		if (strcasecmp(row->name, json_object_get_string(v)) == 0) {
			m->opcode = row->opcode;
			return 0;
		}
	}
	return complain(c, "command", "\"%.30s\" is neither a command's name nor its opcode",
	                json_object_get_string(v));
}

static void copy_name(char dst[AIR_RADIO_NAME_MAX], json_object *o, const char *key)
{
	(void)snprintf(dst, AIR_RADIO_NAME_MAX, "%s", keys_str(o, key, "")); /* was checked */
}

static int read_match(json_object *o, struct fault_match *m, struct complaint *c)
{
	static const char *const of_pdus[] = {"from",     "to", "both_ways", "pdu", "pdus",
	                                      "channels", "ll", "address",   "at",  "bytes"};

	if (keys_check(o, match_keys, c) < 0 ||
	    read_channels(keys_get(o, "channels"), &m->channels, c) < 0 ||
	    read_kinds(o, m, c) < 0 || read_ll(o, m, c) < 0 || read_opcode(o, m, c) < 0)
		return -EINVAL;
	for (size_t i = 0; m->is_command && i < ARRAY_SIZE(of_pdus); i++) {
		if (keys_has(o, of_pdus[i]))
			return complain(c, of_pdus[i], "is for PDUs, the rule is for commands");
	}
	copy_name(m->from, o, "from");
	copy_name(m->to, o, "to");
	copy_name(m->controller, o, "controller");
	m->both_ways = keys_bool(o, "both_ways", false);
	m->has_address = keys_addr(o, "address", 0, &m->address);
	m->at = (size_t)keys_int(o, "at", 0);
	m->n_bytes = keys_hex(o, "bytes", m->bytes, sizeof(m->bytes));
	return 0;
}

static int read_alter(json_object *o, struct fault_spec *s, struct complaint *c)
{
	if (keys_check(o, alter_keys, c) < 0)
		return -EINVAL;
	if (keys_has(o, "xor") == keys_has(o, "set"))
		return complain(c, "xor", "one of xor and set is needed");
	s->is_xor = keys_has(o, "xor");
	s->offset = (size_t)keys_int(o, "offset", 0);
	s->n_alter = keys_hex(o, s->is_xor ? "xor" : "set", s->alter, sizeof(s->alter));
	return 0;
}

/* What each thing to do needs and to what it can be done. */
static int check_do(json_object *o, const struct fault_spec *s, struct complaint *c)
{
	static const struct {
		bool pdus, commands;
		const char *needs;
	} dos[FAULT_DOS] = {
		[FAULT_DROP] = {true, false, NULL},       [FAULT_DELAY] = {true, true, "delay_ms"},
		[FAULT_ALTER] = {true, false, "alter"},   [FAULT_WEAKEN] = {true, false, "db"},
		[FAULT_UNANSWERED] = {false, true, NULL}, [FAULT_STATUS] = {false, true, "status"},
		[FAULT_HANG] = {false, true, NULL},
	};
	static const char *const more[] = {"delay_ms", "alter", "db", "status"};
	const char *needs = dos[s->what].needs;

	if (s->match.is_command ? !dos[s->what].commands : !dos[s->what].pdus)
		return complain(c, "do", "\"%s\" cannot be done to %s", fault_do_names[s->what],
		                s->match.is_command ? "commands" : "PDUs");
	if (needs && !keys_has(o, needs))
		return complain(c, needs, "is missing");
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		if (keys_has(o, more[i]) && (!needs || strcmp(needs, more[i]) != 0))
			return complain(c, more[i], "does not go with \"%s\"",
			                fault_do_names[s->what]);
	}
	return 0;
}

int fault_read(json_object *o, struct fault_spec *ret, struct complaint *c)
{
	struct fault_spec s = {0};

	if (read_match(keys_get(o, "match"), &s.match, c) < 0)
		return complain_in(c, "match");
	s.what = (enum fault_do)keys_word(o, "do", fault_do_names, 0);
	if (check_do(o, &s, c) < 0)
		return -EINVAL;
	if (keys_has(o, "alter") && read_alter(keys_get(o, "alter"), &s, c) < 0)
		return complain_in(c, "alter");
	(void)snprintf(s.name, sizeof(s.name), "%s", keys_str(o, "name", ""));
	s.nth = (uint32_t)keys_int(o, "nth", 1);
	s.times = (uint32_t)keys_int(o, "times", 0);
	s.percent = keys_num(o, "percent", 100);
	s.for_us = keys_ms(o, "for_ms", 0);
	s.delay_us = (uint32_t)keys_ms(o, "delay_ms", 0);
	s.status = (uint8_t)keys_int(o, "status", 0);
	s.loss_db = (int)keys_num(o, "db", 0);
	*ret = s;
	return 0;
}

/* --- rules --- */

static int check_fault(json_object *cmd, struct complaint *c)
{
	struct fault_spec spec;

	return fault_read(cmd, &spec, c);
}

static int add(struct scene *scene, const struct fault_spec *spec, json_object *answer,
               struct complaint *c)
{
	const char *name;
	int r = faults_add(scene->faults, spec, &name);

	if (r == -ENOBUFS)
		return complain(c, "", "there are %d faults already", FAULTS_MAX);
	if (r < 0)
		return complain(c, "", "no memory");
	json_add_str(answer, "name", name);
	return 0;
}

static int run_fault(struct scene *scene, json_object *cmd, json_object *answer,
                     struct complaint *c)
{
	struct fault_spec spec;

	if (fault_read(cmd, &spec, c) < 0)
		return -EINVAL;
	return add(scene, &spec, answer, c);
}

static const struct key remove_keys[] = {
	{"name", KEY_STRING, .min = 1, .max = FAULT_NAME_MAX - 1},
	{"all", .type = KEY_BOOL},
	{0},
};

static int check_remove(json_object *cmd, struct complaint *c)
{
	if (keys_has(cmd, "name") == keys_bool(cmd, "all", false))
		return complain(c, "name", "one of name and all is needed");
	return 0;
}

static int run_remove(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	const char *name = keys_str(cmd, "name", NULL);

	if (!faults_remove(scene->faults, name) && name)
		return complain(c, "name", "there is no fault \"%s\"", name);
	return 0;
}

static int run_faults(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	json_object *list = faults_list(scene->faults);

	if (!list || json_object_object_add(answer, "faults", list) < 0)
		return complain(c, "", "no memory");
	return 0;
}

/* --- short forms --- */

static const struct key jam_keys[] = {
	{"name", KEY_STRING, .min = 1, .max = FAULT_NAME_MAX - 1},
	{"channels", KEY_ARRAY, .min = 1, .max = 40},
	{"for_ms", KEY_NUMBER, .min = 0.001, .max = 1e12},
	{0},
};

static int read_jam(json_object *cmd, struct fault_spec *s, struct complaint *c)
{
	*s = (struct fault_spec){.nth = 1, .percent = 100, .what = FAULT_DROP};
	s->match.ll = s->match.opcode = -1;
	s->for_us = keys_ms(cmd, "for_ms", 0);
	(void)snprintf(s->name, sizeof(s->name), "%s", keys_str(cmd, "name", ""));
	return read_channels(keys_get(cmd, "channels"), &s->match.channels, c);
}

static int check_jam(json_object *cmd, struct complaint *c)
{
	struct fault_spec s;

	return read_jam(cmd, &s, c);
}

static int run_jam(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	struct fault_spec s;

	if (read_jam(cmd, &s, c) < 0)
		return -EINVAL;
	return add(scene, &s, answer, c);
}

static const struct key noise_keys[] = {
	{"name", KEY_STRING, .min = 1, .max = FAULT_NAME_MAX - 1},
	NAME_KEY("from", false),
	NAME_KEY("to", false),
	{"percent", KEY_NUMBER, true, .min = 0, .max = 100},
	{"for_ms", KEY_NUMBER, .min = 0.001, .max = 1e12},
	{0},
};

/* The same pair has one percentage: a new one takes the place of the old, and 0 ends it. */
static int run_noise(struct scene *scene, json_object *cmd, json_object *answer,
                     struct complaint *c)
{
	struct fault_spec s = {.nth = 1, .what = FAULT_DROP};
	const char *from = keys_str(cmd, "from", "*"), *to = keys_str(cmd, "to", "*");

	s.match.ll = s.match.opcode = -1;
	s.match.both_ways = true;
	s.percent = keys_num(cmd, "percent", 0);
	s.for_us = keys_ms(cmd, "for_ms", 0);
	copy_name(s.match.from, cmd, "from");
	copy_name(s.match.to, cmd, "to");
	(void)snprintf(s.name, sizeof(s.name), "loss %s %s", from, to);
	if (keys_has(cmd, "name"))
		(void)snprintf(s.name, sizeof(s.name), "%s", keys_str(cmd, "name", ""));
	if (s.percent > 0)
		return add(scene, &s, answer, c);
	(void)faults_remove(scene->faults, s.name); /* there need not be one */
	return 0;
}

/* --- controllers --- */

static const struct key hang_keys[] = {
	NAME_KEY("controller", true),
	{0},
};

static int set_hung(struct scene *scene, json_object *cmd, bool hung, struct complaint *c)
{
	struct controller *ctl = lookup_controller(scene, cmd, "controller", c);

	if (!ctl)
		return -EINVAL;
	ctl->hung = hung;
	return 0;
}

static int run_hang(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	return set_hung(scene, cmd, true, c);
}

static int run_unhang(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	return set_hung(scene, cmd, false, c);
}

static const struct key error_keys[] = {
	NAME_KEY("controller", true),
	{"code", KEY_INT, .min = 0, .max = 255},
	{0},
};

static int run_hardware_error(struct scene *scene, json_object *cmd, json_object *answer,
                              struct complaint *c)
{
	struct controller *ctl = lookup_controller(scene, cmd, "controller", c);
	uint8_t code = (uint8_t)keys_int(cmd, "code", 0x42);

	if (!ctl)
		return -EINVAL;
	controller_event(ctl, HCIP_EV_HARDWARE_ERROR, &code, sizeof(code));
	return 0;
}

static const struct key no_keys[] = {{0}};

const struct command cmd_fault_table[] = {
	{"fault", fault_keys, check_fault, run_fault},
	{"fault-remove", remove_keys, check_remove, run_remove},
	{"faults", no_keys, NULL, run_faults},
	{"jam", jam_keys, check_jam, run_jam},
	{"noise", noise_keys, NULL, run_noise},
	{"hang", hang_keys, NULL, run_hang},
	{"unhang", hang_keys, NULL, run_unhang},
	{"hardware-error", error_keys, NULL, run_hardware_error},
	{0},
};
