//! The check once more, with the environment that cron gives and nothing else.

use std::process::Command;

use anyhow::Context as _;

use super::super::setup::Failure;
use super::local;
use crate::cli::{CheckArgs, Global};
use crate::model::ExitCode;

/// What cron(8) sets: HOME, LOGNAME, PATH and SHELL.
pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<ExitCode, Failure> {
    let program = std::env::current_exe().context("find this program")?;
    let uid = rustix::process::geteuid().as_raw();
    let (name, home, _) =
        local::passwd(uid).unwrap_or_else(|| (uid.to_string(), "/".to_owned(), String::new()));
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", &home)
        .env("LOGNAME", name)
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .args(words(args, global))
        .stdin(std::process::Stdio::null());
    if let Some(path) = &global.config {
        // It is relative to here, and cron begins at home.
        let path = std::path::absolute(path).context("find the configuration file")?;
        command.arg("--config").arg(path);
    }
    if std::path::Path::new(&home).is_dir() {
        command.current_dir(&home);
    }
    let status = command.status().context("run this program again as cron would")?;
    Ok(match status.code() {
        Some(0) => ExitCode::Done,
        Some(2) => ExitCode::Usage,
        Some(5) => ExitCode::NoBucket,
        _ => ExitCode::Failed,
    })
}

fn words(args: &CheckArgs, global: &Global) -> Vec<&'static str> {
    let mut words = vec!["check"];
    let flags = [
        (args.json, "--json"),
        (args.speed, "--speed"),
        (args.read_only, "--read-only"),
        (args.report, "--report"),
        (global.quiet, "--quiet"),
        (global.verbose > 0, "--verbose"),
    ];
    words.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word));
    words
}
