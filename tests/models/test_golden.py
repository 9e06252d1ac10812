"""Numbers of the released modules; see tests/golden/README.md for how they were made."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import colour, convert
from models.conditioner import Moment
from models.connector import connect
from models.lucidflux import Prepared, run_backbone, velocity
from models.sampling import euler, schedule, shift_length, shift_mu

GOLDEN = Path(__file__).parents[1] / "golden"
GRID = (8, 4)


def golden(name):
    return load_file(GOLDEN / f"{name}.safetensors")


def close(ours, theirs, atol):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def moment(unit):
    return Moment(t_B=unit["timesteps"], guidance_B=unit["guidance"], pooled_BD=unit["vec"])


@pytest.mark.parametrize(("branch", "hint", "expected"), [
    ("condition_lq", "hint", "expected_residual_{}"),
    ("condition_lrp", "hint_ldr", "expected_residual_ldr_{}"),
])  # fmt: skip
def test_a_branch_gives_the_released_residuals(golden_adapter, branch, hint, expected):
    unit = golden("01_branch")
    module = getattr(golden_adapter, branch)
    residuals = module(unit["img"], module.hint_tokens(unit[hint]), unit["txt"], moment(unit), GRID)
    for index, residual in enumerate(residuals):
        close(residual, unit[expected.format(index)], 2e-5)


def test_the_hint_convolutions_give_the_released_features(golden_adapter):
    unit = golden("01_branch")
    close(golden_adapter.condition_lq.input_hint_block(unit["hint"]), unit["expected_hint_features"], 2e-5)


@pytest.mark.parametrize("layer", [0, 1, 4, 18])
@pytest.mark.parametrize(("ours", "theirs"), [("modulation_lq", "lq"), ("modulation_lrp", "ldr")])
def test_modulation_matches_at_every_block_index(golden_adapter, ours, theirs, layer):
    unit = golden("02_modulation")
    result = getattr(golden_adapter, ours)(unit["x"], unit["timesteps"], layer)
    close(result, unit[f"expected_modulation_{theirs}_idx{layer}"], 2e-5)


def test_control_is_the_sum_of_both_modulated_branches_for_each_double_block(golden_adapter):
    unit = golden("01_branch")
    prepared = Prepared(
        golden_adapter.condition_lq.hint_tokens(unit["hint"]),
        golden_adapter.condition_lrp.hint_tokens(unit["hint_ldr"]),
        unit["txt"],
        GRID,
    )
    control = golden_adapter.control(unit["img"], prepared, unit["txt"], moment(unit))
    close(torch.stack(control), golden("02_modulation")["expected_dual"], 2e-5)


@pytest.mark.parametrize(("with_control", "expected"), [(True, "expected_velocity"), (False, "expected_velocity_nocontrol")])
def test_the_backbone_gives_the_released_velocity(golden_frozen, with_control, expected):
    unit = golden("03_flux")
    prepared = Prepared(None, None, unit["txt"], GRID)
    control = list(unit["control"]) if with_control else None
    close(run_backbone(golden_frozen, unit["img"], prepared, moment(unit), control), unit[expected], 2e-5)


@pytest.mark.parametrize(
    "case",
    json.loads((GOLDEN / "04_schedule.json").read_text())["cases"],
    ids=lambda c: f"{c['mode']}-{c['width']}x{c['height']}-{c['num_steps']}",
)
def test_the_schedule_follows_both_shift_rules(case):
    rule = "released" if case["mode"] == "official_quirk" else "tokens"
    size = {"height_px": case["height"], "width_px": case["width"]}
    assert shift_length(rule, **size) == case["image_seq_len"]
    assert shift_mu(case["image_seq_len"]) == pytest.approx(case["mu"], abs=1e-9)
    assert schedule(case["num_steps"], rule, **size) == pytest.approx(case["timesteps"], abs=2e-6)


@torch.no_grad()
def test_four_steps_of_the_whole_network_end_at_the_released_tokens(golden_frozen, golden_adapter):
    unit = golden("05_denoise")
    golden_frozen.prompt.tokens_SD.copy_(unit["txt"][0])
    golden_frozen.prompt.pooled_D.copy_(unit["vec"][0])
    prepared = Prepared(
        golden_adapter.condition_lq.hint_tokens(unit["hint_lq"]),
        golden_adapter.condition_lrp.hint_tokens(unit["hint_ldr"]),
        torch.cat([unit["txt"], unit["siglip_tokens"]], dim=1),
        GRID,
    )
    guidance = float(unit["guidance"])
    result = euler(
        lambda x, t: velocity(golden_adapter, golden_frozen, x, torch.full((1,), t), prepared, guidance),
        unit["noise_tokens"],
        schedule(4, "released", height_px=128, width_px=64),
    )
    close(result, unit["expected_tokens"], 2e-4)


def test_the_connector_gives_the_released_tokens(golden_adapter):
    unit = golden("06_connector")
    close(connect(golden_adapter.connector, unit["siglip_features"]), unit["expected"], 2e-5)


def test_colour_alignment_gives_the_released_picture():
    unit = golden("08_wavelet")
    result = colour.align(unit["content"][None], unit["style"][None])
    close(result[0], unit["expected"], 2e-5)
    close(colour.low_frequencies(unit["content"][None])[0], unit["expected_low"], 2e-5)


def test_a_key_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="no_such_block"):
        convert.backbone_state({"no_such_block.weight": torch.zeros(1)})
