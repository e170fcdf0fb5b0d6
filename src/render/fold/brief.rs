//! Fewer instructions of the same meaning, for what templates do most. In: an expression that was parsed. Out: one call
//! or lookup where the tree has several. Never where a name is not sure to be the request's own.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{BinOp, BinOpKind, Expr, GetAttr};

use super::super::context::BODY;
use super::super::error::Fault;
use super::super::methods;
use super::{Fold, call};

impl<'a> Fold<'a, '_> {
    /// `body.a.b` as one name, which the root knows: as it is written, when nothing stands between its parts.
    pub(super) fn path(&self, node: &GetAttr<'a>, span: Span) -> Option<&'a str> {
        if !self.is_brief() || self.owns_body {
            return None;
        }
        let written = self.slice(span);
        let (mut node, mut rest) = (node, written);
        loop {
            if node.name.starts_with('_') || methods::is_attribute(node.name) {
                return None;
            }
            rest = rest.strip_suffix(node.name)?.strip_suffix('.')?;
            node = match &node.expr {
                Expr::GetAttr(inner) => inner,
                Expr::Var(var) if var.id == BODY && rest == BODY => return Some(written),
                _ => return None,
            };
        }
    }

    /// `{{ value|tojson }}` and `{{ (a ~ b)|tojson }}`: what is only shown need not become a safe string first.
    pub(super) fn shown(&mut self, expr: &Expr<'a>) -> Result<Option<Expr<'a>>, Fault> {
        let Expr::Filter(node) = expr else { return Ok(None) };
        let Some(of) = node.expr.as_ref().filter(|_| node.name == "tojson") else {
            return Ok(None);
        };
        if !self.is_brief() || !node.args.is_empty() || self.is_constant(expr) {
            return Ok(None);
        }
        let outer = std::mem::replace(&mut self.simplified, true);
        let parts = match of {
            Expr::BinOp(joined) if self.is_joined(of) => self.joined(joined),
            other => self.expr(other).map(|value| vec![value]),
        };
        self.simplified = outer;
        let mut parts = parts?.into_iter();
        let Some(first) = parts.next() else { return Ok(None) };
        Ok(Some(call("op.json", expr.span(), first, parts.collect())))
    }

    /// The operands of `a ~ b ~ c`, folded.
    pub(super) fn joined(&mut self, node: &BinOp<'a>) -> Result<Vec<Expr<'a>>, Fault> {
        let mut operands = match &node.left {
            // Constants in front are joined with the rest, not by themselves before.
            Expr::BinOp(left)
                if matches!(left.op, BinOpKind::Concat)
                    && (self.is_brief() || self.is_constant(&node.left)) =>
            {
                self.joined(left)?
            }
            left => {
                let folded = self.expr(left)?;
                vec![self.part(folded, left)]
            }
        };
        let folded = self.expr(&node.right)?;
        operands.push(self.part(folded, &node.right));
        Ok(operands)
    }

    /// Whether the expression joins texts when it is rendered.
    fn is_joined(&self, expr: &Expr<'_>) -> bool {
        matches!(expr, Expr::BinOp(node) if matches!(node.op, BinOpKind::Concat))
            && !self.escapes.volatile
            && !self.is_constant(expr)
    }
}
