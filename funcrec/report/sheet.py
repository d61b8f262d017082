"""Many rows of text at once, made by numpy: a matrix of bytes, padded with NULs that are taken out at the end.

Numbers and short texts stand in columns as wide as the widest of them. What is long, or was made one by one, is
spilled: a mark stands in the matrix, and the text takes its place at the end. Neither NULs nor marks occur in text that
a terminal can take (`funcrec.lang.printable`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Indexes = NDArray[np.int64]

MARK = 1
_MARK = bytes([MARK])
_WIDEST = 256  # of the words of a lexicon that stand in the matrix


class Sheet:
    """What was spilled of some rows, in order of columns.

    Args:
        quote: how a quotation mark of JSON is written: `"`, or `""` inside a csv cell.
    """

    def __init__(self, quote: str = '"') -> None:
        self.quote = quote
        self._rows: list[Indexes] = []
        self._texts: list[Sequence[bytes]] = []

    def encode(self, text: str) -> bytes:
        """JSON text as it stands here."""
        return (text if len(self.quote) == 1 else text.replace('"', self.quote)).encode()

    def spill(self, field: Bytes, rows: Indexes, texts: Sequence[bytes]) -> None:
        """Put texts where rows of a field are."""
        if len(rows):
            field[rows] = 0
            field[rows, 0] = MARK
            self._rows.append(rows)
            self._texts.append(texts)

    def take(self, inner: "Sheet", rows: Indexes, but: NDArray[np.bool_] | None = None) -> None:
        """What a sheet spilled whose rows are these here, but for some of its own; `rows` need not differ."""
        if inner._rows:
            its_rows, texts = inner._spilled()
            if but is not None:
                keep = np.flatnonzero(~but[its_rows])
                its_rows, texts = its_rows[keep], [texts[at] for at in keep.tolist()]
            self._rows.append(rows[its_rows])
            self._texts.append(texts)

    def _spilled(self) -> tuple[Indexes, list[bytes]]:
        """All that was spilled, row by row."""
        rows = np.concatenate(self._rows)
        texts = [text for some in self._texts for text in some]
        if len(self._rows) == 1 and (len(rows) < 2 or bool((rows[1:] >= rows[:-1]).all())):
            return rows, texts
        order = np.argsort(rows, kind="stable")  # columns came from left to right
        return rows[order], [texts[at] for at in order.tolist()]

    def text(self, data: Bytes) -> bytes:
        """The rows end to end."""
        whole = data.tobytes().translate(None, b"\0")
        if not self._rows:
            return whole
        pieces = whole.split(_MARK)
        out = [b""] * (2 * len(pieces) - 1)
        out[0::2] = pieces
        out[1::2] = self._spilled()[1]
        return b"".join(out)


# Numbers: four digits at a time, of tables that have all of them. In the second half zeros in front are NULs.


def _digits(base: int) -> NDArray[np.uint32]:
    numbers = np.arange(base**4)
    columns = [numbers // base**power % base for power in (3, 2, 1, 0)]
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[np.stack(columns, 1)]
    bare = digits.copy()
    for column in range(4):
        bare[numbers < base ** (3 - column), column] = 0
    return np.concatenate([digits, bare]).reshape(-1).view(np.uint32)


_TABLES: dict[int, NDArray[np.uint32]] = {}


def number_width(values: NDArray[Any], base: int = 10) -> int:
    """Bytes that `put_numbers` needs."""
    if not len(values):
        return 4
    top, low = int(values.max()), int(values.min())
    top, width = max(top, -low), 4
    while top >= base**width:
        width += 4
    return width + (low < 0)


def put_numbers(field: Bytes, values: NDArray[Any], base: int = 10) -> None:
    """Write whole numbers into fields of `number_width`, or four bytes more and so on."""
    if base not in _TABLES:
        _TABLES[base] = _digits(base)
    table, step = _TABLES[base], np.uint64(base**4)
    width = field.shape[1]
    if width % 4:
        field[:, 0] = np.where(values < 0, ord("-"), 0)
        values = np.abs(values.astype(np.int64))  # the least has no positive one: as unsigned it is right
    rest, first = values.astype(np.uint64), width % 4
    for at in range(width - 4, first, -4):
        above = rest // step
        index = rest - above * step
        index += step * (above == 0)
        field[:, at : at + 4].view(np.uint32)[:, 0] = table.take(index.view(np.int64))
        rest = above
    field[:, first : first + 4].view(np.uint32)[:, 0] = table.take((rest + step).view(np.int64))
    zero = values == 0
    if zero.any():
        field[zero, -1] = ord("0")


class Lexicon:
    """Texts that are referred to by number, such as names of functions."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        words = [text.encode("utf-8", "backslashreplace") for text in self.texts]
        self._long = {number: word for number, word in enumerate(words) if len(word) > _WIDEST}
        short = [_MARK if len(word) > _WIDEST else word for word in words]
        self.width = max(map(len, short), default=0)
        padded = b"".join(word.ljust(self.width, b"\0") for word in short)
        self._table = np.frombuffer(padded + b"\0", np.uint8)[:-1].reshape(len(short), self.width)
        self._is_long = np.array([len(word) > _WIDEST for word in words], np.bool_)

    def put(self, sheet: Sheet, field: Bytes, numbers: NDArray[Any]) -> None:
        """Write the texts of some numbers into fields of `width`."""
        field[:] = self._table.take(numbers, axis=0)
        if self._long:
            rows = np.flatnonzero(self._is_long[numbers])
            sheet.spill(field, rows, [self._long[number] for number in numbers[rows].tolist()])
