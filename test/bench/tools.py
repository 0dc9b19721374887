"""The tools of the benchmark, and a broker without a chatty log.

Every tool ends when the benchmark does: an endpoint when its standard input
is closed, a load when its time is over or at SIGTERM.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test/broker"))

import host  # noqa: E402

BIN = os.path.join(os.path.dirname(host.plugin_path()), "bench")


class Failed(Exception):
    """A tool did not do its job: there is no figure."""


def quantile(values, q):
    values = sorted(values)
    return values[min(int(q * len(values)), len(values) - 1)]


def now():
    """The clock of the tools, in seconds."""
    return time.monotonic()


def start(name, *args, **kw):
    return subprocess.Popen([os.path.join(BIN, name)] +
                            [str(a) for a in args], text=True,
                            stdout=subprocess.PIPE, **kw)


def result_of(process, timeout=120):
    """The JSON object that a tool prints last."""
    out, _ = process.communicate(timeout=timeout)
    lines = out.strip().splitlines()
    if process.returncode or not lines:
        raise Failed("%s: exit code %s" % (
            os.path.basename(process.args[0]), process.returncode))
    return json.loads(lines[-1])


def options(words):
    """{"max_age": 5} as --max-age 5."""
    out = []
    for key, value in words.items():
        out += ["--" + key.replace("_", "-"), str(value)]
    return out


class Endpoint:
    """A running endpoint; `set`, `stats` and `times` as in endpoint.c."""

    def __init__(self, **words):
        self.process = start("endpoint", *options(words),
                             stdin=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = "http://127.0.0.1:%d/hook" % self.port

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def set(self, **words):
        self.get("/set?" + "&".join("%s=%s" % item for item in words.items()))

    def stats(self):
        return json.loads(self.get("/stats"))

    def count(self, hook):
        return self.stats()["hooks"].get(hook, 0)

    def times(self):
        return json.loads(self.get("/times"))

    def body(self):
        """The last request's."""
        return self.get("/last")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Broker(host.Broker):
    """One that logs no message and no connection."""

    def __init__(self, version="2.1", conf=None, **kw):
        os.environ["BROKER"] = self.version = version
        super().__init__(conf, plugin=conf is not None, **kw)
        # What users get is measured, not what the tests need.
        for key in getattr(host, "UNBOUNDED", ()):
            if "vmq_webhooks." + key not in (conf or {}):
                self.conf.pop("vmq_webhooks." + key, None)

    def config(self):
        return super().config().replace(
            "log_type all",
            "log_type error\nlog_type warning\nlog_type notice\n"
            "log_type information\nconnection_messages false\n"
            "max_queued_messages 0")

    def start(self, timeout=10):
        os.environ["BROKER"] = self.version
        return super().start(timeout)

    def __exit__(self, kind, *exc):
        self.kill()


def plain():
    """The broker that everything is compared with: no plugin."""
    return Broker(anonymous=True)


# What users have; tests of the suite go without.
DEFAULTS = {"vmq_webhooks.blocking_timeout": 1000,
            "vmq_webhooks.blocking_budget": 500}


def hooked(endpoint, *hooks, version="2.1", conf=None, **words):
    """The same broker with an endpoint on these hooks, and no opinion about
    the others."""
    settings = host.endpoint_conf(endpoint.url, hooks, **words)
    settings.update(DEFAULTS)
    if version == "2.1":
        settings["vmq_webhooks.default_policy"] = "ignore"
    settings.update(conf or {})
    return Broker(version, settings, anonymous=True)


def start_load(mode, broker, **words):
    return start("load", mode, "--port", broker.port, *options(words))


def load(mode, broker, **words):
    """The result of one run of the load generator."""
    out = result_of(start_load(mode, broker, **words))
    if out["lost"]:
        raise Failed("load %s: %d connections lost" % (mode, out["lost"]))
    return out


SLICE = 0.1
FOR_EVER = 3600


def by_turns(mode, brokers, seconds, **words):
    """What each broker acknowledged of a load of its own, the loads taking
    turns of a tenth of a second, in another order each time: whatever else
    the machine has to do hits all of them alike. Only their turns count: not
    how they begin nor how they end, as there the others are about."""
    loads = []
    try:
        for broker in brokers:
            loads.append(start_load(mode, broker, seconds=FOR_EVER, **words))
            time.sleep(3 * SLICE)  # to come online
            loads[-1].send_signal(signal.SIGSTOP)
            loads[-1].send_signal(signal.SIGUSR1)
        end = now() + seconds
        while now() < end:
            for process in random.sample(loads, len(loads)):
                process.send_signal(signal.SIGCONT)
                time.sleep(SLICE)
                process.send_signal(signal.SIGSTOP)
        results = []
        for process in loads:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            results.append(result_of(process))
    finally:
        for process in loads:
            process.kill()  # one that is stopped would stay for ever
    if any(out["lost"] for out in results):
        raise Failed("load %s: connections lost" % mode)
    return [out["done"] for out in results]


class Dump:
    """Where a load notes its answers: rows (sent, received, code), times in
    seconds."""

    def __init__(self):
        handle, self.path = tempfile.mkstemp(prefix="vmqbench")
        os.close(handle)

    def rows(self):
        with open(self.path) as f:
            return [(int(s) / 1e9, int(r) / 1e9, int(c))
                    for s, r, c in map(str.split, f)]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.unlink(self.path)


class HookCost:
    """The plugin's callbacks on the fake host, after `fill` questions: see
    hook_cost.c. `filled` is what it says of those."""

    def __init__(self, endpoint, fill, conf=None):
        settings = host.endpoint_conf(endpoint.url, ["auth_on_publish"])
        settings["vmq_webhooks.default_policy"] = "ignore"
        # it asks without a pause, which the default does not let it
        settings["vmq_webhooks.blocking_budget"] = 1000
        settings.update(conf or {})
        self.folder = tempfile.TemporaryDirectory(prefix="vmq")
        settings["vmq_webhooks.admin_socket"] = self.folder.name + "/sock"
        words = []
        for item in settings.items():
            words += ["--opt", "%s=%s" % item]
        self.process = start("hook-cost", "--plugin", host.plugin_path(),
                             "--fill", fill, *words, stdin=subprocess.PIPE)
        try:
            self.filled = self.answer()
        except BaseException:
            self.close()
            raise

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed("hook-cost: exit code %s" % self.process.wait())
        out = json.loads(line)
        if out["refused"]:
            raise Failed("%d publishes refused" % out["refused"])
        return out

    def draw(self, count):
        """What so many hits cost."""
        self.process.stdin.write("%d\n" % count)
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def asked(endpoint, fill, conf=None):
    """What so many questions cost, each for the first time."""
    with HookCost(endpoint, fill, conf) as host_of_ours:
        return host_of_ours.filled


def cache_cost(fill, rounds=3):
    """The cache alone: see cache_cost.c."""
    return result_of(start("cache-cost", "--fill", fill, "--rounds", rounds),
                     120)


def bare_curl(mode, endpoint, body, **words):
    with tempfile.NamedTemporaryFile("w", prefix="vmqbench") as f:
        f.write(body)
        f.flush()
        out = result_of(start("bare-curl", mode, "--url", endpoint.url,
                              "--body", f.name, *options(words)))
    if out["failed"]:
        raise Failed("bare-curl: %d failed" % out["failed"])
    return out
