//! How is the text of an expression read?
//!
//! By recursive descent over bytes. From loose to tight: `&& ||`, comparisons, `+ -`, `* / % ^`, `! -`.

use super::functions::Function;
use super::{Node, Operator, SyntaxError, Value, MAX_DEPTH};

pub(super) fn parse(text: &[u8]) -> Result<Node, SyntaxError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let node = parser.level(0)?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.unexpected());
    }
    Ok(node)
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
}

/// The operators of each level, the longer one first where one begins another.
const LEVELS: [&[(&[u8], Operator)]; 4] = [
    &[(b"&&", Operator::And), (b"||", Operator::Or)],
    &[
        (b"==", Operator::Equal),
        (b"!=", Operator::NotEqual),
        (b"<=", Operator::LessOrEqual),
        (b">=", Operator::GreaterOrEqual),
        (b"<", Operator::Less),
        (b">", Operator::Greater),
    ],
    &[(b"+", Operator::Add), (b"-", Operator::Subtract)],
    &[(b"*", Operator::Multiply), (b"/", Operator::Divide), (b"%", Operator::Remainder), (b"^", Operator::Power)],
];

impl Parser<'_> {
    fn level(&mut self, level: usize) -> Result<Node, SyntaxError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while let Some(&(sign, operator)) = operators.iter().find(|(sign, _)| self.ahead(sign)) {
            self.at += sign.len();
            let right = self.level(level + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SyntaxError::TooDeep(self.at));
        }
        let node = if self.take(b"!") {
            Node::Not(Box::new(self.unary()?))
        } else if self.take(b"-") {
            match self.unary()? {
                Node::Constant(Value::Number(number)) => Node::Constant(Value::Number(-number)),
                operand => Node::Negative(Box::new(operand)),
            }
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, SyntaxError> {
        self.blanks();
        match self.text.get(self.at) {
            Some(b'(') => {
                self.at += 1;
                let node = self.level(0)?;
                self.expect(b")")?;
                Ok(node)
            }
            Some(&quote @ (b'\'' | b'"')) => self.string(quote),
            Some(b'@') => {
                self.at += 1;
                let name = self.name();
                if name.is_empty() {
                    return Err(self.unexpected());
                }
                Ok(Node::Property(name))
            }
            Some(b'0'..=b'9' | b'.') => self.number(),
            Some(byte) if is_name(*byte) => self.call(),
            _ => Err(self.unexpected()),
        }
    }

    fn string(&mut self, quote: u8) -> Result<Node, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.text.get(self.at) {
                Some(b'\\') if self.at + 1 < self.text.len() => {
                    text.push(self.text[self.at + 1]);
                    self.at += 2;
                }
                Some(&byte) if byte == quote => {
                    self.at += 1;
                    return Ok(Node::Constant(Value::Text(text)));
                }
                Some(&byte) => {
                    text.push(byte);
                    self.at += 1;
                }
                None => return Err(SyntaxError::Unexpected { offset: start, near: self.text[start..].to_vec() }),
            }
        }
    }

    /// Digits with a point and an exponent.
    fn number(&mut self) -> Result<Node, SyntaxError> {
        let start = self.at;
        let digits = |parser: &mut Self| {
            while parser.text.get(parser.at).is_some_and(u8::is_ascii_digit) {
                parser.at += 1;
            }
        };
        digits(self);
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            digits(self);
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            let before = self.at;
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            if self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
                digits(self);
            } else {
                self.at = before;
            }
        }
        let word = String::from_utf8_lossy(&self.text[start..self.at]);
        match word.parse() {
            Ok(number) => Ok(Node::Constant(Value::Number(number))),
            Err(_) => Err(SyntaxError::Unexpected { offset: start, near: word.into_owned().into_bytes() }),
        }
    }

    /// A function's call, or one of the words that are numbers.
    fn call(&mut self) -> Result<Node, SyntaxError> {
        let name = self.name();
        if !self.take(b"(") {
            return match name.to_ascii_lowercase().as_slice() {
                b"inf" => Ok(Node::Constant(Value::Number(f64::INFINITY))),
                b"nan" => Ok(Node::Constant(Value::Number(f64::NAN))),
                b"null" => Ok(Node::Constant(Value::Null)),
                _ => Err(SyntaxError::UnknownSymbol(name)),
            };
        }
        let function = Function::find(&name).ok_or(SyntaxError::UnknownFunction(name))?;
        let mut arguments = Vec::new();
        if !self.take(b")") {
            loop {
                arguments.push(self.level(0)?);
                if !self.take(b",") {
                    break;
                }
            }
            self.expect(b")")?;
        }
        let exists_of_property = function != Function::Exists || matches!(arguments.as_slice(), [Node::Property(_)]);
        if !function.takes(arguments.len()) || !exists_of_property {
            return Err(SyntaxError::Arguments(function.name()));
        }
        Ok(Node::Call(function, arguments))
    }

    fn name(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            if byte == b'\\' && self.at + 1 < self.text.len() {
                name.push(self.text[self.at + 1]);
                self.at += 2;
            } else if is_name(byte) {
                name.push(byte);
                self.at += 1;
            } else {
                break;
            }
        }
        name
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn ahead(&mut self, sign: &[u8]) -> bool {
        self.blanks();
        self.text[self.at..].starts_with(sign)
    }

    fn take(&mut self, sign: &[u8]) -> bool {
        let found = self.ahead(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn expect(&mut self, sign: &[u8]) -> Result<(), SyntaxError> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&mut self) -> SyntaxError {
        self.blanks();
        let rest = &self.text[self.at..];
        let word = rest.iter().take_while(|byte| is_name(**byte)).count().max(1).min(rest.len());
        SyntaxError::Unexpected { offset: self.at, near: rest[..word].to_vec() }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
