use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use chrono::TimeZone as _;

use super::sweep::is_log_name;
use super::*;
use crate::model::Engine;

/// What the terminal got.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Vec<u8>>>);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn file_options(dir: &Path, format: LogFormat) -> FileOptions {
    let started = Local.with_ymd_and_hms(2025, 8, 19, 1, 0, 2).unwrap();
    FileOptions { dir: dir.to_owned(), format, target: Target::One(Engine::Mysql), started }
}

/// Runs `work` with a log of its own; gives the terminal's text and the guard.
fn logged(verbosity: Verbosity, file: Option<FileOptions>, work: impl FnOnce()) -> (String, LogGuard) {
    let terminal = Terminal::default();
    let writer = terminal.clone();
    let options = LogOptions { verbosity, terminal: BoxMakeWriter::new(move || writer.clone()), file };
    let (dispatch, opened) = Log::build(options);
    let guard = tracing::dispatcher::with_default(&dispatch, || {
        let guard = opened.into_guard();
        work();
        guard
    });
    (terminal.text(), guard)
}

#[test]
fn line_has_local_time_with_offset_level_message_and_fields() {
    let (text, _guard) = logged(Verbosity::Normal, None, || {
        tracing::info!(key = "mysql/shop/a b.sql", size = 5, plain = %"x", "sent");
    });
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(rest, "INFO sent key=\"mysql/shop/a b.sql\" size=5 plain=x\n");
    assert_eq!(time.len(), "2025-08-19T01:00:02.123+02:00".len());
    assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
}

#[test]
fn control_characters_of_a_name_stay_in_its_line() {
    let (text, _guard) = logged(Verbosity::Normal, None, || {
        tracing::info!(key = "a\nb\u{1b}[2J", error = %"x\ny", "sent c\r\nd");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.trim_end().chars().all(|c| !c.is_control()), "{text:?}");
}

#[test]
fn quiet_terminal_has_warnings_and_the_file_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let file = Some(file_options(dir.path(), LogFormat::Text));
    let (text, guard) = logged(Verbosity::Quiet, file, || {
        tracing::info!("said");
        tracing::warn!("warned");
        tracing::debug!("hidden");
        tracing::info!(target: "aws_config", "library");
    });
    assert!(text.contains("WARN warned") && !text.contains("said"), "{text}");
    let kept = fs::read_to_string(guard.path().unwrap()).unwrap();
    assert!(kept.contains("INFO said") && kept.contains("WARN warned"), "{kept}");
    assert!(!kept.contains("hidden") && !kept.contains("library"), "{kept}");
}

#[test]
fn debug_lines_of_libraries_are_never_shown() {
    let (text, _guard) = logged(Verbosity::from_flags(false, 9), None, || {
        tracing::trace!("ours");
        tracing::info!(target: "aws_smithy_runtime", "theirs");
        tracing::debug!(target: "aws_smithy_runtime", "signature");
    });
    assert!(text.contains("ours") && text.contains("theirs") && !text.contains("signature"), "{text}");
}

#[test]
fn file_carries_target_and_time_and_is_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("a/b");
    let (_, guard) = logged(Verbosity::Normal, Some(file_options(&logs, LogFormat::Text)), || {});
    let path = guard.path().unwrap();
    assert_eq!(path, logs.join("upload_mysql_20250819_010002.log"));
    assert!(is_log_name(path.file_name().unwrap().to_str().unwrap()));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o137, 0);
    assert_eq!(fs::metadata(&logs).unwrap().permissions().mode() & 0o027, 0);
}

#[test]
fn line_is_in_the_file_before_the_guard_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upload_mysql_20250819_010002.log");
    let (_, _guard) = logged(Verbosity::Normal, Some(file_options(dir.path(), LogFormat::Text)), || {
        tracing::info!("sent");
        assert!(fs::read_to_string(&path).unwrap().ends_with("INFO sent\n"));
    });
}

#[test]
fn json_log_is_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = Some(file_options(dir.path(), LogFormat::Json));
    let (_, guard) = logged(Verbosity::Normal, file, || tracing::info!(key = "a\nb", size = 5, "sent"));
    let text = fs::read_to_string(guard.path().unwrap()).unwrap();
    assert_eq!(text.lines().count(), 1);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["message"], "sent");
    assert_eq!(object["level"], "INFO");
    assert_eq!((object["key"].as_str(), object["size"].as_u64()), (Some("a\nb"), Some(5)));
    assert!(DateTime::parse_from_rfc3339(object["timestamp"].as_str().unwrap()).is_ok());
}

#[test]
fn directory_that_cannot_be_written_is_told_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // Root may write anywhere: a file in the directory's place stops even root.
    let logs = dir.path().join("logs");
    fs::write(&logs, "").unwrap();
    let (text, guard) = logged(Verbosity::Quiet, Some(file_options(&logs, LogFormat::Text)), || {
        tracing::error!("later");
    });
    assert_eq!(guard.path(), None);
    assert!(text.contains("cannot write the log file") && text.contains("[log] dir"), "{text}");
    assert!(text.contains("later"), "{text}");
}

#[test]
fn symbolic_link_in_the_log_files_place_is_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, dir.path().join("upload_mysql_20250819_010002.log")).unwrap();
    let (_, guard) = logged(Verbosity::Normal, Some(file_options(dir.path(), LogFormat::Text)), || {
        tracing::info!("sent");
    });
    assert_eq!(guard.path(), None);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn full_disk_loses_lines_and_not_the_run() {
    let file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let log = LogFile { file: Arc::new(file), lost: Arc::default(), path: "/dev/full".into() };
    let guard = LogGuard { file: Some(log.clone()) };
    let mut writer = log;
    writer.write_all(b"one\n").unwrap();
    writer.write_all(b"two\n").unwrap();
    assert_eq!(guard.lost_lines(), 2);
}

#[test]
fn sweep_takes_old_files_of_the_exact_name_and_nothing_else() {
    const DAY: u64 = 24 * 3600;
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let make = |name: &str, days: u64| {
        let path = dir.path().join(name);
        let file = File::create(&path).unwrap();
        file.set_modified(now - Duration::from_secs(days * DAY + 60)).unwrap();
        path
    };
    let gone: Vec<PathBuf> = ["all", "mssql", "mysql", "oracle"]
        .map(|target| make(&format!("upload_{target}_20250101_010002.log"), 90))
        .to_vec();
    let kept = [
        make("upload_all_20250102_010002.log", 89),
        make("upload_all_20250103_010002.log", 200),
        make("upload_all_.log", 200),
        make("upload_all_20250101_010002.log.gz", 200),
        make("upload_all_20250101_010002.log.1", 200),
        make("upload_ALL_20250101_010002.log", 200),
        make("upload_postgres_20250101_010002.log", 200),
        make("upload_all_20250230_010002.log", 200),
        make("upload_all_20250101_250002.log", 200),
        make("upload_all_20250101-010002.log", 200),
        make("xupload_all_20250101_010002.log", 200),
        make("upload_all_2025010_0100021.log", 200),
        make("syslog", 200),
    ];
    let folder = dir.path().join("upload_all_20250104_010002.log");
    fs::create_dir(&folder).unwrap();
    File::open(&folder).unwrap().set_modified(now - Duration::from_secs(200 * DAY)).unwrap();
    let link = dir.path().join("upload_all_20250105_010002.log");
    symlink(dir.path().join("syslog"), &link).unwrap();

    let report = sweep(dir.path(), 90, now, Some(&kept[1]));

    assert_eq!(report, SweepReport { removed: gone.clone(), failed: Vec::new() });
    assert!(gone.iter().all(|path| !path.exists()));
    assert!(kept.iter().all(|path| path.exists()));
    assert!(folder.exists() && link.is_symlink());
}

#[test]
fn sweep_of_a_directory_that_is_not_there_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let report = sweep(&dir.path().join("none"), 90, SystemTime::now(), None);
    assert_eq!((report.removed.len(), report.failed.len()), (0, 1));
}
