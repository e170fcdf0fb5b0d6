# Templates reach the gateway byte for byte, and what is bound to a service account stays so.

resource "prefect_webhook" "large" {
  name        = var.changed ? "large, renamed" : "large"
  description = var.changed ? "" : "thirty thousand characters of it"
  enabled     = !var.changed
  template    = file("${path.module}/large.j2")
}

resource "prefect_webhook" "document" {
  name    = "document"
  enabled = true
  template = jsonencode({
    event = "terraform.sent"
    resource = {
      "prefect.resource.id" = var.changed ? "model.{{ body.id }}" : "model.{{ body.model }}"
    }
  })
}

resource "prefect_webhook" "bound" {
  name               = "bound"
  enabled            = var.changed
  template           = "{{ body|from_cloud_event(headers) }}"
  service_account_id = prefect_service_account.rotating.id
}

resource "prefect_webhook" "released" {
  name               = "released"
  template           = "{{ body|tojson }}"
  service_account_id = var.changed ? null : prefect_service_account.rotating.id
}

data "prefect_webhook" "by_id" {
  id = prefect_webhook.document.id
}

output "endpoint" {
  value = prefect_webhook.document.endpoint
}

output "read_template" {
  value = data.prefect_webhook.by_id.template
}

data "prefect_workspace" "ours" {
  id = var.workspace_id
}

output "workspace" {
  value = data.prefect_workspace.ours.handle
}
