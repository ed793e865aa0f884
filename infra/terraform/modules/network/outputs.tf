output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "One private subnet a zone."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}

output "cidr" {
  description = "Address range of the network."
  value       = var.cidr
}
