"""/metrics and /health, on the admin socket and by TCP; metrics show."""

import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import exposition
from endpoint import DENY, NEXT, OK, Delay, Drop, Stall, kept
from host import (ALL, AUTH, BrokerTest, STEADY, admin_tool, endpoint_conf)
from test_docs import fences, page

PUBLISH = "auth_on_publish_m5"
REGISTER = ("auth_on_register", "auth_on_register_m5")
LISTEN = {"vmq_webhooks.metrics_listen": "127.0.0.1:0"}
IDLE = ("on_message_drop", "on_topic_unsubscribed", "on_config_change")
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(BrokerTest):

    def stage(self, hooks=(PUBLISH,), conf=None, url=None, **options):
        """An endpoint for these hooks, another one for the rest."""
        ep = self.endpoint(name="measured")
        self.fine = self.endpoint(name="fine")
        settings = endpoint_conf(url or ep.url, hooks, "a", **options)
        settings.update(endpoint_conf(
            self.fine.url, [h for h in ALL if h not in hooks], "z"))
        settings.update({"vmq_webhooks." + k: v
                         for k, v in (conf or {}).items()})
        settings.update(STEADY)
        return ep, self.broker(settings)

    def read(self, b, check=exposition.parse):
        status, headers, body = b.http("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], TYPE)
        return check(body.decode())

    def wait_for(self, b, true, timeout=10):
        """Read until it is so: what is told is counted when it has ended."""
        deadline = time.monotonic() + timeout * self.scale
        while True:
            m = self.read(b)
            if true(m):
                return m
            if time.monotonic() > deadline:
                self.fail("never: %s" % {k: v for k, v in m.values.items()
                                         if v})
            time.sleep(0.02)

    def outcomes(self, m, hook, url):
        return {dict(have)["outcome"]: v for (n, have), v in m.values.items()
                if n == "vmq_webhooks_calls_total" and v and
                {("hook", hook), ("endpoint", url)} <= have}

    def counts(self, m, hook, url):
        """How many calls each histogram has."""
        return {part: m.get("vmq_webhooks_%s_seconds_count" % part,
                            hook=hook, endpoint=url)
                for part in ("queue", "connect", "first_byte", "call")}

    def vernemqs(self, m, hook):
        return tuple(m.get("webhooks_%s_%s" % (hook, kind))
                     for kind in ("requests", "errors", "bytes_sent"))


class Shape(Metrics):

    def test_vernemqs_names(self):
        """25 hooks and three numbers, six more for logins."""
        m = self.read(self.broker())
        hooks = [n[9:-9] for n in m.types if re.fullmatch(
            "webhooks_.*_requests", n)]
        self.assertEqual(len(hooks), 25)
        self.assertTrue(set(IDLE) < set(hooks))
        names = [n for n in m.types if n.startswith("webhooks_")]
        self.assertEqual(len(names), 81)
        for name in names:
            self.assertEqual(m.types[name], "counter")
            self.assertEqual(m.get(name), 0)
        self.assertEqual(m.helps["webhooks_on_publish_requests"],
                         "Number of requests to on_publish webhooks")

    def test_promtool_has_no_objection(self):
        ep, b = self.stage(ALL)
        c = self.online(b, "c1", 5)
        c.subscribe("t")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5")
        self.read(b, exposition.parse_and_check)

    def test_the_parser_sees_what_is_wrong(self):
        head = "# HELP vmq_webhooks_x_total Text\n" \
               "# TYPE vmq_webhooks_x_total counter\n"
        line = 'vmq_webhooks_x_total{a="b"} 1\n'
        exposition.parse(head + line)
        for bad in (head + line + line, line, head + line[:-1],
                    head + line.replace('"b"', "b"),
                    head.replace("counter", "gauge") + line,
                    head + line.replace("_x_", "_y_"),
                    head + line + head + line.replace('"b"', '"c"')):
            with self.assertRaises(exposition.Bad):
                exposition.parse(bad)
        head = "# HELP vmq_webhooks_y_seconds Text\n" \
               "# TYPE vmq_webhooks_y_seconds histogram\n"
        bucket = 'vmq_webhooks_y_seconds_bucket{le="%s"} %d\n'
        rest = "vmq_webhooks_y_seconds_sum 1\nvmq_webhooks_y_seconds_count 2\n"
        exposition.parse(head + bucket % (1, 1) + bucket % ("+Inf", 2) + rest)
        for one, inf in ((2, 1), (1, 3)):
            with self.assertRaises(exposition.Bad):
                exposition.parse(head + bucket % (1, one) +
                                 bucket % ("+Inf", inf) + rest)

    def test_build_and_uptime(self):
        b = self.broker()
        m = self.read(b)
        version = m.series("vmq_webhooks_build_info")[0]["version"]
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")
        up = m.get("vmq_webhooks_uptime_seconds")
        self.wait_for(b, lambda m: m.get("vmq_webhooks_uptime_seconds") > up)

    def test_secrets_are_nowhere(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url.replace("//", "//joe:s3cret@"), AUTH, "a",
                             secret="whsec_" + "bm9ib2R5IG11" * 3)
        conf.update(endpoint_conf(
            ep.url, [h for h in ALL if h not in AUTH], "z",
            **{"header.Authorization": "Bearer t0ken"}))
        b = self.broker(conf)
        self.online(b, "c1", 5, password="pa55word").publish("t", "x", 1)
        ep.wait_for("on_publish_m5")
        self.assertEqual(ep.of("on_publish_m5")[0].header("authorization"),
                         "Bearer t0ken")
        pages = [b.http(p)[2].decode() for p in (
            "/metrics", "/health", "/api/v1/metrics/show")]
        self.assertIn(ep.url.replace("//", "//***@"), pages[0])
        for text in pages:
            for secret in ("joe", "s3cret", "t0ken", "bm9ib2R5", "pa55word",
                           "Bearer"):
                self.assertNotIn(secret, text)


class Counters(Metrics):

    def test_each_answer_has_its_outcome(self):
        answers = [OK, NEXT, DENY, "nonsense", (404, {}, OK), (503, {}, OK),
                   (429, {}, OK), OK]
        ep, b = self.stage()
        ep.answers[PUBLISH] = answers
        c = self.online(b, "c1", 5)
        before = self.read(b)
        self.assertEqual(self.outcomes(before, PUBLISH, ep.url), {})
        for i, _ in enumerate(answers):
            c.publish("t/%d" % i, "x" * i, 1)
        m = self.read(b)
        self.assertEqual(self.outcomes(m, PUBLISH, ep.url), {
            "ok": 2, "next": 1, "denied": 1, "refused": 2, "unavailable": 2})
        sent = sum(len(r.raw) for r in ep.of(PUBLISH))
        self.assertEqual(self.vernemqs(m, PUBLISH), (8, 5, sent))
        self.assertEqual(m.get("vmq_webhooks_sent_bytes_total", hook=PUBLISH,
                               endpoint=ep.url), sent)
        self.assertEqual(self.counts(m, PUBLISH, ep.url), {
            "queue": 8, "first_byte": 8, "call": 8, "connect": ep.accepted})
        self.assertEqual(self.vernemqs(m, "auth_on_publish"), (0, 0, 0))

    def test_nobody_there(self):
        url = self.nobody()
        ep, b = self.stage(url=url)
        c = self.online(b, "c1", 5)
        for i in range(3):
            c.publish("t", "x", 1)
        m = self.read(b)
        self.assertEqual(self.outcomes(m, PUBLISH, url), {"failed": 3})
        self.assertEqual(self.vernemqs(m, PUBLISH)[:2], (3, 3))
        # each tried to connect, and none had a reply
        self.assertEqual(self.counts(m, PUBLISH, url), {
            "queue": 3, "first_byte": 0, "call": 3, "connect": 3})

    def test_timeout(self):
        ep, b = self.stage(REGISTER, response_timeout=300)
        ep.answers["auth_on_register"] = Stall()
        self.client(b, "c1").connect("u", "p", rc=5)
        m = self.read(b)
        self.assertEqual(self.outcomes(m, "auth_on_register", ep.url),
                         {"timeout": 1})
        self.assertEqual(m.get("webhooks_auth_on_register_timeouts"), 1)
        self.assertEqual(m.get("webhooks_auth_on_register_errors"), 1)
        self.assertEqual(m.get("webhooks_auth_on_register_m5_timeouts"), 0)
        self.assertGreaterEqual(
            m.get("webhooks_auth_on_register_elapsed_ms"), 290)
        self.assertGreaterEqual(
            m.get("vmq_webhooks_call_seconds_sum", hook="auth_on_register",
                  endpoint=ep.url), 0.29)

    def test_elapsed(self):
        ep, b = self.stage(REGISTER)
        ep.answers["auth_on_register_m5"] = Delay(0.1)
        self.online(b, "c1", 5)
        m = self.read(b)
        self.assertGreaterEqual(
            m.get("webhooks_auth_on_register_m5_elapsed_ms"), 95)
        self.assertEqual(m.get("webhooks_auth_on_register_m5_cancelled"), 0)
        self.assertGreaterEqual(
            m.get("vmq_webhooks_first_byte_seconds_sum",
                  hook="auth_on_register_m5", endpoint=ep.url), 0.095)

    def test_broken_connection(self):
        ep, b = self.stage()
        ep.answers[PUBLISH] = Drop()
        self.online(b, "c1", 5).publish("t", "x", 1)
        self.assertEqual(self.outcomes(self.read(b), PUBLISH, ep.url),
                         {"failed": 1})

    def test_notifications(self):
        ep, b = self.stage(("on_publish",))
        ep.answers["on_publish"] = [{}, {}, (404, {}, {}), {}]
        c = self.online(b, "c1")
        for i in range(10):
            c.publish("t", "x", 1)
        m = self.wait_for(b, lambda m: m.get(
            "webhooks_on_publish_requests") == 10)
        self.assertEqual(self.outcomes(m, "on_publish", ep.url),
                         {"ok": 9, "refused": 1})
        self.assertEqual(self.vernemqs(m, "on_publish"), (
            10, 1, sum(len(r.raw) for r in ep.of("on_publish"))))

    def test_dropped(self):
        """What the queue has no room for is lost, and no request."""
        ep, b = self.stage(("on_publish",), {"max_queue": 2})
        stall = ep.answers["on_publish"] = Stall()
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish")
        for i in range(9):
            c.publish("t", "x", 1)
        label = {"hook": "on_publish", "endpoint": ep.url}
        m = self.wait_for(b, lambda m: m.get(
            "vmq_webhooks_notifications_lost_total", reason="dropped",
            **label) == 7)
        at = {"endpoint": ep.url}
        self.assertEqual(m.get("vmq_webhooks_endpoint_queued_calls", **at), 2)
        self.assertEqual(m.get("vmq_webhooks_endpoint_in_flight_calls", **at),
                         1)
        self.assertGreater(m.get("vmq_webhooks_endpoint_queued_bytes", **at),
                           0)
        self.assertEqual(m.get("vmq_webhooks_endpoint_queue_full_total", **at),
                         7)
        self.assertEqual(self.vernemqs(m, "on_publish"), (0, 0, 0))
        stall.release()
        m = self.wait_for(b, lambda m: m.get(
            "webhooks_on_publish_requests") == 3)
        self.assertEqual(m.get("vmq_webhooks_endpoint_queued_calls", **at), 0)
        self.assertEqual(self.vernemqs(m, "on_publish")[1], 0)
        self.assertEqual(m.get("vmq_webhooks_notifications_lost_total",
                               reason="expired", **label), 0)

    def test_expired(self):
        """Too old to be sent: lost, and no request."""
        ep, b = self.stage(("on_publish",), max_event_age=300,
                           response_timeout=20000)
        stall = ep.answers["on_publish"] = Stall()
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        ep.wait_for("on_publish")
        c.publish("t", "x", 1)
        m = self.wait_for(b, lambda m: m.get(
            "vmq_webhooks_notifications_lost_total", hook="on_publish",
            endpoint=ep.url, reason="expired") == 1)
        self.assertEqual(self.vernemqs(m, "on_publish"), (0, 0, 0))
        stall.release()
        self.wait_for(b, lambda m: m.get("webhooks_on_publish_requests") == 1)

    def test_retries(self):
        """Sent twice, one call."""
        ep, b = self.stage(("on_publish",))
        ep.answers["on_publish"] = [(503, {}, {}), {}]
        self.online(b, "c1").publish("t", "x", 1)
        m = self.wait_for(b, lambda m: m.get(
            "webhooks_on_publish_requests") == 1)
        at = {"endpoint": ep.url}
        self.assertEqual(m.get("vmq_webhooks_endpoint_requests_total", **at),
                         2)
        self.assertEqual(m.get("vmq_webhooks_endpoint_retries_total", **at), 1)
        self.assertEqual(self.outcomes(m, "on_publish", ep.url), {"ok": 1})

    def test_breaker(self):
        url = self.nobody()
        ep, b = self.stage(url=url, conf={"breaker_open": 60000})
        b.stop()
        conf = dict(b.conf, **{"vmq_webhooks.breaker_failures": 3})
        conf.pop("vmq_webhooks.admin_socket")
        b = self.broker(conf)
        at = {"endpoint": url}
        c = self.online(b, "c1", 5)
        for i in range(10):
            c.publish("t", "x", 1)
        m = self.read(b)
        self.assertEqual(m.get("vmq_webhooks_endpoint_breaker_open", **at), 1)
        self.assertEqual(
            m.get("vmq_webhooks_endpoint_breaker_opened_total", **at), 1)
        self.assertEqual(m.get("vmq_webhooks_unasked_total", hook=PUBLISH,
                               **at), 7)
        self.assertEqual(self.outcomes(m, PUBLISH, url), {"failed": 3})
        self.assertEqual(m.get("vmq_webhooks_endpoint_breaker_open",
                               endpoint=self.fine.url), 0)
        self.assertEqual(json.loads(b.http("/health")[2])["open_breakers"], 1)
        self.assertEqual(b.http("/health")[0], 200)

    def test_cache(self):
        ep, b = self.stage()
        ep.answers[PUBLISH] = kept(60)
        c = self.online(b, "c1", 5)
        for i in range(5):
            c.publish("t", "x", 1)
        m = self.read(b)
        label = {"hook": PUBLISH, "endpoint": ep.url}
        got = {kind: m.get("vmq_webhooks_cache_" + kind, **label)
               for kind in ("hits_total", "misses_total", "stores_total",
                            "entries", "evicted_total")}
        self.assertEqual(got, {"hits_total": 4, "misses_total": 1,
                               "stores_total": 1, "entries": 1,
                               "evicted_total": 0})
        # what is kept is no request
        self.assertEqual(self.vernemqs(m, PUBLISH)[0], 1)

    def test_allowed_on_error(self):
        ep, b = self.stage(on_error="allow")
        ep.answers[PUBLISH] = (500, {}, OK)
        self.online(b, "c1", 5).publish("t", "x", 1)
        m = self.read(b)
        self.assertEqual(m.get("vmq_webhooks_allowed_on_error_total",
                               hook=PUBLISH, endpoint=ep.url), 1)
        self.assertEqual(self.outcomes(m, PUBLISH, ep.url),
                         {"unavailable": 1})

    def test_given_up(self):
        """The broker waits no longer; the call ends on its own."""
        ep, b = self.stage(conf={"blocking_timeout": 100})
        stall = ep.answers[PUBLISH] = Stall()
        self.online(b, "c1", 5).publish("t", "x", 1)
        label = {"hook": PUBLISH, "endpoint": ep.url}
        m = self.read(b)
        self.assertEqual(m.get("vmq_webhooks_given_up_total", **label), 1)
        self.assertEqual(self.vernemqs(m, PUBLISH)[:2], (0, 1))
        stall.release()
        m = self.wait_for(b, lambda m: self.outcomes(m, PUBLISH, ep.url))
        self.assertEqual(self.outcomes(m, PUBLISH, ep.url), {"ok": 1})
        self.assertEqual(self.vernemqs(m, PUBLISH)[:2], (1, 1))


class Series(Metrics):

    def test_deregistering_takes_nothing_from_vernemqs(self):
        ep, b = self.stage()
        c = self.online(b, "c1", 5)
        for i in range(3):
            c.publish("t", "x", 1)
        before = self.read(b)
        self.assertEqual(self.vernemqs(before, PUBLISH)[0], 3)
        self.assertEqual(b.api("deregister", [
            ("hook", PUBLISH), ("endpoint", ep.url)])[0], 200)
        m = self.wait_for(b, lambda m: not m.sum(
            "vmq_webhooks_webhooks") == before.get("vmq_webhooks_webhooks"))
        self.assertEqual(self.vernemqs(m, PUBLISH),
                         self.vernemqs(before, PUBLISH))
        self.assertEqual([s for s in m.series("vmq_webhooks_calls_total")
                          if s["endpoint"] == ep.url], [])
        self.assertEqual(m.get("vmq_webhooks_settings_changes_total"), 1)
        self.assertEqual(b.api("register", [
            ("hook", PUBLISH), ("endpoint", ep.url)])[0], 200)
        c.publish("t", "x", 1)
        m = self.read(b)
        self.assertEqual(self.vernemqs(m, PUBLISH)[0], 4)
        self.assertEqual(self.outcomes(m, PUBLISH, ep.url), {"ok": 1})

    def test_one_url_with_two_users_is_one_series(self):
        ep = self.endpoint()
        fine = self.endpoint()
        conf = endpoint_conf(fine.url, [h for h in ALL if h != PUBLISH], "z")
        for i, user in enumerate(("ann:1", "joe:2")):
            conf.update(endpoint_conf(
                ep.url.replace("//", "//%s@" % user), (PUBLISH,),
                "u%d" % i))
        ep.answers[PUBLISH] = NEXT
        b = self.broker(conf)
        self.online(b, "c1", 5).publish("t", "x", 1)
        m = self.read(b)
        shown = ep.url.replace("//", "//***@")
        self.assertEqual(ep.count(PUBLISH), 2)
        self.assertEqual(self.outcomes(m, PUBLISH, shown), {"next": 2})
        self.assertEqual(self.counts(m, PUBLISH, shown)["call"], 2)
        self.assertEqual(m.get("vmq_webhooks_endpoint_requests_total",
                               endpoint=shown), 2)


class Load(Metrics):

    def test_nothing_goes_back(self):
        ep, b = self.stage(ALL)
        clients = [self.online(b, "c%d" % i, 4 + i % 2) for i in range(4)]
        failed = []

        def work(c):
            try:
                for i in range(100):
                    c.publish("t/%d" % i, "x", 1)
            except Exception as e:      # noqa: told by the main thread
                failed.append(e)

        threads = [threading.Thread(target=work, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        before, reads = {}, 0
        while any(t.is_alive() for t in threads) or not reads:
            now = self.read(b).counters()
            for key, value in before.items():
                self.assertGreaterEqual(now[key], value, key)
            before, reads = now, reads + 1
        self.assertEqual(failed, [])
        m = self.wait_for(b, lambda m: sum(
            m.get("webhooks_on_publish%s_requests" % x)
            for x in ("", "_m5")) == 400)
        for hook in ("auth_on_publish", PUBLISH, "on_publish",
                     "on_publish_m5"):
            self.assertEqual(m.get("webhooks_%s_requests" % hook), 200)
            self.assertEqual(m.get("webhooks_%s_errors" % hook), 0)
            got = self.counts(m, hook, ep.url)
            self.assertEqual((got["queue"], got["first_byte"], got["call"]),
                             (200, 200, 200))
        # some found a connection, and some had to make one
        connects = m.sum("vmq_webhooks_connect_seconds_count")
        self.assertGreater(connects, 0)
        self.assertEqual(
            connects + m.get("vmq_webhooks_endpoint_reused_connections_total",
                             endpoint=ep.url),
            m.sum("vmq_webhooks_call_seconds_count"))

    def test_while_the_broker_is_held(self):
        ep, b = self.stage()
        stall = ep.answers[PUBLISH] = Stall()
        c = self.online(b, "c1", 5)
        c.send_publish("t", "x", 1)
        ep.wait_for(PUBLISH)
        took = []
        for path in ("/metrics", "/health") * 10:
            began = time.monotonic()
            self.assertEqual(b.http(path)[0], 200)
            took.append(time.monotonic() - began)
        m = self.read(b)
        self.assertEqual(m.get("vmq_webhooks_endpoint_in_flight_calls",
                               endpoint=ep.url), 1)
        self.assertEqual(self.outcomes(m, PUBLISH, ep.url), {})
        for of_page in took[::2], took[1::2]:
            self.assertLess(min(of_page), 0.1 * self.scale)
        stall.release()
        c.wait("PUBACK")
        label = {"hook": PUBLISH, "endpoint": ep.url}
        m = self.read(b)
        self.assertEqual(m.get("vmq_webhooks_broker_held_calls_total",
                               **label), 1)
        self.assertGreaterEqual(
            m.get("vmq_webhooks_broker_held_seconds_total", **label),
            sum(took) * 0.9)


class Health(Metrics):

    def health(self, b):
        status, headers, body = b.http("/health")
        self.assertEqual(headers["Content-Type"], "application/json")
        return status, json.loads(body)

    def wait_health(self, b, status):
        deadline = time.monotonic() + 15 * self.scale
        while True:
            got = self.health(b)
            if got[0] == status:
                return got[1]
            self.assertLess(time.monotonic(), deadline, got)
            time.sleep(0.05)

    def test_ok(self):
        b = self.broker()
        body = self.wait_health(b, 200)
        self.assertEqual(body["status"], "ok")
        self.assertEqual(body["open_breakers"], 0)
        while not body["broker_ticks"]:
            body = self.wait_health(b, 200)
        self.assertLess(body["broker_seen_ms_ago"], 5000)

    def test_a_broker_that_is_held_too_long(self):
        ep, b = self.stage(response_timeout=20000)
        stall = ep.answers[PUBLISH] = Stall()
        c = self.online(b, "c1", 5)
        self.wait_health(b, 200)
        c.send_publish("t", "x", 1)
        ep.wait_for(PUBLISH)
        body = self.wait_health(b, 503)
        self.assertEqual(body["status"], "failing")
        self.assertRegex(body["reason"],
                         r"the broker's thread was last seen \d+ ms ago")
        self.assertGreaterEqual(
            self.read(b).get("vmq_webhooks_broker_idle_seconds"), 5)
        stall.release()
        c.wait("PUBACK")
        self.wait_health(b, 200)

    def test_where_no_tick_ever_comes(self):
        """2.0.11 with per_listener_settings; others tick."""
        b = self.broker(per_listener=True)
        time.sleep(5.5)         # longer than a broker may be unseen
        status, body = self.health(b)
        self.assertEqual((status, body["status"]), (200, "ok"))


class Listener(Metrics):

    def listening(self, conf=None):
        b = self.broker(dict(LISTEN, **(conf or {})))
        line = b.wait_log("metrics at http://")
        return b, re.search(r"http://[0-9.:]+", line).group()

    def ask(self, url, method="GET"):
        request = urllib.request.Request(url, method=method)
        try:
            with urllib.request.urlopen(request,
                                        timeout=10 * self.scale) as r:
                return r.status, r.headers, r.read().decode()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.headers, e.read().decode()

    def test_two_pages(self):
        b, at = self.listening()
        status, headers, text = self.ask(at + "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, TYPE))
        names = set(exposition.parse(text).types)
        self.assertEqual(names, set(self.read(b).types))
        status, _, text = self.ask(at + "/health")
        self.assertEqual((status, json.loads(text)["status"]), (200, "ok"))
        self.assertEqual(self.ask(at + "/metrics", "HEAD")[::2], (200, ""))

    def test_nothing_else(self):
        b, at = self.listening()
        for path in ("/", "/metrics/", "/api/v1/webhooks/show",
                     "/api/v1/metrics/show", "/api/v1/webhooks/cache/clear",
                     "/api/v1/webhooks/register?hook=on_publish&"
                     "endpoint=http://127.0.0.1:1/"):
            self.assertEqual(self.ask(at + path)[0], 404, path)
            for method in ("POST", "PUT", "DELETE"):
                status, headers, _ = self.ask(at + path, method)
                self.assertEqual((status, headers["Allow"]),
                                 (405, "GET, HEAD"))
        self.assertEqual(self.ask(at + "/metrics", "POST")[0], 405)
        self.assertEqual(b.api("show")[1]["table"], [])

    def test_not_unless_wanted(self):
        b = self.broker()
        self.assertEqual(b.log_count("metrics at"), 0)

    def test_a_port_that_is_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(1)
            address = "127.0.0.1:%d" % s.getsockname()[1]
            b = self.unstarted({"vmq_webhooks.metrics_listen": address})
            self.spawn_refused(b, r"vmq_webhooks\.metrics_listen: cannot "
                               "listen on %s: .*give another port" %
                               re.escape(address))
        self.assertFalse(os.path.exists(b.socket))

    def spawn_refused(self, b, pattern):
        """refused() would try another port for the broker."""
        b.spawn()
        b.process.wait(10 * self.scale)
        self.assertGreater(b.process.returncode, 0)
        self.has(b.log(), pattern)

    def test_what_is_no_address(self):
        for value in ("localhost:9883", "9883", "127.0.0.1", "[::1]"):
            b = self.unstarted({"vmq_webhooks.metrics_listen": value})
            self.has(b.refused(), r"vmq_webhooks\.metrics_listen: no address "
                                  "to listen on; allowed")

    def test_port_again_at_once(self):
        """A restart is not kept from it by connections of before."""
        b, at = self.listening()
        port = int(at.rsplit(":", 1)[1])
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request("GET", "/health")
        c.getresponse().read()          # and stays open
        b.stop()
        again, at = self.listening({
            "vmq_webhooks.metrics_listen": "127.0.0.1:%d" % port})
        self.assertEqual(self.ask(at + "/health")[0], 200)
        c.close()

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b, at = self.listening(endpoint_conf(ep.url, AUTH))
        stall = ep.answers[PUBLISH] = Stall()
        c = self.online(b, "c1", 5)
        c.send_publish("t", "x", 1)
        ep.wait_for(PUBLISH)
        self.assertEqual(self.ask(at + "/metrics")[0], 200)
        self.assertEqual(self.ask(at + "/health")[0], 200)
        stall.release()
        c.wait("PUBACK")

    def test_off_with_the_plugin(self):
        b = self.broker(dict(LISTEN, **{"plugins.vmq_webhooks": "off"}))
        self.assertEqual(b.log_count("metrics at"), 0)


class Command(Metrics):

    def metrics(self, b, *args):
        return subprocess.run(
            [admin_tool(), "metrics"] + list(args), capture_output=True,
            text=True, timeout=20 * self.scale,
            env=dict(os.environ, VMQ_WEBHOOKS_SOCKET=b.socket))

    def test_lines(self):
        ep, b = self.stage()
        self.online(b, "c1", 5).publish("t", "x", 1)
        done = self.metrics(b, "show")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = dict(line.split(" = ") for line in done.stdout.splitlines())
        self.assertEqual(lines["counter.webhooks_%s_requests" % PUBLISH], "1")
        self.assertEqual(lines["counter.webhooks_on_config_change_errors"],
                         "0")
        label = 'hook="%s",endpoint="%s"' % (PUBLISH, ep.url)
        self.assertEqual(lines["counter.vmq_webhooks_calls_total{%s,"
                               'outcome="ok"}' % label], "1")
        p99 = float(lines["histogram.vmq_webhooks_call_seconds{%s,"
                          'quantile="0.99"}' % label])
        self.assertGreater(p99, 0)
        self.assertNotIn("_bucket", done.stdout)

    def test_the_same_numbers_as_the_page(self):
        ep, b = self.stage(ALL)
        c = self.online(b, "c1", 5)
        for i in range(5):
            c.publish("t", "x", 1)
        self.wait_for(b, lambda m: m.get(
            "webhooks_on_publish_m5_requests") == 5)
        done = self.metrics(b, "show", "--format=json")
        self.assertEqual(done.returncode, 0)
        table = json.loads(done.stdout)
        self.assertEqual(table["type"], "table")
        m = self.read(b)
        for row in table["table"]:
            self.assertEqual(list(row), ["type", "name", "value"])
            name, _, labels = row["name"].partition("{")
            if row["type"] != "counter":
                continue
            key = name, exposition.labels_of(labels[:-1])
            self.assertEqual(m.values[key], row["value"], row)
        rows = [r for r in table["table"] if r["type"] == "counter"]
        self.assertEqual(len(rows), len([
            n for n, _ in m.values if m.types.get(n) == "counter"]))

    def test_misuse(self):
        b = self.broker()
        for args in ((), ("shew",), ("show", "more")):
            done = self.metrics(b, *args)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.has(done.stderr, "Usage: vmq-admin metrics")
        done = self.metrics(b, "show", "hook=on_publish")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.has(done.stderr, "hook")
        done = self.metrics(b, "show", "--help")
        self.assertEqual(done.returncode, 0)
        self.has(done.stdout, "Usage: vmq-admin metrics show")

    def test_without_a_broker(self):
        b = self.unstarted()
        done = self.metrics(b, "show")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.has(done.stderr, "no socket")


class Docs(Metrics):

    def listed(self):
        """{metric: type} of the tables, VerneMQ's with its hook written
        out."""
        out = {}
        for names, kind in re.findall(
                r"^\| (`(?:vmq_)?webhooks_.*?`) \| (\w+) \|",
                page("docs/metrics.md"), re.M):
            for name in re.findall("`(.*?)`", names):
                out[name] = kind
        return out

    def test_every_metric_is_listed_and_no_other(self):
        ep, b = self.stage(ALL)
        self.online(b, "c1", 5)
        served = {}
        for name, kind in self.read(b).types.items():
            m = re.fullmatch("webhooks_(.*)_(requests|errors|bytes_sent)",
                             name)
            served["webhooks_<hook>_" + m.group(2) if m else name] = kind
        self.assertEqual(served, self.listed())

    def test_every_label_value_is_listed(self):
        ep, b = self.stage(("on_publish",))
        m = self.read(b)
        text = page("docs/metrics.md")
        for name, label in (("calls", "outcome"),
                            ("notifications_lost", "reason")):
            values = {s[label] for s in m.series(
                "vmq_webhooks_%s_total" % name)}
            self.assertGreater(len(values), 2)
            for value in values:
                self.assertIn("`%s`" % value, text)

    def test_every_bucket_is_listed(self):
        ep, b = self.stage(("on_publish",))
        bounds = sorted({float(s["le"]) for s in self.read(b).series(
            "vmq_webhooks_call_seconds_bucket")})[:-1]
        line = re.search("The buckets of .*? end at (.*?) s\\.",
                         page("docs/metrics.md")).group(1)
        ms, s = line.split(" ms, and ")
        numbers = [[float(n) for n in re.findall(r"[\d.]+", part)]
                   for part in (ms, s)]
        self.assertEqual([n / 1000 for n in numbers[0]] + numbers[1], bounds)

    def test_commands(self):
        b = self.broker()
        env = dict(os.environ, VMQ_WEBHOOKS_SOCKET=b.socket)
        env["PATH"] = os.path.dirname(admin_tool()) + ":" + env["PATH"]
        commands = [line for f in fences(page("docs/metrics.md"), "sh")
                    for line in f.splitlines()]
        self.assertEqual(len(commands), 5)
        for command in commands:
            done = subprocess.run(["bash", "-c", command], env=env,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, command + done.stderr)
            self.assertRegex(done.stdout, 'webhooks_|"status":"ok"')

    def test_health_is_as_shown(self):
        b = self.broker()
        shown = [json.loads(line) for line in page("docs/metrics.md")
                 .splitlines() if line.startswith('{"status":"ok"')]
        self.assertEqual(len(shown), 1)
        self.assertEqual(list(json.loads(b.http("/health")[2])),
                         list(shown[0]))
