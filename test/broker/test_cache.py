"""Answers with max-age are kept."""

import base64
import time

from endpoint import DENY, NEXT, OK, kept, ok
from host import BrokerTest, endpoint_conf


class Cache(BrokerTest):

    def stage(self):
        ep = self.endpoint()
        return ep, self.hooked(ep)

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
