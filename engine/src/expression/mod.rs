//! What does an expression over a document's or a row's properties say?
//!
//! The language of `FILTER` in `FT.CREATE`, of `IF` in `FT.ADD`, and of `APPLY` and `FILTER` steps:
//! numbers, strings, `@properties`, operators and functions. Clients know it from RediSearch; its
//! precedence is kept, which is not that of arithmetic: `* / % ^` bind alike, from left to right, and so
//! do `&&` and `||`.
//!
//! ```
//! use engine::expression::{parse, Value};
//!
//! let expression = parse(b"upper(@name) == 'ANN' && @age + 1 > 30")?;
//! let row = |property: &[u8]| match property {
//!     b"name" => Some(Value::from("ann")),
//!     b"age" => Some(Value::Number(30.0)),
//!     _ => None,
//! };
//! assert!(expression.evaluate(&row)?.is_true());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;
mod functions;
mod parser;
mod value;

pub use value::{number_text, twelve_digits, Value};

use crate::error::Shown;
use functions::Function;
use std::cmp::Ordering;
use thiserror::Error;

/// Why an expression could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// It does not go on as an expression can.
    #[error("Syntax error at offset {offset} near '{}'", Shown(.near))]
    Unexpected {
        /// In bytes from the start.
        offset: usize,
        /// The word that stands there.
        near: Vec<u8>,
    },
    /// A function that does not exist.
    #[error("Unknown function name '{}'", Shown(.0))]
    UnknownFunction(Vec<u8>),
    /// A word that is neither a number nor a function.
    #[error("Unknown symbol '{}'", Shown(.0))]
    UnknownSymbol(Vec<u8>),
    /// A function with too few or too many arguments.
    #[error("Invalid arguments for function '{0}'")]
    Arguments(&'static str),
    /// More than [`MAX_DEPTH`] levels.
    #[error("Syntax error at offset {0}: more than {MAX_DEPTH} nested levels")]
    TooDeep(usize),
}

/// Levels of parentheses, calls and signs.
pub const MAX_DEPTH: usize = 100;

/// Why a value could not be calculated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvaluationError {
    /// A property that this row does not have.
    #[error("{}: has no value, consider using EXISTS if applicable", Shown(.0))]
    NoValue(Vec<u8>),
    /// An argument of the wrong kind.
    #[error("Invalid arguments for function '{0}'")]
    Arguments(&'static str),
    /// A format with more places than arguments, or an unknown place.
    #[error("Bad format string!")]
    Format,
    /// Text that is no number.
    #[error("to_number: cannot convert string '{}'", Shown(.0))]
    NotANumber(Vec<u8>),
    /// A result of more than [`MAX_TEXT`] bytes.
    #[error("the result of '{0}' is longer than {MAX_TEXT} bytes")]
    TooLong(&'static str),
}

/// Bytes of the longest text that a function may make: what a bulk string may have.
pub const MAX_TEXT: usize = 512 << 20;

/// Where an expression's properties come from.
pub trait Row {
    /// The value of a property, its name without `@`. `None` when there is none.
    fn property(&self, name: &[u8]) -> Option<Value>;

    /// Terms of the query that the row's document has, for `matched_terms`.
    fn matched_terms(&self, _at_most: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

impl<F: Fn(&[u8]) -> Option<Value>> Row for F {
    fn property(&self, name: &[u8]) -> Option<Value> {
        self(name)
    }
}

/// An expression that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Constant(Value),
    Property(Vec<u8>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// Reads an expression.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &[u8]) -> Result<Expression, SyntaxError> {
    parser::parse(text).map(Expression)
}

impl Expression {
    /// The properties that it names, without `@`, each as often as it is named.
    pub fn properties(&self) -> Vec<&[u8]> {
        let mut names = Vec::new();
        self.0.properties(&mut names);
        names
    }

    /// Its value for a row.
    ///
    /// # Errors
    /// A property without a value, or an argument that its function can't take.
    pub fn evaluate(&self, row: &impl Row) -> Result<Value, EvaluationError> {
        self.0.evaluate(row)
    }
}

impl Node {
    fn properties<'a>(&'a self, names: &mut Vec<&'a [u8]>) {
        match self {
            Node::Constant(_) => {}
            Node::Property(name) => names.push(name),
            Node::Not(operand) | Node::Negative(operand) => operand.properties(names),
            Node::Binary(_, left, right) => {
                left.properties(names);
                right.properties(names);
            }
            Node::Call(_, arguments) => arguments.iter().for_each(|argument| argument.properties(names)),
        }
    }

    fn evaluate(&self, row: &impl Row) -> Result<Value, EvaluationError> {
        match self {
            Node::Constant(value) => Ok(value.clone()),
            Node::Property(name) => row.property(name).ok_or_else(|| EvaluationError::NoValue(name.clone())),
            Node::Not(operand) => Ok(Value::from(!operand.evaluate(row)?.is_true())),
            Node::Negative(operand) => Ok(Value::Number(-operand.evaluate(row)?.number())),
            Node::Binary(Operator::And, left, right) => {
                Ok(Value::from(left.evaluate(row)?.is_true() && right.evaluate(row)?.is_true()))
            }
            Node::Binary(Operator::Or, left, right) => {
                Ok(Value::from(left.evaluate(row)?.is_true() || right.evaluate(row)?.is_true()))
            }
            Node::Binary(operator, left, right) => Ok(operator.apply(&left.evaluate(row)?, &right.evaluate(row)?)),
            Node::Call(Function::Exists, arguments) => match arguments.as_slice() {
                [Node::Property(name)] => Ok(Value::from(row.property(name).is_some())),
                _ => Err(EvaluationError::Arguments("exists")),
            },
            Node::Call(Function::Case, arguments) => match arguments.as_slice() {
                [condition, yes, no] => if condition.evaluate(row)?.is_true() { yes } else { no }.evaluate(row),
                _ => Err(EvaluationError::Arguments("case")),
            },
            Node::Call(Function::MatchedTerms, arguments) => {
                let at_most = match arguments.first() {
                    // The number of terms a query may have bounds it anyway.
                    Some(argument) => argument.evaluate(row)?.number().max(0.0) as usize,
                    None => functions::MATCHED_TERMS,
                };
                Ok(Value::List(row.matched_terms(at_most).into_iter().map(Value::Text).collect()))
            }
            Node::Call(function, arguments) => {
                let values = arguments.iter().map(|argument| argument.evaluate(row)).collect::<Result<Vec<_>, _>>()?;
                function.call(&values)
            }
        }
    }
}

impl Operator {
    fn apply(self, left: &Value, right: &Value) -> Value {
        let order = || left.compare(right);
        let holds = match self {
            Operator::Equal => order() == Some(Ordering::Equal),
            Operator::NotEqual => order() != Some(Ordering::Equal),
            Operator::Less => order() == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => order() == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            _ => return Value::Number(self.calculate(left.number(), right.number())),
        };
        Value::from(holds)
    }

    /// Dividing by zero gives NaN, as RediSearch 2.10 does.
    fn calculate(self, left: f64, right: f64) -> f64 {
        match self {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide if right == 0.0 => f64::NAN,
            Operator::Divide => left / right,
            Operator::Remainder => left % right,
            Operator::Power => left.powf(right),
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests;
