//! The names of a template: what sets them, and where they are read. In: the parsed tree. Out: one table, made before
//! the rules look. Never a value: a name that is set twice is known by neither.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::Span;
use minijinja::machinery::ast::{Expr, Macro, Stmt};

use super::tree::{children, expressions, inner};

/// The names a request gives.
pub(in super::super) const REQUEST: [&str; 3] = ["body", "headers", "method"];
/// Names that Jinja gives, everywhere or in loops and macros.
const GIVEN: [&str; 12] = [
    "caller",
    "cycler",
    "dict",
    "joiner",
    "kwargs",
    "lipsum",
    "loop",
    "namespace",
    "range",
    "self",
    "super",
    "varargs",
];
/// Names of the extensions, which a server may switch on.
pub(in super::super) const EXTENSIONS: [&str; 4] = ["now", "path", "query", "webhook"];

/// Most times that names of one template are followed to what sets them: names of names grow fast.
const FOLLOWED_MAX: usize = 2_000;

/// What sets a name.
#[derive(Clone, Copy)]
pub(super) enum Origin<'s, 'a> {
    /// `set` or `with`.
    Set(&'s Expr<'a>),
    /// A loop over this; which of its names.
    Item(&'s Expr<'a>, Option<usize>),
    Macro,
    /// A block of text, a parameter, a part of a tuple.
    Opaque,
}

/// A place that sets a name.
pub(super) struct Setting<'s, 'a> {
    pub(super) origin: Origin<'s, 'a>,
    pub(super) span: Span,
    /// The loop around it.
    in_loop: Option<usize>,
    /// It is `set`, not a loop, `with` or a parameter.
    pub(super) is_set: bool,
}

/// All names of a template.
#[derive(Default)]
pub(super) struct Scope<'s, 'a> {
    settings: BTreeMap<&'a str, Vec<Setting<'s, 'a>>>,
    /// In which loop each name is read, and where.
    reads: BTreeMap<&'a str, Vec<(Option<usize>, u32)>>,
    /// Names that the template asks whether they are there.
    asked: BTreeSet<&'a str>,
    loops: usize,
    in_loop: Option<usize>,
    followed: Cell<usize>,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) fn of(stmts: &'s [Stmt<'a>]) -> Self {
        let mut scope = Self::default();
        scope.body(stmts);
        scope
    }

    /// What a name stands for, when one place alone sets it.
    pub(super) fn origin(&self, name: &str) -> Option<Origin<'s, 'a>> {
        self.followed.set(self.followed.get() + 1);
        match self.settings.get(name).map(Vec::as_slice) {
            Some(_) if self.followed.get() > FOLLOWED_MAX => None,
            Some([only]) => Some(only.origin),
            _ => None,
        }
    }

    /// Whether anything gives this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        REQUEST.contains(&name)
            || GIVEN.contains(&name)
            || EXTENSIONS.contains(&name)
            || self.settings.contains_key(name)
    }

    /// The names that are read though they are neither among those given nor Jinja's, unless somebody asks whether they
    /// are there; with where each begins first.
    pub(super) fn strangers(&self, given: &[&str]) -> Vec<(&'a str, usize)> {
        let is_strange =
            |name: &str| !(given.contains(&name) || GIVEN.contains(&name) || self.is_asked(name));
        let reads = self.reads.iter().filter(|(name, _)| is_strange(name));
        let first = reads.filter_map(|(name, reads)| Some((*name, reads.first()?.1 as usize)));
        first.collect()
    }

    /// Names that may be read.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        REQUEST.into_iter().chain(GIVEN).chain(self.settings.keys().copied())
    }

    /// Every name with the places that set it.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'a str, &[Setting<'s, 'a>])> {
        self.settings.iter().map(|(name, settings)| (*name, settings.as_slice()))
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// Whether the template asks itself whether a name is there.
    pub(super) fn is_asked(&self, name: &str) -> bool {
        self.asked.contains(name)
    }

    pub(super) fn is_read(&self, name: &str) -> bool {
        self.reads.contains_key(name)
    }

    /// Where a name is set inside a loop, to be read where the setting does not reach: behind the loop, or in front
    /// of it in the next turn.
    pub(super) fn lost(&self, name: &str) -> Option<Span> {
        let settings = self.settings.get(name)?;
        let reads = self.reads.get(name)?;
        let is_outside = settings.iter().any(|set| set.is_set && set.in_loop.is_none());
        let inside = settings.iter().find(|set| set.is_set && set.in_loop.is_some())?;
        let out_of_reach = |(in_loop, at): &(Option<usize>, u32)| {
            in_loop.is_none() && *at > inside.span.end_offset
                || *in_loop == inside.in_loop && *at < inside.span.start_offset
        };
        (is_outside && reads.iter().any(out_of_reach)).then_some(inside.span)
    }

    fn body(&mut self, stmts: &'s [Stmt<'a>]) {
        for stmt in stmts {
            self.statement(stmt);
        }
    }

    fn statement(&mut self, stmt: &'s Stmt<'a>) {
        expressions(stmt, &mut |expr| self.expression(expr));
        match stmt {
            Stmt::ForLoop(node) => {
                let outer = self.in_loop;
                self.loops += 1;
                self.in_loop = Some(self.loops);
                self.item(&node.target, &node.iter);
                self.body(&node.body);
                if let Some(filter) = &node.filter_expr {
                    self.expression(filter);
                }
                self.in_loop = outer;
                self.body(&node.else_body);
                return;
            }
            Stmt::Set(node) => self.target(&node.target, Origin::Set(&node.expr), true),
            Stmt::SetBlock(node) => self.target(&node.target, Origin::Opaque, true),
            Stmt::WithBlock(node) => {
                for (target, value) in &node.assignments {
                    self.target(target, Origin::Set(value), false);
                }
            }
            Stmt::Macro(node) => {
                let setting = Setting {
                    origin: Origin::Macro,
                    span: node.span(),
                    in_loop: None,
                    is_set: true,
                };
                self.settings.entry(node.name).or_default().push(setting);
                self.parameters(node);
            }
            Stmt::CallBlock(node) => self.parameters(&node.macro_decl),
            _ => {}
        }
        children(stmt, &mut |body| self.body(body));
    }

    fn parameters(&mut self, node: &'s Macro<'a>) {
        for arg in &node.args {
            self.target(arg, Origin::Opaque, false);
        }
    }

    fn item(&mut self, target: &'s Expr<'a>, iter: &'s Expr<'a>) {
        if let Expr::List(list) = target {
            for (place, item) in list.items.iter().enumerate() {
                self.target(item, Origin::Item(iter, Some(place)), false);
            }
        } else {
            self.target(target, Origin::Item(iter, None), false);
        }
    }

    fn target(&mut self, target: &'s Expr<'a>, origin: Origin<'s, 'a>, is_set: bool) {
        match target {
            Expr::Var(var) => {
                let setting = Setting { origin, span: var.span(), in_loop: self.in_loop, is_set };
                self.settings.entry(var.id).or_default().push(setting);
            }
            Expr::List(list) => {
                for item in &list.items {
                    self.target(item, Origin::Opaque, is_set);
                }
            }
            // An attribute of a namespace: the namespace is read.
            other => self.expression(other),
        }
    }

    fn expression(&mut self, expr: &'s Expr<'a>) {
        if let Expr::Var(var) = expr {
            let at = var.span().start_offset;
            self.reads.entry(var.id).or_default().push((self.in_loop, at));
        }
        if let Expr::Test(node) = expr
            && matches!(node.name, "defined" | "undefined")
            && let Expr::Var(var) = &node.expr
        {
            self.asked.insert(var.id);
        }
        inner(expr, &mut |part| self.expression(part));
    }
}
