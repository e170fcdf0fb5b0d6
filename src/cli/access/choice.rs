//! Which account and workspace are meant. In: what was said, and what a key sees. Out: their ids; or what there is to
//! choose from. Guesses nothing: one that fits, or none.

use http::Method;
use serde_json::Value;

use super::address::Address;
use super::remote::Remote;
use crate::cli::output::Failure;
use crate::id::Uuid;

/// What was said of account and workspace, as ids or handles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Wanted {
    account: Option<String>,
    workspace: Option<String>,
}

/// A workspace that a key sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Chosen {
    pub(in crate::cli) account: String,
    pub(in crate::cli) workspace: String,
    /// As people call it.
    pub(in crate::cli) place: String,
}

impl Wanted {
    /// What flags say; where they are silent, what the address says. A workspace may be said with its account.
    pub(in crate::cli) fn new(
        account: Option<&str>,
        workspace: Option<&str>,
        address: &Address,
    ) -> Self {
        let owned = |text: &str| Some(text.to_owned());
        match (account, workspace.map(|workspace| workspace.split_once('/').ok_or(workspace))) {
            (None, Some(Ok((account, workspace)))) => {
                Self { account: owned(account), workspace: owned(workspace) }
            }
            (account, Some(Ok((_, workspace)) | Err(workspace))) => {
                // A handle may be that of a workspace in another account than the context's.
                let account = account.map(str::to_owned);
                let known = || address.account.clone().filter(|_| is_id(workspace));
                Self { account: account.or_else(known), workspace: owned(workspace) }
            }
            (Some(account), None) => Self { account: owned(account), workspace: None },
            (None, None) => {
                Self { account: address.account.clone(), workspace: address.workspace.clone() }
            }
        }
    }

    /// Both, when they need not be looked up.
    pub(super) fn ids(&self) -> Option<(String, String)> {
        match (&self.account, &self.workspace) {
            (Some(account), Some(workspace)) if is_id(account) && is_id(workspace) => {
                Some((account.clone(), workspace.clone()))
            }
            _ => None,
        }
    }

    fn fits(&self, place: &Value) -> bool {
        let fits = |kind: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| {
                let id = text(place, &format!("{kind}_id"));
                let is_same = |wanted| Uuid::try_parse(id).is_ok_and(|id| id == wanted);
                Uuid::try_parse(wanted).is_ok_and(is_same)
                    || *wanted == text(place, &format!("{kind}_handle"))
            })
        };
        fits("account", &self.account) && fits("workspace", &self.workspace)
    }
}

fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

fn text<'a>(place: &'a Value, key: &str) -> &'a str {
    place[key].as_str().unwrap_or_default()
}

/// The workspace among those that a key sees.
pub(in crate::cli) fn choose(found: &Value, wanted: &Wanted) -> Result<Chosen, Failure> {
    let all: Vec<&Value> = found.as_array().into_iter().flatten().collect();
    let fitting: Vec<&Value> = all.iter().copied().filter(|place| wanted.fits(place)).collect();
    let name = |place: &Value| {
        format!("{}/{}", text(place, "account_handle"), text(place, "workspace_handle"))
    };
    let told = |places: &[&Value]| {
        let one = |place: &&Value| format!("{} ({})", name(place), text(place, "workspace_id"));
        places.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match (&fitting[..], wanted.ids()) {
        ([only], _) => Ok(Chosen {
            account: text(only, "account_id").to_owned(),
            workspace: text(only, "workspace_id").to_owned(),
            place: name(only),
        }),
        // A service account's key may see no list; whoever names ids is believed, and asked by what follows.
        ([], Some((account, workspace))) if all.is_empty() => {
            let place = format!("{account}/{workspace}");
            Ok(Chosen { account, workspace, place })
        }
        ([], _) if all.is_empty() => Err(Failure::NotFound(
            "the key sees no workspace: name one with --workspace ACCOUNT_ID/WORKSPACE_ID"
                .to_owned(),
        )),
        ([], _) => Err(Failure::NotFound(format!("no such workspace; there are {}", told(&all)))),
        (several, _) => {
            Err(Failure::No(format!("choose with --workspace: the key sees {}", told(several))))
        }
    }
}

/// The account that is meant, among those of which a key sees a workspace, or which it belongs to.
pub(super) async fn account(remote: &Remote, wanted: &Wanted) -> Result<String, Failure> {
    if let Some(account) = wanted.account.as_ref().filter(|account| is_id(account)) {
        return Ok(account.clone());
    }
    let mut all: Vec<(String, String)> = Vec::new();
    for path in ["/api/me/workspaces", "/api/me/accounts"] {
        let found = remote.ask(Method::GET, path, None).await?;
        for place in
            found.as_array().into_iter().flatten().filter(|place| wanted.fits_account(place))
        {
            let id = text(place, "account_id").to_owned();
            if all.iter().all(|(known, _)| *known != id) {
                all.push((id, text(place, "account_handle").to_owned()));
            }
        }
        if !all.is_empty() {
            break;
        }
    }
    match &all[..] {
        [(id, _)] => Ok(id.clone()),
        [] => Err(Failure::NotFound("no such account: name one with --account ID".to_owned())),
        several => {
            let names: Vec<_> = several.iter().map(|(_, handle)| handle.as_str()).collect();
            let names = names.join(", ");
            Err(Failure::No(format!("choose with --account: the key sees {names}")))
        }
    }
}

impl Wanted {
    fn fits_account(&self, place: &Value) -> bool {
        Self { workspace: None, account: self.account.clone() }.fits(place)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "11111111-1111-4111-8111-111111111111";
    const W: &str = "22222222-2222-4222-8222-222222222222";

    fn chosen(account: Option<&str>, workspace: Option<&str>, found: &Value) -> String {
        let address = Address::parse("https://gate.example").expect("an address");
        match choose(found, &Wanted::new(account, workspace, &address)) {
            Ok(chosen) => format!("{} is {}", chosen.place, chosen.workspace),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn one_that_fits_or_none() {
        let place = |account: &str, workspace: &str, id: &str| {
            json!({
                "account_id": A, "account_handle": account,
                "workspace_id": id, "workspace_handle": workspace,
            })
        };
        let two = json!([place("acme", "main", W), place("acme", "test", A)]);
        assert_eq!(chosen(None, Some("main"), &two), format!("acme/main is {W}"));
        assert_eq!(chosen(None, Some("acme/test"), &two), format!("acme/test is {A}"));
        assert_eq!(chosen(None, Some(W), &two), format!("acme/main is {W}"));
        let all = format!("acme/main ({W}), acme/test ({A})");
        let choose = format!("choose with --workspace: the key sees {all}");
        assert_eq!(chosen(None, None, &two), choose);
        assert_eq!(chosen(Some("acme"), None, &two), choose);
        let none = format!("no such workspace; there are {all}");
        assert_eq!(chosen(None, Some("other/main"), &two), none);
        assert!(chosen(None, None, &json!([])).starts_with("the key sees no workspace"));
        let believed = format!("{A}/{W}");
        assert_eq!(chosen(None, Some(&believed), &json!([])), format!("{believed} is {W}"));
        let nowhere = format!("{W}/{A}");
        assert_eq!(chosen(None, Some(&nowhere), &two), none, "an id that is in no list");
        let loud = W.to_uppercase();
        assert_eq!(chosen(None, Some(&loud), &two), format!("acme/main is {W}"));
    }

    #[test]
    fn flags_beat_the_address() {
        let address = Address::parse(&format!("https://g.example/api/accounts/{A}/workspaces/{W}"));
        let address = address.expect("an address");
        let ids = |account, workspace| Wanted::new(account, workspace, &address).ids();
        assert_eq!(ids(None, None), Some((A.to_owned(), W.to_owned())));
        assert_eq!(ids(None, Some(A)), Some((A.to_owned(), A.to_owned())));
        assert_eq!(ids(None, Some("main")), None);
        assert_eq!(ids(Some("other"), None), None);
    }
}
