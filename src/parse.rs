//! Bytes and media type to what a template sees as `body` (contract 2.3). Pure.

use std::sync::Arc;

use bytes::Bytes;

use crate::json::{Document, Fault, Limits};

/// A body as templates see it.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing was sent, or the method has no body: an empty string to templates.
    Empty,
    /// JSON, indexed over the request's own bytes.
    Json(Arc<Document>),
    /// A form: names and values decoded, the last of a repeated name.
    Form(Vec<(String, String)>),
    /// Anything else, as text.
    Text(String),
}

/// Parses a decoded body. Only too much (depth, nodes, form fields) is a fault; a broken JSON body is text.
///
/// # Errors
/// [`Fault`] with `TooDeep` or `TooMany`.
pub fn parse(media_type: Option<&str>, bytes: Bytes, limits: Limits) -> Result<Body, Fault> {
    let _ = (media_type, bytes, limits);
    todo!()
}
