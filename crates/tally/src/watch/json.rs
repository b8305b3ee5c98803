//! One JSON line per frame, as it came; lines of type `client_…` for what is no frame, and the ledgers at the end.
//!
//! Each line is written and flushed before the next frame is taken. After a signal, output that nobody takes is waited
//! for at most [`OUTPUT_MAX`].

use super::outcome::{ChannelOutcome, Outcome};
use super::quit::Quit;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tally_client::{ChannelName, Client, Epoch, Ledger, Totals, Update, Why};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How long the reader of the output may take for what is left, once the end was asked for.
const OUTPUT_MAX: Duration = Duration::from_secs(2);

/// Prints until the end. A reader that went away is an end like any other.
pub(super) async fn run(client: &mut Client, outcome: &mut Outcome, quit: &mut Quit) -> anyhow::Result<()> {
    let result = print(client, outcome, quit, &mut tokio::io::stdout()).await;
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => outcome.close(client),
        Err(error) => return Err(anyhow::Error::new(error).context("standard output")),
        Ok(()) => {}
    }
    Ok(())
}

async fn print(
    client: &mut Client,
    outcome: &mut Outcome,
    quit: &mut Quit,
    out: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while !outcome.is_over() {
        let update = tokio::select! {
            biased;
            () = quit.asked() => break,
            update = client.next() => update,
        };
        let Some(update) = update else { break };
        outcome.handle(&update);
        write(out, &line(&update)?, quit).await?;
    }
    outcome.close(client);
    for one in outcome.channels() {
        write(out, &ledger_line(one)?, quit).await?;
    }
    Ok(())
}

/// Writes one line to the end, so that a signal never leaves half of one behind while somebody reads.
async fn write(out: &mut (impl AsyncWrite + Unpin), line: &str, quit: &mut Quit) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    // Data is verbatim and may hold line ends as white space: in JSON they stand nowhere else.
    bytes.extend(line.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    bytes.push(b'\n');
    let written = async {
        out.write_all(&bytes).await?;
        out.flush().await
    };
    tokio::pin!(written);
    tokio::select! {
        biased;
        result = &mut written => return result,
        () = quit.asked() => {}
    }
    let late = |_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("took nothing for {OUTPUT_MAX:?}; the ledger is not written"),
        )
    };
    tokio::time::timeout(OUTPUT_MAX, written).await.map_err(late)?
}

/// What has happened to the client itself, in the form of a frame.
#[derive(Serialize)]
#[serde(tag = "type")]
enum ClientLine<'a> {
    #[serde(rename = "client_disconnected")]
    Disconnected { code: Option<u16>, reason: String, retry_in_ms: Option<u64> },
    #[serde(rename = "client_violation")]
    Violation {
        channel: &'a ChannelName,
        law: &'static str,
        detail: &'a str,
        /// As it came; it is not booked.
        frame: &'a RawValue,
    },
    #[serde(rename = "client_unsubscribed")]
    Unsubscribed { channel: &'a ChannelName, code: &'a str },
    #[serde(rename = "ledger")]
    Ledger(Box<LedgerLine<'a>>),
}

#[derive(Serialize)]
struct LedgerLine<'a> {
    channel: &'a ChannelName,
    epoch: Option<&'a Epoch>,
    attached: u64,
    cursor: u64,
    full: Totals,
    counted: Totals,
    summarised: Totals,
    counted_by_why: BTreeMap<Why, Totals>,
    summarised_by_why: BTreeMap<Why, Totals>,
    closes: bool,
    resets: u64,
    violations: u64,
}

/// A frame is told as it came, also one that the client made something of.
fn line(update: &Update) -> io::Result<String> {
    let line = match update {
        Update::Disconnected { cause, retry_in } => ClientLine::Disconnected {
            code: cause.code(),
            reason: cause.to_string(),
            retry_in_ms: retry_in.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        },
        Update::Violation { violation, text, .. } => ClientLine::Violation {
            channel: &violation.channel,
            law: violation.law.as_str(),
            detail: &violation.detail,
            frame: serde_json::from_str(text.as_str())?,
        },
        Update::Unsubscribed { channel, code, frame: None, .. } => ClientLine::Unsubscribed { channel, code },
        _ => return Ok(update.text().map(|text| text.as_str().to_owned()).unwrap_or_default()),
    };
    Ok(serde_json::to_string(&line)?)
}

fn ledger_line(one: &ChannelOutcome) -> io::Result<String> {
    let ledger = one.ledger();
    let by_why = |of: fn(&Ledger) -> &BTreeMap<Why, Totals>| ledger.map(of).cloned().unwrap_or_default();
    let (counted_by_why, summarised_by_why) = (by_why(Ledger::counted), by_why(Ledger::summarised));
    let line = LedgerLine {
        channel: &one.channel,
        epoch: ledger.and_then(Ledger::epoch),
        attached: ledger.map_or(0, |ledger| ledger.attached_seq().get()),
        cursor: ledger.map_or(0, |ledger| ledger.cursor().get()),
        full: ledger.map(|ledger| ledger.full().clone()).unwrap_or_default(),
        counted: sum(&counted_by_why),
        summarised: sum(&summarised_by_why),
        counted_by_why,
        summarised_by_why,
        closes: one.closes(),
        resets: one.resets,
        violations: one.violations,
    };
    Ok(serde_json::to_string(&ClientLine::Ledger(Box::new(line)))?)
}

fn sum(by_why: &BTreeMap<Why, Totals>) -> Totals {
    let mut sum = Totals::new();
    by_why.values().for_each(|totals| sum.add_all(totals));
    sum
}
