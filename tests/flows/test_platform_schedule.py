"""A month of prefect.yaml's schedules, expanded by Prefect's own schedule objects, without a clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.server.schemas.schedules import CronSchedule

from components.errors import SettingsError
from flows.operations import deployments
from flows.operations.settings import PlatformSettings

CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 15, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 10, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 2, 20, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 20, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 9, 20, tzinfo=UTC)),
    ("America/Nuuk", datetime(2026, 3, 15, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 3, 15, tzinfo=UTC)),
]
"""Months in which clocks change, and one in which they do not."""
DAYS = 31


def schedules(**settings):
    made = deployments.configured(PlatformSettings(**settings), {})
    return {schedule["slug"]: schedule for one in made["deployments"] for schedule in one["schedules"]}


def month(schedule, start):
    cron = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    return asyncio.run(cron.get_dates(n=100, start=start, end=start + timedelta(days=DAYS)))


@pytest.mark.parametrize(("zone", "start"), CHANGES)
@pytest.mark.parametrize(("slug", "clock"), [("retrain", "05:00"), ("nightly", "20:00")])
def test_a_schedule_keeps_its_time_of_day_over_a_change_of_the_clocks(zone, start, slug, clock):
    dates = month(schedules(time_zone=zone)[slug], start.replace(tzinfo=ZoneInfo(zone)))
    local = [date.astimezone(ZoneInfo(zone)) for date in dates]
    assert len(dates) == DAYS
    assert {f"{date:%H:%M}" for date in local} == {clock}
    assert len({date.date() for date in local}) == DAYS


def test_the_times_of_day_exist_once_a_day_in_every_zone():
    """Where clocks change in the evening, as on Easter Island, a time can be left out or come twice."""
    wrong = []
    for zone in map(ZoneInfo, sorted(available_timezones())):
        days = [datetime(2026, 1, 1, tzinfo=zone) + timedelta(days=day) for day in range(366)]
        for day in (one for one, after in pairwise(days) if one.utcoffset() != after.utcoffset()):
            for moment in (day.replace(hour=5), day.replace(hour=20)):
                again = moment.astimezone(UTC).astimezone(zone)
                if again.hour != moment.hour or moment.utcoffset() != moment.replace(fold=1).utcoffset():
                    wrong.append(moment)
    assert wrong == []


def test_a_cron_of_the_settings_is_expanded_as_it_says():
    dates = month(schedules(retrain_cron="30 4 * * 0", time_zone="Europe/Berlin")["retrain"], datetime(2026, 3, 15, tzinfo=UTC))
    assert [f"{date.astimezone(UTC):%d %H:%M}" for date in dates] == ["15 03:30", "22 03:30", "29 02:30", "05 02:30", "12 02:30"]


def test_the_nightly_run_is_inactive_until_it_knows_what_to_restore():
    assert schedules()["nightly"]["active"] is False
    assert schedules()["retrain"]["active"] is True
    told = schedules(restore_input="s3://in/photos", restore_output="s3://out/photos")["nightly"]
    assert told["active"] is True
    assert told["parameters"] == {"input_uri": "s3://in/photos", "output_uri": "s3://out/photos"}
    with pytest.raises(SettingsError, match="restore_output"):
        schedules(restore_input="s3://in/photos")


def test_every_schedule_is_one_that_prefect_takes():
    for name, schedule in schedules(time_zone="Europe/Berlin").items():
        cron = {"cron": schedule["cron"], "timezone": schedule["timezone"]}
        assert DeploymentScheduleCreate(schedule=cron, active=schedule["active"], slug=name).schedule.timezone == "Europe/Berlin"


def test_deployments_say_how_runs_at_once_are_met():
    limits = {one["name"]: one["concurrency_limit"] for one in deployments.read()["deployments"]}
    assert limits["retrain"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert limits["promote"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert set(limits) == {"retrain", "promote", "restore-batch"}


def test_settings_reach_the_flows_and_change_the_version_of_what_they_change():
    plain = {one["name"]: one for one in deployments.configured(PlatformSettings(), {})["deployments"]}
    given = deployments.parameters("paper", ["train.steps=3"])
    told = {
        one["name"]: one
        for one in deployments.configured(PlatformSettings(retrain_sources=("s3://new",)), given, pool="gpu")["deployments"]
    }
    assert told["retrain"]["parameters"] == {
        "sources": ["s3://new"],
        "only_new_data": True,
        "profile": "paper",
        "overrides": ["train.steps=3"],
    }
    assert [told[name]["work_pool"]["name"] for name in ("retrain", "promote", "restore-batch")] == ["gpu", "cpu", "gpu"]
    assert all(plain[name]["version"] != told[name]["version"] for name in plain)
    again = {one["name"]: one["version"] for one in deployments.configured(PlatformSettings(), {})["deployments"]}
    assert again == {name: one["version"] for name, one in plain.items()}


def test_the_file_itself_is_what_prefect_reads():
    assert yaml.safe_load(deployments.SOURCE.read_text())["name"] == "lucidflux"
