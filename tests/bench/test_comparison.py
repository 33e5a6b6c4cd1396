"""The comparison of plugin servers: its figures are what was measured, and nothing is passed over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from comparison import plot, tables
from comparison.command import FILES, main
from comparison.load import build
from comparison.processes import cpu_time, family, serving
from comparison.results import Cost, Results, Row, Spread
from comparison.rounds import Plan, Rounds
from comparison.servers import (
    ALL,
    BARE,
    PEERS,
    PLUGINS,
    JavaScript,
    Naive,
    Ours,
    Settings,
    servers,
)
from comparison.workloads import Case, Workload, workloads

DOCS = Path(__file__).parents[2] / "docs" / "performance"

FLOOR = Naive("floor", programs={"MsgPack:1": ("floor.py",)})
THREADS = Naive("naive threads", programs={"MsgPack:1": ("naive.py", "msgpack-threads")})
BROKEN = Naive("broken", programs={"MsgPack:1": ("naive.py", "no-such-kind")})

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def results(*rows: Row) -> Results:
    titles = {"hello": ("``hello``", "Two callbacks.")}
    return Results({"cores": "2"}, {"go-pluginserver": "no --go was given"}, titles, list(rows))


def row(label: str, number: int, **values: object) -> Row:
    return replace(Row("hello", label, "MsgPack:1", 16, number), **values)  # type: ignore[arg-type]


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    spread = Spread.of([3.0, None, 1.0, 10.0])
    assert spread is not None
    assert spread.text(1) == "3.0 (1.0 to 10.0)"
    assert Spread.of([None]) is None
    assert Spread(1.0, 1.0, 1.0).text(0) == "1"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = results(row("floor", 1, events_s=10.0), row("ours", 1, failure="it did not listen"))
    made.costs.append(Cost("start", "ours", "MsgPack:1", 1, 200.0, "ms"))
    made.save(tmp_path / "saved")
    assert Results.load(tmp_path / "saved") == made


def test_a_table_shows_each_case_at_each_level_over_the_rounds() -> None:
    made = results(
        row("floor", 1, events_s=1000.0, cpu=5.0),
        row("ours", 1, events_s=600.0, cpu=8.0, ratio=0.6),
        row("floor", 2, events_s=2000.0, cpu=5.0),
        row("ours", 2, events_s=1000.0, cpu=9.0, ratio=0.5),
    )
    text = tables.markdown(made)
    assert "| floor | MsgPack:1 | 16 | 1,500 (1,000 to 2,000) |  | 5.0 |" in text
    assert "| ours | MsgPack:1 | 16 | 800 (600 to 1,000) | 0.55 (0.50 to 0.60) |" in text
    assert "go-pluginserver: no --go was given" in text
    assert "median of 2 rounds" in text
    assert "neighbours" not in text
    assert '"ours","MsgPack:1","16","800 (600 to 1,000)","0.55 (0.50 to 0.60)"' in tables.rst(made)


def test_a_table_says_what_failed() -> None:
    made = results(
        row("ours", 1, failure="did not listen"),
        row("other", 1, failure="3 errors: boom"),
        row("other", 2, events_s=5.0),
    )
    text = tables.markdown(made)
    assert "| ours | MsgPack:1 | 16 | failed: did not listen |" in text
    assert "| other (1 of 2 rounds failed) | MsgPack:1 | 16 | 5 |" in text


@needs_compiler
def test_a_round_measures_each_case_and_compares_it_with_another(tmp_path: Path) -> None:
    cases = (
        Case(FLOOR, "hello", "floor"),
        Case(THREADS, "hello", "naive threads", against="floor"),
        Case(BROKEN, "hello", "broken", against="floor"),
        Case(FLOOR, "hello", "beside", against="floor", beside=("hello", 2)),
        Case(FLOOR, "hello", "two clients", against="floor", clients=2),
    )
    found = Results({})
    plan = Plan(rounds=2, seconds=0.2, warm=0.05, first=0.05, seed=1)
    Rounds(build(tmp_path), tmp_path, plan, found).run(
        [Workload("hello", "hello", "two callbacks", cases, (1, 4))]
    )
    assert len(found.rows) == 2 * 2 * len(cases)
    for one in found.rows:
        if one.label == "broken":
            assert "no-such-kind" in one.failure
            continue
        assert not one.failure
        assert one.events_s > 0
        # An event may begin before the counting and end in it.
        assert one.rpcs_event == pytest.approx(3, abs=1)
        assert (one.ratio is None) == (one.label == "floor")
        assert (one.neighbour is not None) == (one.label == "beside")
        assert (one.cpu is None) == (one.label == "beside")
    floors = {(one.round, one.inflight): one for one in found.rows if one.label == "floor"}
    for one in found.rows:
        if one.label == "naive threads":
            floor = floors[one.round, one.inflight]
            assert one.ratio == pytest.approx(one.events_s / floor.events_s)


def test_the_cpu_of_a_server_is_that_of_its_process(tmp_path: Path) -> None:
    burning = "sum(number * number for number in range(3_000_000))"
    listening = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()"
    )
    socket = tmp_path / "socket"
    code = f"{listening}; {burning}; print('done', flush=True); s.accept(); s.accept()"
    with serving([sys.executable, "-c", code, str(socket)], socket, log=tmp_path / "log") as pid:
        before = cpu_time(family(pid))
        while "done" not in (tmp_path / "log").read_text():
            pass
        used = cpu_time(family(pid))
    assert 0 < before <= used
    assert 0.05 < used < 60


BOTH = ("MsgPack:1", "ProtoBuf:1")


def test_what_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    assert Ours("x", flags=("-no-such-flag", "1")).missing() == "this version has no -no-such-flag"
    assert Ours("x", flags=("-log-level", "error")).missing() is None
    everything = {server.name: server for server in servers(Settings(tmp_path))}
    ours = [server for server in everything.values() if isinstance(server, Ours)]
    assert [(server.missing(), server.protocols) for server in ours] == [(None, BOTH)] * 3
    assert everything["go-pluginserver"].missing() == "no --go and --go-plugins were given"
    assert isinstance(everything["kong-pdk JavaScript"], JavaScript)
    assert everything["kong-pdk JavaScript"].missing()
    assert everything["floor"].missing() is None


def test_every_peer_has_the_plugins_of_the_workloads() -> None:
    assert {path.stem for path in (PEERS / "python").glob("*.py")} == set(ALL)
    assert {path.stem for path in (PEERS / "javascript").glob("*.js")} == set(ALL)
    assert {path.stem for path in PLUGINS.glob("*.py")} >= set(ALL)


def test_workloads_compare_within_a_protocol_and_have_what_they_compare_with(
    tmp_path: Path,
) -> None:
    for workload in workloads(servers(Settings(tmp_path))):
        keys = {(case.label, case.protocol) for case in workload.cases}
        assert len(keys) == len(workload.cases)
        for case in workload.cases:
            assert case.plugin in case.server.plugins
            if case.against is not None:
                assert (case.against, case.against_protocol or case.protocol) in keys


@needs_compiler
def test_the_command_measures_and_writes_and_renders_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--rounds", "1", "--seconds", "0.1", "--levels", "2", "--workloads", "empty"]
    where = ["--output", str(tmp_path)]
    assert main([*short, "--servers", "floor", *where]) == 0
    shown = capsys.readouterr().out
    assert "| floor | MsgPack:1 | 2 |" in shown
    saved = Results.load(tmp_path / FILES[0])
    assert saved.machine["command"].startswith("``bench/run.py compare --rounds 1")
    assert main(["--render", *where]) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("flag", ["--workloads", "--servers"])
def test_a_name_that_is_unknown_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert main([flag, "nonsense", "--output", str(tmp_path)]) == 1
    assert "'nonsense' is not a" in capsys.readouterr().err


def test_the_plot_is_an_svg_with_a_line_for_each_server(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = results(row("floor", 1, events_s=10.0, cpu=5.0), row("ours", 1, events_s=5.0, cpu=8.0))
    assert plot.draw(made, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    assert not plot.draw(Results({}), tmp_path / "nothing.svg")


def test_the_page_of_the_docs_shows_what_was_measured() -> None:
    """Who changes a figure by hand, or the rendering without rendering again, is told."""
    saved = Results.load(DOCS / "results.jsonl")
    assert (DOCS / "figures.inc").read_text(encoding="utf-8") == tables.rst(saved)
    assert (DOCS / "figures.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize("plugin", BARE)
@pytest.mark.parametrize(
    "program", ["floor.py", "naive.py msgpack-threads", "naive.py protobuf-inline"]
)
def test_the_naive_servers_dump_what_kong_reads(program: str, plugin: str) -> None:
    name, *kind = program.split()
    command = [sys.executable, str(PLUGINS.parent / name), *kind, "--dump", plugin]
    dumped = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert dumped["Protocol"] == ("ProtoBuf:1" if "protobuf" in program else "MsgPack:1")
    [described] = dumped["Plugins"]
    assert (described["Name"], described["Phases"]) == (plugin, ["access"])
    assert described["Schema"]["fields"] == [{"config": {"type": "record", "fields": []}}]
