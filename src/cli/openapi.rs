//! `hookgate openapi`: the document of the API, without a server. In: nothing. Out: what `/api/openapi.json` serves.

use super::output::{Failure, print_text};
use crate::api;

pub(super) const EXAMPLE: &str = "\
Example:
  hookgate openapi | jq '.paths | keys'

A running gateway serves the same at /api/openapi.json.";

/// Prints the document.
pub(super) fn run() -> Result<(), Failure> {
    print_text(api::openapi())
}
