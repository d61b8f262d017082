"""Mutations that know the format: what they leave alone stays sound, so that they reach behind the checksums."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.fuzz.anatomy import Anatomy, Part, pack, put_together, take_apart
from tests.hostile import STRINGS

NUMBERS = (
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 48, 63, 64, 127, 128, 255, 256, 1000, 4095, 4096, 65535, 65536, 2**20, 2**24,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -8, -(2**31), -(2**63),
)  # fmt: skip
_FLOATS = (0.5, -1.0, 1e300, float("inf"), float("-inf"), float("nan"))
_FIELDS = {
    "type": 8, "version": 8, "flags": 16, "sequence": 32, "raw": 32, "first": 64, "t_min": -64, "t_max": -64,
    "count": 32,
}  # fmt: skip


class Mutator:
    """Endless variations of some traces, the same for the same seed.

    Args:
        corpus: sound traces.
        seed: of the choices.
    """

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._whole = list(corpus)
        self._corpus = [take_apart(data) for data in corpus]
        # A large one takes longer: each gets about the same time.
        self._weights = [1 / len(data) for data in corpus]
        self._random = random.Random(seed)

    def reseed(self, seed: int) -> None:
        """Go on with other choices."""
        self._random.seed(seed)

    def next(self) -> bytes:
        """One more hostile file."""
        if self._random.random() < 0.15:
            return self.damage(self._random.choices(self._whole, self._weights)[0])
        chosen = self._random.choices(self._corpus, self._weights)[0]
        return self.vary(Anatomy(chosen.head, list(chosen.parts), chosen.closed))

    def damage(self, data: bytes) -> bytes:
        """Change bytes of the file, checksums be damned."""
        pick = self._random
        result = bytearray(data)
        for _ in range(pick.choice((1, 1, 2, 5))):
            at = pick.randrange(len(result) + 1)
            kind = pick.randrange(5)
            if kind == 0 and at < len(result):
                result[at] ^= 1 << pick.randrange(8)
            elif kind == 1:
                del result[at:]
            elif kind == 2:
                result[at:at] = pick.randbytes(pick.choice((1, 8, 100)))
            elif kind == 3:
                del result[at : at + pick.choice((1, 8, 100))]
            else:
                other = pick.choice(self._whole)
                start = pick.randrange(len(other))
                result[at:at] = other[start : start + pick.choice((56, 500, 5000))]
            if not result:
                break
        return bytes(result)

    def vary(self, anatomy: Anatomy) -> bytes:
        """Change records, then make the file sound around them."""
        pick = self._random
        for _ in range(pick.choice((1, 1, 1, 2, 3, 6))):
            if not anatomy.parts:
                break
            pick.choices(self._CHANGES, self._WEIGHTS)[0](self, anatomy)
        keep = pick.random()
        return put_together(anatomy, keep_sequence=keep < 0.03, keep_raw=0.03 <= keep < 0.05)

    # Whole records

    def _part(self, anatomy: Anatomy) -> Part:
        """A part to change; the corpus keeps its own."""
        at = self._random.randrange(len(anatomy.parts))
        anatomy.parts[at] = anatomy.parts[at].copy()
        return anatomy.parts[at]

    def _drop(self, anatomy: Anatomy) -> None:
        del anatomy.parts[self._random.randrange(len(anatomy.parts))]

    def _repeat(self, anatomy: Anatomy) -> None:
        at = self._random.randrange(len(anatomy.parts))
        times = self._random.choice((1, 1, 1, 3, 30))
        anatomy.parts[at:at] = [replace(anatomy.parts[at]) for _ in range(times)]

    def _move(self, anatomy: Anatomy) -> None:
        part = anatomy.parts.pop(self._random.randrange(len(anatomy.parts)))
        anatomy.parts.insert(self._random.randrange(len(anatomy.parts) + 1), part)

    def _graft(self, anatomy: Anatomy) -> None:
        other = self._random.choice(self._random.choice(self._corpus).parts)
        anatomy.parts.insert(self._random.randrange(len(anatomy.parts) + 1), replace(other))

    def _unclose(self, anatomy: Anatomy) -> None:
        anatomy.closed = not anatomy.closed

    def _prefix(self, anatomy: Anatomy) -> None:
        at = self._random.randrange(len(anatomy.parts))
        part = anatomy.parts[at] = replace(anatomy.parts[at])
        name = self._random.choice(list(_FIELDS))
        bits = _FIELDS[name]
        value = self._number(getattr(part.prefix, name))
        value = (value + 2**63) % 2**64 - 2**63 if bits < 0 else value % 2**bits
        part.prefix = replace(part.prefix, **{name: value})

    def _head(self, anatomy: Anatomy) -> None:
        head = anatomy.head
        field = self._random.choice(("version", "minor", "file_id"))
        anatomy.head = replace(head, **{field: self._number(getattr(head, field)) % 2**16})

    # Fields

    def _value(self, anatomy: Anatomy) -> None:
        part = self._part(anatomy)
        place = self._place(part)
        if place is None:
            part.body = self._anything()
            return
        holder, key = place
        holder[key] = self._changed(holder[key])
        self._tell_prefix(part)

    def _place(self, part: Part) -> tuple[Any, Any] | None:
        """Some array or map of a body and one of its keys; what lies on the way there is copied."""
        if not (isinstance(part.body, dict | list) and part.body):
            return None
        holder = part.body = copy.copy(part.body)
        while True:
            key = self._random.choice(list(holder)) if isinstance(holder, dict) else self._random.randrange(len(holder))
            inner = holder[key]
            if not (isinstance(inner, dict | list) and inner) or self._random.random() < 0.15:
                return holder, key
            inner = holder[key] = copy.copy(inner)
            holder = inner

    def _tell_prefix(self, part: Part) -> None:
        """Let the prefix agree with the body most of the time: the check that they do is soon tested enough."""
        if not isinstance(part.body, dict) or self._random.random() < 0.1:
            return
        fields: dict[str, int] = {}
        for name, target in (("n", "count"), ("t_min", "t_min"), ("t_max", "t_max")):
            value = part.body.get(name)
            if type(value) is int and -(2**63) <= value < 2**63 and (target != "count" or 0 <= value < 2**32):
                fields[target] = value
        for table in part.body.values():
            if isinstance(table, list) and part.prefix.type in (5, 7):
                fields["count"] = len(table)
        part.prefix = replace(part.prefix, **fields)

    def _key(self, anatomy: Anatomy) -> None:
        place = self._place(self._part(anatomy))
        if place is not None and isinstance(place[0], dict):
            value = place[0].pop(place[1])
            if self._random.random() < 0.5:
                place[0][self._random.choice(STRINGS)] = value

    def _raw_bytes(self, anatomy: Anatomy) -> None:
        part = self._part(anatomy)
        content = bytearray(pack(part.body))
        for _ in range(self._random.choice((1, 2, 8))):
            if content:
                content[self._random.randrange(len(content))] = self._random.randrange(256)
        part.body = bytes(content)

    def _changed(self, value: Any) -> Any:
        pick = self._random
        if pick.random() < 0.08:
            return self._anything()
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, float):
            return pick.choice(_FLOATS)
        if isinstance(value, str):
            return pick.choice((pick.choice(STRINGS), value + pick.choice(STRINGS), value * 50, ""))
        if isinstance(value, bytes):
            return self._column(value)
        if isinstance(value, list):
            return self._list(value)
        return self._anything()

    def _number(self, value: int) -> int:
        pick = self._random
        kind = pick.randrange(4)
        if kind == 0:
            return value + pick.choice((-1, 1, 8, -8, 256))
        if kind == 1:
            return value ^ (1 << pick.randrange(64)) if value >= 0 else -value
        return pick.choice(NUMBERS)

    def _column(self, value: bytes) -> bytes:
        pick = self._random
        kind = pick.randrange(6)
        if kind == 0 or not value:
            return pick.randbytes(pick.choice((0, 1, 8, len(value), 2 * len(value))))
        if kind == 1:
            return bytes(len(value))
        if kind == 2:
            return b"\xff" * len(value)
        if kind == 3:
            return value + bytes(len(value)) + value
        result = bytearray(value)
        for _ in range(pick.choice((1, 3, 10))):
            at = pick.randrange(len(result))
            # The second value in a column of flags, kinds or small lengths is the interesting one.
            result[at] = pick.choice((0, 1, 2, 3, 4, 7, 8, 127, 128, 255, pick.randrange(256)))
        return bytes(result)

    def _list(self, value: list[Any]) -> list[Any]:
        pick = self._random
        kind = pick.randrange(5)
        if kind == 0 or not value:
            return [*value, self._anything()]
        if kind == 1:
            return value[: pick.randrange(len(value))]
        if kind == 2:
            return value * pick.choice((2, 3, 50))
        if kind == 3:
            return pick.sample(value, len(value))
        return [pick.choice(value), *value]

    def _anything(self, nesting: int = 0) -> Any:
        pick = self._random
        kind = pick.randrange(10 if nesting < 4 else 6)
        if kind == 9:
            nested: Any = 0
            for _ in range(pick.choice((5, 31, 33, 400))):
                nested = [nested] if pick.random() < 0.5 else {"x": nested}
            return nested
        if kind >= 7:
            return [self._anything(nesting + 1) for _ in range(pick.choice((0, 1, 3)))]
        if kind == 6:
            return {pick.choice(STRINGS): self._anything(nesting + 1) for _ in range(pick.choice((0, 1, 3)))}
        return (
            None,
            pick.random() < 0.5,
            pick.choice(NUMBERS),
            pick.choice(_FLOATS),
            pick.choice(STRINGS),
            pick.randbytes(pick.choice((0, 1, 9))),
        )[kind]

    _CHANGES: Sequence[Callable[[Mutator, Anatomy], None]] = (
        _value, _key, _raw_bytes, _prefix, _drop, _repeat, _move, _graft, _unclose, _head
    )  # fmt: skip
    _WEIGHTS = (60, 6, 4, 8, 4, 4, 4, 6, 2, 1)
