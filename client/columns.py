"""Tables of the command line: what names and counts is never cut, what there is no room for is left out."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

NARROW = 120
"""Columns of a terminal below which times are told to the second."""
FOLDED_LEAST = 16
FRACTION = re.compile(r"(\d{2}:\d{2}:\d{2})\.\d+Z")

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Title:
    """A column's title: whether it may be left out, and whether its words may go on in a next line."""

    text: str
    is_extra: bool = False
    folds: bool = False
    is_time: bool = False


def extra(title: str) -> Title:
    """A column that is left out where a terminal is too narrow."""
    return Title(title, is_extra=True)


def prose(title: str) -> Title:
    """A column of sentences, which fold."""
    return Title(title, folds=True)


def times(title: str, *, is_extra: bool = True) -> Title:
    """A column of times, which never folds: each can be pasted as one word."""
    return Title(title, is_extra=is_extra, is_time=True)


@dataclass(frozen=True)
class Fitted:
    """A table without lines that fits the terminal it is printed on; into a pipe goes all of it.

    Extra columns are left out from the right. Where the others are wider than the terminal, the lines are as well, and
    printing with `crop=False` leaves them whole.
    """

    titles: Sequence[Title]
    cells: Cells
    caption: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        found = self._to_the_second() if console.is_terminal and width < NARROW else self
        while console.is_terminal and found.needed() > width and any(title.is_extra for title in found.titles):
            found = found._without(max(place for place, title in enumerate(found.titles) if title.is_extra))
        drawn = found._drawn(is_folded=found.needed(is_folded=False) > width)
        yield from console.render(drawn, options.update(width=max(width, found.needed())))

    def needed(self, *, is_folded: bool = True) -> int:
        """The columns of a terminal without which something is cut, or, if not folded, folded."""
        widths = [self._width(place, is_folded=is_folded) for place in range(len(self.titles))]
        return sum(widths) + 2 * (len(widths) - 1)

    def _width(self, place: int, *, is_folded: bool) -> int:
        title = self.titles[place]
        words = title.text.split() if is_folded else [title.text]
        natural = max(map(cell_len, [*words, *(row[place] for row in self.cells)]), default=0)
        return min(natural, FOLDED_LEAST) if title.folds and is_folded else natural

    def _to_the_second(self) -> "Fitted":
        cells = [
            [
                FRACTION.sub(r"\1Z", cell) if title.is_time else cell
                for title, cell in zip(self.titles, row, strict=True)
            ]
            for row in self.cells
        ]
        return Fitted(self.titles, cells, self.caption)

    def _without(self, place: int) -> "Fitted":
        titles = [*self.titles[:place], *self.titles[place + 1 :]]
        return Fitted(titles, [[*row[:place], *row[place + 1 :]] for row in self.cells], self.caption)

    def _drawn(self, *, is_folded: bool) -> Table:
        drawn = Table(box=None, caption=self.caption, caption_justify="left", header_style="bold", pad_edge=False)
        for place, title in enumerate(self.titles):
            width = self._width(place, is_folded=True)
            lines = textwrap.wrap(title.text, max(1, width), break_long_words=False, break_on_hyphens=False)
            drawn.add_column(Text("\n".join(lines) if is_folded else title.text), no_wrap=not title.folds)
        for row in self.cells:
            drawn.add_row(*map(Text, row))
        return drawn


def table(titles: Sequence[str | Title], rows: Iterable[Sequence[object]], *, caption: str | None = None) -> Fitted:
    """A table without lines; None is empty."""
    said = [["" if value is None else str(value) for value in row] for row in rows]
    return Fitted([Title(one) if isinstance(one, str) else one for one in titles], said, caption)
