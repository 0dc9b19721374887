"""SIGHUP and `webhooks reload`: the configuration is read again while all
goes on."""

import json
import os
import re
import signal
import socket
import threading
import time

from endpoint import DENY, NEXT, OK, Delay, Stall, kept
from host import ALL, AUTH, BrokerTest, endpoint_conf, file_text

READ = "configuration read again"
STAYS = "the configuration that is in force stays as it is"


class ReloadTest(BrokerTest):

    def filed(self, conf, inline=None, **kw):
        """A broker whose webhooks are in a file."""
        settings = {"config_file": "@DIR@/hooks.conf"}
        settings.update(inline or {})
        return self.broker(settings, files={"hooks.conf": file_text(conf)},
                           **kw)

    def rewrite(self, b, conf):
        """Replace the file, as editors and tools do."""
        b.write("hooks.new", conf if isinstance(conf, str)
                else file_text(conf))
        os.rename(b.path("hooks.new"), b.path("hooks.conf"))

    def reload(self, b, conf=None, says=READ):
        """SIGHUP, and wait until the log says what came of it. Returns the
        lines of the plugin from then on."""
        if conf is not None:
            self.rewrite(b, conf)
        before = len(self.said(b))
        self.hang_up(b, says)
        return self.said(b)[before:]

    def hang_up(self, b, says=READ):
        """SIGHUP. The host forgets one that comes before it is done with the
        one before: so not before its loop has turned."""
        n = b.log_count(says)
        b.signal(signal.SIGHUP)
        b.wait_log(says, n=n + 1)
        with socket.create_connection(("127.0.0.1", b.port)) as s:
            s.settimeout(10 * self.scale)
            s.sendall(b"\xc0\x00")     # a ping of nobody
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass

    def command(self, b, conf=None):
        """`webhooks reload`: what it prints."""
        if conf is not None:
            self.rewrite(b, conf)
        done = b.admin("reload")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def said(self, b):
        return [line.split("vmq_webhooks: ", 1)[1]
                for line in b.log().splitlines() if "vmq_webhooks: " in line]

    def rows(self, b):
        return b.api("show", [("--origin", None)])[1]["table"]

    def origins(self, b):
        return [(r["hook"], r["endpoint"], r["origin"]) for r in self.rows(b)]

    def cached(self, b, hook):
        rows = b.api("cache/show")[1]["table"]
        return {r["stat"]: r["value"] for r in rows if r["hook"] == hook}


class Outcome(ReloadTest):
    """What a reload brings, and what it says."""

    def test_webhooks_of_the_file_are_replaced(self):
        old, new = self.endpoint(), self.endpoint()
        b = self.filed(endpoint_conf(old.url, AUTH))
        self.online(b, "c1").disconnect()
        self.reload(b, endpoint_conf(new.url, AUTH))
        old.forget()
        for v in (4, 5):
            self.online(b, "d%d" % v, v).publish("t", "x", 1)
        self.assertEqual(old.requests, [])
        self.assertEqual(new.count("auth_on_register"), 1)
        self.assertEqual(new.count("auth_on_publish_m5"), 1)
        self.assertEqual({r["endpoint"] for r in self.rows(b)}, {new.url})

    def test_what_is_paused_stays_so_by_another_way(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        c = self.online(b, "c1", 5)
        self.assertEqual(b.api("pause", [("endpoint", ep.url)])[0], 200)
        self.reload(b, dict(conf, **{"vmq_webhooks.verify_peer": "off"}))
        ep.forget()
        self.assertGreaterEqual(c.publish("t", "x", 1)["rc"], 0x80)
        self.assertEqual(ep.count(), 0)
        # and ends as a whole
        self.assertEqual(b.api("resume", [("endpoint", ep.url)])[0], 200)
        self.assertLess(c.publish("t", "x", 1).get("rc", 0), 0x80)

    def test_it_says_what_has_changed(self):
        ep = self.endpoint()
        hooks = ("auth_on_register", "on_publish", "on_register")
        conf = endpoint_conf(ep.url, hooks, "w")
        b = self.filed(conf)
        new = endpoint_conf(ep.url, hooks[:2], "w")
        new["vmq_webhooks.w01.response_timeout"] = 4000
        new.update(endpoint_conf(ep.url, ("on_subscribe",), "x"))
        new["vmq_webhooks.max_queue"] = 77
        want = [
            READ + ": webhooks: 1 added, 1 removed, 1 changed, 1 kept",
            "added: vmq_webhooks.x00 (on_subscribe %s)" % ep.url,
            "removed: vmq_webhooks.w02 (on_register %s)" % ep.url,
            "changed: vmq_webhooks.w01 (on_publish %s)" % ep.url,
            "kept: w00",
            "settings changed: vmq_webhooks.max_queue"]
        got = self.reload(b, new)
        self.assertEqual(got[:6], want)
        self.assertEqual(self.command(b), [
            READ + ": webhooks: 0 added, 0 removed, 0 changed, 3 kept",
            "kept: w00, w01, x00"])
        b.wait_log(r"admin: reload by uid %d pid \d+" % os.getuid())
        self.assertEqual(self.command(b, conf)[0],
                         READ + ": webhooks: 1 added, 1 removed, 1 changed, "
                         "1 kept")

    def test_news_of_the_start_up_report(self):
        """What the start would say of these, and did not say before."""
        ep = self.endpoint()
        b = self.filed(endpoint_conf(ep.url, AUTH))
        self.assertEqual(b.log_count("has no endpoint"), 0)
        got = self.reload(b, endpoint_conf(ep.url, AUTH[1:]))
        self.assertEqual([line for line in got if "has no endpoint" in line],
                         ["auth_on_register has no endpoint: what it decides "
                          "on is refused unless another plugin or file of the "
                          "broker allows it"])
        self.assertFalse([line for line in got if "read_checks" in line or
                          line.startswith("auth_on_publish:")])
        self.command(b)
        b.wait_log(READ, n=2)
        self.assertEqual(b.log_count("has no endpoint"), 1)
        conf = endpoint_conf(ep.url, AUTH, verify_peer="off")
        self.command(b, conf)
        b.wait_log("vmq_webhooks.hook00: verify_peer = off")

    def test_what_holds_for_all_counts_at_once(self):
        ep = self.endpoint(auth_on_publish=lambda r: DENY if r["topic"] ==
                           "no" else OK)
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        c, sub = self.online(b, "c1"), self.subscriber(b, "t")
        c.publish("no", "x", 1)
        said = self.reload(b, dict(conf, **{
            "vmq_webhooks.publish_denied": "disconnect",
            "vmq_webhooks.read_checks": "defer"}))
        self.assertIn("settings changed: vmq_webhooks.read_checks, "
                      "vmq_webhooks.publish_denied", said)
        self.assertEqual(len([line for line in said if line.startswith(
            "read_checks = defer: nobody receives")]), 1 if self.v20 else 0)
        c.publish("t", "x", 1)
        if self.v20:
            sub.quiet()
        else:
            sub.message("t")
        c.send_publish("no", "x", 1)
        c.expect_closed()
        self.reload(b, conf)
        c = self.online(b, "c1")
        c.publish("no", "x", 1)
        c.publish("t", "y", 1)
        self.assertEqual(sub.message("t")["payload"], "y")

    def test_who_may_use_the_socket(self):
        b = self.filed({})
        self.assertEqual(b.api("show")[0], 200)
        said = self.reload(b, {"vmq_webhooks.admin_users": 12345})
        self.assertIn("settings changed: vmq_webhooks.admin_users", said)
        self.assertEqual(b.api("reload")[0], 403)
        self.reload(b, {"vmq_webhooks.admin_users": "12345, root"})
        self.assertEqual(b.api("reload")[0], 200)

    def test_nothing_but_options(self):
        """Without a file there is still what the options name."""
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register",))
        got = self.reload(b)
        self.assertEqual(got[0], READ + ": webhooks: 0 added, 0 removed, "
                         "0 changed, 1 kept")
        self.online(b, "c1")

    def test_only_from_the_next_start_on(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ("auth_on_register",))
        b = self.unstarted({"config_file": "@DIR@/hooks.conf"},
                           admin_socket=False)
        conf["vmq_webhooks.admin_socket"] = b.socket
        b.write("hooks.conf", file_text(conf))
        b.start()
        self.addCleanup(b.stop)
        for _ in range(2):      # said for as long as it is so
            got = self.reload(b, dict(conf, **{
                "vmq_webhooks.admin_socket": b.path("other"),
                "plugins.vmq_webhooks": "off"}))
            self.assertIn("changed, but in force only from the next start "
                          "on: plugins.vmq_webhooks, "
                          "vmq_webhooks.admin_socket", got)
        self.online(b, "c1")
        self.assertEqual(b.api("show")[0], 200)
        self.assertFalse(os.path.exists(b.path("other")))
        got = self.reload(b, conf)
        self.assertFalse([line for line in got if "next start" in line])


class Failure(ReloadTest):
    """What is wrong changes nothing, and is told as at the start."""

    BAD = "vmq_webhooks.w.hook = on_publish\nvmq_webhooks.w.endpont = x\n"

    def refused(self, b, says, conf=None):
        """A reload by either way; both say the same."""
        if conf is not None:
            self.rewrite(b, conf)
        before = b.log_count(STAYS)
        said = self.reload(b, says=STAYS)
        self.has(said[0], says)
        self.assertEqual(said[1:], [STAYS])
        done = b.admin("reload")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "vmq-admin: %s\n" % said[0])
        self.assertEqual(b.api("reload"), (400, {"error": said[0]}))
        b.wait_log(STAYS, n=before + 3)
        return said[0]

    def test_a_broken_file(self):
        ep, new = self.endpoint(), self.endpoint()
        b = self.filed(endpoint_conf(ep.url, AUTH))
        said = self.refused(b, r"hooks.conf:2: vmq_webhooks\.w\.endpont: no "
                            "such key.*did you mean", self.BAD)
        self.online(b, "c1").publish("t", "x", 1)
        self.assertEqual(ep.count("auth_on_publish"), 1)
        # it is what a start would have said
        other = self.unstarted({"config_file": b.path("hooks.conf")})
        self.assertIn("vmq_webhooks: " + said + "\n", other.refused())
        # and when it is mended it counts
        self.reload(b, endpoint_conf(new.url, AUTH))
        self.online(b, "c2")
        self.assertEqual(new.count("auth_on_register"), 1)

    def test_other_mistakes(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        self.refused(b, "has no endpoint",
                     "vmq_webhooks.w.hook = on_publish\n")
        self.refused(b, "cafile: .*cannot be read: No such file",
                     endpoint_conf(ep.url, cafile="/nonexistent"))
        # what an option of mosquitto.conf has set already
        self.refused(b, "blocking_budget: .*already set|set.*before|twice",
                     dict(conf, **{"vmq_webhooks.blocking_budget": 7}))
        os.unlink(b.path("hooks.conf"))
        self.refused(b, "hooks.conf: No such file")
        self.online(b, "c1")
        self.reload(b, conf)

    def test_what_this_host_cannot_do(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        for key, value, says in (
                ("default_policy", "ignore", "needs Mosquitto 2.1"),
                ("listener.1883.mountpoint", "m/",
                 r"listener\.1883\.mountpoint needs Mosquitto 2\.1")):
            b = self.filed(conf)
            self.rewrite(b, dict(conf, **{"vmq_webhooks." + key: value}))
            if self.v20:
                self.refused(b, says)
            else:
                self.assertIn("settings changed: vmq_webhooks." +
                              re.sub(r"\d+", "<port>", key), self.command(b))
            self.online(b, "c1")


class RunTime(ReloadTest):
    """What was registered by command outlives a reload."""

    def register(self, b, hook, url, *more):
        self.assertEqual(b.admin("register", "hook=" + hook, "endpoint=" + url,
                                 *more).returncode, 0)

    def test_it_stays_behind_the_file(self):
        first, second, third = [self.endpoint() for _ in range(3)]
        for ep in (first, second, third):
            ep.answers["auth_on_register"] = NEXT
        b = self.filed(endpoint_conf(first.url, ("auth_on_register",)))
        self.register(b, "auth_on_register", third.url,
                      "--response_timeout=1234")
        conf = endpoint_conf(first.url, ("auth_on_register",))
        conf.update(endpoint_conf(second.url, ("auth_on_register",), "z"))
        self.reload(b, conf)
        self.assertEqual(self.origins(b), [
            ("auth_on_register", first.url, "vmq_webhooks.hook00"),
            ("auth_on_register", second.url, "vmq_webhooks.z00"),
            ("auth_on_register", third.url, "runtime")])
        self.assertEqual(self.rows(b)[2]["response_timeout"], 1234)
        third.answers["auth_on_register"] = OK
        self.online(b, "c1")
        self.assertEqual([ep.count() for ep in (first, second, third)],
                         [1, 1, 1])

    def test_the_file_wins(self):
        ep = self.endpoint()
        b = self.filed({})
        self.register(b, "auth_on_register", ep.url,
                      "--response_timeout=1234")
        said = self.reload(b, endpoint_conf(ep.url, ("auth_on_register",)))
        self.assertIn("registered at run time, now as in the configuration: "
                      "vmq_webhooks.hook00 (auth_on_register %s)" % ep.url,
                      said)
        self.assertEqual(self.origins(b), [
            ("auth_on_register", ep.url, "vmq_webhooks.hook00")])
        self.assertEqual(self.rows(b)[0]["response_timeout"], 5000)
        # and from now on it goes with the file
        self.reload(b, {})
        self.assertEqual(self.rows(b), [])

    def test_what_was_deregistered_is_back(self):
        ep = self.endpoint()
        b = self.filed(endpoint_conf(ep.url, ("auth_on_register",)))
        b.admin("deregister", "hook=auth_on_register", "endpoint=" + ep.url)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.reload(b)
        self.online(b, "c1")

    def test_it_has_what_is_set_for_all(self):
        ep = self.endpoint()
        b = self.filed({"vmq_webhooks.header.X-Who": "one"})
        self.register(b, "auth_on_register", ep.url)
        self.online(b, "c1")
        self.reload(b, {"vmq_webhooks.header.X-Who": "two"})
        self.online(b, "c2")
        self.assertEqual([r.header("x-who") for r in ep.requests],
                         ["one", "two"])


class Kept(ReloadTest):
    """What an unchanged webhook has, it keeps."""

    def test_cache(self):
        ep = self.endpoint(auth_on_register=kept(60), auth_on_publish=kept(60))
        hooks = ("auth_on_register", "auth_on_publish")
        conf = endpoint_conf(ep.url, hooks)
        changed = dict(conf, **{"vmq_webhooks.hook01.response_timeout": 4000})

        def visit():
            c = self.online(b, "c1")
            c.publish("t", "x", 1)
            c.disconnect()
            return ep.count(hooks[0]), ep.count(hooks[1])

        b = self.filed(conf)
        self.assertEqual(visit(), (1, 1))
        self.reload(b)
        self.command(b)
        self.assertEqual(visit(), (1, 1))
        # the one whose options have changed starts over, with its counters
        self.reload(b, changed)
        self.assertEqual(visit(), (1, 2))
        self.assertEqual(visit(), (1, 2))
        self.assertEqual(self.cached(b, hooks[0]),
                         {"hits": 3, "misses": 1, "entries": 1})
        self.assertEqual(self.cached(b, hooks[1]),
                         {"hits": 2, "misses": 2, "entries": 1})
        # one that was away comes back with nothing
        self.reload(b, endpoint_conf(ep.url, hooks[:1]))
        self.reload(b, changed)
        self.assertEqual(visit(), (1, 3))
        self.assertEqual(self.cached(b, hooks[1]),
                         {"misses": 1, "entries": 1})

    def test_what_was_asked_before_is_not_kept(self):
        """2.1: a login under way is answered, and its answer forgotten."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ("auth_on_register",))
        b = self.filed(conf)
        stall = ep.answers["auth_on_register"] = Stall(kept(60))
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        self.command(b)
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        if self.v20:    # it was waited for, and the reload taken up after it
            self.online(b, "c2", password="other")
        self.online(b, "c1").disconnect()
        self.online(b, "c1").disconnect()
        self.assertEqual(ep.count("auth_on_register", client_id="c1"), 2 if
                         self.v21 else 1)

    def test_cache_bounds(self):
        ep = self.endpoint(auth_on_publish=kept(60))
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        c = self.online(b, "c1")
        for i in range(20):
            c.publish("t/%d" % i, "x", 1)
        self.assertEqual(self.cached(b, "auth_on_publish")["entries"], 20)
        said = self.reload(b, dict(conf, **{
            "vmq_webhooks.cache_max_bytes": 0}))
        self.assertIn("settings changed: vmq_webhooks.cache_max_bytes", said)
        deadline = time.monotonic() + 10 * self.scale
        while "entries" in self.cached(b, "auth_on_publish"):
            self.assertLess(time.monotonic(), deadline)
            c.barrier()
        c.publish("t/0", "x", 1)
        c.publish("t/0", "x", 1)
        self.assertEqual(ep.count("auth_on_publish", topic="t/0"), 3)
        self.reload(b, conf)
        c.publish("t/0", "x", 1)
        c.publish("t/0", "x", 1)
        self.assertEqual(ep.count("auth_on_publish", topic="t/0"), 4)

    def test_connections(self):
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        c = self.online(b, "c1")
        for i in range(5):
            c.publish("t", "x", 1)
            # the endpoint stays, though its webhooks change
            self.reload(b, dict(conf, **{
                "vmq_webhooks.hook02.response_timeout": 4000 + i,
                "vmq_webhooks.header.X-N": i,
                "vmq_webhooks.max_queue": 100 + i}))
            self.reload(b, dict(conf, **endpoint_conf(
                other.url, ("on_publish",), "more")))
        # the broker's thread has one of its own, and the dispatcher one
        self.assertLessEqual(ep.accepted, 2)
        self.assertEqual(ep.accepted, ep.open_connections())

    def test_an_open_breaker(self):
        ep, fine = self.endpoint(name="breaking"), self.endpoint()
        conf = endpoint_conf(ep.url, ("auth_on_publish",), "a")
        conf.update(endpoint_conf(fine.url, ("auth_on_register",), "b"))
        conf.update({"vmq_webhooks.breaker_open": 60000,
                     "vmq_webhooks.breaker_failures": 2})
        b = self.filed(conf)
        ep.answers["*"] = (500, {}, OK)
        c = self.online(b, "c1")
        for _ in range(5):
            c.publish("t", "x", 1)
        self.assertEqual(ep.count(), 2)
        ep.answers["*"] = OK
        for change in ({}, {"vmq_webhooks.a00.response_timeout": 4000}):
            self.reload(b, dict(conf, **change))
            c.publish("t", "x", 1)
            self.assertEqual(ep.count(), 2)
        # one that was away is as good as new
        self.reload(b, endpoint_conf(fine.url, ("auth_on_register",), "b"))
        ep.wait_open(0)
        self.reload(b, conf)
        c.publish("t", "x", 1)
        self.assertEqual(ep.count(), 3)


class UnderWay(ReloadTest):
    """Calls end as they began."""

    def test_a_question(self):
        """Its endpoint is gone from the file when it answers."""
        ep, new = self.endpoint(), self.endpoint()
        b = self.filed(endpoint_conf(ep.url, AUTH))
        for answer, rc in ((OK, 0), (DENY, 5)):
            stall = ep.answers["auth_on_register"] = Stall(answer)
            ep.forget()
            c = self.client(b, "c%d" % rc).open()
            c.send_connect("u", "p")
            ep.wait_for("auth_on_register")
            began = time.monotonic()
            self.command(b, endpoint_conf(new.url, AUTH))
            self.assertLess(time.monotonic() - began, 5 * self.scale)
            self.assertEqual(stall.held, 1)
            stall.release()
            self.assertEqual(c.wait("CONNACK")["rc"], rc)
            self.online(b, "new%d" % rc)
            self.assertEqual(new.count("auth_on_register"), 1)
            new.forget()
            self.command(b, endpoint_conf(ep.url, AUTH))

    def test_while_the_broker_is_held(self):
        """The command needs nothing of its thread."""
        ep, new = self.endpoint(), self.endpoint()
        b = self.filed(endpoint_conf(ep.url, AUTH))
        c = self.online(b, "c1")
        b.api("show")
        stall = ep.answers["auth_on_publish"] = Stall(OK)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        self.rewrite(b, endpoint_conf(new.url, AUTH))
        began = time.monotonic()
        status, body = b.api("reload")
        took = time.monotonic() - began
        self.assertEqual((status, body["type"]), (200, "text"))
        self.has(body["text"], READ + ": webhooks: 6 added, 6 removed")
        self.assertLess(took, 0.5 * self.scale)
        self.assertEqual({r["endpoint"] for r in self.rows(b)}, {new.url})
        self.assertEqual(stall.held, 1)
        self.assertEqual(b.log_count(READ), 0)
        stall.release()
        c.wait("PUBACK")
        b.wait_log(READ)
        c.publish("t", "x", 1)
        self.assertEqual((ep.count("auth_on_publish"),
                          new.count("auth_on_publish")), (1, 1))

    def test_notifications_of_an_endpoint_that_is_removed(self):
        """What waits in its queue is delivered."""
        ep, fine = self.endpoint(), self.endpoint()
        conf = endpoint_conf(fine.url, AUTH)
        both = dict(conf, **endpoint_conf(ep.url, ("on_publish",), "n"))
        both["vmq_webhooks.pool_max_connections"] = 2
        b = self.filed(both)
        stall = ep.answers["on_publish"] = Stall()
        c = self.online(b, "c1")
        for i in range(50):
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish")
        self.reload(b, conf)
        c.publish("after", "x", 1)
        stall.release()
        ep.answers["on_publish"] = None
        ep.wait_for("on_publish", 50)
        self.assertEqual([r["topic"] for r in ep.of("on_publish")],
                         ["t/%d" % i for i in range(50)])
        ep.wait_open(0)

    def test_notifications_that_cannot_be_delivered_are_counted(self):
        """Of an endpoint that is gone from the file, and from the net."""
        fine = self.endpoint()
        conf = endpoint_conf(fine.url, AUTH)
        conf["vmq_webhooks.drain_timeout"] = 100
        b = self.filed(dict(conf, **endpoint_conf(
            self.nobody(), ("on_publish",), "n")))
        c = self.online(b, "c1")
        for i in range(7):
            c.publish("t/%d" % i, "x", 1)
        self.reload(b, conf)
        c.barrier()
        b.stop()
        self.has(b.log(), "[1-7] notifications to endpoints deregistered "
                 "before were not delivered")


class Ways(ReloadTest):

    def test_without_ticks(self):
        """2.0.11 to 2.0.14 never tick with per_listener_settings."""
        old, new = self.endpoint(), self.endpoint()
        b = self.filed(endpoint_conf(old.url, AUTH), per_listener=True)
        self.online(b, "c1").disconnect()
        self.reload(b, endpoint_conf(new.url, AUTH))
        self.online(b, "c2").disconnect()
        self.assertEqual((old.count(), new.count()), (1, 1))
        self.command(b, endpoint_conf(old.url, AUTH))
        self.online(b, "c3").disconnect()
        self.assertEqual((old.count(), new.count()), (2, 1))
        b.wait_log(READ, n=2)

    def test_files_that_the_file_includes(self):
        ep = self.endpoint()
        b = self.broker({"config_file": "@DIR@/hooks.conf"},
                        files={"hooks.conf": "include more/*.conf\n"})
        os.mkdir(b.path("more"))
        b.write("more/a.conf", file_text(endpoint_conf(ep.url, AUTH)))
        self.reload(b)
        self.online(b, "c1")
        os.unlink(b.path("more/a.conf"))
        self.reload(b)
        self.client(b, "c2").connect("u", "p", rc=5)

    def test_json(self):
        b = self.filed({})
        done = b.admin("reload", "--format=json")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout), {
            "text": READ + ": webhooks: 0 added, 0 removed, 0 changed, "
            "0 kept", "type": "text"})

    def test_no_secret_is_told(self):
        conf = endpoint_conf("http://joe:s3cret@127.0.0.1:1/", ("on_publish",))
        more = {"vmq_webhooks.header.Authorization": "Bearer s3cret",
                "vmq_webhooks.hook00.proxy": "http://joe:s3cret@127.0.0.1:1"}
        b = self.filed(conf)
        text = []
        for c in (dict(conf, **more), {}, conf, {}):
            text += self.command(b, c)
        b.wait_log(READ, n=4)
        self.assertIn("added: vmq_webhooks.hook00 (on_publish "
                      "http://***@127.0.0.1:1/)", text)
        self.assertNotIn("s3cret", b.log() + "".join(text))

    def test_off_from_the_start_on(self):
        """Then it stays so, and SIGHUP ends nothing."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(dict(conf, **{"plugins.vmq_webhooks": "off"}),
                       anonymous=True)
        self.rewrite(b, conf)
        b.reload()
        self.online(b, "c1").publish("t", "x", 1)
        self.assertEqual(ep.requests, [])


class Traffic(ReloadTest):
    """Dozens of reloads while clients come, go and publish: every call
    reaches an endpoint once, every client gets its answer."""

    RELOADS = 36
    HOOKS = tuple(h for h in ALL if h not in ("on_client_gone",
                                              "on_client_offline"))

    def confs(self, first, second):
        """One after another: other options, other endpoints, both."""
        one = endpoint_conf(first.url, self.HOOKS)
        two = endpoint_conf(second.url, self.HOOKS)
        return (dict(one, **{"vmq_webhooks.hook02.response_timeout": 6000,
                             "vmq_webhooks.max_queue": 5000}),
                two,
                dict(two, **{"vmq_webhooks.header.X-Two": "2"}),
                one)

    def publish(self, c, name, over, sent):
        try:
            while not over.is_set():
                topic = "%s/%d" % (name, len(sent))
                ack = c.publish(topic, "x", 1)
                self.assertLess(ack.get("rc", 0), 0x80)
                sent.append(topic)
        except Exception as error:
            sent.append(error)

    def log_in(self, b, version, over, names):
        try:
            while not over.is_set():
                name = "login%d-%d" % (version, len(names))
                self.online(b, name, version).disconnect()
                names.append(name)
        except Exception as error:
            names.append(error)

    def test_no_call_is_lost(self):
        first, second = self.endpoint(), self.endpoint()
        confs = self.confs(first, second)
        b = self.filed(confs[3])
        over = threading.Event()
        topics, names, threads = [[], []], [[], []], []
        for i, version in enumerate((4, 5)):
            c = self.online(b, "pub%d" % version, version)
            threads += [
                threading.Thread(target=self.publish, args=(
                    c, "p%d" % version, over, topics[i])),
                threading.Thread(target=self.log_in, args=(
                    b, version, over, names[i]))]
        for thread in threads:
            thread.start()
        try:
            for i in range(self.RELOADS):
                conf = confs[i % len(confs)]
                if i % 3 == 2:
                    self.command(b, conf)
                else:
                    self.rewrite(b, conf)
                    self.hang_up(b)
                b.wait_log(READ, n=i + 1)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        for some in topics + names:
            self.assertGreater(len(some), self.RELOADS / 4)
            self.assertEqual([x for x in some if not isinstance(x, str)], [])
        self.once(first, second, topics, "topic", ("auth_on_publish",
                                                   "on_publish"))
        self.once(first, second, names, "client_id", (
            "auth_on_register", "on_register"))
        self.assertEqual(b.failures(), [])

    def once(self, first, second, some, field, hooks):
        """Each of them in one of the two diaries."""
        for k, m5 in enumerate(("", "_m5")):
            for hook in hooks:
                want = sorted(some[k])

                def seen():
                    return sorted(r[field] for ep in (first, second)
                                  for r in ep.of(hook + m5)
                                  if r[field] in wanted)

                wanted = set(want)
                deadline = time.monotonic() + 10 * self.scale
                while len(seen()) < len(want) and \
                        time.monotonic() < deadline:
                    time.sleep(0.01)
                self.assertEqual(seen(), want, hook + m5)

    def test_by_both_ways_at_a_time(self):
        """And registrations besides: none is lost, the last file counts."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, AUTH)
        b = self.filed(conf)
        failed = []

        def command(n):
            for i in range(10):
                done = b.admin("reload") if n else b.admin(
                    "register", "hook=on_publish",
                    "endpoint=%s/%d" % (other.url, i))
                if done.returncode:
                    failed.append(done)

        threads = [threading.Thread(target=command, args=(n,))
                   for n in range(3)]
        for thread in threads:
            thread.start()
        for i in range(30):
            self.rewrite(b, dict(conf, **{
                "vmq_webhooks.hook00.response_timeout": 1000 + i}))
            b.signal(signal.SIGHUP)
            self.online(b, "c%d" % i).disconnect()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.reload(b)
        rows = self.rows(b)
        self.assertEqual(len(rows), len(AUTH) + 10)
        self.assertEqual([r["response_timeout"] for r in rows
                          if r["hook"] == "auth_on_register"], [1029])
        self.assertEqual([r["endpoint"] for r in rows
                          if r["hook"] == "on_publish"],
                         ["%s/%d" % (other.url, i) for i in range(10)])
