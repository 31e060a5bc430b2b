//! A set of status codes as it is written in configurations: `503`, `5xx`, `500-504`. It refuses to know what the set
//! is for.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use http::StatusCode;

/// Status codes from 100 to 599.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// A text is no set of status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a status (503), a class (5xx) or a range (500-504), from 100 to 599")]
pub struct StatusesError;

impl Statuses {
    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| range.contains(&status.as_u16()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of another set.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl From<RangeInclusive<u16>> for Statuses {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self(vec![range])
    }
}

impl FromStr for Statuses {
    type Err = StatusesError;

    fn from_str(text: &str) -> Result<Self, StatusesError> {
        let number = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>()
                .ok()
                .filter(|status| digits && (100..=599).contains(status))
                .ok_or(StatusesError)
        };
        let range = match text.split_once('-') {
            Some((first, last)) => number(first)?..=number(last)?,
            None => match text.strip_suffix("xx") {
                Some(class) => number(&format!("{class}00"))?..=number(&format!("{class}99"))?,
                None => number(text)?..=number(text)?,
            },
        };
        if range.is_empty() {
            return Err(StatusesError);
        }
        Ok(Self(vec![range]))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_a_class_and_a_range() {
        #[rustfmt::skip]
        let table = [
            ("503", "503", [499, 503, 504], [false, true, false]),
            ("5xx", "500-599", [499, 500, 599], [false, true, true]),
            ("500-504", "500-504", [499, 504, 505], [false, true, false]),
        ];
        for (text, shown, statuses, want) in table {
            let set: Statuses = text.parse().unwrap();
            assert_eq!(set.to_string(), shown);
            let found = statuses.map(|status| set.contains(StatusCode::from_u16(status).unwrap()));
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn sets_are_added() {
        let set = Statuses::from(500..=502).with("4xx".parse().unwrap());
        assert_eq!(set.to_string(), "500-502, 400-499");
        assert!(set.contains(StatusCode::NOT_FOUND) && !set.contains(StatusCode::SERVICE_UNAVAILABLE));
        assert!(!set.is_empty() && Statuses::default().is_empty());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "xx", "50", "5000", "6xx", "0xx", "099", "+20", "504-500", "500-", "500-5xx", "2XX", "é00",
            "200-600",
        ] {
            assert_eq!(text.parse::<Statuses>(), Err(StatusesError), "{text}");
        }
    }
}
