"""Publishing: auth_on_publish, on_publish, wills and what is out of reach."""

import base64
import hashlib
import json
import signal
import time

from endpoint import DENY, NEXT, OK, Drop, Stall, ok
from host import ALL, BrokerTest, dynsec_path, endpoint_conf, version

VERSIONS = (3, 4, 5)


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes)
                            else text.encode()).decode()


class PublishTest(BrokerTest):

    def stage(self, conf=None, hooks=ALL, version=4, **kw):
        """An endpoint, its broker, and a subscriber to everything."""
        ep = self.endpoint()
        b = self.hooked(ep, hooks, conf, **kw)
        sub = self.subscriber(b, ("#", 2), version=version)
        return ep, b, sub

    def answer(self, ep, answer):
        """The answer to whether a message may be published."""
        ep.answers["auth_on_publish"] = answer
        ep.answers["auth_on_publish_m5"] = answer

    def arrives(self, sub, topic, payload, **fields):
        """The next message is exactly this one."""
        got = sub.message()
        self.assertEqual((got["topic"], got["payload"]), (topic, payload))
        for key, value in fields.items():
            self.assertEqual(got[key], value, got)
        return got

    def nothing_but(self, ep, pub, sub, marker="marker"):
        """Only a message published now arrives: what came before did not."""
        self.answer(ep, OK)
        pub.publish(marker, "m", 1)
        self.arrives(sub, marker, "m")
        sub.quiet()


class Publish(PublishTest):

    def test_allowed(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            for qos in (0, 1, 2):
                pub.publish("a/%d/%d" % (v, qos), "hi", qos)
                self.arrives(sub, "a/%d/%d" % (v, qos), "hi", qos=qos)
            pub.quiet()
        sub.quiet()

    def test_requests(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v, username="joe")
            for qos in (0, 1, 2):
                topic = "a/%d/%d" % (v, qos)
                pub.publish(topic, "hi", qos, retain=qos == 1)
                want = {"username": "joe", "mountpoint": "",
                        "client_id": "c%d" % v, "qos": qos, "topic": topic,
                        "payload": "aGk=", "retain": qos == 1}
                if v == 5:
                    want["properties"] = {}
                for hook in ("auth_on_publish", "on_publish"):
                    r = ep.wait_for(self.hook(hook, v), topic=topic)
                    self.assertEqual(r.body, want)
                    self.assertEqual(list(r.body), list(want))
                    self.assertEqual(ep.count(r.hook, topic=topic), 1)

    def test_asked_before_told(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1")
        pub.publish("t", "x", 2)
        ep.wait_for("on_publish")
        self.assertEqual([h for h in ep.hooks(client_id="c1")
                          if "publish" in h],
                         ["auth_on_publish", "on_publish"])

    def test_payloads(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1")
        for i, data in enumerate((b"", b"\x00\xff\xfe", bytes(range(256)),
                                  b"x" * 100000)):
            pub.publish("t/%d" % i, data, 1)
            for hook in ("auth_on_publish", "on_publish"):
                r = ep.wait_for(hook, topic="t/%d" % i)
                self.assertEqual(base64.b64decode(r["payload"]), data)
            got = sub.message("t/%d" % i)["payload"]
            if isinstance(got, dict):
                got = base64.b64decode(got["$b64"])
            else:
                got = got.encode()
            self.assertEqual(got, data)

    def test_odd_topics(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1")
        for topic in ("/", "a//b", " ", "\u00e9/\U0001f600", "a\"b\\c",
                      "x" * 5000):
            pub.publish(topic, "x", 1)
            self.assertEqual(ep.wait_for("on_publish", topic=topic)["topic"],
                             topic)
            self.arrives(sub, topic, "x")

    def denied(self, answer):
        """Publish with this answer; nobody gets it, everybody stays."""
        ep, b, sub = self.stage()
        for v in VERSIONS:
            with self.subTest(version=v):
                self.answer(ep, answer)
                pub = self.online(b, "c%d" % v, v)
                pub.publish("no/0", "x", 0)
                pub.quiet()
                ack = pub.publish("no/1", "x", 1)
                self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
                ack = pub.publish("no/2", "x", 2)
                self.assertEqual(ack["type"],
                                 "PUBREC" if v == 5 else "PUBCOMP")
                self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
                pub.publish("no/r", "x", 1, retain=True)
                self.nothing_but(ep, pub, sub, "marker/%d" % v)
                hook = self.hook("on_publish", v)
                ep.wait_for(hook, topic="marker/%d" % v)
                self.assertEqual(ep.count(hook, client_id="c%d" % v), 1)
                pub.quiet()
        late = self.subscriber(b, "#", client_id="late")
        late.quiet()
        return ep, b

    def test_error_denies(self):
        self.denied(DENY)

    def test_next_denies(self):
        self.denied(NEXT)

    def test_malformed_denies(self):
        self.denied(b'{"result":"ok","modifiers":{"nonsense":1}}')

    def test_status_denies(self):
        self.denied((500, {}, OK))

    def test_drop_denies(self):
        self.denied(Drop())

    def test_no_endpoint_denies(self):
        hooks = [h for h in ALL if not h.startswith("auth_on_publish")]
        ep, b, sub = self.stage(hooks=hooks)
        pub = self.online(b, "c1", 5)
        self.assertEqual(pub.publish("t", "x", 1)["rc"], 0x87)
        sub.quiet()
        self.assertEqual(ep.count("on_publish_m5"), 0)

    def test_endpoint_down_denies(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, [h for h in ALL if h !=
                                      "auth_on_publish_m5"])
        conf.update(endpoint_conf(self.nobody(), ("auth_on_publish_m5",),
                                  "dead"))
        b = self.broker(conf)
        pub = self.online(b, "c1", 5)
        self.assertEqual(pub.publish("t", "x", 1)["rc"], 0x87)

    def test_response_timeout_denies(self):
        ep = self.endpoint(auth_on_publish_m5=Stall())
        conf = endpoint_conf(ep.url, ALL, response_timeout=self.ms(200))
        b = self.broker(conf)
        pub = self.online(b, "c1", 5)
        began = time.monotonic()
        self.assertEqual(pub.publish("t", "x", 1)["rc"], 0x87)
        self.assertLess(time.monotonic() - began, 0.8 * self.scale)

    def test_acknowledged_after_its_decision(self):
        ep, b, sub = self.stage()
        stall = Stall(OK)
        self.answer(ep, stall)
        pub = self.online(b, "c1", 5)
        pub.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish_m5")
        with self.assertRaises(AssertionError):
            pub.wait("PUBACK", timeout=0.2 / self.scale)
        stall.release()
        pub.wait("PUBACK")
        self.arrives(sub, "t", "x")

    def test_chain(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, ("auth_on_publish",), "b"))
        b = self.broker(conf)
        sub = self.subscriber(b, "#")
        pub = self.online(b, "c1")
        first.answers["auth_on_publish"] = NEXT
        second.answers["auth_on_publish"] = ok(topic="from/second")
        pub.publish("t", "1", 1)
        self.arrives(sub, "from/second", "1")
        second.answers["auth_on_publish"] = DENY
        pub.publish("t", "2", 1)
        first.answers["auth_on_publish"] = ok(topic="from/first")
        pub.publish("t", "3", 1)
        self.arrives(sub, "from/first", "3")
        sub.quiet()
        self.assertEqual(second.count(), 2)

    def test_no_payload(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, ALL, no_payload="on"))
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            pub.publish("t/%d" % v, "hi", 1)
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            topic="t/%d" % v)
            self.assertNotIn("payload", r.body)
            r = ep.wait_for(self.hook("on_publish", v), topic="t/%d" % v)
            self.assertEqual(r["payload"], "aGk=")

    def test_base64encode_off(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, ALL, base64encode="off"))
        sub = self.subscriber(b, "#")
        self.answer(ep, ok(payload="aGk="))
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            pub.publish("t/%d" % v, b"h\xffi\n", 1)
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            topic="t/%d" % v)
            self.assertEqual(r["payload"], "h\ufffdi\n")
            r = ep.wait_for(self.hook("on_publish", v), topic="t/%d" % v)
            self.assertEqual(r["payload"], "aGk=")
            self.arrives(sub, "t/%d" % v, "aGk=")

    def test_properties(self):
        ep, b, sub = self.stage(version=5)
        pub = self.online(b, "c1", 5)
        props = {"p_payload_format_indicator": 1,
                 "p_content_type": "text/plain",
                 "p_response_topic": "re/ply",
                 "p_correlation_data": "corr",
                 "p_user_property": [["k", "v"], ["k", "w"]]}
        pub.publish("t", "hi", 1, properties=props)
        want = dict(props, p_payload_format_indicator="utf8",
                    p_user_property=[{"key": b64("k"), "val": b64("v")},
                                     {"key": b64("k"), "val": b64("w")}])
        self.assertEqual(ep.wait_for("auth_on_publish_m5")["properties"],
                         want if self.v21 else {})
        self.assertEqual(ep.wait_for("on_publish_m5")["properties"], want)
        self.assertEqual(sub.message("t")["properties"], props)

    def test_properties_survive_a_rewrite(self):
        ep, b, sub = self.stage(version=5)
        pub = self.online(b, "c1", 5)
        props = {"p_content_type": "text/plain",
                 "p_user_property": [["k", "v"]]}
        self.answer(ep, ok(topic="x", payload=b64("y"), retain=True))
        pub.publish("t", "hi", 1, properties=props)
        self.assertEqual(self.arrives(sub, "x", "y")["properties"], props)

    def test_topic_alias(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1", 5)
        alias = {"p_topic_alias": 1}
        pub.publish("alias/ed", "1", 1, properties=alias)
        pub.publish("", "2", 1, properties=alias)
        ep.wait_for("on_publish_m5", 2)
        for hook in ("auth_on_publish_m5", "on_publish_m5"):
            self.assertEqual([r["topic"] for r in ep.of(hook)],
                             ["alias/ed"] * 2)
            self.assertNotIn("p_topic_alias", ep.of(hook)[0]["properties"])
        self.arrives(sub, "alias/ed", "1")
        self.arrives(sub, "alias/ed", "2")

    def test_topic_alias_with_rewrite(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1", 5)
        alias = {"p_topic_alias": 1}
        self.answer(ep, [ok(topic="re/written"), OK])
        pub.publish("alias/ed", "1", 1, properties=alias)
        pub.publish("", "2", 1, properties=alias)
        self.arrives(sub, "re/written", "1")
        self.arrives(sub, "alias/ed", "2")


class Modifiers(PublishTest):

    def test_topic(self):
        ep, b, sub = self.stage()
        for new in ("s", "same/length", "longer/" + "x" * 3000,
                    "\u00e9/\U0001f600", "/", "a b", "$mine/x"):
            self.answer(ep, ok(topic=new))
            for v in VERSIONS:
                pub = self.online(b, "c%d" % v, v)
                for qos in (0, 1, 2):
                    pub.publish("orig/topics", "hi", qos)
                    if new[0] != "$":   # `#` does not match it
                        self.arrives(sub, new, "hi", qos=qos)
                    r = ep.wait_for(self.hook("on_publish", v), qos + 1,
                                    topic=new, client_id="c%d" % v)
                    self.assertEqual(r["qos"], qos)
        sub.quiet()
        for hook in ("on_publish", "on_publish_m5"):
            self.assertEqual(ep.count(hook, topic="orig/topics"), 0)

    def test_payload(self):
        ep, b, sub = self.stage()
        for new in ("", "x", "same!", "longer" * 1000):
            self.answer(ep, ok(payload=b64(new)))
            for v in VERSIONS:
                pub = self.online(b, "c%d" % v, v)
                for qos in (0, 1, 2):
                    pub.publish("t", "hello", qos)
                    self.arrives(sub, "t", new, qos=qos)
                    r = ep.wait_for(self.hook("on_publish", v), qos + 1,
                                    payload=b64(new), client_id="c%d" % v)
                    self.assertEqual(r["topic"], "t")
        sub.quiet()

    def test_payload_binary(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(payload=b64(b"\x00\xff\x00")))
        pub = self.online(b, "c1")
        pub.publish("t", "hello", 1)
        self.assertEqual(sub.message()["payload"], {"$b64": "AP8A"})

    def test_payload_of_an_empty_message(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(payload=b64("filled")))
        self.online(b, "c1").publish("t", "", 1)
        self.arrives(sub, "t", "filled")

    def test_retain(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            self.answer(ep, ok(retain=True))
            pub.publish("kept/%d" % v, "k", 1)
            self.answer(ep, ok(retain=False))
            pub.publish("gone/%d" % v, "g", 1, retain=True)
            hook = self.hook("on_publish", v)
            self.assertIs(ep.wait_for(hook, topic="kept/%d" % v)["retain"],
                          True)
            self.assertIs(ep.wait_for(hook, topic="gone/%d" % v)["retain"],
                          False)
        late = self.subscriber(b, "#", client_id="late")
        got = {p["topic"]: p for p in late.drain()}
        self.assertEqual(set(got), {"kept/3", "kept/4", "kept/5"})
        self.assertTrue(all(p["retain"] for p in got.values()))

    def test_all_at_once(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(topic="new/topic", payload=b64("new"),
                           retain=True))
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            pub.publish("old", "old payload", 2)
            self.arrives(sub, "new/topic", "new", qos=2)
            r = ep.wait_for(self.hook("on_publish", v),
                            client_id="c%d" % v)
            self.assertEqual((r["topic"], r["payload"], r["retain"]),
                             ("new/topic", b64("new"), True))
        late = self.subscriber(b, "#", client_id="late")
        self.arrives(late, "new/topic", "new", retain=True)

    def test_only_this_message(self):
        ep, b, sub = self.stage()
        pub, other = self.online(b, "c1"), self.online(b, "c2")
        for qos in (0, 1, 2):
            self.answer(ep, ok(topic="new/topic", payload=b64("new")))
            pub.publish("t", "1", qos)
            self.arrives(sub, "new/topic", "new")
            self.answer(ep, OK)
            pub.publish("t", "2", qos)
            self.arrives(sub, "t", "2")
            other.publish("t", "3", qos)
            self.arrives(sub, "t", "3")

    def test_many_in_one_segment(self):
        ep, b, sub = self.stage()
        self.answer(ep, lambda r: ok(topic="new/" + r["topic"])
                    if r["topic"].endswith("odd") else OK)
        pub = self.online(b, "c1")
        blob = b""
        for i in range(50):
            topic = b"%d/%s" % (i, b"odd" if i % 2 else b"even")
            blob += bytes([0x30, len(topic) + 3, 0, len(topic)])
            blob += topic + b"x"
        pub.raw(blob)
        pub.barrier()
        for i in range(50):
            self.arrives(sub, "new/%d/odd" % i if i % 2 else "%d/even" % i,
                         "x")

    def test_invalid_topics_refuse(self):
        ep, b, sub = self.stage()
        invalid = ["", "a/#", "#", "+", "a/+/b", "a+", "$SYS/x", "$SYS",
                   "$CONTROL/dynamic-security/v1", "$CONTROL",
                   "$share/g/t", "a\x00b", "x" * 65536,
                   "/".join("x" * 300)]
        pub = self.online(b, "c1", 5)
        old = self.online(b, "c2", 4)
        for new in invalid:
            with self.subTest(topic=new[:40]):
                self.answer(ep, ok(topic=new))
                self.assertEqual(pub.publish("t", "x", 1).get("rc"), 0x87)
                self.assertEqual(old.publish("t", "x", 1)["type"], "PUBACK")
                self.nothing_but(ep, pub, sub)
        self.assertEqual(ep.count("on_publish"), 0)
        self.assertEqual(ep.count("on_publish_m5", topic="t"), 0)

    def test_invalid_modifiers_refuse(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1", 5)
        for body in (ok(topic=1), ok(topic=None), ok(payload="%%%"),
                     ok(payload=1), ok(payload="aGk"), ok(retain="yes"),
                     ok(retain=1), ok(bogus=1), ok(username="x"),
                     ok(qos=3), ok(qos=-1), ok(qos="1"),
                     {"result": "ok", "modifiers": "x"}):
            with self.subTest(body=body):
                self.answer(ep, body)
                self.assertEqual(pub.publish("t", "x", 1).get("rc"), 0x87)
                self.nothing_but(ep, pub, sub)

    def test_empty_modifiers_mean_none(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "c1", 5)
        for modifiers in ({}, [], None):
            self.answer(ep, {"result": "ok", "modifiers": modifiers})
            pub.publish("t", "x", 1)
            self.arrives(sub, "t", "x")

    def test_duplicate_modifier_last_wins(self):
        ep, b, sub = self.stage()
        self.answer(ep, b'{"result":"ok","modifiers":'
                        b'{"topic":"first","topic":"last"}}')
        self.online(b, "c1").publish("t", "x", 1)
        self.arrives(sub, "last", "x")

    def test_qos2_is_delivered_once(self):
        ep, b, sub = self.stage()
        self.answer(ep, ok(topic="re/written"))
        pub = self.online(b, "c1")
        mid = pub.send_publish("t", "x", 2)
        pub.wait("PUBREC", mid=mid)
        pub.send_publish("t", "x", 2, mid=mid, dup=True)
        pub.wait("PUBREC", mid=mid)
        pub.ack("PUBREL", mid)
        pub.wait("PUBCOMP", mid=mid)
        self.arrives(sub, "re/written", "x", qos=2)
        self.nothing_but(ep, pub, sub)

    def repeated_qos2(self):
        """A client that comes back while a QoS 2 message of its, rewritten,
        waits for its PUBREL. 2.0.21 and 2.1 ask about that message again,
        and no MESSAGE follows: that verdict must hit nothing."""
        ep, b, sub = self.stage()
        self.answer(ep, ok(topic="re/written", payload=b64("changed")))
        pub = self.online(b, "c1", clean=False)
        mid = pub.send_publish("t", "x", 2)
        pub.wait("PUBREC", mid=mid)
        pub.reset()
        ep.wait_for("on_client_offline")
        ep.forget()
        self.answer(ep, ok(topic="stolen", payload=b64("stolen")))
        pub = self.online(b, "c1", clean=False)
        asked = [r["topic"] for r in ep.of("auth_on_publish")]
        self.assertEqual(asked, [] if version() == "2.0.11"
                         else ["re/written"])
        return ep, b, sub, pub, mid

    def test_verdict_of_a_repeated_message(self):
        ep, b, sub, pub, mid = self.repeated_qos2()
        self.answer(ep, OK)
        for qos in (0, 1, 2):
            pub.publish("re/written", "mine", qos, mid=100 + qos)
            self.arrives(sub, "re/written", "mine")
        pub.ack("PUBREL", mid)
        pub.wait("PUBCOMP", mid=mid)
        self.arrives(sub, "re/written", "changed")
        sub.quiet()

    def test_verdict_of_a_repeated_message_and_others(self):
        """The same, and somebody else's message comes before any tick."""
        ep, b, sub = self.stage()
        self.answer(ep, ok(topic="re/written"))
        pub, holder = self.online(b, "c1", clean=False), self.online(b, "h")
        other = self.online(b, "other")
        mid = pub.send_publish("t", "x", 2)
        pub.wait("PUBREC", mid=mid)
        pub.reset()
        ep.wait_for("on_client_offline")
        hold, login = Stall(OK), Stall(OK)
        self.answer(ep, lambda r: {"h": hold, "other": OK}.get(
            r["client_id"], ok(topic="stolen", payload=b64("stolen"))))
        pub = self.client(b, "c1").open()
        # the broker stands still while all this arrives
        if self.v21:
            ep.answers["auth_on_register"] = login
            pub.send_connect("u", "p", clean=False)
            ep.wait_for("auth_on_register", 5)
        holder.send_publish("held", "x", 1)
        ep.wait_for("auth_on_publish", client_id="h")
        if self.v21:
            login.release()
            time.sleep(0.1)
        else:
            pub.send_connect("u", "p", clean=False)
        other.send_publish("re/written", "mine", 1)
        hold.release()
        pub.wait("CONNACK")
        other.wait("PUBACK")
        self.arrives(sub, "held", "x")
        self.arrives(sub, "re/written", "mine")

    def test_verdict_of_a_repeated_message_sent_again(self):
        ep, b, sub, pub, mid = self.repeated_qos2()
        pub.send_publish("t", "x", 2, mid=mid, dup=True)
        pub.wait("PUBREC", mid=mid)
        self.answer(ep, OK)
        pub.publish("re/written", "mine", 1, mid=100)
        self.arrives(sub, "re/written", "mine")
        pub.publish("t", "mine", 1, mid=101)
        self.arrives(sub, "t", "mine")


class Wills(PublishTest):

    WILL = {"topic": "will/topic", "payload": "gone", "qos": 1}

    def dies(self, b, client_id="c1", version=4, will=None, **kw):
        """Connect with a will and die; returns when the broker noticed."""
        c = self.online(b, client_id, version, will=will or self.WILL, **kw)
        c.reset()

    def test_published(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            self.dies(b, "c%d" % v, v, dict(self.WILL, retain=True),
                      username="joe")
            self.arrives(sub, "will/topic", "gone", qos=1)
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            client_id="c%d" % v)
            want = {"username": "joe", "mountpoint": "",
                    "client_id": "c%d" % v, "qos": 1, "topic": "will/topic",
                    "payload": b64("gone"), "retain": True}
            if v == 5:
                want["properties"] = {}
            self.assertEqual(r.body, want)
            # told as well, but for MQTT 5, where VerneMQ never does
            self.online(b, "after%d" % v).publish("after/%d" % v, "x", 1)
            self.arrives(sub, "after/%d" % v, "x")
            ep.wait_for("on_publish", topic="after/%d" % v)
            if v != 5:
                r = ep.wait_for("on_publish", client_id="c%d" % v)
                self.assertEqual(r.body, want)
        self.assertEqual(ep.count("on_publish_m5"), 0)

    def test_denied(self):
        ep, b, sub = self.stage()
        self.answer(ep, DENY)
        for v in VERSIONS:
            self.dies(b, "c%d" % v, v)
            ep.wait_for(self.hook("auth_on_publish", v),
                        client_id="c%d" % v)
        self.nothing_but(ep, self.online(b, "pub"), sub)

    def test_not_asked_at_a_normal_disconnect(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, will=self.WILL)
            c.disconnect()
        self.nothing_but(ep, self.online(b, "pub"), sub)
        self.assertEqual(ep.count("auth_on_publish"), 1)
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_disconnect_with_will(self):
        ep, b, sub = self.stage()
        c = self.online(b, "c1", 5, will=self.WILL)
        c.disconnect(rc=4)
        self.arrives(sub, "will/topic", "gone")

    def test_modified(self):
        """The decided message is published in place of the will."""
        ep, b, sub = self.stage()
        self.answer(ep, ok(topic="new/will", payload=b64("changed")))
        for v in VERSIONS:
            self.dies(b, "c%d" % v, v)
            self.arrives(sub, "new/will", "changed", qos=1)
        self.nothing_but(ep, self.online(b, "pub"), sub)

    def test_verdict_stays_with_the_will(self):
        """No message follows the question about a will: its modifiers must
        not hit the next publish of anybody, same topic or same client."""
        ep, b, sub = self.stage()
        other = self.online(b, "other")
        self.answer(ep, ok(topic="hidden", payload=b64("hidden")))
        self.dies(b, "c1")
        self.arrives(sub, "hidden", "hidden")
        self.answer(ep, OK)
        other.publish("will/topic", "mine", 0)
        self.arrives(sub, "will/topic", "mine")
        again = self.online(b, "c1")
        again.publish("will/topic", "gone", 1)
        self.arrives(sub, "will/topic", "gone")
        sub.quiet()

    def test_verdict_stays_with_a_will_allowed_as_it_is(self):
        ep, b, sub = self.stage()
        other = self.online(b, "other", 5)
        self.dies(b, "c1")
        self.arrives(sub, "will/topic", "gone")
        self.answer(ep, DENY)
        self.assertEqual(other.publish("will/topic", "x", 1)["rc"], 0x87)
        sub.quiet()

    def test_of_a_refused_client(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            for answer in (DENY, NEXT, b"{}", (500, {}, OK)):
                ep.answers["auth_on_register"] = answer
                ep.answers["auth_on_register_m5"] = answer
                c = self.client(b, "bad%d" % v, v)
                c.connect("u", "p", rc=None, will=self.WILL)
                c.reset()
        ep.answers.clear()
        self.nothing_but(ep, self.online(b, "pub"), sub)
        for v in VERSIONS:
            self.assertEqual(ep.count(self.hook("auth_on_publish", v),
                                      client_id="bad%d" % v), 0)

    def test_of_a_refused_client_after_an_accepted_one(self):
        """The id was authorised once: that does not carry over."""
        ep, b, sub = self.stage()
        self.online(b, "c1").disconnect()
        ep.answers["auth_on_register"] = DENY
        c = self.client(b, "c1")
        c.connect("u", "p", rc=5, will=self.WILL)
        c.expect_closed()
        ep.answers.clear()
        self.nothing_but(ep, self.online(b, "pub"), sub)
        self.assertEqual(ep.count("auth_on_publish", client_id="c1"), 0)

    def test_of_a_pending_client(self):
        """It leaves before it was let in. On 2.0 the broker waits with it,
        and refuses when it looks again."""
        ep, b, sub = self.stage()
        pub = self.online(b, "pub")
        for v in VERSIONS:
            stall = Stall(OK if self.v21 else DENY)
            hook = self.hook("auth_on_register", v)
            ep.answers[hook] = stall
            c = self.client(b, "p%d" % v, v).open()
            c.send_connect("u", "p", will=self.WILL)
            ep.wait_for(hook, client_id="p%d" % v)
            c.reset()
            if self.v21:
                self.nothing_but(ep, pub, sub, "while/%d" % v)
            stall.release()
            self.nothing_but(ep, pub, sub, "after/%d" % v)
            self.assertEqual(ep.count(self.hook("auth_on_publish", v),
                                      client_id="p%d" % v), 0)

    def test_of_a_pending_client_with_a_known_id(self):
        ep, b, sub = self.stage()
        pub = self.online(b, "pub")
        self.online(b, "p1").disconnect()
        stall = ep.answers["auth_on_register"] = Stall(DENY)
        c = self.client(b, "p1").open()
        c.send_connect("u", "p", will=self.WILL)
        ep.wait_for("auth_on_register", 4)
        c.reset()
        if self.v21:
            self.nothing_but(ep, pub, sub)
        stall.release()
        self.nothing_but(ep, pub, sub)
        self.assertEqual(ep.count("auth_on_publish", client_id="p1"), 0)

    def test_at_takeover(self):
        """The old connection's will is asked for in the old one's name."""
        ep, b, sub = self.stage()
        for v in VERSIONS:
            old = self.online(b, "c%d" % v, v, "old", will=self.WILL)
            new = self.online(b, "c%d" % v, v, "new")
            old.expect_closed()
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            client_id="c%d" % v)
            self.assertEqual(r["username"], "old")
            self.arrives(sub, "will/topic", "gone")
            new.publish("t", "x", 1)
            self.arrives(sub, "t", "x")
            r = ep.wait_for(self.hook("auth_on_publish", v), 2,
                            client_id="c%d" % v)
            self.assertEqual(r["username"], "new")

    def test_delayed(self):
        ep, b, sub = self.stage()
        c = self.online(b, "c1", 5, will=dict(
            self.WILL, properties={"p_will_delay_interval": 1}),
            properties={"p_session_expiry_interval": 30})
        c.reset()
        sub.quiet()
        self.arrives(sub, "will/topic", "gone")
        self.assertEqual(ep.wait_for("auth_on_publish_m5")["client_id"],
                         "c1")

    def test_at_shutdown(self):
        ep, b, sub = self.stage()
        self.online(b, "c1", will=self.WILL)
        b.stop()

    def test_at_shutdown_it_is_refused_or_as_it_was(self):
        """Retained, so that the next start shows what became of it."""
        for answer, on_error, stays in (
                (OK, "deny", True),
                (DENY, "deny", False),
                (ok(topic="safe"), "deny", False),
                (ok(payload="eA=="), "deny", False),
                (ok(qos=0), "deny", False),
                ((503, {}, "down"), "allow", False)):
            with self.subTest(answer=answer):
                ep = self.endpoint()
                asked = ("auth_on_publish", "auth_on_publish_m5")
                conf = endpoint_conf(ep.url, asked, "a", on_error=on_error)
                conf.update(endpoint_conf(
                    ep.url, [h for h in ALL if h not in asked]))
                b = self.unstarted(
                    conf, lines=["persistence true",
                                 "persistence_location @DIR@/"])
                b.start()
                for version in (4, 5):
                    self.online(b, "c%d" % version, version, will={
                        "topic": "will/%d" % version, "payload": "secret",
                        "qos": 1, "retain": True})
                ep.answers["auth_on_publish"] = answer
                ep.answers["auth_on_publish_m5"] = answer
                b.stop()
                self.assertEqual(ep.count("auth_on_publish"), 1)
                self.assertEqual(ep.count("auth_on_publish_m5"), 1)
                ep.answers.clear()
                b.start()
                watch = self.subscriber(b, "#", client_id="watch")
                if stays:
                    self.assertEqual({watch.message()["topic"]
                                      for _ in range(2)},
                                     {"will/4", "will/5"})
                watch.quiet()
                b.stop()


class Stopping(PublishTest):
    """The signal comes while publishes are still to be dealt with: they
    cannot be told from wills."""

    def test_nothing_is_acknowledged_and_dropped(self):
        for version in 4, 5:
            for answer, clean in ((OK, True), (ok(payload="eA=="), False),
                                  (DENY, False)):
                with self.subTest(version=version, answer=answer):
                    ep, b, sub = self.stage()
                    hook = self.hook("auth_on_publish", version)
                    ep.answers[hook] = first, second, _ = [
                        Stall(OK), Stall(answer), answer]
                    crowd = [self.online(b, "c%d" % i, version)
                             for i in range(4)]
                    holder = self.online(b, "first", version)
                    holder.send_publish("t", "first", 1)
                    ep.wait_for(hook)
                    # these lie in wait while it stands still
                    for c in crowd:
                        c.send_publish("t", "x", 1)
                    first.release()
                    ep.wait_for(hook, 2)
                    b.signal(signal.SIGTERM)
                    second.release()
                    b.process.wait(10 * self.scale)
                    acked = 0
                    for c in crowd:
                        came = c.expect_closed()
                        acked += len([p for p in came
                                      if p["type"] == "PUBACK" and
                                      p.get("rc", 0) < 0x80])
                    if clean:
                        self.assertEqual(acked, 4)
                        self.assertLessEqual(
                            ep.count(self.hook("on_publish", version)), 5)
                    else:       # one was asked about before the signal
                        self.assertLessEqual(acked, 1)
                    b.stop()


class OutOfReach(PublishTest):
    """Topics that an endpoint does not decide about."""

    def test_dollar_topics_are_not_asked(self):
        ep, b, sub = self.stage()
        for v in VERSIONS:
            pub = self.online(b, "c%d" % v, v)
            for topic in ("$CONTROL/dynamic-security/v1", "$CONTROL/x",
                          "$mine/x", "$x"):
                ack = pub.publish(topic, "x", 1)
                self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
                pub.publish(topic, "x", 0)
            pub.quiet()
        self.nothing_but(ep, self.online(b, "pub"), sub)
        self.assertEqual(ep.count("auth_on_publish"), 1)
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_dollar_wills_are_not_published(self):
        ep, b, sub = self.stage()
        watch = self.subscriber(b, "$mine/#", client_id="watch")
        c = self.online(b, "c1", will={"topic": "$mine/x", "payload": "x"})
        c.reset()
        ep.wait_for("on_client_gone", client_id="c1")
        watch.quiet()
        self.assertEqual(ep.count("auth_on_publish"), 0)

    def dynsec(self):
        """A configuration that knows one user, who may administer."""
        salt = b"0123456789ab"
        digest = hashlib.pbkdf2_hmac("sha512", b"adminpw", salt, 101)
        acls = [{"acltype": kind, "topic": topic, "allow": True}
                for kind, topic in (
                    ("publishClientSend", "$CONTROL/dynamic-security/#"),
                    ("publishClientReceive", "$CONTROL/dynamic-security/#"),
                    ("subscribePattern", "$CONTROL/dynamic-security/#"))]
        return json.dumps({
            "clients": [{"username": "admin", "password": b64(digest),
                         "salt": b64(salt), "iterations": 101,
                         "roles": [{"rolename": "admin"}]}],
            "roles": [{"rolename": "admin", "acls": acls}],
            "defaultACLAccess": {"publishClientSend": False,
                                 "publishClientReceive": True,
                                 "subscribe": False, "unsubscribe": True}})

    COMMAND = json.dumps({"commands": [
        {"command": "createClient", "username": "%s", "password": "x",
         "roles": [{"rolename": "admin"}]}]})

    def test_control_with_dynamic_security(self):
        ep = self.endpoint()
        b = self.hooked(ep, after=[
            "plugin " + dynsec_path(),
            "plugin_opt_config_file @DIR@/dynsec.json"],
            files={"dynsec.json": self.dynsec()})

        def known():
            with open(b.path("dynsec.json")) as f:
                return {c["username"] for c in json.load(f)["clients"]}

        # an endpoint that allows everything admits a stranger: who must
        # not get through to the broker's administration
        for v in VERSIONS:
            evil = self.online(b, "evil%d" % v, v, "mallory")
            ack = evil.publish("$CONTROL/dynamic-security/v1",
                               self.COMMAND % ("evil%d" % v), 1)
            self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
            evil.publish("$CONTROL/dynamic-security/v1",
                         self.COMMAND % ("evil%d" % v), 0)
            codes = evil.subscribe("$CONTROL/#")
            if v > 3:
                self.assertEqual(codes, [0x87 if v == 5 else 0x80])
            evil.quiet()
            self.assertEqual(known(), {"admin"})
        # nor anybody in the name of a will or a rewritten topic
        evil = self.client(b, "evil").open()
        evil.send_connect("u", "p", will={
            "topic": "$CONTROL/dynamic-security/v1",
            "payload": self.COMMAND % "evil"})
        if evil.wait("CONNACK", "CLOSED")["type"] == "CONNACK":
            # 2.0.11; later ones do not even let such a client in
            evil.reset()
            ep.wait_for("on_client_gone", client_id="evil")
        self.assertEqual(known(), {"admin"})
        self.answer(ep, ok(topic="$CONTROL/dynamic-security/v1"))
        pub = self.online(b, "pub")
        pub.publish("t", self.COMMAND % "evil", 1)
        pub.barrier()
        self.assertEqual(known(), {"admin"})
        # while the administrator, whom dynamic-security knows, does
        self.answer(ep, OK)
        admin = self.online(b, "boss", 4, "admin", "adminpw")
        self.assertEqual(
            admin.subscribe("$CONTROL/dynamic-security/v1/response"), [0])
        admin.publish("$CONTROL/dynamic-security/v1",
                      self.COMMAND % "created", 1)
        answer = admin.message("$CONTROL/dynamic-security/v1/response")
        self.assertNotIn("error", answer["payload"])
        self.assertEqual(known(), {"admin", "created"})
        self.assertEqual([r for r in ep.of() if r.hook.startswith("auth")
                          and "$CONTROL" in r.raw.decode()], [])
