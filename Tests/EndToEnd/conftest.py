import shutil
import sys
import urllib.request

import pytest
from moto.server import ThreadedMotoServer

import harness
import multilang

# Behind our own directory: a benchmark has the name of a module here.
sys.path += [str(harness.ROOT / "Tests" / name) for name in ("Referees", "Benchmarks")]


def pytest_configure():
    assert harness.BINARY.exists(), f"no {harness.BINARY}: build it, or name another in SHARDTOP"


@pytest.fixture
def bench(tmp_path):
    bench = harness.Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def moto():
    """Another party's Kinesis and DynamoDB, on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    service = harness.Service(f"http://{host}:{port}")
    # All servers of one process share what they hold.
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()
    yield service
    server.stop()


@pytest.fixture
def tap():
    """Makes taps: `tap(emulator)`. To be named before `bench`, so that it outlives what runs there."""
    taps = []

    def make(emulator):
        taps.append(multilang.Tap(emulator.endpoint))
        return taps[-1]

    yield make
    for each in taps:
        each.close()


@pytest.fixture
def terminal(tmp_path):
    """Makes screens: `terminal(width, height)`."""
    assert shutil.which("tmux"), "tmux is not installed"
    screens = []

    def make(width=120, height=40, **env):
        screens.append(harness.Screen(tmp_path, width, height, **env))
        return screens[-1]

    yield make
    for screen in screens:
        screen.close()
