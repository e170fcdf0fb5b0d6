//! Tags and the text between them. In: tokens. Out: the engine's statements. Never a tag that Jinja's sandbox of
//! Prefect does not have, though those that load other templates are read, to be refused by name.

use minijinja::machinery::ast::{
    AutoEscape, Block, CallBlock, EmitExpr, EmitRaw, Expr, Extends, FilterBlock, ForLoop,
    FromImport, IfCond, Import, Include, Macro, Set, SetBlock, Spanned, Stmt, Var, WithBlock,
};

use super::super::chars::is_space;
use super::super::code::Code;
use super::super::error::Fault;
use super::lexer::What;
use super::{BLOCKS_MAX, BRANCHES_MAX, Parser, span};

/// The tags there are.
const TAGS: [&str; 14] = [
    "autoescape",
    "block",
    "call",
    "extends",
    "filter",
    "for",
    "from",
    "if",
    "import",
    "include",
    "macro",
    "print",
    "set",
    "with",
];

impl<'a> Parser<'a> {
    /// Text and tags up to one of `ends`, whose tag is at hand then; up to the end of the source when there are none.
    pub(super) fn body(&mut self, ends: &[&str]) -> Result<Vec<Stmt<'a>>, Fault> {
        let mut body = Vec::new();
        loop {
            let token = self.token();
            match token.what {
                What::Data => {
                    self.advance();
                    let span = self.since(token.start);
                    body.push(Stmt::EmitRaw(Spanned::new(EmitRaw { raw: token.text }, span)));
                }
                What::VariableBegin => {
                    self.advance();
                    let start = self.token().start;
                    let expr = self.tuple(true)?;
                    let span = self.since(start);
                    self.expect(What::VariableEnd, "'}}'")?;
                    body.push(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span)));
                }
                What::BlockBegin => {
                    self.advance();
                    let tag = self.token();
                    if tag.what == What::Name && ends.contains(&tag.text) {
                        return Ok(body);
                    }
                    self.tag(&mut body)?;
                    self.expect(What::BlockEnd, "'%}'")?;
                }
                _ if ends.is_empty() => return Ok(body),
                _ => return Err(self.unclosed()),
            }
        }
    }

    fn unclosed(&self) -> Fault {
        let open = self.open.last().copied().unwrap_or_default();
        let fault = self.fault(format!("the template ends, but '{open}' is still open"));
        fault.with_help(format!("close it with {{% end{open} %}}"))
    }

    fn tag(&mut self, body: &mut Vec<Stmt<'a>>) -> Result<(), Fault> {
        let token = self.expect(What::Name, "the name of a tag")?;
        if !TAGS.contains(&token.text) {
            return Err(self.no_tag(token.text));
        }
        self.open.push(token.text);
        self.blocks += 1;
        self.branches += 1;
        if self.blocks > BLOCKS_MAX || self.branches > BRANCHES_MAX {
            let what = format!("tags are nested at most {BLOCKS_MAX} deep");
            return Err(Fault::new(token.start, token.end(), what).over());
        }
        let start = token.start;
        match token.text {
            "for" => body.push(self.for_loop(start)?),
            "if" => body.push(self.if_cond(start)?),
            "with" => body.push(self.with(start)?),
            "set" => body.push(self.set(start)?),
            "macro" => body.push(self.macro_tag(start)?),
            "call" => body.push(self.call_block(start)?),
            "filter" => body.push(self.filter_block(start)?),
            "block" => body.push(self.block(start)?),
            "autoescape" => body.push(self.autoescape(start)?),
            "print" => self.print(body)?,
            _ => body.push(self.foreign(token.text, start)?),
        }
        self.open.pop();
        self.blocks -= 1;
        self.branches -= 1;
        Ok(())
    }

    fn no_tag(&self, name: &str) -> Fault {
        let last = self.tokens[self.next - 1];
        let message = match (name.strip_prefix("end"), self.open.last()) {
            (Some(_), Some(open)) => format!("'{name}' closes nothing; '{open}' is still open"),
            (Some(_), None) => format!("'{name}' closes nothing"),
            (None, _) if ["else", "elif"].contains(&name) => {
                let fault = format!("'{name}' stands in no 'if' or 'for'");
                return Fault::new(last.start, last.end(), fault)
                    .with_help("open one before it: {% if body.name %}".to_owned());
            }
            (None, _) => {
                let nearest = super::super::error::nearest(name, TAGS.into_iter());
                let help = nearest.map(|nearest| format!("did you mean '{nearest}'?"));
                let what = format!("there is no tag '{name}'");
                let fault = Fault::new(last.start, last.end(), what);
                return fault.under(Code::Unknown).with_help(help);
            }
        };
        Fault::new(last.start, last.end(), message)
    }

    /// The body of a tag; the closing tag's name is taken. A colon in front of its end is Python's.
    fn inner(&mut self, ends: &[&str]) -> Result<(Vec<Stmt<'a>>, &'a str), Fault> {
        self.skip_op(":");
        self.expect(What::BlockEnd, "'%}'")?;
        let body = self.body(ends)?;
        Ok((body, self.advance().text))
    }

    fn for_loop(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let target = self.target(false)?;
        if !self.skip_name("in") {
            return Err(self.expected("'in'"));
        }
        let iter = self.tuple(false)?;
        let filter_expr = if self.skip_name("if") { Some(self.expr()?) } else { None };
        let recursive = self.skip_name("recursive");
        let (body, end) = self.inner(&["endfor", "else"])?;
        let else_body = if end == "else" { self.inner(&["endfor"])?.0 } else { Vec::new() };
        let node = ForLoop { target, iter, filter_expr, recursive, body, else_body };
        Ok(Stmt::ForLoop(Spanned::new(node, self.since(start))))
    }

    fn if_cond(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let expr = self.tuple(false)?;
        let span = self.since(start);
        let (true_body, end) = self.inner(&["elif", "else", "endif"])?;
        let false_body = match end {
            "elif" => {
                let start = self.tokens[self.next - 1].start;
                self.branches += 1;
                if self.branches > BRANCHES_MAX {
                    let what = format!("branches are at most {BRANCHES_MAX} deep");
                    return Err(self.fault(what).over());
                }
                let branch = self.if_cond(start)?;
                self.branches -= 1;
                vec![branch]
            }
            "else" => self.inner(&["endif"])?.0,
            _ => Vec::new(),
        };
        Ok(Stmt::IfCond(Spanned::new(IfCond { expr, true_body, false_body }, span)))
    }

    fn with(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let mut assignments = Vec::new();
        while self.token().what != What::BlockEnd {
            if !assignments.is_empty() {
                self.expect_op(",")?;
            }
            let target = self.target(false)?;
            self.expect_op("=")?;
            assignments.push((target, self.expr()?));
        }
        let (body, _) = self.inner(&["endwith"])?;
        Ok(Stmt::WithBlock(Spanned::new(WithBlock { assignments, body }, self.since(start))))
    }

    fn set(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let target = self.target(true)?;
        if self.skip_op("=") {
            let expr = self.tuple(true)?;
            return Ok(Stmt::Set(Spanned::new(Set { target, expr }, self.since(start))));
        }
        let mut filter = None;
        while self.skip_op("|") {
            filter = Some(self.filter(filter)?);
        }
        let span = self.since(start);
        let (body, _) = self.inner(&["endset"])?;
        Ok(Stmt::SetBlock(Spanned::new(SetBlock { target, filter, body }, span)))
    }

    /// The parameters of a macro, and the values of the last of them.
    fn signature(&mut self) -> Result<(Vec<Expr<'a>>, Vec<Expr<'a>>), Fault> {
        let (mut args, mut defaults) = (Vec::new(), Vec::new());
        self.expect_op("(")?;
        while !self.token().is_op(")") {
            if !args.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.expect(What::Name, "a parameter")?;
            if self.skip_op("=") {
                defaults.push(self.expr()?);
            } else if !defaults.is_empty() {
                return Err(self.fault("a parameter without a value follows one that has one"));
            }
            let node = Var { id: name.text };
            args.push(Expr::Var(Spanned::new(node, span(name.start, name.end()))));
        }
        self.advance();
        Ok((args, defaults))
    }

    fn macro_tag(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let name = self.expect(What::Name, "a name")?.text;
        let (args, defaults) = self.signature()?;
        let span = self.since(start);
        let (body, _) = self.inner(&["endmacro"])?;
        Ok(Stmt::Macro(Spanned::new(Macro { name, args, defaults, body }, span)))
    }

    fn call_block(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let is_given = self.token().is_op("(");
        let (args, defaults) = if is_given { self.signature()? } else { Default::default() };
        let from = self.token().start;
        let Expr::Call(call) = self.expr()? else {
            let what = "'call' needs a call, such as 'name()'";
            return Err(Fault::new(from, self.token().start, what));
        };
        let (span, call_expr_span) = (self.since(start), self.since(from));
        let (body, _) = self.inner(&["endcall"])?;
        let decl = Macro { name: "caller", args, defaults, body };
        let node = CallBlock { call, call_expr_span, macro_decl: Spanned::new(decl, span) };
        Ok(Stmt::CallBlock(Spanned::new(node, span)))
    }

    fn filter_block(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let from = self.token().start;
        let mut filter = self.filter(None)?;
        while self.skip_op("|") {
            filter = self.filter(Some(filter))?;
        }
        let (span, filter_span) = (self.since(start), self.since(from));
        let (body, _) = self.inner(&["endfilter"])?;
        let node = FilterBlock { filter, filter_span, body };
        Ok(Stmt::FilterBlock(Spanned::new(node, span)))
    }

    fn block(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let name = self.expect(What::Name, "a name")?.text;
        if self.skip_name("scoped") {
            self.scoped.insert(start);
        }
        let required = self.skip_name("required");
        let span = self.since(start);
        let (body, _) = self.inner(&["endblock"])?;
        let is_blank =
            |stmt: &Stmt<'_>| matches!(stmt, Stmt::EmitRaw(raw) if raw.raw.chars().all(is_space));
        if required && !body.iter().all(is_blank) {
            return Err(self.fault("a required block has no content of its own"));
        }
        self.skip_name(name);
        Ok(Stmt::Block(Spanned::new(Block { name, required, body }, span)))
    }

    fn autoescape(&mut self, start: usize) -> Result<Stmt<'a>, Fault> {
        let enabled = self.expr()?;
        let span = self.since(start);
        let (body, _) = self.inner(&["endautoescape"])?;
        Ok(Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body }, span)))
    }

    /// `{% print a, b %}` shows one after the other.
    fn print(&mut self, body: &mut Vec<Stmt<'a>>) -> Result<(), Fault> {
        let mut is_first = true;
        while self.token().what != What::BlockEnd {
            if !is_first {
                self.expect_op(",")?;
            }
            is_first = false;
            let start = self.token().start;
            let expr = self.expr()?;
            let span = self.since(start);
            body.push(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span)));
        }
        Ok(())
    }

    /// A tag that names another template; what follows the template's name does not matter any more.
    fn foreign(&mut self, tag: &str, start: usize) -> Result<Stmt<'a>, Fault> {
        let name = self.expr()?;
        while !matches!(self.token().what, What::BlockEnd | What::End) {
            self.advance();
        }
        let span = self.since(start);
        Ok(match tag {
            "extends" => Stmt::Extends(Spanned::new(Extends { name }, span)),
            "include" => Stmt::Include(Spanned::new(Include { name, ignore_missing: false }, span)),
            "import" => {
                let target = Expr::Var(Spanned::new(Var { id: "" }, span));
                Stmt::Import(Spanned::new(Import { expr: name, name: target }, span))
            }
            _ => {
                let names = Vec::new();
                Stmt::FromImport(Spanned::new(FromImport { expr: name, names }, span))
            }
        })
    }
}
