//! `tally watch`: listens to channels, shows them live or as JSON lines, and proves at the end that nothing is missing.
//!
//! One thread, no queue: a frame is taken from the client only when the one before it is drawn or written. So a slow
//! terminal or a slow reader of the output slows the socket, and the gateway answers with counts and summaries.

mod json;
mod live;
mod model;
mod outcome;
mod quit;
mod terminal;
mod text;
mod view;

use outcome::Outcome;
use quit::Quit;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tally_client::{
    BuildError, ChannelName, Client, Disconnect, Endpoint, Reconnect, Rung, Subscription, TickMs,
};

/// The exit status where the gateway broke a law.
const VIOLATED: u8 = 3;
/// What the end of the connection and of unread output may take together, after the last word was said.
const END_MAX: Duration = Duration::from_millis(100);

const EXIT_STATUS: &str = "\
Exit status:
  0  ended by q, Ctrl-C, SIGTERM or the reader of the output; all ledgers close
  1  an error: refused, given up, or a channel that was never attached
  2  wrong usage
  3  the gateway broke a law: some frame did not add up, or came out of order";

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct Arguments {
    /// The channels to listen to, such as job:42.
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<ChannelName>,
    /// Where the gateway is: http://, https://, ws:// or wss://.
    #[arg(long, env = "TALLY_GATEWAY", value_name = "URL", default_value = "http://127.0.0.1:8420", value_parser = gateway)]
    gateway: String,
    /// Print one JSON line per frame, as it came, and the ledgers at the end (the default where the output is no
    /// terminal).
    #[arg(long)]
    json: bool,
    /// The highest rung wanted: full, counts or summary.
    #[arg(long, value_name = "RUNG", default_value_t)]
    rung: Rung,
    /// Events per second wanted in full, for each channel; above that they are counted [default: the gateway's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_rate: Option<u64>,
    /// How often counts may come, in milliseconds: 250, 1000 or 5000.
    #[arg(long, value_name = "MS", default_value = "250", value_parser = tick_ms)]
    tick_ms: TickMs,
    /// Have the newest events shown beside counts, as a courtesy copy.
    #[arg(long)]
    tail: bool,
    /// Begin with the newest N events, as far as the gateway still has them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    last: Option<u64>,
    /// Give up at the first lost connection or failed attempt.
    #[arg(long)]
    no_retry: bool,
}

fn gateway(url: &str) -> Result<String, BuildError> {
    url.parse::<Endpoint>().map(|_| url.to_owned())
}

fn tick_ms(text: &str) -> Result<TickMs, String> {
    let ms: u64 = text.parse().map_err(|_| format!("{text:?} is no number of milliseconds"))?;
    TickMs::try_from(ms)
}

pub(crate) fn main(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut seen = std::collections::HashSet::new();
    arguments.channels.retain(|channel| seen.insert(channel.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(watch(&arguments));
    // Output that nobody takes would hold the runtime's writing thread, and with it the process, for ever.
    runtime.shutdown_timeout(END_MAX);
    conclude(&arguments, &result?)
}

async fn watch(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut client = client(arguments)?;
    let mut quit = Quit::listen()?;
    let mut outcome = Outcome::new(&arguments.channels);
    if arguments.json || !can_paint() {
        json::run(&mut client, &mut outcome, &mut quit).await?;
    } else {
        live::run(&mut client, &mut outcome, &mut quit, &arguments.channels, arguments.rung).await?;
    }
    // The ledgers are printed; only politeness towards the gateway is left.
    let _ = tokio::time::timeout(END_MAX, client.close()).await;
    Ok(outcome)
}

/// Whether the output is a terminal that can place a cursor.
fn can_paint() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

fn client(arguments: &Arguments) -> anyhow::Result<Client> {
    let policy = if arguments.no_retry { Reconnect::never() } else { Reconnect::default() };
    let mut client = Client::builder(&arguments.gateway).reconnect(policy).build()?;
    client.subscribe_all(arguments.channels.iter().map(|channel| subscription(arguments, channel)))?;
    Ok(client)
}

fn subscription(arguments: &Arguments, channel: &ChannelName) -> Subscription {
    let mut subscription = Subscription::new(channel).rung(arguments.rung).tick_ms(arguments.tick_ms);
    if let Some(rate) = arguments.max_rate {
        subscription = subscription.max_rate(rate);
    }
    if arguments.tail {
        subscription = subscription.tail();
    }
    if let Some(events) = arguments.last {
        subscription = subscription.last(events);
    }
    subscription
}

/// The exit status, and on standard error why it is not 0.
#[expect(clippy::print_stderr, reason = "a broken law is told in words, whatever standard output is")]
fn conclude(arguments: &Arguments, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    if let Some(violation) = outcome.violation() {
        let all = outcome.violations();
        eprintln!(
            "tally: the gateway broke a law {all} time{}: {violation}",
            if all == 1 { "" } else { "s" }
        );
        return Ok(ExitCode::from(VIOLATED));
    }
    if let Some(cause) = outcome.given_up() {
        let advice = match cause {
            Disconnect::Unreachable(_) | Disconnect::NoAnswer => "; is `tally serve` running there?",
            _ => "",
        };
        anyhow::bail!("{}: {cause}{advice}", arguments.gateway);
    }
    if let Some(failure) = outcome.failure() {
        anyhow::bail!("{failure}");
    }
    Ok(ExitCode::SUCCESS)
}
