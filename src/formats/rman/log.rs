//! RMAN's own log: did a command of it fail?
//!
//! A command that fails ends in a stack (`RMAN-00569: … ERROR MESSAGE STACK FOLLOWS`, then `RMAN-03002`); RMAN prints
//! "Recovery Manager complete." after that too. Other errors are passed: a standby that cannot reach its primary
//! (`RMAN-06820`, `ORA-17629`), a channel whose work another one took over (`RMAN-03009`, `ORA-19504`). Those
//! count only where the log shows nothing of a good end behind them.

use std::io;

use super::Piece;

/// Bytes of a log that are looked at, from its end: RMAN prints its error stack last.
const TAIL: usize = 256 << 10;

/// What a log says; a file without RMAN's words says that nothing failed.
pub(super) enum Log {
    /// A command failed; the line that says so.
    Failed(String),
    /// None did.
    Ended {
        /// RMAN says that it came to its end.
        complete: bool,
        /// The first error after which it went on.
        passing: Option<String>,
    },
}

pub(super) fn read(log: &Piece<'_>) -> io::Result<Log> {
    let bytes = log.content.bytes_at(log.size.saturating_sub(TAIL as u64), TAIL)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    if let Some(at) = lines.iter().position(|line| is_stack(line)) {
        // The stack's first line is only a frame of `=`; the one with the cause says more.
        let behind = lines.get(at..).unwrap_or_default();
        let cause = behind.iter().find(|line| is_error(line) && !line.contains("RMAN-00569"));
        return Ok(Log::Failed(shown(cause.or(behind.first()).copied().unwrap_or_default())));
    }
    let good_end =
        |line: &&str| line.contains("Finished backup") || line.contains("Recovery Manager complete.");
    let ended = lines.iter().rposition(good_end);
    let mut errors = lines.iter().enumerate().filter(|(_, line)| is_error(line));
    if let Some((_, line)) = errors.clone().find(|(at, _)| ended < Some(*at)) {
        return Ok(Log::Failed(shown(line)));
    }
    let passing = errors.next().map(|(_, line)| shown(line));
    Ok(Log::Ended { complete: text.contains("Recovery Manager complete."), passing })
}

/// A line of the stack that a command which failed leaves.
fn is_stack(line: &str) -> bool {
    line.contains("RMAN-00569") || line.contains("RMAN-03002")
}

fn is_error(line: &str) -> bool {
    let coded = |mark: &str| {
        line.split(mark).skip(1).any(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() >= 4)
    };
    is_stack(line) || line.contains("RMAN-03009") || coded("ORA-")
}

fn shown(line: &str) -> String {
    line.trim().chars().filter(|c| !c.is_control()).take(160).collect()
}
