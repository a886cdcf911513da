"""Java and Swift workers on one lease table. The long proof: Tests/Referees/mixed_fleet.py --minutes 10."""

import pytest

from harness import run_python


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed, retrieval", [(1, "POLLING"), (2, "POLLING,FANOUT")], ids=["polling", "fanout"])
def test_java_and_swift_share_a_table_through_kills_evictions_and_reshards(seed, retrieval):
    run = run_python("mixed_fleet.py", "--minutes", 1.5, "--failover", 2000, "--seed", seed, "--retrieval", retrieval,
                     seconds=500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
