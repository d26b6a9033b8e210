/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats, both ways. Reading never trusts the length; what a format does not cover is an error,
 * not silence.
 */
#include "value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number's text with room for 64 bits in decimal, or a mantissa with an exponent */
#define NUMBER_MAX 48

/* ---- formats ---- */

static const struct {
	const char *name;
	struct value_field field;
} plain_formats[] = {
	{"smart", {VALUE_SMART, 0, false}},
	{"hex", {VALUE_HEX, 0, false}},
	{"base64", {VALUE_BASE64, 0, false}},
	{"text", {VALUE_TEXT, 0, false}},
	{"raw", {VALUE_RAW, 0, false}},
	{"ieee11073", {VALUE_IEEE11073, 4, false}},
	{"ieee11073-16", {VALUE_IEEE11073, 2, false}},
};

const char *value_format_names(void)
{
	return "hex, base64, text, raw, u8 to u64, i8 to i64, f32, f64 (le or be at the end, "
	       "default le), ieee11073, "
	       "ieee11073-16, or a list of them";
}

static bool size_allowed(enum value_kind kind, unsigned long bits)
{
	if (kind == VALUE_FLOAT)
		return bits == 32 || bits == 64;
	return bits >= 8 && bits <= 64 && bits % 8 == 0;
}

/* u16le and its kind: letter, bits, byte order */
static int number_format_parse(const char *s, struct value_field *ret)
{
	static const char letters[] = "uif";
	static const enum value_kind kinds[] = {VALUE_UINT, VALUE_INT, VALUE_FLOAT};
	const char *letter = *s ? strchr(letters, *s) : NULL;
	unsigned long bits;
	char *end;

	if (!letter || s[1] < '1' || s[1] > '9')
		return -EINVAL;
	bits = strtoul(s + 1, &end, 10);
	ret->kind = kinds[letter - letters];
	if (!size_allowed(ret->kind, bits))
		return -EINVAL;
	ret->size = (uint8_t)(bits / 8);
	ret->big_endian = strcmp(end, "be") == 0;
	return ret->big_endian || strcmp(end, "le") == 0 || *end == 0 ? 0 : -EINVAL;
}

static int field_parse(const char *s, struct value_field *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_formats); i++) {
		if (strcmp(s, plain_formats[i].name) != 0)
			continue;
		*ret = plain_formats[i].field;
		return 0;
	}
	return number_format_parse(s, ret);
}

int value_format_parse(const char *text, struct value_format *ret)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct value_format f = {.count = 0};
	char *rest = copy, *name;

	while (rest && (name = strsep(&rest, ","))) {
		if (f.count == VALUE_FIELDS_MAX || field_parse(name, &f.fields[f.count]) < 0)
			return -EINVAL;
		f.count++;
		if (rest && f.fields[f.count - 1].size == 0)
			return -EINVAL; /* nothing can follow what takes the rest */
	}
	if (!f.count)
		return -EINVAL;
	*ret = f;
	return 0;
}

/* The last field repeats */
static const struct value_field *field_at(const struct value_format *f, size_t i)
{
	return &f->fields[MIN(i, f->count - 1)];
}

/* ---- bytes and numbers ---- */

static uint64_t load(const struct value_field *f, const uint8_t *p)
{
	uint64_t v = 0;

	for (size_t i = 0; i < f->size; i++)
		v = v << 8 | p[f->big_endian ? i : f->size - 1U - i];
	return v;
}

static void store(const struct value_field *f, uint64_t v, struct text *ret)
{
	uint8_t b[8];

	for (size_t i = 0; i < f->size; i++, v >>= 8)
		b[f->big_endian ? f->size - 1U - i : i] = v & 0xff;
	text_add(ret, b, f->size);
}

static int64_t sign_extend(uint64_t v, unsigned bits)
{
	uint64_t sign = 1ULL << (bits - 1);

	return (int64_t)((v ^ sign) - sign); /* wraps as wanted for 64 bits too */
}

/* The shortest decimal that reads back as the same number */
static void float_text(double v, bool is_single, char *buf)
{
	if (isnan(v) || isinf(v)) {
		(void)snprintf(buf, NUMBER_MAX, "%s",
		               isnan(v) ? "nan"
		               : v < 0  ? "-inf"
		                        : "inf"); /* fits, as below */
		return;
	}
	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(buf, NUMBER_MAX, "%.*g", digits, v);
		if (is_single ? strtof(buf, NULL) == (float)v : strtod(buf, NULL) == v)
			return;
	}
}

static double float_load(const struct value_field *f, const uint8_t *p)
{
	uint64_t v = load(f, p);
	uint32_t v32 = (uint32_t)v;
	double d;
	float s;

	if (f->size == 4) {
		memcpy(&s, &v32, sizeof(s));
		return s;
	}
	memcpy(&d, &v, sizeof(d));
	return d;
}

/*
 * IEEE 11073-20601: a mantissa and a power of ten, both two's complement. FLOAT-Type has 24 and 8
 * bits, SFLOAT-Type 12 and 4. Five mantissas at the ends of the range, all with exponent 0, are no
 * numbers.
 */
struct medical {
	unsigned mantissa_bits;
	int exp_min, exp_max;
};

static struct medical medical(const struct value_field *f)
{
	return f->size == 4 ? (struct medical){24, -128, 127} : (struct medical){12, -8, 7};
}

/* The special mantissas, counted from the largest positive number: ...fe, ...ff,
 * then 80..., 81..., 82... */
static const char *const medical_names[] = {"inf", "nan", "nres", "reserved", "-inf"};

static const char *medical_special(struct medical m, uint64_t raw)
{
	uint64_t first = (1ULL << (m.mantissa_bits - 1)) - 2;

	return raw >= first && raw - first < ARRAY_SIZE(medical_names) ? medical_names[raw - first]
	                                                               : NULL;
}

static void medical_text(const struct value_field *f, const uint8_t *p, char *buf)
{
	struct medical m = medical(f);
	uint64_t raw = load(f, p);
	const char *special = medical_special(m, raw);
	long mantissa = (long)sign_extend(raw & ((1ULL << m.mantissa_bits) - 1), m.mantissa_bits);
	int exponent = (int)sign_extend(raw >> m.mantissa_bits, f->size * 8U - m.mantissa_bits);
	long scale = 1;

	if (special) {
		(void)snprintf(buf, NUMBER_MAX, "%s", special); /* fits, as below */
	} else if (exponent == 0 || exponent < -9 || exponent > 0) {
		(void)snprintf(buf, NUMBER_MAX, exponent ? "%lde%d" : "%ld", mantissa, exponent);
	} else {
		for (int i = exponent; i < 0; i++)
			scale *= 10;
		(void)snprintf(buf, NUMBER_MAX, "%s%ld.%0*ld", mantissa < 0 ? "-" : "",
		               labs(mantissa) / scale, -exponent, labs(mantissa) % scale);
	}
}

static void number_text(const struct value_field *f, const uint8_t *p, char *buf)
{
	uint64_t v = load(f, p);

	if (f->kind == VALUE_UINT)
		(void)snprintf(buf, NUMBER_MAX, "%llu", (unsigned long long)v); /* fits, as below */
	else if (f->kind == VALUE_INT)
		(void)snprintf(buf, NUMBER_MAX, "%lld", (long long)sign_extend(v, f->size * 8U));
	else if (f->kind == VALUE_FLOAT)
		float_text(float_load(f, p), f->size == 4, buf);
	else
		medical_text(f, p, buf);
}

/* ---- to text ---- */

static void base64_print(const uint8_t *p, size_t len, struct text *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	text_add(ret, "", 0);
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? p[i + 1] << 8 : 0) |
		             (i + 2 < len ? p[i + 2] : 0);
		char quad[4] = {digits[v >> 18], digits[v >> 12 & 63],
		                i + 1 < len ? digits[v >> 6 & 63] : '=',
		                i + 2 < len ? digits[v & 63] : '='};

		text_add(ret, quad, sizeof(quad));
	}
}

/* Worth showing as text: two characters or more that all print */
static bool printable(const char *s, size_t len)
{
	size_t count = 0;
	uint32_t ch;

	for (size_t i = 0; i < len; count++) {
		size_t n = utf8_next(s + i, len - i, &ch);

		if (ch == 0xfffd || utf8_dangerous(ch))
			return false;
		i += n;
	}
	return count >= 2;
}

static void rest_print(enum value_kind kind, const uint8_t *p, size_t len, bool terminal,
                       struct text *ret)
{
	if (kind == VALUE_BASE64) {
		base64_print(p, len, ret);
	} else if (kind == VALUE_TEXT) {
		text_safe(ret, (const char *)p, len);
	} else if (kind == VALUE_RAW) {
		text_add(ret, p, len);
	} else {
		text_hex(ret, p, len);
		if (kind == VALUE_SMART && terminal && !len)
			text_adds(ret, "(empty)");
		if (kind == VALUE_SMART && terminal && printable((const char *)p, len)) {
			text_adds(ret, "  \"");
			text_safe(ret, (const char *)p, len);
			text_adds(ret, "\"");
		}
	}
}

int value_print(const struct value_format *f, const void *data, size_t len, bool terminal,
                struct text *ret)
{
	const uint8_t *p = len ? data : (const uint8_t *)""; /* no value may come as NULL */

	text_add(ret, "", 0);
	for (size_t i = 0, used = 0; used < len || (i == 0 && f->fields[0].size == 0); i++) {
		const struct value_field *field = field_at(f, i);
		char number[NUMBER_MAX];

		if (i)
			text_adds(ret, " ");
		if (!field->size) {
			rest_print(field->kind, p + used, len - used, terminal, ret);
			break;
		}
		if (len - used < field->size)
			return -EBADMSG;
		number_text(field, p + used, number);
		text_adds(ret, number);
		used += field->size;
	}
	return 0;
}

/* JSON knows no nan and no infinity: those are strings */
static json_object *number_json(const struct value_field *f, const uint8_t *p)
{
	char number[NUMBER_MAX];

	number_text(f, p, number);
	if (f->kind == VALUE_UINT)
		return json_object_new_uint64(load(f, p));
	if (f->kind == VALUE_INT)
		return json_object_new_int64(sign_extend(load(f, p), f->size * 8U));
	if (strspn(number, "0123456789+-.e") != strlen(number))
		return json_object_new_string(number);
	return json_object_new_double_s(strtod(number, NULL), number);
}

static json_object *rest_json(enum value_kind kind, const uint8_t *p, size_t len)
{
	_cleanup_(text_free) struct text t = {0};

	if (kind == VALUE_TEXT && !utf8_valid(p, len))
		return NULL;
	if (kind == VALUE_TEXT)
		return json_object_new_string_len((const char *)p, (int)len);
	rest_print(kind == VALUE_BASE64 ? kind : VALUE_HEX, p, len, false, &t);
	return json_object_new_string(text_str(&t));
}

json_object *value_json(const struct value_format *f, const void *data, size_t len)
{
	json_object *list = json_object_new_array(), *only;
	const uint8_t *p = len ? data : (const uint8_t *)""; /* no value may come as NULL */

	for (size_t i = 0, used = 0; used < len || (i == 0 && f->fields[0].size == 0); i++) {
		const struct value_field *field = field_at(f, i);

		if (!field->size) {
			json_object_array_add(list, rest_json(field->kind, p + used, len - used));
			break;
		}
		if (len - used < field->size) {
			(void)json_object_put(list); /* the only reference */
			return NULL;
		}
		json_object_array_add(list, number_json(field, p + used));
		used += field->size;
	}
	if (json_object_array_length(list) != 1)
		return list;
	only = json_object_get(json_object_array_get_idx(list, 0));
	(void)json_object_put(list); /* the only reference; the element has its own */
	return only;
}

/* ---- from text ---- */

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* Pairs of digits; blanks, commas, colons and dashes may stand between pairs, 0x before one */
static int hex_parse(const char *s, size_t len, struct text *ret, struct text *why)
{
	for (size_t i = 0; i < len;) {
		uint8_t b;

		if (strchr(" \t\r\n,:-", s[i]) && s[i]) {
			i++;
			continue;
		}
		if (i + 1 < len && s[i] == '0' && (s[i + 1] == 'x' || s[i + 1] == 'X')) {
			i += 2;
			if (i >= len)
				break;
		}
		if (hex_digit(s[i]) < 0 || i + 1 >= len || hex_digit(s[i + 1]) < 0) {
			text_adds(why, "not pairs of hexadecimal digits");
			return -EINVAL;
		}
		b = (uint8_t)(hex_digit(s[i]) << 4 | hex_digit(s[i + 1]));
		text_add(ret, &b, 1);
		i += 2;
	}
	return 0;
}

static int base64_digit(char ch)
{
	if (ch >= 'A' && ch <= 'Z')
		return ch - 'A';
	if (ch >= 'a' && ch <= 'z')
		return ch - 'a' + 26;
	if (ch >= '0' && ch <= '9')
		return ch - '0' + 52;
	return ch == '+' || ch == '-' ? 62 : ch == '/' || ch == '_' ? 63 : -1;
}

static int base64_parse(const char *s, size_t len, struct text *ret, struct text *why)
{
	uint32_t v = 0;
	unsigned bits = 0;
	size_t digits = 0, pads = 0;

	for (size_t i = 0; i < len; i++) {
		int d = base64_digit(s[i]);

		if (s[i] == '\n' || s[i] == '\r' || s[i] == ' ')
			continue;
		if (s[i] == '=' && ++pads <= 2)
			continue;
		if (d < 0 || pads)
			goto bad;
		digits++;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			uint8_t b = (uint8_t)(v >> (bits -= 8));

			text_add(ret, &b, 1);
		}
	}
	if (digits % 4 == 1 || (pads && (digits + pads) % 4) || (v & ((1U << bits) - 1)))
		goto bad;
	return 0;
bad:
	text_adds(why, "not base64");
	return -EINVAL;
}

static int out_of_range(struct text *why, const char *word)
{
	text_addf(why, "%s does not fit its field", word);
	return -ERANGE;
}

static int no_number(struct text *why, const char *word)
{
	text_addf(why, "'%s' is not a number of this format", word);
	return -EINVAL;
}

static int int_parse(const struct value_field *f, const char *word, struct text *ret,
                     struct text *why)
{
	unsigned bits = f->size * 8U;
	unsigned long long u;
	long long i;
	char *end;

	errno = 0;
	if (f->kind == VALUE_INT) {
		i = strtoll(word, &end, 0);
		if (end == word || *end)
			return no_number(why, word);
		if (errno || (bits < 64 && (i < -(1LL << (bits - 1)) || i >= 1LL << (bits - 1))))
			return out_of_range(why, word);
		store(f, (uint64_t)i, ret);
		return 0;
	}
	if (*word == '-') /* which strtoull() would wrap around */
		return out_of_range(why, word);
	u = strtoull(word, &end, 0);
	if (end == word || *end)
		return no_number(why, word);
	if (errno || (bits < 64 && u >> bits))
		return out_of_range(why, word);
	store(f, u, ret);
	return 0;
}

static int float_parse(const struct value_field *f, const char *word, struct text *ret,
                       struct text *why)
{
	uint64_t raw = 0;
	uint32_t raw32;
	double d;
	float s;
	char *end;

	d = strtod(word, &end);
	if (end == word || *end)
		return no_number(why, word);
	s = strtof(word, NULL);
	if (f->size == 4 ? isinf(s) && !strpbrk(word, "nN") : isinf(d) && !strpbrk(word, "nN"))
		return out_of_range(why, word); /* a number that overflowed; "inf" has an n */
	if (f->size == 4) {
		memcpy(&raw32, &s, sizeof(s));
		raw = raw32;
	} else {
		memcpy(&raw, &d, sizeof(d));
	}
	store(f, raw, ret);
	return 0;
}

/* A decimal taken apart exactly: digits as an integer, and the power of ten to apply. False when it
 * is no decimal. */
static bool decimal_parse(const char *s, long long *ret_mantissa, long *ret_exponent)
{
	bool negative = *s == '-', point = false;
	long long mantissa = 0;
	long exponent = 0, extra;
	size_t digits = 0;
	char *end;

	for (s += *s == '-' || *s == '+'; *s && !strchr("eE", *s); s++) {
		if (*s == '.' && !point) {
			point = true;
			continue;
		}
		if (*s < '0' || *s > '9' || mantissa > (1LL << 58))
			return false;
		mantissa = mantissa * 10 + (*s - '0');
		exponent -= point;
		digits++;
	}
	if (*s) {
		extra = strtol(s + 1, &end, 10);
		if (end == s + 1 || *end || extra < -1000 || extra > 1000)
			return false;
		exponent += extra;
	}
	*ret_mantissa = negative ? -mantissa : mantissa;
	*ret_exponent = exponent;
	return digits > 0;
}

/* Move zeroes between mantissa and exponent until both fit; false when digits would be lost */
static bool medical_fit(struct medical m, long long *mantissa, long *exponent)
{
	long long max = (1LL << (m.mantissa_bits - 1)) - 3; /* beyond are the names */

	if (*mantissa == 0)
		*exponent = 0;
	while (*exponent < m.exp_min || *mantissa > max || *mantissa < -max) {
		if (*mantissa % 10)
			return false;
		*mantissa /= 10;
		(*exponent)++;
	}
	while (*exponent > m.exp_max) {
		*mantissa *= 10;
		(*exponent)--;
		if (*mantissa > max || *mantissa < -max)
			return false;
	}
	return true;
}

static int medical_parse(const struct value_field *f, const char *word, struct text *ret,
                         struct text *why)
{
	struct medical m = medical(f);
	uint64_t mask = (1ULL << m.mantissa_bits) - 1;
	long long mantissa;
	long exponent;

	for (size_t i = 0; i < ARRAY_SIZE(medical_names); i++) {
		if (strcmp(word, medical_names[i]) != 0)
			continue;
		store(f, (1ULL << (m.mantissa_bits - 1)) - 2 + i, ret);
		return 0;
	}
	if (!decimal_parse(word, &mantissa, &exponent))
		return no_number(why, word);
	if (!medical_fit(m, &mantissa, &exponent))
		return out_of_range(why, word);
	store(f, ((uint64_t)mantissa & mask) | (uint64_t)exponent << m.mantissa_bits, ret);
	return 0;
}

static int word_parse(const struct value_field *f, const char *word, struct text *ret,
                      struct text *why)
{
	if (f->kind == VALUE_FLOAT)
		return float_parse(f, word, ret, why);
	if (f->kind == VALUE_IEEE11073)
		return medical_parse(f, word, ret, why);
	return int_parse(f, word, ret, why);
}

static int rest_parse(enum value_kind kind, const char *s, size_t len, struct text *ret,
                      struct text *why)
{
	if (kind == VALUE_BASE64)
		return base64_parse(s, len, ret, why);
	if (kind == VALUE_SMART || kind == VALUE_HEX)
		return hex_parse(s, len, ret, why);
	text_add(ret, s, len);
	return 0;
}

#define SEPARATORS ", \t\r\n"

static int parse(const struct value_format *f, size_t *field, const char *s, size_t len,
                 struct text *ret, struct text *why)
{
	_cleanup_(freep) char *copy = strndup(s, len);
	size_t until_nul = strlen(copy);
	const struct value_field *at;
	char *rest = copy;
	int r = 0;

	for (; r >= 0 && rest; (*field)++) {
		char *word;

		at = field_at(f, *field);
		if (!at->size)
			return rest_parse(at->kind, s + (rest - copy), len - (size_t)(rest - copy),
			                  ret, why);
		rest += strspn(rest, SEPARATORS);
		if (!*rest)
			break;
		word = strsep(&rest, SEPARATORS);
		r = word_parse(at, word, ret, why);
	}
	if (r >= 0 && until_nul != len) {
		text_adds(why, "a NUL byte is no part of a number");
		return -EINVAL;
	}
	return r;
}

int value_parse(const struct value_format *f, size_t *field, const char *s, size_t len,
                struct text *ret, struct text *why)
{
	int r = parse(f, field, s, len, ret, why);

	if (r >= 0 && ret->len > VALUE_MAX) {
		text_addf(why, "longer than the %d bytes an attribute can have", VALUE_MAX);
		return -EMSGSIZE;
	}
	return r;
}
