//! Finds credentials in the file, before anything else looks at a value.
//!
//! What must stay true: a value that was found to be a secret is in no message.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Check;
use super::error::Report;
use crate::printable::printable;

const WHERE: &str = "credentials do not belong in this file and are never read from it: leave them to the AWS \
    chain (environment, a profile of ~/.aws named by [s3] profile, credential_process, SSO, an instance or \
    container role), then delete this line and replace the exposed key";

/// Reports every secret in the document.
pub(super) fn refuse(document: &DeTable<'_>, report: &mut Report<'_>) {
    walk(document, "", report);
}

fn walk(table: &DeTable<'_>, section: &str, report: &mut Report<'_>) {
    for (key, value) in table {
        let name = key.get_ref();
        let label = label(section, name);
        if is_secret_name(name) || looks_secret(name) {
            report.add(&key.span(), label, format!("its name says that it holds a secret; {WHERE}"));
        } else {
            look(value, &label, name, report);
        }
    }
}

fn look(value: &Spanned<DeValue<'_>>, label: &str, name: &str, report: &mut Report<'_>) {
    match value.get_ref() {
        DeValue::String(text) => refuse_text(text, &value.span(), label, report),
        DeValue::Array(values) => {
            for value in values {
                look(value, label, name, report);
            }
        }
        DeValue::Table(table) => walk(table, name, report),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn refuse_text(text: &str, span: &Range<usize>, label: &str, report: &mut Report<'_>) {
    if has_userinfo(text) {
        report.add(span, label, format!("a user or password before `@` in a URL is a secret; {WHERE}"));
    } else if looks_secret(text) {
        report.add(span, label, format!("the value looks like an AWS key; {WHERE}"));
    }
}

/// `[section] key`, with a key that is itself a secret left out.
pub(super) fn label(section: &str, key: &str) -> String {
    let shown = if looks_secret(key) || has_userinfo(key) { "(hidden)".into() } else { short(key) };
    if section.is_empty() { shown } else { format!("[{section}] {shown}") }
}

/// Control characters escaped, cut where it gets long.
pub(super) fn short(text: &str) -> String {
    let mut shown = printable(&text.chars().take(60).collect::<String>());
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// The words of a command, those hidden that look like a password: what follows a flag for one, or is joined to it.
/// Where the path goes is never one.
pub(super) fn masked(command: &[String]) -> Vec<String> {
    const HIDDEN: &str = "***";
    let is_flag = |word: &str| matches!(word, "-P" | "-p") || (word.starts_with('-') && is_secret_name(word));
    let mut hide = false;
    let mask = |word: &String| {
        // As `mysql -pSECRET` has it.
        if word.contains(Check::PLACE) {
            hide = false;
            return word.clone();
        }
        let glued = word.len() > 2 && word.starts_with("-p");
        let joined = word.split_once(['=', ':']).filter(|(name, _)| is_secret_name(name) || *name == "pwd");
        let shown = match joined {
            _ if hide => HIDDEN.to_owned(),
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None if glued => format!("-p{HIDDEN}"),
            None => word.clone(),
        };
        hide = joined.is_none() && !glued && is_flag(word);
        shown
    };
    command.iter().map(mask).collect()
}

fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let parts =
        ["secret", "password", "passwd", "passphrase", "accesskey", "sessiontoken", "token", "credential"];
    plain.starts_with("aws") || parts.iter().any(|part| plain.contains(part))
}

/// An access key id anywhere in the text (`AKIA`/`ASIA` and 16 capitals or digits, AWS IAM user
/// guide), or a text that has exactly the form of a secret access key.
pub(super) fn looks_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    let key_id = bytes.windows(20).any(|window| {
        (window.starts_with(b"AKIA") || window.starts_with(b"ASIA"))
            && window.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    // A path of 40 characters begins with a slash; a secret key that does is not told from one.
    let secret_key = bytes.len() == 40
        && !text.starts_with('/')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/+".contains(byte))
        && bytes.iter().any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_digit);
    key_id || secret_key
}

/// Whether a URL in the text carries a user or a password.
pub(super) fn has_userinfo(text: &str) -> bool {
    text.split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_in_a_command_is_hidden_and_the_rest_is_shown() {
        let shown = |words: &[&str]| {
            masked(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).join(" ")
        };
        let sqlcmd = ["sqlcmd", "-P", "Sa_Passw0rd", "-i", "verify.sql", "-v", "f={path}"];
        assert_eq!(shown(&sqlcmd), "sqlcmd -P *** -i verify.sql -v f={path}");
        assert_eq!(shown(&["check", "--password=x", "{path}"]), "check --password=*** {path}");
        assert_eq!(
            shown(&["mysql", "-pSecret", "--token", "abc", "{path}"]),
            "mysql -p*** --token *** {path}"
        );
        for whole in
            [["/usr/local/bin/check", "--file={path}"], ["check", "-path={path}"], ["check", "-p{path}"]]
        {
            assert_eq!(shown(&whole), whole.join(" "));
        }
    }
}
