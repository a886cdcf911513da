#!/usr/bin/env python3
"""Referee of the KPL format: aws-kinesis-agg (PyPI) writes and reads the aggregates of DeaggregationTests.swift.

Needs aws-kinesis-agg==1.2.3, protobuf and six. `--print` writes the literals instead of checking them.
"""
import base64
import pathlib
import re
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

TESTS = pathlib.Path(__file__).parent.parent / "KinesisConsumerTests" / "DeaggregationTests.swift"

# (partition key, explicit hash key or None, data); the Swift test holds the same lists.
CASES = {
    "partitionKeys": [("a", None, b"one"), ("bäh", None, b"two"), ("a", None, b"")],
    "hashKeys": [("a", "0", b"one"), ("b", str(2**128 - 1), b"two"), ("a", "0", b"three")],
    "mixed": [("a", None, b"one"), ("a", "170141183460469231731687303715884105728", b"\x00\xff")],
}
MANY = [(f"key-{i}", str(i * 10**30) if i % 3 == 0 else None, bytes([i % 256]) * i) for i in range(300)]

passed = failed = 0


def check(name, holds, detail=""):
    global passed, failed
    passed += bool(holds)
    failed += not holds
    if not holds:
        print(f"FAILED {name} {detail}")


def aggregate(records):
    aggregator = RecordAggregator()
    for key, hash_key, data in records:
        assert aggregator.add_user_record(key, data, hash_key) is None
    return aggregator.clear_and_get().get_contents()[2]


def read(blob):
    envelope = {
        "kinesisSchemaVersion": "1.0",
        "sequenceNumber": "49",
        "approximateArrivalTimestamp": 0,
        "partitionKey": "outer",
        "data": base64.b64encode(blob),
    }
    return [record["kinesis"] for record in deaggregate_records([{"kinesis": envelope}])]


def check_reading(name, blob, records):
    found = read(blob)
    check(f"{name}: count", len(found) == len(records), len(found))
    for index, (record, (key, hash_key, data)) in enumerate(zip(found, records)):
        got = (record["partitionKey"], base64.b64decode(record["data"]), record.get("subSequenceNumber"))
        check(f"{name}: record {index}", got == (key, data, index), got)
        # The referee gives a record without a hash key the first of the table, so only given ones are compared.
        if hash_key is not None:
            check(f"{name}: hash key {index}", record["explicitHashKey"] == hash_key, record["explicitHashKey"])


def main():
    if "--print" in sys.argv:
        for name, records in CASES.items():
            print(f'static let {name} = "{aggregate(records).hex()}"')
        print(f'static let many = "{aggregate(MANY)[-16:].hex()}"')
        return 0
    literals = dict(re.findall(r'static let (\w+) =\s+"([0-9a-f]+)"', TESTS.read_text(encoding="utf-8")))
    for name, records in CASES.items():
        literal = literals.get(name, "")
        check(f"{name}: written alike", literal == aggregate(records).hex(), literal)
        check_reading(name, bytes.fromhex(literal), records)
    check("many: written alike", literals.get("many") == aggregate(MANY)[-16:].hex())
    check_reading("many", aggregate(MANY), MANY)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
