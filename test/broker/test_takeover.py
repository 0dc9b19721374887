"""What VerneMQ tells, and in which order, as sessions are taken over and
resumed (contract.md, 5.10 to 5.13 and 5.23)."""

from endpoint import DENY
from host import ALL, BrokerTest

HOOKS = ALL + ("on_auth_m5", "on_offline_message", "on_session_expired",
               "on_deliver", "on_deliver_m5")
VERSIONS = (3, 4, 5)
LIFE = ("on_client_wakeup", "on_register", "on_register_m5",
        "on_client_offline", "on_client_gone", "on_session_expired")
COMES = ["wakeup", "register"]


class Takeover(BrokerTest):

    def stage(self):
        ep = self.endpoint()
        return ep, self.hooked(ep, HOOKS)

    def connect(self, b, client_id, version, clean, **kw):
        """`clean` ends the session with its connection."""
        keep = {"p_session_expiry_interval": 60} \
            if version == 5 and not clean else None
        return self.online(b, client_id, version, clean=clean,
                           properties=keep, **kw)

    def life(self, ep, client_id):
        return [h[3:].replace("client_", "").replace("_m5", "")
                for h in ep.hooks(client_id=client_id) if h in LIFE]

    def settled(self, ep, b):
        """Whatever was to be told by now has been told."""
        self.marks = getattr(self, "marks", 0) + 1
        self.online(b, "mark%d" % self.marks).disconnect()
        ep.wait_for("on_client_gone", client_id="mark%d" % self.marks)

    def taken_over(self, old, new, event):
        """An online session of this kind by one of that."""
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            first = self.connect(b, cid, v, old)
            second = self.connect(b, cid, v, new)
            first.expect_closed()
            second.barrier()
            ep.wait_for(self.hook("on_register", v), 2, client_id=cid)
            self.settled(ep, b)
            self.assertEqual(self.life(ep, cid), COMES + [event] + COMES)
            second.disconnect()
            ep.wait_for("on_client_" + ("gone" if new else "offline"),
                        2 if event == ("gone" if new else "offline") else 1,
                        client_id=cid)

    def test_clean_by_clean(self):
        self.taken_over(True, True, "gone")

    def test_persistent_by_persistent(self):
        self.taken_over(False, False, "offline")

    def test_clean_by_persistent(self):
        self.taken_over(True, False, "gone")

    def test_persistent_by_clean(self):
        """A clean start that evicts an online session: gone, whatever its
        own clean flag."""
        self.taken_over(False, True, "gone")

    def test_resume(self):
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            for n in range(2):
                self.connect(b, cid, v, False).disconnect()
                ep.wait_for("on_client_offline", n + 1, client_id=cid)
            self.settled(ep, b)
            self.assertEqual(self.life(ep, cid),
                             (COMES + ["offline"]) * 2)

    def test_clean_start_over_an_offline_session(self):
        """Wiped without a word."""
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            self.connect(b, cid, v, False).disconnect()
            ep.wait_for("on_client_offline", client_id=cid)
            self.connect(b, cid, v, True).disconnect()
            ep.wait_for("on_client_gone", client_id=cid)
            self.settled(ep, b)
            self.assertEqual(self.life(ep, cid), COMES + ["offline"] +
                             COMES + ["gone"])

    def test_again_and_again(self):
        ep, b = self.stage()
        for v in VERSIONS:
            for clean, event in ((True, "gone"), (False, "offline")):
                cid = "c%d%s" % (v, event)
                for _ in range(5):
                    last = self.connect(b, cid, v, clean)
                last.barrier()
                last.disconnect()
                ep.wait_for("on_client_" + event, 5, client_id=cid)
                self.settled(ep, b)
                self.assertEqual(self.life(ep, cid), (COMES + [event]) * 5)

    def test_by_another_protocol(self):
        ep, b = self.stage()
        for old, new in ((4, 5), (5, 4), (3, 4)):
            cid = "c%d%d" % (old, new)
            first = self.connect(b, cid, old, True)
            second = self.connect(b, cid, new, True)
            first.expect_closed()
            second.barrier()
            ep.wait_for(self.hook("on_register", new),
                        1 if self.hook("x", old) != self.hook("x", new)
                        else 2, client_id=cid)
            self.settled(ep, b)
            self.assertEqual(self.life(ep, cid), COMES + ["gone"] + COMES)

    def test_will_of_the_old(self):
        """Asked about before the new one is announced, and told of, in
        MQTT 3, as the old one's."""
        ep, b = self.stage()
        sub = self.subscriber(b, "w/#")
        for v in VERSIONS:
            cid = "c%d" % v
            first = self.connect(b, cid, v, True, username="old", will={
                "topic": "w/%d" % v, "payload": "x"})
            second = self.connect(b, cid, v, True, username="new")
            first.expect_closed()
            second.barrier()
            sub.message("w/%d" % v)
            ep.wait_for(self.hook("on_register", v), 2, client_id=cid)
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            topic="w/%d" % v)
            self.assertEqual(r["username"], "old")
            self.settled(ep, b)
            told = ["auth_on_publish"] + (["on_publish"] if v < 5 else [])
            want = ["auth_on_register", "on_client_wakeup", "on_register",
                    "auth_on_register"] + told + \
                   ["on_client_gone", "on_client_wakeup", "on_register"]
            got = [h.replace("_m5", "") for h in ep.hooks(client_id=cid)]
            # notifications and questions take their own ways
            self.assertEqual([h for h in got if h.startswith("auth")],
                             [h for h in want if h.startswith("auth")])
            self.assertEqual([h for h in got if h in LIFE],
                             [h for h in want if h in LIFE])
            self.assertEqual(sorted(got), sorted(want))

    def test_refused_takes_nothing_over(self):
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            first = self.connect(b, cid, v, False)
            ep.wait_for(self.hook("on_register", v), client_id=cid)
            ep.answers["auth_on_register"] = DENY
            ep.answers["auth_on_register_m5"] = DENY
            self.client(b, cid, v).connect("u", "p", rc=None)
            ep.answers.clear()
            first.barrier()
            self.settled(ep, b)
            self.assertEqual(self.life(ep, cid), COMES)

    def test_queued_messages_come_after(self):
        """wakeup, register, then what waited for it."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.connect(b, cid, v, False)
            c.subscribe(("t/%d" % v, 1))
            c.disconnect()
            ep.wait_for("on_client_offline", client_id=cid)
            for _ in range(3):
                pub.publish("t/%d" % v, "x", 1)
            ep.wait_for("on_offline_message", 3, client_id=cid)
            c = self.connect(b, cid, v, False)
            hook = self.hook("on_deliver", v)
            ep.wait_for(hook, 3, client_id=cid)
            self.settled(ep, b)
            told = [h for h in ep.hooks(client_id=cid)
                    if h in LIFE or h == hook or "offline" in h]
            self.assertEqual(told[-8:], ["on_offline_message"] * 3 +
                             ["on_client_wakeup",
                              self.hook("on_register", v)] + [hook] * 3)

    def test_publishes_come_after(self):
        """Even of a client that does not wait for its CONNACK."""
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.connect(b, cid, v, True)
            c.publish("t", "x", 1)
            c.subscribe("t")
            c.disconnect()
            ep.wait_for("on_client_gone", client_id=cid)
            told = [h.replace("_m5", "") for h in ep.hooks(client_id=cid)
                    if not h.startswith("auth")]
            self.assertEqual(told, ["on_client_wakeup", "on_register",
                                    "on_publish", "on_subscribe",
                                    "on_client_gone"])

    def test_expired_is_not_gone(self):
        ep, b = self.stage()
        c = self.online(b, "c1", 5, clean=False,
                        properties={"p_session_expiry_interval": 1})
        c.disconnect()
        ep.wait_for("on_session_expired", timeout=10)
        self.settled(ep, b)
        self.assertEqual(self.life(ep, "c1"),
                         COMES + ["offline", "session_expired"])
        self.connect(b, "c1", 5, True)
        ep.wait_for("on_register_m5", 2, client_id="c1")
        self.settled(ep, b)
        self.assertEqual(self.life(ep, "c1"),
                         COMES + ["offline", "session_expired"] + COMES)
