//! Why did a document get its score? A tree of sentences, for `EXPLAINSCORE`.

/// One step of a calculation and the steps below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was calculated.
    pub text: String,
    /// Of what.
    pub children: Vec<Explanation>,
}

impl Explanation {
    /// A step without steps below.
    pub fn leaf(text: String) -> Self {
        Self { text, children: Vec::new() }
    }
}
