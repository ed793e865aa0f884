# The rehearsal: invented data, the smallest profile (1 million trades a day), the shortest lock.

module "platform" {
  source = "../../modules/platform"

  name                        = "plumbline-staging"
  region                      = var.region
  account_id                  = var.account_id
  cidr                        = "10.61.0.0/16"
  availability_zones          = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  transit                     = var.transit
  administrator_role_arns     = var.administrator_role_arns
  alarm_addresses             = var.alarm_addresses
  kafka_passwords             = var.kafka_passwords
  tokens                      = var.tokens
  secrets_generation          = var.secrets_generation
  kafka_open_until_acls_exist = var.kafka_open_until_acls_exist

  holds_records   = false
  retention_years = 1

  node_groups = {
    stream  = { instance_type = "m7i.2xlarge", min = 3, max = 4 }
    console = { instance_type = "m7i.large", min = 3, max = 4 }
  }

  kafka = {
    instance_type    = "kafka.m7g.large"
    brokers_per_zone = 1
    volume_gib       = 200
  }

  database = {
    instance_class = "db.t4g.medium"
    storage_gib    = 20
  }
}
