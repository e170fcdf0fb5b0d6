//! Time and room: who waits too long is ended, who is idle makes place, who stops lets others finish.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, read_all, read_until, serve, statuses};

const GET: &str = "GET /none HTTP/1.1\r\nHost: x\r\n\r\n";
const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn each_wait_has_its_end() {
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    for (what, sent, answered) in [
        ("a silent socket", String::new(), &[][..]),
        ("half a preface", "PRI * HTTP/2.0\r\n".into(), &[]),
        ("half a head", "GET / HTTP/1.1\r\nHost".into(), &[]),
        ("an idle connection", GET.into(), &[204]),
        ("an idle connection with half a head", format!("{GET}GET /"), &[204]),
        ("a body that does not come", post.into(), &[408]),
        ("half a body", format!("{post}abc"), &[408]),
        ("a preface and no more", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[]),
    ] {
        let served = serve(|options| {
            (options.sniff, options.head, options.idle) = (SHORT, SHORT, SHORT);
            (options.body_first_byte, options.body_total) = (SHORT, SHORT * 2);
            (options.body_grace, options.linger) = (SHORT, SHORT);
        });
        let started = Instant::now();
        let mut stream = served.connect().await;
        stream.write_all(sent.as_bytes()).await.expect("the peer reads");
        let mut text = Vec::new();
        let read = AsyncReadExt::read_to_end(&mut stream, &mut text);
        let ended = timeout(PATIENCE, read).await;
        assert!(ended.is_ok(), "{what} is ended");
        assert_eq!(statuses(&String::from_utf8_lossy(&text)), answered, "{what}");
        let took = started.elapsed();
        assert!(took >= SHORT && took < SHORT * 20, "{what}: {took:?}");
    }
}

#[tokio::test]
async fn a_quiet_connection_goes_on_where_it_was() {
    let quiet = Duration::from_millis(10);
    let served = serve(|options| {
        (options.quiet, options.idle) = (quiet, SHORT * 4);
        options.body_first_byte = SHORT * 4;
    });
    let mut stream = served.connect().await;
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    // Whole, and cut where a reader might stumble: in the head, behind it, in the body.
    for cut in [post.len(), 9, post.len() - 3, post.len() - 1] {
        stream.write_all(&post.as_bytes()[..cut]).await.expect("the peer reads");
        tokio::time::sleep(quiet * 4).await;
        stream.write_all(&post.as_bytes()[cut..]).await.expect("the peer reads");
        let text = read_until(&mut stream, "abc").await;
        assert_eq!(statuses(&text), [200], "cut at {cut}");
        tokio::time::sleep(quiet * 4).await;
    }
    // A head that is refused is refused after a rest, too, and by its own reason.
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("the peer reads");
    assert_eq!(statuses(&read_all(&mut stream).await), [400]);
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"host\"} 1"));
    let mut idle = served.connect().await;
    idle.write_all(GET.as_bytes()).await.expect("the peer reads");
    assert_eq!(statuses(&read_all(&mut idle).await), [204], "idle for good is ended");
}

#[tokio::test]
async fn a_dripping_head_has_one_deadline_in_all() {
    let served = serve(|options| options.head = SHORT * 2);
    let mut stream = served.connect().await;
    let started = Instant::now();
    let mut sent = b"GET / HTTP/1.1\r\na: ".to_vec();
    while stream.write_all(&sent).await.is_ok() {
        sent = vec![b'a'];
        assert!(started.elapsed() < PATIENCE, "a byte now and then keeps nothing open");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"head-slow\"} 1"));
}

#[tokio::test]
async fn who_does_not_read_is_ended() {
    let served = serve(|options| options.write = SHORT);
    let mut stream = served.connect().await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the peer reads");
    let started = Instant::now();
    while served.sockets.open() > 0 || started.elapsed() < SHORT {
        assert!(started.elapsed() < PATIENCE, "the connection ends");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"write-slow\"} 1"));
}

#[tokio::test]
async fn at_the_cap_idle_ones_make_room() {
    let served = serve(|options| options.connections_max = 3);
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .expect("the peer reads");
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        stream.write_all(GET.as_bytes()).await.expect("the peer reads");
        read_until(&mut stream, "\r\n\r\n").await;
        idle.push(stream);
    }
    let mut late = served.connect().await;
    late.write_all(GET.as_bytes()).await.expect("the peer reads");
    assert_eq!(statuses(&read_until(&mut late, "\r\n\r\n").await), [204]);
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"evicted\"} 1"));
    assert!(read_all(&mut busy).await.ends_with("at last"), "the busy one is left alone");
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_idle_ones_go() {
    let served = serve(|_| ());
    let mut idle = served.connect().await;
    idle.write_all(GET.as_bytes()).await.expect("the peer reads");
    read_until(&mut idle, "\r\n\r\n").await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the peer reads");
    while served.sockets.open() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(SHORT / 2).await;
    served.stop.send(true).expect("the listener listens");
    let drained = served.sockets.drain().await;
    assert_eq!((drained.open, drained.cut), (2, 0));
    let answer = read_all(&mut busy).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("at last"), "{answer}");
    assert_eq!(read_all(&mut idle).await, "");
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_drain_ends_in_time() {
    let served = serve(|options| options.drain = SHORT);
    let mut stuck = served.connect().await;
    stuck
        .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        .await
        .expect("the peer reads");
    tokio::time::sleep(SHORT).await;
    served.stop.send(true).expect("the listener listens");
    let drained = served.sockets.drain().await;
    assert_eq!((drained.open, drained.cut), (1, 1));
    assert!(drained.took >= SHORT && drained.took < SHORT * 20);
    assert_eq!(served.sockets.open(), 0);
}

#[tokio::test]
async fn each_peer_has_its_share_of_connections_and_takes_nobody_elses() {
    const SHARE: usize = 5;
    let served = serve(|options| {
        options.connections_per_peer_max = SHARE;
        options.proxy_protocol = true;
        options.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    // A balancer in front says who connects: addresses that no test could come from.
    let header = |address: &[u8]| {
        let (family, length) = if address.len() == 4 { (0x11, 12) } else { (0x21, 36) };
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x21, family, 0, length]);
        header.extend([address, address, &[0, 80, 0, 81]].concat());
        header
    };
    let v6 = |last: u8| {
        let mut address = [0; 16];
        (address[0], address[1], address[7], address[15]) = (0x20, 0x01, 1, last);
        address
    };
    let mut open = Vec::new();
    for (what, addresses) in [
        ("an address", vec![vec![192, 0, 2, 1]; SHARE + 3]),
        ("a /64", (0..SHARE + 3).map(|last| v6(last as u8).to_vec()).collect()),
        ("the same address, mapped", vec![vec![192, 0, 2, 2]; SHARE]),
    ] {
        for (number, address) in addresses.iter().enumerate() {
            let mut stream = served.connect().await;
            stream.write_all(&[&header(address), GET.as_bytes()].concat()).await.expect("sent");
            if number < SHARE {
                read_until(&mut stream, "\r\n\r\n").await;
                open.push(stream);
            } else {
                assert_eq!(ended(&mut stream).await, b"", "{what}: the share is {SHARE}");
            }
        }
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"peer-crowded\"} 6"));
    let mapped = [[0; 10].as_slice(), &[0xff, 0xff, 192, 0, 2, 2]].concat();
    let mut stream = served.connect().await;
    stream.write_all(&[&header(&mapped), GET.as_bytes()].concat()).await.expect("sent");
    assert_eq!(ended(&mut stream).await, b"", "the same address, written otherwise");
    // Those that are there are served, and who leaves makes room.
    for stream in &mut open {
        stream.write_all(GET.as_bytes()).await.expect("sent");
        read_until(stream, "\r\n\r\n").await;
    }
    open.drain(..2);
    let request = [&header(&[192, 0, 2, 1]), GET.as_bytes()].concat();
    let started = Instant::now();
    loop {
        let mut stream = served.connect().await;
        stream.write_all(&request).await.expect("sent");
        if stream.read_u8().await.is_ok() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no room for who comes again");
        tokio::task::yield_now().await;
    }
}

/// What comes before an end, however that comes.
async fn ended(stream: &mut TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it ends");
    text
}
