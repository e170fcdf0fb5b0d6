# A workspace of its own, a role of its own, and access to it for a person and a service account.

resource "prefect_workspace" "made" {
  name        = var.changed ? "Made, and renamed" : "Made"
  handle      = var.changed ? "made-renamed" : "made"
  description = var.changed ? null : "größe"
}

data "prefect_workspace" "by_handle" {
  handle = prefect_workspace.made.handle
}

resource "prefect_workspace_role" "made" {
  name        = var.changed ? "Watchers" : "Watcher"
  description = "sees webhooks"
  scopes      = var.changed ? ["see_webhooks", "see_events"] : ["see_webhooks"]

  # The provider makes another one for each change; one that is in use cannot be ended.
  lifecycle {
    create_before_destroy = true
  }
}

resource "prefect_workspace_role" "inheriting" {
  name              = "Inheriting"
  inherited_role_id = data.prefect_workspace_role.viewer.id
}

data "prefect_workspace_role" "viewer" {
  name = "Viewer"
}

data "prefect_workspace_role" "developer" {
  name = "Developer"
}

resource "prefect_workspace_access" "person" {
  accessor_type     = "USER"
  accessor_id       = data.prefect_account_member.owner.user_id
  workspace_id      = prefect_workspace.made.id
  workspace_role_id = prefect_workspace_role.made.id
}

resource "prefect_workspace_access" "service_account" {
  accessor_type     = "SERVICE_ACCOUNT"
  accessor_id       = prefect_service_account.plain.id
  workspace_id      = prefect_workspace.made.id
  workspace_role_id = var.changed ? data.prefect_workspace_role.viewer.id : data.prefect_workspace_role.developer.id
}
