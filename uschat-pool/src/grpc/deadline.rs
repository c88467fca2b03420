//! The deadline that a call's server is told. tonic keeps to its own without telling the server.

use std::time::Duration;

use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

/// gRPC's header for it: up to eight digits and a unit.
static HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

#[derive(Debug, Clone)]
pub(super) struct Deadline {
    limit: Duration,
    value: HeaderValue,
}

impl Deadline {
    /// `limit` is at most an hour, which has seven digits in milliseconds.
    pub(super) fn new(limit: Duration) -> Self {
        let value = HeaderValue::try_from(format!("{}m", limit.as_millis())).expect("digits and a letter");
        Self { limit, value }
    }

    /// Writes the deadline into a call, unless the call has one of its own that ends no later.
    pub(super) fn announce(&self, headers: &mut HeaderMap) {
        let own = headers.get(&HEADER).and_then(read);
        if own.is_none_or(|own| own > self.limit) {
            headers.insert(HEADER.clone(), self.value.clone());
        }
    }
}

fn read(value: &HeaderValue) -> Option<Duration> {
    let (&unit, digits) = value.as_bytes().split_last()?;
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3_600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(own: Option<&str>) -> HeaderValue {
        let mut headers: HeaderMap =
            own.map(|own| (HEADER.clone(), HeaderValue::from_bytes(own.as_bytes()).unwrap())).into_iter().collect();
        Deadline::new(Duration::from_secs(5)).announce(&mut headers);
        headers.remove(&HEADER).unwrap()
    }

    #[test]
    fn the_shorter_one_is_announced() {
        assert_eq!(announced(None), "5000m");
        for shorter in ["4S", "5S", "4999m", "1n", "99999999n", "0H"] {
            assert_eq!(announced(Some(shorter)), shorter);
        }
        for longer in ["6S", "5001m", "5000001u", "1M", "1H", "99999999H"] {
            assert_eq!(announced(Some(longer)), "5000m", "{longer}");
        }
    }

    #[test]
    fn what_is_no_deadline_is_replaced() {
        for no_deadline in ["", "S", "5", "5s", "-5S", "+5S", "123456789n", "\u{ff}S"] {
            assert_eq!(announced(Some(no_deadline)), "5000m", "{no_deadline}");
        }
    }
}
