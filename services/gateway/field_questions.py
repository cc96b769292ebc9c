"""What to ask for a field of a form: a question out of its name, its description and what the form is about. Pure.

The wording was chosen on made meetings of the split "dev" (benchmarks/structured.py). English.
"""

import re

MAX_QUESTION_CHARS = 2_000
_PERSON = re.compile(
    r"\b(?:owner|assignee|assigned|responsible|who|person|author|contact person|manager|host|leader|presenter)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(r"^(?:who|whom|whose|what|when|where|why|which|how|until when|by when)\b", re.IGNORECASE)
_WHETHER = re.compile(r"^(?:whether|if|true if|true when|indicates (?:whether|if))\b(?: or not)?\s*", re.IGNORECASE)
# "Extract the details of the crane.", "What do we know about the crane?", "Fill this in: the crane"
_ABOUT = re.compile(
    r"^(?:please\s+)?(?:\w+\s+){1,9}?(?:of|about|on|for|regarding|concerning)\s+(?P<topic>.+)$|^[^:]{1,60}:\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_MAX_TOPIC_WORDS = 8
_IT = re.compile(r"\b(?P<its>its|their|his|her)\b|\b(?:it|this|them)\b", re.IGNORECASE)


def words_of(name: str) -> str:
    """A name of programs as words in small letters: "dueDate" and "due_date" are "due date"."""
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", re.sub(r"[_\W]+", " ", name)).split()).lower()


def question_of(name: str, parents: tuple[str, ...], description: str, kind: str, about: str) -> str:
    """The question for one field; `about` is the user's own, `parents` are the objects that the field is a part of."""
    topic = topic_of(about)
    what = " ".join(description.split()).rstrip(" .?") or " of the ".join(map(words_of, (name, *reversed(parents))))
    if topic and _IT.search(what):
        what = _IT.sub(lambda found: f"{topic}'s" if found["its"] else topic, what)
    elif topic:
        what = f"{what} of {topic}"
    if kind == "boolean":
        asked = f"Is it so that {_WHETHER.sub('', what)}"
    elif _ASKS.match(what):
        asked = what
    else:
        asked = f"{'Who' if _PERSON.search(f'{words_of(name)} {description}') else 'What'} is {_with_article(what)}"
    return f"{asked[:1].upper()}{asked[1:]}?{'' if topic else f' {about}'}"[:MAX_QUESTION_CHARS]


def topic_of(about: str) -> str:
    """What a form is about where its heading names that alone ("Extract the details of the crane."), else ""."""
    plain = " ".join(about.split()).rstrip(" .?!")
    found = _ABOUT.match(plain)
    topic = (found["topic"] or found["rest"]) if found else plain
    is_question = found is None and (about.rstrip().endswith("?") or _ASKS.match(plain))
    return "" if is_question or len(topic.split()) > _MAX_TOPIC_WORDS else topic


def _with_article(what: str) -> str:
    first = what.split(" ")[0].lower()
    lowered = what[:1].lower() + what[1:] if what[1:2].islower() else what
    return lowered if first in ("the", "a", "an", "its") or first.endswith("'s") else f"the {lowered}"
