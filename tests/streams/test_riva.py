"""NVIDIA's own client package, unchanged, against the real services."""

import inspect
import io
import json
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import jiwer
import numpy as np
import pytest
import riva.client
from numpy.typing import NDArray
from riva.client import ASRService, AudioEncoding, RecognitionConfig, StreamingRecognitionConfig
from riva.client.proto import riva_asr_pb2

from protos.session.v1 import session_pb2, session_pb2_grpc
from services.runtime.settings import PORTS
from tests.conftest import DATA
from tests.house import House
from tests.media import encoded

SPEECH = DATA / "speech.wav"
FRAMES = 1_600


def words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c == " ").split())


TRUTH = json.loads((DATA / "truth.json").read_text())
SPOKEN = words(TRUTH["speech.wav"]["text"])


@pytest.fixture
def asr(house: House, request: pytest.FixtureRequest) -> Iterator[ASRService]:
    """Riva's client at the asr process, or at the service that is named."""
    name = getattr(request, "param", "asr")
    auth = riva.client.Auth(uri=house.environment[f"SENSORIUM_{name.upper()}_ADDRESS"])
    yield ASRService(auth)
    auth.channel.close()


at_both = pytest.mark.parametrize("asr", ["asr", "gateway"], indirect=True)
at_the_gateway = pytest.mark.parametrize("asr", ["gateway"], indirect=True)


@pytest.fixture(autouse=True)
def _nothing_is_kept(house: House) -> Iterator[None]:
    """Whatever a call came to, no session of it stays."""
    before = _sessions(house)
    yield
    deadline = time.monotonic() + 10
    while _sessions(house) != before:
        assert time.monotonic() < deadline, _sessions(house) - before


def _sessions(house: House) -> set[str]:
    with grpc.insecure_channel(house.gateway) as channel:
        listed = session_pb2_grpc.SessionServiceStub(channel).ListSessions(session_pb2.ListSessionsRequest())
    return {session.session_id for session in listed.sessions}


def offline(service: ASRService, data: bytes, **config: object) -> str:
    response = service.offline_recognize(data, RecognitionConfig(language_code="en-US", **config))
    return "".join(result.alternatives[0].transcript for result in response.results)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@at_both
def test_a_file_streams_as_nvidias_script_sends_it(asr: ASRService) -> None:
    config = StreamingRecognitionConfig(
        config=RecognitionConfig(language_code="en-US", enable_automatic_punctuation=True), interim_results=True
    )
    riva.client.add_audio_file_specs_to_config(config, SPEECH)
    with riva.client.AudioChunkFileIterator(SPEECH, FRAMES) as chunks:
        responses = list(asr.streaming_response_generator(chunks, config))
    finals = [r for response in responses for r in response.results if r.is_final]
    interim = [response.results for response in responses if not response.results[0].is_final]
    assert jiwer.wer(SPOKEN, words(finals[0].alternatives[0].transcript)) < 0.3 and len(finals) == 1
    assert len(interim) >= 5
    # What was called stable stays, up to punctuation, and the parts of one response join to a text.
    stable = [words(rs[0].alternatives[0].transcript) for rs in interim if rs[0].stability > 0.5]
    assert stable and all(later.startswith(earlier) for earlier, later in zip(stable, stable[1:], strict=False))
    assert words(finals[0].alternatives[0].transcript).startswith(stable[-1])
    assert "  " not in "".join(r.alternatives[0].transcript for r in interim[-1])
    assert finals[0].alternatives[0].confidence > 0.3 and finals[0].audio_processed > 4


def test_what_nvidias_scripts_print_is_whole(asr: ASRService, capsys: pytest.CaptureFixture[str]) -> None:
    config = StreamingRecognitionConfig(
        config=RecognitionConfig(language_code="en-US", enable_word_time_offsets=True), interim_results=True
    )
    riva.client.add_audio_file_specs_to_config(config, SPEECH)
    for mode in ("no", "time", "confidence"):
        out = io.StringIO()
        with riva.client.AudioChunkFileIterator(SPEECH, FRAMES) as chunks:
            responses = asr.streaming_response_generator(chunks, config)
            riva.client.print_streaming(responses, out, mode, word_time_offsets=mode == "time")
        assert "account" in out.getvalue()
    riva.client.print_offline(asr.offline_recognize(SPEECH.read_bytes(), config.config))
    assert "Final transcript: i really like" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("encoding", "codec", "container", "rate_hz", "layout"),
    [
        (AudioEncoding.LINEAR_PCM, "pcm_s16le", "s16le", 8_000, "mono"),
        (AudioEncoding.LINEAR_PCM, "pcm_s16le", "s16le", 16_000, "mono"),
        (AudioEncoding.LINEAR_PCM, "pcm_s16le", "s16le", 44_100, "stereo"),
        (AudioEncoding.LINEAR_PCM, "pcm_s16le", "s16le", 48_000, "mono"),
        (AudioEncoding.MULAW, "pcm_mulaw", "mulaw", 8_000, "mono"),
        (AudioEncoding.ALAW, "pcm_alaw", "alaw", 8_000, "mono"),
        (AudioEncoding.FLAC, "flac", "flac", 16_000, "mono"),
        (AudioEncoding.OGGOPUS, "libopus", "ogg", 48_000, "mono"),
        (AudioEncoding.ENCODING_UNSPECIFIED, "flac", "flac", 44_100, "stereo"),
        (AudioEncoding.ENCODING_UNSPECIFIED, "libopus", "ogg", 48_000, "stereo"),
        (AudioEncoding.ENCODING_UNSPECIFIED, "pcm_mulaw", "wav", 8_000, "mono"),
    ],
)
def test_every_encoding_is_heard_whole_and_in_pieces(
    asr: ASRService,
    speech_s16: NDArray[np.int16],
    encoding: int,
    codec: str,
    container: str,
    rate_hz: int,
    layout: str,
) -> None:
    data = encoded(speech_s16, codec, container, rate_hz, layout)
    channels = 2 if layout == "stereo" else 1
    config = RecognitionConfig(
        encoding=encoding, sample_rate_hertz=rate_hz, audio_channel_count=channels, language_code="en-US"
    )
    streaming = StreamingRecognitionConfig(config=config)
    responses = asr.streaming_response_generator(pieces(data, 3_001), streaming)
    streamed = "".join(result.alternatives[0].transcript for r in responses for result in r.results)
    whole = asr.offline_recognize(data, config)
    heard = "".join(result.alternatives[0].transcript for result in whole.results)
    assert jiwer.wer(SPOKEN, words(heard)) < 0.3 and jiwer.wer(SPOKEN, words(streamed)) < 0.3


@at_both
def test_words_have_times_when_asked_for(asr: ASRService) -> None:
    config = RecognitionConfig(language_code="en-US", enable_word_time_offsets=True)
    (result,) = asr.offline_recognize(SPEECH.read_bytes(), config).results
    times = [(word.start_time, word.end_time) for word in result.alternatives[0].words]
    assert len(times) == len(result.alternatives[0].transcript.split())
    assert times == sorted(times) and all(0 <= start < end <= 5_300 for start, end in times)
    assert all(0 < word.confidence <= 1 for word in result.alternatives[0].words)
    config.enable_word_time_offsets = False
    (result,) = asr.offline_recognize(SPEECH.read_bytes(), config).results
    assert not result.alternatives[0].words


@at_both
def test_punctuation_and_capitals_come_when_asked_for(asr: ASRService) -> None:
    data = SPEECH.read_bytes()
    plain = offline(asr, data)
    assert plain.strip() == words(plain)
    written = offline(asr, data, enable_automatic_punctuation=True)
    assert words(written) == words(plain) and written.startswith("I ") and written.strip().endswith(".")


@pytest.mark.parametrize("code", ["", "multi", "en", "en-US", "en-GB"])
def test_a_language_may_be_named_or_left_open(asr: ASRService, code: str) -> None:
    response = asr.offline_recognize(SPEECH.read_bytes(), RecognitionConfig(language_code=code))
    (result,) = response.results
    assert list(result.alternatives[0].language_code) == [code if code[:2] == "en" else "en"]


def test_hints_change_nothing(asr: ASRService) -> None:
    config = RecognitionConfig(language_code="en-US", max_alternatives=3, verbatim_transcripts=True)
    response = asr.offline_recognize(SPEECH.read_bytes(), config)
    assert [len(result.alternatives) for result in response.results] == [1]


@at_both
def test_the_caller_says_how_long_a_pause_ends_an_utterance(asr: ASRService) -> None:
    config = RecognitionConfig(language_code="en-US")
    riva.client.add_endpoint_parameters_to_config(config, 64, 0.5, 160, 0, 0.9, 0)
    results = asr.offline_recognize(SPEECH.read_bytes(), config).results
    assert len(results) > 1
    assert [r.audio_processed for r in results] == sorted(r.audio_processed for r in results)
    config.endpointing_config.stop_history = 50
    with pytest.raises(grpc.RpcError, match="stop_history is '50'; must be 96 to 10000 milliseconds") as refused:
        asr.offline_recognize(SPEECH.read_bytes(), config)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@at_both
def test_the_model_is_listed_as_nvidias_script_lists_models(asr: ASRService) -> None:
    response = asr.stub.GetRivaSpeechRecognitionConfig(riva_asr_pb2.RivaSpeechRecognitionConfigRequest())
    listed = {(m.parameters["type"], m.parameters["language_code"], m.model_name) for m in response.model_config}
    assert listed == {("online", "multi", "sensorium"), ("offline", "multi", "sensorium")}
    assert offline(asr, SPEECH.read_bytes(), model="sensorium")


RAW_16K = {"encoding": AudioEncoding.LINEAR_PCM, "sample_rate_hertz": 16_000}


@at_both
@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"encoding": AudioEncoding.LINEAR_PCM}, "sample rate"),
        ({"encoding": AudioEncoding.LINEAR_PCM, "sample_rate_hertz": 4_000}, "4000"),
        ({"encoding": 9, "sample_rate_hertz": 16_000}, "OGGOPUS"),
        ({"encoding": AudioEncoding.FLAC}, "fLaC"),
        ({"encoding": AudioEncoding.ENCODING_UNSPECIFIED}, "no WAV, FLAC or Ogg"),
        ({**RAW_16K, "audio_channel_count": 9}, "9 channels"),
        (
            {**RAW_16K, "audio_channel_count": 2, "enable_separate_recognition_per_channel": True},
            "each channel in a call",
        ),
        ({**RAW_16K, "language_code": "tlh"}, "'tlh'"),
        ({**RAW_16K, "model": "parakeet"}, "'parakeet'"),
        ({**RAW_16K, "profanity_filter": True}, "profanity_filter"),
        ({**RAW_16K, "max_alternatives": -1}, "max_alternatives"),
        ({**RAW_16K, "custom_configuration": {"task": "translate"}}, "task"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_sentence(
    asr: ASRService, config: dict[str, object], sentence: str
) -> None:
    audio = bytes(6_400)
    calls: list[Callable[[], object]] = [
        lambda: asr.offline_recognize(audio, RecognitionConfig(**config)),
        lambda: list(
            asr.streaming_response_generator([audio], StreamingRecognitionConfig(config=RecognitionConfig(**config)))
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert sentence in refused.value.details()


@at_both
def test_a_field_of_a_newer_client_is_refused(asr: ASRService) -> None:
    config = RecognitionConfig.FromString(RecognitionConfig(**RAW_16K).SerializeToString() + b"\xd0\x0f\x01")
    with pytest.raises(grpc.RpcError) as refused:
        asr.offline_recognize(bytes(3_200), config)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT and "250" in refused.value.details()


@at_both
def test_a_stream_begins_with_its_config_and_has_one(asr: ASRService) -> None:
    request = riva_asr_pb2.StreamingRecognizeRequest
    config = request(streaming_config=StreamingRecognitionConfig(config=RecognitionConfig(**RAW_16K)))
    sound = request(audio_content=bytes(3_200))
    for requests in ([], [sound], [config, config], [config, request()], [config, request(runtime_config={"a": "b"})]):
        with pytest.raises(grpc.RpcError) as refused:
            list(asr.stub.StreamingRecognize(iter(requests)))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@at_both
def test_no_sound_is_an_error_and_silence_is_no_words(asr: ASRService) -> None:
    with pytest.raises(grpc.RpcError, match="audio is empty"):
        asr.offline_recognize(b"", RecognitionConfig(**RAW_16K))
    assert not asr.offline_recognize(bytes(64_000), RecognitionConfig(**RAW_16K)).results


def test_speakers_are_the_gateways_work(asr: ASRService) -> None:
    config = RecognitionConfig(language_code="en-US")
    riva.client.add_speaker_diarization_to_config(config, True, 2)
    with pytest.raises(grpc.RpcError, match="gateway") as refused:
        asr.offline_recognize(SPEECH.read_bytes(), config)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


TWO = DATA / "two_speakers.flac"


@at_the_gateway
def test_the_gateway_tags_words_with_speakers(asr: ASRService) -> None:
    truth = TRUTH["two_speakers.flac"]["utterances"]
    tags = {speaker: tag for tag, speaker in enumerate(dict.fromkeys(u["speaker"] for u in truth))}
    config = RecognitionConfig(language_code="en-US")
    riva.client.add_speaker_diarization_to_config(config, True, 2)
    whole = list(asr.offline_recognize(TWO.read_bytes(), config).results)
    with riva.client.AudioChunkFileIterator(TWO, 4_000) as chunks:
        responses = list(asr.streaming_response_generator(chunks, StreamingRecognitionConfig(config=config)))
    streamed = [result for response in responses for result in response.results]
    assert all(result.is_final for result in streamed)
    for results in (whole, streamed):
        heard = [word for result in results for word in result.alternatives[0].words]
        assert len(heard) > 20 and heard == sorted(heard, key=lambda word: word.start_time)
        right = 0
        for word in heard:
            middle_s = (word.start_time + word.end_time) / 2000
            right += word.speaker_tag in {tags[u["speaker"]] for u in truth if u["start_s"] <= middle_s <= u["end_s"]}
        assert right / len(heard) > 0.9


@at_the_gateway
def test_interim_results_come_while_the_client_still_speaks(asr: ASRService, speech_s16: NDArray[np.int16]) -> None:
    config = StreamingRecognitionConfig(
        config=RecognitionConfig(language_code="en-US", **RAW_16K), interim_results=True
    )
    heard = threading.Event()

    def sound() -> Iterator[bytes]:
        yield from pieces(speech_s16[:48_000].tobytes(), 3_200)
        assert heard.wait(60)
        yield from pieces(speech_s16[48_000:].tobytes(), 3_200)

    finals = []
    for response in asr.streaming_response_generator(sound(), config):
        heard.set()
        finals += [result for result in response.results if result.is_final]
    assert len(finals) == 1


@at_both
def test_a_client_that_goes_away_leaves_its_place(house: House, asr: ASRService) -> None:
    config = StreamingRecognitionConfig(config=RecognitionConfig(language_code="en-US", **RAW_16K))
    request = riva_asr_pb2.StreamingRecognizeRequest
    for _ in range(20):  # more than there are places
        call = asr.stub.StreamingRecognize(iter([request(streaming_config=config), request(audio_content=bytes(640))]))
        call.cancel()
    # The service hears of a cancelled call a moment later; until then it may say that all places are taken.
    deadline = time.monotonic() + 60
    answer = None
    while answer is None:
        try:
            answer = offline(asr, SPEECH.read_bytes())
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and time.monotonic() < deadline
    assert answer


def test_a_recording_may_be_named_and_is_answered_under_its_name(asr: ASRService) -> None:
    request = riva_asr_pb2.RecognizeRequest(config=RecognitionConfig(**RAW_16K), audio=bytes(3_200))
    assert not asr.stub.Recognize(request).HasField("id")
    request.id.value = "call-7"
    assert asr.stub.Recognize(request).id.value == "call-7"


def test_the_default_address_of_nvidias_client_is_ours() -> None:
    assert inspect.signature(riva.client.Auth).parameters["uri"].default == f"localhost:{PORTS['asr']}"
