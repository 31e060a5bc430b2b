//! A Rust file as tokens with their lines, comments left out, test code marked. A lexer for rules about names,
//! not a parser: it knows strings, characters, lifetimes and brackets, no grammar.

use std::ops::Range;

/// A lexed file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Relative to the root.
    pub(super) file: &'a str,
    pub(super) tokens: Vec<Token<'a>>,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// An identifier without `r#`, a string without quotes and unescaped by nobody, one character otherwise.
    pub(super) text: &'a str,
    pub(super) line: usize,
    /// Within `#[cfg(test)]`, a test function, or a file of tests.
    pub(super) test: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    String,
    Mark,
    Other,
}

impl<'a> Source<'a> {
    pub(super) fn parse(file: &'a str, text: &'a str) -> Self {
        let mut tokens = lex(text);
        if is_test_file(file) {
            tokens.iter_mut().for_each(|token| token.test = true);
        } else {
            for range in test_ranges(&tokens) {
                tokens
                    .iter_mut()
                    .take(range.end)
                    .skip(range.start)
                    .for_each(|token| token.test = true);
            }
        }
        Self { file, tokens }
    }

    /// Whether the tokens from `at` on read as `words`.
    pub(super) fn reads(&self, at: usize, words: &[&str]) -> bool {
        reads(&self.tokens, at, words)
    }
}

/// A file that holds tests and nothing else.
fn is_test_file(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("/tests.rs")
}

fn reads(tokens: &[Token<'_>], at: usize, words: &[&str]) -> bool {
    let mut rest = tokens.iter().skip(at).filter(|token| token.kind != Kind::String);
    words
        .iter()
        .all(|word| rest.next().is_some_and(|token| token.text == *word))
}

/// Items behind `#[cfg(test)]`, `#[test]` or `#[tokio::test]`, attribute included.
fn test_ranges(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inner = reads(tokens, at, &["#", "!", "["]);
        if !inner && !reads(tokens, at, &["#", "["]) {
            at += 1;
            continue;
        }
        let end = past_brackets(tokens, at + if inner { 2 } else { 1 });
        if !marks_test(tokens, at..end) {
            at = end;
        } else if inner {
            found.push(0..tokens.len());
            break;
        } else {
            let item = past_item(tokens, end);
            found.push(at..item);
            at = item;
        }
    }
    found
}

/// Whether the attribute is `cfg(test)`, `cfg(all(test, ..))`, `test` or `..::test`.
fn marks_test(tokens: &[Token<'_>], attribute: Range<usize>) -> bool {
    let names: Vec<_> = tokens
        .iter()
        .take(attribute.end)
        .skip(attribute.start)
        .filter(|token| token.kind == Kind::Name)
        .map(|token| token.text)
        .collect();
    match names.first() {
        Some(&"cfg") => names.contains(&"test") && !names.contains(&"not") && !names.contains(&"any"),
        Some(_) => names.iter().take(2).any(|name| *name == "test"),
        None => false,
    }
}

/// Past the bracket that opens at `at`, and all within.
fn past_brackets(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        if token.kind == Kind::Mark {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Past the item at `at`: to its closing brace, or to the semicolon of one without.
fn past_item(tokens: &[Token<'_>], at: usize) -> usize {
    let mut index = at;
    while let Some(token) = tokens.get(index) {
        match (token.kind, token.text) {
            (Kind::Mark, "{") => return past_brackets(tokens, index),
            (Kind::Mark, "(" | "[") => index = past_brackets(tokens, index),
            (Kind::Mark, ";") => return index + 1,
            _ => index += 1,
        }
    }
    tokens.len()
}

/// All tokens; what cannot be lexed is passed over character by character.
fn lex(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut tokens = Vec::new();
    while !lexer.rest.is_empty() {
        let line = lexer.line;
        if let Some((kind, text)) = lexer.next() {
            tokens.push(Token {
                kind,
                text,
                line,
                test: false,
            });
        }
    }
    tokens
}

#[derive(Debug)]
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    /// The next token, or none after white space or a comment.
    fn next(&mut self) -> Option<(Kind, &'a str)> {
        let first = self.rest.chars().next()?;
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            return None;
        }
        if self.rest.starts_with("/*") {
            self.take(comment_length(self.rest));
            return None;
        }
        if first.is_whitespace() {
            self.take(first.len_utf8());
            return None;
        }
        if let Some(token) = self.string() {
            return Some(token);
        }
        if self.rest.starts_with("b'") {
            self.take(1);
        }
        if self.rest.starts_with('\'') {
            return Some(self.quote());
        }
        if first == '_' || first.is_alphanumeric() {
            let rest = self.rest.strip_prefix("r#").unwrap_or(self.rest);
            self.take(self.rest.len() - rest.len());
            let word = self.take(
                rest.find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(rest.len()),
            );
            return Some((
                if first.is_ascii_digit() {
                    Kind::Other
                } else {
                    Kind::Name
                },
                word,
            ));
        }
        Some((Kind::Mark, self.take(first.len_utf8())))
    }

    /// A string of any sort: `".."`, `b".."`, `c".."`, `r#".."#`, `br".."`, `cr".."`.
    fn string(&mut self) -> Option<(Kind, &'a str)> {
        let after = self.rest.trim_start_matches(['b', 'c', 'r']);
        let prefix = self.rest.get(..self.rest.len() - after.len())?;
        if !["", "b", "c", "r", "br", "cr"].contains(&prefix) {
            return None;
        }
        let raw = prefix.ends_with('r');
        let quoted = after.trim_start_matches('#');
        let hashes = after.len() - quoted.len();
        let content = quoted.strip_prefix('"')?;
        if hashes > 0 && !raw {
            return None;
        }
        let end = if raw {
            content
                .find(&format!("\"{}", "#".repeat(hashes)))
                .unwrap_or(content.len())
        } else {
            closing_quote(content)
        };
        self.take(self.rest.len() - content.len());
        let text = self.take(end);
        self.take(1 + hashes);
        Some((Kind::String, text))
    }

    /// A character or a lifetime.
    fn quote(&mut self) -> (Kind, &'a str) {
        let after: &str = self.rest.get(1..).unwrap_or("");
        let mut chars = after.chars();
        let length = match (chars.next(), chars.next()) {
            (Some('\\'), Some(escaped)) => {
                let skipped = 1 + escaped.len_utf8();
                after
                    .get(skipped..)
                    .and_then(|rest| rest.find('\''))
                    .map_or(1, |end| skipped + end + 2)
            }
            (Some(c), Some('\'')) => c.len_utf8() + 2,
            _ => {
                1 + after
                    .find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(after.len())
            }
        };
        (Kind::Other, self.take(length))
    }

    /// Takes `length` bytes off the front, or all if that is not between two characters.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// Where the string ends: at the first quote that no backslash escapes.
fn closing_quote(content: &str) -> usize {
    let mut escaped = false;
    for (index, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index,
            _ => {}
        }
    }
    content.len()
}

/// Length of the block comment at the front; they nest.
fn comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        rest = rest.get(step..).unwrap_or("");
        if depth == 0 {
            break;
        }
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(&str, usize)> {
        lex(text)
            .into_iter()
            .filter(|t| t.kind == Kind::Name)
            .map(|t| (t.text, t.line))
            .collect()
    }

    #[test]
    fn comments_and_strings_hold_no_names() {
        let text =
            "// a\nfn b() {}/* c /* d */ e */\nlet f = \"g \\\" h\"; r#\"i \" j\"#; b'k'; '\\''; 'l'; m";
        assert_eq!(names(text), [("fn", 2), ("b", 2), ("let", 3), ("f", 3), ("m", 3)]);
    }

    #[test]
    fn strings_of_every_sort_are_kept_with_their_lines() {
        let text = "\"a\nb\"\nr\"c\\\" br##\"d\"#\"## c\"e\" b\"f\" r#type bridge crab rest";
        let strings: Vec<_> = lex(text)
            .into_iter()
            .filter(|t| t.kind == Kind::String)
            .map(|t| (t.text, t.line))
            .collect();
        assert_eq!(
            strings,
            [("a\nb", 1), ("c\\", 3), ("d\"#", 3), ("e", 3), ("f", 3)]
        );
        assert_eq!(
            names(text),
            [("type", 3), ("bridge", 3), ("crab", 3), ("rest", 3)]
        );
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(names("fn a<'b>(c: &'b str, d: char) { let x = 'é'; }").len(), 8);
    }

    #[test]
    fn test_items_are_marked_with_their_attribute() {
        let text = "use a;\n#[cfg(test)]\nmod tests { use b; fn c() { d } }\nuse e;\n#[cfg(not(test))]\nuse f;\n\
                    #[tokio::test(start_paused = true)]\nasync fn g() { h }\n#[cfg(test)]\nuse i;\nuse j;";
        let source = Source::parse("x.rs", text);
        let marked: String = source
            .tokens
            .iter()
            .filter(|t| t.kind == Kind::Name && t.text.len() == 1)
            .map(|t| {
                if t.test {
                    t.text.to_uppercase()
                } else {
                    t.text.to_owned()
                }
            })
            .collect();
        assert_eq!(marked, "aBCDefGHIj");
    }

    #[test]
    fn broken_files_end() {
        for text in [
            "\"",
            "'",
            "r#\"",
            "/*",
            "/* /*",
            "'\\",
            "b\"\\",
            "#[cfg(test",
            "r##",
            "'\u{e9}",
        ] {
            let _tokens = Source::parse("x.rs", text);
        }
    }
}
