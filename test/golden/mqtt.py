#!/usr/bin/env python3
"""mqtt.py [-j N] [-o PATTERN] FILE...
       mqtt.py --rules

Plays recorded conversations of clients with a VerneMQ broker against a real
Mosquitto with the plugin, and compares the hooks that are called and the
packets that are received with what is expected: the recording, and where a
rule of mqtt_rules.py applies, what was decided instead. Prints each
mismatch, then how many cases each rule was used in, then "N passed, N
failed" alone on the last line. Exits 1 on any failure, 2 when it could not
do its work.

mqtt_model.py is checked against every recording first: without rules it must
lead to exactly what was recorded. A case that it does not explain fails.
-o plays the cases whose id or name has PATTERN; --rules lists the rules.

Environment: BROKER (2.1), PLUGIN, VALGRIND, ASAN, TIME_SCALE and KEEP as in
test/broker/host.py; BLOCKING=1 gives on_deliver and on_unsubscribe
`blocking = on` (2.1 only).
"""

import argparse
import json
import multiprocessing
import os
import select
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
# Before this folder: `mqtt` is the client there, not this file.
sys.path[:0] = [os.path.join(HERE, "..", "broker"), HERE]
sys.dont_write_bytecode = True
os.environ.setdefault("BROKER", "2.1")

import endpoint as endpoints  # noqa: E402
import host  # noqa: E402
import mqtt  # noqa: E402
from mqtt_model import (  # noqa: E402
    MADE_UP, Model, Step, plain, recorded_id, retained_before)
from mqtt_rules import RULES, Host, Rules  # noqa: E402

WITH_M5 = ("auth_on_register", "auth_on_publish", "auth_on_subscribe",
           "on_register", "on_publish", "on_subscribe", "on_unsubscribe",
           "on_deliver")
HOOKS = tuple(h + m for h in WITH_M5 for m in ("", "_m5")) + (
    "on_auth_m5", "on_offline_message", "on_client_wakeup",
    "on_client_offline", "on_client_gone", "on_session_expired")
BLOCKING = ("on_deliver", "on_unsubscribe")

PATIENCE = 3.0      # seconds that a step may take to show what is expected
WAITING = 8.0       # the same after a wait: 2.0 looks at keep-alives rarely
RETRIES = 15.0      # the same where notifications are tried again
IMPATIENCE = 0.2    # once something was missing
# Decision 19: a notification answered so is sent again.
RETRIED = (429, 502, 503, 504)
# These may come a step later (golden/README.md).
LEAVING = ("on_client_gone", "on_client_offline", "on_session_expired")
# What comes in has its own order: VerneMQ tells of it from another process,
# and here the subscriptions of a packet are told once it is through
# (decision 4).
FLOATING = ("on_deliver", "on_offline_message")
SEEDER = "seeder"


# ---- clients ----

class Client(mqtt.Client):
    """A client that is read whenever there is something to read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.fresh = []         # packets since they were last taken
        self.pings = []         # of each PINGREQ: whether it was a barrier
        self.up = False         # CONNACK 0 came

    def pump(self):
        ended = False
        while self.sock and select.select([self.sock], [], [], 0)[0]:
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                data = b""
            self.buf += data
            if not data:
                self.close()
                ended = True
        packet = self._split()
        while packet:
            self.take(mqtt.decode(*packet, self.version))
            packet = self._split()
        if ended:
            self.fresh.append(dict(mqtt.CLOSED))
            self.up = False

    def take(self, p):
        if p["type"] == "PINGRESP" and self.pings.pop(0):
            return
        self.fresh.append(p)
        self._acknowledge(p)
        if p["type"] == "PUBREC" and p.get("rc", 0) < 0x80:
            self.ack("PUBREL", p["mid"])
        if p["type"] == "CONNACK":
            self.up = p["rc"] == 0

    def ping(self, barrier):
        self.pings.append(barrier)
        self.send("PINGREQ", 0, b"")

    def taken(self):
        fresh, self.fresh = self.fresh, []
        return fresh


# ---- one conversation ----

def translate(answer):
    """An answer of the recording as the endpoint gives it."""
    if answer.get("drop"):
        return endpoints.Drop()
    out = (answer.get("status", 200), dict(answer.get("headers", [])),
           mqtt.to_bytes(answer.get("body")))
    if answer.get("delay_ms"):
        return endpoints.Delay(answer["delay_ms"] / 1000, out)
    return out


class Play:
    """One case on a stage's broker."""

    def __init__(self, stage, case, model):
        self.stage, self.case, self.model = stage, case, model
        self.clients_of = model.clients
        self.mark = "-g%d" % stage.number()
        self.symbols = {}       # actual client id: as the model has it
        self.clients = {}
        self.unknown = False    # a client without an id of its own connects
        self.patience = self.most_patience()

    def most_patience(self):
        retried = any(a.get("status") in RETRIED and
                      plain(h) not in ("auth_on_register", "auth_on_publish",
                                       "auth_on_subscribe", "on_auth")
                      for h, a in self.case["hook_answers"].items())
        return (RETRIES if retried else PATIENCE) * mqtt.time_scale()

    def run(self, expectations):
        """The Steps as the broker takes them."""
        out = []
        for step, expected in zip(self.case["steps"], expectations):
            seen = Step()
            getattr(self, "do_" + step["do"])(step)
            self.settle(step, expected, seen)
            out.append(seen)
        return out

    # -- acting ------------------------------------------------------------

    def actual(self, symbol):
        """The client id on this broker; sessions must not meet."""
        out = symbol.replace("$", "") + self.mark if symbol else ""
        if out:
            self.symbols[out] = symbol
        return out

    def do_connect(self, step):
        letter, args = step["client"], step["args"]
        client_id = self.clients_of.id(step)
        self.unknown = "$" + letter if not client_id else False
        c = Client(self.stage.broker.port, self.actual(client_id),
                   self.clients_of.version(letter))
        self.clients[letter] = c.open()
        will = args.get("will")
        if will:
            will = dict(will, properties=will.get("props"))
        c.send_connect(args.get("user", "u"), args.get("pw", "p"),
                       args.get("clean", True), args.get("keepalive", 60),
                       will, args.get("props_"))

    def alive(self, step):
        c = self.clients.get(step["client"])
        return c if c and c.sock else None

    def do_disconnect(self, step):
        c = self.alive(step)
        if c:
            rc = step["args"].get("rc", 0)
            c.send("DISCONNECT", 0,
                   bytes([rc]) if c.version == 5 and rc else b"")

    def do_close(self, step):
        c = self.alive(step)
        if c:
            c.up = False
            c.close()

    def do_ping(self, step):
        c = self.alive(step)
        if c:
            c.ping(False)

    def do_wait(self, step):
        until = time.monotonic() + step["args"]["secs"]
        while time.monotonic() < until:
            self.pump()
            time.sleep(0.005)

    def do_auth(self, step):
        c = self.alive(step)
        if c:
            c.auth(step["args"]["rc"], step["args"].get("props_"))

    def do_publish(self, step):
        c, args = self.alive(step), step["args"]
        if c:
            c.send_publish(args["topic"], args.get("payload", ""),
                           args.get("qos", 0), args.get("retain", False),
                           properties=args.get("props_"))

    def do_subscribe(self, step):
        c, args = self.alive(step), step["args"]
        if c:
            c.send_subscribe(*[tuple(t) for t in args["topics"]],
                             properties=args.get("props_"))

    def do_unsubscribe(self, step):
        c, args = self.alive(step), step["args"]
        if c:
            mid = c.mid()
            body = mid.to_bytes(2, "big") + c.block(args.get("props_"))
            c.send("UNSUBSCRIBE", 2, body + b"".join(
                mqtt.string(t) for t in args["topics"]))

    # -- watching ----------------------------------------------------------

    def pump(self):
        for c in self.clients.values():
            c.pump()

    def settle(self, step, expected, seen):
        """Until everything expected is there and all is quiet."""
        patience = self.patience
        if step["do"] == "wait":
            patience = max(patience, WAITING * mqtt.time_scale())
        deadline = time.monotonic() + patience
        pinged = False
        while True:
            self.pump()
            self.collect(seen)
            complete = self.complete(expected, seen)
            if not pinged and self.may_ping(step, complete):
                pinged = True
                for c in self.clients.values():
                    if c.up and c.sock:
                        c.ping(True)
            elif complete and pinged and not self.awaited():
                return
            if time.monotonic() > deadline:
                self.patience = IMPATIENCE * mqtt.time_scale()
                return
            self.rest()

    def may_ping(self, step, complete):
        """No packet may come before a CONNACK, or keep a client alive."""
        c = self.clients.get(step["client"])
        if step["do"] == "wait":
            return complete
        return (step["do"] not in ("connect", "auth") or not c or
                not c.sock or c.up or any(
                    p["type"] in ("CONNACK", "AUTH") for p in c.fresh) or
                complete)

    def awaited(self):
        return any(c.up and c.sock and True in c.pings
                   for c in self.clients.values())

    def rest(self):
        """Until a packet comes, or a short while."""
        socks = [c.sock for c in self.clients.values() if c.sock]
        select.select(socks, [], [], 0.002)

    def collect(self, seen):
        for letter, c in self.clients.items():
            fresh = c.taken()
            if fresh:
                seen.received.setdefault(letter, []).extend(fresh)
        for request in self.stage.requests():
            seen.hooks.append((request.hook, self.normal(request)))

    def normal(self, request):
        """A request's body, with client ids as the model has them."""
        body = request.body
        if not isinstance(body, dict):
            return {"client_id": None, "not JSON": repr(request.raw)}
        client_id = body.get("client_id")
        if (self.unknown and client_id not in self.symbols and
                request.hook.startswith("auth_on_register")):
            self.symbols[client_id], self.unknown = self.unknown, False
        return dict(body, client_id=self.symbols.get(client_id, client_id))

    def complete(self, expected, seen):
        for letter, packets in expected.received.items():
            if len(seen.received.get(letter, [])) < len(packets):
                return False
        return not missing(expected.hooks, seen.hooks)

    # -- afterwards --------------------------------------------------------

    def clean_up(self):
        """Leave nothing behind. Whether there was something."""
        self.stage.endpoint.answers.clear()
        left = [c for c in self.clients.values() if c.sock]
        for c in left:
            if c.up:
                c.send("DISCONNECT", 0, b"")
            c.close()
        ids = {s.id for s in self.model.sessions.values()}
        for client_id, symbol in self.symbols.items():
            if symbol in ids or left:
                c = mqtt.Client(self.stage.broker.port, client_id, 4)
                c.connect("u", "p", rc=None)
                c.disconnect()
        self.stage.forget_retained(self.model.retained)
        return bool(left or ids)


def missing(expected, seen):
    """Hooks of `expected` that are not among those seen, by number."""
    left = [(h, b.get("client_id")) for h, b in seen]
    for h, b in expected:
        if (h, b["client_id"]) not in left:
            return True
        left.remove((h, b["client_id"]))
    return False


# ---- comparing ----

class Mids:
    """Packet ids of the broker's choice, by order of appearance."""

    def __init__(self):
        self.of, self.last = {}, 0

    def number(self, packets, chosen):
        """Copies with numbers. `chosen`: the mids are the broker's."""
        out = []
        for p in packets:
            p = dict(p)
            if p["type"] == "CONNACK":
                self.of = {}
            if p["type"] == "PUBLISH" and p["qos"]:
                self.last += 1
                self.of[p["mid"] if chosen else 0] = self.last
            if p["type"] in ("PUBLISH", "PUBREL") and "mid" in p:
                p["mid"] = self.of.get(p["mid"] if chosen else 0)
            out.append(p)
        return out


def lanes(packets):
    """Acknowledgements and deliveries may pass each other."""
    out = {}
    for p in listed(packets):
        lane = p["type"] if p["type"] in ("PUBLISH", "PUBREL") else "other"
        out.setdefault(lane, []).append(p)
    return out


def listed(packets):
    """Subscription identifiers as a list, however they were written down."""
    for p in packets:
        ids = p.get("properties", {}).get("p_subscription_id")
        if isinstance(ids, int):
            p = dict(p, properties=dict(p["properties"],
                                        p_subscription_id=[ids]))
        yield p


def aged(expected, got):
    """The packets received, with an expiry that has run for up to 3 s set
    back to what it was."""
    out = []
    for i, p in enumerate(got):
        name = "p_message_expiry_interval"
        have = p.get("properties", {}).get(name)
        want = (expected[i].get("properties", {}).get(name)
                if i < len(expected) else None)
        if have is not None and want is not None and want - 3 <= have <= want:
            p = dict(p, properties=dict(p["properties"], **{name: want}))
        out.append(p)
    return out


class Comparison:
    """What differs between what was expected and what was seen."""

    def __init__(self, case, symbols):
        self.case, self.symbols = case, symbols
        self.out = []           # lines
        self.mids = {}
        # (client, hook): how often expected, expected a step ago, seen
        self.leaving = {}

    def differ(self, i, what, expected, got):
        step = self.case["steps"][i]
        self.out.append("step %d, %s %s, %s\n  expected %s\n  got      %s" %
                        (i, step["client"], step["do"], what, show(expected),
                         show(got)))

    def compare(self, expected, seen):
        for i, (want, have) in enumerate(zip(expected, seen)):
            self.hooks(i, want.hooks, have.hooks)
            self.leavers(i, want.hooks, have.hooks,
                         last=i == len(expected) - 1)
            for letter in sorted(set(want.received) | set(have.received)):
                self.packets(i, letter, want.received.get(letter, []),
                             have.received.get(letter, []))
        return self.out

    def hooks(self, i, want, have):
        clients = []
        for _, body in want + have:
            if body["client_id"] not in clients:
                clients.append(body["client_id"])
        for client in clients:
            for lane in (False, True):
                a = self.of_client(client, want, lane)
                b = self.once(self.of_client(client, have, lane))
                if a != b:
                    self.differ(i, "hooks of %s" % client, a, b)

    def of_client(self, client, hooks, floating):
        return [[h, b] for h, b in hooks
                if b["client_id"] == client and h not in LEAVING and
                (plain(h) in FLOATING) == floating]

    def once(self, hooks):
        """Without notifications that were tried again."""
        out = []
        for h in hooks:
            answer = self.case["hook_answers"].get(h[0], {})
            if (out[-1:] != [h] or answer.get("status") not in RETRIED or
                    h[0].startswith("auth_")):
                out.append(h)
        return out

    def leavers(self, i, want, have, last):
        """The ends of sessions, in this step or the next; of one that is
        taken over before its successor's wakeup."""
        for n, hooks in ((0, want), (2, have)):
            for h, b in hooks:
                if h in LEAVING:
                    key = b["client_id"], h
                    self.leaving.setdefault(key, [0, 0, 0])[n] += 1
        for (client, hook), (now, before, seen) in self.leaving.items():
            if seen > now or seen < (now if last else before):
                self.differ(i, "%s of %s so far" % (hook, client),
                            now if last else before, seen)
                self.leaving[client, hook][2] = now
            self.leaving[client, hook][1] = now
        for h, b in want:
            names = [x for x, y in have if y["client_id"] == b["client_id"]]
            if (h in LEAVING and h in names and "on_client_wakeup" in names
                    and names.index("on_client_wakeup") < names.index(h) and
                    any(x == "on_client_wakeup" for x, _ in want)):
                self.differ(i, "order", h + " first", names)

    def packets(self, i, letter, want, have):
        mids = self.mids.setdefault(letter, (Mids(), Mids()))
        a = lanes(mids[0].number(want, False))
        b = lanes(mids[1].number(self.known(have), True))
        for lane in sorted(set(a) | set(b)):
            x = a.get(lane, [])
            y = aged(x, b.get(lane, []))
            if x != y:
                self.differ(i, "packets to %s" % letter, x, y)

    def known(self, packets):
        """With the id that the broker gave as the model has it."""
        out = []
        for p in packets:
            given = p.get("properties", {}).get("p_assigned_client_id")
            if given is not None:
                p = dict(p, properties=dict(
                    p["properties"],
                    p_assigned_client_id=self.symbols.get(given, given)))
            out.append(p)
        return out


def show(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


# ---- a broker with its endpoint ----

def configuration(url, closes_denied, blocking):
    conf = host.endpoint_conf(url, HOOKS)
    conf["vmq_webhooks.retries"] = 0    # VerneMQ sends once (decision 19)
    if closes_denied:
        conf["vmq_webhooks.publish_denied"] = "disconnect"
    if blocking:
        for key, value in list(conf.items()):
            if key.endswith(".hook") and plain(value) in BLOCKING:
                conf[key[:-4] + "blocking"] = "on"
    return conf


class Stage:
    """A broker and an endpoint for many conversations, one at a time."""

    plays = 0

    def __init__(self, facts):
        self.facts = facts
        self.endpoint = endpoints.Endpoint().start()
        self.read = 0           # requests of the diary that were taken
        # Actual client ids that have played: index of the case, or None
        # where something may still come.
        self.finished = {}
        self.late = []          # (index of the case, line)
        self.retained = set()
        self.start()

    def start(self):
        conf = configuration(self.endpoint.url, self.facts.closes_denied,
                             self.facts.blocking)
        self.broker = host.Broker(conf, lines=["sys_interval 0"]).start()
        self.seeder = mqtt.Client(self.broker.port, SEEDER, 4)
        self.endpoint.answers.clear()
        self.seeder.connect("u", "p", keepalive=0)

    def stop(self):
        """What was wrong with the broker's end, or None."""
        try:
            self.seeder.disconnect()
            time.sleep(0.2 * mqtt.time_scale())     # for what comes too late
            list(self.requests())
            self.broker.stop()
        except AssertionError as error:
            return "broker: %s\n%s" % (error, self.broker.log()[-2000:])
        finally:
            self.broker.kill()
            self.endpoint.stop()
        return None

    def number(self):
        Stage.plays += 1
        return Stage.plays

    def requests(self):
        """Those that came in and belong to who plays now."""
        with self.endpoint.changed:
            new = self.endpoint.requests[self.read:]
            self.read += len(new)
        for request in new:
            body = request.body if isinstance(request.body, dict) else {}
            client_id = body.get("client_id")
            if client_id == SEEDER:
                continue
            if client_id not in self.finished:
                yield request
                continue
            i = self.finished[client_id]
            if i is not None and request.hook != "on_session_expired":
                self.late.append((i, "after the end: %s %s" % (
                    request.hook, show(body))))

    def retain(self, messages):
        """Let these be retained before it begins."""
        for m in messages:
            self.seeder.publish(m.topic, m.payload, m.qos, retain=True)
        self.retained = {m.topic for m in messages}

    def forget_retained(self, topics):
        for topic in self.retained | set(topics):
            self.seeder.publish(topic, b"", 1, retain=True)

    def play(self, i, case):
        """(mismatches, rules used) of the i-th case."""
        unexplained = explain(case)
        rules = Rules(self.facts)
        model = Model(case, rules)
        expected = model.play()
        before = retained_before(case)
        if before:
            rules.used.add("retained_before")
        self.retain(before)
        play = Play(self, case, model)
        self.endpoint.answers.update(
            (h, translate(a)) for h, a in case["hook_answers"].items())
        out = Comparison(case, play.symbols).compare(expected,
                                                     play.run(expected))
        messy = play.clean_up()
        for client_id in play.symbols:
            self.finished[client_id] = None if messy or out else i
        return unexplained + out, rules.used

    def restart(self):
        """After a case that broke the broker, or broke off."""
        self.broker.kill()
        self.start()


def explain(case):
    """Play the model as VerneMQ, and see whether it is what was recorded."""
    recorded = []
    for step in unnamed(case)["steps"]:
        one = Step()
        one.hooks = [(h["hook"], h["body"]) for h in step["hooks"]]
        one.received = step["received"]
        recorded.append(one)
    model = Model(case, Rules())
    a, b = gathered(model.play()), gathered(recorded)
    return ["not explained by the model, %s\n  recorded %s\n  model    %s" %
            (key, show(b.get(key)), show(a.get(key)))
            for key in sorted(set(a) | set(b))
            if a.get(key, []) != b.get(key, [])]


def unnamed(case):
    """The case with ids that VerneMQ made up as the model has them."""
    for step in case["steps"]:
        made_up = recorded_id(step) or ""
        if made_up.startswith(MADE_UP):
            case = json.loads(json.dumps(case).replace(
                json.dumps(made_up), json.dumps("$" + step["client"])))
    return case


def gathered(steps):
    """What came, by hook and client, and by client and kind of packet:
    VerneMQ's processes race, and a late packet stands in the next step."""
    out = {}
    for step in steps:
        for hook, body in step.hooks:
            out.setdefault("%s of %s" % (hook, body["client_id"]),
                           []).append(body)
        for letter, packets in step.received.items():
            for p in listed(packets):
                if p["type"] in ("PUBLISH", "PUBREL"):
                    p = {k: v for k, v in p.items() if k != "mid"}
                out.setdefault("%s to %s" % (p["type"], letter),
                               []).append(p)
    return out


# ---- all of them ----

def worker(facts, tasks, results):
    stage = None
    try:
        stage = Stage(facts)
        while True:
            i, case = tasks.get()
            if case is None:
                break
            try:
                lines, used = stage.play(i, case)
                broken = False
            except Exception:
                lines, used = [traceback.format_exc()], set()
                broken = True
            if not stage.broker.alive():
                lines.append("the broker died\n" +
                             stage.broker.log()[-2000:])
                broken = True
            if broken:
                stage.restart()
            results.put(("case", i, lines, used))
        wrong = stage.stop()
        for i, line in stage.late:
            results.put(("case", i, [line], set()))
        if wrong:
            results.put(("broker", None, [wrong], set()))
    except BaseException:
        results.put(("broker", None, [traceback.format_exc()], set()))
        if stage:
            stage.broker.kill()
    results.put(("end", None, [], set()))


def supports(key, value):
    """Whether the plugin starts with this setting."""
    broker = host.Broker({key: value})
    try:
        broker.spawn()
        return broker.wait_started(10)
    finally:
        broker.kill()


def run(cases, jobs):
    """{index: mismatches}, other failures, {rule: cases}."""
    facts = Host(host.version(),
                 supports("vmq_webhooks.publish_denied", "disconnect"),
                 bool(os.environ.get("BLOCKING")))
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    for task in list(enumerate(cases)) + [(None, None)] * jobs:
        tasks.put(task)
    workers = [multiprocessing.Process(target=worker,
                                       args=(facts, tasks, results))
               for _ in range(jobs)]
    for w in workers:
        w.start()
    mismatches, others, used, running = {}, [], {}, jobs
    while running:
        kind, which, lines, rules = results.get()
        if kind == "end":
            running -= 1
        elif kind == "broker":
            others += lines
        else:
            mismatches.setdefault(which, []).extend(lines)
        for name in rules:
            used[name] = used.get(name, 0) + 1
    for w in workers:
        w.join()
    return mismatches, others, used


def options():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-j", type=int, default=4)
    parser.add_argument("-o", "--only")
    parser.add_argument("--rules", action="store_true")
    parser.add_argument("files", nargs="*", metavar="FILE")
    return parser.parse_args()


def print_rules():
    """As rows of a table for docs/differences.md."""
    for rule in RULES.values():
        print("| %s | %s |" % (rule.decision, rule.reason))


def main():
    opts = options()
    if opts.rules:
        print_rules()
        return 0
    cases = []
    for name in opts.files:
        with open(name) as f:
            cases += json.load(f)
    if opts.only:
        cases = [c for c in cases
                 if opts.only in c["id"] or opts.only in c["name"]]
    if not os.path.exists(host.broker_path()):
        print("no broker %s: run scripts/setup" % host.version(),
              file=sys.stderr)
        return 2
    began = time.monotonic()
    mismatches, others, used = run(cases, opts.j)
    failed = 0
    for i, case in enumerate(cases):
        lines = mismatches.get(i, ["not played"])
        failed += bool(lines)
        if lines:
            print("=== %s, MQTT %s, %s" % (case["id"], case["protocol"],
                                           case["name"]))
            print("\n".join(lines))
    for line in others:
        print(line)
    for name, rule in RULES.items():
        if used.get(name):
            print("rule %s (%s): %d cases; %s" %
                  (name, rule.decision, used[name], rule.reason))
    print("mosquitto %s, %.0f s" % (host.version(),
                                    time.monotonic() - began))
    print("%d passed, %d failed" % (len(cases) - failed,
                                    failed + len(others)))
    return 1 if failed or others or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
