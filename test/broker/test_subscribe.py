"""Subscribing: auth_on_subscribe, on_subscribe, on_unsubscribe."""

from endpoint import DENY, NEXT, OK, Drop, Stall, ok
from host import ALL, BrokerTest, endpoint_conf

VERSIONS = (3, 4, 5)
REFUSAL = {4: 0x80, 5: 0x87}


class Subscribe(BrokerTest):

    def stage(self, hooks=ALL, conf=None, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, hooks, conf, **kw)

    def only(self, *topics):
        """Allow these filters, deny the rest."""
        return lambda r: (OK if r["topics"][0]["topic"] in topics else DENY)

    def answer(self, ep, answer):
        ep.answers["auth_on_subscribe"] = answer
        ep.answers["auth_on_subscribe_m5"] = answer

    def test_allowed(self):
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            self.assertEqual(
                c.subscribe(("a/b", 1), ("c/+", 2), ("d/#", 0)), [1, 2, 0])
            pub = self.online(b, "pub")
            for topic, qos in (("a/b", 1), ("c/x", 2), ("d/e/f", 0)):
                pub.publish(topic, "x", 2)
                got = c.message(topic)
                self.assertEqual((got["qos"], got["payload"]), (qos, "x"))
            pub.publish("other", "x", 1)
            c.quiet()
            c.disconnect()

    def test_request(self):
        """One question a filter, in packet order."""
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            c.subscribe(("b/#", 1), ("a", 2))
            hook = self.hook("auth_on_subscribe", v)
            bodies = [r.body for r in ep.of(hook, client_id="c%d" % v)]
            want = [{"username": "joe", "mountpoint": "",
                     "client_id": "c%d" % v,
                     "topics": [{"topic": topic, "qos": qos}]}
                    for topic, qos in (("b/#", 1), ("a", 2))]
            if v == 5:
                for w in want:
                    w["properties"] = {}
            self.assertEqual(bodies, want)
            self.assertEqual(list(bodies[0]), list(want[0]))

    def denied(self, answer):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            with self.subTest(version=v):
                self.answer(ep, answer)
                c = self.online(b, "c%d" % v, v)
                codes = c.subscribe(("a", 1), ("b", 0))
                # 3.1 knows no refusal: the code looks like success
                self.assertEqual(codes, [1, 0] if v == 3
                                 else [REFUSAL[v]] * 2)
                pub.publish("a", "x", 1)
                pub.publish("b", "x", 1)
                c.quiet()
                # it is told of the next one only
                self.answer(ep, OK)
                c.subscribe("later")
                hook = self.hook("on_subscribe", v)
                r = ep.wait_for(hook, client_id="c%d" % v)
                self.assertEqual(r["topics"][0]["topic"], "later")

    def test_error_denies(self):
        self.denied(DENY)

    def test_next_denies(self):
        self.denied(NEXT)

    def test_malformed_denies(self):
        self.denied(b'{"result":"yes"}')

    def test_status_denies(self):
        self.denied((404, {}, OK))

    def test_drop_denies(self):
        self.denied(Drop())

    def test_no_endpoint_denies(self):
        ep, b = self.stage([h for h in ALL
                            if not h.startswith("auth_on_subscribe")])
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            self.assertEqual(c.subscribe("t"), [REFUSAL[v]])

    def test_response_timeout_denies(self):
        ep = self.endpoint(auth_on_subscribe=Stall())
        b = self.broker(endpoint_conf(ep.url, ALL, response_timeout=self.ms(200)))
        c = self.online(b)
        self.assertEqual(c.subscribe("t"), [0x80])

    def test_denied_per_filter(self):
        ep, b = self.stage()
        self.answer(ep, self.only("yes/1", "yes/2"))
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            codes = c.subscribe(("yes/1", 0), ("no/1", 1), ("yes/2", 2),
                                ("no/2", 2))
            bad = REFUSAL.get(v)
            self.assertEqual(codes, [0, 1, 2, 2] if v == 3
                             else [0, bad, 2, bad])
            for topic in ("no/1", "yes/1", "no/2", "yes/2"):
                pub.publish(topic, "x", 1)
            self.assertEqual([p["topic"] for p in c.drain()],
                             ["yes/1", "yes/2"])
            r = ep.wait_for(self.hook("on_subscribe", v),
                            client_id="c%d" % v)
            self.assertEqual([t["topic"] for t in r["topics"]],
                             ["yes/1", "yes/2"])
            c.disconnect()

    def test_told_together(self):
        """One on_subscribe a packet, its filters in packet order."""
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            c.subscribe(("z/#", 1), ("a", 0), ("m/+", 2))
            hook = self.hook("on_subscribe", v)
            r = ep.wait_for(hook, client_id="c%d" % v)
            topics = [{"topic": t, "qos": q} for t, q in
                      (("z/#", 1), ("a", 0), ("m/+", 2))]
            want = {"username": "joe", "mountpoint": "",
                    "client_id": "c%d" % v, "topics": topics}
            if v == 5:
                want["properties"] = {}
                if self.v21:
                    for t in topics:
                        t.update(no_local=False, rap=False,
                                 retain_handling="send_retain")
            self.assertEqual(r.body, want)
            self.assertEqual(list(r.body), list(want))
            c.barrier()
            c.publish("x", "x", 1)      # a later notification of this client
            ep.wait_for(self.hook("on_publish", v), client_id="c%d" % v)
            self.assertEqual(ep.count(hook, client_id="c%d" % v), 1)

    def test_told_of_each_packet(self):
        ep, b = self.stage()
        c = self.online(b)
        for i in range(3):
            c.subscribe("t/%d" % i)
            ep.wait_for("on_subscribe", i + 1)
        self.assertEqual([[t["topic"] for t in r["topics"]]
                          for r in ep.of("on_subscribe")],
                         [["t/0"], ["t/1"], ["t/2"]])

    def test_told_by_client(self):
        """Filters of two clients never meet in one notification."""
        ep, b = self.stage()
        cs = [self.online(b, "c%d" % i) for i in range(6)]
        for i, c in enumerate(cs):
            c.send_subscribe("of/%d/a" % i, "of/%d/b" % i)
        for i, c in enumerate(cs):
            c.wait("SUBACK")
            r = ep.wait_for("on_subscribe", client_id="c%d" % i)
            self.assertEqual([t["topic"] for t in r["topics"]],
                             ["of/%d/a" % i, "of/%d/b" % i])

    def test_told_options(self):
        """2.1 knows the options and the identifier once subscribed."""
        ep, b = self.stage()
        c = self.online(b, "c1", 5)
        c.subscribe(("a", 1 | 4 | 8 | 0x10), ("b", 2 | 0x20),
                    properties={"p_subscription_id": 7})
        r = ep.wait_for("on_subscribe_m5")
        if self.v21:
            self.assertEqual(r["topics"], [
                {"topic": "a", "qos": 1, "no_local": True, "rap": True,
                 "retain_handling": "send_if_new_sub"},
                {"topic": "b", "qos": 2, "no_local": False, "rap": False,
                 "retain_handling": "dont_send"}])
            self.assertEqual(r["properties"], {"p_subscription_id": [7]})
        else:
            self.assertEqual(r["topics"], [{"topic": "a", "qos": 1},
                                           {"topic": "b", "qos": 2}])
            self.assertEqual(r["properties"], {})
        for r in ep.of("auth_on_subscribe_m5"):
            self.assertEqual(set(r["topics"][0]), {"topic", "qos"})

    def test_told_of_unsubscribe(self):
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            c.subscribe("z", "a/+", "m")
            codes = c.unsubscribe("z", "never/subscribed", "a/+")
            self.assertEqual(codes, [0, 0x11, 0] if v == 5 else [])
            r = ep.wait_for(self.hook("on_unsubscribe", v),
                            client_id="c%d" % v)
            want = {"username": "joe", "mountpoint": "",
                    "client_id": "c%d" % v,
                    "topics": ["z", "never/subscribed", "a/+"]}
            if v == 5:
                want["properties"] = {}
            self.assertEqual(r.body, want)
            self.assertEqual(list(r.body), list(want))
            pub = self.online(b, "pub")
            for topic in ("z", "a/x", "m"):
                pub.publish(topic, "x", 1)
            self.assertEqual([p["topic"] for p in c.drain()], ["m"])

    def test_unsubscribe_cannot_be_denied(self):
        ep, b = self.stage()
        pub = self.online(b, "pub")
        for i, answer in enumerate((DENY, NEXT, b"nonsense", (500, {}, OK),
                                    {"result": "ok", "topics": []})):
            ep.answers["on_unsubscribe"] = answer
            ep.answers["on_unsubscribe_m5"] = answer
            for v in VERSIONS:
                c = self.online(b, "c%d" % v, v)
                c.subscribe("t")
                codes = c.unsubscribe("t")
                self.assertEqual(codes, [0] if v == 5 else [])
                pub.publish("t", "x", 1)
                c.quiet()
                c.disconnect()

    def test_unsubscribe_without_an_endpoint(self):
        ep, b = self.stage([h for h in ALL
                            if not h.startswith("on_unsubscribe")])
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t")
            self.assertEqual(c.unsubscribe("t"), [0] if v == 5 else [])
            self.online(b, "pub").publish("t", "x", 1)
            c.quiet()

    def test_unsubscribe_does_not_wait(self):
        ep, b = self.stage()
        stall = ep.answers["on_unsubscribe"] = Stall()
        c = self.online(b)
        c.subscribe("t")
        c.unsubscribe("t")
        c.barrier()
        ep.wait_for("on_unsubscribe")
        stall.release()

    def test_chain(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, ("auth_on_subscribe",), "b"))
        b = self.broker(conf)
        c = self.online(b)
        first.answers["auth_on_subscribe"] = NEXT
        self.assertEqual(c.subscribe("a"), [0])
        second.answers["auth_on_subscribe"] = DENY
        self.assertEqual(c.subscribe("b"), [0x80])
        first.answers["auth_on_subscribe"] = OK
        self.assertEqual(c.subscribe("c"), [0])
        self.assertEqual(second.count(), 2)

    def test_control_is_out_of_reach(self):
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            for topic in ("$CONTROL/#", "$CONTROL/dynamic-security/v1",
                          "$CONTROL/dynamic-security/v1/response",
                          "$CONTROL", "$CONTROL/+/v1/#",
                          "$share/g/$CONTROL/#"):
                codes = c.subscribe((topic, 1), ("fine", 0))
                if v > 3:
                    self.assertEqual(codes, [REFUSAL[v], 0], topic)
        topics = [t["topic"] for r in ep.of() if "topics" in (r.body or {})
                  for t in r["topics"]]
        self.assertEqual(set(topics), {"fine"})

    def test_sys_is_asked(self):
        ep, b = self.stage()
        c = self.online(b)
        self.assertEqual(c.subscribe("$SYS/broker/version"), [0])
        self.assertIn("mosquitto version", c.message()["payload"])
        self.assertEqual(ep.wait_for("auth_on_subscribe")["topics"],
                         [{"topic": "$SYS/broker/version", "qos": 0}])

    def test_shared(self):
        ep, b = self.stage()
        c = self.online(b, "c1", 5)
        self.assertEqual(c.subscribe(("$share/g/t/+", 1)), [1])
        self.assertEqual(ep.of("auth_on_subscribe_m5")[0]["topics"],
                         [{"topic": "$share/g/t/+", "qos": 1}])
        self.online(b, "pub").publish("t/x", "x", 1)
        c.message("t/x")

    def test_retained(self):
        """Deliveries are READ checks, which never make a call."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        pub.publish("r/1", "one", 1, retain=True)
        pub.publish("r/2", "two", 1, retain=True)
        ep.wait_for("on_publish", 2)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe(("r/#", 1))
            got = sorted((p["topic"], p["payload"], p["retain"])
                         for p in c.drain())
            self.assertEqual(got, [("r/1", "one", True),
                                   ("r/2", "two", True)])
            ep.wait_for(self.hook("on_subscribe", v), client_id="c%d" % v)
            self.assertEqual(
                [h for h in ep.hooks(client_id="c%d" % v)
                 if "register" not in h and "wakeup" not in h],
                [self.hook("auth_on_subscribe", v),
                 self.hook("on_subscribe", v)])

    def test_offline_queue(self):
        ep, b = self.stage()
        for v in (4, 5):
            keep = {"p_session_expiry_interval": 60} if v == 5 else None
            c = self.online(b, "c%d" % v, v, clean=False, properties=keep)
            c.subscribe(("q/#", 1))
            c.disconnect()
            pub = self.online(b, "pub")
            pub.publish("q/1", "x", 1)
            pub.publish("q/2", "x", 2)
            c = self.client(b, "c%d" % v, v)
            ack = c.connect("u", "p", clean=False, properties=keep)
            self.assertEqual(ack["session_present"], 1)
            self.assertEqual([p["topic"] for p in c.drain()], ["q/1", "q/2"])
            c.disconnect()

    def test_own_messages(self):
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe(("own/%d" % v, 2))
            for qos in (0, 1, 2):
                c.publish("own/%d" % v, "x", qos)
                self.assertEqual(c.message()["qos"], qos)

    def test_answer_names_the_filter(self):
        """Topics as requested change nothing; 128 refuses; a list of
        another length refuses."""
        ep, b = self.stage()
        as_asked = [{"topic": "t", "qos": 1}]
        cases = ((as_asked, True), ([{"topic": "t", "qos": 128}], False),
                 ([{"topic": "t", "qos": 3}], False),
                 (as_asked * 2, False), ([{"qos": 1}], False),
                 ([{"topic": "t"}], False), ("t", False),
                 ([{"topic": "t/#/x", "qos": 1}], False))
        for topics, fine in cases:
            with self.subTest(topics=topics):
                ep.answers["auth_on_subscribe"] = {"result": "ok",
                                                   "topics": topics}
                ep.answers["auth_on_subscribe_m5"] = ok(topics=topics)
                for v in (4, 5):
                    c = self.online(b, "c%d" % v, v)
                    want = 1 if fine else REFUSAL[v]
                    self.assertEqual(c.subscribe(("t", 1)), [want])
                    c.disconnect()

    def test_no_topics(self):
        """An empty list: as requested for 3.1.1, nothing at all for 5."""
        ep, b = self.stage()
        ep.answers["auth_on_subscribe"] = {"result": "ok", "topics": []}
        ep.answers["auth_on_subscribe_m5"] = ok(topics=[])
        self.assertEqual(self.online(b, "c4", 4).subscribe(("t", 1)), [1])
        self.assertEqual(self.online(b, "c5", 5).subscribe(("t", 1)),
                         [0x87])

    def test_rewrite(self):
        """Honoured where the host can, refused where it cannot; never
        quietly subscribed as requested."""
        ep, b = self.stage()
        pub = self.online(b, "pub")
        new = [{"topic": "other", "qos": 1}]
        ep.answers["auth_on_subscribe"] = {"result": "ok", "topics": new}
        ep.answers["auth_on_subscribe_m5"] = ok(topics=new)
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            code = c.subscribe(("asked", 1))[0]
            if self.v20:
                self.assertEqual(code, REFUSAL[v])
            pub.publish("asked", "x", 1)
            pub.publish("other", "x", 1)
            self.assertEqual([p["topic"] for p in c.drain()],
                             [] if code >= 0x80 else ["other"])
        if self.v20:
            b.wait_log("subscri.*rewrit")
