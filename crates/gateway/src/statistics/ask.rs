//! A question or an order to one gateway or to all, as `POST /ops/ask` takes it and `$ask` carries it.

use super::history::STEPS;
use crate::limits::{ANSWER_CHANNELS_MAX, ASK_ID_BYTES_MAX};
use serde_json::{Map, Value, json};
use tally_protocol::{CHANNEL_BYTES_MAX, ChannelName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The page drew it; answers go to `$answers:<ask>`.
    pub(crate) ask: String,
    /// Who is meant; none: every gateway.
    pub(crate) gateway: Option<String>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Channel { wanted: Wanted, limit: usize },
    Connection { connection: String },
    History { from_ms: u64, to_ms: u64, step: u64 },
    Reconnect { connection: String },
    Disconnect { connection: String },
    Drain,
}

/// Which channels a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Named(ChannelName),
    Prefix(String),
}

impl What {
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Channel { .. } => "channel",
            Self::Connection { .. } => "connection",
            Self::History { .. } => "history",
            Self::Reconnect { .. } => "reconnect",
            Self::Disconnect { .. } => "disconnect",
            Self::Drain => "drain",
        }
    }

    /// Orders change something; they are logged where they are given and where they are carried out.
    pub(crate) const fn is_order(&self) -> bool {
        matches!(self, Self::Reconnect { .. } | Self::Disconnect { .. } | Self::Drain)
    }

    pub(crate) fn connection(&self) -> Option<&str> {
        match self {
            Self::Connection { connection }
            | Self::Reconnect { connection }
            | Self::Disconnect { connection } => Some(connection),
            Self::Channel { .. } | Self::History { .. } | Self::Drain => None,
        }
    }
}

impl Ask {
    /// Reads one JSON object. Whatever it has beyond what is asked for is an error, so that a wrong word is not taken
    /// for a wider question.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> = serde_json::from_slice(json).map_err(|error| {
            format!("send one JSON object such as {{\"ask\": \"x1\", \"what\": \"history\", …}}: {error}")
        })?;
        let mut fields = Fields(fields);
        let ask = fields.text("ask", ASK_ID_BYTES_MAX)?;
        if !ask.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(format!("ask = {ask:?} must be 1 to {ASK_ID_BYTES_MAX} of a-z and 0-9"));
        }
        let gateway = match fields.0.get("gateway") {
            None | Some(Value::Null) => fields.0.remove("gateway").and(None),
            Some(_) => Some(fields.text("gateway", CHANNEL_BYTES_MAX)?),
        };
        let word = fields.text("what", 20)?;
        let what = fields.what(&word)?;
        fields.end(&word)?;
        if what == What::Drain && gateway.is_none() {
            return Err("drain needs a gateway: name the one that is to drain".into());
        }
        Ok(Self { ask, gateway, what })
    }

    /// As it goes over `$ask`; `by` is the gateway that was asked.
    pub(crate) fn to_json(&self, by: &str) -> Value {
        let mut value =
            json!({ "ask": self.ask, "gateway": self.gateway, "what": self.what.as_str(), "by": by });
        let mut put = |key: &str, field: Value| value[key] = field;
        match &self.what {
            What::Channel { wanted, limit } => {
                match wanted {
                    Wanted::Named(channel) => put("channel", channel.as_str().into()),
                    Wanted::Prefix(prefix) => put("prefix", prefix.as_str().into()),
                }
                put("limit", (*limit).into());
            }
            What::History { from_ms, to_ms, step } => {
                put("from_ms", (*from_ms).into());
                put("to_ms", (*to_ms).into());
                put("step", (*step).into());
            }
            What::Connection { connection }
            | What::Reconnect { connection }
            | What::Disconnect { connection } => {
                put("connection", connection.as_str().into());
            }
            What::Drain => {}
        }
        value
    }

    /// What came over `$ask`, with the gateway that was asked.
    pub(crate) fn from_channel(json: &str) -> Result<(Self, String), String> {
        let mut fields: Map<String, Value> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let by = fields.remove("by").and_then(|by| by.as_str().map(str::to_owned)).unwrap_or_default();
        let rest = serde_json::to_vec(&fields).map_err(|error| error.to_string())?;
        Ok((Self::parse(&rest)?, by))
    }
}

/// What is left to be read of an ask.
struct Fields(Map<String, Value>);

impl Fields {
    fn what(&mut self, word: &str) -> Result<What, String> {
        Ok(match word {
            "channel" => What::Channel { wanted: self.wanted()?, limit: self.limit()? },
            "connection" => What::Connection { connection: self.connection()? },
            "reconnect" => What::Reconnect { connection: self.connection()? },
            "disconnect" => What::Disconnect { connection: self.connection()? },
            "history" => self.history()?,
            "drain" => What::Drain,
            _ => {
                let words = "channel, connection, history, reconnect, disconnect, drain";
                return Err(format!("what = {word:?} must be one of {words}"));
            }
        })
    }

    fn wanted(&mut self) -> Result<Wanted, String> {
        match (self.0.contains_key("channel"), self.0.contains_key("prefix")) {
            (true, false) => {
                let name = self.text("channel", CHANNEL_BYTES_MAX)?;
                ChannelName::new(&name).map(Wanted::Named).map_err(|error| error.to_string())
            }
            (false, true) => {
                let prefix = self.0.remove("prefix");
                let prefix =
                    prefix.as_ref().and_then(Value::as_str).filter(|text| text.len() <= CHANNEL_BYTES_MAX);
                prefix.map(|text| Wanted::Prefix(text.to_owned())).ok_or_else(|| {
                    format!(
                        "prefix must be a text of at most {CHANNEL_BYTES_MAX} bytes; \"\" is every channel"
                    )
                })
            }
            _ => Err("give either channel (a whole name, with its history) or prefix (a search)".into()),
        }
    }

    fn limit(&mut self) -> Result<usize, String> {
        let Some(limit) = self.0.remove("limit") else { return Ok(ANSWER_CHANNELS_MAX) };
        let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
        limit
            .filter(|limit| (1..=ANSWER_CHANNELS_MAX).contains(limit))
            .ok_or_else(|| format!("limit must be from 1 to {ANSWER_CHANNELS_MAX}"))
    }

    fn connection(&mut self) -> Result<String, String> {
        self.text("connection", 100)
    }

    fn history(&mut self) -> Result<What, String> {
        let mut number = |key: &str| {
            let number = self.0.remove(key).and_then(|number| number.as_f64());
            // Clocks of pages may have fractions.
            number.map(|number| number.max(0.0) as u64).ok_or_else(|| format!("{key} must be a number"))
        };
        let (from_ms, to_ms, step) = (number("from_ms")?, number("to_ms")?, number("step")?);
        if !STEPS.contains(&step) {
            return Err(format!("step = {step} must be 1, 10 or 60 (seconds)"));
        }
        if from_ms > to_ms {
            return Err("from_ms must not be above to_ms (both in ms since 1970)".into());
        }
        Ok(What::History { from_ms, to_ms, step })
    }

    fn text(&mut self, key: &str, bytes_max: usize) -> Result<String, String> {
        match self.0.remove(key) {
            Some(Value::String(text)) if (1..=bytes_max).contains(&text.len()) => Ok(text),
            Some(_) => Err(format!("{key} must be a text of 1 to {bytes_max} bytes")),
            None => Err(format!("{key} is missing")),
        }
    }

    fn end(&self, word: &str) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => {
                let key: String = key.chars().take(40).collect();
                Err(format!("{key:?} is no field of {word}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_over_the_channel_reads_back() {
        let cases = [
            r#"{"ask":"a1","gateway":null,"what":"channel","channel":"job:1"}"#,
            r#"{"ask":"a1","what":"channel","prefix":"","limit":7}"#,
            r#"{"ask":"a1","gateway":"g-abc123","what":"connection","connection":"0-x"}"#,
            r#"{"ask":"a1","gateway":"g","what":"history","from_ms":1,"to_ms":2,"step":10}"#,
            r#"{"ask":"a1","what":"reconnect","connection":"0-x"}"#,
            r#"{"ask":"a1","what":"disconnect","connection":"0-x"}"#,
            r#"{"ask":"a1","gateway":"g","what":"drain"}"#,
        ];
        for case in cases {
            let ask = Ask::parse(case.as_bytes()).unwrap_or_else(|error| panic!("{case}: {error}"));
            let sent = ask.to_json("me").to_string();
            assert_eq!(Ask::from_channel(&sent), Ok((ask, "me".to_owned())), "{case}");
        }
    }

    #[test]
    fn each_error_says_what_to_do() {
        let cases = [
            ("nope", "send one JSON object"),
            ("[]", "send one JSON object"),
            (r#"{"what":"drain"}"#, "ask is missing"),
            (r#"{"ask":"A","what":"drain"}"#, "of a-z and 0-9"),
            (r#"{"ask":"","what":"drain"}"#, "1 to 32 bytes"),
            (r#"{"ask":"a"}"#, "what is missing"),
            (r#"{"ask":"a","what":"explode"}"#, "must be one of channel, connection"),
            (r#"{"ask":"a","what":"drain"}"#, "drain needs a gateway"),
            (r#"{"ask":"a","gateway":7,"what":"drain"}"#, "gateway must be a text"),
            (r#"{"ask":"a","what":"channel"}"#, "give either channel"),
            (r#"{"ask":"a","what":"channel","channel":"a","prefix":"a"}"#, "give either channel"),
            (r#"{"ask":"a","what":"channel","channel":"a b"}"#, "channel"),
            (r#"{"ask":"a","what":"channel","prefix":"a","limit":51}"#, "limit must be from 1 to 50"),
            (r#"{"ask":"a","what":"connection"}"#, "connection is missing"),
            (r#"{"ask":"a","what":"history","from_ms":1,"to_ms":2}"#, "step must be a number"),
            (r#"{"ask":"a","what":"history","from_ms":1,"to_ms":2,"step":5}"#, "must be 1, 10 or 60"),
            (r#"{"ask":"a","what":"history","from_ms":3,"to_ms":2,"step":1}"#, "must not be above"),
            (
                r#"{"ask":"a","what":"history","from_ms":1,"to_ms":2,"step":1,"stop":1}"#,
                "\"stop\" is no field of history",
            ),
        ];
        for (case, wanted) in cases {
            let error = Ask::parse(case.as_bytes()).unwrap_err();
            assert!(error.contains(wanted), "{case}: {error}");
        }
    }
}
