"""Figures, the rows they give, and the tables those make.

A figure is a function with a number and a title; its text says how it is
measured, and goes into the documentation as it stands. It gives rows: what was
measured, against which bound.
"""

import inspect
import statistics
import time
import traceback

FIGURES = []


class Figure:
    def __init__(self, number, title, run):
        self.number, self.title, self.run = number, title, run
        self.text = inspect.getdoc(run)
        self.rows = []


def figure(number, title):
    def add(run):
        FIGURES.append(Figure(number, title, run))
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
        self.known = {}  # what one figure measured for another

    def pick(self, full, quick):
        return quick if self.quick else full

    @property
    def rounds(self):
        return self.pick(3, 1)

    def alternate(self, *ways, rounds=None):
        """Call each in turn, again and again; the median of what each one
        returned, so that a moment's noise hits nobody alone."""
        got = [[] for _ in ways]
        for _ in range(rounds or self.rounds):
            for values, way in zip(got, ways):
                values.append(way())
        return [statistics.median(values) for values in got]

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

    def run(self, fig):
        self.current = fig
        started = time.monotonic()
        try:
            fig.run(self)
        except Exception as e:  # whatever it is, the others go on
            traceback.print_exc()
            self.add(Row(fig.title, "%s: %s" % (type(e).__name__, e),
                         status="failed"))
        fig.took = time.monotonic() - started


def counts(figures):
    """(passed, failed, skipped) of all rows with a bound."""
    states = [row.status for fig in figures for row in fig.rows]
    return (states.count("met") + states.count("works"),
            states.count("NOT MET") + states.count("failed"),
            states.count("skipped"))
