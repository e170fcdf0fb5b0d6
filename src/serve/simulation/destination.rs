//! The destination, on a machine of its own that never dies. In: requests over the simulated network. Out: answers that
//! are good, late, bad, or do not come; what it took stands in the world. HTTP as far as the lane's client speaks it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_local;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

use super::Shared;
use super::world::is_bad;
use crate::id::Uuid;

/// Longer than a lane waits for an answer.
const LATE: Duration = Duration::from_millis(400);

/// What becomes of a request that came whole.
enum Mood {
    Takes,
    /// What it took it cannot say in time.
    TakesLate,
    /// Nor can it here.
    TakesAndDrops,
    Drops,
    Answers(u16),
}

pub(super) async fn serve(world: Shared) -> turmoil::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let world = Rc::clone(&world);
        spawn_local(async move {
            // A connection that breaks ends, and another one comes.
            let _ = answer_all(&world, socket).await;
        });
    }
}

async fn answer_all(world: &Shared, mut socket: TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let body = next_body(&mut socket, &mut read).await?;
        let texts = events(&body);
        match draw(world, &texts) {
            Mood::Takes => {
                world.borrow_mut().arrive(&texts, true);
                socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            }
            Mood::TakesLate => {
                world.borrow_mut().arrive(&texts, false);
                sleep(LATE).await;
                socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            }
            Mood::TakesAndDrops => {
                world.borrow_mut().arrive(&texts, false);
                return Ok(());
            }
            Mood::Drops => return Ok(()),
            Mood::Answers(status) => {
                let text = format!("HTTP/1.1 {status} Not Now\r\ncontent-length: 0\r\n\r\n");
                socket.write_all(text.as_bytes()).await?;
            }
        }
    }
}

fn draw(world: &Shared, texts: &[(Uuid, String)]) -> Mood {
    let mut world = world.borrow_mut();
    if world.is_picky && texts.iter().any(|(id, _)| is_bad(*id)) {
        return Mood::Answers(422);
    }
    if world.is_healed {
        return Mood::Takes;
    }
    match world.chance.u8(0..40) {
        0 => Mood::TakesLate,
        1 | 2 => Mood::TakesAndDrops,
        3 | 4 => Mood::Drops,
        5 | 6 => Mood::Answers(503),
        7 => Mood::Answers(500),
        8 => Mood::Answers(401),
        _ => Mood::Takes,
    }
}

/// The body of the next request; `read` is what came behind the one before.
async fn next_body(socket: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        let head = read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            if read.len() >= head + length {
                let body = read[head..head + length].to_vec();
                read.drain(..head + length);
                return Ok(body);
            }
        }
        if socket.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The events of a batch, each with its id and its text.
fn events(body: &[u8]) -> Vec<(Uuid, String)> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: Uuid,
    }
    let texts: Vec<Box<RawValue>> = serde_json::from_slice(body).expect("a JSON array");
    let read = |text: Box<RawValue>| {
        let Named { id } = serde_json::from_str(text.get()).expect("an event");
        (id, text.get().to_owned())
    };
    texts.into_iter().map(read).collect()
}
