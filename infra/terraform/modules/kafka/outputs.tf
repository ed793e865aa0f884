output "bootstrap_brokers" {
  description = "SCRAM over TLS addresses of the brokers."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_scram
}

output "cluster_name" {
  description = "Name under which CloudWatch knows the cluster."
  value       = aws_msk_cluster.this.cluster_name
}
