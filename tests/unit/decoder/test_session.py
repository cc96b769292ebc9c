"""The work behind a session: a failure in it ends it, not the session."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines import residency
from engines.residency import Residents
from services.decoder.context import LiveContext
from services.decoder.reader import Reader
from services.decoder.retrieval import Index
from services.decoder.session import Session
from services.runtime.percept import Transcript, Word
from services.runtime.sentence import SentenceEncoder


async def test_nobody_waits_for_work_that_failed(encoder: SentenceEncoder, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> LiveContext | None:
        raise MemoryError

    with ThreadPoolExecutor(1) as executor:
        session = Session("broken", executor, executor, Index(encoder), broken, lambda word: None)
        try:
            words = (Word("Hello.", 0, 8_000),)
            session.add_transcript(Transcript("u1", True, 0, 8_000, words, language="en"))
            session.flush()
            async with asyncio.timeout(30):
                await session.caught_up()
                # also not for what comes later
                session.flush()
                await session.caught_up()
            assert "work behind a session failed" in caplog.text
            assert await session.read_all() == 0
            assert [hit.line.text for hit in await session.search("Hello?", 1)] == ["Hello."]
        finally:
            session.close()


async def test_what_waits_for_work_that_failed_is_bounded(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> LiveContext | None:
        raise MemoryError

    monkeypatch.setattr("services.decoder.session.MAX_WAITING_LINES", 3)
    with ThreadPoolExecutor(1) as executor:
        session = Session("broken", executor, executor, Index(encoder), broken, lambda word: None)
        try:
            for number in range(8):
                words = (Word(f"Line{number}.", 16_000 * number, 16_000 * number + 8_000),)
                said = Transcript(f"u{number}", True, words[0].start_sample, words[0].end_sample, words, language="en")
                session.add_transcript(said)
                session.flush()
                await session.caught_up()
            assert await session.read_all() == 0
            found = {hit.line.text for hit in await session.search("line?", 8)}
            assert {"Line5.", "Line6.", "Line7."} <= found and not {"Line3.", "Line4."} & found
        finally:
            session.close()


async def test_the_readers_are_open_before_the_first_question(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    residents = Residents(None)
    monkeypatch.setattr(residency, "process", lambda: residents)
    with ThreadPoolExecutor(1) as executor:
        session = Session("new", executor, executor, Index(encoder, Reader()), lambda: None, lambda word: None)
        try:
            assert not residents.opened
            session.flush()
            await session.caught_up()
            assert residents.opened == {"reader/reader.onnx": 1, "reader/wide.onnx": 1}
        finally:
            session.close()
