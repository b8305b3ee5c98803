//! The settings file: TOML, flat, with `[redis]` and `[[channels]]` as its only tables.

use super::pattern::ChannelRule;
use super::{ConfigError, Draft, setting};
use toml::{Table, Value};

/// Applies what is right and adds what is wrong to `errors`.
pub(super) fn apply(draft: &mut Draft, path: &str, text: &str, errors: &mut Vec<ConfigError>) {
    let mut wrong = |problem: String| errors.push(ConfigError { place: format!("file {path}"), problem });
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return wrong(format!("is not TOML: {}", error.to_string().trim_end())),
    };
    for (key, value) in &table {
        let result = match (key.as_str(), value) {
            ("channels", value) => rules(value).map(|rules| draft.config.channels = rules),
            ("redis", Value::Table(table)) => {
                table.iter().filter_map(|(key, value)| redis(draft, key, value).err()).for_each(&mut wrong);
                Ok(())
            }
            (key, value) => texts(key, value).and_then(|values| setting::apply(draft, key, &values)),
        };
        if let Err(problem) = result {
            wrong(problem);
        }
    }
}

fn redis(draft: &mut Draft, key: &str, value: &Value) -> Result<(), String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        // It may be a credential.
        _ => return Err(format!("redis.{key} must be a text or a whole number")),
    };
    draft.redis.set(key, &text)
}

/// A value as the texts that a flag would have given.
fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Integer(number) => Ok(vec![number.to_string()]),
        Value::Array(list) => list.iter().map(|one| element(key, one)).collect(),
        // The name is the better message where it is wrong as well.
        other if setting::names().any(|name| name == key) => {
            Err(format!("{key} = {other} must be a text, a whole number or a list of texts"))
        }
        _ => Ok(Vec::new()),
    }
}

fn element(key: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("{key}: {value} must be a text"))?;
    Ok(text.to_owned())
}

fn rules(value: &Value) -> Result<Vec<ChannelRule>, String> {
    let tables = value.as_array().ok_or("channels must be written as [[channels]]")?;
    tables.iter().map(rule).collect()
}

fn rule(value: &Value) -> Result<ChannelRule, String> {
    let table = value.as_table().ok_or("channels must be written as [[channels]]")?;
    if let Some(key) = table.keys().find(|key| !matches!(key.as_str(), "pattern" | "drop")) {
        return Err(format!("channels.{key} is no setting; a rule has pattern and drop"));
    }
    let pattern = table.get("pattern").and_then(Value::as_str).ok_or_else(|| {
        "channels.pattern must be a text such as \"job:*\"; * stands for any characters".to_owned()
    })?;
    let drop = match table.get("drop") {
        None => Vec::new(),
        Some(Value::Array(keys)) => {
            keys.iter().map(|key| element("channels.drop", key)).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(format!("channels.drop = {other} must be a list of texts")),
    };
    ChannelRule::new(pattern, drop)
}
