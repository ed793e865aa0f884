mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name               = "plumbline-test"
  region             = "eu-west-1"
  account_id         = "123456789012"
  jobs               = ["market", "accounts"]
  kafka_cluster_name = "plumbline-test"
  alarm_addresses    = ["risk@example.com"]
}

run "lag_checkpoints_cuts_and_packs_are_watched" {
  command = plan

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.platform)) == toset([
      "market-lag", "market-checkpoint-age", "accounts-lag", "accounts-checkpoint-age", "missing-cut", "missing-pack",
    ])
    error_message = "Every job's lag and checkpoints, cuts and packs must be watched"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.platform : alarm.treat_missing_data == "breaching" && alarm.namespace == "Plumbline"])
    error_message = "Silence must raise an alarm"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.platform["accounts-lag"].dimensions == tomap({ environment = "plumbline-test", job = "accounts" })
    error_message = "An alarm watches one job"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.brokers : alarm.dimensions["Cluster Name"] == "plumbline-test"])
    error_message = "Brokers are watched beside"
  }
}

run "logs_stay_a_year_and_more" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_group.workloads.retention_in_days == 400
    error_message = "Logs must stay a year and more"
  }
}

run "nobody_to_tell_is_rejected" {
  command         = plan
  expect_failures = [var.alarm_addresses]

  variables {
    alarm_addresses = []
  }
}

run "no_job_is_rejected" {
  command         = plan
  expect_failures = [var.jobs]

  variables {
    jobs = []
  }
}

run "a_checkpoint_age_below_its_interval_is_rejected" {
  command         = plan
  expect_failures = [var.checkpoint_age_seconds_max]

  variables {
    checkpoint_age_seconds_max = 5
  }
}

run "a_lag_of_nothing_is_rejected" {
  command         = plan
  expect_failures = [var.lag_seconds_max]

  variables {
    lag_seconds_max = 0
  }
}

run "logs_for_a_day_are_rejected" {
  command         = plan
  expect_failures = [var.log_days]

  variables {
    log_days = 1
  }
}
