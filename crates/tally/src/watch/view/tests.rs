//! Pictures of the live view, as text.
