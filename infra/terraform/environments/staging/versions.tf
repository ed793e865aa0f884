terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The bucket and the key are the firm's; given at init: -backend-config=FILE (docs/deploy.md).
  backend "s3" {
    key          = "plumbline/staging.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id] # a wrong login changes nothing
}
