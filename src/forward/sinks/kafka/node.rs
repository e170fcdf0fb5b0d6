//! One connection to a Kafka broker. In: where it is, who calls. Out: requests and their answers, each read up to a
//! bound; what the broker speaks and whom it knows is found out before anything else is asked.

use std::sync::Arc;

use super::login::{Mechanism, Scram, plain};
use super::message::{AUTHENTICATE, Answer, Api, HANDSHAKE, Request, VERSIONS, check_versions};
use crate::clock::Clock;
use crate::fetch::Egress;
use crate::forward::options::TlsPapers;
use crate::forward::sinks::Fault;
use crate::forward::sinks::wire::{Login, LoginPapers, Place, Wire, shown};
use crate::telemetry::forward::Outcome;

/// Longest answer.
const ANSWER_MAX_BYTES: usize = 4 << 20;
/// The broker does not log in that way.
const UNSUPPORTED_MECHANISM: i16 = 33;

/// What every connection is made with.
#[derive(Debug)]
pub(super) struct Door {
    login: LoginPapers,
    tls: TlsPapers,
    egress: Egress,
    clock: Arc<Clock>,
    /// The last one that a broker took.
    mechanism: Mechanism,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Node {
    wire: Wire,
    number: i32,
}

impl Door {
    pub(super) fn new(
        login: LoginPapers,
        tls: TlsPapers,
        egress: Egress,
        clock: Arc<Clock>,
    ) -> Self {
        Self { login, tls, egress, clock, mechanism: Mechanism::ALL[0] }
    }

    /// Connects and logs in.
    pub(super) async fn open(&mut self, place: &Place) -> Result<Node, Fault> {
        let login = self.login.read().await?;
        let mut node = self.connect(place).await?;
        match &login {
            Login { user: Some(user), secret: Some(password) } => {
                let offered = node.offer(self.mechanism).await?;
                if let Some(offered) = offered {
                    // A broker that was asked for another way than its own ends the connection.
                    let Some(best) = Mechanism::best(&offered) else {
                        let offered = shown(&offered.join(", "));
                        let what = format!(
                            "the Kafka broker logs in by {offered}; there are SCRAM-SHA-512, \
                             SCRAM-SHA-256 and PLAIN"
                        );
                        return Err(Fault::lasting(Outcome::Unauthorized, what));
                    };
                    self.mechanism = best;
                    node = self.connect(place).await?;
                    if node.offer(best).await?.is_some() {
                        return Err(refused());
                    }
                }
                let chance = self.clock.chance();
                node.log_in(self.mechanism, (user, password), chance).await?;
            }
            Login { secret: Some(_), .. } => {
                let what = "a login at Kafka is user:password, in basic_file";
                return Err(Fault::lasting(Outcome::Unauthorized, what));
            }
            Login { .. } => {}
        }
        Ok(node)
    }

    async fn connect(&self, place: &Place) -> Result<Node, Fault> {
        let mut wire = Wire::open(place, &self.egress).await?;
        if place.is_tls {
            wire = wire.secure(place, &self.tls).await?;
        }
        let mut node = Node { wire, number: 0 };
        let bytes = node.ask(VERSIONS, |_| {}).await?;
        check_versions(&mut Answer::new(&bytes))?;
        Ok(node)
    }
}

impl Node {
    /// Sends a request.
    pub(super) async fn say(
        &mut self,
        api: Api,
        fill: impl FnOnce(&mut Request),
    ) -> Result<(), Fault> {
        self.number = self.number.wrapping_add(1);
        let mut request = Request::new(api, self.number);
        fill(&mut request);
        self.wire.write(&request.finish()).await
    }

    /// Reads the answer to the request that was sent last.
    pub(super) async fn hear(&mut self) -> Result<Vec<u8>, Fault> {
        let head = self.wire.bytes(8).await?;
        let mut answer = Answer::new(&head);
        let (length, number) = (answer.i32()?, answer.i32()?);
        let length = usize::try_from(length).unwrap_or(0).checked_sub(4);
        let length = length.filter(|length| *length <= ANSWER_MAX_BYTES && number == self.number);
        let length = length.ok_or_else(|| {
            Fault::lasting(Outcome::Unexpected, "an answer that no Kafka broker gives")
        })?;
        self.wire.bytes(length).await
    }

    pub(super) async fn ask(
        &mut self,
        api: Api,
        fill: impl FnOnce(&mut Request),
    ) -> Result<Vec<u8>, Fault> {
        self.say(api, fill).await?;
        self.hear().await
    }

    /// Says how it will log in; what the broker offers instead, if it does not take that.
    async fn offer(&mut self, mechanism: Mechanism) -> Result<Option<Vec<String>>, Fault> {
        let name = mechanism.name();
        let bytes = self
            .ask(HANDSHAKE, |request| {
                request.text(name);
            })
            .await?;
        let mut answer = Answer::new(&bytes);
        let error = answer.i16()?;
        let offered: Result<Vec<_>, _> = (0..answer.count()?).map(|_| answer.text()).collect();
        match error {
            0 => Ok(None),
            UNSUPPORTED_MECHANISM => offered.map(Some),
            _ => {
                let what = format!("the Kafka broker takes no login here (it said {error})");
                Err(Fault::lasting(Outcome::Unauthorized, what))
            }
        }
    }

    async fn log_in(
        &mut self,
        mechanism: Mechanism,
        (user, password): (&str, &str),
        chance: [u8; 16],
    ) -> Result<(), Fault> {
        if mechanism == Mechanism::Plain {
            return self.prove(&plain(user, password)).await.map(drop);
        }
        let scram = Scram::new(mechanism, (user, password), chance);
        let said = self.prove(scram.first().as_bytes()).await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let last = scram.last(&said);
        let (last, expected) = last.ok_or_else(refused)?;
        let said = self.prove(last.as_bytes()).await?;
        if said != expected.as_bytes() {
            let what = "the Kafka broker does not know the password either: it is another one";
            return Err(Fault::lasting(Outcome::Unauthorized, what));
        }
        Ok(())
    }

    async fn prove(&mut self, words: &[u8]) -> Result<Vec<u8>, Fault> {
        let bytes = self
            .ask(AUTHENTICATE, |request| {
                request.bytes(words);
            })
            .await?;
        let mut answer = Answer::new(&bytes);
        let error = answer.i16()?;
        // Its own words are not shown: they may be the login that was sent.
        answer.text()?;
        if error == 0 { answer.bytes() } else { Err(refused()) }
    }
}

fn refused() -> Fault {
    Fault::lasting(Outcome::Unauthorized, "the Kafka broker refused the login")
}
