"""Parity with the released modules: run each unit of a directory of golden vectors and write what comes out.

    python -m models.parity DIR --out FILE.safetensors

DIR holds `index.json` (config), weights in the released layouts and one file of inputs per unit; see
tests/golden/README.md. Outputs are named `<unit>/<expected name>`, schedules `04_schedule/<case index>`. Where DIR also
holds what was expected, a table of the largest differences is printed, and the exit code says whether all are within
tolerance.

On Intel processors MKL computes exp differently in the last bit than where the vectors were made, and the time features
multiply that by 1000 (4e-5 in units 01 to 03). MKL_CBWR=COMPATIBLE in the environment takes the same path everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.bundle import FrozenParts
from models.colour import align, low_frequencies
from models.conditioner import ConditionBranch, Moment
from models.connector import connect
from models.golden import Golden, Tensors, read_golden
from models.latents import pack, unpack
from models.lucidflux import Condition, Prepared, prepare, run_backbone, velocity
from models.pixels import encoder_square, resized_lq
from models.prior import restore_lightly
from models.sampling import ShiftRule, euler, schedule

TOLERANCE: Mapping[str, float] = {
    "01_branch": 2e-5,
    "02_modulation": 2e-5,
    "03_flux": 2e-5,
    "04_schedule": 2e-6,
    "05_denoise": 2e-4,
    "06_connector": 2e-5,
    "07_siglip_preprocess": 0.0,
    "08_wavelet": 2e-5,
    "09_swinir": 2e-5,
    "10_vae": 2e-5,
    "11_end_to_end": 2e-4,
}
"""Largest allowed absolute difference of each unit, float32 on a processor."""
CONTROL_INDICES = (0, 1, 4, 18)
"""Block indices of unit 02 where no expected tensor names them."""


def _grid(ids_BTD: Tensor) -> tuple[int, int]:
    return int(ids_BTD[..., 1].max()) + 1, int(ids_BTD[..., 2].max()) + 1


def _moment(golden: Golden, inputs: Tensors) -> Moment:
    guidance_B = inputs["guidance"] if golden.config.backbone.guidance_embeds else None
    return Moment(t_B=inputs["timesteps"], guidance_B=guidance_B, pooled_BD=inputs["vec"])


def branch(golden: Golden) -> Tensors:
    """Unit 01: both condition branches."""
    inputs = golden.inputs("01_branch")
    found: Tensors = {}
    names = (("hint", "expected_residual_{}"), ("hint_ldr", "expected_residual_ldr_{}"))
    for (_, module, _), (hint, name) in zip(golden.adapter.streams(), names, strict=True):
        assert isinstance(module, ConditionBranch)
        found.setdefault("expected_hint_features", module.input_hint_block(inputs[hint]))
        tokens = module.hint_tokens(inputs[hint])
        residuals = module(inputs["img"], tokens, inputs["txt"], _moment(golden, inputs), _grid(inputs["img_ids"]))
        found |= {name.format(index): residual for index, residual in enumerate(residuals)}
    return found


def _prepared(golden: Golden, hints: tuple[Tensor, Tensor], context_BSD: Tensor, grid: tuple[int, int]) -> Prepared:
    tokens = [branch.hint_tokens(hint) for (_, branch, _), hint in zip(golden.adapter.streams(), hints, strict=True)]
    return Prepared(tokens[0], tokens[1], context_BSD, grid)


def modulation(golden: Golden) -> Tensors:
    """Unit 02: modulation for single blocks, and the expansion over all."""
    inputs, beside = golden.inputs("02_modulation"), golden.inputs("01_branch")
    found: Tensors = {}
    for ours, theirs in (("modulation_lq", "lq"), ("modulation_lrp", "ldr")):
        start = f"expected_modulation_{theirs}_idx"
        indices = [int(name.removeprefix(start)) for name in golden.listed("02_modulation", start)]
        for index in indices or CONTROL_INDICES:
            found[f"{start}{index}"] = getattr(golden.adapter, ours)(inputs["x"], inputs["timesteps"], index)
    prepared = _prepared(golden, (beside["hint"], beside["hint_ldr"]), beside["txt"], _grid(beside["img_ids"]))
    control = golden.adapter.control(beside["img"], prepared, beside["txt"], _moment(golden, beside))
    return found | {"expected_dual": torch.stack(control)}


def flux(golden: Golden) -> Tensors:
    """Unit 03: the backbone with and without control."""
    inputs = golden.inputs("03_flux")
    prepared = Prepared(None, None, inputs["txt"], _grid(inputs["img_ids"]))
    frozen = golden.frozen(inputs)
    moment = _moment(golden, inputs)
    return {
        "expected_velocity": run_backbone(frozen, inputs["img"], prepared, moment, list(inputs["control"])),
        "expected_velocity_nocontrol": run_backbone(frozen, inputs["img"], prepared, moment, None),
    }


def schedules(golden: Golden) -> Tensors:
    """Unit 04: both shift rules."""
    found = {}
    for index, case in enumerate(json.loads((golden.folder / "04_schedule.json").read_text())["cases"]):
        rule: ShiftRule = "released" if case["mode"] == "official_quirk" else "tokens"
        times = schedule(case["num_steps"], rule, height_px=case["height"], width_px=case["width"])
        found[str(index)] = torch.tensor(times, dtype=torch.float64)
    return found


def _denoise(golden: Golden, frozen: FrozenParts, inputs: Tensors, prepared: Prepared) -> Tensor:
    height, width = (side * golden.config.latent.downscale for side in inputs["noise"].shape[-2:])
    times = inputs.get("timesteps")
    steps = schedule(golden.sizes["num_steps"], "released", height_px=height, width_px=width) if times is None else times.tolist()
    x1_BTD = pack(inputs["noise"], golden.config.latent.packing)
    guidance = float(inputs["guidance"].reshape(-1)[0])

    def field(x_BTD: Tensor, t: float) -> Tensor:
        return velocity(golden.adapter, frozen, x_BTD, torch.full((len(x_BTD),), t), prepared, guidance)

    return euler(field, x1_BTD, steps)


def denoise(golden: Golden) -> Tensors:
    """Unit 05: all steps of the sampler."""
    inputs = golden.inputs("05_denoise")
    token_px = golden.config.latent.token_px
    grid = (inputs["hint_lq"].shape[-2] // token_px, inputs["hint_lq"].shape[-1] // token_px)
    context = torch.cat([inputs["txt"], inputs["siglip_tokens"]], dim=1)
    prepared = _prepared(golden, (inputs["hint_lq"], inputs["hint_ldr"]), context, grid)
    tokens = _denoise(golden, golden.frozen(inputs), inputs, prepared)
    return {"expected_tokens": tokens, "expected_latent": unpack(tokens, *grid, golden.config.latent.packing)}


def connector(golden: Golden) -> Tensors:
    """Unit 06."""
    return {"expected": connect(golden.adapter.connector, golden.inputs("06_connector")["siglip_features"])}


def preprocess(golden: Golden) -> Tensors:
    """Unit 07: what the image encoder sees."""
    found: Tensors = {}
    half = golden.listed("07_siglip_preprocess", "expected") or ["expected_a_bf16"]
    for name, image in golden.inputs("07_siglip_preprocess").items():
        expected = name.replace("image", "expected")
        found[expected] = encoder_square(image, golden.config.encoder.image_px)
        if f"{expected}_bf16" in half:
            found[f"{expected}_bf16"] = found[expected].bfloat16()
    return found


def wavelet(golden: Golden) -> Tensors:
    """Unit 08: colour alignment."""
    inputs = golden.inputs("08_wavelet")
    content, style = inputs["content"][None], inputs["style"][None]
    low = low_frequencies(content)
    found = {"expected": align(content, style), "expected_high": content - low, "expected_low": low}
    return {name: value[0] for name, value in found.items()}


def swinir(golden: Golden) -> Tensors:
    """Unit 09: the light restorer, not clamped."""
    images = golden.inputs("09_swinir")
    return {name.replace("image", "expected"): golden.prior(image) for name, image in images.items()}


def vae(golden: Golden) -> Tensors:
    """Unit 10: the image codec in both directions."""
    inputs, latent = golden.inputs("10_vae"), golden.config.latent
    mean, logvar = golden.autoencoder.encode(inputs["image"]).latent_dist.parameters.chunk(2, dim=1)
    return {
        "expected_image": golden.autoencoder.decode(inputs["latent"] / latent.scale + latent.shift).sample,
        "expected_mean": mean,
        "expected_logvar": logvar,
        "expected_latent": latent.scale * (mean - latent.shift),
    }


def end_to_end(golden: Golden) -> Tensors:
    """Unit 11: from the bytes of the LQ to the restored picture."""
    inputs = golden.inputs("11_end_to_end")
    frozen = golden.frozen(inputs, autoencoder=golden.autoencoder, encoder=golden.encoder, prior=golden.prior)
    height, width = (side * golden.config.latent.downscale for side in inputs["noise"].shape[-2:])
    lq_pm1 = resized_lq(inputs["lq_uint8"], height, width)
    lrp_01 = restore_lightly(golden.prior, golden.config.prior, (lq_pm1 + 1) / 2)
    features = frozen.features(lrp_01)
    prepared = prepare(golden.adapter, frozen, Condition(lq_pm1, 2 * lrp_01 - 1, features, height, width))
    tokens = _denoise(golden, frozen, inputs, prepared)
    decoded = frozen.decode(tokens, height, width)
    return {
        "expected_lq_resized": lq_pm1,
        "expected_lrp": lrp_01,
        "expected_siglip_pixels": encoder_square(lrp_01, golden.config.encoder.image_px),
        "expected_siglip_features": features,
        "expected_siglip_tokens": connect(golden.adapter.connector, features),
        "expected_tokens": tokens,
        "expected_decoded": decoded,
        "expected_result": align((decoded.clamp(-1, 1) + 1) / 2, lrp_01).clamp(0, 1)[0],
    }


UNITS: Mapping[str, Callable[[Golden], Tensors]] = {
    "01_branch": branch,
    "02_modulation": modulation,
    "03_flux": flux,
    "04_schedule": schedules,
    "05_denoise": denoise,
    "06_connector": connector,
    "07_siglip_preprocess": preprocess,
    "08_wavelet": wavelet,
    "09_swinir": swinir,
    "10_vae": vae,
    "11_end_to_end": end_to_end,
}
"""Unit -> what computes its outputs."""


@torch.no_grad()
def run(folder: Path) -> Tensors:
    """Compute every unit whose file is there; one thread, as the golden vectors were made.

    Raises:
        ValueError: there is no index, or weights do not fit its config.
    """
    golden = read_golden(folder)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found: Tensors = {}
        for unit, compute in UNITS.items():
            if any((folder / f"{unit}{suffix}").is_file() for suffix in (".safetensors", ".json")):
                found |= {f"{unit}/{name}": value.contiguous() for name, value in compute(golden).items()}
        return found
    finally:
        torch.set_num_threads(before)


def expected(folder: Path) -> Tensors:
    """What a directory expects, by the names of `run`; empty where that was taken out."""
    found: Tensors = {}
    for unit in UNITS:
        if (folder / f"{unit}.safetensors").is_file():
            tensors = load_file(folder / f"{unit}.safetensors").items()
            found |= {f"{unit}/{name}": value for name, value in tensors if name.startswith("expected")}
    if (folder / "04_schedule.json").is_file():
        cases = json.loads((folder / "04_schedule.json").read_text())["cases"]
        times = {str(index): case.get("timesteps") for index, case in enumerate(cases)}
        found |= {f"04_schedule/{index}": torch.tensor(t, dtype=torch.float64) for index, t in times.items() if t is not None}
    return found


def difference(ours: Tensor | None, theirs: Tensor) -> float:
    """Largest absolute difference; infinite where shapes differ or ours is not there."""
    if ours is None or ours.shape != theirs.shape:
        return float("inf")
    return float((ours.double() - theirs.double()).abs().max())


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when everything that is expected is within tolerance."""
    parser = argparse.ArgumentParser(prog="python -m models.parity", description="Compare the network with golden vectors.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="directory with index.json, weights and inputs")
    parser.add_argument("--out", metavar="FILE", type=Path, help="safetensors file for the outputs")
    given = parser.parse_args(arguments)
    try:
        outputs = run(given.folder)
    except ValueError as refused:
        print(f"parity: {refused}", file=sys.stderr)
        return 2
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        save_file(outputs, given.out)
    within = True
    for name, theirs in expected(given.folder).items():
        error = difference(outputs.get(name), theirs)
        allowed = TOLERANCE[name.partition("/")[0]]
        within &= error <= allowed
        print(f"{name:<50} {error:10.2e}  allowed {allowed:.0e}  {'ok' if error <= allowed else 'DIFFERS'}")
    print(f"{len(outputs)} outputs{f' written to {given.out}' if given.out else ''}.")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
