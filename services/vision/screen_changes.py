"""What happened on the screen between two of its states: lines appeared, changed, scrolled, went; another slide."""

from collections import Counter
from collections.abc import Iterable, Sequence

from services.runtime.percept import BoxXyxy, ScreenChange, ScreenChangeKind, ScreenState, TextRegion

# Boxes that moved by no more than this did not move.
JITTER_PX = 3.0
# A slide is the same while so much of the text of the smaller state is in both, wherever it stands.
_SAME_SLIDE = 0.5


def changes_between(old: ScreenState | None, new: ScreenState) -> tuple[ScreenChange, ...]:
    """What happened to lines of text since `old`, by the ids that both states use."""
    before = {region.region_id: region for region in old.regions} if old is not None else {}
    now = {region.region_id for region in new.regions}
    came = [region for region in new.regions if region.region_id not in before]
    stayed = [(before[region.region_id], region) for region in new.regions if region.region_id in before]
    gone = [region for region in before.values() if region.region_id not in now]
    moved = [(was, region) for was, region in stayed if was.text == region.text and _has_moved(was, region)]
    usual = [shift for shift, _ in Counter(_shift(was, region) for was, region in moved).most_common()]
    scrolled: dict[tuple[int, int], list[TextRegion]] = {}
    for was, region in moved:
        own = _shift(was, region)
        # As far as most others did, if that is nearly it.
        shift = next(each for each in usual if max(abs(each[0] - own[0]), abs(each[1] - own[1])) <= JITTER_PX)
        scrolled.setdefault(shift, []).append(region)
    return (
        *_change(ScreenChangeKind.APPEARED, came),
        *_change(ScreenChangeKind.CHANGED, [region for was, region in stayed if was.text != region.text]),
        *(
            change
            for (dx_px, dy_px), regions in scrolled.items()
            for change in _change(ScreenChangeKind.SCROLLED, regions, dx_px, dy_px)
        ),
        *_change(ScreenChangeKind.GONE, gone),
    )


def is_same_slide(old: ScreenState, new: ScreenState) -> bool:
    """True while most characters of the smaller state are in both, line by line: it grew, scrolled or was covered."""
    a, b = (Counter(region.text for region in state.regions) for state in (old, new))
    smaller = min(_characters(a), _characters(b))
    return _characters(a & b) >= _SAME_SLIDE * smaller if smaller else not a and not b


def _characters(lines: Counter[str]) -> int:
    return sum(len(text) * count for text, count in lines.items())


def _has_moved(was: TextRegion, now: TextRegion) -> bool:
    """True where the whole box went somewhere; one that was measured anew moves one end."""
    dx0, dy0, dx1, dy1 = (b - a for a, b in zip(was.box, now.box, strict=True))
    return max(abs(dx0), abs(dy0)) > JITTER_PX and max(abs(dx1 - dx0), abs(dy1 - dy0)) <= JITTER_PX


def _shift(was: TextRegion, now: TextRegion) -> tuple[int, int]:
    """How far the upper left corner moved, in whole pixels."""
    return round(now.box[0] - was.box[0]), round(now.box[1] - was.box[1])


def _change(
    kind: ScreenChangeKind, regions: Sequence[TextRegion], dx_px: int = 0, dy_px: int = 0
) -> Iterable[ScreenChange]:
    if regions:
        yield ScreenChange(kind, tuple(region.region_id for region in regions), _around(regions), dx_px, dy_px)


def _around(regions: Sequence[TextRegion]) -> BoxXyxy:
    left, top, right, bottom = zip(*(region.box for region in regions), strict=True)
    return min(left), min(top), max(right), max(bottom)
