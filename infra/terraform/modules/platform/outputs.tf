output "manifest_values" {
  description = "What infra/kubernetes/render.py fills into the manifests."
  value = {
    environment         = var.name
    region              = var.region
    account             = var.account_id
    role_arns           = module.cluster.workload_role_arns
    image_repositories  = module.cluster.image_repositories
    buckets             = module.storage.buckets
    file_system         = module.storage.volume_handle
    kafka_bootstrap     = module.kafka.bootstrap_brokers
    database_host       = module.database.address
    database_secret_arn = module.database.password_secret_arn
    network_cidr        = module.network.cidr
    log_group           = module.observability.log_group
  }
}

output "alarm_metrics" {
  description = "The platform's own figures that alarms watch."
  value       = module.observability.metrics
}

output "principals" {
  description = "Who logs in to Kafka."
  value       = concat(var.jobs, ["clock", "feeds", "sealer", "console", "admin"])
}
