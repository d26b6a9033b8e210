/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line. Global options may stand before or after the command's name; getopt_long()
 * speaks through ctl_usage() so that --json covers its complaints as well.
 */
#include "ctl.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* '+' stops at the command's name, ':' tells a missing argument from an unknown option */
#define SHORT_BEFORE "+:a:hjqV"
#define SHORT_AFTER  ":a:hjqV"

/* Options for streams only that take seconds end below this: their milliseconds travel as 32 bits.
 */
#define TIMEOUT_MAX_MS (24 * 3600 * 1000UL)

static const char global_help[] =
	"Global options:\n"
	"  -a, --adapter NAME    adapter by name (hci0) or address; else the first that is ready\n"
	"      --json[=MODE]     JSON: short, pretty, or by the output (default); streams are one "
	"object a line\n"
	"  -j                    the same as --json\n"
	"  -q, --quiet           no headings and remarks; notify and read print the value alone\n"
	"      --timeout SEC     longest time for the whole command, 0 waits for ever\n"
	"      --system          system bus (default)\n"
	"      --user            session bus of the user\n"
	"      --address BUS     bus at this D-Bus address\n"
	"      --no-color        no colours on a terminal either (also: environment NO_COLOR)\n"
	"  -h, --help            this text, or that of a command\n"
	"  -V, --version         version\n";

static const char exit_help[] =
	"Exit codes: 0 done, 1 failed, 2 usage, 3 timeout, 4 not found, 5 disconnected, 6 not "
	"authorised,\n"
	"7 busy, 8 daemon not reachable, 9 adapter absent or off. See aioblectl(1).\n";

static void help(struct ctl *c)
{
	const struct command *cmd = c->command;

	if (cmd) {
		printf("Usage: aioblectl [GLOBAL] %s%s%s\n\n%c%s.\n", cmd->name,
		       *cmd->arguments ? " " : "", cmd->arguments, toupper(cmd->summary[0]),
		       cmd->summary + 1);
		printf("%s%s\n%s", *cmd->help ? "\n" : "", cmd->help, global_help);
		return;
	}
	printf("Usage: aioblectl [GLOBAL] COMMAND ...\n\nBluetooth Low Energy from the shell, "
	       "through aiobled.\n\nCommands:\n");
	for (cmd = ctl_commands; cmd->name; cmd++)
		printf("  %-12s %s\n", cmd->name, cmd->summary);
	printf("\n%s\n%s\nPEER is an address, the number of a connection or its object path. ATTR "
	       "is a handle (0x25), a UUID\n"
	       "(2a19), a name of the Bluetooth SIG (battery_level), or SERVICE/ATTR.\n",
	       global_help, exit_help);
}

static int set_json(struct ctl *c, const char *mode)
{
	if (!mode)
		c->json = JSON_AUTO;
	else if (strcmp(mode, "short") == 0 || strcmp(mode, "lines") == 0)
		c->json = JSON_SHORT;
	else if (strcmp(mode, "pretty") == 0)
		c->json = JSON_PRETTY;
	else if (strcmp(mode, "off") == 0)
		c->json = JSON_OFF;
	else
		return ctl_usage(c, "--json=%s: not short, pretty, lines or off", mode);
	return 0;
}

static int set_timeout(struct ctl *c, const char *text)
{
	int r = opt_milli(c, "--timeout", text, "seconds", TIMEOUT_MAX_MS, &c->timeout_ms);

	if (r)
		return r;
	c->timeout_given = true;
	c->deadline_us = c->timeout_ms ? ctl_now_us() + c->timeout_ms * 1000 : UINT64_MAX;
	return 0;
}

static int set_adapter(struct ctl *c, const char *text)
{
	if (!*text || !utf8_for_bus(text, strlen(text)))
		return ctl_usage(c, "--adapter: not a name or address");
	c->adapter = text;
	return 0;
}

/* Return: 0 when @o was a global option, an exit code when it was a wrong one, -1 when it is none
 */
static int take_global(struct ctl *c, int o)
{
	switch (o) {
	case 'a':
		return set_adapter(c, optarg);
	case 'q':
		c->quiet = true;
		return 0;
	case 'j':
	case OPT_JSON:
		return set_json(c, o == 'j' ? NULL : optarg);
	case OPT_TIMEOUT:
		return set_timeout(c, optarg);
	case OPT_SYSTEM:
		c->bus_kind = BUS_SYSTEM;
		return 0;
	case OPT_USER:
		c->bus_kind = BUS_USER;
		return 0;
	case OPT_ADDRESS:
		c->bus_kind = BUS_ADDRESS;
		c->bus_address = optarg;
		return 0;
	case OPT_NO_COLOR:
		c->no_color = true;
		return 0;
	case 'h':
		help(c);
		exit(fflush(stdout) ? CTL_FAILED : 0);
	case 'V':
		puts("aioblectl " CTL_VERSION);
		exit(fflush(stdout) ? CTL_FAILED : 0);
	default:
		return -1;
	}
}

static int bad_option(struct ctl *c, int o, char **argv)
{
	if (o == ':')
		return ctl_usage(c, "%s needs an argument", argv[optind - 1]);
	if (optopt > 0 && optopt < 0x80)
		return ctl_usage(c, "unknown option -%c", optopt);
	return ctl_usage(c, "unknown or misused option %s", argv[optind - 1]);
}

int ctl_getopt(struct ctl *c, int argc, char **argv, const struct option *options)
{
	for (;;) {
		int o = getopt_long(argc, argv, SHORT_AFTER, options, NULL), r;

		if (o == -1)
			return OPT_END;
		if (o == '?' || o == ':') {
			(void)bad_option(c, o,
			                 argv); /* always CTL_USAGE, which OPT_BAD stands for */
			return OPT_BAD;
		}
		r = take_global(c, o);
		if (r < 0)
			return o;
		if (r)
			return OPT_BAD;
	}
}

int ctl_globals(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {CTL_GLOBAL_OPTIONS};

	opterr = 0;
	for (;;) {
		int o = getopt_long(argc, argv, SHORT_BEFORE, options, NULL), r;

		if (o == -1)
			return 0;
		if (o == '?' || o == ':')
			return bad_option(c, o, argv);
		r = take_global(c, o);
		if (r)
			return r;
	}
}

int ctl_no_options(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {CTL_GLOBAL_OPTIONS};

	return ctl_getopt(c, argc, argv, options) == OPT_END ? 0 : CTL_USAGE;
}

int opt_number(struct ctl *c, const char *option, const char *text, long min, long max, long *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 0);
	if (end == text || *end || errno || v < min || v > max)
		return ctl_usage(c, "%s %s: not a number from %ld to %ld", option, text, min, max);
	*ret = v;
	return 0;
}

int opt_milli(struct ctl *c, const char *option, const char *text, const char *unit, uint64_t max,
              uint64_t *ret)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (end == text || *end || errno || !(v >= 0) || v * 1000 > (double)max)
		return ctl_usage(c, "%s %s: not %s from 0 to %llu", option, text, unit,
		                 (unsigned long long)max / 1000);
	*ret = (uint64_t)(v * 1000 + 0.5);
	if (v > 0 && *ret == 0)
		*ret = 1; /* 0 means for ever */
	return 0;
}
