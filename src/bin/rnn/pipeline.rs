//! From an input to outputs, part by part: what `rnn run` and `rnn stream` share.

pub(crate) mod answered;
pub(crate) mod carried;
pub(crate) mod held;
pub(crate) mod input;
pub(crate) mod lengths;
pub(crate) mod output;
pub(crate) mod padding;
pub(crate) mod parts;
pub(crate) mod pass;
pub(crate) mod results;
pub(crate) mod rows;
pub(crate) mod state;
