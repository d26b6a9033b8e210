#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=300 controllers=2 radio=yes
"""Other people's centrals at our services: gatttool, noble, and bleak on bluetoothd."""
from radio_cases import *
from server_cases import *

NAME = "Served"

radio, mgmt = Control(CONTROL), Mgmt()
start_service()
adapter = Adapter()
mine = adapter.get("Address")
both = mgmt.indexes()
index, = both - {int(adapter.get("Name").removeprefix("hci"))}


def power(on):
    eventually(lambda: mgmt.command(MGMT_SET_POWERED, index, bytes([on]))[0] == 0, 15, "power", 0.3)


def no_links():
    eventually(lambda: not objects("Connection1"), 20, "a link is left")


def works_through(p, name):
    """The peer's report of the whole belt."""
    equal(p.wait(r"^read char=2a38 value=(\S+)", 60)[1], "01", "body sensor location")
    equal(p.wait(r"^written same=(\S+)", 60)[1].lower(), "true", "what was written is read")
    equal(bytes.fromhex(p.wait(r"^echo value=(\S+)", 60)[1]), name, "indication")
    for _ in range(3):
        p.wait(r"^beat value=16", 60)
    equal(p.wait(r"^flooded (.*)", 90)[1].lower(), "count=100 ordered=true", "notifications")
    p.wait(r"^done\b", 60)


with case("gatttool lists, reads, writes and is notified"), Belt(adapter, NAME) as belt:
    power(True)
    tool = ["gatttool", "-i", "hci%d" % index, "-b", mine]
    handles = {uuid: belt.app.handle(uuid) for uuid in belt.app.rows}
    shown = run(*tool, "--characteristics")
    for uuid, handle in handles.items():
        contains(shown, "char value handle = %#06x, uuid = %s" % (handle, uuid if len(uuid) > 4 else "0000" + uuid))
    contains(run(*tool, "--char-read", "-a", hex(handles["2a38"])), "descriptor: 01")
    contains(run(*tool, "--char-write-req", "-a", hex(handles[LONG]), "-n", "c0ffee"), "written successfully")
    contains(run(*tool, "--char-read", "-a", hex(handles[LONG])), "descriptor: c0 ff ee")
    equal(belt.app.char(LONG).call("Read"), b"\xc0\xff\xee", "the stored value")
    refused = subprocess.run([*tool, "--char-read", "-a", hex(handles[REFUSED])], capture_output=True, text=True, timeout=60)
    contains(refused.stderr + refused.stdout, "failed")
    listener = Peer("stdbuf", "-oL", *tool, "--char-write-req", "-a", hex(handles["2a37"] + 1), "-n", "0100", "--listen")
    for _ in range(3):
        listener.wait(r"Notification handle = %#06x value: 16 " % handles["2a37"])
    listener.stop()
    no_links()
power(False)

with case("noble works through our belt"), Belt(adapter, NAME) as belt:
    radio.ask("plug", name="lenient", profile="5.2,le-states,mixed")
    lenient, = eventually(lambda: mgmt.indexes() - both, 20)
    with peer("noble-central.js", "--device", lenient, "--name", NAME) as noble:
        equal(noble.wait(r"^found address=(\S+)", 60)[1].upper(), mine, "address")
        works_through(noble, b"noble")
    radio.ask("unplug", controller="lenient")
    no_links()

with case("bleak works through our belt"), Belt(adapter, NAME) as belt:
    with peer("bleak-central.py", "--device", index, "--name", NAME, timeout=90) as bleak:
        equal(bleak.wait(r"^found address=(\S+)", 60)[1].upper(), mine, "address")
        bleak.wait(r"^connected\b", 60)
        works_through(bleak, b"bleak")
    no_links()
    equal(belt.commands, 5, "write commands")

finish()
