import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from components.backends.arrivals import Hub, HubCache, Mirror, bring_in, fetch
from components.backends.pins import WEIGHTS, Pin, PinnedFile
from components.backends.storage import file_sha256, open_storage
from components.backends.weights import LOCK, Shelf
from components.errors import UnknownName, WeightsError
from tests.conftest import ROOT

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.bfloat16)}


@pytest.fixture
def mirror(tmp_path):
    """A mirror with one pinned set, one unpinned, and one of two files."""
    root = tmp_path / "mirror"
    for name in ("net", "adapter", "encoder"):
        (root / name).mkdir(parents=True)
    save_file(TENSORS, root / "net" / "net.safetensors")
    torch.save({"state_dict": {"branch": {"b.weight": torch.zeros(4)}}, "step": 3}, root / "adapter" / "adapter.pth")
    (root / "encoder" / "config.json").write_text("{}")
    save_file({"c.weight": torch.zeros(1)}, root / "encoder" / "model.safetensors")
    return root


@pytest.fixture
def shelf(tmp_path, mirror):
    net = mirror / "net" / "net.safetensors"
    facts = {"repository": "someone/net", "licence": "Apache-2.0", "used_for": "a test"}
    pins = {
        "net": Pin(
            files=(PinnedFile("net.safetensors", file_sha256(net), net.stat().st_size),), holds={"a.weight": (2, 3)}, **facts
        ),
        "adapter": Pin(files=(PinnedFile("adapter.pth"),), holds={"branch.b.weight": (4,)}, **facts),
        "encoder": Pin(files=(PinnedFile("config.json"), PinnedFile("model.safetensors")), holds={"c.weight": (1,)}, **facts),
    }
    return Shelf(tmp_path / "weights", pins)


def state(shelf, name):
    return next(found.state for found in shelf.states() if found.name == name)


def left(shelf):
    return sorted(str(path.relative_to(shelf.folder)) for path in shelf.folder.rglob("*") if path.is_file())


def test_a_set_comes_from_the_mirror_and_is_verified(shelf, mirror):
    for name in shelf.pins:
        assert state(shelf, name) == "missing"
        fetch(shelf, name, [Mirror(str(mirror))])
        assert state(shelf, name) == "present"
    assert [verdict.state for verdict in shelf.verify()] == ["ok", "ok", "ok"]
    assert not [path for path in left(shelf) if "partial" in path]


def test_offline_says_file_hash_where_it_looked_and_where_to_put_it(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError) as told:
        fetch(shelf, "net", [Mirror(str(tmp_path / "nothing")), Hub()])
    for part in ("net.safetensors", shelf.pins["net"].files[0].sha256, "nothing", "HF_HUB_OFFLINE", str(shelf.folder / "net")):
        assert part in str(told.value)
    with pytest.raises(WeightsError, match="not pinned"):
        fetch(shelf, "adapter", [Hub()])


def test_the_hub_comes_after_the_mirror_and_its_errors_are_told(shelf, mirror, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def download(repository, path, local_dir):
        if repository != "someone/net":
            raise ConnectionError("no route")
        made = local_dir / path
        made.parent.mkdir(parents=True)
        made.write_bytes((mirror / "net" / path).read_bytes())
        return str(made)

    fetch(shelf, "net", [Mirror(str(tmp_path / "nothing")), Hub(download)])
    assert state(shelf, "net") == "present"
    shelf.pins["adapter"] = replace(shelf.pins["adapter"], repository="gone/away")
    with pytest.raises(WeightsError, match=r"gone/away: ConnectionError, no route"):
        fetch(shelf, "adapter", [Hub(download)])


def test_the_hub_librarys_own_cache_serves_offline(shelf, mirror, tmp_path):
    data = (mirror / "net" / "net.safetensors").read_bytes()
    blob = tmp_path / "cache" / "models--someone--net" / "blobs" / shelf.pins["net"].files[0].sha256
    snapshot = blob.parents[1] / "snapshots" / "0123"
    for folder in (blob.parent, snapshot, blob.parents[1] / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(data)
    (snapshot / "net.safetensors").symlink_to(blob)
    (blob.parents[1] / "refs" / "main").write_text("0123")
    with pytest.raises(WeightsError, match="no copy"):
        fetch(shelf, "adapter", [HubCache(tmp_path / "cache")])
    fetch(shelf, "net", [HubCache(tmp_path / "cache")])
    assert state(shelf, "net") == "present"
    assert blob.read_bytes() == data


def test_a_wrong_hash_names_both_and_leaves_nothing(shelf, mirror):
    data = bytearray((mirror / "net" / "net.safetensors").read_bytes())
    data[-1] ^= 1
    (mirror / "net" / "net.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=f"sha256 {file_sha256(mirror / 'net' / 'net.safetensors')}, expected"):
        fetch(shelf, "net", [Mirror(str(mirror))])
    assert state(shelf, "net") == "missing"
    assert not [path for path in left(shelf) if path.endswith(".safetensors")]


def test_an_unpinned_file_is_recorded_once_and_then_held_to_it(shelf, mirror):
    target = shelf.folder / "adapter" / "adapter.pth"
    target.parent.mkdir(parents=True)
    target.write_bytes((mirror / "adapter" / "adapter.pth").read_bytes())
    assert state(shelf, "adapter") == "unverified"
    (verdict,) = shelf.verify(["adapter"])
    assert verdict.state == "recorded"
    assert LOCK in verdict.said
    torch.save({"branch": {"b.weight": torch.ones(4)}}, target)
    (verdict,) = shelf.verify(["adapter"])
    assert verdict.state == "wrong"
    assert "expected" in verdict.said


def test_a_killed_download_goes_on_where_it_stopped(shelf, mirror, monkeypatch):
    program = f"""
import os, signal
from pathlib import Path
from components.backends import arrivals
from components.backends.pins import Pin, PinnedFile
from components.backends.weights import Shelf
arrivals.PIECE_BYTES = 64
def kill(phase, done, total):
    os.kill(os.getpid(), signal.SIGKILL)
pin = Pin("r", (PinnedFile("net.safetensors"),), "l", "u", {{"a.weight": (2, 3)}})
arrivals.fetch(Shelf(Path({str(shelf.folder)!r}), {{"net": pin}}), "net", [arrivals.Mirror({str(mirror)!r})], kill)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert state(shelf, "net") == "missing"
    partial = shelf.staged("net", shelf.pins["net"].files[0])
    assert partial.stat().st_size == 64
    source, offsets = Mirror(str(mirror)), []
    read = source.store.read_range
    monkeypatch.setattr(source.store, "read_range", lambda key, at, length: (offsets.append(at), read(key, at, length))[1])
    fetch(shelf, "net", [source])
    assert offsets == [64]
    assert state(shelf, "net") == "present"


def test_a_partial_of_another_mirror_is_not_gone_on_with(shelf, mirror):
    partial = shelf.staged("net", shelf.pins["net"].files[0])
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 64)
    fetch(shelf, "net", [Mirror(str(mirror))])
    assert state(shelf, "net") == "present"


def test_a_link_left_by_a_killed_import_is_never_written_through(shelf, mirror, tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"the user's file")
    partial = shelf.staged("net", shelf.pins["net"].files[0])
    partial.parent.mkdir(parents=True)
    os.link(own, partial)
    size = (mirror / "net" / "net.safetensors").stat().st_size
    partial.with_name(f"{partial.name}.origin").write_text(f"{mirror} {size}")
    fetch(shelf, "net", [Mirror(str(mirror))])
    assert own.read_bytes() == b"the user's file"
    assert state(shelf, "net") == "present"


def test_import_takes_a_file_or_a_folder(shelf, mirror):
    bring_in(shelf, "net", mirror / "net" / "net.safetensors")
    bring_in(shelf, "encoder", mirror / "encoder")
    bring_in(shelf, "net", shelf.folder / "net" / "net.safetensors")  # itself
    assert (state(shelf, "net"), state(shelf, "encoder")) == ("present", "present")
    assert len([path for path in left(shelf) if "net" in path]) == 1


def test_import_copies_where_links_do_not_reach(shelf, mirror, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("cross-device")))
    bring_in(shelf, "net", mirror / "net" / "net.safetensors")
    assert state(shelf, "net") == "present"


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def broken(kind, path):
    """Write one file of bad input; gives the set that it is offered as."""
    if kind == "code":
        path.write_bytes(pickle.dumps({"b.weight": Code()}, protocol=2))
    elif kind == "code in a zip":
        torch.save({"b.weight": Code()}, path)
    elif kind == "cut":
        torch.save({"branch": {"b.weight": torch.zeros(4)}}, path)
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "not finite":
        torch.save({"branch": {"b.weight": torch.tensor([0.0, float("inf"), 0.0, 0.0])}}, path)
    elif kind == "other sizes":
        torch.save({"branch": {"b.weight": torch.zeros(5)}}, path)
    elif kind == "another set":
        torch.save(TENSORS, path)
    elif kind == "text":
        path.write_text("<html>")
    return "adapter"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("code", "nothing of it was run"),
        ("code in a zip", r"posix\.system"),
        ("cut", "cut"),
        ("not finite", r"branch\.b\.weight.*not finite"),
        ("other sizes", r"is \[5\].*expected \[4\]"),
        ("another set", "found a 'net' checkpoint"),
        ("text", "adapter.pth"),
        ("missing", "found none"),
    ],
)
def test_bad_torch_files_are_a_sentence_and_leave_nothing(shelf, tmp_path, monkeypatch, kind, said):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "adapter.pth"
    name = broken(kind, path)
    with pytest.raises(WeightsError, match=said):
        bring_in(shelf, name, path)
    assert not (tmp_path / "ran").exists()
    assert set(left(shelf)) <= {".lock"} if shelf.folder.exists() else True


@pytest.mark.parametrize("kind", ["cut", "tail", "header", "nan"])
def test_bad_safetensors_are_a_sentence(shelf, mirror, kind):
    path = mirror / "encoder" / "model.safetensors"
    data = path.read_bytes()
    if kind == "nan":
        save_file({"c.weight": torch.tensor([float("nan")], dtype=torch.bfloat16)}, path)
    else:
        path.write_bytes({"cut": data[:-2], "tail": data + b"xx", "header": data[:20]}[kind])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        fetch(shelf, "encoder", [Mirror(str(mirror))])
    assert state(shelf, "encoder") == "missing"


def test_a_folder_that_cannot_be_written_says_what_to_do(shelf, mirror, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="LUCIDFLUX_WEIGHTS"):
        fetch(Shelf(tmp_path / "file" / "weights", shelf.pins), "net", [Mirror(str(mirror))])


def test_a_wrong_name_gets_a_suggestion(shelf):
    with pytest.raises(UnknownName, match="Did you mean 'adapter'"):
        shelf.verify(["adaptor"])


def test_every_pin_names_its_files_licence_and_contents():
    for pin in WEIGHTS.values():
        assert pin.licence
        assert all(len(file.sha256) in (0, 64) for file in pin.files)
    # two are text, one was never seen by us
    assert {name for name, pin in WEIGHTS.items() if not pin.holds} == {"brisque-svm", "brisque-range", "one-align"}


@pytest.mark.e2e
def test_an_s3_mirror_serves_as_a_folder_does(shelf, mirror, s3_mirror):
    store = open_storage(s3_mirror)
    store.put_file("net/net.safetensors", mirror / "net" / "net.safetensors")
    fetch(shelf, "net", [Mirror(s3_mirror)])
    assert state(shelf, "net") == "present"
    with pytest.raises(WeightsError, match=r"s3://.* has no adapter/adapter\.pth"):
        fetch(shelf, "adapter", [Mirror(s3_mirror)])


@pytest.fixture
def s3_mirror(s3):
    return f"s3://{s3}/pinned"
