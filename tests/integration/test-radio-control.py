#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=120 controllers=1 radio=yes
"""aioble-radio at a real kernel, ruled by its control socket: controllers come, go, return and fail."""
from radio_cases import *

SOCKET = "/tmp/test-radio-control"


def ask(cmd, **keys):
    text = run("aioble-radio", "--ask", SOCKET, json.dumps({"cmd": cmd, **keys}), check_status=False)
    return json.loads(text)


def here():
    return set(controllers("list").split())


before = here()
radio = subprocess.Popen(["aioble-radio", "--controllers", "2", "--control", SOCKET, "--profile", "4.2,le-states"],
                         stdout=subprocess.PIPE, text=True)
mgmt = Mgmt()

with case("its controllers are there when it says so"):
    ready = radio.stdout.readline().split()
    equal(ready[0], "ready")
    equal(here() - before, set(ready[1:]))
    first, second = (int(name[3:]) for name in ready[1:])
    listed = ask("controllers")["controllers"]
    equal([c["name"] for c in listed], ["kernel0", "kernel1"])
    equal([mgmt.address(i) for i in (first, second)], [c["address"] for c in listed])

with case("one more is plugged in, with the address it was given"):
    equal(ask("plug", name="third", address="00:11:22:33:44:55", profile="5.2")["ok"], True)
    eventually(lambda: len(here() - before) == 3)
    eventually(lambda: ask("air")["ready"])
    new, = here() - before - set(ready[1:])
    equal(mgmt.address(int(new[3:])), "00:11:22:33:44:55")
    equal(ask("plug", name="third")["where"], "name")

with case("it is pulled and comes back by itself"):
    watch = Mgmt()
    equal(ask("unplug", controller="third", for_ms=1500)["ok"], True)
    equal("hci%d" % watch.event(MGMT_INDEX_REMOVED)[0], new, "what was pulled")
    new = "hci%d" % watch.event(MGMT_INDEX_ADDED)[0]
    check(new in here(), "%s is announced and not there" % new)
    equal(mgmt.address(int(new[3:])), "00:11:22:33:44:55")

with case("it is pulled for good"):
    equal(ask("unplug", controller="third")["ok"], True)
    eventually(lambda: here() - before == set(ready[1:]))
    equal(ask("unplug", controller="third")["where"], "controller")

with case("a command that fails is an error of the kernel's, and the next attempt works"):
    time.sleep(3)  # the kernel powers a new controller down after 2 s, and only then up again with all commands
    ask("fault", name="no", match={"controller": "kernel0", "command": "LE Set Event Mask"}, do="status", status=0x1f, times=1)
    status, _ = mgmt.command(MGMT_SET_POWERED, first, b"\1")
    check(status != 0, "powered on although a command failed")
    equal(ask("faults")["faults"][0]["struck"], 1, "strikes")
    eventually(lambda: mgmt.command(MGMT_SET_POWERED, first, b"\1")[0] == 0, timeout=20)

with case("one that hangs does not take the other with it"):
    equal(ask("hang", controller="kernel0")["ok"], True)
    status, _ = mgmt.command(MGMT_SET_POWERED, second, b"\1")
    equal(status, 0, "status of the other's Set Powered")
    equal(ask("unhang", controller="kernel0")["ok"], True)

with case("it leaves nothing behind"):
    equal(ask("quit")["ok"], True)
    equal(radio.wait(10), 0, "exit status")
    eventually(lambda: here() == before)
    check(not os.path.exists(SOCKET), "the socket is still there")

finish()
