"""Durable events reach every watcher once and in order, however slow it is."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.feed import MAX_WATCHER_EVENTS, Feed
from services.gateway.store import Store
from services.runtime.errors import NotFoundError
from services.runtime.percept import Checkpoint


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "sessions.db")
    await opened.create("s", pb.LiveConfig(title="A title"))
    yield opened
    await opened.close()


def utterance(number: int, text: str = "word") -> pb.Event:
    word = media_pb2.Word(text=text, start_sample=number, end_sample=number + 1)
    return pb.Event(
        utterance=media_pb2.Transcript(
            utterance_id=f"u{number}", is_final=True, words=[word], language="en", end_sample=number + 1
        )
    )


async def test_a_watcher_that_falls_behind_still_gets_every_durable_event_once(store: Store) -> None:
    feed = Feed("s", store)
    watch = feed.watch(0)
    await feed.append(utterance(0))
    assert (await anext(watch)).seq == 1
    for number in range(1, 40):
        await feed.append(utterance(number))
        for _ in range(MAX_WATCHER_EVENTS // 10):
            feed.publish(pb.Event(progress=pb.Progress(received_sample=number)))
    feed.close()
    seqs = [event.seq async for event in watch if event.seq]
    assert seqs == list(range(2, 41))


async def test_a_watcher_starts_after_the_number_it_names(store: Store) -> None:
    feed = Feed("s", store)
    for number in range(5):
        await feed.append(utterance(number))
    feed.close()
    assert [event.seq async for event in feed.watch(3)] == [4, 5]


async def test_who_begins_to_watch_hears_which_experts_are_away(store: Store) -> None:
    feed = Feed("s", store)
    for expert, is_available in (("asr", False), ("vision", False), ("vision", True)):
        feed.publish(pb.Event(expert_status=pb.ExpertStatus(expert=expert, is_available=is_available, message="why")))
    await feed.append(utterance(0))
    feed.close()
    told = [event async for event in feed.watch(0)]
    assert [event.WhichOneof("event") for event in told] == ["utterance", "expert_status"]
    assert told[1].expert_status.expert == "asr" and not told[1].expert_status.is_available


async def test_what_is_kept_survives_the_process(store: Store, tmp_path: Path) -> None:
    feed = Feed("s", store)
    await feed.append(utterance(0, "kept"))
    await store.save_checkpoint("s", "asr", Checkpoint(7, b"state"), 9)
    again = await Store.open(tmp_path / "sessions.db")  # the first connection was never closed
    try:
        assert [e.utterance.words[0].text async for e in again.events("s")] == ["kept"]
        assert (await again.checkpoints("s")) == {"asr": Checkpoint(7, b"state")}
        assert (await again.get("s")).received_sample == 9
    finally:
        await again.close()


async def test_a_summary_counts_the_newest_version_of_each_utterance(store: Store) -> None:
    feed = Feed("s", store)
    await feed.append(utterance(0, "first"), "u0")
    await feed.append(utterance(0, "second"), "u0")
    await feed.append(pb.Event(ended=pb.Ended(end_sample=99)), "ended")
    summary = await store.summary("s")
    assert (summary.utterances, summary.title, summary.language, summary.end_sample) == (1, "A title", "en", 99)
    assert (await store.get("s")).has_ended


async def test_the_end_of_a_session_is_kept_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    feed = Feed("s", store)
    await feed.append(utterance(0))
    await store.save_checkpoint("s", "asr", Checkpoint(7, b"state"), 9)
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as other:
        # The last thing that the end of a session writes cannot be written.
        other.execute("CREATE TRIGGER stop BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'stopped'); END")
        with pytest.raises(sqlite3.IntegrityError, match="stopped"):
            await feed.append(pb.Event(ended=pb.Ended(end_sample=99)), "ended")
        assert not (await store.get("s")).has_ended
        assert [event.seq async for event in store.events("s")] == [1]
        other.execute("DROP TRIGGER stop")
    await feed.append(pb.Event(ended=pb.Ended(end_sample=99)), "ended")
    assert [event.seq async for event in store.events("s")] == [1, 2]
    assert (await store.get("s")).has_ended and not await store.checkpoints("s")


async def test_a_watcher_hears_of_what_was_kept_beside_its_feed(store: Store) -> None:
    feed, beside = Feed("s", store), Feed("s", store)
    watch = feed.watch(0)
    await feed.append(utterance(0))
    assert (await anext(watch)).seq == 1
    await beside.append(utterance(1))
    await feed.append(utterance(2))
    feed.close()
    assert [event.seq async for event in watch] == [2, 3]


async def test_a_deleted_session_is_gone_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    own = await Store.open(folder / "sessions.db")
    try:
        await own.create("s", pb.LiveConfig())
        secret = "xylophone-budget"
        await Feed("s", own).append(utterance(0, secret))
        await own.delete("s")
        with pytest.raises(NotFoundError, match="no session 's'"):
            await own.get("s")
    finally:
        await own.close()
    assert not any(secret.encode() in path.read_bytes() for path in folder.iterdir())
