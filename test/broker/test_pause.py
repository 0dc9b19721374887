"""vmq-admin webhooks pause and resume: an endpoint taken out for a while."""

import json
import time

from endpoint import DENY, OK, Stall
from host import ALL, BrokerTest, endpoint_conf, file_text

DONE = {"text": "Done", "type": "text"}
PUBLISH = ("auth_on_publish", "auth_on_publish_m5")
TELL = ("on_publish", "on_publish_m5")


class Pause(BrokerTest):

    def stage(self, hooks, conf=None, **options):
        """An endpoint for these hooks, another one for the rest."""
        ep = self.endpoint(name="paused")
        fine = self.endpoint(name="fine")
        settings = endpoint_conf(ep.url, hooks, "a", **options)
        settings.update(endpoint_conf(
            fine.url, [h for h in ALL if h not in hooks], "z"))
        settings.update(conf or {})
        return ep, self.broker(settings)

    def pause(self, b, ep):
        self.assertEqual(b.api("pause", [("endpoint", ep.url)]), (200, DONE))

    def resume(self, b, ep):
        self.assertEqual(b.api("resume", [("endpoint", ep.url)]), (200, DONE))

    def test_questions_get_on_error_at_once(self):
        for on_error, rc in (("deny", 0x87), ("allow", 0)):
            with self.subTest(on_error=on_error):
                ep, b = self.stage(PUBLISH, on_error=on_error)
                c = self.online(b, "c1", 5)
                self.pause(b, ep)
                for i in range(20):
                    got = c.publish("t", "x", 1).get("rc", 0)
                    self.assertEqual(got >= 0x80, rc >= 0x80)
                self.assertEqual(ep.count(), 0)
                b.wait_log("auth_on_publish_m5: endpoint .*not asked: it is "
                           "paused")
                self.resume(b, ep)
                self.assertLess(c.publish("t", "x", 1).get("rc", 0), 0x80)
                self.assertEqual(ep.count("auth_on_publish_m5"), 1)
                b.stop()
                # summarised, not one line each
                self.assertEqual(b.log_count("not asked: it is paused"), 2)

    def test_a_reload_that_changes_the_way(self):
        """It is paused by that, too, and what waits goes in the end."""
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ALL)
        b = self.broker({"config_file": "@DIR@/hooks.conf"},
                        files={"hooks.conf": file_text(conf)})
        c = self.online(b, "c1", 4)
        c.publish("t", "x", 1)
        ep.wait_for("on_publish")
        ep.forget()
        self.pause(b, ep)
        self.client(b, "c2").connect("u", "p", rc=5)
        c.disconnect()      # tells on_client_gone
        conf["vmq_webhooks.dns_timeout"] = 4000
        b.write("hooks.conf", file_text(conf))
        self.assertEqual(b.admin("reload").returncode, 0)
        self.client(b, "c3").connect("u", "p", rc=5)
        self.assertEqual(ep.count(), 0)
        self.resume(b, ep)
        ep.wait_for("on_client_gone")
        self.online(b, "c4", 4)

    def test_logins(self):
        """Delayed on 2.1, waited for on 2.0."""
        ep, b = self.stage(("auth_on_register",))
        self.pause(b, ep)
        self.client(b, "c1").connect("u", "p", rc=5)
        self.assertEqual(ep.count(), 0)
        self.resume(b, ep)
        self.online(b, "c1")
        self.assertEqual(ep.count(), 1)

    def test_calls_under_way_finish(self):
        ep, b = self.stage(PUBLISH)
        c = self.online(b, "c1", 5)
        stall = ep.answers["*"] = Stall(OK)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish_m5")
        self.pause(b, ep)
        stall.release()
        self.assertLess(c.wait("PUBACK").get("rc", 0), 0x80)

    def test_notifications_wait(self):
        ep, b = self.stage(TELL)
        c = self.online(b, "c1", 4)
        self.pause(b, ep)
        for i in range(10):
            c.publish("t", "%d" % i, 1)
        c.barrier()
        self.assertEqual(ep.count(), 0)
        self.resume(b, ep)
        ep.wait_for("on_publish", 10)
        self.assertEqual([r.header("webhook-sequence") for r in ep.of()],
                         ["%d" % n for n in range(1, 11)])

    def test_notifications_grow_too_old(self):
        ep, b = self.stage(TELL, {"vmq_webhooks.max_event_age": 100})
        c = self.online(b, "c1", 4)
        self.pause(b, ep)
        c.publish("t", "x", 1)
        b.wait_log("on_publish: endpoint .*too old")
        self.resume(b, ep)
        c.publish("t", "y", 1)
        # the first is gone, and its number with it
        self.assertEqual(ep.wait_for("on_publish").header(
            "webhook-sequence"), "2")

    def test_ends_with_the_broker(self):
        ep, b = self.stage(PUBLISH)
        self.pause(b, ep)
        b.stop()
        self.assertEqual(ep.count(), 0)
        ep, b = self.stage(PUBLISH)
        c = self.online(b, "c1", 4)
        c.publish("t", "x", 1)
        self.assertEqual(ep.count(), 1)

    def test_stays_through_a_reload(self):
        ep, b = self.stage(PUBLISH)
        self.pause(b, ep)
        b.reload()
        c = self.online(b, "c1", 5)
        self.assertGreaterEqual(c.publish("t", "x", 1).get("rc", 0), 0x80)
        self.assertEqual(ep.count(), 0)

    def test_while_the_broker_is_held(self):
        ep, b = self.stage(PUBLISH)
        c = self.online(b, "c1", 4)
        stall = ep.answers["*"] = Stall(DENY)
        c.send_publish("t", "x", 1)
        ep.wait_for("auth_on_publish")
        began = time.monotonic()
        self.pause(b, ep)
        self.resume(b, ep)
        self.assertLess(time.monotonic() - began, 0.5 * self.scale)
        self.assertEqual(stall.held, 1)
        stall.release()
        c.wait("PUBACK")

    def test_tool(self):
        ep, b = self.stage(PUBLISH)
        said = b.admin("pause", "endpoint=" + ep.url)
        self.assertEqual((said.returncode, said.stdout, said.stderr),
                         (0, "Done\n", ""))
        said = b.admin("resume", "endpoint=" + ep.url, "--format=json")
        self.assertEqual((said.returncode, json.loads(said.stdout)),
                         (0, DONE))
        for word in "pause", "resume":
            said = b.admin(word, "endpoint=" + ep.url + "x")
            self.assertEqual((said.returncode, said.stdout), (1, ""))
            self.has(said.stderr, "can't %s endpoint due to 'not_found'" %
                     word)
            self.assertEqual(b.admin(word).returncode, 1)
            self.has(b.admin(word, "--help").stdout, "endpoint=<url>")
        b.wait_log(r"admin: paused by uid \d+ pid \d+: endpoint=" + ep.url)
        b.wait_log(r"admin: resumed by uid \d+ pid \d+: endpoint=" + ep.url)
