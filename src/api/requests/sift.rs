//! Requests of a page for which an expression holds. In: rows of the index, and the expression over what templates see.
//! Out: those rows, and how far it came: reading whole requests takes its time, and a page has a bound on that.

use std::time::Instant;

use serde_json::{Value, json};

use super::again::{Condition, Renderers, body};
use super::capture::Captured;
use super::is_of;
use super::replay::SLICE_TIME_MAX;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::Fault;
use crate::feed::{Request, Requests};
use crate::id::Uuid;
use crate::spool::{Picker, SpoolError};

/// What of a page was looked at.
#[derive(Default)]
struct Sifted {
    found: Vec<Request>,
    /// Requests on which the expression fails, or whose body cannot be read.
    undecided: u64,
    after: Option<Uuid>,
}

impl Api {
    /// The requests of a page for which an expression holds, as lists tell them.
    pub(super) async fn sift(
        &self,
        call: &Call,
        expression: &str,
        requests: Requests,
    ) -> Result<Value, Problem> {
        if expression.trim().is_empty() {
            return Err(refused("Value error, no expression: it is empty".to_owned()));
        }
        let condition = Condition::new(expression, self.options.render).map_err(in_query)?;
        let webhooks = requests.found.iter().map(|request| request.webhook).collect();
        let renderers = self.renderers(call, webhooks).await?;
        let (picker, bytes_max) = (self.events.spool.picker(), self.options.hook_body_max_bytes);
        let work = move || sift(requests, &condition, &renderers, picker, bytes_max);
        let sifted = self.trials.run(work).await;
        let Sifted { found, undecided, after } = sifted.ok_or(Problem::Engine)??;
        let told = self.tell_found(call, &found).await?;
        Ok(json!({ "requests": told, "after": after, "undecided": undecided }))
    }
}

/// The expression stands in the query here.
fn in_query(problem: Problem) -> Problem {
    match problem {
        Problem::Invalid(faults) => {
            let says = faults.into_iter().next().map(|fault| fault.says);
            refused(says.unwrap_or_default())
        }
        other => other,
    }
}

fn refused(says: String) -> Problem {
    Problem::Invalid(vec![Fault::new("value_error", &["query", "where"], says)])
}

fn sift(
    requests: Requests,
    condition: &Condition,
    renderers: &Renderers,
    mut picker: Picker,
    body_max_bytes: u64,
) -> Result<Sifted, SpoolError> {
    let end = Instant::now() + SLICE_TIME_MAX;
    let mut sifted = Sifted { after: requests.after, ..Sifted::default() };
    for request in requests.found {
        let kept = picker.take(request.sequence)?.filter(|kept| is_of(kept, &request));
        let captured = kept.and_then(|kept| Captured::of(&kept, body_max_bytes));
        // What is gone, or whose webhook is, is none of them.
        if let Some((captured, renderer)) = captured.zip(renderers.get(&request.webhook)) {
            let body = body(&captured).ok();
            match body.and_then(|body| condition.holds(renderer, &captured, &body)) {
                Some(true) => sifted.found.push(request),
                Some(false) => {}
                None => sifted.undecided += 1,
            }
        }
        if Instant::now() > end {
            sifted.after = Some(request.id);
            break;
        }
    }
    Ok(sifted)
}
