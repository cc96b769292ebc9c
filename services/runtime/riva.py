"""NVIDIA Riva's speech recognition service, for clients that speak it, over whatever recognises here.

The messages are those of the `nvidia-riva-client` package. What is served, what does nothing and what is
refused stands in docs/riva.md.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet
from numpy.typing import NDArray
from riva.client.proto import riva_asr_pb2, riva_asr_pb2_grpc
from riva.client.proto.riva_audio_pb2 import AudioEncoding

from services.runtime.encodings import AudioDecoder, Encoding
from services.runtime.errors import abort, fail
from services.runtime.percept import SAMPLE_RATE, Transcript, Word
from services.runtime.settings import sensorium_version
from services.runtime.stage import MediaError
from services.runtime.streams import Streams

SERVICE_NAME: str = riva_asr_pb2.DESCRIPTOR.services_by_name["RivaSpeechRecognition"].full_name
MODEL = "sensorium"
# One decoding step takes at most so many bytes, and the recogniser at most so much sound at once.
SLICE_BYTES = 16 * 1024
SLICE_SAMPLES = SAMPLE_RATE
# What a client is told of words that may still change, and of those that will not.
UNSTABLE, STABLE = 0.1, 0.9
UNKNOWN_SPEAKER = -1
# Where a call tells that it was answered from less than there should be.
WARNING_KEY = "sensorium-warning"
# The recogniser's largest weight of a phrase.
MAX_BOOST = 100.0

_ENCODINGS = {
    AudioEncoding.ENCODING_UNSPECIFIED: Encoding.DETECT,
    AudioEncoding.LINEAR_PCM: Encoding.PCM_S16LE,
    AudioEncoding.FLAC: Encoding.FLAC,
    AudioEncoding.MULAW: Encoding.MULAW,
    AudioEncoding.OGGOPUS: Encoding.OGG_OPUS,
    AudioEncoding.ALAW: Encoding.ALAW,
}
_PUNCTUATION = '.,?!;:"()[]{}…“”„«»¿¡。，、？！；：（）「」『』-–—'

Context = grpc.aio.ServicerContext
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call asks for; `language` is a code of two or three letters, "" means detect.

    `endpointing` are the fields of EndpointingConfig that are set, by name: options of the asr service.
    """

    language: str = ""
    language_code: str = ""
    has_interim: bool = False
    has_words: bool = False
    has_punctuation: bool = False
    has_speakers: bool = False
    phrases: Mapping[str, float] = field(default_factory=dict)
    endpointing: Mapping[str, str] = field(default_factory=dict)


class Recogniser(Protocol):
    """What hears: the asr expert itself, or a session of the gateway."""

    @property
    def no_speakers(self) -> str:
        """Why it does not tell speakers apart, as a sentence; "" when it does."""

    def hear(self, wanted: Wanted, sound: AsyncIterator[Samples], *, is_live: bool) -> AsyncGenerator[Transcript]:
        """Partials and finals of mono float32 sound at 16 kHz.

        `is_live`: every final comes once, in order of time. Else a final may come again and replaces itself.
        """


class RivaSkin(riva_asr_pb2_grpc.RivaSpeechRecognitionServicer):
    """The wire in front of a recogniser."""

    def __init__(self, recogniser: Recogniser, streams: Streams) -> None:
        self._recogniser = recogniser
        self._streams = streams

    async def Recognize(self, request: Any, context: "Context[Any, Any]") -> Any:
        """One recording in one message."""
        try:
            with self._streams.admit():
                return await self._recognize(request, context)
        except Exception as error:  # the top of a call: every failure becomes a status
            await fail(context, error)

    async def _recognize(self, request: Any, context: "Context[Any, Any]") -> Any:
        _refuse_unknown(request)
        wanted, decoder = self._read(request.config)
        if not request.audio:
            raise MediaError("audio is empty")
        finals: dict[str, Transcript] = {}
        sound = _decoded(decoder, _once(request.audio))
        async with aclosing(self._recogniser.hear(wanted, sound, is_live=False)) as heard:
            async for transcript in heard:
                if transcript.is_final:
                    finals[transcript.utterance_id] = transcript
        _tell_if_cut(decoder, context)
        response = riva_asr_pb2.RecognizeResponse(id=_id(request))
        writer = _Writer(wanted)
        for final in sorted(finals.values(), key=lambda final: final.start_sample):
            if final.words:
                response.results.append(writer.result(final))
        return response

    async def StreamingRecognize(self, request_iterator: AsyncIterator[Any], context: "Context[Any, Any]") -> None:
        """One live stream."""
        try:
            with self._streams.admit():
                await self._stream(request_iterator, context)
        except Exception as error:  # the top of a stream
            await fail(context, error)

    async def _stream(self, requests: AsyncIterator[Any], context: "Context[Any, Any]") -> None:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("streaming_request") != "streaming_config":
            raise MediaError("send streaming_config first, then audio_content")
        _refuse_unknown(first)
        _refuse_unknown(first.streaming_config)
        wanted, decoder = self._read(first.streaming_config.config, first.streaming_config.interim_results)
        writer = _Writer(wanted)
        sound = _decoded(decoder, _contents(requests))
        async with aclosing(self._recogniser.hear(wanted, sound, is_live=True)) as heard:
            async for transcript in heard:
                if results := writer.streaming(transcript):
                    await context.write(riva_asr_pb2.StreamingRecognizeResponse(results=results, id=_id(first)))
        _tell_if_cut(decoder, context)

    async def GetRivaSpeechRecognitionConfig(self, request: Any, context: "Context[Any, Any]") -> Any:
        """The one model, once for each way to call it, as Riva lists its models."""
        response = riva_asr_pb2.RivaSpeechRecognitionConfigResponse()
        if request.model_name and request.model_name != MODEL:
            await abort(context, _no_model(request.model_name))
        for kind in ("online", "offline"):
            parameters = {
                "type": kind,
                "language_code": "multi",
                "streaming": str(kind == "online"),
                "sample_rate": str(SAMPLE_RATE),
                "version": sensorium_version(),
            }
            response.model_config.add(model_name=MODEL, parameters=parameters)
        return response

    def _read(self, config: Any, has_interim: bool = False) -> tuple[Wanted, AudioDecoder]:
        """Raises MediaError for what is wrong or would be served otherwise than asked."""
        wanted = read_config(config, has_interim)
        if wanted.has_speakers and self._recogniser.no_speakers:
            raise MediaError(self._recogniser.no_speakers)
        encoding = _ENCODINGS[config.encoding]
        return wanted, AudioDecoder(encoding, config.sample_rate_hertz, config.audio_channel_count or 1)


def read_config(config: Any, has_interim: bool = False) -> Wanted:
    """Check a RecognitionConfig. Raises MediaError."""
    for message in (config, config.endpointing_config, config.diarization_config, *config.speech_contexts):
        _refuse_unknown(message)
    if config.encoding not in _ENCODINGS:
        names = ", ".join(AudioEncoding.Name(number) for number in _ENCODINGS)
        raise MediaError(f"encoding is {config.encoding}, must be one of {names}")
    for name in ("sample_rate_hertz", "audio_channel_count", "max_alternatives"):
        if (value := getattr(config, name)) < 0:
            raise MediaError(f"{name} is {value}, must be 0 or more")
    if config.enable_separate_recognition_per_channel and config.audio_channel_count > 1:
        raise MediaError(
            f"enable_separate_recognition_per_channel with audio_channel_count {config.audio_channel_count}: "
            "channels are mixed to one; send each channel in a call of its own"
        )
    if config.profanity_filter:
        raise MediaError("profanity_filter is on; words are given as they were said, switch it off")
    if config.custom_configuration:
        raise MediaError(f"custom_configuration has {sorted(config.custom_configuration)}; no key is known here")
    if config.model not in ("", MODEL):
        raise _no_model(config.model)
    language = config.language_code.replace("_", "-").partition("-")[0].lower()
    return Wanted(
        language="" if language == "multi" else language,
        language_code=config.language_code,
        has_interim=has_interim,
        has_words=config.enable_word_time_offsets or config.diarization_config.enable_speaker_diarization,
        has_punctuation=config.enable_automatic_punctuation,
        has_speakers=config.diarization_config.enable_speaker_diarization,
        phrases={
            " ".join(phrase.split()): min(context.boost, MAX_BOOST) if context.boost > 0 else 1.0
            for context in config.speech_contexts
            for phrase in context.phrases
            if phrase.strip()
        },
        endpointing={spec.name: f"{value:g}" for spec, value in config.endpointing_config.ListFields()},
    )


def _no_model(name: str) -> MediaError:
    return MediaError(f"model is {name!r}; leave it empty or name {MODEL!r}")


def _refuse_unknown(message: Any) -> None:
    unknown: Iterable[Any] = UnknownFieldSet(message)  # type: ignore[assignment]
    if numbers := sorted({field.field_number for field in unknown}):
        raise MediaError(f"{message.DESCRIPTOR.name} has fields {numbers} that are not known here")


def _id(request: Any) -> Any:
    """The caller's name for the call, to be echoed; None where it gave none."""
    return request.id if request.HasField("id") else None


def _tell_if_cut(decoder: AudioDecoder, context: "Context[Any, Any]") -> None:
    """Riva's messages have no place for it."""
    if decoder.is_cut:
        context.set_trailing_metadata(((WARNING_KEY, "the sound ends early: its file is not whole"),))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _contents(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for request in requests:
        _refuse_unknown(request)
        if request.runtime_config:
            raise MediaError(f"runtime_config has {sorted(request.runtime_config)}; no key is known here")
        match request.WhichOneof("streaming_request"):
            case "audio_content":
                yield request.audio_content
            case "streaming_config":
                raise MediaError("a second streaming_config; send it once, first")
            case _:
                raise MediaError("an empty message; send audio_content")


async def _decoded(decoder: AudioDecoder, data: AsyncIterator[bytes]) -> AsyncIterator[Samples]:
    async for piece in data:
        for start in range(0, len(piece), SLICE_BYTES):
            samples = await asyncio.to_thread(decoder.push, piece[start : start + SLICE_BYTES])
            for slice_ in _slices(samples):
                yield slice_
    for slice_ in _slices(await asyncio.to_thread(decoder.flush)):
        yield slice_


def _slices(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), SLICE_SAMPLES):
        yield samples[start : start + SLICE_SAMPLES]


class _Writer:
    """Transcripts of one call as Riva's messages; speakers are numbered as they come."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._speakers: dict[str, int] = {}

    def result(self, final: Transcript) -> Any:
        """A result of Recognize."""
        return riva_asr_pb2.SpeechRecognitionResult(
            alternatives=[self._alternative(final, final.words)],
            channel_tag=1,
            audio_processed=final.end_sample / SAMPLE_RATE,
        )

    def streaming(self, transcript: Transcript) -> list[Any]:
        """Results of StreamingRecognize: a final, or the stable and the unstable part of a partial."""
        if transcript.is_final:
            return [self._streaming(transcript, transcript.words, True, 0.0)] if transcript.words else []
        if not self._wanted.has_interim:
            return []
        stable = transcript.words[: transcript.stable_words]
        unstable = transcript.words[transcript.stable_words :]
        parts = [(stable, STABLE)] if stable else []
        parts += [(unstable, UNSTABLE)] if unstable or not stable else []
        return [self._streaming(transcript, words, False, stability) for words, stability in parts]

    def _streaming(self, transcript: Transcript, words: Sequence[Word], is_final: bool, stability: float) -> Any:
        return riva_asr_pb2.StreamingRecognitionResult(
            alternatives=[self._alternative(transcript, words)],
            is_final=is_final,
            stability=stability,
            channel_tag=1,
            audio_processed=transcript.end_sample / SAMPLE_RATE,
        )

    def _alternative(self, transcript: Transcript, words: Sequence[Word]) -> Any:
        written = [(word, text) for word in words if (text := self._written(word.text))]
        language = self._language(transcript.language)
        joint = "" if transcript.language[:2] in ("zh", "ja", "th") else " "
        alternative = riva_asr_pb2.SpeechRecognitionAlternative(
            # Clients join results as they are.
            transcript="".join(text + joint for _, text in written),
            confidence=transcript.confidence or 0.0,
            language_code=[language] if language else [],
        )
        for word, text in written if self._wanted.has_words else ():
            alternative.words.add(
                word=text,
                start_time=word.start_sample * 1000 // SAMPLE_RATE,
                end_time=word.end_sample * 1000 // SAMPLE_RATE,
                confidence=word.confidence or 0.0,
                speaker_tag=self._tag(word.speaker or transcript.speaker),
                language_code=language,
            )
        return alternative

    def _written(self, text: str) -> str:
        return text if self._wanted.has_punctuation else text.strip(_PUNCTUATION).lower()

    def _language(self, language: str) -> str:
        """The caller's own tag where it is that language."""
        return self._wanted.language_code if language == self._wanted.language else language

    def _tag(self, speaker: str) -> int:
        if not self._wanted.has_speakers:
            return 0
        if not speaker:
            return UNKNOWN_SPEAKER
        return self._speakers.setdefault(speaker, len(self._speakers))
