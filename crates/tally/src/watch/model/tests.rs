//! Frames and ledgers for the tests of model and view.
