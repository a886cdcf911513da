"""What the end-to-end tests share: processes that end with their test, polls with a deadline, a screen in tmux."""

import collections
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import boto3
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SHARDTOP", ROOT / ".build" / "debug" / "shardtop"))
REGION = "us-east-1"

# Exit statuses of the commands.
DONE, FAILED, USAGE, INTENT_GONE, REFUSED = range(5)


# How much slower a busy machine may be: waits bound a test, they measure nothing.
PATIENCE = 2


def wait_until(condition, seconds=30, what=None, every=0.05):
    """The first true value of `condition()`; fails when `seconds`, as a quiet machine counts them, are over."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            shown = what() if callable(what) else what
            raise AssertionError(f"not within {seconds} s: {shown or condition.__name__}")
        time.sleep(every)


def environment(home, **more):
    """Only what a process needs, and a home of its own."""
    names = {
        "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm-256color",
        "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config"),
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    names.update(more)
    return {name: value for name, value in names.items() if value is not None}


def write_properties(path, values):
    """A .properties file; names whose value is None are left out."""
    path.write_text("".join(f"{name} = {value}\n" for name, value in values.items() if value is not None))
    return path


def client(service, endpoint, certificate=None, retries=2):
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, verify=certificate and str(certificate),
        aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": retries}))


class Running:
    """A process whose output goes to files, so that no pipe fills up. Ended by the fixture, by its own id only."""

    def __init__(self, arguments, directory, env):
        self.arguments = arguments
        name = uuid.uuid4().hex[:8]
        self.out = directory / f"{name}.out"
        self.err = directory / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=directory)

    @property
    def stdout(self):
        return self.out.read_text(errors="replace")

    @property
    def stderr(self):
        return self.err.read_text(errors="replace")

    @property
    def lines(self):
        """Whole lines only: the last one may still be under way."""
        return self.stdout.split("\n")[:-1]

    def send(self, number):
        self.process.send_signal(number)

    def ended(self, seconds=30):
        """Waits for its end; the exit status."""
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.arguments} did not end within {seconds} s\n{self.stderr[-2000:]}") from None

    def kill(self):
        """At once, and waits for its end."""
        self.process.kill()
        self.process.wait(20)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


class Bench:
    """One test's directory, environment and processes."""

    def __init__(self, directory):
        self.directory = directory
        self.env = environment(directory)
        self.running = []
        self.certificate = directory / "certificate.pem"

    def close(self):
        for process in reversed(self.running):
            process.close()

    def start(self, *arguments, **env):
        """Starts shardtop in the background."""
        return self.start_program(str(BINARY), *arguments, **env)

    def start_program(self, *arguments, **env):
        process = Running([str(a) for a in arguments], self.directory, environment(self.directory, **env))
        self.running.append(process)
        return process

    def run(self, *arguments, text=None, seconds=60, **env):
        """Runs shardtop to its end: `returncode`, `stdout`, `stderr`."""
        return subprocess.run(
            [str(BINARY), *(str(a) for a in arguments)], input=text or "", capture_output=True, text=True,
            timeout=seconds, env=environment(self.directory, **env), cwd=self.directory)

    def emulator(self, *streams, faults=None, limits=True, tls=False, arguments=()):
        """`shardtop emulate` on a free port, with streams that are ready."""
        arguments = ["emulate", "--port", "0", *arguments]
        certificate = self.certificate if tls else None
        if tls:
            arguments += ["--tls", "--tls-certificate", certificate]
        for stream in streams:
            arguments += ["--stream", stream]
        if faults is not None:
            path = self.directory / "faults.json"
            path.write_text(json.dumps({"faults": faults}))
            arguments += ["--faults", path]
        if not limits:
            arguments.append("--no-limits")
        process = self.start(*arguments)
        line = wait_until(lambda: process.lines or process.process.poll() is not None, 20, lambda: process.stderr)
        assert line is not True, process.stderr
        found = re.fullmatch(r"shardtop emulate: listening on (https?://127\.0\.0\.1:\d+)", process.lines[0])
        assert found, process.lines
        emulator = Service(found[1], process, certificate)
        for stream in streams:
            emulator.wait_for_stream(stream.split(":")[0])
        return emulator

    def consume(self, endpoint, stream, application=None, **properties):
        """A headless worker with `processor = print`, as a process of its own."""
        application = application or f"shardtop-{uuid.uuid4().hex[:8]}"
        number = len(self.running)
        values = dict(
            applicationName=application, streamName=stream, processor="print",
            initialPositionInStream="TRIM_HORIZON", failoverTimeMillis=3000, idleTimeBetweenReadsInMillis=250,
            parentShardPollIntervalMillis=1000)
        values.update(properties)
        path = write_properties(self.directory / f"worker-{number}.properties", values)
        events = self.directory / f"worker-{number}.events"
        trust = {"AWS_CA_BUNDLE": str(self.certificate)} if endpoint.startswith("https:") else {}
        process = self.start("consume", path, "--headless", "--events", events, AWS_ENDPOINT_URL=endpoint, **trust)
        return Worker(process, application, events)


class Service:
    """Kinesis and DynamoDB at one endpoint."""

    def __init__(self, endpoint, process=None, certificate=None):
        self.endpoint = endpoint
        self.process = process
        self.certificate = certificate
        self.kinesis = client("kinesis", endpoint, certificate)
        self.dynamodb = client("dynamodb", endpoint, certificate)

    def summary(self, stream):
        return self.kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]

    def arn(self, stream):
        return self.summary(stream)["StreamARN"]

    def wait_for_stream(self, name):
        wait_until(lambda: self.summary(name)["StreamStatus"] == "ACTIVE", 20)

    def create_table(self, name, key="leaseKey", kind="S"):
        """A table that is ready, without bounds; `kind` is its key's type."""
        self.dynamodb.create_table(
            TableName=name, AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST")
        wait_until(lambda: self.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE", 20)

    def leases(self, application):
        """The lease rows, by leaseKey, with plain values; empty where there is no table yet."""
        try:
            rows = self.dynamodb.scan(TableName=application, ConsistentRead=True)["Items"]
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return {}
        plain = [{name: next(iter(value.values())) for name, value in row.items()} for row in rows]
        return {row["leaseKey"]: row for row in plain}

    def owners(self, application):
        return owners(self.leases(application))

    def put(self, stream, texts, keys=32):
        """Puts `texts`, again where they were throttled."""
        rest = [{"Data": text.encode(), "PartitionKey": f"key-{i % keys}"} for i, text in enumerate(texts)]
        while rest:
            batch, rest = rest[:500], rest[500:]
            answer = self.kinesis.put_records(StreamName=stream, Records=batch)
            failed = [r for r, o in zip(batch, answer["Records"]) if "ErrorCode" in o]
            rest = failed + rest
            if failed:
                time.sleep(0.1)


def owners(leases):
    """How many leases each owner has."""
    return collections.Counter(row["leaseOwner"] for row in leases.values() if row.get("leaseOwner"))


class Worker:
    """A `consume` process: what it printed, and its events."""

    def __init__(self, process, application, events):
        self.process = process
        self.application = application
        self.path = events

    @property
    def records(self):
        return [json.loads(line) for line in self.process.lines if line.startswith("{")]

    @property
    def texts(self):
        return [record["text"] for record in self.records]

    @property
    def events(self):
        return read_events(self.path)

    def seen(self, kind):
        return [event for event in self.events if event["event"] == kind]

    def wait_for(self, kind, count=1, seconds=30):
        wait_until(
            lambda: len(self.seen(kind)) >= count, seconds,
            lambda: f"{count} × {kind}; saw {collections.Counter(e['event'] for e in self.events)}\n"
            + self.process.stderr[-1500:])

    @property
    def worker_id(self):
        return self.seen("workerStarted")[0]["workerId"]

    def stop(self, seconds=20):
        self.process.send(signal.SIGTERM)
        return self.process.ended(seconds)


def read_events(path):
    """Whole lines of an events file; each must be an object of the documented shape."""
    if not path.exists():
        return []
    events = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    for event in events:
        assert event["version"] == 1 and event["source"] in ("engine", "table"), event
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"]), event
    return events


def delivered(*workers):
    return {text for worker in workers for text in worker.texts}


def texts(count, name="record"):
    """Records to put, in an order that sorting keeps."""
    return [f"{name} {i:06d}" for i in range(count)]


def waits_for(sent, *workers, seconds=60):
    """Until every text of `sent` was delivered by one of `workers`."""
    def missing():
        return sorted(set(sent) - delivered(*workers))

    wait_until(
        lambda: not missing(), seconds,
        lambda: f"{len(missing())} of {len(sent)} missing, {missing()[:3]}\n"
        + "\n".join(w.process.stderr[-800:] for w in workers))


def in_order(worker):
    """Each shard's records rise, as long as one worker reads it without giving it up."""
    last = {}
    for record in worker.records:
        position = (int(record["sequenceNumber"]), record.get("subSequenceNumber", 0))
        if position <= last.get(record["shardId"], (-1, -1)):
            return False
        last[record["shardId"]] = position
    return True


class Screen:
    """A terminal in a tmux server of its own, with a shell in it."""

    def __init__(self, directory, width=120, height=40, **env):
        self.directory = directory
        # A path of its own that goes away with the test; short, because socket paths must be.
        self.home = tempfile.mkdtemp(prefix="screen-")
        self.env = environment(directory, **env)
        # Programs run in a shell with a prompt of its own, so that a test sees that the terminal is usable after them.
        start = "env -i " + " ".join(shlex.quote(f"{k}={v}") for k, v in {**self.env, "PS1": "prompt>"}.items())
        term = self.env.get("TERM", "xterm-256color")
        self.tmux(
            "new-session", "-d", "-x", str(width), "-y", str(height), "-s", "test",
            f"exec {start} TERM={term} bash --norc --noprofile")
        wait_until(lambda: "prompt>" in self.text, 10, lambda: self.text)

    def tmux(self, *arguments):
        return subprocess.run(
            ["tmux", "-S", f"{self.home}/tmux", "-f", "/dev/null", *arguments], capture_output=True, text=True, timeout=20,
            cwd=self.directory, env={**self.env, "TERM": "xterm-256color"})

    @property
    def text(self):
        return self.tmux("capture-pane", "-p", "-t", "test").stdout

    @property
    def styled(self):
        """With the colours' escape sequences."""
        return self.tmux("capture-pane", "-e", "-p", "-t", "test").stdout

    def type(self, *keys):
        """Key names of tmux: `q`, `Tab`, `C-z`, `Escape`."""
        self.tmux("send-keys", "-t", "test", *keys)

    def write(self, text):
        self.tmux("send-keys", "-t", "test", "-l", text)

    def launch(self, *arguments):
        self.write(shlex.join([str(BINARY), *(str(a) for a in arguments)]))
        self.type("Enter")

    def resize(self, width, height):
        self.tmux("resize-window", "-t", "test", "-x", str(width), "-y", str(height))

    def shows(self, *texts, seconds=20):
        wait_until(lambda: all(t in self.text for t in texts), seconds, lambda: f"{texts} on\n{self.text}", 0.1)

    def shows_no(self, *texts, seconds=20):
        wait_until(lambda: not any(t in self.text for t in texts), seconds, lambda: f"no {texts} on\n{self.text}", 0.1)

    def matches(self, pattern, seconds=20):
        return wait_until(
            lambda: re.search(pattern, self.text, re.M), seconds, lambda: f"/{pattern}/ on\n{self.text}", 0.1)

    @property
    def child(self):
        """The process id of what the shell runs; None when it is back at its prompt."""
        shell = self.tmux("display-message", "-p", "-t", "test", "#{pane_pid}").stdout.strip()
        path = pathlib.Path(f"/proc/{shell}/task/{shell}/children")
        children = path.read_text().split() if shell and path.exists() else []
        return int(children[0]) if children else None

    def is_back(self, seconds=15):
        """The program ended, and the shell takes and shows what is typed."""
        wait_until(lambda: self.child is None, seconds, lambda: self.text)
        # What is typed before the shell has taken the terminal back need not be shown.
        wait_until(lambda: self.text.rstrip().endswith("prompt>"), 10, lambda: self.text)
        mark = uuid.uuid4().hex[:8]
        self.write(f"echo back-{mark[:4]}''{mark[4:]}")
        self.type("Enter")
        self.shows(f"back-{mark}", f"echo back-{mark[:4]}", seconds=10)

    @property
    def status(self):
        """The exit status of the last program."""
        self.write("echo status=$?.")
        self.type("Enter")
        return int(self.matches(r"^status=(\d+)\.")[1])

    def close(self):
        self.tmux("kill-server")
        shutil.rmtree(self.home, ignore_errors=True)


def refused_endpoint():
    """An address where nothing listens; the port was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


def run_python(script, *arguments, seconds=300):
    """Runs a referee of Tests/Referees with this interpreter."""
    return subprocess.run(
        [sys.executable, str(ROOT / "Tests" / "Referees" / script), *(str(a) for a in arguments)],
        capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
