"""Notifications: they hold up nobody and keep their order."""

import time

from endpoint import OK, Delay, Drop, Raw, Stall
from host import ALL, BrokerTest, endpoint_conf

TELL = [h for h in ALL if not h.startswith("auth")]


class Notify(BrokerTest):

    def stage(self, asker=None, **options):
        """One endpoint that is asked, another that is told."""
        self.asked = self.endpoint(name="asked")
        told = self.endpoint(name="told")
        conf = endpoint_conf(self.asked.url, [h for h in ALL
                                              if h.startswith("auth")], "a")
        conf.update(endpoint_conf(told.url, TELL, "t", **options))
        return told, self.broker(conf)

    def test_broker_goes_on(self):
        ep, b = self.stage()
        stall = Stall()
        for hook in TELL:
            ep.answers[hook] = stall
        began = time.monotonic()
        for v in (3, 4, 5):
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t/#")
            for i in range(10):
                c.publish("t/%d" % i, "x", 1)
                c.message("t/%d" % i)
            c.unsubscribe("t/#")
            c.disconnect()
        self.assertLess(time.monotonic() - began, 2 * self.scale)
        stall.release()
        for v in (3, 4, 5):
            ep.wait_for("on_client_gone", client_id="c%d" % v)
            ep.wait_for(self.hook("on_publish", v), 10,
                        client_id="c%d" % v)

    def test_order(self):
        """Everything of one client, in the order in which it happened."""
        ep, b = self.stage()
        for v in (4, 5):
            cid = "c%d" % v
            c = self.online(b, cid, v)
            want = ["on_client_wakeup", "on_register"]
            for i in range(3):
                c.subscribe("t/%d" % i)
                c.publish("t/%d" % i, "x", 1)
                c.publish("u/%d" % i, "x", 0)
                c.unsubscribe("t/%d" % i)
                want += ["on_subscribe", "on_publish", "on_publish",
                         "on_unsubscribe"]
            c.disconnect()
            want += ["on_client_gone"]
            ep.wait_for("on_client_gone", client_id=cid)
            self.assertEqual(
                [h.replace("_m5", "") for h in ep.hooks(client_id=cid)],
                want)

    def test_order_of_many(self):
        ep, b = self.stage()
        c = self.online(b, "c1")
        for i in range(300):
            c.publish("t/%d" % i, "x", 0)
        c.publish("t/300", "x", 1)
        ep.wait_for("on_publish", 301, timeout=15)
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/%d" % i for i in range(301)])

    def test_order_with_uneven_answers(self):
        """A slow answer holds the client's next event back."""
        ep, b = self.stage()
        ep.answers["on_publish"] = \
            lambda r: Delay(0.02 if int(r["topic"][2:]) % 3 == 0 else 0)
        c = self.online(b, "c1")
        for i in range(30):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish", 30)
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/%d" % i for i in range(30)])

    def test_one_in_flight_per_client(self):
        ep, b = self.stage()
        stall = ep.answers["on_publish"] = Stall()
        c = self.online(b, "c1")
        for i in range(5):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish")
        other = self.online(b, "c2")        # goes a whole round meanwhile
        other.disconnect()
        ep.wait_for("on_client_gone", client_id="c2")
        self.assertEqual(ep.count("on_publish"), 1)
        stall.release()
        ep.wait_for("on_publish", 5)

    def test_clients_in_parallel(self):
        ep, b = self.stage()
        stall = Stall()
        ep.answers["on_publish"] = \
            lambda r: stall if r["client_id"] != "free" else {}
        for i in range(10):
            self.online(b, "held%d" % i).publish("t", "x", 1)
        self.online(b, "free").publish("t", "x", 1)
        ep.wait_for("on_publish", client_id="free")
        for i in range(10):
            ep.wait_for("on_publish", client_id="held%d" % i)
        self.assertEqual(stall.held, 10)
        stall.release()

    def test_failures_lose_one_event(self):
        ep, b = self.stage()
        ep.answers["on_publish"] = [
            (500, {}, b""), (404, {}, {}), b"nonsense", b"",
            Raw(b"garbage\r\n\r\n", close=True), (204, {}, b""), {}]
        c = self.online(b, "c1")
        for i in range(10):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish", topic="t/9")
        seen = []
        for r in ep.of("on_publish"):
            if r["topic"] not in seen:
                seen.append(r["topic"])
        self.assertEqual(seen, ["t/%d" % i for i in range(10)])

    def test_endpoint_down_is_survived(self):
        url = self.nobody()
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, [h for h in ALL
                                      if h.startswith("auth")], "a")
        conf.update(endpoint_conf(url, TELL, "t"))
        b = self.broker(conf)
        began = time.monotonic()
        for v in (3, 4, 5):
            c = self.online(b, "c%d" % v, v)
            for i in range(10):
                c.publish("t", "x", 1)
            c.disconnect()
        self.assertLess(time.monotonic() - began, 2 * self.scale)
        b.wait_log("on_publish|on_register|on_client")

    def test_answers_are_ignored(self):
        ep, b = self.stage()
        for hook in TELL:
            ep.answers[hook] = {"result": {"error": "no"}, "modifiers": {
                "topic": "x"}}
        c = self.online(b, "c1")
        c.subscribe("t")
        c.publish("t", "x", 1)
        c.message("t")
        ep.wait_for("on_publish")

    def test_every_endpoint_is_told(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, TELL, "b"))
        b = self.broker(conf)
        first.answers["on_publish"] = 500, {}, b""
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        c.disconnect()
        first.wait_for("on_client_gone")
        second.wait_for("on_client_gone")
        self.assertEqual(second.hooks(), ["on_client_wakeup", "on_register",
                                          "on_publish", "on_client_gone"])
        self.assertEqual(first.of("on_publish")[0].body,
                         second.of("on_publish")[0].body)

    def test_one_endpoint_does_not_hold_another(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, TELL, "b"))
        b = self.broker(conf)
        stall = first.answers["on_client_wakeup"] = Stall()
        c = self.online(b, "c1")
        for i in range(5):
            c.publish("t", "x", 1)
        second.wait_for("on_publish", 5)
        self.assertEqual(first.count("on_publish"), 0)
        stall.release()
        first.wait_for("on_publish", 5)

    def test_response_timeout_bounds_each(self):
        ep, b = self.stage(response_timeout=self.ms(200))
        ep.answers["on_publish"] = [Stall(), {}]
        c = self.online(b, "c1")
        c.publish("t/0", "x", 1)
        c.publish("t/1", "x", 1)
        c.publish("t/2", "x", 1)
        first = ep.wait_for("on_publish")
        last = ep.wait_for("on_publish", topic="t/2")
        self.assertGreater(last.time - first.time, 0.15)

    def test_sees_what_was_published(self):
        """Bodies are copies: what comes later does not change them."""
        ep, b = self.stage()
        stall = ep.answers["on_client_wakeup"] = Stall()
        c = self.online(b, "c1", 5)
        for i in range(20):
            c.publish("t/%d" % i, "payload %d" % i, 1,
                      properties={"p_user_property": [["k", str(i)]]})
        c.disconnect()
        stall.release()
        ep.wait_for("on_client_gone")
        for i, r in enumerate(ep.of("on_publish_m5")):
            self.assertEqual(r["topic"], "t/%d" % i)
            self.assertEqual(len(r["properties"]["p_user_property"]), 1)

    def test_stop_with_notifications_under_way(self):
        ep, b = self.stage()
        for hook in TELL:
            ep.answers[hook] = Stall()
        for i in range(10):
            c = self.online(b, "c%d" % i)
            for _ in range(5):
                c.publish("t", "x", 1)
        ep.wait_for("on_client_wakeup", 10)
        began = time.monotonic()
        b.stop()
        self.assertLess(time.monotonic() - began, 6 * self.scale)

    def test_soon(self):
        """No waiting for a tick of the broker."""
        ep, b = self.stage()
        c = self.online(b, "c1")
        took = []
        for i in range(40):
            began = time.monotonic()
            c.publish("t/%d" % i, "x", 1)
            took.append(ep.wait_for("on_publish", topic="t/%d" % i).time
                        - began)
        self.quick(took)
