output "kafka_secret_arns" {
  description = "Secret of each Kafka principal."
  value       = { for principal, secret in aws_secretsmanager_secret.kafka : principal => secret.arn }
  depends_on  = [aws_secretsmanager_secret_version.kafka, aws_secretsmanager_secret_policy.kafka]
}

output "other_secret_arns" {
  description = "The other secrets by name."
  value       = { for name, secret in aws_secretsmanager_secret.other : name => secret.arn }
}

output "key_arn" {
  description = "The key of the secrets."
  value       = module.key.arn
}
