#!/usr/bin/env python3
"""The MultiLang child of multilang.py, for either daemon. It notes times in a file of its own in $BENCH_MARKS.

    child.py kclpy     an app of amazon_kclpy's v3 interface: decodes each record, checkpoints after each batch
    child.py raw       the same exchange without parsing: what is left is what the daemon can do
"""

import os
import sys
import time

MARKS = os.open(f"{os.environ['BENCH_MARKS']}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def mark(*values):
    os.write(MARKS, (" ".join(map(str, values)) + "\n").encode())


def kclpy():
    from amazon_kclpy import kcl
    from amazon_kclpy.v3 import processor

    class App(processor.RecordProcessorBase):
        def initialize(self, initialize_input):
            mark("initialize", initialize_input.shard_id, time.monotonic(), time.process_time())

        def process_records(self, process_records_input):
            began = time.monotonic()
            size = sum(len(record.binary_data) for record in process_records_input.records)
            process_records_input.checkpointer.checkpoint()
            mark("batch", len(process_records_input.records), began, time.monotonic(), time.process_time(), size)

        def lease_lost(self, lease_lost_input):
            pass

        def shard_ended(self, shard_ended_input):
            shard_ended_input.checkpointer.checkpoint()

        def shutdown_requested(self, shutdown_requested_input):
            shutdown_requested_input.checkpointer.checkpoint()

    kcl.KCLProcess(App()).run()


def raw():
    def answer(action):
        os.write(1, b'{"action":"status","responseFor":"%s"}\n' % action)

    def lines():
        """Each line's beginning, and how many records it has; never a whole line in memory."""
        head, count, tail = b"", 0, b""
        while data := os.read(0, 1 << 20):
            # The daemon sends one line at a time and then waits, so a line feed can only be the last byte.
            head = head if len(head) >= 64 else (head + data)[:64]
            joined = tail + data
            count += joined.count(b'"partitionKey"')
            tail = joined[-13:]
            if data.endswith(b"\n"):
                yield head, count
                head, count, tail = b"", 0, b""

    source = lines()
    for head, count in source:
        began = time.monotonic()
        action = head.split(b'"', 4)[3]
        if action == b"initialize":
            mark("initialize", head.split(b'"', 8)[7].decode(), began, time.process_time())
        elif action != b"leaseLost":
            os.write(1, b'{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null}\n')
            next(source)
            if action == b"processRecords":
                mark("batch", count, began, time.monotonic(), time.process_time())
        answer(action)


{"kclpy": kclpy, "raw": raw}[sys.argv[1]]()
