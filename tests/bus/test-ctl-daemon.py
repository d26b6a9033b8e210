#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""aioblectl against the daemon itself, which runs over a fake kernel; this program plays the peer, down to ATT.

Usage: test-ctl-daemon.py AIOBLECTL FAKEDAEMON [PATTERN]
"""
import array
import asyncio
import fnmatch
import json
import os
import signal
import socket
import sys
import traceback

try:
    import dbus_fast  # noqa: F401, mock_aioble needs it
except ImportError:
    print("skipped: python3-dbus-fast is not installed")
    sys.exit(77)

from att_peer import AttPeer
from mock_aioble import characteristic, descriptor, service
from private_bus import PrivateBus

CTL, DAEMON = sys.argv[1:3]
WAIT = 30
PEER = "C0:FF:EE:00:00:01"
READ, WRITE_CMD, WRITE, NOTIFY, INDICATE = 0x02, 0x04, 0x08, 0x10, 0x20
CASES = []


def case(f):
    CASES.append(f)
    return f


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out.decode(), err.decode()


def check(r, code, err=""):
    assert r.code == code, f"exit {r.code}, not {code}: {r.out!r} {r.err!r}"
    assert err in r.err and "Sanitizer" not in r.err, r.err


class World:
    """The daemon with one adapter, and a peer that takes every connection."""

    def __init__(self, bus):
        self.bus, self.answers, self.ctls = bus, asyncio.Queue(), []
        self.peer, self.link, self.takes = None, None, True
        self.named = asyncio.Event()
        self.battery = characteristic("2a19", 0x22, READ | NOTIFY, b"\x64", descriptor("2902", 0x23, b"\0\0"))
        self.control = characteristic("2a39", 0x17, WRITE)
        self.long = characteristic("6e400002-b5a3-f393-e0a9-e50e24dcca9e", 0x32, READ | WRITE | WRITE_CMD, bytes(range(100)))
        self.services = [
            service("1800", 0x01, characteristic("2a00", 0x03, READ, b"Pulse")),
            service("180d", 0x10, characteristic("2a37", 0x12, NOTIFY, b"", descriptor("2902", 0x13, b"\0\0")),
                    characteristic("2a38", 0x15, READ, b"\x01"), self.control),
            service("180f", 0x20, self.battery),
            service("6e400001-b5a3-f393-e0a9-e50e24dcca9e", 0x30, self.long,
                    characteristic("6e400003-b5a3-f393-e0a9-e50e24dcca9e", 0x34, INDICATE, b"", descriptor("2902", 0x35, b"\0\0")),
                    characteristic("2a19", 0x38, READ, b"\x32")),
        ]

    async def __aenter__(self):
        self.control_fd, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control_fd.setblocking(False)
        self.daemon = await asyncio.create_subprocess_exec(DAEMON, "--bus", self.bus.address, "--control", str(theirs.fileno()),
                                                           pass_fds=[theirs.fileno()], stderr=asyncio.subprocess.PIPE)
        theirs.close()
        asyncio.get_running_loop().add_reader(self.control_fd, self._on_control)
        await asyncio.wait_for(self.named.wait(), WAIT)
        return self

    async def __aexit__(self, *exc):
        for process in self.ctls:
            if process.returncode is None:
                process.kill()
        if self.peer:
            self.peer.close()
        asyncio.get_running_loop().remove_reader(self.control_fd)
        if self.daemon.returncode is None:
            self.daemon.terminate()
        err = (await asyncio.wait_for(self.daemon.stderr.read(), WAIT)).decode()
        await self.daemon.wait()
        self.control_fd.close()
        assert "Sanitizer" not in err and "runtime error" not in err, err

    def _on_control(self):
        data, ancillary, _, _ = self.control_fd.recvmsg(8192, socket.CMSG_SPACE(4))
        if not data:
            asyncio.get_running_loop().remove_reader(self.control_fd)
            return
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload)
        words = data.decode().split()
        if words[0] == "name":
            self.named.set()
        elif words[0] == "attempt":
            asyncio.get_running_loop().create_task(self._take(int(words[1]), words[3]))
        else:
            self.answers.put_nowait((words, list(fds)))

    async def say(self, line):
        self.control_fd.send(line.encode())
        words, fds = await asyncio.wait_for(self.answers.get(), WAIT)
        assert words[0] == "ok", (line, words)
        return fds[0] if fds else None

    async def _take(self, link, address):
        if self.takes and address == PEER:
            fd = await self.say(f"up {link} {64 + link}")
            self.link = link
            far = socket.socket(fileno=os.dup(fd))
            os.close(fd)
            far.setblocking(False)
            self.peer = AttPeer(far, self.services)

    async def drop(self, reason=0x13):
        await self.say(f"drop {self.link} {reason}")
        self.peer.close()
        self.peer = None

    async def start(self, *args):
        process = await asyncio.create_subprocess_exec(CTL, "--address", self.bus.address, *args, stdin=asyncio.subprocess.DEVNULL,
                                                       stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        self.ctls.append(process)
        return process

    async def end(self, process):
        out, err = await asyncio.wait_for(process.communicate(), WAIT)
        return Result(process.returncode, out, err)

    async def run(self, *args):
        return await self.end(await self.start(*args))


async def line(process):
    return (await asyncio.wait_for(process.stdout.readline(), WAIT)).decode()


@case
async def status(w):
    r = await w.run("status", "--json")
    check(r, 0)
    doc = json.loads(r.out)
    assert doc["version"] and doc["adapters"][0]["state"] == "ready" and doc["connections"] == [], doc
    r = await w.run("adapters")
    check(r, 0)
    assert r.out.startswith("hci0\t00:11:22:33:44:00\tpublic\tready\t0\tno\t"), r.out


@case
async def scan(w):
    p = await w.start("scan", "--uuid", "heart_rate", "--json")
    for _ in range(200):
        await asyncio.sleep(0.02)
        await w.say(f"report 0 0 {PEER} 0 -70 0201060303 1")  # cut short
        await w.say(f"report 0 0 {PEER} 0 -70 02010603030d180609507561736505ff59000102 1")
        if p.stdout._buffer:
            break
    found = json.loads(await line(p))
    p.send_signal(signal.SIGINT)
    check(await w.end(p), 0)
    assert found["address"] == PEER and found["rssi"] == -70 and found["services"] == ["180d"], found
    assert found["manufacturer"] == {"89": "0102"} and found["name"] == "Puase", found
    check(await w.run("scan", "--duration", "0.3"), 0)
    check(await w.run("scan", "--duration", "0.3", "--until", PEER), 4)


@case
async def connect_and_back(w):
    r = await w.run("connect", PEER)
    check(r, 0)
    path = r.out.strip()
    r = await w.run("connections")
    assert r.out.split("\t")[1] == PEER and r.out.split("\t")[8] == path, r.out
    check(await w.run("connect", PEER, "--mtu", "200"), 0)
    r = await w.run("connections", "--json")
    assert json.loads(r.out)[0]["mtu"] == 200, r.out
    check(await w.run("connect", PEER, "--persistent"), 0)  # the link that exists gets another lifetime
    r = await w.run("connections", "--json")
    assert [c["lifetime"] for c in json.loads(r.out)] == ["persistent"], r.out
    check(await w.run("disconnect", PEER), 0)
    r = await w.run("connections")
    assert r.out == "", r.out
    check(await w.run("disconnect", PEER), 4)


@case
async def connect_fails(w):
    w.takes = False
    check(await w.run("connect", PEER, "--timeout", "0.5"), 3, PEER)
    check(await w.run("connect", "-a", "hci3", PEER), 9)
    check(await w.run("connect", PEER, "--interval", "2000", "--supervision-timeout", "1"), 2)  # the daemon knows better


@case
async def discover(w):
    r = await w.run("discover", PEER, "--read")
    check(r, 0)
    rows = [row.split("\t") for row in r.out.splitlines()]
    assert ["characteristic", "0x0012", "0x0014", "2a37"] in [row[:2] + ["0x0014"] + row[3:4] for row in rows], rows
    values = {row[1]: row[6] for row in rows}
    assert values["0x0003"] == b"Pulse".hex() and values["0x0015"] == "01" and values["0x0032"] == bytes(range(100)).hex(), values
    assert [row[4] for row in rows if row[0] == "service"] == ["Generic Access Profile", "Heart Rate", "Battery Service", "-"]


@case
async def read(w):
    for args, out in ((["device_name", "--format", "text"], "Pulse"), (["battery/battery_level", "--format", "u8"], "100"),
                      (["0x38", "--format", "u8"], "50"), (["h0013"], "0000"), (["0x32", "--offset", "98"], "6263"),
                      (["heart_rate/2902"], "0000")):
        r = await w.run("read", PEER, *args)
        check(r, 0)
        assert r.out == out + "\n", (args, r.out)
    check(await w.run("read", PEER, "battery_level"), 2, "0x0022 Battery Service/Battery Level, 0x0038")
    check(await w.run("read", PEER, "temperature"), 4)
    w.battery.error = 0x05
    check(await w.run("read", PEER, "0x22"), 6, "0x05")
    w.battery.error = 0x80
    r = await w.run("read", "--json", PEER, "0x22")
    check(r, 1)
    error = json.loads(r.err)["error"]
    assert (error["name"], error["att"], error["handle"]) == ("Gatt", 0x80, 0x22), error


@case
async def write(w):
    check(await w.run("write", PEER, "heart_rate_control_point", "01"), 0)
    assert w.control.writes == [b"\x01"]
    check(await w.run("write", PEER, "0x32", "--no-response", "0102"), 0)
    check(await w.run("write", PEER, "0x32", "--response", "--format", "u16be", "1", "2"), 0)
    assert w.long.writes == [b"\1\2", b"\0\1\0\2"], w.long.writes
    check(await w.run("write", PEER, "0x32", "--format", "text", "x" * 60), 1)
    check(await w.run("write", PEER, "0x32", "--format", "text", "x" * 60, "--long"), 0)
    assert w.long.value == b"x" * 60, w.long.value
    check(await w.run("write", PEER, "0x32", "--format", "text", "yy", "--offset", "60"), 0)
    assert w.long.value == b"x" * 60 + b"yy", w.long.value


@case
async def notify(w):
    p = await w.start("notify", "-q", PEER, "heart_rate_measurement", "--format", "u8", "--count", "3")
    for _ in range(500):
        await asyncio.sleep(0.02)
        if w.peer and w.peer.subscribed.is_set():
            break
    for beat in (70, 71, 72, 73):
        w.peer.notify(0x12, bytes([0, beat]))
    r = await w.end(p)
    check(r, 0)
    assert r.out == "0 70\n0 71\n0 72\n", r.out
    assert not w.peer.subscribed.is_set()  # told before the command ended


@case
async def indicate(w):
    p = await w.start("notify", "--json", PEER, "6e400003-b5a3-f393-e0a9-e50e24dcca9e")
    for _ in range(500):
        await asyncio.sleep(0.02)
        if w.peer and w.peer.subscribed.is_set():
            break
    w.peer.indicate(0x34, b"\x07")
    one = json.loads(await line(p))
    assert (one["kind"], one["value"], one["seq"]) == ("indicated", "07", 1), one
    await w.drop(0x08)
    r = await w.end(p)
    check(r, 5)
    error = json.loads(r.err)["error"]
    assert (error["name"], error["hci"]) == ("Disconnected", 0x08), error


@case
async def wait_for_the_end(w):
    p = await w.start("connect", "--wait", PEER)
    await line(p)
    await w.drop(0x13)
    check(await w.end(p), 5, "0x13")
    p = await w.start("connect", "--wait", PEER)
    await line(p)
    p.send_signal(signal.SIGINT)
    check(await w.end(p), 0)
    for _ in range(250):
        r = await w.run("connections")
        if r.out == "":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the link outlived the command")


@case
async def adapter_goes(w):
    p = await w.start("scan")
    await asyncio.sleep(0.5)
    await w.say("unplug 0")
    check(await w.end(p), 9, "NotFound")
    check(await w.run("scan"), 9)
    check(await w.run("connect", PEER), 9)


@case
async def daemon_dies(w):
    scan_, wait = await w.start("scan"), await w.start("connect", "--wait", PEER)
    await line(wait)
    await asyncio.sleep(0.3)
    w.daemon.kill()
    for p in (scan_, wait):
        check(await w.end(p), 8)


async def run_case(f):
    async with PrivateBus() as bus, World(bus) as world:
        await f(world)


def main():
    chosen = [f for f in CASES if fnmatch.fnmatch(f.__name__, sys.argv[3] if len(sys.argv) > 3 else "*")]
    failed = 0
    print(f"1..{len(chosen)}")
    for number, f in enumerate(chosen, 1):
        try:
            asyncio.run(run_case(f))
            print(f"ok {number} - {f.__name__}", flush=True)
        except Exception:
            traceback.print_exc()
            print(f"not ok {number} - {f.__name__}", flush=True)
            failed += 1
    sys.exit(1 if failed else 0)


main()
