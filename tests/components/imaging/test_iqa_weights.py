"""Metrics with weights: refused without them, never downloaded, and the same as pyiqa's own with made ones."""

from __future__ import annotations

import csv
import hashlib
import shutil
import socket
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.io
import torch

from components.backends.arrivals import bring_in
from components.backends.pins import WEIGHTS
from components.backends.weights import Shelf
from components.errors import WeightsError
from components.imaging import codec, iqa
from components.imaging.iqa import loading, scoring
from components.imaging.iqa import parameters as reading

pytestmark = pytest.mark.e2e

WEIGHED = [name for name, metric in iqa.METRICS.items() if metric.weights]
SIDE_PX = 256
BATCH_TOLERANCE = 1e-5


@pytest.fixture
def no_network(monkeypatch):
    """Every way to another machine fails and is written down."""
    asked = []

    def refuse(*words, **_options):
        asked.append(words)
        raise OSError("no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A weights folder; the function it gives puts a file into it and pins that file's hash."""

    def put(name, path):
        target = tmp_path / "weights" / name / WEIGHTS[name].files[0].path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        pinned = replace(WEIGHTS[name].files[0], sha256=digest, size=0)
        monkeypatch.setitem(WEIGHTS, name, replace(WEIGHTS[name], files=(pinned,)))
        return tmp_path / "weights"

    return put


@pytest.fixture
def small_input(monkeypatch):
    """CLIP-IQA at a smaller fixed size, which is quicker."""
    for name in ("clipiqa", "clipiqa+"):
        monkeypatch.setitem(iqa.METRICS, name, iqa.info(name).model_copy(update={"input_px": SIDE_PX}))


@pytest.fixture(scope="module")
def rn50(tmp_path_factory):
    """A TorchScript archive with the layout of CLIP's RN50, small and random."""
    iqa.ensure_pkg_resources()
    from pyiqa.archs.clip_model import CLIP

    torch.manual_seed(0)
    net = CLIP(32, 64, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1).eval()
    path = tmp_path_factory.mktemp("clip") / "RN50.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace_module(net, {"encode_text": torch.zeros(1, 77, dtype=torch.long)}, check_trace=False).save(str(path))
    return path


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.pth"
    torch.save(torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(1)), path)
    return path


def pictures(count, side_px=SIDE_PX):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return [np.kron(grid, np.ones((-(-side_px // 16), -(-side_px // 16), 1), np.uint8))[:side_px, :side_px] for grid in coarse]


def own_scores(name, images_u8, **options):
    """What pyiqa's unmodified metric says."""
    import pyiqa

    metric = pyiqa.create_metric(name, device="cpu", **options)
    return [float(metric(torch.from_numpy(image.transpose(2, 0, 1)[None]).float() / 255)) for image in images_u8]


@pytest.mark.parametrize("name", WEIGHED)
def test_missing_weights_are_a_sentence_and_nothing_is_asked_of_the_network(name, tmp_path, no_network):
    image = pictures(1, 240)
    references = image if iqa.info(name).needs_reference else None
    for ask in (lambda: iqa.ready(name, tmp_path), lambda: iqa.score(name, image, references, weights=tmp_path)):
        with pytest.raises(WeightsError) as told:
            ask()
        for needed in iqa.info(name).weights:
            for file in WEIGHTS[needed].files:
                for said in (file.path, file.sha256 or "not pinned", str(tmp_path / needed), "lucidflux weights"):
                    assert said in str(told.value)
    assert no_network == []


def test_no_weights_folder_at_all_is_the_same_sentence():
    with pytest.raises(WeightsError, match=r"RN50\.pt \(sha256 afeb0e10.*lucidflux weights import clip-rn50 PATH.*piqe"):
        iqa.ready("clipiqa")


def test_metrics_without_weights_are_ready_anywhere():
    assert iqa.ready("piqe") == {}


def test_a_changed_file_is_refused(shelf, rn50):
    folder = shelf("clip-rn50", rn50)
    assert set(iqa.ready("clipiqa", folder)) == {"clip-rn50"}
    with (folder / "clip-rn50" / "RN50.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="It was changed or is another file"):
        iqa.ready("clipiqa", folder)


def test_a_file_of_another_network_is_a_sentence(shelf, prompts, no_network):
    folder = shelf("nima-ava", prompts)
    with pytest.raises(WeightsError, match=r"'nima' cannot be made of .*NIMA"):
        iqa.score("nima", pictures(1, 64), weights=folder)
    assert no_network == []


def test_the_name_of_scores_follows_their_weights_and_their_device(shelf, rn50, tmp_path, monkeypatch):
    folder = shelf("clip-rn50", rn50)
    here = iqa.operator("clipiqa", folder)
    assert here == iqa.operator("clipiqa", folder)
    assert here.startswith(f"clipiqa-{'cuda' if torch.cuda.is_available() else 'cpu'}-pyiqa")
    other = tmp_path / "other.pt"
    other.write_bytes(rn50.read_bytes() + b"x")
    shelf("clip-rn50", other)
    assert iqa.operator("clipiqa", folder) != here
    shelf("clip-rn50", rn50)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: not here.startswith("clipiqa-cuda"))
    assert iqa.operator("clipiqa", folder) != here


def test_clipiqa_scores_as_pyiqas_own_and_encodes_the_prompts_once(shelf, rn50, small_input, no_network):
    from pyiqa.archs.clip_model import Transformer

    folder, images = shelf("clip-rn50", rn50), pictures(2)
    calls = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: calls.append(module) if isinstance(module, Transformer) else None
    )
    found = [*iqa.score("clipiqa", images, weights=folder), *iqa.stream("clipiqa", images, weights=folder)]
    hook.remove()
    assert len(calls) == 1
    assert found == pytest.approx(own_scores("clipiqa", images, backbone=str(rn50)) * 2, abs=1e-6)
    assert found[0] != found[1]
    assert no_network == []


def test_clipiqa_plus_scores_as_pyiqas_own_with_its_learned_prompts(shelf, rn50, prompts, small_input, no_network):
    import pyiqa

    shelf("clip-rn50", rn50)
    folder, images = shelf("clipiqa-plus", prompts), pictures(2)
    own = pyiqa.create_metric("clipiqa+", device="cpu", backbone=str(rn50), pretrained=False)
    own.net.prompt_learner.ctx.data = torch.load(prompts)
    expected = [float(own(torch.from_numpy(image.transpose(2, 0, 1)[None]).float() / 255)) for image in images]
    assert iqa.score("clipiqa+", images, weights=folder) == pytest.approx(expected, abs=1e-6)
    assert no_network == []


def test_a_batch_gives_the_scores_of_single_calls(rn50, small_input, monkeypatch):
    scorer = iqa.Scorer("clipiqa", loading.build("clipiqa", {"clip-rn50": rn50}, "cpu"))
    images = pictures(5)
    alone = list(scorer.stream(images))
    monkeypatch.setitem(scoring.BATCH, "cpu", 3)
    assert list(scorer.stream([images[0], None, *images[1:]]))[2:] == pytest.approx(alone[1:], abs=BATCH_TOLERANCE)
    assert list(scorer.stream(images[:1])) == list(scorer.stream(images))[:1]  # whoever shares the batch


def test_clipiqa_looks_at_the_size_that_the_paper_evaluates():
    assert iqa.info("clipiqa").input_px == iqa.info("clipiqa+").input_px == 1024


def test_clipiqa_sees_one_size_only(rn50, small_input):
    seen = []
    network = loading.build("clipiqa", {"clip-rn50": rn50}, "cpu")

    def watched(tensor):
        seen.append(tuple(tensor.shape))
        return network(tensor)

    (image,) = pictures(1, 300)
    wide = np.pad(image, ((0, 0), (50, 50), (0, 0)))
    square, middle = iqa.Scorer("clipiqa", watched).stream([image, wide])
    assert seen == [(1, 3, SIDE_PX, SIDE_PX)] * 2
    assert middle == square


def official_scores(test_data, name):
    """(calibration picture, score of the authors' program)."""
    folder = test_data / "params" / "iqa_calibration"
    with (folder / "results_official_subset.csv").open() as table:
        row = next(row for row in csv.DictReader(table) if row["Method"] == name)
    for number in ("I08", "I19"):
        yield codec.decode((folder / f"dist_{number}.bmp").read_bytes()).image_u8, float(row[f"{number}.bmp"])


@pytest.fixture(scope="module")
def parameters(test_data, tmp_path_factory):
    """A weights folder with the published parameters of NIQE and BRISQUE, brought in as a user does."""
    shelf, given = Shelf(tmp_path_factory.mktemp("weights")), test_data / "params"
    bring_in(shelf, "niqe", given / "niqe_pris_params.npz")
    bring_in(shelf, "brisque-svm", given / "brisque_svm.txt")
    bring_in(shelf, "brisque-range", given / "brisque_normalize.json")
    return shelf.folder


def test_niqe_with_the_given_parameters_has_its_official_scores(parameters, test_data, no_network):
    for (image, official), relative in zip(official_scores(test_data, "niqe"), (0.003, 0.06), strict=True):
        assert iqa.score("niqe", [image], weights=parameters)[0] == pytest.approx(official, rel=relative)  # pyiqa allows 6 %
    small = [image[:191, :300], image[:192, :300]]
    assert [np.isnan(value) for value in iqa.score("niqe", small, weights=parameters)] == [True, False]
    assert no_network == []


def test_niqe_is_what_pyiqa_gives_with_the_same_numbers_alone_in_sevens_and_shuffled(parameters, test_data, tmp_path):
    given = np.load(test_data / "params" / "niqe_pris_params.npz")
    scipy.io.savemat(tmp_path / "niqe.mat", {"mu_prisparam": given["mu_pris_param"], "cov_prisparam": given["cov_pris_param"]})
    (photo, _), _ = official_scores(test_data, "niqe")
    images = [np.ascontiguousarray(photo[10 * step :, 7 * step :]) for step in range(7)]
    expected = own_scores("niqe", images, pretrained_model_path=str(tmp_path / "niqe.mat"))
    assert iqa.score("niqe", images, weights=parameters) == expected
    assert iqa.score("niqe", images[:1], weights=parameters) == expected[:1]
    assert iqa.score("niqe", images[::-1], weights=parameters) == expected[::-1]


def test_brisque_agrees_with_the_package_whose_parameters_it_has(parameters, test_data, no_network):
    folder = test_data / "params" / "iqa_calibration"
    # brisque 0.0.17 with libsvm-official 3.37.0: BRISQUE().score(skimage.io.imread(FILE)). The authors' program says 5.4 and 72.3
    # of the first two: it has another model, which is not among the given files.
    package = {"dist_I08": 8.835, "dist_I19": 89.889, "ref_I08": 3.832, "ref_I19": 16.882}
    images = [codec.decode((folder / f"{name}.bmp").read_bytes()).image_u8 for name in package]
    assert iqa.score("brisque", images, weights=parameters) == pytest.approx(list(package.values()), abs=1.0)
    assert no_network == []


def test_brisque_is_pyiqas_with_this_machine_these_ranges_and_this_halving(parameters, test_data, monkeypatch):
    from pyiqa.archs import brisque_arch

    low, high = reading.read_ranges(parameters / "brisque-range" / "normalize.json")
    machine = reading.read_machine(parameters / "brisque-svm" / "svm.txt")
    halved = brisque_arch.imresize
    monkeypatch.setattr(
        brisque_arch, "scale_features", lambda found: torch.from_numpy(2 * (found.numpy() - low) / (high - low) - 1)
    )
    monkeypatch.setattr(brisque_arch, "imresize", lambda luma, scale, antialiasing: halved(luma, scale=scale, antialiasing=False))
    fixed = {"sv_coef": torch.from_numpy(machine.coefficients), "sv": torch.from_numpy(machine.vectors), "rho": machine.rho}
    images = [image for image, _ in official_scores(test_data, "brisque")]
    tensors = [torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).float().div(255).double() for image in images]
    by_hand = [float(brisque_arch.brisque(tensor, **fixed)) for tensor in tensors]
    monkeypatch.undo()
    assert iqa.score("brisque", images, weights=parameters) == pytest.approx(by_hand, abs=1e-9)
    assert iqa.score("brisque", images[::-1], weights=parameters) == iqa.score("brisque", images, weights=parameters)[::-1]


@pytest.mark.parametrize("name", ["niqe", "brisque"])
@pytest.mark.parametrize("value", [0, 128])
def test_a_flat_picture_is_nan(parameters, name, value):
    assert np.isnan(iqa.score(name, [np.full((192, 192, 3), value, np.uint8)], weights=parameters)[0])


@pytest.mark.parametrize(
    "spoil", [lambda text: text[: len(text) // 2], lambda text: text.replace("rbf", "linear"), lambda text: "{}"]
)
def test_a_cut_or_another_support_vector_machine_is_a_sentence(parameters, tmp_path, spoil):
    (tmp_path / "svm.txt").write_text(spoil((parameters / "brisque-svm" / "svm.txt").read_text()))
    files = {"brisque-svm": tmp_path / "svm.txt", "brisque-range": parameters / "brisque-range" / "normalize.json"}
    with pytest.raises(WeightsError, match=r"'brisque' cannot be made of .*svm\.txt"):
        loading.build("brisque", files, "cpu")


def test_lpips_is_its_formula_with_the_given_linear_layers(shelf, tmp_path, test_data, no_network):
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.AlexNet().features.eval()
    torch.save({f"features.{key}": tensor for key, tensor in net.state_dict().items()}, tmp_path / "alexnet.pth")
    shelf("lpips-alex", test_data / "params" / "lpips_v0.1_alex.pth")
    weights = shelf("alexnet", tmp_path / "alexnet.pth")
    image, other = pictures(2, 96)
    linear = torch.load(test_data / "params" / "lpips_v0.1_alex.pth", map_location="cpu")
    expected = lpips_by_hand(net, [linear[f"lin{number}.model.1.weight"] for number in range(5)], image, other)
    assert iqa.score("lpips", [image, image], [image, other], weights=weights) == pytest.approx([0, expected], rel=1e-4)
    assert no_network == []


@torch.no_grad()
def lpips_by_hand(features, linear, *images_u8):
    """Zhang et al. 2018, eq. 1, after each rectifier."""
    mean, deviation = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    layers = []
    for image in images_u8:
        signed = (torch.from_numpy(image).float() / 127.5 - 1 - mean) / deviation
        seen, value = [], signed.permute(2, 0, 1)[None]
        for layer in features:
            value = layer(value)
            if isinstance(layer, torch.nn.ReLU):
                seen.append(value / value.norm(dim=1, keepdim=True))
                value = value.clone()
        layers.append(seen)
    pairs = zip(linear, *layers, strict=True)
    return sum(float((weight * (first - second) ** 2).sum(1).mean()) for weight, first, second in pairs)


@pytest.mark.parametrize(("name", "needed"), [("musiq", "musiq-koniq"), ("nima", "nima-ava"), ("maniqa", "maniqa-koniq")])
@pytest.mark.campaign
def test_large_networks_are_filled_from_their_file_alone(name, needed, tmp_path, no_network):
    made = made_checkpoint(name, tmp_path)
    network = loading.build(name, {needed: made}, "cpu")
    expected = torch.load(made)["params"]
    assert all(torch.equal(network.net.state_dict()[key], tensor) for key, tensor in expected.items())
    if name != "maniqa":
        image = pictures(1, 240)[0]
        assert np.isfinite(iqa.Scorer(name, network).one(image))
    assert no_network == []


def made_checkpoint(name, folder):
    """Tensors of the metric's network, drawn at random."""
    import pyiqa
    import timm

    real = timm.create_model
    try:
        timm.create_model = lambda *names, **options: real(*names, **options | {"pretrained": False})
        torch.manual_seed(0)
        net = pyiqa.create_metric(name, device="cpu", pretrained=False).net
    finally:
        timm.create_model = real
    torch.save({"params": net.state_dict()}, folder / "made.pth")
    return folder / "made.pth"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_accelerators_batches_give_the_scores_of_a_processor(rn50, small_input):
    images = pictures(3)
    there, here = (
        list(iqa.Scorer("clipiqa", loading.build("clipiqa", {"clip-rn50": rn50}, place), place=place).stream(images))
        for place in ("cuda", "cpu")
    )
    assert there == pytest.approx(here, abs=2e-3)  # its convolutions round to 10 bits
    alone = iqa.Scorer("clipiqa", loading.build("clipiqa", {"clip-rn50": rn50}, "cuda"), place="cuda")
    assert list(alone.stream(images[:1])) == there[:1]
