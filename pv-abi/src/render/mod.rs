//! Renders.
