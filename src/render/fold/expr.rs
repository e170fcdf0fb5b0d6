//! Expressions rewritten: each node rebuilt, Python's operators in place of the engine's. In: an expression. Out: one
//! that means what Python means. `and`, `or`, `not` and `if` stay nodes, since they must not look at both sides.

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOp, CompareOpKind, Expr, Filter, GetAttr,
    GetItem, IfExpr, List, Map, Slice, Spanned, Test, Tuple, UnaryOp, UnaryOpKind,
};

use super::super::code::Code;
use super::super::engine::{is_filter, is_test, nearest_filter, nearest_test};
use super::super::error::Fault;
use super::super::methods;
use super::super::trace::Branch;
use super::super::value::{Nothing, Reference};
use super::{Fixed, Fold, ROOT, call, constant, variable};

/// Filters that see the context, so that Jinja does not apply them when it compiles.
const IN_CONTEXT: [&str; 6] = ["map", "random", "reject", "rejectattr", "select", "selectattr"];

impl<'a> Fold<'a, '_> {
    pub(super) fn expr(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        // What is made of constants only is made when Jinja compiles; a slice by itself is not kept there.
        let stays = self.fixed != Fixed::No || self.escapes.volatile;
        if stays || matches!(expr, Expr::Slice(_) | Expr::Const(_)) || !self.is_constant(expr) {
            return self.node(expr);
        }
        self.fixed = Fixed::Kept;
        let folded = self.node(expr);
        self.fixed = Fixed::No;
        folded
    }

    fn node(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let container = matches!(expr, Expr::List(_) | Expr::Tuple(_) | Expr::Map(_));
        let outer = self.simplified;
        self.simplified |= !container;
        let folded = self.rebuilt(expr);
        self.simplified = outer;
        folded
    }

    fn rebuilt(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let span = expr.span();
        Ok(match expr {
            Expr::Var(var) => self.var(var.id, span),
            Expr::Const(node) => constant(node.value.clone(), span),
            Expr::Slice(node) => self.slicing(node, span)?,
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

    fn exprs(&mut self, exprs: &[Expr<'a>]) -> Result<Vec<Expr<'a>>, Fault> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn var(&mut self, id: &'a str, span: Span) -> Expr<'a> {
        match id {
            "body" => self.names.body = true,
            "headers" => self.names.headers = true,
            "self" if !self.owns_self => {
                return constant(Value::from_object(Reference), span);
            }
            _ => {}
        }
        if self.unseen.contains(&id) {
            // A loop's name, which a block in the loop does not see: only the context may know it.
            let expr = variable(ROOT, span);
            return Expr::GetAttr(Spanned::new(GetAttr { expr, name: id }, span));
        }
        variable(id, span)
    }

    fn slicing(&mut self, node: &Slice<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let of = self.expr(&node.expr)?;
        let mut bounds = Vec::with_capacity(3);
        for bound in [&node.start, &node.stop, &node.step] {
            bounds.push(match bound {
                Some(bound) => self.expr(bound)?,
                None => constant((), span),
            });
        }
        // When Jinja compiles, what cannot be sliced is undefined.
        let name = if self.fixed == Fixed::No { "op.slice" } else { "op.cut" };
        Ok(call(name, span, of, bounds))
    }

    fn unary(&mut self, node: &UnaryOp<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        Ok(match node.op {
            UnaryOpKind::Not => {
                Expr::UnaryOp(Spanned::new(UnaryOp { op: UnaryOpKind::Not, expr }, span))
            }
            UnaryOpKind::Neg => call("op.neg", span, expr, Vec::new()),
        })
    }

    fn binary(&mut self, node: &BinOp<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        if matches!(node.op, BinOpKind::Concat)
            && !self.escapes.volatile
            && !(self.is_constant(&node.left) && self.is_constant(&node.right))
        {
            let mut operands = self.joined(node)?;
            let rest = operands.split_off(1);
            return Ok(operands
                .pop()
                .map_or_else(|| constant("", span), |first| call("op.~", span, first, rest)));
        }
        let chooses = matches!(node.op, BinOpKind::ScOr);
        let left = self.forgiving(chooses, |fold| fold.expr(&node.left))?;
        let right = self.expr(&node.right)?;
        let (is_left, is_right) =
            (|| self.is_constant(&node.left), || self.is_constant(&node.right));
        let name = match node.op {
            op @ (BinOpKind::ScAnd | BinOpKind::ScOr) => {
                return Ok(Expr::BinOp(Spanned::new(BinOp { op, left, right }, span)));
            }
            // Jinja joins constants when it compiles, and forgets that some are safe; so it does where only a
            // rendering knows whether text is escaped.
            BinOpKind::Concat => "op.~~",
            BinOpKind::Add => "op.+",
            BinOpKind::Sub => "op.-",
            BinOpKind::Mul => "op.*",
            BinOpKind::Div => "op./",
            BinOpKind::FloorDiv => "op.//",
            BinOpKind::Rem => "op.%",
            // Python binds the sign of a constant that Jinja made less tightly.
            BinOpKind::Pow if !self.escapes.volatile && is_left() && !is_right() => "op.-**",
            BinOpKind::Pow => "op.**",
            _ => return Err(Fault::span(span, "a comparison is no arithmetic")),
        };
        Ok(call(name, span, left, vec![right]))
    }

    /// One comparison is a call. A chain stays the engine's, which stops at the first that fails, with operands of
    /// ours.
    fn compare(&mut self, node: &Compare<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let first = self.expr(&node.expr)?;
        if let [only] = &node.ops[..] {
            let right = self.expr(&only.expr)?;
            let name = match only.op {
                CompareOpKind::Eq => "op.==",
                CompareOpKind::Ne => "op.!=",
                CompareOpKind::Lt => "op.<",
                CompareOpKind::Lte => "op.<=",
                CompareOpKind::Gt => "op.>",
                CompareOpKind::Gte => "op.>=",
                CompareOpKind::In => "op.in",
                CompareOpKind::NotIn => "op.notin",
            };
            return Ok(call(name, span, first, vec![right]));
        }
        let operand = |expr, sign| call("op.operand", span, expr, vec![constant(sign, span)]);
        let mut ops = Vec::with_capacity(node.ops.len());
        for op in &node.ops {
            let (sign, kind) = match op.op {
                CompareOpKind::Eq => ("==", CompareOpKind::Eq),
                CompareOpKind::Ne => ("!=", CompareOpKind::Ne),
                CompareOpKind::Lt => ("<", CompareOpKind::Lt),
                CompareOpKind::Lte => ("<=", CompareOpKind::Lte),
                CompareOpKind::Gt => (">", CompareOpKind::Gt),
                CompareOpKind::Gte => (">=", CompareOpKind::Gte),
                CompareOpKind::In => ("in", CompareOpKind::Eq),
                CompareOpKind::NotIn => ("not in", CompareOpKind::Eq),
            };
            ops.push(CompareOp { op: kind, expr: operand(self.expr(&op.expr)?, sign) });
        }
        let node = Compare { expr: operand(first, ""), ops };
        let chain = Expr::Compare(Spanned::new(node, span));
        Ok(call("op.chain", span, chain, Vec::new()))
    }

    fn if_expr(&mut self, node: &IfExpr<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        self.branches += 1;
        let test_expr = self.forgiving(true, |fold| fold.expr(&node.test_expr))?;
        let (at, way) = (node.test_expr.span(), truth(&node.test_expr));
        let true_expr = self.side(&node.true_expr, way == Some(false))?;
        let true_expr = self.reached(true_expr, at, Branch::Then);
        let false_expr = match &node.false_expr {
            Some(expr) => {
                let expr = self.side(expr, way == Some(true))?;
                self.reached(expr, at, Branch::Else)
            }
            None => constant(Value::from_object(Nothing), span),
        };
        self.branches -= 1;
        let node = IfExpr { test_expr, true_expr, false_expr: Some(false_expr) };
        Ok(Expr::IfExpr(Spanned::new(node, span)))
    }

    /// One side of an `if`; one that is never taken Jinja does not make simpler.
    fn side(&mut self, expr: &Expr<'a>, is_dead: bool) -> Result<Expr<'a>, Fault> {
        if !is_dead || self.fixed != Fixed::Written {
            return self.expr(expr);
        }
        let outer = std::mem::take(&mut self.simplified);
        let folded = self.expr(expr);
        self.simplified = outer;
        folded
    }

    fn filter(&mut self, node: &Filter<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let forgives = matches!(node.name, "default" | "d");
        let expr = node.expr.as_ref().map(|expr| self.forgiving(forgives, |fold| fold.expr(expr)));
        let expr = expr.transpose()?;
        let args = self.args(&node.args)?;
        if node.name == "+" {
            return Ok(Expr::Filter(Spanned::new(Filter { name: "op.pos", expr, args }, span)));
        }
        if is_filter(node.name) {
            return Ok(Expr::Filter(Spanned::new(Filter { name: node.name, expr, args }, span)));
        }
        let what = unknown("filter", node.name, nearest_filter(node.name));
        self.unreachable(expr, what, span)
    }

    fn test(&mut self, node: &Test<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.forgiving(true, |fold| fold.expr(&node.expr))?;
        let args = self.args(&node.args)?;
        if is_test(node.name) {
            return Ok(Expr::Test(Spanned::new(Test { name: node.name, expr, args }, span)));
        }
        let what = unknown("test", node.name, nearest_test(node.name));
        self.unreachable(Some(expr), what, span)
    }

    /// An unknown name: refused at once, but inside an `if` only when it is reached.
    fn unreachable(
        &self,
        expr: Option<Expr<'a>>,
        (what, help): (String, Option<String>),
        span: Span,
    ) -> Result<Expr<'a>, Fault> {
        if self.branches == 0 {
            return Err(Fault::span(span, what).under(Code::Unknown).with_help(help));
        }
        let what = help.map_or(what.clone(), |help| format!("{what}; {help}"));
        let args = vec![CallArg::Pos(constant(what, span))];
        Ok(Expr::Filter(Spanned::new(Filter { name: "op.fail", expr, args }, span)))
    }

    fn args(&mut self, args: &[CallArg<'a>]) -> Result<Vec<CallArg<'a>>, Fault> {
        let mut folded = Vec::with_capacity(args.len());
        for arg in args {
            folded.push(match arg {
                CallArg::Pos(expr) => CallArg::Pos(self.expr(expr)?),
                CallArg::Kwarg(name, expr) => CallArg::Kwarg(name, self.expr(expr)?),
                CallArg::PosSplat(expr) => CallArg::PosSplat(self.iterable(expr)?),
                CallArg::KwargSplat(expr) => {
                    let expr = call("op.kwargs", expr.span(), self.expr(expr)?, Vec::new());
                    CallArg::KwargSplat(expr)
                }
            });
        }
        Ok(folded)
    }

    /// What is iterated over: refused when Python would refuse it.
    pub(super) fn iterable(&mut self, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        Ok(call("op.iter", expr.span(), self.expr(expr)?, Vec::new()))
    }

    fn attribute(&mut self, node: &GetAttr<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        if let Some(path) = self.path(node, span) {
            self.names.body = true;
            return Ok(variable(path, span));
        }
        let expr = self.expr(&node.expr)?;
        let expr = self.base(expr);
        let found = if node.name.starts_with('_') || methods::is_attribute(node.name) {
            call("op.attribute", span, expr, vec![constant(node.name, span)])
        } else {
            // No value of Python's has such an attribute, so it can only be a key: the engine's own lookup will do.
            Expr::GetAttr(Spanned::new(GetAttr { expr, name: node.name }, span))
        };
        Ok(self.read(found, span))
    }

    fn item(&mut self, node: &GetItem<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        let expr = self.base(expr);
        let subscript_expr = self.expr(&node.subscript_expr)?;
        let plain = match &subscript_expr {
            Expr::Const(key) => key.value.as_str().is_some_and(|name| !methods::is_attribute(name)),
            _ => false,
        };
        let found = if plain {
            Expr::GetItem(Spanned::new(GetItem { expr, subscript_expr }, span))
        } else {
            call("op.item", span, expr, vec![subscript_expr])
        };
        Ok(self.read(found, span))
    }

    fn call(&mut self, node: &Spanned<Call<'a>>) -> Result<Expr<'a>, Fault> {
        let span = node.span();
        if let Expr::GetAttr(method) = &node.expr
            && ["cycle", "changed"].contains(&method.name)
        {
            // The engine's own `loop.cycle()` panics without arguments, its `changed` may keep the loop alive.
            let expr = Some(self.expr(&method.expr)?);
            let args = self.args(&node.args)?;
            let name = if method.name == "cycle" { "op.cycle" } else { "op.changed" };
            return Ok(Expr::Filter(Spanned::new(Filter { name, expr, args }, span)));
        }
        let made = self.callee(node)?;
        if matches!(&node.expr, Expr::Var(var) if var.id == "loop")
            && let [CallArg::Pos(rows)] = &node.args[..]
        {
            return self.again(made, rows, span);
        }
        Ok(Expr::Call(Spanned::new(made, span)))
    }

    /// What is called, and with what.
    pub(super) fn callee(&mut self, node: &Call<'a>) -> Result<Call<'a>, Fault> {
        let expr = match &node.expr {
            Expr::GetAttr(method) if !method.name.starts_with('_') => {
                let of = match &method.expr {
                    // The engine calls blocks by this name.
                    Expr::Var(var) if var.id == "self" && !self.owns_self => {
                        variable("self", var.span())
                    }
                    other => self.expr(other)?,
                };
                let node = GetAttr { expr: of, name: method.name };
                Expr::GetAttr(Spanned::new(node, method.span()))
            }
            other => self.expr(other)?,
        };
        Ok(Call { expr, args: self.args(&node.args)? })
    }

    fn map(&mut self, node: &Map<'a>, span: Span) -> Result<Expr<'a>, Fault> {
        let (keys, values) = (self.exprs(&node.keys)?, self.exprs(&node.values)?);
        let is_text =
            |key: &Expr<'_>| matches!(key, Expr::Const(key) if key.value.as_str().is_some());
        if keys.iter().all(is_text) {
            return Ok(Expr::Map(Spanned::new(Map { keys, values }, span)));
        }
        // What Jinja makes when it compiles ends with the first pair that it cannot know.
        for (key, value) in node.keys.iter().zip(&node.values) {
            if !self.simplified || !self.is_constant(key) || !self.is_constant(value) {
                break;
            }
            if matches!(key, Expr::List(_) | Expr::Map(_)) {
                return Err(Fault::span(key.span(), "a list or dict cannot be the key of a dict"));
            }
        }
        let pairs = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect();
        Ok(call("op.dict", span, Expr::List(Spanned::new(List { items: pairs }, span)), Vec::new()))
    }

    /// Whether Jinja would evaluate the expression when it compiles.
    pub(super) fn is_constant(&self, expr: &Expr<'_>) -> bool {
        is_constant(expr, !self.escapes.volatile)
    }
}

/// The same, with or without filters and tests: these wait where only a rendering knows whether text is escaped.
fn is_constant(expr: &Expr<'_>, filters: bool) -> bool {
    let is_constant = |expr: &Expr<'_>| is_constant(expr, filters);
    let all = |exprs: &[Expr<'_>]| exprs.iter().all(is_constant);
    let args = |args: &[CallArg<'_>]| {
        args.iter().all(|arg| match arg {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => is_constant(expr),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
        })
    };
    match expr {
        Expr::Const(_) => true,
        Expr::List(node) => all(&node.items),
        Expr::Tuple(node) => all(&node.items),
        Expr::Map(node) => all(&node.keys) && all(&node.values),
        Expr::BinOp(node) => {
            let decides = match node.op {
                BinOpKind::ScOr => truth(&node.left) == Some(true),
                BinOpKind::ScAnd => truth(&node.left) == Some(false),
                _ => false,
            };
            is_constant(&node.left) && (decides || is_constant(&node.right))
        }
        Expr::UnaryOp(node) => is_constant(&node.expr),
        Expr::GetAttr(node) => is_constant(&node.expr),
        Expr::GetItem(node) => is_constant(&node.expr) && is_constant(&node.subscript_expr),
        Expr::Slice(node) => {
            let bounds = [&node.start, &node.stop, &node.step];
            is_constant(&node.expr) && bounds.into_iter().flatten().all(is_constant)
        }
        Expr::Compare(node) => {
            is_constant(&node.expr) && node.ops.iter().all(|op| is_constant(&op.expr))
        }
        Expr::IfExpr(node) => {
            let other = || node.false_expr.as_ref().is_some_and(is_constant);
            is_constant(&node.test_expr)
                && match truth(&node.test_expr) {
                    Some(true) => is_constant(&node.true_expr),
                    Some(false) => other(),
                    None => is_constant(&node.true_expr) && other(),
                }
        }
        Expr::Test(node) => filters && is_constant(&node.expr) && args(&node.args),
        Expr::Filter(node) => {
            filters
                && !IN_CONTEXT.contains(&node.name)
                && node.expr.as_ref().is_some_and(is_constant)
                && args(&node.args)
        }
        _ => false,
    }
}

/// Whether a constant is true, when that can be seen at a glance.
fn truth(expr: &Expr<'_>) -> Option<bool> {
    match expr {
        Expr::Const(node) => Some(node.value.is_true()),
        Expr::List(node) => Some(!node.items.is_empty()),
        Expr::Tuple(node) => Some(!node.items.is_empty()),
        Expr::Map(node) => Some(!node.keys.is_empty()),
        Expr::UnaryOp(node) if matches!(node.op, UnaryOpKind::Not) => {
            truth(&node.expr).map(|held| !held)
        }
        Expr::BinOp(node) if matches!(node.op, BinOpKind::Concat) => {
            (has_text(&node.left) || has_text(&node.right)).then_some(true)
        }
        _ => None,
    }
}

/// Whether a constant's text is not empty, when that can be seen at a glance.
fn has_text(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(node) => node.value.as_str().is_none_or(|text| !text.is_empty()),
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => true,
        _ => false,
    }
}

/// What is said of an unknown name, and the name that may have been meant.
fn unknown(what: &str, name: &str, nearest: Option<&str>) -> (String, Option<String>) {
    let help = nearest.map(|nearest| format!("did you mean '{nearest}'?"));
    (format!("there is no {what} '{name}'"), help)
}
