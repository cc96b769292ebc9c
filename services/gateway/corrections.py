"""What the screen has to do with the words: terms to listen for, where a corrected word was read, undo. Pure."""

from collections import OrderedDict
from collections.abc import Sequence

from protos.decoder.v1 import decoder_pb2
from protos.media.v1 import media_pb2
from services.runtime.phrases import compact, phrase_lines
from services.runtime.stage import MediaError

# Terms whose place on the screen is remembered after they are gone: a final may come later than that.
_REMEMBERED = 2_000


class ScreenTerms:
    """The screen's words by now, and where they stood."""

    def __init__(self) -> None:
        self._terms: Sequence[decoder_pb2.ContextTerm] = ()
        self._places: OrderedDict[str, decoder_pb2.ContextTerm] = OrderedDict()

    def take(self, terms: Sequence[decoder_pb2.ContextTerm]) -> None:
        """Other terms from now on."""
        self._terms = terms
        for term in reversed(terms):
            self._places[compact(term.text)] = term
            self._places.move_to_end(compact(term.text))
        while len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)

    def options(self) -> dict[str, str]:
        """Options of asr: `screen_rare` and `screen_seen`, also where there is no such word now."""
        rare = ((term.text, term.weight) for term in self._terms if not term.is_everyday)
        seen = ((term.text, 0.0) for term in self._terms if term.is_everyday)
        return {"screen_rare": phrase_lines(rare), "screen_seen": phrase_lines(seen)}

    def locate(self, utterance: media_pb2.Transcript) -> None:
        """Write into each correction where on the screen its phrase was read, if it was."""
        for start, end in _corrected(utterance.words):
            text = compact("".join(word.text for word in utterance.words[start:end]))
            term = self._places.get(text) or self._places.get(text.removesuffix("s"))
            if term is not None:
                for word in utterance.words[start:end]:
                    word.correction.source_id, word.correction.frame_id = term.source_id, term.frame_id
                    word.correction.box.CopyFrom(term.box)


def undone(utterance: media_pb2.Transcript, word: int) -> media_pb2.Transcript:
    """The next revision, with what was heard in the place of the phrase that holds this word.

    Raises MediaError where the word is no correction.
    """
    place = next((place for place in _corrected(utterance.words) if word in range(*place)), None)
    if place is None:
        raise MediaError(f"word {word} of utterance {utterance.utterance_id!r} is no correction; nothing to undo")
    words = utterance.words[place[0] : place[1]]
    heard = words[0].correction.heard.split()
    span = words[-1].end_sample - words[0].start_sample
    edges = [words[0].start_sample + span * i // max(1, len(heard)) for i in range(len(heard) + 1)]
    put_back = [
        media_pb2.Word(text=text, start_sample=edges[i], end_sample=edges[i + 1], speaker=words[0].speaker)
        for i, text in enumerate(heard)
    ]
    result = media_pb2.Transcript()
    result.CopyFrom(utterance)
    del result.words[:]
    result.words.extend([*utterance.words[: place[0]], *put_back, *utterance.words[place[1] :]])
    result.stable_words = len(result.words)
    result.revision += 1
    result.is_set_right = True
    return result


def _corrected(words: Sequence[media_pb2.Word]) -> list[tuple[int, int]]:
    """The runs of words that took the place of others."""
    found: list[tuple[int, int]] = []
    for i, word in enumerate(words):
        if not word.HasField("correction"):
            continue
        if word.correction.heard or not found or found[-1][1] != i:
            found.append((i, i + 1))
        else:
            found[-1] = (found[-1][0], i + 1)
    return found
