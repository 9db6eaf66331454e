//! What servers and clients say, and what it means. Pure, but for reading a log.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Output;

/// Whether a client's last words are about the server that it loads into: it has no room or memory, is gone, does not
/// know what the other one knew, or may not do what it is told. Numbers are those of the servers' error messages, 2000
/// to 2999 the client's.
pub(super) fn is_of_the_server(words: &str) -> bool {
    const DISK_FULL: u32 = 1021;
    const NO_MEMORY: [u32; 3] = [1037, 1038, 1041];
    const TABLE_FULL: u32 = 1114;
    /// Character set, variable, collation, engine, routine, value of a variable, plugin.
    const UNKNOWN: [u32; 7] = [1115, 1193, 1231, 1273, 1286, 1305, 1524];
    /// A plugin's library, which a throwaway has none of; a privilege; an option of the server; a server elsewhere,
    /// as a source and for a table that lies there.
    const FORBIDDEN: [u32; 5] = [1126, 1227, 1290, 1429, 1434];
    const CANNOT_CREATE: u32 = 1005;
    /// What is there already, as a file or as a tablespace: left by others where a table names a place for its data.
    const THERE: [&str; 2] = ["errno: 17 ", "errno: 184 "];
    let Some(rest) = words.strip_prefix("ERROR ") else { return true };
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    // Without a number it is the client that does not understand.
    digits.parse().map_or(true, |code: u32| {
        code == DISK_FULL
            || code == TABLE_FULL
            || NO_MEMORY.contains(&code)
            || UNKNOWN.contains(&code)
            || FORBIDDEN.contains(&code)
            || (code == CANNOT_CREATE && THERE.iter().any(|errno| rest.contains(errno)))
            || (2000..3000).contains(&code)
    }) || ["o space left", "errno: 28", "Errcode: 13", "errno: 13"].iter().any(|words| rest.contains(words))
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

/// The last error of a log that a server wrote into its own directory, which may have become anything else meanwhile.
pub(super) fn tail(log: &Path) -> String {
    const KEPT: u64 = 64 << 10;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(log);
    let mut bytes = Vec::new();
    if let Ok(mut file) = file
        && let Ok(about) = file.metadata()
        && about.is_file()
    {
        let from = about.len().saturating_sub(KEPT);
        let _as_far_as_it_goes =
            file.seek(SeekFrom::Start(from)).and_then(|_| file.take(KEPT).read_to_end(&mut bytes));
    }
    let text = String::from_utf8_lossy(&bytes);
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
            "ERROR 1005 (HY000) at line 3: Can't create table `drill`.`a` (errno: 184 \"Tablespace already exists\")",
            "ERROR 1126 (HY000) at line 3: Can't open shared library 'ha_federatedx.so' (errno: 2, cannot open)",
            "ERROR 1290 (HY000) at line 5: The MariaDB server is running with the --secure-file-priv option",
            "ERROR 1227 (42000) at line 5: Access denied; you need (at least one of) the SUPER privilege(s)",
            "ERROR 1 (HY000) at line 5: Can't create/write to file '/srv/x' (Errcode: 13 \"Permission denied\")",
            "signal: 9 (SIGKILL)",
        ] {
            assert!(is_of_the_server(words), "{words}");
        }
        for words in [
            "ERROR 1064 (42000) at line 31: You have an error in your SQL syntax",
            "ERROR 1146 (42S02) at line 31: Table 'drill.orderz' doesn't exist",
            "ERROR 1005 (HY000) at line 3: Can't create table `drill`.`a` (errno: 150 \"Foreign key constraint is \
             incorrectly formed\")",
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
