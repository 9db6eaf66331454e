//! What servers and clients say, and what it means. Pure, but for reading a log.

use std::path::Path;
use std::process::Output;

/// Whether a client's last words are about the server that it loads into: it has no room or memory, is gone, or
/// does not know what the other one knew. Numbers are those of the servers' error messages, 2000 to 2999 the client's.
pub(super) fn is_of_the_server(words: &str) -> bool {
    const DISK_FULL: u32 = 1021;
    const NO_MEMORY: [u32; 3] = [1037, 1038, 1041];
    const TABLE_FULL: u32 = 1114;
    /// Character set, variable, collation, engine, routine, value of a variable, plugin.
    const UNKNOWN: [u32; 7] = [1115, 1193, 1231, 1273, 1286, 1305, 1524];
    let Some(rest) = words.strip_prefix("ERROR ") else { return true };
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    // Without a number it is the client that does not understand.
    digits.parse().map_or(true, |code: u32| {
        code == DISK_FULL
            || code == TABLE_FULL
            || NO_MEMORY.contains(&code)
            || UNKNOWN.contains(&code)
            || (2000..3000).contains(&code)
    }) || rest.contains("o space left")
        || rest.contains("errno: 28")
}

/// The rows of a table, from the replies to CHECK TABLE and COUNT.
pub(super) fn sound(reply: &str) -> Result<u64, String> {
    let mut rows = None;
    for line in reply.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        match cells.as_slice() {
            [count] => rows = count.parse().ok(),
            [_, _, "status", "OK"] | [_, _, "note" | "info", _] => {}
            [_, _, kind, what] => return Err(format!("{kind}: {what}")),
            _ => return Err(format!("the server said `{line}`")),
        }
    }
    rows.ok_or_else(|| "its rows were not counted".to_owned())
}

/// What a program said before it failed, on one line. The client repeats the statement, which is the
/// customer's data and belongs in no log: where there is a line of the error itself, only that.
pub(super) fn last_words(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let lines = || said.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty());
    if let Some(error) = lines().find(|line| line.starts_with("ERROR ")) {
        return error.to_owned();
    }
    // Below it the install script tells where to report bugs.
    let telling: Vec<&str> =
        lines().filter(|line| line.contains("[ERROR]") || line.contains("No space left")).collect();
    let said: Vec<&str> = if telling.is_empty() { lines().collect() } else { telling };
    let from = said.len().saturating_sub(3);
    let words = said.get(from..).unwrap_or_default().join(" / ");
    if words.is_empty() { output.status.to_string() } else { words }
}

pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("ERROR")).collect();
    errors.last().copied().unwrap_or("its log has no error").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_room_or_knowledge_is_not_held_against_the_backup() {
        for words in [
            "ERROR 1114 (HY000) at line 40: The table 'orders' is full",
            "ERROR 1030 (HY000) at line 40: Got error 28 \"No space left on device\" from storage engine InnoDB",
            "ERROR 1273 (HY000) at line 20: Unknown collation: 'utf8mb4_0900_ai_ci'",
            "ERROR 2013 (HY000) at line 40: Lost connection to server during query",
            "ERROR 1231 (42000) at line 9: Variable 'sql_mode' can't be set to the value of 'NO_AUTO_CREATE_USER'",
            "ERROR at line 1: Unknown command '\\-'.",
            "signal: 9 (SIGKILL)",
        ] {
            assert!(is_of_the_server(words), "{words}");
        }
        for words in [
            "ERROR 1064 (42000) at line 31: You have an error in your SQL syntax",
            "ERROR 1146 (42S02) at line 31: Table 'drill.orderz' doesn't exist",
        ] {
            assert!(!is_of_the_server(words), "{words}");
        }
    }

    #[test]
    fn only_a_table_whose_check_says_ok_is_sound() {
        assert_eq!(sound("drill.a\tcheck\tstatus\tOK\n7\n"), Ok(7));
        assert_eq!(
            sound("drill.a\tcheck\tnote\tThe storage engine for the table doesn't support check\n0\n"),
            Ok(0)
        );
        assert!(
            sound("drill.a\tcheck\terror\tCorrupt\ndrill.a\tcheck\tstatus\tOperation failed\n7\n").is_err()
        );
        assert!(sound("drill.a\tcheck\twarning\t1 client is using the table\n7\n").is_err());
        assert!(sound("drill.a\tcheck\tstatus\tOK\n").is_err());
        assert!(sound("").is_err());
    }
}
