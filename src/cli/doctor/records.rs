//! What records leave open, as far as the store's file tells. In: settings, a data folder. Out: findings that name the
//! first of those that it is about.

use std::net::IpAddr;

use super::{Findings, Severity, certificates};
use crate::clock::Time;
use crate::config::Config;
use crate::store::{self, Several, Verification};
use crate::verify::signature::{SchemeFault, Unfit};

/// What records leave open.
pub(super) fn look(config: &Config, findings: &mut Findings) {
    let data = &config.server.data;
    if !data.join(store::FILE_NAME).is_file() {
        return;
    }
    let found = match store::exposed(data, is_clear, certificates::demanded(config)) {
        Ok(found) => found,
        Err(fault) => {
            return findings.add(
                (Severity::Error, "records"),
                fault.to_string(),
                "the records cannot be looked at",
                "run this as the gateway's user, with the version that it runs",
            );
        }
    };
    certificates::unasked(config, &found.certified, findings);
    let mut told = |(severity, name), some: &Several, what: &str, why, way_out: &str| {
        if some.count > 0 {
            findings.add((severity, name), format!("{what}: {}", listed(some)), why, way_out);
        }
    };
    told(
        (Severity::Notice, "open-webhook"),
        &found.open,
        "webhooks that take all that comes",
        "whoever has seen the hook's address once can send to it",
        "hookgate webhook update NAME --verify PROVIDER, --network or --service-account",
    );
    told(
        (Severity::Warning, "only-labelled"),
        &found.labelling,
        "webhooks that take what is not verified, too",
        "a label says so; templates and destinations that do not look at it take forged events",
        "hookgate webhook update NAME without --verify-only-label",
    );
    told(
        (Severity::Notice, "endless-key"),
        &found.endless,
        "service accounts with a key that never ends",
        "one that leaked and is not missed opens for ever",
        "hookgate key rotate NAME --overlap 1h --expires 90d",
    );
    told(
        (Severity::Warning, "clear-destination"),
        &found.clear,
        "destinations without TLS, on other machines",
        "events, and what opens the destination, can be read and changed on the way",
        "give the destination an address with TLS: https, or +tls",
    );
}

/// Webhooks whose verification can never succeed, as far as can be told without their secrets. What the file has no
/// answer for is told by [`look`], and by the gateway that does not start with it.
pub(super) fn unfit(config: &Config, now: Time, findings: &mut Findings) {
    let data = &config.server.data;
    let Ok(providers) = config.providers() else { return };
    let means = config.means();
    let fault = |said: &Verification| match said.check_fit(&providers, means, now) {
        // No secret is looked at here; certificates have a finding of their own.
        Ok(()) | Err(Unfit::Scheme(SchemeFault::Secret { .. }) | Unfit::Uncertified(_)) => None,
        // Its secret may be the key itself.
        Err(Unfit::Unfetched(_)) if !said.secrets.is_empty() => None,
        Err(fault) => Some(fault.to_string()),
    };
    let found =
        if data.join(store::FILE_NAME).is_file() { store::unfit(data, fault) } else { return };
    let Ok(found) = found else { return };
    if found.count > 0 {
        findings.add(
            (Severity::Error, "unfit-verification"),
            format!("webhooks that refuse every request: {}", listed(&found)),
            "nothing that is sent can be verified as they demand",
            "put back what is missing, or hookgate webhook update NAME --verify PROVIDER",
        );
    }
}

/// The names of some, and how many more there are.
pub(super) fn listed(some: &Several) -> String {
    let more = some.count - some.names.len() as u64;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    // Names are what people typed.
    let names = format!("{:?}", some.names);
    format!("{}{more}", names.trim_matches(['[', ']']))
}

/// Whether an address leads to another machine without TLS.
fn is_clear(to: &str) -> bool {
    let Some((scheme, rest)) = to.split_once("://") else { return false };
    if scheme.split('+').any(|part| matches!(part, "https" | "wss" | "tls")) {
        return false;
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_here = bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    !(is_here || bare.eq_ignore_ascii_case("localhost") || bare.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_another_machine_is_clear_without_tls() {
        for (to, clear) in [
            ("http://example.com/in", true),
            ("https://example.com/in", false),
            ("http://user:p@10.0.0.1:80", true),
            ("http://127.0.0.1:4200/api", false),
            ("http://[::1]:1/x", false),
            ("http://[2001:db8::1]:1/x", true),
            ("nats://localhost:4222/s", false),
            ("redis+tls://cache/0", false),
            ("kafka://broker:9092/t", true),
            ("prefect+wss://host/api", false),
            ("s3+https://host/bucket", false),
            ("file:events.ndjson", false),
        ] {
            assert_eq!(is_clear(to), clear, "{to}");
        }
    }
}
