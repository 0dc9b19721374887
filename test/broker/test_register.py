"""Logins: auth_on_register and auth_on_register_m5."""

import base64
import json

from endpoint import DENY, NEXT, OK, Drop, Raw, Reset, Stall, ok
from host import ALL, AUTH, STEADY, BrokerTest, endpoint_conf, file_text

REFUSED = {3: 5, 4: 5, 5: 0x87}
VERSIONS = (3, 4, 5)

# Replies that are no answer to a question, or not one that we may follow.
MALFORMED = [
    b"", b" ", b"ok", b"[]", b'"ok"', b"1", b"null", b"{}",
    b'{"result":null}', b'{"result":true}', b'{"result":1}',
    b'{"result":"OK"}', b'{"result":"error"}', b'{"Result":"ok"}',
    b'{"result":"ok"', b'{"result":"ok"} x', b"{'result':'ok'}",
    b'{"result":"ok",}', b'{"result":"ok"}\x00',
    b'{"result":"ok","modifiers":"x"}', b'{"result":"ok","modifiers":1}',
    b'{"result":"ok","modifiers":[{"username":"x"}]}',
    b'{"result":"ok","modifiers":{"bogus":1}}',
    b'{"result":"ok","modifiers":{"username":42}}',
    b'{"result":"ok","modifiers":{"username":null}}',
    b'{"result":"ok","modifiers":{"username":"a\\u0000b"}}',
    b'{"result":"ok","modifiers":{"client_id":"x"}}',
    b'{"result":"ok","modifiers":{"topic":"x"}}',
    b'{"result":"ok","modifiers":{"username":"\xff"}}',
    b"[" * 1000 + b"]" * 1000,
]


class Register(BrokerTest):

    def refusal(self, broker, client_id="c", version=4, username="u",
                password="p"):
        """Connect, be refused with the proper code, and be closed."""
        c = self.client(broker, client_id, version)
        c.connect(username, password, rc=REFUSED[version])
        c.expect_closed()

    def asked(self, ep, version, n=1):
        return ep.wait_for(self.hook("auth_on_register", version), n)

    def test_accepted(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            ack = c.connect("joe", "secret")
            self.assertEqual(ack["session_present"], 0)
            c.quiet()

    def test_request(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            self.online(b, "c%d" % v, v, "joe", "secret")
            r = [x for x in ep.of(self.hook("auth_on_register", v))
                 if x["client_id"] == "c%d" % v][0]
            want = {"peer_addr": "127.0.0.1", "peer_port": 0,
                    "mountpoint": "", "client_id": "c%d" % v,
                    "username": "joe", "password": "secret"}
            if v == 5:
                want.update(clean_start=True, properties={})
            else:
                want.update(clean_session=True)
            self.assertEqual(r.body, want)
            self.assertEqual(list(r.body), list(want))
            self.assertEqual(r.method, "POST")
            self.assertEqual(r.path, ep.path)

    def test_request_is_compact(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "c1")
        r = self.asked(ep, 4)
        self.assertEqual(r.raw.decode(),
                         json.dumps(r.body, separators=(",", ":")))

    def test_request_headers(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            self.online(b, "c%d" % v, v)
        for r in list(ep.requests):
            names = [k.lower() for k, _ in r.headers]
            self.assertEqual(len(names), len(set(names)), names)
            told = {"webhook-sequence"} if r.hook not in AUTH else set()
            self.assertEqual(set(names) - {"user-agent"},
                             {"content-type", "vernemq-hook", "host",
                              "content-length", "webhook-id",
                              "webhook-timestamp", "webhook-epoch"} | told)
            self.assertEqual(r.header("content-type"), "application/json")
            self.assertEqual(r.header("host"), "127.0.0.1:%d" % ep.port)
            self.assertEqual(r.header("content-length"), str(len(r.raw)))
            self.assertIn(r.hook, ALL)

    def test_request_without_credentials(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect()
            r = [x for x in ep.of(self.hook("auth_on_register", v))
                 if x["client_id"] == "c%d" % v][0]
            self.assertIsNone(r["username"])
            self.assertIsNone(r["password"])

    def test_request_username_without_password(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.client(b, "c1").connect("joe")
        r = self.asked(ep, 4)
        self.assertEqual((r["username"], r["password"]), ("joe", None))

    def test_request_empty_credentials(self):
        """The host does not tell them from absent ones."""
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            self.client(b, "c%d" % v, v).connect("", "")
            r = ep.wait_for(self.hook("auth_on_register", v),
                            client_id="c%d" % v)
            self.assertEqual((r["username"], r["password"]), (None, None))

    def test_request_persistent(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in VERSIONS:
            self.online(b, "c%d" % v, v, clean=False)
        for r in ep.of("auth_on_register"):
            self.assertIs(r["clean_session"], False)
        self.assertIs(ep.of("auth_on_register_m5")[0]["clean_start"], False)

    def test_request_text(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        user = "j\u00f6rg/\"\\ \U0001f600\u2028"
        self.client(b, "c\u00e9").connect(user, b"p\xffw\t")
        r = self.asked(ep, 4)
        self.assertEqual(r["client_id"], "c\u00e9")
        self.assertEqual(r["username"], user)
        self.assertEqual(r["password"], "p\ufffdw\t")

    def test_request_generated_client_id(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.client(b, "", 4).connect("u", "p")
        self.assertTrue(self.asked(ep, 4)["client_id"])
        c = self.client(b, "", 5)
        given = c.connect("u", "p")["properties"]["p_assigned_client_id"]
        self.assertEqual(self.asked(ep, 5)["client_id"], given)
        self.assertEqual(ep.wait_for("on_register_m5")["client_id"], given)

    def test_endpoint_url(self):
        ep = self.endpoint(path="/a/b?x=1&y=%20z==")
        b = self.hooked(ep)
        self.online(b)
        self.assertEqual(self.asked(ep, 4).path, "/a/b?x=1&y=%20z==")

    def test_endpoint_url_without_path(self):
        ep = self.endpoint(path="")
        b = self.hooked(ep)
        self.online(b)
        self.assertEqual(self.asked(ep, 4).path, "/")

    def test_endpoint_url_without_scheme(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url[len("http://"):]))
        self.online(b)
        self.assertEqual(self.asked(ep, 4).path, "/hook")

    def test_endpoint_url_with_userinfo(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(
            ep.url.replace("http://", "http://me:pa%20ss@")))
        self.online(b)
        r = self.asked(ep, 4)
        self.assertEqual(r.header("authorization"), "Basic " +
                         base64.b64encode(b"me:pa ss").decode())
        self.assertEqual(r.path, "/hook")

    def test_error_is_refused(self):
        for answer in (DENY, {"result": {}}, {"result": []},
                       {"result": {"error": {"reason_code": 0}}},
                       {"result": {"error": "invalid_credentials"}},
                       {"result": {"error": None}}):
            ep = self.endpoint()
            ep.answers["*"] = answer
            b = self.hooked(ep)
            for v in VERSIONS:
                with self.subTest(answer=answer, version=v):
                    self.refusal(b, "c%d" % v, v)

    def test_error_text_goes_to_the_log(self):
        ep = self.endpoint()
        ep.answers["auth_on_register"] = {
            "result": {"error": "no_such_customer"}}
        b = self.hooked(ep)
        self.refusal(b)
        b.wait_log("no_such_customer")

    def test_next_is_refused(self):
        ep = self.endpoint()
        ep.answers["*"] = NEXT
        b = self.hooked(ep)
        for v in VERSIONS:
            self.refusal(b, "c%d" % v, v)

    def test_next_ignores_modifiers(self):
        ep = self.endpoint(auth_on_register={
            "result": "next", "modifiers": {"bogus": 1}})
        b = self.hooked(ep)
        self.refusal(b)

    def test_no_endpoint_denies(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("on_register", "on_register_m5"))
        for v in VERSIONS:
            self.refusal(b, "c%d" % v, v)
        b.wait_log(r"auth_on_register\b(?!_m5)")
        b.wait_log("auth_on_register_m5")
        self.assertEqual(ep.requests, [])

    def test_protocols_have_hooks_of_their_own(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register",))
        self.online(b, "c3", 3)
        self.online(b, "c4", 4)
        self.refusal(b, "c5", 5)
        self.assertEqual(ep.hooks(), ["auth_on_register"] * 2)

    def test_anonymous_clients_are_asked_for(self):
        ep = self.endpoint()
        b = self.hooked(ep, anonymous=True)
        self.client(b, "c1").connect()
        ep.answers["auth_on_register"] = DENY
        self.refusal(b, "c2", 4, None, None)
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_malformed_is_refused(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for i, body in enumerate(MALFORMED):
            with self.subTest(body=body[:60]):
                ep.answers["auth_on_register"] = body
                self.refusal(b, "c%d" % i)
        ep.answers["auth_on_register"] = MALFORMED[0]
        ep.answers["auth_on_register_m5"] = MALFORMED[0]
        for v in VERSIONS:
            self.refusal(b, "v%d" % v, v)
        self.assertEqual(ep.count("on_register"), 0)

    def test_malformed_is_logged(self):
        ep = self.endpoint(auth_on_register=b'{"result":"maybe"}')
        b = self.hooked(ep)
        self.refusal(b)
        self.has("\n".join(b.lines_with("auth_on_register")),
                 str(ep.port), "result|maybe")

    def test_empty_modifiers_mean_none(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for i, modifiers in enumerate(({}, [], None)):
            ep.answers["auth_on_register"] = {"result": "ok",
                                              "modifiers": modifiers}
            self.online(b, "c%d" % i)

    def test_byte_order_mark_is_tolerated(self):
        ep = self.endpoint(auth_on_register=b'\xef\xbb\xbf{"result":"ok"}')
        self.online(self.hooked(ep))

    def test_content_type_is_ignored(self):
        ep = self.endpoint(auth_on_register=(
            200, {"Content-Type": "text/plain"}, OK))
        self.online(self.hooked(ep))

    def test_other_status_is_refused(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for status in (201, 202, 204, 206, 301, 302, 304, 400, 401, 403,
                       404, 418, 429, 500, 502, 503, 504):
            with self.subTest(status=status):
                body = b"" if status in (204, 304) else OK
                ep.answers["auth_on_register"] = status, {}, body
                self.refusal(b, "c%d" % status)
        ep.answers["auth_on_register_m5"] = 404, {}, OK
        self.refusal(b, "v5", 5)
        ep.answers.clear()
        self.online(b, "last")

    def test_redirect_is_not_followed(self):
        other = self.endpoint()
        ep = self.endpoint()
        b = self.hooked(ep)
        for status in (301, 302, 303, 307, 308):
            ep.answers["auth_on_register"] = (
                status, {"Location": other.url}, OK)
            self.refusal(b, "c%d" % status)
        self.assertEqual(other.accepted, 0)

    def test_transport_errors_are_refused(self):
        ep = self.endpoint()
        b = self.hooked(ep, conf=STEADY)
        for i, answer in enumerate((
                Drop(), Reset(), Raw(b"garbage\r\n\r\n", close=True),
                Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
                    b'{"result":"ok"}', close=True),
                Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b'F\r\n{"result":"ok"}\r\n', close=True),
                Raw(b"", close=True))):
            with self.subTest(answer=i):
                ep.answers["auth_on_register"] = answer
                self.refusal(b, "c%d" % i)
        self.assertEqual(ep.count("auth_on_register"), i + 1)
        ep.answers.clear()
        self.online(b, "last")

    def test_endpoint_down(self):
        url = self.nobody()
        b = self.broker(endpoint_conf(url))
        for v in VERSIONS:
            self.refusal(b, "c%d" % v, v)
        self.has("\n".join(b.lines_with("auth_on_register")),
                 url.rstrip("/"))

    def test_endpoint_comes_back(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "c1")
        ep.stop()
        self.refusal(b, "c2")
        ep.start()
        self.online(b, "c3")

    def test_endpoint_closed_the_idle_connection(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register",))
        for i in range(5):
            c = self.client(b, "c%d" % i)
            c.connect("u", "p")
            ep.stop()
            ep.start()
        self.assertEqual(ep.count("auth_on_register"), 5)

    def test_username_modifier(self):
        ep = self.endpoint(auth_on_register=ok(username="jane"),
                           auth_on_register_m5=ok(username="jane"))
        b = self.hooked(ep)
        for v in VERSIONS:
            c = self.online(b, "c%d" % v, v, "joe")
            c.subscribe("t/#")
            c.publish("t/x", "hello", 1)
            c.unsubscribe("t/#")
            for hook in ("on_register", "auth_on_subscribe", "on_subscribe",
                         "auth_on_publish", "on_publish", "on_unsubscribe"):
                r = ep.wait_for(self.hook(hook, v), client_id="c%d" % v)
                self.assertEqual(r["username"], "jane", r)

    def test_username_modifier_longer_and_odd(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for i, name in enumerate(("x" * 300, "\u00e9\U0001f600", "j", "")):
            ep.answers["auth_on_register"] = ok(username=name)
            c = self.online(b, "c%d" % i, username="joe")
            c.publish("t", "x", 1)
            r = ep.wait_for("on_publish", client_id="c%d" % i)
            self.assertEqual(r["username"], name)

    def test_username_modifier_ignored_without_username(self):
        ep = self.endpoint(auth_on_register=ok(username="jane"),
                           auth_on_register_m5=ok(username="jane"))
        b = self.hooked(ep)
        for v in VERSIONS:
            c = self.client(b, "c%d" % v, v)
            c.connect()
            c.publish("t/x", "hello", 1)
            for hook in ("on_register", "auth_on_publish", "on_publish"):
                r = ep.wait_for(self.hook(hook, v), client_id="c%d" % v)
                self.assertIsNone(r["username"], r)

    def test_password_is_never_logged(self):
        ep = self.endpoint()
        b = self.hooked(ep, conf={"vmq_webhooks.hook00.response_timeout":
                                  self.ms(200)})
        answers = [OK, DENY, b"nonsense", (500, {}, OK), Drop(),
                   ok(bogus=1), Stall()]
        for i, answer in enumerate(answers):
            ep.answers["auth_on_register"] = answer
            c = self.client(b, "c%d" % i)
            c.connect("u", "sesame-in-clear", rc=None)
        self.assertEqual(ep.count("auth_on_register"), len(answers))
        self.assertNotIn("sesame", b.log())
        self.assertEqual(ep.requests[0]["password"], "sesame-in-clear")


class RegisterChain(BrokerTest):

    def chain(self, *answers):
        """A broker with one endpoint for each answer, asked in order."""
        eps, conf = [], {}
        for i, answer in enumerate(answers):
            ep = self.endpoint(name="endpoint %d" % i)
            ep.answers["*"] = answer
            eps.append(ep)
            conf.update(endpoint_conf(
                ep.url, ("auth_on_register", "auth_on_register_m5"),
                prefix="chain%d" % i))
        return self.broker(conf), eps

    def counts(self, eps):
        return [ep.count() for ep in eps]

    def attempt(self, b, version=4):
        c = self.client(b, "c%d" % version, version)
        return c.connect("u", "p", rc=None)["rc"]

    def test_next_asks_the_next(self):
        b, eps = self.chain(NEXT, NEXT, OK)
        for v in VERSIONS:
            self.assertEqual(self.attempt(b, v), 0)
        self.assertEqual(self.counts(eps), [3, 3, 3])
        times = [ep.requests[0].time for ep in eps]
        self.assertEqual(times, sorted(times))

    def test_ok_ends_the_chain(self):
        b, eps = self.chain(OK, DENY)
        self.assertEqual(self.attempt(b), 0)
        self.assertEqual(self.counts(eps), [1, 0])

    def test_error_ends_the_chain(self):
        b, eps = self.chain(NEXT, DENY, OK)
        for v in VERSIONS:
            self.assertEqual(self.attempt(b, v), REFUSED[v])
        self.assertEqual(self.counts(eps), [3, 3, 0])

    def test_failure_ends_the_chain(self):
        b, eps = self.chain((500, {}, OK), OK)
        self.assertEqual(self.attempt(b), 5)
        self.assertEqual(self.counts(eps), [1, 0])

    def test_malformed_ends_the_chain(self):
        b, eps = self.chain(b"{}", OK)
        self.assertEqual(self.attempt(b), 5)
        self.assertEqual(self.counts(eps), [1, 0])

    def test_dead_endpoint_ends_the_chain(self):
        ep = self.endpoint()
        conf = endpoint_conf(self.nobody(), ("auth_on_register",), "a")
        conf.update(endpoint_conf(ep.url, ("auth_on_register",), "b"))
        b = self.broker(conf)
        self.assertEqual(self.attempt(b), 5)
        self.assertEqual(ep.count(), 0)

    def test_all_next_is_refused(self):
        b, eps = self.chain(NEXT, NEXT)
        for v in VERSIONS:
            self.assertEqual(self.attempt(b, v), REFUSED[v])
        self.assertEqual(self.counts(eps), [3, 3])

    def test_later_endpoint_sees_the_original(self):
        b, eps = self.chain({"result": "next",
                             "modifiers": {"username": "x"}}, OK)
        self.attempt(b)
        self.assertEqual(eps[1].requests[0]["username"], "u")

    def test_order_is_that_of_the_names(self):
        first, second = self.endpoint(), self.endpoint()
        first.answers["*"] = NEXT
        conf = {
            "vmq_webhooks.webhook2.hook": "auth_on_register",
            "vmq_webhooks.webhook2.endpoint": second.url,
            "vmq_webhooks.webhook10.hook": "auth_on_register",
            "vmq_webhooks.webhook10.endpoint": first.url,
        }
        b = self.broker(plugin_lines=[
            "plugin @PLUGIN@", "plugin_opt_config_file @DIR@/hooks.conf",
            "plugin_opt_vmq_webhooks.admin_socket @DIR@/admin.sock"],
            files={"hooks.conf": file_text(conf)})
        self.assertEqual(self.attempt(b), 0)
        self.assertEqual((first.count(), second.count()), (1, 1))
        self.assertLess(first.requests[0].time, second.requests[0].time)
