from protos.media.v1 import media_pb2 as _media_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PerceiveConfig(_message.Message):
    __slots__ = ("language", "tasks", "start_sample", "resume_state", "every_frame", "options", "queries", "skip_unreadable")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    RESUME_STATE_FIELD_NUMBER: _ClassVar[int]
    EVERY_FRAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    SKIP_UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    language: str
    tasks: _containers.RepeatedScalarFieldContainer[str]
    start_sample: int
    resume_state: bytes
    every_frame: bool
    options: _containers.ScalarMap[str, str]
    queries: _containers.RepeatedScalarFieldContainer[str]
    skip_unreadable: bool
    def __init__(self, language: _Optional[str] = ..., tasks: _Optional[_Iterable[str]] = ..., start_sample: _Optional[int] = ..., resume_state: _Optional[bytes] = ..., every_frame: _Optional[bool] = ..., options: _Optional[_Mapping[str, str]] = ..., queries: _Optional[_Iterable[str]] = ..., skip_unreadable: _Optional[bool] = ...) -> None: ...

class PerceiveUpdate(_message.Message):
    __slots__ = ("options",)
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    options: _containers.ScalarMap[str, str]
    def __init__(self, options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PerceiveRequest(_message.Message):
    __slots__ = ("config", "audio", "frame", "update")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    config: PerceiveConfig
    audio: _media_pb2.AudioChunk
    frame: _media_pb2.VideoFrame
    update: PerceiveUpdate
    def __init__(self, config: _Optional[_Union[PerceiveConfig, _Mapping]] = ..., audio: _Optional[_Union[_media_pb2.AudioChunk, _Mapping]] = ..., frame: _Optional[_Union[_media_pb2.VideoFrame, _Mapping]] = ..., update: _Optional[_Union[PerceiveUpdate, _Mapping]] = ...) -> None: ...

class PerceiveResponse(_message.Message):
    __slots__ = ("percept", "token_span", "unreadable")
    PERCEPT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SPAN_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    percept: _media_pb2.Percept
    token_span: _media_pb2.TokenSpan
    unreadable: UnreadableFrame
    def __init__(self, percept: _Optional[_Union[_media_pb2.Percept, _Mapping]] = ..., token_span: _Optional[_Union[_media_pb2.TokenSpan, _Mapping]] = ..., unreadable: _Optional[_Union[UnreadableFrame, _Mapping]] = ...) -> None: ...

class UnreadableFrame(_message.Message):
    __slots__ = ("frame_id", "start_sample", "why")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    frame_id: str
    start_sample: int
    why: str
    def __init__(self, frame_id: _Optional[str] = ..., start_sample: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelDescription(_message.Message):
    __slots__ = ("name", "version", "licence", "backend", "parameters", "is_loaded", "tasks", "precision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    IS_LOADED_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    licence: str
    backend: str
    parameters: int
    is_loaded: bool
    tasks: _containers.RepeatedScalarFieldContainer[str]
    precision: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., licence: _Optional[str] = ..., backend: _Optional[str] = ..., parameters: _Optional[int] = ..., is_loaded: _Optional[bool] = ..., tasks: _Optional[_Iterable[str]] = ..., precision: _Optional[str] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("service", "version", "models", "resident_bytes", "active_streams", "max_streams", "load")
    class LoadEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_STREAMS_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAMS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    service: str
    version: str
    models: _containers.RepeatedCompositeFieldContainer[ModelDescription]
    resident_bytes: int
    active_streams: int
    max_streams: int
    load: _containers.ScalarMap[str, float]
    def __init__(self, service: _Optional[str] = ..., version: _Optional[str] = ..., models: _Optional[_Iterable[_Union[ModelDescription, _Mapping]]] = ..., resident_bytes: _Optional[int] = ..., active_streams: _Optional[int] = ..., max_streams: _Optional[int] = ..., load: _Optional[_Mapping[str, float]] = ...) -> None: ...
