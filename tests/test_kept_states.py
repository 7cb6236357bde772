"""What is kept on disk (checkpoints, points of scans): damage, other code, full disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from marks import slow_unless

import femspin
from femspin.case import case_from_table
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.magnets import checkpoint as checkpoint_module
from femspin.magnets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from femspin.results.installed import code_digest
from femspin.studies.sweep.store import PointStore, Record, point_key
from femspin.studies.textures.keeper import Keeper
from femspin.studies.textures.simulate import simulate_texture

LINE = """
[texture]
kind = "ferromagnet"
duration = "2 ps"
output_interval = "0.2 ps"
checkpoint = "1 ns"
[texture.mesh]
shape = "line"
length = "20 nm"
cell = "1 nm"
[texture.magnet]
saturation_magnetization = "8e5 A/m"
exchange_stiffness = "13 pJ/m"
damping = 0.1
anisotropy = "4e5 J/m^3"
[texture.initial]
direction = [1.0, 0.0, 0.2]
[output]
plots = false
fields = false
"""
FORMS = ["h5", "npz"]
needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs resource limits")


class Interrupted(Keeper):
    """Checkpoints of a run that ends after the third."""

    left = 3

    def save(self, checkpoint):
        super().save(checkpoint)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def line():
    return case_from_table(tomllib.loads(LINE))


@pytest.fixture
def cut_off(tmp_path, request, monkeypatch):
    """Return the checkpoint file of a run that was cut off, in the form asked for."""
    form = getattr(request, "param", "npz")
    if form == "npz":
        monkeypatch.setattr(checkpoint_module, "find_spec", lambda name: None)
    elif checkpoint_module.find_spec("h5py") is None:
        pytest.skip("h5py is not installed")
    keeper = Interrupted(tmp_path / "a.checkpoint", line(), 1e-12)
    with pytest.raises(KeyboardInterrupt):
        simulate_texture(line(), keeper=keeper)
    assert keeper.file.suffix == f".{form}"
    return keeper.file


def resumed(file):
    return simulate_texture(line(), keeper=Keeper(file, line(), 1e-12, resuming=True))


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("cut_off", FORMS, indirect=True)
def test_any_changed_byte_of_a_checkpoint_is_noticed(cut_off):
    good = cut_off.read_bytes()
    rng = np.random.default_rng(1)
    for place in {0, len(good) // 2, len(good) - 2, *rng.integers(0, len(good), 30).tolist()}:
        bad = bytearray(good)
        bad[place] ^= 0x10
        cut_off.write_bytes(bad)
        with pytest.raises(CaseError, match="its checksum does not hold"):
            load_checkpoint(cut_off)
    for bad in (b"", good[:40], good[: len(good) // 2], good[:-1], good + b"\0", b"PK\3\4" * 20):
        cut_off.write_bytes(bad)
        with pytest.raises(CaseError, match="its checksum does not hold; run without --resume"):
            resumed(cut_off)


@pytest.mark.parametrize("cut_off", FORMS, indirect=True)
def test_other_programs_read_a_checkpoint_as_what_it_is(cut_off):
    if cut_off.suffix == ".npz":
        with np.load(cut_off) as file:
            assert file["fields__m"].shape == (21, 3)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(cut_off, "r") as file:
            assert file["fields/m"].shape == (21, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", 1e9),
        ("index", -5.0),
        ("index", 0.0),
        ("index", 2.5),
        ("index", np.nan),
        ("m", np.zeros((3, 3))),
        ("m", np.full((21, 3), np.nan)),
        ("rows", np.zeros((2, 5))),
        ("steps", np.nan),
        ("frame_times", 1.0),
        ("clock", 0.1),
        ("rows", None),
        ("m", None),
        ("index", None),
        ("case", None),
        ("scheme", {}),
    ],
)
def test_a_whole_checkpoint_that_holds_nonsense_is_refused_in_one_sentence(cut_off, name, value):
    saved = load_checkpoint(cut_off)
    fields, scheme, clock = dict(saved.fields), saved.scheme, saved.clock
    if name == "clock":
        clock += value
    elif name == "scheme":
        scheme = value
    elif value is None:
        del fields[name]
    else:
        fields[name] = np.array(value)
    save_checkpoint(cut_off, Checkpoint(clock, fields, scheme, saved.random))
    with pytest.raises(CaseError, match="run without --resume") as caught:
        resumed(cut_off)
    assert "\n" not in str(caught.value)
    assert "Error" not in str(caught.value)


def test_a_point_that_was_changed_or_renamed_is_solved_again(tmp_path):
    store = PointStore(tmp_path)
    record = Record({"a": 1.25}, ("warning",))
    store.write("key", record)
    assert store.read("key") == record
    text = (tmp_path / "key.json").read_text()
    (tmp_path / "other.json").write_text(text)
    assert store.read("other") is None
    (tmp_path / "key.json").write_text(text.replace("1.25", "1.75"))
    assert store.read("key") is None


# ---------------------------------------------------------------- another state of the code


def test_a_checkpoint_of_other_code_is_refused(cut_off, monkeypatch):
    before = code_digest()
    monkeypatch.setattr(femspin, "__version__", "9.9.9")
    assert code_digest() != before
    with pytest.raises(CaseError, match="another version of femspin"):
        resumed(cut_off)
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint_module, "find_spec", lambda name: None)
    assert len(resumed(cut_off).history.rows) == 11


def test_the_digest_of_the_code_follows_every_source_file(tmp_path, monkeypatch):
    package = tmp_path / "femspin"
    (package / "inner").mkdir(parents=True)
    for name in ("installed.py", "inner/a.py", "database.toml"):
        (package / name).write_text("first")
    monkeypatch.setattr(femspin.results.installed, "__file__", str(package / "results" / "installed.py"))
    femspin.results.installed._digest.cache_clear()
    digests = {code_digest()}
    for name in ("inner/a.py", "database.toml"):
        (package / name).write_text("second")
        femspin.results.installed._digest.cache_clear()
        digests.add(code_digest())
    femspin.results.installed._digest.cache_clear()
    assert len(digests) == 3


def test_points_of_other_code_are_not_used_and_counted(tmp_path, monkeypatch):
    case, store = line(), PointStore(tmp_path)
    key = point_key(case)
    store.write(key, Record({"a": 1.0}))
    assert store.stale([]) == 0
    monkeypatch.setattr(femspin, "__version__", "9.9.9")
    assert point_key(case) != key
    assert store.stale([point_key(case)]) == 1


# ---------------------------------------------------------------- files that are no states


NO_STATES = {
    "pipe.npy": "is a pipe or device, not a regular file",
    "device.npy": "is a pipe or device, not a regular file",
    "folder.npy": "is a folder, not a file",
    "none.npy": "cannot be read: no such file",
    "text.npy": "is not an array of numbers as numpy.save writes it",
    "objects.npy": "is not an array of numbers as numpy.save writes it",
    "huge.npy": "is not an array of numbers as numpy.save writes it",
    "text.vtu": "is not a readable field file",
    "tree.vtu": "is not a readable field file",
}


@needs_posix
@pytest.mark.parametrize("name", NO_STATES)
def test_an_initial_file_that_is_no_state_is_refused_in_plain_words(name, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "device.npy").symlink_to("/dev/zero")
    (tmp_path / "folder.npy").mkdir()
    for file in ("text.npy", "text.vtu"):
        (tmp_path / file).write_text("SECRET")
    np.save(tmp_path / "objects.npy", np.array([{"SECRET": 1}], object))
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 3), }\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\0" + bytes([len(huge), 0]) + huge)
    (tmp_path / "tree.vtu").write_text("<VTKFile><SECRET/></VTKFile>")
    file = tmp_path / "a.toml"
    file.write_text(LINE.replace("direction = [1.0, 0.0, 0.2]", f'type = "file"\nfile = "{name}"'))
    for command in ("check", "run"):
        assert main([command, str(file)]) == 2
        (message,) = capsys.readouterr().err.splitlines()
        assert NO_STATES[name] in message
        assert message.startswith(f"femspin: {file}: texture.initial.file: ")
        assert "SECRET" not in message


# ---------------------------------------------------------------- a full disk


@needs_posix
@pytest.mark.parametrize("form", slow_unless(("npz",), FORMS))
def test_a_checkpoint_that_cannot_be_written_is_one_warning_and_the_run_goes_on(form, tmp_path):
    """The system refuses files above a size, as a full disk does in the middle of one."""
    program = f"""
import resource, sys
from femspin.cli.main import main
from femspin.magnets import checkpoint
if {form!r} == "npz":
    checkpoint.find_spec = lambda name: None
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
sys.exit(main(["run", sys.argv[1], "-q"]))
"""
    if form == "h5":
        pytest.importorskip("h5py")
    file = tmp_path / "c.toml"
    large = LINE.replace("20 nm", "1 um").replace('"1 nm"', '"0.5 nm"')
    file.write_text(large.replace('"2 ps"', '"0.4 ps"'))
    done = subprocess.run(
        [sys.executable, "-c", program, str(file), "30000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c.out" / "result.json").is_file()
    (warning,) = done.stderr.splitlines()
    assert "no checkpoint at" in warning
    assert "the run goes on with the last good one" in warning
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.out", "c.toml"]


def test_the_last_good_checkpoint_stays_when_the_next_cannot_be_written(cut_off, monkeypatch):
    good = cut_off.read_bytes()
    replace = os.replace

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module.os, "replace", full)
    keeper = Keeper(cut_off, line(), 1e-12)
    keeper.save(load_checkpoint(cut_off))
    monkeypatch.setattr(checkpoint_module.os, "replace", replace)
    assert cut_off.read_bytes() == good
    assert [p.name for p in cut_off.parent.iterdir()] == [cut_off.name]
    assert len(resumed(cut_off).history.rows) == 11


def test_resuming_says_in_one_line_what_is_wrong(cut_off, tmp_path, capsys):
    file = tmp_path / "a.toml"
    file.write_text(LINE)
    cut_off.rename(tmp_path / "a.out.checkpoint.npz")
    (tmp_path / "a.out.checkpoint.npz").write_bytes(b"nothing")
    assert main(["run", str(file), "--resume", "-q"]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "is not a checkpoint" in message
    assert main(["run", str(file), "-q"]) == 0
    assert json.loads((tmp_path / "a.out" / "result.json").read_text())["texture"]["steps"] > 0
