# One environment: everything the jobs, the console and their records need. Environments differ in sizes only.

locals {
  tags      = merge(var.tags, { environment = var.name, service = "plumbline" })
  namespace = "plumbline"

  read  = ["s3:GetObject", "s3:ListBucket"]
  write = concat(local.read, ["s3:PutObject", "s3:AbortMultipartUpload"])
  crypt = ["kms:Decrypt", "kms:GenerateDataKey"]

  workload_roles = {
    flink = {
      namespace       = local.namespace
      service_account = "flink"
      statements = [
        { actions = concat(local.write, ["s3:DeleteObject"]), resources = local.arns.checkpoints },
        { actions = local.crypt, resources = [module.storage.key_arn] },
      ]
    }
    archive = { # puts sealed cuts and published reports where nobody can change them; may not delete
      namespace       = local.namespace
      service_account = "archive"
      statements = [
        { actions = local.write, resources = concat(local.arns.cuts, local.arns.reports) },
        { actions = local.crypt, resources = [module.storage.key_arn] },
      ]
    }
    external-secrets = {
      namespace       = local.namespace
      service_account = "external-secrets"
      statements = [
        {
          actions = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
          resources = concat(
            values(module.secrets.kafka_secret_arns), values(module.secrets.other_secret_arns), [module.database.password_secret_arn],
          )
        },
        { actions = ["kms:Decrypt"], resources = [module.secrets.key_arn, module.database.key_arn] },
      ]
    }
    logs = { # ships the workloads' logs, and with them their figures
      namespace       = "logging"
      service_account = "fluent-bit"
      statements = [
        {
          actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
          resources = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.name}/workloads:*"]
        },
      ]
    }
  }

  arns = {
    for purpose, bucket in module.storage.buckets : purpose => ["arn:aws:s3:::${bucket}", "arn:aws:s3:::${bucket}/*"]
  }
}

module "network" {
  source = "../network"

  name               = var.name
  region             = var.region
  account_id         = var.account_id
  cidr               = var.cidr
  availability_zones = var.availability_zones
  transit            = var.transit
  tags               = local.tags
}

module "cluster" {
  source = "../cluster"

  name                    = var.name
  region                  = var.region
  account_id              = var.account_id
  subnet_ids              = module.network.private_subnet_ids
  node_groups             = var.node_groups
  workload_roles          = local.workload_roles
  operator_cidrs          = var.transit == null ? [] : var.transit.cidrs
  administrator_role_arns = var.administrator_role_arns
  tags                    = local.tags
}

module "storage" {
  source = "../storage"

  name                     = var.name
  region                   = var.region
  account_id               = var.account_id
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  holds_records            = var.holds_records
  retention_years          = var.retention_years
  tags                     = local.tags
}

module "secrets" {
  source = "../secrets"

  name            = var.name
  region          = var.region
  account_id      = var.account_id
  principals      = concat(var.jobs, ["clock", "feeds", "sealer", "console", "admin"])
  kafka_passwords = var.kafka_passwords
  tokens          = var.tokens
  generation      = var.secrets_generation
  tags            = local.tags
}

module "kafka" {
  source = "../kafka"

  name                     = var.name
  region                   = var.region
  account_id               = var.account_id
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  instance_type            = var.kafka.instance_type
  brokers_per_zone         = var.kafka.brokers_per_zone
  volume_gib               = var.kafka.volume_gib
  login_secret_arns        = module.secrets.kafka_secret_arns
  open_until_acls_exist    = var.kafka_open_until_acls_exist
  tags                     = local.tags
}

module "database" {
  source = "../database"

  name                     = var.name
  region                   = var.region
  account_id               = var.account_id
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  instance_class           = var.database.instance_class
  storage_gib              = var.database.storage_gib
  tags                     = local.tags
}

module "observability" {
  source = "../observability"

  name               = var.name
  region             = var.region
  account_id         = var.account_id
  jobs               = var.jobs
  kafka_cluster_name = module.kafka.cluster_name
  alarm_addresses    = var.alarm_addresses
  tags               = local.tags
}
