//! Ways through the parsed tree. In: a statement or an expression. Out: its parts, one level down. Never a judgement.

use minijinja::machinery::ast::{CallArg, Expr, Stmt};

/// The bodies of a statement.
pub(super) fn children<'s, 'a>(stmt: &'s Stmt<'a>, visit: &mut dyn FnMut(&'s [Stmt<'a>])) {
    match stmt {
        Stmt::Template(node) => visit(&node.children),
        Stmt::ForLoop(node) => {
            visit(&node.body);
            visit(&node.else_body);
        }
        Stmt::IfCond(node) => {
            visit(&node.true_body);
            visit(&node.false_body);
        }
        Stmt::WithBlock(node) => visit(&node.body),
        Stmt::SetBlock(node) => visit(&node.body),
        Stmt::AutoEscape(node) => visit(&node.body),
        Stmt::FilterBlock(node) => visit(&node.body),
        Stmt::Block(node) => visit(&node.body),
        Stmt::Macro(node) => visit(&node.body),
        Stmt::CallBlock(node) => visit(&node.macro_decl.body),
        _ => {}
    }
}

/// The expressions of a statement itself, but for targets and a loop's filter, which belongs to its inside.
pub(super) fn expressions<'s, 'a>(stmt: &'s Stmt<'a>, visit: &mut dyn FnMut(&'s Expr<'a>)) {
    match stmt {
        Stmt::EmitExpr(node) => visit(&node.expr),
        Stmt::ForLoop(node) => visit(&node.iter),
        Stmt::IfCond(node) => visit(&node.expr),
        Stmt::WithBlock(node) => node.assignments.iter().for_each(|(_, value)| visit(value)),
        Stmt::Set(node) => visit(&node.expr),
        Stmt::SetBlock(node) => node.filter.iter().for_each(visit),
        Stmt::AutoEscape(node) => visit(&node.enabled),
        Stmt::FilterBlock(node) => visit(&node.filter),
        Stmt::Macro(node) => node.defaults.iter().for_each(visit),
        Stmt::CallBlock(node) => {
            node.macro_decl.defaults.iter().for_each(&mut *visit);
            visit(&node.call.expr);
            node.call.args.iter().map(argument).for_each(visit);
        }
        _ => {}
    }
}

/// The expressions inside an expression.
pub(super) fn inner<'s, 'a>(expr: &'s Expr<'a>, visit: &mut dyn FnMut(&'s Expr<'a>)) {
    match expr {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(node) => {
            visit(&node.expr);
            [&node.start, &node.stop, &node.step].into_iter().flatten().for_each(visit);
        }
        Expr::UnaryOp(node) => visit(&node.expr),
        Expr::BinOp(node) => {
            visit(&node.left);
            visit(&node.right);
        }
        Expr::Compare(node) => {
            visit(&node.expr);
            node.ops.iter().for_each(|op| visit(&op.expr));
        }
        Expr::IfExpr(node) => {
            visit(&node.test_expr);
            visit(&node.true_expr);
            node.false_expr.iter().for_each(visit);
        }
        Expr::Filter(node) => {
            node.expr.iter().for_each(&mut *visit);
            node.args.iter().map(argument).for_each(visit);
        }
        Expr::Test(node) => {
            visit(&node.expr);
            node.args.iter().map(argument).for_each(visit);
        }
        Expr::GetAttr(node) => visit(&node.expr),
        Expr::GetItem(node) => {
            visit(&node.expr);
            visit(&node.subscript_expr);
        }
        Expr::Call(node) => {
            visit(&node.expr);
            node.args.iter().map(argument).for_each(visit);
        }
        Expr::List(node) => node.items.iter().for_each(visit),
        Expr::Tuple(node) => node.items.iter().for_each(visit),
        Expr::Map(node) => {
            node.keys.iter().for_each(&mut *visit);
            node.values.iter().for_each(visit);
        }
    }
}

/// The parts of an expression that can end up in what it shows: no conditions, keys or arguments but a default's.
pub(super) fn shown<'s, 'a>(expr: &'s Expr<'a>, visit: &mut dyn FnMut(&'s Expr<'a>)) {
    match expr {
        Expr::IfExpr(node) => {
            visit(&node.true_expr);
            node.false_expr.iter().for_each(visit);
        }
        Expr::Filter(node) => {
            node.expr.iter().for_each(&mut *visit);
            if matches!(node.name, "default" | "d") {
                node.args.iter().map(argument).for_each(visit);
            }
        }
        Expr::Slice(node) => visit(&node.expr),
        Expr::GetItem(node) => visit(&node.expr),
        // What a method of a value gives is made of the value; a mapping's `get` is a lookup.
        Expr::Call(node) => match &node.expr {
            Expr::GetAttr(method) if method.name != "get" => visit(&method.expr),
            _ => {}
        },
        Expr::Compare(_) | Expr::Test(_) => {}
        other => inner(other, visit),
    }
}

pub(super) fn argument<'s, 'a>(arg: &'s CallArg<'a>) -> &'s Expr<'a> {
    match arg {
        CallArg::Pos(expr)
        | CallArg::Kwarg(_, expr)
        | CallArg::PosSplat(expr)
        | CallArg::KwargSplat(expr) => expr,
    }
}

/// The text of a constant string.
pub(super) fn text_of<'s>(expr: &'s Expr<'_>) -> Option<&'s str> {
    match expr {
        Expr::Const(constant) => constant.value.as_str(),
        _ => None,
    }
}

/// The name of the last step of a lookup: `id` of `body.user.id`.
pub(super) fn last_name<'s>(expr: &'s Expr<'_>) -> Option<&'s str> {
    match expr {
        Expr::GetAttr(node) => Some(node.name),
        Expr::GetItem(node) => text_of(&node.subscript_expr),
        _ => None,
    }
}

/// The header that an expression reads.
pub(super) fn header<'s>(expr: &'s Expr<'_>) -> Option<&'s str> {
    let is_headers = |of: &Expr<'_>| matches!(of, Expr::Var(var) if var.id == "headers");
    match expr {
        Expr::GetAttr(node) if is_headers(&node.expr) => Some(node.name),
        Expr::GetItem(node) if is_headers(&node.expr) => text_of(&node.subscript_expr),
        Expr::Call(node) => match (&node.expr, node.args.first()) {
            (Expr::GetAttr(method), Some(arg))
                if method.name == "get" && is_headers(&method.expr) =>
            {
                text_of(argument(arg))
            }
            _ => None,
        },
        _ => None,
    }
}
