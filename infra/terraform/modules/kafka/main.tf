# MSK in three zones: TLS everywhere, SCRAM logins, three copies of everything, two of them in step before a write counts.

locals {
  properties = {
    "allow.everyone.if.no.acl.found" = var.open_until_acls_exist
    "auto.create.topics.enable"      = false
    "default.replication.factor"     = 3
    "min.insync.replicas"            = 2
    "unclean.leader.election.enable" = false
    # Committed progress is what tells a job where it stands: ten years. Absent progress is refused, never zero.
    "offsets.retention.minutes" = 5256000
    # A writer that died holds back every reader until its transaction is aborted.
    "transaction.max.timeout.ms"               = 45000
    "transaction.state.log.replication.factor" = 3
    "transaction.state.log.min.isr"            = 2
    "message.max.bytes"                        = 16777216
    "replica.fetch.max.bytes"                  = 16777216
  }
}

module "key" {
  source = "../key"

  name        = "${var.name}-kafka"
  description = "Volumes and broker logs of ${var.name}"
  account_id  = var.account_id
  logs_region = var.region
  tags        = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-kafka"
  description = "Kafka brokers"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-kafka" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = {
    scram = { port = 9096, text = "SCRAM over TLS from the cluster" }
    jmx   = { port = 11001, text = "Broker metrics for Prometheus" }
    node  = { port = 11002, text = "Host metrics for Prometheus" }
  }

  security_group_id            = aws_security_group.this.id
  description                  = each.value.text
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.tags
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/kafka"
  retention_in_days = 400
  kms_key_id        = module.key.arn
  tags              = var.tags
}

resource "aws_msk_configuration" "this" {
  name              = var.name
  kafka_versions    = [var.kafka_version]
  server_properties = join("\n", [for name, value in local.properties : "${name}=${value}"])

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = 3 * var.brokers_per_zone
  enhanced_monitoring    = "PER_TOPIC_PER_PARTITION" # lag of each group
  storage_mode           = "TIERED"                  # raw topics are kept for years
  tags                   = var.tags

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnet_ids
    az_distribution = "DEFAULT"
    security_groups = [aws_security_group.this.id]

    storage_info {
      ebs_storage_info {
        volume_size = var.volume_gib
      }
    }

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }
  }

  client_authentication {
    unauthenticated = false

    sasl {
      scram = true
      iam   = false
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = module.key.arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }

      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.this.name
      }
    }
  }
}

resource "aws_msk_scram_secret_association" "this" {
  cluster_arn     = aws_msk_cluster.this.arn
  secret_arn_list = values(var.login_secret_arns)
}
