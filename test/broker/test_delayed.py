"""Logins that wait for their answer: on 2.1 without the broker.

What can happen meanwhile has a test each, that says which defence it guards:
take that away and it fails.
"""

import socket
import time

from endpoint import DENY, NEXT, OK, Delay, Drip, Stall, kept, ok
from host import ALL, EACH_LINE, BrokerTest, endpoint_conf
from mqtt import Client

LOGIN = ("auth_on_register", "auth_on_register_m5")
REFUSED = {3: 5, 4: 5, 5: 0x87}
VERSIONS = (3, 4, 5)
WILL = {"topic": "will", "payload": "gone", "qos": 1}
DELAYED_WILL = dict(WILL, properties={"p_will_delay_interval": 1})
# What is freed reads as garbage, also where the cache of small frees would
# have kept it.
PERTURB = {"MALLOC_PERTURB_": "165",
           "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

# How a client can part from the broker. No DISCONNECT of a client that was
# not let in takes its will along.
WAYS = {
    "close": Client.close,
    "reset": Client.reset,
    "disconnect": lambda c: c.send("DISCONNECT", 0, b""),
    "ping": lambda c: c.send("PINGREQ", 0, b""),
    "connect": lambda c: c.send_connect("u", "again"),
}


class RegisterTime(BrokerTest):
    """What a slow endpoint can and cannot do."""

    def slow(self, answer, timeout):
        ep = self.endpoint()
        ep.answers["auth_on_register"] = answer
        ep.answers["auth_on_register_m5"] = answer
        conf = endpoint_conf(ep.url, LOGIN,
                             response_timeout=self.ms(timeout))
        conf.update(endpoint_conf(
            ep.url, [h for h in ALL if h not in LOGIN], "other"))
        return ep, self.broker(conf)

    def test_response_timeout(self):
        for v in VERSIONS:
            ep, b = self.slow(Stall(), 300)
            began = time.monotonic()
            c = self.client(b, "c%d" % v, v)
            c.connect("u", "p", rc=REFUSED[v])
            took = time.monotonic() - began
            self.assertGreater(took, 0.25)
            self.assertLess(took, 0.9 * self.scale)
            self.assertEqual(ep.count(self.hook("auth_on_register", v)), 1)

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
        ep.answers["auth_on_register"] = \
            lambda r: DENY if r["client_id"] == "c1" else OK
        stall.release()
        self.recover(b)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.assertEqual(ep.count("auth_on_register", client_id="c1"), 2)
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


class DelayedTest(BrokerTest):
    """What the endpoint says goes by the password: `says`, or else OK."""

    def stage(self, timeout=15000, conf=None, **kw):
        """An endpoint, a broker, and somebody online who gets all that is
        published."""
        ep = self.endpoint()
        self.says, self.marks, self.markers = {}, 0, 0
        for hook in LOGIN:
            ep.answers[hook] = lambda r: self.says.get(r["password"], OK)
        settings = endpoint_conf(ep.url, LOGIN, "login",
                                 response_timeout=self.ms(timeout))
        settings.update(endpoint_conf(
            ep.url, [h for h in ALL if h not in LOGIN], "other"))
        settings.update(EACH_LINE)
        settings.update(conf or {})
        self.ep, self.b = ep, self.broker(settings, **kw)
        self.witness = self.subscriber(self.b, "#", client_id="witness")
        return ep, self.b

    def stall(self, password, answer=OK):
        """The logins with this password wait for their answer."""
        self.says[password] = stall = Stall(answer)
        asked = self.asked(password)
        stall.asked = lambda: self.asked(password) - asked
        return stall

    def asked(self, password):
        return sum(self.ep.count(hook, password=password) for hook in LOGIN)

    def pend(self, client_id, version, password, **kw):
        """A client whose login waits, for a call of its own: two that ask
        the very same share one."""
        hook = self.hook("auth_on_register", version)
        n = self.ep.count(hook, client_id=client_id)
        c = self.client(self.b, client_id, version).open()
        c.send_connect("u%d" % n if n else "u", password, **kw)
        self.ep.wait_for(hook, n + 1, client_id=client_id)
        return c

    def leaves(self, c, way="close"):
        """It parts; returns once the broker has forgotten it."""
        said = r"Client %s \[.*disconnected" % c.client_id
        n = self.b.log_count(said)
        WAYS[way](c)
        self.b.wait_log(said, n + 1)
        self.witness.barrier()

    def hold(self):
        """Connections that take the addresses in the broker's memory which
        are free, so that nobody's login begins there."""
        return [self.client(self.b).open() for _ in range(3)]

    def settle(self, *stalls):
        """Let go; returns once the broker knows the answers and whatever
        follows from them was told."""
        for stall in stalls:
            stall.release()
            deadline = time.monotonic() + 5 * self.scale
            while stall.sent < stall.asked() and time.monotonic() < deadline:
                time.sleep(0.001)
            self.assertEqual(stall.sent, stall.asked())
        # a login from now on gets its answer after those
        self.marks += 1
        mark = "mark%d" % self.marks
        self.online(self.b, mark).disconnect()
        self.ep.wait_for("on_client_gone", client_id=mark)

    def refused(self, c):
        self.assertEqual(c.wait("CONNACK")["rc"], REFUSED[c.version])
        c.expect_closed()

    def let_in(self, c):
        ack = c.wait("CONNACK")
        self.assertEqual(ack["rc"], 0)
        return ack

    def register(self, c, n=1):
        """What is told of its n-th arrival."""
        return self.ep.wait_for(self.hook("on_register", c.version), n,
                                client_id=c.client_id)

    def works(self, c):
        """It is online and may publish."""
        self.markers += 1
        topic = "works/%d" % self.markers
        c.publish(topic, "x", 1)
        self.witness.message(topic)

    def nothing_published(self):
        """But for what the witness publishes now."""
        self.markers += 1
        topic = "marker/%d" % self.markers
        self.witness.publish(topic, "m", 1)
        self.witness.message(topic)
        self.witness.quiet()

    def resumes(self, ack, version, present=True):
        """Its CONNACK says so, but for MQTT 3.1, which has no room for it."""
        if version > 3:
            self.assertEqual(ack["session_present"], present)

    def told(self, client_id):
        """Whatever we did of it but for asking about its login."""
        return [h.replace("_m5", "") for h in
                self.ep.hooks(client_id=client_id) if h not in LOGIN]

    def life(self, client_id):
        """What of that is its coming and going."""
        return [h for h in self.told(client_id) if h in LIFE]

    def wills_asked(self):
        return (self.ep.count("auth_on_publish", topic="will") +
                self.ep.count("auth_on_publish_m5", topic="will"))


CAME = ["on_client_wakeup", "on_register"]
LIFE = CAME + ["on_client_offline", "on_client_gone"]


class StaleAnswer(DelayedTest):
    """The broker completes a login by its id; whose it is, is our ticket."""

    def generations(self, answers, order, fill):
        """Clients of one id, one after the other; each leaves but the last.
        The answers come in this order; the last one's decides. With `fill`
        no two have the same address in the broker's memory, but most likely
        all of them without."""
        if self.v20:
            return      # the broker waits: nobody leaves meanwhile
        self.stage()
        for v in VERSIONS:
            cid = "victim%d" % v
            stalls, fillers = [], []
            for n, answer in enumerate(answers):
                stalls.append(self.stall("%d" % n, answer))
                c = self.pend(cid, v, "%d" % n)
                if n + 1 < len(answers):
                    self.leaves(c)
                    fillers += self.hold() if fill else []
            mine = len(answers) - 1
            good = answers[mine] != DENY
            for n in order:
                before = self.told(cid)
                self.settle(stalls[n])
                if n == mine and good:
                    self.let_in(c)
                    self.assertEqual(self.register(c)["username"],
                                     answers[n]["modifiers"]["username"])
                elif n == mine:
                    self.refused(c)
                elif order.index(n) < order.index(mine):
                    c.silent()
                else:
                    self.assertEqual(self.told(cid), before)
            if good:
                self.works(c)
                c.disconnect()
                self.ep.wait_for("on_client_gone", client_id=cid)
            else:
                self.assertEqual(self.told(cid), [])
            for f in fillers:
                f.close()

    def either_way(self, answers):
        for order in ([0, 1], [1, 0]):
            for fill in (False, True):
                with self.subTest(order=order, fill=fill):
                    self.generations(answers, order, fill)

    def test_ok_for_one_that_is_to_be_refused(self):
        """Guards: only a current ticket's answer counts (complete())."""
        self.either_way([ok(username="old"), DENY])

    def test_refusal_for_one_that_is_to_be_let_in(self):
        """Guards: the same."""
        self.either_way([DENY, ok(username="new")])

    def test_changes_for_one_that_has_its_own(self):
        """Guards: the same; what is applied is the current answer's."""
        self.either_way([ok(username="old"), ok(username="new")])

    def test_third_generation(self):
        """Guards: every login voids the ticket before (pending_open())."""
        for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]):
            for fill in (False, True):
                with self.subTest(order=order, fill=fill):
                    self.generations([ok(username="a"), ok(username="b"),
                                      DENY], order, fill)

    def test_another_id_at_the_same_address(self):
        """Guards: a pointer's new life has no ticket of the old one's
        (client_begin())."""
        if self.v20:
            return
        self.stage()
        for v in VERSIONS:
            old = self.stall("old", ok(username="old"))
            new = self.stall("new", OK)
            left = [self.pend("left%d%d" % (v, i), v, "old")
                    for i in range(8)]
            for c in left:
                self.leaves(c)
            came = [self.pend("came%d%d" % (v, i), v, "new", will=WILL)
                    for i in range(8)]
            self.settle(old)
            for c in came:
                c.silent()
            for c in came[::2]:
                self.leaves(c)
            self.nothing_published()
            self.settle(new)
            for c in came[1::2]:
                self.let_in(c)
                self.works(c)
                self.assertEqual(self.register(c)["username"], "u")
                c.disconnect()
            for c in left + came[::2]:
                self.assertEqual(self.told(c.client_id), [])
        self.assertEqual(self.wills_asked(), 0)

    def test_kept_answer_for_the_next_one(self):
        """Guards: a ticket is of one login, so that its answer concerns
        nobody who came in without one."""
        if self.v20:
            return
        for answer in (DENY, ok(username="old"),
                       ok(client_id="thief", mountpoint="")):
            with self.subTest(answer=answer):
                self.stage()
                self.says["known"] = kept(60)
                for v in VERSIONS:
                    cid = "c%d" % v
                    self.online(self.b, cid, v, password="known").disconnect()
                    old = self.stall("old", answer)
                    self.leaves(self.pend(cid, v, "old"))
                    c = self.online(self.b, cid, v, password="known")
                    self.settle(old)
                    self.works(c)
                    self.assertEqual(self.register(c, 2)["username"], "u")
                    self.assertEqual(self.life(cid),
                                     CAME + ["on_client_gone"] + CAME)


class PendingWill(DelayedTest):
    """The broker publishes the will of whoever leaves, let in or not."""

    def test_of_one_that_leaves(self):
        """Guards: nothing is allowed a pending client (admitted()). Twice,
        so that it comes back at the same address."""
        if self.v20:
            return
        self.stage()
        stall = self.stall("slow")
        for v in VERSIONS:
            for way in WAYS:
                for known in (False, True):
                    cid = "%s%d%s" % (way, v, known)
                    if known:
                        self.online(self.b, cid, v).disconnect()
                    for _ in range(2):
                        self.leaves(self.pend(cid, v, "slow", will=WILL),
                                    way)
        self.nothing_published()
        self.settle(stall)
        self.nothing_published()
        self.assertEqual(self.wills_asked(), 0)

    def test_of_one_that_leaves_after_it_was_asked_for(self):
        """Guards: the same; here DISCONNECT says that there is a will."""
        if self.v20:
            return
        self.stage()
        stall = self.stall("slow")
        c = self.pend("c1", 5, "slow", will=WILL)
        c.send("DISCONNECT", 0, b"\x04")
        c.expect_closed()
        self.witness.barrier()
        self.nothing_published()
        self.settle(stall)
        self.nothing_published()
        self.assertEqual(self.wills_asked(), 0)

    def test_of_one_whose_keepalive_ends(self):
        """Guards: the same."""
        if self.v20:
            return
        self.stage()
        stall = self.stall("slow")
        waiting = [self.pend("c%d" % v, v, "slow", will=WILL, keepalive=1)
                   for v in VERSIONS]
        for c in waiting:
            c.expect_closed(timeout=15)
        self.witness.barrier()
        self.nothing_published()
        self.settle(stall)
        self.nothing_published()
        self.assertEqual(self.wills_asked(), 0)

    def test_of_one_that_is_refused(self):
        """Guards: a login that fails is completed, which clears the will;
        a delayed one, too."""
        self.stage(timeout=1500)
        self.says = {"no": DENY, "next": NEXT, "nonsense": b"{}",
                     "thief": ok(client_id="x", mountpoint="y")}
        if self.v21:
            self.stall("slow")
        refused = []
        for v in VERSIONS:
            for password in self.says:
                c = self.client(self.b, password + str(v), v).open()
                c.send_connect("u", password,
                               will=DELAYED_WILL if v == 5 else WILL)
                refused.append(c)
        for c in refused:
            self.refused(c)
        self.a_second_passes()
        self.nothing_published()
        self.assertEqual(self.wills_asked(), 1)

    def test_delayed_of_one_that_was_let_in(self):
        """Guards: who was let in and left is not taken for one that was
        not (admitted())."""
        self.stage()
        c = self.client(self.b, "c1", 5)
        c.connect("u", "p", will=dict(DELAYED_WILL, topic="mine"))
        c.reset()
        self.assertEqual(self.witness.message("mine", timeout=10)["payload"],
                         "gone")
        self.assertEqual(self.ep.count("auth_on_publish_m5", topic="mine"),
                         1)

    def test_delayed_of_one_that_the_broker_waits_with(self):
        """Guards: `blocking = on` for login keeps from 2.1's defect: a
        pending client with a delayed will that leaves (see README)."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ALL)
        conf.update(endpoint_conf(ep.url + "/b", ("auth_on_register_m5",),
                                  "hook00a", blocking="on"))
        self.ep = ep
        b = self.b = self.broker(conf, env=PERTURB)
        self.witness = self.subscriber(b, "#", client_id="witness")
        self.markers = 0
        for n in range(3):
            ep.answers["auth_on_register_m5"] = stall = Stall(DENY)
            c = self.client(b, "c%d" % n, 5).open()
            c.send_connect("u", "p", will=DELAYED_WILL)
            ep.wait_for("auth_on_register_m5", n + 1)
            c.reset()
            self.witness.send("PINGREQ", 0, b"")
            with self.assertRaises(AssertionError):
                self.witness.wait("PINGRESP", timeout=0.1 / self.scale)
            stall.release()
            self.witness.wait("PINGRESP")
        ep.answers.clear()
        self.a_second_passes()
        self.nothing_published()
        self.assertEqual(self.wills_asked(), 1)

    def a_second_passes(self):
        """Seen by a will that is delayed as long as any other here."""
        c = self.client(self.b, "clock", 5)
        c.connect("u", "p", will=DELAYED_WILL)
        c.reset()
        self.witness.message("will", timeout=10)

    def test_at_shutdown(self):
        """Guards: the same as for one that leaves."""
        if self.v20:
            return
        self.stage()
        self.stall("slow")
        for v in VERSIONS:
            self.pend("c%d" % v, v, "slow", will=dict(WILL, retain=True))
        self.b.stop()
        self.assertEqual(self.wills_asked(), 0)


class SameId(DelayedTest):
    """While one waits the broker closes others of its id, and tells of that
    as a DISCONNECT with this id and another pointer."""

    def second(self, cid, v):
        c = self.client(self.b, cid, v).open()
        c.send_connect("u", "second", will=WILL)
        self.assertNotIn("CONNACK", [p["type"] for p in c.expect_closed()])
        self.witness.barrier()

    def test_first_goes_on(self):
        """Guards: who disconnects is known by pointer, not by id."""
        if self.v20:
            return      # they are asked one after the other
        self.stage()
        for v in VERSIONS:
            for answer in (OK, DENY):
                cid = "c%d%s" % (v, answer == OK)
                stall = self.stall("first", answer)
                first = self.pend(cid, v, "first")
                for _ in range(3):
                    self.second(cid, v)
                    first.silent()
                self.settle(stall)
                if answer == DENY:
                    self.refused(first)
                    self.assertEqual(self.told(cid), [])
                    continue
                self.let_in(first)
                self.works(first)
                self.register(first)
                self.assertEqual(self.life(cid), CAME)
                first.disconnect()
                self.ep.wait_for("on_client_gone", client_id=cid)
        self.assertEqual(self.ep.count("auth_on_register",
                                       password="second"), 0)
        self.assertEqual(self.wills_asked(), 0)

    def test_whoever_is_online_stays(self):
        """Guards: the same; the id is that of a client online, too, which
        gives way only when the one that waits is let in."""
        if self.v20:
            return
        self.stage()
        for v in VERSIONS:
            for clean in (True, False):
                cid = "c%d%s" % (v, clean)
                keep = {"p_session_expiry_interval": 60} \
                    if v == 5 and not clean else None
                stall = self.stall("first")
                owner = self.online(self.b, cid, v, clean=clean,
                                    properties=keep)
                first = self.pend(cid, v, "first", clean=clean,
                                  properties=keep)
                self.second(cid, v)
                self.settle()
                self.works(owner)
                self.register(owner)
                self.assertEqual(self.life(cid), CAME)
                self.settle(stall)
                ack = self.let_in(first)
                self.resumes(ack, v, not clean)
                owner.expect_closed()
                left = "on_client_" + ("gone" if clean else "offline")
                self.register(first, 2)
                self.works(first)
                self.assertEqual(self.life(cid),
                                 CAME + [left] + CAME)
        self.assertEqual(self.wills_asked(), 0)

    def test_at_the_address_of_one_that_left(self):
        """Guards: the same; what is known of that pointer is another's."""
        if self.v20:
            return
        self.stage()
        for v in VERSIONS:
            cid = "c%d" % v
            old, new = self.stall("old"), self.stall("new")
            self.leaves(self.pend(cid, v, "old"))
            fillers = self.hold()
            first = self.pend(cid, v, "new")
            for f in fillers:
                f.close()
            self.witness.barrier()
            self.witness.barrier()
            for _ in range(3):
                self.second(cid, v)
            self.settle(old)
            first.silent()
            self.settle(new)
            self.let_in(first)
            self.works(first)
            self.register(first)
            self.assertEqual(self.life(cid), CAME)


class Gone(DelayedTest):
    """A client leaves while its login waits: the broker says nothing."""

    def test_nothing_is_told(self):
        """Guards: who was let in is told of at CONNECT, not before, and
        what is known of a pending client is no memory of the broker's."""
        if self.v20:
            return
        self.stage(env=PERTURB)
        stalls = [self.stall("a"), self.stall("b", ok(username="x")),
                  self.stall("c", DENY),
                  self.stall("d", ok(client_id="thief", mountpoint=""))]
        waiting = [(self.pend("%s%d%s" % (way, v, password), v, password),
                    way) for v in VERSIONS for way in WAYS
                   for password in "abcd"]
        for c, way in waiting:
            self.leaves(c, way)
        self.settle(*stalls)
        self.settle()
        for r in self.ep.of():
            self.assertTrue(r.hook in LOGIN or
                            r["client_id"].startswith(("mark", "witness")),
                            r)
        # and the ids are as good as any
        for v in VERSIONS:
            for way in WAYS:
                self.works(self.online(self.b, "%s%da" % (way, v), v))
        self.works(self.online(self.b, "thief"))

    def test_whoever_is_online_stays(self):
        """Guards: limits begin with CONNECT: the answer for one that left
        does not end the life of the one with its id."""
        if self.v20:
            return
        self.stage()
        owners = []
        for v in VERSIONS:
            for n, clean in enumerate((True, False)):
                cid = "c%d%d" % (v, n)
                stall = self.stall("slow", ok(max_connection_lifetime=1,
                                              max_message_size=1))
                owners.append(self.online(self.b, cid, v, clean=clean))
                self.leaves(self.pend(cid, v, "slow"))
                self.hold()
                self.settle(stall)
        self.says["short"] = ok(max_connection_lifetime=1)
        self.online(self.b, "clock", password="short").expect_closed(
            timeout=10)
        for c in owners:
            self.works(c)
            self.register(c)
            self.assertEqual(self.life(c.client_id), CAME)

    def test_memory(self):
        """Guards: a login that is dropped is freed (question_free())."""
        if self.v20:
            return
        self.stage()
        big = "x" * 60000

        def turn(n):
            self.ep.forget()
            stall = self.stall(big)
            waiting = [self.pend("c%d.%d" % (n, i), VERSIONS[i % 3], big)
                       for i in range(12)]
            for c in waiting:
                self.leaves(c)
            self.settle(stall)

        for n in range(3):
            turn(n)
        before = self.b.rss()
        for n in range(3, 23):
            turn(n)
        # 60 kB of each would be 14 MB
        self.assertLess(self.b.rss() - before, 7000)


class Rename(DelayedTest):
    """The broker finds a pending client by its id, which therefore nobody
    changes before CONNECT."""

    def stage(self):
        super().stage(env=PERTURB)
        for old, new in (("old", "new"), ("new", "newer"), ("a", "b")):
            self.says[old + " to " + new] = ok(client_id=new, mountpoint="")
        return self.ep, self.b

    def lasting(self, cid, v):
        """A client whose session lasts, and its CONNACK."""
        keep = {"p_session_expiry_interval": 60} if v == 5 else None
        c = self.client(self.b, cid, v)
        return c, c.connect("u", "p", clean=False, properties=keep)

    def test_with_no_session(self):
        """Guards: the id is set in CONNECT (login_connected())."""
        if self.v20:
            return
        self.stage()
        for v in VERSIONS:
            self.ep.forget()
            c = self.online(self.b, "old", v, password="old to new")
            self.works(c)
            self.ep.wait_for(self.hook("on_register", v), client_id="new")
            self.assertEqual(self.life("new"), CAME)
            # both ids are what they seem to be
            old = self.online(self.b, "old", v)
            self.works(old)
            c.barrier()
            heir = self.online(self.b, "new", v)
            c.expect_closed()
            self.works(heir)
            newer = self.online(self.b, "new", v, password="p")
            heir.expect_closed()
            newer.disconnect()
            old.disconnect()
            self.ep.wait_for("on_client_gone", 3, client_id="new")
            self.ep.wait_for("on_client_gone", 1, client_id="old")

    def test_again_and_again(self):
        """Guards: the same."""
        if self.v20:
            return
        self.stage()
        for n in range(10):
            for v in VERSIONS:
                c = self.online(self.b, "old", v, password="old to new")
                again = self.client(self.b, "old", v)
                # there is a session of the new id now
                again.connect("u", "old to new", rc=REFUSED[v])
                again.expect_closed()
                self.works(c)
                c.disconnect()

    def test_over_sessions(self):
        """Guards: no rename where one of the ids has a session
        (cannot_become()): it goes on undisturbed."""
        if self.v20:
            return
        self.stage()
        n = 0
        for v in VERSIONS:
            for cid in ("old", "new"):
                for online in (True, False):
                    owner, _ = self.lasting(cid, v)
                    owner.subscribe(("kept", 1))
                    if not online:
                        owner.disconnect()
                    c = self.pend("old", v, "old to new")
                    self.refused(c)
                    n += 1
                    self.b.wait_log("client old refused.*blocking", n)
                    self.settle()
                    if online:
                        owner.barrier()
                        owner.disconnect()
                    owner, ack = self.lasting(cid, v)
                    self.resumes(ack, v)
                    self.witness.publish("kept", "x", 1)
                    owner.message("kept")
                    owner.disconnect()
                    self.online(self.b, cid, v).disconnect()    # wipes it

    def test_to_an_id_that_waits(self):
        """Guards: the same, in either order of the answers."""
        if self.v20:
            return
        self.stage()
        for v in VERSIONS:
            for first in ("a", "b"):
                self.ep.forget()
                stalls = {"a": self.stall("a", ok(client_id="b",
                                                  mountpoint="")),
                          "b": self.stall("b")}
                a, b = self.pend("a", v, "a"), self.pend("b", v, "b")
                self.settle(stalls.pop(first))
                self.settle(*stalls.values())
                self.let_in(b)
                if first == "a":
                    self.let_in(a)
                    a.expect_closed()
                    want = CAME + ["on_client_gone"] + CAME
                else:
                    self.refused(a)
                    want = CAME
                self.register(b, want.count("on_register"))
                self.assertEqual(self.life("b"), want)
                self.works(b)
                b.disconnect()
                self.ep.wait_for("on_client_gone", want.count("on_register"),
                                 client_id="b")
                self.assertEqual(self.told("a"), [])

    def test_of_one_that_left(self):
        """Guards: the same as with no session; there is nobody to rename,
        and nobody in the way."""
        if self.v20:
            return
        self.stage()
        stall = self.stall("slow", ok(client_id="new", mountpoint=""))
        waiting = [(self.pend("%s%d" % (way, v), v, "slow"), way)
                   for v in VERSIONS for way in WAYS]
        for c, way in waiting:
            self.leaves(c, way)
        self.settle(stall)
        self.assertEqual(self.told("new"), [])
        for v in VERSIONS:
            c = self.online(self.b, "new", v)
            self.works(c)
            c.disconnect()


class Pipelined(DelayedTest):
    """CONNECT and what follows it in one segment. The broker lets a client
    that waits do nothing but wait, and closes."""

    def send(self, cid, v, password, **kw):
        c = self.client(self.b, cid, v).open()
        parts, raw = [], c.raw
        c.raw = parts.append
        c.send_connect("u", password, **kw)
        c.send_subscribe(("piped/#", 1), mid=1)
        c.send_publish("piped/" + cid, "x", 1, mid=2)
        c.raw = raw
        c.raw(b"".join(parts))
        return c

    def done(self, c, v):
        """All of it is carried out, in order."""
        self.let_in(c)
        self.assertEqual(c.wait("SUBACK")["rcs"], [1])
        c.wait("PUBACK")
        c.message("piped/" + c.client_id)
        self.witness.message("piped/" + c.client_id)
        self.ep.wait_for(self.hook("on_publish", v), client_id=c.client_id)
        self.ep.wait_for(self.hook("on_subscribe", v), client_id=c.client_id)

    def test_while_it_waits(self):
        """Guards: nothing is allowed a pending client (admitted()): of the
        will, and the login's answer is dropped."""
        if self.v20:
            return
        self.stage(env=PERTURB)
        for v in VERSIONS:
            for answer in (OK, DENY):
                cid = "c%d%s" % (v, answer == OK)
                stall = self.stall("slow", answer)
                c = self.send(cid, v, "slow", will=WILL)
                self.assertEqual([(p["type"], p["rc"])
                                  for p in c.expect_closed()],
                                 [("DISCONNECT", 0x82)] if v == 5 else [])
                self.ep.wait_for(self.hook("auth_on_register", v),
                                 client_id=cid)
                self.nothing_published()
                self.settle(stall)
                self.assertEqual(len(self.ep.of(client_id=cid)), 1)
                self.nothing_published()
                again = self.online(self.b, cid, v)
                self.assertEqual(again.subscribe("piped/#"), [0])
                self.works(again)
        self.assertEqual(self.wills_asked(), 0)

    def test_answered_at_once(self):
        """Guards: a kept answer is no delay (from_cache() in ask_later());
        nor is there one on 2.0."""
        self.stage()
        self.says["known"] = kept(60)
        for v in VERSIONS:
            if self.v21:
                self.online(self.b, "c%d" % v, v,
                            password="known").disconnect()
            self.done(self.send("c%d" % v, v, "known"), v)

    def test_blocking(self):
        """Guards: nor is there one with `blocking = on`."""
        self.stage(conf={"vmq_webhooks.login00.blocking": "on",
                         "vmq_webhooks.login01.blocking": "on"})
        for v in VERSIONS:
            self.done(self.send("c%d" % v, v, "p"), v)


class Kept(DelayedTest):
    """A login whose answer is kept is answered in BASIC_AUTH."""

    def test_endpoint_is_not_asked(self):
        """Guards: from_cache() in ask_later()."""
        ep, b = self.stage()
        self.says["known"] = kept(60, ok(username="new"))
        for v in VERSIONS:
            self.online(b, "c%d" % v, v, password="known").disconnect()
        self.stall("known", DENY)
        for v in VERSIONS:
            self.online(b, "c%d" % v, v, password="known").disconnect()
            hook = self.hook("on_register", v)
            for n in (1, 2):
                r = ep.wait_for(hook, n, client_id="c%d" % v)
                self.assertEqual(r["username"], "new")
            self.assertEqual(ep.count(self.hook("auth_on_register", v),
                                      client_id="c%d" % v), 1)

    def test_rename_takes_over(self):
        """Guards: the same; who is renamed in BASIC_AUTH resumes the
        session of the new id, as a delayed one cannot."""
        if self.v20:
            return
        self.stage(env=PERTURB)
        for v in VERSIONS:
            cid = "new%d" % v
            keep = {"p_session_expiry_interval": 60} if v == 5 else None
            self.says["known"] = kept(60, ok(client_id=cid, mountpoint=""))
            for present in (0, 1, 1):
                c = self.client(self.b, "old%d" % v, v)
                ack = c.connect("u", "known", clean=False, properties=keep)
                self.resumes(ack, v, present)
                c.subscribe(("kept", 1))
                self.works(c)
                if present:
                    c.disconnect()
                else:
                    first = c
            first.expect_closed()
            self.ep.wait_for("on_client_offline", 3, client_id=cid)
            self.assertEqual(self.life(cid),
                             (CAME + ["on_client_offline"]) * 3)


class Ends(DelayedTest):
    """No login waits for ever, whatever keepalive the client chose."""

    def chain(self, *answers, timeout=1000):
        """An endpoint each, asked in order."""
        conf, eps = {}, []
        for i, answer in enumerate(answers):
            ep = self.endpoint(name="endpoint %d" % i)
            ep.answers["*"] = answer
            eps.append(ep)
            conf.update(endpoint_conf(ep.url, LOGIN, "chain%d" % i,
                                      response_timeout=self.ms(timeout)))
        return self.broker(conf), eps

    def are_refused(self, b, least=0.9):
        """In time, but no sooner."""
        began = time.monotonic()
        waiting = []
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v).open()
            c.send_connect("u", "p", keepalive=0)
            waiting.append(c)
        for c in waiting:
            self.refused(c)
            self.assertGreater(time.monotonic() - began, least)

    def test_endpoint_never_answers(self):
        """Guards: the call's time limit, and that its end completes."""
        if self.v20:
            return      # see RegisterTime
        b, _ = self.chain(Stall())
        self.are_refused(b)

    def test_first_of_two_never_answers(self):
        """Guards: the same, and that no answer ends the chain."""
        if self.v20:
            return
        b, eps = self.chain(Stall(), OK)
        self.are_refused(b)
        self.assertEqual(eps[1].count(), 0)

    def test_second_of_two_never_answers(self):
        """Guards: each call of a chain has its own limit."""
        if self.v20:
            return
        b, eps = self.chain(Delay(0.2, NEXT), Stall())
        self.are_refused(b, 1.1)
        self.assertEqual([ep.count() for ep in eps], [3, 3])

    def test_nobody_reads(self):
        """Guards: the same; connected by the kernel, accepted by nobody."""
        if self.v20:
            return
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(16)
            b = self.broker(endpoint_conf(
                "http://127.0.0.1:%d/" % deaf.getsockname()[1], LOGIN,
                response_timeout=self.ms(1000)))
            self.are_refused(b)

    def test_deregistered_meanwhile(self):
        """Guards: a login keeps the settings it began with, and asks the
        endpoints that it would have asked."""
        if self.v20:
            return      # it is known when the broker waits no more
        for gone, answer in ((0, NEXT), (0, OK), (1, NEXT)):
            stall = Stall(answer)
            b, eps = self.chain(stall, OK, timeout=5000)
            waiting = []
            for v in VERSIONS:
                c = self.client(b, "c%d" % v, v).open()
                c.send_connect("u", "p", keepalive=0)
                eps[0].wait_for(self.hook("auth_on_register", v),
                                client_id=c.client_id)
                waiting.append(c)
            for hook in LOGIN:
                status, body = b.api("deregister", [
                    ("hook", hook), ("endpoint", eps[gone].url)])
                self.assertEqual(status, 200, body)
            stall.release()
            for c in waiting:
                self.let_in(c)
            if gone == 1:       # who comes now asks the first alone
                eps[1].forget()
                late = self.client(b, "late").open()
                late.send_connect("u", "p")
                self.refused(late)
                self.assertEqual(eps[1].requests, [])

    def test_broker_stops(self):
        """Guards: calls under way are cancelled then (pool_stop())."""
        if self.v20:
            return
        self.stage(env=PERTURB)
        self.stall("slow")
        waiting = [self.pend("c%d" % v, v, "slow", keepalive=0)
                   for v in VERSIONS]
        self.b.stop()
        for c in waiting:
            self.assertNotIn("CONNACK",
                             [p["type"] for p in c.expect_closed()])
            self.assertEqual(self.told(c.client_id), [])


class Together(DelayedTest):

    def test_takeovers(self):
        """Guards: a login that is completed may ask about the will of the
        one it takes over, before the next is."""
        if self.v20:
            return
        self.stage(env=PERTURB)
        for v in VERSIONS:
            ids = ["c%d.%d" % (v, i) for i in range(10)]
            owners = [self.online(self.b, cid, v,
                                  will=dict(WILL, topic="w/" + cid))
                      for cid in ids]
            stall = self.stall("slow")
            heirs = [self.pend(cid, v, "slow") for cid in ids]
            self.settle(stall)
            for owner, heir, cid in zip(owners, heirs, ids):
                owner.expect_closed()
                self.witness.message("w/" + cid)
                self.let_in(heir)
                self.register(heir, 2)
                self.assertEqual(self.life(cid),
                                 CAME + ["on_client_gone"] + CAME)
                self.works(heir)
                heir.disconnect()
