"""Notifications that the endpoint cannot have processed are sent again."""

import re
import threading
import time

from endpoint import Closed, Drop, Endpoint, Stall
from host import ALL, AUTH, STEADY, BrokerTest, endpoint_conf

TELL = tuple(h for h in ALL if h not in AUTH)
AGAIN = (429, 502, 503, 504)
ID = ("webhook-id", "webhook-timestamp", "webhook-sequence", "webhook-epoch")


class Failing:
    """Answers an event this way the first `times` times that it comes."""

    def __init__(self, answer, times=1):
        self.answer, self.times = answer, times
        self.lock = threading.Lock()
        self.seen = {}

    def __call__(self, request):
        with self.lock:
            key = request["client_id"], request["topic"]
            n = self.seen[key] = self.seen.get(key, 0) + 1
        return self.answer if n <= self.times else None


class Retry(BrokerTest):

    def stage(self, conf=None, **options):
        """What is told goes to `ep`, what is asked to another."""
        ep, asked = self.endpoint(name="told"), self.endpoint(name="asked")
        settings = endpoint_conf(ep.url, TELL, "t", **options)
        settings.update(endpoint_conf(asked.url, AUTH, "a"))
        settings.update(STEADY)
        settings.update(conf or {})
        return ep, self.broker(settings)

    def publisher(self, b, ep, client_id="c1"):
        c = self.online(b, client_id)
        ep.wait_for("on_register", client_id=client_id)
        return c

    def identity(self, request):
        return [request.header(name) for name in ID] + [request.body]

    def test_sent_again(self):
        """Each of these, the same in all that identifies it."""
        ep, b = self.stage()
        failing = {"c%d" % status: Failing((status, {}, {}))
                   for status in AGAIN}
        ep.answers["on_publish"] = lambda r: failing[r["client_id"]](r)
        for cid in failing:
            self.publisher(b, ep, cid).publish("t", "x", 1)
        for cid in failing:
            second = ep.wait_for("on_publish", 2, client_id=cid)
            first = ep.of("on_publish", client_id=cid)[0]
            self.assertEqual(self.identity(first), self.identity(second))
            self.assertEqual(first.header("webhook-sequence"), "3")
            # half a second, less up to a half by chance
            self.assertGreater(second.time - first.time, 0.24)
            self.assertLess(second.time - first.time, 1.5 * self.scale)
        b.stop()
        self.assertEqual(b.log_count("on_publish: endpoint"), 0)
        for cid in failing:
            self.assertEqual(ep.count("on_publish", client_id=cid), 2)

    def test_connection_refused(self):
        closed = Closed()
        back = Endpoint(port=closed.port, name="back")
        self.addCleanup(back.stop)
        self.addCleanup(closed.stop)
        asked = self.endpoint(name="asked")
        conf = endpoint_conf(back.url, TELL, "t")
        conf.update(endpoint_conf(asked.url, AUTH, "a"))
        conf.update(STEADY)
        b = self.broker(conf)
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        time.sleep(0.1)     # surely tried by now
        closed.stop()
        back.start()
        back.wait_for("on_publish")
        self.assertEqual([r.header("webhook-sequence")
                          for r in back.requests], ["1", "2", "3"])
        b.stop()
        self.assertEqual(b.log_count("endpoint %s" % back.url), 0)

    def test_backoff_grows(self):
        ep, b = self.stage()
        ep.answers["on_publish"] = Failing((503, {}, {}), 2)
        self.publisher(b, ep).publish("t", "x", 1)
        ep.wait_for("on_publish", 3)
        times = [r.time for r in ep.of("on_publish")]
        self.assertGreater(times[2] - times[1], 0.49)

    def test_order_is_kept(self):
        """The client's later events wait, other clients' do not."""
        ep, b = self.stage()
        ep.answers["on_publish"] = lambda r: \
            failing(r) if r["topic"] == "t/1" else None
        failing = Failing((503, {}, {}))
        c, other = self.publisher(b, ep), self.publisher(b, ep, "c2")
        for i in range(5):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish", topic="t/1")
        for i in range(5):
            other.publish("u/%d" % i, "x", 1)
        ep.wait_for("on_publish", topic="t/4")
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/0", "t/1"] + ["u/%d" % i for i in range(5)] +
                         ["t/1", "t/2", "t/3", "t/4"])

    def test_never_more_than_set(self):
        ep, b = self.stage(retries=1)
        ep.answers["on_publish"] = Failing((503, {}, {}), 99)
        c = self.publisher(b, ep)
        c.publish("t", "x", 1)
        ep.wait_for("on_publish", 2)
        c.subscribe("later")
        ep.wait_for("on_subscribe")
        self.assertEqual(ep.count("on_publish"), 2)
        b.wait_log("on_publish: endpoint .*answered with status 503")

    def test_three_by_default(self):
        """With Retry-After: 1 it takes three seconds."""
        ep, b = self.stage()
        ep.answers["on_publish"] = Failing((503, {"Retry-After": "1"}, {}),
                                           99)
        c = self.publisher(b, ep)
        c.publish("t", "x", 1)
        c.subscribe("later")
        ep.wait_for("on_subscribe", timeout=10)
        times = [r.time for r in ep.of("on_publish")]
        self.assertEqual(len(times), 4)
        for a, b in zip(times, times[1:]):
            self.assertGreater(b - a, 0.99)

    def test_retry_after(self):
        """In seconds, of a 429 as well; other values count for nothing."""
        ep, b = self.stage()
        after = {"c1": "1", "c2": "0", "c3": "soon", "c4": "-1"}
        failing = {cid: Failing((429, {"Retry-After": value}, {}))
                   for cid, value in after.items()}
        ep.answers["on_publish"] = lambda r: failing[r["client_id"]](r)
        for cid in after:
            self.publisher(b, ep, cid).publish("t", "x", 1)
        for cid in after:
            second = ep.wait_for("on_publish", 2, client_id=cid)
            first = ep.of("on_publish", client_id=cid)[0]
            took = second.time - first.time
            self.assertGreater(took, 0.99 if cid == "c1" else 0.24, cid)
            self.assertLess(took, (3 if cid == "c1" else 1.5) * self.scale)

    def test_retry_after_beyond_its_age(self):
        """It could not be sent in time: lost at once."""
        ep, b = self.stage(max_event_age=5000)
        ep.answers["on_publish"] = Failing((503, {"Retry-After": "30"}, {}))
        c = self.publisher(b, ep)
        c.publish("t", "x", 1)
        c.subscribe("later")
        ep.wait_for("on_subscribe")
        self.assertEqual(ep.count("on_publish"), 1)
        b.wait_log("on_publish: endpoint .*answered with status 503")

    def test_none(self):
        ep, b = self.stage({"vmq_webhooks.retries": 0})
        ep.answers["on_publish"] = Failing((503, {}, {}))
        c = self.publisher(b, ep)
        c.publish("t", "x", 1)
        c.subscribe("later")
        ep.wait_for("on_subscribe")
        self.assertEqual(ep.count("on_publish"), 1)

    def test_per_webhook(self):
        """What a webhook sets goes before what all have."""
        ep, b = self.stage({"vmq_webhooks.retries": 0,
                            "vmq_webhooks.t%02d.retries" %
                            TELL.index("on_publish"): 1})
        ep.answers["on_publish"] = Failing((503, {}, {}))
        ep.answers["on_subscribe"] = [(503, {}, {}), {}]
        c = self.publisher(b, ep)
        c.subscribe("s")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish", 2)
        self.assertEqual(ep.count("on_subscribe"), 1)

    def test_not_again(self):
        """It may have been processed, or will never be."""
        ep, b = self.stage(response_timeout=self.ms(300))
        answers = {"c500": (500, {}, {}), "c501": (501, {}, {}),
                   "c404": (404, {}, {}), "c410": (410, {}, {}),
                   "c400": (400, {}, {}), "c204": (204, {}, b""),
                   "bad": b"nonsense", "drop": Drop(), "silent": Stall()}
        failing = {cid: Failing(answer) for cid, answer in answers.items()}
        ep.answers["on_publish"] = lambda r: failing[r["client_id"]](r)
        clients = [self.publisher(b, ep, cid) for cid in answers]
        for c in clients:
            c.publish("t", "x", 1)
            c.subscribe("later")
        for cid in answers:
            ep.wait_for("on_subscribe", client_id=cid)
            self.assertEqual(ep.count("on_publish", client_id=cid), 1, cid)
        b.stop()
        more = re.findall(r"on_publish: endpoint \S+: (\d+) more failures",
                          b.log())
        lines = len(b.lines_with(r"on_publish: endpoint \S+: "))
        self.assertEqual(lines - len(more) + sum(map(int, more)),
                         len(answers))

    def test_never_of_what_is_asked(self):
        """Somebody waits, and on_error has the answer."""
        ep = self.endpoint()
        b = self.hooked(ep, conf=dict(STEADY, **{
            "vmq_webhooks.retries": 5}))
        c = self.online(b, "c1", 5)
        n = 0
        for status in AGAIN:
            ep.answers["auth_on_publish_m5"] = status, {}, {}
            ep.answers["auth_on_register"] = status, {}, {}
            self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
            self.client(b, "c2").connect("u", "p", rc=5)
            n += 1
        ep.answers.clear()
        self.online(b, "last")
        self.assertEqual(ep.count("auth_on_publish_m5"), n)
        self.assertEqual(ep.count("auth_on_register", client_id="c2"), n)

    def test_many_clients(self):
        """An endpoint turns away each call once, and none is lost."""
        ep, b = self.stage()
        ep.answers["on_publish"] = Failing((503, {}, {}))
        clients = [self.publisher(b, ep, "c%d" % i) for i in range(20)]
        for i in range(2):
            for c in clients:
                c.publish("t/%d" % i, "x", 1)
        for c in clients:
            c.disconnect()
            ep.wait_for("on_client_gone", client_id=c.client_id)
        for c in clients:
            self.assertEqual([r.header("webhook-sequence")
                              for r in ep.of(client_id=c.client_id)],
                             ["1", "2", "3", "3", "4", "4", "5"])
