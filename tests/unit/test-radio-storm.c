/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts of aioble-radio gone mad: commands in any order with any parameters, data of any kind, paths that come and go. Every
 * command is answered, no host gets back more buffers than it filled, and nothing breaks (run it with sanitizers).
 */
#include "../support/link_bed.h"

#include "aiobled/cleanup.h"

#include "link_priv.h"

#include "test.h"

#define HOSTS 4
#define STEPS 6000

struct storm {
	struct link_bed bed;
	unsigned int rows; /* commands there are */
	unsigned int sent[HOSTS];
};

static uint32_t any(struct storm *s, uint32_t n)
{
	return air_rand_below(s->bed.air, n);
}

static struct bed_host *any_host(struct storm *s)
{
	return &s->bed.hosts[any(s, HOSTS)];
}

static void put_handle(struct storm *s, uint8_t *p)
{
	p[0] = (uint8_t)(1 + any(s, 6));
	p[1] = 0;
}

/* Parameters that make sense often enough to get somewhere: small numbers, handles, addresses of the others. */
static void put_params(struct storm *s, uint8_t *p, size_t len)
{
	static const uint8_t usual[] = {0, 1, 2, 3, 7, 24, 72, 0xff};

	for (size_t i = 0; i < len; i++)
		p[i] = any(s, 4) ? usual[any(s, sizeof(usual))] : (uint8_t)any(s, 256);
	if (len >= 2 && any(s, 2))
		put_handle(s, p);
	if (len >= 7 && any(s, 2))
		memcpy(p + len - 6 - any(s, (uint32_t)len - 6), any_host(s)->ctl->public_addr.b, 6);
}

static void any_command(struct storm *s, struct bed_host *h)
{
	const struct ctl_cmd *c = ctl_cmd_at(any(s, s->rows));
	uint8_t params[255];
	size_t len = any(s, 16) ? c->len : any(s, 255);

	if (c->opcode == 0x0c03 && any(s, 40))
		return; /* a reset ends too much to come often */
	if (len == c->len && (c->flags & CTL_CMD_VARIABLE) && any(s, 2))
		len += any(s, 255 - c->len);
	put_params(s, params, len);
	if (c->opcode == 0x0c03)
		s->sent[h - s->bed.hosts] = h->completed;
	if (bed_cmd(h, c->opcode, params, len) == -1)
		assert_int_equal(c->opcode,
		                 0x0c35); /* Host Number Of Completed Packets has no answer */
	/* what keeps the air alive and the host informed */
	if (c->opcode == 0x0c01 || c->opcode == 0x0c03)
		assert_int_equal(bed_cmd(h, 0x0c01, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
}

static void any_data(struct storm *s, struct bed_host *h)
{
	uint8_t buf[251] = {0}, head[2];

	put_handle(s, head);
	head[1] = (uint8_t)(any(s, 8) ? 0 : any(s, 256));
	bed_send(h, (uint16_t)(head[0] | head[1] << 8), buf, any(s, sizeof(buf)));
	s->sent[h - s->bed.hosts]++;
}

static void any_path(struct storm *s)
{
	struct bed_host *a = any_host(s), *b = any_host(s);

	if (a == b)
		return;
	if (any(s, 3))
		radio_clear_loss(&a->ctl->radio, &b->ctl->radio);
	else
		assert_int_equal(radio_set_loss(&a->ctl->radio, &b->ctl->radio, AIR_LOSS_MAX_DB),
		                 0);
}

static void join(struct storm *s)
{
	static const struct bed_link link = {.interval = 12, .latency = 1, .timeout = 100};
	struct bed_host *a = any_host(s), *b = any_host(s);

	if (a == b)
		return;
	(void)BED_CMD(b, 0x2006, 0x20, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, 0);
	(void)BED_CMD(b, 0x200a, 1);
	(void)bed_create(a, b, &link);
}

static void step(struct storm *s)
{
	struct bed_host *h = any_host(s);

	switch (any(s, 8)) {
	case 0:
	case 1:
	case 2:
		any_command(s, h);
		break;
	case 3:
	case 4:
		any_data(s, h);
		break;
	case 5:
		join(s);
		break;
	case 6:
		if (!any(s, 4))
			any_path(s);
		break;
	case 7:
		h->congested = !any(s, 4);
		break;
	}
	bed_run(&s->bed, any(s, 20));
	for (unsigned int i = 0; i < HOSTS; i++) {
		assert_true(s->bed.hosts[i].completed <= s->sent[i]);
		bed_forget(&s->bed.hosts[i]);
	}
}

static void test_storm(void **state)
{
	static const char *const profiles[HOSTS] = {"4.0,le-states", "4.2,le-states",
	                                            "5.2,le-states,dual", "5.2"};
	unsigned int links = 0;

	for (uint64_t seed = 0; seed < 4; seed++) {
		struct storm s = {0};

		bed_open(&s.bed, seed);
		for (int i = 0; i < HOSTS; i++)
			(void)bed_host(&s.bed, profiles[i]);
		while (ctl_cmd_at(s.rows))
			s.rows++;
		for (int i = 0; i < STEPS; i++) {
			step(&s);
			for (int k = 0; k < HOSTS; k++)
				links += s.bed.hosts[k].ctl->links->n;
		}
		bed_close(&s.bed);
	}
	assert_true(links > STEPS / 10); /* else it was about nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
