# SPDX-License-Identifier: GPL-2.0-or-later
"""
Clients that call everything with anything, come and go, while links drop and peers misbehave. Nothing is expected but
that every call ends, that errors are of our kind, and that the daemon is whole (sanitizers) and empty in the end.
NOISE_SEED and NOISE_CALLS choose another walk and a longer one.
"""
import asyncio
import os
import pathlib
import random
import struct
import xml.etree.ElementTree as ET

from dbus_fast import Variant

from central import chr_, definition, service
from harness import (ADAPTER, BELT, CONNECTION, HCI0, ROOT, Daemon, Error, TestCase, attr, main, until)

SEED = int(os.environ.get("NOISE_SEED", "1"))
CALLS = int(os.environ.get("NOISE_CALLS", "1500"))
TOP = pathlib.Path(__file__).resolve().parents[2]
KEYS = ["duration_ms", "interval_us", "window_us", "active", "duplicates", "lifetime", "queue", "signals",
        "broadcast", "uuids", "names", "addresses", "companies", "rssi", "uuid", "start", "end", "offset", "response",
        "long", "truncate", "notify", "indicate", "mtu", "max", "json", "latency", "nonsense", "name", "services",
        "manufacturer", "service_data", "adv_data", "resp_data", "connectable", "keep", "extended", "tx_power", "events",
        "send_update", "stored", "value", "connection", "gap_name", "appearance"]
UUIDS = ["2a37", "2a38", "2a39", "180d", "12345678-1234-5678-1234-56789abcdef2", "ffff", "not a uuid"]
WORDS = ["caller", "linger", "persistent", "all", "changed", "first", "", "x" * 300]
RARE = {"SetPowered": 0.1, "Stop": 0.3, "Disconnect": 0.2}


def methods():
    out = {}
    for file in (TOP / "dbus").glob("org.aioble.*.xml"):
        for i in ET.parse(file).getroot().findall("interface"):
            out[i.get("name")] = [(m.get("name"), [a.get("type") for a in m.findall("arg") if a.get("direction") == "in"])
                                  for m in i.findall("method")]
    return {name: found for name, found in out.items() if found}


class Noise(TestCase):
    def value(self):
        r = self.random
        kind = r.choice("bbuuuuqiyxtss*")
        if kind == "b":
            return Variant("b", r.random() < 0.5)
        if kind == "s":
            return Variant("s", r.choice(WORDS + UUIDS))
        if kind == "*":
            return r.choice([Variant("as", [r.choice(UUIDS + WORDS + [BELT]) for _ in range(r.choice([0, 1, 70]))]),
                             Variant("aq", [1, 2]), Variant("d", 0.5), Variant("ay", b"x"), Variant("v", Variant("u", 1)),
                             Variant("a{sv}", {}), Variant("(qay)", [1, b"x"]), Variant("a{qay}", {1: b"x", 2: b""}),
                             Variant("a(say)", [["180f", b"x"], ["no", b""]]), Variant("ay", b"\x02\x01\x06\x02\x0a\x00")])
        return Variant(kind, r.choice([0, 1, 2, 5, 20, 50, 100]))

    def options(self):
        r = self.random
        out = {} if r.random() < 0.3 else {r.choice(KEYS): self.value() for _ in range(r.choice([1, 1, 2]))}
        if r.random() < 0.95:
            out["timeout_ms"] = Variant(r.choice("uuqit"), r.choice([1, 5, 20, 100, 300]))
        return out

    def argument(self, signature):
        r = self.random
        if signature == "a{sv}":
            return self.options()
        if signature == "s":
            return r.choice(UUIDS + [BELT, "C0:00:00:00:00:77", "random", "random", "public", "hci0", ""])
        if signature == "ay":
            return bytes(r.choice([0, 1, 20, 21, 100, 600]))
        if signature == "b":
            return r.random() < 0.7
        if signature == "u":
            return r.randint(0, 20)
        if signature == "y":
            return r.choice([0, 0, 1, 0x80, 255])
        if signature == "t":
            return r.choice([0, 20000, 20000, 100000, 2 ** 64 - 1])
        if signature == "o":
            return f"{HCI0}/conn/{r.randint(1, self.conns)}"
        if signature == "aa{sv}":
            return [self.options() for _ in range(r.choice([0, 1, 3]))]
        raise AssertionError(signature)

    def services(self):
        """Mostly good ones."""
        r = self.random
        b = lambda p=0.5: r.random() < p
        out = []
        for _ in range(r.choice([1, 1, 2])):
            chars = [chr_(r.choice(UUIDS[:5]), read=b(), write=b(0.8), write_no_response=b(), notify=b(), indicate=b(),
                          capture=b(), initial=bytes(r.choice([0, 3, 20])), on_read=b(0.3), on_read_timeout_ms=100,
                          max_len=r.choice([20, 20, 512]), descriptors=[definition(uuid="2901", read=True)] * b(0.2))
                     for _ in range(r.choice([0, 1, 3, 9]))]
            out.append(service(r.choice(UUIDS[:5]), *chars, **({} if b(0.9) else {"handle": r.randint(1, 99)})))
        return out

    def target(self):
        r = self.random
        interface = r.choice(list(self.methods) + [ADAPTER, CONNECTION] * 2)
        kind = interface.split(".")[-1]
        if kind == "Manager1":
            return interface, ROOT
        if kind == "Adapter1":
            return interface, HCI0
        if kind == "Scanner1":
            return interface, f"{HCI0}/scan/{r.randint(max(1, self.scans - 6), self.scans + 1)}"
        if kind == "Advertiser1":
            return interface, f"{HCI0}/adv/{r.randint(max(1, self.advs - 4), self.advs + 1)}"
        app = f"{HCI0}/app/{r.randint(max(1, self.apps - 4), self.apps + 1)}"
        if kind == "Application1":
            return interface, app
        if kind.startswith("Local"):
            return interface, attr(app, r.randint(8, 40))
        conn = f"{HCI0}/conn/{r.randint(max(1, self.conns - 1), self.conns)}"
        if kind == "Connection1":
            return interface, conn
        if kind == "Subscription1":
            return interface, f"{conn}/sub/{r.randint(max(1, self.subs - 8), self.subs + 1)}"
        return interface, attr(conn, r.randint(1, 24))

    async def one(self, client):
        interface, path = self.target()
        name, signatures = self.random.choice(self.methods[interface])
        if self.random.random() > RARE.get(name, 1):
            name, signatures = "Connect", ["s", "s", "a{sv}"]
            interface, path = ADAPTER, HCI0
        body = [self.argument(s) for s in signatures]
        if name == "RegisterServices" and self.random.random() < 0.9:
            body[0] = self.services()
        if name == "Connect" and self.random.random() < 0.8:
            body[:2] = [BELT, "random"]
        try:
            reply = await client.call_message(path, interface, name, "".join(signatures), body)
        except (EOFError, OSError) as e:
            raise AssertionError(f"the bus threw a client out: {interface}.{name} {body}") from e
        if reply.unix_fds:
            self.fds += reply.unix_fds
        if reply.error_name:
            self.errors[reply.error_name] = self.errors.get(reply.error_name, 0) + 1
            self.assertTrue(reply.error_name.startswith("org.aioble.Error.") or
                            reply.error_name == "org.freedesktop.DBus.Error.UnknownObject", Error(reply))
        elif name == "RegisterServices":
            self.apps = max(self.apps, int(reply.body[0].split("/")[-1]))
        elif reply.body and isinstance(reply.body[-1], str):
            made = reply.body[-1].split("/")
            if "sub" in made:
                self.subs = max(self.subs, int(made[-1]))
            elif "scan" in made:
                self.scans = max(self.scans, int(made[-1]))
            elif "adv" in made:
                self.advs = max(self.advs, int(made[-1]))
            elif "conn" in made:
                self.conns = max(self.conns, int(made[-1]))

    async def weather(self, d):
        """What happens on the other side meanwhile."""
        r = self.random
        while True:
            await asyncio.sleep(r.choice([0.001, 0.01, 0.05]))
            peer = d.belt
            what = r.choice(["notify", "notify", "report", "report", "silent", "errors", "drop", "close", "indicate",
                             "central", "ask", "ask", "ask"])
            try:
                if what == "report":
                    await d.report("C0:00:00:00:00:77", bytes([3, 3, 0x0d, 0x18, 5, 9, 0xff, 0x41, 0, 0x42]), repeat=5)
                elif what == "central":
                    number, sock = await d.central(f"C0:00:00:00:01:{r.randint(0, 255):02X}", r.randint(1, 3))
                    sock.close()
                    await asyncio.sleep(r.choice([0, 0.01, 0.1]))
                    await d.tell("drop", number, 0x13)
                elif what == "silent":
                    peer.silent = r.random() < 0.2
                elif what == "errors":
                    peer.errors = {r.randint(1, 24): r.randint(1, 255)} if r.random() < 0.5 else {}
                elif what == "close" and self.fds:
                    os.close(self.fds.pop(r.randrange(len(self.fds))))
                elif peer.sock and what == "ask":
                    for _ in range(r.choice([1, 1, 20])):
                        handle = struct.pack("<H", r.randint(8, 40))
                        peer.send(r.choice([b"\x0a" + handle, b"\x12" + handle + r.choice([b"\1\0", b"\3\0", b"value"]),
                                            b"\x52" + handle + bytes(r.randint(0, 20)), b"\x0c" + handle + b"\1\0",
                                            b"\x16" + handle + b"\0\0part", b"\x18\1", b"\x1e"]))
                elif peer.sock and what == "notify":
                    peer.notify(r.choice([peer.measurement, peer.both]), bytes(20))
                elif peer.sock and what == "indicate":
                    peer.indicate(peer.both, bytes(20))
                elif peer.sock and what == "drop" and r.random() < 0.1:
                    await d.drop(peer, r.choice([0x08, 0x13, 0x3e]))
            except (OSError, BlockingIOError, AssertionError, AttributeError, TypeError):
                pass  # the link went away under our hands

    async def worker(self, d, n):
        client = await d.new_client()
        for _ in range(n):
            if self.random.random() < 0.02:
                client.close()
                d.clients.remove(client)
                client = await d.new_client()
            await asyncio.gather(*(self.one(client) for _ in range(self.random.choice([1, 1, 3]))))

    async def test_noise(self):
        self.random = random.Random(SEED)
        self.methods = methods()
        self.errors, self.fds = {}, []
        self.scans = self.advs = self.conns = self.subs = self.apps = 1
        async with Daemon("--linger-ms", "300") as d:
            weather = asyncio.ensure_future(self.weather(d))
            await asyncio.gather(*(self.worker(d, CALLS // 8) for _ in range(8)))
            weather.cancel()
            for fd in self.fds:
                os.close(fd)
            for c in d.clients:
                if c is not d.client:
                    c.close()
            d.clients = [d.client]
            self.assertGreater(len(self.errors), 5, "noise should meet more than that")
            await self.tidy(d)

    async def tidy(self, d):
        """Only what somebody asked to be persistent is left; that goes when told."""
        for _ in range(2000):
            left = [p for p in await d.client.objects() if p not in (ROOT, HCI0)]
            if not left:
                return
            for path in left:
                end = {"conn": (CONNECTION, "Disconnect"), "scan": ("org.aioble.Scanner1", "Stop"),
                       "app": ("org.aioble.Application1", "Unregister"), "sub": ("org.aioble.Subscription1", "Stop")}.get(path.split("/")[-2])
                if end:
                    try:
                        await d.client.call(path, *end, "a{sv}", [{}])
                    except Error:
                        pass  # gone meanwhile, or a silent peer
            await asyncio.sleep(0.01)
        self.fail(f"left behind: {left}")


if __name__ == "__main__":
    main()
