//! JSON texts: whether one is whole, how deep it is, and where its parts are. Nothing is parsed into anything but strings
//! and whole numbers.
//!
//! This takes exactly what RFC 8259 allows, of any depth: nesting costs a bit, not stack.

mod within;

use std::borrow::Cow;
use within::Open;
pub(crate) use within::plain_len;

/// The text is not JSON from this byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) usize);

/// What one pass over a value finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Arrays and objects within each other.
    pub(crate) depth: usize,
    /// Bytes of white space between tokens.
    pub(crate) spaces: usize,
}

/// The shape of a text that is one JSON value.
pub(crate) fn check(text: &str) -> Result<Shape, Fault> {
    let mut reader = Reader::new(text);
    let depth = reader.skip_value()?;
    reader.space();
    if reader.at < text.len() { Err(Fault(reader.at)) } else { Ok(Shape { depth, spaces: reader.spaces }) }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        rest = behind;
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

/// Reads a text from its beginning, part by part.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    spaces: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, spaces: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault(self.at))
    }

    fn space(&mut self) {
        let start = self.at;
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.spaces += self.at - start;
    }

    /// Whether `byte` is the next token, which is then read.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { self.fault() }
    }

    /// Whether there is an element more, up to the byte that `close`s the array or object. `first` before any was read.
    pub(crate) fn more(&mut self, first: bool, close: u8) -> Result<bool, Fault> {
        if self.eat(close) {
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.fault() }
    }

    /// The next value as it stands, without white space around it.
    pub(crate) fn value(&mut self) -> Result<&'a str, Fault> {
        self.space();
        let start = self.at;
        self.skip_value()?;
        self.text.get(start..self.at).ok_or(Fault(start))
    }

    /// The next value, which must be a whole number.
    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        let start = self.at;
        self.value()?.parse().map_err(|_| Fault(start))
    }

    /// The next value, which must be a string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.space();
        let start = self.at;
        if self.byte() != Some(b'"') {
            return self.fault();
        }
        self.skip_string()?;
        let inner = self.text.get(start + 1..self.at - 1).ok_or(Fault(start))?;
        if inner.contains('\\') {
            unescape(inner).map(Cow::Owned).ok_or(Fault(start))
        } else {
            Ok(Cow::Borrowed(inner))
        }
    }

    /// Skips a value and says how deep it is.
    fn skip_value(&mut self) -> Result<usize, Fault> {
        let mut open = Open::default();
        let mut depth = 0;
        'value: loop {
            self.space();
            match self.byte() {
                Some(b'"') => self.skip_string()?,
                Some(b'-' | b'0'..=b'9') => self.skip_number()?,
                Some(b't') => self.skip_word("true")?,
                Some(b'f') => self.skip_word("false")?,
                Some(b'n') => self.skip_word("null")?,
                Some(bracket @ (b'[' | b'{')) => {
                    self.at += 1;
                    open.push(bracket == b'{');
                    depth = depth.max(open.depth);
                    if !self.eat(bracket + 2) {
                        if bracket == b'{' {
                            self.skip_name()?;
                        }
                        continue 'value;
                    }
                    open.pop();
                }
                _ => return self.fault(),
            }
            // A value has ended, and maybe what it was the last one of.
            while let Some(is_object) = open.last() {
                self.space();
                match self.byte() {
                    Some(b',') => {
                        self.at += 1;
                        if is_object {
                            self.skip_name()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if is_object => {}
                    Some(b']') if !is_object => {}
                    _ => return self.fault(),
                }
                self.at += 1;
                open.pop();
            }
            return Ok(depth);
        }
    }

    fn skip_name(&mut self) -> Result<(), Fault> {
        self.space();
        if self.byte() != Some(b'"') {
            return self.fault();
        }
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_word(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.fault();
        }
        self.at += word.len();
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.fault() }
    }

    fn skip_number(&mut self) -> Result<(), Fault> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.skip_digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    /// At a quote.
    fn skip_string(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at += plain_len(bytes.get(self.at..).unwrap_or_default());
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match bytes.get(self.at) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            for _ in 0..4 {
                                self.at += 1;
                                if !bytes.get(self.at).is_some_and(u8::is_ascii_hexdigit) {
                                    return self.fault();
                                }
                            }
                            self.at += 1;
                        }
                        _ => return self.fault(),
                    }
                }
                _ => return self.fault(),
            }
        }
    }
}

/// The contents of a valid string; `None` where it has half of a surrogate pair.
fn unescape(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut behind = escaped.chars();
        let character = match behind.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (first, after) = unit(behind.as_str())?;
                let (code, after) = if (0xd800..0xdc00).contains(&first) {
                    let (second, after) = unit(after.strip_prefix("\\u")?)?;
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    (0x10000 + ((first - 0xd800) << 10) + low, after)
                } else {
                    (first, after)
                };
                behind = after.chars();
                char::from_u32(code)?
            }
            same => same,
        };
        out.push(character);
        rest = behind.as_str();
    }
    out.push_str(rest);
    Some(out)
}

/// The four digits at the beginning, and what is behind.
fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::IgnoredAny;

    /// What `serde_json` says, with any depth.
    fn is_json(text: &str) -> bool {
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.disable_recursion_limit();
        IgnoredAny::deserialize(&mut reader).is_ok() && reader.end().is_ok()
    }

    #[test]
    fn every_byte_is_escaped_as_others_do() {
        for byte in 0..0x80_u8 {
            let text = format!("a{}b", char::from(byte));
            let mut out = Vec::new();
            push_string(&mut out, &text);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn halves_of_a_surrogate_pair_are_no_character() {
        for escapes in [
            "\\ud800\\udc00",
            "\\udbff\\udfff",
            "\\ud800\\udbff",
            "\\ud800\\ue000",
            "\\udc00",
            "\\ue000",
            "\\ud800x",
        ] {
            let quoted = format!("\"{escapes}\"");
            let read = Reader::new(&quoted).string().ok().map(Cow::into_owned);
            assert_eq!(read, serde_json::from_str::<String>(&quoted).ok(), "{quoted}");
        }
    }

    #[test]
    fn takes_what_json_allows_and_nothing_else() {
        let texts = [
            "",
            " ",
            "{",
            "[1,]",
            "[,1]",
            "1 2",
            "nul",
            "\"a\u{1}\"",
            "{\"a\":}",
            "{\"a\"}",
            "{,}",
            "{\"a\":1,}",
            "01",
            "-",
            "-0",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1E-07",
            "[]",
            "{}",
            " [ ] ",
            "[[],{}]",
            "tru",
            "true",
            "falsey",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\",
            "\"",
            "{\"a\":1,\"a\":[{}]}",
            "{1:2}",
            "[}",
            "{]",
            "\u{feff}1",
            "\"\u{7f}é😀\"",
            "1\u{a0}",
            "+1",
            "--1",
        ];
        for text in texts {
            assert_eq!(check(text).is_ok(), is_json(text), "{text:?}");
        }
    }

    #[test]
    fn finds_depth_and_spaces() {
        assert_eq!(check(" {\"a b\" : [ 1,{} ]}\n"), Ok(Shape { depth: 3, spaces: 6 }));
        assert_eq!(check("7"), Ok(Shape { depth: 0, spaces: 0 }));
        let deep = 100_000;
        assert_eq!(check(&("[".repeat(deep) + &"]".repeat(deep))), Ok(Shape { depth: deep, spaces: 0 }));
    }

    #[test]
    fn reads_part_by_part() {
        let mut reader = Reader::new(" [ \"a\\n\\ud83d\\ude00\" , 17 , {\"x\": [1 ]} ] ");
        reader.expect(b'[').unwrap();
        assert!(reader.more(true, b']').unwrap());
        assert_eq!(reader.string().unwrap(), "a\n\u{1f600}");
        assert!(reader.more(false, b']').unwrap());
        assert_eq!(reader.number(), Ok(17));
        assert!(reader.more(false, b']').unwrap());
        assert_eq!(reader.value(), Ok("{\"x\": [1 ]}"));
        assert!(!reader.more(false, b']').unwrap());
        reader.end().unwrap();
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}:,\" \\\\0-2.eE+\\-atrufnlsé\u{1}]{0,12}") {
            prop_assert_eq!(check(&text).is_ok(), is_json(&text), "{:?}", text);
        }

        #[test]
        fn agrees_on_what_is_nearly_json(value in documents(), at in any::<prop::sample::Index>(), with in any::<char>()) {
            let text = value.to_string();
            prop_assert!(check(&text).is_ok());
            let mut changed: Vec<char> = text.chars().collect();
            let at = at.index(changed.len());
            changed[at] = with;
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(check(&changed).is_ok(), is_json(&changed), "{:?}", changed);
        }

        #[test]
        fn strings_are_written_and_read_as_serde_json_does(text in any::<String>(), escapes in "(\\\\u[0-9a-fA-F]{4}|\\\\[bfnrt/\"\\\\]|x){0,6}") {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(&out, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(Reader::new(&out).string().unwrap(), text);
            let quoted = format!("\"{escapes}\"");
            prop_assert_eq!(Reader::new(&quoted).string().ok().map(Cow::into_owned), serde_json::from_str::<String>(&quoted).ok());
        }
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
