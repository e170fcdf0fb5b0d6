//! A server as the bench holds it: a process that was started, is looked at, and is ended. In: arguments. Out: its
//! first line, its usage. Never left behind: dropped, it is killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child as Process, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::output::Failure;
use crate::telemetry::process::Usage;

/// Most bytes of a first line.
const LINE_MAX_BYTES: u64 = 1 << 10;
/// From the signal to the end.
const END_MAX: Duration = Duration::from_secs(15);
/// Between two looks at what is awaited.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// A running server.
#[derive(Debug)]
pub(super) struct Child {
    name: &'static str,
    process: Process,
}

impl Child {
    /// Starts `hookgate bench-server` with those arguments; what it says of itself goes to the file `log`.
    pub(super) fn start(name: &'static str, args: &[&str], log: &Path) -> Result<Self, Failure> {
        let fault = |fault| Failure::No(format!("{name} cannot be started: {fault}"));
        let log = File::create(log).map_err(fault)?;
        let mut command = program().map_err(fault)?;
        let process = command
            .arg("bench-server")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(fault)?;
        Ok(Self { name, process })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The first line it prints.
    pub(super) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let out = self.process.stdout.as_mut();
        let out = out.map(|out: &mut ChildStdout| BufReader::new(out.take(LINE_MAX_BYTES)));
        match out.map(|mut out| out.read_line(&mut line)) {
            Some(Ok(1..)) => Ok(line.trim_end().to_owned()),
            _ => Err(Failure::No(format!("{} ended before it listened", self.name))),
        }
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Result<Usage, Failure> {
        let gone = || Failure::No(format!("what {} uses cannot be read from /proc", self.name));
        Usage::read(Some(self.id())).ok_or_else(gone)
    }

    /// Whether it has ended by itself.
    pub(super) fn is_gone(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells it to stop, and waits until it has.
    pub(super) fn stop(&mut self) -> Result<ExitStatus, Failure> {
        let fault = |fault| Failure::No(format!("{} cannot be stopped: {fault}", self.name));
        kill_process(Pid::from_child(&self.process), Signal::TERM)
            .map_err(|errno| fault(errno.into()))?;
        let started = Instant::now();
        while started.elapsed() < END_MAX {
            if let Some(status) = self.process.try_wait().map_err(fault)? {
                return Ok(status);
            }
            std::thread::sleep(PAUSE);
        }
        Err(Failure::No(format!("{} did not end within {} s", self.name, END_MAX.as_secs())))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This very program, with no setting of the shell that the bench was started from.
fn program() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKGATE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
