"""SIGHUP and `webhooks reload`: the configuration is read again while all
goes on."""

import json
import os
import re
import signal
import threading
import time

from endpoint import DENY, OK, Delay, Stall, kept
from host import AUTH, BrokerTest, endpoint_conf, file_text

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
        n = b.log_count(says)
        b.signal(signal.SIGHUP)
        b.wait_log(says, n=n + 1)
        return self.said(b)[before:]

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


