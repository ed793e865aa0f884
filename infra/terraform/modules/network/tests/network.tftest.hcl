mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name               = "plumbline-test"
  region             = "eu-west-1"
  account_id         = "123456789012"
  cidr               = "10.20.0.0/16"
  availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

run "three_zones_and_no_public_address" {
  command = plan

  assert {
    condition     = toset([for subnet in aws_subnet.private : subnet.availability_zone]) == toset(var.availability_zones)
    error_message = "There must be one private subnet in each of three zones"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : !subnet.map_public_ip_on_launch])
    error_message = "No subnet may give out public addresses"
  }

  assert {
    condition     = length(distinct([for subnet in aws_subnet.private : subnet.cidr_block])) == 3
    error_message = "The zones must not share addresses"
  }
}

run "aws_services_are_reached_without_leaving" {
  command = plan

  assert {
    condition = alltrue([
      for service in ["ecr.api", "ecr.dkr", "eks", "kms", "logs", "monitoring", "secretsmanager", "sts"] :
      aws_vpc_endpoint.interface[service].private_dns_enabled
    ])
    error_message = "Every service in use needs a private endpoint"
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 is reached through its gateway endpoint"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.20.0.0/16"
    error_message = "Endpoints answer the network's own addresses only"
  }
}

run "all_traffic_is_recorded" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.retention_in_days == 400
    error_message = "Flow logs must record all traffic and stay a year and more"
  }
}

run "the_firms_ranges_are_routed_to_its_gateway" {
  command = plan

  variables {
    transit = { gateway_id = "tgw-0123456789abcdef0", cidrs = ["10.0.0.0/16"] }
  }

  assert {
    condition     = aws_route.firm["10.0.0.0/16"].transit_gateway_id == "tgw-0123456789abcdef0"
    error_message = "The firm's ranges go through its transit gateway"
  }
}

run "two_zones_are_rejected" {
  command         = plan
  expect_failures = [var.availability_zones]

  variables {
    availability_zones = ["eu-west-1a", "eu-west-1b"]
  }
}

run "a_public_range_is_rejected" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "52.0.0.0/16"
  }
}

run "a_range_too_small_is_rejected" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.0/24"
  }
}

run "a_default_route_is_rejected" {
  command         = plan
  expect_failures = [var.transit]

  variables {
    transit = { gateway_id = "tgw-0123456789abcdef0", cidrs = ["0.0.0.0/0"] }
  }
}
