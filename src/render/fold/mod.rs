//! The parsed template rewritten to Python's meaning: operators, lookups and checks become calls of ours, under names
//! no template can spell. In: the engine's tree. Out: the same kind of tree, spans kept. Never a change of the
//! engine.

mod brief;
mod expr;
mod marks;
mod names;
mod recursion;
mod routine;
mod stmt;

use std::collections::BTreeSet;

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Const, Expr, Filter, Set, Spanned, Stmt, Var};

use super::Limits;
use super::context::BODY;
use super::error::Fault;
use super::syntax::Parsed;
use super::trace::Plan;
use recursion::Open;

/// The context itself, under a name that no template can spell.
pub(super) const ROOT: &str = "the context";

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
pub(super) fn fold<'a>(
    parsed: &Parsed<'a>,
    source: &'a str,
    limits: &Limits,
    plan: Option<&mut Plan>,
) -> Result<(Stmt<'a>, Names), Fault> {
    let mut fold = Fold {
        source,
        scoped: &parsed.scoped,
        limits,
        names: Names::default(),
        loops: 0,
        loop_depth: 0,
        open: Vec::new(),
        branches: 0,
        depth: 0,
        local: Vec::new(),
        unseen: Vec::new(),
        blocks: BTreeSet::new(),
        fixed: Fixed::No,
        escapes: Escapes::default(),
        simplified: false,
        owns_self: names::assigns(std::slice::from_ref(&parsed.stmt), "self"),
        owns_body: names::assigns_at_all(std::slice::from_ref(&parsed.stmt), BODY),
        watch: marks::Watch { plan, captured: false, forgiven: false },
    };
    let Stmt::Template(template) = &parsed.stmt else { return Ok((empty(), fold.names)) };
    let children = fold.stmts(&template.children)?;
    let node = minijinja::machinery::ast::Template { children };
    Ok((Stmt::Template(Spanned::new(node, template.span())), fold.names))
}

fn empty<'a>() -> Stmt<'a> {
    let node = minijinja::machinery::ast::EmitRaw { raw: "" };
    Stmt::EmitRaw(Spanned::new(node, Span::default()))
}

/// What Jinja does when it compiles with the expression at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fixed {
    /// Nothing: something in it is known only to a rendering.
    No,
    /// Makes a constant of it.
    Kept,
    /// Writes it as text, without looking at what is not needed.
    Written,
}

/// Whether text is escaped where the fold is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Escapes {
    /// Only a rendering knows.
    volatile: bool,
    /// As far as Jinja knows when it compiles, it is.
    escaping: bool,
}

struct Fold<'a, 'p> {
    source: &'a str,
    scoped: &'p BTreeSet<usize>,
    limits: &'p Limits,
    names: Names,
    loops: usize,
    loop_depth: usize,
    open: Vec<Open<'a>>,
    /// How many `if` branches are open: an unknown name inside one fails only when it is reached.
    branches: usize,
    /// How many statements with names of their own are open.
    depth: usize,
    /// Names set by the loops and blocks that are open.
    local: Vec<&'a str>,
    /// Those of them that the open block does not see.
    unseen: Vec<&'a str>,
    /// The blocks so far.
    blocks: BTreeSet<&'a str>,
    fixed: Fixed,
    escapes: Escapes,
    /// What is at hand is part of something that Jinja makes simpler when it compiles.
    simplified: bool,
    /// The template has a `self` of its own.
    owns_self: bool,
    /// The template has a `body` of its own somewhere.
    owns_body: bool,
    watch: marks::Watch<'p>,
}

impl<'a> Fold<'a, '_> {
    /// Folds something with names of its own: what is unknown inside fails at once again.
    fn inside<T>(
        &mut self,
        names: &[&'a str],
        fold: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (local, branches) = (self.local.len(), std::mem::take(&mut self.branches));
        self.local.extend_from_slice(names);
        self.depth += 1;
        let folded = fold(self);
        self.depth -= 1;
        self.local.truncate(local);
        self.branches = branches;
        folded
    }

    /// Notes the names that a statement sets: those set inside something end with it.
    fn note_set(&mut self, names: &[&'a str]) {
        if self.depth > 0 {
            self.local.extend_from_slice(names);
        }
    }

    /// The source of a span: a name that no template can spell when it is no name.
    fn slice(&self, span: Span) -> &'a str {
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        self.source.get(start..end).unwrap_or_default()
    }
}

/// A call of one of our operators: `expr|name(args)`.
fn call<'a>(name: &'static str, span: Span, expr: Expr<'a>, args: Vec<Expr<'a>>) -> Expr<'a> {
    let args = args.into_iter().map(CallArg::Pos).collect();
    Expr::Filter(Spanned::new(Filter { name, expr: Some(expr), args }, span))
}

fn constant<'a>(value: impl Into<Value>, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(Const { value: value.into() }, span))
}

fn variable(id: &str, span: Span) -> Expr<'_> {
    Expr::Var(Spanned::new(Var { id }, span))
}

/// `{% set id = expr %}`.
fn assignment<'a>(id: &'a str, expr: Expr<'a>, span: Span) -> Stmt<'a> {
    Stmt::Set(Spanned::new(Set { target: variable(id, span), expr }, span))
}
