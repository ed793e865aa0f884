# The firm's records: sized for 10 million trades a day (docs/decisions/0007-sizes-and-cost.md).

module "platform" {
  source = "../../modules/platform"

  name                        = "plumbline-production"
  region                      = var.region
  account_id                  = var.account_id
  cidr                        = "10.60.0.0/16"
  availability_zones          = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  transit                     = var.transit
  administrator_role_arns     = var.administrator_role_arns
  alarm_addresses             = var.alarm_addresses
  kafka_passwords             = var.kafka_passwords
  tokens                      = var.tokens
  secrets_generation          = var.secrets_generation
  kafka_open_until_acls_exist = var.kafka_open_until_acls_exist

  holds_records   = true
  retention_years = 6

  node_groups = {
    stream  = { instance_type = "m7i.4xlarge", min = 3, max = 6 }
    console = { instance_type = "m7i.2xlarge", min = 3, max = 4 }
  }

  kafka = {
    instance_type    = "kafka.m7g.xlarge"
    brokers_per_zone = 1
    volume_gib       = 500
  }

  database = {
    instance_class = "db.m7g.large"
    storage_gib    = 100
  }
}
