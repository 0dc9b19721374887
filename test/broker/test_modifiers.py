"""What replies change: logins, the qos of a publish, subscriptions."""

import base64
import time

from endpoint import OK, Stall, kept, ok
from host import ALL, EACH_LINE, BrokerTest, endpoint_conf

HOOKS = ALL + ("on_deliver", "on_deliver_m5")
LOGIN = ("auth_on_register", "auth_on_register_m5")
VERSIONS = (3, 4, 5)
REFUSED = {3: 5, 4: 5, 5: 0x87}
REFUSAL = {4: 0x80, 5: 0x87}


def b64(text):
    return base64.b64encode(text.encode()).decode()


def sync_conf(ep, hooks=HOOKS):
    """Logins with `blocking = on`."""
    conf = endpoint_conf(ep.url, [h for h in hooks if h not in LOGIN])
    conf.update(endpoint_conf(ep.url, LOGIN, "login", blocking="on"))
    return conf


class LoginTest(BrokerTest):

    def stage(self, modifiers=None, sync=False, conf=None, **kw):
        """An endpoint that lets everybody in so, and its broker."""
        ep = self.endpoint()
        if modifiers is not None:
            self.answer(ep, ok(**modifiers))
        settings = sync_conf(ep) if sync else endpoint_conf(ep.url, HOOKS)
        settings.update(EACH_LINE)
        settings.update(conf or {})
        return ep, self.broker(settings, **kw)

    def answer(self, ep, answer):
        for hook in LOGIN:
            ep.answers[hook] = answer

    def refused(self, b, client_id="c1", version=4, username="u"):
        c = self.client(b, client_id, version)
        c.connect(username, "p", rc=REFUSED[version])
        c.expect_closed()

    def renames(self, *ids):
        """Those whose id has a new one in this map, the rest as they are."""
        return lambda r: (ok(client_id=dict(ids)[r["client_id"]],
                             mountpoint="")
                          if r["client_id"] in dict(ids) else OK)


class Names(LoginTest):

    def test_username(self):
        ep, b = self.stage({"username": "new"})
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.online(b, cid, v, "old")
            r = ep.wait_for(self.hook("auth_on_register", v), client_id=cid)
            self.assertEqual(r["username"], "old")
            c.subscribe("t")
            c.publish("t", "x", 1)
            c.message()
            for hook in ("on_register", "auth_on_subscribe", "on_subscribe",
                         "auth_on_publish", "on_publish", "on_deliver"):
                r = ep.wait_for(self.hook(hook, v), client_id=cid)
                self.assertEqual(r["username"], "new", hook)

    def test_username_where_there_is_none(self):
        """As in VerneMQ a client that sent none stays without."""
        ep, b = self.stage({"username": "new"})
        for v in VERSIONS:
            self.client(b, "c%d" % v, v).connect()
            r = ep.wait_for(self.hook("on_register", v))
            self.assertIsNone(r["username"])

    def test_username_from_the_cache(self):
        ep, b = self.stage()
        self.answer(ep, kept(60, ok(username="new")))
        for n in (1, 2):
            self.online(b, "c1", 4, "old").disconnect()
            self.assertEqual(ep.wait_for("on_register", n)["username"],
                             "new")
        self.assertEqual(ep.count("auth_on_register"), 1)

    def test_username_is_of_this_client(self):
        ep, b = self.stage()
        self.answer(ep, lambda r: ok(username="new")
                    if r["client_id"] == "c1" else OK)
        self.online(b, "c1", 4, "old")
        self.online(b, "c2", 4, "old")
        self.assertEqual(ep.wait_for("on_register", client_id="c1")
                         ["username"], "new")
        self.assertEqual(ep.wait_for("on_register", client_id="c2")
                         ["username"], "old")

    def test_one_without_the_other(self):
        for sync in (False, True):
            for modifiers in ({"client_id": "x"}, {"mountpoint": ""},
                              {"client_id": "c1"},
                              {"client_id": "x", "mountpoint": None},
                              {"client_id": None, "mountpoint": ""},
                              {"client_id": 1, "mountpoint": ""}):
                with self.subTest(modifiers=modifiers, sync=sync):
                    ep, b = self.stage(modifiers, sync)
                    for v in VERSIONS:
                        self.refused(b, "c1", v)
                    b.wait_log("client_id|mountpoint")
                    self.assertEqual(ep.count("on_register"), 0)

    def test_same_id(self):
        """Its own id and the listener's mountpoint change nothing."""
        for sync in (False, True):
            ep, b = self.stage({"client_id": "c1", "mountpoint": ""}, sync)
            for v in VERSIONS:
                self.online(b, "c1", v).disconnect()
            ep.wait_for("on_client_gone", 3, client_id="c1")

    def test_other_mountpoint(self):
        for sync in (False, True):
            ep, b = self.stage({"client_id": "c1", "mountpoint": "mp"},
                               sync)
            for v in VERSIONS:
                self.refused(b, "c1", v)
            b.wait_log("c1 refused.*mountpoint")
            self.assertEqual(ep.count("on_register"), 0)

    def test_rename_on_20(self):
        if self.v21:
            return      # see the next
        for sync in (False, True):
            ep, b = self.stage({"client_id": "new", "mountpoint": ""}, sync)
            for v in VERSIONS:
                self.refused(b, "c1", v)
            b.wait_log("c1 refused.*renam.*2\\.1")
            self.assertEqual(ep.count("on_register"), 0)

    def renamed(self, sync):
        ep, b = self.stage({"client_id": "new", "mountpoint": ""}, sync)
        for v in VERSIONS:
            ep.forget()
            c = self.online(b, "old", v)
            ep.wait_for(self.hook("on_register", v), client_id="new")
            c.subscribe("t")
            c.publish("t", "x", 1)
            c.message()
            for hook in ("on_client_wakeup",
                         self.hook("auth_on_subscribe", v),
                         self.hook("on_subscribe", v),
                         self.hook("auth_on_publish", v),
                         self.hook("on_publish", v),
                         self.hook("on_deliver", v)):
                self.assertEqual(ep.wait_for(hook)["client_id"], "new")
            c.disconnect()
            ep.wait_for("on_client_gone", client_id="new")
            self.assertEqual(ep.hooks(client_id="old"),
                             [self.hook("auth_on_register", v)])

    def test_rename(self):
        if self.v21:
            self.renamed(True)

    def test_rename_delayed(self):
        if self.v21:
            self.renamed(False)

    def test_rename_takes_over(self):
        """A session of the new id, online, is the one that goes on; one of
        the old id is none of its business."""
        if self.v20:
            return
        ep, b = self.stage(sync=True)
        self.answer(ep, lambda r: ok(client_id="new", mountpoint="")
                    if r["username"] == "renamed" else OK)
        for v in (4, 5):
            keep = {"p_session_expiry_interval": 60} if v == 5 else None
            owner = self.online(b, "new", v, clean=False, properties=keep)
            owner.subscribe(("kept/%d" % v, 1))
            bystander = self.online(b, "old", v)
            c = self.client(b, "old", v)
            ack = c.connect("renamed", "p", clean=False, properties=keep)
            self.assertEqual(ack["session_present"], 1)
            owner.expect_closed()
            bystander.barrier()
            bystander.publish("kept/%d" % v, "x", 1)
            self.assertEqual(c.message()["payload"], "x")
            ep.wait_for("on_client_offline", client_id="new")
            c.disconnect()
            ep.wait_for("on_client_offline", 2, client_id="new")
            # and offline ones
            c = self.client(b, "old", v)
            ack = c.connect("renamed", "p", clean=False, properties=keep)
            self.assertEqual(ack["session_present"], 1)
            bystander.barrier()
            self.client(b, "new", v).connect("u", "p")  # wipes it
            c.expect_closed()
            bystander.disconnect()
            ep.forget()

    def test_rename_delayed_over_a_session(self):
        """The host cannot take over then: refused, never half done."""
        if self.v20:
            return
        ep, b = self.stage()
        self.answer(ep, lambda r: ok(client_id="new", mountpoint="")
                    if r["username"] == "renamed" else OK)
        for v in VERSIONS:
            owner = self.online(b, "new", v)
            self.refused(b, "old", v, "renamed")
            b.wait_log("client old refused.*blocking", VERSIONS.index(v) + 1)
            owner.barrier()
            owner.disconnect()
            same = self.online(b, "old", v)
            self.refused(b, "old", v, "renamed")
            same.barrier()
            same.disconnect()
        # and with a session that is offline
        self.online(b, "new", 4, clean=False).disconnect()
        ep.wait_for("on_client_offline", client_id="new")
        self.refused(b, "old", 4, "renamed")
        c = self.client(b, "new", 4)
        self.assertEqual(c.connect("u", "p", clean=False)
                         ["session_present"], 1)

    def test_two_delayed_renames_to_one_id(self):
        if self.v20:
            return
        ep, b = self.stage()
        stall = Stall(ok(client_id="new", mountpoint=""))
        self.answer(ep, stall)
        first = self.client(b, "a").open()
        first.send_connect("u", "p")
        second = self.client(b, "b").open()
        second.send_connect("u", "p")
        ep.wait_for("auth_on_register", 2)
        stall.release()
        codes = sorted(c.wait("CONNACK")["rc"] for c in (first, second))
        self.assertEqual(codes, [0, 5])
        ep.wait_for("on_register", client_id="new")
        ep.answers.clear()
        self.online(b, "mark").disconnect()
        ep.wait_for("on_client_gone", client_id="mark")
        self.assertEqual(ep.count("on_register"), 2)

    def test_rename_to_nothing(self):
        for sync in (False, True):
            ep, b = self.stage({"client_id": "", "mountpoint": ""}, sync)
            self.refused(b)
            b.wait_log("c1 refused")

    def test_renamed_session_resumes(self):
        if self.v20:
            return
        for sync in (True, False):
            ep, b = self.stage({"client_id": "new", "mountpoint": ""}, sync)
            c = self.online(b, "old", 4, clean=False)
            c.subscribe(("t", 1))
            c.disconnect()
            ep.wait_for("on_client_offline", client_id="new")
            c = self.client(b, "old", 4)
            if not sync:
                c.connect("u", "p", rc=5, clean=False)
                continue
            ack = c.connect("u", "p", clean=False)
            self.assertEqual(ack["session_present"], 1)

    def test_blocking_holds_the_broker(self):
        """Synchronous on 2.1 too, once the webhook says so."""
        for sync in (True, False):
            ep, b = self.stage(sync=sync)
            other = self.online(b, "other")
            stall = Stall()
            self.answer(ep, stall)
            c = self.client(b, "c1").open()
            c.send_connect("u", "p")
            ep.wait_for("auth_on_register", client_id="c1")
            if sync or self.v20:
                with self.assertRaises(AssertionError):
                    other.barrier(timeout=0.2 / self.scale)
                stall.release()
                other.wait("PINGRESP")
            else:
                other.barrier()
                stall.release()
            self.assertEqual(c.wait("CONNACK")["rc"], 0)


class Sessions(LoginTest):
    """clean_session and p_session_expiry_interval, on 2.1."""

    def ends(self, ep, b, version, offline, client_id="c1", **kw):
        """Connect and leave; how it went and whether it is there later."""
        n = ep.count("on_client_offline", client_id=client_id)
        m = ep.count("on_client_gone", client_id=client_id)
        c = self.online(b, client_id, version, **kw)
        c.subscribe(("kept", 1))
        c.disconnect()
        if offline:
            ep.wait_for("on_client_offline", n + 1, client_id=client_id)
        else:
            ep.wait_for("on_client_gone", m + 1, client_id=client_id)
        self.answer(ep, OK)
        self.online(b, "pub").publish("kept", "x", 1)
        c = self.client(b, client_id, version)
        keep = {"p_session_expiry_interval": 60} if version == 5 else None
        ack = c.connect("u", "p", clean=False, properties=keep)
        if version > 3:
            self.assertEqual(ack["session_present"], int(offline))
        self.assertEqual([p["payload"] for p in c.drain()],
                         ["x"] if offline else [])

    def both_ways(self, modifiers, offline, **kw):
        for sync in (False, True):
            with self.subTest(sync=sync):
                ep, b = self.stage(modifiers, sync)
                self.ends(ep, b, offline=offline, **kw)

    def test_kept(self):
        for v in (3, 4):
            self.both_ways({"clean_session": False}, self.v21, version=v)

    def test_not_kept(self):
        for v in (3, 4):
            self.both_ways({"clean_session": True}, self.v20, version=v,
                           clean=False)

    def test_as_asked(self):
        for v in (3, 4):
            self.both_ways({"clean_session": True}, False, version=v)
            self.both_ways({"clean_session": False}, True, version=v,
                           clean=False)

    def test_clean_session_has_no_effect_on_5(self):
        """In VerneMQ neither."""
        self.both_ways({"clean_session": False}, False, version=5)

    def test_expiry_given(self):
        expiry = {"properties": {"p_session_expiry_interval": 60}}
        for clean in (True, False):
            for asked in (None, {"p_session_expiry_interval": 0}):
                # 2.0 knows an MQTT 5 session's clean flag only
                ep, b = self.stage(expiry)
                if self.v20:
                    continue
                self.ends(ep, b, 5, True, clean=clean, properties=asked)

    def test_expiry_taken(self):
        ep, b = self.stage({"properties": {"p_session_expiry_interval": 0}})
        self.ends(ep, b, 5, self.v20, clean=False,
                  properties={"p_session_expiry_interval": 60})

    def test_expiry_is_the_replys(self):
        ep = self.endpoint()
        self.answer(ep, ok(properties={"p_session_expiry_interval": 1}))
        b = self.hooked(ep, HOOKS + ("on_session_expired",))
        c = self.online(b, "c1", 5, clean=False,
                        properties={"p_session_expiry_interval": 600})
        c.disconnect()
        ep.wait_for("on_client_offline")
        if self.v21:
            ep.wait_for("on_session_expired", timeout=10)
            return
        time.sleep(2.5)
        self.assertEqual(ep.count("on_session_expired"), 0)

    def test_the_rest_of_the_session_stays(self):
        """What else the client asked for is untouched: its will, its
        receive maximum, its name, and it gets messages of any qos."""
        ep, b = self.stage({"properties": {"p_session_expiry_interval": 60},
                            "username": "new"})
        c = self.client(b, "c1", 5, auto_ack=False)
        c.connect("u", "p", properties={"p_receive_max": 1,
                                        "p_session_expiry_interval": 5},
                  will={"topic": "w", "payload": "x"})
        self.assertEqual(ep.wait_for("on_register_m5")["username"], "new")
        self.answer(ep, OK)
        c.subscribe(("t", 2))
        pub = self.online(b, "pub")
        pub.publish("t", "1", 2)
        pub.publish("t", "2", 2)
        c.barrier()
        self.assertEqual([(p["payload"], p["qos"]) for p in c.inbox],
                         [("1", 2)])
        c.inbox = []
        sub = self.subscriber(b, "w")
        c.publish("other", "x", 2, retain=True)
        self.assertEqual(ep.wait_for("on_publish_m5")["username"], "new")
        c.reset()
        sub.message("w")

    def test_packet_size_is_forgotten(self):
        """2.1 sets the session's expiry together with the client's own
        maximum packet size, which it does not tell: documented."""
        ep, b = self.stage({"properties": {"p_session_expiry_interval":
                                           60}})
        c = self.online(b, "c1", 5, properties={"p_max_packet_size": 100})
        self.answer(ep, OK)
        c.subscribe(("t", 1))
        pub = self.online(b, "pub")
        pub.publish("t", "x" * 200, 1)
        pub.publish("t", "small", 1)
        got = [p["payload"][:5] for p in c.drain()]
        self.assertEqual(got, ["small"] if self.v20 else ["xxxxx", "small"])


class Limits(LoginTest):

    def test_size(self):
        """0 is no limit; one byte too many is refused."""
        ep, b = self.stage()
        sub = self.subscriber(b, ("#", 1))
        for v in VERSIONS:
            # header, length, topic, mid, property length, payload
            overhead = 1 + 1 + 2 + 1 + 2 + (1 if v == 5 else 0)
            self.answer(ep, ok(max_message_size=overhead + 50))
            c = self.online(b, "c%d" % v, v)
            c.publish("t", "a" * 50, 1)
            self.assertEqual(sub.message()["payload"], "a" * 50)
            ack = c.publish("t", "b" * 51, 1)
            self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
            c.publish("t", "c" * 5000, 0)
            c.publish("t", "d" * 50, 1)
            self.assertEqual(sub.message()["payload"], "d" * 50)
            self.answer(ep, ok(max_message_size=0))
            c = self.online(b, "d%d" % v, v)
            c.publish("t", "e" * 5000, 1)
            self.assertEqual(sub.message()["payload"], "e" * 5000)
        # it is refused before anybody is asked
        asked = {r["payload"][:2] for r in ep.of()
                 if r.hook.startswith("auth_on_publish")}
        self.assertEqual(asked, {b64(x * 3)[:2] for x in "ade"})
        b.wait_log("max_message_size")

    def test_size_is_of_this_client(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, lambda r: ok(max_message_size=20)
                    if r["client_id"] == "c1" else OK)
        self.online(b, "c1").publish("t", "x" * 100, 1)
        self.online(b, "c2").publish("t", "y" * 100, 1)
        self.assertEqual(sub.message()["payload"][0], "y")
        # its next login sets it anew
        self.answer(ep, OK)
        self.online(b, "c1").publish("t", "z" * 100, 1)
        self.assertEqual(sub.message()["payload"][0], "z")

    def burst(self, c, n):
        for i in range(n):
            c.send_publish("t", "x%d" % i)
        c.barrier()

    def test_rate(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, ok(max_message_rate=5))
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            self.burst(c, 50)
            got = len(sub.drain())
            # a new second may have begun meanwhile
            self.assertIn(got, range(5, 11))
            time.sleep(1.1 * self.scale)
            c.publish("t", "later", 1)
            self.assertEqual(sub.message()["payload"], "later")
            c.quiet()
        b.wait_log("max_message_rate")
        self.assertLess(b.log_count("max_message_rate"), 12)

    def test_rate_refuses_visibly(self):
        ep, b = self.stage({"max_message_rate": 1})
        c = self.online(b, "c1", 5)
        codes = [c.publish("t", "x", 1).get("rc", 0) for _ in range(5)]
        self.assertIn(0x87, codes)
        self.assertIn(codes[0], (0, 0x10))

    def test_no_rate(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, ok(max_message_rate=0))
        self.burst(self.online(b, "c1"), 200)
        self.assertEqual(len(sub.drain()), 200)

    def test_a_will_is_not_limited(self):
        """VerneMQ pauses, it drops nothing: least of all the will of a
        client that spent its messages of this second, or one that is larger
        than a publish may be."""
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, ok(max_message_rate=1))
        c = self.online(b, "c1", will={"topic": "w", "payload": "rate"})
        for i in range(3):
            c.publish("t", "x", 1)
        c.reset()
        self.assertEqual(sub.message("w")["payload"], "rate")

    def test_a_will_has_any_size(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, ok(max_message_size=20))
        self.online(b, "c1", will={"topic": "w", "payload":
                                   "x" * 100}).reset()
        self.assertEqual(sub.message("w")["payload"], "x" * 100)

    def test_lifetime(self):
        ep, b = self.stage()
        for v in VERSIONS:
            self.answer(ep, ok(max_connection_lifetime=1))
            began = time.monotonic()
            c = self.online(b, "c%d" % v, v)
            self.answer(ep, ok(max_connection_lifetime=0))
            stays = self.online(b, "stays%d" % v, v)
            before = c.expect_closed(timeout=10)
            took = time.monotonic() - began
            self.assertGreater(took, 0.8)
            self.assertLess(took, 2.5 * self.scale)
            self.assertEqual([p["type"] for p in before],
                             ["DISCONNECT"] if v == 5 else [])
            ep.wait_for("on_client_gone", client_id="c%d" % v)
            stays.barrier()
        b.wait_log("max_connection_lifetime", 3)

    def test_lifetime_of_a_kept_session(self):
        ep, b = self.stage()
        self.answer(ep, ok(max_connection_lifetime=1))
        c = self.online(b, "c1", clean=False)
        c.subscribe(("t", 1))
        c.expect_closed(timeout=10)
        ep.wait_for("on_client_offline", client_id="c1")
        self.answer(ep, OK)
        self.online(b, "pub").publish("t", "x", 1)
        c = self.client(b, "c1")
        ack = c.connect("u", "p", clean=False)
        self.assertEqual(ack["session_present"], 1)
        self.assertEqual(c.message()["payload"], "x")

    def test_will_at_the_end_of_a_lifetime_is_asked(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        for v in VERSIONS:
            self.answer(ep, ok(max_connection_lifetime=1))
            c = self.online(b, "c%d" % v, v,
                            will={"topic": "w/%d" % v, "payload": "x"})
            c.expect_closed(timeout=10)
            sub.message("w/%d" % v)
            ep.wait_for(self.hook("auth_on_publish", v), topic="w/%d" % v)

    def test_denied_will_at_the_end_of_a_lifetime(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish"] = lambda r: (
            {"result": {"error": "no"}} if r["topic"] == "w" else OK)
        self.answer(ep, ok(max_connection_lifetime=1))
        c = self.online(b, "c1", 4, will={"topic": "w", "payload": "x"})
        self.answer(ep, OK)
        c.expect_closed(timeout=10)
        self.online(b, "pub").publish("marker", "m", 1)
        self.assertEqual(sub.message()["topic"], "marker")

    def test_lifetime_over_before_it_left(self):
        """Who leaves and returns has a new life."""
        ep, b = self.stage({"max_connection_lifetime": 1})
        self.online(b, "c1").disconnect()
        self.answer(ep, OK)
        c = self.online(b, "c1")
        time.sleep(2 * self.scale)
        c.barrier()


class WithoutEffect(LoginTest):

    NONE = {"max_inflight_messages": 5, "retry_interval": 20,
            "upgrade_qos": True, "shared_subscription_policy": "random",
            "allow_register": True, "allow_publish": True,
            "allow_subscribe": True, "allow_unsubscribe": True,
            "max_online_messages": 5, "max_offline_messages": -1,
            "queue_type": "fifo", "max_drain_time": 5,
            "max_msgs_per_drain_step": 5}

    def test_login(self):
        ep, b = self.stage(dict(self.NONE, username="new"))
        for i in range(2):
            for v in VERSIONS:
                self.online(b, "c%d" % v, v).disconnect()
                ep.wait_for(self.hook("on_register", v), i + 1,
                            client_id="c%d" % v, username="new")
        for hook in (r"auth_on_register:", "auth_on_register_m5:"):
            said = b.lines_with(hook + ".*no effect")
            self.assertEqual(len(said), 1, said)
            self.has(said[0], *self.NONE)
            self.assertNotIn("username", said[0])

    def test_session(self):
        """Only 2.1 can change it; the others say so."""
        ep, b = self.stage({"clean_session": True})
        self.online(b, "c4", 4)
        self.assertEqual(b.log_count("no effect.*clean_session"),
                         1 if self.v20 else 0)
        self.answer(ep, ok(properties={"p_session_expiry_interval": 1}))
        self.online(b, "c5", 5)
        self.assertEqual(b.log_count("no effect.*properties"),
                         1 if self.v20 else 0)

    def test_throttle(self):
        ep, b = self.stage()
        ep.answers["auth_on_publish"] = ok(throttle=100)
        ep.answers["auth_on_publish_m5"] = ok(throttle=0)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.publish("t", "x", 1)
            c.publish("t", "x", 1)
        self.assertEqual(b.log_count(r"auth_on_publish:.*no effect.*"
                                     "throttle"), 1)
        self.assertEqual(b.log_count(r"auth_on_publish_m5:.*no effect.*"
                                     "throttle"), 1)

    def test_each_webhook(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, HOOKS, "a")
        conf.update(endpoint_conf(second.url, LOGIN, "b"))
        b = self.broker(conf)
        self.answer(first, {"result": "next",
                            "modifiers": {"retry_interval": 1}})
        self.answer(second, ok(retry_interval=1))
        self.online(b, "c1")
        said = b.lines_with("no effect.*retry_interval")
        self.assertEqual(len(said), 1)
        self.assertIn(":%d" % second.port, said[0])
        self.answer(first, ok(retry_interval=1))
        self.online(b, "c2")
        self.assertEqual(b.log_count("no effect.*retry_interval"), 2)

    def test_nothing_said_of_what_has_effect(self):
        ep, b = self.stage({"username": "new", "max_message_size": 1000,
                            "max_message_rate": 100,
                            "max_connection_lifetime": 100})
        ep.answers["auth_on_publish"] = ok(topic="n", payload="bg==",
                                           qos=1, retain=True)
        c = self.online(b, "c1")
        c.publish("t", "x", 0)
        ep.wait_for("on_publish")
        self.assertEqual(b.log_count("no effect"), 0)


class Invalid(LoginTest):
    """The log names it; failures of one webhook are limited to a line in ten
    seconds, hence a broker for each."""

    CASES = [("username", 1), ("username", None), ("username", "a\x00b"),
             ("clean_session", "yes"), ("clean_session", 1),
             ("max_message_size", "10"), ("max_message_size", -1),
             ("max_message_rate", "1"), ("max_message_rate", True),
             ("max_connection_lifetime", "1"),
             ("max_connection_lifetime", None),
             ("max_inflight_messages", "1"), ("retry_interval", "20"),
             ("upgrade_qos", 1), ("shared_subscription_policy", "bogus"),
             ("shared_subscription_policy", 1), ("allow_publish", "true"),
             ("max_online_messages", "1"), ("queue_type", "stack"),
             ("topic", "t"), ("payload", "eA=="), ("qos", 1),
             ("retain", True), ("throttle", 1), ("reason_code", 0),
             ("topics", []), ("password", "x"), ("subscriber_id", "x"),
             ("reg_view", "x"), ("Username", "x"), ("bogus", 1)]

    def each(self, cases):
        """A broker and an endpoint for each case."""
        for case in cases:
            with self.subTest(case=case):
                ep, b = self.stage()
                yield ep, b, case
                b.stop()

    def logins(self, cases):
        for ep, b, (name, value) in self.each(cases):
            self.answer(ep, ok(**{name: value}))
            for v in (4, 5):
                self.refused(b, "c%d" % v, v)
            b.wait_log(r'auth_on_register:.*"%s"' % name)
            b.wait_log('auth_on_register_m5:.*"%s"' % name)
            self.assertEqual(set(ep.hooks()), set(LOGIN))

    def test_login(self):
        self.logins(self.CASES[:16])

    def test_login_others(self):
        self.logins(self.CASES[16:])

    def test_login_properties(self):
        """Allowed for MQTT 5 only, and of those two."""
        ep, b = self.stage({"properties": {"p_session_expiry_interval": 5}})
        self.refused(b, "c4", 4)
        b.wait_log('auth_on_register:.*"properties"')
        self.online(b, "c5", 5)
        for ep, b, (name, value) in self.each((
                ("p_session_expiry_interval", "5"),
                ("p_session_expiry_interval", -1),
                ("p_session_expiry_interval", 2 ** 32),
                ("session_expiry_interval", 5), ("p_max_qos", 1),
                ("p_receive_max", 1),
                ("p_user_property", [{"key": "aw=="}]))):
            self.answer(ep, ok(properties={name: value}))
            self.refused(b, "c5", 5)
            b.wait_log('auth_on_register_m5:.*"%s"' % name)

    def publishes(self, cases):
        for ep, b, (name, value) in self.each(cases):
            c = self.online(b, "c1", 5)
            ep.answers["auth_on_publish_m5"] = ok(**{name: value})
            self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
            if name == "properties":
                name = list(value)[0]
            b.wait_log('auth_on_publish_m5:.*"%s"' % name)

    def test_publish(self):
        self.publishes((("qos", 3), ("qos", "1"), ("qos", -1),
                        ("retain", 1), ("throttle", -1), ("throttle", "1"),
                        ("topic", "a/#"), ("payload", "%"),
                        ("mountpoint", 1), ("client_id", "x"),
                        ("username", "x"), ("clean_session", True),
                        ("reason_code", 0)))

    def test_publish_properties(self):
        self.publishes(("properties", {name: value}) for name, value in (
            ("p_message_expiry_interval", "1"), ("p_content_type", 1),
            ("p_payload_format_indicator", 1), ("p_response_topic", "a/#"),
            ("p_correlation_data", 1), ("p_session_expiry_interval", 1),
            ("p_subscription_id", [1]), ("p_topic_alias", 1), ("bogus", 1)))


class PublishQos(BrokerTest):

    def stage(self, **kw):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, **kw)
        return ep, b, self.subscriber(b, ("#", 2), version=5)

    def answer(self, ep, answer):
        for hook in ("auth_on_publish", "auth_on_publish_m5"):
            ep.answers[hook] = answer

    def test_decided(self):
        """Each publisher's qos to each decided one: acknowledged as it was
        published, delivered once as it was decided."""
        ep, b, sub = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            for qos in (0, 1, 2):
                for decided in (0, 1, 2):
                    topic = "t/%d/%d/%d" % (v, qos, decided)
                    self.answer(ep, ok(qos=decided))
                    ack = c.publish(topic, "hi", qos)
                    self.assertEqual(ack and ack["type"],
                                     (None, "PUBACK", "PUBCOMP")[qos])
                    got = sub.message()
                    self.assertEqual((got["topic"], got["payload"],
                                      got["qos"], got["retain"]),
                                     (topic, "hi", decided, False))
                    r = ep.wait_for(self.hook("on_publish", v), topic=topic)
                    want = {"username": "joe", "mountpoint": "",
                            "client_id": "c%d" % v, "qos": decided,
                            "topic": topic, "payload": "aGk=",
                            "retain": False}
                    if v == 5:
                        want["properties"] = {}
                    self.assertEqual(r.body, want)
                    r = ep.of(self.hook("auth_on_publish", v),
                              topic=topic)[0]
                    self.assertEqual(r["qos"], qos)
            c.quiet()
        sub.quiet()
        for r in ep.of():
            if r.hook.startswith("on_publish"):
                self.assertEqual(ep.count(r.hook, topic=r["topic"]), 1)
        self.assertEqual([r for r in ep.of() if (r.body or {}).get("topic")
                          == "$"], [])

    def test_acknowledged_well(self):
        """An MQTT 5 publisher sees success, too."""
        ep, b, sub = self.stage()
        c = self.online(b, "c1", 5)
        for qos in (1, 2):
            self.answer(ep, ok(qos=0))
            ack = c.publish("t", "x", qos)
            self.assertIn(ack.get("rc", 0), (0, 0x10))

    def test_not_before_the_decision(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            for qos in (0, 1, 2):
                stall = Stall(ok(qos=(qos + 1) % 3))
                self.answer(ep, stall)
                c.send_publish("t", "x", qos, mid=7)
                n = ep.count()
                ep.wait_until(lambda: stall.held, "question")
                for who in (c, sub):
                    with self.assertRaises(AssertionError):
                        who.wait("PUBACK", "PUBREC", "PUBLISH",
                                 timeout=0.1 / self.scale)
                stall.release()
                if qos:
                    p = c.wait("PUBACK", "PUBREC")
                    if p["type"] == "PUBREC":
                        c.ack("PUBREL", 7)
                        c.wait("PUBCOMP")
                self.assertEqual(sub.message()["qos"], (qos + 1) % 3)
                self.assertGreaterEqual(ep.count(), n)

    def test_retained(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            self.answer(ep, ok(qos=1))
            c.publish("r/kept/%d" % v, "k", 0, retain=True)
            sub.message("r/kept/%d" % v)
            self.answer(ep, ok(qos=2, retain=True))
            c.publish("r/made/%d" % v, "m", 1)
            self.answer(ep, ok(qos=0, retain=False))
            c.publish("r/gone/%d" % v, "g", 2, retain=True)
            sub.message("r/gone/%d" % v)
        late = self.subscriber(b, ("#", 2), client_id="late", version=5)
        late.barrier()
        got = sorted((p["topic"], p["payload"], p["qos"], p["retain"])
                     for p in late.drain())
        self.assertEqual(got, sorted(
            [("r/kept/%d" % v, "k", 1, True) for v in VERSIONS] +
            [("r/made/%d" % v, "m", 2, True) for v in VERSIONS]))

    def test_with_everything_else(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            self.answer(ep, ok(qos=2, topic="new/topic", payload=b64("new"),
                               **({"properties": {"p_content_type": "ct"}}
                                  if v == 5 else {})))
            c = self.online(b, "c%d" % v, v)
            c.publish("old", "o", 1, properties={
                "p_content_type": "x", "p_user_property": [["k", "v"]]})
            got = sub.message()
            self.assertEqual((got["topic"], got["payload"], got["qos"]),
                             ("new/topic", "new", 2))
            self.assertEqual(got["properties"],
                             {"p_content_type": "ct"} if v == 5 else {})
            r = ep.wait_for(self.hook("on_publish", v),
                            client_id="c%d" % v)
            self.assertEqual((r["topic"], r["payload"], r["qos"]),
                             ("new/topic", b64("new"), 2))

    def test_properties_stay(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(qos=1))
        props = {"p_payload_format_indicator": 1,
                 "p_content_type": "text/plain",
                 "p_response_topic": "re/ply", "p_correlation_data": "c",
                 "p_user_property": [["k", "v"], ["k", "w"]]}
        self.online(b, "c1", 5).publish("t", "x", 0, properties=props)
        self.assertEqual(sub.message()["properties"], props)

    def test_queued_for_who_is_away(self):
        ep, b, sub = self.stage()
        self.online(b, "away", clean=False).subscribe(("t", 1))
        away = self.online(b, "away", clean=False)
        away.disconnect()
        self.answer(ep, ok(qos=1))
        c = self.online(b, "c1")
        c.publish("t", "x", 0)
        sub.message("t")
        away = self.online(b, "away", clean=False)
        self.assertEqual(away.message()["qos"], 1)

    def test_empty_payload(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(qos=1))
        for v in VERSIONS:
            self.online(b, "c%d" % v, v).publish("t", "", 2)
            self.assertEqual(sub.message()["payload"], "")

    def test_clears_a_retained_message(self):
        ep, b, sub = self.stage()
        self.answer(ep, OK)
        c = self.online(b, "c1", 5)
        c.publish("r", "x", 1, retain=True)
        sub.message("r")
        self.answer(ep, ok(qos=0))
        c.publish("r", "", 1, retain=True)
        sub.message("r")
        self.subscriber(b, "r", client_id="late").quiet()

    def test_topic_of_one_letter(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(qos=1))
        for v in VERSIONS:
            self.online(b, "c%d" % v, v).publish("t", "x", 0)
            self.assertEqual(sub.message()["topic"], "t")

    def test_many(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(qos=1))
        c = self.online(b, "c1", 5)
        for i in range(100):
            c.send_publish("t", str(i), 0)
        c.barrier()
        self.assertEqual([sub.message()["payload"] for _ in range(100)],
                         [str(i) for i in range(100)])
        sub.quiet()

    def test_will(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(qos=2))
        for v in VERSIONS:
            self.online(b, "c%d" % v, v,
                        will={"topic": "w", "payload": "x"}).reset()
            got = sub.message()
            self.assertEqual((got["topic"], got["qos"]), ("w", 2))
        sub.quiet()

    def test_publish_denied_disconnect_is_no_denial(self):
        """How the original is swallowed must not look like a refusal."""
        ep, b, sub = self.stage(conf={
            "vmq_webhooks.publish_denied": "disconnect"})
        self.answer(ep, ok(qos=2))
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.publish("t", "x", 1)
            c.publish("t", "x", 0)
            c.barrier()
            self.assertEqual(sub.message()["qos"], 2)
            self.assertEqual(sub.message()["qos"], 2)

    def test_nobody_can_listen_there(self):
        """`$` is where swallowed messages go."""
        ep, b, sub = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            for name in ("$", "$share/g/$"):
                codes = c.subscribe((name, 0), ("fine/%d" % v, 0))
                if v > 3:
                    self.assertEqual(codes, [REFUSAL[v], 0])
            self.answer(ep, ok(qos=1))
            self.online(b, "pub", 5).publish("t", "x", 0)
            sub.message("t")
            c.quiet()
        self.assertEqual({t["topic"] for r in ep.of()
                          if "auth_on_subscribe" in r.hook
                          for t in r["topics"]} - {"#"},
                         {"fine/3", "fine/4", "fine/5"})

    def led(self, *names):
        """Rewriting a subscription to one of these refuses it."""
        ep, b, sub = self.stage()
        for new in names:
            with self.subTest(new=new):
                topics = [{"topic": new, "qos": 0}]
                ep.answers["auth_on_subscribe"] = {"result": "ok",
                                                   "topics": topics}
                ep.answers["auth_on_subscribe_m5"] = ok(topics=topics)
                for v in (4, 5):
                    c = self.online(b, "c%d" % v, v)
                    self.assertEqual(c.subscribe("asked"), [REFUSAL[v]])
                    c.quiet()
                    c.disconnect()

    def test_nobody_is_led_there(self):
        self.led("$", "$share/g/$")

    def test_nobody_is_led_to_control(self):
        self.led("$CONTROL", "$CONTROL/#", "$CONTROL/dynamic-security/v1",
                 "$share/g/$CONTROL/#")

    def test_nobody_is_led_to_the_brokers_own(self):
        """contract.md, decision 28: no reply may rewrite a topic into $SYS
        or $share."""
        self.led("$SYS/#", "$SYS/x", "$share/g/t")

    def test_as_requested_is_no_rewrite(self):
        """A reply that names what was asked for may name $SYS, or a shared
        subscription."""
        ep, b, sub = self.stage()
        for asked in ("$SYS/broker/version", "$share/g/t", "t/+/#"):
            topics = [{"topic": asked, "qos": 1}]
            ep.answers["auth_on_subscribe"] = {"result": "ok",
                                               "topics": topics}
            ep.answers["auth_on_subscribe_m5"] = ok(topics=topics)
            for v in (4, 5):
                c = self.online(b, "c%d" % v, v)
                self.assertEqual(c.subscribe((asked, 1)), [1], asked)
                c.disconnect()


class Subscriptions(BrokerTest):

    def stage(self, blocking=False):
        ep = self.endpoint()
        names = ("on_unsubscribe", "on_unsubscribe_m5")
        conf = endpoint_conf(ep.url, [h for h in HOOKS if h not in names])
        conf.update(endpoint_conf(ep.url, names, "leave",
                                  **({"blocking": "on"} if blocking
                                     else {})))
        conf.update(EACH_LINE)
        return ep, self.broker(conf)

    def answer(self, ep, topics, hook="auth_on_subscribe"):
        ep.answers[hook] = {"result": "ok", "topics": topics}
        ep.answers[hook + "_m5"] = ok(topics=topics)

    def gets(self, pub, c, *topics):
        """Of these only the first reaches the client."""
        for topic in topics:
            pub.publish(topic, "x", 2)
        return [(p["topic"], p["qos"]) for p in c.drain()]

    def rewritten(self, asked, new, topics):
        """Subscribe so, be granted so: what is delivered of what is then
        published, and what is told."""
        ep, b = self.stage()
        self.answer(ep, [{"topic": new[0], "qos": new[1]}])
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            codes = c.subscribe(asked)
            if self.v20:
                self.assertEqual(codes, [REFUSAL.get(v, asked[1])])
                self.assertEqual(self.gets(pub, c, *topics), [])
                continue
            # the SUBACK keeps the requested qos
            self.assertEqual(codes, [asked[1]])
            self.assertEqual(self.gets(pub, c, *topics),
                             [(topics[0], new[1])])
            r = ep.wait_for(self.hook("on_subscribe", v),
                            client_id="c%d" % v)
            want = {"topic": new[0], "qos": new[1]}
            if v == 5:
                want.update(no_local=False, rap=False,
                            retain_handling="send_retain")
            self.assertEqual(r["topics"], [want])
        if self.v20:
            b.wait_log("subscription of client c4 to %s refused.*rewrites"
                       % asked[0])
            self.assertEqual(ep.count("on_subscribe"), 0)
            self.assertEqual(ep.count("on_subscribe_m5"), 0)

    def test_filter(self):
        self.rewritten(("asked", 1), ("new/filter/+", 1),
                       ("new/filter/x", "asked", "new/filter"))

    def test_shorter_filter(self):
        self.rewritten(("a/longer/filter", 1), ("n", 1),
                       ("n", "a/longer/filter"))

    def test_qos_down(self):
        self.rewritten(("t", 2), ("t", 0), ("t", "u"))

    def test_qos_up(self):
        self.rewritten(("t", 0), ("t", 2), ("t", "u"))

    def test_both(self):
        self.rewritten(("t", 0), ("u", 1), ("u", "t"))

    def test_several_filters(self):
        """Each is asked for, and its answer is its own."""
        ep, b = self.stage()
        for hook in ("auth_on_subscribe", "auth_on_subscribe_m5"):
            ep.answers[hook] = lambda r: (
                OK if r["topics"][0]["topic"] == "b" else
                {"result": "ok", "topics":
                 [{"topic": "x/" + r["topics"][0]["topic"], "qos": 1}],
                 "modifiers": {"topics":
                               [{"topic": "x/" + r["topics"][0]["topic"],
                                 "qos": 1}]}}
                if r.hook.endswith("m5") else
                {"result": "ok", "topics":
                 [{"topic": "x/" + r["topics"][0]["topic"], "qos": 1}]})
        pub = self.online(b, "pub")
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            codes = c.subscribe(("a", 0), ("b", 2), ("c", 1))
            self.assertEqual(codes, [0, 2, 1] if self.v21 else
                             [REFUSAL[v], 2, REFUSAL[v]])
            self.assertEqual(
                self.gets(pub, c, "a", "b", "c", "x/a", "x/b", "x/c"),
                [("b", 2), ("x/a", 1), ("x/c", 1)] if self.v21
                else [("b", 2)])
            r = ep.wait_for(self.hook("on_subscribe", v),
                            client_id="c%d" % v)
            self.assertEqual([t["topic"] for t in r["topics"]],
                             ["x/a", "b", "x/c"] if self.v21 else ["b"])
            c.disconnect()

    def test_retained_of_the_new_filter(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        pub.publish("asked", "a", 1, retain=True)
        pub.publish("new", "n", 1, retain=True)
        self.answer(ep, [{"topic": "new", "qos": 1}])
        c = self.online(b, "c1", 4)
        c.subscribe(("asked", 1))
        self.assertEqual([p["topic"] for p in c.drain()],
                         ["new"] if self.v21 else [])

    def test_options(self):
        if self.v20:
            return      # any rewrite is refused there
        ep, b = self.stage()
        ep.answers["auth_on_subscribe_m5"] = ok(topics=[
            {"topic": "r", "qos": 1, "no_local": True, "rap": True}])
        pub = self.online(b, "pub")
        c = self.online(b, "c1", 5)
        c.subscribe(("asked", 1))
        c.publish("r", "mine", 1)
        c.quiet()
        pub.publish("r", "theirs", 1, retain=True)
        self.assertTrue(c.message()["retain"])
        self.assertEqual(ep.wait_for("on_subscribe_m5")["topics"],
                         [{"topic": "r", "qos": 1, "no_local": True,
                           "rap": True, "retain_handling": "send_retain"}])

    def test_retain_handling(self):
        """2.1 goes by what the client asked for: where the reply says
        something else, that has to be said."""
        if self.v20:
            return
        ep, b = self.stage()
        ep.answers["auth_on_subscribe_m5"] = ok(topics=[
            {"topic": "r", "qos": 1, "retain_handling": "dont_send"}])
        self.online(b, "pub").publish("r", "old", 1, retain=True)
        c = self.online(b, "c1", 5)
        c.subscribe(("r", 1))
        self.assertEqual(len(c.drain()), 1)
        b.wait_log("retain_handling", timeout=1)

    def test_options_not_named(self):
        """They fall back to the defaults, as in VerneMQ."""
        if self.v20:
            return
        ep, b = self.stage()
        ep.answers["auth_on_subscribe_m5"] = ok(topics=[
            {"topic": "new", "qos": 1}])
        c = self.online(b, "c1", 5)
        c.subscribe(("asked", 1 | 4 | 8 | 0x20))
        self.assertEqual(ep.wait_for("on_subscribe_m5")["topics"],
                         [{"topic": "new", "qos": 1, "no_local": False,
                           "rap": False, "retain_handling": "send_retain"}])
        c.publish("new", "own", 1)
        self.assertEqual(c.message()["payload"], "own")

    def test_options_on_20(self):
        """Options differ from what was asked, or not: unknown at that
        moment. The filter and the qos are what counts."""
        if self.v21:
            return
        ep, b = self.stage()
        ep.answers["auth_on_subscribe_m5"] = ok(topics=[
            {"topic": "t", "qos": 1}])
        c = self.online(b, "c1", 5)
        self.assertEqual(c.subscribe(("t", 1)), [1])

    def test_two_topics(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for n, topics in enumerate((
                [{"topic": "t", "qos": 1}] * 2,
                [{"topic": "t", "qos": 1}, {"topic": "u", "qos": 1}])):
            self.answer(ep, topics)
            for v in (4, 5):
                c = self.online(b, "c%d" % v, v)
                self.assertEqual(c.subscribe(("t", 1)), [REFUSAL[v]])
                self.assertEqual(self.gets(pub, c, "t", "u"), [])
                c.disconnect()
                b.wait_log("client c%d refused.*lists 2" % v, n + 1)

    def test_no_topics(self):
        ep, b = self.stage()
        self.answer(ep, [])
        for v in (3, 4):
            c = self.online(b, "c%d" % v, v)
            self.assertEqual(c.subscribe(("t", 1)), [1])
            c.publish("t", "x", 1)
            self.assertEqual(c.message()["qos"], 1)
            c.disconnect()
        c = self.online(b, "c5", 5)
        self.assertEqual(c.subscribe(("t", 1)), [0x87])
        c.publish("t", "x", 1)
        c.quiet()
        self.assertEqual(ep.count("on_subscribe_m5"), 0)

    def test_refused_by_qos(self):
        ep, b = self.stage()
        for qos in (128, 135, 143, 3, 255):
            self.answer(ep, [{"topic": "t", "qos": qos}])
            for v in (4, 5):
                c = self.online(b, "c%d" % v, v)
                self.assertEqual(c.subscribe(("t", 1)), [REFUSAL[v]], qos)
                c.disconnect()
        self.assertEqual(ep.count("on_subscribe"), 0)
        self.assertEqual(ep.count("on_subscribe_m5"), 0)

    def test_refused_by_qos_on_31(self):
        """3.1 knows no refusal; there is no subscription all the same."""
        ep, b = self.stage()
        self.answer(ep, [{"topic": "t", "qos": 128}])
        c = self.online(b, "c3", 3)
        c.subscribe(("t", 1))
        c.publish("t", "x", 1)
        c.quiet()

    def test_from_the_cache(self):
        ep, b = self.stage()
        topics = [{"topic": "new", "qos": 1}]
        ep.answers["auth_on_subscribe"] = kept(60, {"result": "ok",
                                                    "topics": topics})
        pub = self.online(b, "pub")
        for _ in range(2):
            c = self.online(b, "c1")
            codes = c.subscribe(("asked", 1))
            self.assertEqual(codes, [1] if self.v21 else [0x80])
            self.assertEqual(self.gets(pub, c, "asked", "new"),
                             [("new", 1)] if self.v21 else [])
            c.disconnect()
        self.assertEqual(ep.count("auth_on_subscribe"), 1)

    def test_rewrite_stays_with_its_filter(self):
        """Refused by the host after we allowed it, or asked twice: another
        filter never gets it."""
        ep, b = self.stage()
        self.answer(ep, [{"topic": "new", "qos": 1}])
        pub = self.online(b, "pub")
        c = self.online(b, "c1")
        c.subscribe(("asked", 1))
        ep.answers.clear()
        c.subscribe(("asked", 1))
        c.subscribe(("other", 1))
        self.assertEqual([t for t, _ in self.gets(pub, c, "asked", "other")],
                         ["asked", "other"])

    # -- leaving ----------------------------------------------------------

    def test_unsubscribe_what_was_rewritten(self):
        """2.1 with `blocking`: the endpoint maps the filter back."""
        ep, b = self.stage(blocking=True)
        pub = self.online(b, "pub")
        self.assertEqual(len(b.lines_with("blocking.*on_unsubscribe")),
                         1 if self.v20 else 0)
        for v in VERSIONS:
            ep.answers.clear()
            c = self.online(b, "c%d" % v, v, "joe")
            c.subscribe(("new/x", 1), ("asked", 1))
            self.answer(ep, ["new/x"], "on_unsubscribe")
            codes = c.unsubscribe("asked")
            self.assertEqual(codes, [0] if v == 5 else [])
            r = ep.wait_for(self.hook("on_unsubscribe", v),
                            client_id="c%d" % v)
            want = {"username": "joe", "mountpoint": "",
                    "client_id": "c%d" % v, "topics": ["asked"]}
            if v == 5:
                want["properties"] = {}
            self.assertEqual(r.body, want)
            self.assertEqual([t for t, _ in
                              self.gets(pub, c, "asked", "new/x")],
                             ["asked"] if self.v21 else ["new/x"])
            self.assertEqual(ep.count(self.hook("on_unsubscribe", v)),
                             VERSIONS.index(v) + 1 if v == 4 else 1)
            c.disconnect()

    def test_unsubscribe_asked_per_filter(self):
        ep, b = self.stage(blocking=True)
        c = self.online(b, "c1")
        c.subscribe("a", "b")
        c.unsubscribe("a", "b")
        if self.v20:
            self.assertEqual(ep.wait_for("on_unsubscribe")["topics"],
                             ["a", "b"])
            return
        ep.wait_for("on_unsubscribe", 2)
        self.assertEqual([r["topics"] for r in ep.of("on_unsubscribe")],
                         [["a"], ["b"]])

    def test_unsubscribe_anyway(self):
        """Whatever the answer, nobody is held to a subscription."""
        ep, b = self.stage(blocking=True)
        pub = self.online(b, "pub")
        for answer in ({"result": {"error": "no"}}, {"result": "next"},
                       b"nonsense", (500, {}, OK), OK,
                       {"result": "ok", "topics": []},
                       {"result": "ok", "topics": ["a", "b"]},
                       {"result": "ok", "topics": "t"},
                       {"result": "ok", "topics": ["a/#/b"]},
                       {"result": "ok", "topics": [1]}):
            with self.subTest(answer=answer):
                ep.answers["on_unsubscribe"] = answer
                c = self.online(b, "c1")
                c.subscribe(("t", 1))
                c.unsubscribe("t")
                self.assertEqual(self.gets(pub, c, "t"), [])
                c.disconnect()

    def test_unsubscribe_waits(self):
        ep, b = self.stage(blocking=True)
        stall = ep.answers["on_unsubscribe"] = Stall()
        c = self.online(b, "c1")
        c.subscribe("t")
        body = c.mid()
        c.send("UNSUBSCRIBE", 2, bytes([0, body, 0, 1]) + b"t")
        ep.wait_for("on_unsubscribe")
        if self.v21:
            with self.assertRaises(AssertionError):
                c.wait("UNSUBACK", timeout=0.2 / self.scale)
        else:
            c.wait("UNSUBACK")
        stall.release()
        if self.v21:
            c.wait("UNSUBACK")

    def test_unsubscribe_rewrite_needs_blocking(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        c = self.online(b, "c1")
        c.subscribe(("t", 1), ("u", 1))
        self.answer(ep, ["u"], "on_unsubscribe")
        c.unsubscribe("t")
        ep.wait_for("on_unsubscribe")
        self.assertEqual(self.gets(pub, c, "u", "t"), [("u", 1)])
