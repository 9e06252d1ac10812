"""The job templates of the Kubernetes work pools, as Prefect's own worker fills them in."""

import json
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import kubernetes_validate
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.templating import apply_values
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from components.train.nodes import NODE_RANK, node_rank, torchrun_arguments
from components.train.settings import TrainSettings
from flows.settings import FROM_ENVIRONMENT
from tests.infra.kustomize import render

ROOT = Path(__file__).resolve().parents[2]
POOLS = ROOT / "infra" / "kubernetes" / "work-pools"
FOLLOWERS = "--set train.nodes=2 --set train.processes=16 --set train.rendezvous=rendezvous:29500 train 0123456789ab"


def job(pool, **values):
    """The Job that the worker would make for a flow run."""
    template = json.loads((POOLS / f"{pool}.json").read_text())
    if pool == "multi-node":
        values.setdefault("followers", FOLLOWERS)
    defaults = {name: known["default"] for name, known in template["variables"]["properties"].items() if "default" in known}
    filled = KubernetesWorkerJobConfiguration.model_validate(apply_values(template["job_configuration"], defaults | values))
    filled.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="quiet-owl"))
    made = filled.job_manifest
    # Prefect insists on these two where Kubernetes does not know them, and the cluster drops them
    assert (made["spec"]["template"]["spec"].pop("completions"), made["spec"]["template"]["spec"].pop("parallelism")) == (1, 1)
    return made


@pytest.mark.parametrize("pool", ["cpu", "gpu", "multi-node"])
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_job_of_a_flow_run_passes_the_strict_schema(pool, version):
    kubernetes_validate.validate(job(pool), version, strict=True)


@pytest.mark.parametrize("pool", ["cpu", "gpu", "multi-node"])
def test_every_variable_is_used_and_every_placeholder_has_one(pool):
    template = json.loads((POOLS / f"{pool}.json").read_text())
    used = json.dumps(template["job_configuration"])
    variables = template["variables"]["properties"]
    assert (
        {name for name in variables if f"{{{{ {name} }}}}" in used}
        == set(variables)
        == {part.partition("}}")[0].strip() for part in used.split("{{")[1:]}
    )


@pytest.mark.parametrize("pool", ["cpu", "gpu", "multi-node"])
def test_a_job_is_confined_and_holds_no_secret(pool):
    made = job(pool)["spec"]["template"]["spec"]
    (container,) = made["containers"]
    assert (made["securityContext"]["runAsNonRoot"], made["automountServiceAccountToken"]) == (True, False)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {variable["name"] for variable in container["env"] if "secretKeyRef" in variable.get("valueFrom", {})} == {
        "PGPASSWORD",
        "MLFLOW_TRACKING_PASSWORD",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "PREFECT_API_AUTH_STRING",
    }


def test_the_password_of_the_worker_becomes_a_reference(monkeypatch):
    """With the variables that worker.yaml gives the worker."""
    (worker,) = [
        one
        for one in render(ROOT / "infra/kubernetes/servers")
        if one["metadata"]["name"] == "worker-cpu" and one["kind"] == "Deployment"
    ]
    for variable in worker["spec"]["template"]["spec"]["containers"][0]["env"]:
        if variable["name"].startswith("PREFECT_INTEGRATIONS_"):
            monkeypatch.setenv(variable["name"], variable["value"])
    from prefect_kubernetes.settings import KubernetesSettings

    told = KubernetesSettings()
    assert (told.worker.api_auth_string_secret_name, told.worker.api_auth_string_secret_key) == (
        "lucidflux-secrets",
        "PREFECT_API_AUTH_STRING",
    )
    assert told.observer.namespaces == {"lucidflux"}


def test_a_gpu_job_asks_for_its_gpus_and_a_cpu_job_for_none():
    asked = lambda made: made["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]  # noqa: E731
    assert asked(job("gpu", gpus=2))["nvidia.com/gpu"] == 2
    assert "nvidia.com/gpu" not in asked(job("cpu"))


def test_the_machines_of_a_training_get_their_numbers_and_one_name_to_meet_under(monkeypatch):
    made = job("multi-node", nodes=2)["spec"]
    assert (made["completionMode"], made["completions"], made["parallelism"]) == ("Indexed", 2, 2)
    container = made["template"]["spec"]["containers"][0]
    (number,) = [variable for variable in container["env"] if variable["name"] == NODE_RANK[0]]
    assert number["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    (meeting,) = [one for one in render(ROOT / "infra/kubernetes/servers") if one["metadata"]["name"] == "rendezvous"]
    address = f"rendezvous:{meeting['spec']['ports'][0]['port']}"
    assert f"train.rendezvous={address}" in FOLLOWERS
    assert container["ports"][0]["containerPort"] == 29500
    settings = TrainSettings(nodes=2, processes=16, rendezvous=address)
    monkeypatch.setenv(NODE_RANK[0], "1")
    assert node_rank(settings) == 1
    assert f"--rdzv_endpoint={address}" in torchrun_arguments(settings)


@pytest.mark.parametrize(("number", "run"), [("0", "prefect flow-run execute"), ("1", f"lucidflux {FOLLOWERS}")])
def test_the_first_machine_executes_the_flow_run_and_the_others_follow(number, run, tmp_path):
    for name in ("prefect", "lucidflux"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$(basename "$0") $*"\n')
        program.chmod(0o755)
    argument = job("multi-node")["spec"]["template"]["spec"]["containers"][0]["args"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LUCIDFLUX_NODE_RANK": number, "PREFECT__FLOW_RUN_ID": "x"}
    done = subprocess.run(argument, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == run


def test_what_a_job_reads_from_the_environment_is_known():
    for pool in ("cpu", "gpu", "multi-node"):
        names = {variable["name"] for variable in job(pool)["spec"]["template"]["spec"]["containers"][0]["env"]}
        ours = {name for name in names if name.startswith("LUCIDFLUX_")}
        assert ours <= {*FROM_ENVIRONMENT, "LUCIDFLUX_WEIGHTS", "LUCIDFLUX_INSTANCE", "LUCIDFLUX_NODE_RANK"}


def test_the_worker_type_is_the_one_of_the_pools():
    assert KubernetesWorker.type == "kubernetes"
    assert "--type kubernetes" in (POOLS / "apply.sh").read_text()
