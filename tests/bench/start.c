/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a daemon takes from its exec to its bus name. It is started as systemd would: as its user, with its capabilities,
 * without a helper program in between whose own start would be counted.
 */
#include "bench.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#define BIT(capability) (1u << (capability))

static const unsigned int capabilities[] = {CAP_NET_ADMIN, CAP_NET_RAW};

/* Return: false with errno */
static bool become(const struct passwd *user)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const uint32_t bits = BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW);
	struct __user_cap_data_struct data[2] = {
		{.effective = bits, .permitted = bits, .inheritable = bits}};

	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0 ||
	    syscall(SYS_capset, &header, data) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capabilities[i], 0, 0) < 0)
			return false;
	return true;
}

static void run_daemon(const struct passwd *user, char **argv)
{
	/* whoever reads our output waits for its end: the daemon must not hold it open */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	(void)setsid();
	if (!user || become(user))
		(void)execv(argv[0], argv);
	_exit(127);
}

static sd_bus *watch_name(const char *name)
{
	_cleanup_(freep) char *match = NULL;
	sd_bus *bus;

	if (sd_bus_open_system(&bus) < 0)
		die("no system bus");
	if (asprintf(&match,
	             "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%"
	             "s'",
	             name) < 0)
		die("no memory");
	if (sd_bus_add_match(bus, NULL, match, NULL, NULL) < 0)
		die("no match");
	return bus;
}

static void wait_for_name(sd_bus *bus, const char *name, const char *program)
{
	for (;;) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
		int r = sd_bus_process(bus, &m);

		if (r > 0 && m &&
		    sd_bus_message_is_signal(m, "org.freedesktop.DBus", "NameOwnerChanged"))
			return;
		if (r == 0 && sd_bus_wait(bus, 10000000) <= 0)
			die("%s never took the name %s", program, name);
	}
}

int measure_start(const char *user_name, const char *name, char **argv)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = watch_name(name);
	const struct passwd *user = strcmp(user_name, "root") == 0 ? NULL : getpwnam(user_name);
	uint64_t begin;
	pid_t pid;

	if (!user && strcmp(user_name, "root") != 0)
		die("no user %s", user_name);
	begin = now_us();
	pid = fork();
	if (pid == 0)
		run_daemon(user, argv);
	wait_for_name(bus, name, argv[0]);
	say("start_ms", (double)(now_us() - begin) / 1000);
	(void)printf("pid %d\n", (int)pid);
	return 0;
}
