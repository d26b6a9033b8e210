# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the virtual radio share: its control socket, hosts on its socket, the kernel's management channel.

Hosts on the socket are those of tests/radio/radio.py: a few commands, no stack.
"""
import ctypes
import socket
import struct
import threading

from aioble_test import *

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "radio"))
from radio import DISCONNECT, DISCONNECTED, Control, Host, Refused  # noqa: E402, F401 (for the tests)

CONTROL, H4, H4_LEGACY = "/run/guest-radio", "/tmp/bt-server-bredrle", "/tmp/bt-server-le"
AF_BLUETOOTH, BTPROTO_HCI, HCI_CHANNEL_RAW, HCI_CHANNEL_CONTROL = 31, 1, 0, 3
MGMT_READ_INDEX_LIST, MGMT_READ_INFO, MGMT_SET_POWERED, MGMT_SET_LE, MGMT_SET_STATIC = 3, 4, 5, 13, 0x2b
MGMT_INDEX_ADDED, MGMT_INDEX_REMOVED = 4, 5  # events


def hci_socket(index, channel):
    """An HCI socket bound as Python's own bind cannot do it: to a channel."""
    sock = socket.socket(AF_BLUETOOTH, socket.SOCK_RAW | socket.SOCK_CLOEXEC, BTPROTO_HCI)
    address = (ctypes.c_uint16 * 3)(AF_BLUETOOTH, index, channel)
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.bind(sock.fileno(), address, 6) == 0, "bind: " + os.strerror(ctypes.get_errno()))
    return sock


class Mgmt:
    """The kernel's management channel, for one command after the other."""

    def __init__(self):
        self.sock = hci_socket(0xffff, HCI_CHANNEL_CONTROL)

    def command(self, opcode, index=0xffff, params=b"", timeout=30):
        """Status and parameters of the answer."""
        self.sock.send(struct.pack("<HHH", opcode, index, len(params)) + params)
        end = time.monotonic() + timeout
        while select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
            event = self.sock.recv(1024)
            code, where, _ = struct.unpack_from("<HHH", event)
            if code in (1, 2) and where == index and struct.unpack_from("<H", event, 6)[0] == opcode:
                return event[8], event[9:]
        fail("no answer of the management channel to %#x" % opcode)

    def event(self, code, timeout=30):
        """The next event of this kind: index and parameters."""
        end = time.monotonic() + timeout
        while select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
            event = self.sock.recv(1024)
            got, index, _ = struct.unpack_from("<HHH", event)
            if got == code:
                return index, event[6:]
        fail("no event %#x of the management channel" % code)

    def indexes(self):
        """Of the controllers that are set up."""
        status, listed = self.command(MGMT_READ_INDEX_LIST)
        equal(status, 0, "status of Read Controller Index List")
        return set(struct.unpack("<%dH" % (len(listed) // 2 - 1), listed[2:]))

    def address(self, index):
        status, info = self.command(MGMT_READ_INFO, index)
        equal(status, 0, "status of Read Controller Information")
        return info[5::-1].hex(":").upper()


    def done(self, opcode, index, params=b""):
        """A command that works, once the controller is through with what it does by itself."""
        eventually(lambda: self.command(opcode, index, params)[0] == 0, 15, "command %#x of hci%d fails" % (opcode, index), 0.3)

    def power(self, index, on):
        self.done(MGMT_SET_POWERED, index, bytes([on]))


def controller(radio, name):
    return radio.ask("controllers", controller=name)["controllers"][0]


def links(radio, index):
    """Of a controller of the kernel."""
    return controller(radio, "kernel%d" % index)["links"]


def no_links(radio):
    eventually(lambda: not links(radio, 0) and not links(radio, 1), 15, "a link is left")


@contextlib.contextmanager
def host(radio, path=H4):
    """A host without a stack, which knows its name and address."""
    before = {c["name"] for c in radio.ask("controllers")["controllers"]}
    made = Host(path, None)
    new, = (c for c in radio.ask("controllers")["controllers"] if c["name"] not in before)
    made.name, made.address = new["name"], new["address"]
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def scripted(radio, *arguments, path=H4_LEGACY):
    """The scripted peer on a controller of its own, with the radio's name for that."""
    before = {c["name"] for c in radio.ask("controllers")["controllers"]}
    with peer("scripted-peer", "--socket", path, *arguments) as p:
        p.address = re.search(r" address=(\S+)", "\n".join(p.lines))[1].upper()
        p.name, = (c["name"] for c in radio.ask("controllers")["controllers"]
                   if c["name"] not in before and c["address"] == p.address)
        yield p


class Reports(threading.Thread):
    """What a raw socket hears of advertising on a controller of the kernel: (time, address, data) each."""

    def __init__(self, index):
        super().__init__(daemon=True)
        self.sock = hci_socket(index, HCI_CHANNEL_RAW)
        self.sock.setsockopt(0, 2, struct.pack("<IIIHxx", 1 << 4, 0, 1 << (0x3e - 32), 0))  # SOL_HCI, HCI_FILTER: LE meta events
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.sock.settimeout(1)
        self.events, self.over = [], False
        self.start()

    def run(self):
        while not self.over:
            with contextlib.suppress(TimeoutError):
                self.events.append((time.monotonic(), self.sock.recv(512)))

    def stop(self):
        """What was heard."""
        self.over = True
        self.join()
        self.sock.close()
        heard = []
        for when, event in self.events:
            kind, at = event[3], 5
            if kind not in (0x02, 0x0d):  # LE Advertising Report, LE Extended Advertising Report
                continue
            for _ in range(event[4]):
                address, length = (at + 3, at + 23) if kind == 0x0d else (at + 2, at + 8)
                end = length + 1 + event[length] + (kind == 0x02)  # RSSI is the last in the old ones
                heard.append((when, event[address:address + 6][::-1].hex(":").upper(), event[length + 1:length + 1 + event[length]]))
                at = end
        return heard


def quiet(radio):
    """The air as it was: nobody scripted, nothing lost, all side by side."""
    if radio.ask("adverts")["adverts"]:
        radio.ask("advert-remove", name="*")
    radio.ask("fault-remove", all=True)
