//! All accounts of a run added up, and each compared with the channel as the gateway tells it at the end.

use crate::account::Account;
use crate::result::Balance;
use tally_protocol::{ChannelName, Position};

/// Violations kept in words. More are only counted.
const VIOLATIONS_KEPT: usize = 20;

/// Adds an account that ended before the run did: its columns have to add up.
pub(crate) fn retire(balance: &mut Balance, channel: &ChannelName, account: &Account) {
    balance.ledgers += 1;
    balance.accounted += account.accounted();
    balance.full += account.full();
    for (why, span) in account.counted() {
        *balance.counted.entry(why.as_str().to_owned()).or_default() += span.sum();
    }
    for (why, span) in account.summarised() {
        *balance.summarised.entry(why.as_str().to_owned()).or_default() += span.sum();
    }
    if !account.closes() {
        unclosed(
            balance,
            format!("a ledger of {channel} does not add up at its own cursor {}", account.cursor()),
        );
    }
}

/// Adds an account that lasted to the end: it has to end where the channel does.
pub(crate) fn close(balance: &mut Balance, channel: &ChannelName, account: &Account, end: &Position) {
    retire(balance, channel, account);
    if let Some(difference) = account.differs_from(end) {
        unclosed(balance, format!("a ledger of {channel} ends with {difference}"));
    }
}

/// A ledger that cannot be held against anything, or against which something speaks.
pub(crate) fn unclosed(balance: &mut Balance, words: String) {
    balance.unclosed += 1;
    if balance.violations.len() < VIOLATIONS_KEPT {
        balance.violations.push(words);
    }
}

/// Adds what another thread found.
pub(crate) fn merge(into: &mut Balance, from: Balance) {
    into.clients += from.clients;
    into.ledgers += from.ledgers;
    into.frames_checked += from.frames_checked;
    into.accounted += from.accounted;
    into.full += from.full;
    into.resets += from.resets;
    into.unclosed += from.unclosed;
    into.violations_n += from.violations_n;
    let room = VIOLATIONS_KEPT.saturating_sub(into.violations.len());
    into.violations.extend(from.violations.into_iter().take(room));
    let columns = [
        (&mut into.counted, from.counted),
        (&mut into.summarised, from.summarised),
        (&mut into.rung_changes, from.rung_changes),
    ];
    for (into, from) in columns {
        for (key, n) in from {
            *into.entry(key).or_default() += n;
        }
    }
}
