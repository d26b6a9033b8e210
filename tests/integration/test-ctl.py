#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 kind=le timeout=180
"""aioblectl as people and scripts use it: installed, against the service and a heart-rate belt (bleno)."""
import pty
import threading

from aioble_test import *

DEADLINE = 60


class Done:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


def ctl(*arguments, status=0, stdin=None):
    """Run it in a pipe; the exit code must be this one."""
    done = subprocess.run(["aioblectl", *map(str, arguments)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=DEADLINE)
    if done.returncode != status:
        fail("aioblectl %s: status %d, not %d: %s%s" % (" ".join(map(str, arguments)), done.returncode, status, done.stdout,
                                                        done.stderr))
    return Done(done.returncode, done.stdout, done.stderr)


def on_terminal(seconds, *arguments):
    """What it draws on a terminal until SIGINT, as text, and its exit code."""
    master, slave = pty.openpty()
    process = subprocess.Popen(["aioblectl", *arguments], stdout=slave, stderr=slave, stdin=subprocess.DEVNULL,
                               env=dict(os.environ, TERM="xterm"))
    os.close(slave)
    threading.Timer(seconds, process.send_signal, [signal.SIGINT]).start()
    out = b""
    with contextlib.suppress(OSError):  # the other side was closed
        while data := os.read(master, 65536):
            out += data
    os.close(master)
    return out.decode(), process.wait(DEADLINE)


start_service()
Adapter()

with case("status and adapters tell what there is"):
    contains(ctl("status").out, "adapters\t")
    equal(json.loads(ctl("status", "--json").out)["connections"], [])
    row = ctl("adapters").out.splitlines()[0].split("\t")
    equal((row[0], row[3]), ("hci0", "ready"))

with case("nobody there: exit codes 3, 4, 9"):
    contains(ctl("connect", "C0:FF:EE:00:00:09", "--timeout", 2, status=3).err, "C0:FF:EE:00:00:09")
    ctl("scan", "--until", "C0:FF:EE:00:00:09", "--duration", 1, status=4)
    ctl("disconnect", "C0:FF:EE:00:00:09", status=4)
    ctl("scan", "-a", "hci7", status=9)

with peer("heart-rate.js", "--device", "1", "--name", "Belt", "--interval-ms", "200", ready=None) as belt:
    address = belt.wait(r"^ready address=(\S+)", 60)[1].upper()

    with case("scan finds the belt by the name of its service"):
        row = ctl("scan", "--first", 1, "--uuid", "heart_rate", "--timeout", 30).out.rstrip("\n").split("\t")
        equal(row[0], address)
        found = [json.loads(line) for line in ctl("scan", "--json", "--duration", 5, address).out.splitlines()]
        check(found and all(report["address"] == address for report in found), found)
        check(any(report.get("name") == "Belt" for report in found), "no scan response with the name: %r" % found)

    with case("on a terminal the table is redrawn and ends with SIGINT"):
        screen, status = on_terminal(4, "scan")
        equal(status, 0, "status")
        contains(screen, "ADDRESS")
        contains(screen, address)
        contains(screen, "\033[")

    with case("a link lasts from one command to the next"):
        path = ctl("connect", address).out.strip()
        equal(ctl("connections").out.split("\t")[1], address)
        equal(ctl("connect", address).out.strip(), path)

    with case("discover has the names of the SIG"):
        rows = [line.split("\t") for line in ctl("discover", address).out.splitlines()]
        handles = {row[4]: row[1] for row in rows}
        for name in ("Heart Rate", "Heart Rate Measurement", "Battery Level", "Client Characteristic Configuration"):
            check(name in handles, "%s is not in %r" % (name, handles))
        tree = json.loads(ctl("discover", address, "--json", "--read").out)
        location = [c for s in tree["services"] for c in s["characteristics"] if c["uuid"] == "2a38"][0]
        equal(location["value"], "01")

    with case("read by name, UUID, path and handle"):
        for name in ("body_sensor_location", "2a38", "heart_rate/2a38", handles["Body Sensor Location"]):
            equal(ctl("read", address, name, "--format", "u8").out, "1\n")
        between(int(ctl("read", address, "battery_level", "--format", "u8").out), 0, 100)
        ctl("read", address, "temperature", status=4)

    with case("a long value, read and written whole"):
        long = "a10b0001-7c1d-4e2a-9f36-5b0e8d24c1f7"
        equal(len(ctl("read", address, long).out.strip()), 600)
        ctl("write", address, long, "--format", "text", "--long", "-", stdin="x" * 200)
        equal(ctl("read", address, long, "--format", "text").out, "x" * 200 + "\n")

    with case("write: the peer's errors come with number and exit code 1"):
        ctl("write", address, "heart_rate_control_point", "01")
        belt.wait(r"^write char=2a39 .*kind=request")
        contains(ctl("write", address, "heart_rate_control_point", "02", status=1).err, "0x80")
        error = json.loads(ctl("write", "--json", address, "2a39", "0102", status=1).err)["error"]
        equal((error["name"], error["att"]), ("Gatt", 0x0d))

    with case("notify streams values and tells the peer when it ends"):
        values = ctl("notify", "-q", address, "heart_rate_measurement", "--count", 5, "--format", "u8").out.splitlines()
        equal(len(values), 5)
        belt.wait(r"^unsubscribe char=2a37")
        lines = [json.loads(line) for line in
                 ctl("notify", "--json", address, "2a37", "2a19", "--duration", 4).out.splitlines()]
        check(len(lines) > 4, lines)
        equal([one["seq"] for one in lines if one["uuid"] == "2a37"][:3], [1, 2, 3])
        ctl("notify", address, "2a38", status=1)

    with case("a link that goes ends a stream with exit code 5"):
        process = subprocess.Popen(["aioblectl", "notify", address, "2a37"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        process.stdout.readline()
        ctl("disconnect", address)
        _, err = process.communicate(timeout=DEADLINE)
        equal(process.returncode, 5, "status: " + err)
        equal(ctl("connections").out, "")

    with case("connect --wait holds the link as long as it runs"):
        process = subprocess.Popen(["aioblectl", "connect", "--wait", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        if not process.stdout.readline().startswith(ROOT):
            fail("no link: " + process.stderr.read())
        process.send_signal(signal.SIGINT)
        equal(process.wait(DEADLINE), 0)
        eventually(lambda: not objects("Connection1"), 10, "the link outlived the command")

with case("a daemon that dies: exit code 8"):
    process = subprocess.Popen(["aioblectl", "scan"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    eventually(lambda: Adapter().get("Scanning"), 10, "no scan")
    kill_service()
    _, err = process.communicate(timeout=DEADLINE)
    equal(process.returncode, 8, "status: " + err)

finish()
