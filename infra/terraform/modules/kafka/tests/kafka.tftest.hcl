mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                     = "plumbline-test"
  region                   = "eu-west-1"
  account_id               = "123456789012"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_group_id = "sg-1"
  instance_type            = "kafka.m7g.large"
  volume_gib               = 500
  login_secret_arns        = { admin = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_x-abcdef" }
}

run "brokers_are_private_and_tls_only" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this.broker_node_group_info[0].connectivity_info[0].public_access[0].type == "DISABLED"
    error_message = "Brokers must not be public"
  }

  assert {
    condition = (
      aws_msk_cluster.this.encryption_info[0].encryption_in_transit[0].client_broker == "TLS" &&
      aws_msk_cluster.this.encryption_info[0].encryption_in_transit[0].in_cluster
    )
    error_message = "Everything between clients and brokers, and between brokers, must be TLS"
  }

  assert {
    condition     = aws_msk_cluster.this.client_authentication[0].sasl[0].scram && !aws_msk_cluster.this.client_authentication[0].unauthenticated
    error_message = "Clients must log in"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.referenced_security_group_id == "sg-1" && rule.cidr_ipv4 == null])
    error_message = "Only the cluster's own group may connect"
  }
}

run "three_zones_three_copies_two_in_step" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this.number_of_broker_nodes == 3 && length(aws_msk_cluster.this.broker_node_group_info[0].client_subnets) == 3
    error_message = "There must be a broker in each of three zones"
  }

  assert {
    condition = alltrue([
      for line in ["default.replication.factor=3", "min.insync.replicas=2", "unclean.leader.election.enable=false"] :
      contains(split("\n", aws_msk_configuration.this.server_properties), line)
    ])
    error_message = "A write counts when two of three copies have it, and a lost copy is never trusted"
  }
}

run "progress_is_kept_for_years_and_dead_writers_are_aborted_soon" {
  command = plan

  assert {
    condition = alltrue([
      for line in ["offsets.retention.minutes=5256000", "transaction.max.timeout.ms=45000"] :
      contains(split("\n", aws_msk_configuration.this.server_properties), line)
    ])
    error_message = "Progress must outlive any outage, and a dead writer must not hold back readers"
  }
}

run "access_without_an_acl_is_refused_by_default" {
  command = plan

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this.server_properties), "allow.everyone.if.no.acl.found=false")
    error_message = "Whoever has no grant must be refused"
  }
}

run "old_segments_are_tiered" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this.storage_mode == "TIERED"
    error_message = "Raw topics are kept for years: their old segments must not fill the brokers' disks"
  }
}

run "two_subnets_are_rejected" {
  command         = plan
  expect_failures = [var.subnet_ids]

  variables {
    subnet_ids = ["subnet-a", "subnet-b"]
  }
}

run "a_broker_without_tiering_is_rejected" {
  command         = plan
  expect_failures = [var.instance_type]

  variables {
    instance_type = "kafka.t3.small"
  }
}

run "an_old_kafka_is_rejected" {
  command         = plan
  expect_failures = [var.kafka_version]

  variables {
    kafka_version = "2.8.1"
  }
}

run "a_disk_too_small_is_rejected" {
  command         = plan
  expect_failures = [var.volume_gib]

  variables {
    volume_gib = 10
  }
}

run "no_broker_in_a_zone_is_rejected" {
  command         = plan
  expect_failures = [var.brokers_per_zone]

  variables {
    brokers_per_zone = 0
  }
}
