"""`cache clear`: each of its forms takes what it selects, and no more."""

import re

from endpoint import DENY, Stall, kept, ok
from host import AUTH, BrokerTest, UnixConnection, endpoint_conf

# client id: user name, MQTT version
CLIENTS = {"a": ("ua", 4), "b": ("ub", 5), "c": ("ua", 5)}
DONE = {"text": "Done", "type": "text"}


class Clear(BrokerTest):

    def stage(self):
        """Publishes have an endpoint of their own; all is kept."""
        self.first, self.second = self.endpoint(), self.endpoint()
        for ep in self.first, self.second:
            ep.answers["*"] = kept(60)
        publish = [h for h in AUTH if "publish" in h]
        conf = endpoint_conf(self.first.url,
                             [h for h in AUTH if h not in publish], "a")
        conf.update(endpoint_conf(self.second.url, publish, "b"))
        b = self.broker(conf)
        self.assertEqual(self.asked(b), self.everything())
        self.assertEqual(self.asked(b), set())
        return b

    def everything(self, *kinds, clients=CLIENTS):
        """What these clients ask in one round, of these kinds or all."""
        return {(c, self.hook("auth_on_" + kind, CLIENTS[c][1]))
                for c in clients
                for kind in kinds or ("register", "publish", "subscribe")}

    def asked(self, b):
        """A round of questions of every client: those that were put to an
        endpoint."""
        for ep in self.first, self.second:
            ep.forget()
        for name, (user, version) in CLIENTS.items():
            c = self.online(b, name, version, user)
            c.subscribe("s")
            c.publish("t", "x", 1)
            c.disconnect()
        return {(r["client_id"], r.hook)
                for ep in (self.first, self.second) for r in ep.of()}

    def clear(self, b, **query):
        """By the arguments, with - for _; its answer is to be that it is
        done."""
        args = [(k.replace("_", "-"), v) for k, v in query.items()]
        self.assertEqual(b.api("cache/clear", args), (200, DONE))

    def test_all(self):
        b = self.stage()
        self.clear(b)
        self.assertEqual(b.api("cache/show")[1]["table"], [])
        self.assertEqual(self.asked(b), self.everything())
        self.assertEqual(self.asked(b), set())

    def test_hook(self):
        b = self.stage()
        for version in (4, 5):
            hook = self.hook("auth_on_subscribe", version)
            self.clear(b, hook=hook)
            self.assertEqual(self.asked(b),
                             {q for q in self.everything() if q[1] == hook})
        self.clear(b, hook="on_publish")
        self.assertEqual(self.asked(b), set())

    def test_endpoint(self):
        b = self.stage()
        self.clear(b, endpoint=self.second.url)
        self.assertEqual(self.asked(b), self.everything("publish"))
        self.clear(b, endpoint=self.first.url)
        self.assertEqual(self.asked(b),
                         self.everything("register", "subscribe"))
        self.clear(b, endpoint=self.first.url + "x")
        self.assertEqual(self.asked(b), set())

    def test_client_id(self):
        b = self.stage()
        for name in CLIENTS:
            self.clear(b, client_id=name)
            self.assertEqual(self.asked(b), self.everything(clients=[name]))
        self.clear(b, client_id="A")
        self.assertEqual(self.asked(b), set())

    def test_username(self):
        b = self.stage()
        self.clear(b, username="ua")
        self.assertEqual(self.asked(b),
                         self.everything(clients=["a", "c"]))
        self.clear(b, username="ub")
        self.assertEqual(self.asked(b), self.everything(clients=["b"]))
        self.clear(b, username="a")
        self.assertEqual(self.asked(b), set())

    def test_combinations(self):
        b = self.stage()
        self.clear(b, username="ua", hook="auth_on_publish_m5")
        self.assertEqual(self.asked(b),
                         self.everything("publish", clients=["c"]))
        self.clear(b, endpoint=self.second.url, client_id="a")
        self.assertEqual(self.asked(b),
                         self.everything("publish", clients=["a"]))
        self.clear(b, client_id="c", username="ua")
        self.assertEqual(self.asked(b), self.everything(clients=["c"]))
        self.clear(b, username="ub", client_id="b", hook="auth_on_register_m5",
                   endpoint=self.first.url)
        self.assertEqual(self.asked(b),
                         self.everything("register", clients=["b"]))
        # in everything that is given, or not at all
        self.clear(b, username="ub", client_id="a")
        self.clear(b, endpoint=self.second.url, hook="auth_on_register")
        self.assertEqual(self.asked(b), set())

    def test_tool(self):
        b = self.stage()
        for args, what in (
                (("client-id=b",), self.everything(clients=["b"])),
                (("username=ua", "hook=auth_on_publish"),
                 self.everything("publish", clients=["a"])),
                (("hook=auth_on_publish", "username=ua"),
                 self.everything("publish", clients=["a"])),
                ((), self.everything())):
            done = b.admin("cache", "clear", *args)
            self.assertEqual((done.returncode, done.stdout.strip()),
                             (0, "Done"))
            self.assertEqual(self.asked(b), what)

    def test_refused(self):
        b = self.stage()
        for args, says in ((("hook=bogus",), "bogus"),
                           (("hook=",), "hook needs a value"),
                           (("username=",), "username needs a value"),
                           (("client_id=a",), "client-id"),
                           (("--kick",), "client-id or username"),
                           (("--kick", "hook=auth_on_publish"),
                            "client-id or username"),
                           (("--all",), "--all")):
            with self.subTest(args=args):
                done = b.admin("cache", "clear", *args)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.has(done.stderr, says)
        self.assertEqual(self.asked(b), set())

    def test_log(self):
        b = self.stage()
        self.clear(b, username="ua", hook="auth_on_publish",
                   endpoint="http://joe:secret@127.0.0.1/")
        line = b.wait_log("cleared the cache of 0 entries by uid")
        self.has(line, "hook=auth_on_publish", "username=ua", "127.0.0.1")
        self.assertNotIn("secret", b.log())
        self.clear(b, client_id="a\nError: all is lost")
        self.assertNotRegex(b.log(), r"(?m)^Error: all")
        self.clear(b)
        b.wait_log("cleared the cache of 9 entries by uid")

    def test_by_the_name_that_was_sent(self):
        """Whatever the reply makes of it."""
        b = self.stage()
        for hook in ("auth_on_register", "auth_on_register_m5"):
            self.first.answers[hook] = kept(60, ok(username="ub"))
        self.clear(b)
        self.asked(b)
        self.assertEqual(self.asked(b), set())
        self.clear(b, username="ua", hook="auth_on_publish")
        self.assertEqual(self.asked(b),
                         self.everything("publish", clients=["a"]))
        self.clear(b, username="ub")
        self.assertEqual(self.asked(b), self.everything(clients=["b"]))
        self.clear(b, username="ua")
        self.assertEqual(self.asked(b),
                         self.everything(clients=["a", "c"]))

    def test_two_names_that_become_one(self):
        """Answers kept for the one do not serve the other."""
        b = self.stage()
        self.first.answers["auth_on_register"] = kept(60, ok(username="ua"))
        for name in "one", "two":
            c = self.online(b, "x", 4, name)
            c.publish("t", "x", 1)
            self.assertEqual(self.second.count("auth_on_publish"), 1 + (
                name == "two"), name)
            if name == "one":
                c.disconnect()
        self.second.answers["auth_on_publish"] = DENY
        self.clear(b, username="two")
        self.second.forget()
        c.publish("t", "x", 1)
        self.assertEqual(self.second.count("auth_on_publish"), 1)

    def test_by_the_id_that_it_got(self):
        if not self.v21:
            return              # which cannot rename
        b = self.stage()
        self.first.answers["auth_on_register"] = kept(60, ok(
            client_id="sensor-7", mountpoint=""))
        self.online(b, "tmp", 4).disconnect()
        self.first.answers["auth_on_register"] = DENY
        self.clear(b, client_id="sensor-8")
        self.online(b, "tmp", 4).disconnect()
        self.clear(b, client_id="sensor-7")
        self.client(b, "tmp", 4).connect("u", "p", rc=5)

    def test_online_clients_next_question_is_asked(self):
        b = self.stage()
        clients = {name: self.online(b, name, version, user)
                   for name, (user, version) in CLIENTS.items()}
        self.clear(b, username="ua")
        for name, c in clients.items():
            self.second.forget()
            c.publish("t", "x", 1)
            self.assertEqual(self.second.count(), name != "b", name)

    def test_what_is_under_way_is_not_kept(self):
        """An answer to what was asked before the clear."""
        b = self.stage()
        if not self.v21:
            return
        self.first.answers["auth_on_register"] = stall = Stall(kept(60))
        for name, password, asked in (("a", "new", 2), ("b", "newer", 1)):
            before = self.first.count("auth_on_register")
            c = self.client(b, "a")
            c.open()
            c.send_connect("ua", password)
            self.first.wait_for("auth_on_register", before + 1)
            self.clear(b, client_id=name)
            stall.release()
            c.wait("CONNACK", rc=0)
            c.disconnect()
            self.online(b, "a", username="ua", password=password).disconnect()
            self.assertEqual(self.first.count("auth_on_register") - before,
                             asked)
            self.first.answers["auth_on_register"] = stall = Stall(kept(60))


class Kick(BrokerTest):

    def stage(self, **kw):
        ep = self.endpoint()
        ep.answers["auth_on_register"] = kept(60)
        ep.answers["auth_on_register_m5"] = kept(60)
        b = self.hooked(ep, **kw)
        return ep, b

    def crowd(self, b, **kw):
        return {name: self.online(b, name, version, user, **kw)
                for name, (user, version) in CLIENTS.items()}

    def kick(self, b, crowd, whom, **query):
        """Exactly these are gone when it has answered."""
        args = [(k.replace("_", "-"), v) for k, v in query.items()]
        before = b.log_count("disconnected %d clients by uid" % len(whom))
        self.assertEqual(b.api("cache/clear", [("--kick", None)] + args),
                         (200, DONE))
        self.assertEqual(
            b.log_count("disconnected %d clients by uid" % len(whom)),
            before + 1)
        for name, c in crowd.items():
            if name not in whom:
                c.quiet()
                continue
            came = c.expect_closed()
            if c.version == 5:
                self.assertEqual([(p["type"], p["rc"]) for p in came],
                                 [("DISCONNECT", 0x98)])

    def test_client_id(self):
        ep, b = self.stage()
        self.kick(b, self.crowd(b), "a", client_id="a")
        self.kick(b, self.crowd(b), "b", client_id="b")
        self.kick(b, self.crowd(b), "", client_id="ua")

    def test_username(self):
        ep, b = self.stage()
        self.kick(b, self.crowd(b), "ac", username="ua")
        self.kick(b, self.crowd(b), "b", username="ub")
        self.kick(b, self.crowd(b), "", username="a")

    def test_both(self):
        ep, b = self.stage()
        self.kick(b, self.crowd(b), "a", username="ua", client_id="a")
        self.kick(b, self.crowd(b), "", username="ub", client_id="a")

    def test_hook_selects_entries_not_clients(self):
        ep, b = self.stage()
        crowd = self.crowd(b)
        self.assertEqual(ep.count("auth_on_register_m5"), 2)
        self.kick(b, crowd, "b", username="ub", hook="auth_on_publish_m5")
        self.online(b, "b", 5, "ub")
        self.assertEqual(ep.count("auth_on_register_m5"), 2)

    def test_next_login_is_asked(self):
        """For that it is there: a right was taken away."""
        ep, b = self.stage()
        crowd = self.crowd(b)
        ep.answers["auth_on_register"] = DENY
        ep.answers["auth_on_register_m5"] = DENY
        self.kick(b, crowd, "ac", username="ua")
        for name, rc in (("a", 5), ("b", 0), ("c", 0x87)):
            user, version = CLIENTS[name]
            self.client(b, name, version).connect(user, "p", rc=rc)

    def test_logins_under_way(self):
        """They were asked before: refused, and asked anew when they return.
        On 2.0 there is none while the broker has time for this."""
        if not self.v21:
            return
        ep, b = self.stage()
        for query, out in (((("username", "ua"),), True),
                           ((("client-id", "a"),), True),
                           ((("username", "ua"), ("client-id", "a")), True),
                           ((("username", "ub"),), False),
                           ((("client-id", "b"),), False)):
            ep.answers["auth_on_register"] = stall = Stall(kept(60))
            b.api("cache/clear")
            before = ep.count("auth_on_register")
            c = self.client(b, "a").open()
            c.send_connect("ua", "p")
            ep.wait_for("auth_on_register", before + 1)
            self.assertEqual(b.api("cache/clear", [("--kick", None),
                                                   *query]), (200, DONE))
            if out:
                self.assertEqual(c.wait("CONNACK")["rc"], 5)
                c.expect_closed()
                ep.answers["auth_on_register"] = DENY
                self.client(b, "a").connect("ua", "p", rc=5)
                self.assertEqual(ep.count("auth_on_register"), before + 2)
                stall.release()
            else:
                stall.release()
                self.assertEqual(c.wait("CONNACK")["rc"], 0)
                c.disconnect()
        other = self.online(b, "z")
        other.barrier()

    def test_login_of_one_that_has_gone(self):
        """Another of that id is not refused in its place."""
        if not self.v21:
            return
        ep, b = self.stage()
        ep.answers["auth_on_register"] = stall = Stall(kept(60))
        for i, user in enumerate(("ua", "ub")):
            c = self.client(b, "a").open()
            c.send_connect(user, "p")
            ep.wait_for("auth_on_register", i + 1)
            if user == "ua":
                c.close()
                b.wait_log(r"Client a .*disconnected")
                # or the next may come to lie where it was
                filler = self.client(b, "filler").open()
        self.assertEqual(b.api("cache/clear", [("username", "ua"),
                                               ("--kick", None)]), (200, DONE))
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        c.barrier()
        filler.close()

    def test_by_the_name_that_was_sent(self):
        ep, b = self.stage()
        ep.answers["auth_on_register"] = kept(60, ok(username="ub"))
        ep.answers["auth_on_register_m5"] = kept(60, ok(username="new"))
        crowd = self.crowd(b)
        self.kick(b, crowd, "", username="new")
        self.kick(b, crowd, "b", username="ub")
        del crowd["b"]
        self.kick(b, crowd, "ac", username="ua")

    def test_sessions_and_wills(self):
        """The session stays, and the will is out."""
        ep, b = self.stage()
        watch = self.subscriber(b, "will/#", client_id="watch")
        crowd = {}
        for name, version in (("p4", 4), ("p5", 5)):
            crowd[name] = c = self.online(
                b, name, version, "up", clean=False,
                will={"topic": "will/" + name, "payload": "gone"},
                properties=({"p_session_expiry_interval": 100}
                            if version == 5 else None))
            c.subscribe(("s", 1))
        self.kick(b, crowd, ["p4", "p5"], username="up")
        self.assertEqual({watch.message()["topic"] for _ in crowd},
                         {"will/p4", "will/p5"})
        for name, version in (("p4", 4), ("p5", 5)):
            ep.wait_for("on_client_offline", client_id=name)
            c = self.client(b, name, version)
            ack = c.connect("up", "p", clean=False)
            self.assertTrue(ack["session_present"])
            c.disconnect()

    def test_without_a_login_hook(self):
        """Whoever let them in. On 2.0 nobody would."""
        if not self.v21:
            return
        ep = self.endpoint()
        b = self.hooked(ep, ("auth_on_publish", "auth_on_publish_m5"),
                        anonymous=True,
                        conf={"vmq_webhooks.default_policy": "ignore"})
        self.kick(b, self.crowd(b), "a", client_id="a")
        self.kick(b, self.crowd(b), "ac", username="ua")

    def test_many_at_once(self):
        """That lie in wait while the broker is held."""
        ep, b = self.stage()
        crowd = self.crowd(b, clean=False)
        holder = self.online(b, "holder")
        for i in range(2):
            ep.answers["auth_on_publish"] = stall = Stall()
            seen = ep.count("auth_on_publish")
            holder.send_publish("t", "x", 1)
            ep.wait_for("auth_on_publish", seen + 1)
            waiting = []
            for query in ("client-id=a", "username=ua", "username=ua",
                          "client-id=a"):
                one = UnixConnection(b.socket, 5 * self.scale)
                one.request("GET", "/api/v1/webhooks/cache/clear?--kick&" +
                            query)
                waiting.append(one)
            self.assertEqual(b.api("show")[0], 200)     # after these
            stall.release()
            for one in waiting:
                self.assertEqual(one.getresponse().status, 200)
                one.close()
            for name in ("a", "c"):
                crowd[name].expect_closed()
            crowd["b"].quiet()
            holder.wait("PUBACK")
            crowd = self.crowd(b, clean=True)
            crowd["b"].barrier()
        total = sum(int(n) for n in re.findall(
            r"disconnected (\d+) clients", b.log()))
        self.assertEqual(total, 4)
