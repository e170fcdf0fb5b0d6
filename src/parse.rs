//! Bytes and media type to what a template sees as `body` (contract 2.3). Pure.

use bytes::Bytes;

use crate::json::{Fault, Limits};
pub use crate::request::Body;

/// Parses a decoded body. Only too much (depth, nodes, form fields) is a fault; a broken JSON body is text.
///
/// # Errors
/// [`Fault`] with `TooDeep` or `TooMany`.
pub fn parse(media_type: Option<&str>, bytes: Bytes, limits: Limits) -> Result<Body, Fault> {
    let _ = (media_type, bytes, limits);
    todo!()
}
