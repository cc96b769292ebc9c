"""The work behind a session: a failure in it ends it, not the session."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.decoder.context import LiveContext
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
