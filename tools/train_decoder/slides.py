"""Made meetings with slides whose headings alone say what the lines below are about, and with harder questions.

To a meeting of tools.train_decoder.meetings come, from the same seed, two to four slides (slides.toml), questions about
all of a matter ("What about the beta test?"), and questions without an answer that are close to a fact: the same asked
of another thing that came up, of a thing that shares a word with it, and of somebody who said nothing about it.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.train_decoder.meetings import ABOUT, Fact, Maker, Meeting, Piece, Question, ask, table, the, wordings

_BULLETS = ("", "", "- ", "• ", "* ")
# Lines under a heading that tell nothing of it.
_FILLERS = 0.15
_CLOSE = 5
_ABOUT_TOLD = 3


@dataclass(frozen=True)
class _Shown:
    """A fact under a heading: its line and where its values stand there."""

    fact: Fact
    line: int
    places: dict[str, tuple[int, int]]


def make_with_slides(split: str, seed: int) -> Meeting:
    """One meeting with slides. The same split and seed give the same meeting."""
    return SlideMaker(split, seed).make()


class SlideMaker(Maker):
    """Makes one meeting with slides, `make` once."""

    def make(self) -> Meeting:
        """The spoken meeting, then slides and their questions."""
        spoken = super().make()
        self.rng = random.Random(f"{self.split}-{self.seed}-slides")  # noqa: S311  # not for secrets
        slides = table("slides.toml")
        self.under = slides["under"]
        self.words = self.words | {name: slides[name] for name in self.under if name in slides}
        self.told = list(spoken.facts)
        self.shown: list[_Shown] = []
        self.headings: dict[int, str] = {}
        for _ in range(self.rng.randint(2, 4)):
            self._slide(wordings(slides["headings"], self.split))
        more = [*self._of_slides(), *self._about(slides), *self._close()]
        return Meeting(spoken.name, self.split, self.names, self.lines, spoken.questions + more, self.told)

    # -- slides -------------------------------------------------------------------------------

    def _slide(self, headings: list[str]) -> None:
        rng = self.rng
        kind = rng.choice(("thing", "thing", "event"))
        entity = the(rng.choice(self.domain[f"{kind}s"]))
        relations = [name for name in self.under if self.words[name]["key"] == kind]
        facts = []
        for relation in rng.sample(relations, min(len(relations), rng.randint(2, 4))):
            fact = self._fact(relation)
            if fact is None or not fact.slots["P"][1:].isalpha():
                continue
            fact.slots[kind], fact.mine = entity, False
            if not self._clashes(fact, self.told):
                facts.append(fact)
                self.told.append(fact)
        if not facts:
            return
        self.second += rng.uniform(2, 9)
        heading = rng.choice(headings).replace("{x}", _plain(entity))
        heading = rng.choice((heading, heading[0].upper() + heading[1:], heading.title(), heading.upper()))
        self.headings[self._line(heading)] = entity
        bullet = rng.choice(_BULLETS)
        for fact in facts:
            if rng.random() < _FILLERS:
                self._line(bullet + rng.choice(self.talk["shown"]))
            form = rng.choice(wordings(self.under[fact.relation], self.split))
            text, spans = self._render(bullet + form, fact.slots, noisy=False)
            fact.lines = [self._line(self.noise.read(text))]
            self.shown.append(_Shown(fact, fact.lines[0], {name: (start, end) for name, start, end in spans}))

    def _line(self, text: str) -> int:
        self.lines.append(Piece(round(self.second, 1), "screen", text))
        return len(self.lines) - 1

    def _of_slides(self) -> Iterator[Question]:
        for shown in self.shown:
            fact = shown.fact
            for slot, forms in self.words[fact.relation]["ask"].items():
                fitting = [f for f in wordings(forms, self.split) if "{" + fact.key in f and not ABOUT.search(f)]
                if slot != fact.key and fitting:
                    text = self._asked(ask(self.rng.choice(fitting), fact.slots))
                    gold: dict[int, tuple[int, int] | str | None] = {shown.line: shown.places[slot]}
                    yield Question(text, f"heading.{fact.relation}", gold, fact.slots[slot])

    # -- all of a matter ----------------------------------------------------------------------

    def _about(self, slides: dict[str, list[str]]) -> Iterator[Question]:
        rng = self.rng
        forms, by_one = (wordings(slides[name], self.split) for name in ("about", "said_about"))
        told = sorted({f.slots[f.key] for f in self.told if f.key in ("thing", "event", "topic") and f.lines})
        shown = list(dict.fromkeys(self.headings.values()))
        for entity in [*shown, *rng.sample(told, min(len(told), _ABOUT_TOLD))]:
            yield Question(
                self._asked(_about(rng.choice(forms), entity)), "about", dict.fromkeys(self._lines_of(entity))
            )
        for entity in rng.sample(told, min(len(told), 2)):
            yield from self._said_about(rng.choice(by_one), entity)
        absent = [the(x) for x in (*self.domain["things"], *self.domain["events"]) if not self._came_up(x)]
        absent += [entity for entity, _ in self._crossed()][:1]
        for entity in rng.sample(absent, min(len(absent), 2)):
            yield Question(self._asked(_about(rng.choice(forms), entity)), "about nothing", {})

    def _said_about(self, form: str, entity: str) -> Iterator[Question]:
        """Of somebody who said something about it, and of somebody who did not."""
        lines = self._lines_of(entity)
        for names_it in (True, False):
            people = [who for who in self.names if any(self.lines[i].who == who for i in lines) == names_it]
            who = self.rng.choice(people) if people else ""
            if who and self.names[who][1:].isalpha():
                theirs = [i for i in lines if self.lines[i].who == who]
                text = _about(form.replace("{P}", self.names[who]), entity)
                yield Question(self._asked(text), "said about", dict.fromkeys(theirs))

    def _lines_of(self, entity: str) -> list[int]:
        """Lines that tell something of a matter: those of its facts, under its headings, and with its words."""
        wanted = re.compile(rf"\b{re.escape(_plain(entity))}\b", re.IGNORECASE)
        lines = {
            i
            for i, line in enumerate(self.lines)
            if wanted.search(line.text) and not line.text.endswith("?") and line.text.lower() != _plain(entity)
        }
        return sorted(
            lines - self.headings.keys()
            | {i for fact in self.told if fact.slots[fact.key] == entity for i in fact.lines}
        )

    def _came_up(self, entity: str) -> bool:
        words = _plain(entity).lower()
        return any(words in line.text.lower() for line in self.lines) or any(
            _plain(value) == words for fact in self.told for value in fact.slots.values() if fact.lines
        )

    # -- close to a fact ----------------------------------------------------------------------

    def _close(self) -> Iterator[Question]:
        """The same asked of another of its kind that came up, and of one that shares a word with it."""
        told = [fact for fact in self.told if fact.lines and fact.key != "matter"]
        self.rng.shuffle(told)
        asked = 0
        for fact in told:
            others = {other.slots[other.key] for other in told if other.key == fact.key} - {fact.slots[fact.key]}
            for entity in self.rng.sample(sorted(others), len(others)):
                slots = fact.slots | {fact.key: entity}
                if not self._clashes(Fact(fact.relation, slots, fact.key), self.told):
                    yield from self._about_nothing(fact.relation, slots, "close")
                    asked += 1
                    break
            if asked == _CLOSE:
                break
        for entity, fact in self._crossed()[:2]:
            yield from self._about_nothing(fact.relation, fact.slots | {"thing": entity}, "shares a word")

    def _crossed(self) -> list[tuple[str, Fact]]:
        """Things of two words that never came up, each with a fact of a thing that ends alike."""
        told = [fact for fact in self.told if fact.lines and fact.key == "thing"]
        pairs = []
        for fact in told:
            end = fact.slots["thing"].split()[-1]
            for other in self.domain["things"]:
                entity = f"the {other.split()[0]} {end}"
                of_two = len(other.split()) == 2 == len(_plain(fact.slots["thing"]).split())
                if of_two and other.split()[0] != end and not self._came_up(entity):
                    pairs.append((entity, fact))
        self.rng.shuffle(pairs)
        return pairs


def _plain(entity: str) -> str:
    return entity.removeprefix("the ")


def _about(form: str, entity: str) -> str:
    text = form.replace("{x}", entity)
    return text[0].upper() + text[1:]
