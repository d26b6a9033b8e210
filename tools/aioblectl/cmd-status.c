/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon has: status, adapters, connections. JSON keys are the properties of the
 * interfaces in lower case with underscores.
 */
#include "ctl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "output.h"
#include "peer.h"
#include "sig.h"
#include "text.h"

static bool wanted(struct ctl *c, json_object *adapter)
{
	return !*c->adapter || strcasecmp(c->adapter, json_str(adapter, "Address")) == 0 ||
	       strcmp(c->adapter, json_str(adapter, "Name")) == 0;
}

/* A list of {path, properties...} of all objects with this interface, on the adapter of -a */
static json_object *collect(struct ctl *c, json_object *objects, const char *iface)
{
	json_object *list = json_object_new_array();

	json_object_object_foreach (objects, path, interfaces) {
		json_object *properties = json_get(interfaces, iface), *adapter = properties, *o;

		if (!properties)
			continue;
		if (strcmp(iface, CTL_SERVICE ".Adapter1") != 0)
			adapter = json_get(json_get(objects, json_str(properties, "Adapter")),
			                   CTL_SERVICE ".Adapter1");
		if (!wanted(c, adapter))
			continue;
		o = json_snake(properties);
		json_object_object_add(o, "path", json_object_new_string(path));
		json_object_array_add(list, o);
	}
	return list;
}

static void print_adapters(struct ctl *c, json_object *list)
{
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 7, "NAME", "ADDRESS", "TYPE", "STATE", "LINKS", "SCANNING", "REMARK");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *a = json_object_array_get_idx(list, i);
		const char *remark =
			*json_str(a, "reason") ? json_str(a, "reason") : json_str(a, "conflict");
		_cleanup_(text_free) struct text links = {0};

		text_addf(&links, "%lld", (long long)json_int(a, "links_in_use"));
		table_row(&t, json_str(a, "name"), json_str(a, "address"),
		          json_str(a, "address_type"), json_str(a, "state"), text_str(&links),
		          json_flag(a, "scanning") ? "yes" : "no", remark);
	}
	table_print(c, &t);
}

static const char *security(json_object *conn)
{
	if (!json_flag(conn, "encrypted"))
		return "open";
	return json_flag(conn, "authenticated") ? "authenticated" : "encrypted";
}

static void print_connections(struct ctl *c, json_object *list)
{
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 9, "NUMBER", "ADDRESS", "TYPE", "ROLE", "MTU", "INTERVAL", "SECURITY",
	           "LIFETIME", "PATH");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);
		_cleanup_(text_free) struct text mtu = {0}, interval = {0};

		text_addf(&mtu, "%lld", (long long)json_int(o, "mtu"));
		text_addf(&interval, "%.2f ms", (double)json_int(o, "interval_us") / 1000);
		table_row(&t, conn_number(json_str(o, "path")), json_str(o, "address"),
		          json_str(o, "address_type"), json_str(o, "role"), text_str(&mtu),
		          text_str(&interval), security(o), json_str(o, "lifetime"),
		          json_str(o, "path"));
	}
	table_print(c, &t);
}

static int begin(struct ctl *c, int argc, char **argv, json_object **ret_objects)
{
	int r = ctl_no_options(c, argc, argv);

	if (!r && optind < argc)
		r = ctl_usage(c, "too many arguments at '%s'", argv[optind]);
	if (!r)
		r = ctl_connect_bus(c);
	return r ? r : ctl_objects(c, ret_objects);
}

static int list(struct ctl *c, int argc, char **argv, const char *iface,
                void (*print)(struct ctl *, json_object *))
{
	_cleanup_(json_putp) json_object *objects = NULL, *found = NULL;
	int r = begin(c, argc, argv, &objects);

	if (r)
		return r;
	found = collect(c, objects, iface);
	if (c->json != JSON_OFF)
		out_document(c, found);
	else
		print(c, found);
	if (*c->adapter && strcmp(iface, CTL_SERVICE ".Adapter1") == 0 &&
	    json_object_array_length(found) == 0)
		return ctl_fail(c, CTL_NO_ADAPTER, "NotFound", NULL, "no adapter %s", c->adapter);
	return 0;
}

int cmd_adapters(struct ctl *c, int argc, char **argv)
{
	return list(c, argc, argv, CTL_SERVICE ".Adapter1", print_adapters);
}

int cmd_connections(struct ctl *c, int argc, char **argv)
{
	return list(c, argc, argv, CTL_SERVICE ".Connection1", print_connections);
}

static json_object *status(struct ctl *c, json_object *objects)
{
	json_object *manager = json_get(json_get(objects, CTL_ROOT), CTL_SERVICE ".Manager1");
	json_object *o = manager ? json_snake(manager) : json_object_new_object();

	json_object_object_add(o, "adapters", collect(c, objects, CTL_SERVICE ".Adapter1"));
	json_object_object_add(o, "connections", collect(c, objects, CTL_SERVICE ".Connection1"));
	return o;
}

static void print_words(const char *label, json_object *words)
{
	_cleanup_(text_free) struct text t = {0};

	for (size_t i = 0; i < json_length(words); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(words, i));

		text_adds(&t, i ? ", " : "");
		text_safe(&t, s ? s : "", s ? strlen(s) : 0);
	}
	printf("%s\t%s\n", label, text_str(&t));
}

static void print_status(struct ctl *c, json_object *o)
{
	json_object *adapters = json_list(o, "adapters"),
		    *connections = json_list(o, "connections");

	printf("version\t%s\n", json_str(o, "version"));
	print_words("features", json_list(o, "features"));
	if (json_length(json_list(o, "warnings")))
		print_words("warnings", json_list(o, "warnings"));
	printf("adapters\t%zu\nconnections\t%zu\n", json_length(adapters),
	       json_length(connections));
	if (c->tty && json_length(adapters)) {
		putchar('\n');
		print_adapters(c, adapters);
	}
	if (c->tty && json_length(connections)) {
		putchar('\n');
		print_connections(c, connections);
	}
}

/* The root is not in GetManagedObjects, which lists what is below it */
static int add_manager(struct ctl *c, json_object *objects)
{
	json_object *interfaces = json_object_new_object(), *properties = NULL;
	int r = ctl_properties(c, CTL_ROOT, "Manager1", "status", &properties);

	json_object_object_add(interfaces, CTL_SERVICE ".Manager1", properties);
	json_object_object_add(objects, CTL_ROOT, interfaces);
	return r;
}

int cmd_status(struct ctl *c, int argc, char **argv)
{
	_cleanup_(json_putp) json_object *objects = NULL, *o = NULL;
	int r = begin(c, argc, argv, &objects);

	if (!r)
		r = add_manager(c, objects);
	if (r)
		return r;
	o = status(c, objects);
	if (c->json != JSON_OFF)
		out_document(c, o);
	else
		print_status(c, o);
	return 0;
}
