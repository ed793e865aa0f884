"""The manifests of one environment: ``python infra/kubernetes/render.py production values.json | kubectl apply -f -``.

``values.json`` is Terraform's output ``manifest_values``. Jobs, their parallelism, options and logs come from the chain
and from the settings the local stack is tested with; sizes come from ``environments/NAME.toml``. In a template
``${name}`` stands for a value; alone in its place it keeps the value's type, and a list takes its items' places. Names
in capitals are left alone: they are read from a container's environment.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestration.jobs.deployment import Deployment, load_deployment
from orchestration.stack.resubmission import FIXED_JOB_ID
from orchestration.stack.settings import Settings, load_settings
from streaming.engine.beam import HostedJob
from streaming.engine.flink import POLLING, program

HERE = Path(__file__).resolve().parent
SHARED = ("foundation", "secrets", "topics", "live", "console", "monitoring")
"""Templates rendered once, in the order of ``kubectl apply``; ``job`` is rendered once a job, after them."""
NAME = re.compile(r"\$\{([a-z][a-z0-9_.-]*)\}")
LOCAL_ONLY = frozenset(
    {"taskmanager.numberOfTaskSlots", "cluster.evenly-spread-out-slots", "classloader.resolve-order"}
)
"""Settings of the local Flink that follow from its being one machine and one class path."""
MERGED = "+"
"""The key whose mapping is laid under its neighbours."""


class TemplateError(ValueError):
    """A template asks for something that nobody gave, or the environment says something that nobody asked for."""


def render(environment: str, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every manifest of an environment, as documents."""
    deployment, settings = load_deployment(HERE / "deployment.toml"), load_settings()
    sizes = tomllib.loads((HERE / "environments" / f"{environment}.toml").read_text(encoding="utf-8"))
    if sizes["jobs"].keys() != deployment.apps.keys():
        raise TemplateError(
            f"{environment}.toml: expected the jobs {list(deployment.apps)}, found {list(sizes['jobs'])}"
        )
    common = _flat(dict(outputs)) | _flat({name: value for name, value in sizes.items() if name != "jobs"})
    common |= {
        "flink_settings": _flink_settings(settings),
        "watched": json.dumps({name: _job_id(name, environment, sizes) for name in deployment.apps}),
        "kafka_log": json.dumps(kafka_log()),
        "topics_digest": _topics_digest(deployment, sizes),
        "deployment": json.dumps({"shards": deployment.shards, "apps": deployment.apps}),
    }
    documents = [document for name in SHARED for document in _filled(name, common)]
    for name in deployment.apps:
        documents += _filled("job", common | _job(name, environment, deployment, settings, sizes))
    return documents


def _job(
    name: str, environment: str, deployment: Deployment, settings: Settings, sizes: Mapping[str, Any]
) -> dict[str, Any]:
    """What a job's template is filled with."""
    job_id = _job_id(name, environment, sizes)
    processes = sizes["jobs"][name]["workers"]["processes"]
    own = [f"--parallelism={deployment.parallelism[name]}", f"--sdk_worker_parallelism={processes}"]
    fresh = sizes["jobs"][name]["run"] == 1
    hosted = HostedJob(kafka_log(), deployment.reference(name), deployment.shards, None, POLLING, fresh)
    return {
        "job": name,
        "job_id": job_id,
        "submission": f"{name}-{job_id[:10]}",
        "program": program(hosted),
        "options": [*settings.pipeline_options(), *own],
        "job_server_settings": yaml.safe_dump({**_flink_settings(settings), FIXED_JOB_ID: job_id}),
        **_flat(sizes["jobs"][name]),
    }


def kafka_log() -> dict[str, Any]:
    """How every process reaches the log; its own login is in its environment."""
    with open(HERE / "kafka.toml", "rb") as file:
        cluster = tomllib.load(file)
    return {
        "kind": "kafka",
        "settings": cluster["client"],
        "replication": cluster["replication"],
        "prefix": cluster.get("prefix", ""),
    }


def _job_id(name: str, environment: str, sizes: Mapping[str, Any]) -> str:
    """Flink's id of the job: another release, or another run of one, is another job that starts from the newest cut."""
    told = f"{environment}/{name}/{sizes['release']}/{sizes['jobs'][name]['run']}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _topics_digest(deployment: Deployment, sizes: Mapping[str, Any]) -> str:
    """Another release, or another deployment, compares the topics anew."""
    told = json.dumps([sizes["release"], deployment.shards, dict(deployment.apps)])
    return hashlib.sha256(told.encode()).hexdigest()[:10]


def _flink_settings(settings: Settings) -> dict[str, str]:
    """The tested settings of Flink, as texts."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.flink["config"].items()
        if name not in LOCAL_ONLY
    }


def _filled(template: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    text = (HERE / "templates" / f"{template}.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        yield _substituted(document, values, template)


def _substituted(node: Any, values: Mapping[str, Any], where: str) -> Any:
    if isinstance(node, dict):
        made: dict[str, Any] = {}
        for key, value in node.items():
            filled = _substituted(value, values, where)
            if key == MERGED:
                made |= filled
            else:
                made[_substituted(key, values, where)] = filled
        return made
    if isinstance(node, list):
        items = []
        for item in node:
            filled = _substituted(item, values, where)
            items += filled if isinstance(filled, list) and isinstance(item, str) else [filled]
        return items
    if not isinstance(node, str):
        return node
    if whole := NAME.fullmatch(node):
        return _value(whole[1], values, where)
    return NAME.sub(lambda match: str(_value(match[1], values, where)), node)


def _value(name: str, values: Mapping[str, Any], where: str) -> Any:
    if name not in values:
        raise TemplateError(f"templates/{where}.yaml: expected a value for {name}, found none")
    return values[name]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names; every table is there as a whole, too."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        made[prefix + name] = value
        if isinstance(value, Mapping):
            made |= _flat(value, f"{prefix}{name}.")
    return made


def main(arguments: list[str]) -> None:
    """Print the manifests of an environment."""
    environment, values = arguments
    outputs = json.loads(Path(values).read_text(encoding="utf-8"))
    print(yaml.safe_dump_all(render(environment, outputs), sort_keys=False, width=120), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
