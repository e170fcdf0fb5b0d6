# Automations with each kind of trigger; what they say is kept as it is.

resource "prefect_automation" "event" {
  name        = var.changed ? "event, renamed" : "event"
  description = "größe"
  enabled     = !var.changed
  trigger = {
    event = {
      posture       = "Reactive"
      match         = jsonencode({ "prefect.resource.id" = "prefect-cloud.webhook.*" })
      match_related = jsonencode({ "prefect.resource.id" = ["a", "b"], "prefect.resource.role" = "flow" })
      after         = ["first"]
      expect        = ["second"]
      for_each      = ["prefect.resource.id"]
      threshold     = 1
      within        = 60
    }
  }
  actions = [
    {
      type          = "run-deployment"
      source        = "inferred"
      parameters    = jsonencode({ "a" = 1, "b" = 1.5, "c" = [true, null] })
      job_variables = jsonencode({ "nested" = { "key" = "größe" } })
    },
    { type = "declare-incident" },
  ]
}

resource "prefect_automation" "metric" {
  name    = "metric"
  enabled = true
  trigger = {
    metric = {
      posture       = "Metric"
      match         = jsonencode({})
      match_related = jsonencode({})
      metric = {
        name       = "duration"
        operator   = ">="
        threshold  = var.changed ? 20 : 10
        range      = 300
        firing_for = 300
      }
    }
  }
  actions            = [{ type = "change-flow-run-state", state = "FAILED", name = "n", message = "{{ event.reason }}" }]
  actions_on_trigger = []
  actions_on_resolve = []
}

resource "prefect_automation" "compound" {
  name    = "compound"
  enabled = true
  trigger = {
    compound = {
      require = "any"
      within  = 300
      triggers = [
        {
          event = {
            expect        = ["first"]
            match         = jsonencode({ "prefect.resource.id" = "a.*" })
            match_related = jsonencode({})
            posture       = "Reactive"
            threshold     = 1
            within        = 0
          }
        },
        {
          event = {
            expect        = ["second"]
            match         = jsonencode({ "prefect.resource.id" = "b.*" })
            match_related = jsonencode({})
            posture       = "Reactive"
            threshold     = 1
            within        = 0
          }
        },
      ]
    }
  }
  actions = [{ type = "do-nothing" }]
}

resource "prefect_automation" "sequence" {
  name    = "sequence"
  enabled = true
  trigger = {
    sequence = {
      within = 300
      triggers = [
        {
          event = {
            expect        = ["first"]
            match         = jsonencode({ "prefect.resource.id" = "a.*" })
            match_related = jsonencode({})
            for_each      = []
            posture       = "Reactive"
            threshold     = 1
            within        = 0
          }
        },
      ]
    }
  }
  actions            = [{ type = "send-notification", block_document_id = "123e4567-e89b-12d3-a456-426614174000", subject = "s", body = "b" }]
  actions_on_trigger = [{ type = "do-nothing" }]
  actions_on_resolve = [{ type = "do-nothing" }]
}
