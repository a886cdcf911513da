"""Reads what the tallying children of a whole fleet wrote, whoever started them, and judges it."""

import base64
import collections
import http.client
import json
import ssl
import time
import urllib.parse

# Spreads numbers evenly over the hash keys.
GOLDEN = 0x9E3779B97F4A7C15F39CC0605CEDC835
# Well-formed, for senders that do not sign; the emulator does not check signatures.
AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, "
                 "Signature=0")


class Tenure:
    """One child's time with a shard."""

    def __init__(self, event):
        self.worker, self.pid, self.shard = event["worker"], event["pid"], event["shard"]
        self.began = event["at"]
        self.first_batch = self.ending_at = self.end = None
        self.ids = []
        self.rises = True


class Ledger:
    """All events of one file. `read()` takes in what is new, and is cheap to call often."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.rest = b""
        self.tenures = []
        self.by_child = {}
        self.seen = collections.Counter()
        self.events = collections.Counter()
        self.refusals = collections.Counter()
        path.touch(exist_ok=True)

    def read(self):
        with open(self.path, "rb") as file:
            file.seek(self.at)
            data = file.read()
        self.at += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(json.loads(line))
        return self

    def take(self, event):
        call = event["call"]
        self.events[call] += 1
        if call == "initialize":
            tenure = Tenure(event)
            self.tenures.append(tenure)
            self.by_child[event["pid"]] = tenure
            return
        tenure = self.by_child[event["pid"]]
        if call == "batch":
            tenure.first_batch = tenure.first_batch or event["at"]
            tenure.ids += event["ids"]
            tenure.rises = tenure.rises and event["rises"]
            self.seen.update(event["ids"])
        elif call in ("checkpoint", "shard_ended", "shutdown_requested") and event["error"]:
            self.refusals[event["error"]] += 1
        if call == "shard_ending":
            tenure.ending_at = event["at"]
        elif call == "lease_lost" or call == "shard_ended" and not event["error"]:
            tenure.end = call

    def shards(self):
        return {tenure.shard for tenure in self.tenures}

    def missing(self, wanted):
        """The numbers up to `wanted` that nobody got, sorted."""
        return [i for i in range(wanted) if i not in self.seen]

    def duplicates(self, cause=lambda tenure: "killed or stopped"):
        """Deliveries too many, counted by how the earlier tenure ended; `cause` tells where the child could not."""
        causes = collections.Counter()
        owner = {}
        for tenure in self.tenures:
            for i in tenure.ids:
                earlier = owner.get(i)
                if earlier is not None:
                    causes["within one tenure" if earlier is tenure else earlier.end or cause(earlier)] += 1
                owner[i] = tenure
        return dict(causes)

    def ends(self):
        """By shard, when its end was first told to a child that could store it, or, if none said so, to any."""
        found = {}
        for stored in (False, True):
            told = {}
            for tenure in self.tenures:
                if tenure.ending_at is not None and (not stored or tenure.end == "shard_ended"):
                    told[tenure.shard] = min(tenure.ending_at, told.get(tenure.shard, tenure.ending_at))
            found.update(told)
        return found

    def faults(self, parents):
        """What should not have happened, in words. `parents`: by shard, the shards it came from."""
        found = [f"{t.shard} of {t.worker} (pid {t.pid}) did not rise" for t in self.tenures if not t.rises]
        ended = self.ends()
        for tenure in self.tenures:
            for parent in parents.get(tenure.shard, []):
                if tenure.first_batch is not None and tenure.first_batch < ended.get(parent, float("inf")):
                    found.append(f"{tenure.shard} had records before {parent} was ended")
        return found


def lineage(service, stream):
    """By shard, its parents."""
    shards, token = [], None
    while True:
        page = service.kinesis.list_shards(**({"NextToken": token} if token else {"StreamName": stream}))
        shards += page["Shards"]
        token = page.get("NextToken")
        if not token:
            break
    known = {s["ShardId"] for s in shards}
    return {s["ShardId"]: [p for p in (s.get("ParentShardId"), s.get("AdjacentParentShardId")) if p in known]
            for s in shards}


class Producer:
    """Puts numbered records of `size` bytes as fast as one connection can, without a client's care."""

    def __init__(self, endpoint, stream, certificate=None, size=100):
        url = urllib.parse.urlsplit(endpoint)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=certificate)
            self.connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=context)
        else:
            self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        self.stream, self.size = stream, size
        self.count = 0

    def put(self, count):
        """Puts that many more; numbers go on from the last. Spread over all hash keys, with a key of its own each."""
        for start in range(self.count, self.count + count, 500):
            ids = range(start, min(start + 500, self.count + count))
            records = [{"Data": base64.b64encode(str(i).encode().ljust(self.size, b".")).decode(),
                        "PartitionKey": str(i), "ExplicitHashKey": str((i * GOLDEN) % (1 << 128))} for i in ids]
            while records:
                records = self.request(records)
        self.count += count
        return self.count

    def request(self, records):
        """Those of `records` that were not taken."""
        self.connection.request("POST", "/", json.dumps({"StreamName": self.stream, "Records": records}), {
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecords",
            "Authorization": AUTHORIZATION})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        left = [r for r, a in zip(records, answer["Records"]) if "ErrorCode" in a]
        if left:
            time.sleep(0.1)
        return left


def open_shards(service, stream):
    """In the order of their hash keys."""
    shards = [s for s in service.kinesis.list_shards(StreamName=stream)["Shards"]
              if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    return sorted(shards, key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))


def split(service, stream, shard=None):
    """In the middle; one of `open_shards`, or the first of them."""
    shard = shard or open_shards(service, stream)[0]
    low, high = (int(shard["HashKeyRange"][k]) for k in ("StartingHashKey", "EndingHashKey"))
    service.kinesis.split_shard(
        StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high) // 2 + 1))
    service.wait_for_stream(stream)
    return shard["ShardId"]


def merge(service, stream, both=None):
    """Two neighbours of `open_shards`, or the first two."""
    one, two = both or open_shards(service, stream)[:2]
    service.kinesis.merge_shards(
        StreamName=stream, ShardToMerge=one["ShardId"], AdjacentShardToMerge=two["ShardId"])
    service.wait_for_stream(stream)
    return one["ShardId"], two["ShardId"]


def scale(service, stream, shards):
    service.kinesis.update_shard_count(StreamName=stream, TargetShardCount=shards, ScalingType="UNIFORM_SCALING")
    service.wait_for_stream(stream)
