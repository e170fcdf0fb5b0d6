//! Loops that call themselves. In: a recursive loop, and `loop(rows)` inside it. Out: statements beside the loop, and
//! the call. The engine's own call of a loop passes over its filter and its `else`: they become macros.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    Call, CallArg, EmitExpr, EmitRaw, Expr, ForLoop, IfCond, IfExpr, Macro, Set, Spanned, Stmt,
};

use super::super::error::Fault;
use super::super::trace::Branch;
use super::stmt::copy_target;
use super::{Fold, call, names, variable};

/// A loop that is open.
#[derive(Clone, Copy, Default)]
pub(super) struct Open<'a> {
    /// It has several names.
    pub(super) unpacks: bool,
    /// The macro that shows something when its filter holds for an item.
    filter: Option<&'a str>,
    /// The macro that shows its `else`.
    otherwise: Option<&'a str>,
}

impl<'a> Fold<'a, '_> {
    /// The `else` of a loop, and what `loop()` inside the loop needs; macros go to `out`.
    pub(super) fn opened(
        &mut self,
        node: &ForLoop<'a>,
        span: Span,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<(Vec<Stmt<'a>>, Open<'a>), Fault> {
        let unpacks = matches!(node.target, Expr::List(_));
        let mut open = Open { unpacks, ..Open::default() };
        let otherwise = |fold: &mut Self| {
            fold.inside(&[], |fold| fold.branch(span, Branch::Empty, &node.else_body))
        };
        if !node.recursive {
            return Ok((otherwise(self)?, open));
        }
        // The source of all of the loop is no name, nor is it without its first letter.
        let name = self.slice(span);
        if let Some(condition) = &node.filter_expr {
            let filter = name.get(1..).unwrap_or_default();
            let body = self.filter_body(node, condition, filter)?;
            let args = vec![variable(filter, span)];
            out.push(held(filter, args, body, span));
            open.filter = Some(filter);
        }
        if node.else_body.is_empty() {
            return Ok((Vec::new(), open));
        }
        let body = self.capturing(otherwise)?;
        out.push(held(name, Vec::new(), body, span));
        open.otherwise = Some(name);
        let expr = self.emitted(called(name, span), span);
        Ok((vec![Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span))], open))
    }

    /// Shows something when the condition holds for what is in the variable `item`.
    fn filter_body(
        &mut self,
        node: &ForLoop<'a>,
        condition: &Expr<'a>,
        item: &'a str,
    ) -> Result<Vec<Stmt<'a>>, Fault> {
        let span = condition.span();
        let target = copy_target(&node.target)?;
        let expr = variable(item, span);
        let own = names::targets(&node.target);
        let expr = self.inside(&own, |fold| {
            let condition = fold.expr(condition)?;
            Ok((Set { target, expr }, condition))
        })?;
        let (set, expr) = expr;
        let shown = Stmt::EmitRaw(Spanned::new(EmitRaw { raw: "x" }, span));
        let choice = IfCond { expr, true_body: vec![shown], false_body: Vec::new() };
        Ok(vec![Stmt::Set(Spanned::new(set, span)), Stmt::IfCond(Spanned::new(choice, span))])
    }

    /// `loop(rows)`, as the loop would go through them itself.
    pub(super) fn again(
        &mut self,
        mut made: Call<'a>,
        rows: &Expr<'a>,
        span: Span,
    ) -> Result<Expr<'a>, Fault> {
        let open = self.open.last().copied().unwrap_or_default();
        let rows_of = |fold: &mut Self| -> Result<Expr<'a>, Fault> {
            let mut found = call("op.iter", span, fold.expr(rows)?, Vec::new());
            if open.unpacks {
                let name = if open.filter.is_some() { "op.tuples" } else { "op.rows" };
                found = call(name, span, found, Vec::new());
            }
            Ok(match open.filter {
                Some(filter) => call("op.filtered", span, found, vec![variable(filter, span)]),
                None => found,
            })
        };
        made.args = vec![CallArg::Pos(rows_of(self)?)];
        let call_again = Expr::Call(Spanned::new(made, span));
        let Some(otherwise) = open.otherwise else { return Ok(call_again) };
        let node = IfExpr {
            test_expr: call("op.any", span, rows_of(self)?, Vec::new()),
            true_expr: call_again,
            false_expr: Some(called(otherwise, span)),
        };
        Ok(Expr::IfExpr(Spanned::new(node, span)))
    }
}

fn held<'a>(name: &'a str, args: Vec<Expr<'a>>, body: Vec<Stmt<'a>>, span: Span) -> Stmt<'a> {
    Stmt::Macro(Spanned::new(Macro { name, args, defaults: Vec::new(), body }, span))
}

fn called(name: &str, span: Span) -> Expr<'_> {
    Expr::Call(Spanned::new(Call { expr: variable(name, span), args: Vec::new() }, span))
}
