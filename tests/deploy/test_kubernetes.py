"""The manifests fit the worker: its settings, its probes, the time that leaving takes, and no right too many."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.channels import SLOTS, command_queues
from tests.harness.shipped import RABBITMQ
from worker.settings import PREFIX, Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
SETTINGS = {f"{PREFIX}{name.upper()}": field for name, field in Settings.model_fields.items()}


def objects(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def kustomized(name: str) -> list[dict[str, Any]]:
    """Everything that this kustomization brings, with those that it stands on."""
    (own,) = objects(FOLDER / name / "kustomization.yaml")
    found = []
    for resource in own["resources"]:
        path = (FOLDER / name / resource).resolve()
        found += kustomized(path.name) if path.is_dir() else objects(path)
    return found


BASE, KEDA = kustomized("base"), kustomized("keda")
DEPLOYMENT, JOB, SCALED = (
    next(one for one in KEDA if one["kind"] == kind) for kind in ("Deployment", "Job", "ScaledObject")
)
PODS = {"worker": DEPLOYMENT["spec"]["template"]["spec"], "setup": JOB["spec"]["template"]["spec"]}
(WORKER,) = PODS["worker"]["containers"]
VALUES = {one["name"]: one.get("value") for one in WORKER["env"]}


def given(name: str) -> float:
    """A setting of the worker: what the manifest says, otherwise its default."""
    return float(VALUES.get(name) or SETTINGS[name].default)


def patience_seconds(probe: dict[str, Any]) -> int:
    return int(probe["periodSeconds"] * probe["failureThreshold"])


def test_every_file_stands_in_a_kustomization_or_is_an_example() -> None:
    listed = {
        resource
        for name in ("base", "keda")
        for one in objects(FOLDER / name / "kustomization.yaml")
        for resource in one["resources"]
    }
    files = {path.name for path in FOLDER.glob("*/*.yaml")} - {"kustomization.yaml"}
    assert files == listed - {"../base"}
    assert all(one["apiVersion"] and one["metadata"]["name"] for one in KEDA)


@pytest.mark.parametrize("pod", PODS)
def test_every_setting_is_one_that_the_worker_has_and_no_required_one_is_missing(pod: str) -> None:
    named = {one["name"] for one in PODS[pod]["containers"][0]["env"]}
    assert named <= set(SETTINGS)
    assert {name for name, field in SETTINGS.items() if field.is_required()} <= named


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_can_change_nothing_and_gain_nothing(pod: str) -> None:
    confined = PODS[pod]
    assert confined["automountServiceAccountToken"] is False
    assert confined["securityContext"]["runAsNonRoot"] is True
    assert confined["securityContext"]["runAsUser"] == 10001
    assert confined["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(confined)
    for container in confined["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


def test_the_user_is_that_of_the_image() -> None:
    users = re.findall(r"^USER (\d+):", (FOLDER.parents[1] / "Dockerfile").read_text(), re.MULTILINE)
    assert users[-1] == str(PODS["worker"]["securityContext"]["runAsUser"])


@pytest.mark.parametrize("pod", PODS)
def test_no_password_stands_in_a_manifest(pod: str) -> None:
    for one in PODS[pod]["containers"][0]["env"]:
        if one["name"].endswith("_URL"):
            assert set(one) == {"name", "valueFrom"}
            assert set(one["valueFrom"]) == {"secretKeyRef"}
    for secret in objects(FOLDER / "secrets.example.yaml"):
        assert set(secret["stringData"].values()) == {""}


def test_every_secret_that_is_named_is_in_the_example() -> None:
    example = {one["metadata"]["name"]: set(one["stringData"]) for one in objects(FOLDER / "secrets.example.yaml")}
    variables = [one["valueFrom"] for pod in PODS.values() for one in pod["containers"][0]["env"] if "valueFrom" in one]
    references = [value["secretKeyRef"] for value in variables if "secretKeyRef" in value]
    named = [(one["name"], one["key"]) for one in references]
    named += [(one["name"], one["key"]) for one in KEDA[-1]["spec"]["secretTargetRef"]]
    assert len(named) == 5
    assert all(key in example[name] for name, key in named)
    assert "heroes-tls" in example


def test_a_worker_has_longer_to_leave_than_its_drain_takes() -> None:
    grace = PODS["worker"]["terminationGracePeriodSeconds"]
    assert grace > given("HEROES_SHUTDOWN_TIMEOUT_SECONDS") + 5


def test_a_worker_has_longer_to_start_than_it_waits_for_its_services() -> None:
    assert patience_seconds(WORKER["startupProbe"]) > given("HEROES_STARTUP_TIMEOUT_SECONDS") + 5


def test_only_a_stuck_loop_restarts_a_worker_and_only_a_working_one_is_ready() -> None:
    assert WORKER["livenessProbe"]["httpGet"]["path"] == WORKER["startupProbe"]["httpGet"]["path"] == "/livez"
    assert WORKER["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert 10 <= patience_seconds(WORKER["livenessProbe"]) <= 60
    (port,) = WORKER["ports"]
    assert {probe["httpGet"]["port"] for name, probe in WORKER.items() if name.endswith("Probe")} == {port["name"]}
    assert port["containerPort"] == given("HEROES_HTTP_PORT")
    assert VALUES["HEROES_HTTP_HOST"] == "0.0.0.0"  # noqa: S104 - the kubelet asks from outside the pod


def test_a_worker_is_called_by_its_pods_name() -> None:
    (named,) = [one for one in WORKER["env"] if one["name"] == "HEROES_WORKER_ID"]
    assert named["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_budget_and_the_network_policy_are_about_these_pods() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    (budget,) = [one for one in BASE if one["kind"] == "PodDisruptionBudget"]
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["maxUnavailable"] == 1
    (policy,) = [one for one in BASE if one["kind"] == "NetworkPolicy"]
    (rule,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert labels[rule["key"]] in rule["values"]
    assert JOB["spec"]["template"]["metadata"]["labels"][rule["key"]] in rule["values"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all(one["from"] for one in policy["spec"]["ingress"])


def test_the_number_of_workers_follows_the_queues_of_commands() -> None:
    (trigger,) = SCALED["spec"]["triggers"]
    assert trigger["metadata"]["protocol"] == "http"
    pattern = re.compile(trigger["metadata"]["queueName"])
    assert all(pattern.match(queue) for queue in command_queues())
    assert not any(map(pattern.match, ("heroes.dead_letters", "heroes.queries", "heroes.events.log")))
    assert f'"{trigger["metadata"]["vhostName"]}"' in (RABBITMQ / "definitions.json").read_text()
    assert SCALED["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert 1 <= SCALED["spec"]["minReplicaCount"] < SCALED["spec"]["maxReplicaCount"] <= SLOTS
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
