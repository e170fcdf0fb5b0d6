//! What the system does not give: descriptors. In: the built program below a low limit, and more connections than fit.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::super::wait;
use super::{PATIENCE, statuses, tell};

/// Descriptors of the program: 128 of them are kept for what is no connection.
const DESCRIPTORS: u32 = 160;

/// The program; it ends with its value.
pub(in crate::gateway) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Serves a new data folder inside `folder`; `shell` becomes the program, and may set limits before.
    pub(in crate::gateway) fn start(
        folder: &Path,
        shell: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let program = env!("CARGO_BIN_EXE_hookgate");
        let made = Command::new(program).arg("bootstrap").arg("--data").arg(&data).output();
        assert!(made.expect("it runs").status.success());
        let child = Command::new("sh")
            .args(["-c", shell, program, "serve", "--data"])
            .arg(&data)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .envs(variables.iter().copied())
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        Self { child: child.expect("it runs"), log }
    }

    pub(in crate::gateway) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where senders are listened for.
    pub(in crate::gateway) fn senders(&self) -> SocketAddr {
        self.address("listening for webhooks")
    }

    fn address(&self, whose: &str) -> SocketAddr {
        wait("a listener", || {
            let text = self.log();
            let line = text.lines().find(|line| line.contains(whose))?.to_owned();
            let from = line.find("127.0.0.1:")?;
            let rest = &line[from..];
            let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn more_connections_than_descriptors_keep_nobody_out_who_speaks() {
    let folder = std::env::temp_dir().join(format!("hookgate-scarce-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"");
    let program = Program::start(&folder, &limited, &[("HOOKGATE_LOG__FORMAT", "json")]);
    let (senders, operator) = (program.senders(), program.address("listening for the operator"));
    let silent: Vec<_> = (0..300).filter_map(|_| TcpStream::connect(senders).ok()).collect();
    let ask = |address, path: &str| {
        let head = "Host: x\r\nConnection: close\r\n";
        statuses(&tell(address, format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes()))
    };
    wait("an answer beside them", || (ask(senders, "/hooks/none") == [404]).then_some(()));
    assert_eq!(ask(operator, "/livez"), [200]);
    assert_eq!(ask(operator, "/readyz"), [200]);
    // Silent ones made room: of the first something says so.
    let mut first = &silent[0];
    first.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let _ = first.write_all(b"G");
    assert!(matches!(first.read(&mut [0; 1]), Ok(0) | Err(_)), "it was ended");
    drop(silent);
    wait("an answer behind them", || (ask(senders, "/hooks/none") == [404]).then_some(()));
    fs::remove_dir_all(&folder).expect("the folder goes");
}
