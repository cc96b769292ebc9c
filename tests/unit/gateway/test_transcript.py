from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway.transcript import Document, fold

RATE = 16_000


def _utterance(name, *words, revision=0, language="en", speaker="", confidence=None):
    """Words are (text, start_s, end_s) or (text, start_s, end_s, speaker)."""
    made = [
        media_pb2.Word(
            text=text,
            start_sample=round(start * RATE),
            end_sample=round(end * RATE),
            speaker=who[0] if who else "",
            confidence=0.5,
        )
        for text, start, end, *who in words
    ]
    transcript = media_pb2.Transcript(
        utterance_id=name,
        revision=revision,
        is_final=True,
        start_sample=made[0].start_sample if made else 0,
        end_sample=made[-1].end_sample if made else 0,
        words=made,
        language=language,
        speaker=speaker,
        confidence=confidence,
    )
    return session_pb2.Event(seq=1, utterance=transcript)


def _screen(at_s, *lines, box=(0, 0, 10, 10)):
    regions = [
        media_pb2.TextRegion(text=line, box=media_pb2.Box(x0=box[0], y0=box[1], x1=box[2], y1=box[3])) for line in lines
    ]
    state = media_pb2.ScreenState(start_sample=round(at_s * RATE), width_px=100, height_px=50, regions=regions)
    return session_pb2.Event(seq=1, screen=state)


def _turn(name, speaker, start, end, is_final=True):
    turn = media_pb2.SpeakerTurn(
        turn_id=name,
        speaker=speaker,
        start_sample=round(start * RATE),
        end_sample=round(end * RATE),
        is_final=is_final,
    )
    return session_pb2.Event(seq=1, turn=turn)


def _name(speaker, name):
    return session_pb2.Event(seq=1, speaker_name=decoder_pb2.SpeakerName(speaker=speaker, name=name))


def _ended(at_s):
    return session_pb2.Event(seq=1, ended=session_pb2.Ended(end_sample=round(at_s * RATE)))


def test_no_events_are_an_empty_document():
    assert fold([]) == Document()


def test_the_newest_event_of_an_utterance_counts():
    document = fold([_utterance("u1", ("helo", 0, 1)), _utterance("u1", ("hello", 0, 1), revision=1)])
    assert [segment.text for segment in document.segments] == ["hello"]


def test_speakers_that_were_found_for_an_older_revision_of_the_same_words_count():
    document = fold([_utterance("u1", ("hi", 0, 1), revision=1), _utterance("u1", ("hi", 0, 1, "S1"), speaker="S1")])
    assert [segment.speaker for segment in document.segments] == ["S1"]


def test_a_final_without_words_retracts_its_utterance():
    assert fold([_utterance("u1", ("you", 0, 1)), _utterance("u1", revision=1)]).segments == ()


def test_utterances_are_ordered_by_time_whatever_the_order_of_arrival():
    document = fold([_utterance("b", ("later", 5, 6)), _utterance("a", ("earlier", 1, 2))])
    assert [segment.text for segment in document.segments] == ["earlier", "later"]


def test_an_utterance_of_two_speakers_becomes_a_segment_for_each_run():
    document = fold(
        [
            _utterance(
                "u1",
                ("so", 0, 1, "S1"),
                ("yes?", 1, 2, "S1"),
                ("no", 2, 3, "S2"),
                ("well", 3, 4, "S1"),
                speaker="S1",
                confidence=0.9,
            )
        ]
    )
    assert [(s.speaker, s.text, s.start_sample, s.end_sample) for s in document.segments] == [
        ("S1", "so yes?", 0, 2 * RATE),
        ("S2", "no", 2 * RATE, 3 * RATE),
        ("S1", "well", 3 * RATE, 4 * RATE),
    ]
    assert all(segment.confidence == 0.5 for segment in document.segments)


def test_words_without_speakers_belong_to_the_speaker_of_their_utterance():
    document = fold([_utterance("u1", ("one", 0, 1), ("two", 1, 2), speaker="S1", confidence=0.75)])
    assert [(s.speaker, s.text, s.confidence) for s in document.segments] == [("S1", "one two", 0.75)]


def test_a_word_without_a_speaker_among_others_is_nobodys():
    document = fold([_utterance("u1", ("one", 0, 1, "S1"), ("two", 1, 2), ("no", 2, 3, "S2"), speaker="S1")])
    assert [(s.speaker, s.text) for s in document.segments] == [("S1", "one"), ("", "two"), ("S2", "no")]
    assert document.speakers == ("S1", "S2")


def test_names_reach_words_that_were_said_before_and_turns_and_evidence():
    answer = decoder_pb2.Answer(text="Hi.", evidence=[decoder_pb2.Evidence(kind="speech", text="hi", speaker="S1")])
    part = session_pb2.AnswerPart(question_id="q", question="?", part=decoder_pb2.AskResponse(answer=answer))
    document = fold(
        [
            _utterance("u1", ("hi", 0, 1, "S1"), speaker="S1"),
            _turn("t1", "S1", 0, 1),
            session_pb2.Event(seq=1, answer=part),
            _name("S1", "Pria"),
            _name("S1", "Priya"),
        ]
    )
    assert document.speakers == ("Priya",)
    assert document.turns[0].speaker == "Priya"
    assert document.answers[0].evidence[0].speaker == "Priya"


def test_turns_that_may_still_change_or_have_no_length_are_left_out():
    document = fold(
        [_turn("a", "S1", 0, 1, is_final=False), _turn("b", "S2", 1, 2), _turn("c", "S1", 2, 3), _turn("c", "S1", 2, 2)]
    )
    assert [turn.turn_id for turn in document.turns] == ["b"]


def test_a_screen_lasts_until_the_next_and_the_last_until_the_end():
    document = fold([_screen(0, "one"), _screen(4, "two"), _ended(10)])
    assert [(s.lines, s.start_sample / RATE, s.end_sample / RATE) for s in document.screens] == [
        (("one",), 0, 4),
        (("two",), 4, 10),
    ]


def test_screens_that_say_the_same_are_one():
    document = fold([_screen(0, "one"), _screen(4, "one", box=(5, 5, 20, 20)), _screen(6, "two"), _ended(10)])
    assert [(s.lines, s.start_sample / RATE, s.end_sample / RATE) for s in document.screens] == [
        (("one",), 0, 6),
        (("two",), 6, 10),
    ]


def test_a_flash_between_two_equal_screens_leaves_one_screen():
    document = fold([_screen(0, "one"), _screen(4, "flash"), _screen(4.2, "one"), _ended(10)])
    assert [(s.lines, s.start_sample, s.end_sample / RATE) for s in document.screens] == [(("one",), 0, 10)]


def test_a_flash_before_the_first_screen_belongs_to_it():
    document = fold([_screen(1, "flash"), _screen(1.1, "one"), _ended(10)])
    assert [(s.lines, s.start_sample / RATE) for s in document.screens] == [(("one",), 1)]


def test_a_screen_alone_is_kept_however_short():
    assert [screen.lines for screen in fold([_screen(0, "only")]).screens] == [("only",)]


def test_a_screen_sent_again_for_the_same_moment_replaces_the_first():
    document = fold([_screen(0, "wrogn"), _screen(0, "wrong"), _ended(5)])
    assert [screen.lines for screen in document.screens] == [("wrong",)]


def test_the_language_is_that_of_most_words():
    document = fold(
        [
            _utterance("a", ("ja", 0, 1), language="de"),
            _utterance("b", ("nein", 1, 2), language="de"),
            _utterance("c", ("one", 2, 3), ("two", 3, 4), ("three", 4, 5), language="en"),
        ]
    )
    assert document.language == "en"


def test_languages_without_spaces_are_joined_without():
    assert fold([_utterance("a", ("你", 0, 1), ("好", 1, 2), language="zh")]).segments[0].text == "你好"


def test_control_characters_reach_nobodys_terminal():
    document = fold(
        [_utterance("u1", ("\x1b[31mred\x07\n", 0, 1, "S1")), _screen(0, "\x9b2J\rtext"), _name("S1", "\x1bPriya")]
    )
    assert document.segments[0].text == "[31mred"
    assert document.segments[0].speaker == "Priya"
    assert document.screens[0].lines == ("2J text",)


def test_joiners_that_scripts_need_stay():
    assert fold([_utterance("u1", ("می\u200cخواهم", 0, 1))]).segments[0].text == "می\u200cخواهم"


def test_times_of_words_never_go_back():
    document = fold([_utterance("a", ("one", 1, 2), ("two", 0.5, 0.7), ("three", 3, 3.5))])
    starts = [word.start_sample for word in document.segments[0].words]
    assert starts == sorted(starts)
    assert all(word.end_sample >= word.start_sample for word in document.segments[0].words)


def test_partials_and_progress_change_nothing():
    partial = media_pb2.Transcript(utterance_id="u", words=[media_pb2.Word(text="guess", end_sample=9)])
    events = [
        session_pb2.Event(partial=partial),
        session_pb2.Event(progress=session_pb2.Progress(received_sample=99)),
        session_pb2.Event(expert_status=session_pb2.ExpertStatus(expert="asr")),
    ]
    assert fold(events) == Document()


def test_the_length_covers_everything_while_the_session_is_live():
    assert fold([_utterance("a", ("one", 1, 2)), _turn("t", "S1", 0, 3), _screen(4, "x")]).end_sample == 4 * RATE


def test_only_whole_answers_are_answers():
    delta = session_pb2.AnswerPart(question_id="q", part=decoder_pb2.AskResponse(delta="Mar"))
    whole = session_pb2.AnswerPart(
        question_id="q", question="who?", part=decoder_pb2.AskResponse(answer=decoder_pb2.Answer(text="Marta"))
    )
    document = fold([session_pb2.Event(answer=delta), session_pb2.Event(seq=1, answer=whole)])
    assert [(answer.question, answer.text, answer.confidence) for answer in document.answers] == [
        ("who?", "Marta", None)
    ]


def test_two_speakers_of_one_name_are_one_person() -> None:
    said = media_pb2.Transcript(utterance_id="u1", is_final=True, end_sample=40_000, language="en", speaker="S1")
    for i, speaker in enumerate(("S1", "S1", "S3", "S2")):
        said.words.add(text=f"w{i}", start_sample=i * 10_000, end_sample=i * 10_000 + 9_000, speaker=speaker)
    names = [decoder_pb2.SpeakerName(speaker=s, name="Ada", is_recognised=True) for s in ("S1", "S3")]
    events = [session_pb2.Event(utterance=said), *(session_pb2.Event(speaker_name=name) for name in names)]
    document = fold(events)
    assert [(segment.speaker, segment.text) for segment in document.segments] == [("Ada", "w0 w1 w2"), ("S2", "w3")]
    assert document.speakers == ("Ada", "S2")
    taken_back = decoder_pb2.SpeakerName(speaker="S3", is_recognised=True)
    assert fold([*events, session_pb2.Event(speaker_name=taken_back)]).speakers == ("Ada", "S3", "S2")
