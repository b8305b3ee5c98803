//! Numbers for people: three significant digits, thousands separated, the same unit all along a column.

/// What stands where there is nothing to say.
pub(crate) const NOTHING: &str = "–";

/// Three significant digits, or all digits before the point: `0.319`, `5.59`, `176,838`.
pub(crate) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.into();
    }
    let magnitude = value.abs();
    if magnitude < 5e-7 {
        return "0".into();
    }
    let decimals = (2 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{magnitude:.decimals$}");
    let sign = if value < 0.0 { "−" } else { "" };
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", separated(whole)),
        None => format!("{sign}{}", separated(&text)),
    }
}

/// A whole number, exactly: `12,000,000`.
pub(crate) fn count(value: u64) -> String {
    separated(&value.to_string())
}

/// `+3.1 %`, `−12 %`.
pub(crate) fn change_percent(from: f64, to: f64) -> String {
    let change = 100.0 * (to - from) / from;
    if !change.is_finite() {
        return NOTHING.into();
    }
    let sign = match change {
        change if change > 0.0 => "+",
        change if change < 0.0 => "−",
        _ => "±",
    };
    let magnitude = change.abs();
    let decimals = usize::from(magnitude < 10.0);
    format!("{sign}{magnitude:.decimals$} %")
}

/// For the marks of an axis: `0`, `250`, `1.2 M`.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        magnitude if magnitude >= 1e9 => (value / 1e9, " G"),
        magnitude if magnitude >= 1e6 => (value / 1e6, " M"),
        magnitude if magnitude >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn separated(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_separators() {
        let cases = [
            (0.0, "0"),
            (0.000_000_1, "0"),
            (0.000_45, "0.000450"),
            (0.319_4, "0.319"),
            (5.589, "5.59"),
            (17.149, "17.1"),
            (171.6, "172"),
            (1_234.5, "1,234"),
            (176_838.2, "176,838"),
            (3_082_669.0, "3,082,669"),
            (-12.34, "−12.3"),
            (f64::NAN, NOTHING),
            (f64::INFINITY, NOTHING),
        ];
        for (value, text) in cases {
            assert_eq!(plain(value), text);
        }
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn changes_and_marks() {
        assert_eq!(change_percent(2.0, 2.5), "+25 %");
        assert_eq!(change_percent(100.0, 98.9), "−1.1 %");
        assert_eq!(change_percent(3.0, 3.0), "±0.0 %");
        assert_eq!(change_percent(0.0, 3.0), NOTHING);
        assert_eq!(
            [0.0, 0.25, 250.0, 2_500.0, 25_000.0, 1_200_000.0].map(short),
            ["0", "0.25", "250", "2500", "25 k", "1.2 M"]
        );
    }
}
