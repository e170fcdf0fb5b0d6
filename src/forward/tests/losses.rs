//! What a lane lost is told, once and all of it, whatever ends in between.

use std::fs;

use super::*;

const DROPPED: &str = "hookgate.destination.dropped";

/// A spool that is soon full.
fn tiny() -> Options {
    Options {
        segment_bytes: 1 << 20,
        spool_max_bytes: 4 << 20,
        retention: Duration::ZERO,
        free_min_bytes: 0,
        direct: false,
        ..Options::default()
    }
}

/// A destination that drops and is never there, and a file that hears of it.
fn destinations(house: &House) -> [String; 2] {
    let path = house.path("out.ndjson");
    let gone = "http://127.0.0.1:9/?on_full=drop-oldest".to_owned();
    [gone, format!("file:{}", path.display())]
}

/// What the file heard: how many frames, and how many in all.
fn told(house: &House) -> Vec<(u64, u64)> {
    let all = lines(&house.path("out.ndjson")).into_iter().filter(|line| line["event"] == DROPPED);
    let number = |line: &Value, name: &str| line["payload"][name].as_u64().expect("a number");
    all.map(|line| (number(&line, "frames"), number(&line, "total"))).collect()
}

/// Appends until so many frames are lost.
async fn lose(house: &House, lanes: &Forwarder, frames: u64) {
    let word = "x".repeat(20_000);
    for number in 0.. {
        let frame = Frame::encode(ACCOUNT, None, house.clock.now(), &[event(number, &word)], None);
        match house.spool.append(frame).await {
            Ok(_) => {}
            Err(SpoolError::Full { .. } | SpoolError::Busy) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(fault) => panic!("{fault}"),
        }
        assert!(number < 20_000, "nothing was lost");
        if lanes.board()()[0].lag.dropped >= frames {
            return;
        }
    }
}

#[tokio::test]
async fn what_a_lane_lost_is_told_to_the_others() {
    let house = House::with(tiny());
    let lanes = house.lanes(&destinations(&house));
    lose(&house, &lanes, 1).await;
    until(|| (!told(&house).is_empty()).then_some(())).await;
    let all = lines(&house.path("out.ndjson"));
    let notice = all.iter().find(|line| line["event"] == DROPPED).expect("a notice");
    assert!(notice["payload"]["frames"].as_u64() > Some(0), "{notice}");
    assert_eq!(notice["payload"]["destination"], lanes.board()()[0].name);
    let resource = notice["resource"]["prefect.resource.id"].as_str().expect("a resource");
    assert!(resource.starts_with("hookgate.destination."), "{resource}");
    lanes.stop().await;
}

#[tokio::test]
async fn what_a_stop_left_untold_is_told_after_it() {
    let mut house = House::with(tiny());
    for life in 1..4 {
        let lanes = house.lanes(&destinations(&house));
        // What is lost meanwhile is told no sooner than in a minute.
        until(|| (told(&house).len() + 1 >= life).then_some(())).await;
        let dropped = lanes.board()()[0].lag.dropped;
        lose(&house, &lanes, dropped + 1).await;
        until(|| (told(&house).len() >= life).then_some(())).await;
        let dropped = lanes.board()()[0].lag.dropped;
        lose(&house, &lanes, dropped + 50).await;
        lanes.stop().await;
        house.spool.close();
        house = house.begun_again(tiny());
    }
    let lost = house.spool.lost().values().sum::<u64>();
    let lanes = house.lanes(&destinations(&house));
    let all =
        until(|| Some(told(&house)).filter(|all| all.last().is_some_and(|last| last.1 == lost)));
    let all = all.await;
    assert_eq!(all.iter().map(|(frames, _)| frames).sum::<u64>(), lost, "{all:?}");
    let mut sum = 0;
    for (frames, total) in &all {
        sum += frames;
        assert_eq!(sum, *total, "{all:?}");
    }
    lanes.stop().await;
}

#[tokio::test]
async fn who_adds_up_what_was_lost_misses_nothing_after_a_kill() {
    let mut house = House::with(tiny());
    let lanes = house.lanes(&destinations(&house));
    lose(&house, &lanes, 1).await;
    until(|| (!told(&house).is_empty()).then_some(())).await;
    let dropped = lanes.board()()[0].lag.dropped;
    lose(&house, &lanes, dropped + 50).await;
    // As a kill would leave it: the folder as it is, while everything runs.
    let (seen, before) = (told(&house), lanes.board()()[0].lag.dropped);
    let [data, out] = [house.data(), house.path("out.ndjson")];
    let [data_then, out_then] = ["data.then", "out.then"].map(|name| house.path(name));
    copy(&data, &data_then);
    fs::copy(&out, &out_then).expect("lines");
    lanes.stop().await;
    house.spool.close();
    fs::remove_dir_all(&data).expect("it goes");
    fs::rename(&data_then, &data).expect("as it was");
    fs::rename(&out_then, &out).expect("as it was");
    house = house.begun_again(tiny());
    let lost = house.spool.lost().values().sum::<u64>();
    assert!(lost >= before, "{before} were lost, and {lost} after it");
    let lanes = house.lanes(&destinations(&house));
    let all =
        until(|| Some(told(&house)).filter(|all| all.last().is_some_and(|last| last.1 >= lost)));
    let all = all.await;
    assert!(all.len() > seen.len(), "{all:?}");
    let mut heard = 0;
    for (frames, total) in &all {
        assert!(total - frames <= heard, "nothing between is missing: {all:?}");
        heard = *total;
    }
    lanes.stop().await;
}

/// Copies what a folder holds.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, beside) = (entry.path(), to.join(entry.file_name()));
        // A file may go meanwhile.
        if path.is_dir() { copy(&path, &beside) } else { drop(fs::copy(&path, &beside)) }
    }
}
