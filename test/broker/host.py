"""One real broker for one test.

Environment:
    BROKER      2.0.11 (default), 2.0.21 or 2.1
    PLUGIN      path of the .so (build/vmq_webhooks.so)
    ADMIN       path of the command-line tool (build/vmq-admin)
    VALGRIND=1  run the broker under valgrind; an error fails the test (the
                known ones in valgrind.supp are those of 2.0.11)
    ASAN=1      PLUGIN is a sanitizer build: preload its runtime. For 2.0:
                2.1 comes with a libc newer than that runtime
    TIME_SCALE  multiplies every time limit (set by the two above)
    KEEP=1      leave the temporary folders
"""

import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import endpoint as endpoints
import mqtt

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
VERSIONS = ("2.0.11", "2.0.21", "2.1")

if "TIME_SCALE" not in os.environ:
    if os.environ.get("VALGRIND"):
        os.environ["TIME_SCALE"] = "10"
    elif os.environ.get("ASAN"):
        os.environ["TIME_SCALE"] = "3"

# The hooks that the plugin serves.
BOTH = ("auth_on_register", "auth_on_publish", "auth_on_subscribe",
        "on_register", "on_publish", "on_subscribe", "on_unsubscribe")
LIFE = ("on_client_wakeup", "on_client_offline", "on_client_gone")
AUTH = tuple(h + m for h in BOTH[:3] for m in ("", "_m5"))
ALL = tuple(h + m for h in BOTH for m in ("", "_m5")) + LIFE

UNBOUNDED = {"blocking_budget": 1000, "blocking_timeout": 20000,
             "connect_timeout": 20000}

# What users have who set nothing.
BOUNDED = {"vmq_webhooks.blocking_budget": 500,
           "vmq_webhooks.blocking_timeout": 1000}

# For tests that fail in a row on purpose: no breaker opens for it.
STEADY = {"vmq_webhooks.breaker_failures": 1000}

# For tests that look for a line of each of many: nothing is summed up.
EACH_LINE = {"vmq_webhooks.log_interval": 0}

TROUBLE = re.compile(
    r"ERROR: (?:Address|Leak|Thread|Memory)Sanitizer|runtime error:"
    r"|ERROR SUMMARY: [1-9]|definitely lost: [1-9]"
    r"|corrupted|double free|free\(\): |malloc\(\): |Assertion .* failed")


def version():
    return os.environ.get("BROKER", "2.0.11")


def plugin_path():
    return os.path.abspath(os.environ.get("PLUGIN") or
                           os.path.join(ROOT, "build/vmq_webhooks.so"))


def admin_tool():
    return os.path.abspath(os.environ.get("ADMIN") or
                           os.path.join(ROOT, "build/vmq-admin"))


def broker_path():
    path = os.path.join(ROOT, "build/brokers", version(), "mosquitto")
    if version() == "2.0.11" and not os.path.exists(path):
        path = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:"
                            + os.environ.get("PATH", "")) or path
    return path


def dynsec_path():
    """Mosquitto's own dynamic-security plugin for this version."""
    path = os.path.join(ROOT, "build/brokers", version(),
                        "plugins/mosquitto_dynamic_security.so")
    if version() == "2.0.11" and not os.path.exists(path):
        found = glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")
        path = found[0] if found else path
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wrapped(path):
    """True when an executable is a script that starts the real one."""
    with open(path, "rb") as f:
        return f.read(2) == b"#!"


def asan_runtime():
    names = subprocess.run(["ldd", plugin_path()], capture_output=True,
                           text=True).stdout
    return " ".join(re.findall(r"=> (\S*lib(?:asan|ubsan|tsan)\S*)", names))


def endpoint_conf(url, hooks=ALL, prefix="hook", **options):
    """{key: value} that registers an endpoint on these hooks, in order."""
    out = {}
    for i, hook in enumerate(hooks):
        name = "vmq_webhooks.%s%02d." % (prefix, i)
        out[name + "hook"] = hook
        out[name + "endpoint"] = url
        for key, value in options.items():
            out[name + key] = value
    return out


def inline(conf):
    """The lines of mosquitto.conf for {key: value}."""
    return ["plugin_opt_%s %s" % item for item in conf.items()]


def file_text(conf):
    """The text of a file in VerneMQ's format for {key: value}."""
    return "".join("%s = %s\n" % item for item in conf.items())


class Failed(AssertionError):
    """The broker did not start, crashed, or was found unclean."""


class Broker:
    """A mosquitto in a temporary folder.

    `conf` is what the plugin is told, inline; `plugin_lines` replaces the
    whole plugin part of mosquitto.conf. `lines` are other lines of
    mosquitto.conf, written before the plugin's.
    """

    def __init__(self, conf=None, lines=(), plugin_lines=None, plugin=True,
                 after=(), per_listener=False, anonymous=False,
                 admin_socket=True, env=None, files=None):
        self.conf = dict(conf or {})
        self.lines, self.after = list(lines), list(after)
        self.plugin, self.plugin_lines = plugin, plugin_lines
        self.per_listener, self.anonymous = per_listener, anonymous
        self.dir = tempfile.mkdtemp(prefix="vmq")
        self.log_path = os.path.join(self.dir, "log")
        self.socket = os.path.join(self.dir, "admin.sock")
        if admin_socket and plugin_lines is None:
            self.conf.setdefault("vmq_webhooks.admin_socket", self.socket)
        # Tests ask faster than users do, on a machine that does other things
        # as well: those of the limits themselves set them.
        for key, value in UNBOUNDED.items():
            self.conf.setdefault("vmq_webhooks." + key, value)
        self.env = dict(os.environ, **(env or {}))
        self.wrap = []          # a command that executes the broker's
        self.process = None
        self.port = None
        self.saved = None
        for name, text in (files or {}).items():
            self.write(name, text)

    # -- files ------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def config(self):
        out = ["user root", "log_dest stderr", "log_type all",
               "log_timestamp_format %s", "set_tcp_nodelay true"]
        if self.per_listener:
            out.append("per_listener_settings true")
        out.append("listener %d 127.0.0.1" % self.port)
        out.append("allow_anonymous %s" %
                   ("true" if self.anonymous else "false"))
        out += self.lines
        if self.plugin_lines is not None:
            out += self.plugin_lines
        elif self.plugin:
            out.append("plugin " + plugin_path())
            out += inline(self.conf)
        text = "\n".join(out + self.after) + "\n"
        return text.replace("@DIR@", self.dir).replace("@PLUGIN@",
                                                       plugin_path())

    # -- life -------------------------------------------------------------

    def command(self):
        path = broker_path()
        command = [path, "-c", self.path("mosquitto.conf")]
        if os.environ.get("VALGRIND"):
            # -q: the summary only when there is something to say
            command = ["valgrind", "-q", "--error-exitcode=99",
                       "--leak-check=full", "--num-callers=30",
                       "--show-leak-kinds=definite",
                       "--errors-for-leak-kinds=definite",
                       "--run-libc-freeres=no",
                       "--suppressions=" + os.path.join(
                           os.path.dirname(__file__), "valgrind.supp"),
                       "--trace-children=" +
                       ("yes" if wrapped(path) else "no")] + command
        return self.wrap + command

    def spawn(self):
        self.saved = None
        self.port = free_port()
        self.write("mosquitto.conf", self.config())
        env = self.env
        if os.environ.get("ASAN"):
            if not version().startswith("2.0"):
                raise Failed("ASAN=1 does not work with 2.1")
            env = dict(env, LD_PRELOAD=asan_runtime())
            env.setdefault("ASAN_OPTIONS", "detect_leaks=0")
            env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            self.command(), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, cwd=self.dir, env=env)
        log.close()

    def running(self):
        return re.search(r"mosquitto version \S+ running", self.log())

    def start(self, timeout=10):
        for _ in range(5):
            self.spawn()
            if self.wait_started(timeout):
                return self
            if "Address already in use" not in self.log():
                break
        raise Failed("%s did not start (exit code %s)" %
                     (version(), self.process.returncode))

    def wait_started(self, timeout):
        deadline = time.monotonic() + timeout * mqtt.time_scale()
        while time.monotonic() < deadline:
            if self.running():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        return False

    def refused(self, timeout=10):
        """Start it and expect that it gives up. Returns the log."""
        for _ in range(5):
            self.spawn()
            try:
                code = self.process.wait(timeout * mqtt.time_scale())
            except subprocess.TimeoutExpired:
                raise Failed("the broker runs; it was to refuse to start")
            if "Address already in use" not in self.log():
                break
        if code <= 0 or TROUBLE.search(self.log()):
            raise Failed("crashed at start-up, exit code %d" % code)
        return self.log()

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        """SIGHUP; returns once the broker says that it reloads."""
        before = len(re.findall("Reloading config", self.log()))
        self.signal(signal.SIGHUP)
        self.wait_log("Reloading config", n=before + 1)

    def alive(self):
        return self.process.poll() is None

    def stop(self, timeout=10):
        """SIGTERM; fails unless it ends with 0 and nothing to complain."""
        if not self.process or self.saved is not None:
            return
        code = self.process.poll()
        if code is None:
            code = self.terminate(timeout * mqtt.time_scale())
        self.saved = self.log()
        trouble = TROUBLE.search(self.saved)
        if code or trouble:
            raise Failed("exit code %s%s" %
                         (code, ", " + trouble.group() if trouble else ""))

    def terminate(self, timeout):
        """SIGTERM, and its exit code. The host forgets a signal that comes
        between "running" and its loop, hence the second one."""
        for limit in (timeout / 5, timeout * 4 / 5):
            self.process.terminate()
            try:
                return self.process.wait(limit)
            except subprocess.TimeoutExpired:
                pass
        self.process.send_signal(signal.SIGABRT)
        self.process.wait()
        self.saved = self.log()
        raise Failed("does not stop at SIGTERM")

    def kill(self):
        """End it whatever state it is in."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.saved is None:
            self.saved = self.log()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *exc):
        try:
            if kind is None:
                self.stop()
        finally:
            self.kill()

    @property
    def pid(self):
        return self.process.pid

    def rss(self):
        """Resident memory in kB."""
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    # -- the log ----------------------------------------------------------

    def log(self):
        if self.saved is not None:
            return self.saved
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_count(self, pattern):
        return len(re.findall(pattern, self.log(), re.I))

    def wait_log(self, pattern, n=1, timeout=5):
        """Wait for `n` matches in the log; returns the first line."""
        deadline = time.monotonic() + timeout * mqtt.time_scale()
        while self.log_count(pattern) < n:
            if time.monotonic() > deadline:
                raise AssertionError("not in the log: %s" % pattern)
            time.sleep(0.01)
        return self.lines_with(pattern)[0]

    def failures(self):
        """The lines about endpoints, but for those that only say that they
        were slow: on a busy machine that may happen."""
        return [line for line in self.lines_with(r"endpoint \w+://")
                if not re.search("stood still|held the broker", line)]

    def lines_with(self, pattern):
        return [line for line in self.log().splitlines()
                if re.search(pattern, line, re.I)]

    # -- administration ---------------------------------------------------

    def http(self, path, method="GET", timeout=5):
        """One request on the admin socket: (status, headers, body)."""
        connection = UnixConnection(self.socket, timeout *
                                    mqtt.time_scale())
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def api(self, words, query=(), timeout=5, root="webhooks"):
        """A command of VerneMQ's HTTP API: (status, decoded body)."""
        path = "/api/v1/%s/%s" % (root, words)
        if query:
            path += "?" + "&".join(
                k if v is None else "%s=%s" % (k, urllib.parse.quote(
                    str(v), safe="")) for k, v in query)
        status, _, body = self.http(path, timeout=timeout)
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body

    @contextlib.contextmanager
    def asking(self, path, timeout=10):
        """A request under way; what it gives waits for its answer."""
        connection = UnixConnection(self.socket, timeout *
                                    mqtt.time_scale())

        def answer():
            got = connection.getresponse()
            return got.status, json.loads(got.read())

        try:
            connection.request("GET", "/api/v1/webhooks/" + path)
            yield answer
        finally:
            connection.close()

    def admin(self, *args, root="webhooks"):
        """vmq-admin webhooks ...: a CompletedProcess with text."""
        return subprocess.run(
            [admin_tool(), root] + list(args),
            capture_output=True, text=True,
            timeout=20 * mqtt.time_scale(),
            env=dict(os.environ, VMQ_WEBHOOKS_SOCKET=self.socket))


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_path)


class Probe:
    """A client that does nothing but ping, and how long it had to wait."""

    def __init__(self, client):
        self.client = client
        self.waits = []         # (from, seconds)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.001):
            began = time.monotonic()
            self.client.barrier(timeout=30)
            self.waits.append((began, time.monotonic() - began))

    def stop(self):
        self.over.set()
        self.thread.join()
        return self

    def longest(self):
        return max(wait for _, wait in self.waits)

    def worst_second(self):
        """The most that it waited in any second, leaving out what a ping
        takes on a machine that does other things as well."""
        waits = [(a, a + w) for a, w in self.waits if w > 0.005]
        return max([sum(min(b, start + 1) - max(a, start)
                        for a, b in waits if b > start and a < start + 1)
                    for start in [a for a, _ in waits] +
                    [b - 1 for _, b in waits]], default=0)


class BrokerTest(unittest.TestCase):
    """What tests of the live broker have in common."""

    maxDiff = None

    def setUp(self):
        self.brokers = []
        if not os.path.exists(broker_path()):
            self.fail("no broker %s: run scripts/setup" % version())

    @property
    def v21(self):
        return not version().startswith("2.0")

    @property
    def v20(self):
        return version().startswith("2.0")

    @property
    def scale(self):
        return mqtt.time_scale()

    def endpoint(self, **kw):
        ep = endpoints.Endpoint(**kw).start()
        self.addCleanup(ep.stop)
        return ep

    def nobody(self):
        """A URL where nobody listens."""
        closed = endpoints.Closed()
        self.addCleanup(closed.stop)
        return closed.url

    def unstarted(self, *args, **kw):
        """A broker that is not started yet; the test sees to it."""
        b = Broker(*args, **kw)
        self.brokers.append(b)
        self.addCleanup(b.kill)
        return b

    def broker(self, *args, **kw):
        """A running broker. It must end well when the test is over."""
        b = self.unstarted(*args, **kw)
        b.start()
        self.addCleanup(b.stop)
        return b

    def hooked(self, ep, hooks=ALL, conf=None, **kw):
        """A broker with an endpoint on these hooks."""
        settings = endpoint_conf(ep.url, hooks)
        settings.update(conf or {})
        return self.broker(settings, **kw)

    def client(self, broker, client_id="c1", version=4, **kw):
        """A client that is not connected yet."""
        c = mqtt.Client(broker.port, client_id, version, **kw)
        self.addCleanup(c.close)
        return c

    def online(self, broker, client_id="c1", version=4, username="u",
               password="p", **kw):
        """A client that is connected."""
        c = self.client(broker, client_id, version)
        c.connect(username, password, **kw)
        return c

    def probe(self, broker, client_id="probe"):
        """A client of its own, logged in, that pings from now on."""
        probe = Probe(self.online(broker, client_id))
        self.addCleanup(probe.stop)
        return probe

    def recover(self, broker, client_id="recover"):
        """Log in until it succeeds: until a probe closed the breaker."""
        deadline = time.monotonic() + 5 * self.scale
        while True:
            c = self.client(broker, client_id)
            if c.connect("u", "p", rc=None)["rc"] == 0:
                c.disconnect()
                return
            c.close()
            if time.monotonic() > deadline:
                self.fail("the breaker stays open")
            time.sleep(0.01)

    def subscriber(self, broker, *filters, client_id="sub", version=4):
        c = self.online(broker, client_id, version, username="reader")
        c.subscribe(*(filters or ("#",)))
        return c

    def has(self, text, *patterns):
        """All of these are in the text, whatever the case."""
        for pattern in patterns:
            self.assertRegex(text, re.compile(pattern, re.I))

    def quick(self, took):
        """Of 40 times, the fastest quarter is below what one must expect
        (25 ms) when it takes until the broker's next tick."""
        self.assertEqual(len(took), 40)
        self.assertLess(sorted(took)[10], 0.015 * self.scale)

    def ms(self, milliseconds):
        """A time limit of the plugin's, at the pace of this run."""
        return int(milliseconds * self.scale)

    def hook(self, name, client_version):
        """The hook's name for a client's protocol."""
        return name + ("_m5" if client_version == 5 else "")
