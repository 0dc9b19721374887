"""Figures, the rows they give, and the tables those make.

A figure is a function with a number and a title; its text says how it is
measured, and goes into the documentation as it stands. It gives rows: what was
measured, against which bound.
"""

import inspect
import os
import statistics
import time
import traceback

FIGURES = []
QUIET = 0.05  # of the machine; what others take beyond that disturbs
TRIES = 3


class Others:
    """How much of the machine was taken by others than this process and those
    that it started and waited for, or was not given to it at all."""

    def __init__(self):
        self.began = self.look()

    @staticmethod
    def look():
        with open("/proc/stat") as f:
            ticks = [int(n) for n in f.readline().split()[1:9]]
        user, nice, system, idle, iowait, irq, softirq, steal = ticks
        hz = os.sysconf("SC_CLK_TCK")
        busy = (user + nice + system + irq + softirq + steal) / hz
        return busy, sum(os.times()[:4]), time.monotonic()

    def share(self):
        busy, own, took = (b - a for a, b in zip(self.began, self.look()))
        return max(0.0, (busy - own) / took / os.cpu_count())


class Figure:
    """One that is not `timed` is the same however busy the machine is."""

    def __init__(self, number, title, run, timed):
        self.number, self.title, self.run = number, title, run
        self.timed = timed
        self.text = inspect.getdoc(run)
        self.rows = []


def figure(number, title, timed=True):
    def add(run):
        FIGURES.append(Figure(number, title, run, timed))
        return run
    return add


class Row:
    """`status` is met, NOT MET, skipped, failed, or "" without a bound."""

    def __init__(self, what, measured, bound="", status=""):
        self.what, self.measured = what, measured
        self.bound, self.status = bound, status


class Bench:
    """One run. A quick one shows that everything works, and judges nothing
    but that: its figures mean nothing."""

    def __init__(self, quick=False, say=print):
        self.quick, self.say = quick, say
        self.current = None

    def pick(self, full, quick):
        return quick if self.quick else full

    def repeat(self, way, rounds=3):
        """The median of what it returns."""
        return statistics.median(way() for _ in range(self.pick(rounds, 1)))

    def compare(self, baseline, subject, rounds=7):
        """Call both in turn, again and again: (median of the baseline's, of
        the subject's, of the subject's by the baseline's next to it). So a
        moment's noise hits one pair, and a slow drift none."""
        pairs = [(baseline(), subject())
                 for _ in range(self.pick(rounds, 1))]
        return tuple(statistics.median(values) for values in (
            [p[0] for p in pairs], [p[1] for p in pairs],
            [p[1] / p[0] for p in pairs]))

    def row(self, what, value, text="%.2f", at_least=None, at_most=None,
            more=""):
        """One figure. `more` is told along with it."""
        bound, status = "", ""
        if at_least is not None:
            bound = "at least " + text % at_least
            status = "met" if value >= at_least else "NOT MET"
        elif at_most is not None:
            bound = "at most " + text % at_most
            status = "met" if value <= at_most else "NOT MET"
        if self.quick and status:
            status = "works"
        self.add(Row(what, text % value + (" (%s)" % more if more else ""),
                     bound, status))

    def skip(self, what, why):
        self.add(Row(what, why, status="skipped"))

    def add(self, row):
        self.current.rows.append(row)
        self.say("%-3s %-9s %-52s %s%s" % (
            self.current.number, row.status, row.what, row.measured,
            "; " + row.bound if row.bound else ""))

    def measure(self, fig):
        """One go at a figure: what others took of the machine meanwhile."""
        self.current = fig
        fig.rows = []
        others = Others()
        try:
            fig.run(self)
        except Exception as e:  # whatever it is, the others go on
            traceback.print_exc()
            self.add(Row(fig.title, "%s: %s" % (type(e).__name__, e),
                         status="failed"))
        return others.share()

    def run(self, fig):
        """While others are at work a figure says little, met or not: it is
        measured again, and the go that they disturbed least is kept. What it
        says has no part in that, or luck would be chosen."""
        goes = []
        for left in reversed(range(1 if self.quick else TRIES)):
            goes.append((self.measure(fig), fig.rows))
            if (goes[-1][0] <= QUIET or not fig.timed or
                    all(row.status == "skipped" for row in fig.rows)):
                break
            if not self.quick:
                self.say("%-3s disturbed: others took %d %% of the machine%s" %
                         (fig.number, 100 * goes[-1][0],
                          "; once more" if left else ""))
        fig.others, fig.rows = min(goes, key=lambda go: go[0])
        if len(goes) > 1:
            self.say("%-3s kept: the one with %d %%" % (fig.number,
                                                      100 * fig.others))


def counts(figures):
    """(passed, failed, skipped) of all rows with a bound."""
    states = [row.status for fig in figures for row in fig.rows]
    return (states.count("met") + states.count("works"),
            states.count("NOT MET") + states.count("failed"),
            states.count("skipped"))
