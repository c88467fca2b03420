//! A proxy on loopback that does to TCP connections what bad networks do.
//!
//! ```text
//! cargo run --release --bin chaos -- --to 127.0.0.1:8090 --delay 200 --jitter 100
//! ```

#![forbid(unsafe_code)]

use std::{
    io::{Write, stdout},
    net::SocketAddr,
    num::ParseIntError,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, error::ErrorKind};
use tracing::level_filters::LevelFilter;
use uschat_examples::{
    StartError,
    chaos::{Chaos, ChaosConfig, Direction, End, Fault},
    signals::cancel_on_signal,
};

/// A proxy on loopback that does to TCP connections what bad networks do
#[derive(Parser)]
#[command(name = "chaos", version, after_help = AFTER)]
struct Options {
    /// Where clients connect to; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server behind it, on loopback
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// Makes the random choices of an earlier run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The direction of all faults below
    #[arg(long, value_enum, default_value = "both")]
    direction: Direction,
    /// Every read comes out so much later
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    delay: Option<Duration>,
    /// The delay varies by up to so much
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    jitter: Option<Duration>,
    /// So many bytes of a connection pass in a second
    #[arg(long, value_name = "BYTES")]
    bandwidth: Option<u64>,
    /// Nothing passes
    #[arg(long)]
    stall: bool,
    /// Connections are accepted and what is sent is swallowed
    #[arg(long)]
    black_hole: bool,
    /// Ends each connection as soon as so many bytes of it have passed
    #[arg(long, value_name = "BYTES")]
    cut_after: Option<u64>,
    /// How it is ended
    #[arg(long, value_enum, default_value = "reset", requires = "cut_after")]
    cut_with: End,
    /// Cuts only the first connection that gets there
    #[arg(long, requires = "cut_after")]
    cut_once: bool,
    /// Writes at most so many bytes at a time
    #[arg(long, value_name = "BYTES")]
    dribble: Option<usize>,
    /// Waits after each of these writes
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "10", requires = "dribble")]
    dribble_pause: Duration,
    /// Flips a bit of a byte with this probability, from 0 to 1
    #[arg(long, value_name = "P", value_parser = probability)]
    corrupt: Option<f64>,
    /// Flips the lowest bit of this byte of each connection, counted from 0
    #[arg(long, value_name = "OFFSET")]
    corrupt_at: Option<u64>,
    /// The most bytes held in a direction of a connection
    #[arg(long, value_name = "BYTES", default_value = "65536")]
    buffer: usize,
    /// The most connections at a time
    #[arg(long, value_name = "N", default_value = "8192")]
    connections: usize,
}

const AFTER: &str = "\
Prints `address HOST:PORT` and `seed N` on standard output once it accepts connections. \
SIGINT or SIGTERM ends it; its last line tells what it did.";

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => help.exit(),
        Err(error) => return refuse(in_one_line(&error)),
    };
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(std::io::stderr).init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error),
    }
}

async fn run(options: Options) -> Result<(), StartError> {
    // First, so that whoever has read the address can already end it in good order.
    let token =
        cancel_on_signal().map_err(|error| StartError::new("signals", error, "see what limits this process"))?;
    let chaos = start(&options, &token).await?;
    chaos.set(options.direction, faults(&options));
    tell(&format!("address {}\nseed {}", chaos.address(), chaos.seed()));
    token.cancelled().await;
    tell(&chaos.stop().await.to_string());
    Ok(())
}

async fn start(options: &Options, token: &tokio_util::sync::CancellationToken) -> Result<Chaos, StartError> {
    let unknown = |problem: String| StartError::new("--to", problem, "write the HOST:PORT of a server on loopback");
    let found = tokio::net::lookup_host(&options.to).await.map_err(|error| unknown(error.to_string()))?;
    // Of `localhost` the address that servers listen on if they are not told otherwise.
    let server = found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| unknown("the name has no address".to_owned()))?;
    let mut config =
        ChaosConfig::to(server).listen(options.listen).buffer(options.buffer).connections(options.connections);
    if let Some(seed) = options.seed {
        config = config.seed(seed);
    }
    if !server.ip().is_loopback() {
        return Err(unknown(format!("{server} is not on loopback")));
    }
    let remedy = "choose a free port of loopback, or port 0";
    Chaos::start(config, token.clone()).await.map_err(|error| StartError::new("--listen", error, remedy))
}

fn faults(options: &Options) -> Vec<Fault> {
    let Options { cut_after, cut_with: end, dribble_pause: pause, .. } = *options;
    let delayed = options.delay.is_some() || options.jitter.is_some();
    let (base, jitter) = (options.delay.unwrap_or_default(), options.jitter.unwrap_or_default());
    let cut = |after| if options.cut_once { Fault::CutOnce { after, end } } else { Fault::Cut { after, end } };
    let all = [
        delayed.then_some(Fault::Delay { base, jitter }),
        options.bandwidth.map(|bytes_per_second| Fault::Bandwidth { bytes_per_second }),
        options.stall.then_some(Fault::Stall),
        options.black_hole.then_some(Fault::BlackHole),
        cut_after.map(cut),
        options.dribble.map(|bytes| Fault::Dribble { bytes, pause }),
        options.corrupt.map(|probability| Fault::Corrupt { probability }),
        options.corrupt_at.map(|offset| Fault::CorruptAt { offset, bit: 0 }),
    ];
    all.into_iter().flatten().collect()
}

/// Whoever started it may have stopped reading; that ends nothing.
fn tell(lines: &str) {
    let _ = writeln!(stdout(), "{lines}");
}

fn refuse(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("uschat: {error}");
    ExitCode::from(StartError::EXIT_STATUS)
}

/// Clap explains itself in several paragraphs, of which the first says what is wrong.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let problem = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}; see `chaos --help`", problem.strip_prefix("error: ").unwrap_or(&problem))
}

fn milliseconds(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_millis)
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "not a number from 0 to 1".to_owned())
}
