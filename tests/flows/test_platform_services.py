"""What is started, with which ports, and who may reach it."""

import socket

import pytest

from components.errors import SettingsError, StorageError, UnknownName
from flows.operations import automations, ports, record, services, status
from flows.settings import REPOSITORY
from flows.workspace import open_workspace


def opened(tmp_path, *overrides):
    return open_workspace("tiny", overrides, str(tmp_path))


def planned(workspace):
    return {plan.name: plan for plan in services.plans(workspace, ports.prepared(workspace))}


def test_servers_listen_on_loopback(tmp_path):
    plans = planned(opened(tmp_path))
    for name in ("prefect", "mlflow"):
        words = plans[name].words
        assert words[words.index("--host") + 1] == "127.0.0.1"


def test_a_host_that_others_reach_needs_a_password(tmp_path, monkeypatch):
    monkeypatch.delenv(services.PREFECT_PASSWORD, raising=False)
    workspace = opened(tmp_path, "platform.host=0.0.0.0")
    with pytest.raises(SettingsError, match="PREFECT_SERVER_API_AUTH_STRING"):
        planned(workspace)
    monkeypatch.setenv(services.PREFECT_PASSWORD, "ann:secret")
    plans = planned(workspace)
    assert plans["prefect"].address.startswith("http://127.0.0.1:")
    assert plans["worker-cpu"].environment[services.CLIENT_PASSWORD] == "ann:secret"
    assert not any("secret" in word for plan in plans.values() for word in plan.words)


def test_ports_are_chosen_once_and_kept(tmp_path):
    first = ports.prepared(opened(tmp_path)).ports
    assert len(set(first.values())) == 2
    assert ports.prepared(opened(tmp_path)).ports == first
    assert record.load(tmp_path).ports == first


def test_a_port_that_a_stranger_took_is_replaced(tmp_path):
    first = ports.prepared(opened(tmp_path)).ports
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first["prefect"]))
        stranger.listen()
        second = ports.prepared(opened(tmp_path)).ports
    assert second["prefect"] != first["prefect"]
    assert second["mlflow"] == first["mlflow"]


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(tmp_path):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(SettingsError, match="in use"):
            ports.prepared(opened(tmp_path, f"platform.prefect_port={stranger.getsockname()[1]}"))


def test_two_settings_take_everything_to_postgresql_and_s3(tmp_path):
    workspace = opened(
        tmp_path, "backend.state=postgresql+psycopg://ann@db:5432/lucid?sslmode=require", "backend.objects=s3://b/p"
    )
    plans = planned(workspace)
    assert plans["prefect"].environment["PREFECT_API_DATABASE_CONNECTION_URL"] == (
        "postgresql+asyncpg://ann@db:5432/lucid_prefect?sslmode=require"
    )
    assert (
        plans["mlflow"].environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://ann@db:5432/lucid_mlflow?sslmode=require"
    )
    assert plans["mlflow"].environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == "s3://b/p/mlflow"
    with pytest.raises(SettingsError, match="PostgreSQL"):
        planned(opened(tmp_path, "backend.state=mysql://db/lucid"))


def test_an_mlflow_of_somebody_else_is_not_started(tmp_path):
    assert "mlflow" not in planned(opened(tmp_path, "backend.mlflow=http://mlflow.example"))


def test_nothing_of_another_prefect_reaches_the_services(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere/api")
    plans = planned(opened(tmp_path))
    assert "PREFECT_API_URL" not in plans["prefect"].environment
    assert plans["worker-cpu"].environment["PREFECT_API_URL"] == plans["prefect"].address


def test_a_home_without_a_platform_says_how_to_start_one(lucidflux):
    done = lucidflux("status")
    assert done.exit_code == 1
    assert "lucidflux up" in done.stdout
    assert "Nothing was running" in lucidflux("down").stdout


def test_a_service_that_ended_is_an_alarm(tmp_path):
    gone = record.Service(pid=2**22 - 1, started=0, words=("-m", "prefect"), address="http://127.0.0.1:1/api")
    record.save(tmp_path, record.Platform(token="t", services={"prefect": gone}))
    seen = status.look(tmp_path)
    assert [service.state for service in seen.services] == ["down"]
    assert "service-down" in {alarm.alarm for alarm in seen.alarms}


def test_a_broken_record_is_a_sentence(tmp_path, lucidflux, home):
    home.mkdir()
    (home / record.NAME).write_text("{")
    with pytest.raises(StorageError, match="restore-state"):
        record.load(home)
    assert lucidflux("status").exit_code == 1


def test_an_unknown_log_is_a_sentence(tmp_path):
    with pytest.raises(UnknownName):
        status.log(tmp_path, "prefect")


def test_the_runbook_says_what_each_alarm_and_automation_means():
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    assert [alarm for alarm in status.ALARMS if f"| `{alarm}` |" not in page] == []
    named = (automations.DEAD, automations.STUCK, automations.RESTART, automations.STORM, automations.JUDGE)
    assert [name for name in named if f"| {name.removeprefix('lucidflux: ')} |" not in page] == []
