"""Invented meetings with exact truth, from a seed: lines as a recogniser and an OCR would bring them, and questions.

Facts come from the kinds of meeting in domains.toml, their wording from wording.toml; some, which are asked for in
other words than they are told in, from loose.toml. Kinds, people, wordings and loose facts of dev and test are never
seen in train. A question without an answer asks for a fact that is missing from lines with the
right words, for what another person said, for something of the same kind that never came up, or for something else.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tools.train_decoder.noise import Noise

_HERE = Path(__file__).parent
SPLITS = ("train", "dev", "test")
_SLOT = re.compile(r"\{(\w+)\}")
_PEOPLE = {
    "train": "Anna Ben Carla David Emma Felix Grace Henry Ines Jack Katja Luis Maya Nadia Oscar Paula Quentin Rosa "
    "Samir Tina Ulrich Vera Walter Yusuf Zoe Arjun Bianca Chen Dmitri Elif Farid Greta Hiroshi Isabel Jonas Kofi "
    "Leila Marco Nora Omar Petra Ravi Sophie Theo Wendy Claire Martin Susan Robert Linda",
    "dev": "Amira Bruno Cecile Derek Esther Finn Gloria Hassan Irene Joel Karin Lorenzo Mei Nils",
    "test": "Aisha Bernd Chloe Diego Eleni Fatou Gustav Hanna Ivan Judith Kwame Lucia Mateo Ngozi Olga Pavel",
}
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_STATES = (
    "finished, almost done, on hold, blocked, approved, rejected, behind schedule, ready for review, still broken, "
    "half done, out of order, on track, cancelled, waiting for a signature, two weeks late, not started, sold out, "
    "signed, being tested, fully booked"
).split(", ")
_OFTEN = (
    "every Monday, every two weeks, once a month, twice a year, every day, once a quarter, three times a week".split(
        ", "
    )
)
_UNITS_OF_TIME = ("minutes", "hours", "days", "weeks", "months")
_CURRENCIES = ("euros", "dollars", "pounds", "francs")
# The same question would be answered by either: never both about one thing.
_ALIKE = ({"due", "duration", "status", "problem"}, {"event", "start", "often"}, {"where", "firm"}, {"cost"}, {"code"})
ABOUT = re.compile(r"\b(said|reported|mentioned|remark|update|up with)\b|^What is .* doing")
# The share of loose facts.
_LOOSE = 0.35
_TRAPS = (*["other fact"] * 4, *["other property"] * 3, *["never said"] * 2, *["other speaker"] * 2, "nowhere")
_ENTITIES = ("thing", "event", "place", "firm", "option")
# Questions that begin so may be answered by facts of these relations.
_TOLD_BY = {
    "When": ("due", "event", "start", "often", "away", "status"),
    "Where": ("where", "firm"),
    "Who": ("firm", "owner"),
    "Why": ("why", "problem"),
    "How": ("cost", "count", "duration", "often"),
    "What": ("code", "status", "problem", "choice"),
    "Which": ("firm", "code", "choice"),
    "Since": ("status", "problem"),
}
_OPENERS = (
    "So, ",
    "Okay, ",
    "Well, ",
    "Um, ",
    "And ",
    "Right, ",
    "Also, ",
    "Yeah, ",
    "Alright, ",
    "I think ",
    "Just so you know, ",
    "Oh, ",
    "Uh, so ",
)
_ENDINGS = (", right?", ", I guess.", ", by the way.", ", I think.", ", okay?", ", as I said.", ", so there's that.")
_ASIDES = ("Quick question: ", "Remind me, ", "One more thing, ", "According to the meeting, ", "Sorry, ")
_MOMENTS = {
    "train": (
        "When did {P} talk about {topic}?",
        "At what point was {topic} discussed?",
        "When did they mention {topic}?",
        "{P} talked about {topic}",
        "{topic} came up",
        "At what minute did {P} mention {topic}?",
    ),
    "dev": ("When did {P} bring up {topic}?", "somebody mentioned {topic}"),
    "test": ("When did {P} speak about {topic}?", "When was {topic} mentioned?"),
}
_SAME = (
    ("fix", "repair"),
    ("order", "buy"),
    ("call", "phone"),
    ("customers", "clients"),
    ("choose", "pick"),
    ("write", "draft"),
    ("finished", "completed"),
    ("price", "cost"),
    ("help", "assist"),
    ("test", "try out"),
    ("start", "begin"),
    ("show", "display"),
    ("send", "mail"),
    ("hire", "employ"),
    ("big", "large"),
    ("clean", "wash"),
    ("company", "firm"),
    ("mistake", "error"),
    ("book", "reserve"),
    ("need", "require"),
    ("car", "vehicle"),
    ("children", "kids"),
    ("repair", "fix"),
    ("buy", "purchase"),
    ("rent", "hire"),
    ("quick", "fast"),
    ("check", "verify"),
    ("talk to", "speak with"),
    ("replace", "swap"),
    ("print", "print out"),
)


@dataclass(frozen=True)
class Piece:
    """One line: who said it ("screen" when it was shown), at which second, and where its facts stand in the text."""

    second: float
    who: str
    text: str
    spans: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Question:
    """A question; `gold` maps lines to the answer's place in it: a span, "speaker" or None for all of it.

    `outdated` lines answered it until something else was said.
    """

    text: str
    kind: str
    gold: dict[int, tuple[int, int] | str | None]
    answer: str = ""
    outdated: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Meeting:
    """Lines in order, what speakers are called, questions, and the facts that they are about."""

    name: str
    split: str
    speakers: dict[str, str]
    lines: list[Piece]
    questions: list[Question]
    facts: list["Fact"]


@dataclass
class Fact:
    """What a meeting tells: `slots[key]` is what it is about, `lines` those that tell it."""

    relation: str
    slots: dict[str, str]
    key: str
    speaker: str = ""
    mine: bool = False
    lines: list[int] = field(default_factory=list)


@cache
def table(name: str) -> dict[str, Any]:
    """One of this folder's TOML files."""
    return tomllib.loads((_HERE / name).read_text("utf-8"))


def domains(split: str) -> list[str]:
    """Kinds of meeting of one split."""
    return [name for name, domain in table("domains.toml").items() if domain["split"] == split]


def wordings(forms: Sequence[str], split: str) -> list[str]:
    """The part of some wordings that a split may use."""
    if len(forms) < 6:
        return list(forms)
    place = {"dev": (4,), "test": (5,)}.get(split, (0, 1, 2, 3))
    return [form for index, form in enumerate(forms) if index % 6 in place]


@cache
def _loose(split: str) -> dict[str, Any]:
    """The loose facts that a split may use, as relations of wording.toml: a meeting has one of each at most."""
    facts = table("loose.toml")["fact"]
    chosen = {"dev": (4,), "test": (5,)}.get(split, (0, 1, 2, 3))
    return {
        f"loose{index}": fact | {"key": "matter", "ask": {fact.get("slot", "a"): fact["ask"]}}
        for index, fact in enumerate(facts)
        if index % 6 in chosen
    }


def make(split: str, seed: int) -> Meeting:
    """One meeting. The same split and seed give the same meeting."""
    return Maker(split, seed).make()


class Maker:
    """Makes one meeting, `make` once."""

    def __init__(self, split: str, seed: int) -> None:
        self.split, self.seed = split, seed
        self.rng = random.Random(f"{split}-{seed}")  # noqa: S311  # not for secrets
        names = domains(split)
        self.name = names[seed % len(names)]
        self.domain = table("domains.toml")[self.name]
        self.loose = _loose(split)
        self.words = table("wording.toml") | self.loose
        # the table of small talk is for the whole of every split: it answers nothing
        self.talk = self.words["small_talk"]
        people = self.rng.sample(_PEOPLE[split].split(), 9)
        count = self.rng.randint(2, 6)
        self.names = {f"S{i + 1}": name for i, name in enumerate(people[:count])}
        if self.rng.random() < 0.12:
            self.names = {label: label for label in self.names}
        self.others = people[count:]
        self.noise = Noise(self.rng)
        self.lines: list[Piece] = []
        self.facts: list[Fact] = []
        self.missed: list[tuple[str, dict[str, str]]] = []
        self.second = 0.0

    def make(self) -> Meeting:
        """Facts, the lines that tell them among others, and the questions."""
        wanted = self.rng.choice((8, 14, 20, 26))
        self.facts = self._facts(wanted)
        shown = [fact for fact in self.facts if self.rng.random() < 0.3 and "show" in self.words[fact.relation]]
        for fact in self.facts:
            if fact in shown and self.rng.random() < 0.8:
                continue
            self._say(fact)
            while self.rng.random() < 0.45:
                self._chat()
            if self.rng.random() < 0.08:
                self._miss()
        while shown:
            part, shown = shown[: self.rng.randint(1, 5)], shown[5:]
            self._show(part)
        order = self._shuffle()
        asked = list(self._questions()) + list(self._unanswerable())
        self.rng.shuffle(asked)
        moved = [Question(q.text, q.kind, {order[i]: where for i, where in q.gold.items()}, q.answer) for q in asked]
        facts = [replace(fact, lines=[order[i] for i in fact.lines]) for fact in self.facts]
        return Meeting(f"{self.name}-{self.seed}", self.split, self.names, self.lines, moved, facts)

    # -- facts --------------------------------------------------------------------------------

    def _facts(self, wanted: int) -> list[Fact]:
        # few things, many facts about each: the right words alone must not be enough
        self.things = self.rng.sample(self.domain["things"], min(len(self.domain["things"]), max(3, wanted // 3)))
        found: list[Fact] = []
        for _ in range(wanted * 3):
            if len(found) == wanted:
                break
            fact = self._fact(self._relation())
            if fact is not None and not self._clashes(fact, found):
                found.append(fact)
        return found

    def _relation(self) -> str:
        others = [name for name in self.words if name not in ("small_talk", "properties", *self.loose)]
        return self.rng.choice(list(self.loose) if self.rng.random() < _LOOSE else others)

    def _clashes(self, fact: Fact, found: list[Fact]) -> bool:
        mine = fact.slots[fact.key]
        for other in found:
            if other.slots[other.key] != mine:
                continue
            if other.relation == fact.relation:
                return True
            if any({fact.relation, other.relation} <= alike for alike in _ALIKE):
                return True
        return False

    def _fact(self, relation: str) -> Fact | None:
        rng, domain = self.rng, self.domain
        words = self.words[relation]
        slots = self._values()
        slots |= {
            "thing": the(rng.choice(self.things)),
            "event": the(rng.choice(domain["events"])),
            "task": rng.choice(domain["tasks"]),
            "counted": rng.choice(domain["counted"]),
            "role": rng.choice(domain["roles"]),
            "firm": rng.choice(domain["firms"]),
            "place": rng.choice(domain["places"]),
        }
        if relation in self.loose:
            slots |= {"matter": relation, "a": rng.choice(words.get("a", [""]))}
        quantity, unit = rng.choice(domain["measured"]).split(" = ")
        slots |= {"quantity": quantity, "value": f"{self._number()} {unit}", "other": f"{self._number()} {unit}"}
        if relation == "problem":
            slots["thing"], slots["wrong"] = rng.choice(domain["problems"]).split(" = ")
        if relation == "why":
            slots["whyq"], slots["effect"], slots["cause"] = rng.choice(domain["whys"]).split(" = ")
        if relation == "choice":
            slots["class"], slots["purpose"], options = rng.choice(domain["choices"]).split(" = ")
            slots["option"], slots["other"] = rng.sample(options.split(", "), 2)
        speaker = rng.choice(list(self.names))
        if relation == "opinion":
            slots["topic"], slots["view"] = rng.choice(domain["opinions"]).split(" = ")
        is_mine = "say" not in words or ("mine" in words and rng.random() < 0.5)
        slots["P"] = self.names[speaker] if is_mine else rng.choice([*self.names.values(), *self.others])
        if not is_mine and not slots["P"][1:].isalpha():
            return None
        return Fact(relation, slots, words["key"], speaker, is_mine)

    def _values(self) -> dict[str, str]:
        rng = self.rng
        date, on_date = self._date()
        hour, minute = rng.randint(7, 21), rng.choice((0, 0, 15, 30, 45, rng.randint(1, 59)))
        time = rng.choice(
            (
                f"{hour}:{minute:02}",
                f"{(hour - 1) % 12 + 1} {'am' if hour < 12 else 'pm'}",
                f"half past {_spelled((hour - 1) % 12 + 1)}",
                f"{_spelled((hour - 1) % 12 + 1)} o'clock",
                f"{(hour - 1) % 12 + 1}:{minute:02} {'am' if hour < 12 else 'pm'}",
            )
        )
        letters = "".join(rng.sample("ABCDEFGHKLMNPRSTUVWX", rng.randint(1, 3)))
        return {
            "date": date,
            "on_date": on_date,
            "time": time,
            "n": self._number(whole=True),
            "money": rng.choice(
                (
                    f"{self._number()} {rng.choice(_CURRENCIES)}",
                    f"${rng.randint(2, 990)}",
                    f"{rng.randint(2, 99) * 1000:,} {rng.choice(_CURRENCIES)}",
                )
            ),
            "state": rng.choice(_STATES),
            "often": rng.choice(_OFTEN),
            "duration": f"{rng.choice((str(rng.randint(2, 48)), _spelled(rng.randint(2, 20))))} "
            f"{rng.choice(_UNITS_OF_TIME)}",
            "code": rng.choice(
                (f"{letters}-{rng.randint(2, 999)}", str(rng.randint(1000, 99999)), f"{letters}{rng.randint(10, 999)}")
            ),
            "phone": rng.choice((str(rng.randint(100, 9999)), f"0{rng.randint(20, 999)} {rng.randint(1000, 99999)}")),
        }

    def _date(self) -> tuple[str, str]:
        rng = self.rng
        day, month, weekday = rng.randint(1, 28), rng.choice(_MONTHS), rng.choice(_WEEKDAYS)
        ordinal = _ORDINALS[day - 1] if day <= 20 and rng.random() < 0.5 else f"{day}{_suffix(day)}"
        kinds = (
            weekday,
            weekday,
            f"{month} {day}{_suffix(day)}",
            f"the {ordinal} of {month}",
            f"{weekday} the {ordinal}",
            f"{month} {day}",
        )
        if rng.random() < 0.7:
            date = rng.choice(kinds)
            return date, f"on {date}"
        date = rng.choice(
            (
                f"next {weekday}",
                "tomorrow",
                "next week",
                f"the end of {month}",
                "the end of the month",
                f"week {rng.randint(2, 51)}",
                f"mid {month}",
                "tonight",
                f"{weekday} morning",
            )
        )
        starts = {"the": "at ", "week": "in ", "mid": "in "}
        return date, starts.get(date.split()[0], "") + date

    def _number(self, *, whole: bool = False) -> str:
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return _spelled(rng.randint(2, 99))
        if kind < 0.75:
            return str(rng.choice((rng.randint(2, 99), rng.randint(100, 999))))
        if kind < 0.9 or whole:
            return f"{rng.randint(1000, 99000):,}"
        return f"{rng.uniform(0.1, 99):.1f}"

    # -- lines --------------------------------------------------------------------------------

    def _forms(self, relation: str, kind: str) -> list[str]:
        return wordings(self.words[relation].get(kind, []), self.split)

    def _render(self, form: str, slots: dict[str, str], *, noisy: bool) -> tuple[str, tuple[tuple[str, int, int], ...]]:
        """Fill a wording; every slot knows its place in the outcome."""
        text, spans = "", []
        for part in re.split(r"(\{\w+\})", form):
            slot = _SLOT.fullmatch(part)
            name = slot[1] if slot else ""
            value = _fill(name, slots) if slot else part
            if noisy:
                value = self.noise.heard(value, is_start=not text)
            if not text and value:
                value = value[0].upper() + value[1:] if not self.noise.is_plain else value
            if slot and value:
                spans.append((name if name == "P" else name.lower(), len(text), len(text) + len(value)))
            text += value
        return text, tuple(spans)

    def _say(self, fact: Fact) -> None:
        forms = self._forms(fact.relation, "mine" if fact.mine else "say")
        parts = self.rng.choice(forms).split(" || ")
        answerer = fact.speaker
        first = self._another(answerer) if len(parts) == 2 else answerer
        asked_first = len(parts) == 2 and any(
            "{" + slot in parts[1] for slot in self.words[fact.relation]["ask"] if slot != fact.key
        )
        # "Who can do it? || I can": the second line holds the answer, who speaks
        holds = 1 if len(parts) == 2 and (asked_first or fact.mine) else 0
        if len(parts) == 2 and not holds:
            first, answerer = fact.speaker, first
        for place, (part, who) in enumerate(
            zip(parts, (first, answerer) if len(parts) == 2 else (first,), strict=True)
        ):
            index = self._put(who, part, fact.slots)
            if place == holds:
                fact.lines.append(index)
                fact.speaker = who
        if self.rng.random() < 0.15 and not fact.mine:
            again = self.rng.choice([form for form in forms if "||" not in form] or ["{" + fact.key + "}"])
            if "||" not in again and all(
                "{" + s in again.lower().replace("{p", "{P") for s in self.words[fact.relation]["ask"]
            ):
                fact.lines.append(self._put(self.rng.choice(list(self.names)), again, fact.slots))

    def _put(self, who: str, form: str, slots: dict[str, str]) -> int:
        rng = self.rng
        if rng.random() < 0.3:
            opener = rng.choice(_OPENERS)
            form = opener + form
        if rng.random() < 0.08 and form.endswith("."):
            form = form[:-1] + rng.choice(_ENDINGS)
        text, spans = self._render(form, slots, noisy=True)
        return self._append(who, text, spans)

    def _append(self, who: str, text: str, spans: tuple[tuple[str, int, int], ...] = ()) -> int:
        self.second += self.rng.uniform(2, 9)
        self.lines.append(Piece(round(self.second, 1), who, text, spans))
        return len(self.lines) - 1

    def _chat(self) -> None:
        self._append(self.rng.choice(list(self.names)), self.noise.heard(self.rng.choice(self.talk["lines"])))

    def _miss(self) -> None:
        fact = self._fact(self._relation())
        if fact is None or "missing" not in self.words[fact.relation] or self._clashes(fact, self.facts):
            return
        forms = self._forms(fact.relation, "missing")
        who = fact.speaker
        for part in self.rng.choice(forms).split(" || "):
            self._put(who, part, fact.slots)
            who = self._another(who)
        self.missed.append((fact.relation, fact.slots))

    def _show(self, facts: Sequence[Fact]) -> None:
        title = self.rng.choice(self.talk["shown"]) if self.rng.random() < 0.6 else self.rng.choice(self.things).title()
        self.second += self.rng.uniform(2, 9)
        self.lines.append(Piece(round(self.second, 1), "screen", title))
        for fact in facts:
            plain = fact.slots | {
                slot: re.sub("^the ", "", fact.slots[slot])
                for slot in ("thing", "event", "topic")
                if slot in fact.slots
            }
            text, spans = self._render(self.rng.choice(self._forms(fact.relation, "show")), plain, noisy=False)
            self.lines.append(Piece(round(self.second, 1), "screen", self.noise.read(text), spans))
            fact.lines.append(len(self.lines) - 1)
        while self.rng.random() < 0.5:
            self.lines.append(Piece(round(self.second, 1), "screen", self.rng.choice(self.talk["shown"])))

    def _shuffle(self) -> dict[int, int]:
        """Blocks of lines in another order, neighbours of one speaker joined; returns where each line went."""
        blocks: list[list[int]] = []
        for index, line in enumerate(self.lines):
            same = (
                blocks
                and self.lines[blocks[-1][-1]].who == "screen" == line.who
                and self.lines[blocks[-1][-1]].second == line.second
            )
            previous = self.lines[index - 1].text if index else ""
            if (
                same
                or (index and previous.endswith("?") and line.who != "screen")
                or (index and self.noise.is_plain and self.rng.random() < 0.8)
            ):
                blocks[-1].append(index) if blocks else blocks.append([index])
            else:
                blocks.append([index])
        self.rng.shuffle(blocks)
        old, second = self.lines, 0.0
        lines: list[Piece] = []
        moved: dict[int, int] = {}
        for block in blocks:
            for place, index in enumerate(block):
                line = old[index]
                if not (line.who == "screen" and place and old[block[place - 1]].who == "screen"):
                    second += self.rng.uniform(2, 9)
                last = lines[-1] if lines else None
                if (
                    last is not None
                    and line.who == last.who != "screen"
                    and self.rng.random() < 0.5
                    and len(last.text.split()) + len(line.text.split()) < 36
                ):
                    shift = len(last.text) + 1
                    spans = last.spans + tuple((f"{name}@{index}", a + shift, b + shift) for name, a, b in line.spans)
                    lines[-1] = Piece(last.second, last.who, f"{last.text} {line.text}", spans)
                else:
                    spans = tuple((f"{name}@{index}", a, b) for name, a, b in line.spans)
                    lines.append(Piece(round(second, 1), line.who, line.text, spans))
                moved[index] = len(lines) - 1
        self.lines = lines
        return moved

    def _another(self, who: str) -> str:
        return self.rng.choice([other for other in self.names if other != who])

    # -- questions ----------------------------------------------------------------------------

    def _questions(self) -> Iterator[Question]:
        for fact in self.facts:
            if not fact.lines:
                continue
            asks = self.words[fact.relation]["ask"]
            for slot in asks:
                form = self.rng.choice(wordings(asks[slot], self.split))
                if "{P}" in form and not fact.slots["P"][1:].isalpha():
                    continue
                yield from self._question(fact, slot, form)
        named = [
            fact for fact in self.facts if fact.relation == "opinion" and fact.lines and fact.slots["P"][1:].isalpha()
        ]
        for fact in named[:2]:
            form = self.rng.choice(_MOMENTS[self.split])
            gold: dict[int, tuple[int, int] | str | None] = dict.fromkeys(fact.lines)
            yield Question(ask(form, fact.slots), "moment", gold, "")

    def _question(self, fact: Fact, slot: str, form: str) -> Iterator[Question]:
        given = [name if name == "P" else name.lower() for name in _SLOT.findall(form)]
        given = [{"tasking": "task", "effect": "whyq", "on_date": "date"}.get(name, name) for name in given]
        gold: dict[int, tuple[int, int] | str | None] = {}
        answer = fact.slots[slot]
        for other in self.facts:
            if other.relation != fact.relation or any(other.slots[name] != fact.slots[name] for name in given):
                continue
            for line in other.lines:
                gold[line] = self._place(line, other, slot)
        if ABOUT.search(form):
            for other in self.facts:
                if other.slots[other.key] == fact.slots[fact.key]:
                    gold |= {line: None for line in other.lines if line not in gold}
        if not gold:
            return
        text = self._asked(ask(form, fact.slots))
        yield Question(text, f"{fact.relation}.{slot}", gold, answer)

    def _place(self, line: int, fact: Fact, slot: str) -> tuple[int, int] | str | None:
        found: tuple[int, int] | str | None = "speaker" if slot == "P" and fact.mine else None
        for piece in self.lines:
            for name, start, end in piece.spans:
                tag, _, index = name.partition("@")
                if index == str(line) and {"on_date": "date"}.get(tag, tag) == slot:
                    found = (start, end)
        return found

    def _asked(self, text: str) -> str:
        rng = self.rng
        if rng.random() < 0.15:
            pair = [(a, b) for a, b in _SAME if re.search(rf"\b{a}\b", text)]
            if pair:
                old, new = rng.choice(pair)
                text = re.sub(rf"\b{old}\b", new, text)
        if rng.random() < 0.06:
            aside = rng.choice(_ASIDES)
            text = aside + text[0].lower() + text[1:]
        if rng.random() < 0.12:
            text = text.lower().rstrip("?")
        return text

    def _unanswerable(self) -> Iterator[Question]:
        rng = self.rng
        for relation, slots in self.missed:
            yield from self._about_nothing(relation, slots, "missing")
        for _ in range(len(self.facts) * 3 // 4 + 3):
            kind = rng.choice(_TRAPS)
            if kind == "nowhere":
                yield Question(rng.choice(wordings(self.talk["nowhere"], self.split)), "nowhere", {})
            elif kind == "other speaker":
                yield from self._other_speaker()
            elif kind == "other property":
                yield from self._other_property()
            else:
                yield from self._other_fact(kind)

    def _other_fact(self, kind: str) -> Iterator[Question]:
        """A fact that nobody told, about what was talked of ("other fact") or about what was not ("never said")."""
        for _ in range(12):
            fact = self._fact(self._relation())
            if fact is None or self._clashes(fact, self.facts):
                continue
            mentioned = any(fact.slots[fact.key] in other.slots[other.key] for other in self.facts)
            if mentioned == (kind == "other fact"):
                asked = list(self._about_nothing(fact.relation, fact.slots, kind))
                if asked:
                    yield from asked
                    return

    def _other_property(self) -> Iterator[Question]:
        """What nobody told about a thing, an event, a place, a firm or a choice that came up."""
        told = [
            (fact.slots[slot], slot)
            for fact in self.facts
            if fact.lines
            for slot in _ENTITIES
            if slot in self.words[fact.relation]["ask"] or slot == fact.key
        ]
        if not told:
            return
        entity, slot = self.rng.choice(told)
        known = {fact.relation for fact in self.facts if entity in fact.slots.values()}
        forms = [
            form
            for form in wordings(self.words["properties"]["ask"], self.split)
            if not known & set(_TOLD_BY.get(form.split()[0], ()))
        ]
        if slot in ("firm", "option"):
            entity = re.sub("^the ", "", entity)
        if forms:
            form = self.rng.choice(forms)
            yield Question(self._asked(form.replace("{x}", entity)), "other property", {})

    def _about_nothing(self, relation: str, slots: dict[str, str], kind: str) -> Iterator[Question]:
        words = self.words[relation]
        asks = [slot for slot in words["ask"] if slot != words["key"]]
        forms = [form for slot in asks for form in wordings(words["ask"][slot], self.split)]
        forms = [
            form
            for form in forms
            if not ABOUT.search(form)
            and (
                relation in self.loose
                or "{" + words["key"] in form.replace("{tasking", "{task").replace("{effect", "{whyq")
            )
        ]
        if relation == "opinion":
            # nobody said anything about it, or one was the speaker that other questions ask about
            forms = [
                form
                for form in forms
                if not any(
                    fact.slots.get("topic") == slots["topic"] for fact in self.facts if fact.relation == relation
                )
            ]
        if forms and (slots["P"][1:].isalpha() or not any("{P}" in form for form in forms)):
            yield Question(self._asked(ask(self.rng.choice(forms), slots)), kind, {})

    def _other_speaker(self) -> Iterator[Question]:
        said = [
            fact
            for fact in self.facts
            if fact.relation in ("opinion", "suggest", "owner", "contact", "away") and fact.lines
        ]
        if not said:
            return
        fact = self.rng.choice(said)
        theirs = {other.slots["P"] for other in self.facts if other.relation == fact.relation}
        if fact.relation == "opinion":
            theirs = {other.slots["P"] for other in self.facts if other.slots.get("topic") == fact.slots["topic"]}
            theirs |= {fact.slots["P"]}
        others = [
            name for name in [*self.names.values(), *self.others[:2]] if name not in theirs and name[1:].isalpha()
        ]
        asks = {"opinion": "view", "suggest": "task", "owner": "task", "contact": "phone", "away": "date"}
        forms = [
            form
            for form in wordings(self.words[fact.relation]["ask"][asks[fact.relation]], self.split)
            if "{P}" in form
        ]
        if others and forms:
            yield Question(
                ask(self.rng.choice(forms), fact.slots | {"P": self.rng.choice(others)}), "other speaker", {}
            )


def _fill(name: str, slots: dict[str, str]) -> str:
    key = name if name == "P" else name.lower()
    if key == "tasking":
        return _gerund(slots["task"])
    return slots[key]


def ask(form: str, slots: dict[str, str]) -> str:
    """A question from its wording."""
    text = _SLOT.sub(lambda found: _fill(found[1], slots), form)
    return text[0].upper() + text[1:]


def the(noun: str) -> str:
    """A noun with its article."""
    return noun if noun.split()[0] in ("the", "a") else f"the {noun}"


def _gerund(task: str) -> str:
    verb, _, rest = task.partition(" ")
    if verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    elif verb in ("cut", "put", "get", "swap", "scan", "ship", "chat", "plan", "mop"):
        verb += verb[-1]
    return f"{verb}ing {rest}".strip()


def _suffix(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def _spelled(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")
