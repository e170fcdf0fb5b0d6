//! Rules about names: what is read and never given, given and never read, or read in a way that finds something else.
//! In: expressions, conditions, the table of names. Out: findings. Never about what a request may hold.

use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{Expr, GetAttr, UnaryOpKind};

use crate::request::SECRET_HEADERS;

use super::super::code::Code;
use super::super::error::nearest;
use super::Edit;
use super::headers::{self, KNOWN};
use super::prints::is_data;
use super::scope::{EXTENSIONS, Origin, REQUEST, Scope};
use super::tree::{argument, header, inner, text_of};
use super::walk::Walk;

/// Methods of a mapping: `.items` finds the method, never a key of that name.
const METHODS: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

impl<'s, 'a> Walk<'s, 'a> {
    /// Everything an expression reads.
    pub(super) fn check_reads(&mut self, expr: &'s Expr<'a>) {
        if self.is_muted() {
            return;
        }
        if let Some(name) = header(expr) {
            self.check_header(expr, name);
        }
        match expr {
            Expr::Var(var) => self.check_variable(var.id, expr),
            Expr::GetAttr(node) => self.check_method(node, expr),
            Expr::IfExpr(node) => self.check_condition(&node.test_expr),
            Expr::Filter(node) => self.check_chance(node.name, expr),
            Expr::Call(node) => {
                if let Expr::Var(var) = &node.expr {
                    self.check_chance(var.id, expr);
                }
                // The method that is called is read as one.
                if let Expr::GetAttr(method) = &node.expr {
                    self.check_reads(&method.expr);
                    node.args.iter().map(argument).for_each(|arg| self.check_reads(arg));
                    return;
                }
            }
            _ => {}
        }
        inner(expr, &mut |part| self.check_reads(part));
    }

    fn check_variable(&mut self, name: &'a str, expr: &'s Expr<'a>) {
        // Asking whether a name is there is no mistake.
        if self.scope.is_asked(name) {
            return;
        }
        let range = self.range(expr);
        if EXTENSIONS.contains(&name) && !self.scope.is_set(name) {
            if self.extensions {
                return;
            }
            let what = format!("'{name}' is not one of Prefect's names: there it prints nothing");
            let help = "it is there only on servers with render.extensions; a template without it \
                        works everywhere";
            self.warn(Code::NotPortable, range, what, help.to_owned());
            return;
        }
        if self.scope.knows(name) {
            return;
        }
        let what = format!("nothing gives the name '{name}': it is empty for every request");
        let meant = nearest(name, self.scope.names())
            .filter(|meant| name.len() > 4 || strsim::osa_distance(name, meant) == 1);
        let (help, text) = match meant {
            Some(meant) => (format!("did you mean '{meant}'?"), meant.to_owned()),
            None => (
                format!(
                    "a template has `body`, `headers` and `method`; did you mean 'body.{name}'?"
                ),
                format!("body.{name}"),
            ),
        };
        let fix = Edit { start: range.start, end: range.end, text };
        self.warn_fix(Code::UnknownName, range, what, help, vec![fix]);
    }

    /// `body.items` is a method of the object, not the value of its key.
    fn check_method(&mut self, node: &'s GetAttr<'a>, expr: &'s Expr<'a>) {
        if !METHODS.contains(&node.name) || !is_data(&node.expr, self.scope) {
            return;
        }
        let range = self.range(expr);
        let [.., last, _dot, _name] = self.tokens_in(range.clone()) else { return };
        let of = &self.source[range.start..last.end()];
        let name = node.name;
        let what = format!("'.{name}' of an object is its method, never its key '{name}'");
        let help = format!("read the key with brackets: {of}['{name}']");
        let edit =
            Edit { start: range.start + of.len(), end: range.end, text: format!("['{name}']") };
        let start = range.end - name.len();
        self.fail(Code::MethodAsData, start..range.end, what, help, vec![edit]);
    }

    fn check_header(&mut self, expr: &'s Expr<'a>, name: &'s str) {
        let range = self.range(expr);
        let lower = name.to_ascii_lowercase();
        if SECRET_HEADERS.iter().any(|secret| secret.as_str() == lower) {
            let what = format!("no template sees the header '{name}': it is taken away before");
            let help = "secrets of a request are checked by the webhook's service account, never \
                        by a template";
            self.warn(Code::HiddenHeader, range, what, help.to_owned());
            return;
        }
        let hyphens = lower.replace('_', "-");
        let is_attribute = matches!(expr, Expr::GetAttr(_));
        let (what, meant) = if KNOWN.contains(&&*lower) {
            return;
        } else if lower.contains('_')
            && (KNOWN.contains(&&*hyphens) || is_prefixed(&hyphens, is_attribute))
        {
            (
                format!("'{name}' never matches '{hyphens}': headers are written with hyphens"),
                hyphens,
            )
        } else if let Some(meant) = headers::nearest(&lower) {
            (format!("no sender known here sends the header '{name}'"), meant.to_owned())
        } else {
            return;
        };
        let text = format!("headers['{meant}']");
        let help = format!("did you mean {text}?");
        let is_lookup = matches!(expr, Expr::GetAttr(_) | Expr::GetItem(_));
        let fix = Edit { start: range.start, end: range.end, text };
        let fixes = if is_lookup { vec![fix] } else { Vec::new() };
        self.warn_fix(Code::UnknownHeader, range, what, help, fixes);
    }

    /// What is different each time.
    fn check_chance(&mut self, name: &str, expr: &'s Expr<'a>) {
        if !matches!(name, "random" | "lipsum" | "shuffle") {
            return;
        }
        let range = self.range(expr);
        let what = format!("'{name}' gives something else each time: no test can hold it");
        let help = "take what varies from the request, such as its id".to_owned();
        self.warn(Code::Chance, range, what, help);
    }

    /// A condition that is the same for every request.
    pub(super) fn check_condition(&mut self, expr: &'s Expr<'a>) {
        if self.is_muted() {
            return;
        }
        let Some(holds) = constant(expr) else { return };
        let range = self.range(expr);
        let what = if holds { "this always holds" } else { "this never holds" };
        let help = if holds {
            "leave the condition out; what stands in its `else` is never written"
        } else {
            "leave out what stands under it: it is never written"
        };
        self.warn(Code::Constant, range, what.to_owned(), help.to_owned());
    }

    /// The table of names as a whole.
    pub(super) fn check_names(&mut self, scope: &'s Scope<'s, 'a>) {
        for (name, settings) in scope.settings() {
            let item = settings.iter().find(|one| matches!(one.origin, Origin::Item(..)));
            let Some(first) = settings.iter().find(|setting| setting.is_set) else {
                if let Some(item) = item.filter(|_| REQUEST.contains(&name)) {
                    self.report_hidden(name, item.span);
                }
                continue;
            };
            let range = span_range(first.span);
            if !scope.is_read(name) && !name.starts_with('_') {
                let what = match first.origin {
                    Origin::Macro => format!("nobody calls the macro '{name}'"),
                    _ => format!("nobody reads '{name}'"),
                };
                self.warn(Code::Unused, range, what, "leave it out".to_owned());
                continue;
            }
            if let Some(span) = scope.lost(name) {
                let what = format!("'{name}' set inside a loop is gone behind it");
                let help = format!(
                    "keep it in a namespace: {{% set ns = namespace({name}=none) %}}, then \
                     {{% set ns.{name} = … %}}"
                );
                self.warn(Code::LostInLoop, span_range(span), what, help);
            }
            if let Some(item) = item {
                self.report_hidden(name, item.span);
            }
        }
    }

    fn report_hidden(&mut self, name: &str, span: Span) {
        let what = format!("the loop's '{name}' hides another '{name}' while it runs");
        let help = "give the loop's own name another word".to_owned();
        self.warn(Code::Hides, span_range(span), what, help);
    }
}

fn span_range(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

/// `x_github_event` can only be meant as `x-github-event`; a name without a prefix may be sent as it is.
fn is_prefixed(hyphens: &str, is_attribute: bool) -> bool {
    is_attribute && hyphens.starts_with("x-")
}

/// Whether a condition holds, when it is the same for every request.
fn constant(expr: &Expr<'_>) -> Option<bool> {
    match expr {
        Expr::Const(node) => Some(node.value.is_true()),
        Expr::UnaryOp(node) if matches!(node.op, UnaryOpKind::Not) => {
            constant(&node.expr).map(|holds| !holds)
        }
        Expr::List(node) => Some(!node.items.is_empty()),
        _ => text_of(expr).map(|text| !text.is_empty()),
    }
}
