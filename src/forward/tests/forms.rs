//! The forms of requests at a server: bodies, headers, signatures, and bounds of a batch.

use super::server::{Asked, Server, status};
use super::*;

/// What a server sees of some events that are sent in a form.
async fn seen(settings: &str, count: u64, requests: usize) -> Vec<Asked> {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    house.append(0..count).await;
    let lanes = house.lanes(&[format!("http://{}/in?{settings}", server.address)]);
    let asked = server.until(|asked| asked.len() >= requests).await;
    until(|| (lanes.board()()[0].lag.frames == 0).then_some(())).await;
    lanes.stop().await;
    let all = server.until(|_| true).await;
    assert_eq!(all.len(), asked.len(), "{settings}");
    asked
}

#[tokio::test]
async fn each_form_is_sent_as_its_readers_expect_it() {
    for (settings, count, requests, media) in [
        ("batch_events=3", 7, 3, "application/json"),
        ("form=array&batch_bytes=1", 4, 4, "application/json"),
        ("form=single", 3, 3, "application/json"),
        ("form=ndjson", 5, 1, "application/x-ndjson"),
        ("form=cloudevents", 2, 2, "application/cloudevents+json"),
        ("form=cloudevents-binary", 2, 2, "application/json"),
        ("form=cloudevents-batch", 4, 1, "application/cloudevents-batch+json"),
    ] {
        for asked in seen(settings, count, requests).await {
            assert_eq!(asked.headers["content-type"], media, "{settings}");
            assert_eq!(asked.headers["content-length"], asked.body.len().to_string());
            let has_type = asked.headers.contains_key("ce-type");
            assert_eq!(has_type, settings.contains("binary"), "{settings}");
            assert!(!asked.headers.contains_key("webhook-id"));
        }
    }
}

#[tokio::test]
async fn what_files_say_goes_with_each_request() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let headers = file("headers", "X-Team: shop\n");
    let basic = file("basic", "user:pass word\n");
    let sign = file("sign", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let settings =
        format!("form=single&headers_file={headers}&basic_file={basic}&sign_file={sign}");
    let asked = seen(&settings, 2, 2).await;
    for (number, asked) in asked.iter().enumerate() {
        assert_eq!(asked.headers["x-team"], "shop");
        assert_eq!(asked.headers["authorization"], "Basic dXNlcjpwYXNzIHdvcmQ=");
        let id = asked.headers["webhook-id"].to_str().expect("text");
        assert!(id.ends_with(&format!("_{}", Uuid::from_u128(number as u128))), "{id}");
        assert_eq!(asked.headers["webhook-timestamp"], "1");
        let signature = asked.headers["webhook-signature"].to_str().expect("text");
        assert!(signature.starts_with("v1,") && signature.len() == 47, "{signature}");
    }
    assert_ne!(asked[0].headers["webhook-signature"], asked[1].headers["webhook-signature"]);
}

#[tokio::test]
async fn a_new_signing_key_is_read_when_told() {
    let house = House::new();
    let mut server = Server::start(|_| Some(status(204))).await;
    let path = house.path("sign");
    std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a file");
    let to = format!("http://{}/?sign_file={}", server.address, path.display());
    let lanes = house.lanes(&[to]);
    house.append([1]).await;
    server.until(|asked| !asked.is_empty()).await;
    let new = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    std::fs::write(&path, new).expect("a file");
    lanes.reopen();
    house.append([2]).await;
    let asked = server.until(|asked| asked.len() >= 2).await;
    let signatures = |asked: &Asked| {
        asked.headers["webhook-signature"].to_str().expect("text").split(' ').count()
    };
    assert_eq!((signatures(&asked[0]), signatures(&asked[1])), (1, 2));
    lanes.stop().await;
}
