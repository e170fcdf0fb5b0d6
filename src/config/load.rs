//! Layers: defaults, one file, the environment, flags; the later wins. In: a path, variables, flags. Out: the
//! settings and where each came from, or the first fault with its place and the nearest known key.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::Config;
use super::egress::read_network;
use super::keys::{Key, Shape, keys, nearest};
use crate::catalogue;
use crate::fetch::Detour;
use crate::forward::MANNER;
use crate::spool;
use crate::telemetry::log;

/// Read when neither `--config` nor `HOOKGATE_CONFIG` names one, and it is there.
const DEFAULT_FILE: &str = "/etc/hookgate/config.toml";
/// Largest configuration file.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// Variables that are no settings, but ours all the same.
const OTHER_VARIABLES: &[&str] = &[
    "HOOKGATE_CONFIG",
    "HOOKGATE_LOG",
    "HOOKGATE_BLESS",
    "HOOKGATE_URL",
    "HOOKGATE_API_KEY",
    "HOOKGATE_CONTEXT",
];

/// Why settings cannot be used: exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("{path}: {why}")]
    Unreadable { path: PathBuf, why: String },
    /// Something in the file is wrong.
    #[error("{path}:{line}:{column}: {message}")]
    File { path: PathBuf, line: usize, column: usize, message: String },
    /// A variable or flag is wrong.
    #[error("{origin}: {message}")]
    Value { origin: Origin, message: String },
    /// Settings that do not fit one another.
    #[error("{0}")]
    Conflict(String),
    /// A provider that cannot be used, or that its cases speak against.
    #[error("schemes.{0}")]
    Scheme(String),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Settings given on the command line: path of the setting, flag, value.
pub type Flags = Vec<(&'static str, &'static str, Value)>;

/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Things to tell the operator that do not stop anything.
    pub warnings: Vec<String>,
    values: Table,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Each setting with its value, secrets masked, and where it came from; `None` for one that is not set.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, Option<Value>, Origin)> {
        let row = |key: Key| {
            let value = find(&self.values, &key.path).map(mask);
            let origin = self.origins.get(&key.path).cloned().unwrap_or(Origin::Default);
            (key.path, value, origin)
        };
        keys().into_iter().map(row).collect()
    }
}

/// Loads: `file` as named by `--config` or `HOOKGATE_CONFIG`, `variables` as of the environment, `flags`.
///
/// # Errors
/// [`ConfigError`].
///
/// # Panics
/// Never: the defaults are TOML.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Flags,
) -> Result<Loaded, ConfigError> {
    let keys = keys();
    let mut values = Table::try_from(Config::default()).expect("the defaults are TOML");
    let mut origins = BTreeMap::new();
    if let Some((path, table)) = read_file(file)? {
        for key in &keys {
            if let Some(value) = find(&table, &key.path) {
                set(&mut values, &key.path, value.clone());
                origins.insert(key.path.clone(), Origin::File(path.clone()));
            }
        }
    }
    let mut warnings = Vec::new();
    for (name, text) in variables {
        let Some(key) = keys.iter().find(|key| key.variable() == name) else {
            warnings.extend(unknown_variable(&name, &keys));
            continue;
        };
        let origin = Origin::Variable(name);
        let value = read_value(key.shape, &text)
            .and_then(|value| check_networks(&key.path, &value).map(|()| value))
            .map_err(|message| ConfigError::Value { origin: origin.clone(), message })?;
        place(&mut values, &mut origins, &key.path, value, origin)?;
    }
    for (path, flag, value) in flags {
        place(&mut values, &mut origins, path, value, Origin::Flag(flag))?;
    }
    let config = Config::deserialize(values.clone())
        .map_err(|error| ConfigError::Conflict(error.message().to_owned()))?;
    check(&config)?;
    Ok(Loaded { config, warnings, values, origins })
}

/// Sets a value from outside the file, and finds out at once whether it fits.
fn place(
    values: &mut Table,
    origins: &mut BTreeMap<String, Origin>,
    path: &str,
    value: Value,
    origin: Origin,
) -> Result<(), ConfigError> {
    set(values, path, value);
    if let Err(error) = Config::deserialize(values.clone()) {
        return Err(ConfigError::Value { origin, message: error.message().to_owned() });
    }
    origins.insert(path.to_owned(), origin);
    Ok(())
}

/// Settings that are lists of networks.
const NETWORKS: [&str; 2] = ["server.trusted_proxies", "egress.allow"];

/// Whether a list from a variable has only networks in it, if it is one of them.
fn check_networks(path: &str, value: &Value) -> Result<(), String> {
    let items = value.as_array().filter(|_| NETWORKS.contains(&path));
    let mut texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.find(|text| read_network(text).is_none()).map_or(Ok(()), |text| {
        Err(format!(
            "{path}: `{text}` is no network; write them with commas between and nothing around, \
             such as 10.0.0.0/8,192.168.7.1"
        ))
    })
}

/// One connection's longest head has room.
fn check_heads(config: &Config) -> Result<(), ConfigError> {
    let (limits, least) = (&config.limits, config.sockets().heads_least_bytes());
    if limits.heads_max_bytes >= least {
        return Ok(());
    }
    Err(ConfigError::Conflict(format!(
        "limits.heads_max_bytes ({}) has no room for one head of limits.header_max_bytes ({}) with \
         limits.headers_max ({}): at least {least}",
        limits.heads_max_bytes, limits.header_max_bytes, limits.headers_max
    )))
}

/// The spool has room for its segments.
fn check_spool(config: &Config) -> Result<(), ConfigError> {
    let (most, least) = (config.spool.max_bytes, spool::SPOOL_LEAST_BYTES);
    if most >= least {
        return Ok(());
    }
    Err(ConfigError::Conflict(format!(
        "spool.max_bytes ({most}) has no room for the spool's smallest segments: at least {least}"
    )))
}

/// What no single value can be blamed for.
fn check(config: &Config) -> Result<(), ConfigError> {
    let server = &config.server;
    if server.listen.is_empty() {
        return Err(ConfigError::Conflict("server.listen is empty: name an address".into()));
    }
    if server.tls_certificate.is_some() != server.tls_key.is_some() {
        let message = "server.tls_certificate and server.tls_key come only together";
        return Err(ConfigError::Conflict(message.into()));
    }
    if server.tls_client_ca.is_some() && server.tls_certificate.is_none() {
        let message = "server.tls_client_ca is of use only beside server.tls_certificate: certificates \
                       are shown over TLS that ends here";
        return Err(ConfigError::Conflict(message.into()));
    }
    if server.tls_client_crl.is_some() && server.tls_client_ca.is_none() {
        let message = "server.tls_client_crl is of use only beside server.tls_client_ca: without authorities \
                       nobody is asked for a certificate";
        return Err(ConfigError::Conflict(message.into()));
    }
    check_heads(config)?;
    check_spool(config)?;
    log::check(&config.log.level)
        .map_err(|why| ConfigError::Conflict(format!("log.level: {why}")))?;
    let lists = [&server.trusted_proxies, &config.egress.allow];
    for (key, list) in NETWORKS.into_iter().zip(lists) {
        if let Some(text) = list.iter().find(|text| read_network(text).is_none()) {
            let message = format!(
                "{key}: `{text}` is no network; write a list of them in the file, such as \
                 [\"10.0.0.0/8\", \"192.168.7.1\"]"
            );
            return Err(ConfigError::Conflict(message));
        }
    }
    let egress = &config.egress;
    if let Some(proxy) = &egress.proxy
        && let Err(text) = Detour::read(proxy, &egress.direct)
    {
        let message = if text == proxy {
            format!("egress.proxy: `{text}` is none; write http://proxy.internal:3128")
        } else {
            format!("egress.direct: `{text}` is neither a name nor a network")
        };
        return Err(ConfigError::Conflict(message));
    }
    config.check_sealing(config.store.keys().is_some())
}

/// The file's table, after its keys and types have been checked where they stand.
fn read_file(named: Option<&Path>) -> Result<Option<(PathBuf, Table)>, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE)).to_path_buf();
    let unreadable = |why: String| ConfigError::Unreadable { path: path.clone(), why };
    let bytes = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if bytes > FILE_MAX_BYTES {
        return Err(unreadable(format!("{bytes} bytes, at most {FILE_MAX_BYTES}")));
    }
    let text = fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let at = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let before = &text.as_bytes()[..start];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        let message = explain(error.message());
        ConfigError::File { path: path.clone(), line, column, message }
    };
    toml::from_str::<Config>(&text).map_err(at)?;
    let table = toml::from_str::<Table>(&text).map_err(at)?;
    Ok(Some((path, table)))
}

/// Turns serde's list of everything that is known into the one key that was probably meant.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let mut names = rest.split('`');
    let unknown = names.next().unwrap_or_default();
    let known = names.skip(1).step_by(2);
    match nearest(unknown, known) {
        Some(meant) => format!("unknown key `{unknown}`; did you mean `{meant}`?"),
        None => format!("unknown key `{unknown}`; `hookgate config schema` lists what there is"),
    }
}

fn unknown_variable(name: &str, keys: &[Key]) -> Option<String> {
    if !name.starts_with("HOOKGATE_") || OTHER_VARIABLES.contains(&name) {
        return None;
    }
    let variables: Vec<String> = keys.iter().map(Key::variable).collect();
    let meant = nearest(name, variables.iter().map(String::as_str));
    let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Some(format!("{name} is no setting and has no effect{hint}"))
}

/// A variable's text as the setting takes it; lists are separated by commas.
fn read_value(shape: Shape, text: &str) -> Result<Value, String> {
    let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(match shape {
        Shape::Text => Value::String(text.to_owned()),
        Shape::Integer => {
            let number = text.trim().replace('_', "").parse();
            Value::Integer(number.map_err(|_| format!("`{text}` is no whole number"))?)
        }
        Shape::Boolean => match text.trim() {
            "true" | "1" => Value::Boolean(true),
            "false" | "0" => Value::Boolean(false),
            _ => return Err(format!("`{text}` is neither true nor false")),
        },
        Shape::List => Value::Array(items().map(|item| Value::String(item.into())).collect()),
        Shape::Tables => forwards(items()),
        Shape::Named => return Err("it is set in the file only".to_owned()),
    })
}

/// Destinations given as text alone.
pub(crate) fn forwards<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    let table = |to: &str| Value::Table(Table::from_iter([("to".to_owned(), to.into())]));
    Value::Array(texts.map(table).collect())
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, name)) => table.get(section)?.as_table()?.get(name),
    }
}

fn set(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, name)) => {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Some(section) = entry.as_table_mut() {
                section.insert(name.to_owned(), value);
            }
        }
    }
}

/// The value with what could be a secret as stars: user information and query values of addresses, values of headers.
fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_address(text)),
        Value::Array(items) => Value::Array(items.iter().map(mask).collect()),
        Value::Table(table) => {
            let masked = |(name, value): (&String, &Value)| match value {
                Value::Table(headers) if name == "headers" => {
                    let stars = |(name, _): (&String, _)| (name.clone(), "***".into());
                    (name.clone(), Value::Table(headers.iter().map(stars).collect()))
                }
                value => (name.clone(), mask(value)),
            };
            Value::Table(table.iter().map(masked).collect())
        }
        other => other.clone(),
    }
}

/// Settings of a destination's text that are no secrets, beside those of [`MANNER`].
const SHOWN: &[&str] = &["rate", "burst", "request_rate", "byte_rate", "on_full", "form", "maxlen"];

fn mask_address(text: &str) -> String {
    catalogue::mask_but(text, |name| SHOWN.contains(&name) || MANNER.contains(&name))
}
