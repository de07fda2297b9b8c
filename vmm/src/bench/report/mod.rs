//! What a run of the bench found, for people and machines.
