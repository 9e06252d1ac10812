"""compose.yaml: the specification's schema, no password that everybody knows, nothing that other machines reach by default."""

import json
import os
import re
import subprocess
from importlib import resources

import jsonschema
import pytest
import yaml

from flows.settings import FROM_ENVIRONMENT, load
from tests.infra.kustomize import render
from tests.infra.stack import FILE, ROOT, TEXT, filled, made_by_secrets_sh

STACK = yaml.safe_load(TEXT)
SERVICES = STACK["services"]
ONCE = {"buckets", "deployments"}
"""They end when they are done."""
SCHEMA = json.loads((resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)


def worker_environment():
    return yaml.safe_load(filled(TEXT, made_by_secrets_sh()))["services"]["worker-cpu"]["environment"]


def errors(stack):
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in VALIDATOR.iter_errors(stack)]


def test_the_file_passes_the_schema_of_the_compose_specification():
    assert errors(STACK) == []


def test_the_schema_refuses_a_misspelled_key():
    assert errors({"services": {"a": {"image": "b", "helthcheck": {}}}})


def test_it_cannot_be_started_without_secrets_and_says_which_is_missing():
    made = made_by_secrets_sh()
    assert yaml.safe_load(filled(TEXT, made))["services"]
    asked = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert asked == set(made)
    for name in asked:
        with pytest.raises(KeyError, match=f"set {name}, see docs/deployment.md"):
            filled(TEXT, made | {name: ""})


def test_no_variable_that_is_secret_has_a_default():
    assert not [name for name in re.findall(r"\$\{(\w+):-", TEXT) if re.search("PASSWORD|SECRET|KEY|AUTH", name)]


def test_secrets_are_long_random_and_different_each_time():
    first, second = made_by_secrets_sh(), made_by_secrets_sh()
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)
    assert all(len(text) >= 32 and re.fullmatch(r"[\w:]+", text) for text in first.values())


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_unless_told_otherwise(name):
    for port in SERVICES[name].get("ports", ()):
        assert filled(port, {}).startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_limited_watched_and_started_again(name):
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"]["options"]["max-size"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
        assert "restart" not in service
    else:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert service["restart"] == "unless-stopped"
    image = service["image"].rpartition("/")[2]
    assert re.search(r":[-\w.]*\d", image), f"{image} names no version"


def test_every_volume_config_and_dependency_exists():
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert {used["source"] for used in service.get("configs", ())} <= set(STACK["configs"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (FILE.parent / source).exists() if source.startswith(".") else source in STACK["volumes"], volume
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert set(STACK["volumes"]) <= mounted


def test_the_worker_s_settings_are_those_of_the_command_line(monkeypatch):
    environment = worker_environment()
    ours = {name: text for name, text in environment.items() if name in FROM_ENVIRONMENT}
    unknown = {name for name in environment if name.startswith("LUCIDFLUX_")} - set(ours)
    assert unknown == {"LUCIDFLUX_WEIGHTS"}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    backend = load("tiny").backend
    assert {name: getattr(backend, FROM_ENVIRONMENT[name]) for name in ours} == ours
    assert backend.state == "postgresql+psycopg://lucidflux@postgres:5432/lucidflux"


def test_settings_name_services_and_their_ports():
    opened = {"postgres": "5432", "objects": "8333", "mlflow": "5000", "prefect": "4200", "pushgateway": "9091"}
    named = {
        (host, port)
        for service in yaml.safe_load(filled(TEXT, made_by_secrets_sh()))["services"].values()
        for text in [*map(str, service.get("environment", {}).values()), *map(str, service.get("command", ()))]
        for host, port in re.findall(r"(?:://|@)(?:[\w]+@)?([\w.]+):(\d+)", text)
    }
    assert named - {("127.0.0.1", "4200")} <= set(opened.items())
    for name in ("objects", "mlflow", "prefect"):
        assert any(port.endswith(f":{opened[name]}") for port in SERVICES[name]["ports"])


def test_databases_are_made_for_whoever_asks_for_one():
    script = (FILE.parent / "databases.sh").read_text()
    made = dict(re.findall(r'^make (\w+) "\$(\w+)"', script, re.M))
    assert set(re.findall(r"@postgres:5432/(\w+)", TEXT)) == set(made)
    assert set(made.values()) < set(SERVICES["postgres"]["environment"])
    # `lucidflux up` names its databases after the one of backend.state
    assert set(made) == {"lucidflux", "lucidflux_prefect", "lucidflux_mlflow"}


def test_servers_ask_for_a_password():
    assert "--app-name=basic-auth" in SERVICES["mlflow"]["command"]
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in SERVICES["mlflow"]["environment"]
    assert "PREFECT_SERVER_API_AUTH_STRING" in SERVICES["prefect"]["environment"]
    identities = json.loads(filled(STACK["configs"]["s3"]["content"], made_by_secrets_sh()))["identities"]
    assert [len(one["credentials"]) for one in identities] == [1]


def test_mlflow_answers_to_the_names_that_are_used():
    (allowed,) = [word for word in SERVICES["mlflow"]["command"] if word.startswith("--allowed-hosts=")]
    hosts = filled(allowed, {}).partition("=")[2].split(",")
    assert {"mlflow:5000", "127.0.0.1:5000"} <= set(hosts)
    assert "*" not in hosts


def test_a_gpu_is_asked_for_by_the_profile_gpu_alone():
    asking = {name for name, service in SERVICES.items() if "reservations" in service["deploy"]["resources"]}
    assert asking == {name for name, service in SERVICES.items() if service.get("profiles") == ["gpu"]} == {"worker-gpu"}


@pytest.mark.parametrize("script", sorted((ROOT / "infra").rglob("*.sh"), key=str), ids=lambda path: path.name)
def test_scripts_are_whole_and_can_be_run(script):
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", script], check=False).returncode == 0
    assert os.access(script, os.X_OK)


def test_kubernetes_and_compose_give_the_same_settings():
    (theirs,) = [
        one["data"]
        for one in render(ROOT / "infra/kubernetes/overlays/self-contained")
        if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "lucidflux-settings")
    ]
    ours = worker_environment()
    assert {name: text for name, text in ours.items() if name in theirs} == theirs
    assert {name for name in ours if name in FROM_ENVIRONMENT} == {name for name in theirs if name in FROM_ENVIRONMENT}


def test_deployments_go_to_work_pools_that_are_made():
    wanted = {one["work_pool"]["name"] for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    script, *made = SERVICES["deployments"]["command"][1:]
    assert (ROOT / script).is_file()
    assert wanted <= set(made)
    workers = {
        word.partition("=")[2]
        for service in SERVICES.values()
        for word in service.get("command", ())
        if word.startswith("--pool=")
    }
    assert workers == set(made)
    assert wanted <= {path.stem for path in (ROOT / "infra/kubernetes/work-pools").glob("*.json")}
