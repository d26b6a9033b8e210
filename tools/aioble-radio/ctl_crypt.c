/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption, as a host commands it (Vol 4, Part E, 7.8.24 to 7.8.26).
 */
#include "controller.h"
#include "link_priv.h"

static struct link *read_link(struct controller *ctl, struct rd *p)
{
	return link_find(ctl->links, rd_le16(p) & 0x0fff);
}

static int run_enable(struct controller *ctl, struct rd *p, struct wr *ret)
{
	struct link *l = read_link(ctl, p);

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (l->role != HCIP_ROLE_CENTRAL || l->active == PROC_ENC || (l->wanted & 1u << PROC_ENC))
		return HCIP_STATUS_DISALLOWED;
	rd_copy(p, l->rand, sizeof(l->rand));
	rd_copy(p, l->ediv, sizeof(l->ediv));
	rd_copy(p, l->ltk, sizeof(l->ltk));
	link_want(l, PROC_ENC);
	return HCIP_STATUS_OK;
}

static int reply(struct controller *ctl, struct rd *p, struct wr *ret, bool has_key)
{
	struct link *l = read_link(ctl, p);
	const uint8_t *ltk = has_key ? rd_bytes(p, AES_LEN) : NULL;

	if (!l)
		return HCIP_STATUS_NO_CONNECTION;
	if (!l->ltk_asked)
		return HCIP_STATUS_DISALLOWED;
	wr_le16(ret, l->handle);
	link_crypt_reply(l, ltk);
	return HCIP_STATUS_OK;
}

static int run_reply(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return reply(ctl, p, ret, true);
}

static int run_refuse(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return reply(ctl, p, ret, false);
}

/* clang-format off */
const struct ctl_cmd ctl_crypt_cmds[] = {
	{0x2019, 28, 0, .flags = CTL_CMD_STATUS, .len = 28, .features = FEATURE_ENCRYPTION, .name = "LE Enable Encryption", .run = run_enable},
	{0x201a, 28, 1, .len = 18, .ret_len = 2, .features = FEATURE_ENCRYPTION, .name = "LE Long Term Key Request Reply", .run = run_reply},
	{0x201b, 28, 2, .len = 2, .ret_len = 2, .features = FEATURE_ENCRYPTION, .name = "LE Long Term Key Request Negative Reply", .run = run_refuse},
	{0},
};
/* clang-format on */
