#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 adapters=all
"""The installed service: started by systemd and by the bus, confined, configured, stopped, killed."""
import os
import pwd
import time

from aioble_test import *

DROPIN = "/etc/aiobled/aiobled.conf.d/50-test.conf"


def status_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)


def proc_status(field):
    with open("/proc/%d/status" % service_pid()) as file:
        return next(line.split(None, 1)[1].strip() for line in file if line.startswith(field + ":"))


with case("systemctl start returns when the service is ready"):
    start_service()
    equal(service_state(), "active")
    equal(manager().get("Features"), ["observer", "central", "gatt-client", "broadcaster", "peripheral", "gatt-server"])
    check(objects("Adapter1"), "no adapter right after the start")

with case("adapters that were there at the start have settled when the name appears"):
    restart_service()
    for path in objects("Adapter1"):
        check(Object(path, "Adapter1").get("State") != "starting", path + " is still starting")

with case("every adapter is taken, brought up and independent"):
    for name in ("hci0", "hci1"):
        equal(Adapter(name).get("State"), "ready", name)
    scanners = [Object(Adapter(name).call("Scan"), "Scanner1") for name in ("hci0", "hci1")]
    scanners[1].call("Stop")
    Adapter("hci1").call("SetPowered", "b", False)
    equal(Adapter("hci0").get("Powered"), True, "the other's power")
    equal(scanners[0].exists(), True, "the other's scanner")
    scanners[0].call("Stop")

with case("it runs as its own user with two capabilities and a filter"):
    equal(os.stat("/proc/%d" % service_pid()).st_uid, pwd.getpwnam("aioble").pw_uid, "uid")
    equal(int(proc_status("CapEff"), 16), 1 << 12 | 1 << 13, "CapEff")
    equal(int(proc_status("CapBnd"), 16), 1 << 12 | 1 << 13, "CapBnd")
    equal(proc_status("NoNewPrivs"), "1", "NoNewPrivs")
    equal(proc_status("Seccomp"), "2", "Seccomp")

with case("systemd-analyze security scores at most 1.6"):
    run("systemd-analyze", "security", "--threshold=16", "--no-pager", UNIT)

with case("others than root and group bluetooth are kept out"):
    answer = status_of("runuser", "-u", "nobody", "--", "busctl", "get-property", SERVICE, ROOT, MANAGER, "Version")
    check(answer.returncode != 0, "nobody got in: " + answer.stdout)
    contains(answer.stdout.lower(), "denied")
    run("runuser", "-u", "nobody", "-G", "bluetooth", "--", "busctl", "get-property", SERVICE, ROOT, MANAGER, "Version")

with case("systemctl stop leaves the bus and exits cleanly"):
    stop_service()
    equal(service_state(), "inactive")
    equal(run("systemctl", "show", "--property=Result", "--value", UNIT).strip(), "success")
    contains(run("systemctl", "show", "--property=ExecMainStatus", "--value", UNIT).strip(), "0")

with case("the first call starts it"):
    equal(service_state(), "inactive")
    busctl("get-property", SERVICE, ROOT, MANAGER, "Version")
    equal(service_state(), "active")

with case("kill -9 is followed by a working service"):
    before = service_pid()
    kill_service()
    eventually(lambda: service_pid() not in (0, before), 20, "not restarted")
    Adapter()

with case("a hung daemon is killed by the watchdog"):
    os.makedirs("/run/systemd/system/aiobled.service.d", exist_ok=True)
    with open("/run/systemd/system/aiobled.service.d/watchdog.conf", "w") as file:
        file.write("[Service]\nWatchdogSec=3\n")
    run("systemctl", "daemon-reload")
    restart_service()
    before = service_pid()
    time.sleep(5)  # longer than the watchdog: a live daemon must have fed it
    equal(service_pid(), before, "process")
    kill_service(signal.SIGSTOP)
    eventually(lambda: service_pid() not in (0, before), 30, "not restarted")
    os.unlink("/run/systemd/system/aiobled.service.d/watchdog.conf")
    run("systemctl", "daemon-reload")

with case("wrong arguments are named and exit with 2"):
    for arguments in (["--nonsense"], ["extra"], ["--log-level", "loud"], ["--config"]):
        answer = status_of("aiobled", *arguments)
        equal(answer.returncode, 2, "status of " + " ".join(arguments))
        contains(answer.stdout, arguments[-1].lstrip("-"))

with case("--check-config names file and line and exits with 1"):
    equal(status_of("aiobled", "--check-config").returncode, 0, "status of a sound configuration")
    with open(DROPIN, "w") as file:
        file.write("[General]\nLingerSec=never\nColour=red\n")
    answer = status_of("aiobled", "--check-config")
    equal(answer.returncode, 1, "status")
    contains(answer.stdout, DROPIN + ":2: LingerSec=never")
    contains(answer.stdout, DROPIN + ":3: unknown key \"Colour\"")

with case("a mistake in the configuration is logged and stops nothing"):
    restart_service()
    equal(manager().get("LingerMs"), 30000)
    contains(journal(), DROPIN + ":2: LingerSec=never")

with case("settings are taken from drop-ins, and Adapters= limits what is touched"):
    with open(DROPIN, "w") as file:
        file.write("[General]\nLingerSec=7\nAdapters=hci1\n")
    restart_service()
    equal(manager().get("LingerMs"), 7000)
    equal([Object(path, "Adapter1").get("Name") for path in objects("Adapter1")], ["hci1"])
    os.unlink(DROPIN)

with case("a second daemon on the same bus says so and exits with 1"):
    restart_service()
    Adapter()
    answer = status_of("aiobled")
    equal(answer.returncode, 1, "status")
    contains(answer.stdout, "org.aioble")
    equal(Object("/org/aioble/hci0", "Adapter1").get("State"), "ready", "state of the first one's adapter")

with case("the kernel's bad versions are named, this good one is not"):
    equal(manager().get("Warnings"), [])

finish()
