"""The kernel side of one recording: program, maps and links, from plan to detached.

Owns every descriptor; closing it, or dying, leaves nothing in the kernel.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from funcrec.errors import HostError
from funcrec.plan.conditions import ConditionPlans, always
from funcrec.plan.conditiontree import Lowered
from funcrec.plan.programs import ValueLimits
from funcrec.plan.sites import ProbePlan, ProbeSite, Role, SiteKind
from funcrec.plan.values import ValuePlans
from funcrec.record import maps
from funcrec.record.attach import Attacher, Way, attacher, cookie, cookies
from funcrec.record.calibrate import hit_costs
from funcrec.record.captures import ValueRing
from funcrec.record.clocks import moment, wait_until
from funcrec.record.codegen import (
    FACT_PAGES,
    MAX_RINGS,
    PAGE_BYTES,
    PidFilter,
    ProgramRequest,
    generate,
)
from funcrec.record.compile import Compiler
from funcrec.record.conditionmaps import FRAME, FRAME_KEY, STACK, STACK_KEY, condition_maps
from funcrec.record.cpus import slots
from funcrec.record.drain import DrainSources
from funcrec.record.links import Links
from funcrec.record.order import takes_over
from funcrec.record.pidspace import own_space
from funcrec.record.places import ImageFacts, Places
from funcrec.record.resultmaps import result_maps
from funcrec.record.rings import EVENT_ROW, FACT_ROW, EventRing, Ring, Rows, map_array, map_shared
from funcrec.record.scrap import SITES as SCRAP_SITES
from funcrec.record.scrap import Scrap
from funcrec.record.strays import take_away
from funcrec.record.valuemaps import value_maps
from funcrec.target.runtime_layout import RuntimeLayout
from funcrec.units import format_size

_MOVES_HERE, _NEVER = 1 << 63, (1 << 63) - 1  # see `moves` in bpf/guard.h
_MANY_PIDS = (1 << 64) - 1

_FIRST_PART = 1024  # sites
_QUICK_S = 0.2


class Probes:
    """Compile early, attach late, detach in the order that makes no false frames.

    Attributes:
        hands_over: sites can be taken out while the others go on; known after `calibrate`.

    Args:
        layout: of the target's runtime.
        max_sites: the plan will not have more.
        buffer_bytes: for all event rings together.
        way: of attaching.
        image: of the target, for a way that finds cookies by place.
        pid_filter, gated, min_ns, values, chained, condition, entry_only: see ProgramRequest.
        rings: how many; 0: one for each CPU.
    """

    def __init__(
        self,
        layout: RuntimeLayout,
        *,
        max_sites: int,
        buffer_bytes: int,
        pid_filter: PidFilter,
        gated: bool,
        min_ns: int = 0,
        values: ValueLimits | None = None,
        chained: bool = False,
        condition: Lowered | None = None,
        entry_only: bool = False,
        rings: int = 0,
        way: Way = Way.MULTI,
        image: ImageFacts | None = None,
    ) -> None:
        self._layout = layout
        self._way = way
        self._pid_filter = pid_filter
        self._rings = min(rings or slots(), MAX_RINGS)
        self._ring_bytes = ring_bytes(buffer_bytes, self._rings)
        self._event_slots = event_slots(self._ring_bytes, self._rings)
        self._max_sites = max_sites
        self._min_ns = min_ns
        self._values = values is not None
        self._tests = condition is not None
        self._value_sites: frozenset[int] = frozenset()
        self._links: Links | None = None
        self._scrap: Scrap | None = None
        self._listed: set[int] = set()
        self.hands_over = False
        self._descriptors: dict[str, int] = {}
        self._compiler = Compiler()
        request = ProgramRequest(
            layout=layout,
            rings=self._rings,
            event_slots=self._event_slots,
            sites=max_sites + SCRAP_SITES,
            pid_filter=pid_filter,
            gated=gated,
            min_ns=min_ns,
            values=values,
            chained=chained,
            condition=condition,
            entry_only=entry_only,
            multi=way == Way.MULTI,
            image=image if way == Way.TRACEFS else None,
            pid_space=own_space(),
        )
        self._compiler.submit(generate(request))

    def load(self, sites: int = 0) -> DrainSources:
        """Wait for the compiler and map what it made.

        Args:
            sites: how many the plan has, and no more pages are mapped; 0: not known, max_sites.
        """
        self._descriptors = self._compiler.result()
        descriptors = self._descriptors
        self._sites = sites or self._max_sites
        self._let_go = map_array(descriptors["let_go"], self._sites, "<u8", writable=True)
        self._moves = map_array(descriptors["moves"], self._sites, "<u8", writable=True)
        self._idle_hits = map_array(descriptors["idle_hits"], self._max_sites + SCRAP_SITES, "<u8")
        self._vain_hits = map_array(descriptors["vain_hits"], self._sites, "<u8")
        self._control, states = map_shared(descriptors["shared"], self._rings)
        return DrainSources(
            rings=[
                EventRing(descriptors["event_slots"], number, self._event_slots, states)
                for number in range(self._rings)
            ],
            facts=Ring(descriptors["facts"], FACT_PAGES * PAGE_BYTES, FACT_ROW),
            states=states,
            site_lost=map_array(descriptors["site_lost"], self._sites, "<u8"),
            values=[ValueRing(ring, self._ring_bytes) for ring in self._make_rings("value_rings")]
            if self._values
            else [],
        )

    def _make_rings(self, array: str) -> list[int]:
        """Make a ring for each CPU and put them into an array of the program's."""
        made: list[int] = []
        try:
            for number in range(self._rings):
                made.append(maps.create_ring(self._ring_bytes))
                self._descriptors[f"{array} {number}"] = made[-1]
            maps.put_maps(self._descriptors[array], made)
        except OSError as error:
            size = format_size(self._ring_bytes)
            raise HostError(
                f"the kernel does not give {self._rings} rings of {size}: {error.strerror}",
                remedy="choose a smaller --buffer, or allow more open files (ulimit -n)",
            ) from error
        return made

    def install_values(self, plans: ValuePlans, sites: tuple[ProbeSite, ...]) -> None:
        """Fill the tables that say what to read where; call it before `attach`."""
        tables = value_maps(plans, sites)
        for name, rows in (
            ("value_sites", tables.sites),
            ("value_programs", tables.programs),
            ("value_refs", tables.references),
        ):
            if len(rows):
                map_array(self._descriptors[name], len(rows), rows.dtype, writable=True)[:] = rows
        for address, program in tables.types.items():
            maps.update(self._descriptors["value_types"], struct.pack("<Q", address), struct.pack("<I", program))
        self._value_sites = frozenset(plans.sites)

    def install_conditions(self, plans: ConditionPlans, sites: tuple[ProbeSite, ...]) -> None:
        """Fill the tables that say which calls count; call it before `attach`."""
        rows, loads = condition_maps(plans, sites)
        for name, table in (("condition_sites", rows), ("condition_loads", loads)):
            if len(table):
                map_array(self._descriptors[name], len(table), table.dtype, writable=True)[:] = table

    def install_results(self, plan: ProbePlan) -> None:
        """Fill the tables that say how results follow from the registers at exit sites; call it before `attach`."""
        for name, table in zip(("result_sites", "result_steps"), result_maps(plan), strict=True):
            if len(table):
                map_array(self._descriptors[name], len(table), table.dtype, writable=True)[:] = table

    def install_chains(self, plan: ProbePlan) -> None:
        """Fill the tables of exits that other sites' hits tell; call it before `attach`."""
        origins = map_array(self._descriptors["chain_origins"], len(plan.sites), "<u8", writable=True)
        for number, site in enumerate(plan.sites):
            if _ends_callers(plan, site):
                origins[number] = site.address
            if site.kind == SiteKind.CHAINED and not _is_twin(plan, number):
                link = struct.pack("<II", number, site.sp_delta | plan.functions[site.function].root)
                maps.update(self._descriptors["chains"], struct.pack("<Q", site.address), link)

    def calibrate(self) -> dict[str, float]:
        """Measure the cost of one hit by site kind, in ns, and try whether links can follow one another.

        Its events are the caller's to drop.
        """
        own = os.getpid()
        if self._pid_filter == PidFilter.LISTED:
            self.list_pid(own)
        if "condition_sites" in self._descriptors:
            self._admit_calibration()
        self._scrap = Scrap(self._max_sites, self._layout.goid)
        attaching = self._attacher(self._scrap.path, self._scrap.address)
        self._scrap.attach(attaching)
        costs = hit_costs(self._scrap)
        if attaching.by_site:
            self.hands_over = True  # each goes by itself
        else:
            self._scrap.attach(attaching, generation=1)
            self.hands_over = self.try_order(young=1)
        if self._pid_filter == PidFilter.LISTED:
            self.unlist_pid(own)
        return costs

    def _attacher(self, path: str, base: int | None = None, twins: Mapping[int, str] | None = None) -> Attacher:
        """What attaches the program to a file; base: where it is mapped if it is no executable."""
        table = self._descriptors.get("places")
        places = None if table is None else Places(table, base)
        return attacher(self._way, self._descriptors["hit"], path, places, twins)

    def try_order(self, *, young: int) -> bool:
        """Whether a link can take over from another one here, see `takes_over`; not while anything is recorded."""
        return self._scrap is not None and takes_over(self._scrap, self._control, self._idle_hits, young=young)

    def _admit_calibration(self) -> None:
        """A condition that always holds for the sites of the calibration: the whole way of an event is measured."""
        plans = always(range(self._max_sites, self._max_sites + SCRAP_SITES), 0)
        rows, _ = condition_maps(plans, ())
        sites = map_array(self._descriptors["condition_sites"], len(rows), rows.dtype, writable=True)
        sites[self._max_sites :] = rows[self._max_sites :]

    def take_away_strays(self, path: str, pids: Sequence[int], twins: Mapping[int, str]) -> dict[int, int]:
        """Take breakpoints out of processes that killed recorders left; call it before `attach`.

        Returns:
            pid -> how many, of those that had any.
        """
        self._control["closed"] = 1
        nobody = cookie(self._max_sites, ProbeSite(0, 0, 0, Role.POINT), root=False)  # a site of the calibration
        freed = {pid: take_away(pid, twins.get(pid, path), self._attacher, nobody) for pid in pids}
        return {pid: count for pid, count in freed.items() if count}

    def attach(
        self,
        plan: ProbePlan,
        path: str,
        pids: Sequence[int],
        *,
        entry_only: bool,
        twins: Mapping[int, str] | None = None,
        leave_out: Callable[[], Collection[int]] = tuple,
        idle: bool = False,
    ) -> None:
        """Arm all sites, then record what they see: nothing counts before the last one is there.

        Args:
            plan: what to probe.
            path: the file.
            pids: only in these processes; none: in all.
            entry_only: no exits.
            twins: processes of these that run another file of the same contents, and its path.
            leave_out: called when some are armed; returns sites that are not to be armed any more.
            idle: no process runs the file, and nothing will be hit: a link for each stage will do.
        """
        self._control["closed"] = 1
        self._links = Links(self._attacher(path, twins=twins), self._control, pids)
        # One link for each: an instruction can be a site of two of them, and a link takes it once.
        state = [role for role in Role if role > Role.POINT]
        stages: list[Iterable[Role]] = [[Role.ENTRY, Role.POINT]]
        if not entry_only:
            stages = [state, [Role.EXIT], *stages]
        left_out: set[int] = set()
        for roles in stages:
            wanted = set(roles)
            numbers = [
                number
                for number, site in enumerate(plan.sites)
                if site.role in wanted and site.kind != SiteKind.CHAINED and not site.spare
            ]
            first = len(numbers) if idle else _FIRST_PART
            self._arm_stage(plan, numbers, first, left_out, leave_out)
        self._idle_hits = map_array(self._descriptors["idle_hits"], self._sites, "<u8")  # without the calibration's
        self._control["closed"] = 0

    def _arm_stage(
        self,
        plan: ProbePlan,
        numbers: list[int],
        size: int,
        left_out: set[int],
        leave_out: Callable[[], Collection[int]],
    ) -> None:
        """Arm sites in parts, which grow as long as they are quick: not in a program that hits them all the time."""
        while numbers:
            part, numbers = numbers[:size], numbers[size:]
            began = time.monotonic()
            self._arm(plan, [number for number in part if number not in left_out])
            if time.monotonic() - began < _QUICK_S:
                size *= 8
            left_out.update(leave_out())

    def _arm(self, plan: ProbePlan, numbers: list[int]) -> None:
        if self._links is not None:
            self._links.arm(numbers, *self._places(plan, numbers))

    def _places(self, plan: ProbePlan, numbers: list[int]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Offsets in the file and cookies of some sites."""
        sites = [plan.sites[number] for number in numbers]
        twins = [int(plan.sites[number + 1].edge) if _is_twin(plan, number + 1) else 0 for number in numbers]
        packed = cookies(
            numbers,
            sites,
            [plan.functions[site.function].root for site in sites],
            [number in self._value_sites for number in numbers],
            twins,
            [twin > 0 or _ends_callers(plan, site) for twin, site in zip(twins, sites, strict=True)],
        )
        return np.array([site.offset for site in sites], dtype=np.int64), packed

    def keep_spares(self, plan: ProbePlan) -> None:
        """Remember what `swap` may arm, so that the plan can go: it takes 300 bytes a site."""
        numbers = [number for number, site in enumerate(plan.sites) if site.spare]
        self._spares = np.array(numbers, dtype=np.int64), *self._places(plan, numbers)

    def swap(self, armed: Sequence[int], dropped: Sequence[int]) -> None:
        """See some exits elsewhere from a moment on; `armed`: spare sites, in ascending order.

        A return that the moment finds on its way from one site to the other is told twice: whoever pairs entries with
        exits ignores the second.
        """
        here, there, (numbers, offsets, packed) = list(armed), list(dropped), self._spares
        at = np.searchsorted(numbers, armed)
        self._moves[here] = _MOVES_HERE | _NEVER
        self._control["moving"] = 1
        if self._links is not None:
            self._links.arm(armed, offsets[at], packed[at])
        moment_ns = moment()
        self._moves[here] = _MOVES_HERE | moment_ns
        self._moves[there] = moment_ns
        wait_until(moment_ns)
        self.drop(dropped)
        self._moves[here] = self._moves[there] = 0
        self._control["moving"] = 0

    def silence(self, sites: Sequence[int], since_ns: int) -> None:
        """Let the events of these sites end at a time that is yet to come; exact whatever a CPU is doing then."""
        self._let_go[list(sites)] = since_ns
        self._control["letting_go"] = 1

    def drop(self, sites: Sequence[int]) -> None:
        """Take sites out of the kernel while the others go on, see `Links.drop`."""
        if self._links is not None:
            self._links.drop(sites)

    def idle_hits(self, sites: int) -> NDArray[np.int64]:
        """Hits of the first sites that were to tell something and did not, i64; of calls that are not wanted."""
        return self._idle_hits[:sites].astype(np.int64)

    def vain_hits(self, sites: int) -> NDArray[np.int64]:
        """Hits of the first sites that had nothing to tell, i64: with idle ones, events and losses they are all."""
        return self._vain_hits[:sites].astype(np.int64)

    def detach(self) -> None:
        """End the recording at one moment for every goroutine, then disarm; calls in flight stay open."""
        if self._links is not None:
            self._control["closed"] = 1
            # Those of the calibration too: who waits for one link may wait for all.
            self._links.close(self._scrap.hand_out() if self._scrap is not None else ())

    def list_pid(self, pid: int) -> None:
        """Put a process on the list that the pid filter goes by.

        Raises:
            HostError: the list is full.
        """
        try:
            maps.update(self._descriptors["pids"], struct.pack("<I", pid), struct.pack("<I", 1))
            self._listed.add(pid)
            self._note_only_pid()
        except OSError as error:
            raise HostError(
                f"the list of processes is full at pid {pid}", remedy="record fewer processes at a time"
            ) from error

    def unlist_pid(self, pid: int) -> None:
        """Take a process off the list."""
        maps.delete(self._descriptors["pids"], struct.pack("<I", pid))
        self._listed.discard(pid)
        self._note_only_pid()

    def _note_only_pid(self) -> None:
        """After a change of the list: what the program need not look for in it."""
        self._control["only_pid"] = _MANY_PIDS if len(self._listed) > 1 else next(iter(self._listed), 0)

    def forget_threads(self) -> None:
        """Make room: the working memory of threads that have ended."""
        for name in ("value_scratches", "condition_scratches"):
            # All at first: a key that is gone is no place to go on from.
            for key in list(maps.keys(self._descriptors[name], 4)) if name in self._descriptors else ():
                if not os.path.exists(f"/proc/{struct.unpack('<I', key)[0]}"):
                    maps.delete(self._descriptors[name], key)

    def forget(self, pids: Sequence[int]) -> None:
        """Make room: what a condition remembers of processes that have ended."""
        if not self._tests:
            return
        for name, key, row in (("condition_frames", FRAME_KEY, FRAME), ("condition_stacks", STACK_KEY, STACK)):
            keys, _ = maps.items(self._descriptors[name], key, row)
            for each in keys[np.isin(keys["pid"], pids)]:
                maps.delete(self._descriptors[name], each.tobytes())

    def deferred(self) -> Rows:
        """Entries that still wait for their exit under --min: EVENT_ROW rows, final once all links are closed."""
        rows = np.zeros(0, dtype=EVENT_ROW)
        if self._min_ns:
            wire = np.dtype([field for field in EVENT_ROW.descr if field[0] != "turn"])
            waiting = maps.values(self._descriptors["deferred"], 16, wire)
            rows = np.zeros(len(waiting), dtype=EVENT_ROW)
            for name in wire.names or ():
                rows[name] = waiting[name]
            since = self._let_go[rows["site"]]
            rows = rows[(since == 0) | (rows["time_ns"] < since)]
        return rows

    def close(self) -> None:
        """Detach and give everything back."""
        self.detach()
        self._compiler.close()
        if self._scrap is not None:
            self._scrap.close()
            self._scrap = None
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}


def _is_twin(plan: ProbePlan, number: int) -> bool:
    """True for an exit that is told by the hit of the entry before it."""
    if not 0 < number < len(plan.sites):
        return False
    site = plan.sites[number]
    if site.kind != SiteKind.CHAINED:
        return False
    entry = plan.sites[number - 1]
    return entry.address == site.address and entry.role == Role.ENTRY


def _ends_callers(plan: ProbePlan, site: ProbeSite) -> bool:
    """True for an exit after which chains of exits are looked for."""
    return plan.functions[site.function].ends_callers and site.role in (Role.EXIT, Role.POINT)


def ring_bytes(total: int, rings: int) -> int:
    """The power of two nearest below an equal share, at least one page."""
    share = max(total // rings, mmap.PAGESIZE)
    return min(1 << (share.bit_length() - 1), 1 << 30)


def event_slots(size: int, rings: int) -> int:
    """How many events each ring of so many bytes has room for: a power of two, and all of them have 32-bit numbers."""
    return 1 << (min(size // EVENT_ROW.itemsize, (1 << 31) // rings).bit_length() - 1)
