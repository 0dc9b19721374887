"""vmq-admin webhooks test: a dry run."""

import json
import re
import time

from endpoint import DENY, NEXT, OK, Delay, Stall, kept, ok
from host import ALL, BrokerTest, endpoint_conf

COLUMNS = ["hook", "endpoint", "request", "status", "cache_control", "reply",
           "reply_cut", "verdict", "modifiers", "means", "kept", "queue_ms",
           "connect_ms", "first_byte_ms", "total_ms"]


class DryRun(BrokerTest):

    def rows(self, b, hook, **fields):
        status, body = b.api("test", [("hook", hook)] + list(fields.items()),
                             timeout=10)
        self.assertEqual((status, body.get("type")), (200, "table"), body)
        return body["table"]

    def row(self, b, hook, **fields):
        rows = self.rows(b, hook, **fields)
        self.assertEqual(len(rows), 1)
        return rows[0]

    def test_the_request_is_the_real_one(self):
        """What a client's event makes the broker send."""
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1", 4, "joe", "geheim")
        real = ep.wait_for("auth_on_register")
        row = self.row(b, "auth_on_register", client_id="c1", username="joe",
                       password="geheim")
        dry = ep.wait_for("auth_on_register", 2)
        self.assertEqual(dry.body, real.body)
        self.assertEqual((dry.method, dry.path), (real.method, real.path))
        self.assertEqual([k for k, _ in dry.headers],
                         [k for k, _ in real.headers])
        self.assertEqual(json.loads(row["request"]),
                         dict(real.body, password="***"))
        c.publish("a/b", "x", 1, retain=True)
        real = ep.wait_for("auth_on_publish")
        self.row(b, "auth_on_publish", client_id="c1", username="joe",
                 topic="a/b", payload="x", qos=1, retain="true")
        self.assertEqual(ep.wait_for("auth_on_publish", 2).body, real.body)
        c.subscribe(("a/#", 1))
        real = ep.wait_for("auth_on_subscribe")
        self.row(b, "auth_on_subscribe", client_id="c1", username="joe",
                 topic="a/#", qos=1)
        self.assertEqual(ep.wait_for("auth_on_subscribe", 2).body, real.body)

    def test_every_hook(self):
        ep = self.endpoint()
        b = self.broker()
        for hook in ALL + ("on_auth_m5", "on_deliver", "on_deliver_m5",
                           "on_offline_message", "on_session_expired"):
            row = self.row(b, hook, endpoint=ep.url, client_id="me")
            self.assertEqual(list(row), COLUMNS)
            self.assertEqual((row["hook"], row["status"]), (hook, 200))
            self.assertIn(row["verdict"], ("ok", "told"), hook)
            self.assertEqual(ep.wait_for(hook)["client_id"], "me")
        self.assertEqual(b.api("show")[1]["table"], [])

    def test_verdicts(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_publish",))
        for answer, verdict, means in (
                (OK, "ok", "allows"), (NEXT, "next", "passes on"),
                (DENY, "refused: not_allowed", "^refuses$"),
                ({}, 'malformed: the reply has no "result"', "refuses"),
                ("nonsense", "malformed: ", "refuses"),
                ((404, {}, OK), "refused: answered with status 404",
                 "refuses"),
                ((500, {}, OK), "no answer: answered with status 500",
                 "on_error = deny: refuses"),
                (ok(bogus=1), "malformed: .*bogus", "refuses")):
            ep.answers["*"] = answer
            row = self.row(b, "auth_on_publish")
            self.assertRegex(row["verdict"], "^" + verdict)
            self.assertRegex(row["means"], means)
        ep.answers["*"] = ok(topic="else/where", qos=1, throttle=5)
        self.assertEqual(self.row(b, "auth_on_publish")["modifiers"],
                         "topic = else/where; qos = 1; throttle = 5 (no "
                         "effect on this Mosquitto)")
        ep.answers["*"] = kept(60)
        row = self.row(b, "auth_on_publish")
        self.assertEqual((row["kept"], row["cache_control"]),
                         ("for 60 s", "max-age=60"))

    def test_nobody_is_there(self):
        url = self.nobody()
        b = self.broker(endpoint_conf(url, ("auth_on_publish",),
                                      on_error="allow"))
        row = self.row(b, "auth_on_publish")
        self.assertEqual((row["status"], row["reply"]), (None, ""))
        self.assertRegex(row["verdict"], "^no answer: ")
        self.assertEqual(row["means"], "on_error = allow: allows")

    def test_phases(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("on_publish",))
        ep.answers["*"] = Delay(0.2)
        row = self.row(b, "on_publish")
        self.assertGreater(row["connect_ms"], 0)
        self.assertGreater(row["first_byte_ms"], 150)
        self.assertGreaterEqual(row["total_ms"], row["first_byte_ms"])
        self.assertLess(row["queue_ms"], row["first_byte_ms"])

    def test_nothing_changes(self):
        """No counter, no cache, no breaker, no number."""
        ep = self.endpoint()
        b = self.hooked(ep)
        before = b.api("status")[1]
        ep.answers["auth_on_publish"] = kept(60)
        for i in range(3):
            self.row(b, "auth_on_publish", client_id="c1")
            self.row(b, "on_publish", client_id="c1")
        ep.answers["auth_on_register"] = 500, {}, OK
        for i in range(10):
            self.row(b, "auth_on_register")
        self.assertEqual(b.api("status")[1], before)
        self.assertEqual(b.api("cache/show", [("--all", None)])[1]["table"],
                         [])
        self.assertEqual({r.header("webhook-sequence") for r in ep.of()},
                         {None})
        ep.answers.clear()
        ep.forget()
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        self.assertEqual(ep.count("auth_on_publish"), 1)
        told = [ep.wait_for(hook).header("webhook-sequence")
                for hook in ("on_register", "on_client_wakeup")]
        self.assertEqual(sorted(told), ["1", "2"])

    def test_open_and_paused(self):
        """It goes out all the same: to see whether the endpoint is well."""
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register", "auth_on_publish"),
                        {"vmq_webhooks.breaker_failures": 1,
                         "vmq_webhooks.breaker_open": 60000})
        c = self.online(b, "c1")
        ep.answers["auth_on_publish"] = 500, {}, OK
        c.publish("t", "x", 1)
        ep.answers.clear()
        b.api("pause", [("endpoint", ep.url)])
        self.assertEqual(self.row(b, "auth_on_publish")["verdict"], "ok")
        b.api("resume", [("endpoint", ep.url)])
        self.assertEqual(self.row(b, "auth_on_publish")["verdict"], "ok")
        self.assertEqual(b.api("status")[1]["table"][0]["state"], "open")

    def test_the_broker_goes_on(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        stall = ep.answers["auth_on_publish"] = Stall(OK)
        with b.asking("test?hook=auth_on_publish") as pending:
            ep.wait_for("auth_on_publish")
            for i in range(3):
                c.barrier()
            self.assertEqual(stall.held, 1)
            stall.release()
            self.assertEqual(pending()[0], 200)

    def test_it_fails_in_time(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_publish", "on_publish"),
                        {"vmq_webhooks.hook01.response_timeout": 100})
        stall = ep.answers["*"] = Stall(OK)
        row = self.row(b, "on_publish")
        self.assertRegex(row["verdict"],
                         "no answer: timed out: .*within 100 ms")
        began = time.monotonic()
        row = self.row(b, "auth_on_publish")
        self.assertRegex(row["verdict"], "no answer: timed out")
        self.assertLess(time.monotonic() - began, 5 * self.scale)
        stall.release()

    def test_refused(self):
        b = self.broker()
        for query in ([], [("hook", "bogus")], [("hook", "on_publish")],
                      [("hook", "on_publish"), ("endpoint", "http://[")],
                      [("hook", "on_publish"), ("endpoint", "http://h/"),
                       ("password", "x")]):
            status, body = b.api("test", query)
            self.assertEqual(status, 400, query)
            self.assertTrue(body["error"])

    def test_tool(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        said = b.admin("test", "hook=auth_on_register", "username=joe",
                       "password=geheim")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        self.has(said.stdout, "^hook: +auth_on_register\n",
                 r"\nendpoint: +%s\n" % re.escape(ep.url),
                 r'\nrequest: +\{.*"username":"joe","password":"\*\*\*"',
                 r"\nstatus: +200\n", r"\nverdict: +ok\n",
                 r"\nmeans: +allows\n", r"\ntotal_ms: +[\d.]+\n")
        self.assertNotIn("geheim", said.stdout)
        self.assertNotIn("geheim", b.log())
        said = b.admin("test", "hook=auth_on_register", "--format=json")
        self.assertEqual(list(json.loads(said.stdout)["table"][0]), COLUMNS)
        said = b.admin("test", "hook=auth_on_register", "--format=csv")
        self.assertEqual(said.stdout.splitlines()[0], ",".join(COLUMNS))
        said = b.admin("test", "hook=auth_on_register", "qos=1")
        self.assertEqual((said.returncode, said.stdout), (1, ""))
        self.has(said.stderr, 'auth_on_register has no field "qos"')
        self.assertEqual(len(b.lines_with(
            r"admin: tested hook=auth_on_register by uid \d+ pid \d+$")), 3)
