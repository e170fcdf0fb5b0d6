//! Connections that leave HTTP for a websocket: they keep their place, end when the listeners do, and none is had by
//! whoever did not ask as he should.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use futures_util::{SinkExt, StreamExt};

use super::{PATIENCE, Served, read_all, read_until, serve, statuses};

const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn open(served: &Served) -> WebSocketStream<TcpStream> {
    let mut stream = served.connect().await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("the peer reads");
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(statuses(&head), [101], "{head}");
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

async fn hear(socket: &mut WebSocketStream<TcpStream>) -> Option<Result<Message, Error>> {
    tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time")
}

#[tokio::test]
async fn messages_go_both_ways_behind_other_requests() {
    let served = serve(|_| ());
    let mut stream = served.connect().await;
    stream.write_all(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the peer reads");
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("the peer reads");
    read_until(&mut stream, "\r\n\r\n").await;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for text in ["", "é", &"x".repeat(1 << 20)] {
        socket.send(Message::text(text)).await.expect("it goes out");
        let told = hear(&mut socket).await.expect("an answer").expect("a message");
        assert_eq!(told, Message::text(text));
    }
    socket.close(None).await.expect("it goes out");
    while let Some(Ok(_)) = hear(&mut socket).await {}
}

#[tokio::test]
async fn an_open_one_is_no_room_for_others_and_ends_with_the_listeners() {
    let served = serve(|options| options.connections_max = 1);
    let mut socket = open(&served).await;
    // There is one place, and whoever has it is busy.
    let turned_away = read_all(&mut served.connect().await).await;
    assert_eq!(turned_away, "");
    socket.send(Message::text("still here")).await.expect("it goes out");
    assert!(hear(&mut socket).await.is_some_and(|told| told.is_ok()));
    served.stop.send(true).expect("it listens");
    let sockets = served.sockets.clone();
    let draining = tokio::spawn(async move { sockets.drain().await });
    let told = hear(&mut socket).await.expect("a close frame").expect("a message");
    assert!(matches!(told, Message::Close(Some(frame)) if u16::from(frame.code) == 1012));
    while let Some(Ok(_)) = hear(&mut socket).await {}
    assert_eq!(draining.await.expect("it drains").cut, 0);
}

#[tokio::test]
async fn who_speaks_too_early_or_breaks_the_protocol_is_ended() {
    let served = serve(|_| ());
    // A frame of a websocket is no head of a request: nobody sends it before the switch.
    let early = served.tell(format!("{UPGRADE}\u{1}\u{2}\u{3}")).await;
    assert!(statuses(&early).first().is_none_or(|status| *status == 101), "{early}");
    let mut stream = served.connect().await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("the peer reads");
    read_until(&mut stream, "\r\n\r\n").await;
    // A text frame that is not masked.
    stream.write_all(b"\x81\x01x").await.expect("the peer reads");
    let mut answer = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await.expect("a close frame");
    assert_eq!((answer[0], u16::from_be_bytes([answer[2], answer[3]])), (0x88, 1002));
    let without = UPGRADE.replace("Connection: Upgrade", "Connection: close");
    assert_eq!(statuses(&served.tell(without).await), [426]);
    let old =
        UPGRADE.replace("HTTP/1.1", "HTTP/1.0").replace("Upgrade\r\nUp", "Upgrade, close\r\nUp");
    assert!(served.tell(old).await.starts_with("HTTP/1.0 426 "), "HTTP/1.0 cannot switch");
}
