//! What does a script's `print` write to the server's log?
//!
//! Whole lines, of bounded length, and a bounded number of bytes a run: a script that prints in a loop must
//! not fill the disk.

use std::mem::take;

/// A longer line is logged in pieces.
const MAX_LINE: usize = 4 * 1024;
/// What one run may log.
const MAX_TOTAL: usize = 1024 * 1024;

/// The output of one run: the unfinished line, and how much has been logged.
#[derive(Debug, Default)]
pub(crate) struct Output {
    line: Vec<u8>,
    total: usize,
    silent: bool,
}

impl Output {
    /// Adds text; returns the lines that it completes.
    pub(crate) fn push(&mut self, text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = text;
        while !rest.is_empty() && !self.silent {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let room = MAX_LINE - self.line.len();
            let piece = end.unwrap_or(rest.len()).min(room);
            self.line.extend_from_slice(&rest[..piece]);
            if Some(piece) == end {
                rest = &rest[piece + 1..];
                self.complete(&mut lines);
            } else {
                rest = &rest[piece..];
                if self.line.len() == MAX_LINE {
                    self.complete(&mut lines);
                }
            }
        }
        lines
    }

    /// The unfinished line, at the end of the run.
    pub(crate) fn finish(&mut self) -> Option<String> {
        if self.line.is_empty() || self.silent {
            return None;
        }
        Some(String::from_utf8_lossy(&take(&mut self.line)).into_owned())
    }

    fn complete(&mut self, lines: &mut Vec<String>) {
        let line = take(&mut self.line);
        self.total += line.len() + 1;
        if self.total > MAX_TOTAL {
            self.silent = true;
            lines.push("this run has printed too much, the rest is not logged".to_owned());
        } else {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logged_when_they_are_complete() {
        let mut output = Output::default();
        assert_eq!(output.push(b"a"), Vec::<String>::new());
        assert_eq!(output.push(b"b\n\nc"), ["ab", ""]);
        assert_eq!(output.finish().as_deref(), Some("c"));
        assert_eq!(output.finish(), None);
    }

    #[test]
    fn a_line_and_a_run_are_bounded() {
        let mut output = Output::default();
        assert_eq!(output.push(&vec![b'x'; MAX_LINE + 1]).len(), 1);
        let lines: usize = (0..1000).map(|_| output.push(&vec![b'y'; MAX_LINE]).len()).sum();
        assert!(lines * MAX_LINE <= MAX_TOTAL + MAX_LINE, "{lines}");
        assert_eq!(output.push(b"more\n"), Vec::<String>::new());
    }
}
