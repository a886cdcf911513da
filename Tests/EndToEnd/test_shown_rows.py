"""The rows that a screen shows are read again between two scans of the table."""

import json
import re

import test_generations as generations
from harness import wait_until
from test_policies import DYNAMODB, call

# So long that no scan comes while a test waits for a text.
SELDOM = ["--refresh", "300s"]


class Watched:
    """A table that nobody works on, and a screen before it; a change is made by hand."""

    def __init__(self, bench, terminal, arguments=()):
        self.capture = bench.directory / "capture"
        self.fleet = generations.Fleet(bench, "CLIENT_VERSION_2X", arguments=["--capture", str(self.capture), *arguments])
        self.screen = terminal(160, 45, AWS_ENDPOINT_URL=self.fleet.emulator.endpoint)

    def start(self, *arguments):
        self.screen.launch("watch", generations.APPLICATION, *arguments)
        self.screen.shows("worker-a", "worker-b")

    def set(self, key, **attributes):
        self.fleet.emulator.dynamodb.update_item(
            TableName=generations.APPLICATION, Key={"leaseKey": {"S": key}},
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in attributes),
            ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()})

    def calls(self, operation):
        """How often it was called for the lease table."""
        lines = [json.loads(line) for line in self.capture.read_text().splitlines()]
        made = [call(line) for line in lines if (line.get("operation") or "").startswith("DynamoDB.")]
        return made.count((f"dynamodb:{operation}", DYNAMODB + generations.APPLICATION))


def test_a_change_of_a_row_on_the_screen_is_seen_before_the_next_scan(bench, terminal):
    watched = Watched(bench, terminal)
    watched.start(*SELDOM)
    scans = watched.calls("Scan")
    watched.set(generations.FIRST, leaseOwner=generations.text("worker-z"), leaseCounter=generations.number(8))
    watched.screen.shows("worker-z")
    watched.screen.matches(r"OWNER +0000 worker-a")
    watched.set(generations.SECOND, checkpoint=generations.text("SHARD_END"), leaseCounter=generations.number(8))
    watched.screen.matches(r"0001 .*ENDED")
    # What a screen costs is on it, and the table itself was not read again.
    assert float(re.search(r"([\d.]+) RCU/s", watched.screen.text)[1]) > 0
    assert watched.calls("Scan") == scans
    assert watched.calls("BatchGetItem") > 0
    watched.screen.type("q")
    watched.screen.is_back()


def test_a_table_that_costs_less_than_its_rows_is_scanned_once_a_second(bench, terminal):
    watched = Watched(bench, terminal)
    watched.start()
    scans = watched.calls("Scan")
    watched.set(generations.FIRST, leaseOwner=generations.text("worker-z"), leaseCounter=generations.number(8))
    watched.screen.shows("worker-z")
    wait_until(lambda: watched.calls("Scan") >= scans + 3, 10, lambda: watched.screen.text)
    assert watched.calls("BatchGetItem") == 0
    watched.screen.type("q")
    watched.screen.is_back()


def test_a_throttled_read_of_rows_is_made_more_seldom_and_recovers(bench, terminal):
    fault = [dict(do="error", type="ProvisionedThroughputExceededException", message="slowly", status=400,
                  operation="BatchGetItem", count=2)]
    faults = bench.directory / "throttle.json"
    faults.write_text(json.dumps({"faults": fault}))
    watched = Watched(bench, terminal, arguments=["--faults", str(faults)])
    watched.start("--refresh", "8s")
    watched.screen.shows("THROTTLED")
    wait_until(lambda: watched.calls("BatchGetItem") >= 3, 60, lambda: watched.screen.text)
    watched.screen.shows_no("THROTTLED", seconds=30)
    watched.set(generations.FIRST, leaseOwner=generations.text("worker-z"), leaseCounter=generations.number(8))
    watched.screen.shows("worker-z")
    watched.screen.type("q")
    watched.screen.is_back()
