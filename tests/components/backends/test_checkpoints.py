"""Forms of checkpoints beside plain dictionaries: archives of code, bare tensors, numpy archives."""

import hashlib

import numpy as np
import pytest
import torch

from components.backends.arrivals import bring_in
from components.backends.pins import Pin, PinnedFile
from components.backends.weights import Shelf
from components.errors import WeightsError


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * self.weight


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.script(Scale()).save(str(path))
    return path


def script_pin(sha256):
    pin = Pin(repository="r", files=(PinnedFile("net.pt", sha256),), licence="MIT", used_for="t", holds={"weight": (4,)})
    return {"net": pin}


def test_an_archive_of_code_is_read_where_its_hash_is_pinned(script, tmp_path):
    shelf = Shelf(tmp_path / "w", script_pin(hashlib.sha256(script.read_bytes()).hexdigest()))
    bring_in(shelf, "net", script)
    assert shelf.verify(["net"])[0].state == "ok"


@pytest.mark.parametrize("sha256", ["", "0" * 64])
def test_an_archive_of_code_is_refused_where_its_hash_is_not_pinned_or_another(script, tmp_path, sha256):
    with pytest.raises(WeightsError):
        bring_in(Shelf(tmp_path / "w", script_pin(sha256)), "net", script)


def test_a_bare_tensor_is_a_checkpoint(tmp_path):
    torch.save(torch.zeros(2, 16, 512), tmp_path / "prompts.pth")
    shelf = Shelf(tmp_path / "w")
    bring_in(shelf, "clipiqa-plus", tmp_path / "prompts.pth")
    assert shelf.verify(["clipiqa-plus"])[0].healthy


def test_a_tensor_of_another_size_is_refused(tmp_path):
    torch.save(torch.zeros(2, 16, 511), tmp_path / "prompts.pth")
    with pytest.raises(WeightsError, match="511"):
        bring_in(Shelf(tmp_path / "w"), "clipiqa-plus", tmp_path / "prompts.pth")


def test_a_numpy_archive_is_read_by_its_arrays_and_a_broken_one_or_one_with_objects_is_refused(tmp_path):
    pin = Pin(repository="r", files=(PinnedFile("n.npz"),), licence="MIT", used_for="t", holds={"mu": (1, 36)})
    np.savez(tmp_path / "n.npz", mu=np.zeros((1, 36)))
    bring_in(Shelf(tmp_path / "w", {"n": pin}), "n", tmp_path / "n.npz")
    np.savez(tmp_path / "object.npz", mu=np.array([object()]))
    (tmp_path / "n.npz").write_bytes(b"x" * 300)
    for path in (tmp_path / "n.npz", tmp_path / "object.npz"):
        with pytest.raises(WeightsError, match=path.name):
            bring_in(Shelf(tmp_path / "v", {"n": pin}), "n", path)
