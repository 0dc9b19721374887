"""What holds without an answer, and what other checks of the broker make of
ours: on_error, default_policy, read_checks, publish_denied."""

import subprocess

from endpoint import DENY, NEXT, OK, Drop, Reset, Stall, ok
from host import ALL, AUTH, EACH_LINE, STEADY, BrokerTest, endpoint_conf

VERSIONS = (3, 4, 5)
REFUSED = {3: 5, 4: 5, 5: 0x87}
REFUSAL = {4: 0x80, 5: 0x87}
TELLING = tuple(h for h in ALL if h not in AUTH)
NOTIFICATIONS = TELLING + ("on_deliver", "on_deliver_m5",
                           "on_offline_message", "on_session_expired")


class OnError(BrokerTest):

    # no answer at all, and answers that are none of ours to follow
    NONE = [(429, {}, OK), (500, {}, OK), (502, {}, OK), (503, {}, OK),
            (504, {}, OK), (599, {}, OK), Drop(), Reset()]
    REFUSING = [(201, {}, OK), (204, {}, b""), (302, {"Location": "/x"}, OK),
                (400, {}, OK), (401, {}, OK), (403, {}, OK), (404, {}, OK),
                (428, {}, OK), b"", b"nonsense", b"[]",
                b'{"result":"yes"}', dict(ok(bogus=1), topics=[{"bogus": 1}]),
                DENY]

    def stage(self, on_error, hooks=AUTH, rest=True, **options):
        """Endpoints of these hooks with that setting."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, hooks, "a", on_error=on_error,
                             **options)
        conf.update(endpoint_conf(ep.url, [h for h in ALL
                                           if h not in hooks and rest], "z"))
        conf.update(STEADY)
        conf.update(EACH_LINE)
        return ep, self.broker(conf)

    def login(self, b, version, fine):
        c = self.client(b, "c%d" % version, version)
        c.connect("u", "p", rc=0 if fine else REFUSED[version])
        if fine:
            c.disconnect()
        else:
            c.expect_closed()

    def publish(self, b, version, fine):
        c = self.online(b, "c%d" % version, version)
        sub = self.subscriber(b, "t")
        ack = c.publish("t", "x", 1)
        if version == 5:
            self.assertEqual(ack.get("rc", 0), 0 if fine else 0x87)
        if fine:
            self.assertEqual(sub.message()["payload"], "x")
        sub.quiet()
        c.disconnect()
        sub.disconnect()

    def subscribe(self, b, version, fine):
        c = self.online(b, "c%d" % version, version)
        codes = c.subscribe(("t", 1))
        if version > 3:
            self.assertEqual(codes, [1 if fine else REFUSAL[version]])
        c.publish("t", "x", 1)
        if fine:
            c.message()
        c.quiet()
        c.disconnect()

    def each(self, answers, on_error, fine):
        """Every question, each protocol, to each of these answers."""
        ep, b = self.stage(on_error)
        for hook, do in (("auth_on_register", self.login),
                         ("auth_on_publish", self.publish),
                         ("auth_on_subscribe", self.subscribe)):
            for answer in answers:
                ep.answers = {hook + m: answer for m in ("", "_m5")}
                for v in VERSIONS:
                    with self.subTest(hook=hook, answer=answer, version=v):
                        do(b, v, fine)
            ep.answers = {}
        return ep, b

    def test_deny(self):
        self.each(self.NONE, "deny", False)

    def test_deny_is_the_default(self):
        ep = self.endpoint(auth_on_register=(500, {}, OK))
        b = self.hooked(ep)
        self.login(b, 4, False)

    def test_allow(self):
        ep, b = self.each(self.NONE, "allow", True)
        for hook in AUTH:
            b.wait_log(r"%s: endpoint \S+: client c[345] allowed without an "
                       "answer" % hook, len(self.NONE))

    def test_allow_refuses_what_is_an_answer(self):
        ep, b = self.each(self.REFUSING, "allow", False)
        self.assertEqual(b.log_count("allowed without"), 0)

    def test_next_without_another_refuses(self):
        self.each(self.NONE, "next", False)

    def test_next_refuses_what_is_an_answer(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, AUTH, "a", on_error="next")
        conf.update(endpoint_conf(second.url, ALL, "b"))
        b = self.broker(conf)
        for answer in self.REFUSING:
            with self.subTest(answer=answer):
                first.answers["auth_on_register"] = answer
                self.login(b, 4, False)
        self.assertEqual(second.count("auth_on_register"), 0)

    def test_next_asks_the_next(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, AUTH, "a", on_error="next")
        conf.update(endpoint_conf(second.url, ALL, "b"))
        conf.update(STEADY)
        b = self.broker(conf)
        for n, answer in enumerate(self.NONE):
            with self.subTest(answer=answer):
                first.answers["*"] = answer
                self.login(b, 4, True)
                self.assertEqual(first.count("auth_on_register"), n + 1)
                self.assertEqual(second.count("auth_on_register"), n + 1)
        second.answers["auth_on_register"] = DENY
        self.login(b, 4, False)
        self.assertEqual(b.log_count("allowed without"), 0)

    def test_timeout(self):
        for on_error, fine in (("deny", False), ("next", False),
                               ("allow", True)):
            ep, b = self.stage(on_error, response_timeout=self.ms(150))
            ep.answers["*"] = Stall()
            self.login(b, 4, fine)
            self.assertEqual(ep.count("auth_on_register"), 1)
            ep, b = self.stage(on_error, response_timeout=self.ms(150))
            ep.answers["auth_on_publish_m5"] = Stall()
            self.publish(b, 5, fine)
            self.assertEqual(ep.count("auth_on_publish_m5"), 1)

    def test_connection_refused(self):
        for on_error, fine in (("deny", False), ("next", False),
                               ("allow", True)):
            conf = endpoint_conf(self.nobody(), AUTH, on_error=on_error)
            conf.update(STEADY)
            b = self.broker(conf)
            for v in VERSIONS:
                self.login(b, v, fine)

    def test_allow_is_not_for_wills(self):
        ep, b = self.stage("allow")
        sub = self.subscriber(b, "#")
        for answer in self.NONE:
            for v in VERSIONS:
                for hook in ("auth_on_publish", "auth_on_publish_m5"):
                    ep.answers[hook] = lambda r: (
                        answer if r["topic"] == "w" else OK)
                n = ep.count(self.hook("auth_on_publish", v), topic="w")
                self.online(b, "c%d" % v, v,
                            will={"topic": "w", "payload": "x"}).reset()
                ep.wait_for(self.hook("auth_on_publish", v), n + 1,
                            topic="w")
        self.online(b, "pub").publish("marker", "m", 1)
        self.assertEqual(sub.message()["topic"], "marker")
        self.assertEqual(b.log_count("allowed without"), 0)

    def test_allow_is_not_for_wills_of_a_takeover(self):
        """Asked about before the old one is gone: still its will."""
        ep, b = self.stage("allow")
        sub = self.subscriber(b, "#")
        for v in VERSIONS:
            ep.answers["auth_on_publish"] = (500, {}, OK)
            ep.answers["auth_on_publish_m5"] = (500, {}, OK)
            old = self.online(b, "c%d" % v, v,
                              will={"topic": "w", "payload": "x"})
            new = self.online(b, "c%d" % v, v)
            old.expect_closed()
            ep.wait_for(self.hook("auth_on_publish", v), topic="w")
            new.barrier()
            new.publish("t/%d" % v, "x", 1)
            self.assertEqual(sub.message()["topic"], "t/%d" % v)

    def test_allow_is_not_for_delayed_wills(self):
        ep, b = self.stage("allow")
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish_m5"] = (500, {}, OK)
        self.online(b, "c1", 5, clean=False,
                    properties={"p_session_expiry_interval": 60},
                    will={"topic": "w", "payload": "x", "properties":
                          {"p_will_delay_interval": 1}}).reset()
        ep.wait_for("auth_on_publish_m5", topic="w", timeout=10)
        ep.answers.clear()
        self.online(b, "pub").publish("marker", "m", 1)
        self.assertEqual(sub.message()["topic"], "marker")

    def test_allow_keeps_nothing(self):
        """What was let through is asked for again."""
        ep, b = self.stage("allow")
        ep.answers["auth_on_register"] = [
            (500, {"Cache-Control": "max-age=60"}, OK), OK, DENY]
        self.login(b, 4, True)
        self.login(b, 4, True)
        self.login(b, 4, False)

    def test_on_auth_m5(self):
        """No answer completes an exchange: there is no code in it."""
        ep, b = self.stage("allow", AUTH + ("on_auth_m5",))
        ep.answers["on_auth_m5"] = (500, {}, OK)
        c = self.client(b, "c1", 5).open()
        c.send_connect("u", "p", properties={
            "p_authentication_method": "M"})
        self.assertEqual(c.wait("CONNACK")["rc"], 0x87)

    def test_only_for_hooks_that_decide(self):
        for hook in NOTIFICATIONS:
            for value in ("allow", "next"):
                b = self.unstarted(endpoint_conf("http://127.0.0.1/",
                                                 (hook,), on_error=value))
                self.has(b.refused(), "on_error", hook)

    def test_deny_is_fine_for_the_others(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ALL)
        conf["vmq_webhooks.hook00.on_error"] = "deny"
        self.broker(conf)

    def test_unknown_value(self):
        b = self.unstarted(endpoint_conf("http://127.0.0.1/", AUTH,
                                         on_error="ignore"))
        self.has(b.refused(), "on_error", "deny", "next", "allow")


class DefaultPolicy(BrokerTest):

    IGNORE = {"vmq_webhooks.default_policy": "ignore"}

    def test_refused_on_20(self):
        if self.v21:
            return      # see the others
        ep = self.endpoint()
        conf = endpoint_conf(ep.url)
        conf.update(self.IGNORE)
        log = self.unstarted(conf).refused()
        self.has(log, "default_policy.*ignore.*2\\.1", "neutral")

    def test_deny_is_the_default(self):
        for conf in ({}, {"vmq_webhooks.default_policy": "deny"}):
            ep = self.endpoint()
            settings = endpoint_conf(ep.url, TELLING)
            settings.update(conf)
            b = self.broker(settings)
            for v in VERSIONS:
                c = self.client(b, "c%d" % v, v)
                c.connect("u", "p", rc=REFUSED[v])

    def ignoring(self, hooks, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, hooks, self.IGNORE, **kw)

    def test_as_if_not_loaded(self):
        """Whoever the broker lets in is in; notifications go on."""
        if self.v20:
            return
        ep, b = self.ignoring(TELLING, anonymous=True)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect()
            ep.wait_for(self.hook("on_register", v), client_id="c%d" % v)
            self.assertEqual(c.subscribe(("t", 2)), [2])
            c.publish("t", "x", 2)
            self.assertEqual(c.message()["payload"], "x")
            for hook in ("on_subscribe", "on_publish"):
                ep.wait_for(self.hook(hook, v), client_id="c%d" % v)
            codes = c.unsubscribe("t")
            self.assertEqual(codes, [0] if v == 5 else [])
            c.disconnect()
            ep.wait_for("on_client_gone", client_id="c%d" % v)

    def test_not_anonymous(self):
        """allow_anonymous false holds, as without the plugin."""
        if self.v20:
            return
        ep, b = self.ignoring(TELLING)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect(rc=REFUSED[v])
            c.expect_closed()
        self.assertEqual(ep.requests, [])

    def test_files_decide(self):
        if self.v20:
            return
        ep, b = self.ignoring(
            TELLING, files={"passwd": password_file("u", "p"),
                            "acl": "user u\ntopic readwrite mine/#\n"},
            lines=["password_file @DIR@/passwd", "acl_file @DIR@/acl"])
        for v in VERSIONS:
            self.client(b, "c%d" % v, v).connect("u", "wrong",
                                                 rc=REFUSED[v])
            c = self.online(b, "c%d" % v, v)
            if v > 3:
                self.assertEqual(c.subscribe(("mine/#", 1)), [1])
            else:
                c.subscribe(("mine/#", 1))
            ack = c.publish("other", "x", 1)
            self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
            c.publish("mine/x", "x", 1)
            self.assertEqual(c.message()["topic"], "mine/x")
            c.quiet()

    def test_hooks_with_an_endpoint_decide(self):
        if self.v20:
            return
        ep, b = self.ignoring(("auth_on_publish",), anonymous=True)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect()
            c.subscribe("t")
            ep.answers["auth_on_publish"] = DENY
            c.publish("t", "no", 1)
            ep.answers["auth_on_publish"] = NEXT
            c.publish("t", "nor this", 1)
            ep.answers.clear()
            c.publish("t", "yes", 1)
            # the m5 hook has none: as if the plugin were not there
            want = ["no", "nor this", "yes"] if v == 5 else ["yes"]
            self.assertEqual([p["payload"] for p in c.drain()], want)

    def test_login_endpoint_decides(self):
        if self.v20:
            return
        for answer in (DENY, NEXT):
            ep, b = self.ignoring(("auth_on_register",), anonymous=True)
            ep.answers["auth_on_register"] = answer
            self.client(b, "c4", 4).connect("u", "p", rc=5)
            self.client(b, "c5", 5).connect("u", "p")

    def test_subscribe_endpoint_decides(self):
        if self.v20:
            return
        ep, b = self.ignoring(("auth_on_subscribe_m5",), anonymous=True)
        ep.answers["auth_on_subscribe_m5"] = DENY
        c4, c5 = self.client(b, "c4", 4), self.client(b, "c5", 5)
        c4.connect()
        c5.connect()
        self.assertEqual(c4.subscribe("t"), [0])
        self.assertEqual(c5.subscribe("t"), [0x87])

    def test_dollar_topics(self):
        """Never the endpoint's business, nor ours."""
        if self.v20:
            return
        ep, b = self.ignoring(TELLING, anonymous=True)
        c = self.client(b, "c1", 5)
        c.connect()
        c.subscribe("$mine/x")
        c.publish("$mine/x", "x", 1)
        self.assertEqual(c.message()["topic"], "$mine/x")

    def test_swallowed_messages_stay_out_of_reach(self):
        """`$` is where a message goes that is published in another's place:
        nobody listens there, whoever decides on subscriptions."""
        if self.v20:
            return
        ep, b = self.ignoring(("auth_on_publish_m5",), anonymous=True)
        ep.answers["auth_on_publish_m5"] = ok(qos=0)
        pub = self.client(b, "pub", 5)
        pub.connect()
        for n, name in enumerate(("$", "$share/g/$")):
            c = self.client(b, "c%d" % n, 5)
            c.connect()
            self.assertEqual(c.subscribe(name, "t"), [0x87, 0], name)
            pub.publish("t", "x", 1)
            c.message("t")
            c.quiet()

    def test_will(self):
        if self.v20:
            return
        ep, b = self.ignoring(TELLING, anonymous=True)
        sub = self.client(b, "sub")
        sub.connect()
        sub.subscribe("#")
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect(will={"topic": "w", "payload": "x"})
            c.reset()
            self.assertEqual(sub.message()["topic"], "w")

    def test_report(self):
        if self.v20:
            return
        ep, b = self.ignoring(TELLING)
        for hook in AUTH:
            self.assertEqual(len(b.lines_with(
                r"vmq_webhooks: %s has no endpoint: left" % hook)), 1)

    def test_sighup(self):
        if self.v20:
            return
        ep, b = self.ignoring(TELLING, anonymous=True)
        c = self.client(b, "c1")
        c.connect()
        b.reload()
        c.barrier()
        c.barrier()


def password_file(user, password):
    """A file for password_file, by the broker's own tool."""
    made = subprocess.run(["mosquitto_passwd", "-c", "-b", "/dev/stdout",
                           user, password], capture_output=True, text=True)
    if made.returncode == 0 and ":" in made.stdout:
        return made.stdout
    import base64
    import hashlib
    salt = b"0123456789ab"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return "%s:$7$101$%s$%s\n" % (user, base64.b64encode(salt).decode(),
                                  base64.b64encode(digest).decode())


class ReadChecks(BrokerTest):
    """2.0 has no neutral answer to READ: what an acl_file says of reading
    counts with `defer` only. 2.1 always leaves it to the file."""

    ACL = "user u\ntopic readwrite mine/#\nuser pub\ntopic readwrite #\n"

    def stage(self, read_checks=None, hooks=ALL, acl=ACL, **kw):
        ep = self.endpoint()
        conf = {} if read_checks is None else \
            {"vmq_webhooks.read_checks": read_checks}
        b = self.hooked(ep, hooks, conf, files={"acl": acl},
                        lines=["acl_file @DIR@/acl"], **kw)
        return ep, b

    def reads(self, b, version=4):
        """Of mine/x and other, what a subscriber to both gets."""
        c = self.online(b, "c%d" % version, version)
        c.subscribe(("mine/x", 1), ("other", 1))
        pub = self.online(b, "pub", username="pub")
        pub.publish("mine/x", "x", 1)
        pub.publish("other", "x", 1)
        pub.barrier()
        got = [p["topic"] for p in c.drain()]
        c.disconnect()
        return got

    def test_auto_allows(self):
        """auth_on_subscribe has decided already."""
        for setting in (None, "auto"):
            ep, b = self.stage(setting)
            for v in VERSIONS:
                self.assertEqual(self.reads(b, v),
                                 ["mine/x", "other"] if self.v20
                                 else ["mine/x"])

    def test_auto_defers_without_an_endpoint(self):
        hooks = [h for h in ALL if not h.startswith("auth_on_subscribe")]
        ep, b = self.stage("auto", hooks)
        for v in VERSIONS:
            self.assertEqual(self.reads(b, v), ["mine/x"])

    def test_auto_goes_by_the_protocol(self):
        hooks = [h for h in ALL if h != "auth_on_subscribe_m5"]
        ep, b = self.stage("auto", hooks)
        self.assertEqual(self.reads(b, 5), ["mine/x"])
        self.assertEqual(self.reads(b, 4), ["mine/x", "other"] if self.v20
                         else ["mine/x"])

    def test_allow(self):
        """An acl_file has no say in subscriptions: with nobody asked about
        those either, everybody reads everything on 2.0."""
        hooks = [h for h in ALL if not h.startswith("auth_on_subscribe")]
        for chosen in (ALL, hooks):
            ep, b = self.stage("allow", chosen)
            for v in VERSIONS:
                self.assertEqual(self.reads(b, v),
                                 ["mine/x", "other"] if self.v20
                                 else ["mine/x"])

    def test_defer(self):
        ep, b = self.stage("defer")
        for v in VERSIONS:
            self.assertEqual(self.reads(b, v), ["mine/x"])

    def test_defer_without_a_file(self):
        """Then nobody on 2.0 may read: that is what defer costs."""
        ep = self.endpoint()
        b = self.hooked(ep, ALL, {"vmq_webhooks.read_checks": "defer"})
        self.assertEqual(self.reads(b), [] if self.v20
                         else ["mine/x", "other"])

    def test_never_a_call(self):
        for setting in ("auto", "allow", "defer"):
            ep, b = self.stage(setting)
            self.reads(b)
            self.assertEqual(
                [h for h in ep.hooks(client_id="c4") if "auth" in h],
                ["auth_on_register"] + ["auth_on_subscribe"] * 2)

    def test_told_of_what_a_file_lets_through(self):
        """With defer a file decides whether it is delivered, and 2.0 does
        not say how: either on_deliver is told, or the start-up report says
        that it never is."""
        ep, b = self.stage("defer", ALL + ("on_deliver", "on_deliver_m5"))
        if b.lines_with("on_deliver: read_checks .*: never told"):
            return
        for v in VERSIONS:
            self.assertEqual(self.reads(b, v), ["mine/x"])
            ep.wait_for(self.hook("on_deliver", v), topic="mine/x",
                        client_id="c%d" % v, timeout=2)

    def test_with_a_password_file(self):
        """What the file knows does not matter once an endpoint decides."""
        ep = self.endpoint()
        b = self.hooked(ep, ALL, {"vmq_webhooks.read_checks": "auto"},
                        files={"passwd": password_file("known", "pw")},
                        lines=["password_file @DIR@/passwd"])
        self.online(b, "c1", 4, "stranger", "x")
        ep.answers["auth_on_register"] = DENY
        c = self.client(b, "c2")
        c.connect("known", "wrong", rc=5)
        # no opinion: the file's turn, where the login was not delayed
        ep.answers["auth_on_register"] = NEXT
        c = self.client(b, "c3")
        ack = c.connect("known", "pw", rc=None)
        self.assertEqual(ack["rc"], 0 if self.v20 else 5)
        c = self.client(b, "c4")
        c.connect("known", "wrong", rc=5)

    def test_next_with_a_password_file_and_blocking(self):
        """On 2.1 `blocking` gives the file its turn."""
        ep = self.endpoint(auth_on_register=NEXT)
        conf = endpoint_conf(ep.url, [h for h in ALL
                                      if h != "auth_on_register"])
        conf.update(endpoint_conf(ep.url, ("auth_on_register",), "x",
                                  blocking="on"))
        b = self.broker(conf, files={"passwd": password_file("known", "pw")},
                        lines=["password_file @DIR@/passwd"])
        c = self.online(b, "c3", 4, "known", "pw")
        ep.wait_for("on_register", client_id="c3")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish", client_id="c3")
        c = self.client(b, "c4")
        c.connect("known", "wrong", rc=5)
        self.assertEqual(ep.count("on_register"), 1)
        b.reload()
        self.online(b, "c5", 4, "known", "pw")

    def test_no_login_endpoint_with_a_password_file(self):
        ep = self.endpoint()
        b = self.hooked(ep, [h for h in ALL
                             if not h.startswith("auth_on_register")],
                        files={"passwd": password_file("known", "pw")},
                        lines=["password_file @DIR@/passwd"])
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "known", "pw")
            ep.wait_for(self.hook("on_register", v), client_id="c%d" % v)
            c.publish("t", "x", 1)
            ep.wait_for(self.hook("on_publish", v), client_id="c%d" % v)
            c = self.client(b, "d%d" % v, v)
            c.connect("known", "wrong", rc=REFUSED[v])

    def test_unknown_value(self):
        b = self.unstarted({"vmq_webhooks.read_checks": "deny"})
        self.has(b.refused(), "read_checks", "auto", "allow", "defer")


class PublishDenied(BrokerTest):

    def stage(self, value, hooks=ALL):
        ep = self.endpoint()
        conf = {} if value is None else \
            {"vmq_webhooks.publish_denied": value}
        b = self.hooked(ep, hooks, conf)
        return ep, b, self.subscriber(b, "#")

    def deny(self, ep, answer=DENY):
        ep.answers["auth_on_publish"] = answer
        ep.answers["auth_on_publish_m5"] = answer

    def test_drop(self):
        for value in (None, "drop"):
            ep, b, sub = self.stage(value)
            self.deny(ep)
            for v in VERSIONS:
                c = self.online(b, "c%d" % v, v)
                for qos in (0, 1, 2):
                    ack = c.publish("t", "x", qos)
                    if v == 5 and qos:
                        self.assertEqual(ack["rc"], 0x87)
                c.quiet()
            sub.quiet()

    def test_disconnect(self):
        """3.1.1 publishers only."""
        ep, b, sub = self.stage("disconnect")
        for answer in (DENY, b"nonsense", (500, {}, OK),
                       ok(mountpoint="elsewhere")):
            for v in VERSIONS:
                for qos in (0, 1, 2):
                    with self.subTest(v=v, qos=qos, answer=answer):
                        self.deny(ep, answer)
                        c = self.online(b, "c%d" % v, v)
                        if v == 4:
                            c.send_publish("t", "x", qos)
                            self.assertEqual(c.expect_closed(), [])
                            continue
                        ack = c.publish("t", "x", qos)
                        if v == 5 and qos:
                            self.assertEqual(ack["rc"], 0x87)
                        c.barrier()
                        c.disconnect()
        sub.quiet()

    def test_disconnect_without_an_opinion(self):
        """Others may allow it, so it is theirs to deny: Mosquitto's way."""
        for hooks, answer in ((ALL, NEXT),
                              ([h for h in ALL if h != "auth_on_publish"],
                               None)):
            ep, b, sub = self.stage("disconnect", hooks)
            if answer:
                self.deny(ep, answer)
            c = self.online(b, "c4", 4)
            c.publish("t", "x", 1)
            c.barrier()
            sub.quiet()

    def test_disconnect_publishes_the_will(self):
        ep, b, sub = self.stage("disconnect")
        self.deny(ep, lambda r: OK if r["topic"] == "w" else DENY)
        c = self.online(b, "c4", 4, will={"topic": "w", "payload": "x"})
        c.send_publish("t", "x", 1)
        c.expect_closed()
        self.assertEqual(sub.message()["topic"], "w")

    def test_denied_will_disconnects_nobody(self):
        ep, b, sub = self.stage("disconnect")
        self.deny(ep)
        old = self.online(b, "c4", 4, will={"topic": "w", "payload": "x"})
        new = self.online(b, "c4", 4)
        old.expect_closed()
        new.barrier()
        new.barrier()
        sub.quiet()

    def test_allowed_stays(self):
        ep, b, sub = self.stage("disconnect")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            for qos in (0, 1, 2):
                c.publish("t", "x", qos)
                sub.message("t")
            c.barrier()

    def test_unknown_value(self):
        b = self.unstarted({"vmq_webhooks.publish_denied": "close"})
        self.has(b.refused(), "publish_denied", "drop", "disconnect")
