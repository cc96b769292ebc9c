"""Words that the screen corrected: where they were read, and how they are taken back."""

import pytest

from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.gateway.corrections import ScreenTerms, undone
from services.runtime import wire
from services.runtime.phrases import parse_phrases
from services.runtime.stage import MediaError
from tests.unit.gateway.conftest import Gateway

BOX = media_pb2.Box(x0=10, y0=20, x1=110, y1=40)


def _term(text: str, source: str = "r1", weight: float = 1.0, *, is_everyday: bool = False) -> decoder_pb2.ContextTerm:
    return decoder_pb2.ContextTerm(
        text=text, weight=weight, source_id=source, box=BOX, frame_id="f1", is_everyday=is_everyday
    )


def _said(*words: str | tuple[str, str]) -> media_pb2.Transcript:
    """Words, some of them with what was heard there."""
    made = []
    for i, word in enumerate(words):
        text, heard = word if isinstance(word, tuple) else (word, None)
        correction = None if heard is None else media_pb2.Correction(heard=heard)
        made.append(
            media_pb2.Word(
                text=text, start_sample=1_000 * i, end_sample=1_000 * (i + 1), speaker="S1", correction=correction
            )
        )
    return media_pb2.Transcript(utterance_id="u1", revision=1, is_final=True, words=made, stable_words=len(made))


def test_the_recogniser_listens_for_rare_words_and_is_told_of_the_others() -> None:
    terms = ScreenTerms()
    terms.take([_term("Halcyon", weight=0.5), _term("Raman"), _term("shop boy", is_everyday=True)])
    options = terms.options()
    assert [(p.text, p.weight) for p in parse_phrases(options["screen_rare"])] == [("Halcyon", 0.5), ("Raman", 1.0)]
    assert [p.text for p in parse_phrases(options["screen_seen"])] == ["shop boy"]
    terms.take([])
    assert terms.options() == {"screen_rare": "", "screen_seen": ""}


def test_a_correction_says_where_its_phrase_was_read_even_when_that_is_gone_by_now() -> None:
    terms = ScreenTerms()
    terms.take([_term("al-Makan", "r7")])
    terms.take([])
    said = _said("quoth", ("Al", "Almacan."), ("Makan.", ""), ("himself", "herself"))
    terms.locate(said)
    assert [word.correction.source_id for word in said.words] == ["", "r7", "r7", ""]
    assert said.words[2].correction.box == BOX and not said.words[3].correction.HasField("box")


def test_undo_puts_back_all_of_a_phrase_from_any_of_its_words() -> None:
    said = _said("quoth", ("Zau", "Sow all"), ("Makan.", ""), ("himself", "herself"))
    for word in (1, 2):
        back = undone(said, word)
        assert [w.text for w in back.words] == ["quoth", "Sow", "all", "himself"]
        assert [(w.start_sample, w.end_sample) for w in back.words][1:3] == [(1_000, 2_000), (2_000, 3_000)]
        assert (back.revision, back.stable_words, back.words[1].speaker) == (2, 4, "S1")
        assert back.words[3].HasField("correction")


@pytest.mark.parametrize("word", [0, 4, 10_000])
def test_only_a_correction_is_taken_back(word: int) -> None:
    with pytest.raises(MediaError, match=f"word {word} of utterance 'u1' is no correction"):
        undone(_said("quoth", ("Zau", "Sow all"), ("Makan.", ""), ("himself", "herself")), word)


async def test_what_was_put_back_stays_when_the_gateway_begins_anew_and_recognition_repeats_itself(
    gateway: Gateway,
) -> None:
    said = _said("quoth", ("Zau", "Sow all"))
    stored = await gateway.sessions.store.create("cut off", pb.LiveConfig(experts=["asr"]))
    await (await gateway.sessions.feed(stored.id)).append(pb.Event(utterance=said), said.utterance_id)
    await gateway.sessions.undo(stored.id, said.utterance_id, 1)
    session = await gateway.sessions.open(pb.LiveConfig(session_id=stored.id))
    for revision in (1, 2, 3):
        said.revision = revision
        await session._on_percept("asr", wire.from_proto(media_pb2.Percept(transcript=said)))
    kept = [event.utterance async for event in session.feed.history()]
    assert [" ".join(word.text for word in one.words) for one in kept] == ["quoth Zau", "quoth Sow all"]
