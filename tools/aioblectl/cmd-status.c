/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon has: status, adapters, connections, and what it offers to peers. JSON keys are the properties of the
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

/* hci0 before hci1, conn/9 before conn/10 */
static int by_path(const void *a, const void *b)
{
	return strverscmp(json_str(*(json_object *const *)a, "path"),
	                  json_str(*(json_object *const *)b, "path"));
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
	json_object_array_sort(list, by_path);
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

	table_init(&t, 10, "NUMBER", "ADDRESS", "TYPE", "ROLE", "MTU", "INTERVAL", "SECURITY",
	           "LIFETIME", "PATH", "BONDED");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);
		_cleanup_(text_free) struct text mtu = {0}, interval = {0};

		text_addf(&mtu, "%lld", (long long)json_int(o, "mtu"));
		text_addf(&interval, "%.2f ms", (double)json_int(o, "interval_us") / 1000);
		table_row(&t, conn_number(json_str(o, "path")), json_str(o, "address"),
		          json_str(o, "address_type"), json_str(o, "role"), text_str(&mtu),
		          text_str(&interval), security(o), json_str(o, "lifetime"),
		          json_str(o, "path"), json_flag(o, "bonded") ? "yes" : "no");
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

/* ---- our own services ---- */

/* The elements of a structure that came as a list, by name: NULL ends them */
static json_object *named(json_object *list, const char *const *names)
{
	json_object *o = json_object_new_object();

	for (size_t i = 0; names[i] && i < json_length(list); i++)
		json_object_object_add(o, names[i],
		                       json_object_get(json_object_array_get_idx(list, i)));
	if (sig_uuid_name(json_str(o, "uuid")))
		json_object_object_add(o, "name",
		                       json_object_new_string(sig_uuid_name(json_str(o, "uuid"))));
	return o;
}

/* A list of structures as one of objects; @parts: the key under which each has such a list itself, or NULL */
static json_object *all_named(json_object *list, const char *const *names, const char *parts,
                              json_object *(*part)(json_object *))
{
	json_object *out = json_object_new_array();

	for (size_t i = 0; i < json_length(list); i++) {
		json_object *o = named(json_object_array_get_idx(list, i), names);

		if (parts)
			json_object_object_add(o, parts, part(json_list(o, parts)));
		json_object_array_add(out, o);
	}
	return out;
}

static json_object *name_descriptors(json_object *list)
{
	static const char *const names[] = {"path", "uuid", "handle", NULL};

	return all_named(list, names, NULL, NULL);
}

static json_object *name_characteristics(json_object *list)
{
	static const char *const names[] = {"path",       "uuid",       "declaration", "handle",
	                                    "end_handle", "properties", "descriptors", NULL};

	return all_named(list, names, "descriptors", name_descriptors);
}

static json_object *name_services(json_object *list)
{
	static const char *const names[] = {
		"path", "uuid", "handle", "end_handle", "primary", "characteristics", NULL};

	return all_named(list, names, "characteristics", name_characteristics);
}

static const char *address_of(json_object *objects, const char *connection)
{
	return json_str(json_get(json_get(objects, connection), CTL_SERVICE ".Connection1"),
	                "Address");
}

static json_object *name_subscribers(json_object *objects, json_object *list)
{
	static const char *const names[] = {"characteristic", "connection", "notify", "indicate",
	                                    NULL};
	json_object *out = all_named(list, names, NULL, NULL);

	for (size_t i = 0; i < json_length(out); i++) {
		json_object *o = json_object_array_get_idx(out, i), *c;

		c = json_get(json_get(objects, json_str(o, "characteristic")),
		             CTL_SERVICE ".LocalCharacteristic1");
		json_object_object_add(o, "uuid", json_object_new_string(json_str(c, "Uuid")));
		json_object_object_add(o, "handle", json_object_new_int64(json_int(c, "Handle")));
		json_object_object_add(
			o, "address",
			json_object_new_string(address_of(objects, json_str(o, "connection"))));
	}
	return out;
}

static json_object *applications(struct ctl *c, json_object *objects)
{
	json_object *list = collect(c, objects, CTL_SERVICE ".Application1");

	for (size_t i = 0; i < json_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);

		json_object_object_add(o, "services", name_services(json_list(o, "services")));
		json_object_object_add(o, "subscribers",
		                       name_subscribers(objects, json_list(o, "subscribers")));
	}
	return list;
}

static size_t count_subscribers(json_object *list)
{
	size_t n = 0;

	for (size_t i = 0; i < json_length(list); i++)
		n += json_length(json_list(json_object_array_get_idx(list, i), "subscribers"));
	return n;
}

static const char *label(json_object *o)
{
	const char *name = sig_uuid_name(json_str(o, "uuid"));

	return name ? name : json_str(o, "uuid");
}

static size_t subscribers_below(json_object *app, json_object *service)
{
	json_object *list = json_list(app, "subscribers");
	size_t n = 0;

	for (size_t i = 0; i < json_length(list); i++) {
		int64_t handle = json_int(json_object_array_get_idx(list, i), "handle");

		n += handle >= json_int(service, "handle") &&
		     handle <= json_int(service, "end_handle");
	}
	return n;
}

static void add_services(struct table *t, json_object *app)
{
	json_object *list = json_list(app, "services");

	for (size_t i = 0; i < json_length(list); i++) {
		json_object *s = json_object_array_get_idx(list, i);
		_cleanup_(text_free) struct text handles = {0}, count = {0}, subscribers = {0};

		text_addf(&handles, "0x%04x-0x%04x", (unsigned)json_int(s, "handle"),
		          (unsigned)json_int(s, "end_handle"));
		text_addf(&count, "%zu", json_length(json_list(s, "characteristics")));
		text_addf(&subscribers, "%zu", subscribers_below(app, s));
		table_row(t, conn_number(json_str(app, "path")), json_str(app, "name"), label(s),
		          text_str(&handles), text_str(&count), text_str(&subscribers),
		          json_str(app, "lifetime"));
	}
}

static void print_applications(struct ctl *c, json_object *list)
{
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 7, "APPLICATION", "NAME", "SERVICE", "HANDLES", "CHARACTERISTICS",
	           "SUBSCRIBERS", "LIFETIME");
	for (size_t i = 0; i < json_length(list); i++)
		add_services(&t, json_object_array_get_idx(list, i));
	table_print(c, &t);
}

static void add_subscribers(struct table *t, json_object *app)
{
	json_object *list = json_list(app, "subscribers");

	for (size_t i = 0; i < json_length(list); i++) {
		json_object *s = json_object_array_get_idx(list, i);
		bool notify = json_flag(s, "notify"), indicate = json_flag(s, "indicate");
		_cleanup_(text_free) struct text handle = {0};

		text_addf(&handle, "0x%04x", (unsigned)json_int(s, "handle"));
		table_row(t, json_str(s, "address"), conn_number(json_str(s, "connection")),
		          text_str(&handle), label(s),
		          notify && indicate ? "notify,indicate"
		          : notify           ? "notify"
		                             : "indicate");
	}
}

static void print_subscribers(struct ctl *c, json_object *list)
{
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 5, "SUBSCRIBER", "CONNECTION", "HANDLE", "CHARACTERISTIC", "TO");
	for (size_t i = 0; i < json_length(list); i++)
		add_subscribers(&t, json_object_array_get_idx(list, i));
	table_print(c, &t);
}

static void print_advertisers(struct ctl *c, json_object *list)
{
	_cleanup_(table_free) struct table t = {0};

	table_init(&t, 6, "ADVERTISER", "STATE", "INTERVAL", "CONNECTABLE", "CONNECTIONS",
	           "LIFETIME");
	for (size_t i = 0; i < json_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);
		_cleanup_(text_free) struct text interval = {0}, count = {0};

		text_addf(&interval, "%.2f ms", (double)json_int(o, "interval_us") / 1000);
		text_addf(&count, "%lld", (long long)json_int(o, "connections"));
		table_row(&t, conn_number(json_str(o, "path")), json_str(o, "state"),
		          text_str(&interval), json_flag(o, "connectable") ? "yes" : "no",
		          text_str(&count), json_str(o, "lifetime"));
	}
	table_print(c, &t);
}

/* ---- status ---- */

static json_object *status(struct ctl *c, json_object *objects)
{
	json_object *manager = json_get(json_get(objects, CTL_ROOT), CTL_SERVICE ".Manager1");
	json_object *o = manager ? json_snake(manager) : json_object_new_object();

	json_object_object_add(o, "adapters", collect(c, objects, CTL_SERVICE ".Adapter1"));
	json_object_object_add(o, "connections", collect(c, objects, CTL_SERVICE ".Connection1"));
	json_object_object_add(o, "advertisers", collect(c, objects, CTL_SERVICE ".Advertiser1"));
	json_object_object_add(o, "applications", applications(c, objects));
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

static void print_part(struct ctl *c, json_object *list, size_t count,
                       void (*print)(struct ctl *, json_object *))
{
	if (!c->tty || !count)
		return;
	putchar('\n');
	print(c, list);
}

static void print_status(struct ctl *c, json_object *o)
{
	json_object *adapters = json_list(o, "adapters"),
		    *connections = json_list(o, "connections"),
		    *advertisers = json_list(o, "advertisers"),
		    *apps = json_list(o, "applications");
	size_t subscribers = count_subscribers(apps);

	printf("version\t%s\n", json_str(o, "version"));
	print_words("features", json_list(o, "features"));
	if (json_length(json_list(o, "warnings")))
		print_words("warnings", json_list(o, "warnings"));
	printf("adapters\t%zu\nconnections\t%zu\nadvertisers\t%zu\napplications\t%"
	       "zu\nsubscribers\t%zu\n",
	       json_length(adapters), json_length(connections), json_length(advertisers),
	       json_length(apps), subscribers);
	print_part(c, adapters, json_length(adapters), print_adapters);
	print_part(c, connections, json_length(connections), print_connections);
	print_part(c, advertisers, json_length(advertisers), print_advertisers);
	print_part(c, apps, json_length(apps), print_applications);
	print_part(c, apps, subscribers, print_subscribers);
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
