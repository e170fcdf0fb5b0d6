//! Layers, faults and suggestions.

use std::fs;
use std::path::PathBuf;

use super::*;

fn written(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("hookgate-{}-{name}.toml", std::process::id()));
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let path = written(
        "layers",
        "[server]\ndrain_seconds = 5\nhosts = [\"a\"]\n[spool]\ndirect = false\n",
    );
    let variables = [
        ("HOOKGATE_SERVER__DRAIN_SECONDS".to_owned(), "6".to_owned()),
        ("HOOKGATE_SERVER__LISTEN".to_owned(), "127.0.0.1:1, [::1]:2".to_owned()),
        ("HOOKGATE_SERVER__LISTN".to_owned(), "x".to_owned()),
        ("HOOKGATE_FORWARD".to_owned(), "stdout,https://u:p@h/x?rate=5/s&token=t".to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
    ];
    let flags: Flags = vec![("server.drain_seconds", "--drain-seconds", 7.into())];
    let loaded = load(Some(&path), variables, flags).unwrap();
    fs::remove_file(path).unwrap();
    assert_eq!(loaded.config.server.drain_seconds, 7);
    assert_eq!(loaded.config.server.hosts, ["a"]);
    assert_eq!(loaded.config.server.listen.len(), 2);
    assert!(!loaded.config.spool.direct);
    assert_eq!(loaded.config.forward[1].to, "https://u:p@h/x?rate=5/s&token=t");
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].ends_with("did you mean HOOKGATE_SERVER__LISTEN?"));
    let rows = loaded.rows();
    let row = |name: &str| rows.iter().find(|(path, ..)| path == name).unwrap();
    assert_eq!(row("server.drain_seconds").2, Origin::Flag("--drain-seconds"));
    assert_eq!(row("server.data").2, Origin::Default);
    assert_eq!(row("server.public_url").1, None);
    let shown = row("forward").1.clone().unwrap().to_string();
    assert!(shown.contains("https://***@h/x?rate=5/s&token=***"), "{shown}");
}

#[test]
fn faults_name_their_place_and_the_nearest_key() {
    let faults = [
        ("[server]\n  lisen = []\n", 2, 3, "unknown key `lisen`; did you mean `listen`?"),
        ("[sever]\n", 1, 2, "unknown key `sever`; did you mean `server`?"),
        ("[spool]\ndirect = 3\n", 2, 10, "expected a boolean"),
        ("[limits]\npeer_rate = \"often\"\n", 2, 13, "`often` is no rate"),
        ("[server\n", 1, 8, ""),
    ];
    for (text, line, column, message) in faults {
        let path = written("faults", text);
        let fault = load(Some(&path), [], Vec::new()).unwrap_err().to_string();
        assert!(fault.contains(&format!(":{line}:{column}: ")), "{fault}");
        assert!(fault.contains(message), "{fault}");
        fs::remove_file(path).unwrap();
    }
    let variables = [("HOOKGATE_SPOOL__DIRECT".to_owned(), "often".to_owned())];
    let fault = load(None, variables, Vec::new()).unwrap_err().to_string();
    assert_eq!(fault, "HOOKGATE_SPOOL__DIRECT: `often` is neither true nor false");
    let fault = load(Some(std::path::Path::new("/nowhere")), [], Vec::new()).unwrap_err();
    assert!(matches!(fault, ConfigError::Unreadable { .. }));
}

#[test]
fn authorities_of_senders_are_of_use_only_where_tls_ends() {
    let alone = [("HOOKGATE_SERVER__TLS_CLIENT_CA".to_owned(), "ca.pem".to_owned())];
    let fault = load(None, alone.clone(), Vec::new()).unwrap_err().to_string();
    assert!(fault.contains("server.tls_client_ca is of use only beside"), "{fault}");
    assert!(Config::default().sockets().tls.is_none());
    let lists = [("HOOKGATE_SERVER__TLS_CLIENT_CRL".to_owned(), "ca.crl".to_owned())];
    let fault = load(None, lists, Vec::new()).unwrap_err().to_string();
    assert!(fault.contains("server.tls_client_crl is of use only beside"), "{fault}");
    let [authorities] = alone;
    let named = ["CERTIFICATE", "KEY"].map(|name| (format!("HOOKGATE_SERVER__TLS_{name}"), name));
    let named = named.map(|(name, file)| (name, file.to_owned())).into_iter().chain([authorities]);
    let config = load(None, named, Vec::new()).unwrap().config;
    let files = config.sockets().tls.unwrap();
    assert_eq!(files.client_ca.as_deref(), Some(std::path::Path::new("ca.pem")));
    assert!(config.api().means.certifies);
}

#[test]
fn heads_have_room_for_the_longest_one() {
    let with = |bytes: u64, header_bytes: u64| {
        let values = [("HEADS", bytes), ("HEADER", header_bytes)];
        let name = |name| format!("HOOKGATE_LIMITS__{name}_MAX_BYTES");
        load(None, values.map(|(of, value)| (name(of), value.to_string())), Vec::new())
    };
    assert!(with(2 << 20, 64 << 10).is_ok());
    let fault = with((2 << 20) - 1, 64 << 10).unwrap_err().to_string();
    assert_eq!(
        fault,
        "limits.heads_max_bytes (2097151) has no room for one head of limits.header_max_bytes \
         (65536) with limits.headers_max (100): at least 2097152"
    );
    assert!(with(2 << 20, 128 << 10).is_err());
    assert!(with(64 << 20, u64::MAX / 2).is_err(), "and not for lack of bits");
}

#[test]
fn a_spool_has_room_for_its_segments() {
    let with = |bytes: u64| {
        let bytes = [("HOOKGATE_SPOOL__MAX_BYTES".to_owned(), bytes.to_string())];
        load(None, bytes, Vec::new()).map(drop)
    };
    assert_eq!(with(512 << 10), Ok(()));
    let fault = with((512 << 10) - 1).unwrap_err().to_string();
    assert!(fault.starts_with("spool.max_bytes (524287) has no room"), "{fault}");
    assert!(fault.ends_with("at least 524288"), "{fault}");
}

#[test]
fn a_word_that_is_no_level_is_refused_wherever_it_stands() {
    let said = |text: &str| {
        let variable = ("HOOKGATE_LOG__LEVEL".to_owned(), text.to_owned());
        load(None, [variable], Vec::new()).map(drop)
    };
    for text in ["inof", "hookgate", "info,hookgate::forward=loud"] {
        let says = said(text).expect_err(text).to_string();
        assert!(says.contains("log.level: ") && says.contains("error, warn, info"), "{says}");
    }
    assert_eq!(said("info,hookgate::forward=debug"), Ok(()));
}

#[test]
fn the_schema_knows_every_default() {
    let loaded = load(None, [], Vec::new()).unwrap();
    let unset = loaded.rows().iter().filter(|(_, value, _)| value.is_none()).count();
    assert_eq!(unset, 17, "options that are off by default");
}

#[test]
fn a_list_of_networks_in_a_variable_says_its_shape_when_it_is_none() {
    let with = |text: &str| {
        let variables = [("HOOKGATE_EGRESS__ALLOW".to_owned(), text.to_owned())];
        load(Some(&written("networks", "")), variables, Flags::new())
    };
    let loaded = with("10.0.0.0/8, 192.168.7.1").unwrap();
    assert_eq!(loaded.config.egress.networks().len(), 2);
    assert_eq!(
        with(r#"["10.0.0.0/8"]"#).unwrap_err().to_string(),
        "HOOKGATE_EGRESS__ALLOW: egress.allow: `[\"10.0.0.0/8\"]` is no network; write them with \
         commas between and nothing around, such as 10.0.0.0/8,192.168.7.1"
    );
}
