//! Looks at a template's tokens before the parser may recurse over them. In: the source. Out: nothing, or the bound
//! that is broken. One pass, no recursion: what overflows a stack later is refused here.

use minijinja::machinery::{Token, Tokenizer};
use minijinja::syntax::SyntaxConfig;

use super::error::offset;
use super::{Limits, RenderError};

/// Longest chain of operators, filters, attributes and calls in one expression.
const OPERATORS_MAX: usize = 500;
/// Most `elif` branches of one `if`.
const BRANCHES_MAX: usize = 200;

/// Checks size, chain length and branches.
///
/// # Errors
/// The first bound broken, or a fault of the tokens themselves.
pub(super) fn check(source: &str, limits: &Limits) -> Result<(), RenderError> {
    check_size(source, limits)?;
    let mut tokens = Tokenizer::new(source, "template", false, SyntaxConfig::default());
    let mut chain = Chain::default();
    let mut branches: Vec<usize> = Vec::new();
    let mut opens = false;
    loop {
        let (token, span) = match tokens.next_token() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(fault) => return Err(RenderError::of(&fault, source, limits, None)),
        };
        if chain.add(&token) > OPERATORS_MAX {
            let what = format!("one expression chains more than {OPERATORS_MAX} operators");
            return Err(RenderError::at(source, offset(span), what).over());
        }
        if opens && let Token::Ident(tag) = token {
            match tag {
                "if" => branches.push(0),
                "endif" => drop(branches.pop()),
                "elif" => {
                    let Some(count) = branches.last_mut() else { continue };
                    *count += 1;
                    if *count > BRANCHES_MAX {
                        let what = format!("an `if` has more than {BRANCHES_MAX} `elif` branches");
                        return Err(RenderError::at(source, offset(span), what).over());
                    }
                }
                _ => {}
            }
        }
        opens = matches!(token, Token::BlockStart);
    }
}

pub(super) fn check_size(source: &str, limits: &Limits) -> Result<(), RenderError> {
    if source.len() > limits.source_max_bytes {
        let (has, most) = (source.len(), limits.source_max_bytes);
        let what = format!("the template has {has} bytes; at most {most} are taken");
        return Err(RenderError::bare(what).over());
    }
    let chars = source.chars().count();
    if chars > limits.source_max_chars {
        let most = limits.source_max_chars;
        let what = format!("the template has {chars} characters; at most {most} are taken");
        return Err(RenderError::bare(what).over());
    }
    Ok(())
}

/// How deep the tree of the expression at hand can be: operators count, and a closed bracket counts as the deepest of
/// the parts between its commas.
#[derive(Default)]
struct Chain {
    open: Vec<Level>,
    level: Level,
    /// The sum over `open`.
    below: usize,
}

#[derive(Clone, Copy, Default)]
struct Level {
    here: usize,
    deepest: usize,
}

impl Chain {
    /// Takes one token; the depth so far.
    fn add(&mut self, token: &Token<'_>) -> usize {
        match token {
            Token::VariableStart | Token::BlockStart | Token::TemplateData(_) => {
                *self = Self::default();
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                self.level.here += 1;
                self.below += self.level.here;
                self.open.push(std::mem::take(&mut self.level));
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                let closed = self.level.here.max(self.level.deepest);
                self.level = self.open.pop().unwrap_or_default();
                self.below = self.below.saturating_sub(self.level.here);
                self.level.here += closed;
            }
            Token::Comma => {
                self.level.deepest = self.level.deepest.max(self.level.here);
                self.level.here = 0;
            }
            Token::Ident("and" | "or" | "not" | "if" | "else" | "is" | "in")
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::FloorDiv
            | Token::Pow
            | Token::Mod
            | Token::Tilde
            | Token::Pipe
            | Token::Dot
            | Token::Eq
            | Token::Ne
            | Token::Gt
            | Token::Gte
            | Token::Lt
            | Token::Lte => self.level.here += 1,
            _ => {}
        }
        self.below + self.level.here
    }
}
