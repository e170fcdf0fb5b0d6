//! hookgate: a webhook comes in, a template makes an event of it, the answer is given once that is durable,
//! and everything arrives downstream at a pace.
//!
//! Two promises hold everywhere: nobody is told "ok" before request and events are on stable storage, and what
//! happens downstream never reaches the sender until the spool is full. Modules stand in the order a request meets
//! them; an import points only to a lower floor (ARCHITECTURE.md; `tests/it/tidy.rs` holds it).

// Ground: names, time, text.
mod apart;
pub mod clock;
pub mod id;
pub mod json;
#[cfg(test)]
mod lone;
pub mod telemetry;

// Words: the way in, the way out.
pub mod event;
pub mod request;

// Rules: pure, no I/O, no clock, no telemetry.
pub mod catalogue;
pub mod filter;
pub mod limit;
pub mod parse;
pub mod verify;

pub mod render;

// Edges: a socket, or a file.
pub mod accept;

pub mod fetch;
pub mod journal;

pub mod seal;

// Keeps: durable, strangers to HTTP.
pub mod store;

pub mod shelf;
pub mod spool;

// An index of what is kept.
pub mod feed;

// Planes: each its own way, none knows another.
pub mod admin;
pub mod api;
pub mod forward;
pub mod hooks;

// Assembly: knows everything, decides nothing. The fuzzer has no use for commands, and would build them for minutes.
#[cfg(not(fuzzing))]
pub mod cli;
pub mod config;
#[cfg(not(fuzzing))]
pub mod serve;
