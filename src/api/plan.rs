//! What an account uses and what it is on. In: reports of an agent that meters, and what is to become of the plan. Out:
//! events about the account, the one of the limit once in a month. Nothing is paid here, and no plan is in the way.

use serde_json::{Value, json};

use super::change::note;
use super::present::{PLAN_TIER, PLAN_TYPE};
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{MEX_EXCEEDED, MEX_LIMIT, MEX_USED, SUBSCRIPTION_UPDATED, Values};
use crate::clock::Time;
use crate::store::{Record, StoreError, Write};

const SECONDS: &str = "managed_execution_seconds";
const PERIOD: &str = "managed_execution_period";
const CANCEL: &str = "cancel_at_period_end";

/// A calendar month of UTC, which is what usage is counted by.
#[derive(Debug, PartialEq, Eq)]
struct Period {
    start: String,
    end: String,
}

impl Period {
    fn of(now: Time) -> Self {
        let text = now.to_string();
        let part = |from, to| text.get(from..to).and_then(|part: &str| part.parse::<u32>().ok());
        let (year, month) = (part(0, 4).unwrap_or(1970), part(5, 7).unwrap_or(1));
        let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let first = |year, month| format!("{year:04}-{month:02}-01T00:00:00Z");
        Self { start: first(year, month), end: first(next_year, next) }
    }
}

/// What was used in a period.
fn used(settings: &Record, period: &Period) -> u64 {
    let seconds = settings.fields.get(SECONDS).and_then(Value::as_u64);
    seconds.filter(|_| settings.text(PERIOD) == period.start).unwrap_or(0)
}

fn limit(settings: &Record) -> Option<u64> {
    settings.fields.get(MEX_LIMIT).and_then(Value::as_u64)
}

impl Api {
    /// Adds to what an account used; whoever sends the same report twice used it twice.
    pub(super) async fn meter(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let seconds = values.get("seconds").and_then(Value::as_u64).unwrap_or(0);
        let mut tries = self.tries(call.account());
        while tries.again().await {
            if seconds == 0 {
                break;
            }
            let mut settings = self.record(call).await?;
            let mut deed = self.deed(call);
            let period = Period::of(deed.now);
            let before = used(&settings, &period);
            let total = before.saturating_add(seconds);
            let limit = limit(&settings);
            settings.fields.insert(SECONDS.to_owned(), total.into());
            settings.fields.insert(PERIOD.to_owned(), period.start.clone().into());
            let tells = json!({
                "seconds_used": seconds,
                "period_start": period.start,
                "period_end": period.end,
                "total_seconds": total,
                "limit_seconds": limit,
            });
            deed.write(Write::Update(settings));
            let place = call.scene.workspace.as_ref();
            deed.note(&MEX_USED, place, &tells);
            if limit.is_some_and(|limit| before <= limit && total > limit) {
                deed.note(&MEX_EXCEEDED, place, &tells);
            }
            if deed.commit().await? {
                return Ok(reply(call, &Value::Null));
            }
        }
        if seconds == 0 { Ok(reply(call, &Value::Null)) } else { Err(StoreError::Stale.into()) }
    }

    /// What an account used in this month.
    pub(super) async fn usage(&self, call: &Call) -> Result<Reply, Problem> {
        let settings = self.record(call).await?;
        let period = Period::of(self.clock.now());
        let told = json!({
            "compute_usage_seconds": used(&settings, &period),
            "compute_limit_seconds": limit(&settings),
            "concurrency_limit": null,
            "work_pool_limit": null,
            "period_start": period.start,
            "period_end": period.end,
        });
        Ok(reply(call, &told))
    }

    /// How much an account may use; null is without end.
    pub(super) async fn usage_limits(&self, call: &Call) -> Result<Reply, Problem> {
        let settings = self.record(call).await?;
        let told = json!({
            "mex_compute_limit": limit(&settings),
            "mex_concurrency_limit": null,
            "mex_work_pool_limit": null,
        });
        Ok(reply(call, &told))
    }

    /// An account's plan: nothing is sold here, so there is no price and no end of anything.
    pub(super) async fn billing(&self, call: &Call) -> Result<Reply, Problem> {
        let settings = self.record(call).await?;
        let slots = json!({"free_slots": null, "minimum_slots": null, "used_slots": null,
            "slots": null, "price": null});
        let told = json!({
            "plan_type": PLAN_TYPE,
            "plan_tier": PLAN_TIER,
            "users": slots,
            "workspaces": slots,
            "annual_billing": false,
            "cancel_at_period_end": settings.flag(CANCEL),
            "billing_enabled": false,
            "self_serve": false,
            "stripe_customer_id": null,
            "trial_start": null,
            "trial_end": null,
        });
        Ok(reply(call, &told))
    }

    /// What may be done about a plan.
    pub(super) async fn restrictions(&self, call: &Call) -> Result<Reply, Problem> {
        let can_cancel = !self.record(call).await?.flag(CANCEL);
        let told = json!({"can_upgrade": false, "can_cancel": can_cancel, "available_tiers": []});
        Ok(reply(call, &told))
    }

    /// Says whether a plan is to end; without a word it is.
    pub(super) async fn subscribe(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let cancel = values.get(CANCEL).and_then(Value::as_bool).unwrap_or(true);
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut settings = self.record(call).await?;
            let mut deed = self.deed(call);
            let changes = settings.flag(CANCEL) != cancel;
            if changes {
                settings.fields.insert(CANCEL.to_owned(), cancel.into());
                deed.write(Write::Update(settings.clone()));
                deed.note(&SUBSCRIPTION_UPDATED, None, &json!({ "cancel_at_period_end": cancel }));
            }
            if deed.commit().await? {
                if changes {
                    note(call, &settings);
                }
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month() {
        for (now, start, end) in [
            ("2026-11-28T20:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-31T23:59:59.9Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ] {
            let period = Period { start: start.to_owned(), end: end.to_owned() };
            assert_eq!(Period::of(Time::parse(now).expect("a moment")), period, "{now}");
        }
    }
}
