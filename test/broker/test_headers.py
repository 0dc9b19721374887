"""Headers of the operator's, traceparent, and credentials in URLs."""

import base64

from endpoint import DENY, NEXT, OK, Drop, Raw, Reset, Stall
from host import ALL, BrokerTest, endpoint_conf

LOGIN = ("auth_on_register", "auth_on_register_m5", "on_register",
         "on_register_m5")
OWN = {"vernemq-hook", "webhook-id", "webhook-timestamp", "webhook-epoch",
       "webhook-sequence"}
HTTP = {"host", "user-agent", "content-type", "content-length"}


def names(request):
    return [name.lower() for name, _ in request.headers]


class Headers(BrokerTest):

    def test_nothing_more_without_keys(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        for v in (4, 5):
            c = self.online(b, "c%d" % v, v)
            c.subscribe("t")
            c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5")
        ep.wait_for("on_publish")
        for r in ep.of():
            self.assertLessEqual(set(names(r)), OWN | HTTP, r.headers)
            if "register" in r.hook and r.hook.startswith("auth"):
                for member in ("listener_addr", "listener_port",
                               "listener_type", "client_cert"):
                    self.assertNotIn(member, r.body)

    def test_of_one_webhook_and_of_all(self):
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, LOGIN, "a", **{
            "header.Authorization": "Bearer own",
            "header_file.X-File": "@DIR@/value"})
        conf.update(endpoint_conf(other.url, LOGIN, "b"))
        conf.update({"vmq_webhooks.header.X-All": "a=b; c:d, 'e' #f",
                     "vmq_webhooks.header.authorization": "Basic all"})
        b = self.broker(conf, files={"value": "from a file\n"})
        ep.answers["auth_on_register"] = NEXT
        self.online(b)
        for hook in ("auth_on_register", "on_register"):
            r = ep.wait_for(hook)
            self.assertEqual(r.header("Authorization"), "Bearer own")
            self.assertEqual(r.header("X-File"), "from a file")
            self.assertEqual(r.header("X-All"), "a=b; c:d, 'e' #f")
            r = other.wait_for(hook)
            self.assertEqual(r.header("Authorization"), "Basic all")
            self.assertIsNone(r.header("X-File"))
            self.assertEqual(r.header("X-All"), "a=b; c:d, 'e' #f")
        for r in ep.of() + other.of():
            self.assertEqual(len(names(r)), len(set(names(r))), r.headers)

    def test_those_of_libcurl_may_be_replaced(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url, LOGIN, **{
            "header.Host": "inner.example", "header.User-Agent": "fleet/1",
            "header.Accept": "application/json"}))
        self.online(b)
        r = ep.wait_for("auth_on_register")
        for name, value in (("host", "inner.example"),
                            ("user-agent", "fleet/1"),
                            ("accept", "application/json")):
            self.assertEqual([v for n, v in r.headers if n.lower() == name],
                             [value])

    def test_as_many_as_there_may_be(self):
        """With all of ours on top."""
        ep = self.endpoint()
        conf = {"header.X-%d" % i: "v" * 370 for i in range(16)}
        b = self.broker(endpoint_conf(
            ep.url, LOGIN, trace="on",
            secret=" ".join(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] * 8),
            **conf))
        self.online(b)
        r = ep.wait_for("on_register")
        for i in range(16):
            self.assertEqual(r.header("X-%d" % i), "v" * 370)
        for name in OWN | {"webhook-signature", "traceparent"}:
            self.assertTrue(r.header(name), name)

    def test_what_could_inject_stops_the_start(self):
        for key, file in (("header.Content-Length", None),
                          ("header.webhook-id", None),
                          ("header.Transfer-Encoding", None),
                          ("header.a:b", None),
                          ("header_file.X", "s3cret\nX-More: 1\n"),
                          ("header_file.X", "s3cret\r\nX-More: 1")):
            b = self.unstarted(endpoint_conf(
                "http://127.0.0.1:1/", LOGIN[:1],
                **{key: "@DIR@/f" if file else "s3cret"}),
                files={"f": file or ""})
            log = b.refused()
            self.has(log, "vmq_webhooks: plugin_opt_vmq_webhooks.*" + key)
            self.assertNotIn("s3cret", log)


class Trace(BrokerTest):

    def test_one_event_one_trace(self):
        first, second = self.endpoint(), self.endpoint()
        conf = endpoint_conf(first.url, ALL, "a")
        conf.update(endpoint_conf(second.url, ALL, "b"))
        conf["vmq_webhooks.trace"] = "on"
        b = self.broker(conf)
        for hook in ("auth_on_register", "auth_on_publish"):
            first.answers[hook] = NEXT
        c = self.online(b)
        c.publish("t", "x", 1)
        traces, parents = set(), set()
        for hook in ("auth_on_register", "auth_on_publish", "on_register",
                     "on_publish"):
            one = first.wait_for(hook).header("traceparent")
            two = second.wait_for(hook).header("traceparent")
            for value in (one, two):
                self.assertRegex(value, "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
                self.assertNotRegex(value, "-0{16,}-")
                parents.add(value[36:52])
            self.assertEqual(one[:36], two[:36])
            traces.add(one[:36])
        self.assertEqual(len(traces), 4)
        self.assertEqual(len(parents), 8)


class InUrls(BrokerTest):
    """http://user:password@host/: sent as Basic, and shown to nobody."""

    USER, PASSWORD = "hook-user", "p%40ss-w0rd"
    BASIC = "Basic " + base64.b64encode(b"hook-user:p@ss-w0rd").decode()

    def url(self, ep):
        return ep.url.replace("//", "//%s:%s@" % (self.USER, self.PASSWORD))

    def unseen(self, text):
        for secret in (self.USER, self.PASSWORD, "p@ss-w0rd",
                       self.BASIC[6:]):
            self.assertNotIn(secret, text)

    def test_works(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(self.url(ep), LOGIN))
        self.online(b)
        for hook in ("auth_on_register", "on_register"):
            self.assertEqual(ep.wait_for(hook).header("Authorization"),
                             self.BASIC)
        self.unseen(b.log())

    def test_a_header_goes_before_it(self):
        ep = self.endpoint()
        b = self.broker(endpoint_conf(self.url(ep), LOGIN, **{
            "header.Authorization": "Bearer t"}))
        self.online(b)
        r = ep.wait_for("auth_on_register")
        self.assertEqual([v for n, v in r.headers
                          if n.lower() == "authorization"], ["Bearer t"])

    def test_no_line_shows_it(self):
        """Whatever goes wrong."""
        ep = self.endpoint()
        conf = endpoint_conf(self.url(ep), ALL, response_timeout=self.ms(500))
        conf.update({"vmq_webhooks.breaker_failures": 3})
        b = self.broker(conf)
        c = self.online(b)
        stall = Stall()
        for answer in (DENY, "no", (404, {}, ""), (500, {}, ""),
                       (302, {"Location": self.url(ep)}, ""), Drop(),
                       Reset(), Raw(b"nonsense\r\n\r\n", close=True),
                       {"result": "ok", "modifiers": {"no": 1}},
                       {"result": "ok", "modifiers": {"throttle": 1}},
                       (200, {"Cache-Control": "max-age=5"},
                        {"result": "ok", "modifiers": {"payload": "aGk="}}),
                       stall):
            ep.answers["auth_on_publish"] = answer
            ep.answers["on_publish"] = answer
            c.publish("t/%s" % id(answer), "x", 1)
        stall.release()
        ep.stop()
        c.publish("t/down", "x", 1)
        b.wait_log("auth_on_publish: .*http://\\*\\*\\*@")
        c.disconnect()
        b.stop()
        self.assertGreater(b.log_count(r"\*\*\*@127"), 3)
        self.unseen(b.log())

    def test_a_name_that_does_not_exist(self):
        b = self.broker(endpoint_conf(
            "http://%s:%s@no.such.name.invalid/" %
            (self.USER, self.PASSWORD), LOGIN))
        self.client(b).connect("u", "p", rc=5)
        b.wait_log(r"http://\*\*\*@no.such")
        self.unseen(b.log())

    def test_a_url_that_is_none(self):
        for url in ("ftp://%s:%s@h/", "http://%s:%s@/", "http://%s:%s@h:x/"):
            b = self.unstarted(endpoint_conf(url % (
                self.USER, self.PASSWORD), LOGIN[:1]))
            log = b.refused()
            self.has(log, "endpoint")
            self.unseen(log)

    def test_the_same_twice(self):
        ep = self.endpoint()
        conf = endpoint_conf(self.url(ep), LOGIN[:1], "a")
        conf.update(endpoint_conf(self.url(ep), LOGIN[:1], "b"))
        self.unseen(self.unstarted(conf).refused())
