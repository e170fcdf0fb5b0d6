//! The one way through a template. In: the tree, its names. Out: what the rules found on the way. Follows the branches
//! of `if` and the turns of `for` with the place in the event's JSON, and lets go of that place when ways do not meet.

use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{Expr, ForLoop, IfCond, Stmt};

use super::super::code::Code;
use super::super::diagnostic::Severity;
use super::super::syntax::lexer::{Token, What};
use super::prints::{Prints, prints};
use super::scope::Scope;
use super::skeleton::{Broken, Done, Next, Piece, Skeleton};
use super::tree::{children, expressions};
use super::{Edit, FINDINGS_MAX};

/// Deepest nesting of loops whose second turn is followed.
const TURNS_DEPTH_MAX: usize = 3;
/// Texts of expressions that are read as if they stood in the template.
const FIXED: [&str; 8] = ["", ",", "null", "true", "false", "[]", "{}", "\"\""];

/// Something found; its place as offsets of the source as it is parsed.
pub(super) struct Found {
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Ways to mend it, the best first.
    pub(super) fixes: Vec<Edit>,
}

pub(super) struct Walk<'s, 'a> {
    pub(super) source: &'a str,
    tokens: &'s [Token<'a>],
    pub(super) scope: &'s Scope<'s, 'a>,
    /// The place in the event's JSON, while it is known.
    pub(super) skeleton: Option<Skeleton<'s, 'a>>,
    /// Nothing is reported: what is walked was walked before.
    muted: usize,
    /// Text that can never be read, met while muted.
    broke: bool,
    /// A way that its condition rules out, such as a comma in front of the first item.
    ruled_out: bool,
    ifs: usize,
    pub(super) branches: usize,
    loops: usize,
    /// The names of the extensions are there.
    pub(super) extensions: bool,
    /// How often the whole body was written.
    pub(super) bodies: usize,
    pub(super) found: Vec<Found>,
}

impl<'s, 'a> Walk<'s, 'a> {
    pub(super) fn new(source: &'a str, tokens: &'s [Token<'a>], scope: &'s Scope<'s, 'a>) -> Self {
        Self {
            source,
            tokens,
            scope,
            skeleton: Some(Skeleton::new()),
            muted: 0,
            broke: false,
            ruled_out: false,
            ifs: 0,
            branches: 0,
            loops: 0,
            extensions: false,
            bodies: 0,
            found: Vec::new(),
        }
    }

    /// Walks a whole template.
    pub(super) fn template(&mut self, stmts: &'s [Stmt<'a>]) {
        self.body(stmts);
        self.check_end();
    }

    /// Reports, unless this was walked before.
    pub(super) fn report(&mut self, found: Found) {
        if self.muted == 0 && self.found.len() < FINDINGS_MAX {
            self.found.push(found);
        }
    }

    pub(super) fn is_muted(&self) -> bool {
        self.muted > 0
    }

    /// A warning at a part of the source.
    pub(super) fn warn(&mut self, code: Code, range: Range<usize>, message: String, help: String) {
        self.warn_fix(code, range, message, help, Vec::new());
    }

    pub(super) fn warn_fix(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: String,
        help: String,
        fixes: Vec<Edit>,
    ) {
        let severity = Severity::Warning;
        self.report(Found { code, severity, range, message, help: Some(help), fixes });
    }

    pub(super) fn fail(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: String,
        help: String,
        fixes: Vec<Edit>,
    ) {
        let severity = Severity::Error;
        self.report(Found { code, severity, range, message, help: Some(help), fixes });
    }

    fn body(&mut self, stmts: &'s [Stmt<'a>]) {
        for stmt in stmts {
            self.statement(stmt);
        }
    }

    fn statement(&mut self, stmt: &'s Stmt<'a>) {
        expressions(stmt, &mut |expr| self.check_reads(expr));
        match stmt {
            Stmt::EmitRaw(node) => self.text(node.raw, node.span().start_offset as usize),
            Stmt::EmitExpr(node) => self.emit(&node.expr, node.span()),
            Stmt::ForLoop(node) => self.for_loop(node),
            Stmt::IfCond(node) => self.if_cond(node),
            Stmt::Set(node) => self.check_shown(&node.expr),
            // What these write is not written here, or goes through something first.
            Stmt::Macro(_) | Stmt::SetBlock(_) => {
                let here = self.skeleton.take();
                children(stmt, &mut |body| self.body(body));
                self.skeleton = here;
            }
            Stmt::CallBlock(_) | Stmt::FilterBlock(_) => {
                self.skeleton = None;
                children(stmt, &mut |body| self.body(body));
                self.skeleton = None;
            }
            _ => children(stmt, &mut |body| self.body(body)),
        }
    }

    /// Text of the template.
    pub(super) fn text(&mut self, raw: &'a str, start: usize) {
        let mut at = 0;
        while at < raw.len()
            && let Some(skeleton) = &mut self.skeleton
        {
            match skeleton.read(&raw[at..], start + at) {
                Ok((length, done)) => {
                    at += length;
                    if let Some(done) = done {
                        self.finish(done);
                    }
                }
                Err(broken) => {
                    if let Broken::Never(place) = broken {
                        if self.ifs > 0 && self.source.as_bytes().get(place) == Some(&b',') {
                            self.ruled_out = true;
                            self.skeleton = None;
                            return;
                        }
                        self.broke = true;
                        self.check_broken(place);
                    }
                    self.skeleton = None;
                }
            }
        }
    }

    fn finish(&mut self, done: Done<'s, 'a>) {
        if self.is_muted() {
            return;
        }
        match done {
            Done::Text { text, is_value, range } => {
                self.check_string(&text, is_value, range);
                if is_value {
                    self.check_string_value(&text);
                }
            }
            Done::Literal(range) => self.check_literal(range),
            Done::Closed { frame, end, loop_comma } => {
                if let Some(comma) = loop_comma {
                    self.check_comma(comma);
                }
                self.check_closed(&frame, end);
            }
        }
    }

    /// An expression between texts.
    fn emit(&mut self, expr: &'s Expr<'a>, span: Span) {
        if !self.is_muted() {
            self.check_shown(expr);
        }
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        let Some(mut skeleton) = self.skeleton.take() else { return };
        if let Some(text) = &mut skeleton.text {
            text.add(Piece::Shown(expr, start, end));
            self.skeleton = Some(skeleton);
            return;
        }
        let mut alternatives = Vec::new();
        split(expr, &mut alternatives);
        let is_alone = alternatives.len() == 1;
        let mut joined: Option<Skeleton<'s, 'a>> = None;
        for one in alternatives {
            let mut way = skeleton.clone();
            let seen = match one {
                None => Some(text_step(&mut way, "")),
                Some(one) => self.write(&mut way, one, is_alone.then_some(start..end)),
            };
            let Some(fits) = seen else { return };
            if fits {
                joined = match joined {
                    None => Some(way),
                    Some(other) => match other.joined(way) {
                        Some(both) => Some(both),
                        None => return,
                    },
                };
            }
        }
        self.skeleton = joined;
    }

    /// One thing that an expression may write. `None` when the place is lost, `false` when it cannot stand here.
    fn write(
        &mut self,
        way: &mut Skeleton<'s, 'a>,
        expr: &'s Expr<'a>,
        whole: Option<Range<usize>>,
    ) -> Option<bool> {
        let writes = prints(expr, self.scope);
        if let Prints::Texts(texts) = &writes
            && texts.iter().all(|text| FIXED.contains(&text.trim()))
        {
            let mut joined: Option<Skeleton<'s, 'a>> = None;
            for text in texts {
                let mut one = way.clone();
                if text_step(&mut one, text.trim()) {
                    joined = Some(match joined {
                        None => one,
                        Some(other) => other.joined(one)?,
                    });
                }
            }
            let fits = joined.is_some();
            if let Some(joined) = joined {
                *way = joined;
            }
            return Some(fits);
        }
        if way.next.takes_value() {
            if !self.is_muted() {
                self.skeleton = Some(way.clone());
                self.check_value(expr, &writes, whole);
                self.skeleton = None;
            }
            way.certain &= matches!(writes, Prints::Json | Prints::Number);
            return Some(way.value());
        }
        if way.next == Next::AFTER {
            // What cannot be told may be a comma, from a joiner or a macro.
            if way.certain && matches!(writes, Prints::Json | Prints::Number) {
                self.broke = true;
                self.check_second_value(expr);
            }
            return None;
        }
        let fits = way.key();
        if fits && matches!(writes, Prints::Data | Prints::Plain) {
            self.check_key(expr, whole);
        }
        Some(fits)
    }

    fn if_cond(&mut self, node: &'s IfCond<'a>) {
        self.check_condition(&node.expr);
        let before = self.skeleton.clone();
        self.branches += 1;
        self.ifs += 1;
        let (first, no_first) = self.branch(before.clone(), &node.true_body);
        let (second, no_second) = self.branch(before, &node.false_body);
        self.branches -= 1;
        self.ifs -= 1;
        self.skeleton = match (no_first, no_second) {
            (true, false) => second,
            (false, true) => first,
            _ => meet(first, second),
        };
    }

    /// Where a branch ends, and whether its condition can be met here at all.
    fn branch(
        &mut self,
        before: Option<Skeleton<'s, 'a>>,
        body: &'s [Stmt<'a>],
    ) -> (Option<Skeleton<'s, 'a>>, bool) {
        self.skeleton = before;
        self.body(body);
        (self.skeleton.take(), std::mem::take(&mut self.ruled_out))
    }

    fn for_loop(&mut self, node: &'s ForLoop<'a>) {
        if let Some(filter) = &node.filter_expr {
            self.check_reads(filter);
        }
        if !self.is_muted() {
            self.check_iterable(node);
        }
        let before = self.skeleton.clone();
        self.loops += 1;
        self.branches += 1;
        self.body(&node.body);
        let first = self.skeleton.take().map(|way| with_loop_comma(way, before.as_ref(), node));
        let second = self.second_turn(first.clone(), node);
        self.loops -= 1;
        let unlooped = if node.else_body.is_empty() {
            before
        } else {
            self.skeleton = before;
            self.body(&node.else_body);
            self.skeleton.take()
        };
        self.branches -= 1;
        self.skeleton = meet(meet(unlooped, first), second);
    }

    /// Whether a loop's body can stand behind itself, and where it ends then.
    fn second_turn(
        &mut self,
        first: Option<Skeleton<'s, 'a>>,
        node: &'s ForLoop<'a>,
    ) -> Option<Skeleton<'s, 'a>> {
        if self.loops > TURNS_DEPTH_MAX {
            return None;
        }
        let is_known = first.is_some();
        self.skeleton = first;
        self.muted += 1;
        let broke_before = std::mem::replace(&mut self.broke, false);
        self.body(&node.body);
        let broke = std::mem::replace(&mut self.broke, broke_before);
        self.muted -= 1;
        if is_known && broke {
            self.check_turns(node);
        }
        self.skeleton.take()
    }

    /// The tokens of a part of the source.
    pub(super) fn tokens_in(&self, range: Range<usize>) -> &'s [Token<'a>] {
        let first = self.tokens.partition_point(|token| token.start < range.start);
        let behind = self.tokens.partition_point(|token| token.end() <= range.end);
        self.tokens.get(first..behind).unwrap_or_default()
    }

    /// The tag around an expression: from its first brace to behind its last. `None` when the tag strips around
    /// itself, or is not one of `{{ }}`.
    pub(super) fn tag(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let first = self.tokens.partition_point(|token| token.start < start);
        let open = self.tokens[..first].last()?;
        let close = self.tokens[first..].iter().find(|token| token.start >= end)?;
        let is_bare = open.what == What::VariableBegin
            && open.text == "{{"
            && close.what == What::VariableEnd
            && close.text == "}}";
        is_bare.then(|| open.start..close.end())
    }
}

/// The ways an expression can go; `None` writes nothing.
fn split<'s, 'a>(expr: &'s Expr<'a>, into: &mut Vec<Option<&'s Expr<'a>>>) {
    match expr {
        Expr::IfExpr(node) => {
            split(&node.true_expr, into);
            match &node.false_expr {
                Some(other) => split(other, into),
                None => into.push(None),
            }
        }
        other => into.push(Some(other)),
    }
}

/// Reads a text that an expression writes.
fn text_step<'a>(way: &mut Skeleton<'_, 'a>, text: &str) -> bool {
    let Some(text) = FIXED.iter().find(|fixed| **fixed == text) else { return false };
    let text: &'a str = text;
    let start = way.stack.last().map_or(0, |frame| frame.start);
    let mut at = 0;
    while at < text.len() {
        match way.read(&text[at..], start) {
            Ok((length, _)) => at += length,
            Err(_) => return false,
        }
    }
    // A comma that an expression writes is not one that can be mended.
    way.last_comma = None;
    true
}

fn meet<'s, 'a>(
    one: Option<Skeleton<'s, 'a>>,
    other: Option<Skeleton<'s, 'a>>,
) -> Option<Skeleton<'s, 'a>> {
    one?.joined(other?)
}

/// Remembers the comma that ends a loop's body as its own last text.
fn with_loop_comma<'s, 'a>(
    mut way: Skeleton<'s, 'a>,
    before: Option<&Skeleton<'s, 'a>>,
    node: &ForLoop<'_>,
) -> Skeleton<'s, 'a> {
    if let Some(Stmt::EmitRaw(raw)) = node.body.last()
        && let Some(comma) = way.last_comma
        && comma >= raw.span().start_offset as usize
        && before.is_some_and(|before| before.stack.len() == way.stack.len())
    {
        way.loop_comma = Some(comma);
    }
    way
}
