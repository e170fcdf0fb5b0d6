//! `hookgate spool`: the durable log, looked at while no gateway runs. In: a data folder. Out: what is damaged, torn or
//! missing in it. Changes nothing.

use std::path::PathBuf;

use serde_json::json;

use super::Form;
use super::output::{Failure, print_line};
use crate::spool::{self, CheckReport};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read every frame, and say what is damaged or missing
    #[command(after_help = "\
Exits 1 when something is damaged or missing. A torn tail is no damage: nobody was told of it.

Example:
  hookgate spool check --data ./data -o json")]
    Check {
        /// Data folder of a gateway that does not run
        #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        form: Form,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check { data, form } = command;
    if !data.join("spool").is_dir() {
        return Err(Failure::NotFound(format!("{}: no spool is there", data.display())));
    }
    let report = spool::check(data)?;
    let printed = if form.is_json() { print_json(&report) } else { print_text(&report) };
    printed?;
    let faults = report.damaged.len() + report.missing.len();
    if faults == 0 {
        return Ok(());
    }
    Err(Failure::No(format!(
        "{}: {} damaged ranges, {} gaps; at the next start they are set aside and skipped",
        data.display(),
        report.damaged.len(),
        report.missing.len(),
    )))
}

fn print_json(report: &CheckReport) -> Result<(), Failure> {
    let damaged = report.damaged.iter().map(
        |(segment, offset, bytes)| json!({ "segment": segment, "offset": offset, "bytes": bytes }),
    );
    let missing = report.missing.iter().map(|(first, last)| json!({"first": first, "last": last}));
    let told = json!({
        "frames": report.frames,
        "torn_bytes": report.torn_bytes,
        "damaged": damaged.collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
    });
    print_line(&told.to_string())
}

fn print_text(report: &CheckReport) -> Result<(), Failure> {
    print_line(&format!("frames   {}", report.frames))?;
    print_line(&format!("torn     {} bytes", report.torn_bytes))?;
    for (segment, offset, bytes) in &report.damaged {
        print_line(&format!("damaged  {segment}: {bytes} bytes from {offset}"))?;
    }
    for (first, last) in &report.missing {
        print_line(&format!("missing  frames {first} to {last}"))?;
    }
    Ok(())
}
