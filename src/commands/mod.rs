//! One verb a file. Commands put the stages together and decide the exit code; they use `anyhow`, and
//! log an error once, where it stops.

mod backup;
#[cfg(feature = "embedded")]
mod company;
mod completions;
mod config_check;
mod deliver;
#[cfg(feature = "embedded")]
mod demo;
mod dispatch;
mod inspecting;
mod list;
mod man;
mod restore;
mod setup;
mod show;
mod signals;
#[cfg(feature = "embedded")]
mod tape;

pub use dispatch::run;
