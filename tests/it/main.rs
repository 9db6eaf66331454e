//! Integration tests in one binary, so that the SDK links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it says"
)]

mod embedded;
mod embedded_faults;
mod proof;
mod support;
