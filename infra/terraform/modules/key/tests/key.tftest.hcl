mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "plumbline-test-storage"
  description = "Buckets"
  account_id  = "123456789012"
}

run "the_key_rotates_and_is_not_deleted_in_haste" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.rotation_period_in_days == 365
    error_message = "Key material must be renewed at least once a year"
  }

  assert {
    condition     = aws_kms_key.this.deletion_window_in_days == 30
    error_message = "A key scheduled for deletion must be recoverable for 30 days"
  }
}

run "an_account_that_is_none_is_rejected" {
  command         = plan
  expect_failures = [var.account_id]

  variables {
    account_id = "12345"
  }
}

run "a_service_that_is_none_is_rejected" {
  command         = plan
  expect_failures = [var.services]

  variables {
    services = ["*"]
  }
}

run "a_user_that_is_no_role_is_rejected" {
  command         = plan
  expect_failures = [var.user_arns]

  variables {
    user_arns = ["*"]
  }
}

run "material_that_is_hardly_ever_renewed_is_rejected" {
  command         = plan
  expect_failures = [var.rotation_days]

  variables {
    rotation_days = 2000
  }
}
