//! What the gateway asks of others, so that it can judge what it is sent: certificates and keys of those who sign. In:
//! an address that a provider's row or a webhook's owner names. Out: what stands there, kept for a while, or why not.
//! One fetch at a time for an address, a budget for each peer, webhook, account and host; https alone, no redirect,
//! bounded in size and time, and only at addresses that the network rules allow. Never a byte of a sender's in what is
//! asked, but the name of a key, at a host of a row, of whoever tells keys by their names.

mod client;
mod detour;
mod egress;
mod keep;
#[cfg(test)]
mod line;
mod names;
mod trust;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::clock::{Clock, Time};
use crate::limit::{Asker, Errands, Rate, Shares};
use crate::telemetry::Telemetry;
use crate::telemetry::fetch::{Facts, Outcome};
use crate::verify::signature::{Fault, Kept, Known, Wanted};

use client::{Brought, Client};
pub use detour::Detour;
pub use egress::{Egress, EgressFault};
use keep::{Keep, Look};
pub use trust::machine_roots;

/// From the look-up of a host to the last byte of its answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Fetches at once.
const FLIGHTS_MAX: usize = 16;
/// Fetches that requests of one peer may cause at one webhook: so many at once, and one more each minute. Only who
/// signs knows which names of keys are true, so nobody takes all of what a webhook may ask.
const PEER: (u32, Duration, u32) = (1, Duration::from_mins(1), 5);
/// Fetches that all requests of one webhook may cause.
const WEBHOOK: (u32, Duration, u32) = (4, Duration::from_mins(1), 10);
/// Fetches from one host for all webhooks of one account: half of what it is asked.
const ACCOUNT: (u32, Duration, u32) = (30, Duration::from_mins(1), 15);
/// Fetches from one host: so many at once, and one more each second.
const HOST: (u32, Duration, u32) = (1, Duration::from_secs(1), 30);
/// When nothing else is known of when to ask again.
const RETRY_SECONDS: u64 = 5;

/// Why something is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    /// The address is none that is asked.
    #[error("the address is none of https")]
    Address,
    /// The network rules, or nobody is there.
    #[error(transparent)]
    Egress(#[from] EgressFault),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nobody is trusted.
    #[error("this machine has no certificate authorities, and fetch.tls_ca names none")]
    NoRoots,
    /// A file of authorities cannot be used.
    #[error("cannot use {} of fetch.tls_ca: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Another status than 200.
    #[error("it answered {status}{says}")]
    Status {
        /// Which.
        status: u16,
        /// What is to be said of it.
        says: &'static str,
    },
    /// An answer that is none.
    #[error("no answer: {0}")]
    Unanswered(String),
    /// An answer that is too long.
    #[error("the answer has more than {max} bytes")]
    Long {
        /// The bound.
        max: usize,
    },
    /// It took too long.
    #[error("no answer within {seconds} s")]
    Late {
        /// The bound.
        seconds: f32,
    },
    /// What stands there is something else.
    #[error("what stands there is none: {0}")]
    Content(Fault),
    /// Too much is fetched at once, or for one webhook, or from one host.
    #[error("too much was fetched; again in {retry_after} s")]
    Often {
        /// In how many seconds.
        retry_after: u64,
    },
    /// It failed a moment ago.
    #[error("{why}; again in {retry_after} s")]
    Before {
        /// Why.
        why: String,
        /// In how many seconds.
        retry_after: u64,
    },
    /// The gateway ends.
    #[error("the gateway stops")]
    Stopping,
}

impl FetchFault {
    /// In how many seconds it is worth to ask again.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        match self {
            Self::Often { retry_after } | Self::Before { retry_after, .. } => *retry_after,
            _ => RETRY_SECONDS,
        }
    }
}

/// How others are asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Networks that may be asked, beside public addresses.
    pub allowed: Arc<[IpNet]>,
    /// A proxy that everybody is asked through.
    pub detour: Option<Arc<Detour>>,
    /// PEM with authorities that are trusted beside the machine's.
    pub authorities: Option<PathBuf>,
}

/// Fetches, and keeps what it fetched. A copy is the same one.
#[derive(Clone, Debug)]
pub struct Fetcher(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    client: Client,
    clock: Arc<Clock>,
    facts: Arc<Facts>,
    keep: Mutex<Keep>,
    flights: Semaphore,
    errands: Errands,
}

/// Who may have how much fetched.
fn shares() -> Shares {
    let rate = |(count, per, burst): (u32, Duration, u32)| {
        Rate::new(count, per, NonZeroU32::new(burst)).expect("a rate of something")
    };
    Shares { peer: rate(PEER), webhook: rate(WEBHOOK), account: rate(ACCOUNT), host: rate(HOST) }
}

impl Inside {
    fn keep(&self) -> MutexGuard<'_, Keep> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetcher {
    /// One that has fetched nothing.
    ///
    /// # Panics
    /// Never: its own bounds are rates.
    #[must_use]
    pub fn new(options: Options, clock: &Arc<Clock>, telemetry: &Telemetry) -> Self {
        let Options { allowed, detour, authorities } = options;
        Self(Arc::new(Inside {
            client: Client {
                egress: Egress::Bound(allowed).through(detour.as_ref()),
                authorities,
                deadline: DEADLINE,
            },
            clock: Arc::clone(clock),
            facts: Facts::register(telemetry),
            keep: Mutex::default(),
            flights: Semaphore::new(FLIGHTS_MAX),
            errands: Errands::new(shares()),
        }))
    }

    fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// Fetches what is not at hand, or what is newer than that; for a request to a webhook.
    /// `false`: nothing newer is to be had.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn fetch(&self, asker: Asker, wanted: &Wanted) -> Result<bool, FetchFault> {
        let since = self.now();
        let mut flight = {
            let mut keep = self.0.keep();
            match keep.look(wanted, since) {
                Look::Here => return Ok(true),
                Look::Newest => return Ok(false),
                Look::Failed(fault) => return Err(fault),
                Look::Flying(flight) => flight,
                Look::Due => self.begin(Some(asker), wanted, &mut keep)?,
            }
        };
        // It ends by itself; the bound is for a thread that does nothing any more.
        let _ = timeout(DEADLINE * 2, flight.changed()).await;
        match self.0.keep().look(wanted, self.now()) {
            Look::Here => Ok(true),
            Look::Newest => Ok(wanted.newer),
            Look::Failed(fault) => Err(fault),
            Look::Flying(_) | Look::Due => Err(FetchFault::Stopping),
        }
    }

    /// Asks an address once, so that whoever is there knows that somebody did; what it says is nothing to us.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn visit(&self, address: &str) -> Result<(), FetchFault> {
        let inside = &self.0;
        let visited = match inside.flights.try_acquire() {
            Ok(_turn) => inside.client.bring(address, None).await,
            Err(_) => Err(FetchFault::Often { retry_after: RETRY_SECONDS }),
        };
        inside.facts.visited(if visited.is_ok() { Outcome::Fetched } else { Outcome::Failed });
        visited.map(drop)
    }

    /// Begins a fetch; what is given ends with it.
    fn begin(
        &self,
        asker: Option<Asker>,
        wanted: &Wanted,
        keep: &mut Keep,
    ) -> Result<watch::Receiver<()>, FetchFault> {
        let host = wanted.address.split('/').nth(2).unwrap_or_default();
        let charged = self.0.errands.charge(asker, host);
        charged.map_err(|over| FetchFault::Often { retry_after: over.retry_after_seconds })?;
        let runtime = Handle::try_current().map_err(|_| FetchFault::Stopping)?;
        let (sender, lands) = watch::channel(());
        keep.fly(wanted, lands.clone(), self.now());
        let (fetcher, wanted) = (self.clone(), wanted.clone());
        runtime.spawn(async move {
            fetcher.bring(&wanted).await;
            drop(sender);
        });
        Ok(lands)
    }

    /// One fetch, and what comes of it.
    async fn bring(&self, wanted: &Wanted) {
        let inside = &self.0;
        let brought = match inside.flights.try_acquire() {
            Ok(_turn) => inside.client.bring(&wanted.address, wanted.asks.as_ref()).await,
            Err(_) => Err(FetchFault::Often { retry_after: RETRY_SECONDS }),
        };
        let read = brought.and_then(|Brought { bytes, age_seconds }| {
            let kept = wanted.read(&bytes).map_err(FetchFault::Content)?;
            Ok((kept, age_seconds))
        });
        let (now, address) = (self.now(), &wanted.address);
        match read {
            Ok((kept, age)) => {
                inside.facts.fetched(Outcome::Fetched);
                tracing::info!(address, "fetched what verifies signatures");
                inside.keep().land(wanted, kept, age, now);
            }
            Err(fault) => {
                inside.facts.fetched(Outcome::Failed);
                tracing::warn!(address, %fault, "what verifies signatures was not to be had");
                inside.keep().fail(wanted, &fault, now);
            }
        }
    }
}

/// What was fetched; what is not fresh any more is fetched again meanwhile.
impl Known for Fetcher {
    fn find(&self, wanted: &Wanted) -> Result<Arc<Kept>, Fault> {
        let mut keep = self.0.keep();
        let Some((kept, is_due)) = keep.find(wanted, self.now()) else {
            return Err(Fault::Unfetched(Box::new(wanted.clone())));
        };
        if is_due && let Err(fault) = self.begin(None, wanted, &mut keep) {
            tracing::debug!(address = wanted.address, %fault, "nothing newer is fetched now");
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Uuid;

    #[test]
    fn nobody_takes_all_that_a_webhook_or_a_host_is_asked() {
        let errands = Errands::new(shares());
        let charge = |account: u128, webhook: u128, peer: u8, host: &str| {
            let peer = std::net::Ipv4Addr::new(192, 0, 2, peer).into();
            let [account, webhook] = [account, webhook].map(Uuid::from_u128);
            errands.charge(Some(Asker { webhook, account, peer }), host).is_ok()
        };
        // One peer, and then all peers of one webhook.
        let taken = (0..100).filter(|_| charge(1, 1, 1, "a.example")).count();
        assert_eq!(taken, 5);
        assert!(charge(1, 1, 2, "a.example"), "what another peer names is asked for");
        let taken = (3..100).filter(|peer| charge(1, 1, *peer, "a.example")).count();
        assert_eq!(taken, 4);
        // All webhooks of an account, at one host.
        let taken = (2..100).filter(|webhook| charge(1, *webhook, 1, "A.example")).count();
        assert_eq!(taken, 5);
        assert!(charge(1, 200, 1, "b.example"), "another host");
        let taken = (300..400).filter(|webhook| charge(2, *webhook, 1, "a.example")).count();
        assert_eq!(taken, 15, "another account has its half");
        assert!(errands.charge(None, "a.example").is_err(), "and that is all of it");
    }
}
