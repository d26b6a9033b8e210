# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscription1: Next, signals, descriptors; order, drops, ends."""
import asyncio
import struct
import time

from dbus_fast import MessageType

from harness import (CHARACTERISTIC, CONNECTION, SUBSCRIPTION, Daemon, TestCase, attr, main, options, plain, record,
                     until)


async def discovered(d, **kw):
    path, peer = await d.connected(**kw)
    await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])
    return path, peer


async def subscribe(client, path, handle, **kw):
    return await client.call(attr(path, handle), CHARACTERISTIC, "Subscribe", "a{sv}", [options(**kw)])


async def next_value(client, sub, **kw):
    kind, value, details = await client.call(sub, SUBSCRIPTION, "Next", "a{sv}", [options(**kw)])
    return kind, bytes(value), plain(details)


class Next(TestCase):
    async def test_values_are_kept_and_numbered(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement)
            self.assertEqual(peer.values[peer.measurement + 1], b"\x01\x00")
            before = time.monotonic_ns() // 1000
            for i in range(3):
                peer.notify(peer.measurement, bytes([i]))
            for i in range(3):
                kind, value, details = await next_value(d.client, sub)
                self.assertEqual((kind, value, details["seq"], details["dropped"]), ("notified", bytes([i]), i + 1, 0))
                self.assertGreater(details["time_us"], before - 1000000)
            waiting = asyncio.ensure_future(next_value(d.client, sub))
            await asyncio.sleep(0.05)
            peer.notify(peer.measurement, b"later")
            self.assertEqual((await waiting)[1], b"later")
            p = await d.client.get_all(sub, SUBSCRIPTION)
            self.assertEqual((p["Received"], p["Dropped"], p["Queued"], p["Notify"], p["Indicate"]),
                             (4, 0, 0, True, False))
            self.assertEqual((p["Characteristic"], p["Holders"], p["Lifetime"]),
                             (attr(path, peer.measurement), [d.client.name], "linger"))

    async def test_oldest_is_dropped_and_counted(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement, queue=4)
            for i in range(10):
                peer.notify(peer.measurement, bytes([i]))
            while await d.client.get(sub, SUBSCRIPTION, "Received") < 10:
                await asyncio.sleep(0.01)
            kind, value, details = await next_value(d.client, sub)
            self.assertEqual((value, details["seq"], details["dropped"]), (b"\x06", 7, 6))
            self.assertEqual(await d.client.get(sub, SUBSCRIPTION, "Dropped"), 6)

    async def test_timeout_and_end(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement)
            await self.fails("Timeout", next_value(d.client, sub, timeout_ms=30))
            waiting = asyncio.ensure_future(next_value(d.client, sub))
            await asyncio.sleep(0.05)
            await d.drop(peer, 0x08)
            e = await self.fails("Disconnected", waiting)
            self.assertEqual(e.details["hci"], 0x08)
            await self.fails("NotConnected", next_value(d.client, sub))

    async def test_stop_cancels_a_waiting_next(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement)
            waiting = asyncio.ensure_future(next_value(d.client, sub))
            await asyncio.sleep(0.05)
            await d.client.call(sub, SUBSCRIPTION, "Stop", "a{sv}", [{}])
            await self.fails("Canceled", waiting)
            self.assertEqual(peer.values[peer.measurement + 1], b"\x00\x00")
            await self.fails("NotFound", next_value(d.client, sub))

    async def test_a_late_client_finds_what_was_kept(self):
        """Three one-shot clients, as with busctl: nothing is lost in between."""
        async with Daemon() as d:
            path, peer = await discovered(d)
            one = await d.new_client()
            sub = await subscribe(one, path, peer.measurement)
            one.close()
            peer.notify(peer.measurement, b"a")
            peer.notify(peer.measurement, b"b")
            for expected in (b"a", b"b"):
                c = await d.new_client()
                self.assertEqual((await next_value(c, sub))[1], expected)
                c.close()


class Signals(TestCase):
    async def test_reply_comes_first_and_nothing_is_lost(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            answer = peer._write

            def notify_at_once(op, pdu):
                reply = answer(op, pdu)
                peer.notify(peer.measurement, b"before")
                peer.send(reply)
                for i in range(5):
                    peer.notify(peer.measurement, bytes([i]))
                return None
            peer._write = notify_at_once
            sub = await subscribe(d.client, path, peer.measurement, signals=True)
            await until(lambda: sum(len(m.body[0]) for m in d.client.signals("Notified", sub)) == 6)
            replied = next(i for i, m in enumerate(d.client.log)
                           if m.message_type == MessageType.METHOD_RETURN and m.body == [sub])
            first = next(i for i, m in enumerate(d.client.log) if m.member == "Notified")
            self.assertLess(replied, first)
            values = [v for m in d.client.signals("Notified", sub) for v in plain(m.body[0])]
            self.assertEqual([v[0] for v in values], [1, 2, 3, 4, 5, 6])
            self.assertEqual(bytes(values[0][2]), b"before")

    async def test_notifications_and_indications_apart(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.both, notify=True, indicate=True, signals=True)
            self.assertEqual(peer.values[peer.both + 1], b"\x03\x00")
            peer.notify(peer.both, b"n")
            peer.indicate(peer.both, b"i")
            await d.client.signal("Indicated", sub)
            self.assertEqual(bytes(plain(d.client.signals("Notified", sub)[0].body)[0][0][2]), b"n")
            self.assertEqual(bytes(plain(d.client.signals("Indicated", sub)[0].body)[0][0][2]), b"i")
            await until(lambda: b"\x1e" in peer.log, "the confirmation")

    async def test_unicast_and_broadcast(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            await other.match("type='signal',sender='org.aioble'")
            mine = await subscribe(d.client, path, peer.measurement, signals=True)
            peer.notify(peer.measurement, b"secret")
            await d.client.signal("Notified", mine)
            public = await subscribe(d.client, path, peer.measurement, broadcast=True)
            peer.notify(peer.measurement, b"public")
            await other.signal("Notified", public)
            self.assertEqual(other.signals("Notified", mine), [])

    async def test_batches(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement, signals=True, queue=4096)
            await peer.flood(peer.measurement, 2000)
            await until(lambda: sum(len(m.body[0]) for m in d.client.signals("Notified", sub)) == 2000)
            signals = d.client.signals("Notified", sub)
            values = [struct.unpack_from("<I", v[2])[0] for m in signals for v in m.body[0]]
            self.assertEqual(values, list(range(2000)))
            self.assertLess(len(signals), 1000, "what arrives together travels together")
            self.assertEqual(signals[-1].body[1], 0)

    async def test_next_is_refused(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement, signals=True)
            e = await self.fails("Busy", next_value(d.client, sub))
            self.assertEqual(e.details["holder"], d.client.name)


class Several(TestCase):
    async def test_one_cccd_for_all(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            cccd = peer.both + 1
            one = await subscribe(d.client, path, peer.both)
            self.assertEqual(peer.values[cccd], b"\x01\x00")
            two = await subscribe(other, path, peer.both, notify=False, indicate=True)
            self.assertEqual(peer.values[cccd], b"\x03\x00")
            peer.notify(peer.both, b"n")
            peer.indicate(peer.both, b"i")
            self.assertEqual((await next_value(d.client, one))[:2], ("notified", b"n"))
            self.assertEqual((await next_value(other, two))[:2], ("indicated", b"i"))
            await d.client.call(one, SUBSCRIPTION, "Stop", "a{sv}", [{}])
            self.assertEqual(peer.values[cccd], b"\x02\x00")
            other.close()
            await asyncio.sleep(0.05)

    async def test_caller_lifetime_clears_the_cccd(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            await subscribe(other, path, peer.measurement, lifetime="caller")
            self.assertEqual(peer.values[peer.measurement + 1], b"\x01\x00")
            other.close()
            await until(lambda: peer.values[peer.measurement + 1] == b"\x00\x00")

    async def test_linger_of_a_subscription(self):
        async with Daemon("--linger-ms", "400") as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            sub = await subscribe(other, path, peer.measurement)
            other.close()
            for i in range(4):
                await asyncio.sleep(0.2)
                peer.notify(peer.measurement, bytes([i]))
                await next_value(d.client, sub)
            await until(lambda: peer.values[peer.measurement + 1] == b"\x00\x00")
            await self.fails("NotFound", next_value(d.client, sub))

    async def test_client_that_leaves_while_subscribing(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            peer.held = []
            other.start(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}", [{}])
            await until(lambda: peer.held)
            other.close()
            await asyncio.sleep(0.1)
            peer.release()
            await until(lambda: peer.values[peer.measurement + 1] == b"\x00\x00", "the CCCD is cleared again")

    async def test_one_that_is_not_answered_yet_is_nobodys(self):
        """Paths can be guessed: others must not end a subscription under the call that makes it."""
        async with Daemon() as d:
            path, peer = await discovered(d)
            other = await d.new_client()
            peer.held = []
            subscribing = asyncio.ensure_future(subscribe(d.client, path, peer.measurement))
            await until(lambda: peer.held)
            sub = f"{path}/sub/1"
            self.assertNotIn(sub, await other.objects())
            for method in "Next", "Open", "Stop":
                await self.fails("org.freedesktop.DBus.Error.UnknownObject",
                                 other.call(sub, SUBSCRIPTION, method, "a{sv}", [{}]))
            peer.release()
            self.assertEqual(await subscribing, sub)
            self.assertIn(sub, await other.objects())
            peer.notify(peer.measurement, b"x")
            self.assertEqual((await next_value(d.client, sub))[1], b"x")

    async def test_errors(self):
        async with Daemon("--subscriptions", "2") as d:
            path, peer = await discovered(d)
            sub = lambda handle, **kw: subscribe(d.client, path, handle, **kw)
            await self.fails("NotSupported", sub(peer.location))
            await self.fails("NotSupported", sub(peer.measurement, notify=False, indicate=True))
            await self.fails("NotSupported", sub(peer.deaf))
            await self.invalid("notify", sub(peer.measurement, notify=False))
            await self.invalid("queue", sub(peer.measurement, queue=0))
            peer.errors[peer.measurement + 1] = 0x05
            e = await self.fails("Gatt", sub(peer.measurement))
            self.assertEqual((e.details["att"], e.details["handle"]), (5, peer.measurement + 1))
            del peer.errors[peer.measurement + 1]
            await sub(peer.measurement)
            await sub(peer.measurement)
            e = await self.fails("LimitExceeded", sub(peer.measurement))
            self.assertEqual((e.details["what"], e.details["limit"]), ("subscriptions", 2))
            e = await self.fails("NotFound", d.client.call(path, CONNECTION, "SubscribeUuid", "sa{sv}", ["ffff", {}]))
            peer.silent = True
            other = await d.new_client()
            await self.fails("Timeout", subscribe(other, path, peer.both, timeout_ms=50))

    async def test_by_uuid(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            sub = await d.client.call(path, CONNECTION, "SubscribeUuid", "sa{sv}", ["2a37", {}])
            peer.notify(peer.measurement, b"x")
            self.assertEqual((await next_value(d.client, sub))[1], b"x")

    async def test_finished(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement)
            await d.client.call(sub, SUBSCRIPTION, "Stop", "a{sv}", [{}])
            self.assertEqual(await d.client.signal("Finished", sub), ["stopped", {}])


class Stream(TestCase):
    async def test_records(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sock, sub = await d.client.open(attr(path, peer.both), CHARACTERISTIC, "OpenNotify", "a{sv}",
                                            [options(indicate=True)])
            peer.notify(peer.both, b"n")
            peer.indicate(peer.both, b"")
            r = await record(sock)
            self.assertEqual((r.type, r.flags, r.handle, r.dropped, r.seq, r.payload), (1, 0, peer.both, 0, 1, b"n"))
            r = await record(sock)
            self.assertEqual((r.type, r.seq, r.payload), (2, 2, b""))
            await d.drop(peer, 0x13)
            r = await record(sock)
            self.assertEqual((r.type, r.hci, r.reason, r.seq, r.dropped),
                             (0xff, 0x13, "org.aioble.Error.Disconnected", 2, 0))
            self.assertIsNone(await record(sock))

    async def test_what_was_kept_comes_first(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sub = await subscribe(d.client, path, peer.measurement, queue=3)
            for i in range(5):
                peer.notify(peer.measurement, bytes([i]))
            while await d.client.get(sub, SUBSCRIPTION, "Received") < 5:
                await asyncio.sleep(0.01)
            sock, = await d.client.open(sub, SUBSCRIPTION, "Open")
            r = await record(sock)
            self.assertEqual((r.seq, r.dropped, r.payload), (3, 2, b"\x02"))
            await self.fails("Busy", d.client.open(sub, SUBSCRIPTION, "Open"))
            await self.fails("Busy", next_value(d.client, sub))
            await d.client.call(sub, SUBSCRIPTION, "Stop", "a{sv}", [{}])
            self.assertEqual([(await record(sock)).seq for _ in range(2)], [4, 5])
            r = await record(sock)
            self.assertEqual((r.type, r.hci, r.reason), (0xff, 0, "stopped"))

    async def test_ten_thousand_are_not_lost(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sock, sub = await d.client.open(attr(path, peer.measurement), CHARACTERISTIC, "OpenNotify")
            got = 0

            async def near(sent):  # sender and reader share this one process
                await until(lambda: got >= sent - 512)
            sending = asyncio.ensure_future(peer.flood(peer.measurement, 10000, pace=near))
            for i in range(10000):
                r = await record(sock)
                got += 1
                self.assertEqual((r.seq, r.dropped, struct.unpack_from("<I", r.payload)[0]), (i + 1, 0, i))
            await sending
            self.assertEqual(await d.client.get(sub, SUBSCRIPTION, "Dropped"), 0)

    async def test_slow_reader_loses_counted_records_only(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sock, sub = await d.client.open(attr(path, peer.measurement), CHARACTERISTIC, "OpenNotify", "a{sv}",
                                            [options(queue=16)])
            await peer.flood(peer.measurement, 20000)
            while await d.client.get(sub, SUBSCRIPTION, "Received") < 20000:
                await asyncio.sleep(0.02)
            lost = await d.client.get(sub, SUBSCRIPTION, "Dropped")
            self.assertGreater(lost, 0)
            await d.drop(peer, 0x08)
            got = dropped = 0
            while (r := await record(sock)).type != 0xff:
                got += 1
                dropped += r.dropped
                self.assertEqual(got + dropped, r.seq)
            self.assertEqual((got + dropped + r.dropped, dropped + r.dropped), (20000, lost))
            self.assertEqual(r.hci, 0x08)

    async def test_closing_ends_it(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sock, sub = await d.client.open(attr(path, peer.measurement), CHARACTERISTIC, "OpenNotify")
            self.assertEqual(peer.values[peer.measurement + 1], b"\x01\x00")
            sock.close()
            await until(lambda: peer.values[peer.measurement + 1] == b"\x00\x00")
            self.assertEqual(await d.client.signal("Finished", sub), ["stopped", {}])

    async def test_clients_that_come_and_go_cannot_pile_them_up(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            for _ in range(8):
                client = await d.new_client()
                for _ in range(128):
                    await subscribe(client, path, peer.measurement, lifetime="persistent", queue=1)
                client.close()
            await self.fails("LimitExceeded", subscribe(d.client, path, peer.measurement))
            self.assertEqual(sum("/sub/" in one for one in await d.client.objects()), 1024)

    async def test_what_a_reader_writes_is_ignored(self):
        async with Daemon() as d:
            path, peer = await discovered(d)
            sock, _ = await d.client.open(attr(path, peer.measurement), CHARACTERISTIC, "OpenNotify")
            for _ in range(5):
                sock.send(b"hello")
            peer.notify(peer.measurement, b"x")
            self.assertEqual((await record(sock)).payload, b"x")


if __name__ == "__main__":
    main()
