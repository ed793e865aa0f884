output "manifest_values" {
  description = "What infra/kubernetes/render.py fills into the manifests."
  value       = module.platform.manifest_values
}

output "alarm_metrics" {
  description = "The platform's own figures that alarms watch."
  value       = module.platform.alarm_metrics
}

output "principals" {
  description = "Who logs in to Kafka."
  value       = module.platform.principals
}
