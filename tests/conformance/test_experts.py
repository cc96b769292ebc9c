"""Every expert keeps the stream grammar of protos/expert/v1/expert.proto. Experts are found, not listed."""

import importlib
import importlib.util
import pkgutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import cv2
import grpc
import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray

import services
from protos.expert.v1 import expert_pb2 as pb
from protos.expert.v1 import expert_pb2_grpc
from protos.media.v1 import media_pb2
from services.runtime.channel import CLIENT_OPTIONS
from services.runtime.expert import SERVICE_NAME, ExpertSkin
from services.runtime.server import REFLECTION_V1, serving
from services.runtime.settings import ServiceSettings
from services.runtime.stage import Expert


def _experts() -> list[str]:
    names = [module.name for module in pkgutil.iter_modules(services.__path__) if module.ispkg]
    with_service = [name for name in names if importlib.util.find_spec(f"services.{name}.service")]
    modules = {name: importlib.import_module(f"services.{name}.service") for name in with_service}
    return [name for name, module in modules.items() if hasattr(module, "new_expert")]


EXPERTS = _experts()


@dataclass
class Running:
    """One served expert."""

    expert: Expert
    stub: expert_pb2_grpc.ExpertServiceStub
    channel: grpc.aio.Channel


@pytest.fixture(scope="session", params=EXPERTS)
def expert(request: pytest.FixtureRequest, models: None) -> Expert:
    """The real expert with its real models, made once."""
    made: Expert = importlib.import_module(f"services.{request.param}.service").new_expert()
    return made


@pytest.fixture
async def running(expert: Expert) -> AsyncIterator[Running]:
    settings = ServiceSettings(expert.name, "127.0.0.1:0", max_streams=2, drain_s=0.5)
    skin = ExpertSkin(expert, settings)

    def add(server: grpc.aio.Server) -> None:
        expert_pb2_grpc.add_ExpertServiceServicer_to_server(skin, server)

    async with (
        serving(settings, SERVICE_NAME, add, skin.streams) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS) as channel,
    ):
        yield Running(expert, expert_pb2_grpc.ExpertServiceStub(channel), channel)
    skin.close()


def config(**fields: object) -> pb.PerceiveRequest:
    return pb.PerceiveRequest(config=pb.PerceiveConfig(every_frame=True, **fields))


def audio(pcm: bytes, start_sample: int = 0) -> pb.PerceiveRequest:
    return pb.PerceiveRequest(audio=media_pb2.AudioChunk(pcm=pcm, start_sample=start_sample))


def frame(image: bytes, start_sample: int = 0) -> pb.PerceiveRequest:
    return pb.PerceiveRequest(frame=media_pb2.VideoFrame(image=image, start_sample=start_sample))


def chunked(samples: NDArray[np.int16], size: int) -> list[pb.PerceiveRequest]:
    return [audio(samples[i : i + size].tobytes(), i) for i in range(0, len(samples), size)]


def some_media(expert: Expert, speech: NDArray[np.int16], slide: bytes) -> list[pb.PerceiveRequest]:
    return chunked(speech, 3200) if expert.takes_audio else [frame(slide)]


async def perceive(running: Running, requests: Iterable[pb.PerceiveRequest]) -> list[pb.PerceiveResponse]:
    return [response async for response in running.stub.Perceive(iter(requests))]


async def refusal(running: Running, requests: Iterable[pb.PerceiveRequest]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perceive(running, requests)
    return caught.value


def finals(responses: list[pb.PerceiveResponse], from_sample: int = 0) -> list[bytes]:
    """Final results in order, without checkpoints; those that begin at `from_sample` or later."""
    kept = []
    for response in responses:
        kind = response.percept.WhichOneof("percept")
        value = getattr(response.percept, kind)
        is_final = kind == "screen" or (kind in ("transcript", "turn") and value.is_final)
        if is_final and value.start_sample >= from_sample:
            kept.append(value.SerializeToString(deterministic=True))
    return kept


def test_the_three_experts_are_found() -> None:
    assert {"asr", "diarization", "vision"} <= set(EXPERTS)


async def test_real_media_gives_final_results(
    running: Running, speech_s16: NDArray[np.int16], slide_png: bytes
) -> None:
    long = np.concatenate([speech_s16, np.zeros(6 * 16_000, np.int16)])  # checkpoints come every few seconds
    responses = await perceive(running, [config(), *some_media(running.expert, long, slide_png)])
    assert finals(responses)
    assert any(r.percept.HasField("checkpoint") for r in responses)


async def test_results_do_not_depend_on_chunk_size(running: Running, speech_s16: NDArray[np.int16]) -> None:
    if not running.expert.takes_audio:
        noise = [frame(_png(np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)), i) for i in range(3)]
        assert finals(await perceive(running, [config(), *noise])) == finals(
            await perceive(running, [config(), *noise])
        )
        return
    whole = finals(await perceive(running, [config(language="en"), *chunked(speech_s16, len(speech_s16))]))
    for size in (160, 1_000, 20_011):
        assert finals(await perceive(running, [config(language="en"), *chunked(speech_s16, size)])) == whole


async def test_a_replay_from_any_checkpoint_gives_the_same_results_after_it(
    running: Running, speech_s16: NDArray[np.int16], slide_png: bytes
) -> None:
    if running.expert.takes_audio:
        pause = np.zeros(16_000, np.int16)
        samples = np.concatenate([speech_s16, pause, speech_s16, pause])
        media = chunked(samples, 4_000)
    else:
        media = [frame(slide_png, 0), frame(_png(np.full((720, 1280, 3), 255, np.uint8)), 16_000)]
    responses = await perceive(running, [config(language="en"), *media])
    marks = [i for i, r in enumerate(responses) if r.percept.HasField("checkpoint")]
    assert marks
    for mark in marks:
        checkpoint = responses[mark].percept.checkpoint
        resumed = config(language="en", start_sample=checkpoint.resume_sample, resume_state=checkpoint.state)
        rest = [m for m in media if _start(m) >= checkpoint.resume_sample]
        if running.expert.takes_audio:
            rest = [
                audio(samples[i : i + 4_000].tobytes(), i) for i in range(checkpoint.resume_sample, len(samples), 4_000)
            ]
        replayed = finals(await perceive(running, [resumed, *rest]))
        after = finals(responses[mark:])
        assert [r for r in replayed if r in after] == after
        if running.expert.takes_audio:
            assert replayed == finals(responses, checkpoint.resume_sample)


async def test_a_live_picture_is_read_better_while_nothing_comes(running: Running) -> None:
    if not running.expert.takes_frames:
        return
    pixels, wanted = np.full((360, 640, 3), 255, np.uint8), "std::vector<int>"
    for row, text in enumerate(("Quarterly review", "Revenue grew in March", "Questions to Priya", wanted)):
        cv2.putText(pixels, text, (40, 60 + 80 * row), (0, 0, 0), cv2.FontFace("sans"), 20, 500)
    call = running.stub.Perceive()
    await call.write(pb.PerceiveRequest(config=pb.PerceiveConfig()))
    await call.write(frame(_png(pixels)))
    states: list[list[str]] = [[]]
    while wanted not in states[-1]:
        percept = (await call.read()).percept
        states += [[region.text for region in percept.screen.regions]] if percept.HasField("screen") else []
    call.cancel()
    assert len(states) == 3  # before anything came, read quickly, read well


async def test_partial_states_come_live_alone_and_before_the_whole(running: Running) -> None:
    if not running.expert.takes_frames:
        return
    pixels = np.full((720, 640, 3), 255, np.uint8)
    for row in range(20):
        text = f"{row} lines of this page were read again on Tuesday"
        cv2.putText(pixels, text, (40, 30 + 34 * row), (0, 0, 0), cv2.FontFace("sans"), 20, 500)
    picture = frame(_png(pixels))
    live, recorded = [
        [r.percept.screen for r in await perceive(running, [head, picture]) if r.percept.HasField("screen")]
        for head in (pb.PerceiveRequest(config=pb.PerceiveConfig()), config())
    ]
    assert not any(screen.is_partial for screen in recorded)
    partials = [screen for screen in live if screen.is_partial]
    assert partials and live[: len(partials)] == partials
    assert live[len(partials) :] == recorded


async def test_an_empty_stream_ends_ok(running: Running) -> None:
    assert finals(await perceive(running, [config()])) == []


@pytest.mark.parametrize("first", ["audio", "frame", "nothing", "empty message"])
async def test_media_before_config_is_refused(running: Running, first: str, slide_png: bytes) -> None:
    requests = {
        "audio": [audio(b"\0\0")],
        "frame": [frame(slide_png)],
        "nothing": [],
        "empty message": [pb.PerceiveRequest()],
    }
    error = await refusal(running, requests[first])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "config first" in str(error.details())


async def test_a_second_config_is_refused(running: Running) -> None:
    error = await refusal(running, [config(), config()])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "second config" in str(error.details())


async def test_an_unknown_option_is_refused_and_the_known_ones_are_named(running: Running) -> None:
    error = await refusal(running, [config(options={"no_such_option": "1"})])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no_such_option" in str(error.details())


async def test_only_options_that_may_change_change_in_mid_stream(running: Running) -> None:
    update = pb.PerceiveRequest(update=pb.PerceiveUpdate(options={"no_such": "1"}))
    error = await refusal(running, [config(), update])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no_such" in str(error.details()) or "takes no update" in str(error.details())


async def test_a_broken_resume_state_is_refused(running: Running) -> None:
    if not running.expert.takes_audio:
        return  # a restarted vision stream reads the screen again, it has no state
    error = await refusal(running, [config(resume_state=b"\x80\x04rubbish"), audio(b"\0\0" * 1600)])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("chunks", "sentence"),
    [
        ([(b"\0\0\0", 0)], "3 bytes"),
        ([(b"", 0)], "0 bytes"),
        ([(b"\0\0" * 1600, 0), (b"\0\0" * 1600, 800)], "back in time"),
        ([(b"\0\0" * 1600, 0), (b"\0\0" * 1600, 16_000 * 60)], "ahead"),
        ([(b"\0\0" * 1600, -5)], "back in time"),
        ([(b"\0\0" * 16_000 * 600, 0)], "600.0 s long"),
    ],
)
async def test_wrong_audio_is_refused_with_a_sentence(
    running: Running, chunks: list[tuple[bytes, int]], sentence: str
) -> None:
    error = await refusal(running, [config(), *(audio(pcm, start) for pcm, start in chunks)])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (sentence if running.expert.takes_audio else "takes no audio") in str(error.details())


async def test_strange_but_lawful_audio_gives_no_words_and_no_error(running: Running) -> None:
    if not running.expert.takes_audio:
        return
    clipping = np.where(np.arange(16_000) // 40 % 2, 32_767, -32_768).astype(np.int16)
    media = [audio(b"\0\0", 0), audio(bytes(2 * 16_000 * 5), 1), audio(clipping.tobytes(), 80_001)]
    transcripts = [
        r.percept.transcript
        for r in await perceive(running, [config(language="en"), *media])
        if r.percept.HasField("transcript")
    ]
    assert not [t for t in transcripts if t.is_final and t.words]


@pytest.mark.parametrize("case", ["1x1", "16000x16000", "truncated", "not an image", "back in time"])
async def test_wrong_frames_are_refused_with_a_sentence(running: Running, case: str, slide_png: bytes) -> None:
    media = {
        "1x1": [frame(_png(np.zeros((1, 1, 3), np.uint8)))],
        "16000x16000": [frame(_png(np.zeros((16_000, 16_000), np.uint8)))],
        "truncated": [frame(slide_png[: len(slide_png) // 2])],
        "not an image": [frame(b"GIF is not among the formats" * 10)],
        "back in time": [frame(slide_png, 16_000), frame(slide_png, 0)],
    }[case]
    error = await refusal(running, [config(), *media])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(str(error.details())) > 15
    if not running.expert.takes_frames:
        assert "takes no frame" in str(error.details())


async def test_streams_beyond_the_limit_are_refused_with_retry_information(running: Running) -> None:
    open_calls = [running.stub.Perceive() for _ in range(2)]
    for call in open_calls:
        await call.write(config())
        await call.write(audio(b"\0\0" * 160) if running.expert.takes_audio else frame(_blank()))
    while (await running.stub.Describe(pb.DescribeRequest())).active_streams < 2:
        pass
    error = await refusal(running, [config()])
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(error)
    assert status is not None and [d.TypeName() for d in status.details] == ["google.rpc.RetryInfo"]
    for call in open_calls:
        call.cancel()


async def test_a_vanished_client_leaves_its_place_to_others(
    running: Running, speech_s16: NDArray[np.int16], slide_png: bytes
) -> None:
    media = some_media(running.expert, speech_s16, slide_png)
    for _ in range(4):
        call = running.stub.Perceive()
        await call.write(config())
        await call.write(media[0])
        call.cancel()
    while (await running.stub.Describe(pb.DescribeRequest())).active_streams:
        pass
    assert finals(await perceive(running, [config(), *media]))


async def test_describe_tells_models_and_memory(running: Running) -> None:
    described = await running.stub.Describe(pb.DescribeRequest())
    assert described.service == running.expert.name
    assert described.models and described.resident_bytes > 10_000_000
    for model in described.models:
        assert model.name and model.version and model.licence and model.backend and model.parameters > 1_000


async def test_health_and_reflection_answer(running: Running) -> None:
    health = health_pb2_grpc.HealthStub(running.channel)
    for name in ("", SERVICE_NAME):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for version in (REFLECTION_V1, "grpc.reflection.v1alpha.ServerReflection"):
        ask = running.channel.stream_stream(
            f"/{version}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = [a async for a in ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))]
        names = {s["name"] for s in MessageToDict(answers[0])["listServicesResponse"]["service"]}
        assert SERVICE_NAME in names


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def _blank() -> bytes:
    return _png(np.full((64, 64, 3), 255, np.uint8))


def _start(request: pb.PerceiveRequest) -> int:
    return request.audio.start_sample if request.HasField("audio") else request.frame.start_sample
