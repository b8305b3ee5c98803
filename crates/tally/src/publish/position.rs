//! Where in its channel the published events are.

use std::fmt;
use tally_producer::{Epoch, Outcome, Seq};

/// From the first to the last of our events; those of other producers may lie between.
#[derive(Debug, Default)]
pub(super) struct Position {
    span: Option<(Epoch, Seq, Seq)>,
    /// The channel's numbering began anew on the way.
    has_begun_anew: bool,
}

impl Position {
    /// To be called in the order of the events.
    pub(super) fn handle_outcome(&mut self, outcome: &Outcome) {
        let (epoch, from, to) = match outcome {
            Outcome::Full { epoch, seq, .. } => (epoch, *seq, *seq),
            Outcome::Counted { epoch, from, to, .. } => (epoch, *from, *to),
            Outcome::Refused { .. } | Outcome::Unknown { .. } => return,
        };
        match &mut self.span {
            Some((known, _, end)) if known == epoch => *end = to.max(*end),
            span => {
                self.has_begun_anew |= span.is_some();
                *span = Some((epoch.clone(), from, to));
            }
        }
    }
}

/// As part of a line: nothing where nothing is known.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((epoch, from, to)) = &self.span else { return Ok(()) };
        write!(f, "; seq {from} to {to} of epoch {epoch}")?;
        if self.has_begun_anew {
            write!(f, ", where the numbering began anew")?;
        }
        Ok(())
    }
}
