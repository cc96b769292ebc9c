"""The order in which the lines of a page are read: columns one after the other, tables row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Box = tuple[float, float, float, float]
# A gutter is at least this part of the usual line's height wide.
_GUTTER = 0.8
_LEAST_LINES = 2
# The search for columns takes time with the square of it: what has more is no page for people.
_MOST_LINES = 1500
_LEAST_ROWS = 3
# Lines as long as these are running text in columns, not cells.
_LONG_CHARS = 28
# Edges of a table's cells stand below one another within this part of the line's height.
_ALIGNED = 0.8


@dataclass(frozen=True, slots=True)
class Placed:
    """A line and where it is, xyxy in pixels; `index` is its number in what the caller has."""

    text: str
    box: Box
    index: int


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, all of the same number."""

    rows: tuple[tuple[Placed, ...], ...]


def arranged(lines: Sequence[Placed]) -> list[Placed | Table]:
    """All lines of a page in reading order, those of tables in their tables; very many of them row by row."""
    if not lines:
        return []
    if len(lines) > _MOST_LINES:
        return [line for row in _rows(lines) for line in row]
    height = median(line.box[3] - line.box[1] for line in lines)
    return _arranged(_rows(lines), height)


def _arranged(rows: list[list[Placed]], height: float) -> list[Placed | Table]:
    done: list[Placed | Table] = []
    at = 0
    while at < len(rows):
        if end := _table_end(rows, at, height):
            done.append(Table(tuple(tuple(row) for row in rows[at:end])))
        elif columns := _columns(rows, at, height):
            end, left, right = columns
            done += _arranged(_rows(left), height) + _arranged(_rows(right), height)
        else:
            end = at + 1
            done += rows[at]
        at = end
    return done


def _rows(lines: Sequence[Placed]) -> list[list[Placed]]:
    """Lines whose middles lie in one another's height, from left to right."""
    rows: list[list[Placed]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] < middle < rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def _table_end(rows: list[list[Placed]], first: int, height: float) -> int:
    """Behind the last row of the table that begins at `first`; 0 where none does."""
    end = first
    while end < len(rows) and len(rows[end]) == len(rows[first]) >= 2:
        if not all(_is_below(a, b, height) for a, b in zip(rows[first], rows[end], strict=True)):
            break
        end += 1
    cells = [cell for row in rows[first:end] for cell in row]
    if end - first < _LEAST_ROWS or median(len(cell.text) for cell in cells) >= _LONG_CHARS:
        return 0
    return end


def _is_below(a: Placed, b: Placed, height: float) -> bool:
    """True for cells with a common left edge, right edge or middle."""
    left, right = b.box[0] - a.box[0], b.box[2] - a.box[2]
    return min(abs(left), abs(right), abs(left + right) / 2) <= _ALIGNED * height


def _columns(rows: list[list[Placed]], first: int, height: float) -> tuple[int, list[Placed], list[Placed]] | None:
    """The most rows from `first` on that one gutter parts, and what lies left and right of it."""
    found = None
    for end in range(first + 1, len(rows) + 1):
        lines = [line for row in rows[first:end] for line in row]
        gutter = _gutter(lines, height)
        if gutter is None and end > first + 1:
            break
        if gutter is not None:
            left = [line for line in lines if line.box[2] <= gutter]
            right = [line for line in lines if line.box[0] >= gutter]
            if min(len(left), len(right)) >= _LEAST_LINES:
                found = (end, left, right)
    return found


def _gutter(lines: Sequence[Placed], height: float) -> float | None:
    """Middle of the widest stretch of x that no line covers, with lines on both sides."""
    best, widest, reached = None, _GUTTER * height, None
    for left, right in sorted((line.box[0], line.box[2]) for line in lines):
        if reached is not None and left - reached >= widest:
            best, widest = (left + reached) / 2, left - reached
        reached = right if reached is None else max(reached, right)
    return best
