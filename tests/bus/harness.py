# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon over a fake kernel (fakedaemon.c), peers played here, and plain D-Bus clients."""
import asyncio
import os
import socket
import struct
import sys
import time
import unittest

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from private_bus import PrivateBus

FAKEDAEMON = os.environ.get("FAKEDAEMON", "fakedaemon")
ROOT = "/org/aioble"
HCI0 = ROOT + "/hci0"
MANAGER = "org.aioble.Manager1"
ADAPTER = "org.aioble.Adapter1"
SCANNER = "org.aioble.Scanner1"
ADVERTISER = "org.aioble.Advertiser1"
CONNECTION = "org.aioble.Connection1"
SERVICE = "org.aioble.Service1"
CHARACTERISTIC = "org.aioble.Characteristic1"
DESCRIPTOR = "org.aioble.Descriptor1"
SUBSCRIPTION = "org.aioble.Subscription1"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"

PATIENCE = 20  # seconds for what must happen; a loaded machine is no failure


class Error(Exception):
    """An org.aioble.Error.*: .name without the prefix, .text, .details"""

    def __init__(self, message):
        self.full = message.error_name
        self.name = message.error_name.replace("org.aioble.Error.", "")
        self.text = message.body[0] if message.body else ""
        self.details = {k: v.value for k, v in message.body[1].items()} if len(message.body) > 1 else {}
        super().__init__(f"{self.full}: {self.text} {self.details}")


async def until(condition, what="condition", patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never came true: {what}")
        await asyncio.sleep(0.005)


def options(**kw):
    """timeout_ms=("u", 5) or, by Python type: bool b, int u, str s, list as"""
    out = {}
    for key, value in kw.items():
        if isinstance(value, Variant):
            out[key] = value
        elif isinstance(value, bool):
            out[key] = Variant("b", value)
        elif isinstance(value, int):
            out[key] = Variant("u" if value >= 0 else "i", value)
        elif isinstance(value, str):
            out[key] = Variant("s", value)
        else:
            out[key] = Variant("as", value)
    return out


def plain(value):
    """Variants out of whatever structure"""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


class Client:
    """One connection to the bus. .log holds every message that came in, in order."""

    def __init__(self, bus):
        self.bus = bus
        self.log = []
        bus.add_message_handler(self._on_message)

    @classmethod
    async def connect(cls, address):
        bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
        return cls(bus)

    def _on_message(self, message):
        self.log.append(message)
        return None

    @property
    def name(self):
        return self.bus.unique_name

    async def call_message(self, path, interface, member, signature="", body=(), timeout=PATIENCE):
        message = Message(destination="org.aioble", path=path, interface=interface, member=member,
                          signature=signature, body=list(body))
        return await asyncio.wait_for(self.bus.call(message), timeout)

    async def call(self, path, interface, member, signature="", body=(), timeout=PATIENCE):
        reply = await self.call_message(path, interface, member, signature, body, timeout)
        if reply.message_type == MessageType.ERROR:
            raise Error(reply)
        if not reply.body:
            return None
        return reply.body[0] if len(reply.body) == 1 else reply.body

    def start(self, *args, **kw):
        task = asyncio.ensure_future(self.call(*args, **kw))
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # nobody may be left to look at it
        return task

    async def open(self, path, interface, member, signature="a{sv}", body=({},)):
        """A call whose first result is a descriptor. Returns the socket and the other results."""
        reply = await self.call_message(path, interface, member, signature, body)
        if reply.message_type == MessageType.ERROR:
            raise Error(reply)
        sock = socket.socket(fileno=reply.unix_fds[reply.body[0]])
        sock.setblocking(False)
        return (sock, *reply.body[1:])

    async def get(self, path, interface, name):
        return plain(await self.call(path, PROPERTIES, "Get", "ss", [interface, name]))

    async def get_all(self, path, interface):
        return plain(await self.call(path, PROPERTIES, "GetAll", "s", [interface]))

    async def objects(self):
        return plain(await self.call(ROOT, OBJECTS, "GetManagedObjects"))

    async def match(self, rule):
        await self.bus.call(Message(destination="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                                    interface="org.freedesktop.DBus", member="AddMatch", signature="s", body=[rule]))

    def signals(self, member, path=None):
        return [m for m in self.log if m.message_type == MessageType.SIGNAL and m.member == member
                and (path is None or m.path == path)]

    async def signal(self, member, path=None, n=1):
        await until(lambda: len(self.signals(member, path)) >= n, f"{n} signals {member}")
        return plain(self.signals(member, path)[n - 1].body)

    async def scan(self, adapter=HCI0, **kw):
        return await self.call(adapter, ADAPTER, "Scan", "a{sv}", [options(**kw)])

    async def dial(self, peer, kind="random", adapter=HCI0, **kw):
        return await self.call(adapter, ADAPTER, "Connect", "ssa{sv}", [peer, kind, options(**kw)])

    async def advertise(self, interval_us=100000, adapter=HCI0, **kw):
        return await self.call(adapter, ADAPTER, "Advertise", "ta{sv}", [interval_us, options(**kw)])

    def deaf(self, on=True):
        """Stop reading the bus connection, or go on."""
        loop = asyncio.get_running_loop()  # there is no public way to be rude
        if on:
            handle = loop._selector.get_key(self.bus._fd).data[0]
            self.reader = (handle._callback, handle._args)
            loop.remove_reader(self.bus._fd)
        else:
            callback, args = self.reader
            loop.add_reader(self.bus._fd, callback, *args)

    def close(self):
        loop = asyncio.get_running_loop()
        for forget in loop.remove_reader, loop.remove_writer:  # or the next socket of this number inherits them
            forget(self.bus._fd)
        self.bus.disconnect()


# --- peers ---

def uuid_bytes(text):
    raw = bytes.fromhex(text.replace("-", ""))
    return raw[::-1]


class Peer:
    """An ATT server over one descriptor. Behaviour is set through its attributes at any time."""

    def __init__(self, address, kind="random"):
        self.address = address
        self.kind = kind
        self.delay = 0.0          # before a connection comes up
        self.absent = False       # never answers a connection attempt
        self.fail = None          # (errno, hci status) of attempts
        self.silent = False       # answers no request
        self.stalled = False      # reads nothing
        self.held = None          # a list: answers go there instead of to the link
        self.errors = {}          # handle -> ATT error
        self.mtu = 247
        self.log = []             # PDUs that came
        self.commands = []        # (handle, value)
        self.values = {}          # handle -> bytes
        self.table = []           # (handle, type uuid bytes)
        self.groups = []          # (start, end, uuid)
        self.prepared = []
        self.link = None
        self.sock = None
        self.att_mtu = 23
        self.cut = False          # ends the link instead of answering

    # the database

    def service(self, uuid):
        self._close_group()
        start = self._add("2800", uuid_bytes(uuid))
        self.groups.append([start, start, uuid_bytes(uuid)])
        return start

    def characteristic(self, uuid, properties, value=b"", cccd=None):
        declaration = self._add("2803", b"")
        handle = self._add(uuid, value)
        self.values[declaration] = bytes([properties]) + struct.pack("<H", handle) + uuid_bytes(uuid)
        if cccd is None:
            cccd = bool(properties & 0x30)
        if cccd:
            self._add("2902", b"\0\0")
        return handle

    def descriptor(self, uuid, value=b""):
        return self._add(uuid, value)

    def _add(self, uuid, value):
        handle = len(self.table) + 1
        self.table.append((handle, uuid_bytes(uuid)))
        self.values[handle] = value
        if uuid != "2800":
            self._close_group()
        return handle

    def _close_group(self):
        if self.groups:
            self.groups[-1][1] = len(self.table)

    # the link

    def attach(self, sock):
        self.detach()  # the link before this one, whose end we may not have read yet
        self.sock = sock
        sock.setblocking(False)
        self.att_mtu = 23
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    def detach(self):
        if self.sock:
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
            self.sock.close()
            self.sock = None

    def stall(self, on):
        self.stalled = on
        loop = asyncio.get_running_loop()
        if on:
            loop.remove_reader(self.sock.fileno())
        else:
            loop.add_reader(self.sock.fileno(), self._readable)

    def send(self, pdu):
        self.sock.send(pdu)

    def notify(self, handle, value):
        self.send(b"\x1b" + struct.pack("<H", handle) + value)

    def indicate(self, handle, value):
        self.send(b"\x1d" + struct.pack("<H", handle) + value)

    async def flood(self, handle, n, size=20, start=0, pace=None):
        """n notifications as fast as the link takes them; pace(i): waits until the reader is near enough"""
        for i in range(start, start + n):
            if pace and i % 256 == 0:
                await pace(i)
            pdu = b"\x1b" + struct.pack("<H", handle) + struct.pack("<I", i) + bytes(size - 4)
            while True:
                try:
                    self.sock.send(pdu)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.001)
            if i % 256 == 255:
                await asyncio.sleep(0)

    def release(self):
        """Send the answers that were held back."""
        held, self.held = self.held, None
        for pdu in held:
            self.send(pdu)

    def _readable(self):
        try:
            pdu = self.sock.recv(600)
        except BlockingIOError:
            return
        except OSError:
            pdu = b""
        if not pdu:
            self.detach()
            return
        self.log.append(pdu)
        answer = self._answer(pdu)
        if answer is None or self.silent:
            return
        if self.held is not None:
            self.held.append(answer)
        else:
            try:
                self.send(answer)
            except OSError:
                pass  # the link went down meanwhile

    @staticmethod
    def _error(opcode, handle, code):
        return struct.pack("<BBHB", 1, opcode, handle, code)

    def _answer(self, pdu):
        op = pdu[0]
        table = {0x02: self._mtu, 0x04: self._find_info, 0x06: self._find_value, 0x08: self._read_type,
                 0x0a: self._read, 0x0c: self._blob, 0x10: self._group, 0x12: self._write, 0x16: self._prepare,
                 0x18: self._execute}
        if op == 0x52:
            self.commands.append((struct.unpack_from("<H", pdu, 1)[0], pdu[3:]))
            return None
        if op == 0x1e:
            return None
        if op not in table:
            return self._error(op, 0, 0x06)
        return table[op](op, pdu)

    def _mtu(self, _op, pdu):
        theirs = struct.unpack_from("<H", pdu, 1)[0]
        self.att_mtu = max(23, min(theirs, self.mtu))
        return struct.pack("<BH", 3, self.mtu)

    def _find_info(self, op, pdu):
        start, end = struct.unpack_from("<HH", pdu, 1)
        found = [(h, u) for h, u in self.table if start <= h <= end]
        if not found:
            return self._error(op, start, 0x0a)
        size = len(found[0][1])
        out = bytes([5, 1 if size == 2 else 2])
        for handle, uuid in found:
            if len(uuid) != size or len(out) + 2 + size > self.att_mtu:
                break
            out += struct.pack("<H", handle) + uuid
        return out

    def _find_value(self, op, pdu):
        start, end = struct.unpack_from("<HH", pdu, 1)
        out = b"\x07"
        for first, last, uuid in self.groups:
            if start <= first <= end and uuid == pdu[7:] and len(out) + 4 <= self.att_mtu:
                out += struct.pack("<HH", first, last)
        return out if len(out) > 1 else self._error(op, start, 0x0a)

    def _read_type(self, op, pdu):
        start, end = struct.unpack_from("<HH", pdu, 1)
        found = [h for h, u in self.table if start <= h <= end and u == pdu[5:]]
        if not found:
            return self._error(op, start, 0x0a)
        if found[0] in self.errors:
            return self._error(op, found[0], self.errors[found[0]])
        size = min(len(self.values[found[0]]), self.att_mtu - 4, 253)
        out = bytes([9, size + 2])
        for handle in found:
            value = self.values[handle][:size]
            if len(self.values[handle]) != len(self.values[found[0]]) or len(out) + 2 + size > self.att_mtu:
                break
            out += struct.pack("<H", handle) + value
        return out

    def _group(self, op, pdu):
        start, end = struct.unpack_from("<HH", pdu, 1)
        found = [g for g in self.groups if start <= g[0] <= end]
        if not found:
            return self._error(op, start, 0x0a)
        size = len(found[0][2])
        out = bytes([0x11, 4 + size])
        for first, last, uuid in found:
            if len(uuid) != size or len(out) + 4 + size > self.att_mtu:
                break
            out += struct.pack("<HH", first, last) + uuid
        return out

    def _check(self, op, pdu):
        handle = struct.unpack_from("<H", pdu, 1)[0]
        if handle not in self.values:
            return handle, self._error(op, handle, 0x01)
        if handle in self.errors:
            return handle, self._error(op, handle, self.errors[handle])
        return handle, None

    def _read(self, op, pdu):
        handle, error = self._check(op, pdu)
        return error or b"\x0b" + self.values[handle][:self.att_mtu - 1]

    def _blob(self, op, pdu):
        handle, error = self._check(op, pdu)
        offset = struct.unpack_from("<H", pdu, 3)[0]
        if error:
            return error
        if offset > len(self.values[handle]):
            return self._error(op, handle, 0x07)
        return b"\x0d" + self.values[handle][offset:offset + self.att_mtu - 1]

    def _write(self, op, pdu):
        handle, error = self._check(op, pdu)
        if error:
            return error
        self.values[handle] = pdu[3:]
        return b"\x13"

    def _prepare(self, op, pdu):
        handle, error = self._check(op, pdu)
        if error:
            return error
        self.prepared.append((handle, struct.unpack_from("<H", pdu, 3)[0], pdu[5:]))
        return b"\x17" + pdu[1:]

    def _execute(self, _op, pdu):
        if pdu[1]:
            for handle, offset, part in self.prepared:
                old = self.values[handle]
                self.values[handle] = (old + bytes(offset))[:offset] + part
        self.prepared = []
        return b"\x19"


BELT = "C0:FF:EE:00:00:01"


def belt(address=BELT):
    """A heart-rate belt, and a service of odd characteristics. Handles are attributes of the peer."""
    p = Peer(address)
    p.service("1800")
    p.name = p.characteristic("2a00", 0x02, b"belt")
    p.service("180d")
    p.measurement = p.characteristic("2a37", 0x10)
    p.location = p.characteristic("2a38", 0x02, b"\x01")
    p.control = p.characteristic("2a39", 0x08, b"\x00")
    p.service("12345678-1234-5678-1234-56789abcdef0")
    p.long = p.characteristic("12345678-1234-5678-1234-56789abcdef1", 0x0a, bytes(range(100)))
    p.description = p.descriptor("2901", b"a long one")
    p.fast = p.characteristic("12345678-1234-5678-1234-56789abcdef2", 0x04)
    p.both = p.characteristic("12345678-1234-5678-1234-56789abcdef3", 0x30)
    p.deaf = p.characteristic("12345678-1234-5678-1234-56789abcdef4", 0x10, cccd=False)
    return p


# --- the daemon ---

class Daemon:
    """async with Daemon(...) as d: ... A heart-rate belt is around at BELT unless told otherwise."""

    def __init__(self, *args, peers=None, bus_extra=""):
        self.args = args
        self.bus = PrivateBus(bus_extra)
        self.clients = []
        self.peers = {p.address: p for p in ([belt()] if peers is None else peers)}
        self.attempts = []  # (number, adapter, address, type)
        self.answers = asyncio.Queue()
        self.named = asyncio.get_event_loop().create_future()
        self.lock = asyncio.Lock()
        self.tasks = set()
        self.handle = 64

    async def __aenter__(self):
        await self.bus.__aenter__()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        self.process = await asyncio.create_subprocess_exec(
            FAKEDAEMON, "--bus", self.bus.address, "--control", str(theirs.fileno()), *self.args,
            pass_fds=[theirs.fileno()])
        theirs.close()
        asyncio.get_running_loop().add_reader(self.control.fileno(), self._control)
        assert await asyncio.wait_for(self.named, PATIENCE) == "name 0"
        self.client = await self.new_client()
        return self

    async def __aexit__(self, *exc):
        for c in self.clients:
            try:
                c.close()
            except (OSError, ConnectionError):
                pass
        if self.process.returncode is None:
            self.process.terminate()
        code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        for p in self.peers.values():
            p.detach()
        for t in list(self.tasks):
            t.cancel()
        asyncio.get_running_loop().remove_reader(self.control.fileno())
        self.control.close()
        await self.bus.__aexit__(*exc)
        if exc[0] is None:
            assert code == 0, f"the daemon ended with {code}"

    def _control(self):
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 8192, 4)
        except BlockingIOError:
            return
        line = data.decode()
        if not line:
            asyncio.get_running_loop().remove_reader(self.control.fileno())
            if not self.named.done():
                self.named.set_result("gone")
        elif line.startswith("name"):
            self.named.set_result(line)
        elif line.startswith("attempt"):
            _, number, index, address, kind = line.split()
            self.attempts.append((int(number), int(index), address, kind))
            task = asyncio.ensure_future(self._attempt(int(number), self.peers.get(address)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.answers.put_nowait((line, fds))

    async def _attempt(self, number, peer):
        if not peer or peer.absent:
            return
        if peer.delay:
            await asyncio.sleep(peer.delay)
        if peer.fail:
            await self.tell("fail", number, *peer.fail)
            return
        self.handle += 1
        answer, fds = await self.tell_fds("up", number, self.handle)
        if answer == "ok":
            peer.link = number
            peer.attach(socket.socket(fileno=fds[0]))

    async def tell_fds(self, *words):
        async with self.lock:
            self.control.send(" ".join(str(w) for w in words).encode())
            return await asyncio.wait_for(self.answers.get(), PATIENCE)

    async def tell(self, *words):
        """One command of fakedaemon.c; returns what follows "ok"."""
        answer, _ = await self.tell_fds(*words)
        assert answer.startswith("ok"), f"{words}: {answer}"
        return answer[3:]

    async def drop(self, peer, reason=0x08):
        number, peer.link = peer.link, None
        peer.detach()
        await self.tell("drop", number, reason)

    async def incoming(self, address, kind="random", index=0, order="ham"):
        """A peer connects to us. Returns the link's number, and the peer's end of it (None: nobody listens)."""
        answer, fds = await self.tell_fds("incoming", index, address, kind, order)
        assert answer.startswith("ok"), answer
        sock = socket.socket(fileno=fds[0]) if fds else None
        if sock:
            sock.setblocking(False)
        return int(answer[3:]), sock

    async def central(self, address, instance=1, kind="random", index=0):
        """A central connects to an advertising instance. Returns the link's number, and the central's end of it."""
        self.handle += 1
        answer, fds = await self.tell_fds("central", index, instance, address, kind, self.handle)
        assert answer.startswith("ok"), answer
        sock = socket.socket(fileno=fds[0]) if fds else None
        if sock:
            sock.setblocking(False)
        return int(answer[3:]), sock

    async def on_air(self, instance=1, index=0):
        """What the kernel's instance sends: (flags, interval in units, advertising data, scan response), or None"""
        words = (await self.tell("adv", index, instance)).split()
        if not words or words[0] == "0":
            return None
        return int(words[1]), int(words[2]), *(b"" if w == "-" else bytes.fromhex(w) for w in words[3:5])

    async def report(self, address="C0:11:22:33:44:55", data=b"", rssi=-60, event=0, index=0, kind=1, repeat=1):
        await self.tell("report", index, event, address, kind, rssi, data.hex() or "-", repeat)

    async def new_client(self):
        c = await Client.connect(self.bus.address)
        self.clients.append(c)
        return c

    @property
    def belt(self):
        return self.peers[BELT]

    async def connected(self, client=None, **kw):
        """A connection to the belt, and the belt."""
        path = await (client or self.client).dial(BELT, **kw)
        await until(lambda: self.belt.sock, "the peer's end of the link")
        return path, self.belt

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def attr(connection, handle):
    return f"{connection}/h{handle:04x}"


HEADER = struct.Struct("<BBHIQQ")


class Record:
    """One record of a stream (include/aiobled/stream.h)."""

    def __init__(self, data):
        self.type, self.flags, self.handle, self.dropped, self.seq, self.time_us = HEADER.unpack_from(data)
        self.payload = data[HEADER.size:]

    @property
    def reason(self):
        return self.payload[1:].decode()

    @property
    def hci(self):
        return self.payload[0]


async def record(sock, patience=PATIENCE):
    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), patience)
    return Record(data) if data else None


class TestCase(unittest.IsolatedAsyncioTestCase):
    """fails(): the call must end with this error; returns it for a look at its details."""

    async def fails(self, name, awaitable):
        try:
            result = await awaitable
        except Error as e:
            self.assertEqual(e.name, name, str(e))
            self.assertTrue(e.text, "an error needs a sentence")
            return e
        self.fail(f"{name} expected, got {result!r}")

    async def invalid(self, key, awaitable):
        e = await self.fails("InvalidArgument", awaitable)
        self.assertEqual(e.details.get("key"), key)
        self.assertIn(key, e.text)
        return e


def main():
    unittest.main(verbosity=2, warnings="ignore", argv=[sys.argv[0], *sys.argv[1:]])
