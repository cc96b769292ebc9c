"""Rules of expected phrases: what Whisper is told, what it is believed, from when on."""

from dataclasses import replace

import av
import numpy as np
import pytest

from services.asr.phrases import MAX_PROMPT_TOKENS, PhraseBook, likeness, phonetic_key
from services.asr.service import AsrExpert, new_expert
from services.runtime.percept import SAMPLE_RATE, Checkpoint, Word
from services.runtime.phrases import MAX_PHRASES, parse_phrases
from services.runtime.stage import MediaError, StageConfig
from tests.conftest import DATA
from tests.unit.asr.conftest import Samples, Transcribe
from tests.unit.asr.test_stage import finals
from tools.demo import SAMPLES


def _words(text: str, length: int = 8_000) -> list[Word]:
    return [Word(t, i * length, (i + 1) * length) for i, t in enumerate(text.split())]


def _merged(phrases: str, heard: str, prompted: str) -> str:
    words = PhraseBook(parse_phrases(phrases)).merge(_words(heard), _words(prompted, 7_000))
    edges = [edge for word in words for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges) and all(word.start_sample < word.end_sample for word in words)
    assert edges[-1] == 8_000 * len(heard.split())
    return " ".join(word.text for word in words)


@pytest.mark.parametrize(
    "one,other",
    [("Knight", "night"), ("phish", "fish"), ("Zoë", "zoe"), ("quay", "kay"), ("tinker's dam", "tinkersdam")],
)
def test_words_that_sound_the_same_share_a_key(one: str, other: str) -> None:
    assert phonetic_key(one) == phonetic_key(other)


def test_likeness_orders_what_sounds_alike_before_what_does_not() -> None:
    assert likeness("harshly", "Harshly!") == 1
    order = [likeness("Kubernetes", other) for other in ("cooper netties", "the cookies", "moon")]
    assert order == sorted(order, reverse=True)
    assert likeness("", "") == 1 and likeness("a", "") == 0


def test_the_likest_phrases_stand_last_in_the_prompt_and_unlike_ones_do_not() -> None:
    book = PhraseBook(parse_phrases("volcano\nKubernetes\nPriya Raman"))
    prompt = book.prompt("we asked priya rahman about cooper netties".split(), lambda text: 3)
    assert prompt == "Kubernetes, Priya Raman"
    assert book.prompt("of it".split(), lambda text: 3) == ""
    assert book.prompt([], lambda text: 3) == ""


def test_a_prompt_never_takes_more_tokens_than_its_share(expert: AsrExpert) -> None:
    whisper = expert.whisper
    assert whisper is not None
    book = PhraseBook(parse_phrases("\n".join(f"Kubernetes{i}" for i in range(MAX_PHRASES))))
    prompt = book.prompt(["Kubernetes7"], whisper.count_tokens)
    assert MAX_PROMPT_TOKENS - 20 < whisper.count_tokens(" " + prompt) <= MAX_PROMPT_TOKENS
    assert prompt.endswith("Kubernetes7")


def test_weight_decides_between_phrases_alike() -> None:
    book = PhraseBook(parse_phrases("Ramon\nRaman\t3"))
    assert book.prompt(["ramen"], lambda text: MAX_PROMPT_TOKENS) == "Raman"


def test_only_listed_phrases_come_from_the_prompted_reading() -> None:
    heard = "we deployed it on cooper netties and asked pria rahman again"
    prompted = "he employed it on Kubernetes, and asked Priya Raman's agent"
    assert (
        _merged("Kubernetes\nPriya Raman", heard, prompted)
        == "we deployed it on Kubernetes and asked Priya Raman's again"
    )


def _chosen(seen: str, heard: str, other: str, phrases: str = "") -> str:
    book = PhraseBook(parse_phrases(phrases), parse_phrases(seen))
    return " ".join(word.text for word in book.choose(_words(heard), _words(other, 7_000)))


def test_of_two_readings_the_one_with_words_of_the_screen_is_taken() -> None:
    heard, other = (
        "his statement of having been a shock boy said mister hell",
        "his stated of having been a shop-boy said mister Hale",
    )
    assert _chosen("shop boy\nHale", heard, other) == "his statement of having been a shop-boy said mister Hale"
    assert _chosen("", heard, other, "Hale") == "his statement of having been a shock boy said mister Hale"


def test_the_screen_brings_in_no_word_that_nobody_heard() -> None:
    assert _chosen("shop boy", "been a shock boy", "been a chop buoy") == "been a shock boy"
    # also not one that stands elsewhere, nor one in the place of another word that it shows
    assert _chosen("lobster", "a pound of butter", "lobster a pound of butter") == "a pound of butter"
    assert _chosen("pound\npond", "a pound of it", "a pond of it") == "a pound of it"


def test_a_phrase_that_nothing_sounds_like_is_not_believed() -> None:
    assert _merged("Kubernetes", "so that is all", "so that is all Kubernetes") == "so that is all"
    assert _merged("Kubernetes", "so that is all", "so Kubernetes is all") == "so that is all"
    assert _merged("Kubernetes", "so that is all", "Kubernetes, Kubernetes") == "so that is all"


def test_a_listed_phrase_is_not_replaced_by_another() -> None:
    assert _merged("Raman\nRamon", "call Raman now", "call Ramon now") == "call Raman now"


def test_a_phrase_tells_what_it_took_the_place_of() -> None:
    book = PhraseBook(parse_phrases("Priya Raman"))
    merged = book.merge(_words("call free a Roman now"), _words("call Priya Raman now", 7_000))
    heard = [(w.text, w.correction and w.correction.heard) for w in merged]
    assert heard == [("call", None), ("Priya", "free a Roman"), ("Raman", ""), ("now", None)]


def test_readings_that_agree_stay_as_they_are() -> None:
    assert _merged("Raman", "Call Raman, now.", "call raman now") == "Call Raman, now."


def test_punctuation_after_a_phrase_is_that_of_the_first_reading() -> None:
    assert _merged("Kubernetes", "on cooper netties. Then", "on Kubernetes, then") == "on Kubernetes. Then"


def test_phrases_are_found_in_scripts_without_spaces() -> None:
    assert _merged("東京駅", "私 は 東 京 液 へ", "私 は 東 京 駅 へ") == "私 は 東 京 駅 へ"


@pytest.fixture(scope="session")
def name_spoken() -> Samples:
    """An utterance whose name neither recogniser knows: "Tell me what happened, quoth Zau al-Makan."."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        parts = [frame.to_ndarray() for frame in file.decode(audio=0)]
    samples = np.concatenate(parts, axis=1)[0].astype(np.float32) / 32_768
    return samples[5 * SAMPLE_RATE : 9 * SAMPLE_RATE]


@pytest.fixture(scope="session")
def sample_meeting() -> Samples:
    """The first 36 s of the sample meeting."""
    with av.open(str(SAMPLES / "meeting.mkv")) as file:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        parts = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts)[: 36 * SAMPLE_RATE]


PHRASES = {"second_pass": "whisper", "partials": "off", "phrases": "account of himself\nunderstanding"}


@pytest.mark.parametrize("pieces", [(160,), (1_000_000,)])
def test_with_phrases_results_do_not_depend_on_chunk_size(
    transcribe: Transcribe, speech: Samples, pieces: tuple[int, ...]
) -> None:
    assert transcribe(speech, pieces=pieces, options=PHRASES) == transcribe(speech, options=PHRASES)


def test_replay_from_any_checkpoint_with_phrases_gives_the_same_finals(transcribe: Transcribe, speech: Samples) -> None:
    pause = np.zeros(round(2.5 * SAMPLE_RATE), np.float32)
    talk = np.concatenate([speech, pause, speech, pause])
    said = transcribe(talk, options=PHRASES)
    checkpoints = [(i, p) for i, p in enumerate(said) if isinstance(p, Checkpoint)]
    assert len(checkpoints) >= 2
    for i, checkpoint in checkpoints:
        again = transcribe(
            talk[checkpoint.resume_sample :],
            start_sample=checkpoint.resume_sample,
            resume_state=checkpoint.state,
            options=PHRASES,
        )
        assert finals(again) == finals(said[i:])


def test_english_that_is_pinned_gets_the_second_pass_when_there_are_phrases(
    transcribe: Transcribe, name_spoken: Samples
) -> None:
    options = {"partials": "off"}
    (plain,) = finals(transcribe(name_spoken, options=options))
    first, second = finals(transcribe(name_spoken, options=options | {"phrases": "Zau\nMakan"}))
    assert first == plain and "Makan" not in first.text
    assert (second.utterance_id, second.revision) == (first.utterance_id, 1)
    assert second.text.endswith("Makan.")


def test_phrases_that_are_not_said_change_nothing(transcribe: Transcribe, speech: Samples) -> None:
    options = {"second_pass": "whisper", "partials": "off"}
    unsaid = options | {"phrases": "\n".join(f"Kubernetes{i}" for i in range(MAX_PHRASES))}
    assert transcribe(speech, options=unsaid) == transcribe(speech, options=options)


def test_without_a_second_pass_phrases_do_not_load_whisper(speech: Samples) -> None:
    alone = new_expert()
    options = {"second_pass": "off", "phrases": "account"}
    stage = alone.open_stage(StageConfig(language="en", options=options))
    assert finals([*stage.push_audio(speech), *stage.flush()])
    assert [m.is_loaded for m in alone.models() if m.name == "whisper-base"] == [False]


def _snapped(phrases: str, heard: str, confidence: float) -> str:
    words = [replace(word, confidence=confidence) for word in _words(heard)]
    snapped = PhraseBook(parse_phrases(phrases)).snap(words)
    edges = [edge for word in snapped for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges) and (edges[0], edges[-1]) == (0, 8_000 * len(words))
    return " ".join(word.text for word in snapped)


@pytest.mark.parametrize("seen,said", [("Hale", "Hale"), ("shop boy", "shop-boy")])
def test_what_only_an_earlier_or_the_other_reading_heard_is_taken_when_the_screen_shows_it(
    seen: str, said: str, transcribe: Transcribe, sample_meeting: Samples
) -> None:
    options = {"second_pass": "whisper", "partials": "off", "stop_history_eou": "256"}
    readings = (finals(transcribe(sample_meeting, options=each)) for each in (options, options | {"screen_seen": seen}))
    without, shown = (" ".join({final.utterance_id: final.text for final in each}.values()) for each in readings)
    assert said not in without and said in shown


def test_unsure_words_become_the_phrase_they_sound_like() -> None:
    phrases = "crayfish\nKubernetes\nPriya Raman"
    assert _snapped(phrases, "the Craiffish, however", 0.5) == "the crayfish, however"
    assert _snapped(phrases, "on cuber netes again", 0.5) == "on Kubernetes again"
    assert _snapped(phrases, "ask Pria Rahman.", 0.5) == "ask Priya Raman."


def test_words_that_the_recogniser_is_sure_of_stay() -> None:
    assert _snapped("crayfish", "the craiffish however", 0.9) == "the craiffish however"


@pytest.mark.parametrize("phrase,heard", [("pint", "a pound of"), ("Willie", "he will go"), ("volcano", "the vulture")])
def test_other_words_are_not_taken_for_a_phrase(phrase: str, heard: str) -> None:
    assert _snapped(phrase, heard, 0.3) == heard


def test_a_phrase_that_was_heard_is_not_snapped_to_another() -> None:
    assert _snapped("crayfish\ncrayfisher", "the crayfish there", 0.3) == "the crayfish there"


def test_phrases_that_change_in_mid_stream_hold_from_then_on(expert: AsrExpert, name_spoken: Samples) -> None:
    options = {"partials": "off"}
    pause = np.zeros(6 * SAMPLE_RATE, np.float32)
    stage = expert.open_stage(StageConfig("en", options=options))
    before = finals([*stage.push_audio(np.concatenate([name_spoken, pause]))])
    stage.update({"phrases": "Zau\nMakan"})
    during = finals([*stage.push_audio(np.concatenate([name_spoken, pause]))])
    stage.update({"phrases": ""})
    after = finals([*stage.push_audio(name_spoken), *stage.flush()])
    assert ["Makan" in final.text for final in (before[-1], during[-1], after[-1])] == [False, True, False]


@pytest.mark.parametrize(
    "update,sentence",
    [({"partials": "off"}, "cannot change in mid-stream"), ({"phrases": "a\tb"}, "weight 'b'")],
)
def test_other_changes_in_mid_stream_are_refused(expert: AsrExpert, update: dict[str, str], sentence: str) -> None:
    stage = expert.open_stage(StageConfig("en"))
    with pytest.raises(MediaError, match=sentence):
        stage.update(update)
