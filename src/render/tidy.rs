//! White space inside tags, as house style has it. In: a source. Out: the same tokens, spaced evenly: `{{x}}` becomes
//! `{{ x }}`. Never a change of text, strings, comments, line breaks, or of what a tag strips around it: what comes out
//! is read again, and must be the same tokens.

use super::code::Code;
use super::diagnostic::{Diagnostic, Lines};
use super::syntax::lexer::{Token, What, tokens};
use super::{Limits, check_size, syntax};

/// Spaces the tags of a template evenly.
///
/// # Errors
/// When the template is too large or does not parse.
pub fn tidy(source: &str, limits: &Limits) -> Result<String, Diagnostic> {
    check_size(source, limits)?;
    if !source.contains("{{") && !source.contains("{%") {
        return Ok(source.to_owned());
    }
    let (text, lines) = Lines::read(source);
    syntax::parse(&text).map_err(|fault| fault.in_source(&text, &lines))?;
    // A source that is whole only once its last `\r` is read as a line's end is left as it is.
    let Ok(before) = tokens(source) else { return Ok(source.to_owned()) };
    let tidied = spaced(source, &before);
    let same = tokens(&tidied).is_ok_and(|after| read_alike(&before, &after));
    if !same {
        let what = "the template would be read differently if its tags were spaced evenly";
        return Err(Diagnostic::error(Code::Syntax, what));
    }
    Ok(tidied)
}

fn read_alike(before: &[Token<'_>], after: &[Token<'_>]) -> bool {
    let same = |(a, b): (&Token<'_>, &Token<'_>)| a.what == b.what && a.text == b.text;
    before.len() == after.len() && before.iter().zip(after).all(same)
}

/// What a token is to the ones beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The tag's own marks.
    Begin,
    End,
    /// `if`, `and`, `in`, the tag's name: something stands apart on both sides.
    Word,
    /// `is`, which a test's name follows.
    Is,
    /// A test's name: brackets with arguments are written close to it, its one bare argument is not.
    Test,
    /// A name, a string, or what closes a bracket.
    Operand,
    Number,
    /// A bracket; close to what it belongs to when it is a call or a subscript.
    Open {
        glued: bool,
    },
    Close,
    /// An operator between two operands.
    Binary,
    /// A sign, or the star of an argument.
    Unary,
    Comma,
    Colon {
        tight: bool,
    },
    Equal {
        tight: bool,
    },
    /// `.` and `|`.
    Link,
}

/// Where the brackets of a tag stand.
struct Tag {
    last: Role,
    is_first: bool,
    is_block: bool,
    /// Of each open bracket, whether it is a subscript's.
    open: Vec<bool>,
}

impl Tag {
    fn new(begin: What) -> Self {
        let is_block = begin == What::BlockBegin;
        Self { last: Role::Begin, is_first: true, is_block, open: Vec::new() }
    }

    fn role(&mut self, token: &Token<'_>) -> Role {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let names_tag = is_first && self.is_block;
        let last = self.last;
        match token.what {
            What::VariableEnd | What::BlockEnd => Role::End,
            What::Integer | What::Float => Role::Number,
            What::Name if last == Role::Link => Role::Operand,
            // The parameters of a call block belong to its name.
            What::Name if names_tag && token.text == "call" => Role::Operand,
            What::Name if names_tag => Role::Word,
            What::Name => match token.text {
                "is" => Role::Is,
                "not" if last == Role::Is => Role::Is,
                _ if last == Role::Is => Role::Test,
                "and" | "or" | "not" | "in" | "if" | "else" => Role::Word,
                _ => Role::Operand,
            },
            What::Operator => self.operator(token.text),
            _ => Role::Operand,
        }
    }

    fn operator(&mut self, text: &str) -> Role {
        let ends = matches!(self.last, Role::Operand | Role::Number | Role::Close | Role::Test);
        match text {
            "." | "|" => Role::Link,
            "," => Role::Comma,
            ":" => Role::Colon { tight: self.open.last() == Some(&true) },
            "=" => Role::Equal { tight: !self.open.is_empty() },
            "(" => {
                self.open.push(false);
                Role::Open { glued: ends }
            }
            "[" => {
                let glued = ends && self.last != Role::Test;
                self.open.push(glued);
                Role::Open { glued }
            }
            "{" => {
                self.open.push(false);
                Role::Open { glued: false }
            }
            ")" | "]" | "}" => {
                self.open.pop();
                Role::Close
            }
            "+" | "-" if !ends => Role::Unary,
            "*" | "**" if matches!(self.last, Role::Open { .. } | Role::Comma) => Role::Unary,
            _ => Role::Binary,
        }
    }
}

/// What stands between two tokens; `None` leaves what is there.
fn gap(before: Role, after: Role) -> Option<&'static str> {
    Some(match (before, after) {
        (Role::Begin, _) | (_, Role::End) => " ",
        // `1 .x` and `x. 1` are no fractions, and stay none.
        (Role::Number, Role::Link) | (Role::Link, Role::Number) => return None,
        (
            Role::Link
            | Role::Open { .. }
            | Role::Unary
            | Role::Colon { tight: true }
            | Role::Equal { tight: true },
            _,
        )
        | (
            _,
            Role::Link
            | Role::Comma
            | Role::Colon { .. }
            | Role::Close
            | Role::Open { glued: true }
            | Role::Equal { tight: true },
        ) => "",
        _ => " ",
    })
}

fn spaced(source: &str, tokens: &[Token<'_>]) -> String {
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut at = 0;
    let mut tag: Option<Tag> = None;
    for token in tokens {
        let between = &source[at..token.start];
        match &mut tag {
            None => out.push_str(between),
            Some(tag) => {
                let role = tag.role(token);
                let has_lines = between.contains(['\n', '\r']);
                let kept = if has_lines { None } else { gap(tag.last, role) };
                out.push_str(kept.unwrap_or(between));
                tag.last = role;
            }
        }
        out.push_str(token.text);
        at = token.end();
        match token.what {
            What::VariableBegin | What::BlockBegin => tag = Some(Tag::new(token.what)),
            What::VariableEnd | What::BlockEnd => tag = None,
            _ => {}
        }
    }
    out.push_str(&source[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_block_that_ends_with_the_last_line_is_left_alone() {
        let source = "+{% raw %}\r";
        assert_eq!(tidy(source, &Limits::default()).as_deref(), Ok(source));
    }

    fn tidied(source: &str) -> String {
        tidy(source, &Limits::default()).unwrap()
    }

    #[test]
    fn tags_are_spaced_as_authors_write_them() {
        for (source, expected) in [
            ("{{x}}", "{{ x }}"),
            ("{{-x-}}\n{{+x}}", "{{- x -}}\n{{+ x }}"),
            ("{{ - x }}{{-1}}{{ -1 }}", "{{ -x }}{{- 1 }}{{ -1 }}"),
            ("{%if x%}a{%else%}b{%-endif+%}", "{% if x %}a{% else %}b{%- endif +%}"),
            ("{{ body . title | default( 'x' , true ) }}", "{{ body.title|default('x', true) }}"),
            ("{{a+b*c**-d~e//f%g}}", "{{ a + b * c ** -d ~ e // f % g }}"),
            ("{{ (a==b)and(not(c<d)) }}", "{{ (a == b) and (not (c < d)) }}"),
            ("{{ x [ 1 : -2 ] [::2] }}", "{{ x[1:-2][::2] }}"),
            ("{{ {'a':1 , 'b':[ 1,2 ]} }}", "{{ {'a': 1, 'b': [1, 2]} }}"),
            ("{{{'a':{'b':1}}}}", "{{ {'a': {'b': 1}} }}"),
            ("{% set x=f(a=1,*b,**c) %}", "{% set x = f(a=1, *b, **c) %}"),
            (
                "{% for a,b in c|items if a in(1,) %}{%endfor%}",
                "{% for a, b in c|items if a in (1,) %}{% endfor %}",
            ),
            (
                "{% macro m ( a,b = 2 )%}{%endmacro%}{{m (1)}}",
                "{% macro m(a, b=2) %}{% endmacro %}{{ m(1) }}",
            ),
            ("{% call (x) m() %}{% endcall %}", "{% call(x) m() %}{% endcall %}"),
            ("{{ x is  not divisibleby (3) }}", "{{ x is not divisibleby(3) }}"),
            ("{{ x is in[1] }}{{ x is eq [1] }}", "{{ x is in [1] }}{{ x is eq [1] }}"),
            ("{{ 'a  b'  'c' }}", "{{ 'a  b' 'c' }}"),
            ("{{ 1 .real }}{{ x. 0 }}", "{{ 1 .real }}{{ x. 0 }}"),
            ("{{a if b else-c}}", "{{ a if b else -c }}"),
            ("{%with a=1 ,b=2%}{%endwith%}", "{% with a = 1, b = 2 %}{% endwith %}"),
            ("{% if x: %}{% endif %}", "{% if x: %}{% endif %}"),
        ] {
            assert_eq!(tidied(source), expected, "{source}");
            assert_eq!(tidied(expected), expected, "again");
        }
    }

    #[test]
    fn text_comments_and_lines_stay() {
        for source in [
            "plain  text {#comment#}",
            "{#-x  y-#} { {x} } {{ x }}\r\n",
            "{% raw %}{{x}}{% endraw %}{%raw%}{{  }}{%-endraw%}",
            "{{ f(\n    a,\n    b\n) }}\n\n",
            "{{\n\tx\r\n}}",
        ] {
            assert_eq!(tidied(source), source);
        }
        assert_eq!(tidied("{{ f(a,b,\n  c ) }}"), "{{ f(a, b,\n  c) }}");
    }

    #[test]
    fn what_does_not_parse_is_left_alone() {
        let error = tidy("a\n {{ x", &Limits::default()).unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(2), Some(2)));
        assert!(tidy(&"x".repeat(200_000), &Limits::default()).unwrap_err().is_budget());
    }
}
