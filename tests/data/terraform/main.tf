# What tests/peers/terraform.py applies, twice: as it is, and with `changed`.

terraform {
  required_providers {
    prefect = {
      source = "prefecthq/prefect"
    }
  }
}

variable "changed" {
  type    = bool
  default = false
}

variable "workspace_id" {
  type = string
}

variable "email" {
  type = string
}

provider "prefect" {
  workspace_id = var.workspace_id
}
