//! Commands, right and wrong.
