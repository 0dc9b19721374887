"""What waits for a stalled endpoint is bounded by number, bytes and age; what
does not fit is counted; and who waits is in nobody else's way."""

import re
import time

from endpoint import Stall
from host import ALL, AUTH, BrokerTest, endpoint_conf

REGISTER = ("auth_on_register", "auth_on_register_m5")
TELL = tuple(h for h in ALL if h not in AUTH)


class Queue(BrokerTest):

    def stage(self, hooks=TELL, conf=None, **options):
        """An endpoint for these hooks, another one for the rest."""
        ep = self.endpoint(name="queued")
        fine = self.fine = self.endpoint(name="fine")
        settings = endpoint_conf(ep.url, hooks, "a", **options)
        settings.update(endpoint_conf(
            fine.url, [h for h in ALL if h not in hooks], "z"))
        settings.update({"vmq_webhooks." + k: v
                         for k, v in (conf or {}).items()})
        return ep, self.broker(settings)

    def stalled(self, ep, b, client_id="c1", greeted=None):
        """A client whose first event is under way and stays so; `greeted` is
        told of its login, if not the same endpoint."""
        c = self.online(b, client_id)
        (greeted or ep).wait_for("on_register", client_id=client_id)
        stall = ep.answers["on_publish"] = Stall()
        c.publish("t/0", "x", 1)
        ep.wait_for("on_publish", client_id=client_id)
        return c, stall

    def handed_over(self, b):
        """The dispatcher has had all that happened so far: also what was told
        elsewhere of a later client."""
        self.online(b, "later")
        self.fine.wait_for("on_register", client_id="later")

    def total(self, b, first, more):
        """What the log counts, said once and summed up."""
        b.stop()
        once = len(re.findall(r"endpoint \S+: " + first, b.log()))
        return once + sum(int(n) for n in re.findall(
            r"(\d+) more %s within" % more, b.log()))

    def numbers(self, requests):
        return [int(r.header("webhook-sequence")) for r in requests]


class Full(Queue):

    def test_newest_are_dropped(self):
        """One under way, ten wait, nineteen are dropped; and the endpoint
        can tell."""
        ep, b = self.stage(("on_publish",), {"max_queue": 10})
        c, stall = self.stalled(ep, b, greeted=self.fine)
        for i in range(1, 30):
            c.publish("t/%d" % i, "x", 1)
        self.handed_over(b)
        stall.release()
        ep.wait_for("on_publish", topic="t/10")
        c.publish("after", "x", 1)
        ep.wait_for("on_publish", topic="after")
        told = ep.of("on_publish")
        self.assertEqual([r["topic"] for r in told],
                         ["t/%d" % i for i in range(11)] + ["after"])
        self.assertEqual(self.numbers(told), list(range(1, 12)) + [31])
        line = b.wait_log("notification dropped")
        self.assertRegex(line, r"on_publish: endpoint %s: notification "
                               r"dropped: the queue is full" % ep.url)
        self.assertEqual(self.total(b, "notification dropped",
                                    "notifications lost"), 19)

    def test_counted_per_webhook(self):
        ep, b = self.stage(conf={"max_queue": 5})
        c, stall = self.stalled(ep, b)
        for i in range(5):
            c.publish("t", "x", 1)
        for i in range(3):
            c.publish("t", "x", 1)
        for i in range(4):
            c.subscribe("t/%d" % i)
            c.unsubscribe("t/%d" % i)
        # another's event: what was gathered of this one is told by then
        self.online(b, "other")
        stall.release()
        ep.wait_for("on_publish", 6)
        b.stop()
        for hook, n in (("on_publish", 2), ("on_subscribe", 3),
                        ("on_unsubscribe", 3)):
            self.assertRegex(b.log(), r" %s: endpoint %s: %d more "
                             "notifications lost" % (hook, ep.url, n))

    def test_other_endpoints_are_told(self):
        """Each has a queue of its own."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(other.url, TELL, "b"))
        conf["vmq_webhooks.max_queue"] = 2
        b = self.broker(conf)
        c, stall = self.stalled(ep, b)
        # the login's own events fill this queue as well, for a moment
        other.wait_for("on_publish", topic="t/0")
        for i in range(1, 8):
            c.publish("t/%d" % i, "x", 1)
            other.wait_for("on_publish", i + 1)
        self.assertEqual(self.numbers(other.of("on_publish")),
                         list(range(3, 11)))
        stall.release()

    def test_bytes(self):
        """So many bodies of known length, and no more."""
        limit = 40000
        ep, b = self.stage(("on_publish",), {"max_queue_bytes": limit})
        c, stall = self.stalled(ep, b, greeted=self.fine)
        payload = "x" * 6000
        for i in range(20):
            c.publish("big/%02d" % i, payload, 1)
        self.handed_over(b)
        stall.release()
        first = ep.wait_for("on_publish", topic="big/00")
        fit = limit // len(first.raw)
        self.assertGreater(fit, 2)
        ep.wait_for("on_publish", topic="big/%02d" % (fit - 1))
        c.publish("after", "x", 1)
        ep.wait_for("on_publish", topic="after")
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/0"] + ["big/%02d" % i for i in range(fit)] +
                         ["after"])
        self.assertEqual(self.total(b, "notification dropped",
                                    "notifications lost"), 20 - fit)

    def test_one_that_may_go_at_once_always_may(self):
        """No queue at all: whoever need not wait is told."""
        ep, b = self.stage(conf={"max_queue": 1, "max_queue_bytes": 1})
        c = self.online(b, "c1")
        ep.wait_for("on_client_wakeup")
        stall = ep.answers["on_publish"] = Stall()
        other = self.online(b, "c2")
        ep.wait_for("on_client_wakeup", client_id="c2")
        for one in (c, other):
            one.publish("t", "x" * 1000, 1)
            ep.wait_for("on_publish", client_id=one.client_id)
        stall.release()

    def test_logins_beyond(self):
        """2.1: one is under way, two wait, on_error has the rest."""
        if self.v20:
            return
        for on_error, rc in (("deny", 5), ("next", 5), ("allow", 0)):
            with self.subTest(on_error=on_error):
                ep, b = self.stage(REGISTER, {"pool_max_connections": 1,
                                              "max_queue": 2},
                                   on_error=on_error)
                stall = ep.answers["auth_on_register"] = Stall()
                waiting = []
                for i in range(3):
                    c = self.client(b, "c%d" % i).open()
                    c.send_connect("u", "p")
                    waiting.append(c)
                    ep.wait_for("auth_on_register")
                    self.reached(b, "c%d" % i)
                for i in range(3, 8):
                    self.client(b, "c%d" % i).connect("u", "p", rc=rc)
                self.assertEqual(ep.count(), 1)
                stall.release()
                for c in waiting:
                    self.assertEqual(c.wait("CONNACK")["rc"], 0)
                self.online(b, "after")
                b.stop()
                self.has(b.log(), "auth_on_register: endpoint %s: .*queue is "
                                  "full" % re.escape(ep.url))

    def reached(self, b, client_id):
        """Its CONNECT was handled: whoever takes its id is turned away."""
        c = self.client(b, client_id).open()
        c.send_connect("u", "p")
        c.expect_closed()

    def test_nothing_is_lost_within(self):
        ep, b = self.stage()
        c, stall = self.stalled(ep, b)
        for i in range(1, 400):
            c.publish("t/%d" % i, "x", 0)
        c.publish("t/400", "x", 1)
        stall.release()
        ep.wait_for("on_publish", 401, timeout=15)
        self.assertEqual(self.numbers(ep.of("on_publish")),
                         list(range(3, 404)))
        self.assertEqual(b.log_count("notification.* (lost|dropped)"), 0)


class Age(Queue):

    def test_old_ones_are_dropped(self):
        ep, b = self.stage(conf={"max_event_age": self.ms(300)})
        c, stall = self.stalled(ep, b)
        for i in range(5):
            c.publish("old/%d" % i, "x", 1)
        b.wait_log(r"on_publish: endpoint .*: too old: could not be sent "
                   r"within %d ms" % self.ms(300))
        c.barrier()
        c.publish("new", "x", 1)
        stall.release()
        ep.wait_for("on_publish", topic="new")
        told = ep.of("on_publish")
        self.assertEqual([r["topic"] for r in told][0], "t/0")
        self.assertEqual(self.numbers(told)[0], 3)
        self.assertEqual(self.numbers(told)[-1], 9)
        self.assertEqual(self.total(b, "too old", "notifications lost"),
                         9 - 3 + 1 - len(told))

    def test_per_webhook(self):
        """One webhook's events age sooner than the other's."""
        ep = self.endpoint()
        fine = self.endpoint()
        conf = endpoint_conf(ep.url, ("on_publish",), "a",
                             max_event_age=self.ms(200))
        conf.update(endpoint_conf(ep.url, [h for h in TELL
                                           if h != "on_publish"], "b"))
        conf.update(endpoint_conf(fine.url, AUTH, "z"))
        b = self.broker(conf)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        stall = ep.answers["on_subscribe"] = Stall()
        c.subscribe("t")
        ep.wait_for("on_subscribe")
        c.publish("t", "x", 1)
        c.unsubscribe("t")
        b.wait_log("on_publish: endpoint .*: too old")
        stall.release()
        ep.wait_for("on_unsubscribe")
        self.assertEqual(ep.count("on_publish"), 0)

    def test_what_is_under_way_is_not_old(self):
        """Its attempt has response_timeout."""
        ep, b = self.stage(conf={"max_event_age": self.ms(1000)})
        c, stall = self.stalled(ep, b)
        time.sleep(1.2 * self.scale)
        stall.release()
        c.publish("t/1", "x", 1)
        ep.wait_for("on_publish", 2)
        self.assertEqual(b.log_count("on_publish: endpoint"), 0)


class NoHeadOfLine(Queue):
    """200 clients whose on_publish hangs."""

    N = 200

    def test_nobody_waits(self):
        ep, other = self.endpoint(name="ep"), self.endpoint(name="other")
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(other.url, TELL, "b"))
        b = self.broker(conf)
        stall = ep.answers["on_publish"] = Stall()
        clients = [self.online(b, "h%d" % i) for i in range(self.N)]
        for c in clients:
            c.send_publish("t", "x", 1)
        for c in clients:
            c.wait("PUBACK")        # asked at the same endpoint
        # half of the connections, by default
        ep.wait_for("on_publish", 50)
        other.wait_for("on_publish", self.N)
        began = time.monotonic()
        fresh = self.online(b, "fresh")                 # a login
        ep.wait_for("on_register", client_id="fresh")   # another hook
        fresh.subscribe("u")
        ep.wait_for("on_subscribe", client_id="fresh")
        for i in range(10):
            fresh.publish("v", "x", 1)                  # a question
        other.wait_for("on_publish", 10, client_id="fresh")
        self.assertLess(time.monotonic() - began, 3 * self.scale)
        self.assertEqual(ep.count("on_publish"), 50)
        stall.release()
        ep.wait_for("on_publish", self.N + 10, timeout=15)

    def test_with_few_connections(self):
        """Eight: four hang, two are other hooks', one is for delayed logins
        and one for questions."""
        ep = self.endpoint()
        b = self.hooked(ep, conf={"vmq_webhooks.pool_max_connections": 8})
        clients = [self.online(b, "h%d" % i) for i in range(10)]
        for c in clients:
            ep.wait_for("on_register", client_id=c.client_id)
        stall = ep.answers["on_publish"] = ep.answers["on_subscribe"] = \
            Stall()
        for c in clients[:6]:
            c.publish("t", "x", 1)
        ep.wait_for("on_publish", 4)
        for c in clients[6:]:
            c.subscribe("u")
        ep.wait_for("on_subscribe", 2)
        for i in range(5):
            clients[0].publish("v", "x", 1)
            self.online(b, "late%d" % i)
        self.assertEqual(ep.count("on_publish"), 4)
        self.assertEqual(ep.count("on_subscribe"), 2)
        self.assertLessEqual(ep.most_open, 8)
        stall.release()
        ep.wait_for("on_publish", 11)

    def test_delayed_logins_leave_room(self):
        """2.1: logins that hang delay neither questions nor
        notifications."""
        if self.v20:
            return
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        stall = ep.answers["auth_on_register"] = Stall()
        clients = [self.client(b, "h%d" % i).open() for i in range(150)]
        for one in clients:
            one.send_connect("u", "p")
        ep.wait_for("auth_on_register", 1 + 98)
        for i in range(5):
            c.publish("t", "x", 1)
        ep.wait_for("on_publish", 5)
        self.assertEqual(stall.held, 98)
        stall.release()
        for one in clients:
            self.assertEqual(one.wait("CONNACK")["rc"], 0)
