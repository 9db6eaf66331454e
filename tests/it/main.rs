//! Integration tests in one binary, so that the SDK links once.

mod embedded;
mod embedded_faults;
mod support;
