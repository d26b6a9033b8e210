#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400 controllers=3 kind=le peer=1,2
"""Notifications faster than anybody asked for: none is lost where it is promised, every loss is counted elsewhere."""
from hostile_cases import *

MANY = 10000

with contextlib.ExitStack() as stack:
    stage = Stage(stack)
    script(stage.peer, trace=False)
    stage.link()
    stage.conn.call("ExchangeMtu", options={"timeout_ms": 5000})
    flood = stage.tree.char(FLOOD)

    with case("%d notifications reach a descriptor, none lost, beside a subscriber that never reads" % MANY):
        lazy = Bus()
        lazy_subscription = subscribe(Object(flood.path, "Characteristic1", lazy), signals=True, queue=64, lifetime="caller")
        stream = open_notify(flood, queue=4096)
        began = time.monotonic()
        flood.call("Write", "ay", struct.pack("<H", MANY), options={"response": True})
        got = numbers(stream.take(MANY, 60))
        print("# %.0f notifications a second" % (MANY / (time.monotonic() - began)))
        equal(got, list(range(MANY)), "numbers")
        equal(stream.dropped, 0, "dropped")
        stage.alive()

    with case("what the subscriber that never reads lost is counted"):
        received, dropped = (Object(lazy_subscription.path, "Subscription1").get(n) for n in ("Received", "Dropped"))
        equal(received, MANY, "received")
        came, said = 0, 0
        lazy.settle(5)
        for signal_ in lazy.signals:
            if signal_.member == "Notified":
                came += len(signal_.body[0])
                said = max(said, signal_.body[1])
        print("# %d came, %d dropped" % (came, dropped))
        dropped = Object(lazy_subscription.path, "Subscription1").get("Dropped")
        between(came + dropped, MANY - 64, MANY, "came and dropped")
        lazy.close()
        stream.close()
        stage.peer.wait(r"^cccd handle=\S+ value=0000")

    with case("signals lose nothing while they are read, or say how much"):
        subscription = subscribe(flood, signals=True, queue=4096)
        count = 2000
        flood.call("Write", "ay", struct.pack("<H", count), options={"response": True})
        got, dropped = [], 0
        while len(got) + dropped < count:
            body = subscription.wait("Notified", 30).body
            got += numbers([v[2] for v in body[0]])
            dropped = body[1]
        equal(len(got) + dropped, count, "came and dropped")
        equal(got, sorted(set(got)), "numbers in order")
        print("# %d came, %d dropped" % (len(got), dropped))
        subscription.call("Stop", options={"timeout_ms": 10000})

    with case("what Next did not fetch is dropped from the oldest on, and counted"):
        subscription = subscribe(flood, queue=16)
        flood.call("Write", "ay", struct.pack("<H", 100), options={"response": True})
        eventually(lambda: subscription.get("Received") == 100, 20, "not all were received")
        got = []
        for _ in range(16):
            kind, value, details = subscription.call("Next", options={"timeout_ms": 5000})
            got.append(value)
        equal(numbers(got), list(range(84, 100)), "numbers")
        equal(details["dropped"], 84, "dropped")
        equal(subscription.get("Dropped"), 84, "property")
        subscription.call("Stop", options={"timeout_ms": 10000})

    with case("what comes before the answer to the subscription is not lost"):
        before = cleared(stage.peer)
        script(stage.peer, rules=[{"on": "write", "handle": FLOOD + ".cccd", "times": 1, "do": [
            {"flood": {"handle": FLOOD, "count": 100}}, {"answer": True}, {"flood": {"handle": FLOOD, "start": 100, "count": 100}}]}])
        stream = open_notify(flood, timeout_ms=10000)
        try:
            equal(numbers(stream.take(200)), list(range(200)), "numbers")
        finally:
            stream.close()
        eventually(lambda: cleared(stage.peer) > before, 20, "the CCCD is not cleared", 0.3)

    with case("a subscription that is refused leaves nothing behind"):
        eventually(lambda: not stream.subscription.exists(), 10, "the subscription is still there")
        script(stage.peer, rules=[{"on": "write", "handle": FLOOD + ".cccd", "times": 1, "do": [
            {"flood": {"handle": FLOOD, "count": 10}}, {"error": 0x11}]}])
        before = [path for path in managed_objects() if "/sub/" in path]
        with raises("Gatt", att=0x11):
            flood.call("Subscribe", options={"timeout_ms": 10000})
        equal([path for path in managed_objects() if "/sub/" in path], before, "subscriptions")
        stage.still_linked()

    with case("indications are confirmed one by one, each delivered"):
        subscription = subscribe(flood, notify=False, indicate=True, queue=4096)
        do(stage.peer, {"reset_stats": True})
        flood.call("Write", "ay", struct.pack("<H", 200), options={"response": True})
        got = [next_value(subscription) for _ in range(200)]
        equal({kind for kind, _ in got}, {"indicated"}, "kinds")
        equal(numbers([value for _, value in got]), list(range(200)), "numbers")
        eventually(lambda: confirmations(stage.peer) == 200, 20, "some were not confirmed", 0.5)  # the last is on its way
        subscription.call("Stop", options={"timeout_ms": 10000})

    with case("indications sent without waiting for confirmations are all confirmed"):
        do(stage.peer, {"reset_stats": True}, {"flood": {"handle": FLOOD, "count": 50, "indicate": True, "confirm": False}})
        eventually(lambda: confirmations(stage.peer) == 50, 20, "some were not confirmed", 0.5)
        stage.still_linked()

    with case("a flood of values nobody subscribed to costs no memory"):
        with memory(stage.pid, 1024):
            do(stage.peer, {"flood": {"handle": 0x1234, "count": 3000}}, {"flood": {"handle": FLOOD, "count": 3000, "size": 200}},
               {"log": "flooded"})
            stage.peer.wait(r"^log text=flooded", 180)
            stage.still_linked()
        stage.alive()

    with case("requests of the peer at full speed leave our own calls in time"):
        script(stage.peer, do=[{"repeat": {"count": 500, "send": "100100ffff0028"}}])
        stage.still_linked()
        stage.alive()

    with case("nothing was left behind"):
        stage.nothing_left()

finish()
