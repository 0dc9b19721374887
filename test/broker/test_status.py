"""vmq-admin webhooks status: how the endpoints are."""

import json
import re
import time

from endpoint import DENY, OK, Stall
from host import ALL, BrokerTest, endpoint_conf

PUBLISH = ("auth_on_publish", "auth_on_publish_m5")
COLUMNS = ["endpoint", "state", "queued", "in_flight", "connections", "sent",
           "ok", "failed", "timeouts", "unasked", "dropped", "retries",
           "opened", "held_calls", "held_ms", "p50_ms", "p99_ms",
           "last_error", "last_error_time", "last_error_ago_s", "trouble",
           "warnings", "hooks"]
BRIEF = ["endpoint", "state", "queued", "in_flight", "ok", "failed",
         "p99_ms", "trouble"]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


class Status(BrokerTest):

    def row(self, b, url):
        status, body = b.api("status")
        self.assertEqual((status, body["type"]), (200, "table"))
        return [r for r in body["table"] if r["endpoint"] == url][0]

    def until(self, b, url, **want):
        """Wait for a row that has these members."""
        deadline = time.monotonic() + 10 * self.scale
        while True:
            row = self.row(b, url)
            if all(row[k] == v for k, v in want.items()):
                return row
            if time.monotonic() > deadline:
                self.fail("%r, not %r" % (row, want))
            time.sleep(0.01)

    def test_all_is_well(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1", 5)
        c.subscribe("t")
        for i in range(5):
            c.publish("t", "x", 1)
        ep.wait_for("on_publish_m5", 5)
        row = self.until(b, ep.url, sent=ep.count(), in_flight=0, queued=0)
        row = self.until(b, ep.url, ok=ep.count())
        self.assertEqual(list(row), COLUMNS)
        self.assertEqual((row["state"], row["failed"], row["timeouts"],
                          row["dropped"], row["last_error"], row["trouble"],
                          row["last_error_ago_s"]),
                         ("good", 0, 0, 0, "", "", None))
        self.assertEqual(sorted(row["hooks"].split(", ")), sorted(ALL))
        self.assertGreater(row["p50_ms"], 0)
        self.assertGreaterEqual(row["p99_ms"], row["p50_ms"])
        self.assertGreater(row["held_calls"], 0)
        self.assertGreater(row["held_ms"], 0)
        total = b.api("status")[1]["table"][-1]
        self.assertEqual((total["endpoint"], total["state"]),
                         ("(all)", "1 of 1 good"))
        self.assertEqual(total["ok"], row["ok"])

    def test_a_dead_endpoint(self):
        url = self.nobody()
        fine = self.endpoint()
        conf = endpoint_conf(url, PUBLISH, "a")
        conf.update(endpoint_conf(fine.url, [h for h in ALL
                                             if h not in PUBLISH], "z"))
        conf["vmq_webhooks.breaker_open"] = 60000
        b = self.broker(conf)
        c = self.online(b, "c1", 4)
        for i in range(10):
            c.publish("t", "x", 1)
        row = self.row(b, url)
        self.assertEqual((row["state"], row["failed"], row["unasked"],
                          row["opened"], row["ok"]), ("open", 5, 5, 1, 0))
        self.has(row["last_error"], "refused|connect")
        self.assertRegex(row["last_error_time"],
                         r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertLess(row["last_error_ago_s"], 60 * self.scale)
        self.assertRegex(row["trouble"], r"^\d+ s ago: ")
        self.assertEqual(self.row(b, fine.url)["state"], "good")
        self.assertEqual(self.row(b, "(all)")["state"], "1 of 2 good")

    def test_paused(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        b.api("pause", [("endpoint", ep.url)])
        row = self.row(b, ep.url)
        self.assertEqual(row["state"], "paused")
        self.assertRegex(row["trouble"], r"^paused for \d+ s$")
        b.api("resume", [("endpoint", ep.url)])
        self.assertEqual(self.row(b, ep.url)["state"], "good")

    def test_what_waits(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1", 4)
        ep.wait_for("on_register")
        stall = ep.answers["on_publish"] = Stall()
        for i in range(4):
            c.publish("t", "x", 1)
        row = self.until(b, ep.url, in_flight=1, queued=3)
        self.assertGreaterEqual(row["connections"], 1)
        stall.release()
        self.until(b, ep.url, in_flight=0, queued=0)

    def test_nothing_secret(self):
        ep = self.endpoint()
        url = "http://u:geheim@127.0.0.1:%d/hook" % ep.port
        b = self.broker(endpoint_conf(url))
        self.online(b, "c1")
        self.assertEqual(b.api("status")[1]["table"][0]["endpoint"],
                         "http://***@127.0.0.1:%d/hook" % ep.port)
        for args in ((), ("--all",), ("--format=json",), ("--format=csv",)):
            self.assertNotIn("geheim", b.admin("status", *args).stdout)

    def test_not_verified(self):
        """Issue 7: what verify_peer = off means is said here."""
        b = self.broker(endpoint_conf("https://127.0.0.1:1/", ("on_publish",),
                                      verify_peer="off"))
        for args in ((), ("--all",), ("--format=json",)):
            self.has(b.admin("status", *args).stdout, "verify_peer = off")
        b = self.broker(endpoint_conf("https://127.0.0.1:1/",
                                      ("on_publish",)))
        self.assertNotIn("verify_peer", b.admin("status", "--all").stdout)

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1", 4)
        b.api("status")
        stall = ep.answers["auth_on_publish"] = Stall(DENY)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        took = []
        for i in range(20):
            began = time.monotonic()
            row = self.row(b, ep.url)
            took.append(time.monotonic() - began)
        self.assertEqual((row["in_flight"], stall.held), (1, 1))
        self.assertLess(min(took), 0.1 * self.scale)
        stall.release()
        c.wait("PUBACK")

    def test_for_people(self):
        url = self.nobody()
        b = self.broker(endpoint_conf(url, PUBLISH))
        said = b.admin("status")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        lines = said.stdout.splitlines()
        self.assertEqual(cells(lines[1]), BRIEF)
        self.assertEqual(cells(lines[3])[:2], [url, "good"])
        self.assertEqual(cells(lines[5])[:2], ["(all)", "1 of 1 good"])
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertNotIn("\x1b", said.stdout)
        ep = self.endpoint()
        b = self.hooked(ep)
        ep.answers["auth_on_publish"] = 404, {}, OK
        self.online(b, "c1").publish("t", "x", 1)
        lines = b.admin("status").stdout.splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        # a long text goes on in the next line
        self.assertLess(len(lines[0]), 140)
        text = " ".join(cells(line)[-1] for line in lines[3:]
                        if line.startswith("|"))
        self.assertRegex(text, r"\d+ s ago: answered with status 404 instead "
                         "of 200")

    def test_for_people_all(self):
        ep = self.endpoint()
        b = self.hooked(ep, PUBLISH)
        said = b.admin("status", "--all")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        first, second = said.stdout.split("\n\n")
        self.has(first, "endpoint: +%s\n" % re.escape(ep.url))
        names = [line.split(":")[0] for line in first.splitlines()]
        # what is empty is left out
        self.assertEqual(names, [n for n in COLUMNS
                                 if not n.startswith("last_error") and
                                 n not in ("trouble", "warnings")])
        self.has(second, r"endpoint: +\(all\)")

    def test_formats(self):
        ep = self.endpoint()
        b = self.hooked(ep, PUBLISH)
        got = json.loads(b.admin("status", "--format=json").stdout)
        self.assertEqual([list(r) for r in got["table"]], [COLUMNS] * 2)
        lines = b.admin("status", "--format=csv").stdout.splitlines()
        self.assertEqual(lines[0], ",".join(COLUMNS))
        self.assertEqual(len(lines), 3)
        b = self.broker()
        self.assertEqual(b.admin("status").stdout, "")
        self.assertEqual(b.api("status"), (200, {"table": [],
                                                 "type": "table"}))
