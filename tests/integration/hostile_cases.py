# SPDX-License-Identifier: GPL-2.0-or-later
"""What the hostile tests share: a peer that is told what to do wrong, and an honest one whose link must not notice."""
from gatt_cases import *

ONE_ANSWER = 5000  # ms: enough for one honest answer on a busy machine
QUARANTINE = 16384  # kB: the 8 MB of freed memory that tools/test lets the sanitizers keep, and their own notes about it


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % pid).read())[1])


@contextlib.contextmanager
def memory(pid, kilobytes):
    """The process may grow by this much in here."""
    if "libasan" in open("/proc/%d/maps" % pid).read():
        kilobytes += QUARANTINE
    before = rss(pid)
    yield
    grown = rss(pid) - before
    print("# %d kB more" % grown)
    check(grown <= kilobytes, "%d kB more, where %d are allowed" % (grown, kilobytes))


def script(p, **settings):
    """Change a scripted peer's mind, and wait until it has."""
    script.serial += 1
    settings["sync"] = script.serial
    p.say(json.dumps(settings))
    p.wait(r"^sync n=%d$" % script.serial)


script.serial = 0


def do(p, *steps):
    script(p, do=list(steps))


def confirmations(p):
    """How many indications the daemon has confirmed since reset_stats."""
    p.say(json.dumps({"do": [{"stats": True}]}))
    return int(p.wait(r"^stats .*confirmations=(\d+)")[1])


def cleared(p):
    """How often a CCCD of the peer was cleared so far."""
    script(p)
    return len([line for line in p.lines if re.search(r"^cccd .* value=0000", line)])


class Stage:
    """The daemon between an honest peer on hci1 and one under test on hci2."""

    def __init__(self, stack):
        start_service()
        self.pid = service_pid()
        self.adapter = Adapter()
        self.honest_peer = stack.enter_context(peer("scripted-peer", "--device", 1))
        self.peer = stack.enter_context(peer("scripted-peer", "--device", 2, "--trace"))
        dummy = stack.enter_context(peer("scripted-peer", "--socket", "/tmp/bt-server-le"))
        script(self.peer, occupy=address_of(dummy))
        self.peer.wait(r"^occupied\b")
        self.address = address_of(self.peer)
        self.honest = connect(self.adapter, address_of(self.honest_peer), timeout_ms=30000)
        self.conn = None
        self.tree = None

    def connect(self, **options):
        return connect(self.adapter, self.address, timeout_ms=30000, **options)

    def link(self):
        """A link to the peer under test, which behaves at first."""
        script(self.peer, rules=[], silent=False)
        if not self.conn or not self.conn.exists():
            self.conn = self.connect()
            self.tree = Tree(self.conn, timeout_ms=30000)
        return self.conn

    def alive(self):
        """The daemon is the one that was started, and the other link works."""
        equal(service_pid(), self.pid, "process of the daemon")
        value, _ = self.honest.call("ReadUuid", "s", "2a38", options={"timeout_ms": ONE_ANSWER})
        equal(value, b"\x01", "value of the honest peer")
        equal(self.adapter.get("State"), "ready", "state")

    def still_linked(self):
        """The link under test survived and is in step: an honest answer belongs to the question asked now."""
        script(self.peer, rules=[])
        value, handle = self.conn.call("ReadUuid", "s", "2a38", options={"timeout_ms": 2 * ONE_ANSWER})
        equal((value, handle), (b"\x01", self.tree.char("2a38").handle), "honest value afterwards")

    def drop(self):
        """Give up the link under test, dead or alive."""
        if self.conn and self.conn.exists():
            self.conn.call("Disconnect", options={"timeout_ms": 10000})
            gone(self.conn)
        self.conn = None

    def nothing_left(self):
        """No object and no link but the honest one."""
        self.drop()
        equal(objects("Connection1"), [self.honest.path], "connections")
        eventually(lambda: self.adapter.get("LinksInUse") == 1, 10, "links are left")


def outcome(call):
    """("ok", value) or (name of the error without its prefix, details)"""
    try:
        return "ok", call()
    except BusError as error:
        return error.name.removeprefix("org.aioble.Error."), error.details


def one_of(call, *names):
    """The call must end in one of these ways; gives value or details."""
    name, rest = outcome(call)
    contains(names, name, "outcome")
    return rest
