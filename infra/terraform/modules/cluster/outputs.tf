output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "security_group_id" {
  description = "Security group of the nodes and the control plane."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "workload_role_arns" {
  description = "IAM role of each workload."
  value       = { for workload in keys(var.workload_roles) : workload => aws_iam_role.workload[workload].arn }
}

output "image_repositories" {
  description = "Where each image is pushed to."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}
