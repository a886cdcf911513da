"""Java and Swift workers on one lease table. The long proof: Tests/Referees/mixed_fleet.py --minutes 10."""

import pytest

from harness import run_python


@pytest.mark.timeout(600)
def test_java_and_swift_share_a_table_through_kills_evictions_and_reshards():
    run = run_python("mixed_fleet.py", "--minutes", 1.5, "--failover", 2000, "--seed", 1, seconds=500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
