/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioblectl: Bluetooth Low Energy from the shell. Speaks to the daemon over D-Bus only; one file
 * for each group of commands.
 */
#include "ctl.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define HELP_TYPE                                                                                  \
	"      --type TYPE       address type of a peer that is not connected: public (default), " \
	"random\n"
#define HELP_FORMAT                                                                                \
	"      --format FORMAT   hex, base64, text, raw, u8 to u64, i8 to i64, f32, f64 (le or "   \
	"be at the end),\n"                                                                        \
	"                        ieee11073, ieee11073-16, or a list such as u8,u16le (the last "   \
	"one repeats)\n"

const struct command ctl_commands[] = {
	{"status", "", "version of the daemon, adapters, connections", "", cmd_status},
	{"adapters", "", "adapters and their state", "", cmd_adapters},
	{"scan", "[OPTION...] [ADDRESS...]",
         "listen for advertisers, only these when addresses are given",
         "      --duration SEC    end after this time, successfully\n"
         "      --first N         N different devices, one report each, then end\n"
         "      --until ADDRESS   end when this one is heard\n"
         "      --uuid UUID       with this service (number, UUID or name); options may be "
         "repeated\n"
         "      --name PATTERN    with a name that matches this shell pattern\n"
         "      --company ID      with manufacturer data of this company\n"
         "      --rssi DBM        at least this strong\n"
         "      --duplicates WHAT all (default), changed or first reports of a device\n"
         "      --active          ask for scan responses (default)\n"
         "      --passive         send nothing\n"
         "      --interval MS     scan interval, default 30\n"
         "      --window MS       scan window, default the interval\n",
         cmd_scan},
	{"connect", "[OPTION...] PEER", "make a link and keep it for the commands that follow",
         HELP_TYPE
         "      --persistent      keep it until 'disconnect'; else it goes a while after its last "
         "use\n"
         "      --wait            hold it until a signal or its end; it goes with this command\n"
         "      --mtu N           exchange the MTU\n"
         "      --interval MIN[:MAX]  connection interval in ms\n"
         "      --latency N       events the peer may skip\n"
         "      --supervision-timeout SEC\n",
         cmd_connect},
	{"disconnect", "PEER", "end a link", "", cmd_disconnect},
	{"connections", "", "live links", "", cmd_connections},
	{"discover", "[OPTION...] PEER", "services, characteristics and descriptors of a peer",
         HELP_TYPE "      --read            read every value that can be read\n" HELP_FORMAT,
         cmd_discover},
	{"read", "[OPTION...] PEER ATTR...", "read values",
         HELP_TYPE HELP_FORMAT "      --offset N        from this byte on\n", cmd_read},
	{"write", "[OPTION...] PEER ATTR VALUE...",
         "write a value: text in the format (hex), - for standard input, @FILE",
         HELP_TYPE HELP_FORMAT
         "      --response        write request: wait for the peer's answer\n"
         "      --no-response     write command\n"
         "      --long            prepared writes when the value is longer than the MTU allows\n"
         "      --offset N        from this byte on, implies --long\n",
         cmd_write},
	{"notify", "[OPTION...] PEER ATTR...", "print notifications as they come",
         HELP_TYPE HELP_FORMAT "      --indicate        indications\n"
                               "      --notify          notifications; both with both\n"
                               "      --count N         end after N values\n"
                               "      --duration SEC    end after this time\n",
         cmd_notify},
	{"advertise", "[OPTION...]", "be found, and print the centrals that connect",
         "      --name TEXT       complete name\n"
         "      --uuid UUID       offer this service (number, UUID or name); may be repeated\n"
         "      --manufacturer COMPANY:HEX, --service-data UUID:HEX\n"
         "                        data; may be repeated\n"
         "      --appearance N    what it is, a number of the Bluetooth SIG\n"
         "      --tx-power DBM    say, and ask of the controller\n"
         "      --adv-data HEX, --resp-data HEX\n"
         "                        the packets as they are, instead of all of these\n"
         "      --limited         discoverable for a limited time\n"
         "      --non-connectable a beacon\n"
         "      --interval MS     20 to 10240, default 100\n"
         "      --keep            go on when somebody connects; else that is the end\n"
         "      --count N         go on until N have connected\n"
         "      --duration SEC    end after this time, successfully\n"
         "      --extended        extended advertising, up to 251 bytes\n"
         "      --phy PHY         secondary PHY of that: 1M, 2M or coded\n"
         "      --persistent      leave it on the air; prints its path\n"
         "      --stop PATH       end such a one\n",
         cmd_advertise},
	{"serve", "[OPTION...] FILE",
         "be a peripheral: the services, values and advertising of a JSON file",
         "      --check           read the file only, and say what is wrong with it\n"
         "      --retry           when daemon or adapter go, wait for them and go on\n"
         "\nLines of standard input, ATTR VALUE, are new values; subscribers are told.\n",
         cmd_serve},
	{.name = NULL},
};

static int dispatch(struct ctl *c, int argc, char **argv)
{
	const char *name;
	int r = ctl_globals(c, argc, argv);

	if (r)
		return r;
	if (optind >= argc)
		return ctl_usage(c, "which command?");
	name = argv[optind];
	for (const struct command *cmd = ctl_commands; cmd->name; cmd++) {
		if (strcmp(cmd->name, name) != 0)
			continue;
		c->command = cmd;
		argc -= optind;
		argv += optind;
		optind = 0; /* makes getopt_long() start afresh */
		return cmd->run(c, argc, argv);
	}
	return ctl_usage(c, "unknown command '%s'", name);
}

int main(int argc, char **argv)
{
	struct ctl c = {.adapter = "", .deadline_us = UINT64_MAX, .tty = isatty(STDOUT_FILENO)};
	int r;

	(void)setlocale(LC_CTYPE, ""); /* without it text is ASCII */
	r = dispatch(&c, argc, argv);
	ctl_close(&c);
	r = out_finish(&c, r);
	free(c.last);
	return r;
}
