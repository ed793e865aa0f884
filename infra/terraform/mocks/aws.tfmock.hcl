# A policy document is computed by the provider; a mocked one must still be JSON.
mock_data "aws_iam_policy_document" {
  defaults = {
    json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  }
}

# What the roles of workloads and the security groups of everything else hang on.
mock_resource "aws_eks_cluster" {
  override_during = plan
  defaults = {
    identity   = [{ oidc = [{ issuer = "https://oidc.example/id/1" }] }]
    vpc_config = { cluster_security_group_id = "sg-1" }
  }
}
