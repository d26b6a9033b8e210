/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole server behind two bearers. The input is a row of records, two bytes each that say what
 * happens, and what follows them: peers send bytes or requests that could be meant, applications come, change, answer, send
 * and go, links get keys, end and come back, time passes, the kernel is full.
 *
 * Whatever the order: each request has one answer of its kind, no PDU is longer than ATT_MTU, one indication is on the wire at
 * most, every op ends once, every question is over once, nothing that a peer can fill has more than its bound, and nobody is
 * told of what is gone.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/core/gatt_server_priv.h"

#include "fuzz.h"

#define PEERS 2
#define APPS  4
#define CALLS 6

struct peer {
	int fd; /* -1: hung up */
	struct att *att;
	struct gatt_link *link; /* NULL: no link */
	uint8_t asked;          /* opcode of the request that has no answer yet */
	bool owed;
	bool filled;
	unsigned int indicated; /* not confirmed */
	uint16_t mtu;           /* the largest lately */
};

struct call {
	struct att_cmd cmd;
	struct gatt_indication ind;
	int live;
};

static struct {
	struct loop *loop;
	struct gatt_server *server;
	struct peer peers[PEERS];
	struct gatt_app *apps[APPS];
	struct call calls[CALLS];
	uint32_t questions[8]; /* open */
	uint32_t token;
	uint8_t hook; /* what applications do inside of events */
} f;

/* --- applications --- */

static bool is_registered(const struct gatt_app *app)
{
	for (int i = 0; i < APPS; i++)
		if (f.apps[i] == app)
			return true;
	return false;
}

static void check_local(const struct gatt_app *app, const struct gatt_local *local)
{
	FUZZ_CHECK(is_registered(app) && local->service->app == app);
	FUZZ_CHECK(gatt_db_find(gatt_server_db(f.server), local->handle)->local == local);
}

static void forget_question(uint32_t token)
{
	for (size_t i = 0; i < ARRAY_SIZE(f.questions); i++)
		if (f.questions[i] == token)
			f.questions[i] = 0;
}

static bool is_open(uint32_t token)
{
	for (size_t i = 0; i < ARRAY_SIZE(f.questions); i++)
		if (f.questions[i] == token)
			return true;
	return false;
}

/* A question of an application that is gone is nobody's. */
static void remove_app(int i)
{
	struct gatt_link *link = NULL;

	if (!f.apps[i])
		return;
	while ((link = gatt_server_next_link(f.server, link)))
		if (link->ask && link->ask->token && link->ask->app == f.apps[i])
			forget_question(link->ask->token);
	gatt_server_remove(f.apps[i]);
	f.apps[i] = NULL;
}

static void remove_another(const struct gatt_app *app)
{
	for (int i = 0; i < APPS; i++)
		if (f.apps[i] && f.apps[i] != app) {
			remove_app(i);
			return;
		}
}

static void answer(uint32_t token, uint8_t code)
{
	bool open = token && is_open(token);

	FUZZ_CHECK(gatt_server_allow(f.server, token, code) == (open ? 0 : -ENOENT));
	if (open)
		forget_question(token);
}

static void on_written(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                       const uint8_t *value, size_t len, void *data)
{
	uint8_t sum = 0;

	check_local(app, local);
	FUZZ_CHECK(len <= local->max_len && local->len <= local->max_len);
	for (size_t i = 0; i < len; i++)
		sum ^= value[i]; /* the sanitizers look */
	if (f.hook & 1)
		gatt_server_update(f.server, local);
	if (f.hook & 2)
		(void)gatt_local_set(local, &sum, 1);
	if (f.hook & 4)
		remove_another(app);
}

static void on_subscribed(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                          uint16_t cccd, void *data)
{
	check_local(app, local);
	FUZZ_CHECK(gatt_link_cccd(link, local) == cccd);
	if (f.hook & 1)
		gatt_server_update(f.server, local);
	if (f.hook & 4)
		remove_another(app);
}

static void on_read(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                    uint32_t token, uint64_t deadline_us, void *data)
{
	check_local(app, local);
	FUZZ_CHECK(token && !is_open(token) && deadline_us > loop_now_us(f.loop));
	for (size_t i = 0; i < ARRAY_SIZE(f.questions); i++) {
		if (f.questions[i])
			continue;
		f.questions[i] = token;
		break;
	}
	FUZZ_CHECK(is_open(token));
	f.token = token;
	if (f.hook & 8)
		(void)gatt_local_set(local, "fresh", MIN(local->max_len, 5));
	if (f.hook & 16)
		answer(token, f.hook & 32 ? 0x85 : 0);
	if (f.hook & 4)
		remove_another(app);
}

static void on_read_over(struct gatt_app *app, uint32_t token, void *data)
{
	FUZZ_CHECK(is_registered(app) && is_open(token));
	forget_question(token);
	if (f.hook & 4)
		remove_another(app);
}

static const struct gatt_app_events app_events = {.written = on_written,
                                                  .subscribed = on_subscribed,
                                                  .read = on_read,
                                                  .read_over = on_read_over};

static void def_value(struct gatt_def_value *v, uint8_t bits, uint8_t more)
{
	*v = (struct gatt_def_value){
		.uuid = uuid_from16(0xa100 | (bits & 3)),
		.read = bits & 4,
		.write = bits & 8,
		.write_no_response = bits & 16,
		.notify = bits & 32,
		.indicate = bits & 64,
		.on_read = bits & 128 && bits & 4,
		.append = more & 1,
		.truncate = more & 2,
		.read_level = more >> 2 & 3,
		.write_level = more >> 4 & 3,
		.key_size = more & 64 ? 16 : 0,
		.on_read_fallback = more & 128 ? 0x80 : 0,
		.max_len = more & 8 ? 12 : 0,
	};
	if (v->read_level < 2 && v->write_level < 2)
		v->key_size = 0;
	if (!v->read && !v->write && !v->write_no_response && !v->notify && !v->indicate)
		v->read = true;
	if (more & 32)
		v->uuid.b[0] ^= 0x55; /* 128 bits */
}

static void register_app(int i, struct rd *r)
{
	struct gatt_def_characteristic chr[4] = {0};
	struct gatt_def_value descriptor;
	struct gatt_def_service service = {.uuid = uuid_from16(0xa000 | (rd_u8(r) & 3)),
	                                   .characteristics = chr};
	struct gatt_app *app, *old = f.apps[i];
	struct gatt_def_error error;
	struct gatt_link *link = NULL;
	uint32_t token[PEERS] = {0};

	service.n_characteristics = 1 + (rd_u8(r) & 3);
	service.secondary = r->left & 1;
	for (size_t n = 0; n < service.n_characteristics; n++) {
		uint8_t bits = rd_u8(r);

		def_value(&chr[n].value, bits, rd_u8(r));
	}
	def_value(&descriptor, 0x0c | rd_u8(r), rd_u8(r) & 0x7c);
	descriptor.notify = descriptor.indicate = descriptor.write_no_response = false;
	descriptor.append = descriptor.truncate = false;
	chr[0].descriptors = &descriptor;
	chr[0].n_descriptors = 1;
	for (int n = 0; old && (link = gatt_server_next_link(f.server, link)) && n < PEERS; n++)
		if (link->ask && link->ask->token && link->ask->app == old)
			token[n] = link->ask->token;
	if (gatt_server_add(f.server, &service, 1, old, &app_events, NULL, &app, &error) < 0)
		return;
	for (int n = 0; n < PEERS; n++)
		if (token[n])
			forget_question(token[n]);
	f.apps[i] = app;
}

static struct gatt_local *local_of(uint8_t n)
{
	const struct gatt_attr *attr =
		gatt_db_next(gatt_server_db(f.server), (uint16_t)(0x0e + (n & 0x3f)));

	return attr ? attr->local : NULL;
}

/* --- ops --- */

static void on_cmd(struct op *op, int res)
{
	FUZZ_CHECK(container_of(op, struct call, cmd.op)->live-- > 0);
}

static void on_ind(struct op *op, int res)
{
	FUZZ_CHECK(container_of(op, struct call, ind.op)->live-- > 0);
}

static void send_value(struct call *c, struct gatt_link *link, uint8_t what, uint8_t arg)
{
	static const uint8_t bytes[600];
	struct gatt_local *local = local_of(what);
	const void *value = arg & 1 ? bytes : NULL;
	size_t len = arg & 1 ? arg * 2U : 0;
	bool cut;

	if (!local || !link)
		return;
	if (arg & 2) {
		if (!op_live(&c->ind.op) &&
		    gatt_server_indicate(link, local, value, len, &c->ind, arg * 100U, &cut) == 0)
			c->live++;
	} else if (!op_live(&c->cmd.op) &&
	           gatt_server_notify(link, local, value, len, &c->cmd, arg * 100U, &cut) == 0) {
		c->live++;
	}
}

static void drop(struct call *c)
{
	c->live -= op_live(&c->ind.op) + op_live(&c->cmd.op);
	op_drop(&c->ind.op);
	op_drop(&c->cmd.op);
}

static void set_value(uint8_t what, struct rd *r)
{
	struct gatt_local *local = local_of(what);
	size_t n = MIN(r->left, what >> 6 ? 3U : 40U);
	const uint8_t *bytes = rd_bytes(r, n);

	if (!local || !bytes)
		return;
	if (what & 0x40)
		gatt_local_clear(local);
	else
		FUZZ_CHECK(gatt_local_set(local, bytes, n) <= 0);
	gatt_server_update(f.server, local);
}

/* --- peers --- */

static void value(uint16_t handle, const uint8_t *v, size_t len, bool indication, void *data)
{
}

static void closed(int err, void *data)
{
}

static struct addr identity_of(int i)
{
	return (struct addr){{(uint8_t)i, 1, 2, 3, 4, 0xc5}, ADDR_RANDOM};
}

static void forget_peer(int i)
{
	struct addr identity = identity_of(i);

	gatt_server_forget(f.server, &identity);
}

static void connect_peer(struct peer *p, int i)
{
	static const struct att_events events = {.value = value, .closed = closed};
	struct addr identity = identity_of(i);
	int fds[2], small = 1;

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	*p = (struct peer){.fd = fds[1], .mtu = 23};
	FUZZ_CHECK(att_new(f.loop, fds[0], &events, p, &p->att) == 0);
	FUZZ_CHECK(gatt_link_new(f.server, p->att, &identity, p, &p->link) == 0);
}

static void hang_up(struct peer *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	p->fd = -1;
}

static void disconnect(struct peer *p)
{
	uint32_t token = p->link->ask ? p->link->ask->token : 0;

	p->link = gatt_link_free(p->link);
	FUZZ_CHECK(!token || !is_open(token));
	att_fail_all(p->att, -ENOTCONN);
	p->att = att_free(p->att);
	hang_up(p);
}

static void check_sent(struct peer *p, const uint8_t *pdu, size_t len)
{
	FUZZ_CHECK(len <= p->mtu);
	switch (att_kind(pdu[0])) {
	case ATT_KIND_RESPONSE:
		FUZZ_CHECK(p->owed);
		p->owed = false;
		if (pdu[0] == ATT_ERROR_RSP)
			FUZZ_CHECK(len == 5 && pdu[1] == p->asked && pdu[4] != 0);
		else
			FUZZ_CHECK(pdu[0] == att_response_of(p->asked));
		break;
	case ATT_KIND_INDICATION:
		FUZZ_CHECK(p->indicated == 0);
		p->indicated++;
		break;
	case ATT_KIND_NOTIFICATION:
		break;
	default:
		FUZZ_CHECK(att_kind(pdu[0]) == ATT_KIND_CONFIRMATION); /* there is no client here */
	}
}

static void listen_to(struct peer *p)
{
	uint8_t pdu[1024];
	ssize_t n;

	if (p->att)
		p->mtu = MAX(p->mtu, att_mtu(p->att));
	while (p->fd >= 0 && (n = recv(p->fd, pdu, sizeof(pdu), MSG_DONTWAIT)) > 0)
		if (pdu[0] != 0xfe) /* filler */
			check_sent(p, pdu, (size_t)n);
	if (!p->filled && p->att)
		p->mtu = att_mtu(p->att);
}

static void peer_sends(struct peer *p, const uint8_t *pdu, size_t len)
{
	enum att_kind kind;

	if (p->fd < 0 || !p->link || len == 0)
		return;
	if (send(p->fd, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	kind = att_kind(pdu[0]);
	/* whatever the peer makes of it, it has answered */
	if (kind == ATT_KIND_CONFIRMATION ||
	    (pdu[0] == ATT_ERROR_RSP && len == 5 && pdu[1] == ATT_INDICATE))
		p->indicated = 0;
	if ((kind != ATT_KIND_REQUEST && kind != ATT_KIND_UNKNOWN) || p->owed)
		return;
	p->owed = true;
	p->asked = pdu[0];
}

/* A handle that could be one, most of the time. */
static uint16_t handle_of(uint8_t n)
{
	return n < 0xc0   ? 1 + (n & 0x3f)
	       : n < 0xf0 ? (uint16_t)(0x09 + (n & 7))
	                  : (uint16_t)(n << 8 | n);
}

static void ask(struct peer *p, uint8_t kind, struct rd *r)
{
	static const uint16_t types[] = {0x2800, 0x2801, 0x2802, 0x2803,
	                                 0x2902, 0x2b2a, 0xa100, 0xa101};
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, sizeof(pdu));
	struct att_range range = {handle_of(rd_u8(r)), 0xffff};
	struct uuid type = uuid_from16(types[rd_u8(r) & 7]);
	uint16_t handles[8] = {range.start};
	struct att_prepare prepare = {.handle = range.start, .offset = rd_u8(r) & 31};
	uint8_t wanted = rd_u8(r) & 31;
	size_t len = MIN(wanted, r->left);
	const uint8_t *bytes = rd_bytes(r, len);

	if (!bytes)
		bytes = (const uint8_t *)""; /* the input has ended */
	prepare.value = bytes;
	prepare.len = len;
	if (len & 1)
		range.start = 1;
	for (size_t i = 1; i < ARRAY_SIZE(handles); i++)
		handles[i] = handle_of(i <= len ? bytes[i - 1] : (uint8_t)(prepare.offset + i));
	switch (kind & 15) {
	case 0:
		att_put_find_info_req(&w, range);
		break;
	case 1:
		att_put_find_by_type_req(
			&w, &(struct att_find_by_type){range, types[len & 7], bytes, len});
		break;
	case 2:
	case 3:
		att_put_read_by_type_req(&w, range, &type);
		break;
	case 4:
		att_put_read_by_group_req(&w, range, &type);
		break;
	case 5:
		att_put_read_req(&w, prepare.handle);
		break;
	case 6:
		att_put_read_blob_req(&w, prepare.handle, prepare.offset);
		break;
	case 7:
		att_put_read_multi_req(&w, handles, 2 + (len & 3));
		break;
	case 8:
		att_put_read_multi_var_req(&w, handles, 2 + (len & 5));
		break;
	case 9:
		att_put_write_req(&w, prepare.handle, bytes, len);
		break;
	case 10:
		att_put_write_cmd(&w, prepare.handle, bytes, len);
		break;
	case 11:
	case 12:
		att_put_prepare_req(&w, &prepare);
		break;
	case 13:
		att_put_execute_req(&w, len & 3 ? ATT_EXECUTE_WRITE : ATT_EXECUTE_CANCEL);
		break;
	case 14:
		att_put_mtu_req(&w, (uint16_t)(prepare.offset * 20));
		break;
	case 15:
		att_put_write_req(&w, handle_of((uint8_t)(0x80 | len)),
		                  (const uint8_t[]){prepare.offset & 3, 0}, 2);
		break;
	}
	if (wr_ok(&w))
		peer_sends(p, pdu, wr_len(&w));
}

static void fill(struct peer *p)
{
	static const uint8_t filler[512] = {0xfe};

	if (!p->att)
		return;
	p->filled = true;
	while (send(att_fd(p->att), filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

/* --- what must hold after each step --- */

static size_t count_cccds(void)
{
	const struct gatt_attr *attr = gatt_db_next(gatt_server_db(f.server), 1);
	size_t n = 0;

	for (; attr; attr = gatt_attr_next(gatt_server_db(f.server), attr))
		n += attr->kind == GATT_ATTR_CCCD;
	return n;
}

static void check_link(const struct gatt_link *link)
{
	struct gatt_prepared *prepared;
	size_t n = 0, due = 0;

	FUZZ_CHECK(link->cccds.n <= count_cccds() && link->cccds.n <= link->cccds.size);
	for (size_t i = 0; i < link->cccds.n; i++) {
		const struct gatt_cccd *c = &link->cccds.v[i];

		FUZZ_CHECK(c->value && c->value <= 3 && (i == 0 || c->handle > c[-1].handle));
		FUZZ_CHECK(gatt_db_find(link->server->db, c->handle)->local->cccd == c->handle);
		due += c->due;
	}
	FUZZ_CHECK(due == link->n_due);
	list_for_each (prepared, &link->prepared, link)
		n++;
	FUZZ_CHECK(n == link->n_prepared && n <= GATT_PREPARED_MAX);
	FUZZ_CHECK(link->prepared_bytes <= GATT_PREPARED_BYTES_MAX &&
	           link->n_indications <= GATT_INDICATIONS_MAX);
	FUZZ_CHECK(!(link->features & ~GATT_FEATURES_KNOWN));
}

static void check_all(void)
{
	FUZZ_CHECK(f.server->n_bonds <= GATT_BONDS_MAX);
	for (int i = 0; i < PEERS; i++) {
		struct peer *p = &f.peers[i];

		if (!p->link)
			continue;
		check_link(p->link);
		/* whoever waits for an answer waits for an application, or for the kernel */
		if (p->owed && p->fd >= 0 && !p->filled && p->att && att_writable(p->att))
			FUZZ_CHECK(p->link->ask && p->link->ask->busy);
	}
}

static void leave(struct peer *p, uint8_t arg)
{
	if (!p->link)
		connect_peer(p, (int)(p - f.peers));
	else if (arg & 1)
		disconnect(p);
	else
		hang_up(p);
}

static void step(uint8_t what, uint8_t arg, struct rd *r)
{
	struct peer *p = &f.peers[what >> 7];
	struct call *c = &f.calls[arg % CALLS];
	uint8_t pdu[1] = {ATT_CONFIRM};
	size_t n;

	switch (what >> 2 & 15) {
	case 0:
		n = MIN(arg, r->left);
		peer_sends(p, rd_bytes(r, n), n);
		break;
	case 1 ... 6:
		ask(p, arg, r);
		break;
	case 7:
		FUZZ_CHECK(loop_advance(f.loop, arg * 40U) == 0);
		break;
	case 8:
		register_app(arg % APPS, r);
		break;
	case 9:
		remove_app(arg % APPS);
		break;
	case 10:
		set_value(arg, r);
		break;
	case 11:
		send_value(c, p->link, rd_u8(r), arg);
		break;
	case 12:
		if (arg & 0x80)
			answer(f.token - (arg & 1), arg & 2 ? 0x80 | arg : 0);
		else
			peer_sends(p, pdu, 1);
		break;
	case 13:
		if (p->link)
			gatt_link_set_security(p->link, 1 + (arg & 3), arg & 4 ? 16 : 7, arg & 8);
		if (arg & 0x40)
			f.hook = arg;
		break;
	case 14:
		if ((arg & 0xf0) == 0x70)
			forget_peer(arg & 1);
		else if (arg & 2)
			fill(p);
		else
			drop(c);
		break;
	case 15:
		if (arg & 0x80)
			leave(p, arg);
		else
			f.hook = arg;
		break;
	}
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	for (int i = 0; i < PEERS; i++) {
		bool stays = f.peers[i].filled && (what & 3);

		if (!stays) {
			listen_to(&f.peers[i]);
			f.peers[i].filled = false;
		}
	}
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	for (int i = 0; i < PEERS; i++)
		if (!f.peers[i].filled)
			listen_to(&f.peers[i]);
	check_all();
}

static void begin(void)
{
	static const uint8_t tree[] = {0, 3, 0xff, 0x00, 0x6c, 0x18, 0x8c, 0x82, 0x3e, 0x01, 0, 0};
	struct rd r = rd_init(tree, sizeof(tree));

	memset(&f, 0, sizeof(f));
	FUZZ_CHECK(loop_new_virtual(&f.loop) == 0);
	FUZZ_CHECK(gatt_server_new(f.loop, &f.server) == 0);
	register_app(0, &r);
	for (int i = 0; i < CALLS; i++) {
		op_init(&f.calls[i].cmd.op, f.loop, on_cmd);
		op_init(&f.calls[i].ind.op, f.loop, on_ind);
	}
	for (int i = 0; i < PEERS; i++)
		connect_peer(&f.peers[i], i);
}

static void end(void)
{
	/* the budget of a request, and what it takes to send the answer */
	f.hook = 0;
	FUZZ_CHECK(loop_advance(f.loop, GATT_REQUEST_BUDGET_MS + 1) == 0);
	for (int i = 0; i < PEERS; i++) {
		struct peer *p = &f.peers[i];

		while (p->fd >= 0 && p->filled) {
			listen_to(p);
			p->filled = false;
			FUZZ_CHECK(loop_settle(f.loop) == 0);
		}
		listen_to(p);
		FUZZ_CHECK(!p->link || p->fd < 0 || !p->owed || p->indicated);
		if (p->link)
			disconnect(p);
	}
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	for (int i = 0; i < CALLS; i++)
		FUZZ_CHECK(f.calls[i].live == 0);
	for (size_t i = 0; i < ARRAY_SIZE(f.questions); i++)
		FUZZ_CHECK(f.questions[i] == 0);
	f.server = gatt_server_free(f.server);
	f.loop = loop_free(f.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	begin();
	while (r.left >= 2) {
		uint8_t what = rd_u8(&r);

		step(what, rd_u8(&r), &r);
	}
	end();
	return 0;
}
