"""What reading and writing take for a moment goes back to the system."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

from services.decoder.retrieval import Index
from services.decoder.session import Session
from services.runtime.describe import resident_bytes
from services.runtime.percept import Transcript, Word
from services.runtime.sentence import SentenceEncoder

PIECE_BYTES, PIECES = 64 << 10, 2_000


async def test_a_session_that_has_caught_up_keeps_nothing_that_was_freed(encoder: SentenceEncoder) -> None:
    encoder.encode(["Hello."])  # opening a graph gives back too
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    with ThreadPoolExecutor(1) as executor:
        session = Session("memory", executor, executor, Index(encoder), lambda: None, lambda word: None)
        # the last piece stays, so what is freed before it is not at the heap's end
        *pieces, last = [libc.malloc(PIECE_BYTES) for _ in range(PIECES)]
        try:
            for piece in pieces:
                ctypes.memset(piece, 1, PIECE_BYTES)
            full = resident_bytes()
            for piece in pieces:
                libc.free(piece)
            words = (Word("Hello.", 0, 8_000),)
            session.add_transcript(Transcript("u1", True, 0, 8_000, words, language="en"))
            await session.caught_up()
            assert full - resident_bytes() > PIECE_BYTES * PIECES // 2
        finally:
            libc.free(last)
            session.close()
