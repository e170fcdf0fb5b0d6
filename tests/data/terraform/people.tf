# What Terraform cannot make, only import: a person. And their keys, and the roles and members of the account.

# As it is: whatever is changed of a person, the provider itself then stumbles over what it left unknown.
resource "prefect_user" "owner" {
  handle     = "admin"
  first_name = "Rin"
  last_name  = "Okada"
  email      = var.email
}

resource "prefect_user_api_key" "plain" {
  user_id = prefect_user.owner.id
  name    = "plain"
}

resource "prefect_user_api_key" "expiring" {
  user_id    = prefect_user.owner.id
  name       = var.changed ? "expiring, renamed" : "expiring"
  expiration = "2100-01-02T03:04:05Z"
}

data "prefect_account_role" "admin" {
  name = "Admin"
}

data "prefect_account_members" "all" {}

data "prefect_account_member" "owner" {
  email      = var.email
  depends_on = [prefect_user.owner]
}

output "role" {
  value = data.prefect_account_member.owner.account_role_name
}
