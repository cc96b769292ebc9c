"""The text of a screen over time: only what changed is read again, lines keep their ids and move with scrolling."""

import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence, Set
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import BoxXyxy
from services.vision.change import TILE_PX, Change
from services.vision.ocr import TextLine, in_reading_order
from services.vision.scroll import Area, Scroll
from services.vision.text_detection import TextBox, TextDetector
from services.vision.text_recognition import LineReader, ReadLine

# The detector sees this much around a changed area; it is trained on pictures, not on shreds.
_CONTEXT_PX = 32
_LINE_CONTEXT_PX = 16
# A line that ends this near to the edge of the area looked at may go on outside.
_EDGE_PX = 3
_GROW_PX = 128
_MAX_ROUNDS = 3
# Above this share of the picture one look at everything is cheaper than several at parts.
_MAX_SHARE = 0.6
# Another page's first lines are found in this share of its pixels: in a quarter of the time, boxes less exact.
_FIRST_SHARE = 0.25
# Earlier looks at places no larger than this share of the picture are remembered: two make a blinking cursor.
_LOOK_SHARE = 0.2
_LOOKS = 4
_SAME_PLACE = 0.5
_SAME_TEXT = 0.6
# A line that a look at the whole picture finds this near to where it lay is read as it was. One pixel more of what the
# detector marks moves a side by 1 to 1.7, and a letter may be read differently.
_SAME_PX = 0.5
# A line this near to the edge of what scrolled may be cut there.
_CUT_PX = 2
# The edge of what scrolled is known this well: smoothed letters end softly.
_RIM_PX = 4


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """One line with its id; `is_accurate` once the accurate recogniser has read it.

    `rough` is what the live recogniser read, `checksum` that of the pixels in the line's box at that time, 0 when it is
    not known.
    """

    line_id: str
    line: TextLine
    is_accurate: bool = False
    rough: str = ""
    checksum: int = 0


@dataclass(slots=True)
class _Look:
    """What was read where, and of which pixels (h, w, 3) BGR.

    `is_shown` while the picture shows it; `is_checked` once a look at the whole picture has seen it.
    """

    area: Area
    pixels: NDArray[np.uint8]
    lines: list[ScreenLine]
    is_shown: bool = True
    is_checked: bool = False

    def check(self, lines: Sequence[ScreenLine], before: Set[str]) -> None:
        """Take over what a look at the whole picture made of its lines; `before`: ids of the lines that were there."""
        own = {line.line_id for line in self.lines}
        self.lines = [
            line
            for line in lines
            if line.line_id in own or (line.line_id not in before and _holds(self.area, line.line.xyxy))
        ]
        self.is_checked = True


class ScreenText:
    """All lines of the picture last seen, in reading order.

    `unchecked_px`: so many pixels were looked at in parts since the picture was looked at as a whole, and may hold
    lines that a look at the whole finds elsewhere, or not. `is_still` when the last update found nothing to read.
    """

    _is_compared = True

    def __init__(self, lines: Sequence[ScreenLine] = (), next_number: int = 1, unchecked_px: int = 0) -> None:
        self.lines = list(lines)
        self.next_number = next_number
        self.unchecked_px = unchecked_px
        self.is_still = False
        self._looks: deque[_Look] = deque(maxlen=_LOOKS)

    def update(
        self,
        pixels: NDArray[np.uint8],
        change: Change,
        detector: TextDetector,
        recognizer: LineReader,
    ) -> Generator[None, None, list[tuple[Area, list[BoxXyxy]]]]:
        """Read what changed, a piece at each step; `lines` are those kept and those read so far.

        Returns the areas looked at, each with the boxes in it that were left as they were.
        """
        settled: list[BoxXyxy] = []
        if change.scroll is not None:
            self._looks.clear()
            change, settled = self._scroll(change, change.scroll)
        changed = [line for line in self.lines if change.within(line.line.xyxy)]
        kept = [line for line in self.lines if not change.within(line.line.xyxy)]
        look = self._known(pixels, change)
        self.is_still = look is not None
        for other in self._looks:
            other.is_shown &= not any(_meets(other.area, area) for area in change.areas)
        if look is not None:
            look.is_shown = True
            self.unchecked_px += 0 if look.is_checked else _size(look.area)
            kept = [line for line in kept if not any(_is_same_place(line, known) for known in look.lines)]
            self._sort([*kept, *look.lines])
            return [(look.area, _boxes_in(kept, look.area))]
        self._is_compared = False
        areas: list[Area] = []
        fresh: list[TextBox] = []
        for area, boxes in self._look(pixels, change, detector, changed):
            for box in boxes:
                if change.within(box.xyxy):
                    # It may be a line that was there before and went on: then it replaces that one.
                    grown = [line for line in kept if _overlap(line.line.xyxy, box.xyxy) > _SAME_PLACE]
                    changed += grown
                    kept = [line for line in kept if line not in grown]
                elif any(_overlap(line.line.xyxy, box.xyxy) > _SAME_PLACE for line in kept):
                    continue
                fresh.append(box)
            areas.append(area)
        fresh = in_reading_order(fresh)
        if not kept and areas == [(0, 0, pixels.shape[1], pixels.shape[0])]:
            self.unchecked_px = 0
            self._looks.clear()
        else:
            self.unchecked_px += sum(map(_size, areas))
        came: list[ScreenLine] = []
        for piece in recognizer.read_in_pieces(pixels, fresh, _as_read(kept)):
            read = [TextLine.of(fresh[at], text, pixels.shape) for at, text in piece.items()]
            came += self._named(pixels, read, changed)
            self._sort([*kept, *came])
            if len(came) < len(fresh):
                yield
        if len(areas) == 1 and _size(areas[0]) < _LOOK_SHARE * change.mask.size:
            self._looks.append(_Look(areas[0], _cut_out(pixels, areas[0]).copy(), came))
        return [*((_pixels(box), []) for box in settled), *((area, _boxes_in(kept, area)) for area in areas)]

    def first_lines(
        self, pixels: NDArray[np.uint8], change: Change, detector: TextDetector, recognizer: LineReader
    ) -> list[ScreenLine]:
        """What is kept, and the first lines of another page, as soon as they can be told; `lines` stay as they are."""
        if change.scroll is not None or sum(map(_size, change.areas)) <= _MAX_SHARE * change.mask.size:
            return []
        boxes = in_reading_order([b for b in detector.detect(pixels, _FIRST_SHARE) if change.within(b.xyxy)])
        read = [TextLine.of(boxes[at], line, pixels.shape) for at, line in recognizer.read_first(pixels, boxes).items()]
        came = [ScreenLine(f"r{number:06d}", line) for number, line in enumerate(read, self.next_number)]
        kept = [line for line in self.lines if not change.within(line.line.xyxy)]
        return [*(line for line in kept if not any(_is_same_place(line, other) for other in came)), *came]

    def _known(self, pixels: NDArray[np.uint8], change: Change) -> "_Look | None":
        """An earlier look at the very same: a cursor blinks, a button was pointed at."""
        for look in reversed(self._looks):
            is_inside = all(_holds(look.area, area) for area in change.areas)
            if is_inside and not change.is_between(look.pixels, _cut_out(pixels, look.area)):
                return look
        return None

    def _scroll(self, change: Change, scroll: Scroll) -> tuple[Change, list[BoxXyxy]]:
        """Move lines along; gives what is left to read, and boxes of lines in the pane that stayed."""
        moved: list[ScreenLine] = []
        left: list[ScreenLine] = []
        for line in self.lines:
            is_whole = _holds(_shortened(scroll.source, scroll), line.line.xyxy)
            there = _moved(line, scroll)
            if is_whole and not change.within(there.line.xyxy):
                moved.append(there)
            else:
                left.append(line)
        others: list[ScreenLine] = []
        cut: list[ScreenLine] = []
        stayed: list[BoxXyxy] = []
        dirty: list[BoxXyxy] = []
        for line in left:
            box, there = line.line.xyxy, _moved(line, scroll)
            if change.is_still(box) and not any(_is_same_place(line, other) for other in moved):
                others.append(line)
                stayed.append(box)
            elif _goes_out(line, scroll) and not change.within(_core(there, scroll)):
                # Half letters say less than what is known of them.
                seen = _common(there.line.xyxy, scroll.area)
                if _part_in(scroll.area, there.line.xyxy) > _SAME_PLACE:
                    moved.append(_cut_to(there, seen))
                stayed.append((seen[0], seen[1] - _RIM_PX, seen[2], seen[3] + _RIM_PX))
            elif _meets(box, scroll.source) and _part_in(scroll.pane, box) > _SAME_PLACE:
                # Cut by the pane's edge before or now, or written on: to be read again where it is now.
                if _meets(there.line.xyxy, scroll.area):
                    cut.append(there)
                    dirty.append(_common(there.line.xyxy, scroll.area))
            elif not _holds(scroll.area, box):
                others.append(line)
                dirty += (box, _common(there.line.xyxy, scroll.area))
        change = change.corrected(dirty, stayed)
        # What is left of some is no more than the rim of their box.
        self.lines = [*moved, *others, *(line for line in cut if change.within(line.line.xyxy))]
        return change, stayed

    def _look(
        self,
        pixels: NDArray[np.uint8],
        change: Change,
        detector: TextDetector,
        changed: Sequence[ScreenLine],
    ) -> list[tuple[Area, list[TextBox]]]:
        """Areas that hold all changes and whole lines, and the boxes found there."""
        height, width = pixels.shape[:2]
        boxes = [line.line.xyxy for line in changed]
        everything = [(0, 0, width, height)]
        seen: dict[Area, list[TextBox]] = {}
        areas = _grown([_widened(area, _CONTEXT_PX) for area in change.areas], boxes, width, height)
        for _ in range(_MAX_ROUNDS):
            if sum(_size(area) for area in areas) > _MAX_SHARE * width * height:
                areas = everything
            # An area that did not grow was looked at in the round before.
            seen = {area: seen[area] if area in seen else _detect(pixels, area, detector) for area in areas}
            found = list(seen.items())
            cut = [
                (area, box)
                for area, members in found
                for box in members
                if change.within(box.xyxy) and _leaves(box.xyxy, area, width, height)
            ]
            if not cut:
                return found
            more = [_widened(_pixels(box.xyxy), _GROW_PX) for _, box in cut]
            areas = _grown([*areas, *more], boxes, width, height)
        return [(area, _detect(pixels, area, detector)) for area in everything]

    def _named(self, pixels: NDArray[np.uint8], read: Sequence[TextLine], gone: list[ScreenLine]) -> list[ScreenLine]:
        """Lines that were read under the ids of those gone that they continue, which are taken out of `gone`."""
        came = []
        for line in read:
            old = max(gone, key=lambda candidate: _likeness(candidate.line, line), default=None)
            is_old = old is not None and _likeness(old.line, line) > 0
            if old is not None and is_old:
                gone.remove(old)
            came.append(_as_of(pixels, old.line_id if old is not None and is_old else self._new_id(), line))
        return came

    def _new_id(self) -> str:
        self.next_number += 1
        return f"r{self.next_number - 1:06d}"

    def compare_once(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether a line looks otherwise than when it was read: a codec sends a sharper picture. False until lines are
        read again.
        """
        is_compared, self._is_compared = self._is_compared, True
        return not is_compared and any(_checksum(pixels, line.line) != line.checksum for line in self.lines)

    def check(self, pixels: NDArray[np.uint8], detector: TextDetector, recognizer: LineReader) -> None:
        """Look at the whole picture again: lines that lie where they lay and look as they looked stay, others are read,
        what is not found goes. What is read as before keeps what the accurate recogniser made of it.

        Broken off, it is as if it had not begun.
        """
        left, kept = list(self.lines), []
        fresh: list[TextBox] = []
        for box in in_reading_order(detector.detect(pixels)):
            old = min(left, key=lambda line: _distance_px(line.line.box, box), default=None)  # noqa: B023
            is_there = old is not None and _distance_px(old.line.box, box) <= _SAME_PX
            if old is None or not is_there or _checksum(pixels, old.line) != old.checksum:
                fresh.append(box)
                continue
            left.remove(old)
            kept.append(_in_box(pixels, old, box))
        came = []
        for box, read in zip(fresh, recognizer.read(pixels, fresh, _as_read(kept)), strict=True):
            old = max(left, key=lambda line: _overlap(line.line.xyxy, box.xyxy), default=None)  # noqa: B023
            is_old = old is not None and _overlap(old.line.xyxy, box.xyxy) > _SAME_PLACE
            if old is not None and is_old:
                left.remove(old)
                if read.text == old.rough:
                    came.append(_in_box(pixels, old, box))
                    continue
            line = TextLine.of(box, read, pixels.shape)
            came.append(_as_of(pixels, old.line_id if old is not None and is_old else self._new_id(), line))
        before = {line.line_id for line in self.lines}
        self._sort([*kept, *came])
        self.unchecked_px = 0
        self._is_compared = True
        for look in self._looks:
            if look.is_shown:
                look.check(self.lines, before)

    def _sort(self, lines: Sequence[ScreenLine]) -> None:
        by_line = {id(line.line): line for line in lines}
        self.lines = [by_line[id(line)] for line in in_reading_order([line.line for line in lines])]

    @property
    def is_accurate(self) -> bool:
        """True when no line is left to read again."""
        return not any(map(_is_rough, self.lines))

    def read_again(
        self, pixels: NDArray[np.uint8], recognizer: Callable[[], LineReader], at_most: int | None = None
    ) -> None:
        """Read lines that only the live recogniser has read with the accurate one, in reading order."""
        waiting = [index for index, line in enumerate(self.lines) if _is_rough(line)][:at_most]
        if not waiting:
            return
        boxes = [self.lines[index].line.box for index in waiting]
        for index, text in zip(waiting, recognizer().read(pixels, boxes, _as_read(self.lines)), strict=True):
            old = self.lines[index]
            line = TextLine.of(old.line.box, text, pixels.shape)
            self.lines[index] = replace(old, line=line, is_accurate=True)
            for look in self._looks:
                look.lines = [self.lines[index] if known is old else known for known in look.lines]


def _as_of(pixels: NDArray[np.uint8], line_id: str, line: TextLine) -> ScreenLine:
    """A line that the live recogniser has just read."""
    return ScreenLine(line_id, line, rough=line.text, checksum=_checksum(pixels, line))


def _in_box(pixels: NDArray[np.uint8], old: ScreenLine, box: TextBox) -> ScreenLine:
    """The line as it was read, in a box that is a little better."""
    line = TextLine.of(box, _as_read([old])[0], pixels.shape)
    return replace(old, line=line, checksum=_checksum(pixels, line))


def _checksum(pixels: NDArray[np.uint8], line: TextLine) -> int:
    x0, y0, x1, y1 = _pixels(line.xyxy)
    return zlib.crc32(pixels[max(0, y0) : y1, max(0, x0) : x1].tobytes())


def _is_rough(line: ScreenLine) -> bool:
    """True for a line that the accurate recogniser has not read and can read."""
    return not (line.is_accurate or line.line.is_foreign)


def _as_read(lines: Sequence[ScreenLine]) -> list[ReadLine]:
    return [ReadLine(line.line.text, line.line.confidence, line.line.script) for line in lines]


def _moved(line: ScreenLine, scroll: Scroll) -> ScreenLine:
    """The line where the scrolled content is now."""
    dx, dy = scroll.dx_px, scroll.dy_px
    x0, y0, x1, y1 = line.line.xyxy
    box = replace(line.line.box, center_x=line.line.box.center_x + dx, center_y=line.line.box.center_y + dy)
    return replace(line, line=replace(line.line, xyxy=(x0 + dx, y0 + dy, x1 + dx, y1 + dy), box=box))


def _goes_out(line: ScreenLine, scroll: Scroll) -> bool:
    """True for a line that was whole in the pane, which scrolls up or down: what is not seen of it now went out."""
    return scroll.dy_px != 0 and _holds(_shortened(scroll.pane, scroll), line.line.xyxy)


def _core(line: ScreenLine, scroll: Scroll) -> BoxXyxy:
    """What is seen of the line, without the rows in which the pane's edge may lie."""
    x0, y0, x1, y1 = _common(line.line.xyxy, scroll.area)
    return x0, y0 + _RIM_PX, x1, y1 - _RIM_PX


def _cut_to(line: ScreenLine, seen: BoxXyxy) -> ScreenLine:
    """The line in a lower box."""
    height_px = seen[3] - seen[1]
    box = replace(line.line.box, center_y=seen[1] + height_px / 2, height_px=height_px)
    return replace(line, line=replace(line.line, xyxy=seen, box=box))


def _shortened(area: Area, scroll: Scroll) -> Area:
    """Without the rims at which lines that scroll so are cut."""
    x0, y0, x1, y1 = area
    if scroll.dy_px:
        return x0, y0 + _CUT_PX, x1, y1 - _CUT_PX
    return x0 + _CUT_PX, y0, x1 - _CUT_PX, y1


def _cut_out(pixels: NDArray[np.uint8], area: Area) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = area
    return pixels[y0:y1, x0:x1]


def _boxes_in(lines: Sequence[ScreenLine], area: Area) -> list[BoxXyxy]:
    return [line.line.xyxy for line in lines if _meets(line.line.xyxy, area)]


def _detect(pixels: NDArray[np.uint8], area: Area, detector: TextDetector) -> list[TextBox]:
    return [
        replace(box, center_x=box.center_x + area[0], center_y=box.center_y + area[1])
        for box in detector.detect(_cut_out(pixels, area))
    ]


def _pixels(box: BoxXyxy) -> Area:
    x0, y0, x1, y1 = box
    return int(x0), int(y0), int(x1) + 1, int(y1) + 1


def _widened(area: Area, by_px: int) -> Area:
    x0, y0, x1, y1 = area
    return x0 - by_px, y0 - by_px, x1 + by_px, y1 + by_px


def _grown(areas: Sequence[Area], boxes: Sequence[BoxXyxy], width: int, height: int) -> list[Area]:
    """Take in the whole of every box that an area meets, put areas that meet together, clip to the picture."""
    todo = [_to_tiles(area) for area in areas]
    done: list[Area] = []
    lines = [_to_tiles(_widened(_pixels(box), _LINE_CONTEXT_PX)) for box in boxes]
    while todo:
        area = todo.pop()
        for other in [other for other in (*done, *lines) if _meets(other, area)]:
            if other in done:
                done.remove(other)
            else:
                lines.remove(other)
            area = (
                min(area[0], other[0]),
                min(area[1], other[1]),
                max(area[2], other[2]),
                max(area[3], other[3]),
            )
            todo.append(area)
            break
        else:
            done.append(area)
    return sorted((max(0, x0), max(0, y0), min(width, x1), min(height, y1)) for x0, y0, x1, y1 in done)


def _to_tiles(area: Area) -> Area:
    """Whole tiles: the detector's strides then lie as in the whole picture, and so do the boxes that it finds."""
    x0, y0, x1, y1 = area
    return x0 // TILE_PX * TILE_PX, y0 // TILE_PX * TILE_PX, -(-x1 // TILE_PX) * TILE_PX, -(-y1 // TILE_PX) * TILE_PX


def _size(area: Area) -> int:
    return (area[2] - area[0]) * (area[3] - area[1])


def _leaves(box: BoxXyxy, area: Area, width: int, height: int) -> bool:
    """True where a box ends at an edge of the area that is not an edge of the picture."""
    return (
        (area[0] > 0 and box[0] < area[0] + _EDGE_PX)
        or (area[1] > 0 and box[1] < area[1] + _EDGE_PX)
        or (area[2] < width and box[2] > area[2] - _EDGE_PX)
        or (area[3] < height and box[3] > area[3] - _EDGE_PX)
    )


def _meets(a: BoxXyxy, b: BoxXyxy) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _holds(a: BoxXyxy, b: BoxXyxy) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and b[2] <= a[2] and b[3] <= a[3]


def _common(a: BoxXyxy, b: BoxXyxy) -> BoxXyxy:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _part_in(area: BoxXyxy, box: BoxXyxy) -> float:
    x0, y0, x1, y1 = _common(area, box)
    return max(0.0, x1 - x0) * max(0.0, y1 - y0) / max(1e-6, (box[2] - box[0]) * (box[3] - box[1]))


def _distance_px(a: TextBox, b: TextBox) -> float:
    """How far apart the sides of two boxes are at most."""
    return max(abs(p - q) for p, q in zip(a.xyxy, b.xyxy, strict=True))


def _is_same_place(a: ScreenLine, b: ScreenLine) -> bool:
    return _overlap(a.line.xyxy, b.line.xyxy) > _SAME_PLACE


def _overlap(a: BoxXyxy, b: BoxXyxy) -> float:
    """Common area as a part of the smaller one's."""
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return common / smaller if smaller > 0 else 0.0


def _likeness(old: TextLine, new: TextLine) -> float:
    """How surely `new` is the same line as `old`, edited: 0 for another line."""
    place = _overlap(old.xyxy, new.xyxy)
    if place < _SAME_PLACE:
        return 0.0
    if new.text.startswith(old.text) or old.text.startswith(new.text):
        return place
    text = SequenceMatcher(None, old.text, new.text, autojunk=False).ratio()
    return place * text if text >= _SAME_TEXT else 0.0
