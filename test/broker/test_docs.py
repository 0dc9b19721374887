"""What README and docs/ tell people to type or paste."""

import glob
import os
import re
import subprocess
import tempfile

from host import BrokerTest, ROOT, admin_tool, plugin_path

INSTALLED = "/usr/local/lib/mosquitto/vmq_webhooks.so"
CONFIGURED = "/etc/mosquitto/vmq_webhooks.conf"


def page(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


def fences(text, language):
    """The fenced blocks of that language, in order."""
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, re.M | re.S)


def blocks(name):
    """The blocks without a language that are a mosquitto.conf."""
    return [b for b in fences(page(name), "") if "plugin " + INSTALLED in b]


class Commands(BrokerTest):

    def test_admin_page(self):
        b = self.hooked(self.endpoint(), ["auth_on_register"])
        self.online(b, "sensor-7")
        self.online(b, "c1", username="ann")
        env = dict(os.environ, VMQ_WEBHOOKS_SOCKET=b.socket)
        env["PATH"] = os.path.dirname(admin_tool()) + ":" + env["PATH"]
        commands = [line for f in fences(page("docs/admin.md"), "sh")
                    for line in f.splitlines()]
        self.assertGreater(len(commands), 10)
        for command in commands:
            command = command.replace(CONFIGURED, os.path.join(
                ROOT, "docs/examples/vmq_webhooks.conf"))
            done = subprocess.run(["bash", "-c", command], env=env,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, command + done.stderr)
            for word in "error", "alert":
                self.assertNotIn('{"%s"' % word, done.stdout, command)

    def test_readme(self):
        """Its commands are these; the first two are what runs us."""
        commands = [line.split("#")[0].strip()
                    for f in fences(page("README.md"), "sh")
                    for line in f.splitlines()]
        self.assertEqual(commands, ["make demo", "make check",
                                    "make && sudo make install"])
        with tempfile.TemporaryDirectory() as to:
            subprocess.run(["make", "-s", "install", "DESTDIR=" + to],
                           cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            self.assertTrue(os.path.exists(to + INSTALLED))
            self.assertTrue(os.access(to + "/usr/local/bin/vmq-admin",
                                      os.X_OK))
            completion = re.search("^source (.*)$", page("docs/admin.md"),
                                   re.M).group(1)
            self.assertEqual(page("completions/vmq-admin.bash"),
                             page(to + completion))


class Configuration(BrokerTest):

    def start(self, block):
        """A broker with a pasted block, its paths made ours."""
        files = {}
        path = re.search(r"plugin_opt_config_file (\S+)", block)
        if path:
            files["hooks.conf"] = "\n".join(
                "vmq_webhooks.a.%s" % line for line in
                ("hook = on_publish", "endpoint = http://127.0.0.1:1/"))
            block = block.replace(path.group(1), "@DIR@/hooks.conf")
        lines = [line for line in
                 block.replace(INSTALLED, plugin_path()).splitlines()
                 if not re.match(r"listener|allow_anonymous", line)]
        b = self.broker(plugin_lines=lines, files=files)
        self.assertTrue(b.alive())

    def test_blocks_can_be_pasted(self):
        for name in ("README.md", "docs/configuration.md"):
            found = blocks(name)
            self.assertGreater(len(found), 1)
            for block in found:
                with self.subTest(block=block):
                    self.start(block)

    def keys(self, key):
        """What the plugin allows beside a key that it does not know."""
        b = self.unstarted({key: "x"})
        text = re.search(r"no such key; allowed: ([^;\n]*)", b.refused())
        self.assertTrue(text, b.log())
        return text.group(1).split(", ")

    def test_every_key_is_documented(self):
        text = page("docs/configuration.md")
        webhook = self.keys("vmq_webhooks.w.zzzzzz")
        for name in webhook:
            self.assertIn("`vmq_webhooks.<name>.%s`" % name, text)
        way = text.split("## The way to an endpoint")[1].split("\n## ")[0]
        for name in self.keys("vmq_webhooks.zzzzzz"):
            if "`vmq_webhooks.<name>.%s`" % name not in way:
                self.assertIn("vmq_webhooks.%s" % name, text)

    def test_no_key_is_made_up(self):
        known = self.keys("vmq_webhooks.w.zzzzzz")
        for name in re.findall(r"`vmq_webhooks\.<name>\.(\w+)`",
                               page("docs/configuration.md")):
            self.assertIn(name, known)


class Truth(BrokerTest):

    def test_every_golden_rule_is_explained(self):
        rules = subprocess.run(
            [os.path.join(ROOT, "build/test/golden"), "rules"],
            capture_output=True, text=True, check=True).stdout.splitlines()
        rules += subprocess.run(
            ["python3", os.path.join(ROOT, "test/golden/mqtt.py"), "--rules"],
            capture_output=True, text=True, check=True).stdout.splitlines()
        rules = [line for line in rules if line.startswith("|")]
        self.assertGreater(len(rules), 5)
        text = page("docs/differences.md")
        for rule in rules:
            self.assertIn(rule, text)

    def test_links_lead_somewhere(self):
        for path in [os.path.join(ROOT, "README.md")] + \
                glob.glob(os.path.join(ROOT, "docs/*.md")):
            with open(path) as f:
                links = re.findall(r"\]\(([^)#:]+)\)", f.read())
            for link in links:
                to = os.path.join(os.path.dirname(path), link)
                self.assertTrue(os.path.exists(to), "%s: %s" % (path, link))
