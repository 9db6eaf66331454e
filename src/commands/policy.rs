//! `dbbackup policy ROLE`: the policy on standard output, what it cannot know on standard error.

use super::setup::Failure;
use crate::cli::PolicyArgs;
use crate::config::Config;
use crate::model::ExitCode;
use crate::policy::{self, Hosts};
use crate::ui;

/// Prints the policy; no byte goes over the network.
pub(super) fn policy(config: &Config, args: &PolicyArgs, quiet: bool) -> Result<ExitCode, Failure> {
    let hosts = if args.any_host { Hosts::Any } else { Hosts::One };
    // As the AWS chain does where the configuration names none; a profile's region is not looked up.
    let region = config.s3.region.clone().or_else(|| {
        ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|region| !region.is_empty()))
    });
    let rendered = policy::render(args.role, &config.s3, region.as_deref(), hosts, args.kms_key.as_deref())
        .map_err(Failure::usage)?;
    ui::result(&rendered.text).map_err(anyhow::Error::from)?;
    if !quiet {
        for note in &rendered.notes {
            ui::notice(&format!("note: {note}"));
        }
    }
    Ok(ExitCode::Done)
}
