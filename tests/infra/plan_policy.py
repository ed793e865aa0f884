"""What no plan may contain: wildcards in what is granted, anything public, anything in the clear, records unlocked.

Works on the JSON of ``terraform show -json PLAN``. A policy is read from the resource that carries it, or, where it
names resources that do not exist yet, from the document that the plan defers.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Plan = Mapping[str, Any]
Resource = Mapping[str, Any]

POLICIES = {
    "aws_iam_policy": ("policy",),
    "aws_iam_role_policy": ("policy",),
    "aws_iam_role": ("assume_role_policy",),
    "aws_s3_bucket_policy": ("policy",),
    "aws_kms_key": ("policy",),
    "aws_sns_topic_policy": ("policy",),
    "aws_secretsmanager_secret_policy": ("policy",),
    "aws_vpc_endpoint": ("policy",),
}
"""Every resource type in use that carries a policy."""

NARROWING = frozenset({"aws_vpc_endpoint"})
"""An endpoint's policy grants nothing: it narrows what IAM grants elsewhere, so AWS has it begin from everything."""

THIS_KEY = frozenset({"aws_kms_key"})
"""In a key's policy the only resource is the key itself, and AWS has it written as a wildcard."""

RESOURCE_WILDCARDS = (
    (re.compile(r"arn:aws:s3:::[a-z0-9.-]+/\*"), "the objects of one bucket have no other common name"),
    (re.compile(r"arn:aws:logs:[a-z0-9-]+:\d{12}:log-group:[^*]+:\*"), "the streams of one log group"),
)

MANAGED_POLICIES = {
    "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy": "EKS refuses a cluster role without it",
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy": "a node cannot join without it",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly": "a node pulls images",
    "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy": "the network add-on changes with AWS",
    "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy": "the disk add-on changes with AWS",
    "arn:aws:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy": "the file system add-on changes with AWS",
}

OWN_KEY_OF_S3 = {"access": "S3 delivers access records only to a bucket that its own key encrypts"}

FORBIDDEN = {
    "aws_internet_gateway": "a way in from the internet",
    "aws_nat_gateway": "a public address",
    "aws_eip": "a public address",
    "aws_iam_access_key": "a login that does not expire",
    "aws_iam_user": "a login that does not expire",
    "aws_s3_bucket_acl": "access beside the policies",
}


def violations(plan: Plan, lock_years_min: int) -> list[str]:
    """Everything in the plan that must not be, as ``address: what``; empty for a good plan."""
    resources = [change for change in plan["resource_changes"] if change["mode"] == "managed"]
    return [
        *_forbidden(resources),
        *_wildcards(plan, resources),
        *_public(resources),
        *_unencrypted(resources),
        *_unlocked(resources, lock_years_min),
    ]


def of_type(resources: Sequence[Resource], *types: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Address, planned values and what is unknown until apply, of every resource of the types."""
    for resource in resources:
        if resource["type"] in types:
            yield resource["address"], resource["change"]["after"], resource["change"]["after_unknown"]


def _forbidden(resources: Sequence[Resource]) -> Iterator[str]:
    for resource in resources:
        if resource["type"] in FORBIDDEN:
            yield f"{resource['address']}: {FORBIDDEN[resource['type']]}"
    for address, values, _ in of_type(resources, "aws_iam_role_policy_attachment"):
        if values["policy_arn"] not in MANAGED_POLICIES:
            yield f"{address}: {values['policy_arn']} is not one of the managed policies with a reason"


def _wildcards(plan: Plan, resources: Sequence[Resource]) -> Iterator[str]:
    for resource in resources:
        for name in POLICIES.get(resource["type"], ()):
            document = resource["change"]["after"].get(name)
            if document is not None:
                for statement in _listed(json.loads(document)["Statement"]):
                    yield from _statement(resource, statement)
            elif not _is_deferred_document(plan, resource, name):
                yield f"{resource['address']}: its {name} cannot be read from the plan"
    for change in plan["resource_changes"]:
        if change["mode"] == "data" and change["type"] == "aws_iam_policy_document":
            for block in change["change"]["after"]["statement"]:
                yield from _statement(change, _from_block(block))


def _statement(resource: Resource, statement: Mapping[str, Any]) -> Iterator[str]:
    if statement["Effect"] == "Deny" or resource["type"] in NARROWING:
        return
    address = f"{resource['address']} {statement.get('Sid', '')}".rstrip()
    for refused in ("NotAction", "NotResource", "NotPrincipal"):
        if statement.get(refused):
            yield f"{address}: grants by {refused}"
    for action in _listed(statement.get("Action", [])):
        if "*" in action:
            yield f"{address}: action {action}"
    for name in _listed(statement.get("Resource", [])):
        known = any(pattern.fullmatch(name) for pattern, _ in RESOURCE_WILDCARDS)
        if "*" in name and not known and resource["type"] not in THIS_KEY:
            yield f"{address}: resource {name}"
    principals = statement.get("Principal", {})
    if "*" in (principals if isinstance(principals, str) else _listed(principals.get("AWS", []))):
        yield f"{address}: open to everybody"
    if "s3.amazonaws.com" in str(principals) and "aws:SourceAccount" not in str(statement.get("Condition", {})):
        yield f"{address}: a service may be used by other accounts"


def _public(resources: Sequence[Resource]) -> Iterator[str]:
    for address, values, _ in of_type(resources, "aws_subnet"):
        if values["map_public_ip_on_launch"]:
            yield f"{address}: gives out public addresses"
    for address, values, _ in of_type(resources, "aws_db_instance"):
        if values["publicly_accessible"]:
            yield f"{address}: public database"
    for address, values, _ in of_type(resources, "aws_msk_cluster"):
        if values["broker_node_group_info"][0]["connectivity_info"][0]["public_access"][0]["type"] != "DISABLED":
            yield f"{address}: public brokers"
        if values["client_authentication"][0]["unauthenticated"]:
            yield f"{address}: clients need not log in"
    for address, values, _ in of_type(resources, "aws_eks_cluster"):
        if values["vpc_config"][0]["endpoint_public_access"]:
            yield f"{address}: public Kubernetes API"
    for address, values, _ in of_type(resources, "aws_vpc_security_group_ingress_rule", "aws_route"):
        cidr = values.get("cidr_ipv4") or values.get("destination_cidr_block")
        if values.get("cidr_ipv6") or (cidr and not ipaddress.ip_network(cidr).is_private):
            yield f"{address}: reaches beyond private addresses ({cidr})"
    for address, values, _ in of_type(resources, "aws_security_group"):
        if values.get("ingress"):
            yield f"{address}: rules inside the group escape this check"
    flags = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    blocked = _by_key(resources, "aws_s3_bucket_public_access_block")
    for key, bucket in _by_key(resources, "aws_s3_bucket").items():
        if not all(blocked.get(key, {}).get(flag) for flag in flags):
            yield f"bucket {bucket['bucket']}: can be made public"


def _unencrypted(resources: Sequence[Resource]) -> Iterator[str]:
    sealed = _by_key(resources, "aws_s3_bucket_server_side_encryption_configuration")
    tls = _by_key(resources, "aws_s3_bucket_policy")
    for key, bucket in _by_key(resources, "aws_s3_bucket").items():
        rules = sealed.get(key, {}).get("rule", [{}])
        defaults = rules[0].get("apply_server_side_encryption_by_default", [{}])
        if defaults[0].get("sse_algorithm") != ("AES256" if key in OWN_KEY_OF_S3 else "aws:kms"):
            yield f"bucket {bucket['bucket']}: not encrypted with a key of the platform"
        if "aws:SecureTransport" not in tls.get(key, {}).get("policy", ""):
            yield f"bucket {bucket['bucket']}: answers without TLS"
    for address, values, _ in of_type(resources, "aws_db_instance"):
        if not values["storage_encrypted"]:
            yield f"{address}: disk not encrypted"
        if values.get("password"):
            yield f"{address}: password in the plan"
    for address, values, _ in of_type(resources, "aws_efs_file_system"):
        if not values["encrypted"]:
            yield f"{address}: files not encrypted"
    for address, values, _ in of_type(resources, "aws_launch_template"):
        if any(disk["ebs"][0]["encrypted"] != "true" for disk in values["block_device_mappings"]):
            yield f"{address}: disks not encrypted"
        if values["metadata_options"][0]["http_tokens"] != "required":
            yield f"{address}: instance metadata without a token"
    for address, values, _ in of_type(resources, "aws_msk_cluster"):
        transit = values["encryption_info"][0]["encryption_in_transit"][0]
        if transit["client_broker"] != "TLS" or not transit["in_cluster"]:
            yield f"{address}: traffic in the clear"
    for address, values, _ in of_type(resources, "aws_eks_cluster"):
        if not any("secrets" in block["resources"] for block in values["encryption_config"] or []):
            yield f"{address}: secrets not encrypted"
    for address, values, _ in of_type(resources, "aws_kms_key"):
        if not values["enable_key_rotation"]:
            yield f"{address}: key material is never renewed"
    keys = {
        "aws_cloudwatch_log_group": "kms_key_id",
        "aws_secretsmanager_secret": "kms_key_id",
        "aws_sns_topic": "kms_master_key_id",
    }
    for kind, name in keys.items():
        for address, values, unknown in of_type(resources, kind):
            if not values.get(name) and not unknown.get(name):
                yield f"{address}: without a key of the platform"


def _unlocked(resources: Sequence[Resource], years_min: int) -> Iterator[str]:
    locks, versions = (
        _by_key(resources, f"aws_s3_bucket_{what}") for what in ("object_lock_configuration", "versioning")
    )
    for key, bucket in _by_key(resources, "aws_s3_bucket").items():
        if versions.get(key, {}).get("versioning_configuration", [{}])[0].get("status") != "Enabled":
            yield f"bucket {bucket['bucket']}: keeps no versions"
        if bucket["force_destroy"]:
            yield f"bucket {bucket['bucket']}: can be destroyed with what it holds"
        if key not in ("cuts", "reports"):
            continue
        retention = locks.get(key, {}).get("rule", [{}])[0].get("default_retention", [{}])[0]
        if retention.get("mode") != "COMPLIANCE" or (retention.get("years") or 0) < years_min:
            yield f"bucket {bucket['bucket']}: expected a compliance lock of {years_min} years, found {retention}"


def _by_key(resources: Sequence[Resource], kind: str) -> dict[str, Mapping[str, Any]]:
    return {resource["index"]: resource["change"]["after"] for resource in resources if resource["type"] == kind}


def _is_deferred_document(plan: Plan, resource: Resource, name: str) -> bool:
    """Whether the attribute comes from a policy document that the plan lists too."""
    module = plan["configuration"]["root_module"]
    for call in re.findall(r"module\.([\w-]+)", resource.get("module_address", "")):
        module = module["module_calls"][call]["module"]
    local = f"{resource['type']}.{resource['name']}"
    configured = next(found for found in module["resources"] if found["address"] == local)
    references = configured["expressions"].get(name, {}).get("references", [])
    return any(reference.startswith("data.aws_iam_policy_document.") for reference in references)


def _from_block(block: Mapping[str, Any]) -> dict[str, Any]:
    principals: dict[str, list[str]] = {}
    for principal in block["principals"]:
        principals.setdefault(principal["type"], []).extend(principal["identifiers"])
    return {
        "Sid": block["sid"] or "",
        "Effect": block["effect"] or "Allow",
        "Action": block["actions"] or [],
        "NotAction": block["not_actions"],
        "Resource": [name for name in block["resources"] or [] if name is not None],  # null: of a resource to be made
        "NotResource": block["not_resources"],
        "Principal": principals,
        "Condition": block["condition"],
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
