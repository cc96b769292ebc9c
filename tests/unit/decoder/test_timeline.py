from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.decoder.timeline import MAX_UTTERANCES, Timeline, fuse
from services.runtime.percept import ScreenState, SpeakerTurn, TextRegion, Transcript, Word

S = 16_000


def utterance(name: str, start: float, *words: str, revision: int = 0) -> Transcript:
    """Half a second a word."""
    begin = int(start * S)
    spoken = tuple(Word(w, begin + i * S // 2, begin + (i + 1) * S // 2) for i, w in enumerate(words))
    return Transcript(name, True, begin, begin + len(words) * S // 2, spoken, language="en", revision=revision)


def turn(name: str, speaker: str, start: float, end: float, *, final: bool = True) -> SpeakerTurn:
    return SpeakerTurn(name, speaker, int(start * S), int(end * S), is_final=final)


def screen(start: float, *lines: tuple[str, str]) -> ScreenState:
    regions = tuple(TextRegion(name, text, (0, 20 * i, 100, 20 * i + 18)) for i, (name, text) in enumerate(lines))
    return ScreenState(int(start * S), 640, 480, f"f{start}", regions)


def add(timeline: Timeline, percept: Transcript | SpeakerTurn | ScreenState) -> None:
    match percept:
        case Transcript():
            timeline.add_transcript(percept)
        case SpeakerTurn():
            timeline.add_turn(percept)
        case ScreenState():
            timeline.add_screen(percept)


def speakers(said: Transcript) -> list[str]:
    return [word.speaker for word in said.words]


def test_a_word_belongs_to_the_turn_that_covers_most_of_it() -> None:
    said = utterance("u", 0, "yes", "but", "no")
    assert speakers(fuse(said, [turn("a", "S1", 0, 0.7), turn("b", "S2", 0.7, 1.5)])) == ["S1", "S2", "S2"]


def test_a_word_in_no_turn_belongs_to_the_nearest_within_half_a_second() -> None:
    said = utterance("u", 10, "hello")
    assert speakers(fuse(said, [turn("a", "S1", 8, 9.6), turn("b", "S2", 10.9, 12)])) == ["S1"]
    assert speakers(fuse(said, [turn("a", "S1", 8, 9.4), turn("b", "S2", 11.1, 12)])) == [""]


def test_a_word_far_from_every_turn_goes_to_who_says_most_of_the_utterance() -> None:
    fused = fuse(utterance("u", 0, "a", "b", "c", "d", "e"), [turn("a", "S1", 0, 1.0)])
    assert speakers(fused) == ["S1"] * 5


def test_a_word_of_a_turn_that_is_not_sure_of_its_speaker_has_none() -> None:
    said = utterance("u", 0, "a", "b", "c")
    sure, unsure = (replace(turn("a", "S1", 0, 0.5), confidence=c) for c in (0.9, 0.4))
    others = replace(turn("b", "S2", 0.5, 1.5), confidence=0.95)
    assert speakers(fuse(said, [sure, others])) == ["S1", "S2", "S2"]
    assert speakers(fuse(said, [unsure, others])) == ["", "S2", "S2"]
    assert fuse(said, [unsure]).speaker == ""


def test_a_word_is_as_sure_as_the_surest_turn_of_its_speaker_there() -> None:
    said = utterance("u", 0, "a")
    turns = [replace(turn(name, "S1", 0, 0.5), confidence=c) for name, c in (("a", 0.2), ("b", 0.9))]
    assert speakers(fuse(said, turns)) == ["S1"]


def test_the_utterance_has_the_speaker_of_most_of_its_speech() -> None:
    fused = fuse(utterance("u", 0, "a", "b", "c"), [turn("a", "S2", 0, 0.5), turn("b", "S1", 0.5, 1.5)])
    assert fused.speaker == "S1"


def test_a_word_under_two_turns_goes_to_who_has_more_of_the_utterance() -> None:
    fused = fuse(utterance("u", 0, "a", "b", "c"), [turn("a", "S2", 0, 1.5), turn("b", "S1", 1.0, 1.5)])
    assert speakers(fused) == ["S2", "S2", "S2"]


def test_a_late_correction_of_a_turn_gives_the_changed_utterances_again() -> None:
    timeline = Timeline()
    timeline.add_transcript(utterance("u1", 0, "one", "two"))
    timeline.add_transcript(utterance("u2", 60, "three"))
    assert [u.speaker for u in timeline.add_turn(turn("t", "S1", 0, 1, final=False))] == ["S1"]
    assert [(u.utterance_id, u.speaker) for u in timeline.add_turn(turn("t", "S2", 0, 1))] == [("u1", "S2")]
    assert timeline.add_turn(turn("t", "S3", 0, 1, final=False)) == []


def test_a_turn_that_moves_away_takes_its_speaker_with_it() -> None:
    timeline = Timeline()
    timeline.add_transcript(utterance("u", 0, "one"))
    timeline.add_turn(turn("t", "S1", 0, 1))
    (changed,) = timeline.add_turn(turn("t", "S1", 100, 101))
    assert changed.speaker == ""


def test_an_empty_name_takes_a_name_back() -> None:
    timeline = Timeline()
    assert not timeline.add_name("S1", "")
    assert timeline.add_name("S1", "Ada") and not timeline.add_name("S1", "Ada")
    assert timeline.add_name("S1", "")
    assert dict(timeline.names) == {}


def test_repeats_change_nothing() -> None:
    timeline = Timeline()
    percepts = [utterance("u", 0, "one"), turn("t", "S1", 0, 1), screen(0, ("r", "Title"))]
    for percept in percepts:
        add(timeline, percept)
    before = timeline.utterances(), timeline.screen_lines()
    assert timeline.add_transcript(utterance("u", 0, "one")) is None
    assert timeline.add_transcript(replace(timeline.utterances()[0])) is None  # our own, echoed
    assert timeline.add_turn(turn("t", "S1", 0, 1)) == []
    assert timeline.add_screen(screen(0, ("r", "Title"))) == []
    assert (timeline.utterances(), timeline.screen_lines()) == before


def test_a_higher_revision_replaces_and_a_lower_one_does_not() -> None:
    timeline = Timeline()
    timeline.add_transcript(utterance("u", 0, "vega", "sea", revision=1))
    assert timeline.add_transcript(utterance("u", 0, "bega", "sea")) is None
    timeline.add_transcript(utterance("u", 0, "Vega", "C", revision=2))
    assert timeline.utterances()[0].text == "Vega C"


def test_a_screen_line_is_kept_once_with_its_first_and_last_sighting() -> None:
    timeline = Timeline()
    timeline.add_screen(screen(1, ("r1", "Title")))
    assert [line.text for line in timeline.add_screen(screen(5, ("r1", "Title"), ("r2", "New")))] == ["New"]
    first, second = timeline.screen_lines()
    assert (first.first_sample, first.last_sample, first.frame_id) == (S, 5 * S, "f1")
    assert (second.text, second.first_sample) == ("New", 5 * S)


def test_a_turn_half_a_second_away_counts_whichever_comes_first() -> None:
    said, spoke = utterance("u", 20, "yes"), turn("t", "S1", 12.5, 19.5)
    words_first, turn_first = Timeline(), Timeline()
    words_first.add_transcript(said)
    words_first.add_turn(spoke)
    turn_first.add_turn(spoke)
    turn_first.add_transcript(said)
    assert words_first.utterances() == turn_first.utterances()
    assert words_first.utterances()[0].speaker == "S1"


def test_the_oldest_utterances_go_when_there_are_too_many() -> None:
    timeline = Timeline()
    for i in range(MAX_UTTERANCES + 1):
        timeline.add_transcript(utterance(f"u{i}", i, "word"))
    kept = timeline.utterances()
    assert len(kept) <= MAX_UTTERANCES
    assert kept[-1].utterance_id == f"u{MAX_UTTERANCES}"
    assert timeline.utterance("u0") is None


seconds = st.integers(0, 40).map(lambda half: half / 2)
texts = st.lists(st.sampled_from(["yes", "no", "budget", "Friday"]), min_size=1, max_size=5)
percepts = st.one_of(
    st.builds(
        lambda i, s, w, r: utterance(f"u{i}", s, *w, revision=r),
        st.integers(0, 9),
        seconds,
        texts,
        st.integers(0, 3),
    ),
    st.builds(
        lambda s, r: screen(s, *((f"r{i}", f"line {i} at {s}") for i in r)),
        seconds,
        st.sets(st.integers(0, 5)),
    ),
)
turns = st.builds(
    lambda i, who, s, length: turn(f"t{i}", f"S{who}", s, s + length),
    st.integers(0, 10**6),
    st.integers(1, 3),
    seconds,
    st.integers(1, 8),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(percepts, max_size=20),
    st.lists(turns, max_size=12, unique_by=lambda t: t.turn_id),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(some: list, heard: list, random) -> None:
    results = []
    for _ in range(3):
        shuffled = some + heard
        random.shuffle(shuffled)
        timeline = Timeline()
        for percept in shuffled:
            add(timeline, percept)
        results.append((timeline.utterances(), timeline.screen_lines(), timeline.last_sample))
    assert results[0] == results[1] == results[2]
