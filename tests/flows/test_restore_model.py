import pytest
import torch

from components.errors import WeightsError
from flows.settings import REPOSITORY, load
from flows.tasks.release import open_restorer
from flows.workspace import Workspace
from models.bundle import load_frozen
from models.lucidflux import Adapter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle with an adapter, as `convert --to lucidflux` and the registry lay them out."""
    made = tmp_path_factory.mktemp("saved") / "mine"
    made.mkdir()
    for source in (REPOSITORY / "models" / "tiny").iterdir():
        (made / source.name).symlink_to(source)
    torch.manual_seed(0)
    frozen = load_frozen(made)
    Adapter.from_backbone(frozen.config, frozen).save(made / "adapter.safetensors")
    return made


def workspace(tmp_path, model):
    return Workspace(load("tiny", [f"restore.model={model}"]), tmp_path)


def test_a_folder_restores_and_its_name_tells_content_not_place(folder, tmp_path):
    restorer, name = open_restorer(workspace(tmp_path, folder))
    assert name == f"mine/{restorer.identity[:12]}"
    assert restorer.adapter_sha256


def test_a_folder_without_an_adapter_says_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match=r"adapter\.safetensors"):
        open_restorer(workspace(tmp_path, tmp_path))
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(WeightsError, match="lucidflux convert"):
        open_restorer(workspace(tmp_path, tmp_path))
    with pytest.raises(WeightsError, match="found none"):
        open_restorer(workspace(tmp_path, "./nothing"))
