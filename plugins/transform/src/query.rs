//! The query of a request as a list of parameters that can be edited; values are encoded already. What is not edited keeps
//! its text to the byte. Knows no request.

use std::borrow::Cow;

use crate::failure::Failure;
use crate::fields::Editable;
use crate::percent::{self, Keep};

/// The parameters of a query, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query<'q> {
    pairs: Vec<Cow<'q, str>>,
    edited: bool,
}

impl<'q> Query<'q> {
    /// The parameters of a query; none of "".
    pub(crate) fn new(query: &'q str) -> Self {
        let pairs = query.split('&').filter(|_| !query.is_empty());
        Self {
            pairs: pairs.map(Cow::Borrowed).collect(),
            edited: false,
        }
    }

    /// The query, if it is another than it was.
    pub(crate) fn into_edited(self) -> Option<String> {
        self.edited.then(|| self.pairs.join("&"))
    }

    fn take(&mut self, name: &str) {
        let before = self.pairs.len();
        self.pairs.retain(|pair| !is_named(pair, name));
        self.edited |= self.pairs.len() < before;
    }
}

impl Editable for Query<'_> {
    fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|pair| is_named(pair, name))
    }

    fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.take(name);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        if from == to || !self.has(from) {
            return Ok(());
        }
        self.take(to);
        for pair in &mut self.pairs {
            if is_named(pair, from) {
                let value = pair.find('=').and_then(|at| pair.get(at..)).unwrap_or_default();
                *pair = Cow::Owned(encoded(to) + value);
            }
        }
        self.edited = true;
        Ok(())
    }

    /// They stand where the first of the name stood, or at the end.
    fn set(&mut self, name: &str, values: &[Cow<'_, str>]) -> Result<(), Failure> {
        let place = self.pairs.iter().position(|pair| is_named(pair, name));
        self.take(name);
        let place = place.unwrap_or(self.pairs.len());
        let new = values.iter().map(|value| pair(name, value));
        self.pairs.splice(place..place, new);
        self.edited |= !values.is_empty();
        Ok(())
    }

    fn append(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        self.pairs.push(pair(name, value));
        self.edited = true;
        Ok(())
    }
}

fn encoded(name: &str) -> String {
    let mut text = String::new();
    percent::encode(&mut text, name, Keep::Unreserved);
    text
}

fn pair(name: &str, value: &str) -> Cow<'static, str> {
    Cow::Owned(encoded(name) + "=" + value)
}

/// Whether a parameter has this name, however it is encoded.
fn is_named(pair: &str, name: &str) -> bool {
    let field = pair.split('=').next().unwrap_or_default();
    field == name || (field.contains(['%', '+']) && percent::decode_form(field) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(query: &str, edit: impl FnOnce(&mut Query<'_>)) -> Option<String> {
        let mut query = Query::new(query);
        edit(&mut query);
        query.into_edited()
    }

    #[test]
    fn what_is_not_edited_keeps_its_text() {
        assert_eq!(edited("a=%20&&b+c&=&d", |query| query.remove("x").unwrap()), None);
        assert_eq!(edited("", |query| query.remove("").unwrap()), None);
        let kept = edited("a=%20&&b+c&=&d&x", |query| query.remove("x").unwrap());
        assert_eq!(kept.as_deref(), Some("a=%20&&b+c&=&d"));
    }

    #[test]
    fn escapes_do_not_hide_a_parameter() {
        let rest = edited("%61b=1&a%62=2&ab&abc=3&c+d=4", |query| {
            query.remove("ab").unwrap();
            query.remove("c d").unwrap();
        });
        assert_eq!(rest.as_deref(), Some("abc=3"));
    }

    #[test]
    fn a_rename_replaces_what_stood_there_and_keeps_values() {
        let renamed = edited("a=1%20&b=2&a&new=3", |query| query.rename("a", "new").unwrap());
        assert_eq!(renamed.as_deref(), Some("new=1%20&b=2&new"));
        assert_eq!(
            edited("b=2&new=3", |query| query.rename("a", "new").unwrap()),
            None
        );
        assert_eq!(edited("a=1", |query| query.rename("a", "a").unwrap()), None);
    }

    #[test]
    fn set_takes_the_place_of_all_and_append_stands_beside() {
        let values = [Cow::Borrowed("1"), Cow::Borrowed("2")];
        let set = edited("x&a=0&y&a=9", |query| query.set("a", &values).unwrap());
        assert_eq!(set.as_deref(), Some("x&a=1&a=2&y"));
        let set = edited("x", |query| query.set("a b", &values[..1]).unwrap());
        assert_eq!(set.as_deref(), Some("x&a%20b=1"));
        let gone = edited("x&a=0", |query| query.set("a", &[]).unwrap());
        assert_eq!(gone.as_deref(), Some("x"));
        assert_eq!(
            edited("", |query| query.append("a", "1").unwrap()).as_deref(),
            Some("a=1")
        );
    }
}
