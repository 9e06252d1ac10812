"""The Kubernetes files: strict schemas, references that meet something, and the rules that every pod keeps."""

import json
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from flows.settings import FROM_ENVIRONMENT, load
from tests.infra.kustomize import containers, pod, render
from tests.infra.stack import made_by_secrets_sh

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "infra" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""Oldest and newest cluster that the files are written for."""
SECRETS = set(made_by_secrets_sh())


@pytest.fixture(params=OVERLAYS)
def objects(request):
    return render(KUBERNETES / "overlays" / request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_passes_the_strict_schema(objects, version):
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_strict_schema_refuses_a_misspelled_field():
    (wrong, *_) = [one for one in render(KUBERNETES / "overlays/managed") if one["kind"] == "Deployment"]
    wrong["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; it is kustomize")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_makes_the_same_of_an_overlay(overlay):
    made = subprocess.run(["kubectl", "kustomize", KUBERNETES / "overlays" / overlay], capture_output=True, text=True, check=True)
    name = lambda one: (one["kind"], one["metadata"]["name"])  # noqa: E731
    assert sorted(yaml.safe_load_all(made.stdout), key=name) == sorted(render(KUBERNETES / "overlays" / overlay), key=name)


def test_no_file_is_left_out():
    listed = {
        (folder.parent / name).resolve()
        for folder in KUBERNETES.rglob("kustomization.yaml")
        for name in yaml.safe_load(folder.read_text())["resources"]
    }
    assert {path.resolve() for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"} <= listed


def test_every_object_is_there_once(objects):
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def test_selectors_find_their_pods(objects):
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in objects if pod(one)]
    for template in (KUBERNETES / "work-pools").glob("*.json"):
        manifest = json.loads(template.read_text())["job_configuration"]["job_manifest"]
        labels.append(manifest["spec"]["template"]["metadata"]["labels"] | {"batch.kubernetes.io/job-completion-index": "0"})
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            assert one["spec"]["selector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        for wanted in _selected(one):
            assert any(wanted.items() <= found.items() for found in labels), f"{one['metadata']['name']} selects nobody: {wanted}"


def _selected(one):
    """Labels by which a service, a budget or a policy names pods."""
    spec = one.get("spec", {})
    if one["kind"] == "Service":
        yield spec["selector"]
    if one["kind"] == "PodDisruptionBudget":
        yield spec["selector"]["matchLabels"]
    if one["kind"] == "NetworkPolicy":
        peers = [peer for rule in spec.get("ingress", ()) for peer in rule["from"]]
        for selector in [spec["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            yield selector.get("matchLabels", {})


def test_a_service_reaches_a_port_that_is_open(objects):
    for service in [one for one in objects if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None"]:
        wanted = service["spec"]["selector"]
        (target,) = [
            one for one in objects if pod(one) and wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        opened = {port["name"]: port["containerPort"] for container in containers(target) for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert opened[port["targetPort"]] == port["port"]


def test_an_address_in_the_settings_is_a_service_or_of_a_provider(objects):
    services = {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}
    text = json.dumps([one for one in objects if pod(one) or one["kind"] == "ConfigMap"])
    hosts = {
        word.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
        for word in text.replace('"', " ").replace("\\n", " ").replace("=http", " http").replace("=post", " post").split()
        if word.startswith(("http://", "postgresql"))
    }
    assert hosts <= services | {"db.example.com", "127.0.0.1"}


def test_secrets_are_references_and_every_one_is_made_by_secrets_sh(objects):
    for one in objects:
        assert one["kind"] != "Secret"
        for container in containers(one):
            for variable in container.get("env", ()):
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                assert secret is None or (secret["name"] == "lucidflux-secrets" and secret["key"] in SECRETS)
                looks_secret = variable["name"].endswith(
                    ("PASSWORD", "AUTH_STRING", "SECRET_ACCESS_KEY", "ACCESS_KEY_ID", "SERVER_SECRET_KEY")
                )
                assert secret is not None or not looks_secret, variable["name"]


def test_every_pod_is_confined(objects):
    for one in objects:
        started = pod(one)
        if started is None:
            continue
        context = started["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"] > 0) == (True, True)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert started["automountServiceAccountToken"] is ("serviceAccountName" in started)
        for container in started["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}
            assert one["kind"] == "Job" or "livenessProbe" in container
            assert container["image"].partition(":")[2] not in ("", "latest")


def test_nothing_comes_in_or_goes_out_but_what_a_policy_names(objects):
    policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for service in [one for one in objects if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None"]:
        rules = policies[f"to-{service['metadata']['name']}"]["ingress"]
        assert [port["port"] for rule in rules for port in rule["ports"]] == [port["port"] for port in service["spec"]["ports"]]


def test_the_settings_are_those_of_the_command_line(objects, monkeypatch):
    (settings,) = [one["data"] for one in objects if one["metadata"]["name"] == "lucidflux-settings"]
    ours = {name: text for name, text in settings.items() if name.startswith("LUCIDFLUX_")}
    assert set(ours) <= set(FROM_ENVIRONMENT)
    for name, text in ours.items():
        monkeypatch.setenv(name, text)
    backend = load("tiny").backend
    assert {name: getattr(backend, FROM_ENVIRONMENT[name]) for name in ours} == ours


def test_the_script_of_the_databases_is_the_one_of_compose():
    (script,) = [one["data"]["databases.sh"] for one in render(KUBERNETES / "storage") if one["kind"] == "ConfigMap"]
    assert script == (ROOT / "infra/compose/databases.sh").read_text()
