//! Integration tests in one binary, so that the SDK links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it says"
)]
#![allow(unreachable_pub, reason = "one binary: nothing outside can reach it anyway")]

mod archived;
mod backing_up;
mod check;
mod codec;
mod command_line;
mod drilling;
mod earlier;
mod embedded;
mod embedded_faults;
mod encrypted;
mod estimate;
mod every_call;
mod expired;
mod forged;
mod inspect;
mod interrupted;
mod kills;
mod late;
mod layouts;
mod looking;
mod lost;
mod many_in_one;
mod neighbour;
mod no_room;
mod other_stores;
mod packed;
mod patience;
mod policy;
mod proof;
mod restoring;
mod resuming;
mod sources;
mod steady;
mod support;
mod telling;
mod transfer_faults;
mod write_only;
