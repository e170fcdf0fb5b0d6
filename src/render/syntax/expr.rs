//! Expressions, loosest first: `if`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, postfix.
//! In: tokens. Out: the engine's expressions, Python's meaning not yet put in. Never deeper than the bounds.

use minijinja::Value;
use minijinja::machinery::ast::{
    BinOp, BinOpKind, Compare, CompareOp, CompareOpKind, Expr, Filter, GetAttr, GetItem, IfExpr,
    List, Map, Slice, Spanned, Tuple, UnaryOp, UnaryOpKind, Var,
};

use super::super::error::Fault;
use super::lexer::What;
use super::{NESTING_MAX, Parser, literal};

impl<'a> Parser<'a> {
    pub(super) fn expr(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut expr = self.or()?;
        while self.skip_name("if") {
            let test_expr = self.or()?;
            let false_expr = if self.skip_name("else") { Some(self.expr()?) } else { None };
            let node = IfExpr { test_expr, true_expr: expr, false_expr };
            expr = Expr::IfExpr(Spanned::new(node, self.since(start)));
        }
        Ok(expr)
    }

    /// One expression, or several with commas between them as a tuple.
    pub(super) fn tuple(&mut self, with_if: bool) -> Result<Expr<'a>, Fault> {
        self.items(false, |parser| if with_if { parser.expr() } else { parser.or() })
    }

    fn items(
        &mut self,
        in_brackets: bool,
        mut item: impl FnMut(&mut Self) -> Result<Expr<'a>, Fault>,
    ) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if self.is_tuple_end() {
                break;
            }
            items.push(item(self)?);
            if !self.token().is_op(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple && let Some(only) = items.pop() {
            return Ok(only);
        }
        if !is_tuple && !in_brackets {
            return Err(self.expected("an expression"));
        }
        Ok(Expr::Tuple(Spanned::new(Tuple { items }, self.since(start))))
    }

    fn is_tuple_end(&self) -> bool {
        let token = self.token();
        matches!(token.what, What::VariableEnd | What::BlockEnd) || token.is_op(")")
    }

    /// What is assigned to: a name, with `dots` also a namespace's, or a tuple of them, which becomes the engine's
    /// list.
    pub(super) fn target(&mut self, dots: bool) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut items = Vec::new();
        let mut is_tuple = false;
        while !self.is_tuple_end() {
            items.push(self.target_item(dots)?);
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        if is_tuple {
            return Ok(Expr::List(Spanned::new(List { items }, self.since(start))));
        }
        items.pop().ok_or_else(|| self.expected("a name to assign to"))
    }

    fn target_item(&mut self, dots: bool) -> Result<Expr<'a>, Fault> {
        let token = self.token();
        if token.is_op("(") {
            self.nest()?;
            self.advance();
            let inner = self.target(false)?;
            self.expect_op(")")?;
            self.nesting -= 1;
            return Ok(inner);
        }
        let reserved = ["true", "false", "none", "True", "False", "None"].contains(&token.text);
        if token.what != What::Name || reserved {
            let what = format!("{} cannot be assigned to", token.words());
            return Err(self.fault(what));
        }
        self.advance();
        let expr = Expr::Var(Spanned::new(Var { id: token.text }, self.since(token.start)));
        if !dots || !self.skip_op(".") {
            return Ok(expr);
        }
        let name = self.expect(What::Name, "a name")?.text;
        Ok(Expr::GetAttr(Spanned::new(GetAttr { expr, name }, self.since(token.start))))
    }

    fn binary(
        &mut self,
        next: fn(&mut Self) -> Result<Expr<'a>, Fault>,
        kind: fn(&str) -> Option<BinOpKind>,
        what: What,
    ) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut left = next(self)?;
        while self.token().what == what
            && let Some(op) = kind(self.token().text)
        {
            self.advance();
            let right = next(self)?;
            left = Expr::BinOp(Spanned::new(BinOp { op, left, right }, self.since(start)));
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| (text == "or").then_some(BinOpKind::ScOr);
        self.binary(Self::and, kind, What::Name)
    }

    fn and(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| (text == "and").then_some(BinOpKind::ScAnd);
        self.binary(Self::not, kind, What::Name)
    }

    fn not(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        if !self.skip_name("not") {
            return self.compare();
        }
        let expr = self.not()?;
        Ok(negation(expr, self.since(start)))
    }

    fn compare(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let expr = self.sum()?;
        let mut ops = Vec::new();
        while let Some(op) = self.compare_op() {
            ops.push(CompareOp { op, expr: self.sum()? });
        }
        if ops.is_empty() {
            return Ok(expr);
        }
        Ok(Expr::Compare(Spanned::new(Compare { expr, ops }, self.since(start))))
    }

    /// Takes a comparison operator, if one is at hand.
    fn compare_op(&mut self) -> Option<CompareOpKind> {
        let token = self.token();
        let op = match (token.what, token.text) {
            (What::Operator, "==") => CompareOpKind::Eq,
            (What::Operator, "!=") => CompareOpKind::Ne,
            (What::Operator, "<") => CompareOpKind::Lt,
            (What::Operator, "<=") => CompareOpKind::Lte,
            (What::Operator, ">") => CompareOpKind::Gt,
            (What::Operator, ">=") => CompareOpKind::Gte,
            (What::Name, "in") => CompareOpKind::In,
            (What::Name, "not") if self.ahead().is_name("in") => {
                self.advance();
                CompareOpKind::NotIn
            }
            _ => return None,
        };
        self.advance();
        Some(op)
    }

    fn sum(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| match text {
            "+" => Some(BinOpKind::Add),
            "-" => Some(BinOpKind::Sub),
            _ => None,
        };
        self.binary(Self::concat, kind, What::Operator)
    }

    fn concat(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| (text == "~").then_some(BinOpKind::Concat);
        self.binary(Self::product, kind, What::Operator)
    }

    fn product(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| match text {
            "*" => Some(BinOpKind::Mul),
            "/" => Some(BinOpKind::Div),
            "//" => Some(BinOpKind::FloorDiv),
            "%" => Some(BinOpKind::Rem),
            _ => None,
        };
        self.binary(Self::power, kind, What::Operator)
    }

    fn power(&mut self) -> Result<Expr<'a>, Fault> {
        let kind = |text: &str| (text == "**").then_some(BinOpKind::Pow);
        self.binary(Self::filtered, kind, What::Operator)
    }

    /// A signed operand with its filters and tests, which belong to the whole of it.
    fn filtered(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut expr = self.signed()?;
        loop {
            let token = self.token();
            expr = if token.is_op("|") {
                self.advance();
                self.filter(Some(expr))?
            } else if token.is_name("is") {
                self.test(expr, start)?
            } else if token.is_op("(") {
                self.call(expr, start)?
            } else {
                return Ok(expr);
            };
        }
    }

    fn signed(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let expr = if self.skip_op("-") {
            let node = UnaryOp { op: UnaryOpKind::Neg, expr: self.signed()? };
            Expr::UnaryOp(Spanned::new(node, self.since(start)))
        } else if self.skip_op("+") {
            // The engine knows no such operator; the name is one that no template can spell.
            let node = Filter { name: "+", expr: Some(self.signed()?), args: Vec::new() };
            Expr::Filter(Spanned::new(node, self.since(start)))
        } else {
            self.primary()?
        };
        self.postfix(expr, start)
    }

    pub(super) fn primary(&mut self) -> Result<Expr<'a>, Fault> {
        let token = self.token();
        match (token.what, token.text) {
            (What::Name, "true" | "True") => Ok(self.take(Value::from(true))),
            (What::Name, "false" | "False") => Ok(self.take(Value::from(false))),
            (What::Name, "none" | "None") => Ok(self.take(Value::from(()))),
            (What::Name, id) => {
                self.advance();
                Ok(Expr::Var(Spanned::new(Var { id }, self.since(token.start))))
            }
            (What::Text, _) => self.strings(),
            (What::Integer, _) => {
                let value = literal::integer(&token)?;
                Ok(self.take(value))
            }
            (What::Float, _) => Ok(self.take(literal::float(&token))),
            (What::Operator, "(") => {
                self.nest()?;
                self.advance();
                let expr = self.items(true, Self::expr)?;
                self.expect_op(")")?;
                self.nesting -= 1;
                Ok(expr)
            }
            (What::Operator, "[") => self.list(),
            (What::Operator, "{") => self.map(),
            _ => Err(self.expected("an expression")),
        }
    }

    /// Takes a token that is a constant.
    fn take(&mut self, value: Value) -> Expr<'a> {
        let start = self.advance().start;
        self.constant(value, start)
    }

    /// Strings in a row are one.
    fn strings(&mut self) -> Result<Expr<'a>, Fault> {
        let start = self.token().start;
        let mut text = String::new();
        while self.token().what == What::Text {
            literal::string(&mut text, &self.token())?;
            self.advance();
        }
        Ok(self.constant(Value::from(text), start))
    }

    pub(super) fn nest(&mut self) -> Result<(), Fault> {
        self.nesting += 1;
        if self.nesting <= NESTING_MAX {
            return Ok(());
        }
        Err(self.fault(format!("brackets are nested at most {NESTING_MAX} deep")).over())
    }

    fn list(&mut self) -> Result<Expr<'a>, Fault> {
        self.nest()?;
        let start = self.advance().start;
        let mut items = Vec::new();
        while !self.token().is_op("]") {
            items.push(self.expr()?);
            if !self.token().is_op("]") {
                self.expect_op(",")?;
            }
        }
        self.advance();
        self.nesting -= 1;
        Ok(Expr::List(Spanned::new(List { items }, self.since(start))))
    }

    fn map(&mut self) -> Result<Expr<'a>, Fault> {
        self.nest()?;
        let start = self.advance().start;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        while !self.token().is_op("}") {
            keys.push(self.expr()?);
            self.expect_op(":")?;
            values.push(self.expr()?);
            if !self.token().is_op("}") {
                self.expect_op(",")?;
            }
        }
        self.advance();
        self.nesting -= 1;
        Ok(Expr::Map(Spanned::new(Map { keys, values }, self.since(start))))
    }

    pub(super) fn postfix(&mut self, mut expr: Expr<'a>, start: usize) -> Result<Expr<'a>, Fault> {
        loop {
            let token = self.token();
            expr = if token.is_op(".") {
                self.dot(expr, start)?
            } else if token.is_op("[") {
                self.subscript(expr, start)?
            } else if token.is_op("(") {
                self.call(expr, start)?
            } else {
                return Ok(expr);
            };
        }
    }

    fn dot(&mut self, expr: Expr<'a>, start: usize) -> Result<Expr<'a>, Fault> {
        self.advance();
        let token = self.token();
        match token.what {
            What::Name => {
                self.advance();
                let node = GetAttr { expr, name: token.text };
                Ok(Expr::GetAttr(Spanned::new(node, self.since(start))))
            }
            What::Integer => {
                let value = literal::integer(&token)?;
                let subscript_expr = self.take(value);
                let node = GetItem { expr, subscript_expr };
                Ok(Expr::GetItem(Spanned::new(node, self.since(start))))
            }
            _ => Err(self.expected("a name or number after '.'")),
        }
    }

    fn subscript(&mut self, expr: Expr<'a>, start: usize) -> Result<Expr<'a>, Fault> {
        self.nest()?;
        let open = self.advance().start;
        let mut keys: Vec<Expr<'a>> = Vec::new();
        let mut slice = None;
        while !self.token().is_op("]") {
            if !keys.is_empty() || slice.is_some() {
                self.expect_op(",")?;
            }
            match self.subscript_part()? {
                Part::Key(key) => keys.push(key),
                Part::Slice(bounds) if keys.is_empty() && self.token().is_op("]") => {
                    slice = Some(bounds);
                }
                Part::Slice(_) => return Err(self.fault("a slice cannot be part of a tuple")),
            }
        }
        self.advance();
        self.nesting -= 1;
        let span = self.since(start);
        if let Some([from, to, step]) = slice {
            let node = Slice { expr, start: from, stop: to, step };
            return Ok(Expr::Slice(Spanned::new(node, span)));
        }
        let subscript_expr = match keys.len() {
            1 => keys.remove(0),
            _ => Expr::Tuple(Spanned::new(Tuple { items: keys }, self.since(open))),
        };
        Ok(Expr::GetItem(Spanned::new(GetItem { expr, subscript_expr }, span)))
    }

    fn subscript_part(&mut self) -> Result<Part<'a>, Fault> {
        let first = if self.token().is_op(":") { None } else { Some(self.expr()?) };
        if !self.skip_op(":") {
            return first.map(Part::Key).ok_or_else(|| self.expected("an expression"));
        }
        let mut bounds = [first, None, None];
        bounds[1] = self.bound(true)?;
        if self.skip_op(":") {
            bounds[2] = self.bound(false)?;
        }
        Ok(Part::Slice(bounds))
    }

    fn bound(&mut self, may_go_on: bool) -> Result<Option<Expr<'a>>, Fault> {
        let token = self.token();
        let is_absent = token.is_op("]") || token.is_op(",") || (may_go_on && token.is_op(":"));
        if is_absent { Ok(None) } else { self.expr().map(Some) }
    }
}

/// One part of a subscript.
enum Part<'a> {
    Key(Expr<'a>),
    Slice([Option<Expr<'a>>; 3]),
}

pub(super) fn negation(expr: Expr<'_>, span: minijinja::machinery::Span) -> Expr<'_> {
    Expr::UnaryOp(Spanned::new(UnaryOp { op: UnaryOpKind::Not, expr }, span))
}
