"""Every export in the hands of the program it is made for."""

import html
import json
import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from funcrec.report.calls import State
from funcrec.report.export import chrome, folded, perfetto, pprof, speedscope
from funcrec.report.export.timeline import build
from tests import consumers
from tests.conftest import funcrec
from tests.golden.test_golden import TRACES
from tests.toolchain import go_environment, go_tool
from tests.unit.report.export.sample import HOSTILE, START_NS, make, with_values


@pytest.fixture(scope="module")
def timeline():
    return build(make(600, 3, 2))


def totals(timeline):
    """Calls and self time by function name."""
    calls, own = Counter(), Counter()
    for function, ns in zip(timeline.function.tolist(), timeline.self_ns.tolist(), strict=True):
        name = timeline.source.trace.functions[function].name
        calls[name] += 1
        own[name] += ns
    return calls, own


# Perfetto's trace processor


def test_perfetto_loads_every_call_without_complaint(timeline):
    data = b"".join(perfetto.encode(lambda: [timeline]))
    complaints, slices, unfinished, lost = consumers.TraceProcessor(data).query(
        "select name, value from stats where value > 0 and severity != 'info'",
        "select name, count(*) n from slice where name not like '%lost' group by name",
        "select count(*) n from slice where dur = -1",
        "select name from slice where name like '%lost' order by ts desc",
    )
    assert complaints == []
    assert {row["name"]: row["n"] for row in slices} == totals(timeline)[0]
    assert unfinished[0]["n"] == np.count_nonzero(timeline.state == State.OPEN)
    assert [row["name"] for row in lost] == ["37 events lost", "2 values lost"]


def test_perfetto_nests_times_and_places_calls_as_recorded():
    timeline = build(make(600, 3, 2, broken=False))
    data = b"".join(perfetto.encode(lambda: [timeline]))
    (slices,) = consumers.TraceProcessor(data).query(
        "select s.ts, s.dur, s.depth, t.name track, "
        "extract_arg(s.arg_set_id, 'source.file_name') file from slice s join track t on t.id = s.track_id "
        "where s.dur > 0"
    )
    # Its clock is the boot time; the sample's boot clock is 7 ns ahead.
    got = Counter((row["ts"] - 7 - START_NS, row["dur"], row["depth"], row["track"]) for row in slices)
    timed = timeline.end_ns > timeline.start_ns
    columns = (timeline.start_ns, timeline.end_ns - timeline.start_ns, timeline.depth)
    expected = Counter(
        (*values, timeline.tracks[track].title)
        for *values, track in zip(*(c[timed].tolist() for c in columns), timeline.track[timed].tolist(), strict=True)
    )
    assert expected == got
    assert {row["file"] for row in slices} > {None}


def test_perfetto_has_values_and_flows():
    timeline = build(with_values(make(300, 3, 4, names=["main.f0", "main.f1"], broken=False)))
    data = b"".join(perfetto.encode(lambda: [timeline]))
    arguments, flows = consumers.TraceProcessor(data).query(
        "select extract_arg(arg_set_id, 'debug.args.name') name, extract_arg(arg_set_id, 'debug.results.r0[0]') r0 "
        "from slice limit 1",
        "select t.name origin, u.name target from flow f join slice s on s.id = f.slice_out join track t on "
        "t.id = s.track_id join slice r on r.id = f.slice_in join track u on u.id = r.track_id",
    )
    assert arguments == [{"name": 'a"\\x0a\\x1b</script>', "r0": 1}]
    assert {"origin": "goroutine 7 main.main", "target": "goroutine 8 main.worker"} in flows


def test_perfetto_also_loads_the_chrome_export(timeline):
    data = b"".join(chrome.encode([timeline]))
    complaints, slices = consumers.TraceProcessor(data).query(
        "select name, value from stats where value > 0 and severity != 'info'",
        "select name, count(*) n from slice where category = 'go' group by name",
    )
    assert complaints == []
    assert {row["name"]: row["n"] for row in slices} == totals(timeline)[0]


# go tool pprof


def run_pprof(*arguments):
    command = [str(go_tool()), "tool", "pprof", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=go_environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def top(*arguments):
    """Flat and cumulative numbers by function, as `-top` prints them."""
    text = run_pprof("-top", "-nodecount=100000", "-nodefraction=0", *arguments)
    row = re.compile(r"^ *(-?[0-9.]+)(?:ns)? +\S+% +\S+% +(-?[0-9.]+)(?:ns)? +\S+%  (.*)$", re.MULTILINE)
    return {name: (int(flat), int(cum)) for flat, cum, name in row.findall(text)}


@pytest.fixture
def profile(timeline, tmp_path):
    path = tmp_path / "calls.pb.gz"
    path.write_bytes(b"".join(pprof.encode([timeline])))
    return path


def test_pprof_top_is_self_time_and_calls(profile, timeline):
    calls, own = totals(timeline)
    times = {name: flat for name, (flat, _) in top("-unit=ns", profile).items() if flat}
    assert times == {name: ns for name, ns in own.items() if ns}
    assert {name: flat for name, (flat, _) in top("-sample_index=calls", profile).items()} == calls


def test_pprof_cumulative_is_total_time_without_recursion():
    timeline = build(make(300, 2, 8, names=[f"main.f{i}" for i in range(300)], broken=False))
    expected = defaultdict(int)
    recursive = set()
    for at in range(len(timeline)):
        name, walk = int(timeline.function[at]), int(timeline.parent[at])
        expected[name] += int(timeline.end_ns[at] - timeline.start_ns[at])
        while walk >= 0:
            if timeline.function[walk] == name:
                recursive.add(name)
            walk = int(timeline.parent[walk])
    with temporary_profile(timeline) as path:
        got = top("-unit=ns", path)
    for function, total in expected.items():
        if function not in recursive and total:
            assert got[f"main.f{function}"][1] == total


@contextmanager
def temporary_profile(timeline, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.pb.gz"
        path.write_bytes(b"".join(pprof.encode([timeline], **options)))
        yield path


def test_pprof_tree_and_lines(profile, timeline):
    tree = run_pprof("-tree", "-nodecount=100000", "-nodefraction=0", "-edgefraction=0", profile)
    for function in {timeline.source.trace.functions[f].name for f in timeline.function.tolist()}:
        assert function in tree
    assert re.search(r"/src/\d\.go:1[0-9]", run_pprof("-top", "-lines", profile))


@pytest.fixture(scope="module")
def golden_profiles(tmp_path_factory):
    """Profiles of two golden traces and what `stat` says of them by function, as two pairs."""
    folder = tmp_path_factory.mktemp("profiles")
    pairs = []
    for trace in (path for path in TRACES if path.stem in ("real", "values")):
        profile = folder / f"{trace.stem}.pb.gz"
        funcrec("export", trace, "-o", profile)
        rows = json.loads(funcrec("stat", trace, "--format", "json").stdout)
        pairs.append((profile, {row["func"]: row["self_ns"] for row in rows}))
    return pairs


def test_pprof_top_and_tree_agree_with_stat(golden_profiles):
    for profile, own in golden_profiles:
        expected = {name: ns for name, ns in own.items() if ns}
        assert {name: flat for name, (flat, _) in top("-unit=ns", profile).items() if flat} == expected
        text = run_pprof("-tree", "-unit=ns", "-nodecount=100000", "-nodefraction=0", "-edgefraction=0", profile)
        nodes = re.findall(r"^ *([0-9]+)(?:ns)? +\S+% +\S+% +[0-9]+(?:ns)? +\S+% +\| {1,3}(\S.*)$", text, re.MULTILINE)
        assert {name: int(flat) for flat, name in nodes if int(flat)} == expected


def test_pprof_diff_base_agrees_with_two_stats(golden_profiles):
    (base, before), (new, after) = golden_profiles
    moved = {name: flat for name, (flat, _) in top("-unit=ns", f"-diff_base={base}", new).items() if flat}
    names = {*before, *after}
    expected = {name: after.get(name, 0) - before.get(name, 0) for name in names}
    assert moved == {name: ns for name, ns in expected.items() if ns}
    assert len(moved) > 5


def test_pprof_diff_of_a_profile_with_itself_is_nothing(profile):
    assert all(numbers == (0, 0) for numbers in top("-unit=ns", f"-diff_base={profile}", profile).values())


def test_pprof_labels_goroutines(timeline):
    with temporary_profile(timeline, by_goroutine=True) as path:
        tags = run_pprof("-tags", path)
    assert all(str(track.goid) in tags for track in timeline.tracks)


def test_pprof_shows_losses_and_hostile_names_without_controls():
    with temporary_profile(build(make(200, 1, names=HOSTILE))) as path:
        assert "37 events lost" in run_pprof("-comments", path)
        text = run_pprof("-top", "-nodefraction=0", path)
    assert "\x1b" not in text
    assert "\u202e" not in text


# inferno, the flame graph tools


def flame_graph(folded_stacks: bytes, *options: str) -> dict[str, int]:
    """What inferno draws: the sum of what each frame's title says, by function; it must not complain."""
    command = [consumers.inferno("flamegraph"), "--minwidth", "0", "--countname", "ns", *options]
    done = subprocess.run(command, input=folded_stacks, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    drawn: dict[str, int] = {}
    for name, count in re.findall(r"<title>(.*?) \(([\d,]+) ns, [^<]*</title>", done.stdout.decode()):
        name = html.unescape(name)
        drawn[name] = drawn.get(name, 0) + int(count.replace(",", ""))
    return drawn


def test_inferno_draws_the_self_times(timeline):
    drawn = flame_graph(b"".join(folded.encode([timeline])))
    assert drawn["all"] == timeline.self_ns.sum()
    shown = {name.replace(";", ",") for name in timeline.source.function_names}
    assert set(drawn) <= {*shown, "all"}
    assert len(drawn) > 3


def test_inferno_draws_the_difference_of_two_traces(timeline, tmp_path):
    """Two counts a line are what inferno's own tool makes of two files."""
    other = build(with_values(make(300, 3, seed=9)))
    pair = b"".join(folded.encode_pair([timeline], [other]))
    files = [tmp_path / "base", tmp_path / "new"]
    for path, each in zip(files, (timeline, other), strict=True):
        path.write_bytes(b"".join(folded.encode([each])))
    made = subprocess.run([consumers.inferno("diff-folded"), *files], capture_output=True, check=True).stdout
    assert sorted(made.splitlines()) == sorted(pair.splitlines())
    assert flame_graph(pair)["all"] == other.self_ns.sum()


# speedscope's own importer


@pytest.mark.browser
@pytest.mark.parametrize("which", ["speedscope", "folded", "chrome", "pprof"])
def test_speedscope_imports(timeline, tmp_path, which, browser):
    suffix, encode = {
        "speedscope": (".speedscope.json", speedscope.encode),
        "folded": (".folded", folded.encode),
        "chrome": (".json", chrome.encode),
        "pprof": (".pb.gz", pprof.encode),
    }[which]
    path = tmp_path / f"calls{suffix}"
    path.write_bytes(b"".join(encode([timeline])))
    page = consumers.speedscope() / "dist" / "release" / "index.html"
    tab = browser.new_page()
    said, alerts = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    tab.goto(page.as_uri())
    tab.set_input_files("input[type=file]", path)
    tab.wait_for_function("document.title !== 'speedscope'", timeout=20_000)
    title = tab.title()
    tab.close()
    assert alerts == []
    assert not [text for text in said if "Failed" in text or "rror" in text], said
    assert "calls" in title or "funcrec" in title or "goroutine" in title
