#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=300 controllers=2 radio=yes
"""Other people's hosts over our air, each in the roles it has: noble and bleno, gatttool, l2test.

Our own daemon has no part in this.
"""
from gatt_cases import COUNT, ECHO, LONG
from radio_cases import *

MGMT_ADD_ADVERTISING, MGMT_REMOVE_ADVERTISING = 0x3e, 0x3f
CONNECTABLE, DISCOVERABLE = 1, 2
PSM = 0x80

radio, mgmt = Control(CONTROL), Mgmt()
ADDRESSES = [mgmt.address(index) for index in (0, 1)]


def advertise(index):
    mgmt.done(MGMT_ADD_ADVERTISING, index, struct.pack("<BIHHBB", 1, CONNECTABLE | DISCOVERABLE, 0, 0, 0, 0))


# noble and bleno, each on a user channel; noble begins with legacy commands and goes on with extended ones, if there are any

def plug(name, profile):
    """One more controller for the kernel; its index."""
    before = mgmt.indexes()
    radio.ask("plug", name=name, profile=profile)
    eventually(lambda: radio.ask("air")["ready"] and mgmt.indexes() > before, 20)
    index, = mgmt.indexes() - before
    return index


LENIENT, OLD = plug("lenient", "5.2,le-states,mixed"), plug("old", "4.2,le-states")

with case("noble finds bleno, reads, writes, is notified and leaves"):
    with peer("heart-rate.js", "--device", 1, "--name", "Belt", "--interval-ms", 200, "--advertise-ms", 0) as belt:
        with peer("noble-central.js", "--device", LENIENT, "--name", "Belt") as noble:
            equal(noble.wait(r"^found address=(\S+)")[1].upper(), ADDRESSES[1], "address")
            noble.wait(r"^connected\b")
            equal(noble.wait(r"^read char=2a38 value=(\S+)")[1], "01", "value")
            equal(noble.wait(r"^written same=(\S+)")[1], "true", "what was written is read")
            equal(bytes.fromhex(noble.wait(r"^echo value=(\S+)")[1]), b"noble", "indication")
            equal(noble.wait(r"^flooded (.*)", 60)[1], "count=100 ordered=true", "notifications")
            noble.wait(r"^done\b")
        belt.wait(r"^disconnected\b")

with case("noble on an older controller meets a host on the radio's socket"):
    name = "{\"advertise\": {\"data\": \"020106 09095363726970746564\", \"response\": \"\"}}"
    with scripted(radio, "--set", name) as p, peer("noble-central.js", "--device", OLD, "--name", "Scripted", "--beats", 0,
                                                   "--flood", 50) as noble:
        equal(noble.wait(r"^found address=(\S+)")[1].upper(), p.address, "address")
        p.wait(r"^connected\b")
        equal(noble.wait(r"^written same=(\S+)")[1], "true", "what was written is read")
        noble.wait(r"^flooded count=50 ordered=true")
        noble.wait(r"^done\b")

for name in ("lenient", "old"):
    radio.ask("unplug", controller=name)
eventually(lambda: len(mgmt.indexes()) == 2, 20)

# gatttool against bleno

with peer("heart-rate.js", "--device", 1, "--name", "Belt", "--interval-ms", 200, "--advertise-ms", 0, "--links", 4) as belt:
    mgmt.power(0, True)
    tool = ["gatttool", "-i", "hci0", "-b", ADDRESSES[1]]
    handles = {}

    with case("gatttool lists the characteristics of bleno"):
        for line in run(*tool, "--characteristics").splitlines():
            found = re.search(r"char value handle = (0x\w+), uuid = (\S+)", line)
            handles[found[2].removesuffix("-0000-1000-8000-00805f9b34fb").removeprefix("0000")] = int(found[1], 16)
        equal(handles.keys() & {"2a37", "2a38", "2a19", LONG, COUNT, ECHO}, {"2a37", "2a38", "2a19", LONG, COUNT, ECHO})

    with case("it reads and writes"):
        contains(run(*tool, "--char-read", "-a", hex(handles["2a38"])), "descriptor: 01")
        contains(run(*tool, "--char-write-req", "-a", hex(handles[LONG]), "-n", "c0ffee"), "written successfully")
        contains(run(*tool, "--char-read", "-a", hex(handles[LONG])), "descriptor: c0 ff ee")

    with case("it is notified"):
        listener = Peer("stdbuf", "-oL", *tool, "--char-write-req", "-a", hex(handles["2a37"] + 1), "-n", "0100", "--listen")
        for _ in range(3):
            listener.wait(r"Notification handle = %#06x value: 16 " % handles["2a37"])
        listener.stop()
    no_links(radio)
    mgmt.power(0, False)

    with case("four centrals at one bleno, each is told what is its own"), contextlib.ExitStack() as stack:
        centrals = [stack.enter_context(host(radio)) for _ in range(4)]
        linked = []

        def att(number, pdu, answers=1):
            """Sends a request; what comes back on ATT."""
            centrals[number].sock.sendall(struct.pack("<BHHHH", 2, linked[number], len(pdu) + 4, len(pdu), 4) + pdu)
            return [centrals[number].data() for _ in range(answers)]

        for central in centrals:
            status, handle = central.connect(ADDRESSES[1])
            equal(status, 0, "status of the connection")
            linked.append(handle)
        equal(len({link["handle"] for link in links(radio, 1)}), 4, "handles at bleno's controller")
        for number in range(4):
            equal(att(number, struct.pack("<BHH", 0x12, handles[ECHO] + 1, 2)), [b"\x13"], "answer to the subscription")
        for number in range(4):
            text = b"for %d" % number
            answers = att(number, struct.pack("<BH", 0x12, handles[ECHO]) + text, 2)
            equal(sorted(answers), [b"\x13", struct.pack("<BH", 0x1d, handles[ECHO]) + text], "answers to %d" % number)
    no_links(radio)

# l2test

for listening, calling in ((1, 0), (0, 1)):
    with case("l2test: a channel from hci%d to hci%d, with data both ways" % (calling, listening)):
        mgmt.power(0, True)
        mgmt.power(1, True)
        advertise(listening)
        for here, there in (("-d", "-s"), ("-w", "-u")):
            server = Peer("l2test", here, "-i", "hci%d" % listening, "-V", "le_public", "-P", str(PSM), "-b", "500", "-N", "40")
            server.wait(r"Waiting for connection")
            client = Peer("l2test", there, "-i", "hci%d" % calling, "-V", "le_public", "-P", str(PSM), "-b", "500", "-N", "40",
                          ADDRESSES[listening])
            client.wait(r"Connected to ")
            receiver = server if here == "-d" else client
            for _ in range(3):
                receiver.wait(r"bytes")
            for end in (server, client):
                end.kill()
                end.process.wait()
            no_links(radio)
        mgmt.done(MGMT_REMOVE_ADVERTISING, listening, b"\0")

finish()
