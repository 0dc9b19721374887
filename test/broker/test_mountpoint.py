"""Listeners with a mount_point, and what endpoints see of it."""

import unittest.mock

from endpoint import ok
from host import ALL, BrokerTest, endpoint_conf, free_port, version

HOOKS = ALL + ("on_auth_m5", "on_deliver", "on_deliver_m5",
               "on_offline_message", "on_session_expired")
VERSIONS = (3, 4, 5)
REFUSAL = {4: 0x80, 5: 0x87}
MOUNT = ["mount_point mp/x/"]


class MountTest(BrokerTest):

    def shown(self, topic, mount="mp/x/"):
        """The topic that a client of the listener sees: 2.0.11 does not
        take the mount_point off (fixed in 2.0.12)."""
        return mount + topic if version() == "2.0.11" else topic

    def stage(self, conf=None, hooks=HOOKS, mountpoint="mp/x/", lines=MOUNT,
              **kw):
        ep = self.endpoint()
        settings = {"vmq_webhooks.mountpoint": mountpoint}
        settings.update(conf or {})
        return ep, self.hooked(ep, hooks, settings, lines=lines, **kw)

    def answer(self, ep, hook, answer):
        ep.answers[hook] = ep.answers[hook + "_m5"] = answer


class Global(MountTest):
    """vmq_webhooks.mountpoint: every listener mounts it."""

    def test_requests(self):
        """Topics without it, and the field has it without its slash."""
        ep, b = self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.online(b, cid, v)
            c.subscribe(("a/%d/#" % v, 1))
            c.publish("a/%d/t" % v, "x", 1, retain=True)
            self.assertEqual(c.message()["topic"],
                             self.shown("a/%d/t" % v))
            c.disconnect()
            ep.wait_for("on_client_gone", client_id=cid)
            for hook in ("auth_on_publish", "on_publish", "on_deliver"):
                r = ep.wait_for(self.hook(hook, v), client_id=cid)
                self.assertEqual(r["topic"], "a/%d/t" % v, hook)
            for hook in ("auth_on_subscribe", "on_subscribe"):
                r = ep.wait_for(self.hook(hook, v), client_id=cid)
                self.assertEqual(r["topics"][0]["topic"], "a/%d/#" % v)
            for r in ep.of(client_id=cid):
                self.assertEqual(r["mountpoint"], "mp/x", r)
            self.assertGreaterEqual(len(ep.of(client_id=cid)), 9)

    def test_offline_requests(self):
        ep, b = self.stage()
        keep = {"p_session_expiry_interval": 1}
        c = self.online(b, "c1", 5, clean=False, properties=keep)
        c.subscribe(("t", 1))
        c.disconnect()
        ep.wait_for("on_client_offline")
        self.online(b, "pub").publish("t", "x", 1)
        r = ep.wait_for("on_offline_message")
        self.assertEqual((r["topic"], r["mountpoint"], r["qos"]),
                         ("t", "mp/x", 1))
        r = ep.wait_for("on_session_expired", timeout=10)
        self.assertEqual(r.body, {"mountpoint": "mp/x", "client_id": "c1"})

    def test_auth_m5_request(self):
        ep, b = self.stage()
        ep.answers["on_auth_m5"] = ok(reason_code=0)
        c = self.client(b, "c1", 5).open()
        c.send_connect("u", "p", properties={
            "p_authentication_method": "M"})
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        self.assertEqual(ep.of("on_auth_m5")[0]["mountpoint"], "mp/x")

    def test_without_a_slash(self):
        """Mosquitto puts it before the topic as it stands."""
        ep, b = self.stage(mountpoint="mp", lines=["mount_point mp"])
        c = self.online(b, "c1")
        c.subscribe("t")
        c.publish("t", "x", 1)
        self.assertEqual(c.message()["topic"], self.shown("t", "mp"))
        r = ep.wait_for("on_publish")
        self.assertEqual((r["topic"], r["mountpoint"]), ("t", "mp"))

    def test_wills(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        for v in VERSIONS:
            self.online(b, "c%d" % v, v,
                        will={"topic": "w", "payload": "x"}).reset()
            self.assertEqual(sub.message()["topic"], self.shown("w"))
            r = ep.wait_for(self.hook("auth_on_publish", v),
                            client_id="c%d" % v)
            self.assertEqual((r["topic"], r["mountpoint"]), ("w", "mp/x"))

    def test_rewritten_will(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, "auth_on_publish", ok(topic="new/w"))
        for v in VERSIONS:
            self.online(b, "c%d" % v, v,
                        will={"topic": "w", "payload": "x"}).reset()
            self.assertEqual(sub.message()["topic"], self.shown("new/w"))

    def test_rewritten_publish(self):
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        for new in ("n", "same1", "much/longer/than/it/was"):
            self.answer(ep, "auth_on_publish", ok(topic=new))
            for v in VERSIONS:
                c = self.online(b, "c%d" % v, v)
                for qos in (0, 1, 2):
                    c.publish("topic", "x", qos)
                    self.assertEqual(sub.message()["topic"],
                                     self.shown(new))
                r = ep.wait_for(self.hook("on_publish", v), topic=new)
                self.assertEqual(r["mountpoint"], "mp/x")
        self.assertEqual(ep.count("on_publish", topic="topic"), 0)

    def test_other_qos(self):
        ep, b = self.stage()
        sub = self.subscriber(b, ("#", 2))
        for modifiers in ({"qos": 2}, {"qos": 2, "topic": "new"}):
            self.answer(ep, "auth_on_publish", ok(**modifiers))
            for v in VERSIONS:
                c = self.online(b, "c%d" % v, v)
                c.publish("t", "x", 1)
                got = sub.message()
                topic = modifiers.get("topic", "t")
                self.assertEqual((got["topic"], got["qos"]),
                                 (self.shown(topic), 2))
                ep.wait_for(self.hook("on_publish", v), topic=topic, qos=2)
        sub.quiet()

    def test_other_qos_is_not_delivered_twice(self):
        """The original goes to `$`, which nobody has, mounted or not."""
        ep, b = self.stage()
        c = self.online(b, "c1")
        codes = c.subscribe("$", "$share/g/$")
        self.assertEqual(codes, [0x80, 0x80])

    def test_rewritten_subscription(self):
        ep, b = self.stage()
        new = [{"topic": "new/+", "qos": 1}]
        ep.answers["auth_on_subscribe"] = {"result": "ok", "topics": new}
        ep.answers["auth_on_subscribe_m5"] = ok(topics=new)
        pub = self.online(b, "pub")
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            codes = c.subscribe(("asked", 1))
            if self.v20:
                if v > 3:
                    self.assertEqual(codes, [REFUSAL[v]])
                continue
            self.assertEqual(codes, [1])
            pub.publish("asked", "x", 1)
            pub.publish("new/x", "x", 1)
            self.assertEqual([p["topic"] for p in c.drain()], ["new/x"])
            r = ep.wait_for(self.hook("on_subscribe", v),
                            client_id="c%d" % v)
            self.assertEqual(r["topics"][0]["topic"], "new/+")

    def test_as_requested_is_no_rewrite(self):
        ep, b = self.stage()
        topics = [{"topic": "asked", "qos": 1}]
        ep.answers["auth_on_subscribe"] = {"result": "ok", "topics": topics}
        ep.answers["auth_on_subscribe_m5"] = ok(topics=topics)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            self.assertEqual(c.subscribe(("asked", 1)), [1])
            c.publish("asked", "x", 1)
            self.assertEqual(c.message()["topic"], self.shown("asked"))
            c.disconnect()

    def test_unsubscribe(self):
        """Mosquitto does not put the mount_point before what a client
        unsubscribes from, and so finds nothing; told of it is."""
        ep, b = self.stage()
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t")
            c.unsubscribe("t")
            r = ep.wait_for(self.hook("on_unsubscribe", v),
                            client_id="c%d" % v, timeout=1)
            self.assertEqual((r["topics"], r["mountpoint"]),
                             (["t"], "mp/x"))

    def test_rewritten_unsubscribe(self):
        ep = self.endpoint()
        names = ("on_unsubscribe", "on_unsubscribe_m5")
        conf = endpoint_conf(ep.url, [h for h in HOOKS if h not in names])
        conf.update(endpoint_conf(ep.url, names, "leave", blocking="on"))
        conf["vmq_webhooks.mountpoint"] = "mp/x/"
        b = self.broker(conf, lines=MOUNT)
        ep.answers["on_unsubscribe"] = {"result": "ok", "topics": ["new"]}
        c = self.online(b, "c1")
        c.subscribe(("new", 1), ("asked", 1))
        c.unsubscribe("asked")
        self.assertEqual(ep.wait_for("on_unsubscribe", timeout=1)["topics"],
                         ["asked"])
        c.publish("asked", "x", 1)
        c.publish("new", "x", 1)
        self.assertEqual([p["topic"] for p in c.drain()], [
            self.shown(t) for t in
            (["asked"] if self.v21 else ["asked", "new"])])

    def test_delivery_rewrite(self):
        """2.1 would crash over a rewritten topic: it is left alone, which
        is said once; the payload is rewritten."""
        ep = self.endpoint()
        names = ("on_deliver", "on_deliver_m5")
        conf = endpoint_conf(ep.url)
        conf.update(endpoint_conf(ep.url, names, "deliver", blocking="on"))
        conf["vmq_webhooks.mountpoint"] = "mp/x/"
        b = self.broker(conf, lines=MOUNT)
        self.answer(ep, "on_deliver", ok(topic="new/topic", payload="bg=="))
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            c.subscribe(("t", 2))
            for qos in (0, 1, 2):
                c.publish("t", "x", qos)
                got = c.message()
                self.assertEqual((got["topic"], got["payload"]),
                                 (self.shown("t"), "n" if self.v21
                                  else "x"))
            c.disconnect()
        self.assertEqual(b.log_count("on_deliver cannot rewrite topics"),
                         1 if self.v21 else 0)

    def test_delivery_rewrite_where_none_is_configured(self):
        """The listener mounts something and the plugin was not told: no
        reply may bring the broker down."""
        ep = self.endpoint(on_deliver=ok(topic="new/topic"))
        conf = endpoint_conf(ep.url)
        conf.update(endpoint_conf(ep.url, ("on_deliver",), "deliver",
                                  blocking="on"))
        b = self.broker(conf, lines=MOUNT)
        c = self.online(b, "c1")
        c.subscribe("t")
        for _ in range(2):
            c.publish("t", "x", 1)
            c.message()

    def test_own_mountpoint_in_a_reply(self):
        """The listener's is no change."""
        ep, b = self.stage()
        self.answer(ep, "auth_on_register", ok(client_id="c1",
                                               mountpoint="mp/x"))
        self.answer(ep, "auth_on_publish", ok(mountpoint="mp/x"))
        for v in VERSIONS:
            c = self.online(b, "c1", v)
            c.subscribe("t")
            c.publish("t", "x", 1)
            c.message()
            c.disconnect()

    def test_other_mountpoint_in_a_reply(self):
        for other in ("", "mp", "mp/x/y", "other"):
            ep, b = self.stage()
            self.answer(ep, "auth_on_publish", ok(mountpoint=other))
            c = self.online(b, "c1", 5)
            self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
            b.wait_log("c1 refused.*mountpoint")
            self.answer(ep, "auth_on_register",
                        ok(client_id="c2", mountpoint=other))
            self.client(b, "c2").connect("u", "p", rc=5)
            b.wait_log("c2 refused.*mountpoint")

    def test_size_is_the_clients(self):
        """max_message_size counts what the client sent, without the prefix
        that the broker puts before it."""
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        self.answer(ep, "auth_on_register", ok(max_message_size=57))
        c = self.online(b, "c1")
        c.publish("t", "a" * 50, 1)     # 1 + 1 + 2 + 1 + 2 + 50
        self.assertEqual(sub.message(timeout=1)["payload"], "a" * 50)

    def test_dollar_topics(self):
        """`$` at a client's topic's start counts, behind the prefix."""
        ep, b = self.stage()
        c = self.online(b, "c1", 5)
        self.assertEqual(c.publish("$mine/x", "x", 1)["rc"], 0x87)
        self.assertEqual(c.subscribe("$CONTROL/#"), [0x87])
        self.assertEqual([h for h in ep.hooks(client_id="c1")
                          if "publish" in h or "subscribe" in h], [])

    def test_not_mounted(self):
        """No listener mounts it: every topic is refused, nobody asked."""
        ep, b = self.stage(lines=[])
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v)
            codes = c.subscribe(("t", 1))
            if v > 3:
                self.assertEqual(codes, [REFUSAL[v]])
            ack = c.publish("t", "x", 1)
            self.assertEqual(ack.get("rc", 0), 0x87 if v == 5 else 0)
            c.publish("t", "x", 0)
            c.quiet()
        self.assertEqual([h for h in ep.hooks() if "publish" in h or
                          "subscribe" in h], [])
        for what in "publish", "subscription":
            self.assertEqual(b.log_count(
                what + " of client c3 refused: t does not begin with"), 1)

    def test_warned_of_on_20(self):
        ep, b = self.stage()
        self.assertEqual(len(b.lines_with(
            "vmq_webhooks.mountpoint.*every listener")),
            1 if self.v20 else 0)

    def test_not_a_mountpoint(self):
        for bad in ("a/#", "+/", "$SYS/", "$share/g/"):
            b = self.unstarted({"vmq_webhooks.mountpoint": bad})
            self.has(b.refused(), "mountpoint")


class Listeners(MountTest):
    """Two listeners, of which the second mounts something else, or
    nothing."""

    def start(self, conf, first, second):
        """A broker with these lines for its two listeners, and the second
        one's port. FIRST and SECOND in a key stand for the ports."""
        ep = self.endpoint()
        taken, other = free_port(), free_port()
        settings = endpoint_conf(ep.url, HOOKS)
        for key, value in conf.items():
            key = key.replace("FIRST", str(taken))
            settings[key.replace("SECOND", str(other))] = value
        with unittest.mock.patch("host.free_port", lambda: taken):
            b = self.broker(settings, lines=first, after=[
                "listener %d 127.0.0.1" % other] + second +
                ["allow_anonymous false"])
        return ep, b, other

    def by(self, b, port, client_id, version=4):
        """A client of the listener on this port."""
        c = self.client(b, client_id, version)
        c.port = port
        c.connect("u", "p")
        return c

    def test_listener_key_is_refused_on_20(self):
        if self.v21:
            return      # see the next
        b = self.unstarted({"vmq_webhooks.listener.1883.mountpoint": "a/"})
        self.has(b.refused(), "listener.1883.mountpoint.*2\\.1",
                 "which listener", "vmq_webhooks.mountpoint")

    def test_each_its_own(self):
        if self.v20:
            return
        ep, b, other = self.start(
            {"vmq_webhooks.listener.FIRST.mountpoint": "one/",
             "vmq_webhooks.listener.SECOND.mountpoint": "two/"},
            ["mount_point one/"], ["mount_point two/"])
        for v in VERSIONS:
            for name, port in (("one", b.port), ("two", other)):
                cid = "%s%d" % (name, v)
                c = self.by(b, port, cid, v)
                c.subscribe("#")
                c.publish("t", name, 1)
                self.assertEqual([(p["topic"], p["payload"])
                                  for p in c.drain()], [("t", name)])
                for r in ep.of(client_id=cid):
                    self.assertEqual(r["mountpoint"], name)
                self.assertEqual(ep.wait_for(self.hook("on_publish", v),
                                             client_id=cid)["topic"], "t")
                c.disconnect()

    def test_one_with_and_one_without(self):
        if self.v20:
            return
        ep, b, other = self.start(
            {"vmq_webhooks.listener.SECOND.mountpoint": "two/"},
            [], ["mount_point two/"])
        plain, mounted = self.by(b, b.port, "plain"), \
            self.by(b, other, "mounted")
        plain.subscribe("#")
        mounted.subscribe("#")
        mounted.publish("t", "m", 1)
        self.assertEqual(mounted.message()["topic"], "t")
        self.assertEqual(plain.message()["topic"], "two/t")
        plain.publish("two/u", "p", 1)
        self.assertEqual(mounted.message()["topic"], "u")
        r = ep.wait_for("on_publish", client_id="plain")
        self.assertEqual((r["topic"], r["mountpoint"]), ("two/u", ""))
        r = ep.wait_for("on_publish", client_id="mounted")
        self.assertEqual((r["topic"], r["mountpoint"]), ("t", "two"))

    def test_listener_key_comes_before_the_global(self):
        if self.v20:
            return
        ep, b, other = self.start(
            {"vmq_webhooks.mountpoint": "one/",
             "vmq_webhooks.listener.SECOND.mountpoint": "two/"},
            ["mount_point one/"], ["mount_point two/"])
        for name, port in (("one", b.port), ("two", other)):
            self.by(b, port, name).publish("t", "x", 1)
            r = ep.wait_for("on_publish", client_id=name)
            self.assertEqual((r["topic"], r["mountpoint"]), ("t", name))

    def test_global_and_a_listener_without(self):
        """What comes without the prefix is refused; nothing of it is asked
        or told, and nobody crosses over."""
        ep, b, other = self.start({"vmq_webhooks.mountpoint": "one/"},
                                  ["mount_point one/"], [])
        fine = self.by(b, b.port, "fine")
        fine.subscribe("#")
        for v in VERSIONS:
            cid = "c%d" % v
            c = self.by(b, other, cid, v)
            codes = c.subscribe(("t", 1), ("#", 1))
            if v > 3:
                self.assertEqual(codes, [REFUSAL[v]] * 2)
            c.publish("t", "x", 1)
            c.publish("t", "x", 0)
            c.quiet()
            self.assertEqual([h for h in ep.hooks(client_id=cid)
                              if "publish" in h or "subscribe" in h], [])
        fine.publish("t", "x", 1)
        self.assertEqual(fine.message()["topic"], self.shown("t", "one/"))
        fine.quiet()

    def test_wrong_prefix(self):
        """Configured is another one than the listener's: refused."""
        ep, b = self.stage(mountpoint="other/")
        c = self.online(b, "c1", 5)
        self.assertEqual(c.publish("t", "x", 1)["rc"], 0x87)
        self.assertEqual(c.subscribe("t"), [0x87])
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)
        b.wait_log("publish of client c1 refused: .*t does not begin with "
                   "other/")

    def test_renaming_stays_in_the_listener(self):
        if self.v20:
            return
        ep, b, other = self.start(
            {"vmq_webhooks.listener.SECOND.mountpoint": "two/"},
            [], ["mount_point two/"])
        ep.answers["auth_on_register"] = ok(client_id="new",
                                            mountpoint="two")
        c = self.client(b, "c1")
        c.connect("u", "p", rc=5)
        c = self.by(b, other, "c2")
        self.assertEqual(ep.wait_for("on_register")["client_id"], "new")

    def test_bad_port(self):
        for bad in ("0", "65536", "x", "-1", "01883"):
            b = self.unstarted({"vmq_webhooks.listener.%s.mountpoint" % bad:
                                "a/"})
            self.has(b.refused(), "listener")
