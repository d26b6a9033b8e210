# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon says unasked for its clients: updates, targeted notifications and indications, descriptors."""
import asyncio
import struct

from dbus_fast import Variant

from central import (APPLICATION, LOCAL_CHARACTERISTIC, TABLET, Central, chr_, indicate, notify, register, service,
                     write)
from harness import ADAPTER, CONNECTION, HCI0, PATIENCE, Daemon, TestCase, main, options, record, until

NOTIFIED, INDICATED = 0x1b, 0x1d
END = 0xff

TALKING = service("180d", chr_("2a37", read=True, notify=True, initial=b"stored"),
                  chr_("2a38", read=True, indicate=True, initial=b"stored"),
                  chr_("2a39", read=True, notify=True, indicate=True, initial=b"both"),
                  chr_("2a3a", read=True, write=True),
                  chr_("2a3b", read=True, notify=True, indicate=True, read_security="encrypted", initial=b"secret"))


async def talking(d, **kw):
    app, (s,) = await register(d.client, [TALKING], **kw)
    return app, s.characteristics


class Update(TestCase):
    async def test_who_subscribed_hears(self):
        async with Daemon() as d:
            _, (_, _, both, silent, _) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            third = await Central.connect(d, "C0:DE:00:00:00:03")
            await phone.subscribe(both, 1)
            await tablet.subscribe(both, 2)
            await third.sync()
            await write(d.client, both.path, b"1", send_update=True)
            self.assertEqual(await phone.value(), (NOTIFIED, both.handle, b"1"))
            self.assertEqual(await tablet.value(), (INDICATED, both.handle, b"1"))
            await write(d.client, both.path, b"2")
            await write(d.client, silent.path, b"3", send_update=True)
            for c in phone, tablet, third:
                await c.sync()
            self.assertEqual([len(c.values) for c in (phone, tablet, third)], [1, 1, 0])
            await tablet.subscribe(both, 3)
            await write(d.client, both.path, b"4", send_update=True)
            self.assertEqual((await tablet.value(2))[0], NOTIFIED)  # notify wins
            for c in phone, tablet, third:
                c.close()

    async def test_a_link_that_takes_nothing_gets_the_newest(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            for c in phone, tablet:
                await c.subscribe(chr_)
            phone.stall(True)
            n = 3000
            for i in range(n):
                await write(d.client, chr_.path, struct.pack("<I", i) + bytes(16), send_update=True)
            await until(lambda: tablet.values and tablet.values[-1][2][:4] == struct.pack("<I", n - 1))
            self.assertEqual(len(tablet.values), n)
            phone.stall(False)
            await until(lambda: phone.values and phone.values[-1][2][:4] == struct.pack("<I", n - 1))
            numbers = [struct.unpack_from("<I", v[2])[0] for v in phone.values]
            self.assertEqual(numbers, sorted(set(numbers)))
            for c in phone, tablet:
                c.close()


class Notify(TestCase):
    async def test_one_of_two(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            await phone.subscribe(chr_)
            await notify(d.client, chr_.path, tablet.path, b"you")  # whether it subscribed or not
            self.assertEqual(await tablet.value(), (NOTIFIED, chr_.handle, b"you"))
            await notify(d.client, chr_.path, tablet.path, stored=True)
            self.assertEqual((await tablet.value(2))[2], b"stored")
            await notify(d.client, chr_.path, tablet.path)
            self.assertEqual((await tablet.value(3))[2], b"")
            self.assertEqual(await tablet.read(chr_.handle), b"stored")
            await phone.sync()
            self.assertEqual(phone.values, [])
            for c in phone, tablet:
                c.close()

    async def test_too_long(self):
        async with Daemon() as d:
            _, (n, i, *_) = await talking(d)
            phone = await Central.connect(d)
            for send, chr_ in ((notify, n), (indicate, i)):
                await send(d.client, chr_.path, phone.path, bytes(range(30)))
                self.assertEqual((await phone.value(len(phone.values) or 1))[2], bytes(range(20)))
                e = await self.fails("TooLong", send(d.client, chr_.path, phone.path, bytes(21), truncate=False))
                self.assertEqual(e.details["limit"], 20)
                await send(d.client, chr_.path, phone.path, bytes(20), truncate=False)
                e = await self.fails("TooLong", send(d.client, chr_.path, phone.path, bytes(513)))
                self.assertEqual(e.details["limit"], 512)
                await write(d.client, chr_.path, bytes(21))
                await self.fails("TooLong", send(d.client, chr_.path, phone.path, stored=True, truncate=False))
            await phone.mtu(100)
            await notify(d.client, n.path, phone.path, bytes(97), truncate=False)
            phone.close()

    async def test_errors(self):
        async with Daemon() as d:
            app, (n, i, _, silent, secret) = await talking(d)
            phone = await Central.connect(d)
            for send, right, wrong in ((notify, n, i), (indicate, i, n)):
                with self.subTest(send=send.__name__):
                    for chr_ in wrong, silent:
                        await self.fails("NotSupported", send(d.client, chr_.path, phone.path, b"x"))
                    e = await self.fails("Gatt", send(d.client, secret.path, phone.path, b"x"))
                    self.assertIn(e.details["att"], (0x05, 0x0f))
                    self.assertEqual(e.details["handle"], secret.handle)
                    for path in app, "/", HCI0, right.path, HCI0 + "/conn/999", phone.path + "/h0001":
                        await self.invalid("connection", send(d.client, right.path, path, b"x"))
                    await self.invalid("value", send(d.client, right.path, phone.path, b"x", stored=True))
                    await self.invalid("loud", send(d.client, right.path, phone.path, b"x", loud=True))
            await d.tell("plug", 1, "00:11:22:33:44:01")
            other_adapter = HCI0[:-1] + "1"
            while (await d.client.objects()).get(other_adapter, {}).get(ADAPTER, {}).get("State") != "ready":
                await asyncio.sleep(0.02)
            other = await Central.connect(d, TABLET, index=1)
            await self.invalid("connection", notify(d.client, n.path, other.path, b"x"))
            await phone.drop(d)
            while phone.path in await d.client.objects():
                await asyncio.sleep(0.01)
            await self.fails("NotConnected", notify(d.client, n.path, phone.path, b"x"))
            await self.fails("NotConnected", indicate(d.client, i.path, phone.path, b"x"))
            other.close()

    async def test_over_our_own_connections_too(self):
        """The server serves every link, whoever made it."""
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            path, peer = await d.connected()
            await notify(d.client, chr_.path, path, b"hello")
            await until(lambda: peer.log)
            self.assertEqual(peer.log[0], struct.pack("<BH", NOTIFIED, chr_.handle) + b"hello")


class Indicate(TestCase):
    async def test_confirmed(self):
        async with Daemon() as d:
            _, (_, chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            phone.confirms = False
            waiting = asyncio.ensure_future(indicate(d.client, chr_.path, phone.path, b"x"))
            self.assertEqual(await phone.value(), (INDICATED, chr_.handle, b"x"))
            await asyncio.sleep(0.05)
            self.assertFalse(waiting.done())
            phone.confirm()
            self.assertIsNone(await waiting)
            phone.close()

    async def test_one_at_a_time_in_order(self):
        async with Daemon() as d:
            _, (_, chr_, both, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            phone.confirms = False
            waiting = [asyncio.ensure_future(indicate(d.client, (chr_, both)[i % 2].path, phone.path, bytes([i]),
                                                      timeout_ms=0)) for i in range(6)]
            await indicate(d.client, chr_.path, tablet.path, b"not behind the phone's")
            for i in range(6):
                await phone.value(i + 1)
                await phone.sync()
                self.assertEqual(len(phone.values), i + 1)
                self.assertEqual([w.done() for w in waiting], [True] * i + [False] * (6 - i))
                phone.confirm()
                await waiting[i]
            self.assertEqual([v[2] for v in phone.values], [bytes([i]) for i in range(6)])
            for c in phone, tablet:
                c.close()

    async def test_timeout_is_not_the_links(self):
        async with Daemon() as d:
            _, (n, chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            phone.confirms = False
            await self.fails("Timeout", indicate(d.client, chr_.path, phone.path, b"1", timeout_ms=50))
            waiting = asyncio.ensure_future(indicate(d.client, chr_.path, phone.path, b"2"))
            await notify(d.client, n.path, phone.path, b"n")
            self.assertEqual(await phone.read(chr_.handle), b"stored")
            self.assertEqual([v[2] for v in phone.values], [b"1", b"n"])
            phone.confirm()  # of the first, late
            self.assertEqual((await phone.value(3))[2], b"2")
            self.assertFalse(waiting.done())
            phone.confirm()
            await waiting
            self.assertTrue(await d.client.get(phone.path, CONNECTION, "Connected"))
            phone.close()

    async def test_disconnect(self):
        async with Daemon() as d:
            _, (_, chr_, *_) = await talking(d)
            await d.client.match("type='signal',sender='org.aioble',member='Disconnected'")
            phone = await Central.connect(d)
            phone.confirms = False
            waiting = [d.client.start(chr_.path, LOCAL_CHARACTERISTIC, "Indicate", "oaya{sv}",
                                      [phone.path, b"x", options(timeout_ms=0)]) for _ in range(3)]
            await phone.value()
            await phone.drop(d, 0x08)
            for w in waiting:
                e = await self.fails("Disconnected", w)
                self.assertEqual(e.details["hci"], 0x08)
            await d.client.signal("Disconnected", phone.path)
            order = [m.member or m.error_name for m in d.client.log
                     if m.member == "Disconnected" or "Disconnected" in (m.error_name or "")]
            self.assertEqual(order, ["org.aioble.Error.Disconnected"] * 3 + ["Disconnected"])

    async def test_the_application_ends(self):
        async with Daemon() as d:
            app, (n, chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            phone.confirms = False
            waiting = [d.client.start(chr_.path, LOCAL_CHARACTERISTIC, "Indicate", "oaya{sv}",
                                      [phone.path, b"x", options(timeout_ms=0)]) for _ in range(3)]
            await phone.value()
            await d.client.call(app, APPLICATION, "Unregister", "a{sv}", [{}])
            for w in waiting:
                await self.fails("Canceled", w)
            await d.client.signal("Finished", app)
            order = [m.member or m.error_name for m in d.client.log
                     if m.member == "Finished" or "Canceled" in (m.error_name or "")]
            self.assertEqual(order, ["org.aioble.Error.Canceled"] * 3 + ["Finished"])
            phone.confirm()
            _, (n, chr_, *_) = await talking(d)
            phone.confirms = True
            await indicate(d.client, chr_.path, phone.path, b"again")
            phone.close()

    async def test_the_caller_leaves(self):
        async with Daemon() as d:
            _, (_, chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            phone.confirms = False
            other = await d.new_client()
            other.start(chr_.path, LOCAL_CHARACTERISTIC, "Indicate", "oaya{sv}", [phone.path, b"1", {}])
            await phone.value()
            other.close()
            waiting = asyncio.ensure_future(indicate(d.client, chr_.path, phone.path, b"2"))
            await asyncio.sleep(0.05)
            phone.confirm()
            self.assertEqual((await phone.value(2))[2], b"2")
            phone.confirm()
            await waiting
            phone.close()

    async def test_too_many(self):
        async with Daemon("--calls", "100") as d:
            _, (_, chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            phone.confirms = False
            waiting = [d.client.start(chr_.path, LOCAL_CHARACTERISTIC, "Indicate", "oaya{sv}",
                                      [phone.path, b"x", options(timeout_ms=0)]) for _ in range(90)]
            done, _ = await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            await phone.sync()
            await asyncio.sleep(0.05)
            refused = [w for w in waiting if w.done()]
            self.assertTrue(refused)
            for w in refused:
                self.assertEqual(w.exception().name, "LimitExceeded")
            await phone.drop(d)
            for w in waiting:
                if w not in refused:
                    await self.fails("Disconnected", w)


async def send_all(sock, values):
    for v in values:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, v), PATIENCE)


class Descriptor(TestCase):
    async def open(self, d, chr_, **kw):
        sock, = await d.client.open(chr_.path, LOCAL_CHARACTERISTIC, "OpenNotify", "a{sv}", [options(**kw)])
        return sock

    async def test_subscribers(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            third = await Central.connect(d, "C0:DE:00:00:00:03")
            for c in phone, tablet:
                await c.subscribe(chr_)
            sock = await self.open(d, chr_)
            values = [struct.pack("<I", i) for i in range(500)]
            await send_all(sock, values)
            for c in phone, tablet:
                await c.value(500)
                self.assertEqual([v for v in c.values], [(NOTIFIED, chr_.handle, v) for v in values])
            await third.sync()
            self.assertEqual(third.values, [])
            self.assertEqual(await phone.read(chr_.handle), b"stored")
            await phone.subscribe(chr_, 0)
            await send_all(sock, [b"later"])
            self.assertEqual((await tablet.value(501))[2], b"later")
            await tablet.subscribe(chr_, 0)
            await send_all(sock, [b"to nobody"] * 50)
            sock.close()
            for c in phone, tablet, third:
                await c.sync()
                c.close()

    async def test_one_connection(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            await phone.subscribe(chr_)
            sock = await self.open(d, chr_, connection=Variant("o", tablet.path))
            await send_all(sock, [b"a", bytes(range(100))])
            self.assertEqual((await tablet.value(2))[2], bytes(range(20)))
            await phone.sync()
            self.assertEqual(phone.values, [])
            await tablet.drop(d, 0x08)
            r = await record(sock)
            self.assertEqual((r.type, r.reason, r.hci), (END, "org.aioble.Error.Disconnected", 0x08))
            self.assertIsNone(await record(sock))
            sock.close()
            phone.close()

    async def test_back_pressure(self):
        """While a link takes no more, the writer's send() blocks; then everything arrives, in order."""
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            for c in phone, tablet:
                await c.subscribe(chr_)
            sock = await self.open(d, chr_)
            phone.stall(True)
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sock.send(struct.pack("<I", sent))
                    sent, idle = sent + 1, 0
                except BlockingIOError:
                    idle += 1
                    await asyncio.sleep(0.01)
            self.assertLess(sent, 100000)
            self.assertEqual(await tablet.read(chr_.handle), b"stored")
            self.assertLess(len(tablet.values), sent)
            before = d.rss()
            phone.stall(False)
            for c in phone, tablet:
                await c.value(sent)
                self.assertEqual([v[2] for v in c.values], [struct.pack("<I", i) for i in range(sent)])
            self.assertLess(d.rss() - before, 8 << 20)
            sock.close()
            for c in phone, tablet:
                c.close()

    async def test_a_slow_link_goes(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone, tablet = await Central.connect(d), await Central.connect(d, TABLET)
            for c in phone, tablet:
                await c.subscribe(chr_)
            sock = await self.open(d, chr_)
            phone.stall(True)
            writing = asyncio.ensure_future(send_all(sock, [struct.pack("<I", i) for i in range(5000)]))
            await asyncio.sleep(0.3)
            self.assertFalse(writing.done())
            phone.close()
            await d.tell("drop", phone.number, 0x08)
            await writing
            await tablet.value(5000)
            self.assertEqual([struct.unpack("<I", v[2])[0] for v in tablet.values], list(range(5000)))
            sock.close()
            tablet.close()

    async def test_what_was_written_before_closing_is_sent(self):
        async with Daemon() as d:
            _, (chr_, *_) = await talking(d)
            phone = await Central.connect(d)
            await phone.subscribe(chr_)
            sock = await self.open(d, chr_)
            for i in range(60):
                sock.send(bytes([i]))
            sock.close()
            await phone.value(60)
            phone.close()

    async def test_ends(self):
        async with Daemon() as d:
            app, (chr_, *_) = await talking(d, name="x")
            phone = await Central.connect(d)
            await phone.subscribe(chr_)
            sock = await self.open(d, chr_)
            sock.send(bytes(513))
            r = await record(sock)
            self.assertEqual((r.type, r.reason), (END, "org.aioble.Error.TooLong"))
            sock.close()
            sock = await self.open(d, chr_)
            _, (chr_, *_) = await talking(d, name="x")
            self.assertEqual((await record(sock)).reason, "replaced")
            sock.close()
            sock = await self.open(d, chr_)
            await d.tell("unplug", 0)
            self.assertEqual((await record(sock)).reason, "org.aioble.Error.NotFound")
            sock.close()
            phone.close()

    async def test_errors(self):
        async with Daemon("--streams", "2") as d:
            app, (chr_, indicated, *_) = await talking(d)
            await self.fails("NotSupported", self.open(d, indicated))
            await self.invalid("connection", self.open(d, chr_, connection=Variant("o", app)))
            await self.invalid("connection", self.open(d, chr_, connection="x"))
            phone = await Central.connect(d)
            await phone.drop(d)
            while phone.path in await d.client.objects():
                await asyncio.sleep(0.01)
            await self.fails("NotConnected", self.open(d, chr_, connection=Variant("o", phone.path)))
            socks = [await self.open(d, chr_) for _ in range(2)]
            e = await self.fails("LimitExceeded", self.open(d, chr_))
            self.assertEqual(e.details["what"], "streams")
            for s in socks:
                s.close()

    async def test_an_open_one_keeps_the_application(self):
        async with Daemon("--linger-ms", "200") as d:
            app, (chr_, *_) = await talking(d)
            sock = await self.open(d, chr_)
            await d.client.call(app, APPLICATION, "Release", "a{sv}", [{}])
            await asyncio.sleep(0.8)
            self.assertIn(app, await d.client.objects())
            sock.close()
            while app in await d.client.objects():
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
