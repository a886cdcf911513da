#!/usr/bin/env python3
"""Measures `shardtop emulate` against moto with one client: the same bytes to both, by turns.

    swift build -c release --static-swift-stdlib --product shardtop
    SHARDTOP=.build/release/shardtop .venv-tests/bin/python Tests/Benchmarks/emulator.py [NAME…] [--rounds 5]

NAME is any of put, small, get, update, memory; all by default. The client is one connection that sends prepared JSON
requests and reads whole answers, one after the other; moto's server ends the connection after each. Figures are
medians (smallest–largest); ratios the median of each round's. moto's own cost grows with what a stream holds, so each
round begins with a new stream.
`memory` puts ten million records of 100 B (--records) into ours alone, and a fiftieth of it into moto.
"""

import argparse
import base64
import json
import pathlib
import socket
import statistics
import sys
import tempfile
import time

from budgets import cpu, memory, middle
import harness  # budgets put its directory on the path
from ledger import AUTHORIZATION, GOLDEN

KINESIS, DYNAMODB = "Kinesis_20131202", "DynamoDB_20120810"


class Wire:
    """A socket that sends prepared requests and reads answers to their last byte."""

    def __init__(self, endpoint):
        self.host = endpoint.removeprefix("http://")
        self.open()

    def open(self):
        host, port = self.host.split(":")
        self.socket = socket.create_connection((host, int(port)), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def prepare(self, target, operation, body):
        service, kind = ("kinesis", "1.1") if target == KINESIS else ("dynamodb", "1.0")
        body = json.dumps(body).encode()
        return (f"POST / HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/x-amz-json-{kind}\r\n"
                f"X-Amz-Target: {target}.{operation}\r\n"
                f"Authorization: {AUTHORIZATION.replace('/kinesis/', f'/{service}/')}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def exchange(self, request):
        """Status and body."""
        self.socket.sendall(request)
        data = self.received
        while (end := data.find(b"\r\n\r\n")) < 0:
            self.more()
        head = bytes(data[:end]).lower()
        at = head.index(b"content-length:")
        length = int(head[at + 15:].split(b"\r\n", 1)[0])
        while len(data) < end + 4 + length:
            self.more()
        body = bytes(data[end + 4:end + 4 + length])
        del data[:end + 4 + length]
        if b"connection: close" in head:
            self.socket.close()
            self.open()
        return int(head[9:12]), body

    def more(self):
        piece = self.socket.recv(1 << 20)
        assert piece, "the server closed the connection"
        self.received += piece

    def call(self, target, operation, body):
        status, answer = self.exchange(self.prepare(target, operation, body))
        assert status == 200, (operation, status, answer[:300])
        return json.loads(answer or b"{}")


class Side:
    def __init__(self, name, endpoint, pid):
        self.name, self.endpoint, self.pid = name, endpoint, pid
        self.wire = Wire(endpoint)
        self.number = 0

    def stream(self, shards):
        self.number += 1
        name = f"bench-{self.number}"
        self.wire.call(KINESIS, "CreateStream", {"StreamName": name, "ShardCount": shards})
        harness.wait_until(lambda: self.wire.call(KINESIS, "DescribeStreamSummary", {"StreamName": name})[
            "StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE", 20)
        return name

    def end(self, name):
        self.wire.call(KINESIS, "DeleteStream", {"StreamName": name})

    def run(self, requests, takes=lambda body: True):
        """requests/s, MB/s in both directions, CPU seconds of the server in a thousand requests."""
        exchange, moved = self.wire.exchange, sum(map(len, requests))
        spent, began = cpu(self.pid), time.perf_counter()
        for request in requests:
            status, body = exchange(request)
            moved += len(body)
            assert status == 200 and takes(body), body[:300]
        seconds = time.perf_counter() - began
        return len(requests) / seconds, moved / 1e6 / seconds, (cpu(self.pid) - spent) * 1000 / len(requests)


def records(count, size, start=0):
    data = base64.b64encode(b"x" * size).decode()
    return [{"Data": data, "PartitionKey": f"key-{i}", "ExplicitHashKey": str(i * GOLDEN % (1 << 128))}
            for i in range(start, start + count)]


def put(side, count=60, each=100, size=1024):
    name = side.stream(4)
    request = side.wire.prepare(KINESIS, "PutRecords", {"StreamName": name, "Records": records(each, size)})
    figures = side.run([request] * count, lambda answer: b'"ErrorCode"' not in answer)
    side.end(name)
    return figures


def small(side):
    return put(side, 400, 1, 100)


def get(side, count=60):
    """A thousand records of 1 KiB an answer."""
    name = side.stream(1)
    for start in range(0, 1000, 250):
        side.wire.call(KINESIS, "PutRecords", {"StreamName": name, "Records": records(250, 1024, start)})
    token = side.wire.call(KINESIS, "GetShardIterator", {
        "StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"]
    request = side.wire.prepare(KINESIS, "GetRecords", {"ShardIterator": token, "Limit": 1000})
    figures = side.run([request] * count, lambda answer: len(answer) > 1_000_000)
    side.end(name)
    return figures


def update(side, count=600):
    """Renewals of a lease, as the KCL writes them: conditional, with the legacy parameters."""
    side.number += 1
    table = f"leases-{side.number}"
    side.wire.call(DYNAMODB, "CreateTable", {
        "TableName": table, "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"})
    harness.wait_until(lambda: side.wire.call(DYNAMODB, "DescribeTable", {"TableName": table})["Table"][
        "TableStatus"] == "ACTIVE", 20)
    for i in range(16):
        side.wire.call(DYNAMODB, "PutItem", {"TableName": table, "Item": {
            "leaseKey": {"S": f"shardId-{i:012d}"}, "leaseCounter": {"N": "0"}, "checkpoint": {"S": "TRIM_HORIZON"}}})
    requests = [side.wire.prepare(DYNAMODB, "UpdateItem", {
        "TableName": table, "Key": {"leaseKey": {"S": f"shardId-{i % 16:012d}"}},
        "AttributeUpdates": {"leaseCounter": {"Action": "PUT", "Value": {"N": str(i // 16 + 1)}}},
        "Expected": {"leaseCounter": {"Value": {"N": str(i // 16)}}}}) for i in range(count)]
    figures = side.run(requests)
    side.wire.call(DYNAMODB, "DeleteTable", {"TableName": table})
    return figures


NAMES = {"put": (put, "PutRecords, 100 records of 1 KiB"), "small": (small, "PutRecords, one record of 100 B"),
         "get": (get, "GetRecords, 1000 records of 1 KiB"), "update": (update, "conditional UpdateItem (a renewal)")}


def paired(title, sides, rounds, run):
    found = {side.name: [] for side in sides}
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            found[side.name].append(run(side))
    print(f"\n{title}")
    for index, unit in enumerate(("requests/s", "MB/s", "CPU ms")):
        columns = " ".join(f"{name} {middle([r[index] for r in values]):36}" for name, values in found.items())
        ratio = statistics.median(a[index] / b[index] for a, b in zip(*found.values()) if b[index])
        print(f"  {unit:12} {columns} ratio {ratio:.2f}", flush=True)


def fill(side, count):
    """Megabytes, and bytes a record, after `count` records of 100 B."""
    name = side.stream(4)
    before = memory(side.pid, "VmRSS")
    request = side.wire.prepare(KINESIS, "PutRecords", {"StreamName": name, "Records": records(500, 100)})
    began = time.monotonic()
    for _ in range(count // 500):
        status, answer = side.wire.exchange(request)
        assert status == 200 and b'"ErrorCode"' not in answer, answer[:300]
    after = memory(side.pid, "VmRSS")
    print(f"  {side.name:9} {count:9} records: {after:8.1f} MB, {(after - before) * 1_048_576 / count:7.1f} B a record, "
          f"{count / (time.monotonic() - began):9.0f} records/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000_000)
    options = parser.parse_args()
    if unknown := set(options.names) - {*NAMES, "memory"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(pathlib.Path(directory))
        try:
            own = bench.emulator(limits=False)
            theirs = harness.refused_endpoint()  # until it is there
            port = int(theirs.rsplit(":", 1)[1])
            moto = bench.start_program(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)

            def answers():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            harness.wait_until(answers, 60)
            sides = [Side("shardtop", own.endpoint, own.process.process.pid),
                     Side("moto", theirs, moto.process.pid)]
            for name, (run, title) in NAMES.items():
                if not options.names or name in options.names:
                    paired(title, sides, options.rounds, run)
            if not options.names or "memory" in options.names:
                print("\nmemory for records of 100 B, keys of some 8 B")
                fill(sides[0], options.records)
                fill(sides[1], options.records // 50)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
