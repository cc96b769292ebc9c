"""Which of a few languages a text is in, told by the small words that every sentence has. Pure."""

import re
from collections.abc import Sequence

# Small words, the commonest that ask among them. A word may be of several languages: the one with most of a text's
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
CODES = dict(zip(_SMALL, ("en", "de", "fr", "es", "it", "pt", "nl"), strict=True))
# Of running text in one of these languages about a third are such words; of their kin's, a fifth (Catalan as Spanish).
_MIN_SHARE, _MIN_LEAD, _MIN_COUNT = 0.25, 1.5, 5
_LETTERS = re.compile(r"[^\W\d_]+")


def letters_of(text: str) -> list[str]:
    """The words of a text in small letters, without digits and marks."""
    return _LETTERS.findall(text.lower())


def small_words(words: Sequence[str]) -> dict[str, int]:
    """How many of the words are small words of each language, by its English name, English first."""
    return {name: sum(word in small for word in words) for name, small in _WORDS.items()}


def language_of(text: str) -> str:
    """The code of the language of running text; empty where the text is too short or in none of those known here."""
    words = letters_of(text)
    (best, most), (_, second) = sorted(small_words(words).items(), key=lambda item: -item[1])[:2]
    is_sure = most >= max(_MIN_COUNT, _MIN_SHARE * len(words), _MIN_LEAD * second)
    return CODES[best] if is_sure else ""
