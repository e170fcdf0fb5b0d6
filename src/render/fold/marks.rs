//! Marks for a rendering that is watched (`trace`): expressions wrapped so that they tell what they gave. In: folded
//! nodes. Out: the same nodes, wrapped when there is a plan and as they were when there is none. Never a change of
//! what is written.

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, EmitExpr, Expr, Filter, Spanned, Stmt};

use super::super::error::Fault;
use super::super::trace::{Branch, Plan, Sort};
use super::{Fold, call, constant};

/// What is watched, and what is not.
pub(super) struct Watch<'p> {
    /// Where marks are noted, when the rendering is to be watched.
    pub(super) plan: Option<&'p mut Plan>,
    /// What is written here is captured: it becomes a value first.
    pub(super) captured: bool,
    /// What is read here may be absent: a default stands beside it, or it is asked whether it is there.
    pub(super) forgiven: bool,
}

/// The span of all of an expression: the engine's tree has a filter or test at its name.
fn whole(expr: &Expr<'_>) -> Span {
    let (inner, own) = match expr {
        Expr::Filter(node) => (node.expr.as_ref(), node.span()),
        Expr::Test(node) => (Some(&node.expr), node.span()),
        other => return other.span(),
    };
    let Some(inner) = inner.map(whole) else { return own };
    Span { start_line: inner.start_line, start_offset: inner.start_offset, ..own }
}

impl<'a> Fold<'a, '_> {
    fn mark(&mut self, span: Span, sort: Sort) -> Option<Value> {
        self.watch.plan.as_mut().map(|plan| plan.mark(span, sort))
    }

    /// Nobody watches: values that only lead to others need not be made.
    pub(super) fn is_brief(&self) -> bool {
        self.watch.plan.is_none()
    }

    /// What `{{ }}` writes.
    pub(super) fn emitted(&mut self, expr: Expr<'a>, span: Span) -> Expr<'a> {
        let name = if self.watch.captured { "op.part" } else { "op.emit" };
        self.weighed(name, expr, span)
    }

    /// A value that is joined to others, or looped over.
    pub(super) fn part(&mut self, expr: Expr<'a>, of: &Expr<'_>) -> Expr<'a> {
        if self.is_constant(of) { expr } else { self.weighed("op.part", expr, whole(of)) }
    }

    /// `begin` is evaluated first, then the expression, then the operator that sees both.
    fn weighed(&mut self, name: &'static str, expr: Expr<'a>, span: Span) -> Expr<'a> {
        let Some(mark) = self.mark(span, Sort::Value) else { return expr };
        let begin = call("op.begin", span, constant(mark, span), Vec::new());
        call(name, span, begin, vec![expr])
    }

    /// What a filter block writes.
    pub(super) fn filtered(&mut self, expr: Expr<'a>, span: Span) -> Expr<'a> {
        if self.watch.captured {
            return expr;
        }
        match self.mark(span, Sort::Value) {
            Some(mark) => call("op.raw", span, expr, vec![constant(mark, span)]),
            None => expr,
        }
    }

    /// Text of the template.
    pub(super) fn raw(&mut self, raw: &'a str, span: Span) -> Option<Stmt<'a>> {
        if self.watch.captured {
            return None;
        }
        let mark = self.mark(span, Sort::Text)?;
        let text = constant(Value::from_safe_string(raw.to_owned()), span);
        let expr = call("op.raw", span, text, vec![constant(mark, span)]);
        Some(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span)))
    }

    /// What something is looked up in.
    pub(super) fn base(&mut self, expr: Expr<'a>) -> Expr<'a> {
        if self.watch.plan.is_none() || self.watch.forgiven {
            return expr;
        }
        call("op.base", expr.span(), expr, Vec::new())
    }

    /// What was looked up in a [`base`](Self::base).
    pub(super) fn read(&mut self, expr: Expr<'a>, span: Span) -> Expr<'a> {
        if self.watch.forgiven {
            return expr;
        }
        match self.mark(span, Sort::Read) {
            Some(mark) => call("op.read", span, expr, vec![constant(mark, span)]),
            None => expr,
        }
    }

    /// A branch, when it is a statement's: writes nothing.
    pub(super) fn reach(&mut self, span: Span, branch: Branch) -> Option<Stmt<'a>> {
        let mark = self.mark(span, Sort::Branch(branch))?;
        let expr = call("op.reach", span, constant(mark, span), Vec::new());
        Some(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span)))
    }

    /// A branch, when it is an expression's.
    pub(super) fn reached(&mut self, expr: Expr<'a>, span: Span, branch: Branch) -> Expr<'a> {
        match self.mark(span, Sort::Branch(branch)) {
            Some(mark) => {
                let args = vec![CallArg::Pos(constant(mark, span))];
                let node = Filter { name: "op.reached", expr: Some(expr), args };
                Expr::Filter(Spanned::new(node, span))
            }
            None => expr,
        }
    }

    /// Folds something whose output is captured.
    pub(super) fn capturing<T>(
        &mut self,
        fold: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let outer = std::mem::replace(&mut self.watch.captured, true);
        let folded = fold(self);
        self.watch.captured = outer;
        folded
    }

    /// Folds something in which what is read may be absent.
    pub(super) fn forgiving<T>(
        &mut self,
        forgives: bool,
        fold: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let outer = self.watch.forgiven;
        self.watch.forgiven |= forgives;
        let folded = fold(self);
        self.watch.forgiven = outer;
        folded
    }
}
