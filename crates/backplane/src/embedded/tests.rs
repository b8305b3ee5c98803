//! What only the embedded broker has: its limits, and what nodes leave behind.
