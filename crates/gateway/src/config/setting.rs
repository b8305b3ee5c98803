//! One setting by name: its rule, and its place in the checked value.

use super::{AllowedOrigin, Draft, PublishKey, redis};
use crate::limits::{BOUNDS, NAME_BYTES_MAX, SHARDS_MAX};
use std::net::SocketAddr;

/// Settings that are not in the table of bounds.
const WORDS: [&str; 6] = ["name", "listen", "admin", "shards", "allow_origin", "publish_key"];

pub(super) fn names() -> impl Iterator<Item = String> {
    let own = WORDS.into_iter().chain(BOUNDS.iter().map(|bound| bound.key)).map(str::to_owned);
    own.chain(redis::names())
}

/// What one text gives: several values, separated by commas, where the setting is a list.
pub(super) fn values(key: &str, text: &str) -> Vec<String> {
    if key != "allow_origin" {
        return vec![text.to_owned()];
    }
    text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// Sets one setting. Everything but a list takes one value; none at all is the empty text.
pub(super) fn apply(draft: &mut Draft, key: &str, values: &[String]) -> Result<(), String> {
    let config = &mut draft.config;
    if key == "allow_origin" {
        config.allow_origin = values.iter().map(|value| origin(value)).collect::<Result<_, _>>()?;
        return Ok(());
    }
    let value = values.join(",");
    if let Some(key) = redis::key(key) {
        return draft.redis.set(key, &value);
    }
    match key {
        "name" => config.name = name(&value)?,
        "listen" => config.listen = address(key, &value)?,
        "admin" => config.admin = address(key, &value)?,
        "shards" => config.shards = usize::try_from(number(key, &value, 0, SHARDS_MAX as u64)?).unwrap_or(0),
        "publish_key" => config.publish_key = publish_key(&value)?,
        "channels" => return Err("channels can only be set in the file, as [[channels]]".into()),
        _ => match BOUNDS.iter().find(|bound| bound.key == key) {
            Some(bound) => bound.set(&mut config.limits, number(key, &value, bound.min, bound.max)?),
            None => return Err(unknown(key)),
        },
    }
    Ok(())
}

fn unknown(key: &str) -> String {
    let nearest = names().min_by_key(|name| distance(name, key));
    let hint = nearest.filter(|name| distance(name, key) <= key.len() / 2);
    let hint = hint.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    format!("{key} is no setting{hint} (`tally config default` prints all of them)")
}

/// Edit distance, for the hint only.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

fn address(key: &str, value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| format!("{key} = {value:?} must be an IP address with a port, such as 127.0.0.1:8420"))
}

pub(super) fn number(key: &str, value: &str, min: u64, max: u64) -> Result<u64, String> {
    let digits = value.replace('_', "");
    let number = digits.parse().map_err(|_| format!("{key} = {value:?} must be a whole number"))?;
    if number < min || number > max {
        return Err(format!("{key} = {number} must be from {min} to {max}"));
    }
    Ok(number)
}

fn origin(value: &str) -> Result<AllowedOrigin, String> {
    let rule = || {
        format!(
            "allow_origin = {value:?} must be an origin such as https://example.org or http://localhost:3000 \
             (scheme, host, port, no path), or null, or *"
        )
    };
    match value {
        "*" => return Ok(AllowedOrigin::Any),
        "null" => return Ok(AllowedOrigin::Null),
        _ => {}
    }
    let origin = crate::http::origin::normalise(value).ok_or_else(rule)?;
    Ok(AllowedOrigin::Exact(origin))
}

/// What a channel's name may hold, so that a gateway's own channels can have its name in theirs.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._:@~=+,-".contains(c)
}

fn name(value: &str) -> Result<String, String> {
    if value.len() > NAME_BYTES_MAX || !value.chars().all(is_of_name) {
        return Err(format!(
            "name = {value:?} must be at most {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ : @ ~ = + , -"
        ));
    }
    Ok(value.to_owned())
}

/// The value is never shown.
fn publish_key(value: &str) -> Result<Option<PublishKey>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() < 16 || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "publish_key (not shown) must be 16 or more printable ASCII characters without spaces".into()
        );
    }
    Ok(Some(PublishKey(value.to_owned())))
}
