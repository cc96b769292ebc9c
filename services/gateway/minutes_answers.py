"""Questions that the minutes answer: a summary, decisions, action items, open questions, topics, who took part. Pure.

English only. A question counts when each of its words is of a closed vocabulary: "What was decided?" is told from the
minutes, "What was decided about the budget?" is left to the search. Every line of an answer is one that was said.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protos.decoder.v1 import decoder_pb2 as pb
from services.gateway.form_minutes import evidence_line
from services.gateway.formats import short_clock
from services.gateway.minutes import Item, Minutes, Sentence, is_read

TIER = "minutes"
# Lines of one part that are told; the minutes have all.
MAX_TOLD = 50

SUMMARY = ("topics", "decisions", "actions", "questions")

# What people put before a request.
_BEFORE = re.compile(
    r"^(?:(?:hey|hi|hello|ok|okay|so|and|now|please|also)\s+|"
    r"(?:can|could|would|will|may) (?:you|i|we) (?:please )?(?:have |get |see )?|"
    r"(?:i(?:'d| would) (?:like|love)|i (?:need|want))(?: to (?:have|see|get|know))? |let me (?:have|see|know) )+"
)
# Words that say one thing, and its mark. In order: a later wording may hold marks of earlier ones.
_MARKS = tuple(
    (re.compile(rf"\b(?:{wording})(?![\w'-])"), mark)
    for wording, mark in (
        (
            r"(?:(?:in|of|from|at|during|on|about) )?(?:(?:the|this|that|our|today's|last) )?(?:whole |entire )?"
            r"(?:meeting|call|session|discussion|conversation|recording|stand-?up|workshop|webinar|interview)"
            r"(?! (?:minutes|notes|summary|recap))",
            "MEETING",
        ),
        (r"who (?:ha(?:s|ve) to|needs to|must|should|will|is going to|does|promised to) ?(?:do )?what", "ACTIONS"),
        (r"(?:by|until) when|and when", ""),
        (r"(?:has|have|needs|is left) to be done|(?:have to|need to) do(?: next)?", "ACTIONS"),
        (r"action (?:items?|points?)|actions|to-?dos?|to-? ?do lists?|tasks|next steps|follow-? ?ups", "ACTIONS"),
        (r"(?:summari[sz]e|sum up|recap)(?: (?:this|that|it|everything|all))?", "SUMMARY"),
        (r"(?:meeting )?(?:summary|overview|minutes|notes)|gist|tl;?dr", "SUMMARY"),
        (r"take-?aways|highlights|(?:key|main|most important) points", "SUMMARY"),
        (r"bring me up to (?:speed|date)|catch me up|fill me in|(?:did|have) i miss(?:ed)?|happened", "SUMMARY"),
        (r"(?:decided?|agreed?|settled?)(?: up ?on| on)?|resolutions?|decisions?|agreements", "DECISIONS"),
        (r"(?:questions|issues|points) (?:are|were|stay|stayed) (?:open|pending)", "OPEN"),
        (r"(?:still|left|remains?|remained) (?:open|unclear|undecided)|un(?:resolved|answered|settled)", "OPEN"),
        (r"(?:open|outstanding|pending)(?= (?:questions?|issues?|points?)\b)", "OPEN"),
        (r"who (?:all )?(?:took part|participated|attended|was present|were present|is present|spoke)", "PEOPLE"),
        (r"who (?:was|is|were|are) (?:here|MEETING)|who joined(?= MEETING)", "PEOPLE"),
        (r"(?:who (?:are|were|is|was) )?(?:all )?(?:the )?(?:participants|attendees|speakers)", "PEOPLE"),
        (r"topics?|subjects?|themes?", "TOPICS"),
        (r"(?:discuss(?:ed)?|talk(?:ed)? about|cover(?:ed)?|go(?:ne)? (?:over|through)|came up)", "TOPICS"),
        (r"(?:what|which) (?:things|matters|points)(?= .*TOPICS)", "TOPICS"),
    )
)  # fmt: skip
# Words that ask, and add nothing to what is asked for.
_LIGHT = frozenset(
    "what which are is was were be been has have had did do does there the a an all any some of our us me my main key "
    "final important major most brief short quick list give show tell get make write create read out to in please so "
    "far yet now today again overall made taken reached raised found anything something everything we they you "
    "everyone everybody people team group board committee council still left remain remains remained briefly for and "
    "next".split()
)
# Words beside a mark that say no more than it does.
_BESIDE = {
    "OPEN": frozenset("questions question issues issue points point".split()),
    "TOPICS": frozenset("things matters".split()),
}
_KINDS = {
    "SUMMARY": SUMMARY,
    "TOPICS": ("topics",),
    "DECISIONS": ("decisions",),
    "ACTIONS": ("actions",),
    "OPEN": ("questions",),
    "PEOPLE": ("people",),
}
_TOLD = {
    "people": ("Who spoke", "I heard nobody speak."),
    "topics": ("Topics", "I heard no topic."),
    "decisions": ("Decisions", "I heard no decision."),
    "actions": ("Action items", "I heard no action item."),
    "questions": ("Open questions", "I heard no question that stayed open."),
}
_NOTHING = "I heard nothing to sum up."
_OTHER_LANGUAGE = "I can tell decisions, action items and open questions of English meetings only."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Parts of the minutes that a question asks for; `of` are words that should name whose action items."""

    kinds: tuple[str, ...]
    of: str = ""

    @property
    def needs_topics(self) -> bool:
        """Whether the decoder must cut the meeting into topics."""
        return "topics" in self.kinds


def wanted(question: str) -> Wanted | None:
    """What of the minutes answers a question; None for all others."""
    plain = " ".join(re.sub(r"[^\w\s';-]", " ", question.lower().replace("\u2019", "'")).split())
    plain = re.sub(r"\b(what|who|which)'s\b", r"\1 is", plain)
    marked = _BEFORE.sub("", plain)
    for wording, mark in _MARKS:
        marked = wording.sub(mark, marked)
    words = marked.split()
    marks = {word for word in words if word in _KINDS}
    if not marks:
        # "What was the meeting about?"
        is_about = re.fullmatch(r"what (?:is|was) MEETING (?:all )?about", marked) is not None
        return Wanted(SUMMARY) if is_about else None
    beside = frozenset().union(*(_BESIDE.get(mark, frozenset()) for mark in marks))
    left = [word for word in words if word not in marks | _LIGHT | beside | {"MEETING"}]
    if "SUMMARY" in marks:
        marks = {"SUMMARY"}
    if left and marks != {"ACTIONS"}:
        return None
    kinds = {kind for mark in marks for kind in _KINDS[mark]}
    # in the order in which they are told
    return Wanted(tuple(kind for kind in _TOLD if kind in kinds), _owner(left))


def _owner(left: Sequence[str]) -> str:
    """Whose "tom's" is: "tom". Words that name nobody are seen when the minutes are there."""
    return re.sub(r"'s$|(?<=s)'$", "", " ".join(left))


def answer(asked: Wanted, minutes: Minutes) -> pb.Answer | None:
    """The lines that were asked for; None when they are somebody's, or something's, that has none."""
    actions = minutes.actions
    if asked.of:
        owner = minutes.owner_named(asked.of)
        actions = tuple(item for item in actions if owner is not None and item.owner == owner)
        if not actions:
            return None
    parts = {kind: _part(kind, minutes, actions) for kind in asked.kinds}
    told = [_as_text(kind, lines, len(asked.kinds) > 1) for kind, (lines, _) in parts.items() if lines]
    evidence = [evidence_line(sentence) for _, said in parts.values() for sentence in said]
    if not told:
        nothing = _TOLD[asked.kinds[0]][1] if len(asked.kinds) == 1 else _NOTHING
        told = [_OTHER_LANGUAGE if _is_unread(asked, minutes) else nothing]
    elif _is_unread(asked, minutes):
        told.append(_OTHER_LANGUAGE)
    return pb.Answer(
        text="\n\n".join(told),
        abstained=not evidence,
        evidence=evidence,
        tier=TIER,
        activation=pb.Activation(
            experts=[TIER, "minilm"] if asked.needs_topics else [TIER],
            reason="told from the minutes, which copy what was said",
            escalation=pb.EscalationReport(outcome="not_needed", reason="the minutes tell it"),
        ),
    )


def _is_unread(asked: Wanted, minutes: Minutes) -> bool:
    return not is_read(minutes.document) and bool({"decisions", "actions", "questions"} & set(asked.kinds))


def _part(kind: str, minutes: Minutes, actions: Sequence[Item]) -> tuple[list[str], list[Sentence]]:
    """The lines of one part as text, and what they stand on; at most MAX_TOLD, and a line that counts the others."""
    items: Sequence[Item]
    write: Callable[[Item], str] = _line
    match kind:
        case "people":
            items, write = [Item(said.speaker, (said,)) for said in minutes.first_words], _person
        case "topics":
            items, write = [Item(topic.title, (topic.evidence,)) for topic in minutes.topics], _topic
        case "actions":
            items, write = actions, _action
        case _:
            items = minutes.decisions if kind == "decisions" else minutes.questions
    lines = [write(item) for item in items[:MAX_TOLD]]
    if len(items) > MAX_TOLD:
        lines.append(f"and {len(items) - MAX_TOLD} more, which the minutes have")
    return lines, [sentence for item in items[:MAX_TOLD] for sentence in item.evidence]


def _as_text(kind: str, lines: Sequence[str], has_heading: bool) -> str:
    heading = [f"{_TOLD[kind][0]}:"] if has_heading else []
    return "\n".join([*heading, *(f"- {line}" for line in lines)])


def _line(item: Item) -> str:
    first, *replies = item.evidence
    said = f'{first.speaker or "Somebody"} at {short_clock(first.start_sample)}: "{first.text}"'
    return said + "".join(f' {reply.speaker or "Somebody"}: "{reply.text}"' for reply in replies)


def _action(item: Item) -> str:
    whose = ", ".join(filter(None, (item.owner or "Nobody named", item.due)))
    return f"{whose} ({_line(item)})"


def _topic(item: Item) -> str:
    return f"{item.text} ({_line(item)})"


def _person(item: Item) -> str:
    return f"{item.text} (first at {short_clock(item.evidence[0].start_sample)})"
