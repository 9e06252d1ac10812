import itertools

import pytest
import torch

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


def test_released_and_token_lengths_differ_as_published_at_1024():
    assert sampling.shift_length("tokens", 1024, 1024) == 4096
    assert sampling.shift_length("released", 1024, 1024) == 64


@pytest.mark.parametrize(("steps", "start"), [(0, 1.0), (1, 0.0), (1, 1.01)])
def test_an_impossible_schedule_is_refused(steps, start):
    with pytest.raises(ValueError, match="at least 1 step"):
        sampling.schedule(steps, "none", start=start, **SIZE)
