"""What the sample meeting tells on a terminal."""

import pytest

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from tools.demo import Teller


def _said(text: str, speaker: str) -> session_pb2.Event:
    words = [media_pb2.Word(text=word) for word in text.split()]
    return session_pb2.Event(
        utterance=media_pb2.Transcript(utterance_id="u1", start_sample=80_000, speaker=speaker, words=words)
    )


def test_an_utterance_is_told_with_its_speaker_and_again_when_its_words_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    teller = Teller()
    for event in (_said("hold on, oats", ""), _said("hold on, oats", "S2"), _said("Hold on, oats.", "S2")):
        teller.take(event)
    teller.take(_said("Hold on, folks.", "S2"))
    assert capsys.readouterr().out.splitlines() == [
        "00:05  S2      hold on, oats",
        "00:05  S2      corrected: Hold on, folks.",
    ]


def test_what_waits_for_its_speaker_is_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    teller.take(_said("Hold on.", ""))
    assert not capsys.readouterr().out
    teller.close()
    assert capsys.readouterr().out == "00:05  ?       Hold on.\n"
