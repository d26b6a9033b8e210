# SPDX-License-Identifier: GPL-2.0-or-later
"""aioblectl serve against the daemon, which runs over a fake kernel; this program plays the centrals, down to ATT.

Usage: test-ctl-serve-daemon.py AIOBLECTL [TEST...]
"""
import asyncio
import json
import os
import pathlib
import signal
import struct
import sys
import tempfile

from central import PHONE, TABLET, AttError, Central
from harness import Daemon, TestCase, main, until

CTL = sys.argv.pop(1)
WAIT = 30
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/examples"
TEMP, UART = EXAMPLES / "temp-sensor.json", EXAMPLES / "uart.json"


class Ctl:
    """The program, running."""

    def __init__(self, process):
        self.process = process

    @classmethod
    async def start(cls, d, *args):
        return cls(await asyncio.create_subprocess_exec(
            CTL, "--address", d.bus.address, *map(str, args), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=dict(os.environ, LC_ALL="C.UTF-8")))

    async def line(self):
        """The fields of the next one, without its time."""
        return (await asyncio.wait_for(self.process.stdout.readline(), WAIT)).decode().rstrip("\n").split("\t")[1:]

    async def error(self):
        return (await asyncio.wait_for(self.process.stderr.readline(), WAIT)).decode()

    def put(self, text):
        self.process.stdin.write(text.encode())

    async def end(self, number=None):
        if number:
            self.process.send_signal(number)
        out, err = await asyncio.wait_for(self.process.communicate(), WAIT)
        assert "Sanitizer" not in err.decode(), err.decode()
        return self.process.returncode, out.decode(), err.decode()


async def run(d, *args):
    return await (await Ctl.start(d, *args)).end()


async def checked(d, file):
    """What --check says of a file: its document, and handles by label."""
    code, out, err = await run(d, "serve", "--check", "--json", file)
    assert code == 0, err
    doc = json.loads(out)
    return doc, {a["label"]: a["handle"] for a in doc["attributes"] if "label" in a}


class Server:
    """serve FILE, up and on the air."""

    def __init__(self, d, ctl, doc, handles, app):
        self.d, self.ctl, self.doc, self.handles, self.app = d, ctl, doc, handles, app

    @classmethod
    async def start(cls, d, file, *args):
        doc, handles = await checked(d, file)
        ctl = await Ctl.start(d, "serve", file, *args)
        first, second = await ctl.line(), await ctl.line()
        assert first[0] == "serving" and second[0] == "on-air", (first, second, ctl.process.returncode)
        return cls(d, ctl, doc, handles, first[3])

    async def central(self, address=PHONE, instance=1):
        """One that found us, known to the command."""
        for _ in range(500):  # on the air again only after the one before
            if await self.d.on_air(instance):
                break
            await asyncio.sleep(0.01)
        number, sock = await self.d.central(address, instance)
        c = Central(number, sock, address)
        line = await self.ctl.line()
        assert line == ["connected", address, "-", "-"], line
        return c


class Again(Daemon):
    """Another daemon on the bus of one that has ended."""

    def __init__(self, before):
        super().__init__()
        self.bus = Again.Bus()
        self.bus.address = before.bus.address

    class Bus:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc):
            pass


class Serve(TestCase):
    def file(self, doc):
        f = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        self.addCleanup(os.unlink, f.name)
        with f:
            json.dump(doc, f, indent=1)
        return f.name

    async def test_temperature_sensor(self):
        """The sensor of aioble's introduction: found, read, and told of, by two centrals of which one wants to know."""
        async with Daemon() as d:
            s = await Server.start(d, TEMP)
            flags, units, data, response = await d.on_air()
            self.assertEqual((flags & 1, units, data.hex(), response.hex()), (1, 400, s.doc["adv_data"], s.doc["resp_data"]))
            temp = s.handles["temp"]
            phone, tablet = await s.central(PHONE), await s.central(TABLET)
            self.assertEqual(await phone.read(temp), struct.pack("<h", 2150))
            self.assertEqual(await phone.read(3), b"temp-sense")
            self.assertEqual(await phone.read(s.handles["characteristic_user_description"]), b"Outdoor temperature")
            self.assertEqual((await phone.read(s.handles["characteristic_presentation_format"])).hex(), "0efe2f27010000")
            await phone.write(temp + 1, b"\1\0")
            self.assertEqual(await s.ctl.line(), ["subscribed", PHONE, "temp", "notify"])
            s.ctl.put("temp 2200\ntemp -5\n")
            await phone.value(2)
            self.assertEqual([v for _, _, v in phone.values], [struct.pack("<h", 2200), struct.pack("<h", -5)])
            self.assertEqual(phone.values[0][:2], (0x1b, temp))
            self.assertEqual(await tablet.read(temp), struct.pack("<h", -5))
            self.assertEqual(tablet.values, [])
            await phone.drop(d)
            self.assertEqual(await s.ctl.line(), ["unsubscribed", PHONE, "temp", "-"])
            self.assertEqual((await s.ctl.line())[:2], ["disconnected", PHONE])
            code, out, err = await s.ctl.end(signal.SIGINT)
            self.assertEqual((code, err), (0, ""))
            self.assertIsNone(await d.on_air())
            objects = await d.client.objects()
            self.assertEqual([p for p in objects if "/app/" in p or "/adv/" in p], [])
            await until(lambda: tablet.sock is None, "the link goes with what brought it")

    async def test_uart(self):
        async with Daemon() as d:
            s = await Server.start(d, UART)
            phone = await s.central()
            self.assertEqual(await s.ctl.line(), ["off-air", "-", "-", "connected"])
            await phone.mtu(247)
            await phone.write(s.handles["tx"] + 1, b"\1\0")
            await phone.write(s.handles["rx"], b"first")
            phone.command(s.handles["rx"], "zweites \u00e4".encode())
            self.assertEqual(await s.ctl.line(), ["subscribed", PHONE, "tx", "notify"])
            self.assertEqual(await s.ctl.line(), ["written", PHONE, "rx", "first"])
            self.assertEqual(await s.ctl.line(), ["written", PHONE, "rx", "zweites \u00e4"])
            with self.assertRaises(AttError) as e:
                await phone.write(s.handles["level"], b"\1")
            self.assertEqual(e.exception.code, 0x03)
            s.ctl.put("tx " + "long " * 40 + "\n")
            self.assertEqual((await phone.value())[2], b"long " * 40)
            s.ctl.put("tx " + "x" * 300 + "\n")
            self.assertIn("tx: 300 bytes are more than the 244", await s.ctl.error())
            for _ in range(1000):
                await asyncio.get_running_loop().sock_sendall(phone.sock, struct.pack("<BH", 0x52, s.handles["rx"]) + b"burst")
            lines = [await s.ctl.line() for _ in range(1000)]
            self.assertEqual({tuple(line) for line in lines}, {("written", PHONE, "rx", "burst")})
            await phone.drop(d)
            self.assertEqual([(await s.ctl.line())[0] for _ in range(3)], ["unsubscribed", "disconnected", "on-air"])
            tablet = await s.central(TABLET)
            self.assertEqual(await tablet.read(s.handles["level"]), b"\x64")
            self.assertEqual((await s.ctl.end(signal.SIGTERM))[0], 0)

    async def test_everything_a_file_can_say(self):
        """What --check takes the daemon takes, and gives it the handles that --check told."""
        doc = {"name": "everything", "appearance": "0x0340", "queue": 3, "services": [
            {"uuid": "battery", "id": "bat", "handle": 256, "characteristics": [
                {"uuid": "battery_level", "handle": 300, "read": True, "indicate": True, "notify": True, "write": True,
                 "write_no_response": True, "format": "u8,u16be", "initial": [1, "0x203"], "max_len": 3, "append": False, "truncate": True,
                 "capture": False, "key_size": 16,
                 "description": "a", "descriptors": [{"uuid": "valid_range", "read": True, "write": True, "max_len": 9, "truncate": True,
                                                      "write_security": "authenticated"}]},
                {"uuid": "6e400009-b5a3-f393-e0a9-e50e24dcca9e", "read": True, "read_security": "encrypted"},
                {"uuid": "2bff", "write": True, "append": True, "write_security": "secure"}]},
            {"uuid": "6e400001-b5a3-f393-e0a9-e50e24dcca9e", "secondary": True, "includes": ["bat", 2]},
            {"uuid": "180d"}],
            "advertising": {"interval_ms": 20.5, "name": "e", "appearance": 0, "tx_power": -3, "limited_disc": True, "br_edr": True,
                            "timeout_ms": 100000, "manufacturer": [{"company": 1, "data": "00"}, {"company": 1, "data": "01"}],
                            "service_data": {"uuid": "battery", "data": "0102"}}}
        async with Daemon() as d:
            s = await Server.start(d, self.file(doc))
            objects = await d.client.objects()
            services = objects[s.app]["org.aioble.Application1"]["Services"]
            got = sorted(x[2] for x in services) + sorted(c[3] for x in services for c in x[5])
            told = [a["handle"] for a in s.doc["attributes"]]
            self.assertTrue(set(got) <= set(told), (got, told))
            self.assertEqual(s.handles["battery_level"], 301)
            _, units, data, response = await d.on_air()
            self.assertEqual((units, data.hex(), response.hex()), (32, s.doc["adv_data"], s.doc["resp_data"]))
            phone = await s.central()
            self.assertEqual(await phone.read(301), b"\1\2\3")
            self.assertEqual(await phone.read(3), b"everything")
            self.assertEqual(await phone.read(s.handles["valid_range"]), b"")
            with self.assertRaises(AttError) as e:
                await phone.read(s.handles["6e400009-b5a3-f393-e0a9-e50e24dcca9e"])
            self.assertIn(e.exception.code, (0x05, 0x0f))
            await phone.write(301, b"toolong")  # truncate
            self.assertEqual(await s.ctl.line(), ["written", PHONE, "battery_level", "116 28527"])
            self.assertEqual((await s.ctl.end(signal.SIGTERM))[0], 0)

    async def test_refused_at_a_line(self):
        """A handle that somebody else has: nobody but the daemon knows, and the line is told all the same."""
        doc = {"services": [{"uuid": "180f", "handle": 256}], "advertising": False}
        f = self.file(doc)
        async with Daemon() as d:
            ctl = await Ctl.start(d, "serve", f)
            self.assertEqual((await ctl.line())[0], "serving")
            code, out, err = await run(d, "serve", f)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(f"{f}:5: services[0].handle: ", err)
            self.assertEqual((await ctl.end(signal.SIGTERM))[0], 0)
            ctl = await Ctl.start(d, "serve", f)
            self.assertEqual((await ctl.line())[0], "serving", "it is free again")
            await ctl.end(signal.SIGTERM)

    async def test_killed(self):
        """Nothing of a command that is killed stays."""
        async with Daemon() as d:
            s = await Server.start(d, TEMP)
            phone = await s.central()
            await s.ctl.end(signal.SIGKILL)
            await until(lambda: phone.sock is None, "its link goes")

            async def left():
                return [p for p in await d.client.objects() if "/app/" in p or "/adv/" in p or "/conn/" in p]
            while await left():
                await asyncio.sleep(0.01)
            self.assertIsNone(await d.on_air())

    async def test_adapter_goes(self):
        async with Daemon() as d:
            s = await Server.start(d, TEMP)
            await d.tell("unplug", 0)
            code, _, err = await s.ctl.end()
            self.assertEqual(code, 9, err)
            self.assertEqual(err.count("\n"), 1, err)

    async def test_restarted_daemon(self):
        """With --retry it comes back with the newest values."""
        async with Daemon() as first:
            s = await Server.start(first, TEMP, "--retry")
            s.ctl.put("temp 2345\n")
            phone = await s.central()
            for _ in range(500):
                if await phone.read(s.handles["temp"]) == struct.pack("<h", 2345):
                    break
                await asyncio.sleep(0.01)
            plain = await Server.start(first, UART)
            first.process.terminate()
            await asyncio.wait_for(first.process.wait(), WAIT)
            code, _, err = await plain.ctl.end()
            self.assertEqual(code, 8, err)
            self.assertIn("the daemon went away", err)
            while "trying again" not in (line := await s.ctl.error()):
                self.assertTrue(line)
            async with Again(first) as d:
                events = []
                while "on-air" not in events:
                    events.append((await s.ctl.line())[0])
                self.assertEqual(events[-2:], ["serving", "on-air"])
                s.d = d
                tablet = await s.central(TABLET)
                self.assertEqual(await tablet.read(s.handles["temp"]), struct.pack("<h", 2345))
                self.assertEqual((await s.ctl.end(signal.SIGTERM))[0], 0)

    async def test_status(self):
        async with Daemon() as d:
            s = await Server.start(d, TEMP)
            phone, tablet = await s.central(PHONE), await s.central(TABLET)
            await phone.write(s.handles["temp"] + 1, b"\1\0")
            await s.ctl.line()
            code, out, err = await run(d, "status")
            self.assertEqual(code, 0, err)
            self.assertEqual(out.splitlines()[-5:], ["adapters\t1", "connections\t2", "advertisers\t1", "applications\t1", "subscribers\t1"])
            doc = json.loads((await run(d, "status", "--json"))[1])
            app, = doc["applications"]
            who, = app["subscribers"]
            self.assertEqual((who["address"], who["uuid"], who["handle"], who["notify"], who["indicate"]),
                             (PHONE, "2a6e", s.handles["temp"], True, False))
            self.assertEqual(app["path"], s.app)
            self.assertEqual(app["services"][0]["characteristics"][0]["name"], "Temperature")
            adv, = doc["advertisers"]
            self.assertEqual((adv["state"], adv["interval_us"], adv["keep"], adv["adv_data"]), ("running", 250000, True, s.doc["adv_data"]))
            self.assertEqual(sorted((c["address"], c["role"]) for c in doc["connections"]), [(PHONE, "peripheral"), (TABLET, "peripheral")])
            self.assertTrue(tablet.sock)
            await s.ctl.end(signal.SIGTERM)

    async def test_a_flood_of_values(self):
        """More values than a link takes: the newest arrive, in order, and nobody waits for ever."""
        async with Daemon() as d:
            s = await Server.start(d, TEMP)
            phone = await s.central()
            await phone.write(s.handles["temp"] + 1, b"\1\0")
            s.ctl.put("".join(f"temp {i}\n" for i in range(3001)))
            await until(lambda: phone.values and phone.values[-1][2] == struct.pack("<h", 3000), "the last one")
            seen = [struct.unpack("<h", v)[0] for _, _, v in phone.values]
            self.assertEqual(seen, sorted(seen))
            self.assertEqual((await s.ctl.end(signal.SIGTERM))[2], "")


main()
