"""Who is who: pointers that the broker reuses, clients that left unseen."""

import time

from endpoint import ok
from host import ALL, BrokerTest, endpoint_conf

HOOKS = ALL + ("on_auth_m5", "on_session_expired")


class Wills(BrokerTest):
    """MQTT 5's will delay outlives the connection, and its verdict."""

    def stage(self, conf=None):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, conf)
        return ep, b

    def will(self, **more):
        return dict({"topic": "will", "payload": "w",
                     "properties": {"p_will_delay_interval": 1}}, **more)

    def test_of_an_exchange_that_never_ended(self):
        """A client that was never let in has none, however late."""
        ep, b = self.stage()
        ep.answers["on_auth_m5"] = ok(reason_code=24)
        sub = self.subscriber(b, "will", "after")
        c = self.client(b, "evil", 5)
        c.open()
        c.send_connect("u", "p", will=self.will(), properties={
            "p_authentication_method": "M", "p_authentication_data": b"x"})
        c.wait("AUTH")
        c.close()
        b.wait_log("evil.*(closed|disconnected)")
        time.sleep(2.2 * self.scale)    # the host tells nothing of it
        self.online(b, "pub").publish("after", "x", 1)
        self.assertEqual(sub.message()["topic"], "after")
        self.assertEqual(ep.count("auth_on_publish_m5", topic="will"), 0)

    def test_delayed_one_is_changed_as_decided(self):
        ep, b = self.stage()
        ep.answers["auth_on_publish_m5"] = ok(topic="safe")
        sub = self.subscriber(b, "#")
        c = self.client(b, "c1", 5)
        c.open()
        c.send_connect("u", "p", will=self.will())
        c.wait("CONNACK")
        c.close()
        self.assertEqual(sub.message(timeout=10)["topic"], "safe")


class Sessions(BrokerTest):

    def persistent(self, b, version, seconds):
        c = self.client(b, "x", version)
        c.open()
        c.send_connect("u", "p", clean=False, properties={
            "p_session_expiry_interval": seconds} if version == 5 else None)
        c.wait("CONNACK")
        return c

    def test_end_is_noticed_when_the_id_comes_back(self):
        """It ended before anybody looked: told once, before the new one."""
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        self.persistent(b, 5, 1).disconnect()
        ep.wait_for("on_client_offline", client_id="x")
        ep.wait_for("on_session_expired", client_id="x", timeout=10)
        c = self.persistent(b, 5, 60)
        ep.wait_for("on_client_wakeup", 2, client_id="x")
        c.barrier()
        # no look takes the new one for the old
        time.sleep(2.5 * self.scale)
        c.barrier()
        self.assertEqual(ep.count("on_session_expired", client_id="x"), 1)


class Names(BrokerTest):

    def test_name_that_the_host_does_not_take(self):
        """It is known before the CONNACK, and refuses."""
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url))
        for name in ("a\u0001b", "a\ufffeb"):
            for v in (3, 4, 5):
                ep.answers["auth_on_register"] = ok(username=name)
                ep.answers["auth_on_register_m5"] = ok(username=name)
                c = self.client(b, "c%d" % v, v)
                ack = c.connect("u", "p", rc=None)
                self.assertNotEqual(ack["rc"], 0)
