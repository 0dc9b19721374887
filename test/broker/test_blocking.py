"""What a call can cost all others while the broker stands still for it:
bounded for one callback, in any second, and at shutdown."""

import re
import signal
import threading
import time

from endpoint import NEXT, OK, Delay, Stall
from host import ALL, BOUNDED, BrokerTest, endpoint_conf

PUBLISH = ("auth_on_publish", "auth_on_publish_m5")
SUBSCRIBE = ("auth_on_subscribe", "auth_on_subscribe_m5")
REGISTER = ("auth_on_register", "auth_on_register_m5")


class Blocking(BrokerTest):

    def stage(self, hooks, timeout=None, budget=None, conf=None, **options):
        """One endpoint for these hooks, another for the rest."""
        slow, fine = self.endpoint(name="slow"), self.endpoint(name="fine")
        settings = endpoint_conf(slow.url, hooks, "a", **options)
        settings.update(endpoint_conf(
            fine.url, [h for h in ALL if h not in hooks], "z"))
        if timeout:
            settings["vmq_webhooks.blocking_timeout"] = timeout
        if budget:
            settings["vmq_webhooks.blocking_budget"] = budget
        settings.update(conf or {})
        return slow, fine, self.broker(settings)

    def held(self, broker, endpoint):
        """The log's lines of standing still for it, in milliseconds."""
        return [int(n) for n in re.findall(
            r"endpoint %s: the broker stood still for (\d+) ms" %
            re.escape(endpoint.url), broker.log())]

    def allowed(self, ack):
        return ack.get("rc", 0) < 0x80


class Timeout(Blocking):
    """blocking_timeout: a silent endpoint and one callback."""

    MS = 300

    def bounded(self, hooks, do, **options):
        """For each on_error: do(broker, fine) with a silent endpoint, while
        somebody else pings."""
        for on_error in ("deny", "next", "allow"):
            with self.subTest(on_error=on_error):
                slow, fine, b = self.stage(hooks, self.ms(self.MS),
                                           on_error=on_error, **options)
                other = self.online(b, "other")
                n = slow.count()
                slow.answers["*"] = Stall()
                began = time.monotonic()
                wait = do(b, slow, on_error == "allow")
                other.barrier()
                wait()
                took = time.monotonic() - began
                self.assertGreater(took, 0.9 * self.MS / 1000)
                self.assertLess(took, (self.MS / 1000 + 1.2) * self.scale)
                self.assertEqual(slow.count(), n + 1)
                self.assertLess(max(self.held(b, slow)),
                                (self.MS + 500) * self.scale)
                b.wait_log(r"no answer within \d+ ms.*blocking_timeout")

    def test_publish(self):
        def do(b, slow, allowed):
            c = self.online(b, "c1", 5)
            mid = c.send_publish("t", "x", 1)
            slow.wait_for("auth_on_publish_m5")

            def wait():
                ack = c.wait("PUBACK", mid=mid)
                self.assertEqual(self.allowed(ack), allowed)
            return wait
        self.bounded(PUBLISH, do)

    def test_subscribe(self):
        def do(b, slow, allowed):
            c = self.online(b, "c1")
            mid = c.send_subscribe(("t", 1))
            slow.wait_for("auth_on_subscribe")

            def wait():
                self.assertEqual(c.wait("SUBACK", mid=mid)["rcs"],
                                 [1 if allowed else 0x80])
            return wait
        self.bounded(SUBSCRIBE, do)

    def test_login(self):
        """On 2.1 with blocking = on; else see the next."""
        def do(b, slow, allowed):
            c = self.client(b, "c1").open()
            c.send_connect("u", "p")
            slow.wait_for("auth_on_register", client_id="c1")

            def wait():
                self.assertEqual(c.wait("CONNACK")["rc"],
                                 0 if allowed else 5)
            return wait
        self.bounded(REGISTER, do, **({"blocking": "on"} if self.v21
                                      else {}))

    def test_delayed_logins_are_not_bounded(self):
        """Nobody stands still for them."""
        if self.v20:
            return
        slow, fine, b = self.stage(REGISTER, self.ms(100))
        other = self.online(b, "other")
        stall = slow.answers["auth_on_register"] = Stall()
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        slow.wait_for("auth_on_register", 2)
        with self.assertRaises(AssertionError):
            c.wait("CONNACK", timeout=0.3)
        other.barrier()
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        self.assertEqual(self.held(b, slow), [])

    def test_within(self):
        slow, fine, b = self.stage(PUBLISH, self.ms(2000))
        slow.answers["*"] = Delay(0.15)
        c = self.online(b, "c1", 5)
        self.assertTrue(self.allowed(c.publish("t", "x", 1)))

    def test_response_timeout_may_be_shorter(self):
        slow, fine, b = self.stage(PUBLISH, self.ms(5000),
                                   response_timeout=self.ms(150))
        slow.answers["*"] = Stall()
        c = self.online(b, "c1", 5)
        began = time.monotonic()
        self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
        self.assertLess(time.monotonic() - began, 2 * self.scale)
        b.wait_log(r"within %d ms" % self.ms(150))

    def test_a_chain_is_one_callback(self):
        """What the first endpoint took is no longer there for the second."""
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, PUBLISH, "b"))
        conf["vmq_webhooks.blocking_timeout"] = self.ms(3000)
        b = self.broker(conf)
        first.answers["auth_on_publish_m5"] = Delay(1.5 * self.scale, NEXT)
        second.answers["auth_on_publish_m5"] = Stall()
        c = self.online(b, "c1", 5)
        began = time.monotonic()
        self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
        took = time.monotonic() - began
        self.assertGreater(took, 2.9)
        self.assertEqual((first.count("auth_on_publish_m5"),
                          second.count("auth_on_publish_m5")), (1, 1))
        left = re.search(r"no answer within (\d+) ms", b.log())
        self.assertLessEqual(int(left.group(1)), self.ms(1510))

    def test_a_chain_that_used_up_its_time(self):
        """The second endpoint is not even asked."""
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, PUBLISH, "a", on_error="next")
        conf.update(endpoint_conf(second.url, ALL, "b"))
        conf["vmq_webhooks.blocking_timeout"] = self.ms(200)
        b = self.broker(conf)
        first.answers["auth_on_publish_m5"] = Stall()
        c = self.online(b, "c1", 5)
        self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
        self.assertEqual(second.count("auth_on_publish_m5"), 0)
        b.wait_log(r"not asked: the broker has stood still")
        # the next callback has time of its own
        self.assertTrue(self.allowed(c.publish("t", "x", 1)))
        self.assertEqual(second.count("auth_on_publish_m5"), 1)


class Budget(Blocking):
    """blocking_budget: many callbacks, and any second."""

    SLACK = 0.3

    def worst(self, probe):
        probe.stop()
        self.assertGreater(len(probe.waits), 10)
        self.assertLess(probe.worst_second(),
                        (0.5 + self.SLACK) * self.scale)
        return probe

    def test_a_thousand_filters(self):
        slow, fine, b = self.stage(SUBSCRIBE, conf=BOUNDED)
        slow.answers["*"] = Delay(0.05)
        c, other = self.online(b, "c1"), self.online(b, "other")
        began = time.monotonic()
        mid = c.send_subscribe(*["t/%d" % i for i in range(1000)])
        slow.wait_for("auth_on_subscribe")
        other.barrier()
        codes = c.wait("SUBACK", mid=mid)["rcs"]
        took = time.monotonic() - began
        self.assertLess(took, 2 * self.scale)
        granted = codes.index(0x80)
        self.assertGreater(granted, 0)
        self.assertLessEqual(granted, 10)
        # one at the edge may be asked and refused
        self.assertEqual(codes, [0] * granted + [0x80] * (1000 - granted))
        self.assertLessEqual(slow.count("auth_on_subscribe"), granted + 1)
        b.wait_log("auth_on_subscribe: endpoint .*not asked")
        # a second later there is room again
        time.sleep(1.1)
        self.assertEqual(c.subscribe("t"), [0])
        b.stop()
        self.assertRegex(b.log(), r"auth_on_subscribe: endpoint \S+: "
                                  r"\d+ more questions not asked")

    def test_always_too_slow(self):
        """900 ms each time, and nothing set: it holds the broker once."""
        slow, fine, b = self.stage(PUBLISH, conf=BOUNDED)
        slow.answers["*"] = Delay(0.9)
        c = self.online(b, "c1", 5)
        probe = self.probe(b)
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            c.publish("t", "x", 1)
            time.sleep(0.01)
        self.worst(probe)
        self.assertEqual(len(self.held(b, slow)), 1)
        self.assertEqual(b.log_count("more calls that held"), 0)
        self.assertGreater(slow.count("auth_on_publish_m5"), 1)    # probes

    def test_many_short_calls(self):
        slow, fine, b = self.stage(PUBLISH, conf=BOUNDED)
        slow.answers["*"] = Delay(0.03)
        clients = [self.online(b, "c%d" % i, 5) for i in range(4)]
        probe = self.probe(b)
        until = time.monotonic() + 2.5
        acks = []

        def publish(c):
            while time.monotonic() < until:
                acks.append(self.allowed(c.publish("t", "x", 1)))
                time.sleep(0.01)

        threads = [threading.Thread(target=publish, args=(c,))
                   for c in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.worst(probe)
        # the budget is used, more than once, and no more than that
        self.assertGreater(acks.count(True), 20 if self.scale == 1 else 1)
        self.assertGreater(acks.count(False), 20 if self.scale == 1 else 1)
        b.wait_log("auth_on_publish_m5: endpoint .*not asked: ")

    def test_no_bound(self):
        """1000 of 1000 ms: only blocking_timeout is left."""
        slow, fine, b = self.stage(SUBSCRIBE, timeout=1000, budget=1000)
        slow.answers["*"] = Delay(0.05)
        c = self.online(b, "c1")
        codes = c.subscribe(*["t/%d" % i for i in range(30)])
        self.assertEqual(codes, [0] * 30)

    def test_small_budget(self):
        slow, fine, b = self.stage(SUBSCRIBE, budget=100)
        slow.answers["*"] = Delay(0.04)
        c = self.online(b, "c1")
        codes = c.subscribe(*["t/%d" % i for i in range(30)])
        self.assertLessEqual(codes.count(0), 2)

    def test_cached_answers_cost_nothing(self):
        """Out of budget, what is known is still known."""
        slow, fine, b = self.stage(PUBLISH, budget=100)
        slow.answers["*"] = 200, {"Cache-Control": "max-age=60"}, OK
        c = self.online(b, "c1", 5)
        self.assertTrue(self.allowed(c.publish("known", "x", 1)))
        slow.answers["*"] = Delay(0.2 * self.scale)
        self.assertEqual(c.publish("other", "x", 1)["rc"], 0x87)
        self.assertEqual(c.publish("another", "x", 1)["rc"], 0x87)
        self.assertTrue(self.allowed(c.publish("known", "x", 1)))
        self.assertEqual(slow.count(topic="known"), 1)
        self.assertEqual(slow.count(topic="another"), 0)


class Report(Blocking):
    """The log tells of whom the broker stood still for."""

    def test_warning(self):
        slow, fine, b = self.stage(PUBLISH)
        slow.answers["*"] = Delay(0.15)
        c = self.online(b, "c1", 5)
        c.publish("t", "x", 1)
        line = b.wait_log("stood still")
        self.assertRegex(line, r"auth_on_publish_m5: endpoint %s: the broker "
                               r"stood still for \d+ ms" % slow.url)
        self.assertGreaterEqual(self.held(b, slow)[0], 149)
        self.assertLess(self.held(b, slow)[0], 1000 * self.scale)

    def test_summed_up(self):
        slow, fine, b = self.stage(PUBLISH)
        slow.answers["*"] = Delay(0.12)
        c = self.online(b, "c1", 5)
        for i in range(4):
            c.publish("t", "x", 1)
        c.disconnect()
        self.assertEqual(len(self.held(b, slow)), 1)
        b.stop()
        self.assertRegex(
            b.log(), r"auth_on_publish_m5: endpoint %s: 3 more calls that "
            r"held the broker within \d+ s, the last: the broker stood still "
            r"for \d+ ms" % slow.url)

    def test_not_of_the_quick(self):
        slow, fine, b = self.stage(PUBLISH)
        slow.answers["*"] = Delay(0.02)
        c = self.online(b, "c1", 5)
        longest = 0
        for i in range(5):
            began = time.monotonic()
            c.publish("t", "x", 1)
            longest = max(longest, time.monotonic() - began)
        b.stop()
        if longest < 0.1:
            self.assertEqual(self.held(b, slow), [])


class Shutdown(Blocking):
    """Wills are asked about in its course, 2 s in all."""

    N = 30

    def wills(self, delay_or_stall, timeout=20000):
        slow, fine, b = self.stage(
            PUBLISH, timeout, conf={"vmq_webhooks.drain_timeout": 0})
        slow.answers["*"] = delay_or_stall
        sub = self.subscriber(b, "w/#")
        for i in range(self.N):
            self.online(b, "c%d" % i, 4 + i % 2,
                        will={"topic": "w/%d" % i, "payload": "x"})
        began = time.monotonic()
        b.stop()
        return slow, sub, b, time.monotonic() - began

    def told(self, sub):
        return {p["topic"] for p in sub.expect_closed()
                if p["type"] == "PUBLISH"}

    def test_all_wills(self):
        slow, sub, b, took = self.wills(Delay(0.05))
        if self.scale == 1:
            self.assertEqual(self.told(sub),
                             {"w/%d" % i for i in range(self.N)})
            self.assertEqual(slow.count(), self.N)
        self.assertGreater(took, 1)

    def test_two_seconds_in_all(self):
        """A second's budget does not count, the sum does."""
        slow, sub, b, took = self.wills(Delay(0.2))
        self.assertLess(took, 4 * self.scale)
        self.assertLessEqual(slow.count(), 10)
        self.assertLessEqual(len(self.told(sub)), 10)
        self.assertGreater(len(self.told(sub)) if sub.sock else
                           slow.count(), 1)

    def test_silent(self):
        slow, sub, b, took = self.wills(Stall())
        self.assertEqual(self.told(sub), set())
        self.assertGreater(took, 1.9)
        self.assertLess(took, 4 * self.scale)
        self.assertEqual(slow.count(), 1)

    def test_silent_and_one_callback_is_bounded(self):
        slow, sub, b, took = self.wills(Stall(), self.ms(300))
        self.assertEqual(self.told(sub), set())
        self.assertLess(took, 2 * self.scale)

    def test_signals_end_the_broker(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            slow, fine, b = self.stage(PUBLISH)
            c = self.online(b, "c1")
            c.publish("t", "x", 1)
            b.signal(number)
            self.assertEqual(b.process.wait(10 * self.scale), 0)
            b.stop()

    def test_signals_while_it_stands_still(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            slow, fine, b = self.stage(PUBLISH, self.ms(500))
            slow.answers["*"] = Stall()
            c = self.online(b, "c1")
            c.send_publish("t", "x", 1)
            slow.wait_for("auth_on_publish")
            began = time.monotonic()
            b.signal(number)
            self.assertEqual(b.process.wait(10 * self.scale), 0)
            self.assertLess(time.monotonic() - began, 2.5 * self.scale)
            b.stop()

    def test_other_signals_are_the_brokers(self):
        """SIGHUP and SIGUSR1 end nothing and are no shutdown."""
        slow, fine, b = self.stage(PUBLISH)
        c = self.online(b, "c1", 5)
        b.reload()
        b.signal(signal.SIGUSR1)
        slow.answers["*"] = Delay(0.05)
        for i in range(5):
            self.assertTrue(self.allowed(c.publish("t", "x", 1)))
