#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=420 controllers=2 radio=yes
"""A temperature sensor out of a file: aioblectl serve, read and listened to by gatttool, noble and bleak; and busctl alone."""
from radio_cases import *
from server_cases import SENSING, TEMPERATURE

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs/examples")
SENSOR, UART = os.path.join(EXAMPLES, "temp-sensor.json"), os.path.join(EXAMPLES, "uart.json")
NAME = "temp-sense"

radio, mgmt = Control(CONTROL), Mgmt()
start_service()
adapter = Adapter()
mine = adapter.get("Address")
ours = int(adapter.get("Name").removeprefix("hci"))
others = mgmt.indexes() - {ours}
index, = others
tool = ["gatttool", "-i", "hci%d" % index, "-b", mine]


def power(on):
    mgmt.power(index, on)


def all_gone():
    eventually(lambda: not objects("Connection1") and not objects("Application1") and not objects("Advertiser1"), 20,
               "something is left")


def handle_of(file, label):
    """What --check says of it: nobody else has services here."""
    doc = json.loads(run("aioblectl", "serve", "--check", "--json", file))
    return next(a["handle"] for a in doc["attributes"] if a.get("label") == label)


class Feeder(threading.Thread):
    """Writes lines to a program's standard input, as a shell loop would: temp 2200, 2201, ..."""

    def __init__(self, stdin, interval=0.2):
        super().__init__(daemon=True)
        self.stdin, self.interval, self.over, self.sent = stdin, interval, threading.Event(), 2199
        self.start()

    def run(self):
        while not self.over.wait(self.interval):
            self.sent += 1
            self.stdin.write(b"temp %d\n" % self.sent)
            self.stdin.flush()

    def stop(self):
        self.over.set()
        self.join()


@contextlib.contextmanager
def serve(file, *options, feed=False):
    """The command, on the air, its lines as events; nothing of it stays."""
    p = Peer("aioblectl", "serve", *options, file)
    feeder = None
    try:
        p.wait(r"\ton-air\t", 60)
        feeder = Feeder(p.process.stdin) if feed else None
        yield p
    finally:
        if feeder:
            feeder.stop()
        p.process.send_signal(signal.SIGINT)
        equal(p.process.wait(30), 0, "exit code of aioblectl serve")
        all_gone()


def decimal(text):
    return int.from_bytes(bytes.fromhex(text), "little")


# The first one: tshark goes by what a central once learned of a handle, and this central asks for nothing.
with case("a shell script answers what is written to it"):
    rx, tx = handle_of(UART, "rx"), handle_of(UART, "tx")
    script = Peer(os.path.join(EXAMPLES, "serve-echo"))
    eventually(lambda: objects("Advertiser1"), 60)
    with host(radio) as one:
        status, link = one.connect(mine)
        equal(status, 0, "status of the connection")
        equal(one.att(link, struct.pack("<BHH", 0x12, tx + 1, 1)), b"\x13", "answer to the subscription")
        equal(one.att(link, struct.pack("<BH", 0x12, rx) + b"hello"), b"\x13", "answer to the write")
        equal(one.data(), struct.pack("<BH", 0x1b, tx) + b"HELLO", "notification")
    script.stop()
    all_gone()

with case("gatttool finds the sensor's tree, reads it, and is told of new values"), serve(SENSOR) as s:
    power(True)
    temp = handle_of(SENSOR, "temp")
    contains(run(*tool, "--primary"), "uuid: 0000181a-0000-1000-8000-00805f9b34fb")
    contains(run(*tool, "--characteristics"), "char properties = 0x12, char value handle = %#06x, uuid = 00002a6e" % temp)
    contains(run(*tool, "--char-desc"), "handle = %#06x, uuid = 00002904" % (temp + 3))
    contains(run(*tool, "--char-read", "-a", hex(temp)), "descriptor: 66 08")
    contains(run(*tool, "--char-read", "-a", hex(temp + 2)), b"Outdoor temperature".hex(" "))
    contains(run(*tool, "--char-read", "-u", "2a00"), b"temp-sense".hex(" "))
    s.wait(r"\tconnected\t")
    s.wait(r"\tdisconnected\t")
    feeder = Feeder(s.process.stdin)
    listener = Peer("stdbuf", "-oL", *tool, "--char-write-req", "-a", hex(temp + 1), "-n", "0100", "--listen")
    s.wait(r"\tsubscribed\t\S+\ttemp\tnotify$")
    heard = [decimal(listener.wait(r"Notification handle = %#06x value: ((?:\w\w ?)+)" % temp)[1]) for _ in range(5)]
    equal(heard, list(range(heard[0], heard[0] + 5)), "values")
    between(heard[0], 2200, feeder.sent, "the first one")
    listener.stop()
    s.wait(r"\tunsubscribed\t\S+\ttemp\t-$")
    feeder.stop()
    power(False)

with case("noble reads it and is told"), serve(SENSOR, feed=True):
    radio.ask("plug", name="lenient", profile="5.2,le-states,mixed")
    lenient, = eventually(lambda: mgmt.indexes() - others - {ours}, 20)
    with peer("noble-central.js", "--device", lenient, "--name", NAME, "--sensor", TEMPERATURE) as noble:
        equal(noble.wait(r"^found address=(\S+)", 60)[1].upper(), mine, "address")
        first = decimal(noble.wait(r"^read char=2a6e value=(\S+)", 60)[1])
        told = [decimal(noble.wait(r"^notified char=2a6e value=(\S+)", 60)[1]) for _ in range(3)]
        noble.wait(r"^done\b", 60)
        check(first < told[0] and told == list(range(told[0], told[0] + 3)), "values %r, %r" % (first, told))
    radio.ask("unplug", controller="lenient")

with case("bleak reads it and is told"), serve(SENSOR, feed=True):
    with peer("bleak-central.py", "--device", index, "--name", NAME, "--sensor", TEMPERATURE, timeout=90) as bleak:
        equal(bleak.wait(r"^found address=(\S+)", 60)[1].upper(), mine, "address")
        first = decimal(bleak.wait(r"^read char=2a6e value=(\S+)", 60)[1])
        told = [decimal(bleak.wait(r"^notified char=2a6e value=(\S+)", 60)[1]) for _ in range(3)]
        bleak.wait(r"^done\b", 60)
        check(first < told[0] and told == list(range(told[0], told[0] + 3)), "values %r, %r" % (first, told))


def come(s, made):
    """A host connects: its handle, once the command has told of it."""
    while True:
        status, handle = made.connect(mine)
        equal(status, 0, "status of the connection")
        try:
            s.wait(r"\tconnected\t%s\t" % made.address.upper(), 5)
            return handle
        except Failure:
            equal(made.event(DISCONNECTED)[3], 0x3e, "reason there of a link that is not here")


with case("two centrals: one is told, status says which"), serve(SENSOR) as s, host(radio) as one, host(radio) as two:
    temp = handle_of(SENSOR, "temp")
    links = [come(s, h) for h in (one, two)]
    equal(one.att(links[0], struct.pack("<BHH", 0x12, temp + 1, 1)), b"\x13", "answer to the subscription")
    s.wait(r"\tsubscribed\t%s\ttemp\tnotify$" % one.address.upper())
    doc = json.loads(run("aioblectl", "status", "--json"))
    equal([(x["address"].upper(), x["handle"]) for x in doc["applications"][0]["subscribers"]], [(one.address.upper(), temp)])
    equal({c["address"].upper() for c in doc["connections"]}, {one.address.upper(), two.address.upper()})
    equal([a["state"] for a in doc["advertisers"]], ["running"])
    s.process.stdin.write(b"temp -1\n")
    s.process.stdin.flush()
    equal(one.data(), struct.pack("<BHh", 0x1b, temp, -1), "notification")
    for h, link in ((one, links[0]), (two, links[1])):
        equal(h.att(link, struct.pack("<BH", 0x0a, temp)), struct.pack("<Bh", 0x0b, -1), "value read")

with case("killed, it leaves nothing behind, not even its link"), host(radio) as one:
    p = Peer("aioblectl", "serve", SENSOR)
    p.wait(r"\ton-air\t", 60)
    come(p, one)
    p.process.kill()
    equal(one.event(DISCONNECTED)[3], 0x13, "reason there")
    all_gone()

with case("with --retry it outlives the daemon, with the newest value"), serve(SENSOR, "--retry") as s, host(radio) as one:
    s.process.stdin.write(b"temp 2345\n")
    s.process.stdin.flush()
    temp = handle_of(SENSOR, "temp")
    link = come(s, one)
    eventually(lambda: one.att(link, struct.pack("<BH", 0x0a, temp)) == struct.pack("<Bh", 0x0b, 2345), 10)
    restart_service()
    one.event(DISCONNECTED)
    s.wait(r"\ton-air\t", 60)
    link = come(s, one)
    equal(one.att(link, struct.pack("<BH", 0x0a, temp)), struct.pack("<Bh", 0x0b, 2345), "value after the restart")

with case("the daemon's end is its own, without"):
    s = Peer("aioblectl", "serve", SENSOR)
    s.wait(r"\ton-air\t", 60)
    restart_service()
    s.wait(r"the daemon went away")
    equal(s.process.wait(30), 8, "exit code")

# busctl: each command on its own

ADAPTER = "/org/aioble/" + adapter.path.rsplit("/", 1)[1]


def called(path, interface, member, *arguments):
    """What the method returned."""
    return busctl("call", "org.aioble", path, "org.aioble." + interface, member, *map(str, arguments))["data"]


with case("busctl alone, in separate commands: a sensor that is read and told of"):
    app, services = called(ADAPTER, "Adapter1", "RegisterServices", "aa{sv}a{sv}", 1, 2, "uuid", "s", SENSING,
                           "characteristics", "aa{sv}", 1, 4, "uuid", "s", TEMPERATURE, "read", "b", "true", "notify", "b", "true",
                           "initial", "ay", 2, 0x66, 0x08, 1, "lifetime", "s", "persistent")
    path, temp = services[0][5][0][0], services[0][5][0][3]
    adv, = called(ADAPTER, "Adapter1", "Advertise", "ta{sv}", 100000, 5, "name", "s", NAME, "services", "as", 1, SENSING,
                  "appearance", "q", 768, "keep", "b", "true", "lifetime", "s", "persistent")
    power(True)
    contains(run(*tool, "--char-read", "-u", TEMPERATURE), "value: 66 08")
    listener = Peer("stdbuf", "-oL", *tool, "--char-write-req", "-a", hex(temp + 1), "-n", "0100", "--listen")
    event, attribute, conn, _, details = called(app, "Application1", "Next", "a{sv}", 1, "timeout_ms", "u", 20000)
    equal((event, attribute, details["notify"]["data"]), ("subscribed", path, True))
    for value in (2200, 2201):
        busctl("call", "org.aioble", path, "org.aioble.LocalCharacteristic1", "Write", "aya{sv}", "2", str(value & 0xff),
               str(value >> 8), "1", "send_update", "b", "true")
        equal(decimal(listener.wait(r"Notification handle = %#06x value: ((?:\w\w ?)+)" % temp)[1]), value)
    busctl("call", "org.aioble", path, "org.aioble.LocalCharacteristic1", "Notify", "oaya{sv}", conn, "2", "42", "9", "0")
    listener.wait(r"Notification handle = %#06x value: 2a 09" % temp)
    listener.stop()
    contains(run(*tool, "--char-read", "-u", TEMPERATURE), "value: 99 08")
    for path, interface, member in ((adv, "Advertiser1", "Stop"), (app, "Application1", "Unregister")):
        busctl("call", "org.aioble", path, "org.aioble." + interface, member, "a{sv}", "0")
    power(False)
    all_gone()

finish()
