//! The command line: what can be asked for, and nothing of how it is done.
//!
//! What must stay true: a word that is misspelt, an option that a command has no use for, and two
//! options that contradict each other end in exit code 2 before anything is done.

mod args;

use std::ffi::OsString;
use std::path::PathBuf;

pub use args::{
    AdoptArgs, CheckArgs, ConfigCommand, DemoArgs, DrillArgs, EstimateArgs, ListArgs, PolicyArgs,
    RestoreArgs, ShowArgs, StatusArgs, VerifyArgs, WaitArgs,
};
use clap::builder::{PossibleValue, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::bucket::Tier;
use crate::calendar::{Day, Days};
use crate::model::{Category, Target};
use crate::nearest::nearest;
use crate::policy::Role;

/// Version and the commit it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DBBACKUP_COMMIT"), ")");

/// Ships last night's Oracle, MySQL and SQL Server backups to S3, proves that they arrived whole, and
/// brings them back.
///
/// Without a command it backs up: finds the backups of the day before, sends those that are whole and
/// not stored yet, has S3 confirm every byte, and says so with its exit code.
#[derive(Debug, Parser)]
#[command(name = "dbbackup", version = VERSION, override_usage = USAGE, after_help = TOP_HELP)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// Another command than backup.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The backup, where there is no command.
    #[command(flatten)]
    pub backup: BackupArgs,
}

/// Days of `--catch-up` where neither it nor the configuration says how many: a week.
const CATCH_UP_DAYS: u32 = 7;

const USAGE: &str = "dbbackup [OPTIONS] [TARGET]\n       dbbackup [OPTIONS] <COMMAND>";

const TOP_HELP: &str = "\
Examples:
  dbbackup                                back up every configured engine, backups of yesterday
  dbbackup oracle --dry-run               say what would be sent and why, touch nothing
  dbbackup mysql --since 2025-08-11       the backups of a week that was missed
  dbbackup all --catch-up 7               whatever the bucket lacks of the last seven days
  dbbackup list mysql/shop                what the bucket has
  dbbackup restore --latest mysql/shop    bring the newest one back
  dbbackup status                         whether every app has a good backup that is young enough
  dbbackup drill mysql/shop               load the newest one into a throwaway server
  dbbackup check                          whether machine, network, rights and bucket are as they should be

Exit codes:
  0  everything asked for is done and proven
  1  something failed, was refused, is missing or damaged; the rest went on
  2  the command line or the configuration is wrong; nothing was done
  3  nothing was found to do
  4  another run holds the lock
  5  the bucket cannot be reached or refuses these credentials; nothing was done
  129, 130, 143  interrupted; what was begun resumes when its day is sent again";

/// Options that stand before or after any command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Path of the configuration.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options",
        help = "Configuration file [default: $DBBACKUP_CONFIG, else /etc/dbbackup/config.toml]"
    )]
    pub config: Option<PathBuf>,
    /// Only warnings and errors on the terminal; the log file keeps everything
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

/// What a backup takes.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Engines to back up; letter case does not matter
    #[arg(value_name = "TARGET", value_parser = TargetParser, default_value = "all")]
    pub target: Target,
    /// Words after the target: taken only so that a misspelt command is told before its own words.
    #[arg(hide = true, value_name = "WORD")]
    extra: Vec<String>,
    /// Backups of this day: YYYY-MM-DD, yesterday or today [default: yesterday]
    #[arg(long, value_name = "DAY", conflicts_with_all = ["since", "until"])]
    pub date: Option<Day>,
    /// Backups of this day and every later one
    #[arg(long, value_name = "DAY")]
    pub since: Option<Day>,
    /// With --since: backups up to this day and no later [default: yesterday]
    #[arg(long, value_name = "DAY", requires = "since")]
    pub until: Option<Day>,
    /// Also send what the bucket lacks of the last DAYS days [default: `catch_up_days` of the
    /// configuration, else 7]
    #[arg(long, value_name = "DAYS", num_args = 0..=1, value_parser = clap::value_parser!(u32).range(1..=366),
          conflicts_with_all = ["date", "since", "until"])]
    pub catch_up: Option<Option<u32>>,
    /// Print the plan with the reason for every skip and refusal; touch nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a stored set whose content differs; only in a bucket that keeps versions
    #[arg(long)]
    pub replace: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl BackupArgs {
    /// How many days, ending with yesterday, are caught up with; `configured` is what the
    /// configuration says for every run that names no day itself.
    #[must_use]
    pub fn catch_up_days(&self, configured: u32) -> u32 {
        match (self.catch_up, self.days()) {
            (Some(Some(days)), _) => days,
            (Some(None), _) if configured == 0 => CATCH_UP_DAYS,
            (Some(None), _) | (None, Days::LastNight) => configured,
            (None, Days::One(_) | Days::Span { .. }) => 0,
        }
    }

    /// The days that are meant.
    #[must_use]
    pub const fn days(&self) -> Days {
        match (self.date, self.since) {
            (Some(date), _) => Days::One(date),
            (None, Some(since)) => Days::Span { since, until: self.until },
            (None, None) => Days::LastNight,
        }
    }
}

/// Every command but backup.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Bring a set back from the bucket, checked byte for byte
    Restore(RestoreArgs),
    /// List the sets in the bucket
    List(ListArgs),
    /// Say everything that is known about one set
    Show(ShowArgs),
    /// Compare the catalog with the bucket, the disk, and the bytes themselves
    Verify(VerifyArgs),
    /// Say how old each app's newest good backup is, from the bucket alone
    Status(StatusArgs),
    /// Restore a backup to scratch space and prove it there
    Drill(DrillArgs),
    /// Give objects that another program stored a manifest, after reading each once
    Adopt(AdoptArgs),
    /// Check this machine, the way to the bucket, the rights and the bucket itself
    Check(CheckArgs),
    /// Measure what compression would win: a sample of each file, and the line
    Estimate(EstimateArgs),
    /// Look at the configuration
    #[command(subcommand, after_help = "Example:\n  dbbackup config check --config ./config.toml")]
    Config(ConfigCommand),
    /// Print the IAM policy of a role: the calls that its commands make, and no other
    Policy(PolicyArgs),
    /// Try everything out in a temporary directory, with an S3 server of its own
    Demo(DemoArgs),
    /// Print the completion script of a shell
    #[command(after_help = "Example:\n  dbbackup completions bash > /etc/bash_completion.d/dbbackup")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  dbbackup man > /usr/local/share/man/man1/dbbackup.1")]
    Man,
}

impl Cli {
    /// Whether one JSON document on standard output was asked for.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        match &self.command {
            None => self.backup.json,
            Some(Command::List(args)) => args.json,
            Some(Command::Show(args)) => args.json,
            Some(Command::Verify(args)) => args.json,
            Some(Command::Status(args)) => args.json,
            Some(Command::Check(args)) => args.json,
            Some(Command::Estimate(args)) => args.json,
            Some(
                Command::Restore(_)
                | Command::Drill(_)
                | Command::Adopt(_)
                | Command::Config(_)
                | Command::Policy(_)
                | Command::Demo(_)
                | Command::Completions { .. }
                | Command::Man,
            ) => false,
        }
    }

    /// The command line as typed.
    ///
    /// # Errors
    /// What clap prints: help and version too; its exit code is 2 for everything that is wrong.
    pub fn from_words<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(words)?;
        if let Some(name) = matches.subcommand_name() {
            refuse_backup_words(&mut command, &matches, name)?;
        } else if let Some(word) = matches.get_many::<String>("extra").into_iter().flatten().next() {
            let word = word.escape_debug();
            let message =
                format!("unexpected `{word}`: one target at a time; `all` is every configured engine");
            return Err(command.error(ErrorKind::UnknownArgument, message));
        }
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Options of the backup before another command would be lost in silence. (clap's own setting for
/// this, `args_conflicts_with_subcommands`, would refuse the global ones too.)
fn refuse_backup_words(
    command: &mut clap::Command,
    matches: &clap::ArgMatches,
    subcommand: &str,
) -> Result<(), clap::Error> {
    let typed = ["target", "extra", "date", "since", "until", "catch_up", "dry_run", "replace", "json"]
        .into_iter()
        .find(|id| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine));
    let Some(typed) = typed else { return Ok(()) };
    let what = if ["target", "extra"].contains(&typed) {
        "a backup's TARGET".to_owned()
    } else {
        format!("--{}", typed.replace('_', "-"))
    };
    let message = format!(
        "{what} cannot stand before `{subcommand}`: it belongs to the backup. Put the options of `{subcommand}` after \
         it, or leave it out to back up"
    );
    Err(command.error(ErrorKind::ArgumentConflict, message))
}

impl ValueEnum for Role {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(self.does()))
    }
}

impl ValueEnum for Tier {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

impl ValueEnum for Category {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// The words that [`Target`] reads.
const TARGETS: [&str; 4] = ["all", "oracle", "mysql", "mssql"];

/// The first word: a target, or else most likely a command misspelt.
#[derive(Clone)]
struct TargetParser;

impl clap::builder::TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Target, clap::Error> {
        let word = value.to_string_lossy();
        if let Ok(target) = word.parse() {
            return Ok(target);
        }
        let commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let words: Vec<&str> = TARGETS.into_iter().chain(commands.iter().copied()).collect();
        let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
        error.insert(ContextKind::InvalidArg, ContextValue::String("TARGET".into()));
        error.insert(ContextKind::InvalidValue, ContextValue::String(word.escape_debug().to_string()));
        let targets = TARGETS.map(str::to_owned).to_vec();
        error.insert(ContextKind::ValidValue, ContextValue::Strings(targets));
        let tip = match nearest(&word, &words) {
            Some(known) => format!("did you mean `dbbackup {known}`?"),
            None => format!("the commands besides the backup are {}", commands.join(", ")),
        };
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
        Err(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(TARGETS.into_iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests;
