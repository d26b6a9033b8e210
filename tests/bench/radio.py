#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What aioble-radio carries between two controllers of the kernel, as figures: reports of 2000 advertisers, packets of one link.

Run it in a guest with counted time, where a second is a number of instructions of everybody (radio, kernel, this program) and the
host's load changes nothing:

    tools/guest --radio --icount --no-systemd --timeout 0 -- tests/bench/radio.py

* reports: 2000 scripted advertisers send every second (1000 to 1010 ms: 1990 reports a second), eight times each. Counted is
  what a raw HCI socket gets, from the first report to the last.
* a link: attribute write commands of one size, from the central and then from the peripheral, on an ATT channel whose send
  queue is never empty. Counted is what arrives at the other socket. The ceiling is the packet timing's: a data packet, an
  empty one, and the two gaps between them.

Status 1 when a figure is more than 10 % below what is possible.
"""
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from radio_cases import *  # noqa: E402

ADVERTISERS, EVENTS, PERIOD_S = 2000, 8, 1.005
SECONDS, TICK_S = 5, 0.005
BTPROTO_L2CAP, SOL_BLUETOOTH, BT_SNDMTU, BT_RCVMTU, ATT_CID, LE_PUBLIC, MTU = 0, 274, 12, 13, 4, 1, 517
SO_RCVBUFFORCE = 33
MGMT_ADD_ADVERTISING = 0x3e
EXT_SCAN_PARAMETERS, EXT_SCAN_ENABLE, SET_PHY = 0x2041, 0x2042, 0x2032
GAP_US = 150
LINKS = (
    # payload of a write command, PHY, bytes of preamble, microseconds a byte: what the kernel negotiates has packets of 251 bytes
    (20, 1, 1, 8),
    (244, 1, 1, 8),
    (244, 2, 2, 4),
)


def ceiling(payload, preamble, byte_us):
    """Packets a second: access address, header and CRC around L2CAP and ATT headers and the payload; then an empty packet."""
    around = preamble + 4 + 2 + 3
    return 1e6 / ((around + 4 + 3 + payload + around) * byte_us + 2 * GAP_US)


class Figures:
    def __init__(self):
        self.poor = []

    def show(self, text, got, possible):
        share = got / possible
        print("%-62s %7.0f of %5.0f  %5.1f %%" % (text, got, possible, 100 * share), flush=True)
        if share < 0.9:
            self.poor.append(text)


def raw_command(sock, opcode, params):
    sock.send(struct.pack("<BHB", 1, opcode, len(params)) + params)


def reports(figures):
    raw = hci_socket(0, HCI_CHANNEL_RAW)
    raw_command(raw, EXT_SCAN_PARAMETERS, struct.pack("<BBBBHH", 0, 0, 1, 0, 0x0800, 0x0800))
    raw_command(raw, EXT_SCAN_ENABLE, struct.pack("<BBHH", 1, 0, 0, 0))
    eventually(lambda: controller(radio, "kernel0")["scanner"]["on"])
    listener = Reports(0)
    radio.ask("advert", name="tag", count=ADVERTISERS, address="C1:00:00:00:00:00", interval_ms=1000, events=EVENTS,
              data="[ff ffff {index:2}{counter:4}]")
    time.sleep(EVENTS * PERIOD_S + 2)
    heard = listener.stop()
    raw_command(raw, EXT_SCAN_ENABLE, bytes(6))
    raw.close()
    quiet(radio)
    different = len({(address, data) for _, address, data in heard})
    figures.show("reports a second from %d advertisers (%d addresses)" % (ADVERTISERS, len({a for _, a, _ in heard})),
                 len(heard) / (heard[-1][0] - heard[0][0]), ADVERTISERS / PERIOD_S)
    figures.show("  and of what they sent was heard", different, ADVERTISERS * EVENTS)


class Att:
    """A socket on the ATT channel, which Python's own bind and connect cannot name."""
    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, index):
        self.sock = socket.socket(AF_BLUETOOTH, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, BTPROTO_L2CAP)
        self.call("bind", mgmt.address(index))
        for option in (BT_SNDMTU, BT_RCVMTU):
            self.sock.setsockopt(SOL_BLUETOOTH, option, struct.pack("<H", MTU))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)

    def call(self, name, address):
        raw = struct.pack("<HH6sHBx", AF_BLUETOOTH, 0, bytes.fromhex(address.replace(":", ""))[::-1], ATT_CID, LE_PUBLIC)
        if getattr(self.libc, name)(self.sock.fileno(), raw, len(raw)):
            raise OSError(ctypes.get_errno(), name)


def moved(move):
    """How often it could be done at once."""
    for count in itertools.count():
        try:
            move()
        except BlockingIOError:
            return count


def pump(sender, receiver, payload):
    """Packets a second that arrive while there is always one to be sent; looked at now and then, for that costs time, too."""
    pdu = b"\x52\x01\x00" + bytes(payload)
    arrived, began, now = 0, None, 0
    while not began or now - began < SECONDS:
        moved(lambda: sender.send(pdu))
        time.sleep(TICK_S)
        arrived += moved(lambda: receiver.recv(MTU))
        now = time.monotonic()
        if not began and arrived:
            arrived, began = 0, now
    while select.select([receiver], [], [], 1)[0]:  # what was queued
        receiver.recv(MTU)
    return arrived / (now - began)


def link(figures):
    server = Att(1)
    server.sock.listen(1)
    mgmt.done(MGMT_ADD_ADVERTISING, 1, struct.pack("<BIHHBB", 1, 1, 0, 0, 0, 0))
    client = Att(0)
    client.call("connect", mgmt.address(1))
    accepted, _ = server.sock.accept()
    for end in (client.sock, accepted):
        end.setblocking(False)
    raw = hci_socket(0, HCI_CHANNEL_RAW)
    for payload, phy, preamble, byte_us in LINKS:
        raw_command(raw, SET_PHY, struct.pack("<HBBBH", links(radio, 0)[0]["handle"], 0, phy, phy, 0))
        time.sleep(1)
        for sender, receiver, way in ((client.sock, accepted, "central to peripheral"), (accepted, client.sock, "peripheral to central")):
            figures.show("packets a second, %d bytes, %dM, %s" % (payload, phy, way), pump(sender, receiver, payload),
                         ceiling(payload, preamble, byte_us))
    for end in (client.sock, accepted, server.sock, raw):
        end.close()


os.nice(19)  # there is one processor: who measures must not keep a controller waiting until its buffers are empty
radio, mgmt = Control(CONTROL), Mgmt()
figures = Figures()
for index in (0, 1):
    mgmt.done(MGMT_SET_LE, index, b"\1")
    mgmt.power(index, True)
reports(figures)
link(figures)
sys.exit(1 if figures.poor else 0)
