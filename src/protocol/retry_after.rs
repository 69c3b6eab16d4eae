//! The `Retry-After` header.

use chrono::{DateTime, NaiveDateTime};
use http::{HeaderMap, header};
use std::time::{Duration, SystemTime};

/// The wait that `Retry-After` asks for, in seconds or as a date. A date in the past is zero. A value that is not valid is
/// ignored. A date is relative to the response's `Date`, or to `now` if there is none: the clocks may differ.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // HTTP has no fractions of a second, but some servers send them.
    if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Duration::try_from_secs_f64(value.parse().ok()?).ok();
    }
    let date = http_date(value)?;
    let now = headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?.trim())).unwrap_or(now);
    // A date in the past asks for no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

/// A date in any of the three forms of HTTP.
fn http_date(text: &str) -> Option<SystemTime> {
    let in_form = |form| NaiveDateTime::parse_from_str(text, form).map(|date| date.and_utc());
    let date = DateTime::parse_from_rfc2822(text)
        .map(|date| date.to_utc())
        .or_else(|_| in_form("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|_| in_form("%a %b %e %H:%M:%S %Y"));
    Some(date.ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn value_is_seconds_or_a_date() {
        let date: SystemTime = DateTime::parse_from_rfc3339("2030-01-02T03:04:05Z").unwrap().into();
        let at = |value: &'static str| retry_after(&headers(&[("retry-after", value)]), date);
        assert_eq!(at("7"), Some(Duration::from_secs(7)));
        assert_eq!((at("1.5"), at("1.5.5"), at(".")), (Some(Duration::from_millis(1500)), None, None));
        assert_eq!(at("Wed, 02 Jan 2030 03:04:15 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(at("Wed, 02 Jan 2030 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("whenever"), None);
        // What servers of old wrote.
        assert_eq!(at("Wednesday, 02-Jan-30 03:04:15 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(at("Wed Jan  2 03:04:15 2030"), Some(Duration::from_secs(10)));
        // Nor is a negative number one, or one beyond all numbers.
        assert_eq!((at("-5"), at("1e9"), at("99999999999999999999")), (None, None, None));
    }

    #[test]
    fn date_is_relative_to_the_servers_clock() {
        let headers = headers(&[
            ("retry-after", "Wed, 02 Jan 2030 03:04:15 GMT"),
            ("date", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ]);
        let hour = Duration::from_secs(3600);
        let date: SystemTime = DateTime::parse_from_rfc3339("2030-01-02T03:04:05Z").unwrap().into();
        for ours in [date - hour, date, date + hour] {
            assert_eq!(retry_after(&headers, ours), Some(Duration::from_secs(10)));
        }
    }
}
