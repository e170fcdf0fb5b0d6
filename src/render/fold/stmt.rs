//! Statements rewritten, and the rules a template must keep: loops counted, no other templates. In: a statement. Out:
//! one that means what Python means, or the rule that is broken. Never a statement dropped.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    AutoEscape, Block, CallArg, CallBlock, EmitExpr, EmitRaw, Expr, Filter, FilterBlock, ForLoop,
    IfCond, List, Macro, Set, SetBlock, Spanned, Stmt, Template, Tuple, Var, WithBlock,
};

use super::{Fault, Fold, LOOP_DEPTH_MAX, LOOPS_MAX, call, constant};

impl Fold {
    pub(super) fn stmt<'a>(&mut self, stmt: &Stmt<'a>) -> Result<Stmt<'a>, Fault> {
        Ok(match stmt {
            Stmt::Template(node) => {
                let children = self.stmts(&node.children)?;
                Stmt::Template(Spanned::new(Template { children }, node.span()))
            }
            Stmt::EmitExpr(node) => {
                let expr = self.expr(&node.expr)?;
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, node.span()))
            }
            Stmt::EmitRaw(node) => {
                Stmt::EmitRaw(Spanned::new(EmitRaw { raw: node.raw }, node.span()))
            }
            Stmt::ForLoop(node) => self.for_loop(node, node.span())?,
            Stmt::IfCond(node) => self.if_cond(node, node.span())?,
            Stmt::WithBlock(node) => self.with(node, node.span())?,
            Stmt::Set(node) => self.set(node, node.span())?,
            Stmt::SetBlock(node) => self.set_block(node, node.span())?,
            Stmt::AutoEscape(node) => {
                let enabled = self.expr(&node.enabled)?;
                let enabled = call("op.truth", node.span(), enabled, Vec::new());
                let body = self.stmts(&node.body)?;
                Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body }, node.span()))
            }
            Stmt::FilterBlock(node) => {
                let filter = self.expr(&node.filter)?;
                let filter = call("op.text", node.filter_span, filter, Vec::new());
                let (filter_span, body) = (node.filter_span, self.stmts(&node.body)?);
                let node = Spanned::new(FilterBlock { filter, filter_span, body }, node.span());
                Stmt::FilterBlock(node)
            }
            Stmt::Block(node) => {
                let body = self.stmts(&node.body)?;
                let block = Block { name: node.name, required: node.required, body };
                Stmt::Block(Spanned::new(block, node.span()))
            }
            Stmt::Macro(node) => Stmt::Macro(self.macro_decl(node)?),
            Stmt::CallBlock(node) => {
                let call = self.plain_call(&node.call)?;
                let macro_decl = self.macro_decl(&node.macro_decl)?;
                let block = CallBlock { call, call_expr_span: node.call_expr_span, macro_decl };
                Stmt::CallBlock(Spanned::new(block, node.span()))
            }
            Stmt::Import(node) => return Err(foreign("import", node.span())),
            Stmt::FromImport(node) => return Err(foreign("from", node.span())),
            Stmt::Extends(node) => return Err(foreign("extends", node.span())),
            Stmt::Include(node) => return Err(foreign("include", node.span())),
            Stmt::Do(node) => return Err(Fault::new(node.span(), "there is no tag 'do'")),
        })
    }

    fn stmts<'a>(&mut self, stmts: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, Fault> {
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn for_loop<'a>(&mut self, node: &ForLoop<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        self.loops += 1;
        if self.loops > LOOPS_MAX {
            let what = format!("a template has at most {LOOPS_MAX} loops");
            return Err(Fault::new(span, what));
        }
        self.loop_depth += 1;
        if self.loop_depth > LOOP_DEPTH_MAX {
            let what = format!("loops are nested at most {LOOP_DEPTH_MAX} deep");
            return Err(Fault::new(span, what));
        }
        let target = copy_target(&node.target)?;
        let mut iter = self.iterable(&node.iter)?;
        if matches!(target, Expr::List(_)) {
            iter = call("op.rows", node.iter.span(), iter, Vec::new());
        }
        let filter_expr = node.filter_expr.as_ref().map(|expr| self.expr(expr)).transpose()?;
        let (body, else_body) = (self.stmts(&node.body)?, self.stmts(&node.else_body)?);
        self.loop_depth -= 1;
        let recursive = node.recursive;
        let folded = ForLoop { target, iter, filter_expr, recursive, body, else_body };
        Ok(Stmt::ForLoop(Spanned::new(folded, span)))
    }

    fn if_cond<'a>(&mut self, node: &IfCond<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        let expr = self.expr(&node.expr)?;
        self.branches += 1;
        let (true_body, false_body) = (self.stmts(&node.true_body)?, self.stmts(&node.false_body)?);
        self.branches -= 1;
        Ok(Stmt::IfCond(Spanned::new(IfCond { expr, true_body, false_body }, span)))
    }

    /// Python reads all values before the first name is set: they become one tuple.
    fn with<'a>(&mut self, node: &WithBlock<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        let mut targets = Vec::with_capacity(node.assignments.len());
        let mut values = Vec::with_capacity(node.assignments.len());
        for (target, value) in &node.assignments {
            let value = self.value_for(target, value)?;
            targets.push(copy_target(target)?);
            values.push(value);
        }
        let assignments = match targets.len() {
            0 | 1 => targets.into_iter().zip(values).collect(),
            _ => vec![(
                Expr::List(Spanned::new(List { items: targets }, span)),
                Expr::Tuple(Spanned::new(Tuple { items: values }, span)),
            )],
        };
        let body = self.stmts(&node.body)?;
        Ok(Stmt::WithBlock(Spanned::new(WithBlock { assignments, body }, span)))
    }

    fn set<'a>(&mut self, node: &Set<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        let expr = self.value_for(&node.target, &node.expr)?;
        if let Expr::GetAttr(attribute) = &node.target {
            // Namespaces are ours; what their method gives is kept under a name nobody can read.
            let of = self.expr(&attribute.expr)?;
            let args = vec![constant(attribute.name, span), expr];
            let target = Expr::Var(Spanned::new(Var { id: "" }, span));
            let expr = call("op.assign", span, of, args);
            return Ok(Stmt::Set(Spanned::new(Set { target, expr }, span)));
        }
        let target = copy_target(&node.target)?;
        Ok(Stmt::Set(Spanned::new(Set { target, expr }, span)))
    }

    fn set_block<'a>(&mut self, node: &SetBlock<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        let mut filter = node.filter.as_ref().map(|filter| self.expr(filter)).transpose()?;
        let target = match &node.target {
            Expr::GetAttr(attribute) => {
                let of = CallArg::Pos(self.expr(&attribute.expr)?);
                let name = CallArg::Pos(constant(attribute.name, span));
                let keep = Filter { name: "op.keep", expr: filter, args: vec![of, name] };
                filter = Some(Expr::Filter(Spanned::new(keep, span)));
                Expr::Var(Spanned::new(Var { id: "" }, span))
            }
            other => copy_target(other)?,
        };
        let body = self.stmts(&node.body)?;
        Ok(Stmt::SetBlock(Spanned::new(SetBlock { target, filter, body }, span)))
    }

    /// The value of an assignment; several targets unpack it.
    fn value_for<'a>(&mut self, target: &Expr<'a>, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let span = expr.span();
        let expr = self.expr(expr)?;
        Ok(match target {
            Expr::List(_) => call("op.row", span, expr, Vec::new()),
            _ => expr,
        })
    }

    fn macro_decl<'a>(&mut self, node: &Spanned<Macro<'a>>) -> Result<Spanned<Macro<'a>>, Fault> {
        let args: Result<_, _> = node.args.iter().map(copy_target).collect();
        let defaults: Result<_, _> = node.defaults.iter().map(|value| self.expr(value)).collect();
        let body = self.stmts(&node.body)?;
        let folded = Macro { name: node.name, args: args?, defaults: defaults?, body };
        Ok(Spanned::new(folded, node.span()))
    }
}

/// What is assigned to.
fn copy_target<'a>(target: &Expr<'a>) -> Result<Expr<'a>, Fault> {
    let span = target.span();
    Ok(match target {
        Expr::Var(var) => Expr::Var(Spanned::new(Var { id: var.id }, span)),
        Expr::List(list) => {
            let items: Result<_, _> = list.items.iter().map(copy_target).collect();
            Expr::List(Spanned::new(List { items: items? }, span))
        }
        _ => return Err(Fault::new(span, "only names can be assigned here")),
    })
}

fn foreign(tag: &str, span: Span) -> Fault {
    Fault::new(span, format!("'{tag}' needs another template, and a webhook has only its own"))
}
