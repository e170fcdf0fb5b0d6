//! Heads that are odd, and allowed or not: methods, bytes beyond ASCII, trailers, extensions of chunks, uploads that
//! nobody wants, paths that are written otherwise.

use super::{Served, TAKES_ALL, hook, payload, statuses, tell};

#[test]
fn methods_are_told_apart_by_every_letter() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    for (line, status) in [
        (format!("TRACE {hook}"), 405),
        (format!("post {hook}"), 405),
        (format!("Post {hook}"), 405),
        (format!("BREW {hook}"), 405),
        ("OPTIONS *".to_owned(), 404),
        ("CONNECT x:1".to_owned(), 404),
    ] {
        let marked = "X-Mark: never-told-back\r\nConnection: close\r\n";
        let answer = tell(
            served.address(),
            format!("{line} HTTP/1.1\r\nHost: x\r\n{marked}\r\n").as_bytes(),
        );
        assert_eq!(statuses(&answer), [status], "{line}: {answer}");
        assert!(!answer.contains("never-told-back"), "{line}: {answer}");
    }
}

#[test]
fn bytes_beyond_ascii_in_a_header_are_text_and_no_fault() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let head = format!("POST {hook} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n");
    let odd = b"Connection: close\r\nX-Odd: caf\xe9\r\nX-Utf: \xc3\xa9\r\n\r\n{}";
    let answer = tell(served.address(), &[head.as_bytes(), odd].concat());
    assert_eq!(statuses(&answer), [204], "{answer}");
    let events = served.events(2);
    let headers = &events[1]["payload"]["headers"];
    assert_eq!(headers["x-utf"], "é", "{headers}");
    assert_eq!(headers["x-odd"], "caf\u{FFFD}", "{headers}");
}

#[test]
fn trailers_are_no_headers_and_extensions_are_few() {
    let served = Served::start(|_| ());
    let hook = hook(&served.webhook(TAKES_ALL));
    let chunked = |body: &str| {
        let head = "Host: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
        tell(served.address(), format!("POST {hook} HTTP/1.1\r\n{head}\r\n{body}").as_bytes())
    };
    let told = chunked("2\r\n{}\r\n0\r\nX-Trailer: t\r\nContent-Length: 9\r\nHost: y\r\n\r\n");
    assert_eq!(statuses(&told), [204], "{told}");
    let headers = &served.events(2)[1]["payload"]["headers"];
    assert_eq!((&headers["x-trailer"], &headers["host"]), (&().into(), &"x".into()), "{headers}");
    let long = "a".repeat(20_000);
    for body in [
        format!("2;{long}\r\n{{}}\r\n0\r\n\r\n"),
        format!("2\r\n{{}}\r\n0\r\nX-Trailer: {long}\r\n\r\n"),
        "2\n{}\r\n0\r\n\r\n".to_owned(),
        "-2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "0x2\r\n{}\r\n0\r\n\r\n".to_owned(),
    ] {
        let answer = chunked(&body);
        assert_eq!(statuses(&answer), [400], "{:?}: {answer}", &body[..body.len().min(20)]);
    }
    assert_eq!(served.events(2).len(), 2, "nothing of it was kept");
}

#[test]
fn what_is_refused_costs_no_upload() {
    let served = Served::start(|config| config.limits.body_max_bytes = 1000);
    let hook = hook(&served.webhook(TAKES_ALL));
    for (path, length, status) in [("/hooks/unknown", 100, 404), (hook.as_str(), 99_999_999, 413)] {
        let head = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n");
        assert_eq!(statuses(&tell(served.address(), request.as_bytes())), [status], "{path}");
    }
}

#[test]
fn a_path_is_taken_as_it_is_written() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(TAKES_ALL);
    let (hook, slug) = (hook(&webhook), webhook["slug"].as_str().expect("a slug"));
    let escaped = format!("/hooks/%{:02X}{}", slug.as_bytes()[0], &slug[1..]);
    for path in [
        format!("/hooks/../hooks/{slug}"),
        format!("/hooks//{slug}"),
        format!("//hooks/{slug}"),
        format!("/HOOKS/{slug}"),
        format!("/api/..{hook}"),
        format!("/hooks/{slug}/../{slug}"),
        format!("/hooks/{slug}%00"),
        format!("/hooks/{slug}%2f.."),
        format!("{hook}/..;/admin"),
        escaped,
        "/metrics".to_owned(),
        "/readyz".to_owned(),
        "/..%2f..%2fetc%2fpasswd".to_owned(),
        "/api/../../etc/passwd".to_owned(),
    ] {
        let answer = served.send("POST", &path, &[], b"{}");
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(!answer.text().contains("root:"), "{path}");
    }
    let taken = served.send("POST", &format!("{hook}?../..=%00"), &[], b"{}");
    assert_eq!(taken.status, 204);
    payload(&served, 2, taken.receipt());
}

#[test]
fn nobody_says_for_a_stranger_where_he_comes_from() {
    // The budget is the socket's peer's, whatever its headers say.
    let served = Served::start(|config| {
        config.limits.peer_rate = Some("1/h".parse().expect("a rate"));
        config.limits.peer_burst = Some(3);
    });
    let hook = hook(&served.webhook(TAKES_ALL));
    let statuses: Vec<u16> = (0..5)
        .map(|number| {
            let other = format!("198.51.100.{number}");
            let forwarded = format!("for={other}");
            let headers = [("x-forwarded-for", &*other), ("forwarded", &*forwarded)];
            served.send("POST", &hook, &headers, b"{}").status
        })
        .collect();
    assert_eq!(statuses, [204, 204, 204, 429, 429]);
    let behind = Served::start(|config| {
        config.limits.peer_rate = Some("1/h".parse().expect("a rate"));
        config.limits.peer_burst = Some(1);
        config.server.trusted_proxies = vec!["127.0.0.1".to_owned()];
    });
    let hook = super::hook(&behind.webhook(TAKES_ALL));
    // What a proxy appended counts, not what stood there before it.
    for (forwarded, status) in [
        ("198.51.100.1", 204),
        ("198.51.100.1", 429),
        ("203.0.113.9, 198.51.100.1", 429),
        ("198.51.100.1, 198.51.100.2", 204),
    ] {
        let answer = behind.send("POST", &hook, &[("x-forwarded-for", forwarded)], b"{}");
        assert_eq!(answer.status, status, "{forwarded}");
    }
}
