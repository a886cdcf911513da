"""`consume` where the world around it misbehaves: services down for minutes, a wrong clock, a terminal that takes nothing."""

import datetime
import email.utils
import fcntl
import http.client
import http.server
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
import urllib.parse

import pytest

from harness import BINARY, DONE, Worker, delivered, environment, texts, wait_until, waits_for, write_properties


@pytest.mark.parametrize("service", ["Kinesis", "DynamoDB"])
def test_nothing_is_lost_while_a_service_is_down_for_two_minutes(bench, service):
    operations = ["GetRecords", "GetShardIterator", "ListShards"] if service == "Kinesis" else ["DynamoDB"]
    emulator = bench.emulator(
        "orders:2",
        faults=[{"do": "unavailable", "operation": o, "from": "5s", "until": "125s"} for o in operations])
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized", 2)
    sent = texts(1300)
    # Spread over the time before, in and after the outage.
    for i in range(0, len(sent), 10):
        emulator.put("orders", sent[i:i + 10])
        time.sleep(1)
    waits_for(sent, worker)
    assert worker.process.process.poll() is None, worker.process.stderr
    # It is said, and not once for every failed call.
    assert 1 <= len(worker.process.stderr.splitlines()) <= 60, worker.process.stderr
    assert worker.stop() == DONE


class WrongClock(http.server.ThreadingHTTPServer):
    """A service whose clock is `skew` seconds from ours: it refuses what is signed five minutes off, as AWS does."""

    daemon_threads = True

    def __init__(self, target, skew):
        self.target = urllib.parse.urlsplit(target)
        self.skew = skew
        self.refused = 0
        super().__init__(("127.0.0.1", 0), WrongClockHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class WrongClockHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        now = time.time() + self.server.skew
        signed = datetime.datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        age = now - signed.replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(age) > 300:
            self.server.refused += 1
            status, kind = 400, "application/x-amz-json-1.1"
            answer = json.dumps(
                {"__type": "InvalidSignatureException", "message": f"Signature expired: {age:.0f} s off"}).encode()
        else:
            upstream = http.client.HTTPConnection(self.server.target.hostname, self.server.target.port, timeout=20)
            headers = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "x-amz-date")}
            # The service behind has our clock.
            headers["X-Amz-Date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            upstream.request("POST", "/", body, headers)
            response = upstream.getresponse()
            status, kind, answer = response.status, response.headers["Content-Type"], response.read()
            upstream.close()
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(now, usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.parametrize("skew", [600, -600])
def test_a_clock_that_is_ten_minutes_off_is_corrected(bench, skew):
    emulator = bench.emulator("orders:2")
    service = WrongClock(emulator.endpoint, skew)
    try:
        worker = bench.consume(service.endpoint, "orders")
        worker.wait_for("initialized", 2)
        sent = texts(300)
        emulator.put("orders", sent)
        waits_for(sent, worker)
        assert worker.stop() == DONE, worker.process.stderr
        # One refusal for each service teaches the clock; calls that were under way then may be refused too.
        assert 1 <= service.refused <= 12
    finally:
        service.shutdown()
        service.server_close()


class Line:
    """A worker with its screen on a line of our own, whose other end reads only when it is told to."""

    def __init__(self, bench, endpoint, stream, **properties):
        application = properties.pop("application")
        values = dict(
            applicationName=application, streamName=stream, processor="count", workerId="screened",
            initialPositionInStream="TRIM_HORIZON", failoverTimeMillis=3000, idleTimeBetweenReadsInMillis=250)
        path = write_properties(bench.directory / "screen.properties", values)
        events = bench.directory / "screen.events"
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.errors = open(bench.directory / "screen.err", "w+b")

        def own_the_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [str(BINARY), "consume", str(path), "--events", str(events)], stdin=slave, stdout=slave, stderr=self.errors,
            env=environment(bench.directory, AWS_ENDPOINT_URL=endpoint), cwd=bench.directory,
            preexec_fn=own_the_terminal)
        os.close(slave)
        self.worker = Worker(None, application, events)
        self.seen = b""

    def read_until(self, text, seconds=20):
        def found():
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536)
            return text in self.seen

        wait_until(found, seconds, lambda: self.seen[-500:])

    def hang_up(self):
        if self.master is not None:
            os.close(self.master)
            self.master = None

    def wait_for_records(self, count, seconds=20):
        wait_until(
            lambda: sum(e["records"] for e in self.worker.seen("recordsProcessed")) >= count, seconds,
            lambda: self.worker.events[-5:])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        self.hang_up()
        self.errors.close()


@pytest.fixture
def line(bench):
    lines = []

    def start(*arguments, **properties):
        lines.append(Line(bench, *arguments, **properties))
        return lines[-1]

    yield start
    for each in lines:
        each.close()


def test_a_terminal_that_takes_no_output_delays_no_renewal(bench, line):
    """Ctrl-S, or a dead connection: nothing is read from the line for several failover times."""
    emulator = bench.emulator("orders:2")
    screened = line(emulator.endpoint, "orders", application="shardtop-screened")
    screened.read_until(b"orders")
    # Another worker waits for leases that expire. It takes its half, and then nothing.
    other = bench.consume(emulator.endpoint, "orders", "shardtop-screened", workerId="other")
    wait_until(lambda: emulator.owners("shardtop-screened") == {"screened": 1, "other": 1}, 30)
    held = next(k for k, r in emulator.leases("shardtop-screened").items() if r["leaseOwner"] == "screened")
    lost = len(screened.worker.seen("leaseLost"))
    # More frames than the line's buffer takes, over four failover times.
    sent = texts(600)
    for i in range(0, len(sent), 50):
        emulator.put("orders", sent[i:i + 50])
        time.sleep(1)
    assert emulator.leases("shardtop-screened")[held]["leaseOwner"] == "screened"
    assert len(screened.worker.seen("leaseLost")) == lost
    wait_until(
        lambda: sum(e["records"] for e in screened.worker.seen("recordsProcessed")) + len(delivered(other)) >= 600, 20,
        "600 records from both")
    # It can be ended, too.
    screened.process.send_signal(signal.SIGTERM)
    assert screened.process.wait(15) == DONE


def test_a_worker_goes_on_headless_when_its_terminal_is_gone(bench, line):
    emulator = bench.emulator("orders:1")
    screened = line(emulator.endpoint, "orders", application="shardtop-hup")
    screened.read_until(b"orders")
    emulator.put("orders", texts(100))
    screened.wait_for_records(100)
    screened.hang_up()
    time.sleep(1)  # the signal arrives with nobody to say so
    emulator.put("orders", texts(100))
    screened.wait_for_records(200)
    assert screened.process.poll() is None and not screened.worker.seen("leaseLost")
    screened.process.send_signal(signal.SIGTERM)
    assert screened.process.wait(15) == DONE
    assert screened.worker.events[-1]["event"] == "workerStopped"


def test_a_worker_ends_by_a_sigterm_right_behind_the_hang_up(bench, line):
    emulator = bench.emulator("orders:1")
    screened = line(emulator.endpoint, "orders", application="shardtop-both")
    screened.read_until(b"orders")
    for number in (signal.SIGHUP, signal.SIGTERM):
        screened.process.send_signal(number)
    wait_until(lambda: drained(screened) is not None, 15)
    assert screened.process.returncode == DONE
    assert screened.worker.events[-1]["event"] == "workerStopped"


def test_a_signal_before_the_screen_is_there_ends_the_worker_in_order(bench, line):
    emulator = bench.emulator("orders:1")
    for moment in range(8):
        screened = line(emulator.endpoint, "orders", application=f"shardtop-early-{moment}")
        # From nothing loaded to a screen that is drawn.
        time.sleep(0.02 * moment)
        screened.process.send_signal(signal.SIGTERM)
        wait_until(lambda: drained(screened) is not None, 15)
        assert screened.process.returncode in (DONE, -signal.SIGTERM)
        if screened.worker.seen("workerStarted"):
            assert screened.process.returncode == DONE and screened.worker.seen("workerStopped")
        screened.worker.path.unlink(missing_ok=True)


def test_ctrl_z_is_off_and_q_asks_in_front_of_a_worker(bench, line):
    emulator = bench.emulator("orders:1")
    screened = line(emulator.endpoint, "orders", application="shardtop-keys")
    screened.read_until(b"orders")
    emulator.put("orders", texts(100))
    screened.wait_for_records(100)
    os.write(screened.master, b"\x1a")
    emulator.put("orders", texts(100))
    screened.wait_for_records(200)
    state = open(f"/proc/{screened.process.pid}/stat").read().rsplit(")", 1)[1].split()[0]
    assert state != "T"
    os.write(screened.master, b"q")
    emulator.put("orders", texts(100))
    screened.wait_for_records(300)
    assert screened.process.poll() is None
    screened.read_until(b"uit")
    os.write(screened.master, b"y")
    wait_until(lambda: drained(screened) is not None, 15)
    assert screened.process.returncode == DONE


def drained(screened):
    """The exit status, reading what the screen still writes."""
    if select.select([screened.master], [], [], 0)[0]:
        try:
            os.read(screened.master, 65536)
        except OSError:
            pass
    return screened.process.poll()
