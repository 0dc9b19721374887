"""The circuit breaker: a dead endpoint costs something once, not each time,
and is found again soon after it is back."""

import time

from endpoint import DENY, OK, Closed, Drop, Endpoint, Stall, kept
from host import ALL, AUTH, BrokerTest, endpoint_conf

PUBLISH = ("auth_on_publish", "auth_on_publish_m5")
SUBSCRIBE = ("auth_on_subscribe", "auth_on_subscribe_m5")
REGISTER = ("auth_on_register", "auth_on_register_m5")
TELL = tuple(h for h in ALL if h not in AUTH)
NEVER = 60000                   # no probe in this test
BROKEN = (500, {}, OK)


class Breaker(BrokerTest):

    def stage(self, hooks=PUBLISH, conf=None, url=None, rest=ALL, **options):
        """An endpoint for these hooks, another one for the rest."""
        ep = self.endpoint(name="breaking")
        self.fine = self.endpoint(name="fine")
        settings = endpoint_conf(url or ep.url, hooks, "a", **options)
        settings.update(endpoint_conf(
            self.fine.url, [h for h in rest if h not in hooks], "z"))
        settings.update({"vmq_webhooks." + k: v
                         for k, v in (conf or {}).items()})
        return ep, self.broker(settings)

    def allowed(self, c, topic="t"):
        """Whether an MQTT 5 client may publish that."""
        return c.publish(topic, "x", 1).get("rc", 0) < 0x80

    def until(self, true, timeout=10):
        """Poll; how long it took."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > timeout * self.scale:
                self.fail("never")
            time.sleep(0.005)
        return time.monotonic() - began


class Opens(Breaker):

    def test_after_five_failures(self):
        for answer in (BROKEN, (503, {}, OK), (599, {}, OK), Drop()):
            with self.subTest(answer=answer):
                ep, b = self.stage(conf={"breaker_open": NEVER})
                ep.answers["*"] = answer
                c = self.online(b, "c1", 5)
                for i in range(30):
                    self.assertFalse(self.allowed(c))
                self.assertEqual(ep.count(), 5)
                b.wait_log("auth_on_publish_m5: endpoint .*not asked: its "
                           "circuit breaker is open")
                b.stop()
                self.has(b.log(), "24 more questions not asked",
                         "4 more failures")

    def test_after_as_many_as_set(self):
        ep, b = self.stage(conf={"breaker_open": NEVER,
                                 "breaker_failures": 2})
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        for i in range(10):
            self.assertFalse(self.allowed(c))
        self.assertEqual(ep.count(), 2)

    def test_in_a_row(self):
        """One success in between, and it is none."""
        ep, b = self.stage(conf={"breaker_open": NEVER})
        ep.answers["*"] = lambda r: OK if r["topic"] == "ok" else BROKEN
        c = self.online(b, "c1", 5)
        for i in range(5):
            for j in range(4):
                self.assertFalse(self.allowed(c))
            self.assertTrue(self.allowed(c, "ok"))
        self.assertEqual(ep.count(), 25)

    def test_of_all_hooks_together(self):
        """The breaker is the endpoint's."""
        ep, b = self.stage(PUBLISH + SUBSCRIBE, {"breaker_open": NEVER})
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        for i in range(3):
            self.assertFalse(self.allowed(c))
        for i in range(3):
            self.assertEqual(c.subscribe("t"), [0x87])
        self.assertFalse(self.allowed(c))
        self.assertEqual(ep.count(), 5)

    def test_other_endpoints_do_not_care(self):
        ep, b = self.stage(conf={"breaker_open": NEVER})
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        for i in range(10):
            self.assertFalse(self.allowed(c))
        self.assertEqual(c.subscribe("t"), [0])
        self.online(b, "c2")

    def test_never_by_an_answer(self):
        """Refusals, 4xx, and replies that are wrong."""
        ep, b = self.stage(conf={"breaker_open": NEVER})
        c = self.online(b, "c1", 5)
        n = 0
        for answer in (DENY, (403, {}, OK), (404, {}, OK), (429, {}, OK),
                       (302, {"Location": "/x"}, OK), b"", b"nonsense",
                       {"result": "yes"}, b"x" * (2 << 20)):
            ep.answers["*"] = answer
            for i in range(6):
                self.assertFalse(self.allowed(c))
                n += 1
        self.assertEqual(ep.count(), n)
        self.assertEqual(b.log_count("circuit breaker"), 0)

    def test_refused_connections(self):
        closed = self.nobody()
        ep, b = self.stage(url=closed, conf={"breaker_open": NEVER,
                                             "breaker_failures": 3})
        c = self.online(b, "c1", 5)
        for i in range(10):
            self.assertFalse(self.allowed(c))
        b.stop()
        self.has(b.log(), "2 more failures", "6 more questions not asked")


class Silent(Breaker):
    """Nobody waits for it a second time."""

    def test_holds_once(self):
        """With a client that pings as the witness."""
        ep, b = self.stage(conf={"blocking_timeout": self.ms(400)})
        ep.answers["*"] = Stall()
        c = self.online(b, "c1", 5)
        probe = self.probe(b)
        until = time.monotonic() + 1.8
        while time.monotonic() < until:
            self.assertFalse(self.allowed(c))
            time.sleep(0.01)
        probe.stop()
        long = [w for _, w in probe.waits if w > 0.3]
        self.assertEqual(len(long), 1)
        b.stop()
        self.assertEqual(b.log_count("endpoint %s: the broker stood still" %
                                     ep.url), 1)
        self.assertEqual(b.log_count("%s: .*more calls that held" % ep.url),
                         0)

    def test_one_timeout_is_enough(self):
        for limits in ({"blocking_timeout": self.ms(150)},
                       {"blocking_budget": 150}):
            ep, b = self.stage(conf=dict(limits, breaker_open=NEVER))
            ep.answers["*"] = Stall()
            c = self.online(b, "c1", 5)
            for i in range(5):
                self.assertFalse(self.allowed(c))
            self.assertEqual(ep.count(), 1)

    def test_response_timeout_as_well(self):
        ep, b = self.stage(conf={"breaker_open": NEVER},
                           response_timeout=self.ms(150))
        ep.answers["*"] = Stall()
        c = self.online(b, "c1", 5)
        for i in range(5):
            self.assertFalse(self.allowed(c))
        self.assertEqual(ep.count(), 1)

    def test_only_for_calls_that_hold(self):
        """Notifications, and on 2.1 logins, go on."""
        ep, b = self.stage(ALL, {"blocking_timeout": self.ms(200),
                                 "breaker_open": NEVER})
        for hook in PUBLISH:
            ep.answers[hook] = Stall()
        c = self.online(b, "c1", 5)
        ep.wait_for("on_register_m5")
        for i in range(3):
            self.assertFalse(self.allowed(c))
        self.assertEqual(ep.count("auth_on_publish_m5"), 1)
        if self.v21:
            for i in range(3):
                self.online(b, "d%d" % i)
                ep.wait_for("on_register", client_id="d%d" % i)
        else:
            self.client(b, "d").connect("u", "p", rc=5)
        c.unsubscribe("t")
        ep.wait_for("on_unsubscribe_m5")
        c.disconnect()
        ep.wait_for("on_client_gone", client_id="c1")

    def test_late_answer_is_kept(self):
        ep, b = self.stage(conf={"blocking_timeout": self.ms(200),
                                 "breaker_open": NEVER})
        stall = ep.answers["*"] = Stall(kept(60))
        c = self.online(b, "c1", 5)
        self.assertFalse(self.allowed(c))
        time.sleep(0.1)     # late enough not to close the breaker
        stall.release()
        self.until(lambda: self.allowed(c))
        self.assertEqual(ep.count(), 1)
        self.assertFalse(self.allowed(c, "other"))
        self.assertEqual(ep.count(), 1)

    def test_probes_answer_is_kept(self):
        """A question of which nobody heard the answer, and yet."""
        ep, b = self.stage(conf={"blocking_timeout": self.ms(200),
                                 "breaker_open": 100})
        ep.answers["*"] = [Stall(), kept(60)]
        c = self.online(b, "c1", 5)
        self.assertFalse(self.allowed(c))
        self.until(lambda: self.allowed(c))
        self.assertEqual(ep.count(), 2)
        for i in range(5):
            self.assertTrue(self.allowed(c))
        self.assertEqual(ep.count(), 2)

    def test_slow_answers_do_not_close_it(self):
        """It is alive, but nobody can wait for that."""
        ep, b = self.stage(conf={"blocking_timeout": self.ms(150),
                                 "breaker_open": 50})
        seconds = [0.4 * self.scale]

        def slow(r):
            time.sleep(seconds[0])
            return OK
        ep.answers["*"] = slow
        c = self.online(b, "c1", 5)
        until = time.monotonic() + 1.2 * self.scale
        while time.monotonic() < until:
            self.assertFalse(self.allowed(c))
            time.sleep(0.005)
        self.assertGreater(ep.count(), 1)
        seconds[0] = 0
        self.until(lambda: self.allowed(c))
        self.assertEqual(b.log_count("endpoint %s: no answer within" %
                                     ep.url), 1)


class Open(Breaker):
    """While it is open on_error answers at once."""

    def stage_open(self, hooks, on_error, **kw):
        ep, b = self.stage(hooks, {"breaker_open": NEVER,
                                   "breaker_failures": 1},
                           on_error=on_error, **kw)
        ep.answers["*"] = BROKEN
        return ep, b

    def each(self, hooks, do):
        for on_error, fine in (("deny", False), ("next", False),
                               ("allow", True)):
            with self.subTest(on_error=on_error):
                ep, b = self.stage_open(hooks, on_error)
                for i in range(5):
                    do(b, i, fine)
                self.assertEqual(ep.count(), 1)

    def test_publish(self):
        self.each(PUBLISH, lambda b, i, fine: self.assertEqual(
            self.allowed(self.online(b, "c%d" % i, 5)), fine))

    def test_subscribe(self):
        self.each(SUBSCRIBE, lambda b, i, fine: self.assertEqual(
            self.online(b, "c%d" % i).subscribe(("t", 1)),
            [1 if fine else 0x80]))

    def test_login(self):
        self.each(REGISTER, lambda b, i, fine: self.client(
            b, "c%d" % i).connect("u", "p", rc=0 if fine else 5))

    def test_next_endpoint(self):
        """`next` is next, and the chain's second one is asked."""
        second = self.endpoint(name="second")
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, AUTH, "a", on_error="next")
        conf.update(endpoint_conf(second.url, ALL, "b"))
        conf.update({"vmq_webhooks.breaker_open": NEVER,
                     "vmq_webhooks.breaker_failures": 1})
        b = self.broker(conf)
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        for i in range(5):
            self.assertTrue(self.allowed(c))
        self.assertEqual(second.count("auth_on_publish_m5"), 5)
        second.answers["auth_on_publish_m5"] = DENY
        self.assertFalse(self.allowed(c))
        self.assertEqual(ep.count(), 1)

    def test_logins_that_wait_for_a_connection(self):
        """2.1: those in the queue when it opens need not wait longer."""
        if self.v20:
            return
        ep, b = self.stage_open(REGISTER, "deny")
        ep.answers["*"] = stall = Stall(BROKEN)
        clients = [self.client(b, "c%d" % i).open() for i in range(150)]
        for c in clients:
            c.send_connect("u", "p")
        ep.wait_for("auth_on_register", 98)
        stall.release()
        for c in clients:
            self.assertEqual(c.wait("CONNACK")["rc"], 5)
        self.assertLess(ep.count(), 150)


class Probes(Breaker):

    def test_now_and_then(self):
        """From 2 to 3.2 tenths of a second here, one at a time."""
        ep, b = self.stage(conf={"breaker_open": 200, "breaker_failures": 2})
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            self.assertFalse(self.allowed(c))
            time.sleep(0.005)
        times = [r.time for r in ep.requests[1:]]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertGreaterEqual(len(gaps), 6 if self.scale == 1 else 1)
        self.assertGreater(min(gaps), 0.19)
        self.assertLess(sorted(gaps)[len(gaps) // 2], 0.45 * self.scale)
        # by chance, so that brokers do not probe in step
        self.assertGreater(max(gaps) - min(gaps), 0.002)

    def test_for_the_silent(self):
        """It is not to drown in probes: they have a quarter of the
        connections."""
        ep, b = self.stage(conf={"breaker_open": 50,
                                 "pool_max_connections": 8,
                                 "blocking_timeout": self.ms(100)})
        stall = ep.answers["*"] = Stall()
        c = self.online(b, "c1", 5)
        until = time.monotonic() + 1
        most = 0
        while time.monotonic() < until:
            self.assertFalse(self.allowed(c))
            most = max(most, stall.held)
            time.sleep(0.005)
        self.assertLessEqual(most, 3)       # with the call given up

    def test_leave_room(self):
        """Probes that hang are not in the way of what goes on."""
        ep, b = self.stage(PUBLISH + TELL,
                           {"breaker_open": 20, "pool_max_connections": 4,
                            "blocking_timeout": self.ms(100)})
        for hook in PUBLISH:
            ep.answers[hook] = Stall()
        c = self.online(b, "c1", 5)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            self.assertFalse(self.allowed(c))
            time.sleep(0.005)
        c.subscribe("t")
        ep.wait_for("on_subscribe_m5", timeout=2)

    def test_none_without_questions(self):
        """Only real questions are put to it."""
        ep, b = self.stage(conf={"breaker_open": 50, "breaker_failures": 1})
        ep.answers["*"] = BROKEN
        c = self.online(b, "c1", 5)
        self.assertFalse(self.allowed(c))
        time.sleep(0.3)
        self.assertEqual(ep.count(), 1)
        ep.answers["*"] = OK
        self.assertFalse(self.allowed(c, "probe"))
        ep.wait_for("auth_on_publish_m5", topic="probe")
        self.until(lambda: self.allowed(c))


class Recovery(Breaker):
    """With the default pace, within a second after it is back."""

    LIMIT = 1.0

    def soon(self, took):
        self.assertLess(took, (self.LIMIT + 0.5) * self.scale)

    def down(self, hooks, conf=None, **options):
        """A broker whose endpoint of these hooks is not there."""
        closed = Closed()
        back = Endpoint(port=closed.port, name="back")
        self.addCleanup(back.stop)
        self.addCleanup(closed.stop)
        ep, b = self.stage(hooks, dict({"breaker_failures": 1},
                                       **(conf or {})), back.url, **options)

        def up():
            closed.stop()
            return back.start()
        return b, up

    def test_publish(self):
        b, up = self.down(PUBLISH)
        c = self.online(b, "c1", 5)
        for i in range(10):
            self.assertFalse(self.allowed(c))
        up()
        self.soon(self.until(lambda: self.allowed(c)))
        for i in range(5):
            self.assertTrue(self.allowed(c))

    def test_publish_after_silence(self):
        ep, b = self.stage(conf={"blocking_timeout": self.ms(200)})
        ep.answers["*"] = Stall()
        c = self.online(b, "c1", 5)
        for i in range(3):
            self.assertFalse(self.allowed(c))
        ep.answers["*"] = OK
        self.soon(self.until(lambda: self.allowed(c)))
        for i in range(5):
            self.assertTrue(self.allowed(c))

    def test_login(self):
        """On 2.1 the login that comes in time is the probe, and admitted."""
        b, up = self.down(REGISTER)

        def login():
            c = self.client(b, "c1")
            rc = c.connect("u", "p", rc=None)["rc"]
            c.close()
            return rc == 0
        for i in range(5):
            self.assertFalse(login())
        back = up()
        self.soon(self.until(login))
        for i in range(5):
            self.assertTrue(login())
        self.assertEqual(back.count(), 6 if self.v21 else 7)

    def test_notifications_wait(self):
        """None is lost, each client's arrive in their order."""
        b, up = self.down(TELL)
        cs = [self.online(b, "c%d" % i, 4 + i % 2) for i in range(4)]
        for i in range(20):
            for c in cs:
                c.publish("t/%d" % i, "x", 1)
        back = up()
        began = time.monotonic()
        back.wait_until(lambda: back.requests, "a request")
        self.soon(time.monotonic() - began)
        for c in cs:
            back.wait_for(self.hook("on_publish", c.version), 20,
                          client_id=c.client_id)
        self.assertLess(time.monotonic() - began, 4 * self.scale)
        for c in cs:
            told = back.of(client_id=c.client_id)
            self.assertEqual([r.hook for r in told[:2]],
                             ["on_client_wakeup",
                              self.hook("on_register", c.version)])
            self.assertEqual([r["topic"] for r in told[2:]],
                             ["t/%d" % i for i in range(20)])
            self.assertEqual([r.header("webhook-sequence") for r in told],
                             [str(i) for i in range(1, 23)])
        b.stop()
        self.assertEqual(b.log_count("notifications? (lost|dropped|were)"),
                         0)

    def test_notifications_wait_for_the_500(self):
        """What it answered 500 to is lost, for it may have been processed;
        what waited is not."""
        ep, b = self.stage(TELL, {"breaker_failures": 1})
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        ep.answers["*"] = BROKEN
        for i in range(10):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish")
        ep.answers.clear()
        ep.wait_for("on_publish", topic="t/9")
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/%d" % i for i in range(10)])

    def test_one_is_closed_for_both(self):
        """Notifications that arrive close it for questions, too."""
        b, up = self.down(PUBLISH + TELL)
        c = self.online(b, "c1", 5)
        for i in range(5):
            self.assertFalse(self.allowed(c))
        back = up()
        back.wait_for("on_register_m5")
        self.until(lambda: self.allowed(c), 1)

    def test_again_and_again(self):
        ep, b = self.stage(conf={"breaker_open": 50, "breaker_failures": 1})
        c = self.online(b, "c1", 5)
        for i in range(5):
            ep.answers["*"] = BROKEN
            self.assertFalse(self.allowed(c))
            self.assertFalse(self.allowed(c))
            ep.answers["*"] = OK
            self.until(lambda: self.allowed(c))
