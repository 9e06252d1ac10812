import pytest

from components.train.estimate import Forecast, duration
from components.train.reporter import Reporter
from tests.components.train.toy import toy_settings


def fed(forecast, updates, seconds=2.0):
    return [said for step in updates if (said := forecast.update(step, seconds))]


def test_the_estimate_comes_once_after_a_few_updates_and_leaves_the_first_ones_out():
    forecast = Forecast(toy_settings(steps=1000, processes=1, price_per_hour=3.6), begun_at=0)
    slow = [forecast.update(step, 100.0) for step in (1, 2)]
    assert slow == [None, None]
    (said,) = fed(forecast, range(3, 50))
    assert (said["steps_left"], said["seconds_left"]) == (993, 1986.0)
    assert said["cost"] == pytest.approx(1986 / 1000)
    assert said["text"] == "993 updates left: about 33 min on 1 process, 0.552 device hours, cost 1.99."


def test_without_a_price_there_is_no_cost_and_processes_multiply_the_hours():
    settings = toy_settings(steps=1000, processes=8)
    (said,) = fed(Forecast(settings, begun_at=100), range(101, 120))
    assert "cost" not in said
    assert said["device_hours"] == pytest.approx(8 * said["seconds_left"] / 3600)


def test_validations_and_checkpoints_are_added_when_they_are_known():
    forecast = Forecast(toy_settings(steps=107, validate_every_steps=10, checkpoint_every_steps=20), begun_at=0)
    (first,) = fed(forecast, range(1, 8))
    assert "validations come on top" in first["text"]
    assert forecast.pause("checkpoint", 4.0) is None
    second = forecast.pause("validation", 30.0)
    assert second["seconds_left"] == 100 * 2.0 + 10 * 30.0 + 5 * 4.0
    assert forecast.pause("validation", 30.0) is None


def test_a_run_that_is_over_is_not_estimated():
    assert fed(Forecast(toy_settings(steps=7), begun_at=0), range(1, 8)) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (119, "119 s"), (180, "3 min"), (7200, "2.0 h"), (86400 * 3, "3.0 days")]
)
def test_durations_have_the_unit_that_a_person_would_choose(seconds, text):
    assert duration(seconds) == text


def step(number, seconds=2.0, data_share=0.25):
    return {"step": number, "seconds": seconds, "data_share": data_share, "loss": 1.0}


def test_time_is_told_by_phase_and_arithmetic_as_a_share_of_the_device():
    heard = []
    report = Reporter(lambda event, **values: heard.append((event, values)), toy_settings(accumulation=2, peak_tflops=10.0))
    report.flops = int(4e12)
    with report.phase("features"):
        pass
    report("step", **step(1))
    report("checkpoint", step=1, seconds=0.5)
    report.account()
    update, spent = heard[0][1], heard[-1][1]["seconds"]
    assert (update["tflops"], update["flops_share"]) == (4.0, 0.4)
    assert {name: spent[name] for name in ("steps", "data wait", "checkpoint")} == {
        "steps": 1.5,
        "data wait": 0.5,
        "checkpoint": 0.5,
    }
    assert spent["imports"] > 0


def test_an_unknown_peak_gives_no_share():
    heard = []
    report = Reporter(lambda event, **values: heard.append(values), toy_settings())
    report.flops = 10
    report("step", **step(1))
    assert "flops_share" not in heard[0]
    assert "tflops" in heard[0]


def test_a_checkpoint_costs_what_it_holds_up_not_what_is_written_beside():
    report = Reporter(lambda event, **values: None, toy_settings())
    report("checkpoint", step=1, seconds=60.0, held_seconds=0.5)
    report("validation", step=1, seconds=3.0)
    assert (report.spent["checkpoint"], report.spent["validation"]) == (0.5, 3.0)
    assert report.forecast.pauses["checkpoint"] == [0.5]
