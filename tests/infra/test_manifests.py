"""The manifests of both environments: valid, least privileged, closed to the outside, and true to the chain.

Native kinds are checked against Kubernetes' own schemas. Of the kinds that operators add no schema is at hand: pods
inside them are checked as pods, their other fields against the fields that the operator documents.
"""

import ipaddress
import re

import kubernetes_validate
import pytest
import yaml
from manifests import (
    ENVIRONMENTS,
    KUBERNETES,
    MAIN,
    NAMESPACE,
    REPOSITORY,
    callers,
    matches,
    named,
    of_kind,
    outputs,
    pods,
    render,
    rendered,
)

from orchestration.jobs.deployment import load_deployment
from orchestration.stack.services import OPENS
from orchestration.stack.settings import load_settings
from orchestration.topics.wanted import ClusterSettings, load_cluster, roles, wanted_acls
from streaming.engine.beam import from_json

VERSION = "1.33"
OPERATORS = frozenset(
    {"FlinkDeployment", "ExternalSecret", "SecretStore", "Certificate", "PodMonitor", "PrometheusRule"}
)
FLINK_FIELDS = frozenset(
    {
        "image",
        "flinkVersion",
        "mode",
        "serviceAccount",
        "flinkConfiguration",
        "podTemplate",
        "jobManager",
        "taskManager",
    }
)
DEPLOYMENT = load_deployment(KUBERNETES / "deployment.toml")
CPU_OF = {"m7i.large": 2, "m7i.2xlarge": 8, "m7i.4xlarge": 16}
MEMORY_GIB_OF = {"m7i.large": 8, "m7i.2xlarge": 32, "m7i.4xlarge": 64}
UNITS = {"Mi": 2**20, "Gi": 2**30, "m": 2**20}

pytestmark = pytest.mark.parametrize("environment", ENVIRONMENTS)


def test_every_native_kind_fits_the_schema_of_kubernetes(environment):
    for document in rendered(environment):
        if document["kind"] not in OPERATORS:
            kubernetes_validate.validate(document, VERSION, strict=True)


def test_every_pod_that_flink_makes_fits_the_schema_of_kubernetes(environment):
    for name, pod in pods(rendered(environment)).items():
        if name.startswith("FlinkDeployment"):
            document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": pod["labels"]}}
            spec = pod["spec"]
            kubernetes_validate.validate({**document, "spec": spec}, VERSION, strict=True)


def test_kinds_of_operators_use_their_documented_fields_only(environment):
    for document in of_kind(rendered(environment), "FlinkDeployment"):
        assert document["apiVersion"] == "flink.apache.org/v1beta1"
        assert document["spec"].keys() <= FLINK_FIELDS
        assert all(isinstance(value, str) for value in document["spec"]["flinkConfiguration"].values())
    for document in of_kind(rendered(environment), "ExternalSecret"):
        assert document["spec"].keys() == {"refreshInterval", "secretStoreRef", "target", "data"}


def test_every_name_is_used_once_and_every_document_is_in_the_namespace(environment):
    found = [(document["kind"], document["metadata"]["name"]) for document in rendered(environment)]
    assert len(found) == len(set(found))
    for document in rendered(environment):
        if document["kind"] not in ("Namespace", "PersistentVolume"):
            assert document["metadata"]["namespace"] == NAMESPACE


def test_no_placeholder_is_left(environment):
    assert not render.NAME.search(yaml.safe_dump_all(rendered(environment)))


# ---------------------------------------------------------------------------------------------------------- privileges


def test_no_container_has_a_privilege(environment):
    found = pods(rendered(environment))
    assert len(found) > 15
    for name, pod in found.items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], name
        assert pod["spec"]["securityContext"]["runAsUser"] > 0, name
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(pod["spec"].get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")), name
        for container in pod["spec"]["containers"]:
            expected = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["securityContext"] == expected, f"{name} {container['name']}"
        volumes = {kind for volume in pod["spec"].get("volumes", []) for kind in volume if kind != "name"}
        assert volumes <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}, name


def test_the_namespace_refuses_pods_with_privileges(environment):
    labels = named(rendered(environment), "Namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_has_limits_and_a_fixed_image(environment):
    for name, pod in pods(rendered(environment)).items():
        for container in pod["spec"]["containers"]:
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert re.search(r":v?\d+\.\d+\.\d+$", container["image"]), f"{name}: {container['image']}"


def test_only_flink_may_call_kubernetes(environment):
    documents = rendered(environment)
    for name, pod in pods(documents).items():
        if pod["spec"]["serviceAccountName"] != "flink":
            assert pod["spec"]["automountServiceAccountToken"] is False, name
    assert [role["metadata"]["name"] for role in of_kind(documents, "Role")] == ["flink"]
    assert not list(of_kind(documents, "ClusterRole", "ClusterRoleBinding"))
    for role in of_kind(documents, "Role"):
        assert "*" not in str(role["rules"])


def test_no_secret_stands_in_a_manifest(environment):
    documents = rendered(environment)
    assert not list(of_kind(documents, "Secret"))
    for name, pod in pods(documents).items():
        for container in pod["spec"]["containers"]:
            for entry in container.get("env", []):
                literal = "value" in entry and re.search("password|token|secret", entry["name"], re.IGNORECASE)
                assert not literal, f"{name}: {entry['name']}"


def test_each_process_has_the_kafka_login_of_its_own_principal_only(environment):
    documents = rendered(environment)
    kept = {document["spec"]["target"]["name"] for document in of_kind(documents, "ExternalSecret")}
    logins: dict[str, set[str]] = {}
    for name, pod in pods(documents).items():
        for container in pod["spec"]["containers"]:
            taken = [source["secretRef"]["name"] for source in container.get("envFrom", [])]
            assert set(taken) <= kept, name
            logins.setdefault(name, set()).update(login for login in taken if login.startswith("kafka-"))
            if container["name"] == MAIN:
                assert not taken, f"{name}: Flink's own process needs no login"
    for job in DEPLOYMENT.apps:
        assert logins[f"FlinkDeployment {job} taskManager"] == {f"kafka-{job}"}
    assert not any(logins[name] for name in logins if name.startswith("Job submit-"))
    assert logins["Deployment clock"] == {"kafka-clock"}
    assert logins["Deployment sealer"] == {"kafka-sealer"}
    known = {role.name for role in roles(DEPLOYMENT)} | {"admin"}
    assert {login.removeprefix("kafka-") for taken in logins.values() for login in taken} <= known


# ------------------------------------------------------------------------------------------------------------- network


def test_nobody_may_talk_to_anybody_unless_a_policy_says_so(environment):
    policy = named(rendered(environment), "NetworkPolicy", "nothing-by-default")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_pods_reach_the_kubernetes_api_where_terraform_puts_it(environment):
    text = (REPOSITORY / "infra/terraform/modules/cluster/main.tf").read_text()
    services = ipaddress.ip_network(re.search(r'service_ipv4_cidr = "([^"]+)"', text)[1])
    policy = named(rendered(environment), "NetworkPolicy", "names-and-aws")["spec"]
    reached = [peer["ipBlock"]["cidr"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert reached == [outputs(environment)["network_cidr"], f"{services[1]}/32"]


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_flinks_rest_port_is_reached_by_its_own_and_never_from_outside(environment, job):
    peers = callers(rendered(environment), {"plumbline.io/job": job, "plumbline.io/scraped": "true"}, 8081)
    assert not [peer for peer in peers if "ipBlock" in peer or not peer]
    assert [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer] == [
        {"plumbline.io/job": job},
        {"plumbline.io/job-server": job},
        {"plumbline.io/submission": job},
        {"plumbline.io/reads-flink": "true"},
    ]
    others = [peer["namespaceSelector"]["matchLabels"] for peer in peers if "namespaceSelector" in peer]
    assert others == [{"kubernetes.io/metadata.name": "flink-operator"}]


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_the_job_server_is_reached_by_its_own_submission_only(environment, job):
    for port in (8098, 8099):
        peers = callers(rendered(environment), {"plumbline.io/job-server": job}, port)
        assert peers == [{"podSelector": {"matchLabels": {"plumbline.io/submission": job}}}]


@pytest.mark.parametrize("name", ["console", "viewer"])
def test_a_web_server_is_reached_through_its_login_only(environment, name):
    documents = rendered(environment)
    labels = {"app.kubernetes.io/name": name, "plumbline.io/dagster": "true"}
    proxy = {"app.kubernetes.io/name": f"{name}-proxy"}
    assert callers(documents, labels, 3000) == [{"podSelector": {"matchLabels": proxy}}]
    (container,) = pods(documents)[f"Deployment {name}-proxy"]["spec"]["containers"]
    assert f"--upstream=http://{name}:3000" in container["args"]
    assert any(argument.startswith("--allowed-group=plumbline-") for argument in container["args"])
    assert "--http-address=" in container["args"]
    assert "--cookie-secure" in container["args"]
    assert not [argument for argument in container["args"] if argument.startswith("--skip-auth")]


def test_the_code_location_is_reached_by_dagster_only(environment):
    peers = callers(rendered(environment), {"app.kubernetes.io/name": "code-location"}, 4000)
    assert peers == [{"podSelector": {"matchLabels": {"plumbline.io/dagster": "true"}}}]


def test_viewers_can_only_look(environment):
    found = pods(rendered(environment))
    (viewer,) = found["Deployment viewer"]["spec"]["containers"]
    (console,) = found["Deployment console"]["spec"]["containers"]
    assert "--read-only" in viewer["args"]
    assert [argument for argument in viewer["args"] if argument != "--read-only"] == console["args"]
    assert [mount["readOnly"] for mount in viewer["volumeMounts"] if mount["name"] == "home"] == [True]


def test_only_the_logins_are_exposed_and_only_inside_the_firm(environment):
    exposed = []
    for service in of_kind(rendered(environment), "Service"):
        kind = service["spec"].get("type", "ClusterIP")
        assert kind in ("ClusterIP", "LoadBalancer"), service["metadata"]["name"]
        if kind == "LoadBalancer":
            exposed.append(service["metadata"]["name"])
            annotations = service["metadata"]["annotations"]
            assert annotations["service.beta.kubernetes.io/aws-load-balancer-internal"] == "true"
            assert all(ipaddress.ip_network(c).is_private for c in service["spec"]["loadBalancerSourceRanges"])
    assert exposed == ["console-proxy", "viewer-proxy"]
    assert not list(of_kind(rendered(environment), "Ingress"))


def test_every_service_finds_pods_that_listen_on_its_port(environment):
    documents = rendered(environment)
    for service in of_kind(documents, "Service"):
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        ports = {
            port["name"]
            for pod in pods(documents).values()
            if matches({"matchLabels": service["spec"]["selector"]}, pod["labels"])
            for container in pod["spec"]["containers"]
            for port in container.get("ports", [])
        }
        assert targets <= ports, service["metadata"]["name"]


def test_only_what_keeps_or_archives_state_reaches_s3(environment):
    reaching = {name for name, pod in pods(rendered(environment)).items() if "plumbline.io/s3" in pod["labels"]}
    expected = {f"FlinkDeployment {job} {role}" for job in DEPLOYMENT.apps for role in ("jobManager", "taskManager")}
    assert reaching == expected | {"CronJob archive"}


# ---------------------------------------------------------------------------------------------------------------- jobs


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_a_job_runs_on_a_flink_of_its_own_as_it_was_tested(environment, job):
    spec = named(rendered(environment), "FlinkDeployment", job)["spec"]
    settings = spec["flinkConfiguration"]
    tested = load_settings().flink["config"]
    for name, value in tested.items():
        if name not in render.LOCAL_ONLY:
            assert settings[name] == (str(value).lower() if isinstance(value, bool) else str(value)), name
    assert settings["state.backend.type"] == "hashmap"
    assert float(settings["taskmanager.memory.managed.fraction"]) <= 0.1, "the heap needs the memory"
    assert settings["web.submit.enable"] == settings["web.cancel.enable"] == "false"
    assert settings["high-availability.type"] == "kubernetes"
    bucket = outputs(environment)["buckets"]["checkpoints"]
    for name in ("state.checkpoints.dir", "state.savepoints.dir", "high-availability.storageDir"):
        assert settings[name].startswith(f"s3://{bucket}/{job}/")
    assert spec["jobManager"]["replicas"] == 2
    assert spec["flinkVersion"] == "v1_19"


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_workers_are_a_sidecar_on_loopback_of_each_taskmanager(environment, job):
    found = pods(rendered(environment))
    main, harness = found[f"FlinkDeployment {job} taskManager"]["spec"]["containers"]
    assert (main["name"], harness["name"]) == (MAIN, "sdk-harness")
    assert harness["args"] == ["python", "-m", "orchestration.stack.worker_pool", "--port", "50000"]
    assert "ports" not in harness
    assert len(found[f"FlinkDeployment {job} jobManager"]["spec"]["containers"]) == 1


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_a_submission_hands_over_the_chains_own_job(environment, job):
    (submission,) = [
        document
        for document in of_kind(rendered(environment), "Job")
        if document["metadata"].get("labels") == {"plumbline.io/submission": job}
    ]
    arguments = submission["spec"]["template"]["spec"]["containers"][0]["args"]
    hosted = from_json(arguments[arguments.index("--hosted") + 1])
    assert hosted.load().name == job
    assert [app.name for app in hosted.load().apps] == list(DEPLOYMENT.apps[job])
    assert hosted.shards == DEPLOYMENT.shards
    assert hosted.through is None
    assert hosted.log["settings"]["security.protocol"] == "SASL_SSL"
    assert set(load_settings().pipeline_options()) <= set(arguments)
    assert f"--parallelism={DEPLOYMENT.parallelism[job]}" in arguments
    assert "--environment_config=localhost:50000" in arguments


@pytest.mark.parametrize("job", DEPLOYMENT.apps)
def test_a_job_has_one_id_that_changes_with_the_release(environment, job, monkeypatch):
    documents = rendered(environment)
    settings = yaml.safe_load(named(documents, "ConfigMap", f"{job}-job-server")["data"]["config.yaml"])
    job_id = settings["$internal.pipeline.job-id"]
    assert re.fullmatch("[0-9a-f]{32}", job_id)
    (submission,) = [d for d in of_kind(documents, "Job") if d["metadata"]["name"].startswith(f"submit-{job}-")]
    assert job_id in submission["spec"]["template"]["spec"]["containers"][0]["args"]
    sizes = {"release": "9.9.9", "jobs": {job: {"run": 1}}}
    assert render._job_id(job, environment, sizes) != job_id
    assert render._job_id(job, environment, {"release": "0.1.0", "jobs": {job: {"run": 2}}}) != job_id


def test_taskmanagers_have_a_slot_for_each_parallel_part_within_the_nodes_there_are(environment):
    documents, text = (
        rendered(environment),
        (REPOSITORY / f"infra/terraform/environments/{environment}/main.tf").read_text(),
    )
    kind, least, most = re.search(r'stream += \{ instance_type = "([^"]+)", min = (\d+), max = (\d+)', text).groups()
    assert int(least) >= 3
    cpu = memory = 0.0
    for job in DEPLOYMENT.apps:
        spec = named(documents, "FlinkDeployment", job)["spec"]
        slots = int(spec["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
        taskmanagers = -(-DEPLOYMENT.parallelism[job] // slots)
        pod = pods(documents)[f"FlinkDeployment {job} taskManager"]
        limits = [container["resources"]["limits"] for container in pod["spec"]["containers"]]
        assert sum(float(limit["cpu"]) for limit in limits) < CPU_OF[kind]
        assert sum(size(limit["memory"]) for limit in limits) < 0.9 * MEMORY_GIB_OF[kind] * 2**30
        jobmanagers, manager = spec["jobManager"]["replicas"], spec["jobManager"]["resource"]
        cpu += taskmanagers * sum(float(limit["cpu"]) for limit in limits) + jobmanagers * float(manager["cpu"])
        memory += taskmanagers * sum(size(limit["memory"]) for limit in limits) + jobmanagers * size(manager["memory"])
    assert cpu < 0.95 * int(least) * CPU_OF[kind], "the smallest group of nodes must hold all of Flink"
    assert memory < 0.9 * int(least) * MEMORY_GIB_OF[kind] * 2**30


def size(text):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()
    return int(number) * UNITS[unit]


def test_whoever_works_on_the_shared_files_is_their_user(environment):
    text = (REPOSITORY / "infra/terraform/modules/storage/main.tf").read_text()
    owner = int(re.search(r"uid = (\d+)", text)[1])
    for name, pod in pods(rendered(environment)).items():
        claims = [volume for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
        if claims:
            assert pod["spec"]["securityContext"]["runAsUser"] == owner, name


def test_a_disruption_takes_one_pod_of_a_kind_at_a_time(environment):
    documents = rendered(environment)
    budgets = [budget["spec"] for budget in of_kind(documents, "PodDisruptionBudget")]
    assert all(budget["maxUnavailable"] == 1 for budget in budgets)
    for deployment in of_kind(documents, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        if deployment["spec"].get("replicas", 1) > 1:
            assert any(matches(budget["selector"], labels) for budget in budgets), deployment["metadata"]["name"]
    for job in DEPLOYMENT.apps:
        assert any(matches(budget["selector"], {"plumbline.io/job": job}) for budget in budgets)


def test_what_may_run_once_only_is_never_rolled_side_by_side(environment):
    for name in ("clock", "sealer", "daemon", "code-location"):
        spec = named(rendered(environment), "Deployment", name)["spec"]
        assert spec["replicas"] == 1
        assert spec["strategy"] == {"type": "Recreate"}


def test_topics_are_applied_with_the_access_that_the_jobs_need(environment):
    (job,) = [d for d in of_kind(rendered(environment), "Job") if d["metadata"]["name"].startswith("topics-")]
    found = pods(rendered(environment))
    (making,), (looking,) = (
        found[name]["spec"]["containers"] for name in (f"Job {job['metadata']['name']}", "CronJob topics-diff")
    )
    assert making["args"][:3] == ["plumbline", "topics", "apply"]
    assert looking["args"] == [*making["args"][:2], "diff", *making["args"][3:]]
    cluster = load_cluster(KUBERNETES / "kafka.toml")
    assert isinstance(cluster, ClusterSettings)
    assert (cluster.replication, cluster.in_sync_min, cluster.acls) == (3, 2, True)
    assert wanted_acls(DEPLOYMENT, cluster)


# --------------------------------------------------------------------------------------------------------------- rules


def test_alarms_and_rules_watch_figures_that_are_exported(environment):
    import watch

    from orchestration.jobs.standing import ShardLag, Standing, as_prometheus

    none = [watch.Figure(name, 0.0) for name in (watch.CUT, watch.PACK)]
    lag = ShardLag(0, 1, 1.0)
    checkpoint = watch.flink.Checkpoint(1, 1.0, 1, 1)
    text = watch.prometheus([Standing("market", "RUNNING", [lag], checkpoint)], none)
    exported = set(re.findall(r"^(plumbline_\w+)", text, re.MULTILINE))
    assert as_prometheus([]) is not None
    rules = named(rendered(environment), "PrometheusRule", "plumbline")["spec"]["groups"][0]["rules"]
    watched = {name for rule in rules for name in re.findall(r"plumbline_\w+", rule["expr"])}
    assert watched <= exported
    terraform = (REPOSITORY / "infra/terraform/modules/observability/main.tf").read_text()
    alarms = set(re.findall(r'metric += "(plumbline_\w+)"', terraform))
    assert alarms == {watch.LAG, watch.AGE, watch.CUT, watch.PACK}
    assert alarms <= exported


def test_every_rule_leads_to_a_chapter_of_the_runbook(environment):
    runbook = (REPOSITORY / "docs/runbook.md").read_text()
    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    rules = named(rendered(environment), "PrometheusRule", "plumbline")["spec"]["groups"][0]["rules"]
    for rule in rules:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert path == "docs/runbook.md"
        assert anchor in anchors, rule["alert"]


# --------------------------------------------------------------------------------------------------- rendering, images


def test_a_value_that_nobody_gave_is_named(environment):
    values = outputs(environment)
    del values["kafka_bootstrap"]
    with pytest.raises(render.TemplateError, match="expected a value for kafka_bootstrap, found none"):
        render.render(environment, values)


def test_an_environment_that_forgets_a_job_is_refused(environment, tmp_path, monkeypatch):
    for name in ("templates", "kafka.toml", "deployment.toml"):
        (tmp_path / name).symlink_to(KUBERNETES / name)
    text = (KUBERNETES / "environments" / f"{environment}.toml").read_text().replace("[jobs.firm]", "[jobs.firms]")
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / f"{environment}.toml").write_text(text)
    monkeypatch.setattr(render, "HERE", tmp_path)
    with pytest.raises(render.TemplateError, match="expected the jobs .*firm.*found .*firms"):
        render.render(environment, outputs(environment))


def test_container_files_follow_the_tested_versions_and_give_no_privilege(environment):
    flink = (REPOSITORY / "infra/containers/Containerfile.flink").read_text()
    python = (REPOSITORY / "infra/containers/Containerfile").read_text()
    pom = (REPOSITORY / "infra/local/pom.xml").read_text()
    version = re.search(r"<flink.version>([^<]+)<", pom)[1]
    assert f"FLINK_IMAGE=flink:{version}-" in flink
    for option in OPENS:
        assert f'"{option}"' in flink
    assert "--require-hashes -r requirements.lock" in python
    for text in (flink, python):
        targets = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
        for target in targets:
            name = re.search(r"AS ([\w-]+)", target)[1]
            users = re.findall(r"^USER (\S+)", target, re.MULTILINE)
            assert name in ("build", "jars") or int(users[-1].split(":")[0]) > 0, name


def test_the_databases_driver_moves_in_step_with_dagster(environment):
    lock = (REPOSITORY / "infra/containers/postgres.lock").read_text()
    ours = re.search(r"^dagster==1\.(\d+)\.(\d+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    minor, patch = map(int, ours.groups())
    assert f"dagster-postgres==0.{minor + 16}.{patch} " in lock, (
        "libraries are numbered 0.(x + 16).y beside dagster 1.x.y"
    )
    assert lock.count("--hash=sha256:") == len(re.findall(r"^\w[\w-]*==", lock, re.MULTILINE)) == 2


def test_values_of_charts_are_closed_in(environment):
    values = {path.stem: yaml.safe_load(path.read_text()) for path in (KUBERNETES / "values").glob("*.yaml")}
    assert values["flink-operator"]["watchNamespaces"] == [NAMESPACE]
    assert values["flink-operator"]["jobServiceAccount"]["create"] is False
    assert values["external-secrets"]["scopedNamespace"] == NAMESPACE
    assert "log_format json/emf" in values["fluent-bit"]["config"]["outputs"]
