//! What an account uses and what it is on. In: reports of an agent that meters, and what is to become of the plan. Out:
//! events about the account, the one of the limit once in a month. Nothing is paid here, and no plan is in the way.

use serde_json::{Value, json};

use super::change::{ENDING_MAX, note};
use super::present::{PLAN_TIER, PLAN_TYPE};
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{
    Fault, MEX_EXCEEDED, MEX_LIMIT, MEX_PERIOD, MEX_SECONDS, MEX_USED, SUBSCRIPTION_UPDATED,
    Values, WORKSPACE_SETTINGS, is_id,
};
use crate::clock::Time;
use crate::store::{KNOWN_DAYS, Record, Report, StoreError, Write};

const CANCEL: &str = "cancel_at_period_end";
/// How old what is reported may be: younger than the store's memory of reports, so that none counts twice.
const TAKEN_DAYS: i64 = KNOWN_DAYS - 2;
/// How far an agent's clock may be ahead.
const AHEAD_MAX_SECONDS: i64 = 86_400;

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
    let seconds = settings.fields.get(MEX_SECONDS).and_then(Value::as_u64);
    seconds.filter(|_| settings.text(MEX_PERIOD) == period.start).unwrap_or(0)
}

/// Adds to what was used in a period; how much it is then.
fn add(settings: &mut Record, period: &Period, seconds: u64) -> u64 {
    let total = used(settings, period).saturating_add(seconds);
    settings.fields.insert(MEX_SECONDS.to_owned(), total.into());
    settings.fields.insert(MEX_PERIOD.to_owned(), period.start.clone().into());
    total
}

fn limit(settings: &Record) -> Option<u64> {
    settings.fields.get(MEX_LIMIT).and_then(Value::as_u64)
}

/// The report that a body is, if it can be told from others: by its run and moment.
fn report(call: &Call, values: &Values, now: Time) -> Result<Option<Report>, Problem> {
    let text = |name| values.get(name).and_then(Value::as_str);
    let seconds = values.get("seconds").and_then(Value::as_u64).unwrap_or(0);
    let said = text("flow_run_id").and_then(is_id).zip(text("occurred").and_then(Time::parse));
    let Some((workspace, (flow_run, occurred))) = call.workspace().zip(said) else {
        return Ok(None);
    };
    let (oldest, newest) =
        (now.plus_seconds(-TAKEN_DAYS * 86_400), now.plus_seconds(AHEAD_MAX_SECONDS));
    if occurred < oldest || occurred > newest {
        let says = format!(
            "Value error, a report is taken for {TAKEN_DAYS} days, and not before its time"
        );
        return Err(Problem::Invalid(vec![Fault::new("value_error", &["body", "occurred"], says)]));
    }
    Ok(Some(Report { workspace, flow_run, occurred, seconds, received: now }))
}

impl Api {
    /// Adds to what an account and a workspace used. A report that says by which run and when counts once, also when
    /// it is sent again; one that does not counts each time.
    pub(super) async fn meter(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let seconds = values.get("seconds").and_then(Value::as_u64).unwrap_or(0);
        let report = report(call, values, self.clock.now())?;
        if seconds == 0 {
            return Ok(reply(call, &Value::Null));
        }
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let counted = match report.clone() {
                Some(report) => self.store.reported(report).await?,
                None => None,
            };
            match counted {
                Some(counted) if counted == seconds => return Ok(reply(call, &Value::Null)),
                Some(counted) => {
                    let says = format!("A report of this run and moment was counted: {counted} s");
                    return Err(Problem::Conflict(says));
                }
                None => {}
            }
            if self.count_use(call, seconds, report.as_ref()).await? {
                return Ok(reply(call, &Value::Null));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Counts what was used; `false` when somebody else was faster.
    async fn count_use(
        &self,
        call: &Call,
        seconds: u64,
        report: Option<&Report>,
    ) -> Result<bool, Problem> {
        let mut settings = self.record(call).await?;
        let mut place = self.only_of(&WORKSPACE_SETTINGS, call.account(), call.workspace()).await?;
        let mut deed = self.deed(call);
        let period = Period::of(deed.now);
        let before = used(&settings, &period);
        let total = add(&mut settings, &period, seconds);
        add(&mut place, &period, seconds);
        let limit = limit(&settings);
        let tells = json!({
            "seconds_used": seconds,
            "period_start": period.start,
            "period_end": period.end,
            "total_seconds": total,
            "limit_seconds": limit,
        });
        let counted = report.cloned().map(Write::Count);
        for write in [Write::Update(settings), Write::Update(place)].into_iter().chain(counted) {
            deed.write(write);
        }
        let workspace = call.scene.workspace.as_ref();
        deed.note(&MEX_USED, workspace, &tells);
        if limit.is_some_and(|limit| before <= limit && total > limit) {
            deed.note(&MEX_EXCEEDED, workspace, &tells);
        }
        deed.commit().await
    }

    /// What each workspace of an account used in this month; those that used nothing are left out.
    pub(super) async fn usage_by_workspace(&self, call: &Call) -> Result<Reply, Problem> {
        let (kind, account) = (&WORKSPACE_SETTINGS, call.account());
        let Some(places) = self.store.within(kind, account, ENDING_MAX).await? else {
            let says = format!("The account has more than {ENDING_MAX} workspaces");
            return Err(Problem::Refused(says));
        };
        let period = Period::of(self.clock.now());
        let seconds: serde_json::Map<_, _> = places
            .iter()
            .map(|place| (place, used(place, &period)))
            .filter(|(_, seconds)| *seconds > 0)
            .filter_map(|(place, seconds)| Some((place.workspace?.to_string(), seconds.into())))
            .collect();
        Ok(reply(call, &json!({ "mex_compute": seconds })))
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
