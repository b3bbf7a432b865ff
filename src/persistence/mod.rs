//! persistence/: how are things written down?

pub(crate) mod bytes;
