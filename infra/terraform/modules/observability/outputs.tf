output "log_group" {
  description = "Where the workloads' logs go."
  value       = local.logs
  depends_on  = [aws_cloudwatch_log_group.workloads]
}

output "metrics" {
  description = "The platform's own figures that alarms watch."
  value       = sort(distinct([for alarm in local.alarms : alarm.metric]))
}
