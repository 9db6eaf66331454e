//! The operator's own check of a set: a program, its exit status and its last words.
//!
//! No shell is involved: the set's path is one argument or part of one, whatever characters it has.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::children::Group;
use crate::config::Check;
use crate::formats::{Judgement, Note};
use crate::model::{Severity, Verdict};

/// Bytes of each output stream that are kept, from its end.
const KEPT: usize = 4096;
/// Lines of output that go into the verdict.
const LINES: usize = 3;
/// How long output is still waited for after the program's end: a child of its may hold it open.
const OUTPUT_TIME: Duration = Duration::from_secs(2);
/// How long one that is given up may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It ended with 0.
    Passed(String),
    /// It ended otherwise.
    Failed(String),
    /// It could not be started, or did not end in time: nothing is known.
    Unknown(String),
}

impl Checked {
    /// Writes the outcome into a judgement. A set that the check passes is whole; one that it does not
    /// pass is cut short; where it gave no answer the verdict stays, and that is an error.
    pub fn apply(self, judgement: &mut Judgement) {
        match self {
            Self::Passed(how) => judgement.verdict = Verdict::Whole { how },
            Self::Failed(why) => judgement.verdict = Verdict::CutShort { why },
            Self::Unknown(text) => judgement.notes.push(Note { severity: Severity::Error, text }),
        }
    }
}

/// Runs the check on the file or folder at `path`. A program that takes too long, or that nobody waits for any more,
/// is ended with all that it started: SIGTERM, then SIGKILL.
pub async fn run(check: &Check, path: &Path) -> Checked {
    let Some((program, arguments)) = check.command.split_first() else {
        return Checked::Unknown("check_command is empty".to_owned());
    };
    let mut command = Command::new(with_path(program, path));
    command
        .args(arguments.iter().map(|argument| with_path(argument, path)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Group::lead(&mut command);
    // What it says goes into the manifest: it is not handed the keys of the bucket or of what is encrypted.
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy();
        if known.starts_with("AWS_") || known.starts_with("DBBACKUP_") {
            command.env_remove(&name);
        }
    }
    let mut running = match command.spawn() {
        Ok(child) => Group::of(child, GRACE),
        Err(error) => {
            return Checked::Unknown(format!("check_command `{program}` could not be started: {error}"));
        }
    };
    let out = tokio::spawn(last_bytes(running.child().stdout.take()));
    let err = tokio::spawn(last_bytes(running.child().stderr.take()));
    let status = match tokio::time::timeout(check.timeout, running.wait()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            return Checked::Unknown(format!("check_command `{program}` could not be waited for: {error}"));
        }
        Err(_) => {
            running.end().await;
            return Checked::Unknown(format!(
                "check_command `{program}` did not end within {} s and was stopped",
                check.timeout.as_secs()
            ));
        }
    };
    let mut words = Vec::new();
    for output in [out, err] {
        if let Ok(Ok(bytes)) = tokio::time::timeout(OUTPUT_TIME, output).await {
            words.extend(last_lines(&bytes));
        }
    }
    let said = if words.is_empty() { String::new() } else { format!(": {}", words.join(" | ")) };
    if status.success() {
        Checked::Passed(format!("check_command `{program}` passed it{said}"))
    } else {
        Checked::Failed(format!("check_command `{program}` ended with {status}{said}"))
    }
}

fn with_path(argument: &str, path: &Path) -> OsString {
    let parts: Vec<&[u8]> = argument.split(Check::PLACE).map(str::as_bytes).collect();
    OsString::from_vec(parts.join(path.as_os_str().as_bytes()))
}

async fn last_bytes(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = vec![0; KEPT];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().chars().filter(|c| !c.is_control()).take(160).collect::<String>())
        .filter(|line| !line.is_empty())
        .collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str]) -> Check {
        Check {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            timeout: Duration::from_mins(1),
        }
    }

    #[tokio::test]
    async fn path_is_one_argument_whatever_is_in_it() {
        let path = Path::new("/srv/a b; echo $HOME.bak");
        let Checked::Passed(said) = run(&check(&["printf", "<%s>", "{path}"]), path).await else {
            panic!("printf failed")
        };
        assert!(said.ends_with("</srv/a b; echo $HOME.bak>"), "{said}");
    }

    #[tokio::test]
    async fn exit_status_and_last_lines_are_told() {
        let failing = check(&["sh", "-c", "seq 9; echo torn page >&2; exit 3"]);
        let Checked::Failed(said) = run(&failing, Path::new("/a")).await else { panic!("passed") };
        assert!(said.contains("exit status: 3") && said.contains("7 | 8 | 9 | torn page"), "{said}");
    }

    #[tokio::test]
    async fn check_that_cannot_start_or_does_not_end_says_nothing_of_the_set() {
        let missing = run(&check(&["/nonexistent/check"]), Path::new("/a")).await;
        assert!(matches!(missing, Checked::Unknown(_)));
        let slow = Check { timeout: Duration::from_millis(50), ..check(&["sleep", "60"]) };
        assert!(matches!(run(&slow, Path::new("/a")).await, Checked::Unknown(_)));
    }

    /// A check that notes the number of a child of its, which would run for ten minutes.
    fn with_child(dir: &Path, timeout: Duration) -> (Check, std::path::PathBuf) {
        let note = dir.join("child");
        let script = format!("sleep 611 & echo $! >{0}.new; mv {0}.new {0}; wait", note.display());
        (Check { timeout, ..check(&["sh", "-c", &script]) }, note)
    }

    async fn is_gone(note: &Path) -> bool {
        let child = std::fs::read_to_string(note).unwrap();
        for _ in 0..500 {
            // One that was ended stays as a zombie where nobody asks for it.
            let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn check_that_takes_too_long_leaves_no_child_of_its_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (slow, note) = with_child(dir.path(), Duration::from_millis(500));
        assert!(matches!(run(&slow, Path::new("/a")).await, Checked::Unknown(_)));
        assert!(is_gone(&note).await);
    }

    #[tokio::test]
    async fn check_that_nobody_waits_for_leaves_no_child_of_its_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (slow, note) = with_child(dir.path(), Duration::from_mins(10));
        let begun = async {
            while !note.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = run(&slow, Path::new("/a")) => panic!("it ended"),
            () = begun => {}
        }
        assert!(is_gone(&note).await);
    }
}
