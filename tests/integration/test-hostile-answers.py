#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400 controllers=3 kind=le peer=1,2
"""Wrong, late, missing and unasked answers to single requests (MTU, order, truncation, silence)."""
from hostile_cases import *

READ = {"timeout_ms": 5000}


def read(stage):
    return stage.tree.char("2a38").call("Read", options=READ)


def exchange(stage):
    return stage.conn.call("ExchangeMtu", options=READ)


# What the peer answers to a Read Request, and how the call may end. The link must work afterwards.
ANSWERS = [
    ("the wrong response", [{"send": "13"}], ["Protocol"]),
    ("a response to another kind of read", [{"send": "0d01"}], ["Protocol"]),
    ("an Error Response for another request", [{"error": {"code": 5, "op": 0x12}}], ["Protocol", "Timeout"]),
    ("an Error Response that is cut", [{"send": "010a"}], ["Protocol"]),
    ("an Error Response that is too long", [{"send": "010a0f000500"}], ["Protocol", "Gatt"]),
    ("an Error Response with code 0", [{"error": {"code": 0}}], ["Gatt", "Protocol"]),
    ("an Error Response with handle 0x0077", [{"error": {"code": 5, "handle": 0x77}}], ["Gatt"]),
    ("an Error Response with a reserved code", [{"error": 0x7f}], ["Gatt"]),
    ("an empty PDU and then the answer", [{"send": ""}, {"answer": True}], ["ok"]),
    ("a PDU longer than the MTU", [{"send": "0b{fill:200}"}], ["ok", "Protocol"]),
    ("a PDU longer than any MTU, then the answer", [{"send": "0b{fill:600}"}, {"answer": True}], ["ok"]),
    ("two answers", [{"answer": True}, {"answer": True}], ["ok"]),
    ("an answer between notifications", [{"send": "1b{h:2a37}01"}, {"answer": True}, {"send": "1b{h:2a37}02"}], ["ok"]),
    ("a request of its own before the answer", [{"send": "0a0100"}, {"answer": True}], ["ok"]),
    ("its MTU before the answer", [{"send": "020502"}, {"answer": True}], ["ok"]),
    ("an unknown request before the answer", [{"send": "3e00"}, {"answer": True}], ["ok"]),
    ("an unknown command before the answer", [{"send": "7e00"}, {"answer": True}], ["ok"]),
    ("unknown opcodes before the answer", [{"send": "ff"}, {"send": "00"}, {"send": "3f"}, {"answer": True}], ["ok"]),
    ("a confirmation before the answer", [{"send": "1e"}, {"answer": True}], ["ok"]),
    ("cut notifications before the answer", [{"send": "1b"}, {"send": "1b0f"}, {"send": "23"}, {"send": "230f0004"}, {"answer": True}],
     ["ok"]),
    ("cut requests before the answer", [{"send": "02"}, {"send": "10"}, {"send": "0801"}, {"send": "16"}, {"answer": True}], ["ok"]),
    ("an indication nobody asked for before the answer", [{"send": "1d{h:2a38}01"}, {"answer": True}], ["ok"]),
    ("two indications at once", [{"send": "1d{h:2a38}01"}, {"send": "1d{h:2a38}02"}, {"answer": True}], ["ok"]),
    ("an L2CAP frame that is cut, then the answer", [{"frame": "0a00040001"}, {"answer": True}], ["ok", "Timeout"]),
]

# The same for Exchange MTU; each on a fresh link. With "ok": the result.
MTU_ANSWERS = [
    ("an MTU of 10", [{"send": "030a00"}], ["ok"], 23),
    ("an MTU of 0", [{"send": "030000"}], ["ok"], 23),
    ("an MTU of 65535", [{"send": "03ffff"}], ["ok"], 517),
    ("an MTU twice", [{"answer": True}, {"answer": True}], ["ok"], 517),
    ("an MTU twice, the second another", [{"answer": True}, {"send": "031700"}], ["ok"], 517),
    ("a cut MTU", [{"send": "0305"}], ["Protocol"], None),
    ("an MTU with something behind it", [{"send": "03050200"}], ["ok", "Protocol"], 517),
    ("a refusal", [{"error": 0x06}], ["Gatt"], None),
    ("its own, smaller MTU first", [{"send": "026400"}, {"answer": True}], ["ok"], 100),
    ("the answer to something else", [{"send": "0b00"}], ["Protocol"], None),
]

with contextlib.ExitStack() as stack:
    stage = Stage(stack)

    for name, steps, wanted in ANSWERS:
        with case("a read gets " + name):
            stage.link()
            script(stage.peer, rules=[{"on": "read", "times": 1, "do": steps}])
            value = one_of(lambda: read(stage), *wanted)
            stage.alive()
            stage.still_linked()
            if wanted == ["ok"]:
                equal(value, b"\x01", "value")

    with case("each indication was confirmed, and each request answered"):
        stage.link()
        do(stage.peer, {"reset_stats": True}, {"send": "1d{h:2a38}01"}, {"send": "100100ffff0028"}, {"send": "0a0100"})
        stage.peer.wait(r"^rx len=1 pdu=1e")
        stage.peer.wait(r"^rx len=\d+ pdu=11")
        stage.peer.wait(r"^rx len=3 pdu=0b0018")

    for name, steps, wanted, result in MTU_ANSWERS:
        with case("an MTU exchange gets " + name):
            stage.drop()
            stage.link()
            script(stage.peer, rules=[{"on": "mtu", "times": 1, "do": steps}])
            value = one_of(lambda: exchange(stage), *wanted)
            if value is not None and result and not isinstance(value, dict):
                equal(value, result, "MTU")
            stage.alive()
            stage.still_linked()

    with case("an answer that comes late belongs to nobody"):
        stage.link()
        late = stage.tree.char("2a38")
        script(stage.peer, rules=[{"on": "read", "times": 1, "do": [{"wait_ms": 2500}, {"send": "0bee"}]}])
        with raises("Timeout"):
            late.call("Read", options={"timeout_ms": 500})
        equal(late.call("Read", options={"timeout_ms": 20000}), b"\x01", "next value")
        stage.alive()

    with case("waiting calls keep their own deadlines behind a silent peer"):
        stage.link()
        silent = stage.tree.char("2a38")
        script(stage.peer, rules=[{"on": "read", "times": 1, "do": [{"wait_ms": 6000}, {"answer": True}]}])
        began = time.monotonic()
        first = silent.send("Read", options={"timeout_ms": 20000})
        second = silent.send("Read", options={"timeout_ms": 1000})
        with raises("Timeout"):
            silent.result(second)
        between(time.monotonic() - began, 0.9, 5.5, "seconds")
        equal(silent.result(first), b"\x01", "first value")
        stage.still_linked()

    with case("after 30 s without an answer the link is closed"):
        conn = stage.link()
        silent = stage.tree.char("2a38")
        script(stage.peer, silent=True)
        began = time.monotonic()
        calls = [silent.send("Read", options={"timeout_ms": 0}), silent.send("Read", options={"timeout_ms": 0})]
        stage.alive()
        for serial in calls:
            contains(("Timeout", "Disconnected"), outcome(lambda: silent.result(serial, 60))[0], "outcome")
        between(time.monotonic() - began, 28, 45, "seconds")
        stage.peer.wait(r"^disconnected\b")
        gone(conn)
        stage.alive()

    with case("it can be connected to again, and nothing was left behind"):
        stage.link()
        stage.still_linked()
        stage.nothing_left()

finish()
