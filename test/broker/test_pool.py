"""Connections to endpoints, seen from the endpoint's side."""

import time

from endpoint import OK, Delay, Stall
from host import ALL, BrokerTest, endpoint_conf

TELL = [h for h in ALL if not h.startswith("auth")]
ASK = [h for h in ALL if h.startswith("auth")]


class Pool(BrokerTest):

    def stage(self, **pool):
        """One endpoint that is asked, another that is told."""
        asked, told = self.endpoint(name="asked"), self.endpoint(name="told")
        conf = endpoint_conf(asked.url, ASK, "a")
        conf.update(endpoint_conf(told.url, TELL, "t"))
        conf.update({"vmq_webhooks." + k: v for k, v in pool.items()})
        return asked, told, self.broker(conf)

    def test_reused(self):
        asked, told, b = self.stage()
        c = self.online(b, "c1")
        for i in range(50):
            c.publish("t/%d" % i, "x", 1)
            told.wait_for("on_publish", i + 1)
        self.assertEqual(asked.count("auth_on_publish"), 50)
        self.assertLessEqual(asked.accepted, 2)
        self.assertLessEqual(told.accepted, 2)

    def test_reused_by_all_clients(self):
        asked, told, b = self.stage()
        for i in range(20):
            c = self.online(b, "c%d" % i)
            c.disconnect()
            told.wait_for("on_client_gone", i + 1)
        # of 60 calls; one client's last may overlap with others' first
        self.assertLessEqual(asked.accepted, 2)
        self.assertLessEqual(told.accepted, 6)

    def test_at_most(self):
        asked, told, b = self.stage(pool_max_connections=3)
        stall = Stall()
        told.answers["on_client_wakeup"] = stall
        for i in range(12):
            self.online(b, "c%d" % i)
        told.wait_for("on_client_wakeup", 3)
        self.online(b, "last").publish("t", "x", 1)
        self.assertEqual(told.most_open, 3)
        self.assertEqual(told.count(), 3)
        stall.release()
        told.wait_for("on_register", 13)
        self.assertEqual(told.most_open, 3)

    def test_grows_to_the_limit(self):
        """Up to there for all together: no hook's notifications have more
        than half, all of them no more than three quarters, and one is kept
        for the call that holds the broker."""
        ep = self.endpoint()
        b = self.hooked(ep, conf={"vmq_webhooks.pool_max_connections": 5})
        clients = [self.online(b, "c%d" % i) for i in range(7)]
        for i in range(7):
            ep.wait_for("on_register", client_id="c%d" % i)
        stall = Stall()
        for hook in ("on_publish", "on_subscribe", "auth_on_subscribe"):
            ep.answers[hook] = stall
        for c in clients[:5]:
            c.publish("t", "x", 1)
        ep.wait_for("on_publish", 3)
        ep.answers["auth_on_subscribe"] = OK
        for c in clients[5:]:
            c.subscribe("t")
        ep.wait_for("on_subscribe")
        ep.answers["auth_on_subscribe"] = stall
        clients[0].send_subscribe("u")
        ep.wait_for("auth_on_subscribe", 3)
        self.assertEqual(ep.count("on_publish"), 3)
        self.assertEqual(ep.count("on_subscribe"), 1)
        self.assertEqual(ep.open_connections(), 5)
        stall.release()
        clients[0].wait("SUBACK")
        ep.wait_for("on_publish", 5)
        ep.wait_for("on_subscribe", 3)
        self.assertEqual(ep.most_open, 5)

    def test_one_connection_is_enough(self):
        asked, told, b = self.stage(pool_max_connections=1)
        for i in range(5):
            c = self.online(b, "c%d" % i)
            c.publish("t", "x", 1)
            c.disconnect()
        told.wait_for("on_client_gone", 5)
        self.assertEqual(told.most_open, 1)

    def test_idle_ones_are_closed(self):
        """Nothing else happens: only a timer of ours can do it."""
        asked, told, b = self.stage(pool_timeout=400)
        stall = told.answers["on_client_wakeup"] = Stall()
        for i in range(3):
            self.online(b, "c%d" % i)
        told.wait_for("on_client_wakeup", 3)
        stall.release()
        told.wait_for("on_register", 3)
        self.assertGreaterEqual(told.open_connections(), 1)
        began = time.monotonic()
        told.wait_open(0, timeout=3)
        asked.wait_open(0, timeout=3)
        self.assertLess(time.monotonic() - began, 2 * self.scale)
        accepted = told.accepted
        self.online(b, "again")
        told.wait_for("on_register", 4)
        self.assertGreater(told.accepted, accepted)

    def test_kept_until_then(self):
        asked, told, b = self.stage(pool_timeout=1500)
        c = self.online(b, "c1")
        told.wait_for("on_register")
        for i in range(4):
            time.sleep(0.3)
            self.assertEqual(told.open_connections(), 1)
            c.publish("t", "x", 1)
            told.wait_for("on_publish", i + 1)
        # a call that holds the broker has a connection of its own, which a
        # delayed login does not use, nor the very first call of a broker that
        # has hardly started
        self.assertLessEqual(asked.accepted, 2)
        self.assertEqual(told.accepted, 1)

    def test_busy_ones_are_not_idle(self):
        asked, told, b = self.stage(pool_timeout=200)
        told.answers["on_register"] = Delay(0.6)
        self.online(b, "c1")
        told.wait_for("on_register")
        time.sleep(0.4)
        self.assertEqual(told.open_connections(), 1)
        told.wait_open(0, timeout=3)
        self.assertEqual(b.log_count("on_register.*(fail|error)"), 0)

    def test_no_expect(self):
        """Not even with large bodies."""
        asked, told, b = self.stage()
        c = self.online(b, "c1")
        c.publish("t", "x" * 1400000, 1)
        r = told.wait_for("on_publish")
        for r in (r, asked.of("auth_on_publish")[0]):
            self.assertIsNone(r.header("expect"))
            self.assertIsNone(r.header("transfer-encoding"))
            self.assertEqual(r.header("content-length"), str(len(r.raw)))

    def test_connection_is_kept_alive(self):
        asked, told, b = self.stage()
        self.online(b, "c1")
        r = told.wait_for("on_register")
        self.assertIsNone(r.header("connection"))

    def test_environment_proxies_are_ignored(self):
        proxy = self.endpoint(name="proxy")
        asked, told = self.endpoint(), self.endpoint()
        conf = endpoint_conf(asked.url, ASK, "a")
        conf.update(endpoint_conf(told.url, TELL, "t"))
        env = {name: proxy.url for name in
               ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                "all_proxy", "ALL_PROXY")}
        b = self.broker(conf, env=dict(env, no_proxy="", NO_PROXY=""))
        self.online(b, "c1").publish("t", "x", 1)
        told.wait_for("on_publish")
        self.assertEqual(proxy.accepted, 0)

    def test_netrc_is_ignored(self):
        asked = self.endpoint()
        b = self.unstarted(endpoint_conf(asked.url))
        b.write(".netrc", "machine 127.0.0.1 login me password pw\n")
        b.env["HOME"] = b.dir
        b.start()
        self.addCleanup(b.stop)
        self.online(b, "c1")
        self.assertIsNone(asked.requests[0].header("authorization"))

    def test_large_answer(self):
        """A ceiling, and it refuses."""
        asked, told, b = self.stage()
        asked.answers["auth_on_publish_m5"] = \
            b'{"result":"ok"' + b" " * (64 << 20) + b"}"
        c = self.online(b, "c1", 5)
        self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
        c.barrier()

    def test_delay_is_small(self):
        """No Nagle, no waiting for a tick: a publish takes a moment."""
        asked, told, b = self.stage()
        c = self.online(b, "c1")
        took = []
        for i in range(40):
            began = time.monotonic()
            c.publish("t", "x" * 3000, 1)
            took.append(time.monotonic() - began)
        self.quick(took)
