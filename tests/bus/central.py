# SPDX-License-Identifier: GPL-2.0-or-later
"""The other side of the daemon's GATT server: a central over the peer's end of a link, and what a test registers."""
import asyncio
import struct

from dbus_fast import Variant

from harness import ADAPTER, HCI0, PATIENCE, options, plain, until

APPLICATION = "org.aioble.Application1"
LOCAL_SERVICE = "org.aioble.LocalService1"
LOCAL_CHARACTERISTIC = "org.aioble.LocalCharacteristic1"
LOCAL_DESCRIPTOR = "org.aioble.LocalDescriptor1"

PHONE = "C0:DE:00:00:00:01"
TABLET = "C0:DE:00:00:00:02"

TYPES = {"uuid": "s", "handle": "q", "includes": "aq", "characteristics": "aa{sv}", "descriptors": "aa{sv}",
         "max_len": "q", "on_read_timeout_ms": "u", "on_read_fallback": "y", "read_security": "s",
         "write_security": "s", "key_size": "y"}


class AttError(Exception):
    def __init__(self, code, handle):
        super().__init__(f"ATT 0x{code:02x} at 0x{handle:04x}")
        self.code, self.handle = code, handle


class Gone(Exception):
    """The link went down before the answer."""


class Central:
    """One peer that connected to us. .values: (opcode, handle, value) of what came unasked, in order."""

    def __init__(self, number, sock, address):
        self.number, self.sock, self.address = number, sock, address
        self.values = []
        self.confirms = True
        self.waiting = []
        self.att_mtu = 23
        self.path = None
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    @classmethod
    async def connect(cls, d, address=PHONE, index=0):
        number, sock = await d.incoming(address, index=index)
        c = cls(number, sock, address)
        paths = []

        async def there():
            objects = await d.client.objects()
            paths[:] = [p for p, i in objects.items() if i.get("org.aioble.Connection1", {}).get("Address") == address]
            return paths
        while not await there():
            await asyncio.sleep(0.005)
        c.path = paths[-1]
        return c

    def close(self):
        if self.sock:
            self.stall(True)
            self.sock.close()
            self.sock = None
        for future in self.waiting:
            if not future.done():
                future.set_exception(Gone())
        self.waiting = []

    async def drop(self, d, reason=0x13):
        self.close()
        await d.tell("drop", self.number, reason)

    def stall(self, on):
        loop = asyncio.get_running_loop()
        if on:
            loop.remove_reader(self.sock.fileno())
        else:
            loop.add_reader(self.sock.fileno(), self._readable)

    def _readable(self):
        while self.sock:
            try:
                pdu = self.sock.recv(600)
            except BlockingIOError:
                return
            except OSError:
                pdu = b""
            if not pdu:
                self.close()
                return
            if pdu[0] in (0x1b, 0x1d):
                self.values.append((pdu[0], struct.unpack_from("<H", pdu, 1)[0], pdu[3:]))
                if pdu[0] == 0x1d and self.confirms:
                    self.send(b"\x1e")
            elif self.waiting:
                future = self.waiting.pop(0)
                if not future.done():
                    future.set_result(pdu)

    def send(self, pdu):
        self.sock.send(pdu)

    def confirm(self):
        self.send(b"\x1e")

    def start(self, pdu):
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody may be left to look at it
        self.waiting.append(future)
        self.send(pdu)
        return future

    async def ask(self, pdu):
        answer = await asyncio.wait_for(self.start(pdu), PATIENCE)
        if answer[0] == 0x01:
            raise AttError(answer[4], struct.unpack_from("<H", answer, 2)[0])
        return answer

    async def mtu(self, mtu=247):
        theirs = struct.unpack_from("<H", await self.ask(struct.pack("<BH", 0x02, mtu)), 1)[0]
        self.att_mtu = min(mtu, theirs)
        return self.att_mtu

    async def read(self, handle):
        return (await self.ask(struct.pack("<BH", 0x0a, handle)))[1:]

    async def read_long(self, handle):
        value = part = await self.read(handle)
        while len(part) == self.att_mtu - 1:
            part = (await self.ask(struct.pack("<BHH", 0x0c, handle, len(value))))[1:]
            value += part
        return value

    async def write(self, handle, value):
        await self.ask(struct.pack("<BH", 0x12, handle) + value)

    def command(self, handle, value):
        self.send(struct.pack("<BH", 0x52, handle) + value)

    async def subscribe(self, chr_, bits=1):
        """chr_: a characteristic as registered(); its CCCD is the handle after the value"""
        await self.write(chr_.handle + 1, struct.pack("<H", bits))

    async def value(self, n=1):
        await until(lambda: len(self.values) >= n, f"{n} values")
        return self.values[n - 1]

    async def sync(self):
        """Everything sent before has been looked at."""
        await self.ask(struct.pack("<BHH", 0x04, 1, 1))


# --- what is registered ---

def definition(**kw):
    """An a{sv} of RegisterServices by Python values; a Variant stays as it is"""
    out = {}
    for key, value in kw.items():
        if isinstance(value, Variant):
            out[key] = value
        elif key == "initial":
            out[key] = Variant("s" if isinstance(value, str) else "ay", value)
        else:
            out[key] = Variant(TYPES.get(key, "b"), value)
    return out


def chr_(uuid, **kw):
    return definition(uuid=uuid, **kw)


def service(uuid, *characteristics, **kw):
    return definition(uuid=uuid, characteristics=list(characteristics), **kw)


class Registered:
    """A row of what RegisterServices answers."""

    def __init__(self, row):
        self.path, self.uuid = row[0], row[1]
        if len(row) == 3:
            self.handle = row[2]
        elif isinstance(row[4], bool):
            self.handle, self.end, self.primary = row[2:5]
            self.characteristics = [Registered(r) for r in row[5]]
        else:
            self.declaration, self.handle, self.end, self.properties = row[2:6]
            self.descriptors = [Registered(r) for r in row[6]]


async def register(client, services, adapter=HCI0, **kw):
    """The application's path, and its services"""
    path, rows = await client.call(adapter, ADAPTER, "RegisterServices", "aa{sv}a{sv}", [services, options(**kw)])
    return path, [Registered(r) for r in plain(rows)]


async def next_event(client, app, **kw):
    event, attribute, connection, value, details = await client.call(app, APPLICATION, "Next", "a{sv}",
                                                                     [options(**kw)])
    return event, attribute, connection, bytes(value), plain(details)


def write(client, path, value, **kw):
    return client.call(path, LOCAL_CHARACTERISTIC, "Write", "aya{sv}", [value, options(**kw)])


def notify(client, path, connection, value=b"", **kw):
    return client.call(path, LOCAL_CHARACTERISTIC, "Notify", "oaya{sv}", [connection, value, options(**kw)])


def indicate(client, path, connection, value=b"", **kw):
    return client.call(path, LOCAL_CHARACTERISTIC, "Indicate", "oaya{sv}", [connection, value, options(**kw)])
