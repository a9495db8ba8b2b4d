//! Pictures of a layer: a [`Figure`] says what is drawn, `kinds` makes one of each kind, `picture` draws it as pixels or
//! SVG, and `terminal` as characters.

mod axis;
mod canvas;
mod charts;
mod color;
mod figure;
pub(crate) mod kinds;
mod paper;
mod picture;
mod pixels;
mod svg;
mod terminal;

pub(crate) use canvas::Colors;
pub(crate) use figure::Figure;
pub(crate) use picture::{png, svg};
pub(crate) use terminal::Terminal;
