"""The admin socket and vmq-admin."""

import json
import os
import re
import socket
import stat
import threading
import time

from endpoint import DENY, OK, Stall
from host import ALL, BrokerTest, endpoint_conf

DEFAULT = "/run/mosquitto/vmq_webhooks.sock"
DONE = {"text": "Done", "type": "text"}


class Socket(BrokerTest):

    def test_mode(self):
        b = self.broker()
        mode = os.stat(b.socket).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o660)

    def test_mode_whatever_the_umask(self):
        old = os.umask(0o077)
        try:
            b = self.broker()
        finally:
            os.umask(old)
        self.assertEqual(stat.S_IMODE(os.stat(b.socket).st_mode), 0o660)

    def test_removed_at_the_end(self):
        b = self.broker()
        b.stop()
        self.assertFalse(os.path.exists(b.socket))

    def test_live_socket_is_never_replaced(self):
        first = self.broker()
        inode = os.stat(first.socket).st_ino
        second = self.unstarted({"vmq_webhooks.admin_socket": first.socket})
        log = second.refused()
        self.has(log, re.escape(first.socket))
        self.assertEqual(os.stat(first.socket).st_ino, inode)
        self.assertEqual(first.api("show")[0], 200)

    def test_stale_socket_is_replaced(self):
        b = self.unstarted()
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(b.socket)
        b.start()
        self.assertEqual(b.api("show")[0], 200)
        b.stop()

    def test_stale_socket_of_a_killed_broker(self):
        first = self.unstarted()
        first.start()
        first.process.kill()
        first.process.wait()
        self.assertTrue(os.path.exists(first.socket))
        b = self.broker({"vmq_webhooks.admin_socket": first.socket})
        b.socket = first.socket
        self.assertEqual(b.api("show")[0], 200)

    def test_other_files_are_left_alone(self):
        b = self.unstarted()
        b.write("admin.sock", "precious")
        log = b.refused()
        self.has(log, re.escape(b.socket))
        with open(b.socket) as f:
            self.assertEqual(f.read(), "precious")

    def test_impossible_path_stops_the_start(self):
        for path in ("/nonexistent/folder/x.sock", "/tmp/" + "x" * 200):
            b = self.unstarted({"vmq_webhooks.admin_socket": path})
            self.has(b.refused(), r"vmq_webhooks\.admin_socket",
                     "/nonexistent/folder/x.sock|107")

    def test_default_path_only_warns(self):
        """Its folder is missing, or somebody else holds the socket."""
        busy = None
        if os.path.isdir(os.path.dirname(DEFAULT)):
            busy = socket.socket(socket.AF_UNIX)
            self.addCleanup(busy.close)
            if not os.path.exists(DEFAULT):
                self.addCleanup(lambda: os.path.exists(DEFAULT) and
                                os.unlink(DEFAULT))
                busy.bind(DEFAULT)
                busy.listen(8)
        ep = self.endpoint()
        b = self.broker(endpoint_conf(ep.url), admin_socket=False)
        b.wait_log(re.escape(DEFAULT))
        self.online(b, "c1")


class Api(BrokerTest):

    def register(self, b, hook, endpoint, *more):
        return b.api("register", [("hook", hook), ("endpoint", endpoint)]
                     + list(more))

    def rows(self, b):
        status, body = b.api("show")
        self.assertEqual((status, body["type"]), (200, "table"))
        return body["table"]

    def test_empty(self):
        b = self.broker()
        status, headers, body = b.http("/api/v1/webhooks/show")
        self.assertEqual(status, 200)
        headers = {k.lower(): v for k, v in headers.items()}
        self.assertEqual(headers["content-type"].split(";")[0],
                         "application/json")
        self.assertEqual(json.loads(body), {"table": [], "type": "table"})

    def test_show(self):
        url = "http://127.0.0.1:1/hook?a=b==&c=d="
        conf = endpoint_conf(url, ("auth_on_register", "on_publish"))
        conf.update(endpoint_conf("http://127.0.0.1:1/2", ("on_publish",),
                                  "later", response_timeout=100,
                                  base64encode="off"))
        b = self.broker(conf)
        got = [(r["hook"], r["endpoint"], r["base64payload"],
                r["response_timeout"]) for r in self.rows(b)]
        self.assertEqual(got, [
            ("on_publish", url, True, 5000),
            ("on_publish", "http://127.0.0.1:1/2", False, 100),
            ("auth_on_register", url, True, 5000)])

    def test_head(self):
        b = self.broker()
        status, headers, body = b.http("/api/v1/webhooks/show", "HEAD")
        self.assertEqual((status, body), (200, b""))

    def test_other_methods(self):
        b = self.broker()
        for method in ("PUT", "DELETE"):
            status, _, _ = b.http("/api/v1/webhooks/show", method)
            self.assertEqual(status, 405)

    def test_unknown(self):
        b = self.broker()
        for path in ("/api/v1/webhooks/bogus", "/api/v1/webhooks",
                     "/api/v1/webhooks/cache", "/", "/etc/passwd",
                     "/api/v1/webhooks/show/more",
                     "/api/v1/webhooks/../webhooks/bogus"):
            status, _, _ = b.http(path)
            self.assertIn(status, (400, 404), path)
        self.assertEqual(b.api("show")[0], 200)

    def test_register_takes_effect_at_once(self):
        ep = self.endpoint()
        b = self.broker()
        c = self.client(b, "c1")
        c.connect("u", "p", rc=5)
        self.assertEqual(self.register(b, "auth_on_register", ep.url),
                         (200, DONE))
        self.online(b, "c1")
        self.assertEqual(ep.count("auth_on_register"), 1)
        row = self.rows(b)[0]
        self.assertEqual((row["hook"], row["endpoint"],
                          row["base64payload"], row["response_timeout"]),
                         ("auth_on_register", ep.url, True, 5000))

    def test_register_on_every_hook(self):
        ep = self.endpoint()
        b = self.broker()
        for hook in ALL:
            self.assertEqual(self.register(b, hook, ep.url), (200, DONE))
        self.assertEqual([r["hook"] for r in self.rows(b)],
                         sorted(ALL, reverse=True))
        c = self.online(b, "c1")
        c.subscribe("t")
        c.publish("t", "x", 1)
        c.message("t")
        ep.wait_for("on_publish")

    def test_register_flags(self):
        ep = self.endpoint()
        b = self.hooked(ep, [h for h in ALL if h != "auth_on_publish"])
        self.assertEqual(self.register(
            b, "auth_on_publish", ep.url, ("--base64payload", "false"),
            ("--response_timeout", "1234")), (200, DONE))
        row = [r for r in self.rows(b) if r["hook"] == "auth_on_publish"][0]
        self.assertEqual((row["base64payload"], row["response_timeout"]),
                         (False, 1234))
        c = self.online(b, "c1")
        c.publish("t", "plain", 1)
        self.assertEqual(ep.wait_for("auth_on_publish")["payload"], "plain")

    def test_register_no_payload(self):
        ep = self.endpoint()
        b = self.hooked(ep, [h for h in ALL if h != "auth_on_publish"])
        self.register(b, "auth_on_publish", ep.url, ("--no_payload", "true"))
        self.online(b, "c1").publish("t", "plain", 1)
        self.assertNotIn("payload", ep.wait_for("auth_on_publish").body)

    def test_register_appends(self):
        first, second = self.endpoint(), self.endpoint()
        first.answers["*"] = {"result": "next"}
        b = self.broker()
        self.register(b, "auth_on_register", first.url)
        self.register(b, "auth_on_register", second.url)
        self.online(b, "c1")
        self.assertEqual((first.count(), second.count()), (1, 1))
        self.assertEqual([r["endpoint"] for r in self.rows(b)],
                         [first.url, second.url])

    def test_register_twice(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register",))
        status, body = self.register(b, "auth_on_register", ep.url)
        self.assertEqual((status, body["type"]), (200, "alert"))
        self.assertIn("already_registered", body["alert"][0]["text"])
        self.assertEqual(len(self.rows(b)), 1)

    def test_deregister(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "c1")
        args = [("hook", "auth_on_register"), ("endpoint", ep.url)]
        self.assertEqual(b.api("deregister", args), (200, DONE))
        self.client(b, "c2").connect("u", "p", rc=5)
        status, body = b.api("deregister", args)
        self.assertEqual((status, body["type"]), (200, "alert"))
        self.assertIn("not_found", body["alert"][0]["text"])
        self.assertEqual(len(self.rows(b)), len(ALL) - 1)

    def test_bad_requests(self):
        b = self.broker()
        good = [("hook", "on_publish"), ("endpoint", "http://127.0.0.1/")]
        for query in (
                [("hook", "bogus"), ("endpoint", "http://127.0.0.1/")],
                [("hook", "on_publish"), ("endpoint", "http://h:port/")],
                [("hook", "on_publish"), ("endpoint", "ftp://h/")],
                good + [("--bogus", "1")], good + [("bogus", "1")],
                good + [("--response_timeout", "soon")],
                good + [("--response_timeout", "0")],
                good + [("--response_timeout", "-1")],
                good + [("--base64payload", "maybe")],
                good + [("--no_payload", "1")]):
            status, _ = b.api("register", query)
            self.assertEqual(status, 400, query)
        self.assertEqual(self.rows(b), [])

    def test_deregister_keeps_calls_under_way(self):
        ep = self.endpoint()
        stall = ep.answers["auth_on_register"] = Stall(OK)
        b = self.hooked(ep)
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        ep.wait_for("auth_on_register")
        self.assertEqual(b.api("deregister", [
            ("hook", "auth_on_register"), ("endpoint", ep.url)])[0], 200)
        stall.release()
        c.wait("CONNACK")

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        b.api("show")
        stall = ep.answers["auth_on_publish"] = Stall(OK)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        began = time.monotonic()
        self.assertEqual(b.api("show")[0], 200)
        self.assertEqual(b.api("cache/show")[0], 200)
        self.assertEqual(self.register(b, "auth_on_publish",
                                       "http://127.0.0.1:1/"), (200, DONE))
        self.assertEqual(len(self.rows(b)), len(ALL) + 1)
        self.assertLess(time.monotonic() - began, 0.5 * self.scale)
        self.assertEqual(stall.held, 1)
        stall.release()
        c.wait("PUBACK")

    def test_many_at_once(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        codes = []

        def ask(n):
            for i in range(10):
                codes.append(b.api("show")[0])
                codes.append(self.register(
                    b, "on_publish", "http://127.0.0.1:1/%d/%d" %
                    (n, i))[0])

        threads = [threading.Thread(target=ask, args=(n,))
                   for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(set(codes), {200})
        self.assertEqual(len(self.rows(b)), len(ALL) + 80)
        self.online(b, "c1")

    def test_rude_clients(self):
        b = self.broker()
        for data in (b"", b"\x00" * 100, b"GET", b"GET / HTTP/1.1\r\n",
                     b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(b.socket)
            try:
                s.sendall(data)
            except OSError:
                pass
            s.close()
        idle = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        for s in idle:
            s.connect(b.socket)
        self.assertEqual(b.api("show")[0], 200)
        for s in idle:
            s.close()


class Tool(BrokerTest):
    """vmq-admin."""

    def good(self, b, *args):
        done = b.admin(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), args)
        return done.stdout

    def bad(self, b, *args, says=""):
        done = b.admin(*args)
        self.assertEqual(done.returncode, 1, (args, done))
        self.assertTrue(done.stderr.strip(), args)
        self.has(done.stderr, says)
        return done

    def test_register(self):
        ep = self.endpoint()
        b = self.broker()
        self.assertEqual(self.good(b, "register", "hook=auth_on_register",
                                   "endpoint=" + ep.url).strip(), "Done")
        self.online(b, "c1")
        self.assertEqual(self.good(b, "deregister", "hook=auth_on_register",
                                   "endpoint=" + ep.url).strip(), "Done")
        self.client(b, "c1").connect("u", "p", rc=5)

    def test_any_order(self):
        b = self.broker()
        self.good(b, "register", "--response_timeout=77",
                  "endpoint=http://h/x?a=b==&c=d=", "--no_payload=true",
                  "hook=on_publish", "--base64payload=false")
        row = b.api("show")[1]["table"][0]
        self.assertEqual((row["hook"], row["endpoint"],
                          row["base64payload"], row["response_timeout"]),
                         ("on_publish", "http://h/x?a=b==&c=d=", False, 77))

    def test_flag_and_value(self):
        b = self.broker()
        self.good(b, "register", "hook=on_publish", "endpoint=http://h/",
                  "--response_timeout", "78")
        self.assertEqual(b.api("show")[1]["table"][0]["response_timeout"],
                         78)

    def test_show(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register", "on_publish"))
        lines = self.good(b, "show").splitlines()
        text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^\+-+\+-+\+-+\+-+\+")
        self.assertEqual(len({len(line) for line in lines}), 1)
        rows = [[cell.strip() for cell in line.strip("|").split("|")]
                for line in lines if line.startswith("|")]
        self.assertEqual(rows[0][:4], ["hook", "endpoint", "base64payload",
                                       "response_timeout"])
        self.assertEqual([r[:4] for r in rows[1:]], [
            ["on_publish", ep.url, "true", "5000"],
            ["auth_on_register", ep.url, "true", "5000"]])

    def test_show_says_where_from(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register",))
        self.good(b, "register", "hook=on_publish", "endpoint=" + ep.url)
        text = self.good(b, "show")
        rows = [line for line in text.splitlines() if ep.url in line]
        self.assertNotIn("hook00", rows[0])
        self.assertIn("hook00", rows[1])

    def test_show_json(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("on_publish",))
        for args in (("show", "--format=json"), ("--format=json", "show")):
            if args[0] != "show":
                continue
            got = json.loads(self.good(b, *args))
            self.assertEqual(got, b.api("show")[1])

    def test_show_empty(self):
        b = self.broker()
        self.assertEqual(self.good(b, "show").strip(), "")
        self.assertEqual(json.loads(self.good(b, "show", "--format=json")),
                         {"table": [], "type": "table"})

    def test_cache(self):
        ep = self.endpoint(auth_on_register=(
            200, {"Cache-Control": "max-age=60"}, OK))
        b = self.hooked(ep)
        self.online(b, "c1").disconnect()
        self.online(b, "c1").disconnect()
        rows = json.loads(self.good(b, "cache", "show",
                                    "--format=json"))["table"]
        values = {r["stat"]: r["value"] for r in rows
                  if r["hook"] == "auth_on_register"}
        self.assertEqual(values, {"hits": 1, "misses": 1, "entries": 1})
        self.has(self.good(b, "cache", "show"), "hits", "auth_on_register",
                 re.escape(ep.url))
        self.assertEqual(self.good(b, "cache", "clear").strip(), "Done")
        self.assertEqual(self.good(b, "cache", "show", "--reset").strip(),
                         "Done")
        self.online(b, "c1")
        self.assertEqual(ep.count("auth_on_register"), 2)

    def test_failures(self):
        b = self.broker()
        url = "endpoint=http://127.0.0.1/"
        self.good(b, "register", "hook=on_publish", url)
        self.bad(b, "register", "hook=on_publish", url,
                 says="already.registered")
        self.bad(b, "deregister", "hook=on_register", url,
                 says="not.found")
        self.bad(b, "register", "hook=bogus", url, says="bogus")
        self.bad(b, "register", "hook=on_publish", "endpoint=http://h:x/",
                 says="endpoint|url|h:x")
        self.bad(b, "register", "hook=on_publish", says="endpoint")
        self.bad(b, "register", url, says="hook")
        self.bad(b, "register", "hook=", url, says="hook")
        self.bad(b, "register", "hook=on_publish", url, "--bogus=1",
                 says="bogus")
        self.bad(b, "register", "hook=on_publish", url, "bogus=1",
                 says="bogus")
        self.bad(b, "register", "hook=on_publish", url,
                 "--response_timeout=soon", says="response_timeout|soon")
        self.bad(b, "register", "hook=on_publish", url,
                 "--base64payload=maybe", says="base64payload|maybe")
        self.bad(b, "bogus")
        self.assertEqual(len(b.api("show")[1]["table"]), 1)

    def test_failure_in_json(self):
        b = self.broker()
        args = ("register", "hook=on_publish", "endpoint=http://h/",
                "--format=json")
        self.assertEqual(json.loads(self.good(b, *args)), DONE)
        self.assertEqual(b.admin(*args).returncode, 1)

    def test_usage(self):
        b = self.broker()
        self.assertEqual(b.admin().returncode, 1)
        done = b.admin("register", "--help")
        self.assertEqual(done.returncode, 0)
        self.has(done.stdout, "usage", "hook=", "endpoint=")

    def test_no_broker(self):
        b = self.broker()
        b.stop()
        self.bad(b, "show", says=re.escape(b.socket))

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1")
        stall = ep.answers["auth_on_publish"] = Stall(DENY)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        self.has(self.good(b, "show"), "auth_on_publish")
        self.assertEqual(stall.held, 1)
        stall.release()
        c.wait("PUBACK")
