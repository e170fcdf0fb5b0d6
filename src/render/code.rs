//! The codes of everything an author may be told, each with what it means and what to do. One table: the command line
//! explains from it, the lints stand in it. Never a code used for two things.

use super::lint::rules::RULES;

/// Which rule a diagnostic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    Syntax,
    Unknown,
    Bound,
    Foreign,
    Refused,
    Budget,
    Missing,
    Json,
    Event,
    TooLarge,
    Unreadable,
    Constant,
    Unused,
    Hides,
    LostInLoop,
    WrittenComment,
    IdleAllow,
    UnknownName,
    MethodAsData,
    UnknownHeader,
    HiddenHeader,
    QuotedValue,
    QuotedJson,
    BareValue,
    LoopComma,
    NeverJson,
    LoopItems,
    LabelKind,
    BareName,
    LongLabel,
    ReservedName,
    EventParts,
    FreshName,
    RelatedCut,
    SecretHeader,
    Key,
    AllHeaders,
    SecretField,
    Chance,
    NotPortable,
    BodyTwice,
}

/// What is known of a code.
#[derive(Debug)]
pub struct Entry {
    pub code: Code,
    pub name: &'static str,
    pub title: &'static str,
    /// Why it matters and what to do, in sentences.
    pub explanation: &'static str,
    /// A template before and after, for what the lints find.
    pub example: Option<Example>,
}

/// A part of a template that a rule finds fault with, and what to write instead.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    pub part: Part,
    pub bad: &'static str,
    pub good: &'static str,
}

/// Which part of a template an example shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The event's name.
    Event,
    /// Labels of the resource, behind its id.
    Resource,
    /// Related resources.
    Related,
    /// Members of the payload.
    Payload,
}

impl Part {
    /// The whole template that a part stands in.
    #[must_use]
    pub fn within(self, part: &str) -> String {
        let id = "\"prefect.resource.id\": \"a.1\"";
        match self {
            Self::Whole => part.to_owned(),
            Self::Event => format!("{{ {part}, \"resource\": {{{id}}}}}"),
            Self::Resource => {
                format!("{{\"event\": \"a.b\", \"resource\": {{{id}, {part} }}}}")
            }
            Self::Related => {
                format!("{{\"event\": \"a.b\", \"resource\": {{{id}}}, \"related\": [ {part} ]}}")
            }
            Self::Payload => {
                format!("{{\"event\": \"a.b\", \"resource\": {{{id}}}, \"payload\": {{ {part} }}}}")
            }
        }
    }
}

/// What parsing, rendering and the event's own rules find.
static FAULTS: &[Entry] = &[
    Entry {
        code: Code::Unreadable,
        name: "J100",
        title: "a file that does not load",
        explanation: "A template is UTF-8 text of at most 4 MiB. A configuration file is TOML with known keys; the \
                      message names the line and the nearest key.",
        example: None,
    },
    Entry {
        code: Code::Syntax,
        name: "J101",
        title: "not Jinja",
        explanation: "The source breaks Jinja's grammar: a tag is not closed, an expression is cut short, a word \
                      stands where none can. The place is where reading had to stop, which is at or behind the \
                      mistake. Nothing is saved.",
        example: None,
    },
    Entry {
        code: Code::Unknown,
        name: "J102",
        title: "no such filter, test or tag",
        explanation: "Templates have Jinja's own filters and tests, those of the humanize extension, and \
                      from_cloud_event. A name that is none of them is refused when the template is saved; inside \
                      an `if` it fails only when it is reached, as in Python.",
        example: None,
    },
    Entry {
        code: Code::Bound,
        name: "J103",
        title: "more than a template may have",
        explanation: "Sources have bounds: 30,000 characters and 128 KiB, 10 loops nested 2 deep, 64 nested \
                      brackets, 99 nested tags, 500 operators in one expression. They are those of Prefect Cloud, \
                      or keep the machine from being used up. Split the work over several webhooks, or send less.",
        example: None,
    },
    Entry {
        code: Code::Foreign,
        name: "J104",
        title: "a tag that needs another template",
        explanation: "A webhook has one template: `include`, `import`, `from` and `extends` have nothing to load. \
                      Write what they would bring into the template itself; `macro` and `block` work.",
        example: None,
    },
    Entry {
        code: Code::Refused,
        name: "J105",
        title: "an operation that Python refuses",
        explanation: "The template asks for something its values cannot do: adding a number to a string, comparing \
                      with what is not there, calling what is no function. Python's Jinja2 fails on it as well. \
                      Give a default (`body.n|default(0)`), convert (`|string`, `|int`), or ask first (`is defined`).",
        example: None,
    },
    Entry {
        code: Code::Budget,
        name: "J110",
        title: "a rendering that costs too much",
        explanation: "Each rendering has 200,000 steps, 50 ms, 32 MiB of values and 2 MiB of output. A template that \
                      needs more for a request fails on that request. Loop over less, cut long texts \
                      (`body.text[:1000]`), and do not build in a loop what is used once.",
        example: None,
    },
    Entry {
        code: Code::Missing,
        name: "J201",
        title: "a value that is not there prints nothing",
        explanation: "Reading a key that a request does not have is no error in a template: it prints nothing, and \
                      nobody notices that the event's name ends with a dot. Mend the name, or say what shall stand \
                      there instead: `body.name|default('unknown')`.",
        example: None,
    },
    Entry {
        code: Code::Json,
        name: "J301",
        title: "the rendered text is not JSON",
        explanation: "An event is a JSON object. The place is the expression whose text broke it, or the text of the \
                      template itself. Let `tojson` write every value, without quotes around it: \
                      `\"name\": {{ body.title|tojson }}`. It quotes and escapes.",
        example: None,
    },
    Entry {
        code: Code::Event,
        name: "E401",
        title: "the JSON is no event",
        explanation: "An event needs `event`, a name that is not empty, and `resource` with a `prefect.resource.id`; \
                      labels are strings; `occurred` is a moment in RFC 3339, `id` a UUID; names that begin with \
                      `prefect-cloud.` or `hookgate.` are the gateway's own.",
        example: None,
    },
    Entry {
        code: Code::TooLarge,
        name: "E402",
        title: "the event is too large",
        explanation: "An event has at most 1.4 MB of JSON, so that downstream can add its own and still keep it, and \
                      is nested at most 190 levels deep. Put the parts into the payload that somebody will read, not \
                      the whole body.",
        example: None,
    },
];

/// All codes.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAULTS.iter().chain(RULES)
}

impl Code {
    /// Its entry in the table.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        // A code without a row would not pass the test below.
        all().find(|entry| entry.code == self).unwrap_or(&FAULTS[0])
    }

    /// Its name, such as `J101`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The code of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        all().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row_and_each_row_one_name() {
        let all: Vec<&Entry> = all().collect();
        for (place, entry) in all.iter().enumerate() {
            assert!(std::ptr::eq(entry.code.entry(), *entry), "{}: two rows", entry.name);
            assert_eq!(Code::find(entry.name), Some(entry.code));
            assert!(all[..place].iter().all(|other| other.name != entry.name), "{}", entry.name);
        }
        assert_eq!(all.len(), Code::BodyTwice as usize + 1, "each code has a row");
    }
}
