//! A chat client for terminals and scripts: one command per line in, one answer or event per line out.
//!
//! ```text
//! cargo run --release --bin client -- --help
//! ```

#![forbid(unsafe_code)]

#[path = "../line_client/mod.rs"]
mod line_client;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use line_client::{Client, Command, Failure, HELP, Printer};
use tokio::io::{AsyncBufReadExt, BufReader};
use uschat_client::Gate;

/// A chat client for terminals and scripts: one command per line in, one answer or event per line out
#[derive(Parser)]
#[command(name = "client", after_help = HELP)]
struct Options {
    /// Address of the gate
    #[arg(long, env = "USCHAT_GATE", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    gate: String,
    /// Stop at the first command that fails, with exit status 1
    #[arg(long)]
    strict: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let gate = match Gate::new(&options.gate) {
        Ok(gate) => gate,
        Err(error) => {
            eprintln!("--gate (USCHAT_GATE): {error}");
            return ExitCode::from(2);
        }
    };
    let printer = Printer::new(std::io::stdin().is_terminal() && std::io::stdout().is_terminal());
    printer.greet(&format!("gate {}; type `help` for the commands, `quit` to leave", options.gate));
    let mut client = Client::new(gate, &options.gate, printer.clone());
    let all_well = run(&mut client, &printer, options.strict).await;
    client.log_out().await;
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Carries out line after line, each to its end. False if it stopped because a command failed.
async fn run(client: &mut Client, printer: &Printer, strict: bool) -> bool {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        printer.prompt();
        let result = match lines.next_line().await {
            Ok(Some(line)) => match Command::parse(&line) {
                Ok(Some(Command::Quit)) => return true,
                Ok(Some(command)) => client.carry_out(command).await,
                Ok(None) => Ok(()),
                Err(usage) => Err(Failure::usage(usage)),
            },
            Ok(None) => return true,
            Err(error) => Err(Failure::new("input", format!("the line cannot be read: {error}"))),
        };
        if let Err(failure) = result {
            printer.line(&failure.to_string());
            if strict {
                return false;
            }
        }
    }
}
