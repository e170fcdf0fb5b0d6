//! Whom the gateway asks: a proxy that leads every host to one server with a certificate for them all, so that the
//! names that are really used are those that are pinned. Answers what a test says, and remembers what was asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::super::PATIENCE;

/// What it says to `host` and a path: bytes of HTTP, or what else it does.
pub(super) type Say = Box<dyn Fn(&str, &str) -> Said + Send + Sync>;

/// Heads of requests, and their bodies.
type Heard = Mutex<Vec<(String, String)>>;

pub(super) enum Said {
    Bytes(Vec<u8>),
    /// Nothing, for as long as the other side stays.
    Nothing,
    /// So many bytes of a body that were not announced.
    Endless(usize),
}

/// A good answer.
pub(super) fn ok(body: &[u8]) -> Said {
    answer("200 OK", "", body)
}

pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Said {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    Said::Bytes([head.as_bytes(), body].concat())
}

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fetched").join(name)
}

pub(super) fn read(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).expect("a file")
}

pub(super) struct Far {
    /// The proxy.
    pub(super) proxy: SocketAddr,
    /// The server itself.
    pub(super) server: SocketAddr,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    /// What was said with that: heads in lower case, and bodies.
    pub(super) said: Arc<Heard>,
    say: Arc<Mutex<Say>>,
}

impl Far {
    pub(super) fn start(say: impl Fn(&str, &str) -> Said + Send + Sync + 'static) -> Self {
        let chain = CertificateDer::pem_file_iter(file("server.pem")).expect("a file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("server-key.pem")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .expect("a server");
        let (config, asked) = (Arc::new(config), Arc::default());
        let told: Arc<Heard> = Arc::default();
        let say: Arc<Mutex<Say>> = Arc::new(Mutex::new(Box::new(say)));
        let serve = |is_proxy: bool| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let (config, asked, say) = (Arc::clone(&config), Arc::clone(&asked), Arc::clone(&say));
            let told = Arc::clone(&told);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (config, asked) = (Arc::clone(&config), Arc::clone(&asked));
                    let (say, told) = (Arc::clone(&say), Arc::clone(&told));
                    std::thread::spawn(move || {
                        meet(stream, is_proxy, config, (&asked, &told), &say)
                    });
                }
            });
            address
        };
        let (proxy, server) = (serve(true), serve(false));
        Self { proxy, server, asked, said: told, say }
    }

    /// Says something else from now on.
    pub(super) fn say(&self, say: impl Fn(&str, &str) -> Said + Send + Sync + 'static) {
        *self.say.lock().expect("no panic") = Box::new(say);
    }

    /// What was asked: host and target.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Bytes up to an empty line.
fn head(stream: &mut impl std::io::Read) -> Option<String> {
    let (mut bytes, mut one) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut one).ok()?;
        bytes.push(one[0]);
    }
    String::from_utf8(bytes).ok()
}

fn word(head: &str, number: usize) -> String {
    head.split(' ').nth(number).unwrap_or_default().to_owned()
}

fn meet(
    mut stream: TcpStream,
    is_proxy: bool,
    config: Arc<ServerConfig>,
    (asked, told): (&Mutex<Vec<String>>, &Heard),
    say: &Mutex<Say>,
) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut host = String::new();
    if is_proxy {
        let connect = head(&mut stream)?;
        assert!(connect.starts_with("CONNECT "), "{connect}");
        host = word(&connect, 1);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    }
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let request = head(&mut tls)?;
    let target = word(&request, 1);
    asked.lock().expect("no panic").push(format!("{host} {} {target}", word(&request, 0)));
    let head = request.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    tls.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("text");
    told.lock().expect("no panic").push((head, body));
    let said = say.lock().expect("no panic")(&host, &target);
    match said {
        Said::Bytes(bytes) => tls.write_all(&bytes).ok()?,
        Said::Nothing => {
            let _ = tls.read(&mut [0]);
        }
        Said::Endless(count) => {
            tls.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
            let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 0x1000], b"\r\n".to_vec()].concat();
            for _ in 0..count / 0x1000 {
                tls.write_all(&chunk).ok()?;
            }
        }
    }
    tls.conn.send_close_notify();
    tls.flush().ok()?;
    Some(())
}
