//! The parsed template rewritten to Python's meaning: operators, lookups and checks become calls of ours, under names
//! no template can spell. In: minijinja's tree. Out: the same kind of tree, spans kept. Never a change of the engine.

mod expr;
mod stmt;

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Const, Expr, Filter, Spanned, Stmt};

/// Most `for` loops of a template, as Prefect counts them.
const LOOPS_MAX: usize = 10;
/// Deepest nesting of `for` loops.
const LOOP_DEPTH_MAX: usize = 2;

/// A rule that the template breaks, with its place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) message: String,
}

impl Fault {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}

/// Which names of the context the template mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) headers: bool,
    pub(super) body: bool,
}

/// Rewrites a template.
///
/// # Errors
/// The first rule broken.
pub(super) fn fold<'a>(stmt: &Stmt<'a>) -> Result<(Stmt<'a>, Names), Fault> {
    let mut fold = Fold { names: Names::default(), loops: 0, loop_depth: 0, branches: 0 };
    let folded = fold.stmt(stmt)?;
    Ok((folded, fold.names))
}

struct Fold {
    names: Names,
    loops: usize,
    loop_depth: usize,
    /// How many `if` branches are open: an unknown name inside one fails only when it is reached.
    branches: usize,
}

/// A call of one of our operators: `expr|name(args)`.
fn call<'a>(name: &'static str, span: Span, expr: Expr<'a>, args: Vec<Expr<'a>>) -> Expr<'a> {
    let args = args.into_iter().map(CallArg::Pos).collect();
    Expr::Filter(Spanned::new(Filter { name, expr: Some(expr), args }, span))
}

fn constant<'a>(value: impl Into<Value>, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(Const { value: value.into() }, span))
}
