"""Draws windows of real Qt widgets, without a screen: boxes and states come from the widgets' own geometry.

Runs with Debian 12's own Python, for the many styles that Debian has built for its Qt 5 (docs/gui.md names the packages).
What counts as which class is as on the pages (page.py): bare icons of a tool bar are icons, what has words or a frame is
a button; rows of a list or tree are menu items, cells of a table are nothing, a check box is the box alone, a link the
words.
"""

import gc
import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from numpy.typing import NDArray
from PySide2 import QtCore, QtGui, QtSvg, QtWidgets

from tools.train_gui import sources
from tools.train_gui.frameworks import HELD_OUT_ICONS
from tools.train_gui.pen import COLOURED, ICON_FOLDERS, icon_files, photos
from tools.train_gui.states import Element, draw_in_states
from tools.train_gui.words import LABELS, PROSE, RIGHT_TO_LEFT

# The style of KDE's desktop: measured, never trained on.
HELD_OUT_STYLE = "Breeze"
HELD_OUT_SIZE = (1280, 720)
_LEAST_SIDE_PX = 5
_LEAST_SEEN = 0.5
_GRID = [(fx, fy) for fx in (0.15, 0.5, 0.85) for fy in (0.2, 0.5, 0.8)]
_LEAST_POINTS = 5

# A class, a box in the widget's own pixels and what is seen of its state.
Found = tuple[str, QtCore.QRect, set[str]]


def render(out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False) -> int:
    """Draw the windows of these seeds to `out` and return how many; those that are there already are left alone.

    Raises FileNotFoundError where a package or, for `held_out`, the style is missing.
    """
    app, styles = _started(held_out)
    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for seed in seeds:
        target = out / f"{seed:06d}"
        if target.with_suffix(".json").exists():
            continue
        picture, elements = _Window(random.Random(f"qt-{seed}"), app, packages, styles, held_out).draw()
        picture.save(str(target.with_suffix(".png")))
        target.with_suffix(".json").write_text(json.dumps(elements))
        drawn += 1
    return drawn


def render_states(out: Path, seeds: Iterable[int], packages: Path, *, held_out: bool = False) -> int:
    """Draw the windows of these seeds again and again with states (states.py) and return how many windows.

    Raises FileNotFoundError as `render`.
    """
    app, styles = _started(held_out)
    app.setCursorFlashTime(0)  # between two drawings nothing else may change
    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for seed in seeds:
        if (out / f"{seed:06d}-0.json").exists():
            continue
        window = _Window(random.Random(f"qt-{seed}"), app, packages, styles, held_out, off_share=0)
        window.open(focused=False)
        draw_in_states(window, random.Random(f"states-{seed}-{held_out}"), out / f"{seed:06d}", window.scale)
        window.close()
        drawn += 1
    return drawn


def _started(held_out: bool) -> tuple[Any, list[str]]:
    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    styles = [name for name in QtWidgets.QStyleFactory.keys() if name.lower() != HELD_OUT_STYLE.lower()]
    if held_out:
        styles = [HELD_OUT_STYLE]
        if HELD_OUT_STYLE not in QtWidgets.QStyleFactory.keys():
            raise FileNotFoundError(f"Qt has no style {HELD_OUT_STYLE} (Debian 12: apt-get install kde-style-breeze)")
    return app, sorted(styles)


class _Window:
    """One window: every choice comes from its own random numbers."""

    def __init__(
        self, rng: random.Random, app: Any, packages: Path, styles: list[str], held_out: bool, *, off_share: float = 1.0
    ) -> None:
        """`off_share` is of the usual chances that a control is disabled."""
        self._rng, self._app, self._packages, self._off_share = rng, app, packages, off_share
        self._found: list[Element] = []
        # Of each the widget that draws it and its number among those that this widget draws.
        self._owners: list[tuple[QtWidgets.QWidget, int]] = []
        self._disabled: list[int] = []
        self._icon_set = rng.choice([name for name in ICON_FOLDERS if name not in (*COLOURED, HELD_OUT_ICONS)])
        if held_out:
            self._icon_set = HELD_OUT_ICONS
        self._size = HELD_OUT_SIZE if held_out else (rng.randrange(560, 1400), rng.randrange(420, 900))
        self.scale = 1.0 if held_out else rng.choice((1.0, 1.0, 1.0, 1.25, 1.5))
        self._style = rng.choice(styles)
        self._is_dark = rng.random() < 0.35
        self._font_px = rng.choice((11, 12, 13, 13, 13, 14, 14, 15, 16, 18))
        self._icon_px = rng.choice((16, 16, 16, 18, 20, 22, 24, 32))
        self._language = rng.choice(("en",) * 12 + tuple(LABELS))
        self._labels = LABELS[self._language].split(";")
        self._accent = QtGui.QColor.fromHsl(rng.randrange(360), rng.randrange(90, 255), rng.randrange(80, 160))
        self._has_sheet = not held_out and rng.random() < 0.25

    def draw(self) -> tuple[QtGui.QImage, list[list[Any]]]:
        """The picture, and its elements as (class, four edges in its pixels, states)."""
        self.open(focused=True)
        picture = self._image()
        elements = [
            [kind, *(round(edge * self.scale, 2) for edge in box), sorted(states)] for kind, box, states in self._found
        ]
        self.close()
        return picture, elements

    def open(self, *, focused: bool) -> None:
        """Make the window and show it."""
        rng, app = self._rng, self._app
        # PySide2 does not bear that Python collects its wrappers while the window is in use.
        gc.disable()
        app.setStyleSheet("")
        app.setStyle(self._style)
        app.setPalette(self._palette())
        app.setFont(self._font())
        right_to_left = self._language in RIGHT_TO_LEFT
        app.setLayoutDirection(QtCore.Qt.RightToLeft if right_to_left else QtCore.Qt.LeftToRight)
        if self._has_sheet:
            app.setStyleSheet(self._sheet())
        window = rng.choice((self._main, self._main, self._main, self._dialog, self._desktop))()
        window.resize(*self._size)
        window.show()
        window.activateWindow()
        app.setActiveWindow(window)
        if focused:
            self._focus(window)
        self._layers = [(window, QtCore.QPoint(0, 0)), *self._popups(window)]
        app.processEvents()
        if not focused:
            self.undo()
        # Once: no state moves anything.
        for kind, (x, y, width, height), states, owner in _seen(self._layers, self._size):
            self._found.append((kind, [x, y, x + width, y + height], sorted(states)))
            self._owners.append(owner)

    def close(self) -> None:
        """Take the window away."""
        for layer, _ in reversed(self._layers):
            layer.close()
            layer.deleteLater()
        self._owners.clear()
        self._app.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        self._app.processEvents()
        gc.enable()
        gc.collect()

    def _image(self) -> QtGui.QImage:
        picture = QtGui.QImage(*(round(side * self.scale) for side in self._size), QtGui.QImage.Format_RGB32)
        picture.setDevicePixelRatio(self.scale)
        picture.fill(self._app.palette().window().color())
        painter = QtGui.QPainter(picture)
        for layer, place in self._layers:
            layer.render(painter, place)
        painter.end()
        return picture

    # What states.py asks for

    def elements(self) -> dict[int, Element]:
        """By number: class, edges before scaling, states at first."""
        return dict(enumerate(self._found))

    def picture(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 BGR."""
        image = self._image()
        pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
        return pixels[:, : image.width(), :3].copy()

    def disable(self, numbers: list[int]) -> list[int]:
        """Disable these controls and return those that can be."""
        self._disabled = [number for number in numbers if self._enable(number, False)]
        self._app.processEvents()
        return self._disabled

    def focus(self, number: int) -> bool:
        """Give this control the focus as a key or a click does; false where it takes none."""
        widget, part = self._owners[number]
        if isinstance(widget, QtWidgets.QTabBar):
            if part != widget.currentIndex():
                return False
        elif not isinstance(widget, _FOCUSABLE) or widget.focusPolicy() == QtCore.Qt.NoFocus:
            return False
        # To focus a control of a window behind would bring that one to the front.
        inner = widget
        while inner is not None and not isinstance(inner, QtWidgets.QMdiSubWindow):
            inner = inner.parentWidget()
        if inner is not None and inner.mdiArea().activeSubWindow() is not inner:
            return False
        widget.setFocus(self._rng.choice((QtCore.Qt.TabFocusReason, QtCore.Qt.MouseFocusReason)))
        self._app.processEvents()
        return True

    def undo(self) -> None:
        """Enable all that was disabled, take the focus away."""
        for number in self._disabled:
            self._enable(number, True)
        self._disabled = []
        holder = self._app.focusWidget()
        if holder is not None:
            holder.clearFocus()
        self._app.processEvents()

    def _enable(self, number: int, on: bool) -> bool:
        widget, part = self._owners[number]
        if isinstance(widget, QtWidgets.QTabBar):
            # Without the tab in front another one would come to the front.
            if part == widget.currentIndex():
                return False
            widget.setTabEnabled(part, on)
        elif isinstance(widget, (QtWidgets.QMenuBar, QtWidgets.QMenu)):
            [action for action in widget.actions() if not action.isSeparator()][part].setEnabled(on)
        elif isinstance(widget, (*_FOCUSABLE, QtWidgets.QPlainTextEdit)):
            widget.setEnabled(on)
        else:
            return False
        return True

    # The look

    def _palette(self) -> QtGui.QPalette:
        rng = self._rng
        # These draw their own colours under the palette's letters.
        has_own = self._style.startswith(("Adwaita", "HighContrast"))
        if (not self._is_dark and rng.random() < 0.4) or has_own:
            palette = self._app.style().standardPalette()
        else:
            level = rng.randrange(20, 70) if self._is_dark else rng.randrange(205, 250)
            ground = QtGui.QColor.fromHsl(rng.randrange(360), rng.choice((0, 0, 0, 20, 40)), level)
            palette = QtGui.QPalette(ground)
            base = max(0, level - rng.randrange(5, 22)) if self._is_dark else rng.randrange(244, 256)
            roles, ink = QtGui.QPalette, QtGui.QColor(*[230 if self._is_dark else 25] * 3)
            for role in (roles.WindowText, roles.Text, roles.ButtonText):
                palette.setColor(role, ink)
                palette.setColor(roles.Disabled, role, QtGui.QColor(*[125 if self._is_dark else 150] * 3))
            palette.setColor(roles.Base, QtGui.QColor(base, base, base))
            palette.setColor(roles.AlternateBase, ground)
        if rng.random() < 0.7:
            palette.setColor(QtGui.QPalette.Highlight, self._accent)
            palette.setColor(QtGui.QPalette.HighlightedText, QtGui.QColor("white"))
        palette.setColor(QtGui.QPalette.Link, QtGui.QColor("#6db3f2" if self._is_dark else "#0a5dc2"))
        return palette

    def _font(self) -> QtGui.QFont:
        named = [source for source in sources.FONTS if "noto-sans-" not in source.name and "mono" not in source.name]
        folder = self._packages / self._rng.choice(named).folder / "package" / "files"
        family = _families(folder)
        font = QtGui.QFont(family) if family and self._rng.random() < 0.7 else self._app.font()
        font.setPixelSize(self._font_px)
        return font

    def _sheet(self) -> str:
        rng, dark = self._rng, self._is_dark
        round_px, pad = rng.choice((0, 2, 3, 4, 6, 8, 12)), rng.randrange(2, 9)
        accent, edge = self._accent.name(), rng.choice(("#777", "#999", "#aaa", "#555" if dark else "#ccc"))
        field, hover = ("#1d1f23", "#2f333a") if dark else ("#ffffff", "#eef1f5")
        parts = [
            f"QPushButton {{ border: 1px solid {rng.choice((edge, accent))}; border-radius: {round_px}px;"
            f" padding: {pad}px {2 * pad + 4}px; background: {rng.choice((hover, accent, field))}; }}"
            f"QPushButton:default {{ background: {accent}; color: white; }}"
            "QPushButton:disabled { color: #888; }",
            f"QLineEdit, QAbstractSpinBox, QPlainTextEdit {{ border: 1px solid {edge}; border-radius: {round_px}px;"
            f" padding: {pad}px; background: {field}; }} QLineEdit:focus {{ border-color: {accent}; }}",
            f"QTabBar::tab {{ padding: {pad}px {2 * pad + 6}px; border: 0; border-bottom: 2px solid transparent; }}"
            f"QTabBar::tab:selected {{ border-bottom: 2px solid {accent}; color: {accent}; }}",
            f"QMenuBar::item {{ padding: {pad}px 9px; }} QMenuBar::item:selected {{ background: {accent}; }}"
            f"QMenu::item {{ padding: {pad}px 28px; }} QMenu::item:selected {{ background: {accent}; }}",
            f"QListView::item, QTreeView::item {{ padding: {pad}px; }}"
            f"QListView::item:selected, QTreeView::item:selected {{ background: {accent}; color: white; }}",
        ]
        return "\n".join(part for part in parts if rng.random() < 0.75)

    # Words and pictures

    def _label(self) -> str:
        return self._rng.choice(self._labels)

    def _sentence(self, least: int = 3, most: int = 14) -> str:
        if self._language != "en":
            return " ".join(self._label() for _ in range(self._rng.randrange(1, 5)))
        return " ".join(self._rng.choice(PROSE) for _ in range(self._rng.randrange(least, most))).capitalize()

    def _cell(self) -> str:
        rng = self._rng
        name = f"{rng.choice(PROSE)}_{rng.randrange(99)}.{rng.choice(('pdf', 'txt', 'py', 'png', 'odt'))}"
        return rng.choice((self._label(), name, str(rng.randrange(10000)), f"2026-{rng.randrange(1, 13):02d}-17"))

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _pixmap(self, size_px: int, *, coloured: bool = False) -> QtGui.QPixmap:
        name = self._rng.choice(COLOURED) if coloured else self._icon_set
        text = self._rng.choice(icon_files(self._packages, name)).read_text()
        text = text[text.index("<svg") :]
        head, tail = text.split(">", 1)
        if "fill=" not in head and "stroke=" not in head:
            head += ' fill="currentColor"'
        ink = self._app.palette().windowText().color().name() if self._chance(0.8) else self._accent.name()
        drawing = QtSvg.QSvgRenderer(QtCore.QByteArray(f"{head}>{tail}".replace("currentColor", ink).encode()))
        drawing.setAspectRatioMode(QtCore.Qt.KeepAspectRatio)
        pixmap = QtGui.QPixmap(2 * size_px, 2 * size_px)
        pixmap.fill(QtCore.Qt.transparent)
        painter = QtGui.QPainter(pixmap)
        drawing.render(painter, QtCore.QRectF(0, 0, 2 * size_px, 2 * size_px))
        painter.end()
        pixmap.setDevicePixelRatio(2)
        return pixmap

    def _icon(self, size_px: int | None = None) -> QtGui.QIcon:
        return QtGui.QIcon(self._pixmap(size_px or self._icon_px, coloured=self._chance(0.15)))

    # Single widgets

    def _off(self, widget: QtWidgets.QWidget) -> QtWidgets.QWidget:
        widget.setDisabled(self._chance(0.08 * self._off_share))
        return widget

    def _button(self) -> QtWidgets.QWidget:
        button = QtWidgets.QPushButton(self._label())
        if self._chance(0.25):
            button.setIcon(self._icon(16))
        if self._chance(0.06):
            button.setMenu(QtWidgets.QMenu(button))
        button.setDefault(self._chance(0.15))
        button.setFlat(self._chance(0.03))
        if button.isFlat():
            button.setIcon(self._icon(16))
        return self._off(button)

    def _tool(self) -> QtWidgets.QWidget:
        tool = QtWidgets.QToolButton()
        tool.setIcon(self._icon())
        tool.setIconSize(QtCore.QSize(self._icon_px, self._icon_px))
        tool.setText(self._label())
        styles = (QtCore.Qt.ToolButtonIconOnly, QtCore.Qt.ToolButtonTextBesideIcon, QtCore.Qt.ToolButtonTextUnderIcon)
        tool.setToolButtonStyle(self._rng.choice(styles))
        return self._off(tool)

    def _field(self) -> QtWidgets.QWidget:
        rng = self._rng
        kind = rng.random()
        if kind < 0.22:
            spin = rng.choice((QtWidgets.QSpinBox, QtWidgets.QDoubleSpinBox))()
            spin.setMaximum(9999)
            spin.setValue(rng.randrange(9999))
            return self._off(spin)
        if kind < 0.32:
            moment = QtWidgets.QDateTimeEdit(QtCore.QDateTime(QtCore.QDate(2026, 3, 9), QtCore.QTime(10, 30)))
            moment.setCalendarPopup(self._chance(0.4))
            return self._off(moment)
        field = QtWidgets.QLineEdit()
        if self._chance(0.6):
            field.setText(self._sentence(1, 5))
        else:
            field.setPlaceholderText(self._label())
        if self._chance(0.1):
            field.setEchoMode(QtWidgets.QLineEdit.Password)
        field.setClearButtonEnabled(self._chance(0.15))
        if self._chance(0.3):
            field.setMaximumWidth(rng.randrange(50, 300))
        return self._off(field)

    def _area(self) -> QtWidgets.QWidget:
        area = QtWidgets.QPlainTextEdit("\n".join(self._sentence() for _ in range(self._rng.randrange(1, 9))))
        area.setMaximumHeight(self._rng.randrange(60, 260))
        return self._off(area)

    def _select(self) -> QtWidgets.QWidget:
        box = QtWidgets.QComboBox()
        box.addItems([self._label() for _ in range(self._rng.randrange(2, 8))])
        box.setEditable(self._chance(0.12))
        return self._off(box)

    def _check(self) -> QtWidgets.QWidget:
        box = QtWidgets.QCheckBox(self._label())
        box.setChecked(self._chance(0.5))
        return self._off(box)

    def _radio(self) -> QtWidgets.QWidget:
        radio = QtWidgets.QRadioButton(self._label())
        radio.setAutoExclusive(False)
        radio.setChecked(self._chance(0.4))
        return self._off(radio)

    def _slider(self) -> QtWidgets.QWidget:
        slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        slider.setValue(self._rng.randrange(100))
        if self._chance(0.25):
            slider.setTickPosition(QtWidgets.QSlider.TicksBelow)
            slider.setTickInterval(10)
        return self._off(slider)

    def _progress(self) -> QtWidgets.QWidget:
        bar = QtWidgets.QProgressBar()
        bar.setValue(self._rng.randrange(100))
        return bar

    def _link(self) -> QtWidgets.QWidget:
        link = QtWidgets.QLabel(f'<a href="#">{self._label() if self._chance(0.6) else self._sentence(1, 5)}</a>')
        link.setProperty("kind", "link")
        link.setSizePolicy(QtWidgets.QSizePolicy.Fixed, QtWidgets.QSizePolicy.Fixed)
        return link

    def _picture(self) -> QtWidgets.QWidget:
        label = QtWidgets.QLabel()
        label.setSizePolicy(QtWidgets.QSizePolicy.Fixed, QtWidgets.QSizePolicy.Fixed)
        if self._chance(0.5):
            label.setProperty("kind", "icon")
            label.setPixmap(self._pixmap(self._rng.choice((16, 24, 32, 48)), coloured=self._chance(0.5)))
        else:
            label.setProperty("kind", "image")
            photo = QtGui.QPixmap(str(self._rng.choice(photos(self._packages))))
            width, height = self._rng.randrange(60, 300), self._rng.randrange(50, 200)
            label.setPixmap(photo.scaled(width, height, QtCore.Qt.IgnoreAspectRatio, QtCore.Qt.SmoothTransformation))
        return label

    def _prose(self) -> QtWidgets.QWidget:
        text = QtWidgets.QLabel(self._sentence(6, 30))
        text.setWordWrap(True)
        return text

    def _list(self) -> QtWidgets.QWidget:
        view = QtWidgets.QListWidget()
        has_boxes, has_icons = self._chance(0.2), self._chance(0.5)
        is_grid = not has_boxes and self._chance(0.25)
        for _ in range(self._rng.randrange(4, 24)):
            item = QtWidgets.QListWidgetItem(self._label() if self._chance(0.7) else self._cell())
            if has_boxes:
                item.setCheckState(QtCore.Qt.Checked if self._chance(0.5) else QtCore.Qt.Unchecked)
            if has_icons or is_grid:
                item.setIcon(self._icon(48 if is_grid else self._icon_px))
            view.addItem(item)
        if is_grid:
            side = self._rng.choice((32, 48))
            view.setViewMode(QtWidgets.QListView.IconMode)
            view.setIconSize(QtCore.QSize(side, side))
            view.setGridSize(QtCore.QSize(110, side + 2 * self._font_px + 18))
        elif self._chance(0.8):
            view.setCurrentRow(self._rng.randrange(view.count()))
        view.setSpacing(self._rng.choice((0, 0, 0, 2)))
        return view

    def _tree(self) -> QtWidgets.QWidget:
        tree = QtWidgets.QTreeWidget()
        columns = self._rng.choice((1, 1, 1, 3, 4))
        tree.setColumnCount(columns)
        tree.setHeaderLabels([self._label() for _ in range(columns)])
        tree.setHeaderHidden(columns == 1 and self._chance(0.7))
        tree.setAlternatingRowColors(self._chance(0.4))
        has_icons = self._chance(0.6)
        for _ in range(self._rng.randrange(2, 9)):
            top = QtWidgets.QTreeWidgetItem([self._cell() for _ in range(columns)])
            for _ in range(self._rng.choice((0, 0, 2, 5))):
                top.addChild(QtWidgets.QTreeWidgetItem([self._cell() for _ in range(columns)]))
            tree.addTopLevelItem(top)
            top.setExpanded(self._chance(0.6))
            if has_icons:
                for item in (top, *(top.child(i) for i in range(top.childCount()))):
                    item.setIcon(0, self._icon(16))
        if self._chance(0.7):
            tree.setCurrentItem(tree.topLevelItem(self._rng.randrange(tree.topLevelItemCount())))
        return tree

    def _table(self) -> QtWidgets.QWidget:
        rows, columns = self._rng.randrange(3, 30), self._rng.randrange(2, 8)
        table = QtWidgets.QTableWidget(rows, columns)
        table.setHorizontalHeaderLabels([self._label() for _ in range(columns)])
        table.verticalHeader().setVisible(self._chance(0.5))
        table.setShowGrid(self._chance(0.6))
        table.setAlternatingRowColors(self._chance(0.4))
        kind = self._rng.random()
        for row in range(rows):
            for column in range(columns):
                item = QtWidgets.QTableWidgetItem(self._cell())
                if column == 0 and kind < 0.25:
                    item.setCheckState(QtCore.Qt.Checked if self._chance(0.5) else QtCore.Qt.Unchecked)
                elif column == 0 and kind < 0.5:
                    item.setIcon(self._icon(16))
                table.setItem(row, column, item)
        if self._chance(0.5):
            table.selectRow(self._rng.randrange(rows))
        return table

    # Groups of widgets

    def _form(self) -> QtWidgets.QWidget:
        page = QtWidgets.QWidget()
        form = QtWidgets.QFormLayout(page)
        # Half of the rows are fields, as in real settings.
        for _ in range(self._rng.randrange(3, 12)):
            made = self._any(self._field, self._field, self._select, self._check, self._slider, self._radio)()
            if self._chance(0.8):
                form.addRow(self._label() + ":", made)
            else:
                form.addRow(made)
        return page

    def _row(self) -> QtWidgets.QWidget:
        kinds = (self._button, self._button, self._tool, self._check, self._radio, self._link, self._picture)
        return self._line([self._any(*kinds)() for _ in range(self._rng.randrange(2, 6))])

    def _alike(self) -> QtWidgets.QWidget:
        one = self._any(self._button, self._tool, self._check, self._radio, self._link, self._slider, self._select)
        return self._line([one() for _ in range(self._rng.randrange(2, 6))])

    def _line(self, widgets: list[QtWidgets.QWidget]) -> QtWidgets.QWidget:
        page = QtWidgets.QWidget()
        is_row = self._chance(0.65)
        line = QtWidgets.QHBoxLayout(page) if is_row else QtWidgets.QVBoxLayout(page)
        for widget in widgets:
            line.addWidget(widget)
        if is_row and self._chance(0.7):
            line.insertStretch(self._rng.choice((0, line.count())))
        return page

    def _group(self) -> QtWidgets.QWidget:
        box = QtWidgets.QGroupBox(self._label())
        box.setCheckable(self._chance(0.2))
        box.setChecked(self._chance(0.6))
        inner = QtWidgets.QVBoxLayout(box)
        for _ in range(self._rng.randrange(1, 3)):
            inner.addWidget(self._any(self._form, self._row, self._alike)())
        return box

    def _tabs(self) -> QtWidgets.QWidget:
        tabs = QtWidgets.QTabWidget()
        with_icons = self._chance(0.25)
        for _ in range(self._rng.randrange(2, 8)):
            index = tabs.addTab(self._page(depth=1), self._label())
            if with_icons:
                tabs.setTabIcon(index, self._icon(16))
        tabs.setTabsClosable(self._chance(0.2))
        tabs.setDocumentMode(self._chance(0.25))
        if self._chance(0.1):
            tabs.setTabPosition(QtWidgets.QTabWidget.South)
        tabs.setTabEnabled(tabs.count() - 1, not self._chance(0.1 * self._off_share))
        tabs.setCurrentIndex(self._rng.randrange(tabs.count() - 1))
        return tabs

    def _any(self, *choices: Callable[[], QtWidgets.QWidget]) -> Callable[[], QtWidgets.QWidget]:
        return self._rng.choice(choices)

    def _page(self, depth: int = 0) -> QtWidgets.QWidget:
        """Widgets below one another, in one or two columns."""
        page = QtWidgets.QWidget()
        columns = QtWidgets.QHBoxLayout(page)
        many = (self._form, self._group, self._row, self._alike, self._list, self._tree, self._table, self._area)
        few = (self._prose, self._progress, self._picture)
        for _ in range(self._rng.choice((1, 1, 2) if depth else (1, 2, 2, 3))):
            column = QtWidgets.QVBoxLayout()
            for _ in range(self._rng.randrange(1, 4) if depth else self._rng.randrange(2, 5)):
                nested = (self._tabs, self._tabs) if depth == 0 else ()
                column.addWidget(self._any(*many, *many, *few, *nested)())
            if self._chance(0.5):
                column.addStretch()
            columns.addLayout(column)
        return page

    # Whole windows

    def _menu(self, parent: QtWidgets.QWidget) -> QtWidgets.QMenu:
        menu = QtWidgets.QMenu(self._label(), parent)
        with_icons = self._chance(0.4)
        for _ in range(self._rng.randrange(3, 14)):
            action = menu.addAction(self._label())
            if with_icons and self._chance(0.7):
                action.setIcon(self._icon(16))
            if self._chance(0.4):
                action.setShortcut(QtGui.QKeySequence(f"Ctrl+{self._rng.choice('ABCDEFGHSVXZ')}"))
            if self._chance(0.15):
                action.setCheckable(True)
                action.setChecked(self._chance(0.6))
            action.setDisabled(self._chance(0.1 * self._off_share))
            if self._chance(0.15):
                menu.addSeparator()
            if self._chance(0.08):
                menu.addMenu(self._label()).addAction(self._label())
        return menu

    def _tool_bar(self, window: QtWidgets.QMainWindow) -> None:
        bar = QtWidgets.QToolBar()
        size = self._rng.choice((16, 16, 20, 22, 24, 32))
        bar.setIconSize(QtCore.QSize(size, size))
        styles = (QtCore.Qt.ToolButtonTextBesideIcon, QtCore.Qt.ToolButtonTextUnderIcon, QtCore.Qt.ToolButtonTextOnly)
        bar.setToolButtonStyle(self._rng.choice(styles) if self._chance(0.35) else QtCore.Qt.ToolButtonIconOnly)
        for _ in range(self._rng.randrange(4, 16)):
            action = bar.addAction(self._icon(size), self._label())
            action.setDisabled(self._chance(0.12 * self._off_share))
            if self._chance(0.15):
                bar.addSeparator()
        for make in (self._select, self._field):
            if self._chance(0.25):
                bar.addWidget(make())
        window.addToolBar(QtCore.Qt.LeftToolBarArea if self._chance(0.1) else QtCore.Qt.TopToolBarArea, bar)

    def _main(self) -> QtWidgets.QWidget:
        window = QtWidgets.QMainWindow()
        if self._chance(0.8):
            for _ in range(self._rng.randrange(3, 9)):
                window.menuBar().addMenu(self._menu(window))
        for _ in range(self._rng.choice((0, 1, 1, 2))):
            self._tool_bar(window)
        window.setCentralWidget(self._any(self._page, self._page, self._tabs)())
        if self._chance(0.4):
            dock = QtWidgets.QDockWidget(self._label(), window)
            dock.setWidget(self._any(self._list, self._tree, self._form)())
            window.addDockWidget(self._rng.choice((QtCore.Qt.LeftDockWidgetArea, QtCore.Qt.RightDockWidgetArea)), dock)
        if self._chance(0.5):
            window.statusBar().showMessage(self._sentence(2, 8))
        return window

    def _dialog(self) -> QtWidgets.QWidget:
        window = QtWidgets.QWidget()
        lines = QtWidgets.QVBoxLayout(window)
        lines.addWidget(self._any(self._page, self._tabs)())
        ends = QtWidgets.QHBoxLayout()
        ends.addStretch()
        for _ in range(self._rng.randrange(1, 5)):
            ends.addWidget(self._button())
        lines.addLayout(ends)
        return window

    def _desktop(self) -> QtWidgets.QWidget:
        """Windows with title bars on a ground: those are drawn by the style too."""
        area = QtWidgets.QMdiArea()
        area.setBackground(QtGui.QColor.fromHsl(self._rng.randrange(360), self._rng.randrange(120), 110))
        width, height = self._size
        for _ in range(self._rng.randrange(1, 4)):
            inside = area.addSubWindow(self._any(self._dialog, self._main)())
            inside.setWindowTitle(self._sentence(1, 5))
            inside.setWindowIcon(self._icon(16))
            w, h = self._rng.randrange(width // 3, width * 4 // 5), self._rng.randrange(height // 3, height * 9 // 10)
            inside.setGeometry(self._rng.randrange(width - w), self._rng.randrange(height - h), w, h)
        return area

    def _focus(self, window: QtWidgets.QWidget) -> None:
        able = [
            widget
            for widget in window.findChildren(QtWidgets.QWidget)
            if isinstance(widget, _FOCUSABLE) and widget.isVisible() and widget.isEnabled()
        ]
        if able:
            self._rng.choice(able).setFocus(QtCore.Qt.TabFocusReason)

    def _popups(self, window: QtWidgets.QWidget) -> list[tuple[QtWidgets.QWidget, QtCore.QPoint]]:
        """A menu that is open above the window: out of its menu bar, or a context menu anywhere."""
        if not self._chance(0.3):
            return []
        bar = window.menuBar() if isinstance(window, QtWidgets.QMainWindow) else None
        if bar is not None and bar.actions() and bar.isVisible():
            action = self._rng.choice(bar.actions())
            menu, place = action.menu(), bar.mapTo(window, bar.actionGeometry(action).bottomLeft())
            bar.setActiveAction(action)
        else:
            menu = self._menu(window)
            place = QtCore.QPoint(self._rng.randrange(self._size[0] * 3 // 4), self._rng.randrange(self._size[1] // 2))
        menu.popup(window.mapToGlobal(place))
        if self._chance(0.6):
            menu.setActiveAction(self._rng.choice([each for each in menu.actions() if not each.isSeparator()]))
        return [(menu, place)]


_FOCUSABLE = (
    QtWidgets.QLineEdit,
    QtWidgets.QAbstractButton,
    QtWidgets.QComboBox,
    QtWidgets.QAbstractSpinBox,
    QtWidgets.QSlider,
)
_KNOWN_FAMILIES: dict[Path, str] = {}


def _families(folder: Path) -> str:
    """Name of the font family in a package's files; "" where Qt cannot read them."""
    if folder not in _KNOWN_FAMILIES:
        names: list[str] = []
        for path in sorted(folder.glob("*-latin-[47]00-normal.woff")):
            names = QtGui.QFontDatabase.applicationFontFamilies(QtGui.QFontDatabase.addApplicationFont(str(path)))
        _KNOWN_FAMILIES[folder] = names[0] if names else ""
    return _KNOWN_FAMILIES[folder]


def _seen(
    layers: list[tuple[QtWidgets.QWidget, QtCore.QPoint]], size: tuple[int, int]
) -> Iterator[tuple[str, tuple[int, int, int, int], set[str], tuple[QtWidgets.QWidget, int]]]:
    """What at least half of, and 5 px each way, is in the picture and not covered: x, y, width, height.

    Last comes the widget that draws it and its number among those that the widget draws.
    """
    screen = QtCore.QRect(0, 0, *size)
    for number, (layer, place) in enumerate(layers):
        above = [QtCore.QRect(spot, other.size()) for other, spot in layers[number + 1 :]]
        for widget in (layer, *layer.findChildren(QtWidgets.QWidget)):
            if not widget.isVisible():
                continue
            for part, (kind, own, states) in enumerate(_elements(widget)):
                full = QtCore.QRect(widget.mapTo(layer, own.topLeft()), own.size())
                rect = full.intersected(screen.translated(-place))
                up = widget
                while up is not None:
                    rect = rect.intersected(QtCore.QRect(up.mapTo(layer, QtCore.QPoint(0, 0)), up.size()))
                    up = None if up is layer else up.parentWidget()
                share = rect.width() * rect.height() / max(1, full.width() * full.height())
                if min(rect.width(), rect.height()) < _LEAST_SIDE_PX or share < _LEAST_SEEN:
                    continue
                if sum(_shows(widget, layer, place, above, rect, at) for at in _GRID) >= _LEAST_POINTS:
                    x, y = rect.x() + place.x(), rect.y() + place.y()
                    yield kind, (x, y, rect.width(), rect.height()), states, (widget, part)


def _shows(
    widget: QtWidgets.QWidget,
    layer: QtWidgets.QWidget,
    place: QtCore.QPoint,
    above: list[QtCore.QRect],
    rect: QtCore.QRect,
    at: tuple[float, float],
) -> bool:
    """Whether the widget is what one sees at this part (0 to 1 each way) of `rect`."""
    point = QtCore.QPoint(rect.x() + int(at[0] * rect.width()), rect.y() + int(at[1] * rect.height()))
    if any(cover.contains(point + place) for cover in above):
        return False
    top = layer.childAt(point) or layer
    return top is widget or widget.isAncestorOf(top) or top.isAncestorOf(widget)


def _elements(widget: QtWidgets.QWidget) -> Iterator[Found]:
    """The elements that this widget draws itself."""
    states = _states(widget)
    parent = widget.parentWidget()
    if isinstance(widget, QtWidgets.QTabBar):
        for index in range(widget.count()):
            on = {"selected"} if index == widget.currentIndex() else set[str]()
            yield "tab", widget.tabRect(index), on | (set[str]() if widget.isTabEnabled(index) else {"disabled"})
    elif isinstance(widget, (QtWidgets.QMenuBar, QtWidgets.QMenu)):
        for action in widget.actions():
            if not action.isSeparator():
                yield "menu item", widget.actionGeometry(action), _action_states(action, widget.activeAction())
    elif isinstance(parent, QtWidgets.QAbstractItemView) and widget is parent.viewport():
        yield from _items(parent)
    elif isinstance(widget, QtWidgets.QMdiSubWindow):
        yield from _title_bar(widget)
    elif isinstance(widget, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        is_box = isinstance(widget, QtWidgets.QCheckBox)
        element = QtWidgets.QStyle.SE_CheckBoxIndicator if is_box else QtWidgets.QStyle.SE_RadioButtonIndicator
        option = QtWidgets.QStyleOptionButton()
        widget.initStyleOption(option)
        yield "checkbox", widget.style().subElementRect(element, option, widget), states
    elif isinstance(widget, QtWidgets.QGroupBox) and widget.isCheckable():
        option = QtWidgets.QStyleOptionGroupBox()
        widget.initStyleOption(option)
        style = QtWidgets.QStyle
        box = widget.style().subControlRect(style.CC_GroupBox, option, style.SC_GroupBoxCheckBox, widget)
        yield "checkbox", box, states
    elif isinstance(widget, QtWidgets.QToolButton):
        # The cross that empties a field is part of it.
        if not isinstance(parent, QtWidgets.QLineEdit):
            yield from _tool_button(widget, states)
    elif isinstance(widget, QtWidgets.QPushButton):
        yield "button", widget.rect(), states
    elif isinstance(widget, QtWidgets.QAbstractButton) and isinstance(parent, QtWidgets.QDockWidget):
        yield "icon", widget.rect(), states
    elif isinstance(widget, QtWidgets.QComboBox):
        yield "select", widget.rect(), states
    elif isinstance(widget, (QtWidgets.QAbstractSpinBox, QtWidgets.QPlainTextEdit)) or (
        isinstance(widget, QtWidgets.QLineEdit)
        and not isinstance(parent, (QtWidgets.QAbstractSpinBox, QtWidgets.QComboBox))
    ):
        yield "input", widget.rect(), states
    elif isinstance(widget, QtWidgets.QSlider):
        yield "slider", widget.rect(), states
    elif isinstance(widget, QtWidgets.QLabel) and widget.property("kind"):
        yield widget.property("kind"), widget.rect(), states


def _states(widget: QtWidgets.QWidget) -> set[str]:
    states = set() if widget.isEnabled() else {"disabled"}
    # A spin box's focus is that of the field inside it.
    if widget.hasFocus() or (widget.focusProxy() is not None and widget.focusProxy().hasFocus()):
        states.add("focused")
    if getattr(widget, "isCheckable", bool)() and widget.isChecked():
        states.add("checked")
    return states


def _action_states(action: QtWidgets.QAction, active: QtWidgets.QAction | None) -> set[str]:
    held = {"disabled": not action.isEnabled(), "checked": action.isChecked(), "selected": action is active}
    return {name for name, holds in held.items() if holds}


def _tool_button(widget: QtWidgets.QToolButton, states: set[str]) -> Iterator[Found]:
    has_text = widget.toolButtonStyle() != QtCore.Qt.ToolButtonIconOnly and bool(widget.text())
    if has_text or not widget.autoRaise() or widget.icon().isNull():
        yield "button", widget.rect(), states
        return
    option = QtWidgets.QStyleOptionToolButton()
    widget.initStyleOption(option)
    style = QtWidgets.QStyle
    inside = widget.style().subControlRect(style.CC_ToolButton, option, style.SC_ToolButton, widget)
    box = QtCore.QRect(QtCore.QPoint(0, 0), widget.iconSize())
    box.moveCenter(inside.center())
    yield "icon", box.intersected(widget.rect()), states


def _items(view: QtWidgets.QAbstractItemView) -> Iterator[Found]:
    """Rows of lists and trees of one column, boxes and icons of rows that have more, in the pixels of the viewport."""
    model, port = view.model(), view.viewport()
    if isinstance(view, QtWidgets.QHeaderView) or model is None:
        return
    is_grid = isinstance(view, QtWidgets.QListView) and view.viewMode() == QtWidgets.QListView.IconMode
    # A list's model will not say how many columns it has.
    columns = 1 if isinstance(view, QtWidgets.QListView) else model.columnCount()
    rows_are_items = not isinstance(view, QtWidgets.QTableView) and columns == 1 and not is_grid
    for index in _indexes(model, QtCore.QModelIndex(), columns):
        rect = view.visualRect(index)
        if not rect.intersects(port.rect()):
            continue
        option = view.viewOptions()
        option.rect = rect
        option.widget = view
        delegate = view.itemDelegate()
        delegate.initStyleOption(option, index)
        style, states = view.style(), set[str]()
        if option.features & QtWidgets.QStyleOptionViewItem.HasCheckIndicator:
            box = style.subElementRect(QtWidgets.QStyle.SE_ItemViewItemCheckIndicator, option, view)
            on = {"checked"} if option.checkState == QtCore.Qt.Checked else states
            yield "checkbox", box, on
        elif rows_are_items:
            if view.selectionModel().isSelected(index):
                states = {"selected"}
            if isinstance(view, QtWidgets.QTreeView):
                rect = QtCore.QRect(0, rect.y(), port.width(), rect.height())
            yield "menu item", rect, states
        elif option.features & QtWidgets.QStyleOptionViewItem.HasDecoration:
            box = QtCore.QRect(QtCore.QPoint(0, 0), option.decorationSize)
            box.moveCenter(style.subElementRect(QtWidgets.QStyle.SE_ItemViewItemDecoration, option, view).center())
            yield "icon", box, states


def _indexes(
    model: QtCore.QAbstractItemModel, parent: QtCore.QModelIndex, columns: int
) -> Iterator[QtCore.QModelIndex]:
    for row in range(model.rowCount(parent)):
        for column in range(columns):
            index = model.index(row, column, parent)
            yield index
            yield from _indexes(model, index, columns)


def _title_bar(window: QtWidgets.QMdiSubWindow) -> Iterator[Found]:
    style, option = QtWidgets.QStyle, QtWidgets.QStyleOptionTitleBar()
    option.initFrom(window)
    frame = 0 if window.isMaximized() else window.style().pixelMetric(style.PM_MdiSubWindowFrameWidth, None, window)
    height = window.style().pixelMetric(style.PM_TitleBarHeight, option, window)
    option.rect = QtCore.QRect(frame, 0, window.width() - 2 * frame, height)
    option.subControls = style.SC_All
    option.titleBarFlags = window.windowFlags()
    parts = (
        ("icon", style.SC_TitleBarSysMenu),
        ("button", style.SC_TitleBarMinButton),
        ("button", style.SC_TitleBarMaxButton),
        ("button", style.SC_TitleBarCloseButton),
    )
    for kind, part in parts:
        rect = window.style().subControlRect(style.CC_TitleBar, option, part, window)
        if rect.isValid():
            yield kind, rect, set()
