from protos.expert.v1 import expert_pb2 as _expert_pb2
from protos.media.v1 import media_pb2 as _media_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Escalation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ESCALATION_UNSPECIFIED: _ClassVar[Escalation]
    ESCALATION_NEVER: _ClassVar[Escalation]
    ESCALATION_ASK: _ClassVar[Escalation]
    ESCALATION_ALLOWED: _ClassVar[Escalation]
ESCALATION_UNSPECIFIED: Escalation
ESCALATION_NEVER: Escalation
ESCALATION_ASK: Escalation
ESCALATION_ALLOWED: Escalation

class ObserveConfig(_message.Message):
    __slots__ = ("session_id", "reset", "escalation")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    reset: bool
    escalation: Escalation
    def __init__(self, session_id: _Optional[str] = ..., reset: _Optional[bool] = ..., escalation: _Optional[_Union[Escalation, str]] = ...) -> None: ...

class ObserveRequest(_message.Message):
    __slots__ = ("config", "percept", "token_span", "speaker_name", "mark")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PERCEPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SPAN_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    config: ObserveConfig
    percept: _media_pb2.Percept
    token_span: _media_pb2.TokenSpan
    speaker_name: SpeakerName
    mark: Mark
    def __init__(self, config: _Optional[_Union[ObserveConfig, _Mapping]] = ..., percept: _Optional[_Union[_media_pb2.Percept, _Mapping]] = ..., token_span: _Optional[_Union[_media_pb2.TokenSpan, _Mapping]] = ..., speaker_name: _Optional[_Union[SpeakerName, _Mapping]] = ..., mark: _Optional[_Union[Mark, _Mapping]] = ...) -> None: ...

class Mark(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SpeakerName(_message.Message):
    __slots__ = ("speaker", "name", "is_recognised", "how", "source_id", "confidence", "outlined")
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_RECOGNISED_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    OUTLINED_FIELD_NUMBER: _ClassVar[int]
    speaker: str
    name: str
    is_recognised: bool
    how: str
    source_id: str
    confidence: float
    outlined: _containers.RepeatedCompositeFieldContainer[OutlinedName]
    def __init__(self, speaker: _Optional[str] = ..., name: _Optional[str] = ..., is_recognised: _Optional[bool] = ..., how: _Optional[str] = ..., source_id: _Optional[str] = ..., confidence: _Optional[float] = ..., outlined: _Optional[_Iterable[_Union[OutlinedName, _Mapping]]] = ...) -> None: ...

class OutlinedName(_message.Message):
    __slots__ = ("source_id", "box", "frame_id", "start_sample")
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    box: _media_pb2.Box
    frame_id: str
    start_sample: int
    def __init__(self, source_id: _Optional[str] = ..., box: _Optional[_Union[_media_pb2.Box, _Mapping]] = ..., frame_id: _Optional[str] = ..., start_sample: _Optional[int] = ...) -> None: ...

class ObserveResponse(_message.Message):
    __slots__ = ("utterance", "context_terms", "speaker_name", "mark")
    UTTERANCE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TERMS_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    utterance: _media_pb2.Transcript
    context_terms: ContextTerms
    speaker_name: SpeakerName
    mark: Mark
    def __init__(self, utterance: _Optional[_Union[_media_pb2.Transcript, _Mapping]] = ..., context_terms: _Optional[_Union[ContextTerms, _Mapping]] = ..., speaker_name: _Optional[_Union[SpeakerName, _Mapping]] = ..., mark: _Optional[_Union[Mark, _Mapping]] = ...) -> None: ...

class ContextTerms(_message.Message):
    __slots__ = ("terms",)
    TERMS_FIELD_NUMBER: _ClassVar[int]
    terms: _containers.RepeatedCompositeFieldContainer[ContextTerm]
    def __init__(self, terms: _Optional[_Iterable[_Union[ContextTerm, _Mapping]]] = ...) -> None: ...

class ContextTerm(_message.Message):
    __slots__ = ("text", "weight", "source_id", "box", "frame_id", "is_everyday")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    IS_EVERYDAY_FIELD_NUMBER: _ClassVar[int]
    text: str
    weight: float
    source_id: str
    box: _media_pb2.Box
    frame_id: str
    is_everyday: bool
    def __init__(self, text: _Optional[str] = ..., weight: _Optional[float] = ..., source_id: _Optional[str] = ..., box: _Optional[_Union[_media_pb2.Box, _Mapping]] = ..., frame_id: _Optional[str] = ..., is_everyday: _Optional[bool] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("session_id", "question", "max_tokens", "escalation", "fields")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    question: str
    max_tokens: int
    escalation: Escalation
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, session_id: _Optional[str] = ..., question: _Optional[str] = ..., max_tokens: _Optional[int] = ..., escalation: _Optional[_Union[Escalation, str]] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("path", "question", "choices", "is_list")
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    IS_LIST_FIELD_NUMBER: _ClassVar[int]
    path: str
    question: str
    choices: _containers.RepeatedScalarFieldContainer[str]
    is_list: bool
    def __init__(self, path: _Optional[str] = ..., question: _Optional[str] = ..., choices: _Optional[_Iterable[str]] = ..., is_list: _Optional[bool] = ...) -> None: ...

class FieldAnswer(_message.Message):
    __slots__ = ("path", "evidence", "choices", "value", "abstained", "confidence")
    PATH_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    path: str
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    choices: _containers.RepeatedScalarFieldContainer[float]
    value: str
    abstained: bool
    confidence: float
    def __init__(self, path: _Optional[str] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., choices: _Optional[_Iterable[float]] = ..., value: _Optional[str] = ..., abstained: _Optional[bool] = ..., confidence: _Optional[float] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("evidence", "delta", "answer")
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    evidence: EvidenceList
    delta: str
    answer: Answer
    def __init__(self, evidence: _Optional[_Union[EvidenceList, _Mapping]] = ..., delta: _Optional[str] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ...) -> None: ...

class EvidenceList(_message.Message):
    __slots__ = ("evidence",)
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    def __init__(self, evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("kind", "text", "speaker", "start_sample", "end_sample", "box", "frame_id", "source_id", "score", "speaker_name", "words")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_NAME_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    text: str
    speaker: str
    start_sample: int
    end_sample: int
    box: _media_pb2.Box
    frame_id: str
    source_id: str
    score: float
    speaker_name: str
    words: str
    def __init__(self, kind: _Optional[str] = ..., text: _Optional[str] = ..., speaker: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., box: _Optional[_Union[_media_pb2.Box, _Mapping]] = ..., frame_id: _Optional[str] = ..., source_id: _Optional[str] = ..., score: _Optional[float] = ..., speaker_name: _Optional[str] = ..., words: _Optional[str] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("experts", "parameters", "first_evidence_ms", "first_token_ms", "total_ms", "context_tokens", "reason", "bytes_read", "route", "escalation")
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVIDENCE_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    experts: _containers.RepeatedScalarFieldContainer[str]
    parameters: int
    first_evidence_ms: float
    first_token_ms: float
    total_ms: float
    context_tokens: int
    reason: str
    bytes_read: int
    route: Route
    escalation: EscalationReport
    def __init__(self, experts: _Optional[_Iterable[str]] = ..., parameters: _Optional[int] = ..., first_evidence_ms: _Optional[float] = ..., first_token_ms: _Optional[float] = ..., total_ms: _Optional[float] = ..., context_tokens: _Optional[int] = ..., reason: _Optional[str] = ..., bytes_read: _Optional[int] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., escalation: _Optional[_Union[EscalationReport, _Mapping]] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("experts", "scope", "period", "start_sample", "end_sample", "speaker", "tier", "confidence")
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    experts: _containers.RepeatedScalarFieldContainer[str]
    scope: str
    period: str
    start_sample: int
    end_sample: int
    speaker: str
    tier: str
    confidence: float
    def __init__(self, experts: _Optional[_Iterable[str]] = ..., scope: _Optional[str] = ..., period: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., speaker: _Optional[str] = ..., tier: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class EscalationReport(_message.Message):
    __slots__ = ("outcome", "reason", "url", "bytes_sent", "tokens", "audit_id", "is_evidenced")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ID_FIELD_NUMBER: _ClassVar[int]
    IS_EVIDENCED_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    reason: str
    url: str
    bytes_sent: int
    tokens: int
    audit_id: str
    is_evidenced: bool
    def __init__(self, outcome: _Optional[str] = ..., reason: _Optional[str] = ..., url: _Optional[str] = ..., bytes_sent: _Optional[int] = ..., tokens: _Optional[int] = ..., audit_id: _Optional[str] = ..., is_evidenced: _Optional[bool] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("text", "abstained", "confidence", "evidence", "tier", "activation", "fields")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    abstained: bool
    confidence: float
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    tier: str
    activation: Activation
    fields: _containers.RepeatedCompositeFieldContainer[FieldAnswer]
    def __init__(self, text: _Optional[str] = ..., abstained: _Optional[bool] = ..., confidence: _Optional[float] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., tier: _Optional[str] = ..., activation: _Optional[_Union[Activation, _Mapping]] = ..., fields: _Optional[_Iterable[_Union[FieldAnswer, _Mapping]]] = ...) -> None: ...

class TopicsRequest(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lines: _Optional[_Iterable[str]] = ...) -> None: ...

class Topic(_message.Message):
    __slots__ = ("first", "end", "title", "title_line")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TITLE_LINE_FIELD_NUMBER: _ClassVar[int]
    first: int
    end: int
    title: str
    title_line: int
    def __init__(self, first: _Optional[int] = ..., end: _Optional[int] = ..., title: _Optional[str] = ..., title_line: _Optional[int] = ...) -> None: ...

class TopicsResponse(_message.Message):
    __slots__ = ("topics",)
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    topics: _containers.RepeatedCompositeFieldContainer[Topic]
    def __init__(self, topics: _Optional[_Iterable[_Union[Topic, _Mapping]]] = ...) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class ForgetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("service", "sessions", "dimension", "space_id")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    service: _expert_pb2.DescribeResponse
    sessions: int
    dimension: int
    space_id: str
    def __init__(self, service: _Optional[_Union[_expert_pb2.DescribeResponse, _Mapping]] = ..., sessions: _Optional[int] = ..., dimension: _Optional[int] = ..., space_id: _Optional[str] = ...) -> None: ...
