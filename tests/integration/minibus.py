# SPDX-License-Identifier: GPL-2.0-or-later
"""A D-Bus client in a few lines, for tests: one connection, no threads, no main loop.

Tests must see what a library hides: the order of replies and signals, two calls under way at once, a
client that dies in the middle or never reads. Nothing happens behind the caller's back: messages are
read only inside wait_*() and call(), where a Ping is answered, and signals stay in `signals` until
somebody takes them. Calls of others go to `serve`, when it is set, and those it leaves alone stay in
`calls` for wait_call() and answer().

Values: integers int, b bool, d float, s o g str, ay bytes, other arrays list, a{..} dict, structs
tuple, h a descriptor (int, owned by the caller). A variant is read as its value. A variant to be
written is (signature, value), or a plain value whose signature is obvious: bool b, int i or x, str s,
bytes ay, list of str as, float d.
"""
import os
import select
import socket
import struct
import time

CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, FDS = range(1, 10)
FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I", "b": "I"}
ALIGNMENT = {"s": 4, "o": 4, "g": 1, "a": 4, "(": 8, "{": 8, "v": 1}
MAX_FDS = 16


class BusError(Exception):
    """An error reply. name: its D-Bus name; text: first argument; details: second one, if any."""

    def __init__(self, name, body):
        self.name = name
        self.text = body[0] if body else ""
        self.details = body[1] if len(body) > 1 else {}
        super().__init__("%s: %s %s" % (name, self.text, self.details or ""))


class BusTimeout(Exception):
    pass


class BusGone(Exception):
    pass


def split(signature):
    """The complete types of a signature, one after another."""
    types, start = [], 0
    while start < len(signature):
        end = start
        while signature[end] == "a":
            end += 1
        if signature[end] in "({":
            depth = 0
            while True:
                depth += (signature[end] in "({") - (signature[end] in ")}")
                if depth == 0:
                    break
                end += 1
        types.append(signature[start:end + 1])
        start = end + 1
    return types


def alignment(kind):
    return ALIGNMENT.get(kind) or struct.calcsize(FIXED[kind])


def guess(value):
    """(signature, value) of something to be put into a variant."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return value
    if isinstance(value, bool):
        return "b", value
    if isinstance(value, int):
        return ("i" if -2**31 <= value < 2**31 else "x"), value
    if isinstance(value, float):
        return "d", value
    if isinstance(value, str):
        return "s", value
    if isinstance(value, (bytes, bytearray)):
        return "ay", value
    if isinstance(value, list) and value and all(isinstance(v, int) for v in value):
        return "ai", value
    if isinstance(value, list):
        return "as", value
    raise TypeError("say the signature of %r" % (value,))


class Writer:
    def __init__(self):
        self.data = bytearray()
        self.fds = []

    def pad(self, size):
        self.data += bytes(-len(self.data) % size)

    def number(self, kind, value):
        self.pad(struct.calcsize(FIXED[kind]))
        self.data += struct.pack("<" + FIXED[kind], value)

    def array(self, item, value):
        self.number("u", 0)
        length_at = len(self.data) - 4
        self.pad(alignment(item[0]))
        start = len(self.data)
        if item == "y":
            self.data += bytes(value)
        elif item[0] == "{":
            for pair in value.items():
                self.value("(" + item[1:-1] + ")", pair)
        else:
            for element in value:
                self.value(item, element)
        struct.pack_into("<I", self.data, length_at, len(self.data) - start)

    def value(self, kind, value):
        if kind == "h":
            self.fds.append(value)
            self.number("u", len(self.fds) - 1)
        elif kind in FIXED:
            self.number(kind, int(value) if kind != "d" else value)
        elif kind in "so":
            text = value.encode()
            self.number("u", len(text))
            self.data += text + b"\0"
        elif kind == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif kind == "v":
            signature, inner = guess(value)
            self.value("g", signature)
            self.value(signature, inner)
        elif kind[0] == "a":
            self.array(kind[1:], value)
        else:
            self.pad(8)
            for item, element in zip(split(kind[1:-1]), value, strict=True):
                self.value(item, element)


class Reader:
    def __init__(self, data, fds=(), at=0):
        self.data, self.fds, self.at = data, fds, at

    def pad(self, size):
        self.at += -self.at % size

    def number(self, kind):
        form = "<" + FIXED[kind]
        self.pad(struct.calcsize(form))
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self, length):
        value = bytes(self.data[self.at:self.at + length]).decode()
        self.at += length + 1
        return value

    def array(self, item):
        length = self.number("u")
        self.pad(alignment(item[0]))
        end = self.at + length
        if item == "y":
            value = bytes(self.data[self.at:end])
            self.at = end
            return value
        value = []
        while self.at < end:
            value.append(self.value("(" + item[1:-1] + ")" if item[0] == "{" else item))
        return dict(value) if item[0] == "{" else value

    def value(self, kind):
        if kind == "b":
            return bool(self.number("b"))
        if kind == "h":
            return self.fds[self.number("u")]
        if kind in FIXED:
            return self.number(kind)
        if kind in "so":
            return self.text(self.number("u"))
        if kind == "g":
            return self.text(self.number("y"))
        if kind == "v":
            return self.value(self.value("g"))
        if kind[0] == "a":
            return self.array(kind[1:])
        self.pad(8)
        return tuple(self.value(item) for item in split(kind[1:-1]))


class Message:
    """One received message; fields are attributes, body is a list."""

    def __init__(self, kind, flags, serial, fields, body):
        self.kind, self.serial, self.body = kind, serial, body
        self.wants_reply = kind == CALL and not flags & NO_REPLY
        self.path = fields.get(PATH)
        self.interface = fields.get(INTERFACE)
        self.member = fields.get(MEMBER)
        self.error = fields.get(ERROR_NAME)
        self.reply_to = fields.get(REPLY_SERIAL)
        self.sender = fields.get(SENDER)
        self.destination = fields.get(DESTINATION)
        self.time = time.monotonic()

    def __repr__(self):
        return "%s.%s %s %r" % (self.interface, self.member or self.error, self.path, self.body)


class Bus:
    def __init__(self, address=None):
        address = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket")
        path = dict(pair.split("=", 1) for pair in address.split(":", 1)[1].split(","))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path["path"] if "path" in path else "\0" + path["abstract"])
        self.buffer, self.fds = bytearray(), []
        self.serial = 0
        self.replies, self.signals, self.calls = {}, [], []
        self.serve = None  # takes a call, is true when it answered
        self.authenticate()
        self.name = self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")[0]

    def close(self):
        self.sock.close()

    def authenticate(self):
        uid = str(os.getuid()).encode().hex()
        for line in (b"\0AUTH EXTERNAL " + uid.encode(), b"NEGOTIATE_UNIX_FD"):
            self.sock.sendall(line + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n"):
                answer += self.sock.recv(1)
            if not answer.startswith((b"OK", b"AGREE")):
                raise BusGone("the bus refuses: %r" % answer)
        self.sock.sendall(b"BEGIN\r\n")

    # Sending

    def send(self, dest, path, interface, member, signature="", *args):
        """Send a method call, do not wait; returns the serial for wait_reply()."""
        fields = [(PATH, ("o", path)), (MEMBER, ("s", member)), (DESTINATION, ("s", dest))]
        if interface:
            fields.append((INTERFACE, ("s", interface)))
        return self.put(CALL, fields, signature, args)

    def put(self, kind, fields, signature, args):
        """Send a message; its serial. Nobody is to answer an answer."""
        body, head = Writer(), Writer()
        for item, value in zip(split(signature), args, strict=True):
            body.value(item, value)
        self.serial += 1
        if signature:
            fields.append((SIGNATURE, ("g", signature)))
        if body.fds:
            fields.append((FDS, ("u", len(body.fds))))
        head.data += struct.pack("<cBBBII", b"l", kind, 0 if kind == CALL else NO_REPLY, 1, len(body.data), self.serial)
        head.value("a(yv)", fields)
        head.pad(8)
        data = bytes(head.data + body.data)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("%di" % len(body.fds), *body.fds))]
        sent = self.sock.sendmsg([data], rights if body.fds else [])
        self.sock.sendall(data[sent:])
        return self.serial

    def answer(self, call, signature="", *args):
        """The reply to a call, if it wants one."""
        if call.wants_reply:
            self.put(REPLY, [(DESTINATION, ("s", call.sender)), (REPLY_SERIAL, ("u", call.serial))], signature, args)

    def refuse(self, call, name="org.freedesktop.DBus.Error.UnknownMethod", text=""):
        """An error instead."""
        if call.wants_reply:
            self.put(ERROR, [(DESTINATION, ("s", call.sender)), (REPLY_SERIAL, ("u", call.serial)), (ERROR_NAME, ("s", name))],
                     "s", [text])

    # Receiving

    def take_message(self):
        """The next complete message of the buffer, or None."""
        data = self.buffer
        if len(data) < 16:
            return None
        body_length, serial, fields_length = struct.unpack_from("<III", data, 4)
        body_at = 16 + fields_length + (-fields_length % 8)
        end = body_at + body_length
        if len(data) < end:
            return None
        kind, flags = data[1], data[2]
        fields = dict(Reader(bytes(data[:body_at]), (), 12).value("a(yv)"))
        count = fields.get(FDS, 0)
        fds, self.fds = self.fds[:count], self.fds[count:]
        reader = Reader(bytes(data[body_at:end]), fds)
        body = [reader.value(item) for item in split(fields.get(SIGNATURE, ""))]
        del data[:end]
        return Message(kind, flags, serial, fields, body)

    def receive(self, deadline):
        """Sort one message more into replies or signals; False when the deadline has passed."""
        while True:
            message = self.take_message()
            if message:
                break
            left = max(0, deadline - time.monotonic())
            if not select.select([self.sock], [], [], left)[0]:
                return False
            data, ancillary, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(4 * MAX_FDS), socket.MSG_CMSG_CLOEXEC)
            if not data:
                raise BusGone("the bus closed the connection")
            self.buffer += data
            for level, kind, rights in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self.fds += struct.unpack("%di" % (len(rights) // 4), rights)
        if message.kind in (REPLY, ERROR):
            self.replies[message.reply_to] = message
        elif message.kind == SIGNAL:
            self.signals.append(message)
        elif message.interface == "org.freedesktop.DBus.Peer" and message.member == "Ping":
            self.answer(message)
        elif not self.serve or not self.serve(message):
            self.calls.append(message)
        return True

    def wait_reply(self, serial, timeout=30):
        """Body of the reply (list); raises BusError or BusTimeout."""
        deadline = time.monotonic() + timeout
        while serial not in self.replies:
            if not self.receive(deadline):
                raise BusTimeout("no reply within %g s" % timeout)
        message = self.replies.pop(serial)
        if message.kind == ERROR:
            raise BusError(message.error, message.body)
        return message.body

    def wait_signal(self, member, timeout=10, path=None, where=None):
        """Take the first matching signal, one that came already included; raises BusTimeout."""
        return self.wait_message(self.signals, "signal", member, timeout, path, where)

    def wait_call(self, member, timeout=10, path=None, where=None):
        """Take the first matching call of somebody else, to be answered; raises BusTimeout."""
        return self.wait_message(self.calls, "call", member, timeout, path, where)

    def wait_message(self, queue, what, member, timeout, path, where):
        deadline, seen = time.monotonic() + timeout, 0
        while True:
            while seen < len(queue):
                message = queue[seen]
                if message.member == member and path in (None, message.path) and (not where or where(message)):
                    return queue.pop(seen)
                seen += 1
            if not self.receive(deadline):
                raise BusTimeout("no %s %s within %g s" % (what, member, timeout))

    def settle(self, seconds=0.3):
        """Take in whatever comes within this time."""
        deadline = time.monotonic() + seconds
        while self.receive(deadline):
            pass

    # What every test needs

    def call(self, dest, path, interface, member, signature="", *args, timeout=30):
        return self.wait_reply(self.send(dest, path, interface, member, signature, *args), timeout)

    def daemon(self, member, *args):
        """A call to the bus itself: daemon("AddMatch", "s", rule)."""
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, *args)

    def match(self, rule):
        self.daemon("AddMatch", "s", rule)

    def owner(self, name):
        """Unique name of the owner, None when there is none."""
        try:
            return self.daemon("GetNameOwner", "s", name)[0]
        except BusError:
            return None

    def get(self, dest, path, interface, name):
        return self.call(dest, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)[0]

    def get_all(self, dest, path, interface):
        return self.call(dest, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)[0]
