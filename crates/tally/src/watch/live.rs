//! The live view: takes updates, keys, signals and ticks one at a time, and paints at most ten pictures a second.
//!
//! The keys are read by a thread of their own, which ends with the process.

use super::model::{Model, Now};
use super::outcome::Outcome;
use super::quit::Quit;
use super::terminal::{self, Terminal};
use super::text::{Line, Tone, plural};
use super::view::{self, Scene};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use std::io;
use std::time::{Duration, Instant};
use tally_client::{ChannelName, Client, Ledger, Rung};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(100);
/// Keys that wait to be looked at; the thread that reads them waits for room.
const KEYS_MAX: usize = 16;
/// What the last ledgers are printed for where the width is not known.
const WIDTH_DEFAULT: usize = 100;

/// What a person asks for with a key.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Pause,
    Rung(Rung),
    Size {
        columns: u16,
        rows: u16,
    },
    /// Paint everything anew.
    Redraw,
}

/// Shows the view until the end, then leaves the ledgers on the normal screen.
pub(super) async fn run(
    client: &mut Client,
    outcome: &mut Outcome,
    quit: &mut Quit,
    channels: &[ChannelName],
    asked: Rung,
) -> anyhow::Result<()> {
    let gateway = client.endpoint().uri().authority().map_or_else(String::new, ToString::to_string);
    let mut model = Model::new(&gateway, channels, asked, Instant::now());
    let shown = show(client, outcome, quit, &mut model).await;
    outcome.close(client);
    match shown.and_then(|columns| terminal::print(&last_words(outcome, columns))) {
        // A terminal that went away is an end like any other.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::BrokenPipe) || error.raw_os_error() == Some(EIO) =>
        {
            Ok(())
        }
        result => Ok(result?),
    }
}

/// What a terminal answers that has hung up.
const EIO: i32 = nix::errno::Errno::EIO as i32;

async fn show(
    client: &mut Client,
    outcome: &mut Outcome,
    quit: &mut Quit,
    model: &mut Model,
) -> io::Result<usize> {
    let mut terminal = Terminal::hold()?;
    let mut keys = Some(read_keys());
    let mut pictures = tokio::time::interval(PICTURE_EVERY);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !outcome.is_over() {
        tokio::select! {
            biased;
            () = quit.asked() => break,
            wish = next_wish(&mut keys) => match wish {
                Wish::Quit => break,
                wish => apply(&wish, client, model, &mut terminal),
            },
            _ = pictures.tick() => paint(client, outcome, model, &mut terminal)?,
            update = client.next() => {
                let Some(update) = update else { break };
                outcome.handle(&update);
                model.handle(&update, |channel| client.ledger(channel), Now::read());
            }
        }
    }
    Ok(terminal.columns())
}

fn apply(wish: &Wish, client: &mut Client, model: &mut Model, terminal: &mut Terminal) {
    match wish {
        Wish::Quit => {}
        Wish::Pause => model.toggle_pause(),
        Wish::Rung(rung) => {
            // Without rates there is nothing in it that could be refused.
            if client.set_rung(None, *rung, None, None).is_ok() {
                model.asked = *rung;
            }
        }
        Wish::Size { columns, rows } => terminal.resize(*columns, *rows),
        Wish::Redraw => terminal.redraw(),
    }
}

fn paint(client: &Client, outcome: &Outcome, model: &mut Model, terminal: &mut Terminal) -> io::Result<()> {
    let now = Now::read();
    model.handle_time(now.instant);
    let ledger = |channel: &ChannelName| ledger_now(client, outcome, channel);
    let scene = Scene { model, ledger: &ledger, now, width: terminal.columns(), height: terminal.rows() };
    let lines = view::draw(&scene);
    terminal.paint(lines)
}

/// The ledger as it stands, or the one that ended last.
fn ledger_now<'a>(client: &'a Client, outcome: &'a Outcome, channel: &ChannelName) -> Option<&'a Ledger> {
    let ended = || outcome.channels().iter().find(|one| one.channel == *channel).and_then(|one| one.ledger());
    client.ledger(channel).or_else(ended)
}

fn read_keys() -> mpsc::Receiver<Wish> {
    let (sender, receiver) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        // Without a keyboard there are no wishes; signals still end the view.
        while let Ok(event) = crossterm::event::read() {
            if let Some(wish) = wish(&event)
                && sender.blocking_send(wish).is_err()
            {
                return;
            }
        }
    });
    receiver
}

async fn next_wish(keys: &mut Option<mpsc::Receiver<Wish>>) -> Wish {
    if let Some(receiver) = keys {
        if let Some(wish) = receiver.recv().await {
            return wish;
        }
        *keys = None;
    }
    std::future::pending().await
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(columns, rows) => Some(Wish::Size { columns: *columns, rows: *rows }),
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('c' | 'd') if with_control => Some(Wish::Quit),
                KeyCode::Char('l') if with_control => Some(Wish::Redraw),
                KeyCode::Char(_) if with_control => None,
                KeyCode::Char('q') => Some(Wish::Quit),
                KeyCode::Char(' ') => Some(Wish::Pause),
                KeyCode::Char('f') => Some(Wish::Rung(Rung::Full)),
                KeyCode::Char('c') => Some(Wish::Rung(Rung::Counts)),
                KeyCode::Char('s') => Some(Wish::Rung(Rung::Summary)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What remains on the normal screen: each channel's ledger, and what went wrong with it.
fn last_words(outcome: &Outcome, columns: usize) -> Vec<Line> {
    let width = if columns == 0 { WIDTH_DEFAULT } else { columns };
    let mut lines = Vec::new();
    for one in outcome.channels() {
        let name = one.channel.as_str();
        match one.ledger() {
            Some(ledger) => lines.extend(view::ledger_lines(name, ledger, width)),
            None => lines.push(Line::of(Tone::Strong, name).then(Tone::Dim, "  was never attached")),
        }
        if one.resets > 0 {
            let words = format!("  {}: earlier ledgers ended before this one", plural(one.resets, "reset"));
            lines.push(Line::of(Tone::Caution, words));
        }
        if one.violations > 0 {
            lines.push(Line::of(
                Tone::Bad,
                format!("  the gateway broke a law, {}", plural(one.violations, "time")),
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn keys_are_wishes() {
        let key = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |char| key(KeyCode::Char(char), KeyModifiers::NONE);
        assert_eq!(plain('q'), Some(Wish::Quit));
        assert_eq!(plain(' '), Some(Wish::Pause));
        assert_eq!(plain('c'), Some(Wish::Rung(Rung::Counts)));
        assert_eq!(plain('x'), None);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
        assert_eq!(key(KeyCode::Char('s'), KeyModifiers::CONTROL), None);
        assert_eq!(wish(&Event::Resize(80, 24)), Some(Wish::Size { columns: 80, rows: 24 }));
    }
}
