//! One verb a file. Commands put the stages together and decide the exit code; they use `anyhow`, and
//! log an error once, where it stops.

pub mod backup;
pub mod completions;
pub mod config_check;
pub mod list;
pub mod man;
pub mod restore;
mod setup;

pub use setup::{Failure, Site};
