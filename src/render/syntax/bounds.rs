//! What a template's tokens may be before the parser recurses over them. In: tokens. Out: nothing, or the bound that
//! is broken. One pass, no recursion: what would overflow a stack later is refused here.

use super::super::error::Fault;
use super::lexer::{Token, What};

/// Longest chain of operators, filters, attributes and calls in one expression.
const OPERATORS_MAX: usize = 500;

/// Checks the length of all chains.
pub(super) fn check(tokens: &[Token<'_>]) -> Result<(), Fault> {
    let mut chain = Chain::default();
    for token in tokens {
        if chain.add(token) > OPERATORS_MAX {
            let what = format!("one expression chains more than {OPERATORS_MAX} operators");
            return Err(Fault::new(token.start, token.end(), what).over());
        }
    }
    Ok(())
}

/// How deep the tree of the expression at hand can be: operators count, and a closed bracket counts as the deepest of
/// the parts between its commas.
#[derive(Default)]
struct Chain {
    open: Vec<Level>,
    level: Level,
    /// The sum over `open`.
    below: usize,
}

#[derive(Clone, Copy, Default)]
struct Level {
    here: usize,
    deepest: usize,
}

impl Chain {
    /// Takes one token; the depth so far.
    fn add(&mut self, token: &Token<'_>) -> usize {
        match (token.what, token.text) {
            (What::VariableBegin | What::BlockBegin | What::Data, _) => *self = Self::default(),
            (What::Operator, "(" | "[" | "{") => {
                self.level.here += 1;
                self.below += self.level.here;
                self.open.push(std::mem::take(&mut self.level));
            }
            (What::Operator, ")" | "]" | "}") => {
                let closed = self.level.here.max(self.level.deepest);
                self.level = self.open.pop().unwrap_or_default();
                self.below = self.below.saturating_sub(self.level.here);
                self.level.here += closed;
            }
            (What::Operator, ",") => {
                self.level.deepest = self.level.deepest.max(self.level.here);
                self.level.here = 0;
            }
            (What::Operator, ":" | "=" | ";") => {}
            (What::Operator, _)
            | (What::Name, "and" | "or" | "not" | "if" | "else" | "is" | "in") => {
                self.level.here += 1;
            }
            _ => {}
        }
        self.below + self.level.here
    }
}
