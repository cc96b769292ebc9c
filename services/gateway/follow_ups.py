"""Questions that go on from an earlier one: "And who takes that?", "Why not?", "How much is one?". Pure; English only.

Such a question is asked with the words of the earlier one in the place of its pronoun, and words of the line that
answered it. Which words these are was chosen on the "development" part of benchmarks/follow_ups.json. A question that
has words enough of its own is asked as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Own words that a question with a pronoun has at most, and one without a verb ("And the rollback?").
MAX_OWN, MAX_OWN_BARE = 3, 2
# Words of the answer that are added, and of the earlier question at most.
ANSWER_WORDS = 8
TOPIC_WORDS = 12
MAX_CHARS = 2_000
_WORD = re.compile(r"[^\W_]+(?:['’.:,-][^\W_]+)*")
_LIGHT = frozenset(
    "a an the is are was were be been being do does did has have had will would can could shall should must may "
    "might i you he she it we they me him her us them my your his its our their mine yours theirs this that these "
    "those of in on at to for from by with about and or but not no what which who whom whose when where why how "
    "much many long often any as so if then there here now too also else exactly again really just please tell "
    "give say says said mean means happen happens happened ones one some more since until ago let ok okay yes".split()
)
_LEAD = re.compile(r"^(?:(?:and|but|so|ok|okay|then|well)[, ]+)+", re.IGNORECASE)
_BEGINS = re.compile(
    r"^(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|do|does|did|has|have|had|will|would|can|could|"
    r"shall|should|must|may|might|tell|show|give|list|summari[sz]e)\b",
    re.IGNORECASE,
)
# Pronouns for something said before. "Is it true", "are there" and "that the" stand for nothing.
_PRONOUN = re.compile(
    r"\b(?:they|them|theirs?|its|he|she|him|his|hers?|it(?! (?:true|possible|right|clear|okay|ok)\b)"
    r"|(?:this|that|these|those)(?: one)?(?=(?:\s+[\w'-]+){0,2}\W*$)"
    r"|(?<!\bare )(?<!\bis )(?:there|then|ones?)(?=\W*$))\b",
    re.IGNORECASE,
)
# "They" that are anybody.
_ANYBODY = re.compile(
    r"\bthey (?:all )?(?:say|said|talk|talked|discuss|discussed|decide|decided|agree|agreed|mention|mentioned|think)\b",
    re.IGNORECASE,
)
# What follows a pronoun, and says itself what the question is about: "does it say about the roof".
_OF_SOMETHING = re.compile(
    r"\b(?:about|for|of|with|on|in|at|to|from) (?:the |a |an |our |your )?\w+\W*$", re.IGNORECASE
)
_QUOTED = re.compile(r': "(.+)"$')


@dataclass(frozen=True, slots=True)
class Turn:
    """What was asked before, and what was answered: a text in which lines are quoted, or "" where nothing was."""

    question: str
    answer: str = ""


def resolved(question: str, earlier: Sequence[Turn]) -> str:
    """The question with what it takes from earlier ones, the last turn last; as it is when it stands alone."""
    if not is_follow_up(question):
        return question
    whole = next((turn.question for turn in reversed(earlier) if not is_follow_up(turn.question)), None)
    if whole is None:
        return question
    about = _content(whole)[:TOPIC_WORDS]
    known = {word.lower() for word in (*about, *_content(question))}
    found = _QUOTED.search(earlier[-1].answer.split("\n")[0])
    told = [word for word in _content(found[1] if found else "") if word.lower() not in known][:ANSWER_WORDS]
    bare = _LEAD.sub("", question.strip())
    topic = "the " + " ".join(about)
    asked, changed = _PRONOUN.subn(topic, bare, count=1)
    if not changed:
        asked = f"{bare.rstrip('?!. ')} of {topic}?"
    asked = " ".join([asked, *told])
    return asked if about and len(asked) <= MAX_CHARS else question


def is_follow_up(question: str) -> bool:
    """Whether a question has no words of its own, or few of them and a pronoun for something said before."""
    own = _content(question)
    bare = _LEAD.sub("", question.strip())
    if not own:
        return bool(bare)
    if (found := _PRONOUN.search(bare)) is not None and not _ANYBODY.search(bare):
        has_name = any(word[0].isupper() for word in own if not bare.startswith(word))
        after = bare[found.end() :]
        is_whole = has_name or len(_content(after)) > 1 or _OF_SOMETHING.search(after) is not None
        return len(own) <= MAX_OWN and not is_whole
    return bare != question.strip() and not _BEGINS.match(bare) and len(own) <= MAX_OWN_BARE


def _content(text: str) -> list[str]:
    """Words that say what a text is about, each once."""
    return list(dict.fromkeys(word for word in _WORD.findall(text) if word.lower() not in _LIGHT))
