//! Build helper of Paravane guests.
