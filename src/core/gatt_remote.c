/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture of the peer's database. Each discovery has a number; what it sees is stamped with it,
 * and what it should have seen and did not is swept away at its end, so structs of attributes that
 * stay are never moved. Services do not overlap and are sorted, as are characteristics within a
 * service and descriptors within a characteristic; lists are searched from the end, because a
 * discovery adds there.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_priv.h"

void remote_init(struct gatt_client *gc)
{
	list_init(&gc->services);
	list_init(&gc->loose);
}

/* Numbers wrap after four thousand million discoveries; what matters is who came first. */
bool remote_is_older(uint32_t seen, uint32_t gen)
{
	return (int32_t)(seen - gen) < 0;
}

/* --- removal --- */

static void descriptor_free(struct gatt_client *gc, struct gatt_descriptor *d)
{
	list_del(&d->link);
	gc->n_attributes--;
	free(d);
}

static void characteristic_free(struct gatt_client *gc, struct gatt_characteristic *chr)
{
	struct gatt_descriptor *d, *next;

	list_for_each_safe (d, next, &chr->descriptors, link)
		descriptor_free(gc, d);
	list_del(&chr->link);
	gc->n_attributes -= 2; /* declaration and value */
	free(chr);
}

static void characteristics_free(struct gatt_client *gc, struct list *list)
{
	struct gatt_characteristic *chr, *next;

	list_for_each_safe (chr, next, list, link)
		characteristic_free(gc, chr);
}

static void service_free(struct gatt_client *gc, struct gatt_service *s)
{
	characteristics_free(gc, &s->characteristics);
	list_del(&s->link);
	gc->n_attributes--;
	free(s);
}

void remote_clear(struct gatt_client *gc)
{
	struct gatt_service *s, *next;

	list_for_each_safe (s, next, &gc->services, link)
		service_free(gc, s);
	characteristics_free(gc, &gc->loose);
}

/* --- lookup --- */

struct list *gatt_services(struct gatt_client *gc)
{
	return &gc->services;
}

/* The last service that starts at or before @handle. */
static struct gatt_service *service_before(struct gatt_client *gc, uint16_t handle)
{
	for (struct list *l = gc->services.prev; l != &gc->services; l = l->prev) {
		struct gatt_service *s = list_entry(l, struct gatt_service, link);

		if (s->handle <= handle)
			return s;
	}
	return NULL;
}

struct gatt_service *remote_service_at(struct gatt_client *gc, uint16_t handle)
{
	struct gatt_service *s = service_before(gc, handle);

	return s && handle <= s->end_handle ? s : NULL;
}

struct gatt_service *gatt_find_service(struct gatt_client *gc, uint16_t handle)
{
	struct gatt_service *s = remote_service_at(gc, handle);

	return s && s->handle == handle ? s : NULL;
}

/* The list that the characteristic of @handle would stand in. */
static struct list *characteristics_at(struct gatt_client *gc, uint16_t handle)
{
	struct gatt_service *s = remote_service_at(gc, handle);

	return s ? &s->characteristics : &gc->loose;
}

static struct gatt_characteristic *characteristic_before(struct list *list, uint16_t handle)
{
	for (struct list *l = list->prev; l != list; l = l->prev) {
		struct gatt_characteristic *chr = list_entry(l, struct gatt_characteristic, link);

		if (chr->declaration <= handle)
			return chr;
	}
	return NULL;
}

struct gatt_characteristic *remote_characteristic_at(struct gatt_client *gc, uint16_t handle)
{
	return characteristic_before(characteristics_at(gc, handle), handle);
}

struct gatt_characteristic *gatt_find_characteristic(struct gatt_client *gc, uint16_t value_handle)
{
	struct gatt_characteristic *chr = remote_characteristic_at(gc, value_handle);

	return chr && chr->handle == value_handle ? chr : NULL;
}

struct gatt_characteristic *remote_declared_at(struct gatt_client *gc, uint16_t declaration)
{
	struct gatt_characteristic *chr = remote_characteristic_at(gc, declaration);

	return chr && chr->declaration == declaration ? chr : NULL;
}

static struct gatt_characteristic *first_of_uuid(struct list *list, const struct uuid *uuid)
{
	struct gatt_characteristic *chr;

	list_for_each (chr, list, link)
		if (uuid_equal(&chr->uuid, uuid))
			return chr;
	return NULL;
}

struct gatt_characteristic *gatt_find_characteristic_uuid(struct gatt_client *gc,
                                                          const struct uuid *uuid)
{
	struct gatt_characteristic *chr = NULL, *loose = first_of_uuid(&gc->loose, uuid);
	struct gatt_service *s;

	list_for_each (s, &gc->services, link) {
		chr = first_of_uuid(&s->characteristics, uuid);
		if (chr)
			break;
	}
	if (chr && loose)
		return loose->handle < chr->handle ? loose : chr;
	return chr ? chr : loose;
}

struct gatt_descriptor *gatt_find_descriptor(struct gatt_client *gc, uint16_t handle)
{
	struct gatt_characteristic *chr = remote_characteristic_at(gc, handle);
	struct gatt_descriptor *d;

	if (!chr)
		return NULL;
	list_for_each (d, &chr->descriptors, link)
		if (d->handle == handle)
			return d;
	return NULL;
}

/* --- writing --- */

static int count_new(struct gatt_client *gc, size_t n)
{
	if (gc->n_attributes + n > GATT_ATTRIBUTES_MAX)
		return -ENOBUFS;
	gc->n_attributes += n;
	return 0;
}

static struct gatt_characteristic *characteristic_after(struct list *list,
                                                        const struct gatt_characteristic *chr)
{
	return chr->link.next == list
	               ? NULL
	               : list_entry(chr->link.next, struct gatt_characteristic, link);
}

static struct list *list_of(struct gatt_client *gc, const struct gatt_characteristic *chr)
{
	return chr->service ? &chr->service->characteristics : &gc->loose;
}

/* Two characteristics cannot share a handle: what is new is right. */
static void make_room(struct gatt_client *gc, struct list *list, uint16_t declaration,
                      uint16_t value)
{
	struct gatt_characteristic *chr;

	while ((chr = characteristic_before(list, value)) && chr->handle >= declaration)
		characteristic_free(gc, chr);
}

/* It ends where the next begins, and the one before ends where it begins. */
static void settle_ends(struct gatt_client *gc, struct gatt_characteristic *chr)
{
	struct list *list = list_of(gc, chr);
	struct gatt_characteristic *before = characteristic_before(list, chr->declaration - 1);
	struct gatt_characteristic *after = characteristic_after(list, chr);

	if (before && before->end_handle >= chr->declaration)
		remote_set_end(gc, before, chr->declaration - 1);
	if (after && chr->end_handle >= after->declaration)
		remote_set_end(gc, chr, after->declaration - 1);
}

/* Into the list of @service (NULL: the loose ones), from no list. */
static void place_characteristic(struct gatt_client *gc, struct gatt_service *service,
                                 struct gatt_characteristic *chr)
{
	struct list *list = service ? &service->characteristics : &gc->loose;
	struct gatt_characteristic *before;

	make_room(gc, list, chr->declaration, chr->handle);
	before = characteristic_before(list, chr->declaration);
	chr->service = service;
	list_add_head(before ? &before->link : list, &chr->link);
	if (service && chr->end_handle > service->end_handle)
		remote_set_end(gc, chr, service->end_handle);
	settle_ends(gc, chr);
}

/* Characteristics that were found before their service was, or stood in one that is gone. */
static void adopt_loose(struct gatt_client *gc, struct gatt_service *s)
{
	struct gatt_characteristic *chr, *next;

	list_for_each_safe (chr, next, &gc->loose, link) {
		if (chr->declaration < s->handle || chr->declaration > s->end_handle)
			continue;
		if (chr->handle > s->end_handle) {
			characteristic_free(gc, chr);
			continue;
		}
		list_del(&chr->link);
		place_characteristic(gc, s, chr);
	}
}

/* The service's end moved: what lies behind it is not part of it any more. */
static void trim_service(struct gatt_client *gc, struct gatt_service *s)
{
	struct gatt_characteristic *chr, *next;

	list_for_each_safe (chr, next, &s->characteristics, link) {
		if (chr->handle > s->end_handle)
			characteristic_free(gc, chr);
		else if (chr->end_handle > s->end_handle)
			remote_set_end(gc, chr, s->end_handle);
	}
}

/* The service is gone, but what this discovery has found at its handles is not. */
static void service_replaced(struct gatt_client *gc, uint32_t gen, struct gatt_service *s)
{
	struct gatt_characteristic *chr, *next;

	list_for_each_safe (chr, next, &s->characteristics, link) {
		if (remote_is_older(chr->seen, gen))
			continue;
		list_del(&chr->link);
		place_characteristic(gc, NULL, chr);
	}
	service_free(gc, s);
}

/*
 * Return: 0 and perhaps the same service as before in @ret; -EBADMSG when this discovery
 * contradicts itself.
 */
static int evict_overlapping(struct gatt_client *gc, uint32_t gen, struct att_range range,
                             const struct uuid *uuid, struct gatt_service **ret)
{
	struct gatt_service *s;
	struct list *l, *prev;

	*ret = NULL;
	for (l = gc->services.prev; l != &gc->services; l = prev) {
		prev = l->prev;
		s = list_entry(l, struct gatt_service, link);
		if (s->handle > range.end)
			continue;
		if (s->end_handle < range.start)
			break;
		if (s->handle == range.start && uuid_equal(&s->uuid, uuid))
			*ret = s;
		else if (s->seen == gen)
			return -EBADMSG;
		else
			service_replaced(gc, gen, s);
	}
	return 0;
}

static int service_new(struct gatt_client *gc, struct att_range range, const struct uuid *uuid,
                       struct gatt_service **ret)
{
	struct gatt_service *s, *before = service_before(gc, range.start);
	int r = count_new(gc, 1);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s) {
		gc->n_attributes--;
		return -ENOMEM;
	}
	list_init(&s->link);
	list_init(&s->characteristics);
	s->uuid = *uuid;
	s->handle = range.start;
	list_add_head(before ? &before->link : &gc->services, &s->link);
	*ret = s;
	return 0;
}

int remote_service(struct gatt_client *gc, uint32_t gen, struct att_range range,
                   const struct uuid *uuid, bool primary, struct gatt_service **ret)
{
	struct gatt_service *s;
	int r = evict_overlapping(gc, gen, range, uuid, &s);

	if (r == 0 && !s)
		r = service_new(gc, range, uuid, &s);
	if (r < 0)
		return r;
	if (s->end_handle != range.end)
		s->characteristics_known = false;
	s->end_handle = range.end;
	s->primary = primary;
	s->seen = gen;
	trim_service(gc, s);
	adopt_loose(gc, s);
	*ret = s;
	return 0;
}

static int characteristic_new(struct gatt_client *gc, struct gatt_service *service,
                              const struct remote_decl *decl, struct gatt_characteristic **ret)
{
	struct gatt_characteristic *chr;
	int r = count_new(gc, 2);

	if (r < 0)
		return r;
	chr = calloc(1, sizeof(*chr));
	if (!chr) {
		gc->n_attributes -= 2;
		return -ENOMEM;
	}
	list_init(&chr->link);
	list_init(&chr->descriptors);
	chr->uuid = decl->uuid;
	chr->declaration = decl->declaration;
	chr->handle = decl->value;
	chr->end_handle = service ? service->end_handle : ATT_HANDLE_MAX;
	place_characteristic(gc, service, chr);
	*ret = chr;
	return 0;
}

int remote_characteristic(struct gatt_client *gc, uint32_t gen, struct gatt_service *service,
                          const struct remote_decl *decl, struct gatt_characteristic **ret)
{
	struct gatt_characteristic *chr = remote_declared_at(gc, decl->declaration);
	int r = 0;

	if (!chr || chr->handle != decl->value || !uuid_equal(&chr->uuid, &decl->uuid))
		r = characteristic_new(gc, service, decl, &chr);
	if (r < 0)
		return r;
	chr->properties = decl->properties;
	chr->seen = gen;
	*ret = chr;
	return 0;
}

void remote_set_end(struct gatt_client *gc, struct gatt_characteristic *chr, uint16_t end)
{
	struct list *list = list_of(gc, chr);
	struct gatt_characteristic *after;
	struct gatt_descriptor *d, *next;

	while ((after = characteristic_after(list, chr)) && after->declaration <= end)
		characteristic_free(gc, after);
	if (chr->end_handle < end)
		chr->descriptors_known = false;
	chr->end_handle = end;
	list_for_each_safe (d, next, &chr->descriptors, link)
		if (d->handle > end)
			descriptor_free(gc, d);
}

/* The last descriptor at or before @handle. */
static struct gatt_descriptor *descriptor_before(struct gatt_characteristic *chr, uint16_t handle)
{
	for (struct list *l = chr->descriptors.prev; l != &chr->descriptors; l = l->prev) {
		struct gatt_descriptor *d = list_entry(l, struct gatt_descriptor, link);

		if (d->handle <= handle)
			return d;
	}
	return NULL;
}

int remote_descriptor(struct gatt_client *gc, uint32_t gen, struct gatt_characteristic *chr,
                      uint16_t handle, const struct uuid *uuid)
{
	struct gatt_descriptor *d, *before = descriptor_before(chr, handle);
	int r;

	if (before && before->handle == handle) {
		before->uuid = *uuid;
		before->seen = gen;
		return 0;
	}
	r = count_new(gc, 1);
	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d) {
		gc->n_attributes--;
		return -ENOMEM;
	}
	*d = (struct gatt_descriptor){
		.characteristic = chr, .uuid = *uuid, .handle = handle, .seen = gen};
	list_init(&d->link);
	list_add_head(before ? &before->link : &chr->descriptors, &d->link);
	return 0;
}

/* --- sweeping --- */

void remote_sweep_descriptors(struct gatt_client *gc, uint32_t gen, struct gatt_characteristic *chr)
{
	struct gatt_descriptor *d, *next;

	list_for_each_safe (d, next, &chr->descriptors, link)
		if (remote_is_older(d->seen, gen))
			descriptor_free(gc, d);
}

static void sweep_characteristics(struct gatt_client *gc, uint32_t gen, struct list *list,
                                  const struct uuid *uuid)
{
	struct gatt_characteristic *chr, *next;

	list_for_each_safe (chr, next, list, link)
		if (remote_is_older(chr->seen, gen) && (!uuid || uuid_equal(&chr->uuid, uuid)))
			characteristic_free(gc, chr);
}

void remote_sweep_characteristics(struct gatt_client *gc, uint32_t gen,
                                  struct gatt_service *service, const struct uuid *uuid)
{
	sweep_characteristics(gc, gen, &service->characteristics, uuid);
}

void remote_sweep_services(struct gatt_client *gc, uint32_t gen, const struct uuid *uuid)
{
	struct gatt_service *s, *next;

	list_for_each_safe (s, next, &gc->services, link)
		if (s->primary && remote_is_older(s->seen, gen) &&
		    (!uuid || uuid_equal(&s->uuid, uuid)))
			service_free(gc, s);
}

void remote_sweep_outline(struct gatt_client *gc, uint32_t gen)
{
	struct gatt_service *s, *next;

	list_for_each_safe (s, next, &gc->services, link) {
		if (remote_is_older(s->seen, gen))
			service_free(gc, s);
		else
			sweep_characteristics(gc, gen, &s->characteristics, NULL);
	}
	characteristics_free(gc, &gc->loose); /* nothing can stand outside of every service */
}

void remote_sweep_all(struct gatt_client *gc, uint32_t gen)
{
	struct gatt_service *s;
	struct gatt_characteristic *chr;

	remote_sweep_outline(gc, gen);
	list_for_each (s, &gc->services, link) {
		/* a newer discovery is at work on it */
		if (s->seen != gen)
			continue;
		s->characteristics_known = true;
		list_for_each (chr, &s->characteristics, link) {
			remote_sweep_descriptors(gc, gen, chr);
			chr->descriptors_known = true;
		}
	}
}
