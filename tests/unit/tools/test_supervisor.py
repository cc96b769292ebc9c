"""The supervisor over real child processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap

import psutil
import pytest

from tools import state
from tools.errors import AlreadyUpError, InputError, PortTakenError, ServicesError
from tools.services import wait_for
from tools.supervisor import ServiceSpec, Supervisor, free_addresses, page_address, require_free, service_specs

# Says hello in its log, says that it is ready in a named pipe when it gets one, then waits for SIGTERM.
CHILD = """
import pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("hello from", sys.argv[1], flush=True)
for fifo in sys.argv[2:]:
    pathlib.Path(fifo).write_text("ready")
signal.sigwait([signal.SIGTERM])
print("drained", flush=True)
"""
STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[2]).write_text("ready")
signal.pause()
"""
BROKEN = 'import sys\nprint(\'{"event": "cannot start: no model"}\')\nsys.exit(1)'


def _spec(name, code=CHILD, *fifo):
    return ServiceSpec(name, "127.0.0.1:1", (sys.executable, "-c", code, name, *map(str, fifo)))


class Watch:
    """Waits until the states that the supervisor tells satisfy a condition."""

    def __init__(self):
        self.states = []
        self._changed = asyncio.Event()

    def __call__(self, states):
        self.states = states
        self._changed.set()

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition({service.name: service for service in self.states}):
                self._changed.clear()
                await self._changed.wait()
        return {service.name: service for service in self.states}


async def _ready(fifo):
    """Return when the child has opened and written its pipe."""
    async with asyncio.timeout(30):
        assert await asyncio.to_thread(fifo.read_text) == "ready"


@pytest.fixture
def fifo(tmp_path):
    """A named pipe by which a child says that it is ready."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


async def test_a_killed_child_comes_back_and_the_others_stay(tmp_path):
    watch = Watch()
    async with Supervisor([_spec("a"), _spec("b")], tmp_path, on_change=watch):
        before = await watch.until(lambda s: len(s) == 2 and all(each.pid for each in s.values()))
        os.kill(before["a"].pid, signal.SIGKILL)
        after = await watch.until(lambda s: s["a"].pid not in (None, before["a"].pid))
        assert after["b"].pid == before["b"].pid
    assert not psutil.pid_exists(after["a"].pid) and not psutil.pid_exists(after["b"].pid)


async def test_children_may_finish_their_work_when_asked_to_stop(tmp_path, fifo):
    async with Supervisor([_spec("a", CHILD, fifo)], tmp_path):
        await _ready(fifo)
    assert (tmp_path / "a.log").read_text().splitlines() == ["hello from a", "drained"]


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path, fifo):
    watch = Watch()
    async with Supervisor([_spec("a", STUBBORN, fifo)], tmp_path, on_change=watch, grace_s=0.1):
        states = await watch.until(lambda s: s and s["a"].pid)
        await _ready(fifo)
    assert not psutil.pid_exists(states["a"].pid)


async def test_a_child_that_dies_at_every_start_is_called_failing_with_its_last_words(tmp_path):
    watch = Watch()
    failing = asyncio.Event()

    def notice(states):
        watch(states)
        if any(service.state == "failing" for service in states):
            failing.set()

    async with Supervisor([_spec("a", BROKEN)], tmp_path, on_change=notice) as supervisor:
        with pytest.raises(ServicesError, match="a cannot start .*no model"):
            await wait_for({"a": "127.0.0.1:1"}, lambda sentence: None, failing, supervisor)


def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path):
    code = textwrap.dedent(f"""
        import asyncio, pathlib, sys
        from tools.supervisor import ServiceSpec, Supervisor
        child = ServiceSpec("a", "127.0.0.1:1", (sys.executable, "-c", {CHILD!r}, "a"))
        def tell(states):
            if states[0].pid: print(states[0].pid, flush=True)
        async def main():
            async with Supervisor([child], pathlib.Path({str(tmp_path)!r}), on_change=tell):
                await asyncio.Event().wait()
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        child = psutil.Process(int(supervisor.stdout.readline()))
        supervisor.kill()
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


async def test_waiting_for_what_never_serves_ends_with_a_sentence(tmp_path):
    (address,) = free_addresses(1)
    with pytest.raises(ServicesError, match="asr did not serve within 0 s"):
        await wait_for({"asr": address}, lambda sentence: None, timeout_s=0.1)


def test_a_taken_port_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(PortTakenError, match=rf"{address} \(asr\) cannot be used: Address already in use"):
            require_free([ServiceSpec("asr", address, ())])


@pytest.mark.parametrize("address", ["8080", ":8080", "localhost", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"])
def test_what_is_no_address_is_told_with_one(address):
    with pytest.raises(InputError, match="the page: the address is .*, must be HOST:PORT such as 127.0.0.1:8080"):
        require_free([ServiceSpec("gateway", "127.0.0.1:0", ())], http_address=address)


def test_every_service_is_told_where_all_of_them_are(monkeypatch):
    monkeypatch.delenv("SENSORIUM_VISION_ADDRESS", raising=False)
    specs = service_specs(("asr", "gateway"), {"asr": "127.0.0.1:7001"}, "127.0.0.1:7080")
    assert specs[0].command[1:] == ("-m", "services.asr", "--address", "127.0.0.1:7001")
    assert specs[1].command[-2:] == ("--http", "127.0.0.1:7080")
    assert specs[1].environment["SENSORIUM_ASR_ADDRESS"] == "127.0.0.1:7001"
    assert specs[1].environment["SENSORIUM_VISION_ADDRESS"] == "127.0.0.1:50053"


def test_the_page_is_where_the_environment_says_for_who_is_told_of_it_too(monkeypatch):
    monkeypatch.setenv("SENSORIUM_HTTP_ADDRESS", "127.0.0.1:7081")
    assert page_address() == "127.0.0.1:7081" == service_specs(("gateway",))[0].command[-1]
    monkeypatch.delenv("SENSORIUM_HTTP_ADDRESS")
    assert page_address() == "127.0.0.1:8080" == service_specs(("gateway",))[0].command[-1]


def test_only_one_supervisor_holds_a_folder(tmp_path):
    with state.held(tmp_path):
        assert state.is_held(tmp_path)
        with pytest.raises(AlreadyUpError), state.held(tmp_path):
            pass
    assert not state.is_held(tmp_path)


def test_the_state_is_told_while_the_supervisor_lives(tmp_path):
    services = [state.ServiceState("asr", 12, "127.0.0.1:50051", "starting")]
    assert state.read(tmp_path) is None
    with state.held(tmp_path):
        assert state.read(tmp_path) is None
        state.write(tmp_path, services)
        assert state.read(tmp_path) == (os.getpid(), services)
    assert state.read(tmp_path) is None


def test_a_lock_dies_with_its_process(tmp_path):
    code = "import sys, pathlib, tools.state\n"
    code += "with tools.state.held(pathlib.Path(sys.argv[1])): print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        assert state.is_held(tmp_path)
        other.kill()
    assert not state.is_held(tmp_path)
