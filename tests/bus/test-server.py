# SPDX-License-Identifier: GPL-2.0-or-later
"""Registering services: the way a shell does it, what is refused and why, lifetimes, replacing."""
import asyncio
import pathlib
import re
import shlex

from dbus_fast import Variant

from central import (APPLICATION, LOCAL_CHARACTERISTIC, LOCAL_DESCRIPTOR, LOCAL_SERVICE, PHONE, TABLET, AttError, Central,
                     chr_, definition, next_event, register, service, write)
from harness import ADAPTER, HCI0, ROOT, Daemon, TestCase, main, options, plain, until

TEMPERATURE = service("181a", chr_("2a6e", read=True, notify=True, initial=b"\x34\x08"))


def thermometer(**kw):
    return [service("181a", chr_("2a6e", read=True, notify=True, initial=b"\x34\x08", **kw))]


async def run(*words):
    p = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    return (await p.communicate())[0].decode()


async def busctl(d, member, *args):
    """What busctl says to a call on the adapter."""
    return await run("busctl", "--address=" + d.bus.address, "call", "org.aioble", HCI0, ADAPTER, member, *args)


async def call(client, path, member, interface=APPLICATION):
    return await client.call(path, interface, member, "a{sv}", [{}])


class Shell(TestCase):
    async def test_one_command_after_the_other(self):
        """As with busctl: every call is a client of its own."""
        async with Daemon() as d:
            one = await d.new_client()
            app, (s,) = await register(one, [TEMPERATURE], name="sensor")
            one.close()
            phone = await Central.connect(d)
            c = s.characteristics[0]
            self.assertEqual(await phone.read(c.handle), b"\x34\x08")
            await phone.subscribe(c)
            two = await d.new_client()
            await write(two, c.path, b"\x35\x08", send_update=True)
            two.close()
            self.assertEqual(await phone.value(), (0x1b, c.handle, b"\x35\x08"))
            self.assertEqual(await phone.read(c.handle), b"\x35\x08")
            three = await d.new_client()
            event, attribute, connection, value, details = await next_event(three, app)
            self.assertEqual((event, attribute, connection, value), ("subscribed", c.path, phone.path, b""))
            self.assertEqual((details["notify"], details["indicate"], details["seq"], details["dropped"]),
                             (True, False, 1, 0))
            self.assertEqual(await three.get(app, APPLICATION, "Subscribers"), [[c.path, phone.path, True, False]])
            await call(three, app, "Unregister")
            with self.assertRaises(AttError) as e:
                await phone.read(c.handle)
            self.assertEqual(e.exception.code, 0x01)
            phone.close()

    async def test_the_readme(self):
        """Its lines, one after the other, and what it says they answer."""
        text = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
        lines = re.findall(r"^    (.*)", text[text.index("### The other side"):text.index("## aioblectl")], re.M)
        said, phone = [], None
        async with Daemon() as d:
            for line in lines:
                if not line.startswith("busctl"):
                    self.assertEqual(said.pop(0).split('"time_us"')[0], line.split('"time_us"')[0])
                    continue
                if "Advertiser1 Next" in line:
                    phone = await Central.connect(d)
                elif "Application1 Next" in line:
                    self.assertEqual(await phone.read(0x10), b"\x34\x08")
                    await phone.write(0x11, b"\x01\x00")
                words = shlex.split(line)
                out = (await run(words[0], "--address=" + d.bus.address, *words[1:])).rstrip("\n")
                said = [out] if out else []
            self.assertEqual([v[2] for v in phone.values], [b"\x35\x08", b"\x36\x08"])
            phone.close()

    async def test_objects(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            battery = definition(uuid="180f", secondary=True, characteristics=[
                chr_("2a19", read=True, initial=b"\x50")])
            app, (s, b) = await register(d.client, [
                service("12345678-1234-5678-1234-56789abcdef0",
                        chr_("12345678-1234-5678-1234-56789abcdef1", read=True, write=True, indicate=True, max_len=20,
                             descriptors=[definition(uuid="2901", read=True, initial="what it is")]),
                        includes=[1]), battery], name="rich", queue=33, lifetime="persistent")
            c, bc = s.characteristics[0], b.characteristics[0]
            self.assertTrue(app.startswith(HCI0 + "/app/"))
            objects = await d.client.objects()
            below = {p: i for p, i in objects.items() if p.startswith(app)}
            self.assertEqual(set(below), {app, s.path, b.path, c.path, bc.path, c.descriptors[0].path})
            self.assertEqual([m.body[0] for m in d.client.signals("InterfacesAdded") if "/app/" in m.body[0]], [app])
            a = below[app][APPLICATION]
            self.assertEqual((a["Name"], a["Adapter"], a["Queue"], a["Lifetime"], a["Holders"], a["Subscribers"]),
                             ("rich", HCI0, 33, "persistent", [d.client.name], []))
            self.assertEqual((a["Received"], a["Dropped"], a["Collapsed"], a["Queued"], a["ExpiresUs"]), (0,) * 5)
            self.assertEqual([r[0] for r in a["Services"]], [s.path, b.path])
            sp = below[s.path][LOCAL_SERVICE]
            self.assertEqual(sp, {"Application": app, "Uuid": "12345678-1234-5678-1234-56789abcdef0", "Handle": s.handle,
                                  "EndHandle": s.end, "Primary": True, "Includes": [b.path]})
            self.assertFalse(below[b.path][LOCAL_SERVICE]["Primary"])
            cp = below[c.path][LOCAL_CHARACTERISTIC]
            self.assertEqual(cp, {"Application": app, "Service": s.path, "Uuid": "12345678-1234-5678-1234-56789abcdef1",
                                  "Handle": c.handle, "Declaration": c.declaration, "Cccd": c.handle + 1,
                                  "Properties": 0x2a, "Flags": ["read", "write", "indicate"], "MaxLen": 20,
                                  "Truncated": 0, "Subscribers": []})
            self.assertEqual(c.end, c.descriptors[0].handle)
            self.assertEqual(below[bc.path][LOCAL_CHARACTERISTIC]["Cccd"], 0)
            dp = below[c.descriptors[0].path][LOCAL_DESCRIPTOR]
            self.assertEqual((dp["Application"], dp["Characteristic"], dp["Uuid"], dp["Handle"]),
                             (app, c.path, "2901", c.descriptors[0].handle))
            self.assertEqual(bytes(await call(d.client, c.descriptors[0].path, "Read", LOCAL_DESCRIPTOR)),
                             b"what it is")
            await call(d.client, app, "Unregister")
            removed = await d.client.signal("InterfacesRemoved", n=1)
            self.assertEqual(removed[0], app)
            for path in app, s.path, c.path:
                self.assertNotIn(path, await d.client.objects())
            e = await self.fails("NotFound", d.client.call(app, APPLICATION, "Next", "a{sv}", [{}]))
            self.assertIn("over", e.text)
            await self.fails("NotFound", call(d.client, c.path, "Read", LOCAL_CHARACTERISTIC))

    async def test_what_is_not_there(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [TEMPERATURE])
            c = s.characteristics[0]
            await self.fails("NotFound", call(d.client, f"{app}/hffff", "Read", LOCAL_CHARACTERISTIC))
            await self.fails("NotFound", call(d.client, s.path, "Read", LOCAL_CHARACTERISTIC))
            await self.fails("NotFound", call(d.client, c.path, "Read", LOCAL_DESCRIPTOR))
            await self.fails("NotFound", call(d.client, f"{app}/h0003", "Read", LOCAL_CHARACTERISTIC))  # the GAP service's
            await self.fails("org.freedesktop.DBus.Error.UnknownObject", call(d.client, HCI0 + "/app/99", "Next"))
            await self.fails("org.freedesktop.DBus.Error.UnknownObject", call(d.client, app + "/x", "Next"))
            await self.fails("org.freedesktop.DBus.Error.UnknownObject",
                             call(d.client, c.path + "/h0001", "Read", LOCAL_CHARACTERISTIC))


class Values(TestCase):
    async def test_read_and_write(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [service(
                "180d", chr_("2a37", read=True, max_len=5, initial="abc"),
                chr_("2a38", read=True, write=True, append=True, max_len=6))])
            plain_, appending = s.characteristics
            phone = await Central.connect(d)
            self.assertEqual(bytes(await call(d.client, plain_.path, "Read", LOCAL_CHARACTERISTIC)), b"abc")
            await write(d.client, plain_.path, b"12345")
            self.assertEqual(await phone.read(plain_.handle), b"12345")
            e = await self.fails("TooLong", write(d.client, plain_.path, b"123456"))
            self.assertEqual(e.details["limit"], 5)
            self.assertEqual(await phone.read(plain_.handle), b"12345")
            await write(d.client, plain_.path, b"")
            self.assertEqual(await phone.read(plain_.handle), b"")
            for part in b"ab", b"cd":
                await phone.write(appending.handle, part)
            self.assertEqual(bytes(await call(d.client, appending.path, "Read", LOCAL_CHARACTERISTIC)), b"abcd")
            self.assertEqual(bytes(await call(d.client, appending.path, "Read", LOCAL_CHARACTERISTIC)), b"")
            await self.invalid("colour", write(d.client, plain_.path, b"", colour=True))
            phone.close()

    async def test_descriptors(self):
        async with Daemon() as d:
            _, (s,) = await register(d.client, [service("180d", chr_("2a37", read=True, write=True, descriptors=[
                definition(uuid="2900", read=True, initial=b"\1\0"), definition(uuid="2901", read=True, max_len=3)]))])
            extended, description = (x.path for x in s.characteristics[0].descriptors)

            async def put(path, value):
                await d.client.call(path, LOCAL_DESCRIPTOR, "Write", "aya{sv}", [value, {}])
            await put(description, b"abc")
            e = await self.fails("TooLong", put(description, b"abcd"))
            self.assertEqual(e.details["limit"], 3)
            e = await self.fails("Denied", put(extended, b"\2\0"))
            self.assertIn("Extended Properties", e.text)
            for path, value in (description, b"abc"), (extended, b"\1\0"):
                self.assertEqual(bytes(await call(d.client, path, "Read", LOCAL_DESCRIPTOR)), value)

    async def test_truncate(self):
        async with Daemon() as d:
            _, (s,) = await register(d.client, [service(
                "180d", chr_("2a37", write=True, max_len=4, truncate=True), chr_("2a38", write=True, max_len=4))])
            phone = await Central.connect(d)
            await phone.write(s.characteristics[0].handle, b"123456")
            with self.assertRaises(AttError) as e:
                await phone.write(s.characteristics[1].handle, b"123456")
            self.assertEqual(e.exception.code, 0x0d)
            self.assertEqual(await d.client.get(s.characteristics[0].path, LOCAL_CHARACTERISTIC, "Truncated"), 2)
            self.assertEqual(bytes(await call(d.client, s.characteristics[0].path, "Read", LOCAL_CHARACTERISTIC)),
                             b"1234")
            phone.close()

    async def test_security(self):
        async with Daemon() as d:
            _, (s,) = await register(d.client, [service(
                "180d", chr_("2a37", read=True, write=True, initial=b"s", read_security="encrypted"),
                chr_("2a38", read=True, write=True, write_security="authenticated"))])
            secret, guarded = s.characteristics
            phone = await Central.connect(d)
            for ask in phone.read(secret.handle), phone.write(guarded.handle, b"x"):
                with self.assertRaises(AttError) as e:
                    await ask
                self.assertIn(e.exception.code, (0x05, 0x0f))
            await phone.write(secret.handle, b"t")
            self.assertEqual(await phone.read(guarded.handle), b"")
            await d.tell("pair", phone.number, "encrypt")
            for _ in range(200):
                try:
                    self.assertEqual(await phone.read(secret.handle), b"t")
                    break
                except AttError:
                    await asyncio.sleep(0.01)
            else:
                self.fail("encryption was never noticed")
            phone.close()

    async def test_gap(self):
        async with Daemon() as d:
            phone = await Central.connect(d)
            await busctl(d, "Configure", "a{sv}", "2", "gap_name", "s", "Küche", "appearance", "q", "768")
            found = [(await phone.ask(b"\x08\x01\x00\xff\xff" + uuid))[4:] for uuid in (b"\x00\x2a", b"\x01\x2a")]
            self.assertEqual(found, ["Küche".encode(), b"\x00\x03"])
            configure = lambda **kw: d.client.call(HCI0, ADAPTER, "Configure", "a{sv}", [options(**kw)])
            await self.invalid("gap_name", configure(gap_name="x" * 249))
            await configure(gap_name="x" * 248)
            self.assertEqual((await phone.ask(b"\x08\x01\x00\xff\xff\x01\x2a"))[4:], b"\x00\x03")
            await configure(appearance=1)
            self.assertEqual((await phone.ask(b"\x08\x01\x00\xff\xff\x00\x2a"))[4:], b"x" * 19)
            await configure()
            await self.invalid("appearance", configure(appearance=65536))
            await self.invalid("name", configure(name="x"))
            phone.close()


def bad(key, *services):
    return key, list(services)


C0 = "services[0].characteristics[0]"
INVALID = [
    bad("services"),
    bad("services[0].uuid", {}),
    bad("services[0].uuid", definition(uuid="18")),
    bad("services[0].uuid", definition(uuid=Variant("u", 0x180d))),
    bad("services[1].uuid", service("180d"), {}),
    bad("services[1].uuid", service("180d"), service("1800", chr_("2a00", read=True))),
    bad("services[0].uuid", service("00001801-0000-1000-8000-00805f9b34fb", chr_("2a05", indicate=True))),
    bad("services[0].colour", definition(uuid="180d", colour=True)),
    bad("services[0].handle", definition(uuid="180d", handle=0)),
    bad("services[0].handle", definition(uuid="180d", handle=Variant("s", "1"))),
    bad("services[0].secondary", definition(uuid="180d", secondary=Variant("y", 1))),
    bad("services[0].includes", definition(uuid="180d", includes=Variant("as", ["180f"]))),
    bad("services[0].includes", definition(uuid="180d", includes=[7])),
    bad("services[0].characteristics", definition(uuid="180d", characteristics=Variant("as", []))),
    bad("services[0].characteristics", definition(uuid="180d", characteristics=Variant("a{sv}", {}))),
    bad(C0 + ".uuid", service("180d", {})),
    bad(C0 + ".flags", service("180d", chr_("2a37", flags=Variant("as", ["read"])))),
    bad(C0 + ".initial", service("180d", chr_("2a37", read=True, initial=Variant("q", 1)))),
    bad(C0 + ".initial", service("180d", chr_("2a37", read=True, initial=Variant("as", ["x"])))),
    bad(C0 + ".initial", service("180d", chr_("2a37", read=True, initial=b"123456", max_len=5))),
    bad(C0 + ".initial", service("180d", chr_("2a37", read=True, initial=bytes(513)))),
    bad(C0 + ".max_len", service("180d", chr_("2a37", read=True, max_len=0))),
    bad(C0 + ".max_len", service("180d", chr_("2a37", read=True, max_len=513))),
    bad(C0 + ".read", service("180d", chr_("2a37", read=Variant("s", "yes")))),
    bad(C0 + ".read_security", service("180d", chr_("2a37", read=True, read_security="some"))),
    bad(C0 + ".key_size", service("180d", chr_("2a37", read=True, key_size=6))),
    bad(C0 + ".key_size", service("180d", chr_("2a37", read=True, key_size=17))),
    bad(C0 + ".on_read_timeout_ms", service("180d", chr_("2a37", read=True, on_read=True, on_read_timeout_ms=10001))),
    bad(C0 + ".on_read_fallback", service("180d", chr_("2a37", read=True, on_read_fallback=Variant("q", 256)))),
    bad("services[0].characteristics[2].max_len", service("180d", chr_("2a37", read=True), chr_("2a38", read=True),
                                                          chr_("2a39", read=True, max_len=600))),
    bad(C0 + ".descriptors", service("180d", chr_("2a37", read=True, descriptors=Variant("as", ["2901"])))),
    bad(C0 + ".descriptors[0].uuid", service("180d", chr_("2a37", read=True, descriptors=[{}]))),
    bad(C0 + ".descriptors[1].notify", service("180d", chr_("2a37", read=True, descriptors=[
        definition(uuid="2901"), definition(uuid="2901", notify=True)]))),
    bad(C0 + ".descriptors[0].descriptors", service("180d", chr_("2a37", read=True, descriptors=[
        definition(uuid="2901", descriptors=[])]))),
    bad(C0 + ".descriptors[0].uuid", service("180d", chr_("2a37", notify=True, descriptors=[
        definition(uuid="2902")]))),
    bad(C0 + ".colour", service("180d", definition(colour=True, uuid="2a37"))),
]


class Definitions(TestCase):
    async def test_what_is_refused(self):
        async with Daemon() as d:
            before = await d.client.objects()
            for key, services in INVALID:
                with self.subTest(key=key, services=services):
                    await self.invalid(key, register(d.client, services))
            self.assertEqual(set(await d.client.objects()), set(before))
            await register(d.client, [TEMPERATURE])  # nothing of them is left in the table

    async def test_handles(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [service("180d", chr_("2a37", read=True, handle=0x0120), handle=0x0100)])
            self.assertEqual((s.handle, s.characteristics[0].declaration, s.characteristics[0].handle),
                             (0x100, 0x120, 0x121))
            self.assertEqual(s.characteristics[0].path, app + "/h0121")
            other = await d.new_client()
            await self.invalid("services[0].handle", register(other, [service("180d", handle=0x110)]))
            await self.invalid("services[0].characteristics[0].handle",
                               register(other, [service("180d", chr_("2a37", read=True, handle=0x1ff), handle=0x200)]))

    async def test_options(self):
        async with Daemon() as d:
            for key, kw in [("queue", {"queue": 0}), ("queue", {"queue": 4097}), ("name", {"name": "x" * 256}),
                            ("name", {"name": 5}), ("lifetime", {"lifetime": "long"}), ("signals", {"signals": 1}),
                            ("colour", {"colour": True})]:
                with self.subTest(key=key, kw=kw):
                    await self.invalid(key, register(d.client, [TEMPERATURE], **kw))
            self.assertFalse([p for p in await d.client.objects() if "/app/" in p])
            await register(d.client, [TEMPERATURE], name="x" * 255, queue=4096)

    async def test_a_key_given_twice(self):
        async with Daemon() as d:
            said = await busctl(d, "RegisterServices", "aa{sv}a{sv}", *shlex.split(
                "1 2 uuid s 180d characteristics aa{sv} 1 3 uuid s 2a37 read b true uuid s 2a37 0"))
            self.assertEqual(said, "Call failed: services[0].characteristics[0].uuid is given twice\n")
            said = await busctl(d, "RegisterServices", "aa{sv}a{sv}", *shlex.split(
                "1 1 uuid s 180d 2 name s a name s b"))
            self.assertEqual(said, "Call failed: name is given twice\n")
            self.assertFalse([p for p in await d.client.objects() if "/app/" in p])

    async def test_a_long_unknown_key_is_cut(self):
        """Between characters: what is no UTF-8 any more the bus does not carry."""
        async with Daemon() as d:
            for letter in "x", "é", "€", "𝄞":
                for pad in "", "x", "xx", "xxx":
                    key = pad + letter * 300
                    with self.subTest(pad + letter):
                        for args in (["1", "1", key, "b", "true", "0"], ["1", "1", "uuid", "s", "180d", "1", key, "b", "true"]):
                            said = await busctl(d, "RegisterServices", "aa{sv}a{sv}", *args)
                            self.assertIn("Call failed: ", said)
                            self.assertIn(pad + letter * 20, said)

    async def test_limits(self):
        async with Daemon() as d:
            c = chr_("2a37", read=True)
            _, (s,) = await register(d.client, [service("180d", *[c] * 512)], name="most")
            self.assertEqual(len(s.characteristics), 512)
            for services in ([service("180d", *[c] * 513)], [service("180d", *[c] * 10000)],
                             [service("180d", *[c] * 300), service("180d", *[c] * 300)],
                             [service("180d")] * 9000,
                             [service("180d", chr_("2a37", read=True, descriptors=[definition(uuid="2901")] * 9000))]):
                e = await self.fails("LimitExceeded", register(d.client, services))
                self.assertIn(e.details["what"], ("characteristics", "attributes"))
                self.assertGreater(e.details["limit"], 0)
            self.assertEqual(len([p for p in await d.client.objects() if p.endswith("/app/1")]), 1)
            self.assertFalse([p for p in await d.client.objects() if "/app/" in p and "/app/1" not in p])


    async def test_huge_values(self):
        async with Daemon() as d:
            huge = bytes(2 << 20)
            await self.invalid("services[0].characteristics[0].initial", register(
                d.client, [service("180d", chr_("2a37", read=True, initial=huge))]))
            await self.invalid("services[0].characteristics[0].colour", register(
                d.client, [service("180d", chr_("2a37", colour=Variant("ay", huge)))]))
            _, (s,) = await register(d.client, [TEMPERATURE])
            e = await self.fails("TooLong", write(d.client, s.characteristics[0].path, huge))
            self.assertEqual(e.details["limit"], 512)


class Lifetime(TestCase):
    async def test_caller(self):
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(other, [TEMPERATURE], lifetime="caller")
            phone = await Central.connect(d)
            self.assertEqual(await phone.read(s.characteristics[0].handle), b"\x34\x08")
            other.close()

            async def gone():
                return app not in await d.client.objects()
            while not await gone():
                await asyncio.sleep(0.01)
            with self.assertRaises(AttError):
                await phone.read(s.characteristics[0].handle)
            phone.close()

    async def test_linger(self):
        async with Daemon("--linger-ms", "300") as d:
            other = await d.new_client()
            app, (s,) = await register(other, [TEMPERATURE])
            self.assertEqual(await d.client.get(app, APPLICATION, "ExpiresUs"), 0)
            other.close()
            for _ in range(5):  # every call starts the clock again, one on a value too
                await asyncio.sleep(0.15)
                await write(d.client, s.characteristics[0].path, b"x")
            self.assertGreater(await d.client.get(app, APPLICATION, "ExpiresUs"), 0)
            await d.client.call(app, APPLICATION, "Hold", "a{sv}", [{}])
            await asyncio.sleep(0.5)
            await d.client.call(app, APPLICATION, "Release", "a{sv}", [{}])
            await self.fails("NotFound", call(d.client, app, "Release"))
            while app in await d.client.objects():
                await asyncio.sleep(0.05)

    async def test_hold_release_finished(self):
        async with Daemon() as d:
            other = await d.new_client()
            app, _ = await register(d.client, [TEMPERATURE], lifetime="caller")
            await call(other, app, "Hold")
            await call(d.client, app, "Release")
            self.assertEqual(await other.get(app, APPLICATION, "Holders"), [other.name])
            waiting = other.start(app, APPLICATION, "Next", "a{sv}", [options(timeout_ms=0)])
            await asyncio.sleep(0.05)
            await call(d.client, app, "Unregister")
            await self.fails("Canceled", waiting)
            self.assertEqual((await other.signal("Finished", app))[0], "unregistered")
            self.assertEqual(d.client.signals("Finished", app), [])
            order = [m for m in other.log if m.member == "Finished" or "Canceled" in (m.error_name or "")]
            self.assertEqual(order[-1].member, "Finished")

    async def test_unplugged(self):
        async with Daemon() as d:
            app, _ = await register(d.client, [TEMPERATURE], lifetime="persistent")
            await d.tell("unplug", 0)
            reason, details = await d.client.signal("Finished", app)
            self.assertEqual((reason, details), ("org.aioble.Error.NotFound", {}))
            await self.fails("NotFound", call(d.client, app, "Next"))

    async def test_stop_lets_go(self):
        async with Daemon() as d:
            other = await d.new_client()
            mine, _ = await register(d.client, [TEMPERATURE])
            shared, _ = await register(d.client, [TEMPERATURE], name="shared")
            await call(other, shared, "Hold")
            theirs, _ = await register(other, [TEMPERATURE])
            await d.client.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            objects = await d.client.objects()
            self.assertEqual([p in objects for p in (mine, shared, theirs)], [False, True, True])
            self.assertEqual((await d.client.signal("Finished", mine))[0], "released")
            self.assertEqual(await d.client.get(shared, APPLICATION, "Holders"), [other.name])

    async def test_the_radio_may_be_off(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [TEMPERATURE])
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])
            await write(d.client, s.characteristics[0].path, b"off")
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, {}])
            phone = await Central.connect(d)
            self.assertEqual(await phone.read(s.characteristics[0].handle), b"off")
            phone.close()

    async def test_quota(self):
        async with Daemon("--applications", "2") as d:
            apps = [(await register(d.client, [TEMPERATURE], name=n))[0] for n in "ab"]
            e = await self.fails("LimitExceeded", register(d.client, [TEMPERATURE], name="c"))
            self.assertEqual((e.details["what"], e.details["limit"]), ("applications", 2))
            again, _ = await register(d.client, [TEMPERATURE], name="a")  # one for the other
            await self.fails("LimitExceeded", register(d.client, [TEMPERATURE], name="c"))
            self.assertEqual(sorted(p for p in await d.client.objects() if p.count("/") == 5 and "/app/" in p),
                             sorted([apps[1], again]))
            other = await d.new_client()
            await register(other, [TEMPERATURE], name="c")
            await call(d.client, apps[1], "Unregister")
            await register(d.client, [TEMPERATURE], name="d")

    async def test_the_table_has_an_end(self):
        async with Daemon("--applications", "64") as d:
            n = 0
            for client in [d.client, await d.new_client()]:
                for i in range(64):
                    try:
                        await register(client, [service("180f")], name=f"{client.name} {i}")
                        n += 1
                    except Exception as e:
                        self.assertEqual((e.name, e.details), ("LimitExceeded", {"what": "applications", "limit": 64}))
            self.assertIn(n, (63, 64))  # the daemon's own may be one

    async def test_the_attributes_of_all_have_an_end(self):
        async with Daemon() as d:
            other = await d.new_client()
            c = chr_("2a37", read=True, descriptors=[definition(uuid="2901", read=True)] * 7000)
            app, _ = await register(other, [service("180d", c)])
            e = await self.fails("LimitExceeded", register(d.client, [service("180d", c)]))
            self.assertEqual(e.details, {"what": "attributes", "limit": 8192})
            await call(d.client, app, "Unregister")
            await register(d.client, [service("180d", c)])


class Replace(TestCase):
    async def test_by_name(self):
        async with Daemon() as d:
            old, (s,) = await register(d.client, thermometer(), name="sensor")
            phone = await Central.connect(d)
            await phone.subscribe(s.characteristics[0])
            waiting = d.client.start(old, APPLICATION, "Next", "a{sv}", [options(events=["written"], timeout_ms=0)])
            await phone.sync()
            new, (t,) = await register(d.client, [service("181a", chr_("2a6e", read=True, notify=True, initial=b"!"))],
                                       name="sensor")
            self.assertNotEqual(new, old)
            await self.fails("Canceled", waiting)
            self.assertEqual((await d.client.signal("Finished", old))[0], "replaced")
            self.assertEqual(t.characteristics[0].handle, s.characteristics[0].handle)
            self.assertEqual(await phone.read(t.characteristics[0].handle), b"!")
            self.assertEqual(await d.client.get(new, APPLICATION, "Subscribers"),
                             [[t.characteristics[0].path, phone.path, True, False]])
            await write(d.client, t.characteristics[0].path, b"?", send_update=True)
            self.assertEqual((await phone.value())[2], b"?")
            await self.fails("NotFound", call(d.client, s.characteristics[0].path, "Read", LOCAL_CHARACTERISTIC))
            phone.close()

    async def test_another_shape_gets_other_handles(self):
        async with Daemon() as d:
            _, (s,) = await register(d.client, thermometer(), name="sensor")
            phone = await Central.connect(d)
            _, (t,) = await register(d.client, [service("181a", chr_("2a6f", read=True, initial=b"!"))], name="sensor")
            self.assertGreater(t.handle, s.end)
            with self.assertRaises(AttError):
                await phone.read(s.characteristics[0].handle)
            self.assertEqual(await phone.read(t.characteristics[0].handle), b"!")
            phone.close()

    async def test_not_somebody_elses(self):
        async with Daemon() as d:
            other = await d.new_client()
            old, _ = await register(other, [TEMPERATURE], name="sensor")
            e = await self.fails("Busy", register(d.client, [TEMPERATURE], name="sensor"))
            self.assertEqual(e.details["holder"], other.name)
            other.close()  # it lingers, and nobody holds it
            while True:
                try:
                    new, _ = await register(d.client, [TEMPERATURE], name="sensor")
                    break
                except Exception as e:
                    self.assertEqual(e.name, "Busy")
                    await asyncio.sleep(0.01)
            self.assertEqual([p for p in await d.client.objects() if p in (old, new)], [new])

    async def test_without_a_name_it_is_the_callers_own(self):
        async with Daemon() as d:
            other = await d.new_client()
            mine, _ = await register(d.client, [TEMPERATURE])
            theirs, _ = await register(other, [TEMPERATURE])
            named, _ = await register(d.client, [TEMPERATURE], name="sensor")
            again, _ = await register(d.client, [TEMPERATURE])
            objects = await d.client.objects()
            self.assertEqual([p in objects for p in (mine, theirs, named, again)], [False, True, True, True])

    async def test_without_a_name_one_that_others_took_over_is_theirs(self):
        async with Daemon() as d:
            other = await d.new_client()
            old, _ = await register(d.client, [TEMPERATURE])
            await call(other, old, "Hold")
            await call(d.client, old, "Release")
            new, _ = await register(d.client, [TEMPERATURE])
            objects = await d.client.objects()
            self.assertEqual([p in objects for p in (old, new)], [True, True])
            again, _ = await register(d.client, [TEMPERATURE])  # of the two it is the new one
            objects = await d.client.objects()
            self.assertEqual([p in objects for p in (old, new, again)], [True, False, True])

    async def test_a_refused_one_replaces_nothing(self):
        async with Daemon() as d:
            old, (s,) = await register(d.client, [TEMPERATURE], name="sensor")
            await self.invalid("services[0].characteristics[0].initial", register(
                d.client, [service("181a", chr_("2a6e", read=True, initial=b"123", max_len=2))], name="sensor"))
            self.assertEqual(bytes(await call(d.client, s.characteristics[0].path, "Read", LOCAL_CHARACTERISTIC)),
                             b"\x34\x08")
            self.assertIn(old, await d.client.objects())

    async def test_two_side_by_side(self):
        async with Daemon() as d:
            other = await d.new_client()
            one, (s,) = await register(d.client, [service("180d", chr_("2a37", write=True))])
            two, (t,) = await register(other, [service("180d", chr_("2a37", write=True))])
            self.assertNotEqual(s.characteristics[0].handle, t.characteristics[0].handle)
            phone = await Central.connect(d)
            tablet = await Central.connect(d, TABLET)
            await phone.write(s.characteristics[0].handle, b"one")
            await tablet.write(t.characteristics[0].handle, b"two")
            self.assertEqual((await next_event(d.client, one))[2:4], (phone.path, b"one"))
            self.assertEqual((await next_event(other, two))[2:4], (tablet.path, b"two"))
            await self.fails("NotFound", call(d.client, f"{one}/h{t.characteristics[0].handle:04x}", "Read",
                                              LOCAL_CHARACTERISTIC))
            await call(other, two, "Unregister")
            await phone.write(s.characteristics[0].handle, b"still")
            self.assertEqual((await next_event(d.client, one))[3], b"still")
            for c in phone, tablet:
                c.close()


if __name__ == "__main__":
    main()
