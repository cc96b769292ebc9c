"""Remembered voices: who is recognised, what is kept, and what is gone."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from protos.session.v1 import session_pb2 as pb
from services.gateway.enrolment import the_only_voice
from services.gateway.recognition import KEEP_SIMILARITY, MIN_SIMILARITY, MIN_SPEECH_S, Recogniser, whose
from services.gateway.store import Store
from services.gateway.voices import MAX_VOICES, KnownVoice, Voices
from services.runtime.errors import ConflictError, NotFoundError
from services.runtime.percept import Checkpoint, SpeakerTurn, SpeakerVoice
from services.runtime.stage import MediaError, OverloadedError

SPACE = "campplus-1"


def unit(angle: float) -> NDArray[np.float32]:
    """A direction in a plane of the space; two have the cosine of the difference."""
    vector = np.zeros(192, np.float32)
    vector[:2] = np.cos(angle), np.sin(angle)
    return vector


def known(name: str, angle: float, space_id: str = SPACE) -> KnownVoice:
    return KnownVoice(name, unit(angle), space_id, 10.0, name, 0)


def heard(similarity: float, speaker: str = "S1", speech_s: float = 10.0) -> SpeakerVoice:
    """A voice of this cosine to the direction of angle 0."""
    return SpeakerVoice(speaker, speech_s, tuple(unit(float(np.arccos(similarity))).tolist()), SPACE)


def files(folder: Path) -> list[Path]:
    """The database and what SQLite lays beside it."""
    return list(folder.glob("*.db*"))


@pytest.fixture
async def voices(tmp_path: Path) -> AsyncIterator[Voices]:
    opened = await Voices.open(tmp_path / "voices.db")
    yield opened
    await opened.close()


def test_a_voice_is_named_from_the_threshold_on_and_from_enough_speech() -> None:
    ada = [known("Ada", 0.0)]
    assert whose(heard(MIN_SIMILARITY + 0.01), ada) == "Ada"
    assert whose(heard(MIN_SIMILARITY - 0.01), ada) == ""
    assert whose(heard(0.99, speech_s=MIN_SPEECH_S - 0.1), ada) == ""
    assert whose(heard(0.99), []) == ""


def test_the_most_alike_of_several_is_named() -> None:
    assert whose(heard(1.0), [known("Bob", 0.5), known("Ada", 0.1), known("Eve", 0.7)]) == "Ada"


def test_a_voice_of_another_model_is_never_compared() -> None:
    assert whose(heard(1.0), [known("Ada", 0.0, "campplus-2")]) == ""


def test_a_name_is_kept_while_in_doubt_and_taken_back_when_it_is_wrong() -> None:
    recogniser, ada = Recogniser(), [known("Ada", 0.0)]
    assert recogniser.hear(heard(MIN_SIMILARITY + 0.1), ada) == "Ada"
    recogniser.name("S1", "Ada", is_recognised=True)
    assert recogniser.hear(heard(MIN_SIMILARITY + 0.1), ada) is None
    assert recogniser.hear(heard((MIN_SIMILARITY + KEEP_SIMILARITY) / 2), ada) is None
    assert recogniser.hear(heard(KEEP_SIMILARITY - 0.01), ada) == ""


def test_a_name_that_a_person_gave_is_never_changed() -> None:
    recogniser, ada = Recogniser(), [known("Ada", 0.0)]
    recogniser.name("S1", "Ada", is_recognised=True)
    recogniser.name("S1", "Grace", is_recognised=False)
    assert recogniser.hear(heard(1.0), ada) is None
    assert recogniser.review([]) == {}


def test_two_speakers_may_be_one_person() -> None:
    recogniser, ada = Recogniser(), [known("Ada", 0.0)]
    assert [recogniser.hear(heard(0.9, speaker), ada) for speaker in ("S1", "S2")] == ["Ada", "Ada"]


def test_whoever_was_heard_is_named_when_the_voice_is_added_and_loses_the_name_when_it_is_deleted() -> None:
    recogniser, ada = Recogniser(), [known("Ada", 0.0)]
    assert recogniser.hear(heard(1.0), []) is None
    assert recogniser.review(ada) == {"S1": "Ada"}
    recogniser.name("S1", "Ada", is_recognised=True)
    # Named before the gateway was started again, not heard since.
    recogniser.name("S2", "Ada", is_recognised=True)
    assert recogniser.review(ada) == {}
    assert recogniser.review([]) == {"S1": "", "S2": ""}


async def test_voices_outlive_the_process_and_only_their_owner_can_read_them(voices: Voices, tmp_path: Path) -> None:
    added = await voices.add("  Ada   Lovelace ", heard(1.0), "Ada, on the phone")
    again = await Voices.open(tmp_path / "voices.db")
    (kept,) = again.known
    await again.close()
    assert (kept.name, kept.space_id, kept.speech_s) == ("Ada Lovelace", SPACE, 10.0)
    assert (kept.consent_by, kept.consent_unix_ms) == ("Ada, on the phone", added.consent_unix_ms)
    assert np.array_equal(kept.embedding, unit(0.0))
    for file in files(tmp_path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", [Voices, Store])
async def test_a_file_that_others_could_read_is_closed_to_them(kind: type[Voices | Store], tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    path.touch(0o644)
    opened = await kind.open(path)
    for file in files(tmp_path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await opened.close()


async def test_nothing_of_a_deleted_voice_is_left_in_the_file(voices: Voices, tmp_path: Path) -> None:
    await voices.add("Ada Lovelace", heard(0.4), "Ada herself")
    embedding = next(iter(voices.known)).embedding.tobytes()
    assert embedding in (tmp_path / "voices.db").read_bytes()
    await voices.delete("ada lovelace")
    left = b"".join(file.read_bytes() for file in files(tmp_path))
    assert embedding not in left and b"Lovelace" not in left and b"herself" not in left
    assert not voices.known
    with pytest.raises(NotFoundError, match="no voice is remembered as 'Ada'"):
        await voices.delete("Ada")


async def test_a_replaced_voice_is_gone_too(voices: Voices, tmp_path: Path) -> None:
    await voices.add("Ada", heard(0.4), "Ada")
    first = next(iter(voices.known)).embedding.tobytes()
    with pytest.raises(ConflictError, match="'ada' already; replace it"):
        await voices.add("ada", heard(0.2), "Ada")
    await voices.add("ada", heard(0.2), "Ada", replace=True)
    assert first not in (tmp_path / "voices.db").read_bytes()
    assert [voice.name for voice in voices.known] == ["ada"]


async def test_a_voice_needs_a_name_a_consent_and_a_place(voices: Voices) -> None:
    for name in ("", "  ", "x" * 81):
        with pytest.raises(MediaError, match="must have 1 to 80"):
            voices.check(name, "Ada", replace=False)
    for consent in ("", " \n", "y" * 201):
        with pytest.raises(MediaError, match="say who agreed"):
            voices.check("Ada", consent, replace=False)
    for number in range(MAX_VOICES):
        await voices.add(f"Person {number}", heard(1.0), "them")
    with pytest.raises(OverloadedError, match="50 voices are remembered, which is the most"):
        voices.check("Ada", "Ada", replace=False)
    assert voices.check("Person 7", "them", replace=True) == "Person 7"


def turn(number: int, speaker: str, seconds: float) -> SpeakerTurn:
    return SpeakerTurn(f"turn-{number}", speaker, 0, int(seconds * 16_000))


def test_a_slip_of_the_segmentation_is_no_second_person() -> None:
    voice = heard(1.0)
    others = {"S1": voice, "S2": heard(0.2, "S2", 0.9)}
    assert the_only_voice([turn(0, "S1", 5.0), turn(1, "S2", 0.9)], others) is voice
    with pytest.raises(MediaError, match=r"2 people speak in the file \(5\.0 s and 3\.0 s\)"):
        the_only_voice([turn(0, "S1", 5.0), turn(1, "S2", 3.0)], others)


async def test_an_ended_session_keeps_nothing_that_tells_how_its_speakers_sound(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "sessions.db")
    session = await store.create("one", pb.LiveConfig())
    await store.save_checkpoint(session.id, "diarization", Checkpoint(16_000, b"voices"), 32_000)
    assert set(await store.checkpoints(session.id)) == {"diarization"}
    await store.append(session.id, pb.Event(seq=1, ended=pb.Ended(end_sample=32_000)), "ended")
    assert await store.checkpoints(session.id) == {}
    assert (await store.get(session.id)).received_sample == 32_000
    await store.close()


def test_a_name_from_words_gives_way_to_a_voice_and_to_a_person() -> None:
    recogniser = Recogniser()
    assert recogniser.tell("S1", "Priya") and not recogniser.tell("S1", "")
    recogniser.name("S1", "Priya", is_recognised=True, is_told=True)
    assert not recogniser.tell("S1", "Priya") and recogniser.tell("S1", "")
    recogniser.name("S1", "Priya Raman", is_recognised=True)
    assert not recogniser.tell("S1", "Priya")
    recogniser.name("S2", "", is_recognised=False)
    assert not recogniser.tell("S2", "Tom")


def test_a_name_from_words_is_not_taken_back_because_its_voice_is_unknown() -> None:
    recogniser = Recogniser()
    recogniser.name("S1", "Priya", is_recognised=True, is_told=True)
    assert recogniser.hear(SpeakerVoice("S1", 5.0, (1.0, 0.0), "space"), []) is None
    assert recogniser.review([]) == {}
