"""Logins that wait for their answer: on 2.1 without the broker."""

import time

from endpoint import DENY, OK, Delay, Drip, Stall, ok
from host import ALL, BrokerTest, endpoint_conf

REFUSED = {3: 5, 4: 5, 5: 0x87}
VERSIONS = (3, 4, 5)


class RegisterTime(BrokerTest):
    """What a slow endpoint can and cannot do."""

    HOOKS = ("auth_on_register", "auth_on_register_m5")

    def slow(self, answer, timeout):
        ep = self.endpoint()
        ep.answers["auth_on_register"] = answer
        ep.answers["auth_on_register_m5"] = answer
        conf = endpoint_conf(ep.url, self.HOOKS,
                             response_timeout=self.ms(timeout))
        conf.update(endpoint_conf(
            ep.url, [h for h in ALL if h not in self.HOOKS], "other"))
        return ep, self.broker(conf)

    def test_response_timeout(self):
        ep, b = self.slow(Stall(), 300)
        for v in VERSIONS:
            began = time.monotonic()
            c = self.client(b, "c%d" % v, v)
            c.connect("u", "p", rc=REFUSED[v])
            took = time.monotonic() - began
            self.assertGreater(took, 0.25)
            self.assertLess(took, 0.9 * self.scale)

    def test_response_timeout_bounds_the_whole_call(self):
        ep, b = self.slow(Drip(0.03 * self.scale), 300)
        began = time.monotonic()
        self.client(b, "c1").connect("u", "p", rc=5)
        self.assertLess(time.monotonic() - began, 0.9 * self.scale)

    def test_response_timeout_is_logged(self):
        ep, b = self.slow(Stall(), 100)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.has("\n".join(b.lines_with("auth_on_register")),
                 str(ep.port), "time|100 ?ms|%d ?ms" % self.ms(100))

    def test_within_response_timeout(self):
        ep, b = self.slow(Delay(0.15), 900)
        self.online(b, "c1")

    def test_late_answer_is_dropped(self):
        ep, b = self.slow(None, 200)
        stall = ep.answers["auth_on_register"] = Stall(OK)
        self.client(b, "c1").connect("u", "p", rc=5)
        ep.answers["auth_on_register"] = DENY
        stall.release()
        self.client(b, "c1").connect("u", "p", rc=5)
        ep.answers["auth_on_register"] = OK
        self.online(b, "c1")

    def test_others_while_a_login_hangs(self):
        """2.1: everybody goes on. 2.0: the broker waits with it."""
        ep, b = self.slow(None, 5000)
        ep.answers.clear()
        other = self.online(b, "other")
        other.subscribe(("t/#", 1))
        stall = ep.answers["auth_on_register"] = Stall(OK)
        c = self.client(b, "slow").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register", 2)
        if self.v21:
            began = time.monotonic()
            for i in range(20):
                other.publish("t/%d" % i, "x", 1)
                other.message("t/%d" % i)
            self.assertLess(time.monotonic() - began, 2 * self.scale)
            self.assertEqual(stall.held, 1)
        else:
            other.send("PINGREQ", 0, b"")
            with self.assertRaises(AssertionError):
                other.wait("PINGRESP", timeout=0.2 / self.scale)
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        c.quiet()

    def test_logins_wait_together(self):
        """2.1: many slow logins take the time of one."""
        ep, b = self.slow(Delay(0.2), 5000)
        clients = [self.client(b, "c%d" % i).open() for i in range(20)]
        began = time.monotonic()
        n = 20 if self.v21 else 2
        for c in clients[:n]:
            c.send_connect("u", "p")
        for c in clients[:n]:
            self.assertEqual(c.wait("CONNACK", timeout=10)["rc"], 0)
        took = time.monotonic() - began
        if self.v21:
            self.assertLess(took, 2 * self.scale)
        else:
            self.assertGreater(took, 0.35)

    def test_login_is_completed_at_once(self):
        """2.1: the broker is woken, it does not wait for its next tick."""
        ep, b = self.slow(None, 5000)
        ep.answers.clear()
        self.online(b, "warm")
        took = []
        for i in range(40):
            c = self.client(b, "c%d" % i).open()
            began = time.monotonic()
            c.send_connect("u", "p")
            c.wait("CONNACK")
            took.append(time.monotonic() - began)
        self.quick(took)

    def test_answer_belongs_to_one_login(self):
        """A client leaves; its answer must not admit its successor."""
        ep, b = self.slow(None, 5000)
        good, bad = Stall(OK), Stall(DENY)
        ep.answers["auth_on_register"] = lambda r: {
            "good": good, "bad": bad}.get(r["password"])
        other = self.online(b, "other")
        first = self.client(b, "victim").open()
        first.send_connect("u", "good")
        ep.wait_for("auth_on_register", password="good")
        first.close()
        if self.v21:
            other.barrier()
            other.barrier()
        second = self.client(b, "victim").open()
        second.send_connect("u", "bad")
        if self.v21:
            ep.wait_for("auth_on_register", password="bad")
        good.release()
        if self.v21:
            other.barrier()
        with self.assertRaises(AssertionError):
            second.wait("CONNACK", timeout=0.3 / self.scale)
        bad.release()
        self.assertEqual(second.wait("CONNACK")["rc"], 5)
        second.expect_closed()

    def test_same_id_while_a_login_hangs(self):
        """2.1 closes the second; the first goes on undisturbed."""
        ep, b = self.slow(None, 5000)
        ep.answers.clear()
        other = self.online(b, "other")
        stall = ep.answers["auth_on_register"] = Stall(OK)
        first = self.client(b, "same").open()
        first.send_connect("u", "p")
        ep.wait_for("auth_on_register", client_id="same")
        second = self.client(b, "same").open()
        second.send_connect("u", "p")
        if self.v21:
            second.expect_closed()
        stall.release()
        self.assertEqual(first.wait("CONNACK")["rc"], 0)
        if self.v21:
            first.publish("t", "x", 1)
            other.publish("t", "x", 1)
            ep.wait_for("on_publish", client_id="same")
            self.assertEqual(ep.count("on_client_gone"), 0)
            self.assertEqual(ep.count("on_register", client_id="same"), 1)
        else:
            # asked one after the other: the second takes over
            self.assertEqual(second.wait("CONNACK")["rc"], 0)
            first.expect_closed()

    def test_leaves_while_its_login_hangs(self):
        """Nothing is told of a client that never got in."""
        ep, b = self.slow(None, 5000)
        stall = Stall(OK if self.v21 else DENY)
        ep.answers["auth_on_register"] = \
            lambda r: stall if r["client_id"] == "leaver" else OK
        c = self.client(b, "leaver").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        c.close()
        if self.v21:
            self.online(b, "other").barrier()
        stall.release()
        last = self.online(b, "last")
        last.disconnect()
        ep.wait_for("on_client_gone", client_id="last")
        self.assertEqual(ep.hooks(client_id="leaver"), ["auth_on_register"])

    def test_stop_while_a_login_hangs(self):
        ep, b = self.slow(None, 5000)
        ep.answers["auth_on_register"] = Stall(OK)
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        began = time.monotonic()
        b.stop()
        self.assertLess(time.monotonic() - began, 8 * self.scale)


class Pending(BrokerTest):

    def test_mountpoint_of_one_that_left(self):
        """2.1: the reply names the mountpoint of a client whose memory is
        the broker's again."""
        if self.v20:
            return      # the broker waits: nobody leaves meanwhile
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url))
        ep.answers["auth_on_register"] = stall = Stall(
            ok(client_id="c0", mountpoint=""))
        for i in range(8):
            c = self.client(b, "c%d" % i)
            c.open()
            c.send_connect("u", "p")
            ep.wait_for("auth_on_register", i + 1)
            c.close()
        stall.release()
        ep.answers.clear()
        self.online(b, "after").barrier()
        self.assertTrue(b.alive())
