//! `{# hookgate: allow J302 #}`: what an author has looked at and wants to keep. In: the comments of a template. Out:
//! which codes are silent in which lines: those of the comment, and the one behind it. Never a whole template.

use super::super::syntax::lexer::{Token, What};

/// One comment that allows.
pub(super) struct Allowance {
    /// Codes or the beginnings of codes.
    codes: Vec<String>,
    /// First line and the line behind the last, from 0.
    lines: (usize, usize),
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) used: bool,
}

impl Allowance {
    pub(super) fn allows(&self, code: &str, line: usize) -> bool {
        (self.lines.0..=self.lines.1).contains(&line)
            && self.codes.iter().any(|allowed| code.starts_with(allowed.as_str()))
    }
}

/// All of a template. Comments stand between tags and texts, where no token is.
pub(super) fn allowances(source: &str, tokens: &[Token<'_>]) -> Vec<Allowance> {
    let mut found = Vec::new();
    let (mut at, mut in_tag) = (0, false);
    for token in tokens {
        if !in_tag {
            between(source, at, token.start, &mut found);
        }
        at = token.end();
        match token.what {
            What::VariableBegin | What::BlockBegin => in_tag = true,
            What::VariableEnd | What::BlockEnd => in_tag = false,
            _ => {}
        }
    }
    between(source, at, source.len(), &mut found);
    found
}

fn between(source: &str, start: usize, end: usize, found: &mut Vec<Allowance>) {
    let mut at = start;
    while let Some(open) = source[at..end].find("{#") {
        let open = at + open;
        let Some(length) = source[open + 2..end].find("#}") else { return };
        let close = open + 2 + length + 2;
        if let Some(codes) = codes(&source[open + 2..open + 2 + length]) {
            let line = |offset: usize| source[..offset].matches('\n').count();
            let lines = (line(open), line(close) + 1);
            found.push(Allowance { codes, lines, start: open, end: close, used: false });
        }
        at = close;
    }
}

fn codes(comment: &str) -> Option<Vec<String>> {
    let text = comment.trim_matches(['-', '+']).trim();
    let rest = text.strip_prefix("hookgate:")?.trim_start().strip_prefix("allow")?;
    let words = rest.split([',', ' ', '\n', '\t']).filter(|word| !word.is_empty());
    let is_code = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word[1..].chars().all(|c| c.is_ascii_digit())
    };
    // Behind the codes there may be the reason.
    Some(words.take_while(is_code).map(str::to_ascii_uppercase).collect())
}
