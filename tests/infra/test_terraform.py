"""The infrastructure: formatted, valid, each module and environment by its own tests, and the plans by policy."""

import copy
import json
import re
from pathlib import Path

import pytest
from manifests import outputs
from plan_policy import violations
from terraform import SOURCES, Terraform, require_terraform

from orchestration.jobs.deployment import load_deployment
from orchestration.topics.wanted import roles

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(600)]

MODULES = sorted(path.parent.parent.relative_to(SOURCES).as_posix() for path in SOURCES.glob("*/*/tests/*.tftest.hcl"))
ENVIRONMENTS = {"staging": 1, "production": 6}
"""Environment -> years for which its records are locked."""
CANARY = "canary-canary-canary-canary-canary"
PRINCIPALS = [*(role.name for role in roles(load_deployment())), "admin"]
VALUES = {
    "account_id": "123456789012",
    "transit": {"gateway_id": "tgw-0123456789abcdef0", "cidrs": ["10.0.0.0/16"]},
    "administrator_role_arns": ["arn:aws:iam::123456789012:role/platform"],
    "alarm_addresses": ["risk@example.com"],
    "kafka_passwords": dict.fromkeys(PRINCIPALS, CANARY),
    "tokens": dict.fromkeys(("slack-token", "oauth2-client-secret", "oauth2-cookie-secret"), CANARY),
}


@pytest.fixture(scope="session")
def terraform(tmp_path_factory) -> Terraform:
    return Terraform(require_terraform(), tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def plans(terraform) -> dict[str, dict]:
    return {name: terraform.plan(name, VALUES) for name in ENVIRONMENTS}


def test_the_sources_are_formatted(terraform):
    done = terraform.run(".", "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout


def test_every_module_has_tests():
    folders = {path.parent.relative_to(SOURCES).as_posix() for path in SOURCES.glob("*/*/main.tf")}
    assert folders - set(MODULES) == {"modules/platform"}  # the environments' tests are its own


def test_every_variable_and_output_is_described():
    for path in SOURCES.rglob("*.tf"):
        for block in re.findall(r'^(?:variable|output) "[^"]+" \{.*?^\}', path.read_text(), re.DOTALL | re.MULTILINE):
            assert "description" in block, f"{path}: {block.splitlines()[0]}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_is_valid_with_every_module_it_calls(terraform, environment, plans):
    done = terraform.run(f"environments/{environment}", "validate", "-json")
    assert json.loads(done.stdout)["diagnostics"] == []


@pytest.mark.parametrize("where", MODULES)
def test_a_module_does_what_its_tests_say(terraform, where):
    terraform.ready(where)
    done = terraform.run(where, "test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", done.stdout)


@pytest.mark.parametrize(("environment", "years"), ENVIRONMENTS.items())
def test_a_plan_holds_no_wildcard_nothing_public_and_nothing_in_the_clear(plans, environment, years):
    assert violations(plans[environment], years) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_secret_is_in_a_plan(plans, environment):
    assert CANARY not in json.dumps(plans[environment])


def test_who_logs_in_to_kafka_is_who_is_granted_access(plans):
    assert plans["production"]["planned_values"]["outputs"]["principals"]["value"] == PRINCIPALS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_terraform_hands_over_what_the_manifests_are_filled_with(plans, environment):
    handed = plans[environment]["output_changes"]["manifest_values"]
    expected = outputs(environment)
    assert handed["after"].keys() | handed["after_unknown"].keys() == expected.keys()
    for table in ("role_arns", "image_repositories", "buckets"):
        known, unknown = handed["after"].get(table) or {}, handed["after_unknown"].get(table) or {}
        assert known.keys() | unknown.keys() == expected[table].keys()
    assert handed["after"]["buckets"] == expected["buckets"]
    assert handed["after"]["environment"] == expected["environment"]


def test_environments_differ_in_sizes_and_retention_only(plans):
    kinds = {name: sorted(change["address"] for change in plan["resource_changes"]) for name, plan in plans.items()}
    assert kinds["staging"] == kinds["production"]


def changed(change, path, value):
    """Set one planned value of a resource."""
    at = change["change"]["after"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value


def granted(action="s3:GetObject", resource="arn:aws:s3:::b/*", principal=None):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | ({"Principal": principal} if principal else {})]}
    )


MUTATIONS = {
    "a wildcard action": ("aws_iam_role_policy.flow", ["policy"], granted("logs:*"), "action logs:*"),
    "every resource": ("aws_iam_role_policy.flow", ["policy"], granted(resource="*"), "resource *"),
    "every bucket": (
        "aws_iam_role_policy.flow",
        ["policy"],
        granted(resource="arn:aws:s3:::*"),
        "resource arn:aws:s3:::*",
    ),
    "a bucket for all": ('aws_s3_bucket_policy.this["cuts"]', ["policy"], granted(principal="*"), "open to everybody"),
    "all of AWS": ("aws_sns_topic_policy.alarms", ["policy"], granted(principal={"AWS": "*"}), "open to everybody"),
    "a powerful managed policy": (
        "aws_iam_role_policy_attachment.cluster",
        ["policy_arn"],
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "not one of the managed policies",
    ),
    "a public subnet": ('aws_subnet.private["us-east-1a"]', ["map_public_ip_on_launch"], True, "public addresses"),
    "a public database": ("aws_db_instance.this", ["publicly_accessible"], True, "public database"),
    "public brokers": (
        "aws_msk_cluster.this",
        ["broker_node_group_info", 0, "connectivity_info", 0, "public_access", 0, "type"],
        "SERVICE_PROVIDED_EIPS",
        "public brokers",
    ),
    "brokers without login": ("aws_msk_cluster.this", ["client_authentication", 0, "unauthenticated"], True, "log in"),
    "a public Kubernetes API": (
        "aws_eks_cluster.this",
        ["vpc_config", 0, "endpoint_public_access"],
        True,
        "public Kube",
    ),
    "an open port": ("aws_vpc_security_group_ingress_rule.endpoints", ["cidr_ipv4"], "0.0.0.0/0", "beyond private"),
    "a way to the internet": (
        'aws_route.firm["10.0.0.0/16"]',
        ["destination_cidr_block"],
        "0.0.0.0/0",
        "beyond private",
    ),
    "a bucket that may be public": (
        'aws_s3_bucket_public_access_block.this["reports"]',
        ["restrict_public_buckets"],
        False,
        "can be made public",
    ),
    "a bucket with Amazon's key": (
        'aws_s3_bucket_server_side_encryption_configuration.this["cuts"]',
        ["rule", 0, "apply_server_side_encryption_by_default", 0, "sse_algorithm"],
        "AES256",
        "not encrypted with a key of the platform",
    ),
    "a bucket without TLS": ('aws_s3_bucket_policy.this["access"]', ["policy"], granted(), "answers without TLS"),
    "a plain disk": ("aws_db_instance.this", ["storage_encrypted"], False, "disk not encrypted"),
    "a plain node": (
        'aws_launch_template.node["stream"]',
        ["block_device_mappings", 0, "ebs", 0, "encrypted"],
        "false",
        "disks not encrypted",
    ),
    "metadata without token": (
        'aws_launch_template.node["stream"]',
        ["metadata_options", 0, "http_tokens"],
        "optional",
        "without a token",
    ),
    "plain files": ("aws_efs_file_system.home", ["encrypted"], False, "files not encrypted"),
    "plain traffic": (
        "aws_msk_cluster.this",
        ["encryption_info", 0, "encryption_in_transit", 0, "client_broker"],
        "TLS_PLAINTEXT",
        "in the clear",
    ),
    "plain secrets": ("aws_eks_cluster.this", ["encryption_config"], [], "secrets not encrypted"),
    "a key for ever": ("storage.module.key.aws_kms_key.this", ["enable_key_rotation"], False, "never renewed"),
    "a lock that can be lifted": (
        'aws_s3_bucket_object_lock_configuration.this["cuts"]',
        ["rule", 0, "default_retention", 0, "mode"],
        "GOVERNANCE",
        "expected a compliance lock",
    ),
    "a lock too short": (
        'aws_s3_bucket_object_lock_configuration.this["reports"]',
        ["rule", 0, "default_retention", 0, "years"],
        5,
        "expected a compliance lock",
    ),
    "no versions": (
        'aws_s3_bucket_versioning.this["cuts"]',
        ["versioning_configuration", 0, "status"],
        "Suspended",
        "keeps no versions",
    ),
    "a bucket that goes with its records": ('aws_s3_bucket.this["cuts"]', ["force_destroy"], True, "can be destroyed"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_plan_with_one_thing_wrong_is_refused(plans, what):
    address, path, value, complaint = MUTATIONS[what]
    plan = copy.deepcopy(plans["production"])
    (found,) = [change for change in plan["resource_changes"] if change["address"].endswith(address)]
    changed(found, path, value)
    assert [text for text in violations(plan, 6) if complaint in text], f"{what} was let through"


def test_a_wildcard_in_a_policy_that_names_resources_to_be_made_is_refused(plans):
    plan = copy.deepcopy(plans["production"])
    (found,) = [
        c for c in plan["resource_changes"] if c["address"].endswith('data.aws_iam_policy_document.workload["flink"]')
    ]
    found["change"]["after"]["statement"][1]["actions"] = ["kms:*"]
    assert [text for text in violations(plan, 6) if "action kms:*" in text]


def test_a_policy_that_cannot_be_read_is_refused(plans):
    plan = copy.deepcopy(plans["production"])
    cluster = plan["configuration"]["root_module"]["module_calls"]["platform"]["module"]["module_calls"]["cluster"]
    (found,) = [r for r in cluster["module"]["resources"] if r["address"] == "aws_iam_role_policy.workload"]
    found["expressions"]["policy"] = {"references": ["var.policies"]}
    assert [text for text in violations(plan, 6) if "cannot be read from the plan" in text]


@pytest.mark.parametrize("kind", ["aws_internet_gateway", "aws_nat_gateway", "aws_iam_access_key"])
def test_a_kind_of_resource_that_must_not_be_is_refused(plans, kind):
    plan = copy.deepcopy(plans["production"])
    plan["resource_changes"].append(
        {
            "address": f"{kind}.x",
            "mode": "managed",
            "type": kind,
            "name": "x",
            "change": {"after": {}, "after_unknown": {}},
        }
    )
    assert [text for text in violations(plan, 6) if f"{kind}.x" in text]


def test_records_are_locked_as_long_as_their_events_are_kept():
    """The object lock and the raw topics follow the same rule."""
    import tomllib

    kinds = tomllib.loads((Path("orchestration/topics/kinds.toml")).read_text())
    default = re.search(
        r'variable "retention_years".*?default += (\d+)',
        (SOURCES / "modules/storage/variables.tf").read_text(),
        re.DOTALL,
    )
    assert kinds["raw"]["retention_days"] >= int(default[1]) * 365
