//! What an expression writes, as far as its form tells. In: an expression and the template's names. Out: JSON, a
//! number, one of a few texts, anything. Never more than is sure: what cannot be told is unknown, and no rule speaks.

use minijinja::machinery::ast::{BinOpKind, Expr, UnaryOpKind};

use super::scope::{Origin, Scope};
use super::tree::{argument, text_of};

/// How far names are followed.
const DEPTH_MAX: usize = 8;
/// Most texts that are told apart.
const TEXTS_MAX: usize = 16;

/// What an expression writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prints {
    /// One JSON value.
    Json,
    /// A number.
    Number,
    /// One of these.
    Texts(Vec<String>),
    /// A text that can stand inside quotes.
    Plain,
    /// One or another of those above but JSON.
    Either,
    /// A list or mapping as Python writes it.
    Python,
    /// Whatever the request says.
    Data,
    Unknown,
}

/// The kind of value that `tojson` would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    Null,
    Container,
    Unknown,
}

impl Kind {
    /// In words, when it is sure and no string.
    pub(super) fn other_than_text(self) -> Option<&'static str> {
        match self {
            Self::Number => Some("a number"),
            Self::Bool => Some("true or false"),
            Self::Null => Some("null"),
            Self::Container => Some("an object or array"),
            Self::Text | Self::Unknown => None,
        }
    }
}

fn text(text: &str) -> Prints {
    Prints::Texts(vec![text.to_owned()])
}

fn is_plain(text: &str) -> bool {
    !text.contains(['"', '\\']) && !text.chars().any(char::is_control)
}

impl Prints {
    /// It cannot end or spoil a string that it stands in.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Number | Self::Plain | Self::Either => true,
            Self::Texts(texts) => texts.iter().all(|text| is_plain(text)),
            _ => false,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Data, _) | (_, Self::Data) => Self::Data,
            (Self::Texts(mut own), Self::Texts(other)) => {
                own.extend(other);
                if own.len() > TEXTS_MAX { Self::Unknown } else { Self::Texts(own) }
            }
            (own, other) if own == other => own,
            (own, other) if own.is_plain() && other.is_plain() => Self::Either,
            (Self::Json, Self::Number) | (Self::Number, Self::Json) => Self::Json,
            _ => Self::Unknown,
        }
    }
}

/// Whether a value comes out of the request's body or headers.
pub(super) fn is_data(expr: &Expr<'_>, scope: &Scope<'_, '_>) -> bool {
    data_within(expr, scope, DEPTH_MAX)
}

fn data_within(expr: &Expr<'_>, scope: &Scope<'_, '_>, depth: usize) -> bool {
    let Some(deeper) = depth.checked_sub(1) else { return false };
    match expr {
        Expr::Var(var) => match scope.origin(var.id) {
            Some(Origin::Item(iter, Some(0))) if is_items_of_map(iter) => false,
            Some(Origin::Set(value) | Origin::Item(value, _)) => data_within(value, scope, deeper),
            Some(_) => false,
            None => matches!(var.id, "body" | "headers") && !scope.is_set(var.id),
        },
        Expr::GetAttr(node) => data_within(&node.expr, scope, depth),
        Expr::GetItem(node) => data_within(&node.expr, scope, depth),
        Expr::Slice(node) => data_within(&node.expr, scope, depth),
        Expr::Filter(node) => {
            node.expr.as_ref().is_some_and(|inner| data_within(inner, scope, depth))
        }
        Expr::BinOp(node) if matches!(node.op, BinOpKind::ScOr | BinOpKind::ScAnd) => {
            data_within(&node.left, scope, depth)
        }
        Expr::Call(node) => match &node.expr {
            Expr::GetAttr(method) => data_within(&method.expr, scope, depth),
            _ => false,
        },
        Expr::Map(node) => node.values.iter().any(|value| data_within(value, scope, depth)),
        Expr::List(node) => node.items.iter().any(|item| data_within(item, scope, depth)),
        _ => false,
    }
}

/// `{…}|items`, whose keys are the template's own.
fn is_items_of_map(iter: &Expr<'_>) -> bool {
    matches!(iter, Expr::Filter(node)
        if node.name == "items" && matches!(node.expr, Some(Expr::Map(_))))
}

/// What an expression writes.
pub(super) fn prints(expr: &Expr<'_>, scope: &Scope<'_, '_>) -> Prints {
    within(expr, scope, DEPTH_MAX)
}

fn within(expr: &Expr<'_>, scope: &Scope<'_, '_>, depth: usize) -> Prints {
    match expr {
        Expr::Const(constant) => match (&constant.value, constant.value.as_str()) {
            (_, Some(own)) => text(own),
            (value, _) if value.is_none() => text("None"),
            (value, _) if value.is_number() => Prints::Number,
            (value, _) => text(if value.is_true() { "True" } else { "False" }),
        },
        Expr::Var(var) => variable(var.id, scope, depth),
        Expr::IfExpr(node) => {
            let other = node.false_expr.as_ref();
            let other = other.map_or_else(|| text(""), |other| within(other, scope, depth));
            within(&node.true_expr, scope, depth).or(other)
        }
        Expr::BinOp(node) => {
            let (left, right) =
                (within(&node.left, scope, depth), within(&node.right, scope, depth));
            binary(node.op, left, right)
        }
        Expr::UnaryOp(node) if matches!(node.op, UnaryOpKind::Neg) => Prints::Number,
        Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => {
            Prints::Texts(vec!["True".to_owned(), "False".to_owned()])
        }
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => Prints::Python,
        Expr::Filter(node) => {
            let Some(inner) = &node.expr else { return Prints::Unknown };
            let arg = node.args.first().map(argument);
            filtered(node.name, inner, arg, scope, depth)
        }
        Expr::GetAttr(node) if is_loop(&node.expr) => loop_part(node.name),
        Expr::Call(node) => match &node.expr {
            Expr::GetAttr(method) => called(method.name, &method.expr, scope),
            _ => Prints::Unknown,
        },
        Expr::Slice(node) => match within(&node.expr, scope, depth) {
            Prints::Data => Prints::Data,
            known if known.is_plain() => Prints::Plain,
            _ => data_or_unknown(expr, scope),
        },
        Expr::GetAttr(_) | Expr::GetItem(_) => data_or_unknown(expr, scope),
    }
}

fn data_or_unknown(expr: &Expr<'_>, scope: &Scope<'_, '_>) -> Prints {
    if is_data(expr, scope) { Prints::Data } else { Prints::Unknown }
}

fn is_loop(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Var(var) if var.id == "loop")
}

fn loop_part(name: &str) -> Prints {
    match name {
        "index" | "index0" | "revindex" | "revindex0" | "length" | "depth" | "depth0" => {
            Prints::Number
        }
        "first" | "last" => Prints::Texts(vec!["True".to_owned(), "False".to_owned()]),
        _ => Prints::Unknown,
    }
}

fn variable(name: &str, scope: &Scope<'_, '_>, depth: usize) -> Prints {
    let Some(deeper) = depth.checked_sub(1) else { return Prints::Unknown };
    match scope.origin(name) {
        Some(Origin::Set(value)) => within(value, scope, deeper),
        Some(Origin::Item(iter, place)) => item(iter, place, scope, deeper),
        Some(_) => Prints::Unknown,
        None if scope.is_set(name) => Prints::Unknown,
        None => match name {
            "body" | "headers" => Prints::Python,
            "method" => Prints::Plain,
            _ => Prints::Unknown,
        },
    }
}

/// One item of what is looped over.
fn item(iter: &Expr<'_>, place: Option<usize>, scope: &Scope<'_, '_>, depth: usize) -> Prints {
    let all = |items: &[Expr<'_>]| {
        let each = items.iter().map(|item| within(item, scope, depth));
        each.reduce(Prints::or).unwrap_or(Prints::Unknown)
    };
    match (iter, place) {
        (Expr::List(list), None) => all(&list.items),
        (Expr::Tuple(tuple), None) => all(&tuple.items),
        (Expr::Filter(node), Some(place)) if node.name == "items" => match (&node.expr, place) {
            (Some(Expr::Map(map)), 0) => all(&map.keys),
            (Some(Expr::Map(map)), _) => all(&map.values),
            (Some(of), _) => data_or_unknown(of, scope),
            _ => Prints::Unknown,
        },
        _ => data_or_unknown(iter, scope),
    }
}

fn binary(op: BinOpKind, left: Prints, right: Prints) -> Prints {
    match op {
        BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Pow => Prints::Number,
        BinOpKind::ScOr | BinOpKind::ScAnd => left.or(right),
        BinOpKind::Add | BinOpKind::Mul | BinOpKind::Rem
            if left == Prints::Number && right == Prints::Number =>
        {
            Prints::Number
        }
        BinOpKind::Concat | BinOpKind::Add => match (left, right) {
            (Prints::Unknown, _) | (_, Prints::Unknown) => Prints::Unknown,
            (Prints::Texts(left), Prints::Texts(right))
                if left.len() * right.len() <= TEXTS_MAX =>
            {
                let mut texts = Vec::with_capacity(left.len() * right.len());
                for left in &left {
                    texts.extend(right.iter().map(|right| format!("{left}{right}")));
                }
                Prints::Texts(texts)
            }
            (left, right) if left.is_plain() && right.is_plain() => Prints::Plain,
            (Prints::Data | Prints::Python, _) | (_, Prints::Data | Prints::Python) => Prints::Data,
            _ => Prints::Unknown,
        },
        BinOpKind::Rem if matches!(left, Prints::Texts(_)) && !right.is_plain() => Prints::Data,
        _ => Prints::Unknown,
    }
}

fn filtered(
    name: &str,
    inner: &Expr<'_>,
    arg: Option<&Expr<'_>>,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Prints {
    match name {
        "tojson" | "from_cloud_event" => Prints::Json,
        "int" | "float" | "length" | "count" | "wordcount" | "sum" | "round" | "abs" => {
            Prints::Number
        }
        "urlencode" => Prints::Plain,
        "default" | "d" => {
            let other = arg.map_or_else(|| text(""), |arg| within(arg, scope, depth));
            within(inner, scope, depth).or(other)
        }
        "pprint" => match within(inner, scope, depth) {
            Prints::Python => Prints::Python,
            _ => Prints::Unknown,
        },
        "string" => match within(inner, scope, depth) {
            Prints::Python => Prints::Data,
            same => same,
        },
        "lower" | "upper" | "trim" | "title" | "capitalize" | "replace" => {
            match within(inner, scope, depth) {
                known if known.is_plain() && name != "replace" => Prints::Plain,
                Prints::Data | Prints::Python => Prints::Data,
                _ => Prints::Unknown,
            }
        }
        "items" | "list" | "dictsort" | "batch" | "slice" | "groupby" => Prints::Python,
        "first" | "last" | "join" | "truncate" | "max" | "min" | "e" | "escape" | "center"
        | "indent" | "wordwrap" | "striptags" => data_or_unknown(inner, scope),
        _ => Prints::Unknown,
    }
}

fn called(name: &str, of: &Expr<'_>, scope: &Scope<'_, '_>) -> Prints {
    match name {
        "split" | "splitlines" | "items" | "keys" | "values" if is_data(of, scope) => {
            Prints::Python
        }
        "get" | "lower" | "upper" | "strip" | "lstrip" | "rstrip" | "title" | "replace"
        | "capitalize" | "removeprefix" | "removesuffix" => data_or_unknown(of, scope),
        _ => Prints::Unknown,
    }
}

/// The kind of value that an expression is.
pub(super) fn kind(expr: &Expr<'_>, scope: &Scope<'_, '_>) -> Kind {
    kind_within(expr, scope, DEPTH_MAX)
}

fn kind_within(expr: &Expr<'_>, scope: &Scope<'_, '_>, depth: usize) -> Kind {
    let same = |a: Kind, b: Kind| if a == b { a } else { Kind::Unknown };
    match expr {
        Expr::Const(constant) => match &constant.value {
            value if value.is_none() => Kind::Null,
            value if value.is_number() => Kind::Number,
            value if value.as_str().is_some() => Kind::Text,
            _ => Kind::Bool,
        },
        Expr::Var(var) => match (scope.origin(var.id), depth.checked_sub(1)) {
            (Some(Origin::Set(value)), Some(deeper)) => kind_within(value, scope, deeper),
            (None, _) if var.id == "headers" && !scope.is_set(var.id) => Kind::Container,
            _ => Kind::Unknown,
        },
        Expr::IfExpr(node) => match &node.false_expr {
            Some(other) => {
                same(kind_within(&node.true_expr, scope, depth), kind_within(other, scope, depth))
            }
            None => Kind::Unknown,
        },
        Expr::BinOp(node) => match node.op {
            BinOpKind::Concat => Kind::Text,
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Pow => Kind::Number,
            _ => {
                same(kind_within(&node.left, scope, depth), kind_within(&node.right, scope, depth))
            }
        },
        Expr::UnaryOp(node) if matches!(node.op, UnaryOpKind::Neg) => Kind::Number,
        Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => Kind::Bool,
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => Kind::Container,
        Expr::Filter(node) => match node.name {
            "int" | "float" | "length" | "count" | "wordcount" | "round" | "abs" => Kind::Number,
            "string" | "lower" | "upper" | "trim" | "title" | "capitalize" | "replace" | "join"
            | "truncate" | "tojson" => Kind::Text,
            "list" | "items" | "dictsort" | "groupby" | "batch" => Kind::Container,
            _ => Kind::Unknown,
        },
        Expr::GetAttr(node) if is_loop(&node.expr) => match loop_part(node.name) {
            Prints::Number => Kind::Number,
            Prints::Texts(_) => Kind::Bool,
            _ => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}

/// Whether a name begins with text of the template's own; `None` when that cannot be told.
pub(super) fn begins_with_text(expr: &Expr<'_>, scope: &Scope<'_, '_>) -> Option<bool> {
    begins_within(expr, scope, DEPTH_MAX)
}

fn begins_within(expr: &Expr<'_>, scope: &Scope<'_, '_>, depth: usize) -> Option<bool> {
    let both = |a: &Expr<'_>, b: &Expr<'_>| {
        let (a, b) = (begins_within(a, scope, depth), begins_within(b, scope, depth));
        if a == Some(false) || b == Some(false) { Some(false) } else { a.and(b) }
    };
    match expr {
        Expr::Const(_) => text_of(expr).map(|text| !text.is_empty()),
        Expr::BinOp(node) => match node.op {
            BinOpKind::Concat | BinOpKind::Add if text_of(&node.left) == Some("") => {
                begins_within(&node.right, scope, depth)
            }
            BinOpKind::Concat | BinOpKind::Add | BinOpKind::Rem => {
                begins_within(&node.left, scope, depth)
            }
            BinOpKind::ScOr | BinOpKind::ScAnd => both(&node.left, &node.right),
            _ => None,
        },
        Expr::Filter(node) => match node.name {
            "tojson" | "lower" | "upper" | "replace" | "trim" | "string" | "title" | "format"
            | "truncate" | "default" | "d" | "capitalize" => {
                begins_within(node.expr.as_ref()?, scope, depth)
            }
            _ => None,
        },
        Expr::IfExpr(node) => both(&node.true_expr, node.false_expr.as_ref()?),
        Expr::Call(node) => match &node.expr {
            Expr::GetAttr(method) if method.name != "get" => {
                begins_within(&method.expr, scope, depth)
            }
            _ => None,
        },
        Expr::Var(var) => match (scope.origin(var.id), depth.checked_sub(1)) {
            (Some(Origin::Set(value)), Some(deeper)) => begins_within(value, scope, deeper),
            _ => (is_data(expr, scope) || var.id == "method").then_some(false),
        },
        _ => is_data(expr, scope).then_some(false),
    }
}

/// The text that an expression begins with, when it is always the same.
pub(super) fn first_text<'s>(expr: &'s Expr<'_>) -> Option<&'s str> {
    match expr {
        Expr::Const(_) => text_of(expr),
        Expr::BinOp(node) => first_text(&node.left),
        Expr::Filter(node) if matches!(node.name, "tojson" | "lower" | "string" | "trim") => {
            node.expr.as_ref().and_then(first_text)
        }
        _ => None,
    }
}
