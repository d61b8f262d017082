"""The bytes as Perfetto's own message classes read them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from funcrec.report.calls import State
from funcrec.report.export.perfetto import encode
from funcrec.report.export.timeline import build
from funcrec.report.valuecells import Cells, compact
from funcrec.report.valuecolumns import Texts
from tests.unit.report.export.sample import HOSTILE, START_NS, make, with_values

protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")


def decode(source):
    return list(protos.Trace.FromString(b"".join(encode(lambda: [build(source)]))).packet)


def events(packets, kind):
    return [packet for packet in packets if packet.HasField("track_event") and packet.track_event.type == kind]


def test_clock_comes_first_and_events_use_it():
    packets = decode(make(20, 1))
    clocks = {clock.clock_id: clock.timestamp for clock in packets[0].clock_snapshot.clocks}
    assert clocks == {3: START_NS, 6: START_NS + 7, 1: 1_700_000_000_000_000_000}
    assert packets[1].trace_packet_defaults.timestamp_clock_id == 3
    assert {packet.trusted_packet_sequence_id for packet in packets} == {1}


def test_each_call_begins_once_and_ends_unless_open():
    source = make(500, 3, 2)
    packets = decode(source)
    calls, event = source.calls, protos.TrackEvent
    states = Counter(calls.state.tolist())
    assert len(events(packets, event.TYPE_SLICE_BEGIN)) == len(calls) - states[State.ENTRY]
    assert len(events(packets, event.TYPE_SLICE_END)) == len(calls) - states[State.ENTRY] - states[State.OPEN]
    instants = events(packets, event.TYPE_INSTANT)
    assert len(instants) == states[State.ENTRY] + len(source.trace.lost)


def test_names_places_and_times():
    source = make(100, 1, 3, broken=False)
    packets = decode(source)
    names = {entry.iid: entry.name for entry in packets[1].interned_data.event_names}
    places = {entry.iid: (entry.file_name, entry.line_number) for entry in packets[1].interned_data.source_locations}
    begins = events(packets, protos.TrackEvent.TYPE_SLICE_BEGIN)
    for row, packet in enumerate(begins):
        assert packet.timestamp == source.calls.start_ns[row]
        assert names[packet.track_event.name_iid] == source.trace.functions[source.calls.function[row]].name
        caller = int(source.calls.caller[row])
        site = source.trace.call_sites[caller - 1]
        place = places.get(packet.track_event.source_location_iid)
        assert place == ((site.file, site.line) if caller else None)


def test_goroutines_are_tracks_below_their_process():
    packets = decode(make(100, 3))
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in packets if p.HasField("track_descriptor")}
    titled = {track.name: track for track in tracks.values()}
    worker = titled["goroutine 8 main.worker"]
    group = tracks[worker.parent_uuid]
    assert group.name == "Goroutines"
    assert tracks[group.parent_uuid].process.pid == 41
    assert tracks[group.parent_uuid].process.process_name == "server"
    used = {packet.track_event.track_uuid for packet in packets if packet.HasField("track_event")}
    assert used <= set(tracks)


def test_values_become_annotations():
    packets = decode(with_values(make(50, 1, broken=False)))
    names = {entry.iid: entry.name for packet in packets for entry in packet.interned_data.debug_annotation_names}
    begin = events(packets, protos.TrackEvent.TYPE_SLICE_BEGIN)[0].track_event
    arguments = next(note for note in begin.debug_annotations if names[note.name_iid] == "args")
    values = {entry.name: entry for entry in arguments.dict_entries}
    assert values["id"].int_value == 0
    assert values["big"].uint_value == (1 << 64) - 1
    assert values["name"].string_value == 'a"\\x0a\\x1b</script>'
    assert values["ok"].bool_value is True
    assert values["f"].double_value == 1.5
    results = next(note for note in begin.debug_annotations if names[note.name_iid] == "results")
    assert results.dict_entries[0].array_values[0].int_value == 1


def test_long_values_are_written_as_others_are():
    """A text as long as a block, or one among short ones, does not go into a matrix; all else stays the same."""
    source = with_values(make(400, 2, 6))
    assert source.cells is not None

    def longer(text):
        def cells(rows):
            _, results = source.cells(rows)
            arguments = [compact({"text": text if row == 3 else "short"}) for row in rows.tolist()]
            return [(np.arange(len(rows)), Cells("%s", (Texts(arguments),)))], results

        return replace(source, cells=cells)

    def said(source):
        packets = decode(source)
        for packet in packets:
            for note in packet.track_event.debug_annotations:
                for entry in note.dict_entries:
                    if entry.name == "text":
                        entry.string_value = entry.string_value[:5]
        return packets

    assert said(longer("short" * 2000)) == said(longer("short"))


def test_creations_are_flows():
    packets = decode(make(300, 3, 4, names=["main.f0", "main.f1"], broken=False))
    begins = [packet.track_event for packet in events(packets, protos.TrackEvent.TYPE_SLICE_BEGIN)]
    starts = [flow for event in begins for flow in event.flow_ids]
    ends = [flow for event in begins for flow in event.terminating_flow_ids]
    assert starts
    assert sorted(starts) == sorted(ends)


def test_losses_are_instants_with_their_count():
    packets = decode(make(50, 1))
    lost = [p.track_event for p in packets if p.track_event.name.endswith("lost")]
    assert [event.name for event in lost] == ["37 events lost", "2 values lost"]
    assert {note.name: note.int_value for note in lost[0].debug_annotations}["window_ns"] == 800


def test_unusual_states_are_said():
    packets = decode(make(400, 2, 6))
    said = [
        note.string_value
        for packet in packets
        for note in packet.track_event.debug_annotations
        if note.string_value in {state.label for state in State}
    ]
    assert set(said) >= {"panicked", "lost", "open"}


def test_hostile_names_are_valid_text_without_controls():
    packets = decode(make(50, 1, names=HOSTILE))
    names = [entry.name for entry in packets[1].interned_data.event_names]
    assert len(names) == len(HOSTILE)
    assert all(name.isprintable() for name in names)
