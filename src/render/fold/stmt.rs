//! Statements rewritten, and the rules a template must keep: loops counted, no other templates. In: a statement. Out:
//! those that mean what Python means, or the rule that is broken. Never a statement dropped.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    AutoEscape, Block, CallArg, EmitExpr, EmitRaw, Expr, Filter, FilterBlock, ForLoop, GetAttr,
    IfCond, List, Set, SetBlock, Spanned, Stmt, Tuple, WithBlock,
};

use super::super::code::Code;
use super::super::error::Fault;
use super::super::trace::Branch;
use super::{Escapes, Fixed, Fold, assignment, call, constant, names, variable};

impl<'a> Fold<'a, '_> {
    pub(super) fn stmts(&mut self, stmts: &[Stmt<'a>]) -> Result<Vec<Stmt<'a>>, Fault> {
        let mut out = Vec::with_capacity(stmts.len());
        self.stmts_into(stmts, &mut out)?;
        Ok(out)
    }

    pub(super) fn stmts_into(
        &mut self,
        stmts: &[Stmt<'a>],
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<(), Fault> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt, out))
    }

    fn stmt(&mut self, stmt: &Stmt<'a>, out: &mut Vec<Stmt<'a>>) -> Result<(), Fault> {
        let folded = match stmt {
            Stmt::EmitExpr(node) => {
                let is_fixed = self.is_constant(&node.expr);
                self.fixed = if is_fixed { Fixed::Written } else { Fixed::No };
                let mut expr = match self.shown(&node.expr)? {
                    Some(expr) => expr,
                    None => self.expr(&node.expr)?,
                };
                self.fixed = Fixed::No;
                if is_fixed && self.escapes.volatile && !self.escapes.escaping {
                    // Jinja has written it before it could know.
                    expr = call("op.written", node.span(), expr, Vec::new());
                }
                let expr = self.emitted(expr, node.span());
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, node.span()))
            }
            Stmt::EmitRaw(node) => self.raw(node.raw, node.span()).unwrap_or_else(|| {
                Stmt::EmitRaw(Spanned::new(EmitRaw { raw: node.raw }, node.span()))
            }),
            Stmt::ForLoop(node) => self.for_loop(node, node.span(), out)?,
            Stmt::IfCond(node) => self.if_cond(node, node.span())?,
            Stmt::WithBlock(node) => self.with(node, node.span())?,
            Stmt::Set(node) => return self.set(node, node.span(), out),
            Stmt::SetBlock(node) => return self.set_block(node, node.span(), out),
            Stmt::AutoEscape(node) => {
                let outer = self.escapes;
                let enabled = self.expr(&node.enabled)?;
                let enabled = call("op.truth", node.span(), enabled, Vec::new());
                match &node.enabled {
                    Expr::Const(node) => self.escapes.escaping = node.value.is_true(),
                    other => self.escapes.volatile |= !self.is_constant(other),
                }
                let body = self.scope(&node.body, node.span())?;
                self.escapes = outer;
                Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body }, node.span()))
            }
            Stmt::FilterBlock(node) => {
                let filter_span = node.filter_span;
                let body = self.capturing(|fold| fold.scope(&node.body, node.span()))?;
                let filter = self.inside(&[], |fold| fold.expr(&node.filter))?;
                let filter = call("op.text", filter_span, filter, Vec::new());
                let filter = self.filtered(filter, filter_span);
                let node = Spanned::new(FilterBlock { filter, filter_span, body }, node.span());
                Stmt::FilterBlock(node)
            }
            Stmt::Block(node) => self.block(node, node.span())?,
            Stmt::Macro(node) => return self.macro_tag(node, out),
            Stmt::CallBlock(node) => return self.call_block(node, out),
            Stmt::Import(node) => return Err(foreign("import", node.span())),
            Stmt::FromImport(node) => return Err(foreign("from", node.span())),
            Stmt::Extends(node) => return Err(foreign("extends", node.span())),
            Stmt::Include(node) => return Err(foreign("include", node.span())),
            Stmt::Template(node) => return self.stmts_into(&node.children, out),
            Stmt::Do(node) => return Err(Fault::span(node.span(), "there is no tag 'do'")),
        };
        out.push(folded);
        Ok(())
    }

    /// Statements whose names end with them.
    fn scope(&mut self, stmts: &[Stmt<'a>], span: Span) -> Result<Vec<Stmt<'a>>, Fault> {
        let body = self.inside(&[], |fold| fold.stmts(stmts))?;
        let node = WithBlock { assignments: Vec::new(), body };
        Ok(vec![Stmt::WithBlock(Spanned::new(node, span))])
    }

    fn for_loop(
        &mut self,
        node: &ForLoop<'a>,
        span: Span,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<Stmt<'a>, Fault> {
        self.loops += 1;
        let most = self.limits.loops_max;
        if self.loops > most {
            let what = format!("a template has at most {most} loops");
            return Err(Fault::span(span, what).over());
        }
        self.loop_depth += 1;
        let most = self.limits.loop_depth_max;
        if self.loop_depth > most {
            let what = format!("loops are nested at most {most} deep");
            return Err(Fault::span(span, what).over());
        }
        let mut own = names::targets(&node.target);
        let sets_loop = own.iter().copied().find(|name| *name == "loop");
        let sets_loop = sets_loop
            .or_else(|| names::assignment(&node.body, "loop"))
            .or_else(|| names::assignment(&node.else_body, "loop"));
        if let Some(name) = sets_loop {
            // A name is a part of the source.
            let start = name.as_ptr() as usize - self.source.as_ptr() as usize;
            return Err(Fault::new(start, start + name.len(), "'loop' cannot be set in a loop"));
        }
        own.push("loop");
        let target = copy_target(&node.target)?;
        let mut iter = self.iterable(&node.iter)?;
        iter = self.part(iter, &node.iter);
        if matches!(target, Expr::List(_)) {
            // Jinja's filter hands on what it unpacked.
            let rows = if node.filter_expr.is_some() { "op.tuples" } else { "op.rows" };
            iter = call(rows, node.iter.span(), iter, Vec::new());
        }
        let (else_body, open) = self.opened(node, span, out)?;
        self.open.push(open);
        let (filter_expr, body) = self.inside(&own, |fold| {
            let filter = node.filter_expr.as_ref().map(|expr| fold.expr(expr)).transpose()?;
            let mut body: Vec<_> = fold.reach(span, Branch::Each).into_iter().collect();
            fold.stmts_into(&node.body, &mut body)?;
            Ok((filter, body))
        })?;
        self.open.pop();
        self.loop_depth -= 1;
        let recursive = node.recursive;
        let folded = ForLoop { target, iter, filter_expr, recursive, body, else_body };
        Ok(Stmt::ForLoop(Spanned::new(folded, span)))
    }

    fn if_cond(&mut self, node: &IfCond<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        self.branches += 1;
        let expr = self.forgiving(true, |fold| fold.expr(&node.expr))?;
        let at = node.expr.span();
        let true_body = self.branch(at, Branch::Then, &node.true_body)?;
        let false_body = self.branch(at, Branch::Else, &node.false_body)?;
        self.branches -= 1;
        Ok(Stmt::IfCond(Spanned::new(IfCond { expr, true_body, false_body }, span)))
    }

    /// The statements of a branch.
    pub(super) fn branch(
        &mut self,
        span: Span,
        branch: Branch,
        stmts: &[Stmt<'a>],
    ) -> Result<Vec<Stmt<'a>>, Fault> {
        // A loop that goes through nothing has no branch unless it is written.
        let is_there = branch != Branch::Empty || !stmts.is_empty();
        let mark = if is_there { self.reach(span, branch) } else { None };
        let mut body: Vec<_> = mark.into_iter().collect();
        self.stmts_into(stmts, &mut body)?;
        Ok(body)
    }

    /// Python reads all values before the first name is set: they become one tuple.
    fn with(&mut self, node: &WithBlock<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        let mut targets = Vec::with_capacity(node.assignments.len());
        let mut values = Vec::with_capacity(node.assignments.len());
        let mut own = Vec::new();
        for (target, value) in &node.assignments {
            values.push(self.value_for(target, value)?);
            targets.push(copy_target(target)?);
            own.extend(names::targets(target));
        }
        let assignments = match targets.len() {
            0 | 1 => targets.into_iter().zip(values).collect(),
            _ => vec![(
                Expr::List(Spanned::new(List { items: targets }, span)),
                Expr::Tuple(Spanned::new(Tuple { items: values }, span)),
            )],
        };
        let body = self.inside(&own, |fold| fold.stmts(&node.body))?;
        Ok(Stmt::WithBlock(Spanned::new(WithBlock { assignments, body }, span)))
    }

    /// A block sees the names around it only when it is `scoped`.
    fn block(&mut self, node: &Block<'a>, span: Span) -> Result<Stmt<'a>, Fault> {
        if !self.blocks.insert(node.name) {
            return Err(Fault::span(span, format!("the block '{}' is there already", node.name)));
        }
        let is_scoped = self.scoped.contains(&(span.start_offset as usize));
        let mut unseen = if is_scoped { Vec::new() } else { self.local.clone() };
        unseen.retain(|name| !names::assigns(&node.body, name));
        let unseen = std::mem::replace(&mut self.unseen, unseen);
        let escapes = std::mem::take(&mut self.escapes);
        let body = self.inside(&[], |fold| fold.stmts(&node.body));
        self.escapes = escapes;
        self.unseen = unseen;
        let mut body = body?;
        if escapes != Escapes::default() {
            // What is around a block does not say whether its text is escaped.
            let enabled = constant(false, span);
            body = vec![Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body }, span))];
        }
        let block = Block { name: node.name, required: node.required, body };
        Ok(Stmt::Block(Spanned::new(block, span)))
    }

    /// Namespaces are ours: what is set there is set by a call, whose result nobody can read.
    fn set(&mut self, node: &Set<'a>, span: Span, out: &mut Vec<Stmt<'a>>) -> Result<(), Fault> {
        let expr = self.value_for(&node.target, &node.expr)?;
        self.note_set(&names::targets(&node.target));
        let mut dotted = Vec::new();
        let target = self.hide_dotted(&node.target, &mut dotted)?;
        out.push(Stmt::Set(Spanned::new(Set { target, expr }, span)));
        for (hidden, attribute) in dotted {
            out.push(self.assign_dotted(variable(hidden, span), attribute, span)?);
        }
        Ok(())
    }

    fn set_block(
        &mut self,
        node: &SetBlock<'a>,
        span: Span,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<(), Fault> {
        let filter = node.filter.as_ref();
        let mut filter =
            filter.map(|filter| self.inside(&[], |fold| fold.expr(filter))).transpose()?;
        if filter.is_some() {
            let node = Filter { name: "op.captured", expr: filter, args: Vec::new() };
            filter = Some(Expr::Filter(Spanned::new(node, span)));
        }
        if matches!(node.target, Expr::List(_)) {
            let node = Filter { name: "op.row", expr: filter, args: Vec::new() };
            filter = Some(Expr::Filter(Spanned::new(node, span)));
        }
        let body = self.capturing(|fold| fold.scope(&node.body, span))?;
        self.note_set(&names::targets(&node.target));
        let mut dotted = Vec::new();
        let target = self.hide_dotted(&node.target, &mut dotted)?;
        out.push(Stmt::SetBlock(Spanned::new(SetBlock { target, filter, body }, span)));
        for (hidden, attribute) in dotted {
            out.push(self.assign_dotted(variable(hidden, span), attribute, span)?);
        }
        Ok(())
    }

    /// The target with each `name.attribute` under a name that no template can spell.
    fn hide_dotted<'e>(
        &self,
        target: &'e Expr<'a>,
        dotted: &mut Vec<(&'a str, &'e GetAttr<'a>)>,
    ) -> Result<Expr<'a>, Fault> {
        let span = target.span();
        Ok(match target {
            Expr::GetAttr(attribute) => {
                let hidden = self.slice(span);
                dotted.push((hidden, attribute));
                variable(hidden, span)
            }
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.items.len());
                for item in &list.items {
                    items.push(self.hide_dotted(item, dotted)?);
                }
                Expr::List(Spanned::new(List { items }, span))
            }
            other => copy_target(other)?,
        })
    }

    fn assign_dotted(
        &mut self,
        value: Expr<'a>,
        attribute: &GetAttr<'a>,
        span: Span,
    ) -> Result<Stmt<'a>, Fault> {
        let of = self.expr(&attribute.expr)?;
        let args = [constant(attribute.name, span), value].map(CallArg::Pos).into();
        let assign = Filter { name: "op.assign", expr: Some(of), args };
        Ok(assignment("", Expr::Filter(Spanned::new(assign, span)), span))
    }

    /// The value of an assignment; several targets unpack it.
    fn value_for(&mut self, target: &Expr<'a>, expr: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let span = expr.span();
        let expr = self.expr(expr)?;
        Ok(match target {
            Expr::List(_) => call("op.row", span, expr, Vec::new()),
            _ => expr,
        })
    }
}

/// A target of names only.
pub(super) fn copy_target<'a>(target: &Expr<'a>) -> Result<Expr<'a>, Fault> {
    let span = target.span();
    Ok(match target {
        Expr::Var(var) => variable(var.id, span),
        Expr::List(list) => {
            let items: Result<_, _> = list.items.iter().map(copy_target).collect();
            Expr::List(Spanned::new(List { items: items? }, span))
        }
        _ => return Err(Fault::span(span, "only names can be assigned here")),
    })
}

fn foreign(tag: &str, span: Span) -> Fault {
    let what = format!("'{tag}' needs another template, and a webhook has only its own");
    Fault::span(span, what).under(Code::Foreign)
}
