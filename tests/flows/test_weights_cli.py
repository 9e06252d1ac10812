import sys
from types import SimpleNamespace

import pytest
import torch

from components.backends.pins import WEIGHTS


@pytest.fixture
def lucidflux(lucidflux, tmp_path, monkeypatch):
    """The command line with a weights folder of its own, offline."""
    monkeypatch.setenv("LUCIDFLUX_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("LUCIDFLUX_WEIGHTS_MIRROR", raising=False)
    return lucidflux


@pytest.fixture
def embeddings(tmp_path):
    """A file of the released form and sizes."""
    path = tmp_path / "mirror" / "prompt-embeddings" / "prompt_embeddings.pt"
    path.parent.mkdir(parents=True)
    values = {"txt": torch.zeros(1, 512, 4096, dtype=torch.bfloat16), "vec": torch.zeros(1, 768, dtype=torch.bfloat16)}
    torch.save(values | {"prompt": "restore"}, path)
    return path


def test_the_list_has_every_set_with_its_licence(lucidflux):
    told = lucidflux("weights", "list")
    assert told.exit_code == 0
    for name, pin in WEIGHTS.items():
        assert name in told.stdout
        assert pin.licence in told.stdout


def test_import_and_verify_end_in_one_when_a_file_changes(lucidflux, embeddings, tmp_path):
    done = lucidflux("weights", "import", "prompt-embeddings", embeddings)
    assert done.exit_code == 0, done.stderr
    assert lucidflux("weights", "verify").exit_code == 0
    inside = tmp_path / "weights" / "prompt-embeddings" / "prompt_embeddings.pt"
    inside.write_bytes(inside.read_bytes()[:-1])
    told = lucidflux("weights", "verify", "prompt-embeddings")
    assert told.exit_code == 1
    assert "expected" in told.stdout
    assert lucidflux("weights", "verify", "ae").exit_code == 1


def test_fetch_takes_the_mirror_and_offline_is_a_sentence(lucidflux, embeddings, tmp_path):
    done = lucidflux("weights", "fetch", "prompt-embeddings", "--mirror", tmp_path / "mirror")
    assert done.exit_code == 0, done.stderr
    assert "present" in done.stdout
    told = lucidflux("weights", "fetch", "ae", "--mirror", tmp_path / "mirror")
    assert told.exit_code == 1
    assert WEIGHTS["ae"].files[0].sha256 in told.stderr
    assert "Traceback" not in told.stderr
    assert lucidflux("weights", "fetch", "aee").exit_code == 2


def test_encode_prompt_without_encoders_says_what_is_missing(lucidflux, tmp_path):
    told = lucidflux("weights", "encode-prompt", "--out", tmp_path / "prompt.safetensors")
    assert told.exit_code == 1
    assert "weights fetch t5 clip" in told.stderr
    assert not (tmp_path / "prompt.safetensors").exists()


def test_convert_gives_its_words_on_and_wraps_errors(lucidflux, tmp_path, monkeypatch):
    seen = []

    def convert(sources, out, *, to, config, force):
        seen.append((list(sources), to, config, force))
        if not force:
            raise ValueError("there already; use --force")
        return [out / "a" / "b.safetensors"]

    monkeypatch.setitem(sys.modules, "models.interchange", SimpleNamespace(convert=convert))
    words = ("convert", tmp_path / "lucidflux.pth", "--out", tmp_path / "out", "--to", "diffusers")
    refused = lucidflux(*words)
    assert refused.exit_code == 1
    assert "WeightsError: there already" in refused.stderr
    done = lucidflux(*words, "--force")
    assert done.exit_code == 0, done.stderr
    assert "a/b.safetensors" in done.stdout
    assert seen[1] == ([tmp_path / "lucidflux.pth"], "diffusers", None, True)
    assert lucidflux(*words[:-1], "onnx").exit_code == 2
    told = lucidflux("convert", "ae", *words[2:])
    assert "weights fetch ae" in told.stderr
    (tmp_path / "weights" / "ae").mkdir(parents=True)
    lucidflux("convert", "ae", *words[2:], "--force")
    assert seen[-1][0] == [tmp_path / "weights" / "ae"]
