"""Names from the outlined tiles of a video call."""

import pytest

from services.decoder.naming import FoundName, Naming
from services.decoder.tiles import framed, tile_name
from services.runtime.percept import BoxXyxy, ScreenState, TextRegion, Transcript, Word

S = 16_000
TILES: dict[str, BoxXyxy] = {
    "Priya Nair": (10, 10, 310, 180),
    "Jan de Vries": (330, 10, 630, 180),
    "Mei": (10, 190, 310, 360),
}


def screen(at_s: float, *names: str) -> ScreenState:
    """A call in which the tiles of some people are outlined."""
    regions = [
        TextRegion(f"r{i}", name, (box[0] + 8, box[3] - 24, box[0] + 100, box[3] - 6))
        for i, (name, box) in enumerate(TILES.items())
    ]
    return ScreenState(
        round(at_s * S), 640, 360, f"f{at_s}", tuple(regions), outlined=tuple(TILES[name] for name in names)
    )


def said(number: int, speaker: str, start_s: float, end_s: float, text: str = "well") -> Transcript:
    start, end = round(start_s * S), round(end_s * S)
    words = tuple(Word(word, start, end, speaker=speaker) for word in text.split())
    return Transcript(f"u{number}", True, start, end, words, speaker=speaker)


def play(naming: Naming, turns: list[tuple[str, str]], first: int = 0) -> dict[str, FoundName]:
    """Four seconds for each speaker and the name that is outlined meanwhile; the names found."""
    found: dict[str, FoundName] = {}
    for number, (speaker, name) in enumerate(turns, first):
        at_s = 5.0 * number
        naming.see(screen(at_s + 0.4, *([name] if name else [])))
        utterance = said(number, speaker, at_s, at_s + 4)
        found |= {one.speaker: one for one in [*naming.hear([utterance]), *naming.at(utterance.end_sample)]}
    return found | {one.speaker: one for one in naming.at(1 << 62)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Priya Nair", "Priya Nair"),
        ("& Jan de Vries (Host)", "Jan de Vries"),
        ("Siobhán O'Brien (You)", "Siobhán O'Brien"),
        ("Mary-Ann K. Lee", "Mary-Ann K. Lee"),
        ("Stop Video", ""),
        ("Participants", ""),
        ("PN", ""),
        ("priya", ""),
        ("Build 17", ""),
        ("We ship on Friday", ""),
    ],
)
def test_labels_of_tiles_are_names(text: str, name: str) -> None:
    assert tile_name(text) == name


def test_the_name_at_the_foot_of_the_one_outlined_tile_counts() -> None:
    framing = framed(screen(3, "Jan de Vries"))
    assert (framing.name, framing.start_sample, framing.source_id, framing.frame_id) == (
        "Jan de Vries",
        3 * S,
        "r1",
        "f3",
    )
    assert framing.box == (338, 156, 430, 174)
    assert framed(screen(3)).name == framed(screen(3, "Mei", "Priya Nair")).name == ""
    title = ScreenState(
        0, 640, 360, "f", (TextRegion("r", "Priya Nair", (20, 20, 90, 40)),), outlined=((10, 10, 310, 180),)
    )
    assert framed(title).name == ""


def test_who_is_outlined_again_and_again_while_somebody_speaks_names_him() -> None:
    turns = [("S1", "Priya Nair"), ("S2", "Mei")] * 3
    found = play(Naming(), turns)
    assert {who: one.name for who, one in found.items()} == {"S1": "Priya Nair", "S2": "Mei"}
    one = found["S1"]
    assert (one.how, one.source_id) == ("framed", "r0") and 0.5 <= one.confidence < 0.7
    assert [framing.start_sample / S for framing in one.seen] == [0.4, 10.4]
    assert one.seen[0].frame_id == "f0.4" and one.seen[0].box is not None


@pytest.mark.parametrize(
    "turns",
    [
        [("S1", "Priya Nair"), ("S2", "Mei")],  # once may be chance
        [("S1", "Priya Nair"), ("S1", "Mei")] * 4,  # the outline follows somebody else
        [("S1", "Priya Nair"), ("S2", "Mei"), ("S2", "Priya Nair"), ("S1", "Mei")] * 4,  # it follows nobody
        [("S1", "Priya Nair")] + [("S1", "Priya Nair")] * 5,  # it stays where it was
        [("S1", "")] * 6,
    ],
)
def test_a_coincidence_names_nobody(turns: list[tuple[str, str]]) -> None:
    assert play(Naming(), turns) == {}


def test_who_puts_in_a_word_while_another_is_outlined_does_not_get_that_name() -> None:
    turns = [("S1", "Priya Nair"), ("S3", "Priya Nair"), ("S1", "Priya Nair"), ("S1", "Priya Nair"), ("S2", "Mei")] * 4
    assert {who: one.name for who, one in play(Naming(), turns).items()} == {"S1": "Priya Nair", "S2": "Mei"}


def test_a_name_from_tiles_goes_when_the_words_turn_out_to_be_somebody_elses() -> None:
    naming = Naming()
    assert play(naming, [("S1", "Priya Nair"), ("S2", "Mei")] * 3)["S1"].name == "Priya Nair"
    found: list[FoundName] = []
    for number in (0, 2, 4):
        found += naming.hear([said(number, "S4", 5 * number, 5 * number + 4)])
    found += naming.at(1 << 62)
    assert {one.speaker: one.name for one in found} == {"S1": "", "S4": "Priya Nair"}


def test_what_people_call_themselves_goes_before_their_tiles() -> None:
    naming = Naming()
    found = {one.speaker: one for one in naming.hear([said(90, "S1", 500, 502, "Hello, I'm Anna.")])}
    found |= play(naming, [("S1", "Priya Nair"), ("S2", "Mei")] * 3)
    assert {who: one.name for who, one in found.items()} == {"S1": "Anna", "S2": "Mei"}
