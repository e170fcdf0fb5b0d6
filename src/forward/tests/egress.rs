//! Destinations that others than the operator named: the network rules hold at each connection, and nothing an answer
//! says leads elsewhere.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame as Part};

use super::server::{Server, status};
use super::*;

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
