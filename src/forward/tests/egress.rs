//! Destinations that others than the operator named: the network rules hold at each connection, and nothing an answer
//! says leads elsewhere.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame as Part};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::server::{Server, status};
use super::*;
use crate::fetch::Detour;

/// A lane to an address, bound to the network rules.
fn bound(house: &House, to: &str, allowed: &[&str]) -> Forwarder {
    let networks = allowed.iter().map(|text| text.parse().expect("a network"));
    let destination = Destination::parse(to).expect("a destination");
    let destination = destination.bound_to(networks.collect::<Arc<[_]>>()).expect("its own");
    let tempo = Tempo { deadline: Duration::from_millis(300), ..brisk() };
    Forwarder::start_at(tempo, vec![destination], &[], house.ground()).expect("lanes")
}

async fn fault(lanes: &Forwarder) -> String {
    until(|| lanes.board()().pop().and_then(|status| status.last_fault)).await
}

#[tokio::test]
async fn this_machine_is_reached_only_when_the_rules_say_so() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    house.append([1]).await;
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let lanes = bound(&house, &format!("http://{host}:{}/", server.address.port()), &[]);
        let fault = fault(&lanes).await;
        assert!(fault.contains("network rules refuse"), "{host}: {fault}");
        assert!(fault.contains("loopback") && fault.contains("egress.allow"), "{host}: {fault}");
        lanes.stop().await;
    }
    for scheme in ["nats", "redis", "rediss", "kafka", "kafka+tls", "postgres", "postgres+tls"] {
        let path = if scheme.starts_with("postgres") { "shop/events" } else { "events" };
        let lanes = bound(&house, &format!("{scheme}://{}/{path}", server.address), &[]);
        let fault = fault(&lanes).await;
        assert!(fault.contains("network rules refuse"), "{scheme}: {fault}");
        lanes.stop().await;
    }
    assert_eq!(server.until(|_| true).await.len(), 0);
    let to = format!("http://{}/allowed", server.address);
    let lanes = bound(&house, &to, &["127.0.0.0/8"]);
    house.append([2]).await;
    server.until(|asked| !asked.is_empty()).await;
    lanes.stop().await;
}

#[tokio::test]
async fn what_speaks_http_goes_through_the_proxy_and_no_address_does_that_the_rules_refuse() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let (proxy, mut asked) = proxy(server.address).await;
    let (proxy, direct) = (format!("http://{proxy}"), ["direct.example".to_owned()]);
    let detour = Arc::new(Detour::read(&proxy, &direct).expect("a proxy"));
    let ground = || Ground { detour: Some(Arc::clone(&detour)), ..house.ground() };
    let start = |to: &str, is_bound: bool| {
        let destination = Destination::parse(to).expect("a destination");
        let bind = |one: Destination| one.bound_to(Arc::default()).expect("its own");
        let destination = if is_bound { bind(destination) } else { destination };
        let tempo = Tempo { deadline: Duration::from_secs(5), ..brisk() };
        Forwarder::start_at(tempo, vec![destination], &[], ground()).expect("lanes")
    };
    house.append([1]).await;
    // Of a name only the proxy knows who it is.
    for is_bound in [false, true] {
        let lanes = start(&format!("http://events.example/{is_bound}"), is_bound);
        assert_eq!(asked.recv().await.expect("it was asked"), "events.example:80");
        server.until(|got| got.len() == 1 + usize::from(is_bound)).await;
        lanes.stop().await;
    }
    for host in ["10.0.0.1", "169.254.169.254", "0x7f.1", "2130706433", "[::ffff:10.0.0.1]"] {
        let lanes = start(&format!("http://{host}/"), true);
        let fault = fault(&lanes).await;
        assert!(fault.contains("network rules refuse"), "{host}: {fault}");
        lanes.stop().await;
    }
    // Nobody but this machine says who is not led through it, nor what speaks no HTTP.
    for to in ["http://direct.example/", "nats://events.example/a.subject"] {
        let lanes = start(to, false);
        let fault = fault(&lanes).await;
        assert!(fault.contains("example") && !fault.contains("proxy"), "{to}: {fault}");
        lanes.stop().await;
    }
    let lanes = start("http://refused.example/", true);
    let fault = fault(&lanes).await;
    assert!(fault.contains("proxy opens no way") && fault.contains("403"), "{fault}");
    assert_eq!(asked.recv().await.expect("it was asked"), "refused.example:80");
    lanes.stop().await;
    // It may have tried again by now.
    while let Ok(asked) = asked.try_recv() {
        assert_eq!(asked, "refused.example:80", "nobody else was asked for");
    }
}

/// A proxy that leads all to one server, but for whom it refuses; and what it was asked for.
async fn proxy(server: SocketAddr) -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, (tell, told)) = (listener.local_addr().expect("an address"), unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(near.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let host = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let refused = host.starts_with("refused");
                let _ = tell.send(host);
                if refused {
                    return near.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
                }
                let mut far = TcpStream::connect(server).await?;
                near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(&mut near, &mut far).await.map(drop)
            });
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let house = House::new();
    let mut inner = Server::start(|_| Some(status(204))).await;
    let location = format!("http://{}/latest/meta-data", inner.address);
    let mut code = 300;
    let mut outer = Server::start(move |_| {
        code = if code == 308 { 301 } else { code + 1 };
        let mut response = status(code);
        let value = HeaderValue::from_str(&location).expect("a location");
        response.headers_mut().insert("location", value);
        Some(response)
    })
    .await;
    let lanes = bound(&house, &format!("http://{}/", outer.address), &["127.0.0.0/8"]);
    house.append([1]).await;
    outer.until(|asked| asked.len() >= 8).await;
    assert_eq!(inner.until(|_| true).await.len(), 0);
    lanes.stop().await;
}

/// A body that begins and never goes on; whether it has begun.
struct Stalled(bool);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Part::data(Bytes::from_static(b"{")))))
    }
}

#[tokio::test]
async fn an_answer_that_stalls_has_a_deadline() {
    let house = House::new();
    let mut is_first = true;
    let mut server = Server::start(move |_| {
        let stalls = std::mem::take(&mut is_first);
        Some(if stalls { Response::new(Stalled(false).boxed()) } else { status(204) })
    })
    .await;
    let lanes = bound(&house, &format!("http://{}/", server.address), &["127.0.0.0/8"]);
    house.append([1]).await;
    assert!(fault(&lanes).await.contains("no answer within"));
    server.until(|asked| asked.len() >= 2).await;
    lanes.stop().await;
}
