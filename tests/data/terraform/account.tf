# What Terraform cannot make, only import: the account itself, with its settings and domain names, and a membership.

resource "prefect_account" "ours" {
  name         = "hookgate"
  handle       = "hookgate"
  link         = "https://acme.example"
  domain_names = var.changed ? ["acme.example", "b.example"] : ["acme.example"]
  settings = {
    allow_public_workspaces        = false
    ai_log_summaries               = var.changed
    enforce_webhook_authentication = false
    managed_execution              = true
  }
}

data "prefect_account_role" "owner" {
  name = "Owner"
}

resource "prefect_account_member" "owner" {
  account_role_id = data.prefect_account_role.owner.id
}
