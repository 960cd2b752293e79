//! The words of a condition, each with its place in the text.

use super::FilterError;

/// A word of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword or a column.
    Word(String),
    /// In double quotes: a column, whatever it is called.
    Quoted(String),
    /// In single quotes.
    Text(String),
    /// Finite.
    Number(f64),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
    End,
}

/// Longer ones before those they begin with.
const SIGNS: [&str; 11] = ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];

/// The tokens of a text with the byte that each starts at; [`Token::End`] is the last.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let len = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let (token, len) = match first {
                '\'' | '"' => quoted(rest, first).ok_or_else(|| {
                    let expected = format!("a closing {first} for this one");
                    FilterError::at(text, at, &expected)
                })?,
                '0'..='9' | '.' | '-' | '+' => number(rest)
                    .ok_or_else(|| FilterError::at(text, at, "a finite number, such as 7, -1.5 or 2e3"))?,
                _ => word_or_sign(rest).ok_or_else(|| {
                    FilterError::at(text, at, "a column, a value, an operator or a parenthesis")
                })?,
            };
            found.push((at, token));
            len
        };
        at += len;
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

/// A text in quotes, in which the quote itself stands twice, and its length with them.
fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut content = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            content.push(c);
        } else if chars.next_if(|&(_, next)| next == quote).is_some() {
            content.push(quote);
        } else {
            let token = if quote == '"' { Token::Quoted(content) } else { Token::Text(content) };
            return Some((token, at + 1));
        }
    }
    None
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let mut before = ' ';
    let end = rest.find(|c: char| {
        let signed = matches!(c, '-' | '+') && matches!(before, ' ' | 'e' | 'E');
        before = c;
        !signed && !is_in_word(c)
    });
    let digits = &rest[..end.unwrap_or(rest.len())];
    let value = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some((Token::Number(value), digits.len()))
}

fn word_or_sign(rest: &str) -> Option<(Token, usize)> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        return Some((Token::Sign(sign), sign.len()));
    }
    let word = &rest[..rest.find(|c| !is_in_word(c)).unwrap_or(rest.len())];
    (!word.is_empty()).then(|| (Token::Word(word.to_owned()), word.len()))
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}
