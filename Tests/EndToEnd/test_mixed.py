"""Java and Swift workers on one lease table. The long proof: Tests/Referees/mixed_fleet.py --minutes 10."""

import json
import subprocess
import threading

import pytest

from harness import run_python
import mixed_fleet  # conftest put its directory on the path
from multilang import CHILDREN, install


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed, retrieval", [(1, "POLLING"), (2, "POLLING,FANOUT")], ids=["polling", "fanout"])
def test_java_and_swift_share_a_table_through_kills_evictions_and_reshards(seed, retrieval):
    run = run_python("mixed_fleet.py", "--minutes", 1.5, "--failover", 2000, "--seed", seed, "--retrieval", retrieval,
                     seconds=500)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


@pytest.mark.parametrize("answer, fault", [
    ({"leases": [{"leaseKey": key} for key in ("a", None, "b", "c")]}, None),
    ({"leases": [{"leaseKey": "a"}, {"leaseKey": None}]}, "status does not read ['b']"),
    ({"problems": []}, "status answers with KeyError('leases') (3): no table"),
    ("", "status answers with JSONDecodeError"), ("shardtop: no table", "status answers with JSONDecodeError")])
def test_a_row_that_status_does_not_tell_of_is_a_fault_of_the_fleet(answer, fault):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    found = mixed_fleet.unread({"a": {}, "b": {}}, subprocess.CompletedProcess([], 3, text, "no table"))
    assert [f[:len(fault or "")] for f in found] == ([fault] if fault else [])


def test_the_mixed_fleet_leaves_nothing_running_where_its_report_fails(bench, monkeypatch):
    class Fleet:
        def __init__(self, bench, options):
            self.screen = None
            bench.start_program("sleep", 60)

        def begin(self):
            pass

        drain = begin

        def report(self):
            raise KeyError("nobody")

    monkeypatch.setattr(mixed_fleet, "Fleet", Fleet)
    with pytest.raises(KeyError):
        mixed_fleet.run(bench, None)
    assert [running.process.poll() is None for running in bench.running] == [False]


def test_a_childs_program_is_whole_while_it_is_installed_again(bench):
    path, ended, sizes = install(bench.directory / "bin", CHILDREN / "tally.py"), threading.Event(), set()

    def read():
        while not ended.is_set():
            sizes.add(len(path.read_bytes()))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(1000):
        install(bench.directory / "bin", CHILDREN / "tally.py")
    ended.set()
    reader.join()
    assert sizes == {path.stat().st_size}
