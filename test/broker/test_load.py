"""Loading, configuration, reloading, unloading."""

import os
import re
import signal
import time

from endpoint import DENY, OK, Stall, ok
from host import (ALL, BrokerTest, endpoint_conf, file_text, inline,
                  plugin_path)

FILE = ["plugin @PLUGIN@", "plugin_opt_config_file @DIR@/hooks.conf",
        "plugin_opt_vmq_webhooks.admin_socket @DIR@/admin.sock"]
HOOK = "vmq_webhooks.a.hook"
URL = "vmq_webhooks.a.endpoint"
GOOD = {HOOK: "auth_on_register", URL: "http://127.0.0.1:1/"}


class Load(BrokerTest):

    def test_loads(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in (3, 4, 5):
            self.online(b, "c%d" % v, v)
        b.stop()
        self.assertEqual(b.log_count("undefined symbol"), 0)

    def test_without_any_endpoint(self):
        """Nothing to ask: everybody is refused, and it is said."""
        b = self.broker()
        for hook in ("auth_on_register", "auth_on_publish",
                     "auth_on_subscribe"):
            for m5 in ("", "_m5"):
                lines = b.lines_with(r"\b%s%s\b" % (hook, m5))
                self.assertEqual(len(lines), 1, hook + m5)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.client(b, "c2", 5).connect("u", "p", rc=0x87)

    def test_says_who_it_is(self):
        b = self.broker()
        b.wait_log("vmq_webhooks")

    def test_twice_is_refused(self):
        ep = self.endpoint()
        conf = inline(endpoint_conf(ep.url))
        for second in (conf, []):
            b = self.unstarted(plugin_lines=[
                "plugin @PLUGIN@",
                "plugin_opt_vmq_webhooks.admin_socket @DIR@/admin.sock"]
                + conf + ["plugin @PLUGIN@"] + second)
            self.has(b.refused(), "vmq_webhooks.*(twice|already|once)")

    def test_off(self):
        """Off is as if it were not loaded."""
        ep = self.endpoint()
        b = self.hooked(ep, conf={"plugins.vmq_webhooks": "off"},
                        anonymous=True)
        for v in (3, 4, 5):
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t/%d" % v)
            c.publish("t/%d" % v, "x", 2)
            c.message()
            c.publish("t/%d" % v, "x", 1, retain=True)
            c.disconnect()
        b.reload()
        self.assertEqual(ep.accepted, 0)
        self.assertFalse(os.path.exists(b.socket))

    def test_off_leaves_the_broker_closed(self):
        ep = self.endpoint()
        b = self.hooked(ep, conf={"plugins.vmq_webhooks": "off"})
        self.client(b, "c1").connect("u", "p", rc=5)
        self.assertEqual(ep.accepted, 0)

    def test_on(self):
        ep = self.endpoint()
        b = self.hooked(ep, conf={"plugins.vmq_webhooks": "on"})
        self.online(b, "c1")
        self.assertEqual(ep.count("auth_on_register"), 1)

    def test_reload(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        for i in range(3):
            b.reload()
            c.publish("t", "x", 1)
            self.online(b, "again%d" % i)
        ep.wait_for("on_register", 4)
        self.assertTrue(b.alive())

    def test_reload_leaves_clients_alone(self):
        """At SIGHUP the host authenticates everybody who is online once
        more: nobody is thrown out, announced again or loses a name."""
        ep = self.endpoint()
        for hook in ("auth_on_register", "auth_on_register_m5"):
            ep.answers[hook] = ok(username="jane")
        b = self.hooked(ep)
        clients = [self.online(b, "c%d" % v, v, clean=v != 4)
                   for v in (3, 4, 5)]
        clients[0].subscribe("t/#")
        for i in range(2):
            b.reload()
            for c in clients:
                c.publish("t/x", "x", 1)
                self.assertEqual(clients[0].message()["payload"], "x")
        for c in clients:
            hook = self.hook("on_publish", c.version)
            r = ep.wait_for(hook, 2, client_id=c.client_id)
            self.assertEqual(r["username"], "jane")
            c.barrier()
            c.disconnect()
            ep.wait_for("on_client_offline" if c.version == 4
                        else "on_client_gone", client_id=c.client_id)
            self.assertEqual(
                [h for h in ep.hooks(client_id=c.client_id)
                 if "wakeup" in h or h.startswith("on_register")],
                ["on_client_wakeup", self.hook("on_register", c.version)])

    def test_reload_while_the_endpoint_refuses(self):
        """A login that was let in is not judged anew."""
        ep = self.endpoint()
        b = self.hooked(ep)
        clients = [self.online(b, "c%d" % v, v) for v in (3, 4, 5)]
        ep.answers["auth_on_register"] = DENY
        ep.answers["auth_on_register_m5"] = DENY
        b.reload()
        for c in clients:
            c.barrier()

    def test_reload_admits_nobody(self):
        """The second look at those online is no way in for others."""
        ep = self.endpoint()
        b = self.hooked(ep)
        online = self.online(b, "online", clean=False)
        ep.answers["*"] = DENY
        for i in range(20):
            thief = self.client(b, "online" if i % 2 else "other").open()
            b.signal(signal.SIGHUP)
            thief.send_connect("u", "wrong")
            self.assertEqual(thief.wait("CONNACK")["rc"], 5)
            thief.expect_closed()
            online.barrier()

    def test_reload_while_a_login_hangs(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        stall = ep.answers["auth_on_register"] = Stall(OK)
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        b.signal(signal.SIGHUP)
        if self.v21:
            b.wait_log("Reloading config")
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        b.wait_log("Reloading config")
        c.publish("t", "x", 1)

    def test_reload_under_load(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        for i in range(100):
            if i % 10 == 0:
                b.signal(signal.SIGHUP)
            c.publish("t/%d" % i, "x", 1)
        ep.wait_for("on_publish", 100)

    def test_stop_is_quick(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        began = time.monotonic()
        b.stop()
        self.assertLess(time.monotonic() - began, 2 * self.scale)
        ep.wait_open(0)

    def test_threads(self):
        """The dispatcher and the one for errands beside the broker's own."""
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        for i in range(20):
            c.publish("t", "x", 1)
        if "VALGRIND" not in os.environ and "ASAN" not in os.environ:
            names = os.listdir("/proc/%d/task" % b.pid)
            self.assertLessEqual(len(names), 3 if self.v20 else 5)

    def test_only_the_broker_takes_signals(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "c1")
        for task in os.listdir("/proc/%d/task" % b.pid):
            if int(task) == b.pid:
                continue
            with open("/proc/%d/task/%s/status" % (b.pid, task)) as f:
                blocked = int(re.search(r"SigBlk:\s+(\w+)",
                                        f.read()).group(1), 16)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                self.assertTrue(blocked >> (number - 1) & 1, number)


class Configuration(BrokerTest):

    def file(self, text, **kw):
        return self.unstarted(plugin_lines=FILE,
                              files={"hooks.conf": text}, **kw)

    def test_file(self):
        ep = self.endpoint()
        b = self.file(file_text(endpoint_conf(ep.url))).start()
        self.online(b, "c1")
        b.stop()

    def test_inline(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "c1")

    def test_both(self):
        one, two = self.endpoint(), self.endpoint()
        text = file_text(endpoint_conf(one.url, ("auth_on_register",),
                                       "file"))
        b = self.unstarted(
            plugin_lines=FILE + inline(endpoint_conf(
                two.url, ("on_register",), "inline")),
            files={"hooks.conf": text}).start()
        self.online(b, "c1")
        self.assertEqual(one.hooks(), ["auth_on_register"])
        two.wait_for("on_register")

    def test_whole_vernemq_conf(self):
        """Other people's keys are ignored; comments and blanks, too."""
        ep = self.endpoint()
        text = """
# a comment
  ## another
allow_anonymous = off
listener.tcp.default = 127.0.0.1:1883
plugins.vmq_passwd = off
plugins.vmq_webhooks = on
  plugins.vmq_webhooks.priority = 1
vmq_webhooks.pool_max_connections=10
vmq_webhooks.pool_timeout =   1000
vmq_webhooks.one.hook = auth_on_register
vmq_webhooks.one.endpoint = %s # where to
vmq_webhooks.one.base64encode = off
nodename = VerneMQ@127.0.0.1
vmq_acl.acl_file = ./etc/vmq.acl

""" % ep.url
        b = self.file(text).start()
        self.online(b, "c1")
        self.assertEqual(ep.requests[0].path, ep.path)

    def test_crlf_and_no_final_newline(self):
        ep = self.endpoint()
        text = file_text(endpoint_conf(ep.url, ("auth_on_register",)))
        b = self.file(text.replace("\n", "\r\n").rstrip()).start()
        self.online(b, "c1")

    def wrong(self, conf, *says, line=None):
        """The same mistake in a file and inline."""
        b = self.file(file_text(conf))
        log = b.refused()
        self.has(log, *says)
        if line:
            self.has(log, r"hooks\.conf:%d\b" % line)
        elif line is None:
            self.has(log, r"hooks\.conf")
        b = self.unstarted(conf, admin_socket=False)
        self.has(b.refused(), *says)

    def test_unknown_hook(self):
        self.wrong({HOOK: "auth_on_registr", URL: GOOD[URL]},
                   r"vmq_webhooks\.a\.hook", "auth_on_registr",
                   r"auth_on_register\b", line=1)

    def test_unknown_hook_names_those_allowed(self):
        self.wrong({HOOK: "bogus", URL: GOOD[URL]},
                   r"vmq_webhooks\.a\.hook", "bogus", "on_client_wakeup",
                   "auth_on_publish_m5", line=1)

    def test_boolean(self):
        for key in ("base64encode", "no_payload"):
            for value in ("true", "yes", "1", "ON!"):
                self.wrong(dict(GOOD, **{"vmq_webhooks.a." + key: value}),
                           r"vmq_webhooks\.a\." + key, re.escape(value),
                           r"\bon\b.*\boff\b", line=3)

    def test_integer(self):
        for value in ("5s", "-5", "0", "1.5", "99999999999999999999",
                      "abc"):
            self.wrong(dict(GOOD,
                            **{"vmq_webhooks.a.response_timeout": value}),
                       r"vmq_webhooks\.a\.response_timeout",
                       re.escape(value), r"\d+.*\d+|integer|number", line=3)

    def test_pool_integers(self):
        for key in ("pool_max_connections", "pool_timeout"):
            for value in ("-1", "many"):
                self.wrong(dict(GOOD, **{"vmq_webhooks." + key: value}),
                           r"vmq_webhooks\." + key, re.escape(value),
                           line=3)
        self.wrong(dict(GOOD, **{"vmq_webhooks.pool_max_connections": "0"}),
                   "pool_max_connections", line=3)

    def test_plugin_switch(self):
        self.wrong({"plugins.vmq_webhooks": "maybe"},
                   r"plugins\.vmq_webhooks", "maybe", r"\bon\b.*\boff\b",
                   line=1)

    def test_unknown_key(self):
        self.wrong(dict(GOOD, **{"vmq_webhooks.a.base64payload": "on"}),
                   r"vmq_webhooks\.a\.base64payload", "base64encode",
                   line=3)

    def test_misspelt_keys_get_a_suggestion(self):
        for key, near in (("vmq_webhooks.pool_max_conections",
                           "pool_max_connections"),
                          ("vmq_webhooks.pool_time_out", "pool_timeout"),
                          ("vmq_webhooks.admin_sock", "admin_socket"),
                          ("vmq_webhooks.a.respons_timeout",
                           "response_timeout"),
                          ("vmq_webhooks.a.nopayload", "no_payload")):
            self.wrong(dict(GOOD, **{key: "1"}), re.escape(key),
                       r"\b" + near, line=3)

    def test_absent_endpoint(self):
        self.wrong({HOOK: "auth_on_register"},
                   r"\ba\b", "endpoint", line=1)

    def test_absent_hook(self):
        self.wrong({URL: GOOD[URL]}, r"\ba\b", "hook", line=1)

    def test_only_an_option(self):
        self.wrong({"vmq_webhooks.a.no_payload": "on"},
                   r"\ba\b", "endpoint|hook", line=1)

    def test_invalid_url(self):
        for url in ("http://[::1", "http://h:port/", "http://h:99999/",
                    "ftp://127.0.0.1/", "http://", "http:///x"):
            self.wrong({HOOK: "auth_on_register", URL: url},
                       r"vmq_webhooks\.a\.endpoint: .*\w+ \w+", line=2)

    def test_url_with_a_space(self):
        self.wrong({HOOK: "auth_on_register", URL: "http://h/x y"},
                   r"vmq_webhooks\.a\.endpoint", line=2)

    def test_duplicate_registration(self):
        conf = dict(GOOD, **{"vmq_webhooks.b.hook": GOOD[HOOK],
                             "vmq_webhooks.b.endpoint": GOOD[URL]})
        self.wrong(conf, r"\bb\b.*\ba\b", "hook.*endpoint", line=3)

    def test_duplicate_between_file_and_inline(self):
        b = self.unstarted(
            plugin_lines=FILE + inline({
                "vmq_webhooks.b.hook": GOOD[HOOK],
                "vmq_webhooks.b.endpoint": GOOD[URL]}),
            files={"hooks.conf": file_text(GOOD)})
        self.has(b.refused(), r"\bb\b.*\ba\b", "hook.*endpoint")

    def test_duplicate_key(self):
        b = self.file(file_text(GOOD) + HOOK + " = on_publish\n")
        self.has(b.refused(), r"hooks\.conf:3\b", re.escape(HOOK))

    def test_duplicate_key_in_file_and_inline(self):
        b = self.unstarted(
            plugin_lines=FILE + inline({HOOK: "on_publish"}),
            files={"hooks.conf": file_text(GOOD)})
        self.has(b.refused(), re.escape(HOOK))

    def test_same_endpoint_on_two_hooks_is_fine(self):
        ep = self.endpoint()
        self.online(self.hooked(ep, ("auth_on_register", "on_register")))

    def test_same_hook_on_two_endpoints_is_fine(self):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url + "/1", ("auth_on_register",), "a")
        conf.update(endpoint_conf(ep.url + "/2", ("auth_on_register",),
                                  "b"))
        self.online(self.broker(conf))

    def test_garbage_in_the_file(self):
        for text in ("vmq_webhooks.a.hook\n", "= on\n",
                     "vmq_webhooks.a.hook =\n",
                     "vmq_webhooks..hook = on_publish\n",
                     "vmq_webhooks.a.b.hook = on_publish\n",
                     "vmq_webhooks.a.hook auth_on_register\n"):
            with self.subTest(text=text):
                b = self.file("# first\n" + text)
                self.has(b.refused(), r"hooks\.conf:2\b")

    def test_missing_file(self):
        b = self.unstarted(plugin_lines=FILE)
        self.has(b.refused(), r"hooks\.conf", "no such file")

    def test_file_is_a_folder(self):
        b = self.unstarted(plugin_lines=FILE)
        os.mkdir(b.path("hooks.conf"))
        self.has(b.refused(), r"hooks\.conf", "directory")

    def test_first_line_of_many_mistakes(self):
        text = file_text(GOOD) + "vmq_webhooks.a.bogus = 1\n" \
            "vmq_webhooks.a.worse = 1\n"
        b = self.file(text)
        self.has(b.refused(), r"hooks\.conf:3\b.*bogus")

    def test_unknown_inline_option(self):
        """An option of the plugin that is none of ours is a mistake."""
        ep = self.endpoint()
        b = self.unstarted(endpoint_conf(ep.url),
                           after=["plugin_opt_vmq_webhook.x.hook y"])
        try:
            b.start()
        except AssertionError:
            self.has(b.log(), r"vmq_webhook\.x\.hook")
        else:
            self.online(b, "c1")
            b.stop()

    def test_plugin_is_where_it_should_be(self):
        self.assertTrue(os.path.exists(plugin_path()))

    def test_answers_after_everything(self):
        """All hooks, all options: the whole of it in one file."""
        ep = self.endpoint()
        conf = {"plugins.vmq_webhooks": "on",
                "vmq_webhooks.pool_max_connections": "5",
                "vmq_webhooks.pool_timeout": "1000"}
        conf.update(endpoint_conf(ep.url, ALL, base64encode="on",
                                  no_payload="off", response_timeout=4000))
        b = self.file(file_text(conf)).start()
        ep.answers["auth_on_register"] = OK
        c = self.online(b, "c1")
        c.subscribe("t")
        c.publish("t", "x", 1)
        c.message("t")
        b.stop()
