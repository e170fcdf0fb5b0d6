//! What the process itself costs, read from `/proc` when asked: memory, processor time, open files. In: a process
//! id or our own. Out: figures for `/metrics` and the bench. Elsewhere than on Linux it has nothing to say.

use std::fs;
use std::path::{Path, PathBuf};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

use super::Telemetry;

/// Ticks of processor time in a second, as `/proc/*/stat` counts them on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A look at one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time so far.
    pub cpu_seconds: f64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Most resident memory so far.
    pub resident_peak_bytes: u64,
    /// Bytes handed to storage so far.
    pub written_bytes: u64,
}

impl Usage {
    /// Of the process with that id, or of this one.
    #[must_use]
    pub fn read(process: Option<u32>) -> Option<Self> {
        let folder = folder(process);
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The second field is a name in parentheses that may hold anything; numbers begin behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let kilobytes = |name: &str| labelled(&status, name).unwrap_or(0) * 1024;
        let io = fs::read_to_string(folder.join("io")).unwrap_or_default();
        Some(Self {
            cpu_seconds: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            resident_bytes: kilobytes("VmRSS:"),
            resident_peak_bytes: kilobytes("VmHWM:"),
            written_bytes: labelled(&io, "write_bytes:").unwrap_or(0),
        })
    }
}

fn folder(process: Option<u32>) -> PathBuf {
    let name = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    Path::new("/proc").join(name)
}

/// The number behind a name at the start of a line.
fn labelled(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Open files of this process.
fn open_files() -> Option<u64> {
    let count = fs::read_dir(folder(None).join("fd")).ok()?.count();
    u64::try_from(count).ok()
}

/// Adds the version and the process's own figures to the registry.
pub fn register(telemetry: &Telemetry, version: &'static str) {
    telemetry.register(|registry| {
        registry.register("build", "The running program", Info::new([("version", version)]));
        registry.register_collector(Box::new(Figures));
    });
}

#[derive(Debug)]
struct Figures;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(usage) = Usage::read(None) else { return Ok(()) };
        let cpu = ConstCounter::new(usage.cpu_seconds);
        let kind = prometheus_client::metrics::MetricType::Counter;
        let help = "User and system time";
        cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?)?;
        let memory = [
            ("process_resident_memory", "Resident memory", usage.resident_bytes),
            ("process_resident_memory_peak", "Most resident memory", usage.resident_peak_bytes),
        ];
        let kind = prometheus_client::metrics::MetricType::Gauge;
        for (name, help, bytes) in memory {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?)?;
        }
        if let Some(files) = open_files() {
            let gauge = ConstGauge::new(i64::try_from(files).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(
                "process_open_fds",
                "Open files",
                None,
                kind,
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_tell_of_the_process() {
        let usage = Usage::read(None).unwrap();
        assert!(usage.resident_peak_bytes >= usage.resident_bytes && usage.resident_bytes > 0);
        let telemetry = Telemetry::new();
        register(&telemetry, "1.2.3");
        let text = telemetry.print();
        for line in [
            "hookgate_build_info{version=\"1.2.3\"} 1",
            "hookgate_process_cpu_seconds_total ",
            "hookgate_process_resident_memory_bytes ",
            "hookgate_process_open_fds ",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
