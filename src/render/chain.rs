//! Chains of comparisons, `a < b < c`, which stop at the first that fails. In: the operands one by one, as the engine
//! comes to them. Out: operands that the engine compares for us, each by the operator in front of it. Never a refusal
//! lost: the engine cannot be told of one while it compares, so it is kept until the chain ends.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, Value};

use super::compare::{How, holds};

thread_local! {
    /// Why a comparison of the chain at hand was refused.
    static REFUSED: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// An operand of a chain.
#[derive(Debug)]
struct Operand {
    value: Value,
    /// The operator in front of it.
    how: How,
}

/// An operand with the operator in front of it; the first has none that matters.
pub(super) fn operand(value: &Value, sign: &str) -> Value {
    let how = How::of(sign).unwrap_or(How::Equal);
    Value::from_object(Operand { value: value.clone(), how })
}

/// The end of a chain.
///
/// # Errors
/// The refusal, if one of its comparisons was refused.
pub(super) fn end() -> Result<(), Error> {
    REFUSED.take().map_or(Ok(()), Err)
}

/// Drops the refusal of a chain that ran out of fuel before its end.
pub(super) fn forget_refused() {
    REFUSED.take();
}

impl Object for Operand {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    /// Such that the operator the engine applies gives what ours would; `in` is applied as `==`.
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let holds = holds(other.how, &self.value, &other.value).unwrap_or_else(|refused| {
            REFUSED.set(Some(refused));
            false
        });
        Some(match (other.how, holds) {
            (How::Equal | How::In | How::NotIn, true) | (How::Unequal, false) => Ordering::Equal,
            (How::Greater | How::AtLeast, true) | (How::Less | How::AtMost, false) => {
                Ordering::Greater
            }
            _ => Ordering::Less,
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<operand>")
    }
}
