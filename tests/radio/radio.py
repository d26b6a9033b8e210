# SPDX-License-Identifier: GPL-2.0-or-later
"""aioble-radio as a context, its control socket as a method, and hosts that are nothing but an H4 stream.

    with Radio() as radio:
        a, b = radio.host(), radio.host()
        radio.ask("loss", **{"from": a.name, "to": b.name, "db": 70})
"""
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import time

PROGRAM = os.environ.get("AIOBLE_RADIO", "aioble-radio")
TIMEOUT_S = 30

RESET, EVENT_MASK, LE_EVENT_MASK, DISCONNECT = 0x0C03, 0x0C01, 0x2001, 0x0406
ADV_PARAMS, ADV_DATA, ADV_ENABLE, SCAN_PARAMS, SCAN_ENABLE = 0x2006, 0x2008, 0x200A, 0x200B, 0x200C
CREATE_CONN, START_ENCRYPTION, LTK_REPLY = 0x200D, 0x2019, 0x201A
COMPLETE, STATUS, DISCONNECTED, ENCRYPTED, LE = 0x0E, 0x0F, 0x05, 0x08, 0x3E
LE_CONNECTED, LE_REPORT, LE_LTK_REQUEST = 0x01, 0x02, 0x05


class Refused(Exception):
    """A command of the control socket was answered by an error: (text, key)."""


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(path))
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.events = []

    def ask(self, cmd, **keys):
        self.sock.sendall(json.dumps({"cmd": cmd, **keys}).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                break
            self.events.append(answer)
        if "error" in answer:
            raise Refused(answer["error"], answer["where"])
        return answer

    def event(self):
        """The next event of what was subscribed to."""
        return self.events.pop(0) if self.events else json.loads(self.lines.readline())

    def close(self):
        self.lines.close()
        self.sock.close()


class Host:
    """A Bluetooth host without a stack: commands out, events in."""

    def __init__(self, path, name):
        self.name, self.buf, self.packets = name, b"", []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(path))
        self.command(RESET)
        self.command(EVENT_MASK, b"\xff" * 8)
        self.command(LE_EVENT_MASK, b"\x1f" + bytes(7))

    def read(self):
        """One packet: (kind, head, body)."""
        while True:
            if self.buf and self.buf[0] == 4 and len(self.buf) >= 3 + self.buf[2 if len(self.buf) > 2 else 0]:
                end = 3 + self.buf[2]
                kind, head, body = 4, self.buf[1], self.buf[3:end]
            elif self.buf and self.buf[0] == 2 and len(self.buf) >= 5 + (struct.unpack_from("<H", self.buf, 3)[0]
                                                                        if len(self.buf) >= 5 else 0):
                handle, size = struct.unpack_from("<HH", self.buf, 1)
                end = 5 + size
                kind, head, body = 2, handle & 0xFFF, self.buf[5:end]
            else:
                more = self.sock.recv(65536)
                if not more:
                    raise EOFError(self.name)
                self.buf += more
                continue
            self.buf = self.buf[end:]
            return kind, head, body

    def wait(self, wanted):
        """The next packet for which wanted(kind, head, body) is true; the others are kept."""
        for i, packet in enumerate(self.packets):
            if wanted(*packet):
                return self.packets.pop(i)
        while True:
            packet = self.read()
            if wanted(*packet):
                return packet
            self.packets.append(packet)

    def command(self, opcode, params=b"", status=0):
        """Send a command, wait for its answer. Return: what follows the status."""
        self.send_command(opcode, params)
        _, head, body = self.wait(lambda kind, head, body: kind == 4 and (
            (head == COMPLETE and body[1:3] == struct.pack("<H", opcode)) or
            (head == STATUS and body[2:4] == struct.pack("<H", opcode))))
        got = body[3] if head == COMPLETE else body[0]
        assert got == status, f"{self.name}: command {opcode:#06x}: status {got:#04x}"
        return body[4:]

    def send_command(self, opcode, params=b""):
        self.sock.sendall(struct.pack("<BHB", 1, opcode, len(params)) + params)

    def send(self, handle, data, channel=0x3E):
        """An L2CAP packet of a fixed channel; 0x3e is for nobody, 4 is ATT."""
        data = struct.pack("<HH", len(data), channel) + data
        self.sock.sendall(struct.pack("<BHH", 2, handle, len(data)) + data)

    def event(self, code, subevent=None):
        """The parameters of the next event with this code (LE: and subevent)."""
        _, _, body = self.wait(lambda kind, head, body: kind == 4 and head == code and
                               (subevent is None or body[0] == subevent))
        return body if subevent is None else body[1:]

    def data(self):
        """The next L2CAP packet on that channel."""
        return self.wait(lambda kind, head, body: kind == 2)[2][4:]

    def att(self, handle, pdu):
        """An ATT request, and the answer, which fits into one packet."""
        self.send(handle, pdu, 4)
        return self.wait(lambda kind, head, body: kind == 2 and head == handle and body[2:4] == b"\4\0" and
                         (body[4] == pdu[0] + 1 or body[4:6] == bytes([1, pdu[0]])))[2][4:]

    def advertise(self, data=b"\x02\x01\x06", interval=0x20):
        self.command(ADV_PARAMS, struct.pack("<HHBBB6sBB", interval, interval, 0, 0, 0, bytes(6), 7, 0))
        self.command(ADV_DATA, bytes([len(data)]) + data.ljust(31, b"\0"))
        self.command(ADV_ENABLE, b"\x01")

    def connect(self, address, interval=24, timeout=100):
        """To a public address. Return: (status, handle) of the event."""
        self.command(CREATE_CONN, struct.pack("<HHBB6sBHHHHHH", 0x60, 0x60, 0, 0, bytes.fromhex(
            address.replace(":", ""))[::-1], 0, interval, interval, 0, timeout, 0, 0))
        return struct.unpack_from("<BH", self.event(LE, LE_CONNECTED))

    def close(self):
        self.sock.close()


class Radio:
    """The program. Options are those of its command line; those for sockets are given to it anyway."""

    def __init__(self, *options, program=PROGRAM):
        self.options, self.program = options, program

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="aioble-radio-")
        self.path = pathlib.Path(self.dir.name)
        self.hosts = []
        self.process = subprocess.Popen(
            [self.program, "--socket", self.path / "h4", "--control", self.path / "control", *map(str, self.options)],
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("ready"), "it did not come up"
        self.control = Control(self.path / "control")
        self.ask = self.control.ask
        return self

    def host(self):
        before = {c["name"] for c in self.ask("controllers")["controllers"]}
        host = Host(self.path / "h4", None)
        new, = (c for c in self.ask("controllers")["controllers"] if c["name"] not in before)
        host.name, host.address = new["name"], new["address"]
        self.hosts.append(host)
        return host

    def state(self, host):
        return self.ask("controllers", controller=host.name)["controllers"][0]

    def until(self, what, seconds=TIMEOUT_S):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    def __exit__(self, *_):
        for host in self.hosts:
            host.close()
        self.control.close()
        self.process.terminate()
        self.process.stdout.close()
        status = self.process.wait(TIMEOUT_S)
        self.dir.cleanup()
        assert status in (0, -9), f"aioble-radio ended with {status}"
