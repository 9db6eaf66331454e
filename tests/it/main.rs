//! Integration tests in one binary, so that the SDK links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it says"
)]
#![allow(unreachable_pub, reason = "one binary: nothing outside can reach it anyway")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "what the tests share may end a test as the tests themselves may"
)]

mod backing_up;
mod command_line;
mod embedded;
mod embedded_faults;
mod every_call;
mod interrupted;
mod looking;
mod other_stores;
mod proof;
mod restoring;
mod sources;
mod support;
mod transfer_faults;
mod write_only;
