mock_provider "aws" {
  source = "../../mocks"
}

variables {
  account_id              = "123456789012"
  transit                 = { gateway_id = "tgw-0123456789abcdef0", cidrs = ["10.0.0.0/16"] }
  administrator_role_arns = ["arn:aws:iam::123456789012:role/platform"]
  alarm_addresses         = ["risk@example.com"]
  kafka_passwords = {
    for principal in ["market", "accounts", "firm", "clock", "feeds", "sealer", "console", "admin"] :
    principal => "invented-invented-invented-invented"
  }
  tokens = { slack-token = "invented", oauth2-client-secret = "invented", oauth2-cookie-secret = "invented" }
}

run "the_environment_plans" {
  command = plan

  assert {
    condition     = output.manifest_values.environment == "plumbline-staging" && output.manifest_values.buckets.cuts == "plumbline-staging-123456789012-cuts"
    error_message = "Names must carry the environment and the account"
  }

  assert {
    condition = output.alarm_metrics == tolist([
      "plumbline_checkpoint_age_seconds", "plumbline_cut_overdue_seconds", "plumbline_lag_seconds", "plumbline_pack_overdue_seconds",
    ])
    error_message = "Lag, checkpoints, cuts and packs must be watched"
  }
}

run "another_account_is_rejected" {
  command         = plan
  expect_failures = [var.account_id]

  variables {
    account_id = "production"
  }
}
