"""vmq-admin for people and scripts: what it prints, byte by byte, who may
use it, and what the shell completes."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

from endpoint import OK
from host import BrokerTest, ROOT, admin_tool, endpoint_conf
from test_admin import DEFAULT
from test_docs import page

NOBODY, OTHER = 65534, 65533
SCRIPT = os.path.join(ROOT, "completions/vmq-admin.bash")
KEPT = (200, {"Cache-Control": "max-age=60"}, OK)


class CliTest(BrokerTest):

    def run_tool(self, b, *args, env=None, tool=None, **kw):
        """A CompletedProcess, in bytes."""
        kw.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(
            [tool or admin_tool()] + list(args), stderr=subprocess.PIPE,
            timeout=20 * self.scale,
            env=dict({**os.environ, "VMQ_WEBHOOKS_SOCKET":
                      b.socket if b else "/nonexistent"}, **(env or {})),
            **kw)

    def prints(self, b, line, expected, code=0):
        """The line prints just these bytes, and complains of nothing."""
        done = self.run_tool(b, *line.split())
        self.assertEqual((done.stdout, done.stderr, done.returncode),
                         (expected.encode(), b"", code), line)

    def fails(self, b, line, says, stdout=b""):
        """Exit code 1, and the reason on standard error."""
        done = self.run_tool(b, *line.split())
        self.assertEqual((done.stdout, done.returncode), (stdout, 1), done)
        self.has(done.stderr.decode(), says)
        return done.stderr.decode()


class Golden(CliTest):
    """VerneMQ's shapes: contract.md, section 14."""

    URL = "http://127.0.0.1:1/b?x=y==&z="

    def some(self):
        conf = endpoint_conf(self.URL, ("on_publish", "auth_on_register"))
        conf.update(endpoint_conf(
            "http://127.0.0.1:1/a", ("on_publish",), "later",
            response_timeout=77, base64encode="off"))
        return self.broker(conf)

    def test_table(self):
        b = self.some()
        table = """\
+------------------+-------------------------------+---------------+------------------+----------------------+
| hook             | endpoint                      | base64payload | response_timeout | origin               |
+------------------+-------------------------------+---------------+------------------+----------------------+
| on_publish       | http://127.0.0.1:1/b?x=y==&z= | true          | 5000             | vmq_webhooks.hook00  |
+------------------+-------------------------------+---------------+------------------+----------------------+
| on_publish       | http://127.0.0.1:1/a          | false         | 77               | vmq_webhooks.later00 |
+------------------+-------------------------------+---------------+------------------+----------------------+
| auth_on_register | http://127.0.0.1:1/b?x=y==&z= | true          | 5000             | vmq_webhooks.hook01  |
+------------------+-------------------------------+---------------+------------------+----------------------+
"""
        self.prints(b, "webhooks show", table)
        # which is there for people anyway
        self.prints(b, "webhooks show --origin", table)

    def test_table_without_rows(self):
        b = self.broker()
        for line in ("webhooks show", "webhooks cache show",
                     "webhooks show --format=csv",
                     "webhooks cache show --all --format=csv"):
            self.prints(b, line, "")
        for line in ("webhooks show --format=json",
                     "webhooks cache show --format=json"):
            self.prints(b, line, '{"table":[],"type":"table"}')

    def test_json(self):
        b = self.some()
        rows = ['{"hook":"on_publish","endpoint":"%s","base64payload":true,'
                '"response_timeout":5000}' % self.URL,
                '{"hook":"on_publish","endpoint":"http://127.0.0.1:1/a",'
                '"base64payload":false,"response_timeout":77}',
                '{"hook":"auth_on_register","endpoint":"%s",'
                '"base64payload":true,"response_timeout":5000}' % self.URL]
        self.prints(b, "webhooks show --format=json",
                    '{"table":[%s],"type":"table"}' % ",".join(rows))

    def test_csv(self):
        b = self.some()
        self.prints(b, "webhooks show --format=csv",
                    "hook,endpoint,base64payload,response_timeout\r\n"
                    "on_publish,%s,true,5000\r\n"
                    "on_publish,http://127.0.0.1:1/a,false,77\r\n"
                    "auth_on_register,%s,true,5000\r\n" %
                    (self.URL, self.URL))
        self.has(self.run_tool(b, "webhooks", "show", "--format=csv",
                               "--origin").stdout.decode(),
                 "^hook,endpoint,base64payload,response_timeout,origin\r\n",
                 ",vmq_webhooks.later00\r\n")

    def test_csv_quotes(self):
        b = self.broker()
        self.prints(b, "webhooks register hook=on_publish "
                    "endpoint=http://h/a,b", "Done\n")
        self.prints(b, "webhooks register hook=on_publish "
                    "endpoint=http://h/'c'", "Done\n")
        self.prints(b, "webhooks register hook=on_publish "
                    'endpoint=http://h/"d",""', "Done\n")
        self.prints(b, "webhooks show --format=csv",
                    "hook,endpoint,base64payload,response_timeout\r\n"
                    'on_publish,"http://h/a,b",true,5000\r\n'
                    "on_publish,http://h/'c',true,5000\r\n"
                    'on_publish,"http://h/""d"",""""",true,5000\r\n')

    def test_text(self):
        b = self.broker()
        line = "webhooks register hook=on_publish endpoint=http://h/%d"
        self.prints(b, line % 1, "Done\n")
        self.prints(b, line % 2 + " --format=json",
                    '{"text":"Done","type":"text"}')
        self.prints(b, line % 3 + " --format=csv", "")
        self.assertEqual(len(b.api("show")[1]["table"]), 3)
        self.prints(b, "webhooks cache show --reset", "Done\n")
        self.prints(b, "webhooks cache clear", "Done\n")
        self.prints(b, "webhooks deregister hook=on_publish "
                    "endpoint=http://h/3", "Done\n")

    def test_alert(self):
        b = self.broker()
        twice = "webhooks register hook=on_publish endpoint=http://h/"
        never = "webhooks deregister hook=on_publish endpoint=http://x/"
        self.prints(b, twice, "Done\n")
        for line, text in (
                (twice, "can't register endpoint due to "
                 "'already_registered'"),
                (never, "can't deregister endpoint due to 'not_found'")):
            said = "vmq-admin: %s\n" % text
            self.assertEqual(self.fails(b, line, ""), said)
            self.assertEqual(self.fails(b, line + " --format=csv", ""), said)
            self.assertEqual(self.fails(
                b, line + " --format=json", "", b'{"alert":[{"text":"' +
                text.encode() + b'","type":"text"}],"type":"alert"}'), said)

    def cached(self):
        """Two endpoints and hooks: a hit, and two and three misses."""
        ep = self.endpoint(auth_on_register=KEPT, auth_on_publish=KEPT)
        other = self.endpoint(auth_on_register={"result": "next"})
        conf = endpoint_conf(other.url, ("auth_on_register",), "a")
        conf.update(endpoint_conf(
            ep.url, ("auth_on_register", "auth_on_publish"), "b"))
        b = self.broker(conf)
        for _ in range(2):
            self.online(b, "c1").disconnect()
        c = self.online(b, "c2")
        c.publish("t", "x", 1)
        c.publish("t", "x", 1)
        return b, ep.url, other.url

    def cache_rows(self, first, second):
        """Descending by stat, endpoint, hook."""
        rows = [("hits", first, "auth_on_publish", 1),
                ("hits", first, "auth_on_register", 1),
                ("misses", first, "auth_on_publish", 1),
                ("misses", first, "auth_on_register", 2),
                ("misses", second, "auth_on_register", 3),
                ("entries", first, "auth_on_publish", 1),
                ("entries", first, "auth_on_register", 2)]
        return sorted(rows, reverse=True)

    def test_cache(self):
        b, first, second = self.cached()
        rows = self.cache_rows(first, second)
        names = ("stat", "endpoint", "hook", "value")
        self.prints(b, "webhooks cache show --format=csv",
                    "stat,endpoint,hook,value\r\n" +
                    "".join("%s,%s,%s,%d\r\n" % r for r in rows))
        self.prints(b, "webhooks cache show --format=json",
                    '{"table":%s,"type":"table"}' % json.dumps(
                        [dict(zip(names, r)) for r in rows],
                        separators=(",", ":")))
        wide = max(len(first), len(second))
        border = "+---------+%s+------------------+-------+\n" % (
            "-" * (wide + 2))
        self.prints(b, "webhooks cache show", border +
                    "| stat    | %s | hook             | value |\n" %
                    "endpoint".ljust(wide) + border + "".join(
                        "| %-7s | %s | %-16s | %-5d |\n" %
                        (s, e.ljust(wide), h, v) + border
                        for s, e, h, v in rows))

    def on_terminal(self, b, *args):
        """What is written to a terminal."""
        ours, theirs = pty.openpty()
        done = self.run_tool(b, *args, stdout=theirs)
        os.close(theirs)
        out = b""
        try:
            while True:
                piece = os.read(ours, 65536)
                if not piece:
                    break
                out += piece
        except OSError:
            pass
        os.close(ours)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return out.decode().replace("\r\n", "\n")

    def test_bold_at_a_terminal_only(self):
        b = self.broker(endpoint_conf("http://h/", ("on_publish",)))
        plain = self.run_tool(b, "webhooks", "show").stdout.decode()
        bold = self.on_terminal(b, "webhooks", "show")
        self.assertNotIn("\033", plain)
        self.assertEqual(bold.replace("\033[1m", "").replace("\033[0m", ""),
                         plain)
        self.assertEqual(re.findall("\033\\[1m(\\w+)\033\\[0m", bold),
                         ["hook", "endpoint", "base64payload",
                          "response_timeout", "origin"])
        self.assertEqual(bold.count("\033"), 10)
        self.assertIn("| \033[1mhook\033[0m       | ", bold)

    def test_other_formats_at_a_terminal(self):
        b = self.broker(endpoint_conf("http://h/", ("on_publish",)))
        for form in ("json", "csv"):
            text = self.on_terminal(b, "webhooks", "show", "--format", form)
            self.assertNotIn("\033", text)
            self.assertIn("http://h/", text)


class Line(CliTest):
    """The command line."""

    def test_unknown_formats(self):
        b = self.broker()
        for form in ("xml", "JSON", "hum", "csv,json"):
            self.fails(b, "webhooks show --format=" + form,
                       'human, json or csv, not "%s"' % form)
        self.fails(b, "webhooks show --format=", "--format needs a value")
        self.fails(b, "webhooks show --format", "--format needs a value")
        self.fails(b, "webhooks show --socket", "--socket needs a value")

    def test_any_order(self):
        b = self.broker(endpoint_conf("http://h/", ("on_publish",)))
        want = self.run_tool(b, "webhooks", "cache", "show",
                             "--format=json").stdout
        self.assertTrue(want)
        for line in ("--format=json webhooks cache show",
                     "webhooks --format json cache show",
                     "webhooks cache --format=json show",
                     "--socket %s --format json webhooks cache show" %
                     b.socket, "webhooks cache show --format json --all"):
            self.prints(b, line, want.decode())
        self.prints(b, "--reset webhooks cache show", "Done\n")
        self.prints(b, "endpoint=http://h/2 --base64payload false webhooks "
                    "hook=on_publish register", "Done\n")

    def test_socket(self):
        first, second = self.broker(), self.broker(
            endpoint_conf("http://h/", ("on_publish",)))
        for line in ("--socket=%s webhooks show", "webhooks show --socket %s",
                     "webhooks --socket=%s show"):
            done = self.run_tool(first, *(line % second.socket).split())
            self.assertIn(b"http://h/", done.stdout)
        self.prints(first, "webhooks show", "")
        self.fails(None, "webhooks show", "no socket /nonexistent")
        self.fails(second, "webhooks show --socket=" + first.socket + "x",
                   re.escape(first.socket + "x"))

    def test_empty_variable_is_none(self):
        done = self.run_tool(None, "webhooks", "show",
                             env={"VMQ_WEBHOOKS_SOCKET": ""})
        if done.returncode or not os.path.exists(DEFAULT):
            self.assertIn(DEFAULT, done.stderr.decode())

    def test_help_anywhere(self):
        """Also with what else is wrong, and nothing happens."""
        b = self.broker()
        usage = self.run_tool(b, "webhooks", "register", "--help").stdout
        self.has(usage.decode(), r"^Usage: vmq-admin webhooks register "
                 r"hook=<hook> endpoint=<url>", "base64payload", "5000")
        for line in ("--help webhooks register", "webhooks --help register",
                     "webhooks register -h", "webhooks register --help x",
                     "webhooks register hook=on_publish --help "
                     "endpoint=http://h/", "webhooks register --bogus=1 -h",
                     "--format=xml webhooks register --help",
                     "--socket /x webhooks register --help"):
            self.prints(b, line, usage.decode())
        self.prints(b, "webhooks show", "")
        self.assertEqual(b.log_count("admin:"), 0)

    def test_groups(self):
        b = self.broker()
        for line, wrong in (("", "a command is missing"),
                            ("webhooks", "a sub-command is missing"),
                            ("webhooks cache", "a sub-command is missing"),
                            ("bogus", 'unknown command "bogus"'),
                            ("webhooks bogus",
                             'unknown sub-command "webhooks bogus"'),
                            ("webhooks cache bogus more",
                             'unknown sub-command "webhooks cache bogus"'),
                            ("webhooks show more",
                             'webhooks show does not take "more"')):
            said = self.fails(b, line, "vmq-admin: " + re.escape(wrong))
            self.has(said, "\n\nUsage: vmq-admin")
            done = self.run_tool(b, *line.split(), "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(said.split("\n\n", 1)[1], done.stdout.decode())

    def test_missing_arguments(self):
        b = self.broker()
        for line, wrong in (
                ("webhooks register endpoint=http://h/", "hook=... is miss"),
                ("webhooks register hook=on_publish", "endpoint=... is miss"),
                ("webhooks deregister", "hook=... is missing")):
            self.has(self.fails(b, line, re.escape(wrong)),
                     "\nUsage: vmq-admin " + " ".join(line.split()[:2]))

    def test_full_output(self):
        """A result that cannot be written is no success."""
        b = self.broker(endpoint_conf("http://h/", ("on_publish",)))
        for form in ("human", "json", "csv"):
            with open("/dev/full", "wb") as full:
                done = self.run_tool(b, "webhooks", "show", "--format=" +
                                     form, stdout=full)
            self.assertEqual(done.returncode, 1)
            self.has(done.stderr.decode(), "cannot write")


class Table(CliTest):
    """Usage, completion and broker tell the same."""

    def complete(self, *words):
        return self.run_tool(None, "--complete",
                             *words).stdout.decode().splitlines()

    def leaves(self, words=()):
        """The words of every command."""
        usage = self.run_tool(None, *words, "--help").stdout.decode()
        if not re.match(r"Usage: .*<(sub-)?command>", usage):
            return [words]
        out = []
        for name, summary in re.findall(r"^    (\S+) *(.*)$", usage, re.M):
            self.assertTrue(summary, "no summary: %s %s" % (words, name))
            out += self.leaves(words + (name,))
        return out

    def asked(self):
        """The commands that ask the broker."""
        return [w for w in self.leaves() if w != ("check",)]

    def test_every_command_has_its_usage(self):
        leaves = self.leaves()
        self.assertGreaterEqual(len(leaves), 5)
        for words in leaves:
            done = self.run_tool(None, *words, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            lines = done.stdout.decode().splitlines()
            self.has(lines[0], "^Usage: vmq-admin " + " ".join(words))
            for line in lines:
                self.assertLessEqual(len(line), 80, line)

    def test_words_are_completed(self):
        for words in self.leaves():
            for n, word in enumerate(words):
                self.assertIn(word, self.complete(*words[:n], ""))
                self.assertIn(word, self.complete(*words[:n], word[:2]))
                self.assertEqual(self.complete(*words[:n], word + "x"), [])

    def arguments(self, words):
        """Names that completion offers for a command of its own."""
        return [a for a in self.complete(*words, "")
                if a not in ("--format=", "--socket=", "--help")]

    def test_the_broker_knows_what_is_offered(self):
        b = self.broker()
        for words in self.asked():
            for arg in self.arguments(words):
                _, _, body = b.http("/api/v1/%s?%szz" % ("/".join(words), arg)
                                    if arg.endswith("=") else "/api/v1/%s?%s"
                                    % ("/".join(words), arg), timeout=20)
                self.assertNotIn(b"unknown argument", body, (words, arg))

    def test_what_the_broker_knows_is_offered(self):
        b = self.broker()
        for words in self.asked():
            _, _, body = b.http("/api/v1/%s?zzzzzzzz" % "/".join(words),
                                timeout=20)
            usage = re.search(r"usage: (.*)\"", body.decode())
            if not usage:
                continue        # it takes any
            known = re.findall(r"(--[\w-]+=?|[\w-]+=)(?=<|\w|\]|\||$| )",
                               usage.group(1))
            for arg in known:
                self.assertIn(arg, self.arguments(words), words)

    def test_hooks_are_the_brokers(self):
        b = self.broker()
        error = b.api("register", [("hook", "zzzzzzzz"),
                                   ("endpoint", "http://h/")])[1]["error"]
        known = re.search("there are (.*)", error).group(1).split(", ")
        self.assertEqual(len(known), 22)
        self.assertEqual(self.complete("webhooks", "register", "hook="),
                         ["hook=" + name for name in sorted(known)])

    def test_arguments_are_offered_once(self):
        line = ["webhooks", "register", "hook=on_publish", "--base64payload",
                "true", "--no_payload=true"]
        got = self.complete(*line, "")
        self.assertIn("endpoint=", got)
        self.assertIn("--response_timeout=", got)
        for arg in ("hook=", "--base64payload=", "--no_payload="):
            self.assertNotIn(arg, got)
        self.assertEqual(self.complete(*line, "--resp"),
                         ["--response_timeout="])

    def test_values(self):
        register = ("webhooks", "register")
        for words, expected in (
                (register + ("hook=auth_on_register",),
                 ["hook=auth_on_register", "hook=auth_on_register_m5"]),
                (register + ("--base64payload=",),
                 ["--base64payload=true", "--base64payload=false"]),
                (register + ("--base64payload", "t"), ["true"]),
                (("--format=",),
                 ["--format=human", "--format=json", "--format=csv"]),
                (register + ("--format", ""), ["human", "json", "csv"]),
                (register + ("--response_timeout=",), []),
                (register + ("--response_timeout", ""), []),
                (register + ("--socket", ""), []),
                (register + ("bogus=",), []),
                (("bogus", ""), []),
                (("webhooks", "show", "hook="), []),
                (("--fo",), ["--format="])):
            self.assertEqual(self.complete(*words), expected, words)

    def test_nothing_to_complete(self):
        self.assertIn("webhooks", self.complete())


class Completion(CliTest):
    """The script, in bash."""

    def split(self, line):
        """As bash does, without quotes in it."""
        words = re.findall(r"[=:]+|[^\s=:]+", line)
        return words + ([""] if line[-1:].isspace() else [])

    def offered(self, line, words=None, socket="/nonexistent"):
        words = words or self.split(line)
        script = """
. "$1"; line=$2; shift 2
COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_vmq_admin 2>&1
printf '%s\\n' "${COMPREPLY[@]}"
"""
        done = subprocess.run(
            ["bash", "-c", script, "bash", SCRIPT, line] + words,
            capture_output=True, text=True, timeout=20 * self.scale,
            env=dict(os.environ, VMQ_WEBHOOKS_SOCKET=socket,
                     PATH=os.path.dirname(admin_tool()) + ":" +
                     os.environ["PATH"]))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_words(self):
        self.assertIn("webhooks", self.offered("vmq-admin "))
        self.assertIn("register", self.offered("vmq-admin webhooks "))
        self.assertEqual(self.offered("vmq-admin webhooks dereg"),
                         ["deregister"])
        self.assertEqual(self.offered("vmq-admin  --format json webhooks "
                                      " cache cl"), ["clear"])

    def test_behind_an_equals_sign(self):
        line = "vmq-admin webhooks register hook="
        self.assertEqual(len(self.offered(line)), 22)
        self.assertEqual(self.offered(line + "auth_on_sub"),
                         ["auth_on_subscribe", "auth_on_subscribe_m5"])
        self.assertEqual(self.offered(
            line + "on_publish endpoint=http://h:1/x --no_payload="),
            ["true", "false"])
        self.assertEqual(self.offered(
            line + "on_publish endpoint=http://h:1/x --no_pay"),
            ["--no_payload="])
        self.assertEqual(self.offered("vmq-admin webhooks show --format=j"),
                         ["json"])

    def test_in_quotes(self):
        line = 'vmq-admin webhooks register "hook=auth_on_register_'
        self.assertEqual(self.offered(line, line.split()),
                         ["hook=auth_on_register_m5"])

    def test_cursor_in_the_middle(self):
        line = "vmq-admin webhooks sh endpoint=http://h/"
        script = """
. "$1"; COMP_LINE=$2 COMP_POINT=21; shift 2
COMP_WORDS=("$@") COMP_CWORD=2
_vmq_admin 2>&1
printf '%s\\n' "${COMPREPLY[@]}"
"""
        done = subprocess.run(
            ["bash", "-c", script, "bash", SCRIPT, line] + self.split(line),
            capture_output=True, text=True, env=dict(
                os.environ, PATH=os.path.dirname(admin_tool()) + ":" +
                os.environ["PATH"]))
        self.assertEqual(done.stdout.split(), ["show"])

    def test_endpoints_of_the_broker(self):
        b = self.broker()
        for url in ("http://h:81/a", "http://h:81/b?c=d&e=f", "http://i/",
                    "http://u:secret@h:81/c"):
            for hook in ("on_publish", "on_subscribe"):
                b.api("register", [("hook", hook), ("endpoint", url)])
        line = "vmq-admin webhooks deregister hook=on_publish endpoint="
        self.assertEqual(self.offered(line, socket=b.socket),
                         ["http://h:81/a", "http://h:81/b\\?c=d\\&e=f",
                          "http://i/"])
        # what bash replaces begins behind the last colon or equals sign
        self.assertEqual(self.offered(line + "http:", socket=b.socket),
                         ["//h:81/a", "//h:81/b\\?c=d\\&e=f", "//i/"])
        self.assertEqual(self.offered(line + "http://h:8", socket=b.socket),
                         ["81/a", "81/b\\?c=d\\&e=f"])
        self.assertEqual(self.offered(line + "http://h:81/b\\?c=",
                                      socket=b.socket), ["d\\&e=f"])
        self.assertEqual(self.offered(line + "ftp:", socket=b.socket), [])
        self.assertEqual(self.offered(line + " --socket=" + b.socket +
                                      " endpoint="), ["http://h:81/a",
                         "http://h:81/b\\?c=d\\&e=f", "http://i/"])
        # and without a broker none, but no complaint either
        self.assertEqual(self.offered(line), [])

    def test_at_a_prompt(self):
        """bash itself, with the tabulator key."""
        pid, fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ,
                        struct.pack("HHHH", 24, 500, 0, 0))
            os.environ.update(
                PATH=os.path.dirname(admin_tool()) + ":" + os.environ["PATH"],
                PS1="> ", TERM="dumb", HISTFILE="/dev/null")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.addCleanup(os.close, fd)
        self.typed = b""
        self.say(fd, b"bind 'set bell-style none'; . '%s'; echo re''ady\n" %
                 SCRIPT.encode(), "ready\r")
        self.say(fd, b"vmq-admin webh\tdereg\tho\t", "deregister hook=")
        self.say(fd, b"auth_on_register_\tend\t",
                 "auth_on_register_m5 endpoint=")
        self.say(fd, b"http://h/ --form\tcs\t", "--format=csv ")
        self.say(fd, b"\x15exit\n", "exit")
        os.waitpid(pid, 0)

    def say(self, fd, keys, expected):
        """Type, and wait until that is on the screen."""
        deadline = time.monotonic() + 20 * self.scale
        self.typed = b""
        os.write(fd, keys)
        while expected not in self.typed.decode(errors="replace"):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([fd], [], [], left)[0]:
                self.fail("on the screen: %r" % self.typed)
            try:
                self.typed += os.read(fd, 4096)
            except OSError:
                break


class Users(CliTest):
    """vmq_webhooks.admin_users: SO_PEERCRED behind the file's mode."""

    def group_may_connect(self, b, mode=0o710):
        os.chmod(b.dir, mode)

    def as_user(self, b, uid, *args, gid=0):
        """As a member of the broker's group, which its mode lets in."""
        tool = b.path("vmq-admin")      # where that user can read it
        if not os.path.exists(tool):
            shutil.copy(admin_tool(), tool)
            os.chmod(tool, 0o755)
        done = self.run_tool(b, *(args or ("webhooks", "show",
                                           "--format=json")), tool=tool,
                             user=uid, group=gid, extra_groups=[])
        return done.returncode, done.stderr.decode()

    def refused(self, b, uid, gid=0):
        code, said = self.as_user(b, uid, gid=gid)
        self.assertEqual(code, 1)
        self.has(said, "uid %d may not use this socket" % uid,
                 "admin_users")

    def allowed(self, b, uid, gid=0):
        self.assertEqual(self.as_user(b, uid, gid=gid), (0, ""))

    def test_the_group_is_not_enough(self):
        b = self.broker()
        self.group_may_connect(b)
        self.allowed(b, 0)
        self.refused(b, NOBODY)
        code, _ = self.as_user(b, NOBODY, "webhooks", "register",
                               "hook=on_publish", "endpoint=http://h/")
        self.assertEqual(code, 1)
        self.assertEqual(b.api("show")[1]["table"], [])
        b.wait_log("admin: refused a request of uid %d pid" % NOBODY)

    def test_the_mode_comes_first(self):
        b = self.broker({"vmq_webhooks.admin_users": "0,%d" % OTHER})
        self.group_may_connect(b, 0o755)
        code, said = self.as_user(b, OTHER, gid=OTHER)
        self.assertEqual(code, 1)
        self.has(said, "no permission")
        self.allowed(b, OTHER)

    def test_status_403_whatever_is_asked(self):
        b = self.broker()
        self.group_may_connect(b)
        for args in (["/api/v1/webhooks/show"], ["/"],
                     ["-X", "POST", "/api/v1/webhooks/cache/clear"],
                     ["-X", "PUT", "/api/v1/webhooks/show"],
                     ["-d", "a=b", "/api/v1/webhooks/show"],
                     ["-I", "/api/v1/webhooks/show"]):
            done = subprocess.run(
                ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                 "--unix-socket", b.socket] + args[:-1] +
                ["http://localhost" + args[-1]], capture_output=True,
                text=True, user=NOBODY, group=0, extra_groups=[])
            self.assertEqual(done.stdout, "403", args)

    def test_refusals_do_not_flood_the_log(self):
        b = self.broker()
        self.group_may_connect(b)
        script = """
import http.client, socket, sys
for _ in range(500):
    c = http.client.HTTPConnection("localhost")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(sys.argv[1])
    c.request("GET", "/api/v1/webhooks/show")
    assert c.getresponse().status == 403
    c.close()
"""
        subprocess.run(["python3", "-c", script, b.socket], check=True,
                       user=NOBODY, group=0, extra_groups=[])
        b.stop()
        lines = b.lines_with("admin: refused")
        self.assertLess(len(lines), 20)
        more = re.findall(r"refused (\d+) more requests", b.log())
        singles = len(lines) - len(more)
        self.assertEqual(sum(map(int, more)) + singles, 500)

    def test_the_brokers_own_user(self):
        b = self.unstarted()
        os.chmod(b.dir, 0o755)
        os.chown(b.dir, NOBODY, NOBODY)
        b.wrap = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY,
                  "--clear-groups"]
        b.start()
        self.addCleanup(b.stop)
        self.assertEqual(os.stat(b.socket).st_uid, NOBODY)
        self.allowed(b, NOBODY, NOBODY)
        self.allowed(b, 0)
        self.refused(b, OTHER, NOBODY)

    def test_names_and_numbers(self):
        b = self.broker({"vmq_webhooks.admin_users":
                         "nobody, 0 ,%d" % OTHER})
        self.group_may_connect(b)
        for uid in (0, NOBODY, OTHER):
            self.allowed(b, uid)
        self.refused(b, 1)

    def test_the_list_is_complete(self):
        """Root is not on it."""
        b = self.broker({"vmq_webhooks.admin_users": "nobody"})
        self.group_may_connect(b)
        self.refused(b, 0)
        self.allowed(b, NOBODY)

    def test_it_outlasts_a_registration(self):
        b = self.broker({"vmq_webhooks.admin_users": "root,nobody"})
        self.group_may_connect(b)
        self.assertEqual(b.api("register", [
            ("hook", "on_publish"), ("endpoint", "http://h/")])[0], 200)
        self.allowed(b, NOBODY)
        self.refused(b, OTHER)

    def test_unknown_users_stop_the_start(self):
        b = self.unstarted({"vmq_webhooks.admin_users": "root,rooot-"})
        self.has(b.refused(), r"plugin_opt_vmq_webhooks\.admin_users: no "
                 r'user "rooot-"; allowed: user names or numeric ids')
        b = self.unstarted({"config_file": "@DIR@/hooks.conf"}, files={
            "hooks.conf": "\n\nvmq_webhooks.admin_users = root, , 7\n"})
        self.has(b.refused(), r"hooks\.conf:3: vmq_webhooks\.admin_users: "
                 r'no user ""')

    def test_the_docs_example(self):
        """Its users, whoever exists here."""
        found = re.search(r"^vmq_webhooks\.admin_users = (.*)$",
                          page("docs/admin.md"), re.M).group(1)
        names = found.split(", ")
        self.assertEqual(names, ["root", "mosquitto", "alice", "bob"])
        b = self.broker({"vmq_webhooks.admin_users":
                         "root, nobody, daemon, bin"})
        self.assertEqual(b.api("show")[0], 200)
