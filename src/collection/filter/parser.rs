//! From the text of a condition to its parts, or to the place where it stops making sense.

use super::Condition;
use super::predicate::{Literal, Predicate};
use super::token::{Token, tokens};
use crate::core::{Fault, Kind};

/// Parentheses and `not` inside each other; each costs some stack.
const MAX_DEPTH: usize = 64;

/// They name no column unless in double quotes.
const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "like", "between", "is", "null", "true", "false"];

const VALUE: &str = "a value (a number, a text in single quotes, true or false)";

/// Why a text is no condition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the condition `{text}` stops making sense at character {position}, {found}: {expected} belongs there"
)]
pub struct FilterError {
    text: String,
    /// Counted from 1.
    position: usize,
    found: String,
    expected: String,
}

impl FilterError {
    /// `expected` does not stand at a byte of the text.
    pub(super) fn at(text: &str, byte: usize, expected: &str) -> Self {
        const SHOWN: usize = 20;
        let mut rest = text[byte..].chars();
        let shown: String = rest.by_ref().take(SHOWN).collect();
        let found = match (shown.is_empty(), rest.next().is_some()) {
            (true, _) => "the end".to_owned(),
            (false, more) => format!("`{shown}{}`", if more { "..." } else { "" }),
        };
        Self {
            text: text.to_owned(),
            position: text[..byte].chars().count() + 1,
            found,
            expected: expected.to_owned(),
        }
    }

    /// The character of the text, counted from 1, where it stops making sense.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Fault for FilterError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// The condition that a text writes.
pub(super) fn parse(text: &str) -> Result<Condition, FilterError> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let condition = parser.any()?;
    match parser.peek() {
        Token::End => Ok(condition),
        _ => Err(parser.expected("'and', 'or' or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, FilterError> {
        self.chain("or", Self::all, Condition::Any)
    }

    fn all(&mut self) -> Result<Condition, FilterError> {
        self.chain("and", Self::negation, Condition::All)
    }

    fn chain(
        &mut self,
        keyword: &str,
        part: fn(&mut Self) -> Result<Condition, FilterError>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Condition, FilterError> {
        let first = part(self)?;
        if !self.is_keyword(keyword) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn negation(&mut self) -> Result<Condition, FilterError> {
        if self.is_keyword("not") {
            return self.deeper(|parser| Ok(Condition::Not(Box::new(parser.negation()?))));
        }
        if *self.peek() == Token::Sign("(") {
            return self.deeper(|parser| {
                let inner = parser.any()?;
                parser.take_sign(")", "'and', 'or' or a closing parenthesis")?;
                Ok(inner)
            });
        }
        self.predicate()
    }

    /// Takes a token that something nested follows.
    fn deeper(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Condition, FilterError>,
    ) -> Result<Condition, FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(self.expected(&format!("a condition that is nested no deeper than {MAX_DEPTH}")));
        }
        self.next += 1;
        self.depth += 1;
        let condition = inner(self)?;
        self.depth -= 1;
        Ok(condition)
    }

    fn predicate(&mut self) -> Result<Condition, FilterError> {
        let column = self.column()?;
        let compare: Option<fn(Literal) -> Predicate> = match self.peek() {
            Token::Sign("=" | "==") => Some(Predicate::Equal),
            Token::Sign("!=" | "<>") => Some(Predicate::Unequal),
            Token::Sign("<") => Some(Predicate::Less),
            Token::Sign("<=") => Some(Predicate::LessOrEqual),
            Token::Sign(">") => Some(Predicate::Greater),
            Token::Sign(">=") => Some(Predicate::GreaterOrEqual),
            _ => None,
        };
        if let Some(compare) = compare {
            self.next += 1;
            if self.is_keyword("null") {
                return Err(self.expected(&format!("{VALUE}; a missing one is found by 'is null'")));
            }
            return Ok(Condition::Predicate { column, predicate: compare(self.literal()?) });
        }
        if self.take_keyword("is") {
            let negated = self.take_keyword("not");
            return match self.take_keyword("null") {
                true => Ok(negate(negated, column, Predicate::Null)),
                false => Err(self.expected("'null'")),
            };
        }
        let negated = self.take_keyword("not");
        let predicate = if self.take_keyword("in") {
            self.list()?
        } else if self.take_keyword("like") {
            match self.literal()? {
                Literal::Text(pattern) => Predicate::Like(pattern.chars().collect()),
                _ => {
                    self.next -= 1;
                    return Err(self.expected("a pattern in single quotes"));
                }
            }
        } else if self.take_keyword("between") {
            let low = self.literal()?;
            match self.take_keyword("and") {
                true => Predicate::Between(low, self.literal()?),
                false => return Err(self.expected("'and' with the upper bound")),
            }
        } else if negated {
            return Err(self.expected("'in', 'like' or 'between'"));
        } else {
            Predicate::True
        };
        Ok(negate(negated, column, predicate))
    }

    fn column(&mut self) -> Result<String, FilterError> {
        let name = match self.peek() {
            Token::Quoted(name) => name.clone(),
            Token::Word(word) if !KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) => {
                word.clone()
            }
            _ => return Err(self.expected("a column, 'not' or an opening parenthesis")),
        };
        self.next += 1;
        Ok(name)
    }

    fn list(&mut self) -> Result<Predicate, FilterError> {
        self.take_sign("(", "an opening parenthesis")?;
        let mut literals = vec![self.literal()?];
        while *self.peek() == Token::Sign(",") {
            self.next += 1;
            literals.push(self.literal()?);
        }
        self.take_sign(")", "a comma or a closing parenthesis")?;
        Ok(Predicate::In(literals))
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        let literal = match self.peek() {
            Token::Number(number) => Literal::Number(*number),
            Token::Text(text) => Literal::Text(text.clone()),
            _ if self.is_keyword("true") => Literal::Bool(true),
            _ if self.is_keyword("false") => Literal::Bool(false),
            _ => return Err(self.expected(VALUE)),
        };
        self.next += 1;
        Ok(literal)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: &'static str, expected: &str) -> Result<(), FilterError> {
        match *self.peek() == Token::Sign(sign) {
            true => self.next += 1,
            false => return Err(self.expected(expected)),
        }
        Ok(())
    }

    fn expected(&self, what: &str) -> FilterError {
        FilterError::at(self.text, self.tokens[self.next].0, what)
    }
}

fn negate(negated: bool, column: String, predicate: Predicate) -> Condition {
    let condition = Condition::Predicate { column, predicate };
    if negated { Condition::Not(Box::new(condition)) } else { condition }
}
