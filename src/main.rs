//! Parse, start the log, run, exit code. Everything else is in the library.

fn main() {}
