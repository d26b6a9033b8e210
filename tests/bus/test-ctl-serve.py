#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""aioblectl serve against a stand-in for the daemon: what it registers, its lines in both directions, and its ends.

Usage: test-ctl-serve.py AIOBLECTL XML_FOLDER [PATTERN]
"""
import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time

from dbus_fast import Variant

from ctl_bed import CTL, PEER, WAIT, XML, Result, case, check, main
from mock_aioble import Failure

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(XML)), "docs/examples")
TEMP = os.path.join(EXAMPLES, "temp-sensor.json")
UART = os.path.join(EXAMPLES, "uart.json")
OTHER = "C0:FF:EE:00:00:02"
RX = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
UART_SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
TX = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"


@contextlib.contextmanager
def file_of(doc):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write(doc if isinstance(doc, str) else json.dumps(doc))
        f.flush()
        yield f.name


async def until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


class Served:
    """The command running; `lines` are what it prints, in fields."""

    def __init__(self, w, process):
        self.w, self.process = w, process

    async def line(self):
        fields = (await self.w.line(self.process)).rstrip("\n").split("\t")
        if len(fields) == 5:
            assert abs(float(fields[0]) - time.time()) < 60, fields
        return fields[1:]

    async def error(self):
        return (await asyncio.wait_for(self.process.stderr.readline(), WAIT)).decode()

    def put(self, text):
        self.process.stdin.write(text.encode())

    async def stop(self, code=0, err=""):
        self.process.send_signal(signal.SIGTERM)
        r = await self.w.end(self.process)
        check(r, code)
        assert err in r.err if err else r.err == "", r.err
        return r


async def serve(w, file, *args, stdin=asyncio.subprocess.PIPE, ready=True):
    s = Served(w, await w.start("serve", file, *args, stdin=stdin))
    if ready:
        first, second = await s.line(), await s.line()
        assert first[:3] == ["serving", "-", "-"] and first[3] in w.mock.apps, first
        assert second == ["on-air", "-", "-", "00:AA:01:00:00:00"], second
    return s


# ---- --check ----

@case
async def check_examples(w):
    w.mock.stop()  # nobody is asked
    r = await w.run("serve", "--check", TEMP)
    check(r, 0)
    assert r.out == "ok: 1 service, 1 characteristic, advertising 31 of 31 bytes, scan response 0 of 31\n", r.out
    r = await w.run("serve", "--check", UART)
    check(r, 0)
    assert r.out.startswith("ok: 3 services, 5 characteristics, advertising "), r.out
    r = await w.run("serve", "--check", "-q", UART)
    check(r, 0)
    assert r.out == ""
    r = await w.run("serve", "--check", "--json", TEMP)
    check(r, 0)
    assert r.doc["adv_data"] == "02010603031a180b0974656d702d73656e73650319000307ffcdab31323334" and r.doc["resp_data"] == ""
    assert r.doc["interval_us"] == 250000
    assert [(a["uuid"], a.get("label")) for a in r.doc["attributes"]] == [
        ("181a", None), ("2a6e", "temp"), ("2901", "characteristic_user_description"),
        ("2904", "characteristic_presentation_format")]
    assert r.doc["attributes"][1]["properties"] == ["read", "notify"]
    assert [a["handle"] - r.doc["attributes"][0]["handle"] for a in r.doc["attributes"]] == [0, 2, 4, 5]  # the CCCD is 3
    r = await w.run_tty("serve", "--check", TEMP)
    assert "CALLED" in r.out and "ok: 1 service" in r.out, r.out


@case
async def check_tells_all(w):
    with file_of('{"services": [\n{"uuid": "frob"},\n{"uuid": "180f", "characteristics": [{"uuid": "2a19",\n"read": true, "max_len": 600}]}]}') as f:
        for args in (["--check"], []):  # the file is read before anything is asked of the daemon
            r = await w.run("serve", *args, f)
            check(r, 2)
            assert r.err.splitlines() == [
                f'aioblectl: {f}:2: services[0].uuid: "frob" is neither a UUID nor a service that the Bluetooth SIG has a name for',
                f"aioblectl: {f}:4: services[1].characteristics[0].max_len: 600 is more than 512"], r.err
            assert r.out == ""
        r = await w.run("serve", "--check", "--json", f)
        check(r, 2)
        errors = [json.loads(line)["error"] for line in r.err.splitlines()]
        assert [(e["line"], e["path"]) for e in errors] == [(2, "services[0].uuid"), (4, "services[1].characteristics[0].max_len")]
        assert errors[0]["name"] == "File" and errors[0]["file"] == f and errors[0]["column"] == 10, errors
    with file_of('{"services": [\n}') as f:
        check(await w.run("serve", "--check", f), 2, f"{f}:2:1: no value begins like this")
    with file_of("[" * 300000) as f:
        check(await w.run("serve", "--check", f), 2, "longer than")
    with file_of('{"services": [%s]}' % ",".join("0" * 50)) as f:
        r = await w.run("serve", "--check", f)
        check(r, 2)
        assert len(r.err.splitlines()) == 21 and "more" in r.err.splitlines()[-1]
    check(await w.run("serve", "--check", "/no/such/file"), 2, "/no/such/file: No such file")
    check(await w.run("serve", "--check", "/"), 2, "Is a directory")
    check(await w.run("serve", "--check"), 2, "which file?")
    check(await w.run("serve", TEMP, UART), 2, "one file")
    check(await w.run("serve", "--frob", TEMP), 2, "--frob")
    assert w.mock.calls == []


# ---- what is registered ----

@case
async def registers_the_example(w):
    s = await serve(w, TEMP)
    assert w.mock.gap == {"gap_name": "temp-sense", "appearance": 768}
    app = w.mock.apps[w.mock.app()]
    assert app["options"] == {"queue": 4096, "signals": True, "lifetime": "caller"}, app["options"]
    temp, description, presentation = app["values"]
    assert temp.given["uuid"] == "2a6e" and temp.given["read"] and temp.given["notify"] and "write" not in temp.given
    assert "capture" not in temp.given and temp.value == (2150).to_bytes(2, "little")
    assert description.given == {"uuid": "2901", "read": True, "initial": b"Outdoor temperature"}
    assert presentation.value == bytes.fromhex("0efe2f27010000")
    adv = next(iter(w.mock.advertisers.values()))
    assert adv == {"interval_us": 250000, "connectable": True, "keep": True, "name": "temp-sense", "appearance": 768,
                   "services": ["181a"], "manufacturer": [[0xabcd, b"1234"]], "lifetime": "caller"}, adv
    await s.stop()
    assert w.mock.apps == {} and w.mock.advertisers == {}


@case
async def registers_everything(w):
    doc = {"queue": 7, "services": [
        {"uuid": 0x180F, "id": "bat", "handle": 32, "characteristics": [
            {"uuid": "battery_level", "handle": 33, "read": True, "indicate": True, "write": True, "write_no_response": True,
             "format": "u8,u16be", "initial": [1, "0x203"], "max_len": 3, "append": True, "truncate": True, "capture": False,
             "read_security": "encrypted", "write_security": "secure", "key_size": 16,
             "descriptors": [{"uuid": "2901", "read": True, "write": True, "format": "text", "initial": "a", "max_len": 9}]}]},
        {"uuid": RX, "secondary": True, "includes": ["bat"]}],
        "advertising": {"interval_ms": 20, "name": "", "tx_power": -3, "limited_disc": True, "br_edr": True, "timeout_ms": 9, "keep": False,
                        "service_data": {"uuid": "battery", "data": "0102"}}}
    with file_of(doc) as f:
        s = await serve(w, f)
    app = w.mock.apps[w.mock.app()]
    first, second = app["services"]
    assert {k: v.value for k, v in second.items()} == {"uuid": RX, "secondary": True, "includes": [0], "characteristics": []}
    assert first["handle"].value == 32 and app["options"]["queue"] == 7
    level, description = app["values"]
    assert {k: v for k, v in level.given.items() if k != "descriptors"} == {
        "uuid": "2a19", "handle": 33, "read": True, "indicate": True, "write": True, "write_no_response": True, "initial": b"\1\2\3",
        "max_len": 3, "append": True, "truncate": True, "read_security": "encrypted", "write_security": "secure", "key_size": 16}
    assert description.given == {"uuid": "2901", "read": True, "write": True, "initial": b"a", "max_len": 9}
    assert next(iter(w.mock.advertisers.values())) == {
        "interval_us": 20000, "connectable": True, "keep": False, "timeout_ms": 9, "limited_disc": True, "br_edr": True,
        "services": ["180f"], "service_data": [["180f", b"\1\2"]], "tx_power": -3, "lifetime": "caller"}
    assert w.mock.gap == {}
    await s.stop()


@case
async def only_services_or_only_advertising(w):
    with file_of({"advertising": {"adv_data": "020106", "connectable": False, "extended": True, "secondary_phy": "coded"}}) as f:
        s = await serve(w, f, ready=False)
        assert (await s.line())[0] == "on-air"
        assert next(iter(w.mock.advertisers.values())) == {"interval_us": 250000, "connectable": False, "extended": True,
                                                           "secondary_phy": "coded", "adv_data": b"\2\1\6", "lifetime": "caller"}
        assert w.mock.apps == {}
        s.put("temp 5\n")
        assert "standard input:1: 'temp' is not" in await s.error()
        await s.stop()
    with file_of({"services": [{"uuid": "180f"}], "advertising": False}) as f:
        before = len(w.mock.called("Advertise"))
        s = await serve(w, f, ready=False)
        assert (await s.line())[0] == "serving"
        await s.stop()
        assert len(w.mock.called("Advertise")) == before


@case
async def refused_by_the_daemon(w):
    """What only the daemon can know is told at the line of the file all the same."""
    for member, failure, code, words in (
            ("RegisterServices", Failure("InvalidArgument", "0x0020 is taken", key=Variant("s", "services[0].characteristics[0].uuid")), 2,
             f"{TEMP}:15: services[0].characteristics[0].uuid: 0x0020 is taken"),
            ("RegisterServices", Failure("LimitExceeded", "too many"), 7, "register the services: too many"),
            ("Advertise", Failure("InvalidArgument", "no", key=Variant("s", "manufacturer")), 2,
             f"{TEMP}:6: advertising.manufacturer: no"),
            ("Advertise", Failure("NotPowered", "it is off"), 9, "advertise: it is off"),
            ("Configure", Failure("Denied", "not you"), 6, "not you")):
        w.mock.failures[member] = [failure]
        r = await w.run("serve", TEMP)
        check(r, code, words)
        assert w.mock.advertisers == {} and w.mock.apps == {}, "nothing is left behind"
    check(await w.run("serve", TEMP, "-a", "hci7"), 9, "hci7")
    w.mock.stop()
    check(await w.run("serve", TEMP), 8, "cannot be reached")


# ---- events ----

@case
async def events(w):
    s = await serve(w, UART)
    rx, tx, level = w.mock.value(RX), w.mock.value(TX), w.mock.value("2a19")
    conn = await w.mock.central_connects(PEER)
    assert await s.line() == ["connected", PEER, "-", "-"]
    assert await s.line() == ["off-air", "-", "-", "connected"]  # one at a time: keep is false
    await w.mock.central_subscribes(conn, tx)
    await w.mock.central_writes(conn, rx, b"hello")
    await w.mock.central_writes(conn, rx, b"w\x1b[2Jrld")
    await w.mock.central_subscribes(conn, level, True, True)
    await w.mock.central_subscribes(conn, tx, False, False)
    await w.mock.drop_connection(conn, 0x13)
    await w.mock.central_writes("/", rx, b"late")
    assert await s.line() == ["subscribed", PEER, "tx", "notify"]
    assert await s.line() == ["written", PEER, "rx", "hello"]
    assert await s.line() == ["written", PEER, "rx", "w\ufffd[2Jrld"]
    assert await s.line() == ["subscribed", PEER, "level", "notify,indicate"]
    assert await s.line() == ["unsubscribed", PEER, "tx", "-"]
    assert await s.line() == ["disconnected", PEER, "-", "HCI 0x13 gone"]
    assert await s.line() == ["written", "-", "rx", "late"]
    assert await s.line() == ["on-air", "-", "-", "00:AA:01:00:00:00"]  # for the next one
    await s.stop()
    assert len(w.mock.called("Advertise")) == 2


@case
async def events_json(w):
    s = await serve(w, UART, "--json", ready=False)
    one, two = json.loads(await w.line(s.process)), json.loads(await w.line(s.process))
    assert one["event"] == "serving" and one["what"] == w.mock.app() and two["event"] == "on-air", (one, two)
    conn = await w.mock.central_connects(PEER)
    rx, level = w.mock.value(RX), w.mock.value("2a19")
    lines = [json.loads(await w.line(s.process)) for _ in range(2)]
    await w.mock.central_writes(conn, rx, b"\xff")
    await w.mock.central_writes(conn, level, b"\x05")
    await w.mock.central_subscribes(conn, level, False, True)
    await w.mock.drop_connection(conn, 0x08)
    lines += [json.loads(await w.line(s.process)) for _ in range(4)]
    assert [x["event"] for x in lines] == ["connected", "off-air", "written", "written", "subscribed", "disconnected"], lines
    assert lines[0]["address"] == PEER and lines[0]["address_type"] == "random" and lines[0]["connection"] == conn
    assert lines[2]["value"] == "ff" and lines[2]["decoded"] is None and lines[2]["attribute"] == "rx" and lines[2]["uuid"] == RX
    assert lines[3]["value"] == "05" and lines[3]["decoded"] == 5 and lines[3]["handle"] == level.handle
    assert lines[4]["indicate"] is True and lines[4]["notify"] is False
    assert lines[5]["hci"] == 8 and abs(lines[5]["time"] - time.time()) < 60
    await s.stop()


@case
async def order_while_an_address_is_asked_for(w):
    """Events of other links wait as well: the order of the lines is that of what happened."""
    s = await serve(w, TEMP)
    gate = asyncio.Event()

    async def held(message):
        if message.member == "GetAll" and message.path.endswith(first):
            await gate.wait()
        return await dispatch(message)
    dispatch, first = w.mock._dispatch, f"/conn/{w.mock.next}"
    w.mock._dispatch = held
    temp = w.mock.value("2a6e")
    a = await w.mock.central_connects(PEER)
    b = await w.mock.central_connects(OTHER)
    await w.mock.central_subscribes(b, temp)
    await w.mock.central_subscribes(a, temp)
    await asyncio.sleep(0.2)
    gate.set()
    assert [(await s.line())[:3] for _ in range(4)] == [["connected", PEER, "-"], ["connected", OTHER, "-"], ["subscribed", OTHER, "temp"],
                                                       ["subscribed", PEER, "temp"]]
    await s.stop()


@case
async def a_link_that_is_gone_before_it_is_looked_at(w):
    s = await serve(w, TEMP)
    conn = await w.mock.central_connects(PEER)
    assert (await s.line())[:2] == ["connected", PEER]
    await w.mock.drop_connection(conn)
    await w.mock.central_subscribes(conn, w.mock.value("2a6e"), False, False)  # late, of a link that was
    assert (await s.line())[:2] == ["disconnected", PEER]
    assert (await s.line())[:3] == ["unsubscribed", PEER, "temp"]
    await w.mock.central_subscribes("/org/aioble/hci0/conn/99", w.mock.value("2a6e"))
    assert (await s.line())[:2] == ["connected", "-"]
    assert (await s.line())[:3] == ["subscribed", "-", "temp"]
    await s.stop()


@case
async def others_are_not_ours(w):
    s = await serve(w, TEMP)
    temp, app = w.mock.value("2a6e"), w.mock.app()
    await w.mock.signal(app[:-1] + "99", "Application1", "Written", "ooaya{sv}", [temp.path, "/", b"1", {}])
    await w.mock.signal(app, "Application1", "Written", "ooaya{sv}", ["/org/aioble/hci0/app/9/h0001", "/", b"1", {}])
    await w.mock.signal("/org/aioble/hci0/adv/99", "Advertiser1", "Connected", "o", ["/org/aioble/hci0/conn/9"])
    await w.mock.signal("/org/aioble/hci0/adv/99", "Advertiser1", "Finished", "sa{sv}", ["timeout", {}])
    await w.mock.signal("/org/aioble/hci0/conn/9", "Connection1", "Disconnected", "ya{sv}", [8, {}])
    await w.mock.central_connects(PEER)
    assert (await s.line())[:2] == ["connected", PEER]
    await s.stop()


@case
async def quiet_is_what_was_written(w):
    s = await serve(w, UART, "-q", ready=False)
    await until(lambda: w.mock.advertisers)
    conn = await w.mock.central_connects(PEER)
    await w.mock.central_subscribes(conn, w.mock.value(TX))
    await w.mock.central_writes(conn, w.mock.value(RX), b"one two")
    assert await w.line(s.process) == "rx\tone two\n"  # which is what standard input takes
    s.put("tx\tone two\n")
    await until(lambda: w.mock.value(TX).writes)
    assert w.mock.value(TX).value == b"one two"
    await s.stop()


@case
async def lost_writes_are_told(w):
    s = await serve(w, UART)
    await w.mock.central_writes("/", w.mock.value(RX), b"x", dropped=Variant("t", 3))
    assert "3 events were lost here" in await s.error()
    await w.mock.central_writes("/", w.mock.value(RX), b"x", dropped=Variant("t", 3))
    await w.mock.central_writes("/", w.mock.value(RX), b"x", dropped=Variant("t", 4))
    assert "1 events were lost here" in await s.error()
    await s.stop()


@case
async def a_peer_makes_no_lines(w):
    with file_of({"services": [{"uuid": "180f", "characteristics": [{"uuid": "2a19", "write": True, "format": "u8,raw"}]}]}) as f:
        s = await serve(w, f)
    for value in b"\x01one\n2\twritten\x1b[2J", b"\x02":
        await w.mock.central_writes("/", w.mock.value("2a19"), value)
    assert await s.line() == ["written", "-", "battery_level", "1 one\ufffd2\ufffdwritten\ufffd[2J"]
    assert await s.line() == ["written", "-", "battery_level", "2"]
    await s.stop()


@case
async def odd_length_is_shown_in_hex(w):
    with file_of({"services": [{"uuid": "180f", "characteristics": [{"uuid": "2a19", "write": True, "format": "u16"}]}]}) as f:
        s = await serve(w, f)
    await w.mock.central_writes("/", w.mock.value("2a19"), b"\1\2\3")
    assert await s.line() == ["written", "-", "battery_level", "010203"]
    assert "do not fit the format" in await s.error()
    await s.stop()


# ---- values from standard input ----

@case
async def values(w):
    s = await serve(w, TEMP)
    temp = w.mock.value("2a6e")
    s.put("temp 2200\n\n  # a remark\ntemperature -5\r\n2a6e\t0x7fff\n  environmental_sensing/temperature   1\n"
          "characteristic_user_description 41\n")
    await until(lambda: w.mock.value("2901").writes)
    assert [v for v, _ in temp.writes] == [b"\x98\x08", b"\xfb\xff", b"\xff\x7f", b"\1\0"], temp.writes
    assert all(o == {"send_update": True} for _, o in temp.writes)
    assert w.mock.value("2901").writes == [(b"41", {})]
    s.process.stdin.close()  # the end of the input is not that of the service
    await asyncio.sleep(0.2)
    assert s.process.returncode is None
    await s.stop()


@case
async def bad_lines(w):
    s = await serve(w, TEMP)
    temp = w.mock.value("2a6e")
    for number, (line, words) in enumerate((("humidity 5", "humidity: there is no such attribute"),
                                            ("frobnicate 5", "'frobnicate' is not a handle"),
                                            ("temp abc", "temp: 'abc' is not a number"), ("temp 99999", "temp: 99999 does not fit"),
                                            ("temp", "temp: no value"), ("temp " + "1 " * 300, "temp: longer than the 512"),
                                            ("temp " + "1" * 20000, "longer than any value"),
                                            ("2a6e/2a6e/2a6e/2a6e 1", "too many parts")), 1):
        s.put(line + "\n")
        error = await s.error()
        assert error.startswith(f"aioblectl: standard input:{number}: ") and words in error, (line, error)
    temp.error = Failure("TooLong", "2 bytes at most")
    s.put("temp 7\n")
    assert await s.error() == "aioblectl: standard input:9: temp: 2 bytes at most\n"
    temp.error = None
    s.put("temp 8\n")
    await until(lambda: temp.writes)
    assert temp.value == b"\x08\0"
    s.put("temp 9")  # no newline at the end of all
    s.process.stdin.close()
    await until(lambda: temp.value == b"\x09\0")
    await s.stop()


@case
async def ambiguous_values(w):
    with file_of({"services": [{"uuid": "180f", "id": x, "characteristics": [{"uuid": "2a19", "read": True, "format": "u8"}]} for x in "ab"]}) as f:
        s = await serve(w, f)
    s.put("battery_level 1\n")
    assert "'battery_level' is ambiguous" in await s.error()
    s.put("b/battery_level 7\n")  # as events call it
    await until(lambda: w.mock.value("2a19", 1).writes)
    assert w.mock.value("2a19", 1).value == b"\x07"
    s.put(f"0x{w.mock.value('2a19', 0).handle:04x} 8\n")
    await until(lambda: w.mock.value("2a19", 0).writes)
    await s.stop()


@case
async def a_fast_writer_waits(w):
    """No more than a few values are under way; the rest stays in the pipe, and none is lost or out of order."""
    s = await serve(w, TEMP)
    w.mock.failures["Write"] = [1.0] * 16
    s.put("".join(f"temp {i}\n" for i in range(3000)))
    temp = w.mock.value("2a6e")
    await asyncio.sleep(0.5)
    assert len(w.mock.called("Write")) == 16, len(w.mock.called("Write"))
    await until(lambda: len(temp.writes) == 3000)
    asked = [int.from_bytes(value, "little") for value, _ in w.mock.called("Write")]  # the slow ones are done later
    assert asked == list(range(3000)), asked
    await s.stop()


@case
async def values_from_a_file(w):
    with tempfile.TemporaryFile() as f:
        f.write(b"".join(b"temp %d\n" % i for i in range(200)) + b"temp 1234")
        f.seek(0)
        s = await serve(w, TEMP, stdin=f)
        await until(lambda: w.mock.value("2a6e").value == (1234).to_bytes(2, "little"))
        await s.stop()
    s = await serve(w, TEMP, stdin=asyncio.subprocess.DEVNULL)
    await s.stop()


@case
async def values_while_it_registers(w):
    """What comes before there is anything to write to is what is registered, and nothing is lost in between."""
    w.mock.failures["FindAdapter"] = [0.3]
    w.mock.failures["RegisterServices"] = [0.6]
    s = await serve(w, TEMP, ready=False)
    s.put("temp 1\ntemp 2\n")
    await until(lambda: w.mock.called("RegisterServices"))
    s.put("temp 3\n")
    assert (await s.line())[0] == "serving" and (await s.line())[0] == "on-air"
    temp = w.mock.value("2a6e")
    assert temp.given["initial"] == b"\2\0"
    await until(lambda: temp.writes)
    assert [v for v, _ in temp.writes] == [b"\3\0"]
    await s.stop()


@case
async def input_that_is_closed(w):
    p = await asyncio.create_subprocess_exec("sh", "-c", 'exec "$@" <&-', "sh", *w.command("serve", TEMP), stdout=asyncio.subprocess.PIPE,
                                             stderr=asyncio.subprocess.PIPE, env=w.env)
    w.processes.append(p)
    s = Served(w, p)
    assert (await s.line())[0] == "serving" and (await s.line())[0] == "on-air"
    await s.stop()


@case
async def the_example_scripts(w):
    """As in the manual: a feeder in a pipe, and a shell that answers what is written."""
    w.env |= {"DBUS_SYSTEM_BUS_ADDRESS": w.bus.address, "PATH": os.path.dirname(os.path.abspath(CTL)) + ":" + os.environ["PATH"]}
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("21530\n")
        f.flush()
        p = await asyncio.create_subprocess_exec(os.path.join(EXAMPLES, "serve-temp-sensor"), f.name, env=w.env, start_new_session=True,
                                                 stdout=asyncio.subprocess.DEVNULL)
        await until(lambda: w.mock.apps and w.mock.value("2a6e").writes)
        assert w.mock.value("2a6e").value == (2153).to_bytes(2, "little")
        os.killpg(p.pid, signal.SIGTERM)
        await asyncio.wait_for(p.wait(), WAIT)
    await until(lambda: not w.mock.apps)
    p = await asyncio.create_subprocess_exec(os.path.join(EXAMPLES, "serve-echo"), env=w.env, start_new_session=True)
    await until(lambda: w.mock.advertisers)
    await w.mock.central_writes("/", w.mock.value(RX), b"Hello, world")
    await until(lambda: w.mock.value(TX).writes)
    assert w.mock.value(TX).value == b"HELLO, WORLD"
    os.killpg(p.pid, signal.SIGTERM)
    await asyncio.wait_for(p.wait(), WAIT)
    await until(lambda: not w.mock.apps)


# ---- ends ----

@case
async def signals(w):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        s = await serve(w, TEMP)
        s.process.send_signal(number)
        check(await w.end(s.process), 0)
        assert w.mock.apps == {} and w.mock.advertisers == {}
    w.mock.failures["RegisterServices"] = [WAIT]
    s = await serve(w, TEMP, ready=False)
    await until(lambda: len(w.mock.called("RegisterServices")) == 4)
    s.process.send_signal(signal.SIGINT)
    check(await w.end(s.process), 130)


@case
async def reader_gone(w):
    p = await asyncio.create_subprocess_exec("sh", "-c", '"$@" | head -n 1', "sh", *w.command("serve", TEMP), stdin=asyncio.subprocess.DEVNULL,
                                             stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=w.env)
    w.processes.append(p)
    out, err = await asyncio.wait_for(p.communicate(), WAIT)
    check(Result(p.returncode, out, err), 0)
    assert err == b""
    await until(lambda: w.mock.apps == {})


@case
async def reader_that_does_not_read(w):
    """A full pipe is no reason not to end when told."""
    for number in (signal.SIGINT, signal.SIGTERM):
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write, True)
        p = await w.start("serve", TEMP, stdout=write)
        os.close(write)
        await until(lambda: w.mock.apps)  # "serving" is the first line
        await asyncio.sleep(0.1)
        p.send_signal(number)
        err = await asyncio.wait_for(p.stderr.read(), 5)
        assert await asyncio.wait_for(p.wait(), 5) in (0, 130) and err == b"", (p.returncode, err)
        os.close(read)
        assert w.mock.apps == {}


@case
async def daemon_goes(w):
    s = await serve(w, TEMP)
    w.mock.stop()
    check(await w.end(s.process), 8, "the daemon went away")


@case
async def application_ends(w):
    for reason, code, words in (("org.aioble.Error.NotFound", 9, "the services ended: NotFound"), ("unregistered", 1, "unregistered"),
                                ("org.aioble.Error.Canceled", 8, "the daemon went away")):
        s = await serve(w, TEMP)
        await w.mock.app_ends(reason)
        check(await w.end(s.process), code, words)
        assert w.mock.advertisers == {}


@case
async def advertising_ends(w):
    s = await serve(w, TEMP)
    await w.mock.adv_ends("timeout")
    assert await s.line() == ["off-air", "-", "-", "timeout"]
    s.put("temp 5\n")  # the services stay
    await until(lambda: w.mock.value("2a6e").writes)
    await s.stop()
    s = await serve(w, TEMP)
    await w.mock.adv_ends("org.aioble.Error.Busy")
    check(await w.end(s.process), 7, "advertising ended: Busy")
    assert w.mock.apps == {}


@case
async def several_centrals_with_keep(w):
    s = await serve(w, TEMP)
    a = await w.mock.central_connects(PEER)
    b = await w.mock.central_connects(OTHER)
    assert (await s.line())[:2] == ["connected", PEER] and (await s.line())[:2] == ["connected", OTHER]
    await w.mock.drop_connection(a)
    assert (await s.line())[:2] == ["disconnected", PEER]
    await w.mock.drop_connection(b)
    assert (await s.line())[:2] == ["disconnected", OTHER]
    await s.stop()
    assert len(w.mock.called("Advertise")) == 1  # it was never off


# ---- --retry ----

@case
async def retry_when_the_daemon_restarts(w):
    s = await serve(w, UART, "--retry")
    conn = await w.mock.central_connects(PEER)
    assert (await s.line())[0] == "connected" and (await s.line())[0] == "off-air"
    await w.mock.central_writes(conn, w.mock.value(RX), b"from the air")
    s.put("level 42\n")
    assert (await s.line())[0] == "written"
    await until(lambda: w.mock.value("2a19").writes)
    w.mock.stop()
    assert await s.error() == "aioblectl: the daemon went away; trying again\n"
    s.put("tx while it was away\nlevel 300\n")
    assert "does not fit" in await s.error()
    w.mock.forget()
    await w.mock.start(w.bus.address)
    assert (await s.line())[0] == "serving" and (await s.line())[0] == "on-air"
    # the newest values, whoever they came from
    assert w.mock.value(RX).value == b"from the air" and w.mock.value("2a19").value == b"\x2a"
    assert w.mock.value(TX).value == b"while it was away"
    await w.mock.central_connects(OTHER)
    assert (await s.line())[:2] == ["connected", OTHER] and (await s.line())[0] == "off-air"
    await s.stop()


@case
async def retry_from_the_start(w):
    """One line for a failure, however often it is tried again; what will never pass ends it."""
    w.mock.failures["RegisterServices"] = [Failure("Busy", "taken")] * 2 + [Failure("InvalidArgument", "never")]
    r = await w.run("serve", "--retry", TEMP)
    assert r.code == 2 and r.err.splitlines() == ["aioblectl: register the services: taken", "aioblectl: register the services: never"], r.err
    w.mock.failures["Advertise"] = [Failure("NotPowered", "off")]
    s = await serve(w, TEMP, "--retry", ready=False)
    lines = [(await s.line())[0] for _ in range(3)]
    assert lines == ["serving", "serving", "on-air"], lines
    assert len(w.mock.apps) == 1  # the first was taken back
    assert "advertise: off" in await s.error()
    await s.stop()


@case
async def retry_when_the_adapter_goes(w):
    s = await serve(w, TEMP, "--retry")
    adapters, w.mock.adapters = w.mock.adapters, {}
    await w.mock.app_ends("org.aioble.Error.NotFound")
    assert "the services ended: NotFound; trying again" in await s.error()
    await asyncio.sleep(1)
    w.mock.adapters = adapters
    assert (await s.line())[0] == "serving" and (await s.line())[0] == "on-air"
    err = await s.stop(err="there is no adapter")
    assert err.err.count("\n") == 1
    s = await serve(w, TEMP, "--retry")
    w.mock.adapters = {}
    await w.mock.app_ends("org.aioble.Error.NotFound")
    await until(lambda: len(w.mock.called("FindAdapter")) > 6)
    s.process.send_signal(signal.SIGINT)
    r = await w.end(s.process)
    assert r.code in (0, 130), r.code


# ---- status ----

@case
async def status_shows_it(w):
    s = await serve(w, UART)
    w.mock.advertisers[next(iter(w.mock.advertisers))]["keep"] = True
    a, b = await w.mock.central_connects(PEER), await w.mock.central_connects(OTHER)
    w.mock.connections[a] |= {"Encrypted": True, "Bonded": True}
    tx, level = w.mock.value(TX), w.mock.value("2a19")
    await w.mock.central_subscribes(a, tx)
    await w.mock.central_subscribes(a, level, False, True)
    await w.mock.central_subscribes(b, tx, True, True)
    r = await w.run("status")
    check(r, 0)
    assert r.out.splitlines()[2:] == ["adapters\t1", "connections\t2", "advertisers\t1", "applications\t1", "subscribers\t3"], r.out
    r = await w.run("status", "--json")
    app, = r.doc["applications"]
    assert [(x["address"], x["uuid"], x["handle"], x["notify"], x["indicate"]) for x in app["subscribers"]] == [
        (PEER, TX, tx.handle, True, False), (PEER, "2a19", level.handle, False, True), (OTHER, TX, tx.handle, True, True)], app
    assert app["subscribers"][1]["connection"] == a and app["subscribers"][1]["characteristic"] == level.path
    assert [(x["uuid"], x.get("name"), len(x["characteristics"])) for x in app["services"]] == [
        (UART_SERVICE, None, 2), ("180f", "Battery Service", 1), ("180a", "Device Information", 2)]
    assert app["services"][1]["characteristics"][0]["name"] == "Battery Level"
    assert app["services"][0]["characteristics"][1]["descriptors"][0]["uuid"] == "2902"
    assert r.doc["advertisers"][0]["state"] == "running" and r.doc["advertisers"][0]["interval_us"] == 100000
    assert r.doc["connections"][0]["bonded"] is True and r.doc["connections"][0]["role"] == "peripheral"
    r = await w.run_tty("status", "--no-color")
    check(r, 0)
    rows = [line.split() for line in r.out.splitlines()]
    links = [row for row in rows if len(row) > 8 and row[1] in (PEER, OTHER)]
    assert [row[1:4] + row[7:8] + row[-1:] for row in links] == [[PEER, "random", "peripheral", "encrypted", "yes"],
                                                               [OTHER, "random", "peripheral", "open", "no"]], r.out
    assert ["1", "Battery", "Service", f"0x{level.handle - 2:04x}-0x{level.handle + 1:04x}", "1", "1", "caller"] in rows, r.out
    assert [OTHER, b.rsplit("/", 1)[1], f"0x{tx.handle:04x}", TX, "notify,indicate"] in rows, r.out
    assert any(row[1:] == ["running", "100.00", "ms", "yes", "0", "caller"] for row in rows), r.out
    await s.stop()


@case
async def terminal(w):
    r = await w.run_tty("serve", TEMP, until=b"on-air")
    check(r, 0)
    assert "serving" in r.out and "\t" not in r.out, r.out


main()
