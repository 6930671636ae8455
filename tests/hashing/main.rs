//! Hash pickers: where keys go, and what makes them move.

mod vectors;
