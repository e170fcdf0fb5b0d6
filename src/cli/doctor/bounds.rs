//! Bounds that settings lift: of networks that are nearly the whole internet, of who guesses, of who is slow. In:
//! settings. Out: findings; on loopback, where no stranger is, they are worth knowing alone.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Findings, Severity};
use crate::config::Config;
use crate::verify::allowlist::are_wide;

/// Most networks that are named.
const NETWORKS_MAX: usize = 4;
/// More wrong ones in a minute than that bound nobody who guesses, nor what the log is told of it.
const WRONG_MAX: u32 = 6_000;
/// A head is a few packets: whoever needs longer does not want to end.
const HEADER_SECONDS_MAX: u64 = 60;
/// Longest that a body may be on its way, at whatever pace.
const BODY_SECONDS_MAX: u64 = 900;
/// Longest that proxies keep a connection that nobody uses.
const IDLE_SECONDS_MAX: u64 = 3_600;

/// The widest of networks that hold nearly everybody together.
pub(super) fn wide(texts: &[String]) -> Option<String> {
    let read =
        |text: &String| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let mut networks: Vec<IpNet> = texts.iter().filter_map(read).collect();
    if !are_wide(&networks) {
        return None;
    }
    networks.sort_by_key(IpNet::prefix_len);
    let named = networks.iter().take(NETWORKS_MAX).map(IpNet::to_string).collect::<Vec<_>>();
    let more = networks.len().saturating_sub(NETWORKS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(named.join(", ") + &more)
}

/// What no bound holds.
pub(super) fn look(config: &Config, findings: &mut Findings) {
    let is_here = config.server.listen.iter().all(|address| address.ip().is_loopback());
    let severity = if is_here { Severity::Notice } else { Severity::Warning };
    let limits = &config.limits;
    let wrong = [
        ("wrong_slugs_per_minute", limits.wrong_slugs_per_minute),
        ("wrong_keys_per_minute", limits.wrong_keys_per_minute),
    ];
    let is_free = |most: u32| most == 0 || most > WRONG_MAX;
    let free = wrong.into_iter().filter(|(_, most)| is_free(*most));
    let free: Vec<_> = free.map(|(name, most)| format!("limits.{name} is {most}")).collect();
    if !free.is_empty() {
        findings.add(
            (severity, "guesses-unbound"),
            free.join(", "),
            "one peer may try hooks and keys without end",
            "leave it at what it is when nothing is said, or name a number that your senders need",
        );
    }
    let slow = [
        ("header_seconds", limits.header_seconds, limits.header_seconds > HEADER_SECONDS_MAX),
        ("body_seconds", limits.body_seconds, limits.body_seconds > BODY_SECONDS_MAX),
        (
            "body_min_bytes_per_second",
            limits.body_min_bytes_per_second,
            limits.body_min_bytes_per_second == 0,
        ),
        ("idle_seconds", limits.idle_seconds, limits.idle_seconds > IDLE_SECONDS_MAX),
    ];
    let slow = slow.into_iter().filter(|(_, _, is_free)| *is_free);
    let slow: Vec<_> = slow.map(|(name, is, _)| format!("limits.{name} is {is}")).collect();
    if !slow.is_empty() {
        findings.add(
            (severity, "slow-senders"),
            slow.join(", "),
            "connections that send next to nothing hold their places, until nobody else has one",
            "leave it at what it is when nothing is said; a longer body needs no longer head",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_are_everybody_together_are_named() {
        let wide =
            |texts: &[&str]| wide(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(wide(&[]), None);
        assert_eq!(wide(&["10.0.0.0/8", "192.0.2.1", "fd00::/8"]), None);
        assert_eq!(wide(&["0.0.0.0/0"]).as_deref(), Some("0.0.0.0/0"));
        let halves = wide(&["10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1"]);
        assert_eq!(halves.as_deref(), Some("0.0.0.0/1, 128.0.0.0/1, 10.0.0.0/8"));
        let many: Vec<_> = (1..=9).map(|part| format!("{}.0.0.0/8", part * 2)).collect();
        let many = super::wide(&many).expect("wide");
        assert!(many.ends_with(" and 5 more"), "{many}");
    }

    #[test]
    fn bounds_that_are_lifted_are_named_and_are_worse_where_strangers_are() {
        let found = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            let mut findings = Findings::default();
            look(&config, &mut findings);
            let line = |one: &super::super::Finding| {
                format!("{} {}: {}", one.severity.name(), one.name, one.what)
            };
            findings.0.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(found(&|_| ()), [""; 0]);
        let least = |config: &mut Config| {
            let limits = &mut config.limits;
            (limits.header_seconds, limits.body_seconds, limits.idle_seconds) = (60, 900, 3_600);
            (limits.wrong_slugs_per_minute, limits.wrong_keys_per_minute) = (6_000, 1);
            limits.body_min_bytes_per_second = 1;
            config.server.listen = vec![([192, 0, 2, 1], 1).into()];
        };
        assert_eq!(found(&least), [""; 0]);
        let guesses = |config: &mut Config| config.limits.wrong_slugs_per_minute = 0;
        let slugs = "guesses-unbound: limits.wrong_slugs_per_minute is 0";
        assert_eq!(found(&guesses), [format!("notice {slugs}")]);
        let far = |config: &mut Config| {
            guesses(config);
            config.limits.wrong_keys_per_minute = u32::MAX;
            config.server.listen.push(([0, 0, 0, 0], 1).into());
        };
        let both = format!("warning {slugs}, limits.wrong_keys_per_minute is {}", u32::MAX);
        assert_eq!(found(&far), [both]);
        for (change, said) in [
            (
                &(|config: &mut Config| config.limits.header_seconds = 3_600) as &dyn Fn(&mut _),
                "header_seconds is 3600",
            ),
            (&|config: &mut Config| config.limits.body_seconds = 3_600, "body_seconds is 3600"),
            (
                &|config: &mut Config| config.limits.body_min_bytes_per_second = 0,
                "body_min_bytes_per_second is 0",
            ),
            (&|config: &mut Config| config.limits.idle_seconds = 86_400, "idle_seconds is 86400"),
        ] {
            assert_eq!(found(change), [format!("notice slow-senders: limits.{said}")]);
        }
    }
}
