# A new expiry and a new keeper each rotate the key, once.

resource "prefect_service_account" "plain" {
  name = var.changed ? "plain-renamed" : "plain"
}

resource "prefect_service_account" "expiring" {
  name               = "expiring"
  api_key_expiration = var.changed ? "2101-02-03T04:05:06Z" : "2100-01-02T03:04:05Z"
}

resource "prefect_service_account" "rotating" {
  name                       = "rotating"
  old_key_expires_in_seconds = 300
  api_key_keepers = {
    round = var.changed ? "second" : "first"
  }
}

data "prefect_service_account" "by_name" {
  name = prefect_service_account.rotating.name
}

output "rotating_key" {
  value     = prefect_service_account.rotating.api_key
  sensitive = true
}

output "rotating_read" {
  value = data.prefect_service_account.by_name.id == prefect_service_account.rotating.id
}
