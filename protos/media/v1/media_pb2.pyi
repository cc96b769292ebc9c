from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AudioChunk(_message.Message):
    __slots__ = ("pcm", "start_sample")
    PCM_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    start_sample: int
    def __init__(self, pcm: _Optional[bytes] = ..., start_sample: _Optional[int] = ...) -> None: ...

class VideoFrame(_message.Message):
    __slots__ = ("image", "start_sample", "frame_id")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    start_sample: int
    frame_id: str
    def __init__(self, image: _Optional[bytes] = ..., start_sample: _Optional[int] = ..., frame_id: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("x0", "y0", "x1", "y1")
    X0_FIELD_NUMBER: _ClassVar[int]
    Y0_FIELD_NUMBER: _ClassVar[int]
    X1_FIELD_NUMBER: _ClassVar[int]
    Y1_FIELD_NUMBER: _ClassVar[int]
    x0: float
    y0: float
    x1: float
    y1: float
    def __init__(self, x0: _Optional[float] = ..., y0: _Optional[float] = ..., x1: _Optional[float] = ..., y1: _Optional[float] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("text", "start_sample", "end_sample", "confidence", "speaker", "correction")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_sample: int
    end_sample: int
    confidence: float
    speaker: str
    correction: Correction
    def __init__(self, text: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., confidence: _Optional[float] = ..., speaker: _Optional[str] = ..., correction: _Optional[_Union[Correction, _Mapping]] = ...) -> None: ...

class Correction(_message.Message):
    __slots__ = ("heard", "source_id", "box", "frame_id")
    HEARD_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    heard: str
    source_id: str
    box: Box
    frame_id: str
    def __init__(self, heard: _Optional[str] = ..., source_id: _Optional[str] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., frame_id: _Optional[str] = ...) -> None: ...

class Transcript(_message.Message):
    __slots__ = ("utterance_id", "revision", "is_final", "start_sample", "end_sample", "words", "stable_words", "language", "confidence", "speaker", "is_set_right")
    UTTERANCE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    STABLE_WORDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    IS_SET_RIGHT_FIELD_NUMBER: _ClassVar[int]
    utterance_id: str
    revision: int
    is_final: bool
    start_sample: int
    end_sample: int
    words: _containers.RepeatedCompositeFieldContainer[Word]
    stable_words: int
    language: str
    confidence: float
    speaker: str
    is_set_right: bool
    def __init__(self, utterance_id: _Optional[str] = ..., revision: _Optional[int] = ..., is_final: _Optional[bool] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., stable_words: _Optional[int] = ..., language: _Optional[str] = ..., confidence: _Optional[float] = ..., speaker: _Optional[str] = ..., is_set_right: _Optional[bool] = ...) -> None: ...

class SpeechActivity(_message.Message):
    __slots__ = ("event", "sample", "utterance_id")
    class Event(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EVENT_UNSPECIFIED: _ClassVar[SpeechActivity.Event]
        EVENT_START_OF_SPEECH: _ClassVar[SpeechActivity.Event]
        EVENT_END_OF_SPEECH: _ClassVar[SpeechActivity.Event]
        EVENT_SUPPRESSED: _ClassVar[SpeechActivity.Event]
    EVENT_UNSPECIFIED: SpeechActivity.Event
    EVENT_START_OF_SPEECH: SpeechActivity.Event
    EVENT_END_OF_SPEECH: SpeechActivity.Event
    EVENT_SUPPRESSED: SpeechActivity.Event
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    UTTERANCE_ID_FIELD_NUMBER: _ClassVar[int]
    event: SpeechActivity.Event
    sample: int
    utterance_id: str
    def __init__(self, event: _Optional[_Union[SpeechActivity.Event, str]] = ..., sample: _Optional[int] = ..., utterance_id: _Optional[str] = ...) -> None: ...

class SpeakerTurn(_message.Message):
    __slots__ = ("turn_id", "speaker", "start_sample", "end_sample", "confidence", "is_final")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    speaker: str
    start_sample: int
    end_sample: int
    confidence: float
    is_final: bool
    def __init__(self, turn_id: _Optional[str] = ..., speaker: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., confidence: _Optional[float] = ..., is_final: _Optional[bool] = ...) -> None: ...

class TextRegion(_message.Message):
    __slots__ = ("region_id", "text", "box", "confidence", "script", "kind")
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    region_id: str
    text: str
    box: Box
    confidence: float
    script: str
    kind: str
    def __init__(self, region_id: _Optional[str] = ..., text: _Optional[str] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., confidence: _Optional[float] = ..., script: _Optional[str] = ..., kind: _Optional[str] = ...) -> None: ...

class UiElement(_message.Message):
    __slots__ = ("element_id", "class_name", "box", "confidence", "text", "states")
    ELEMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    element_id: str
    class_name: str
    box: Box
    confidence: float
    text: str
    states: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, element_id: _Optional[str] = ..., class_name: _Optional[str] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., confidence: _Optional[float] = ..., text: _Optional[str] = ..., states: _Optional[_Iterable[str]] = ...) -> None: ...

class DetectedObject(_message.Message):
    __slots__ = ("class_name", "class_id", "box", "confidence", "object_id")
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_ID_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    class_name: str
    class_id: int
    box: Box
    confidence: float
    object_id: str
    def __init__(self, class_name: _Optional[str] = ..., class_id: _Optional[int] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., confidence: _Optional[float] = ..., object_id: _Optional[str] = ...) -> None: ...

class ScreenChange(_message.Message):
    __slots__ = ("kind", "region_ids", "box", "dx_px", "dy_px")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ScreenChange.Kind]
        KIND_APPEARED: _ClassVar[ScreenChange.Kind]
        KIND_CHANGED: _ClassVar[ScreenChange.Kind]
        KIND_SCROLLED: _ClassVar[ScreenChange.Kind]
        KIND_GONE: _ClassVar[ScreenChange.Kind]
    KIND_UNSPECIFIED: ScreenChange.Kind
    KIND_APPEARED: ScreenChange.Kind
    KIND_CHANGED: ScreenChange.Kind
    KIND_SCROLLED: ScreenChange.Kind
    KIND_GONE: ScreenChange.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    REGION_IDS_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    DX_PX_FIELD_NUMBER: _ClassVar[int]
    DY_PX_FIELD_NUMBER: _ClassVar[int]
    kind: ScreenChange.Kind
    region_ids: _containers.RepeatedScalarFieldContainer[str]
    box: Box
    dx_px: int
    dy_px: int
    def __init__(self, kind: _Optional[_Union[ScreenChange.Kind, str]] = ..., region_ids: _Optional[_Iterable[str]] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., dx_px: _Optional[int] = ..., dy_px: _Optional[int] = ...) -> None: ...

class QueryMatch(_message.Message):
    __slots__ = ("box", "score", "source", "name")
    BOX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    box: Box
    score: float
    source: str
    name: str
    def __init__(self, box: _Optional[_Union[Box, _Mapping]] = ..., score: _Optional[float] = ..., source: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class QueryAnswer(_message.Message):
    __slots__ = ("query", "coverage", "matches", "reason", "tasks")
    class Coverage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COVERAGE_UNSPECIFIED: _ClassVar[QueryAnswer.Coverage]
        COVERAGE_FOUND: _ClassVar[QueryAnswer.Coverage]
        COVERAGE_NOT_FOUND: _ClassVar[QueryAnswer.Coverage]
        COVERAGE_NOT_COVERED: _ClassVar[QueryAnswer.Coverage]
    COVERAGE_UNSPECIFIED: QueryAnswer.Coverage
    COVERAGE_FOUND: QueryAnswer.Coverage
    COVERAGE_NOT_FOUND: QueryAnswer.Coverage
    COVERAGE_NOT_COVERED: QueryAnswer.Coverage
    QUERY_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    query: str
    coverage: QueryAnswer.Coverage
    matches: _containers.RepeatedCompositeFieldContainer[QueryMatch]
    reason: str
    tasks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, query: _Optional[str] = ..., coverage: _Optional[_Union[QueryAnswer.Coverage, str]] = ..., matches: _Optional[_Iterable[_Union[QueryMatch, _Mapping]]] = ..., reason: _Optional[str] = ..., tasks: _Optional[_Iterable[str]] = ...) -> None: ...

class ScreenState(_message.Message):
    __slots__ = ("start_sample", "width_px", "height_px", "frame_id", "regions", "elements", "objects", "unavailable", "changes", "slide_id", "answers", "outlined", "is_partial")
    class UnavailableEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    SLIDE_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    OUTLINED_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    start_sample: int
    width_px: int
    height_px: int
    frame_id: str
    regions: _containers.RepeatedCompositeFieldContainer[TextRegion]
    elements: _containers.RepeatedCompositeFieldContainer[UiElement]
    objects: _containers.RepeatedCompositeFieldContainer[DetectedObject]
    unavailable: _containers.ScalarMap[str, str]
    changes: _containers.RepeatedCompositeFieldContainer[ScreenChange]
    slide_id: str
    answers: _containers.RepeatedCompositeFieldContainer[QueryAnswer]
    outlined: _containers.RepeatedCompositeFieldContainer[Box]
    is_partial: bool
    def __init__(self, start_sample: _Optional[int] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., frame_id: _Optional[str] = ..., regions: _Optional[_Iterable[_Union[TextRegion, _Mapping]]] = ..., elements: _Optional[_Iterable[_Union[UiElement, _Mapping]]] = ..., objects: _Optional[_Iterable[_Union[DetectedObject, _Mapping]]] = ..., unavailable: _Optional[_Mapping[str, str]] = ..., changes: _Optional[_Iterable[_Union[ScreenChange, _Mapping]]] = ..., slide_id: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[QueryAnswer, _Mapping]]] = ..., outlined: _Optional[_Iterable[_Union[Box, _Mapping]]] = ..., is_partial: _Optional[bool] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("resume_sample", "state")
    RESUME_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    resume_sample: int
    state: bytes
    def __init__(self, resume_sample: _Optional[int] = ..., state: _Optional[bytes] = ...) -> None: ...

class SpeakerVoice(_message.Message):
    __slots__ = ("speaker", "speech_s", "embedding", "space_id")
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    SPEECH_S_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    speaker: str
    speech_s: float
    embedding: _containers.RepeatedScalarFieldContainer[float]
    space_id: str
    def __init__(self, speaker: _Optional[str] = ..., speech_s: _Optional[float] = ..., embedding: _Optional[_Iterable[float]] = ..., space_id: _Optional[str] = ...) -> None: ...

class Percept(_message.Message):
    __slots__ = ("transcript", "turn", "screen", "checkpoint", "voice", "speech")
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    SPEECH_FIELD_NUMBER: _ClassVar[int]
    transcript: Transcript
    turn: SpeakerTurn
    screen: ScreenState
    checkpoint: Checkpoint
    voice: SpeakerVoice
    speech: SpeechActivity
    def __init__(self, transcript: _Optional[_Union[Transcript, _Mapping]] = ..., turn: _Optional[_Union[SpeakerTurn, _Mapping]] = ..., screen: _Optional[_Union[ScreenState, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., voice: _Optional[_Union[SpeakerVoice, _Mapping]] = ..., speech: _Optional[_Union[SpeechActivity, _Mapping]] = ...) -> None: ...

class TokenSpan(_message.Message):
    __slots__ = ("modality", "start_sample", "end_sample", "speaker", "box", "frame_id", "confidence", "replaces", "text", "embeddings", "alternatives")
    class Embeddings(_message.Message):
        __slots__ = ("values", "dtype", "n", "dimension", "space_id")
        VALUES_FIELD_NUMBER: _ClassVar[int]
        DTYPE_FIELD_NUMBER: _ClassVar[int]
        N_FIELD_NUMBER: _ClassVar[int]
        DIMENSION_FIELD_NUMBER: _ClassVar[int]
        SPACE_ID_FIELD_NUMBER: _ClassVar[int]
        values: bytes
        dtype: str
        n: int
        dimension: int
        space_id: str
        def __init__(self, values: _Optional[bytes] = ..., dtype: _Optional[str] = ..., n: _Optional[int] = ..., dimension: _Optional[int] = ..., space_id: _Optional[str] = ...) -> None: ...
    class Alternative(_message.Message):
        __slots__ = ("text", "log_probability")
        TEXT_FIELD_NUMBER: _ClassVar[int]
        LOG_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
        text: str
        log_probability: float
        def __init__(self, text: _Optional[str] = ..., log_probability: _Optional[float] = ...) -> None: ...
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    modality: str
    start_sample: int
    end_sample: int
    speaker: str
    box: Box
    frame_id: str
    confidence: float
    replaces: str
    text: str
    embeddings: TokenSpan.Embeddings
    alternatives: _containers.RepeatedCompositeFieldContainer[TokenSpan.Alternative]
    def __init__(self, modality: _Optional[str] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ..., speaker: _Optional[str] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., frame_id: _Optional[str] = ..., confidence: _Optional[float] = ..., replaces: _Optional[str] = ..., text: _Optional[str] = ..., embeddings: _Optional[_Union[TokenSpan.Embeddings, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[TokenSpan.Alternative, _Mapping]]] = ...) -> None: ...
