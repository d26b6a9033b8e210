#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=300 controllers=1 radio=yes
"""Our services under the hands of several centrals at once, and under applications that sleep, stop and die.

The centrals are hosts without a stack, so that each PDU is the test's own.
"""
from radio_cases import *
from radio import DISCONNECTED
from server_cases import *

ERROR, READ, WRITE, COMMAND = 0x01, 0x0a, 0x12, 0x52
NOTIFICATION, INDICATION, CONFIRMATION = 0x1b, 0x1d, 0x1e
COLLECT, ASK, ACK = vendor(0x200), vendor(0x201), vendor(0x202)

radio = Control(CONTROL)
start_service()
adapter = Adapter()
us = adapter.get("Address")
air = advertise(adapter, name="Server", keep=True)


class Central:
    """A host that is connected to us."""

    def __init__(self, made):
        self.host = made
        for _ in range(5):  # a link that fails to be established is no fault of anybody
            status, self.handle = made.connect(us, timeout=400)
            equal(status, 0, "status of the connection")
            found = lambda: [p for p in objects("Connection1")  # noqa: E731
                             if Object(p, "Connection1").get("Address").upper() == made.address.upper()]
            try:
                self.path, = eventually(found, 10)
                return
            except Failure:
                made.event(DISCONNECTED)
        fail("no connection")

    def send(self, pdu):
        self.host.send(self.handle, pdu, 4)

    def send_all(self, pdus, buffers=4):
        """Many, as fast as the controller has room for them."""
        free = buffers
        for pdu in pdus:
            while not free:
                free += struct.unpack_from("<BHH", self.host.event(0x13))[2]  # Number Of Completed Packets
            self.send(pdu)
            free -= 1

    def ask(self, pdu):
        return self.host.att(self.handle, pdu)

    def read(self, handle):
        """The value, or the error code."""
        answer = self.ask(struct.pack("<BH", READ, handle))
        return answer[1:] if answer[0] == READ + 1 else answer[4]

    def write(self, handle, value):
        equal(self.ask(struct.pack("<BH", WRITE, handle) + value), b"\x13", "answer to a write")

    def subscribe(self, app, uuid, bits=1):
        self.write(app.handle(uuid) + 1, struct.pack("<H", bits))

    def told(self, kind=NOTIFICATION):
        """Handle and value of the next notification or indication."""
        body = self.host.wait(lambda k, head, b: k == 2 and head == self.handle and b[2:5] == b"\4\0" + bytes([kind]))[2]
        return struct.unpack_from("<H", body, 5)[0], body[7:]

    def settled(self):
        """What was sent to it before now has come: so many values are not taken yet."""
        self.ask(struct.pack("<BHH", 0x04, 1, 1))
        return len([1 for k, head, b in self.host.packets if k == 2 and b[4] in (NOTIFICATION, INDICATION)])


@contextlib.contextmanager
def centrals(count):
    with contextlib.ExitStack() as stack:
        made = [Central(stack.enter_context(host(radio))) for _ in range(count)]
        try:
            yield made
        finally:
            for central in made:
                central.host.command(0x0406, struct.pack("<HB", central.handle, 0x13))
            eventually(lambda: not objects("Connection1"), 20, "a link is left")


@contextlib.contextmanager
def application(services, **options):
    app = Application(adapter, services, **options)
    try:
        yield app
    finally:
        with contextlib.suppress(BusError):
            app.unregister()
        app.bus.close()


def events(app, *kinds):
    """What the application can take now."""
    taken = []
    with contextlib.suppress(BusError):
        while True:
            taken.append(app.next(timeout_ms=300, **({"events": list(kinds)} if kinds else {})))
    return taken


with case("two centrals, one subscribed: an update reaches that one, a targeted notification the other"):
    with application(sensor()) as app, centrals(2) as (one, two):
        handle = app.handle(TEMPERATURE)
        one.subscribe(app, TEMPERATURE)
        char = app.char(TEMPERATURE)
        equal(eventually(lambda: char.get("Subscribers"), 10), [(one.path, True, False)], "subscribers")
        app.write(TEMPERATURE, b"\x01\x09", send_update=True)
        equal(one.told(), (handle, b"\x01\x09"), "what the subscriber is told")
        equal(two.settled(), 0, "values at the other")
        equal(two.read(handle), b"\x01\x09", "what the other reads")
        char.call("Notify", "oay", two.path, b"\x02\x09")
        equal(two.told(), (handle, b"\x02\x09"), "what the other is told")
        equal(one.settled(), 0, "values at the subscriber")
        equal(one.read(handle), b"\x01\x09", "the stored value")

with case("an indication that is not confirmed ends in its own timeout; the link and the next ones go on"):
    services = [service(vendor(0x20), characteristic(ACK, "read", "indicate", initial=b"still here"))]
    with application(services) as app, centrals(2) as (one, two):
        char = app.char(ACK)
        began = time.monotonic()
        with raises("Timeout"):
            char.call("Indicate", "oay", one.path, b"first", options={"timeout_ms": 1000})
        between(time.monotonic() - began, 0.9, 8, "seconds")
        equal(one.told(INDICATION), (app.handle(ACK), b"first"), "what it is told")
        equal(one.read(app.handle(ACK)), b"still here", "what it reads meanwhile")
        waiting = char.send("Indicate", "oay", one.path, b"second", options={"timeout_ms": 20000})
        equal(one.settled(), 0, "indications before the confirmation")
        other = char.send("Indicate", "oay", two.path, b"other", options={"timeout_ms": 20000})
        equal(two.told(INDICATION)[1], b"other", "what the other is told meanwhile")
        two.send(bytes([CONFIRMATION]))
        char.result(other)
        one.send(bytes([CONFIRMATION]))  # late: it is the first one's, for which nobody waits
        equal(one.told(INDICATION)[1], b"second", "what it is told then")
        one.send(bytes([CONFIRMATION]))
        char.result(waiting)

for queue, kept in ((10, 10), (100, 13)):
    with case("13 rapid writes at a sleeping application that keeps %d" % queue):
        services = [service(vendor(0x20), characteristic(COLLECT, "write_no_response", "capture"))]
        with application(services, queue=queue) as app, centrals(1) as (one,):
            one.send_all([struct.pack("<BHB", COMMAND, app.handle(COLLECT), number) for number in range(1, 14)])
            one.settled()
            written = [e[3][0] for e in events(app, "written")]
            equal(written, list(range(14 - kept, 14)), "what it finds when it wakes up")
            equal(app.object.get("Dropped"), 13 - kept, "drop count")

with case("a write that is longer than the MTU, prepared: one event with all of it"):
    services = [service(vendor(0x20), characteristic(COLLECT, "read", "write", "capture"))]
    with application(services) as app, centrals(1) as (one,):
        handle, value = app.handle(COLLECT), bytes(i & 0xff for i in range(200))
        for at in range(0, len(value), 18):
            part = struct.pack("<HH", handle, at) + value[at:at + 18]
            equal(one.ask(b"\x16" + part), b"\x17" + part, "answer to Prepare Write")
        equal(one.ask(b"\x18\x01"), b"\x19", "answer to Execute Write")
        equal([e[3] for e in events(app, "written")], [value], "events")
        equal(one.read(handle), value[:22], "what is read")

with case("two applications side by side; what replaces one leaves the other's handles alone"):
    with application(sensor(), name="sensor") as app, application([service(vendor(0x20), characteristic(ACK, "read"))]) as more:
        with centrals(1) as (one,):
            temperature, ack = app.handle(TEMPERATURE), more.handle(ACK)
            grown = sensor() + [service(vendor(0x21), characteristic(COLLECT, "read", initial=b"new"))]
            again = Application(adapter, grown, bus=app.bus, name="sensor")
            equal(one.read(ack), b"", "the other application's value")
            equal(one.read(again.handle(COLLECT)), b"new", "the new value")
            check(again.handle(COLLECT) not in (temperature, ack), "a handle was used again while there is a link")
            again.unregister()
            equal(one.read(again.handle(COLLECT)), 0x01, "answer for what is gone")

with case("what asks for encryption is refused on a plain link, and its subscription, too"):
    services = [service(vendor(0x20), characteristic(ACK, "read", "notify", read_security="encrypted", initial=b"secret"))]
    with application(services) as app, centrals(1) as (one,):
        equal(one.read(app.handle(ACK)), 0x05, "answer to a read")
        answer = one.ask(struct.pack("<BHH", WRITE, app.handle(ACK) + 1, 1))
        equal(answer, struct.pack("<BBHB", ERROR, WRITE, app.handle(ACK) + 1, 0x05), "answer to a subscription")
        with raises("Gatt", att=0x05):
            app.char(ACK).call("Notify", "oay", one.path, b"no")


class Hammer(threading.Thread):
    """Reads one value again and again; how long each took, and what came."""

    def __init__(self, central, handle):
        super().__init__(daemon=True)
        self.central, self.handle, self.over = central, handle, False
        self.answers, self.seconds, self.error = [], [], None
        self.start()

    def run(self):
        try:
            while not self.over:
                began = time.monotonic()
                self.answers.append(self.central.read(self.handle))
                self.seconds.append(time.monotonic() - began)
        except Exception as error:  # told by stop(): no answer within the host's patience
            self.error = error

    def since(self):
        """(answers, longest wait) since the last call."""
        n = len(self.seconds)
        answers, longest = self.answers[:n], max(self.seconds[:n], default=0)
        del self.answers[:n], self.seconds[:n]
        return answers, longest

    def stop(self):
        self.over = True
        self.join(40)
        check(not self.error and not self.is_alive(), "a read was never answered: %r" % self.error)


with case("an application that must be asked is there, slow, stopped, killed: reads end in time, others do not notice"):
    with application(sensor()) as app, centrals(2) as (one, two):
        with peer("on-read.py", "--timeout-ms", 500, "--delay-ms", 50) as asked:
            handle = int(re.search(r"handle=(\d+)", asked.lines[0])[1])
            hammer, other = Hammer(one, handle), Hammer(two, app.handle(TEMPERATURE))
            time.sleep(4)
            answers, longest = hammer.since()
            check(answers and all(isinstance(a, bytes) for a in answers), "answers while it is there: %r" % answers[-3:])
            calm = len(other.since()[0]) / 4
            print("# %d answers, the longest after %.2f s; the other reads %.1f a second" % (len(answers), longest, calm))
            asked.kill(signal.SIGSTOP)
            time.sleep(6)
            answers, longest = hammer.since()
            stopped, slowest = other.since()
            print("# stopped: %d answers, the longest after %.2f s; the other reads %.1f a second, the slowest %.2f s"
                  % (len(answers), longest, len(stopped) / 6, slowest))
            equal(set(answers[2:]), {0x0e}, "answers while it is stopped")
            check(longest < 5, "a read took %.1f s" % longest)
            check(set(stopped) == {b"\x66\x08"} and len(stopped) / 6 > calm / 2, "the other noticed: %d" % len(stopped))
            asked.kill()
            asked.process.wait()
            eventually(lambda: 0x01 in hammer.since()[0], 20, "its services are not gone")
            hammer.stop()
            other.stop()
        equal(two.read(app.handle(TEMPERATURE)), b"\x66\x08", "what the other reads")

finish()
