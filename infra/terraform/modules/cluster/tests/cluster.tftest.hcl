mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                    = "plumbline-test"
  region                  = "eu-west-1"
  account_id              = "123456789012"
  subnet_ids              = ["subnet-a", "subnet-b", "subnet-c"]
  administrator_role_arns = ["arn:aws:iam::123456789012:role/platform"]
  operator_cidrs          = ["10.0.0.0/16"]

  node_groups = {
    stream = { instance_type = "m7i.2xlarge", min = 3, max = 6 }
  }

  workload_roles = {
    flink = {
      namespace       = "plumbline"
      service_account = "flink"
      statements      = [{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::checkpoints/*"] }]
    }
  }
}

run "the_api_is_private_and_recorded" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "The Kubernetes API must not be public"
  }

  assert {
    condition     = contains(aws_eks_cluster.this.enabled_cluster_log_types, "audit")
    error_message = "Who did what must be recorded"
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "Administrators are named, none by having created the cluster"
  }
}

run "secrets_disks_and_images_are_encrypted" {
  command = plan

  assert {
    condition     = contains(one(aws_eks_cluster.this.encryption_config).resources, "secrets")
    error_message = "Kubernetes secrets must be encrypted"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.node : template.block_device_mappings[0].ebs[0].encrypted == "true"])
    error_message = "Disks of nodes must be encrypted"
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.encryption_configuration[0].encryption_type == "KMS" && repository.image_tag_mutability == "IMMUTABLE"])
    error_message = "Images must be encrypted, and a tag must never change its image"
  }
}

run "nodes_are_in_three_zones_and_keep_their_role_to_themselves" {
  command = plan

  assert {
    condition     = alltrue([for group in aws_eks_node_group.this : length(group.subnet_ids) == 3 && group.scaling_config[0].min_size >= 3])
    error_message = "Every group must have a node in each of three zones"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.node : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "A pod must not be able to take the node's role"
  }
}

run "each_workload_has_a_role_of_its_own" {
  command = plan

  assert {
    condition     = aws_iam_role.workload["flink"].name == "plumbline-test-flink" && aws_iam_openid_connect_provider.this.client_id_list == toset(["sts.amazonaws.com"])
    error_message = "Workloads take roles through the cluster's identity provider"
  }

  assert {
    condition     = strcontains(aws_eks_addon.this["vpc-cni"].configuration_values, "enableNetworkPolicy")
    error_message = "Network policies must be enforced"
  }
}

run "a_wildcard_action_is_rejected" {
  command         = plan
  expect_failures = [var.workload_roles]

  variables {
    workload_roles = {
      flink = {
        namespace       = "plumbline"
        service_account = "flink"
        statements      = [{ actions = ["s3:*"], resources = ["arn:aws:s3:::checkpoints/*"] }]
      }
    }
  }
}

run "the_whole_internet_is_rejected" {
  command         = plan
  expect_failures = [var.operator_cidrs]

  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
}

run "two_nodes_are_rejected" {
  command         = plan
  expect_failures = [var.node_groups]

  variables {
    node_groups = { stream = { instance_type = "m7i.2xlarge", min = 2, max = 6 } }
  }
}

run "a_cluster_without_administrators_is_rejected" {
  command         = plan
  expect_failures = [var.administrator_role_arns]

  variables {
    administrator_role_arns = []
  }
}

run "an_old_kubernetes_is_rejected" {
  command         = plan
  expect_failures = [var.kubernetes_version]

  variables {
    kubernetes_version = "1.24"
  }
}

run "two_subnets_are_rejected" {
  command         = plan
  expect_failures = [var.subnet_ids]

  variables {
    subnet_ids = ["subnet-a", "subnet-b"]
  }
}
