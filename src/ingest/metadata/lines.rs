//! Places in a text as numbers of lines.

/// Lines of ascending places; the text is walked through once.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The line, counted from 1, of a byte that is not before the one asked for last.
    pub(super) fn of(&mut self, byte: usize) -> usize {
        let passed = self.text.get(self.at..byte).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = self.at.max(byte);
        self.line
    }
}

/// The line of a byte, counted from 1.
pub(super) fn line_of(text: &[u8], byte: usize) -> usize {
    Lines::new(text).of(byte)
}
