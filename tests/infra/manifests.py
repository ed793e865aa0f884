"""Rendered manifests for tests: what a pod is, whatever made it, and what network policies let through."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
KUBERNETES = REPOSITORY / "infra" / "kubernetes"
for folder in (KUBERNETES, KUBERNETES / "programs"):
    sys.path.insert(0, str(folder))

import render  # noqa: E402

Document = Mapping[str, Any]

ENVIRONMENTS = ("staging", "production")
NAMESPACE = "plumbline"
MAIN = "flink-main-container"


def outputs(environment: str) -> dict[str, Any]:
    """As Terraform's output ``manifest_values`` has it; its own test compares the names."""
    name = f"plumbline-{environment}"
    roles = ("flink", "archive", "external-secrets", "logs")
    images = ("code-location", "sdk-harness", "flink", "job-server", "oauth2-proxy")
    buckets = ("cuts", "reports", "checkpoints", "access")
    return {
        "environment": name,
        "region": "us-east-1",
        "account": "123456789012",
        "role_arns": {role: f"arn:aws:iam::123456789012:role/{name}-{role}" for role in roles},
        "image_repositories": {image: f"registry.example/{name}/{image}" for image in images},
        "buckets": {bucket: f"{name}-123456789012-{bucket}" for bucket in buckets},
        "file_system": "fs-0123456789abcdef0::fsap-0123456789abcdef0",
        "kafka_bootstrap": "b-1.kafka.example:9096,b-2.kafka.example:9096",
        "database_host": "database.example",
        "database_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1",
        "network_cidr": "10.60.0.0/16",
        "log_group": f"/{name}/workloads",
    }


@cache
def rendered(environment: str) -> tuple[Document, ...]:
    return tuple(render.render(environment, outputs(environment)))


def of_kind(documents: Sequence[Document], *kinds: str) -> Iterator[Document]:
    return (document for document in documents if document["kind"] in kinds)


def named(documents: Sequence[Document], kind: str, name: str) -> Document:
    (found,) = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found


def pods(documents: Sequence[Document]) -> dict[str, Document]:
    """Every pod that the manifests make, by a readable name: labels and spec, as Kubernetes would see it."""
    made = {}
    for document in documents:
        name, spec = f"{document['kind']} {document['metadata']['name']}", document.get("spec", {})
        if document["kind"] in ("Deployment", "Job"):
            made[name] = _pod(spec["template"])
        elif document["kind"] == "CronJob":
            made[name] = _pod(spec["jobTemplate"]["spec"]["template"])
        elif document["kind"] == "FlinkDeployment":
            for role in ("jobManager", "taskManager"):
                made[f"{name} {role}"] = _flink_pod(spec, spec[role])
    return made


def _pod(template: Document) -> Document:
    labels = template.get("metadata", {}).get("labels", {})
    return {"labels": labels, "spec": template["spec"]}


def _flink_pod(spec: Document, role: Document) -> Document:
    """What the operator makes: the common template, the role's own laid over it, image and resources of the role."""
    template = copy.deepcopy(dict(spec["podTemplate"]))
    for container in role.get("podTemplate", {}).get("spec", {}).get("containers", []):
        if container["name"] != MAIN:
            template["spec"]["containers"].append(container)
    main = template["spec"]["containers"][0]
    assert main["name"] == MAIN
    resources = {"cpu": role["resource"]["cpu"], "memory": role["resource"]["memory"]}
    main |= {"image": spec["image"], "resources": {"requests": resources, "limits": resources}}
    template["spec"]["serviceAccountName"] = spec["serviceAccount"]
    return _pod(template)


def callers(documents: Sequence[Document], labels: Mapping[str, str], port: int) -> list[Document]:
    """The peers whose connections to a port of pods with these labels the policies let in."""
    policies = [
        policy
        for policy in of_kind(documents, "NetworkPolicy")
        if "Ingress" in policy["spec"]["policyTypes"] and matches(policy["spec"]["podSelector"], labels)
    ]
    assert policies, f"pods with {labels} are open to everybody"
    return [
        peer
        for policy in policies
        for rule in policy["spec"].get("ingress", [])
        if "ports" not in rule or port in [entry["port"] for entry in rule["ports"]]
        for peer in rule.get("from", [{}])
    ]


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses pods with these labels."""
    wanted = selector.get("matchLabels", {}).items()
    exist = [entry["key"] for entry in selector.get("matchExpressions", [])]
    return all(labels.get(name) == value for name, value in wanted) and all(name in labels for name in exist)
