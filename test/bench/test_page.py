"""The page of the benchmark: each figure's rows are replaced, and nothing
else."""

import os
import tempfile
import unittest

import bench
import page


def figure(number, *rows):
    fig = bench.Figure(number, "Title " + number, lambda bench: None, True)
    fig.text = "How %s is measured." % number
    fig.others = 0.04
    fig.rows = [bench.Row(*row) for row in rows]
    return fig


class Pages(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "page.md")
        self.figures = [
            figure("1", ("what", "0.9", "at least 0.8", "met"),
                   ("more", "7")),
            figure("2", ("that", "3", "at most 2", "NOT MET")),
            figure("C1", ("a|b", "1 | 2"))]

    def put(self, *figures, day="2026-01-01"):
        """As a run does: one after the other, each written at once."""
        for fig in figures:
            p = page.Page(self.path)
            self.assertTrue(p.put(fig, day))
            p.write(self.figures)
        return self.text()

    def text(self):
        with open(self.path) as f:
            return f.read()

    def table(self):
        return [line for line in self.text().splitlines()
                if line.startswith("| ")][1:]

    def test_as_it_goes(self):
        """After each of them the page is whole, with what there is."""
        one, two, c1 = self.figures
        self.put(one)
        self.assertEqual(self.table(), [
            "| 1. Title 1: what | 0.9 | at least 0.8 | met | 4 % | "
            "2026-01-01 |",
            "| 1. Title 1: more | 7 | - | - | 4 % | 2026-01-01 |"])
        text = self.put(c1)
        self.assertEqual(self.table()[2:], [
            "| C1. Title C1: a\\|b | 1 \\| 2 | - | - | 4 % | 2026-01-01 |"])
        self.assertIn("2026-01-01: 1, C1; not measured yet: 2.", text)
        text = self.put(two)
        self.assertEqual([line[2:5] for line in self.table()],
                         ["1. ", "1. ", "2. ", "C1."])
        for number in ("1", "2", "C1"):
            self.assertIn("**%s. Title %s.** How %s is measured." %
                          ((number,) * 3), text)

    def test_one_anew(self):
        self.put(*self.figures)
        before = self.table()
        again = figure("2", ("that", "1", "at most 2", "met"),
                       ("and this", "5"))
        text = self.put(again, day="2026-02-02")
        self.assertEqual(self.table(), before[:2] + [
            "| 2. Title 2: that | 1 | at most 2 | met | 4 % | 2026-02-02 |",
            "| 2. Title 2: and this | 5 | - | - | 4 % | 2026-02-02 |"] +
            before[3:])
        self.assertIn("2026-01-01: 1, C1; 2026-02-02: 2.", text)

    def test_notes_are_kept(self):
        text = self.put(*self.figures)
        notes = "\n## Notes\n\nMine,\n\nand yours.\n"
        with open(self.path, "w") as f:
            f.write(text.replace(page.TEXTS, notes + page.TEXTS))
        self.assertEqual(self.put(*self.figures),
                         text.replace(page.TEXTS, notes + page.TEXTS))

    def test_what_failed_leaves_what_was(self):
        self.put(*self.figures)
        before = self.text()
        failed = figure("1", ("what", "0.1", "at least 0.8", "NOT MET"),
                        ("Title 1", "Failed: x", "", "failed"))
        p = page.Page(self.path)
        self.assertFalse(p.put(failed, "2026-02-02"))
        self.assertFalse(p.put(figure("2"), "2026-02-02"))
        p.write(self.figures)
        self.assertEqual(self.text(), before)

    def test_figures_that_are_no_more(self):
        self.put(*self.figures)
        del self.figures[1]
        self.put(self.figures[0])
        self.assertNotIn("| 2. ", self.text())

    def test_the_real_one(self):
        """What is in docs/ can be read, and written again as it is."""
        real = os.path.join(os.path.dirname(page.__file__),
                            "../../docs/benchmarks.md")
        with open(real) as f, open(self.path, "w") as to:
            text = f.read()
            to.write(text)
        p = page.Page(self.path)
        known = [fig.number for fig in bench.FIGURES]
        self.assertGreater(len(p.lines), 10)
        self.assertEqual(set(p.lines) - set(known), set())
        p.write(bench.FIGURES)
        again = page.Page(self.path)
        self.assertEqual((again.lines, again.notes), (p.lines, p.notes))


def run():
    """(passed, failed)"""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Pages).run(result)
    for test, text in result.failures + result.errors:
        print("%s\n%s" % (test.id(), text))
    failed = len(result.failures) + len(result.errors)
    return result.testsRun - failed, failed
