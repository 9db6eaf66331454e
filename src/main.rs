//! Parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use dbbackup::cli::Cli;

fn main() -> ExitCode {
    dbbackup::memory::give_back();
    let cli = match Cli::from_words(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            dbbackup::ui::notice(&format!("error: start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(dbbackup::commands::run(cli));
    // A blocked read of a dead network file system must not keep the process from ending.
    runtime.shutdown_background();
    ExitCode::from(code.number())
}
