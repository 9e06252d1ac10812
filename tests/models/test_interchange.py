"""Every form of a network, there and back."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import bundle, prompt, tensors
from models.config import NetworkConfig
from models.convert import shapes_of, to_released
from models.diffusion import LucidFluxPipeline
from models.interchange import RELEASED_FILES, convert
from models.lucidflux import Adapter
from models.pipeline import Sampler

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def released(golden_config, tmp_path_factory):
    """The golden weights as the public files hold them: nested, wrapped, in folders."""
    folder = tmp_path_factory.mktemp("released")
    nested = {}
    for name, tensor in load_file(GOLDEN / "weights_lucidflux.safetensors").items():
        outer, _, inner = name.partition(".")
        nested.setdefault(outer, {})[inner] = tensor
    torch.save(nested, folder / "lucidflux.pth")
    shutil.copy(GOLDEN / "weights_flux.safetensors", folder / "flux1-dev.safetensors")
    shutil.copy(GOLDEN / "weights_ae.safetensors", folder / "ae.safetensors")
    swinir = {f"module.{name}": tensor for name, tensor in load_file(GOLDEN / "weights_swinir.safetensors").items()}
    torch.save({"state_dict": swinir}, folder / "general_swinir_v1.ckpt")
    (folder / "siglip2").mkdir()
    shutil.copy(GOLDEN / "weights_siglip.safetensors", folder / "siglip2" / "model.safetensors")
    vision = json.loads((GOLDEN / "index.json").read_text())["config"]["siglip_config"]
    (folder / "siglip2" / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": vision}))
    prompt.write(folder / "prompt_embeddings.pt", prompt.PromptEmbedding(torch.randn(7, 40), torch.randn(24)))
    save_file(
        {"redux_up.weight": torch.randn(120, 20), "redux_up.bias": torch.randn(120)}
        | {"redux_down.weight": torch.randn(40, 120), "redux_down.bias": torch.randn(40)},
        folder / "redux.safetensors",
    )
    return folder


@pytest.fixture(scope="module")
def config_file(golden_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    golden_config.save(folder)
    return folder / "config.json"


@pytest.fixture(scope="module")
def ours(released, config_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("ours") / "bundle"
    convert([released], out, to="lucidflux", config=config_file)
    return out


def flat(path):
    found = tensors.read(path) if path.suffix != ".pt" else prompt.read(path)._asdict()
    wrappers = ("state_dict.", "module.", "vision_model.")
    for wrapper in wrappers:
        found = {name.removeprefix(wrapper): tensor for name, tensor in found.items()}
    return {name: tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor) and not name.startswith("head.")}


def same(a, b):
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert tensor.dtype == b[name].dtype, name
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), b[name].reshape(-1).view(torch.uint8)), name


def test_released_to_ours_to_released_is_byte_equal(released, ours, tmp_path):
    convert([ours], tmp_path / "again", to="released")
    for name in RELEASED_FILES.values():
        same(flat(released / name), flat(tmp_path / "again" / name))
    nested = torch.load(tmp_path / "again" / "lucidflux.pth", weights_only=True)
    assert nested.keys() == {"condition_lq", "condition_ldr", "modulation_lq", "modulation_ldr", "connector"}


def test_ours_to_diffusers_to_ours_is_byte_equal(ours, tmp_path):
    convert([ours], tmp_path / "folder", to="diffusers")
    pipeline = LucidFluxPipeline.from_pretrained(tmp_path / "folder")
    pipeline.save_pretrained(tmp_path / "saved")
    for folder in ("folder", "saved"):
        convert([tmp_path / folder], tmp_path / f"{folder}-ours", to="lucidflux")
        for path in ours.glob("*.safetensors"):
            same(load_file(path), load_file(tmp_path / f"{folder}-ours" / path.name))
        assert NetworkConfig.load(ours) == NetworkConfig.load(tmp_path / f"{folder}-ours")
    assert [path.name for path in (tmp_path / "saved" / "adapter").glob("*.safetensors")] == [
        "diffusion_pytorch_model.safetensors"
    ]


def test_a_bundle_made_of_released_files_loads_and_restores(ours):
    frozen = bundle.load_frozen(ours)
    adapter = Adapter.load(ours / "adapter.safetensors", frozen.config)
    pipeline = LucidFluxPipeline.from_parts(frozen, adapter)
    sampler = Sampler(steps=1, start=1.0, tile_px=64, overlap_px=16)
    restored = pipeline(torch.rand(1, 3, 40, 50), seed=3, sampler=sampler, output_type="pt").images
    assert restored.shape == (1, 3, 40, 50)
    assert torch.isfinite(restored).all()


def test_the_miniature_travels_through_diffusers_too(tmp_path):
    tiny = Path(bundle.__file__).parent / "tiny"
    convert([tiny], tmp_path / "folder", to="diffusers")
    convert([tmp_path / "folder"], tmp_path / "again", to="lucidflux")
    assert bundle.hashes(tmp_path / "again").keys() == bundle.hashes(tiny).keys()
    for path in tiny.glob("*.safetensors"):
        same(load_file(path), load_file(tmp_path / "again" / path.name))
    with pytest.raises(ValueError, match="has a released layout"):
        convert([tiny], tmp_path / "released", to="released")
    assert not (tmp_path / "released").exists()


def test_the_full_size_has_as_many_trainable_parameters_as_the_released_one():
    shapes = shapes_of("adapter", NetworkConfig())
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 1_630_798_432


def broken(folder, kind):
    """A file of the released backbone that is wrong in one way."""
    path = folder / f"{kind}.safetensors"
    state = load_file(GOLDEN / "weights_flux.safetensors")
    if kind == "cut":
        save_file(state, path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "nan":
        save_file(state | {"img_in.bias": torch.full((24,), torch.nan)}, path)
    elif kind == "size":
        save_file(state | {"img_in.bias": torch.zeros(5)}, path)
    elif kind == "lacks":
        del state["img_in.bias"]
        save_file(state, path)
    elif kind == "extra":
        save_file(state | {"lora.weight": torch.zeros(1)}, path)
    elif kind == "foreign":
        save_file({"unet.conv.weight": torch.zeros(1)}, path)
    return path


@pytest.mark.parametrize(("kind", "said"), [
    ("cut", "no readable safetensors"),
    ("nan", "x_embedder.bias holds numbers that are not finite"),
    ("size", r"img_in.bias is \[5\], not \[24\]"),
    ("lacks", "lacks img_in.bias"),
    ("extra", "unexpected lora.weight"),
    ("foreign", "no weight file of this network"),
    ("absent", "found nothing"),
])  # fmt: skip
def test_a_wrong_file_is_refused_with_its_name_and_nothing_is_written(kind, said, config_file, tmp_path):
    path = broken(tmp_path, kind)
    with pytest.raises(ValueError, match=said):
        convert([path], tmp_path / "out", to="lucidflux", config=config_file)
    assert not list(tmp_path.glob("*out*"))


class Code:
    def __reduce__(self):
        return (Path("/tmp/never").touch, ())


def test_a_pickle_with_code_is_refused(tmp_path):
    (tmp_path / "lucidflux.pth").write_bytes(pickle.dumps({"condition_lq": Code()}))
    with pytest.raises(ValueError, match="carries more than tensors"):
        convert([tmp_path], tmp_path / "out", to="lucidflux")


def test_what_is_there_is_replaced_only_when_forced(released, ours, config_file, tmp_path):
    out = shutil.copytree(ours, tmp_path / "out")
    with pytest.raises(ValueError, match="--force"):
        convert([released], out, to="lucidflux", config=config_file)
    convert([released / "ae.safetensors"], out, to="lucidflux", config=config_file, force=True)
    assert {path.name for path in out.iterdir()} == {"config.json", "autoencoder.safetensors"}


MEASURE = """
import json, sys, threading, time
from pathlib import Path
from models.interchange import convert

def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) << 10

before, peak, done = anonymous(), [0], threading.Event()
def watch():
    while not done.is_set():
        peak[0] = max(peak[0], anonymous()); time.sleep(0.005)
thread = threading.Thread(target=watch); thread.start()
convert([Path(sys.argv[1])], Path(sys.argv[2]), to=sys.argv[3], config=Path(sys.argv[4]) if len(sys.argv) > 4 else None)
done.set(); thread.join()
print(json.dumps(peak[0] - before))
"""


def sparse(path, shapes):
    """A safetensors file of zeros that takes no room."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with path.open("r+b") as file:
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize("to", [
    pytest.param("released", marks=pytest.mark.e2e),  # joins tensors, so it needs more than the other way
    pytest.param("lucidflux", marks=pytest.mark.campaign),
])  # fmt: skip
def test_converting_4_gib_takes_no_more_memory_than_its_largest_tensor(to, tmp_path):
    """Peak of anonymous memory over what the interpreter had before; the bound is the largest tensor + 256 MiB."""
    config = NetworkConfig()
    config = config.model_copy(update={"backbone": config.backbone.model_copy(update={"double_blocks": 4, "single_blocks": 6})})
    config.save(tmp_path)
    shapes = shapes_of("backbone", config)
    made = tmp_path / "made.safetensors"
    names = {item.name: item.shape for item in to_released("backbone", Zeros(shapes), config)} if to == "lucidflux" else shapes
    sparse(made, names)
    assert made.stat().st_size > 4 << 30
    arguments = [str(made), str(tmp_path / "out"), to, str(tmp_path / "config.json")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
    largest = 2 * max(torch.Size(shape).numel() for shape in names.values())
    assert json.loads(done.stdout.splitlines()[-1]) <= largest + (256 << 20)


class Zeros(dict):
    """Shapes as tensors without numbers."""

    def __getitem__(self, name):
        return torch.empty(super().__getitem__(name), device="meta")

    def items(self):
        return [(name, self[name]) for name in self]


def test_a_folder_of_weights_may_hold_text_encoders_too(released, config_file, tmp_path):
    folder = shutil.copytree(released, tmp_path / "weights")
    (folder / "t5").mkdir()
    (folder / "t5" / "config.json").write_text('{"model_type": "t5"}')
    convert([folder], tmp_path / "out", to="lucidflux", config=config_file)
    with pytest.raises(ValueError, match="'t5' model"):
        convert([folder / "t5"], tmp_path / "other", to="lucidflux", config=config_file)
