//! `hookgate demo`: the whole way, to look at. A gateway on a folder of its own, webhooks with the templates of
//! `templates/`, real requests over real HTTP, and what arrived at the destination as a table. Leaves nothing behind.

mod sample;
mod table;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::gallery;
use super::output::{Failure, print_line};
use crate::clock::Clock;
use crate::config::{Config, Forward};
use crate::serve::{self, Gateway, ServeError};
use crate::store::{self, Bootstrap};
use crate::telemetry::log;
use sample::{SAMPLES, Sample, TEMPLATES};
use table::Row;

/// Longest wait for all events to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than anybody pastes lines for.
const CONNECTIONS_MAX: usize = 100;
/// Between two looks at the destination.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End after the table; exit 1 if anything did not arrive
    #[arg(long)]
    once: bool,
    /// Address for webhooks and the API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(super) const EXAMPLE: &str = "\
Example:
  hookgate demo
  hookgate demo --once";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    log::start("warn", log::Form::fitting()).map_err(Failure::No)?;
    let folder = Folder::make()?;
    let runtime = serve::runtime().map_err(ServeError::from)?;
    let shown = runtime.block_on(show(&folder, args));
    runtime.shutdown_background();
    shown
}

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("hookgate-demo-{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|fault| Failure::No(format!("{}: {fault}", path.display())))?;
        Ok(Self(path))
    }

    fn destination(&self) -> PathBuf {
        self.0.join("events.ndjson")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A webhook of the demo.
struct Hook {
    template: &'static str,
    address: String,
}

async fn show(folder: &Folder, args: &Args) -> Result<(), Failure> {
    let data = folder.0.join("data");
    let first = store::bootstrap(&data, &Clock::System)?;
    let config = config(folder, &data, args.listen);
    let gateway = Gateway::start(&config, Arc::new(Clock::System)).await?;
    let base = format!("http://{}", gateway.addresses()[0]);
    let client = Client::new();
    let hooks = make_hooks(&client, &base, &first).await?;
    print_line(&format!(
        "A gateway listens on {base}. {} webhooks were made; {} requests are sent:\n",
        hooks.len(),
        SAMPLES.len()
    ))?;
    let mut rows = Vec::new();
    for sample in SAMPLES {
        rows.push(send(&client, &hooks, sample).await?);
    }
    let missing = wait(&folder.destination(), &mut rows).await?;
    table::print(&rows)?;
    if !args.once {
        invite(&hooks, folder, &gateway, &first, &base)?;
        let _ = tokio::signal::ctrl_c().await;
    }
    gateway.stop().await;
    if missing == 0 {
        return Ok(());
    }
    Err(Failure::No(format!("{missing} requests did not become the events they should")))
}

fn config(folder: &Folder, data: &Path, listen: SocketAddr) -> Config {
    let mut config = Config::default();
    data.clone_into(&mut config.server.data);
    config.limits.connections_max = CONNECTIONS_MAX;
    config.server.listen = vec![listen];
    config.server.admin_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let to = format!("file:{}", folder.destination().display());
    config.forward = vec![Forward { to, ..Forward::default() }];
    config
}

/// Makes the webhooks as any manager would: through the API.
async fn make_hooks(client: &Client, base: &str, first: &Bootstrap) -> Result<Vec<Hook>, Failure> {
    let key = first.api_key.as_ref().map(crate::id::Secret::expose).unwrap_or_default();
    let mut headers = HeaderMap::new();
    let bearer = HeaderValue::try_from(format!("Bearer {key}"));
    headers.insert(AUTHORIZATION, bearer.expect("a key is ASCII"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut hooks = Vec::new();
    for name in TEMPLATES {
        let template = gallery::find(name)?.template;
        let body = json!({ "name": name, "template": template }).to_string();
        let address = format!("{base}{}/webhooks/", first.api_path);
        let answer = client.send(Method::POST, &address, headers.clone(), body).await?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let slug = made["slug"].as_str().ok_or_else(|| {
            Failure::No(format!("the webhook {name} was not made: {}", answer.status))
        })?;
        hooks.push(Hook { template: name, address: format!("{base}/hooks/{slug}") });
    }
    Ok(hooks)
}

async fn send(client: &Client, hooks: &[Hook], sample: &'static Sample) -> Result<Row, Failure> {
    let request = sample.request()?;
    let hook = hooks.iter().find(|hook| hook.template == sample.template);
    let address = &hook.expect("each sample has its template").address;
    let Answer { status, headers, body } =
        client.send(request.method, address, request.headers, request.body).await?;
    let receipt = headers.get("hookgate-receipt").and_then(|value| value.to_str().ok());
    Ok(Row::new(sample, status, receipt.unwrap_or_default(), &body))
}

/// Waits until every row has its events; how many have not in the end.
async fn wait(destination: &Path, rows: &mut [Row]) -> Result<usize, Failure> {
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(destination).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let events: Vec<Value> = whole
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(|fault| Failure::No(format!("{}: {fault}", destination.display())))?;
        let missing = rows.iter_mut().filter_map(|row| (!row.take(&events)).then_some(())).count();
        if missing == 0 || started.elapsed() > PATIENCE {
            return Ok(missing);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What a newcomer can do next.
fn invite(
    hooks: &[Hook],
    folder: &Folder,
    gateway: &Gateway,
    first: &Bootstrap,
    base: &str,
) -> Result<(), Failure> {
    let key = first.api_key.as_ref().map(crate::id::Secret::expose).unwrap_or_default();
    let admin = gateway.admin_address();
    print_line("\nNow you. The gateway goes on until Ctrl-C; then its folder is removed.\n")?;
    for hook in hooks {
        let sample = SAMPLES.iter().find(|sample| sample.template == hook.template);
        print_line(&sample.expect("each template has a sample").curl(&hook.address)?)?;
    }
    print_line(&format!("\ntail -f {}", folder.destination().display()))?;
    print_line(&format!("curl -s http://{admin}/readyz"))?;
    print_line(&format!("curl -s http://{admin}/metrics"))?;
    print_line(&format!(
        "curl -s -X POST {base}{}/webhooks/filter -H 'Authorization: Bearer {key}'",
        first.api_path
    ))
}
