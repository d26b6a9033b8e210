# SPDX-License-Identifier: GPL-2.0-or-later
"""What peers do, as events: the queue and its drops, Next, signals, the descriptor, and questions of readers."""
import asyncio
import os
import signal
import struct
import time

from dbus_fast import Variant

from central import (APPLICATION, LOCAL_CHARACTERISTIC, PHONE, TABLET, AttError, Central, Gone, chr_, definition, next_event,
                     register, service, write)
from harness import CONNECTION, HCI0, Daemon, TestCase, main, options, plain, record, until

CAPTURED = service("180d", chr_("2a37", write=True, write_no_response=True, capture=True),
                   chr_("2a38", write=True, write_no_response=True, capture=True),
                   chr_("2a39", write=True, write_no_response=True, notify=True, indicate=True))
END, WRITTEN, SUBSCRIBED, READ = 0xff, 5, 6, 7


async def events(client, app, n):
    return [await next_event(client, app) for _ in range(n)]


class Queue(TestCase):
    async def test_thirteen_writes(self):
        """The newest ten survive, in order, and the count says three; nobody was there to take them."""
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, b = s.characteristics[:2]
            phone = await Central.connect(d)
            for i in range(13):
                phone.command((a, b)[i % 2].handle, bytes([i]))
            await phone.sync()
            p = await d.client.get_all(app, APPLICATION)
            self.assertEqual((p["Received"], p["Dropped"], p["Queued"], p["Collapsed"]), (13, 3, 10, 0))
            got = await events(d.client, app, 10)
            self.assertEqual([e[3] for e in got], [bytes([i]) for i in range(3, 13)])
            self.assertEqual([e[1] for e in got], [(a, b)[i % 2].path for i in range(3, 13)])
            self.assertEqual([e[4]["seq"] for e in got], list(range(4, 14)))
            self.assertEqual({e[4]["dropped"] for e in got}, {3})
            self.assertEqual({(e[0], e[2]) for e in got}, {("written", phone.path)})
            await self.fails("Timeout", next_event(d.client, app, timeout_ms=20))
            phone.close()

    async def test_a_larger_queue_loses_none(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED], queue=100)
            phone = await Central.connect(d)
            for i in range(13):
                phone.command(s.characteristics[0].handle, bytes([i]))
            got = await events(d.client, app, 13)
            self.assertEqual([e[3] for e in got], [bytes([i]) for i in range(13)])
            self.assertEqual(await d.client.get(app, APPLICATION, "Dropped"), 0)
            phone.close()

    async def test_a_plain_write_is_replaced(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            before = time.monotonic_ns() // 1000
            await phone.write(c.handle, b"1")
            await phone.write(a.handle, b"captured")
            await phone.write(c.handle, b"2")
            await phone.write(c.handle, b"3")
            p = await d.client.get_all(app, APPLICATION)
            self.assertEqual((p["Received"], p["Dropped"], p["Queued"], p["Collapsed"]), (4, 0, 2, 2))
            got = await events(d.client, app, 2)
            self.assertEqual([(e[3], e[4]["seq"], e[4]["dropped"]) for e in got], [(b"captured", 2, 0), (b"3", 4, 0)])
            self.assertGreaterEqual(got[0][4]["time_us"], before)
            await phone.write(c.handle, b"4")  # what was taken is not replaced
            self.assertEqual((await next_event(d.client, app))[3], b"4")
            self.assertEqual(await d.client.get(app, APPLICATION, "Collapsed"), 2)
            phone.close()

    async def test_plain_writes_take_no_place_of_captured_ones(self):
        async with Daemon() as d:
            chars = [chr_("2a37", write_no_response=True, capture=True)] + [chr_("2a38", write_no_response=True)] * 30
            app, (s,) = await register(d.client, [service("180d", *chars)])
            phone = await Central.connect(d)
            for c in s.characteristics:
                phone.command(c.handle, b"x")
            await phone.sync()
            self.assertEqual(len(await events(d.client, app, 31)), 31)
            phone.close()

    async def test_subscriptions_are_told_by_their_last(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            c = s.characteristics[2]
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            for bits in 1, 0, 2:
                await phone.subscribe(c, bits)
            await tablet.subscribe(c, 3)
            got = await events(d.client, app, 2)
            self.assertEqual([(e[0], e[1], e[2], e[3], e[4]["notify"], e[4]["indicate"]) for e in got],
                             [("subscribed", c.path, phone.path, b"", False, True),
                              ("subscribed", c.path, tablet.path, b"", True, True)])
            self.assertEqual(sorted(await d.client.get(app, APPLICATION, "Subscribers")),
                             sorted([[c.path, phone.path, False, True], [c.path, tablet.path, True, True]]))
            self.assertEqual(sorted(await d.client.get(c.path, LOCAL_CHARACTERISTIC, "Subscribers")),
                             sorted([[phone.path, False, True], [tablet.path, True, True]]))
            await phone.subscribe(c, 2)  # nothing new
            await self.fails("Timeout", next_event(d.client, app, timeout_ms=20))
            for p in phone, tablet:
                p.close()

    async def test_the_property_changes(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            c = s.characteristics[2]
            await d.client.match(f"type='signal',sender='org.aioble',member='PropertiesChanged',path_namespace='{app}'")
            phone = await Central.connect(d)
            await phone.subscribe(c)
            for path, interface, value in ((app, APPLICATION, [[c.path, phone.path, True, False]]),
                                           (c.path, LOCAL_CHARACTERISTIC, [[phone.path, True, False]])):
                got = await d.client.signal("PropertiesChanged", path)
                self.assertEqual(got, [interface, {"Subscribers": value}, []])
            await phone.drop(d)
            for path in app, c.path:
                got = await d.client.signal("PropertiesChanged", path, n=2)
                self.assertEqual(got[1], {"Subscribers": []})

    async def test_only_these(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            await phone.subscribe(c)
            await phone.write(a.handle, b"1")
            await phone.write(a.handle, b"2")
            self.assertEqual((await next_event(d.client, app, events=["written"]))[3], b"1")
            self.assertEqual((await next_event(d.client, app))[0], "subscribed")
            reading = d.client.start(app, APPLICATION, "Next", "a{sv}", [options(events=["read"], timeout_ms=0)])
            await asyncio.sleep(0.05)
            got = await next_event(d.client, app, events=["read", "written"])
            self.assertEqual((got[3], got[4]["seq"]), (b"2", 3))
            self.assertFalse(reading.done())
            await self.invalid("events", next_event(d.client, app, events=["wrote"]))
            await self.invalid("max", next_event(d.client, app, max=3))
            reading.cancel()
            phone.close()

    async def test_a_link_that_is_down_still_has_its_name(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            await phone.subscribe(c)
            self.assertEqual((await next_event(d.client, app))[0], "subscribed")
            phone.command(a.handle, b"last words")
            await phone.sync()
            await phone.drop(d)
            got = await events(d.client, app, 2)
            self.assertEqual([(e[0], e[2], e[3]) for e in got],
                             [("written", phone.path, b"last words"), ("subscribed", phone.path, b"")])
            self.assertEqual((got[1][4]["notify"], got[1][4]["indicate"]), (False, False))

    async def test_peers_that_come_and_go_fill_nothing(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            for _ in range(30):
                phone = await Central.connect(d)
                await phone.subscribe(s.characteristics[2])
                await phone.drop(d)
            await until_async(lambda: d.client.get(app, APPLICATION, "Subscribers"), [])
            self.assertEqual(await d.client.get(app, APPLICATION, "Queued"), 30)


async def until_async(get, value):
    while await get() != value:
        await asyncio.sleep(0.01)


class Signals(TestCase):
    async def test_events(self):
        async with Daemon() as d:
            other = await d.new_client()
            await other.match("type='signal',sender='org.aioble'")
            app, (s,) = await register(d.client, [CAPTURED], signals=True)
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            await phone.subscribe(c, 3)
            await phone.write(a.handle, b"w")
            attribute, connection, value, details = await d.client.signal("Written", app)
            self.assertEqual((attribute, connection, bytes(value), details["seq"], details["dropped"]),
                             (a.path, phone.path, b"w", 2, 0))
            attribute, connection, details = await d.client.signal("Subscribed", app)
            self.assertEqual((attribute, connection, details["notify"], details["indicate"], details["seq"]),
                             (c.path, phone.path, True, True, 1))
            self.assertEqual(other.signals("Written"), [])
            e = await self.fails("Busy", next_event(d.client, app))
            self.assertEqual(e.details["holder"], d.client.name)
            phone.close()

    async def test_thirteen_at_once_are_no_reason_to_drop(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED], signals=True)
            phone = await Central.connect(d)
            for i in range(50):
                phone.command(s.characteristics[0].handle, bytes([i]))
            await d.client.signal("Written", app, n=50)
            self.assertEqual([bytes(m.body[2]) for m in d.client.signals("Written", app)], [bytes([i]) for i in range(50)])
            phone.close()

    async def test_unsubscribed_comes_before_disconnected(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED], signals=True)
            await d.client.match("type='signal',sender='org.aioble',member='Disconnected'")
            phone = await Central.connect(d)
            await phone.subscribe(s.characteristics[2])
            await d.client.signal("Subscribed", app)
            phone.command(s.characteristics[0].handle, b"x")
            await phone.drop(d)
            await d.client.signal("Disconnected", phone.path)
            order = [(m.member, plain(m.body[2])["notify"] if m.member == "Subscribed" else None) for m in d.client.log
                     if m.member in ("Subscribed", "Written", "Disconnected")]
            self.assertEqual(order, [("Subscribed", True), ("Written", None), ("Subscribed", False),
                                     ("Disconnected", None)])

    async def test_next_before_disconnected(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            await d.client.match("type='signal',sender='org.aioble',member='Disconnected'")
            phone = await Central.connect(d)
            await phone.subscribe(s.characteristics[2])
            await next_event(d.client, app)
            waiting = d.client.start(app, APPLICATION, "Next", "a{sv}", [{}])
            await asyncio.sleep(0.05)
            await phone.drop(d)
            self.assertEqual((await waiting)[0], "subscribed")
            await d.client.signal("Disconnected", phone.path)
            order = [m.body[0] if m.body else None for m in d.client.log
                     if m.member == "Disconnected" or (m.body and m.body[0] == "subscribed")]
            self.assertEqual(order, ["subscribed", "subscribed", 0x13])

    async def test_a_deaf_client(self):
        """It gets what it has credit for; the rest is kept, its newest ten; others do not notice."""
        async with Daemon() as d:
            deaf = await d.new_client()
            app, (s,) = await register(deaf, [CAPTURED], signals=True)
            phone = await Central.connect(d)
            deaf.deaf()
            for i in range(3000):
                phone.command(s.characteristics[0].handle, struct.pack("<I", i))
                if i % 64 == 0:
                    await phone.sync()
            await phone.sync()
            p = await d.client.get_all(app, APPLICATION)
            self.assertEqual((p["Received"], p["Queued"]), (3000, 10))
            self.assertGreater(p["Dropped"], 2000)
            deaf.deaf(False)
            await until(lambda: deaf.signals("Written") and
                        bytes(deaf.signals("Written")[-1].body[2]) == struct.pack("<I", 2999))
            self.assertEqual(plain(deaf.signals("Written")[-1].body[3])["dropped"], p["Dropped"])
            self.assertEqual(len(deaf.signals("Written")) + p["Dropped"], 3000)
            phone.close()

    async def test_the_caller_dies(self):
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(other, [CAPTURED], signals=True)
            phone = await Central.connect(d)
            other.close()
            while await d.client.get(app, APPLICATION, "Holders"):
                await asyncio.sleep(0.01)
            await phone.write(s.characteristics[0].handle, b"for whom it concerns")
            self.assertEqual((await next_event(d.client, app))[3], b"for whom it concerns")
            phone.close()


class Descriptor(TestCase):
    async def test_records(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            number = int(phone.path.rsplit("/", 1)[1])
            await phone.write(a.handle, b"kept")
            waiting = d.client.start(app, APPLICATION, "Next", "a{sv}", [options(events=["read"], timeout_ms=0)])
            await asyncio.sleep(0.05)
            sock, = await d.client.open(app, APPLICATION, "Open")
            await self.fails("Canceled", waiting)
            await phone.subscribe(c, 3)
            await phone.write(c.handle, b"plain")
            r = await record(sock)
            self.assertEqual((r.type, r.handle, r.seq, r.dropped, r.payload),
                             (WRITTEN, a.handle, 1, 0, struct.pack("<Q", number) + b"kept"))
            r = await record(sock)
            self.assertEqual((r.type, r.handle, r.seq, r.payload),
                             (SUBSCRIBED, c.handle, 2, struct.pack("<QB", number, 3)))
            r = await record(sock)
            self.assertEqual((r.type, r.handle, r.seq, r.payload), (WRITTEN, c.handle, 3, struct.pack("<Q", number) + b"plain"))
            await self.fails("Busy", d.client.call(app, APPLICATION, "Open", "a{sv}", [{}]))
            await self.fails("Busy", next_event(d.client, app))
            await d.client.call(app, APPLICATION, "Unregister", "a{sv}", [{}])
            r = await record(sock)
            self.assertEqual((r.type, r.reason, r.dropped), (END, "unregistered", 0))
            self.assertIsNone(await record(sock))
            sock.close()
            phone.close()

    async def test_what_was_replaced_is_not_lost(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            a, _, c = s.characteristics
            phone = await Central.connect(d)
            for value in b"1", b"2", b"3":
                await phone.write(c.handle, value)
            for i in range(12):
                await phone.write(a.handle, bytes([i]))
            await phone.write(c.handle, b"4")
            self.assertEqual((await next_event(d.client, app, events=["written"]))[3], b"\x02")
            sock, = await d.client.open(app, APPLICATION, "Open")
            got = [await record(sock) for _ in range(10)]
            self.assertEqual([(r.seq, r.dropped) for r in got], [(n, 0) for n in range(7, 17)])
            self.assertEqual(got[-1].payload[8:], b"4")
            sock.close()
            phone.close()

    async def test_closing_it_goes_on_with_next(self):
        async with Daemon("--linger-ms", "300") as d:
            app, (s,) = await register(d.client, [CAPTURED], signals=True)
            phone = await Central.connect(d)
            await d.client.call(app, APPLICATION, "Release", "a{sv}", [{}])
            sock, = await d.client.open(app, APPLICATION, "Open")
            await asyncio.sleep(1)  # its reader keeps it
            sock.close()
            while True:
                try:
                    waiting = await next_event(d.client, app, timeout_ms=1)
                except Exception as e:
                    if e.name == "Timeout":
                        break
                    self.assertEqual(e.name, "Busy")
            await phone.write(s.characteristics[0].handle, b"x")
            self.assertEqual((await next_event(d.client, app))[3], b"x")
            phone.close()

    async def test_a_reader_that_sleeps(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            phone = await Central.connect(d)
            sock, = await d.client.open(app, APPLICATION, "Open")
            for i in range(20000):
                phone.command(s.characteristics[0].handle, struct.pack("<I", i))
                if i % 64 == 0:
                    await phone.sync()
            await phone.sync()
            p = await d.client.get_all(app, APPLICATION)
            self.assertEqual((p["Received"], p["Queued"]), (20000, 10))
            numbers, dropped = [], 0
            while not numbers or numbers[-1] != 19999:
                r = await record(sock)
                numbers.append(struct.unpack("<I", r.payload[8:])[0])
                dropped += r.dropped
            self.assertEqual(len(numbers) + dropped, 20000)
            self.assertEqual(dropped, p["Dropped"])
            self.assertEqual(numbers[-10:], list(range(19990, 20000)))
            sock.close()
            phone.close()


ASKED = service("180d", chr_("2a37", read=True, initial=b"stored", on_read=True, on_read_timeout_ms=400),
                chr_("2a38", read=True, initial=b"stored", on_read=True, on_read_timeout_ms=400, on_read_fallback=0x80),
                chr_("2a39", read=True, write=True, initial=b"free", max_len=6, descriptors=[
                    definition(uuid="2901", read=True, on_read=True, initial=b"words")]))


def answer(client, app, token, code=0, **kw):
    return client.call(app, APPLICATION, "AnswerRead", "uya{sv}", [token, code, options(**kw)])


class Questions(TestCase):
    async def test_answers(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            c = s.characteristics[0]
            phone = await Central.connect(d)
            for code, kw, expected in ((0, {}, b"stored"), (0, {"value": Variant("ay", b"fresh")}, b"fresh"),
                                       (0, {"value": "text"}, b"text"), (0x81, {}, 0x81), (0x81, {"value": "x"}, 0x81),
                                       (0, {}, b"x")):
                with self.subTest(code=code, kw=kw):
                    reading = asyncio.ensure_future(phone.read(c.handle))
                    event, attribute, connection, value, details = await next_event(d.client, app)
                    self.assertEqual((event, attribute, connection, value), ("read", c.path, phone.path, b""))
                    self.assertLess(details["deadline_us"] - time.monotonic_ns() // 1000, 400000)
                    await answer(d.client, app, details["token"], code, **kw)
                    if isinstance(expected, int):
                        with self.assertRaises(AttError) as e:
                            await reading
                        self.assertEqual((e.exception.code, e.exception.handle), (expected, c.handle))
                    else:
                        self.assertEqual(await reading, expected)
                    await self.fails("NotFound", answer(d.client, app, details["token"]))
            phone.close()

    async def test_the_value_may_be_set_first(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            c = s.characteristics[0]
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(c.handle))
            token = (await next_event(d.client, app))[4]["token"]
            await write(d.client, c.path, b"newest")
            self.assertFalse(reading.done())
            await answer(d.client, app, token)
            self.assertEqual(await reading, b"newest")
            phone.close()

    async def test_silence(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            stored, refused, _ = s.characteristics
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(stored.handle))
            token = (await next_event(d.client, app))[4]["token"]
            self.assertEqual(await reading, b"stored")
            await self.fails("NotFound", answer(d.client, app, token))  # too late
            with self.assertRaises(AttError) as e:
                await phone.read(refused.handle)
            self.assertEqual(e.exception.code, 0x80)
            # a question that is over is no event
            await self.fails("Timeout", next_event(d.client, app, timeout_ms=20))
            self.assertEqual(await d.client.get(app, APPLICATION, "Dropped"), 0)
            phone.close()

    async def test_nobody_else_waits(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            asked, _, free = s.characteristics
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            reading = asyncio.ensure_future(phone.read(asked.handle))
            token = (await next_event(d.client, app))[4]["token"]
            for _ in range(20):
                self.assertEqual(await tablet.read(free.handle), b"free")
            self.assertFalse(reading.done())
            await answer(d.client, app, token)
            await reading
            both = [asyncio.ensure_future(p.read(asked.handle)) for p in (phone, tablet)]
            got = await events(d.client, app, 2)
            self.assertEqual([e[2] for e in got], [phone.path, tablet.path])
            for e, value in zip(reversed(got), (b"two", b"one")):
                await answer(d.client, app, e[4]["token"], value=Variant("ay", value))
                await asyncio.sleep(0.02)
            self.assertEqual([await b for b in both], [b"one", b"two"])
            for p in phone, tablet:
                p.close()

    async def test_a_long_value_asks_once(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [service("180d", chr_("2a37", read=True, on_read=True, initial=bytes(300)))])
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read_long(s.characteristics[0].handle))
            await answer(d.client, app, (await next_event(d.client, app))[4]["token"])
            self.assertEqual(await reading, bytes(300))
            await self.fails("Timeout", next_event(d.client, app, timeout_ms=20))
            phone.close()

    async def test_descriptor(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            descriptor = s.characteristics[2].descriptors[0]
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(descriptor.handle))
            event, attribute, _, _, details = await next_event(d.client, app)
            self.assertEqual((event, attribute), ("read", descriptor.path))
            await answer(d.client, app, details["token"])
            self.assertEqual(await reading, b"words")
            phone.close()

    async def test_bad_answers(self):
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(d.client, [service(
                "180d", chr_("2a37", read=True, on_read=True, max_len=3, on_read_timeout_ms=10000))])
            theirs, _ = await register(other, [ASKED])
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            token = (await next_event(d.client, app))[4]["token"]
            await self.fails("NotFound", answer(d.client, app, token + 1))
            await self.fails("NotFound", answer(other, theirs, token))  # not its question
            e = await self.fails("TooLong", answer(d.client, app, token, value="1234"))
            self.assertEqual(e.details["limit"], 3)
            await self.invalid("value", answer(d.client, app, token, value=Variant("u", 1)))
            await answer(d.client, app, token, value="123")
            self.assertEqual(await reading, b"123")
            phone.close()

    async def test_the_peer_leaves(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            phone = await Central.connect(d)
            reading = phone.start(b"\x0a" + struct.pack("<H", s.characteristics[0].handle))
            token = (await next_event(d.client, app))[4]["token"]
            await phone.drop(d)
            with self.assertRaises(Gone):
                await reading
            await d.client.call(HCI0, "org.freedesktop.DBus.Peer", "Ping")
            while [p for p in await d.client.objects() if "/conn/" in p]:
                await asyncio.sleep(0.01)
            await self.fails("NotFound", answer(d.client, app, token))
            # and one that nobody has heard of yet
            phone = await Central.connect(d)
            reading = phone.start(b"\x0a" + struct.pack("<H", s.characteristics[0].handle))
            while await d.client.get(app, APPLICATION, "Queued") != 1:
                await asyncio.sleep(0.01)
            await phone.drop(d)
            while await d.client.get(app, APPLICATION, "Queued"):
                await asyncio.sleep(0.01)
            await self.fails("Timeout", next_event(d.client, app, timeout_ms=20))

    async def test_the_client_is_killed(self):
        """lifetime caller: the peer has its answer at once, whatever the deadline; the attribute is no more."""
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(other, [service(
                "180d", chr_("2a37", read=True, initial=b"stored", on_read=True, on_read_timeout_ms=10000))],
                lifetime="caller", signals=True)
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            await other.signal("ReadRequested", app)
            begin = time.monotonic()
            other.close()
            with self.assertRaises(AttError) as e:
                await reading
            self.assertEqual(e.exception.code, 0x01)
            self.assertLess(time.monotonic() - begin, 5)
            phone.close()

    async def test_the_client_is_killed_and_its_services_stay(self):
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(other, [ASKED], signals=True)
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            await other.signal("ReadRequested", app)
            other.close()
            self.assertEqual(await reading, b"stored")  # after its deadline
            phone.close()

    async def test_a_client_that_sleeps(self):
        """It reads nothing, so it answers nothing: every reader has its answer in time, and others do not notice."""
        async with Daemon() as d:
            other = await d.new_client()
            app, (s,) = await register(other, [ASKED], signals=True)
            asked, refused, free = s.characteristics
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            other.deaf()

            async def hammer():
                for _ in range(3):
                    self.assertEqual(await phone.read(asked.handle), b"stored")
                    with self.assertRaises(AttError) as e:
                        await phone.read(refused.handle)
                    self.assertEqual(e.exception.code, 0x80)
            hammering = asyncio.ensure_future(hammer())
            slowest = 0
            while not hammering.done():
                begin = time.monotonic()
                self.assertEqual(await tablet.read(free.handle), b"free")
                slowest = max(slowest, time.monotonic() - begin)
                await asyncio.sleep(0.001)
            await hammering
            self.assertLess(slowest, 0.35)  # the deadline of the others' is 0.4
            other.deaf(False)
            for p in phone, tablet:
                p.close()

    async def test_a_slow_client(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[1].handle))
            token = (await next_event(d.client, app))[4]["token"]
            await asyncio.sleep(0.2)
            await answer(d.client, app, token, value="slowly")
            self.assertEqual(await reading, b"slowly")
            phone.close()

    async def test_signals(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED], signals=True)
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            attribute, connection, token, details = await d.client.signal("ReadRequested", app)
            self.assertEqual((attribute, connection, sorted(details)),
                             (s.characteristics[0].path, phone.path, ["deadline_us", "dropped", "seq", "time_us"]))
            await answer(d.client, app, token, value="now")
            self.assertEqual(await reading, b"now")
            phone.close()

    async def test_the_descriptor_asks(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED])
            phone = await Central.connect(d)
            sock, = await d.client.open(app, APPLICATION, "Open")
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            r = await record(sock)
            number, token, deadline_us = struct.unpack("<QIQ", r.payload)
            self.assertEqual((r.type, r.handle, phone.path), (READ, s.characteristics[0].handle, f"{HCI0}/conn/{number}"))
            self.assertGreater(deadline_us, r.time_us)
            await answer(d.client, app, token, value="now")
            self.assertEqual(await reading, b"now")
            sock.close()
            phone.close()

    async def test_replaced_meanwhile(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [ASKED], name="x")
            phone = await Central.connect(d)
            reading = asyncio.ensure_future(phone.read(s.characteristics[0].handle))
            token = (await next_event(d.client, app))[4]["token"]
            new, _ = await register(d.client, [ASKED], name="x")
            await self.fails("NotFound", answer(d.client, app, token))
            value = await reading  # by the fallback, or by the new one's deadline
            self.assertEqual(value, b"stored")
            phone.close()


class Bonded(TestCase):
    async def test_subscriptions_come_back(self):
        async with Daemon() as d:
            app, (s,) = await register(d.client, [CAPTURED])
            c = s.characteristics[2]
            phone = await Central.connect(d)
            for what in "ask", "encrypt", "key":
                await d.tell("pair", phone.number, what)
            await until_async(lambda: d.client.get(phone.path, CONNECTION, "Bonded"), True)
            await phone.subscribe(c)
            await phone.drop(d)
            first = await events(d.client, app, 1)
            self.assertEqual((first[0][2], first[0][4]["notify"]), (phone.path, False))
            again = await Central.connect(d)
            self.assertEqual(await d.client.get(app, APPLICATION, "Subscribers"), [])
            await d.tell("pair", again.number, "encrypt")
            event, attribute, connection, _, details = await next_event(d.client, app)
            self.assertEqual((event, attribute, connection, details["notify"]), ("subscribed", c.path, again.path, True))
            self.assertEqual(await d.client.get(app, APPLICATION, "Subscribers"), [[c.path, again.path, True, False]])
            await write(d.client, c.path, b"welcome", send_update=True)
            self.assertEqual((await again.value())[2], b"welcome")
            again.close()


if __name__ == "__main__":
    main()
