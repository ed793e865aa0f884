"""The tests of the infrastructure never pass by not running: skipped with a reason, and in CI a failure."""

import pytest
import terraform

PROVIDER = "registry.example/hashicorp/aws/5.100.0/linux_amd64/terraform-provider-aws_v5.100.0_x5"


@pytest.fixture(autouse=True)
def afresh():
    terraform.provider_mirror.cache_clear()
    yield
    terraform.provider_mirror.cache_clear()


@pytest.fixture
def no_mirror(monkeypatch, tmp_path):
    monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(tmp_path))
    monkeypatch.setattr(terraform.shutil, "which", lambda name: f"/somewhere/{name}")


def test_without_the_provider_the_tests_are_skipped_and_say_why(no_mirror, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no terraform-provider-aws.*PLUMBLINE_TERRAFORM_PROVIDERS"):
        terraform.require_terraform()


def test_without_the_provider_ci_fails(no_mirror, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must test the infrastructure"):
        terraform.require_terraform()


def test_without_terraform_ci_fails(monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(terraform.shutil, "which", lambda name: None)
    with pytest.raises(pytest.fail.Exception, match="there is no terraform on the path"):
        terraform.require_terraform()


def test_the_mirror_is_the_folder_above_the_hosts_name(monkeypatch, tmp_path):
    provider = tmp_path / "some" / "mirror" / PROVIDER
    provider.parent.mkdir(parents=True)
    provider.touch()
    monkeypatch.setenv(terraform.MIRROR_VARIABLE, str(tmp_path))
    assert terraform.provider_mirror() == tmp_path / "some" / "mirror"
