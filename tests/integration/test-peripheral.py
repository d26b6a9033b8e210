#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=300 controllers=2 radio=yes
"""Centrals connect to us: hosts without a stack on the radio, and the kernel's own on hci1, which also pairs."""
from radio_cases import *

MGMT_SET_BONDABLE, MGMT_SET_SECURE, MGMT_SET_IO_CAP, MGMT_PAIR, MGMT_CONFIRM = 0x09, 0x2d, 0x18, 0x19, 0x1c
MGMT_ADD_ADVERTISING, MGMT_REMOVE_ADVERTISING = 0x3e, 0x3f
MGMT_COMPLETE, MGMT_STATUS, MGMT_USER_CONFIRM = 0x01, 0x02, 0x0f
SOL_BLUETOOTH, BT_SECURITY = 274, 4
NO_INPUT_NO_OUTPUT = 3

radio, mgmt = Control(CONTROL), Mgmt()
start_service()
adapter = Adapter()
bus = shared_bus()
us = adapter.get("Address")


def advertise(client=adapter, **options):
    """An advertiser that goes on when somebody has connected."""
    return Object(client.call("Advertise", "t", 30000, options={"name": "aiobled", "keep": True, **options}), "Advertiser1",
                  client.bus)


def incoming(address, timeout=20):
    """The object of the link that this peer has made."""
    def is_it(message):
        props = message.body[1].get("org.aioble.Connection1")
        return props and props["Address"].upper() == address.upper()
    return Object(bus.wait_signal("InterfacesAdded", timeout, None, is_it).body[0], "Connection1")


def come(made):
    """A host connects to us, again when we did not hear it the first time: its handle, and the object here."""
    while True:
        status, handle = made.connect(us)
        equal(status, 0, "status of the connection")
        try:
            return handle, incoming(made.address, 5)
        except BusTimeout:
            equal(made.event(DISCONNECTED)[3], 0x3e, "reason there of a link that is not here")


@contextlib.contextmanager
def central(made):
    """A host that has connected to us, until the end of the block."""
    handle, conn = come(made)
    try:
        yield handle, conn
    finally:
        with contextlib.suppress(BusError):
            conn.call("Disconnect")


def works(made, handle):
    """Somebody answers at the other end: the MTU, and a request for handles that nobody has."""
    equal(made.att(handle, b"\x02\x17\x00"), b"\x03\x05\x02", "answer to Exchange MTU")
    equal(made.att(handle, b"\x04\xf0\xff\xff\xff"), b"\x01\x04\xf0\xff\x0a", "answer to Find Information")


with case("nobody's advertising: the link is nobody's, and stays"), host(radio) as one:
    status, _ = mgmt.command(MGMT_ADD_ADVERTISING, 0, struct.pack("<BIHHBB", 1, 1 | 2, 0, 0, 0, 0))
    equal(status, 0, "status of Add Advertising")
    with central(one) as (handle, conn):
        equal((conn.get("Lifetime"), conn.get("Holders")), ("persistent", []))
        works(one, handle)
        mgmt.command(MGMT_REMOVE_ADVERTISING, 0, b"\1")

air = advertise()

with case("a central connects: an object with the peripheral's role, and ATT answers"), host(radio) as one:
    before = adapter.get("Stats")
    with central(one) as (handle, conn):
        p = conn.get_all()
        equal((p["Role"], p["Address"].upper(), p["AddressType"], p["Connected"]),
              ("peripheral", one.address.upper(), "public", True))
        equal((p["Identity"].upper(), p["Lifetime"], p["Holders"]), (one.address.upper(), "linger", [bus.name]))
        equal((p["IntervalUs"], p["Latency"], p["SupervisionTimeoutMs"]), (30000, 0, 1000))
        works(one, handle)
        equal(adapter.get("LinksInUse"), 1, "links")
    after = adapter.get("Stats")
    equal((after["accepts"] - before["accepts"], after["accept_failures"] - before["accept_failures"]), (1, 0), "counters")

with case("we end it: 0x13 there, 0x16 here"), host(radio) as one:
    with central(one) as (handle, conn):
        conn.call("Disconnect")
        equal(one.event(DISCONNECTED)[3], 0x13, "reason there")
        equal(conn.wait("Disconnected").body[0], 0x16, "reason here")
        check(not conn.exists(), "the object is still there")

with case("the central ends it, with three reasons"), host(radio) as one:
    for reason in (0x13, 0x15, 0x14):
        with central(one) as (handle, conn):
            one.command(DISCONNECT, struct.pack("<HB", handle, reason))
            equal(conn.wait("Disconnected").body[0], reason, "reason here")
            one.event(DISCONNECTED)

with case("the central goes without a word: 0x08"), host(radio) as one:
    with central(one) as (handle, conn):
        works(one, handle)
        radio.ask("loss", **{"from": one.name, "to": "kernel0", "out_of_range": True})
        equal(conn.wait("Disconnected", 20).body[0], 0x08, "reason here")
        equal(one.event(DISCONNECTED)[3], 0x08, "reason there")
        radio.ask("loss", **{"from": one.name, "to": "kernel0", "clear": True})

with case("the same central comes and goes, twenty times"), host(radio) as one:
    for _ in range(20):
        with central(one) as (handle, conn):
            works(one, handle)
            one.command(DISCONNECT, struct.pack("<HB", handle, 0x13))
            equal(conn.wait("Disconnected").body[0], 0x13, "reason here")
    equal(adapter.get("LinksInUse"), 0, "links")

with case("four centrals at once; two of them leave"), contextlib.ExitStack() as stack:
    hosts = [stack.enter_context(host(radio)) for _ in range(4)]
    links = [stack.enter_context(central(h)) for h in hosts]
    equal(adapter.get("LinksInUse"), 4, "links")
    equal(len({conn.path for _, conn in links}), 4, "objects")
    for made, (handle, conn) in zip(hosts, links):
        works(made, handle)
        equal(conn.get("Address").upper(), made.address.upper(), "address")
    hosts[1].command(DISCONNECT, struct.pack("<HB", links[1][0], 0x13))
    equal(links[1][1].wait("Disconnected").body[0], 0x13, "reason of the one that left")
    links[3][1].call("Disconnect")
    equal(hosts[3].event(DISCONNECTED)[3], 0x13, "reason of the one that was sent away")
    for n in (0, 2):
        works(hosts[n], links[n][0])
    equal(adapter.get("LinksInUse"), 2, "links")

with case("Connect to a central that is connected to us is that link"), host(radio) as one:
    with central(one) as (handle, conn):
        equal(connect(adapter, one.address).path, conn.path, "connection")
        works(one, handle)

with case("Connect that waits for a central which connects to us gets that link"), host(radio) as one:
    waiting = adapter.send("Connect", "ss", one.address, "public", options={"timeout_ms": 40000})
    time.sleep(0.5)
    with central(one) as (handle, conn):
        equal(adapter.result(waiting), conn.path, "connection")
        works(one, handle)
        equal(conn.get("Role"), "peripheral")

with case("its holders are those of the advertiser: with them it goes"), host(radio) as one:
    air.call("Stop")
    client = listening_bus()
    advertise(Adapter(bus=client), lifetime="caller")
    handle, conn = come(one)
    equal((conn.get("Lifetime"), conn.get("Holders")), ("caller", [client.name]))
    client.close()
    equal(conn.wait("Disconnected", 20).body[0], 0x16, "reason here")
    equal(one.event(DISCONNECTED)[3], 0x13, "reason there")
    air = advertise()

with case("both roles at once"), host(radio) as one, scripted(radio) as p:
    with central(one) as (handle, conn):
        other = connect(adapter, p.address, timeout_ms=20000)
        equal((conn.get("Role"), other.get("Role")), ("peripheral", "central"), "roles")
        works(one, handle)
        other.call("ExchangeMtu")
        other.call("Disconnect")
        works(one, handle)

with case("off and on: centrals can connect again"), host(radio) as one:
    with central(one) as (handle, conn):
        adapter.call("SetPowered", "b", False)
        equal(conn.wait("Disconnected").body[0], 0x16, "reason here")
        adapter.call("SetPowered", "b", True)
        one.event(DISCONNECTED)
    with central(one) as (handle, conn):
        works(one, handle)

with case("a flood of links that come and go at once"), host(radio) as one:
    before = adapter.get("Stats")
    for n in range(40):
        status, handle = one.connect(us)
        equal(status, 0, "status of the connection")
        time.sleep(n % 8 * 0.015)
        one.command(DISCONNECT, struct.pack("<HB", handle, 0x13))
        one.event(DISCONNECTED)
    eventually(lambda: adapter.get("LinksInUse") == 0, 10, "links are left")
    eventually(lambda: not objects("Connection1"), 10, "objects are left")
    with central(one) as (handle, conn):
        works(one, handle)
    after = adapter.get("Stats")
    print("# of 40 links %d were told of, %d came to nothing" % (after["accepts"] - before["accepts"] - 1,
                                                                after["accept_failures"] - before["accept_failures"]))


# The kernel as a central: it pairs.

class Central:
    """hci1, by the kernel's management channel."""

    def __init__(self):
        self.mgmt = Mgmt()
        self.address = self.mgmt.address(1)
        for opcode, value in ((MGMT_SET_POWERED, 0), (MGMT_SET_LE, 1), (MGMT_SET_SECURE, 1), (MGMT_SET_BONDABLE, 1),
                              (MGMT_SET_IO_CAP, NO_INPUT_NO_OUTPUT), (MGMT_SET_POWERED, 1)):
            eventually(lambda: self.mgmt.command(opcode, 1, bytes([value]))[0] == 0, 15, "command %#x fails" % opcode, 0.3)

    def them(self):
        return bytes.fromhex(us.replace(":", ""))[::-1] + b"\1"

    def pair(self, timeout=60):
        """Status of the pairing; what is asked is answered with yes."""
        self.mgmt.sock.send(struct.pack("<HHH", MGMT_PAIR, 1, 8) + self.them() + bytes([NO_INPUT_NO_OUTPUT]))
        end = time.monotonic() + timeout
        while select.select([self.mgmt.sock], [], [], max(0, end - time.monotonic()))[0]:
            event = self.mgmt.sock.recv(1024)
            code, index, _ = struct.unpack_from("<HHH", event)
            if index == 1 and code == MGMT_USER_CONFIRM:
                self.mgmt.sock.send(struct.pack("<HHH", MGMT_CONFIRM, 1, 7) + event[6:13])
            if index == 1 and code in (MGMT_COMPLETE, MGMT_STATUS) and event[6:8] == struct.pack("<H", MGMT_PAIR):
                return event[8]
        fail("the pairing does not end")

    def attach(self, level):
        """An ATT channel that asks for this security: encryption begins as soon as the link is up."""
        libc = ctypes.CDLL(None, use_errno=True)
        sock = socket.socket(AF_BLUETOOTH, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, 0)
        end = lambda address: struct.pack("<HH6sHBx", AF_BLUETOOTH, 0, address, 4, 1)  # noqa: E731
        here = end(bytes.fromhex(self.address.replace(":", ""))[::-1])
        check(libc.bind(sock.fileno(), here, len(here)) == 0, "bind: " + os.strerror(ctypes.get_errno()))
        sock.setsockopt(SOL_BLUETOOTH, BT_SECURITY, bytes([level, 0]))
        there = end(self.them()[:6])
        check(libc.connect(sock.fileno(), there, len(there)) == 0, "connect: " + os.strerror(ctypes.get_errno()))
        return sock


with case("a central pairs with just works, and is bonded"):
    phone = Central()
    equal(phone.pair(), 0, "status of the pairing")
    conn = incoming(phone.address)
    eventually(lambda: conn.get("Bonded"), 20, "it is not bonded")
    p = conn.get_all()
    equal((p["Encrypted"], p["Authenticated"], p["KeySize"], p["Role"]), (True, False, 16, "peripheral"))
    stats = adapter.get("Stats")
    equal((stats["new_keys"], stats["pairings_refused"]), (1, 0), "keys, pairings refused")
    conn.call("Disconnect")

with case("it comes back: encrypted with that key, and bonded"):
    sock = phone.attach(2)
    sock.settimeout(20)
    conn = incoming(phone.address)
    eventually(lambda: conn.get("Bonded"), 20, "it is not bonded")
    equal(conn.get("KeySize"), 16, "key size")
    sock.send(b"\x02\x17\x00")
    equal(sock.recv(64), b"\x03\x05\x02", "answer to Exchange MTU")
    equal(adapter.get("Stats")["new_keys"], 1, "keys")
    sock.close()
    equal(conn.wait("Disconnected", 20).body[0], 0x13, "reason, when its user has gone")

with case("no key is in the journal"):
    equal(re.findall(r"(?i)\b[0-9a-f]{32}\b|\b(?:[0-9a-f]{2}[ :]){15}[0-9a-f]{2}\b", journal()), [], "keys in the journal")

with case("unplugged, and another controller comes: centrals connect to that"):
    gone = adapter
    controllers("stop")
    eventually(lambda: not gone.exists(), 20, "the adapter is still there")
    controllers("start", 2)
    adapter, radio, mgmt = Adapter(timeout=30), Control(CONTROL), Mgmt()
    us = adapter.get("Address")
    air = advertise()
    with host(radio) as one, central(one) as (handle, conn):
        works(one, handle)

finish()
