//! A full queue leaves one gap per channel, in place, and never loses it.
