//! What is applied to an expression: calls with their arguments, filters, tests. In: tokens. Out: the engine's nodes.
//! Never an argument without a name behind one with a name.

use minijinja::machinery::ast::{Call, CallArg, Expr, Filter, Spanned, Test};

use super::super::error::Fault;
use super::Parser;
use super::expr::negation;
use super::lexer::What;

impl<'a> Parser<'a> {
    pub(super) fn call(&mut self, expr: Expr<'a>, start: usize) -> Result<Expr<'a>, Fault> {
        let args = self.args()?;
        Ok(Expr::Call(Spanned::new(Call { expr, args }, self.since(start))))
    }

    fn args(&mut self) -> Result<Vec<CallArg<'a>>, Fault> {
        self.nest()?;
        self.advance();
        let mut args: Vec<CallArg<'a>> = Vec::new();
        while !self.token().is_op(")") {
            if !args.is_empty() {
                self.expect_op(",")?;
                if self.token().is_op(")") {
                    break;
                }
            }
            let has = |kind: fn(&CallArg<'_>) -> bool| args.iter().any(kind);
            let rows = has(|arg| matches!(arg, CallArg::PosSplat(_)));
            let maps = has(|arg| matches!(arg, CallArg::KwargSplat(_)));
            let named = has(|arg| matches!(arg, CallArg::Kwarg(..)));
            let arg = if self.token().is_op("*") && !rows && !maps {
                self.advance();
                CallArg::PosSplat(self.expr()?)
            } else if self.token().is_op("**") && !maps {
                self.advance();
                CallArg::KwargSplat(self.expr()?)
            } else if self.token().what == What::Name && self.ahead().is_op("=") && !maps {
                let name = self.advance().text;
                self.advance();
                CallArg::Kwarg(name, self.expr()?)
            } else if rows || maps || named {
                return Err(self.fault("a positional argument cannot follow a named one"));
            } else {
                CallArg::Pos(self.expr()?)
            };
            args.push(arg);
        }
        self.advance();
        self.nesting -= 1;
        Ok(args)
    }

    /// A filter's or test's name, dots included.
    fn dotted(&mut self) -> Result<&'a str, Fault> {
        let start = self.expect(What::Name, "a name")?.start;
        let mut end = self.tokens[self.next - 1].end();
        while self.skip_op(".") {
            end = self.expect(What::Name, "a name")?.end();
        }
        Ok(&self.source[start..end])
    }

    pub(super) fn filter(&mut self, expr: Option<Expr<'a>>) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let name = self.dotted()?;
        let args = if self.token().is_op("(") { self.args()? } else { Vec::new() };
        let node = Filter { name, expr, args };
        Ok(Expr::Filter(Spanned::new(node, self.since(start))))
    }

    pub(super) fn test(&mut self, expr: Expr<'a>, start: usize) -> Result<Expr<'a>, Fault> {
        self.advance();
        let negated = self.skip_name("not");
        let name_start = self.token().start;
        let name = self.dotted()?;
        let token = self.token();
        let args = if token.is_op("(") {
            self.args()?
        } else if token.is_name("is") {
            return Err(self.fault("tests cannot be chained with 'is'"));
        } else if self.is_argument() {
            let arg = self.primary()?;
            vec![CallArg::Pos(self.postfix(arg, token.start)?)]
        } else {
            Vec::new()
        };
        let test = Spanned::new(Test { name, expr, args }, self.since(name_start));
        let span = self.since(start);
        Ok(if negated { negation(Expr::Test(test), span) } else { Expr::Test(test) })
    }

    /// Whether a test's one argument without brackets is at hand.
    fn is_argument(&self) -> bool {
        let token = self.token();
        match token.what {
            What::Name => !matches!(token.text, "else" | "or" | "and"),
            What::Text | What::Integer | What::Float => true,
            What::Operator => matches!(token.text, "[" | "{"),
            _ => false,
        }
    }
}
