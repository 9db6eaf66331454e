//! `dbbackup estimate FILE…`: what each form of compression would cost and win here, over this line.

use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::{Cell, CellAlignment};
use serde::Serialize;

use super::line::{self, Measured};
use super::setup::{Failure, Site};
use crate::bucket::ObjectKey;
use crate::estimate::{self, Estimate, Sample};
use crate::model::{ExitCode, Rate};
use crate::{report, ui};

#[derive(Debug, Serialize)]
struct Document {
    line_bytes_per_second: u64,
    files: Vec<FileEstimate>,
}

#[derive(Debug, Serialize)]
struct FileEstimate {
    path: PathBuf,
    size: u64,
    compressed: bool,
    forms: Vec<Estimate>,
    soonest: Option<String>,
}

/// Where the line's rate comes from.
#[derive(Debug)]
pub(super) enum Line {
    /// Parts of an upload that never ends.
    Measured(Box<Site>),
    /// The operator.
    Told(Rate),
}

/// Measures, and prints what it would come to.
pub(super) async fn estimate(
    line: Line,
    paths: Vec<PathBuf>,
    json: bool,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let quiet = quiet || json;
    let notice = move |text: &str| {
        if !quiet {
            ui::notice(text);
        }
    };
    for path in &paths {
        crate::source::may_read(path).with_context(|| format!("estimate {}", path.display()))?;
    }
    let (line, rate) = match line {
        Line::Told(rate) => (rate, rate.to_string()),
        Line::Measured(site) => {
            notice(&format!("measuring the line to {}", site.bucket.name()));
            let rate = measured(&site).await?;
            (rate, crate::transfer::rate(rate.bytes(), 1.0))
        }
    };
    let mut files = Vec::new();
    for path in paths {
        let (from, at) = (path.clone(), path.display().to_string());
        let told = at.clone();
        let work = move || {
            let sample = Sample::read(&from)?;
            let (size, compressed) = (sample.size, sample.compressed);
            let forms = sample.estimate(line, |form| notice(&format!("{told}: {form}")))?;
            Ok::<_, std::io::Error>((size, compressed, forms))
        };
        let (size, compressed, forms) = tokio::task::spawn_blocking(work)
            .await
            .map_err(anyhow::Error::from)?
            .with_context(|| format!("estimate {at}"))?;
        let soonest = estimate::soonest(&forms).map(|form| estimate::name(form.compress));
        files.push(FileEstimate { path, size, compressed, forms, soonest });
    }
    let document = Document { line_bytes_per_second: line.bytes(), files };
    let text = if json {
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else {
        text(&document, &rate)
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    Ok(ExitCode::Done)
}

/// The rate at which parts go to the bucket, several at once as in a backup.
async fn measured(site: &Site) -> Result<Rate, Failure> {
    let host = crate::source::host_name();
    let key = ObjectKey::new(format!("{}_runs/host={host}/estimate", site.bucket.layout().prefix()))
        .map_err(anyhow::Error::from)?;
    let Measured { bytes, took } = line::measure(&site.bucket, &key).await?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "it is above zero and small"
    )]
    let rate = (bytes as f64 / took.as_secs_f64().max(1e-3)) as u64;
    Ok(Rate::bytes_per_second(rate))
}

fn text(document: &Document, line: &str) -> String {
    use std::fmt::Write as _;
    let mut text = format!("Line: {line}\n");
    for file in &document.files {
        let _infallible = writeln!(text, "\n{} ({})", file.path.display(), report::bytes(file.size));
        if file.compressed {
            text.push_str("It is compressed already; a backup sends it as it is.\n");
        }
        let mut table = report::plain(&["compress", "Stored", "Of it", "Time", "Held by", "CPU"]);
        for form in &file.forms {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(estimate::name(form.compress)),
                right(report::bytes(form.stored)),
                right(percent(form.stored, file.size)),
                right(seconds(form.seconds())),
                Cell::new(if form.encode_seconds > form.line_seconds { "CPU" } else { "line" }),
                right(seconds(form.cpu_seconds)),
            ]);
        }
        let _infallible = writeln!(text, "{table}");
        if let Some(soonest) = file.soonest.as_ref().filter(|_| !file.compressed) {
            let _infallible = writeln!(text, "Soonest done: compress = \"{soonest}\"");
        }
    }
    text
}

fn percent(part: u64, whole: u64) -> String {
    format!("{} %", u128::from(part) * 100 / u128::from(whole.max(1)))
}

fn seconds(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.1} s") } else { format!("{:.1} min", seconds / 60.0) }
}
