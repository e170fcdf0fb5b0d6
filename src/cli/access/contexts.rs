//! Contexts: gateways by name, with whom and where, in one file of the user's. In: the file. Out: the same, whole or
//! not at all. It holds keys: nobody but its owner may read it, and none is ever shown.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::output::Failure;
use crate::id::Secret;

/// Largest file of contexts.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Longest name of a context, in bytes.
const NAME_MAX_BYTES: usize = 100;
/// What others may do with the file: nothing.
const OTHERS: u32 = 0o077;

/// All contexts of a user.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Contexts {
    /// The one that counts when none is named.
    #[serde(default)]
    pub(in crate::cli) current: Option<String>,
    #[serde(default, rename = "context")]
    pub(in crate::cli) all: BTreeMap<String, Context>,
}

/// One gateway, as one key sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Context {
    pub(in crate::cli) url: String,
    /// Account and workspace as people call them.
    pub(in crate::cli) place: String,
    pub(in crate::cli) account: String,
    pub(in crate::cli) workspace: String,
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub(in crate::cli) key: Secret,
}

fn write_key<S: serde::Serializer>(key: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(key.expose())
}

fn read_key<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::new)
}

/// Where the contexts of this user are.
pub(in crate::cli) fn path() -> Result<PathBuf, Failure> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|h| h.join(".config")));
    let config = config.ok_or_else(|| {
        Failure::NotLoaded("contexts have no place: set HOME or XDG_CONFIG_HOME".to_owned())
    })?;
    Ok(config.join("hookgate").join("contexts.toml"))
}

impl Contexts {
    /// Those of a file; none when there is no file.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, Failure> {
        let not_loaded = |what: String| Failure::NotLoaded(format!("{}: {what}", path.display()));
        let file = match File::open(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(|fault| not_loaded(fault.to_string()))?,
        };
        let data = file.metadata().map_err(|fault| not_loaded(fault.to_string()))?;
        if data.permissions().mode() & OTHERS != 0 {
            let way = format!("chmod 600 {}", path.display());
            return Err(not_loaded(format!("it holds keys, and others may read it: {way}")));
        }
        let mut text = String::new();
        let read = file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|fault| not_loaded(fault.to_string()))?;
        if text.len() as u64 > FILE_MAX_BYTES {
            return Err(not_loaded(format!("more than {FILE_MAX_BYTES} bytes")));
        }
        // The parser's own words would quote a line, and with it a key.
        toml::from_str(&text).map_err(|fault| {
            let before = fault.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            not_loaded(format!("line {}: {}", before.lines().count().max(1), fault.message()))
        })
    }

    /// Writes them; whoever reads meanwhile sees the old file or the new one.
    pub(in crate::cli) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |fault: io::Error| {
            Failure::No(format!("{}: cannot be written: {fault}", path.display()))
        };
        let text = toml::to_string(self)
            .map_err(|fault| Failure::No(format!("contexts cannot be written: {fault}")))?;
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, path));
        written.map_err(|fault| {
            let _ = fs::remove_file(&draft);
            failed(fault)
        })
    }

    /// The context of a name.
    pub(in crate::cli) fn find(&self, name: &str) -> Result<&Context, Failure> {
        self.all.get(name).ok_or_else(|| {
            let names: Vec<_> = self.all.keys().map(String::as_str).collect();
            Failure::NotFound(if names.is_empty() {
                format!("there is no context {name:?}: `hookgate login` makes one")
            } else {
                format!("there is no context {name:?}; there are {}", names.join(", "))
            })
        })
    }

    /// The current one, and its name.
    pub(in crate::cli) fn current(&self) -> Result<Option<(&str, &Context)>, Failure> {
        let Some(name) = self.current.as_deref() else { return Ok(None) };
        self.find(name).map(|context| Some((name, context)))
    }
}

/// Whether a context may be called so: a name that needs no quotes, and is no flag.
pub(in crate::cli) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("hookgate-contexts-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn one() -> Contexts {
        let context = Context {
            url: "https://gate.example".to_owned(),
            place: "acme/main".to_owned(),
            account: "a".to_owned(),
            workspace: "w".to_owned(),
            key: Secret::new("pnu_secret"),
        };
        Contexts { current: Some("prod".to_owned()), all: [("prod".to_owned(), context)].into() }
    }

    #[test]
    fn what_is_written_is_read_and_only_by_its_owner() {
        let file = folder("kept").join("hookgate/contexts.toml");
        assert_eq!(Contexts::read(&file).expect("nothing yet"), Contexts::default());
        one().write(&file).expect("written");
        one().write(&file).expect("written again");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode(&file) & 0o777, 0o600);
        assert_eq!(mode(file.parent().expect("a folder")) & 0o777, 0o700);
        let read = Contexts::read(&file).expect("read");
        assert_eq!(read, one());
        assert_eq!(read.find("prod").expect("there").key.expose(), "pnu_secret");
        assert!(!format!("{read:?}").contains("pnu_secret"));
        let others = fs::read_dir(file.parent().expect("a folder")).expect("a folder").count();
        assert_eq!(others, 1, "no draft is left");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("opened");
        let said = Contexts::read(&file).expect_err("others may read it").to_string();
        assert!(said.contains("chmod 600"), "{said}");
    }

    #[test]
    fn a_wrong_file_is_named_without_its_words() {
        let file = folder("wrong").join("contexts.toml");
        one().write(&file).expect("written");
        fs::write(&file, "[context.x]\nurl = \"u\"\nkey = \"pnu_secret\nplace = 1\n")
            .expect("text");
        let said = Contexts::read(&file).expect_err("no TOML").to_string();
        assert!(said.contains("contexts.toml: line 3: "), "{said}");
        assert!(!said.contains("pnu_secret"), "{said}");
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let said = one().find("staging").expect_err("no such").to_string();
        assert_eq!(said, "there is no context \"staging\"; there are prod");
        for (name, fits) in
            [("prod", true), ("a.b-c_1", true), ("", false), ("-x", false), ("a b", false)]
        {
            assert_eq!(is_name(name), fits, "{name}");
        }
    }
}
