"""What is registered while the broker runs: with every option, and for
good."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from endpoint import DENY, OK, Delay, Drop, Stall, kept
from host import ALL, AUTH, BrokerTest, endpoint_conf, file_text
from servers import Servers

DONE = {"text": "Done", "type": "text"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


# What is shown is what differs from the program's, not the tests'.
DEFAULTS = {"vmq_webhooks.connect_timeout": 1000}


class Registering(BrokerTest):

    def put(self, b, hook, url, *flags):
        """Register with vmq-admin, which must succeed."""
        done = b.admin("register", "hook=" + hook, "endpoint=" + url, *flags)
        self.assertEqual((done.returncode, done.stdout), (0, "Done\n"), done)

    def drop(self, b, hook, url):
        done = b.admin("deregister", "hook=" + hook, "endpoint=" + url)
        self.assertEqual((done.returncode, done.stdout), (0, "Done\n"), done)

    def refused(self, b, hook, url, *flags, says=""):
        done = b.admin("register", "hook=" + hook, "endpoint=" + url, *flags)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.has(done.stderr, says)
        return done.stderr

    def rows(self, b, *flags):
        status, body = b.api("show", [(f, None) for f in flags])
        self.assertEqual(status, 200)
        return body["table"]

    def shown(self, b):
        """{(hook, endpoint): options}"""
        return {(r["hook"], r["endpoint"]): r["options"]
                for r in self.rows(b, "--all")}


class Options(Registering):
    """Each does on the wire what its key does."""

    def stage(self, conf=None, **kw):
        """Who decides is configured, who is told is not yet."""
        asked, ep = self.endpoint(name="asked"), self.endpoint()
        settings = endpoint_conf(asked.url, AUTH, "a")
        settings.update(conf or {})
        return ep, self.broker(settings, **kw)

    def publish(self, b, ep, n=1, payload="x", qos=1):
        c = self.online(b, "c1")
        c.publish("t", payload, qos)
        r = ep.wait_for("on_publish", n)
        c.disconnect()
        return r

    def test_headers(self):
        ep, b = self.stage({"vmq_webhooks.header.X-All": "all",
                            "vmq_webhooks.header.X-Both": "all"},
                           files={"value": "from a file\n"})
        self.put(b, "on_publish", ep.url, "--header.X-Key=a = b",
                 "--header.X-Both=own",
                 "--header_file.X-File=" + b.path("value"))
        r = self.publish(b, ep)
        for name, value in (("X-Key", "a = b"), ("X-File", "from a file"),
                            ("X-All", "all"), ("X-Both", "own")):
            self.assertEqual(r.header(name), value)

    def test_secret(self):
        ep, b = self.stage(files={"secret": SECRET + "\n"})
        self.put(b, "on_publish", ep.url, "--secret=" + SECRET)
        self.put(b, "on_register", ep.url,
                 "--secret_file=" + b.path("secret"))
        for r in (self.publish(b, ep), ep.wait_for("on_register")):
            signed = b".".join((r.header("webhook-id").encode(),
                                r.header("webhook-timestamp").encode(),
                                r.raw))
            mac = hmac.new(base64.b64decode(SECRET[6:]), signed,
                           hashlib.sha256).digest()
            self.assertEqual(r.header("webhook-signature"),
                             "v1," + base64.b64encode(mac).decode())

    def test_trace(self):
        ep, b = self.stage()
        self.put(b, "on_publish", ep.url, "--trace=true")
        self.put(b, "on_register", ep.url)
        self.assertRegex(self.publish(b, ep).header("traceparent"),
                         r"^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
        self.assertIsNone(ep.wait_for("on_register").header("traceparent"))

    def test_payload(self):
        ep, b = self.stage()
        self.put(b, "on_publish", ep.url, "--base64payload=false")
        self.assertEqual(self.publish(b, ep)["payload"], "x")
        self.drop(b, "on_publish", ep.url)
        self.put(b, "on_publish", ep.url, "--base64encode=on")
        self.assertEqual(self.publish(b, ep, 2)["payload"], "eA==")

    def test_no_payload(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, ("auth_on_register",)))
        self.put(b, "auth_on_publish", ep.url, "--no_payload=on")
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        self.assertNotIn("payload", ep.wait_for("auth_on_publish").body)

    def test_retries(self):
        """Once as it is for all; or never."""
        ep, b = self.stage()
        ep.answers["on_publish"] = ep.answers["on_register"] = (503, {}, {})
        self.put(b, "on_publish", ep.url, "--retries=1")
        self.put(b, "on_register", ep.url, "--retries=0")
        self.publish(b, ep, 2)
        b.wait_log("on_publish: endpoint .*503")
        b.wait_log("on_register: endpoint .*503")
        self.assertEqual(ep.count("on_register"), 1)

    def test_max_event_age(self):
        ep, b = self.stage({"vmq_webhooks.pool_max_connections": 1})
        ep.answers["on_publish"] = stall = Stall()
        self.addCleanup(stall.release)
        self.put(b, "on_publish", ep.url, "--max_event_age=1",
                 "--response_timeout=%d" % self.ms(20000))
        c = self.online(b, "c1")
        c.publish("t", "1", 1)
        ep.wait_for("on_publish")
        c.publish("t", "2", 1)
        b.wait_log("on_publish: endpoint .*")
        stall.release()
        c.disconnect()
        self.assertEqual(ep.count("on_publish"), 1)

    def test_response_timeout_and_on_error(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, ("auth_on_register",)))
        ep.answers["auth_on_publish"] = Stall()
        self.put(b, "auth_on_publish", ep.url, "--on_error=allow",
                 "--response_timeout=%d" % self.ms(100))
        self.put(b, "auth_on_subscribe", ep.url)
        sub = self.subscriber(b, "t")
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        self.assertEqual(sub.wait("PUBLISH")["topic"], "t")
        b.wait_log(r"client c1 allowed without an answer \(on_error = allow")

    def test_on_error_deny_is_the_default(self):
        ep = self.endpoint()
        b = self.broker()
        ep.answers["auth_on_register"] = Drop()
        self.put(b, "auth_on_register", ep.url)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.drop(b, "auth_on_register", ep.url)
        self.put(b, "auth_on_register", ep.url, "--on_error=allow")
        self.online(b, "c2")

    def test_cache_refusals(self):
        ep = self.endpoint()
        b = self.broker()
        ep.answers["auth_on_register"] = kept(60, DENY)
        for flag, asked in (("--cache_refusals=false", 2),
                            ("--cache_refusals=true", 3)):
            self.put(b, "auth_on_register", ep.url, flag)
            for _ in range(2):
                self.client(b, "c1").connect("u", "p", rc=5)
            self.assertEqual(ep.count("auth_on_register"), asked)
            self.drop(b, "auth_on_register", ep.url)

    def test_blocking(self):
        """On 2.1 the broker goes on while a login waits, unless told not
        to; 2.0 always waits."""
        ep = self.endpoint()
        b = self.broker()
        ep.answers["auth_on_register"] = Delay(0.3, OK)
        stood = "auth_on_register: endpoint .* the broker stood still"
        self.put(b, "auth_on_register", ep.url)
        self.online(b, "c1")
        if self.v21:
            self.assertEqual(b.log_count(stood), 0)
        self.drop(b, "auth_on_register", ep.url)
        self.put(b, "auth_on_register", ep.url, "--blocking=true")
        self.online(b, "c2")
        b.wait_log(stood)

    def test_connect_timeout(self):
        """To an address that answers nobody: a listener whose queue is
        full."""
        full = self.full_listener()
        b = self.broker()
        self.put(b, "auth_on_register", full, "--connect_timeout=%d" %
                 self.ms(50), "--response_timeout=%d" % self.ms(15000))
        self.client(b, "c1").connect("u", "p", rc=5)
        b.wait_log("auth_on_register: endpoint .*(connect|no connection)")

    def full_listener(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            s = socket.socket()
            self.addCleanup(s.close)
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
        return "http://127.0.0.1:%d/" % listener.getsockname()[1]

    def test_max_reply(self):
        ep = self.endpoint()
        b = self.broker()
        self.put(b, "auth_on_register", ep.url, "--max_reply=5")
        self.client(b, "c1").connect("u", "p", rc=5)
        b.wait_log("auth_on_register: endpoint .*exceeds 5 bytes")

    def test_forward_connection_opts(self):
        ep = self.endpoint()
        b = self.broker()
        self.put(b, "auth_on_register", ep.url,
                 "--forward_connection_opts=true")
        self.put(b, "auth_on_register_m5", ep.url)
        self.online(b, "c1")
        self.online(b, "c5", 5)
        self.assertIn("listener_port", ep.of("auth_on_register")[0].body)
        self.assertNotIn("listener_port",
                         ep.of("auth_on_register_m5")[0].body)

    def test_proxy(self):
        """What goes by a proxy asks it for a whole URL."""
        proxy, b = self.stage()
        self.put(b, "on_publish", "http://far.example/x",
                 "--proxy=http://joe:s3cret@127.0.0.1:%d" % proxy.port)
        r = self.publish(b, proxy)
        self.assertEqual(r.path, "http://far.example/x")
        self.assertEqual(r.header("Proxy-Authorization"), "Basic " +
                         base64.b64encode(b"joe:s3cret").decode())
        self.assertNotIn("s3cret", str(self.shown(b)) + b.log())

    def test_two_ways_are_two_endpoints(self):
        """One URL, other keys: connections of its own."""
        ep, b = self.stage()
        self.put(b, "on_publish", ep.url)
        self.put(b, "on_register", ep.url, "--connect_timeout=999")
        self.publish(b, ep)
        self.assertNotEqual(ep.wait_for("on_register").connection,
                            ep.wait_for("on_publish").connection)

    def test_over_http(self):
        ep, b = self.stage()
        for method, hook in (("GET", "on_publish"), ("POST", "on_register")):
            status, _, body = b.http(
                "/api/v1/webhooks/register?--header.X-Key=a%%26b&hook=%s&"
                "endpoint=%s&--trace=on" % (hook, ep.url), method)
            self.assertEqual((status, json.loads(body)), (200, DONE))
        r = self.publish(b, ep)
        self.assertEqual(r.header("X-Key"), "a&b")
        self.assertEqual(ep.wait_for("on_register").header("X-Key"), "a&b")

    def test_it_begins_without_losing_a_call(self):
        """Registering under load: those who are there notice nothing."""
        ep, b = self.stage()
        self.put(b, "on_publish", ep.url)
        c = self.online(b, "c1")
        over = threading.Event()

        def keep_registering():
            while not over.is_set():
                other = "http://127.0.0.1:9/other"
                self.put(b, "on_publish", other, "--header.A=x")
                self.drop(b, "on_publish", other)

        thread = threading.Thread(target=keep_registering)
        thread.start()
        try:
            for i in range(100):
                c.publish("t", "%d" % i, 1)
        finally:
            over.set()
            thread.join()
        ep.wait_for("on_publish", 100, timeout=20)
        self.assertEqual([base64.b64decode(r["payload"]).decode()
                          for r in ep.of("on_publish")],
                         ["%d" % i for i in range(100)])


    def test_usage_names_every_key(self):
        """But one that has no effect."""
        b = self.broker()
        text = self.refused(b, "on_publish", "http://h/", "--zzzzzz=1",
                            says="--zzzzzz: no such key; allowed: ")
        keys = re.search("allowed: ([^;\n]*)", text).group(1).split(", ")
        usage = b.admin("register", "--help").stdout
        for key in set(keys) - {"base64encode", "depth"}:
            self.assertRegex(usage, r"\b%s\b" % key)


class Way(Registering):
    """To endpoints that real servers are."""

    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(prefix="vmqtls")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        self.servers = Servers(folder)
        self.addCleanup(self.servers.stop)

    def flags(self, **files):
        return ["--%s=%s" % (k, self.servers.path(v))
                for k, v in files.items()]

    def log_in(self, b, client_id, rc, *flags, server="mtls"):
        url = self.servers.url(server)
        self.put(b, "auth_on_register", url, *flags)
        self.client(b, client_id).connect("u", "p", rc=rc)
        self.drop(b, "auth_on_register", url)

    def test_client_certificate(self):
        b = self.broker()
        with open(self.servers.path("pw"), "w") as f:
            f.write("s3cret\n")
        own = self.flags(cafile="ca.pem", certfile="client.pem",
                         keyfile="client.enc")
        self.log_in(b, "c1", 5)
        self.log_in(b, "c2", 5, *self.flags(cafile="ca.pem"))
        self.log_in(b, "c3", 0, "--keyfile_password=s3cret", *own)
        self.log_in(b, "c4", 0, *own,
                    *self.flags(keyfile_password_file="pw"))
        self.refused(b, "auth_on_register", self.servers.url("mtls"), *own,
                     says="keyfile: is encrypted: set keyfile_password")
        self.assertNotIn("s3cret", b.log())

    def test_revoked(self):
        b = self.broker()
        ca = self.flags(cafile="ca.pem", crlfile="crl.pem")
        self.log_in(b, "c1", 0, *ca, server="revoked")
        self.log_in(b, "c2", 5, "--use_crls=true", *ca, server="revoked")
        b.wait_log("TLS: .*has been revoked")
        self.log_in(b, "c3", 0, "--use_crls=true", *ca, server="good")

    def test_they_last(self):
        """And a file that is gone is told at the next start."""
        b = self.unstarted({"vmq_webhooks.persist": "on"})
        b.conf["vmq_webhooks.persist_file"] = b.path("saved")
        b.start()
        url = self.servers.url("good")
        self.put(b, "auth_on_register", url, *self.flags(cafile="ca.pem"))
        b.stop()
        b.saved = None
        b.start()
        self.online(b, "c1").disconnect()
        b.stop()
        b.saved = None
        os.rename(self.servers.path("ca.pem"), self.servers.path("gone"))
        self.has(b.refused(), re.escape(b.path("saved")) + r":6: "
                 r"vmq_webhooks\.r0001\.cafile: the file cannot be read")

    def test_signing_key(self):
        ep = self.endpoint()
        b = self.broker(DEFAULTS, files={"key": "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7Mmk"
                               "ZcDusAxyuf2A=\n"})
        self.put(b, "auth_on_register", ep.url,
                 "--signing_key_file=" + b.path("key"))
        self.online(b, "c1")
        self.assertRegex(ep.requests[0].header("webhook-signature"),
                         r"^v1a,[A-Za-z0-9+/]{86}==$")
        self.assertEqual(self.shown(b)["auth_on_register", ep.url],
                         "--signing_key_file=***")


class Refusals(Registering):

    def test_nothing_is_registered(self):
        b = self.broker()
        url = "http://127.0.0.1:9/"
        for hook, flag, says in (
                ("on_publish", "--retris=1", 'did you mean "retries"'),
                ("on_publish", "--retries=1000", "allowed: 0 to 100"),
                ("on_publish", "--trace=maybe", "true, false, on, off"),
                ("on_publish", "--on_error=allow", "on_error is for"),
                ("auth_on_publish", "--on_error=alow",
                 'did you mean "allow"'),
                ("auth_on_publish", "--retries=1", "retries and max_event"),
                ("on_publish", "--cafile=/nonexistent", "--cafile: "),
                ("on_publish", "--header=A: b", r"header\.<Name>"),
                ("on_publish", "--header.Content-Type=x", "own"),
                ("on_publish", "--max_queue=5", "no such key"),
                ("on_publish", "--hook=on_register", "set twice")):
            with self.subTest(flag=flag):
                self.refused(b, hook, url, flag, says=says)
        self.assertEqual(self.rows(b), [])
        self.assertEqual(b.log_count("admin: "), 0)

    def test_secrets_are_shown_nowhere(self):
        b = self.broker()
        url = "http://joe:s3cret@127.0.0.1:9/"
        text = self.refused(b, "on_publish", url, "--secret=s3cret",
                            says=r"http://\*\*\*@127.0.0.1:9/: --secret: ")
        text += self.refused(b, "on_publish", url,
                             "--proxy=ftp://joe:s3cret@h", says="--proxy: ")
        self.put(b, "on_publish", url, "--header.X-Key=s3cret",
                 "--secret=" + SECRET, "--keyfile_password=s3cret",
                 "--proxy=http://joe:s3cret@127.0.0.1:9")
        for args in (("show",), ("show", "--all"),
                     ("show", "--all", "--format=json"),
                     ("show", "--origin", "--all", "--format=json")):
            text += b.admin(*args).stdout
        self.assertIn("--header.X-Key=***", text)
        self.assertIn("--secret=***", text)
        b.wait_log("admin: registered hook=on_publish")
        text += b.log()
        self.assertNotIn("s3cret", text)
        self.assertNotIn(SECRET, text)

    def test_who_is_not_verified_is_warned_about(self):
        b = self.broker()
        self.put(b, "on_publish", "https://127.0.0.1:9/",
                 "--verify_peer=false")
        b.wait_log("verify_peer = off: any server can pass")


class Show(Registering):

    def test_all(self):
        """What differs from the defaults; without it VerneMQ's columns."""
        conf = endpoint_conf("http://h/conf", ("on_publish",), "w",
                             retries=7, base64encode="off")
        b = self.broker(dict(conf, **DEFAULTS))
        self.put(b, "on_publish", "http://h/run", "--trace=on",
                 "--header.X-Key=k", "--no_proxy=a, b")
        self.put(b, "on_register", "http://h/plain")
        self.assertEqual(self.shown(b), {
            ("on_publish", "http://h/conf"): "--base64encode=off --retries=7",
            ("on_publish", "http://h/run"):
                "--no_proxy='a, b' --trace=on --header.X-Key=***",
            ("on_register", "http://h/plain"): ""})
        self.assertEqual(set(self.rows(b)[0]), {
            "hook", "endpoint", "base64payload", "response_timeout"})
        text = b.admin("show", "--all").stdout
        self.has(text, r"options", r"--no_proxy='a, b' --trace=on")
        self.assertNotIn("options", b.admin("show").stdout)


# The n-th fsync() waits until somebody writes to the n-th FIFO; what that is
# decides.
GATE = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int fd)
{
	static int n;
	char c = 0, path[256];
	int gate;

	(void)fd;
	snprintf(path, sizeof(path), "%s%d", getenv("FSYNC_GATE"), n++);
	gate = open(path, O_RDONLY);
	if (gate < 0 || read(gate, &c, 1) != 1)
		c = 'e';
	close(gate);
	errno = EIO;
	return c == 'e' ? -1 : 0;
}
"""


class Persist(Registering):

    def saving(self, conf=None, **kw):
        """A broker that is not started yet and saves."""
        settings = {"vmq_webhooks.persist": "on"}
        settings.update(conf or {})
        b = self.unstarted(settings, **kw)
        b.conf.setdefault("vmq_webhooks.persist_file", b.path("saved"))
        return b

    def again(self, b):
        """Stop it properly and start it once more."""
        b.stop()
        b.saved = None
        b.start()

    def started(self, *args, **kw):
        b = self.saving(*args, **kw)
        b.start()
        self.addCleanup(b.stop)
        return b

    def saved(self, b):
        with open(b.path("saved")) as f:
            return f.read()

    def test_off_by_default(self):
        b = self.broker({"vmq_webhooks.persist_file": "@DIR@/saved"})
        self.put(b, "on_publish", "http://h/")
        self.assertFalse(os.path.exists(b.path("saved")))
        self.again(b)
        self.assertEqual(self.rows(b), [])

    def test_registrations_last(self):
        ep = self.endpoint()
        b = self.started(endpoint_conf(ep.url, AUTH, "a"))
        self.put(b, "on_publish", ep.url, "--header.X-Key=it's = a key",
                 "--retries=1")
        self.put(b, "on_register", "http://h/?a=b==&c=#d", "--trace=true")
        self.put(b, "on_register", "http://gone/")
        before = self.rows(b, "--origin", "--all")
        self.drop(b, "on_register", "http://gone/")
        mode = os.stat(b.path("saved")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.again(b)
        self.assertEqual(self.rows(b, "--origin", "--all"),
                         [r for r in before
                          if r["endpoint"] != "http://gone/"])
        self.has(b.log(), "2 webhooks that were registered at run time are "
                 "back, from " + re.escape(b.path("saved")))
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        self.assertEqual(ep.wait_for("on_publish").header("X-Key"),
                         "it's = a key")
        # and are still its own, to be deregistered
        self.drop(b, "on_publish", ep.url)
        self.again(b)
        self.assertEqual(len(self.rows(b)), len(AUTH) + 1)

    def test_what_is_back_unverified_is_warned_about(self):
        b = self.started()
        self.put(b, "on_publish", "https://127.0.0.1:9/?token=s3cret",
                 "--verify_peer=false")
        self.again(b)
        self.has(b.log(), r"registered at run time: "
                 r"https://127\.0\.0\.1:9/\?token=\*\*\*: verify_peer = off")
        self.assertNotIn("s3cret", b.log())

    def test_it_is_a_configuration(self):
        """That may be moved to where the rest is."""
        b = self.started(DEFAULTS)
        self.put(b, "on_publish", "http://h/", "--retries=1")
        options = self.shown(b)
        b.stop()
        other = self.broker(plugin_lines=[
            "plugin @PLUGIN@",
            "plugin_opt_vmq_webhooks.admin_socket @DIR@/admin.sock",
            "plugin_opt_config_file " + b.path("saved")])
        self.assertEqual(self.shown(other), options)

    def test_a_configured_one_is_back(self):
        b = self.started(endpoint_conf("http://h/", ("on_publish",)))
        self.drop(b, "on_publish", "http://h/")
        self.assertEqual(self.rows(b), [])
        self.again(b)
        self.assertEqual(len(self.rows(b)), 1)

    def test_what_is_configured_by_now_is_skipped(self):
        b = self.started()
        self.put(b, "on_publish", "http://h/", "--retries=1")
        self.put(b, "on_register", "http://joe:s3cret@h/")
        b.conf.update(endpoint_conf("http://h/", ("on_publish",), "w"))
        b.conf.update(endpoint_conf("http://joe:s3cret@h/",
                                    ("on_register",), "v"))
        self.again(b)
        self.assertEqual(set(r["origin"] for r in self.rows(b, "--origin")),
                         {"vmq_webhooks.w00", "vmq_webhooks.v00"})
        self.has(b.log(), "on_publish: registered at run time, and set by "
                 "the configuration now, which counts: endpoint http://h/")
        self.assertNotIn("s3cret", b.log())

    def test_the_start_up_report_has_no_query(self):
        b = self.started()
        self.put(b, "on_publish", "https://h/?token=s3cret",
                 "--verify_peer=off")
        self.again(b)
        self.has(b.log(), r"registered at run time: https://h/\?token=\*\*\*: "
                 "verify_peer = off")
        self.assertNotIn("s3cret", b.log())

    def test_log_level_counts_from_the_start(self):
        b = self.started({"vmq_webhooks.log_level": "warning"})
        self.put(b, "on_publish", "http://h/")
        b.conf.update(endpoint_conf("http://h/", ("on_publish",)))
        self.again(b)
        self.assertEqual(len(self.rows(b)), 1)
        self.assertEqual(b.log_count("registered at run time"), 0)

    def filed(self, hooks):
        """A broker that saves, with its configuration in a file, and the
        text of the latter with an endpoint on these hooks."""
        bare = "vmq_webhooks.max_queue = 77\n"
        b = self.unstarted(
            plugin_lines=["plugin @PLUGIN@",
                          "plugin_opt_vmq_webhooks.admin_socket "
                          "@DIR@/admin.sock",
                          "plugin_opt_vmq_webhooks.persist on",
                          "plugin_opt_vmq_webhooks.persist_file "
                          "@DIR@/saved",
                          "plugin_opt_config_file @DIR@/hooks.conf"],
            files={"hooks.conf": bare})
        return b, bare, bare + file_text(endpoint_conf("http://h/", hooks))

    def wait_saved(self, b, n):
        """Until so many webhooks are in the file."""
        deadline = time.monotonic() + 10 * self.scale
        while self.saved(b).count(".hook = ") != n:
            self.assertLess(time.monotonic(), deadline, self.saved(b))
            time.sleep(0.01)

    def test_what_a_reload_takes_over_goes_with_the_configuration(self):
        """It is saved no more, and so not back when that drops it."""
        hooks = ("on_publish", "on_register")
        b, bare, more = self.filed(hooks)
        b.start()
        self.addCleanup(b.stop)
        for hook in hooks + ("on_subscribe",):
            self.put(b, hook, "http://h/")
        self.wait_saved(b, 3)
        b.write("hooks.conf", more)
        b.signal(signal.SIGHUP)
        b.wait_log("now as in the configuration")
        self.wait_saved(b, 1)
        b.write("hooks.conf", bare)
        self.assertEqual(b.admin("reload").returncode, 0)
        before = self.rows(b, "--origin")
        self.assertEqual([r["hook"] for r in before], ["on_subscribe"])
        self.again(b)
        self.assertEqual(self.rows(b, "--origin"), before)

    def test_what_a_start_leaves_to_the_configuration_goes_with_it(self):
        b, bare, more = self.filed(("on_publish",))
        b.start()
        self.addCleanup(b.stop)
        self.put(b, "on_publish", "http://h/", "--retries=1")
        self.put(b, "on_subscribe", "http://h/")
        b.write("hooks.conf", more)
        self.again(b)
        self.has(b.log(), "set by the configuration now, which counts")
        self.wait_saved(b, 1)
        b.write("hooks.conf", bare)
        self.again(b)
        self.assertEqual([r["hook"] for r in self.rows(b)], ["on_subscribe"])

    def test_a_broken_file_stops_the_start(self):
        b = self.saving(files={
            "saved": "vmq_webhooks.r0001.hook = on_publish\n"
                     "vmq_webhooks.r0001.endpoint = http://h/\n"
                     "vmq_webhooks.r0001.retries = many\n"})
        log = b.refused()
        self.has(log, re.escape(b.path("saved")) +
                 r":3: vmq_webhooks\.r0001\.retries: .*move the file away")
        self.assertEqual(self.saved(b).count("\n"), 3)

    def test_a_folder_that_is_missing_stops_the_start(self):
        b = self.saving({"vmq_webhooks.persist_file": "/nonexistent/saved"})
        self.has(b.refused(), r"vmq_webhooks\.persist: /nonexistent/saved: "
                 "No such file or directory: choose")

    def test_another_brokers_file_stops_the_start(self):
        first = self.started()
        self.put(first, "on_publish", "http://h/")
        b = self.saving({"vmq_webhooks.persist_file": first.path("saved")})
        self.has(b.refused(), "in use by another broker")
        self.assertEqual(len(self.rows(first)), 1)

    def test_what_cannot_be_saved_is_refused(self):
        b = self.started()
        self.put(b, "on_publish", "http://h/")
        before = self.saved(b)
        # root may write to any folder: something is in the way
        os.mkdir(b.path("saved.new"))
        self.refused(b, "on_register", "http://h/",
                     says="not registered: cannot save it in ")
        self.assertEqual(len(self.rows(b)), 1)
        self.assertEqual(self.saved(b), before)
        b.wait_log("Warning.*did not register hook=on_register|"
                   "did not register hook=on_register.*Is a directory")
        done = b.admin("deregister", "hook=on_publish", "endpoint=http://h/")
        self.assertEqual(done.returncode, 1)
        self.has(done.stderr, "deregistered, but it is back with")
        self.assertEqual(self.rows(b), [])
        os.rmdir(b.path("saved.new"))
        self.put(b, "on_register", "http://h/")
        self.again(b)
        self.assertEqual([r["hook"] for r in self.rows(b)], ["on_register"])

    def test_killed_in_the_middle(self):
        """What was answered with Done is there, whenever the end comes."""
        for rounds in range(3):
            b = self.started()
            done = []
            thread = threading.Thread(target=self.register_on, args=(b, done))
            thread.start()
            b.wait_log("admin: registered", 10 * (rounds + 1), timeout=20)
            b.signal(signal.SIGKILL)
            b.process.wait()
            thread.join()
            b.start()
            there = [r["endpoint"] for r in self.rows(b)]
            self.assertEqual(there[:len(done)], done)
            # one more may have been on its way
            self.assertLessEqual(len(there), len(done) + 1)
            b.stop()

    def register_on(self, b, done):
        """Register until the broker is gone; `done` is what it confirmed."""
        try:
            for i in range(1000):
                url = "http://h/%d" % i
                if b.api("register", [
                        ("hook", "on_publish"), ("endpoint", url),
                        ("--header.A", "x" * 900)]) != (200, DONE):
                    return
                done.append(url)
        except (OSError, http.client.HTTPException):
            pass

    def gated(self, b):
        """Its disk is slow, or fails: see GATE."""
        self.gate = 0
        for i in range(10):
            os.mkfifo(b.path("gate%d" % i))
        subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o",
                        b.path("gate.so")], input=GATE, text=True,
                       check=True)
        b.env.update(LD_PRELOAD=b.path("gate.so"),
                     FSYNC_GATE=b.path("gate"))

    def open_gate(self, b, how):
        """For one fsync(), when it comes."""
        with open(b.path("gate%d" % self.gate), "w") as f:
            f.write(how)
        self.gate += 1

    @unittest.skipIf(os.environ.get("ASAN"), "LD_PRELOAD is the sanitizer's")
    def test_nobody_waits_for_the_disk(self):
        """But who registers: calls go on, and so does the rest."""
        ep = self.endpoint()
        b = self.saving(endpoint_conf(ep.url, ALL))
        self.gated(b)
        b.start()
        self.addCleanup(b.stop)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            b.api("register", [("hook", "on_session_expired"),
                               ("endpoint", "http://h/")], timeout=20)))
        thread.start()
        while not os.path.exists(b.path("saved.new")):
            self.assertTrue(b.alive())
            self.assertEqual(answers, [])
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            c.publish("t", "x", 1)
            ep.wait_for(self.hook("on_publish", v))
        before = len(self.rows(b))
        self.assertEqual(answers, [])
        self.open_gate(b, "g")      # of the file
        self.open_gate(b, "g")      # of its folder
        thread.join()
        self.assertEqual(answers, [(200, DONE)])
        self.assertEqual(len(self.rows(b)), before + 1)

    @unittest.skipIf(os.environ.get("ASAN"), "LD_PRELOAD is the sanitizer's")
    def test_a_disk_that_fails(self):
        """Before or after the file was replaced: nothing is registered."""
        b = self.saving()
        self.gated(b)
        b.start()
        self.addCleanup(b.stop)
        # either is undone, by a store that goes well
        for gates in ("egg", "gegg"):
            before = self.saved(b)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(
                b.admin("register", "hook=on_publish", "endpoint=http://h/")))
            thread.start()
            for gate in gates:
                self.open_gate(b, gate)
            thread.join()
            self.assertEqual(answers[0].returncode, 1)
            self.has(answers[0].stderr, "cannot save it in .*: Input/output")
            self.assertEqual(self.rows(b), [])
            self.assertNotIn("http://h/", self.saved(b))
            self.assertIn(before, self.saved(b))

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b = self.started(endpoint_conf(ep.url, AUTH, "a"))
        c = self.online(b, "c1")
        stall = ep.answers["auth_on_publish"] = Stall(OK)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        self.put(b, "on_publish", "http://h/")
        self.assertEqual(stall.held, 1)
        self.assertIn("http://h/", self.saved(b))
        stall.release()
        c.wait("PUBACK")


class Reload(Registering):
    """What is registered outlives a reload, with what it was given."""

    def test_options_stay(self):
        asked, ep = self.endpoint(name="asked"), self.endpoint()
        conf = endpoint_conf(asked.url, AUTH, "a")
        b = self.broker(
            plugin_lines=["plugin @PLUGIN@",
                          "plugin_opt_vmq_webhooks.admin_socket "
                          "@DIR@/admin.sock",
                          "plugin_opt_config_file @DIR@/hooks.conf"],
            files={"hooks.conf": file_text(conf)})
        self.put(b, "on_publish", ep.url, "--header.X-Key=own",
                 "--retries=7")
        conf["vmq_webhooks.header.X-All"] = "all"
        b.write("hooks.conf", file_text(conf))
        self.assertEqual(b.admin("reload").returncode, 0)
        self.assertEqual(self.shown(b)["on_publish", ep.url],
                         "--retries=7 --header.X-Key=*** "
                         "--header.X-All=***")
        c = self.online(b, "c1")
        c.publish("t", "x", 1)
        r = ep.wait_for("on_publish")
        self.assertEqual((r.header("X-Key"), r.header("X-All")),
                         ("own", "all"))

    def test_a_file_that_is_gone(self):
        """Is as wrong as in the configuration: nothing changes."""
        b = self.broker(files={"secret": SECRET})
        self.put(b, "on_publish", "http://h/",
                 "--secret_file=" + b.path("secret"))
        before = self.rows(b, "--all", "--origin")
        os.remove(b.path("secret"))
        done = b.admin("reload")
        self.assertEqual(done.returncode, 1)
        self.has(done.stderr, "hook=on_publish endpoint=http://h/: "
                 "--secret_file: ")
        self.assertEqual(self.rows(b, "--all", "--origin"), before)
