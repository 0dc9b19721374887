"""vmq-admin webhooks explain: which hooks can fire here, and why not."""

import json
import time

from endpoint import DENY, Stall, kept
from host import ALL, AUTH, BrokerTest, endpoint_conf

HOOKS = ALL + ("on_auth_m5", "on_deliver", "on_deliver_m5",
               "on_offline_message", "on_session_expired")
COLUMNS = ["hook", "endpoints", "fires", "events", "last", "last_ago_s",
           "cached", "why"]
BRIEF = ["hook", "endpoints", "fires", "events", "last", "why"]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


class Explain(BrokerTest):

    def rows(self, b, *query):
        status, body = b.api("explain", query)
        self.assertEqual((status, body["type"]), (200, "table"))
        return {r["hook"]: r for r in body["table"]}

    def row(self, b, hook):
        return self.rows(b, ("hook", hook))[hook]

    def test_every_hook(self):
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        rows = self.rows(b)
        self.assertEqual(sorted(rows), sorted(HOOKS))
        self.assertEqual(len(rows), 22)
        for hook, row in rows.items():
            self.assertEqual(list(row), COLUMNS)
            self.assertEqual(row["endpoints"], 1)
            self.assertIn(row["fires"], ("yes", "limited"), hook)
            if row["fires"] == "limited":
                self.assertTrue(row["why"], hook)
        for hook in AUTH:
            self.assertEqual(rows[hook]["fires"], "yes", hook)

    def test_none(self):
        b = self.broker()
        for hook, row in self.rows(b).items():
            self.assertEqual((row["endpoints"], row["fires"]), (0, "no"))
            self.assertRegex(row["why"], "^no endpoint")
            self.assertEqual("refused" in row["why"],
                             hook in AUTH + ("on_auth_m5",), hook)

    def test_the_same_as_at_the_start(self):
        """What the log says of a hook, explain says, too."""
        ep = self.endpoint()
        b = self.hooked(ep, HOOKS)
        said = [line.split("vmq_webhooks: ", 1)[1]
                for line in b.log().splitlines() if "vmq_webhooks: " in line]
        rows = self.rows(b)
        told = 0
        for line in said:
            names, colon, text = line.partition(": ")
            hooks = names.split(", ")
            if not colon or hooks[0] not in HOOKS or "endpoint" in text:
                continue
            if "use_identity_as_username" in text:
                continue        # explain knows that there are none
            for hook in hooks:
                self.assertIn(text, rows[hook]["why"])
                told += 1
        self.assertGreaterEqual(told, 2 if self.v20 else 1)

    def test_half(self):
        """The commonest reason: MQTT 5 clients have hooks of their own."""
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_register", "on_publish_m5"))
        row = self.row(b, "auth_on_register")
        self.assertEqual(row["fires"], "limited")
        self.has(row["why"], "not for clients of MQTT 5: theirs is "
                 "auth_on_register_m5, which has no endpoint")
        self.has(self.row(b, "on_publish_m5")["why"],
                 "not for clients of MQTT 3.1 and 3.1.1: theirs is "
                 "on_publish, which has no endpoint")
        b.api("register", [("hook", "auth_on_register_m5"),
                           ("endpoint", ep.url)])
        self.assertNotIn("MQTT 5", self.row(b, "auth_on_register")["why"])

    def test_default_policy(self):
        if self.v20:
            return      # cannot
        b = self.broker({"vmq_webhooks.default_policy": "ignore"})
        self.assertEqual(self.row(b, "auth_on_publish")["why"],
                         "no endpoint: left to the broker and its other "
                         "plugins")

    def test_identities(self):
        """Only where the broker's configuration names clients by their
        certificates."""
        ep = self.endpoint()
        b = self.hooked(ep)
        self.assertNotIn("use_identity",
                         self.row(b, "auth_on_register")["why"])
        self.assertEqual(self.row(b, "on_register")["fires"], "yes")
        b = self.hooked(ep, lines=["use_identity_as_username true"])
        row = self.row(b, "auth_on_register")
        self.assertEqual(row["fires"], "limited")
        self.has(row["why"], "never asked on listeners with "
                 "use_identity_as_username")
        self.assertEqual(self.row(b, "on_register")["fires"],
                         "limited" if self.v20 else "yes")

    def test_per_listener_settings(self):
        ep = self.endpoint()
        b = self.hooked(ep, per_listener=True)
        self.assertEqual("per_listener_settings" in
                         self.row(b, "on_publish")["why"], self.v20)
        b = self.hooked(ep)
        self.assertNotIn("per_listener_settings",
                         self.row(b, "on_publish")["why"])

    def test_what_reading_defers(self):
        ep = self.endpoint()
        for value, fires in (("allow", "yes"), ("auto", "yes"),
                             ("defer", "no")):
            b = self.hooked(ep, HOOKS, {"vmq_webhooks.read_checks": value})
            row = self.row(b, "on_deliver")
            self.assertEqual(row["fires"], fires if self.v20 else "yes",
                             value)
        b = self.hooked(ep, ("on_deliver", "on_deliver_m5"))
        self.assertEqual(self.row(b, "on_deliver")["fires"],
                         "no" if self.v20 else "yes")

    def test_it_says_no_and_that_is_so(self):
        """What explain says of on_deliver happens."""
        ep = self.endpoint()
        for value in ("allow", "defer"):
            b = self.hooked(ep, HOOKS, {"vmq_webhooks.read_checks": value})
            ep.forget()
            c = self.online(b, "c1")
            c.subscribe("t")
            c.publish("t", "x", 1)
            c.barrier()
            fires = self.row(b, "on_deliver")["fires"]
            if fires == "no":
                ep.wait_for("on_publish")
                self.assertEqual(ep.count("on_deliver"), 0)
            else:
                ep.wait_for("on_deliver")

    def test_events(self):
        ep = self.endpoint(auth_on_publish=kept(60))
        b = self.hooked(ep, [h for h in ALL if h != "auth_on_subscribe"])
        c = self.online(b, "c1")
        for i in range(3):
            c.publish("t", "x", 1)
        c.subscribe("t")
        rows = self.rows(b)
        self.assertEqual([rows[h]["events"] for h in
                          ("auth_on_register", "auth_on_publish",
                           "on_publish", "auth_on_subscribe",
                           "on_client_gone")], [1, 3, 3, 1, 0])
        self.assertEqual(rows["auth_on_publish"]["cached"], 2)
        self.assertRegex(rows["on_publish"]["last"], r"^\d+ s ago$")
        self.assertLess(rows["on_publish"]["last_ago_s"], 60 * self.scale)
        self.assertEqual((rows["on_client_gone"]["last"],
                          rows["on_client_gone"]["last_ago_s"]),
                         ("never", None))

    def test_paused(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        b.api("pause", [("endpoint", ep.url)])
        row = self.row(b, "on_publish")
        self.assertEqual(row["fires"], "no")
        self.has(row["why"], "1 of 1 endpoint paused")

    def test_while_the_broker_is_held(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        c = self.online(b, "c1", 4)
        self.rows(b)
        stall = ep.answers["auth_on_publish"] = Stall(DENY)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        took = []
        for i in range(20):
            began = time.monotonic()
            rows = self.rows(b)
            took.append(time.monotonic() - began)
        self.assertEqual((rows["auth_on_publish"]["events"], stall.held),
                         (1, 1))
        self.assertLess(min(took), 0.1 * self.scale)
        stall.release()
        c.wait("PUBACK")

    def test_tool(self):
        ep = self.endpoint()
        b = self.hooked(ep, ("on_publish",))
        said = b.admin("explain")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        lines = said.stdout.splitlines()
        self.assertEqual(cells(lines[1]), BRIEF)
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertLess(len(lines[0]), 130)
        self.assertEqual(len([line for line in lines[3:]
                              if line.startswith("|") and cells(line)[0]]),
                         22)
        said = b.admin("explain", "hook=on_publish", "--format=json")
        rows = json.loads(said.stdout)["table"]
        self.assertEqual([list(r) for r in rows], [COLUMNS])
        said = b.admin("explain", "hook=on_publish", "--format=csv")
        self.assertEqual(said.stdout.splitlines()[0], ",".join(COLUMNS))
        said = b.admin("explain", "hook=bogus")
        self.assertEqual((said.returncode, said.stdout), (1, ""))
        self.has(said.stderr, "bogus")
