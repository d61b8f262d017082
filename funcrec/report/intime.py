"""Durations by group, each group in order of time: what a comparison keeps of its calls, four bytes of most.

Parts of a trace tell calls when they are over, those that last long behind many that began later. Numbers in the whole
trace put them in order again: a part's calls lie between those of its neighbours but for the late ones, so that each
piece is sorted by itself in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcrec.report.summary import Groups, Key, places_of

I64 = NDArray[np.int64]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Durations:
    """Calls of K groups in R runs, which stand one after the other as if they were one.

    Attributes:
        keys: the K groups.
        calls: i64[K], all calls.
        ended: i64[K, R], those with a known duration.
        ns: u32 or i64, the known durations: by group, then by run, then in order of time.
    """

    keys: list[Key]
    calls: I64
    ended: I64
    ns: Integers


def in_time(groups: Groups, duration_ns: I64) -> Durations:
    """Arrange n calls in order of time, durations -1 where unknown; calls of no group are left out."""
    gathering = Gathering()
    gathering.add(np.arange(len(duration_ns)), groups, duration_ns)
    return gathering.durations()


def joined(parts: Sequence[Durations]) -> Durations:
    """The calls of several recordings, each a run, in their order."""
    place: dict[Key, int] = {}
    moved = [places_of(part.keys, place) for part in parts]
    k = len(place)
    calls, ended = np.zeros(k, np.int64), np.zeros((k, len(parts)), np.int64)
    for run, (part, to) in enumerate(zip(parts, moved, strict=True)):
        calls[to] += part.calls
        ended[to, run] += part.ended.sum(1)
    first = (np.cumsum(ended) - ended.ravel()).reshape(ended.shape)
    wide = any(part.ns.dtype == np.int64 for part in parts)
    ns: Integers = np.empty(int(ended.sum()), np.int64 if wide else np.uint32)
    for run, (part, to) in enumerate(zip(parts, moved, strict=True)):
        ns[_steps(first[to, run], part.ended.sum(1))] = part.ns
    return Durations(list(place), calls, ended, ns)


class Gathering:
    """Takes in the calls of a recording part by part."""

    def __init__(self) -> None:
        self._place: dict[Key, int] = {}
        self._calls = np.zeros(0, np.int64)
        self._first: list[int] = []  # number of the first call of each stretch
        self._stretches: list[list[tuple[Integers, Integers, Integers]]] = []
        self._next = 0

    def add(self, numbers: I64, groups: Groups, duration_ns: I64) -> None:
        """Take in some calls.

        Args:
            numbers: of the calls in the trace, each once over all parts.
            groups: of the calls, -1 for those to leave out.
            duration_ns: -1 where unknown.
        """
        to = places_of(groups.keys, self._place)
        self._calls = _grown(self._calls, len(self._place))
        self._calls[to] += np.bincount(groups.codes[groups.codes >= 0], minlength=len(to))
        kept = (groups.codes >= 0) & (duration_ns >= 0)
        if not kept.all():
            numbers, duration_ns = numbers[kept], duration_ns[kept]
        codes = to[groups.codes[kept]]
        if len(numbers):
            self._begin(int(numbers.max()))
        stretch = np.searchsorted(self._first, numbers, side="right") - 1
        # Few stretches have calls here: nearly all are of the last.
        for each in np.unique(stretch).tolist():
            mine = stretch == each
            piece = (numbers[mine] - self._first[each], codes[mine], duration_ns[mine])
            self._stretches[each].append(tuple(_narrow(column) for column in piece))

    def _begin(self, last: int) -> None:
        if last >= self._next:
            self._first.append(self._next)
            self._stretches.append([])
            self._next = last + 1

    def durations(self) -> Durations:
        """Arrange all that was taken in, and forget it."""
        k = len(self._place)
        pieces = [piece for stretch in self._stretches for piece in stretch]
        ended = np.zeros(k, np.int64)
        for _, codes, _ in pieces:
            ended += np.bincount(codes, minlength=k)
        wide = any(ns.dtype == np.int64 for *_, ns in pieces)
        del pieces
        result: Integers = np.empty(int(ended.sum()), np.int64 if wide else np.uint32)
        free = np.cumsum(ended) - ended
        stretches, self._stretches = self._stretches[::-1], []
        while stretches:
            codes, ns = _sorted(stretches.pop())
            # numpy sorts 16-bit keys by counting.
            order = np.argsort(codes.astype(np.uint16) if k <= 1 << 16 else codes, kind="stable")
            counts = np.bincount(codes, minlength=k)
            result[_steps(free, counts)] = ns[order]
            free += counts
        return Durations(list(self._place), self._calls, ended[:, None], result)


def _sorted(pieces: list[tuple[Integers, Integers, Integers]]) -> tuple[Integers, Integers]:
    """Groups and durations of one stretch, sorted by number."""
    numbers, codes, ns = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    if (numbers[1:] > numbers[:-1]).all():
        return codes, ns
    order = np.argsort(numbers)
    return codes[order], ns[order]


def _grown(column: I64, n: int) -> I64:
    return np.concatenate((column, np.zeros(n - len(column), np.int64)))


def _narrow(column: I64) -> Integers:
    """Numbers that are not negative in 32 bits, where all fit."""
    return column.astype(np.uint32) if int(column.max(initial=0)) < 1 << 32 else column


def _steps(first: I64, counts: I64) -> I64:
    """`counts[i]` numbers from `first[i]` on, for each i."""
    return np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
