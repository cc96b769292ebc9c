"""Percepts between plain values and protobuf, both ways; nothing else knows both."""

from protos.expert.v1 import expert_pb2
from protos.media.v1 import media_pb2 as pb
from services.runtime.percept import (
    BoxXyxy,
    Checkpoint,
    Correction,
    Coverage,
    DetectedObject,
    Percept,
    QueryAnswer,
    QueryMatch,
    ScreenChange,
    ScreenChangeKind,
    ScreenState,
    SpeakerTurn,
    SpeakerVoice,
    SpeechActivity,
    SpeechEvent,
    TextRegion,
    TokenSpan,
    Transcript,
    UiElement,
    UnreadableFrame,
    Word,
)

# A kind that is not known here is left out: a newer service may tell more.
_CHANGE_KINDS = {pb.ScreenChange.Kind.Value(f"KIND_{kind.name}"): kind for kind in ScreenChangeKind}
_COVERAGES = {pb.QueryAnswer.Coverage.Value(f"COVERAGE_{coverage.name}"): coverage for coverage in Coverage}


def to_response(percept: Percept) -> expert_pb2.PerceiveResponse:
    """Wrap one result of an expert."""
    if isinstance(percept, TokenSpan):
        return expert_pb2.PerceiveResponse(token_span=span_to_proto(percept))
    if isinstance(percept, UnreadableFrame):
        refused = expert_pb2.UnreadableFrame(
            frame_id=percept.frame_id, start_sample=percept.start_sample, why=percept.why
        )
        return expert_pb2.PerceiveResponse(unreadable=refused)
    return expert_pb2.PerceiveResponse(percept=to_proto(percept))


def from_response(message: expert_pb2.PerceiveResponse) -> Percept:
    """Unwrap one result. Raises ValueError when none is set, or a token span has no embeddings."""
    if message.HasField("token_span"):
        return span_from_proto(message.token_span)
    if message.HasField("unreadable"):
        refused = message.unreadable
        return UnreadableFrame(refused.frame_id, refused.start_sample, refused.why)
    return from_proto(message.percept)


def span_to_proto(value: TokenSpan) -> pb.TokenSpan:
    """Dataclass to message."""
    return pb.TokenSpan(
        modality=value.modality,
        start_sample=value.start_sample,
        end_sample=value.end_sample,
        box=None if value.box is None else box_to_proto(value.box),
        frame_id=value.frame_id,
        replaces=value.source_id,
        embeddings=pb.TokenSpan.Embeddings(
            values=value.values, dtype="float16", n=value.rows, dimension=value.dimension, space_id=value.space_id
        ),
    )


def span_from_proto(message: pb.TokenSpan) -> TokenSpan:
    """Message to dataclass. Raises ValueError for a span without float16 embeddings."""
    payload = message.embeddings
    if payload.dtype != "float16" or payload.dimension < 1:
        raise ValueError(f"a token span has {payload.dtype!r} x {payload.dimension}, must have float16 embeddings")
    return TokenSpan(
        message.modality,
        message.replaces,
        message.start_sample,
        message.end_sample,
        payload.space_id,
        payload.dimension,
        payload.values,
        box_from_proto(message.box) if message.HasField("box") else None,
        message.frame_id,
    )


def to_proto(percept: Percept) -> pb.Percept:
    """Wrap one percept for the wire. Raises ValueError for what goes beside percepts."""
    match percept:
        case Transcript():
            return pb.Percept(transcript=transcript_to_proto(percept))
        case SpeechActivity():
            return pb.Percept(speech=speech_to_proto(percept))
        case SpeakerTurn():
            return pb.Percept(turn=turn_to_proto(percept))
        case SpeakerVoice():
            return pb.Percept(voice=voice_to_proto(percept))
        case ScreenState():
            return pb.Percept(screen=screen_to_proto(percept))
        case Checkpoint():
            return pb.Percept(checkpoint=pb.Checkpoint(resume_sample=percept.resume_sample, state=percept.state))
        case TokenSpan() | UnreadableFrame():
            raise ValueError(f"{type(percept).__name__} goes beside percepts, not into one: use to_response")


def from_proto(message: pb.Percept) -> Percept:
    """Unwrap one percept. Raises ValueError when none is set."""
    match message.WhichOneof("percept"):
        case "transcript":
            return transcript_from_proto(message.transcript)
        case "speech":
            return speech_from_proto(message.speech)
        case "turn":
            return turn_from_proto(message.turn)
        case "voice":
            return voice_from_proto(message.voice)
        case "screen":
            return screen_from_proto(message.screen)
        case "checkpoint":
            return Checkpoint(message.checkpoint.resume_sample, message.checkpoint.state)
        case _:
            raise ValueError("a percept must hold a transcript, speech, a turn, a voice, a screen or a checkpoint")


def transcript_to_proto(value: Transcript) -> pb.Transcript:
    """Dataclass to message."""
    return pb.Transcript(
        utterance_id=value.utterance_id,
        revision=value.revision,
        is_final=value.is_final,
        start_sample=value.start_sample,
        end_sample=value.end_sample,
        words=[
            pb.Word(
                text=word.text,
                start_sample=word.start_sample,
                end_sample=word.end_sample,
                confidence=word.confidence,
                speaker=word.speaker,
                correction=None if word.correction is None else correction_to_proto(word.correction),
            )
            for word in value.words
        ],
        stable_words=value.stable_words,
        language=value.language,
        confidence=value.confidence,
        speaker=value.speaker,
    )


def transcript_from_proto(message: pb.Transcript) -> Transcript:
    """Message to dataclass."""
    return Transcript(
        utterance_id=message.utterance_id,
        is_final=message.is_final,
        start_sample=message.start_sample,
        end_sample=message.end_sample,
        words=tuple(map(_word, message.words)),
        stable_words=message.stable_words,
        language=message.language,
        confidence=_confidence(message),
        revision=message.revision,
        speaker=message.speaker,
    )


def _word(message: pb.Word) -> Word:
    correction = correction_from_proto(message.correction) if message.HasField("correction") else None
    return Word(
        message.text, message.start_sample, message.end_sample, _confidence(message), message.speaker, correction
    )


def correction_to_proto(value: Correction) -> pb.Correction:
    """Dataclass to message."""
    return pb.Correction(
        heard=value.heard,
        source_id=value.source_id,
        box=None if value.box is None else box_to_proto(value.box),
        frame_id=value.frame_id,
    )


def correction_from_proto(message: pb.Correction) -> Correction:
    """Message to dataclass."""
    box = box_from_proto(message.box) if message.HasField("box") else None
    return Correction(message.heard, message.source_id, box, message.frame_id)


def speech_to_proto(value: SpeechActivity) -> pb.SpeechActivity:
    """Dataclass to message."""
    return pb.SpeechActivity(
        event=f"EVENT_{value.event.name}",
        sample=value.sample,
        utterance_id=value.utterance_id,
    )


def speech_from_proto(message: pb.SpeechActivity) -> SpeechActivity:
    """Message to dataclass. Raises ValueError for an event that is not known here."""
    names = {number: name.removeprefix("EVENT_") for name, number in pb.SpeechActivity.Event.items()}
    if message.event not in names or names[message.event] not in SpeechEvent.__members__:
        raise ValueError(f"speech event is {message.event}, must be one of {', '.join(SpeechEvent.__members__)}")
    return SpeechActivity(SpeechEvent[names[message.event]], message.sample, message.utterance_id)


def turn_to_proto(value: SpeakerTurn) -> pb.SpeakerTurn:
    """Dataclass to message."""
    return pb.SpeakerTurn(
        turn_id=value.turn_id,
        speaker=value.speaker,
        start_sample=value.start_sample,
        end_sample=value.end_sample,
        confidence=value.confidence,
        is_final=value.is_final,
    )


def turn_from_proto(message: pb.SpeakerTurn) -> SpeakerTurn:
    """Message to dataclass."""
    return SpeakerTurn(
        message.turn_id,
        message.speaker,
        message.start_sample,
        message.end_sample,
        _confidence(message),
        message.is_final,
    )


def voice_to_proto(value: SpeakerVoice) -> pb.SpeakerVoice:
    """Dataclass to message."""
    return pb.SpeakerVoice(
        speaker=value.speaker, speech_s=value.speech_s, embedding=value.embedding, space_id=value.space_id
    )


def voice_from_proto(message: pb.SpeakerVoice) -> SpeakerVoice:
    """Message to dataclass."""
    return SpeakerVoice(message.speaker, message.speech_s, tuple(message.embedding), message.space_id)


def screen_to_proto(value: ScreenState) -> pb.ScreenState:
    """Dataclass to message."""
    return pb.ScreenState(
        start_sample=value.start_sample,
        width_px=value.width_px,
        height_px=value.height_px,
        frame_id=value.frame_id,
        regions=[
            pb.TextRegion(
                region_id=region.region_id,
                text=region.text,
                box=box_to_proto(region.box),
                confidence=region.confidence,
                script=region.script,
                kind=region.kind,
            )
            for region in value.regions
        ],
        elements=[
            pb.UiElement(
                element_id=element.element_id,
                class_name=element.class_name,
                box=box_to_proto(element.box),
                confidence=element.confidence,
                text=element.text,
                states=element.states,
            )
            for element in value.elements
        ],
        objects=[
            pb.DetectedObject(
                class_name=thing.class_name,
                class_id=thing.class_id,
                box=box_to_proto(thing.box),
                confidence=thing.confidence,
                object_id=thing.object_id,
            )
            for thing in value.objects
        ],
        unavailable=value.unavailable,
        changes=[
            pb.ScreenChange(
                kind=f"KIND_{change.kind.name}",
                region_ids=change.region_ids,
                box=box_to_proto(change.box),
                dx_px=change.dx_px,
                dy_px=change.dy_px,
            )
            for change in value.changes
        ],
        slide_id=value.slide_id,
        answers=[
            pb.QueryAnswer(
                query=answer.query,
                coverage=f"COVERAGE_{answer.coverage.name}",
                matches=[
                    pb.QueryMatch(box=box_to_proto(match.box), score=match.score, source=match.source, name=match.name)
                    for match in answer.matches
                ],
                reason=answer.reason,
                tasks=answer.tasks,
            )
            for answer in value.answers
        ],
        outlined=[box_to_proto(box) for box in value.outlined],
        is_partial=value.is_partial,
    )


def screen_from_proto(message: pb.ScreenState) -> ScreenState:
    """Message to dataclass."""
    return ScreenState(
        start_sample=message.start_sample,
        width_px=message.width_px,
        height_px=message.height_px,
        frame_id=message.frame_id,
        regions=tuple(
            TextRegion(r.region_id, r.text, box_from_proto(r.box), _confidence(r), r.script, r.kind)
            for r in message.regions
        ),
        elements=tuple(
            UiElement(e.element_id, e.class_name, box_from_proto(e.box), _confidence(e), e.text, tuple(e.states))
            for e in message.elements
        ),
        objects=tuple(
            DetectedObject(o.class_name, o.class_id, box_from_proto(o.box), _confidence(o), o.object_id)
            for o in message.objects
        ),
        unavailable=dict(message.unavailable),
        changes=tuple(
            ScreenChange(
                _CHANGE_KINDS[change.kind],
                tuple(change.region_ids),
                box_from_proto(change.box),
                change.dx_px,
                change.dy_px,
            )
            for change in message.changes
            if change.kind in _CHANGE_KINDS
        ),
        slide_id=message.slide_id,
        answers=tuple(
            QueryAnswer(
                answer.query,
                _COVERAGES[answer.coverage],
                tuple(QueryMatch(box_from_proto(m.box), m.score, m.source, m.name) for m in answer.matches),
                answer.reason,
                tuple(answer.tasks),
            )
            for answer in message.answers
            if answer.coverage in _COVERAGES
        ),
        outlined=tuple(map(box_from_proto, message.outlined)),
        is_partial=message.is_partial,
    )


def box_to_proto(box: BoxXyxy) -> pb.Box:
    """Xyxy tuple to message."""
    return pb.Box(x0=box[0], y0=box[1], x1=box[2], y1=box[3])


def box_from_proto(box: pb.Box) -> BoxXyxy:
    """Message to xyxy tuple."""
    return (box.x0, box.y0, box.x1, box.y1)


def _confidence(
    message: pb.Word | pb.Transcript | pb.SpeakerTurn | pb.TextRegion | pb.UiElement | pb.DetectedObject,
) -> float | None:
    return message.confidence if message.HasField("confidence") else None
