"""What the benchmarks make of their figures, and of a name that is none."""

import subprocess
import sys

import pytest

import budgets  # conftest put its directory on the path
from harness import ROOT


def test_a_round_that_failed_is_in_no_ratio():
    ours, theirs = [{"cpu": 1}, None, {"cpu": 3}, {"cpu": 1}], [None, {"cpu": 2}, {"cpu": 4}, {"cpu": 0}]
    assert budgets.ratios(ours, theirs, "cpu") == [0.75]


@pytest.mark.parametrize("script", ["budgets.py", "emulator.py", "multilang.py"])
def test_a_benchmark_that_is_none_is_refused(script):
    run = subprocess.run(
        [sys.executable, str(ROOT / "Tests" / "Benchmarks" / script), "nonsense"], capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL)
    assert run.returncode == 2 and "unknown: nonsense" in run.stderr, run.stderr
    assert run.stdout == ""
