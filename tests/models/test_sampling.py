import itertools

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from models import sampling

SIZE = {"height_px": 256, "width_px": 128}


def test_euler_recovers_x0_when_the_velocity_is_exact():
    x0, x1 = torch.zeros(1, 4, 8), torch.ones(1, 4, 8)
    out = sampling.euler(lambda x_t, t: x1 - x0, x1, [1.0, 0.5, 0.0])
    torch.testing.assert_close(out, x0)


@pytest.mark.parametrize("rule", ["tokens", "released", "none"])
@pytest.mark.parametrize("start", [1.0, 0.6, 0.05])
def test_a_schedule_falls_from_its_start_to_zero_under_every_rule(rule, start):
    times = sampling.schedule(5, rule, start=start, **SIZE)
    assert times[0] == pytest.approx(start)
    assert times[-1] == 0
    assert len(times) == 6
    assert all(a > b for a, b in itertools.pairwise(times))


def test_a_partial_schedule_lies_on_the_curve_of_the_whole_one():
    whole = sampling.schedule(4, "tokens", **SIZE)
    assert sampling.schedule(2, "tokens", start=whole[2], **SIZE) == pytest.approx(whole[2:])


def test_the_tokens_rule_is_what_diffusers_sets_for_flux():
    theirs = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096
    )
    theirs.set_timesteps(sigmas=np.linspace(1.0, 1 / 28, 28), mu=sampling.shift_mu(16 * 8))
    assert sampling.schedule(28, "tokens", **SIZE) == theirs.sigmas.tolist()


def test_released_and_token_lengths_differ_as_published_at_1024():
    assert sampling.shift_length("tokens", 1024, 1024) == 4096
    assert sampling.shift_length("released", 1024, 1024) == 64


def test_the_anchor_weighs_most_at_first_and_the_extremes_hold_throughout():
    weights = [[sampling.anchor_weight(fidelity, t, 0.8) for t in (0.8, 0.4, 0.1)] for fidelity in (0.0, 0.5, 1.0)]
    assert weights == [[0, 0, 0], pytest.approx([0.5, 0.25, 0.5**8]), [1, 1, 1]]


def test_a_full_pull_ends_at_the_anchor_whatever_the_network_says():
    anchor, noise = torch.rand(1, 4, 8), torch.randn(1, 4, 8)
    out = sampling.euler(lambda x, t: sampling.toward(anchor, 1.0, torch.randn(1, 4, 8), x, t), noise, [0.8, 0.3, 0.0])
    torch.testing.assert_close(out, anchor)


@pytest.mark.parametrize(("steps", "start"), [(0, 1.0), (1, 0.0), (1, 1.01)])
def test_an_impossible_schedule_is_refused(steps, start):
    with pytest.raises(ValueError, match="at least 1 step"):
        sampling.schedule(steps, "none", start=start, **SIZE)
