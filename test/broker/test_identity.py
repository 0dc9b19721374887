"""Who is who: pointers that the broker reuses, clients that left unseen."""

import socket
import time

import mqtt
from endpoint import DENY, Stall, ok
from host import ALL, BrokerTest, endpoint_conf, free_port, version
from test_forward import Authority, TlsClient

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


class ByCertificate(BrokerTest):
    """Clients whose login no version of the broker tells of."""

    def stage(self, identity=True):
        ep = self.endpoint()
        self.authority = Authority().issue("x")
        self.tls = free_port()
        b = self.hooked(ep, HOOKS, lines=self.authority.listener(
            self.tls, True, "use_identity_as_username %s" % (
                "true" if identity else "false")))
        return ep, b

    def enter(self, client_id, version, user=None, **kw):
        c = TlsClient(self.tls, client_id, version,
                      context=self.authority.context("x"))
        self.addCleanup(c.close)
        c.connect(user, "p" if user else None, **kw)
        return c

    def test_wills(self):
        """Their certificate is still there when they are sent."""
        for identity in False, True:
            ep, b = self.stage(identity)
            watch = self.subscriber(b, "#", client_id="watch")
            for answer, told in ((ok(topic="safe"), "safe"), (DENY, None)):
                ep.answers["auth_on_publish"] = answer
                ep.answers["auth_on_publish_m5"] = answer
                for version, expiry, delay in (
                        (4, 0, 0), (4, 100, 0), (5, 0, 0), (5, 100, 0),
                        (5, 100, 1)):
                    with self.subTest(identity=identity, version=version,
                                      expiry=expiry, delay=delay):
                        will = {"topic": "will", "payload": "w"}
                        more = {}
                        if version == 5:
                            more = {"p_session_expiry_interval": expiry}
                            will["properties"] = {
                                "p_will_delay_interval": delay}
                        c = self.enter(
                            "x%d%d%d" % (version, expiry, delay), version,
                            None if identity else "u", clean=not expiry,
                            will=will, properties=more or None)
                        hook = self.hook("auth_on_publish", version)
                        before = ep.count(hook)
                        c.reset()
                        ep.wait_for(hook, before + 1, timeout=10)
                        if told:
                            self.assertEqual(watch.message()["topic"], told)
                        watch.quiet()
            self.assertEqual(ep.count("on_session_expired"), 0)

    def test_will_of_an_exchange_that_never_ended(self):
        ep, b = self.stage(identity=False)
        ep.answers["on_auth_m5"] = ok(reason_code=24)
        watch = self.subscriber(b, "#", client_id="watch")
        c = TlsClient(self.tls, "evil", 5, context=self.authority.context("x"))
        c.open()
        c.send_connect("u", "p", will={"topic": "will", "payload": "w"},
                       properties={"p_authentication_method": "M",
                                   "p_authentication_data": b"x"})
        c.wait("AUTH")
        c.reset()
        b.wait_log("evil.*(closed|disconnected)")
        watch.quiet()
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_session_that_is_taken_over_goes_on(self):
        """By one that does nothing: it is not parted from to find out, nor
        is the session told as ended."""
        ep, b = self.stage()
        for version in 4, 5:
            expiry = ({"p_session_expiry_interval": 100}
                      if version == 5 else None)
            for online in True, False:
                c = self.client(b, "x", version)
                c.connect("u", "p", clean=False, properties=expiry)
                if not online:
                    c.disconnect()
                    ep.wait_for("on_client_offline", client_id="x")
                ep.forget()
                taker = self.enter("x", version, clean=False,
                                   properties=expiry)
                time.sleep(1.5 * self.scale)
                taker.barrier()
                self.assertEqual(ep.count("on_session_expired"), 0)
                taker.disconnect()
                self.enter("x", version).disconnect()

    def test_will_of_one_that_was_not_let_in(self):
        if not self.v21:
            return              # where it stands still for the answer
        ep, b = self.stage(identity=False)
        watch = self.subscriber(b, "#", client_id="watch")
        for version in 4, 5:
            hook = self.hook("auth_on_register", version)
            ep.answers[hook] = stall = Stall()
            before = ep.count(hook)
            c = TlsClient(self.tls, "x", version,
                          context=self.authority.context("x"))
            c.open()
            c.send_connect("u", "p", will={"topic": "will", "payload": "w"})
            ep.wait_for(hook, before + 1)
            c.reset()
            b.wait_log("Client x .*(closed|disconnected)", n=version - 3)
            stall.release()
            watch.quiet()
        self.assertEqual(ep.count("auth_on_publish"), 0)
        self.assertEqual(ep.count("auth_on_publish_m5"), 0)

    def test_reconnects_are_no_wills(self):
        """2.0 gives the next connection the memory of the last one."""
        ep, b = self.stage()
        sub = self.subscriber(b, "#")
        ep.answers["auth_on_publish_m5"] = ok(payload="c2FmZQ==")
        for i in range(10):
            c = self.enter("x", 5)
            self.assertEqual(c.publish("t", "m%d" % i, 1).get("rc", 0), 0)
            m = sub.message()
            self.assertEqual((m["topic"], m["payload"]), ("t", "safe"))
            c.disconnect()
        ep.wait_for("on_publish_m5", 10)

    def test_refused_in_an_exchange_before(self):
        """Under this id, and perhaps in this place."""
        ep, b = self.stage()
        ep.answers["on_auth_m5"] = DENY
        for _ in range(10):
            c = TlsClient(self.tls, "x", 5,
                          context=self.authority.context("x"))
            c.open()
            c.send_connect(None, None, properties={
                "p_authentication_method": "M"})
            c.wait("CONNACK")
            c.close()
            time.sleep(0.1 * self.scale)    # for its memory to be free
            c = self.enter("x", 5)
            # 16: to nobody, which is no refusal
            self.assertIn(c.publish("t", "m", 1).get("rc", 0), (0, 16))
            c.disconnect()

    def test_takeover_ends_no_session(self):
        if not self.v21:
            return              # which tells nothing of these on 2.0
        ep, b = self.stage()
        for version in 4, 5:
            expiry = ({"p_session_expiry_interval": 100}
                      if version == 5 else None)
            register = self.hook("on_register", version)
            for clean, ends in ((False, []), (True, ["on_session_expired"])):
                ep.forget()
                first = self.enter("x", version, clean=False,
                                   properties=expiry)
                ep.wait_for(register, client_id="x")
                ep.forget()
                taker = self.enter("x", version, clean=clean,
                                   properties=expiry)
                ep.wait_for(register, client_id="x")
                first.expect_closed()
                self.assertEqual(ep.hooks(), ["on_client_offline", *ends,
                                              "on_client_wakeup", register])
                taker.disconnect()
                self.enter("x", version).disconnect()
                ep.wait_for("on_client_gone", client_id="x")

    def test_the_look_for_ended_sessions_parts_from_nobody(self):
        """2.0 looks by parting from whoever has that id."""
        ep, b = self.stage()
        c = self.client(b, "x", 5)
        c.open()
        c.send_connect("u", "p", clean=False,
                       properties={"p_session_expiry_interval": 2})
        c.wait("CONNACK")
        c.disconnect()
        b.wait_log("Expiring client x", timeout=30)
        c = self.enter("x", 5)
        c.publish("t", "x", 1)
        ep.wait_for("on_session_expired", client_id="x", timeout=10)
        time.sleep(2.5 * self.scale)
        c.barrier()


class Strangers(BrokerTest):
    """What the broker says of clients that we were never asked about."""

    def test_refused_with_somebody_elses_id(self):
        """Its end is not that of a session that is offline."""
        if not self.v20 or version() == "2.0.11":
            return              # 2.0.11 drops the session itself
        ep = self.endpoint()
        port = free_port()
        b = self.hooked(ep, HOOKS + ("on_offline_message",), lines=[
            "listener %d 127.0.0.1" % port, "use_username_as_clientid true"])
        c = self.client(b, "victim")
        c.connect("victim", "p", clean=False)
        c.subscribe(("t", 1))
        c.disconnect()
        ep.wait_for("on_client_offline", client_id="victim")
        evil = mqtt.Client(port, "victim", 4)
        self.addCleanup(evil.close)
        evil.open()
        evil.send_connect(None, None)
        evil.wait("CONNACK")
        evil.close()
        self.online(b, "pub").publish("t", "x", 1)
        ep.wait_for("on_offline_message", client_id="victim")
        self.assertEqual(ep.count("on_session_expired"), 0)

    def test_second_connect_ends_the_session(self):
        """On 2.0 that looks like a takeover."""
        if not self.v20:
            return
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        c = self.client(b, "x")
        c.connect("u", "p", clean=False)
        c.send_connect("u", "p", clean=False)
        c.expect_closed()
        ep.wait_for("on_client_offline", client_id="x")
        ep.wait_for("on_session_expired", client_id="x", timeout=10)

    def test_bridge_is_no_publisher(self):
        """Neither at first nor when it has lost its connection."""
        ep = self.endpoint()
        remote = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(remote.close)
        b = self.hooked(ep, HOOKS, after=[
            "connection br", "address 127.0.0.1:%d" % remote.getsockname()[1],
            "topic # in 0", "bridge_protocol_version mqttv50",
            "restart_timeout 1", "notifications false", "try_private false"])
        sub = self.subscriber(b, "#")
        for _ in range(2):
            sock = remote.accept()[0]
            sock.recv(1000)
            sock.sendall(b"\x20\x03\x00\x00\x00"
                         b"\x30\x07\x00\x01t\x00abc")
            self.assertEqual(sub.message(timeout=10)["topic"], "t")
            sock.close()
        sub.barrier()
        self.assertEqual(ep.count("on_publish_m5"), 0)


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
