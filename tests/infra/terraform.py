"""Terraform for tests: found, offline, and never in the repository's own folders."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "infra" / "terraform"
MIRROR_VARIABLE = "PLUMBLINE_TERRAFORM_PROVIDERS"
PLACES = ("/opt", "/usr/local/share/terraform", "/usr/share/terraform", "~/.terraform.d")
LEVELS = 6  # from the mirror's root: host, namespace, provider, version, platform, file
TIMEOUT_S = 240

OFFLINE = """
terraform {
  backend "local" {}
}

provider "aws" {
  access_key                  = "offline"
  secret_key                  = "offline"
  allowed_account_ids         = null
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}
"""
"""Laid over an environment: a plan without state, login or network. No data source of ours asks AWS anything."""


def require_terraform() -> Path:
    """The root of the provider mirror; skips where there is none, fails there in CI, where there must be one."""
    mirror = provider_mirror()
    if shutil.which("terraform") is None:
        missing = "there is no terraform on the path"
    elif mirror is None:
        missing = f"no terraform-provider-aws below {', '.join(PLACES)}; name its mirror in {MIRROR_VARIABLE}"
    else:
        return mirror
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must test the infrastructure: {missing}", pytrace=False)
    pytest.skip(f"the infrastructure is not tested here: {missing}")


@cache
def provider_mirror() -> Path | None:
    """The folder to hand to ``-plugin-dir``: the one named in the environment, else the first found."""
    named = os.environ.get(MIRROR_VARIABLE)
    for place in (named,) if named else PLACES:
        for found in sorted(Path(place).expanduser().rglob("terraform-provider-aws*")):
            return found.parents[LEVELS - 1]
    return None


class Terraform:
    """Commands on a copy of the sources: ``init`` writes beside them."""

    def __init__(self, mirror: Path, scratch: Path):
        self._mirror, self._scratch = mirror, scratch
        self.tree = scratch / "terraform"
        shutil.copytree(SOURCES, self.tree, ignore=shutil.ignore_patterns(".terraform"))
        self._ready: set[str] = set()

    def run(self, where: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One command in a module or an environment."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))},
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_DATA_DIR": str(self._scratch / "data" / where.replace("/", "-")),
            "CHECKPOINT_DISABLE": "1",
            **variables,
        }
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.tree / where,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def ready(self, where: str) -> None:
        """``init``, once a folder."""
        if where not in self._ready:
            done = self.run(where, "init", "-input=false", "-no-color", f"-plugin-dir={self._mirror}")
            assert done.returncode == 0, done.stderr
            self._ready.add(where)

    def plan(self, environment: str, values: dict[str, Any]) -> dict[str, Any]:
        """The plan of an environment from nothing, as JSON."""
        where = f"environments/{environment}"
        (self.tree / where / "offline_override.tf").write_text(OFFLINE)
        (self.tree / where / "test.auto.tfvars.json").write_text(json.dumps(values))
        self.ready(where)
        planned = self.run(where, "plan", "-refresh=false", "-input=false", "-no-color", "-out=test.tfplan")
        assert planned.returncode == 0, planned.stderr
        shown = self.run(where, "show", "-json", "test.tfplan")
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)
