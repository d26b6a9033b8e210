#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=300 controllers=2 radio=yes
"""Other people's hosts over our air, each in the roles it has: noble and bleno, gatttool, l2test, bluetoothd with bluetoothctl.

Our own daemon has no part in this.
"""
import pty
import threading
import tty

from gatt_cases import COUNT, ECHO, LONG
from radio_cases import *

BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
MGMT_SET_SECURE, MGMT_ADD_ADVERTISING, MGMT_REMOVE_ADVERTISING, MGMT_NEW_LTK, MGMT_USER_CONFIRM = 0x2d, 0x3e, 0x3f, 0x0a, 0x0f
CONNECTABLE, DISCOVERABLE = 1, 2
PSM = 0x80

radio, mgmt = Control(CONTROL), Mgmt()
ADDRESSES = [mgmt.address(index) for index in (0, 1)]


def mgmt_done(opcode, index, params=b""):
    """A command that works, once the controller is through with what it does by itself."""
    eventually(lambda: mgmt.command(opcode, index, params)[0] == 0, 15, "command %#x of hci%d fails" % (opcode, index), 0.3)


def power(index, on):
    mgmt_done(MGMT_SET_POWERED, index, bytes([on]))


def advertise(index):
    mgmt_done(MGMT_ADD_ADVERTISING, index, struct.pack("<BIHHBB", 1, CONNECTABLE | DISCOVERABLE, 0, 0, 0, 0))


def links(index):
    return controller(radio, "kernel%d" % index)["links"]


def no_links():
    eventually(lambda: not links(0) and not links(1), 15, "a link is left")


class Shell(Peer):
    """A program that talks to a terminal: what it writes is searched as one text, without colours."""

    def __init__(self, *command):
        self.text, self.at = "", 0
        self.fd, theirs = pty.openpty()
        tty.setraw(theirs)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        env=dict(os.environ, TERM="linux"))
        os.close(theirs)

    def wait(self, pattern, timeout=30):
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text[self.at:])
            if found:
                self.at += found.end()
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Failure("%r never came; the last words: %r" % (pattern, self.text[-200:]))
            try:
                data = os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                raise Failure("it ended before %r came: %r" % (pattern, self.text[-200:])) from None
            print("# shell: " + data.replace("\n", "\n# shell: "), flush=True)
            self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x01\x02]", "", data)

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")


@contextlib.contextmanager
def shell(*command):
    made = Shell(*command)
    try:
        yield made
    finally:
        made.stop()
        os.close(made.fd)


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
    power(0, True)
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
    no_links()
    power(0, False)

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
        equal(len({link["handle"] for link in links(1)}), 4, "handles at bleno's controller")
        for number in range(4):
            equal(att(number, struct.pack("<BHH", 0x12, handles[ECHO] + 1, 2)), [b"\x13"], "answer to the subscription")
        for number in range(4):
            text = b"for %d" % number
            answers = att(number, struct.pack("<BH", 0x12, handles[ECHO]) + text, 2)
            equal(sorted(answers), [b"\x13", struct.pack("<BH", 0x1d, handles[ECHO]) + text], "answers to %d" % number)
    no_links()

# l2test

for listening, calling in ((1, 0), (0, 1)):
    with case("l2test: a channel from hci%d to hci%d, with data both ways" % (calling, listening)):
        power(0, True)
        power(1, True)
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
            no_links()
        mgmt_done(MGMT_REMOVE_ADVERTISING, listening, b"\0")

# bluetoothd

PAIRINGS = [
    # name, Secure Connections, what the peripheral and the central can do, type of the key, whether the bond is used then
    ("legacy, just works", 0, "NoInputNoOutput", "NoInputNoOutput", 0, False),
    ("legacy, passkey", 0, "DisplayOnly", "KeyboardOnly", 1, True),
    ("Secure Connections, just works", 1, "NoInputNoOutput", "NoInputNoOutput", 2, False),
    ("Secure Connections, passkey", 1, "DisplayOnly", "KeyboardOnly", 3, False),
    ("Secure Connections, numeric comparison", 1, "DisplayYesNo", "DisplayYesNo", 3, True),
]


class Told(threading.Thread):
    """What the kernel tells its managers: types of new long-term keys, and numbers to be compared, of each controller."""

    def __init__(self):
        super().__init__(daemon=True)
        self.mgmt = Mgmt()
        self.keys, self.numbers = {}, {}
        self.start()

    def run(self):
        while True:
            event = self.mgmt.sock.recv(1024)
            code, index, _ = struct.unpack_from("<HHH", event)
            if code == MGMT_NEW_LTK:
                self.keys.setdefault(index, set()).add(event[6 + 1 + 7])
            elif code == MGMT_USER_CONFIRM:
                self.numbers[index], = struct.unpack_from("<I", event, 6 + 7 + 1)

    def forget(self):
        self.keys.clear()
        self.numbers.clear()


@contextlib.contextmanager
def bluetoothctl(index, able):
    with shell("bluetoothctl", "--agent", able) as ctl:
        ctl.wait(r"Agent registered")
        ctl.say("select " + ADDRESSES[index])
        ctl.wait(r"#")
        yield ctl


def answer(peripheral, central, able):
    """What a user does while two devices pair."""
    if able == "NoInputNoOutput":
        peripheral.wait(r"Request authorization")
        peripheral.say("yes")
    elif able == "DisplayOnly":
        passkey = peripheral.wait(r"Passkey:\s*(\d{6})")[1]
        central.wait(r"Request passkey")
        central.say(passkey)
    elif able == "DisplayYesNo":
        for ctl in (peripheral, central):
            ctl.wait(r"Request confirmation")
        equal(told.numbers.get(0), told.numbers.get(1), "the number shown by one and by the other")
        check(told.numbers.get(0), "no number was shown")
        for ctl in (peripheral, central):
            ctl.say("yes")


def reconnect(central):
    """The bond makes the next link an encrypted one."""
    central.say("disconnect " + ADDRESSES[1])
    central.wait(r"Successful disconnected")
    no_links()
    central.say("connect " + ADDRESSES[1])
    central.wait(r"Connection successful")
    eventually(lambda: [link["encrypted"] for link in links(0)] == [True], 10, "the bond was not used")


log = open("/out/bluetoothd.log", "wb") if os.path.isdir("/out") else subprocess.DEVNULL
daemon = subprocess.Popen([BLUETOOTHD, "-n", "-d"], stdout=log, stderr=log)
told = Told()

with case("bluetoothd takes both controllers"):
    eventually(lambda: all(a in run("bluetoothctl", "list", check_status=False) for a in ADDRESSES), 20)

for index in (0, 1):
    power(index, True)

for name, secure, there, here, kind, again in PAIRINGS:
    with case("bluetoothctl scans and pairs: %s%s" % (name, ", and connects by that bond" if again else "")):
        for index in (0, 1):
            mgmt_done(MGMT_SET_SECURE, index, bytes([secure]))
        with bluetoothctl(1, there) as peripheral, bluetoothctl(0, here) as central:
            peripheral.say("default-agent")
            peripheral.wait(r"Default agent request successful")
            peripheral.say("pairable on")
            peripheral.say("advertise on")
            peripheral.wait(r"Advertising object registered")
            central.say("scan le")
            central.wait(r"Device %s" % ADDRESSES[1])
            central.say("scan off")
            central.wait(r"Discovery stopped")
            told.forget()
            central.say("pair " + ADDRESSES[1])
            answer(peripheral, central, there)
            central.wait(r"Pairing successful", 60)
            eventually(lambda: len(told.keys) == 2, 10, "no keys")
            equal(told.keys, {0: {kind}, 1: {kind}}, "types of keys")
            equal([link["encrypted"] for link in links(0)], [True], "encrypted links")
            if again:
                reconnect(central)
            for ctl, other in ((central, 1), (peripheral, 0)):
                ctl.say("remove " + ADDRESSES[other])
                ctl.wait(r"Device has been removed")
        no_links()

daemon.terminate()
daemon.wait(10)
finish()
