"""vmq-admin session disconnect, and the same over HTTP."""

import json
import threading

from endpoint import DENY, OK, Stall
from host import BrokerTest, UnixConnection

PATH = "/api/v1/session/disconnect"


def done(n):
    return {"text": "Done: %d client%s disconnected" % (n, "s"[:n != 1]),
            "type": "text"}


NOBODY = {"alert": [{"text": "can't disconnect client due to 'not_found'",
                     "type": "text"}], "type": "alert"}


class Disconnect(BrokerTest):

    def part(self, b, **query):
        return b.api("disconnect",
                     [(k.replace("_", "-"), v) for k, v in query.items()],
                     root="session")

    def alive(self, *clients):
        for c in clients:
            c.barrier()

    def test_by_client_id(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        first, second = self.online(b, "a"), self.online(b, "b", 5)
        self.assertEqual(self.part(b, client_id="a"), (200, done(1)))
        first.expect_closed()
        self.alive(second)
        ep.wait_for("on_client_gone", client_id="a")
        self.assertEqual(self.part(b, client_id="a"), (200, NOBODY))
        self.assertEqual(len(b.lines_with(
            r"admin: disconnected 1 clients by uid \d+ pid \d+: "
            "client-id=a$")), 1)
        self.assertEqual(b.log_count("admin: disconnected"), 1)
        # it may come back: it was only parted from
        self.online(b, "a")

    def test_by_user_name(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        gone = [self.online(b, "c%d" % v, v, "joe") for v in (3, 4, 5)]
        stays = self.online(b, "x", username="ann")
        self.assertEqual(self.part(b, username="joe", client_id="c4"),
                         (200, done(1)))
        self.assertEqual(self.part(b, username="joe"), (200, done(2)))
        for c in gone:
            c.expect_closed()
        self.alive(stays)
        self.assertEqual(self.part(b, username="ann", client_id="y"),
                         (200, NOBODY))
        self.alive(stays)

    def test_will_is_sent_and_session_stays(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        sub = self.subscriber(b, "w")
        c = self.client(b, "c1")
        c.connect("u", "p", clean=False,
                  will={"topic": "w", "payload": "gone", "qos": 0})
        c.subscribe(("t", 1))
        self.assertEqual(self.part(b, client_id="c1"), (200, done(1)))
        self.assertEqual(sub.message("w")["payload"], "gone")
        again = self.client(b, "c1")
        self.assertEqual(again.connect("u", "p", clean=False)
                         ["session_present"], 1)

    def test_refused(self):
        b = self.broker()
        for query in ([("client-id", "a"), ("--cleanup", None)],
                      [("client-id", "a"), ("mountpoint", "m")], []):
            status, body = b.api("disconnect", query, root="session")
            self.assertEqual(status, 400)
            self.assertTrue(body["error"])

    def test_tool(self):
        ep = self.endpoint()
        b = self.hooked(ep)
        self.online(b, "a")
        self.online(b, "b")
        said = b.admin("disconnect", "client-id=a", root="session")
        self.assertEqual((said.returncode, said.stdout, said.stderr),
                         (0, "Done: 1 client disconnected\n", ""))
        said = b.admin("disconnect", "client-id=b", "--format=json",
                       root="session")
        self.assertEqual((said.returncode, json.loads(said.stdout)),
                         (0, done(1)))
        said = b.admin("disconnect", "client-id=b", root="session")
        self.assertEqual((said.returncode, said.stdout), (1, ""))
        self.has(said.stderr, "not_found")
        said = b.admin("disconnect", "client-id=b", "--cleanup",
                       root="session")
        self.assertEqual(said.returncode, 1)
        self.has(said.stderr, "cleanup cannot be done")
        for args, usage in (((), "vmq-admin session <sub-command>"),
                            (("bogus",), "vmq-admin session <sub-command>"),
                            (("disconnect", "--help"), "client-id=")):
            said = b.admin(*args, root="session")
            self.assertEqual(said.returncode, 0 if "--help" in args else 1)
            self.has(said.stdout + said.stderr, usage)

    def test_where_no_tick_ever_comes(self):
        """2.0.11 to 2.0.14 with per_listener_settings: a plugin can part
        from nobody, and says so while clients do something. Elsewhere it
        can."""
        ep = self.endpoint()
        b = self.hooked(ep, per_listener=True)
        c, other = self.online(b, "c1"), self.online(b, "other")
        connection = UnixConnection(b.socket, 10 * self.scale)
        self.addCleanup(connection.close)
        connection.request("GET", PATH + "?client-id=other")
        answers = []
        reader = threading.Thread(target=lambda: answers.append(
            connection.getresponse()))
        reader.start()
        while reader.is_alive():
            c.publish("t", "x", 1)
            reader.join(0.1)
        status, body = answers[0].status, json.loads(answers[0].read())
        if b.http("/health")[2].find(b'"broker_ticks":true') >= 0:
            self.assertEqual((status, body), (200, done(1)))
            other.expect_closed()
        else:
            self.assertEqual(status, 503)
            self.has(body["error"], "per_listener_settings")
            self.alive(other)

    def test_while_the_broker_is_held(self):
        """It is done when it is said to be: after the stall."""
        ep = self.endpoint()
        b = self.hooked(ep)
        c, other = self.online(b, "c1"), self.online(b, "other")
        stall = ep.answers["auth_on_publish"] = Stall(DENY)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        connection = UnixConnection(b.socket, 10 * self.scale)
        connection.request("GET", PATH + "?client-id=other")
        self.assertEqual(b.api("show")[0], 200)
        self.assertEqual(stall.held, 1)
        other.silent()
        ep.answers["auth_on_publish"] = OK
        stall.release()
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())),
                         (200, done(1)))
        connection.close()
        other.expect_closed()
