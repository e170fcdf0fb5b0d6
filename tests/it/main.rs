//! The integration tests: one binary, a real gateway on port 0, data as files. `HOOKGATE_BLESS=1` rewrites goldens.
mod accept;
mod cases;
mod checked;
mod gateway;
mod given;
mod jinja;
mod paid;
mod render;
mod secured;
mod supplied;
mod tested;
mod tidied;
mod tidy;
mod told;
mod verified;
