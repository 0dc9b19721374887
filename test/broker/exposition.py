"""The text format of Prometheus (0.0.4), read strictly.

parse() takes what Prometheus would take, and refuses what it would, and what
`promtool check metrics` would find fault with but for VerneMQ's names. A
parser of others, python3-prometheus-client, has to read the same; and
promtool, where it is installed, must not object.
"""

import re
import shutil
import subprocess
import sys

# Debian's packages, also for a python3 that is not Debian's.
sys.path.append("/usr/lib/python3/dist-packages")

from prometheus_client.parser import (  # noqa: E402
    text_string_to_metric_families)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (\S+)" %
                    (NAME, LABEL, LABEL))
SUFFIXES = {"counter": ("",), "gauge": ("",),
            "histogram": ("_bucket", "_sum", "_count")}
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


class Bad(AssertionError):
    pass


def expect(true, what):
    if not true:
        raise Bad(what)


def unescape(text):
    return re.sub(r'\\["\\n]', lambda m: ESCAPES[m.group()], text)


def labels_of(text):
    pairs = [(k, unescape(v)) for k, v in re.findall(
        r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', text or "")]
    expect(len({k for k, _ in pairs}) == len(pairs), "a label twice: " +
           str(text))
    return frozenset(pairs)


class Metrics:
    """`types` by family; `values` by (name, labels); order as served."""

    def __init__(self):
        self.types, self.helps, self.values = {}, {}, {}

    def get(self, name, **labels):
        """The value of exactly this series."""
        return self.values[name, frozenset(labels.items())]

    def sum(self, name, **labels):
        """The sum of all series of that name that have these labels."""
        want = set(labels.items())
        return sum(v for (n, have), v in self.values.items()
                   if n == name and want <= have)

    def series(self, name):
        return [dict(have) for n, have in self.values if n == name]

    def counters(self):
        """What must not go back: (name, labels) and value."""
        return {(n, have): v for (n, have), v in self.values.items()
                if self.types[self.family(n)] != "gauge"}

    def family(self, name):
        if name in self.types:
            return name
        return re.sub("_(bucket|sum|count)$", "", name)


def read_lines(text):
    out, family, done = Metrics(), None, set()
    for line in text[:-1].split("\n"):
        words = line.split(" ", 3)
        if words[0] == "#":
            expect(len(words) == 4 and words[3], line)
            kind, name = words[1:3]
            if kind == "HELP":
                expect(name not in done and name != family,
                       "in two pieces: " + name)
                done.add(family)
                family = name
                out.helps[name] = words[3]
            else:
                expect(kind == "TYPE" and name == family and
                       name not in out.types, line)
                out.types[name] = words[3]
            continue
        m = SAMPLE.fullmatch(line)
        expect(m, "no sample: " + line)
        kind = out.types.get(family)
        expect(kind in SUFFIXES, "before its type: " + line)
        expect(m.group(1) in [family + s for s in SUFFIXES[kind]],
               "of another family: " + line)
        key = m.group(1), labels_of(m.group(2))
        expect(key not in out.values, "twice: " + line)
        out.values[key] = float(m.group(3))
    return out


def check_histograms(metrics):
    found = {}
    for (name, labels), value in metrics.values.items():
        family = metrics.family(name)
        if metrics.types[family] != "histogram":
            continue
        rest = frozenset(p for p in labels if p[0] != "le")
        of = found.setdefault((family, rest), {"bounds": []})
        if name.endswith("_bucket"):
            of["bounds"].append((float(dict(labels)["le"]), value))
        else:
            of[name[len(family):]] = value
    for key, of in found.items():
        bounds = of["bounds"]
        expect(bounds == sorted(bounds), "bounds of %s" % (key,))
        counts = [n for _, n in bounds]
        expect(counts == sorted(counts), "not cumulative: %s" % (key,))
        expect(bounds[-1] == (float("inf"), of["_count"]),
               "count of %s" % (key,))
        expect("_sum" in of, "no sum of %s" % (key,))


def check_names(metrics):
    for name, kind in metrics.types.items():
        if name.startswith("webhooks_"):
            continue                            # VerneMQ's
        expect(name.startswith("vmq_webhooks_"), name)
        expect(name.endswith("_total") == (kind == "counter"), name)
        expect(not re.search("_(ms|us|milliseconds|count|sum|bucket)(_|$)",
                             name), name)


def compare_with_others(text, metrics):
    """They make every counter's name end in _total."""
    theirs = {}
    for family in text_string_to_metric_families(text):
        for s in family.samples:
            name = s.name
            if name.startswith("webhooks_") and family.type == "counter":
                name = re.sub("_total$", "", name)
            theirs[name, frozenset(s.labels.items())] = s.value
    expect(theirs == metrics.values, "another parser reads something else")


def ask_promtool(text):
    promtool = shutil.which("promtool")
    if not promtool:
        return
    done = subprocess.run([promtool, "check", "metrics"], input=text,
                          capture_output=True, text=True)
    complaints = [line for line in (done.stdout + done.stderr).splitlines()
                  if not line.startswith("webhooks_")]
    expect(not complaints and done.returncode in (0, 3),
           "promtool: %s" % complaints)


def parse(text):
    """Metrics of a page; raises Bad for a page that is not as it must be."""
    expect(text.endswith("\n"), "no line end at its end")
    metrics = read_lines(text)
    check_histograms(metrics)
    check_names(metrics)
    compare_with_others(text, metrics)
    return metrics


def parse_and_check(text):
    """Likewise, and promtool has no objection."""
    metrics = parse(text)
    ask_promtool(text)
    return metrics
