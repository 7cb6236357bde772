"""Writing results: a reader finds all of a result or none, whatever ends a run."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from marks import slow

from femspin.case import case_from_table
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.results import folder as write
from femspin.results.folder import check_target, only_writer, result_folder, to_json
from femspin.results.solution import Solution
from femspin.simulation import simulate

CASE = """
title = "first"
[structure]
layers = [
    { region = "F", thickness = "1 nm", cells = 4 },
    { region = "Pt", thickness = "5 nm", cells = 8 },
]
[regions.F]
kind = "F"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
[regions.Pt]
kind = "HM"
material = "Pt"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
"""
FILES = {
    "case.toml",
    "currents.csv",
    "fields.pvd",
    "fields_0000.vtu",
    "profiles.png",
    "parts_Pt--F.png",
    "result.json",
}

# Runs the case again and again; its parent kills it at any moment.  The warm-up before the fork
# lets every kill fall into the work instead of into imports.
ENDLESS = """
import os, sys
from femspin.cli.main import main
case, target, warm = sys.argv[1:]
assert main(["run", case, "-q", "-o", warm]) == 0
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        while True:
            assert main(["run", case, "-q", "-o", target, "--force"]) == 0
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.fixture(scope="module")
def solution():
    return simulate(case_from_table(tomllib.loads(CASE)))


@pytest.fixture(scope="module", autouse=True)
def pictures():
    """Draw the pictures of the case once; every result gets a copy of them."""
    drawn, draw = {}, Solution._write_plots

    def write_plots(self, folder):
        if not drawn:
            draw(self, folder)
            drawn.update({p.name: p.read_bytes() for p in folder.glob("*.png")})
        for name, content in drawn.items():
            (folder / name).write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Solution, "_write_plots", write_plots)
        yield


@pytest.fixture
def case(tmp_path):
    file = tmp_path / "case.toml"
    file.write_text(CASE)
    return file


def is_complete(folder):
    """Return whether a result folder holds every file, each whole."""
    assert {p.name for p in folder.iterdir()} == FILES
    table = json.loads((folder / "result.json").read_text())
    assert table["title"] == "first"
    assert tomllib.loads((folder / "case.toml").read_text())["title"] == "first"
    for data in ET.parse(folder / "fields.pvd").iter("DataSet"):
        ET.parse(folder / data.attrib["file"])
    for name in ("profiles.png", "parts_Pt--F.png"):
        assert (folder / name).read_bytes().endswith(b"IEND\xaeB`\x82")
    assert (folder / "currents.csv").read_text().endswith("\n")
    return True


def relist(folder, names):
    """Let a result list these files; None for a result that lists none."""
    table = json.loads((folder / "result.json").read_text())
    table.pop("files", None)
    (folder / "result.json").write_text(json.dumps(table | ({"files": names} if names else {})))


def hidden(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def run(*arguments, **options):
    command = [sys.executable, "-m", "femspin", "run", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


# ---------------------------------------------------------------- in one piece


def test_a_result_appears_whole_and_leaves_no_temporary_folder(solution, tmp_path):
    assert solution.write(tmp_path / "a" / "out") == tmp_path / "a" / "out"
    assert is_complete(tmp_path / "a" / "out")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["out"]


def test_the_folder_has_the_usual_permissions(solution, tmp_path):
    folder = solution.write(tmp_path / "out")
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_earlier_result_is_replaced_as_a_whole(solution, tmp_path):
    folder = solution.write(tmp_path / "out")
    (folder / "fields_0001.vtu").write_text("of an earlier, longer run")
    relist(folder, [*FILES, "fields_0001.vtu"])
    other = simulate(case_from_table(tomllib.loads(CASE.replace("5 nm", "6 nm"))))
    with pytest.raises(CaseError, match="holds a result; use --force to replace it"):
        other.write(folder)
    assert (folder / "fields_0001.vtu").is_file()
    solution.write(folder, overwrite=True)
    assert is_complete(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled(solution, tmp_path):
    (tmp_path / "out").mkdir()
    assert is_complete(solution.write(tmp_path / "out"))


@pytest.mark.parametrize("make", ["file", "folder", "result with a folder"])
def test_what_is_no_result_is_never_replaced(make, solution, tmp_path):
    target = tmp_path / "out"
    if make == "file":
        target.write_text("mine")
    else:
        (target / "inner").mkdir(parents=True)
    if make == "result with a folder":
        (target / "result.json").write_text("{}")
    with pytest.raises(CaseError, match=r"not an earlier result|no part of a result: 'inner'"):
        solution.write(target, overwrite=True)
    assert target.is_file() or (target / "inner").is_dir()
    assert hidden(tmp_path) == []


def test_a_result_lists_its_files(solution, tmp_path):
    folder = solution.write(tmp_path / "out")
    assert set(json.loads((folder / "result.json").read_text())["files"]) == FILES


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_files_that_no_run_wrote_stay_when_a_result_is_replaced(moment, solution, tmp_path):
    folder = solution.write(tmp_path / "out")
    (tmp_path / "elsewhere").write_text("far")
    slow = result_folder(folder, overwrite=True)
    if moment == "meanwhile":
        part = slow.__enter__()
        (part / "result.json").write_text("{}")
    (folder / "thesis.tex").write_text("three years")
    (folder / "link").symlink_to("../elsewhere")
    (folder / "dangling").symlink_to("nowhere")
    if moment == "meanwhile":
        slow.__exit__(None, None, None)
    else:
        solution.write(folder, overwrite=True)
    kept = {"thesis.tex", "link", "dangling"}
    assert {p.name for p in folder.iterdir()} == kept | (FILES if moment == "before" else {"result.json"})
    assert (folder / "thesis.tex").read_text() == "three years"
    assert (folder / "link").read_text() == "far"
    assert (folder / "dangling").is_symlink()
    solution.write(folder, overwrite=True)
    assert {p.name for p in folder.iterdir()} == kept | FILES
    assert hidden(tmp_path) == []


def test_a_file_of_somebody_else_with_the_name_of_a_new_one_is_not_replaced(solution, tmp_path):
    folder = solution.write(tmp_path / "out")
    relist(folder, sorted(FILES - {"currents.csv"}))
    (folder / "currents.csv").write_text("mine")
    with pytest.raises(CaseError, match=r"currents\.csv' is not of the earlier result"):
        solution.write(folder, overwrite=True)
    assert (folder / "currents.csv").read_text() == "mine"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("table", ["{}", "[1]", "no json", '{"files": 3}'])
def test_beside_a_result_without_a_list_nothing_is_replaced(table, solution, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "result.json").write_text(table)
    (target / "thesis.tex").write_text("three years")
    with pytest.raises(CaseError, match="does not list its files"):
        solution.write(target, overwrite=True)
    assert (target / "thesis.tex").read_text() == "three years"
    (target / "thesis.tex").unlink()
    assert is_complete(solution.write(target, overwrite=True))


def test_a_link_that_leads_to_itself_is_refused_in_one_line(case, tmp_path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for command in ("run", "sensitivities"):
        assert main([command, str(case), "-o", str(loop)]) == 2
        (message,) = capsys.readouterr().err.splitlines()
        assert "is a link that leads to itself" in message
    assert loop.is_symlink()


def test_a_full_disk_is_named_with_the_folder(case, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("femspin.results.solution.Solution._resolved", full)
    assert main(["run", str(case), "-q", "-o", str(tmp_path / "out")]) == 1
    message = f"femspin: No space left on device: {tmp_path / 'out'}\n"
    assert capsys.readouterr().err == message
    assert [p.name for p in tmp_path.iterdir()] == ["case.toml"]


# ---------------------------------------------------------------- one writer at a time


def test_a_second_run_into_a_folder_is_refused_at_its_start(case, tmp_path, capsys):
    target = tmp_path / "deep" / "out"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from femspin.results.folder import only_writer\n"
            "with only_writer(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()",
            str(target),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    scan = tmp_path / "scan.toml"
    scan.write_text(CASE + '[scan.axes]\n"drive.temperature" = ["10 K"]\n')
    for file in (case, scan):
        assert main(["run", str(file), "--force", "-o", str(target)]) == 2
        (message,) = capsys.readouterr().err.splitlines()
        assert f"is being written by another run (process {holder.pid})" in message
    assert main(["run", str(case), "-q", "-o", str(tmp_path / "other")]) == 0
    holder.communicate("", timeout=60)
    assert not target.parent.exists()  # what the holder made and left empty
    assert main(["run", str(case), "-q", "-o", str(target)]) == 0
    assert is_complete(target)
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_the_lock_of_a_run_that_was_killed_holds_nobody_up(case, tmp_path):
    target = tmp_path / "out"
    lock = tmp_path / f"{write._prefix(target)}lock"
    lock.write_text("1\n")
    assert main(["run", str(case), "-q", "-o", str(target)]) == 0
    assert not lock.exists()


def test_where_the_disk_has_no_locks_nothing_is_locked(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(write.fcntl, "flock", none)
    with only_writer(tmp_path / "out"), only_writer(tmp_path / "out"):
        pass
    assert hidden(tmp_path) == []


def test_a_place_where_no_folder_can_be_made_is_refused(solution, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseError, match=r"no folder can be made in '.*file'"):
        solution.write(tmp_path / "file" / "out")


# ---------------------------------------------------------------- errors while writing


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("method", ["_resolved", "_write_plots"])
def test_an_error_while_writing_leaves_the_earlier_result(error, method, solution, tmp_path, monkeypatch):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(type(solution), method, fail)
        with pytest.raises(error):
            solution.write(tmp_path / "new")
        assert list(tmp_path.iterdir()) == []
    solution.write(tmp_path / "out")
    monkeypatch.setattr(type(solution), method, fail)
    with pytest.raises(error):
        solution.write(tmp_path / "out", overwrite=True)
    assert is_complete(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_error_between_the_two_renames_puts_the_earlier_result_back(
    failing, solution, tmp_path, monkeypatch
):
    solution.write(tmp_path / "out")
    replace, calls = os.replace, []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise KeyboardInterrupt
        replace(*arguments)

    monkeypatch.setattr(write.os, "replace", fail_once)
    with pytest.raises(KeyboardInterrupt):
        solution.write(tmp_path / "out", overwrite=True)
    assert is_complete(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_result_that_appears_during_a_run_is_not_replaced(solution, tmp_path):
    slow = result_folder(tmp_path / "out")
    part = slow.__enter__()
    (part / "result.json").write_text("late")
    solution.write(tmp_path / "out")
    with pytest.raises(CaseError, match="holds a result"):
        slow.__exit__(None, None, None)
    assert is_complete(tmp_path / "out")
    assert hidden(tmp_path) == []


# ---------------------------------------------------------------- leftovers of killed runs


def dead_process():
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_behind(target, process, kind):
    folder = target.parent / f"{write._prefix(target)}{process}.abc_1.{kind}"
    folder.mkdir()
    (folder / "result.json").write_text("{}")
    return folder


def test_leftovers_of_killed_runs_of_the_same_target_are_removed(solution, tmp_path):
    target = tmp_path / "out"
    gone = left_behind(target, dead_process(), "part")
    alive = left_behind(target, os.getpid(), "part")
    other = left_behind(tmp_path / "out2", dead_process(), "part")
    (tmp_path / ".out.part").mkdir()
    solution.write(target)
    assert is_complete(target)
    assert not gone.exists()
    assert alive.exists()
    assert other.exists()
    assert (tmp_path / ".out.part").exists()


def test_an_earlier_result_that_was_moved_aside_is_put_back(solution, tmp_path):
    target = solution.write(tmp_path / "out")
    aside = left_behind(target, dead_process(), "old")
    (aside / "result.json").unlink()
    aside.rmdir()
    target.rename(aside)
    with pytest.raises(CaseError, match="holds a result"):
        check_target(target)
    assert is_complete(target)
    assert hidden(tmp_path) == []


def test_an_old_result_whose_successor_is_in_place_is_removed(solution, tmp_path):
    target = solution.write(tmp_path / "out")
    left_behind(target, dead_process(), "old")
    check_target(target, overwrite=True)
    assert is_complete(target)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["a.b", "[x]*", "ünï ₂", "x" * 250, "ü" * 120])
def test_unusual_names_work(name, solution, tmp_path):
    target = tmp_path / name
    left_behind(target, dead_process(), "part")
    assert is_complete(solution.write(target))
    assert is_complete(solution.write(target, overwrite=True))
    assert hidden(tmp_path) == []


# ---------------------------------------------------------------- killing and interrupting


@pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")
@pytest.mark.parametrize("kills", [7, slow(15)])
def test_a_run_killed_at_any_moment_leaves_a_whole_result_or_none(kills, case, tmp_path):
    target = tmp_path / "place" / "out"
    moments = random.Random(20230913)
    seen = {"absent": 0, "whole": 0, "interrupted writing": 0}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, case, target, tmp_path / "warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        for k in range(kills):
            if k % 3 == 0 and target.exists():  # also the first result may be cut short
                for path in target.iterdir():
                    path.unlink()
                target.rmdir()
            print(file=parent.stdin, flush=True)
            child = int(parent.stdout.readline())
            if k % 2:  # wait until it is writing
                wait_for(lambda: any(n.endswith(".part") for n in hidden(target.parent)), parent)
                time.sleep(moments.uniform(0, 0.2))
            elif k % 4 == 0:  # whatever the speed of the machine, some runs are killed late
                wait_for(target.exists, parent)
                time.sleep(moments.uniform(0, 0.2))
            else:
                time.sleep(moments.uniform(0, 0.6))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "gone\n"
            seen["interrupted writing"] += bool(target.parent.exists() and hidden(target.parent))
            seen["whole" if target.exists() else "absent"] += 1
            assert not target.exists() or is_complete(target)
        parent.stdin.close()
    assert min(seen.values()) > 0, seen
    rerun = run(case, "-q", "-o", target, "--force")
    assert rerun.communicate(timeout=60) == ("", "")
    assert rerun.returncode == 0
    assert is_complete(target)
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def wait_for(condition, process, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition_holds(condition):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.002)


def condition_holds(condition):
    try:
        return condition()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("writing", [False, True])
def test_an_interrupt_gives_130_one_line_and_leaves_nothing(writing, case, tmp_path):
    if writing:
        setting = "structure.layers.1.cells=9000"
        ready = lambda: any(n.endswith(".part") for n in hidden(tmp_path))  # noqa: E731
    else:
        setting = "structure.layers.1.cells=10000"
        ready = None
    process = run(case, "-v", "--set", setting)
    if ready is None:  # the mesh is there, the solution is not
        assert process.stderr.readline().startswith("femspin: mesh: ")
    else:
        wait_for(ready, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Python ends itself by the signal if it came during one of the library's exec calls; a shell
    # shows both as 130.
    assert process.returncode in (130, -signal.SIGINT)
    assert out == ""
    assert err.splitlines()[-1] == "femspin: interrupted; nothing was written"
    assert not re.search("Traceback", err)
    assert [p.name for p in tmp_path.iterdir()] == ["case.toml"]


# ---------------------------------------------------------------- JSON


def test_json_holds_arrays_and_leaves_out_what_json_has_no_number_for():
    value = {
        "array": np.eye(2),
        "scalar": np.float64(1.5),
        "whole": np.int64(3),
        "flag": np.bool_(True),
        "none": None,
        "bad": [np.nan, float("inf"), np.array([-np.inf, 1.0])],
        "text": "ü₂",
        1: (1, "a"),
    }
    assert json.loads(to_json(value)) == {
        "array": [[1.0, 0.0], [0.0, 1.0]],
        "scalar": 1.5,
        "whole": 3,
        "flag": True,
        "none": None,
        "bad": [None, None, [None, 1.0]],
        "text": "ü₂",
        "1": [1, "a"],
    }
    assert "ü₂" in to_json(value)


def test_numbers_keep_every_digit():
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    assert [repr(v) for v in json.loads(to_json(np.array(values)))] == [repr(v) for v in values]


def test_the_result_folder_is_a_path_of_the_caller(tmp_path):
    with result_folder(tmp_path / "out") as part:
        assert isinstance(part, Path)
        assert part.parent == tmp_path
        (part / "result.json").write_text("{}")
    assert (tmp_path / "out/result.json").is_file()


def test_a_result_of_the_same_inputs_is_replaced_without_being_asked_for(solution, tmp_path):
    """Python does as the command line does."""
    folder = solution.write(tmp_path / "out")
    (folder / "currents.csv").write_text("spoilt")
    solution.write(folder)
    assert is_complete(folder)
    table = json.loads((folder / "result.json").read_text())
    for digest in ("", "another", None):  # none of them is that of the inputs
        (folder / "result.json").write_text(json.dumps(table | {"inputs_digest": digest}))
        with pytest.raises(CaseError, match="holds a result"):
            solution.write(folder)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("name", ["/proc/x", "/proc/x/y"])
def test_a_folder_that_the_system_refuses_is_named_and_not_what_stands_beside_it(name, case, capsys):
    for command in (
        ["run", str(case), "-o", name],
        ["sensitivities", str(case), "-o", name],
        ["check", str(case), "--set", f"output.directory={name}"],
    ):
        assert main([*command, "-q"]) == 2
        err = capsys.readouterr().err
        assert "output.directory: no folder can be made in '/proc'" in err
        assert err.count("\n") == 1
        assert "lock" not in err
        assert ".part" not in err


@pytest.mark.parametrize("command", ["sensitivities", "conductances"])
def test_single_files_are_not_written_over_devices_or_pipes(command, case, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for target, words in (
        (tmp_path / "pipe", "is a pipe or device, not a file"),
        (tmp_path, "is a folder, not a file"),
        (tmp_path / "no" / "x.csv", "lies in no folder that exists"),
        (case, "is the case file"),
    ):
        assert main([command, str(case), "--csv", str(target), "-q"]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert (tmp_path / "pipe").is_fifo()


def test_sensitivities_into_a_file_of_no_known_kind_are_refused_in_a_sentence(case, tmp_path, capsys):
    (tmp_path / "found").write_text("mine")
    for name in ("found", "found.txt"):
        assert main(["sensitivities", str(case), "-o", str(tmp_path / name)]) == 2
        words = "is neither a folder nor a file that ends in .json, .csv or .png"
        assert words in capsys.readouterr().err
    assert (tmp_path / "found").read_text() == "mine"
