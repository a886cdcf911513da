"""What the apps of this folder do, whatever interface of kclpy they are written for.

They append what they got to the file in CHILD_LOG, one JSON object a line. CHILD_PLAN, a JSON object, says what they
do:
* `checkpoint`: `latest` (after each batch, without a number), `number` (after each batch, at its last record), `third`
  (without a number, after every third batch), `never`. At the end of a shard each of them checkpoints.
* `retries`: how often a checkpoint is tried again after a CheckpointError.
* `at`: by a record's text, what happens when it arrives: `raise`, `exit`, `hold` (until CHILD_LOG + ".gate" is there),
  `sleep:SECONDS`, `checkpoint` (right there, with number and sub-sequence number). Each happens once in a test.
* `silentEnd`: how many times the end of a shard is answered without a checkpoint.
* `lastWord`: false for no checkpoint when a shutdown is requested.
"""
import base64
import hashlib
import json
import os
import sys
import time

from amazon_kclpy.kcl import CheckpointError

LOG = os.environ["CHILD_LOG"]
PLAN = json.loads(os.environ.get("CHILD_PLAN", "{}"))
# Longer data is logged as its length and hash.
SHOWN_MAX = 4096


def log(shard, call, **members):
    line = json.dumps({"pid": os.getpid(), "shard": shard, "call": call, **members}) + "\n"
    with open(LOG, "ab", buffering=0) as file:
        file.write(line.encode())


def is_first(name):
    """Whether nobody asked with this name before, in this process or another."""
    name = hashlib.sha256(name.encode()).hexdigest()[:16]
    try:
        os.close(os.open(f"{LOG}.{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return True
    except FileExistsError:
        return False


class Behaviour:
    def __init__(self):
        self.shard = None
        self.batches = 0

    def began(self, shard, **position):
        self.shard = shard
        log(shard, "initialize", **position)

    def got(self, records, checkpointer, **members):
        """`records`: (data in base64, partition key, sequence number, sub-sequence number, arrival in ms)."""
        self.batches += 1
        log(self.shard, "batch", count=len(records), **members)
        for data, key, number, sub, arrival in records:
            content = base64.b64decode(data, validate=True)
            shown = {"data": data} if len(data) <= SHOWN_MAX else {"sha256": hashlib.sha256(content).hexdigest()}
            log(self.shard, "record", key=key, number=number, sub=sub, arrival=arrival, size=len(content), **shown)
            text = content[:100].decode(errors="replace")
            if text in PLAN.get("at", {}) and is_first(text):
                self.act(PLAN["at"][text], checkpointer, number, sub)
        plan = PLAN.get("checkpoint", "latest")
        if plan == "latest" or plan == "third" and self.batches % 3 == 0:
            self.checkpoint(checkpointer)
        elif plan == "number":
            self.checkpoint(checkpointer, *records[-1][2:4])

    def act(self, action, checkpointer, number, sub):
        if action == "raise":
            raise ValueError("this record is not to my taste")
        if action == "exit":
            os._exit(7)
        if action == "hold":
            while not os.path.exists(f"{LOG}.gate"):
                time.sleep(0.05)
        if action == "checkpoint":
            self.checkpoint(checkpointer, number, sub)
        if action.startswith("sleep:"):
            time.sleep(float(action.partition(":")[2]))

    def ended(self, call, checkpointer=None, **members):
        """The shard's end (`shard_ended`, or `shutdown` with TERMINATE), a loss, or a request to shut down."""
        log(self.shard, call, **members)
        reason = members.get("reason")
        if call == "shutdown_requested":
            if PLAN.get("lastWord", True):
                self.checkpoint(checkpointer)
        elif reason == "TERMINATE" or call == "shard_ended":
            if any(is_first(f"{self.shard} silent {i}") for i in range(PLAN.get("silentEnd", 0))):
                return
            self.checkpoint(checkpointer)
        elif reason == "ZOMBIE":
            # Not allowed; it must be told so, and live.
            self.checkpoint(checkpointer, retries=0)

    def checkpoint(self, checkpointer, number=None, sub=None, retries=PLAN.get("retries", 0)):
        for attempt in range(retries + 1):
            if attempt:
                time.sleep(0.2)
            error = None
            try:
                if number is None:
                    checkpointer.checkpoint()
                else:
                    checkpointer.checkpoint(number, sub)
            except CheckpointError as refused:
                error = refused.value
            log(self.shard, "checkpoint", number=number, sub=sub, error=error)
            if error is None:
                return
        sys.stderr.write("no more attempts to checkpoint\n")


def run(process):
    """Until the daemon closes our input."""
    process.run()
    log(None, "end")
