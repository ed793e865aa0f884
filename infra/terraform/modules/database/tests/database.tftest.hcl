mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                     = "plumbline-test"
  region                   = "eu-west-1"
  account_id               = "123456789012"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_group_id = "sg-1"
  instance_class           = "db.t4g.medium"
}

run "the_database_is_private_encrypted_and_in_two_zones" {
  command = plan

  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.storage_encrypted
    error_message = "The database must be private and encrypted"
  }

  assert {
    condition     = aws_db_instance.this.multi_az && length(aws_db_subnet_group.this.subnet_ids) == 3
    error_message = "The database must survive the loss of a zone"
  }

  assert {
    condition     = anytrue([for p in aws_db_parameter_group.this.parameter : p.name == "rds.force_ssl" && p.value == "1"])
    error_message = "Connections must be TLS"
  }
}

run "no_password_is_in_the_state" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "RDS makes and keeps the password"
  }
}

run "it_is_not_lost_by_mistake" {
  command = plan

  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.backup_retention_period == 35
    error_message = "Deleting must be refused, and every second of five weeks must be recoverable"
  }
}

run "a_week_without_backup_is_rejected" {
  command         = plan
  expect_failures = [var.backup_days]

  variables {
    backup_days = 1
  }
}

run "an_old_postgres_is_rejected" {
  command         = plan
  expect_failures = [var.engine_version]

  variables {
    engine_version = "11.4"
  }
}

run "a_class_that_is_none_is_rejected" {
  command         = plan
  expect_failures = [var.instance_class]

  variables {
    instance_class = "t4g.medium"
  }
}

run "one_zone_is_rejected" {
  command         = plan
  expect_failures = [var.subnet_ids]

  variables {
    subnet_ids = ["subnet-a"]
  }
}
