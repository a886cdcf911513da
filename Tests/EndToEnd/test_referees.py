"""Clients that nobody here wrote, against the emulator's port: boto3, the AWS CLI, aws-kinesis-agg, botocore."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from harness import REGION, environment, run_python, wait_until
from raw import read_cbor  # conftest put its directory on the path

CLI = pathlib.Path(sys.executable).parent / "aws"


def passed(run):
    report = f"{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
    assert run.returncode == 0, report
    counts = re.search(r"(\d+) passed, (\d+) failed", run.stdout)
    assert counts and int(counts[1]) > 0 and counts[2] == "0", report


def test_boto3_agrees_with_the_emulators_dynamodb(bench):
    passed(run_python("dynamodb_boto3.py", bench.emulator().endpoint))


def test_boto3_and_the_aws_cli_agree_with_the_emulators_kinesis(bench):
    passed(run_python("kinesis_boto3.py", bench.emulator().endpoint, CLI))


def test_boto3_agrees_with_the_emulators_kinesis_in_cbor(bench):
    passed(run_python("kinesis_boto3.py", bench.emulator().endpoint, "--cbor"))


def test_moto_and_the_emulators_kinesis_refuse_the_same_requests(bench, moto):
    passed(run_python("kinesis_moto.py", bench.emulator().endpoint, moto.endpoint))


def test_aws_kinesis_agg_reads_and_writes_our_aggregates():
    passed(run_python("kpl.py"))


def test_botocore_signs_as_the_committed_cases_say():
    run = run_python("sigv4.py", "--check")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("data", [b"\xa2\x61a\x01\x61a\x02", b"\xbf\x61a\x01\x61a\x02\xff"], ids=["sized", "open"])
def test_the_referees_cbor_takes_no_key_twice(data):
    assert read_cbor(data.replace(b"a\x02", b"b\x02")) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="a twice"):
        read_cbor(data)


def test_put_aggregates_are_read_by_aws_kinesis_agg(bench):
    from aws_kinesis_agg.deaggregator import deaggregate_records
    import base64

    emulator = bench.emulator("orders:1")
    lines = [f"line {i}" for i in range(300)]
    ended = bench.run("put", "orders", "--stdin", "--aggregate", "--keys", 5, text="\n".join(lines) + "\n",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == 0, ended.stderr
    shard = emulator.kinesis.list_shards(StreamName="orders")["Shards"][0]["ShardId"]
    iterator = emulator.kinesis.get_shard_iterator(
        StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = emulator.kinesis.get_records(ShardIterator=iterator)["Records"]
    assert len(records) < len(lines), "nothing was aggregated"
    found = deaggregate_records([
        {"kinesis": {"kinesisSchemaVersion": "1.0", "sequenceNumber": r["SequenceNumber"],
                     "approximateArrivalTimestamp": 0, "partitionKey": r["PartitionKey"],
                     "data": base64.b64encode(r["Data"])}} for r in records])
    assert sorted(base64.b64decode(r["kinesis"]["data"]).decode() for r in found) == sorted(lines)


class CommandLine:
    """The AWS CLI against the emulator."""

    def __init__(self, bench, endpoint):
        self.env = environment(bench.directory, AWS_ENDPOINT_URL=endpoint, AWS_PAGER="", AWS_MAX_ATTEMPTS="1")

    def __call__(self, *arguments, fails=False):
        run = subprocess.run(
            [str(CLI), "--region", REGION, "--output", "json", *arguments], capture_output=True, text=True, timeout=60,
            env=self.env, stdin=subprocess.DEVNULL)
        assert (run.returncode != 0) == fails, run.stderr
        return run.stderr if fails else (json.loads(run.stdout) if run.stdout.strip() else None)


@pytest.fixture
def cli(bench):
    emulator = bench.emulator("orders:2")
    command = CommandLine(bench, emulator.endpoint)
    command.emulator = emulator
    return command


def test_the_aws_cli_reads_what_put_wrote(bench, cli):
    lines = ["first", "zweite Zeile", "третья", "{\"json\": true}"]
    ended = bench.run("put", "orders", "--stdin", text="\n".join(lines), AWS_ENDPOINT_URL=cli.emulator.endpoint)
    assert ended.returncode == 0, ended.stderr
    found = []
    for shard in cli("kinesis", "list-shards", "--stream-name", "orders")["Shards"]:
        iterator = cli("kinesis", "get-shard-iterator", "--stream-name", "orders", "--shard-id", shard["ShardId"],
                       "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
        answer = cli("kinesis", "get-records", "--shard-iterator", iterator)
        # Version 1 of the CLI prints the data in base64.
        import base64
        found += [base64.b64decode(r["Data"]).decode() for r in answer["Records"]]
    assert sorted(found) == sorted(lines)


def test_the_aws_cli_pages_through_shards(cli):
    cli("kinesis", "create-stream", "--stream-name", "many", "--shard-count", "25")
    cli.emulator.wait_for_stream("many")
    pages = cli("kinesis", "describe-stream", "--stream-name", "many", "--page-size", "7")["StreamDescription"]["Shards"]
    assert [s["ShardId"] for s in pages] == [f"shardId-{i:012d}" for i in range(25)]
    first = cli("kinesis", "list-shards", "--stream-name", "many", "--max-results", "10", "--no-paginate")
    assert len(first["Shards"]) == 10
    rest = cli("kinesis", "list-shards", "--next-token", first["NextToken"], "--no-paginate")
    assert len(rest["Shards"]) == 15 and "NextToken" not in rest


def test_the_aws_cli_gets_the_services_own_errors(cli):
    assert "ResourceNotFoundException" in cli("kinesis", "describe-stream", "--stream-name", "nope", fails=True)
    assert "ResourceInUseException" in cli(
        "kinesis", "create-stream", "--stream-name", "orders", "--shard-count", "1", fails=True)
    assert "InvalidArgumentException" in cli(
        "kinesis", "split-shard", "--stream-name", "orders", "--shard-to-split", "shardId-000000000000",
        "--new-starting-hash-key", "0", fails=True)
    assert "ResourceNotFoundException" in cli(
        "dynamodb", "scan", "--table-name", "nope", fails=True)


def test_the_aws_cli_writes_conditionally(cli):
    cli("dynamodb", "create-table", "--table-name", "leases", "--attribute-definitions",
        "AttributeName=leaseKey,AttributeType=S", "--key-schema", "AttributeName=leaseKey,KeyType=HASH",
        "--billing-mode", "PAY_PER_REQUEST")
    cli("dynamodb", "wait", "table-exists", "--table-name", "leases")
    put = ("dynamodb", "put-item", "--table-name", "leases", "--item", '{"leaseKey":{"S":"a"},"leaseCounter":{"N":"1"}}',
           "--condition-expression", "attribute_not_exists(leaseKey)")
    cli(*put)
    assert "ConditionalCheckFailedException" in cli(*put, fails=True)
    updated = cli(
        "dynamodb", "update-item", "--table-name", "leases", "--key", '{"leaseKey":{"S":"a"}}', "--update-expression",
        "SET leaseCounter = leaseCounter + :one", "--condition-expression", "leaseCounter = :one",
        "--expression-attribute-values", '{":one":{"N":"1"}}', "--return-values", "ALL_NEW")
    assert updated["Attributes"] == {"leaseKey": {"S": "a"}, "leaseCounter": {"N": "2"}}


def test_the_aws_cli_sees_a_lease_table_as_the_java_kcl_makes_it(cli):
    table = ("--table-name", "leases")
    cli("dynamodb", "create-table", *table, "--billing-mode", "PAY_PER_REQUEST",
        "--attribute-definitions", "AttributeName=leaseKey,AttributeType=S",
        "--key-schema", "AttributeName=leaseKey,KeyType=HASH", "--tags", "Key=app,Value=orders")
    cli("dynamodb", "wait", "table-exists", *table)
    cli("dynamodb", "update-table", *table, "--attribute-definitions", "AttributeName=leaseKey,AttributeType=S",
        "AttributeName=leaseOwner,AttributeType=S", "--global-secondary-index-updates",
        json.dumps([{"Create": {
            "IndexName": "LeaseOwnerToLeaseKeyIndex", "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": "leaseOwner", "KeyType": "HASH"},
                          {"AttributeName": "leaseKey", "KeyType": "RANGE"}]}}]))
    cli("dynamodb", "wait", "table-exists", *table)

    def described():
        return cli("dynamodb", "describe-table", *table)["Table"]

    wait_until(lambda: described()["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE", 20)
    cli("dynamodb", "transact-write-items", "--transact-items", json.dumps([
        {"Put": {"TableName": "leases", "Item": {
            "leaseKey": {"S": key}, "leaseOwner": {"S": "worker-1"}, "checkpoint": {"S": "TRIM_HORIZON"}}}}
        for key in ("a", "b")]))
    owned = cli(
        "dynamodb", "query", *table, "--index-name", "LeaseOwnerToLeaseKeyIndex", "--key-condition-expression",
        "leaseOwner = :w", "--expression-attribute-values", '{":w":{"S":"worker-1"}}', "--return-consumed-capacity",
        "INDEXES")
    assert owned["Items"] == [{"leaseKey": {"S": key}, "leaseOwner": {"S": "worker-1"}} for key in ("a", "b")]
    assert owned["ConsumedCapacity"]["GlobalSecondaryIndexes"]["LeaseOwnerToLeaseKeyIndex"]["CapacityUnits"] == 0.5
    cli("dynamodb", "update-continuous-backups", *table, "--point-in-time-recovery-specification",
        "PointInTimeRecoveryEnabled=true")
    backups = cli("dynamodb", "describe-continuous-backups", *table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    cli("dynamodb", "update-time-to-live", *table, "--time-to-live-specification",
        "Enabled=true,AttributeName=until")
    assert cli("dynamodb", "describe-time-to-live", *table)["TimeToLiveDescription"]["AttributeName"] == "until"
    arn = ("--resource-arn", described()["TableArn"])
    cli("dynamodb", "untag-resource", *arn, "--tag-keys", "app")
    assert cli("dynamodb", "list-tags-of-resource", *arn)["Tags"] == []
    cli("dynamodb", "update-table", *table, "--deletion-protection-enabled")
    assert "ValidationException" in cli("dynamodb", "delete-table", *table, fails=True)


def test_the_demos_emulator_is_open_to_the_aws_cli(bench):
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    demo = bench.start("demo", "--headless", "--for", "60s", "--port", port)
    cli = CommandLine(bench, f"http://127.0.0.1:{port}")

    def answers():
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return True
        except OSError:
            assert demo.process.poll() is None, demo.stderr
            return False

    wait_until(answers, 20)
    streams = wait_until(lambda: cli("kinesis", "list-streams")["StreamNames"], 20)
    assert streams == ["orders"]
    rows = wait_until(
        lambda: "shardtop-demo" in cli("dynamodb", "list-tables")["TableNames"]
        and cli("dynamodb", "scan", "--table-name", "shardtop-demo")["Items"], 20)
    assert {row["leaseKey"]["S"] for row in rows} == {f"shardId-{i:012d}" for i in range(4)}
