import numpy as np
import pytest

from services.decoder import reader as reading
from services.decoder.answer import NOT_HEARD, answer_of, is_answerable, quoted
from services.decoder.lineindex import READ_NOW, answer_type, is_echo
from services.decoder.lines import Line
from services.decoder.reader import Reader
from services.decoder.retrieval import READ, Index
from services.runtime.sentence import SentenceEncoder
from tools.train_decoder.groups import filled
from tools.train_decoder.talk import make_with_talk

S = 16_000


def meeting_lines(meeting: dict) -> list[Line]:
    lines = []
    for second, who, *texts in meeting["lines"]:
        for i, text in enumerate(texts):
            name = f"{second}-{i}"
            kind, speaker = ("screen", "") if who == "screen" else ("speech", who)
            lines.append(Line(f"{kind}:{name}", kind, text, speaker, second * S, second * S + S, name))
    return lines


def indexed(encoder: SentenceEncoder, reader: Reader, lines: list[Line]) -> Index:
    index = Index(encoder, reader)
    for line in lines:
        index.replace(f"{line.kind}:{line.source_id}", [line])
    return index


def test_the_line_with_the_answer_is_first_and_questions_without_one_get_none(
    encoder: SentenceEncoder, reader: Reader, meetings: list[dict]
) -> None:
    """The rule for the meetings on which nothing was chosen; measured figures are in docs/answers.md."""
    first = asked = refused = strange = answered = 0
    for meeting in meetings:
        if meeting["split"] != "held out":
            continue
        index = indexed(encoder, reader, meeting_lines(meeting))
        for question, part in meeting["questions"]:
            hits = index.search(question, meeting["speakers"])
            asked += 1
            first += part.lower() in hits[0].line.text.lower()
            answered += is_answerable(hits)
        for question in meeting["unanswerable"]:
            strange += 1
            refused += not is_answerable(index.search(question, meeting["speakers"]))
    assert first / asked >= 0.8, f"{first} of {asked}"
    assert answered / asked >= 0.75, f"{answered} of {asked}"
    assert refused / strange >= 0.9, f"{refused} of {strange}"


def test_a_caption_does_not_stand_for_the_utterance_that_it_shows(encoder: SentenceEncoder, reader: Reader) -> None:
    said = Line("speech:u:0", "speech", "The launch of the Vega C is on the ninth of May.", "S1", 2 * S, 5 * S, "u")
    parts = ("launch of the Vega C is on", "on the ninth of May", "the ninth", "The launch of the Vega C is in June")
    shown = [
        Line(f"screen:{at}:{i}", "screen", part, "", at * S, at * S + S, f"{at}:{i}")
        for at in (1, 3)
        for i, part in enumerate(parts)
    ]
    index = indexed(encoder, reader, [said, *shown])
    found = [hit.line.line_id for hit in index.search("When is the launch of the Vega C?", {}, READ)]
    # Short words are no caption, nor are others, nor what stood there before it was said.
    assert sorted(found) == sorted({"speech:u:0", *(line.line_id for line in shown)} - {"screen:3:0", "screen:3:1"})


def test_a_replaced_line_is_not_found_any_more(encoder: SentenceEncoder, reader: Reader) -> None:
    index = Index(encoder, reader)
    old = Line("speech:u:0", "speech", "The rocket is a bega sea.", "S1", 0, S, "u")
    index.replace("speech:u", [old, Line("speech:u:1", "speech", "And more.", "S1", S, 2 * S, "u")])
    index.replace("speech:u", [Line("speech:u:0", "speech", "The rocket is a Vega C.", "S2", 0, S, "u")])
    assert len(index) == 1
    (hit,) = index.search("Which rocket?", {})
    assert (hit.line.text, hit.line.speaker) == ("The rocket is a Vega C.", "S2")


def test_the_index_does_not_depend_on_the_order_of_its_lines(
    encoder: SentenceEncoder, reader: Reader, meetings: list[dict]
) -> None:
    lines = meeting_lines(meetings[0])
    one, other = indexed(encoder, reader, lines), indexed(encoder, reader, lines[::-1])
    for question, _ in meetings[0]["questions"]:
        a, b = one.search(question, {}), other.search(question, {})
        assert [hit.line for hit in a] == [hit.line for hit in b]
        assert np.allclose([hit.score for hit in a], [hit.score for hit in b], atol=1e-5)


def test_lines_that_are_not_embedded_yet_are_found_by_their_words_and_then_as_all_others(
    encoder: SentenceEncoder, reader: Reader, meetings: list[dict]
) -> None:
    lines = meeting_lines(meetings[0])
    whole, words = indexed(encoder, reader, lines), Index(encoder, reader)
    for line in lines:
        words.replace(f"{line.kind}:{line.source_id}", [line], embed=False)
    (hit,) = words.search("Why was the login page slow?", {}, 1)
    assert "cache is cold" in hit.line.text and is_answerable([hit])
    words.replace(
        "speech:gone", [Line("speech:gone:0", "speech", "Nobody embeds this.", "S1", 0, S, "gone")], embed=False
    )
    words.replace("speech:gone", [])
    while words.embed(3):
        pass
    for question, _ in meetings[0]["questions"]:
        a, b = whole.search(question, {}), words.search(question, {})
        assert [hit.line for hit in a] == [hit.line for hit in b]
        assert np.allclose([hit.score for hit in a], [hit.score for hit in b], atol=1e-5)


def test_what_stands_under_a_heading_is_found_by_the_heading(encoder: SentenceEncoder, reader: Reader) -> None:
    slides = [
        (10, "Audio guide", "- Supplier: Artsure", "- State: signed", "- about 41 hours of work"),
        (50, "Dinosaur skeleton", "- Supplier: Glasbau", "- State: rejected", "- about 12 hours of work"),
        (90, "Restoration week", "- Samir", "- every Monday", "- Place: the east wing"),
    ]
    index = Index(encoder, reader)
    for second, *texts in slides:
        for i, text in enumerate(texts):
            name, box = f"{second}-{i}", (40.0, 40.0 * i, 600.0, 40.0 * i + 30)
            index.replace(name, [Line(name, "screen", text, "", second * S, second * S, name, box, f"f{second}")])
    found = [each.line.line_id for each in index.candidates("How long does the dinosaur skeleton take?", {})]
    assert found.index("50-3") < found.index("10-3")


def test_nothing_said_means_nothing_found(encoder: SentenceEncoder, reader: Reader) -> None:
    assert Index(encoder, reader).search("Who?", {}) == []
    assert not is_answerable([])


def test_words_without_letters_do_no_harm(encoder: SentenceEncoder, reader: Reader) -> None:
    index = indexed(encoder, reader, [Line("screen:r", "screen", "***", "", 0, 0, "r")])
    assert len(index.search("???", {})) == 1


def test_an_answer_says_who_and_when_or_where_it_stood(encoder: SentenceEncoder, reader: Reader) -> None:
    index = Index(encoder, reader)
    index.replace("speech:u", [Line("speech:u:0", "speech", "Lena owns it.", "S1", 83 * S, 84 * S, "u")])
    (hit,) = index.search("Who owns it?", {})
    assert quoted(hit, {"S1": "Priya"}) == 'Priya said at 01:23: "Lena owns it."'
    index.replace("speech:u", [])
    index.replace("screen:r", [Line("screen:r", "screen", "Owner: Lena", "", 83 * S, 90 * S, "r")])
    (hit,) = index.search("Who owns it?", {})
    assert quoted(hit, {}) == 'The screen showed at 01:23: "Owner: Lena"'


def said(index: Index, second: int, who: str, text: str) -> None:
    index.replace(
        f"speech:{second}", [Line(f"speech:{second}:0", "speech", text, who, second * S, second * S + S, str(second))]
    )


def test_an_answer_is_the_words_of_the_line_or_who_said_it_or_when(encoder: SentenceEncoder, reader: Reader) -> None:
    index, names = Index(encoder, reader), {"S1": "Priya", "S2": "Tom"}
    said(index, 10, "S1", "The deadline for the harbour report is Thursday.")
    said(index, 65, "S2", "I will order the new pumps.")

    def answer(question: str) -> str:
        return answer_of(index.search(question, names), question).text

    assert "Thursday" in answer("When is the harbour report due?")
    assert "Tom" in answer("Who will order the new pumps?")
    assert answer("When did Tom talk about the new pumps?") == "01:05"
    assert answer("What is the capital of Norway?") == NOT_HEARD


def test_what_was_on_the_screen_is_the_last_picture_before_that_was_said(
    encoder: SentenceEncoder, reader: Reader
) -> None:
    index = Index(encoder, reader)
    for second, texts in ((5, ["Agenda", "1. Pumps"]), (50, ["Harbour budget", "Total 900"]), (90, ["Thank you"])):
        for i, text in enumerate(texts):
            name = f"{second}-{i}"
            box = (0.0, 30.0 * i, 100.0, 30.0 * i + 20)
            index.replace(name, [Line(name, "screen", text, "", second * S, second * S, name, box)])
    said(index, 20, "S1", "Good morning everybody.")
    said(index, 65, "S2", "I will order the new pumps.")
    for question in (
        "What was on the screen when Tom talked about ordering the new pumps?",
        "What was on the screen at 1:10?",
    ):
        hits = index.search(question, {"S1": "Priya", "S2": "Tom"})
        assert [hit.line.text for hit in hits] == ["Harbour budget", "Total 900"]
    assert answer_of(hits, question).text == "Harbour budget; Total 900"


def test_what_one_person_said_is_not_answered_by_what_another_said(encoder: SentenceEncoder, reader: Reader) -> None:
    index, names = Index(encoder, reader), {"S1": "Priya", "S2": "Tom"}
    said(index, 10, "S1", "The new logo is far too dark.")
    said(index, 20, "S2", "Let's go on.")
    hits = index.search("What did Priya say about the new logo?", names)
    assert is_answerable(hits)
    assert hits[0].line.speaker == "S1"
    assert index.search("What did Tom say about the new logo?", names)[0].line.speaker == "S2"


@pytest.mark.parametrize(
    ("question", "text", "fits"),
    [
        ("When is it due?", "By Friday.", True),
        ("How many came?", "Thirty-two did.", True),
        ("How many came?", "Nobody knows.", False),
        ("Why is it late?", "Because of the rain.", True),
        ("Who has it?", "The key is with Hannah.", True),
    ],
)
def test_a_question_word_asks_for_a_kind_of_answer(question: str, text: str, fits: bool) -> None:
    wanted = answer_type(question)
    assert wanted is not None
    assert bool(wanted.search(text)) is fits


def test_sentences_that_mean_alike_are_near(encoder: SentenceEncoder) -> None:
    a, b, c = encoder.encode(["The cat sleeps.", "A kitten is asleep.", "Interest rates rose."])
    assert a @ b > 0.6 > 0.3 > a @ c
    assert abs(float(a @ a) - 1) < 1e-5


@pytest.mark.parametrize(
    ("question", "text", "repeats"),
    [
        ("Did anyone book the room?", "Did anyone book the room?", True),
        ("Did anyone book the room?", "Okay. Did anybody book a room?", True),
        ("Who booked the room?", "Did anyone book the room?", True),
        ("Did anyone book the room?", "Tom, could you book the room?", False),
        ("Did anyone book the room?", "Did anyone book the room? Yes, Tom did.", False),
        ("Is the room red?", "Is it red or blue?", False),
        ("Did anyone ask about the room?", "Did anyone book the room?", False),
        ("Who mentioned the room?", "What about the room?", False),
        ("Did anyone book the room?", "Nobody booked the room.", False),
        ("What is it?", "What is it?", False),
    ],
)
def test_a_line_that_only_asks_the_same_is_told_from_one_that_tells(question: str, text: str, repeats: bool) -> None:
    assert is_echo(question, text) is repeats


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("Did anyone book the room?", "Yes, I booked it yesterday for three hours."),
        ("Is the budget approved?", "No, the board wants to see the numbers first."),
        ("Did we hear from the insurance?", "Nothing yet, they never answered my letter."),
        ("Has the crane been repaired?", "Yes."),
    ],
)
def test_a_question_is_answered_by_what_follows_it_not_by_itself(
    encoder: SentenceEncoder, reader: Reader, question: str, reply: str
) -> None:
    index = Index(encoder, reader)
    said(index, 10, "S1", "Good morning, let us begin with the summer party.")
    said(index, 20, "S1", question)
    said(index, 26, "S2", reply)
    said(index, 32, "S1", "Good, then the cake is next.")
    best = index.search(question, {"S1": "Priya", "S2": "Tom"})[0]
    assert best.line.text == reply and is_answerable([best])
    # nobody replied: the question is no answer to itself
    index = Index(encoder, reader)
    said(index, 10, "S1", "Good morning, let us begin with the summer party.")
    said(index, 20, "S1", question)
    assert not is_answerable(index.search(question, {"S1": "Priya"}))


@pytest.mark.parametrize(
    ("told", "taken_back", "question"),
    [
        ("Okay, let's order the pumps from Hydrex.", "Then scratch that, we order from Nordflow instead.",
         "Who delivers the pumps?"),
        ("The opening is on the ninth of May.", "No wait, actually let's make it the sixteenth of May.",
         "When is the opening?"),
    ],
)  # fmt: skip
def test_what_was_taken_back_is_answered_by_what_took_it_back(
    encoder: SentenceEncoder, reader: Reader, told: str, taken_back: str, question: str
) -> None:
    index = Index(encoder, reader)
    said(index, 10, "S1", "Good morning, let us begin with the garden.")
    said(index, 20, "S1", told)
    said(index, 26, "S2", "Hmm, I am not so sure about that.")
    said(index, 32, "S1", taken_back)
    hits = index.search(question, {"S1": "Priya", "S2": "Tom"})
    assert [hit.line.text for hit in hits[:2]] == [taken_back, told] and is_answerable(hits)
    # after more has been said it takes back something else
    index = Index(encoder, reader)
    said(index, 20, "S1", told)
    said(index, 26, "S2", "Good, and the lamps are repaired.")
    said(index, 32, "S2", "The cat sleeps in the shed.")
    said(index, 38, "S1", taken_back)
    assert index.search(question, {"S1": "Priya"})[0].line.text == told


@pytest.mark.parametrize(
    "later",
    [
        "I mean, it's nice weather today.",
        "Actually, it's cold in here.",
        "Scratch that, Lena feeds the cat.",  # takes back something else
    ],
)
def test_what_takes_back_nothing_of_the_answer_does_not_take_its_place(
    encoder: SentenceEncoder, reader: Reader, later: str
) -> None:
    index = Index(encoder, reader)
    said(index, 20, "S1", "We order the pumps from Hydrex.")
    said(index, 24, "S2", "The pumps come in May and the hoses in June.")
    said(index, 28, "S1", "Hydrex wrote about the pumps yesterday.")
    said(index, 32, "S2", "Tom feeds the cat on Sunday.")
    said(index, 36, "S1", later)
    assert index.search("Who delivers the pumps?", {"S1": "Priya"})[0].line.text == "We order the pumps from Hydrex."


def _told_three_lines_later(encoder: SentenceEncoder, reader: Reader) -> Index:
    texts = [
        *("The garden looks good.", "We had a nice lunch.", "The bus was late.", "I read the paper.") * 5,
        "The insurance for the van, did anybody check?", "Right.", "Mm-hm.", "Fourteen hundred a month now.",
        *("The sun is out.", "My cold is better.", "Tom is on his bicycle.", "Lena sings.") * 5,
    ]  # fmt: skip
    lines = [
        Line(f"speech:{i}", "speech", text, "S1", 10 * i * S, 10 * i * S + S, str(i)) for i, text in enumerate(texts)
    ]
    return indexed(encoder, reader, lines)


def test_the_wide_reader_is_shown_the_subject_that_came_three_lines_before(
    encoder: SentenceEncoder, reader: Reader
) -> None:
    index = _told_three_lines_later(encoder, reader)
    found = index.candidates("What is the insurance of the van?", {"S1": "Ann"})[:READ]
    (answering,) = (each for each in found if each.line.text.startswith("Fourteen"))
    assert answering.before == "Mm-hm."
    assert answering.wide == "The insurance for the van, did anybody check? Right. Mm-hm."


def test_what_is_told_lines_after_its_subject_is_answered_more_often_with_the_wide_reader(
    encoder: SentenceEncoder, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered() -> int:
        right = 0
        for seed in range(6):
            meeting = make_with_talk("test", seed)
            index = filled(Index(encoder, reader), meeting)
            for question in (each for each in meeting.questions if each.kind.startswith("talk.")):
                hits = index.search(question.text, meeting.speakers)
                right += is_answerable(hits) and int(hits[0].line.source_id) in question.gold
        return right

    with_it = answered()
    monkeypatch.setattr(reading, "_READ_AGAIN", 0)
    assert with_it > 1.1 * answered() > 0


def test_a_question_embeds_and_listens_once(
    encoder: SentenceEncoder, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(encoder, reader)
    for i in range(3 * READ_NOW):
        line = Line(f"speech:{i}", "speech", f"Tom has {i} bicycles.", "S1", i * S, i * S + S, str(i))
        index.replace(f"speech:{i}", [line], embed=False)
    listened: list[str] = []
    monkeypatch.setattr(index.listener, "find", lambda word: listened.append(word) or {})
    assert not is_answerable(index.search("Who is the caterer?", {}))
    assert listened == ["caterer"] and index.embed(0) == 2 * READ_NOW
