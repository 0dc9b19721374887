"""vmq-admin check: a configuration judged without a broker."""

import os
import subprocess

from host import AUTH, BrokerTest, admin_tool, endpoint_conf, file_text

URL = "http://127.0.0.1:1/"


class Check(BrokerTest):

    def setUp(self):
        super().setUp()
        # only its folder is needed
        self.b = self.unstarted({"config_file": "@DIR@/hooks.conf"})
        self.file = self.b.path("hooks.conf")

    def run_tool(self, *args, **kw):
        env = {"PATH": os.environ["PATH"]}      # and no socket
        return subprocess.run([admin_tool(), "check"] + list(args), env=env,
                              capture_output=True, text=True, **kw)

    def check(self, text):
        self.b.write("hooks.conf", text)
        return self.run_tool(self.file)

    def test_good(self):
        for conf, says in (
                (endpoint_conf(URL, ("on_publish",)), "1 webhook on 1 hook"),
                (endpoint_conf(URL, AUTH), "6 webhooks on 6 hooks"),
                (dict(endpoint_conf(URL, AUTH, "a"), **endpoint_conf(
                    URL + "2", AUTH[:1], "b")), "7 webhooks on 6 hooks"),
                (dict(endpoint_conf(URL, AUTH), **{
                    "plugins.vmq_webhooks": "off"}),
                 "6 webhooks on 6 hooks; plugins.vmq_webhooks is off")):
            done = self.check(file_text(conf))
            self.assertEqual((done.returncode, done.stdout, done.stderr),
                             (0, "%s: %s\n" % (self.file, says), ""))

    def test_what_is_wrong_is_told_as_at_the_start(self):
        for text in ("vmq_webhooks.a.hok = on_publish\n",
                     "vmq_webhooks.a.hook = on_publish\n",
                     "vmq_webhooks.max_queue = many\n",
                     "nonsense\n",
                     "include missing.conf\n",
                     "vmq_webhooks.cafile = /nonexistent\n",
                     "vmq_webhooks.secret_file = /nonexistent\n"):
            done = self.check(text)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("vmq_webhooks: " + done.stderr, self.b.refused())

    def test_included_files(self):
        self.b.write("more.conf", file_text(endpoint_conf(URL, AUTH)))
        self.has(self.check("include more.conf\n").stdout, "6 webhooks")

    def test_a_file_without_webhooks(self):
        """It may be another than was meant."""
        done = self.check("listener 1883\n".replace(" ", " = "))
        self.assertEqual(done.returncode, 0)
        self.has(done.stdout, "0 webhooks on 0 hooks")
        self.has(done.stderr, "has no webhook: is it the file")

    def test_the_command_line(self):
        self.b.write("a=b.conf", file_text(endpoint_conf(URL, AUTH)))
        self.has(self.run_tool("./a=b.conf", cwd=self.b.dir).stdout,
                 r"\./a=b.conf: 6 webhooks")
        for args, says in (((), "<file> is missing"),
                           ((self.file, "x"), "too many words: \"x\""),
                           ((self.file, "hook=x"), "unknown argument"),
                           ((self.file, "--reset"), "unknown argument"),
                           (("none",), "none: No such file"),
                           (("/",), "/: ")):
            done = self.run_tool(*args)
            self.assertEqual((done.returncode, done.stdout), (1, ""), args)
            self.has(done.stderr, says)
        done = self.run_tool("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.has(done.stdout, "Usage: vmq-admin check <file>")

    def test_a_full_disk(self):
        self.b.write("hooks.conf", file_text(endpoint_conf(URL, AUTH)))
        with open("/dev/full", "w") as full:
            done = subprocess.run([admin_tool(), "check", self.file],
                                  stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)
