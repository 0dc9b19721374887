"""Deliveries: on_deliver and on_deliver_m5."""

import base64

from endpoint import DENY, NEXT, OK, Drop, Stall, ok
from host import ALL, STEADY, BrokerTest, endpoint_conf

VERSIONS = (3, 4, 5)
DELIVER = ("on_deliver", "on_deliver_m5")
HOOKS = ALL + DELIVER
KEEP = {"p_session_expiry_interval": 60}


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes)
                            else text.encode()).decode()


class DeliverTest(BrokerTest):

    def persistent(self, b, client_id, version, **kw):
        """A client whose session stays."""
        return self.online(b, client_id, version, clean=False,
                           properties=KEEP if version == 5 else None, **kw)

    def told(self, ep, version, n=1, **match):
        return ep.wait_for(self.hook("on_deliver", version), n, **match)


class Told(DeliverTest):

    def stage(self, conf=None, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, HOOKS, conf, **kw)

    def test_request(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.online(b, cid, v, "joe")
            c.subscribe(("t/%d" % v, 2))
            pub.publish("t/%d" % v, "hi", 1)
            c.message()
            r = self.told(ep, v, client_id=cid)
            want = {"username": "joe", "mountpoint": "", "client_id": cid,
                    "qos": 1, "topic": "t/%d" % v, "payload": "aGk=",
                    "retain": False, "properties": {}}
            self.assertEqual(r.body, want)
            self.assertEqual(list(r.body), list(want))

    def test_once_per_subscriber(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            for n in range(2):
                self.online(b, "c%d%d" % (v, n), v).subscribe(("t", 2))
        self.online(b, "other").subscribe("u")
        for qos in (0, 1, 2):
            pub.publish("t", "x%d" % qos, qos)
        for v in VERSIONS:
            for n in range(2):
                cid = "c%d%d" % (v, n)
                self.told(ep, v, 3, client_id=cid)
                self.assertEqual(
                    [(r["payload"], r["qos"]) for r in
                     ep.of(self.hook("on_deliver", v), client_id=cid)],
                    [(b64("x%d" % q), q) for q in (0, 1, 2)])
        pub.publish("u", "x", 0)
        self.told(ep, 4, client_id="other")
        self.assertEqual(ep.count("on_deliver", client_id="other"), 1)
        self.assertEqual(ep.count("on_deliver"), 2 * 2 * 3 + 1)
        self.assertEqual(ep.count("on_deliver_m5"), 2 * 3)

    def test_not_of_what_nobody_gets(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        c = self.online(b, "c1")
        c.subscribe("mine")
        pub.publish("nobody/s", "x", 1)
        ep.answers["auth_on_publish"] = DENY
        pub.publish("mine", "no", 1)
        ep.answers.clear()
        pub.publish("mine", "yes", 1)
        self.told(ep, 4, client_id="c1")
        self.assertEqual([r["payload"] for r in ep.of("on_deliver")],
                         [b64("yes")])

    def test_what_was_decided(self):
        """After the publisher's modifiers."""
        ep, b = self.stage()
        ep.answers["auth_on_publish"] = ok(topic="new", payload=b64("n"))
        c = self.online(b, "c1")
        c.subscribe("#")
        self.online(b, "pub").publish("old", "o", 1)
        c.message("new")
        r = self.told(ep, 4, client_id="c1")
        self.assertEqual((r["topic"], r["payload"]), ("new", b64("n")))
        self.assertEqual(ep.count("on_deliver"), 1)

    def test_properties(self):
        ep, b = self.stage()
        props = {"p_payload_format_indicator": 1,
                 "p_content_type": "text/plain",
                 "p_response_topic": "re/ply",
                 "p_correlation_data": "corr",
                 "p_user_property": [["k", "v"], ["k", "w"]]}
        want = dict(props, p_payload_format_indicator="utf8",
                    p_user_property=[{"key": b64("k"), "val": b64("v")},
                                     {"key": b64("k"), "val": b64("w")}])
        cs = {v: self.online(b, "c%d" % v, v) for v in VERSIONS}
        for c in cs.values():
            c.subscribe("t")
        self.online(b, "pub", 5).publish("t", "x", 1, properties=props)
        for v in VERSIONS:
            got = self.told(ep, v, client_id="c%d" % v)["properties"]
            self.assertEqual(got, want)
        self.assertEqual(cs[5].message()["properties"], props)
        # of one that waited 2.0 shows none as it leaves
        c = self.persistent(b, "c6", 5)
        c.subscribe(("q", 1))
        c.disconnect()
        self.online(b, "pub2", 5).publish("q", "x", 1, properties=props)
        c = self.persistent(b, "c6", 5)
        self.assertEqual(c.message()["properties"], props)
        self.assertEqual(self.told(ep, 5, client_id="c6")["properties"],
                         want if self.v21 else {})

    def test_retained(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        pub.publish("r/1", "one", 1, retain=True)
        pub.publish("r/2", "two", 1, retain=True)
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.online(b, cid, v)
            c.subscribe(("r/#", 1))
            self.told(ep, v, 2, client_id=cid)
            got = ep.of(self.hook("on_deliver", v), client_id=cid)
            self.assertEqual(sorted((r["topic"], r["payload"], r["retain"])
                                    for r in got),
                             [("r/1", b64("one"), True),
                              ("r/2", b64("two"), True)])
            self.assertEqual(len(c.drain()), 2)

    def test_queued(self):
        """Told when they leave, in order, after the client's arrival."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in (4, 5):
            cid = "c%d" % v
            c = self.persistent(b, cid, v)
            c.subscribe(("q/#", 2))
            c.disconnect()
            ep.wait_for("on_client_offline", client_id=cid)
            for i in range(3):
                pub.publish("q/%d/%d" % (v, i), "x", 1 + i % 2)
            pub.barrier()
            hook = self.hook("on_deliver", v)
            self.assertEqual(ep.count(hook, client_id=cid), 0)
            ep.forget()
            c = self.persistent(b, cid, v)
            self.assertEqual([p["topic"] for p in c.drain()],
                             ["q/%d/%d" % (v, i) for i in range(3)])
            self.told(ep, v, 3, client_id=cid)
            ep.wait_for(self.hook("on_register", v), client_id=cid)
            c.publish("after", "x", 1)
            ep.wait_for(self.hook("on_publish", v), client_id=cid)
            self.assertEqual([r["topic"] for r in
                              ep.of(hook, client_id=cid)],
                             ["q/%d/%d" % (v, i) for i in range(3)])
            self.assertEqual(
                [h for h in ep.hooks(client_id=cid)
                 if not h.startswith("auth")][:5],
                ["on_client_wakeup", self.hook("on_register", v)] +
                [hook] * 3)
            c.disconnect()

    def test_own_message(self):
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("own/%d" % v)
            c.publish("own/%d" % v, "x", 1)
            self.told(ep, v, client_id="c%d" % v)

    def test_will(self):
        ep, b = self.stage()
        c = self.online(b, "c1")
        c.subscribe("w")
        self.online(b, "dies", will={"topic": "w", "payload": "x"}).reset()
        c.message("w")
        self.assertEqual(self.told(ep, 4, client_id="c1")["topic"], "w")

    def test_unsubscribed(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t", "marker")
            c.unsubscribe("t")
            pub.publish("t", "x", 1)
            pub.publish("marker", "m", 1)
            self.assertEqual(self.told(ep, v, client_id="c%d" % v)["topic"],
                             "marker")
            c.disconnect()

    def test_denied_subscription(self):
        ep, b = self.stage()
        ep.answers["auth_on_subscribe"] = lambda r: (
            DENY if r["topics"][0]["topic"] == "no" else OK)
        c = self.online(b, "c1")
        c.subscribe("no", "marker")
        pub = self.online(b, "pub")
        pub.publish("no", "x", 1)
        pub.publish("marker", "x", 1)
        self.assertEqual(self.told(ep, 4, client_id="c1")["topic"],
                         "marker")

    def test_sys_is_not_told(self):
        ep, b = self.stage(lines=["sys_interval 1"])
        c = self.online(b, "c1")
        c.subscribe("$SYS/#", "marker")
        c.message("$SYS/broker/uptime")
        self.online(b, "pub").publish("marker", "x", 1)
        self.assertEqual(self.told(ep, 4, client_id="c1")["topic"],
                         "marker")
        self.assertEqual(ep.count("on_deliver"), 1)

    def test_does_not_wait(self):
        ep, b = self.stage()
        stall = Stall()
        for hook in DELIVER:
            ep.answers[hook] = stall
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe(("t", 2))
            for qos in (0, 1, 2):
                pub.publish("t", "x", qos)
                c.message()
            c.barrier()
            self.told(ep, v, client_id="c%d" % v)
            c.disconnect()
        stall.release()

    def test_answers_change_nothing(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        c = self.online(b, "c1")
        c.subscribe("t")
        for answer in (ok(topic="new", payload=b64("new")), DENY, NEXT,
                       b"nonsense", (500, {}, OK), Drop()):
            ep.answers["on_deliver"] = answer
            pub.publish("t", "x", 1)
            self.assertEqual(c.message()["payload"], "x")
        c.quiet()

    def test_base64encode_off(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, HOOKS, base64encode="off"))
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").publish("t", b"h\xffi", 1)
        self.assertEqual(self.told(ep, 4)["payload"], "h\ufffdi")

    def test_no_payload_has_no_effect(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, HOOKS, no_payload="on"))
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").publish("t", "hi", 1)
        self.assertEqual(self.told(ep, 4)["payload"], "aGk=")

    def test_deny_reads_nothing_told(self):
        """No subscription without an answer to auth_on_subscribe."""
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, [
            h for h in HOOKS if not h.startswith("auth_on_subscribe")]))
        c = self.online(b, "c1")
        self.assertEqual(c.subscribe("t"), [0x80])
        self.online(b, "pub").publish("t", "x", 1)
        ep.wait_for("on_publish")
        self.assertEqual(ep.count("on_deliver"), 0)


class Asked(DeliverTest):
    """`blocking = on`: the reply may rewrite, on 2.1."""

    def stage(self, conf=None, **kw):
        ep = self.endpoint()
        settings = endpoint_conf(ep.url)
        settings.update(endpoint_conf(ep.url, DELIVER, "deliver",
                                      blocking="on"))
        settings.update(conf or {})
        return ep, self.broker(settings, **kw)

    def answer(self, ep, answer):
        for hook in DELIVER:
            ep.answers[hook] = answer

    def test_without_effect_on_20(self):
        ep, b = self.stage()
        said = b.lines_with("blocking.*on_deliver")
        self.assertEqual(len(said), 1 if self.v20 else 0, said)
        self.answer(ep, ok(topic="new", payload=b64("new")))
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").publish("t", "x", 1)
        got = c.message()
        self.assertEqual((got["topic"], got["payload"]),
                         ("t", "x") if self.v20 else ("new", "new"))
        self.told(ep, 4)

    def test_20_does_not_wait(self):
        if self.v21:
            return      # see test_21_waits
        ep, b = self.stage()
        stall = Stall()
        self.answer(ep, stall)
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").publish("t", "x", 1)
        c.message("t")
        stall.release()

    def test_21_waits(self):
        if self.v20:
            return      # see test_20_does_not_wait
        ep, b = self.stage()
        stall = Stall(ok(payload=b64("late")))
        self.answer(ep, stall)
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").send_publish("t", "x", 1)
        self.told(ep, 4)
        with self.assertRaises(AssertionError):
            c.message(timeout=0.2 / self.scale)
        stall.release()
        self.assertEqual(c.message()["payload"], "late")

    def rewritten(self, modifiers, topic, payload):
        """Each subscriber gets this on 2.1, and the original on 2.0."""
        ep, b = self.stage()
        self.answer(ep, ok(**modifiers))
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe(("t", 2))
            for qos in (0, 1, 2):
                pub.publish("t", "x", qos)
                got = c.message()
                self.assertEqual(got["qos"], qos)
                self.assertEqual((got["topic"], got["payload"]),
                                 (topic, payload) if self.v21
                                 else ("t", "x"))
                r = self.told(ep, v, qos + 1, client_id="c%d" % v)
                self.assertEqual((r["topic"], r["payload"]),
                                 ("t", b64("x")))
            c.quiet()
            c.disconnect()

    def test_topic(self):
        self.rewritten({"topic": "longer/than/before"},
                       "longer/than/before", "x")

    def test_shorter_topic(self):
        self.rewritten({"topic": "s"}, "s", "x")

    def test_payload(self):
        self.rewritten({"payload": b64("longer than before")}, "t",
                       "longer than before")

    def test_empty_payload(self):
        self.rewritten({"payload": ""}, "t", "")

    def test_both(self):
        self.rewritten({"topic": "a/b", "payload": b64("y")}, "a/b", "y")

    def test_nothing(self):
        self.rewritten({}, "t", "x")

    def test_properties_replace_all(self):
        ep, b = self.stage()
        self.answer(ep, ok(properties={
            "p_content_type": "new/type", "p_response_topic": "new/re",
            "p_correlation_data": "new", "p_payload_format_indicator":
            "utf8", "p_user_property": [{"key": b64("n"),
                                         "val": b64("w")}]}))
        c, plain = self.online(b, "c1", 5), self.online(b, "c2", 4)
        c.subscribe("t")
        plain.subscribe("t")
        old = {"p_content_type": "text/plain",
               "p_user_property": [["k", "v"]]}
        pub = self.online(b, "pub", 5)
        pub.publish("t", "x", 1, properties=old)
        new = {"p_payload_format_indicator": 1, "p_content_type": "new/type",
               "p_response_topic": "new/re", "p_correlation_data": "new",
               "p_user_property": [["n", "w"]]}
        self.assertEqual(c.message()["properties"],
                         new if self.v21 else old)
        # properties are no modifier of on_deliver: invalid, unmodified
        self.assertEqual(plain.message()["payload"], "x")
        # the stored message has kept its own
        self.answer(ep, OK)
        pub.publish("t", "x", 1, properties=old)
        self.assertEqual(c.message()["properties"], old)

    def test_no_properties(self):
        """An empty object changes nothing (decision 2)."""
        ep, b = self.stage()
        self.answer(ep, ok(properties={}))
        c = self.online(b, "c1", 5)
        c.subscribe("t")
        old = {"p_content_type": "text/plain"}
        self.online(b, "pub", 5).publish("t", "x", 1, properties=old)
        self.assertEqual(c.message()["properties"], old)

    def test_per_subscriber(self):
        ep, b = self.stage()
        self.answer(ep, lambda r: ok(topic="for/" + r["client_id"],
                                     payload=b64(r["client_id"])))
        cs = [self.online(b, "c%d" % v, v) for v in VERSIONS]
        for c in cs:
            c.subscribe(("t", 1))
        pub = self.online(b, "pub")
        pub.publish("t", "x", 1, retain=True)
        late = self.subscriber(b, "t", client_id="late")
        for c in cs + [late]:
            got = c.message()
            self.assertEqual((got["topic"], got["payload"]),
                             ("for/" + c.client_id, c.client_id)
                             if self.v21 else ("t", "x"))

    def test_unmodified(self):
        """An error, next, or what is no valid reply delivers as it is."""
        ep, b = self.stage(STEADY)
        pub = self.online(b, "pub", 5)
        cs = {v: self.online(b, "c%d" % v, v) for v in VERSIONS}
        for c in cs.values():
            c.subscribe(("t", 2))
        bad = [DENY, NEXT, b"", b"{}", b"nonsense", (500, {}, ok(topic="n")),
               (404, {}, ok(topic="n")), Drop(), ok(topic="a/#"),
               ok(topic=1), ok(topic=""), ok(payload="%%"), ok(payload=1),
               ok(qos=1), ok(retain=True), ok(bogus=1), ok(topic="$SYS/x"),
               ok(properties={"p_message_expiry_interval": 1}),
               ok(properties={"bogus": 1}),
               {"result": {"error": "x"}, "modifiers": {"topic": "n"}}]
        for answer in bad:
            with self.subTest(answer=answer):
                self.answer(ep, answer)
                for qos in (0, 1, 2):
                    pub.publish("t", "x", qos)
                for c in cs.values():
                    self.assertEqual(
                        [(p["topic"], p["payload"], p["qos"])
                         for p in (c.message() for _ in range(3))],
                        [("t", "x", qos) for qos in (0, 1, 2)])

    def test_timeout_delivers(self):
        ep = self.endpoint(on_deliver=Stall())
        conf = endpoint_conf(ep.url)
        conf.update(endpoint_conf(ep.url, ("on_deliver",), "deliver",
                                  blocking="on",
                                  response_timeout=self.ms(200)))
        b = self.broker(conf)
        c = self.online(b, "c1")
        c.subscribe("t")
        self.online(b, "pub").publish("t", "x", 1)
        self.assertEqual(c.message()["payload"], "x")

    def test_chain(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url)
        conf.update(endpoint_conf(first.url, DELIVER, "x1", blocking="on"))
        conf.update(endpoint_conf(second.url, DELIVER, "x2", blocking="on"))
        b = self.broker(conf)
        self.answer(second, ok(payload=b64("second")))
        c = self.online(b, "c1")
        c.subscribe("t")
        pub = self.online(b, "pub")
        for answer, want in ((NEXT, "second"), (OK, "x"),
                             (ok(payload=b64("first")), "first"),
                             (DENY, "x")):
            self.answer(first, answer)
            pub.publish("t", "x", 1)
            self.assertEqual(c.message()["payload"],
                             want if self.v21 else "x")

    def test_queued_and_resent(self):
        """Asked as they leave, and again when resent: never unmodified."""
        ep, b = self.stage()
        self.answer(ep, ok(topic="new", payload=b64("new")))
        pub = self.online(b, "pub")
        for v in (4, 5):
            cid = "c%d" % v
            c = self.persistent(b, cid, v)
            c.subscribe(("t", 1))
            c.disconnect()
            pub.publish("t", "x", 1)
            c = self.client(b, cid, v, auto_ack=False)
            want = ("new", "new") if self.v21 else ("t", "x")
            keep = KEEP if v == 5 else None
            c.connect("u", "p", clean=False, properties=keep)
            got = c.message()
            self.assertEqual((got["topic"], got["payload"]), want)
            c.reset()
            c = self.persistent(b, cid, v)
            got = c.message()
            self.assertTrue(got["dup"])
            self.assertEqual((got["topic"], got["payload"]), want)
            c.disconnect()

    def test_many(self):
        """Nothing is leaked or stalled by rewriting."""
        ep, b = self.stage()
        self.answer(ep, lambda r: [ok(topic="n/%s" % r["topic"]), DENY,
                                   ok(payload=b64("n")), OK]
                    [int(r["topic"][2:]) % 4])
        c = self.client(b, "c1", 5)
        c.connect("u", "p", properties={"p_receive_max": 2})
        c.subscribe(("t/#", 2))
        pub = self.online(b, "pub")
        for i in range(100):
            pub.publish("t/%d" % i, "x", i % 3)
            got = c.message()
            self.assertEqual(got["qos"], i % 3)
            if self.v21:
                self.assertEqual(
                    (got["topic"], got["payload"]),
                    [("n/t/%d" % i, "x"), ("t/%d" % i, "x"),
                     ("t/%d" % i, "n"), ("t/%d" % i, "x")][i % 4])
        c.quiet()

    def test_sys_is_not_asked(self):
        ep, b = self.stage(lines=["sys_interval 1"])
        self.answer(ep, ok(topic="new"))
        c = self.online(b, "c1")
        c.subscribe("$SYS/broker/uptime")
        self.assertEqual(c.message()["topic"], "$SYS/broker/uptime")
        c.message("$SYS/broker/uptime")
        self.assertEqual(ep.count("on_deliver"), 0)

    def test_blocking_for_one_protocol_only(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ALL + ("on_deliver",))
        conf.update(endpoint_conf(ep.url, ("on_deliver_m5",), "deliver",
                                  blocking="on"))
        b = self.broker(conf)
        self.answer(ep, ok(payload=b64("new")))
        old, new = self.online(b, "c4", 4), self.online(b, "c5", 5)
        old.subscribe("t")
        new.subscribe("t")
        self.online(b, "pub").publish("t", "x", 1)
        self.assertEqual(old.message()["payload"], "x")
        self.assertEqual(new.message()["payload"],
                         "new" if self.v21 else "x")
