"""What the log says of webhooks: once, since when, until when, how much of
it, and never a secret."""

import os
import re

from endpoint import DENY, OK, Drop, Endpoint, Raw, Reset, Stall, ok
from host import ALL, AUTH, EACH_LINE, STEADY, BrokerTest, endpoint_conf

TELL = tuple(h for h in ALL if h not in AUTH)
RARELY = {"vmq_webhooks.log_interval": 600000}


class Log(BrokerTest):

    def stage(self, ep, hooks=("auth_on_publish",), conf=None, **options):
        """Those hooks at `ep`, the rest at an endpoint that is fine."""
        fine = self.endpoint(name="fine")
        settings = endpoint_conf(ep.url, hooks, "a", **options)
        settings.update(endpoint_conf(fine.url, [h for h in ALL
                                                 if h not in hooks], "z"))
        settings.update(STEADY)
        settings.update(conf or {})
        return self.broker(settings)

    def of(self, b, hook="auth_on_publish"):
        """What was said of that hook's endpoint."""
        return [line.split(": ", 3)[3] for line in
                b.lines_with(r"vmq_webhooks: %s: endpoint " % hook)
                if "stood still" not in line]


class Problems(Log):

    def test_once_and_summed_up(self):
        ep = self.endpoint(auth_on_publish=(503, {}, OK))
        b = self.stage(ep, conf=RARELY)
        c = self.online(b)
        for i in range(6):
            c.publish("t", "x", 1)
        self.assertEqual(self.of(b), [
            "endpoint %s: answered with status 503 instead of 200" % ep.url])
        b.stop()
        self.assertEqual(len(self.of(b)), 2)
        self.assertRegex(self.of(b)[1], r"5 more failures within \d+ s.*, the "
                         "last: answered with status 503 instead of 200")

    def test_in_the_middle_of_it(self):
        """When the interval is over, not only at the end."""
        ep = self.endpoint(auth_on_publish=(503, {}, OK))
        b = self.stage(ep, conf={"vmq_webhooks.log_interval": 500})
        c = self.online(b)
        c.publish("t", "x", 1)
        c.publish("t", "x", 1)
        b.wait_log("1 more failures within", timeout=20)
        self.assertTrue(b.alive())

    def test_since_when_and_until_when(self):
        ep = self.endpoint()
        b = self.stage(ep, conf={"vmq_webhooks.log_interval": 1100})
        c = self.online(b)
        ep.stop()
        for i in range(3):
            c.publish("t", "x", 1)
        # a second and more of it
        line = b.wait_log("2 more failures within", timeout=20)
        self.assertRegex(line, r"s, failing for \d+ s, the last: ")
        again = Endpoint(ep.port).start()
        self.addCleanup(again.stop)
        c.publish("t", "x", 1)
        again.wait_for("auth_on_publish")
        line = b.wait_log("answers again")
        self.assertRegex(line, r"auth_on_publish: endpoint %s: answers again "
                         r"after \d+ s, 3 failures meanwhile$" % again.url)
        c.publish("t", "x", 1)
        c.disconnect()
        b.stop()
        self.assertEqual(len(self.of(b)), 3)
        self.assertNotIn("failing", self.of(b)[0])

    def test_what_works_has_no_line(self):
        ep = self.endpoint()
        b = self.stage(ep)
        c = self.online(b)
        for i in range(20):
            c.publish("t", "x", 1)
        c.disconnect()
        b.stop()
        self.assertEqual(self.of(b), [])

    def test_different_ones_are_all_said(self):
        ep = self.endpoint()
        b = self.stage(ep, conf=RARELY)
        c = self.online(b)
        for answer in ((503, {}, OK), (404, {}, OK), b"nonsense", Drop(),
                       {"result": "yes"}) * 2:
            ep.answers["auth_on_publish"] = answer
            c.publish("t", "x", 1)
        lines = self.of(b)
        self.assertEqual(len(lines), 5, lines)
        for pattern in ("status 503", "status 404", "not JSON", "connection "
                        "ended", 'unknown "result"'):
            self.assertEqual(len([x for x in lines if pattern in x]), 1,
                             pattern)
        b.stop()
        self.assertEqual(len(self.of(b)), 10)

    def test_a_removed_webhook_is_summed_up(self):
        ep = self.endpoint(auth_on_publish=(503, {}, OK))
        b = self.stage(ep, conf=RARELY)
        c = self.online(b)
        for i in range(3):
            c.publish("t", "x", 1)
        self.assertEqual(b.admin("deregister", "hook=auth_on_publish",
                                 "endpoint=" + ep.url).returncode, 0)
        b.wait_log("2 more failures")

    def test_refusals_are_summed_up(self):
        """With the client's and the endpoint's words."""
        ep = self.endpoint(auth_on_register={"result": {"error": "go away"}})
        b = self.stage(ep, ("auth_on_register",), conf=RARELY)
        for i in range(4):
            self.client(b, "c%d" % i).connect("u", "p", rc=5)
        self.assertEqual(self.of(b, "auth_on_register"), [
            "endpoint %s: refused client c0: go away" % ep.url])
        b.stop()
        self.has(b.log(), "3 more refusals within .*, the last: refused "
                 "client c3: go away")


class Clients(Log):
    """What any of them, or any reply, can bring about again and again."""

    def stage_login(self, login, conf=RARELY, **answers):
        ep = self.endpoint(auth_on_register=login, **answers)
        return self.hooked(ep, conf=dict(conf))

    def once_and_then(self, b, once, more):
        """Said once so far, and at the end how often."""
        self.assertEqual(b.log_count("vmq_webhooks: " + once), 1)
        b.stop()
        self.assertEqual(b.log_count("vmq_webhooks: " + more), 1)
        self.assertEqual(b.log_count(once), 2)

    def publish(self, b, n, size=1):
        c = self.online(b)
        for i in range(n):
            c.publish("t", "x" * size, 1)
        c.disconnect()

    def test_too_large(self):
        b = self.stage_login(ok(max_message_size=50))
        self.publish(b, 4, 100)
        self.once_and_then(
            b, "publish of client c1 refused: larger", "3 more publishes "
            "refused within .*, the last: publish of client c1 refused: la")

    def test_another_mountpoint(self):
        b = self.stage_login(OK, auth_on_publish=ok(mountpoint="x"))
        self.publish(b, 4)
        self.once_and_then(
            b, "publish of client c1 refused: the reply", "3 more publishes "
            "refused within .*, the last: publish of client c1 refused: the")

    def test_another_number_of_filters(self):
        b = self.stage_login(OK, auth_on_subscribe={
            "result": "ok", "topics": [{"topic": "a", "qos": 0},
                                       {"topic": "b", "qos": 0}]})
        c = self.online(b)
        for i in range(4):
            self.assertEqual(c.subscribe("t"), [0x80])
        c.disconnect()
        self.once_and_then(
            b, "subscription of client c1 refused: asked for one",
            "3 more subscriptions refused within .*, the last: subscription")

    def test_a_login_that_cannot_be(self):
        b = self.stage_login(ok(mountpoint="x", client_id="y"))
        for i in range(4):
            self.client(b, "c%d" % i).connect("u", "p", rc=5)
        self.once_and_then(b, "login of client c. refused: ",
                           "3 more logins refused within .*, the last: login "
                           "of client c3 refused")

    def test_in_the_middle_of_it(self):
        b = self.stage_login(ok(max_message_size=50),
                             {"vmq_webhooks.log_interval": 500})
        self.publish(b, 4, 100)
        b.wait_log("more publishes refused within", timeout=20)
        self.assertTrue(b.alive())

    def test_every_one(self):
        b = self.stage_login(ok(max_message_size=50), EACH_LINE)
        self.publish(b, 4, 100)
        b.wait_log("publish of client c1 refused: larger", 4)
        b.stop()
        self.assertEqual(b.log_count("more publishes"), 0)

    def test_not_below_the_level(self):
        b = self.stage_login(ok(max_message_size=50),
                             {"vmq_webhooks.log_level": "warning"})
        self.publish(b, 4, 100)
        b.stop()
        self.assertEqual(b.log_count("publishes? .*refused"), 0)


class Levels(Log):

    def noise(self, level):
        """A broker of that level after one of each; its lines."""
        ep = self.endpoint(auth_on_publish=lambda r: {
            "fine": OK, "bad": DENY, "none": (500, {}, OK),
        }[r["topic"]])
        b = self.stage(ep, conf=dict(EACH_LINE, **{
            "vmq_webhooks.log_level": level}),
            on_error="allow")
        c = self.online(b)
        for topic in ("fine", "bad", "none"):
            c.publish(topic, "x", 1)
        c.disconnect()
        b.stop()
        return [line.split("vmq_webhooks: ")[1] for line in
                b.log().splitlines() if "vmq_webhooks: " in line]

    def said(self, lines, pattern):
        return bool([x for x in lines if re.search(pattern, x)])

    def test_each(self):
        patterns = {"error": "status 500", "warning": "allowed without",
                    "info": "refused client c1", "start": r"^version \S+ in",
                    "debug": "answered ok", "told": "on_publish.*: told"}
        for level, said in (("error", ("error",)),
                            ("warning", ("error", "warning")),
                            ("info", ("error", "warning", "info", "start")),
                            ("debug", tuple(patterns))):
            lines = self.noise(level)
            for name, pattern in patterns.items():
                with self.subTest(level=level, name=name):
                    self.assertEqual(self.said(lines, pattern), name in said,
                                     lines)

    def test_default_is_info(self):
        ep = self.endpoint()
        b = self.stage(ep)
        c = self.online(b)
        c.publish("t", "x", 1)
        c.disconnect()
        b.stop()
        self.assertEqual(b.log_count(r"vmq_webhooks: .*answered"), 0)
        self.assertEqual(b.log_count(r"auth_on_publish: 1 endpoint"), 1)


class Secrets(Log):
    """Every kind of failure, every line written, and then the whole log."""

    KEY = "whsec_TWVsbG9uTWVsbG9uTWVsbG9uTWVsbG9u"
    WORDS = ("joe-user", "url-passw0rd", "query-t0ken", "bare-t0ken",
             "header-s3cret", "login-passw0rd", "payl0ad", "cGF5bDBhZA",
             "proxy-passw0rd", "key-passw0rd", KEY[6:], KEY[6:-6], "v1,",
             "am9lLXVzZXI", "reply-b0dy")
    CONF = {"vmq_webhooks.log_level": "debug",
            "vmq_webhooks.secret": KEY,
            "vmq_webhooks.header.X-Key": "header-s3cret"}

    def secret_url(self, url):
        return (url.replace("//", "//joe-user:url-passw0rd@") +
                "?token=query-t0ken&bare-t0ken")

    def unseen(self, b):
        self.assertGreater(len(b.log()), 0)
        for word in self.WORDS:
            self.assertNotIn(word, b.log())

    def secret_stage(self, url, conf=None, hooks=ALL, **options):
        settings = endpoint_conf(self.secret_url(url), hooks, **options)
        settings.update(self.CONF)
        settings.update(EACH_LINE)
        settings.update(conf or {})
        return self.broker(settings)

    def answers(self, url):
        return (OK, DENY, {"result": "next"}, {"result": {"error": {"a": 1}}},
                    (200, {"Cache-Control": "max-age=60"},
                 ok(payload="cGF5bDBhZA")),
                (201, {}, "reply-b0dy"), (204, {}, b""),
                (301, {"Location": url}, ""),
                (401, {"WWW-Authenticate": "Basic"}, "reply-b0dy"),
                (429, {}, "reply-b0dy"), (500, {}, "reply-b0dy"),
                (503, {}, ""),
                b"", b"nonsense reply-b0dy", b'{"result":"ok"', b"[]", b"\xff",
                {"result": 5}, {"result": "ok", "modifiers": 1},
                ok(unknown=1), ok(qos=7), ok(topic="a/#"), ok(payload=5),
                ok(throttle=5), ok(mountpoint="x"),
                {"result": "ok", "topics": "cGF5bDBhZA"},
                Drop(), Reset(), Raw(b"reply-b0dy\r\n\r\n", close=True),
                Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
                    close=True),
                Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"
                    b"\r\n", close=True),
                b"x" * 5000)

    def use(self, b, client_id, version):
        """A login, and if it succeeds all else."""
        c = self.client(b, client_id, version)
        if c.connect("u-" + client_id, "login-passw0rd", rc=None)["rc"]:
            return
        c.publish("t/" + client_id, "payl0ad", 1)
        c.subscribe("t/%s/#" % client_id)
        c.unsubscribe("t/%s/#" % client_id)
        c.disconnect()

    def test_answers(self):
        """Each of them, to each hook and protocol."""
        ep = self.endpoint()
        b = self.secret_stage(ep.url, dict(STEADY, **{
            "vmq_webhooks.max_reply": 4096, "vmq_webhooks.retries": 0}))
        for hook in ("auth_on_register", "auth_on_publish",
                     "auth_on_subscribe", "on_publish"):
            for n, answer in enumerate(self.answers(ep.url)):
                ep.answers = {hook: answer, hook + "_m5": answer}
                for v in (4, 5):
                    self.use(b, "%s%d-%d" % (hook, n, v), v)
        b.stop()
        self.assertGreater(b.log_count(r"endpoint http://\*\*\*@\S+"
                                       r"\?token=\*\*\*&\*\*\*: "), 300)
        self.unseen(b)

    def test_admin(self):
        """Whatever is done about it, by command or reload. And metrics,
        which are for more people than the socket."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(self.secret_url(ep.url), ("on_publish",))
        conf.update(self.CONF)
        b = self.broker(
            plugin_lines=["plugin @PLUGIN@",
                          "plugin_opt_vmq_webhooks.admin_socket "
                          "@DIR@/admin.sock",
                          "plugin_opt_config_file @DIR@/hooks.conf"],
            files={"hooks.conf": "".join("%s = '%s'\n" % item
                                         for item in conf.items())})
        name = [("hook", "on_client_gone"),
                ("endpoint", self.secret_url(other.url))]
        again = [("hook", "on_publish")] + name[1:]
        for words, query in (("register", name),
                             ("register", again + [("--verify_peer",
                                                    "false")]),
                             ("test", name), ("pause", name[1:]),
                             ("resume", name[1:]),
                             ("cache/clear", name), ("reload", ())):
            status, body = b.api(words, query)
            self.assertEqual((status, "alert" in body), (200, False), body)
        # one is the file's by now, and the rest is gone
        conf = endpoint_conf(self.secret_url(other.url), ("on_publish",), "b")
        b.write("hooks.conf", "".join("%s = '%s'\n" % item
                                      for item in conf.items()))
        self.assertEqual(b.api("reload")[0], 200)
        self.assertEqual(b.api("deregister", name)[0], 200)
        b.wait_log("admin: deregistered")
        for path in ("/metrics", "/health"):
            status, _, text = b.http(path)
            self.assertEqual(status, 200)
            self.assertNotIn(b"t0ken", text)
        b.stop()
        for line in ("removed: ", "kept: .*of run time"):
            self.assertRegex(b.wait_log(line), r"\?token=\*\*\*&\*\*\*")
        self.unseen(b)

    def test_no_answer(self):
        """Slow, held, broken, too many, too old, down; and as kept."""
        ep, stall = self.endpoint(), Stall()
        self.addCleanup(stall.release)
        tell = endpoint_conf(self.secret_url(ep.url), TELL, "t")
        b = self.secret_stage(ep.url, dict(tell, **{
            "vmq_webhooks.breaker_failures": 2,
            "vmq_webhooks.blocking_timeout": self.ms(300),
            "vmq_webhooks.max_queue": 2, "vmq_webhooks.max_event_age": 300,
            "vmq_webhooks.drain_timeout": 100,
        }), AUTH, response_timeout=self.ms(400), on_error="allow")
        sub = self.online(b, "first", password="login-passw0rd")
        ep.answers["auth_on_publish"] = ep.answers["on_publish"] = stall
        for i in range(8):
            sub.publish("t", "payl0ad", 1)
        b.wait_log("stood still")
        b.wait_log("not asked: its circuit breaker")
        b.wait_log("queue is full")
        b.wait_log("too old", timeout=20)
        ep.stop()
        self.use(b, "second", 4)
        b.stop()
        self.assertGreater(b.log_count("were not delivered|no answer"), 0)
        self.unseen(b)

    def test_let_in_without_an_answer(self):
        ep = self.endpoint()
        ep.answers["*"] = (500, {}, "reply-b0dy")
        b = self.secret_stage(ep.url, STEADY, AUTH, on_error="allow")
        for v in (4, 5):
            self.use(b, "c%d" % v, v)
        b.wait_log("allowed without an answer", 6)
        self.unseen(b)

    def test_no_connection(self):
        """No name, nobody there, no TLS, no proxy, a proxy that refuses."""
        proxy = self.endpoint(name="proxy")
        proxy.answers["*"] = (407, {"Proxy-Authenticate": "Basic"}, "")
        via = proxy.url.replace("//", "//joe-user:proxy-passw0rd@")
        nobody = self.nobody()
        through = {"vmq_webhooks.proxy": via[:via.rindex("/")]}
        for url, conf in (("http://no.such.name.invalid/", {}),
                          (nobody, {}),
                          (self.endpoint().url.replace("http", "https"), {}),
                          (nobody.replace("http", "https"), through),
                          (nobody, through),
                          (nobody, {"vmq_webhooks.proxy": nobody.replace(
                              "//", "//joe-user:proxy-passw0rd@")}),
                          (nobody, {"vmq_webhooks.proxy": "socks5://joe-user:"
                                    "proxy-passw0rd@127.0.0.1:1"}),
                          ("http+unix:///no/such.sock:/x", {})):
            settings = dict(self.CONF, **EACH_LINE)
            settings["vmq_webhooks.connect_timeout"] = self.ms(1000)
            settings.update(endpoint_conf(
                url + "?token=query-t0ken" if "+unix" in url else
                self.secret_url(url), AUTH + ("on_register",)))
            settings.update(conf)
            b = self.broker(settings)
            self.client(b).connect("u", "login-passw0rd", rc=5)
            b.wait_log("auth_on_register: endpoint .*: ", timeout=20)
            b.stop()
            self.unseen(b)

    def test_commands(self):
        ep = self.endpoint()
        b = self.secret_stage(ep.url)
        url = self.secret_url(ep.url)
        self.online(b, "c1", password="login-passw0rd")
        for args in (("deregister", "hook=on_publish", "endpoint=" + url),
                     ("register", "hook=on_publish", "endpoint=" + url),
                     ("cache", "clear", "endpoint=" + url),
                     ("cache", "clear", "client-id=c1", "--kick")):
            self.assertEqual(b.admin(*args).returncode, 0, args)
        for args in (("register", "hook=on_publish", "endpoint=" + url),
                     ("register", "hook=on_publish",
                      "endpoint=ftp" + url[4:])):
            self.assertNotEqual(b.admin(*args).returncode, 0, args)
        b.wait_log("admin: ", 5)
        b.stop()
        self.assertEqual(b.log_count(r"admin: .*\?token=\*\*\*&\*\*\*"), 3)
        self.unseen(b)

    def test_mistakes_in_the_configuration(self):
        """Of every key that has a secret, and the line in which it is."""
        good = ["vmq_webhooks.w.hook = on_publish",
                "vmq_webhooks.w.endpoint = http://127.0.0.1:1/"]
        url = "://joe-user:url-passw0rd@h%s?token=query-t0ken"
        for line in (
                "vmq_webhooks.w.header.X = 'header-s3cret\x01'",
                "vmq_webhooks.w.header.X = header-s3cret\n" * 2,
                "vmq_webhooks.w.header.Content-Type = header-s3cret",
                "vmq_webhooks.w.header = header-s3cret",
                "vmq_webhooks.w.heade.X = header-s3cret",
                "vmq_webhooks.w.header.X 'header-s3cret='",
                "vmq_webhooks.w.header.X = 'header-s3cret",
                "vmq_webhooks.w.header.X = '1' header-s3cret",
                "vmq_webhooks.w.secret = " + self.KEY[6:],
                "vmq_webhooks.w.secret = %s!" % self.KEY,
                "vmq_webhooks.w.secret %s==" % self.KEY,
                "vmq_webhooks.w.secret = %s\n" % self.KEY * 2,
                "vmq_webhooks.w.secret_file = @DIR@/secret",
                "vmq_webhooks.w.signing_key_file = @DIR@/secret",
                "vmq_webhooks.w.header_file.X = @DIR@/binary",
                "vmq_webhooks.w.certfile = @DIR@/secret",
                "vmq_webhooks.w.keyfile_passwort = key-passw0rd",
                "vmq_webhooks.w.proxy = ftp" + url % "",
                "vmq_webhooks.w.proxy = http" + url % ":x",
                "vmq_webhooks.x.hook = on_publish\n"
                "vmq_webhooks.x.endpoint = ftp" + url % "",
                "vmq_webhooks.x.hook = on_publish\n"
                "vmq_webhooks.x.endpoint = http" + url % ":x",
                "vmq_webhooks.x.hook = on_publis\n"
                "vmq_webhooks.x.endpoint = http" + url % ""):
            b = self.unstarted(
                plugin_lines=["plugin @PLUGIN@",
                              "plugin_opt_config_file @DIR@/hooks.conf"],
                files={"secret": self.KEY + "-payl0ad",
                       "binary": "header-s3cret\0"})
            with open(os.path.join(b.dir, "hooks.conf"), "w") as f:
                f.write("\n".join(good + [line]).replace("@DIR@", b.dir) +
                        "\n")
            with self.subTest(line=line):
                self.has(b.refused(), "vmq_webhooks: .*hooks.conf:|"
                         "vmq_webhooks: .*vmq_webhooks\\.")
                self.unseen(b)
