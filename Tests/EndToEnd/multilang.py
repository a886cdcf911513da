"""What the tests of child programs share: kclpy in two versions, workers with children, their logs, tapped services."""

import base64
import http.client
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse
import uuid

from harness import REGION, Worker, wait_until, write_properties

VENV = pathlib.Path(sys.prefix)
CHILDREN = pathlib.Path(__file__).parent / "children"
# Both are put there by Tests/run. The second is the source archive: its build wants to load jars, which nobody needs.
KCLPY = {
    "2.1.5": VENV / "lib" / f"python3.{sys.version_info.minor}" / "site-packages",
    "3.2.0": VENV / "kclpy-3.2.0",
}
VERSIONS = sorted(KCLPY)
FIRST = "shardId-000000000000"


def kclpy(version):
    path = KCLPY[version]
    assert (path / "amazon_kclpy" / "kcl.py").exists(), f"no amazon_kclpy {version} in {path}: Tests/run puts it there"
    return path


def install(directory, source):
    """The program as pip installs a script: its own text after a first line that names the interpreter."""
    directory.mkdir(exist_ok=True)
    lines = source.read_text().split("\n")
    if lines[0].startswith("#!"):
        del lines[0]
    path = directory / source.name
    # In one step: a worker of the same directory may be starting a child meanwhile, which would find it empty.
    new = directory / f".{source.name}"
    new.write_text("\n".join([f"#!{sys.executable}", *lines]))
    new.chmod(0o755)
    new.replace(path)
    return path


def is_alive(pid):
    """Whether the process runs; one that waits for its parent to ask does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Family(Worker):
    """A worker with children: what they logged, and who of them lives."""

    def __init__(self, process, application, events, log):
        super().__init__(process, application, events)
        self.log_path = log

    @property
    def log(self):
        """Whole lines only."""
        if not self.log_path.exists():
            return []
        return [json.loads(line) for line in self.log_path.read_text().split("\n")[:-1]]

    def calls(self, call, shard=None):
        return [e for e in self.log if e["call"] == call and shard in (None, e["shard"])]

    def errors(self, shard=None):
        """What checkpoints were refused with."""
        return [e["error"] for e in self.calls("checkpoint", shard) if e["error"] is not None]

    @property
    def records(self):
        return self.calls("record")

    @property
    def texts(self):
        return [base64.b64decode(r["data"]).decode() for r in self.records if "data" in r]

    @property
    def pids(self):
        return sorted({e["pid"] for e in self.log})

    @property
    def alive(self):
        return [pid for pid in self.pids if is_alive(pid)]

    def wait_for_call(self, call, count=1, shard=None, seconds=30):
        wait_until(lambda: len(self.calls(call, shard)) >= count, seconds, lambda: self.told(f"{count} × {call}"))
        return self.calls(call, shard)

    def wait_for_texts(self, texts, seconds=30):
        texts = set(texts)
        wait_until(
            lambda: texts <= set(self.texts), seconds,
            lambda: self.told(f"{len(texts - set(self.texts))} of {len(texts)} records"))

    def told(self, missed):
        calls = [{k: v for k, v in e.items() if k != "data"} for e in self.log if e["call"] != "record"]
        return f"missed {missed}\nlog: {calls[-12:]}\nevents: {self.events[-6:]}\nstderr: {self.process.stderr[-1500:]}"

    def checkpoints(self, service):
        """By shard, as (number or sentinel, sub-sequence number)."""
        rows = service.leases(self.application).items()
        return {key: (row["checkpoint"], int(row.get("checkpointSubSequenceNumber", 0))) for key, row in rows}

    @property
    def last(self):
        """The last record of each shard, in the same form."""
        return {r["shard"]: (r["number"], r["sub"]) for r in self.records}


def child_properties(service, executable, application, stream="words"):
    """What a worker with children is told at least, with times that suit a test."""
    return dict(
        executableName=str(executable), applicationName=application, streamName=stream,
        AWSCredentialsProvider="DefaultAWSCredentialsProviderChain", initialPositionInStream="TRIM_HORIZON",
        regionName=REGION, kinesisEndpoint=service.endpoint, dynamoDBEndpoint=service.endpoint,
        failoverTimeMillis=3000, idleTimeBetweenReadsInMillis=250, parentShardPollIntervalMillis=1000,
        metricsLevel="NONE")


def child_environment(version, log):
    return {"PYTHONPATH": f"{kclpy(version)}:{CHILDREN}", "PYTHONDONTWRITEBYTECODE": "1", "CHILD_LOG": str(log)}


def consume(
    bench, emulator, program, *arguments, version="3.2.0", plan=None, application=None, kinesis=None, dynamodb=None,
    flags=(), environment=None, **properties
):
    """`consume` with a child program of Tests/EndToEnd/children; properties of None are left out."""
    number = len(bench.running)
    executable = install(bench.directory / "bin", CHILDREN / program)
    application = application or f"words-{uuid.uuid4().hex[:8]}"
    values = child_properties(emulator, " ".join([str(executable), *map(str, arguments)]), application)
    if kinesis:
        values["kinesisEndpoint"] = kinesis
    if dynamodb:
        values["dynamoDBEndpoint"] = dynamodb
    values.update(properties)
    path = write_properties(bench.directory / f"family-{number}.properties", values)
    return consume_file(bench, path, application, *flags, version=version, plan=plan, environment=environment)


def tallying(bench, service, ledger, name, **properties):
    """`consume` as the worker `name`; its children write into a ledger that the whole fleet shares."""
    return consume(
        bench, service, "tally.py", version="2.1.5", workerId=name,
        environment={"CHILD_LOG": str(ledger.path), "CHILD_WORKER": name}, **properties)


def consume_file(bench, path, application, *flags, version="3.2.0", plan=None, environment=None):
    number = len(bench.running)
    events = bench.directory / f"family-{number}.events"
    log = bench.directory / f"family-{number}.log"
    process = bench.start(
        "consume", path, "--headless", "--events", events, *flags,
        **{**child_environment(version, log), "CHILD_PLAN": json.dumps(plan or {}), "AWS_REGION": None,
           **(environment or {})})
    return Family(process, application, events, log)


def put(service, texts, keys=32, stream="words"):
    """Puts `texts`; by text the (shard, sequence number, partition key) that the service gave."""
    sent = {}
    for start in range(0, len(texts), 400):
        batch = texts[start:start + 400]
        records = [{"Data": t.encode(), "PartitionKey": f"key-{i % keys}"} for i, t in enumerate(batch)]
        answer = service.kinesis.put_records(StreamName=stream, Records=records)
        assert answer["FailedRecordCount"] == 0, "throttled"
        for text, record, given in zip(batch, records, answer["Records"]):
            sent[text] = (given["ShardId"], given["SequenceNumber"], record["PartitionKey"])
    return sent


def split(service, shard=FIRST, stream="words"):
    found = next(s for s in service.kinesis.list_shards(StreamName=stream)["Shards"] if s["ShardId"] == shard)
    low, high = (int(found["HashKeyRange"][k]) for k in ("StartingHashKey", "EndingHashKey"))
    service.kinesis.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str((low + high) // 2))
    service.wait_for_stream(stream)


def is_in_order(records):
    """Each child saw each shard's records rise."""
    last = {}
    for r in records:
        position = (int(r["number"]), r["sub"])
        if position <= last.get((r["pid"], r["shard"]), (-1, -1)):
            return False
        last[r["pid"], r["shard"]] = position
    return True


class Tap(http.server.ThreadingHTTPServer):
    """A service before the emulator. What `refuses(operation, text)` picks is answered with `refusal`; everything else
    is passed on."""

    daemon_threads = True

    def __init__(self, target):
        self.target = urllib.parse.urlsplit(target)
        self.refuses = lambda operation, text: False
        self.refusal = (400, "ProvisionedThroughputExceededException")
        self.refused = 0
        super().__init__(("127.0.0.1", 0), TapHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.shutdown()
        self.server_close()


class TapHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def setup(self):
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.target.hostname, self.server.target.port, timeout=20)

    def finish(self):
        super().finish()
        self.upstream.close()

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rsplit(".", 1)[1]
        if self.server.refuses(operation, body.decode()):
            self.server.refused += 1
            status, name = self.server.refusal
            kind = "application/x-amz-json-1.0"
            answer = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": "no"}).encode()
        else:
            self.upstream.request("POST", "/", body, {n: v for n, v in self.headers.items() if n.lower() != "host"})
            response = self.upstream.getresponse()
            status, kind = response.status, response.headers["Content-Type"]
            answer = response.read()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
