from protos.decoder.v1 import decoder_pb2 as _decoder_pb2
from protos.expert.v1 import expert_pb2 as _expert_pb2
from protos.media.v1 import media_pb2 as _media_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACE_UNSPECIFIED: _ClassVar[Pace]
    PACE_LIVE: _ClassVar[Pace]
    PACE_MAX: _ClassVar[Pace]
PACE_UNSPECIFIED: Pace
PACE_LIVE: Pace
PACE_MAX: Pace

class LiveConfig(_message.Message):
    __slots__ = ("session_id", "last_seq", "title", "language", "experts", "pace", "phrases", "options", "escalation", "queries")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    PACE_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    last_seq: int
    title: str
    language: str
    experts: _containers.RepeatedScalarFieldContainer[str]
    pace: Pace
    phrases: _containers.RepeatedCompositeFieldContainer[Phrase]
    options: _containers.ScalarMap[str, str]
    escalation: _decoder_pb2.Escalation
    queries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session_id: _Optional[str] = ..., last_seq: _Optional[int] = ..., title: _Optional[str] = ..., language: _Optional[str] = ..., experts: _Optional[_Iterable[str]] = ..., pace: _Optional[_Union[Pace, str]] = ..., phrases: _Optional[_Iterable[_Union[Phrase, _Mapping]]] = ..., options: _Optional[_Mapping[str, str]] = ..., escalation: _Optional[_Union[_decoder_pb2.Escalation, str]] = ..., queries: _Optional[_Iterable[str]] = ...) -> None: ...

class Phrase(_message.Message):
    __slots__ = ("text", "weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: str
    weight: float
    def __init__(self, text: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Phrases(_message.Message):
    __slots__ = ("phrases",)
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    phrases: _containers.RepeatedCompositeFieldContainer[Phrase]
    def __init__(self, phrases: _Optional[_Iterable[_Union[Phrase, _Mapping]]] = ...) -> None: ...

class Queries(_message.Message):
    __slots__ = ("queries",)
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    queries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, queries: _Optional[_Iterable[str]] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("question_id", "text", "escalation")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    text: str
    escalation: _decoder_pb2.Escalation
    def __init__(self, question_id: _Optional[str] = ..., text: _Optional[str] = ..., escalation: _Optional[_Union[_decoder_pb2.Escalation, str]] = ...) -> None: ...

class LiveRequest(_message.Message):
    __slots__ = ("config", "audio", "frame", "question", "rename", "phrases", "undo", "queries")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    config: LiveConfig
    audio: _media_pb2.AudioChunk
    frame: _media_pb2.VideoFrame
    question: Question
    rename: _decoder_pb2.SpeakerName
    phrases: Phrases
    undo: Undo
    queries: Queries
    def __init__(self, config: _Optional[_Union[LiveConfig, _Mapping]] = ..., audio: _Optional[_Union[_media_pb2.AudioChunk, _Mapping]] = ..., frame: _Optional[_Union[_media_pb2.VideoFrame, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., rename: _Optional[_Union[_decoder_pb2.SpeakerName, _Mapping]] = ..., phrases: _Optional[_Union[Phrases, _Mapping]] = ..., undo: _Optional[_Union[Undo, _Mapping]] = ..., queries: _Optional[_Union[Queries, _Mapping]] = ...) -> None: ...

class Undo(_message.Message):
    __slots__ = ("utterance_id", "word")
    UTTERANCE_ID_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    utterance_id: str
    word: int
    def __init__(self, utterance_id: _Optional[str] = ..., word: _Optional[int] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("session_id", "resume_sample", "last_seq")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_sample: int
    last_seq: int
    def __init__(self, session_id: _Optional[str] = ..., resume_sample: _Optional[int] = ..., last_seq: _Optional[int] = ...) -> None: ...

class AnswerPart(_message.Message):
    __slots__ = ("question_id", "question", "part")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    question: str
    part: _decoder_pb2.AskResponse
    def __init__(self, question_id: _Optional[str] = ..., question: _Optional[str] = ..., part: _Optional[_Union[_decoder_pb2.AskResponse, _Mapping]] = ...) -> None: ...

class ExpertStatus(_message.Message):
    __slots__ = ("expert", "is_available", "message")
    EXPERT_FIELD_NUMBER: _ClassVar[int]
    IS_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    expert: str
    is_available: bool
    message: str
    def __init__(self, expert: _Optional[str] = ..., is_available: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("received_sample", "resume_sample")
    RECEIVED_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    RESUME_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    received_sample: int
    resume_sample: int
    def __init__(self, received_sample: _Optional[int] = ..., resume_sample: _Optional[int] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("end_sample", "missing")
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    end_sample: int
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    def __init__(self, end_sample: _Optional[int] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("expert", "start_sample", "end_sample")
    EXPERT_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    expert: str
    start_sample: int
    end_sample: int
    def __init__(self, expert: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "unix_ms", "started", "partial", "utterance", "turn", "screen", "answer", "speaker_name", "expert_status", "progress", "ended", "speech")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    UTTERANCE_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    EXPERT_STATUS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SPEECH_FIELD_NUMBER: _ClassVar[int]
    seq: int
    unix_ms: int
    started: Started
    partial: _media_pb2.Transcript
    utterance: _media_pb2.Transcript
    turn: _media_pb2.SpeakerTurn
    screen: _media_pb2.ScreenState
    answer: AnswerPart
    speaker_name: _decoder_pb2.SpeakerName
    expert_status: ExpertStatus
    progress: Progress
    ended: Ended
    speech: _media_pb2.SpeechActivity
    def __init__(self, seq: _Optional[int] = ..., unix_ms: _Optional[int] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., partial: _Optional[_Union[_media_pb2.Transcript, _Mapping]] = ..., utterance: _Optional[_Union[_media_pb2.Transcript, _Mapping]] = ..., turn: _Optional[_Union[_media_pb2.SpeakerTurn, _Mapping]] = ..., screen: _Optional[_Union[_media_pb2.ScreenState, _Mapping]] = ..., answer: _Optional[_Union[AnswerPart, _Mapping]] = ..., speaker_name: _Optional[_Union[_decoder_pb2.SpeakerName, _Mapping]] = ..., expert_status: _Optional[_Union[ExpertStatus, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., speech: _Optional[_Union[_media_pb2.SpeechActivity, _Mapping]] = ...) -> None: ...

class LiveResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("session_id", "last_seq")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    last_seq: int
    def __init__(self, session_id: _Optional[str] = ..., last_seq: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("session_id", "question", "escalation", "schema")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    question: str
    escalation: _decoder_pb2.Escalation
    schema: str
    def __init__(self, session_id: _Optional[str] = ..., question: _Optional[str] = ..., escalation: _Optional[_Union[_decoder_pb2.Escalation, str]] = ..., schema: _Optional[str] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("part",)
    PART_FIELD_NUMBER: _ClassVar[int]
    part: _decoder_pb2.AskResponse
    def __init__(self, part: _Optional[_Union[_decoder_pb2.AskResponse, _Mapping]] = ...) -> None: ...

class SeeRequest(_message.Message):
    __slots__ = ("image", "tasks", "queries")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    tasks: _containers.RepeatedScalarFieldContainer[str]
    queries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, image: _Optional[bytes] = ..., tasks: _Optional[_Iterable[str]] = ..., queries: _Optional[_Iterable[str]] = ...) -> None: ...

class ExpertActivation(_message.Message):
    __slots__ = ("expert", "tasks", "parameters", "milliseconds", "bytes_read")
    EXPERT_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    expert: str
    tasks: _containers.RepeatedScalarFieldContainer[str]
    parameters: int
    milliseconds: float
    bytes_read: int
    def __init__(self, expert: _Optional[str] = ..., tasks: _Optional[_Iterable[str]] = ..., parameters: _Optional[int] = ..., milliseconds: _Optional[float] = ..., bytes_read: _Optional[int] = ...) -> None: ...

class SeeResponse(_message.Message):
    __slots__ = ("screen", "activation")
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    screen: _media_pb2.ScreenState
    activation: _containers.RepeatedCompositeFieldContainer[ExpertActivation]
    def __init__(self, screen: _Optional[_Union[_media_pb2.ScreenState, _Mapping]] = ..., activation: _Optional[_Iterable[_Union[ExpertActivation, _Mapping]]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SessionSummary(_message.Message):
    __slots__ = ("session_id", "title", "started_unix_ms", "end_sample", "language", "utterances", "is_live", "last_seq", "missing")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    UTTERANCES_FIELD_NUMBER: _ClassVar[int]
    IS_LIVE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    title: str
    started_unix_ms: int
    end_sample: int
    language: str
    utterances: int
    is_live: bool
    last_seq: int
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    def __init__(self, session_id: _Optional[str] = ..., title: _Optional[str] = ..., started_unix_ms: _Optional[int] = ..., end_sample: _Optional[int] = ..., language: _Optional[str] = ..., utterances: _Optional[int] = ..., is_live: _Optional[bool] = ..., last_seq: _Optional[int] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ...) -> None: ...

class ImportSessionRequest(_message.Message):
    __slots__ = ("file", "title", "language")
    FILE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    title: str
    language: str
    def __init__(self, file: _Optional[bytes] = ..., title: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class ImportSessionResponse(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: SessionSummary
    def __init__(self, summary: _Optional[_Union[SessionSummary, _Mapping]] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionSummary]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[SessionSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("summary", "event")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    summary: SessionSummary
    event: Event
    def __init__(self, summary: _Optional[_Union[SessionSummary, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class GetMinutesRequest(_message.Message):
    __slots__ = ("session_id", "format")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    format: str
    def __init__(self, session_id: _Optional[str] = ..., format: _Optional[str] = ...) -> None: ...

class GetMinutesResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionSpeaker(_message.Message):
    __slots__ = ("session_id", "speaker")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    speaker: str
    def __init__(self, session_id: _Optional[str] = ..., speaker: _Optional[str] = ...) -> None: ...

class AddVoiceRequest(_message.Message):
    __slots__ = ("name", "media", "speaker", "consent_by", "replace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    CONSENT_BY_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    media: bytes
    speaker: SessionSpeaker
    consent_by: str
    replace: bool
    def __init__(self, name: _Optional[str] = ..., media: _Optional[bytes] = ..., speaker: _Optional[_Union[SessionSpeaker, _Mapping]] = ..., consent_by: _Optional[str] = ..., replace: _Optional[bool] = ...) -> None: ...

class Voice(_message.Message):
    __slots__ = ("name", "speech_s", "consent_by", "consent_unix_ms", "space_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEECH_S_FIELD_NUMBER: _ClassVar[int]
    CONSENT_BY_FIELD_NUMBER: _ClassVar[int]
    CONSENT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    speech_s: float
    consent_by: str
    consent_unix_ms: int
    space_id: str
    def __init__(self, name: _Optional[str] = ..., speech_s: _Optional[float] = ..., consent_by: _Optional[str] = ..., consent_unix_ms: _Optional[int] = ..., space_id: _Optional[str] = ...) -> None: ...

class AddVoiceResponse(_message.Message):
    __slots__ = ("voice",)
    VOICE_FIELD_NUMBER: _ClassVar[int]
    voice: Voice
    def __init__(self, voice: _Optional[_Union[Voice, _Mapping]] = ...) -> None: ...

class ListVoicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVoicesResponse(_message.Message):
    __slots__ = ("voices",)
    VOICES_FIELD_NUMBER: _ClassVar[int]
    voices: _containers.RepeatedCompositeFieldContainer[Voice]
    def __init__(self, voices: _Optional[_Iterable[_Union[Voice, _Mapping]]] = ...) -> None: ...

class DeleteVoiceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteVoiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("service", "services")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    service: _expert_pb2.DescribeResponse
    services: _containers.RepeatedCompositeFieldContainer[_expert_pb2.DescribeResponse]
    def __init__(self, service: _Optional[_Union[_expert_pb2.DescribeResponse, _Mapping]] = ..., services: _Optional[_Iterable[_Union[_expert_pb2.DescribeResponse, _Mapping]]] = ...) -> None: ...
