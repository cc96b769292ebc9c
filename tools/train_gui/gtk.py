"""Draws windows of real GTK 3 widgets into memory, to measure with: no window of this toolkit is ever trained on.

Runs with Debian 12's own Python under Xvfb (docs/gui.md names the packages). Boxes are the widgets' allocations; those of
tabs and check marks follow from the theme's paddings. What counts as which class is as in qt.py.
"""

# ruff: noqa: E402 - the version must be said before anything of GTK is imported.
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gi
import numpy as np
from numpy.typing import NDArray

gi.require_version("Gdk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, GObject, Gtk

from tools.train_gui.frameworks import HELD_OUT_ICONS
from tools.train_gui.pen import icon_files, photos
from tools.train_gui.states import Element, draw_in_states
from tools.train_gui.words import LABELS, PROSE, RIGHT_TO_LEFT

_SIZE_PX = (1280, 720)
_HELD_OUT_THEMES = ("Arc", "Arc-Darker", "Arc-Dark")
# The detector never learns from GTK and is measured on these; `control-states` learns from the second and is measured
# on those held out.
_THEMES = ("Adwaita", "Adwaita-dark", *_HELD_OUT_THEMES)
_TRAINED_THEMES = (
    *("Adwaita", "Adwaita-dark", "Greybird", "Greybird-dark", "Numix", "Materia", "Materia-dark-compact"),
    *("Breeze", "Breeze-Dark"),
)
_LEAST_SEEN = 0.5
_LEAST_SIDE_PX = 5
_FRAMES = 2

# Left, top, width and height in pixels of the window.
Box = tuple[float, float, float, float]


def render(out: Path, seeds: Iterable[int], packages: Path) -> int:
    """Draw the windows of these seeds to `out` and return how many. Raises FileNotFoundError without the packages."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for seed in seeds:
        target = out / f"{seed:06d}"
        pixels, elements = _Window(random.Random(f"gtk-{seed}"), packages).draw()
        pixels.savev(str(target.with_suffix(".png")), "png", [], [])
        target.with_suffix(".json").write_text(json.dumps(elements))
        drawn += 1
    return drawn


def render_states(out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False) -> int:
    """Draw the windows of these seeds again and again with states (states.py) and return how many windows.

    Raises FileNotFoundError where a theme is missing.
    """
    themes = _HELD_OUT_THEMES if held_out else _TRAINED_THEMES
    if lacking := [theme for theme in themes if not (Path("/usr/share/themes") / theme / "gtk-3.0").exists()]:
        raise FileNotFoundError(f"the themes {', '.join(lacking)} are missing: docs/gui.md names their packages")
    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for seed in seeds:
        window = _Window(random.Random(f"gtk-{seed}"), packages, themes=themes, off_share=0)
        window.open()
        window.elements()  # to ask for the first time moves some
        window.undo()
        draw_in_states(window, random.Random(f"states-{seed}"), out / f"{seed:06d}", 1.0)
        window.close()
        drawn += 1
    return drawn


class _Window:
    """One window: every choice comes from its own random numbers."""

    def __init__(
        self, rng: random.Random, packages: Path, *, themes: Sequence[str] = _THEMES, off_share: float = 1.0
    ) -> None:
        """`off_share` is of the usual chance that a control is disabled."""
        self._rng, self._packages, self._off_share = rng, packages, off_share
        self._numbers: dict[tuple[Any, int], int] = {}
        self._disabled: list[int] = []
        language = rng.choice(("en",) * 12 + tuple(LABELS))
        self._labels = LABELS[language].split(";")
        is_rtl = language in RIGHT_TO_LEFT
        Gtk.Widget.set_default_direction(Gtk.TextDirection.RTL if is_rtl else Gtk.TextDirection.LTR)
        self._settings = Gtk.Settings.get_default()
        self._settings.set_property("gtk-theme-name", rng.choice(themes))
        font = rng.choice(("Cantarell", "Noto Sans", "DejaVu Sans"))
        self._settings.set_property("gtk-font-name", f"{font} {rng.choice((9, 10, 10, 11, 12))}")
        self._settings.set_property("gtk-enable-animations", False)
        self._settings.set_property("gtk-cursor-blink", False)

    def draw(self) -> tuple[Any, list[list[Any]]]:
        """The picture, and its elements as (class, four edges in its pixels, states)."""
        self.open()
        elements = [[kind, *box, states] for kind, box, states in self.elements().values()]
        picture = self._pixbuf()
        self.close()
        return picture, elements

    def open(self) -> None:
        """Make the window and show it."""
        self._window = Gtk.OffscreenWindow()
        content = self._content()
        content.set_size_request(*_SIZE_PX)
        self._window.add(content)
        self._window.show_all()
        while Gtk.events_pending():
            Gtk.main_iteration()

    def close(self) -> None:
        """Take the window away."""
        self._window.destroy()
        self._numbers.clear()

    def _pixbuf(self) -> Any:
        whole = self._window.get_pixbuf()
        return whole.new_subpixbuf(0, 0, *(min(a, b) for a, b in zip(_SIZE_PX, _extent(whole), strict=True)))

    # What states.py asks for

    def elements(self) -> dict[int, Element]:
        """By number: class, edges, states."""
        found = {}
        for kind, (x, y, width, height), states, owner in _seen(self._window, self._pixbuf()):
            number = self._numbers.setdefault(owner, len(self._numbers))
            found[number] = (kind, [x, y, x + width, y + height], sorted(states))
        return found

    def picture(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 BGR."""
        pixels = self._pixbuf().copy()
        width, height = _extent(pixels)
        channels, stride = pixels.get_n_channels(), pixels.get_rowstride()
        # The last row is not padded.
        rows = np.zeros(height * stride, np.uint8)
        held = np.frombuffer(pixels.get_pixels(), np.uint8)[: len(rows)]
        rows[: len(held)] = held
        return rows.reshape(height, stride)[:, : width * channels].reshape(height, width, channels)[..., 2::-1].copy()

    def disable(self, numbers: list[int]) -> list[int]:
        """Disable these controls and return those that can be."""
        self._disabled = [number for number in numbers if self._enable(number, False)]
        self._settle()
        return self._disabled

    def focus(self, number: int) -> bool:
        """Give this control the focus as a key or a click does; false where it takes none."""
        widget, part = self._owner(number)
        if isinstance(widget, Gtk.Notebook) and part != widget.get_current_page():
            return False
        inner = _focusable(widget)
        if inner is None:
            return False
        self._window.set_focus_visible(self._chance(0.5))
        self._window.set_focus(inner)
        self._tell(inner, True)
        return True

    def undo(self) -> None:
        """Enable all that was disabled, take the focus away."""
        for number in self._disabled:
            self._enable(number, True)
        self._disabled = []
        holder = self._window.get_focus()
        if holder is not None:
            self._tell(holder, False)
        self._window.set_focus(None)
        self._settle()

    def _tell(self, widget: Any, has_focus: bool) -> None:
        """Tell it of the focus itself: no keys ever go to an offscreen window."""
        event = Gdk.Event.new(Gdk.EventType.FOCUS_CHANGE)
        event.window = Gtk.Widget.get_window(widget)  # a text area has another one of this name
        event.focus_change.in_ = has_focus
        widget.send_focus_change(event)
        self._settle()

    def _settle(self) -> None:
        """Wait for some frames: what has changed may move others, and these others again."""
        clock, frames = self._window.get_window().get_frame_clock(), list[Any]()
        watch = clock.connect("after-paint", frames.append)
        for count in range(1, _FRAMES + 1):
            clock.request_phase(Gdk.FrameClockPhase.PAINT)
            while len(frames) < count:
                Gtk.main_iteration()
        clock.disconnect(watch)

    def _owner(self, number: int) -> tuple[Any, int]:
        return next(owner for owner, own in self._numbers.items() if own == number)

    def _enable(self, number: int, on: bool) -> bool:
        widget, _ = self._owner(number)
        # A tab cannot be disabled.
        if isinstance(widget, Gtk.Notebook):
            return False
        widget.set_sensitive(on)
        return True

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _label(self) -> str:
        return self._rng.choice(self._labels)

    def _sentence(self) -> str:
        return " ".join(self._rng.choice(PROSE) for _ in range(self._rng.randrange(3, 12))).capitalize()

    def _icon(self, size_px: int) -> Any:
        path = self._rng.choice(icon_files(self._packages, HELD_OUT_ICONS))
        ink = "#eee" if self._settings.get_property("gtk-theme-name").lower().endswith("dark") else "#222"
        loader = GdkPixbuf.PixbufLoader.new_with_type("svg")
        loader.set_size(size_px, size_px)
        loader.write(path.read_text().replace("currentColor", ink).encode())
        loader.close()
        return Gtk.Image.new_from_pixbuf(loader.get_pixbuf())

    def _off(self, widget: Any) -> Any:
        widget.set_sensitive(not self._chance(0.08 * self._off_share))
        return widget

    # Single widgets

    def _button(self) -> Any:
        button = Gtk.Button(label=self._label())
        if self._chance(0.25):
            button.set_image(self._icon(16))
            button.set_always_show_image(True)
        if self._chance(0.2):
            button.get_style_context().add_class("suggested-action")
        return self._off(button)

    def _field(self) -> Any:
        if self._chance(0.3):
            spin = Gtk.SpinButton.new_with_range(0, 9999, 1)
            spin.set_value(self._rng.randrange(9999))
            return self._off(spin)
        field = Gtk.Entry() if self._chance(0.8) else Gtk.SearchEntry()
        field.set_text(self._label()) if self._chance(0.6) else field.set_placeholder_text(self._label())
        return self._off(field)

    def _select(self) -> Any:
        box = Gtk.ComboBoxText()
        box.append_text(self._label())
        box.set_active(0)
        return self._off(box)

    def _check(self) -> Any:
        box = Gtk.CheckButton(label=self._label()) if self._chance(0.6) else Gtk.RadioButton(label=self._label())
        box.set_active(self._chance(0.5))
        return self._off(box)

    def _switch(self) -> Any:
        switch = Gtk.Switch(halign=Gtk.Align.START, valign=Gtk.Align.CENTER)
        switch.set_active(self._chance(0.5))
        return self._off(switch)

    def _slider(self) -> Any:
        slider = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0, 100, 1)
        slider.set_draw_value(False)
        slider.set_value(self._rng.randrange(100))
        return self._off(slider)

    def _link(self) -> Any:
        return Gtk.LinkButton(uri="https://example.org", label=self._label(), halign=Gtk.Align.START)

    def _picture(self) -> Any:
        if self._chance(0.5):
            return self._icon(self._rng.choice((16, 24, 32, 48)))
        size = (self._rng.randrange(60, 260), self._rng.randrange(50, 180), False)
        pixels = GdkPixbuf.Pixbuf.new_from_file_at_scale(str(self._rng.choice(photos(self._packages))), *size)
        image = Gtk.Image.new_from_pixbuf(pixels)
        image.set_name("image")
        return image

    def _prose(self) -> Any:
        return Gtk.Label(label=self._sentence(), wrap=True, xalign=0)

    def _area(self) -> Any:
        area = Gtk.TextView(wrap_mode=Gtk.WrapMode.WORD)
        area.get_buffer().set_text("\n".join(self._sentence() for _ in range(self._rng.randrange(1, 7))))
        port = Gtk.ScrolledWindow(shadow_type=Gtk.ShadowType.IN, min_content_height=self._rng.randrange(60, 160))
        port.set_name("input")
        port.add(area)
        return port

    def _list(self) -> Any:
        rows, with_icons = Gtk.ListBox(), self._chance(0.5)
        for _ in range(self._rng.randrange(3, 12)):
            line = Gtk.Box(spacing=8, margin=self._rng.choice((2, 4, 8)))
            if with_icons:
                line.add(self._icon(16))
            line.add(Gtk.Label(label=self._label()))
            rows.add(line)
        rows.select_row(rows.get_row_at_index(self._rng.randrange(3)))
        return rows

    def _table(self) -> Any:
        store = Gtk.ListStore(str, str, str)
        for _ in range(self._rng.randrange(3, 12)):
            store.append([self._label(), str(self._rng.randrange(9999)), f"2026-{self._rng.randrange(1, 13):02d}-17"])
        table = Gtk.TreeView(model=store)
        for column in range(3):
            table.append_column(Gtk.TreeViewColumn(self._label(), Gtk.CellRendererText(), text=column))
        return table

    # Groups of widgets

    def _form(self) -> Any:
        grid = Gtk.Grid(row_spacing=self._rng.choice((4, 6, 10)), column_spacing=10)
        kinds = (self._field, self._field, self._select, self._check, self._slider, self._switch)
        for row in range(self._rng.randrange(3, 9)):
            grid.attach(Gtk.Label(label=self._label(), xalign=1), 0, row, 1, 1)
            made = self._rng.choice(kinds)()
            made.set_hexpand(True)
            grid.attach(made, 1, row, 1, 1)
        return grid

    def _row(self) -> Any:
        line = Gtk.Box(spacing=self._rng.choice((4, 6, 12)))
        kinds = (self._button, self._button, self._check, self._link, self._picture, self._switch)
        for _ in range(self._rng.randrange(2, 7)):
            made = self._rng.choice(kinds)()
            made.set_valign(Gtk.Align.CENTER)
            line.add(made)
        return line

    def _tabs(self) -> Any:
        book = Gtk.Notebook()
        for _ in range(self._rng.randrange(2, 7)):
            book.append_page(self._page(depth=1), Gtk.Label(label=self._label()))
        return book

    def _tool_bar(self) -> Any:
        bar = Gtk.Toolbar()
        with_text = self._chance(0.4)
        bar.set_style(Gtk.ToolbarStyle.BOTH if with_text else Gtk.ToolbarStyle.ICONS)
        for _ in range(self._rng.randrange(4, 12)):
            bar.insert(self._off(Gtk.ToolButton.new(self._icon(self._rng.choice((16, 24))), self._label())), -1)
        return bar

    def _menu_bar(self) -> Any:
        bar = Gtk.MenuBar()
        for _ in range(self._rng.randrange(3, 9)):
            bar.append(Gtk.MenuItem(label=self._label()))
        return bar

    def _page(self, depth: int = 0) -> Any:
        columns = Gtk.Box(spacing=12, margin=self._rng.choice((6, 10, 16)))
        kinds = [self._form, self._form, self._row, self._row, self._list, self._table, self._area, self._prose]
        nested: list[Callable[[], Any]] = [self._tabs, self._tabs] if depth == 0 else []
        for _ in range(self._rng.choice((1, 2)) if depth else self._rng.choice((1, 2, 2, 3))):
            column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=self._rng.choice((4, 8, 14)))
            for _ in range(self._rng.randrange(1, 5)):
                column.add(self._rng.choice([*kinds, *nested])())
            columns.pack_start(column, True, True, 0)
        return columns

    def _content(self) -> Any:
        whole = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        whole.get_style_context().add_class("background")
        if self._chance(0.6):
            whole.add(self._menu_bar())
        if self._chance(0.6):
            whole.add(self._tool_bar())
        whole.pack_start(self._page(), True, True, 0)
        return whole


def _extent(pixels: Any) -> tuple[int, int]:
    return pixels.get_width(), pixels.get_height()


def _focusable(widget: Any) -> Any:
    """The widget itself or the first one inside that takes the focus; None where none does."""
    return next((each for each in _below(widget) if each.get_can_focus() and each.get_mapped()), None)


def _seen(window: Any, picture: Any) -> Iterator[tuple[str, Box, set[str], tuple[Any, int]]]:
    """What is seen of the window; last comes the widget that draws it and its number among those that it draws."""
    width, height = _extent(picture)
    for widget in _below(window):
        for part, (kind, (x, y, w, h), states) in enumerate(_elements(widget)):
            left, top = widget.translate_coordinates(window, 0, 0)
            x0, y0, x1, y1 = max(0, left + x), max(0, top + y), min(width, left + x + w), min(height, top + y + h)
            if min(x1 - x0, y1 - y0) >= _LEAST_SIDE_PX and (x1 - x0) * (y1 - y0) >= _LEAST_SEEN * w * h:
                yield kind, (x0, y0, x1 - x0, y1 - y0), states, (widget, part)


def _below(widget: Any) -> Iterator[Any]:
    yield widget
    if isinstance(widget, Gtk.Container):
        # forall() also visits what a compound widget has made itself; what is not mapped lies on another tab.
        children: list[Any] = []
        widget.forall(children.append)
        for child in children:
            if child.get_mapped():
                yield from _below(child)


def _elements(widget: Any) -> Iterator[tuple[str, Box, set[str]]]:
    """The elements that this widget draws itself, in its own pixels."""
    place = widget.get_allocation()
    whole, up = (0.0, 0.0, float(place.width), float(place.height)), widget.get_parent()
    states = set() if widget.get_sensitive() else {"disabled"}
    if getattr(widget, "get_active", None) is not None and not isinstance(widget, Gtk.ComboBox) and widget.get_active():
        states.add("checked")
    if isinstance(widget, (Gtk.CheckButton, Gtk.RadioButton)):
        yield "checkbox", _mark(widget, place), states
    elif isinstance(widget, Gtk.Switch):
        yield "checkbox", whole, states
    elif isinstance(widget, Gtk.LinkButton):
        words = widget.get_child().get_allocation()
        yield "link", (words.x - place.x, words.y - place.y, words.width, words.height), states
    elif isinstance(widget, Gtk.Button):
        is_bare = isinstance(up, Gtk.ToolButton) and up.get_parent().get_style() == Gtk.ToolbarStyle.ICONS
        # Heads of columns are buttons to GTK, but no controls on our pages.
        if not is_bare and not any(_ancestor(widget, kind) for kind in (Gtk.ComboBox, Gtk.TreeView)):
            yield "button", whole, states
    elif isinstance(widget, Gtk.Entry) or widget.get_name() == "input":
        yield "input", whole, states
    elif isinstance(widget, Gtk.ComboBox):
        yield "select", whole, states
    elif isinstance(widget, Gtk.Scale):
        yield "slider", whole, states
    elif isinstance(widget, Gtk.MenuItem):
        yield "menu item", whole, states
    elif isinstance(widget, Gtk.ListBoxRow):
        yield "menu item", whole, {"selected"} if widget.is_selected() else set()
    elif isinstance(widget, Gtk.Notebook):
        yield from _tab_boxes(widget, place)
    elif isinstance(widget, Gtk.Image):
        button = _ancestor(widget, Gtk.Button)
        is_bare = button is None or (
            isinstance(button.get_parent(), Gtk.ToolButton)
            and button.get_parent().get_parent().get_style() == Gtk.ToolbarStyle.ICONS
        )
        if is_bare and _ancestor(widget, Gtk.ListBoxRow) is None and _ancestor(widget, Gtk.ComboBox) is None:
            pixels = widget.get_pixbuf()
            if pixels is not None:
                w, h = _extent(pixels)
                kind = "image" if widget.get_name() == "image" else "icon"
                yield kind, ((place.width - w) // 2, (place.height - h) // 2, w, h), states


def _ancestor(widget: Any, kind: Any) -> Any:
    return widget.get_ancestor(kind)


def _node(widget: Any, *names: str) -> Any:
    """Style of a node inside the widget, by the names on the way to it, that is no widget itself."""
    path = widget.get_path().copy()
    for name in names:
        path.append_type(GObject.TYPE_NONE)
        path.iter_set_object_name(-1, name)
        if name == "header":
            path.iter_add_class(-1, "top")
    style = Gtk.StyleContext()
    style.set_path(path)
    style.set_parent(widget.get_style_context())
    return style


def _mark(widget: Any, place: Any) -> Box:
    style = _node(widget, "radio" if isinstance(widget, Gtk.RadioButton) else "check")
    at = style.get_state()
    border, padding, margin = style.get_border(at), style.get_padding(at), style.get_margin(at)
    outer = widget.get_style_context()
    own, edge = outer.get_padding(at), outer.get_border(at)
    width = style.get_property("min-width", at) + border.left + border.right + padding.left + padding.right
    height = style.get_property("min-height", at) + border.top + border.bottom + padding.top + padding.bottom
    x = own.left + edge.left + margin.left
    if widget.get_direction() == Gtk.TextDirection.RTL:
        x = place.width - own.right - edge.right - margin.right - width
    return x, (place.height - height) / 2, width, height


def _tab_boxes(book: Any, place: Any) -> Iterator[tuple[str, Box, set[str]]]:
    style = _node(book, "header", "tabs", "tab")
    padding = style.get_padding(style.get_state())
    page = book.get_nth_page(book.get_current_page())
    top = page.get_allocation().y - page.get_margin_top() - place.y
    for index in range(book.get_n_pages()):
        words = book.get_tab_label(book.get_nth_page(index)).get_allocation()
        x, width = words.x - place.x - padding.left, words.width + padding.left + padding.right
        on = {"selected"} if index == book.get_current_page() else set[str]()
        yield "tab", (x, 0, width, top), on
