"""Whether a question is in English, told by the small words that every sentence has. Pure."""

import re
from collections.abc import Sequence

# Small words, the commonest that ask among them. A word may be of several languages: the one with most of a question's
# words counts.
_SMALL = {
    "English": "the a an is are was were do does did has have had will would can could should what which who "
    "whom whose when where why how many much of in on at to for from by with about and or but not no "
    "we they it he she you i this that there be been any",
    "German": "der die das den dem des ein eine einen einem einer ist sind war waren wird werden wurde wurden "
    "hat haben hatte was wer wen wem wie wo wann warum wieso weshalb welche welcher welches welchen "
    "wieviel viele und oder nicht kein keine mit für auf von zu zum zur über bei nach es er sie wir "
    "ihr ich im am gibt",
    "French": "le la les un une des du de est sont était a ont été que qui quoi quand où comment pourquoi quel "
    "quelle quels quelles combien et ou pas ne dans pour avec sur au aux ce cette il elle nous vous "
    "ils on il y à ça",
    "Spanish": "el la los las un una de del es son era fue ha han que qué quién quiénes cuándo dónde cómo "
    "cuánto cuánta cuántos cuántas cuál cuáles y o no en para con por sobre se su lo al está",
    "Italian": "il lo la i gli le un una di del della dei è sono era ha hanno che chi cosa quando dove come "
    "perché quale quali quanto quanti quante e o non in per con su si al alla nel",
    "Portuguese": "o a os as um uma de do da dos das é são era foi tem que quem quando onde como porquê qual quais "
    "quanto quantos quantas e ou não em para com por sobre se ao na no",
    "Dutch": "de het een is zijn was waren wordt werd heeft hebben wat wie waar wanneer waarom hoe welke "
    "hoeveel en of niet geen met voor op van naar bij over er ze we ik dat die",
}
_WORDS = {name: frozenset(words.split()) for name, words in _SMALL.items()}
_CODES = {"German": "de", "French": "fr", "Spanish": "es", "Italian": "it", "Portuguese": "pt", "Dutch": "nl"}
# What begins an English question, and is no word of these languages.
_ASKS_IN_ENGLISH = frozenset("what who when where why how which did does has".split())
_LETTERS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W_]+")
# After the last Latin letter with a mark.
_LAST_LATIN = "\u024f"


def foreign(question: str) -> tuple[str, str] | None:
    """Name and code of a question's language where that is not English, ("", "") in another script; None for English,
    and for what is too short to tell.
    """
    words = _LETTERS.findall(question.lower())
    if words and words[0] in _ASKS_IN_ENGLISH:
        return None
    if _is_other_script(words):
        return "", ""
    counts = {name: sum(word in small for word in words) for name, small in _WORDS.items()}
    # the first of those with as many: English
    best = max(counts, key=lambda name: counts[name])
    return (best, _CODES[best]) if best != "English" and counts[best] >= 2 else None


def can_answer(question: str, line: str) -> bool:
    """Whether a line that was found can answer a question for the words of both.

    The encoder and the reader know Latin letters only, and are sure of some line for what they cannot read. So a
    question in another script needs a line in another script, or one that shares a word; one without words has none.
    """
    asked = _WORD.findall(question.lower())
    if not asked:
        return False
    if not _is_other_script(_LETTERS.findall(question.lower())):
        return True
    told = _WORD.findall(line.lower())
    return any(word[0] > _LAST_LATIN for word in told) or not set(asked).isdisjoint(told)


def _is_other_script(words: Sequence[str]) -> bool:
    return sum(word[0] > _LAST_LATIN for word in words) > len(words) / 2
