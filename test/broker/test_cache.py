"""Answers with max-age are kept."""

import base64
import collections
import time

from endpoint import DENY, NEXT, OK, Stall, kept, ok
from host import AUTH, BOUNDED, STEADY, BrokerTest, endpoint_conf


class CacheTest(BrokerTest):

    def stage(self, **kw):
        ep = self.endpoint()
        return ep, self.hooked(ep, **kw)

    def login(self, b, password="p", username="u", client_id="c1",
              version=4, rc=0, clean=True):
        """Come, and go again when let in."""
        c = self.client(b, client_id, version)
        c.connect(username, password, rc=rc, clean=clean)
        if rc:
            c.expect_closed()
        else:
            c.disconnect()

    def shown(self, b):
        """{(stat, hook): value} of `cache show`, those that are not 0."""
        status, body = b.api("cache/show")
        self.assertEqual(status, 200)
        self.assertEqual(body["type"], "table")
        return {(r["stat"], r["hook"]): r["value"] for r in body["table"]
                if r["value"]}

    def counters(self, b, hook):
        """{stat: value} of `cache show --all` for one hook; 0 if absent."""
        status, body = b.api("cache/show", [("--all", None)])
        self.assertEqual(status, 200)
        out = collections.Counter()
        for row in body["table"]:
            if row["hook"] == hook:
                out[row["stat"]] += row["value"]
        return out

    def wait_counters(self, b, hook, **wanted):
        """Until these have these values: what happens behind the scenes."""
        deadline = time.monotonic() + 5 * self.scale
        while True:
            is_now = self.counters(b, hook)
            if all(is_now[stat] == n for stat, n in wanted.items()):
                return is_now
            if time.monotonic() > deadline:
                self.fail("%r is not %r" % (is_now, wanted))
            time.sleep(0.01)


class Cache(CacheTest):

    def test_no_second_call(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        ep.answers["auth_on_register_m5"] = kept(60)
        for v in (4, 5):
            hook = self.hook("auth_on_register", v)
            for i in range(3):
                self.login(b, version=v)
                self.assertEqual(ep.count(hook), 1)

    def test_publish_and_subscribe(self):
        ep, b = self.stage()
        for hook in ("auth_on_publish", "auth_on_subscribe"):
            ep.answers[hook] = ep.answers[hook + "_m5"] = kept(60)
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            for i in range(3):
                self.assertEqual(c.subscribe("t"), [0])
                c.publish("t", "payload %d" % i, 1)
                self.assertEqual(c.message()["payload"], "payload %d" % i)
            self.assertEqual(ep.count(self.hook("auth_on_publish", v)), 1)
            self.assertEqual(ep.count(self.hook("auth_on_subscribe", v)), 1)
            ep.wait_for(self.hook("on_publish", v), 3)
            ep.wait_for(self.hook("on_subscribe", v), 3)

    def test_without_max_age(self):
        ep, b = self.stage()
        for headers in ({}, {"Cache-Control": "public"},
                        {"Cache-Control": "max-age=0"},
                        {"Cache-Control": "max-age=60, no-store"},
                        {"Cache-Control": "no-cache, max-age=60"},
                        {"Cache-Control": "max-age=60x"},
                        {"Cache-Control": "max-age=5, max-age=60"},
                        {"Cache-Control": "s-maxage=60"},
                        {"Cache-Control": "max-age=60", "Age": "60"},
                        {"Expires": "Thu, 01 Jan 2099 00:00:00 GMT"}):
            with self.subTest(headers=headers):
                ep.answers["auth_on_register"] = 200, headers, OK
                before = ep.count("auth_on_register")
                self.login(b)
                self.login(b)
                self.assertEqual(ep.count("auth_on_register") - before, 2)

    def test_spellings_of_max_age(self):
        ep, b = self.stage()
        for i, value in enumerate((
                "max-age=60", "Max-Age=60", "public, max-age=60",
                'max-age="60"', "private, must-revalidate,max-age=60",
                "max-age=99999999999")):
            with self.subTest(value=value):
                ep.answers["auth_on_register"] = (
                    200, {"cache-CONTROL": value}, OK)
                before = ep.count("auth_on_register")
                self.login(b, client_id="c%d" % i)
                self.login(b, client_id="c%d" % i)
                self.assertEqual(ep.count("auth_on_register") - before, 1)

    def test_expires(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(1)
        self.login(b)
        self.login(b)
        self.assertEqual(ep.count("auth_on_register"), 1)
        time.sleep(1.05)
        ep.answers["auth_on_register"] = DENY
        self.login(b, rc=5)
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_key(self):
        """Whatever is in the question, but for the payload."""
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        ep.answers["auth_on_publish"] = kept(60)
        for n, other in enumerate(({}, {"password": "q"},
                                   {"username": "v"}, {"client_id": "c2"},
                                   {"clean": False})):
            for _ in range(2):
                self.login(b, **other)
                self.assertEqual(ep.count("auth_on_register"), n + 1)
        c = self.online(b, "pub")
        for n, (topic, qos, retain) in enumerate((
                ("a", 0, False), ("b", 0, False), ("a", 1, False),
                ("a", 0, True))):
            for i in range(3):
                c.publish(topic, "x%d" % i, qos, retain=retain)
                c.barrier()
                self.assertEqual(ep.count("auth_on_publish"), n + 1)

    def test_key_is_unambiguous(self):
        """Parts of the question do not run into each other."""
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        self.login(b, username="ab", password="c")
        self.login(b, username="a", password="bc")
        self.login(b, username="abc", password=None)
        self.login(b, username="abc", password="null")
        self.login(b, username=None, password=None)
        self.assertEqual(ep.count("auth_on_register"), 5)

    def test_another_password_is_asked(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = \
            lambda r: kept(60) if r["password"] == "good" else DENY
        self.login(b, "good")
        self.login(b, "bad", rc=5)
        self.login(b, "good")
        self.login(b, "bad", rc=5)
        self.assertEqual(
            [r["password"] for r in ep.of("auth_on_register")],
            ["good", "bad", "bad"])

    def test_refusals_are_not_kept(self):
        ep, b = self.stage()
        for answer in (DENY, NEXT, b"nonsense", {}, ok(bogus=1),
                       ok(username=1)):
            with self.subTest(answer=answer):
                ep.answers["auth_on_register"] = kept(60, answer)
                before = ep.count("auth_on_register")
                self.login(b, rc=5)
                self.login(b, rc=5)
                self.assertEqual(ep.count("auth_on_register") - before, 2)
        self.assertNotIn(("entries", "auth_on_register"), self.shown(b))
        ep.answers.clear()
        self.login(b)

    def test_other_status_is_not_kept(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = (
            201, {"Cache-Control": "max-age=60"}, OK)
        self.login(b, rc=5)
        self.login(b, rc=5)
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_modifiers_are_kept(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish"] = kept(60, ok(topic="new/topic",
                                                    retain=False))
        ep.answers["auth_on_register"] = kept(60, ok(username="jane"))
        for i in range(3):
            c = self.online(b, "c1")
            c.publish("t", "x%d" % i, 1, retain=True)
            self.assertEqual(sub.message("new/topic")["payload"],
                             "x%d" % i)
            r = ep.wait_for("on_publish", i + 1)
            self.assertEqual((r["username"], r["topic"], r["retain"]),
                             ("jane", "new/topic", False))
            c.disconnect()
        self.assertEqual(ep.count("auth_on_publish"), 1)

    def test_payload_rewrite_is_not_kept(self):
        """As VerneMQ does; and it is said once."""
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish"] = kept(60, ok(
            topic="new/topic",
            payload=base64.b64encode(b"rewritten").decode()))
        c = self.online(b, "c1")
        for want in ("rewritten", "mine", "mine"):
            c.publish("t", "mine", 1)
            self.assertEqual(sub.message("new/topic")["payload"], want)
        self.assertEqual(ep.count("auth_on_publish"), 1)
        said = "payload.*(max-age|cache|kept)|(max-age|cache|kept).*payload"
        b.wait_log(said)
        self.assertEqual(len(b.lines_with(said)), 1)

    def test_notifications_are_not_kept(self):
        ep, b = self.stage()
        ep.answers["on_publish"] = kept(60, {})
        c = self.online(b, "c1")
        for i in range(3):
            c.publish("t", "x", 1)
        ep.wait_for("on_publish", 3)

    def test_each_endpoint_keeps_its_own(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ("auth_on_register",), "a")
        conf.update(endpoint_conf(second.url, ("auth_on_register",), "b"))
        b = self.broker(conf)
        first.answers["*"] = NEXT
        second.answers["*"] = kept(60)
        for i in range(3):
            self.login(b)
        self.assertEqual((first.count(), second.count()), (3, 1))

    def test_show(self):
        ep, b = self.stage()
        self.assertEqual(self.shown(b), {})
        ep.answers["auth_on_register"] = kept(60)
        self.login(b)
        self.login(b)
        self.login(b)
        self.login(b, "q")
        self.login(b, version=5)
        shown = self.shown(b)
        self.assertEqual(shown[("entries", "auth_on_register")], 2)
        self.assertEqual(shown[("hits", "auth_on_register")], 2)
        self.assertEqual(shown[("misses", "auth_on_register")], 2)
        self.assertNotIn(("entries", "auth_on_register_m5"), shown)
        self.assertEqual(shown[("misses", "auth_on_register_m5")], 1)
        rows = b.api("cache/show")[1]["table"]
        self.assertEqual({r["endpoint"] for r in rows}, {ep.url})
        self.assertEqual([r["stat"] for r in rows],
                         sorted((r["stat"] for r in rows), reverse=True))

    def test_show_reset(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        self.login(b)
        self.login(b)
        status, body = b.api("cache/show", [("--reset", None)])
        self.assertEqual(status, 200)
        shown = self.shown(b)
        self.assertNotIn(("hits", "auth_on_register"), shown)
        self.assertNotIn(("misses", "auth_on_register"), shown)
        self.login(b)
        self.assertEqual(ep.count("auth_on_register"), 1)
        self.assertEqual(self.shown(b)[("hits", "auth_on_register")], 1)

    def test_clear(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        self.login(b)
        status, body = b.api("cache/clear")
        self.assertEqual((status, body), (200, {"text": "Done",
                                                "type": "text"}))
        self.assertEqual(self.shown(b), {})
        self.login(b)
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_deregistering_drops_entries(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        self.login(b)
        args = [("hook", "auth_on_register"), ("endpoint", ep.url)]
        self.assertEqual(b.api("deregister", args)[0], 200)
        self.login(b, rc=5)
        self.assertEqual(b.api("register", args)[0], 200)
        self.login(b)
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_passwords_are_not_in_memory(self):
        """Keys are digests: once the client is gone, so is its password."""
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60)
        secret = b"correct horse battery staple"
        self.login(b, secret)
        self.login(b, secret)
        ep.wait_for("on_client_gone", 2)
        for i in range(20):     # use the broker's buffers for other things
            self.login(b, "other %d" % i + "x" * 50, client_id="o%d" % i)
        self.assertEqual(self.shown(b)[("hits", "auth_on_register")], 1)
        self.assertNotIn("staple", b.log())


class Stale(CacheTest):
    """RFC 5861: what serves when its life is over."""

    WHILE = "1, stale-while-revalidate=60"
    ERROR = "1, stale-if-error=60"

    def grow_old(self):
        time.sleep(1.05)        # a life of one second

    def published(self, c, sub, text, topic="t"):
        """Through to a subscriber."""
        c.publish(topic, text, 1)
        self.assertEqual(sub.message(topic)["payload"], text)

    def test_while_revalidate(self):
        """The old answer at once, and one call behind the scenes."""
        ep, b = self.stage()
        sub = self.subscriber(b, "t")
        for v in (4, 5):
            hook = self.hook("auth_on_publish", v)
            ep.answers[hook] = kept(self.WHILE)
            c = self.online(b, "c%d" % v, v)
            self.published(c, sub, "fresh")
            self.grow_old()
            ep.answers[hook] = stall = Stall(kept(60))
            for i in range(5):      # the endpoint has not answered yet
                self.published(c, sub, "stale %d" % i)
            ep.wait_for(hook, 2)
            self.published(c, sub, "stale still")
            self.assertEqual(self.counters(b, hook)["stale"], 6)
            stall.release()
            self.wait_counters(b, hook, stores=2)
            self.published(c, sub, "fresh again")
            now = self.counters(b, hook)
            self.assertEqual((now["stale"], now["hits"], now["misses"],
                              now["entries"]), (6, 7, 1, 1))
            self.assertEqual(ep.count(hook), 2)

    def test_login_while_revalidate(self):
        ep, b = self.stage()
        for v in (4, 5):
            hook = self.hook("auth_on_register", v)
            ep.answers[hook] = kept(self.WHILE)
            self.login(b, version=v)
            self.grow_old()
            ep.answers[hook] = stall = Stall(DENY)
            for i in range(3):
                self.login(b, version=v)
            ep.wait_for(hook, 2)
            self.assertEqual(ep.count(hook), 2)
            stall.release()
            # the refresh was refused: the next one is asked, and is, too
            self.wait_counters(b, hook, entries=0)
            ep.answers[hook] = DENY
            self.login(b, version=v, rc=5 if v == 4 else 0x87)
            self.assertEqual(ep.count(hook), 3)

    def test_refresh_that_fails(self):
        """Is no reason to go on with it."""
        ep, b = self.stage(conf=STEADY)
        for n, bad in enumerate(((500, {}, ""), (404, {}, ""), b"nonsense",
                                 OK, NEXT)):
            with self.subTest(bad=bad):
                topic = "t%d" % n
                ep.answers["auth_on_publish"] = kept("0, stale-while-"
                                                     "revalidate=60")
                c = self.online(b, topic)
                c.publish(topic, "x", 1)
                self.wait_counters(b, "auth_on_publish", entries=1)
                ep.answers["auth_on_publish"] = bad
                c.publish(topic, "stale", 1)
                self.wait_counters(b, "auth_on_publish", entries=0)
                ep.answers["auth_on_publish"] = OK
                before = ep.count("auth_on_publish")
                c.publish(topic, "y", 1)
                self.assertEqual(ep.count("auth_on_publish"), before + 1)

    def test_if_error(self):
        """An endpoint dies and comes back."""
        ep, b = self.stage(conf={"vmq_webhooks.breaker_open": 50})
        sub = self.subscriber(b, "t", "u")
        ep.answers["auth_on_register"] = kept(60)
        ep.answers["auth_on_publish"] = kept(self.ERROR)
        c = self.online(b, "c")
        self.published(c, sub, "fresh")
        self.grow_old()
        ep.stop()
        for i in range(10):         # the breaker opens on the way
            self.published(c, sub, "stale %d" % i)
        c.publish("u", "unknown", 1)
        now = self.counters(b, "auth_on_publish")
        self.assertEqual((now["stale_if_error"], now["hits"], now["stale"],
                          now["entries"]), (10, 0, 0, 1))
        sub.quiet()
        ep.answers["auth_on_publish"] = DENY
        ep.start()
        seen = ep.count("auth_on_publish")
        deadline = time.monotonic() + 5 * self.scale
        while ep.count("auth_on_publish") == seen:
            self.assertLess(time.monotonic(), deadline)
            c.publish("t", "whatever", 1)
        # it said no: whatever was kept for its absence is gone for good
        self.wait_counters(b, "auth_on_publish", entries=0)
        ep.stop()
        c.publish("t", "no longer", 1)
        for p in sub.drain():
            self.assertEqual(p["payload"], "whatever")

    def test_login_if_error(self):
        ep, b = self.stage(conf=STEADY)
        for v in (4, 5):
            hook = self.hook("auth_on_register", v)
            ep.answers[hook] = kept("0, stale-if-error=60")
            self.login(b, version=v)
            for bad in ((500, {}, ""), (429, {}, ""), (503, {}, "")):
                ep.answers[hook] = bad
                self.login(b, version=v)
                self.login(b, "other", version=v, rc=5 if v == 4 else 0x87)
            self.assertEqual(self.counters(b, hook)["stale_if_error"], 3)
            ep.answers[hook] = 403, {}, ""
            self.login(b, version=v, rc=5 if v == 4 else 0x87)
            ep.answers[hook] = 500, {}, ""
            self.login(b, version=v, rc=5 if v == 4 else 0x87)

    def test_if_error_while_it_hangs(self):
        """What the broker waits for no longer is a failure as well."""
        ep, b = self.stage(conf={"vmq_webhooks.blocking_timeout": 100,
                                 "vmq_webhooks.blocking_budget": 500})
        sub = self.subscriber(b, "t")
        ep.answers["auth_on_publish"] = kept("0, stale-if-error=60")
        c = self.online(b, "c")
        self.published(c, sub, "x")
        ep.answers["auth_on_publish"] = Stall()
        for i in range(10):         # the budget is used up on the way
            self.published(c, sub, "stale %d" % i)
        self.assertEqual(
            self.counters(b, "auth_on_publish")["stale_if_error"], 10)

    def test_clear_is_final(self):
        ep, b = self.stage(conf=STEADY)
        sub = self.subscriber(b, "t")
        ep.answers["auth_on_publish"] = kept(
            "0, stale-if-error=60, stale-while-revalidate=60")
        c = self.online(b, "c")
        self.published(c, sub, "x")
        self.assertEqual(b.api("cache/clear")[0], 200)
        ep.answers["auth_on_publish"] = 500, {}, ""
        c.publish("t", "y", 1)
        sub.quiet()


class Outage(CacheTest):

    def test_hits_while_the_endpoint_hangs(self):
        """What is kept needs nobody."""
        ep, b = self.stage(conf=BOUNDED)
        sub = self.subscriber(b, "#")
        for hook in AUTH:
            ep.answers[hook] = kept(60)
        c, d = self.online(b, "c"), self.online(b, "d", 5)
        for one in c, d:
            one.publish("t", "x", 1)
            self.assertEqual(one.subscribe("s"), [0])
            self.assertEqual(sub.message()["payload"], "x")
        other = self.online(b, "other")
        ep.answers["*"] = Stall()
        for hook in AUTH:
            del ep.answers[hook]
        other.send_publish("new", "x", 1)
        ep.wait_for("auth_on_publish", topic="new")
        asked = ep.count()
        for i in range(20):
            for one in c, d:
                one.publish("t", "x%d" % i, 1)
                self.assertEqual(sub.message()["payload"], "x%d" % i)
                self.assertEqual(one.subscribe("s"), [0])
        c.disconnect()
        self.online(b, "c").publish("t", "again", 1)
        self.assertEqual(sub.message()["payload"], "again")
        self.assertEqual(
            [r.hook for r in ep.of()[asked:] if r.hook in AUTH], [])


class Refusals(CacheTest):

    def stage(self, **conf):
        ep = self.endpoint()
        settings = endpoint_conf(ep.url, AUTH, cache_refusals="on")
        settings.update({"vmq_webhooks." + k: v for k, v in conf.items()})
        return ep, self.broker(settings)

    def judge(self, ep, good="good", **kw):
        """Passwords are judged by the endpoint, for a minute."""
        refusal = {"result": {"error": kw.get("reason", "bad password")}}
        for hook in ("auth_on_register", "auth_on_register_m5"):
            ep.answers[hook] = lambda r: kept(
                60, OK if r["password"] == good else refusal)

    def test_flood_of_one(self):
        ep, b = self.stage()
        self.judge(ep)
        for v in (4, 5):
            hook = self.hook("auth_on_register", v)
            self.login(b, "good", version=v)
            for i in range(20):
                self.login(b, "bad", version=v, rc=5 if v == 4 else 0x87)
            self.login(b, "good", version=v)
            self.assertEqual(ep.count(hook), 2)
            now = self.counters(b, hook)
            self.assertEqual((now["entries"], now["refusals"],
                              now["refusal_hits"], now["hits"],
                              now["evicted"]), (2, 1, 19, 20, 0))

    def test_flood_of_many(self):
        """They push each other out, and nobody else."""
        ep, b = self.stage(cache_max_bytes=64 * 1024)
        self.judge(ep, reason="x" * 200)
        for i in range(5):
            self.login(b, "good", client_id="good%d" % i)
        for i in range(40):
            self.login(b, "bad%d" % i, client_id="evil", rc=5)
        for i in range(5):
            self.login(b, "good", client_id="good%d" % i)
        self.assertEqual(ep.count("auth_on_register"), 45)
        now = self.counters(b, "auth_on_register")
        self.assertEqual(now["hits"], 5)
        self.assertGreater(now["refusals_evicted"], 0)
        self.assertEqual(now["evicted"], now["refusals_evicted"])
        self.assertEqual(now["entries"], 5 + now["refusals"])

    def test_they_end(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(1, DENY)
        self.login(b, rc=5)
        self.login(b, rc=5)
        self.assertEqual(ep.count("auth_on_register"), 1)
        time.sleep(1.05)
        ep.answers["auth_on_register"] = OK
        self.login(b)

    def test_publish_and_subscribe(self):
        ep, b = self.stage()
        for hook in AUTH[2:]:
            ep.answers[hook] = kept(60, DENY)
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            for i in range(3):
                self.assertEqual(c.subscribe("t"), [0x87 if v == 5 else 0x80])
                c.publish("t", "x", 1)
            self.assertEqual(ep.count(self.hook("auth_on_publish", v)), 1)
            self.assertEqual(ep.count(self.hook("auth_on_subscribe", v)), 1)

    def test_clear_forgives(self):
        ep, b = self.stage()
        self.judge(ep)
        self.login(b, "new", rc=5)
        self.judge(ep, "new")
        self.login(b, "new", rc=5)
        self.assertEqual(b.api("cache/clear", [("username", "u")])[0], 200)
        self.login(b, "new")

    def test_only_refusals_that_say_so(self):
        ep, b = self.stage(breaker_failures=1000)
        for answer in (DENY, (200, {"Cache-Control": "no-store, max-age=60"},
                              DENY),
                       kept(60, NEXT), kept(60, b"nonsense"),
                       (403, {"Cache-Control": "max-age=60"}, DENY),
                       (500, {"Cache-Control": "max-age=60"}, DENY)):
            with self.subTest(answer=answer):
                ep.answers["auth_on_register"] = answer
                before = ep.count("auth_on_register")
                self.login(b, rc=5)
                self.login(b, rc=5)
                self.assertEqual(ep.count("auth_on_register"), before + 2)


class Bounds(CacheTest):

    def test_small(self):
        """What does not fit makes room; whatever is served is right."""
        ep, b = self.stage(conf={"vmq_webhooks.cache_max_bytes": 4096})
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish"] = lambda r: kept(60, ok(
            topic="out/" + r["topic"]))
        c = self.online(b, "c")
        for turn in range(2):
            for i in range(30):
                for n in range(2):
                    c.publish("t%d" % i, "x%d" % n, 1)
                    p = sub.message()
                    self.assertEqual((p["topic"], p["payload"]),
                                     ("out/t%d" % i, "x%d" % n))
        now = self.counters(b, "auth_on_publish")
        self.assertEqual((now["hits"], now["misses"], now["stores"]),
                         (60, 60, 60))
        self.assertEqual(now["evicted"], 60 - now["entries"])
        self.assertGreater(now["entries"], 1)
        self.assertLessEqual(now["bytes"], 4096)
        self.assertEqual(ep.count("auth_on_publish"), 60)

    def test_none(self):
        ep, b = self.stage(conf={"vmq_webhooks.cache_max_bytes": 0})
        ep.answers["auth_on_register"] = kept(60)
        self.login(b)
        self.login(b)
        self.assertEqual(ep.count("auth_on_register"), 2)
        self.assertEqual(self.shown(b), {("misses", "auth_on_register"): 2})

    def test_swept(self):
        """What nobody asks for any more."""
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(1)
        self.login(b)
        self.assertEqual(self.counters(b, "auth_on_register")["entries"], 1)
        now = self.wait_counters(b, "auth_on_register", entries=0)
        self.assertEqual((now["expired"], now["bytes"], now["misses"]),
                         (1, 0, 1))


class Registering(CacheTest):

    def tool(self, b, *args):
        done = b.admin(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_deregistered_and_again(self):
        """By the tool: nothing is left of what was kept before."""
        ep, b = self.stage()
        ep.answers["auth_on_publish"] = kept(
            "60, stale-if-error=60, stale-while-revalidate=60")
        c = self.online(b, "c")
        where = "hook=auth_on_publish", "endpoint=" + ep.url
        for n in range(1, 4):
            c.publish("t", "x", 1)
            c.publish("t", "x", 1)
            self.assertEqual(ep.count("auth_on_publish"), n)
            self.assertEqual(self.shown(b)[("hits", "auth_on_publish")], 1)
            self.tool(b, "deregister", *where)
            self.assertNotIn("auth_on_publish ",
                             self.tool(b, "cache", "show", "--all"))
            self.tool(b, "register", *where)

    def test_others_stay(self):
        ep, b = self.stage()
        for hook in AUTH:
            ep.answers[hook] = kept(60)
        c = self.online(b, "c")
        c.publish("t", "x", 1)
        self.tool(b, "register", "hook=on_deliver",
                  "endpoint=" + self.nobody())
        self.tool(b, "deregister", "hook=auth_on_register",
                  "endpoint=" + ep.url)
        c.publish("t", "x", 1)
        self.assertEqual(ep.count("auth_on_publish"), 1)

    def test_what_is_under_way_is_not_kept(self):
        ep, b = self.stage()
        if not self.v21:
            self.skipTest("2.0 stands still meanwhile")
        ep.answers["auth_on_register"] = stall = Stall(kept(60))
        c = self.client(b, "c")
        c.open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        self.tool(b, "register", "hook=on_deliver",
                  "endpoint=" + self.nobody())
        self.online(b, "d", 5)      # the broker has seen it
        stall.release()
        c.wait("CONNACK", rc=0)
        ep.answers["auth_on_register"] = kept(60)
        self.login(b, client_id="c")
        self.assertEqual(ep.count("auth_on_register"), 2)


class Sharing(CacheTest):

    def attempt(self, b, password="p"):
        c = self.client(b, "c").open()
        c.send_connect("u", password)
        return c

    def leave(self, b, c, n):
        c.close()
        b.wait_log(r"Client c .*(closed|disconnected)", n)

    def test_next_attempt_joins_the_call(self):
        """A client that lost its patience and asks the very same."""
        ep, b = self.stage()
        if not self.v21:
            self.skipTest("2.0 delays no logins")
        ep.answers["auth_on_register"] = stall = Stall(OK)
        c = self.attempt(b)
        ep.wait_for("auth_on_register")
        for n in (1, 2):
            self.leave(b, c, n)
            c = self.attempt(b)
            self.wait_counters(b, "auth_on_register", misses=n + 1)
        self.assertEqual(ep.count("auth_on_register"), 1)
        stall.release()
        c.wait("CONNACK", rc=0)
        c.quiet()
        self.assertEqual(ep.count("auth_on_register"), 1)
        ep.wait_for("on_register", client_id="c")
        self.assertEqual(ep.count("on_register", client_id="c"), 1)

    def test_another_password_does_not(self):
        """The old attempt's yes is not its."""
        ep, b = self.stage()
        if not self.v21:
            self.skipTest("2.0 delays no logins")
        good, bad = Stall(OK), Stall(DENY)
        ep.answers["auth_on_register"] = \
            lambda r: good if r["password"] == "p" else bad
        c = self.attempt(b)
        ep.wait_for("auth_on_register")
        self.leave(b, c, 1)
        c = self.attempt(b, "q")
        ep.wait_for("auth_on_register", password="q")
        good.release()
        bad.release()
        c.wait("CONNACK", rc=5)

    def test_nor_one_after_a_clear(self):
        """What was asked before may be what was cleared."""
        ep, b = self.stage()
        if not self.v21:
            self.skipTest("2.0 delays no logins")
        before, after = Stall(OK), Stall(DENY)
        ep.answers["auth_on_register"] = [before, after]
        c = self.attempt(b)
        ep.wait_for("auth_on_register")
        self.leave(b, c, 1)
        self.assertEqual(b.api("cache/clear", [("client-id", "c")])[0], 200)
        c = self.attempt(b)
        ep.wait_for("auth_on_register", 2)
        before.release()
        after.release()
        c.wait("CONNACK", rc=5)
