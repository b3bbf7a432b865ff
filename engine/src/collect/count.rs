//! Which documents match, without asking what they are worth?

use crate::cursor::window::{Window, WINDOW};
use crate::cursor::BoxCursor;
use crate::segment::visible::Visibility;

/// Calls `visit` with window after window of the matches that a query sees, those without any left
/// out.
pub fn each_window(cursor: &mut BoxCursor<'_>, visible: &Visibility<'_>, mut visit: impl FnMut(&mut Window)) {
    let mut window = Window::default();
    // At the end this is past everything.
    let mut start = cursor.doc() / WINDOW * WINDOW;
    while start < visible.end() {
        window.reset(start);
        cursor.fill(&mut window);
        visible.restrict(&mut window);
        visit(&mut window);
        start = start.saturating_add(WINDOW);
    }
}

/// How many documents match that a query sees.
pub fn count(cursor: &mut BoxCursor<'_>, visible: &Visibility<'_>) -> u64 {
    let mut total = 0;
    each_window(cursor, visible, |window| total += window.count());
    total
}
