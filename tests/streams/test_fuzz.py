"""Any sequence of messages ends with OK or a status that blames the caller, soon, and hurts nobody else."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protos.decoder.v1 import decoder_pb2
from protos.expert.v1 import expert_pb2, expert_pb2_grpc
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2, session_pb2_grpc
from services.runtime.channel import CLIENT_OPTIONS
from tests.conftest import DATA
from tests.house import House

# A caller's mistakes end with these; INTERNAL, UNKNOWN, UNAVAILABLE or no end at all is ours.
LAWFUL = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
HANGS_S = 120.0
FUZZ = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

INT64 = st.integers(-(2**63), 2**63 - 1)
POSITIONS = st.one_of(st.just(0), st.integers(0, 40_000), INT64)
TEXTS = st.one_of(
    st.sampled_from(["", "en", "de", "S1", "1", "on", "off", "latency_s", "partials"]), st.text(max_size=12)
)
PICTURE = (DATA / "slide.png").read_bytes()
PCM = st.one_of(st.binary(max_size=4_000), st.integers(1, 20_000).map(lambda n: b"\1\2" * n))
AUDIO = st.builds(media_pb2.AudioChunk, pcm=PCM, start_sample=POSITIONS)
# Lengths, not the bytes: Hypothesis writes out what it draws from.
IMAGE = st.one_of(st.binary(max_size=200), st.sampled_from([500, len(PICTURE)]).map(lambda n: PICTURE[:n]))
FRAME = st.builds(media_pb2.VideoFrame, image=IMAGE, start_sample=POSITIONS, frame_id=st.text(max_size=5))


def _gapless(sizes: list[int]) -> list[media_pb2.AudioChunk]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        media_pb2.AudioChunk(pcm=bytes(2 * size), start_sample=start) for size, start in zip(sizes, starts, strict=True)
    ]


GAPLESS = st.lists(st.integers(1, 9_000), max_size=5).map(_gapless)

PERCEIVE_CONFIG = st.builds(
    expert_pb2.PerceiveConfig,
    language=TEXTS,
    tasks=st.lists(st.sampled_from(["ocr", "objects", "gui", "?"]), max_size=2),
    start_sample=POSITIONS,
    resume_state=st.binary(max_size=20),
    every_frame=st.booleans(),
    options=st.dictionaries(TEXTS, TEXTS, max_size=2),
)
PERCEIVE = st.one_of(
    st.builds(expert_pb2.PerceiveRequest, audio=AUDIO),
    st.builds(expert_pb2.PerceiveRequest, frame=FRAME),
    st.builds(expert_pb2.PerceiveRequest, config=PERCEIVE_CONFIG),
    st.builds(
        expert_pb2.PerceiveRequest,
        update=st.builds(
            expert_pb2.PerceiveUpdate,
            options=st.dictionaries(st.one_of(TEXTS, st.just("phrases")), TEXTS, max_size=2),
        ),
    ),
    st.just(expert_pb2.PerceiveRequest()),
)


def _stream(
    request: type[expert_pb2.PerceiveRequest] | type[session_pb2.LiveRequest],
    good: st.SearchStrategy[Message],
    any_config: st.SearchStrategy[Message],
    any_message: st.SearchStrategy[Message],
) -> st.SearchStrategy[list[Message]]:
    """Mostly a good beginning, so that the rest is read too; sometimes anything."""
    begun = st.builds(
        lambda config, audio, rest: [request(config=config), *(request(audio=chunk) for chunk in audio), *rest],
        st.one_of(good, good, any_config),
        GAPLESS,
        st.lists(any_message, max_size=4),
    )
    return st.one_of(begun, begun, begun, st.lists(any_message, max_size=6))


PERCEIVE_STREAM = _stream(
    expert_pb2.PerceiveRequest, st.just(expert_pb2.PerceiveConfig(every_frame=True)), PERCEIVE_CONFIG, PERCEIVE
)

PHRASES = st.lists(st.builds(session_pb2.Phrase, text=TEXTS, weight=st.floats(width=32)), max_size=2)
LIVE_CONFIG = st.builds(
    session_pb2.LiveConfig,
    session_id=st.one_of(st.just(""), TEXTS),
    last_seq=st.one_of(st.just(0), INT64),
    title=st.text(max_size=10),
    language=TEXTS,
    experts=st.lists(st.sampled_from(["asr", "diarization", "vision", "?"]), max_size=3),
    pace=st.sampled_from([0, 1, 2, 77]),
    phrases=PHRASES,
    options=st.dictionaries(st.one_of(TEXTS, st.just("asr.partials")), TEXTS, max_size=2),
)
LIVE = st.one_of(
    st.builds(session_pb2.LiveRequest, audio=AUDIO),
    st.builds(session_pb2.LiveRequest, frame=FRAME),
    st.builds(session_pb2.LiveRequest, question=st.builds(session_pb2.Question, question_id=TEXTS, text=TEXTS)),
    st.builds(session_pb2.LiveRequest, rename=st.builds(decoder_pb2.SpeakerName, speaker=TEXTS, name=TEXTS)),
    st.builds(session_pb2.LiveRequest, config=LIVE_CONFIG),
    st.builds(session_pb2.LiveRequest, phrases=st.builds(session_pb2.Phrases, phrases=PHRASES)),
    st.builds(
        session_pb2.LiveRequest,
        undo=st.builds(session_pb2.Undo, utterance_id=TEXTS, word=st.integers(-(2**31), 2**31 - 1)),
    ),
    st.just(session_pb2.LiveRequest()),
)
LIVE_STREAM = _stream(
    session_pb2.LiveRequest,
    st.builds(session_pb2.LiveConfig, language=st.just("en"), pace=st.sampled_from([1, 2])),
    LIVE_CONFIG,
    LIVE,
)


@pytest.fixture(scope="module")
def channels(house: House) -> Iterator[dict[str, grpc.Channel]]:
    names = ("asr", "diarization", "vision", "gateway")
    opened = {
        name: grpc.insecure_channel(house.environment[f"SENSORIUM_{name.upper()}_ADDRESS"], options=CLIENT_OPTIONS)
        for name in names
    }
    yield opened
    for channel in opened.values():
        channel.close()


@pytest.fixture(scope="module", autouse=True)
def _nobody_died(house: House) -> Iterator[None]:
    before = {name: house.pid(name) for name in house.states()}
    yield
    assert {name: house.pid(name) for name in house.states()} == before


def _ends(call: grpc.Call) -> tuple[grpc.StatusCode, str]:
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("name", ["asr", "diarization", "vision"])
def test_any_perceive_stream_ends_with_a_lawful_status(channels: dict[str, grpc.Channel], name: str) -> None:
    stub = expert_pb2_grpc.ExpertServiceStub(channels[name])

    @FUZZ
    @given(PERCEIVE_STREAM)
    def check(requests: list[expert_pb2.PerceiveRequest]) -> None:
        code, details = _ends(stub.Perceive(iter(requests), timeout=HANGS_S))
        assert code in LAWFUL, details
        assert code is grpc.StatusCode.OK or len(details) > len("wrong")

    check()


def test_any_live_stream_ends_with_a_lawful_status(channels: dict[str, grpc.Channel]) -> None:
    stub = session_pb2_grpc.SessionServiceStub(channels["gateway"])

    @FUZZ
    @given(LIVE_STREAM)
    def check(requests: list[session_pb2.LiveRequest]) -> None:
        code, details = _ends(stub.Live(iter(requests), timeout=HANGS_S))
        assert code in LAWFUL, details
        assert code is grpc.StatusCode.OK or len(details) > len("wrong")

    check()
