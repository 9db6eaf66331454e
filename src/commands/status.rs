//! `dbbackup status`: how old each app's newest good backup is, from the bucket alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use anyhow::Context as _;
use chrono::{Local, Utc};

use super::setup::{Failure, Site};
use crate::bucket::Listed;
use crate::catalog::Entry;
use crate::config::Config;
use crate::model::{Engine, ExitCode, Finding, Severity};
use crate::status::{self, App, State};
use crate::{report, ui};

/// How it is told.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// A table.
    Table,
    /// One JSON document.
    Json,
    /// One line, and exit codes 0, 1, 2.
    Nagios,
    /// A file for the node exporter's textfile collector.
    Metrics(PathBuf),
}

/// Tells, and says with the exit code whether any app is critical.
pub(super) async fn status(config: &Config, form: Form) -> Result<ExitCode, Failure> {
    let (apps, findings) = match look(config).await {
        Ok(seen) => seen,
        // A monitor takes the line and the code; both must say that nothing is known.
        Err(failure) if matches!(form, Form::Nagios) => {
            let line = format!("DBBACKUP CRITICAL - {}", crate::causes::told(failure.error.as_ref()))
                .replace(['|', '\n'], " ");
            ui::result(&line).map_err(anyhow::Error::from)?;
            return Ok(ExitCode::Usage);
        }
        Err(failure) => {
            // The file of yesterday would go on saying that all is well.
            if let Form::Metrics(path) = &form {
                replace(path, &status::metrics(&[], 0, Utc::now()))
                    .unwrap_or_else(|error| tracing::warn!("write metrics to {}: {error}", path.display()));
            }
            return Err(failure);
        }
    };
    let unreadable: Vec<&Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let state = status::overall(&apps, unreadable.len());
    let text = match &form {
        Form::Table => table(&apps, &findings),
        Form::Json => {
            let document = serde_json::json!({ "state": state, "apps": apps, "findings": findings });
            serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
        }
        Form::Nagios => status::nagios(&apps, &unreadable).1,
        Form::Metrics(path) => {
            let text = status::metrics(&apps, unreadable.len(), Utc::now());
            replace(path, &text).with_context(|| format!("write metrics to {}", path.display()))?;
            String::new()
        }
    };
    if !text.is_empty() {
        ui::result(&text).map_err(anyhow::Error::from)?;
    }
    Ok(match (state, &form) {
        // Nagios' own codes: 1 is a warning and 2 critical.
        (State::Warning, Form::Nagios) => ExitCode::Failed,
        (State::Critical, Form::Nagios) => ExitCode::Usage,
        (State::Retired | State::Ok | State::Warning, _) => ExitCode::Done,
        (State::Critical, _) => ExitCode::Failed,
    })
}

async fn look(config: &Config) -> Result<(Vec<App>, Vec<Finding>), Failure> {
    let site = Site::new(config).await?;
    let loaded = site.catalog.load("").await?;
    let mut listed: Vec<Listed> = Vec::new();
    for engine in Engine::ALL {
        let prefix = format!("{}{engine}/", site.bucket.layout().prefix());
        let objects =
            site.policy.run("list the bucket", &AtomicU32::new(0), || site.bucket.list(&prefix)).await?;
        listed.extend(objects);
    }
    let entries: Vec<Entry> = loaded.entries.into_values().collect();
    let now = Local::now().naive_local();
    let mut apps = status::judge(&entries, &listed, &config.expect, now);
    apps.extend(status::emptied(&apps, loaded.expired.entries.keys(), &config.expect, now));
    let mut findings = loaded.findings;
    findings.extend(status::day_directories(&entries, &config.expect));
    Ok((apps, findings))
}

/// The collector must never see half a file: written beside it, then renamed. It runs as another user,
/// so everybody may read it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".dbbackup-").tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn table(apps: &[App], findings: &[Finding]) -> String {
    use std::fmt::Write as _;
    let mut text = report::status_table(apps, Utc::now());
    text.push('\n');
    for app in apps {
        for why in &app.why {
            let _infallible = writeln!(text, "{}: {why}", app.name());
        }
    }
    for finding in findings {
        let _infallible = writeln!(text, "{}: {}; {}", finding.subject, finding.what, finding.advice);
    }
    if apps.is_empty() {
        text.push_str("The bucket has no backup, and none is expected.\n");
    }
    text
}
