"""Made talk in which people change their mind: what was told of a subject is told anew, or only seems to be.

As tools.train_decoder.talk, but after most of what is told there comes, from the same seed, either another value that
holds from then on, mostly without the subject, or one that changes nothing ("last year it was ...").
"""

from dataclasses import replace

from tools.train_decoder.meetings import Fact, Meeting, wordings
from tools.train_decoder.talk import TalkMaker

_CHANGED, _SEEMINGLY = 0.45, 0.4


def make_with_changes(split: str, seed: int) -> Meeting:
    """One meeting with slides and such talk. The same split and seed give the same meeting."""
    return _ChangesMaker(split, seed).make()


class _ChangesMaker(TalkMaker):
    def _tell(self, fact: Fact, who: str) -> None:
        count = len(self.asked)
        super()._tell(fact, who)
        slot = next(name for name in self.words[fact.relation]["ask"] if name != fact.key)
        other = self._fact(fact.relation)
        how = self.rng.random()
        if other is None or other.slots[slot] == fact.slots[slot] or how > _CHANGED + _SEEMINGLY:
            return
        old, new = fact.slots[slot], other.slots | {fact.key: fact.slots[fact.key]}
        if how > _CHANGED:
            self._between((who,), (0.3,))
            self._put_talk(self._another(who), self._form("seemingly", slot, old), replace(fact, slots=new))
            return
        if self.rng.random() < 0.6:
            self._line_of(self._another(who), "objection", {})
            self._between((who,), (0.3,))
        elif self.rng.random() < 0.3:
            self._between((who, self._another(who)), (0.5, 0.3))
        outdated, fact.slots = frozenset(fact.lines), new
        form = (
            self._form("anew", slot, old)
            if self.rng.random() < 0.6
            else self.rng.choice(wordings(self.forms["tell"][fact.relation], self.split))
        )
        line, places = self._put_talk(self.rng.choice(list(self.names)), form, fact)
        fact.lines = [line]
        self.asked[count:] = [
            replace(
                q, kind=f"changed.{fact.relation}", gold={line: places.get(slot)}, answer=new[slot], outdated=outdated
            )
            for q in self.asked[count:]
        ]

    def _form(self, name: str, slot: str, old: str) -> str:
        form = self.rng.choice(wordings(self.forms[name], self.split))
        return form.replace("{v}", "{" + slot + "}").replace("{old}", old)
