//! Tests of the pipeline on a virtual clock.
