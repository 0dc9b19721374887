"""Traps of the host that each need a proof."""

import base64
import http.client
import os
import re
import subprocess
import time

from endpoint import OK, ok
from host import ALL, BrokerTest, endpoint_conf, free_port, plugin_path


class Symbols(BrokerTest):

    def setUp(self):
        """No broker needed."""
        self.brokers = []

    def nm(self, *args):
        return subprocess.run(["nm", "-D"] + list(args) + [plugin_path()],
                              capture_output=True, text=True,
                              check=True).stdout

    def test_exports(self):
        names = [line.split()[-1] for line in
                 self.nm("--defined-only").splitlines()]
        self.assertEqual(sorted(names), ["mosquitto_plugin_cleanup",
                                         "mosquitto_plugin_init",
                                         "mosquitto_plugin_version"])

    def test_no_property_readers(self):
        """2.0.21 does not export them: the plugin would not load."""
        self.assertNotRegex(self.nm("--undefined-only"),
                            r"mosquitto_property_(read|next|copy)")

    def test_only_weak_references_to_what_2_0_lacks(self):
        """What only 2.1 has must not be needed to load."""
        needed = {m.group(1) for m in re.finditer(
            r"^\s+U (mosquitto_\S+)", self.nm("--undefined-only"), re.M)}
        for name in ("mosquitto_complete_basic_auth", "mosquitto_client",
                     "mosquitto_plugin_set_info",
                     "mosquitto_persist_client_update",
                     "mosquitto_apply_on_all_clients"):
            self.assertNotIn(name, needed)


class HttpApi(BrokerTest):

    def test_http_api_listener(self):
        """2.1 asks from another thread, with a client that is none; 2.0
        has no such listener."""
        ep = self.endpoint()
        port = free_port()
        lines = ["listener %d 127.0.0.1" % port, "protocol http_api"]
        if self.v20:
            b = self.unstarted(after=lines)
            self.has(b.refused(), "protocol|http_api")
            return
        b = self.broker(endpoint_conf(ep.url), after=lines)
        auth = base64.b64encode(b"u:p").decode()
        mqtt = self.online(b, "c1")
        for i in range(50):
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            c.request("GET", "/api/v1/version",
                      headers={"Authorization": "Basic " + auth})
            status = c.getresponse().status
            c.close()
            self.assertEqual(status, 401)
            mqtt.publish("t/%d" % i, "x", 1)
        self.assertEqual(ep.count("auth_on_register"), 1)
        self.assertEqual([r for r in ep.of() if r.body and
                          r.body.get("client_id") == "http-api"], [])
        mqtt.barrier()


class PerListener(BrokerTest):

    def stage(self):
        ep = self.endpoint()
        return ep, self.hooked(ep, per_listener=True)

    def test_works(self):
        ep, b = self.stage()
        for v in (3, 4, 5):
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t/%d" % v)
            c.publish("t/%d" % v, "x", 1)
            c.message()
            c.unsubscribe("t/%d" % v)
            c.disconnect()
            ep.wait_for("on_client_gone", client_id="c%d" % v)
            ep.wait_for(self.hook("on_publish", v), client_id="c%d" % v)

    def test_missing_tick_is_said(self):
        """2.0.11 never ticks then: one error line names the setting."""
        ep, b = self.stage()
        c = self.online(b, "c1")
        deadline = time.monotonic() + 1.6
        i = 0
        while time.monotonic() < deadline:
            i += 1
            c.publish("t/%d" % i, "x", 1)
            time.sleep(0.02)
        ep.wait_for("on_publish", topic="t/%d" % i)
        lines = b.lines_with("vmq_webhooks.*per_listener_settings|"
                             "per_listener_settings.*(tick|vmq)")
        if os.environ.get("BROKER", "2.0.11") == "2.0.11":
            self.assertEqual(len(lines), 1)
        else:
            self.assertEqual(lines, [])

    def test_reload(self):
        ep, b = self.stage()
        clients = [self.online(b, "c%d" % v, v) for v in (3, 4, 5)]
        for c in clients:
            c.publish("t", "x", 1)
        b.reload()
        for c in clients:
            c.publish("t", "x", 1)
            ep.wait_for(self.hook("on_publish", c.version), 2,
                        client_id=c.client_id)
            self.assertEqual(ep.count("on_client_wakeup",
                                      client_id=c.client_id), 1)

    def test_stops(self):
        ep, b = self.stage()
        self.online(b, "c1").publish("t", "x", 1)
        b.stop()


class Ownership(BrokerTest):

    def test_rewritten_topics(self):
        """Who frees the old topic differs between 2.0.11 and later: too
        often crashes, too seldom leaks. Growing topics, so that no two
        share an allocation; also the one to run under valgrind."""
        ep = self.endpoint()
        b = self.hooked(ep)
        rounds = 200 if self.scale > 5 else 2000
        sub = self.subscriber(b, ("new/#", 0))
        pub = self.online(b, "c1")
        ep.answers["auth_on_publish"] = \
            lambda r: ok(topic="new/" + r["topic"])
        for i in range(rounds):
            pub.send_publish("t" * (i % 500 + 1), "x", i % 3, mid=i % 100 + 1)
            if i % 3 == 2:
                pub.wait("PUBREC")
                pub.ack("PUBREL", i % 100 + 1)
            if i % 100 == 99:
                pub.drain()
                sub.barrier()
        pub.drain()
        got = [p["topic"] for p in sub.drain()]
        self.assertEqual(got, ["new/" + "t" * (i % 500 + 1)
                               for i in range(rounds)])

    def test_rewrites_do_not_leak(self):
        ep = self.endpoint()
        b = self.hooked(ep, [h for h in ALL
                             if not h.startswith("on_publish")])
        pub = self.online(b, "c1")
        topic = "t" * 30000
        payload = base64.b64encode(b"p" * 30000).decode()
        ep.answers["auth_on_publish"] = \
            lambda r: ok(topic=topic + "/longer", payload=payload)
        before = 0
        for i in range(900 if self.scale == 1 else 20):
            pub.publish(topic, b"q" * 30000, 1)
            if i == 100:
                before = b.rss()
        if self.scale == 1:
            # 800 times 30 kB are 24 MB
            self.assertLess(b.rss() - before, 10000)

    def test_rewritten_properties_and_retain(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        pub = self.online(b, "c1", 5)
        sub = self.subscriber(b, "#", version=5)
        ep.answers["auth_on_publish_m5"] = \
            lambda r: ok(topic="n" * (r["qos"] + 1), retain=True,
                         payload=base64.b64encode(b"new").decode())
        props = {"p_user_property": [["k" * 100, "v" * 100]],
                 "p_content_type": "text/plain"}
        for i in range(100):
            pub.publish("t" * (i + 1), "x" * i, i % 3, properties=props)
            self.assertEqual(sub.message()["properties"], props)


class Others(BrokerTest):

    def test_broker_is_woken(self):
        """The wake-up signal disturbs nobody: SIGURG from outside."""
        import signal
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        for i in range(20):
            b.signal(signal.SIGURG)
            c.publish("t", "x", 1)
        self.assertTrue(b.alive())

    def test_mount_point(self):
        """Topics in questions carry the listener's prefix; a rewrite
        does not crash the broker."""
        ep = self.endpoint()
        b = self.hooked(ep, lines=["mount_point mp/"])
        pub = self.online(b, "c1")
        sub = self.subscriber(b, "t")
        pub.publish("t", "x", 1)
        r = ep.wait_for("auth_on_publish")
        self.assertIn(r["topic"], ("mp/t", "t"))
        sub.message()
        ep.answers["auth_on_publish"] = ok(topic="mp/t")
        for qos in (0, 1, 2):
            pub.publish("other", "y", qos)
            self.assertEqual(sub.message()["payload"], "y")
        self.assertTrue(b.alive())

    def test_bridge_messages_pass(self):
        """An outgoing bridge brings messages without asking first: no
        verdict waits for them, and none is needed."""
        remote = self.broker(plugin=False, anonymous=True,
                             admin_socket=False)
        ep = self.endpoint()
        b = self.hooked(ep, after=[
            "connection one", "address 127.0.0.1:%d" % remote.port,
            "topic # in 1", "local_username bridge", "start_type automatic",
            "try_private false", "notifications false"])
        sub = self.subscriber(b, "from/#")
        remote.wait_log("Received SUBSCRIBE", timeout=10)
        far = self.client(remote, "far")
        far.connect()
        ep.answers["auth_on_publish"] = ok(topic="hijacked")
        near = self.online(b, "near")
        for i in range(3):
            near.publish("local/%d" % i, "x", 1)
            far.publish("from/%d" % i, "x", 1)
            self.assertEqual(sub.message()["topic"], "from/%d" % i)
        asked = [r["topic"] for r in ep.of("auth_on_publish")]
        self.assertEqual(asked, ["local/0", "local/1", "local/2"])

    def test_persistence(self):
        """With the broker's own store on."""
        ep = self.endpoint()
        b = self.hooked(ep, lines=["persistence true",
                                   "persistence_location @DIR@/"])
        c = self.online(b, "c1", clean=False)
        c.subscribe(("t", 1))
        c.disconnect()
        self.online(b, "pub").publish("t", "x", 1, retain=True)
        ep.answers["auth_on_register"] = OK
        c = self.online(b, "c1", clean=False)
        c.message("t")
        b.stop()

    def test_unix_listener(self):
        """A client without an address is told as such, not a crash."""
        import socket
        import mqtt
        ep = self.endpoint()
        b = self.hooked(ep, after=["listener 0 @DIR@/mqtt.sock"])
        c = mqtt.Client(0, "c1")
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(b.path("mqtt.sock"))
        self.addCleanup(c.close)
        c.send_connect("u", "p")
        c.wait("CONNACK")
        self.assertIsInstance(ep.wait_for("on_register")["peer_addr"], str)
        c.publish("t", "x", 1)
        ep.wait_for("on_publish")
