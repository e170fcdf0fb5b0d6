//! Which events a destination gets, and what it gets instead of one. In: an expression, or a template. Out: a rule that
//! runs for each event; or what is wrong with it, with its place, in words.

use std::sync::Arc;

use super::target::Target;
use crate::render::{Condition, Diagnostic, Reshaping};

/// An expression over an event.
pub(super) fn read_condition(text: &str) -> Result<Arc<Condition>, String> {
    Condition::compile(text).map(Arc::new).map_err(|fault| told(&fault))
}

/// A template of what a destination gets instead of an event; without a target it is for any.
pub(super) fn read_reshaping(
    text: &str,
    target: Option<&Target>,
) -> Result<Arc<Reshaping>, String> {
    match target {
        Some(Target::Prefect { .. } | Target::PrefectSocket { .. }) => {
            return Err("a Prefect server takes nothing but events".to_owned());
        }
        Some(Target::Stdout | Target::File(_)) => {
            return Err("lines hold events, by which is known what was written".to_owned());
        }
        _ => {}
    }
    Reshaping::compile(text).map(Arc::new).map_err(|fault| told(&fault))
}

/// A fault in words, its place in front.
pub(super) fn told(fault: &Diagnostic) -> String {
    match fault.place {
        Some(place) => {
            format!("line {}, column {}: {}", place.line, place.column, fault.sentence())
        }
        None => fault.sentence(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Destination;

    #[test]
    fn a_fault_points_into_what_was_written() {
        let fault = read_condition("event.amount >").expect_err("no expression");
        assert!(fault.starts_with("line 1, column 15: "), "{fault}");
        assert!(read_condition("event.payload.amount > 100").is_ok());
        let fault = read_reshaping("{}", Some(&Target::Stdout)).expect_err("only events");
        assert!(fault.contains("lines hold events"), "{fault}");
        for to in ["prefect+http://127.0.0.1:4200/api", "prefect+ws://127.0.0.1:4200/api"] {
            let server = Destination::parse(to).expect("a destination").target;
            let fault = read_reshaping("{}", Some(&server)).expect_err("only events");
            assert!(fault.contains("nothing but events"), "{fault}");
        }
    }
}
