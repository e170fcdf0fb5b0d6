//! A lane to a Prefect server's websocket that closes at an event it does not take, and never says which.

use std::collections::BTreeSet;
use std::sync::Mutex;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::shelf::{self, Lying};

/// Events it cannot read.
const POISON: [u64; 2] = [7, 8];

type Kept = Arc<Mutex<BTreeSet<Uuid>>>;

/// Reads a request's head and what is announced behind it.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|value| value.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Answers one connection: questions, or events until one is poison.
async fn serve(mut stream: TcpStream, kept: Kept) -> Option<()> {
    loop {
        let (head, body) = request(&mut stream).await?;
        if let Some(key) = header(&head, "sec-websocket-key") {
            let proof = crate::accept::websocket::prove(key.as_bytes());
            let proof = proof.to_str().expect("text");
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {proof}\r\nsec-websocket-protocol: prefect\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
            break;
        }
        let question: Value = serde_json::from_str(&body).unwrap_or_default();
        let ids = question["filter"]["id"]["id"].as_array().cloned().unwrap_or_default();
        let ids = ids.iter().filter_map(|id| id.as_str()?.parse::<Uuid>().ok());
        let is_kept = |id: &Uuid| kept.lock().expect("a set").contains(id);
        let total = ids.filter(is_kept).count();
        let text = json!({"events": [], "total": total, "next_page": null}).to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        if message["type"] == "auth" {
            socket.send(Message::text("{\"type\":\"auth_success\"}")).await.ok()?;
            continue;
        }
        if message["payload"]["number"].as_u64().is_some_and(|number| POISON.contains(&number)) {
            return None;
        }
        let id = message["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        kept.lock().expect("a set").insert(id);
    }
    None
}

#[tokio::test]
async fn an_event_that_closes_the_websocket_is_found_and_parked() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let kept = Kept::default();
    let others = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&others)));
        }
    });
    house.append(0..30).await;
    let lanes = house.lanes(&[format!("prefect+ws://{address}/api")]);
    until(|| (lanes.board()()[0].parked == 2).then_some(())).await;
    house.append(30..40).await;
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
    let lying = Shelf::look(&house.data(), &shelf::Asked::default()).expect("a list");
    let list: Vec<_> = lying.iter().map(Lying::describe).collect();
    let ids: Vec<_> = list.iter().map(|one| one.id.as_u128() as u64).collect();
    assert_eq!(ids, POISON);
    assert!(list[0].reason.to_lowercase().contains("websocket"), "{}", list[0].reason);
    let kept = kept.lock().expect("a set");
    let ours = kept.iter().map(|id| id.as_u128() as u64).filter(|number| *number < 40);
    assert!(ours.eq((0..40).filter(|number| !POISON.contains(number))), "{kept:?}");
}
