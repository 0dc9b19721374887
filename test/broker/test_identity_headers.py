"""The headers that tell requests apart and show that one is missing:
webhook-id, webhook-timestamp, webhook-epoch, webhook-sequence."""

import time

from endpoint import Stall
from host import ALL, AUTH, BrokerTest, endpoint_conf

TELL = tuple(h for h in ALL if h not in AUTH)
VERSIONS = (3, 4, 5)


class Identity(BrokerTest):

    def numbers(self, ep, **match):
        return [int(r.header("webhook-sequence"))
                for r in ep.of(**match) if r.hook not in AUTH]

    def gone(self, ep, c, hook="on_client_gone", n=1):
        """Disconnect, and wait until that is told."""
        c.disconnect()
        ep.wait_for(hook, n, client_id=c.client_id)

    def test_ids_are_unique(self):
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(other.url, TELL, "b"))
        b = self.broker(conf)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t")
            for i in range(3):
                c.publish("t", "x", 1)
            self.gone(ep, c)
            other.wait_for("on_client_gone", client_id="c%d" % v)
        requests = ep.requests + other.requests
        ids = [r.header("webhook-id") for r in requests]
        self.assertGreater(len(ids), 30)
        self.assertEqual(len(set(ids)), len(ids))
        for one in ids:
            self.assertRegex(one, r"^[0-9A-Za-z_.-]{8,64}$")

    def test_timestamp(self):
        ep = self.endpoint()
        before = int(time.time())
        b = self.hooked(ep)
        self.gone(ep, self.online(b, "c1"))
        for r in ep.requests:
            self.assertRegex(r.header("webhook-timestamp"), r"^\d+$")
            self.assertGreaterEqual(int(r.header("webhook-timestamp")),
                                    before)
            self.assertLessEqual(int(r.header("webhook-timestamp")),
                                 time.time())

    def test_timestamp_is_of_the_event(self):
        """Not of the moment when it could be sent."""
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        stall = ep.answers["on_publish"] = Stall()
        c.publish("t/0", "x", 1)
        ep.wait_for("on_publish")
        c.publish("t/1", "x", 1)
        happened = int(time.time())
        time.sleep(1.1)
        stall.release()
        r = ep.wait_for("on_publish", topic="t/1")
        self.assertLessEqual(int(r.header("webhook-timestamp")), happened)

    def test_epoch(self):
        """One for each start, and later starts have greater ones."""
        epochs = []
        ep = self.endpoint()
        for i in range(3):
            ep.forget()
            b = self.hooked(ep)
            for j in range(2):
                self.gone(ep, self.online(b, "c%d" % j))
            b.stop()
            epoch = {r.header("webhook-epoch") for r in ep.requests}
            self.assertEqual(len(epoch), 1)
            epochs.append(int(epoch.pop()))
        self.assertEqual(epochs, sorted(set(epochs)))

    def test_ids_differ_between_starts(self):
        ids = []
        ep = self.endpoint()
        for i in range(2):
            b = self.hooked(ep)
            self.gone(ep, self.online(b, "c1"), n=i + 1)
            b.stop()
        ids = [r.header("webhook-id") for r in ep.requests]
        self.assertEqual(len(set(ids)), len(ids))

    def test_no_sequence_where_somebody_waits(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t")
            c.publish("t", "x", 1)
            self.gone(ep, c)
        for r in ep.requests:
            self.assertEqual(r.header("webhook-sequence") is None,
                             r.hook in AUTH, r)

    def test_across_hooks(self):
        """1, 2, 3, whatever the hook; each client has its own."""
        ep = self.endpoint()
        b = self.hooked(ep)
        cs = [self.online(b, "c%d" % v, v) for v in VERSIONS]
        for i in range(3):
            for c in cs:
                c.subscribe("t/%d" % i)
                c.publish("t/%d" % i, "x", 1)
                c.unsubscribe("t/%d" % i)
        for c in cs:
            self.gone(ep, c)
            told = [r.hook.replace("_m5", "")
                    for r in ep.of(client_id=c.client_id) if r.hook in TELL]
            self.assertEqual(told, ["on_client_wakeup", "on_register"] +
                             ["on_subscribe", "on_publish",
                              "on_unsubscribe"] * 3 + ["on_client_gone"])
            self.assertEqual(self.numbers(ep, client_id=c.client_id),
                             list(range(1, 13)))

    def test_per_endpoint(self):
        """Each endpoint counts what it is told, and nothing else."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(other.url, ("on_publish",
                                              "on_client_gone"), "b"))
        b = self.broker(conf)
        c = self.online(b, "c1")
        for i in range(3):
            c.subscribe("t")
            c.publish("t", "x", 1)
        self.gone(ep, c)
        other.wait_for("on_client_gone")
        self.assertEqual(self.numbers(ep), list(range(1, 10)))
        self.assertEqual(self.numbers(other), [1, 2, 3, 4])

    def test_same_host_two_paths(self):
        """An endpoint is a URL."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(ep.url + "/2", ("on_publish",), "b"))
        b = self.broker(conf)
        self.online(b, "c1").publish("t", "x", 1)
        ep.wait_for("on_publish", 2)
        self.assertEqual({(r.path, r.header("webhook-sequence"))
                          for r in ep.of("on_publish")},
                         {(ep.path, "3"), (ep.path + "/2", "1")})

    def test_anew_after_it_is_gone(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for i in range(4):
            ep.forget()
            for v in VERSIONS:
                c = self.online(b, "c%d" % v, v)
                c.publish("t", "x", 1)
                self.gone(ep, c)
                self.assertEqual(self.numbers(ep, client_id="c%d" % v),
                                 [1, 2, 3, 4])
                # where it was in the broker's memory is another now
                self.online(b, "other%d%d" % (v, i)).publish("t", "x", 1)
            time.sleep(0.25)        # two turns of the broker's loop

    def test_anew_after_a_reset_connection(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for i in range(2):
            ep.forget()
            self.online(b, "c1").reset()
            ep.wait_for("on_client_gone")
            self.assertEqual(self.numbers(ep), [1, 2, 3])

    def test_over_a_takeover(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for clean in (True, False):
            for v in (4, 5):
                cid = "c%d%d" % (v, clean)
                old = self.online(b, cid, v, clean=clean)
                old.publish("t/old", "x", 1)
                new = self.online(b, cid, v, clean=clean)
                new.publish("t/new", "x", 1)
                ep.wait_for(self.hook("on_publish", v), topic="t/new",
                            client_id=cid)
                numbers = self.numbers(ep, client_id=cid)
                self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
                self.assertGreaterEqual(len(numbers), 6)

    def test_over_offline_and_online(self):
        """A persistent session is known while it is away."""
        ep = self.endpoint()
        b = self.hooked(ep, ALL + ("on_offline_message",))
        pub = self.online(b, "pub")
        sub = {"clean": False}
        c = self.online(b, "c1", **sub)
        c.subscribe(("t", 1))
        self.gone(ep, c, "on_client_offline")
        for i in range(3):
            pub.publish("t", "x", 1)
        ep.wait_for("on_offline_message", 3)
        c = self.online(b, "c1", **sub)
        c.message("t")
        c.publish("u", "x", 1)
        ep.wait_for("on_publish", client_id="c1")
        self.gone(ep, c, "on_client_offline", n=2)
        numbers = self.numbers(ep, client_id="c1")
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertGreaterEqual(len(numbers), 11)

    def test_refused_logins_count_nothing(self):
        ep = self.endpoint()
        ep.answers["auth_on_register"] = lambda r: \
            {"result": "ok" if r["password"] == "p" else {}}
        b = self.hooked(ep)
        for i in range(3):
            self.client(b, "c1").connect("u", "wrong", rc=5)
        self.gone(ep, self.online(b, "c1"))
        self.assertEqual(self.numbers(ep), [1, 2, 3])

    def test_refused_login_for_an_id_in_use(self):
        """Who is turned away does not make the other start anew."""
        ep = self.endpoint()
        ep.answers["auth_on_register"] = lambda r: \
            {"result": "ok" if r["password"] == "p" else {}}
        b = self.hooked(ep)
        c = self.online(b, "c1")
        for i in range(3):
            self.client(b, "c1").connect("u", "wrong", rc=5)
        c.publish("t", "x", 1)
        self.gone(ep, c)
        self.assertEqual(self.numbers(ep), [1, 2, 3, 4])

    def test_nothing_grows(self):
        """Many who stay for a moment leave nothing behind."""
        ep = self.endpoint()
        b = self.hooked(ep)

        def visit(first, n):
            for i in range(first, first + n):
                c = self.client(b, "client-with-a-long-name-%06d" % i,
                                4 + i % 2)
                c.connect("u", "p")
                c.close()
            ep.wait_for("on_client_gone",
                        client_id="client-with-a-long-name-%06d" %
                        (first + n - 1))
            ep.forget()
        grown = []
        for i in range(6):
            before = b.rss()
            visit(400 * i, 400)
            # 400 of 200 bytes at the very least, were they kept; what a busy
            # moment took is taken once
            grown.append(b.rss() - before)
            if grown[-1] < 80:
                return
        self.fail("grows: %s kB" % grown)
