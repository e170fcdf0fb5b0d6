//! Lanes into files: whole lines, on stable storage before the cursor moves, none twice if that can be helped.

use super::server::{Server, status};
use super::*;

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped_and_a_new_lane_begins_at_the_oldest() {
    let house = House::new();
    let (old, new) = (house.path("old.ndjson"), house.path("new.ndjson"));
    let to = |path: &Path, settings: &str| format!("file:{}{settings}", path.display());
    house.append(0..10).await;
    let lanes = house.lanes(&[to(&old, "")]);
    until_lines(&old, 10).await;
    lanes.stop().await;
    std::fs::remove_file(&old).expect("a file that is gone");
    house.append(10..20).await;
    let lanes = house.lanes(&[to(&old, "?rate=1000000/s"), to(&new, "")]);
    assert_eq!(until_lines(&new, 20).await, (0..20).collect::<Vec<_>>());
    assert_eq!(until_lines(&old, 10).await, (10..20).collect::<Vec<_>>());
    lanes.stop().await;
}

#[tokio::test]
async fn what_stands_in_the_file_already_is_not_written_again() {
    let house = House::new();
    let path = house.path("out.ndjson");
    let to = format!("file:{}", path.display());
    house.append(0..500).await;
    let lanes = house.lanes(std::slice::from_ref(&to));
    until_lines(&path, 500).await;
    lanes.stop().await;
    // As after a crash: the cursor is far behind, and the last line is torn.
    house.spool.forget(&to);
    let text = std::fs::read_to_string(&path).expect("a file");
    let cut = text.len() - 100;
    std::fs::write(&path, &text[..cut]).expect("a file");
    house.append(500..510).await;
    let lanes = house.lanes(std::slice::from_ref(&to));
    assert_eq!(until_lines(&path, 510).await, (0..510).collect::<Vec<_>>());
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
    let whole = std::fs::read_to_string(&path).expect("a file");
    assert!(whole.starts_with(&text), "the torn line was written anew, the others once");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_made_anew() {
    let house = House::new();
    let (path, moved) = (house.path("out.ndjson"), house.path("out.1"));
    let lanes = house.lanes(&[format!("file:{}", path.display())]);
    house.append(0..10).await;
    until_lines(&path, 10).await;
    std::fs::rename(&path, &moved).expect("a rename");
    house.append(10..20).await;
    assert_eq!(until_lines(&path, 10).await, (10..20).collect::<Vec<_>>());
    assert_eq!(numbers(&moved), (0..10).collect::<Vec<_>>());
    lanes.reopen();
    house.append(20..25).await;
    assert_eq!(until_lines(&path, 15).await, (10..25).collect::<Vec<_>>());
    lanes.stop().await;
}

/// The files that ended, the oldest first.
fn ended(house: &House) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(house.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .filter(|found| found.to_string_lossy().contains("out.ndjson."))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn files_make_room_and_what_stands_in_the_one_before_is_not_written_again() {
    let house = House::new();
    let path = house.path("out.ndjson");
    let to = format!("file:{}?rotate_seconds=60&rotate_keep=2", path.display());
    // What was made before today is old.
    house.clock.advance_seconds(4_000_000_000);
    for round in 0..4 {
        let lanes = house.lanes(std::slice::from_ref(&to));
        house.append(round * 10..round * 10 + 10).await;
        until_lines(&path, 10).await;
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        lanes.stop().await;
    }
    assert_eq!(ended(&house).iter().map(|path| numbers(path)[0]).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(numbers(&path), (30..40).collect::<Vec<_>>());
    // As after a crash right behind the end of a file: the cursor is behind it.
    std::fs::rename(&path, house.path("out.ndjson.29991129T013000000000Z")).expect("a rename");
    house.spool.forget(&format!("file:{}", path.display()));
    let lanes = house.lanes(std::slice::from_ref(&to));
    house.append(40..45).await;
    let written = until(|| Some(numbers(&path)).filter(|found| found.contains(&44))).await;
    assert!(!written.contains(&30) && !written.contains(&39), "{written:?}");
    lanes.stop().await;
}

#[tokio::test]
async fn no_file_is_longer_than_it_may_be_and_none_of_a_batch_in_several_files_is_written_again() {
    const BYTES: u64 = 3000;
    let house = House::new();
    let path = house.path("out.ndjson");
    let to = format!("file:{}", path.display());
    let lanes = || house.lanes(&[format!("{to}?rotate_bytes={BYTES}")]);
    let all = || {
        let mut files = ended(&house);
        files.push(path.clone());
        let length = |file: &PathBuf| std::fs::metadata(file).map_or(0, |found| found.len());
        assert!(files.iter().all(|file| length(file) <= BYTES), "{files:?}");
        let found = files.iter().filter(|file| file.exists()).flat_map(|file| numbers(file));
        (files.len(), found.collect::<Vec<_>>())
    };
    // One batch: all of it waits when the lane begins.
    house.append(0..100).await;
    let first = lanes();
    let files =
        until(|| Some(all()).filter(|(_, found)| found.len() >= 100).map(|all| all.0)).await;
    first.stop().await;
    assert!(files > 5, "{files}");
    // As after a crash before the cursor was written.
    house.spool.forget(&to);
    house.append(100..105).await;
    let second = lanes();
    until(|| all().1.contains(&104).then_some(())).await;
    second.stop().await;
    assert_eq!(all().1, (0..105).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_of_more_files_than_are_kept_drives_out_no_newer_event_after_a_crash() {
    let house = House::new();
    let path = house.path("out.ndjson");
    let to = format!("file:{}", path.display());
    let text = format!("{to}?rotate_bytes=3000&rotate_keep=2");
    let found = || {
        let mut files = ended(&house);
        files.push(path.clone());
        let files = files.iter().filter(|file| file.exists());
        files.flat_map(|file| numbers(file)).collect::<Vec<_>>()
    };
    house.append(0..100).await;
    for _ in 0..2 {
        let lanes = house.lanes(std::slice::from_ref(&text));
        until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
        lanes.stop().await;
        let found = found();
        assert!(found.len() < 50 && found.iter().copied().eq(found[0]..100), "{found:?}");
        assert_eq!(ended(&house).len(), 2, "{found:?}");
        // The cursor is in front of what went.
        house.spool.forget(&to);
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_not_touched() {
    let house = House::new();
    let path = house.path("precious");
    std::fs::write(&path, "no line break").expect("a file");
    let lanes = house.lanes(&[format!("file:{}", path.display())]);
    house.append([1]).await;
    let status = until(|| lanes.board()().pop().filter(|status| status.failing)).await;
    assert!(status.last_fault.expect("a fault").contains("none of ours"));
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "no line break");
    std::fs::write(&path, "").expect("a file");
    until_lines(&path, 1).await;
    lanes.stop().await;
}

#[tokio::test]
async fn two_equal_destinations_are_refused() {
    let house = House::new();
    let parse = |text: &str| Destination::parse(text).expect("a destination");
    let twice = vec![parse("stdout"), parse("stdout?rate=5/s")];
    let fault = Forwarder::start(twice, &[], house.ground()).expect_err("twice").to_string();
    assert!(fault.contains("`stdout` is named twice"), "{fault}");
    let missing = vec![parse("http://127.0.0.1:1/?bearer_file=/no/secret")];
    let fault = Forwarder::start(missing, &[], house.ground()).expect_err("no secret").to_string();
    assert!(fault.contains("/no/secret"), "{fault}");
}

#[tokio::test]
async fn metrics_tell_what_each_lane_did() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let ground = house.ground();
    let telemetry = ground.telemetry.clone();
    let to = format!("http://{}/", server.address);
    let one = Destination::parse(&to).expect("a destination");
    let one = one.with_on_full(OnFull::Hold);
    let lanes = Forwarder::start_at(brisk(), vec![one], &[], ground).expect("lanes");
    house.append(0..7).await;
    server.until_taken(7).await;
    let line = format!("hookgate_forward_events_total{{destination=\"{to}\"}} 7");
    until(|| telemetry.print().contains(&line).then_some(())).await;
    let count = format!("hookgate_forward_delivery_seconds_count{{destination=\"{to}\"}} 7");
    assert!(telemetry.print().contains(&count), "{}", telemetry.print());
    lanes.stop().await;
}

#[test]
fn what_is_missing_on_this_machine_is_named_before_anything_runs() {
    let folder = Folder::new();
    let login = folder.path().join("login");
    std::fs::write(&login, "no colon\n").expect("a file");
    let (clock, login) = (Arc::new(Clock::fixed(Time::default())), login.display());
    let certificate = format!("{}/tests/data/tls/certificate.pem", env!("CARGO_MANIFEST_DIR"));
    for (text, names) in [
        ("file:/no/folder/out".to_owned(), Some("/no/folder")),
        (format!("file:{login}/out"), Some("is no folder")),
        ("https://h/?tls_ca=/no/ca.pem".into(), Some("/no/ca.pem")),
        ("nats+tls://h/a?tls_ca=/no/ca.pem".into(), Some("/no/ca.pem")),
        (format!("nats+tls://h/a?tls_ca={login}"), Some("holds no certificate")),
        (format!("redis://h/a?basic_file={login}"), Some("user:password")),
        ("https://h/?sign_file=/no/secret".into(), Some("/no/secret")),
        (format!("rediss://h/a?tls_ca={certificate}"), None),
        ("stdout".into(), None),
    ] {
        let checked = Destination::parse(&text).expect(&text).check_files(&clock);
        let said = checked.err().map(|fault| fault.to_string());
        match (names, &said) {
            (None, None) => {}
            (Some(names), Some(said)) if said.contains(names) => {}
            _ => panic!("{text}: {said:?}"),
        }
    }
}
