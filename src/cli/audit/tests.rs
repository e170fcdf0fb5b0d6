//! Exports, spoiled at random: each is found, and at the right place.

use std::collections::BTreeMap;

use super::line;
use super::verify::Walker;
use super::*;
use crate::catalogue::chain::{Anchor, Link, Row, Summary};
use crate::clock::Time;

const EVENTS: u64 = 20;

/// The lines of two accounts, and their heads.
fn export() -> (Vec<String>, Vec<Hash>) {
    let (mut lines, mut heads) = (Vec::new(), Vec::new());
    for account in [Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16])] {
        let mut previous = Hash::START;
        for number in 1..=EVENTS {
            let json =
                format!("{{\"event\":\"x\",\"payload\":{{\"n\":{number}.500,\"e\":1E400}}}}");
            let link = Link {
                account,
                number,
                id: Uuid::from_u128(u128::from(number) << 64),
                occurred: Time::from_micros(1_000_001 * number.cast_signed()),
                json: json.as_bytes(),
            };
            let hash = link.hash(&previous);
            lines.push(line::write(&Entry::Row(Row { link, previous, hash })).expect("a line"));
            previous = hash;
        }
        heads.push(previous);
    }
    (lines, heads)
}

/// What a walk says: how it ends, and the chains it told of.
fn walked(text: &str, heads: &[Hash]) -> (Result<(), Failure>, Vec<Summary>) {
    let mut told = Vec::new();
    let mut walker = Walker::new(heads, |chain: &Summary| {
        told.push(chain.clone());
        Ok(())
    });
    let done = walker.lines(text.as_bytes(), "x").and_then(|()| walker.end());
    (done, told)
}

fn said(lines: &[String], heads: &[Hash]) -> String {
    match walked(&lines.concat(), heads).0 {
        Ok(()) => "it holds".to_owned(),
        Err(failure @ Failure::No(_)) => format!("1: {failure}"),
        Err(failure @ Failure::NotLoaded(_)) => format!("3: {failure}"),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_export_that_holds_is_told_and_keeps_every_byte() {
    let (lines, heads) = export();
    assert!(
        lines[0].ends_with("\"event\":{\"event\":\"x\",\"payload\":{\"n\":1.500,\"e\":1E400}}}\n")
    );
    let (done, told) = walked(&lines.concat(), &heads);
    done.expect("it holds");
    let told: Vec<_> = told.iter().map(|chain| (chain.events, chain.head)).collect();
    assert_eq!(told, heads.iter().map(|head| (EVENTS, *head)).collect::<Vec<_>>());
    walked("", &[]).0.expect("nothing holds");
    let (done, _) = walked(&lines[..5].concat(), &heads);
    assert!(matches!(done, Err(Failure::No(why)) if why.contains("is in no chain")));
}

#[test]
fn what_is_no_export_is_said_with_its_line() {
    let (lines, _) = export();
    let wrong = |second: &str| said(&[lines[0].clone(), second.to_owned()], &[]);
    for (second, says) in [
        ("\n", "EOF"),
        ("{}\n", "missing field `account`"),
        (&lines[1][..40], "EOF"),
        (&lines[1].replace("\"number\":2", "\"number\":2,\"n\":2"), "unknown field `n`"),
        (&lines[1].replace("02Z", "02+00:00"), "`occurred` is"),
        (&" ".repeat(line::LINE_MAX_BYTES + 1), "more than 1501024 bytes"),
    ] {
        let said = wrong(second);
        assert!(said.starts_with("3: x, line 2: ") && said.contains(says), "{said}");
    }
}

/// Another digit than the one that is there.
fn digit(text: &mut String, place: usize, chance: &mut fastrand::Rng) {
    let old = text.as_bytes()[place];
    let new = loop {
        let new = *chance.choice(b"0123456789").expect("a digit");
        if new != old {
            break char::from(new);
        }
    };
    text.replace_range(place..=place, new.encode_utf8(&mut [0; 4]));
}

/// Spoils an export in one way; what must be said of it.
fn spoil(
    lines: &mut Vec<String>,
    chance: &mut fastrand::Rng,
    counts: &mut BTreeMap<u8, u32>,
) -> String {
    // Not the last of an account: what is cut there needs a head.
    let chain = chance.usize(0..2);
    let first = chain * EVENTS as usize;
    let last = first + EVENTS as usize - 1;
    let at = chance.usize(first..last);
    let way = chance.u8(0..9);
    *counts.entry(way).or_default() += 1;
    let account = Uuid::from_bytes([1 + chain as u8; 16]);
    let says = |line: usize, number: usize, what: &str| {
        format!("1: x, line {}: account {account}, number {}: {what}", line + 1, number - first + 1)
    };
    match way {
        0 => {
            // Any byte of the event. What is no JSON then, or no text, is said as that.
            let start = lines[at].find("\"event\":").expect("an event") + 8;
            let place = chance.usize(start..lines[at].len() - 2);
            let new = char::from(chance.u8(b' '..=b'~'));
            if lines[at].as_bytes()[place] == new as u8 {
                digit(&mut lines[at], start + 25, chance);
            } else {
                lines[at].replace_range(place..=place, new.encode_utf8(&mut [0; 4]));
            }
            if line::read(&lines[at]).is_err() {
                return format!("3: x, line {}: not a row", at + 1);
            }
            says(at, at, "changed")
        }
        1 => {
            let field = chance.choice(["\"hash\":\"", "\"previous\":\""]).expect("one");
            let start = lines[at].find(field).expect("a hash") + field.len();
            digit(&mut lines[at], start + chance.usize(0..64), chance);
            says(at, at, "changed")
        }
        2 => {
            let start = lines[at].find("\"id\":\"").expect("an id") + 6;
            digit(&mut lines[at], start, chance);
            says(at, at, "changed")
        }
        3 => {
            lines.remove(at);
            says(at, at, "missing")
        }
        4 => {
            let copy = lines[at].clone();
            lines.insert(chance.usize(at + 1..=last), copy);
            let place = lines.iter().rposition(|line| *line == lines[at]).expect("the copy");
            says(place, at, "inserted")
        }
        5 => {
            let other = chance.usize(at + 1..=last);
            lines.swap(at, other);
            says(other, at, "out of order")
        }
        6 => {
            // One that was made up in front of the one that is there.
            let forged = lines[at].replace("\"x\"", "\"y\"");
            lines.insert(at, forged);
            says(at + 1, at, "inserted")
        }
        7 => {
            // One of this place in the other account.
            let other = (at + EVENTS as usize) % lines.len();
            let accounts =
                ["01010101-0101-0101-0101-010101010101", "02020202-0202-0202-0202-020202020202"];
            lines[at] = lines[other].replace(accounts[1 - chain], accounts[chain]);
            says(at, at, "changed")
        }
        _ => {
            // Cut from the end, down to one row at least.
            let keep = chance.usize(first + 1..=last);
            lines.drain(keep..=last);
            "1: the head ".to_owned()
        }
    }
}

#[test]
fn a_thousand_spoiled_exports_are_found_at_the_right_place() {
    let (whole, heads) = export();
    let (mut chance, mut counts) = (fastrand::Rng::with_seed(7), BTreeMap::new());
    for round in 0..1000 {
        let mut lines = whole.clone();
        let expected = spoil(&mut lines, &mut chance, &mut counts);
        let said = said(&lines, &heads);
        assert!(said.starts_with(&expected), "round {round}:\n{said}\n{expected}");
    }
    assert!(counts.len() == 9 && counts.values().all(|count| *count > 50), "{counts:?}");
    assert_eq!(said(&whole, &heads), "it holds");
}

#[test]
fn an_export_whose_oldest_were_ended_is_proven_alone() {
    let (whole, heads) = export();
    let Ok(Entry::Row(last)) = line::read(&whole[4]) else { panic!("a row") };
    let anchor = Anchor { account: last.link.account, number: 5, hash: last.hash };
    let anchor = line::write(&Entry::Anchor(anchor)).expect("a line");
    assert!(anchor.contains("\"ended\":5,"), "{anchor}");
    let mut lines = vec![anchor.clone()];
    lines.extend_from_slice(&whole[5..]);
    let (done, told) = walked(&lines.concat(), &[heads[0], last.hash]);
    done.expect("it holds");
    let told: Vec<_> = told.iter().map(|chain| (chain.from, chain.events)).collect();
    assert_eq!(told, [(6, EVENTS - 5), (1, EVENTS)]);

    let account = last.link.account;
    let at = |line: u64, number: u64, what: &str| {
        format!("1: x, line {line}: account {account}, number {number}: {what}")
    };
    assert!(said(&lines[1..], &[]).starts_with(&at(1, 1, "missing")), "no anchor");
    let with = |first: String| [&[first], &lines[1..]].concat();
    let other = anchor.replace("\"hash\":\"", "\"hash\":\"00");
    assert!(said(&with(other), &[]).starts_with("3: x, line 1: not a row"));
    let zeros = anchor.replace(&last.hash.to_string(), &Hash::START.to_string());
    assert!(said(&with(zeros), &[]).starts_with(&at(2, 6, "hash of predecessor")));
    let later = anchor.replace("\"ended\":5", "\"ended\":6");
    assert!(said(&with(later), &[]).starts_with(&at(2, 6, "inserted")));
    let most = anchor.replace("\"ended\":5", &format!("\"ended\":{}", u64::MAX));
    assert!(said(&with(most), &[]).starts_with(&at(2, 6, "inserted")));
    lines.remove(1);
    assert!(said(&lines, &[]).starts_with(&at(2, 6, "missing")), "behind the anchor");
    assert!(
        said(std::slice::from_ref(&anchor), &[]).starts_with(&at(1, 6, "missing")),
        "nothing behind it"
    );
    let moved = [&whole[..5], &[anchor], &whole[5..]].concat();
    assert!(said(&moved, &[]).starts_with(&at(6, 5, "out of order")), "between rows");
}
