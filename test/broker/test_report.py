"""What the plugin says at start-up, and what it keeps through SIGHUP."""

import re

from endpoint import DENY, OK, Stall, ok
from host import ALL, AUTH, BrokerTest, endpoint_conf, version

HOOKS = ALL + ("on_auth_m5", "on_deliver", "on_deliver_m5",
               "on_offline_message", "on_session_expired")
VERSIONS = (3, 4, 5)


def keep(v):
    return {"p_session_expiry_interval": 60} if v == 5 else None


class Report(BrokerTest):

    def said(self, b):
        return [line.split("vmq_webhooks: ", 1)[1]
                for line in b.log().splitlines() if "vmq_webhooks: " in line]

    def test_what_is_served(self):
        ep, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, HOOKS, "a")
        conf.update(endpoint_conf(second.url, ("on_publish",), "b"))
        b = self.broker(conf)
        said = self.said(b)
        want = version() if self.v20 else "2.1"
        self.assertEqual(len(b.lines_with(
            r"version \S+ in Mosquitto %s, 23 webhooks" % re.escape(want))),
            1)
        for hook in HOOKS:
            n = "2 endpoints" if hook == "on_publish" else "1 endpoint"
            self.assertEqual(said.count("%s: %s" % (hook, n)), 1, hook)
        self.assertEqual(b.log_count("has no endpoint"), 0)

    def test_what_is_not(self):
        """A line for each hook that will refuse for want of an endpoint."""
        ep = self.endpoint()
        b = self.hooked(ep, ("on_publish", "auth_on_publish"))
        for hook in AUTH:
            self.assertEqual(len(b.lines_with(
                r"vmq_webhooks: %s has no endpoint.*refused" % hook)),
                0 if hook == "auth_on_publish" else 1, hook)
        self.assertEqual(b.log_count("has no endpoint"), 5)

    def test_certificates(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.assertEqual(len(b.lines_with(
            "auth_on_register.*use_identity_as_username")), 1)
        b = self.hooked(ep, ("on_publish",))
        self.assertEqual(len(b.lines_with("auth_on_register.*use_identity")),
                         0)

    def test_what_20_cannot(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        for pattern in ("auth_on_subscribe.*rewrite",
                        "auth_on_register.*waits",
                        "on_register, on_client_wakeup.*use_identity"):
            self.assertEqual(len(b.lines_with(pattern)),
                             1 if self.v20 else 0, pattern)
        b = self.hooked(ep, ("on_publish",))
        for pattern in ("auth_on_subscribe.*rewrite",
                        "auth_on_register.*waits"):
            self.assertEqual(len(b.lines_with(pattern)), 0, pattern)

    def test_what_reading_costs(self):
        """contract.md, decision 29: on 2.0 start-up says what each choice
        of read_checks costs."""
        ep = self.endpoint()
        for value in ("auto", "allow", "defer"):
            b = self.hooked(ep, HOOKS, {"vmq_webhooks.read_checks": value})
            self.assertEqual(bool(b.lines_with("vmq_webhooks: .*read")),
                             self.v20, value)

    def test_one_line_each(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        said = self.said(b)
        self.assertEqual(len(said), len(set(said)))
        self.assertEqual([line for line in said if not line.strip()], [])

    def test_blocking_where_it_cannot(self):
        for hook in ("auth_on_publish", "auth_on_subscribe_m5", "on_publish",
                     "on_auth_m5", "on_client_gone", "on_offline_message"):
            b = self.unstarted(endpoint_conf("http://127.0.0.1/", (hook,),
                                             blocking="on"))
            self.has(b.refused(), "blocking", hook)

    def test_inert_reports_nothing(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {"plugins.vmq_webhooks": "off"},
                        anonymous=True)
        self.assertEqual(b.log_count("endpoint"), 0)
        c = self.client(b, "c1")
        c.connect()
        c.subscribe("t")
        c.publish("t", "x", 1)
        c.message()
        self.assertEqual(ep.requests, [])


class Reload(BrokerTest):
    """SIGHUP: the broker looks at everybody again. Nobody is asked, nobody
    leaves."""

    def stage(self, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, HOOKS, **kw)

    def after(self, ep, b, *present):
        """Reload, and see that these are there; nothing was told."""
        ep.forget()
        # an endpoint that would refuse everybody is not asked
        for hook in AUTH:
            ep.answers[hook] = DENY
        b.reload()
        for c in present:
            c.barrier()
            c.barrier()
        self.assertEqual(ep.hooks(), [])
        ep.answers.clear()

    def test_online(self):
        ep, b = self.stage()
        cs = [self.online(b, "c%d" % v, v, clean=clean is True,
                          properties=None if clean else keep(v))
              for v in VERSIONS for clean in (True,)]
        kept = [self.online(b, "k%d" % v, v, clean=False,
                            properties=keep(v)) for v in VERSIONS]
        for c in cs + kept:
            c.subscribe(("t", 1))
        ep.wait_for("on_register", 4)
        ep.wait_for("on_register_m5", 2)
        ep.wait_for("on_subscribe", 4)
        ep.wait_for("on_subscribe_m5", 2)
        for _ in range(2):
            self.after(ep, b, *cs, *kept)
        self.online(b, "pub").publish("t", "x", 1)
        for c in cs + kept:
            self.assertEqual(c.message()["payload"], "x")

    def test_offline(self):
        ep, b = self.stage()
        watch = self.online(b, "watch")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, clean=False,
                            properties=keep(v))
            c.subscribe(("t", 1))
            c.disconnect()
            ep.wait_for("on_client_offline", client_id="c%d" % v)
        pub = self.online(b, "pub")
        pub.publish("t", "before", 1)
        ep.wait_for("on_offline_message", 3)
        ep.wait_for("on_publish")
        for _ in range(2):
            self.after(ep, b, watch, pub)
        pub.publish("t", "after", 1)
        ep.wait_for("on_offline_message", 3)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            ack = c.connect("u", "p", clean=False, properties=keep(v))
            if v > 3:
                self.assertEqual(ack["session_present"], 1)
            self.assertEqual([p["payload"] for p in c.drain()],
                             ["before", "after"])

    def test_renamed(self):
        """By its login's reply, in name or user name."""
        ep, b = self.stage()
        modifiers = {"username": "new"}
        if self.v21:
            modifiers.update(client_id="renamed", mountpoint="")
        ep.answers["auth_on_register"] = ok(**modifiers)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        self.after(ep, b, c)
        c.publish("t", "x", 1)
        self.assertEqual(ep.wait_for("on_publish")["username"], "new")

    def test_refused_stays_out(self):
        ep, b = self.stage()
        watch = self.online(b, "watch")
        ep.wait_for("on_register")
        self.after(ep, b, watch)
        ep.answers["auth_on_register"] = DENY
        c = self.client(b, "c1")
        c.connect("u", "p", rc=5)
        self.assertEqual(ep.count("auth_on_register"), 1)

    def test_logins_are_asked_for_again(self):
        """Right behind a reload: its benefit is for no newcomer."""
        ep, b = self.stage()
        self.online(b, "watch")
        ep.answers["auth_on_register"] = DENY
        for i in range(5):
            b.reload()
            c = self.client(b, "c%d" % i)
            c.connect("u", "p", rc=5)
        self.assertEqual(ep.count("auth_on_register"), 6)

    def test_pending_login(self):
        """2.1: one that waits for its answer gets it."""
        if self.v20:
            return      # nobody is ever pending there
        ep, b = self.stage()
        stall = ep.answers["auth_on_register"] = Stall(OK)
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        b.reload()
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
