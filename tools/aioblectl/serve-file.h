/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of aioblectl serve: a peripheral as data. Reading it needs no daemon, and finds everything that one would
 * refuse; each mistake is told with its line and the path to it. The words are those of Adapter1.RegisterServices and
 * Adapter1.Advertise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/adv.h"
#include "aiobled/uuid.h"
#include "place.h"
#include "text.h"
#include "value.h"

#define SERVE_FILE_MAX   (256 * 1024) /* bytes */
#define SERVE_ERRORS_MAX 20           /* told at once; the rest is counted */

/* A characteristic or a descriptor. */
struct serve_attr {
	char *id; /* what the user calls it; NULL: nothing */
	struct uuid uuid;
	uint16_t handle, max_len, key_size; /* 0: not given */
	uint16_t at;                        /* its handle when nobody else has services */
	bool read, write, write_no_response, notify, indicate, capture, append, truncate;
	char *read_security, *write_security;
	struct value_format format;
	struct text initial; /* bytes */
	bool has_initial;
	struct serve_attr *descriptors;
	size_t n_descriptors;

	/* where it stands, and what is read when the rest is known */
	const struct place *place, *uuid_place, *handle_place, *format_place, *initial_place;
	const struct place *description_place, *presentation_place;
};

struct serve_service {
	char *id;
	struct uuid uuid;
	bool secondary;
	uint16_t handle;    /* 0: not given */
	uint16_t at, end;   /* its handles when nobody else has services */
	uint16_t *includes; /* indexes of services */
	size_t n_includes;
	struct serve_attr *characteristics;
	size_t n_characteristics;

	const struct place *place, *uuid_place, *handle_place, *includes_place;
};

/* Bytes under a company or a UUID */
struct serve_record {
	uint16_t company;
	struct uuid uuid;
	struct value_format format;
	struct text data;

	const struct place *place, *key_place, *format_place, *data_place;
};

struct serve_adv {
	bool on;
	uint32_t interval_us, timeout_ms;
	char *name; /* NULL or "": none */
	uint16_t appearance;
	bool connectable, keep, limited_disc, br_edr, extended;
	char *secondary_phy;
	struct uuid *services;
	size_t n_services;
	struct serve_record *manufacturer, *service_data;
	size_t n_manufacturer, n_service_data;
	bool has_tx_power;
	int8_t tx_power;
	struct text adv_data, resp_data; /* raw */
	struct adv_payload payload;      /* what comes of it */

	const struct place *place, *name_place, *appearance_place, *services_place, *tx_power_place;
	const struct place *secondary_phy_place;
	const struct place *adv_data_place, *resp_data_place;
};

struct serve_file {
	char *name; /* of the device; NULL: not given */
	uint16_t appearance;
	bool has_appearance;
	uint32_t queue; /* 0: not given */
	struct serve_service *services;
	size_t n_services;
	struct serve_adv adv;

	char *source;       /* the text, which the places look into */
	struct place *tree; /* NULL when it is no JSON */
	const struct place *services_place;
};

struct serve_error {
	unsigned int line, column;
	char *path; /* "services[0].uuid"; "" where that says nothing */
	char *text;
};

struct serve_errors {
	struct serve_error list[SERVE_ERRORS_MAX];
	size_t count; /* may exceed what the list holds */
};

/**
 * serve_file_parse() - read and check
 * @ret:    initialised in any case; free it
 * @errors: zeroed by the caller; added to, in the order of the text
 *
 * Return: 0, or -EINVAL with at least one error.
 */
int serve_file_parse(const char *s, size_t len, struct serve_file *ret,
                     struct serve_errors *errors);

void serve_file_free(struct serve_file *f);
void serve_errors_free(struct serve_errors *e);

/**
 * serve_file_place() - what stands at a path such as "services[0].initial", or the nearest thing around it
 *
 * Return: NULL without a tree.
 */
const struct place *serve_file_place(const struct serve_file *f, const char *path);

/** serve_file_characteristics() - how many there are */
size_t serve_file_characteristics(const struct serve_file *f);
