mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name       = "plumbline-test"
  region     = "eu-west-1"
  account_id = "123456789012"
  principals = ["accounts", "admin"]
  generation = 1

  kafka_passwords = {
    accounts = "0123456789abcdef0123456789abcdef"
    admin    = "fedcba9876543210fedcba9876543210"
  }

  tokens = {
    slack-token          = "invented"
    oauth2-client-secret = "invented"
    oauth2-cookie-secret = "invented"
  }
}

run "every_secret_has_the_platforms_key_and_can_be_recovered" {
  command = plan

  assert {
    condition = alltrue([
      for secret in concat(values(aws_secretsmanager_secret.kafka), values(aws_secretsmanager_secret.other)) :
      secret.recovery_window_in_days == 30
    ])
    error_message = "A deleted secret must be recoverable"
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.kafka : startswith(secret.name, "AmazonMSK_")])
    error_message = "MSK takes secrets called AmazonMSK_... only"
  }
}

run "no_value_is_kept" {
  command = plan

  assert {
    condition = alltrue([
      for version in concat(values(aws_secretsmanager_secret_version.kafka), values(aws_secretsmanager_secret_version.other)) :
      version.secret_string_wo_version == 1 && version.secret_string_wo == null
    ])
    error_message = "Values are write-only"
  }
}

run "no_secret_can_be_made_public" {
  command = plan

  assert {
    condition     = alltrue([for policy in aws_secretsmanager_secret_policy.kafka : policy.block_public_policy])
    error_message = "A public policy must be refused"
  }
}

run "a_short_password_is_rejected" {
  command         = plan
  expect_failures = [var.kafka_passwords]

  variables {
    kafka_passwords = { accounts = "short", admin = "short" }
  }
}

run "principals_without_an_administrator_are_rejected" {
  command         = plan
  expect_failures = [var.principals]

  variables {
    principals = ["accounts"]
  }
}

run "a_generation_below_one_is_rejected" {
  command         = plan
  expect_failures = [var.generation]

  variables {
    generation = 0
  }
}
