"""Signed calls: webhook-signature, checked by implementations of others."""

import base64
import json
import os
import re
import subprocess

from endpoint import Drop, OK
from host import ALL, BrokerTest, ROOT, endpoint_conf
from mqtt import time_scale

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
STRANGER = "whsec_Zm9yIG5vYm9keSBhdCBhbGwsIG5vIG5vIG5v"
SIGNING = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
PUBLIC = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
HOOKS = ALL + ("on_auth_m5",)


def as_sent(request, key, body=None):
    """What the verifier is given."""
    return {"key": key,
            "headers": {k.lower(): v for k, v in request.headers},
            "body": base64.b64encode(request.raw if body is None else
                                     body).decode()}


class Signatures(BrokerTest):

    def verify(self, requests):
        """The verdicts of the other implementations."""
        modules = os.path.join(ROOT, "build/node")
        self.assertTrue(os.path.exists(os.path.join(modules, "stamp")),
                        "no npm package standardwebhooks: run scripts/setup")
        done = subprocess.run(
            ["node", os.path.join(os.path.dirname(__file__), "verify.js"),
             modules], input=json.dumps(requests), capture_output=True,
            text=True, timeout=20 * time_scale())
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def valid(self, requests, *keys):
        """All of them are, by each of these keys."""
        self.assertGreater(len(requests), 0)
        checks = [as_sent(r, key) for key in keys for r in requests]
        for r, verdict in zip(requests * len(keys), self.verify(checks)):
            self.assertEqual(verdict, "ok", r)

    def invalid(self, requests, *keys):
        checks = [as_sent(r, key) for key in keys for r in requests]
        for verdict in self.verify(checks):
            self.assertEqual(verdict, "No matching signature found")

    def traffic(self, ep, b):
        """Something of every kind."""
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v, username="\u00fc\u4e16\U0001f600",
                            password="p\u0007\"\\")
            c.subscribe(("t/#", 1))
            c.publish("t/\u00e4", b"\x00\xff" * 500, 1)
            c.publish("t/e", b"", 0)
            ep.wait_for(self.hook("on_publish", v), 2)
            c.disconnect()
        ep.wait_for("on_client_gone", 2)
        return ep.of()

    def test_every_call_is_signed(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {"vmq_webhooks.secret": SECRET})
        requests = self.traffic(ep, b)
        for r in requests:
            self.assertRegex(r.header("webhook-signature"),
                             r"^v1,[A-Za-z0-9+/]{43}=$")
        self.valid(requests, SECRET)
        self.invalid(requests, STRANGER)

    def test_raw_payloads(self):
        """What is signed is what is sent, whatever is in it."""
        ep = self.endpoint()
        b = self.broker(dict(
            endpoint_conf(ep.url, HOOKS, base64encode="off"),
            **{"vmq_webhooks.secret": SECRET}))
        self.valid(self.traffic(ep, b), SECRET)

    def test_the_signature_covers_all_of_it(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {"vmq_webhooks.secret": SECRET})
        self.online(b)
        r = ep.wait_for("auth_on_register")
        changed = [as_sent(r, SECRET, r.raw[:-1] + b" }")]
        for name, value in (
                ("webhook-id", r.header("webhook-id") + "0"),
                ("webhook-timestamp",
                 str(int(r.header("webhook-timestamp")) - 1))):
            one = as_sent(r, SECRET)
            one["headers"][name] = value
            changed.append(one)
        self.assertEqual(self.verify([as_sent(r, SECRET)] + changed),
                         ["ok"] + ["No matching signature found"] * 3)

    def test_rotation(self):
        """Each key has its signature, whoever holds which."""
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {
            "vmq_webhooks.secret": SECRET + " " + NEWER})
        requests = self.traffic(ep, b)
        for r in requests:
            self.assertEqual(len(r.header("webhook-signature").split()), 2)
        self.valid(requests, SECRET, NEWER)
        self.invalid(requests, STRANGER)

    def test_files_and_ed25519(self):
        ep = self.endpoint()
        b = self.broker(dict(endpoint_conf(ep.url, HOOKS), **{
            "vmq_webhooks.secret_file": "@DIR@/secrets",
            "vmq_webhooks.signing_key_file": "@DIR@/key"}),
            files={"secrets": SECRET + "\n" + NEWER + "\n",
                   "key": SIGNING + "\n"})
        requests = self.traffic(ep, b)
        for r in requests:
            self.assertRegex(r.header("webhook-signature"),
                             r"^(v1,\S{44} ){2}v1a,\S{86}==$")
        self.valid(requests, SECRET, NEWER, PUBLIC)

    def test_ed25519_alone(self):
        ep = self.endpoint()
        b = self.broker(dict(endpoint_conf(ep.url, HOOKS), **{
            "vmq_webhooks.signing_key_file": "@DIR@/key"}),
            files={"key": SIGNING})
        requests = self.traffic(ep, b)
        self.valid(requests, PUBLIC)
        self.invalid(requests, SECRET)

    def test_the_same_at_each_attempt(self):
        ep = self.endpoint()
        ep.answers["on_register"] = [(503, {"Retry-After": "0"}, ""), {}]
        b = self.hooked(ep, HOOKS, {"vmq_webhooks.secret": SECRET,
                                    "vmq_webhooks.trace": "on"})
        self.online(b)
        ep.wait_for("on_register", 2, timeout=10)
        first, second = ep.of("on_register")[:2]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature",
                     "traceparent"):
            self.assertEqual(first.header(name), second.header(name), name)
        self.assertEqual(first.raw, second.raw)
        self.valid([first, second], SECRET)

    def test_one_webhook_of_many(self):
        """Its own keys; and nothing for who has none."""
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, HOOKS, "a", secret=NEWER)
        conf.update(endpoint_conf(other.url, HOOKS, "b"))
        b = self.broker(conf)
        ep.answers["auth_on_register"] = {"result": "next"}
        self.online(b)
        self.valid([ep.wait_for("auth_on_register")], NEWER)
        other.wait_for("auth_on_register")
        other.wait_for("on_register")
        for r in other.of():
            self.assertIsNone(r.header("webhook-signature"))

    def test_registered_at_run_time(self):
        ep, late = self.endpoint(), self.endpoint()
        b = self.hooked(ep, HOOKS, {"vmq_webhooks.secret": SECRET})
        status, _ = b.api("register", [("hook", "on_publish"),
                                       ("endpoint", late.url)])
        self.assertEqual(status, 200)
        self.online(b).publish("t", "x", 1)
        self.valid([late.wait_for("on_publish")], SECRET)

    def test_nothing_without_a_key(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        for r in self.traffic(ep, b):
            self.assertIsNone(r.header("webhook-signature"))

    # -- secrecy ----------------------------------------------------------

    def test_nobody_repeats_a_secret(self):
        """Neither the log, whatever goes wrong, nor the admin socket, nor
        the process list."""
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {
            "vmq_webhooks.secret": SECRET,
            "vmq_webhooks.header.X-Key": "an-api-key"})
        ep.answers["on_register"] = Drop()
        ep.answers["auth_on_publish"] = [(500, {}, ""), (404, {}, ""), "no",
                                         Drop(), OK]
        c = self.online(b)
        for i in range(5):
            c.publish("t", str(i), 1)
        ep.wait_for("on_publish")
        seen = b.log() + b.admin("show", "--origin").stdout
        seen += str(b.api("show", [("--origin", None)]))
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (b.pid, name), errors="replace") as f:
                seen += f.read()
        for secret in (SECRET, SECRET[6:], "an-api-key", "v1,"):
            self.assertNotIn(secret, seen)

    def test_what_is_no_secret_stops_the_start(self):
        url = "http://127.0.0.1:1/"
        for key, value in (("secret", SECRET[:-4]), ("secret", SIGNING),
                           ("secret_file", "/dev/null"),
                           ("secret_file", "@DIR@/none"),
                           ("signing_key_file", "@DIR@/key")):
            b = self.unstarted(dict(endpoint_conf(url, HOOKS[:1]), **{
                "vmq_webhooks." + key: value}), files={"key": SECRET})
            log = b.refused()
            self.has(log, "plugin_opt_vmq_webhooks." + key)
            self.assertNotIn(SECRET[6:-4], log)
            self.assertNotIn(SIGNING[5:], log)


class Documented(BrokerTest):
    """The example of docs/protocol.md, run as it stands."""

    def test_the_example(self):
        with open(os.path.join(ROOT, "docs/protocol.md")) as f:
            blocks = re.findall(r"^```python\n(.*?)^```$", f.read(),
                                re.M | re.S)
        self.assertEqual(len(blocks), 1)
        names = {}
        exec(blocks[0], names)
        verify = names["verify"]
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS, {
            "vmq_webhooks.secret": SECRET + " " + NEWER})
        self.online(b)
        r = ep.wait_for("auth_on_register")
        headers = dict(r.headers)
        for secret in (SECRET, NEWER):
            self.assertTrue(verify(secret, headers, r.raw))
        self.assertFalse(verify(STRANGER, headers, r.raw))
        self.assertFalse(verify(SECRET, headers, r.raw + b" "))
        early = int(headers["webhook-timestamp"]) - 301
        self.assertFalse(verify(SECRET, headers, r.raw, now=early))
        self.assertFalse(verify(SECRET, headers, r.raw, now=early + 602))
        self.assertFalse(verify(SECRET, {}, r.raw))
