#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""aioblectl against a stand-in for the daemon: output, exit codes, terminals and pipes.

Usage: test-ctl.py AIOBLECTL XML_FOLDER [PATTERN]
"""
import asyncio
import json
import os
import re
import signal
import tempfile
import time

from ctl_bed import (CTL, INDICATE, NOTIFY, PEER, READ, WAIT, WRITE, WRITE_CMD, XML, Result, case, check, main)
from mock_aioble import INDICATED, NOTIFIED, Failure, characteristic, descriptor, end, record, report, service


def heart(mock, address=PEER, address_type="public"):
    """A heart-rate monitor, with two batteries for what is ambiguous."""
    mock.peers[(address, address_type)] = [
        service("1800", 0x01, characteristic("2a00", 0x03, READ, b"Pulse")),
        service("180d", 0x10,
                characteristic("2a37", 0x12, NOTIFY, b"", descriptor("2902", 0x13, b"\0\0")),
                characteristic("2a38", 0x15, READ, b"\x01"),
                characteristic("2a39", 0x17, WRITE, b"")),
        service("180f", 0x20, characteristic("2a19", 0x22, READ | NOTIFY, b"\x64", descriptor("2902", 0x23, b"\0\0"))),
        service("6e400001-b5a3-f393-e0a9-e50e24dcca9e", 0x30,
                characteristic("6e400002-b5a3-f393-e0a9-e50e24dcca9e", 0x32, WRITE | WRITE_CMD),
                characteristic("6e400003-b5a3-f393-e0a9-e50e24dcca9e", 0x34, INDICATE, b"", descriptor("2902", 0x35)),
                characteristic("2a19", 0x37, READ, b"\x32"), primary=False),
    ]
    return mock.peers[(address, address_type)]


# ---- usage, help, the daemon's absence ----

@case
async def help_and_version(w):
    r = await w.run("--help")
    check(r, 0)
    for word in ("status", "scan", "notify", "Exit codes", "--json"):
        assert word in r.out, word
    for name in COMMANDS:
        r = await w.run(name, "--help")
        check(r, 0)
        assert r.out.startswith(f"Usage: aioblectl [GLOBAL] {name}"), r.out
    r = await w.run("--version")
    check(r, 0)
    assert r.out.startswith("aioblectl "), r.out


@case
async def usage_errors(w):
    for args in ([], ["frobnicate"], ["--frob", "status"], ["status", "--frob"], ["status", "extra"], ["status", "-x"],
                 ["scan", "--rssi"], ["scan", "--rssi", "low"], ["scan", "--rssi", "999"], ["scan", "--uuid", "heartt"],
                 ["scan", "--duration", "-1"], ["scan", "--first", "0"], ["scan", "nonsense"], ["scan", "--until", "x"],
                 ["scan", "--duplicates", "some"], ["scan", "--window", "50", "--interval", "40"], ["scan", "--company", "x"],
                 ["connect"], ["connect", "nonsense"], ["connect", PEER, PEER], ["connect", "--type", "other", PEER],
                 ["connect", "--interval", "3", PEER], ["connect", "--mtu", "22", PEER], ["disconnect"], ["discover"],
                 ["read"], ["read", PEER], ["read", PEER, "no_such_name"], ["read", PEER, "0x12345"],
                 ["read", "--format", "u7", PEER, "2a19"], ["read", PEER, "a/b/c/d"], ["write", PEER, "2a39"],
                 ["write", PEER, "2a39", "zz"], ["write", "--format", "u8", PEER, "2a39", "256"],
                 ["write", "--no-response", "--long", PEER, "2a39", "00"], ["write", PEER, "2a39", "@/no/such/file"],
                 ["notify", PEER], ["notify", "--count", "0", PEER, "2a37"], ["--timeout", "x", "status"],
                 ["--json=xml", "status"], ["-a", "", "status"]):
        r = await w.run(*args)
        check(r, 2)
        assert r.err.startswith("aioblectl: ") and r.err.count("\n") == 1, (args, r.err)
        assert r.out == "", (args, r.out)
    assert w.mock.calls == [], w.mock.calls  # no peer was bothered


@case
async def usage_error_in_json(w):
    r = await w.run("--json", "scan", "--rssi", "low")
    check(r, 2)
    assert r.error["name"] == "Usage" and "--rssi low" in r.error["message"], r.error


@case
async def daemon_absent(w):
    w.mock.stop()
    for args in (["status"], ["adapters"], ["scan", "--duration", "1"], ["connect", PEER], ["notify", PEER, "2a37"]):
        check(await w.run(*args), 8, "cannot be reached")
    r = await w.run("status", "--json")
    check(r, 8)
    assert "ServiceUnknown" in r.error["name"], r.error


@case
async def bus_absent(w):
    process = await asyncio.create_subprocess_exec(CTL, "--address", "unix:path=/nowhere/at/all", "status",
                                                   stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    check(await w.end(process), 8, "no connection to the bus")
    process = await asyncio.create_subprocess_exec(CTL, "--address", "rubbish", "status",
                                                   stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    r = await w.end(process)
    assert r.code in (2, 8) and r.err.count("\n") == 1, (r.code, r.err)


# ---- status ----

@case
async def status_text(w):
    w.mock.add_connection(PEER)
    r = await w.run("status")
    check(r, 0)
    assert r.out.splitlines() == ["version\t9.8.7", "features\tobserver, central", "adapters\t1", "connections\t1",
                                  "advertisers\t0", "applications\t0", "subscribers\t0"], r.out


@case
async def status_json(w):
    w.mock.add_connection(PEER)
    r = await w.run("status", "--json")
    check(r, 0)
    assert r.out.count("\n") == 1
    assert r.doc["version"] == "9.8.7" and r.doc["limits"] == {"calls": 64}
    assert r.doc["adapters"][0]["name"] == "hci0" and r.doc["adapters"][0]["links_in_use"] == 1
    assert r.doc["connections"][0]["address"] == PEER
    r = await w.run("status", "--json=pretty")
    assert r.out.count("\n") > 10 and r.doc["version"] == "9.8.7"


@case
async def adapters(w):
    w.mock.adapters["hci1"] = {"Address": "00:AA:01:01:00:01", "State": "blocked", "Reason": "rfkill", "Conflict": ""}
    r = await w.run("adapters")
    check(r, 0)
    assert r.out.splitlines() == ["hci0\t00:AA:01:00:00:00\tpublic\tready\t0\tno\t-",
                                  "hci1\t00:AA:01:01:00:01\tpublic\tblocked\t0\tno\trfkill"], r.out
    r = await w.run("-a", "hci1", "adapters", "--json")
    assert [a["name"] for a in r.doc] == ["hci1"], r.doc
    r = await w.run_tty("adapters")
    assert "NAME" in r.out and "\x1b[1m" in r.out, r.out
    w.env["NO_COLOR"] = "1"
    r = await w.run_tty("adapters")
    assert "NAME" in r.out and "\x1b" not in r.out, r.out
    check(await w.run("adapters", "-a", "hci7"), 9, "hci7")


@case
async def connections(w):
    path = w.mock.add_connection(PEER, Mtu=247, Encrypted=True)
    r = await w.run("connections")
    check(r, 0)
    assert r.out == f"1\t{PEER}\tpublic\tcentral\t247\t30.00 ms\tencrypted\tlinger\t{path}\tno\n", r.out
    r = await w.run("connections", "-j")
    assert r.doc[0]["path"] == path and r.doc[0]["mtu"] == 247


# ---- scan ----

def three(stream, _path, _arguments):
    stream.send(report("00:00:00:00:00:01", 1, name="One", services=["180d", "180f"], manufacturer={"89": "0102"}))
    stream.send(report("00:00:00:00:00:02", 2, rssi=None, event_type="nonconn_ind"))
    stream.send(report("00:00:00:00:00:01", 3, rssi=-61))
    stream.send(end("duration"))


@case
async def scan_lines(w):
    w.mock.on_stream = three
    r = await w.run("scan", "--duration", "1")
    check(r, 0)
    rows = [line.split("\t") for line in r.out.splitlines()]
    assert [row[:6] for row in rows] == [
        ["00:00:00:00:00:01", "public", "-60", "ind", "One", "180d,180f"],
        ["00:00:00:00:00:02", "public", "-", "nonconn_ind", "-", "-"],
        ["00:00:00:00:00:01", "public", "-61", "ind", "-", "-"]], rows
    assert rows[0][6] in ("Nordic Semiconductor ASA", "0x0059") and rows[1][6] == "-", rows
    assert w.mock.options("Scan")["duration_ms"] == 1000


@case
async def scan_json(w):
    w.mock.on_stream = three
    r = await w.run("scan", "--json", "--duration", "1")
    check(r, 0)
    assert [x["seq"] for x in r.lines] == [1, 2, 3]
    assert r.lines[0]["manufacturer"] == {"89": "0102"} and r.lines[0]["services"] == ["180d", "180f"]
    assert "rssi" not in r.lines[1]


@case
async def scan_options(w):
    w.mock.on_stream = three
    r = await w.run("scan", "--duration", "2.5", "--uuid", "heart_rate", "--uuid", "0x180F", "--name", "P*", "--rssi", "-70",
                    "--company", "0x59", "--passive", "--duplicates", "changed", "--interval", "100", "--window", "50.5",
                    PEER, "-a", "00:AA:01:00:00:00")
    check(r, 0)
    o = w.mock.options("Scan")
    assert o == {"duration_ms": 2500, "uuids": ["180d", "0x180F"], "names": ["P*"], "rssi": -70, "companies": [0x59],
                 "active": False, "duplicates": "changed", "interval_us": 100000, "window_us": 50500, "addresses": [PEER],
                 "lifetime": "caller", "queue": 4096}, o


@case
async def scan_first(w):
    w.mock.on_stream = three
    r = await w.run("scan", "--first", "1")
    check(r, 0)
    assert r.out.startswith("00:00:00:00:00:01\t") and r.out.count("\n") == 1
    r = await w.run("scan", "--first", "2")
    check(r, 0)
    assert r.out.count("\n") == 2
    r = await w.run("scan", "--first", "3")
    check(r, 4, "2 of 3")
    assert r.out.count("\n") == 2, r.out  # a device once


@case
async def scan_until(w):
    w.mock.on_stream = three
    check(await w.run("scan", "--until", "00:00:00:00:00:02"), 0)
    check(await w.run("scan", "--until", "00:00:00:00:00:09"), 4, "00:00:00:00:00:09")


@case
async def scan_interrupted(w):
    w.mock.on_stream = lambda s, p, a: s.send(report("00:00:00:00:00:01"))
    p = await w.start("scan")
    assert (await w.line(p)).startswith("00:00:00:00:00:01")
    p.send_signal(signal.SIGINT)
    check(await w.end(p), 0)


@case
async def scan_timeout(w):
    began = time.monotonic()
    check(await w.run("scan", "--timeout", "0.3"), 3, "--timeout")
    assert time.monotonic() - began < 5


@case
async def scan_reader_gone(w):
    """A reader that leaves ends the stream at once, without another report and without a word."""
    w.mock.on_stream = lambda s, p, a: s.send(report("00:00:00:00:00:01"))
    read, write = os.pipe()
    p = await w.start("scan", stdout=write)
    os.close(write)
    await asyncio.get_running_loop().run_in_executor(None, os.read, read, 100)
    os.close(read)
    err = await asyncio.wait_for(p.stderr.read(), WAIT)
    assert await asyncio.wait_for(p.wait(), WAIT) == 0 and err == b"", (p.returncode, err)


@case
async def scan_daemon_dies(w):
    w.mock.on_stream = lambda s, p, a: (s.send(report("00:00:00:00:00:01")), s.ours.close())
    check(await w.run("scan"), 8, "went away")


@case
async def scan_adapter_goes(w):
    w.mock.on_stream = lambda s, p, a: s.send(end("org.aioble.Error.NotPowered"))
    check(await w.run("scan"), 9, "NotPowered")
    w.mock.on_stream = lambda s, p, a: s.send(end("org.aioble.Error.NotFound"))
    check(await w.run("scan"), 9, "NotFound")
    w.mock.failures = {"Connect": [Failure("NotFound", "the adapter is gone")],
                       "Scan": [Failure("org.freedesktop.DBus.Error.UnknownObject", "the adapter is gone")]}
    check(await w.run("connect", PEER), 9, "gone")
    check(await w.run("scan"), 9, "gone")
    w.mock.failures["Scan"] = [Failure("NotPowered", "hci0 is off")]
    check(await w.run("scan"), 9, "hci0 is off")


@case
async def scan_hostile_name(w):
    w.mock.on_stream = lambda s, p, a: (s.send(report("00:00:00:00:00:01", name="a\x1b[31m\tb\nc\u202ed\u009b")), s.send(end("duration")))
    r = await w.run("scan")
    check(r, 0)
    assert r.out.split("\t")[4] == "a\ufffd[31m\ufffdb\ufffdc\ufffdd\ufffd" and r.out.count("\n") == 1, r.out
    r = await w.run("scan", "--json")
    assert r.lines[0]["name"] == "a\x1b[31m\tb\nc\u202ed\u009b"  # exact, and escaped:
    assert not any(ch in r.out for ch in "\x1b\u202e\u009b"), r.out
    r = await w.run_tty("scan")
    check(r, 0)
    assert "\x1b[31m" not in r.out and "\u202e" not in r.out and "a\ufffd[31m" in r.out, r.out


@case
async def scan_live(w):
    def many(s, p, a):
        for i in range(40):  # the strongest last
            s.send(report(f"00:00:00:00:00:{i:02X}", i, rssi=-90 + i, name=f"n{i}"))
    w.mock.on_stream = many
    r = await w.run_tty("scan", until=b"40 devices")
    check(r, 0)
    assert "ADDRESS" in r.out and "40 devices, 40 reports, the strongest shown" in r.out, r.out
    last = r.out[r.out.rindex("ADDRESS"):]
    assert "00:00:00:00:00:27" in last and "00:00:00:00:00:00" not in last, last  # the weakest do not fit
    assert last.index("00:00:00:00:00:26") < last.index("00:00:00:00:00:27"), last  # in the order they came
    assert "\x1b[" in r.out
    assert all(len(line) < 100 for line in last.splitlines()), last
    w.env["TERM"] = "dumb"
    r = await w.run_tty("scan", until=b"00:00:00:00:00:27")
    assert "\x1b" not in r.out and "\t" in r.out, r.out


@case
async def scan_drops_are_told(w):
    def lossy(s, p, a):
        data = bytearray(report("00:00:00:00:00:01"))
        data[4:8] = (7).to_bytes(4, "little")
        s.send(bytes(data))
        s.send(end("duration"))
    w.mock.on_stream = lossy
    r = await w.run("scan")
    check(r, 0, "7 reports were lost")
    r = await w.run("scan", "--json", "-q")
    check(r, 0)
    assert r.lines[0]["dropped"] == 7 and r.err == ""


@case
async def scan_garbage(w):
    w.mock.on_stream = lambda s, p, a: s.send(record(4, 0, 1, b"{\"address\":"))
    check(await w.run("scan"), 1)
    w.mock.on_stream = lambda s, p, a: s.send(b"short")
    check(await w.run("scan"), 8)
    w.mock.on_stream = lambda s, p, a: (s.send(record(77, 0, 1, b"x")), s.send(record(4, 0, 1, b"{}")), s.send(end("duration")))
    check(await w.run("scan"), 0)


@case
async def no_adapter(w):
    check(await w.run("scan", "-a", "hci9"), 9, "hci9")
    w.mock.adapters.clear()
    check(await w.run("connect", PEER), 9, "adapter")


# ---- connect, disconnect ----

@case
async def connect(w):
    heart(w.mock)
    r = await w.run("connect", PEER)
    check(r, 0)
    assert r.out == "/org/aioble/hci0/conn/1\n"
    assert w.mock.called("Connect")[0][:2] == [PEER, "public"] and w.mock.options("Connect") == {}
    r = await w.run("connect", PEER.lower(), "--json")  # the link that exists
    check(r, 0)
    assert r.doc["path"] == "/org/aioble/hci0/conn/1" and r.doc["fresh"] is False and len(w.mock.called("Connect")) == 1


@case
async def connect_options(w):
    heart(w.mock, address_type="random")
    r = await w.run("--timeout", "7", "connect", PEER, "--type", "random", "--persistent", "--interval", "7.5:15", "--latency",
                    "4", "--supervision-timeout", "3", "--mtu", "247", "-q")
    check(r, 0)
    assert r.out == ""
    o = w.mock.options("Connect")
    assert 6000 < o.pop("timeout_ms") <= 7000
    assert o == {"lifetime": "persistent", "min_conn_interval_us": 7500, "max_conn_interval_us": 15000, "latency": 4,
                 "supervision_timeout_ms": 3000}, o
    assert w.mock.options("ExchangeMtu")["mtu"] == 247


@case
async def connect_failures(w):
    check(await w.run("connect", PEER), 3, f"connect {PEER} (public, see --type)")
    for failure, code, words in (
            (Failure("ConnectFailed", "no luck", hci=0x3e), 1, "HCI 0x3e"),
            (Failure("ConnectFailed", "no luck", hci=0x05), 6, "HCI 0x05"),
            (Failure("NoSlots", "all links are taken", hci=0x09), 7, "all links"),
            (Failure("NotPowered", "hci0 is blocked"), 9, "blocked"),
            (Failure("Canceled", "stopped"), 1, "stopped"),
            (Failure("LimitExceeded", "your quota"), 7, "quota"),
            (Failure("Denied", "no"), 6, "no"),
            (Failure("org.freedesktop.DBus.Error.AccessDenied", "policy"), 6, "policy"),
            (Failure("org.freedesktop.DBus.Error.NoReply", "dead"), 8, "dead")):
        w.mock.failures["Connect"] = [failure]
        check(await w.run("connect", PEER), code, words)
    w.mock.failures["Connect"] = [Failure("ConnectFailed", "no luck", hci=0x3e)]
    r = await w.run("connect", PEER, "--json")
    check(r, 1)
    assert r.error["name"] == "ConnectFailed" and r.error["hci"] == 0x3e and r.error["hci_name"], r.error


@case
async def connect_interrupted(w):
    w.mock.failures["Connect"] = [WAIT]
    p = await w.start("connect", PEER)
    await asyncio.sleep(0.5)
    p.send_signal(signal.SIGINT)
    r = await w.end(p)
    assert r.code == -signal.SIGINT and r.err == "", (r.code, r.err)


@case
async def connect_wait(w):
    heart(w.mock)
    p = await w.start("connect", "--wait", PEER)
    assert await w.line(p) == "/org/aioble/hci0/conn/1\n"
    assert w.mock.options("Connect") == {"lifetime": "caller"}
    p.send_signal(signal.SIGTERM)
    check(await w.end(p), 0)
    p = await w.start("connect", "--wait", PEER, "--timeout", "0.2")  # which is for connecting
    await w.line(p)
    assert len(w.mock.called("Hold")) == 1
    await asyncio.sleep(0.4)
    await w.mock.drop_connection("/org/aioble/hci0/conn/1", 0x08)
    check(await w.end(p), 5, "0x08")
    p = await w.start("connect", "--wait", PEER, "--json")
    await w.line(p)
    w.mock.stop()
    r = await w.end(p)
    check(r, 8)
    assert r.error["name"] == "Unreachable"


@case
async def disconnect(w):
    heart(w.mock)
    path = w.mock.add_connection(PEER)
    check(await w.run("disconnect", PEER), 0)
    assert w.mock.connections == {}
    check(await w.run("disconnect", PEER), 4, PEER)
    check(await w.run("disconnect", path), 4, path)
    path = w.mock.add_connection(PEER)
    check(await w.run("disconnect", path), 0)
    w.mock.add_connection(PEER)
    check(await w.run("disconnect", "3"), 0)
    check(await w.run("disconnect", "3"), 4)


@case
async def peer_ambiguous(w):
    w.mock.adapters["hci1"] = {"Address": "00:AA:01:01:00:01", "State": "ready", "Reason": "", "Conflict": ""}
    heart(w.mock)
    one, two = w.mock.add_connection(PEER), w.mock.add_connection(PEER, adapter="hci1")
    r = await w.run("--json", "disconnect", PEER)
    check(r, 2)
    assert r.error["name"] == "Ambiguous" and r.error["candidates"] == [one, two], r.error
    check(await w.run("disconnect", PEER, "-a", "hci1"), 0)
    assert list(w.mock.connections) == [one]


@case
async def peer_on_its_way_out(w):
    """A link that is down already is no link, even while its object is there."""
    heart(w.mock)
    w.mock.add_connection(PEER, Connected=False)
    check(await w.run("disconnect", PEER), 4)
    check(await w.run("connect", PEER, "--type", "random"), 3)


@case
async def peer_by_identity(w):
    w.mock.add_connection("70:11:22:33:44:55", "random", Identity=PEER)
    check(await w.run("disconnect", PEER), 0)


# ---- discover ----

@case
async def discover_lines(w):
    heart(w.mock)
    r = await w.run("discover", PEER)
    check(r, 0)
    rows = [line.split("\t") for line in r.out.splitlines()]
    assert len(rows) == 4 + 8 + 3, rows
    assert rows[2] == ["service", "0x0010", "0x0017", "180d", "Heart Rate", "primary", "-"], rows[2]
    assert rows[3] == ["characteristic", "0x0012", "0x0013", "2a37", "Heart Rate Measurement", "notify", "-"], rows[3]
    assert rows[4] == ["descriptor", "0x0013", "-", "2902", "Client Characteristic Configuration", "-", "-"], rows[4]
    assert rows[10][4:6] == ["-", "secondary"] and rows[11][5] == "write_no_response,write", rows
    assert w.mock.called("Read") == []


@case
async def discover_json_read(w):
    services = heart(w.mock)
    services[1].children[1].error = Failure("Gatt", "ATT 0x05", att=5)
    r = await w.run("discover", PEER, "--read", "--json")
    check(r, 0)
    by_uuid = {s["uuid"]: s for s in r.doc["services"]}
    hr = by_uuid["180d"]["characteristics"]
    assert by_uuid["1800"]["characteristics"][0]["value"] == b"Pulse".hex()
    assert hr[0]["properties"] == ["notify"] and "value" not in hr[0] and hr[0]["descriptors"][0]["value"] == "0000"
    assert hr[1]["error"]["name"] == "Gatt" and hr[1]["error"]["att"] == 5
    assert by_uuid["180f"]["end_handle"] == 0x23 and by_uuid["180f"]["name"] == "Battery Service"


@case
async def discover_tree(w):
    heart(w.mock)
    r = await w.run_tty("discover", PEER, "--read")
    check(r, 0)
    text = r.out.replace("\r\n", "\n")
    assert "├─ Heart Rate  180d" in text and "│  ├─ Heart Rate Measurement  2a37" in text, text
    assert "│  │  └─ Client Characteristic Configuration" in text and "└─ 6e400001-" in text, text
    assert '50756c7365  "Pulse"' in text, text
    w.env["LC_ALL"] = "C"
    r = await w.run_tty("discover", PEER)
    assert "|- Heart Rate" in r.out and "`- Client" in r.out and r.raw.isascii(), r.out


@case
async def discover_disconnected(w):
    heart(w.mock)
    w.mock.failures["Discover"] = [Failure("Disconnected", "the peer left", hci=0x13)]
    check(await w.run("discover", PEER), 5, "the peer left (HCI 0x13")
    w.mock.failures["Read"] = [Failure("Disconnected", "the peer left", hci=0x13)]
    r = await w.run("discover", PEER, "--read")
    check(r, 5)
    assert r.out == ""


# ---- read ----

@case
async def read_formats(w):
    heart(w.mock)[1].children[1].value = bytes.fromhex("0a00ff")
    for args, out in ((["body_sensor_location"], "0a00ff\n"), (["2a38", "--format", "u8"], "10 0 255\n"),
                      (["0x2a38", "--format", "u8,u16be"], "10 255\n"), (["0x15", "--format", "base64"], "CgD/\n"),
                      (["00002a38-0000-1000-8000-00805F9B34FB", "--format", "i8"], "10 0 -1\n"),
                      (["heart_rate/body_sensor_location"], "0a00ff\n"), (["180d/2a38"], "0a00ff\n"),
                      (["h0015"], "0a00ff\n"), (["device name", "--format", "text"], "Pulse\n"),
                      (["2a37/2902"], "0000\n"), (["180d/2902"], "0000\n"), (["180d/2a37/2902"], "0000\n"),
                      (["2a38", "--offset", "2"], "ff\n")):
        r = await w.run("read", PEER, *args)
        check(r, 0)
        assert r.out == out, (args, r.out)
    r = await w.run("read", PEER, "2a38", "--format", "raw")
    assert r.raw == b"\x0a\x00\xff"
    r = await w.run("read", PEER, "2a38", "--format", "u16")
    check(r, 1, "3 bytes do not fit the format: 0a00ff")
    r = await w.run_tty("read", PEER, "device_name")
    assert r.out == '50756c7365  "Pulse"\r\n', r.out


@case
async def read_several(w):
    heart(w.mock)
    r = await w.run("read", PEER, "2a00", "2a38")
    check(r, 0)
    assert r.out == "0x0003\tDevice Name\t50756c7365\n0x0015\tBody Sensor Location\t01\n", r.out
    r = await w.run("read", "-q", PEER, "2a00", "2a38")
    assert r.out == "50756c7365\n01\n"
    r = await w.run("read", "--json", PEER, "2a00", "2a38", "--format", "u8")
    assert [x["value"] for x in r.doc] == ["50756c7365", "01"] and r.doc[1]["decoded"] == 1 and r.doc[0]["handle"] == 3
    assert len(w.mock.called("Discover")) == 3


@case
async def read_known_handle(w):
    """A handle that the daemon knows costs no discovery; a name always does, as there might be two."""
    heart(w.mock)
    await w.run("connect", PEER)
    check(await w.run("read", PEER, "0x15"), 0)
    assert len(w.mock.called("Discover")) == 1
    check(await w.run("read", PEER, "0x15", "0x03"), 0)
    check(await w.run("read", PEER, "h0013"), 0)
    assert len(w.mock.called("Discover")) == 1
    check(await w.run("read", PEER, "2a38"), 0)
    assert len(w.mock.called("Discover")) == 2 and len(w.mock.called("Connect")) == 1


@case
async def read_ambiguous(w):
    heart(w.mock)
    r = await w.run("read", PEER, "battery_level")
    check(r, 2, "0x0022 Battery Service/Battery Level, 0x0037 6e400001-")
    r = await w.run("read", "--json", PEER, "2a19")
    check(r, 2)
    assert [x["handle"] for x in r.error["candidates"]] == [0x22, 0x37], r.error
    r = await w.run("read", PEER, "battery/battery_level", "--format", "u8")
    check(r, 0)
    assert r.out == "100\n"
    r = await w.run("read", PEER, "6e400001-b5a3-f393-e0a9-e50e24dcca9e/2a19", "--format", "u8")
    assert r.out == "50\n"
    assert len(w.mock.called("Read")) == 2


@case
async def read_uuid_or_handle(w):
    """0x180d is a UUID and a handle: with both there the user must say which."""
    w.mock.peers[(PEER, "public")] = [service("1234", 0x01, characteristic("0015", 0x03, READ, b"\x01")),
                                      service("1235", 0x10, characteristic("2a00", 0x15, READ, b"\x02"))]
    check(await w.run("read", PEER, "0x0015"), 2, "ambiguous")
    for text, out in (("0015", "01\n"), ("h0015", "02\n"), ("0x15", "02\n"), ("0x0003", "01\n")):
        r = await w.run("read", PEER, text)
        check(r, 0)
        assert r.out == out, (text, r.out)


@case
async def read_failures(w):
    c = heart(w.mock)[1].children[1]
    check(await w.run("read", PEER, "temperature"), 4, "temperature")
    check(await w.run("read", PEER, "0x99"), 4)
    check(await w.run("read", PEER, "180d"), 4)  # a service has no value
    check(await w.run("read", PEER, "2a38/2a38"), 4)  # nothing is its own parent
    check(await w.run("read", PEER, "180f/2a38"), 4)
    for failure, code, words in (
            (Failure("Gatt", "the peer refused", att=0x02, handle=1), 1, "ATT 0x02 read not permitted"),
            (Failure("Gatt", "ATT 0x05 (insufficient authentication)", att=0x05), 6, "0x05"),
            (Failure("Gatt", "the peer refused", att=0x0f), 6, "insufficient encryption"),
            (Failure("Gatt", "the peer refused", att=0x80), 1, "ATT 0x80"),
            (Failure("Timeout", "no answer"), 3, "no answer"),
            (Failure("NotConnected", "gone"), 5, "gone"),
            (Failure("Protocol", "odd"), 1, "odd"),
            (Failure("Gatt", "evil \x1b[2J words", att=0x11), 1, "evil \ufffd[2J words")):
        c.error = failure
        r = await w.run("read", PEER, "2a38")
        check(r, code, words)
        assert "0x0015" in r.err and PEER in r.err, r.err
    c.error = Failure("Gatt", "the peer refused", att=0x05)
    r = await w.run("read", "--json", PEER, "2a38")
    check(r, 6)
    assert r.error["name"] == "Gatt" and r.error["att"] == 5 and r.error["att_name"] == "insufficient authentication"
    assert r.out == ""


@case
async def timeout_reaches_the_daemon(w):
    heart(w.mock)
    check(await w.run("--timeout", "3", "read", PEER, "2a38"), 0)
    for member in ("Connect", "Discover", "Read"):
        assert 1000 < w.mock.options(member)["timeout_ms"] <= 3000, member
    check(await w.run("read", PEER, "2a38"), 0)
    assert w.mock.options("Read")["timeout_ms"] == 10000  # many round trips, when the value is long
    check(await w.run("--timeout", "0.0001", "connect", PEER, "--type", "random"), 3)
    assert w.mock.options("Connect")["timeout_ms"] == 1  # short, not for ever
    check(await w.run("--timeout", "0", "read", PEER, "2a38"), 0)
    assert w.mock.options("Read")["timeout_ms"] == 0


# ---- write ----

@case
async def write(w):
    c = heart(w.mock)[1].children[2]
    for args, data, out in ((["01"], None, b"\x01"), (["0102 03"], None, b"\1\2\3"), (["01", "02"], None, b"\1\2"),
                            (["--format", "u16", "0x1234"], None, b"\x34\x12"), (["--format", "text", "hi"], None, b"hi"),
                            (["--format", "u8,u16be", "1", "2"], None, b"\1\0\2"), (["--format", "i8", "--", "-1"], None, b"\xff"),
                            (["--format", "text", "@@x"], None, b"@x"), ([""], None, b""), (["-"], b"0a0b\n", b"\x0a\x0b"),
                            (["-", "--format", "text"], b"hi\n", b"hi"), (["-", "--format", "raw"], b"\0hi\n", b"\0hi\n"),
                            (["-", "--format", "u8"], b"1\n2\n", b"\1\2")):
        r = await w.run("write", PEER, "heart_rate_control_point", *args, stdin=data)
        check(r, 0)
        assert c.writes[-1] == out, (args, c.writes[-1])
        assert r.out == "" and r.err == ""
    assert len(c.writes) == 13 and w.mock.options("Write") == {"timeout_ms": 10000}


@case
async def write_file_and_options(w):
    c = heart(w.mock)[3].children[0]
    with tempfile.NamedTemporaryFile() as f:
        f.write(bytes(range(200)))
        f.flush()
        r = await w.run("write", PEER, "0x32", "--format", "raw", "--long", "@" + f.name, "--json")
        check(r, 0)
        assert c.writes[-1] == bytes(range(200)) and r.doc["written"] == bytes(range(200)).hex() and r.doc["handle"] == 0x32
        f.write(bytes(400))
        f.flush()
        check(await w.run("write", PEER, "0x32", "--format", "raw", "@" + f.name), 2, "512")
    assert w.mock.options("Write") == {"timeout_ms": 10000, "long": True}
    check(await w.run("write", PEER, "0x32", "00", "--no-response"), 0)
    assert w.mock.options("Write") == {"timeout_ms": 10000, "response": False}
    check(await w.run("write", PEER, "0x32", "00", "--response"), 0)
    assert w.mock.options("Write") == {"timeout_ms": 10000, "response": True}
    check(await w.run("write", PEER, "0x32", "00", "--offset", "4"), 0)
    assert w.mock.options("Write") == {"timeout_ms": 10000, "long": True, "offset": 4}
    c.error = Failure("TooLong", "20 bytes at most")
    check(await w.run("write", PEER, "0x32", "00"), 1, "20 bytes")
    c.error = Failure("Busy", "subscribed")
    check(await w.run("write", PEER, "0x32", "00"), 7, "subscribed")


# ---- notify ----

def beats(*values, last=None, **more):
    def send(stream, _path, _arguments):
        for v in values:
            stream.value(NOTIFIED, 0x12, v, **more)
        if last:
            stream.send(last)
    return send


@case
async def notify_count(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0\x50", b"\0\x51", b"\0\x52")
    r = await w.run("notify", PEER, "heart_rate_measurement", "--count", "2", "--format", "u8")
    check(r, 0)
    rows = [line.split("\t") for line in r.out.splitlines()]
    assert [row[1:] for row in rows] == [["0x0012", "notified", "0 80"], ["0x0012", "notified", "0 81"]], rows
    assert abs(float(rows[0][0]) - time.time()) < 60, rows
    assert len(w.mock.called("Stop")) == 1  # the peer was told
    o = w.mock.options("OpenNotify")
    assert o == {"notify": True, "indicate": False, "lifetime": "caller", "queue": 4096}, o
    r = await w.run("notify", "-q", PEER, "2a37", "--count", "3")
    assert r.out == "0050\n0051\n0052\n"
    r = await w.run("notify", PEER, "2a37", "--count", "3", "--format", "raw")
    assert r.raw == b"\0\x50\0\x51\0\x52"


@case
async def notify_json(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0\x50", b"\0\x51", dropped=3)
    r = await w.run("notify", "--json", PEER, "2a37", "--count", "2", "--format", "u8")
    check(r, 0)
    assert [x["seq"] for x in r.lines] == [1, 2]
    one = r.lines[0]
    assert one["value"] == "0050" and one["decoded"] == [0, 80] and one["handle"] == 0x12 and one["uuid"] == "2a37"
    assert one["kind"] == "notified" and one["dropped"] == 3 and abs(one["time"] - time.time()) < 60
    assert abs(one["time_us"] / 1e6 - time.monotonic()) < 60
    r = await w.run("notify", PEER, "2a37", "--count", "2")
    assert "3 values were lost here" in r.err and "6 values were lost" in r.err, r.err


@case
async def notify_several(w):
    heart(w.mock)

    def send(stream, _path, arguments):
        kind, handle = (INDICATED, 0x34) if arguments["indicate"].value else (NOTIFIED, 0x12)
        stream.value(kind, handle, b"\x01")
    w.mock.on_stream = send
    r = await w.run("notify", "--json", PEER, "2a37", "6e400003-b5a3-f393-e0a9-e50e24dcca9e", "--count", "2")
    check(r, 0)
    assert sorted((x["handle"], x["kind"]) for x in r.lines) == [(0x12, "notified"), (0x34, "indicated")]
    assert len(w.mock.called("Stop")) == 2 and len(w.mock.called("Discover")) == 1


@case
async def notify_indicate_option(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0")
    check(await w.run("notify", PEER, "2a37", "--indicate", "--count", "1"), 0)
    o = w.mock.options("OpenNotify")
    assert o["indicate"] and not o["notify"]
    check(await w.run("notify", PEER, "2a37", "--indicate", "--notify", "--count", "1"), 0)
    o = w.mock.options("OpenNotify")
    assert o["indicate"] and o["notify"]


@case
async def notify_duration(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0")
    began = time.monotonic()
    r = await w.run("notify", PEER, "2a37", "--duration", "0.4")
    check(r, 0)
    assert 0.4 <= time.monotonic() - began < 8 and r.out.count("\n") == 1
    check(await w.run("notify", PEER, "2a37", "--duration", "0.3", "--count", "5"), 3, "1 of 5")
    check(await w.run("notify", PEER, "2a37", "--timeout", "0.6"), 3)


@case
async def notify_interrupted(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0")
    for args, code in (([], 0), (["--count", "9"], 130)):
        p = await w.start("notify", PEER, "2a37", *args)
        await w.line(p)
        p.send_signal(signal.SIGINT)
        r = await w.end(p)
        check(r, code)
        assert r.err == ""
    assert len(w.mock.called("Stop")) == 2


@case
async def notify_disconnected(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"\0")
    p = await w.start("notify", PEER, "2a37")
    await w.line(p)
    await w.mock.drop_connection("/org/aioble/hci0/conn/1", 0x13)
    r = await w.end(p)
    check(r, 5, "Disconnected (HCI 0x13")
    assert w.mock.called("Stop") == []
    w.mock.on_stream = beats(b"\0", last=end("org.aioble.Error.Disconnected", 0x08))
    r = await w.run("notify", "--json", PEER, "2a37")
    check(r, 5)
    assert r.error["hci"] == 8 and r.error["name"] == "Disconnected" and r.error["hci_name"], r.error


@case
async def notify_daemon_dies(w):
    heart(w.mock)
    w.mock.on_stream = lambda s, p, a: s.ours.close()
    check(await w.run("notify", PEER, "2a37"), 8, "went away")


@case
async def notify_unstoppable(w):
    """A daemon that does not answer Stop delays the end by a signal, not for ever."""
    heart(w.mock)
    w.mock.failures["Stop"] = [WAIT]
    w.mock.on_stream = beats(b"\0")
    p = await w.start("notify", PEER, "2a37")
    await w.line(p)
    p.send_signal(signal.SIGINT)
    await asyncio.sleep(0.5)
    p.send_signal(signal.SIGINT)
    began = time.monotonic()
    check(await w.end(p), 0)
    assert time.monotonic() - began < 3


@case
async def notify_unsupported(w):
    heart(w.mock)
    check(await w.run("notify", PEER, "2a38"), 1, "neither notifies")
    check(await w.run("notify", PEER, "2902"), 4)  # descriptors do not


@case
async def notify_holds_the_link(w):
    heart(w.mock)
    w.mock.add_connection(PEER)
    w.mock.on_stream = beats(b"\0")
    check(await w.run("notify", PEER, "2a37", "--count", "1"), 0)
    assert len(w.mock.called("Hold")) == 1 and w.mock.called("Connect") == []


@case
async def notify_terminal(w):
    heart(w.mock)
    w.mock.on_stream = beats(b"Hi \xc2\x9b")
    r = await w.run_tty("notify", PEER, "2a37", "--count", "1", "--format", "text")
    check(r, 0)
    assert r.out.endswith("0x0012  notified  Hi \ufffd\r\n"), r.out


# ---- the words around it ----

SOURCE = os.path.dirname(os.path.abspath(XML))
COMMANDS = ("status", "adapters", "scan", "connect", "disconnect", "connections", "discover", "read", "write", "notify",
            "advertise", "serve")


async def options_of(w, command):
    """The long options that a command's help names."""
    r = await w.run(command, "--help")
    check(r, 0)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", r.out))


@case
async def manual_has_every_option(w):
    with open(os.path.join(SOURCE, "docs/aioblectl.1.rst"), encoding="utf-8") as f:
        manual = f.read()
    for command in COMMANDS:
        for option in await options_of(w, command):
            assert option in manual, (command, option)


@case
async def completion(w):
    script = os.path.join(SOURCE, "tools/aioblectl/completion.bash")
    w.env |= {"DBUS_SYSTEM_BUS_ADDRESS": w.bus.address, "PATH": os.path.dirname(CTL) + ":" + os.environ["PATH"]}

    async def complete(*words):
        code = '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _aioblectl; printf "%s\\n" "${COMPREPLY[@]}"'
        process = await asyncio.create_subprocess_exec("bash", "--norc", "-c", code, script, "aioblectl", *words, env=w.env,
                                                       stdout=asyncio.subprocess.PIPE)
        return set((await asyncio.wait_for(process.communicate(), WAIT))[0].decode().split())
    assert await complete("") == set(COMMANDS)
    assert await complete("dis") == {"disconnect", "discover"}
    for command in COMMANDS:
        assert await complete(command, "--") == await options_of(w, command), command
    w.mock.add_connection(PEER)
    assert await complete("read", "") == {PEER}
    assert await complete("-a", "") == {"hci0"}
    assert await complete("connect", "--type", "r") == {"random"}
    assert await complete("scan", "") == set()
    assert await complete("serve", SOURCE + "/docs/ex") == {SOURCE + "/docs/examples"}
    assert {member for _, member, _ in w.mock.calls} == set()  # nothing but looking


# ---- output ----

@case
async def output_full(w):
    with open("/dev/full", "wb") as full:
        p = await w.start("status", stdout=full)
        r = Result(await asyncio.wait_for(p.wait(), WAIT), b"", await p.stderr.read())
    assert r.code == 1 and "writing the output" in r.err, (r.code, r.err)


main()
