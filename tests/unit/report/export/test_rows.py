import csv
import io
import json
from typing import Any

from funcrec.report.export.rows import KEYS, CallRows, write_calls, write_chosen
from funcrec.report.filters import FilterRequest, select
from funcrec.report.request import Format, Names, OutputRequest
from funcrec.report.text import Output
from funcrec.report.trace import Trace
from funcrec.trace.records import CallSite, SiteRole
from tests.calltrees import Event, function_site, header, make_trace

NAMES = ("main.main", "acme.com/lib.add", 'main."\x1b\udcff')


def some() -> Trace:
    entry, leave = SiteRole.ENTRY, SiteRole.EXIT
    events = [
        Event(1_000, function_site(0, entry), 8, goid=7, tid=9, pid=1),
        Event(1_100, function_site(1, entry), 16, goid=7, tid=9, pid=1, caller=1),
        Event(1_220, function_site(1, leave), 16, goid=7, tid=9, pid=1),
        Event(1_300, function_site(2, entry), 16, goid=7, tid=9, pid=1, caller=2),
        Event(1_350, function_site(2, leave), 16, goid=7, tid=9, pid=1),
    ]
    sites = [CallSite(1, "main.main", 37, "/src/main.go", 27), CallSite(2, "", 0, "", 0)]
    return make_trace([events], NAMES, call_sites=sites, head=header(start_ns=1_000))


def written(form: Format, **filters: Any) -> str:
    stream = io.BytesIO()
    write_calls(Output(stream=stream), [select(some(), FilterRequest(**filters))], form)
    return stream.getvalue().decode()


def test_a_line_is_the_contract_to_the_letter() -> None:
    first, second, third = written(Format.JSONL).splitlines()
    assert second == (
        '{"id":1,"parent":0,"pid":1,"goid":7,"tid":9,"func":"acme.com/lib.add","start_ns":100,"dur_ns":120,'
        '"self_ns":120,"depth":1,"state":"returned","caller":"main.main","caller_offset":37,"file":"/src/main.go",'
        '"line":27,"args":{},"results":{}}'
    )
    assert tuple(json.loads(first)) == KEYS
    assert json.loads(first) | {"func": "", "args": 0} == {
        **dict.fromkeys(KEYS),
        **{"id": 0, "pid": 1, "goid": 7, "tid": 9, "func": "", "start_ns": 0, "depth": 0, "state": "open"},
        **{"args": 0, "results": {}},
    }
    assert "\x1b" not in third
    assert json.loads(third)["func"] == NAMES[2]
    assert json.loads(third)["caller"] is None


def test_all_forms_say_the_same() -> None:
    lines = [json.loads(line) for line in written(Format.JSONL).splitlines()]
    assert json.loads(written(Format.JSON)) == lines
    rows = list(csv.DictReader(io.StringIO(written(Format.CSV))))
    assert [tuple(row) for row in rows] == [KEYS] * 3
    for row, line in zip(rows[:2], lines, strict=False):
        expected = {key: "" if value is None else str(value) for key, value in line.items()}
        assert row == expected
    trace = some()
    selection = select(trace, FilterRequest())
    assert list(CallRows(selection).dicts(selection.rows)) == lines


def test_parents_under_a_filter_are_the_nearest_shown() -> None:
    (line,) = written(Format.JSONL, where=("func =~ '*add'",)).splitlines()
    call = json.loads(line)
    assert (call["id"], call["parent"], call["depth"]) == (1, None, 1)


def test_nothing_is_an_empty_answer_of_its_form() -> None:
    assert written(Format.JSONL, min_ns=10**12) == ""
    assert json.loads(written(Format.JSON, min_ns=10**12)) == []
    assert written(Format.CSV, min_ns=10**12) == ",".join(KEYS) + "\n"


def test_columns_order_and_number_can_be_chosen() -> None:
    stream = io.BytesIO()
    request = OutputRequest(format=Format.CSV, fields="func,dur_ns", sort="-dur_ns", top=2, names=Names.SHORT)
    write_chosen(Output(stream=stream), select(some(), FilterRequest()), request)
    assert stream.getvalue().decode() == 'func,dur_ns\n"main.""\\x1b\\udcff",50\nlib.add,120\n'
