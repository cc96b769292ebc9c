"""What to ask for a field of a form: a question out of its name, its description and what the form is about. Pure.

The wording was chosen on made meetings of the split "dev" (benchmarks/structured.py). English.
"""

import re

MAX_QUESTION_CHARS = 2_000
# What a field's name and description tell of its value, and how such a thing is asked for; the first that fits counts.
_KINDS = (
    ("code", "What is", r"identifier|reference|code|ticket|id|phone|telephone|extension|serial|number(?! of)"),
    ("often", "How often is", r"frequency|how often|interval|rhythm|recurrence|recurring|repeats?"),
    ("long", "How long is", r"duration|how long|how much time|time (?:that is )?needed|estimated time|effort|takes"),
    ("when", "When is", r"date|day|deadline|due|when|until|time|starts?|begins?|ends?|month|year|return|back"),
    ("where", "Where is", r"where|whereabouts|location|place|venue|room|city|site"),
    ("much", "How much is", r"cost|costs|price|amount|budget|fee|salary|revenue|money|spend|spent|total"),
    ("many", "How many are", r"count|how many|number of|quantity|headcount"),
    ("which", "Which company is", r"supplier|vendor|company|firm|supplies|supplied|provider|manufacturer"),
    (
        "who",
        "Who is",
        r"owner|assignee|assigned|responsible|who|person|author|manager|host|leader|presenter|whom|customer|contact",
    ),
)
_PATTERNS = [(kind, asks, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, asks, words in _KINDS]
_ASKS = re.compile(r"^(?:who|whom|whose|what|when|where|why|which|how|until when|by when)\b", re.IGNORECASE)
# Who does what a heading names: a thing, or a task that begins with its verb.
_DOER = re.compile(r"\b(?:owner|assignee|assigned|responsible|in charge|takes care|will do)\b", re.IGNORECASE)
_NOUN = re.compile(r"(?:the|a|an|our|my|this|that|all)\b|[A-Z]")
_NUMBER_OF = re.compile(r"^(?:the )?(?:total )?(?:number|count) of (?P<rest>.+)", re.IGNORECASE)
# Words of headings that are about no thing.
_EMPTY = frozenset(
    "a all and answer as below by data details event extract facts field fields fill find following for form from get "
    "give important in info information into it json key me meeting of out please relevant return said schema session "
    "shape shown structured tell that the these this to transcript values was were what".split()
)
# "The contract is signed" is asked as "is the contract signed", and the date of a thing as when it is.
_STATED = re.compile(r"(?P<who>.+?) (?P<verb>is|are|was|were|has|have|will|can|must) (?P<rest>.+)", re.IGNORECASE)
_WHEN_WHERE = re.compile(r"^(?:the )?(?:date|day|location|place|whereabouts) of (?=the |a |our )", re.IGNORECASE)
_NAME_OF = re.compile(r"^(?:the )?name of (?=the |a )", re.IGNORECASE)
_IS_DONE = re.compile(r"^(?!is|has|was)[a-z]*(?:ed|en|wn|ready|done|paid|sold|possible|available|urgent)$")
_DOES = re.compile(r"^(?:is|are|was|were|has|have|needs?|can|will|must|should)\b", re.IGNORECASE)
_WHETHER = re.compile(r"^(?:whether|if|true if|true when|indicates (?:whether|if))\b(?: or not)?\s*", re.IGNORECASE)
# "Extract the details of the crane.", "What do we know about the crane?", "Fill this in: the crane"
_ABOUT = re.compile(
    r"^(?:please\s+)?(?:\w+\s+){1,9}?(?:of|about|on|for|regarding|concerning)\s+(?P<topic>.+)$"
    r"|^[^:]{1,60}(?::|\bis to)\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|to|has|have|will|fill|extract|give|tell|list|find|summari[sz]e|collect)\b", re.IGNORECASE
)
_MAX_TOPIC_WORDS = 8
_IT = re.compile(r"\b(?P<its>its|their|his|her)\b|\b(?:it|this|them)\b", re.IGNORECASE)


def words_of(name: str) -> str:
    """A name of programs as words in small letters: "dueDate" and "due_date" are "due date"."""
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", re.sub(r"[_\W]+", " ", name)).split()).lower()


def sought(name: str, description: str) -> str:
    """What a field seeks: "code", "often", "long", "when", "where", "much", "many", "which", "who"; "" for anything."""
    for text in (words_of(name), description):
        for kind, _, pattern in _PATTERNS:
            if pattern.search(text):
                return kind
    return ""


def question_of(name: str, parents: tuple[str, ...], description: str, kind: str, about: str) -> str:
    """The question for one field; `about` is the user's own, `parents` are the objects that the field is a part of."""
    topic = topic_of(about)
    what = _NAME_OF.sub("", " ".join(description.split())).rstrip(" .?") or " of the ".join(
        map(words_of, (name, *reversed(parents)))
    )
    if topic and _IT.search(what):
        what = _IT.sub(lambda found: f"{topic}'s" if found["its"] else topic, what)
    elif topic:
        what = f"{topic} {what}" if kind == "boolean" and _DOES.match(what) else f"{what} of {topic}"
    if kind == "boolean" and not description and _IS_DONE.search(name):
        asked = f"Is {topic or 'it'} {words_of(name)}"
    elif kind == "boolean":
        said = _WHETHER.sub("", what)
        found = _STATED.match(said)
        asked = f"{found['verb']} {found['who']} {found['rest']}" if found else f"Is it so that {said}"
    elif topic and _DOER.search(f"{words_of(name)} {description}"):
        asked = f"Who is responsible for {topic}" if _NOUN.match(topic) else f"Who will {topic}"
    elif _ASKS.match(what):
        asked = what
    elif (count := _NUMBER_OF.match(what)) is not None:
        asked = f"How many {count['rest']} are there"
    else:
        asks = next((asks for each, asks, _ in _PATTERNS if each == sought(name, description)), "What is")
        asked = f"{asks} {_with_article(_WHEN_WHERE.sub('', what))}"
    heading = "" if topic or not _content(about) else f" {about}"
    return f"{asked[:1].upper()}{asked[1:]}?{heading}"[:MAX_QUESTION_CHARS]


def topic_of(about: str) -> str:
    """What a form is about where its heading names that alone ("Extract the details of the crane."), else ""."""
    plain = " ".join(about.split()).rstrip(" .?!")
    found = _ABOUT.match(plain)
    topic = (found["topic"] or found["rest"]) if found else plain
    if not _content(topic):
        return ""
    is_sentence = found is None and (about.rstrip().endswith("?") or _ASKS.match(plain) or _VERB.search(plain))
    return "" if is_sentence or len(topic.split()) > _MAX_TOPIC_WORDS else topic


def _content(text: str) -> list[str]:
    """Words that tell what a heading is about, beyond that a form is to be filled."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in _EMPTY]


def _with_article(what: str) -> str:
    first = what.split(" ")[0].lower()
    lowered = what[:1].lower() + what[1:] if what[1:2].islower() else what
    return lowered if first in ("the", "a", "an", "its") or first.endswith("'s") else f"the {lowered}"
