//! One verb a file. Commands put the stages together and decide the exit code; they use `anyhow`, and
//! log an error once, where it stops.

mod adopt;
mod backup;
mod check;
#[cfg(feature = "embedded")]
mod company;
mod completions;
mod config_check;
mod deadline;
mod deliver;
#[cfg(feature = "embedded")]
mod demo;
mod dispatch;
mod drill;
mod earlier;
mod estimate;
mod expected;
mod found;
mod inspecting;
mod late;
mod line;
mod list;
mod man;
mod on_disk;
mod placing;
mod policy;
mod record;
mod restore;
mod retrieve;
mod setup;
mod show;
mod signals;
mod status;
mod steps;
#[cfg(feature = "embedded")]
mod tape;
mod telling;
mod verify;
mod zone;

pub use dispatch::run;
