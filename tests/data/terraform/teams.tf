# Teams, and who is in them: a person, found by e-mail, and a service account.

resource "prefect_team" "made" {
  name        = var.changed ? "on call, by night" : "on call"
  description = "größe"
}

resource "prefect_team_access" "person" {
  team_id         = prefect_team.made.id
  member_type     = "user"
  member_id       = data.prefect_account_member.owner.user_id
  member_actor_id = data.prefect_account_member.owner.actor_id
}

resource "prefect_team_access" "service_account" {
  team_id         = prefect_team.made.id
  member_type     = "service_account"
  member_id       = prefect_service_account.plain.id
  member_actor_id = prefect_service_account.plain.actor_id
}

data "prefect_team" "by_name" {
  name       = prefect_team.made.name
  depends_on = [prefect_team.made]
}

data "prefect_teams" "all" {
  depends_on = [prefect_team.made]
}

resource "prefect_workspace_access" "team" {
  accessor_type     = "TEAM"
  accessor_id       = prefect_team.made.id
  workspace_id      = prefect_workspace.made.id
  workspace_role_id = data.prefect_workspace_role.viewer.id
}
