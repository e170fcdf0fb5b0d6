//! Each finding, in settings, files, a machine and a user that have it.

use super::*;

fn names(findings: &[Finding]) -> Vec<&'static str> {
    let own = |finding: &&Finding| !matches!(finding.name, "root" | "descriptors");
    findings.iter().filter(own).map(|finding| finding.name).collect()
}

#[test]
fn each_unsafe_setting_has_its_name() {
    let folder = std::env::temp_dir().join(format!("hookgate-doctor-{}", std::process::id()));
    let data = folder.join("data");
    store::bootstrap(&data, &Clock::System).expect("a folder");
    let keys = folder.join("keys");
    Keys::make(&keys).expect("a file");
    let mut config = Config::default();
    config.server.data.clone_from(&data);
    config.store.key_file = Some(keys.clone());
    (config.spool.free_min_bytes, config.spool.max_bytes, config.feed.max_bytes) = (0, 1, 1);
    assert_eq!(names(&examine(&config)), [""; 0], "as it should be");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode(&data, 0o755);
    mode(&keys, 0o640);
    config.server.admin_listen = ([0, 0, 0, 0], 1).into();
    config.server.listen = vec![([192, 0, 2, 1], 1).into()];
    config.server.trusted_proxies = vec!["0.0.0.0/1".to_owned(), "128.0.0.0/1".to_owned()];
    config.egress.allow = vec!["::/1".to_owned(), "8000::/1".to_owned()];
    (config.limits.wrong_keys_per_minute, config.limits.idle_seconds) = (0, 86_400);
    (config.events.open_server_mode, config.events.reserved_names) = (true, true);
    config.spool.free_min_bytes = u64::MAX;
    let mut found = names(&examine(&config));
    found.sort_unstable();
    let expected = [
        "admin-exposed",
        "any-host",
        "data-folder-mode",
        "disk-full",
        "disk-too-small",
        "egress-everywhere",
        "free-names",
        "guesses-unbound",
        "key-file-mode",
        "no-peer-connections",
        "no-peer-rate",
        "open-events",
        "slow-senders",
        "trusts-everybody",
    ];
    assert_eq!(found, expected);
    fs::write(&keys, "no key").expect("a file");
    config.server.trusted_proxies.clear();
    config.server.data = folder.join("nowhere");
    let found = names(&examine(&config));
    for name in ["key-file", "no-data", "no-tls"] {
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    fs::remove_dir_all(folder).expect("the folder goes");
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder =
        std::env::temp_dir().join(format!("hookgate-doctor-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_name_from_elsewhere_matters_on_loopback_where_no_key_is_needed() {
    let found = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        let mut findings = Findings::default();
        sockets(&config, &mut findings);
        names(&findings.0)
    };
    assert_eq!(found(|_| ()), [""; 0]);
    assert_eq!(found(|config| config.events.open_server_mode = true), ["any-host"]);
    assert_eq!(
        found(|config| {
            config.events.open_server_mode = true;
            config.server.hosts = vec!["hooks.example".to_owned()];
        }),
        [""; 0]
    );
    let public = found(|config| {
        config.server.listen = vec![([192, 0, 2, 1], 1).into()];
        config.server.hosts = vec!["hooks.example".to_owned()];
        config.server.trusted_proxies = vec!["192.0.2.2".to_owned()];
        config.limits.peer_rate = Some("1/s".parse().expect("a rate"));
    });
    assert_eq!(public, ["no-peer-connections"]);
    let bounded = found(|config| {
        config.server.listen = vec![([192, 0, 2, 1], 1).into()];
        config.limits.connections_per_peer_max = 100;
    });
    assert_eq!(bounded, ["any-host", "no-tls", "no-peer-rate"]);
}

#[test]
fn a_user_a_limit_a_clock_and_a_disk_are_judged() {
    let mut config = Config::default();
    let named = |findings: Vec<Finding>| {
        let name = |found: &Finding| format!("{} {}", found.severity.name(), found.name);
        findings.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(named(as_user(&config, true, None)), ["warning root"]);
    assert_eq!(named(as_user(&config, false, None)), [""; 0]);

    let of_limit = |most| {
        let mut findings = Findings::default();
        descriptors(&config, most, &mut findings);
        named(findings.0)
    };
    let wanted = config.limits.connections_max as u64 + DESCRIPTORS_KEPT;
    assert_eq!(of_limit(wanted), [""; 0]);
    assert_eq!(of_limit(wanted - 1), ["warning descriptors"]);

    let of_clock = |text: &str| {
        let mut findings = Findings::default();
        clock(Time::parse(text).expect("a moment"), &mut findings);
        named(findings.0)
    };
    assert_eq!(of_clock(EARLIEST), [""; 0]);
    assert_eq!(of_clock("1970-01-01T00:00:07Z"), ["error clock"]);

    (config.spool.free_min_bytes, config.spool.max_bytes, config.feed.max_bytes) = (100, 500, 400);
    let of_disk = |free, whole| {
        let mut findings = Findings::default();
        disk(&config, (free, whole), &mut findings);
        named(findings.0)
    };
    let of_spool = |bytes, held| {
        let mut findings = Findings::default();
        let held = [(feed::READER.to_owned(), held), ("file".to_owned(), 500)].into();
        room(&config, &Lying { bytes, held }, &mut findings);
        named(findings.0)
    };
    assert_eq!(of_spool(500, 250), [""; 0]);
    assert_eq!(of_spool(501, 250), ["warning spool-over-bound"]);
    assert_eq!(of_spool(500, 251), ["warning index-behind"]);
    assert_eq!(of_disk(200, 1000), [""; 0]);
    assert_eq!(of_disk(199, 1000), ["warning disk-nearly-full"]);
    assert_eq!(of_disk(100, 1000), ["warning disk-nearly-full"]);
    assert_eq!(of_disk(99, 1000), ["error disk-full"]);
    assert_eq!(of_disk(200, 999), ["warning disk-too-small"]);
}

#[test]
fn records_that_cannot_be_read_and_a_key_that_others_read_are_named() {
    let folder = folder("records");
    let mut config = Config::default();
    config.server.data.clone_from(&folder);
    fs::write(folder.join(store::FILE_NAME), "no records").expect("a file");
    let mut findings = Findings::default();
    records::look(&config, &mut findings);
    assert_eq!(names(&findings.0), ["records"]);

    let key = folder.join("tls.key");
    fs::write(&key, "a key").expect("a file");
    mode(&folder, 0o700);
    config.server.tls_key = Some(key.clone());
    for (bits, found) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        mode(&key, bits);
        let mut findings = Findings::default();
        files(&config, &mut findings);
        assert_eq!(names(&findings.0).contains(&"tls-key-mode"), found, "{bits:o}");
    }
    fs::remove_dir_all(folder).expect("the folder goes");
}

#[test]
fn what_systemd_gives_may_be_read_by_its_group_and_nothing_else_may() {
    let folder = folder("credentials");
    let (given, own) = (folder.join("given"), folder.join("own"));
    fs::create_dir_all(&given).expect("a folder");
    let credential = given.join("hookgate.keys");
    for path in [&credential, &own] {
        Keys::make(path).expect("a file");
        mode(path, 0o440);
    }
    let found = |config: &Config, credentials| names(&as_user(config, false, credentials));
    let mut config = Config::default();
    assert_eq!(found(&config, Some(&*given)), [""; 0], "it is used, and as it should be");
    mode(&credential, 0o444);
    assert_eq!(found(&config, Some(&*given)), ["key-file-mode"]);
    mode(&credential, 0o440);
    config.store.key_file = Some(own);
    assert_eq!(found(&config, Some(&*given)), ["key-file-mode"], "not one of those");
    config.store.key_file = Some(credential);
    assert_eq!(found(&config, Some(&*given)), [""; 0]);
    assert_eq!(found(&config, None), ["key-file-mode"], "only where systemd says so");
    config.store.key_file = Some(given.join("../own"));
    assert_eq!(found(&config, Some(&*given)), ["key-file-mode"], "a way out of the folder");
    fs::remove_dir_all(folder).expect("the folder goes");
}
