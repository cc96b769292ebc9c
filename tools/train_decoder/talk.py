"""Made meetings with talk whose subject comes one to three lines before what is told of it.

To a meeting of tools.train_decoder.slides come, from the same seed, some such exchanges (talk.toml) with backchannels
between, tasks that somebody takes, is given or declines, and questions without an answer that are close to them: the
same of a subject of which nobody knew anything, and something else of a subject of which one thing was told.
"""

import random

from tools.train_decoder.meetings import ABOUT, Fact, Meeting, Question, ask, table, the, wordings
from tools.train_decoder.slides import SlideMaker

_Place = tuple[int, int] | str | None


def make_with_talk(split: str, seed: int) -> Meeting:
    """One meeting with slides and such talk. The same split and seed give the same meeting."""
    return TalkMaker(split, seed).make()


class TalkMaker(SlideMaker):
    """Makes one meeting, `make` once."""

    def make(self) -> Meeting:
        """The meeting."""
        before = super().make()
        self.rng = random.Random(f"{self.split}-{self.seed}-talk")  # noqa: S311  # not for secrets
        self.forms = table("talk.toml")
        self.asked: list[Question] = []
        self.wanted: list[tuple[str, dict[str, str]]] = []
        for _ in range(self.rng.randint(10, 14)):
            self._subject()
        for _ in range(self.rng.randint(4, 6)):
            self._task()
        # what was not told then was perhaps told later
        for relation, slots in self.wanted:
            if not self._clashes(Fact(relation, slots, self.words[relation]["key"]), self.told):
                self.asked += self._about_nothing(relation, slots, "talk, close")
        # as many questions about what is told otherwise as about this
        others = self.rng.sample(before.questions, min(len(before.questions), len(self.asked)))
        return Meeting(before.name, self.split, self.names, self.lines, others + self.asked, self.told)

    def _subject(self) -> None:
        rng = self.rng
        key = rng.choice(("thing", "thing", "event"))
        relations = [name for name in self.forms["tell"] if self.words[name]["key"] == key]
        first, second, third = rng.sample(relations, 3)
        entity = the(rng.choice(self.domain[f"{key}s"]))
        asker, teller = rng.sample(list(self.names), 2)
        if not (fact := self._of(first, key, entity)):
            return
        self._line_of(asker, "open", {"x": entity})
        self._between((teller, asker), (0.2, 0.65))
        self._tell(fact, teller)
        if rng.random() < 0.35 and (fact := self._of(second, key, entity)):
            self._between((asker, teller), (0.4, 0.0))
            self._tell(fact, rng.choice((teller, asker)))
        for relation in (second, third):
            if fact := self._of(relation, key, entity):
                self.wanted.append((relation, fact.slots))
        if rng.random() < 0.5 and (fact := self._of(first, key, the(rng.choice(self.domain[f"{key}s"])))):
            self._line_of(asker, "open", {"x": fact.slots[key]})
            self._between((teller,), (0.3,))
            self._line_of(teller, "unknown", {})
            self.wanted.append((first, fact.slots))

    def _of(self, relation: str, key: str, entity: str) -> Fact | None:
        """A fact of a subject that nothing like it was told of, or None."""
        fact = self._fact(relation)
        if fact is None or not fact.slots["P"][1:].isalpha():
            return None
        fact.slots[key], fact.mine = entity, False
        return None if self._clashes(fact, self.told) else fact

    def _tell(self, fact: Fact, who: str) -> None:
        line, places = self._put_talk(
            who, self.rng.choice(wordings(self.forms["tell"][fact.relation], self.split)), fact
        )
        fact.lines = [line]
        self.told.append(fact)
        for slot, forms in self.words[fact.relation]["ask"].items():
            fitting = [f for f in wordings(forms, self.split) if "{" + fact.key in f and not ABOUT.search(f)]
            if slot != fact.key and fitting:
                text = self._asked(ask(self.rng.choice(fitting), fact.slots))
                self.asked.append(Question(text, f"talk.{fact.relation}", {line: places.get(slot)}, fact.slots[slot]))

    def _task(self) -> None:
        rng = self.rng
        fact = self._fact("owner")
        if fact is None or self._clashes(fact, self.told):
            return
        asker, taker = rng.sample(list(self.names), 2)
        person = self.names[taker]
        how = rng.choice(("taken", "taken", "given", "asked", "declined"))
        if how in ("given", "asked") and not person[1:].isalpha():
            how = "taken"
        fact.slots["P"], fact.mine = person, how == "taken"
        self._line_of(asker, "task", fact.slots)
        self._between(tuple(self.names), (0.4, 0.3))
        gold: dict[int, _Place] = {}
        form = rng.choice(wordings(self.forms[how], self.split))
        first = taker if how in ("taken", "declined") else asker
        for part, who in zip(form.split(" || "), (first, taker), strict=False):
            line, places = self._put_talk(who, part, fact)
            gold[line] = "speaker" if who == taker else places.get("P")
        if how == "declined":
            self.wanted.append(("owner", fact.slots))
            return
        fact.lines = list(gold)
        self.told.append(fact)
        forms = [f for f in wordings(self.words["owner"]["ask"]["P"], self.split) if "{task" in f]
        if forms:
            self.asked.append(Question(self._asked(ask(rng.choice(forms), fact.slots)), "talk.owner", gold, person))

    def _between(self, people: tuple[str, ...], chances: tuple[float, ...]) -> None:
        for chance in chances:
            if self.rng.random() < chance:
                self._line_of(self.rng.choice(people), "between", {})

    def _line_of(self, who: str, name: str, slots: dict[str, str]) -> None:
        form = self.rng.choice(wordings(self.forms[name], self.split))
        self._append(who, self._render(form, slots, noisy=True)[0])

    def _put_talk(self, who: str, form: str, fact: Fact) -> tuple[int, dict[str, tuple[int, int]]]:
        text, spans = self._render(form, fact.slots, noisy=True)
        line = self._append(who, text)
        return line, {{"on_date": "date"}.get(name, name): (start, end) for name, start, end in spans}
