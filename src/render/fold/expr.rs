//! Expressions rewritten: each node rebuilt, Python's operators in place of the engine's. In: an expression. Out: one
//! that means what Python means. `and`, `or`, `not` and `if` stay nodes, since they must not look at both sides.

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOpKind, Expr, Filter, GetAttr, GetItem,
    IfExpr, List, Map, Spanned, Test, Tuple, UnaryOp, UnaryOpKind, Var,
};
use num_bigint::BigInt;

use super::super::engine::{is_filter, is_test, nearest_filter, nearest_test};
use super::super::methods;
use super::super::value::{Nothing, from_big};
use super::{Fault, Fold, call, constant};

impl Fold {
    pub(super) fn expr<'a>(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let span = expr.span();
        Ok(match expr {
            Expr::Var(var) => self.var(var.id, span),
            Expr::Const(node) => constant(exact(&node.value), span),
            Expr::Slice(node) => {
                let mut bounds = Vec::with_capacity(3);
                for bound in [&node.start, &node.stop, &node.step] {
                    bounds.push(match bound {
                        Some(bound) => self.expr(bound)?,
                        None => constant((), span),
                    });
                }
                call("op.slice", span, self.expr(&node.expr)?, bounds)
            }
            Expr::UnaryOp(node) => self.unary(node, span)?,
            Expr::BinOp(node) => self.binary(node, span)?,
            Expr::Compare(node) => self.compare(node, span)?,
            Expr::IfExpr(node) => self.if_expr(node, span)?,
            Expr::Filter(node) => self.filter(node, span)?,
            Expr::Test(node) => self.test(node, span)?,
            Expr::GetAttr(node) => self.attribute(node, span)?,
            Expr::GetItem(node) => self.item(node, span)?,
            Expr::Call(node) => self.call(node)?,
            Expr::List(node) => {
                Expr::List(Spanned::new(List { items: self.exprs(&node.items)? }, span))
            }
            Expr::Tuple(node) => {
                Expr::Tuple(Spanned::new(Tuple { items: self.exprs(&node.items)? }, span))
            }
            Expr::Map(node) => self.map(node, span)?,
        })
    }

    fn exprs<'a>(&mut self, exprs: &[Expr<'a>]) -> Result<Vec<Expr<'a>>, Fault> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn var<'a>(&mut self, id: &'a str, span: Span) -> Expr<'a> {
        match id {
            "body" => self.names.body = true,
            "headers" => self.names.headers = true,
            _ => {}
        }
        Expr::Var(Spanned::new(Var { id }, span))
    }

    fn unary<'a>(&mut self, node: &UnaryOp<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        Ok(match node.op {
            UnaryOpKind::Not => {
                Expr::UnaryOp(Spanned::new(UnaryOp { op: UnaryOpKind::Not, expr }, span))
            }
            UnaryOpKind::Neg => call("op.neg", span, expr, Vec::new()),
        })
    }

    fn binary<'a>(&mut self, node: &BinOp<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let left = self.expr(&node.left)?;
        let right = self.expr(&node.right)?;
        let name = match node.op {
            op @ (BinOpKind::ScAnd | BinOpKind::ScOr) => {
                return Ok(Expr::BinOp(Spanned::new(BinOp { op, left, right }, span)));
            }
            BinOpKind::Eq => "op.==",
            BinOpKind::Ne => "op.!=",
            BinOpKind::Lt => "op.<",
            BinOpKind::Lte => "op.<=",
            BinOpKind::Gt => "op.>",
            BinOpKind::Gte => "op.>=",
            BinOpKind::Add => "op.+",
            BinOpKind::Sub => "op.-",
            BinOpKind::Mul => "op.*",
            BinOpKind::Div => "op./",
            BinOpKind::FloorDiv => "op.//",
            BinOpKind::Rem => "op.%",
            BinOpKind::Pow => "op.**",
            BinOpKind::Concat => "op.~",
            BinOpKind::In => "op.in",
        };
        Ok(call(name, span, left, vec![right]))
    }

    /// `a < b < c` as one call that compares until one fails. The operands are all evaluated first: Python stops at
    /// the first false comparison, which shows only when a later operand fails by itself.
    fn compare<'a>(&mut self, node: &Compare<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let first = self.expr(&node.expr)?;
        let mut args = Vec::with_capacity(node.ops.len() * 2);
        for op in &node.ops {
            let name = match op.op {
                CompareOpKind::Eq => "==",
                CompareOpKind::Ne => "!=",
                CompareOpKind::Lt => "<",
                CompareOpKind::Lte => "<=",
                CompareOpKind::Gt => ">",
                CompareOpKind::Gte => ">=",
                CompareOpKind::In => "in",
                CompareOpKind::NotIn => "not in",
            };
            args.push(constant(name, span));
            args.push(self.expr(&op.expr)?);
        }
        Ok(call("op.compare", span, first, args))
    }

    fn if_expr<'a>(&mut self, node: &IfExpr<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let test_expr = self.expr(&node.test_expr)?;
        self.branches += 1;
        let true_expr = self.expr(&node.true_expr)?;
        let false_expr = match &node.false_expr {
            Some(expr) => self.expr(expr)?,
            None => constant(Value::from_object(Nothing), span),
        };
        self.branches -= 1;
        let node = IfExpr { test_expr, true_expr, false_expr: Some(false_expr) };
        Ok(Expr::IfExpr(Spanned::new(node, span)))
    }

    pub(super) fn filter<'a>(&mut self, node: &Filter<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = node.expr.as_ref().map(|expr| self.expr(expr)).transpose()?;
        let args = self.args(&node.args)?;
        if is_filter(node.name) {
            return Ok(Expr::Filter(Spanned::new(Filter { name: node.name, expr, args }, span)));
        }
        let what = unknown("filter", node.name, nearest_filter(node.name));
        self.unreachable(expr, what, span)
    }

    fn test<'a>(&mut self, node: &Test<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        let args = self.args(&node.args)?;
        if is_test(node.name) {
            return Ok(Expr::Test(Spanned::new(Test { name: node.name, expr, args }, span)));
        }
        let what = unknown("test", node.name, nearest_test(node.name));
        self.unreachable(Some(expr), what, span)
    }

    /// An unknown name: refused at once, but inside an `if` only when it is reached.
    fn unreachable<'a>(
        &self,
        expr: Option<Expr<'a>>,
        what: String,
        span: Span,
    ) -> Result<Expr<'a>, Fault> {
        if self.branches == 0 {
            return Err(Fault::new(span, what));
        }
        let args = vec![CallArg::Pos(constant(what, span))];
        Ok(Expr::Filter(Spanned::new(Filter { name: "op.fail", expr, args }, span)))
    }

    pub(super) fn args<'a>(&mut self, args: &[CallArg<'a>]) -> Result<Vec<CallArg<'a>>, Fault> {
        let fold = |arg: &CallArg<'a>| {
            Ok(match arg {
                CallArg::Pos(expr) => CallArg::Pos(self.expr(expr)?),
                CallArg::Kwarg(name, expr) => CallArg::Kwarg(name, self.expr(expr)?),
                CallArg::PosSplat(expr) => CallArg::PosSplat(self.iterable(expr)?),
                CallArg::KwargSplat(expr) => CallArg::KwargSplat(self.expr(expr)?),
            })
        };
        args.iter().map(fold).collect()
    }

    /// What is iterated over: refused when Python would refuse it.
    pub(super) fn iterable<'a>(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        Ok(call("op.iter", expr.span(), self.expr(expr)?, Vec::new()))
    }

    fn attribute<'a>(&mut self, node: &GetAttr<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        Ok(if node.name.starts_with('_') || methods::is_attribute(node.name) {
            call("op.attribute", span, expr, vec![constant(node.name, span)])
        } else {
            // No value of Python's has such an attribute, so it can only be a key: the engine's own lookup will do.
            Expr::GetAttr(Spanned::new(GetAttr { expr, name: node.name }, span))
        })
    }

    fn item<'a>(&mut self, node: &GetItem<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        let subscript_expr = self.expr(&node.subscript_expr)?;
        let plain = match &subscript_expr {
            Expr::Const(key) => match key.value.as_str() {
                Some(name) => !methods::is_attribute(name),
                None => key.value.is_integer(),
            },
            _ => false,
        };
        Ok(if plain {
            Expr::GetItem(Spanned::new(GetItem { expr, subscript_expr }, span))
        } else {
            call("op.item", span, expr, vec![subscript_expr])
        })
    }

    fn call<'a>(&mut self, node: &Spanned<Call<'a>>) -> Result<Expr<'a>, Fault> {
        let span = node.span();
        if let Expr::GetAttr(method) = &node.expr
            && method.name == "cycle"
        {
            // The engine's own `loop.cycle()` panics without arguments.
            let expr = Some(self.expr(&method.expr)?);
            let args = self.args(&node.args)?;
            return Ok(Expr::Filter(Spanned::new(Filter { name: "op.cycle", expr, args }, span)));
        }
        self.plain_call(node).map(Expr::Call)
    }

    pub(super) fn plain_call<'a>(
        &mut self,
        node: &Spanned<Call<'a>>,
    ) -> Result<Spanned<Call<'a>>, Fault> {
        let expr = match &node.expr {
            Expr::GetAttr(method) if !method.name.starts_with('_') => {
                let expr = match &method.expr {
                    Expr::Var(var) if var.id == "self" => self.var("self", var.span()),
                    other => self.expr(other)?,
                };
                Expr::GetAttr(Spanned::new(GetAttr { expr, name: method.name }, method.span()))
            }
            other => self.expr(other)?,
        };
        let args = self.args(&node.args)?;
        Ok(Spanned::new(Call { expr, args }, node.span()))
    }

    fn map<'a>(&mut self, node: &Map<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let (keys, values) = (self.exprs(&node.keys)?, self.exprs(&node.values)?);
        let plain =
            |key: &Expr<'_>| matches!(key, Expr::Const(key) if key.value.as_str().is_some());
        if keys.iter().all(plain) {
            return Ok(Expr::Map(Spanned::new(Map { keys, values }, span)));
        }
        let pairs = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect();
        Ok(call("op.dict", span, Expr::List(Spanned::new(List { items: pairs }, span)), Vec::new()))
    }
}

/// A literal as it is kept: an integer beyond `i128` needs an object.
fn exact(value: &Value) -> Value {
    if !value.is_integer() || i128::try_from(value.clone()).is_ok() {
        return value.clone();
    }
    match u128::try_from(value.clone()) {
        Ok(number) => from_big(BigInt::from(number)),
        Err(_) => value.clone(),
    }
}

fn unknown(what: &str, name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("there is no {what} '{name}'; did you mean '{nearest}'?"),
        None => format!("there is no {what} '{name}'"),
    }
}
