//! What a command says at its end.

use crate::causes;
use crate::commands::setup::Failure;
use crate::model::{ExitCode, Severity};
use crate::report::{RunReport, Status};
use crate::ui;

/// Why a command could do nothing, as the one JSON document that was asked for.
pub(super) fn failure_as_json(failure: &Failure, code: ExitCode) {
    let document =
        serde_json::json!({ "error": causes::told(failure.error.as_ref()), "exit_code": code.number() });
    // With standard output closed there is nobody to tell; standard error has it too.
    let _closed = ui::result(&format!("{document:#}"));
}

/// The script's last words, which people and programs look for; before them, what they would hide.
pub(super) fn last_line(report: Option<&RunReport>) {
    if let Some(report) = report {
        let cut_short =
            report.sets.iter().filter(|set| set.status == Status::Sent && set.is_cut_short()).count();
        let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let amiss: Vec<String> = [
            (report.refused, "refused"),
            (report.failed, "failed"),
            (cut_short, "sent although cut short"),
            (errors, "findings"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let warnings = report.findings.len() - errors;
        if warnings > 0 {
            tracing::warn!("warnings: {warnings}, see above; they change no exit code");
        }
        if !amiss.is_empty() {
            tracing::error!("not all is well: {}; see above", amiss.join(", "));
        }
    }
    match report.map_or(0, |report| report.sent) {
        0 => tracing::warn!("No backups were uploaded to S3."),
        sent => tracing::info!("{sent} backups uploaded to S3."),
    }
}
