//! `dbbackup man`: the manual page, made from the command line's own definition; every command is a
//! section of the one page.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::config;

/// Writes the page in roff.
///
/// # Errors
/// Where `out` cannot be written.
pub(super) fn man(out: &mut dyn Write) -> io::Result<()> {
    let mut top = Cli::command().disable_help_subcommand(true);
    top.build();
    let page = Man::new(top.clone()).section("1").manual("Database backups").source("dbbackup");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    for command in top.get_subcommands() {
        section(command, out)?;
    }
    // The examples and exit codes of `--help`, their lines as they are.
    let mut extra = Vec::new();
    page.render_extra_section(&mut extra)?;
    let extra = as_written(&String::from_utf8_lossy(&extra), "EXAMPLES AND EXIT STATUS");
    out.write_all(extra.as_bytes())?;
    out.write_all(FILES.replace("DEFAULT_PATH", config::DEFAULT_PATH).as_bytes())
}

const FILES: &str = r".SH FILES
.TP
\fIDEFAULT_PATH\fR
The configuration, where neither \fB\-\-config\fR nor \fBDBBACKUP_CONFIG\fR names another.
.TP
\fI/var/log/dbbackup/upload_<target>_<date>_<time>.log\fR
The log of one run; the directory is set by \fB[log] dir\fR.
.TP
\fI/var/lib/dbbackup\fR
What the host remembers between runs, and the lock; set by \fB[state] dir\fR.
.SH ENVIRONMENT
.TP
\fBDBBACKUP_CONFIG\fR
The configuration file.
.TP
\fBDBBACKUP_IDENTITY\fR
The file with the secret key of age for backups that are encrypted.
.TP
\fBAWS_PROFILE\fR, \fBAWS_REGION\fR, \fBAWS_ACCESS_KEY_ID\fR, \fBAWS_SECRET_ACCESS_KEY\fR …
Credentials and region come from the standard AWS chain.
";

/// One command, and the commands below it, as sections of the page.
fn section(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    // The options of every command are told once, at the top.
    let own = command.clone().mut_args(|argument| {
        let hide = argument.is_global_set() || argument.is_hide_set();
        argument.hide(hide)
    });
    let page = Man::new(own);
    let mut text = Vec::new();
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let mut extra = Vec::new();
    page.render_extra_section(&mut extra)?;
    let text = format!(
        "\n{}{}",
        String::from_utf8_lossy(&text),
        as_written(&String::from_utf8_lossy(&extra), "EXAMPLES")
    );
    writeln!(out, ".SH \"{}\"", name.to_uppercase())?;
    out.write_all(text.replace("\n.SH ", "\n.SS ").trim_start().as_bytes())?;
    for below in command.get_subcommands() {
        section(below, out)?;
    }
    Ok(())
}

/// The generator's section EXTRA under another name, its lines not filled.
fn as_written(extra: &str, name: &str) -> String {
    match extra.split_once(".SH EXTRA\n") {
        Some((before, lines)) => format!("{before}.SH {name}\n.nf\n{}\n.fi\n", lines.trim_end()),
        None => extra.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_a_section_for_every_command_and_the_exit_codes() {
        let mut page = Vec::new();
        man(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for command in
            ["RESTORE", "LIST", "SHOW", "CONFIG", "CONFIG CHECK", "POLICY", "DEMO", "COMPLETIONS", "MAN"]
        {
            assert!(page.contains(&format!(".SH \"DBBACKUP {command}\"\n")), "{command}");
        }
        for part in [".TH", "another run holds the lock", ".SH FILES", "/etc/dbbackup/config.toml"] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches(".SH NAME").count(), 1);
        assert_eq!(page.matches("GLOBAL OPTIONS").count(), 1);
        assert!(!page.contains("EXTRA"));
    }
}
