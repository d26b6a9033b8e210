/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "transcript.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/test.h"

static void bed_value(uint16_t handle, const uint8_t *value, size_t len, bool indication,
                      void *data)
{
	struct bed *bed = data;

	bed->values++;
	bed->indications += indication;
	bed->value_handle = handle;
	bed->value_len = MIN(len, sizeof(bed->value));
	memcpy(bed->value, value, bed->value_len);
	if (bed->gc)
		gatt_client_value(bed->gc, handle, value, len, indication);
	if (bed->on_value)
		bed->on_value(bed);
}

static void bed_mtu(_unused_ uint16_t mtu, void *data)
{
	struct bed *bed = data;

	bed->mtu_events++;
}

static void bed_closed(int err, void *data)
{
	struct bed *bed = data;

	bed->closed_count++;
	bed->closed_err = err;
	if (bed->on_closed)
		bed->on_closed(bed);
}

static const struct att_events bed_events = {
	.value = bed_value, .mtu = bed_mtu, .closed = bed_closed};

static void bed_exchange(struct bed *bed, uint16_t mtu)
{
	char script[64];

	(void)snprintf(script, sizeof(script), "< 02 %02x %02x; > 03 05 02", mtu & 0xff, mtu >> 8);
	bed_play(bed, "setup", script);
	assert_int_equal(att_mtu(bed->att), mtu);
}

void bed_open(struct bed *bed, uint16_t mtu)
{
	int fds[2];

	*bed = (struct bed){.peer = -1};
	assert_int_equal(loop_new_virtual(&bed->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	bed->peer = fds[1];
	assert_int_equal(att_new(bed->loop, fds[0], &bed_events, bed, &bed->att), 0);
	assert_int_equal(gatt_client_new(bed->loop, bed->att, &bed->gc), 0);
	if (mtu != ATT_MTU_DEFAULT)
		bed_exchange(bed, mtu);
}

void bed_close(struct bed *bed)
{
	if (bed->gc)
		gatt_client_fail_all(bed->gc, -ENOTCONN);
	bed->gc = gatt_client_free(bed->gc);
	if (bed->att)
		att_fail_all(bed->att, -ENOTCONN);
	bed->att = att_free(bed->att);
	if (bed->peer >= 0)
		(void)close(bed->peer);
	assert_int_equal(loop_settle(bed->loop), 0);
	bed->loop = loop_free(bed->loop);
}

/* One "41" or "41*20". */
static const char *hex_token(const char *s, uint8_t *buf, size_t size, size_t *len)
{
	char *end;
	unsigned long byte = strtoul(s, &end, 16), times = 1;

	assert_int_equal(end - s, 2);
	if (*end == '*')
		times = strtoul(end + 1, &end, 10);
	assert_true(byte <= 0xff && *len + times <= size);
	memset(buf + *len, (int)byte, times);
	*len += times;
	return end;
}

size_t hex_parse(const char *s, const char **ret_end, uint8_t *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		while (isspace((unsigned char)*s))
			s++;
		if (*s == '\0' || *s == ';')
			break;
		s = hex_token(s, buf, size, &len);
	}
	*ret_end = s;
	return len;
}

static void hex_print(const char *what, const uint8_t *pdu, ssize_t len)
{
	print_message("%s", what);
	for (ssize_t i = 0; i < len; i++)
		print_message(" %02x", pdu[i]);
	print_message("\n");
}

struct play {
	struct bed *bed;
	const char *name, *row;
};

static void expect(const struct play *p, const uint8_t *pdu, size_t len)
{
	uint8_t got[BED_PDU_MAX];
	ssize_t n = recv(p->bed->peer, got, sizeof(got), MSG_DONTWAIT);

	if (n == (ssize_t)len && memcmp(got, pdu, len) == 0)
		return;
	hex_print("  expected:", pdu, (ssize_t)len);
	hex_print(n < 0 ? "  nothing was sent" : "  sent:    ", got, n);
	fail_msg("%s: at \"%.60s\"", p->name, p->row);
}

static void expect_nothing(const struct play *p)
{
	uint8_t got[BED_PDU_MAX];
	ssize_t n = recv(p->bed->peer, got, sizeof(got), MSG_DONTWAIT);

	if (n < 0 || p->bed->closed_count || !p->bed->att)
		return;
	hex_print("  sent:    ", got, n);
	fail_msg("%s: unexpected PDU at \"%.60s\"", p->name, p->row);
}

static const char *play_row(const struct play *p)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *s = p->row + 1;
	char *end;
	size_t len;

	switch (*p->row) {
	case '>':
		len = hex_parse(s, &s, pdu, sizeof(pdu));
		expect(p, pdu, len);
		break;
	case '<':
		len = hex_parse(s, &s, pdu, sizeof(pdu));
		assert_int_equal(send(p->bed->peer, pdu, len, MSG_DONTWAIT), len);
		break;
	case '~':
		assert_int_equal(loop_advance(p->bed->loop, (uint32_t)strtoul(s, &end, 10)), 0);
		s = end;
		break;
	case '=':
		expect_nothing(p);
		break;
	case 'x':
		assert_int_equal(close(p->bed->peer), 0);
		p->bed->peer = -1;
		break;
	default:
		fail_msg("%s: no such row: \"%.60s\"", p->name, p->row);
	}
	return s;
}

void bed_play(struct bed *bed, const char *name, const char *script)
{
	struct play p = {bed, name, script};

	assert_int_equal(loop_settle(bed->loop), 0);
	for (;;) {
		while (isspace((unsigned char)*p.row) || *p.row == ';')
			p.row++;
		if (*p.row == '\0')
			break;
		p.row = play_row(&p);
		assert_int_equal(loop_settle(bed->loop), 0);
	}
	if (bed->peer >= 0 && !bed->filled)
		expect_nothing(&p);
}

/*
 * Our own end, written to directly: what lies there is what the bearer would have to wait behind.
 */
void bed_fill(struct bed *bed)
{
	static const uint8_t filler[512] = {0};
	int small = 1;

	bed->filled = true;
	(void)setsockopt(att_fd(bed->att), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (send(att_fd(bed->att), filler, sizeof(filler), MSG_DONTWAIT) >= 0)
		;
	while (send(att_fd(bed->att), filler, 1, MSG_DONTWAIT) >= 0)
		;
	assert_int_equal(errno, EAGAIN);
}

int bed_drain(struct bed *bed)
{
	uint8_t buf[BED_PDU_MAX];
	int n = 0;

	bed->filled = false;
	while (recv(bed->peer, buf, 1, MSG_DONTWAIT | MSG_PEEK) == 1 && buf[0] == 0) {
		assert_true(recv(bed->peer, buf, sizeof(buf), MSG_DONTWAIT) > 0);
		n++;
	}
	assert_int_equal(loop_settle(bed->loop), 0);
	return n;
}
