//! Providers that the operator adds. In: rows of the file, and recorded requests beside it. Out: all providers there
//! are, once each row has decided its requests as they were recorded; or the row, the field, and the case that is
//! wrong.

use std::fs::File;
use std::io::BufReader;

use super::{Config, ConfigError};
use crate::verify::signature::{Case, CasesFault, Means, Outcome, Provider, Registry, run_cases};

/// Longest name of a provider: it stands in labels.
const NAME_MAX_BYTES: usize = 64;

impl Config {
    /// The providers that come with hookgate and those of the file, each of which was checked by its cases.
    ///
    /// # Errors
    /// [`ConfigError::Scheme`]: a row that does not hold together, or that decides a case otherwise than recorded.
    pub fn providers(&self) -> Result<Registry, ConfigError> {
        let all = Registry::built_in().with(&self.schemes);
        let all = all.map_err(|fault| ConfigError::Scheme(fault.to_string()))?;
        for (name, row) in &self.schemes {
            check(name, row, &all).map_err(|why| ConfigError::Scheme(format!("{name}{why}")))?;
        }
        Ok(all)
    }

    /// What requests are verified with.
    #[must_use]
    pub fn means(&self) -> Means {
        Means { fetches: self.fetch.enabled, certifies: self.server.tls_client_ca.is_some() }
    }
}

/// Runs the cases of a row. What is wrong goes on behind its name.
fn check(name: &str, row: &Provider, all: &Registry) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain) {
        let most = NAME_MAX_BYTES;
        return Err(format!(": a name is made of a-z, 0-9 and -, at most {most} of them"));
    }
    let Some(path) = &row.cases else {
        return Err(".cases is missing: a file of recorded requests that check the row".to_owned());
    };
    let at = |what: String| format!(".cases: {}: {what}", path.display());
    let file = File::open(path).map_err(|fault| at(format!("cannot be read: {fault}")))?;
    let (mut taken, mut refused) = (0_u64, 0_u64);
    let told = |line: u64, case: &Case, outcome: &Outcome| match outcome {
        Outcome::Wrong(how) => Err(Wrong(format!("line {line}, case {:?}: {how}", case.id))),
        Outcome::Right => {
            // Refused for an empty secret, or for a header that is missing, it would say nothing of how the row signs.
            let counts = || case.valid || row.schemes.is_empty() || case.is_mismatch(all);
            if case.provider == name && counts() {
                *if case.valid { &mut taken } else { &mut refused } += 1;
            }
            Ok(())
        }
    };
    run_cases(BufReader::new(file), all, told).map_err(|Wrong(what)| at(what))?;
    // A row that takes everything, or nothing, would pass otherwise.
    match (taken, refused) {
        (0, _) => Err(at(format!("no case of {name} that is valid"))),
        (_, 0) => Err(at(format!(
            "no case of {name} that is refused for its signature alone: record one with another secret"
        ))),
        _ => Ok(()),
    }
}

/// What is wrong with a file of cases.
struct Wrong(String);

impl From<CasesFault> for Wrong {
    fn from(fault: CasesFault) -> Self {
        Self(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{ConfigError, load};

    /// What a file of settings says of its providers.
    fn said(row: &str, cases: &str) -> Result<usize, ConfigError> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-schemes-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let (file, listed) = (folder.join("c.toml"), folder.join("cases.jsonl"));
        fs::write(&listed, cases).unwrap();
        let row = row.replace("CASES", &listed.display().to_string());
        fs::write(&file, row).unwrap();
        let loaded = load(Some(&file), [], Vec::new());
        let found = loaded.and_then(|loaded| loaded.config.providers());
        fs::remove_dir_all(folder).unwrap();
        found.map(|all| all.iter().count())
    }

    const ROW: &str = "[schemes.acme]\ncases = \"CASES\"\n[[schemes.acme.scheme]]\n\
        signature = { header = \"X-Acme\" }\nmac = \"equal\"\nencoding = \"text\"\n";
    const GOOD: &str = "{\"id\": \"a\", \"provider\": \"acme\", \"secret\": \"s\", \"valid\": true, \
        \"headers\": {\"X-Acme\": \"s\"}}\n";
    const BAD: &str = "{\"id\": \"b\", \"provider\": \"acme\", \"secret\": \"s\", \"valid\": false, \
        \"headers\": {\"X-Acme\": \"t\"}}\n";

    #[test]
    fn a_row_counts_once_its_cases_came_out() {
        let ours = said("", "").unwrap();
        assert_eq!(said(ROW, &format!("{GOOD}{BAD}")).unwrap(), ours + 1);
        let instead = ROW.replace("acme", "github");
        let cases = format!("{GOOD}{BAD}").replace("acme", "github");
        assert_eq!(said(&instead, &cases).unwrap(), ours, "in place of ours");
    }

    #[test]
    fn what_is_wrong_is_named_by_row_field_and_case() {
        let both = format!("{GOOD}{BAD}");
        let turned = BAD.replace("false", "true");
        // Refused whatever the row says.
        let empty = BAD.replace("\"secret\": \"s\"", "\"secret\": \"\"");
        let bare = BAD.replace("X-Acme", "X-Other");
        let unnamed = ROW.replace("cases = \"CASES\"\n", "");
        for (row, cases, part) in [
            (unnamed, &both, "schemes.acme.cases is missing"),
            (ROW.replace("CASES", "/nowhere"), &both, "schemes.acme.cases: /nowhere: cannot be"),
            (ROW.to_owned(), &GOOD.to_owned(), "no case of acme that is refused for its signature"),
            (ROW.to_owned(), &format!("{GOOD}{empty}"), "no case of acme that is refused for its"),
            (ROW.to_owned(), &format!("{GOOD}{bare}"), "no case of acme that is refused for its"),
            (ROW.to_owned(), &BAD.to_owned(), "no case of acme that is valid"),
            (ROW.to_owned(), &format!("{GOOD}{turned}"), "line 2, case \"b\": it was refused"),
            (ROW.to_owned(), &"{}".to_owned(), "line 1 is no case: missing field `provider`"),
            (ROW.to_owned(), &GOOD.replace("acme", "acne"), "no provider `acne`"),
            (ROW.replace("acme", "Acme"), &both, "schemes.Acme: a name is made of a-z"),
            (
                ROW.replace("mac =", "macc ="),
                &both,
                ":5:1: unknown key `macc`; did you mean `mac`?",
            ),
            (ROW.replace("\"equal\"", "\"md5\""), &both, ":5:7: unknown variant `md5`"),
            (ROW.replace("\"equal\"", "\"jwt\""), &both, "schemes.acme: `algorithms`"),
        ] {
            let fault = said(&row, cases).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}\n{part}");
        }
    }
}
