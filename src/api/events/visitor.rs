//! Who is at the other end of a websocket (contract 5.2, 5.3). In: a key of the upgrade's head, or the first frame.
//! Out: a visitor with its place, asked again now and then whether they still may; or how to say goodbye. Never a key's
//! text beyond the frame that brought it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::super::Api;
use super::super::origin::Origin;
use super::super::problem::Problem;
use super::place::{Base, Place};
use crate::accept::websocket::{Heard, Socket, Text};
use crate::catalogue::Permission;
use crate::id::Uuid;
use crate::verify::key::{KeyFacts, password};

/// For a client to send the frame it is waited for.
const WAIT: Duration = Duration::from_secs(10);
/// Most bytes of a client before it has said who it is: a key, with a frame around it.
const AUTH_MAX_BYTES: usize = 16 << 10;
/// Between two looks whether a key is still valid.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Between two looks whether its roles still allow it.
const ADMIT_EVERY: Duration = Duration::from_secs(10);

/// Close code and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goodbye(pub(super) u16, pub(super) Cow<'static, str>);

impl Goodbye {
    /// The gateway stops: come again.
    pub(super) const RESTART: Self = Self(1012, Cow::Borrowed("The gateway is restarting"));
    /// Whoever it was may not any more.
    const ENDED: Self = Self(1008, Cow::Borrowed("The key is not valid any more"));
    /// What was sent is no answer to anything.
    const LOST: Self = Self(1002, Cow::Borrowed("The connection ended"));

    fn refused(reason: &'static str) -> Self {
        Self(1008, Cow::Borrowed(reason))
    }
}

impl From<Problem> for Goodbye {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Unauthorized => Self::refused("Invalid token"),
            Problem::Limited { .. } => Self::refused("Invalid token, one too many"),
            Problem::Forbidden => Self::refused("Not permitted"),
            Problem::Address(_) => Self::refused("Not permitted from this address"),
            Problem::Unavailable { .. } | Problem::Store(_) => {
                Self(1013, Cow::Borrowed("The gateway has no time right now"))
            }
            _ => Self::refused("Not Found"),
        }
    }
}

/// A frame that says who somebody is.
#[derive(Deserialize)]
struct Auth<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    token: Option<Cow<'a, str>>,
}

/// A client that was let in.
pub(super) struct Visitor {
    pub(super) api: Arc<Api>,
    pub(super) place: Place,
    /// Of an account: the events of its workspaces, too.
    sees_all: bool,
    base: Base,
    needs: Permission,
    key: Option<Arc<KeyFacts>>,
    origin: Origin,
    checked: Instant,
    admitted: Instant,
}

impl Visitor {
    /// Lets a client in by its key.
    pub(super) async fn admit(
        api: Arc<Api>,
        base: Base,
        needs: Permission,
        key: Option<Arc<KeyFacts>>,
        origin: Origin,
    ) -> Result<Self, Problem> {
        let place = api.enter(base, needs, key.as_deref(), &origin).await?;
        let sees_all = api.sees_all(base, key.as_deref(), &origin).await?;
        let now = Instant::now();
        Ok(Self { api, place, sees_all, base, needs, key, origin, checked: now, admitted: now })
    }

    /// Waits for the frame that says who a client is, and lets it in; `known` is the key of the upgrade's
    /// head, and `is_open` says that the paths without an account need none.
    pub(super) async fn greet(
        api: Arc<Api>,
        base: Base,
        needs: Permission,
        known: Option<Arc<KeyFacts>>,
        is_open: bool,
        origin: Origin,
        socket: &mut Socket,
    ) -> Result<Self, Goodbye> {
        let said = frame(socket, AUTH_MAX_BYTES).await?;
        let auth = said.as_deref().and_then(|text| serde_json::from_str::<Auth<'_>>(text).ok());
        let Some(auth) = auth.filter(|auth| auth.kind == "auth") else {
            return Err(Goodbye::refused("Expected 'auth' message"));
        };
        let key = match auth.token.filter(|token| !token.is_empty()) {
            Some(token) => {
                let now = api.clock.now();
                let key = api.keys.check(&token, now);
                let key = key.or_else(|| api.keys.check(password(&token)?, now));
                Some(key.ok_or_else(|| api.wrong_key(origin.peer))?)
            }
            None if known.is_some() => known,
            None if base == Base::Server && is_open => None,
            None => {
                return Err(Goodbye::refused(
                    "A token is needed: set PREFECT_API_AUTH_STRING to 'user:KEY'",
                ));
            }
        };
        let visitor = Self::admit(api, base, needs, key, origin).await?;
        let welcome = Text::from(r#"{"type":"auth_success"}"#.to_owned());
        socket.say(welcome).await.map_err(|_| Goodbye::LOST)?;
        Ok(visitor)
    }

    /// Whether an event of that place is for them to see.
    pub(super) fn sees(&self, account: Uuid, workspace: Option<Uuid>) -> bool {
        account == self.place.account
            && match self.place.workspace {
                Some(own) => workspace == Some(own),
                None => self.sees_all || workspace.is_none(),
            }
    }

    /// Asks again whether they still may, as often as that is worth it.
    pub(super) async fn still(&mut self) -> Result<(), Goodbye> {
        let Some(key) = self.key.as_deref() else { return Ok(()) };
        if self.checked.elapsed() < CHECK_EVERY {
            return Ok(());
        }
        self.checked = Instant::now();
        if !self.api.keys.holds(key, self.api.clock.now()) {
            return Err(Goodbye::ENDED);
        }
        if self.admitted.elapsed() < ADMIT_EVERY {
            return Ok(());
        }
        self.admitted = Instant::now();
        match self.api.enter(self.base, self.needs, Some(key), &self.origin).await {
            Ok(_) => {
                self.sees_all =
                    self.api.sees_all(self.base, Some(key), &self.origin).await.unwrap_or(false);
                Ok(())
            }
            // That the store has no time says nothing about them.
            Err(Problem::Unavailable { .. } | Problem::Store(_)) => Ok(()),
            Err(problem) => Err(problem.into()),
        }
    }
}

/// Waits for a client's frame, and reads not many more bytes than those for it; `None` for one that is not text.
pub(super) async fn frame(socket: &mut Socket, most_bytes: usize) -> Result<Option<Text>, Goodbye> {
    socket.bound(Some(most_bytes));
    let hearing = async {
        loop {
            return match socket.hear().await {
                Heard::Ping => continue,
                Heard::Text(text) => Ok(Some(text)),
                Heard::Binary => Ok(None),
                Heard::Draining => Err(Goodbye::RESTART),
                Heard::Fault(code, reason) => Err(Goodbye(code, Cow::Borrowed(reason))),
                Heard::Closed | Heard::Lost => Err(Goodbye::LOST),
            };
        }
    };
    let late = Goodbye::refused("The expected message did not come in time");
    let said = timeout(WAIT, hearing).await.unwrap_or(Err(late))?;
    socket.bound(None);
    Ok(said)
}
