"""What is in the cache, and what that costs: figures C1 to C5."""

from contextlib import ExitStack

from bench import figure
from figures_pool import full_speed, publish_rate
from tools import (Endpoint, Failed, HookCost, asked, by_turns, cache_cost,
                   hooked, load, plain, quantile)

SIZE_KEY = "vmq_webhooks.cache_max_bytes"
FOR_A_DAY = 86400


def hit_cost(run):
    return run["hit_batches"]["p50_ns"] - run["clock_ns"]


def message_cost(run):
    return run["message_batches"]["p50_ns"] - run["clock_ns"]


@figure("C1", "A publish whose answer is known")
def hit(b):
    """The plugin on a host of ours that calls it directly: from entering its
    callback for a publish to its return, the answer being in the cache.
    Means of a thousand calls, and of those the median, less what the clock
    itself takes. As a share of what a publish takes in the broker without
    plugin, measured in turn with it: the inverse of figure 8's baseline. A
    publish passes through a second callback, for the MESSAGE event, where
    nothing is left to do unless somebody is told of publishes: that is in C4,
    and its cost is shown here."""
    count = b.pick(300000, 5000)
    messages = []

    def callbacks(host):
        run = host.draw(count)
        messages.append(message_cost(run))
        return hit_cost(run)

    with Endpoint(max_age=FOR_A_DAY) as ep, plain() as bare, \
            HookCost(ep, 10) as host:
        publish, ns, ratio = b.compare(
            lambda: 1e9 / publish_rate(b, bare),
            lambda: callbacks(host), rounds=5)
    b.row("of a publish without plugin", ratio, "%.3f", at_most=0.05,
          more="%d of %d ns" % (ns, publish))
    message = quantile(messages, 0.5)
    b.row("the MESSAGE event after it, of the same", message / publish, "%.3f",
          more="%d ns" % message)


@figure("C2", "Hits and inserts by the size of the cache")
def by_size(b):
    """As C1, with a thousand, 10^5 and 10^6 answers in the cache, the topics
    drawn uniformly. The three take turns, and each turn's cost is compared
    with that of the thousand next to it: the dearest size compared with the
    cheapest. And, of the cache alone, what storing the dearest of 10^6 entries
    costs: of three rounds with the same keys the least, because what the cache
    does it does every time."""
    sizes = b.pick((1000, 100000, 1000000), (100, 1000))
    conf = {SIZE_KEY: str(1 << 30)}
    with Endpoint(max_age=FOR_A_DAY) as ep, ExitStack() as stack:
        hosts = []
        for n in sizes:
            ep.set(reset=1)
            hosts.append(stack.enter_context(HookCost(ep, n, conf)))
        turns = [[hit_cost(host.draw(b.pick(50000, 2000))) for host in hosts]
                 for _ in range(b.pick(15, 1))]
        if ep.count("auth_on_publish") != n:
            raise Failed("not all hits with %d entries" % n)
    ratios = [quantile([turn[i] / turn[0] for turn in turns], 0.5)
              for i in range(len(sizes))]
    b.row("the dearest size, of the cheapest", max(ratios) / min(ratios),
          at_most=3, more=", ".join(
              "%d ns" % quantile(costs, 0.5) for costs in zip(*turns)))
    out = cache_cost(b.pick(1000000, 10000))
    b.row("the dearest insert in ms", out["max_ns"] / 1e6, at_most=1.0,
          more="%d above 1 ms" % out["slow"])


@figure("C3", "Memory of an entry", timed=False)
def per_entry(b):
    """Bytes for each of 10^6 entries beyond those of its key and value, as the
    cache counts them against its bound: record, allocation, table."""
    out = cache_cost(b.pick(1000000, 10000), rounds=1)
    b.row("bytes beyond key and value", out["bytes"], "%.1f", at_most=160)


@figure("C4", "Publishing, all answers known")
def all_hits(b):
    """50 publishers, QoS 1, as in figure 8, over 10 topics; the broker asks
    about every publish, and the answer is always in the cache. Compared with
    the broker without plugin: both are loaded in turns of a tenth of a second
    each, as their difference is less than what a machine varies by from one
    second to the next; and anew for each of seven rounds, as where things lie
    in memory makes as much. The median of the rounds."""
    words = dict(full_speed(b), warmup=0, seconds=b.pick(8, 0.6))
    rounds = [one_round(words) for _ in range(b.pick(7, 1))]
    ratios = [hooks / plains for plains, hooks in rounds]
    b.row("publishes a second, of those without plugin",
          quantile(ratios, 0.5), at_least=0.95,
          more="%.2f to %.2f" % (min(ratios), max(ratios)))


def one_round(words):
    """(without plugin, with it and all answers known), acknowledged."""
    with Endpoint(max_age=FOR_A_DAY) as ep, plain() as bare, \
            hooked(ep, "auth_on_publish") as broker:
        # Each publisher once to each topic, in no hurry: what the broker may
        # wait for in a second is bounded.
        load("publish", broker, clients=50, topics=10, rate=500, seconds=1.2)
        ep.set(reset=1)
        acked = by_turns("publish", (bare, broker), **words)
        if ep.stats()["total"]:
            raise Failed("%d publishes were no hits" % ep.stats()["total"])
    return acked


@figure("C5", "A flood of questions", timed=False)
def flood(b):
    """The plugin on a host of ours: 10^6 publishes to as many topics, all
    answers cacheable, with 64 MiB for the cache, which are full long before
    the half. Resident memory at the end compared with that at the half."""
    count = b.pick(1000000, 2000)
    with Endpoint(max_age=FOR_A_DAY) as ep:
        conf = {SIZE_KEY: str(64 << 20)}
        rss = asked(ep, count, conf)["rss_kb"]
    b.row("resident memory, of that at the half", max(rss[5:]) / rss[4],
          "%.3f", at_most=1.02, more="%d of %d kB; at a tenth %d" % (
              max(rss[5:]), rss[4], rss[0]))
