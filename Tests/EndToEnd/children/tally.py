"""A kclpy app that keeps a ledger: one JSON line an event in CHILD_LOG, one for a whole batch. ledger.py reads it.

Records begin with a number of digits; what follows is filling.
"""
import json
import os
import time

from amazon_kclpy import kcl
from amazon_kclpy.kcl import CheckpointError
from amazon_kclpy.v3 import processor

LOG = os.open(os.environ["CHILD_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
WORKER = os.environ.get("CHILD_WORKER", "")


def number(data):
    """The record's own number: its leading digits."""
    end = 0
    while end < len(data) and 48 <= data[end] < 58:
        end += 1
    return int(data[:end] or -1)


class Tally(processor.RecordProcessorBase):
    shard = None
    last = (-1, -1)

    def log(self, call, **members):
        line = {"at": time.monotonic(), "worker": WORKER, "pid": os.getpid(), "shard": self.shard, "call": call}
        os.write(LOG, (json.dumps({**line, **members}) + "\n").encode())

    def initialize(self, initialize_input):
        self.shard = initialize_input.shard_id
        self.log("initialize")

    def process_records(self, process_records_input):
        ids, rises = [], True
        for record in process_records_input.records:
            position = (int(record.sequence_number), record.sub_sequence_number or 0)
            rises = rises and position > self.last
            self.last = position
            ids.append(number(record.binary_data))
        self.log("batch", ids=ids, rises=rises)
        self.checkpoint(process_records_input.checkpointer, "checkpoint")

    def checkpoint(self, checkpointer, call):
        error = None
        for _ in range(3):
            try:
                checkpointer.checkpoint()
                error = None
                break
            except CheckpointError as refused:
                error = refused.value
                if error == "ShutdownException":
                    break
                time.sleep(0.2)
        self.log(call, error=error)

    def lease_lost(self, lease_lost_input):
        self.log("lease_lost")

    def shard_ended(self, shard_ended_input):
        self.log("shard_ending")
        self.checkpoint(shard_ended_input.checkpointer, "shard_ended")

    def shutdown_requested(self, shutdown_requested_input):
        self.checkpoint(shutdown_requested_input.checkpointer, "shutdown_requested")


kcl.KCLProcess(Tally()).run()
