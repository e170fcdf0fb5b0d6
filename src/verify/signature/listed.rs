//! Names that an owner lists in a setting, blanks between them. In: the setting, and a name that a request shows. Out:
//! whether it is one of them. Names of hosts have no case, and none stands for others.

use super::fault::{Fault, SchemeFault};
use super::handshake::Asked;
use super::request::Parameters;
use super::source::Source;

/// Most names of one setting.
const NAMES_MAX: usize = 100;

/// Refuses a list that names nobody, or means more than it says.
///
/// # Errors
/// [`SchemeFault::Setting`]: what is wrong with it.
pub(super) fn check(
    provider: &str,
    parameters: &Parameters,
    setting: &str,
) -> Result<(), SchemeFault> {
    let Some(text) = parameters.get(setting) else { return Ok(()) };
    let wrong = |form| {
        let (provider, name) = (provider.to_owned(), setting.to_owned());
        Err(SchemeFault::Setting { provider, name, form })
    };
    if !(1..=NAMES_MAX).contains(&names(text).count()) {
        return wrong("one name or more, up to 100, blanks between them");
    }
    if text.contains(['*', ',']) {
        return wrong("names as they are, blanks between them: `*` stands for none");
    }
    Ok(())
}

/// Whether the name that a question shows is one of the list; anybody's is, where there is none.
///
/// # Errors
/// [`Fault::Another`]: it is somebody else's. [`Fault::Missing`]: it shows none.
pub(super) fn judge(asked: &Asked<'_>, setting: &str, shown: Option<&Source>) -> Result<(), Fault> {
    let (Some(list), Some(source)) = (asked.parameters.get(setting), shown) else {
        return Ok(());
    };
    if has(list, &source.read_one(asked.request, asked.parameters)?) {
        return Ok(());
    }
    let (place, setting) = (source.place(asked.parameters), setting.to_owned());
    Err(Fault::Another { place, setting })
}

/// Whether a list has that name.
fn has(text: &str, shown: &[u8]) -> bool {
    names(text).any(|name| name.as_bytes().eq_ignore_ascii_case(shown))
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_who_is_meant_and_nobody_else() {
        let parameters = |text: &str| Parameters::from([("origins".to_owned(), text.to_owned())]);
        let many = "a.example ".repeat(NAMES_MAX + 1);
        for bad in ["", " \n", "*", "*.example", "a.example, b.example", &many] {
            let refused = check("cloudevents", &parameters(bad), "origins");
            let says = refused.expect_err("a list of nobody").to_string();
            assert!(says.contains("`origins` of cloudevents"), "{bad}: {says}");
        }
        assert_eq!(check("cloudevents", &parameters("a.example  b.example"), "origins"), Ok(()));
        assert_eq!(check("cloudevents", &Parameters::new(), "origins"), Ok(()));
        for (shown, is_one) in [
            ("a.example", true),
            ("B.Example", true),
            ("example", false),
            ("x.a.example", false),
            ("a.example b.example", false),
            ("", false),
        ] {
            assert_eq!(has("a.example\tb.example", shown.as_bytes()), is_one, "{shown}");
        }
    }
}
