//! Template and request to text. minijinja stays inside. Pure: no clock, no file; bounded in fuel, bytes and time.

use std::time::Duration;

use http::{HeaderMap, Method};

use crate::request::Body;

/// Bounds of a template and of one rendering.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub source_max_chars: usize,
    pub source_max_bytes: usize,
    pub output_max_bytes: usize,
    pub fuel: u64,
    pub time: Duration,
    pub memory_max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_max_chars: 30_000,
            source_max_bytes: 128 << 10,
            output_max_bytes: 2 << 20,
            fuel: 200_000,
            time: Duration::from_millis(50),
            memory_max_bytes: 32 << 20,
        }
    }
}

/// A template, checked and compiled; shared by all requests of its webhook.
#[derive(Debug)]
pub struct Template(());

/// Why a template does not compile or render.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// What failed, in words an author understands.
    pub message: String,
    /// Line in the template, from 1.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// A budget was used up, rather than a rule broken.
    pub budget: bool,
}

/// What a template sees: exactly these three names. The secret headers are gone already.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    pub body: &'a Body,
}

impl Template {
    /// Checks and compiles a source: size, nesting and chain length before parsing.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn compile(source: &str, limits: Limits) -> Result<Self, RenderError> {
        let _ = (source, limits);
        todo!()
    }

    /// Renders. Needs a thread with a stack of 16 MiB.
    ///
    /// # Errors
    /// What failed, or which budget was used up.
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let _ = context;
        todo!()
    }
}
