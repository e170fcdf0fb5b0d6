//! Service accounts as people name them. In: a name or an id. Out: the one that is meant, or why none is.

use http::Method;
use serde_json::{Value, json};

use super::access::Remote;
use super::listing::text;
use super::output::Failure;
use crate::id::Uuid;

/// The service account of a name or id.
pub(super) async fn find(account: &Remote, wanted: &str) -> Result<Value, Failure> {
    if Uuid::try_parse(wanted).is_ok() {
        return account.call(Method::GET, &format!("bots/{wanted}"), None).await;
    }
    let criteria = json!({ "service_accounts": { "name": { "any_": [wanted] } } });
    let mut found = account.rows("bots/filter", &criteria).await?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::NotFound(format!("no service account is called {wanted:?}"))),
        several => {
            let ids: Vec<_> = found.iter().map(|bot| text(bot, "id")).collect();
            let ids = ids.join(", ");
            let what =
                format!("{several} service accounts are called {wanted:?}: say one of {ids}");
            Err(Failure::No(what))
        }
    }
}
