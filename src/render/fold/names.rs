//! Which names statements read and set. In: the parsed tree. Out: yes or no. Goes through a tree in the order in
//! which Jinja's own visitor does, since a name counts as read only before it is set.

use minijinja::machinery::ast::{CallArg, Expr, Macro, Stmt};

/// A name in a tree.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Read(&'a str),
    Set(&'a str),
}

/// The names in `wanted` that the statements read before they set them. Blocks are looked past.
pub(super) fn undeclared<'a>(stmts: &[Stmt<'a>], wanted: &[&str]) -> Vec<&'a str> {
    let mut shadowed: Vec<&str> = Vec::new();
    let mut found: Vec<&'a str> = Vec::new();
    walk(stmts, &mut |seen| match seen {
        Seen::Read(name) if wanted.contains(&name) && !shadowed.contains(&name) => {
            if !found.contains(&name) {
                found.push(name);
            }
        }
        Seen::Read(_) => {}
        Seen::Set(name) => shadowed.push(name),
    });
    found
}

/// Whether the statements set a name anywhere.
pub(super) fn assigns(stmts: &[Stmt<'_>], wanted: &str) -> bool {
    assignment(stmts, wanted).is_some()
}

/// The first place where the statements set a name, as it stands in the source.
pub(super) fn assignment<'a>(stmts: &[Stmt<'a>], wanted: &str) -> Option<&'a str> {
    let mut found = None;
    walk(stmts, &mut |seen| match seen {
        Seen::Set(name) if name == wanted && found.is_none() => found = Some(name),
        _ => {}
    });
    found
}

/// The same, blocks included.
pub(super) fn assigns_at_all(stmts: &[Stmt<'_>], wanted: &str) -> bool {
    assigns(stmts, wanted) || in_blocks(stmts, &mut |body| assigns(body, wanted))
}

/// Whether something is true of a block, however deep inside.
fn in_blocks<'a>(stmts: &[Stmt<'a>], is: &mut dyn FnMut(&[Stmt<'a>]) -> bool) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Template(node) => in_blocks(&node.children, is),
        Stmt::ForLoop(node) => in_blocks(&node.body, is) || in_blocks(&node.else_body, is),
        Stmt::IfCond(node) => in_blocks(&node.true_body, is) || in_blocks(&node.false_body, is),
        Stmt::WithBlock(node) => in_blocks(&node.body, is),
        Stmt::SetBlock(node) => in_blocks(&node.body, is),
        Stmt::AutoEscape(node) => in_blocks(&node.body, is),
        Stmt::FilterBlock(node) => in_blocks(&node.body, is),
        Stmt::Macro(node) => in_blocks(&node.body, is),
        Stmt::CallBlock(node) => in_blocks(&node.macro_decl.body, is),
        Stmt::Block(node) => is(&node.body) || in_blocks(&node.body, is),
        _ => false,
    })
}

/// The names of a target.
pub(super) fn targets<'a>(target: &Expr<'a>) -> Vec<&'a str> {
    let mut names = Vec::new();
    target_names(target, &mut |seen| {
        if let Seen::Set(name) = seen {
            names.push(name);
        }
    });
    names
}

type Visit<'v, 'a> = &'v mut dyn FnMut(Seen<'a>);

fn walk<'a>(stmts: &[Stmt<'a>], visit: Visit<'_, 'a>) {
    for stmt in stmts {
        walk_stmt(stmt, visit);
    }
}

fn walk_stmt<'a>(stmt: &Stmt<'a>, visit: Visit<'_, 'a>) {
    match stmt {
        Stmt::Template(node) => walk(&node.children, visit),
        Stmt::EmitExpr(node) => walk_expr(&node.expr, visit),
        Stmt::ForLoop(node) => {
            target_names(&node.target, visit);
            walk_expr(&node.iter, visit);
            walk(&node.body, visit);
            walk(&node.else_body, visit);
            node.filter_expr.iter().for_each(|expr| walk_expr(expr, visit));
        }
        Stmt::IfCond(node) => {
            walk_expr(&node.expr, visit);
            walk(&node.true_body, visit);
            walk(&node.false_body, visit);
        }
        Stmt::WithBlock(node) => {
            node.assignments.iter().for_each(|(target, _)| target_names(target, visit));
            node.assignments.iter().for_each(|(_, value)| walk_expr(value, visit));
            walk(&node.body, visit);
        }
        Stmt::Set(node) => {
            target_names(&node.target, visit);
            walk_expr(&node.expr, visit);
        }
        Stmt::SetBlock(node) => {
            target_names(&node.target, visit);
            node.filter.iter().for_each(|expr| walk_expr(expr, visit));
            walk(&node.body, visit);
        }
        Stmt::AutoEscape(node) => {
            walk_expr(&node.enabled, visit);
            walk(&node.body, visit);
        }
        Stmt::FilterBlock(node) => {
            walk(&node.body, visit);
            walk_expr(&node.filter, visit);
        }
        Stmt::Macro(node) => {
            visit(Seen::Set(node.name));
            walk_macro(node, visit);
        }
        Stmt::CallBlock(node) => {
            walk_expr(&node.call.expr, visit);
            node.call.args.iter().for_each(|arg| walk_expr(argument(arg), visit));
            walk_macro(&node.macro_decl, visit);
        }
        _ => {}
    }
}

fn walk_macro<'a>(node: &Macro<'a>, visit: Visit<'_, 'a>) {
    node.args.iter().for_each(|arg| target_names(arg, visit));
    node.defaults.iter().for_each(|value| walk_expr(value, visit));
    walk(&node.body, visit);
}

fn target_names<'a>(target: &Expr<'a>, visit: Visit<'_, 'a>) {
    match target {
        Expr::Var(var) => visit(Seen::Set(var.id)),
        Expr::List(list) => list.items.iter().for_each(|item| target_names(item, visit)),
        Expr::GetAttr(dotted) => walk_expr(&dotted.expr, visit),
        _ => {}
    }
}

fn argument<'e, 'a>(arg: &'e CallArg<'a>) -> &'e Expr<'a> {
    match arg {
        CallArg::Pos(expr)
        | CallArg::Kwarg(_, expr)
        | CallArg::PosSplat(expr)
        | CallArg::KwargSplat(expr) => expr,
    }
}

fn walk_expr<'a>(expr: &Expr<'a>, visit: Visit<'_, 'a>) {
    match expr {
        Expr::Var(var) => visit(Seen::Read(var.id)),
        Expr::Const(_) => {}
        Expr::Slice(node) => {
            walk_expr(&node.expr, visit);
            for bound in [&node.start, &node.stop, &node.step].into_iter().flatten() {
                walk_expr(bound, visit);
            }
        }
        Expr::UnaryOp(node) => walk_expr(&node.expr, visit),
        Expr::BinOp(node) => {
            walk_expr(&node.left, visit);
            walk_expr(&node.right, visit);
        }
        Expr::Compare(node) => {
            walk_expr(&node.expr, visit);
            node.ops.iter().for_each(|op| walk_expr(&op.expr, visit));
        }
        Expr::IfExpr(node) => {
            walk_expr(&node.test_expr, visit);
            walk_expr(&node.true_expr, visit);
            node.false_expr.iter().for_each(|expr| walk_expr(expr, visit));
        }
        Expr::Filter(node) => {
            node.expr.iter().for_each(|expr| walk_expr(expr, visit));
            node.args.iter().for_each(|arg| walk_expr(argument(arg), visit));
        }
        Expr::Test(node) => {
            walk_expr(&node.expr, visit);
            node.args.iter().for_each(|arg| walk_expr(argument(arg), visit));
        }
        Expr::GetAttr(node) => walk_expr(&node.expr, visit),
        Expr::GetItem(node) => {
            walk_expr(&node.expr, visit);
            walk_expr(&node.subscript_expr, visit);
        }
        Expr::Call(node) => {
            walk_expr(&node.expr, visit);
            node.args.iter().for_each(|arg| walk_expr(argument(arg), visit));
        }
        Expr::List(node) => node.items.iter().for_each(|item| walk_expr(item, visit)),
        Expr::Tuple(node) => node.items.iter().for_each(|item| walk_expr(item, visit)),
        Expr::Map(node) => {
            for (key, value) in node.keys.iter().zip(&node.values) {
                walk_expr(key, visit);
                walk_expr(value, visit);
            }
        }
    }
}
