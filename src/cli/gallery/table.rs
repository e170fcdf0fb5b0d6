//! Every template and request of `templates/`, as a table. Written by the test of this folder; decides nothing.

use super::{Folder, event, fault};

macro_rules! built_in {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path))
    };
}

#[rustfmt::skip]
pub(super) const GALLERY: &[Folder] = &[
    Folder { name: "airbyte", template: built_in!("airbyte/template.j2"), cases: &[
        event("sync-failed", built_in!("airbyte/cases/sync-failed.request.json")),
        event("sync-succeeded", built_in!("airbyte/cases/sync-succeeded.request.json")),
        fault("test", built_in!("airbyte/cases/test.request.json")),
    ] },
    Folder { name: "alertmanager", template: built_in!("alertmanager/template.j2"), cases: &[
        event("firing", built_in!("alertmanager/cases/firing.request.json")),
        event("mixed", built_in!("alertmanager/cases/mixed.request.json")),
        fault("no-alerts", built_in!("alertmanager/cases/no-alerts.request.json")),
        event("resolved", built_in!("alertmanager/cases/resolved.request.json")),
    ] },
    Folder { name: "aws-eventbridge", template: built_in!("aws-eventbridge/template.j2"), cases: &[
        event("autoscaling-launch", built_in!("aws-eventbridge/cases/autoscaling-launch.request.json")),
        event("codebuild-succeeded", built_in!("aws-eventbridge/cases/codebuild-succeeded.request.json")),
        event("ecr-push", built_in!("aws-eventbridge/cases/ecr-push.request.json")),
        fault("part-of-event", built_in!("aws-eventbridge/cases/part-of-event.request.json")),
    ] },
    Folder { name: "aws-s3", template: built_in!("aws-s3/template.j2"), cases: &[
        event("lifecycle-transition", built_in!("aws-s3/cases/lifecycle-transition.request.json")),
        event("minio", built_in!("aws-s3/cases/minio.request.json")),
        event("object-created", built_in!("aws-s3/cases/object-created.request.json")),
        fault("test-event", built_in!("aws-s3/cases/test-event.request.json")),
    ] },
    Folder { name: "aws-sns", template: built_in!("aws-sns/template.j2"), cases: &[
        event("cloudwatch-alarm", built_in!("aws-sns/cases/cloudwatch-alarm.request.json")),
        event("notification", built_in!("aws-sns/cases/notification.request.json")),
        fault("raw", built_in!("aws-sns/cases/raw.request.json")),
        event("subscription-confirmation", built_in!("aws-sns/cases/subscription-confirmation.request.json")),
    ] },
    Folder { name: "azure-devops", template: built_in!("azure-devops/template.j2"), cases: &[
        event("build-complete", built_in!("azure-devops/cases/build-complete.request.json")),
        fault("no-containers", built_in!("azure-devops/cases/no-containers.request.json")),
        event("push", built_in!("azure-devops/cases/push.request.json")),
        event("work-item-created", built_in!("azure-devops/cases/work-item-created.request.json")),
    ] },
    Folder { name: "azure-event-grid", template: built_in!("azure-event-grid/template.j2"), cases: &[
        event("batch", built_in!("azure-event-grid/cases/batch.request.json")),
        event("blob-created", built_in!("azure-event-grid/cases/blob-created.request.json")),
        fault("cloud-event", built_in!("azure-event-grid/cases/cloud-event.request.json")),
    ] },
    Folder { name: "bitbucket", template: built_in!("bitbucket/template.j2"), cases: &[
        fault("no-key", built_in!("bitbucket/cases/no-key.request.json")),
        event("pull-request-created", built_in!("bitbucket/cases/pull-request-created.request.json")),
        event("push", built_in!("bitbucket/cases/push.request.json")),
    ] },
    Folder { name: "circleci", template: built_in!("circleci/template.j2"), cases: &[
        fault("chat-notification", built_in!("circleci/cases/chat-notification.request.json")),
        event("job-completed", built_in!("circleci/cases/job-completed.request.json")),
        event("ping", built_in!("circleci/cases/ping.request.json")),
        event("workflow-completed", built_in!("circleci/cases/workflow-completed.request.json")),
    ] },
    Folder { name: "cloudevents", template: built_in!("cloudevents/template.j2"), cases: &[
        event("binary", built_in!("cloudevents/cases/binary.request.json")),
        fault("no-type", built_in!("cloudevents/cases/no-type.request.json")),
        event("structured", built_in!("cloudevents/cases/structured.request.json")),
    ] },
    Folder { name: "databricks", template: built_in!("databricks/template.j2"), cases: &[
        event("job-failed", built_in!("databricks/cases/job-failed.request.json")),
        fault("model-registry", built_in!("databricks/cases/model-registry.request.json")),
        event("task-started", built_in!("databricks/cases/task-started.request.json")),
    ] },
    Folder { name: "datadog", template: built_in!("datadog/template.j2"), cases: &[
        fault("default-payload", built_in!("datadog/cases/default-payload.request.json")),
        event("no-data", built_in!("datadog/cases/no-data.request.json")),
        event("triggered", built_in!("datadog/cases/triggered.request.json")),
    ] },
    Folder { name: "dbt-cloud", template: built_in!("dbt-cloud/template.j2"), cases: &[
        fault("administrative-api", built_in!("dbt-cloud/cases/administrative-api.request.json")),
        event("run-errored", built_in!("dbt-cloud/cases/run-errored.request.json")),
        event("run-started", built_in!("dbt-cloud/cases/run-started.request.json")),
        event("run-succeeded", built_in!("dbt-cloud/cases/run-succeeded.request.json")),
    ] },
    Folder { name: "docker-hub", template: built_in!("docker-hub/template.j2"), cases: &[
        fault("no-push", built_in!("docker-hub/cases/no-push.request.json")),
        event("push", built_in!("docker-hub/cases/push.request.json")),
        event("tag-pushed", built_in!("docker-hub/cases/tag-pushed.request.json")),
    ] },
    Folder { name: "dynamic", template: built_in!("dynamic/template.j2"), cases: &[
        fault("no-status", built_in!("dynamic/cases/no-status.request.json")),
        event("paid", built_in!("dynamic/cases/paid.request.json")),
        event("refunded", built_in!("dynamic/cases/refunded.request.json")),
        fault("total-is-text", built_in!("dynamic/cases/total-is-text.request.json")),
    ] },
    Folder { name: "fivetran", template: built_in!("fivetran/template.j2"), cases: &[
        fault("api-answer", built_in!("fivetran/cases/api-answer.request.json")),
        event("sync-failed", built_in!("fivetran/cases/sync-failed.request.json")),
        event("sync-start", built_in!("fivetran/cases/sync-start.request.json")),
        event("sync-succeeded", built_in!("fivetran/cases/sync-succeeded.request.json")),
        event("test", built_in!("fivetran/cases/test.request.json")),
    ] },
    Folder { name: "form", template: built_in!("form/template.j2"), cases: &[
        event("contact", built_in!("form/cases/contact.request.json")),
        fault("json", built_in!("form/cases/json.request.json")),
        event("survey", built_in!("form/cases/survey.request.json")),
    ] },
    Folder { name: "gitea", template: built_in!("gitea/template.j2"), cases: &[
        event("issue-opened", built_in!("gitea/cases/issue-opened.request.json")),
        fault("no-repository", built_in!("gitea/cases/no-repository.request.json")),
        event("push", built_in!("gitea/cases/push.request.json")),
        event("release-published", built_in!("gitea/cases/release-published.request.json")),
    ] },
    Folder { name: "github", template: built_in!("github/template.j2"), cases: &[
        event("advisory-published", built_in!("github/cases/advisory-published.request.json")),
        event("authorization-revoked", built_in!("github/cases/authorization-revoked.request.json")),
        fault("cut", built_in!("github/cases/cut.request.json")),
        event("issue-opened", built_in!("github/cases/issue-opened.request.json")),
        fault("no-kind", built_in!("github/cases/no-kind.request.json")),
        event("organization-member-added", built_in!("github/cases/organization-member-added.request.json")),
        event("ping", built_in!("github/cases/ping.request.json")),
        event("push", built_in!("github/cases/push.request.json")),
    ] },
    Folder { name: "gitlab", template: built_in!("gitlab/template.j2"), cases: &[
        event("deployment-success", built_in!("gitlab/cases/deployment-success.request.json")),
        event("job-success", built_in!("gitlab/cases/job-success.request.json")),
        event("member-added", built_in!("gitlab/cases/member-added.request.json")),
        event("merge-request-open", built_in!("gitlab/cases/merge-request-open.request.json")),
        fault("not-gitlab", built_in!("gitlab/cases/not-gitlab.request.json")),
        event("pipeline-success", built_in!("gitlab/cases/pipeline-success.request.json")),
        event("push", built_in!("gitlab/cases/push.request.json")),
        event("release-create", built_in!("gitlab/cases/release-create.request.json")),
        event("subgroup-created", built_in!("gitlab/cases/subgroup-created.request.json")),
    ] },
    Folder { name: "google-pubsub", template: built_in!("google-pubsub/template.j2"), cases: &[
        event("message", built_in!("google-pubsub/cases/message.request.json")),
        event("storage-object", built_in!("google-pubsub/cases/storage-object.request.json")),
        fault("unwrapped", built_in!("google-pubsub/cases/unwrapped.request.json")),
    ] },
    Folder { name: "grafana", template: built_in!("grafana/template.j2"), cases: &[
        event("firing", built_in!("grafana/cases/firing.request.json")),
        fault("legacy", built_in!("grafana/cases/legacy.request.json")),
        event("resolved", built_in!("grafana/cases/resolved.request.json")),
    ] },
    Folder { name: "heartbeat", template: built_in!("heartbeat/template.j2"), cases: &[
        event("cron", built_in!("heartbeat/cases/cron.request.json")),
        event("head", built_in!("heartbeat/cases/head.request.json")),
        fault("no-source", built_in!("heartbeat/cases/no-source.request.json")),
    ] },
    Folder { name: "jira", template: built_in!("jira/template.j2"), cases: &[
        event("comment-created", built_in!("jira/cases/comment-created.request.json")),
        event("issue-created-data-center", built_in!("jira/cases/issue-created-data-center.request.json")),
        event("issue-updated", built_in!("jira/cases/issue-updated.request.json")),
        event("sprint-started", built_in!("jira/cases/sprint-started.request.json")),
        fault("user-created", built_in!("jira/cases/user-created.request.json")),
        event("worklog-created", built_in!("jira/cases/worklog-created.request.json")),
    ] },
    Folder { name: "linear", template: built_in!("linear/template.j2"), cases: &[
        fault("app-revoked", built_in!("linear/cases/app-revoked.request.json")),
        event("comment-created", built_in!("linear/cases/comment-created.request.json")),
        event("issue-updated", built_in!("linear/cases/issue-updated.request.json")),
        event("project-removed", built_in!("linear/cases/project-removed.request.json")),
    ] },
    Folder { name: "opsgenie", template: built_in!("opsgenie/template.j2"), cases: &[
        event("add-note", built_in!("opsgenie/cases/add-note.request.json")),
        event("create", built_in!("opsgenie/cases/create.request.json")),
        fault("no-alert", built_in!("opsgenie/cases/no-alert.request.json")),
    ] },
    Folder { name: "pagerduty", template: built_in!("pagerduty/template.j2"), cases: &[
        event("incident-annotated", built_in!("pagerduty/cases/incident-annotated.request.json")),
        event("ping", built_in!("pagerduty/cases/ping.request.json")),
        event("priority-updated", built_in!("pagerduty/cases/priority-updated.request.json")),
        event("service-updated", built_in!("pagerduty/cases/service-updated.request.json")),
        fault("version-2", built_in!("pagerduty/cases/version-2.request.json")),
    ] },
    Folder { name: "pass-through", template: built_in!("pass-through/template.j2"), cases: &[
        fault("label-is-a-number", built_in!("pass-through/cases/label-is-a-number.request.json")),
        event("least", built_in!("pass-through/cases/least.request.json")),
        fault("reserved-name", built_in!("pass-through/cases/reserved-name.request.json")),
        fault("text", built_in!("pass-through/cases/text.request.json")),
        event("whole", built_in!("pass-through/cases/whole.request.json")),
    ] },
    Folder { name: "sendgrid", template: built_in!("sendgrid/template.j2"), cases: &[
        event("batch", built_in!("sendgrid/cases/batch.request.json")),
        event("dropped", built_in!("sendgrid/cases/dropped.request.json")),
        fault("inbound-parse", built_in!("sendgrid/cases/inbound-parse.request.json")),
    ] },
    Folder { name: "sentry", template: built_in!("sentry/template.j2"), cases: &[
        event("comment-created", built_in!("sentry/cases/comment-created.request.json")),
        event("error-created", built_in!("sentry/cases/error-created.request.json")),
        event("installation-created", built_in!("sentry/cases/installation-created.request.json")),
        event("issue-alert", built_in!("sentry/cases/issue-alert.request.json")),
        event("issue-created", built_in!("sentry/cases/issue-created.request.json")),
        fault("legacy-plugin", built_in!("sentry/cases/legacy-plugin.request.json")),
        event("metric-alert", built_in!("sentry/cases/metric-alert.request.json")),
    ] },
    Folder { name: "shopify", template: built_in!("shopify/template.j2"), cases: &[
        event("customer-redact", built_in!("shopify/cases/customer-redact.request.json")),
        event("inventory-level-updated", built_in!("shopify/cases/inventory-level-updated.request.json")),
        fault("no-topic", built_in!("shopify/cases/no-topic.request.json")),
        event("order-created", built_in!("shopify/cases/order-created.request.json")),
        event("product-updated", built_in!("shopify/cases/product-updated.request.json")),
        event("shop-redact", built_in!("shopify/cases/shop-redact.request.json")),
    ] },
    Folder { name: "slack", template: built_in!("slack/template.j2"), cases: &[
        event("app-mention", built_in!("slack/cases/app-mention.request.json")),
        fault("challenge", built_in!("slack/cases/challenge.request.json")),
        event("channel-created", built_in!("slack/cases/channel-created.request.json")),
        event("reaction-added", built_in!("slack/cases/reaction-added.request.json")),
        event("team-join", built_in!("slack/cases/team-join.request.json")),
    ] },
    Folder { name: "slack-command", template: built_in!("slack-command/template.j2"), cases: &[
        event("bare", built_in!("slack-command/cases/bare.request.json")),
        event("quoted", built_in!("slack-command/cases/quoted.request.json")),
        fault("ssl-check", built_in!("slack-command/cases/ssl-check.request.json")),
        event("weather", built_in!("slack-command/cases/weather.request.json")),
    ] },
    Folder { name: "standard-webhooks", template: built_in!("standard-webhooks/template.j2"), cases: &[
        event("contact-created", built_in!("standard-webhooks/cases/contact-created.request.json")),
        fault("no-envelope", built_in!("standard-webhooks/cases/no-envelope.request.json")),
        event("svix", built_in!("standard-webhooks/cases/svix.request.json")),
    ] },
    Folder { name: "static", template: built_in!("static/template.j2"), cases: &[
        event("get", built_in!("static/cases/get.request.json")),
        event("post", built_in!("static/cases/post.request.json")),
    ] },
    Folder { name: "stripe", template: built_in!("stripe/template.j2"), cases: &[
        event("balance-available", built_in!("stripe/cases/balance-available.request.json")),
        event("customer-updated", built_in!("stripe/cases/customer-updated.request.json")),
        fault("not-an-event", built_in!("stripe/cases/not-an-event.request.json")),
        event("payment-succeeded", built_in!("stripe/cases/payment-succeeded.request.json")),
    ] },
    Folder { name: "terraform", template: built_in!("terraform/template.j2"), cases: &[
        fault("drift-detected", built_in!("terraform/cases/drift-detected.request.json")),
        event("run-applying", built_in!("terraform/cases/run-applying.request.json")),
        event("run-errored", built_in!("terraform/cases/run-errored.request.json")),
        event("verification", built_in!("terraform/cases/verification.request.json")),
    ] },
    Folder { name: "twilio", template: built_in!("twilio/template.j2"), cases: &[
        event("call-completed", built_in!("twilio/cases/call-completed.request.json")),
        fault("debugger", built_in!("twilio/cases/debugger.request.json")),
        event("message-delivered", built_in!("twilio/cases/message-delivered.request.json")),
        event("message-received", built_in!("twilio/cases/message-received.request.json")),
    ] },
    Folder { name: "vercel", template: built_in!("vercel/template.j2"), cases: &[
        fault("deploy-hook", built_in!("vercel/cases/deploy-hook.request.json")),
        event("deployment-succeeded", built_in!("vercel/cases/deployment-succeeded.request.json")),
        event("domain-created", built_in!("vercel/cases/domain-created.request.json")),
        event("personal-domain-created", built_in!("vercel/cases/personal-domain-created.request.json")),
    ] },
];
