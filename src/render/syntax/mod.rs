//! Jinja's grammar, as Python reads it: a source becomes the engine's tree. In: a source with `\n` line ends. Out:
//! the tree, or the first place that is not Jinja. Never recursion without a bound: chains and nesting are counted
//! first.
//!
//! The engine's own parser is not used: it refuses forms that Jinja takes (`+x`, `x['a', 'b']`, `{% if x: %}`), takes
//! forms that Jinja refuses (`1__0`, `{{ x +}}`), reads strings and numbers differently, and can be made to overflow.

mod bounds;
mod call;
mod expr;
pub(super) mod lexer;
mod literal;
mod stmt;

use std::collections::BTreeSet;

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{Const, EmitRaw, Expr, IfCond, Spanned, Stmt, Template};

use super::error::Fault;
use lexer::{Token, What};

/// Deepest nesting of brackets; Python gives up a little later.
const NESTING_MAX: usize = 64;
/// Deepest nesting of statements, as Python's indentation allows.
const BLOCKS_MAX: usize = 99;
/// Deepest nesting of statements when each `elif` counts as one more.
const BRANCHES_MAX: usize = 200;

/// A template as parsed.
pub(super) struct Parsed<'a> {
    pub(super) stmt: Stmt<'a>,
    /// Where the tags of blocks start that see the names around them: the engine's tree does not tell.
    pub(super) scoped: BTreeSet<usize>,
}

/// Parses a source.
///
/// # Errors
/// The first place that breaks a bound or the grammar.
pub(super) fn parse(source: &str) -> Result<Parsed<'_>, Fault> {
    let tokens = lexer::tokens(source)?;
    bounds::check(&tokens)?;
    let mut parser = Parser::new(source, tokens);
    let children = parser.body(&[])?;
    let span = span(0, source.len());
    let stmt = Stmt::Template(Spanned::new(Template { children }, span));
    Ok(Parsed { stmt, scoped: parser.scoped })
}

/// Parses a source that is one expression in `{{ }}`; the tree writes `yes` if it holds.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_condition<'a>(source: &'a str, yes: &'a str) -> Result<Parsed<'a>, Fault> {
    let tokens = lexer::tokens(source)?;
    bounds::check(&tokens)?;
    let mut parser = Parser::new(source, tokens);
    parser.expect(What::VariableBegin, "an expression")?;
    let expr = parser.tuple(true)?;
    parser.expect(What::VariableEnd, "the end")?;
    if parser.token().what != What::End {
        return Err(parser.expected("one expression, and no tags"));
    }
    let span = span(0, source.len());
    let true_body = vec![Stmt::EmitRaw(Spanned::new(EmitRaw { raw: yes }, span))];
    let cond = IfCond { expr, true_body, false_body: Vec::new() };
    let children = vec![Stmt::IfCond(Spanned::new(cond, span))];
    let stmt = Stmt::Template(Spanned::new(Template { children }, span));
    Ok(Parsed { stmt, scoped: parser.scoped })
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
    nesting: usize,
    blocks: usize,
    branches: usize,
    /// The open tags, for messages.
    open: Vec<&'a str>,
    /// Where the tags of blocks start that see the names around them.
    scoped: BTreeSet<usize>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, tokens: Vec<Token<'a>>) -> Self {
        Self {
            source,
            tokens,
            next: 0,
            nesting: 0,
            blocks: 0,
            branches: 0,
            open: Vec::new(),
            scoped: BTreeSet::new(),
        }
    }

    /// The token at hand; the last one is the end of the source.
    fn token(&self) -> Token<'a> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    /// The token after it.
    fn ahead(&self) -> Token<'a> {
        self.tokens[(self.next + 1).min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.token();
        self.next += 1;
        token
    }

    fn skip_op(&mut self, op: &str) -> bool {
        let found = self.token().is_op(op);
        self.next += usize::from(found);
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.token().is_name(name);
        self.next += usize::from(found);
        found
    }

    fn expect_op(&mut self, op: &str) -> Result<Token<'a>, Fault> {
        if self.token().is_op(op) {
            Ok(self.advance())
        } else {
            Err(self.expected(&format!("'{op}'")))
        }
    }

    fn expect(&mut self, what: What, words: &str) -> Result<Token<'a>, Fault> {
        if self.token().what == what { Ok(self.advance()) } else { Err(self.expected(words)) }
    }

    fn expected(&self, words: &str) -> Fault {
        let token = self.token();
        Fault::new(token.start, token.end(), format!("expected {words}, found {}", token.words()))
    }

    /// A fault at the token at hand.
    fn fault(&self, message: impl Into<String>) -> Fault {
        let token = self.token();
        Fault::new(token.start, token.end(), message)
    }

    /// The span from `start` to the end of the last token taken.
    fn since(&self, start: usize) -> Span {
        let last = self.tokens[self.next.saturating_sub(1)];
        span(start, last.end().max(start))
    }

    fn constant(&self, value: Value, start: usize) -> Expr<'a> {
        Expr::Const(Spanned::new(Const { value }, self.since(start)))
    }
}

/// A span of the source. All is on one line for the engine, which forgets the span of what goes over several; lines
/// and columns are counted from the offsets when they are shown.
fn span(start: usize, end: usize) -> Span {
    Span {
        start_line: 1,
        start_col: 0,
        start_offset: start as u32,
        end_line: 1,
        end_col: 0,
        end_offset: end as u32,
    }
}
