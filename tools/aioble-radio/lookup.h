/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Radios and controllers by the names in a command's keys. */
#pragma once

#include "command.h"

struct controller;
struct radio;

/** lookup_radio() - NULL with *@c filled in when the key is there and names none */
struct radio *lookup_radio(struct scene *scene, json_object *cmd, const char *key,
                           struct complaint *c);
struct controller *lookup_controller(struct scene *scene, json_object *cmd, const char *key,
                                     struct complaint *c);
