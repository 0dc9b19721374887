"""Sessions without a connection: on_offline_message, on_session_expired."""

import time

from endpoint import Stall, ok
from host import ALL, BrokerTest

HOOKS = ALL + ("on_offline_message", "on_session_expired")
VERSIONS = (3, 4, 5)


def keep(version, seconds=60):
    return {"p_session_expiry_interval": seconds} if version == 5 else None


class OfflineTest(BrokerTest):

    def stage(self, conf=None, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, HOOKS, conf, **kw)

    def persistent(self, b, client_id, version, seconds=60, **kw):
        return self.online(b, client_id, version, clean=False,
                           properties=keep(version, seconds), **kw)

    def away(self, ep, b, client_id, version, *filters, seconds=60):
        """A session of these subscriptions whose client has left."""
        n = ep.count("on_client_offline", client_id=client_id)
        c = self.persistent(b, client_id, version, seconds)
        if filters:
            c.subscribe(*filters)
        c.disconnect()
        ep.wait_for("on_client_offline", n + 1, client_id=client_id)

    def settled(self, ep, b):
        """Whatever was to be told by now has been told."""
        self.marks = getattr(self, "marks", 0) + 1
        self.online(b, "mark%d" % self.marks).disconnect()
        ep.wait_for("on_client_gone", client_id="mark%d" % self.marks)


class OfflineMessage(OfflineTest):

    def test_request(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            cid = "c%d" % v
            self.away(ep, b, cid, v, ("t/%d" % v, 1))
            pub.publish("t/%d" % v, "hi", 2)
            r = ep.wait_for("on_offline_message", client_id=cid)
            want = {"mountpoint": "", "client_id": cid, "qos": 1,
                    "topic": "t/%d" % v, "payload": "aGk=", "retain": False}
            self.assertEqual(r.body, want)
            self.assertEqual(list(r.body), list(want))
            self.assertEqual(ep.count("on_offline_message", client_id=cid),
                             1)

    def test_qos_is_the_subscriptions(self):
        """Whatever the message's, 0 included."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        self.away(ep, b, "c1", 4, ("one/#", 1), ("two/#", 2))
        n = 0
        for filter_qos, name in ((1, "one"), (2, "two")):
            for qos in (0, 1, 2):
                n += 1
                pub.publish("%s/%d" % (name, qos), "x", qos)
                r = ep.wait_for("on_offline_message", n)
                self.assertEqual((r["topic"], r["qos"]),
                                 ("%s/%d" % (name, qos), filter_qos))

    def test_not_for_qos_0_subscriptions(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            self.away(ep, b, "c%d" % v, v, ("zero/#", 0), ("one", 1))
        for qos in (0, 1, 2):
            pub.publish("zero/x", "x", qos)
        pub.publish("one", "x", 1)
        for v in VERSIONS:
            ep.wait_for("on_offline_message", client_id="c%d" % v)
        self.settled(ep, b)
        self.assertEqual({r["topic"] for r in ep.of("on_offline_message")},
                         {"one"})

    def test_not_while_online(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.persistent(b, "c%d" % v, v)
            c.subscribe(("t", 1))
            pub.publish("t", "x", 1)
            c.message()
        self.settled(ep, b)
        self.assertEqual(ep.count("on_offline_message"), 0)

    def test_not_for_shared_subscriptions(self):
        """VerneMQ enqueues those another way (contract.md, 5.9)."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        self.away(ep, b, "c1", 4, ("$share/g/shared/#", 1), ("mine", 1))
        pub.publish("shared/x", "x", 1)
        pub.publish("mine", "x", 1)
        ep.wait_for("on_offline_message", topic="mine")
        self.settled(ep, b)
        self.assertEqual([r["topic"] for r in ep.of("on_offline_message")],
                         ["mine"])

    def test_not_after_it_came_back(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            cid = "c%d" % v
            self.away(ep, b, cid, v, ("t", 1))
            pub.publish("t", "queued", 1)
            ep.wait_for("on_offline_message", client_id=cid)
            c = self.persistent(b, cid, v)
            self.assertEqual(c.message()["payload"], "queued")
            pub.publish("t", "live", 1)
            self.assertEqual(c.message()["payload"], "live")
            self.settled(ep, b)
            self.assertEqual(ep.count("on_offline_message", client_id=cid),
                             1)
            # and again, by the subscription of before
            c.disconnect()
            ep.wait_for("on_client_offline", 2, client_id=cid)
            pub.publish("t", "more", 1)
            r = ep.wait_for("on_offline_message", 2, client_id=cid)
            self.assertEqual(r["qos"], 1)
            self.client(b, cid, v).connect("u", "p")    # wipes it

    def test_subscribed_again_with_another_qos(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        self.away(ep, b, "c1", 4, ("t", 1), ("u", 2))
        self.away(ep, b, "c1", 4, ("t", 2), ("u", 0))
        pub.publish("u", "x", 1)
        pub.publish("t", "x", 1)
        self.assertEqual(ep.wait_for("on_offline_message")["qos"], 2)
        self.settled(ep, b)
        self.assertEqual([r["topic"] for r in ep.of("on_offline_message")],
                         ["t"])

    def test_unsubscribed(self):
        ep, b = self.stage()
        c = self.persistent(b, "c1", 4)
        c.subscribe(("t", 1), ("u", 1))
        c.unsubscribe("t")
        c.disconnect()
        ep.wait_for("on_client_offline")
        pub = self.online(b, "pub")
        pub.publish("t", "x", 1)
        pub.publish("u", "x", 1)
        ep.wait_for("on_offline_message")
        self.settled(ep, b)
        self.assertEqual([r["topic"] for r in ep.of("on_offline_message")],
                         ["u"])

    def test_after_a_takeover(self):
        """The new connection has the session's subscriptions."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            cid = "c%d" % v
            old = self.persistent(b, cid, v)
            old.subscribe(("t/%d" % v, 2))
            new = self.persistent(b, cid, v)
            old.expect_closed()
            n = ep.count("on_client_offline", client_id=cid)
            new.disconnect()
            ep.wait_for("on_client_offline", n + 1, client_id=cid)
            pub.publish("t/%d" % v, "x", 1)
            r = ep.wait_for("on_offline_message", client_id=cid)
            self.assertEqual(r["qos"], 2)

    def test_not_for_a_wiped_session(self):
        ep, b = self.stage()
        for v in VERSIONS:
            self.away(ep, b, "c%d" % v, v, ("t", 1))
            self.online(b, "c%d" % v, v)
        self.online(b, "pub").publish("t", "x", 1)
        self.settled(ep, b)
        self.assertEqual(ep.count("on_offline_message"), 0)

    def test_what_was_decided(self):
        ep, b = self.stage()
        self.away(ep, b, "c1", 4, ("new", 1))
        ep.answers["auth_on_publish"] = ok(topic="new", payload="bg==",
                                           qos=2)
        self.online(b, "pub").publish("old", "o", 1)
        r = ep.wait_for("on_offline_message")
        self.assertEqual((r["topic"], r["payload"], r["qos"]),
                         ("new", "bg==", 1))

    def test_will(self):
        ep, b = self.stage()
        self.away(ep, b, "c1", 4, ("w", 1))
        self.online(b, "dies", will={"topic": "w", "payload": "x",
                                     "qos": 1}).reset()
        self.assertEqual(ep.wait_for("on_offline_message")["topic"], "w")

    def test_rewritten_subscription(self):
        """2.1: told by what was granted."""
        ep, b = self.stage()
        ep.answers["auth_on_subscribe"] = {
            "result": "ok", "topics": [{"topic": "new/#", "qos": 2}]}
        c = self.persistent(b, "c1", 4)
        codes = c.subscribe(("asked", 1))
        c.disconnect()
        ep.wait_for("on_client_offline")
        pub = self.online(b, "pub")
        pub.publish("asked", "x", 1)
        pub.publish("new/t", "x", 1)
        if self.v20:
            self.assertEqual(codes, [0x80])
        else:
            self.assertEqual(ep.wait_for("on_offline_message")["qos"], 2)
        self.settled(ep, b)
        self.assertEqual([r["topic"] for r in ep.of("on_offline_message")],
                         [] if self.v20 else ["new/t"])

    def test_does_not_wait(self):
        ep, b = self.stage()
        stall = ep.answers["on_offline_message"] = Stall()
        self.away(ep, b, "c1", 4, ("t", 1))
        pub = self.online(b, "pub")
        pub.publish("t", "x", 1)
        pub.barrier()
        ep.wait_for("on_offline_message")
        stall.release()


class SessionExpired(OfflineTest):

    def test_expired(self):
        ep, b = self.stage()
        for cid in ("c1", "c2", "stays"):
            self.away(ep, b, cid, 5, ("t", 1),
                      seconds=60 if cid == "stays" else 1)
        for cid in ("c1", "c2"):
            r = ep.wait_for("on_session_expired", client_id=cid,
                            timeout=10)
            self.assertEqual(r.body, {"mountpoint": "", "client_id": cid})
        # once: what comes later finds nothing more to tell
        time.sleep(2.5 * self.scale)
        self.settled(ep, b)
        self.assertEqual(sorted(r["client_id"] for r in
                                ep.of("on_session_expired")), ["c1", "c2"])
        self.assertEqual([h for h in ep.hooks(client_id="c1")
                          if "client" in h or "expired" in h],
                         ["on_client_wakeup", "on_client_offline",
                          "on_session_expired"])

    def test_it_really_is_gone(self):
        ep, b = self.stage()
        self.away(ep, b, "c1", 5, ("t", 1), seconds=1)
        ep.wait_for("on_session_expired", timeout=10)
        c = self.client(b, "c1", 5)
        ack = c.connect("u", "p", clean=False, properties=keep(5))
        self.assertEqual(ack["session_present"], 0)

    def test_looking_disturbs_nothing(self):
        """A session that is looked for keeps its messages and filters."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            self.away(ep, b, "c%d" % v, v, ("t/%d" % v, 1))
            pub.publish("t/%d" % v, "1", 1)
        asked = ep.count("auth_on_subscribe")
        time.sleep(3.5 * self.scale)
        for v in VERSIONS:
            pub.publish("t/%d" % v, "2", 1)
            c = self.client(b, "c%d" % v, v)
            ack = c.connect("u", "p", clean=False, properties=keep(v))
            if v > 3:
                self.assertEqual(ack["session_present"], 1)
            pub.publish("t/%d" % v, "3", 1)
            self.assertEqual([c.message()["payload"] for _ in range(3)],
                             ["1", "2", "3"])
            c.quiet()
        self.assertEqual(ep.count("auth_on_subscribe"), asked)
        self.assertEqual(ep.count("on_session_expired"), 0)

    def test_not_when_it_came_back(self):
        ep, b = self.stage()
        self.away(ep, b, "c1", 5, seconds=1)
        self.persistent(b, "c1", 5, seconds=60)
        time.sleep(3.5 * self.scale)
        self.settled(ep, b)
        self.assertEqual(ep.count("on_session_expired"), 0)

    def test_came_back_and_left_again(self):
        ep, b = self.stage()
        for _ in range(3):
            self.away(ep, b, "c1", 5, seconds=1)
        ep.wait_for("on_session_expired", timeout=10)
        time.sleep(2.5 * self.scale)
        self.assertEqual(ep.count("on_session_expired"), 1)

    def test_not_of_a_wiped_session(self):
        """A clean start ends it: nothing expired, nobody is gone."""
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            self.away(ep, b, cid, v)
            c = self.online(b, cid, v)
            c.disconnect()
            ep.wait_for("on_client_gone", client_id=cid)
        time.sleep(3.5 * self.scale)
        self.settled(ep, b)
        self.assertEqual(ep.count("on_session_expired"), 0)
        for v in VERSIONS:
            self.assertEqual(ep.count("on_client_gone",
                                      client_id="c%d" % v), 1)

    def test_not_of_clean_sessions(self):
        ep, b = self.stage()
        for v in VERSIONS:
            self.online(b, "c%d" % v, v).disconnect()
            ep.wait_for("on_client_gone", client_id="c%d" % v)
        time.sleep(2.5 * self.scale)
        self.settled(ep, b)
        self.assertEqual(ep.count("on_session_expired"), 0)

    def test_delayed_will_of_an_expired_session(self):
        """It goes out as the session ends, and is asked about."""
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        c = self.persistent(b, "c1", 5, seconds=1,
                            will={"topic": "w", "payload": "x",
                                  "properties":
                                  {"p_will_delay_interval": 60}})
        c.reset()
        self.assertEqual(sub.message(timeout=10)["topic"], "w")
        ep.wait_for("auth_on_publish_m5", topic="w", client_id="c1")
        ep.wait_for("on_session_expired", client_id="c1", timeout=10)
        self.assertEqual(ep.count("on_session_expired"), 1)
