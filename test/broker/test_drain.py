"""Connections and the end: what is still to be told at SIGTERM, kept
connections that the server closes, and name servers that never answer."""

import random
import re
import socket
import subprocess
import time

from endpoint import Closed, Endpoint, Stall
from host import ALL, AUTH, BrokerTest, endpoint_conf

TELL = tuple(h for h in ALL if h not in AUTH)


class Drain(BrokerTest):

    def stage(self, drain=None, url=None, conf=None):
        """What is told goes to `ep`, what is asked to another."""
        ep, self.asked = self.endpoint(name="told"), self.endpoint()
        settings = endpoint_conf(url or ep.url, TELL, "t")
        settings.update(endpoint_conf(self.asked.url, AUTH, "a"))
        if drain is not None:
            settings["vmq_webhooks.drain_timeout"] = drain
        settings.update(conf or {})
        return ep, self.broker(settings)

    def queued(self, ep, b, clients=3, events=5):
        """A stall, and events that wait for it; all handled."""
        cs = [self.online(b, "c%d" % i, 4 + i % 2) for i in range(clients)]
        for c in cs:
            ep.wait_for(self.hook("on_register", c.version),
                        client_id=c.client_id)
        stall = ep.answers["*"] = Stall()
        for i in range(events):
            for c in cs:
                c.publish("t/%d" % i, "x", 1)
        ep.wait_until(lambda: stall.held == clients, "stall")
        return stall

    def ends(self, b, limit):
        """How long it takes to end, after SIGTERM."""
        began = time.monotonic()
        b.stop(timeout=max(limit, 10))
        took = time.monotonic() - began
        self.assertLess(took, limit * self.scale)
        return took

    def undelivered(self, b, url):
        return {hook: int(n) for hook, n in re.findall(
            r"(\w+): endpoint %s: (\d+) notifications were not delivered "
            r"when the broker stopped \(drain_timeout\)" % re.escape(url),
            b.log())}

    def test_delivered(self):
        """It ends when all is told, not later."""
        ep, b = self.stage(20000)
        stall = self.queued(ep, b)
        b.process.terminate()
        b.wait_log("terminating")
        stall.release()
        self.ends(b, 8)
        for i in range(3):
            self.assertEqual([r["topic"] for r in ep.of(
                self.hook("on_publish", 4 + i % 2), client_id="c%d" % i)],
                ["t/%d" % j for j in range(5)])
        self.assertEqual(b.log_count("not delivered"), 0)

    def test_a_thousand(self):
        ep, b = self.stage(20000)
        c = self.online(b, "c1")
        for i in range(999):
            c.send_publish("t/%d" % i, "x", 0)
        c.publish("t/999", "x", 1)
        self.ends(b, 15)
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/%d" % i for i in range(1000)])
        self.assertEqual(b.log_count("not delivered"), 0)

    def test_two_seconds_by_default(self):
        ep, b = self.stage()
        self.queued(ep, b, 1, 1)
        self.assertGreater(self.ends(b, 6), 1.9)
        self.assertEqual(self.undelivered(b, ep.url), {"on_publish": 1})

    def test_stalled(self):
        """The log says exactly what was left, of which hook."""
        ep, b = self.stage(self.ms(300))
        self.queued(ep, b, 3, 5)
        c = self.online(b, "last")
        c.subscribe("t")
        c.barrier()
        self.assertGreater(self.ends(b, 4), 0.25)
        self.assertEqual(self.undelivered(b, ep.url), {
            "on_publish": 10, "on_publish_m5": 5, "on_client_wakeup": 1,
            "on_register": 1, "on_subscribe": 1})

    def test_not_at_all(self):
        ep, b = self.stage(0)
        self.queued(ep, b, 2, 3)
        self.ends(b, 2.5)
        self.assertEqual(self.undelivered(b, ep.url),
                         {"on_publish": 3, "on_publish_m5": 3})

    def test_others_are_told(self):
        """The endpoint that stalls is not in the way of the others."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, ALL, "a")
        conf.update(endpoint_conf(other.url, ("on_publish",), "b"))
        conf["vmq_webhooks.drain_timeout"] = self.ms(3000)
        b = self.broker(conf)
        c = self.online(b, "c1")
        ep.wait_for("on_register")
        ep.answers["on_publish"] = Stall()
        for i in range(100):
            c.send_publish("t/%d" % i, "x", 0)
        c.publish("t/100", "x", 1)
        self.ends(b, 8)
        self.assertEqual(other.count("on_publish"), 101)
        self.assertEqual(self.undelivered(b, ep.url), {"on_publish": 101})
        self.assertEqual(self.undelivered(b, other.url), {})

    def test_retries_go_on(self):
        ep, b = self.stage(10000)
        ep.answers["on_publish"] = [(503, {}, {}), {}]
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish")
        self.ends(b, 4)
        self.assertEqual(ep.count("on_publish"), 2)
        self.assertEqual(b.log_count("not delivered"), 0)

    def test_endpoint_comes_back(self):
        """While its breaker is open, probes go on to the end."""
        closed = Closed()
        back = Endpoint(port=closed.port, name="back")
        self.addCleanup(back.stop)
        self.addCleanup(closed.stop)
        ep, b = self.stage(20000, back.url,
                           {"vmq_webhooks.breaker_failures": 1,
                            "vmq_webhooks.breaker_open": 100})
        c = self.online(b, "c1")
        for i in range(5):
            c.publish("t/%d" % i, "x", 1)
        b.process.terminate()
        b.wait_log("terminating")
        closed.stop()
        back.start()
        self.ends(b, 8)
        self.assertEqual([r.header("webhook-sequence")
                          for r in back.requests],
                         [str(i) for i in range(1, 8)])

    def test_endpoint_stays_away(self):
        url = self.nobody()
        ep, b = self.stage(self.ms(300), url,
                           {"vmq_webhooks.breaker_failures": 1})
        c = self.online(b, "c1")
        for i in range(5):
            c.publish("t/%d" % i, "x", 1)
        self.ends(b, 4)
        self.assertEqual(self.undelivered(b, url), {
            "on_client_wakeup": 1, "on_register": 1, "on_publish": 5})

    def test_logins_do_not_hold_it(self):
        """2.1: nobody waits for their answers any longer."""
        if self.v20:
            return
        ep, b = self.stage(20000)
        self.asked.answers["auth_on_register"] = Stall()
        for i in range(5):
            self.client(b, "c%d" % i).open().send_connect("u", "p")
        self.asked.wait_for("auth_on_register", 5)
        self.ends(b, 5)


class Kept(BrokerTest):
    """A kept connection that the server closes is never an error."""

    def test_closed_between_two_calls(self):
        """With a patience that the next call comes close to. Calls that the
        server's kernel took just before the end may have been processed, for
        all that the plugin can know, and are not sent again."""
        ep = self.endpoint(idle=0.003)
        told = self.endpoint(idle=0.003)
        conf = endpoint_conf(ep.url, AUTH, "a")
        conf.update(endpoint_conf(told.url, TELL, "t"))
        b = self.broker(conf)
        c = self.online(b, "c1", 5)
        chance = random.Random(1)
        allowed = []
        for i in range(150):
            time.sleep(chance.uniform(0.001, 0.005))
            if c.publish("t/%d" % i, "x", 1).get("rc", 0) < 0x80:
                allowed.append("t/%d" % i)
        b.stop()
        self.assertEqual(len(allowed), 150 - ep.torn)
        seen = [r["topic"] for r in told.of("on_publish_m5")]
        self.assertEqual(len(seen), len(allowed) - told.torn)
        self.assertEqual([t for t in allowed if t in seen], seen)
        self.assertLess(ep.torn + told.torn, 5)
        self.assertGreater(ep.accepted, 10)
        self.assertLess(ep.accepted, 150)
        if not ep.torn + told.torn:
            self.assertEqual(b.failures(), [])

    def test_closed_while_it_rests(self):
        """All of a pool, and long before the next call."""
        ep = self.endpoint(idle=0.02)
        b = self.hooked(ep)
        cs = [self.online(b, "c%d" % i, 5) for i in range(10)]
        for i in range(5):
            for c in cs:
                c.send_publish("t", "x", 1)
            for c in cs:
                self.assertLess(c.wait("PUBACK").get("rc", 0), 0x80)
            ep.wait_for("on_publish_m5", 10 * (i + 1))
            ep.wait_open(0)
        b.stop()
        self.assertEqual(b.failures(), [])

    def test_server_starts_anew(self):
        ep = self.endpoint()
        b = self.hooked(ep, AUTH)
        c = self.online(b, "c1", 5)
        for i in range(5):
            ep.stop()
            ep.start()
            self.assertLess(c.publish("t", "x", 1).get("rc", 0), 0x80)
        self.assertEqual(b.failures(), [])


class Resolver(BrokerTest):
    """A name server that never answers, in a mount namespace of the
    broker's; needs root."""

    MOUNT = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'

    def name_server(self):
        """Silent, on an address of its own; None where that may not be."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        for last in range(2, 250):
            try:
                server.bind(("127.53.0.%d" % last, 53))
                break
            except PermissionError:
                return None
            except OSError:
                continue
        server.settimeout(5 * self.scale)
        return server

    def may_mount(self):
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", "mount --bind /dev/null "
             "/etc/resolv.conf"], capture_output=True).returncode == 0

    def test_delays_nobody_else(self):
        server = self.name_server() if self.may_mount() else None
        if not server or self.scale > 1:
            return
        ep = self.endpoint()
        lost = "http://nobody.example.com:%d/" % ep.port
        conf = endpoint_conf(lost, ("on_publish", "auth_on_subscribe"), "a")
        conf.update(endpoint_conf(ep.url, [h for h in ALL if h !=
                                           "auth_on_subscribe"], "b"))
        conf.update({"vmq_webhooks.blocking_timeout": 300,
                     "vmq_webhooks.drain_timeout": 0})
        b = self.unstarted(conf)
        resolv = b.write("resolv.conf", "nameserver %s\n"
                         "options timeout:30 attempts:1\n" %
                         server.getsockname()[0])
        b.wrap = ["unshare", "-m", "sh", "-c", self.MOUNT, resolv]
        b.start()
        self.addCleanup(b.stop)
        c = self.online(b, "c1")
        began = time.monotonic()
        for i in range(20):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish", 20)
        self.online(b, "c2").disconnect()
        ep.wait_for("on_client_gone")
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn(b"nobody", server.recv(512))
        # who is asked in vain costs its time once
        began = time.monotonic()
        for i in range(5):
            self.assertEqual(c.subscribe("t"), [0x80])
        took = time.monotonic() - began
        self.assertGreater(took, 0.25)
        self.assertLess(took, 2)
        began = time.monotonic()
        b.stop()
        self.assertLess(time.monotonic() - began, 5)
