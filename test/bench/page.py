"""docs/benchmarks.md: what was measured, and when.

It is written figure by figure, as each is measured: a run that is cut off
loses nothing, and one figure can be measured anew. What stands under
"## Notes" is people's own, and kept.
"""

import os
import platform
import re

NOTES = "\n## Notes\n"
TEXTS = "\n## What they are, and how they are measured\n"

HEAD = """# Benchmarks

```sh
make bench                      # every figure, a quarter of an hour or more, and this page
make bench FIGURES="1 C4"       # some of them
make bench FIGURES=C4 WRITE=1   # and their rows in this page
make bench QUICK=1              # does every tool work? Judges no speed
```

Written by `make bench`, figure by figure, last on a machine with {machine}:
{when}. Broker, plugin, endpoint and load share the
machine, so a figure in seconds says little about another one: each is a
ratio within one run, but for the few that are bounds in milliseconds.
Baseline and subject take turns, after a warm-up, and the median of the ratios
of neighbours counts. `others` is what other processes took of the machine, or
the machine was not given, meanwhile: above 5 % a figure that depends on time is measured again, at
most twice, and the least disturbed go is kept, whatever it says. Figures with
much of that are not to be relied on, met or not. The
broker is Mosquitto 2.1 unless the row says otherwise. The tools are in
`test/bench/`: an endpoint and a load generator, both on epoll and much
cheaper than a broker, a bare libcurl client to compare with, and a host that
loads the plugin and puts a clock around its callbacks.

| figure | measured | bound | | others | on |
|---|---|---|---|---|---|
"""


def machine():
    return "%d cores (%s, Linux %s)" % (
        os.cpu_count(), platform.machine(), platform.release().split("-")[0])


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def rows(fig, day):
    """The lines of one figure that was measured."""
    return ["| %s. %s: %s | %s | %s | %s | %d %% | %s |" % (
        fig.number, cell(fig.title), cell(row.what), cell(row.measured),
        cell(row.bound) or "-", row.status or "-", 100 * fig.others, day)
        for row in fig.rows]


def measured(fig):
    """A figure whose tools failed says nothing: what was there stays."""
    return bool(fig.rows) and not any(row.status == "failed"
                                      for row in fig.rows)


class Page:
    """The page at `path`, as it is: lines of the table by figure."""

    def __init__(self, path):
        self.path = path
        self.lines, self.notes = {}, ""
        if os.path.exists(path):
            with open(path) as f:
                self.read(f.read())

    def read(self, text):
        for line in text.splitlines():
            found = re.match(r"\| (\w+)\. ", line)
            if found:
                self.lines.setdefault(found.group(1), []).append(line)
        if NOTES in text:
            self.notes = text.split(NOTES)[1].split(TEXTS)[0].strip("\n")

    def put(self, fig, day):
        """The rows of a figure in place of those that are there. Returns
        whether there was anything to put."""
        if not measured(fig):
            return False
        self.lines[fig.number] = rows(fig, day)
        return True

    def when(self, figures):
        """Which figure is of which day."""
        days = {}
        for fig in figures:
            lines = self.lines.get(fig.number)
            day = (lines[0].rsplit("|", 2)[1].strip() if lines
                   else "not measured yet")
            days.setdefault(day, []).append(fig.number)
        return "; ".join("%s: %s" % (day, ", ".join(days[day]))
                         for day in sorted(days))

    def text(self, figures):
        out = HEAD.format(machine=machine(), when=self.when(figures))
        for fig in figures:
            out += "".join(line + "\n"
                           for line in self.lines.get(fig.number, ()))
        if self.notes:
            out += NOTES + "\n" + self.notes + "\n"
        out += TEXTS
        for fig in figures:
            out += "\n**%s. %s.** %s\n" % (fig.number, fig.title, fig.text)
        return out

    def write(self, figures):
        """All of it or nothing. `figures` are all there are, in order."""
        part = self.path + ".part"
        with open(part, "w") as f:
            f.write(self.text(figures))
        os.replace(part, self.path)
