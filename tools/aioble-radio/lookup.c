/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lookup.h"

#include "controller.h"

struct radio *lookup_radio(struct scene *scene, json_object *cmd, const char *key,
                           struct complaint *c)
{
	const char *name = keys_str(cmd, key, "");
	struct radio *radio = radio_find(scene->air, name);

	if (!radio)
		(void)complain(c, key, "there is no radio \"%s\"", name);
	return radio;
}

struct controller *lookup_controller(struct scene *scene, json_object *cmd, const char *key,
                                     struct complaint *c)
{
	struct radio *radio = lookup_radio(scene, cmd, key, c);
	struct controller *ctl = radio ? controller_of(radio) : NULL;

	if (radio && !ctl)
		(void)complain(c, key, "\"%s\" is no controller", radio->name);
	return ctl;
}
