"""What a session keeps in a file: names and bytes as a dict has them, also where there is no file to write."""

import random
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.decoder.kept import File, Order, Records, oldest


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process can get larger than 64 KiB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def played(file: File) -> None:
    """Thousands of changes to records; they hold what a dict does after each."""
    chance, records, plain, rows = random.Random(0), Records(file), dict[str, bytes](), dict[str, int]()
    for step in range(6_000):
        name, data = f"ü{chance.randrange(400)}", chance.randbytes(chance.randrange(300))
        if name in plain and chance.random() < 0.4:
            assert records.remove(name) == rows.pop(name)
            del plain[name]
        else:
            row = records.put(name, data)
            assert rows.setdefault(name, row) == row
            plain[name] = data
        if step % 500 == 0:
            assert {records.name(row): records.get(row) for row in records} == plain
    assert {name: records.row(name) for name in plain} == rows
    assert [records.item(row) for row in records.taken()] == [(records.name(row), records.get(row)) for row in records]
    assert records.row("nobody") is None and len(records) == len(plain) == records.rows - records.free
    assert records.rows <= 400


def test_records_are_a_dict() -> None:
    played(File())


def test_a_folder_that_cannot_be_written_leaves_all_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    played(File())
    assert caplog.text.count("stays in memory") == 1


def test_a_full_disk_moves_all_to_memory(small_files: None, caplog: pytest.LogCaptureFixture) -> None:
    file = File()
    room = file.reserve(1 << 20)
    played(file)
    file.write(room, b"abc")
    into = bytearray(5)
    file.read_into(room, memoryview(into))
    assert into == b"abc\0\0"
    assert "stays in memory" in caplog.text


def test_reserved_room_holds_zeros() -> None:
    file = File()
    room = file.reserve(100)
    file.write(room + 2, b"x")
    into = bytearray(b"." * 100)
    file.read_into(room, memoryview(into))
    assert into == b"\0\0x" + bytes(97)


def test_freed_pieces_are_used_again() -> None:
    file = File()
    records = Records(file)
    for step in range(5_000):
        records.put(f"{step}", bytes(100))
        if step >= 100:
            records.remove(f"{step - 100}")
    assert file.reserve(0) < 101 * 192 + 192


def test_rows_lie_in_the_order_of_samples_then_keys() -> None:
    chance, keys = random.Random(1), [f"{number % 97:03}{number}" for number in range(500)]
    order, plain = Order(keys.__getitem__), list[tuple[int, str, int]]()
    for row in range(500):
        sample = chance.randrange(40)
        order.insert(sample, row)
        plain.append((sample, keys[row], row))
        if row % 3 == 0:
            sample, _, gone = plain.pop(chance.randrange(len(plain)))
            order.remove(sample, gone)
    plain.sort()
    assert list(zip(order.samples, order.rows, strict=True)) == [(sample, row) for sample, _, row in plain]
    assert [order.place(sample, key) for sample, key, _ in plain] == list(range(len(plain)))


def test_the_oldest_go_by_sample_then_name() -> None:
    rows, samples = np.array([3, 5, 6, 9]), np.array([7, 7, 1, 8])
    assert oldest(rows, samples, 2, {3: "b", 5: "a", 6: "z", 9: "c"}.__getitem__) == [(6, "z"), (5, "a")]
