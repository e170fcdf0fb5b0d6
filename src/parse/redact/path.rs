//! A path to values of a body. In: a small part of `JSONPath` as text, and an indexed document. Out: where the values
//! lie that it names. One walk for each path, which turns back where nothing below can be meant; bounded by the index.

use std::ops::Range;

use crate::json::{Kind, Value};

/// Most steps of a path.
pub const STEPS_MAX: usize = 16;
/// Longest path, in bytes.
pub const PATH_MAX_BYTES: usize = 256;

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It begins with something else.
    #[error("a path begins with $")]
    Root,
    /// A part is none that is known.
    #[error("at {at:?} is neither .name, ..name, ['name'], .*, [*] nor [0]")]
    Step { at: String },
    /// It is too long.
    #[error("a path has at most {PATH_MAX_BYTES} bytes and {STEPS_MAX} steps")]
    TooLong,
}

/// One part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Whether it is meant at any depth below.
    is_deep: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Name(Box<str>),
    Place(usize),
    /// A step of a pointer: a name in an object, a place in a list.
    Either(Box<str>),
    Any,
}

/// A path to values: `$.a.b[*].c`, `$..token`, `$['a b'][0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    text: Box<str>,
    steps: Vec<Step>,
}

impl Path {
    /// Reads a path.
    pub(super) fn read(text: &str) -> Result<Self, PathFault> {
        if text.len() > PATH_MAX_BYTES {
            return Err(PathFault::TooLong);
        }
        let mut rest = text.strip_prefix('$').ok_or(PathFault::Root)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) =
                read_step(rest).ok_or_else(|| PathFault::Step { at: rest.to_owned() })?;
            steps.push(step);
            rest = behind;
            if steps.len() > STEPS_MAX {
                return Err(PathFault::TooLong);
            }
        }
        Ok(Self { text: text.into(), steps })
    }

    /// A JSON pointer, `*` in it for each; what is deeper than a path may lead is cut with what holds it.
    pub(super) fn of_pointer(pointer: &str) -> Self {
        let what = |step: &str| match step {
            "*" => What::Any,
            _ => What::Either(step.into()),
        };
        let steps = pointer.split('/').skip(1).take(STEPS_MAX);
        let steps = steps.map(|step| Step { is_deep: false, what: what(step) });
        Self { text: pointer.into(), steps: steps.collect() }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it means the field of a form: what its first step names, whole.
    pub(super) fn means_field(&self, name: &str) -> bool {
        match self.steps.first().map(|step| &step.what) {
            None | Some(What::Any) => true,
            Some(What::Name(wanted) | What::Either(wanted)) => &**wanted == name,
            Some(What::Place(_)) => false,
        }
    }

    /// Adds where the values lie that it means.
    pub(super) fn find(&self, root: Value<'_>, found: &mut Vec<Range<usize>>) {
        self.walk(root, 1, found);
    }

    /// Bit n of `reached`: the first n steps lead to this value.
    fn walk(&self, value: Value<'_>, reached: u32, found: &mut Vec<Range<usize>>) {
        if reached >> self.steps.len() & 1 == 1 {
            found.push(value.start()..value.start() + value.raw().len());
            return;
        }
        match value.kind() {
            Kind::Object => {
                for (name, value) in value.members() {
                    let fits = |what: &What| match what {
                        What::Name(wanted) | What::Either(wanted) => **wanted == *name,
                        What::Place(_) => false,
                        What::Any => true,
                    };
                    self.step(value, reached, fits, found);
                }
            }
            Kind::Array => {
                for (at, value) in value.items().enumerate() {
                    let fits = |what: &What| match what {
                        What::Name(_) => false,
                        What::Place(place) => *place == at,
                        What::Either(wanted) => wanted.parse() == Ok(at),
                        What::Any => true,
                    };
                    self.step(value, reached, fits, found);
                }
            }
            _ => {}
        }
    }

    fn step(
        &self,
        value: Value<'_>,
        reached: u32,
        fits: impl Fn(&What) -> bool,
        found: &mut Vec<Range<usize>>,
    ) {
        let mut next = 0;
        for (place, step) in self.steps.iter().enumerate() {
            if reached >> place & 1 == 1 {
                next |= u32::from(fits(&step.what)) << (place + 1);
                next |= u32::from(step.is_deep) << place;
            }
        }
        if next != 0 {
            self.walk(value, next, found);
        }
    }
}

/// The first step of what is left of a path, and what is left behind it.
fn read_step(rest: &str) -> Option<(Step, &str)> {
    let (is_deep, rest) = match rest.strip_prefix("..") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let bracket = rest.strip_prefix('[');
    let (what, behind) = match (bracket, is_deep) {
        (Some(inner), _) => read_bracket(inner)?,
        (None, true) => read_name(rest)?,
        (None, false) => read_name(rest.strip_prefix('.')?)?,
    };
    Some((Step { is_deep, what }, behind))
}

fn read_name(rest: &str) -> Option<(What, &str)> {
    let end = rest.find(['.', '[', ']', '\'', '"']).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    let is_blank = name.trim() != name;
    match name {
        "" => None,
        _ if is_blank => None,
        "*" => Some((What::Any, behind)),
        _ => Some((What::Name(name.into()), behind)),
    }
}

fn read_bracket(inner: &str) -> Option<(What, &str)> {
    if let Some(behind) = inner.strip_prefix("*]") {
        return Some((What::Any, behind));
    }
    for quote in ['\'', '"'] {
        if let Some(named) = inner.strip_prefix(quote) {
            let (name, behind) = named.split_once(quote)?;
            return Some((What::Name(name.into()), behind.strip_prefix(']')?));
        }
    }
    let (digits, behind) = inner.split_once(']')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(())?;
    Some((What::Place(digits.parse().ok()?), behind))
}
