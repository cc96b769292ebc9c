"""Graphs open at their first use and close, idle longest first, beyond the memory budget."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines import residency
from engines.engine import EngineError
from engines.fetch import fetch
from engines.models import open_engine
from engines.residency import Resident, Residents, parse_budget
from services.runtime.describe import resident_bytes


def resident(name: str, nbytes: int, residents: Residents) -> Resident[list[str]]:
    return Resident(name, nbytes, lambda: [name], residents)


def use(*chosen: Resident[list[str]]) -> None:
    for one in chosen:
        with one.use() as value:
            assert value == [one.name]


def test_nothing_opens_before_it_is_used() -> None:
    residents = Residents(None)
    a, _ = resident("a/a", 10, residents), resident("b/b", 10, residents)
    assert not residents.opened
    use(a, a)
    assert residents.opened == {"a/a": 1} and residents.opened_bytes == residents.open_bytes == 10


def test_what_is_idle_longest_is_closed_first() -> None:
    residents = Residents(25)
    a, b, c = (resident(f"{name}/g", 10, residents) for name in "abc")
    use(a, b, a, c)
    assert residents.is_closed("b") and not residents.is_closed("a") and not residents.is_closed("c")
    use(b)
    assert residents.opened == {"a/g": 1, "b/g": 2, "c/g": 1} and residents.is_closed("a")
    assert residents.open_bytes == 20


def test_what_is_noted_of_graphs_that_come_and_go_does_not_grow() -> None:
    residents = Residents(15)
    a, b = resident("a/g", 10, residents), resident("b/g", 10, residents)
    for _ in range(100):
        use(a, b)
    assert len(residents.opened) == 2 and residents.opened_bytes == 2_000


def test_what_runs_is_never_closed() -> None:
    residents = Residents(5)
    a, b = resident("a/g", 10, residents), resident("b/g", 10, residents)
    with a.use():
        use(b)
        assert not residents.is_closed("a") and residents.is_closed("b")
    assert residents.is_closed("a") and residents.open_bytes == 0


def test_a_graph_that_does_not_open_leaves_nothing_behind() -> None:
    residents, broken = Residents(None), [True]

    def open_it() -> str:
        if broken:
            raise EngineError(broken.pop())
        return "open"

    one = Resident("a/g", 10, open_it, residents)
    with pytest.raises(EngineError), one.use():
        pass
    assert (one.users, residents.open_bytes) == (0, 0)
    with one.use() as value:
        assert value == "open"


def test_many_threads_open_a_graph_once_and_get_one_that_is_open() -> None:
    residents = Residents(15)
    shared = [resident(f"{name}/g", 10, residents) for name in "ab"]
    start = threading.Barrier(8)

    def work(_: int) -> None:
        start.wait()
        for _ in range(200):
            use(*shared)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert all(one.users == 0 for one in shared) and residents.open_bytes <= 15


@pytest.mark.parametrize(
    ("text", "nbytes"), [("", None), ("1000", 1000), ("800MB", 800_000_000), ("1.5 GiB", 1_610_612_736), ("2kb", 2000)]
)
def test_a_budget_is_bytes_or_has_a_unit(text: str, nbytes: int | None) -> None:
    assert parse_budget(text) == nbytes


@pytest.mark.parametrize("text", ["much", "-1", "10 XB", "MB"])
def test_another_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(EngineError, match="800MB"):
        parse_budget(text)


def test_a_real_graph_gives_the_same_after_it_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(["minilm", "silero-vad"])
    residents = Residents(1)
    monkeypatch.setattr(residency, "process", lambda: residents)
    engine = open_engine("minilm", "minilm.onnx")
    assert not residents.opened
    ids = np.array([[101, 7592, 102]], np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    first, second = (engine.run(feeds)["last_hidden_state"] for _ in range(2))
    assert np.array_equal(first, second)
    assert residents.opened == {"minilm/minilm.onnx": 2} and residents.open_bytes == 0


class Pieces:
    """Memory of the C library's heap whose last piece is never freed, so what is before it does not end the heap."""

    SIZE, COUNT = 64 << 10, 1_000

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype, self._libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        self._libc.free.argtypes = [ctypes.c_void_p]
        *self._pieces, _ = [self._libc.malloc(self.SIZE) for _ in range(self.COUNT)]
        for piece in self._pieces:
            ctypes.memset(piece, 1, self.SIZE)

    def __del__(self) -> None:
        for piece in self._pieces:
            self._libc.free(piece)


def test_what_a_closed_graph_held_goes_back_to_the_system() -> None:
    residents = Residents(10)
    a: Resident[object] = Resident("a/g", 10, Pieces, residents)
    b: Resident[object] = Resident("b/g", 10, object, residents)
    with a.use():
        pass
    full = resident_bytes()
    with b.use():
        pass
    assert residents.is_closed("a") and full - resident_bytes() > Pieces.SIZE * Pieces.COUNT // 2
