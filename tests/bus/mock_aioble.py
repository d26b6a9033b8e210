# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for the daemon, for tests of its clients alone.

It serves dbus/*.xml: a call that is not in there, or whose arguments, options or reply are not of the types there, fails
the test. Behind that is a table of peers with attributes, and what tests want to go wrong.
"""
import asyncio
import json
import os
import re
import socket
import struct
import time
import traceback

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.introspection import Node

import mock_peripheral

ROOT = "/org/aioble"
PREFIX = "org.aioble."
ERROR = "org.aioble.Error."
RECORD = struct.Struct("<BBHIQQ")
NOTIFIED, INDICATED, REPORT, JSON, END = 1, 2, 3, 4, 0xFF

OPTIONS = {
    "FindAdapter": {},
    "Scan": {"duration_ms": "u", "interval_us": "u", "window_us": "u", "active": "b", "duplicates": "s", "lifetime": "s",
             "queue": "u", "signals": "b", "broadcast": "b", "uuids": "as", "names": "as", "addresses": "as",
             "companies": "aq", "rssi": "n"},
    "Connect": {"timeout_ms": "u", "min_conn_interval_us": "u", "max_conn_interval_us": "u", "latency": "q",
                "supervision_timeout_ms": "u", "lifetime": "s"},
    "Disconnect": {"timeout_ms": "u"},
    "Hold": {},
    "ExchangeMtu": {"mtu": "q", "timeout_ms": "u"},
    "Discover": {"timeout_ms": "u"},
    "Read": {"offset": "q", "timeout_ms": "u"},
    "Write": {"response": "b", "long": "b", "offset": "q", "truncate": "b", "timeout_ms": "u"},
    "OpenNotify": {"notify": "b", "indicate": "b", "lifetime": "s", "queue": "u", "signals": "b", "broadcast": "b",
                   "timeout_ms": "u"},
    "Stop": {"timeout_ms": "u"},
    "Open": {"json": "b"},
} | mock_peripheral.OPTIONS
# of calls whose name another interface has with other options
OPTIONS_OF = {"LocalCharacteristic1.Write": {"send_update": "b"}, "LocalDescriptor1.Write": {}}


class Failure(Exception):
    """An error reply: name below org.aioble.Error. (or in full), sentence, details as {key: Variant}."""

    def __init__(self, name, message="it went wrong", **details):
        super().__init__(message)
        self.name = name if "." in name else ERROR + name
        self.message = message
        self.details = details


def load_interfaces(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".xml"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                text = re.sub(r"<!DOCTYPE[^>]*>", "", f.read())
            for interface in Node.parse(text).interfaces:
                found[interface.name] = interface
    assert PREFIX + "Manager1" in found, folder
    return found


def record(kind, handle, seq, payload, dropped=0, time_us=None):
    return RECORD.pack(kind, 0, handle, dropped, seq, time_us or time.monotonic_ns() // 1000) + payload


def end(reason, hci=0):
    return record(END, 0, 0, bytes([hci]) + reason.encode())


class Attribute:
    def __init__(self, kind, uuid, handle, value=b"", properties=0, error=None):
        self.kind, self.uuid, self.handle = kind, uuid, handle
        self.value, self.properties, self.error = value, properties, error
        self.children = []
        self.primary = True
        self.end = handle
        self.writes = []


def service(uuid, handle, *characteristics, primary=True):
    s = Attribute("Service1", uuid, handle)
    s.primary = primary
    s.children = list(characteristics)
    for c in characteristics:
        c.end = max([c.handle] + [d.handle for d in c.children])
        s.end = max(s.end, c.end)
    return s


def characteristic(uuid, handle, properties, value=b"", *descriptors, error=None):
    c = Attribute("Characteristic1", uuid, handle, value, properties, error)
    c.children = list(descriptors)
    return c


def descriptor(uuid, handle, value=b"", error=None):
    return Attribute("Descriptor1", uuid, handle, value, error=error)


class Stream:
    """Our end of a descriptor that a client holds the other end of."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.seq = 0

    def send(self, data):
        self.ours.send(data)

    def value(self, kind, handle, payload, **more):
        self.seq += 1
        self.send(record(kind, handle, self.seq, payload, **more))

    def close(self):
        self.ours.close()


class Mock(mock_peripheral.Peripheral):
    def __init__(self, xml_folder):
        super().__init__()
        self.interfaces = load_interfaces(xml_folder)
        self.adapters = {"hci0": {"Address": "00:AA:01:00:00:00", "State": "ready", "Reason": "", "Conflict": ""}}
        self.peers = {}          # (address, type): list of services
        self.connections = {}    # path: dict
        self.attributes = {}     # path: Attribute
        self.known = set()       # paths of attributes that were discovered
        self.calls = []          # (path, member, arguments) as they came
        self.failures = {}       # member: list of Failure or seconds to sleep, used up in order
        self.complaints = []     # breaches of the contract
        self.streams = {}        # path of scanner or subscription: Stream
        self.on_stream = None    # called with (stream, path, arguments)
        self.next = 1
        self.bus = None

    async def start(self, address):
        self.bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
        self.bus.add_message_handler(self._handle)
        await self.bus.request_name("org.aioble")
        return self

    def stop(self):
        if self.bus:
            self.bus.disconnect()
        for stream in self.streams.values():
            stream.close()
        self.bus = None

    def called(self, member):
        return [arguments for _, name, arguments in self.calls if name == member]

    def options(self, member, index=-1):
        """The options of a call, as plain values."""
        return {key: v.value for key, v in self.called(member)[index][-1].items()}

    # ---- dispatch ----

    def _handle(self, message):
        if message.message_type != MessageType.METHOD_CALL:
            return None
        asyncio.get_running_loop().create_task(self._answer(message))
        return True

    async def _answer(self, message):
        try:
            signature, body, fds = await self._dispatch(message)
            reply = Message.new_method_return(message, signature, body, fds)
        except Failure as f:
            details = {k: v if isinstance(v, Variant) else Variant("y", v) for k, v in f.details.items()}
            reply = Message(message_type=MessageType.ERROR, destination=message.sender, reply_serial=message.serial,
                            error_name=f.name, signature="sa{sv}", body=[f.message, details])
        except Exception as e:  # a fault of this file, which the test must see
            self.complaints.append("".join(traceback.format_exception(e)))
            reply = Message.new_error(message, ERROR + "Failed", repr(e))
        if self.bus:
            await self.bus.send(reply)

    async def _dispatch(self, message):
        interface, member, path = message.interface, message.member, message.path
        if interface == "org.freedesktop.DBus.ObjectManager" and path == ROOT and member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self.managed()], []
        if interface == "org.freedesktop.DBus.Properties" and member == "GetAll":
            return "a{sv}", [self._properties(path, message.body[0])], []
        method = self._method(interface, member, message)
        body = list(message.body)
        self.calls.append((path, member, body))
        for wrong in self.failures.get(member, [])[:1]:
            self.failures[member].pop(0)
            if isinstance(wrong, Failure):
                raise wrong
            await asyncio.sleep(wrong)
        handler = getattr(self, f"{interface.removeprefix(PREFIX)}_{member}")
        result = handler(path, *body)
        if asyncio.iscoroutine(result):
            result = await result
        fds = []
        result = [] if result is None else list(result)
        for i, value in enumerate(result):
            if isinstance(value, socket.socket):
                fds.append(value.fileno())
                result[i] = len(fds) - 1
        return method.out_signature, result, fds

    def _method(self, interface, member, message):
        """The method as the contract has it; else a complaint."""
        methods = {m.name: m for m in self.interfaces[interface].methods} if interface in self.interfaces else {}
        if member not in methods:
            self.complaints.append(f"no method {interface}.{member}")
            raise Failure("org.freedesktop.DBus.Error.UnknownMethod")
        if message.signature != methods[member].in_signature:
            self.complaints.append(f"{member}: signature {message.signature}, not {methods[member].in_signature}")
            raise Failure("InvalidArgument")
        allowed = OPTIONS_OF.get(f"{interface.removeprefix(PREFIX)}.{member}", OPTIONS.get(member, {}))
        for key, value in message.body[-1].items():
            if allowed.get(key) != value.signature:
                self.complaints.append(f"{member}: option {key} of type {value.signature}")
                raise Failure("InvalidArgument", f"no such option: {key}", key=Variant("s", key))
        return methods[member]

    # ---- objects ----

    def _values(self, path, short):
        """Properties of one face of an object as plain values, or None."""
        if short == "Manager1" and path == ROOT:
            return {"Version": "9.8.7", "Features": ["observer", "central"], "Warnings": [], "LingerMs": 30000,
                    "Limits": {"calls": 64}}
        if short == "Adapter1" and path.removeprefix(ROOT + "/") in self.adapters:
            name = path.removeprefix(ROOT + "/")
            given = self.adapters[name]
            return {"AddressType": "public", "Name": name, "Powered": True, "HciVersion": 9, "Manufacturer": 2,
                    "ExtendedScan": False, "Scanning": False,
                    "LinksInUse": sum(c["Adapter"] == path for c in self.connections.values()), "LinksMax": 0,
                    "Stats": {"reports": 5}} | given
        if short == "Connection1" and path in self.connections:
            return {k: v for k, v in self.connections[path].items() if k != "services"}
        a = self.attributes.get(path) if path in self.known else None
        if a and a.kind == short:
            connection = path.rsplit("/", 1)[0]
            common = {"Connection": connection, "Uuid": a.uuid, "Handle": a.handle}
            if short == "Characteristic1":
                return common | {"Service": connection, "Properties": a.properties, "Flags": ["read"]}
            if short == "Descriptor1":
                return common | {"Characteristic": connection}
            return common | {"EndHandle": a.end, "Primary": a.primary}
        return self.peripheral_values(path, short)

    def _properties(self, path, interface):
        values = self._values(path, interface.removeprefix(PREFIX))
        if values is None:
            raise Failure("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        types = {p.name: p.signature for p in self.interfaces[interface].properties}
        assert set(values) <= set(types), (interface, set(values) - set(types))
        return {name: Variant(types[name], value) for name, value in values.items()}

    def managed(self):
        paths = [f"{ROOT}/{name}" for name in self.adapters] + list(self.connections) + sorted(self.known)
        paths += list(self.apps) + list(self.advertisers) + list(self.local)
        faces = ["Adapter1", "Connection1", "Service1", "Characteristic1", "Descriptor1", "Application1", "Advertiser1",
                 "LocalCharacteristic1", "LocalDescriptor1"]
        return {path: {PREFIX + face: self._properties(path, PREFIX + face) for face in faces
                       if self._values(path, face) is not None} for path in paths}

    def add_connection(self, address, address_type="public", adapter="hci0", **more):
        path = f"{ROOT}/{adapter}/conn/{self.next}"
        self.next += 1
        services = self.peers.get((address, address_type), [])
        self.connections[path] = {
            "Adapter": f"{ROOT}/{adapter}", "Address": address, "AddressType": address_type, "Identity": "",
            "Role": "central", "Connected": True, "Mtu": 23, "IntervalUs": 30000, "Latency": 0,
            "SupervisionTimeoutMs": 2560, "Encrypted": False, "Authenticated": False, "Bonded": False, "KeySize": 0,
            "Holders": [], "Lifetime": "linger", "ExpiresUs": 0, "services": services} | more
        for s in services:
            for a in [s] + s.children + [d for c in s.children for d in c.children]:
                self.attributes[f"{path}/h{a.handle:04x}"] = a
        return path

    async def drop_connection(self, path, reason=0x13):
        """The peer goes: streams end, the signal, the object goes."""
        for sub, stream in list(self.streams.items()):
            if sub.startswith(path + "/"):
                stream.send(end(ERROR + "Disconnected", reason))
        await self.bus.send(Message.new_signal(path, PREFIX + "Connection1", "Disconnected", "ya{sv}",
                                               [reason, {"text": Variant("s", "gone")}]))
        self.connections.pop(path, None)

    # ---- the methods that aioblectl uses ----

    def Manager1_FindAdapter(self, _path, name, _options):
        for adapter, values in self.adapters.items():
            if name in ("", adapter, values["Address"]):
                return [f"{ROOT}/{adapter}"]
        raise Failure("NotFound", f"there is no adapter {name}")

    def Adapter1_Scan(self, path, _options):
        self.next += 1
        return [f"{path}/scan/{self.next - 1}"]

    def _open(self, path, arguments):
        stream = self.streams[path] = Stream()
        if self.on_stream:
            asyncio.get_running_loop().call_later(0.05, self.on_stream, stream, path, arguments)
        return stream.theirs

    def Scanner1_Open(self, path, options):
        assert options["json"].value is True
        return [self._open(path, options)]

    async def Adapter1_Connect(self, path, address, address_type, options):
        lifetime = options["lifetime"].value if "lifetime" in options else "linger"
        if (address, address_type) not in self.peers:
            await asyncio.sleep(0.05)
            raise Failure("Timeout", f"{address} did not answer")
        for existing, c in self.connections.items():
            if c["Address"] == address and c["AddressType"] == address_type:
                return [existing]
        return [self.add_connection(address, address_type, path.rsplit("/", 1)[1], Lifetime=lifetime)]

    def _connection(self, path):
        if path not in self.connections:
            raise Failure("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        return self.connections[path]

    def Connection1_Hold(self, path, _options):
        self._connection(path)

    async def Connection1_Disconnect(self, path, _options):
        self._connection(path)
        await self.drop_connection(path, 0x16)

    def Connection1_ExchangeMtu(self, path, options):
        self._connection(path)["Mtu"] = options["mtu"].value
        return [options["mtu"].value]

    def Connection1_Discover(self, path, _options):
        def h(a):
            self.known.add(f"{path}/h{a.handle:04x}")
            return f"{path}/h{a.handle:04x}"
        return [[[h(s), s.uuid, s.handle, s.end, s.primary,
                  [[h(c), c.uuid, c.handle - 1, c.handle, c.end, c.properties,
                    [[h(d), d.uuid, d.handle] for d in c.children]] for c in s.children]]
                 for s in self._connection(path)["services"]]]

    def _attribute(self, path):
        self._connection(path.rsplit("/", 1)[0])
        a = self.attributes[path]
        if a.error:
            raise a.error
        return a

    def Characteristic1_Read(self, path, options):
        value = self._attribute(path).value
        return [value[options["offset"].value:] if "offset" in options else value]

    def Characteristic1_Write(self, path, value, _options):
        self._attribute(path).writes.append(bytes(value))

    Descriptor1_Read = Characteristic1_Read
    Descriptor1_Write = Characteristic1_Write

    def Characteristic1_OpenNotify(self, path, options):
        a = self._attribute(path)
        if not a.properties & 0x30:
            raise Failure("NotSupported", "the characteristic neither notifies nor indicates")
        sub = f"{path.rsplit('/', 1)[0]}/sub/{self.next}"
        self.next += 1
        return [self._open(sub, options), sub]

    def Subscription1_Stop(self, path, _options):
        self.streams[path].send(end("stopped"))


def report(address, seq=1, **more):
    """A record of a scanner, with the keys of org.aioble.Scanner1."""
    keys = {"seq": seq, "time_us": time.monotonic_ns() // 1000, "address": address, "address_type": "public",
            "event_type": "ind", "connectable": True, "scannable": True, "rssi": -60, "adv_data": "020106"} | more
    return record(JSON, 0, seq, json.dumps({k: v for k, v in keys.items() if v is not None}).encode())
