//! The input's texts, one after the other: lines, or the elements of one array. Neither is ever held as a whole.

use super::window::Window;
use super::{at_line, invalid};
use pumice::{Error, ErrorKind, Result};

/// The longest line or element, white space included. What can be stored of it is bounded elsewhere.
const MAX_TEXT: usize = 64 << 20;

/// One line or element.
pub(super) struct Text<'a> {
    /// The line of the input in which it begins, from 1.
    pub(super) line: u64,
    pub(super) bytes: &'a [u8],
    /// A line with nothing on it.
    pub(super) is_blank: bool,
}

pub(super) struct Input {
    window: Window,
    /// Lines of the input taken so far.
    lines: u64,
    /// Whether the last of them ended with a line end.
    line_ended: bool,
    array: Array,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Array {
    /// The input is lines.
    None,
    /// Before the first element.
    First,
    /// Behind an element and its comma.
    Next,
    /// Behind the closing bracket.
    Closed,
}

impl Input {
    /// With `or_array`, an input whose first character is `[` is an array.
    pub(super) fn new(window: Window, or_array: bool) -> Result<Self> {
        let mut input = Self { window, lines: 0, line_ended: true, array: Array::None };
        while input.window.ahead().len() < 3 && input.window.more()? {}
        if input.window.ahead().starts_with(b"\xef\xbb\xbf") {
            input.window.take(3);
        }
        if or_array && input.first_is_bracket()? {
            input.skip_space()?;
            input.take(1);
            input.array = Array::First;
        }
        Ok(input)
    }

    /// How many lines of the input have been taken as a whole.
    pub(super) fn covered(&self) -> u64 {
        if self.line_ended || matches!(self.array, Array::None | Array::Closed) {
            self.lines
        } else {
            self.lines - 1
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.window.read()
    }

    pub(super) fn next(&mut self) -> Result<Option<Text<'_>>> {
        match self.array {
            Array::None => self.next_line(),
            Array::First | Array::Next => self.next_element(),
            Array::Closed => Ok(None),
        }
    }

    fn next_line(&mut self) -> Result<Option<Text<'_>>> {
        let mut searched = 0;
        let len = loop {
            let ahead = self.window.ahead();
            match memchr::memchr(b'\n', ahead.get(searched..).unwrap_or_default()) {
                Some(at) => break searched + at + 1,
                None => searched = ahead.len(),
            }
            check_len(searched).map_err(|e| at_line(self.lines + 1, &e))?;
            if !self.window.more()? {
                break searched;
            }
        };
        if len == 0 {
            return Ok(None);
        }
        self.lines += 1;
        let bytes = self.window.take(len);
        let is_blank = bytes.iter().all(|b| is_space(*b));
        Ok(Some(Text { line: self.lines, bytes, is_blank }))
    }

    fn next_element(&mut self) -> Result<Option<Text<'_>>> {
        self.skip_space()?;
        if self.array == Array::First && self.window.ahead().first() == Some(&b']') {
            return self.close();
        }
        let line = self.current_line();
        let len = self.element_len().map_err(|e| at_line(line, &e))?;
        match self.window.ahead().get(len) {
            Some(b',') => self.array = Array::Next,
            Some(b']') if len == 0 => return Err(at_line(line, &invalid("a comma before the array's end"))),
            // It is met again, behind nothing.
            Some(b']') => self.array = Array::First,
            _ => return Err(at_line(line, &invalid("the array does not end with a ]"))),
        }
        let with_comma = len + usize::from(self.array == Array::Next);
        let bytes = self.take(with_comma);
        Ok(Some(Text { line, bytes: bytes.get(..len).unwrap_or_default(), is_blank: false }))
    }

    /// How many bytes ahead belong to one element: up to the comma or bracket behind it.
    fn element_len(&mut self) -> Result<usize> {
        let (mut at, mut depth, mut in_string) = (0, 0usize, false);
        loop {
            while let Some(&byte) = self.window.ahead().get(at) {
                if in_string {
                    let rest = self.window.ahead().get(at..).unwrap_or_default();
                    match memchr::memchr2(b'"', b'\\', rest) {
                        Some(found) if rest.get(found) == Some(&b'\\') => at += found + 2,
                        Some(found) => {
                            at += found + 1;
                            in_string = false;
                        }
                        None => at += rest.len(),
                    }
                    continue;
                }
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' | b'}' | b']' if depth == 0 => return Ok(at),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
            check_len(at)?;
            if !self.window.more()? {
                return Ok(self.window.ahead().len());
            }
        }
    }

    /// Takes the closing bracket; only white space may follow.
    fn close(&mut self) -> Result<Option<Text<'_>>> {
        self.take(1);
        self.skip_space()?;
        if !self.window.ahead().is_empty() {
            return Err(at_line(self.current_line(), &invalid("something follows the array")));
        }
        self.array = Array::Closed;
        Ok(None)
    }

    fn first_is_bracket(&mut self) -> Result<bool> {
        let mut at = 0;
        loop {
            let Some(byte) = self.window.ahead().get(at).copied() else {
                if self.window.more()? {
                    continue;
                }
                return Ok(false);
            };
            if !is_space(byte) || at == MAX_TEXT {
                return Ok(byte == b'[');
            }
            at += 1;
        }
    }

    fn skip_space(&mut self) -> Result<()> {
        loop {
            let ahead = self.window.ahead();
            let space = ahead.iter().take_while(|b| is_space(**b)).count();
            let all = space == ahead.len();
            self.take(space);
            if !all || !self.window.more()? {
                return Ok(());
            }
        }
    }

    /// The line in which the next byte stands.
    fn current_line(&self) -> u64 {
        self.lines + u64::from(self.line_ended)
    }

    /// Takes bytes of an array and counts their lines.
    fn take(&mut self, len: usize) -> &[u8] {
        let bytes = self.window.take(len);
        if let Some(last) = bytes.last() {
            let begun = u64::from(self.line_ended);
            let ends = memchr::memchr_iter(b'\n', bytes).count() as u64;
            self.line_ended = *last == b'\n';
            self.lines += ends + begun - u64::from(self.line_ended);
        }
        bytes
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn check_len(len: usize) -> Result<()> {
    if len <= MAX_TEXT {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, format!("over {MAX_TEXT} bytes for one document; split it")))
}
