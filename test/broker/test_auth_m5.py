"""Enhanced authentication: on_auth_m5."""

import base64

from endpoint import DENY, NEXT, OK, Stall, kept, ok
from host import ALL, BrokerTest, endpoint_conf

HOOKS = ALL + ("on_auth_m5",)
BAD_METHOD = 0x8C
NOT_AUTHORISED = 0x87


def b64(data):
    return base64.b64encode(data).decode()


def step(code, data=None, method=None):
    """A reply to a round of the exchange."""
    properties = {}
    if method is not None:
        properties["p_authentication_method"] = method
    if data is not None:
        properties["p_authentication_data"] = b64(data)
    return ok(reason_code=code, properties=properties) if properties \
        else ok(reason_code=code)


def says(data=None, method="M"):
    """What a client sends along in CONNECT and AUTH."""
    out = {"p_authentication_method": method}
    if data is not None:
        out["p_authentication_data"] = data
    return out


class EnhancedAuth(BrokerTest):

    def stage(self, *answers, hooks=HOOKS, conf=None, **kw):
        """An endpoint that answers the rounds so, and its broker."""
        ep = self.endpoint()
        if answers:
            ep.answers["on_auth_m5"] = list(answers)
        return ep, self.hooked(ep, hooks, conf, **kw)

    def begin(self, broker, data=b"\x01\x02\xff", client_id="c1",
              username="u", password="p", **kw):
        """Open and CONNECT with a method."""
        c = self.client(broker, client_id, 5).open()
        c.send_connect(username, password,
                       properties=says(data, kw.pop("method", "M")), **kw)
        return c

    def enters(self, c):
        ack = c.wait("CONNACK")
        self.assertEqual(ack["rc"], 0, ack)
        return ack

    def refused(self, c, rc=NOT_AUTHORISED):
        self.assertEqual(c.wait("CONNACK")["rc"], rc)
        c.expect_closed()

    def test_one_round(self):
        ep, b = self.stage(step(0))
        c = self.begin(b)
        ack = self.enters(c)
        self.assertEqual(ack["properties"]["p_authentication_method"], "M")
        r = ep.wait_for("on_auth_m5")
        self.assertEqual(r["properties"],
                         {"p_authentication_method": "M",
                          "p_authentication_data": b64(b"\x01\x02\xff")})
        self.assertEqual(list(r.body), ["username", "mountpoint",
                                        "client_id", "properties"])
        # VerneMQ knows neither yet and tells null and "undefined"
        self.assertEqual((r["username"], r["mountpoint"], r["client_id"]),
                         ("u", "", "c1"))
        c.quiet()
        c.publish("t", "x", 1)
        r = ep.wait_for("on_publish_m5")
        self.assertEqual((r["client_id"], r["username"]), ("c1", "u"))

    def test_data_comes_back(self):
        ep, b = self.stage(step(0, b"\x00\xfe done"))
        ack = self.enters(self.begin(b))
        self.assertEqual(ack["properties"]["p_authentication_data"],
                         {"$b64": b64(b"\x00\xfe done")})

    def test_without_data(self):
        ep, b = self.stage(step(0))
        self.enters(self.begin(b, None))
        self.assertEqual(ep.of("on_auth_m5")[0]["properties"],
                         {"p_authentication_method": "M"})

    def test_several_rounds(self):
        """2.0 passes no method with the later rounds; it is told all the
        same."""
        ep, b = self.stage(step(24, b"\xffone"), step(24, b"\xfftwo"),
                           step(0, b"\xffend"))
        c = self.begin(b, b"\xff0")
        for i, data in enumerate((b"\xffone", b"\xfftwo")):
            p = c.wait("AUTH", "CONNACK")
            self.assertEqual((p["type"], p["rc"]), ("AUTH", 0x18), p)
            self.assertEqual(p["properties"],
                             {"p_authentication_method": "M",
                              "p_authentication_data":
                              {"$b64": b64(data)}})
            c.auth(0x18, says(b"\xff%d" % (i + 1)))
        ack = self.enters(c)
        self.assertEqual(ack["properties"]["p_authentication_data"],
                         {"$b64": b64(b"\xffend")})
        self.assertEqual([r["properties"] for r in ep.of("on_auth_m5")],
                         [{"p_authentication_method": "M",
                           "p_authentication_data": b64(b"\xff%d" % i)}
                          for i in range(3)])
        c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5")

    def test_order(self):
        ep, b = self.stage(step(24), step(0))
        c = self.begin(b)
        c.wait("AUTH")
        self.assertEqual(ep.hooks(), ["on_auth_m5"])
        c.auth(0x18, says(b"x"))
        self.enters(c)
        ep.wait_for("on_register_m5")
        self.assertEqual(ep.hooks(), ["on_auth_m5", "on_auth_m5",
                                      "auth_on_register_m5",
                                      "on_client_wakeup", "on_register_m5"])

    def test_refused(self):
        for answer in (DENY, NEXT, {"result": []}):
            with self.subTest(answer=answer):
                ep, b = self.stage(answer)
                c = self.begin(b)
                ack = c.wait("CONNACK")
                self.assertIn(ack["rc"], (NOT_AUTHORISED, BAD_METHOD))
                if answer is not NEXT:
                    self.assertEqual(ack["rc"], NOT_AUTHORISED)
                c.expect_closed()
                self.assertEqual(ep.hooks(), ["on_auth_m5"])

    def test_refused_later(self):
        ep, b = self.stage(step(24), DENY)
        c = self.begin(b)
        c.wait("AUTH")
        c.auth(0x18, says(b"wrong"))
        self.refused(c)
        self.assertEqual(ep.hooks(), ["on_auth_m5"] * 2)

    def test_other_answers_refuse(self):
        """Only 0 and 24 let it go on; a missing code refuses."""
        ep, b = self.stage()
        for answer in (OK, ok(), step(1), step(0x87), step(135),
                       step(-1), step(25), ok(reason_code="0"),
                       ok(reason_code=None), ok(reason_code=True),
                       ok(properties={"p_authentication_method": "M"}),
                       ok(reason_code=0, properties={
                           "p_authentication_data": "%%"}),
                       ok(reason_code=0, bogus=1), ok(reason_code=0,
                                                      username="x"),
                       b"{}", b"", b"nonsense", (500, {}, step(0)),
                       (404, {}, step(0))):
            with self.subTest(answer=answer):
                ep.answers["on_auth_m5"] = answer
                self.refused(self.begin(b))
        self.assertEqual(set(ep.hooks()), {"on_auth_m5"})

    def test_timeout_refuses(self):
        ep = self.endpoint(on_auth_m5=Stall())
        b = self.broker(endpoint_conf(ep.url, HOOKS,
                                      response_timeout=self.ms(200)))
        self.refused(self.begin(b))

    def test_then_auth_on_register(self):
        ep, b = self.stage(step(0))
        self.enters(self.begin(b, username="joe", clean=False))
        r = ep.wait_for("auth_on_register_m5")
        self.assertEqual(r.body, {
            "peer_addr": "127.0.0.1", "peer_port": 0, "mountpoint": "",
            "client_id": "c1", "username": "joe", "password": None,
            "clean_start": False, "properties": says(b64(b"\x01\x02\xff"))})
        self.assertEqual(ep.wait_for("on_register_m5")["username"], "joe")

    def test_auth_on_register_is_told_of_the_connect(self):
        """Whatever the rounds brought; and of one without data."""
        ep, b = self.stage(step(24), step(0, b"end"), step(0))
        c = self.begin(b, b"first")
        c.wait("AUTH")
        c.auth(0x18, says(b"second"))
        self.enters(c)
        self.enters(self.begin(b, None, client_id="c2"))
        self.assertEqual(
            [r["properties"] for r in ep.of("auth_on_register_m5")],
            [says(b64(b"first")), says()])
        for name, told in (("c1", says(b64(b"end"))), ("c2", says())):
            r = ep.wait_for("on_register_m5", client_id=name)
            self.assertEqual(r["properties"], told)

    def test_what_is_kept_serves_none_without_an_exchange(self):
        """An endpoint that allows no password only after one."""
        ep, b = self.stage(step(0))
        ep.answers["auth_on_register_m5"] = lambda r: (
            kept(60) if r["properties"] else DENY)
        for _ in range(2):
            c = self.begin(b)
            self.enters(c)
            c.disconnect()
            c = self.client(b, "c1", 5).open()
            c.send_connect("u", None)
            self.refused(c)
        self.assertEqual(ep.count("auth_on_register_m5"), 3)

    def test_auth_on_register_refuses(self):
        """The host would not have asked."""
        for answer in (DENY, NEXT, b"{}", (500, {}, OK),
                       ok(username=1)):
            with self.subTest(answer=answer):
                ep, b = self.stage(step(0, b"x"))
                ep.answers["auth_on_register_m5"] = answer
                self.refused(self.begin(b))
                self.assertEqual(ep.hooks(), ["on_auth_m5",
                                              "auth_on_register_m5"])

    def test_auth_on_register_refuses_after_rounds(self):
        ep, b = self.stage(step(24), step(0, b"x"))
        ep.answers["auth_on_register_m5"] = DENY
        c = self.begin(b)
        c.wait("AUTH")
        c.auth(0x18, says(b"y"))
        self.refused(c)

    def test_no_auth_on_register_endpoint(self):
        ep, b = self.stage(step(0), hooks=[h for h in HOOKS if not
                                           h.startswith("auth_on_register")])
        self.enters(self.begin(b))
        ep.wait_for("on_register_m5")
        self.assertEqual(ep.hooks(), ["on_auth_m5", "on_client_wakeup",
                                      "on_register_m5"])

    def test_modifiers_of_auth_on_register(self):
        ep, b = self.stage(step(0))
        ep.answers["auth_on_register_m5"] = ok(username="new")
        c = self.begin(b)
        self.enters(c)
        self.assertEqual(ep.wait_for("on_register_m5")["username"], "new")
        c.publish("t", "x", 1)
        self.assertEqual(ep.wait_for("on_publish_m5")["username"], "new")

    def test_rename_by_auth_on_register(self):
        """Enhanced authentication is never delayed: exact on 2.1."""
        ep, b = self.stage(step(0))
        ep.answers["auth_on_register_m5"] = ok(client_id="new",
                                               mountpoint="")
        c = self.begin(b)
        if self.v20:
            self.refused(c)
            b.wait_log("c1.*renam|renam.*c1")
            return
        self.enters(c)
        self.assertEqual(ep.wait_for("on_register_m5")["client_id"], "new")
        c.publish("t", "x", 1)
        self.assertEqual(ep.wait_for("on_publish_m5")["client_id"], "new")

    def test_no_endpoint(self):
        ep, b = self.stage(hooks=ALL)
        self.refused(self.begin(b), BAD_METHOD)
        self.assertEqual(ep.hooks(), [])

    def test_no_method(self):
        """An ordinary login is not on_auth_m5's business."""
        ep, b = self.stage(step(0))
        for v in (3, 4, 5):
            self.online(b, "c%d" % v, v)
        self.assertEqual(ep.count("on_auth_m5"), 0)

    def test_chain(self):
        first = self.endpoint(on_auth_m5=NEXT)
        second = self.endpoint(on_auth_m5=step(0, b"second"))
        conf = endpoint_conf(first.url, HOOKS, "a")
        conf.update(endpoint_conf(second.url, ("on_auth_m5",), "b"))
        b = self.broker(conf)
        ack = self.enters(self.begin(b))
        self.assertEqual(ack["properties"]["p_authentication_data"],
                         "second")
        self.assertEqual((first.count("on_auth_m5"),
                          second.count("on_auth_m5")), (1, 1))

    def test_pending_will_is_not_published(self):
        """Who has not finished publishes nothing, nor does its will."""
        ep, b = self.stage(step(24))
        sub = self.subscriber(b, "#")
        c = self.begin(b, will={"topic": "w", "payload": "x"})
        c.wait("AUTH")
        c.reset()
        pub = self.online(b, "pub")
        pub.publish("marker", "m", 1)
        self.assertEqual(sub.message()["topic"], "marker")
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_refused_will_is_not_published(self):
        ep, b = self.stage(DENY)
        sub = self.subscriber(b, "#")
        self.refused(self.begin(b, will={"topic": "w", "payload": "x"}))
        self.online(b, "pub").publish("marker", "m", 1)
        self.assertEqual(sub.message()["topic"], "marker")
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_life(self):
        """It comes and goes as others do."""
        ep, b = self.stage(step(0))
        c = self.begin(b)
        self.enters(c)
        c.disconnect()
        ep.wait_for("on_client_gone", client_id="c1")
        self.assertEqual(ep.hooks(client_id="c1")[-3:],
                         ["on_client_wakeup", "on_register_m5",
                          "on_client_gone"])

    def test_refused_tells_nothing(self):
        ep, b = self.stage(DENY)
        self.refused(self.begin(b))
        c = self.online(b, "c2")
        c.disconnect()
        ep.wait_for("on_client_gone", client_id="c2")
        self.assertEqual(ep.hooks(client_id="c1"), ["on_auth_m5"])

    def test_left_in_the_middle(self):
        ep, b = self.stage(step(24))
        self.begin(b).reset()
        c = self.online(b, "c2")
        c.disconnect()
        ep.wait_for("on_client_gone", client_id="c2")
        self.assertEqual([h for h in ep.hooks(client_id="c1")
                          if h != "on_auth_m5"], [])

    # -- once more, after the login ---------------------------------------

    def test_again(self):
        ep, b = self.stage(step(0), step(0, b"again"))
        c = self.begin(b)
        self.enters(c)
        ep.wait_for("on_register_m5")
        c.auth(0x19, says(b"\xff2"))
        p = c.wait("AUTH")
        self.assertEqual(p["rc"], 0)
        self.assertEqual(p["properties"],
                         {"p_authentication_method": "M",
                          "p_authentication_data": "again"})
        r = ep.wait_for("on_auth_m5", 2)
        self.assertEqual(r["client_id"], "c1")
        self.assertEqual(r["username"], "u")
        self.assertEqual(r["properties"]["p_authentication_data"],
                         b64(b"\xff2"))
        c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5")
        # it is no new login
        self.assertEqual(ep.count("auth_on_register_m5"), 1)
        self.assertEqual(ep.count("on_register_m5"), 1)
        self.assertEqual(ep.count("on_client_wakeup"), 1)

    def test_again_in_rounds(self):
        ep, b = self.stage(step(0), step(24, b"more"), step(0, b"end"))
        c = self.begin(b)
        self.enters(c)
        c.auth(0x19, says(b"1"))
        p = c.wait("AUTH")
        self.assertEqual((p["rc"], p["properties"]["p_authentication_data"]),
                         (0x18, "more"))
        c.auth(0x18, says(b"2"))
        p = c.wait("AUTH")
        self.assertEqual((p["rc"], p["properties"]["p_authentication_data"]),
                         (0, "end"))
        self.assertEqual([r["properties"].get("p_authentication_method")
                          for r in ep.of("on_auth_m5")], ["M"] * 3)
        c.publish("t", "x", 1)

    def test_again_refused(self):
        ep, b = self.stage(step(0), DENY)
        c = self.begin(b)
        self.enters(c)
        ep.wait_for("on_register_m5")
        c.auth(0x19, says(b"2"))
        p = c.wait("CONNACK", "DISCONNECT")
        self.assertEqual(p["rc"], NOT_AUTHORISED)
        c.expect_closed()
        ep.wait_for("on_client_gone", client_id="c1")
        self.assertEqual(ep.count("auth_on_register_m5"), 1)

    def test_again_refused_publishes_the_will(self):
        """It was logged in: its will is asked about and goes out."""
        ep, b = self.stage(step(0), DENY)
        sub = self.subscriber(b, "#")
        c = self.begin(b, will={"topic": "w", "payload": "x"})
        self.enters(c)
        c.auth(0x19, says(b"2"))
        c.wait("CONNACK", "DISCONNECT")
        c.expect_closed()
        self.assertEqual(sub.message()["topic"], "w")
        ep.wait_for("auth_on_publish_m5", topic="w")

    def test_survives_sighup(self):
        ep, b = self.stage(step(0))
        c = self.begin(b)
        self.enters(c)
        ep.wait_for("on_register_m5")
        ep.forget()
        b.reload()
        c.barrier()
        c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5")
        self.assertEqual([h for h in ep.hooks() if "register" in h or
                          h == "on_auth_m5"], [])
