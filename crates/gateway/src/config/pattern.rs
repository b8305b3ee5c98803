//! Which channels a rule is for: a name in which `*` stands for any characters, also none.

/// What to do with events of the channels that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRule {
    pattern: String,
    /// Top-level keys that are dropped from an event's data.
    pub drop: Vec<String>,
}

impl ChannelRule {
    /// # Errors
    /// The message names the rule that does not hold.
    pub fn new(pattern: &str, drop: Vec<String>) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@~=+,-$*".contains(c);
        if pattern.is_empty()
            || pattern.len() > tally_protocol::CHANNEL_BYTES_MAX
            || !pattern.chars().all(allowed)
        {
            return Err(format!(
                "channels.pattern = {pattern:?} must be 1 to 200 characters of a channel name, or *"
            ));
        }
        Ok(Self { pattern: pattern.to_owned(), drop })
    }

    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let Some(mut rest) = parts.next().and_then(|first| channel.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("job:*", "job:1", true),
            ("job:*", "job:", true),
            ("job:*", "jobs", false),
            ("*", "anything", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("a*bc*bc", "abc", false),
            ("job", "job", true),
            ("job", "jobs", false),
            ("*:end", "x:end", true),
        ];
        for (pattern, channel, matches) in cases {
            let rule = ChannelRule::new(pattern, Vec::new()).unwrap();
            assert_eq!(rule.matches(channel), matches, "{pattern} {channel}");
        }
    }
}
