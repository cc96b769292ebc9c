"""What adapters made is kept with the session and goes to the decoder after the events it belongs to."""

from collections.abc import AsyncIterator
from pathlib import Path

from protos.expert.v1 import expert_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.store import Store
from services.runtime import wire
from services.runtime.percept import TokenSpan


def span(source_id: str, space_id: str = "space", value: int = 0) -> TokenSpan:
    return TokenSpan("screen", source_id, 1, 2, space_id, 2, bytes([value] * 8), (0.0, 1.0, 2.0, 3.0), "f")


async def spans_of(store: Store, session_id: str) -> list[TokenSpan]:
    kept: AsyncIterator = store.spans(session_id)
    return [wire.span_from_proto(message) async for message in kept]


async def test_the_newest_of_each_source_and_space_is_kept_and_goes_with_its_session(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "sessions.db")
    try:
        for name in ("s", "t"):
            await store.create(name, pb.LiveConfig())
        for each in (span("a"), span("b"), span("a", "other"), span("a", value=1)):
            await store.save_span("s", wire.span_to_proto(each))
        assert await spans_of(store, "s") == [span("b"), span("a", "other"), span("a", value=1)]
        assert await spans_of(store, "t") == []
        await store.delete("s")
        assert await spans_of(store, "s") == []
    finally:
        await store.close()


def test_a_span_travels_beside_percepts() -> None:
    response = wire.to_response(span("a"))
    assert response.HasField("token_span") and not response.HasField("percept")
    assert wire.from_response(expert_pb2.PerceiveResponse.FromString(response.SerializeToString())) == span("a")
