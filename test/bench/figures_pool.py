"""Logins, outages and events: figures 1 to 8."""

import time

from bench import figure
from tools import (Dump, Endpoint, Failed, asked, bare_curl, hooked, load,
                   now, plain, quantile, result_of, start_load)


@figure("1", "Logins with a slow endpoint")
def slow_logins(b):
    """100 clients log in at a time, each new one as soon as one is in, with an
    endpoint that takes 50 ms: at best 2000 logins a second. On 2.0 the broker
    waits for every answer, at best 20 a second, and refuses what it would
    have to wait for longer than blocking_budget; that is printed only."""
    words = dict(clients=100, warmup=b.pick(0.5, 0.2), seconds=b.pick(2, 0.3))
    with Endpoint(delay_us=50000) as ep:
        with hooked(ep, "auth_on_register") as broker:
            rate = b.repeat(lambda: load("login", broker, **words)["rate"])
        b.row("logins a second, of the ideal", rate / 2000, at_least=0.9,
              more="%d of 2000" % rate)
        with hooked(ep, "auth_on_register", version="2.0.11") as broker:
            out = load("login", broker, **words)
        b.row("the same on Mosquitto 2.0.11", out["rate"] / 2000, "%.3f",
              more="%d of 2000; %d refused" % (out["rate"], out["refused"]))


@figure("2", "Cold logins")
def cold_logins(b):
    """64 clients log in at a time, each under an id of its own, so that no
    answer is in the cache; the endpoint answers at once. Compared with the
    same broker without the plugin and with allow_anonymous true."""
    words = dict(clients=64, warmup=0.2, seconds=b.pick(0.8, 0.2))
    with Endpoint() as ep, plain() as bare, \
            hooked(ep, "auth_on_register") as broker:
        without, rate, ratio = b.compare(
            lambda: load("login", bare, **words)["rate"],
            lambda: load("login", broker, **words)["rate"])
    b.row("logins a second, of those without plugin", ratio,
          at_least=0.4, more="%d of %d" % (rate, without))


@figure("3", "What a login costs besides its endpoint")
def login_overhead(b):
    """One login after the other, 100 a second, with an endpoint that takes
    5 ms: the time from CONNECT to CONNACK, of which the endpoint's own time
    for the very same login, as the endpoint measured it, is subtracted."""
    with Endpoint(delay_us=5000) as ep, \
            hooked(ep, "auth_on_register") as broker, Dump() as dump:
        load("login", broker, clients=1, rate=100, seconds=0.3,
             prefix="warm")
        ep.set(reset=1)
        load("login", broker, clients=1, rate=100, seconds=b.pick(10, 0.5),
             dump=dump.path)
        rows, own = dump.rows(), ep.times()
    if len(own) - len(rows) not in (0, 1):  # the last one may be under way
        raise Failed("%d logins, %d calls" % (len(rows), len(own)))
    extra = [(received - sent) * 1e3 - ns / 1e6
             for (sent, received, _), ns in zip(rows, own)]
    b.row("median in ms", quantile(extra, 0.5), at_most=1.0)
    b.row("99th percentile in ms", quantile(extra, 0.99), at_most=5.0)


def hanging_logins(b, seconds):
    """One round of figure 4: p99 of the probe before and during."""
    with Endpoint() as ep, Dump() as dump, \
            hooked(ep, "auth_on_register", response_timeout=60000) as broker:
        probe = start_load("probe", broker, interval_us=2000, seconds=60,
                           dump=dump.path)
        time.sleep(0.3)
        before = now()
        time.sleep(seconds)
        ep.set(silent=1)
        hang = start_load("login", broker, clients=200, seconds=60,
                          prefix="hang")
        hang.stdout.readline()  # ready: each has sent its CONNECT
        time.sleep(0.3)
        during = now()
        time.sleep(seconds)
        end = now()
        for process in (probe, hang):
            process.terminate()
        result_of(probe)
        hung = result_of(hang)
        if hung["refused"] or hung["lost"] or hung["sent"] != 200:
            raise Failed("the logins do not hang: %s" % hung)
        rows = dump.rows()
    during_end = end - 0.01

    def p99(since, until):
        return quantile([r - s for s, r, _ in rows if since <= s < until],
                        0.99)
    return p99(before, before + seconds), p99(during, during_end)


@figure("4", "A publisher beside logins that hang")
def beside_hanging(b):
    """A client publishes with QoS 1 every 2 ms and waits for its PUBACKs; then
    200 logins begin of which the endpoint never answers one. The 99th
    percentile of the round trip before and while they hang; the median of
    five rounds, each with a new broker, of each."""
    rounds = [hanging_logins(b, b.pick(1.5, 0.3))
              for _ in range(b.pick(5, 1))]
    before = quantile([r[0] for r in rounds], 0.5)
    during = quantile([r[1] for r in rounds], 0.5)
    b.row("99th percentile of the round trip, of that before",
          during / before, at_most=1.5,
          more="%d of %d us" % (during * 1e6, before * 1e6))


class Holds:
    """How long a broker stood still, seen from outside: by the gaps between
    the answers to a client that asks all the time. A gap counts, less the
    pace of the asking, when it is longer than 99 % of those before."""

    PACE = 0.002
    LONG = 0.05  # no noise

    def __init__(self, rows, since, until):
        self.times = sorted(received for _, received, _ in rows)
        self.usual = quantile(self.gaps(since, until), 0.99)

    def gaps(self, since, until):
        """Also the one that is still open at the end."""
        times = [t for t in self.times if since <= t < until]
        times = [since] + times + [until]
        return [b - a for a, b in zip(times, times[1:])]

    def held(self, since, until):
        """(in long gaps, in short ones)"""
        gaps = [g for g in self.gaps(since, until) if g > self.usual]
        return tuple(sum(g - self.PACE for g in gaps
                         if (g >= self.LONG) == long) for long in (True, False))


class Subscribed:
    """A broker with 50 clients that subscribe all the time, and a probe."""

    def __init__(self, broker):
        self.subs, self.pings = Dump(), Dump()
        self.loads = [
            start_load("probe", broker, kind="ping", interval_us=2000,
                       seconds=600, dump=self.pings.path, prefix="probe"),
            start_load("subscribe", broker, clients=50, interval_us=100000,
                       seconds=600, dump=self.subs.path)]

    def end(self):
        for process in self.loads:
            process.terminate()
        for process in self.loads:
            result_of(process)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for process in self.loads:
            process.kill()
            process.communicate()
        for dump in (self.subs, self.pings):
            dump.__exit__()


def first_success(rows, back):
    """Seconds from the endpoint's return to the first subscription that was
    granted."""
    granted = [received for _, received, code in rows
               if received >= back and code < 0x80]
    return min(granted) - back if granted else float("inf")


def go_silent(ep, seconds):
    """When it came back."""
    ep.set(silent=1)
    time.sleep(seconds)
    back = now()
    ep.set(silent=0)
    return back


@figure("5", "An outage")
def outage(b):
    """50 clients subscribe, each every 100 ms or as soon as its last SUBSCRIBE
    is answered, and every one is asked about. For 30.7 s (no multiple of a
    time limit, which would be luck) the endpoint accepts connections and reads
    requests, and answers none, nor does it later; then it answers again.
    Meanwhile a client sends a PINGREQ every 2 ms. Held: the sum of the gaps
    between its PINGRESPs, less the 2 ms, that are longer than 99 % of those
    before the outage. Of the sum of those below 50 ms, that of a broker
    without plugin which bears the same load at the same time is subtracted:
    it is the machine's noise. As a share of blocking_timeout (1000 ms). First
    success: from the endpoint's return to the first SUBACK that grants, the
    worst of this return and three more after outages of 1.3 s."""
    before, silence, after = b.pick((6, 30.7, 3), (0.5, 1, 2))
    words = b.pick({}, {"response_timeout": 300})
    with Endpoint() as ep, plain() as bare, \
            hooked(ep, "auth_on_subscribe", **words) as broker, \
            Subscribed(broker) as subject, Subscribed(bare) as beside:
        time.sleep(0.5)
        begun = now()
        time.sleep(before)
        silent = now()
        returns = [go_silent(ep, silence)]
        time.sleep(after)
        end = now()
        for _ in range(b.pick(3, 0)):
            returns.append(go_silent(ep, 1.3))
            time.sleep(2)
        subject.end()
        beside.end()
        (long, short), (_, noise) = (
            Holds(s.pings.rows(), begun, silent).held(silent, end)
            for s in (subject, beside))
        success = max(first_success(subject.subs.rows(), back)
                      for back in returns)
    b.row("the broker held, of blocking_timeout",
          long + max(0, short - noise), at_most=1.2,
          more="%d ms in long gaps, %d in short ones; beside it %d" % (
              long * 1e3, short * 1e3, noise * 1e3))
    b.row("first success after a return in s", success, at_most=1.0)
    if b.quick and success == float("inf"):
        raise Failed("no subscription was granted after the return")


@figure("6", "A call that the broker waits for")
def blocking_miss(b):
    """A publish whose answer is not in the cache: from entering the plugin's
    callback to its return, the plugin on a host of ours that calls it
    directly, with an endpoint that answers at once. Compared with a bare
    libcurl easy handle that POSTs the same body to the same endpoint over a
    connection that it keeps. Medians, of the calls and then of seven turns."""
    count = b.pick(2000, 50)
    with Endpoint() as ep:
        asked(ep, 10)
        body = ep.body()
        bare, miss, ratio = b.compare(
            lambda: bare_curl("easy", ep, body, count=count)["p50_us"],
            lambda: asked(ep, count)["miss"]["p50_ns"] / 1e3)
    b.row("a publish that is asked about, of a bare POST", ratio,
          at_most=1.5, more="%.0f of %.0f us" % (miss, bare))


class Events:
    """Events that a broker sends to an endpoint for what is published."""

    def __init__(self, ep, broker):
        self.ep, self.broker = ep, broker

    def drain(self, sent):
        """Wait until nothing comes any more; how many came."""
        came, deadline = self.ep.count("on_publish"), now() + 0.5
        while came < sent and now() < deadline:
            time.sleep(0.02)
            count = self.ep.count("on_publish")
            if count != came:
                came, deadline = count, now() + 0.5
        return came

    def paced(self, rate, seconds):
        """(sent, came by the end of the pace, came in all)"""
        self.ep.set(reset=1)
        out = load("publish", self.broker, clients=100, qos=0, rate=rate,
                   warmup=0, seconds=seconds)
        early = self.ep.count("on_publish")
        return out["sent"], early, self.drain(out["sent"])

    def holds(self, rate, seconds):
        """Whether the endpoint keeps up with that pace: nothing is dropped,
        and no more than a twentieth is still under way when it ends. A pace
        that fails has a second chance: the machine may have been busy."""
        for _ in range(2):
            sent, early, came = self.paced(rate, seconds)
            if came >= sent and early >= 0.95 * sent:
                return True
        return False

    def full_speed(self, **words):
        """The load's result, and how many events were dropped of all."""
        self.ep.set(reset=1)
        out = load("publish", self.broker, **words)
        out["dropped"] = out["acked"] - self.drain(out["acked"])
        return out


def highest_pace(b, events, most):
    """The highest rate that holds, to about 3 %, confirmed by a longer run."""
    low, high = 0.0, most
    for _ in range(b.pick(6, 2)):
        rate = (low + high) / 2
        if events.holds(rate, b.pick(1.2, 0.2)):
            low = rate
        else:
            high = rate
    rate = low
    while rate > 0 and not b.quick and not events.holds(rate, 3):
        rate *= 0.95
    return rate


@figure("7", "Events told")
def events_told(b):
    """100 publishers, paced, each event told to an endpoint that answers at
    once: the highest pace at which none is dropped and the endpoint keeps up
    (found by halving, then confirmed for 3 s). Compared with a bare libcurl
    multi loop that POSTs the same body over 100 connections. And what is
    dropped at one and a half times that pace."""
    words = dict(hook="on_publish", connections=100, warmup=0.2,
                 seconds=b.pick(1.5, 0.2))
    with Endpoint() as ep, hooked(ep, "on_publish") as broker:
        events = Events(ep, broker)
        events.paced(100, 0.2)
        body = ep.body()
        bare = b.repeat(lambda: bare_curl("multi", ep, body, **words)["rate"])
        rate = highest_pace(b, events, bare)
        sent, _, came = events.paced(1.5 * rate, b.pick(3, 0.2))
        again = b.repeat(lambda: bare_curl("multi", ep, body, **words)["rate"])
    bare = (bare + again) / 2
    b.row("events a second without a drop, of bare POSTs", rate / bare,
          at_least=0.4, more="%d of %d" % (rate, bare))
    b.row("dropped at one and a half times that pace",
          (sent - came) / sent, more="%d of %d" % (sent - came, sent))


def full_speed(b):
    """Publishers that keep a broker busy at little cost of their own."""
    return dict(clients=50, window=20, topics=10, gather_us=500, warmup=0.2,
                seconds=b.pick(0.7, 0.2))


def publish_rate(b, broker):
    """Acknowledged publishes a second."""
    return load("publish", broker, **full_speed(b))["rate"]


@figure("8", "Publishing beside events")
def publish_beside_events(b):
    """50 publishers, QoS 1, up to 20 messages each under way, as fast as the
    broker takes them, over 10 topics without a subscriber; every publish is
    told to an endpoint that answers at once. Acknowledged publishes a second,
    compared with the broker without plugin. Events that the endpoint cannot
    keep up with are dropped, and counted."""
    dropped = []

    def beside():
        out = events.full_speed(**full_speed(b))
        dropped.append(out["dropped"] / out["acked"])
        return out["rate"]

    with Endpoint() as ep, plain() as bare, hooked(ep, "on_publish") as broker:
        events = Events(ep, broker)
        without, rate, ratio = b.compare(
            lambda: publish_rate(b, bare), beside)
    b.row("publishes a second, of those without plugin", ratio,
          at_least=0.5, more="%d of %d" % (rate, without))
    b.row("events dropped meanwhile", quantile(dropped, 0.5))
